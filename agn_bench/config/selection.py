"""Which of an experiment's runs are wanted: `--only workers=20,40`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

from agn_bench.base.inputs import BadInput, choose
from agn_bench.config.run import RunConfig


def only(configs: Sequence[RunConfig], conditions: Sequence[str]) -> list[RunConfig]:
    """The runs that meet every condition, each `key=value` or `key=value,value`, as in `workers=20,40`.

    Raises:
        BadInput: a condition is none, or no run meets them.
    """
    kept = list(configs)
    for condition in conditions:
        key, equals, text = condition.partition("=")
        if not equals or not text.strip():
            raise BadInput("only", condition, "not KEY=VALUE", "as in workers=20 or optimizer=agn,easgd")
        try:
            key = choose("only", key.strip(), [option.name for option in fields(RunConfig)])
        except BadInput as error:
            raise BadInput("only", condition, error.problem, error.accepted) from None
        wanted = [part.strip() for part in text.split(",")]
        there = sorted({_text(config, key) for config in kept}, key=_in_order)
        kept = [config for config in kept if any(_same(_text(config, key), value) for value in wanted)]
        if not kept:
            raise BadInput("only", condition, "no run has it", f"{key} of {', '.join(there)}")
    return kept


def _text(config: RunConfig, key: str) -> str:
    return config.delays.name if key == "delays" else str(getattr(config, key))


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
