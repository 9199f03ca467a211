"""The tables of the page, with the definitions of `agn-bench table` (see ../tables.py and ../grids.py)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np

from agn_bench.analysis import grids, tables
from agn_bench.analysis.comparison import (
    MANY,
    Configuration,
    Runs,
    apart_by,
    areas,
    common_horizon_s,
    crossed,
    groups,
    varying,
)
from agn_bench.analysis.measures import Measured, heading
from agn_bench.analysis.report.cells import Cell, Json, number, scale, shown
from agn_bench.analysis.tables import Row, cell, seconds, seeds_shown, starred, time_cell
from agn_bench.analysis.values import in_order, shown_value, worded
from agn_bench.base.inputs import BadInput, printable
from agn_bench.config.selection import SHORT
from agn_bench.training.columns import belongs_to_the_optimizer, is_measured, is_of_center

LEVELS = (0.8, 0.9, 0.95)
"""Fractions to which times are shown, as `agn-bench table` does by default."""
_PARTS = (0.25, 0.5, 0.9)
"""Parts of the time of the shortest run: where values are shown."""
_FILLED = 0.75
"""The part of the cells of a grid that must be there for a map of it."""
_LAST = "last_batch_"


@dataclass(frozen=True)
class Column:
    """A column of a table: what stands above it, and what that means."""

    head: str
    says: str = ""

    def as_json(self) -> Json:
        return {"head": self.head, "says": self.says}


def times_shown(found: Sequence[Configuration]) -> list[float]:
    """Times at which values are shown, of two digits, in s: after a quarter, half and nine tenths of the shortest
    run.
    """
    ends = [part * common_horizon_s(found) for part in _PARTS]
    return [*dict.fromkeys(float(f"{_down(end):g}") for end in ends if end > 0)]


def _down(value: float) -> float:
    """A number with its first two digits, the others 0."""
    power: float = 10.0 ** (math.floor(math.log10(value)) - 1)
    return math.floor(value / power) * power


def configurations(found: Sequence[Configuration]) -> Json:
    """The table of configurations: a row each, whose first cell is the configuration's place among all."""
    measure, at = found[0].measure, times_shown(found)
    reach = LEVELS if measure.is_fraction else ()
    apart = groups(found, apart_by(found))
    places = {str(one.columns["configuration"]): place for place, one in enumerate(found)}
    rows = []
    for name, group in apart.items():
        for one, row in zip(group, tables.measure_table(group, at, reach), strict=True):
            place = places[str(one.columns["configuration"])]
            rows.append([place, *([name] if len(apart) > 1 else []), *_cells(one, row, at, reach)])
    columns = _columns(found[0], at, reach)
    if len(apart) > 1:
        columns.insert(0, Column("cell", "Configurations are ranked, and set against the first, within a cell."))
    untils = sorted({common_horizon_s(group) for group in apart.values()})
    span = f"{untils[0]:.1f} s" if len(untils) == 1 else f"{untils[0]:.1f} to {untils[-1]:.1f} s, by cell"
    edges = [str(edge) for group in apart.values() for edge in tables.edges(group)]
    return {
        "columns": [column.as_json() for column in columns],
        "rows": rows,
        "area": next(place for place, column in enumerate(columns) if column.head == measure.headed("area")),
        "until": f"The area is the mean {measure.name} over the first {span}{measure.direction}.",
        "edges": [f"* {edge}." for edge in edges],
    }


def _columns(one: Configuration, at: Sequence[float], reach: Sequence[float]) -> list[Column]:
    measure, center = one.measure, one.center
    columns = [
        Column("configuration", "* is the best of its optimizer, at the least or largest value that was tried."),
        Column("seeds", "How many runs there are, and how many of them diverged."),
    ]
    if center is not None:
        columns.append(Column(center.headed(f"final {center.name}"), "What the center came to, mean ± deviation."))
    columns += [
        Column("seconds", "Simulated seconds until the run's end."),
        Column(measure.headed("area"), "The mean of the curve up to the end of the shortest run."),
        *(Column(measure.headed(f"at {time_s:g} s"), f"The {measure.name} at this simulated time.") for time_s in at),
        *(Column(f"s to {measure.level(target)}", "Simulated seconds until it is first reached.") for target in reach),
        Column(f"behind ({measure.difference}, 95 %)", "How much worse the area is than the best one's, seed by seed."),
    ]
    return columns


def _cells(one: Configuration, row: Row, at: Sequence[float], reach: Sequence[float]) -> list[Cell]:
    measure, center, by = one.measure, one.center, scale(one.measure)
    cells: list[Cell] = [starred(one, row), shown(row["seeds"], seeds_shown(row))]
    if center is not None:
        cells.append(shown(scale(center) * row[f"{center.column}_mean"], cell(row, center.column, center.value)))
    cells.append(shown(row["sim_time_s_mean"], cell(row, "sim_time_s", seconds)))
    cells.append(shown(by * row["area_mean"], cell(row, "area", measure.value)))
    for time_s in at:
        name = f"{measure.alone}_at_{time_s:g}s"
        cells.append(shown(by * row[f"{name}_mean"], cell(row, name, measure.value)))
    cells += [shown(row[f"time_to_{target:g}_s_mean"], time_cell(row, f"{target:g}")) for target in reach]
    behind = cell(row, "area_behind", measure.value, spread="half_width_95")
    return [*cells, shown(by * row["area_behind_mean"], behind)]


_OF_A_RUN = {
    "status": ("status", "Whether the run was done, or diverged."),
    "exchanges": ("exchanges", "Commits that were answered or dropped."),
    "gradient_steps": ("gradient steps", "Steps of all workers together."),
    "sim_time_s": ("seconds", "Simulated, until the run's end."),
    "mean_staleness": ("mean staleness", "Versions that the center gained between a worker's pull and its commit."),
    "p95_staleness": ("95 % staleness", "95 of 100 commits were at most as stale."),
    "mean_queue_wait_s": ("wait (s)", "How long a commit waited for the server."),
    "server_utilization": ("server busy (%)", "Share of the time that the server was busy."),
    "dropped": ("dropped", "Commits that did not count."),
    "interrupted": ("interrupted", "Phases that were given up."),
    "diverged_s": ("diverged at (s)", "When a loss or the center was no longer finite."),
}


def runs_table(runs: Runs, found: Sequence[Configuration]) -> Json:
    """The table of runs: a row of summary.csv each, whose first cell is its configuration's place among all."""
    places = {str(one.columns["configuration"]): place for place, one in enumerate(found)}
    summary = runs.summary
    differ = [name for name in varying(found) if not belongs_to_the_optimizer(name)]
    measured = [str(name) for name in summary if is_of_center(name) or str(name).startswith(_LAST)]
    names = ["run_id", *differ, "seed", *measured, *_OF_A_RUN]
    names = [name for name in dict.fromkeys(names) if name in summary and summary[name].notna().any()]
    rows = [
        [places[str(run["configuration"])], *(_of_run(name, run[name]) for name in names)]
        for run in summary.to_dict("records")
    ]
    return {"columns": [_column_of_run(name).as_json() for name in names], "rows": rows}


def _column_of_run(name: str) -> Column:
    if name in _OF_A_RUN:
        return Column(*_OF_A_RUN[name])
    if is_measured(name):
        return Column(
            heading(name),
            "What the final center came to." if is_of_center(name) else "The mean over the last mini-batches.",
        )
    return Column(SHORT.get(name, name.replace("_", " ")))


def _of_run(name: str, value: Any) -> Cell:
    if value is None or value != value:  # blank
        return None
    if is_measured(name):
        measure = Measured(name)
        return shown(scale(measure) * value, measure.value(value))
    if name == "server_utilization":
        return shown(100 * value, f"{100 * value:.1f}")
    if isinstance(value, float | np.floating):
        return number(value)
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        return int(value)
    return printable(str(value))


Grid = dict[tuple[int, int], Configuration]
"""By workers and local steps."""


def maps(found: Sequence[Configuration]) -> Json:
    """Where configurations that differ in nothing else form a grid of workers and local steps: their values in it.

    Returns:
        A table for each: its `title`, the axes `workers` and `steps`, and `layers`, each with a `title`, what it `says`
        and `values`, a row for each number of local steps; and the place `of` a configuration in it.
    """
    every = _grids(found)
    if not every:
        return []
    until = common_horizon_s([one for own in every.values() for one in own.values()])
    return [_map(title, own, until) | {"of": _place(found, own)} for title, own in every.items()]


def _place(found: Sequence[Configuration], own: Grid) -> int:
    """Which of all configurations a grid has in some cell."""
    one = next(iter(own.values()))
    return next(place for place, other in enumerate(found) if other is one)


def _grids(found: Sequence[Configuration]) -> dict[str, Grid]:
    others = [name for name in varying(found) if name not in ("workers", "local_steps")]
    ordered = sorted(found, key=lambda one: [in_order(one.columns[name]) for name in others])
    every = {}
    for _, own in groupby(ordered, key=lambda one: [in_order(one.columns[name]) for name in others]):
        cells = {(int(one.columns["workers"]), int(one.columns["local_steps"])): one for one in own}
        across, down = ({place[axis] for place in cells} for axis in (0, 1))
        if min(len(across), len(down)) > 1 and len(cells) >= _FILLED * len(across) * len(down):
            every[_title([*cells.values()])] = cells
    return every


def _title(own: Sequence[Configuration]) -> str:
    """What the labels of some configurations have in common."""
    parts = [one.label.split(", ") for one in own]
    return ", ".join(part for part in parts[0] if all(part in other for other in parts))


def _map(title: str, cells: Grid, until: float) -> Json:
    measure = next(iter(cells.values())).measure
    across, down = (sorted({place[axis] for place in cells}) for axis in (0, 1))
    by = scale(measure)

    def layer(name: str, says: str, value: Any) -> Json:
        values = [
            [None if (n, steps) not in cells else number(by * value(cells[n, steps])) for n in across] for steps in down
        ]
        return {"title": measure.headed(name), "says": says, "values": values}

    layers = [
        layer(
            "area",
            f"The mean {measure.name} over the first {until:.1f} s, which all of these runs last; the mean over seeds.",
            lambda one: float(np.mean([*areas(one, until).values()])),
        )
    ]
    ends = measure.column if measure.is_of_center else _LAST + measure.alone
    if all(ends in one.runs and one.runs[ends].notna().all() for one in cells.values()):
        what = "the final center" if measure.is_of_center else "all workers' last mini-batches"
        says = f"The {measure.name} of {what}, when all work is done; the mean over seeds."
        layers.append(layer("at the end", says, lambda one: float(one.runs[ends].mean())))
    digits = 2 if measure.is_fraction else None
    return {
        "title": title, "workers": across, "steps": down, "layers": layers, "digits": digits,
        "higher": measure.higher_is_better,
    }  # fmt: skip


def _grid(found: Sequence[Configuration]) -> grids.Grid:
    """The optimizers in cells, as `agn-bench table --compare optimizer` has them. Where there are many configurations,
    and no cells in which every optimizer was tried, those in which several were.

    Raises:
        BadInput: there is one optimizer.
    """
    grid = grids.grid_of("compare", found, "optimizer")
    if len(found) <= MANY or crossed(found, "optimizer"):
        return grid
    apart = [name for name in varying(found) if name != "optimizer" and not belongs_to_the_optimizer(name)]
    cells: dict[tuple[Any, ...], list[Configuration]] = {}
    for one in found:
        cells.setdefault(tuple(one.columns[name] for name in apart), []).append(one)
    several = {place: own for place, own in cells.items() if len({one.columns["optimizer"] for one in own}) > 1}
    if not several:
        return grid
    differ = [at for at, _ in enumerate(apart) if len({place[at] for place in several}) > 1]
    order = sorted(several, key=lambda place: [in_order(value) for value in place])
    named = {tuple(place[at] for at in differ): _blocks(several[place]) for place in order}
    blocks = sorted({block for own in named.values() for block in own})
    return grids.Grid("optimizer", [apart[at] for at in differ], blocks, named)


def _blocks(own: Sequence[Configuration]) -> dict[str, Configuration]:
    """A cell's configurations by optimizer, with the numbers in which an optimizer comes with several."""
    found = {}
    for one in own:
        alike = [other for other in own if other.columns["optimizer"] == one.columns["optimizer"]]
        differ = varying(alike) if len(alike) > 1 else []
        words = [shown_value(one.columns["optimizer"]), *(worded(name, one.columns[name]) for name in differ)]
        found[", ".join(words)] = one
    return found


def paired(found: Sequence[Configuration], usual: Sequence[str] = ()) -> Json:
    """The differences of areas, seed by seed, from the reference within each cell; None if there are none.

    Args:
        usual: words that no cell need say.
    """
    try:
        grid = _grid(found)
        rows = grids.paired_table(grid)
    except BadInput:
        return None
    by = scale(grid.measure)
    readable = grids.readable_paired(grid, rows)
    heads = [*readable[0]]
    intervals = [[number(by * row[name]) for name in _INTERVAL] for row in rows]
    return {
        "columns": [Column(head).as_json() for head in heads],
        "rows": [
            [_paired_cell(text, head, row, by, usual) for head, text in line.items()]
            for row, line in zip(rows, readable, strict=True)
        ],
        "intervals": intervals,
        "reference": rows[0]["reference"],
        "says": _says(grid, rows[0]["reference"]),
    }


_INTERVAL = ("area_difference_mean", "low_95", "high_95")


def _paired_cell(text: str, head: str, row: Mapping[str, Any], by: float, usual: Sequence[str]) -> Cell:
    if head.endswith("(95 %)"):
        return shown(by * row["area_difference_mean"], text)
    if head == "seeds":
        return shown(row["seeds"], text)
    if head == "configuration":
        return ", ".join(word for word in text.split(", ") if word not in usual)
    try:
        return shown(float(text), text)
    except ValueError:
        return text


def _says(grid: grids.Grid, reference: str) -> list[str]:
    measure = grid.measure
    what = f"A row is the area of the {measure.name} of one optimizer minus that of {reference}"
    interval = "The interval is that of the mean over seeds, by Student's t."
    return [
        f"{what} with the same seed, in the same cell{measure.direction}.",
        f"{reference} is the reference: {_why(grid, reference)}.",
        f"{interval} An optimizer is ahead or behind if it does not hold 0. A single seed gives no interval.",
    ]


def _why(grid: grids.Grid, reference: str) -> str:
    """Why the others are set against it (see grids.paired_table)."""
    count = {block: sum(block in own for own in grid.cells.values()) for block in grid.blocks}
    most, cells = count[reference], len(grid.cells)
    alike = sum(of == most for of in count.values())
    if alike == 1:
        return f"it was tried in {most} of {cells} cells, and no other optimizer in as many"
    best = f"it has the {'largest' if grid.measure.higher_is_better else 'least'} mean area over its cells"
    if alike == len(count):
        return f"of all optimizers {best}"
    return f"of the {alike} optimizers that were tried in most cells, {most} of {cells}, {best}"
