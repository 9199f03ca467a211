"""Delayed Nesterov with a grace period (Liu, Chhaparia, Douillard, Kale, Rusu, Shen, Szlam, Ranzato 2024, Asynchronous
Local-SGD Training for Language Modeling, Algorithm 3).
"""

from __future__ import annotations

from typing import Any, ClassVar

from agn_bench.clock.rules import Rules
from agn_bench.optimizers import (
    Commit,
    Optimizer,
    Params,
    Server,
    Worker,
    displacement,
    each,
    factor,
    optimizer,
    quantity,
    seconds,
    zeros,
)


@optimizer
class DelayedNesterov(Optimizer):
    """c ← c + ε Δ / N at each commit; at every N-th m ← β m + the mean of the last N Δ, and c ← c + ε β m besides.

    Nesterov's momentum at the server, applied once in N commits; in between the momentum waits. A share d of it can be
    spread evenly over the N commits instead. Workers that arrive within the grace period of a group's first go on
    together. The paper combines it with λ by speed, `--local-steps-rule by-speed`.
    """

    family: ClassVar[str] = "server momentum"
    source: ClassVar[str] = "Liu et al. 2024, arXiv 2401.09135"
    server_slots: ClassVar[int] = 2

    period: int = quantity(0, 1e9, whole=True, default=0, help="Commits between two momenta, N; 0 stands for n.")
    rate: float = factor("Step length of the server, ε.", default=0.7, search=(0.05, 2, "log"))
    momentum: float = quantity(
        0, 0.999_999, default=0.9, search=(0, 0.99), help="Share of the momentum that is kept, β."
    )
    spread: float = quantity(
        0, 1, default=0.0, help="Share of the momentum that all commits apply, d; the paper's d times N."
    )
    grace: float = seconds("How long a group waits for others, in seconds.", default=0.0)

    def rules(self, workers: int) -> Rules:
        return Rules(grace_s=self.grace)

    def init(self, center: Params, workers: int) -> Any:
        """m, the sum of the Δ since it changed, how many those are, and N."""
        import jax.numpy as jnp

        return zeros(center), zeros(center), jnp.int32(0), self.period or workers

    def commit(self, server: Server, worker: Worker, commit: Commit) -> tuple[Server, Worker]:
        import jax.numpy as jnp

        momentum, buffer, since, period = server.memory
        step = displacement(worker, commit)
        buffer = each(lambda b, d: b + d, buffer, step)
        since = (since + 1) % period
        due = since == 0
        momentum = each(lambda m, b: jnp.where(due, self.momentum * m + b / period, m), momentum, buffer)
        buffer = each(lambda b: jnp.where(due, 0, b), buffer)
        share = self.momentum * (self.spread / period + jnp.where(due, 1 - self.spread, 0))
        center = each(lambda c, m, d: c + self.rate * (share * m + d / period), server.center, momentum, step)
        return Server(center, (momentum, buffer, since, period)), worker
