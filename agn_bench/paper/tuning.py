"""Fair baselines: every optimizer at the best of as many settings, beside one worker alone and synchronous training.

Settings are chosen by the area under the training curve of the same seeds that are reported, so each is shown at the
best that its settings gave. EASGD's α is tuned at the common learning rate; of the others the learning rate is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from agn_bench.analysis import metrics
from agn_bench.base.chosen import Chosen
from agn_bench.base.quantities import Number, declared_numbers
from agn_bench.config.options import OPTIONS
from agn_bench.config.run import RunConfig
from agn_bench.paper.runs import Results, Run, spread

Row = dict[str, Any]
Setting = tuple[float, list[Run]]

CONTROLS = ("one worker", "synchronous")
"""With the same data, but a clock of their own: areas under their curves are not compared with the others'."""


@dataclass(frozen=True)
class Tuned:
    """An optimizer with the settings that were tried, in order of their value, and their runs by seed."""

    name: str
    option: str
    """What was tuned: alpha or learning_rate."""
    tried: list[Setting]
    until_s: float
    """Until when areas are compared."""

    def areas(self, setting: Setting) -> list[float]:
        """The areas under the training curves, one per run of a setting."""
        return [metrics.area(run.train, self.until_s) for run in setting[1]]

    @property
    def best(self) -> Setting:
        """By the mean area."""
        return max(self.tried, key=lambda setting: np.mean(self.areas(setting)))

    @property
    def usual(self) -> Setting:
        """That of the other experiments."""
        config = self.tried[0][1][0].config
        value = next(_declared(one)[self.option].default for one in _owners(config) if self.option in _declared(one))
        return next(setting for setting in self.tried if setting[0] == value)

    @property
    def at_edge(self) -> bool:
        """Whether the best is the least or the largest that was tried: a better one may lie beyond."""
        return self.best[0] in (self.tried[0][0], self.tried[-1][0])


def optimizer_of(config: RunConfig) -> str:
    """What a configuration of the baselines stands for."""
    if config.workers > 1:
        return config.optimizer.name
    return "one worker" if config.batch_size == OPTIONS["batch_size"].default else "synchronous"


def tuned(results: Results) -> list[Tuned]:
    """Every optimizer all of whose runs are there, the best first, the controls last.

    Areas go up to the end of the shortest run that is compared, as in `table`: of all optimizers, or of a control.
    """
    groups: dict[str, list[Setting]] = {}
    incomplete = set()
    for config, runs in results.cells("baselines"):
        option = _option(optimizer_of(config))
        value = next(one.number(option) for one in _owners(config) if one.number(option) is not None)
        groups.setdefault(optimizer_of(config), []).append((float(value), runs))
        if len(runs) < len(results.seeds("baselines")):
            incomplete.add(optimizer_of(config))
    complete = {name: tried for name, tried in groups.items() if name not in incomplete}
    compared = [tried for name, tried in complete.items() if name not in CONTROLS]
    found = [
        Tuned(
            name,
            _option(name),
            sorted(tried, key=lambda setting: setting[0]),
            _end_s([tried] if name in CONTROLS else compared),
        )
        for name, tried in complete.items()
    ]
    return sorted(found, key=lambda one: (one.name in CONTROLS, -np.mean(one.areas(one.best))))


def _end_s(compared: Sequence[list[Setting]]) -> float:
    """Until when the areas of these settings' runs are compared."""
    return metrics.common_end_s(
        [float(run.row["sim_time_s"]) for tried in compared for _, runs in tried for run in runs]
    )


def _owners(config: RunConfig) -> tuple[Chosen[Any], Chosen[Any]]:
    """Whose numbers are tuned."""
    return config.optimizer, config.local_optimizer


def _declared(chosen: Chosen[Any]) -> Mapping[str, Number]:
    return declared_numbers(type(chosen.thing))


def _option(optimizer: str) -> str:
    return "alpha" if optimizer == "easgd" else "learning_rate"


def tuning_table(results: Results) -> list[Row]:
    """One row per optimizer: its best setting and what that reaches, beside the area at the usual one.

    `agn_minus_area`: AGN's area minus the other's, both at their best, seed by seed, with half of the 95 % interval.
    """
    found = {one.name: one for one in tuned(results)}
    rows = []
    for one in found.values():
        value, runs = one.best
        row: Row = {
            "method": one.name,
            "tuned": one.option,
            "best": value,
            "at_edge": "yes" if one.at_edge else "no",
            "seeds": len(runs),
            "diverged": sum(run.diverged for run in runs),
        }
        compared = one.name not in CONTROLS
        row |= spread("area", one.areas(one.best) if compared else [])
        row |= spread("area_at_the_usual_setting", one.areas(one.usual) if compared else [])
        agn = found.get("agn")
        differences = np.subtract(agn.areas(agn.best), one.areas(one.best)) if compared and agn is not None else []
        row["agn_minus_area"] = float(np.mean(differences)) if len(differences) else float("nan")
        row["agn_minus_area_half_width_95"] = metrics.half_width(list(differences))
        row |= spread("last_batch_accuracy", [run.row["last_batch_accuracy"] for run in runs])
        row |= spread("test_accuracy", [run.row["test_accuracy"] for run in runs])
        rows.append(row)
    return rows


def every_setting_table(results: Results) -> list[Row]:
    """A row a setting that was tried."""
    rows = []
    for one in tuned(results):
        for value, runs in one.tried:
            row: Row = {"method": one.name, "tuned": one.option, "value": value, "seeds": len(runs)}
            row["diverged"] = sum(run.diverged for run in runs)
            row |= spread("area", one.areas((value, runs)) if one.name not in CONTROLS else [])
            row |= spread("test_accuracy", [run.row["test_accuracy"] for run in runs])
            rows.append(row)
    return rows
