"""Timelines of workers that never stop, up to some end: the first so many exchanges, so many seconds, so much work."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from functools import partial

import numpy as np

from agn_bench.base.inputs import BadInput
from agn_bench.clock.draws import Draws, draw_delays, first_phases
from agn_bench.clock.profile import Profile
from agn_bench.clock.stops import Stop, cut, used
from agn_bench.clock.timeline import MOST_EXCHANGES, Timeline

Attempts = Generator[tuple[Draws, Stop], Timeline, Timeline]
"""Asks for the timelines of some draws up to a stop, until one is long enough, and returns that."""


def made(attempts: Attempts, simulate: Callable[[Draws, Stop], Timeline], timeline: Timeline | None = None) -> Timeline:
    """What the attempts come to.

    Args:
        timeline: that which they have asked for; None: they have not begun.
    """
    try:
        while True:
            timeline = simulate(*attempts.send(timeline))  # type: ignore[arg-type]
    except StopIteration as ended:
        return ended.value


def endless(draw: Callable[[np.ndarray], Draws], rates: np.ndarray, stop: Stop, expected: int) -> Attempts:
    """The timeline of workers that never stop, up to the stop.

    A worker's phases are drawn as its speed lets expect, and twice as many if they did not last; as the first draws
    do not depend on how many there are, the timeline does not either.

    Args:
        draw: the times of the first so many phases of each worker.
        rates: of the exchanges that each worker would make, (workers,).
        expected: exchanges, of all workers together.
    """
    phases = first_phases(expected, rates)
    while True:
        draws = draw(phases)
        timeline = cut((yield draws, stop), draws, stop)
        ended = used(timeline) >= phases
        if not ended.any():
            return timeline
        if phases.sum() > 2 * MOST_EXCHANGES:
            accepted = f"an end after at most {MOST_EXCHANGES} phases"
            raise BadInput("seconds", stop.seconds or "", f"{phases.sum()} local phases and more", accepted)
        phases[ended] *= 2


def active_timeline(profile: Profile, seed: int, workers: int, local_steps: int, size: int, exchanges: int) -> Timeline:
    """The first so many exchanges of asynchronous workers that never stop.

    Args:
        size: bytes of a message.
    """
    from agn_bench.clock.events import simulate_timeline

    attempts = _active(profile, seed, workers, local_steps, size, exchanges)
    return made(attempts, lambda draws, stop: simulate_timeline(draws, stop=stop))


def active_timelines(
    profile: Profile, cells: Iterable[tuple[int, int, int]], size: int, exchanges: Callable[[int], int]
) -> Iterator[Timeline]:
    """active_timeline of each cell, several in one program.

    Args:
        cells: seed, number of workers and λ of each.
        exchanges: how many, by the number of workers.
    """
    return made_together(_active(profile, *cell, size, exchanges(cell[1])) for cell in cells)


def made_together(several: Iterable[Attempts]) -> Iterator[Timeline]:
    """What each of several attempts comes to, of asynchronous workers: the first tries of many in one program.

    Args:
        several: asked for as they are needed.
    """
    from agn_bench.clock.batched import simulate_timelines
    from agn_bench.clock.events import simulate_timeline

    under_way: deque[Attempts] = deque()

    def first_tries() -> Iterator[tuple[Draws, Stop]]:
        for attempts in several:
            under_way.append(attempts)
            yield next(attempts)

    for timeline in simulate_timelines(first_tries()):
        yield made(under_way.popleft(), lambda draws, stop: simulate_timeline(draws, stop=stop), timeline)


def _active(profile: Profile, seed: int, workers: int, local_steps: int, size: int, exchanges: int) -> Attempts:
    draw = partial(draw_delays, profile, seed, workers, local_steps=local_steps, message_bytes=size)
    return endless(draw, profile.rates(seed, workers, local_steps, size), Stop(exchanges), exchanges)
