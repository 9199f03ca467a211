"""Gap-aware ASGD (Barkai, Hakimi, Schuster 2020, Gap-Aware Mitigation of Gradient Staleness)."""

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
    gradients,
    optimizer,
    quantity,
    zeros,
)


@optimizer
class GapAware(Optimizer):
    """v ← μ v + ĝ ⊘ (1 + |c − p| / C), c ← c − η v; the worker goes on from the new center.

    A commit counts the less the farther the center has moved since the worker's pull, |c − p|, weight by weight and in
    units of a usual step, C = η_max (√r + 10⁻⁸). There r is a mean of v² over the commits before, each Γ times as
    important as the next, and η_max the largest rate so far. Without momentum, r is of ĝ², the present one included, as
    in the authors' program. ĝ = −Δ / η is the paper's gradient for λ = 1 and plain local SGD; for others it is defined
    so here.
    """

    family: ClassVar[str] = "corrected by distance"
    source: ClassVar[str] = "Barkai et al. 2020, arXiv 1909.10802"
    needs_learning_rate: ClassVar[bool] = True
    server_slots: ClassVar[int] = 2

    momentum: float = quantity(0, 0.999_999, default=0.0, search=(0, 0.99), help="Share of v that is kept, μ.")
    decay: float = quantity(0, 0.999_999, default=0.999, help="How much less an earlier commit's v² counts, Γ.")

    def init(self, center: Params, workers: int) -> Any:
        """v, the weighted sum of v² and its weights' sum, and the largest rate."""
        import jax
        import jax.numpy as jnp

        none = jnp.zeros((), jax.tree.leaves(center)[0].dtype)
        return zeros(center), zeros(center), none, none

    def commit(self, server: Server, worker: Worker, commit: Commit) -> tuple[Server, Worker]:
        import jax.numpy as jnp

        velocity, squares, weights, largest = server.memory
        slope = gradients(displacement(worker, commit), commit)
        steps = each(lambda v, g: jnp.where(self.momentum > 0, v, g), velocity, slope)
        squares = each(lambda r, v: self.decay * r + (1 - self.decay) * v**2, squares, steps)
        weights = self.decay * weights + (1 - self.decay)
        largest = jnp.maximum(largest, commit.learning_rate).astype(largest.dtype)
        usual = each(lambda r: largest * (jnp.sqrt(r / weights) + 1e-8), squares)
        gap = each(
            lambda c, p, u: jnp.where(u > 0, jnp.abs(c - p) / jnp.where(u > 0, u, 1), 0),
            server.center,
            commit.start,
            usual,
        )
        velocity = each(lambda v, g, a: self.momentum * v + g / (1 + a), velocity, slope, gap)
        center = each(lambda c, v: c - commit.learning_rate * v, server.center, velocity)
        return Server(center, (velocity, squares, weights, largest)), worker
