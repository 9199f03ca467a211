"""CSV -> tables: accuracy at given times and time to given accuracies, one row per configuration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from agn_bench.analysis import metrics
from agn_bench.analysis.comparison import Configuration, common_horizon_s

Row = dict[str, Any]


def accuracy_table(configurations: Sequence[Configuration], at: Sequence[float], reach: Sequence[float]) -> list[Row]:
    """A row a configuration, mean and sample standard deviation over its seeds.

    Columns: the configuration; `seeds`; `diverged` (how many of them); `test_accuracy` of the final center;
    `sim_time_s`; `accuracy_at_<t>s` for each of `at` (s), blank where a run had ended; `time_to_<a>_s` for each of
    `reach` (fractions), blank unless every seed reached it, and `reached_<a>`, how many did; `area`, the mean accuracy
    over [0, `area_until_s`], the shortest run of the whole table; `area_behind`, how much less that is than the first
    configuration's with the same seed, mean and half of its 95 % interval, blank for the first itself and without a
    seed that both have: the same seed is the same start, data and delays, so that less of it is chance.
    """
    until = common_horizon_s(configurations)
    areas = [_areas(configuration, until) for configuration in configurations]
    return [
        _row(configuration, at, reach, own, [] if own is areas[0] else _paired(areas[0], own)) | {"area_until_s": until}
        for configuration, own in zip(configurations, areas, strict=True)
    ]


def _areas(configuration: Configuration, until_s: float) -> dict[int, float]:
    """By seed."""
    seeds = configuration.runs["seed"].astype(int)
    return {seed: metrics.area(curve, until_s) for seed, curve in zip(seeds, configuration.curves, strict=True)}


def _paired(first: dict[int, float], other: dict[int, float]) -> list[float]:
    """What the other lacks, a number a seed that both have."""
    return [first[seed] - other[seed] for seed in first if seed in other]


def _row(
    configuration: Configuration,
    at: Sequence[float],
    reach: Sequence[float],
    areas: dict[int, float],
    behind: Sequence[float],
) -> Row:
    runs, curves = configuration.runs, configuration.curves
    row: Row = {**configuration.columns, "seeds": len(runs), "diverged": int((runs["status"] == "diverged").sum())}
    row |= _spread("test_accuracy", runs["test_accuracy"])
    row |= _spread("sim_time_s", runs["sim_time_s"])
    for time_s in at:
        row |= _spread(f"accuracy_at_{time_s:g}s", [metrics.value_at(curve, time_s) for curve in curves])
    for target in reach:
        times = [metrics.time_to(curve, target) for curve in curves]
        row |= _spread(f"time_to_{target:g}_s", times)
        row[f"reached_{target:g}"] = int(np.isfinite(times).sum())
    row |= _spread("area", list(areas.values()))
    row["area_behind_mean"] = metrics.mean_and_deviation(behind)[0]
    row["area_behind_half_width_95"] = metrics.half_width(behind)
    return row


def _spread(name: str, values: Any) -> Row:
    """Mean, blank if any value is missing, and standard deviation, blank for a single seed."""
    mean, deviation = metrics.mean_and_deviation(values)
    return {f"{name}_mean": mean, f"{name}_std": deviation}


def readable(configurations: Sequence[Configuration], rows: Sequence[Row]) -> dict[str, list[dict[str, str]]]:
    """The rows for a screen, in narrow tables by title; mean ± standard deviation, a dash where nothing is."""
    sections: dict[str, list[dict[str, str]]] = {"whole runs": [], "accuracy (%) at simulated seconds": []}
    sections["simulated seconds to an accuracy"] = []
    behind: list[dict[str, str]] = []
    for configuration, row in zip(configurations, rows, strict=True):
        whole, at, reach = ({"configuration": configuration.label} for _ in range(3))
        whole["seeds"] = str(row["seeds"]) + (f" ({row['diverged']} diverged)" if row["diverged"] else "")
        for name in (key.removesuffix("_mean") for key in row if key.endswith("_mean")):
            if name.startswith("accuracy_at_"):
                at[name.removeprefix("accuracy_at_").replace("s", " s")] = _cell(row, name, 100, 2)
            elif name.startswith("time_to_"):
                target = name.removeprefix("time_to_").removesuffix("_s")
                reached = f"{row[f'reached_{target}']} of {row['seeds']} seeds"
                reach[f"{100 * float(target):g} %"] = _cell(row, name, 1, 1, reached)
            elif name == "area_behind":
                if not np.isnan(row["area_behind_mean"]):
                    points = _cell(row, name, 100, 2, spread="half_width_95")
                    behind.append({"configuration": configuration.label, "points of area (95 %)": points})
            elif name == "sim_time_s":
                whole["seconds"] = _cell(row, name, 1, 1)
            else:
                whole[f"{name.replace('_', ' ')} (%)"] = _cell(row, name, 100, 2)
        for section, cells in zip(sections.values(), (whole, at, reach), strict=True):
            section.append(cells)
    if behind:
        sections[f"behind {configurations[0].label}, seed by seed"] = behind
    return sections


def _cell(row: Row, name: str, scale: float, digits: int, nothing: str = "–", spread: str = "std") -> str:
    mean, either = row[f"{name}_mean"], row[f"{name}_{spread}"]
    if np.isnan(mean):
        return nothing
    return f"{scale * mean:.{digits}f}" + ("" if np.isnan(either) else f" ± {scale * either:.{digits}f}")
