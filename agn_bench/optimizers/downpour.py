"""DOWNPOUR (Dean et al. 2012, Large Scale Distributed Deep Networks, section 4.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from agn_bench.optimizers import Optimizer, Params, each, optimizer

if TYPE_CHECKING:
    import jax


@optimizer
class Downpour(Optimizer):
    """c ← c + Δ; the worker goes on from the new center."""

    source: ClassVar[str] = "Dean et al. 2012, NeurIPS"

    def exchange(
        self, center: Params, start: Params, end: Params, local_steps: int, staleness: jax.Array
    ) -> tuple[Params, Params]:
        new = each(lambda c, s, e: c + (e - s), center, start, end)
        return new, new
