"""Stops: when a run ends before its workers have nothing left to do."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from agn_bench.clock.draws import Draws
from agn_bench.clock.timeline import Phases, Timeline


@dataclass(frozen=True)
class Stop:
    """Whichever comes first; None: never."""

    exchanges: int | None = None
    seconds: float | None = None
    """Simulated."""
    gradient_steps: int | None = None
    """The steps of all workers together, those of dropped commits and of interrupted phases too."""

    def most_exchanges(self, local_steps: int) -> int | None:
        """Exchanges beyond which nothing is kept; None: no limit.

        Args:
            local_steps: λ; where it varies, the least of a phase.
        """
        limits = [] if self.exchanges is None else [self.exchanges]
        if self.gradient_steps is not None:
            limits.append(self.gradient_steps // local_steps)
        return min(limits, default=None)

    def kept(self, timeline: Timeline) -> int:
        """How many of a timeline's exchanges come before the stop."""
        count = timeline.exchanges
        if self.exchanges is not None:
            count = min(count, self.exchanges)
        if self.seconds is not None:
            count = min(count, int(np.searchsorted(timeline.applied_s, self.seconds, side="right")))
        if self.gradient_steps is not None:
            order = np.argsort(timeline.interrupted.end_s, kind="stable")
            in_vain = np.concatenate([[0], np.cumsum(timeline.interrupted.steps[order])])
            made = np.cumsum(timeline.steps, dtype=np.int64)
            made += in_vain[np.searchsorted(timeline.interrupted.end_s[order], timeline.applied_s, side="right")]
            count = min(count, int(np.searchsorted(made, self.gradient_steps, side="right")))
        return count


NEVER = Stop()


def cut(timeline: Timeline, draws: Draws | None, stop: Stop) -> Timeline:
    """The timeline up to the stop. What this leaves unfinished is noted, if the draws are known."""
    if stop == NEVER:
        return timeline
    kept = stop.kept(timeline)
    seconds = math.inf if stop.seconds is None else stop.seconds
    least = int(timeline.steps.min(initial=timeline.local_steps)) if draws is None else draws.least_steps
    most = stop.most_exchanges(least)
    drawn = timeline.exchanges if draws is None else len(draws.compute)
    reached = most is not None and kept >= most and _used_by(timeline, kept) < drawn
    if kept == timeline.exchanges:
        was_cut = timeline.stopped_s not in (None, stop.seconds)
        if was_cut or (timeline.stopped_s is None and not (reached or timeline.end_s > seconds)):
            return timeline
    in_time = int(np.searchsorted(timeline.applied_s, seconds, side="right"))
    last = float(timeline.applied_s[kept - 1]) if kept else 0.0
    end = last if reached or kept < in_time else seconds
    answered = np.where(timeline.answered < kept, timeline.answered, -1).astype(np.int32)
    rows = {name: column[:kept] for name, column in timeline.rows().items()}
    changed: dict[str, Any] = {
        "answered": answered[:kept],
        "resume_s": np.where(answered < 0, np.nan, timeline.resume_s)[:kept],
        "interrupted": _in_vain(timeline.interrupted, kept, end),
    }
    shorter = replace(timeline, **{**rows, **changed}, stopped_s=end)
    return shorter if draws is None else replace(shorter, unfinished=_unfinished(shorter, draws, end))


def _used_by(timeline: Timeline, kept: int) -> int:
    """How many phases have ended by the last of so many exchanges, or have been told to."""
    last = float(timeline.applied_s[kept - 1]) if kept else 0.0
    lost_later = timeline.interrupted.failed & (timeline.interrupted.end_s > last)
    return int(used(timeline).sum() - lost_later.sum())


def with_leftover(timeline: Timeline, draws: Draws) -> Timeline:
    """The timeline of workers that made all of their phases, with the steps that they make after them, if they do."""
    if draws.leftover is None or timeline.stopped_s is not None:
        return timeline
    return replace(timeline, unfinished=_unfinished(timeline, draws, math.inf))


def used(timeline: Timeline) -> np.ndarray:
    """How many of each worker's phases have ended, (workers,)."""
    return np.bincount(np.concatenate([timeline.worker, timeline.interrupted.worker]), minlength=timeline.workers)


def _unfinished(timeline: Timeline, draws: Draws, end: float) -> Phases:
    """The phases that workers are in when the run ends, or whose commits are on their way."""
    start, phase = draws.begin.copy(), np.zeros(timeline.workers, np.int64)
    if timeline.joined_s is not None:
        start = timeline.joined_s.copy()
    # In the order of phases: the last of a worker's is what remains.
    for worker, number, resumed in (
        (timeline.worker, timeline.phase, timeline.resume_s),
        (timeline.interrupted.worker, timeline.interrupted.phase, timeline.interrupted.resume_s),
    ):
        order = np.argsort(number, kind="stable")
        latest = np.full(timeline.workers, -1)
        latest[worker[order]] = order
        there = np.flatnonzero(latest >= 0)
        there = there[number[latest[there]] + 1 > phase[there]]
        phase[there], start[there] = number[latest[there]] + 1, resumed[latest[there]]
    absences = timeline.absences
    if absences is not None:
        start = np.array([absences.begins(worker, ready) for worker, ready in enumerate(start.tolist())])
    through = draws.phases if draws.leftover is None else draws.phases + 1
    begun = np.flatnonzero((start < end) & (phase < through))  # NaN, for those who have no answer, is not
    draw, rest = draws.first[begun] + phase[begun], phase[begun] == draws.phases[begun]
    draw = np.where(rest, 0, draw)
    start, compute, steps = start[begun], draws.compute[draw], draws.steps_of(draw)
    if draws.leftover is not None:
        compute, steps = np.where(rest, draws.leftover[begun], compute), np.where(rest, draws.leftover_steps, steps)
    compute_end = start + compute
    if absences is not None:
        compute_end = np.array([*map(absences.ends, begun.tolist(), start.tolist(), compute.tolist())], np.float64)
    until = worked_until = np.minimum(compute_end, end)
    if absences is not None:
        worked = np.where(compute_end <= end, compute, until - start - absences.paused_s(begun, start, until))
        worked_until = start + worked
    return Phases(
        begun.astype(np.int32),
        phase[begun].astype(np.int32),
        start,
        until,
        steps_made(start, worked_until, compute, steps),
        np.full(len(begun), -1, np.int32),
    )


def steps_made(start: np.ndarray, end: np.ndarray, compute: np.ndarray, local_steps: int | np.ndarray) -> np.ndarray:
    """The steps of phases that began at `start` and were given up at `end`, λ of which take `compute` s, int32."""
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.where(compute > 0, (end - start) / compute, 1.0)
    whole = end >= start + compute
    return np.where(whole, local_steps, np.floor(local_steps * share)).clip(0, local_steps).astype(np.int32)


def _in_vain(interrupted: Phases, kept: int, end: float) -> Phases:
    """Those that were given up by then, or lost, if their workers were not answered yet: so many exchanges are kept."""
    known = interrupted.answered < kept
    some = (known | interrupted.failed) & (interrupted.end_s <= end)
    phases = Phases(*(getattr(interrupted, one.name)[some] for one in fields(Phases)))
    return replace(
        phases,
        answered=np.where(known[some], phases.answered, -1).astype(np.int32),
        resume_s=np.where(known[some], phases.resume_s, np.nan),
    )
