"""Fields of the delays' dataclasses that say which numbers they take, so that a profile's file can be checked."""

from __future__ import annotations

from dataclasses import field
from typing import Any, NamedTuple

LEAST_SECONDS, MOST_SECONDS = 1e-9, 1e12
"""Of times that are not 0: with room to square and to divide."""


class Accepted(NamedTuple):
    """The numbers that a field takes: from `low` to `high`; a list of them if `several`."""

    low: float
    high: float
    several: bool = False


def quantity(low: float, high: float, *, several: bool = False, **default: Any) -> Any:
    """A dataclass field that takes such numbers."""
    return field(metadata={"accepted": Accepted(low, high, several)}, **default)


def seconds(**default: Any) -> Any:
    """A time, 0 or more."""
    return quantity(0, MOST_SECONDS, **default)


def positive() -> Any:
    """A time above 0."""
    return quantity(LEAST_SECONDS, MOST_SECONDS)


def ratio() -> Any:
    """A coefficient of variation or a shape."""
    return quantity(1e-6, 1e3)


def several(low: float, high: float) -> Any:
    """A list of numbers."""
    return quantity(low, high, several=True)
