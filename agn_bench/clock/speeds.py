"""How slow each worker is: the factor by which its step times are multiplied. A further kind is one dataclass here
and one line in SPEEDS. Its fields are the keys of the profile's TOML table.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from agn_bench.base.quantities import quantity, several
from agn_bench.base.streams import Kind, stream


class Speeds(Protocol):
    """Who is how slow."""

    def slowness(self, seed: int, workers: int) -> np.ndarray:
        """By what each worker's step times are multiplied, (workers,) float64, above 0."""
        ...


@dataclass(frozen=True)
class Equal:
    """All alike."""

    def slowness(self, seed: int, workers: int) -> np.ndarray:
        return np.ones(workers)


@dataclass(frozen=True)
class Ladder:
    """The i-th worker takes i times as long, i = 1 … n (Ringmaster ASGD: Maranjyan et al. 2025, arXiv 2501.16168)."""

    def slowness(self, seed: int, workers: int) -> np.ndarray:
        return np.arange(1.0, workers + 1)


@dataclass(frozen=True)
class RootLadder:
    """The i-th worker takes √i times as long, i = 1 … n (Rennala SGD: Tyurin and Richtárik 2023, arXiv 2305.12387)."""

    def slowness(self, seed: int, workers: int) -> np.ndarray:
        return np.sqrt(np.arange(1.0, workers + 1))


@dataclass(frozen=True)
class GammaSpeeds:
    """A machine's factor is gamma with mean 1 and `cv`; with gamma steps it is the two-level model of DANA (Hakimi
    et al. 2019, arXiv 1907.11612): machines differ by CV 0.6, a machine's tasks by 0.1.
    """

    cv: float = quantity(1e-6, 3)  # beyond it factors come that are 0 in floating point

    def slowness(self, seed: int, workers: int) -> np.ndarray:
        return np.array([stream(seed, Kind.SPEED, worker).gamma(self.cv**-2, self.cv**2) for worker in range(workers)])


@dataclass(frozen=True)
class Tiers:
    """Groups of machines: the factor of each, and the weight of each in the number of workers.

    The first workers are of the first tier. Shares are rounded to whole workers by the largest remainders.
    """

    factors: tuple[float, ...] = several(1e-6, 1e6)
    weights: tuple[float, ...] = several(1e-6, 1e6)

    def slowness(self, seed: int, workers: int) -> np.ndarray:
        exact = workers * np.array(self.weights) / sum(self.weights)
        counts = np.floor(exact).astype(int)
        counts[np.argsort(counts - exact, kind="stable")[: workers - counts.sum()]] += 1
        return np.repeat(np.array(self.factors), counts)


@dataclass(frozen=True)
class Stragglers:
    """A `fraction` of the workers, the last ones and at least one, takes `factor` times as long as the others."""

    fraction: float = quantity(1e-6, 1)
    factor: float = quantity(1e-6, 1e6)

    def slowness(self, seed: int, workers: int) -> np.ndarray:
        slow = max(1, math.floor(self.fraction * workers + 0.5))
        return np.where(np.arange(workers) < workers - slow, 1.0, self.factor)


SPEEDS: dict[str, type] = {
    "equal": Equal,
    "ladder": Ladder,
    "root-ladder": RootLadder,
    "gamma": GammaSpeeds,
    "tiers": Tiers,
    "stragglers": Stragglers,
}
