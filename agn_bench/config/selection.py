"""Which runs are wanted: `--only workers=20,40`."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import fields
from itertools import chain
from numbers import Integral, Real
from typing import Protocol, TypeVar

from agn_bench.base.chosen import Chosen
from agn_bench.base.inputs import BadInput, unknown
from agn_bench.config.run import RunConfig

SHORT = {"workers": "n", "local_steps": "λ", "learning_rate": "rate"}
"""Options and columns that have a shorter word in labels."""
_SHORT_FOR = {short: name for name, short in SHORT.items()} | {"lambda": "local_steps"}


def called(option: str, text: str, known: Collection[str]) -> str:
    """The one of `known` that has this name, or has it for short, as λ.

    Raises:
        BadInput: there is none.
    """
    name = text.strip()
    name = name if name in known else _SHORT_FOR.get(name, name)
    if name in known:
        return name
    short = [f"{short} for {one}" for one, short in SHORT.items() if one in known]
    raise BadInput(option, name, unknown(name, known), ", ".join([*known, *short]))


class Described(Protocol):
    """What conditions ask of a run."""

    def keys(self) -> Iterable[str]:
        """The keys that a condition may have."""

    def shown(self, key: str) -> str:
        """What the run has there."""

    def has(self, key: str, wanted: str) -> bool:
        """Whether that is what a condition names; of a thing with numbers, those that the condition says."""


Run = TypeVar("Run")


def only(configs: Sequence[RunConfig], conditions: Sequence[str]) -> list[RunConfig]:
    """The runs that meet every condition, each `key=value` or `key=value,value`, as in `workers=20,40`.

    A key is an option of the configuration, or a number of its optimizer, local optimizer or data split.

    Raises:
        BadInput: a condition is none, or no run meets them.
    """
    return chosen([(config, _OfConfig(config)) for config in configs], conditions)


def chosen(runs: Sequence[tuple[Run, Described]], conditions: Sequence[str]) -> list[Run]:
    """The runs that meet every condition (see only), each with its description."""
    kept = [*runs]
    keys = dict.fromkeys(chain.from_iterable(described.keys() for _, described in kept)) if conditions else {}
    for condition in conditions:
        key, equals, text = condition.partition("=")
        if not equals or not text.strip():
            raise BadInput("only", condition, "not KEY=VALUE", "as in workers=20 or optimizer=agn,easgd")
        try:
            key = called("only", key, keys)
        except BadInput as error:
            raise BadInput("only", condition, error.problem, error.accepted) from None
        wanted = [part.strip() for part in text.split(",")]
        there = sorted({described.shown(key) for _, described in kept}, key=_in_order)
        kept = [(run, described) for run, described in kept if any(described.has(key, value) for value in wanted)]
        if not kept:
            raise BadInput("only", condition, "no run has it", f"{key} of {', '.join(there)}")
    return [run for run, _ in kept]


class _OfConfig:
    """A run that is to be made."""

    def __init__(self, config: RunConfig) -> None:
        # Numbers of its optimizer, and those of its local optimizer and data split that are not called the same.
        owners = (config.data_split, config.local_optimizer, config.optimizer)
        self._values = {name: value for owner in owners for name, value in owner.numbers}
        self._values |= {one.name: getattr(config, one.name) for one in fields(config)}
        self._values["delays"] = config.delays.name

    def keys(self) -> Iterable[str]:
        return self._values

    def shown(self, key: str) -> str:
        return str(self._values.get(key))

    def has(self, key: str, wanted: str) -> bool:
        value = self._values.get(key)
        if not isinstance(value, Chosen):
            return same(value, wanted)
        name, numbers = name_and_numbers(wanted)
        if name.lower() not in (value.label.lower(), value.name.lower(), value.spelled_name.lower()):
            return False
        return all(same(value.number(number), said) for number, said in numbers)


def name_and_numbers(text: str) -> tuple[str, list[tuple[str, str]]]:
    """What a condition's value names, and the numbers that it says, as in `easgd:alpha=0.1` or `my.py:Mine:beta=2`."""
    file, in_a_file, rest = text.partition(".py:")
    name, _, numbers = (rest if in_a_file else text).partition(":")
    pairs = [part.partition("=") for part in numbers.split(":") if part]
    return f"{file}.py:{name}" if in_a_file else name, [(key.strip(), value.strip()) for key, _, value in pairs]


def same(value: object, wanted: str) -> bool:
    """Whether a condition's text says a value: numbers are compared as numbers, all else as text."""
    if isinstance(value, Real) and not isinstance(value, bool):
        try:
            return bool(value == (int(wanted) if isinstance(value, Integral) else float(wanted)))
        except ValueError:  # as 2.0 for 2
            pass
        try:
            return float(value) == float(wanted)
        except (ValueError, OverflowError):
            return False
    return str(value).lower() == wanted.lower()


def _in_order(text: str) -> tuple[float, str]:
    try:
        return float(text), ""
    except ValueError:
        return 0.0, text
