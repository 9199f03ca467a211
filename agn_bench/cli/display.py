"""What the terminal shows at the end: tables, figures as bars, paths."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table

from agn_bench.analysis import measures
from agn_bench.base.inputs import printable, spelled
from agn_bench.cli.base import as_flag
from agn_bench.config.run import RunConfig
from agn_bench.store.collected import SUMMARY, files_there
from agn_bench.store.run_files import RUN_FILES

if TYPE_CHECKING:
    from agn_bench.studies.advice import Advice
    from agn_bench.studies.confidence import Confidence

_BINS, _BAR = 16, 40


def show_runs(console: Console, config: RunConfig, folder: Path, runs: Sequence[str]) -> None:
    """A table of the runs' rows of summary.csv, one row per seed, and where their files are."""
    size = f"{config.workers} workers, {config.local_steps} local steps"
    table = Table(title=f"{config.optimizer}: {size}, {config.subject}")
    with (folder / SUMMARY).open(encoding="utf-8", newline="") as file:
        rows = {row["run_id"]: row for row in csv.DictReader(file)}
    shown = [column for column in _shown_measures(config) if any(rows[run].get(column) for run in runs)]
    columns: dict[str, Callable[[dict[str, str]], str]] = {
        "seed": lambda row: row["seed"],
        **{measures.heading(column): partial(_value, column) for column in shown},
        "simulated s": lambda row: f"{float(row['sim_time_s']):.1f}",
        "exchanges": lambda row: row["exchanges"],
        "staleness": lambda row: f"{float(row['mean_staleness']):.1f}",
        "status": lambda row: row["status"],
    }
    for name in columns:
        table.add_column(name, justify="right")
    for run in runs:
        table.add_row(*(cell(rows[run]) for cell in columns.values()))
    console.print(table)
    for own in (folder / "runs" / run for run in runs):
        if own.is_dir():
            show_path(console, own, ", ".join(name for name in RUN_FILES if (own / name).exists()))
    show_path(console, folder, files_there(folder))


def _shown_measures(config: RunConfig) -> list[str]:
    """Columns of summary.csv: the measures of the center, and the first of them of the last mini-batches."""
    problem = config.trains
    first = next(iter(problem.measures))
    return [*map(problem.column, problem.measures), *([f"last_batch_{first}"] if len(problem.measures) == 1 else [])]


def _value(column: str, row: Mapping[str, str]) -> str:
    return measures.value(column, float(row[column])) if row.get(column) else "–"


_SURVEY: dict[str, tuple[str, Callable[[dict[str, Any]], str]]] = {
    "n": ("workers", lambda row: str(row["workers"])),
    "λ": ("local steps", lambda row: str(row["local_steps"])),
    "steps/s": ("gradient steps per simulated second", lambda row: _figure(row["gradient_steps_per_s"], ".4g")),
    "exch./s": ("exchanges per simulated second", lambda row: _figure(row["exchanges_per_s"], ".4g")),
    "mean τ": ("mean staleness", lambda row: f"{row['mean_staleness']:.1f}"),
    "95 %": ("95 % of them up to", lambda row: f"{row['p95_staleness']:.0f}"),
    "wait": ("simulated seconds in the queue", lambda row: _figure(row["mean_queue_wait_s"], ".3g")),
    "work": ("a worker computes", lambda row: _figure(100 * row["compute_share"], ".0f", " % of its time")),
    "busy": ("the server is busy", lambda row: _figure(100 * row["server_utilization"], ".0f", " % of the time")),
    "growth": ("growth rate of AGN per n exchanges", lambda row: _figure(row["growth_rate"], "+.3f")),
}
"""Heading in a table of several cells, name in a list of one, and the text of a row."""
_OF_RULES: dict[str, tuple[str, Callable[[dict[str, Any]], str]]] = {
    "versions/s": ("versions per simulated second", lambda row: _figure(row["versions_per_s"], ".4g")),
    "barrier": ("a worker waits for others", lambda row: _figure(100 * row["barrier_share"], ".0f", " % of its time")),
    "counted": ("gradient steps that counted", lambda row: _of_all_steps(row, "accepted_steps")),
    "dropped": ("gradient steps that were dropped", lambda row: _of_all_steps(row, "dropped_steps")),
    "stopped": ("gradient steps that were interrupted", lambda row: _of_all_steps(row, "interrupted_steps")),
    "stranded": ("workers left waiting at the end", lambda row: str(row["stranded"])),
}
"""The same where workers wait for one another, or commits do not all count."""
_OF_ABSENCES: dict[str, tuple[str, Callable[[dict[str, Any]], str]]] = {
    "there": ("a worker is there", lambda row: _figure(100 * row["available_share"], ".0f", " % of the time")),
    "counted": _OF_RULES["counted"],
    "lost": ("gradient steps that were lost", lambda row: _of_all_steps(row, "lost_steps")),
}
"""The same where workers go away."""
_LEFT_OUT = ("exch./s", "95 %", "wait", "busy", "dropped", "stopped", "versions/s", "work", "stranded")
"""Columns that a table of several cells leaves out, one after another, as long as it is too wide."""


class Terminal(Console):
    """Where commands print. Whoever reads it may go, as `head` does: the work goes on in silence, nothing is lost."""

    def __init__(self) -> None:
        super().__init__(markup=False, emoji=False, highlight=False)  # a name may hold what Rich takes for these

    def say(self, line: str) -> None:
        """Print a line as it is, however long."""
        self.print(printable(line), soft_wrap=True)

    def on_broken_pipe(self) -> None:
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), self.file.fileno())  # what is in the stream's buffer goes there, too


def show_survey(console: Console, rows: Sequence[dict[str, Any]], folder: Path) -> None:
    """One cell: its figures and its staleness, as bars; several: a row each."""
    title = f"{rows[0]['delays']}, seed {rows[0]['seed']}"
    ruled = any(row["versions"] != row["exchanges"] or row["mean_barrier_wait_s"] > 0 for row in rows)
    columns = {**_SURVEY, **(_OF_RULES if ruled else {})}
    if "lost_steps" in rows[0]:
        columns |= _OF_ABSENCES
    if ruled:
        title = f"{rows[0]['optimizer']}: {title}"
        columns = {heading: column for heading, column in columns.items() if heading != "growth"}
    if len(rows) == 1:
        title += f", {rows[0]['exchanges']} exchanges in {rows[0]['end_s']:.1f} simulated s"
        show_rows(console, title, [{"": name, "value": text(rows[0])} for name, text in columns.values()])
        _show_histogram(console, folder / "staleness.csv", rows[0]["workers"])
    else:
        cells = [{heading: text(row).split(" of")[0] for heading, (_, text) in columns.items()} for row in rows]
        _show_cells(console, title, cells)
    if ruled:
        return  # the growth rate is that of workers which go on at once
    known = [row["growth_rate"] for row in rows if not math.isnan(row["growth_rate"])]
    unstable = sum(rate > 0 for rate in known)
    if not known:
        verdict = "too short, while all workers are active, to tell whether AGN is stable"
    elif len(rows) > 1:
        verdict = f"AGN is unstable in stiff directions in {unstable} of {len(known)} cells (growth rate above 0)"
    else:
        verdict = f"AGN is {'unstable' if unstable else 'stable'} in stiff directions (growth rate above 0: unstable)"
    console.print(f"  {verdict}", soft_wrap=True)


def show_advice(console: Console, advice: Advice) -> None:
    """A row for each number of workers, and what is recommended."""
    shown = [
        {
            "n": str(row["workers"]),
            "λ": str(row["local_steps"]),
            "growth": _figure(row["growth_rate"], "+.3f"),
            "steps/s": _figure(row["gradient_steps_per_s"], ".4g"),
            "mean τ": f"{row['mean_staleness']:.1f}",
            "work": _figure(100 * row["compute_share"], ".0f", " %"),
            "busy": _figure(100 * row["server_utilization"], ".0f", " %"),
            "server full": "–" if math.isnan(row["saturating_workers"]) else f"from {row['saturating_workers']}",
        }
        for row in advice.rows
    ]
    _show_cells(console, f"{advice.rows[0]['optimizer']}: {advice.rows[0]['delays']}", shown)
    console.print(f"  {advice.reason}", soft_wrap=True, markup=False)


def _show_cells(console: Console, title: str, cells: list[dict[str, str]]) -> None:
    """A table of several cells, of as many columns as there is room for; or a line for each, where there is too little
    for any table.
    """
    gone = []
    for heading in _LEFT_OUT:
        if not fits(console, cells) and heading in cells[0]:
            gone.append(heading)
            cells = [{name: text for name, text in cell.items() if name != heading} for cell in cells]
    if fits(console, cells):
        show_rows(console, title, cells)
    else:
        console.print(title)
        _show_in_lines(console, cells)
    if gone:
        console.print(f"  left out, as the terminal is too narrow, but in timeline.csv: {', '.join(gone)}")


_MOST_REMARKED = 3


def show_remarks(console: Terminal, remarks: Mapping[str, Sequence[str]], among: int = 1) -> None:
    """What is to be known of some cells, by their names: of the first of them, and of how many more.

    Args:
        among: how many cells there are; of one alone the name is left out.
    """
    for called in list(remarks)[:_MOST_REMARKED]:
        for remark in remarks[called]:
            console.say(f"  {f'{called}: ' if among > 1 else ''}{spelled(remark, as_flag)}")
    if len(remarks) > _MOST_REMARKED:
        console.say(f"  The same holds, with other numbers, for {len(remarks) - _MOST_REMARKED} more of {among} cells.")


def show_confidence(console: Terminal, found: Confidence) -> None:
    """How well measured times bind each number that was fitted to them, a sentence or two each."""
    for name, what, value, low, high, bound, half, twice in zip(
        found.names, found.what, found.values, found.low, found.high, found.bound, found.error_at_half,
        found.error_at_twice, strict=True,
    ):  # fmt: skip
        verdict = "The times bind it" if bound else "The times do not bind it"
        console.say(
            f"  {name}, {what}: {value:.3g}. {verdict}: other runs of the same kind would likely give {low:.3g} to "
            f"{high:.3g}. Held at half of it the mean error is {_figure(100 * half, '.1f', ' %')}, at twice "
            f"{_figure(100 * twice, '.1f', ' %')}; the fit has {100 * found.error:.1f} %."
        )
    for one, other, correlation in found.together:
        how = "where one is larger the other is smaller" if correlation < 0 else "where one is larger the other is too"
        console.say(f"  The times tell {one} and {other} apart badly: {how} (correlation {correlation:+.2f}).")
    if found.beaten:
        numbers = ", ".join(f"{name} {value:.3g}" for name, value in zip(found.names, found.least, strict=True))
        console.say(
            f"  Other numbers have less error, {100 * found.least_error:.1f} % instead of {100 * found.error:.1f} %: "
            f"{numbers}. The fit goes downhill from a guess, and ended elsewhere."
        )


def _of_all_steps(row: dict[str, Any], column: str) -> str:
    """A part of all steps that workers computed."""
    places = ("accepted", "dropped", "interrupted", "lost", "unfinished")
    steps = sum(row.get(f"{name}_steps", 0) for name in places)
    return _figure(100 * row[column] / steps if steps else math.nan, ".0f", " % of them all")


def _figure(value: float, form: str, unit: str = "") -> str:
    return "–" if math.isnan(value) else f"{value:{form}}{unit}"


def _show_histogram(console: Console, path: Path, workers: int) -> None:
    with path.open(encoding="utf-8", newline="") as file:
        counts = [int(row["exchanges"]) for row in csv.DictReader(file)]
    width = max(1, -(-len(counts) // _BINS))
    bins = [sum(counts[first : first + width]) for first in range(0, len(counts), width)]
    # Blocks where the output can show them.
    block = "█" if (console.encoding or "").lower().startswith("utf") else "#"
    console.print(f"  staleness of the exchanges (n − 1 = {workers - 1})")
    for index, count in enumerate(bins):
        first, last = index * width, index * width + width - 1
        label = f"{first}" if width == 1 else f"{first}-{last}"
        bar = block * round(_BAR * count / max(bins))
        mark = "  ← n − 1" if first <= workers - 1 <= last else ""
        console.print(f"  {label:>9} {bar} {100 * count / sum(bins):.1f} %{mark}")


def show_path(console: Console, path: Path, content: str = "") -> None:
    """A path, whole, on a line of its own, and what is there."""
    console.print(printable(f"  {path}" + (f": {content}" if content else "")), soft_wrap=True)


def show_rows(console: Console, title: str, rows: Sequence[dict[str, Any]]) -> None:
    """A table with the rows' keys as columns."""
    table = Table(title=printable(title) if title else None)
    for name in rows[0]:
        table.add_column(_printable_lines(name), overflow="fold")
    for row in rows:
        table.add_row(*(_printable_lines(str(value)) for value in row.values()))
    console.print(table)


def _printable_lines(text: str) -> str:
    return "\n".join(map(printable, text.split("\n")))


def fits(console: Console, rows: Sequence[Mapping[str, str]]) -> bool:
    """Whether a table of these rows can be shown without cutting a word."""
    columns = ([name, *(row[name] for row in rows)] for name in rows[0])
    widest = [max(cell_len(line) for text in column for line in text.split("\n")) for column in columns]
    return sum(widest) + 3 * len(widest) + 1 <= console.width


def show_differing(console: Terminal, rows: Sequence[dict[str, str]], unsaid: Sequence[str] = ()) -> None:
    """A table of the columns in which rows differ, and above it a line of what they have in common.

    Where the table is too wide to be shown without cutting words, there is a line for each row instead.

    Args:
        unsaid: columns that need not be said where they are common.
    """
    names = list(dict.fromkeys(name for row in rows for name in row))
    cells = [{name: row.get(name, "–") for name in names} for row in rows]
    common = [name for name in names if len({row[name] for row in cells}) == 1]
    said = ", ".join(f"{name} {cells[0][name]}" for name in common if name not in unsaid and cells[0][name] != "–")
    if said:
        console.print(f"{'all: ' if len(rows) > 1 else ''}{said}", highlight=False, markup=False)
    differing = [{name.replace("_", " "): row[name] for name in names if name not in common} for row in cells]
    if not differing[0]:
        return
    for between in (" ", "\n"):  # headings in a line each, or in a line for each word
        headings = [name.replace(" ", between) for name in differing[0]]
        table = [dict(zip(headings, row.values(), strict=True)) for row in differing]
        if fits(console, table):
            show_rows(console, "", table)
            return
    _show_in_lines(console, differing)


def _show_in_lines(console: Console, rows: Sequence[Mapping[str, str]]) -> None:
    for row in rows:
        console.print(", ".join(f"{name} {text}" for name, text in row.items() if text != "–"), markup=False)


def readable_seconds(seconds: float) -> str:
    """As in 40 s, 12 min, 3 h 20 min."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02} min"
