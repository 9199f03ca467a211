"""Many timelines in one compiled program: asynchronous workers and a server that serves one at a time.

A timeline of some hundred exchanges costs less than the call that simulates it. Here the draws of many are laid end to
end, and one program goes through the timelines and, within each, through its exchanges by events.serve. So each is, to
the bit, what events.simulate_timeline gives.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from agn_bench.base import machine
from agn_bench.base.jax_settings import own_settings
from agn_bench.clock.compiled import MIN_EXCHANGES, at, on_the_cpu, put, rounded
from agn_bench.clock.draws import Draws
from agn_bench.clock.events import Array, Clock, Times, at_the_start, blocks_of, complete, exchanges_of, serve
from agn_bench.clock.stops import NEVER, Stop, cut
from agn_bench.clock.timeline import Timeline

_MOST_TIMELINES, _MOST_WORKERS = 64, 1 << 18
"""Of a batch; more than so many workers only if they are of one timeline."""
_MOST_THREADS = 8


class _Run(NamedTuple):
    """A timeline to be simulated."""

    draws: Draws
    stop: Stop

    @property
    def blocks(self) -> tuple[int, int]:
        return blocks_of(self.draws.workers)


class _Served(NamedTuple):
    """Whom the server of each timeline of a batch served and when, end to end, (draws,)."""

    worker: np.ndarray
    served_s: np.ndarray
    end_s: np.ndarray
    """When the last parameters that were sent arrived, (timelines,)."""


def end_seconds(draws: Iterable[Draws]) -> Iterator[float]:
    """When each run ends if nothing stops it: Timeline.end_s of its timeline.

    Args:
        draws: of asynchronous workers and one channel; asked for as they are needed.
    """
    for batch, served in _each_batch(_Run(one, NEVER) for one in draws):
        yield from served.end_s[: len(batch)].tolist()


def simulate_timelines(runs: Iterable[tuple[Draws, Stop]]) -> Iterator[Timeline]:
    """The timeline of each run up to its stop, as events.simulate_timeline gives it.

    Args:
        runs: of asynchronous workers and one channel; asked for as they are needed.
    """
    for batch, served in _each_batch(_Run(*run) for run in runs):
        first = 0
        for draws, stop in batch:
            rows = slice(first, first + exchanges_of(draws, stop))
            # Copied, for a timeline is not to keep the whole batch in memory.
            timeline = complete(draws, served.worker[rows].copy(), served.served_s[rows].copy())
            yield cut(draws.with_steps(timeline), draws, stop)
            first += len(draws.compute)


def _each_batch(runs: Iterable[_Run]) -> Iterator[tuple[list[_Run], _Served]]:
    """The runs in batches, simulated in as many threads as JAX may use while the next ones are drawn."""
    threads = min(machine.threads(), _MOST_THREADS)
    if threads == 1:
        yield from ((batch, _simulated(batch)) for batch in _batches(runs))
        return
    under_way: deque[tuple[list[_Run], Future[_Served]]] = deque()
    # What own_settings changes for the whole process it is to change once, not in each thread.
    with own_settings(), ThreadPoolExecutor(threads) as pool:
        for batch in _batches(runs):
            under_way.append((batch, pool.submit(_simulated, batch)))
            if len(under_way) > threads:
                batch, served = under_way.popleft()
                yield batch, served.result()
        for batch, served in under_way:
            yield batch, served.result()


def _batches(runs: Iterable[_Run]) -> Iterator[list[_Run]]:
    """The runs in order, as many at once as fit into one program: whose workers are held alike, and few enough."""
    batch: list[_Run] = []
    for run in runs:
        fits = (
            batch
            and run.blocks == batch[0].blocks
            and len(batch) < _timelines_of(run.blocks)
            and sum(len(one.draws.compute) for one in (*batch, run)) <= MIN_EXCHANGES
        )
        if batch and not fits:
            yield batch
            batch = []
        batch.append(run)
    if batch:
        yield batch


def _timelines_of(blocks: tuple[int, int]) -> int:
    """How many timelines a batch has room for."""
    return max(1, min(_MOST_TIMELINES, _MOST_WORKERS // (blocks[0] * blocks[1])))


def _simulated(batch: list[_Run]) -> _Served:
    blocks = batch[0].blocks
    ends = np.cumsum([len(run.draws.compute) for run in batch])
    begins = [0, *ends[:-1].tolist()]
    exchanges = [exchanges_of(run.draws, run.stop) for run in batch]
    room, spare = rounded(int(ends[-1]), MIN_EXCHANGES, bits=1), _timelines_of(blocks) - len(batch)

    def flat(part: str) -> np.ndarray:
        return np.concatenate([*(getattr(run.draws, part) for run in batch), np.zeros(room - ends[-1])])

    started = [at_the_start(run.draws, blocks, first) for run, first in zip(batch, begins, strict=True)]
    clocks, last = jax.tree.map(lambda *parts: np.stack([*parts, *parts[:1] * spare]), *started)
    return _Served(
        *on_the_cpu(
            _serve_each,
            clocks,
            last,
            Times(*map(flat, Times._fields)),
            np.pad(begins, (0, spare)),
            np.pad(exchanges, (0, spare)),
            len(batch),
        )
    )


@jax.jit
def _serve_each(
    clocks: Clock, last: Array, times: Times, begins: Array, exchanges: Array, timelines: Array
) -> tuple[Array, Array, Array]:
    """Whom the servers serve and when, one timeline after another, and when each timeline ends.

    Args:
        clocks, last: see events.serve; with one axis more, (timelines, …).
        begins: where the draws of each timeline begin in the flat arrays, (timelines,).
        exchanges: how many of each timeline are made, (timelines,).
    """
    room = len(times.compute)

    def one(timeline: Array, rows: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        begin, ends = at(begins, timeline), at(last, timeline)

        def exchange(row: Array, state: tuple) -> tuple:  # type: ignore[type-arg]
            clock, served_worker, served_s, end_s = state
            clock, service = serve(clock, ends, times, row)
            end_s = jnp.maximum(end_s, clock.free + at(times.down, service.draw))
            return clock, put(served_worker, service.worker, row), put(served_s, service.began, row), end_s

        clock = jax.tree.map(lambda part: at(part, timeline), clocks)
        state = (clock, *rows[:2], jnp.float64(0.0))
        _, served_worker, served_s, end_s = lax.fori_loop(begin, begin + at(exchanges, timeline), exchange, state)
        return served_worker, served_s, put(rows[2], end_s, timeline)

    rows = (jnp.zeros(room, jnp.int32), jnp.zeros(room), jnp.zeros(len(begins)))
    return lax.fori_loop(0, timelines, one, rows)
