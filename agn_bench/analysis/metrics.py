"""Measures against time: the curves of a run, and what is read off them. Pure functions on arrays.

A curve is a pair (times in simulated seconds, values). What it is between its points depends on what is measured:

- What the workers' mini-batches say is dense. It has a point every fifth of a window, and a window shares four fifths
  of its time with the next. So it is taken as linear from one point to the next (LINES).
- What the center says is sparse. It is known where the center was evaluated, some 20 times in a run, and a straight
  line between two evaluations is nothing that was measured. So the last evaluation holds until the next one (STEPS).

A run that diverged counts as what its problem says, from there to its horizon; of an accuracy that is chance
(1 / classes), the worst that it can do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from agn_bench.analysis.measures import Measured
from agn_bench.training.columns import POINTS_PER_WINDOW

Curve = tuple[np.ndarray, np.ndarray]


def counted_curve(
    time_s: np.ndarray, values: np.ndarray, *, horizon_s: float, diverged_s: float | None, counts_as: float
) -> Curve:
    """The curve as it counts in averages and areas: blanks dropped, `counts_as` from a divergence to the horizon."""
    there = ~np.isnan(values)
    times, values = time_s[there], values[there]
    if diverged_s is None:
        return times, values
    before = times < diverged_s
    return (
        np.concatenate([times[before], [diverged_s, horizon_s]]),
        np.concatenate([values[before], [counts_as, counts_as]]),
    )


def carried(values: np.ndarray) -> np.ndarray:
    """A training curve's values, where a window without mini-batches counts as the one before it.

    What lies before the first window that has some, and after the last, stays blank.
    """
    there = np.flatnonzero(~np.isnan(values))
    if not len(there):
        return values
    inside = np.arange(there[0], there[-1] + 1)
    filled = values.copy()
    filled[inside] = values[there[np.searchsorted(there, inside, side="right") - 1]]
    return filled


def steady(values: np.ndarray, gradient_steps: np.ndarray) -> np.ndarray:
    """A training curve's values, NaN where a window has fewer than half as many mini-batches as the median one.

    So it is at the end of a run, when few workers have something left to do: an average over a few mini-batches says
    little.

    Args:
        gradient_steps: done by each point's time.
    """
    ahead = np.concatenate([gradient_steps[POINTS_PER_WINDOW:], np.full(POINTS_PER_WINDOW, gradient_steps[-1])])
    count = ahead[: len(gradient_steps)] - gradient_steps
    if not count.any():
        return values
    return np.where(count >= max(1, np.median(count[count > 0]) / 2), values, np.nan)


def largest_drop(curve: Curve, since_s: float = 0.0) -> float:
    """How far the curve falls, at most, below what it had reached before, from `since_s` on."""
    values = curve[1][curve[0] >= since_s]
    return float((np.maximum.accumulate(values) - values).max(initial=0.0))


def share_below(curve: Curve, level: float) -> float:
    """The fraction of the curve's time that it spends under `level`, between its points taken as linear."""
    times, values = curve
    fine = np.linspace(times[0], times[-1], 10_001)
    return float((np.interp(fine, times, values) < level).mean())


def last_part(curve: Curve, fraction: float) -> float:
    """Mean of the curve over the last `fraction` of its time."""
    times, values = curve
    fine = np.linspace(times[-1] - fraction * (times[-1] - times[0]), times[-1], 1001)
    return float(np.interp(fine, times, values).mean())


@np.errstate(invalid="ignore")
def mean_and_deviation(values: Sequence[float]) -> tuple[float, float]:
    """The mean of several runs, NaN if there is none, and the sample standard deviation, NaN for less than two, or if
    one is infinite.
    """
    nothing = float("nan")
    mean = float(np.mean(values)) if len(values) else nothing
    return mean, float(np.std(values, ddof=1)) if len(values) > 1 else nothing


CONFIDENCE = 0.95


@np.errstate(invalid="ignore")
def half_width(values: Sequence[float]) -> float:
    """Half of the 95 % interval of the mean (Student's t); NaN for fewer than two values, or if one is infinite."""
    if len(values) < 2:
        return float("nan")
    from scipy.special import stdtrit  # what scipy.stats.t.ppf gives, which takes a second to import

    return float(stdtrit(len(values) - 1, (1 + CONFIDENCE) / 2) * np.std(values, ddof=1) / np.sqrt(len(values)))


def value_at(curve: Curve, time_s: float) -> float:
    """A dense curve's value at a time, on the line between its neighbours; NaN outside of the curve."""
    times, values = curve
    return float(np.interp(time_s, times, values, left=np.nan, right=np.nan)) if len(times) else float("nan")


def time_to(curve: Curve, target: float) -> float:
    """When a dense curve first rises to `target`, in s, on the line from the point before; NaN if it never does."""
    times, values = curve
    reached = np.flatnonzero(values >= target)
    if len(reached) == 0:
        return float("nan")
    after = reached[0]
    if after == 0:
        return float(times[0])
    before = after - 1
    fraction = (target - values[before]) / (values[after] - values[before])
    return float(times[before] + fraction * (times[after] - times[before]))


def area(curve: Curve, until_s: float) -> float:
    """Mean of a dense curve over [0, until_s]: its integral divided by the time, so between 0 and 1 for an accuracy.

    It is linear between its points. Before its first and after its last point the curve is taken as level.
    """
    times, values = curve
    inside = (times > 0) & (times < until_s)
    grid = np.concatenate([[0.0], times[inside], [until_s]])
    return float(np.trapezoid(np.interp(grid, times, values), grid)) / until_s


def held_at(curve: Curve, time_s: float) -> float:
    """What the last evaluation at or before a time gave; NaN before the first one and after the last."""
    times, values = curve
    if not len(times) or not times[0] <= time_s <= times[-1]:
        return float("nan")
    return float(values[np.searchsorted(times, time_s, side="right") - 1])


def held_time_to(curve: Curve, target: float) -> float:
    """The time of the first evaluation that is `target` or more, in s; NaN if none is.

    The center may have reached it at any time since the evaluation before (see evaluation_before).
    """
    times, values = curve
    reached = np.flatnonzero(values >= target)
    return float(times[reached[0]]) if len(reached) else float("nan")


def evaluation_before(curve: Curve, target: float) -> float:
    """The time of the last evaluation before `target` is first reached, in s; NaN if it never is.

    So it is reached after this time, and not after held_time_to. The first evaluation has itself before it.
    """
    times, values = curve
    reached = np.flatnonzero(values >= target)
    return float(times[max(0, reached[0] - 1)]) if len(reached) else float("nan")


def held_area(curve: Curve, until_s: float) -> float:
    """Mean over [0, until_s] of a sparse curve: a step function, in which each evaluation holds until the next one.

    Before the first evaluation it counts as what that gave. Runs evaluate their initial center at 0 s, so they have no
    such time.
    """
    times, values = curve
    edges = np.clip(np.append(times, np.inf), 0, until_s)
    edges[0] = 0
    return float(np.sum(np.diff(edges) * values)) / until_s


@dataclass(frozen=True)
class Reading:
    """How a measure is read off its curve, of which more is better."""

    value_at: Callable[[Curve, float], float]
    time_to: Callable[[Curve, float], float]
    area: Callable[[Curve, float], float]
    before: Callable[[Curve, float], float] | None = None
    """The beginning of the time in which a value is first reached, where its end is not the moment itself."""

    @property
    def falling(self) -> Reading:
        """The same of a measure of which less is better: it reaches a value where it falls to it."""
        return replace(
            self, time_to=_mirrored(self.time_to), before=None if self.before is None else _mirrored(self.before)
        )


def _mirrored(rising: Callable[[Curve, float], float]) -> Callable[[Curve, float], float]:
    return lambda curve, target: rising((curve[0], -curve[1]), -target)


LINES = Reading(value_at, time_to, area)
STEPS = Reading(held_at, held_time_to, held_area, evaluation_before)


def reading(measure: Measured) -> Reading:
    """How it is read: that of the center in steps, that of the workers' mini-batches in lines."""
    rising = STEPS if measure.is_of_center else LINES
    return rising if measure.higher_is_better else rising.falling


def common_end_s(ends_s: Sequence[float]) -> float:
    """Until when areas are compared: the end of the shortest run of all that are compared, in s."""
    return float(min(ends_s))


def temporal_efficiency(a: Curve, b: Curve) -> float:
    """E(a, b) = ∫ a dt / ∫ b dt up to the end of the shorter curve; above 1, a wins (the paper's measure)."""
    until = float(min(a[0][-1], b[0][-1]))
    return area(a, until) / area(b, until)
