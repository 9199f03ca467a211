"""Synchronous SGD: every worker's gradient of the same center, and one step along their mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from agn_bench.clock.rules import Rules
from agn_bench.optimizers import optimizer
from agn_bench.optimizers.averaging import Averaging


@optimizer
class SyncSgd(Averaging):
    """c ← c + the mean Δ of all n workers; they go on together from the new center. λ is 1 where nothing is said.

    With plain local SGD a version is one step of SGD with an n times larger mini-batch. With more local steps it is
    `local-sgd`.
    """

    family: ClassVar[str] = "barrier"
    source: ClassVar[str] = "Chen et al. 2016, arXiv 1604.00981, section 2.2"
    trained_with: ClassVar[Mapping[str, object]] = {"local_steps": 1}

    def rules(self, workers: int) -> Rules:
        return Rules(quorum=workers, waits=True)
