"""Where AGN is stable: growth rates from the timeline alone, beside the published and the reproduced accuracies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from agn_bench.analysis.figures.clock import heat_maps
from agn_bench.base import files
from agn_bench.clock import Profile
from agn_bench.clock.endless import active_timeline
from agn_bench.clock.stability import growth_rate
from agn_bench.paper.published import published_grid
from agn_bench.problems.catalogue import DATASETS, MODELS
from agn_bench.studies.survey import grid

WEAK_ACCURACY = 98.3
"""Percent on the test set; a published AGN cell below it, with up to so many local steps, suffered from instability.
With more local steps the cells are weak for another reason: they are the slowest to converge."""
WEAK_LOCAL_STEPS = 30

ROUNDS = 1000
"""Exchanges a worker, on average, over which a growth rate is measured."""
SEEDS = 10
FIFO_SHARES = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2)

STABILITY_TIMELINES = 49 * SEEDS * (1 + len(FIFO_SHARES))
"""That stability_map simulates."""


def is_weak(cell: dict[str, float]) -> bool:
    """Whether a published AGN cell suffered from instability."""
    return cell["agn_val_acc"] < WEAK_ACCURACY and cell["local_steps"] <= WEAK_LOCAL_STEPS


def growth_rates(profile: Profile, on_cell: Callable[[str], None] = lambda text: None) -> np.ndarray:
    """AGN's growth rate in every published cell, (cells, seeds)."""

    def rate(workers: int, local_steps: int, seed: int) -> float:
        size = MODELS["mlp-paper"].on(DATASETS["mnist"]).message_bytes
        timeline = active_timeline(profile, seed, workers, local_steps, size, ROUNDS * workers)
        on_cell(f"{workers} workers, {local_steps} local steps")
        return growth_rate(timeline.worker, workers, local_steps)

    return np.array(
        [
            [rate(int(cell["workers"]), int(cell["local_steps"]), seed) for seed in range(SEEDS)]
            for cell in published_grid()
        ]
    )


def stability_map(profile: Profile, folder: Path, on_cell: Callable[[str], None]) -> tuple[dict[str, int], list[Path]]:
    """AGN's growth rate over the published grid, served in random order and first in first out, beside the published
    test accuracies: does its sign tell which cells suffered?

    Writes tables/stability-map.csv (one row per cell), growth-rate-random.csv, growth-rate-fifo.csv and
    test-accuracy.csv (workers by local steps), fifo-share.csv, and the heat maps.

    Returns:
        How many of the 49 cells each order of service tells right, and the pictures.
    """
    cells = published_grid()
    weak = np.array([is_weak(cell) for cell in cells])
    orders = {
        "random": replace(profile, order="random", fifo_share=0.0),
        "fifo": replace(profile, order="fifo", fifo_share=0.0),
    }
    rates = {name: growth_rates(changed, on_cell) for name, changed in orders.items()}
    shares = []
    for share in FIFO_SHARES:
        found = rates["random"] if share == 0 else growth_rates(replace(orders["random"], fifo_share=share), on_cell)
        shares.append({"fifo_share": share, "cells": len(cells), "told_right": _told_right(found, weak)})
    rows: list[dict[str, Any]] = []
    for index, cell in enumerate(cells):
        row: dict[str, Any] = {
            "workers": cell["workers"],
            "local_steps": cell["local_steps"],
            "test_accuracy_percent": cell["agn_val_acc"],
            "weak": bool(weak[index]),
        }
        for name, found in rates.items():
            row[f"growth_rate_{name}"] = float(found[index].mean())
            row[f"growth_rate_{name}_standard_error"] = float(found[index].std(ddof=1) / np.sqrt(len(found[index])))
            row[f"told_right_{name}"] = bool((found[index].mean() > 0) == weak[index])
        rows.append(row)
    maps = {
        "growth rate, random order": grid(rows, "growth_rate_random"),
        "growth rate, first in first out": grid(rows, "growth_rate_fifo"),
        "published test accuracy (%)": grid(rows, "test_accuracy_percent"),
    }
    tables = folder / "tables"
    files.write_table(tables / "fifo-share.csv", shares)
    for name, table in zip(("growth-rate-random", "growth-rate-fifo", "test-accuracy"), maps.values(), strict=True):
        files.write_table(tables / f"{name}.csv", table.reset_index())
    *growths, _ = maps
    pictures = heat_maps(maps, folder / "figures" / "stability-map", around_0=growths)
    files.write_table(tables / "stability-map.csv", rows)  # the last: where it is, all of it is
    return {name: _told_right(found, weak) for name, found in rates.items()}, pictures


def _told_right(rates: np.ndarray, weak: np.ndarray) -> int:
    return int(((rates.mean(axis=1) > 0) == weak).sum())
