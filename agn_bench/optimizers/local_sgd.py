"""Synchronous local SGD (Stich 2019), with backup workers (Chen, Pan, Monga, Bengio, Jozefowicz 2016)."""

from __future__ import annotations

from typing import ClassVar

from agn_bench.clock.rules import Rules
from agn_bench.optimizers import optimizer, quantity
from agn_bench.optimizers.averaging import Averaging


@optimizer
class LocalSgd(Averaging):
    """c ← c + the mean Δ of the first n − b workers of a round; they go on together from the new center.

    A worker that comes later is not counted, and goes on at once from the center as it is. With λ = 1, b = 0 and plain
    local SGD it is synchronous SGD.
    """

    family: ClassVar[str] = "barrier"
    source: ClassVar[str] = "Stich 2019, arXiv 1805.09767; backup workers: Chen et al. 2016, arXiv 1604.00981"

    backups: int = quantity(
        0, 1e9, whole=True, default=0, help="Backup workers, b: a round does not wait for its b slowest."
    )

    def rules(self, workers: int) -> Rules:
        return Rules(quorum=workers - self.backups, waits=True, drop_at=1 if self.backups else None)
