"""A trial of an optimizer, and the file that keeps all of them: all that a search which was stopped goes on from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median
from typing import Any

from agn_bench.base import files
from agn_bench.base.inputs import BadInput, reason_of
from agn_bench.base.tabular import UNREADABLE, read_table
from agn_bench.studies.tuning.goal import LOOKS, Goal
from agn_bench.studies.tuning.space import Numbers, Space

FILE = "trials.csv"
COMPLETE, PRUNED, REFUSED = "complete", "pruned", "refused"
_FIRST_TUNING_SEED = 10_000
MOST_SEEDS = _FIRST_TUNING_SEED
"""The most seeds of each kind, so that none is of both."""

Values = tuple[float, ...]
"""What a run was worth at the times of its goal, up to where it was ended."""


def tuning_seeds(count: int) -> list[int]:
    """So many seeds to choose numbers on; results are reported on others."""
    return [_FIRST_TUNING_SEED + index for index in range(count)]


@dataclass(frozen=True)
class Trial:
    """Numbers that were tried, and what they were worth."""

    numbers: Numbers
    state: str
    values: tuple[Values, ...] = ()
    """The values of each tuning seed that was run, in order; the last is shorter if the trial was ended there."""

    def mean(self, seeds: int, look: int) -> float | None:
        """The mean over the first so many seeds of what its runs were worth at a look; None if it did not get there."""
        if len(self.values) < seeds or any(len(own) <= look for own in self.values[:seeds]):
            return None
        return fmean(own[look] for own in self.values[:seeds])

    @property
    def value(self) -> float:
        """What a complete trial is worth."""
        return fmean(own[-1] for own in self.values)


def least(trials: Sequence[Trial], begun: Sequence[Values], look: int) -> float | None:
    """What a trial's next run must be worth at a look, so that the trial's mean up to there is not worse than the
    median of those that earlier trials had there; None if no trial got there.

    Args:
        trials: the earlier ones, of the same optimizer.
        begun: what the trial's runs with earlier seeds were worth.
    """
    seeds = len(begun) + 1
    there = [mean for one in trials if (mean := one.mean(seeds, look)) is not None]
    return seeds * median(there) - sum(own[look] for own in begun) if there else None


class TrialsFile:
    """The trials of all optimizers, one row each, by optimizer and in their order, counted from 1.

    Args:
        path: the file, which may not be there yet.
        told: what is the same of all trials, by column.

    Raises:
        BadInput: it cannot be read.
    """

    def __init__(self, path: Path, goal: Goal, seeds: Sequence[int], told: Mapping[str, Any]) -> None:
        self._path, self._goal, self._seeds = path, goal, seeds
        self._told = {column: str(value) for column, value in told.items()}
        self._rows: dict[str, list[dict[str, Any]]] = {}
        if path.is_file():
            try:
                table = read_table(path, {}, blanks=False)
                table["trial"]  # KeyError: it is another file
                rows = table.to_dict("records")
                for row in sorted(rows, key=lambda row: int(row["trial"])):
                    self._rows.setdefault(str(row["optimizer"]), []).append({str(key): row[key] for key in row})
            except UNREADABLE as error:
                problem = f"cannot be read ({reason_of(error)})"
                raise BadInput("out", path, problem, "the file as it was written, or another folder") from None

    def begin(self, spaces: Sequence[Space]) -> None:
        """Let the optimizers of these spaces stand first, in their order."""
        own = {space.name: self._rows.get(space.name, []) for space in spaces}
        self._rows = {**own, **{name: rows for name, rows in self._rows.items() if name not in own}}

    def of(self, space: Space) -> list[Trial]:
        """The trials of an optimizer.

        Raises:
            BadInput: they were made with other options, or are not as they were written.
        """
        return [self._trial(space, number, row) for number, row in enumerate(self._rows.get(space.name, []), 1)]

    def add(self, space: Space, trial: Trial) -> None:
        """Write a trial, the next one of its optimizer."""
        own = self._rows.setdefault(space.name, [])
        own.append(self._row(space, len(own) + 1, trial))
        self.write()

    def write(self) -> None:
        """Write the file, whole or not at all."""
        rows = [row for own in self._rows.values() for row in own]
        numbers = dict.fromkeys(name for row in rows for name in row if name not in self._columns)
        columns = [*self._columns[:3], *numbers, *self._columns[3:]]
        files.write_table(self._path, [{column: row.get(column, "") for column in columns} for row in rows])

    @property
    def _columns(self) -> list[str]:
        """All but those of numbers, which stand after the first three."""
        looks = [column for own in self._looks() for column in own]
        return [
            "optimizer",
            "trial",
            "state",
            "pruned_seed",
            "pruned_at_s",
            "value",
            *looks,
            *self._told,
            "configuration",
        ]

    def _looks(self) -> list[list[str]]:
        """The columns of what its run was worth, for every tuning seed; the whole run's is the last."""
        return [
            [*(f"seed_{seed}_at_{time_s:g}s" for time_s in self._goal.times[: len(LOOKS)]), f"seed_{seed}"]
            for seed in self._seeds
        ]

    def _row(self, space: Space, number: int, trial: Trial) -> dict[str, Any]:
        row: dict[str, Any] = {"optimizer": space.name, "trial": number, "state": trial.state}
        if trial.state == PRUNED:
            row["pruned_seed"] = self._seeds[len(trial.values) - 1]
            row["pruned_at_s"] = f"{self._goal.times[len(trial.values[-1]) - 1]:g}"
        if trial.state == COMPLETE:
            row["value"] = trial.value
        for columns, values in zip(self._looks(), trial.values, strict=False):
            row |= dict(zip(columns, values, strict=False))
        row |= {**trial.numbers, **self._told, "configuration": _configuration(space, trial.numbers)}
        return {column: str(value) for column, value in row.items()}

    def _trial(self, space: Space, number: int, row: Mapping[str, str]) -> Trial:
        """A row as a trial, if it is what these options would have written."""
        seeds = [column for column in row if column.startswith("seed_")]
        try:
            if seeds != [column for own in self._looks() for column in own]:
                raise KeyError(seeds)
            numbers = {
                column: int(row[column]) if one.whole else float(row[column]) for column, one in space.numbers.items()
            }
            looks = [[row[column] for column in own if row.get(column)] for own in self._looks()]
            values = tuple(tuple(map(float, own)) for own in looks if own)
            trial = Trial(numbers, row["state"], values)
            written = {column: value for column, value in row.items() if value}
            made = {column: value for column, value in self._row(space, number, trial).items() if value}
        except (KeyError, ValueError, IndexError, OverflowError):
            written, made = {"columns": ", ".join(seeds)}, {"columns": ""}
        if written != made:
            differs = next((name for name in made if written.get(name) != made[name]), "")
            what = f", as {differs} {written.get(differs, 'nothing')}" if differs else ""
            problem = f"trial {number} of {space.label} was made with other options, or changed{what}"
            raise BadInput("out", self._path, problem, "the options of these trials, or another folder")
        return trial


def _configuration(space: Space, numbers: Numbers) -> str:
    try:
        return space.config(numbers).configuration
    except BadInput:
        return ""
