"""Delay-compensated ASGD (Zheng, Meng, Wang, Chen, Yu, Ma, Liu 2017, equations 10 and 14)."""

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
    moved,
    optimizer,
    quantity,
    zeros,
)


@optimizer
class DcAsgd(Optimizer):
    """c ← c − η (ĝ + κ ĝ ⊙ ĝ ⊙ (c − p)); the worker goes on from the new center.

    ĝ² stands for the curvature: the second term is what the gradient would have been at the center as it is, and not at
    p, which the worker pulled. ĝ = −Δ / η is the paper's gradient for λ = 1 and plain local SGD; for others it is
    defined so here.
    """

    family: ClassVar[str] = "corrected by distance"
    source: ClassVar[str] = "Zheng et al. 2017, arXiv 1609.08326"
    needs_learning_rate: ClassVar[bool] = True

    strength: float = quantity(
        0, 1e6, default=0.04, search=(0.001, 10, "log"), help="Strength of the compensation, κ (the paper's λ)."
    )

    def commit(self, server: Server, worker: Worker, commit: Commit) -> tuple[Server, Worker]:
        return moved(server, compensated(worker, commit, server.center, self.strength)), worker


@optimizer
class DcAsgdAdaptive(Optimizer):
    """c ← c − η (ĝ + κ ĝ ⊙ ĝ ⊙ (c − p) ⊘ √(q + 10⁻⁷)), q ← m q + (1 − m) ĝ², each worker's own.

    As `dc-asgd`, with a compensation that is the weaker the larger the worker's gradients are, weight by weight.
    """

    family: ClassVar[str] = "corrected by distance"
    source: ClassVar[str] = "Zheng et al. 2017, arXiv 1609.08326"
    needs_learning_rate: ClassVar[bool] = True
    worker_slots: ClassVar[int] = 1

    strength: float = quantity(
        0, 1e6, default=2.0, search=(0.02, 30, "log"), help="Strength of the compensation, κ (the paper's λ₀)."
    )
    decay: float = quantity(0, 0.999_999, default=0.95, help="Share of the old mean square that is kept, m.")

    def init_worker(self, center: Params) -> Any:
        """q, the running mean of the squares of the worker's gradients."""
        return zeros(center)

    def commit(self, server: Server, worker: Worker, commit: Commit) -> tuple[Server, Worker]:
        step = displacement(worker, commit)
        slope = gradients(step, commit)
        square = each(lambda q, g: self.decay * q + (1 - self.decay) * g**2, worker.memory, slope)
        corrected = each(
            lambda d, g, q, c, p: d * (1 + self.strength * (q + 1e-7) ** -0.5 * g * (c - p)),
            step,
            slope,
            square,
            server.center,
            commit.start,
        )
        return moved(server, corrected), worker._replace(memory=square)


def compensated(worker: Worker, commit: Commit, center: Params, strength: float) -> Params:
    """−η (ĝ + κ ĝ ⊙ ĝ ⊙ (c − s)), s what the phase began with."""
    step = displacement(worker, commit)
    return each(
        lambda d, g, c, s: d * (1 + strength * g * (c - s)), step, gradients(step, commit), center, commit.start
    )
