"""The distributions whose times were measured, read from CSV files and checked.

Every complaint names the key of the profile that is to blame, and of a bad cell the file's line.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from agn_bench.base.inputs import BadInput, content_hash, in_home, natural, printable, shown
from agn_bench.base.quantities import LEAST_SECONDS, MOST_SECONDS, Accepted
from agn_bench.base.user_files import CsvFile, read_csv
from agn_bench.clock.distributions import Distribution, Empirical
from agn_bench.clock.origin import Origin
from agn_bench.clock.recorded import COLUMNS, Recorded


def read_times(
    kind: type[Distribution], part: str, origin: Origin, folder: Path, numbers: Mapping[str, Any]
) -> Distribution:
    """The distribution of one of COLUMNS that a table of a profile describes.

    Args:
        part: the table.
        folder: from which the path of its file counts.
        numbers: those that the table gives, checked.

    Raises:
        BadInput: the file cannot be read, or something in it cannot be used.
    """
    return _Reader(part, origin, folder).distribution(kind, numbers)


class _Reader:
    def __init__(self, part: str, origin: Origin, folder: Path) -> None:
        self._part, self._origin, self._folder = part, origin, folder
        self._table: Mapping[str, Any] = origin.tables[part]

    def distribution(self, kind: type[Distribution], numbers: Mapping[str, Any]) -> Distribution:
        file = self._text("file", "a CSV file's path from this file")
        columns = {
            key: self._text(key, "the name of a column of it", default) for key, default in COLUMNS[kind].items()
        }
        what = "a column of seconds" if kind is Empirical else "a column of workers and one of times"
        accepted = f"a CSV file with {what}, 0 or more"
        csv = self._read(self._folder / in_home(file), columns, accepted)
        seconds = self._seconds(csv, columns["column"], numbers.get("unit", 1.0), accepted)
        name = f"{printable(csv.path.stem)}-{content_hash(csv.content)}"
        if kind is Empirical:
            return Empirical(name, columns["column"], seconds)
        times, lengths = self._by_worker(csv, columns["worker"], seconds, accepted)
        return Recorded(name, columns["worker"], columns["column"], times, lengths, **numbers)

    def _text(self, key: str, accepted: str, default: str | None = None) -> str:
        value = self._table.get(key, default)
        if value is None:
            raise self._origin.refuse(self._part, None, f"{self._part}.{key}", "missing", accepted, ("distribution",))
        if not isinstance(value, str):
            raise self._origin.refuse(self._part, key, self._shown(key), "not a text", accepted)
        return value

    def _shown(self, key: str, default: object = None) -> str:
        return f"{self._part}.{key} = {shown(self._table.get(key, default))}"

    def _read(self, path: Path, columns: Mapping[str, str], accepted: str) -> CsvFile:
        try:
            return read_csv("delays", path, columns.values(), accepted)
        except BadInput as error:
            about = re.match(r"has (?:no|\d+) columns? ", error.problem)
            named = error.problem[about.end() :].partition("; it has")[0] if about else None
            blamed = [key for key, name in columns.items() if named and name.startswith(named)]  # long ones are cut
            key = min(blamed, key=lambda key: len(columns[key]), default="file")
            chosen = ("file", *columns)
            what = self._shown(key, columns.get(key))
            raise self._origin.refuse(self._part, key, what, error.problem, error.accepted, chosen) from None

    def _seconds(self, csv: CsvFile, column: str, unit: float, accepted: str) -> np.ndarray:
        """The times, (rows,) float64, in seconds."""
        seconds = unit * csv.numbers(column)
        wrong = np.flatnonzero(~((seconds >= 0) & (seconds <= MOST_SECONDS)))
        if len(wrong):
            value, cell = float(seconds[wrong[0]]), csv.cell(int(wrong[0]), column)
            problem = "not a number" if math.isnan(value) else Accepted(0, MOST_SECONDS).problem(value)
            raise self._refuse_file(f"its line {cell.line} has {shown(cell.value)}, {problem}", accepted)
        return seconds

    def _by_worker(
        self, csv: CsvFile, column: str, seconds: np.ndarray, accepted: str
    ) -> tuple[np.ndarray, np.ndarray]:
        """The times worker by worker, the workers in the natural order of their names, and how many each has."""
        names = np.array([str(name).strip() for name in csv.frame[column].to_numpy(object)], object)
        unnamed = np.flatnonzero(names == "")
        if len(unnamed):
            raise self._refuse_file(f"its line {csv.cell(int(unnamed[0]), column).line} has no worker", accepted)
        workers = sorted(set(names), key=natural)
        place = {name: number for number, name in enumerate(workers)}
        series = np.array([place[name] for name in names])
        times, lengths = seconds[np.argsort(series, kind="stable")], np.bincount(series)
        if self._part == "step":
            means = np.bincount(series, seconds) / lengths
            for name in np.array(workers, object)[means < LEAST_SECONDS]:
                says = f"steps of at least {LEAST_SECONDS:g} s on average, of each worker"
                raise self._refuse_file(f"worker {shown(name)} takes no time", says, "unit")
        return times, lengths

    def _refuse_file(self, problem: str, accepted: str, *others: str) -> BadInput:
        return self._origin.refuse(self._part, "file", self._shown("file"), problem, accepted, (*others, "column"))
