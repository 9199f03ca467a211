"""All randomness of a run: one NumPy stream for each (seed, kind, worker).

Streams are independent of one another, so a run with more workers or more phases begins with the same draws, and
every optimizer sees the same initial parameters, data order and delays under the same seed.
"""

from __future__ import annotations

from enum import IntEnum
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.random.bit_generator import ISpawnableSeedSequence


class Kind(IntEnum):
    """What a stream is for. The numbers are part of the results' definition: never reuse or reorder them."""

    PARAMETERS = 0
    DATA = 1
    STEP = 2
    UP = 3
    DOWN = 4
    SERVER = 5
    ORDER = 6
    SPEED = 7
    FIFO_SHARE = 8
    SPLIT = 9
    BETWEEN_PAUSES = 10
    PAUSE = 11
    BETWEEN_FAILURES = 12
    FAILURE = 13
    JOIN = 14
    LIFETIME = 15
    RECORDED = 20


def stream(seed: int, kind: Kind, worker: int = 0) -> np.random.Generator:
    """The generator of `kind` for `worker`, a function of its arguments alone."""
    return np.random.Generator(
        np.random.PCG64(_Seeds(seed, (int(kind), worker)))  # type: ignore[arg-type]
    )


class _Seeds(ISpawnableSeedSequence):
    """NumPy's seed sequence, whose words for a generator are remembered: a fit asks for the same streams hundreds of
    times, and the words were measured to take most of the time of beginning one.
    """

    def __init__(self, seed: int, key: tuple[int, int]) -> None:
        self._seed, self._key = seed, key

    @cached_property
    def _whole(self) -> np.random.SeedSequence:
        return np.random.SeedSequence(self._seed, spawn_key=self._key)

    def generate_state(self, n_words: int, dtype: Any = np.uint32) -> np.ndarray:
        if (n_words, dtype) == (4, np.uint64):
            return _words(self._seed, self._key)
        return self._whole.generate_state(n_words, dtype)

    def spawn(self, n_children: int) -> list[Any]:
        return self._whole.spawn(n_children)


@lru_cache(maxsize=1 << 14)
def _words(seed: int, key: tuple[int, int]) -> np.ndarray:
    """What a PCG64 asks of the seed sequence, (4,) uint64; to be read only."""
    return np.random.SeedSequence(seed, spawn_key=key).generate_state(4, np.uint64)
