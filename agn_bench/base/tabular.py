"""CSV files that a user gives, read so that complaints can name the line."""

from __future__ import annotations

import csv
import io
import math
import warnings
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from agn_bench.base.inputs import BadInput, read_bytes

if TYPE_CHECKING:
    import pandas as pd


def read_table(option: str, path: Path, columns: Collection[str], accepted: str) -> tuple[pd.DataFrame, bytes]:
    """A CSV file with a header and rows, its index the number of each row's line; and the file's content.

    Raises:
        BadInput: it cannot be read, is no CSV file, or lacks one of `columns`.
    """
    import pandas as pd

    content = read_bytes(option, path, accepted)
    try:
        with warnings.catch_warnings(action="error", category=pd.errors.ParserWarning):
            # Blank lines count as lines, and are left out only afterwards.
            table = pd.read_csv(
                io.BytesIO(content), index_col=False, skip_blank_lines=False, keep_default_na=False, low_memory=False
            )
            table.index += 2  # the header is line 1
            if b'"' in content:  # cells may span lines; and quotes that are out of place are taken amiss only here
                reader = csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True)
                header = next(reader)
                table.index = pd.Index([reader.line_num for _ in reader][: len(table)])
            else:
                header = next(csv.reader([content.decode("utf-8-sig").split("\n", 1)[0].strip()]), [])
            table = table[~(table.isna() | (table == "")).all(axis=1)]
    except (ValueError, OverflowError, csv.Error, pd.errors.ParserWarning) as error:
        problem = str(error).strip().splitlines()[0] if str(error).strip() else "empty"
        raise BadInput(option, path, f"not CSV ({problem})", accepted) from None
    for column in columns:
        if column not in table:
            raise BadInput(option, path, f"has no column {column[:60]}", accepted)
        if header.count(column) > 1:
            raise BadInput(option, path, f"has {header.count(column)} columns {column[:60]}", accepted)
    if table.empty:
        raise BadInput(option, path, "has no rows", accepted)
    return table, content


def numbers_of(table: pd.DataFrame, column: str) -> np.ndarray:
    """A column as float64, NaN where it has no number."""
    import pandas as pd

    cells = table[column]
    numeric = pd.api.types.is_numeric_dtype(cells) and not pd.api.types.is_bool_dtype(cells)
    values: np.ndarray = (cells if numeric else cells.map(_as_float)).to_numpy(np.float64)
    return values


def _as_float(cell: object) -> float:
    try:
        return math.nan if isinstance(cell, bool) or "_" in str(cell) else float(cell)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return math.nan
