"""Which of an experiment's runs are wanted: `--only workers=20,40`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

from agn_bench.base.chosen import Chosen
from agn_bench.base.inputs import BadInput, choose
from agn_bench.config.run import RunConfig


def only(configs: Sequence[RunConfig], conditions: Sequence[str]) -> list[RunConfig]:
    """The runs that meet every condition, each `key=value` or `key=value,value`, as in `workers=20,40`.

    A key is an option of the configuration, or a number of its optimizer, local optimizer or data split.

    Raises:
        BadInput: a condition is none, or no run meets them.
    """
    kept = list(configs)
    for condition in conditions:
        key, equals, text = condition.partition("=")
        if not equals or not text.strip():
            raise BadInput("only", condition, "not KEY=VALUE", "as in workers=20 or optimizer=agn,easgd")
        numbers = dict.fromkeys(name for config in configs for name in _numbers(config))
        try:
            key = choose("only", key.strip(), [*(option.name for option in fields(RunConfig)), *numbers])
        except BadInput as error:
            raise BadInput("only", condition, error.problem, error.accepted) from None
        wanted = [part.strip() for part in text.split(",")]
        there = sorted({_shown(config, key) for config in kept}, key=_in_order)
        kept = [config for config in kept if any(_matches(config, key, value) for value in wanted)]
        if not kept:
            raise BadInput("only", condition, "no run has it", f"{key} of {', '.join(there)}")
    return kept


def _numbers(config: RunConfig) -> dict[str, object]:
    """Those of its optimizer, and those of its local optimizer and of its data split that are not called the same."""
    return {**dict(config.data_split.numbers), **dict(config.local_optimizer.numbers), **dict(config.optimizer.numbers)}


def _value(config: RunConfig, key: str) -> object:
    values = {one.name: getattr(config, one.name) for one in fields(config)}
    return values[key] if key in values else _numbers(config).get(key)


def _shown(config: RunConfig, key: str) -> str:
    return config.delays.name if key == "delays" else str(_value(config, key))


def _matches(config: RunConfig, key: str, wanted: str) -> bool:
    """Whether a run has what a condition names; of a thing with numbers, those that the condition says."""
    value = _value(config, key)
    if not isinstance(value, Chosen):
        return _same(_shown(config, key), wanted)
    name, _, numbers = wanted.partition(":") if ".py:" not in wanted else _after_the_class(wanted)
    if name.lower() not in (value.label.lower(), value.name.lower(), value.spelled_name.lower()):
        return False
    pairs = [part.partition("=") for part in numbers.split(":") if part]
    return all(_same(str(value.number(number.strip())), said.strip()) for number, _, said in pairs)


def _after_the_class(text: str) -> tuple[str, str, str]:
    """What stands before and after the colon that follows a class in a file, as in `my.py:Mine:beta=2`."""
    file, _, rest = text.partition(".py:")
    name, colon, numbers = rest.partition(":")
    return f"{file}.py:{name}", colon, numbers


def _same(one: str, other: str) -> bool:
    try:
        return float(one) == float(other)
    except ValueError:
        return one.lower() == other.lower()


def _in_order(text: str) -> tuple[float, str]:
    try:
        return float(text), ""
    except ValueError:
        return 0.0, text
