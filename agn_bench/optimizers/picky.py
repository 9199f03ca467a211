"""Picky SGD (Cohen, Daniely, Drori, Koren, Schain 2021, Asynchronous Stochastic Optimization Robust to Arbitrary
Delays).
"""

from __future__ import annotations

from typing import Any, ClassVar

from agn_bench.optimizers import (
    Commit,
    Optimizer,
    Params,
    Server,
    Worker,
    displacement,
    each,
    factor,
    length,
    moved,
    optimizer,
)


@optimizer
class Picky(Optimizer):
    """c ← c + Δ if ‖c − p‖ ≤ the threshold, else the commit is left out; the worker goes on from the center.

    What counts is how far the center has moved since the worker's pull, over all weights together, and not how many
    versions ago that was. The rule was read in others' descriptions of the paper, not in the paper itself.
    """

    family: ClassVar[str] = "additive"
    source: ClassVar[str] = "Cohen et al. 2021, arXiv 2106.11879"

    threshold: float = factor(
        "Euclidean distance up to which a commit counts; it has to be tuned.", default=1.0, search=(0.01, 100, "log")
    )

    def init(self, center: Params, workers: int) -> Any:
        """How many commits have counted."""
        import jax.numpy as jnp

        return jnp.int32(0)

    def commit(self, server: Server, worker: Worker, commit: Commit) -> tuple[Server, Worker]:
        import jax.numpy as jnp

        near = length(each(lambda c, p: c - p, server.center, commit.start)) <= self.threshold
        step = each(lambda d: jnp.where(near, d, 0), displacement(worker, commit))
        return moved(server, step)._replace(memory=server.memory + near), worker

    def applied(self, memory: Any) -> Any:
        return memory
