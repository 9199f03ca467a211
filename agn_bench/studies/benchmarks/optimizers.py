"""What a gradient step costs with each optimizer, compared with AGN's, and what each keeps in memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from statistics import median
from typing import Any

import jax
import numpy as np

from agn_bench.base.jax_settings import own_settings
from agn_bench.optimizers import OPTIMIZERS, Optimizer
from agn_bench.studies.benchmarks.programs import Case, Cell
from agn_bench.training.carry import Training

CELL = Cell("mlp-small", "sgd", 15, 40)
"""The small model, 40 workers."""


def optimizers_benchmark(
    repetitions: int, names: tuple[str, ...] = (*OPTIMIZERS,), on_step: Callable[[str], None] = lambda text: None
) -> Iterator[dict[str, Any]]:
    """A row for each optimizer at its defaults, medians over the repetitions, wall-clock times.

    A repetition is the next slice of AGN's training and of the other's, in turn, so that both meet the same machine.
    """
    with own_settings():
        for name in names:
            on_step(f"{name}: begins")
            yield _measured(name, repetitions, on_step)


def _measured(name: str, repetitions: int, on_step: Callable[[str], None]) -> dict[str, Any]:
    case = Case(CELL, repetitions)
    optimizer: Optimizer = OPTIMIZERS.choose(name).thing
    agn, other = _Slices(case, OPTIMIZERS.choose("agn").thing), _Slices(case, optimizer)
    ratios, steps = [], []
    for repetition in range(repetitions):
        on_step(f"{name}: repetition {repetition + 1}")
        if repetition % 2:
            plain, its = agn.next(), other.next()
        else:
            its, plain = other.next(), agn.next()
        steps.append(its)
        ratios.append(its / plain)
    kept = {"at the server": optimizer.server_slots, "for each worker": optimizer.worker_slots}
    more = ", ".join(f"{count} {where}" for where, count in kept.items() if count)
    needs = [f"memory, in times the parameters: {more}"] if more else []
    if not other.shares:
        needs.append("each worker goes on from parameters of its own")
    return {
        "optimizer": name,
        "workers": CELL.workers,
        "local_steps": CELL.local_steps,
        "repetitions": repetitions,
        "step_ms": 1e3 * median(steps),
        "step_over_agn": median(ratios),
        "held_mb": other.held_bytes / 1e6,
        "held_over_agn": other.held_bytes / agn.held_bytes,
        "needs": "; ".join(needs) or "nothing more",
    }


class _Slices:
    """A training that goes on slice by slice, of so many exchanges each."""

    def __init__(self, case: Case, optimizer: Optimizer) -> None:
        self._training, _ = case.training(optimizer)
        self._size = case.scale.steps // CELL.local_steps
        self._at = 0
        # Everything is compiled, and every worker has what it keeps, before anything is timed.
        for _ in range(-(-2 * CELL.workers // self._size)):
            self.next()

    def next(self) -> float:
        """Train a slice: seconds a gradient step."""
        began = time.perf_counter()
        last = self._at + self._size
        while self._at < last:
            end = min(last, self._at + self._training.segment_size)
            record = self._training.apply(self._at, end)
            self._at = end
        jax.block_until_ready((record, self._training.center))  # type: ignore[no-untyped-call]
        return (time.perf_counter() - began) / (self._size * CELL.local_steps)

    @property
    def held_bytes(self) -> int:
        """The bytes of all arrays of center, server and workers, each once."""
        held = self._held(self._training)
        return sum(array.nbytes for array in {id(array): array for array in held}.values())

    @property
    def shares(self) -> bool:
        """Whether workers go on from the very arrays of the center."""
        return self._training.shares_center

    @staticmethod
    def _held(training: Training) -> list[Any]:
        return [leaf for leaf in jax.tree.leaves(training.state) if isinstance(leaf, jax.Array | np.ndarray)]
