"""Synchronous local SGD (Stich 2019), with backup workers (Chen, Pan, Monga, Bengio, Jozefowicz 2016)."""

from __future__ import annotations

from typing import Any, ClassVar

from agn_bench.clock.rules import Rules
from agn_bench.optimizers import Commit, Optimizer, Params, Server, Worker, each, optimizer, quantity, zeros


@optimizer
class LocalSgd(Optimizer):
    """c ← c + the mean Δ of the first n − b workers of a round; they go on together from the new center.

    A worker that comes later is not counted, and goes on at once from the center as it is. With λ = 1, b = 0 and plain
    local SGD it is synchronous SGD.
    """

    source: ClassVar[str] = "Stich 2019, arXiv 1805.09767; backup workers: Chen et al. 2016, arXiv 1604.00981"
    server_slots: ClassVar[int] = 1

    backups: int = quantity(
        0, 1e9, whole=True, default=0, help="Backup workers, b: a round does not wait for its b slowest."
    )

    def rules(self, workers: int) -> Rules:
        return Rules(quorum=workers - self.backups, waits=True, drop_at=1 if self.backups else None)

    def init(self, center: Params, workers: int) -> Any:
        """The sum of the round's Δ, and of how many workers it is when the round is over."""
        return zeros(center), workers - self.backups

    def commit(self, server: Server, worker: Worker, commit: Commit) -> tuple[Server, Worker]:
        total, count = server.memory
        total = each(lambda m, s, e: m + (e - s), total, commit.start, worker.params)
        return server._replace(memory=(total, count)), worker

    def version(self, server: Server) -> Server:
        total, count = server.memory
        center = each(lambda c, m: c + m / count, server.center, total)
        return Server(center, (zeros(total), count))
