"""Schedules of the workers' learning rate over a run, from Optax: by what the rate is multiplied at each local step."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from agn_bench.base.named import Named
from agn_bench.optimizers import optimizer, quantity

if TYPE_CHECKING:
    import numpy as np
    import optax


class Schedule(ABC):
    """By what the learning rate is multiplied, as a function of how much of the run is over."""

    @abstractmethod
    def schedule(self) -> optax.Schedule:
        """A schedule of Optax in which the run lasts from 0 to 1: 0.5 stands for the step in its middle."""

    def factors(self, progress: np.ndarray) -> np.ndarray:
        """The factors of steps, float32, of the shape of `progress`, how much of the run is over where each begins."""
        import numpy as np

        factors = np.asarray(self.schedule()(np.asarray(progress, np.float32)), np.float32)
        return np.broadcast_to(factors, np.shape(progress))


def _warm_up(share: float, then: optax.Schedule) -> optax.Schedule:
    """From 0 to 1 over a share of the run, and then what follows, from its own beginning on."""
    import optax

    return optax.join_schedules([optax.linear_schedule(0.0, 1.0, share), then], [share]) if share else then


@optimizer
class Constant(Schedule):
    """the same rate throughout, but for a warm-up"""

    warmup: float = quantity(0, 1, default=0.0, help="Share of the run over which the rate rises from 0.")

    def schedule(self) -> optax.Schedule:
        import optax

        return _warm_up(self.warmup, optax.constant_schedule(1.0))


@optimizer
class Cosine(Schedule):
    """down along half a cosine (Loshchilov, Hutter 2017, arXiv 1608.03983)"""

    warmup: float = quantity(0, 0.999, default=0.0, help="Share of the run over which the rate rises from 0.")
    final: float = quantity(0, 1, default=0.0, help="What the rate ends at, as a share of the whole rate.")

    def schedule(self) -> optax.Schedule:
        import optax

        return _warm_up(self.warmup, optax.cosine_decay_schedule(1.0, 1 - self.warmup, self.final))


@optimizer
class Step(Schedule):
    """down by a factor at some moments"""

    at: tuple[float, ...] = quantity(0, 1, several=True, default=(0.5, 0.75), help="When, as shares of the run.")
    factor: float = quantity(0, 1, default=0.1, help="By what the rate is multiplied each time.")
    warmup: float = quantity(0, 1, default=0.0, help="Share of the run over which the rate rises from 0.")

    def schedule(self) -> optax.Schedule:
        import optax

        steps = optax.piecewise_constant_schedule(1.0, {at - self.warmup: self.factor for at in sorted(self.at)})
        return _warm_up(self.warmup, steps)


SCHEDULES: Named[Schedule] = Named(
    "schedule",
    Schedule,  # type: ignore[type-abstract]
    "agn_bench.schedules",
    {
        "constant": "agn_bench.optimizers.schedules:Constant",
        "cosine": "agn_bench.optimizers.schedules:Cosine",
        "step": "agn_bench.optimizers.schedules:Step",
    },
    "@optimizer",
)
