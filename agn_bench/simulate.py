"""What happens, in the timeline's order: the replay of every local phase and every exchange, exactly.

A local phase depends only on what its worker pulled and on the worker's own data, so it is computed when its commit is
applied: one compiled call an exchange (gather the mini-batches, λ local steps, the method). Shapes (λ, batch, model)
and the method's kind compile; seed, number of workers, learning rate, α and staleness do not.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax

from agn_bench.clock import timeline_of
from agn_bench.config import RunConfig
from agn_bench.inputs import BadInput
from agn_bench.metrics import POINTS_PER_WINDOW
from agn_bench.optimizers import Method
from agn_bench.optimizers.local import LocalOptimizer
from agn_bench.problems import mlp, shares
from agn_bench.problems.datasets import Dataset
from agn_bench.records import Evaluation, Params, Progress, Replay, RunResult
from agn_bench.registry import DATASETS, EVALUATIONS, LOCAL_OPTIMIZERS, METHODS, parameter_count, widths
from agn_bench.streams import Kind, stream
from agn_bench.timeline.record import Timeline

Loss = Callable[[Params, jax.Array, jax.Array], tuple[jax.Array, jax.Array]]
"""(params, images, labels) -> (loss of the mini-batch, how many of it are correct)."""

MAX_CURVE_POINTS = 1_000_000
_PROGRESS_REPORTS = 200
_EVALUATION_BATCH = 1000


class WorkerState(NamedTuple):
    """What a worker holds between two exchanges."""

    params: Params
    optimizer: optax.OptState


class StepMetrics(NamedTuple):
    """Of one exchange."""

    losses: jax.Array
    """(λ,), before each update."""
    correct: jax.Array
    """(λ,) int32, images of the mini-batch classified correctly before the update."""
    finite: jax.Array
    """Whether the losses and the new center are."""


def simulate(config: RunConfig, dataset: Dataset, on_progress: Callable[[Progress], None] | None = None) -> RunResult:
    """Simulate the timeline of `config` and replay the training along it.

    Raises:
        BadInput: the curve's window is too short for the simulated time.
    """
    began = time.perf_counter()
    timeline = timeline_of(config)
    if timeline.end_s / (config.window / POINTS_PER_WINDOW) > MAX_CURVE_POINTS:
        least = POINTS_PER_WINDOW * timeline.end_s / MAX_CURVE_POINTS
        problem = f"too short for a run of {timeline.end_s:.0f} simulated seconds"
        raise BadInput("window", config.window, problem, f"at least {least:.3g} simulated seconds")
    clock_done = time.perf_counter()

    entry = DATASETS[config.dataset]
    batches = shares.deal(
        config.data_split, config.seed, entry.train_images, config.workers, config.gradient_steps, config.batch_size
    )
    replay = replay_timeline(
        timeline,
        batches,
        method=_method(config),
        local=LocalOptimizer(config.local_optimizer, config.learning_rate, config.momentum),
        loss=mlp.loss,
        initial=mlp.initial_params(stream(config.seed, Kind.PARAMETERS), widths(config.model, config.dataset)),
        dataset=dataset,
        evaluate_at=_evaluate_at(config),
        reset_local_optimizer=config.reset_local_optimizer,
        on_progress=on_progress,
    )
    train_correct = None
    if replay.diverged_exchange is None:
        train_correct = int(count_correct(replay.center, dataset.train_images, dataset.train_labels, loss=mlp.loss))
    done = time.perf_counter()
    wall_clock = {"timeline": clock_done - began, "training": done - clock_done, "total": done - began}
    return RunResult(config, timeline, replay, train_correct, wall_clock)


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
    images, labels, test_images, test_labels = jax.device_put(
        (dataset.train_images, dataset.train_labels, dataset.test_images, dataset.test_labels)
    )
    evaluate_at = set(evaluate_at)
    center = _copy(initial)
    workers: list[WorkerState | None] = [None] * timeline.workers
    losses: list[np.ndarray] = []
    correct: list[np.ndarray] = []
    evaluations: list[Evaluation] = []
    diverged = None

    for first, last in _segments(timeline.exchanges, evaluate_at):
        pending = []
        for exchange in range(first, last):
            worker, step = timeline.worker[exchange], timeline.phase[exchange] * timeline.local_steps
            center, workers[worker], metrics = apply_exchange(
                center,
                workers[worker] or _begin(_copy(initial), local),
                batches[worker, step : step + timeline.local_steps],
                timeline.staleness[exchange],
                images,
                labels,
                method,
                local,
                loss=loss,
                reset_local_optimizer=reset_local_optimizer,
            )
            pending.append(metrics)
        tested = count_correct(center, test_images, test_labels, loss=loss) if last in evaluate_at else None
        # The one place where the host waits for the device.
        measured, tested = jax.device_get((pending, tested))
        losses += [metrics.losses for metrics in measured]
        correct += [metrics.correct for metrics in measured]
        diverged = next((first + i for i, metrics in enumerate(measured) if not metrics.finite), None)
        if diverged is not None:
            break
        if tested is not None:
            evaluations.append(Evaluation(last, int(tested)))
        if on_progress is not None and measured:
            on_progress(
                Progress(
                    exchanges=last,
                    exchanges_total=timeline.exchanges,
                    sim_time_s=float(timeline.applied_s[last - 1]),
                    batch_accuracy=float(np.mean(correct[first:])) / batches.shape[-1],
                    test_accuracy=evaluations[-1].correct / len(test_labels) if evaluations else float("nan"),
                )
            )

    kept = timeline.exchanges if diverged is None else diverged + 1
    return Replay(
        center=jax.device_get(center),
        losses=np.array(losses[:kept]),
        correct=np.array(correct[:kept]),
        evaluations=evaluations,
        diverged_exchange=diverged,
    )


@partial(jax.jit, static_argnames=("loss", "reset_local_optimizer"), donate_argnames=("center", "worker"))
def apply_exchange(
    center: Params,
    worker: WorkerState,
    batches: jax.Array,
    staleness: jax.Array,
    images: jax.Array,
    labels: jax.Array,
    method: Method,
    local: LocalOptimizer,
    *,
    loss: Loss,
    reset_local_optimizer: bool,
) -> tuple[Params, WorkerState, StepMetrics]:
    """One local phase and the exchange that ends it: the new center, the worker after its pull, and the metrics.

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
    center, following = method.exchange(center, worker.params, end.params, len(batches), staleness)
    optimizer = transformation.init(following) if reset_local_optimizer else end.optimizer
    finite = jnp.stack([jnp.isfinite(leaf).all() for leaf in [losses, *jax.tree.leaves(center)]]).all()
    return center, WorkerState(following, optimizer), StepMetrics(losses, correct, finite)


@partial(jax.jit, static_argnames=("loss",))
def count_correct(params: Params, images: jax.Array, labels: jax.Array, *, loss: Loss) -> jax.Array:
    """How many of the images are classified correctly, int32; in batches, to bound the memory."""
    size = _EVALUATION_BATCH if len(images) % _EVALUATION_BATCH == 0 else len(images)
    chunks = jax.tree.map(lambda array: array.reshape(-1, size, *array.shape[1:]), (images, labels))
    return lax.map(lambda chunk: loss(params, *chunk)[1], chunks).sum(dtype=jnp.int32)


@jax.jit
def _begin(params: Params, local: LocalOptimizer) -> WorkerState:
    return WorkerState(params, local.transformation().init(params))


def _copy(initial: Params) -> Params:
    """Buffers of their own: those of the center and of the workers are donated to each exchange."""
    return jax.tree.map(lambda leaf: jnp.array(leaf, copy=True), initial)


def memory_bytes(config: RunConfig) -> tuple[int, int]:
    """What a run needs beside the program itself, about: (bytes in all, bytes of each worker)."""
    worker = (
        4 * parameter_count(widths(config.model, config.dataset)) * (1 + LOCAL_OPTIMIZERS[config.local_optimizer].slots)
    )
    indices = 4 * config.gradient_steps * config.batch_size
    # The center and the worker being trained are there twice; the indices too, while they are shuffled.
    return (config.workers + 2) * worker + 2 * indices, worker


def _method(config: RunConfig) -> Method:
    entry = METHODS[config.optimizer]
    method: Method = entry.load()(**{name: getattr(config, name) for name in entry.numbers})
    return method


def _evaluate_at(config: RunConfig) -> set[int]:
    """Versions at which the center is evaluated: the first, the last, and between them."""
    last = config.exchanges
    if config.eval_every is None:
        return {round(last * i / EVALUATIONS) for i in range(EVALUATIONS + 1)}
    return {*range(0, last, config.eval_every), last}


def _segments(exchanges: int, evaluate_at: set[int]) -> Iterable[tuple[int, int]]:
    """Ranges of exchanges after which the host looks at the results: for the display, and at every evaluation.

    The first range is empty: the center before any exchange.
    """
    stride = max(1, exchanges // _PROGRESS_REPORTS)
    return pairwise([0, *sorted({*range(0, exchanges, stride), *evaluate_at, exchanges})])
