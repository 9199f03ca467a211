"""Measured times in their order, worker by worker: what makes a worker slow for a while stays together.

How they are read from a file is in times_files.py.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from agn_bench.base.quantities import choice, quantity
from agn_bench.base.streams import Kind, stream
from agn_bench.clock.distributions import Distribution, Empirical, Moments, Sampler


@dataclass(frozen=True)
class Recorded(Distribution):
    """Measured times of each worker in their order: a row of a CSV file has the name of a worker and a time.

    The i-th worker of a run has the times of the i-th recorded worker. Each further worker has those of one that is
    drawn with replacement, and begins at a random place of them. Behind the last row the first one follows, so that
    each worker goes through all of its rows once, wherever it begins. What comes then, `at_end` says. Random places are
    the same fraction of the rows for all recorded workers, so that what slowed down several at once does so again.

    Mean and variance are those of all times, each recorded worker with the same weight.
    """

    file: str
    """Its stem and the hash of its content."""
    worker: str
    """The column of the workers' names."""
    column: str
    """The column of the times."""
    times: np.ndarray = field(repr=False, compare=False)
    """In seconds, float64, worker by worker."""
    lengths: np.ndarray = field(repr=False, compare=False)
    """How many of them each recorded worker has, 1 or more, int."""
    unit: float = quantity(1e-12, 1e12, default=1.0, help="Seconds that a time of 1 in the file takes.")
    start: str = choice(
        "first", "random", default="first", help="The row with which the recorded workers begin: the first, or any."
    )
    at_end: str = choice(
        "wrap", "blocks", default="wrap", help="After all rows: the same again, or random blocks of successive rows."
    )
    block: int = quantity(1, 1_000_000, whole=True, default=50, help="Rows of a block.")

    def moments(self) -> Moments:
        mean = self._mean_of(self.times)
        return Moments(mean, self._mean_of((self.times - mean) ** 2))

    def _mean_of(self, values: np.ndarray) -> float:
        """The mean over the recorded workers of the mean of each one's values."""
        return float((np.add.reduceat(values, self._first) / self.lengths).mean())

    def draw(self, generator: np.random.Generator, count: int) -> np.ndarray:
        """Any worker's times, drawn independently of one another."""
        series, row = generator.random((count, 2)).T
        which = (series * len(self.lengths)).astype(np.int64)
        return self.times[self._first[which] + (row * self.lengths[which]).astype(np.int64)]

    def sampler(self, seed: int, worker: int, generator: np.random.Generator) -> Sampler:
        """The times of one worker, in order. The generator is not used: what is random is the same for several."""
        places, series = self._chosen(seed, worker)
        anywhere = self.start == "random" or worker >= len(self.lengths)
        start = places.random() if anywhere else 0.0
        return _Series(self._times_of(series), start, self.block if self.at_end == "blocks" else None, places)

    def length(self, seed: int, worker: int) -> int:
        """How many recorded times a worker of a run has."""
        return int(self.lengths[self._chosen(seed, worker)[1]])

    def _chosen(self, seed: int, worker: int) -> tuple[np.random.Generator, int]:
        """What a worker's random places are drawn from, and which recorded worker it takes the times of."""
        recorded = len(self.lengths)
        if worker < recorded:
            return stream(seed, Kind.RECORDED, 0), worker
        places = stream(seed, Kind.RECORDED, worker)
        return places, int(places.random() * recorded)

    def _times_of(self, series: int) -> np.ndarray:
        first = self._first[series]
        return self.times[first : first + self.lengths[series]]

    @property
    def _first(self) -> np.ndarray:
        """Where each recorded worker's times begin."""
        return np.cumsum(self.lengths) - self.lengths


COLUMNS: Mapping[type, Mapping[str, str | None]] = {
    Empirical: {"column": None},
    Recorded: {"worker": "worker", "column": "time"},
}
"""The distributions that are read from a CSV file: the keys that name its columns, each with its default or None."""


class _Series:
    """Gives the times of one worker, and remembers how far it is."""

    def __init__(self, times: np.ndarray, start: float, block: int | None, places: np.random.Generator) -> None:
        self._times, self._block, self._places = times, block, places
        self._start = self._row(start)
        self._given = 0
        self._blocks = np.zeros(0, np.int64)
        """The rows with which blocks begin."""

    def __call__(self, count: int) -> np.ndarray:
        at = np.arange(self._given, self._given + count)
        self._given += count
        rows, beyond = self._start + at, at - len(self._times)
        if self._block is not None and self._given > len(self._times):
            needed = math.ceil((self._given - len(self._times)) / self._block)
            more = self._places.random(needed - len(self._blocks))
            self._blocks = np.concatenate([self._blocks, self._row(more)])
            rows = np.where(beyond < 0, rows, self._blocks[np.maximum(beyond, 0) // self._block] + beyond % self._block)
        return self._times[rows % len(self._times)]

    def _row(self, fraction: float | np.ndarray) -> np.ndarray:
        return np.asarray(np.multiply(fraction, len(self._times))).astype(np.int64)
