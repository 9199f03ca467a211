"""Stale synchronous parallel (Ho, Cipar, Cui, Lee, Kim, Gibbons, Gibson, Ganger, Xing 2013)."""

from __future__ import annotations

from typing import Any, ClassVar

from agn_bench.clock.rules import Rules
from agn_bench.optimizers import OPTIMIZERS, Commit, Optimizer, Params, Server, Worker, choice, optimizer, quantity


@optimizer
class StaleSynchronous(Optimizer):
    """Another optimizer's commit; a worker more than s phases ahead of the slowest waits for it.

    So a worker that has made m commits goes on from a center that has at least m − s of every other's. The paper adds
    updates up, as DOWNPOUR does.
    """

    family: ClassVar[str] = "additive"
    source: ClassVar[str] = "Ho et al. 2013, NeurIPS"

    ahead: int = quantity(
        0,
        1e9,
        whole=True,
        default=3,
        search=(1, 30, "log"),
        help="Phases that a worker may be ahead of the slowest, s.",
    )
    commits: str = choice(
        "downpour",
        "agn",
        "dynsgd",
        "easgd",
        "dana",
        default="downpour",
        help="Whose commit it is, with that optimizer's defaults.",
    )

    @property
    def server_slots(self) -> int:  # type: ignore[override]
        return self._inner.server_slots

    @property
    def worker_slots(self) -> int:  # type: ignore[override]
        return self._inner.worker_slots

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
