"""DANA and its relatives (Hakimi, Barkai, Gabel, Schuster 2019, Taming Momentum in a Distributed Asynchronous
Environment): momentum at the server, of each worker or of all.

In all of them v is of steps, where the paper's is of gradients g and its step −η v. For λ = 1, plain local SGD and a
constant rate that is the same; otherwise Δ takes the place of −η g, which the paper does not treat.
"""

from __future__ import annotations

from typing import Any, ClassVar

from agn_bench.optimizers import (
    Commit,
    Optimizer,
    Params,
    Server,
    Worker,
    displacement,
    each,
    moved,
    optimizer,
    quantity,
    zeros,
)
from agn_bench.optimizers.dc_asgd import compensated

_KEPT = "Share of a worker's last step that is taken again, γ."


@optimizer
class Dana(Optimizer):
    """vᵢ ← γ vᵢ + Δ, c ← c + vᵢ; the worker goes on from c + γ Σ v, where the others will have brought the center.

    This is DANA-Zero.
    """

    family: ClassVar[str] = "server momentum"
    source: ClassVar[str] = "Hakimi et al. 2019, arXiv 1907.11612"
    server_slots: ClassVar[int] = 1
    worker_slots: ClassVar[int] = 1

    momentum: float = quantity(0, 0.999_999, default=0.9, help=_KEPT, search=(0, 0.99))

    def init(self, center: Params, workers: int) -> Any:
        """Σ v over the workers, kept up to date commit by commit."""
        return zeros(center)

    def init_worker(self, center: Params) -> Any:
        """vᵢ."""
        return zeros(center)

    def step(self, center: Params, worker: Worker, commit: Commit) -> Params:
        """What is added to the worker's momentum."""
        return displacement(worker, commit)

    def commit(self, server: Server, worker: Worker, commit: Commit) -> tuple[Server, Worker]:
        new = self.step(server.center, worker, commit)
        step = each(lambda v, d: self.momentum * v + d, worker.memory, new)
        total = each(lambda t, new, old: t + (new - old), server.memory, step, worker.memory)
        return Server(each(lambda c, v: c + v, server.center, step), total), worker._replace(memory=step)

    def reply(self, server: Server, worker: Worker) -> Worker:
        return worker._replace(params=each(lambda c, t: c + self.momentum * t, server.center, server.memory))


@optimizer
class DanaDc(Dana):
    """vᵢ ← γ vᵢ − η (ĝ + κ ĝ ⊙ ĝ ⊙ (c − s)), c ← c + vᵢ; the worker goes on from c + γ Σ v.

    DANA with the delay compensation of `dc-asgd`, for what the look ahead has missed: s is what the worker went on
    from.
    """

    needs_learning_rate: ClassVar[bool] = True

    compensation: float = quantity(
        0, 1e6, default=2.0, search=(0.1, 30, "log"), help="Its strength, κ (the paper's λ)."
    )

    def step(self, center: Params, worker: Worker, commit: Commit) -> Params:
        return compensated(worker, commit, center, self.compensation)


@optimizer
class _OfEachWorker(Optimizer):
    """Momentum of each worker, without a look ahead."""

    family: ClassVar[str] = "server momentum"
    source: ClassVar[str] = "Hakimi et al. 2019, arXiv 1907.11612"
    worker_slots: ClassVar[int] = 1

    momentum: float = quantity(0, 0.999_999, default=0.9, help=_KEPT, search=(0, 0.99))

    def init_worker(self, center: Params) -> Any:
        """vᵢ."""
        return zeros(center)

    def _kept(self, worker: Worker, commit: Commit) -> Params:
        return each(lambda v, d: self.momentum * v + d, worker.memory, displacement(worker, commit))


@optimizer
class DanaSlim(_OfEachWorker):
    """vᵢ ← γ vᵢ + Δ, c ← c + γ vᵢ + Δ; the worker goes on from the new center.

    The same as DANA after a change of variables, c here being the other's c + γ Σ v. The worker can keep v itself, so
    that the server is a plain one.
    """

    def commit(self, server: Server, worker: Worker, commit: Commit) -> tuple[Server, Worker]:
        kept = self._kept(worker, commit)
        step = each(lambda v, d: self.momentum * v + d, kept, displacement(worker, commit))
        return moved(server, step), worker._replace(memory=kept)


@optimizer
class MultiAsgd(_OfEachWorker):
    """vᵢ ← γ vᵢ + Δ, c ← c + vᵢ; the worker goes on from the new center.

    DANA without its look ahead: what the look ahead is worth is the difference.
    """

    def commit(self, server: Server, worker: Worker, commit: Commit) -> tuple[Server, Worker]:
        kept = self._kept(worker, commit)
        return moved(server, kept), worker._replace(memory=kept)


@optimizer
class NagAsgd(Optimizer):
    """v ← γ v + Δ, c ← c + v; the worker goes on from c + γ v.

    One momentum for all workers, with Nesterov's look ahead of one step. DANA's authors compare with it.
    """

    family: ClassVar[str] = "server momentum"
    source: ClassVar[str] = "Hakimi et al. 2019, arXiv 1907.11612"
    server_slots: ClassVar[int] = 1

    momentum: float = quantity(
        0, 0.999_999, default=0.9, search=(0, 0.99), help="Share of the last step that is taken again, γ."
    )

    def init(self, center: Params, workers: int) -> Any:
        """v."""
        return zeros(center)

    def commit(self, server: Server, worker: Worker, commit: Commit) -> tuple[Server, Worker]:
        step = each(lambda v, d: self.momentum * v + d, server.memory, displacement(worker, commit))
        return Server(each(lambda c, v: c + v, server.center, step), step), worker

    def reply(self, server: Server, worker: Worker) -> Worker:
        return worker._replace(params=each(lambda c, v: c + self.momentum * v, server.center, server.memory))
