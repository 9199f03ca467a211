"""The numbers by which the paper's claims are judged (see claims.py), under the names that claims.toml has for them.

A measure gives a number for each seed of the runs that it needs, none where runs are missing. Measures of the grid are
functions of a table (see grid.py), so that the published grid is measured by the same function as ours.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from agn_bench.analysis import metrics
from agn_bench.paper.curves import drop, end, gain_in_the_second_half, share_under_90_percent
from agn_bench.paper.grid import by_workers, wins
from agn_bench.paper.runs import Results, Run

if TYPE_CHECKING:
    import pandas as pd

LAYERS = 4
"""Layers of weights in the paper's network, for its rule of thumb λ ≈ (n + layers) / 2."""

# --- measures of a grid's table; NaN where cells are missing ---


def _cells_with_higher_training_accuracy(table: pd.DataFrame) -> float:
    both = table.dropna(subset=["agn_train", "easgd_train"])
    return float((both["agn_train"] > both["easgd_train"]).mean()) if len(both) == len(table) else float("nan")


def _cells_won(table: pd.DataFrame) -> float:
    known = table["efficiency"].dropna()
    return wins(known) / len(known) if len(known) == len(table) else float("nan")


def _between(name: str, more: int, fewer: int) -> Callable[[pd.DataFrame], float]:
    """What a column of by_workers has with `more` workers, minus what it has with `fewer`."""

    def measure(table: pd.DataFrame) -> float:
        found = by_workers(table)[name]
        return float(found.get(more, np.nan) - found.get(fewer, np.nan))

    return measure


def _time_20_over_10(table: pd.DataFrame) -> float:
    times = table[table["local_steps"] >= 20].pivot(index="local_steps", columns="workers", values="agn_time_s")
    ratio = times[20] / times[10]
    return float(ratio.mean(skipna=False))


def _time_40_over_20_l10(table: pd.DataFrame) -> float:
    times = table[table["local_steps"] == 10].set_index("workers")["agn_time_s"]
    return float(times.get(40, np.nan) / times.get(20, np.nan))


GRID_MEASURES: dict[str, Callable[[pd.DataFrame], float]] = {
    "cells_with_higher_training_accuracy": _cells_with_higher_training_accuracy,
    "cells_won": _cells_won,
    "agn_best_training_20_minus_10": _between("agn_train_best", 20, 10),
    "agn_best_training_40_minus_20": _between("agn_train_best", 40, 20),
    "agn_best_test_40_minus_10": _between("agn_test_best", 40, 10),
    "easgd_mean_training_40_minus_10": _between("easgd_train_mean", 40, 10),
    "easgd_mean_test_40_minus_10": _between("easgd_test_mean", 40, 10),
    "time_20_over_10": _time_20_over_10,
    "time_40_over_20_l10": _time_40_over_20_l10,
}


# --- measures of runs' curves ---

Measured = Callable[[Results], list[float]]


def _of_run(name: str, cell: tuple[str, int, int], measure: Callable[[Run], float]) -> Measured:
    """A number of every run of one cell of an experiment."""
    return lambda results: [measure(run) for run in results.cell(name, *cell)]


def _over_cells(
    name: str, cells: Sequence[tuple[str, int, int]], measure: Callable[[Run], float], over: Callable[..., float]
) -> Measured:
    """The least, or largest, of several cells for every seed; nothing for a seed that lacks one of them."""

    def measured(results: Results) -> list[float]:
        found: dict[int, list[float]] = {}
        for cell in cells:
            for run in results.cell(name, *cell):
                found.setdefault(run.seed, []).append(measure(run))
        return [over(values) for values in found.values() if len(values) == len(cells)]

    return measured


def _areas(results: Results, seed: int) -> dict[int, dict[int, float]]:
    """Areas under AGN's training curves of a seed, by n and λ; of one n up to the end of the shortest."""
    curves: dict[int, dict[int, metrics.Curve]] = {}
    for _, runs in results.cells("grid"):
        for run in runs:
            if run.seed == seed and run.config.optimizer.name == "agn":
                curves.setdefault(run.config.workers, {})[run.config.local_steps] = run.train
    asked = {
        (config.workers, config.local_steps)
        for config in results.experiments["grid"].configs
        if config.optimizer.name == "agn"
    }
    areas = {}
    for workers, own in curves.items():
        if own.keys() == {local_steps for n, local_steps in asked if n == workers}:
            until = min(float(curve[0][-1]) for curve in own.values())
            areas[workers] = {local_steps: metrics.area(curve, until) for local_steps, curve in own.items()}
    return areas if areas.keys() == {n for n, _ in asked} else {}


def _workers_for_which_l40_is_slowest(results: Results) -> list[float]:
    found = []
    for areas in (_areas(results, seed) for seed in results.seeds("grid")):
        slowest = [min((a, steps) for steps, a in own.items() if steps >= 20)[1] == 40 for own in areas.values()]
        if slowest:
            found.append(float(np.mean(slowest)))
    return found


def _rule_of_thumb_minus_best(results: Results) -> list[float]:
    found = []
    for areas in (_areas(results, seed) for seed in results.seeds("grid")):
        behind = [
            own[min(own, key=lambda steps: abs(steps - (workers + LAYERS) / 2))] - max(own.values())
            for workers, own in areas.items()
        ]
        if behind:
            found.append(float(np.mean(behind)))
    return found


RUN_MEASURES: dict[str, Measured] = {
    "easgd_gain_in_the_second_half": _of_run("agn-vs-others", ("easgd", 20, 30), gain_in_the_second_half),
    "time_under_90_percent_n40_l10": _of_run("grid", ("agn", 40, 10), share_under_90_percent),
    "largest_drop_n40_l15": _of_run("grid", ("agn", 40, 15), drop),
    "least_drop_n25_to_35_l10": _over_cells("grid", [("agn", n, 10) for n in (25, 30, 35)], drop, min),
    "largest_drop_n40_l20_and_more": _over_cells(
        "grid", [("agn", 40, local_steps) for local_steps in (20, 25, 30, 35, 40)], drop, max
    ),
    "workers_for_which_l40_is_slowest": _workers_for_which_l40_is_slowest,
    "rule_of_thumb_minus_best": _rule_of_thumb_minus_best,
    "dynsgd_drop_l10": _of_run("agn-vs-others", ("dynsgd", 20, 10), drop),
    "dynsgd_drop_l15": _of_run("agn-vs-dynsgd", ("dynsgd", 20, 15), drop),
    "dynsgd_drop_l1": _of_run("dynsgd", ("dynsgd", 20, 1), drop),
    "downpour_end_n10_l1": _of_run("downpour", ("downpour", 10, 1), end),
    "downpour_end_n20_l1": _of_run("downpour", ("downpour", 20, 1), end),
    "downpour_best_end_l5_and_more": _over_cells(
        "downpour", [("downpour", 10, local_steps) for local_steps in (5, 10, 20)], end, max
    ),
}


# --- measures of what is computed without training ---


def _of_path(name: str, column: str, over: str = "") -> Callable[[dict[str, pd.DataFrame]], list[float]]:
    """A column of a path's row in the table `beale`, over that of another path."""

    def measured(computed: dict[str, pd.DataFrame]) -> list[float]:
        if "shapes" not in computed:
            return []
        values = computed["shapes"].set_index("path")[column]
        return [float(values[name] / values[over] if over else values[name])]

    return measured


def _of_staleness(column: str, minus: float = 0) -> Callable[[dict[str, pd.DataFrame]], list[float]]:
    """A number of the histogram with 15 local steps."""

    def measured(computed: dict[str, pd.DataFrame]) -> list[float]:
        if "staleness-by-local-steps" not in computed:
            return []
        return [float(computed["staleness-by-local-steps"].set_index("local_steps")[column][15]) - minus]

    return measured


COMPUTED_MEASURES: dict[str, Callable[[dict[str, Any]], list[float]]] = {
    "beale_sharpest_turn_ratio": _of_path("AGN, λ = 15", "sharpest_turn_degrees", "gradient descent"),
    "beale_detour_ratio": _of_path("AGN, λ = 15", "length_over_distance", "gradient descent"),
    "beale_straightness": _of_path("AGN, λ = ∞", "length_over_distance"),
    "beale_distance_from_minimum": _of_path("AGN, λ = ∞", "distance_from_minimum"),
    "staleness_mean_minus_19": _of_staleness("mean_staleness", minus=19),
    "staleness_peak_minus_19_5": _of_staleness("most_frequent", minus=19.5),
    "staleness_largest": _of_staleness("largest"),
}
