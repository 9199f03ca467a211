"""What the page's document is made of: numbers of no more digits than say something, and cells of tables."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from agn_bench.analysis.measures import Measured

Json = Any
"""What JSON can hold: texts, finite numbers, true, false, null, lists and tables of these."""
Cell = Json
"""A cell of a table: a text, a number, null for nothing, or [a number to sort by, the text that is shown]."""

DIGITS = 5
"""Significant ones of numbers that are drawn."""


def number(value: Any, digits: int = DIGITS) -> float | int | None:
    """A number with so many significant digits, whole if it is; None of what is none, or not finite."""
    found = float("nan") if value is None else float(value)
    if not math.isfinite(found):
        return None
    return _as_json(float(f"{found:.{digits}g}"))


def numbers(values: Sequence[Any] | np.ndarray, digits: int = DIGITS) -> list[float | int | None]:
    """Numbers with so many significant digits, all at once (see number)."""
    given = np.asarray(values, dtype=np.float64)
    known = np.isfinite(given) & (given != 0)
    power = digits - 1 - np.floor(np.log10(np.abs(given), out=np.zeros_like(given), where=known))
    up, down = 10.0 ** np.clip(power, 0, None), 10.0 ** np.clip(-power, 0, None)  # whole powers of ten, which are exact
    rounded = np.where(known, np.round(given * up / down) * down / up, given)
    if not np.isfinite(given).all():
        return [_as_json(value) for value in rounded.tolist()]
    whole = (rounded == np.floor(rounded)).tolist()
    return [int(value) if is_whole else value for value, is_whole in zip(rounded.tolist(), whole, strict=True)]


def _as_json(value: float) -> float | int | None:
    if not math.isfinite(value):
        return None
    return int(value) if value.is_integer() else value


def shown(value: Any, text: str) -> Cell:
    """A cell that is sorted by a number and shows a text."""
    return [number(value, 8), text]


def scale(measure: Measured) -> float:
    """By what values of a measure are multiplied to be shown: fractions are in per cent."""
    return 100.0 if measure.is_fraction else 1.0
