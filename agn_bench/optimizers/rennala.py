"""Rennala SGD (Tyurin, Richtárik 2023, Optimal Time Complexities of Parallel Stochastic Optimization Methods)."""

from __future__ import annotations

from typing import ClassVar

from agn_bench.clock.rules import Rules
from agn_bench.optimizers import choice, optimizer, quantity
from agn_bench.optimizers.averaging import Averaging


@optimizer
class Rennala(Averaging):
    """c ← c + the mean Δ of B commits that began from the present center; stale ones are dropped, and nobody waits.

    A worker may bring several of the B. With stops=yes, a worker whose phase has become stale is interrupted, and
    begins again from the new center; the authors' two programs differ in this.
    """

    family: ClassVar[str] = "buffer"
    source: ClassVar[str] = "Tyurin, Richtárik 2023, arXiv 2305.12387"

    size: int = quantity(0, 1e9, whole=True, default=0, help="Commits of a version, B; 0 stands for n.")
    stops: str = choice("no", "yes", default="no", help="Whether workers are interrupted when a version is made.")

    def rules(self, workers: int) -> Rules:
        return Rules(quorum=self.size or workers, drop_at=1, cancels=self.stops == "yes")
