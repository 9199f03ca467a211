"""All randomness of a run: one NumPy stream for each (seed, kind, worker).

Streams are independent of one another, so a run with more workers or more phases begins with the same draws, and
every optimizer sees the same initial parameters, data order and delays under the same seed.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np


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
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(int(kind), worker)))
