"""When workers are away: pauses, after which a worker goes on, and failures, which cost it what it has.

Absences are drawn before the clock runs and depend on nothing that a worker does. docs/clock.md says what each does to
a phase, to a reply and under the rules.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np


class Absence(NamedTuple):
    """From `from_s` up to, but not including, `until_s`; a failure may have no end."""

    from_s: float
    until_s: float
    fails: bool


@dataclass(frozen=True)
class Absences:
    """All of a run's, flat, worker by worker, each worker's in order, neither overlapping nor touching."""

    count: np.ndarray
    """The number of absences of each worker, (workers,) int."""
    from_s: np.ndarray
    until_s: np.ndarray
    fails: np.ndarray

    @classmethod
    def of(cls, workers: Iterable[Iterable[Absence]]) -> Absences:
        """From each worker's, in any order: those that overlap or touch become one, which fails if one of them does."""
        each = [_apart(own) for own in workers]
        flat = [absence for own in each for absence in own]
        return cls(
            np.array([len(own) for own in each]),
            np.array([one.from_s for one in flat], np.float64),
            np.array([one.until_s for one in flat], np.float64),
            np.array([one.fails for one in flat], bool),
        )

    @cached_property
    def first(self) -> np.ndarray:
        """Where each worker's begin in the flat arrays, (workers,)."""
        return np.cumsum(self.count) - self.count

    def __len__(self) -> int:
        return len(self.from_s)

    def of_worker(self, worker: int) -> list[Absence]:
        """A worker's, in order."""
        own = slice(self.first[worker], self.first[worker] + self.count[worker])
        return [*map(Absence, self.from_s[own].tolist(), self.until_s[own].tolist(), self.fails[own].tolist())]

    @cached_property
    def worker(self) -> np.ndarray:
        """Whose each is, int32."""
        return np.repeat(np.arange(len(self.count), dtype=np.int32), self.count)

    def away_s(self, end: float) -> float:
        """Seconds of all workers together up to a moment."""
        return float((np.minimum(self.until_s, end) - np.minimum(self.from_s, end)).sum())

    def paused_s(self, worker: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
        """What of the time between two moments of a worker each is spent in its absences."""
        paused = np.zeros(len(worker))
        for own, which in self._by_worker(worker):
            away = np.concatenate([[0.0], np.cumsum(own.until_s - own.from_s)])
            begun, ended = (np.searchsorted(own.from_s, times[which]) for times in (start, end))
            over = np.where(ended > begun, np.maximum(own.until_s[ended - 1] - end[which], 0.0), 0.0)
            paused[which] = away[ended] - away[begun] - over
        return paused

    def moments(self, worker: np.ndarray, start: np.ndarray, worked: np.ndarray) -> np.ndarray:
        """When a worker each has worked so many seconds since it started, (phases, any number of them)."""
        moments = start[:, None] + worked
        for own, which in self._by_worker(worker):
            away = np.concatenate([[0.0], np.cumsum(own.until_s - own.from_s)])
            begun = np.searchsorted(own.from_s, start[which])
            # The seconds that the worker had worked, or would have, at the beginning of each absence.
            until_then = own.from_s - away[:-1]
            passed = np.searchsorted(until_then, (moments[which] - away[begun][:, None]).ravel())
            passed = np.maximum(passed.reshape(len(which), -1), begun[:, None])
            moments[which] += away[passed] - away[begun][:, None]
        return moments

    def _by_worker(self, worker: np.ndarray) -> Iterable[tuple[Absences, np.ndarray]]:
        """The absences of each of some workers that is ever away, and where in the list this worker is."""
        order = np.argsort(worker, kind="stable")
        ends = np.cumsum(np.bincount(worker, minlength=len(self.count)))
        for name, which in enumerate(np.split(order, ends[:-1])):
            if self.count[name] and len(which):
                own = slice(self.first[name], self.first[name] + self.count[name])
                # An absence without end has no length: nothing comes after it.
                until = np.where(np.isinf(self.until_s[own]), self.from_s[own], self.until_s[own])
                yield Absences(self.count[name : name + 1], self.from_s[own], until, self.fails[own]), which

    def begins(self, worker: int, ready: float) -> float:
        """When a worker begins its next phase that has its parameters at a moment; infinite if it is in a failure."""
        for one in self.of_worker(worker):
            if one.from_s <= ready < one.until_s:
                return math.inf if one.fails else one.until_s
        return ready

    def ends(self, worker: int, start: float, compute: float) -> float:
        """When a phase of so many seconds of work ends, or is lost."""
        end = start + compute
        for one in self.of_worker(worker):
            if start <= one.from_s < end:
                if one.fails:
                    return one.from_s
                end += one.until_s - one.from_s
        return end


def _apart(own: Iterable[Absence]) -> list[Absence]:
    """In order, those that overlap or touch made one."""
    apart: list[Absence] = []
    for one in sorted(own):
        if apart and one.from_s <= apart[-1].until_s:
            last = apart.pop()
            one = Absence(last.from_s, max(last.until_s, one.until_s), last.fails or one.fails)
        apart.append(one)
    return apart
