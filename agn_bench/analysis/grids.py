"""Tables of a grid: the values of one column side by side in every cell, or set against each other seed by seed.

A cell is what all values of the column were tried with (see comparison.crossed): with `optimizer`, the same workers,
local steps, delays and so on. In what differs otherwise, as a learning rate that each optimizer has of its own, the
values of the column are as they are, and are named by it if they come with several.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from agn_bench.analysis import metrics
from agn_bench.analysis.comparison import Configuration, areas, common_horizon_s, crossed, ranked, varying
from agn_bench.analysis.measures import Measured
from agn_bench.analysis.tables import Row, cell, final_center, measure_table, paired, time_cell
from agn_bench.analysis.values import in_order, shown_value, worded
from agn_bench.base.inputs import BadInput
from agn_bench.config.selection import SHORT
from agn_bench.training.columns import is_number

AHEAD, BEHIND, UNDECIDED = "ahead", "behind", "undecided"


@dataclass(frozen=True)
class Grid:
    """Configurations by cell and by block: what stands side by side in a cell."""

    column: str
    """Whose values make the blocks."""
    cell_columns: list[str]
    blocks: list[str]
    cells: dict[tuple[Any, ...], dict[str, Configuration]]
    """By the values of `cell_columns`, and by block."""

    @property
    def measure(self) -> Measured:
        """The measure of which all curves are."""
        return next(one for own in self.cells.values() for one in own.values()).measure

    def worded_cell(self, values: tuple[Any, ...]) -> dict[str, str]:
        """A cell's values to be shown, by what they are called; as one if some are numbers that not all have."""
        pairs = [*zip(self.cell_columns, values, strict=True)]
        if any(is_number(name) for name in self.cell_columns):
            return {"configuration": ", ".join(worded(name, value) for name, value in pairs if value is not None)}
        return {SHORT.get(name, name.replace("_", " ")): shown_value(value) for name, value in pairs}


def grid_of(option: str, configurations: Sequence[Configuration], column: str) -> Grid:
    """The configurations as a grid.

    Raises:
        BadInput: they have a single value of the column.
    """
    values = {one.columns[column] for one in configurations}
    if len(values) < 2:
        raise BadInput(option, column, f"all runs have {worded(column, *values)}", "a column in which runs differ")
    cell_columns = crossed(configurations, column)
    others = [name for name in varying(configurations) if name not in (*cell_columns, column)]
    named = {value: _telling(configurations, column, value, others) for value in values}
    cells: dict[tuple[Any, ...], dict[str, Configuration]] = {}
    order: dict[str, list[Any]] = {}
    for one in configurations:
        value = one.columns[column]
        words = [shown_value(value), *(worded(name, one.columns[name]) for name in named[value])]
        block, place = ", ".join(words), tuple(one.columns[name] for name in cell_columns)
        own = cells.setdefault(place, {})
        if block in own:  # they differ in something that no column says
            block += f", {one.columns['configuration']}"
        own[block] = one
        order[block] = [in_order(value), *(in_order(one.columns[name]) for name in named[value])]
    places = sorted(cells, key=lambda place: [in_order(value) for value in place])
    return Grid(column, cell_columns, sorted(order, key=order.__getitem__), {place: cells[place] for place in places})


def _telling(configurations: Sequence[Configuration], column: str, value: Any, others: Sequence[str]) -> list[str]:
    """The columns that tell apart the configurations of one value of the column."""
    own = [one for one in configurations if one.columns[column] == value]
    return [name for name in others if len({one.columns[name] for one in own}) > 1]


def pivot_table(grid: Grid, at: Sequence[float], reach: Sequence[float]) -> list[Row]:
    """A row a cell: its columns, `area_until_s`, and of every block the columns of the table, as in
    `agn_area_mean`. Areas are compared within a cell, and go up to the end of its shortest run.
    """
    described = {*next(iter(next(iter(grid.cells.values())).values())).columns}
    rows = []
    for place, own in grid.cells.items():
        row: Row = dict(zip(grid.cell_columns, place, strict=True))
        rows.append(row | {"area_until_s": common_horizon_s([*own.values()])})
        measured = _by_block(own, at, reach)
        for block in grid.blocks:
            of_block = {name: value for name, value in measured.get(block, {}).items() if name not in described}
            rows[-1] |= {f"{block}_{name}": value for name, value in of_block.items()}
    return rows


def _by_block(own: dict[str, Configuration], at: Sequence[float], reach: Sequence[float]) -> dict[str, Row]:
    best_first = ranked([*own.values()])
    blocks = {id(one): block for block, one in own.items()}
    rows = measure_table(best_first, at, reach)
    return {
        blocks[id(one)]: {name: value for name, value in row.items() if name not in ("area_until_s", "best_at_edge_of")}
        for one, row in zip(best_first, rows, strict=True)
    }


def readable_pivot(grid: Grid, rows: Sequence[Row]) -> list[dict[str, str]]:
    """Its areas for a reader, a row a cell, with how many seeds have diverged."""
    shown = []
    for place, row in zip(grid.cells, rows, strict=True):
        line = grid.worded_cell(place)
        for block in grid.blocks:
            diverged = row.get(f"{block}_diverged")
            note = f" ({diverged} diverged)" if diverged else ""
            line[block] = cell(row, f"{block}_area", grid.measure.value) + note if f"{block}_area_mean" in row else "–"
        shown.append(line)
    return shown


def readable_list(grid: Grid, rows: Sequence[Row]) -> list[dict[str, str]]:
    """The same areas with a row a cell and block."""
    return [
        {name: text for name, text in line.items() if name not in grid.blocks}
        | {grid.column.replace("_", " "): block, grid.measure.headed("area"): line[block]}
        for line in readable_pivot(grid, rows)
        for block in grid.blocks
        if line[block] != "–"
    ]


def readable_blocks(
    grid: Grid, rows: Sequence[Row], at: Sequence[float], reach: Sequence[float]
) -> tuple[list[dict[str, str]], dict[str, tuple[str, str]]]:
    """Several columns for every block, a row a cell: the area, the measure at the times `at` (s), the time to the
    values `reach` and the final center; and of each such column its block and what it shows.
    """
    shown = []
    over: dict[str, tuple[str, str]] = {}
    for line, (place, row) in zip(readable_pivot(grid, rows), zip(grid.cells, rows, strict=True), strict=True):
        areas = {block: line.pop(block) for block in grid.blocks}
        measured = {
            block: _measured(one, block, row, areas[block], at, reach) for block, one in grid.cells[place].items()
        }
        names = [*dict.fromkeys(name for own in measured.values() for name in own)]
        for block in grid.blocks:
            over |= {f"{block}\n{name}": (block, name) for name in names}
            line |= {f"{block}\n{name}": measured.get(block, {}).get(name, "–") for name in names}
        shown.append(line)
    return shown, over


def _measured(
    one: Configuration, block: str, row: Row, area: str, at: Sequence[float], reach: Sequence[float]
) -> dict[str, str]:
    """What is shown of a block in a cell."""
    own = {name.removeprefix(f"{block}_"): value for name, value in row.items() if name.startswith(f"{block}_")}
    measure = one.measure
    return (
        {measure.headed("area"): area}
        | {measure.headed(f"{t:g} s"): cell(own, f"{measure.alone}_at_{t:g}s", measure.value) for t in at}
        | {f"s to {measure.level(target)}": time_cell(own, f"{target:g}") for target in reach}
        | final_center(one, own, short=True)
    )


def paired_table(grid: Grid) -> list[Row]:
    """A row a cell and block, but for the reference, which is the block that is in most cells, and of several such the
    one with the best mean area over its cells: the difference of its area minus the reference's, with the same seed and
    in the same cell.

    Columns: the cell's; `compared` and `reference`; `seeds` that both have; `diverged` of the compared and
    `reference_diverged`; `area_difference_mean` with `half_width_95`, `low_95` and `high_95` of its 95 % interval
    (Student's t), blank for a single seed; `verdict`: ahead or behind, better or worse than the reference, if the
    interval does not hold 0, else undecided;
    `area_until_s`, the shortest run of the cell.

    Raises:
        BadInput: in no cell there is something to compare.
    """
    ends = {place: common_horizon_s([*own.values()]) for place, own in grid.cells.items()}
    found = {place: {block: areas(one, ends[place]) for block, one in own.items()} for place, own in grid.cells.items()}
    reference = _reference(grid, found)
    rows = []
    for place, own in grid.cells.items():
        for block in grid.blocks:
            if block == reference or block not in own or reference not in own:
                continue
            differences = [-lacks for lacks in paired(found[place][reference], found[place][block])]
            mean, half = metrics.mean_and_deviation(differences)[0], metrics.half_width(differences)
            rows.append(
                dict(zip(grid.cell_columns, place, strict=True))
                | {"compared": block, "reference": reference, "seeds": len(differences)}
                | {"diverged": _diverged(own[block]), "reference_diverged": _diverged(own[reference])}
                | {"area_difference_mean": mean, "area_difference_half_width_95": half}
                | {"low_95": mean - half, "high_95": mean + half}
                | {"verdict": _verdict(mean, half, grid.measure), "area_until_s": ends[place]}
            )
    if not rows:
        raise BadInput("compare", grid.column, "no cell has two values of it", "a column whose values were tried alike")
    return rows


def _reference(grid: Grid, found: dict[tuple[Any, ...], dict[str, dict[int, float]]]) -> str:
    """The best block, of those that are in most cells."""
    count = {block: sum(block in own for own in found.values()) for block in grid.blocks}
    most = [block for block in grid.blocks if count[block] == max(count.values())]

    def mean(block: str) -> float:
        return float(np.mean([np.mean([*own[block].values()]) for own in found.values() if block in own]))

    return (max if grid.measure.higher_is_better else min)(most, key=mean)


def _diverged(one: Configuration) -> int:
    return int((one.runs["status"] == "diverged").sum())


def _verdict(mean: float, half_width: float, measure: Measured) -> str:
    if np.isnan(half_width) or abs(mean) <= half_width:
        return UNDECIDED
    return AHEAD if (mean > 0) == measure.higher_is_better else BEHIND


def readable_paired(grid: Grid, rows: Sequence[Row]) -> list[dict[str, str]]:
    """The differences for a reader, a row a cell and block."""
    shown = []
    for row in rows:
        line = grid.worded_cell(tuple(row[name] for name in grid.cell_columns))
        diverged = f" ({row['diverged']} diverged)" if row["diverged"] else ""
        line |= {"compared": row["compared"], "seeds": f"{row['seeds']}{diverged}"}
        difference = cell(row, "area_difference", grid.measure.value, spread="half_width_95", sign="+")
        shown.append(line | {f"{grid.measure.difference} (95 %)": difference, "verdict": row["verdict"]})
    return shown
