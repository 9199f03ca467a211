"""All trials, made: those of an optimizer one after another, those of several optimizers at once.

What a trial is worth is in trials.csv as soon as it has ended; its runs are in an experiment folder like any other. So
a search that was stopped, in whatever way, goes on where it was and trains nothing again but what had not ended.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from agn_bench.analysis.measures import Measured, chosen
from agn_bench.base import files, machine
from agn_bench.base.inputs import BadInput
from agn_bench.config.run import RunConfig
from agn_bench.execution.one import load_once
from agn_bench.execution.processes import make_here, make_in_processes
from agn_bench.execution.sweep import Place, at_once, require_memory
from agn_bench.execution.work import Program, Watcher, Work
from agn_bench.problems import LOSS
from agn_bench.store import folder as folders
from agn_bench.store.run_files import read_experiment, write_run
from agn_bench.studies.tuning.goal import LOOKS, Bound, Goal
from agn_bench.studies.tuning.sampling import STARTUP, require_optuna, suggested
from agn_bench.studies.tuning.space import Numbers, Space
from agn_bench.studies.tuning.trials import COMPLETE, PRUNED, REFUSED, Trial, TrialsFile, Values, least
from agn_bench.training import columns
from agn_bench.training.records import Check, Progress, RunResult

RUNS = "trials"
"""The experiment folder of the trials' runs, in that of the comparison."""

Finished = Callable[[RunConfig], Values | None]
"""What a run was worth that is there already; None if it is not."""


def measured(config: RunConfig, wanted: str | None, data_dir: Path | None) -> Measured:
    """The measure that is wanted, as `table` takes it, before there are runs; by default the first one of the center.

    What the workers' mini-batches say is no good default where λ is searched: in a long phase a worker becomes good at
    its own, whatever becomes of the center.

    Raises:
        BadInput: the problem has no such measure, or nothing says what a run counts as in it that diverges.
    """
    from agn_bench.training.simulate import measured_over_time

    problem = config.trains
    there = measured_over_time(config, load_once(problem, data_dir))
    first = problem.column(next(iter(problem.measures)))
    column = chosen(wanted or first, {name: [config.subject] for name in there}, [config.subject])
    name = Measured(column).alone
    if name not in problem.measures:
        says = f"nothing says as which {name} a run counts that diverges"
        accepted = ", ".join(one for one in there if Measured(one).alone in problem.measures)
        raise BadInput("measure", column, says, accepted)
    return Measured(column, name != LOSS and problem.measures[name].higher_is_better)


class Contestant:
    """An optimizer with its trials so far, and the runs of the next one."""

    def __init__(
        self,
        space: Space,
        trials: Sequence[Trial],
        goal: Goal,
        seeds: Sequence[int],
        budget: int,
        sampler_seed: int,
    ) -> None:
        self.space, self.goal = space, goal
        self.trials = list(trials)
        self.running = False
        self._seeds, self._budget, self._sampler_seed = seeds, budget, sampler_seed
        self._numbers: Numbers | None = None
        """The numbers of the trial that has begun."""
        self._begun: list[Values] = []
        """What its runs were worth."""

    @property
    def left(self) -> int:
        """How many trials are to be made."""
        return max(0, self._budget - len(self.trials))

    @property
    def tried(self) -> list[Trial]:
        """Those that count: as many as every optimizer has."""
        return self.trials[: self._budget]

    @property
    def best(self) -> int:
        """The number of the trial that is worth most."""
        complete = [number for number, trial in enumerate(self.tried) if trial.state == COMPLETE]
        return complete[self.goal.best([self.tried[number].value for number in complete])]

    def next_run(self) -> RunConfig | Trial | None:
        """The run that is to be made next; or a trial whose numbers are refused; None if all trials are there."""
        if self._numbers is None:
            if not self.left:
                return None
            self._numbers, self._begun = suggested(self.space, self.trials, self.goal, self._sampler_seed), []
            try:
                self.space.config(self._numbers)
            except BadInput:
                if not self.trials:
                    raise  # the defaults, which the user may have made so
                return self._end(REFUSED)
        return replace(self.space.config(self._numbers), seed=self._seeds[len(self._begun)])

    def bounds(self) -> tuple[Bound, ...]:
        """What its next run must be worth, so as not to be ended; nothing before enough trials are there."""
        if len(self.trials) < STARTUP:
            return ()
        bounds = []
        for look in range(len(LOOKS)):
            worth = least(self.trials, self._begun, look)
            if worth is not None:
                bounds.append(Bound(self.goal, self.goal.times[: look + 1], worth))
        return tuple(bounds)

    def add(self, values: Values) -> Trial | None:
        """Take what its next run was worth; the trial, if that has ended it.

        A run that was behind and went on all the same, since its curve is known too late, ends it as well.
        """
        for bound in self.bounds():
            look = len(bound.times)
            if len(values) >= look and self.goal.is_worse(values[look - 1], bound.least):
                self._begun.append(values[:look])
                return self._end(PRUNED)
        self._begun.append(values)
        return self._end(COMPLETE) if len(self._begun) == len(self._seeds) else None

    def _end(self, state: str) -> Trial:
        assert self._numbers is not None
        trial = Trial(self._numbers, state, tuple(self._begun))
        self.trials.append(trial)
        self._numbers, self._begun = None, []
        return trial


def search(
    contestants: Sequence[Contestant],
    file: TrialsFile,
    folder: Path,
    place: Place,
    ended: Callable[[Contestant, Trial], None],
    tick: Callable[[], None],
) -> None:
    """Make all trials that are missing, in the experiment folder `folder`.

    Args:
        ended: told of each trial that has ended.
        tick: called now and then; may raise to end the search. What is finished is kept.

    Raises:
        BadInput: something in the folder was changed, a run does not fit into memory, or Optuna is not installed.
        Exception: what a run failed with.
    """
    if not any(one.left for one in contestants):
        return
    require_optuna()
    known = folders.prepare(folder)
    folders.check_threads(folder, machine.threads())
    configs = [one.space.base for one in contestants if one.left]
    for config in configs:
        require_memory(config)
    work = _Search([*contestants], file, folder, _Kept(known), ended, tick)
    del known  # it is as large as all curves
    try:
        if (processes := at_once(configs, place.processes)) > 1:
            make_in_processes(work, work, place.terms, processes)
        else:
            make_here(work, work, place.terms)
    except BaseException:
        with suppress(Exception):  # what was raised says more
            folders.collect(folder)
        raise
    folders.collect(folder)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Let no other process search in a folder meanwhile.

    Raises:
        BadInput: another one does.
    """
    from filelock import FileLock, Timeout

    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".tune.lock")
    try:
        files.acquire(lock, folder, blocking=False)
    except Timeout:
        problem, accepted = "another process tunes in this folder", "to wait for it, or another folder"
        raise BadInput("out", folder, problem, accepted) from None
    try:
        yield
    finally:
        Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()
        with suppress(OSError):  # unless nothing was made
            folder.rmdir()


class _Kept:
    """The finished runs of a folder, as it was when the search began."""

    def __init__(self, known: folders.Known) -> None:
        self._folder = known.folder
        self._names = {*known.here, *known.rows.finished}
        self._wrong = {name: wrong for name, wrong in known.here.items() if wrong}
        self._tables: tuple[Any, Any] | None = None

    def values(self, goal: Goal, config: RunConfig) -> Values | None:
        """What a run was worth; None if it is not there.

        Raises:
            BadInput: it is there, but not as it was made.
        """
        name = config.run_id
        if name not in self._names:
            return None
        if wrong := self._wrong.get(name):
            path = self._folder / "runs" / name
            raise BadInput("out", path, f"{wrong}, so it is not trusted", "the run as it was made, or no such folder")
        if self._tables is None:
            self._tables = read_experiment(self._folder)
        summary, curves = self._tables
        row = summary[summary["run_id"] == name].iloc[0].to_dict()
        points = curves[curves["run_id"] == name]
        return goal.values(row, {column: points[column].to_numpy() for column in points}, goal.times)


class _Search(Work, Watcher):
    """The runs that are to be made, one for each optimizer at a time, and what becomes of them."""

    def __init__(
        self,
        contestants: Sequence[Contestant],
        file: TrialsFile,
        folder: Path,
        kept: _Kept,
        ended: Callable[[Contestant, Trial], None],
        tick: Callable[[], None],
    ) -> None:
        super().__init__(())
        self._contestants, self._file, self._folder, self._kept = contestants, file, folder, kept
        self._told, self._tick = ended, tick
        self._of: dict[str, Contestant] = {}
        """Whose each run is that is being made."""
        self._worth: dict[str, Values] = {}
        """What each run was worth that was made, should it be asked for again."""

    def take(self, compiled: set[Program]) -> RunConfig | None:
        """The next run of the optimizer that has the fewest trials, of those that have none being made."""
        while waiting := [one for one in self._contestants if not one.running and one.left]:
            one = min(waiting, key=lambda one: len(one.trials))
            found = one.next_run()
            if isinstance(found, Trial):
                self._has_ended(one, found)
            elif found is not None:
                values = self._worth.get(found.run_id) or self._kept.values(one.goal, found)
                if values is None:
                    require_memory(found)
                    compiled.add(found.program)
                    self._of[found.run_id], one.running = one, True
                    return found
                self._add(one, values)
        return None

    def checks(self, config: RunConfig) -> Sequence[Check]:
        return self._of[config.run_id].bounds()

    def progressed(self, config: RunConfig, progress: Progress) -> None:
        self._tick()

    def tick(self) -> None:
        self._tick()

    def ended(self, config: RunConfig, result: RunResult) -> None:
        one = self._of.pop(config.run_id)
        one.running = False
        if result.verdict is not None:
            self._add(one, result.verdict)
            return
        run = folders.run_folder(self._folder, config)
        with folders.claimed(run):
            write_run(run, result, RUNS)
        values = one.goal.values(columns.summary(result), columns.curve(result), one.goal.times)
        self._worth[config.run_id] = values
        self._add(one, values)

    def failed(self, config: RunConfig, error: Exception) -> None:
        error.add_note(f"in the run {config.run_id}")
        raise error

    def _add(self, one: Contestant, values: Values) -> None:
        if (trial := one.add(values)) is not None:
            self._has_ended(one, trial)

    def _has_ended(self, one: Contestant, trial: Trial) -> None:
        self._file.add(one.space, trial)
        self._told(one, trial)
