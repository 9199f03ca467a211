"""One run: the timeline of a configuration, the training replayed along it, and what that leaves."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import jax
import numpy as np

from agn_bench.base.inputs import BadInput
from agn_bench.base.jax_settings import own_settings
from agn_bench.base.pytrees import is_trained
from agn_bench.base.streams import Kind, stream
from agn_bench.base.user_code import called
from agn_bench.clock.stops import Stop, cut
from agn_bench.clock.timeline import Timeline
from agn_bench.config.defaults import EVALUATIONS
from agn_bench.config.run import RunConfig
from agn_bench.problems import Batch, Params, Problem, shares
from agn_bench.training.adapting import Adapting, with_room
from agn_bench.training.checks import check_initial, check_measures, check_problem
from agn_bench.training.columns import POINTS_PER_WINDOW, curve, measured_in_training
from agn_bench.training.evaluation import evaluated, examples, values
from agn_bench.training.records import Check, Progress, Replay, RunResult, Target
from agn_bench.training.replay import Stretch, replay_timeline
from agn_bench.training.task import task_of
from agn_bench.training.timing import alike, timeline_of

MAX_CURVE_POINTS = 1_000_000


def simulate(
    config: RunConfig,
    data: tuple[Batch, Batch | None],
    on_progress: Callable[[Progress], object] | None = None,
    checks: Sequence[Check] = (),
) -> RunResult:
    """Simulate the timeline of `config` and replay the training along it.

    Args:
        data: the training set and the test set of its problem (see Problem.load).
        checks: the first of them that says so ends the run, unless its λ is decided meanwhile.

    Raises:
        BadInput: the curve's window is too short for the simulated time, or the data split asks for classes and there
            are none.
        UserCodeError: a user's function fails, or gives something else than it should.
    """
    if config.products != "float32" and jax.default_backend() == "cpu":
        raise BadInput("products", config.products, "not on a CPU", "float32, or a GPU")
    with own_settings(), jax.default_matmul_precision("highest" if config.products == "float32" else config.products):
        return _simulate(config, data, on_progress, checks)


def _simulate(
    config: RunConfig,
    data: tuple[Batch, Batch | None],
    on_progress: Callable[[Progress], object] | None,
    checks: Sequence[Check],
) -> RunResult:
    began = time.perf_counter()
    adapting = Adapting(config) if config.adapts else None
    timeline = timeline_of(config) if adapting is None else adapting.timeline
    if timeline.end_s / (config.window / POINTS_PER_WINDOW) > MAX_CURVE_POINTS:
        least = POINTS_PER_WINDOW * timeline.end_s / MAX_CURVE_POINTS
        short = f"too short for a run of {timeline.end_s:.0f} simulated seconds"
        raise BadInput("window", config.window, short, f"at least {least:.3g} simulated seconds")
    clock_done = time.perf_counter()

    problem, (train, test) = config.trains, data
    labels = _labels(config, train)
    stretch = _stretch(config, labels, timeline, adapting)

    def onward(losses: np.ndarray) -> Stretch | None:
        nonlocal stretch
        if adapting is None or not adapting.decide(losses):
            return None
        stretch = _stretch(config, labels, adapting.timeline, adapting, stretch.batches)
        return stretch

    looks = _looks(config, timeline)
    checking = _Checking(config, timeline, looks, checks if adapting is None else ())
    replay = replay_timeline(
        stretch.timeline,
        stretch.batches,
        optimizer=config.optimizer.thing,
        local=config.local,
        problem=problem,
        initial=_initial(problem, config.seed),
        train=train,
        test=test,
        evaluate_at=stretch.evaluate_at,
        reset_local_optimizer=config.reset_local_optimizer,
        target=_target(config),
        factors=stretch.factors,
        on_progress=on_progress,
        until=stretch.last,
        onward=None if adapting is None else onward,
        is_over=checking if checking.asks else None,
    )
    if checking.verdict is not None:
        return RunResult(config, timeline, replay, looks, {}, {}, verdict=checking.verdict)
    if adapting is not None:
        timeline = alike(adapting.timeline)
        replay = replay.with_room(timeline.local_steps)
        looks = _looks(config, timeline)
    if replay.reached or replay.stopped:
        looks = [look for look in looks if look[1] <= replay.exchanges]
        if looks[-1][1] < replay.exchanges:
            looks.append((float(timeline.applied_s[replay.exchanges - 1]), replay.exchanges))
        ended_s = next(time_s for time_s, exchanges in looks if exchanges == replay.exchanges)
        timeline = replace(cut(timeline, None, Stop(replay.exchanges)), stopped_s=ended_s)
    trained = {}
    if replay.diverged_exchange is None and not problem.evaluates_itself:
        task, center = task_of(problem, replay.center)
        trained = values(task, jax.device_get(evaluated(task, center, train)), train)
    done = time.perf_counter()
    clock = clock_done - began if adapting is None else adapting.clock_s
    wall_clock = {"timeline": clock, "training": done - began - clock, "total": done - began}
    return RunResult(config, timeline, replay, looks, trained, wall_clock)


def _stretch(
    config: RunConfig,
    labels: np.ndarray,
    timeline: Timeline,
    adapting: Adapting | None,
    batches: np.ndarray | None = None,
) -> Stretch:
    """The whole run; if λ is decided meanwhile, up to the next decision.

    Args:
        batches: those that were dealt before, of which the first are the same however many there are.
    """
    last = timeline.exchanges
    if adapting is not None:
        last, timeline = adapting.next_exchanges(), with_room(timeline)
    steps = int((timeline.steps_before + timeline.steps).max())
    if batches is None or batches.shape[1] < steps:
        pooled = config.gradient_steps if config.shares == "equal" else None
        batches = shares.deal(
            config.data_split.thing,
            config.seed,
            labels,
            config.workers,
            pooled // config.workers if pooled else steps,
            config.batch_size,
            pooled_steps=pooled,
        )
    looks = {exchanges for _, exchanges in _looks(config, timeline)}
    return Stretch(timeline, batches, looks, _factors(config, timeline), last)


def measured_over_time(config: RunConfig, data: tuple[Batch, Batch | None]) -> list[str]:
    """The columns of curve.csv that are measures, found by shapes alone: of the workers' mini-batches, of the center.

    Args:
        data: as for `simulate`.

    Raises:
        UserCodeError: the problem is a user's, and a function of it fails.
    """
    problem, (train, _) = config.trains, data
    with own_settings():
        task, initial = task_of(problem, _initial(problem, config.seed))
        in_training = check_problem(task, initial, train, config.batch_size)
    return [*(measured_in_training(name) for name, _ in in_training), *map(problem.column, problem.measures)]


class _Checking:
    """Asks the checks of a run, each as soon as what it looks at is known.

    A mini-batch may be done long before the commit that it is part of is applied. So a check waits until all
    mini-batches are known of the points that it looks at; it then sees what it would see of the whole run.
    """

    def __init__(
        self, config: RunConfig, timeline: Timeline, looks: list[tuple[float, int]], checks: Sequence[Check]
    ) -> None:
        self._config, self._timeline, self._looks = config, timeline, looks
        self.verdict: Any = None
        begins = timeline.step_times_s()[:, 0] if checks else np.empty(0)
        # Up to the next point, whose window begins up to a fifth of it later.
        sees = [check.until_s + config.window * (1 + 1 / POINTS_PER_WINDOW) for check in checks]
        known = (int(np.flatnonzero(begins < time_s)[-1]) + 1 if (begins < time_s).any() else 1 for time_s in sees)
        self._checks = [*zip(known, checks, strict=True)]

    @property
    def asks(self) -> bool:
        """Whether there is any."""
        return bool(self._checks)

    def __call__(self, first: int, last: int, so_far: Callable[[], Replay]) -> bool:
        """Whether the run is over, of which exchanges [first, last) were just made."""
        if last == self._timeline.exchanges:
            return False
        for exchanges, check in self._checks:
            if first < exchanges <= last and self.verdict is None:
                made = RunResult(self._config, self._timeline, so_far(), self._looks, {}, {})
                self.verdict = check.verdict(curve(made))
        return self.verdict is not None


def _initial(problem: Problem, seed: int) -> Params:
    """The center at version 0."""
    kind = type(problem)
    check_measures(problem)
    with called(kind, f"{kind.__name__}.init(generator)"):
        initial = problem.init(stream(seed, Kind.PARAMETERS))
    check_initial(problem, initial)
    # NumPy draws in float64 where nothing is said.
    return jax.tree.map(lambda leaf: leaf.astype(np.float32) if is_trained(leaf) else leaf, initial)


def _labels(config: RunConfig, train: Batch) -> np.ndarray:
    """The class of every training example, for the data split; where there are none, all are of one."""
    labels = config.trains.labels(train)
    if labels is not None:
        return labels
    if config.data_split.thing.by_class:
        problem = f"goes by the classes of training examples, and those of {config.subject} have none"
        raise BadInput("data_split", config.data_split.spelled, problem, "mixed or sharded")
    return np.zeros(examples(train), np.int32)


def _factors(config: RunConfig, timeline: Timeline) -> np.ndarray | None:
    """By what the learning rate is multiplied at each step, (exchanges, λ): over the run's time where time ends it,
    else over each worker's share of the work. See Timeline.of_steps.
    """
    if config.schedule is None:
        return None
    number = np.arange(timeline.local_steps)
    step = number / (timeline.local_steps if timeline.own_steps is None else timeline.own_steps[:, None])
    if config.seconds is not None:
        lasts = timeline.compute_end_s - timeline.start_s
        progress = (timeline.start_s[:, None] + lasts[:, None] * step) / config.seconds
    else:
        share = config.steps / config.workers
        if timeline.own_before is None:
            progress = (timeline.phase[:, None] + step) * timeline.local_steps / share
        else:
            progress = (timeline.own_before[:, None] + number) / share
    return config.schedule.thing.factors(np.minimum(progress, 1))


def _target(config: RunConfig) -> Target | None:
    """At which value of which measure it ends."""
    if config.until is None:
        return None
    column, _, value = config.until.partition("=")
    (measure,) = (name for name in config.trains.measures if config.trains.column(name) == column)
    return Target(measure, float(value), config.trains.measures[measure].higher_is_better)


def _looks(config: RunConfig, timeline: Timeline) -> list[tuple[float, int]]:
    """When the center is evaluated, and after how many exchanges: at the start, at the end, and between them evenly, by
    exchanges, or by time where time is what ends the run.
    """
    last = timeline.exchanges
    if config.seconds is not None and config.eval_every is None:
        times = [timeline.end_s * i / EVALUATIONS for i in range(EVALUATIONS + 1)]
        return [(time_s, int(np.searchsorted(timeline.applied_s, time_s, side="right"))) for time_s in times]
    if config.eval_every is None:
        counts = {round(last * i / EVALUATIONS) for i in range(EVALUATIONS + 1)}
    else:
        counts = {*range(0, last, config.eval_every), last}
    applied_s = np.concatenate([[0.0], timeline.applied_s])
    return [(float(applied_s[count]), count) for count in sorted(counts)]
