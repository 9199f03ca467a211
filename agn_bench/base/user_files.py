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
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from agn_bench.base.csv_text import Form, as_plain_csv, form_of, same_rows
from agn_bench.base.inputs import BadInput, NeverAccepted, read_bytes, unknown
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
    """As it was read, or if its form is other than plain CSV, as plain CSV: by this runs are named."""
    frame: pd.DataFrame
    """Its index is the number of each row's line."""
    notes: tuple[str, ...] = ()
    """What was guessed of its form, and mended in it, a sentence each."""
    as_given: Mapping[str, pd.Series] = field(default_factory=dict)
    """The cells of columns that were spelled otherwise in the file, by line: complaints show them."""

    def __contains__(self, column: str) -> bool:
        return column in self.frame

    def __len__(self) -> int:
        return len(self.frame)

    def cells(self, column: str) -> np.ndarray:
        """A column as it stands, texts as objects; NaN where the row has no such cell."""
        return self.frame[column].to_numpy(object)

    def numbers(self, column: str) -> np.ndarray:
        """A column as float64, NaN where it has no number."""
        cells = self.cells(column)
        try:
            values: np.ndarray = cells.astype(np.float64)
        except (ValueError, OverflowError):  # there are others among them
            return np.array([_as_float(cell) for cell in cells], np.float64)
        if b"_" in self.content.partition(b"\n")[2]:  # Python takes 1_0 for 10
            values[[isinstance(cell, str) and "_" in cell for cell in cells]] = np.nan
        return values

    def blank(self, column: str) -> np.ndarray:
        """In which rows a column has nothing."""
        return _nothing(self.frame[column].str.strip())

    def cell(self, row: int, column: str) -> Cell:
        """A cell; of a column that the file does not have, where a value for it was derived."""
        if column not in self:
            value: object = "(derived)"
        elif column in self.as_given:
            value = self.as_given[column].loc[self.frame.index[row]]
        else:
            value = self.frame[column].iloc[row]
        return Cell(int(self.frame.index[row]), column, value.item() if isinstance(value, np.generic) else value)

    def rows(self, which: np.ndarray) -> CsvFile:
        """The same with these rows, in this order."""
        return replace(self, frame=self.frame.iloc[which])

    def with_cells(self, column: str, cells: np.ndarray) -> CsvFile:
        """The same with a column that is spelled otherwise."""
        as_given = self.as_given if column in self.as_given else {**self.as_given, column: self.frame[column]}
        return replace(self, frame=self.frame.assign(**{column: cells}), as_given=as_given)

    def noting(self, note: str) -> CsvFile:
        """The same with one thing more that was guessed or mended, as in `its rows were not in order`."""
        return replace(self, notes=(*self.notes, _note(self.path, note)))

    def spelled_plainly(self) -> bytes:
        """Its header and cells as plain CSV."""
        written = io.StringIO()
        writer = csv.writer(written, lineterminator="\n")
        writer.writerow(self.frame.columns)
        columns = [self.cells(column) for column in self.frame.columns]
        writer.writerows(
            ["" if cell != cell else str(cell).strip() for cell in row] for row in zip(*columns, strict=True)
        )
        return written.getvalue().encode()

    def refuse(self, row: int, column: str | None, problem: str, accepted: str) -> BadInput:
        """A complaint about a cell, or about a whole row if `column` is None."""
        where = f"line {self.frame.index[row]}" if column is None else self.cell(row, column)
        return BadInput(self.option, f"{self.path}, {where}", problem, accepted)

    def require(self, holds: np.ndarray, column: str, problem: str, accepted: str) -> None:
        """Raise BadInput about the first cell of `column` for which something does not hold."""
        wrong = np.flatnonzero(~holds)
        if len(wrong):
            raise self.refuse(int(wrong[0]), column, problem, accepted)


def column_names(text: object, known: Collection[str]) -> dict[str, str]:
    """What the option `columns` says, as in `worker=host,applied_s=ts`: by the name of a column that is read, the name
    that it has in the file.

    Args:
        known: the columns that are read.

    Raises:
        BadInput: it says something else.
    """
    accepted = f"OURS=THEIRS, several separated by commas, with OURS one of {', '.join(known)}"
    names: dict[str, str] = {}
    for part in str(text).split(","):
        ours, equals, theirs = (side.strip() for side in part.partition("="))
        if not (ours and equals and theirs):
            raise NeverAccepted("columns", text, "not of the form OURS=THEIRS", accepted)
        if ours not in known:
            raise NeverAccepted("columns", text, f"{ours[:_MOST_CHARACTERS]}: {unknown(ours, known)}", accepted)
        if ours in names or theirs in names.values():
            twice = ours if ours in names else theirs
            raise NeverAccepted("columns", text, f"{twice[:_MOST_CHARACTERS]} is in it twice", accepted)
        names[ours] = theirs
    return names


def read_csv(
    option: str, path: Path, columns: Collection[str], accepted: str, names: Mapping[str, str] | None = None
) -> CsvFile:
    """Read a CSV file, in any of the forms that csv_text knows.

    Args:
        columns: that it must have.
        names: those that columns have in the file, where they are other ones (see column_names).

    Raises:
        BadInput: it cannot be read, is no CSV file, has no rows, or lacks one of `columns` or of `names`.
    """
    import pandas as pd

    names = names or {}
    content = read_bytes(option, path, accepted)
    wanted = dict.fromkeys([*(names.get(column, column) for column in columns), *names.values()])
    try:
        form = form_of(content, wanted)
    except (ValueError, csv.Error) as error:
        raise BadInput(option, path, f"not CSV ({error})", accepted) from None
    for column in wanted:
        named = form.header.count(column)
        if not named:
            seen = ", ".join(form.header)[:_MOST_CHARACTERS]
            raise BadInput(option, path, f"has no column {column[:_MOST_CHARACTERS]}; it has {seen}", accepted)
        if named > 1:
            raise BadInput(option, path, f"has {named} columns {column[:_MOST_CHARACTERS]}", accepted)
    form = _renamed(form, names)
    if not form.rows.strip():
        raise BadInput(option, path, "has no rows", accepted)
    try:
        form, frame = _parsed(form)
    except (ValueError, OverflowError, csv.Error, pd.errors.ParserWarning) as error:
        problem = str(error).strip().splitlines()[0] if str(error).strip() else "empty"
        raise BadInput(option, path, f"not CSV ({problem})", accepted) from None
    if frame.empty:
        raise BadInput(option, path, "has no rows", accepted)
    if not form.as_ever:  # what the file says, and not how it is spelled, names the runs that are made of it
        content = as_plain_csv(form)
    return CsvFile(option, path, content, frame, tuple(_note(path, note) for note in form.notes))


def _note(path: Path, note: str) -> str:
    return f"{path.name}: {note}."


def _renamed(form: Form, names: Mapping[str, str]) -> Form:
    """The form with the names by which its columns are read. One that has such a name, but is not it, is put aside."""
    ours = {theirs: name for name, theirs in names.items()}
    header = [ours.get(column, f"({column})" if column in names else column) for column in form.header]
    return form if header == form.header else replace(form, header=header, as_ever=False)


def _parsed(form: Form) -> tuple[Form, pd.DataFrame]:
    """The rows that are not blank, each at its line, and the form in which they could be read."""
    import pandas as pd

    try:
        table = _table(form)
    except (ValueError, pd.errors.ParserWarning):  # rows are of different lengths
        form = replace(form, rows=same_rows(form), as_ever=False)
        table = _table(form)
    table.index += form.first_line
    if '"' in form.rows and form.separator != " ":
        # Cells may span lines; and quotes that are out of place are taken amiss only here.
        text = io.StringIO(form.rows, newline="")
        reader = csv.reader(text, delimiter=form.separator, skipinitialspace=True, strict=True)
        table.index = pd.Index([form.first_line - 1 + reader.line_num for _ in reader][: len(table)])
    return form, _not_blank(table)


def _table(form: Form) -> pd.DataFrame:
    """All rows. Blank lines are rows, too, and are left out only afterwards."""
    import pandas as pd

    names = [f"{name}.{form.header[:at].count(name)}" if name in form.header[:at] else name
             for at, name in enumerate(form.header)]  # fmt: skip
    with warnings.catch_warnings(action="error", category=pd.errors.ParserWarning):
        return pd.read_csv(
            io.StringIO(form.rows), dtype=str, header=None, names=names, index_col=False,
            sep=r"\s+" if form.separator == " " else form.separator,
            skipinitialspace=True, skip_blank_lines=False, keep_default_na=False,
        )  # fmt: skip


def _not_blank(table: pd.DataFrame) -> pd.DataFrame:
    """The rows in which there is anything. Few need a look: to look at all cells takes longer than to read them."""
    maybe_blank = np.flatnonzero(_nothing(table.iloc[:, 0]))
    cells = table.iloc[maybe_blank]
    blank = np.logical_and.reduce([_nothing(cells[name]) for name in cells])
    kept = np.ones(len(table), bool)
    kept[maybe_blank[blank]] = False
    return table if kept.all() else table[kept]


def _nothing(cells: pd.Series) -> np.ndarray:
    return (cells.isna() | (cells == "")).to_numpy(bool)


def _as_float(cell: object) -> float:
    try:
        return math.nan if isinstance(cell, bool) or "_" in str(cell) else float(cell)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return math.nan
