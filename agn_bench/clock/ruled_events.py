"""The event simulation where an optimizer has rules, the server several channels or pulls of their own, or workers go
away: one loop for all of them.

docs/clock.md says what happens at each event, in this order. An iteration is the end of a service, of a commit or of a
pull: it is decided whether the commit counts, who is interrupted, and who is answered. Then all that comes before the
next end: messages are taken into service, phases are lost, workers come back.

What is not there is not compiled: without absences and pulls the program has nothing of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from agn_bench.clock.absences import Absences
from agn_bench.clock.compiled import MIN_EXCHANGES, at, at_random, longest, on_the_cpu, put, rounded
from agn_bench.clock.draws import Draws
from agn_bench.clock.rules import MOST, Rules
from agn_bench.clock.stops import Stop, steps_made
from agn_bench.clock.timeline import Phases, Timeline, by_worker, in_order

Array = Any
"""JAX's in the loop, NumPy's before and after it; None where it belongs to something that is not there."""
_BLOCK = 64
"""Workers are held in blocks of so many, with the first arrival of each block beside them."""
_MIN_ABSENCES = 16_384
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


class Away(NamedTuple):
    """The absences, flat, worker by worker, (absences,); `first` and `end` of each worker's in them, (workers,)."""

    first: Array
    end: Array
    from_s: Array
    until_s: Array
    fails: Array


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
    pull_share: Array
    """The part of a service that is the pull's; None: a commit is answered."""


class Whereabouts(NamedTuple):
    """Where each worker is, if workers go away, (workers,)."""

    absence: Array
    """The first absence that is not over when its phase begins."""
    ends: Array
    """The steps of its phase are done, or lost."""
    event: Array
    """Its phase is lost, or it is back; inf if neither comes."""
    away: Array
    """Whether it is in a failure, int32."""
    lost: Array
    """Where its lost phase stands among the interrupted, until it is answered; −1: nowhere."""
    joined: Array
    """When its first phase began; NaN if it has not."""
    anew: Array
    """Whether the answer to its last exchange was lost, and it has pulled anew, int32."""


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
    """How many of its commits were applied; MOST if it has no phases left."""
    answered: Array
    """The exchange after which its last commit was answered."""
    resumed: Array
    """When that answer came."""
    pulling: Array
    """Whether the message is a pull, int32."""
    where: Any
    """Whereabouts; None if nobody goes away."""


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
    together: Array
    """Whether the last exchange closed one, or there are none."""
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
    compute_end: Array
    """Where it does not follow from the start."""
    anew: Array
    """Whether the answer to the worker's exchange before was lost."""


class Interrupted(NamedTuple):
    """The interrupted and the lost phases in the order in which it was decided, (draws,)."""

    count: Array
    worker: Array
    draw: Array
    start: Array
    end: Array
    answered: Array
    failed: Array
    resumed: Array


def simulate(draws: Draws, rules: Rules, stop: Stop, absences: Absences | None = None) -> Timeline:
    """The timeline, up to the stop or a little beyond it.

    Args:
        absences: when workers are away, as long as the timeline lasts.
    """
    workers, drawn = draws.workers, len(draws.compute)
    # With room for one more than there are: for what is written and does not count.
    room = rounded(drawn + bool(draws.pull_share or absences is not None), MIN_EXCHANGES, bits=1)
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
        np.pad(draws.order, (0, rounded(len(draws.order), MIN_EXCHANGES, bits=1) - len(draws.order))),
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
        np.float64(draws.pull_share) if draws.pull_share and not collective else None,
    )
    away = None if absences is None else _padded(absences, per_worker)
    made, rows, interrupted, state, more = on_the_cpu(_serve_all, times, terms, away)
    results = int(made), Rows(*rows), Interrupted(*interrupted), Workers(*state)
    timeline = _complete(draws, times, *results, absences, float(terms.pull_share or 0.0))
    # Only the next exchange is known of what comes later, and it may be that nobody is answered until then.
    return replace(timeline, stopped_s=stop.seconds) if more and stop.seconds is not None else timeline


def _padded(absences: Absences, per_worker: Callable[[np.ndarray, float], np.ndarray]) -> Away:
    room = rounded(len(absences) + 1, _MIN_ABSENCES, bits=1)

    def flat(values: np.ndarray) -> np.ndarray:
        return np.pad(values, (0, room - len(values)))

    first = absences.first.astype(np.int32)
    return Away(
        per_worker(first, 0),
        per_worker(first + absences.count.astype(np.int32), 0),
        *map(flat, (absences.from_s, absences.until_s, absences.fails)),
    )


State = tuple[Array, Workers, Server, Rows, Interrupted]
Moving = tuple[Workers, Server, Interrupted]


class Answer(NamedTuple):
    """What a worker that pulled is told."""

    place: Array
    """Its lost phase's place among the interrupted; −1 if it is an exchange that is answered."""
    row: Array
    resume: Array


Moved = tuple[Workers, Server, Answer]


@jax.jit
def _serve_all(times: Times, terms: Terms, away: Any) -> tuple[Array, Rows, Interrupted, Workers, Array]:
    """All exchanges up to the stop: how many there are, they, the interrupted phases, the workers at the end, and
    whether anything was left to happen.

    Workers are looked at one by one. What is asked of all of them at each exchange is few sums, and the first arrival,
    which is found among the blocks' and one block's; everything else only where it can have changed.

    Args:
        away: Away; None if nobody goes away.
    """
    places, room = len(times.begin), len(times.compute)
    index = jnp.arange(places, dtype=jnp.int32)
    within = jnp.arange(_BLOCK, dtype=jnp.int32)
    first, last = times.first.astype(jnp.int32), times.last.astype(jnp.int32)
    grouped, limited = terms.grace_s > 0, terms.ahead < MOST
    no_answer = Answer(jnp.int32(_NONE), jnp.int32(_NONE), jnp.float64(jnp.nan))

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
        service = at(times.server, drawn_of(workers, worker))
        if terms.pull_share is not None:
            pulls = terms.pull_share * service
            service = jnp.where(at(workers.pulling, worker) > 0, pulls, service - pulls)
        took = jnp.where(terms.collective, round_s, service)
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

    def drawn_of(workers: Workers, worker: Array) -> Array:
        """The index of the draws of a worker's phase; of its first phase if it has yet to begin it."""
        draw = at(workers.draw, worker)
        return draw if away is None else jnp.maximum(draw, at(first, worker))

    def until_the_next_end(state: State) -> State:
        """All that comes before the next service ends."""
        row, workers, server, rows, interrupted = state
        if away is None:
            workers, server = lax.while_loop(can_start, start, (workers, server))
            return row, workers, server, rows, interrupted

        def can_go_or_come(workers: Workers, server: Server) -> Array:
            event = workers.where.event.min()
            return (event < server.next_applied) & (event <= terms.seconds)

        def can_happen(state: Moving) -> Array:
            workers, server, _ = state
            return can_start((workers, server)) | can_go_or_come(workers, server)

        def happen(state: Moving) -> Moving:
            """One of the three. What is as long as the draws is written to here, and not where only one branch is
            taken: there it would be copied.
            """
            workers, server, interrupted = state
            who = workers.where.event.argmin().astype(jnp.int32)
            now = at(workers.where.event, who)
            begins = jnp.where(server.busy < terms.channels, next_start(workers, server), jnp.inf)
            moves = can_go_or_come(workers, server) & (now <= begins)
            is_lost = moves & (at(workers.where.away, who) == 0)
            place = interrupted.count
            # Behind the last one there is nothing yet: whatever is written there counts only if it is a lost phase.
            interrupted = noted(interrupted, who, at(workers.draw, who), at(workers.start, who), now, _NONE)
            interrupted = interrupted._replace(
                count=place + is_lost,
                failed=put(interrupted.failed, True, place),
                resumed=put(interrupted.resumed, jnp.nan, place),
            )
            which = jnp.where(is_lost, 0, jnp.where(moves, 1, 2))
            workers, server, answer = lax.switch(which, (goes, comes, starts), workers, server, who, row - 1, place)
            return workers, server, answered(interrupted, answer)

        workers, server, interrupted = lax.while_loop(can_happen, happen, (workers, server, interrupted))
        return row, workers, server, rows, interrupted

    def starts(workers: Workers, server: Server, worker: Array, row: Array, place: Array) -> Moved:
        """Somebody is taken into service."""
        return *start((workers, server)), no_answer

    def goes(workers: Workers, server: Server, worker: Array, row: Array, place: Array) -> Moved:
        """A worker's phase is lost. It stands at `place` among the interrupted. Nobody waits for one that has left."""
        where, draw = workers.where, at(workers.draw, worker)
        now = at(where.event, worker)
        until = at(away.until_s, following_absence(at(where.absence, worker), worker, now))
        gone = (draw == at(last, worker)) | (until == jnp.inf)
        where = where._replace(
            event=put(where.event, jnp.where(gone, jnp.inf, until), worker),
            away=put(where.away, 1, worker),
            lost=put(where.lost, place, worker),
        )
        commits = jnp.where(gone, MOST, at(workers.commits, worker))
        workers = workers._replace(where=where, commits=put(workers.commits, commits, worker))
        return *released(workers, server, now, row), no_answer

    def comes(workers: Workers, server: Server, worker: Array, row: Array, place: Array) -> Moved:
        """A worker is back, and pulls."""
        where, draw = workers.where, drawn_of(workers, worker)
        now = at(where.event, worker)
        workers = workers._replace(
            where=where._replace(
                event=put(where.event, jnp.inf, worker),
                away=put(where.away, 0, worker),
                anew=put(where.anew, at(where.anew, worker) | (at(where.lost, worker) < 0), worker),
            )
        )
        if terms.pull_share is not None:
            workers = workers._replace(pulling=put(workers.pulling, 1, worker))
            return arriving(workers, worker, now + at(times.up, draw)), server, no_answer
        workers, answer = replied(workers, server, worker, now + at(times.down, draw), row)
        return *released(workers, server, now, row), answer

    def released(workers: Workers, server: Server, now: Array, row: Array) -> tuple[Workers, Server]:
        """Answer those who were too far ahead of one that has left."""
        slowest = lax.cond(limited, lambda workers: workers.commits.min(), lambda _: jnp.int32(0), workers)
        changed = (slowest > server.slowest) & server.together & (server.held > 0)
        server = server._replace(slowest=slowest)
        return answer(workers, server, jnp.bool_(False), changed, jnp.int32(_NONE), row, now)

    def following_absence(absence: Array, worker: Array, time: Array) -> Array:
        """The first of a worker's absences from one on that is not over at a time; the end of its own if all are."""
        end = at(away.end, worker)
        return lax.while_loop(lambda k: (k < end) & (at(away.until_s, k) <= time), lambda k: k + 1, absence)

    def noted(
        interrupted: Interrupted, worker: Array, draw: Array, start: Array, end: Array, row: Array
    ) -> Interrupted:
        """The interrupted phases, with another one behind the last; whether it counts is for the caller to say."""
        place = interrupted.count
        return interrupted._replace(
            worker=put(interrupted.worker, worker, place),
            draw=put(interrupted.draw, draw, place),
            start=put(interrupted.start, start, place),
            end=put(interrupted.end, end, place),
            answered=put(interrupted.answered, row, place),
        )

    def possible(state: State) -> Array:
        row, workers, server, rows, _ = state
        applied_s = jnp.where(row > 0, at(rows.applied, jnp.maximum(row - 1, 0)), 0.0)
        more = row < terms.exchanges
        if terms.pull_share is not None:
            pulls = at(workers.pulling, server.next_worker) > 0
            more = jnp.where(pulls, server.next_applied <= terms.seconds, more)
        return more & (applied_s <= terms.seconds) & (server.busy > 0)

    def served(workers: Workers, server: Server) -> Server:
        """The server, where the service that was to end next has ended."""
        busy = server.busy - 1
        next_worker, next_applied = lax.cond(busy > 0, next_served, lambda _: (jnp.int32(0), jnp.inf), workers)
        return server._replace(now=server.next_applied, busy=busy, next_worker=next_worker, next_applied=next_applied)

    def service_ends(state: State) -> State:
        """A commit was served, or a pull."""
        row, workers, server, rows, interrupted = state
        now, worker = server.next_applied, server.next_worker
        is_pull = jnp.bool_(False) if terms.pull_share is None else at(workers.pulling, worker) > 0
        # What is as long as the draws is written to in any case: where there is a pull it does not count.
        rows = written(rows, row, workers, server)
        workers, server, made = either(is_pull, pull_served, commit_served, workers, server, worker)
        workers, interrupted = interrupt(workers, server, interrupted, made & terms.cancels, row)
        ends = partial(either, is_pull, pull_answered, commit_answered)
        workers, server, answer = ends(workers, server, worker, row, now, made)
        return until_the_next_end((row + ~is_pull, workers, server, rows, answered(interrupted, answer)))

    def either(is_pull: Array, pull: Callable[..., Any], commit: Callable[..., Any], *arguments: Any) -> Any:
        if terms.pull_share is None:
            return commit(*arguments)
        return lax.cond(is_pull, pull, commit, *arguments)

    def written(rows: Rows, row: Array, workers: Workers, server: Server) -> Rows:
        """The rows with that of the commit whose service has ended."""
        worker = server.next_worker
        pulled = at(workers.pulled, worker)
        accepted = server.version - pulled < terms.drop_at
        return Rows(
            put(rows.worker, worker, row),
            put(rows.draw, at(workers.draw, worker), row),
            put(rows.start, at(workers.start, worker), row),
            put(rows.served, at(workers.served, worker), row),
            put(rows.applied, server.next_applied, row),
            put(rows.pulled, pulled, row),
            put(rows.version, server.version + (server.count + accepted == terms.quorum), row),
            put(rows.accepted, accepted, row),
            put(rows.answered, at(workers.answered, worker), row),
            put(rows.resumed, at(workers.resumed, worker), row),
            None if away is None else put(rows.compute_end, at(workers.where.ends, worker), row),
            None if away is None else put(rows.anew, at(workers.where.anew, worker) > 0, row),
        )

    def commit_served(workers: Workers, server: Server, worker: Array) -> tuple[Workers, Server, Array]:
        """The commit counts or not, and may make a version."""
        accepted = server.version - at(workers.pulled, worker) < terms.drop_at
        count = server.count + accepted
        made = count == terms.quorum
        needs = jnp.where(terms.waits & accepted, server.version + 1, 0)
        ended = at(workers.draw, worker) == at(last, worker)
        workers = workers._replace(
            applied=put(workers.applied, jnp.inf, worker),
            held=put(workers.held, 1, worker),
            needs=put(workers.needs, needs, worker),
            commits=put(workers.commits, jnp.where(ended, MOST, at(workers.commits, worker) + 1), worker),
        )
        if away is not None:
            workers = workers._replace(where=workers.where._replace(anew=put(workers.where.anew, 0, worker)))
        server = served(workers, server)._replace(
            version=server.version + made, count=jnp.where(made, 0, count), held=server.held + 1
        )
        return workers, server, made

    def commit_answered(
        workers: Workers, server: Server, worker: Array, row: Array, now: Array, made: Array
    ) -> tuple[Workers, Server, Answer]:
        """Who may go on after a commit goes on."""
        no_more = ~(workers.earliest.min() <= jnp.minimum(server.window_end, _LATEST))
        closed = server.open & (server.busy == 0) & no_more
        slowest = lax.cond(limited, lambda workers: workers.commits.min(), lambda _: jnp.int32(0), workers)
        changed = (made & terms.waits) | (slowest > server.slowest) | closed
        # Somebody else can be answered only now that something has changed for the others.
        together = closed | ~grouped
        server = server._replace(open=server.open & ~closed, together=together, slowest=slowest)
        mine = answerable(workers, server, at(workers.needs, worker), at(workers.commits, worker)) & together
        others = changed & together & (server.held > 1)
        workers, server = answer(workers, server, mine, others, worker, row, now)
        if away is not None:  # one whose answer was its last has left
            workers, server = released(workers, server, now, row)
        return workers, server, no_answer

    def pull_served(workers: Workers, server: Server, worker: Array) -> tuple[Workers, Server, Array]:
        workers = workers._replace(
            applied=put(workers.applied, jnp.inf, worker), pulling=put(workers.pulling, 0, worker)
        )
        return workers, served(workers, server), jnp.bool_(False)

    def pull_answered(
        workers: Workers, server: Server, worker: Array, row: Array, now: Array, made: Array
    ) -> tuple[Workers, Server, Answer]:
        resume = now + at(times.down, drawn_of(workers, worker))
        workers, answer = replied(workers, server, worker, resume, row - 1)
        if away is not None:
            workers, server = released(workers, server, now, row - 1)
        return workers, server, answer

    def next_served(workers: Workers) -> tuple[Array, Array]:
        """Whose service ends first, and when; of several the one that was taken first."""
        applied = workers.applied.min()
        return jnp.where(workers.applied == applied, workers.taken, MOST).argmin().astype(jnp.int32), applied

    def answerable(workers: Workers, server: Server, needs: Array, commits: Array) -> Array:
        """Whether workers that need these versions and have made so many commits may go on."""
        near = ~limited | (commits == MOST) | (commits - server.slowest <= terms.ahead)
        return (server.version >= needs) & near

    def answer(
        workers: Workers, server: Server, mine: Array, others: Array, worker: Array, row: Array, now: Array
    ) -> tuple[Workers, Server]:
        """Answer the one whose commit was applied, if it may go on, and others who may."""

        def all_who_may(workers: Workers) -> Array:
            may = answerable(workers, server, workers.needs, workers.commits)
            return ((workers.held > 0) & may & (index != worker)).astype(jnp.int32)

        def one(state: tuple[Array, Array, Array, Workers]) -> tuple[Array, Array, Array, Workers]:
            count, who, left, workers = state
            workers = workers._replace(held=put(workers.held, 0, who))
            if terms.pull_share is None:
                resume = now + at(times.down, at(workers.draw, who))
                workers = resumed(workers, who, resume, server.version, row)
            else:
                workers = workers._replace(
                    answered=put(workers.answered, _NONE, who),
                    resumed=put(workers.resumed, jnp.nan, who),
                    pulling=put(workers.pulling, 1, who),
                )
                workers = arriving(workers, who, now)
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

    def resumed(workers: Workers, worker: Array, resume: Array, version: Array, row: Array) -> Workers:
        """The workers, one of which has new parameters after an exchange, and goes on from them."""
        workers = begun(workers, worker, resume, version)
        return workers._replace(
            answered=put(workers.answered, row, worker), resumed=put(workers.resumed, resume, worker)
        )

    def replied(workers: Workers, server: Server, worker: Array, resume: Array, row: Array) -> tuple[Workers, Answer]:
        """A worker that pulled is answered: after its exchange, or after the phase that it has lost."""
        if away is None:
            return resumed(workers, worker, resume, server.version, row), no_answer
        place, row_before, resume_before = (
            at(of, worker) for of in (workers.where.lost, workers.answered, workers.resumed)
        )
        workers = resumed(workers, worker, resume, server.version, row)
        workers = workers._replace(
            answered=put(workers.answered, jnp.where(place < 0, row, row_before), worker),
            resumed=put(workers.resumed, jnp.where(place < 0, resume, resume_before), worker),
        )
        return workers, Answer(place, row, resume)

    def answered(interrupted: Interrupted, answer: Answer) -> Interrupted:
        """The interrupted phases, one of which has its answer, if it is one that was lost."""
        if away is None:
            return interrupted
        none, place = answer.place < 0, jnp.maximum(answer.place, 0)
        row = jnp.where(none, at(interrupted.answered, place), answer.row)
        resume = jnp.where(none, at(interrupted.resumed, place), answer.resume)
        return interrupted._replace(
            answered=put(interrupted.answered, row, place), resumed=put(interrupted.resumed, resume, place)
        )

    def begun(workers: Workers, worker: Array, start: Array, version: Array) -> Workers:
        """The workers, one of which has begun its next phase, if it has one and is there."""
        draw = at(workers.draw, worker)
        more = draw < at(last, worker)
        following = jnp.where(more, draw + 1, draw)
        where = workers.where
        if away is None:
            arrive = start + at(times.compute, following) + at(times.up, following)
        else:
            more, start, arrive, where = whereabouts(workers, worker, more, following, start)
            gone = (at(where.away, worker) > 0) & (at(where.event, worker) == jnp.inf)
            workers = workers._replace(
                commits=put(workers.commits, jnp.where(gone, MOST, at(workers.commits, worker)), worker)
            )
        workers = workers._replace(
            draw=put(workers.draw, jnp.where(more, following, draw), worker),
            start=put(workers.start, jnp.where(more, start, at(workers.start, worker)), worker),
            pulled=put(workers.pulled, jnp.where(more, version, at(workers.pulled, worker)), worker),
            sent=put(workers.sent, 0, worker),
            where=where,
        )
        return arriving(workers, worker, jnp.where(more, arrive, jnp.inf))

    def whereabouts(
        workers: Workers, worker: Array, more: Array, following: Array, ready: Array
    ) -> tuple[Array, Array, Array, Whereabouts]:
        """Whether a worker that has its parameters, and may have more phases, begins one; when; when its message is at
        the server; and where the workers are then.
        """
        where, end = workers.where, at(away.end, worker)
        k = following_absence(at(where.absence, worker), worker, ready)
        # The end of the last worker's absences is where the padding begins: there is room for it.
        absent = (k < end) & (at(away.from_s, k) <= ready)
        fails = absent & at(away.fails, k)
        start = jnp.where(absent & ~fails, at(away.until_s, k), ready)
        begins = more & ~fails

        def pauses(state: tuple[Array, Array]) -> Array:
            done, k = state
            return (k < end) & (at(away.from_s, k) < done) & ~at(away.fails, k)

        def longer(state: tuple[Array, Array]) -> tuple[Array, Array]:
            done, k = state
            return done + (at(away.until_s, k) - at(away.from_s, k)), k + 1

        done, after = lax.while_loop(pauses, longer, (start + at(times.compute, following), k + (absent & ~fails)))
        is_lost = (after < end) & (at(away.from_s, after) < done)
        ends = jnp.where(is_lost, at(away.from_s, after), done)
        event = jnp.where(begins, jnp.where(is_lost, ends, jnp.inf), jnp.where(more, at(away.until_s, k), jnp.inf))
        is_first = begins & (following == at(first, worker))
        where = where._replace(
            absence=put(where.absence, k, worker),
            ends=put(where.ends, jnp.where(begins, ends, at(where.ends, worker)), worker),
            event=put(where.event, event, worker),
            away=put(where.away, more & fails, worker),
            lost=put(where.lost, jnp.where(begins, _NONE, at(where.lost, worker)), worker),
            joined=put(where.joined, jnp.where(is_first, start, at(where.joined, worker)), worker),
        )
        return begins, start, jnp.where(is_lost, jnp.inf, done + at(times.up, following)), where

    def interrupt(
        workers: Workers, server: Server, interrupted: Interrupted, due: Array, row: Array
    ) -> tuple[Workers, Interrupted]:
        """Tell those whose phase has become too stale to begin again, if the notice comes before they have sent."""

        def stale(workers: Workers) -> Array:
            computes = workers.arrive.reshape(-1) < jnp.inf
            if terms.pull_share is not None:
                computes &= workers.pulling == 0
            if away is not None:  # whose phase will be lost
                computes |= (workers.where.event < jnp.inf) & (workers.where.away == 0)
            pending = computes & (workers.sent == 0)
            return (pending & (server.version - workers.pulled >= terms.drop_at)).astype(jnp.int32)

        def tell(state: tuple[Array, Array, Workers, Interrupted]) -> tuple[Array, Array, Workers, Interrupted]:
            count, left, workers, told_so_far = state
            worker = left.argmax().astype(jnp.int32)
            draw, start = at(workers.draw, worker), at(workers.start, worker)
            notice = jnp.maximum(start, server.now + at(times.down, draw))
            ends = start + at(times.compute, draw) if away is None else at(workers.where.ends, worker)
            in_time = notice < ends
            one_more = noted(told_so_far, worker, draw, start, notice, row)
            if away is not None:
                one_more = one_more._replace(
                    failed=put(one_more.failed, False, one_more.count),
                    resumed=put(one_more.resumed, notice, one_more.count),
                )
            told_so_far = one_more._replace(count=one_more.count + in_time)
            workers = lax.cond(in_time, told, too_late, workers, worker, notice)
            return count - 1, put(left, 0, worker), workers, told_so_far

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
    whole, never = jnp.zeros(places, jnp.int32), jnp.full(places, jnp.inf)
    workers = Workers(
        draw=first,
        start=times.begin,
        arrive=arrive,
        earliest=arrive.min(axis=1),
        pulled=whole,
        sent=whole,
        served=jnp.zeros(places),
        applied=never,
        taken=whole,
        held=whole,
        needs=whole,
        commits=jnp.where(times.begin < jnp.inf, 0, MOST).astype(jnp.int32),
        answered=jnp.full(places, _NONE, jnp.int32),
        resumed=jnp.full(places, jnp.nan),
        pulling=None if terms.pull_share is None else whole,
        where=None,
    )
    if away is not None:
        nowhere = Whereabouts(away.first, never, never, whole, whole + _NONE, jnp.full(places, jnp.nan), whole)
        workers = workers._replace(draw=first - 1, arrive=jnp.full_like(arrive, jnp.inf), where=nowhere)

        def begins(worker: Array, workers: Workers) -> Workers:
            return begun(workers, worker, at(times.begin, worker), jnp.int32(0))

        workers = lax.fori_loop(0, places, begins, workers)
    zero = jnp.int32(0)
    server = Server(jnp.float64(0.0), zero, zero, zero, jnp.float64(jnp.inf), zero, zero, zero, zero,
                    jnp.bool_(False), ~grouped, jnp.float64(jnp.inf))  # fmt: skip
    whole, seconds, flags = jnp.zeros(room, jnp.int32), jnp.zeros(room), jnp.zeros(room, bool)
    more = (None, None) if away is None else (seconds, flags)
    rows = Rows(whole, whole, seconds, seconds, seconds, whole, whole, flags, whole, seconds, *more)
    interrupted = Interrupted(zero, whole, whole, seconds, seconds, whole, *more[::-1])
    state = until_the_next_end((zero, workers, server, rows, interrupted))
    row, workers, server, rows, interrupted = lax.while_loop(possible, service_ends, state)
    more = (server.busy > 0) | (workers.earliest.min() < jnp.inf)
    if away is not None:
        more |= workers.where.event.min() < jnp.inf
    return row, rows, interrupted, workers, more


def _complete(
    draws: Draws,
    times: Times,
    made: int,
    rows: Rows,
    interrupted: Interrupted,
    state: Workers,
    absences: Absences | None,
    pull_share: float,
) -> Timeline:
    """Derive the other times, with the same additions in the same order."""
    rows = Rows(*(column if column is None else column[:made] for column in rows))
    compute_end = rows.start + times.compute[rows.draw] if rows.compute_end is None else rows.compute_end
    # A row has when its worker's exchange before was answered; the last ones the workers themselves have.
    exchange, number = by_worker(rows.worker, draws.workers)
    worker = rows.worker[exchange]
    is_last = np.append(number[1:] == 0, True) if made else np.zeros(0, bool)

    def answers(before: np.ndarray, at_the_end: np.ndarray, none: float) -> np.ndarray:
        newest = np.where(state.held[worker] > 0, none, at_the_end[worker])
        return in_order(exchange, np.where(is_last, newest, np.roll(before[exchange], -1)).astype(before.dtype))

    count = int(interrupted.count)
    lost = Interrupted(count, *(column if column is None else column[:count] for column in interrupted[1:]))
    ended = lost.end
    if absences is not None:
        ended = ended - absences.paused_s(lost.worker, lost.start, lost.end)
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
            steps_made(lost.start, ended, times.compute[lost.draw], draws.steps_of(lost.draw)),
            lost.answered,
            lost.failed,
            lost.resumed,
        ),
        absences=absences,
        pull_share=pull_share,
        **({} if state.where is None else _pulled_anew(draws, rows, state.where, exchange, number, answers)),
    )


def _pulled_anew(
    draws: Draws, rows: Rows, where: Whereabouts, exchange: np.ndarray, number: np.ndarray, answers: Callable[..., Any]
) -> dict[str, Any]:
    """What a timeline says of workers that were not there from the first, or not when they were answered."""
    joined = np.full(draws.workers, _NONE, np.int32)
    firsts = exchange[number == 0]
    joined[rows.worker[firsts]] = rows.answered[firsts]
    return {
        "joined_s": where.joined[: draws.workers],
        "joined": joined,
        "anew": answers(rows.anew, where.anew > 0, False),
    }
