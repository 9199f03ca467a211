"""CSV -> tables: a measure at given times and the time to given values, one row per configuration."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from agn_bench.analysis import metrics
from agn_bench.analysis.comparison import Configuration, areas, common_horizon_s, varying
from agn_bench.analysis.values import as_number, worded
from agn_bench.training.columns import is_number

Row = dict[str, Any]

TRIED = 3
"""Values of a number from which on its best may lie at the edge: of two, every one does."""


def measure_table(
    configurations: Sequence[Configuration],
    at: Sequence[float],
    reach: Sequence[float],
    known_edges: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> list[Row]:
    """A row a configuration, mean and sample standard deviation over its seeds.

    Columns: the configuration; `seeds`; `diverged` (how many of them); the measure of the final center, as
    `test_accuracy`; `sim_time_s`; the measure at each time of `at` (s), as `accuracy_at_<t>s`, blank where a run had
    ended; `time_to_<a>_s` for each value of `reach`, blank unless every seed reached it, and `reached_<a>`, how many
    did; of a measure that is known at evaluations only also `time_to_<a>_after_s`, the evaluation before; `area`, the
    mean of the measure over [0, `area_until_s`], the shortest run of the whole table; `area_behind`, how much worse
    that is than the first configuration's with the same seed, mean and half of its 95 % interval, blank for the first
    itself and without a seed that both have: the same seed is the same start, data and delays, so that less of it is
    chance; `best_at_edge_of`, the numbers of which it has the least or the largest that was tried (see edges), or, by
    `configuration`, those of `known_edges`, of which it was chosen among others elsewhere.

    No seed is left out of a mean: one that diverged counts as its problem says from there, and has reached what it had
    reached before.
    """
    until = common_horizon_s(configurations)
    own = [areas(configuration, until) for configuration in configurations]
    at_edge = {str(edge.configuration.columns["configuration"]): [*edge.columns] for edge in edges(configurations)}
    at_edge |= {name: [*numbers] for name, numbers in known_edges.items()}
    return [
        _row(configuration, at, reach, found, [] if found is own[0] else _worse(configuration, own[0], found))
        | {
            "area_until_s": until,
            "best_at_edge_of": " ".join(at_edge.get(str(configuration.columns["configuration"]), [])),
        }
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
    """The best, by the area, of each optimizer that was tried with several local steps, or with several values of a
    number that it, its local optimizer or its data split has, if that is at the edge of three values or more.

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


def _worse(configuration: Configuration, first: dict[int, float], other: dict[int, float]) -> list[float]:
    """By how much the other is worse, a number a seed that both have."""
    return paired(first, other) if configuration.measure.higher_is_better else paired(other, first)


def _row(
    configuration: Configuration,
    at: Sequence[float],
    reach: Sequence[float],
    own: dict[int, float],
    behind: Sequence[float],
) -> Row:
    runs, curves, reading = configuration.runs, configuration.curves, configuration.reading
    center, measure = configuration.center, configuration.measure
    row: Row = {**configuration.columns, "seeds": len(runs), "diverged": int((runs["status"] == "diverged").sum())}
    row |= {} if center is None else _spread(center.column, runs[center.column])
    row |= _spread("sim_time_s", runs["sim_time_s"])
    for time_s in at:
        row |= _spread(f"{measure.alone}_at_{time_s:g}s", [reading.value_at(curve, time_s) for curve in curves])
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


def readable(
    configurations: Sequence[Configuration], rows: Sequence[Row], at: Sequence[float], reach: Sequence[float]
) -> dict[str, list[dict[str, str]]]:
    """The rows for a reader, in narrow tables by title; mean ± standard deviation, a dash where nothing is, and a star
    behind the best of an optimizer that is at the edge of what was tried.
    """
    measure = configurations[0].measure
    found: dict[str, list[dict[str, str]]] = {
        f"whole runs, and area of the {measure.name}": [],
        f"{measure.headed(measure.name)} at simulated seconds": [],
        f"simulated seconds to values of the {measure.name}": [],
        f"behind {configurations[0].label}, seed by seed": [],
    }
    whole, values, times, behind = found.values()
    for configuration, row in zip(configurations, rows, strict=True):
        name = {"configuration": starred(configuration, row)}
        whole.append(name | {"seeds": seeds_shown(row)} | final_center(configuration, row))
        whole[-1] |= {
            "seconds": cell(row, "sim_time_s", seconds),
            measure.headed("area"): cell(row, "area", measure.value),
        }
        shown = {f"{time_s:g} s": cell(row, f"{measure.alone}_at_{time_s:g}s", measure.value) for time_s in at}
        values += [name | shown] if at else []
        times += [name | {measure.level(target): time_cell(row, f"{target:g}") for target in reach}] if reach else []
        if not np.isnan(row["area_behind_mean"]):
            points = cell(row, "area_behind", measure.value, spread="half_width_95")
            behind.append(name | {f"{measure.difference} (95 %)": points})
    return {title: section for title, section in found.items() if section}


def final_center(configuration: Configuration, row: Row, short: bool = False) -> dict[str, str]:
    """What the final center came to, with its heading; nothing if the runs have no measure of it in common.

    Args:
        short: whether the heading is, as in `test (%)`.
    """
    center = configuration.center
    if center is None:
        return {}
    return {center.headed(center.short if short else center.name): cell(row, center.column, center.value)}


def starred(configuration: Configuration, row: Row) -> str:
    """A configuration's label, with a star if it is at the edge of what was tried."""
    return configuration.label + (" *" if row["best_at_edge_of"] else "")


def seeds_shown(row: Row) -> str:
    """How many, and how many of them have diverged."""
    return str(row["seeds"]) + (f" ({row['diverged']} diverged)" if row["diverged"] else "")


def seconds(value: float, sign: str = "-") -> str:
    """A time as it is shown, without its unit."""
    return f"{value:{sign}.1f}"


def time_cell(row: Row, target: str) -> str:
    """Seconds to a value, after the evaluation before if that is known; or else how many seeds reached it."""
    text = cell(row, f"time_to_{target}_s", seconds, f"{row[f'reached_{target}']} of {row['seeds']} seeds")
    before = row.get(f"time_to_{target}_after_s_mean", np.nan)
    return text if np.isnan(before) else f"{seconds(before)} to {text}"


def cell(
    row: Row, name: str, shown: Callable[[float, str], str], nothing: str = "–", spread: str = "std", sign: str = "-"
) -> str:
    """Mean ± standard deviation, or another spread.

    Args:
        shown: a value and `sign` as text.
        sign: + if what is positive has a sign too.
    """
    mean, either = row[f"{name}_mean"], row[f"{name}_{spread}"]
    if np.isnan(mean):
        return nothing
    return shown(mean, sign) + ("" if np.isnan(either) else f" ± {shown(either, '-')}")
