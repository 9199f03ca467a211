"""What is compiled: a worker's local phase and the exchange that ends it, or a few of them by different workers.

Pure functions on arrays. Shapes (λ, batch, model) and the optimizer's class compile; numbers do not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax

from agn_bench.base.user_code import UserCodeError, called
from agn_bench.optimizers import LocalOptimizer, Optimizer
from agn_bench.training.records import Params

Loss = Callable[[Params, jax.Array, jax.Array], tuple[jax.Array, jax.Array]]
"""(params, images, labels) -> (loss of the mini-batch, how many of it are correct)."""


class WorkerState(NamedTuple):
    """What a worker holds between two exchanges."""

    params: Params
    local_state: optax.OptState
    """Of its local optimizer."""


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
        updates, local_state = transformation.update(slope, state.local_state, state.params)
        return WorkerState(optax.apply_updates(state.params, updates), local_state), (value, correct)

    end, (losses, correct) = lax.scan(step, worker, batches)
    return end, losses, correct


def _apply_exchanges(
    center: Params,
    workers: Sequence[WorkerState],
    work: Work,
    record: Record,
    images: jax.Array,
    labels: jax.Array,
    optimizer: Optimizer,
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
        center, pulled = optimizer.exchange(center, worker.params, end.params, len(batches), work.staleness[position])
        local_state = local.transformation().init(pulled) if reset_local_optimizer else end.local_state
        following.append(WorkerState(pulled, local_state))
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
exchange_sharing = _exchange(_apply_exchanges, donate_argnames=("workers", "record"))
"""Where a worker goes on from the new center: the old one is still what another trains on."""
exchange_apart = _exchange(_apply_exchanges, donate_argnames=("center", "workers", "record"))
"""Where a worker goes on from something of its own: the new center is written over the old one."""


def resumes_at_center(optimizer: Optimizer, params: Params, local_steps: int) -> bool:
    """Whether workers go on from the very center that the optimizer returns. Computes shapes only.

    Raises:
        UserCodeError: it is a user's, and fails or gives something else than parameters.
    """
    kind = type(optimizer)
    answers: list[bool] = []

    def exchange(optimizer: Optimizer, center: Params, start: Params, end: Params, staleness: jax.Array) -> None:
        answer = optimizer.exchange(center, start, end, local_steps, staleness)
        if not isinstance(answer, tuple) or len(answer) != 2:
            raise UserCodeError(f"{call} gave {_shapes(answer)}, not the new center and what the worker goes on from")
        for what, given in zip(("as the new center", "for the worker to go on from"), answer, strict=True):
            if _shapes(given) != _shapes(center):
                raise UserCodeError(f"{call} gave {_shapes(given)} {what}, not arrays of the center's shapes and types")
        answers.append(_is_same(*answer))

    shapes = _shapes(params)
    call = f"{kind.__name__}.exchange(center, start and end: {shapes}; local_steps: {local_steps}; staleness: int32[])"
    with called(kind, call):
        jax.eval_shape(exchange, optimizer, params, params, params, np.int32(0))  # its numbers traced, as in training
    return answers[0]


def check_local_optimizer(local: LocalOptimizer, params: Params) -> None:
    """Raise UserCodeError if a user's local optimizer fails, or gives something else than a step of the parameters."""
    kind = type(local)
    call = f"{kind.__name__}.transformation() for {_shapes(params)}"

    def step(local: LocalOptimizer, params: Params) -> tuple[Params, Any, Any]:
        transformation = local.transformation()
        state = transformation.init(params)
        return *transformation.update(params, state, params), state

    with called(kind, call):
        updates, after, before = jax.eval_shape(step, local, params)
    if _shapes(updates) != _shapes(params):
        raise UserCodeError(f"{call} gave updates {_shapes(updates)}")
    same = bool(jax.tree.structure(after) == jax.tree.structure(before))  # type: ignore[operator, unused-ignore]
    if not same or _shapes(after) != _shapes(before):
        raise UserCodeError(f"{call} has another state after a step: {_shapes(after)}, before it {_shapes(before)}")


def _shapes(tree: object) -> str:
    """The arrays of a pytree, as in `[{biases: float32[10], weights: float32[784, 10]}]`."""
    if isinstance(tree, dict):
        return "{" + ", ".join(f"{name}: {_shapes(tree[name])}" for name in sorted(tree)) + "}"
    if isinstance(tree, list | tuple):
        inside = ", ".join(map(_shapes, tree))
        return f"[{inside}]" if isinstance(tree, list) else f"({inside})"
    if hasattr(tree, "dtype") and hasattr(tree, "shape"):
        return f"{tree.dtype}[{', '.join(map(str, tree.shape))}]"
    return type(tree).__name__


def _is_same(center: Params, following: Params) -> bool:
    """Whether these are the same arrays, not only equal ones."""
    pairs = zip(jax.tree.leaves(center), jax.tree.leaves(following), strict=True)
    return all(one is other for one, other in pairs)


@jax.jit
def all_finite(tree: Params) -> jax.Array:
    """Whether every number is. x · 0 is 0 or NaN, and a sum runs at the memory's pace, twice as fast as isfinite."""
    return jnp.isfinite(sum((leaf * 0).sum() for leaf in jax.tree.leaves(tree)))


@jax.jit
def begin(params: Params, local: LocalOptimizer) -> WorkerState:
    """A worker before its first step."""
    return WorkerState(params, local.transformation().init(params))
