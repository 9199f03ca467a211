"""The times of a run, drawn from a profile: each a function of (seed, worker, phase, kind) alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from agn_bench.base.streams import Kind, stream
from agn_bench.clock.distributions import Constant, Distribution, draw_sums, draw_sums_of
from agn_bench.clock.profile import Profile, RoundTime
from agn_bench.clock.speeds import slowness_of
from agn_bench.clock.timeline import Timeline

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
    """Of a local phase: the sum of its step draws."""
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
        if self.steps is None:
            return timeline
        draw = self.first[timeline.worker] + timeline.phase
        return replace(timeline, own_steps=self.steps[draw], own_before=self._steps_before(self.steps)[draw])

    def steps_of(self, draw: np.ndarray) -> int | np.ndarray:
        """λ of phases, by their indices in the flat arrays."""
        return self.local_steps if self.steps is None else self.steps[draw]

    def _steps_before(self, steps: np.ndarray) -> np.ndarray:
        """The local steps of the worker's phases before each one, int64, flat."""
        total = np.cumsum(steps, dtype=np.int64) - steps
        return total - np.repeat(total[self.first], self.phases)


Sums = Callable[[Distribution, int, Kind, int, int, int], np.ndarray]
"""Of a distribution, a seed, a kind, a worker, a count and terms: so many sums of so many draws each, (count,)."""


def draw_anew(distribution: Distribution, seed: int, kind: Kind, worker: int, count: int, terms: int) -> np.ndarray:
    """The first `count` sums of `terms` draws each of a worker's stream, in seconds, (count,)."""
    return draw_sums(distribution, stream(seed, kind, worker), count, terms)


class Remembered:
    """Sums that are kept, for cells that differ in their numbers of workers: their first draws are the same.

    Of one profile: what is drawn of a kind is asked for with one distribution.
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


def draw_delays(
    profile: Profile,
    seed: int,
    workers: int,
    phases: int | np.ndarray,
    local_steps: int | np.ndarray,
    message_bytes: int = 0,
    sums: Sums = draw_anew,
) -> Draws:
    """Draw the times of `phases` local phases of each worker, or of so many of each.

    Args:
        local_steps: λ, or that of each phase, flat, worker by worker, (all phases,) int32.
        message_bytes: what a worker sends to the server, and gets back.
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
            drawn = [draw_sums_of(distribution, stream(seed, kind, w), own[w]) for w in range(workers)]
        else:
            drawn = [sums(distribution, seed, kind, w, count, terms) for w, count in enumerate(counts.tolist())]
        return np.concatenate(drawn)

    def exchanged(part: str, kind: Kind) -> np.ndarray:
        return times(getattr(profile, part), kind) + profile.transfer_s(part, message_bytes)

    return Draws(
        local_steps=most_steps,
        phases=counts,
        begin=profile.start_interval * np.arange(workers),
        compute=times(profile.step, Kind.STEP, most_steps if varied is None else varied)
        * np.repeat(slowness_of(profile.speeds, seed, workers), counts),
        up=exchanged("up", Kind.UP),
        down=exchanged("down", Kind.DOWN),
        server=exchanged("server", Kind.SERVER),
        order=_order(profile, seed, total),
        channels=profile.channels,
        collective=None if profile.collective is None else profile.collective.round_time(message_bytes),
        steps=varied,
    )


def _order(profile: Profile, seed: int, exchanges: int) -> np.ndarray:
    if profile.order == "fifo":
        return np.full(exchanges, LONGEST)
    order = stream(seed, Kind.ORDER).random(exchanges)
    if profile.fifo_share:
        order[stream(seed, Kind.FIFO_SHARE).random(exchanges) < profile.fifo_share] = LONGEST
    return order
