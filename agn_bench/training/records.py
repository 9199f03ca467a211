"""What a run leaves in memory: values only. `simulate` makes them, `columns` reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Protocol

import numpy as np

from agn_bench.clock.timeline import Timeline
from agn_bench.config.run import RunConfig

Params = Any
"""A pytree of arrays."""


class Evaluation(NamedTuple):
    """The center, evaluated."""

    version: int
    """Exchanges the center had absorbed."""
    values: dict[str, float]
    """By measure."""


class Target(NamedTuple):
    """At which value of a measure a run ends."""

    measure: str
    value: float
    higher_is_better: bool

    def is_reached(self, values: Mapping[str, float]) -> bool:
        """Whether an evaluation is as good, or better."""
        found = values[self.measure]
        return found >= self.value if self.higher_is_better else found <= self.value


@dataclass(frozen=True)
class Progress:
    """How far a run has come."""

    exchanges: int
    exchanges_total: int
    sim_time_s: float
    batch: Mapping[str, float]
    """Loss and other measures of the last mini-batches, means."""
    center: Mapping[str, float]
    """The measures of the last evaluation; none before the first."""
    gradient_steps: int
    """The steps of all workers in these exchanges."""
    evaluated: bool
    """Whether the center was evaluated after these exchanges."""


@dataclass(frozen=True)
class Replay:
    """What a replay measured. Arrays hold the exchanges up to the diverging one, if there is one, and it included."""

    center: Params
    """The final one, NumPy arrays; None where nobody wanted it (see execution.one)."""
    losses: np.ndarray
    """(exchanges, λ); where λ varies see Timeline.of_steps."""
    measured: Mapping[str, np.ndarray]
    """By measure (exchanges, λ), the sum over each mini-batch, as of the images that were classified correctly."""
    evaluations: list[Evaluation]
    diverged_exchange: int | None
    """The first exchange with a loss or a center that is not finite."""
    reached: bool = False
    """Whether the last evaluation reached the value at which the run was to end."""
    applied: int | None = None
    """Commits that have changed the center, where the optimizer leaves some out by their values."""
    stopped: bool = False
    """Whether whoever followed its progress ended it before its end."""

    @property
    def exchanges(self) -> int:
        """Made: all of the timeline's, or up to the diverging one and it included."""
        return len(self.losses)

    def with_room(self, steps: int) -> Replay:
        """The same with room for phases of so many steps."""
        measured = {name: sums[:, :steps] for name, sums in self.measured.items()}
        return replace(self, losses=self.losses[:, :steps], measured=measured)


class Check(Protocol):
    """What a run must have reached by some simulated time, so that it goes on."""

    @property
    def until_s(self) -> float:
        """How much of the curve it looks at, in simulated s."""

    def verdict(self, curve: Mapping[str, np.ndarray]) -> Any:
        """None: the run goes on. Else it ends, and this is kept with it (RunResult.verdict).

        Args:
            curve: the columns of curve.csv, which are the whole run's up to `until_s` and one point more, and go on
                with what there is.
        """


@dataclass(frozen=True)
class RunResult:
    """A run: its timeline and what the replay of it measured."""

    config: RunConfig
    timeline: Timeline
    replay: Replay
    looks: list[tuple[float, int]]
    """At which times the center was to be evaluated, and how many exchanges it had absorbed then."""
    trained: Mapping[str, float]
    """The measures of the final center over the training set; none if the run diverged, or the problem evaluates the
    center by itself."""
    wall_clock_s: dict[str, float]
    facts: Mapping[str, Any] = field(default_factory=dict)
    """When and where it was made, for run.json."""
    verdict: Any = None
    """What the check said that ended it (see Check); None: none has."""

    @property
    def status(self) -> str:
        """`done` or `diverged`, either of which is a result; or `stopped`: it was ended from outside (see
        library.run and Check), and what there is of it is not the configuration's result.
        """
        if self.replay.diverged_exchange is not None:
            return "diverged"
        return "stopped" if self.replay.stopped else "done"

    @property
    def gradient_steps(self) -> int:
        """Trained, of all workers together; config.gradient_steps are those that were asked for."""
        return int(self.timeline.steps[: self.replay.exchanges].sum(dtype=np.int64))

    @property
    def remarks(self) -> list[str]:
        """What one should know of the run without having asked, a sentence each: more than 1 % of the work was not
        trained; the last tenth of it took more than a third of the simulated time.
        """
        from agn_bench.base.inputs import spelled
        from agn_bench.training.remarks import of_run

        return [spelled(remark) for remark in of_run(self)]

    @property
    def diverged_s(self) -> float | None:
        """When the center, or the loss of a commit to it, stopped being finite."""
        exchange = self.replay.diverged_exchange
        return None if exchange is None else float(self.timeline.applied_s[exchange])
