"""What a run says, as columns: its summary, its curve over simulated time, its commits."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import MISSING, fields
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from agn_bench.base.tabular import FLAG, NUMBER, TEXT, WHOLE
from agn_bench.clock.rules import ASYNCHRONOUS
from agn_bench.config.options import OPTIONS, Kind

if TYPE_CHECKING:
    from agn_bench.clock.timeline import Timeline
    from agn_bench.config.run import RunConfig
    from agn_bench.training.records import RunResult

POINTS_PER_WINDOW = 5
"""A curve has a point every fifth of its window, as the paper's: windows of 5 s, one every second."""


_OF_CONFIGURATIONS = {
    "optimizer": TEXT, "workers": WHOLE, "local_steps": WHOLE, "dataset": TEXT, "model": TEXT, "local_optimizer": TEXT,
    "learning_rate": TEXT, "momentum": TEXT, "alpha": TEXT, "batch_size": WHOLE, "epochs": NUMBER, "delays": TEXT,
    "data_split": TEXT, "reset_local_optimizer": FLAG, "window_s": NUMBER, "eval_every": WHOLE,
}  # fmt: skip
_OF_RUNS = {
    "run_id": TEXT, "experiment": TEXT, "in_experiment": FLAG, "seed": WHOLE, "configuration": TEXT, "status": TEXT,
    "exchanges": WHOLE, "gradient_steps": WHOLE, "sim_time_s": NUMBER, "last_batch_accuracy": NUMBER,
    "train_accuracy": NUMBER, "test_accuracy": NUMBER, "best_test_accuracy": NUMBER, "mean_staleness": NUMBER,
    "p95_staleness": NUMBER, "mean_queue_wait_s": NUMBER, "server_utilization": NUMBER, "diverged_exchange": WHOLE,
    "diverged_s": NUMBER, "reached_s": NUMBER, "versions": WHOLE, "dropped": WHOLE, "interrupted": WHOLE,
    "stranded": WHOLE,
}  # fmt: skip
"""What a run is called, and what it measured."""
_OF_OPTIONS = {
    name: {Kind.WHOLE: WHOLE, Kind.NUMBER: NUMBER, Kind.SECONDS: NUMBER}.get(option.kind, TEXT)
    for name, option in OPTIONS.items()
}
"""Options that came later have columns of their own names where they are not at their defaults (see _numbers)."""

SUMMARY_TYPES = {**_OF_OPTIONS, **_OF_CONFIGURATIONS, **_OF_RUNS}
"""What the columns of summary.csv hold. The numbers that optimizers, local optimizers and data splits declare are text
as they stand, for one of them may be a list or a word."""
CURVE_TYPES = {
    "run_id": TEXT, "time_s": NUMBER, "gradient_steps": WHOLE, "train_loss": NUMBER, "train_accuracy": NUMBER,
    "train_accuracy_std": NUMBER, "test_accuracy": NUMBER,
}  # fmt: skip
"""What the columns of curve.csv and curves.csv.gz hold."""

CONFIGURATION_COLUMNS = [*_OF_CONFIGURATIONS]
"""Columns of summary.csv that describe a configuration, in every run's; numbers that others declare follow them.
`configuration`, the hash without the seed, tells it apart."""

FIRST_NUMBERS = {"local_optimizer": ("learning_rate", "momentum"), "optimizer": ("alpha",)}
"""Numbers that have columns in every run's file, blank where they do not apply, as in the first edition's. All others
follow from what declares them.
"""

OWNERS = {"optimizer": "optimizer_", "local_optimizer": "local_", "data_split": "split_"}
"""Columns of what declares numbers, and what the columns of these begin with; an optimizer's where need be."""
_OF_OTHERS = (OWNERS["local_optimizer"], OWNERS["data_split"])

NAMES = ("optimizer", "dataset", "model", "local_optimizer", "delays", "data_split", "shares", "until")
"""Columns of a configuration whose values are names, and need no word that says of what."""


def configuration_columns(columns: Iterable[str]) -> list[str]:
    """Those of a summary's columns that describe a configuration."""
    return [
        *CONFIGURATION_COLUMNS,
        *(name for name in columns if name not in _OF_CONFIGURATIONS and name not in _OF_RUNS),
    ]


def belongs_to_the_optimizer(column: str) -> bool:
    """Whether a configuration's column is a number of its optimizer, so that it says something among its runs only."""
    return column in FIRST_NUMBERS["optimizer"] or not (column in SUMMARY_TYPES or column.startswith(_OF_OTHERS))


def configuration(config: RunConfig) -> dict[str, Any]:
    """The columns of summary.csv that say what was run, but for the seed."""
    numbers = {**dict.fromkeys(chain(*FIRST_NUMBERS.values())), **_numbers(config)}
    return {
        "optimizer": config.optimizer.name,
        "workers": config.workers,
        "local_steps": config.local_steps,
        "dataset": config.dataset.name,
        "model": config.model.name,
        "local_optimizer": config.local_optimizer.name,
        "learning_rate": numbers.pop("learning_rate"),
        "momentum": numbers.pop("momentum"),
        "alpha": numbers.pop("alpha"),
        "batch_size": config.batch_size,
        "epochs": config.epochs,
        "delays": config.delays.name,
        "data_split": config.data_split.name,
        "reset_local_optimizer": config.reset_local_optimizer,
        "window_s": config.window,
        "eval_every": config.eval_every,
        **numbers,
    }


def summary(result: RunResult) -> dict[str, Any]:
    """The columns of summary.csv after run_id and experiment."""
    config, timeline, replay = result.config, result.timeline, result.replay
    entry = config.dataset.thing
    chance = 1 / entry.classes
    what = configuration(config)
    seconds = timeline.end_s if result.diverged_s is None else result.diverged_s
    kept = replay.exchanges
    diverged = replay.diverged_exchange is not None
    tested = [count / entry.test_images for _, count in replay.evaluations]
    last_of_worker = {
        int(worker): int(right[-1]) for worker, right in zip(timeline.worker, replay.correct, strict=False)
    }
    last_batch = float(np.mean(list(last_of_worker.values()))) / config.batch_size
    return {
        **{name: what.pop(name) for name in ("optimizer", "workers", "local_steps")},
        "seed": config.seed,
        **{name: what.pop(name) for name in ("dataset", "model", "local_optimizer", "learning_rate", "batch_size")},
        **{name: what.pop(name) for name in ("epochs", "delays")},
        "status": result.status,
        "exchanges": kept,
        "gradient_steps": result.gradient_steps,
        "sim_time_s": timeline.end_s,
        "last_batch_accuracy": chance if diverged else last_batch,
        "train_accuracy": chance if result.train_correct is None else result.train_correct / entry.train_images,
        "test_accuracy": chance if diverged else tested[-1],
        "best_test_accuracy": max(tested),
        "mean_staleness": float(timeline.staleness[:kept].mean()),
        "p95_staleness": float(np.percentile(timeline.staleness[:kept], 95)),
        "mean_queue_wait_s": float(timeline.queue_wait_s[:kept].mean()),
        "server_utilization": timeline.server_busy_s(kept) / seconds / config.channels if seconds else None,
        "configuration": config.configuration,
        **{name: what.pop(name) for name in ("momentum", "alpha", "data_split", "reset_local_optimizer", "window_s")},
        "eval_every": what.pop("eval_every"),
        "diverged_exchange": replay.diverged_exchange,
        "diverged_s": result.diverged_s,
        **what,
        **_of_rules(result),
    }


def _of_rules(result: RunResult) -> dict[str, Any]:
    """What only runs have whose workers wait, or whose commits do not all count; and when a target was reached."""
    config, timeline, kept = result.config, result.timeline, result.replay.exchanges
    found: dict[str, Any] = {}
    if config.until is not None:
        found["reached_s"] = timeline.end_s if result.replay.reached else None
    if config.rules != ASYNCHRONOUS:
        found |= {
            "versions": int(timeline.version[kept - 1]),
            "dropped": int(kept - timeline.accepted[:kept].sum()),
            "interrupted": int((timeline.interrupted.answered < kept).sum()),
            "stranded": timeline.stranded,
        }
    return found


def _numbers(config: RunConfig) -> dict[str, Any]:
    """The columns of the numbers of the configuration's optimizer, local optimizer and data split, and of options that
    came later and are not at their defaults.

    An optimizer's number has its own name, or `optimizer_` before it where another column is or may be called so. A
    local optimizer's number has `local_` before it, but for those of the first edition, and a data split's `split_`. So
    no two are called the same.
    """
    owners = {name: getattr(config, name) for name in ("local_optimizer", "data_split", "optimizer")}
    own = {number_column(owner, name): _cell(value) for owner in owners for name, value in owners[owner].numbers}
    later = {
        one.name: getattr(config, one.name)
        for one in fields(config)
        if one.default is not MISSING and getattr(config, one.name) != one.default
    }
    return {**own, **later}


def number_column(owner: str, name: str) -> str:
    """The column of a number that something declares: the optimizer, the local optimizer or the data split."""
    if owner == "optimizer":
        return f"optimizer_{name}" if _is_taken(name) else name
    return name if name in FIRST_NUMBERS.get(owner, ()) else OWNERS[owner] + name


def is_number(column: str) -> bool:
    """Whether a configuration's column is a number that its optimizer, local optimizer or data split declares."""
    return column not in SUMMARY_TYPES or column in chain(*FIRST_NUMBERS.values())


def _is_taken(name: str) -> bool:
    if name in FIRST_NUMBERS["optimizer"]:
        return False
    return name in SUMMARY_TYPES or name.startswith((*_OF_OTHERS, OWNERS["optimizer"]))


def _cell(value: Any) -> Any:
    """A list of numbers is a text."""
    return ",".join(map(str, value)) if isinstance(value, tuple) else value


def curve(result: RunResult) -> dict[str, np.ndarray]:
    """The columns of curve.csv after run_id; a run that diverged has points up to there."""
    config, timeline, replay = result.config, result.timeline, result.replay
    kept = replay.exchanges
    test_images = config.dataset.thing.test_images
    correct = dict(replay.evaluations)
    return learning_curve(
        timeline.step_times_s()[:kept],
        replay.losses,
        replay.correct,
        batch_size=config.batch_size,
        window=config.window,
        end_s=timeline.end_s if result.diverged_s is None else result.diverged_s,
        evaluations=[(time_s, correct[count] / test_images) for time_s, count in result.looks if count in correct],
    )


def commits(timeline: Timeline) -> dict[str, np.ndarray]:
    """The columns of commits.csv: one row per exchange, in the order applied."""
    return {
        "exchange": np.arange(timeline.exchanges),
        "worker": timeline.worker,
        "start_s": timeline.start_s,
        "compute_end_s": timeline.compute_end_s,
        "arrive_s": timeline.arrive_s,
        "served_s": timeline.served_s,
        "applied_s": timeline.applied_s,
        "resume_s": timeline.resume_s,
        "staleness": timeline.staleness,
        "queue_wait_s": timeline.queue_wait_s,
        "phase": timeline.phase,
        "steps": timeline.steps,
        "pulled": timeline.pulled,
        "version": timeline.version,
        "accepted": timeline.accepted.astype(np.int8),
        "answered": timeline.answered,
    }


def interrupted(timeline: Timeline) -> dict[str, np.ndarray]:
    """The columns of interrupted.csv: one row per phase that its worker was told to give up."""
    lost = timeline.interrupted
    return {
        "worker": lost.worker,
        "phase": lost.phase,
        "start_s": lost.start_s,
        "end_s": lost.end_s,
        "steps": lost.steps,
        "answered": lost.answered,
    }


def learning_curve(
    step_times_s: np.ndarray,
    losses: np.ndarray,
    correct: np.ndarray,
    *,
    batch_size: int,
    window: float,
    end_s: float,
    evaluations: list[tuple[float, float]],
) -> dict[str, np.ndarray]:
    """The columns of curve.csv: all workers' mini-batches in [t, t + window), for t = 0, window / 5, …, past `end_s`.

    Args:
        step_times_s: when each mini-batch was done, any shape; `losses` and `correct` (images) have the same.
        evaluations: (time in s, test accuracy); each stands at the first point not before it, of several the last.

    Returns:
        time_s, gradient_steps (done by then), train_loss, train_accuracy, train_accuracy_std (population, over the
        mini-batches), test_accuracy; NaN where there is nothing to average.
    """
    last = max(0, int(end_s * POINTS_PER_WINDOW / window) - 1)
    while last * window / POINTS_PER_WINDOW < end_s:  # by the grid's own arithmetic: the quotient may be rounded over
        last += 1
    time_s = np.arange(last + 1) * window / POINTS_PER_WINDOW
    stamps = step_times_s.ravel()
    bins = np.searchsorted(time_s, stamps, side="right") - 1
    right = correct.ravel().astype(np.int64)

    def windowed(values: np.ndarray) -> np.ndarray:
        """Sum over the mini-batches of each window; integers exactly, and a NaN spoils only its own windows."""
        sums = np.zeros(len(time_s) + POINTS_PER_WINDOW - 1, values.dtype)
        np.add.at(sums, bins, values)
        return np.lib.stride_tricks.sliding_window_view(sums, POINTS_PER_WINDOW).sum(axis=1)

    count, total, squares = windowed(np.ones_like(right)), windowed(right), windowed(right**2)
    with np.errstate(invalid="ignore", divide="ignore"):
        return {
            "time_s": time_s,
            "gradient_steps": np.searchsorted(np.sort(stamps), time_s, side="right"),
            "train_loss": windowed(losses.ravel().astype(np.float64)) / count,
            "train_accuracy": total / (count * batch_size),
            "train_accuracy_std": np.sqrt(count * squares - total**2) / (count * batch_size),
            "test_accuracy": _at_first_point(time_s, evaluations),
        }


def _at_first_point(time_s: np.ndarray, evaluations: list[tuple[float, float]]) -> np.ndarray:
    column = np.full(len(time_s), np.nan)
    for when, accuracy in evaluations:
        column[np.searchsorted(time_s, when)] = accuracy
    return column
