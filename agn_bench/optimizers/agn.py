"""Accumulated Gradient Normalization (Hermans, Spanakis, Möckel 2017, arXiv 1710.02368, Algorithm 1)."""

from __future__ import annotations

from typing import ClassVar

from agn_bench.optimizers import Commit, Optimizer, Server, Worker, each, optimizer


@optimizer
class Agn(Optimizer):
    """c ← c + Δ / λ; the worker goes on from the new center.

    The commit is the mean of the λ local updates, so it is as long as one step, in a better direction.
    """

    family: ClassVar[str] = "normalized"
    source: ClassVar[str] = "Hermans et al. 2017, arXiv 1710.02368"

    def commit(self, server: Server, worker: Worker, commit: Commit) -> tuple[Server, Worker]:
        new = each(lambda c, s, e: c + (e - s) / commit.steps, server.center, commit.start, worker.params)
        return server._replace(center=new), worker
