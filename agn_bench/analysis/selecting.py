"""Which finished runs are wanted, by their rows of summary.csv: `--only workers=20,40`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from agn_bench.analysis.values import as_number, shown_value
from agn_bench.config.selection import chosen, name_and_numbers, same
from agn_bench.training.columns import NAMES, OWNERS, configuration_columns, is_number, number_column

Row = Mapping[Any, Any]

_MORE = ("seed", "status", "configuration")
"""Columns that can be asked for beside those of a configuration."""
_SHORTER = {"window_s": "window"}
"""What an option is called whose column has another name."""


def only(rows: Sequence[Row], conditions: Sequence[str]) -> list[Row]:
    """The rows that meet every condition, as `agn-bench sweep` takes them (see config/selection.py).

    Raises:
        BadInput: a condition is none, or no run meets them.
    """
    return chosen([(row, _OfRow(row)) for row in rows], conditions)


class _OfRow:
    """A finished run, by its row of summary.csv, whose columns have the types of columns.SUMMARY_TYPES."""

    def __init__(self, row: Row) -> None:
        import pandas as pd

        columns = [*configuration_columns(row), *_MORE]
        self._row = {column: None if pd.isna(row[column]) else row[column] for column in columns if column in row}
        self._column = {**{_word(column): column for column in reversed(columns)}, **{one: one for one in columns}}

    def keys(self) -> Iterable[str]:
        return self._column

    def shown(self, key: str) -> str:
        return shown_value(self._row.get(self._column[key]))

    def has(self, key: str, wanted: str) -> bool:
        column = self._column.get(key, key)
        value = self._row.get(column)
        if column not in OWNERS:
            return _same(column, value, wanted)
        name, numbers = name_and_numbers(wanted)
        columns = [(number_column(column, number), said) for number, said in numbers]
        return name.lower() in _spellings(str(value)) and all(
            _same(number, self._row.get(number), said) for number, said in columns
        )


def _word(column: str) -> str:
    """What a column may be called too: the number's own name, or the option's."""
    owner = next((prefix for prefix in OWNERS.values() if column.startswith(prefix)), "")
    return _SHORTER.get(column, column.removeprefix(owner) if is_number(column) else column)


def _spellings(name: str) -> list[str]:
    """How something can be named that was chosen, in small letters; a user's is in the file as `stem-hash:Class`."""
    stem, _, label = name.rpartition(":")
    return [text.lower() for text in (name, label, f"{re.sub('-[0-9a-f]{8}$', '', stem)}.py:{label}")]


def _same(column: str, value: object, wanted: str) -> bool:
    """Whether a condition says what a column has. A declared number stands there as text."""
    number = as_number(value) if isinstance(value, str) and column not in (*NAMES, *_MORE) else None
    return same(value if number is None else number, wanted)
