"""Our own CSV files, read with the types that their columns are declared to have. Nothing is guessed.

A guess takes the hash 27e79756 for infinity, the name `NA` for nothing, and a large whole number in a column with
blanks for one that is nearly as large. So whoever knows a file says what its columns hold (those of runs' files are in
training/columns.py), and a column that nobody has declared is text.
"""

from __future__ import annotations

import warnings
import zlib
from collections import defaultdict
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

TEXT, WHOLE, NUMBER, FLAG = "str", "Int64", "float64", "boolean"
"""What a column holds: text, whatever it looks like; whole numbers, to the last of 64 bits; numbers; true and false.
In each of them a blank is nothing."""
Types = Mapping[str, str]
"""What the columns of a file hold, by name."""

UNREADABLE = (ValueError, KeyError, OSError, EOFError, zlib.error)
"""What reading a file raises that is not what it should be."""
_WRONG = {
    WHOLE: "has no whole number in column {} of some row",
    NUMBER: "has text in column {}",
    FLAG: "has neither true nor false in column {} of some row",
}
_NOT_OF_THE_TYPE = (ValueError, TypeError, OverflowError)


class WrongType(ValueError):
    """A column does not hold what it is declared to hold. The text says which, as in `has text in column time_s`."""


def read_table(source: Path | bytes, types: Types, *, blanks: bool = True) -> pd.DataFrame:
    """A CSV file whose columns have their declared types. Those that `types` does not name are text.

    Args:
        source: a file, decompressed if its name says that it is compressed; or a file's content.
        blanks: whether a blank cell of a column of texts is nothing (NaN), or the empty text.

    Raises:
        WrongType: a column holds something else.
        ValueError, OSError, EOFError, zlib.error: it cannot be read, or a row has more cells than there are columns.
    """
    try:
        return _read(source, types, blanks)
    except _NOT_OF_THE_TYPE as error:
        wrong = _wrong_column(source, types)
        raise (ValueError(str(error)) if wrong is None else WrongType(_WRONG[types[wrong]].format(wrong))) from None


def _read(source: Path | bytes, types: Types, blanks: bool = True) -> pd.DataFrame:
    import pandas as pd

    def from_start() -> Path | BytesIO:
        return source if isinstance(source, Path) else BytesIO(source)

    with warnings.catch_warnings(action="error", category=pd.errors.ParserWarning):
        try:
            names = pd.read_csv(from_start(), dtype=TEXT, nrows=0, index_col=False)
            declared = {str(name): types[str(name)] for name in names if str(name) in types}
            return pd.read_csv(
                from_start(),
                dtype=defaultdict(lambda: TEXT, declared),  # what is not declared would be guessed without this
                keep_default_na=False,
                na_values=[""] if blanks else None,
                index_col=False,
            )
        except pd.errors.ParserWarning as error:  # a row that is too long
            raise ValueError(str(error)) from None


def _wrong_column(source: Path | bytes, types: Types) -> str | None:
    """The first column that does not hold what it should. If something else is wrong with the file, it says that."""
    columns = [str(column) for column in _read(source, {}) if column in types]
    for column in columns:
        try:
            _read(source, {column: types[column]})
        except _NOT_OF_THE_TYPE:
            return column
    return None
