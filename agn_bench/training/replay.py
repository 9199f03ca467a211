"""A whole replay, as the host sees it: segment by segment, with evaluations, up to the end or a divergence."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from itertools import pairwise, takewhile
from typing import Any, NamedTuple

import jax
import numpy as np

from agn_bench.clock.timeline import Timeline
from agn_bench.optimizers import LocalOptimizer, Optimizer
from agn_bench.problems import Batch, Params, Problem
from agn_bench.training.carry import Training
from agn_bench.training.checks import check_start
from agn_bench.training.evaluation import evaluated, values
from agn_bench.training.exchange import all_finite
from agn_bench.training.records import Evaluation, Progress, Replay, Target
from agn_bench.training.task import task_of

IsOver = Callable[[int, int, Callable[[], Replay]], bool]
"""Whether a replay ends here. It is given `first` and `last`, where the exchanges [first, last) were just made, and a
function that gives what there is until now.
"""


class Stretch(NamedTuple):
    """What is known of a run, and how far it is to be trained with that."""

    timeline: Timeline
    """With all exchanges that were trained before."""
    batches: np.ndarray
    evaluate_at: set[int]
    factors: np.ndarray | None
    last: int
    """Exchanges to train, from the start on."""


def replay_timeline(
    timeline: Timeline,
    batches: np.ndarray,
    *,
    optimizer: Optimizer,
    local: LocalOptimizer,
    problem: Problem,
    initial: Params,
    train: Batch,
    test: Batch | None,
    evaluate_at: Iterable[int] = (),
    reset_local_optimizer: bool = False,
    target: Target | None = None,
    factors: np.ndarray | None = None,
    on_progress: Callable[[Progress], object] | None = None,
    until: int | None = None,
    onward: Callable[[np.ndarray], Stretch | None] | None = None,
    is_over: IsOver | None = None,
) -> Replay:
    """Train along `timeline`; the parameters' dtype is that of `initial`.

    Args:
        batches: indices of the training examples of every mini-batch, (workers, steps, batch).
        initial: the center at version 0, NumPy arrays.
        train: the training set, NumPy arrays.
        test: the test set, if there is one.
        evaluate_at: after how many exchanges to evaluate the center, 0 and all of them allowed.
        target: end with the first evaluation, but for one at the start, that reaches this.
        factors: by what the learning rate is multiplied at each step, (exchanges, λ); None: it is constant. Where λ
            varies, there is room for the longest phase, here and in what is given back (see Timeline.of_steps).
        on_progress: told now and then how far the replay is. If it answers True the replay ends after what is being
            computed meanwhile.
        until: how many exchanges to train before `onward` is asked, where λ is decided meanwhile.
        onward: told the losses of all exchanges so far, (exchanges, λ), when these are trained. It says how the run
            goes on; None: it is over.
        is_over: asked after each segment whether the replay ends there.
    """
    train, test = jax.device_put((train, test))
    task, initial = task_of(problem, initial)
    check_start(task, initial, train, batches[0, 0])
    known = Stretch(timeline, batches, set(evaluate_at), factors, timeline.exchanges if until is None else until)

    def further(losses: Callable[[], np.ndarray]) -> Stretch | None:
        nonlocal known
        following = None if onward is None else onward(losses())
        known = following or known
        return following

    def replay(watch_center: bool) -> Replay | None:
        training = Training(
            known.timeline,
            known.batches,
            optimizer,
            local,
            task,
            initial,
            train,
            reset_local_optimizer,
            watch_center,
            factors=known.factors,
            continues=onward is not None,
        )
        return _replay(training, known, test, target, on_progress, further, is_over)

    # The center is looked at once a segment, which costs nothing. At each exchange it would cost a tenth of a step; so
    # the runs that diverge are the ones that pay for it, by being made again.
    found = replay(watch_center=False) or replay(watch_center=True)
    assert found is not None
    return found


def _replay(
    training: Training,
    stretch: Stretch,
    test: Batch | None,
    target: Target | None,
    on_progress: Callable[[Progress], object] | None,
    further: Callable[[Callable[[], np.ndarray]], Stretch | None],
    is_over: IsOver | None,
) -> Replay | None:
    """None if a center of the last segment is not finite, but nobody watched which."""
    task = training.task
    losses: list[np.ndarray] = []
    measured: dict[str, list[np.ndarray]] = {}
    evaluations: list[Evaluation] = []
    diverged = reached = None
    stopping = over = False
    last = 0

    def look(version: int) -> tuple[jax.Array, Any]:
        center = training.center
        return all_finite(center), evaluated(task, center, test) if version in stretch.evaluate_at else None

    def so_far(kept: int) -> Replay:
        return Replay(
            center=None,
            losses=_joined(losses)[:kept],
            measured={name: _joined(parts)[:kept] for name, parts in measured.items()},
            evaluations=evaluations,
            diverged_exchange=diverged,
            reached=reached is not None,
            stopped=diverged is None and reached is None and kept < stretch.timeline.exchanges,
        )

    def goes_on(_: object) -> bool:
        return not stopping

    while True:
        timeline = stretch.timeline
        whole = _segments(last, stretch.last, training.segment_size, stretch.evaluate_at)
        segments = takewhile(goes_on, whole)
        for first, last, record, (center_finite, tested) in training.along(segments, look, ahead=target is None):
            made = last - first
            losses.append(np.asarray(record.losses[:made]))
            for name, sums in record.measured.items():
                measured.setdefault(name, []).append(np.asarray(sums[:made]))
            finite = record.finite[:made] & np.isfinite(losses[-1]).all(axis=1)
            if not (center_finite or training.watch_center):
                return None
            if not finite.all():
                diverged = first + int(np.argmin(finite))
                break
            if tested is not None:
                evaluations.append(Evaluation(last, values(task, tested, test)))
                if target is not None and last and target.is_reached(evaluations[-1].values):
                    reached = last
                    break
            if is_over is not None and is_over(first, last, partial(so_far, last)):
                over = True
                break
            if on_progress is not None and made:
                progress = Progress(
                    exchanges=last,
                    exchanges_total=timeline.exchanges,
                    sim_time_s=float(timeline.applied_s[last - 1]),
                    batch={"loss": float(timeline.of_steps(losses[-1], first).mean())}
                    | {
                        name: float(timeline.of_steps(parts[-1], first).mean()) / training.batches.shape[-1]
                        for name, parts in measured.items()
                    },
                    center=evaluations[-1].values if evaluations else {},
                    gradient_steps=int(timeline.steps[:last].sum(dtype=np.int64)),
                    evaluated=tested is not None,
                )
                stopping = stopping or on_progress(progress) is True
        ended = stopping or over or diverged is not None or reached is not None
        following = None if ended else further(lambda: _joined(losses))
        if following is None:
            break
        stretch = following
        training.go_on(stretch.timeline, stretch.batches, stretch.factors)

    found = so_far(last if diverged is None else diverged + 1)
    if over:  # the center is ahead of what was looked at
        return found
    if found.stopped and last not in stretch.evaluate_at:
        tested = jax.device_get(evaluated(task, training.center, test))
        evaluations.append(Evaluation(last, values(task, tested, test)))
    return replace(found, center=jax.device_get(task.whole(training.center)), applied=training.applied)


def _joined(parts: list[np.ndarray]) -> np.ndarray:
    """Parts one after another, (exchanges, λ), with room for the longest phase of all; what is no step is 0."""
    room = max(part.shape[1] for part in parts)
    return np.concatenate(
        [part if part.shape[1] == room else np.pad(part, ((0, 0), (0, room - part.shape[1]))) for part in parts]
    )


def _segments(begun: int, exchanges: int, size: int, evaluate_at: set[int]) -> Iterator[tuple[int, int]]:
    """Ranges of exchanges after which the host looks at the results: for the display, and at every evaluation.

    The first range of a run is empty: the center before any exchange.

    Args:
        begun: how many exchanges were made before; there are more.
    """
    ends = {*range(0, exchanges, size), *evaluate_at, exchanges}
    return pairwise([begun, *sorted(end for end in ends if (end > begun or not begun) and end <= exchanges)])
