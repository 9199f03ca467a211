"""The times of a log in seconds, whatever they count in: seconds to nanoseconds since 1970 or from the beginning, or
dates.

They are taken as the decimals that they are written as, since a float holds seconds since 1970 to 2e-7 s only.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from agn_bench.base.user_files import CsvFile
from agn_bench.clock.timeline import TIMES

A_TIME = "seconds from the beginning, seconds to nanoseconds since 1970, or dates as in 2026-05-28T20:00:02.5Z"
_A_DATE = "dates in every row, as in 2026-05-28T20:00:02.5Z or 2026-05-28 22:00:02.5+02:00"
_FROM_BEGINNING, _SINCE_1970, _WITHOUT_ZONE = "the beginning", "1970", "a date without a zone"
"""From when times count."""
_TURNED_BACK_S = (1800.0, 3600.0)
"""Clocks without a zone that are turned back by an hour, between two rows at most half an hour apart, show this."""


class _Unit(NamedTuple):
    name: str
    digits: int
    """A second has ten to the power of so many."""
    least: float
    """A number from here on is taken for one of these since 1970: it is one of 1973 or later."""
    endings: tuple[str, ...]
    """How the name of a column ends whose times count in this unit from the beginning."""


_SECONDS = _Unit("seconds", 0, 1e8, ())
_UNITS = (
    _SECONDS,
    _Unit("milliseconds", 3, 1e11, ("ms", "millis", "milliseconds")),
    _Unit("microseconds", 6, 1e14, ("us", "µs", "micros", "microseconds")),
    _Unit("nanoseconds", 9, 1e17, ("ns", "nanos", "nanoseconds")),
)
_DATE = re.compile(
    r"(\d{4})[-/](\d\d)[-/](\d\d)[T ]+(\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,18}))?)? ?(Z|UTC|GMT|[+-]\d\d(?::?\d\d)?)?",
    re.ASCII | re.IGNORECASE,
)
_1970 = datetime(1970, 1, 1)
_NOTHING = ("", "nan", "nat", "none", "null", "na", "n/a")


class _Clock(NamedTuple):
    """What the times of a column are."""

    since: str
    said: str = ""
    """What was guessed of them."""


def is_nothing(cell: object) -> bool:
    """Whether a cell has neither a number nor a text."""
    return str(cell).strip().lower() in _NOTHING


def times_of(table: CsvFile) -> list[str]:
    """The columns of times that a log has."""
    return [column for column in TIMES if column in table]


def each_time(table: CsvFile, change: Callable[[Decimal], Decimal], column: str) -> CsvFile:
    """The table with a column of times changed; cells that are no numbers stay as they are."""

    def changed(cell: object) -> object:
        value = as_decimal(cell)
        return cell if value is None else _plain(change(value))

    return table.with_cells(column, np.array([changed(cell) for cell in table.cells(column)], object))


def as_decimal(cell: object) -> Decimal | None:
    """A cell as the decimal that it is written as, if it is one that a float can hold."""
    text = str(cell)
    try:
        return Decimal(text.strip()) if "_" not in text and math.isfinite(float(text)) else None
    except (ValueError, ArithmeticError):
        return None


def _plain(value: Decimal) -> str:
    return f"{value.normalize():f}" if -40 < value.adjusted() < 40 else str(value)


def in_seconds(table: CsvFile, names: Mapping[str, str]) -> tuple[CsvFile, bool]:
    """The table with all times in seconds, and whether they count from 1970.

    Args:
        names: by which the file has its columns, where they are other ones.

    Raises:
        BadInput: with the line and the column of a time that counts otherwise than others.
    """
    clocks: dict[str, _Clock] = {}
    for column in times_of(table):
        cells = table.cells(column)
        first = next((row for row, cell in enumerate(cells) if not is_nothing(cell)), None)
        if first is None:
            continue
        if _DATE.fullmatch(str(cells[first]).strip()):
            table, clocks[column] = _dates(table, column, first)
        else:
            table, clocks[column] = _numbers(table, column, names.get(column, column))
    applied = clocks.get("applied_s", _Clock(_FROM_BEGINNING))
    for column, clock in clocks.items():
        if clock.since != applied.since:
            problem = f"counts from {clock.since}, and applied_s from {applied.since}"
            raise table.refuse(0, column, problem, "times that all count from the same moment")
    for said in dict.fromkeys(clock.said for clock in clocks.values() if clock.said):
        alike = [names.get(column, column) for column, clock in clocks.items() if clock.said == said]
        table = table.noting(f"{'its times' if len(alike) == len(clocks) else ', '.join(alike)} are {said}")
    return table, applied.since != _FROM_BEGINNING


def _numbers(table: CsvFile, column: str, called: str) -> tuple[CsvFile, _Clock]:
    """The table with a column of numbers in seconds, and what they were."""
    values = table.numbers(column)
    rows = np.flatnonzero(np.isfinite(values))
    if not len(rows) or values[rows].min() < _SECONDS.least:
        ending = re.split(r"[\W_]", called.strip(")]. "))[-1].lower()
        unit = next((unit for unit in _UNITS if ending in unit.endings), _SECONDS)
        clock = _Clock(_FROM_BEGINNING, "" if unit is _SECONDS else unit.name)
    else:
        which = np.searchsorted([unit.least for unit in _UNITS], values[rows], side="right") - 1
        unit = _UNITS[which[0]]
        for wrong in np.flatnonzero(which != which[0])[:1]:
            problem = f"looks like {_UNITS[which[wrong]].name} since 1970, and the first like {unit.name}"
            raise table.refuse(int(rows[wrong]), column, problem, "times that all count in the same unit")
        clock = _Clock(_SINCE_1970, "" if unit is _SECONDS else f"{unit.name} since 1970")
    if unit is not _SECONDS:
        table = each_time(table, lambda time: time.scaleb(-unit.digits), column)
    return table, clock


def _dates(table: CsvFile, column: str, first: int) -> tuple[CsvFile, _Clock]:
    """The table with a column of dates in seconds since 1970, and what they were. Without a zone they are taken as they
    stand.

    Args:
        first: the first row that has one.
    """
    cells = table.cells(column)
    found = [_DATE.fullmatch(str(cell).strip()) for cell in cells]
    zoned = _has_zone(found[first])
    seconds: list[str] = []
    for row, (cell, date) in enumerate(zip(cells, found, strict=True)):
        if date is None and not is_nothing(cell):
            raise table.refuse(row, column, "not a date, as others are", _A_DATE)
        if date is not None and _has_zone(date) != zoned:
            problem = "without a zone, and others have one" if zoned else "with a zone, and others have none"
            raise table.refuse(row, column, problem, "zones in all dates, or in none")
        try:
            seconds.append("" if date is None else _since_1970(date))
        except (ValueError, OverflowError):
            raise table.refuse(row, column, "no such date", _A_DATE) from None
    clock = _Clock(_SINCE_1970, "dates")
    if not zoned:
        _not_turned_back(table, column, np.array([float(each or "nan") for each in seconds]))
        clock = _Clock(_WITHOUT_ZONE, "dates without a zone, and are taken as they stand")
    return table.with_cells(column, np.array(seconds, object)), clock


def _has_zone(date: re.Match[str] | None) -> bool:
    return date is not None and date[8] is not None


def _since_1970(found: re.Match[str]) -> str:
    """The seconds from 1970 to a date, as a decimal."""
    *minute, second, fraction, zone = found.groups(default="0")
    if int(second) > 59:
        raise ValueError("no such second")
    return f"{_minute(*minute, zone) + int(second)}.{fraction}".rstrip("0").rstrip(".")


@lru_cache(maxsize=1000)
def _minute(year: str, month: str, day: str, hour: str, minute: str, zone: str) -> int:
    """The seconds from 1970 to the beginning of a minute."""
    date = datetime(int(year), int(month), int(day), int(hour), int(minute))
    if zone[0] in "+-":
        hours, minutes = int(zone[1:3]), int(zone[3:].lstrip(":") or 0)
        if hours > 23 or minutes > 59:
            raise ValueError("no such zone")
        east = timedelta(hours=hours, minutes=minutes)
        date -= east if zone[0] == "+" else -east
    if date < _1970:
        raise ValueError("before 1970")
    return round((date - _1970).total_seconds())


def _not_turned_back(table: CsvFile, column: str, seconds: np.ndarray) -> None:
    """Raise BadInput if the clock seems to have been turned back by an hour, at the end of daylight-saving time."""
    if column != "applied_s":
        return
    back = -np.diff(seconds)
    (rows,) = np.nonzero(back > 0)
    least, most = _TURNED_BACK_S
    if len(rows) == 1 and least < back[rows[0]] <= most:
        problem = "an hour before the row above, as when clocks are turned back"
        raise table.refuse(int(rows[0]) + 1, column, problem, "dates with a zone, as in 2026-05-28T22:00:02+02:00")
