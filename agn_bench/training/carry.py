"""The center and the workers on the device, carried along the timeline a block of exchanges at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from agn_bench.clock.timeline import Timeline
from agn_bench.optimizers import LocalOptimizer, Optimizer, as_pytree
from agn_bench.training.exchange import (
    Loss,
    Record,
    Work,
    WorkerState,
    begin,
    check_local_optimizer,
    exchange_apart,
    exchange_sharing,
    resumes_at_center,
)
from agn_bench.training.records import Params

_SEGMENT_STEPS = 128
_SEGMENT_WORK = 600_000_000
"""Local steps times parameters."""
_SEGMENT_BATCHES = 4
_AT_ONCE = 4, 2
"""Exchanges in one call, one phase after another: the first of these that is at most half the workers, else one."""
_BATCHED = 16, 4
"""Exchanges in one call with their phases as one batch: the most of these that are by different workers, else one."""
_SHORT_PHASE = 1_000_000
"""Local steps times parameters."""


class Training:
    """The center and the workers, on the device, and how to carry them along the timeline."""

    center: Params
    segment_size: int
    """Exchanges to apply at once, at most."""

    def __init__(
        self,
        timeline: Timeline,
        batches: np.ndarray,
        optimizer: Optimizer,
        local: LocalOptimizer,
        loss: Loss,
        initial: Params,
        images: jax.Array,
        labels: jax.Array,
        reset_local_optimizer: bool = False,
        watch_center: bool = False,
        together: bool | None = None,
    ) -> None:
        """Take what replay_timeline does; `together`: batch independent phases, by default on a GPU."""
        self.timeline, self.batches, self.watch_center = timeline, batches, watch_center
        self._initial = initial
        # On the device once, not at every call; still weakly typed, so that float64 training stays float64.
        optimizer, self._local = jax.tree.map(jnp.asarray, (as_pytree(optimizer), as_pytree(local)))
        check_local_optimizer(self._local, initial)
        sharing = resumes_at_center(optimizer, initial, timeline.local_steps)
        self._alone = sharing and timeline.workers == 1
        together = jax.default_backend() != "cpu" if together is None else together
        self._block_sizes = _block_sizes(timeline.workers, initial, timeline.local_steps, together)
        self.segment_size = _segment_size(initial, timeline.local_steps, together)
        self._exchange = partial(
            exchange_sharing if sharing else exchange_apart,
            images=images,
            labels=labels,
            optimizer=optimizer,
            local=self._local,
            loss=loss,
            reset_local_optimizer=reset_local_optimizer,
            watch_center=watch_center,
            together=together,
        )
        self.center = _copy(initial)
        self._workers: list[WorkerState | None] = [None] * timeline.workers

    def along(
        self, segments: Iterable[tuple[int, int]], look: Callable[[int], Any]
    ) -> Iterator[tuple[int, int, Record, Any]]:
        """Apply the exchanges of segments [first, last) in a row; yield each with its record, and with what `look` sees
        of the center at version `last`, on the host.

        Nothing waits for the host: a segment is fetched while the next is computed.
        """
        before = None
        for first, last in segments:
            computing = first, last, (self.apply(first, last), look(last))
            if before is not None:
                yield before[0], before[1], *jax.device_get(before[2])
            before = computing
        if before is not None:
            yield before[0], before[1], *jax.device_get(before[2])

    def apply(self, first: int, last: int) -> Record:
        """Compute exchanges [first, last), the next ones; the record is on the device."""
        dtype = jax.tree.leaves(self.center)[0].dtype
        work, record = _segment(self.timeline, self.batches, first, last, self.segment_size, dtype)
        for block in _blocks(self.timeline.worker[first:last].tolist(), self._block_sizes):
            states = [self._workers[worker] or begin(_copy(self._initial), self._local) for worker in block]
            if self._alone:
                start = None
            else:
                start = self.center
                # Who pulled the center as it still is goes on from a copy: the one buffer is written to by two.
                states = [s._replace(params=_copy(start)) if s.params is start else s for s in states]
            self.center, states, record = self._exchange(start, states, work, record)
            for worker, state in zip(block, states, strict=True):
                self._workers[worker] = state._replace(params=self.center) if state.params is None else state
        return record


def _copy(params: Params) -> Params:
    return jax.tree.map(lambda leaf: jnp.array(leaf, copy=True), params)


def _block_sizes(workers: int, params: Params, local_steps: int, together: bool) -> tuple[int, ...]:
    """How many exchanges of different workers make one call, the most first: more than one where phases are batched, or
    where a phase costs little more than a call.

    Few sizes, each for many numbers of workers: runs share programs.
    """
    if together:
        return *(size for size in _BATCHED if size <= workers), 1
    if local_steps * _size(params) >= _SHORT_PHASE:
        return (1,)
    # Of n exchanges in a row about the first half are by different workers.
    return *[size for size in _AT_ONCE if 2 * size <= workers][:1], 1


def _blocks(workers: list[int], sizes: tuple[int, ...]) -> Iterator[list[int]]:
    """The workers in order, each time as many as the first of `sizes` that finds so many different ones.

    A worker's phase depends on no exchange but its own last one, so different workers' phases are independent.
    """
    first = 0
    while first < len(workers):
        block = next(block for size in sizes if len(set(block := workers[first : first + size])) == size)
        yield block
        first += len(block)


def _segment_size(params: Params, local_steps: int, together: bool) -> int:
    """Exchanges in a segment: about a second of the paper's model on a CPU, and no more steps of a smaller one, so that
    the host hears of it often and waiting for it costs nothing; where phases are batched, some batches at least, for
    none goes on from one segment to the next. The same for all runs of a model at λ: they share a compilation.
    """
    exchanges = max(1, min(_SEGMENT_STEPS, _SEGMENT_WORK // _size(params)) // local_steps)
    return max(exchanges, _SEGMENT_BATCHES * max(_BATCHED)) if together else exchanges


def _size(params: Params) -> int:
    """How many numbers."""
    return sum(np.size(leaf) for leaf in jax.tree.leaves(params))


def _segment(
    timeline: Timeline, batches: np.ndarray, first: int, last: int, size: int, dtype: np.dtype
) -> tuple[Work, Record]:
    """What exchanges [first, last) work on, and an empty record of them, with room for `size` exchanges."""
    local_steps = timeline.local_steps
    worker, phase = timeline.worker[first:last, None], timeline.phase[first:last, None]
    indices = np.zeros((size, local_steps, batches.shape[-1]), np.int32)
    indices[: last - first] = batches[worker, phase * local_steps + np.arange(local_steps)]
    staleness = np.zeros(size, np.int32)
    staleness[: last - first] = timeline.staleness[first:last]
    return Work(*jax.device_put((indices, staleness))), _blank(size, local_steps, dtype)


@partial(jax.jit, static_argnums=(0, 1, 2))
def _blank(exchanges: int, local_steps: int, dtype: np.dtype) -> Record:
    shape = exchanges, local_steps
    return Record(
        jnp.zeros((), jnp.int32), jnp.zeros(shape, dtype), jnp.zeros(shape, jnp.int32), jnp.ones(exchanges, bool)
    )
