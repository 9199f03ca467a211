"""Measured training times, read from a CSV file: what a delay profile is fitted to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from agn_bench.base.inputs import BadInput, number, whole_number
from agn_bench.base.user_files import column_names, read_csv
from agn_bench.clock.timeline import MOST_EXCHANGES

_ACCEPTED = (
    "a CSV file, one row per training run, with workers, local_steps and a column of seconds, or with those that "
    "`columns` names instead"
)
_MOST_CELLS = 10_000


@dataclass(frozen=True)
class Measured:
    """Training times of one column of a file; arrays of shape (cells,)."""

    column: str
    workers: np.ndarray
    local_steps: np.ndarray
    seconds: np.ndarray
    notes: tuple[str, ...] = ()
    """What was guessed of the file's form, a sentence each."""
    leftover: bool = False
    """Whether workers also made the steps of their shares that are no whole phase."""


def read_measured(path: Path, columns: Sequence[str], gradient_steps: int, called: str | None = None) -> list[Measured]:
    """Read columns of seconds from a CSV file with `workers` and `local_steps`.

    Args:
        gradient_steps: of all workers, in each of the runs.
        called: by which names the file has the columns, as in `workers=n,seconds=t`.

    Raises:
        BadInput: with the line and the column of what cannot be used.
    """
    if len(set(columns)) < len(columns):
        twice = next(column for column in columns if columns.count(column) > 1)
        raise BadInput("held_out", twice, "fitted, or given twice", "columns that are not fitted, each once")
    wanted = ("workers", "local_steps", *columns)
    table = read_csv("TIMES", path, wanted, _ACCEPTED, {} if called is None else column_names(called, wanted))
    if len(table) > _MOST_CELLS:
        raise BadInput("TIMES", path, f"has {len(table)} rows", f"up to {_MOST_CELLS} training runs")

    numbers = {column: table.numbers(column) for column in wanted}

    def checked(row: int, column: str, check: Callable[..., float], low: float, high: float) -> float:
        value = float(numbers[column][row])
        try:  # a whole number may be written as 20.0
            return check(column, int(value) if value.is_integer() else table.cell(row, column).value, low, high)
        except BadInput as error:
            raise table.refuse(row, column, error.problem, error.accepted) from None

    workers, local_steps = [], []
    for row in range(len(table)):
        workers.append(int(checked(row, "workers", whole_number, 1, gradient_steps)))
        share = gradient_steps // workers[-1]
        local_steps.append(int(checked(row, "local_steps", whole_number, 1, share)))
        exchanges = workers[-1] * (share // local_steps[-1])
        if exchanges > MOST_EXCHANGES:
            accepted = f"`gradient_steps` and runs with up to {MOST_EXCHANGES}"
            raise table.refuse(row, None, f"{exchanges} exchanges are too many", accepted)
    return [
        Measured(
            column,
            np.array(workers, int),
            np.array(local_steps, int),
            np.array([checked(row, column, number, 1e-6, 1e12) for row in range(len(table))]),
            table.notes,
        )
        for column in columns
    ]
