"""AGN that divides by the number of local steps only where stability asks for it."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from agn_bench.base.quantities import LARGEST
from agn_bench.optimizers import (
    Commit,
    Optimizer,
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
    than 2 sin(π / (2(2n − 1))), about π / (2n − 1). η is the rate at the phase's end, so a schedule that lowers it can
    end the division.

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

    def divisor(self, commit: Commit) -> Any:
        """d."""
        import jax.numpy as jnp

        over = commit.learning_rate * commit.steps * self.curvature * (2 * commit.workers - 1) / math.pi
        if self.division == "smooth":
            return jnp.clip(over, 1, commit.steps)
        return jnp.where(over < 1, 1, commit.steps)

    def commit(self, server: Server, worker: Worker, commit: Commit) -> tuple[Server, Worker]:
        divisor = self.divisor(commit)
        return moved(server, each(lambda d: d / divisor.astype(d.dtype), displacement(worker, commit))), worker
