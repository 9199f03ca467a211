"""DOWNPOUR (Dean et al. 2012, Large Scale Distributed Deep Networks, section 4.1)."""

from __future__ import annotations

from typing import ClassVar

from agn_bench.optimizers import Commit, Optimizer, Server, Worker, each, optimizer


@optimizer
class Downpour(Optimizer):
    """c ← c + Δ; the worker goes on from the new center."""

    family: ClassVar[str] = "additive"
    source: ClassVar[str] = "Dean et al. 2012, NeurIPS"

    def commit(self, server: Server, worker: Worker, commit: Commit) -> tuple[Server, Worker]:
        new = each(lambda c, s, e: c + (e - s), server.center, commit.start, worker.params)
        return server._replace(center=new), worker
