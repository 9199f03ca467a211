"""CSV -> tables: accuracy at given times and time to given accuracies, a row a configuration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from agn_bench import metrics
from agn_bench.comparison import Configuration, common_horizon_s

Row = dict[str, Any]


def accuracy_table(configurations: Sequence[Configuration], at: Sequence[float], reach: Sequence[float]) -> list[Row]:
    """A row a configuration, mean and sample standard deviation over its seeds.

    Columns: the configuration; `seeds`; `diverged` (how many of them); `test_accuracy` of the final center;
    `sim_time_s`; `accuracy_at_<t>s` for each of `at` (s), blank where a run had ended; `time_to_<a>_s` for each of
    `reach` (fractions), blank unless every seed reached it, and `reached_<a>`, how many did; `area`, the mean accuracy
    over [0, `area_until_s`], the shortest run of the whole table.
    """
    until = common_horizon_s(configurations)
    return [_row(configuration, at, reach, until) for configuration in configurations]


def _row(configuration: Configuration, at: Sequence[float], reach: Sequence[float], until: float) -> Row:
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
    row |= _spread("area", [metrics.area(curve, until) for curve in curves])
    row["area_until_s"] = until
    return row


def _spread(name: str, values: Any) -> Row:
    """Mean, blank if any value is missing, and standard deviation, blank for a single seed."""
    mean, deviation = metrics.mean_and_deviation(values)
    return {f"{name}_mean": mean, f"{name}_std": deviation}


def readable(configurations: Sequence[Configuration], rows: Sequence[Row]) -> dict[str, list[dict[str, str]]]:
    """The rows for a screen, in three narrow tables by title; mean ± standard deviation, a dash where nothing is."""
    sections: dict[str, list[dict[str, str]]] = {"whole runs": [], "accuracy (%) at simulated seconds": []}
    sections["simulated seconds to an accuracy"] = []
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
            elif name == "sim_time_s":
                whole["seconds"] = _cell(row, name, 1, 1)
            else:
                whole[f"{name.replace('_', ' ')} (%)"] = _cell(row, name, 100, 2)
        for section, cells in zip(sections.values(), (whole, at, reach), strict=True):
            section.append(cells)
    return sections


def _cell(row: Row, name: str, scale: float, digits: int, nothing: str = "–") -> str:
    mean, std = row[f"{name}_mean"], row[f"{name}_std"]
    if np.isnan(mean):
        return nothing
    return f"{scale * mean:.{digits}f}" + ("" if np.isnan(std) else f" ± {scale * std:.{digits}f}")
