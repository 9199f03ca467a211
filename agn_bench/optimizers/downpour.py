"""DOWNPOUR (Dean et al. 2012, Large Scale Distributed Deep Networks, section 4.1)."""

from __future__ import annotations

import jax

from agn_bench.optimizers import Params, method


@method
class Downpour:
    """c ← c + Δ; the worker goes on from the new center."""

    def exchange(
        self, center: Params, start: Params, end: Params, local_steps: int, staleness: jax.Array
    ) -> tuple[Params, Params]:
        new = jax.tree.map(lambda c, s, e: c + (e - s), center, start, end)
        return new, new
