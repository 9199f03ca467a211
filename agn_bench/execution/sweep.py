"""Many runs into one experiment folder: what is finished is kept, what is missing is made, here or elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from agn_bench.base import machine
from agn_bench.base.inputs import BadInput
from agn_bench.config.experiment import Experiment
from agn_bench.config.run import RunConfig
from agn_bench.execution.cluster import Site, connected, make_on_cluster
from agn_bench.execution.one import NOTHING_SPECIAL, Terms, load_once, settled
from agn_bench.execution.processes import make_here, make_in_processes
from agn_bench.execution.work import Watcher, Work
from agn_bench.store import folder as folders
from agn_bench.store.folder import Claim, Known
from agn_bench.store.run_files import CENTER, write_run
from agn_bench.training.records import Progress, RunResult

PROCESS_BYTES = 400e6
"""What a process takes before it has trained anything."""
_COLLECTING_SHARE = 20
"""Collect again only after so many times as long as the last collecting took: so it takes up to a twentieth of the
time."""
_LEAST_SECONDS_BETWEEN = 2.0


@dataclass(frozen=True)
class Place:
    """Where runs are made."""

    processes: int = 1
    """At once, at most; fewer where they would not fit into memory, and one on a GPU."""
    scheduler: str = ""
    """Address of a Dask cluster's, which then makes them instead."""
    device: str | None = None
    """The device of the cluster's workers; None: the best there is."""
    terms: Terms = NOTHING_SPECIAL


@dataclass
class Report:
    """What became of the runs."""

    runs: list[Path]
    """The folders of all of them, in order, whether they are there or not."""
    made: list[RunConfig] = field(default_factory=list)
    found: list[RunConfig] = field(default_factory=list)
    failures: list[tuple[RunConfig, Exception]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    """Runs in the folder that were changed by others, or whose rows were."""


def run_all(
    configs: Sequence[RunConfig],
    folder: Path,
    watcher: Watcher,
    place: Place = Place(),
    *,
    experiment: Experiment | None = None,
    force: bool = False,
) -> Report:
    """Make every run that `folder` does not have yet, or has without the center that is wanted; or all with `force`.

    Args:
        experiment: what the runs are part of; None for runs made by hand.

    Runs that another process is making at the same time are waited for; if it dies, they are made here. A run that
    fails is reported, and the others go on.

    Raises:
        BadInput: the folder cannot be written, a run does not fit into memory, or the data set cannot be read; nothing
            has been run then.
        OSError: a run could not be written, or the cluster is gone; what is finished is kept.
    """
    known = folders.prepare(folder)
    if experiment or folders.planned(folder):
        folders.check_threads(folder, machine.threads())
    of_experiment = experiment.configs if experiment else ()
    distinct = {config.run_id: config for config in (*configs, *of_experiment)}
    runs = dict(zip(distinct, settled(distinct.values()), strict=True))
    missing, report = to_make([runs[config.run_id] for config in configs], known, place, force)
    report.warnings = known.warnings
    sweep = _Sweep(folder, watcher, experiment.name if experiment else "adhoc", missing, known.here, report)
    del known  # it is as large as all curves
    with ExitStack() as stack:
        make = _way_to_make(missing, place, sweep, stack) if missing else None
        cell_of: dict[str, int] = {}
        planned_anew = False
        if experiment:
            cell_of = {runs[config.run_id].run_id: experiment.cell_of[config.configuration] for config in of_experiment}
            folders.check_experiment(folder, experiment.name)
            plan = (experiment.name, experiment.description, machine.threads(), list(cell_of))
            planned_anew = folders.plan(folder, *plan)
        for config in report.found:
            folders.clear_left(folders.run_folder(folder, config))
            watcher.found(config)
        for config, error in report.failures:
            watcher.failed(config, error)
        stack.push(sweep.end)
        while make and missing:
            make(Work(missing, sweep.claim, lambda config: cell_of.get(config.run_id, 0)))
            missing = sweep.wait_for_others()
    if make or planned_anew:
        report.warnings = folders.collect(folder).warnings
    return report


def to_make(
    configs: Sequence[RunConfig], known: Known, place: Place, force: bool = False
) -> tuple[list[RunConfig], Report]:
    """The runs that a sweep would make, and a report of the others: those that are there, with the center if that is
    wanted, and those that were changed.
    """
    missing: list[RunConfig] = []
    report = Report([folders.run_folder(known.folder, config) for config in configs])
    for config, run in zip(configs, report.runs, strict=True):
        try:
            there = not force and known.finished(run.name)
        except BadInput as changed:
            report.failures.append((config, changed))
            continue
        there = there and ((run / CENTER).is_file() or not place.terms.keep_center)
        (report.found if there else missing).append(config)
    return missing, report


def _way_to_make(
    missing: Sequence[RunConfig], place: Place, watcher: Watcher, stack: ExitStack
) -> Callable[[Work], None]:
    """The function that makes runs in `place`, having seen that it can."""
    if place.scheduler:
        client = stack.enter_context(connected(place.scheduler))
        site = Site(client, place.scheduler, machine.threads(), place.device, place.terms)
        return partial(make_on_cluster, watcher=watcher, site=site)
    for config in missing:
        require_memory(config)
    for problem in dict.fromkeys(config.trains for config in missing):
        load_once(problem, place.terms.data_dir)
    processes = at_once(missing, place.processes)
    if processes > 1:
        return partial(make_in_processes, watcher=watcher, terms=place.terms, processes=processes)
    return partial(make_here, watcher=watcher, terms=place.terms)


class _Sweep(Watcher):
    """Keeps what is made, and tells another watcher of it."""

    def __init__(
        self,
        folder: Path,
        watcher: Watcher,
        experiment: str,
        missing: Sequence[RunConfig],
        replaced: Collection[str],
        report: Report,
    ) -> None:
        self._folder, self._watcher, self._experiment, self._report = folder, watcher, experiment, report
        self._claims: dict[str, Claim] = {}
        self._elsewhere: list[RunConfig] = []
        self._new = not folder.exists()
        runs = [folders.run_folder(folder, config) for config in missing if config.run_id in replaced]
        self._replaced = {run: _identity(run) for run in runs}
        self._collected, self._collecting_s = time.monotonic(), 0.0

    def claim(self, config: RunConfig) -> bool:
        """Whether the run is this process's to make now."""
        run = folders.run_folder(self._folder, config)
        claim = folders.claim(run)
        if claim is None:
            self._elsewhere.append(config)
            return False
        if run.exists() and self._replaced.get(run) != _identity(run):  # another process has made it since
            claim.release()
            self.found(config)
            return False
        self._claims[config.run_id] = claim
        return True

    def found(self, config: RunConfig) -> None:
        self._report.found.append(config)
        self._watcher.found(config)

    def started(self, config: RunConfig) -> None:
        self._watcher.started(config)

    def progressed(self, config: RunConfig, progress: Progress) -> None:
        self._watcher.progressed(config, progress)

    def ended(self, config: RunConfig, result: RunResult) -> None:
        write_run(folders.run_folder(self._folder, config), result, self._experiment)
        self._claims.pop(config.run_id).release()
        self._report.made.append(config)
        self._watcher.ended(config, result)
        pause = max(_LEAST_SECONDS_BETWEEN, _COLLECTING_SHARE * self._collecting_s)
        if time.monotonic() - self._collected > pause:
            began = time.monotonic()
            folders.collect(self._folder)
            self._collected = time.monotonic()
            self._collecting_s = self._collected - began

    def failed(self, config: RunConfig, error: Exception) -> None:
        self._claims.pop(config.run_id).release()
        self._report.failures.append((config, error))
        self._watcher.failed(config, error)

    def waiting(self, reason: str) -> None:
        self._watcher.waiting(reason)

    def tick(self) -> None:
        self._watcher.tick()

    def wait_for_others(self) -> list[RunConfig]:
        """Wait for another process to end a run that it has claimed; the runs that may be to be made then."""
        waiting, self._elsewhere = self._elsewhere, []
        while waiting:
            for config in waiting:
                claim = folders.claim(folders.run_folder(self._folder, config))
                if claim is not None:
                    claim.release()
                    return waiting
            self._watcher.waiting(f"for {len(waiting)} that another process makes")
            time.sleep(0.5)
        return []

    def end(self, raised: type[BaseException] | None, *_: object) -> None:
        """Let go of what was not made; if it was cut short, collect what was."""
        for claim in self._claims.values():
            with suppress(OSError):  # the disk may be full
                claim.release()
        if raised is not None:
            with suppress(Exception):  # what was raised says more
                folders.collect(self._folder)
        if self._new and not self._report.made:
            with suppress(OSError):  # others may have made something
                (self._folder / "runs").rmdir()
                self._folder.rmdir()


def _identity(run: Path) -> int | None:
    """What changes when a run is replaced; None if it is not there."""
    try:
        return (run / "run.json").stat().st_mtime_ns
    except OSError:
        return None


def at_once(configs: Sequence[RunConfig], processes: int) -> int:
    """How many of the runs can be made at once, up to `processes`."""
    if processes == 1 or len(configs) <= 1 or machine.backend() != "cpu":
        return 1
    largest = max(config.memory_bytes for config in configs) + PROCESS_BYTES
    return max(1, int(min(processes, machine.memory_bytes() / largest)))


def require_memory(config: RunConfig) -> None:
    """Raise BadInput if the run does not fit into this machine's memory."""
    needed, there = config.memory_bytes, machine.memory_bytes()
    if needed > there:
        problem = f"the run needs about {needed / 1e9:.0f} GB of memory, this machine has {there / 1e9:.0f} GB"
        most = int(config.workers - (needed - there) // config.worker_bytes - 1)
        accepted = f"up to {most} workers, or " if most > 0 else ""
        raise BadInput("workers", config.workers, problem, f"{accepted}a smaller model or less work")
