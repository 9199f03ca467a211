"""Malenia SGD (Tyurin, Richtárik 2023): Rennala where every worker has data of its own kind."""

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
    quantity,
    zeros,
)

if TYPE_CHECKING:
    from agn_bench.clock.draws import Draws
    from agn_bench.clock.rules import Rules
    from agn_bench.clock.stops import Stop
    from agn_bench.clock.timeline import Timeline


class Means(NamedTuple):
    """The means of a version that is being made."""

    mean: Any
    """Σ over the workers of the mean of a worker's Δ."""
    version: Any
    workers: Any
    """n."""


class Entry(NamedTuple):
    """A worker's part of it: a sum of Δ, of how many commits, and of which version."""

    total: Any
    count: Any
    version: Any


@optimizer
class Malenia(Optimizer):
    """c ← c + the mean over the workers of each one's mean Δ, once the harmonic mean of their counts is S / n.

    Every worker has to bring at least one commit that began from the present center, and fast ones may bring several;
    stale ones are dropped, and nobody waits. The paper has λ = 1, and lets workers be stopped at a version instead.
    """

    family: ClassVar[str] = "buffer"
    source: ClassVar[str] = "Tyurin, Richtárik 2023, arXiv 2305.12387"
    server_slots: ClassVar[int] = 1
    worker_slots: ClassVar[int] = 1

    size: int = quantity(0, 1e9, whole=True, default=0, help="Commits of a version, S, if all bring as many; 0: n.")

    def init(self, center: Params, workers: int) -> Any:
        import jax.numpy as jnp

        return Means(zeros(center), jnp.int32(0), workers)

    def init_worker(self, center: Params) -> Any:
        import jax.numpy as jnp

        return Entry(zeros(center), jnp.int32(0), jnp.int32(0))

    def commit(self, server: Server, worker: Worker, commit: Commit) -> tuple[Server, Worker]:
        import jax.numpy as jnp

        means, entry = server.memory, worker.memory
        old = entry.version < means.version
        was = each(lambda t: jnp.where(old, 0, t), entry.total)
        count = jnp.where(old, 0, entry.count)
        total = each(lambda t, d: t + d, was, displacement(worker, commit))
        mean = each(
            lambda m, new, before: m + new / (count + 1) - before / jnp.maximum(count, 1), means.mean, total, was
        )
        entry = Entry(total, count + 1, means.version)
        return server._replace(memory=means._replace(mean=mean)), worker._replace(memory=entry)

    def version(self, server: Server) -> Server:
        means = server.memory
        server = moved(server, each(lambda m: m / means.workers, means.mean))
        return server._replace(memory=Means(zeros(means.mean), means.version + 1, means.workers))

    def timeline(self, draws: Draws, rules: Rules, stop: Stop) -> Timeline:
        """Asynchronous; stale commits are dropped, and a version is made by the workers' counts."""
        from agn_bench.clock.events import simulate_timeline
        from agn_bench.clock.timeline import counted

        workers = draws.workers
        return counted(simulate_timeline(draws, rules, stop), _Counts(workers, self.size or workers))


class _Counts:
    """Which commits count, and which of them makes a version."""

    def __init__(self, workers: int, size: int) -> None:
        self._size, self._counts = size, [0] * workers

    def __call__(self, worker: int, pulled: int, version: int) -> tuple[bool, bool]:
        if pulled < version:
            return False, False
        self._counts[worker] += 1
        # The harmonic mean n / Σ 1 / Bᵢ is at least S / n; where it is just that, rounding must not say it is less.
        most = len(self._counts) ** 2 * (1 + 1e-9)
        makes = all(self._counts) and self._size * sum(1 / count for count in self._counts) <= most
        if makes:
            self._counts = [0] * len(self._counts)
        return True, makes
