"""Advice from the clock alone: how many local steps for each number of workers, and how many workers.

The rule for λ is that of clock/stability.py: the smallest λ whose growth rate is under a bound, which is −0.1 but for
short runs. AGN's rate is that of its worst direction; another optimizer's is that of growth.py where η h = 1, on a
clock with its own rules. Where no λ makes it stable there, one local step is taken, and it is said up to which η h the
optimizer is stable with that.

The rule for n: the most workers such that those beyond the fewest that were asked for add, on average, at least half of
what a worker computes who never waits.

<folder>/advice.csv             one row per optimizer and number of workers
<folder>/figures/advice.png     the λ to take, the throughput and how busy the server is, by the number of workers
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from agn_bench.base import files
from agn_bench.clock import Profile
from agn_bench.clock.endless import active_timelines
from agn_bench.clock.measures import measures
from agn_bench.clock.rules import ASYNCHRONOUS
from agn_bench.clock.stability import (
    ROUNDS,
    SEEDS,
    Stable,
    bound,
    exchanges_looked_at,
    growth_rate,
    least_local_steps,
    rounds_in,
    stable_at_constant_staleness,
)
from agn_bench.clock.timeline import Timeline
from agn_bench.clock.trace import Trace
from agn_bench.config.run import RunConfig
from agn_bench.optimizers.agn import Agn
from agn_bench.training.timing import active_timeline_of, timelines_of

_CURVATURES = tuple(2.0**power for power in range(-14, 1))
_LARGE = 16
"""Local steps a worker, with which an optimizer is tried for whether any number of them makes it stable."""
_WORTH = 0.5
"""What one more worker has to add, as a part of what a worker computes who never waits."""
Rates = Callable[[int], float]
"""The growth rate by λ."""


class Advice(NamedTuple):
    """What is advised for one optimizer."""

    rows: list[dict[str, Any]]
    """By number of workers, as in advice.csv."""
    recommended: dict[str, Any]
    """One of them."""
    reason: str


def advise(
    cells: Sequence[RunConfig],
    local_steps: Sequence[int] = (),
    seconds: float = math.inf,
    on_cell: Callable[[str], None] = lambda text: None,
) -> Advice:
    """Advice for one optimizer.

    Args:
        cells: configurations that differ in the number of workers.
        local_steps: the λ to choose from; none: every whole number.
        seconds: simulated, that runs are to last.
    """
    rows = []
    for cell in sorted(cells, key=lambda one: one.workers):
        config, rate = _with_stable_steps(cell, local_steps, seconds)
        rows.append(_row(config, rate, seconds))
        on_cell(f"{cell.workers} workers")
    recommended = _worthwhile(rows)
    return Advice(rows, recommended, _reason(rows, recommended))


def _with_stable_steps(cell: RunConfig, local_steps: Sequence[int], seconds: float) -> tuple[RunConfig, float]:
    """The configuration with the λ that the rule takes, and its growth rate; NaN if that is not known."""
    growth = _growth_rates(cell)
    if isinstance(cell.delays, Trace) and math.isnan(growth(1)):  # it is too short to tell
        return replace(cell, local_steps=stable_at_constant_staleness(cell.workers)), math.nan
    if local_steps:
        rates = {steps: growth(steps) for steps in sorted(local_steps)}
        lowest = min(rates, key=lambda steps: rates[steps])
        taken = next((one for one, rate in rates.items() if rate < bound(_rounds(cell, one, seconds))), lowest)
        found = Stable(taken, rates[taken])
    elif not _is_agn(cell) and growth(_LARGE * cell.workers) >= 0:
        found = Stable(1, growth(1))
    else:
        found = least_local_steps(growth, cell.workers, partial(_rounds, cell, seconds=seconds))
    return replace(cell, local_steps=found.local_steps), found.growth_rate


def _rounds(cell: RunConfig, local_steps: int, seconds: float) -> float:
    """That a run makes."""
    if seconds == math.inf or not isinstance(cell.delays, Profile):
        return math.inf
    return rounds_in(cell.delays, cell.workers, local_steps, cell.message_bytes, seconds)


def _is_agn(cell: RunConfig) -> bool:
    return type(cell.optimizer.thing) is Agn


def _growth_rates(cell: RunConfig) -> Rates:
    n, delays = cell.workers, cell.delays
    if isinstance(delays, Trace):
        worker = delays.timeline.worker
        return lambda steps: growth_rate(worker, n, steps)
    if _is_agn(cell):
        size = cell.message_bytes

        def of_agn(steps: int) -> float:
            seeded = [(seed, n, steps) for seed in range(SEEDS)]
            timelines = active_timelines(delays, seeded, size, exchanges_looked_at)
            return float(np.mean([growth_rate(timeline.worker, n, steps) for timeline in timelines]))

        return of_agn
    from agn_bench.studies.growth import growth_rates

    def of_any(steps: int) -> float:
        seeded = [replace(cell, local_steps=steps, seed=seed) for seed in range(SEEDS)]
        timelines = [active_timeline_of(config, exchanges_looked_at(n)) for config in seeded]
        return float(growth_rates(cell.optimizer.thing, timelines).mean())

    return of_any


def _stable_up_to(config: RunConfig, timeline: Timeline) -> float:
    """The largest η h of those looked at up to which it is stable; 1: in every direction; 0: in none of these."""
    if _is_agn(config):
        return 1.0
    from agn_bench.studies.growth import growth_rates

    (rates,) = growth_rates(config.optimizer.thing, [timeline], _CURVATURES)
    unstable = np.flatnonzero(~(rates < 0))
    return _CURVATURES[-1] if not len(unstable) else ([0.0, *_CURVATURES])[unstable[0]]


def _row(config: RunConfig, rate: float, seconds: float) -> dict[str, Any]:
    if isinstance(config.delays, Trace):
        timeline = config.delays.timeline
    else:
        (timeline,) = timelines_of([config], ROUNDS * config.workers)
    measured = measures(timeline, config.simulated, config.channels)
    alone, saturating = math.nan, math.nan
    if isinstance(config.delays, Profile):
        exchanges = float(config.delays.rates(0, config.workers, config.local_steps, config.message_bytes).mean())
        service = config.delays.mean_s("server", config.message_bytes)
        alone = exchanges * config.local_steps
        if service and config.rules == ASYNCHRONOUS:
            saturating = math.ceil(config.channels / service / exchanges)
    return {
        "optimizer": config.optimizer.text,
        "delays": config.delays.name,
        "workers": config.workers,
        "local_steps": config.local_steps,
        "growth_rate": rate,
        "growth_rate_bound": bound(_rounds(config, config.local_steps, seconds)),
        "stable_up_to": math.nan if math.isnan(rate) else 1.0 if rate < 0 else _stable_up_to(config, timeline),
        # A log says when workers exchanged, and not with how many steps, or how it were with others.
        "gradient_steps_per_s": measured["gradient_steps_per_s"] if config.simulated else math.nan,
        "exchanges_per_s": measured["exchanges_per_s"],
        "mean_staleness": measured["mean_staleness"],
        "p95_staleness": measured["p95_staleness"],
        "compute_share": measured["compute_share"],
        "server_utilization": measured["server_utilization"],
        "saturating_workers": saturating,
        "steps_per_s_alone": alone,
    }


def _worthwhile(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """That of the most workers who are worth having."""
    fewest = rows[0]

    def worth(row: Mapping[str, Any]) -> bool:
        added = row["gradient_steps_per_s"] - fewest["gradient_steps_per_s"]
        return bool(added >= _WORTH * row["steps_per_s_alone"] * (row["workers"] - fewest["workers"]))

    return [row for row in rows if row is fewest or worth(row)][-1]


def _reason(rows: Sequence[dict[str, Any]], taken: Mapping[str, Any]) -> str:
    """A sentence or two."""
    workers, steps = taken["workers"], taken["local_steps"]
    pair = f"{workers} workers with {steps} local step{'s' if steps > 1 else ''}"
    rate, limit = taken["growth_rate"], taken["growth_rate_bound"]
    if math.isnan(rate):
        why = "the timeline is too short to tell a growth rate; so many are stable if every commit is equally stale"
    elif rate < limit:
        grows = "where errors do not last at all" if rate == -math.inf else f"it is {rate:.3f}"
        why = f"this is the least number of steps whose growth rate is under {limit:.2g}, {grows}"
    elif taken["stable_up_to"] < 1:
        most = f"η h, the learning rate times the curvature, is at most about {taken['stable_up_to']:.2g}"
        why = f"no number of steps keeps it stable in every direction, and with this one it is only where {most}"
    else:
        why = f"no number of steps has a growth rate under {limit:.2g}, and this one the lowest, {rate:+.3f}"
    if math.isnan(taken["gradient_steps_per_s"]):
        return f"{pair}: {why}, in the order in which they exchanged."
    speed = f"they make {taken['gradient_steps_per_s']:.3g} gradient steps a second"
    if workers < rows[-1]["workers"]:
        speed += ", and more workers add less than half of what they compute"
    elif len(rows) > 1:
        speed += ", the most of those asked for"
    return f"{pair}: {why}; {speed}."


def write(folder: Path, advised: Sequence[Advice], facts: dict[str, Any]) -> list[Path]:
    """Write the table and the picture; the picture's paths."""
    from agn_bench.analysis.figures.clock import advice_by_workers

    rows = [row for advice in advised for row in advice.rows]
    pictures = advice_by_workers(rows, folder / "figures" / "advice") if len(advised[0].rows) > 1 else []
    files.write_table(folder / "advice.csv", rows)
    files.record_provenance(folder, {"advice": facts})
    return pictures
