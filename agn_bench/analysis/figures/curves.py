"""Curves along time or another axis, as all figures draw them: the mean over the seeds, and a band around it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from agn_bench.analysis import axes as all_axes
from agn_bench.analysis.figures.lettering import sized
from agn_bench.analysis.metrics import Curve

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TIME = all_axes.TIME.label
_CROSS: dict[str, Any] = {
    "marker": "X",
    "linestyle": "none",
    "markeredgecolor": "white",
    "markeredgewidth": 0.8,
}


@dataclass(frozen=True)
class Curves:
    """A configuration's curves, one for each seed, as they count in averages (metrics.counted_curve)."""

    each: Sequence[Curve]
    diverged: Sequence[float] = ()
    """Where seeds diverged."""
    held: bool = False
    """Whether a value holds until the next one, as between two evaluations; else curves are straight between points."""
    counts_as: str = "chance"
    """What seeds count as from there where they diverged."""


def over_seeds(curves: Sequence[Curve], held: bool = False) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Times, or places on another axis, with the mean and the sample standard deviation over the seeds, while all of
    them last; of a single seed, 0.
    """
    times = np.unique(np.concatenate([curve[0] for curve in curves]))
    times = times[(times >= max(curve[0][0] for curve in curves)) & (times <= min(curve[0][-1] for curve in curves))]
    values = np.array([_held(times, *curve) if held else np.interp(times, *curve) for curve in curves])
    deviation = values.std(axis=0, ddof=1) if len(values) > 1 else np.zeros(len(times))
    return times, values.mean(axis=0), deviation


def _held(times: np.ndarray, points: np.ndarray, values: np.ndarray) -> np.ndarray:
    return values[np.searchsorted(points, times, side="right") - 1]


@np.errstate(invalid="ignore")
def draw(axes: Axes, curves: Curves, colour: Any, style: str, width: float = 1.6) -> tuple[Any, np.ndarray]:
    """Draw the mean over the seeds, a band of one standard deviation to either side, and a cross where a seed diverged.

    Returns:
        The line, for a legend, and the mean.
    """
    times, mean, std = over_seeds(curves.each, curves.held)
    look: dict[str, Any] = {"color": colour, "linewidth": sized(width)}
    if curves.held:
        look |= {"drawstyle": "steps-post", "marker": "o", "markersize": sized(3)}
    elif len(times) == 1:
        look |= {"marker": "o", "markersize": sized(4)}  # of a single point there is no line
    (line,) = axes.plot(times, mean, style, **look)
    step: Any = "post" if curves.held else None
    axes.fill_between(times, mean - std, mean + std, step=step, color=colour, alpha=0.2, linewidth=0)
    ends = np.array([when for when in curves.diverged if times[0] <= when <= times[-1]])
    if len(ends):
        heights = _held(ends, times, mean) if curves.held else np.interp(ends, times, mean)
        axes.plot(ends, heights, color=colour, markersize=sized(9), **_CROSS)
    return line, mean


def notes(drawn: Sequence[Curves]) -> list[str]:
    """What lines, bands, steps and crosses are, in sentences, for under the picture."""
    counts = sorted({len(curves.each) for curves in drawn})
    if counts == [1]:
        says = ["Each line is one run."]
    else:
        seeds = f"{counts[0]} seeds" if len(counts) == 1 else f"{counts[0]} to {counts[-1]} seeds"
        mean = f"A line is the mean of {seeds}, up to the end of the shortest"
        says = [f"{mean}; its band is one standard deviation each way."]
    if any(curves.held for curves in drawn):
        says.append("Marks are evaluations; between two of them the last value is drawn on.")
    diverged = dict.fromkeys(curves.counts_as for curves in drawn if len(curves.diverged))
    if diverged:
        says.append(f"× a seed diverged; it counts as {' or '.join(diverged)} from there on.")
    return says
