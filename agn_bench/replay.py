"""The replay engine: every local phase and every exchange, exactly, in the timeline's order.

A local phase depends only on what its worker pulled and on the worker's own data, so it is computed when its commit is
applied: one compiled call an exchange, with nothing sent to the host. Shapes (λ, batch, model) and the method's kind
compile; seed, number of workers, learning rate, α and staleness do not.

Parameters are what costs: 19 MB in the paper's model, and a worker's are in no cache when its turn comes. So they are
written in place, and copied only where two need them to differ:

- Where a worker goes on from the new center, as in most methods, the two are one buffer. Nothing writes to it while it
  is the center; then it is that worker's own, and the next center is written over it at the end of the worker's phase.
- Where a worker goes on from something of its own, as in EASGD, center and worker are each overwritten.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax

from agn_bench.optimizers import Method
from agn_bench.optimizers.local import LocalOptimizer
from agn_bench.problems.datasets import Dataset
from agn_bench.records import Evaluation, Params, Progress, Replay
from agn_bench.timeline.record import Timeline

Loss = Callable[[Params, jax.Array, jax.Array], tuple[jax.Array, jax.Array]]
"""(params, images, labels) -> (loss of the mini-batch, how many of it are correct)."""

_SEGMENT_STEPS = 128
_SEGMENT_WORK = 600_000_000
"""Local steps times parameters."""
_SEGMENT_BATCHES = 4
_EVALUATION_BATCH = 500
_AT_ONCE = 4, 2
"""Exchanges in one call, one phase after another: the first of these that is at most half the workers, else one."""
_BATCHED = 16, 4
"""Exchanges in one call with their phases as one batch: the most of these that are by different workers, else one."""
_SHORT_PHASE = 1_000_000
"""Local steps times parameters."""


class WorkerState(NamedTuple):
    """What a worker holds between two exchanges."""

    params: Params
    optimizer: optax.OptState


class Work(NamedTuple):
    """What a segment of the timeline trains on, an entry an exchange; longer than the segment where that is short."""

    batches: jax.Array
    """(exchanges, λ, batch) int32, indices of training images."""
    staleness: jax.Array
    """(exchanges,) int32."""


class Record(NamedTuple):
    """What a segment has measured so far, kept where it is computed."""

    position: jax.Array
    """int32, exchanges of the segment applied."""
    losses: jax.Array
    """(exchanges, λ), before each update."""
    correct: jax.Array
    """(exchanges, λ) int32, images of the mini-batch classified correctly before the update."""
    finite: jax.Array
    """(exchanges,) bool, whether the new center is; only where that was asked for, else true."""


def replay_timeline(
    timeline: Timeline,
    batches: np.ndarray,
    *,
    method: Method,
    local: LocalOptimizer,
    loss: Loss,
    initial: Params,
    dataset: Dataset,
    evaluate_at: Iterable[int] = (),
    reset_local_optimizer: bool = False,
    on_progress: Callable[[Progress], None] | None = None,
) -> Replay:
    """Train along `timeline`; the parameters' dtype is that of `initial`.

    Args:
        batches: indices of the training images of every mini-batch, (workers, steps, batch).
        initial: the center at version 0, NumPy arrays.
        evaluate_at: versions of the center to evaluate on the test set, 0 and the last one allowed.
    """
    versions = set(evaluate_at)
    run = partial(
        _replay, timeline, batches, method, local, loss, initial, dataset, versions, reset_local_optimizer, on_progress
    )
    try:
        return run(watch_center=False)
    except _CenterNotFinite:
        # It was looked at once a segment, which costs nothing. At each exchange it would cost a tenth of a step; so the
        # runs that diverge are the ones that pay for it, by being made again.
        return run(watch_center=True)


class _CenterNotFinite(Exception):
    """Since an exchange of the last segment, but not known which."""


def _replay(
    timeline: Timeline,
    batches: np.ndarray,
    method: Method,
    local: LocalOptimizer,
    loss: Loss,
    initial: Params,
    dataset: Dataset,
    evaluate_at: set[int],
    reset_local_optimizer: bool,
    on_progress: Callable[[Progress], None] | None,
    *,
    watch_center: bool,
) -> Replay:
    images, labels, test_images, test_labels = jax.device_put(
        (dataset.train_images, dataset.train_labels, dataset.test_images, dataset.test_labels)
    )
    training = Training(
        timeline, batches, method, local, loss, initial, images, labels, reset_local_optimizer, watch_center
    )
    losses: list[np.ndarray] = []
    correct: list[np.ndarray] = []
    evaluations: list[Evaluation] = []
    diverged = None

    segments = _segments(timeline.exchanges, training.segment_size, evaluate_at)

    def look(version: int) -> tuple[jax.Array, jax.Array | None]:
        center = training.center
        tested = count_correct(center, test_images, test_labels, loss=loss) if version in evaluate_at else None
        return all_finite(center), tested

    for first, last, record, (center_finite, tested) in training.along(segments, look):
        made = last - first
        losses.append(np.asarray(record.losses[:made]))
        correct.append(np.asarray(record.correct[:made]))
        finite = record.finite[:made] & np.isfinite(losses[-1]).all(axis=1)
        if not (center_finite or watch_center):
            raise _CenterNotFinite
        if not finite.all():
            diverged = first + int(np.argmin(finite))
            break
        if tested is not None:
            evaluations.append(Evaluation(last, int(tested)))
        if on_progress is not None and made:
            on_progress(
                Progress(
                    exchanges=last,
                    exchanges_total=timeline.exchanges,
                    sim_time_s=float(timeline.applied_s[last - 1]),
                    batch_accuracy=float(correct[-1].mean()) / batches.shape[-1],
                    test_accuracy=evaluations[-1].correct / len(test_labels) if evaluations else float("nan"),
                )
            )

    kept = timeline.exchanges if diverged is None else diverged + 1
    return Replay(
        center=jax.device_get(training.center),
        losses=np.concatenate(losses)[:kept],
        correct=np.concatenate(correct)[:kept],
        evaluations=evaluations,
        diverged_exchange=diverged,
    )


class Training:
    """The center and the workers, on the device, and how to carry them along the timeline."""

    center: Params
    segment_size: int
    """Exchanges to apply at once, at most."""

    def __init__(
        self,
        timeline: Timeline,
        batches: np.ndarray,
        method: Method,
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
        self._timeline, self._batches, self._initial = timeline, batches, initial
        # On the device once, not at every call; still weakly typed, so that float64 training stays float64.
        method, self._local = jax.tree.map(jnp.asarray, (method, local))
        sharing = _resumes_at_center(method, initial, timeline.local_steps)
        self._alone = sharing and timeline.workers == 1
        together = jax.default_backend() != "cpu" if together is None else together
        self._block_sizes = _block_sizes(timeline.workers, initial, timeline.local_steps, together)
        self.segment_size = _segment_size(initial, timeline.local_steps, together)
        self._exchange = partial(
            _exchange_sharing if sharing else _exchange_apart,
            images=images,
            labels=labels,
            method=method,
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
        work, record = _segment(self._timeline, self._batches, first, last, self.segment_size, dtype)
        for block in _blocks(self._timeline.worker[first:last].tolist(), self._block_sizes):
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


def local_phase(
    worker: WorkerState, batches: jax.Array, images: jax.Array, labels: jax.Array, local: LocalOptimizer, loss: Loss
) -> tuple[WorkerState, jax.Array, jax.Array]:
    """A worker's λ steps: the worker after them; the losses before each, (λ,); the images classified correctly, (λ,).

    Args:
        batches: indices into `images` and `labels`, (λ, batch).
    """
    transformation = local.transformation()
    gradient = jax.value_and_grad(loss, has_aux=True)

    def step(state: WorkerState, batch: jax.Array) -> tuple[WorkerState, tuple[jax.Array, jax.Array]]:
        (value, correct), slope = gradient(state.params, images[batch], labels[batch])
        updates, optimizer = transformation.update(slope, state.optimizer, state.params)
        return WorkerState(optax.apply_updates(state.params, updates), optimizer), (value, correct)

    end, (losses, correct) = lax.scan(step, worker, batches)
    return end, losses, correct


def _apply_exchanges(
    center: Params,
    workers: Sequence[WorkerState],
    work: Work,
    record: Record,
    images: jax.Array,
    labels: jax.Array,
    method: Method,
    local: LocalOptimizer,
    *,
    loss: Loss,
    reset_local_optimizer: bool,
    watch_center: bool,
    together: bool,
) -> tuple[Params, list[WorkerState], Record]:
    """The segment's next local phases, each by another worker, and the exchanges that end them.

    Args:
        center: None where it is what the one worker started from.
        together: compute several phases as one batch, which fills a GPU; on a CPU one after another is faster.

    Returns:
        The new center; the workers after their pulls, the params of the last being None where they are that center;
        and the record.
    """
    center = workers[0].params if center is None else center
    phase = partial(local_phase, images=images, labels=labels, local=local, loss=loss)
    together = together and len(workers) > 1
    if together:
        positions = record.position + jnp.arange(len(workers))
        stacked = jax.vmap(phase)(jax.tree.map(lambda *leaves: jnp.stack(leaves), *workers), work.batches[positions])
        ends = [jax.tree.map(lambda leaf, i=i: leaf[i], stacked) for i in range(len(workers))]
    following = []
    for index, worker in enumerate(workers):
        position = record.position
        batches = work.batches[position]
        end, losses, correct = ends[index] if together else phase(worker, batches)
        center, pulled = method.exchange(center, worker.params, end.params, len(batches), work.staleness[position])
        optimizer = local.transformation().init(pulled) if reset_local_optimizer else end.optimizer
        following.append(WorkerState(pulled, optimizer))
        record = Record(
            position + 1,
            record.losses.at[position].set(losses),
            record.correct.at[position].set(correct),
            record.finite.at[position].set(all_finite(center)) if watch_center else record.finite,
        )
    if _is_same(center, pulled):
        following[-1] = following[-1]._replace(params=None)
    return center, following, record


_exchange = partial(jax.jit, static_argnames=("loss", "reset_local_optimizer", "watch_center", "together"))
_exchange_sharing = _exchange(_apply_exchanges, donate_argnames=("workers", "record"))
_exchange_apart = _exchange(_apply_exchanges, donate_argnames=("center", "workers", "record"))


def _resumes_at_center(method: Method, params: Params, local_steps: int) -> bool:
    """Whether workers go on from the very center that the method returns."""
    answers = []

    def exchange(center: Params, start: Params, end: Params, staleness: jax.Array) -> None:
        answers.append(_is_same(*method.exchange(center, start, end, local_steps, staleness)))

    jax.eval_shape(exchange, params, params, params, np.int32(0))
    return answers[0]


def _is_same(center: Params, following: Params) -> bool:
    """Whether these are the same arrays, not only equal ones."""
    pairs = zip(jax.tree.leaves(center), jax.tree.leaves(following), strict=True)
    return all(one is other for one, other in pairs)


@jax.jit
def all_finite(tree: Params) -> jax.Array:
    """Whether every number is. x · 0 is 0 or NaN, and a sum runs at the memory's pace, twice as fast as isfinite."""
    return jnp.isfinite(sum((leaf * 0).sum() for leaf in jax.tree.leaves(tree)))


@partial(jax.jit, static_argnames=("loss",))
def count_correct(params: Params, images: jax.Array, labels: jax.Array, *, loss: Loss) -> jax.Array:
    """How many of the images are classified correctly, int32; in batches, to bound the memory."""
    size = _EVALUATION_BATCH if len(images) % _EVALUATION_BATCH == 0 else len(images)
    chunks = jax.tree.map(lambda array: array.reshape(-1, size, *array.shape[1:]), (images, labels))
    return lax.map(lambda chunk: loss(params, *chunk)[1], chunks).sum(dtype=jnp.int32)


@jax.jit
def begin(params: Params, local: LocalOptimizer) -> WorkerState:
    """A worker before its first step."""
    return WorkerState(params, local.transformation().init(params))


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


def _segments(exchanges: int, size: int, evaluate_at: set[int]) -> Iterator[tuple[int, int]]:
    """Ranges of exchanges after which the host looks at the results: for the display, and at every evaluation.

    The first range is empty: the center before any exchange.
    """
    return pairwise([0, *sorted({*range(0, exchanges, size), *evaluate_at, exchanges})])


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
