"""Asynchronous elastic averaging SGD (Zhang, Choromanska, LeCun 2015, arXiv 1412.6651, Algorithm 1)."""

from __future__ import annotations

from typing import Any, ClassVar

from agn_bench.optimizers import Commit, Optimizer, Server, Worker, each, factor, optimizer


@optimizer
class Easgd(Optimizer):
    """c ← c + e with e = α (end − c); the worker goes on from end − e.

    Center and worker are drawn together by the same force, so their sum is conserved. In the paper's words α is the
    learning rate times the elasticity ρ.
    """

    family: ClassVar[str] = "elastic"
    source: ClassVar[str] = "Zhang et al. 2015, arXiv 1412.6651"

    alpha: float = factor("Elastic force α, a fraction.", high=1.0, default=0.05, search=(0.005, 0.5, "log"))

    def commit(self, server: Server, worker: Worker, commit: Commit) -> tuple[Server, Worker]:
        return drawn_together(server, worker, self.alpha)

    def reply(self, server: Server, worker: Worker) -> Worker:
        return worker


def drawn_together(server: Server, worker: Worker, alpha: Any) -> tuple[Server, Worker]:
    """Center and worker after each has gone a share α of the way between them towards the other."""
    elastic = each(lambda c, x: alpha * (x - c), server.center, worker.params)
    center = each(lambda c, e: c + e, server.center, elastic)
    params = each(lambda x, e: x - e, worker.params, elastic)
    return server._replace(center=center), worker._replace(params=params)
