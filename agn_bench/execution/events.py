"""What a user's function is told of runs while they are made: small values, each with the run that it is of.

Started     a run begins
Point       some exchanges more are made
Ended       the run is made; one that diverged is a result too
Failed      it could not be made
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
    """Of all workers, in the exchanges that are made."""
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
    """A run could not be made."""

    config: RunConfig
    error: Exception


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
        self._told: dict[str, int] = {}
        self.raised: BaseException | None = None
        self.results: dict[str, RunResult] = {}
        self.errors: dict[str, Exception] = {}

    def started(self, config: RunConfig) -> None:
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
        self._tell(Ended(config, result))

    def failed(self, config: RunConfig, error: Exception) -> None:
        self.errors[config.run_id] = error
        self._tell(Failed(config, error))

    def tick(self) -> None:
        """Raise what the function has raised."""
        if self.raised is not None:
            raise self.raised

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
