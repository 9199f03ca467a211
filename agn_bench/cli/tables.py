"""What `table` writes, and what of it the terminal shows: all of a small table, of a large one what can be read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agn_bench.analysis import grids
from agn_bench.analysis.comparison import MANY, Configuration
from agn_bench.analysis.tables import Row, accuracy_table, cell, edges, readable, seeds_shown, starred
from agn_bench.analysis.written import Shown

MOST_ROWS, MOST_BLOCKS = 40, 5
"""Of a table on the terminal: rows, and columns that stand side by side."""
_AREAS = "area under the {} (%), mean ± standard deviation over seeds"


@dataclass(frozen=True)
class Asked:
    """What is to be read off the curves: accuracies at times in s, times to accuracies, of which measure."""

    at: Sequence[float]
    reach: Sequence[float]
    accuracy: str


@dataclass(frozen=True)
class Tables:
    """What a reader gets."""

    tables: list[Shown]
    """In a file."""
    on_screen: list[Shown]


Made = tuple[list[Row], Tables]


def accuracy_tables(groups: Mapping[str, list[Configuration]], by: str | None, asked: Asked) -> Made:
    """A row a configuration, the groups one after another."""
    tables: list[Shown] = []
    rows: list[Row] = []
    brief: list[dict[str, str]] = []
    for name, group in groups.items():
        own = accuracy_table(group, asked.at, asked.reach)
        rows += own
        sections = [*readable(group, own).items()]
        title = f"{name}: " if name else ""
        until = f"{asked.accuracy}; area: its mean over the first {own[0]['area_until_s']:.1f} s"
        for index, (section, shown) in enumerate(sections):
            notes = [until, *_notes(group, asked)] if index == len(sections) - 1 else []
            tables.append(Shown(title + section, shown, notes))
        brief += [_brief(name, one, row) for one, row in zip(group, own, strict=True)]
    if len(rows) <= MANY or (len(groups) <= len(rows) / 4 and by is not None):
        return rows, Tables(tables, tables)
    return rows, Tables(tables, [_large(groups, brief, asked)])


def _large(groups: Mapping[str, list[Configuration]], brief: list[dict[str, str]], asked: Asked) -> Shown:
    """What the terminal shows of a large table: a row a cell if there are few optimizers, else one a configuration."""
    every = [one for group in groups.values() for one in group]
    if len(groups) > 1 and len({one.columns["optimizer"] for one in every}) > 1:
        grid = grids.grid_of("by", every, "optimizer")
        if len(grid.blocks) <= MOST_BLOCKS:
            rows = grids.pivot_table(grid, [], [])
            return _cut(Shown(_AREAS.format(asked.accuracy), grids.readable_pivot(grid, rows), _more(groups)))
    return _cut(Shown(f"{asked.accuracy}, best area first", brief), _more(groups))


def _brief(group: str, one: Configuration, row: Row) -> dict[str, str]:
    return ({"": group} if group else {}) | {
        "configuration": starred(one, row),
        "seeds": seeds_shown(row),
        "area (%)": cell(row, "area", 100, 2),
        "test accuracy (%)": cell(row, "test_accuracy", 100, 2),
    }


def _notes(group: Sequence[Configuration], asked: Asked) -> list[str]:
    notes = [f"* {edge}" for edge in edges(group)]
    if asked.reach and group[0].reading.before is not None:
        notes.append("an accuracy is reached between two evaluations, by the second one: both times are means")
    return notes


def _more(groups: Mapping[str, Sequence[Configuration]]) -> list[str]:
    notes = ["all numbers are in the file; --only shows a part, --compare optimizer differences with their intervals"]
    if any(edges(group) for group in groups.values()):
        notes.append("*: the best of its optimizer, at the least or largest value that was tried of some number")
    return notes


def _cut(table: Shown, notes: Sequence[str] = ()) -> Shown:
    """A table of as many rows as can be read."""
    left = len(table.rows) - MOST_ROWS
    said = [f"{left} more rows are in the file"] if left > 0 else []
    return Shown(table.title, table.rows[:MOST_ROWS], [*said, *table.notes, *notes])


def pivot_tables(configurations: Sequence[Configuration], column: str, asked: Asked) -> Made:
    """A row a cell, the values of the column side by side."""
    grid = grids.grid_of("pivot", configurations, column)
    rows = grids.pivot_table(grid, asked.at, asked.reach)
    note = "area: the mean of the curve up to the end of the shortest run of the row"
    shown = Shown(_AREAS.format(asked.accuracy), grids.readable_pivot(grid, rows), [note])
    return rows, Tables([shown], [_cut(shown)])


def compared_tables(configurations: Sequence[Configuration], column: str, asked: Asked) -> Made:
    """A row a cell and value of the column, minus the best value, seed by seed."""
    grid = grids.grid_of("compare", configurations, column)
    rows = grids.paired_table(grid)
    title = f"{asked.accuracy}: area minus that of {rows[0]['reference']} with the same seed"
    note = "ahead or behind: the 95 % interval of the mean over seeds does not hold 0; area: its mean up to the end of "
    shown = Shown(title, grids.readable_paired(grid, rows), [note + "the shortest run of the cell"])
    return rows, Tables([shown], [_cut(shown)])
