"""Cells: configurations for every pair of a number of workers and one of local steps, of which only the clock runs."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import replace
from itertools import product

from agn_bench.base.inputs import BadInput, whole_number
from agn_bench.clock.timeline import MOST_EXCHANGES
from agn_bench.config.options import OPTIONS
from agn_bench.config.resolving import automatic_local_steps, check_rules, resolve
from agn_bench.config.run import RunConfig

MOST_WORKERS = 1_000_000
_MOST_CELLS = 10_000
_WORKERS = "10,20,40"
"""For which there is advice where nothing is said."""


def cells(options: Mapping[str, object], exchanges: int | None) -> list[RunConfig]:
    """A configuration for every pair of a number of workers and one of local steps.

    Args:
        options: as resolving.resolve takes them, but `workers` and `local_steps` may be several, as in `10,20` or
            `10..40`.
        exchanges: of each timeline, whatever the work; None: until the work is done.

    Raises:
        BadInput: as of resolving.resolve, or more workers, exchanges or cells than fit into memory.
    """
    lists = [several(options.get(name)) for name in ("workers", "local_steps")]
    if len(lists[0]) * len(lists[1]) > _MOST_CELLS:
        shown = f"with {len(lists[0])} numbers and `local_steps` with {len(lists[1])}"
        raise BadInput("workers", shown, "too many cells", f"up to {_MOST_CELLS} cells")
    cell = _cell_of_work if exchanges is None else _cell_without_end
    return [cell({**options, "workers": n, "local_steps": steps}) for n, steps in product(*lists)]


def by_workers(options: Mapping[str, object]) -> tuple[list[RunConfig], list[int], float]:
    """A configuration without end for every number of workers, or that of a recorded timeline, with λ = 1; the λ to
    choose from, none if that is open; and how long runs are to last, in simulated seconds.

    Args:
        options: as of `cells`.

    Raises:
        BadInput: as of `cells`.
    """
    given = options.get("local_steps")
    steps = [] if given in (None, "auto") else several(given)
    chosen = [whole_number("local_steps", step, 1, 10**9, "or auto") for step in steps]
    seconds = math.inf if options.get("seconds") is None else OPTIONS["seconds"].read(options["seconds"])
    rest = {name: value for name, value in options.items() if name not in ("workers", "local_steps", "seconds")}
    if options.get("timeline") is not None:
        one = resolve({**rest, "workers": options.get("workers"), "local_steps": 1})
        return [one], chosen, seconds
    numbers = dict.fromkeys(several(options.get("workers") or _WORKERS))
    one_step = [_cell_without_end({**rest, "workers": number, "local_steps": 1}) for number in numbers]
    return one_step, chosen, seconds


def several(value: object) -> list[str | None]:
    """Numbers one by one, and those of ranges as in 10..40 or 10..40..5."""
    return [None] if value is None else [one for part in str(value).split(",") for one in _range(part.strip())]


def _range(part: str) -> list[str]:
    found = re.fullmatch(r"(\d{1,9})\.\.(\d{1,9})(?:\.\.(\d{1,9}))?", part)
    if not found:
        return [part]
    first, last, step = (int(number or 1) for number in found.groups())
    numbers = range(first, last + 1, max(1, step))
    if not 0 < len(numbers) <= _MOST_CELLS:
        raise BadInput("workers", part, "a range of no or too many numbers", f"up to {_MOST_CELLS}, as in 10..40")
    return [*map(str, numbers)]


def _cell_of_work(options: Mapping[str, object]) -> RunConfig:
    config = resolve(options)
    if config.exchanges > MOST_EXCHANGES:
        problem = f"{config.exchanges} exchanges are too many"
        raise BadInput("gradient_steps", config.gradient_steps, problem, f"work for up to {MOST_EXCHANGES}")
    return config


def _cell_without_end(options: Mapping[str, object]) -> RunConfig:
    """Without a look at the work, which does not end the timeline."""
    for name in ("timeline", "epochs", "gradient_steps", "seconds", "shares"):
        if options.get(name) is not None:
            accepted = f"one of `exchanges` and `{name}`"
            raise BadInput(name, options[name], "given together with `exchanges`", accepted)
    rule = OPTIONS["local_steps_rule"].read(options.get("local_steps_rule") or "fixed")
    if rule.thing.changes:
        problem = "changes over a run's work, and `exchanges` asks for workers that never stop"
        raise BadInput("local_steps_rule", rule.spelled, problem, "fixed or by-speed, or no `exchanges`")
    config = resolve({**options, "optimizer": None, "workers": None, "local_steps": None})
    given = options.get("workers")
    workers = config.workers if given is None else whole_number("workers", given, 1, MOST_WORKERS)
    steps = options.get("local_steps")
    automatic = steps is None or steps == "auto"
    if automatic:
        local_steps = automatic_local_steps(config.delays, config.trains, workers)
    else:
        local_steps = whole_number("local_steps", steps, 1, 10**9, "or auto")
    optimizer = OPTIONS["optimizer"].read(options.get("optimizer") or OPTIONS["optimizer"].default)
    config = replace(config, optimizer=optimizer, workers=workers, local_steps=local_steps)
    check_rules(config)
    return config
