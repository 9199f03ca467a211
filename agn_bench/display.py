"""What the terminal shows: live progress, tables, errors. Plain lines where there is no terminal."""

from __future__ import annotations

import csv
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from agn_bench.config import RunConfig
from agn_bench.results import RUN_FILES

if TYPE_CHECKING:
    from agn_bench import records

_LINES_PER_RUN = 10
_WIDTH_WITH_BAR = 96
_SECONDS_PER_LINE = 5.0
_BINS, _BAR = 16, 40


def _is_live(console: Console) -> bool:
    """Whether lines can be drawn over; Rich calls a pipe a terminal where FORCE_COLOR is set."""
    return console.file.isatty() and not console.is_dumb_terminal


class RunDisplay:
    """Watches runs (see sweep.Observer): a live line on a terminal, now and then a plain one elsewhere.

    Args:
        at_each_report: called before anything is shown; may raise to end the runs.
    """

    def __init__(self, console: Console, at_each_report: Callable[[], None] = lambda: None) -> None:
        self._console = console
        self._live_here = _is_live(console)
        self._at_each_report = at_each_report
        bar = [BarColumn(bar_width=None)] if console.width >= _WIDTH_WITH_BAR else []
        self._live = Progress(
            TextColumn("{task.description}"),
            *bar,
            TextColumn("{task.completed:.0f}/{task.total:.0f} exchanges"),
            TextColumn("{task.fields[facts]}"),
            TimeRemainingColumn(compact=True),
            console=console,
            disable=not self._live_here,
            transient=True,
        )
        self._tasks: dict[str, TaskID] = {}
        self._began: dict[str, float] = {}
        self._lines: dict[str, int] = {}

    def __enter__(self) -> RunDisplay:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def started(self, config: RunConfig) -> None:
        name = config.run_id
        self._began[name], self._lines[name] = time.perf_counter(), 0
        label = f"{config.optimizer} s{config.seed}"
        self._tasks[name] = self._live.add_task(label, total=config.exchanges, facts="compiling …")

    def progressed(self, config: RunConfig, progress: records.Progress) -> None:
        self._at_each_report()
        name = config.run_id
        accuracy = f"{progress.batch_accuracy:.3f} train, {progress.test_accuracy:.3f} test"
        facts = f"{progress.sim_time_s:.0f} s simulated, {accuracy}"
        if self._live_here:
            self._live.update(self._tasks[name], completed=progress.exchanges, facts=facts)
            return
        done = progress.exchanges / progress.exchanges_total
        if int(done * _LINES_PER_RUN) > self._lines[name]:
            self._lines[name] = int(done * _LINES_PER_RUN)
            left = (time.perf_counter() - self._began[name]) * (1 - done) / done
            self._say(f"{name}: {progress.exchanges}/{progress.exchanges_total} exchanges, {facts}, {left:.0f} s left")

    def ended(self, run: Path) -> None:
        self._live.remove_task(self._tasks[run.name])
        self._say(f"{run.name}: {_summary(run)['status']}")

    def found(self, run: Path) -> None:
        self._say(f"{run.name}: finished before, not repeated (--force repeats it)")

    def _say(self, line: str) -> None:
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)


class StepDisplay:
    """Shows that something goes on, and what: a live line on a terminal, a plain one now and then elsewhere.

    Args:
        total: how many steps there are; None if that is not known.
        at_each_step: called before anything is shown; may raise to end the work.
    """

    def __init__(
        self, console: Console, title: str, total: int | None = None, at_each_step: Callable[[], None] = lambda: None
    ) -> None:
        self._console = console
        self._live_here = _is_live(console)
        self._title, self._total, self._at_each_step = title, total, at_each_step
        count = [TextColumn("{task.completed:.0f}/{task.total:.0f}"), TimeRemainingColumn(compact=True)]
        self._live = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
            *(count if total else []),
            console=console,
            disable=not self._live_here,
            transient=True,
        )
        self._task = self._live.add_task(title, total=total)
        self._steps, self._said = 0, time.perf_counter()

    def __enter__(self) -> StepDisplay:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def step(self, what: str) -> None:
        """Another step begins, or has ended: `what` says which."""
        self._at_each_step()
        self._steps += 1
        self._live.update(self._task, completed=self._steps, description=f"{self._title}: {what}")
        if not self._live_here and time.perf_counter() - self._said > _SECONDS_PER_LINE:
            self._said = time.perf_counter()
            count = f"{self._steps}/{self._total} " if self._total else ""
            self._console.print(f"{self._title}: {count}{what}", highlight=False, markup=False, soft_wrap=True)


def show_runs(console: Console, config: RunConfig, runs: Sequence[Path]) -> None:
    """A table of the runs' summaries, a row a seed, and where their files are."""
    size = f"{config.workers} workers, {config.local_steps} local steps"
    table = Table(title=f"{config.optimizer}: {size}, {config.model} on {config.dataset}")
    columns: dict[str, Callable[[dict[str, str]], str]] = {
        "seed": lambda row: row["seed"],
        "test %": lambda row: _percent(row["test_accuracy"]),
        "last batch %": lambda row: _percent(row["last_batch_accuracy"]),
        "seconds": lambda row: f"{float(row['sim_time_s']):.1f}",
        "exchanges": lambda row: row["exchanges"],
        "staleness": lambda row: f"{float(row['mean_staleness']):.1f}",
        "status": lambda row: row["status"],
    }
    for name in columns:
        table.add_column(name, justify="right")
    for run in runs:
        row = _summary(run)
        table.add_row(*(cell(row) for cell in columns.values()))
    console.print(table)
    for run in runs:
        show_path(console, run, ", ".join(name for name in RUN_FILES if (run / name).exists()))
    show_path(console, runs[0].parent.parent, "summary.csv, curves.csv, provenance.json")


_SURVEY: dict[str, tuple[str, Callable[[dict[str, Any]], str]]] = {
    "n": ("workers", lambda row: str(row["workers"])),
    "λ": ("local steps", lambda row: str(row["local_steps"])),
    "steps/s": ("gradient steps a second", lambda row: _figure(row["gradient_steps_per_s"], ".4g")),
    "exch./s": ("exchanges a second", lambda row: _figure(row["exchanges_per_s"], ".4g")),
    "mean τ": ("mean staleness", lambda row: f"{row['mean_staleness']:.1f}"),
    "95 %": ("95 % of them up to", lambda row: f"{row['p95_staleness']:.0f}"),
    "wait": ("seconds in the queue", lambda row: _figure(row["mean_queue_wait_s"], ".3g")),
    "work": ("a worker computes", lambda row: _figure(100 * row["compute_share"], ".0f", " % of its time")),
    "busy": ("the server is busy", lambda row: _figure(100 * row["server_utilization"], ".0f", " % of the time")),
    "growth": ("growth rate of AGN per n exchanges", lambda row: _figure(row["growth_rate"], "+.3f")),
}
"""Heading in a table of several cells, name in a list of one, and the text of a row."""


def show_survey(console: Console, rows: Sequence[dict[str, Any]], folder: Path) -> None:
    """One cell: its figures and its staleness, as bars; several: a row each."""
    title = f"{rows[0]['delays']}, seed {rows[0]['seed']}"
    if len(rows) == 1:
        title += f", {rows[0]['exchanges']} exchanges in {rows[0]['end_s']:.1f} s"
        show_rows(console, title, [{"": name, "value": text(rows[0])} for name, text in _SURVEY.values()])
        _show_histogram(console, folder / "staleness.csv", rows[0]["workers"])
    else:
        cells = [{heading: text(row).split(" of")[0] for heading, (_, text) in _SURVEY.items()} for row in rows]
        show_rows(console, title, cells)
    known = [row["growth_rate"] for row in rows if not math.isnan(row["growth_rate"])]
    unstable = sum(rate > 0 for rate in known)
    if not known:
        verdict = "too short, while all workers are active, to tell whether AGN is stable"
    elif len(rows) > 1:
        verdict = f"AGN is unstable in stiff directions in {unstable} of {len(known)} cells (growth rate above 0)"
    else:
        verdict = f"AGN is {'unstable' if unstable else 'stable'} in stiff directions (growth rate above 0: unstable)"
    console.print(f"  {verdict}", highlight=False, soft_wrap=True)


def _figure(value: float, form: str, unit: str = "") -> str:
    return "–" if math.isnan(value) else f"{value:{form}}{unit}"


def _show_histogram(console: Console, path: Path, workers: int) -> None:
    with path.open(encoding="utf-8", newline="") as file:
        counts = [int(row["exchanges"]) for row in csv.DictReader(file)]
    width = max(1, -(-len(counts) // _BINS))
    bins = [sum(counts[first : first + width]) for first in range(0, len(counts), width)]
    # Blocks where the output can show them.
    block = "█" if (console.encoding or "").lower().startswith("utf") else "#"
    console.print(f"  staleness of the exchanges (n − 1 = {workers - 1})", highlight=False)
    for index, count in enumerate(bins):
        first, last = index * width, index * width + width - 1
        label = f"{first}" if width == 1 else f"{first}-{last}"
        bar = block * round(_BAR * count / max(bins))
        mark = "  ← n − 1" if first <= workers - 1 <= last else ""
        console.print(f"  {label:>9} {bar} {100 * count / sum(bins):.1f} %{mark}", highlight=False, markup=False)


def show_path(console: Console, path: Path, content: str = "") -> None:
    """A path, whole, on a line of its own, and what is there."""
    console.print(f"  {path}" + (f": {content}" if content else ""), highlight=False, markup=False, soft_wrap=True)


def show_rows(console: Console, title: str, rows: Sequence[dict[str, Any]]) -> None:
    """A table with the rows' keys as columns."""
    table = Table(title=Text(title))  # texts: a name may hold what Rich takes for markup
    for name in rows[0]:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(Text(str(value)) for value in row.values()))
    console.print(table)


def _summary(run: Path) -> dict[str, str]:
    with (run / "summary.csv").open(encoding="utf-8", newline="") as file:
        return next(csv.DictReader(file))


def _percent(fraction: str) -> str:
    return f"{100 * float(fraction):.2f}"
