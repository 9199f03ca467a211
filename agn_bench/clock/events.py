"""The clock: a discrete-event simulation of the workers, the network and the server, compiled by JAX.

Each worker loops: compute λ steps, send (up link), queue at the server, be served, receive (down link). The server
serves one exchange at a time and is never idle while one waits. Where workers wait for one another, commits are dropped
or several are served at once, ruled_events.py has the loop.

Times are float64 seconds: float32 was measured to pick the wrong worker at 8 % of the exchanges after 10⁵ of them.
"""

from __future__ import annotations

from functools import partial

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

_BLOCK = 64
"""Workers are held in blocks of so many, with the first arrival of each block beside them."""


def simulate_timeline(draws: Draws, rules: Rules = ASYNCHRONOUS, stop: Stop = NEVER) -> Timeline:
    """Run the event simulation on the given draws, up to the stop, or until nothing more can happen."""
    if draws.absences is None and not draws.pull_share:
        plain = rules == ASYNCHRONOUS and draws.channels == 1
        simulate = _simulate if plain else ruled_events.simulate
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


def _simulate(draws: Draws, rules: Rules, stop: Stop) -> Timeline:
    workers, drawn = draws.workers, len(draws.compute)
    most = stop.most_exchanges(draws.least_steps)
    exchanges = drawn if most is None else min(drawn, most)
    room = rounded(drawn, MIN_EXCHANGES, bits=1)
    places = _BLOCK * rounded(-(-workers // _BLOCK), 1, bits=3)

    def flat(times: np.ndarray) -> np.ndarray:
        return np.pad(times, (0, room - drawn))

    def per_worker(values: np.ndarray, fill: float) -> np.ndarray:
        return np.pad(values, (0, places - workers), constant_values=fill)

    arrive = draws.begin + draws.compute[draws.first] + draws.up[draws.first]
    arrive = per_worker(arrive, np.inf).reshape(-1, _BLOCK)
    served_worker, served_s = on_the_cpu(
        _serve_all,
        arrive,
        arrive.min(axis=1),
        per_worker(draws.first, 0),
        per_worker(draws.first + draws.phases - 1, 0),
        *map(flat, (draws.compute, draws.up, draws.down, draws.server, draws.order)),
        exchanges,
    )
    return _complete(draws, served_worker[:exchanges], served_s[:exchanges])


@jax.jit
def _serve_all(
    arrive: jax.Array,
    earliest: jax.Array,
    first: jax.Array,
    last: jax.Array,
    compute: jax.Array,
    up: jax.Array,
    down: jax.Array,
    server: jax.Array,
    order: jax.Array,
    exchanges: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    """Whom the server serves and when, one exchange after another.

    Args:
        arrive: when each worker's next message reaches the server, inf when it has none left, (blocks, workers of one).
        earliest: the first of each block, (blocks,).
        first, last: where each worker's draws begin and end in the flat arrays that follow, (workers,).

    With the first arrival of every block at hand, the next message of all is found among the blocks' and one block's
    numbers. Those who wait are counted anew each time: at 10,000 workers that is one pass over 80 kB.
    """
    places = jnp.arange(_BLOCK, dtype=jnp.int32)

    def serve(exchange: jax.Array, state: tuple) -> tuple:  # type: ignore[type-arg]
        arrive, earliest, draw, free, served_worker, served_s = state
        now = jnp.maximum(free, earliest.min())
        u = at(order, exchange)
        block, place = lax.cond(u < 0, longest, at_random, arrive, earliest, now, u)
        worker = block * _BLOCK + place
        # The barrier: all reads of the old array come first, so that it is changed in place and not copied.
        this = lax.optimization_barrier(at(draw, worker))  # type: ignore[no-untyped-call]
        end = at(last, worker)
        applied = now + at(server, this)
        following = jnp.minimum(this + 1, end)
        next_arrive = applied + at(down, this) + at(compute, following) + at(up, following)
        row = jnp.where(places == place, jnp.where(this == end, jnp.inf, next_arrive), at(arrive, block))
        return (
            put(arrive, row, block),
            put(earliest, row.min(), block),
            put(draw, this + 1, worker),
            applied,
            put(served_worker, worker, exchange),
            put(served_s, now, exchange),
        )

    state = (arrive, earliest, first, 0.0, jnp.zeros(len(compute), jnp.int32), jnp.zeros_like(compute))
    *_, served_worker, served_s = lax.fori_loop(0, exchanges, serve, state)
    return served_worker, served_s


def _complete(draws: Draws, worker: np.ndarray, served_s: np.ndarray) -> Timeline:
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
