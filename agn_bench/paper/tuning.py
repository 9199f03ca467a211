"""Fair baselines: every method at the best of as many settings, beside one worker alone and synchronous training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from agn_bench import metrics
from agn_bench.config import RunConfig
from agn_bench.paper.runs import Results, Run
from agn_bench.registry import DEFAULTS

Row = dict[str, Any]

CONTROLS = ("one worker", "synchronous")
"""With the same data, but a clock of their own: their seconds are not compared."""


@dataclass(frozen=True)
class Tuned:
    """A method with the settings that were tried, best first."""

    name: str
    option: str
    """What was tuned: alpha or learning_rate."""
    tried: list[list[Run]]
    """Of each setting the runs, by seed."""

    @property
    def best(self) -> list[Run]:
        return self.tried[0]

    @property
    def settings(self) -> list[float]:
        return sorted(float(getattr(runs[0].config, self.option)) for runs in self.tried)


def method_of(config: RunConfig) -> str:
    """What a configuration of the baselines stands for."""
    if config.workers > 1:
        return config.optimizer
    return "one worker" if config.batch_size == DEFAULTS["batch_size"] else "synchronous"


def tuned(results: Results) -> list[Tuned]:
    """Every method, the best first by the mean area under the training curve (of the runs' own length); those with
    settings that are not there yet are left out.
    """
    groups: dict[str, list[list[Run]]] = {}
    incomplete = set()
    for config, runs in zip(_configurations(results), results.cells("baselines"), strict=True):
        groups.setdefault(method_of(config), []).append(runs)
        if len(runs) < len(results.seeds("baselines")):
            incomplete.add(method_of(config))
    found = [
        Tuned(name, "alpha" if name == "easgd" else "learning_rate", sorted(tried, key=area, reverse=True))
        for name, tried in groups.items()
        if name not in incomplete
    ]
    return sorted(found, key=lambda one: (one.name in CONTROLS, -area(one.best)))


def _configurations(results: Results) -> list[RunConfig]:
    """Of the experiment's cells, in the order of Results.cells."""
    seeds = len(results.seeds("baselines"))
    return list(results.experiments["baselines"].configs[::seeds]) if seeds else []


def area(runs: list[Run]) -> float:
    """Mean over seeds of the area under the training curve."""
    return float(np.mean([metrics.area(run.train, float(run.row["sim_time_s"])) for run in runs]))


def tuning_table(results: Results) -> list[Row]:
    """A row a method: what was tried, its best, and what that reaches; beside it the setting of the paper."""
    rows = []
    for one in tuned(results):
        row: Row = {
            "method": one.name,
            "tuned": one.option,
            "tried": " ".join(f"{value:g}" for value in one.settings),
            "best": getattr(one.best[0].config, one.option),
            "seeds": len(one.best),
        }
        row["diverged"] = sum(run.row["status"] == "diverged" for run in one.best)
        comparable = one.name not in CONTROLS
        row |= _spread("area", one.best, lambda run: metrics.area(run.train, run.row["sim_time_s"]), comparable)
        row |= _spread("last_batch_accuracy", one.best, lambda run: run.row["last_batch_accuracy"])
        row |= _spread("test_accuracy", one.best, lambda run: run.row["test_accuracy"])
        rows.append(row)
    return rows


def every_setting_table(results: Results) -> list[Row]:
    """A row a setting that was tried."""
    rows = []
    for one in tuned(results):
        for runs in sorted(one.tried, key=lambda runs: getattr(runs[0].config, one.option)):
            row: Row = {"method": one.name, one.option: getattr(runs[0].config, one.option), "seeds": len(runs)}
            row["diverged"] = sum(run.row["status"] == "diverged" for run in runs)
            row |= _spread("area", runs, lambda run: metrics.area(run.train, run.row["sim_time_s"]))
            row |= _spread("test_accuracy", runs, lambda run: run.row["test_accuracy"])
            rows.append(row)
    return rows


def _spread(name: str, runs: list[Run], value: Callable[[Run], float], comparable: bool = True) -> Row:
    values = [value(run) for run in runs]
    std = float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")
    nothing = float("nan")
    return {name: float(np.mean(values)) if comparable else nothing, f"{name}_std": std if comparable else nothing}
