"""The best settings of a sweep that is there already: of each optimizer one, by what all of its seeds say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from agn_bench.analysis import comparison, tables
from agn_bench.analysis.comparison import Configuration
from agn_bench.analysis.values import worded
from agn_bench.base.inputs import BadInput
from agn_bench.config.options import MAX_SEED
from agn_bench.config.resolving import resolve_like
from agn_bench.config.run import RunConfig
from agn_bench.store.run_files import read_config
from agn_bench.studies.tuning.goal import AREA, Goal
from agn_bench.training.columns import is_number

_TUNED = ("optimizer", "local_steps", "local_optimizer", "local_steps_rule", "schedule", "clip", "weight_decay")
"""In what the settings of a sweep may differ, besides numbers; all else must be the same of all."""


@dataclass(frozen=True)
class Selected:
    """The best setting of an optimizer."""

    label: str
    config: RunConfig
    """With a seed of the sweep's."""
    tried: int
    """The number of settings of which it is the best."""
    value: float
    at_edge: tuple[str, ...]
    """The columns of the numbers of which it has the least or the largest that was tried."""
    numbers: tuple[str, ...]
    """What tells it from the others of its optimizer, to be shown."""


def selected(
    folder: Path, conditions: Sequence[str], wanted: str | None, by: str
) -> tuple[list[Selected], Goal, list[int]]:
    """The best setting of each optimizer in the order of their values, what they are compared by, and the seeds that
    they were chosen on.

    Raises:
        BadInput: the folder has no such runs, or they are not comparable.
    """
    runs = comparison.read_runs([folder]).asked().only(conditions)
    center = runs.of_center()
    measure = runs.measured(center.column if wanted is None and center is not None else wanted)
    found = comparison.configurations(runs, measure)
    for column in comparison.varying(found):
        if column not in _TUNED and not is_number(column):
            values = sorted({worded(column, one.columns[column]) for one in found})
            problem = f"its runs differ in {column} ({', '.join(values)}), and one setting cannot be the best in all"
            raise BadInput("from", folder, problem, f"`only={column}=VALUE`, which leaves runs out")
    seeds = sorted({int(seed) for one in found for seed in one.runs["seed"]})
    for one in found:
        if missing := {*seeds} - {*one.runs["seed"].astype(int)}:
            problem = f"{one.label} has no run with seed {min(missing)}, and another setting has"
            raise BadInput("from", folder, problem, "a finished sweep, or `only=KEY=VALUE`, which leaves runs out")
    goal = Goal(measure, comparison.common_horizon_s(found), float(found[0].columns["window_s"]), by)
    edges = {id(edge.configuration): tuple(edge.columns) for edge in tables.edges(found)}
    worth = {id(one): _value(one, goal) for one in found}
    best = []
    for name in dict.fromkeys(one.columns["optimizer"] for one in found):
        own = [one for one in found if one.columns["optimizer"] == name]
        first = own[goal.best([worth[id(one)] for one in own])]
        run = folder / "runs" / str(first.runs.iloc[0]["run_id"])
        config = resolve_like({}, read_config(run), run)
        differ = comparison.varying(own) if len(own) > 1 else []
        numbers = tuple(worded(column, first.columns[column]) for column in differ)
        at_edge = edges.get(id(first), ()) if by == AREA else ()
        best.append(Selected(str(name).rpartition(":")[2], config, len(own), worth[id(first)], at_edge, numbers))
    return best, goal, seeds


def fresh_seeds(count: int, taken: Sequence[int]) -> list[int]:
    """So many seeds after those that numbers were chosen on.

    Raises:
        BadInput: there are not so many.
    """
    first = max(taken) + 1
    if first + count - 1 > MAX_SEED:
        raise BadInput("seeds", count, f"the sweep has seed {max(taken)}", f"up to {MAX_SEED - first + 1} more")
    return [first + index for index in range(count)]


def _value(one: Configuration, goal: Goal) -> float:
    return float(np.mean([goal.read(curve, goal.seconds) for curve in one.curves]))
