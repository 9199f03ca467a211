"""What is searched of an optimizer: λ, the learning rate, and the numbers that say where. What is given stays so."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from agn_bench.base.named import Named, made
from agn_bench.base.quantities import LOG, Accepted, Search, declared_numbers
from agn_bench.config.options import OPTIONS
from agn_bench.config.resolving import check_rules, resolve
from agn_bench.config.run import RunConfig
from agn_bench.optimizers import LOCAL_OPTIMIZERS, OPTIMIZERS
from agn_bench.training.columns import number_column

Numbers = dict[str, float]
"""By their columns of summary.csv."""

_LOCAL_STEPS = "local_steps"
_OWNERS: dict[str, Named[Any]] = {"optimizer": OPTIMIZERS, "local_optimizer": LOCAL_OPTIMIZERS}
_DIGITS = 3
"""That a number is given: more make no difference that could be measured, and names that nobody can read."""
_EDGE = 0.05
"""The part of what was searched, on its scale, that counts as its edge on either side."""


@dataclass(frozen=True)
class Searched:
    """A number that is searched."""

    column: str
    search: Search
    accepted: Accepted
    default: float
    """Where the search begins; inside of what is searched."""

    @property
    def whole(self) -> bool:
        return self.accepted.whole

    def rounded(self, value: float) -> float:
        """A value as it is tried."""
        if self.whole:
            return round(value)
        return min(max(float(f"{value:.{_DIGITS}g}"), self.search.low), self.search.high)

    def at_edge(self, value: float) -> bool:
        """Whether it lies at the edge of what is searched, and a value beyond would be accepted too."""
        low, high = (self._on_scale(one) for one in self.search[:2])
        place = (self._on_scale(value) - low) / (high - low)
        beyond = self.accepted.low < self.search.low, self.accepted.high > self.search.high
        return (place <= _EDGE and beyond[0]) or (place >= 1 - _EDGE and beyond[1])

    def _on_scale(self, value: float) -> float:
        return math.log(value) if self.search.scale == LOG else value


class Space:
    """An optimizer, and what is searched of it.

    Args:
        options: of all runs, by name, as resolving.resolve takes them. A number that they give is not searched.
        optimizer: as in `easgd:alpha=0.1`; a number that it gives is not searched.

    Raises:
        BadInput: an option cannot be used.
    """

    def __init__(self, options: Mapping[str, object], optimizer: str) -> None:
        self._given = {name: value for name, value in options.items() if value is not None} | {"optimizer": optimizer}
        self.base = resolve(self._given)
        self.numbers = {one.column: one for one in self._searched()}

    @cached_property
    def name(self) -> str:
        """What tells the optimizer apart: its name, and the numbers that were given."""
        _, given = OPTIMIZERS.split(str(self._given["optimizer"]))
        return ":".join([self.base.optimizer.name, *sorted(part.replace(" ", "") for part in given.split(":") if part)])

    @property
    def label(self) -> str:
        """The same for a reader."""
        return self.base.optimizer.label + self.name.removeprefix(self.base.optimizer.name)

    def _searched(self) -> Iterator[Searched]:
        option = OPTIONS[_LOCAL_STEPS]
        if option.search is not None and self._given.get(_LOCAL_STEPS, "auto") == "auto":
            accepted = Accepted(1, math.inf, whole=True)
            yield _searched(_LOCAL_STEPS, option.search, accepted, self.base.local_steps)
        for owner, named in _OWNERS.items():
            _, text = named.split(str(self._given.get(owner, "")))
            fixed = {part.partition("=")[0].strip() for part in text.split(":")}
            fixed |= {"learning_rate"} & self._given.keys()
            chosen = getattr(self.base, owner)
            for number in declared_numbers(type(chosen.thing)).values():
                if number.search is not None and number.name not in fixed and isinstance(number.accepted, Accepted):
                    column = number_column(owner, number.name)
                    yield _searched(column, number.search, number.accepted, chosen.number(number.name))

    @property
    def default(self) -> Numbers:
        """The numbers where nothing is said, inside of what is searched."""
        return {column: one.default for column, one in self.numbers.items()}

    def config(self, numbers: Mapping[str, float]) -> RunConfig:
        """The run with these numbers.

        Raises:
            BadInput: they do not go together.
        """
        changed: dict[str, Any] = {_LOCAL_STEPS: int(numbers.get(_LOCAL_STEPS, self.base.local_steps))}
        for owner, named in _OWNERS.items():
            chosen = getattr(self.base, owner)
            columns = {number_column(owner, name): name for name, _ in chosen.numbers}
            own = {columns[column]: value for column, value in numbers.items() if column in columns}
            if own:
                chosen = named.with_numbers(chosen, own)
                made(owner, chosen.spelled, type(getattr(self.base, owner).thing), dict(chosen.numbers))
                changed[owner] = chosen
        config = replace(self.base, **changed)
        check_rules(config)
        return config

    def at_edge(self, numbers: Mapping[str, float]) -> list[str]:
        """The columns of the numbers that lie at the edge of what is searched."""
        return [column for column, value in numbers.items() if self.numbers[column].at_edge(value)]


def _searched(column: str, search: Search, accepted: Accepted, default: float) -> Searched:
    return Searched(column, search, accepted, min(max(default, search.low), search.high))
