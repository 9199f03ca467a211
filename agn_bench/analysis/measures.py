"""Measures by their columns, as in test_accuracy: what they are called, how their values are shown and read."""

from __future__ import annotations

from agn_bench.problems import FRACTION

_OF = {
    "last_batch_": "last batch ",
    "best_test_": "best test ",
    "best_center_": "best ",
    "train_": "training ",
    "test_": "test ",
    "center_": "",
}
"""What a measure is of, by the beginning of its column."""


def split(column: str) -> tuple[str, str]:
    """What a measure is of, and the measure, as in ("test ", "accuracy")."""
    start = next(start for start in _OF if column.startswith(start))
    return _OF[start], column.removeprefix(start).replace("_", " ")


def name(column: str) -> str:
    """What a reader calls it, as in `test accuracy`."""
    return "".join(split(column))


def is_fraction(column: str) -> bool:
    """Whether its values lie between 0 and 1, and are shown in per cent."""
    return column.endswith(FRACTION)


def heading(column: str) -> str:
    """A short heading, as in `test %`."""
    of, measure = split(column)
    return f"{of.strip() or measure} %" if is_fraction(column) else f"{of}{measure}"


def value(column: str, value: float) -> str:
    """A value without its unit, as in 93.10 of an accuracy, or 0.2314."""
    return f"{100 * value:.2f}" if is_fraction(column) else f"{value:.4g}"


def named_value(column: str, found: float) -> str:
    """A value with what it is, as in `93.10 % test`, or `test loss 0.2314`."""
    if is_fraction(column):
        return f"{value(column, found)} % {name(column).removesuffix(FRACTION).strip()}".strip()
    return f"{name(column)} {value(column, found)}"
