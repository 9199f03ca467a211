"""Ringleader ASGD (Maranjyan, Richtárik 2025): asynchronous SGD where every worker has data of its own kind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from agn_bench.optimizers import (
    Commit,
    Optimizer,
    Params,
    Server,
    Worker,
    displacement,
    each,
    moved,
    optimizer,
    zeros,
)

if TYPE_CHECKING:
    from agn_bench.clock.draws import Draws
    from agn_bench.clock.rules import Rules
    from agn_bench.clock.stops import Stop
    from agn_bench.clock.timeline import Timeline


class Table(NamedTuple):
    """What the server knows of the two tables: of this round, and of the next one."""

    mean: Any
    """Σ over the workers of the mean of a worker's Δ."""
    filled: Any
    """Workers that have an entry."""
    next_mean: Any
    next_filled: Any
    versions: Any
    """That this round has made."""
    round: Any
    workers: Any
    """n."""


class Entries(NamedTuple):
    """A worker's entries in the two tables: a sum of Δ, and of how many commits."""

    total: Any
    count: Any
    next_total: Any
    next_count: Any
    served: Any
    """Whether it has made a version in this round."""
    round: Any
    """That the entries are of."""


@optimizer
class Ringleader(Optimizer):
    """c ← c + the mean over the workers of each one's mean Δ, n times a round; the worker goes on from the center.

    A round first collects, without a version, until every worker has brought a commit. The one that completes them
    makes the round's first version; then every other worker's next commit joins its mean and makes one. What a worker
    brings besides counts in the next round. So slow and fast workers count the same, and nothing is dropped. The paper
    has λ = 1; a worker that brings two commits goes on from the center as it is, as in the authors' program.
    """

    family: ClassVar[str] = "buffer"
    source: ClassVar[str] = "Maranjyan, Richtárik 2025, arXiv 2509.22860"
    server_slots: ClassVar[int] = 2
    worker_slots: ClassVar[int] = 2

    def init(self, center: Params, workers: int) -> Any:
        import jax.numpy as jnp

        none = jnp.int32(0)
        return Table(zeros(center), none, zeros(center), none, none, none, workers)

    def init_worker(self, center: Params) -> Any:
        import jax.numpy as jnp

        none = jnp.int32(0)
        return Entries(zeros(center), none, zeros(center), none, jnp.bool_(False), none)

    def commit(self, server: Server, worker: Worker, commit: Commit) -> tuple[Server, Worker]:
        import jax.numpy as jnp

        table, entries, step = server.memory, worker.memory, displacement(worker, commit)
        old = entries.round < table.round  # what it kept for this round is its entry now
        total = each(lambda now, later: jnp.where(old, later, now), entries.total, entries.next_total)
        later = each(lambda kept: jnp.where(old, 0, kept), entries.next_total)
        count = jnp.where(old, entries.next_count, entries.count)
        next_count = jnp.where(old, 0, entries.next_count)
        served = entries.served & ~old

        collecting = table.filled < table.workers
        joins = collecting | ~served
        filled = table.filled + (joins & (count == 0))
        next_filled = table.next_filled + (~joins & (next_count == 0))
        makes = jnp.where(collecting, filled == table.workers, joins)
        new_total = each(lambda t, d: jnp.where(joins, t + d, t), total, step)
        new_later = each(lambda t, d: jnp.where(joins, t, t + d), later, step)
        new_count, new_next_count = count + joins, next_count + ~joins
        mean = each(lambda s, new, was: s + _mean(new, new_count) - _mean(was, count), table.mean, new_total, total)
        next_mean = each(
            lambda s, new, was: s + _mean(new, new_next_count) - _mean(was, next_count),
            table.next_mean,
            new_later,
            later,
        )
        entries = Entries(new_total, new_count, new_later, new_next_count, served | makes, table.round)
        table = table._replace(mean=mean, filled=filled, next_mean=next_mean, next_filled=next_filled)
        return server._replace(memory=table), worker._replace(memory=entries)

    def version(self, server: Server) -> Server:
        import jax.numpy as jnp

        table = server.memory
        server = moved(server, each(lambda m: m / table.workers, table.mean))
        versions = table.versions + 1
        over = versions == table.workers
        following = Table(
            each(lambda now, later: jnp.where(over, later, now), table.mean, table.next_mean),
            jnp.where(over, table.next_filled, table.filled),
            each(lambda later: jnp.where(over, 0, later), table.next_mean),
            jnp.where(over, 0, table.next_filled),
            jnp.where(over, 0, versions),
            table.round + over,
            table.workers,
        )
        return server._replace(memory=following)

    def timeline(self, draws: Draws, rules: Rules, stop: Stop) -> Timeline:
        """Asynchronous; versions are made in a round's second half."""
        from agn_bench.clock.events import simulate_timeline
        from agn_bench.clock.timeline import counted

        return counted(simulate_timeline(draws, rules, stop), _Rounds(draws.workers))


class _Rounds:
    """Which commits make a version."""

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._filled: set[int] = set()
        self._later: set[int] = set()
        self._served: set[int] = set()

    def __call__(self, worker: int, pulled: int, version: int) -> tuple[bool, bool]:
        collecting = len(self._filled) < self._workers
        if not collecting and worker in self._served:
            self._later.add(worker)
            return True, False
        self._filled.add(worker)
        if len(self._filled) < self._workers:
            return True, False
        self._served.add(worker)
        if len(self._served) == self._workers:
            self._filled, self._later, self._served = self._later, set(), set()
        return True, True


def _mean(total: Any, count: Any) -> Any:
    """The mean of so many with this total; 0 of none."""
    import jax.numpy as jnp

    return total / jnp.maximum(count, 1)
