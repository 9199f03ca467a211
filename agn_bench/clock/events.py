"""The clock: a discrete-event simulation of the workers, the network and the server, compiled by JAX.

Each worker loops: compute λ steps, send (up link), queue at the server, be served, receive (down link). The server
serves one exchange at a time and is never idle while one waits. Where workers wait for one another, commits are dropped
or several are served at once, ruled_events.py has the loop. batched.py runs many timelines in one program, by the same
`serve`.

Times are float64 seconds: float32 was measured to pick the wrong worker at 8 % of the exchanges after 10⁵ of them.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from agn_bench.clock import ruled_events
from agn_bench.clock.compiled import MIN_EXCHANGES, at, at_random, longest, on_the_cpu, put, rounded
from agn_bench.clock.draws import Draws
from agn_bench.clock.rules import ASYNCHRONOUS, Rules
from agn_bench.clock.stops import NEVER, Stop, cut, with_leftover
from agn_bench.clock.timeline import Timeline, by_worker, in_order

Array = Any
"""JAX's in the loop, NumPy's before and after it."""
_BLOCK, _SMALL_BLOCK = 64, 8
"""Workers are held in blocks of so many, with the first arrival of each block beside them: of few workers in small
blocks, which were measured to take less than half as long.
"""


class Times(NamedTuple):
    """Draws, flat, worker by worker, and `order`, exchange by exchange, (draws,)."""

    compute: Array
    up: Array
    down: Array
    server: Array
    order: Array


class Clock(NamedTuple):
    """What the workers and the server are at."""

    arrive: Array
    """When each worker's next message reaches the server, inf when it has none left, (blocks, workers of one)."""
    earliest: Array
    """The first of each block, (blocks,)."""
    draw: Array
    """Each worker's phase, as an index of the draws, (workers,)."""
    free: Array
    """When the server has served whom it took last."""


class Service(NamedTuple):
    """What the server did at an exchange."""

    worker: Array
    """Whom it served."""
    draw: Array
    """The phase that ended, as an index of the draws."""
    began: Array
    """When, in seconds."""


def simulate_timeline(draws: Draws, rules: Rules = ASYNCHRONOUS, stop: Stop = NEVER) -> Timeline:
    """Run the event simulation on the given draws, up to the stop, or until nothing more can happen."""
    if draws.absences is None and not draws.pull_share:
        simulate = _simulate if is_plain(draws, rules) else ruled_events.simulate
        timeline = draws.with_steps(simulate(draws, rules, stop))
        return cut(with_leftover(timeline, draws), draws, stop)
    timeline = _with_pulls(draws, rules, stop)
    if timeline.stopped_s in (None, stop.seconds):
        return timeline
    # Who pulled after the last exchange may have been answered after the end, which is known only now.
    return _with_pulls(draws, rules, Stop(exchanges=timeline.exchanges, seconds=timeline.stopped_s))


def _with_pulls(draws: Draws, rules: Rules, stop: Stop) -> Timeline:
    """The timeline of workers that pull, because they have to or are back. Absences are drawn up to a time, and to
    twice that if it lasts longer.
    """
    until = 1.5 * draws.longest_s if stop.seconds is None else stop.seconds
    while True:
        absences = None if draws.absences is None else draws.absences(until)
        timeline = draws.with_steps(ruled_events.simulate(draws, rules, stop, absences))
        timeline = cut(with_leftover(timeline, draws), draws, stop)
        if absences is None or timeline.end_s <= until:
            return timeline
        until *= 2


def is_plain(draws: Draws, rules: Rules) -> bool:
    """Whether `serve` says all that happens: no rules, a server that serves one at a time and answers commits, and
    nobody goes away.
    """
    simple = draws.channels == 1 and draws.absences is None and not draws.pull_share
    return rules == ASYNCHRONOUS and simple


def _simulate(draws: Draws, rules: Rules, stop: Stop) -> Timeline:
    drawn = len(draws.compute)
    room = rounded(drawn, MIN_EXCHANGES, bits=1)
    exchanges = exchanges_of(draws, stop)
    times = Times(
        *(np.pad(part, (0, room - drawn)) for part in (draws.compute, draws.up, draws.down, draws.server, draws.order))
    )
    worker, served_s = on_the_cpu(_serve_all, *at_the_start(draws, blocks_of(draws.workers)), times, exchanges)
    return complete(draws, worker[:exchanges], served_s[:exchanges])


def exchanges_of(draws: Draws, stop: Stop) -> int:
    """How many exchanges are to be simulated: all, or those beyond which a stop keeps none."""
    most = stop.most_exchanges(draws.least_steps)
    return len(draws.compute) if most is None else min(len(draws.compute), most)


def blocks_of(workers: int) -> tuple[int, int]:
    """In how many blocks of how many so many workers are held: few sizes, as each is compiled anew."""
    if workers <= _BLOCK:
        return _BLOCK // _SMALL_BLOCK, _SMALL_BLOCK
    return rounded(-(-workers // _BLOCK), 1, bits=3), _BLOCK


def at_the_start(draws: Draws, blocks: tuple[int, int], first: int = 0) -> tuple[Clock, np.ndarray]:
    """The clock before the first exchange, and where each worker's draws end, (workers,).

    Args:
        first: where these draws begin in the flat arrays.
    """
    arrive = np.full(blocks, np.inf)
    draw, last = np.zeros((2, arrive.size), np.int64)
    begin = draws.first
    arrive.reshape(-1)[: draws.workers] = draws.begin + draws.compute[begin] + draws.up[begin]
    draw[: draws.workers] = begin + first
    last[: draws.workers] = begin + draws.phases + (first - 1)
    return Clock(arrive, arrive.min(axis=1), draw, 0.0), last


def serve(clock: Clock, last: Array, times: Times, exchange: Array) -> tuple[Clock, Service]:
    """The server's next exchange, and the clock after it.

    With the first arrival of every block at hand, the next message of all is found among the blocks' and one block's
    numbers. Those who wait are counted anew each time: at 10,000 workers that is one pass over 80 kB.

    Args:
        last: where each worker's draws end, (workers,).
        exchange: its index in `times.order`.
    """
    arrive, earliest, draw, free = clock
    compute, up, down, server, order = times
    places = jnp.arange(arrive.shape[1], dtype=jnp.int32)
    now = jnp.maximum(free, earliest.min())
    u = at(order, exchange)
    block, place = lax.cond(u < 0, longest, at_random, arrive, earliest, now, u)
    worker = block * len(places) + place
    # The barrier: all reads of the old array come first, so that it is changed in place and not copied.
    this = lax.optimization_barrier(at(draw, worker))  # type: ignore[no-untyped-call]
    end = at(last, worker)
    applied = now + at(server, this)
    following = jnp.minimum(this + 1, end)
    next_arrive = applied + at(down, this) + at(compute, following) + at(up, following)
    row = jnp.where(places == place, jnp.where(this == end, jnp.inf, next_arrive), at(arrive, block))
    clock = Clock(put(arrive, row, block), put(earliest, row.min(), block), put(draw, this + 1, worker), applied)
    return clock, Service(worker, this, now)


@jax.jit
def _serve_all(clock: Clock, last: Array, times: Times, exchanges: Array) -> tuple[Array, Array]:
    """Whom the server serves and when, one exchange after another."""

    def one(exchange: Array, state: tuple) -> tuple:  # type: ignore[type-arg]
        clock, served_worker, served_s = state
        clock, service = serve(clock, last, times, exchange)
        return clock, put(served_worker, service.worker, exchange), put(served_s, service.began, exchange)

    room = len(times.compute)
    _, served_worker, served_s = lax.fori_loop(0, exchanges, one, (clock, jnp.zeros(room, jnp.int32), jnp.zeros(room)))
    return served_worker, served_s


def complete(draws: Draws, worker: np.ndarray, served_s: np.ndarray) -> Timeline:
    """Derive the other times from whom was served when, with the same additions in the same order."""
    exchange, phase = by_worker(worker, draws.workers)
    draw = draws.first[worker[exchange]] + phase
    applied = served_s[exchange] + draws.server[draw]
    resume = applied + draws.down[draw]
    start = np.where(phase == 0, draws.begin[worker[exchange]], np.roll(resume, 1))
    compute_end = start + draws.compute[draw]
    ordered = partial(in_order, exchange)
    before, after = (start, compute_end, compute_end + draws.up[draw]), (applied, resume)
    times = (*map(ordered, before), served_s, *map(ordered, after))
    return Timeline.asynchronous(draws.workers, draws.local_steps, worker, times, (exchange, phase))
