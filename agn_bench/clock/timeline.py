"""A timeline: all exchanges of a run, in the order in which the server applied them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

MOST_EXCHANGES = 10_000_000
"""Of a timeline that no training follows."""


def by_worker(worker: np.ndarray, workers: int) -> tuple[np.ndarray, np.ndarray]:
    """The exchanges worker by worker, each one's in order, and which of its phases each of those ends, from 0.

    Args:
        worker: who exchanges, in the order applied.
    """
    exchange = np.argsort(worker, kind="stable")
    counts = np.bincount(worker, minlength=workers)
    return exchange, np.arange(len(worker)) - np.repeat(np.cumsum(counts) - counts, counts)


def in_order(exchange: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Values given worker by worker, as `exchange` lists them, in the order applied."""
    ordered = np.empty_like(values)
    ordered[exchange] = values
    return ordered


@dataclass(frozen=True)
class Timeline:
    """All exchanges of a run, in the order in which the server applied them; arrays of shape (exchanges,)."""

    workers: int
    local_steps: int
    worker: np.ndarray
    """Who exchanges, int32."""
    phase: np.ndarray
    """Which of the worker's local phases ends in this exchange, from 0, int32."""
    start_s: np.ndarray
    """The local phase begins."""
    compute_end_s: np.ndarray
    """The local phase ends and its message is sent."""
    arrive_s: np.ndarray
    """The message is at the server."""
    served_s: np.ndarray
    """Service begins."""
    applied_s: np.ndarray
    """Service ends; the center has changed."""
    resume_s: np.ndarray
    """The worker has its new parameters."""
    staleness: np.ndarray
    """Versions the center gained between the worker's pull and this commit's application, int32."""

    @property
    def exchanges(self) -> int:
        return len(self.worker)

    @property
    def queue_wait_s(self) -> np.ndarray:
        return self.served_s - self.arrive_s

    @property
    def end_s(self) -> float:
        """The last worker has its last parameters."""
        return float(self.resume_s.max())

    def server_busy_s(self, exchanges: int) -> float:
        """How long the server was busy with the first so many exchanges."""
        return float((self.applied_s - self.served_s)[:exchanges].sum())

    def step_times_s(self) -> np.ndarray:
        """When each mini-batch is done, (exchanges, λ): evenly over the local phase, the last at its end.

        The original stamps a mini-batch after training on it.
        """
        fraction = np.arange(1, self.local_steps + 1) / self.local_steps
        length = (self.compute_end_s - self.start_s)[:, None]
        return self.start_s[:, None] + length * fraction
