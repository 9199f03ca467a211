"""What the terminal shows: live progress, tables, errors. Plain lines where there is no terminal."""

from __future__ import annotations

import csv
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from agn_bench.config import RunConfig
from agn_bench.results import RUN_FILES

if TYPE_CHECKING:
    from agn_bench import records

_LINES_PER_RUN = 10
_WIDTH_WITH_BAR = 96


class RunDisplay:
    """Watches runs (see sweep.Observer): a live line on a terminal, now and then a plain one elsewhere.

    Args:
        at_each_report: called before anything is shown; may raise to end the runs.
    """

    def __init__(self, console: Console, at_each_report: Callable[[], None] = lambda: None) -> None:
        self._console = console
        # Rich calls a pipe a terminal where FORCE_COLOR is set.
        self._live_here = console.file.isatty() and not console.is_dumb_terminal
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
        self._name = ""
        self._began = 0.0
        self._lines = 0

    def __enter__(self) -> RunDisplay:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def started(self, config: RunConfig) -> None:
        self._name, self._began, self._lines = config.run_id, time.perf_counter(), 0
        for task in self._live.task_ids:
            self._live.remove_task(task)
        self._live.add_task(f"{config.optimizer} s{config.seed}", total=config.exchanges, facts="compiling …")

    def progressed(self, progress: records.Progress) -> None:
        self._at_each_report()
        accuracy = f"{progress.batch_accuracy:.3f} train, {progress.test_accuracy:.3f} test"
        facts = f"{progress.sim_time_s:.0f} s simulated, {accuracy}"
        if self._live_here:
            self._live.update(self._live.task_ids[-1], completed=progress.exchanges, facts=facts)
            return
        done = progress.exchanges / progress.exchanges_total
        if int(done * _LINES_PER_RUN) > self._lines:
            self._lines = int(done * _LINES_PER_RUN)
            left = (time.perf_counter() - self._began) * (1 - done) / done
            self._say(
                f"{self._name}: {progress.exchanges}/{progress.exchanges_total} exchanges, {facts}, {left:.0f} s left"
            )

    def ended(self, run: Path) -> None:
        self._say(f"{run.name}: {_summary(run)['status']}")

    def found(self, run: Path) -> None:
        self._say(f"{run.name}: finished before, not repeated (--force repeats it)")

    def _say(self, line: str) -> None:
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)


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


def show_path(console: Console, path: Path, content: str = "") -> None:
    """A path, whole, on a line of its own, and what is there."""
    console.print(f"  {path}" + (f": {content}" if content else ""), highlight=False, markup=False, soft_wrap=True)


def show_rows(console: Console, title: str, rows: Sequence[dict[str, Any]]) -> None:
    """A table with the rows' keys as columns."""
    table = Table(title=title)
    for name in rows[0]:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(str(value) for value in row.values()))
    console.print(table)


def _summary(run: Path) -> dict[str, str]:
    with (run / "summary.csv").open(encoding="utf-8", newline="") as file:
        return next(csv.DictReader(file))


def _percent(fraction: str) -> str:
    return f"{100 * float(fraction):.2f}"
