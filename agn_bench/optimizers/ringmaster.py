"""Ringmaster ASGD (Maranjyan, Tyurin, Richtárik 2025)."""

from __future__ import annotations

from typing import ClassVar

from agn_bench.clock.rules import Rules
from agn_bench.optimizers import choice, optimizer, quantity
from agn_bench.optimizers.downpour import Downpour


@optimizer
class Ringmaster(Downpour):
    """c ← c + Δ if τ < R, else the commit is dropped; the worker goes on from the center.

    With stops=yes, a worker whose phase has become so stale is interrupted, and begins again from the new center.
    """

    source: ClassVar[str] = "Maranjyan et al. 2025, arXiv 2501.16168"

    threshold: int = quantity(
        0, 1e9, whole=True, default=0, help="Staleness from which commits are dropped, R; 0 stands for n."
    )
    stops: str = choice("no", "yes", default="no", help="Whether workers are interrupted at that staleness.")

    def rules(self, workers: int) -> Rules:
        return Rules(drop_at=self.threshold or workers, cancels=self.stops == "yes")
