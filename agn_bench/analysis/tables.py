"""CSV -> tables: accuracy at given times and time to given accuracies, one row per configuration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from agn_bench.analysis import metrics
from agn_bench.analysis.comparison import Configuration, areas, common_horizon_s, varying
from agn_bench.analysis.values import as_number, worded
from agn_bench.training.columns import is_number

Row = dict[str, Any]

MEASURES = {"train_accuracy": "training accuracy", "test_accuracy": "test accuracy"}
"""The columns of curves.csv.gz that tables and figures show, and what a reader calls them."""
TRIED = 3
"""Values of a number from which on its best may lie at the edge: of two, every one does."""


def accuracy_table(configurations: Sequence[Configuration], at: Sequence[float], reach: Sequence[float]) -> list[Row]:
    """A row a configuration, mean and sample standard deviation over its seeds.

    Columns: the configuration; `seeds`; `diverged` (how many of them); `test_accuracy` of the final center;
    `sim_time_s`; `accuracy_at_<t>s` for each of `at` (s), blank where a run had ended; `time_to_<a>_s` for each of
    `reach` (fractions), blank unless every seed reached it, and `reached_<a>`, how many did; of a measure that is known
    at evaluations only also `time_to_<a>_after_s`, the evaluation before; `area`, the mean accuracy over
    [0, `area_until_s`], the shortest run of the whole table; `area_behind`, how much less that is than the first
    configuration's with the same seed, mean and half of its 95 % interval, blank for the first itself and without a
    seed that both have: the same seed is the same start, data and delays, so that less of it is chance;
    `best_at_edge_of`, the numbers of which it has the least or the largest that was tried (see edges).

    No seed is left out of a mean: one that diverged counts as chance from there, and has reached what it had reached
    before.
    """
    until = common_horizon_s(configurations)
    own = [areas(configuration, until) for configuration in configurations]
    at_edge = {id(edge.configuration): [*edge.columns] for edge in edges(configurations)}
    return [
        _row(configuration, at, reach, found, [] if found is own[0] else paired(own[0], found))
        | {"area_until_s": until, "best_at_edge_of": " ".join(at_edge.get(id(configuration), []))}
        for configuration, found in zip(configurations, own, strict=True)
    ]


@dataclass(frozen=True)
class Edge:
    """The best of what was tried of an optimizer, at the edge of it: a better one may lie beyond."""

    configuration: Configuration
    columns: dict[str, list[float]]
    """The numbers at whose least or largest value it is, and the values that were tried, in order."""

    def __str__(self) -> str:
        said = []
        for column, tried in self.columns.items():
            value = self.configuration.columns[column]
            which = "largest" if as_number(value) == tried[-1] else "least"
            said.append(f"{worded(column, value)} is the {which} of {len(tried)} that were tried")
        return f"{self.configuration.label}: {' and '.join(said)}, so a better one may lie beyond"


def edges(configurations: Sequence[Configuration]) -> list[Edge]:
    """Of each optimizer that was tried with several local steps, or with several values of a number that it, its local
    optimizer or its data split has: its best by the area, if that is at the edge of three values or more.

    Args:
        configurations: the best first.
    """
    differ = varying(configurations)
    tuned = [
        column
        for column in differ
        if (column == "local_steps" or is_number(column))
        and all(one.columns[column] is None or as_number(one.columns[column]) is not None for one in configurations)
    ]
    alike: dict[tuple[Any, ...], list[Configuration]] = {}
    for one in configurations:
        alike.setdefault(tuple(one.columns[column] for column in differ if column not in tuned), []).append(one)
    found = []
    for best, *others in alike.values():
        at_edge = {}
        for column in tuned:
            values = {as_number(one.columns[column]) for one in (best, *others)} - {None}
            tried = sorted(value for value in values if value is not None)
            if len(tried) >= TRIED and as_number(best.columns[column]) in (tried[0], tried[-1]):
                at_edge[column] = tried
        if at_edge:
            found.append(Edge(best, at_edge))
    return found


def paired(first: dict[int, float], other: dict[int, float]) -> list[float]:
    """What the other lacks, a number a seed that both have."""
    return [first[seed] - other[seed] for seed in first if seed in other]


def _row(
    configuration: Configuration,
    at: Sequence[float],
    reach: Sequence[float],
    own: dict[int, float],
    behind: Sequence[float],
) -> Row:
    runs, curves, reading = configuration.runs, configuration.curves, configuration.reading
    row: Row = {**configuration.columns, "seeds": len(runs), "diverged": int((runs["status"] == "diverged").sum())}
    row |= _spread("test_accuracy", runs["test_accuracy"])
    row |= _spread("sim_time_s", runs["sim_time_s"])
    for time_s in at:
        row |= _spread(f"accuracy_at_{time_s:g}s", [reading.value_at(curve, time_s) for curve in curves])
    for target in reach:
        times = [reading.time_to(curve, target) for curve in curves]
        row |= _spread(f"time_to_{target:g}_s", times)
        row[f"reached_{target:g}"] = int(np.isfinite(times).sum())
        if reading.before is not None:
            row |= _spread(f"time_to_{target:g}_after_s", [reading.before(curve, target) for curve in curves])
    row |= _spread("area", list(own.values()))
    row["area_behind_mean"] = metrics.mean_and_deviation(behind)[0]
    row["area_behind_half_width_95"] = metrics.half_width(behind)
    return row


def _spread(name: str, values: Any) -> Row:
    """Mean, blank if any value is missing, and standard deviation, blank for a single seed."""
    mean, deviation = metrics.mean_and_deviation(values)
    return {f"{name}_mean": mean, f"{name}_std": deviation}


def readable(configurations: Sequence[Configuration], rows: Sequence[Row]) -> dict[str, list[dict[str, str]]]:
    """The rows for a reader, in narrow tables by title; mean ± standard deviation, a dash where nothing is, and a star
    behind the best of an optimizer that is at the edge of what was tried.
    """
    measure = MEASURES[configurations[0].accuracy]
    sections: dict[str, list[dict[str, str]]] = {f"whole runs, and area of the {measure}": []}
    sections |= {f"{measure} (%) at simulated seconds": [], f"simulated seconds to a {measure}": []}
    behind: list[dict[str, str]] = []
    for configuration, row in zip(configurations, rows, strict=True):
        name = starred(configuration, row)
        whole, at, reach = ({"configuration": name} for _ in range(3))
        whole["seeds"] = seeds_shown(row)
        for key in (key.removesuffix("_mean") for key in row if key.endswith("_mean")):
            if key.startswith("accuracy_at_"):
                at[key.removeprefix("accuracy_at_").replace("s", " s")] = cell(row, key, 100, 2)
            elif key.endswith("_after_s"):  # shown with the time by which it is reached
                continue
            elif key.startswith("time_to_"):
                target = key.removeprefix("time_to_").removesuffix("_s")
                reach[percent(float(target))] = time_cell(row, target)
            elif key == "area_behind":
                if not np.isnan(row["area_behind_mean"]):
                    points = cell(row, key, 100, 2, spread="half_width_95")
                    behind.append({"configuration": name, "points of area (95 %)": points})
            elif key == "sim_time_s":
                whole["seconds"] = cell(row, key, 1, 1)
            else:
                whole[f"{key.replace('_', ' ')} (%)"] = cell(row, key, 100, 2)
        for section, cells in zip(sections.values(), (whole, at, reach), strict=True):
            section.append(cells)
    if behind:
        sections[f"behind {configurations[0].label}, seed by seed"] = behind
    return sections


def starred(configuration: Configuration, row: Row) -> str:
    """A configuration's label, with a star if it is at the edge of what was tried."""
    return configuration.label + (" *" if row["best_at_edge_of"] else "")


def seeds_shown(row: Row) -> str:
    """How many, and how many of them have diverged."""
    return str(row["seeds"]) + (f" ({row['diverged']} diverged)" if row["diverged"] else "")


def percent(fraction: float) -> str:
    """As in 80 %."""
    return f"{100 * fraction:g} %"


def time_cell(row: Row, target: str) -> str:
    """Seconds to an accuracy, after the evaluation before if that is known; or else how many seeds reached it."""
    text = cell(row, f"time_to_{target}_s", 1, 1, f"{row[f'reached_{target}']} of {row['seeds']} seeds")
    before = row.get(f"time_to_{target}_after_s_mean", np.nan)
    return text if np.isnan(before) else f"{before:.1f} to {text}"


def cell(
    row: Row, name: str, scale: float, digits: int, nothing: str = "–", spread: str = "std", sign: str = "-"
) -> str:
    """Mean ± standard deviation, or another spread.

    Args:
        sign: + if what is positive has a sign too.
    """
    mean, either = row[f"{name}_mean"], row[f"{name}_{spread}"]
    if np.isnan(mean):
        return nothing
    return f"{scale * mean:{sign}.{digits}f}" + ("" if np.isnan(either) else f" ± {scale * either:.{digits}f}")
