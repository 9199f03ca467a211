"""The curves of the page: means over seeds with their deviations, along every axis (see figures/curves.py and axes.py).

A line has at most so many points. Those that are left out lie between others: of each stretch of the axis the points
with the least and the largest mean stay, as they are, so that no dip is lost and no value is made up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from agn_bench.analysis import axes, metrics
from agn_bench.analysis.axes import Axis
from agn_bench.analysis.comparison import Configuration, Runs
from agn_bench.analysis.figures.curves import over_seeds
from agn_bench.analysis.measures import Measured
from agn_bench.analysis.report.cells import Json, numbers, scale
from agn_bench.base.inputs import BadInput

MOST_POINTS = 200
"""The most points of a line."""
MOST_IN_ALL = 170_000
"""Points of all lines of a page, which then has fewer for each: so many are 3 MB."""
FEWEST_POINTS = 40
SHOWN = ("time", "exchanges", "steps")
"""The axes that the page has, where a run can be followed along them."""


def points_of_a_line(lines: int) -> int:
    """How many points each of so many lines has at most."""
    return max(FEWEST_POINTS, min(MOST_POINTS, MOST_IN_ALL // max(1, lines)))


def kept(mean: np.ndarray, most: int) -> np.ndarray:
    """The places of the points that stay: all, or the ends and of each stretch the least and the largest mean."""
    if len(mean) <= most:
        return np.arange(len(mean))
    edges = np.linspace(1, len(mean) - 1, (most - 2) // 2 + 1).astype(int)
    places = {0, len(mean) - 1}
    for first, last in pairwise(edges.tolist()):
        own = mean[first:last]
        places |= {first + int(own.argmin()), first + int(own.argmax())}
    return np.array(sorted(places))


Courses = Mapping[str, Mapping[str, axes.Course]]
"""By the name of an axis and a run's name where it is; an axis that a run does not have lacks it."""


def courses(runs: Runs) -> Courses:
    """Where the runs are along the axes that the page has."""
    return {name: dict(_along(axes.AXES[name], runs)) for name in SHOWN}


def _along(axis: Axis, runs: Runs) -> Iterator[tuple[str, axes.Course]]:
    for run in runs.summary.to_dict("records"):
        own = runs.points[run["run_id"]]
        if axis is not axes.TIME and "gradient_steps" not in own:
            continue
        try:
            examples = runs.examples(run) if run["status"] == "diverged" else None  # for the end that it did not reach
            yield run["run_id"], axes.course(axis, run, own, examples)
        except BadInput:  # it has no such axis
            continue


def of_all(found: Sequence[Configuration], along: Courses, most: int) -> list[Json]:
    """The lines of all configurations along each axis; null where one has none."""
    return [[_on(axes.AXES[name], one, along[name], most) for one in found] for name in SHOWN]


def _on(axis: Axis, one: Configuration, along: Mapping[str, axes.Course], most: int) -> Json:
    """A configuration's line along an axis; None if some of its runs cannot be followed along it."""
    there = [along.get(str(run)) for run in one.runs["run_id"]]
    own = [course for course in there if course is not None]
    if len(own) < len(there) or any(not len(curve[0]) for curve in one.curves):
        return None
    curves = [course.curve(curve) for course, curve in zip(own, one.curves, strict=True)]
    return line(replace(one, axis=axis, courses=own, curves=curves), most)


def line(one: Configuration, most: int) -> Json:
    """A configuration's line along its axis: `x`, mean `m` and deviation `s` at the points that stay, and the places
    `c` of the crosses where seeds diverged. A fraction is in per cent.

    Args:
        most: points.
    """
    measure, by = one.measure, scale(one.measure)
    x, mean, deviation = over_seeds(one.curves, measure.is_of_center)
    if not len(x):
        return None
    places = kept(mean, most)
    found: dict[str, Json] = {"x": numbers(x[places], 6), "m": numbers(by * mean[places])}
    if deviation.any():
        found["s"] = numbers(by * deviation[places], 3)
    crosses = [(end, _height(end, x, mean, measure)) for end in one.divergences if x[0] <= end <= x[-1]]
    if crosses:
        found["c"] = [numbers([end, by * height]) for end, height in crosses]
    return found


def _height(place: float, x: np.ndarray, mean: np.ndarray, measure: Measured) -> float:
    """The height of a line at a place."""
    return metrics.held_at((x, mean), place) if measure.is_of_center else metrics.value_at((x, mean), place)
