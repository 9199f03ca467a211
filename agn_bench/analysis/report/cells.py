"""What the page's document is made of: numbers of no more digits than say something, and cells of tables."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from agn_bench.analysis.measures import Measured

Json = Any
"""What JSON can hold: texts, finite numbers, true, false, null, lists and tables of these."""
Cell = Json
"""Of a table: a text, a number, null for nothing, or [a number to sort by, the text that is shown]."""

DIGITS = 5
"""Significant ones of numbers that are drawn."""


def number(value: Any, digits: int = DIGITS) -> float | int | None:
    """A number with so many significant digits, whole if it is; None of what is none, or not finite."""
    found = float("nan") if value is None else float(value)
    if not math.isfinite(found):
        return None
    found = float(f"{found:.{digits}g}")
    return int(found) if found == int(found) else found


def numbers(values: Sequence[Any], digits: int = DIGITS) -> list[float | int | None]:
    return [number(value, digits) for value in values]


def shown(value: Any, text: str) -> Cell:
    """A cell that is sorted by a number and shows a text."""
    return [number(value, 8), text]


def scale(measure: Measured) -> float:
    """By what values of a measure are multiplied to be shown: fractions are in per cent."""
    return 100.0 if measure.is_fraction else 1.0
