"""Two methods and a cluster of published experiments that are not shipped, for the checks beside this file."""

from dataclasses import dataclass

import numpy as np

from agn_bench.base.streams import Kind, stream
from agn_bench.clock.speeds import Speeds
from agn_bench.optimizers import Optimizer, Rules, Server, each, optimizer, quantity, zeros


@optimizer
class DelayAdaptive(Optimizer):
    """c ← c + Δ min(1, n / (τ + 1)) (Mishchenko et al. 2022, arXiv 2206.07638, as its code counts the delay)."""

    def commit(self, server, worker, commit):
        import jax.numpy as jnp  # here, so that a list of experiments answers at once

        weight = jnp.minimum(1, commit.workers / (commit.staleness + 1))
        return server._replace(
            center=each(lambda c, s, e: c + weight * (e - s), server.center, commit.start, worker.params)
        ), worker


@optimizer
class Rennala(Optimizer):
    """c ← c + the mean of B commits that began from the present center; all others are dropped."""

    size: int = quantity(1, 1e9, whole=True, default=6, help="B.")

    def rules(self, workers):
        return Rules(quorum=self.size, drop_at=1)

    def init(self, center, workers):
        return zeros(center)

    def commit(self, server, worker, commit):
        return server._replace(
            memory=each(lambda m, s, e: m + e - s, server.memory, commit.start, worker.params)
        ), worker

    def version(self, server):
        return Server(each(lambda c, m: c + m / self.size, server.center, server.memory), zeros(server.memory))


@dataclass(frozen=True)
class Roots(Speeds):
    """The i-th worker, i = 0 … n − 1, takes 1 + √i + |N(0, √(i + 1))| times as long, drawn once for each worker."""

    def slowness(self, seed: int, workers: int) -> np.ndarray:
        index = np.arange(workers)
        return 1 + np.sqrt(index) + np.abs(stream(seed, Kind.SPEED).normal(0, np.sqrt(index + 1)))
