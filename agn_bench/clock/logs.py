"""Logs of clusters as people have them, brought into the form that trace.py reads: workers counted from 0, times in
seconds from the beginning of the run, rows in the order applied.

    workers     whole numbers, or names, as of hosts
    times       from the beginning, since 1970, or dates (see log_times.py)
    rows        in any order; some of them repeated, a few without a worker or a time

What is mended is said (see CsvFile.notes). A cell that is wrong by itself stays as it is, and trace.py refuses it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import numpy as np

from agn_bench.base.inputs import BadInput, natural, printable
from agn_bench.base.user_files import CsvFile, column_names, read_csv
from agn_bench.clock.log_times import as_decimal, each_time, in_seconds, is_nothing, times_of
from agn_bench.clock.timeline import TIMES

LOG_COLUMNS = ("worker", *TIMES, "exchange", "staleness", "phase", "steps", "pulled", "version", "accepted", "answered")
"""The columns of a log that are read."""
LARGEST_INDEX = 2**53
"""Workers' numbers from here on are told apart as texts only."""
_ACCEPTED = (
    "a CSV file, one row per exchange, with the columns worker, applied_s, or those that `columns` names instead "
    "(see docs/files.md)"
)
_OF_OTHER_ROWS = ("exchange", "staleness", "phase", "pulled", "version", "accepted", "answered")
"""Columns that say something of other rows, and would be wrong without them."""
_MOST_WORKERS = 1_000_000
_LONGEST_NAME = 255
_MOST_LEFT_OUT = 0.01
"""Rows without a worker or a time are left out up to this fraction of all rows."""
_LATE_PHASES = 5
"""A log without start_s starts late if its first exchange comes later than so many times a worker's usual time from one
to the next. A log that has it does if its first phase begins later than a usual phase lasts."""
_TICKS = 5
"""By a clock that has fewer ticks in a worker's usual time, a worker may well make two exchanges at one time."""
_SHOWN, _CHARACTERS = 4, 40
"""Workers whose numbers are said, and how much of their names."""


class _Begin(NamedTuple):
    """When a log's run began by the log's own times, s, and what is said of it; 0 where its times count from there."""

    at: Decimal = Decimal(0)
    note: str = ""


def read_log(path: Path, columns: object = None) -> CsvFile:
    """Read a log, and mend what can be.

    Args:
        columns: what the option `columns` says: by which names the file has the columns.

    Raises:
        BadInput: with the line and the column of what cannot be used.
    """
    names = {} if columns is None else column_names(columns, LOG_COLUMNS)
    read = read_csv("timeline", path, ("worker", "applied_s"), _ACCEPTED, names)
    table, since_1970 = in_seconds(_complete(read), names)
    table = _numbered(table)
    if not all(np.isfinite(table.numbers(column)).all() for column in ("worker", "applied_s")):
        return table  # and trace.py refuses it
    table = _once(table)
    begin = _begin(table, since_1970)
    counted = table
    for column in times_of(table) if begin.at else ():
        counted = each_time(counted, lambda time: time - begin.at, column)
    order, note = _order(counted)
    if note:
        table, counted = table.rows(order), counted.rows(order).noting(note)
    content = read.content
    if table.frame is not read.frame:  # what the log says, and not how, names the runs that are made of it
        content = table.spelled_plainly()
    if begin.at:
        content = b"%s\nfrom %r s" % (content, float(begin.at))
        counted = counted.noting(begin.note)
    return replace(counted, content=content)


# --- its rows ---


def _complete(table: CsvFile) -> CsvFile:
    """The table without the rows that lack a worker or a time, if these are few."""
    lacking = _nothing(table, "worker") | _nothing(table, "applied_s")
    count = int(lacking.sum())
    if not 0 < count <= _MOST_LEFT_OUT * len(table) or any(column in table for column in _OF_OTHER_ROWS):
        return table
    lack = "1 row lacks a worker or a time, and is" if count == 1 else f"{count} rows lack a worker or a time, and are"
    effect = "around each of them the others' commits are 1 less stale than they were"
    return table.rows(np.flatnonzero(~lacking)).noting(f"{lack} left out; {effect}")


def _nothing(table: CsvFile, column: str) -> np.ndarray:
    """Where a column has nothing."""
    empty = np.isnan(table.numbers(column))
    cells = table.cells(column)
    empty[empty] = [is_nothing(cell) for cell in cells[empty]]
    return empty


def _once(table: CsvFile) -> CsvFile:
    """The table without rows that repeat others exactly, unless they may be exchanges of their own."""
    if not table.frame.duplicated(["worker", "applied_s"]).any():
        return table
    repeated = table.frame.duplicated().to_numpy()
    applied, worker = table.numbers("applied_s"), table.numbers("worker")
    ticks = np.diff(np.unique(applied))
    if not (len(ticks) and _usual_gap(applied[~repeated], worker[~repeated]) > _TICKS * ticks.min()):
        # By so coarse a clock a worker may have made both, but not if they lasted.
        repeated = repeated & (table.numbers("start_s") < applied if "start_s" in table else False)
    count = int(repeated.sum())
    if not count:
        return table
    repeat = "1 row repeats another, and is" if count == 1 else f"{count} rows repeat others, and are"
    return table.rows(np.flatnonzero(~repeated)).noting(f"{repeat} left out")


def _usual_gap(applied: np.ndarray, worker: np.ndarray) -> float:
    """The usual time from one exchange of a worker to the next, s; 0 if none makes two."""
    order = np.lexsort((applied, worker))
    gaps = np.diff(applied[order])[np.diff(worker[order]) == 0]
    return max(0.0, float(np.median(gaps))) if len(gaps) else 0.0


def _order(table: CsvFile) -> tuple[np.ndarray, str]:
    """The rows in the order applied, and what is said if they stand in another: by time, then as the log counts them,
    then as they stand.
    """
    keys = [table.numbers(column) for column in ("version", "exchange", "applied_s") if column in table]
    order = np.lexsort([key for key in keys if np.isfinite(key).all()])
    rank = np.argsort(order)
    late = int((rank < np.maximum.accumulate(rank)).sum())
    rows = "1 row stands" if late == 1 else f"{late} rows stand"
    return order, f"{rows} below others that were applied later; its rows are put in order" if late else ""


# --- its workers ---


def _numbered(table: CsvFile) -> CsvFile:
    """The table with workers counted from 0, in the natural order of their numbers or names."""
    worker = table.numbers("worker")
    present = np.unique(worker)
    if np.array_equal(present, np.arange(len(present))):
        return table
    row_of: dict[str, int] = {}  # the first of each
    texts = _names(worker, table.cells("worker"))
    for row, text in enumerate(texts):
        row_of.setdefault(text, row)
    if not _are_names(row_of, table):
        return table
    names = sorted(row_of, key=natural)
    number = {name: str(rank) for rank, name in enumerate(names)}
    return table.with_cells("worker", np.array([number[text] for text in texts], object)).noting(_of_names(names))


def _names(worker: np.ndarray, cells: np.ndarray) -> list[str]:
    """What each row's worker is called. Two spellings of a number are one name."""
    if ((worker >= 0) & (worker == np.floor(worker)) & (worker < LARGEST_INDEX)).all():
        return [f"{value:.0f}" for value in worker]
    return [str(cell).strip() for cell in cells]


def _are_names(row_of: Mapping[str, int], table: CsvFile) -> bool:
    """Whether workers are called so. They are not if most are numbers and some are none; trace.py refuses these."""
    if len(row_of) > _MOST_WORKERS:
        raise BadInput("timeline", table.path, f"has {len(row_of)} workers", f"up to {_MOST_WORKERS} workers")
    accepted = f"a number or a name of up to {_LONGEST_NAME} characters in every row"
    for name, row in row_of.items():
        if len(name) > _LONGEST_NAME:
            raise table.refuse(row, "worker", "too long", accepted)
    if all(map(_is_number, row_of)):
        return True
    if 2 * sum(as_decimal(name) is not None for name in row_of) >= len(row_of):
        return False
    for name, row in row_of.items():
        if is_nothing(name):
            raise table.refuse(row, "worker", "no worker", accepted)
    return True


def _is_number(name: str) -> bool:
    return name.isascii() and name.isdigit()


def _of_names(names: list[str]) -> str:
    """By which numbers workers are known, and which numbers are missing."""

    def shortened(name: str) -> str:
        return printable(name if len(name) <= _CHARACTERS else name[:_CHARACTERS] + "…")

    told = [f"{shortened(name)} is {number}" for number, name in enumerate(names)]
    if len(told) > _SHOWN:
        told[_SHOWN - 1 : -1] = ["…"]
    note = f"its workers are numbered in the order of their names: {', '.join(told)}"
    if not all(map(_is_number, names)) or int(names[-1]) >= 2 * len(names):  # they do not count up
        return note
    missing = sorted(set(range(1, int(names[-1]))) - set(map(int, names)))
    which = ", ".join(map(str, missing[:_SHOWN])) + (", …" if len(missing) > _SHOWN else "")
    return f"{note}; no row is of {which}" if missing else note


# --- its beginning ---


def _begin(table: CsvFile, since_1970: bool) -> _Begin:
    """The beginning of the run that a table records.

    A log that says when phases began says when the run did. For another, the beginning is taken to be a usual phase
    before its first exchange, if the exchange comes much later than after one.
    """
    firsts = {column: _first(table.numbers(column)) for column in times_of(table)}
    applied, worker = table.numbers("applied_s"), table.numbers("worker")
    first = min(firsts.values())
    if firsts.get("start_s", 0.0) == np.inf:  # it has none
        return _Begin()
    if "start_s" in table:
        cells = [table.cells(column) for column in firsts if firsts[column] == first]
        begin = min(time for each in cells for time in map(as_decimal, each) if time is not None)
        start = table.numbers("start_s")
        late = first > float(np.median((applied - start)[np.isfinite(start)]))
        why = "so that its first phase begins at 0"
    else:
        usual = _usual_gap(applied, worker)
        begin = Decimal(repr(min(first, firsts["applied_s"] - usual)))
        late = firsts["applied_s"] > _LATE_PHASES * usual > 0
        why = f"so that its first exchange takes {usual:.3g} s, as is usual in it"
    if not (since_1970 or late) or begin <= 0:
        return _Begin()
    counted = "its times count from 1970" if since_1970 else "it starts late"
    off = f"{begin:.3f}".rstrip("0").rstrip(".")
    return _Begin(begin, f"{counted}; {off} s are taken off its times, {why}")


def _first(times: np.ndarray) -> float:
    return float(times[np.isfinite(times)].min(initial=np.inf))
