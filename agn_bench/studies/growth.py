"""The growth rate of any optimizer: its own code, run along timelines on one direction of a quadratic function.

The loss ½ h x² has one direction of curvature h, and no noise. A local phase of λ plain steps at the rate η takes x to
(1 − η h)^λ x. What the server makes of that is for the optimizer's `commit`, `version` and `reply` to say, in the order
of a timeline. From x = 1 everywhere the center then grows or shrinks by a factor per n exchanges, whose logarithm is
the growth rate: below 0 the optimizer is stable in such directions on this clock, above 0 it is not. Where η h = 1 a
phase ends at the minimum; that is AGN's worst case, and its rate there is that of clock/stability.py.

Many timelines and curvatures are run in one compiled program, in float64. Numbers would leave its range: all that an
optimizer keeps is scaled by powers of two now and then, each array by the power of x that it stands for, which is found
by trying (a momentum is of x, a mean square of x²). Where there is no such power, as where a gradient is shortened to a
given length, nothing is scaled: the rate is then that from x = 1 on, as far as floats reach.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from agn_bench.base.jax_settings import own_settings
from agn_bench.base.pytrees import as_pytree
from agn_bench.clock.compiled import rounded
from agn_bench.clock.stability import slope
from agn_bench.clock.timeline import Timeline
from agn_bench.optimizers import Commit, Optimizer, Server, Worker
from agn_bench.training.carry import answered_later

_CHUNK = 16
"""Events between two looks at whether numbers have to be scaled."""
_BITS = 200
"""Binary digits that x may grow or shrink by before it is scaled."""
_TRIED, _TRIED_ROUNDS = 20, 4
"""Binary digits by which x differs where the powers are tried, and over how many rounds of all workers."""
_TOLERANCE = 1e-4
"""How far a power may be off: small numbers that keep optimizers from dividing by 0 are of no power."""
_LEAST_EVENTS = 512
_MOST_ARRAYS = 64
"""That an optimizer keeps."""
_MOST_NUMBERS = 20_000_000
"""That one program gives back; more timelines are run in several."""


class Event(NamedTuple):
    """What happens, one thing after another; arrays of shape (timelines, events)."""

    worker: Any
    steps: Any
    staleness: Any
    arrives: Any
    """Whether a phase of the worker ends. Otherwise the worker is only answered, or nothing happens."""
    accepted: Any
    version: Any
    answered: Any
    anew: Any
    """Whether the worker that is answered has lost what it had."""


class _Kept(NamedTuple):
    server: Server
    params: jax.Array
    """The parameters of each worker, (workers,)."""
    memory: Any
    """What the server keeps of each worker."""


class _State(NamedTuple):
    kept: _Kept
    bits: jax.Array
    """By how many binary digits all has been scaled."""


def growth_rates(
    optimizer: Optimizer, timelines: Sequence[Timeline], curvatures: Sequence[float] = (1.0,), learning_rate: float = 1
) -> np.ndarray:
    """The growth rates of an optimizer, (timelines, curvatures): increase of log max|c| per n exchanges.

    Args:
        timelines: of workers that are all active to the end.
        curvatures: η h of the directions.
        learning_rate: η, for optimizers whose equations have it.

    Returns:
        As clock.stability.growth_rate: NaN for a timeline of less than 5 n exchanges.
    """
    remembers = type(optimizer).init is not Optimizer.init
    groups = defaultdict(list)
    for index, timeline in enumerate(timelines):
        # What a server remembers may be made for just so many workers; else different numbers share a program.
        groups[timeline.workers if remembers else rounded(timeline.workers, 8, bits=1)].append(index)
    rates = np.full((len(timelines), len(curvatures)), math.nan)
    for room, all_of_them in groups.items():
        for some in _parts(all_of_them, timelines, len(curvatures)):
            logarithms = _logarithms(optimizer, [timelines[index] for index in some], room, curvatures, learning_rate)
            for index, of_timeline in zip(some, logarithms, strict=True):
                n = timelines[index].workers
                whole = of_timeline[:, : timelines[index].exchanges // n * n]
                rates[index] = [slope(peaks) for peaks in whole.reshape(len(curvatures), -1, n).max(axis=2)]
    return rates


def _parts(indices: list[int], timelines: Sequence[Timeline], curvatures: int) -> list[list[int]]:
    """The timelines of one program each: of about one length, and as many as give back few enough numbers."""
    parts: list[list[int]] = []
    size = 0
    for index in sorted(indices, key=lambda one: timelines[one].exchanges):
        size += timelines[index].exchanges * curvatures
        if not parts or size > _MOST_NUMBERS or timelines[index].exchanges > 2 * timelines[parts[-1][0]].exchanges:
            parts.append([])
            size = timelines[index].exchanges * curvatures
        parts[-1].append(index)
    return parts


def _logarithms(
    optimizer: Optimizer, timelines: list[Timeline], room: int, curvatures: Sequence[float], learning_rate: float
) -> list[np.ndarray]:
    """log |c| after every exchange of each timeline, (curvatures, exchanges) each; −inf where c is 0.

    Args:
        room: for so many workers.
    """
    listed = [_events(timeline) for timeline in timelines]
    size = rounded(max(len(events.worker) for events, _ in listed), _LEAST_EVENTS, bits=3)
    parts = zip(*(events for events, _ in listed), strict=True)
    # At the end of those that are shorter nothing happens.
    events = Event(*(np.stack([np.pad(one, (0, size - len(one))) for one in part]) for part in parts))
    count = np.array([timeline.workers for timeline in timelines], np.int32)
    with own_settings(), jax.enable_x64(True), jax.default_device(jax.devices("cpu")[0]):
        run = partial(_run, as_pytree(optimizer), events, count, np.array(curvatures, float), learning_rate, room=room)
        unscaled = np.zeros(_MOST_ARRAYS, int)
        chunks = min(-(-_TRIED_ROUNDS * room // _CHUNK), size // _CHUNK)
        one, other = (jax.device_get(run(x, chunks, unscaled)[1].kept) for x in (1.0, 2.0**_TRIED))
        powers = _powers(one, other)
        logarithms = jax.device_get(run(1.0, size // _CHUNK, unscaled if powers is None else powers)[0])
    return [of_one[:, rows] for of_one, (_, rows) in zip(logarithms, listed, strict=True)]


def _events(timeline: Timeline) -> tuple[Event, np.ndarray]:
    """What happens, and which of it are the exchanges, in order."""
    rows = np.arange(timeline.exchanges)
    always, never = np.ones(timeline.exchanges, bool), np.zeros(timeline.exchanges, bool)
    steps, staleness = np.broadcast_to(timeline.steps, rows.shape), timeline.staleness
    if timeline.plain:
        return Event(timeline.worker, steps, staleness, always, always, always, always, never), rows
    anew = never if timeline.anew is None else timeline.anew
    answered = (timeline.answered == rows) & ~anew
    own = Event(timeline.worker, steps, staleness, always, timeline.accepted, timeline.made, answered, never)
    later = sorted(answered_later(timeline).items())
    after = np.array([row for row, others in later for _ in others], int)
    others = [(worker, lost) for _, others in later for _, worker, lost in others]
    order = np.argsort(np.concatenate([rows, after]), kind="stable")
    nothing = np.zeros((len(Event._fields), len(others)), int)
    more = Event(*nothing)._replace(
        worker=np.array([worker for worker, _ in others], int),
        answered=np.ones(len(others), int),
        anew=np.array([lost for _, lost in others], int),
    )
    events = Event(
        *(np.concatenate([mine, theirs.astype(mine.dtype)])[order] for mine, theirs in zip(own, more, strict=True))
    )
    return events, np.flatnonzero(events.arrives)


@partial(jax.jit, static_argnames="room")
def _run(
    optimizer: Optimizer,
    events: Event,
    count: jax.Array,
    curvatures: jax.Array,
    rate: jax.Array,
    x: jax.Array,
    chunks: jax.Array,
    powers: jax.Array,
    *,
    room: int,
) -> tuple[jax.Array, _State]:
    """log |c| after every event, (timelines, curvatures, events), and what there is in the end.

    Args:
        count: n of each timeline.
        x: where the center and all workers begin.
        chunks: of _CHUNK events, that happen.
        powers: by which all that is kept is scaled, (_MOST_ARRAYS,); 0: by none.
    """

    def along(events: Event, n: jax.Array, curvature: jax.Array) -> tuple[jax.Array, _State]:
        center = jnp.asarray(x, float)
        memory = jax.tree.map(lambda leaf: jnp.stack([leaf] * room), optimizer.init_worker(center))
        server = Server(center, jax.tree.map(jnp.asarray, optimizer.init(center, room)))
        happens = partial(_happens, optimizer, n, curvature, rate)

        def chunk(number: jax.Array, carried: tuple[_State, jax.Array]) -> tuple[_State, jax.Array]:
            state, logarithms = carried
            some = jax.tree.map(lambda part: lax.dynamic_slice_in_dim(part, number * _CHUNK, _CHUNK), events)
            state, found = lax.scan(happens, _scaled(state, powers), some)
            return state, lax.dynamic_update_slice_in_dim(logarithms, found, number * _CHUNK, 0)

        params = jnp.where(jnp.arange(room) < n, center, 0)  # who is not there is not to count as large
        begin = _State(_Kept(server, params, memory), jnp.zeros((), jnp.int32))
        state, logarithms = lax.fori_loop(0, chunks, chunk, (begin, jnp.zeros(events.worker.shape)))
        return logarithms, state

    over_curvatures = jax.vmap(along, in_axes=(None, None, 0))
    return jax.vmap(over_curvatures, in_axes=(0, 0, None))(events, count, curvatures)


def _happens(
    optimizer: Optimizer, n: jax.Array, curvature: jax.Array, rate: jax.Array, state: _State, event: Event
) -> tuple[_State, jax.Array]:
    """One event, and log |c| after it."""
    (server, params, memories), bits = state
    index = event.worker
    start, memory = params[index], jax.tree.map(lambda leaf: leaf[index], memories)
    end = jnp.where(event.arrives, _phase(optimizer, start, memory, curvature, rate, event.steps), start)
    worker = Worker(end, memory)
    commit = Commit(start, event.steps, event.staleness, n, rate)
    server, worker = _if(event.accepted, optimizer.commit(server, worker, commit), (server, worker))
    server = _if(event.version, optimizer.version(server), server)
    worker = worker._replace(params=jnp.where(event.anew, server.center, worker.params))
    worker = _if(event.answered, optimizer.reply(server, worker), worker)
    params = params.at[index].set(worker.params)
    memories = jax.tree.map(lambda leaf, new: leaf.at[index].set(new), memories, worker.memory)
    logarithm = jnp.log(jnp.abs(server.center)) + bits * math.log(2)
    return _State(_Kept(server, params, memories), bits), logarithm


def _phase(
    optimizer: Optimizer, start: jax.Array, memory: Any, curvature: jax.Array, rate: jax.Array, steps: jax.Array
) -> jax.Array:
    """Where λ plain steps on ½ h x² take x."""
    if type(optimizer).gradient is Optimizer.gradient:
        return start * (1 - curvature) ** steps

    def step(_: jax.Array, x: jax.Array) -> jax.Array:
        return x - rate * optimizer.gradient(curvature / rate * x, x, start, memory)

    return lax.fori_loop(0, steps, step, start)


def _if(condition: jax.Array, new: Any, old: Any) -> Any:
    """One or the other, of one structure."""
    return jax.tree.map(lambda one, other: jnp.where(condition, one, other).astype(jnp.result_type(other)), new, old)


def _powers(one: _Kept, other: _Kept) -> np.ndarray | None:
    """By which power of x each array goes that an optimizer keeps, (leaves,); None: not all go by one.

    Args:
        one: what there is after some events from x = 1.
        other: the same from x = 2^_TRIED.
    """
    powers = []
    for before, after in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        there = (before != 0) | (after != 0)
        if not np.issubdtype(before.dtype, np.floating) or not there.any():
            powers.append(int(np.issubdtype(before.dtype, np.floating)))  # of what is 0 just now the usual one
            continue
        with np.errstate(divide="ignore", invalid="ignore"):
            found = np.log2(np.abs(after[there] / before[there])) / _TRIED
        power = np.round(found[0])
        if not (np.abs(found - power) < _TOLERANCE).all():
            return None
        powers.append(int(power))
    return np.pad(powers, (0, _MOST_ARRAYS - len(powers)))


def _scaled(state: _State, powers: jax.Array) -> _State:
    """The same, nearer to 1 if it has become too large or too small."""
    kept = state.kept
    largest = jnp.maximum(jnp.abs(kept.server.center), jnp.abs(kept.params).max())
    exponent = jnp.frexp(largest)[1]
    far = (jnp.abs(exponent) > _BITS) & jnp.isfinite(largest) & (largest > 0) & (powers != 0).any()
    shift = jnp.where(far, -exponent, 0)
    leaves, structure = jax.tree.flatten(kept)
    floating = [jnp.issubdtype(leaf.dtype, jnp.floating) for leaf in leaves]
    scaled = [
        jnp.ldexp(leaf, shift * powers[index]) if is_scaled else leaf
        for index, (leaf, is_scaled) in enumerate(zip(leaves, floating, strict=True))
    ]
    return _State(jax.tree.unflatten(structure, scaled), state.bits - shift)
