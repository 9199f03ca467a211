"""What `table` writes, and what of it the terminal shows: all of a small table, of a large one what can be read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, isnan
from types import MappingProxyType

from agn_bench.analysis import grids
from agn_bench.analysis.comparison import MANY, Configuration
from agn_bench.analysis.measures import Measured
from agn_bench.analysis.tables import Row, cell, edges, final_center, measure_table, readable, seeds_shown, starred
from agn_bench.analysis.written import Shown

MOST_ROWS, MOST_BLOCKS = 40, 5
"""The most rows of a table on the terminal, and the most columns that stand side by side."""
_AREAS = "area under the {}, mean ± standard deviation over seeds"
_ONE_SEED = "a difference without ± is that of the one common seed, which gives no interval"


@dataclass(frozen=True)
class Asked:
    """What is to be read off the curves: values of a measure at times in s, and times to values."""

    at: Sequence[float]
    reach: Sequence[float]
    measure: Measured
    at_given: bool = False
    reach_given: bool = False
    """Whether the user named them: where there is little room no others are shown."""


@dataclass(frozen=True)
class Tables:
    """What a reader gets."""

    tables: list[Shown]
    """In a file."""
    on_screen: Sequence[list[Shown]]
    """What a terminal shows: the first of these for which it is wide enough, else the last."""


Made = tuple[list[Row], Tables]


def measure_tables(
    groups: Mapping[str, list[Configuration]],
    by: str | None,
    asked: Asked,
    known_edges: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> Made:
    """A row a configuration, the groups one after another.

    Args:
        known_edges: by configuration (its hash) the numbers at the edge of what was tried elsewhere.
    """
    tables: list[Shown] = []
    rows: list[Row] = []
    brief: list[dict[str, str]] = []
    measure = asked.measure
    for name, group in groups.items():
        own = measure_table(group, asked.at, asked.reach, known_edges)
        rows += own
        sections = [*readable(group, own, asked.at, asked.reach).items()]
        title = f"{name}: " if name else ""
        until = f"area: the mean {measure.name} over the first {own[0]['area_until_s']:.1f} s{measure.direction}"
        for index, (section, shown) in enumerate(sections):
            notes = [until, *_notes(group, own, asked)] if index == len(sections) - 1 else []
            tables.append(Shown(title + section, shown, notes))
        brief += [_brief(name, one, row) for one, row in zip(group, own, strict=True)]
    if len(rows) <= MANY or (len(groups) <= len(rows) / 4 and by is not None):
        return rows, Tables(tables, [tables])
    return rows, Tables(tables, _large(groups, brief, asked))


def _large(groups: Mapping[str, list[Configuration]], brief: list[dict[str, str]], asked: Asked) -> list[list[Shown]]:
    """What the terminal shows of a large table: a row a cell if there are few optimizers, else one a configuration."""
    every = [one for group in groups.values() for one in group]
    if len(groups) > 1 and len({one.columns["optimizer"] for one in every}) > 1:
        grid = grids.grid_of("by", every, "optimizer")
        if len(grid.blocks) <= MOST_BLOCKS:
            rows = grids.pivot_table(grid, [], [])
            return _areas(grid, rows, asked, _more(groups))
    return [[_cut(Shown(f"{asked.measure.name}, best area first", brief), _more(groups))]]


def _areas(grid: grids.Grid, rows: Sequence[Row], asked: Asked, notes: Sequence[str]) -> list[list[Shown]]:
    """The areas of a grid, side by side or, for a narrower terminal, one below another."""
    forms = grids.readable_pivot(grid, rows), grids.readable_list(grid, rows)
    return [[_cut(Shown(_AREAS.format(asked.measure.headed(asked.measure.name)), lines, notes))] for lines in forms]


def _brief(group: str, one: Configuration, row: Row) -> dict[str, str]:
    return ({"": group} if group else {}) | {
        "configuration": starred(one, row),
        "seeds": seeds_shown(row),
        one.measure.headed("area"): cell(row, "area", one.measure.value),
        **final_center(one, row),
    }


def _notes(group: Sequence[Configuration], rows: Sequence[Row], asked: Asked) -> list[str]:
    notes = [f"* {edge}" for edge in edges(group)]
    if any(isfinite(row["area_behind_mean"]) and isnan(row["area_behind_half_width_95"]) for row in rows):
        notes.append(_ONE_SEED)
    if asked.reach and group[0].reading.before is not None:
        notes.append("a value is reached between two evaluations, by the second one: both times are means")
    return notes


def _more(groups: Mapping[str, Sequence[Configuration]]) -> list[str]:
    notes = ["all numbers are in the file; --only shows a part, --compare optimizer differences with their intervals"]
    if any(edges(group) for group in groups.values()):
        notes.append("*: the best of its optimizer, at the least or largest value that was tried of some number")
    return notes


def _cut(table: Shown, notes: Sequence[str] = ()) -> Shown:
    """A table of as many rows as can be read."""
    left = len(table.rows) - MOST_ROWS
    said = [f"{left} more rows are not shown; their numbers are in the file"] if left > 0 else []
    return Shown(table.title, table.rows[:MOST_ROWS], [*said, *table.notes, *notes], table.over)


def pivot_tables(configurations: Sequence[Configuration], column: str, asked: Asked) -> Made:
    """A row a cell, the values of the column side by side."""
    grid = grids.grid_of("pivot", configurations, column)
    rows = grids.pivot_table(grid, asked.at, asked.reach)
    note = f"area: the mean of the curve up to the end of the shortest run of the row{asked.measure.direction}"
    at, reach = asked.at if asked.at_given else (), asked.reach if asked.reach_given else ()
    lines, over = grids.readable_blocks(grid, rows, at, reach)
    whole = Shown(f"{asked.measure.name}, mean ± standard deviation over seeds", lines, [note], over)
    measures = [*dict.fromkeys(measure for _, measure in over.values())]
    left_out = f"left out, as the terminal is too narrow, but in the file: {', '.join(measures[1:])}"
    return rows, Tables([whole], [[_cut(whole)], *_areas(grid, rows, asked, [note, left_out])])


def compared_tables(configurations: Sequence[Configuration], column: str, asked: Asked) -> Made:
    """A row a cell and value of the column, minus the best value, seed by seed."""
    grid = grids.grid_of("compare", configurations, column)
    rows = grids.paired_table(grid)
    reference = rows[0]["reference"]
    title = f"{asked.measure.name}: area minus that of {reference} with the same seed"
    most = "largest" if asked.measure.higher_is_better else "least"
    why = f"of the values of {column} it has the {most} mean area over cells"
    ends = "ahead or behind: the 95 % interval of the mean over seeds does not hold 0; area: its mean up to the end of "
    notes = [
        f"the reference is {reference}: {why}; + is more area than it has, - is less{asked.measure.direction}",
        f"{ends}the shortest run of the cell",
    ]
    if any(row["seeds"] == 1 for row in rows):
        notes.append(_ONE_SEED)
    shown = Shown(title, grids.readable_paired(grid, rows), notes)
    return rows, Tables([shown], [[_cut(shown)]])
