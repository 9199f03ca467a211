"""What a user's problem, optimizer or local optimizer gives is checked by shapes alone, before anything is trained."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from agn_bench.base.pytrees import is_trained
from agn_bench.base.user_code import UserCodeError, called, source_of
from agn_bench.optimizers import Commit, LocalOptimizer, Optimizer, Server, Worker
from agn_bench.problems import LOSS, Batch, Measure, Problem
from agn_bench.training.exchange import is_same
from agn_bench.training.records import Params
from agn_bench.training.task import Task


def check_optimizer(optimizer: Optimizer, params: Params, local_steps: int, workers: int, varied: bool = False) -> bool:
    """Whether workers go on from the very arrays of the center. Computes shapes only.

    Args:
        varied: a commit's λ is a number that is not known when it is compiled.

    Raises:
        UserCodeError: it is a user's, and a function of it fails or gives something else than what it should.
    """
    kind = type(optimizer)
    shared: list[bool] = []

    def call(what: str, function: Any, *arguments: Any, like: Any = None) -> Any:
        """What a function gives; it must be of the shapes and types of `like`."""
        says = f"{kind.__name__}.{what}"
        with called(kind, says):
            answer = function(*arguments)
        if like is not None and shapes(answer) != shapes(like):
            raise UserCodeError(f"{says} gave {shapes(answer)}, not {shapes(like)}")
        return answer

    def moments(optimizer: Optimizer, params: Params, end: Params, commit: Commit) -> None:
        """Each function once, its numbers traced, as in training."""
        given = f"center: {shapes(params)}"
        memory = call(f"init({given}; workers: {workers})", optimizer.init, params, workers)
        own = call(f"init_worker({given})", optimizer.init_worker, params)
        server, worker = Server(params, memory), Worker(end, own)
        given = f"server: {shapes(server)}; worker: {shapes(worker)}"
        both = call(
            f"commit({given}; commit: {shapes(commit)})",
            optimizer.commit,
            server,
            worker,
            commit,
            like=(server, worker),
        )
        server = call(f"version(server: {shapes(server)})", optimizer.version, Server(*both[0]), like=server)
        worker = call(f"reply({given})", optimizer.reply, Server(*server), Worker(*both[1]), like=worker)
        shared.append(is_same(server[0], worker[0]))
        given = f"gradient, params and start: {shapes(params)}; memory: {shapes(own)}"
        call(f"gradient({given})", optimizer.gradient, end, end, commit.start, own, like=params)

    def begin(
        optimizer: Optimizer, center: Params, start: Params, end: Params, own: jax.Array, *numbers: jax.Array
    ) -> None:
        moments(optimizer, center, end, Commit(start, own if varied else local_steps, *numbers))

    numbers = (np.int32(number) for number in (local_steps, 0, workers))
    jax.eval_shape(begin, optimizer, params, params, params, *numbers, np.float32(0))
    return shared[0]


def check_measures(problem: Problem) -> None:
    """Raise UserCodeError if a user's problem measures nothing, or a measure does not say what it should."""
    kind = type(problem)
    with called(kind, f"{kind.__name__}.measures"):
        measures = dict(problem.measures)
    if not measures:
        raise UserCodeError(f"{kind.__name__}.measures is empty, and a run must measure something")
    for name, measure in measures.items():
        if not re.fullmatch("[a-z][a-z0-9_]*", name):
            raise UserCodeError(
                f"{kind.__name__}.measures has {name!r}, not a word of small letters, digits and underscores"
            )
        if not (isinstance(measure, Measure) and np.isfinite(measure.if_diverged)):
            raise UserCodeError(
                f"{kind.__name__}.measures has {measure} for {name}, not a Measure with finite if_diverged"
            )


def check_initial(problem: Problem, initial: Params) -> None:
    """Raise UserCodeError if a user's initial parameters hold nothing to train, or something that is not finite."""
    call = f"{type(problem).__name__}.init(generator)"
    trained = [leaf for leaf in jax.tree.leaves(initial) if is_trained(leaf)]
    if not trained:
        raise UserCodeError(f"{call} gave {shapes(initial)}, in which there is no array of floating-point numbers")
    if not all(np.isfinite(leaf).all() for leaf in trained):
        raise UserCodeError(f"{call} gave numbers that are not finite: {shapes(initial)}")


def check_problem(task: Task, params: Params, train: Batch, batch_size: int) -> tuple[tuple[str, np.dtype], ...]:
    """The types of the loss and of every other measure of a mini-batch, by name. Computes shapes only.

    Raises:
        UserCodeError: the problem is a user's, and its loss fails, gives no number, or lacks a measure.
    """
    kind = type(task.problem)
    batch = jax.tree.map(lambda leaf: _of_shape((batch_size, *leaf.shape[1:]), leaf.dtype), train)
    call = f"{kind.__name__}.loss(params: {shapes(params)}; batch: {shapes(batch)})"

    def loss(task: Task, params: Params, batch: Batch) -> Any:
        with called(kind, call):
            given = task.loss(params, batch)
        if not (isinstance(given, tuple) and len(given) == 2 and isinstance(given[1], Mapping)):
            raise UserCodeError(f"{call} gave {shapes(given)}, not the mean loss and a dict of other measures' sums")
        return jax.tree.map(jnp.asarray, (given[0], dict(given[1])))

    value, measured = jax.eval_shape(loss, task, params, batch)
    for name, found in {LOSS: value, **measured}.items():
        if found.shape != ():
            raise UserCodeError(f"{call} gave {name} {shapes(found)}, not one number")
    if not jnp.issubdtype(value.dtype, jnp.floating):
        raise UserCodeError(f"{call} gave a loss of {value.dtype}, not of floating-point numbers")
    if not task.problem.evaluates_itself:
        for name in task.measures:
            if name != LOSS and name not in measured:
                raise UserCodeError(
                    f"{call} gave no {name}, which is among {kind.__name__}.measures: {sorted(measured)}"
                )
    return (LOSS, value.dtype), *((name, measured[name].dtype) for name in sorted(measured))


def check_start(task: Task, params: Params, train: Batch, batch: np.ndarray) -> None:
    """Raise UserCodeError if a user's problem has a loss that cannot be used, is not finite, or has no gradient.

    Args:
        batch: the first mini-batch, indices of training examples.
    """
    kind = type(task.problem)
    if source_of(kind) is None:
        return
    check_problem(task, params, train, len(batch))
    call = f"{kind.__name__}.loss"
    with called(kind, call):
        (value, _), slope = _loss_and_gradient(task, params, jax.tree.map(lambda leaf: leaf[batch], train))
    if not np.isfinite(value):
        raise UserCodeError(
            f"{call} of the initial parameters and the first mini-batch is {value}, not a finite number"
        )
    if not any(np.asarray(leaf).any() for leaf in jax.tree.leaves(slope)):
        raise UserCodeError(f"{call} has no gradient: it is 0 for all initial parameters, {shapes(params)}")


@jax.jit
def _loss_and_gradient(task: Task, params: Params, batch: Batch) -> Any:
    return jax.value_and_grad(task.loss, has_aux=True)(params, batch)


def check_local_optimizer(local: LocalOptimizer, params: Params) -> None:
    """Raise UserCodeError if a user's local optimizer fails, or gives something else than a step of the parameters."""
    kind = type(getattr(local, "rule", local))
    call = f"{kind.__name__}.transformation() for {shapes(params)}"

    def step(local: LocalOptimizer, params: Params) -> tuple[Params, Any, Any]:
        transformation = local.transformation()
        state = transformation.init(params)
        return *transformation.update(params, state, params), state

    with called(kind, call):
        updates, after, before = jax.eval_shape(step, local, params)
    if shapes(updates) != shapes(params):
        raise UserCodeError(f"{call} gave updates {shapes(updates)}")
    same = bool(jax.tree.structure(after) == jax.tree.structure(before))  # type: ignore[operator, unused-ignore]
    if not same or shapes(after) != shapes(before):
        raise UserCodeError(f"{call} has another state after a step: {shapes(after)}, before it {shapes(before)}")


_of_shape: Any = jax.ShapeDtypeStruct


def shapes(tree: object) -> str:
    """The arrays of a pytree, as in `[{biases: float32[10], weights: float32[784, 10]}]`."""
    if isinstance(tree, dict):
        return "{" + ", ".join(f"{name}: {shapes(tree[name])}" for name in sorted(tree)) + "}"
    if hasattr(tree, "_fields"):
        return "{" + ", ".join(f"{name}: {shapes(getattr(tree, name))}" for name in tree._fields) + "}"
    if isinstance(tree, list | tuple):
        inside = ", ".join(map(shapes, tree))
        return f"[{inside}]" if isinstance(tree, list) else f"({inside})"
    if hasattr(tree, "dtype") and hasattr(tree, "shape"):
        return f"{tree.dtype}[{', '.join(map(str, tree.shape))}]"
    return type(tree).__name__
