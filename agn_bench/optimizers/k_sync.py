"""K-sync and K-batch-sync SGD (Dutta, Joshi, Ghosh, Dube, Nagpurkar 2018, section 2)."""

from __future__ import annotations

from typing import ClassVar

from agn_bench.clock.rules import Rules
from agn_bench.optimizers import choice, optimizer, quantity
from agn_bench.optimizers.averaging import Averaging


@optimizer
class KSync(Averaging):
    """c ← c + the mean Δ of the first K commits; then all workers are told to begin again from the new center.

    Nothing stale ever counts. The first K are of different workers, as they wait for the version. With batch=yes they
    do not wait, so that a fast worker may bring several of the K.
    """

    family: ClassVar[str] = "barrier"
    source: ClassVar[str] = "Dutta et al. 2018, arXiv 1803.01113"

    size: int = quantity(0, 1e9, whole=True, default=0, help="Commits of a version, K; 0 stands for n / 2, rounded up.")
    batch: str = choice("no", "yes", default="no", help="Whether a worker may bring several of a version's commits.")

    def rules(self, workers: int) -> Rules:
        return Rules(quorum=self.size or half(workers), waits=self.batch == "no", drop_at=1, cancels=True)


def half(workers: int) -> int:
    """Half of some workers, rounded up."""
    return (workers + 1) // 2
