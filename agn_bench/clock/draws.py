"""The times of a run, drawn from a profile: each a function of (seed, worker, phase, kind) alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agn_bench.base.streams import Kind, stream
from agn_bench.clock.distributions import Constant, Distribution, draw_sums
from agn_bench.clock.profile import Profile, RoundTime
from agn_bench.clock.speeds import slowness_of

LONGEST = -1.0
"""In Draws.order: the server takes whoever has waited longest."""


@dataclass(frozen=True)
class Draws:
    """Every time of a run, in seconds, float64. Times of phases are flat, worker by worker, (all phases,)."""

    local_steps: int
    phases: np.ndarray
    """Local phases of each worker, (workers,) int."""
    begin: np.ndarray
    """When each worker starts its first local phase, (workers,)."""
    compute: np.ndarray
    """Of a local phase: the sum of its λ step draws."""
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

    @property
    def workers(self) -> int:
        return len(self.phases)

    @property
    def first(self) -> np.ndarray:
        """Where each worker's phases begin in the flat arrays, (workers,)."""
        return np.cumsum(self.phases) - self.phases


def draw_delays(
    profile: Profile, seed: int, workers: int, phases: int | np.ndarray, local_steps: int, message_bytes: int = 0
) -> Draws:
    """Draw the times of `phases` local phases of each worker, or of so many of each.

    Args:
        message_bytes: what a worker sends to the server, and gets back.
    """
    counts = np.broadcast_to(np.asarray(phases), (workers,))
    total = int(counts.sum())

    def times(distribution: Distribution, kind: Kind, terms: int = 1) -> np.ndarray:
        if type(distribution) is Constant:
            return np.full(total, terms * distribution.mean)
        drawn = [draw_sums(distribution, stream(seed, kind, w), int(counts[w]), terms) for w in range(workers)]
        return np.concatenate(drawn)

    def exchanged(part: str, kind: Kind) -> np.ndarray:
        return times(getattr(profile, part), kind) + profile.transfer_s(part, message_bytes)

    return Draws(
        local_steps=local_steps,
        phases=counts,
        begin=profile.start_interval * np.arange(workers),
        compute=times(profile.step, Kind.STEP, local_steps)
        * np.repeat(slowness_of(profile.speeds, seed, workers), counts),
        up=exchanged("up", Kind.UP),
        down=exchanged("down", Kind.DOWN),
        server=exchanged("server", Kind.SERVER),
        order=_order(profile, seed, total),
        channels=profile.channels,
        collective=None if profile.collective is None else profile.collective.round_time(message_bytes),
    )


def _order(profile: Profile, seed: int, exchanges: int) -> np.ndarray:
    if profile.order == "fifo":
        return np.full(exchanges, LONGEST)
    order = stream(seed, Kind.ORDER).random(exchanges)
    if profile.fifo_share:
        order[stream(seed, Kind.FIFO_SHARE).random(exchanges) < profile.fifo_share] = LONGEST
    return order
