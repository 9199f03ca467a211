"""A timeline read from a file: recorded on a real cluster, or a commits.csv of this program.

One row an exchange, in the order in which the server applied them. `worker` (a whole number from 0) and `applied_s`
must be there; the rest is derived where it is missing:

    resume_s                                applied_s
    served_s, arrive_s, compute_end_s       the next of the four times that end with applied_s: what was not recorded
                                            took no time
    start_s                                 resume_s of the worker's exchange before; 0 for its first
    staleness, exchange                     follow from the rows, and must agree with them where they are given
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from agn_bench.base.inputs import BadInput, content_hash
from agn_bench.base.user_files import CsvFile, read_csv
from agn_bench.clock import Profile
from agn_bench.clock.timeline import Timeline, by_worker, in_order

TIMES = ("start_s", "compute_end_s", "arrive_s", "served_s", "applied_s", "resume_s")
"""The times of an exchange, in the order in which they come."""
_ACCEPTED = "a CSV file, a row an exchange in the order applied, with worker, applied_s (see docs/files.md)"
_MOST_WORKERS = 1_000_000


@dataclass(frozen=True)
class Trace:
    """A recorded timeline, called by its file's stem and content hash."""

    name: str
    timeline: Timeline
    options: tuple[str, ...] = ()
    """The command line's words for it, without a path."""
    instead_of: Profile | None = None
    """What the timeline would be simulated from without it."""
    required: bool = False
    """Whether it must be the very timeline that `instead_of` gives."""

    @property
    def phases(self) -> int:
        """The most local phases of a worker."""
        return int(self.timeline.phase.max()) + 1

    def with_local_steps(self, local_steps: int) -> Timeline:
        return replace(self.timeline, local_steps=local_steps)

    def as_dict(self) -> dict[str, str]:
        """What identifies it among the delays of runs."""
        return {"trace": self.name}


def read_trace(path: Path) -> Trace:
    """Read and check a trace.

    Raises:
        BadInput: with the line and the column of what cannot be used.
    """
    table = read_csv("timeline", path, ("worker", "applied_s"), _ACCEPTED)
    timeline = _Checker(table).timeline()
    return Trace(f"{path.stem}-{content_hash(table.content)}", timeline, options=("--timeline", path.name))


class _Checker:
    """Completes a table to a timeline, or says which line does not fit."""

    def __init__(self, table: CsvFile) -> None:
        self._table = table

    def timeline(self) -> Timeline:
        worker = self._workers()
        workers = int(worker.max()) + 1
        exchange, phase = by_worker(worker, workers)

        def before(values: np.ndarray, first: float) -> np.ndarray:
            """The value of the worker's exchange before."""
            return in_order(exchange, np.where(phase == 0, first, np.roll(values[exchange], 1)))

        applied = self._seconds("applied_s", None)
        self._table.require(
            np.diff(applied, prepend=0.0) >= 0, "applied_s", "before the row above", "rows in the order applied"
        )
        served = self._seconds("served_s", applied)
        arrive = self._seconds("arrive_s", served)
        compute_end = self._seconds("compute_end_s", arrive)
        resume = self._seconds("resume_s", applied)
        start = self._seconds("start_s", before(resume, 0.0))
        times = (start, compute_end, arrive, served, applied, resume)
        for (earlier_name, earlier), (name, later) in zip(
            zip(TIMES, times, strict=True), zip(TIMES[1:], times[1:], strict=True), strict=False
        ):
            accepted = "times that follow one another: " + ", ".join(TIMES)
            if name in self._table:
                self._table.require(later >= earlier, name, f"before {earlier_name}", accepted)
            else:
                self._table.require(later >= earlier, earlier_name, f"after {name}", accepted)
        self._table.require(
            start >= before(resume, 0.0),
            "start_s",
            "before the worker had its parameters",
            "a start from resume_s of the worker's exchange before",
        )
        timeline = Timeline.asynchronous(workers, 1, worker, times, (exchange, phase))
        self._agree("exchange", np.arange(len(worker)), "counting from 0 in the order of the rows")
        self._agree(
            "staleness", timeline.staleness, "the number of rows since the worker's row before, as its order says"
        )
        return timeline

    def _workers(self) -> np.ndarray:
        accepted = f"whole numbers from 0 to {_MOST_WORKERS - 1}"
        worker = self._numbers("worker")
        self._table.require(
            (worker >= 0) & (worker < _MOST_WORKERS) & (worker % 1 == 0), "worker", "no worker's index", accepted
        )
        present = np.unique(worker)
        missing = np.flatnonzero(present != np.arange(len(present)))
        if len(missing):
            problem = f"has workers up to {present[-1]:.0f}, but no row of worker {missing[0]}"
            raise BadInput("timeline", self._table.path, problem, "workers counted from 0, each with a row")
        return worker.astype(np.int32)

    def _seconds(self, column: str, otherwise: np.ndarray | None) -> np.ndarray:
        """A column of times, or what is taken where the file has none."""
        if column not in self._table and otherwise is not None:
            return otherwise
        values = self._numbers(column)
        self._table.require(values >= 0, column, "negative", "seconds, 0 or more")
        return values

    def _numbers(self, column: str) -> np.ndarray:
        values = self._table.numbers(column)
        self._table.require(np.isfinite(values), column, "not a finite number", "a number in every row")
        return values

    def _agree(self, column: str, expected: np.ndarray, accepted: str) -> None:
        if column in self._table:
            values = self._numbers(column)
            wrong = np.flatnonzero(values != expected)
            if len(wrong):
                problem = f"not the {expected[wrong[0]]} that the rows' order gives"
                raise self._table.refuse(int(wrong[0]), column, problem, accepted)
