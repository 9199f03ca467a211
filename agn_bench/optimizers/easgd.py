"""Asynchronous elastic averaging SGD (Zhang, Choromanska, LeCun 2015, arXiv 1412.6651, Algorithm 1)."""

from __future__ import annotations

import jax

from agn_bench.optimizers import Params, method


@method
class Easgd:
    """e = α (end − c); c ← c + e; the worker goes on from end − e.

    Center and worker are drawn together by the same force, so their sum is conserved. In the paper's words α is the
    learning rate times the elasticity ρ.
    """

    alpha: float

    def exchange(
        self, center: Params, start: Params, end: Params, local_steps: int, staleness: jax.Array
    ) -> tuple[Params, Params]:
        elastic = jax.tree.map(lambda c, x: self.alpha * (x - c), center, end)
        new = jax.tree.map(lambda c, e: c + e, center, elastic)
        following = jax.tree.map(lambda x, e: x - e, end, elastic)
        return new, following
