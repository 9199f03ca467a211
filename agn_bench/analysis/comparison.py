"""Configurations side by side: runs of experiment folders, grouped over their seeds, with the curves they count for.

What tables and figures are made from. Knows CSV files and metrics, nothing of how the runs were made.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from agn_bench.analysis import metrics
from agn_bench.base.inputs import BadInput
from agn_bench.store import run_files
from agn_bench.store.collected import CURVES
from agn_bench.training.columns import belongs_to_the_optimizer, configuration_columns

if TYPE_CHECKING:
    import pandas as pd


_SHORT = {"workers": "n", "local_steps": "λ", "learning_rate": "rate"}


@dataclass(frozen=True)
class Configuration:
    """Runs that differ only in the seed, and their curves of one accuracy as they count (metrics.counted_curve)."""

    label: str
    columns: dict[Any, Any]
    """The configuration's columns of summary.csv."""
    runs: pd.DataFrame
    """Their rows of summary.csv, by seed."""
    curves: list[metrics.Curve]

    @property
    def horizon_s(self) -> float:
        """Until when all of the runs last."""
        return float(self.runs["sim_time_s"].min())


def read_configurations(folders: Sequence[Path], accuracy: str, by: str | None = None) -> list[Configuration]:
    """The configurations in some experiment folders, best area under the curve first.

    Args:
        accuracy: the column of curves.csv.gz that is wanted, `train_accuracy` or `test_accuracy`.
        by: the column that they are compared apart by, so that labels do not name it.

    Raises:
        BadInput: a folder has no such files.
    """
    tables = [run_files.read_experiment(folder) for folder in folders]

    import pandas as pd

    summary = pd.concat([table for table, _ in tables]).drop_duplicates("run_id")
    curves = pd.concat([table for _, table in tables]).drop_duplicates(["run_id", "time_s"])
    points = dict(tuple(curves.groupby("run_id")))
    distinct, described = summary.drop_duplicates("configuration"), configuration_columns(summary.columns)
    if by is not None and by not in described:
        raise BadInput("by", by, "no column of a configuration", ", ".join(described))
    found = []
    for _, runs in summary.groupby("configuration", sort=False):
        runs = runs.sort_values("seed")
        columns = {
            name: None if pd.isna(value) else value
            for name, value in runs.iloc[0][["configuration", *described]].items()
        }
        for name in runs[runs["diverged_s"].isna()]["run_id"]:
            if points[name][accuracy].isna().all():
                problem = f"{CURVES} has no {accuracy} of {name}"
                raise BadInput("DIR", ", ".join(map(str, folders)), problem, "folders with a curve of every run")
        own = [_counted(run, points[run["run_id"]], accuracy) for _, run in runs.iterrows()]
        found.append(Configuration(_label(columns, distinct, described, by), columns, runs, own))
    until = common_horizon_s(found)
    return sorted(
        found, key=lambda configuration: -float(np.mean([metrics.area(curve, until) for curve in configuration.curves]))
    )


def common_horizon_s(configurations: Sequence[Configuration]) -> float:
    """The shortest run of all: areas are compared up to there."""
    return min(configuration.horizon_s for configuration in configurations)


def _counted(run: pd.Series, points: pd.DataFrame, accuracy: str) -> metrics.Curve:
    return metrics.counted_curve(
        points["time_s"].to_numpy(),
        points[accuracy].to_numpy(),
        horizon_s=run["sim_time_s"],
        diverged_s=run["diverged_s"] if run["status"] == "diverged" else None,
        chance=run["test_accuracy"],  # of a run that diverged
    )


def groups(configurations: Sequence[Configuration], by: str | None) -> dict[str, list[Configuration]]:
    """The configurations apart by the values of a column, by these in the order of their names."""
    found: dict[str, list[Configuration]] = {}
    for configuration in configurations:
        value = "" if by is None else configuration.columns[by]
        found.setdefault(f"{value:g}" if isinstance(value, Real) else str(value), []).append(configuration)
    return dict(sorted(found.items()))


def _label(columns: dict[Any, Any], distinct: pd.DataFrame, described: Sequence[str], by: str | None = None) -> str:
    """The optimizer, and whatever else tells its configuration apart from the others, `distinct`."""
    same_optimizer = distinct[distinct["optimizer"] == columns["optimizer"]]
    short = distinct["optimizer"].str.rpartition(":")[2]  # without a user's file, if that leaves no doubt
    name = str(columns["optimizer"]).rpartition(":")[2]
    words = [name if distinct["optimizer"][short == name].nunique() == 1 else str(columns["optimizer"])]
    for column in described[1:]:
        if column == by:
            continue
        # A number belongs to an optimizer: it needs naming only where one optimizer comes with several.
        among = same_optimizer if belongs_to_the_optimizer(column) else distinct
        if among[column].nunique(dropna=False) > 1 and columns[column] is not None:
            value = columns[column]
            words.append(f"{_SHORT.get(column, column)} {value:g}" if isinstance(value, Real) else str(value))
    if same_optimizer[[*described]].duplicated(keep=False).any():
        words.append(str(columns["configuration"]))
    return ", ".join(words)
