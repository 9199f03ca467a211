"""DynSGD (Jiang, Cui, Zhang, Yu 2017, Heterogeneity-aware Distributed Parameter Servers, section 4)."""

from __future__ import annotations

import jax

from agn_bench.optimizers import Params, method


@method
class Dynsgd:
    """c ← c + Δ / (τ + 1); the worker goes on from the new center.

    A commit counts the less the staler it is; one that is not stale (τ = 0) goes in whole.
    """

    def exchange(
        self, center: Params, start: Params, end: Params, local_steps: int, staleness: jax.Array
    ) -> tuple[Params, Params]:
        new = jax.tree.map(lambda c, s, e: c + (e - s) / (staleness + 1), center, start, end)
        return new, new
