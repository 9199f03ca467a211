"""Many timelines of asynchronous workers in one compiled program.

A timeline of some hundred exchanges costs less than the call that simulates it. Here the draws of many are laid end to
end, and one program goes through the timelines and, within each, through its exchanges by events.serve. So each is, to
the bit, what events.simulate_timeline gives.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from agn_bench.base import machine
from agn_bench.base.jax_settings import own_settings
from agn_bench.clock.compiled import MIN_EXCHANGES, at, on_the_cpu, put, rounded
from agn_bench.clock.draws import Draws
from agn_bench.clock.events import (
    Array,
    Clock,
    Times,
    at_the_start,
    blocks_of,
    complete,
    exchanges_of,
    is_plain,
    serve,
    simulate_timeline,
)
from agn_bench.clock.rules import ASYNCHRONOUS
from agn_bench.clock.stops import NEVER, Stop, cut, with_leftover
from agn_bench.clock.timeline import Timeline

_MOST_TIMELINES, _MOST_WORKERS = 64, 1 << 18
"""The most timelines and workers of a batch; more workers only if they are of one timeline."""
_MOST_THREADS = 8
T = TypeVar("T")


class _Run(NamedTuple):
    """A timeline to be simulated."""

    draws: Draws
    stop: Stop

    @property
    def blocks(self) -> tuple[int, int] | None:
        """How its workers are held in the program; None: it has to be simulated by itself."""
        return blocks_of(self.draws.workers) if is_plain(self.draws, ASYNCHRONOUS) else None


class _Served(NamedTuple):
    """Whom the server of each timeline of a batch served and when, end to end, (draws,)."""

    worker: np.ndarray
    served_s: np.ndarray
    end_s: np.ndarray
    """When the last parameters that were sent arrived, (timelines,)."""


def end_seconds(draws: Iterable[Draws]) -> Iterator[float]:
    """When each run of asynchronous workers ends if nothing stops it: Timeline.end_s of its timeline.

    Args:
        draws: asked for as they are needed.
    """
    return _in_batches((_Run(one, NEVER) for one in draws), _ends)


def simulate_timelines(runs: Iterable[tuple[Draws, Stop]]) -> Iterator[Timeline]:
    """The timeline of each run of asynchronous workers up to its stop, as events.simulate_timeline gives it.

    Args:
        runs: asked for as they are needed.
    """
    return _in_batches((_Run(*run) for run in runs), _timelines)


def _in_batches(runs: Iterable[_Run], simulate: Callable[[list[_Run]], Iterable[T]]) -> Iterator[T]:
    """What `simulate` says of each run, in as many threads as JAX may use, while the next ones are drawn."""
    threads = min(machine.threads(), _MOST_THREADS)
    if threads == 1:
        for batch in _batches(runs):
            yield from simulate(batch)
        return
    under_way: deque[Future[Iterable[T]]] = deque()
    # What own_settings changes for the whole process it is to change once, not in each thread.
    with own_settings(), ThreadPoolExecutor(threads) as pool:
        for batch in _batches(runs):
            under_way.append(pool.submit(simulate, batch))
            if len(under_way) > threads:
                yield from under_way.popleft().result()
        for batch_under_way in under_way:
            yield from batch_under_way.result()


def _batches(runs: Iterable[_Run]) -> Iterator[list[_Run]]:
    """The runs in order, as many at once as fit into one program: whose workers are held alike, and few enough."""
    batch: list[_Run] = []
    exchanges = 0
    for run in runs:
        drawn = len(run.draws.compute)
        more = exchanges + drawn <= MIN_EXCHANGES and len(batch) < _timelines_of(run.blocks)
        if batch and not (more and run.blocks == batch[0].blocks):
            yield batch
            batch, exchanges = [], 0
        batch.append(run)
        exchanges += drawn
    if batch:
        yield batch


def _timelines_of(blocks: tuple[int, int] | None) -> int:
    """How many timelines a batch has room for."""
    return 1 if blocks is None else max(1, min(_MOST_TIMELINES, _MOST_WORKERS // (blocks[0] * blocks[1])))


def _ends(batch: list[_Run]) -> list[float]:
    blocks = batch[0].blocks
    if blocks is None or any(run.draws.leftover is not None for run in batch):
        return [timeline.end_s for timeline in _timelines(batch)]
    return _served(batch, blocks).end_s[: len(batch)].tolist()


def _timelines(batch: list[_Run]) -> list[Timeline]:
    blocks = batch[0].blocks
    if blocks is None:
        return [simulate_timeline(run.draws, stop=run.stop) for run in batch]
    served = _served(batch, blocks)
    timelines, first = [], 0
    for draws, stop in batch:
        rows = slice(first, first + exchanges_of(draws, stop))
        # Copied, for a timeline is not to keep the whole batch in memory.
        timeline = complete(draws, served.worker[rows].copy(), served.served_s[rows].copy())
        timelines.append(cut(with_leftover(draws.with_steps(timeline), draws), draws, stop))
        first += len(draws.compute)
    return timelines


def _served(batch: list[_Run], blocks: tuple[int, int]) -> _Served:
    drawn = np.array([len(run.draws.compute) for run in batch])
    begins = np.cumsum(drawn) - drawn
    exchanges = [exchanges_of(run.draws, run.stop) for run in batch]
    room, spare = rounded(int(drawn.sum()), MIN_EXCHANGES, bits=1), _timelines_of(blocks) - len(batch)

    def flat(part: str) -> np.ndarray:
        return np.concatenate([*(getattr(run.draws, part) for run in batch), np.zeros(room - drawn.sum())])

    started = [at_the_start(run.draws, blocks, first) for run, first in zip(batch, begins.tolist(), strict=True)]
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
