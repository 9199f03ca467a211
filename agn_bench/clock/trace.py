"""A timeline read from a file: recorded on a real cluster, or a commits.csv of this program.

One row an exchange. `worker` and `applied_s` must be there, in any of the forms that logs.py brings into one; the rest
is derived where it is missing:

    resume_s                                applied_s
    served_s, arrive_s, compute_end_s       the next of the four times that end with applied_s: what was not recorded
                                            took no time
    start_s                                 resume_s of the worker's exchange before; 0 for its first
    accepted (1 or 0)                       1: the commit counted
    version                                 the center's after the exchange: each accepted commit makes one
    answered                                the exchange after which the worker was answered: its own
    phase                                   how many the worker has had before: the phases left out were interrupted
    pulled                                  the version after the exchange at which the worker was answered before
    steps                                   as many in each phase as the run has; so it is where all rows say the same
    staleness, exchange                     follow from the rows, and must agree with them where they are given
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from agn_bench.base.inputs import BadInput, content_hash, printable
from agn_bench.base.user_files import CsvFile
from agn_bench.clock import Profile
from agn_bench.clock.log_times import A_TIME
from agn_bench.clock.logs import LARGEST_INDEX, read_log
from agn_bench.clock.rules import ASYNCHRONOUS, MOST, Rules
from agn_bench.clock.timeline import TIMES, Phases, Timeline, by_worker, counted, in_order

_OF_RULES = ("accepted", "version", "answered", "phase", "pulled")
"""Columns that only logs have whose workers wait, or whose commits do not all count."""


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
    ruled: bool = False
    """Whether workers waited, or commits did not all count."""
    notes: tuple[str, ...] = ()
    """What was guessed of the file, and what was taken off its times, a sentence each."""

    @property
    def phases(self) -> int:
        """The most local phases of a worker."""
        return int(self.timeline.phase.max()) + 1

    def under(self, rules: Rules, local_steps: int) -> Timeline:
        """The timeline of workers that make so many local steps a phase, if it does not say it of each.

        Raises:
            BadInput: it does not keep the rules.
        """
        timeline = self.timeline
        if timeline.own_steps is None:
            timeline = replace(timeline, local_steps=local_steps)
        if rules == ASYNCHRONOUS and not self.ruled:
            return timeline
        if not self.ruled:
            if rules != Rules(quorum=rules.quorum, drop_at=rules.drop_at):
                problem = f"its workers go on at once, and the optimizer asks for {rules}"
                accepted = "another optimizer, or a log with the columns version, accepted, answered, pulled"
                raise BadInput("timeline", self.name, problem, accepted)
            return _counted(timeline, rules)
        expected = _counted(timeline, rules)
        for column in ("accepted", "version"):
            wrong = np.flatnonzero(getattr(expected, column) != getattr(timeline, column))
            if len(wrong):
                row = wrong[0]
                problem = f"exchange {row} has {column} {getattr(timeline, column)[row]:d}"
                says = f"{getattr(expected, column)[row]:d}, as the optimizer asks ({rules})"
                raise BadInput("timeline", self.name, problem, says)
        answered = timeline.answered
        if rules.waits:
            reached = timeline.version[answered] > timeline.version - timeline.made
            wrong = np.flatnonzero(timeline.accepted & (answered >= 0) & ~reached)
            if len(wrong):
                problem = f"the worker of exchange {wrong[0]} goes on before the version is made"
                raise BadInput("timeline", self.name, problem, "workers that wait for it, as the optimizer asks")
        return timeline

    def as_dict(self) -> dict[str, str]:
        """What identifies it among the delays of runs."""
        return {"trace": self.name}


def read_trace(path: Path, columns: str | None = None) -> Trace:
    """Read and check a trace.

    Args:
        columns: by which names the file has the columns, as in `worker=host,applied_s=ts`.

    Raises:
        BadInput: with the line and the column of what cannot be used.
    """
    table = read_log(path, columns)
    timeline = _Checker(table).timeline()
    name = f"{printable(path.stem)}-{content_hash(table.content)}"
    plain = Timeline.asynchronous(timeline.workers, 1, timeline.worker, tuple(getattr(timeline, t) for t in TIMES))
    waited = int(((timeline.answered >= 0) & (timeline.answered != np.arange(timeline.exchanges))).sum())
    says = f"{path.name}: in {waited} of {timeline.exchanges} exchanges the worker was answered only after a later one."
    ruled = any(not np.array_equal(getattr(timeline, name), getattr(plain, name)) for name in _OF_RULES)
    options = ("--timeline", path.name, *(() if columns is None else ("--columns", columns)))
    return Trace(name, timeline, options=options, ruled=ruled, notes=(*table.notes, *([says] if waited else [])))


def _counted(timeline: Timeline, rules: Rules) -> Timeline:
    """The timeline with the commits that count by the rules, and the versions that they make."""
    drop_at = MOST if rules.drop_at is None else rules.drop_at
    count = 0

    def decide(worker: int, pulled: int, version: int) -> tuple[bool, bool]:
        nonlocal count
        accepted = version - pulled < drop_at
        count += accepted
        makes = count == rules.quorum
        count = 0 if makes else count
        return accepted, makes

    return counted(timeline, decide, timeline.pulled if timeline.made.sum() < timeline.exchanges else None)


class _Checker:
    """Completes a table to a timeline, or says which line does not fit."""

    def __init__(self, table: CsvFile) -> None:
        self._table = table

    def timeline(self) -> Timeline:
        worker = self._workers()
        workers = int(worker.max()) + 1
        exchange, number = by_worker(worker, workers)

        def before(values: np.ndarray, first: float) -> np.ndarray:
            """The value of the worker's exchange before."""
            return in_order(exchange, np.where(number == 0, first, np.roll(values[exchange], 1)))

        answered = self._answered(exchange, worker)
        applied = self._seconds("applied_s", None)
        served = self._seconds("served_s", applied)
        arrive = self._seconds("arrive_s", served)
        compute_end = self._seconds("compute_end_s", arrive)
        leaves = np.where(answered < 0, np.nan, applied[answered])
        resume = self._seconds("resume_s", leaves, blank=answered < 0)
        start = self._seconds("start_s", before(resume, 0.0))
        times = (start, compute_end, arrive, served, applied, resume)
        never = answered < 0
        for (earlier_name, earlier), (name, later) in zip(
            zip(TIMES, times, strict=True), zip(TIMES[1:], times[1:], strict=True), strict=False
        ):
            accepted = "times that follow one another: " + ", ".join(TIMES)
            holds = (later >= earlier) | ((name == "resume_s") & never)
            if name in self._table:
                self._table.require(holds, name, f"before {earlier_name}", accepted)
            else:
                self._table.require(holds, earlier_name, f"after {name}", accepted)
        self._table.require(
            (resume >= leaves) | never, "resume_s", "before the answer left", "a time from applied_s of that exchange"
        )
        self._table.require(
            start >= before(resume, 0.0),
            "start_s",
            "before the worker had its parameters",
            "a start from resume_s of the worker's exchange before",
        )
        timeline = Timeline.asynchronous(workers, 1, worker, times, (exchange, number))
        self._agree("exchange", np.arange(len(worker)), "counting from 0 in the order of the rows")
        if any(column in self._table for column in _OF_RULES):
            timeline = self._with_rules(timeline, answered, before)
        timeline = self._with_steps(timeline, exchange)
        self._agree("staleness", timeline.staleness, "the versions made since the worker was answered, as the rows say")
        return timeline

    def _answered(self, exchange: np.ndarray, worker: np.ndarray) -> np.ndarray:
        """The exchange after which each worker was answered, −1 for none."""
        own = np.arange(len(worker))
        if "answered" not in self._table:
            return own
        values = self._table.numbers("answered")
        following = in_order(exchange, np.append(exchange[1:], len(worker)))
        is_last = in_order(exchange, np.append(np.diff(worker[exchange]) != 0, True))
        following = np.where(is_last, len(worker), following)
        accepted = "the exchange after which its worker was answered: this one or a later one, before the worker's next"
        blank = (np.isnan(values) | (values == -1)) & is_last
        inside = (values >= own) & (values < following) & (values == np.floor(values))
        self._table.require(blank | inside, "answered", "not possible", accepted + "; −1 or blank: never")
        return np.where(blank, -1, values).astype(np.int32)

    def _with_rules(
        self, timeline: Timeline, answered: np.ndarray, before: Callable[[np.ndarray, float], np.ndarray]
    ) -> Timeline:
        """The timeline with what the file says of commits, versions and phases."""
        ones = np.ones(timeline.exchanges)
        accepted = self._whole("accepted", ones)
        self._table.require(accepted <= 1, "accepted", "neither 0 nor 1", "1 for a commit that counted, else 0")
        version = self._whole("version", np.cumsum(accepted))
        made = np.diff(version, prepend=0)
        follows = "the version before, or one more after a commit that counted"
        self._table.require((made >= 0) & (made <= accepted), "version", "out of order", follows)
        last = before(np.arange(timeline.exchanges), -1)
        phase = self._whole("phase", timeline.phase)
        earlier = before(phase, -1)
        self._table.require(phase > earlier, "phase", "not after the worker's phase before", "phases in order, from 0")
        was_answered = np.where(last < 0, -1, answered[last])
        known = np.where(was_answered < 0, 0, version[was_answered])
        pulled = self._whole("pulled", known)
        interrupted = phase > earlier + 1
        newest = version - made
        self._table.require(pulled <= newest, "pulled", "not there yet", "a version that had been made")
        # A worker that joined late, or had phases interrupted since, has pulled a newer one.
        self._table.require(
            (pulled == known) | (((last < 0) | interrupted) & (pulled > known)),
            "pulled",
            "not what the worker was answered with",
            "the version after the exchange of its answer; a newer one if phases were interrupted since",
        )
        joined = np.full(timeline.workers, -1, np.int32)
        late = np.flatnonzero((last < 0) & ~interrupted & (pulled > 0))
        joined[timeline.worker[late]] = np.searchsorted(version, pulled[late])
        # The last of the phases that are left out was interrupted when the version was made that was pulled then.
        # Where none newer was pulled, the worker left phases out by itself.
        which = np.flatnonzero(interrupted & (pulled > known))
        told = np.searchsorted(version, pulled[which])
        times = timeline.start_s[which]
        whole = np.zeros(len(which), np.int32)
        return replace(
            timeline,
            phase=phase.astype(np.int32),
            pulled=pulled.astype(np.int32),
            version=version.astype(np.int32),
            accepted=accepted.astype(bool),
            answered=answered.astype(np.int32),
            joined=joined if len(late) else None,
            interrupted=Phases(
                timeline.worker[which], (phase[which] - 1).astype(np.int32), times, times, whole, told.astype(np.int32)
            ),
        )

    def _with_steps(self, timeline: Timeline, exchange: np.ndarray) -> Timeline:
        """The timeline with the local steps of each phase, if they differ. Those of phases that are left out are not
        known, and are taken to be those of the worker's next exchange.
        """
        said = self._table.numbers("steps") if "steps" in self._table else np.ones(1)
        if np.isnan(said).all() or (said == said[0]).all():
            return timeline
        steps = self._whole("steps", said, least=1)
        phase, own = timeline.phase[exchange], steps[exchange]
        firsts = np.diff(timeline.worker[exchange], prepend=-1) != 0
        missing = phase - np.where(firsts, -1, np.roll(phase, 1)) - 1
        total = np.cumsum(own * (missing + 1))
        before = total - own
        begins = np.maximum.accumulate(np.where(firsts, np.arange(len(own)), 0))
        before -= (total - own * (missing + 1))[begins]
        return replace(
            timeline,
            local_steps=int(steps.max()),
            own_steps=steps.astype(np.int32),
            own_before=in_order(exchange, before.astype(np.int64)),
        )

    def _whole(self, column: str, otherwise: np.ndarray, least: int = 0) -> np.ndarray:
        """A column of whole numbers from `least`, or what is taken where the file has none."""
        if column not in self._table:
            return otherwise.astype(np.int64)
        values = self._numbers(column)
        self._table.require(
            (values >= least) & (values <= MOST) & (values == np.floor(values)),
            column,
            "no count",
            f"a whole number from {least}",
        )
        return values.astype(np.int64)

    def _workers(self) -> np.ndarray:
        worker = self._table.numbers("worker")
        accepted = "whole numbers from 0, or names, in every row"
        self._table.require(np.isfinite(worker), "worker", "not a finite number, as most are", accepted)
        is_index = (worker >= 0) & (worker == np.floor(worker)) & (worker < LARGEST_INDEX)
        self._table.require(is_index, "worker", "no worker's index", accepted)
        return worker.astype(np.int32)

    def _seconds(self, column: str, otherwise: np.ndarray | None, blank: np.ndarray | bool = False) -> np.ndarray:
        """A column of times, or what is taken where the file has none; NaN where it is to be blank."""
        if column not in self._table and otherwise is not None:
            return otherwise
        values = np.where(blank, 0.0, self._table.numbers(column))
        self._table.require(np.isfinite(values), column, "not a finite number", f"{A_TIME}, in every row")
        self._table.require(values >= 0, column, "negative", "seconds, 0 or more")
        return np.where(blank, np.nan, values)

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
