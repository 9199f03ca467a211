"""DynSGD (Jiang, Cui, Zhang, Yu 2017, Heterogeneity-aware Distributed Parameter Servers, section 4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from agn_bench.optimizers import Optimizer, Params, each, optimizer

if TYPE_CHECKING:
    import jax


@optimizer
class Dynsgd(Optimizer):
    """c ← c + Δ / (τ + 1); the worker goes on from the new center.

    A commit counts the less the staler it is; one that is not stale (τ = 0) goes in whole.
    """

    source: ClassVar[str] = "Jiang et al. 2017, SIGMOD"

    def exchange(
        self, center: Params, start: Params, end: Params, local_steps: int, staleness: jax.Array
    ) -> tuple[Params, Params]:
        new = each(lambda c, s, e: c + (e - s) / (staleness + 1), center, start, end)
        return new, new
