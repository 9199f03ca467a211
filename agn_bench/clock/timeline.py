"""A timeline: all exchanges of a run, in the order in which the server applied them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from functools import cached_property

import numpy as np

from agn_bench.clock.absences import Absences

TIMES = ("start_s", "compute_end_s", "arrive_s", "served_s", "applied_s", "resume_s")
"""The times of an exchange, in the order in which they come."""
_OF_WORKERS = ("joined_s", "joined")
"""Arrays with an entry a worker."""
MOST_EXCHANGES = 10_000_000
"""The most exchanges of a timeline that no training follows."""


def by_worker(worker: np.ndarray, workers: int) -> tuple[np.ndarray, np.ndarray]:
    """The exchanges worker by worker, each one's in order, and how many the worker has made before each, from 0.

    Args:
        worker: who exchanges, in the order applied.
    """
    exchange = np.argsort(worker, kind="stable")
    counts = np.bincount(worker, minlength=workers)
    return exchange, np.arange(len(worker)) - np.repeat(np.cumsum(counts) - counts, counts)


def in_order(exchange: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Values given worker by worker, as `exchange` lists them, in the order applied."""
    ordered = np.empty_like(values)
    ordered[exchange] = values
    return ordered


@dataclass(frozen=True)
class Phases:
    """Local phases that no exchange ended; arrays of shape (phases,)."""

    worker: np.ndarray
    """int32."""
    phase: np.ndarray
    """Which of the worker's local phases, from 0, int32."""
    start_s: np.ndarray
    end_s: np.ndarray
    """The worker stopped computing, or the run ended."""
    steps: np.ndarray
    """Made by then, int32."""
    answered: np.ndarray
    """The exchange after which an interrupted worker was told to begin again, or one that was away was answered; −1
    where neither came, or came before the first exchange, int32.
    """
    failed: np.ndarray = None  # type: ignore[assignment]
    """Whether it was lost because its worker went away, and not given up, bool; by default none was."""
    resume_s: np.ndarray = None  # type: ignore[assignment]
    """When the worker had new parameters; NaN where it never did; by default when it stopped computing."""

    def __post_init__(self) -> None:
        if self.failed is None:
            object.__setattr__(self, "failed", np.zeros(len(self.worker), bool))
        if self.resume_s is None:
            object.__setattr__(self, "resume_s", self.end_s)

    def __len__(self) -> int:
        return len(self.worker)

    @classmethod
    def none(cls) -> Phases:
        whole, times = np.zeros(0, np.int32), np.zeros(0)
        return cls(whole, whole, times, times, whole, whole)


@dataclass(frozen=True)
class Timeline:
    """All exchanges of a run, in the order in which the server applied them; arrays of shape (exchanges,)."""

    workers: int
    local_steps: int
    """λ; where it varies, the most of a phase."""
    worker: np.ndarray
    """Who exchanges, int32."""
    phase: np.ndarray
    """Which of the worker's local phases ends in this exchange, from 0, int32."""
    start_s: np.ndarray
    """The local phase begins."""
    compute_end_s: np.ndarray
    """The local phase ends and its message is sent."""
    arrive_s: np.ndarray
    """The message is at the server."""
    served_s: np.ndarray
    """Service begins."""
    applied_s: np.ndarray
    """Service ends; the commit counts, or is dropped."""
    resume_s: np.ndarray
    """The worker has its new parameters; NaN where it never got any."""
    pulled: np.ndarray
    """The version that the local phase began from, int32."""
    version: np.ndarray
    """The center's after this exchange, int32."""
    accepted: np.ndarray
    """Whether the commit counts, bool."""
    answered: np.ndarray
    """The exchange after whose application the worker was answered: its own, or a later one; −1: none, int32."""
    interrupted: Phases = field(default_factory=Phases.none)
    """Phases that workers were told to give up, or lost."""
    unfinished: Phases = field(default_factory=Phases.none)
    """Phases that the end of the run cut off, or whose commits it did."""
    stopped_s: float | None = None
    """When the run was ended; None: it ended by itself."""
    own_steps: np.ndarray | None = None
    """λ of each phase where it varies, int32; None: that of all. See `steps`."""
    own_before: np.ndarray | None = None
    """The local steps of the worker's phases before each one where λ varies, int64. See `steps_before`."""
    absences: Absences | None = None
    """When workers were away; None: it is not known that any was."""
    joined_s: np.ndarray | None = None
    """When each worker began its first phase, NaN if it did not, (workers,); None: where `Draws.begin` says it."""
    joined: np.ndarray | None = None
    """The exchange after which each worker pulled first; −1: it had the initial parameters, (workers,) int32. None: all
    had them.
    """
    anew: np.ndarray | None = None
    """Whether the answer was lost, and the worker lost what it had and pulled anew, bool; None: none was."""
    pull_share: float = 0.0
    """Which part of an exchange's service is the pull's, if that is served apart."""
    on_arrival: bool = False
    """Whether the server reads the staleness when a commit arrives, and not when it is applied."""

    @classmethod
    def asynchronous(
        cls,
        workers: int,
        local_steps: int,
        worker: np.ndarray,
        times: tuple[np.ndarray, ...],
        grouped: tuple[np.ndarray, np.ndarray] | None = None,
    ) -> Timeline:
        """Every commit is accepted, makes a version and is answered at once.

        Args:
            worker: who exchanges, in the order applied.
            times: those of TIMES.
            grouped: what by_worker says, if it is known.
        """
        exchange, phase = by_worker(worker, workers) if grouped is None else grouped
        number = np.arange(len(worker), dtype=np.int32)
        # A worker that pulls at exchange j has version j + 1; before its first pull it has version 0.
        pulled = np.where(phase == 0, 0, np.roll(exchange, 1) + 1)
        start_s, compute_end_s, arrive_s, served_s, applied_s, resume_s = times
        return cls(
            workers=workers,
            local_steps=local_steps,
            worker=worker,
            phase=in_order(exchange, phase.astype(np.int32)),
            start_s=start_s,
            compute_end_s=compute_end_s,
            arrive_s=arrive_s,
            served_s=served_s,
            applied_s=applied_s,
            resume_s=resume_s,
            pulled=in_order(exchange, pulled.astype(np.int32)),
            version=number + 1,
            accepted=np.ones(len(worker), bool),
            answered=number,
        )

    @property
    def exchanges(self) -> int:
        return len(self.worker)

    def rows(self) -> dict[str, np.ndarray]:
        """What is known of each exchange, by name."""
        values = {one.name: getattr(self, one.name) for one in fields(self) if one.name not in _OF_WORKERS}
        return {name: value for name, value in values.items() if isinstance(value, np.ndarray)}

    @property
    def steps(self) -> np.ndarray:
        """λ of each phase, int32."""
        return np.full(self.exchanges, self.local_steps, np.int32) if self.own_steps is None else self.own_steps

    @property
    def steps_before(self) -> np.ndarray:
        """The local steps of the worker's phases before each one: λ of each, also of those that were interrupted."""
        return self.phase * self.local_steps if self.own_before is None else self.own_before

    def of_steps(self, values: np.ndarray, first: int = 0) -> np.ndarray:
        """The entries of steps that were made, flat, phase by phase.

        Args:
            values: (exchanges, λ) of some exchanges in a row; where λ varies, there is room for the longest phase.
            first: of these exchanges.
        """
        if self.own_steps is None:
            return values.ravel()
        return values[np.arange(values.shape[1]) < self.own_steps[first : first + len(values), None]]

    @cached_property
    def plain(self) -> bool:
        """Whether every commit counts, makes a version and is answered at once, and no phase was interrupted."""
        at_once = (self.answered == np.arange(self.exchanges)) & self.accepted & self.made
        return bool(at_once.all()) and not len(self.interrupted) and self.joined is None

    @cached_property
    def made(self) -> np.ndarray:
        """Whether the commit completed a version, bool."""
        return np.diff(self.version, prepend=0) > 0

    @cached_property
    def staleness(self) -> np.ndarray:
        """τ, versions the center gained between the worker's pull and this commit's application, or its arrival if
        that is when the server reads it, int32.
        """
        if not self.on_arrival:
            return self.version - self.made - self.pulled
        before = np.searchsorted(self.applied_s, self.arrive_s, side="right")
        before = np.minimum(before, np.arange(self.exchanges))  # its own commit is not, if its service took no time
        return np.where(before > 0, self.version[before - 1], 0).astype(np.int32) - self.pulled

    @property
    def queue_wait_s(self) -> np.ndarray:
        return self.served_s - self.arrive_s

    @property
    def answer_wait_s(self) -> np.ndarray:
        """From the application to when the answer leaves: what a worker waits for others; NaN where none left, or where
        it was lost.
        """
        left = self.applied_s[self.answered]
        lost = False if self.anew is None else self.anew
        return np.where((self.answered < 0) | lost, np.nan, left - self.applied_s)

    @property
    def stranded(self) -> int:
        """Workers that waited for an answer which could come no more."""
        return int((self.answered < 0).sum()) if self.stopped_s is None else 0

    @property
    def end_s(self) -> float:
        """The run was stopped, or the last worker has its last parameters, or has made its last steps."""
        if self.stopped_s is not None:
            return self.stopped_s
        ends = [np.zeros(1), self.resume_s, self.applied_s[-1:], self.interrupted.end_s, self.unfinished.end_s]
        return float(np.nanmax(np.concatenate(ends)))

    def server_busy_s(self, exchanges: int) -> float:
        """How long the server was busy with the first so many exchanges, and their pulls."""
        return float((self.applied_s - self.served_s)[:exchanges].sum()) / (1 - self.pull_share)

    def step_times_s(self) -> np.ndarray:
        """When each mini-batch is done, (exchanges, λ): evenly over the work of the phase, the last at its end.

        The original stamps a mini-batch after training on it. See `of_steps`.
        """
        number = np.arange(1, self.local_steps + 1)
        fraction = number / (self.local_steps if self.own_steps is None else self.own_steps[:, None])
        length = self.compute_end_s - self.start_s
        if self.absences is None or not len(self.absences):
            return self.start_s[:, None] + length[:, None] * fraction
        length = length - self.absences.paused_s(self.worker, self.start_s, self.compute_end_s)
        moments = self.absences.moments(self.worker, self.start_s, length[:, None] * fraction)
        return np.where(fraction == 1, self.compute_end_s[:, None], moments)


def counted(
    timeline: Timeline, decide: Callable[[int, int, int], tuple[bool, bool]], pulled: np.ndarray | None = None
) -> Timeline:
    """The same exchanges at the same times, of which others count or make a version.

    Args:
        timeline: of workers that are answered at once.
        decide: asked of every exchange in order, with its worker, the version its phase began from and the center's:
            whether the commit counts, and whether it makes a version.
        pulled: the versions that the phases began from, if they are known.
    """
    version = 0
    after = [0] * timeline.workers
    began, versions, accepted = [], [], []
    for row, worker in enumerate(timeline.worker.tolist()):
        began.append(after[worker] if pulled is None else int(pulled[row]))
        counts, makes = decide(worker, began[-1], version)
        version += makes
        accepted.append(counts)
        versions.append(version)
        after[worker] = version
    return replace(
        timeline,
        pulled=np.array(began, np.int32),
        version=np.array(versions, np.int32),
        accepted=np.array(accepted, bool),
    )
