"""Delay-adaptive asynchronous SGD (Mishchenko, Bach, Even, Woodworth 2022)."""

from __future__ import annotations

from typing import ClassVar

from agn_bench.optimizers import Commit, Optimizer, Server, Worker, displacement, each, moved, optimizer


@optimizer
class DelayAdaptive(Optimizer):
    """c ← c + Δ min(1, n / (τ + 1)); the worker goes on from the new center.

    Only commits much staler than usual are shortened. τ + 1 is the delay as the authors' program counts it: there a
    worker pulls before its own commit is applied.
    """

    family: ClassVar[str] = "weighted by staleness"
    source: ClassVar[str] = "Mishchenko et al. 2022, arXiv 2206.07638"

    def commit(self, server: Server, worker: Worker, commit: Commit) -> tuple[Server, Worker]:
        import jax.numpy as jnp

        delay = jnp.maximum(commit.workers, commit.staleness + 1)
        return moved(server, each(lambda d: d * commit.workers / delay, displacement(worker, commit))), worker
