"""What the terminal shows while something goes on: live lines; plain ones now and then where there is no terminal."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from agn_bench.analysis import measures
from agn_bench.base.inputs import printable
from agn_bench.cli.base import said
from agn_bench.cli.display import readable_seconds
from agn_bench.clock.rules import ASYNCHRONOUS
from agn_bench.config.run import RunConfig
from agn_bench.execution.work import Watcher
from agn_bench.problems import LOSS
from agn_bench.training.columns import measured_in_training, summary
from agn_bench.training.remarks import of_run

if TYPE_CHECKING:
    from agn_bench.training import records

_LINES_PER_RUN = 10
_WIDTH_WITH_BAR = 96
_SECONDS_PER_LINE = 5.0
_SECONDS_SILENT = 50.0
_SECONDS_OF_SPEED = 600.0


def _is_live(console: Console) -> bool:
    """Whether lines can be drawn over; Rich calls a pipe a terminal where FORCE_COLOR is set."""
    return console.file.isatty() and not console.is_dumb_terminal


class _Heartbeat:
    """Where lines are not drawn over, says how far the work is if nothing has been said for about a minute: whoever
    reads a log is to see that it goes on, however long a step takes.
    """

    def __init__(self, console: Console, line: Callable[[], str]) -> None:
        self._console, self._line = console, line
        self._ended = threading.Event()
        self._said = time.perf_counter()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    @property
    def silent_s(self) -> float:
        """Seconds since something was said."""
        return time.perf_counter() - self._said

    def start(self) -> None:
        if not _is_live(self._console):
            self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()

    def say(self, line: str) -> None:
        self._said = time.perf_counter()
        self._console.print(printable(line), soft_wrap=True)

    def _beat(self) -> None:
        while not self._ended.wait(_SECONDS_SILENT / 10):
            if self.silent_s > _SECONDS_SILENT:
                self.say(self._line())


class RunDisplay(Watcher):
    """A live line for each run that is being made; elsewhere a plain one now and then, and at least every minute.

    Args:
        at_each_report: called before anything is shown; may raise to end the runs.
        several: the runs of a sweep; then a line tells how far the whole is, and plain lines only that a run has ended.
    """

    def __init__(
        self,
        console: Console,
        at_each_report: Callable[[], None] = lambda: None,
        several: Sequence[RunConfig] = (),
    ) -> None:
        self._console = console
        self._live_here = _is_live(console)
        self._at_each_report = at_each_report
        bar = [BarColumn(bar_width=None)] if console.width >= _WIDTH_WITH_BAR else []
        self._live = Progress(
            TextColumn("{task.description}", markup=False),
            *bar,
            TextColumn("{task.fields[count]}", markup=False),
            TextColumn("{task.fields[facts]}", markup=False),
            TimeRemainingColumn(compact=True),
            console=console,
            disable=not self._live_here,
            transient=True,
            speed_estimate_period=_SECONDS_OF_SPEED,
        )
        self._whole = _Whole(several) if several else None
        self._whole_task = self._live.add_task("all", total=None, count="", facts="") if several else None
        self._tasks: dict[str, TaskID] = {}
        self._began: dict[str, float] = {}
        self._latest: dict[str, str] = {}
        """What is known of each run that is being made, by its name."""
        self._heartbeat = _Heartbeat(console, self._in_a_line)
        self._lines: dict[str, int] = {}
        self._waiting = ""
        self.remarks: list[str] = []
        """About the first run that was made and has some (see training.remarks)."""

    def __enter__(self) -> RunDisplay:
        self._show_whole()
        self._live.start()
        self._heartbeat.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._heartbeat.stop()
        self._live.stop()

    def _in_a_line(self) -> str:
        """How far everything is."""
        if self._waiting:
            return self._waiting
        if self._whole:
            return f"[{self._whole}] {self._whole.left}"
        return "; ".join(f"{name}: {facts}" for name, facts in list(self._latest.items())) or "preparing …"

    def started(self, config: RunConfig) -> None:
        name = config.run_id
        self._began[name], self._lines[name] = time.perf_counter(), 0
        self._latest[name] = "compiling …"
        label = f"{config.optimizer} s{config.seed}"
        if self._whole:
            label = f"{config.optimizer} n{config.workers} λ{config.local_steps} s{config.seed}"
        self._show_whole()
        about = "" if config.shares == "equal" and config.rules == ASYNCHRONOUS else "about "
        count = f"0/{about}{config.exchanges} exchanges"
        self._tasks[name] = self._live.add_task(label, total=config.exchanges, count=count, facts="compiling …")

    def progressed(self, config: RunConfig, progress: records.Progress) -> None:
        self._at_each_report()
        name = config.run_id
        facts = ", ".join([f"{progress.sim_time_s:.0f} s simulated", *_values(config, progress)])
        done = progress.exchanges / progress.exchanges_total
        count = f"{progress.exchanges:.0f}/{progress.exchanges_total:.0f} exchanges"
        if self._whole:
            self._whole.progressed(config, done)
            self._show_whole()
        left = (time.perf_counter() - self._began[name]) * (1 - done) / done
        self._latest[name] = f"{count}, {facts}, {readable_seconds(left)} left"
        if self._live_here:
            total = progress.exchanges_total
            self._live.update(self._tasks[name], total=total, completed=progress.exchanges, count=count, facts=facts)
        elif not self._whole and int(done * _LINES_PER_RUN) > self._lines[name]:
            self._lines[name] = int(done * _LINES_PER_RUN)
            self._say(f"{name}: {self._latest[name]}")

    def ended(self, config: RunConfig, result: records.RunResult) -> None:
        self.remarks = self.remarks or of_run(result)
        row = summary(result)
        taken = time.perf_counter() - self._began[config.run_id]
        column = config.trains.column(next(iter(config.trains.measures)))
        more = f", {measures.named_value(column, row[column])}, made in {taken:.0f} s" if self._whole else ""
        self._end(config, f"{row['status']}{more}")

    def failed(self, config: RunConfig, error: Exception) -> None:
        self._end(config, f"FAILED ({type(error).__name__}: {said(error)})" if self._whole else "")  # else it is raised

    def found(self, config: RunConfig) -> None:
        if self._whole:
            self._whole.found(config)
            self._show_whole()
        else:
            self._say(f"{config.run_id}: finished before, not repeated (--force repeats it)")

    def waiting(self, reason: str) -> None:
        self._at_each_report()
        facts = f"waiting {reason}"
        if self._whole_task is not None:
            self._live.update(self._whole_task, facts=facts)
        if not self._live_here and facts != self._waiting:
            self._say(facts)
        self._waiting = facts

    def tick(self) -> None:
        self._at_each_report()

    def _end(self, config: RunConfig, what: str) -> None:
        name = config.run_id
        if name in self._tasks:
            self._live.remove_task(self._tasks[name])
        self._latest.pop(name, None)
        count = ""
        if self._whole:
            self._whole.ended(config)
            count = f"[{self._whole}] "
            self._show_whole()
        if what:
            left = f" ({self._whole.time_left} left)" if self._whole and self._whole.time_left else ""
            self._say(f"{count}{name}: {what}{left}")

    def _show_whole(self) -> None:
        self._waiting = ""
        if self._whole and self._whole_task is not None:
            count = f"{self._whole} runs"
            self._live.update(
                self._whole_task, completed=self._whole.done, total=self._whole.total, count=count, facts=""
            )

    def _say(self, line: str) -> None:
        self._heartbeat.say(line)


class _Whole:
    """How far a sweep is, in gradient steps times parameters: what its time goes into."""

    def __init__(self, configs: Sequence[RunConfig]) -> None:
        self._runs = len(configs)
        self._ended = 0
        self._began = time.perf_counter()
        self._parts: dict[str, float] = {}
        self.done = 0.0
        self.total = float(sum(map(_cost, configs)))

    def progressed(self, config: RunConfig, part: float) -> None:
        now = part * _cost(config)
        self.done += now - self._parts.get(config.run_id, 0.0)
        self._parts[config.run_id] = now

    def ended(self, config: RunConfig) -> None:
        self.progressed(config, 1.0)
        self._ended += 1

    def found(self, config: RunConfig) -> None:
        """A run that takes no time: it is not counted in what is to be done."""
        self.done -= self._parts.pop(config.run_id, 0.0)
        self.total -= _cost(config)
        self._ended += 1

    @property
    def time_left(self) -> str:
        """About how long the rest takes if it goes on so; nothing where that is not known, or nothing is left."""
        if not 0 < self.done < self.total:
            return ""
        seconds = (time.perf_counter() - self._began) * (self.total - self.done) / self.done
        return f"about {readable_seconds(seconds)}"

    @property
    def left(self) -> str:
        """How much of the work is done, and how long the rest takes."""
        left = f"{self.time_left} left" if self.time_left else "the time left is not known yet"
        return f"{100 * self.done / self.total if self.total else 0:.0f} % of the work is done, {left}"

    def __str__(self) -> str:
        return f"{self._ended}/{self._runs}"


def _cost(config: RunConfig) -> int:
    return config.steps * config.batch_size * config.message_bytes


class FetchDisplay:
    """Shows what is fetched from where, and how much of it is there.

    Args:
        at_each_report: called before anything is shown; may raise to end the work.
    """

    def __init__(self, console: Console, at_each_report: Callable[[], None] = lambda: None) -> None:
        self._console, self._at_each_report = console, at_each_report
        self._live_here = _is_live(console)
        self._live = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            DownloadColumn(),
            console=console,
            disable=not self._live_here,
            transient=True,
        )
        self._task = self._live.add_task("", total=None)
        self._said = ""

    def __enter__(self) -> FetchDisplay:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def report(self, what: str, done: int, total: int) -> None:
        """So many bytes are there, of so many (0: not known)."""
        self._at_each_report()
        self._live.update(self._task, description=what, completed=done, total=total or None)
        if what != self._said and not self._live_here:
            self._console.print(what, soft_wrap=True)
        self._said = what


class StepDisplay:
    """Shows that something goes on, and what: a live line on a terminal, elsewhere a plain one now and then, and at
    least every minute.

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
        count = [TextColumn("{task.completed:.0f}/{task.total:.0f}", markup=False), TimeRemainingColumn(compact=True)]
        self._live = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            TimeElapsedColumn(),
            *(count if total else []),
            console=console,
            disable=not self._live_here,
            transient=True,
        )
        self._task = self._live.add_task(title, total=total)
        self._steps, self._what, self._began = 0, "", time.perf_counter()
        self._heartbeat = _Heartbeat(console, self._in_a_line)

    def __enter__(self) -> StepDisplay:
        self._live.start()
        self._heartbeat.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._heartbeat.stop()
        self._live.stop()

    def _in_a_line(self) -> str:
        """How far everything is, and how long the rest takes if it goes on so."""
        taken = time.perf_counter() - self._began
        if self._total is None or not self._steps:
            return f"{self._title}: {self._what or 'preparing …'}, {readable_seconds(taken)} so far"
        left = readable_seconds(taken * (self._total - self._steps) / self._steps)
        return f"{self._title}: {self._steps}/{self._total} {self._what}, about {left} left"

    def step(self, what: str) -> None:
        """Another step begins, or has ended: `what` says which."""
        self._at_each_step()
        self._steps, self._what = self._steps + 1, what
        self._live.update(self._task, completed=self._steps, description=f"{self._title}: {what}")
        if not self._live_here and self._heartbeat.silent_s > _SECONDS_PER_LINE:
            self._heartbeat.say(self._in_a_line())


def _values(config: RunConfig, progress: records.Progress) -> list[str]:
    """The problem's first measure, of the last mini-batches and of the center; of those that are not in training the
    loss.
    """
    measure = next(iter(config.trains.measures))
    in_training = measure if measure in progress.batch else LOSS
    values = {measured_in_training(in_training): progress.batch[in_training]}
    if measure in progress.center:
        values[config.trains.column(measure)] = progress.center[measure]
    return [measures.brief(column, value) for column, value in values.items()]
