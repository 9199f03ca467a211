"""Synchronous SGD with backup workers (Chen, Pan, Monga, Bengio, Jozefowicz 2016, section 3)."""

from __future__ import annotations

from typing import ClassVar

from agn_bench.clock.rules import Rules
from agn_bench.optimizers import optimizer, quantity
from agn_bench.optimizers.averaging import Averaging


@optimizer
class BackupWorkers(Averaging):
    """c ← c + the mean Δ of the first n − b workers of a round; they go on together from the new center.

    A worker that comes later is dropped, and goes on at once from the center as it is. The paper has λ = 1.
    """

    family: ClassVar[str] = "barrier"
    source: ClassVar[str] = "Chen et al. 2016, arXiv 1604.00981"

    backups: int = quantity(0, 1e9, whole=True, default=1, help="Workers that a round does not wait for, b.")

    def rules(self, workers: int) -> Rules:
        return Rules(quorum=workers - self.backups, waits=True, drop_at=1)
