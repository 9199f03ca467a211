"""How well measured times bind the numbers of a profile that was fitted to them.

The *interval* of a number comes from a bootstrap over the measured runs (Efron 1979): as many runs are drawn from them
with replacement, the numbers are fitted to those, and so again and again. The interval is from the 2.5th to the 97.5th
percentile of what comes out. It says what other runs of the same kind could have given. It does not say whether the
cluster is of the profile's kind.

A number is *bound* by the times if both hold:

- Its interval's ends differ by less than a factor of 2.
- The mean error rises by a tenth of itself or more where the number is held at half and where it is held at twice its
  value, and the others are fitted again.

Otherwise other values explain the times nearly as well. The *correlation* of two numbers over the resamples says
whether one makes up for the other.

To simulate for each of some hundred refits would be dear. So all go by one interpolation of the simulated seconds. It
is made from simulations at points around the fit, and again with more of them where the first refits have ended. What
is interpolated is the logarithm of the seconds over those without any waiting and variation, for which there is a
formula. For the paper's runs the interpolated seconds are 0.5 % off where refits have ended. Three of these refits were
made again by simulation alone, from where they had ended: step and server came out the same within 1.1 %, network and
variation within 7.5 %. Errors that are reported are simulated.

Refits look everywhere within a number's `reach` of the fit. The fit itself goes downhill from a guess. So they may find
less error than it has, and then an interval need not contain the fitted number.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import combinations

import numpy as np

from agn_bench.clock import Profile
from agn_bench.clock.speeds import slowness_of
from agn_bench.studies.fitted_numbers import is_admissible, numbers_of, values_of, with_values
from agn_bench.studies.measured import Measured

BOUND_WITHIN = 2.0
"""The ends of the interval of a number that is bound differ by less than this factor."""
RISES_TO = 1.1
"""With a number that is bound held at half or at twice its value, the error is at least so many times the fit's."""
CORRELATED = 0.7
"""Where two numbers have a correlation from here on, either way, each tells about half of the other's variance."""
BEATEN_BY = 1.02
"""The fit's error is more than so many times the least one, if there is a clearly better one."""
_PERCENTILES = (2.5, 97.5)
_DESIGN = 7
"""2 to this are the points of the first interpolation."""
_REFINEMENTS, _NEAR, _CHECKS = 2, 28, 12
"""Points where refits have ended that are simulated: for the second interpolation, and to see how good that is."""
_POINTS, _GENERATIONS, _GOOD, _SPREAD = 1024, 8, 100, 0.5
"""The numbers of a refit: points of a generation, generations, how many count as good, and how far around them the next
ones are, as a part of their deviation.
"""
_AROUND, _NEARER, _SHRINK = 16, 12, 0.75
"""At last each refit looks at so many points around its own best, so many times, and each time this much nearer."""
_SMOOTHING = 1e-2
_AT_ONCE = 1 << 22
"""Interpolated numbers that are held in memory."""
_STREAM = 20_171
"""What the resamples and the points are drawn from: the same in every fit."""


@dataclass(frozen=True)
class Confidence:
    """What the resamples say; arrays of shape (numbers,) in the order of numbers_of(profile)."""

    names: tuple[str, ...]
    what: tuple[str, ...]
    """The numbers in words."""
    values: np.ndarray
    low: np.ndarray
    high: np.ndarray
    error: float
    """The fit's mean absolute relative error."""
    error_at_half: np.ndarray
    """With the number at half its value and the others fitted again; NaN where the profile allows no such value."""
    error_at_twice: np.ndarray
    correlation: np.ndarray
    """The correlation of the logarithms over the resamples, (numbers, numbers); NaN for one that is always the same."""
    least: np.ndarray
    """The numbers of least error that the refits found for all runs together."""
    least_error: float
    """Their error."""
    interpolation_error: float
    """Mean absolute relative error of the interpolated seconds, simulated where refits have ended."""

    @property
    def bound(self) -> np.ndarray:
        """Whether the times bind each number, (numbers,) bool."""
        least = np.fmin(self.error_at_half, self.error_at_twice)
        return (self.high < BOUND_WITHIN * self.low) & ~(least < RISES_TO * self.error)

    @property
    def together(self) -> list[tuple[str, str, float]]:
        """Pairs of numbers that the times tell apart badly, and their correlation."""
        pairs = combinations(range(len(self.names)), 2)
        found = [(self.names[i], self.names[j], float(self.correlation[i, j])) for i, j in pairs]
        return [pair for pair in found if abs(pair[2]) >= CORRELATED]

    @property
    def beaten(self) -> bool:
        """Whether refits found numbers with clearly less error than the fit has."""
        return self.least_error < self.error / BEATEN_BY

    def rows(self) -> list[dict[str, object]]:
        """The rows of numbers.csv."""
        bound = self.bound
        return [
            {
                "number": name,
                "value": float(self.values[i]),
                "low": float(self.low[i]),
                "high": float(self.high[i]),
                "bound": bool(bound[i]),
                "error_at_half": float(self.error_at_half[i]),
                "error_at_twice": float(self.error_at_twice[i]),
                **{f"correlation_{other}": float(self.correlation[i, j]) for j, other in enumerate(self.names)},
            }
            for i, name in enumerate(self.names)
        ]


@dataclass(frozen=True)
class _Times:
    """What is fitted to what: logarithms of numbers to measured seconds, by simulation."""

    profile: Profile
    measured: Measured
    simulate: Callable[[Profile], np.ndarray]
    """Simulated seconds of every measured run, (cells,)."""
    phases: np.ndarray
    """The phases of each worker in every run, (cells,)."""
    message_bytes: int

    def simulated(self, points: np.ndarray) -> Iterator[np.ndarray]:
        """Simulated seconds at points, (cells,) each."""
        return (self.simulate(with_values(self.profile, np.exp(point))) for point in points)

    def errors(self, seconds: np.ndarray) -> np.ndarray:
        """Absolute relative errors, (…, cells)."""
        return np.abs(seconds / self.measured.seconds - 1)

    def unhindered(self, points: np.ndarray) -> np.ndarray:
        """Seconds if times did not vary and nobody waited: the slowest worker's, or the server's, (…, cells)."""
        names = [number.name for number in numbers_of(self.profile)]
        step, server, network = (
            np.exp(points[..., [names.index(name)]]) for name in ("step.mean", "server.mean", "network.mean")
        )
        up, down, service = (self.profile.transfer_s(part, self.message_bytes) for part in ("up", "down", "server"))
        workers = self.measured.workers
        slowest = np.array([slowness_of(self.profile.speeds, 0, n).max() for n in workers.tolist()])
        cycle = slowest * self.measured.local_steps * step + 2 * network + up + down + server + service
        return self.phases * np.maximum(cycle, workers * (server + service) / self.profile.channels)


class _Interpolation:
    """Simulated seconds between points where they are known."""

    def __init__(self, times: _Times, points: np.ndarray, seconds: np.ndarray) -> None:
        """
        Args:
            points: logarithms of numbers, (points, numbers).
            seconds: simulated there, (points, cells).
        """
        from scipy.interpolate import RBFInterpolator

        self._times = times
        waiting = np.log(seconds / times.unhindered(points))
        self._waiting = RBFInterpolator(points, waiting, kernel="linear", degree=1, smoothing=_SMOOTHING)

    def seconds(self, points: np.ndarray) -> np.ndarray:
        """At points of shape (…, numbers): (…, cells)."""
        waiting = self._waiting(points.reshape(-1, points.shape[-1])).reshape(*points.shape[:-1], -1)
        return self._times.unhindered(points) * np.exp(waiting)


@dataclass(frozen=True)
class _Box:
    """Where refits may look: logarithms of numbers, (numbers,)."""

    fit: np.ndarray
    low: np.ndarray
    high: np.ndarray

    def design(self) -> np.ndarray:
        """Points that fill it evenly (Sobol 1967), and the fit, (points, numbers)."""
        from scipy.stats import qmc

        even = qmc.Sobol(len(self.fit), scramble=False).random_base2(_DESIGN)
        return np.vstack([self.fit, self.low + (self.high - self.low) * even])

    def refit(
        self,
        error: Callable[[np.ndarray], np.ndarray],
        starts: np.ndarray,
        held: tuple[int, float] | None = None,
    ) -> np.ndarray:
        """The numbers of least error, (refits, numbers): by a search like the cross-entropy method (Rubinstein 1999).

        All refits look at the same points, at first everywhere. The next points are drawn around those that were best,
        with their covariance, and so follow valleys in which several numbers make up for one another. In the end each
        refit looks around its own best.

        Args:
            error: of points, (…, numbers): (…, refits).
            starts: points that are looked at too, (starts, numbers).
            held: which number is not to change, and what it is.
        """
        generator = np.random.default_rng(_STREAM)

        def inside(points: np.ndarray) -> np.ndarray:
            points = points.clip(self.low, self.high)
            if held is not None:
                points[..., held[0]] = held[1]
            return points

        points = inside(self.low + (self.high - self.low) * generator.random((2 * _POINTS, len(self.fit))))
        best = inside(starts)
        for _ in range(_GENERATIONS):
            points = np.vstack([best, points])
            errors = error(points)
            best = points[errors.argmin(axis=0)]
            # The best point of one refit alone would say nothing of the valley.
            good = points[np.argpartition(errors, max(1, _GOOD // len(best)), axis=0)[: max(1, _GOOD // len(best))]]
            good = good.reshape(-1, len(self.fit))
            spread = np.linalg.cholesky(np.cov(good, rowvar=False) + 1e-6 * np.eye(len(self.fit)))
            around = good[generator.integers(len(good), size=_POINTS)]
            points = inside(around + _SPREAD * generator.normal(size=around.shape) @ spread.T)
        own = np.arange(len(best))
        for number in range(_NEARER):
            offsets = generator.normal(size=(_AROUND, len(self.fit))) @ spread.T * _SPREAD * _SHRINK**number
            around = inside(best[:, None] + np.vstack([0 * self.fit, offsets]))
            best = around[own, error(around)[own, :, own].argmin(axis=1)]
        return best


def confidence(
    fitted: Profile,
    measured: Measured,
    simulate: Callable[[Profile], np.ndarray],
    gradient_steps: int,
    message_bytes: int,
    resamples: int,
    on_step: Callable[[str], None] = lambda text: None,
) -> Confidence:
    """What the measured times say of each fitted number.

    Args:
        simulate: a profile's simulated seconds of every measured run, (cells,).
        gradient_steps: of all workers, in each of the runs.
        resamples: how many refits the intervals are of.
        on_step: told what has been done.
    """
    phases = gradient_steps // measured.workers // measured.local_steps
    times = _Times(fitted, measured, simulate, phases, message_bytes)
    values, cells = values_of(fitted), len(measured.seconds)
    box = _box(fitted, values)
    generator = np.random.default_rng(_STREAM)
    weights = generator.multinomial(cells, np.full(cells, 1 / cells), size=resamples) / cells

    def simulated(points: np.ndarray, what: str) -> np.ndarray:
        seconds = []
        for number, row in enumerate(times.simulated(points)):
            seconds.append(row)
            on_step(f"{what}: {number + 1} of {len(points)} profiles")
        return np.array(seconds)

    def refits(interpolation: _Interpolation) -> tuple[np.ndarray, np.ndarray]:
        """The numbers of the resamples, and those of all runs: with none held, and with each at half and at twice."""

        def error(weights: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
            return partial(_weighted, times, interpolation, weights)

        alike, fit = error(np.full((1, cells), 1 / cells)), box.fit[None]
        held = [(number, box.fit[number] + way * math.log(2)) for number in range(len(values)) for way in (-1, 1)]
        there = np.vstack([box.refit(alike, fit, one) for one in held])
        whole = np.vstack([box.refit(alike, np.vstack([fit, there])), there])
        return box.refit(error(weights), np.vstack([fit, whole])), whole

    points = box.design()
    seconds = simulated(points, "around the fit")
    for number in range(_REFINEMENTS):
        ends, whole = refits(_Interpolation(times, points, seconds))
        whole = whole[[is_admissible(with_values(fitted, np.exp(point))) for point in whole]]
        near = np.vstack([ends[number * _NEAR : (number + 1) * _NEAR], whole])
        points, seconds = np.vstack([points, near]), np.vstack([seconds, simulated(near, "where refits ended")])
    interpolation = _Interpolation(times, points, seconds)
    ends, whole = refits(interpolation)
    checks = ends[-_CHECKS:]
    off = np.abs(interpolation.seconds(checks) / simulated(checks, "of other refits") - 1).mean()

    possible = [is_admissible(with_values(fitted, np.exp(point))) for point in whole]
    at = np.full(len(whole), np.nan)
    at[possible] = times.errors(simulated(whole[possible], "at half and at twice")).mean(axis=1)
    low, high = np.exp(np.percentile(ends, _PERCENTILES, axis=0))
    with np.errstate(invalid="ignore", divide="ignore"):
        correlation = np.corrcoef(ends, rowvar=False)
    return Confidence(
        names=tuple(number.name for number in numbers_of(fitted)),
        what=tuple(number.what for number in numbers_of(fitted)),
        values=values,
        low=low,
        high=high,
        error=float(times.errors(seconds[0]).mean()),
        error_at_half=at[1::2],
        error_at_twice=at[2::2],
        correlation=np.atleast_2d(correlation),
        least=np.exp(whole[0]),
        least_error=float(at[0]),
        interpolation_error=float(off),
    )


def _weighted(times: _Times, interpolation: _Interpolation, weights: np.ndarray, points: np.ndarray) -> np.ndarray:
    """The mean error of each refit at points of shape (…, numbers): (…, refits).

    Args:
        weights: how much each measured run counts, (refits, cells).
    """
    flat = points.reshape(-1, points.shape[-1])
    pieces = np.array_split(flat, -(-len(flat) * weights.shape[1] // _AT_ONCE))
    errors = np.concatenate([times.errors(interpolation.seconds(piece)) @ weights.T for piece in pieces])
    return errors.reshape(*points.shape[:-1], -1)


def _box(profile: Profile, values: np.ndarray) -> _Box:
    """As far as the numbers' reaches each way, and no further than the profile allows."""
    reaches = [number.reach for number in numbers_of(profile)]

    def reach(number: int, factor: float) -> float:
        """The largest part of the way to so many times its value, on a logarithmic scale, that is admissible."""

        def admissible(part: float) -> bool:
            changed = values.copy()
            changed[number] *= factor**part
            return is_admissible(with_values(profile, changed))

        if admissible(1.0):
            return 1.0
        low, high = 0.0, 1.0
        for _ in range(20):
            middle = (low + high) / 2
            low, high = (middle, high) if admissible(middle) else (low, middle)
        return low

    down = np.array([reach(number, 1 / factor) for number, factor in enumerate(reaches)])
    up = np.array([reach(number, factor) for number, factor in enumerate(reaches)])
    fit = np.log(values)
    return _Box(fit, fit - down * np.log(reaches), fit + up * np.log(reaches))
