"""One run: the timeline of a configuration, the training replayed along it, and what that leaves."""

from __future__ import annotations

import time
from collections.abc import Callable

from agn_bench.base.inputs import BadInput
from agn_bench.base.streams import Kind, stream
from agn_bench.config.defaults import EVALUATIONS
from agn_bench.config.run import RunConfig
from agn_bench.problems import mlp, shares
from agn_bench.problems.datasets import Dataset
from agn_bench.training.columns import POINTS_PER_WINDOW
from agn_bench.training.records import Progress, RunResult
from agn_bench.training.replay import count_correct, replay_timeline
from agn_bench.training.timing import timeline_of

MAX_CURVE_POINTS = 1_000_000


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

    widths = config.model.thing.widths(config.dataset.thing)
    batches = shares.deal(
        config.data_split.thing,
        config.seed,
        dataset.train_labels,
        config.workers,
        config.gradient_steps // config.workers,
        config.batch_size,
        pooled_steps=config.gradient_steps,
    )
    replay = replay_timeline(
        timeline,
        batches,
        optimizer=config.optimizer.thing,
        local=config.local_optimizer.thing,
        loss=mlp.loss,
        initial=mlp.initial_params(stream(config.seed, Kind.PARAMETERS), widths),
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


def _evaluate_at(config: RunConfig) -> set[int]:
    """Versions at which the center is evaluated: the first, the last, and between them."""
    last = config.exchanges
    if config.eval_every is None:
        return {round(last * i / EVALUATIONS) for i in range(EVALUATIONS + 1)}
    return {*range(0, last, config.eval_every), last}
