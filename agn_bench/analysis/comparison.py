"""Configurations side by side: runs of experiment folders, grouped over their seeds, with the curves they count for.

What tables and figures are made from. Knows CSV files and metrics, nothing of how the runs were made.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from agn_bench.analysis import metrics
from agn_bench.analysis.selecting import only
from agn_bench.analysis.values import in_order, named, worded
from agn_bench.base.inputs import BadInput
from agn_bench.config.selection import called
from agn_bench.store import run_files
from agn_bench.store.collected import CURVES, IN_EXPERIMENT
from agn_bench.training.columns import POINTS_PER_WINDOW, belongs_to_the_optimizer, configuration_columns, is_number

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Configuration:
    """Runs that differ only in the seed, and their curves of one accuracy as they count (metrics.counted_curve)."""

    label: str
    columns: dict[Any, Any]
    """The configuration's columns of summary.csv."""
    runs: pd.DataFrame
    """Their rows of summary.csv, by seed."""
    curves: list[metrics.Curve]
    accuracy: str = "train_accuracy"
    """Which one."""

    @property
    def reading(self) -> metrics.Reading:
        """How their curves are read."""
        return metrics.READINGS[self.accuracy]

    @property
    def horizon_s(self) -> float:
        """Until when all of the runs last."""
        return float(self.runs["sim_time_s"].min())


@dataclass(frozen=True)
class Runs:
    """Runs of some experiment folders: their rows of summary.csv, and the points of their curves."""

    folders: Sequence[Path]
    summary: pd.DataFrame
    curves: pd.DataFrame
    left_out: int = 0
    """How many runs of the folders are not among them, as their experiment files no longer ask for them."""

    @property
    def described(self) -> list[str]:
        """The columns that describe their configurations."""
        return configuration_columns(self.summary.columns)

    def asked(self) -> Runs:
        """Those that the experiment files ask for as they were last swept, and those of folders that are no sweep's.

        Raises:
            BadInput: there are none.
        """
        if IN_EXPERIMENT not in self.summary:
            return self
        outdated = self.summary[IN_EXPERIMENT].eq(False).fillna(False)
        kept = self.summary[~outdated]
        if kept.empty:
            problem = "the experiment's file asks for none of its runs any more"
            raise BadInput("DIR", _shown(self.folders), problem, "`all` for all runs that are there")
        return replace(self, summary=kept, left_out=int(outdated.sum()))

    def only(self, conditions: Sequence[str]) -> Runs:
        """Those that meet every condition, each as in `workers=20,40` (see selecting.py)."""
        if not conditions:
            return self
        rows = {row["run_id"]: row for row in self.summary.to_dict("records")}
        kept = {row["run_id"] for row in only([*rows.values()], conditions)}
        return replace(self, summary=self.summary[self.summary["run_id"].isin(kept)])


def read_runs(folders: Sequence[Path]) -> Runs:
    """The runs of some experiment folders, each once.

    Raises:
        BadInput: a folder has no such files.
    """
    tables = [run_files.read_experiment(folder) for folder in folders]

    import pandas as pd

    summary = pd.concat([table for table, _ in tables])
    if IN_EXPERIMENT in summary:  # of two folders that have a run, one may ask for it and the other not
        summary = summary.sort_values(IN_EXPERIMENT, ascending=False, kind="stable").sort_index(kind="stable")
    curves = pd.concat([table for _, table in tables])
    if len(tables) > 1:
        curves = curves.drop_duplicates(["run_id", "time_s"])
    return Runs(folders, summary.drop_duplicates("run_id"), curves)


def counted_points(runs: Runs) -> pd.DataFrame:
    """The points of their curves, where those of a run that diverged go on to its end, at chance.

    Without them a mean over seeds would be one over those that went well. A point that is added has a time of the same
    grid and both accuracies; what else there is of it is blank.
    """
    import pandas as pd

    ends = runs.curves.groupby("run_id")["time_s"].max()
    parts = [runs.curves]
    for _, run in runs.summary[runs.summary["status"] == "diverged"].iterrows():
        first, end = (at * POINTS_PER_WINDOW / run["window_s"] for at in (ends[run["run_id"]], run["sim_time_s"]))
        times = np.arange(round(first) + 1, np.ceil(end) + 1) * run["window_s"] / POINTS_PER_WINDOW  # as in the file
        chance = run["test_accuracy"]
        parts.append(
            pd.DataFrame({"run_id": run["run_id"], "time_s": times, "train_accuracy": chance, "test_accuracy": chance})
        )
    return pd.concat(parts).sort_values(["run_id", "time_s"], ignore_index=True)


def configurations(runs: Runs, accuracy: str, by: str | None = None) -> list[Configuration]:
    """The configurations of some runs, best area under the curve first.

    Args:
        accuracy: the column of curves.csv.gz that is wanted, `train_accuracy` or `test_accuracy`.
        by: the column, or several with commas between them, that they are compared apart by, so that labels do not name
            it.

    Raises:
        BadInput: `by` names no column of a configuration, or a run has no curve.
    """
    import pandas as pd

    summary = runs.summary
    points = dict(tuple(runs.curves.groupby("run_id")))
    distinct, described = summary.drop_duplicates("configuration"), configuration_columns(summary.columns)
    apart = by_columns(by, described)
    found = []
    for _, own in summary.groupby("configuration", sort=False):
        own = own.sort_values("seed")
        columns = {
            name: None if pd.isna(value) else value
            for name, value in own.iloc[0][["configuration", *described]].items()
        }
        for name in own[own["diverged_s"].isna()]["run_id"]:
            if points[name][accuracy].isna().all():
                problem = f"{CURVES} has no {accuracy} of {name}"
                raise BadInput("DIR", _shown(runs.folders), problem, "folders with a curve of every run")
        curves = [_counted(run, points[run["run_id"]], accuracy) for _, run in own.iterrows()]
        found.append(Configuration(_label(columns, distinct, described, apart), columns, own, curves, accuracy))
    return ranked(found)


MANY = 20
"""More configurations than so many are not ranked all together, if they are in several cells."""


def compared(runs: Runs, accuracy: str, by: str | None = None) -> dict[str, list[Configuration]]:
    """The configurations that are set against each other, by what tells these groups apart.

    Those of the columns in `by`; without it all together, unless there are more than MANY in several cells: then by
    cell, which is what every optimizer was tried with, as the same workers, delays and so on (see crossed).
    """
    found = configurations(runs, accuracy, by)
    if by is None and len(found) > MANY:
        by = ",".join(name for name in crossed(found, "optimizer") if not is_number(name)) or None
        found = found if by is None else configurations(runs, accuracy, by)
    return groups(found, by)


def _shown(folders: Sequence[Path]) -> str:
    return ", ".join(map(str, folders))


def ranked(configurations: Sequence[Configuration]) -> list[Configuration]:
    """Best area under the curve first."""
    until = common_horizon_s(configurations)
    return sorted(configurations, key=lambda one: -float(np.mean([*areas(one, until).values()])))


def areas(configuration: Configuration, until_s: float) -> dict[int, float]:
    """The area under each run's curve over [0, until_s], by seed."""
    seeds = configuration.runs["seed"].astype(int)
    area = configuration.reading.area
    return {seed: area(curve, until_s) for seed, curve in zip(seeds, configuration.curves, strict=True)}


def common_horizon_s(configurations: Sequence[Configuration]) -> float:
    """The shortest run of all: areas are compared up to there."""
    return metrics.common_end_s([configuration.horizon_s for configuration in configurations])


def _counted(run: pd.Series, points: pd.DataFrame, accuracy: str) -> metrics.Curve:
    values = points[accuracy].to_numpy()
    return metrics.counted_curve(
        points["time_s"].to_numpy(),
        metrics.carried(values) if metrics.READINGS[accuracy] is metrics.LINES else values,
        horizon_s=run["sim_time_s"],
        diverged_s=run["diverged_s"] if run["status"] == "diverged" else None,
        chance=run["test_accuracy"],  # of a run that diverged
    )


def by_columns(by: str | None, described: Sequence[str]) -> list[str]:
    """The columns that a text names, or their short words, with commas between them.

    Raises:
        BadInput: one is no column of a configuration.
    """
    return [] if by is None else [called("by", name, described) for name in by.split(",")]


def groups(configurations: Sequence[Configuration], by: str | None) -> dict[str, list[Configuration]]:
    """The configurations apart by the values of a column, or of several with commas between them, in their order."""
    apart = by_columns(by, [*configurations[0].columns])
    found: dict[tuple[Any, ...], list[Configuration]] = {}
    for configuration in configurations:
        found.setdefault(tuple(configuration.columns[name] for name in apart), []).append(configuration)
    return {
        ", ".join(map(worded, apart, cell)) if len(apart) > 1 else "".join(map(named, apart, cell)): ranked(found[cell])
        for cell in sorted(found, key=lambda cell: [in_order(value) for value in cell])
    }


def crossed(configurations: Sequence[Configuration], column: str) -> list[str]:
    """The columns in which configurations differ and that have the same values for every value of `column`.

    Such columns make the cells in which the values of `column` can be set against each other, as workers do if every
    optimizer was tried with 10, 20 and 40.
    """
    found = []
    for name in varying(configurations):
        values: dict[Any, set[Any]] = {}
        for one in configurations:
            values.setdefault(one.columns[column], set()).add(one.columns[name])
        if name != column and len({frozenset(own) for own in values.values()}) == 1:
            found.append(name)
    return found


def varying(configurations: Sequence[Configuration]) -> list[str]:
    """The columns in which configurations differ."""
    columns = [name for name in configurations[0].columns if name != "configuration"]
    return [name for name in columns if len({one.columns[name] for one in configurations}) > 1]


def _label(columns: dict[Any, Any], distinct: pd.DataFrame, described: Sequence[str], apart: Sequence[str] = ()) -> str:
    """The optimizer, and whatever else tells its configuration apart from the others, `distinct`."""
    same_optimizer = distinct[distinct["optimizer"] == columns["optimizer"]]
    short = distinct["optimizer"].str.rpartition(":")[2]  # without a user's file, if that leaves no doubt
    name = str(columns["optimizer"]).rpartition(":")[2]
    words = [name if distinct["optimizer"][short == name].nunique() == 1 else str(columns["optimizer"])]
    for column in described[1:]:
        if column in apart:
            continue
        # A number belongs to an optimizer: it needs naming only where one optimizer comes with several.
        among = same_optimizer if belongs_to_the_optimizer(column) else distinct
        if among[column].nunique(dropna=False) > 1 and columns[column] is not None:
            words.append(worded(column, columns[column]))
    if same_optimizer[[*described]].duplicated(keep=False).any():
        words.append(str(columns["configuration"]))
    return ", ".join(words)
