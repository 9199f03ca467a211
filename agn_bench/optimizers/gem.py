"""Gradient energy matching (Hermans, Louppe 2018, Gradient Energy Matching for Distributed Asynchronous Gradient
Descent), by the authors of Accumulated Gradient Normalization.
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
    moved,
    optimizer,
    quantity,
    zeros,
)


@optimizer
class Gem(Optimizer):
    """c ← c + π ⊙ Δ, π = clip((κ |m| − |c − c′|) ⊘ |Δ|, 0, 5), m ← μ m + Δ; the worker goes on from the new center.

    All workers together are to move the center as one worker with momentum would: |m| is how far that would go, weight
    by weight, and |c − c′| how far the center has gone already since the worker saw it last, c′. Both m and c′ are the
    worker's own. As in the authors' program: in the paper π has no bounds and no κ, and the worker goes on without its
    own Δ. The paper has λ = 1; Δ takes the place of its −η g.
    """

    family: ClassVar[str] = "server momentum"
    source: ClassVar[str] = "Hermans, Louppe 2018, arXiv 1805.08469"
    worker_slots: ClassVar[int] = 2

    kappa: float = factor(
        "How much more the workers may move the center than one would, κ.", default=1.0, search=(0.1, 10, "log")
    )
    momentum: float = quantity(
        0, 0.999_999, default=0.9, search=(0, 0.99), help="Share of the momentum that is kept, μ."
    )
    most: float = factor("The largest π.", default=5.0)

    def init_worker(self, center: Params) -> Any:
        """m, and c′, which is at first what the worker begins from."""
        return zeros(center), each(lambda c: c, center)

    def commit(self, server: Server, worker: Worker, commit: Commit) -> tuple[Server, Worker]:
        import jax.numpy as jnp

        step, (momentum, seen) = displacement(worker, commit), worker.memory
        momentum = each(lambda m, d: self.momentum * m + d, momentum, step)

        def matched(d: Any, m: Any, c: Any, before: Any) -> Any:
            missing = self.kappa * jnp.abs(m) - jnp.abs(c - before)
            size = jnp.abs(d)
            return jnp.where(size > 0, jnp.clip(missing / jnp.where(size > 0, size, 1), 0, self.most), 0) * d

        handed_out = server.center
        server = moved(server, each(matched, step, momentum, handed_out, seen))
        return server, worker._replace(memory=(momentum, handed_out))
