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

from agn_bench.clock.compiled import MIN_EXCHANGES, at, at_random, longest, on_the_cpu, put, rounded
from agn_bench.clock.draws import Draws
from agn_bench.clock.rules import MOST, Rules
from agn_bench.clock.stops import Stop, steps_made
from agn_bench.clock.timeline import Phases, Timeline, by_worker, in_order

Array = Any
"""JAX's in the loop, NumPy's before and after it."""
_BLOCK = 64
"""Workers are held in blocks of so many, with the first arrival of each block beside them."""
_LATEST = float(np.finfo(np.float64).max)
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
    arrive: Array
    """Its message is at the server; inf if it is in no phase, (blocks, workers of one)."""
    earliest: Array
    """The first arrival of each block, (blocks,)."""
    pulled: Array
    sent: Array
    """Whether an interruption has come too late for its phase, int32."""
    served: Array
    """Service began; of those in service."""
    applied: Array
    """Service will end; inf if it is not in service."""
    taken: Array
    """The how manieth service it is."""
    held: Array
    """Whether its commit was applied and it has no answer, int32."""
    needs: Array
    """The version it waits for."""
    commits: Array
    """Of its that were applied; MOST if it has no phases left."""
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
    next_worker: Array
    """Whose service ends first, of those in service."""
    next_applied: Array
    """When; inf if nobody is."""
    version: Array
    count: Array
    """Accepted commits since the version."""
    held: Array
    """Workers without an answer."""
    slowest: Array
    """The least commits of the workers that have phases left, where that matters."""
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
    places = _BLOCK * rounded(-(-workers // _BLOCK), 1, bits=3)
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
    most = stop.most_exchanges(draws.least_steps)
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


State = tuple[Array, Workers, Server, Rows, Interrupted]


@jax.jit
def _serve_all(times: Times, terms: Terms) -> tuple[Array, Rows, Interrupted, Workers]:
    """All exchanges up to the stop: how many there are, they, the interrupted phases, and the workers at the end.

    Workers are looked at one by one. What is asked of all of them at each exchange is few sums, and the first arrival,
    which is found among the blocks' and one block's; everything else only where it can have changed.
    """
    places, room = len(times.begin), len(times.compute)
    index = jnp.arange(places, dtype=jnp.int32)
    within = jnp.arange(_BLOCK, dtype=jnp.int32)
    first, last = times.first.astype(jnp.int32), times.last.astype(jnp.int32)
    grouped, limited = terms.grace_s > 0, terms.ahead < MOST

    def next_start(workers: Workers, server: Server) -> Array:
        """When the next service can begin; inf if it cannot."""
        arrives = workers.earliest.min()
        arrives = jnp.where(server.open & (arrives > server.window_end), jnp.inf, arrives)
        return jnp.maximum(server.now, arrives)

    def can_start(state: tuple[Workers, Server]) -> Array:
        workers, server = state
        return (server.busy < terms.channels) & (next_start(workers, server) < server.next_applied)

    def arriving(workers: Workers, worker: Array, time: Array) -> Workers:
        """The workers, one of which arrives at another time."""
        block = worker // _BLOCK
        row = jnp.where(within == worker % _BLOCK, time, at(workers.arrive, block))
        return workers._replace(
            arrive=put(workers.arrive, row, block), earliest=put(workers.earliest, row.min(), block)
        )

    def start(state: tuple[Workers, Server]) -> tuple[Workers, Server]:
        workers, server = state
        now = next_start(workers, server)
        window_end = jnp.where(server.open, server.window_end, workers.earliest.min() + terms.grace_s)
        until = jnp.where(grouped, jnp.minimum(now, window_end), now)
        u = at(times.order, server.services)
        block, place = lax.cond(u < 0, longest, at_random, workers.arrive, workers.earliest, until, u)
        worker = block * _BLOCK + place
        accepted = server.version - at(workers.pulled, worker) < terms.drop_at
        round_s = jnp.where(accepted & (server.count + 1 == terms.quorum), terms.round_s, 0.0)
        took = jnp.where(terms.collective, round_s, at(times.server, at(workers.draw, worker)))
        applied = now + took
        sooner = applied < server.next_applied
        server = server._replace(
            now=now,
            busy=server.busy + 1,
            services=server.services + 1,
            next_worker=jnp.where(sooner, worker, server.next_worker),
            next_applied=jnp.where(sooner, applied, server.next_applied),
            open=grouped,
            window_end=window_end,
        )
        workers = workers._replace(
            served=put(workers.served, now, worker),
            applied=put(workers.applied, applied, worker),
            taken=put(workers.taken, server.services, worker),
        )
        return arriving(workers, worker, jnp.inf), server

    def possible(state: State) -> Array:
        row, workers, server, *_ = state
        more = (workers.earliest.min() < jnp.inf) | (server.busy > 0)
        return (row < terms.exchanges) & (server.now <= terms.seconds) & more

    def exchange(state: State) -> State:
        row, workers, server, rows, interrupted = state
        workers, server = lax.while_loop(can_start, start, (workers, server))
        now, worker = server.next_applied, server.next_worker
        draw, pulled = at(workers.draw, worker), at(workers.pulled, worker)

        accepted = server.version - pulled < terms.drop_at
        count = server.count + accepted
        made = count == terms.quorum
        needs = jnp.where(terms.waits & accepted, server.version + 1, 0)
        version = server.version + made
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
        ended = draw == at(last, worker)
        workers = workers._replace(
            applied=put(workers.applied, jnp.inf, worker),
            held=put(workers.held, 1, worker),
            needs=put(workers.needs, needs, worker),
            commits=put(workers.commits, jnp.where(ended, MOST, at(workers.commits, worker) + 1), worker),
        )
        busy = server.busy - 1
        next_worker, next_applied = lax.cond(busy > 0, next_served, lambda _: (jnp.int32(0), jnp.inf), workers)
        server = server._replace(
            now=now,
            busy=busy,
            next_worker=next_worker,
            next_applied=next_applied,
            version=version,
            count=jnp.where(made, 0, count),
            held=server.held + 1,
        )
        workers, interrupted = interrupt(workers, server, interrupted, made & terms.cancels, row)
        closed = server.open & (busy == 0) & ~(workers.earliest.min() <= jnp.minimum(server.window_end, _LATEST))
        slowest = lax.cond(limited, lambda workers: workers.commits.min(), lambda _: jnp.int32(0), workers)
        changed = (made & terms.waits) | (slowest > server.slowest) | closed
        server = server._replace(open=server.open & ~closed, slowest=slowest)
        # Of the others somebody can be answered only now that something has changed for them.
        together = closed | ~grouped
        mine = answerable(workers, server, at(workers.needs, worker), at(workers.commits, worker)) & together
        others = changed & together & (server.held > 1)
        return row + 1, *answer(workers, server, mine, others, worker, row), rows, interrupted

    def next_served(workers: Workers) -> tuple[Array, Array]:
        """Whose service ends first, and when; of several the one that was taken first."""
        applied = workers.applied.min()
        return jnp.where(workers.applied == applied, workers.taken, MOST).argmin().astype(jnp.int32), applied

    def answerable(workers: Workers, server: Server, needs: Array, commits: Array) -> Array:
        """Whether workers that need these versions and have made so many commits may go on."""
        near = ~limited | (commits == MOST) | (commits - server.slowest <= terms.ahead)
        return (server.version >= needs) & near

    def answer(
        workers: Workers, server: Server, mine: Array, others: Array, worker: Array, row: Array
    ) -> tuple[Workers, Server]:
        """Answer the one whose commit was applied, if it may go on, and others who may."""

        def all_who_may(workers: Workers) -> Array:
            may = answerable(workers, server, workers.needs, workers.commits)
            return ((workers.held > 0) & may & (index != worker)).astype(jnp.int32)

        def one(state: tuple[Array, Array, Array, Workers]) -> tuple[Array, Array, Array, Workers]:
            count, who, left, workers = state
            resume = server.now + at(times.down, at(workers.draw, who))
            workers = workers._replace(
                held=put(workers.held, 0, who),
                answered=put(workers.answered, row, who),
                resumed=put(workers.resumed, resume, who),
            )
            workers = begun(workers, who, resume, server.version)
            following = lax.cond(count > 1, lambda left: left.argmax().astype(jnp.int32), lambda _: who, left)
            return count - 1, following, put(left, 0, following), workers

        left = lax.cond(others, all_who_may, lambda workers: jnp.zeros(places, jnp.int32), workers)
        count = lax.cond(others, lambda left: left.sum(dtype=jnp.int32), lambda _: jnp.int32(0), left) + mine
        who = jnp.where(
            mine, worker, lax.cond(count > 0, lambda x: x.argmax().astype(jnp.int32), lambda _: worker, left)
        )
        left = jnp.where(mine, left, put(left, 0, who))
        *_, workers = lax.while_loop(lambda state: state[0] > 0, one, (count, who, left, workers))
        return workers, server._replace(held=server.held - count)

    def begun(workers: Workers, worker: Array, start: Array, version: Array) -> Workers:
        """The workers, one of which has begun its next phase, if it has one."""
        draw = at(workers.draw, worker)
        more = draw < at(last, worker)
        following = jnp.where(more, draw + 1, draw)
        arrive = start + at(times.compute, following) + at(times.up, following)
        workers = workers._replace(
            draw=put(workers.draw, following, worker),
            start=put(workers.start, jnp.where(more, start, at(workers.start, worker)), worker),
            pulled=put(workers.pulled, jnp.where(more, version, at(workers.pulled, worker)), worker),
            sent=put(workers.sent, 0, worker),
        )
        return arriving(workers, worker, jnp.where(more, arrive, jnp.inf))

    def interrupt(
        workers: Workers, server: Server, interrupted: Interrupted, due: Array, row: Array
    ) -> tuple[Workers, Interrupted]:
        """Tell those whose phase has become too stale to begin again, if the notice comes before they have sent."""

        def stale(workers: Workers) -> Array:
            pending = (workers.arrive.reshape(-1) < jnp.inf) & (workers.sent == 0)
            return (pending & (server.version - workers.pulled >= terms.drop_at)).astype(jnp.int32)

        def tell(state: tuple[Array, Array, Workers, Interrupted]) -> tuple[Array, Array, Workers, Interrupted]:
            count, left, workers, noted = state
            worker = left.argmax().astype(jnp.int32)
            draw, start = at(workers.draw, worker), at(workers.start, worker)
            notice = jnp.maximum(start, server.now + at(times.down, draw))
            in_time = notice < start + at(times.compute, draw)
            place = noted.count
            noted = Interrupted(
                noted.count + in_time,
                put(noted.worker, worker, place),
                put(noted.draw, draw, place),
                put(noted.start, start, place),
                put(noted.end, notice, place),
                put(noted.answered, row, place),
            )
            workers = lax.cond(in_time, told, too_late, workers, worker, notice)
            return count - 1, put(left, 0, worker), workers, noted

        def told(workers: Workers, worker: Array, notice: Array) -> Workers:
            ended = at(workers.draw, worker) == at(last, worker)
            commits = jnp.where(ended, MOST, at(workers.commits, worker))
            workers = workers._replace(commits=put(workers.commits, commits, worker))
            return begun(workers, worker, notice, server.version)

        def too_late(workers: Workers, worker: Array, notice: Array) -> Workers:
            return workers._replace(sent=put(workers.sent, 1, worker))

        left = lax.cond(due, stale, lambda workers: jnp.zeros(places, jnp.int32), workers)
        count = lax.cond(due, lambda left: left.sum(dtype=jnp.int32), lambda _: jnp.int32(0), left)
        state = (count, left, workers, interrupted)
        *_, workers, interrupted = lax.while_loop(lambda state: state[0] > 0, tell, state)
        return workers, interrupted

    arrive = (times.begin + times.compute[first] + times.up[first]).reshape(-1, _BLOCK)
    workers = Workers(
        draw=first,
        start=times.begin,
        arrive=arrive,
        earliest=arrive.min(axis=1),
        pulled=jnp.zeros(places, jnp.int32),
        sent=jnp.zeros(places, jnp.int32),
        served=jnp.zeros(places),
        applied=jnp.full(places, jnp.inf),
        taken=jnp.zeros(places, jnp.int32),
        held=jnp.zeros(places, jnp.int32),
        needs=jnp.zeros(places, jnp.int32),
        commits=jnp.where(times.begin < jnp.inf, 0, MOST).astype(jnp.int32),
        answered=jnp.full(places, _NONE, jnp.int32),
        resumed=jnp.full(places, jnp.nan),
    )
    zero, never = jnp.int32(0), jnp.float64(jnp.inf)
    server = Server(jnp.float64(0.0), zero, zero, zero, never, zero, zero, zero, zero, jnp.bool_(False), never)
    whole, seconds, flags = jnp.zeros(room, jnp.int32), jnp.zeros(room), jnp.zeros(room, bool)
    rows = Rows(whole, whole, seconds, seconds, seconds, whole, whole, flags, whole, seconds)
    interrupted = Interrupted(zero, whole, whole, seconds, seconds, whole)
    row, workers, _, rows, interrupted = lax.while_loop(possible, exchange, (zero, workers, server, rows, interrupted))
    return row, rows, interrupted, workers


def _complete(draws: Draws, times: Times, made: int, rows: Rows, interrupted: Interrupted, state: Workers) -> Timeline:
    """Derive the other times, with the same additions in the same order."""
    rows = Rows(*(column[:made] for column in rows))
    compute_end = rows.start + times.compute[rows.draw]
    # A row has when its worker's exchange before was answered; the last ones the workers themselves have.
    exchange, number = by_worker(rows.worker, draws.workers)
    worker = rows.worker[exchange]
    is_last = np.append(number[1:] == 0, True) if made else np.zeros(0, bool)

    def answers(before: np.ndarray, at_the_end: np.ndarray, none: float) -> np.ndarray:
        newest = np.where(state.held[worker] > 0, none, at_the_end[worker])
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
            steps_made(lost.start, lost.end, times.compute[lost.draw], draws.steps_of(lost.draw)),
            lost.answered,
        ),
    )
