"""A whole replay, as the host sees it: segment by segment, with evaluations, up to the end or a divergence."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import pairwise, takewhile

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from agn_bench.clock.timeline import Timeline
from agn_bench.optimizers import LocalOptimizer, Optimizer
from agn_bench.problems.datasets import Dataset
from agn_bench.training.carry import Training
from agn_bench.training.exchange import Loss, all_finite
from agn_bench.training.records import Evaluation, Params, Progress, Replay

_EVALUATION_BATCH = 500


def replay_timeline(
    timeline: Timeline,
    batches: np.ndarray,
    *,
    optimizer: Optimizer,
    local: LocalOptimizer,
    loss: Loss,
    initial: Params,
    dataset: Dataset,
    evaluate_at: Iterable[int] = (),
    reset_local_optimizer: bool = False,
    target: float | None = None,
    on_progress: Callable[[Progress], object] | None = None,
) -> Replay:
    """Train along `timeline`; the parameters' dtype is that of `initial`.

    Args:
        batches: indices of the training images of every mini-batch, (workers, steps, batch).
        initial: the center at version 0, NumPy arrays.
        evaluate_at: after how many exchanges to evaluate the center on the test set, 0 and all of them allowed.
        target: end with the first evaluation, but for one at the start, that reaches this accuracy.
        on_progress: told now and then how far the replay is. If it answers True the replay ends after what is being
            computed meanwhile.
    """
    images, labels, test_images, test_labels = jax.device_put(
        (dataset.train_images, dataset.train_labels, dataset.test_images, dataset.test_labels)
    )
    versions = set(evaluate_at)

    def replay(watch_center: bool) -> Replay | None:
        training = Training(
            timeline, batches, optimizer, local, loss, initial, images, labels, reset_local_optimizer, watch_center
        )
        return _replay(training, versions, test_images, test_labels, loss, target, on_progress)

    # The center is looked at once a segment, which costs nothing. At each exchange it would cost a tenth of a step; so
    # the runs that diverge are the ones that pay for it, by being made again.
    found = replay(watch_center=False) or replay(watch_center=True)
    assert found is not None
    return found


def _replay(
    training: Training,
    evaluate_at: set[int],
    test_images: jax.Array,
    test_labels: jax.Array,
    loss: Loss,
    target: float | None,
    on_progress: Callable[[Progress], object] | None,
) -> Replay | None:
    """None if a center of the last segment is not finite, but nobody watched which."""
    timeline = training.timeline
    losses: list[np.ndarray] = []
    correct: list[np.ndarray] = []
    evaluations: list[Evaluation] = []
    diverged = reached = None
    stopping = False
    last = 0

    whole = _segments(timeline.exchanges, training.segment_size, evaluate_at)
    segments = takewhile(lambda _: not stopping, whole)

    def look(version: int) -> tuple[jax.Array, jax.Array | None]:
        center = training.center
        tested = count_correct(center, test_images, test_labels, loss=loss) if version in evaluate_at else None
        return all_finite(center), tested

    for first, last, record, (center_finite, tested) in training.along(segments, look, ahead=target is None):
        made = last - first
        losses.append(np.asarray(record.losses[:made]))
        correct.append(np.asarray(record.correct[:made]))
        finite = record.finite[:made] & np.isfinite(losses[-1]).all(axis=1)
        if not (center_finite or training.watch_center):
            return None
        if not finite.all():
            diverged = first + int(np.argmin(finite))
            break
        if tested is not None:
            evaluations.append(Evaluation(last, int(tested)))
            if target is not None and last and tested / len(test_labels) >= target:
                reached = last
                break
        if on_progress is not None and made:
            progress = Progress(
                exchanges=last,
                exchanges_total=timeline.exchanges,
                sim_time_s=float(timeline.applied_s[last - 1]),
                batch_accuracy=float(correct[-1].mean()) / training.batches.shape[-1],
                test_accuracy=evaluations[-1].correct / len(test_labels) if evaluations else float("nan"),
            )
            stopping = stopping or on_progress(progress) is True

    kept = last if diverged is None else diverged + 1
    stopped = diverged is None and reached is None and kept < timeline.exchanges
    if stopped and kept not in evaluate_at:
        tested = count_correct(training.center, test_images, test_labels, loss=loss)
        evaluations.append(Evaluation(kept, int(tested)))
    return Replay(
        center=jax.device_get(training.center),
        losses=np.concatenate(losses)[:kept],
        correct=np.concatenate(correct)[:kept],
        evaluations=evaluations,
        diverged_exchange=diverged,
        reached=reached is not None,
        stopped=stopped,
    )


@partial(jax.jit, static_argnames=("loss",))
def count_correct(params: Params, images: jax.Array, labels: jax.Array, *, loss: Loss) -> jax.Array:
    """How many of the images are classified correctly, int32; in batches, to bound the memory."""
    size = _EVALUATION_BATCH if len(images) % _EVALUATION_BATCH == 0 else len(images)
    chunks = jax.tree.map(lambda array: array.reshape(-1, size, *array.shape[1:]), (images, labels))
    return lax.map(lambda chunk: loss(params, *chunk)[1], chunks).sum(dtype=jnp.int32)


def _segments(exchanges: int, size: int, evaluate_at: set[int]) -> Iterator[tuple[int, int]]:
    """Ranges of exchanges after which the host looks at the results: for the display, and at every evaluation.

    The first range is empty: the center before any exchange.
    """
    return pairwise([0, *sorted({*range(0, exchanges, size), *evaluate_at, exchanges})])
