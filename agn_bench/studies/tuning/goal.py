"""What a run is worth, at its end and on the way there; and the bound below which one is not worth going on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from agn_bench.analysis import metrics
from agn_bench.analysis.comparison import counted
from agn_bench.analysis.measures import Measured

Curve = Mapping[Any, Any]
"""The columns of curve.csv, or a table of them."""

AREA, END = "area", "end"
GOALS = (AREA, END)
"""The measure's mean over the simulated time, as `table` has it; its value at the end of that time."""
LOOKS = (1 / 4, 1 / 2)
"""The parts of the simulated time at which a run that is behind is ended."""


@dataclass(frozen=True)
class Goal:
    """What is to be as large, or as small, as can be."""

    measure: Measured
    seconds: float
    """Simulated time of all runs."""
    window: float
    """Over which a point of their curves averages, simulated s."""
    by: str = AREA

    @property
    def times(self) -> tuple[float, ...]:
        """When a run is looked at, in simulated s, its end last."""
        return (*(part * self.seconds for part in LOOKS), self.seconds)

    def values(self, row: Mapping[Any, Any], curve: Curve, times: Sequence[float]) -> tuple[float, ...]:
        """What a run was worth at these times, in simulated s.

        Args:
            row: its columns of summary.csv.
            curve: its columns of curve.csv, as far as they are known.
        """
        return tuple(self.read(counted(row, self._until(curve, time_s), self.measure), time_s) for time_s in times)

    def _until(self, curve: Curve, time_s: float) -> dict[str, np.ndarray]:
        """The points up to the first one that is not before a time: the same arrays, whatever is known beyond."""
        known = int(np.searchsorted(curve["time_s"], time_s)) + 1
        return {name: np.asarray(curve[name])[:known] for name in ("time_s", self.measure.column)}

    def read(self, curve: metrics.Curve, until_s: float) -> float:
        """What a run is worth at a time in simulated s, by its curve as it counts."""
        reading = metrics.reading(self.measure)
        if self.by == AREA:
            return reading.area(curve, until_s)
        if self.measure.is_of_center:
            return reading.value_at(curve, until_s)
        # The window that ends there is the last one that is whole, and may be without mini-batches.
        return reading.value_at(curve, min(max(0.0, until_s - self.window), float(curve[0][-1])))

    def is_worse(self, value: float, than: float) -> bool:
        return value < than if self.measure.higher_is_better else value > than

    def best(self, values: Sequence[float]) -> int:
        """The index of the best of some values, the first of equal ones."""
        return int((np.argmax if self.measure.higher_is_better else np.argmin)(values))


@dataclass(frozen=True)
class Bound:
    """A check that ends a run which is worth less than `least` at the last of `times` (see records.Check).

    What it says is what the run was worth at these times.
    """

    goal: Goal
    times: tuple[float, ...]
    least: float

    @property
    def until_s(self) -> float:
        return self.times[-1]

    def verdict(self, curve: Mapping[str, np.ndarray]) -> tuple[float, ...] | None:
        row = {"status": "done", "sim_time_s": self.goal.seconds}
        values = self.goal.values(row, curve, self.times)
        return values if self.goal.is_worse(values[-1], self.least) else None
