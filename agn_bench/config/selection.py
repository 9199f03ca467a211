"""Which of an experiment's runs are wanted: `--only workers=20,40`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

from agn_bench.base.chosen import Chosen
from agn_bench.base.inputs import BadInput, choose
from agn_bench.config.run import RunConfig


def only(configs: Sequence[RunConfig], conditions: Sequence[str]) -> list[RunConfig]:
    """The runs that meet every condition, each `key=value` or `key=value,value`, as in `workers=20,40`.

    A key is an option of the configuration, or a number of its optimizer or local optimizer.

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
        there = sorted({_texts(config, key)[0] for config in kept}, key=_in_order)
        kept = [config for config in kept if any(_same(own, value) for own in _texts(config, key) for value in wanted)]
        if not kept:
            raise BadInput("only", condition, "no run has it", f"{key} of {', '.join(there)}")
    return kept


def _numbers(config: RunConfig) -> dict[str, object]:
    """Those of its optimizer, and those of its local optimizer that are not called the same."""
    return {**dict(config.local_optimizer.numbers), **dict(config.optimizer.numbers)}


def _texts(config: RunConfig, key: str) -> list[str]:
    """How a condition may name what a run has; the first is how it is listed."""
    value = getattr(config, key, _numbers(config).get(key))
    if isinstance(value, Chosen):
        return [value.label, value.name, value.text, value.spelled]
    return [config.delays.name if key == "delays" else str(value)]


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
