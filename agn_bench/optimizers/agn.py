"""Accumulated Gradient Normalization (Hermans, Spanakis, Möckel 2017, arXiv 1710.02368, Algorithm 1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from agn_bench.optimizers import Optimizer, Params, each, optimizer

if TYPE_CHECKING:
    import jax


@optimizer
class Agn(Optimizer):
    """c ← c + Δ / λ; the worker goes on from the new center.

    The commit is the mean of the λ local updates, so it is as long as one step, in a better direction.
    """

    source: ClassVar[str] = "Hermans et al. 2017, arXiv 1710.02368"

    def exchange(
        self, center: Params, start: Params, end: Params, local_steps: int, staleness: jax.Array
    ) -> tuple[Params, Params]:
        new = each(lambda c, s, e: c + (e - s) / local_steps, center, start, end)
        return new, new
