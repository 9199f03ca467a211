"""DANA-Zero (Hakimi, Barkai, Gabel, Schuster 2019, Taming Momentum in a Distributed Asynchronous Environment)."""

from __future__ import annotations

from typing import Any, ClassVar

from agn_bench.optimizers import Commit, Optimizer, Params, Server, Worker, each, optimizer, quantity, zeros


@optimizer
class Dana(Optimizer):
    """vᵢ ← γ vᵢ + Δ, c ← c + vᵢ; the worker goes on from c + γ Σ v, where the others will have brought the center.

    The paper's v is of gradients g and its step −η v; here v is the step itself. For λ = 1, plain local SGD and a
    constant rate that is the same; otherwise Δ takes the place of −η g, which the paper does not treat.
    """

    source: ClassVar[str] = "Hakimi et al. 2019, arXiv 1907.11612"
    server_slots: ClassVar[int] = 1
    worker_slots: ClassVar[int] = 1

    momentum: float = quantity(0, 0.999_999, default=0.9, help="Share of a worker's last step that is taken again, γ.")

    def init(self, center: Params, workers: int) -> Any:
        """Σ v over the workers, kept up to date commit by commit."""
        return zeros(center)

    def init_worker(self, center: Params) -> Any:
        """vᵢ."""
        return zeros(center)

    def commit(self, server: Server, worker: Worker, commit: Commit) -> tuple[Server, Worker]:
        step = each(lambda v, s, e: self.momentum * v + (e - s), worker.memory, commit.start, worker.params)
        total = each(lambda t, new, old: t + (new - old), server.memory, step, worker.memory)
        return Server(each(lambda c, v: c + v, server.center, step), total), worker._replace(memory=step)

    def reply(self, server: Server, worker: Worker) -> Worker:
        return worker._replace(params=each(lambda c, t: c + self.momentum * t, server.center, server.memory))
