"""What is compiled: local phases and the exchanges that end them, a few of different workers in one call.

Pure functions on arrays. Shapes (λ, batch, parameters) and the classes of optimizer and problem compile; numbers do
not. Where λ varies there is room for the longest phase, and a phase's own λ is a number.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax

from agn_bench.optimizers import Commit, LocalOptimizer, Optimizer, Server, Worker
from agn_bench.problems import Batch
from agn_bench.training.records import Params
from agn_bench.training.task import Task


class WorkerState(NamedTuple):
    """What a worker holds between two exchanges, and what the server keeps of it."""

    params: Params
    local_state: optax.OptState
    """The state of its local optimizer."""
    memory: Any = ()
    """The optimizer's."""


When = Literal["each", "last", "none"]


class Kind(NamedTuple):
    """What happens at the exchanges of one call: at each, after the last of them, or at none."""

    accepted: bool = True
    """The commits."""
    version: When = "each"
    """A version is made."""
    answer: When = "each"
    """The workers are answered."""

    def versions(self, last: bool) -> bool:
        return self.version == "each" or (last and self.version == "last")


PLAIN = Kind()


class Work(NamedTuple):
    """What a segment of the timeline trains on, an entry an exchange; longer than the segment where that is short."""

    batches: jax.Array
    """(exchanges, λ, batch) int32, indices of training examples."""
    staleness: jax.Array
    """(exchanges,) int32."""
    factors: jax.Array | None = None
    """(exchanges, λ), by what the learning rate is multiplied at each step; None: it is constant."""
    steps: jax.Array | None = None
    """(exchanges,) int32, λ of each phase; None: as many as there is room for."""


class Record(NamedTuple):
    """What a segment has measured so far, kept where it is computed."""

    position: jax.Array
    """int32, exchanges of the segment applied."""
    losses: jax.Array
    """(exchanges, λ), before each update."""
    measured: dict[str, jax.Array]
    """By measure (exchanges, λ), the sum over the mini-batch, before the update."""
    finite: jax.Array
    """(exchanges,) bool, whether the new center is; only where that was asked for, else true."""


def local_phase(
    worker: WorkerState,
    batches: jax.Array,
    train: Batch,
    local: LocalOptimizer,
    task: Task,
    optimizer: Optimizer | None = None,
    factors: jax.Array | None = None,
    steps: jax.Array | None = None,
) -> tuple[WorkerState, jax.Array, dict[str, jax.Array]]:
    """A worker's λ steps: the worker after them; the losses before each, (λ,); the sums of other measures, (λ,) each.

    Args:
        batches: indices of training examples, (λ, batch).
        optimizer: may change what the local optimizer is given.
        factors: by what the learning rate is multiplied, (λ,).
        steps: how many are made, int32; what follows them is 0. None: all.
    """
    transformation = local.transformation()
    gradient = jax.value_and_grad(task.loss, has_aux=True)

    def step(state: tuple[Params, optax.OptState], now: Any) -> tuple[Any, tuple[jax.Array, Any]]:
        (params, local_state), (batch, rate) = state, now
        (value, measured), slope = gradient(params, jax.tree.map(lambda leaf: leaf[batch], train))
        if optimizer is not None:
            slope = optimizer.gradient(slope, params, worker.params, worker.memory)
        updates, local_state = transformation.update(slope, local_state, params)
        if rate is not None:
            updates = jax.tree.map(lambda update: rate * update, updates)
        return (optax.apply_updates(params, updates), local_state), (value, measured)

    begin, every = (worker.params, worker.local_state), (batches, factors)
    if steps is None:
        (params, local_state), (losses, measured) = lax.scan(step, begin, every)
    else:
        (params, local_state), (losses, measured) = _first(steps, step, begin, every)
    return WorkerState(params, local_state, worker.memory), losses, measured


def _first(steps: jax.Array, step: Any, begin: Any, every: Any) -> tuple[Any, Any]:
    """lax.scan of the first so many steps, a number that need not be known when it is compiled. What is noted of the
    others is 0.
    """
    room = len(jax.tree.leaves(every)[0])
    _, one = jax.eval_shape(step, begin, jax.tree.map(lambda leaf: leaf[0], every))
    noted = jax.tree.map(lambda leaf: jnp.zeros((room, *leaf.shape), leaf.dtype), one)

    def turn(number: jax.Array, carried: tuple[Any, Any]) -> tuple[Any, Any]:
        state, noted = carried
        state, now = step(state, jax.tree.map(lambda leaf: leaf[number], every))
        return state, jax.tree.map(lambda leaf, new: leaf.at[number].set(new), noted, now)

    return lax.fori_loop(0, steps, turn, (begin, noted))


def _apply_exchanges(
    center: Params,
    memory: Any,
    workers: Sequence[WorkerState],
    work: Work,
    record: Record,
    train: Batch,
    count: jax.Array,
    optimizer: Optimizer,
    local: LocalOptimizer,
    task: Task,
    *,
    kind: Kind,
    reset_local_optimizer: bool,
    watch_center: bool,
    together: bool,
    shared: bool,
) -> tuple[Params, Any, list[WorkerState], Record]:
    """The segment's next local phases, each by another worker, and the exchanges that end them.

    Args:
        center: None where it is what the one worker started from.
        memory: the server's.
        count: n.
        together: compute several phases as one batch, which fills a GPU; on a CPU one after another is faster.
        shared: the center's buffers are what workers train on.

    Returns:
        The new center, None if it is shared and has not changed; the server's memory; the workers after their answers,
        the params being None of those who go on from that center, or who do not need theirs until they are answered;
        and the record.
    """
    alone = center is None
    before = workers[0].params if alone else center
    server = Server(before, memory)
    phase = partial(local_phase, train=train, local=local, task=task, optimizer=optimizer)
    together = together and len(workers) > 1
    if together:
        positions = record.position + jnp.arange(len(workers))
        all_of_them = jax.tree.map(lambda *leaves: jnp.stack(leaves), *workers)
        factors = None if work.factors is None else work.factors[positions]
        steps = None if work.steps is None else work.steps[positions]
        stacked = jax.vmap(lambda worker, batches, rates, steps: phase(worker, batches, factors=rates, steps=steps))(
            all_of_them, work.batches[positions], factors, steps
        )
        ends = [jax.tree.map(lambda leaf, i=i: leaf[i], stacked) for i in range(len(workers))]
    rate = getattr(local, "learning_rate", jnp.nan)
    following = []
    for index, worker in enumerate(workers):
        position = record.position
        batches = work.batches[position]
        factors = None if work.factors is None else work.factors[position]
        steps = None if work.steps is None else work.steps[position]
        made = len(batches) if steps is None else steps
        end, losses, measured = ends[index] if together else phase(worker, batches, factors=factors, steps=steps)
        if kind.accepted:
            last_rate = rate if factors is None else rate * factors[made - 1]
            commit = Commit(worker.params, made, work.staleness[position], count, last_rate)
            server, committed = optimizer.commit(server, Worker(end.params, worker.memory), commit)
            end = end._replace(params=committed.params, memory=committed.memory)
        if kind.versions(last=index == len(workers) - 1):
            server = optimizer.version(server)
        if kind.answer == "each":
            end = _answered(server, end, optimizer, local, reset_local_optimizer)
        following.append(end)
        record = Record(
            position + 1,
            record.losses.at[position].set(losses),
            {name: record.measured[name].at[position].set(measured[name]) for name in record.measured},
            record.finite.at[position].set(all_finite(server.center)) if watch_center else record.finite,
        )
    if kind.answer == "last":
        following = [_answered(server, end, optimizer, local, reset_local_optimizer) for end in following]
    if kind.answer == "none" and not answers_with_own(optimizer):
        following = [end._replace(params=None) for end in following]
    following = [
        end._replace(params=None) if end.params is not None and is_same(server.center, end.params) else end
        for end in following
    ]
    unchanged = shared and not alone and is_same(server.center, before)
    return None if unchanged else server.center, server.memory, following, record


_exchange = partial(jax.jit, static_argnames=("kind", "reset_local_optimizer", "watch_center", "together"))
exchange_sharing = _exchange(partial(_apply_exchanges, shared=True), donate_argnames=("memory", "workers", "record"))
"""Where a worker goes on from the new center: the old one is still what another trains on."""
exchange_apart = _exchange(
    partial(_apply_exchanges, shared=False), donate_argnames=("center", "memory", "workers", "record")
)
"""Where a worker goes on from something of its own: the new center is written over the old one."""


def _answered(
    server: Server, worker: WorkerState, optimizer: Optimizer, local: LocalOptimizer, reset_local_optimizer: bool
) -> WorkerState:
    """The worker with what it goes on from."""
    params, memory = optimizer.reply(server, Worker(worker.params, worker.memory))
    local_state = local.transformation().init(params) if reset_local_optimizer else worker.local_state
    return WorkerState(params, local_state, memory)


@partial(jax.jit, static_argnames=("reset_local_optimizer",), donate_argnames=("worker",))
def answer_later(
    center: Params,
    memory: Any,
    worker: WorkerState,
    optimizer: Optimizer,
    local: LocalOptimizer,
    *,
    reset_local_optimizer: bool,
) -> WorkerState:
    """A worker that was answered after another one's exchange; its params are None if it goes on from the center."""
    answered = _answered(Server(center, memory), worker, optimizer, local, reset_local_optimizer)
    return answered._replace(params=None) if is_same(center, answered.params) else answered


def answers_with_own(optimizer: Optimizer) -> bool:
    """Whether a worker goes on from something else than the center alone."""
    return type(optimizer).reply is not Optimizer.reply


def is_same(center: Params, following: Params) -> bool:
    """Whether these are the same arrays, not only equal ones."""
    pairs = zip(jax.tree.leaves(center), jax.tree.leaves(following), strict=True)
    return all(one is other for one, other in pairs)


@jax.jit
def all_finite(tree: Params) -> jax.Array:
    """Whether every number is. x · 0 is 0 or NaN, and a sum runs at the memory's pace, twice as fast as isfinite."""
    return jnp.isfinite(sum((leaf * 0).sum() for leaf in jax.tree.leaves(tree)))


@jax.jit
def begin(params: Params, local: LocalOptimizer, optimizer: Optimizer) -> WorkerState:
    """A worker before its first step; the params are the initial center."""
    memory = jax.tree.map(jnp.copy, optimizer.init_worker(params))
    return WorkerState(params, local.transformation().init(params), memory)


@partial(jax.jit, static_argnames=("workers",))
def begin_server(center: Params, optimizer: Optimizer, *, workers: int) -> Any:
    """The server's memory before the first exchange."""
    return jax.tree.map(jnp.copy, optimizer.init(center, workers))
