"""What a user should know of a run's work and time without having asked: work that is not trained, a clock that mostly
waits for a few workers, recorded times that were used up, the λ that a rule has decided on. Each is a sentence or two
in which options stand in backticks (see base.inputs.spelled).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from agn_bench.clock.recorded import Recorded
from agn_bench.clock.timeline import Timeline
from agn_bench.clock.trace import Trace
from agn_bench.config.run import RunConfig

if TYPE_CHECKING:
    from agn_bench.training.records import RunResult

NOTABLE_WORK = 0.01
"""Work that is not trained is told of from this fraction of the work on."""
_MOST_TOLD = 6
"""Values of λ that are told one by one."""
LAST_WORK, NOTABLE_TIME = 0.1, 1 / 3
"""The last fraction of the exchanges is told of if it takes more than this fraction of the simulated time."""


def of_plan(config: RunConfig) -> list[str]:
    """What is known before a run: of a recorded timeline how its file was read, else what whole phases leave out of the
    work that is asked for.
    """
    if isinstance(config.delays, Trace):
        return list(config.delays.notes)
    asked, steps, whole = config.gradient_steps, config.local_steps, _whole_phases(config)
    if asked is None or whole is None or asked - whole <= NOTABLE_WORK * asked:
        return []
    if config.local_steps_rule is not None:
        return [f"{whole} of {asked} gradient steps are trained, since workers make whole phases."]
    shared = config.shares == "equal"
    said = f"{whole} of {asked} gradient steps are trained, since workers make whole phases of {steps} steps"
    more = f"`gradient_steps={whole + _unit(config)}` are whole phases"
    if not shared:
        return [f"{said}. {more}."]
    share = f"an equal share of {asked // config.workers} steps holds {asked // config.workers // steps} of these"
    return [f"{said}, and {share}. {more}; with `shares=open` {asked // steps * steps} steps are trained."]


def _unit(config: RunConfig) -> int:
    """Gradient steps by which the work can grow and stay one of whole phases."""
    return config.local_steps * (config.workers if config.shares == "equal" else 1)


def _whole_phases(config: RunConfig) -> int | None:
    """The gradient steps of the work's whole phases; None if none is asked for, or a recorded timeline has it."""
    if config.gradient_steps is None or isinstance(config.delays, Trace):
        return None
    if config.local_steps_rule is not None:
        return int(config.plan.steps.sum()) if config.shares == "equal" else None
    return config.gradient_steps // _unit(config) * _unit(config)


def of_timeline(timeline: Timeline, recorded: bool = False) -> list[str]:
    """Whether the clock waits for a few workers: the last tenth of the exchanges takes more than a third of the time.

    With fewer than ten exchanges it says nothing, as their last tenth is not one.
    """
    before = timeline.exchanges - int(LAST_WORK * timeline.exchanges)
    since, end = float(timeline.applied_s[before - 1]), timeline.end_s
    if end - since <= NOTABLE_TIME * end:
        return []
    late = len(np.unique(timeline.worker[timeline.applied_s > (1 - NOTABLE_TIME) * end]))
    takes = f"the last tenth of the work takes {100 * (end - since) / end:.0f} % of the simulated time"
    late_workers = f"in the last third of the time {late} of {timeline.workers} workers {'is' if late == 1 else 'are'}"
    ends = f"`seconds={since:.4g}` ends the run there"
    opened = "" if recorded else ", and fast workers then do more of the work, as with `shares=open`"
    return [f"From {since:.4g} s to {end:.4g} s, {takes}; {late_workers} at work. {ends}{opened}."]


def of_recorded(config: RunConfig, timeline: Timeline) -> list[str]:
    """Which recorded times of its delays were used up, and what came then."""
    profile = config.delays
    if isinstance(profile, Trace):
        return []
    exchanges = np.bincount(timeline.worker, minlength=timeline.workers)
    steps = sum(
        np.bincount(one.worker, one.steps, timeline.workers)
        for one in (timeline, timeline.interrupted, timeline.unfinished)
    )
    said = []
    for part, times in (("step", steps), ("up", exchanges), ("down", exchanges), ("server", exchanges)):
        distribution = getattr(profile, part)
        if not isinstance(distribution, Recorded):
            continue
        lengths = np.array([distribution.length(config.seed, worker) for worker in range(timeline.workers)])
        beyond = np.maximum(times - lengths, 0)
        if beyond.any():
            who = f"{(beyond > 0).sum()} of {timeline.workers} workers used up their recorded times of [{part}]"
            said.append(f"{who} in {distribution.file}. {_then(distribution, beyond, lengths)}")
    return said


def _then(distribution: Recorded, beyond: np.ndarray, lengths: np.ndarray) -> str:
    if distribution.at_end == "blocks":
        blocks = int(np.ceil(beyond / distribution.block).sum())
        return f"Then {blocks} blocks of {distribution.block} rows were drawn of them at random, in all."
    again = int(np.ceil(beyond / lengths).sum())
    return f"Then the same times came again, {again} {'time' if again == 1 else 'times'} in all."


def of_decisions(config: RunConfig, timeline: Timeline) -> list[str]:
    """Which λ its phases had, in the order in which they began, where λ is decided during the run."""
    if not config.adapts or config.local_steps_rule is None:
        return []
    order = np.argsort(timeline.start_s, kind="stable")
    steps, start_s = timeline.steps[order], timeline.start_s[order]
    changes = np.flatnonzero(np.diff(steps)) + 1
    interval = getattr(config.local_steps_rule.thing, "interval", 1.0)
    until = [f"until {np.floor(start_s[change] / interval + 1e-9) * interval:g} s" for change in changes.tolist()]
    values = [f"{steps[first]}" for first in [0, *changes.tolist()]]
    told = [" ".join(pair) for pair in zip(values, [*until, "to the end"], strict=True)]
    if len(told) > _MOST_TOLD:
        between = f"from {steps.min()} to {steps.max()} with {len(told) - _MOST_TOLD} more changes"
        told = [*told[: _MOST_TOLD // 2], between, *told[-_MOST_TOLD // 2 :]]
    said = ", then ".join(told) if len(told) > 1 else f"{values[0]} throughout"
    return [f"λ was {said} (seed {config.seed})."]


def of_summary(config: RunConfig, row: Mapping[str, Any]) -> list[str]:
    """What a finished run has left out of the work that was planned, by its row of summary.csv; nothing of one that
    diverged or reached its target, which says so itself.
    """
    planned, trained = _whole_phases(config), int(row["gradient_steps"])
    if planned is None or row["status"] != "done":
        return []
    if planned - trained <= NOTABLE_WORK * planned or row.get("reached_s") not in (None, ""):
        return []
    why = [
        f"{count} {what}"
        for count, what in (
            (int(row.get("interrupted") or 0), "phases were interrupted"),
            (int(row.get("lost") or 0), "phases were lost by workers that went away"),
            (int(row.get("stranded") or 0), "workers waited for a version that could come no more"),
        )
        if count
    ]
    if config.seconds is not None and float(row["sim_time_s"]) >= config.seconds:
        why.append(f"`seconds={config.seconds:g}` ended the run")
    because = f", since {' and '.join(why)}" if why else ""
    return [f"{trained} of the planned {planned} gradient steps were trained{because}."]


def of_run(result: RunResult) -> list[str]:
    """All of these of a run."""
    from agn_bench.training.columns import summary

    config = result.config
    return [
        *of_plan(config),
        *of_timeline(result.timeline, isinstance(config.delays, Trace)),
        *of_recorded(config, result.timeline),
        *of_decisions(config, result.timeline),
        *of_summary(config, summary(result)),
    ]
