"""ADAG of the author's thesis (Hermans 2017, On Scalable Deep Learning and Parallelizing Gradient Descent, chapter 4),
alone and with Accumulated Gradient Normalization. In his program the class called ADAG is AGN.
"""

from __future__ import annotations

from typing import ClassVar

from agn_bench.optimizers import Commit, Optimizer, Params, Server, Worker, displacement, each, factor, moved, optimizer


def _damped(step: Params, center: Params, pulled: Params, scale: float) -> Params:
    """A step, each weight's divided by ((c − p)² / γ + 1): the less the more the center has moved there meanwhile."""
    return each(lambda d, c, p: d / ((c - p) ** 2 / scale + 1), step, center, pulled)


@optimizer
class Adag(Optimizer):
    """c ← c + Δ ⊘ ((c − p)² / γ + 1), weight by weight; p is the center that the worker pulled.

    Where the center has not moved since the pull, the commit counts whole.
    """

    family: ClassVar[str] = "corrected by distance"
    source: ClassVar[str] = "Hermans 2017, thesis, Maastricht University"

    scale: float = factor(
        "Square of the distance at which a weight's step is halved, γ.", default=1e-4, search=(1e-6, 1, "log")
    )

    def commit(self, server: Server, worker: Worker, commit: Commit) -> tuple[Server, Worker]:
        step = displacement(worker, commit)
        return moved(server, _damped(step, server.center, commit.start, self.scale)), worker


@optimizer
class AdagAgn(Optimizer):
    """c ← c + (Δ / λ) ⊘ ((c − p)² / γ + 1), weight by weight; p is the center that the worker pulled."""

    family: ClassVar[str] = "normalized"
    source: ClassVar[str] = "Hermans 2017, thesis, Maastricht University"

    scale: float = factor(
        "Square of the distance at which a weight's step is halved, γ.", default=1e-4, search=(1e-6, 1, "log")
    )

    def commit(self, server: Server, worker: Worker, commit: Commit) -> tuple[Server, Worker]:
        step = each(lambda d: d / commit.steps, displacement(worker, commit))
        return moved(server, _damped(step, server.center, commit.start, self.scale)), worker
