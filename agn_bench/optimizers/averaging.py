"""What optimizers have in common whose versions are made of several commits, all counting the same: their mean.

They differ in what they ask of the clock, so each of them is little more than its `rules`.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

from agn_bench.clock.rules import Rules
from agn_bench.optimizers import Commit, Optimizer, Params, Server, Worker, each, zeros


class Averaging(Optimizer):
    """c ← c + the mean Δ of a version's commits."""

    server_slots: ClassVar[int] = 1

    @abstractmethod
    def rules(self, workers: int) -> Rules:
        """Rules whose quorum says how many commits make a version."""

    def init(self, center: Params, workers: int) -> Any:
        """The sum of the version's Δ so far, and of how many commits it is when the version is made."""
        return zeros(center), self.rules(workers).quorum

    def commit(self, server: Server, worker: Worker, commit: Commit) -> tuple[Server, Worker]:
        total, count = server.memory
        total = each(lambda m, s, e: m + (e - s), total, commit.start, worker.params)
        return server._replace(memory=(total, count)), worker

    def version(self, server: Server) -> Server:
        total, count = server.memory
        center = each(lambda c, m: c + m / count, server.center, total)
        return Server(center, (zeros(total), count))
