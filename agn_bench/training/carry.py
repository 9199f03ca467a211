"""The center and the workers on the device, carried along the timeline a block of exchanges at a time."""

from __future__ import annotations

import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from agn_bench.clock.timeline import Timeline, in_order
from agn_bench.optimizers import LocalOptimizer, Optimizer, as_pytree
from agn_bench.problems import Batch
from agn_bench.training.checks import check_local_optimizer, check_optimizer, check_problem
from agn_bench.training.exchange import (
    PLAIN,
    Kind,
    Record,
    When,
    Work,
    WorkerState,
    answer_later,
    answers_with_own,
    begin,
    begin_server,
    exchange_apart,
    exchange_sharing,
)
from agn_bench.training.records import Params
from agn_bench.training.task import Task

_SEGMENT_STEPS = 128
_SEGMENT_WORK = 600_000_000
"""Local steps times parameters."""
_SEGMENT_BATCHES = 4
_AT_ONCE = 4, 2
"""Exchanges in one call, one phase after another: the first of these that is at most half the workers, else one."""
_BATCHED = 16, 4
"""Exchanges in one call with their phases as one batch: the most of these that are by different workers, else one."""
_MOST_BATCHED = 500_000_000
"""Workers times parameters, of a round of all in one batch."""
_SHORT_PHASE = 1_000_000
"""Local steps times parameters."""


class Training:
    """The center and the workers, on the device, and how to carry them along the timeline."""

    center: Params
    segment_size: int
    """Exchanges to apply at once, at most."""
    shares_center: bool
    """Whether workers go on from the very arrays of the center."""

    def __init__(
        self,
        timeline: Timeline,
        batches: np.ndarray,
        optimizer: Optimizer,
        local: LocalOptimizer,
        task: Task,
        initial: Params,
        train: Batch,
        reset_local_optimizer: bool = False,
        watch_center: bool = False,
        together: bool | None = None,
        factors: np.ndarray | None = None,
        continues: bool = False,
    ) -> None:
        """Take what replay_timeline does; `together`: batch independent phases, by default on a GPU; `continues`: the
        timeline is not the whole one yet (see go_on).
        """
        self.watch_center = watch_center
        self._initial = initial
        self.task = jax.tree.map(jnp.asarray, task)
        self._measured = check_problem(self.task, initial, train, batches.shape[-1])
        self.go_on(timeline, batches, factors)
        # On the device once, not at every call; still weakly typed, so that float64 training stays float64.
        self._optimizer, self._local = jax.tree.map(jnp.asarray, (as_pytree(optimizer), as_pytree(local)))
        check_local_optimizer(self._local, initial)
        varied = timeline.own_steps is not None
        self.shares_center = sharing = check_optimizer(
            self._optimizer, initial, timeline.local_steps, timeline.workers, varied
        )
        self._alone = sharing and timeline.workers == 1 and self._plan.plain and not continues
        self._at_once = reset_local_optimizer or answers_with_own(self._optimizer)
        together = jax.default_backend() != "cpu" if together is None else together
        usual = max(1, round(timeline.own_steps.mean())) if timeline.own_steps is not None else timeline.local_steps
        self._block_sizes = _block_sizes(timeline.workers, initial, usual, together, self._plan.plain)
        self.segment_size = _segment_size(initial, usual, together, self._block_sizes)
        rules = {"optimizer": self._optimizer, "local": self._local, "reset_local_optimizer": reset_local_optimizer}
        self._answer_later = partial(answer_later, **rules)
        self._exchange = partial(
            exchange_sharing if sharing else exchange_apart,
            train=train,
            count=jnp.int32(timeline.workers),
            task=self.task,
            watch_center=watch_center,
            together=together,
            **rules,
        )
        self.center = _copy(initial)
        remembers = type(optimizer).init is not Optimizer.init
        self._memory = begin_server(self.center, self._optimizer, workers=timeline.workers) if remembers else ()
        self._workers: list[WorkerState | None] = [None] * timeline.workers
        self._centers = 0
        """How many there have been; the present one's number."""
        self._holds: list[int | None] = [None] * timeline.workers
        """The number of the center whose very buffers are a worker's params."""
        self._holders: Counter[int] = Counter()

    def go_on(self, timeline: Timeline, batches: np.ndarray, factors: np.ndarray | None) -> None:
        """Take the timeline for what is to be trained next. What was trained is as it was in the one before."""
        self.timeline, self.batches, self._factors = timeline, batches, factors
        self._plan = _Plan(timeline)

    @property
    def state(self) -> tuple[Any, ...]:
        """All that is kept between two exchanges: of the center, the server and the workers."""
        return self.center, self._memory, [worker for worker in self._workers if worker is not None]

    @property
    def applied(self) -> int | None:
        """Commits that have changed the center so far, where the optimizer leaves some out by their values."""
        count = self._optimizer.applied(self._memory)
        return None if count is None else int(count)

    def along(
        self, segments: Iterable[tuple[int, int]], look: Callable[[int], Any], ahead: bool = True
    ) -> Iterator[tuple[int, int, Record, Any]]:
        """Apply the exchanges of segments [first, last) in a row; yield each with its record, and with what `look` sees
        of the center at version `last`, on the host.

        Nothing waits for the host: a segment is fetched while the next is computed, unless nothing is to be computed
        ahead.
        """
        before = None
        for first, last in segments:
            computing = first, last, (self.apply(first, last), look(last))
            if not ahead:
                yield first, last, *jax.device_get(computing[2])
                continue
            if before is not None:
                yield before[0], before[1], *jax.device_get(before[2])
            before = computing
        if before is not None:
            yield before[0], before[1], *jax.device_get(before[2])

    def apply(self, first: int, last: int) -> Record:
        """Compute exchanges [first, last), the next ones; the record is on the device."""
        work = _segment(self.timeline, self.batches, self._factors, first, last, self.segment_size)
        record = _blank(self.segment_size, self.timeline.local_steps, self._measured)
        for block in self._plan.blocks(first, last, self._block_sizes):
            workers = self.timeline.worker[block.first : block.last].tolist()
            states = [self._state(worker) for worker in workers]
            center = None if self._alone else self.center
            with nullcontext() if block.kind is PLAIN else _unused_buffers_unsaid():
                center, self._memory, states, record = self._exchange(
                    center, self._memory, states, work, record, kind=block.kind
                )
            if center is not None:
                self.center = center
                self._centers += 1
            for worker, state in zip(workers, states, strict=True):
                self._resumes(worker, state, answered=block.kind.answer != "none")
            for worker, anew in self._plan.others(block):
                self._answer(worker, anew)
        return record

    def _state(self, worker: int) -> WorkerState:
        """A worker whose params nobody else trains on."""
        state = self._workers[worker]
        if state is None:
            return begin(_copy(self._initial), self._local, self._optimizer)
        held = self._holds[worker]
        if held is None or self._alone:
            return state
        self._holds[worker] = None
        self._holders[held] -= 1
        # The buffers are written to: who holds what another holds, or what is the center still, goes on from a copy.
        if self._holders[held] or held == self._centers:
            return state._replace(params=_copy(state.params))
        del self._holders[held]
        return state

    def _answer(self, worker: int, anew: bool) -> None:
        """Answer a worker after an exchange of another one, or one that has lost what it had and pulls anew."""
        state = self._workers[worker]
        if state is None:  # it has not made an exchange yet
            state = begin(_copy(self._initial), self._local, self._optimizer)
        held = self._holds[worker]
        if held is not None:
            self._holders[held] -= 1
            self._holds[worker] = None
        if anew:
            memory, held = state.memory, None
            state = begin(_copy(self.center), self._local, self._optimizer)._replace(memory=memory)
        if not self._at_once:
            state = state._replace(params=None)
        else:
            if held is not None:  # buffers that others train on
                state = state._replace(params=_copy(state.params))
            state = self._answer_later(self.center, self._memory, state)
        self._resumes(worker, state, answered=True)

    def _resumes(self, worker: int, state: WorkerState, answered: bool) -> None:
        """Keep what a worker goes on from, or what it has until it is answered."""
        if state.params is None and answered:
            state = state._replace(params=self.center)
        if state.params is self.center and not self._alone:
            self._holds[worker] = self._centers
            self._holders[self._centers] += 1
        self._workers[worker] = state


class Block(NamedTuple):
    """Exchanges [first, last) that one call makes."""

    first: int
    last: int
    kind: Kind


class _Plan:
    """Which exchanges of a timeline are made in one call: those whose phases depend on none of their commits."""

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline
        anew = np.zeros(timeline.exchanges, bool) if timeline.anew is None else timeline.anew
        # Whose answer was lost is answered apart.
        self._answered = np.where(anew, -1, timeline.answered)
        self._own = self._answered == np.arange(timeline.exchanges)
        self.plain = timeline.plain
        if not self.plain:
            self._begun_after = _begun_after(timeline)
            self._others = answered_later(timeline)

    def others(self, block: Block) -> list[tuple[int, bool]]:
        """The workers that are answered after a block's last exchange, and have none in it or pull anew, and whether
        they do.
        """
        if self.plain:
            return []
        others = self._others.get(block.last - 1, ())
        return [(worker, anew) for row, worker, anew in others if anew or row < block.first]

    def blocks(self, first: int, last: int, sizes: tuple[int, ...]) -> Iterator[Block]:
        """Exchanges [first, last) in order, each time as many as the first of `sizes` that can be taken together."""
        if self.plain:
            for workers in _blocks(self._timeline.worker[first:last].tolist(), sizes):
                yield Block(first, first + len(workers), PLAIN)
                first += len(workers)
            return
        while first < last:
            kinds = ((size, self._kind(first, first + size)) for size in sizes if first + size <= last)
            block = next(Block(first, first + size, kind) for size, kind in kinds if kind is not None)
            yield block
            first = block.last

    def _kind(self, first: int, last: int) -> Kind | None:
        """What happens at exchanges [first, last); None if that is not the same for all but the last."""
        accepted, made = self._timeline.accepted[first:last], self._timeline.made[first:last]
        depends = self._begun_after[first:last].max() >= first
        refused = last - first > 1 and not accepted.all()
        if depends or refused or any(row in self._others for row in range(first, last - 1)):
            return None
        version, answer = _when(made), self._answers(first, last)
        return Kind(bool(accepted.all()), version, answer) if version and answer else None

    def _answers(self, first: int, last: int) -> When | None:
        """When the workers of exchanges [first, last) are answered; None if not all at the same moment."""
        answered = self._answered[first:last]
        if self._own[first:last].all():
            return "each"
        if (answered == last - 1).all():
            return "last"
        return "none" if ((answered < 0) | (answered >= last)).all() else None


def _when(made: np.ndarray) -> When | None:
    """After which exchanges of one call a version is made, (exchanges,) bool; None if after some but not after all."""
    if made.all():
        return "each"
    if made[:-1].any():
        return None
    return "last" if made[-1] else "none"


def _begun_after(timeline: Timeline) -> np.ndarray:
    """The exchange after which each exchange's phase began, (exchanges,); −1: from the initial parameters."""
    worker, phase, answered = (
        np.concatenate([getattr(part, name) for part in (timeline, timeline.interrupted)])
        for name in ("worker", "phase", "answered")
    )
    order = np.lexsort((phase, worker))
    before = np.roll(answered[order], 1)
    firsts = np.diff(worker[order], prepend=-1) != 0
    before[firsts] = -1 if timeline.joined is None else timeline.joined[worker[order][firsts]]
    return in_order(order, before)[: timeline.exchanges]


def answered_later(timeline: Timeline) -> dict[int, list[tuple[int, int, bool]]]:
    """After which exchange who else is answered: the exchange that ended the worker's phase, −1 of one that was
    interrupted or has not begun, the worker, and whether it has lost what it had.
    """
    later = defaultdict(list)
    lost = timeline.interrupted
    anew = np.zeros(timeline.exchanges, bool) if timeline.anew is None else timeline.anew
    others = (timeline.answered >= 0) & ((timeline.answered != np.arange(timeline.exchanges)) | anew)
    for row in np.flatnonzero(others).tolist():
        later[int(timeline.answered[row])].append((row, int(timeline.worker[row]), bool(anew[row])))
    for worker, answered, failed in zip(
        lost.worker.tolist(), lost.answered.tolist(), lost.failed.tolist(), strict=True
    ):
        later[answered].append((-1, worker, failed))
    for worker, answered in enumerate([] if timeline.joined is None else timeline.joined.tolist()):
        if answered >= 0:
            later[answered].append((-1, worker, True))
    return dict(later)


@contextmanager
def _unused_buffers_unsaid() -> Iterator[None]:
    """Where nobody is answered, or no center is made, JAX says that buffers which were given to it have no use."""
    with warnings.catch_warnings(action="ignore", category=UserWarning):
        yield


def _copy(params: Params) -> Params:
    return jax.tree.map(lambda leaf: jnp.array(leaf, copy=True), params)


def _block_sizes(workers: int, params: Params, local_steps: int, together: bool, plain: bool = True) -> tuple[int, ...]:
    """How many exchanges of different workers make one call, the most first: more than one where phases are batched, or
    where a phase costs little more than a call.

    Few sizes, each for many numbers of workers: runs share programs.
    """
    if together:
        sizes = {size for size in _BATCHED if size <= workers}
        if not plain and workers * _size(params) <= _MOST_BATCHED:
            sizes.add(workers)  # a round of all who wait is one batch
        return *sorted(sizes, reverse=True), 1
    if local_steps * _size(params) >= _SHORT_PHASE:
        return (1,)
    # Among n exchanges in a row about the first half are by different workers.
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


def _segment_size(params: Params, local_steps: int, together: bool, block_sizes: tuple[int, ...] = (1,)) -> int:
    """Exchanges in a segment: about a second of the paper's model on a CPU, and no more steps of a smaller one, so that
    the host hears of it often and waiting for it costs nothing; where phases are batched, some batches at least, for
    none goes on from one segment to the next. The same for all runs of a model at λ: they share a compilation.
    """
    exchanges = max(1, min(_SEGMENT_STEPS, _SEGMENT_WORK // _size(params)) // local_steps)
    if together:
        exchanges = max(exchanges, _SEGMENT_BATCHES * max(_BATCHED))
        exchanges = -(-exchanges // block_sizes[0]) * block_sizes[0]  # rounds of all who wait end where segments do
    return exchanges


def _size(params: Params) -> int:
    """How many numbers."""
    return sum(np.size(leaf) for leaf in jax.tree.leaves(params))


def _segment(
    timeline: Timeline, batches: np.ndarray, factors: np.ndarray | None, first: int, last: int, size: int
) -> Work:
    """What exchanges [first, last) work on, with room for `size` exchanges."""
    local_steps, varied = timeline.local_steps, timeline.own_steps
    worker, before = timeline.worker[first:last, None], timeline.steps_before[first:last, None]
    indices = np.zeros((size, local_steps, batches.shape[-1]), np.int32)
    step = before + np.arange(local_steps)
    # Beyond a phase that is shorter than the longest there may be no mini-batch, and none is needed.
    indices[: last - first] = batches[worker, step if varied is None else np.minimum(step, batches.shape[1] - 1)]
    staleness = np.zeros(size, np.int32)
    staleness[: last - first] = timeline.staleness[first:last]
    rates = None
    if factors is not None:
        rates = np.zeros((size, local_steps), np.float32)
        rates[: last - first] = factors[first:last]
    steps = None
    if varied is not None:
        steps = np.zeros(size, np.int32)
        steps[: last - first] = varied[first:last]
    return Work(*jax.device_put((indices, staleness, rates, steps)))


@partial(jax.jit, static_argnums=(0, 1, 2))
def _blank(exchanges: int, local_steps: int, measured: tuple[tuple[str, np.dtype], ...]) -> Record:
    """An empty record; `measured`: the loss's type, and that of every other measure."""
    shape = exchanges, local_steps
    (_, loss), *others = measured
    return Record(
        jnp.zeros((), jnp.int32),
        jnp.zeros(shape, loss),
        {name: jnp.zeros(shape, dtype) for name, dtype in others},
        jnp.ones(exchanges, bool),
    )
