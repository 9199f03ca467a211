"""DynSGD (Jiang, Cui, Zhang, Yu 2017, Heterogeneity-aware Distributed Parameter Servers, section 4)."""

from __future__ import annotations

from typing import ClassVar

from agn_bench.optimizers import Commit, Optimizer, Server, Worker, each, optimizer


@optimizer
class Dynsgd(Optimizer):
    """c ← c + Δ / (τ + 1); the worker goes on from the new center.

    A commit counts the less the staler it is; one that is not stale (τ = 0) goes in whole.
    """

    family: ClassVar[str] = "weighted by staleness"
    source: ClassVar[str] = "Jiang et al. 2017, SIGMOD"

    def commit(self, server: Server, worker: Worker, commit: Commit) -> tuple[Server, Worker]:
        new = each(lambda c, s, e: c + (e - s) / (commit.staleness + 1), server.center, commit.start, worker.params)
        return server._replace(center=new), worker
