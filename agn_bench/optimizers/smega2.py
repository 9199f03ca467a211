"""SMEGA² (Cohen, Hakimi, Schuster 2022, Distributed Asynchronous Momentum Without Momentum Buffers, ICPP)."""

from __future__ import annotations

from typing import Any, ClassVar

from agn_bench.optimizers import (
    Commit,
    Optimizer,
    Params,
    Server,
    Worker,
    displacement,
    each,
    optimizer,
    quantity,
    zeros,
)


@optimizer
class Smega2(Optimizer):
    """c ← c + Δ + γ m, after every N-th commit m ← γ m + the mean of the last N Δ; the worker looks ahead.

    One momentum m serves all workers, and changes once in N commits. The worker goes on from
    c + γ (k / N) S + γ (N + k (γ − 1)) m, where N more commits would bring the center: k is how many commits there were
    since m changed, S their sum. The paper's m is of gradients; here it is of steps, which is the same while the rate
    is constant.
    """

    family: ClassVar[str] = "server momentum"
    source: ClassVar[str] = "Cohen et al. 2022, ICPP, doi 10.1145/3545008.3545010"
    server_slots: ClassVar[int] = 2

    momentum: float = quantity(
        0, 0.999_999, default=0.9, search=(0, 0.99), help="Share of the momentum that is kept, γ."
    )
    period: int = quantity(0, 1e9, whole=True, default=0, help="Commits between two momenta, N; 0 stands for n.")

    def init(self, center: Params, workers: int) -> Any:
        """m, S, k and N."""
        import jax.numpy as jnp

        return zeros(center), zeros(center), jnp.int32(0), self.period or workers

    def commit(self, server: Server, worker: Worker, commit: Commit) -> tuple[Server, Worker]:
        import jax.numpy as jnp

        momentum, total, since, period = server.memory
        step = displacement(worker, commit)
        center = each(lambda c, d, m: c + d + self.momentum * m, server.center, step, momentum)
        total = each(lambda t, d: t + d, total, step)
        since = (since + 1) % period
        due = since == 0
        momentum = each(lambda m, t: jnp.where(due, self.momentum * m + t / period, m), momentum, total)
        total = each(lambda t: jnp.where(due, 0, t), total)
        return Server(center, (momentum, total, since, period)), worker

    def reply(self, server: Server, worker: Worker) -> Worker:
        momentum, total, since, period = server.memory
        of_total = self.momentum * since / period
        of_momentum = self.momentum * (period + since * (self.momentum - 1))
        ahead = each(lambda c, t, m: c + of_total * t + of_momentum * m, server.center, total, momentum)
        return worker._replace(params=ahead)
