"""Numbers that are declared once, as fields of a class: what they take, their default, and a sentence of help. A number
may also be a choice: one of some words.

    @dataclass(frozen=True)
    class Uniform(Distribution):
        mean: float = positive("Seconds, on average.")
        spread: float = quantity(0, 1, default=0.5, help="By how much of the mean a time is off at most.")
        side: str = choice("both", "later", default="both", help="To which side of the mean.")

Options, checks, shell completion, columns and lists are made from that.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, ClassVar, NamedTuple

from agn_bench.base.inputs import unknown

LEAST_SECONDS, MOST_SECONDS = 1e-9, 1e12
"""The limits of times that are not 0: with room to square and to divide."""
SMALLEST, LARGEST = 1e-30, 1e30
"""The limits of factors: what float32 holds with room to multiply."""


class Accepted(NamedTuple):
    """The numbers that a field takes: from `low` to `high`; whole ones, or a list of them, if it says so."""

    low: float
    high: float
    several: bool = False
    whole: bool = False

    def __str__(self) -> str:
        return f"a list, each {self.one}" if self.several else self.one

    @property
    def one(self) -> str:
        """What one number is, in words."""
        return f"a {'whole ' if self.whole else ''}number from {self.low:g} to {self.high:g}"

    @property
    def static(self) -> bool:
        """Whether programs are compiled for its value, as a loop may run so often."""
        return self.whole

    @property
    def words(self) -> tuple[str, ...]:
        """Those it may be: none."""
        return ()

    def problem(self, value: object) -> str:
        """What is wrong with one number; nothing if it is accepted."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            return "not a number"
        if isinstance(value, float) and not math.isfinite(value):
            return "not a finite number"
        if self.whole and value != int(value):
            return "not a whole number"
        if value < self.low:
            return "negative" if value < 0 else "too small"
        return "too large" if value > self.high else ""

    def normal(self, value: Any) -> Any:
        """A number, or a list of them, as it is kept: one value in one form, so that it makes one run."""
        if self.several:
            return tuple(map(self._normal, value)) if isinstance(value, list | tuple) else value
        return self._normal(value)

    def _normal(self, value: Any) -> Any:
        if self.problem(value):
            return value  # and it is complained of
        return int(value) if self.whole else float(value) + 0.0  # −0 is 0

    def of_text(self, text: str) -> tuple[Any, str]:
        """The number, or the tuple of them, that a word of the command line says; or what is wrong with it."""
        found = []
        for part in text.split(",") if self.several else [text]:
            try:
                value: Any = int(part) if self.whole and len(part) < 1000 else float(part)
            except (ValueError, OverflowError):
                return None, "not a whole number" if self.whole else "not a number"
            if problem := self.problem(value):
                return None, problem
            found.append(value)
        return self.normal(tuple(found) if self.several else found[0]), ""


@dataclass(frozen=True)
class OneOf:
    """The words that a field takes. It answers what Accepted answers."""

    words: tuple[str, ...]
    several: ClassVar[bool] = False
    static: ClassVar[bool] = True

    def __str__(self) -> str:
        return self.one

    @property
    def one(self) -> str:
        *others, last = self.words
        return f"one of {', '.join(others)} or {last}"

    def problem(self, value: object) -> str:
        if not isinstance(value, str):
            return "not a word"
        return "" if value in self.words else unknown(value, self.words)

    def normal(self, value: Any) -> Any:
        return value

    def of_text(self, text: str) -> tuple[Any, str]:
        problem = self.problem(text)
        return (None, problem) if problem else (text, "")


LINEAR, LOG = "linear", "log"


class Search(NamedTuple):
    """Where the best value of a number is looked for: from `low` to `high`, evenly, or evenly in its logarithm."""

    low: float
    high: float
    scale: str = LINEAR

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g}{', logarithm' if self.scale == LOG else ''}"

    def problem(self, accepted: Accepted) -> str:
        """What is wrong with it, for a number that takes this; nothing if it can be searched."""
        if accepted.several:
            return "a list is not searched"
        if self.scale not in (LINEAR, LOG):
            return f"{self.scale} is neither {LINEAR} nor {LOG}"
        if wrong := accepted.problem(self.low) or accepted.problem(self.high):
            return f"from {self.low} to {self.high}, of which one end is {wrong}"
        if not self.low < self.high or (self.scale == LOG and self.low <= 0):
            return f"from {self.low} to {self.high} there is nothing to search"
        return ""


@dataclass(frozen=True)
class Number:
    """A number as a class declares it."""

    name: str
    accepted: Accepted | OneOf
    help: str
    default: Any = MISSING
    later: bool = False
    """Declared after runs had been made without it: where it has its default, it is not in their names."""
    search: Search | None = None
    """Where `agn-bench tune` looks for its best value; None: it is left as it is."""

    @property
    def required(self) -> bool:
        return self.default is MISSING


def quantity(
    low: float,
    high: float,
    *,
    default: Any = MISSING,
    help: str = "",  # noqa: A002 (as everywhere where options are declared)
    several: bool = False,
    whole: bool = False,
    later: bool = False,
    search: tuple[float, float] | tuple[float, float, str] | None = None,
) -> Any:
    """A field that takes numbers from `low` to `high`.

    Args:
        help: what it is, a sentence.
        several: a list of numbers.
        whole: whole numbers only.
        later: it came when there were runs without it. They keep their names, as its default is left out of the names.
            So that default must be what they were made with, and never change.
        search: where `agn-bench tune` looks for its best value, as in `(0.5, 0.99)`, or evenly in its logarithm as in
            `(0.001, 1, "log")`. Without it the number is left as it is.

    Raises:
        ValueError: there is nothing to search.
    """
    accepted = Accepted(low, high, several, whole)
    searched = None if search is None else Search(*search)
    if searched is not None and (wrong := searched.problem(accepted)):
        raise ValueError(f"search={search}: {wrong}")
    default = default if default is MISSING else accepted.normal(default)
    metadata = {"accepted": accepted, "help": help, "later": later, "search": searched}
    return field(default=default, metadata=metadata)


def choice(*words: str, default: Any = MISSING, help: str = "", later: bool = False) -> Any:  # noqa: A002
    """A field that takes one of some words, two or more, of letters, digits, dashes and underscores.

    Args:
        help: what it is, a sentence.
        later: see quantity.

    Raises:
        ValueError: they are no such words.
    """
    if len(words) < 2 or not all(re.fullmatch("[A-Za-z][A-Za-z0-9_-]*", word) for word in words):
        raise ValueError(f"{words}: not two or more words of letters, digits, dashes and underscores")
    return field(default=default, metadata={"accepted": OneOf(words), "help": help, "later": later})


def seconds(help: str = "", **more: Any) -> Any:  # noqa: A002
    """A time, 0 or more."""
    return quantity(0, MOST_SECONDS, help=help, **more)


def positive(help: str = "", **more: Any) -> Any:  # noqa: A002
    """A time above 0."""
    return quantity(LEAST_SECONDS, MOST_SECONDS, help=help, **more)


def ratio(help: str = "", **more: Any) -> Any:  # noqa: A002
    """A coefficient of variation or a shape."""
    return quantity(1e-6, 1e3, help=help, **more)


def factor(help: str = "", high: float = LARGEST, **more: Any) -> Any:  # noqa: A002
    """What something is multiplied by, above 0."""
    return quantity(SMALLEST, high, help=help, **more)


def declared_numbers(kind: Any) -> Mapping[str, Number]:
    """The numbers that a dataclass declares, by name."""
    return {
        one.name: Number(
            one.name,
            one.metadata["accepted"],
            one.metadata["help"],
            one.default,
            one.metadata.get("later", False),
            one.metadata.get("search"),
        )
        for one in fields(kind)
        if "accepted" in one.metadata
    }


def named_numbers(thing: Any) -> dict[str, Any]:
    """The numbers of a thing that are part of its name: all but those that came later and have their default."""
    found = {one.name: (getattr(thing, one.name), one) for one in declared_numbers(type(thing)).values()}
    return {name: value for name, (value, one) in found.items() if not (one.later and value == one.default)}
