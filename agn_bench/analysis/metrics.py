"""Accuracy against time: the curves of a run, and what is read off them. Pure functions on arrays.

A curve is a pair (times in simulated seconds, values), piecewise linear between its points. A run that diverged counts
as chance (1 / classes) from there to its horizon.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from agn_bench.training.columns import POINTS_PER_WINDOW

Curve = tuple[np.ndarray, np.ndarray]


def counted_curve(
    time_s: np.ndarray, values: np.ndarray, *, horizon_s: float, diverged_s: float | None, chance: float
) -> Curve:
    """The curve as it counts in averages and areas: blanks dropped, chance from a divergence to the horizon."""
    there = ~np.isnan(values)
    times, values = time_s[there], values[there]
    if diverged_s is None:
        return times, values
    before = times < diverged_s
    return (
        np.concatenate([times[before], [diverged_s, horizon_s]]),
        np.concatenate([values[before], [chance, chance]]),
    )


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


def mean_and_deviation(values: Sequence[float]) -> tuple[float, float]:
    """Of several runs: the mean, NaN if there is none, and the sample standard deviation, NaN for less than two."""
    nothing = float("nan")
    mean = float(np.mean(values)) if len(values) else nothing
    return mean, float(np.std(values, ddof=1)) if len(values) > 1 else nothing


CONFIDENCE = 0.95


def half_width(values: Sequence[float]) -> float:
    """Half of the 95 % interval of the mean (Student's t); NaN for fewer than two values."""
    if len(values) < 2:
        return float("nan")
    from scipy.stats import t

    return float(t.ppf((1 + CONFIDENCE) / 2, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values)))


def value_at(curve: Curve, time_s: float) -> float:
    """The curve's value at a time; NaN outside of it."""
    times, values = curve
    return float(np.interp(time_s, times, values, left=np.nan, right=np.nan)) if len(times) else float("nan")


def time_to(curve: Curve, target: float) -> float:
    """When the curve first reaches `target`, in s; NaN if it never does."""
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
    """Mean of the curve over [0, until_s]: its integral divided by the time, so between 0 and 1 for an accuracy.

    Before its first and after its last point the curve is taken as level.
    """
    times, values = curve
    inside = (times > 0) & (times < until_s)
    grid = np.concatenate([[0.0], times[inside], [until_s]])
    return float(np.trapezoid(np.interp(grid, times, values), grid)) / until_s


def temporal_efficiency(a: Curve, b: Curve) -> float:
    """E(a, b) = ∫ a dt / ∫ b dt up to the end of the shorter curve; above 1, a wins (the paper's measure)."""
    until = float(min(a[0][-1], b[0][-1]))
    return area(a, until) / area(b, until)
