"""The values of a configuration's columns: their order, and how they are shown.

A number that an optimizer, a local optimizer or a data split declares stands there as text (see columns.SUMMARY_TYPES),
since another's may be a list or a word.
"""

from __future__ import annotations

from agn_bench.config.selection import SHORT
from agn_bench.training.columns import NAMES


def as_number(value: object) -> float | None:
    """A value as a number; None of what is none, such as a list of numbers."""
    try:
        return None if value is None or isinstance(value, bool) else float(value)  # type: ignore[arg-type]
    except ValueError:
        return None


def in_order(value: object) -> tuple[bool, float, str]:
    """A key to sort values by: numbers in their order, then names in theirs."""
    number = as_number(value)
    return number is None, number or 0.0, str(value)


def shown_value(value: object) -> str:
    """A value, to be shown: a number has all of its digits, and no point that says nothing."""
    return repr(float(value)).removesuffix(".0") if isinstance(value, float) else str(value)


def named(column: str, value: object) -> str:
    """A value with its column, as in `local_steps = 15`; a name speaks for itself."""
    if value is None:
        return f"no {column}"
    return shown_value(value) if column in NAMES else f"{column} = {shown_value(value)}"


def worded(column: str, value: object) -> str:
    """A value with what it is, as in `λ 15`; a name or a word speaks for itself."""
    number = as_number(value) if isinstance(value, str) and column not in NAMES else None
    if isinstance(value, str) and number is None:
        return value
    return f"{SHORT.get(column, column)} {shown_value(value if number is None else number)}"
