"""What a run is followed along: simulated time, exchanges, gradient steps, or passes over the training set.

A run is measured at points of simulated time (curves.csv.gz), each of which says how many gradient steps were done by
then, by all workers together. So an axis is a way to spell a time: where a run was on it at that moment. A reading of a
run is the same along every axis, and only its place differs.

- What mini-batches say is read in windows of time. The window that begins at a time stands where the run was when it
  began.
- An evaluation stands where the run was at the point of its curve that has it, so a fifth of a window late at most.
- Where two points have the same place, since no step was done between them, the later one counts.
- A run that diverged stands, at its divergence, at the steps that it has done. Nobody knows how many it would have made
  by its end, up to which it counts as chance. Where its work was shared out equally that is its work. Else it is
  reckoned at its rate up to the divergence.

Knows numbers and rows of our files, and no figures.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from agn_bench.analysis.metrics import Curve
from agn_bench.base.inputs import BadInput, choose
from agn_bench.problems import PROBLEMS
from agn_bench.problems.catalogue import DATASETS
from agn_bench.training.columns import OWNERS

if TYPE_CHECKING:
    import pandas as pd

Row = Mapping[Any, Any]
"""A run's row of summary.csv."""


@dataclass(frozen=True)
class Axis:
    """What curves are drawn against."""

    name: str
    """By which it is chosen."""
    label: str
    """What stands beside it in a figure, with its unit."""
    per_step: Callable[[Row, int | None], float] | None
    """How far a gradient step takes a run, by its row and the size of its training set; None: it is time itself.
    """


@dataclass(frozen=True)
class Course:
    """Where a run is on an axis, at its times."""

    time_s: np.ndarray
    """From the run's beginning to its end, and beyond where its last point is."""
    places: np.ndarray
    """On the axis at these times; they never go back."""
    end: float
    """Where the run ends, or would have ended if it diverged."""
    diverged: float | None = None
    """Where it diverged."""
    is_time: bool = True

    def curve(self, over_time: Curve) -> Curve:
        """A run's curve over simulated time (metrics.counted_curve), along the axis."""
        if self.is_time:
            return over_time
        times, values = over_time
        places = np.interp(times, self.time_s, self.places)
        last = np.append(places[1:] > places[:-1], True) if len(places) else np.empty(0, bool)
        return places[last], values[last]


def axis(option: str, name: str) -> Axis:
    """The axis of a name.

    Raises:
        BadInput: there is none.
    """
    return AXES[choose(option, name, AXES)]


def course(axis: Axis, run: Row, points: Mapping[Any, Any] | pd.DataFrame, examples: int | None = None) -> Course:
    """Where a run is on an axis at the times of its points.

    Args:
        run: its row of summary.csv.
        points: its rows of curves.csv.gz.
        examples: of its training set (see shipped_examples); without it there are no epochs.

    Raises:
        BadInput: the run has no such axis.
    """
    times, end_s = np.asarray(points["time_s"]), float(run["sim_time_s"])
    diverged_s = float(run["diverged_s"]) if run["status"] == "diverged" else None
    if axis.per_step is None:
        return Course(times, times, end_s, diverged_s)
    per_step = axis.per_step(run, examples)
    steps, done = np.asarray(points["gradient_steps"], float), float(run["gradient_steps"])
    if diverged_s is None:
        return Course(times, per_step * steps, per_step * done, is_time=False)
    before, end = times < diverged_s, max(done, _steps_to_the_end(run, examples))
    return Course(
        np.concatenate([times[before], [diverged_s, end_s]]),
        per_step * np.concatenate([steps[before], [done, end]]),
        per_step * end,
        per_step * done,
        is_time=False,
    )


def _steps_to_the_end(run: Row, examples: int | None) -> float:
    """How many gradient steps a run that diverged would have made."""
    epochs, workers, local_steps = run["epochs"], run["workers"], run["local_steps"]
    if examples and np.isfinite(epochs) and run.get("shares") != "open":
        phases = (
            round(epochs * examples / run["batch_size"]) // workers // local_steps
        )  # whole ones of a worker's share
        return float(workers * phases * local_steps)
    return float(run["gradient_steps"] * run["sim_time_s"] / run["diverged_s"])


def _exchange(run: Row, examples: int | None) -> float:
    """The share of an exchange that a step is.

    Raises:
        BadInput: they have different numbers of steps.
    """
    if run["exchanges"] * run["local_steps"] == run["gradient_steps"]:
        return 1 / float(run["local_steps"])
    problem = f"the phases of {run['run_id']} do not all have {run['local_steps']} steps, and its curve counts steps"
    raise BadInput("x", "exchanges", problem, _others("exchanges"))


def _epoch(run: Row, examples: int | None) -> float:
    """The share of the training set that a step is.

    Raises:
        BadInput: nobody knows how large that is.
    """
    if examples:
        return float(run["batch_size"]) / examples
    problem = f"nothing says how many examples {run['run_id']} trains on, since {_subject(run)} is a user's"
    raise BadInput("x", "epochs", problem, _others("epochs"))


def _subject(run: Row) -> str:
    named = (run.get(column) for column in ("dataset", "problem", "model"))
    return next((name for name in named if isinstance(name, str)), "its problem")


def _others(name: str) -> str:
    *some, last = (other for other in AXES if other != name)
    return f"{', '.join(some)} or {last}; or `only=KEY=VALUE`, which leaves runs out"


AXES: Mapping[str, Axis] = {
    "time": Axis("time", "simulated seconds", None),
    "exchanges": Axis("exchanges", "exchanges", _exchange),
    "steps": Axis("steps", "gradient steps of all workers", lambda run, examples: 1.0),
    "epochs": Axis("epochs", "passes over the training set", _epoch),
}
"""By name. An exchange here is λ steps made, so it counts as far as its phase has come."""
TIME = AXES["time"]


def shipped_examples(run: Row) -> int | None:
    """How many examples a run trains on, without loading them; None if its problem or its data set is a user's.

    Args:
        run: its row of summary.csv.
    """
    dataset, problem = (run.get(column) for column in ("dataset", "problem"))
    if isinstance(problem, str) and problem not in PROBLEMS:
        return None
    if isinstance(dataset, str):
        return int(DATASETS[dataset].train_examples) if dataset in DATASETS else None
    begin = OWNERS["problem"]
    numbers = {
        str(name): value for name, value in run.items() if str(name).startswith(begin) and isinstance(value, str)
    }
    spelled = [f":{name.removeprefix(begin)}={value}" for name, value in numbers.items()]
    return int(PROBLEMS.choose(f"{problem}{''.join(spelled)}").thing.examples)


def asked_examples(run: Row, config: Mapping[str, Any]) -> int | None:
    """How many examples a run trains on, by its work: its row says how many epochs were asked for, its configuration
    how many steps. None if its time alone ends it.

    Args:
        config: as in run.json and provenance.json.
    """
    steps = config.get("gradient_steps")
    return round(steps * run["batch_size"] / run["epochs"]) if steps and np.isfinite(run["epochs"]) else None
