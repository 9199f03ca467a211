"""How slow each worker is: the factor by which its step times are multiplied.

A kind of speeds is a frozen dataclass that declares its numbers as fields: the keys of the profile's TOML table. A
shipped one is a class here and a line in SPEEDS; anyone's own is a file anywhere, named as `speeds = "my.py:Mine"`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from agn_bench.base.named import Named
from agn_bench.base.quantities import quantity
from agn_bench.base.streams import Kind, stream
from agn_bench.base.user_code import UserCodeError, called, source_of
from agn_bench.clock.distributions import described


class Speeds(ABC):
    """Who is how slow."""

    @abstractmethod
    def slowness(self, seed: int, workers: int) -> np.ndarray:
        """By what each worker's step times are multiplied, (workers,) float64, above 0."""


@dataclass(frozen=True)
class Equal(Speeds):
    """All alike."""

    def slowness(self, seed: int, workers: int) -> np.ndarray:
        return np.ones(workers)


@dataclass(frozen=True)
class Ladder(Speeds):
    """The i-th worker takes i times as long, i = 1 … n (Ringmaster ASGD: Maranjyan et al. 2025, arXiv 2501.16168)."""

    def slowness(self, seed: int, workers: int) -> np.ndarray:
        return np.arange(1.0, workers + 1)


@dataclass(frozen=True)
class RootLadder(Speeds):
    """The i-th worker takes √i times as long, i = 1 … n (Rennala SGD: Tyurin and Richtárik 2023, arXiv 2305.12387)."""

    def slowness(self, seed: int, workers: int) -> np.ndarray:
        return np.sqrt(np.arange(1.0, workers + 1))


@dataclass(frozen=True)
class GammaSpeeds(Speeds):
    """A machine's factor is gamma with mean 1 and `cv`; with gamma steps it is the two-level model of DANA (Hakimi
    et al. 2019, arXiv 1907.11612): machines differ by CV 0.6, a machine's tasks by 0.1.
    """

    # Beyond 3 factors come that are 0 in floating point.
    cv: float = quantity(1e-6, 3, help="Standard deviation of the factors.")

    def slowness(self, seed: int, workers: int) -> np.ndarray:
        return np.array([stream(seed, Kind.SPEED, worker).gamma(self.cv**-2, self.cv**2) for worker in range(workers)])


@dataclass(frozen=True)
class Tiers(Speeds):
    """Groups of machines: the factor of each, and the weight of each in the number of workers.

    The first workers are of the first tier. Shares are rounded to whole workers by the largest remainders.
    """

    factors: tuple[float, ...] = quantity(1e-6, 1e6, several=True, help="How slow each tier is.")
    weights: tuple[float, ...] = quantity(
        1e-6, 1e6, several=True, help="How many workers each tier has, in proportion."
    )

    def slowness(self, seed: int, workers: int) -> np.ndarray:
        exact = workers * np.array(self.weights) / sum(self.weights)
        counts = np.floor(exact).astype(int)
        counts[np.argsort(counts - exact, kind="stable")[: workers - counts.sum()]] += 1
        return np.repeat(np.array(self.factors), counts)


@dataclass(frozen=True)
class Stragglers(Speeds):
    """A `fraction` of the workers, the last ones and at least one, takes `factor` times as long as the others."""

    fraction: float = quantity(1e-6, 1, help="Share of the workers that are slow.")
    factor: float = quantity(1e-6, 1e6, help="How many times as long they take.")

    def slowness(self, seed: int, workers: int) -> np.ndarray:
        slow = max(1, math.floor(self.fraction * workers + 0.5))
        return np.where(np.arange(workers) < workers - slow, 1.0, self.factor)


def slowness_of(speeds: Speeds, seed: int, workers: int) -> np.ndarray:
    """By what each worker's step times are multiplied, (workers,).

    Raises:
        UserCodeError: a user's class fails, or gives something else than so many factors above 0.
    """
    kind = type(speeds)
    if source_of(kind) is None:
        return speeds.slowness(seed, workers)
    call = f"{kind.__name__}.slowness({seed}, {workers})"
    with called(kind, call):
        factors = np.asarray(speeds.slowness(seed, workers), np.float64)
    if factors.shape != (workers,) or not (np.isfinite(factors).all() and (factors > 0).all()):
        raise UserCodeError(f"{call} gave {described(factors)}, not {workers} finite factors above 0")
    return factors


SPEEDS: Named[Speeds] = Named(
    "speeds",
    Speeds,  # type: ignore[type-abstract]
    "agn_bench.speeds",
    {
        "equal": Equal,
        "ladder": Ladder,
        "root-ladder": RootLadder,
        "gamma": GammaSpeeds,
        "tiers": Tiers,
        "stragglers": Stragglers,
    },
    "@dataclass(frozen=True)",
)
