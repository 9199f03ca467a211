"""Measured training times, read from a CSV file: what a delay profile is fitted to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from agn_bench.base.inputs import BadInput, number, whole_number
from agn_bench.base.tabular import read_table
from agn_bench.clock.timeline import MOST_EXCHANGES

_ACCEPTED = "a CSV file, a row a training run, with workers, local_steps and a column of seconds"
_MOST_CELLS = 10_000


@dataclass(frozen=True)
class Measured:
    """Training times of one column of a file; arrays of shape (cells,)."""

    column: str
    workers: np.ndarray
    local_steps: np.ndarray
    seconds: np.ndarray


def read_measured(path: Path, columns: Sequence[str], gradient_steps: int) -> list[Measured]:
    """Read columns of seconds from a CSV file with `workers` and `local_steps`.

    Args:
        gradient_steps: of all workers, in each of the runs.

    Raises:
        BadInput: with the line and the column of what cannot be used.
    """
    if len(set(columns)) < len(columns):
        twice = next(column for column in columns if columns.count(column) > 1)
        raise BadInput("held_out", twice, "fitted, or given twice", "columns that are not fitted, each once")
    table, _ = read_table("TIMES", path, ("workers", "local_steps", *columns), _ACCEPTED)
    if len(table) > _MOST_CELLS:
        raise BadInput("TIMES", path, f"has {len(table)} rows", f"up to {_MOST_CELLS} training runs")

    def checked(line: int, column: str, check: Callable[[str, object], float]) -> float:
        value = table[column][line]
        # A blank line makes floats of a column of whole numbers.
        whole = isinstance(value, float | np.floating) and float(value).is_integer()
        try:
            return check(column, int(value) if whole else value.item() if isinstance(value, np.generic) else value)
        except BadInput as error:
            where = f"{path}, line {line}, {column} = {value}"
            raise BadInput("TIMES", where, error.problem, error.accepted) from None

    workers, local_steps = [], []
    for line in table.index:
        workers.append(checked(line, "workers", lambda name, value: whole_number(name, value, 1, gradient_steps)))
        share = gradient_steps // int(workers[-1])
        local_steps.append(checked(line, "local_steps", lambda name, value: whole_number(name, value, 1, share)))  # noqa: B023
        exchanges = int(workers[-1]) * (share // int(local_steps[-1]))
        if exchanges > MOST_EXCHANGES:
            accepted = f"--gradient-steps and runs with up to {MOST_EXCHANGES}"
            raise BadInput("TIMES", f"{path}, line {line}", f"{exchanges} exchanges are too many", accepted)
    return [
        Measured(
            column,
            np.array(workers, int),
            np.array(local_steps, int),
            np.array(
                [checked(line, column, lambda name, value: number(name, value, 1e-6, 1e12)) for line in table.index]
            ),
        )
        for column in columns
    ]
