"""The program as a library: runs made from Python, and what they measured as values.

    from agn_bench import RunConfig, curve, run

    config = RunConfig.of(optimizer="easgd", workers=40, gradient_steps=2_000)
    result = run(config)
    print(curve(result).tail())         # time_s, train_accuracy, test_accuracy, ...
    center = result.replay.center       # the final parameters, a layer each

Several at once, each in a process of its own. These processes import the script that started them, so its own work
stands below a guard:

    from agn_bench import RunConfig, run_many, summary

    if __name__ == "__main__":
        configs = [RunConfig.of(workers=workers, gradient_steps=2_000) for workers in (10, 20, 40)]
        for result in run_many(configs):
            print(summary(result)["test_accuracy"], *result.remarks)

The same configuration gives the same numbers as on the command line with as many threads.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agn_bench.base import machine
from agn_bench.base.inputs import BadInput, choose, path_of, reason_of, whole_number
from agn_bench.base.user_code import jax_has_started
from agn_bench.config.run import RunConfig
from agn_bench.execution.events import Listener, OnEvent
from agn_bench.execution.work import Work
from agn_bench.store import run_files
from agn_bench.training import columns
from agn_bench.training.records import RunResult

if TYPE_CHECKING:
    import pandas as pd

MOST_JOBS = 1024


class RunsFailed(Exception):
    """Some of several runs failed; the others were made."""

    def __init__(self, results: list[RunResult | None], errors: dict[str, Exception]) -> None:
        self.results = results
        """In the order asked for; None for a run that failed."""
        self.errors = errors
        """By the run's name (RunConfig.run_id)."""
        lines = [f"  {name}: {type(error).__name__}: {reason_of(error)}" for name, error in errors.items()]
        super().__init__("\n".join([f"{len(errors)} of {len(results)} runs failed", *lines]))


def run(
    config: RunConfig,
    *,
    data_dir: str | Path | None = None,
    threads: int | None = None,
    device: str | None = None,
    on_event: OnEvent | None = None,
) -> RunResult:
    """Train one model with the simulated asynchronous workers of `config`.

    Args:
        config: what to run (see RunConfig.of).
        data_dir: folder of the data set's IDX files, if it is not installed with the program.
        threads: of the CPU, by default all cores. They are the whole process's, and can be chosen until JAX starts.
        device: `auto`, `cpu` or `gpu`, likewise.
        on_event: called with what becomes of the run: Started, then a Point now and then, then Ended or Failed. The run
            ends soon after it returns True to a Point or raises. One that something else ends, as Ctrl-C, has Failed.

    Returns:
        The run: its timeline, the losses of all mini-batches, the evaluations and the final center. A run that
        diverges is a result too, with `status` "diverged". One that `on_event` ended has what was made until then,
        and `status` "stopped". `remarks` are sentences about what one might not expect of it.

    Raises:
        BadInput: the data set is not there, the run cannot be made, or JAX has started with other threads or another
            device.
        Exception: what `on_event` raised; once the run is begun its attribute `result` is the run until then.
    """
    from agn_bench.execution.one import Terms, make, settled

    _prepare(threads, device)
    (config,) = settled([config])
    terms = Terms(None if data_dir is None else path_of("data_dir", data_dir), keep_center=True)
    listener = Listener(on_event, ends_runs=True)
    follow = None if on_event is None else partial(listener.progressed, config)
    result = None
    try:
        listener.started(config)
        try:
            result = make(config, terms, follow)
        except Exception as error:
            listener.failed(config, error)
            raise
        listener.ended(config, result)
    except BaseException as error:
        listener.cut_short(error)
        if result is not None:
            _with(error, "result", result)
        raise
    return result


def run_many(
    configs: Iterable[RunConfig],
    *,
    data_dir: str | Path | None = None,
    threads: int | None = None,
    device: str | None = None,
    jobs: int | None = None,
    on_event: OnEvent | None = None,
) -> list[RunResult]:
    """Make several runs, each as `run` does, several at once in processes of their own.

    The processes import the script that calls this: what it does must stand below `if __name__ == "__main__":`.

    Args:
        configs: what to run; one that is in it twice is made once.
        data_dir: as for `run`.
        threads: of each run; by default 1, or as many as JAX has if it has started in this process.
        device: as for `run`.
        jobs: so many runs at once, at most; by default as many as there are cores for. Fewer are made at once where
            they would not fit into memory, and one on a GPU. One at a time is made in this process.
        on_event: called in this process with what becomes of every run, as for `run`, in whatever order they come.
            What it returns does not count. If it raises, no more runs are made.

    Returns:
        The runs, in the order of `configs`.

    Raises:
        BadInput: as for `run`; nothing has been run then.
        RunsFailed: a run failed; its attribute `results` has the others, all of which were made.
        Exception: what `on_event` raised, or an interrupt; its attribute `results` has the runs made until then.
    """
    from agn_bench.execution.one import Terms, load_once, settled
    from agn_bench.execution.processes import make_here, make_in_processes
    from agn_bench.execution.sweep import at_once

    _prepare(threads if threads is not None or jax_has_started() else 1, device)
    processes = machine.runs_at_once() if jobs is None else whole_number("jobs", jobs, 1, MOST_JOBS)
    wanted = settled(configs)
    terms = Terms(None if data_dir is None else path_of("data_dir", data_dir), keep_center=True)
    for problem in dict.fromkeys(config.trains for config in wanted):
        load_once(problem, terms.data_dir)
    listener = Listener(on_event)
    work = Work({config.run_id: config for config in wanted}.values())
    try:
        if (several := at_once(wanted, processes)) > 1:
            make_in_processes(work, listener, terms, several)
        else:
            make_here(work, listener, terms)
    except BaseException as error:
        listener.cut_short(error)
        raise _with(error, "results", [listener.results.get(config.run_id) for config in wanted]) from None
    results = [listener.results.get(config.run_id) for config in wanted]
    if listener.errors:
        raise RunsFailed(results, listener.errors)
    return [result for result in results if result is not None]


def _with(error: BaseException, name: str, made: object) -> BaseException:
    """The error, with what was made before it as an attribute."""
    setattr(error, name, made)
    error.add_note(f"What was made until then is this exception's attribute `{name}`.")
    return error


def _prepare(threads: int | None, device: str | None) -> None:
    """Set JAX's threads and device.

    Raises:
        BadInput: JAX has started with others.
    """
    if jax_has_started():
        accepted = "or to be given before anything in this process computes with JAX"
        has = machine.threads()
        if threads is not None and whole_number("threads", threads, 1, machine.MAX_THREADS) != has:
            problem = f"JAX has started in this process, with {has}"
            raise BadInput("threads", threads, problem, f"{has}, {accepted}")
        there = machine.backend()
        if device not in (None, "auto") and choose("device", device, machine.DEVICES) != there:
            raise BadInput("device", device, f"JAX has started in this process, on the {there}", f"{there}, {accepted}")
    machine.prepare(threads, device)


def summary(result: RunResult) -> dict[str, Any]:
    """The run in one row, as in summary.csv (docs/files.md has its columns)."""
    return {"run_id": result.config.run_id, **columns.summary(result)}


def curve(result: RunResult) -> pd.DataFrame:
    """What is measured against simulated time, as in curve.csv (docs/files.md has its columns)."""
    import pandas as pd

    return pd.DataFrame(columns.curve(result))


def commits(result: RunResult) -> pd.DataFrame:
    """Every exchange in the order applied, as in commits.csv (docs/files.md has its columns)."""
    import pandas as pd

    return pd.DataFrame(columns.commits(result.timeline))


def read(folder: str | Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """An experiment folder's summary.csv and curves.csv.gz (docs/files.md has their columns), with the types that their
    columns have. Curves of runs that diverged go on to their ends at what these count as, as chance,
    so that they count in means over seeds.

    Raises:
        BadInput: the folder has no such files.
    """
    from agn_bench.analysis import comparison

    runs = comparison.read_runs([path_of("folder", folder)])
    return runs.summary, comparison.counted_points(runs)


def save(result: RunResult, out: str | Path) -> Path:
    """Add the run to the experiment folder `out`, with its center, as `agn-bench run --save-center --out` does.

    Returns:
        The run's own folder. A finished run of that name is replaced.

    Raises:
        BadInput: the folder cannot be written, another process is making this run there, the folder is a sweep's
            whose runs were made with another number of threads, or the run was stopped before its end.
    """
    from agn_bench.store import folder

    if result.status == "stopped":
        problem = f"{result.config.run_id} was stopped by on_event, and its name is that of the whole run"
        raise BadInput("result", "", problem, "a run that ended by itself, as by `seconds` or `until`")
    root = path_of("out", out)
    folder.prepare(root)
    if folder.planned(root):
        folder.check_threads(root, machine.threads())
    run_folder = folder.run_folder(root, result.config)
    with folder.claimed(run_folder):
        run_files.write_run(run_folder, result)
    folder.collect(root)
    return run_folder
