"""Configurations side by side: runs of experiment folders, grouped over their seeds, with the curves they count for.

What tables and figures are made from. Knows CSV files and metrics, nothing of how the runs were made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from agn_bench.analysis import axes, measures, metrics
from agn_bench.analysis.axes import Axis, Course
from agn_bench.analysis.measures import Measured
from agn_bench.analysis.selecting import only
from agn_bench.analysis.values import in_order, named, worded
from agn_bench.base.inputs import BadInput
from agn_bench.config.selection import called
from agn_bench.problems import LOSS
from agn_bench.store import run_files
from agn_bench.store.collected import CURVES, IN_EXPERIMENT, SUMMARY, read_provenance
from agn_bench.training.columns import (
    POINTS_PER_WINDOW,
    belongs_to_the_optimizer,
    configuration_columns,
    is_number,
    is_of_center,
    measured_in_training,
)

if TYPE_CHECKING:
    import pandas as pd


EXPERIMENT = "experiment"
"""The column of a configuration that says which experiment it is of, where several are read apart."""


@dataclass(frozen=True)
class Experiment:
    """One of several experiments that are set side by side."""

    place: int
    """Among them, in the order in which they were named."""
    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Configuration:
    """Runs that differ only in the seed, and their curves of one measure as they count (metrics.counted_curve)."""

    label: str
    columns: dict[Any, Any]
    """The configuration's columns of summary.csv."""
    runs: pd.DataFrame
    """Their rows of summary.csv, by seed."""
    curves: list[metrics.Curve]
    measure: Measured
    """Which one."""
    center: Measured | None
    """What is said of the final center: the first of its measures that all have which are compared, if there is one."""
    axis: Axis = axes.TIME
    """What the curves are along."""
    courses: Sequence[Course] = ()
    """Where each run is on that axis; none: the axis is time (see along)."""

    @property
    def reading(self) -> metrics.Reading:
        """How their curves are read."""
        return metrics.reading(self.measure)

    @cached_property
    def horizon_s(self) -> float:
        """Until when all of the runs last."""
        return float(self.runs["sim_time_s"].min())

    @property
    def horizon(self) -> float:
        """Up to where on the axis all of the runs last."""
        return min(course.end for course in self.courses) if self.courses else self.horizon_s

    @property
    def divergences(self) -> list[float]:
        """Where on the axis runs diverged, by seed; none of those that did not."""
        if self.courses:
            return [course.diverged for course in self.courses if course.diverged is not None]
        return self.runs["diverged_s"][self.runs["status"] == "diverged"].tolist()


@dataclass(frozen=True)
class Runs:
    """Runs of some experiment folders: their rows of summary.csv, and the points of their curves."""

    folders: Sequence[Path]
    summary: pd.DataFrame
    curves: pd.DataFrame
    left_out: int = 0
    """How many runs of the folders are not among them, as their experiment files no longer ask for them."""
    apart: bool = False
    """Whether each folder is an experiment of its own: what two of them have is there twice, and no mean is over both.
    """

    @property
    def described(self) -> list[str]:
        """The columns that describe their configurations."""
        return configuration_columns(self.summary.columns)

    def having(self) -> dict[str, list[str]]:
        """By the columns of measures of curves.csv.gz the runs that have it, those too that diverged before a point of
        it and count as something.
        """
        columns = measures.over_time(self.curves.columns)
        there = self.curves.groupby("run_id")[columns].count() > 0
        found = {column: {*there.index[there[column]]} for column in columns}
        for run in self.diverged():
            for column in columns:
                if not np.isnan(counts_as(run, column)):
                    found[column].add(run["run_id"])
        listed = {column: [run for run in self.summary["run_id"] if run in own] for column, own in found.items()}
        return {column: runs for column, runs in listed.items() if runs}

    def measured(self, wanted: str | None = None) -> Measured:
        """The measure that is wanted, which all runs have (see measures.chosen).

        Raises:
            BadInput: there is none, or a run diverged of which nothing says what it counts as in it, or less of it is
                better in some runs only.
        """
        column = measures.chosen(wanted, self.having(), [*self.summary["run_id"]])
        for run in self.diverged():
            if np.isnan(counts_as(run, column)):
                problem = f"{run['run_id']} diverged, and nothing says as which {Measured(column).name} it counts"
                raise BadInput("measure", column, problem, "another measure, or `only=status=done`")
        higher = {_higher_is_better(run, column) for run in self.summary.to_dict("records")}
        if len(higher) > 1:
            problem = "less of it is better in some runs, and more in others"
            raise BadInput("measure", column, problem, "`only=KEY=VALUE`, which leaves runs out")
        return Measured(column, higher.pop())

    def of_center(self) -> Measured | None:
        """The first measure of the final center that all runs have, in the order of summary.csv."""
        for column in [str(column) for column in self.summary if is_of_center(column)]:
            if np.isfinite(self.summary[column]).all():
                return Measured(column, _higher_is_better(self.summary.iloc[0].to_dict(), column))
        return None

    def examples(self, run: Mapping[Any, Any]) -> int | None:
        """How many examples a run trains on, by its row of summary.csv; None if nothing says it."""
        shipped = axes.shipped_examples(run)
        config = self.records.get(run["run_id"], {}).get("config") if shipped is None else None
        return axes.asked_examples(run, config) if isinstance(config, dict) else shipped

    @cached_property
    def points(self) -> dict[str, pd.DataFrame]:
        """By run its rows of curves.csv.gz."""
        return {str(run): own for run, own in self.curves.groupby("run_id")}

    @cached_property
    def records(self) -> dict[str, dict[str, Any]]:
        """What provenance.json has of the runs, as far as it is there: how each was made."""
        found: dict[str, Any] = {}
        for folder in self.folders:
            found = read_provenance(folder, "DIR") | found
        return {name: record for name, record in found.items() if isinstance(record, dict)}

    def check_steps(self, option: str, value: str) -> None:
        """Raise BadInput unless rows and points say how many gradient steps were done, as not all tables need it."""
        needed = {
            SUMMARY: (self.summary, ["exchanges", "gradient_steps"]),
            CURVES: (self.curves, ["gradient_steps"]),
        }
        for name, (table, columns) in needed.items():
            for column in columns:
                if column not in table or table[column].isna().any():
                    problem = f"{name} does not have {column} in every row"
                    raise BadInput(option, value, problem, "experiment folders as `agn-bench run` makes them")

    def diverged(self) -> list[dict[Any, Any]]:
        """The rows of those that diverged."""
        return self.summary[self.summary["status"] == "diverged"].to_dict("records")

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


def read_runs(folders: Sequence[Path], apart: bool = False) -> Runs:
    """The runs of some experiment folders, each once.

    Args:
        apart: whether each folder is an experiment of its own, called like the folder; then each once in each.

    Raises:
        BadInput: a folder has no such files.
    """
    folders = [*dict.fromkeys(folders)]
    tables = [run_files.read_experiment(folder) for folder in folders]

    import pandas as pd

    if apart:
        named = zip(map(Experiment, range(len(folders)), names_of(folders)), tables, strict=True)
        tables = [
            (own.assign(experiment=pd.Series([each] * len(own), own.index, dtype=object)), points)
            for each, (own, points) in named
        ]
    summary = pd.concat([table for table, _ in tables])
    if IN_EXPERIMENT in summary:  # of two folders that have a run, one may ask for it and the other not
        summary = summary.sort_values(IN_EXPERIMENT, ascending=False, kind="stable").sort_index(kind="stable")
    curves = pd.concat([table for _, table in tables])
    if len(tables) > 1:
        curves = curves.drop_duplicates(["run_id", "time_s"])
    kept = summary.drop_duplicates(["run_id", EXPERIMENT] if apart else "run_id")
    return Runs(folders, kept, curves, apart=apart)


def names_of(folders: Sequence[Path]) -> list[str]:
    """What folders are called, with so much of their paths as tells them apart."""
    whole = [folder.resolve() for folder in folders]
    for parts in range(1, max(len(path.parts) for path in whole)):
        names = ["/".join(path.parts[-parts:]) for path in whole]
        if len({*names}) == len({*whole}):
            return names
    return [*map(str, whole)]


def counted_points(runs: Runs) -> pd.DataFrame:
    """The points of their curves, where those of a run that diverged go on to its end, at what it counts as.

    Without them a mean over seeds would be one over those that went well. A point that is added has a time of the same
    grid and every measure of which the run's row says what it counts as; what else there is of it is blank.
    """
    import pandas as pd

    ends = runs.curves.groupby("run_id")["time_s"].max()
    columns = measures.over_time(runs.curves.columns)
    parts = [runs.curves]
    for run in runs.diverged():
        first, end = (at * POINTS_PER_WINDOW / run["window_s"] for at in (ends[run["run_id"]], run["sim_time_s"]))
        times = np.arange(round(first) + 1, np.ceil(end) + 1) * run["window_s"] / POINTS_PER_WINDOW  # as in the file
        values = {column: counts_as(run, column) for column in columns}
        parts.append(pd.DataFrame({"run_id": run["run_id"], "time_s": times, **values}))
    return pd.concat(parts).sort_values(["run_id", "time_s"], ignore_index=True)


def counts_as(run: Mapping[Any, Any], column: str) -> float:
    """What a run that diverged counts as in a measure over time, by its row of summary.csv; NaN: it says no number that
    could be averaged.
    """
    found = (float(run[one]) for one in measures.of_center(column, run.keys()))
    return next((value for value in found if np.isfinite(value)), float("nan"))


def _higher_is_better(run: Mapping[Any, Any], column: str) -> bool:
    """Whether more of a measure is better, by a run's row of summary.csv."""
    if column == measured_in_training(LOSS):
        return False
    lower = run.get("lower_is_better")
    lower = lower.split() if isinstance(lower, str) else []
    return not any(one in lower for one in measures.of_center(column, run.keys()))


def configurations(runs: Runs, measure: Measured, by: str | None = None) -> list[Configuration]:
    """The configurations of some runs, best area under the curve first.

    Args:
        measure: what is wanted (see Runs.measured).
        by: the column, or several with commas between them, that they are compared apart by, so that labels do not name
            it.

    Raises:
        BadInput: `by` names no column of a configuration.
    """
    import pandas as pd

    summary = runs.summary
    counts = _counted_curves(runs, measure)
    distinct, described = summary.drop_duplicates("configuration"), configuration_columns(summary.columns)
    apart, center = by_columns(by, described), runs.of_center()
    told: dict[tuple[Any, ...], _Told] = {}
    found = []
    together = [EXPERIMENT] * runs.apart + ["configuration"]
    for _, own in summary.groupby(together, sort=False):
        own = own.sort_values("seed")
        columns = {
            name: None if pd.isna(value) else value for name, value in own.iloc[0][[*together, *described]].items()
        }
        curves = [counts[run] for run in own["run_id"]]
        place = tuple(columns[name] for name in ("optimizer", *apart))
        if place not in told:
            told[place] = _told(columns, distinct, described, apart)
        found.append(Configuration(told[place].label(columns), columns, own, curves, measure, center))
    return ranked(found)


def along(configurations: Sequence[Configuration], runs: Runs, axis: Axis) -> list[Configuration]:
    """The same configurations with their curves along an axis, in the same order, which is that of areas over time.

    Raises:
        BadInput: a run has no such axis.
    """
    if axis == axes.TIME:
        return [*configurations]
    runs.check_steps("x", axis.name)
    found = []
    for one in configurations:
        rows = one.runs.to_dict("records")
        courses = [axes.course(axis, run, runs.points[run["run_id"]], runs.examples(run)) for run in rows]
        curves = [course.curve(curve) for course, curve in zip(courses, one.curves, strict=True)]
        found.append(replace(one, axis=axis, courses=courses, curves=curves))
    return found


def _counted_curves(runs: Runs, measure: Measured) -> dict[str, metrics.Curve]:
    """The curves of all runs as they count, by run."""
    rows = runs.summary.to_dict("records")
    return {run["run_id"]: counted(run, runs.points[run["run_id"]], measure) for run in rows}


MANY = 20
"""More configurations than so many are not ranked all together, if they are in several cells."""


def compared(runs: Runs, measure: Measured, by: str | None = None) -> dict[str, list[Configuration]]:
    """The configurations that are set against each other, by what tells these groups apart.

    Those of the columns in `by`; without it all together, unless there are more than MANY in several cells: then by
    cell, which is what every optimizer was tried with, as the same workers, delays and so on (see crossed).
    """
    found = configurations(runs, measure, by)
    if by is None:
        by = apart_by(found)
        found = found if by is None else configurations(runs, measure, by)
    return groups(found, by)


def apart_by(found: Sequence[Configuration]) -> str | None:
    """The columns whose cells are ranked apart where nobody says it; None: all are ranked together (see compared).

    A single optimizer has no cells: all columns would make them, and each configuration would be alone in its own.
    """
    if len(found) <= MANY or len({one.columns["optimizer"] for one in found}) == 1:
        return None
    return ",".join(name for name in crossed(found, "optimizer") if not is_number(name)) or None


def of_measure(found: Sequence[Configuration], runs: Runs, measure: Measured) -> list[Configuration]:
    """The same configurations in the same order, with their curves of another measure (see configurations)."""
    curves = _counted_curves(runs, measure)
    return [replace(one, measure=measure, curves=[curves[run] for run in one.runs["run_id"]]) for one in found]


def _shown(folders: Sequence[Path]) -> str:
    return ", ".join(map(str, folders))


def ranked(configurations: Sequence[Configuration]) -> list[Configuration]:
    """Best area under the curve first."""
    until = common_horizon_s(configurations)
    better = -1 if configurations[0].measure.higher_is_better else 1
    return sorted(configurations, key=lambda one: better * float(np.mean([*areas(one, until).values()])))


def areas(configuration: Configuration, until_s: float) -> dict[int, float]:
    """The area under each run's curve over [0, until_s], by seed."""
    seeds = configuration.runs["seed"].astype(int)
    area = configuration.reading.area
    return {seed: area(curve, until_s) for seed, curve in zip(seeds, configuration.curves, strict=True)}


def common_horizon_s(configurations: Sequence[Configuration]) -> float:
    """The shortest run of all: areas are compared up to there."""
    return metrics.common_end_s([configuration.horizon_s for configuration in configurations])


def counted(run: Mapping[Any, Any], points: Mapping[Any, Any] | pd.DataFrame, measure: Measured) -> metrics.Curve:
    """A run's curve as it counts, by its row of summary.csv and the columns of its points."""
    values = np.asarray(points[measure.column])
    return metrics.counted_curve(
        np.asarray(points["time_s"]),
        values if measure.is_of_center else metrics.carried(values),
        horizon_s=run["sim_time_s"],
        diverged_s=run["diverged_s"] if run["status"] == "diverged" else None,
        counts_as=counts_as(run, measure.column),
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


@dataclass(frozen=True)
class _Told:
    """What the labels of an optimizer's configurations say."""

    name: str
    columns: Sequence[str]
    """Those whose values tell them apart from all that they are set against."""
    by_hash: bool
    """Whether some of them differ in what no column says."""

    def label(self, columns: Mapping[Any, Any]) -> str:
        """The label of one of them, by its columns."""
        words = [worded(name, columns[name]) for name in self.columns if columns[name] is not None]
        return ", ".join([self.name, *words, *([str(columns["configuration"])] if self.by_hash else [])])


def _told(
    columns: Mapping[Any, Any], distinct: pd.DataFrame, described: Sequence[str], apart: Sequence[str] = ()
) -> _Told:
    """What tells a configuration's optimizer, and whatever else of it, apart from those of `distinct` that it is set
    against: those with the same values of the columns `apart`. It is the same for all of its optimizer.
    """
    for column in apart:
        there = distinct[column]
        distinct = distinct[there.isna() if columns[column] is None else there == columns[column]]
    same_optimizer = distinct[distinct["optimizer"] == columns["optimizer"]]
    short = distinct["optimizer"].str.rpartition(":")[2]  # without a user's file, if that leaves no doubt
    name = str(columns["optimizer"]).rpartition(":")[2]
    told = []
    for column in described[1:]:
        # A number belongs to an optimizer: it needs naming only where one optimizer comes with several.
        among = same_optimizer if belongs_to_the_optimizer(column) else distinct
        if column not in apart and among[column].nunique(dropna=False) > 1:
            told.append(column)
    return _Told(
        name if distinct["optimizer"][short == name].nunique() == 1 else str(columns["optimizer"]),
        told,
        bool(same_optimizer[[*described]].duplicated(keep=False).any()),
    )
