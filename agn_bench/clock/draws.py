"""The times of a run, drawn from a profile: each a function of (seed, worker, phase, kind) alone."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np

from agn_bench.base.inputs import BadInput
from agn_bench.base.streams import Kind, stream
from agn_bench.clock.absences import Absence, Absences
from agn_bench.clock.distributions import Constant, Distribution, draw_sums, draw_sums_of, drawn, sampler_of
from agn_bench.clock.profile import Going, Profile, Renewals, RoundTime
from agn_bench.clock.speeds import slowness_of
from agn_bench.clock.timeline import Timeline

_MOST_ABSENCES = 5_000_000
LONGEST = -1.0
"""In Draws.order: the server takes whoever has waited longest."""


@dataclass(frozen=True)
class Draws:
    """Every time of a run, in seconds, float64. Times of phases are flat, worker by worker, (all phases,)."""

    local_steps: int
    """λ; where it varies, the most of a phase."""
    phases: np.ndarray
    """Local phases of each worker, (workers,) int."""
    begin: np.ndarray
    """When each worker starts its first local phase, (workers,)."""
    compute: np.ndarray
    """The time that a local phase computes: the sum of its step draws."""
    up: np.ndarray
    down: np.ndarray
    server: np.ndarray
    order: np.ndarray
    """For each exchange, whom the server takes: with m waiting, u in [0, 1) the ⌊u m⌋-th of them by worker index,
    LONGEST the one whose message came first (ties to the lower worker index); (all phases,).
    """
    channels: int = 1
    """How many exchanges the server serves at once."""
    collective: RoundTime | None = None
    """What a round costs workers that wait for one another; None: they exchange through the server."""
    steps: np.ndarray | None = None
    """λ of each phase where it varies, int32; None: that of all."""
    pull_share: float = 0.0
    """Which part of a service is that of a pull, which is served apart; 0: commits are answered."""
    on_arrival: bool = False
    """Whether the server reads the staleness when a commit arrives."""
    leftover_steps: int = 0
    """Steps that each worker makes after its phases, and never sends."""
    leftover: np.ndarray | None = None
    """What they take, (workers,); None: there are none."""
    absences: Callable[[float], Absences] | None = None
    """When workers are away, at least up to so many seconds, for all of the run's workers; None: never."""

    @property
    def workers(self) -> int:
        return len(self.phases)

    @cached_property
    def first(self) -> np.ndarray:
        """Where each worker's phases begin in the flat arrays, (workers,)."""
        return np.cumsum(self.phases) - self.phases

    @property
    def least_steps(self) -> int:
        """The least λ of a phase."""
        return self.local_steps if self.steps is None else int(self.steps.min())

    def with_steps(self, timeline: Timeline) -> Timeline:
        """A timeline of these draws, with the λ of each phase where it varies."""
        if self.on_arrival:
            timeline = replace(timeline, on_arrival=True)
        if self.steps is None:
            return timeline
        draw = self.first[timeline.worker] + timeline.phase
        return replace(timeline, own_steps=self.steps[draw], own_before=self._steps_before(self.steps)[draw])

    @property
    def longest_s(self) -> float:
        """When the last worker would be through with all of its phases if nobody waited or went away, or the server if
        it was never idle.
        """
        each = self.compute + self.up + self.down + self.server
        more = 0.0 if self.leftover is None else self.leftover
        alone = float((self.begin + np.add.reduceat(each, self.first) + more).max())
        return max(alone, float(self.server.sum()) / self.channels)

    def steps_of(self, draw: np.ndarray) -> int | np.ndarray:
        """λ of phases, by their indices in the flat arrays."""
        return self.local_steps if self.steps is None else self.steps[draw]

    def _steps_before(self, steps: np.ndarray) -> np.ndarray:
        """The local steps of the worker's phases before each one, int64, flat."""
        total = np.cumsum(steps, dtype=np.int64) - steps
        return total - np.repeat(total[self.first], self.phases)


Sums = Callable[[Distribution, int, Kind, int, int, int], np.ndarray]
"""From a distribution, a seed, a kind, a worker, a count and terms: so many sums of so many draws each, (count,)."""


def draw_anew(distribution: Distribution, seed: int, kind: Kind, worker: int, count: int, terms: int) -> np.ndarray:
    """The first `count` sums of `terms` draws each of a worker's stream, in seconds, (count,)."""
    generator = stream(seed, kind, worker)
    return draw_sums(distribution, generator, count, terms, sampler_of(distribution, seed, worker, generator))


def _draw_of(distribution: Distribution, seed: int, kind: Kind, worker: int, terms: np.ndarray) -> np.ndarray:
    """The first sums of a worker's stream, of so many draws each, (terms,)."""
    generator = stream(seed, kind, worker)
    return draw_sums_of(distribution, generator, terms, sampler_of(distribution, seed, worker, generator))


class Remembered:
    """Sums that are kept, for cells that differ in their numbers of workers: their first draws are the same.

    They are of one profile: what is drawn of a kind is asked for with one distribution.
    """

    MOST = 1 << 22
    """Numbers that are kept; then all are forgotten, and drawn again where they are asked for again."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, Kind, int, int], np.ndarray] = {}
        self._size = 0

    def __call__(
        self, distribution: Distribution, seed: int, kind: Kind, worker: int, count: int, terms: int
    ) -> np.ndarray:
        """See draw_anew; to be read only."""
        key = (seed, kind, worker, terms)
        known = self._known.get(key)
        if known is None or len(known) < count:
            known = draw_anew(distribution, seed, kind, worker, count, terms)
            if self._size > self.MOST:
                self._known, self._size = {}, 0
            self._known[key] = known
            self._size += count
        return known[:count]


def first_phases(exchanges: int, rates: np.ndarray) -> np.ndarray:
    """How many phases of each worker to draw at first for so many exchanges of all together, (workers,): a fifth more
    than its speed lets expect, and ten.

    Args:
        rates: of the exchanges that each worker would make, (workers,).
    """
    return np.ceil(1.2 * exchanges * rates / rates.sum()).astype(np.int64) + 10


def draw_delays(
    profile: Profile,
    seed: int,
    workers: int,
    phases: int | np.ndarray,
    local_steps: int | np.ndarray,
    message_bytes: int = 0,
    leftover_steps: int = 0,
    sums: Sums = draw_anew,
) -> Draws:
    """Draw the times of `phases` local phases of each worker, or of so many of each.

    Args:
        local_steps: λ, or that of each phase, flat, worker by worker, (all phases,) int32.
        message_bytes: what a worker sends to the server, and gets back.
        leftover_steps: that each worker makes after its phases. The times of these do not depend on it.
        sums: who draws where all phases have as many steps: `draw_anew`, or a `Remembered` of this profile.
    """
    counts = phases if isinstance(phases, np.ndarray) else np.full(workers, phases)
    total = int(counts.sum())
    most_steps = int(np.max(local_steps))
    varied = local_steps if isinstance(local_steps, np.ndarray) and local_steps.min() < most_steps else None

    def times(distribution: Distribution, kind: Kind, terms: int | np.ndarray = 1) -> np.ndarray:
        if type(distribution) is Constant:
            return np.full(total, terms * distribution.mean)
        if isinstance(terms, np.ndarray):
            own = np.split(terms, np.cumsum(counts)[:-1])
            drawn = [_draw_of(distribution, seed, kind, worker, own[worker]) for worker in range(workers)]
        else:
            drawn = [sums(distribution, seed, kind, w, count, terms) for w, count in enumerate(counts.tolist())]
        return np.concatenate(drawn)

    def exchanged(part: str, kind: Kind) -> np.ndarray:
        return times(getattr(profile, part), kind) + profile.transfer_s(part, message_bytes)

    slowness, leftover = slowness_of(profile.speeds, seed, workers), None
    if leftover_steps:
        # Each worker's own stream of steps goes on where its phases ended.
        terms = [np.append(np.full(count, most_steps, np.int32), np.int32(leftover_steps)) for count in counts]
        made = [_draw_of(profile.step, seed, Kind.STEP, worker, own)[-1] for worker, own in enumerate(terms)]
        leftover = slowness * np.array(made)
    return Draws(
        local_steps=most_steps,
        phases=counts,
        begin=profile.start_interval * np.arange(workers),
        compute=times(profile.step, Kind.STEP, most_steps if varied is None else varied) * np.repeat(slowness, counts),
        up=exchanged("up", Kind.UP),
        down=exchanged("down", Kind.DOWN),
        server=exchanged("server", Kind.SERVER),
        order=_order(profile, seed, total if profile.pull == "answer" else 3 * total + workers),
        channels=profile.channels,
        collective=None if profile.collective is None else profile.collective.round_time(message_bytes),
        steps=varied,
        pull_share=profile.pull_share if profile.pull == "separate" else 0.0,
        on_arrival=profile.staleness == "arrival",
        leftover_steps=leftover_steps,
        leftover=leftover,
        absences=None if profile.going is None else partial(_absences, profile.name, profile.going, seed, workers),
    )


def _absences(name: str, going: Going, seed: int, workers: int, until: float) -> Absences:
    """When so many workers are away, up to a time at least. An absence that begins later has no say before.

    Raises:
        BadInput: they are too many to hold.
    """
    own: list[list[Absence]] = [[*going.recorded[w]] if w < len(going.recorded) else [] for w in range(workers)]
    for renewals, fails in ((going.pauses, False), (going.failures, True)):
        if renewals is None:
            continue
        for group in range(-(-workers // renewals.group)):
            begin, end = _renewed(renewals, seed, group, until)
            held = sum(map(len, own)) + len(begin) * renewals.group
            if held > _MOST_ABSENCES:
                problem = f"its workers are away more than {_MOST_ABSENCES} times in {until:g} s"
                raise BadInput("delays", name, problem, "fewer and longer absences, fewer workers, or a shorter run")
            absences = [*map(Absence, begin.tolist(), end.tolist(), [fails] * len(begin))]
            for worker in range(group * renewals.group, min(workers, (group + 1) * renewals.group)):
                own[worker] += absences
    for worker in range(workers):
        joins = 0.0
        if going.join is not None:
            joins = float(drawn(going.join, stream(seed, Kind.JOIN, worker), 1)[0])
            own[worker] += [Absence(0.0, joins, True)] if joins else []
        if going.lifetime is not None:
            leaves = joins + float(drawn(going.lifetime, stream(seed, Kind.LIFETIME, worker), 1)[0])
            own[worker].append(Absence(leaves, math.inf, True))
    return Absences.of(own)


def _renewed(renewals: Renewals, seed: int, group: int, until: float) -> tuple[np.ndarray, np.ndarray]:
    """When the absences of a group begin and end, those that begin up to a time."""
    count = 16
    while True:
        between, length = (
            drawn(distribution, stream(seed, kind, group), count)
            for distribution, kind in zip(renewals[:2], renewals.kinds, strict=True)
        )
        end = np.cumsum(between + length)
        if end[-1] > until or count > _MOST_ABSENCES:
            begin = end - length
            some = (begin <= until) & (end > begin)
            return begin[some], end[some]
        count *= 2


def _order(profile: Profile, seed: int, exchanges: int) -> np.ndarray:
    if profile.order == "fifo":
        return np.full(exchanges, LONGEST)
    order = stream(seed, Kind.ORDER).random(exchanges)
    if profile.fifo_share:
        order[stream(seed, Kind.FIFO_SHARE).random(exchanges) < profile.fifo_share] = LONGEST
    return order
