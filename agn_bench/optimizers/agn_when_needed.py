"""AGN that divides by the number of local steps only where stability asks for it."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from agn_bench.base.quantities import LARGEST
from agn_bench.optimizers import (
    Commit,
    Optimizer,
    Params,
    Server,
    Worker,
    choice,
    displacement,
    each,
    moved,
    optimizer,
    quantity,
)


@optimizer
class AgnWhenNeeded(Optimizer):
    """c ← c + Δ / d, d = 1 where η λ h < π / (2n − 1), else λ; the worker goes on from the new center.

    h is the largest curvature of the loss. n workers in turn, plain local SGD and no noise: then Δ is 1 − (1 − ηh)^λ of
    the way to the minimum, about η λ h of it, and DOWNPOUR, which does not divide, is stable as long as that is less
    than 2 sin(π / (2(2n − 1))), about π / (2n − 1). A schedule that lowers η can end the division. η is the
    larger of the rates at the worker's last commit and at this one: steps from before the rate fell are divided still.

    With `division` smooth, d = η λ h (2n − 1) / π, but at least 1 and at most λ: Δ is divided by what brings it to the
    line, and by no more. On the line itself noise is amplified without bound, so h is then taken larger than it is: at
    four times the largest curvature no direction swings. h is 0: DOWNPOUR. h is large: AGN.
    """

    family: ClassVar[str] = "normalized"
    source: ClassVar[str] = "own; the line is that of delayed linear iterations (Levin, May 1976)"
    needs_learning_rate: ClassVar[bool] = True

    curvature: float = quantity(0, LARGEST, default=10.0, help="Largest curvature of the loss, h.")
    division: str = choice(
        "switch", "smooth", default="switch", help="Whether to divide by λ or not at all, or by what is needed."
    )

    def init_worker(self, center: Params) -> Any:
        """The rate at its last commit."""
        import jax
        import jax.numpy as jnp

        return jnp.zeros((), jax.tree.leaves(center)[0].dtype)

    def divisor(self, rate: Any, commit: Commit) -> Any:
        """d at a learning rate."""
        import jax.numpy as jnp

        over = rate * commit.steps * self.curvature * (2 * commit.workers - 1) / math.pi
        if self.division == "smooth":
            return jnp.clip(over, 1, commit.steps)
        return jnp.where(over < 1, 1, commit.steps)

    def commit(self, server: Server, worker: Worker, commit: Commit) -> tuple[Server, Worker]:
        import jax.numpy as jnp

        divisor = self.divisor(jnp.maximum(worker.memory, commit.learning_rate), commit)
        step = each(lambda d: d / divisor.astype(d.dtype), displacement(worker, commit))
        return moved(server, step), worker._replace(memory=jnp.asarray(commit.learning_rate, worker.memory.dtype))
