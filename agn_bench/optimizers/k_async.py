"""K-async and K-batch-async SGD (Dutta, Joshi, Ghosh, Dube, Nagpurkar 2018, section 2)."""

from __future__ import annotations

from typing import ClassVar

from agn_bench.clock.rules import Rules
from agn_bench.optimizers import choice, optimizer, quantity
from agn_bench.optimizers.averaging import Averaging
from agn_bench.optimizers.k_sync import half


@optimizer
class KAsync(Averaging):
    """c ← c + the mean Δ of K commits, stale ones too; whose commit counts waits for the version, all others go on.

    With batch=yes nobody waits, so that a fast worker may bring several of the K.
    """

    family: ClassVar[str] = "barrier"
    source: ClassVar[str] = "Dutta et al. 2018, arXiv 1803.01113"

    size: int = quantity(0, 1e9, whole=True, default=0, help="Commits of a version, K; 0 stands for n / 2, rounded up.")
    batch: str = choice("no", "yes", default="no", help="Whether a worker may bring several of a version's commits.")

    def rules(self, workers: int) -> Rules:
        return Rules(quorum=self.size or half(workers), waits=self.batch == "no")
