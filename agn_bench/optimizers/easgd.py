"""Asynchronous elastic averaging SGD (Zhang, Choromanska, LeCun 2015, arXiv 1412.6651, Algorithm 1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from agn_bench.optimizers import Optimizer, Params, each, factor, optimizer

if TYPE_CHECKING:
    import jax


@optimizer
class Easgd(Optimizer):
    """c ← c + e with e = α (end − c); the worker goes on from end − e.

    Center and worker are drawn together by the same force, so their sum is conserved. In the paper's words α is the
    learning rate times the elasticity ρ.
    """

    source: ClassVar[str] = "Zhang et al. 2015, arXiv 1412.6651"

    alpha: float = factor("Elastic force α, a fraction.", high=1.0, default=0.05)

    def exchange(
        self, center: Params, start: Params, end: Params, local_steps: int, staleness: jax.Array
    ) -> tuple[Params, Params]:
        elastic = each(lambda c, x: self.alpha * (x - c), center, end)
        new = each(lambda c, e: c + e, center, elastic)
        following = each(lambda x, e: x - e, end, elastic)
        return new, following
