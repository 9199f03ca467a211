"""The distributions of times, in seconds.

A distribution is a frozen dataclass that declares its numbers as fields, the keys of the profile's TOML table. One
that is shipped is a class here and a line in DISTRIBUTIONS; anyone's own is in a file anywhere, named as in
`distribution = "my.py:Mine"`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import NamedTuple

import numpy as np

from agn_bench.base.named import Named
from agn_bench.base.quantities import positive, ratio, seconds
from agn_bench.base.user_code import UserCodeError, called, source_of


class Moments(NamedTuple):
    """Mean (s) and variance (s²)."""

    mean: float
    variance: float


Sampler = Callable[[int], np.ndarray]
"""A worker's times in order, in seconds: each call gives the next so many, (count,) float64, 0 or more."""


class Distribution(ABC):
    """A distribution of times, in seconds."""

    @abstractmethod
    def moments(self) -> Moments:
        """Exact mean and variance."""

    @abstractmethod
    def draw(self, generator: np.random.Generator, count: int) -> np.ndarray:
        """`count` times in seconds, float64, 0 or more; the first draws do not depend on `count`."""

    def sampler(self, seed: int, worker: int, generator: np.random.Generator) -> Sampler:
        """The times of one worker, in order. By default they are independent draws.

        The times that it gives must not depend on how many of them a call asks for.

        Args:
            seed: the run's.
            generator: the worker's own, for this kind of time.
        """
        return partial(self.draw, generator)


@dataclass(frozen=True)
class Constant(Distribution):
    """Always `mean` seconds."""

    mean: float = seconds("Seconds.")

    def moments(self) -> Moments:
        return Moments(self.mean, 0.0)

    def draw(self, generator: np.random.Generator, count: int) -> np.ndarray:
        return np.full(count, self.mean)


@dataclass(frozen=True)
class Normal(Distribution):
    """Normal with `mean` and `deviation`, given that it is not below `floor`, which raises its mean a little."""

    mean: float = positive("Mean of the normal, in seconds.")
    deviation: float = positive("Standard deviation of the normal, in seconds.")
    floor: float = seconds("No time is shorter, in seconds.", default=0.0)

    def moments(self) -> Moments:
        from scipy import special

        low = (self.floor - self.mean) / self.deviation
        hazard = math.exp(-(low**2) / 2) / math.sqrt(2 * math.pi) / float(special.ndtr(-low))
        return Moments(self.mean + self.deviation * hazard, self.deviation**2 * (1 + low * hazard - hazard * hazard))

    def draw(self, generator: np.random.Generator, count: int) -> np.ndarray:
        from scipy import special

        # By the inverse of the survival function: one uniform a draw, and never infinite, as 1 - u is not 0.
        survival = (1 - generator.random(count)) * special.ndtr((self.mean - self.floor) / self.deviation)
        return np.maximum(self.mean - self.deviation * special.ndtri(survival), self.floor)


@dataclass(frozen=True)
class Gamma(Distribution):
    """Gamma with the given mean and coefficient of variation: shape 1 / cv², scale mean cv²."""

    mean: float = positive("Seconds, on average.")
    cv: float = ratio("Standard deviation over mean.")

    @property
    def shape(self) -> float:
        return self.cv**-2

    @property
    def scale(self) -> float:
        return self.mean * self.cv**2

    def moments(self) -> Moments:
        return Moments(self.mean, (self.mean * self.cv) ** 2)

    def draw(self, generator: np.random.Generator, count: int) -> np.ndarray:
        return generator.gamma(self.shape, self.scale, size=count)


@dataclass(frozen=True)
class Lognormal(Distribution):
    """exp of a normal, with the given mean and coefficient of variation of the time itself."""

    mean: float = positive("Seconds, on average.")
    cv: float = ratio("Standard deviation over mean.")

    def moments(self) -> Moments:
        return Moments(self.mean, (self.mean * self.cv) ** 2)

    def draw(self, generator: np.random.Generator, count: int) -> np.ndarray:
        variance = math.log1p(self.cv**2)
        return generator.lognormal(math.log(self.mean) - variance / 2, math.sqrt(variance), size=count)


@dataclass(frozen=True)
class Exponential(Distribution):
    """Exponential: memoryless, standard deviation = mean."""

    mean: float = positive("Seconds, on average.")

    def moments(self) -> Moments:
        return Moments(self.mean, self.mean**2)

    def draw(self, generator: np.random.Generator, count: int) -> np.ndarray:
        return generator.exponential(self.mean, size=count)


@dataclass(frozen=True)
class ShiftedExponential(Distribution):
    """`floor` and an exponential on top of it, `mean` seconds altogether (Lee et al. 2018, arXiv 1512.02673)."""

    mean: float = positive("Seconds, on average.")
    floor: float = seconds("No time is shorter, in seconds.")

    def moments(self) -> Moments:
        return Moments(self.mean, (self.mean - self.floor) ** 2)

    def draw(self, generator: np.random.Generator, count: int) -> np.ndarray:
        return self.floor + generator.exponential(self.mean - self.floor, size=count)


@dataclass(frozen=True)
class Pareto(Distribution):
    """Pareto from `floor` up, P(T > t) = (floor / t)^shape; what would take longer than `cap` takes `cap`."""

    floor: float = positive("No time is shorter, in seconds.")
    shape: float = ratio("The smaller, the longer the tail.")
    cap: float = positive("No time is longer, in seconds.")

    def moments(self) -> Moments:
        # E[min(T, cap)^k] = floor^k + ∫ from floor to cap of k t^(k-1) P(T > t) dt
        mean = self.floor * (1 + self._integral(1))
        return Moments(mean, max(self.floor**2 * (1 + 2 * self._integral(2)) - mean**2, 0.0))

    def _integral(self, power: int) -> float:
        """∫ t^(power - 1 - shape) dt from 1 to cap / floor."""
        exponent, log_ratio = power - self.shape, math.log(self.cap / self.floor)
        return math.expm1(exponent * log_ratio) / exponent if exponent else log_ratio

    def draw(self, generator: np.random.Generator, count: int) -> np.ndarray:
        with np.errstate(over="ignore"):  # infinite, and then the cap
            return np.minimum(self.floor * np.exp(generator.standard_exponential(count) / self.shape), self.cap)


@dataclass(frozen=True)
class Empirical(Distribution):
    """Measured times, drawn with replacement: a column of a CSV file, named by the file's stem and content hash."""

    file: str
    column: str
    values: np.ndarray = field(repr=False, compare=False)

    def moments(self) -> Moments:
        return Moments(float(self.values.mean()), float(self.values.var()))

    def draw(self, generator: np.random.Generator, count: int) -> np.ndarray:
        return self.values[(generator.random(count) * len(self.values)).astype(np.int64)]


DISTRIBUTIONS: Named[Distribution] = Named(
    "distribution",
    Distribution,  # type: ignore[type-abstract]
    "agn_bench.distributions",
    {
        "constant": Constant,
        "normal": Normal,
        "gamma": Gamma,
        "lognormal": Lognormal,
        "exponential": Exponential,
        "shifted-exponential": ShiftedExponential,
        "pareto": Pareto,
        "empirical": Empirical,
        "recorded": "agn_bench.clock.recorded:Recorded",
    },
    "@dataclass(frozen=True)",
)


def law_of_sum(distribution: Distribution, terms: int) -> Distribution | None:
    """The distribution of the sum of so many independent draws, where it is one of these; else None."""
    if type(distribution) not in (Constant, Gamma, Exponential):  # nor one that somebody derived from them
        return None
    return _law_of_sum(distribution, terms)


@lru_cache(maxsize=1024)
def _law_of_sum(distribution: Distribution, terms: int) -> Distribution | None:
    """Asked for once for each worker."""
    match distribution:
        case Constant(mean):
            return Constant(terms * mean)
        case Gamma(mean, cv):
            return Gamma(terms * mean, cv / math.sqrt(terms))
        case Exponential(mean):
            return Gamma(terms * mean, 1 / math.sqrt(terms))
    return None


def drawn(distribution: Distribution, generator: np.random.Generator, count: int) -> np.ndarray:
    """`count` draws.

    Raises:
        UserCodeError: a user's distribution fails, or gives something else than so many times.
    """
    kind = type(distribution)
    if source_of(kind) is None:
        return distribution.draw(generator, count)
    return _checked(kind, f"{kind.__name__}.draw(generator, {count})", partial(distribution.draw, generator), count)


def sampler_of(distribution: Distribution, seed: int, worker: int, generator: np.random.Generator) -> Sampler:
    """The times of one worker, in order (see Distribution.sampler).

    Raises:
        UserCodeError: a user's distribution fails, or gives no function; the function raises it if it does not give
            so many times.
    """
    kind = type(distribution)
    if kind.sampler is Distribution.sampler:
        return partial(drawn, distribution, generator)
    if source_of(kind) is None:
        return distribution.sampler(seed, worker, generator)
    call = f"{kind.__name__}.sampler({seed}, {worker}, generator)"
    with called(kind, call):
        sampler = distribution.sampler(seed, worker, generator)
    if not callable(sampler):
        raise UserCodeError(f"{call} gave {type(sampler).__name__}, not a function that gives the next times")
    return lambda count: _checked(kind, f"{call}({count})", sampler, count)


def _checked(kind: type, call: str, sampler: Sampler, count: int) -> np.ndarray:
    """What a user's function gives for so many times."""
    with called(kind, call):
        times = np.asarray(sampler(count), np.float64)
    if times.shape != (count,) or not (np.isfinite(times).all() and (times >= 0).all()):
        raise UserCodeError(f"{call} gave {described(times)}, not {count} finite numbers of seconds, 0 or more")
    return times


def described(array: np.ndarray) -> str:
    """The shape of an array and, if it has any, its least and largest number, for complaints."""
    bounds = f" from {array.min():g} to {array.max():g}" if array.size else ""
    return f"{array.dtype}{[*array.shape]}{bounds}"


def draw_sums(
    distribution: Distribution,
    generator: np.random.Generator,
    count: int,
    terms: int,
    sampler: Sampler | None = None,
) -> np.ndarray:
    """`count` sums of `terms` times each, (count,).

    Drawn at once where the sum's law is known: one gamma instead of λ was measured to make a timeline of the paper's
    cluster half as dear.

    Args:
        sampler: gives the times in order; None: independent draws.
    """
    sampler = sampler or partial(drawn, distribution, generator)
    law = law_of_sum(distribution, terms)
    if law is not None:
        return drawn(law, generator, count)
    sums = np.empty(count)
    rows = max(1, _DRAWS_AT_ONCE // terms)  # memory, however many steps a phase has
    for first in range(0, count, rows):
        last = min(first + rows, count)
        sums[first:last] = sampler((last - first) * terms).reshape(-1, terms).sum(axis=1)
    return sums


def draw_sums_of(
    distribution: Distribution, generator: np.random.Generator, terms: np.ndarray, sampler: Sampler | None = None
) -> np.ndarray:
    """Sums of so many times each, (terms,): where all are of as many, those of draw_sums, to the bit.

    A sum's law is drawn from with its own numbers, so what comes before does not depend on what comes after.

    Args:
        sampler: gives the times in order; None: independent draws.
    """
    sampler = sampler or partial(drawn, distribution, generator)
    if type(distribution) is Constant:
        return terms * distribution.mean
    laws = {count: law_of_sum(distribution, count) for count in np.unique(terms).tolist()}
    if all(type(law) is Gamma for law in laws.values()):
        numbers = {count: (law.shape, law.scale) for count, law in laws.items() if isinstance(law, Gamma)}
        shape, scale = np.array([numbers[count] for count in terms.tolist()]).T
        return generator.gamma(shape, scale)
    sums = np.empty(len(terms))
    ends = np.cumsum(terms, dtype=np.int64)
    first = 0
    while first < len(terms):  # so many whole sums at once, and at least one
        before = int(ends[first - 1]) if first else 0
        last = max(first + 1, int(np.searchsorted(ends, before + _DRAWS_AT_ONCE, side="right")))
        times = sampler(int(ends[last - 1]) - before)
        starts = ends[first:last] - terms[first:last] - before
        for count in np.unique(terms[first:last]):  # row by row, as draw_sums adds them up: no bit is another
            those = np.flatnonzero(terms[first:last] == count)
            sums[first + those] = times[starts[those][:, None] + np.arange(count)].sum(axis=1)
        first = last
    return sums


_DRAWS_AT_ONCE = 1 << 22
