"""What a run says, as columns: its summary, its curve over simulated time, its commits."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, fields
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from agn_bench.base.chosen import Chosen
from agn_bench.base.tabular import FLAG, NUMBER, TEXT, WHOLE
from agn_bench.clock.rules import ASYNCHRONOUS
from agn_bench.config.options import OPTIONS, Kind
from agn_bench.problems import LOSS, Problem

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
    "exchanges": WHOLE, "gradient_steps": WHOLE, "sim_time_s": NUMBER, "lower_is_better": TEXT,
    "mean_staleness": NUMBER, "p95_staleness": NUMBER, "mean_queue_wait_s": NUMBER, "server_utilization": NUMBER,
    "diverged_exchange": WHOLE, "diverged_s": NUMBER, "reached_s": NUMBER, "versions": WHOLE, "dropped": WHOLE,
    "applied": WHOLE, "interrupted": WHOLE, "stranded": WHOLE, "lost": WHOLE, "lost_steps": WHOLE,
}  # fmt: skip
"""What a run is called, and what it came to, but for the measures of its problem (see is_measured)."""
_MEASURED = re.compile("(last_batch|train|test|center|best_test|best_center)_[a-z][a-z0-9_]*")
"""Columns of measures: of the last mini-batches, of all mini-batches or the training set, of the test set, of a center
that is evaluated without one; and the best evaluation."""
OF_CENTER = ("test_", "center_")
"""What the columns of measures of the center begin with: over the test set, and of a center alone."""
_OF_OPTIONS = {
    name: {Kind.WHOLE: WHOLE, Kind.NUMBER: NUMBER, Kind.SECONDS: NUMBER}.get(option.kind, TEXT)
    for name, option in OPTIONS.items()
}
"""Options that came later have columns of their own names where they are not at their defaults (see _numbers)."""


class _Types(dict[str, str]):
    """What columns hold, by name; those of measures hold numbers, whatever the problem calls them."""

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name) or is_measured(name)

    def __missing__(self, name: str) -> str:
        if is_measured(name):
            return NUMBER
        raise KeyError(name)


SUMMARY_TYPES = _Types({**_OF_OPTIONS, **_OF_CONFIGURATIONS, **_OF_RUNS})
"""What the columns of summary.csv hold. The numbers that optimizers, local optimizers, data splits and problems declare
are text as they stand, for one of them may be a list or a word."""
CURVE_TYPES = _Types({"run_id": TEXT, "time_s": NUMBER, "gradient_steps": WHOLE})
"""What the columns of curve.csv and curves.csv.gz hold."""

CONFIGURATION_COLUMNS = [*_OF_CONFIGURATIONS]
"""Columns of summary.csv that describe a configuration, in every run's; numbers that others declare follow them.
`configuration`, the hash without the seed, tells it apart."""

FIRST_NUMBERS = {"local_optimizer": ("learning_rate", "momentum"), "optimizer": ("alpha",)}
"""Numbers that have columns in every run's file, blank where they do not apply, as in the first edition's. All others
follow from what declares them.
"""

OWNERS = {
    "optimizer": "optimizer_",
    "local_optimizer": "local_",
    "data_split": "split_",
    "problem": "problem_",
    "schedule": "schedule_",
    "local_steps_rule": "rule_",
}
"""Columns of what declares numbers, and what the columns of these begin with; an optimizer's where need be."""
_OF_OTHERS = tuple(prefix for owner, prefix in OWNERS.items() if owner != "optimizer")

NAMES = (
    "optimizer",
    "problem",
    "dataset",
    "model",
    "local_optimizer",
    "delays",
    "data_split",
    "schedule",
    "local_steps_rule",
    "shares",
    "until",
    "products",
)
"""Columns of a configuration whose values are names, and need no word that says of what."""


def configuration_columns(columns: Iterable[str]) -> list[str]:
    """Those of a summary's columns that describe a configuration."""
    return [
        *CONFIGURATION_COLUMNS,
        *(
            name
            for name in columns
            if name not in _OF_CONFIGURATIONS and name not in _OF_RUNS and not is_measured(name)
        ),
    ]


def result_columns(columns: Iterable[str]) -> list[str]:
    """Those of a summary's columns that say in numbers what a run came to."""
    return [name for name in columns if is_measured(name) or (name != "seed" and _OF_RUNS.get(name) in (WHOLE, NUMBER))]


def is_measured(column: object) -> bool:
    """Whether a column of summary.csv or of curves.csv.gz is of a measure."""
    return isinstance(column, str) and _MEASURED.fullmatch(column) is not None


def is_of_center(column: object) -> bool:
    """Whether it is a measure of the center: over the test set, or of the center alone."""
    return is_measured(column) and str(column).startswith(OF_CENTER)


def measured_in_training(measure: str) -> str:
    """The column of a measure of the workers' mini-batches."""
    return f"train_{measure}"


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
        "dataset": None if config.dataset is None else config.dataset.name,
        "model": None if config.model is None else config.model.name,
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
    what = configuration(config)
    seconds = timeline.end_s if result.diverged_s is None else result.diverged_s
    kept = replay.exchanges
    return {
        **{name: what.pop(name) for name in ("optimizer", "workers", "local_steps")},
        "seed": config.seed,
        **{name: what.pop(name) for name in ("dataset", "model", "local_optimizer", "learning_rate", "batch_size")},
        **{name: what.pop(name) for name in ("epochs", "delays")},
        "status": result.status,
        "exchanges": kept,
        "gradient_steps": result.gradient_steps,
        "sim_time_s": timeline.end_s,
        **_measured(result),
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
        **_directions(config.trains),
    }


def _measured(result: RunResult) -> dict[str, float]:
    """The columns of summary.csv for each measure: the last mini-batches of all workers on average, the final center
    over the training set, the final center, the best evaluation. A run that diverged counts as its problem says.
    """
    replay, problem = result.replay, result.config.trains
    diverged = replay.diverged_exchange is not None
    found: dict[str, float] = {}
    for name, measure in problem.measures.items():
        column = problem.column(name)
        if name in replay.measured or name == LOSS:
            found[f"last_batch_{name}"] = measure.if_diverged if diverged else _last_of_workers(result, name)
        if result.trained or (diverged and not problem.evaluates_itself):
            found[measured_in_training(name)] = measure.if_diverged if diverged else result.trained[name]
        tested = [evaluation.values[name] for evaluation in replay.evaluations]
        found[column] = measure.if_diverged if diverged else tested[-1]
        found[f"best_{column}"] = (max if measure.higher_is_better else min)(tested)
    return found


def _last_of_workers(result: RunResult, measure: str) -> float:
    """A measure of every worker's last mini-batch, the mean over workers."""
    timeline, replay, config = result.timeline, result.replay, result.config
    per_step = replay.losses if measure == LOSS else replay.measured[measure]
    rows = zip(timeline.worker, timeline.steps, per_step, strict=False)
    last = {int(worker): steps[count - 1].item() for worker, count, steps in rows}
    return float(np.mean(list(last.values()))) / (1 if measure == LOSS else config.batch_size)


def _directions(problem: Problem) -> dict[str, str]:
    """The columns of which less is better, if there are some."""
    lower = [problem.column(name) for name, measure in problem.measures.items() if not measure.higher_is_better]
    return {"lower_is_better": " ".join(lower)} if lower else {}


def _of_rules(result: RunResult) -> dict[str, Any]:
    """What only runs have whose workers wait, or whose commits do not all count; and when a target was reached."""
    config, timeline, kept = result.config, result.timeline, result.replay.exchanges
    found: dict[str, Any] = {}
    if config.until is not None:
        found["reached_s"] = timeline.end_s if result.replay.reached else None
    if result.replay.applied is not None:
        found["applied"] = result.replay.applied
    if config.rules != ASYNCHRONOUS or not timeline.plain:
        found |= {
            "versions": int(timeline.version[kept - 1]),
            "dropped": int(kept - timeline.accepted[:kept].sum()),
            "interrupted": int(((timeline.interrupted.answered < kept) & ~timeline.interrupted.failed).sum()),
            "stranded": timeline.stranded,
        }
    if timeline.absences is not None:
        until = timeline.end_s if kept == timeline.exchanges else float(timeline.applied_s[kept - 1])
        lost = timeline.interrupted.failed & (timeline.interrupted.end_s <= until)
        found |= {"lost": int(lost.sum()), "lost_steps": int(timeline.interrupted.steps[lost].sum())}
    return found


def _numbers(config: RunConfig) -> dict[str, Any]:
    """The columns of the numbers of the configuration's optimizer, local optimizer and data split, and of options that
    came later and are not at their defaults.

    An optimizer's number has its own name, or `optimizer_` before it where another column is or may be called so. A
    local optimizer's number has `local_` before it, but for those of the first edition, and a data split's `split_`. So
    no two are called the same.
    """
    owners = {
        name: getattr(config, name)
        for name in ("problem", "schedule", "local_steps_rule", "local_optimizer", "data_split", "optimizer")
    }
    own = {
        number_column(owner, name): _cell(value)
        for owner, chosen in owners.items()
        if chosen is not None
        for name, value in chosen.numbers
    }
    later = {
        one.name: value.name if isinstance(value := getattr(config, one.name), Chosen) else value
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
    found = dict(replay.evaluations)
    seen = [(time_s, found[count]) for time_s, count in result.looks if count in found]
    columns = {
        config.trains.column(name): [(time_s, values[name]) for time_s, values in seen]
        for name in config.trains.measures
    }
    return learning_curve(
        timeline.of_steps(timeline.step_times_s()[:kept]),
        timeline.of_steps(replay.losses),
        {name: timeline.of_steps(sums) for name, sums in replay.measured.items()},
        batch_size=config.batch_size,
        window=config.window,
        end_s=timeline.end_s if result.diverged_s is None else result.diverged_s,
        evaluations=columns,
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
    """The columns of interrupted.csv: one row per phase that its worker was told to give up, or lost."""
    lost = timeline.interrupted
    failed = {} if timeline.absences is None else {"failed": lost.failed.astype(np.int8)}
    return {
        "worker": lost.worker,
        "phase": lost.phase,
        "start_s": lost.start_s,
        "end_s": lost.end_s,
        "steps": lost.steps,
        "answered": lost.answered,
        **failed,
    }


def absences(timeline: Timeline) -> dict[str, Any]:
    """The columns of absences.csv: one row per absence that begins before the timeline ends, as profiles read it."""
    away = timeline.absences
    if away is None:
        return {}
    begun = away.from_s < timeline.end_s
    until = away.until_s[begun]
    return {
        "worker": away.worker[begun],
        "from_s": away.from_s[begun],
        "until_s": np.where(np.isinf(until), np.nan, until),
        "kind": np.where(away.fails[begun], "failure", "pause"),
    }


def learning_curve(
    step_times_s: np.ndarray,
    losses: np.ndarray,
    measured: Mapping[str, np.ndarray],
    *,
    batch_size: int,
    window: float,
    end_s: float,
    evaluations: Mapping[str, list[tuple[float, float]]],
) -> dict[str, np.ndarray]:
    """The columns of curve.csv: all workers' mini-batches in [t, t + window), for t = 0, window / 5, …, past `end_s`.

    Args:
        step_times_s: when each mini-batch was done, any shape; `losses` has the same.
        measured: of each measure the sums over the mini-batches, of the same shape.
        evaluations: by column (time in s, value); each stands at the first point not before it, of several the last.

    Returns:
        time_s, gradient_steps (done by then), train_loss, of every other measure its mean and its standard deviation
        (population, over the mini-batches), as in train_accuracy and train_accuracy_std, and the evaluations, as in
        test_accuracy; NaN where there is nothing to average.
    """
    last = max(0, int(end_s * POINTS_PER_WINDOW / window) - 1)
    while last * window / POINTS_PER_WINDOW < end_s:  # by the grid's own arithmetic: the quotient may be rounded over
        last += 1
    time_s = np.arange(last + 1) * window / POINTS_PER_WINDOW
    stamps = step_times_s.ravel()
    bins = np.searchsorted(time_s, stamps, side="right") - 1

    def windowed(values: np.ndarray) -> np.ndarray:
        """Sum over the mini-batches of each window; integers exactly, and a NaN spoils only its own windows."""
        sums = np.zeros(len(time_s) + POINTS_PER_WINDOW - 1, values.dtype)
        np.add.at(sums, bins, values)
        return np.lib.stride_tricks.sliding_window_view(sums, POINTS_PER_WINDOW).sum(axis=1)

    count = windowed(np.ones(len(stamps), np.int64))
    found = {"time_s": time_s, "gradient_steps": np.searchsorted(np.sort(stamps), time_s, side="right")}
    with np.errstate(invalid="ignore", divide="ignore"):
        found[measured_in_training(LOSS)] = windowed(losses.ravel().astype(np.float64)) / count
        for name, per_step in measured.items():
            sums = per_step.ravel().astype(np.int64 if np.issubdtype(per_step.dtype, np.integer) else np.float64)
            total, squares = windowed(sums), windowed(sums**2)
            spread = np.sqrt(np.maximum(count * squares - total**2, 0))
            found[measured_in_training(name)] = total / (count * batch_size)
            found[f"{measured_in_training(name)}_std"] = spread / (count * batch_size)
    return found | {name: _at_first_point(time_s, values) for name, values in evaluations.items()}


def _at_first_point(time_s: np.ndarray, evaluations: list[tuple[float, float]]) -> np.ndarray:
    column = np.full(len(time_s), np.nan)
    for when, value in evaluations:
        column[np.searchsorted(time_s, when)] = value
    return column
