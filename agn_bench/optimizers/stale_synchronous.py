"""Stale synchronous parallel (Ho, Cipar, Cui, Lee, Kim, Gibbons, Gibson, Ganger, Xing 2013)."""

from __future__ import annotations

from typing import Any, ClassVar

from agn_bench.clock.rules import Rules
from agn_bench.optimizers import OPTIMIZERS, Commit, Optimizer, Params, Server, Worker, choice, optimizer, quantity


@optimizer
class StaleSynchronous(Optimizer):
    """Another optimizer's commit; who is more than s phases before the slowest waits for it.

    The paper adds updates up, as DOWNPOUR does.
    """

    source: ClassVar[str] = "Ho et al. 2013, NeurIPS"
    server_slots: ClassVar[int] = 1
    worker_slots: ClassVar[int] = 1

    ahead: int = quantity(0, 1e9, whole=True, default=3, help="Phases that a worker may be before the slowest, s.")
    commits: str = choice(
        "downpour",
        "agn",
        "dynsgd",
        "easgd",
        "dana",
        default="downpour",
        help="Whose commit it is, at that one's defaults.",
    )

    @property
    def _inner(self) -> Optimizer:
        return OPTIMIZERS.choose(self.commits).thing

    def rules(self, workers: int) -> Rules:
        return Rules(ahead=self.ahead)

    def init(self, center: Params, workers: int) -> Any:
        return self._inner.init(center, workers)

    def init_worker(self, center: Params) -> Any:
        return self._inner.init_worker(center)

    def commit(self, server: Server, worker: Worker, commit: Commit) -> tuple[Server, Worker]:
        return self._inner.commit(server, worker, commit)

    def reply(self, server: Server, worker: Worker) -> Worker:
        return self._inner.reply(server, worker)
