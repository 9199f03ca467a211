"""What a user's function is told of runs while they are made: small values, each with the run that it is of.

Started     a run begins
Point       some exchanges more are made
Ended       the run is made; one that diverged is a result too
Failed      it could not be made, or something ended it before its end, as Ctrl-C
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from agn_bench.config.run import RunConfig
from agn_bench.execution.work import Watcher
from agn_bench.training.columns import measured_in_training
from agn_bench.training.records import Progress, RunResult


@dataclass(frozen=True)
class Started:
    """A run begins."""

    config: RunConfig


@dataclass(frozen=True)
class Point:
    """Some exchanges more of a run are made: those since the point before."""

    config: RunConfig
    time_s: float
    """Simulated."""
    exchanges: int
    exchanges_total: int
    gradient_steps: int
    """Those of all workers, in the exchanges that are made."""
    measures: Mapping[str, float]
    """By column, as in curve.csv: `train_…` are means over the mini-batches of these exchanges. Those of the center, as
    `test_…`, are there if it was evaluated after them.
    """


@dataclass(frozen=True)
class Ended:
    """A run is made."""

    config: RunConfig
    result: RunResult


@dataclass(frozen=True)
class Failed:
    """A run could not be made, or something ended it before its end."""

    config: RunConfig
    error: BaseException
    """Why: KeyboardInterrupt at Ctrl-C, or what the function itself has raised."""


Event = Started | Point | Ended | Failed
OnEvent = Callable[[Event], object]


class Listener(Watcher):
    """Tells a user's function what becomes of runs, and keeps these.

    What the function raises at a point is kept until the run has ended in good order, since it is raised within the
    training.

    Args:
        ends_runs: whether a run ends soon after the function has answered True to one of its points.
    """

    def __init__(self, on_event: OnEvent | None, ends_runs: bool = False) -> None:
        self._on_event, self._ends_runs = on_event, ends_runs
        self._begun: dict[str, RunConfig] = {}
        """Those of which the function has not been told the end."""
        self._told: dict[str, int] = {}
        self.raised: BaseException | None = None
        self.results: dict[str, RunResult] = {}
        self.errors: dict[str, Exception] = {}

    def started(self, config: RunConfig) -> None:
        self._begun[config.run_id] = config
        self._tell(Started(config))

    def progressed(self, config: RunConfig, progress: Progress) -> bool:
        """Whether the run is to end."""
        if self.raised is not None:
            return True
        if progress.exchanges <= self._told.get(config.run_id, 0):  # a run that diverges is made twice (see replay.py)
            return False
        self._told[config.run_id] = progress.exchanges
        try:
            return self._tell(_point(config, progress)) is True and self._ends_runs
        except BaseException as error:
            self.raised = error
            return True

    def ended(self, config: RunConfig, result: RunResult) -> None:
        self.tick()
        self.results[config.run_id] = result
        self._tell_the_end(Ended(config, result))

    def failed(self, config: RunConfig, error: Exception) -> None:
        self.tick()
        self.errors[config.run_id] = error
        self._tell_the_end(Failed(config, error))

    def cut_short(self, error: BaseException) -> None:
        """Tell the end of all runs that have begun: they have failed with this error. What the function raises now is
        not raised, since the error is.
        """
        for config in [*self._begun.values()]:
            with suppress(Exception):
                self._tell_the_end(Failed(config, error))

    def tick(self) -> None:
        """Raise what the function has raised."""
        if self.raised is not None:
            raise self.raised

    def _tell_the_end(self, event: Ended | Failed) -> None:
        self._begun.pop(event.config.run_id, None)  # before it is told: it is told once, even if the function raises
        self._tell(event)

    def _tell(self, event: Event) -> object:
        return None if self._on_event is None else self._on_event(event)


def _point(config: RunConfig, progress: Progress) -> Point:
    column = config.trains.column
    measures = {measured_in_training(name): value for name, value in progress.batch.items()}
    if progress.evaluated:
        measures |= {column(name): value for name, value in progress.center.items()}
    return Point(
        config, progress.sim_time_s, progress.exchanges, progress.exchanges_total, progress.gradient_steps, measures
    )
