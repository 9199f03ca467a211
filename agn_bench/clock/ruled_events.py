"""The event simulation where an optimizer has rules, or the server several channels: one loop for all of them.

docs/clock.md says what happens at each event, in this order. An iteration is an application: first those are taken into
service who can be before it, then it is decided whether the commit counts, who is interrupted, and who is answered.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from agn_bench.clock.compiled import MIN_EXCHANGES, at, on_the_cpu, put, rounded
from agn_bench.clock.draws import Draws
from agn_bench.clock.rules import MOST, Rules
from agn_bench.clock.stops import Stop, steps_made
from agn_bench.clock.timeline import Phases, Timeline, by_worker, in_order

Array = Any
"""JAX's in the loop, NumPy's before and after it."""
_PLACES = 64
"""Workers are padded to a multiple of so many."""
_NONE = -1


class Times(NamedTuple):
    """The draws, flat, worker by worker, (draws,); `first` and `last` of each worker's in them, (workers,)."""

    begin: Array
    first: Array
    last: Array
    compute: Array
    up: Array
    down: Array
    server: Array
    order: Array


class Terms(NamedTuple):
    """The rules as numbers, and when to stop."""

    quorum: Array
    waits: Array
    drop_at: Array
    cancels: Array
    ahead: Array
    grace_s: Array
    channels: Array
    collective: Array
    """Whether services are rounds of a collective."""
    round_s: Array
    exchanges: Array
    seconds: Array


class Workers(NamedTuple):
    """What each worker is at, (workers,)."""

    draw: Array
    """Its phase, as an index of the draws."""
    start: Array
    compute_end: Array
    arrive: Array
    """Its message is at the server; inf if it is in no phase."""
    pulled: Array
    served: Array
    """Service began; of those in service."""
    applied: Array
    """Service will end; inf if it is not in service."""
    taken: Array
    """The how manieth service it is."""
    held: Array
    """Its commit was applied, and it has no answer."""
    needs: Array
    """The version it waits for."""
    commits: Array
    """Of its that were applied."""
    active: Array
    """It has phases left."""
    answered: Array
    """The exchange after which its last commit was answered."""
    resumed: Array
    """When that answer came."""


class Server(NamedTuple):
    now: Array
    """The last event's time."""
    busy: Array
    """How many are in service."""
    services: Array
    """That began."""
    version: Array
    count: Array
    """Accepted commits since the version."""
    open: Array
    """Whether there is a group."""
    window_end: Array


class Rows(NamedTuple):
    """The exchanges in the order applied, (draws,); the last two are of the worker's exchange before."""

    worker: Array
    draw: Array
    start: Array
    served: Array
    applied: Array
    pulled: Array
    version: Array
    accepted: Array
    answered: Array
    resumed: Array


class Interrupted(NamedTuple):
    """The interrupted phases in the order in which it was decided, (draws,)."""

    count: Array
    worker: Array
    draw: Array
    start: Array
    end: Array
    answered: Array


def simulate(draws: Draws, rules: Rules, stop: Stop) -> Timeline:
    """The timeline, up to the stop or a little beyond it."""
    workers, drawn = draws.workers, len(draws.compute)
    room = rounded(drawn, MIN_EXCHANGES, bits=1)
    places = _PLACES * rounded(-(-workers // _PLACES), 1, bits=3)
    collective = draws.collective if rules.waits else None
    nothing = np.zeros(room)

    def flat(times: np.ndarray) -> np.ndarray:
        return np.pad(times, (0, room - drawn))

    def per_worker(values: np.ndarray, fill: float) -> np.ndarray:
        return np.pad(values, (0, places - workers), constant_values=fill)

    times = Times(
        per_worker(draws.begin, np.inf),
        per_worker(draws.first, 0),
        per_worker(draws.first + draws.phases - 1, 0),
        flat(draws.compute),
        nothing if collective else flat(draws.up),
        nothing if collective else flat(draws.down),
        flat(draws.server),
        flat(draws.order),
    )
    most = stop.most_exchanges(draws.local_steps)
    terms = Terms(
        np.int32(rules.quorum),
        np.bool_(rules.waits),
        np.int32(MOST if rules.drop_at is None else rules.drop_at),
        np.bool_(rules.cancels),
        np.int32(MOST if rules.ahead is None else rules.ahead),
        np.float64(rules.grace_s),
        np.int32(1 if collective else draws.channels),
        np.bool_(collective is not None),
        np.float64(collective.seconds(rules.quorum) if collective else 0.0),
        np.int32(drawn if most is None else min(most, drawn)),
        np.float64(math.inf if stop.seconds is None else stop.seconds),
    )
    made, rows, interrupted, state = on_the_cpu(_serve_all, times, terms)
    return _complete(draws, times, int(made), Rows(*rows), Interrupted(*interrupted), Workers(*state))


@jax.jit
def _serve_all(times: Times, terms: Terms) -> tuple[Array, Rows, Interrupted, Workers]:
    """All exchanges up to the stop: how many there are, they, the interrupted phases, and the workers at the end."""
    places, room = len(times.begin), len(times.compute)
    index = jnp.arange(places, dtype=jnp.int32)
    first = times.first.astype(jnp.int32)
    last = times.last.astype(jnp.int32)
    grouped = terms.grace_s > 0

    def candidates(workers: Workers, server: Server) -> Array:
        """When each who may be served next arrives, else inf."""
        return jnp.where(server.open & (workers.arrive > server.window_end), jnp.inf, workers.arrive)

    def next_start(workers: Workers, server: Server) -> Array:
        return jnp.maximum(server.now, candidates(workers, server).min())

    def can_start(state: tuple[Workers, Server]) -> Array:
        workers, server = state
        return (server.busy < terms.channels) & (next_start(workers, server) < workers.applied.min())

    def start(state: tuple[Workers, Server]) -> tuple[Workers, Server]:
        workers, server = state
        now = next_start(workers, server)
        window_end = jnp.where(server.open, server.window_end, workers.arrive.min() + terms.grace_s)
        server = server._replace(open=grouped, window_end=window_end)
        waiting = candidates(workers, server)
        u = at(times.order, server.services)
        worker = lax.cond(u < 0, lambda *_: waiting.argmin().astype(jnp.int32), _at_random, waiting <= now, u)
        mine = index == worker
        accepted = server.version - at(workers.pulled, worker) < terms.drop_at
        round_s = jnp.where(accepted & (server.count + 1 == terms.quorum), terms.round_s, 0.0)
        took = jnp.where(terms.collective, round_s, at(times.server, at(workers.draw, worker)))
        workers = workers._replace(
            arrive=jnp.where(mine, jnp.inf, workers.arrive),
            served=jnp.where(mine, now, workers.served),
            applied=jnp.where(mine, now + took, workers.applied),
            taken=jnp.where(mine, server.services, workers.taken),
        )
        return workers, server._replace(now=now, busy=server.busy + 1, services=server.services + 1)

    def possible(state: tuple[Array, Workers, Server, Rows, Interrupted]) -> Array:
        row, workers, server, *_ = state
        more = (workers.arrive.min() < jnp.inf) | (server.busy > 0)
        return (row < terms.exchanges) & (server.now <= terms.seconds) & more

    def exchange(
        state: tuple[Array, Workers, Server, Rows, Interrupted],
    ) -> tuple[Array, Workers, Server, Rows, Interrupted]:
        row, workers, server, rows, interrupted = state
        workers, server = lax.while_loop(can_start, start, (workers, server))
        now = workers.applied.min()
        worker = jnp.where(workers.applied == now, workers.taken, MOST).argmin().astype(jnp.int32)
        mine = index == worker
        draw, pulled = at(workers.draw, worker), at(workers.pulled, worker)

        accepted = server.version - pulled < terms.drop_at
        count = server.count + accepted
        made = count == terms.quorum
        needs = jnp.where(terms.waits & accepted, server.version + 1, 0)
        version = server.version + made
        server = server._replace(now=now, busy=server.busy - 1, version=version, count=jnp.where(made, 0, count))
        rows = Rows(
            put(rows.worker, worker, row),
            put(rows.draw, draw, row),
            put(rows.start, at(workers.start, worker), row),
            put(rows.served, at(workers.served, worker), row),
            put(rows.applied, now, row),
            put(rows.pulled, pulled, row),
            put(rows.version, version, row),
            put(rows.accepted, accepted, row),
            put(rows.answered, at(workers.answered, worker), row),
            put(rows.resumed, at(workers.resumed, worker), row),
        )
        workers = workers._replace(
            applied=jnp.where(mine, jnp.inf, workers.applied),
            held=workers.held | mine,
            needs=jnp.where(mine, needs, workers.needs),
            commits=workers.commits + mine,
            active=workers.active & ~(mine & (workers.draw == last)),
        )
        workers, interrupted = interrupt(workers, interrupted, made & terms.cancels, version, now, row)
        expected = (workers.arrive < jnp.inf) & (workers.arrive <= server.window_end)
        closed = server.open & (server.busy == 0) & ~expected.any()
        server = server._replace(open=server.open & ~closed)
        slowest = jnp.where(workers.active, workers.commits, MOST).min()
        near = ~workers.active | (workers.commits - slowest <= terms.ahead)
        answer = workers.held & (version >= workers.needs) & near & (closed | ~grouped)
        return row + 1, _answered(times, last, workers, answer, version, now, row), server, rows, interrupted

    def interrupt(
        workers: Workers, interrupted: Interrupted, due: Array, version: Array, now: Array, row: Array
    ) -> tuple[Workers, Interrupted]:
        notice = jnp.maximum(workers.start, now + times.down[workers.draw])
        stale = (workers.arrive < jnp.inf) & (version - workers.pulled >= terms.drop_at)
        told = due & stale & (notice < workers.compute_end)

        def note(state: tuple[Array, Interrupted]) -> tuple[Array, Interrupted]:
            left, noted = state
            worker = left.argmax().astype(jnp.int32)
            return left & (index != worker), Interrupted(
                noted.count + 1,
                put(noted.worker, worker, noted.count),
                put(noted.draw, at(workers.draw, worker), noted.count),
                put(noted.start, at(workers.start, worker), noted.count),
                put(noted.end, at(notice, worker), noted.count),
                put(noted.answered, row, noted.count),
            )

        _, interrupted = lax.while_loop(lambda state: state[0].any(), note, (told, interrupted))
        more = workers.draw < last
        workers = workers._replace(active=workers.active & ~(told & ~more))
        return _begun(times, last, workers, told, notice, version), interrupted

    workers = Workers(
        draw=first,
        start=times.begin,
        compute_end=times.begin + times.compute[first],
        arrive=times.begin + times.compute[first] + times.up[first],
        pulled=jnp.zeros(places, jnp.int32),
        served=jnp.zeros(places),
        applied=jnp.full(places, jnp.inf),
        taken=jnp.zeros(places, jnp.int32),
        held=jnp.zeros(places, bool),
        needs=jnp.zeros(places, jnp.int32),
        commits=jnp.zeros(places, jnp.int32),
        active=times.begin < jnp.inf,
        answered=jnp.full(places, _NONE, jnp.int32),
        resumed=jnp.full(places, jnp.nan),
    )
    zero = jnp.int32(0)
    server = Server(jnp.float64(0.0), zero, zero, zero, zero, jnp.bool_(False), jnp.float64(jnp.inf))
    whole, seconds, flags = jnp.zeros(room, jnp.int32), jnp.zeros(room), jnp.zeros(room, bool)
    rows = Rows(whole, whole, seconds, seconds, seconds, whole, whole, flags, whole, seconds)
    interrupted = Interrupted(zero, whole, whole, seconds, seconds, whole)
    state = (zero, workers, server, rows, interrupted)
    row, workers, _, rows, interrupted = lax.while_loop(possible, exchange, state)
    return row, rows, interrupted, workers


def _at_random(waiting: Array, u: Array) -> Array:
    """The ⌊u m⌋-th of the m who wait, by worker index; u < 1 keeps u m below m in float64 too."""
    up_to = jnp.cumsum(waiting.astype(jnp.int32))
    return (up_to <= jnp.floor(u * up_to[-1]).astype(jnp.int32)).sum(dtype=jnp.int32)


def _answered(
    times: Times,
    last: Array,
    workers: Workers,
    answer: Array,
    version: Array,
    now: Array,
    row: Array,
) -> Workers:
    """The workers, after some were answered."""
    resume = now + times.down[workers.draw]
    workers = workers._replace(
        held=workers.held & ~answer,
        answered=jnp.where(answer, row, workers.answered),
        resumed=jnp.where(answer, resume, workers.resumed),
    )
    return _begun(times, last, workers, answer, resume, version)


def _begun(times: Times, last: Array, workers: Workers, which: Array, start: Array, version: Array) -> Workers:
    """The workers, after some have begun their next phase, if they have one."""
    following = jnp.minimum(workers.draw + 1, last)
    more = which & (workers.draw < last)
    compute_end = start + times.compute[following]
    arrive = compute_end + times.up[following]
    return workers._replace(
        draw=jnp.where(more, following, workers.draw),
        start=jnp.where(more, start, workers.start),
        compute_end=jnp.where(more, compute_end, workers.compute_end),
        arrive=jnp.where(more, arrive, jnp.where(which, jnp.inf, workers.arrive)),
        pulled=jnp.where(more, version, workers.pulled),
    )


def _complete(draws: Draws, times: Times, made: int, rows: Rows, interrupted: Interrupted, state: Workers) -> Timeline:
    """Derive the other times, with the same additions in the same order."""
    rows = Rows(*(column[:made] for column in rows))
    compute_end = rows.start + times.compute[rows.draw]
    # A row has when its worker's exchange before was answered; the last ones the workers themselves have.
    exchange, number = by_worker(rows.worker, draws.workers)
    worker = rows.worker[exchange]
    is_last = np.append(number[1:] == 0, True) if made else np.zeros(0, bool)

    def answers(before: np.ndarray, at_the_end: np.ndarray, none: float) -> np.ndarray:
        newest = np.where(state.held[worker], none, at_the_end[worker])
        return in_order(exchange, np.where(is_last, newest, np.roll(before[exchange], -1)).astype(before.dtype))

    count = int(interrupted.count)
    lost = Interrupted(interrupted.count, *(column[:count] for column in interrupted[1:]))
    return Timeline(
        workers=draws.workers,
        local_steps=draws.local_steps,
        worker=rows.worker,
        phase=(rows.draw - draws.first[rows.worker]).astype(np.int32),
        start_s=rows.start,
        compute_end_s=compute_end,
        arrive_s=compute_end + times.up[rows.draw],
        served_s=rows.served,
        applied_s=rows.applied,
        resume_s=answers(rows.resumed, state.resumed, np.nan),
        pulled=rows.pulled,
        version=rows.version,
        accepted=rows.accepted,
        answered=answers(rows.answered, state.answered, _NONE),
        interrupted=Phases(
            lost.worker,
            (lost.draw - draws.first[lost.worker]).astype(np.int32),
            lost.start,
            lost.end,
            steps_made(lost.start, lost.end, times.compute[lost.draw], draws.local_steps),
            lost.answered,
        ),
    )
