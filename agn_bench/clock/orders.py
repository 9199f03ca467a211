"""In which order workers exchange, without JAX: for those who must know before it starts, and decides its threads.

What a configuration is may depend on it (see stability.py), and a configuration is known before anything is computed.
It is the clock of events.py, for workers that never stop, never go away and are answered: a test holds the two
together.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from heapq import heapify, heappop, heappush, heapreplace

import numpy as np

from agn_bench.clock.draws import LONGEST, Draws, draw_delays, first_phases
from agn_bench.clock.profile import Profile


def order_of_exchanges(
    profile: Profile, seed: int, workers: int, local_steps: int, size: int, exchanges: int
) -> np.ndarray:
    """Who exchanges: `worker` of the first so many exchanges of endless.active_timeline, which takes the same.

    Pulls that are served apart and absences are left out. With several channels, what happens at one moment may come in
    another order.

    Args:
        size: bytes of a message.
    """
    profile = replace(profile, going=None, pull="answer")
    draw = partial(draw_delays, profile, seed, workers, local_steps=local_steps, message_bytes=size)
    rates = profile.rates(seed, workers, local_steps, size)
    phases = first_phases(exchanges, rates)
    while True:
        draws = draw(phases)
        order, through = _first(draws, exchanges)
        if not through.any():
            return order
        phases[through] *= 2


def _first(draws: Draws, exchanges: int) -> tuple[np.ndarray, np.ndarray]:
    """Whom the server serves, and who has made all of its phases by then, (workers,) bool."""
    last = (draws.first + draws.phases).tolist()
    draw = draws.first.tolist()
    compute, up, down, server = (part.tolist() for part in (draws.compute, draws.up, draws.down, draws.server))
    begin = draws.begin.tolist()
    arriving = [(begin[worker] + compute[at] + up[at], worker) for worker, at in enumerate(draw)]
    heapify(arriving)
    waiting: list[int] = []  # by worker index
    came: dict[int, float] = {}
    queue: list[tuple[float, int]] = []  # by when they came, with some who were served since
    free = [0.0] * draws.channels
    order: list[tuple[float, int]] = []
    for u in draws.order[:exchanges].tolist():
        now = free[0] if waiting else max(free[0], arriving[0][0])
        while arriving and arriving[0][0] <= now:
            arrived, worker = heappop(arriving)
            insort(waiting, worker)
            came[worker] = arrived
            heappush(queue, (arrived, worker))
        if u == LONGEST:
            worker = next(one for arrived, one in _popped(queue) if came.get(one) == arrived)
            del waiting[bisect_left(waiting, worker)]
        else:
            worker = waiting.pop(math.floor(u * len(waiting)))
        del came[worker]
        this = draw[worker]
        draw[worker] = this + 1
        applied = now + server[this]
        order.append((applied, worker))
        heapreplace(free, applied)
        if this + 1 < last[worker]:
            heappush(arriving, (applied + down[this] + compute[this + 1] + up[this + 1], worker))
        else:
            break
    order.sort(key=lambda exchange: exchange[0])  # several channels may be done in another order than they began
    return np.array([worker for _, worker in order], np.int32), np.array(draw) >= np.array(last)


def _popped(queue: list[tuple[float, int]]) -> Iterator[tuple[float, int]]:
    while queue:
        yield heappop(queue)
