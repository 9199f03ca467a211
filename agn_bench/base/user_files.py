"""The reader of what a user brings as a file, TOML or CSV: it knows where in the file everything stands.

Whether a file is TOML or CSV at all is decided here. What may be in it is decided by the module that asks for it, which
names places in it by Places and by CsvFile.
"""

from __future__ import annotations

import csv
import io
import math
import tomllib
import warnings
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from agn_bench.base.inputs import BadInput, read_bytes
from agn_bench.base.toml_places import Places

if TYPE_CHECKING:
    import pandas as pd

_MOST_CHARACTERS = 60


def parse_toml(option: str, file: object, content: bytes, accepted: str) -> tuple[Places, dict[str, Any]]:
    """The tables of a TOML file's content, and where in it they are; BadInput if it is none."""
    try:
        text = content.decode("utf-8-sig")
        return Places(text), tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        problem = "not UTF-8 text" if isinstance(error, UnicodeDecodeError) else f"not TOML ({error or 'too deep'})"
        raise BadInput(option, file, problem, accepted) from None


class Cell(NamedTuple):
    """A cell of a CSV file, shown as complaints name it: `line 7, applied_s = x`."""

    line: int
    column: str
    value: object

    def __str__(self) -> str:
        return f"line {self.line}, {self.column} = {str(self.value)[:_MOST_CHARACTERS] or 'nothing'}"


@dataclass(frozen=True)
class CsvFile:
    """A CSV file with a header and rows, which are counted from 0 without the blank ones."""

    option: str
    """Which has given the file."""
    path: Path
    content: bytes
    frame: pd.DataFrame
    """Its index is the number of each row's line."""

    def __contains__(self, column: str) -> bool:
        return column in self.frame

    def __len__(self) -> int:
        return len(self.frame)

    def numbers(self, column: str) -> np.ndarray:
        """A column as float64, NaN where it has no number."""
        cells = self.frame[column].to_numpy(object)
        try:
            values: np.ndarray = cells.astype(np.float64)
        except (ValueError, OverflowError):  # there are others among them
            return np.array([_as_float(cell) for cell in cells], np.float64)
        if b"_" in self.content.partition(b"\n")[2]:  # Python takes 1_0 for 10
            values[[isinstance(cell, str) and "_" in cell for cell in cells]] = np.nan
        return values

    def cell(self, row: int, column: str) -> Cell:
        """A cell; of a column that the file does not have, where a value for it was derived."""
        value = self.frame[column].iloc[row] if column in self else "(derived)"
        return Cell(int(self.frame.index[row]), column, value.item() if isinstance(value, np.generic) else value)

    def refuse(self, row: int, column: str | None, problem: str, accepted: str) -> BadInput:
        """A complaint about a cell, or about a whole row if `column` is None."""
        where = f"line {self.frame.index[row]}" if column is None else self.cell(row, column)
        return BadInput(self.option, f"{self.path}, {where}", problem, accepted)

    def require(self, holds: np.ndarray, column: str, problem: str, accepted: str) -> None:
        """Raise BadInput about the first cell of `column` for which something does not hold."""
        wrong = np.flatnonzero(~holds)
        if len(wrong):
            raise self.refuse(int(wrong[0]), column, problem, accepted)


def read_csv(option: str, path: Path, columns: Collection[str], accepted: str) -> CsvFile:
    """Read a CSV file.

    Raises:
        BadInput: it cannot be read, is no CSV file, has no rows, or lacks one of `columns`.
    """
    import pandas as pd

    content = read_bytes(option, path, accepted)
    try:
        header, frame = _parsed(content)
    except (ValueError, OverflowError, csv.Error, pd.errors.ParserWarning) as error:
        problem = str(error).strip().splitlines()[0] if str(error).strip() else "empty"
        raise BadInput(option, path, f"not CSV ({problem})", accepted) from None
    for column in columns:
        if column not in frame:
            raise BadInput(option, path, f"has no column {column[:_MOST_CHARACTERS]}", accepted)
        if header.count(column) > 1:
            problem = f"has {header.count(column)} columns {column[:_MOST_CHARACTERS]}"
            raise BadInput(option, path, problem, accepted)
    if frame.empty:
        raise BadInput(option, path, "has no rows", accepted)
    return CsvFile(option, path, content, frame)


def _parsed(content: bytes) -> tuple[list[str], pd.DataFrame]:
    """The names of the columns, as they are written, and the rows that are not blank, each at its line."""
    import pandas as pd

    with warnings.catch_warnings(action="error", category=pd.errors.ParserWarning):
        # Blank lines count as lines, and are left out only afterwards.
        table = pd.read_csv(
            io.BytesIO(content), dtype=str, index_col=False, skip_blank_lines=False, keep_default_na=False
        )
    table.index += 2  # the header is line 1
    if b'"' in content:  # cells may span lines; and quotes that are out of place are taken amiss only here
        reader = csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True)
        header = next(reader)
        table.index = pd.Index([reader.line_num for _ in reader][: len(table)])
    else:
        header = next(csv.reader([content.decode("utf-8-sig").split("\n", 1)[0].strip()]), [])
    maybe_blank = np.flatnonzero(_nothing(table.iloc[:, 0]))  # few, and to look at all cells takes longer than to read
    cells = table.iloc[maybe_blank]
    blank = np.logical_and.reduce([_nothing(cells[name]) for name in cells])
    kept = np.ones(len(table), bool)
    kept[maybe_blank[blank]] = False
    return header, table if kept.all() else table[kept]


def _nothing(cells: pd.Series) -> np.ndarray:
    return (cells.isna() | (cells == "")).to_numpy(bool)


def _as_float(cell: object) -> float:
    try:
        return math.nan if isinstance(cell, bool) or "_" in str(cell) else float(cell)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return math.nan
