"""Accumulated Gradient Normalization (Hermans, Spanakis, Möckel 2017, arXiv 1710.02368, Algorithm 1)."""

from __future__ import annotations

import jax

from agn_bench.optimizers import Params, method


@method
class Agn:
    """c ← c + Δ / λ; the worker goes on from the new center.

    The commit is the mean of the λ local updates, so it is as long as one step, in a better direction.
    """

    def exchange(
        self, center: Params, start: Params, end: Params, local_steps: int, staleness: jax.Array
    ) -> tuple[Params, Params]:
        new = jax.tree.map(lambda c, s, e: c + (e - s) / local_steps, center, start, end)
        return new, new
