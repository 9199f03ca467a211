"""The clock: a discrete-event simulation of the workers, the network and the server, compiled by JAX.

Each worker loops: compute λ steps, send (up link), queue at the server, be served, receive (down link). The server
serves one exchange at a time and is never idle while one waits.

Times are float64 seconds: float32 was measured to pick the wrong worker at 8 % of the exchanges after 10⁵ of them.
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.experimental.xla_metadata import set_xla_metadata

from agn_bench.clock.draws import Draws
from agn_bench.clock.timeline import Timeline, by_worker, in_order

_BLOCK = 64
"""Workers are held in blocks of so many, with the first arrival of each block beside them."""

# Shapes are padded to few sizes, these at the least, so that other numbers of workers and exchanges run the same
# compiled program.
_MIN_EXCHANGES = 32_768


def simulate_timeline(draws: Draws, exchanges: int | None = None) -> Timeline:
    """Run the event simulation on the given draws.

    Args:
        exchanges: stop after so many; by default every worker's every phase, to the last.
    """
    workers, drawn = draws.workers, len(draws.compute)
    exchanges = drawn if exchanges is None else exchanges
    room = _rounded(drawn, _MIN_EXCHANGES, bits=1)
    places = _BLOCK * _rounded(-(-workers // _BLOCK), 1, bits=3)

    def flat(times: np.ndarray) -> np.ndarray:
        return np.pad(times, (0, room - drawn))

    def per_worker(values: np.ndarray, fill: float) -> np.ndarray:
        return np.pad(values, (0, places - workers), constant_values=fill)

    arrive = draws.begin + draws.compute[draws.first] + draws.up[draws.first]
    arrive = per_worker(arrive, np.inf).reshape(-1, _BLOCK)
    with jax.enable_x64(True), jax.default_device(jax.devices("cpu")[0]):
        arguments = (
            arrive,
            arrive.min(axis=1),
            per_worker(draws.first, 0),
            per_worker(draws.first + draws.phases - 1, 0),
            *map(flat, (draws.compute, draws.up, draws.down, draws.server, draws.order)),
            exchanges,
        )
        try:
            served_worker, served_s = jax.device_get(_serve(*arguments))
        except jax.errors.JaxRuntimeError:  # another version of XLA may not compile it as one kernel
            served_worker, served_s = jax.device_get(_serve_all(*arguments))
    return _complete(draws, served_worker[:exchanges], served_s[:exchanges])


@jax.jit
def _serve(*arguments: jax.Array) -> tuple[jax.Array, jax.Array]:
    """See _serve_all. The attributes are those that XLA itself gives to small loops: the whole loop becomes one kernel.

    Otherwise it starts some twenty kernels an exchange on the CPU, which was measured to take 4-5 times as long.
    """
    with set_xla_metadata(xla_cpu_small_call="true", inlineable="false"):  # type: ignore[no-untyped-call]
        return _serve_all(*arguments)


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

    def longest(arrive: jax.Array, earliest: jax.Array, now: jax.Array, u: jax.Array) -> tuple[jax.Array, jax.Array]:
        block = earliest.argmin().astype(jnp.int32)
        return block, _at(arrive, block).argmin().astype(jnp.int32)

    def at_random(arrive: jax.Array, earliest: jax.Array, now: jax.Array, u: jax.Array) -> tuple[jax.Array, jax.Array]:
        waiting = (arrive <= now).sum(axis=1, dtype=jnp.int32)
        up_to = jnp.cumsum(waiting)
        # The ⌊u m⌋-th of the m who wait, by worker index; u < 1 keeps u m below m in float64 too.
        rank = jnp.floor(u * up_to[-1]).astype(jnp.int32)
        block = (up_to <= rank).sum(dtype=jnp.int32)
        rank = rank - (_at(up_to, block) - _at(waiting, block))
        within = jnp.cumsum((_at(arrive, block) <= now).astype(jnp.int32))
        return block, (within <= rank).sum(dtype=jnp.int32)

    def serve(exchange: jax.Array, state: tuple) -> tuple:  # type: ignore[type-arg]
        arrive, earliest, draw, free, served_worker, served_s = state
        now = jnp.maximum(free, earliest.min())
        u = _at(order, exchange)
        block, place = lax.cond(u < 0, longest, at_random, arrive, earliest, now, u)
        worker = block * _BLOCK + place
        # The barrier: all reads of the old array come first, so that it is changed in place and not copied.
        this = lax.optimization_barrier(_at(draw, worker))  # type: ignore[no-untyped-call]
        end = _at(last, worker)
        applied = now + _at(server, this)
        following = jnp.minimum(this + 1, end)
        next_arrive = applied + _at(down, this) + _at(compute, following) + _at(up, following)
        row = jnp.where(places == place, jnp.where(this == end, jnp.inf, next_arrive), _at(arrive, block))
        return (
            _put(arrive, row, block),
            _put(earliest, row.min(), block),
            _put(draw, this + 1, worker),
            applied,
            _put(served_worker, worker, exchange),
            _put(served_s, now, exchange),
        )

    state = (arrive, earliest, first, 0.0, jnp.zeros(len(compute), jnp.int32), jnp.zeros_like(compute))
    *_, served_worker, served_s = lax.fori_loop(0, exchanges, serve, state)
    return served_worker, served_s


def _at(array: jax.Array, index: jax.Array) -> jax.Array:
    """array[index], an index known to be inside: nothing is checked."""
    return lax.dynamic_index_in_dim(array, index, keepdims=False)


def _put(array: jax.Array, value: jax.Array, index: jax.Array) -> jax.Array:
    """`array` with `value` at an index known to be inside."""
    return lax.dynamic_update_index_in_dim(array, value, index, 0)


def _complete(draws: Draws, worker: np.ndarray, served_s: np.ndarray) -> Timeline:
    """Derive the other times from whom was served when, with the same additions in the same order."""
    exchange, phase = by_worker(worker, draws.workers)
    draw = draws.first[worker[exchange]] + phase
    is_first = phase == 0
    applied = served_s[exchange] + draws.server[draw]
    resume = applied + draws.down[draw]
    start = np.where(is_first, draws.begin[worker[exchange]], np.roll(resume, 1))
    compute_end = start + draws.compute[draw]
    # A worker that pulls at exchange j has version j + 1; before its first pull it has version 0.
    version = np.where(is_first, 0, np.roll(exchange + 1, 1))

    ordered = partial(in_order, exchange)
    return Timeline(
        workers=draws.workers,
        local_steps=draws.local_steps,
        worker=worker,
        phase=ordered(phase.astype(np.int32)),
        start_s=ordered(start),
        compute_end_s=ordered(compute_end),
        arrive_s=ordered(compute_end + draws.up[draw]),
        served_s=served_s,
        applied_s=ordered(applied),
        resume_s=ordered(resume),
        staleness=ordered((exchange - version).astype(np.int32)),
    )


def _rounded(size: int, least: int, bits: int) -> int:
    """`size` rounded up to a number with so many leading binary digits, at least `least`."""
    unit = 1 << max(0, (size - 1).bit_length() - bits)
    return max(least, -(-size // unit) * unit)
