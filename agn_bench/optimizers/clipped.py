"""Clipped asynchronous SGD (Erickson, Johansson 2026)."""

from __future__ import annotations

from typing import Any, ClassVar

from agn_bench.optimizers import Params, each, factor, length, optimizer
from agn_bench.optimizers.downpour import Downpour


@optimizer
class Clipped(Downpour):
    """c ← c + Δ, every local gradient shortened to the length r where it is longer; the worker goes on from c.

    However stale a commit is, it moves the center no farther than η r a step, which is what bounds the error. The
    length is that of all weights together. In the paper λ = 1. With other optimizers `--clip` does the same. The rule
    was read in an audit of the paper and in its summary, not in its body.
    """

    source: ClassVar[str] = "Erickson, Johansson 2026, arXiv 2606.13287"

    radius: float = factor("Length up to which a gradient stays as it is, r.", default=1.0, search=(0.03, 30, "log"))

    def gradient(self, gradient: Params, params: Params, start: Params, memory: Any) -> Params:
        import jax.numpy as jnp

        share = jnp.minimum(1, self.radius / length(gradient))
        return each(lambda g: share * g, gradient)
