"""FedBuff (Nguyen, Malik, Zhan, Yousefpour, Rabbat, Malek, Huba 2022, Federated Learning with Buffered Asynchronous
Aggregation).
"""

from __future__ import annotations

from typing import Any, ClassVar

from agn_bench.clock.rules import Rules
from agn_bench.optimizers import Commit, Optimizer, Params, Server, Worker, each, factor, optimizer, quantity, zeros


@optimizer
class Fedbuff(Optimizer):
    """c ← c + η m / K, m the sum of K commits, each Δ / √(1 + τ); workers go on at once from the center as it is."""

    family: ClassVar[str] = "buffer"
    source: ClassVar[str] = "Nguyen et al. 2022, arXiv 2106.06639"
    server_slots: ClassVar[int] = 1

    size: int = quantity(1, 1e9, whole=True, default=10, search=(1, 100, "log"), help="Commits in a buffer, K.")
    rate: float = factor("Step length of the server, η.", default=1.0, search=(0.05, 5, "log"))

    def rules(self, workers: int) -> Rules:
        return Rules(quorum=self.size)

    def init(self, center: Params, workers: int) -> Any:
        return zeros(center)

    def commit(self, server: Server, worker: Worker, commit: Commit) -> tuple[Server, Worker]:
        weight = (1 + commit.staleness) ** -0.5
        buffer = each(lambda m, s, e: m + weight * (e - s), server.memory, commit.start, worker.params)
        return server._replace(memory=buffer), worker

    def version(self, server: Server) -> Server:
        center = each(lambda c, m: c + self.rate * m / self.size, server.center, server.memory)
        return Server(center, zeros(server.memory))
