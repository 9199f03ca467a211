"""Whether AGN is stable on a timeline, by the growth rate of a stiff direction, and the least λ with which it is.

With plain SGD an exchange of AGN moves the center by at most 1/λ of the way in any direction, and by 1/λ in a stiff
one, where the local phase converges to the minimum. Such a direction, alone: x ← x − s/λ at each exchange, s being the
x that the worker had pulled.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import lru_cache
from itertools import repeat
from typing import NamedTuple

import numpy as np

from agn_bench.clock.orders import order_of_exchanges
from agn_bench.clock.profile import Profile

MARGIN = 0.1
"""How far below 0 the growth rate of a λ is that the rule takes (see bound)."""
_SHORT_MARGIN, _MAY_GROW = 0.25, 5.0
ROUNDS, SEEDS = 200, 3
"""Exchanges a worker, on average, of the timelines that the rule looks at, and how many it looks at."""
_MOST_EXCHANGES = 20_000
MOST_WORKERS = 400
"""With more, the rule takes what is stable at constant staleness, and simulates nothing."""
_MOST_STEPS_A_WORKER = 16
"""The rule tries no λ that is more than so many times n."""

_DISCARDED = 0.2
"""The part of a timeline that is left out at its beginning: the direction that grows fastest has yet to prevail."""
_BITS = 300
"""Binary digits that x may grow or shrink by before it is scaled: far inside the range of floats."""
_LEAST, _MOST = 2.0**-_BITS, 2.0**_BITS
_FEWEST_WINDOWS = 5


def growth_rate(worker: Iterable[int], workers: int, local_steps: float | np.ndarray) -> float:
    """Increase of log max|x| per n exchanges: above 0, AGN is unstable in stiff directions.

    The slope of a least-squares line through the logarithm of the largest |x| of every n exchanges.

    Args:
        worker: who exchanges, in the order applied.
        local_steps: λ, or that of each exchange's phase.

    Returns:
        The rate; NaN if the timeline is shorter than 5 n exchanges; −inf if x is 0 to the end.
    """
    return slope(np.array(_log_peaks(worker, workers, local_steps)))


def slope(peaks: np.ndarray) -> float:
    """The growth rate by the logarithms of the largest |x| of every n exchanges, (windows,).

    Where x is 0 a logarithm is NaN, or −inf; if it is −inf at the end, so is the rate.
    """
    kept = np.arange(math.floor(_DISCARDED * len(peaks)), len(peaks))
    if len(peaks) < _FEWEST_WINDOWS:
        return math.nan
    if np.isneginf(peaks[-1]):
        return -math.inf
    kept = kept[np.isfinite(peaks[kept])]  # x may pass through 0 and come back from what a worker holds
    return float(np.polyfit(kept, peaks[kept], 1)[0]) if len(kept) > 1 else math.nan


def _log_peaks(worker: Iterable[int], workers: int, local_steps: float | np.ndarray) -> list[float]:
    """log max|x| of every n exchanges, from x = 1 at the center and at all workers; NaN where x is 0 throughout, −inf
    where all is 0 and will be.

    The center is x 2^exponent, and what a worker holds has an exponent of its own: x may leave the range of floats for
    long before a worker that was away brings back what it had pulled.
    """
    # Plain floats: a loop over them is faster than one over NumPy scalars, and compiling would cost more than it saves.
    x, exponent = 1.0, 0
    pulled = [(1.0, 0)] * workers
    peaks, peak = [], 0.0
    indices = worker.tolist() if isinstance(worker, np.ndarray) else worker
    steps = local_steps.tolist() if isinstance(local_steps, np.ndarray) else repeat(local_steps)
    for exchange, (index, its_steps) in enumerate(zip(indices, steps, strict=False), start=1):
        value, its_exponent = pulled[index]
        if its_exponent != exponent:
            if value and its_exponent > exponent + _BITS:  # it dwarfs x
                x, peak = math.ldexp(x, exponent - its_exponent), math.ldexp(peak, exponent - its_exponent)
                exponent = its_exponent
            value = math.ldexp(value, its_exponent - exponent)
        x -= value / its_steps
        height = x if x >= 0 else -x
        if height > peak:
            peak = height
        if exchange % workers == 0:
            if peak:
                peaks.append(math.log(peak) + exponent * math.log(2))
            else:
                others = any(held for other, (held, _) in enumerate(pulled) if other != index)
                peaks.append(math.nan if others else -math.inf)
            peak = 0.0
        if x and not _LEAST < height < _MOST:
            shift = math.frexp(x)[1]
            x, peak, exponent = math.ldexp(x, -shift), math.ldexp(peak, -shift), exponent + shift
        pulled[index] = (x, exponent)
    return peaks


def stable_at_constant_staleness(workers: int) -> int:
    """The smallest λ that is stable at constant staleness τ = n − 1: 1/λ < 2 sin(π / (2 (2τ + 1)))."""
    return math.floor(1 / (2 * math.sin(math.pi / (2 * (2 * workers - 1))))) + 1


class Stable(NamedTuple):
    """A λ and AGN's growth rate with it."""

    local_steps: int
    growth_rate: float


def bound(rounds: float = math.inf) -> float:
    """What the growth rate of a λ has to be under, by the rule: −0.1; of runs of under 33 rounds −0.25 + 5 / rounds.

    A short run may end before what grows has become large, and every exchange counts in it.

    Args:
        rounds: exchanges a worker, on average, in the whole run.
    """
    return max(-MARGIN, _MAY_GROW / rounds - _SHORT_MARGIN) if rounds > 0 else math.inf


def least_local_steps(
    growth: Callable[[int], float], workers: int, rounds: Callable[[int], float] = lambda steps: math.inf
) -> Stable:
    """The rule: the smallest λ whose growth rate is under the bound.

    It is found by halving, as if the rate only fell with λ, which but for noise it does up to there. If no λ up to 16 n
    has such a rate, that which has the lowest of those tried.

    Args:
        growth: the growth rate by λ.
        rounds: that a run makes, by λ.
    """
    tried: dict[int, float] = {}

    def stable(local_steps: int) -> bool:
        tried[local_steps] = growth(local_steps)
        return tried[local_steps] < bound(rounds(local_steps))

    low, high = 0, stable_at_constant_staleness(workers)
    while not stable(high):
        low, high = high, math.ceil(1.5 * high)
        if high > _MOST_STEPS_A_WORKER * workers:
            best = min(tried, key=lambda steps: (tried[steps], steps))
            return Stable(best, tried[best])
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if stable(middle) else (middle, high)
    return Stable(high, tried[high])


def rounds_in(profile: Profile, workers: int, local_steps: int, size: int, seconds: float) -> float:
    """Exchanges a worker, on average, in so many simulated seconds: as fast as workers are, and as the server is.

    Args:
        size: bytes of a message.
    """
    there = np.maximum(0, seconds - profile.start_interval * np.arange(workers))
    made = float((profile.rates(0, workers, local_steps, size) * there).sum())
    service = profile.mean_s("server", size)
    most = seconds * profile.channels / service if service else math.inf
    return min(made, most) / workers


@lru_cache(1024)
def stable_local_steps(profile: Profile, workers: int, size: int) -> int:
    """The λ that the rule takes for so many workers of a profile.

    Args:
        size: bytes of a message.
    """
    if workers > MOST_WORKERS:
        return stable_at_constant_staleness(workers)
    return least_local_steps(lambda steps: mean_growth_rate(profile, workers, steps, size), workers).local_steps


def stable_local_steps_of(worker: np.ndarray, workers: int) -> int:
    """The λ that the rule takes for a recorded timeline.

    Args:
        worker: who exchanges, in the order applied.
    """
    if math.isnan(growth_rate(worker, workers, 1)):  # it is too short to tell
        return stable_at_constant_staleness(workers)
    return least_local_steps(lambda steps: growth_rate(worker, workers, steps), workers).local_steps


def exchanges_looked_at(workers: int) -> int:
    """The number of exchanges of each timeline that the rule looks at."""
    return min(ROUNDS * workers, _MOST_EXCHANGES)


def mean_growth_rate(profile: Profile, workers: int, local_steps: int, size: int) -> float:
    """AGN's growth rate, the mean over SEEDS timelines of ROUNDS n exchanges; of many workers over shorter ones.

    Args:
        size: bytes of a message.
    """
    exchanges = exchanges_looked_at(workers)
    orders = (order_of_exchanges(profile, seed, workers, local_steps, size, exchanges) for seed in range(SEEDS))
    return float(np.mean([growth_rate(order, workers, local_steps) for order in orders]))
