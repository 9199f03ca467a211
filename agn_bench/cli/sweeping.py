"""The commands that make many runs, and join what several machines made: sweep, merge."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agn_bench.base.inputs import BadInput, whole_number
from agn_bench.cli import options
from agn_bench.cli.base import EXIT_FAILED, WHICH, app, completion, console, interrupts_wait, option, path, said
from agn_bench.config.options import RUN
from agn_bench.config.shipped import experiment_file, shipped_experiments

if TYPE_CHECKING:
    from agn_bench.cli.display import Terminal
    from agn_bench.config.experiment import Experiment
    from agn_bench.config.run import RunConfig
    from agn_bench.execution.sweep import Place, Report

_MOST_JOBS = 1024


@app.command()
def sweep(
    file: Annotated[
        str,
        typer.Argument(
            help="Experiment file, or the name of one in `list experiments`.",
            metavar="FILE",
            autocompletion=completion(shipped_experiments),
        ),
    ],
    only: Annotated[
        list[str] | None,
        option(
            "Only runs that have this, as in workers=20,40 or optimizer=agn; may be given again.", "KEY=VALUE", WHICH
        ),
    ] = None,
    size: Annotated[str | None, option("One of the file's sizes; default its first.", "NAME", WHICH)] = None,
    seeds: Annotated[
        str | None, option("So many seeds, counting up from the file's first; default the file's.", "N", WHICH)
    ] = None,
    dry_run: options.DryRun = False,
    collect: Annotated[
        bool,
        typer.Option(
            "--collect",
            help="Rebuild summary.csv and curves.csv.gz from the runs that are there, at any time; make none.",
            rich_help_panel=WHICH,
        ),
    ] = False,
    jobs: options.Jobs = None,
    threads: options.RunThreads = None,
    device: options.Device = None,
    data_dir: options.DataDir = None,
    scheduler: options.Scheduler = None,
    save_center: options.SaveCenter = False,
    out: Annotated[str | None, option("Experiment folder; default results/ and the file's name.", "DIR", RUN)] = None,
    force: options.Force = False,
) -> None:
    """Make every run of an experiment file that is not there yet, several at once, here or on a cluster.

    If it is stopped, in whatever way, the same command goes on where it was. It exits with 1 if a run failed; the
    others are made all the same.

    ```console
    agn-bench sweep experiments/four-methods.toml --dry-run
    agn-bench sweep equal-time --only optimizer=agn --seeds 5
    ```
    """
    from agn_bench.config.experiment import read_experiment_file
    from agn_bench.config.selection import only as select

    with interrupts_wait() as stop_if_asked:
        experiment = read_experiment_file(experiment_file(str(path("FILE", file))), seeds, size)
        configs = select(experiment.configs, only or [])
        folder = Path("results") / experiment.name if out is None else path("out", out)
        if collect:
            raise typer.Exit(_collect(folder))
        place = place_of(jobs, threads, device, data_dir, scheduler, save_center)
        stop_if_asked()
        if dry_run:
            show_plan(configs, folder, place, force, stop_if_asked)
            return

        report = make_runs(configs, folder, place, experiment, force, stop_if_asked)
    show_report(console(), report, folder)
    if report.failures:
        raise typer.Exit(EXIT_FAILED)


def make_runs(
    configs: Sequence[RunConfig],
    folder: Path,
    place: Place,
    experiment: Experiment,
    force: bool,
    stop_if_asked: Callable[[], None],
) -> Report:
    """Make what is missing in `folder`, watched on the terminal; what became of the runs."""
    from agn_bench.cli.progress import RunDisplay
    from agn_bench.execution.sweep import run_all

    with RunDisplay(console(), stop_if_asked, configs) as display:
        return run_all(configs, folder, display, place, experiment=experiment, force=force)


def place_of(
    jobs: str | None,
    threads: str | None,
    device: str | None,
    data_dir: str | None,
    scheduler: str | None,
    save_center: bool = False,
) -> Place:
    """Where runs are to be made, this process having been prepared for it (see machine.prepare)."""
    if scheduler is not None and jobs is not None:
        raise BadInput("jobs", jobs, "given together with `scheduler`", "one of the two")
    if scheduler is not None and not scheduler.strip():
        raise BadInput("scheduler", repr(scheduler), "empty", "tcp://host:8786, where a Dask scheduler answers")

    from agn_bench.base import machine

    machine.prepare(1 if threads is None else threads, "cpu" if scheduler else device)
    processes = machine.runs_at_once() if jobs is None else whole_number("jobs", jobs, 1, _MOST_JOBS)

    from agn_bench.execution.one import Terms
    from agn_bench.execution.sweep import Place

    terms = Terms(None if data_dir is None else path("data_dir", data_dir), save_center)
    return Place(processes, scheduler or "", device, terms)


def _collect(folder: Path) -> int:
    """Collect what is there; the exit code."""
    from agn_bench.cli.display import show_path
    from agn_bench.store import folder as folders
    from agn_bench.store.collected import files_there

    terminal = console()
    if not (folder / "runs").is_dir() and not (folder / "summary.csv").is_file():
        raise BadInput("out", folder, "no runs are there yet", "the folder of a sweep that has begun")
    warnings = folders.prepare(folder).warnings
    for warning in warnings:
        terminal.say(f"  {warning}")
    show_path(terminal, folder, files_there(folder))
    return EXIT_FAILED if warnings else 0


def show_plan(
    configs: Sequence[RunConfig], folder: Path, place: Place, force: bool, stop_if_asked: Callable[[], None]
) -> None:
    """What a sweep would do: one row per configuration, and how long it takes."""
    from agn_bench.base import machine
    from agn_bench.cli.display import readable_seconds, show_remarks
    from agn_bench.cli.progress import StepDisplay
    from agn_bench.execution.estimate import estimate, kinds
    from agn_bench.execution.one import settled
    from agn_bench.execution.sweep import at_once, to_make
    from agn_bench.store.folder import known
    from agn_bench.training.remarks import of_plan

    terminal = console()
    configs = settled(configs)
    missing, report = to_make(configs, known(folder), place, force)
    kept = {config.run_id for config in report.found}
    cells: dict[str, list[RunConfig]] = {}
    for config in configs:
        cells.setdefault(config.configuration, []).append(config)
    if configs:
        terminal.say(f"{len(configs)} runs, {len(kept)} of them in {folder} and kept")
        _show_cells(terminal, list(cells.values()), kept)
        planned = {_called(cell[0]): of_plan(cell[0]) for cell in cells.values()}
        show_remarks(terminal, {called: remarks for called, remarks in planned.items() if remarks}, len(cells))
    _show_failures(terminal, report)
    if not missing:
        return
    processes = at_once(missing, place.processes)
    with StepDisplay(terminal, "short runs", len(kinds(missing)), stop_if_asked) as display:
        found = estimate(missing, processes, place.terms.data_dir, display.step, stop_if_asked)
    stop_if_asked()
    threads = "1 thread" if machine.threads() == 1 else f"{machine.threads()} threads"
    where = f"{processes} at once, with {threads} each"
    memory = f"{found.process_bytes / 1e9:.1f} GB each at most, of {machine.memory_bytes() / 1e9:.0f} GB"
    line = f"  {len(missing)} runs to make: about {readable_seconds(found.seconds)} on this machine, {where}; {memory}"
    terminal.print(line, highlight=False, soft_wrap=True)


def _show_cells(terminal: Terminal, cells: Sequence[Sequence[RunConfig]], kept: Collection[str]) -> None:
    """A row for each configuration, with what the configurations differ in; what they have in common stands above."""
    from agn_bench.cli.display import show_differing

    rows = [
        {**_described(cell[0]), "seeds": _ranges([config.seed for config in cell]), "kept": f"{there}/{len(cell)}"}
        for cell in cells
        for there in [sum(config.run_id in kept for config in cell)]
    ]
    show_differing(terminal, rows, unsaid=("kept",))


def _described(config: RunConfig) -> dict[str, str]:
    """A configuration as texts, by the columns of summary.csv; its optimizer with its numbers, and its work in a word,
    whichever option has given it.
    """
    from agn_bench.training.columns import belongs_to_the_optimizer, configuration

    found = {name: "–" if value is None else f"{value}" for name, value in configuration(config).items()}
    options = {one.name for one in fields(config)}
    own = [name for name in found if belongs_to_the_optimizer(name) and name not in options]
    told = {name: text for name, text in found.items() if name not in ("epochs", "seconds", *own)}
    return {**told, "optimizer": config.optimizer.spelled, "work": _work(config)}


def _ranges(numbers: Sequence[int]) -> str:
    """Whole numbers, those that follow one another as in 0-2."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ",".join(f"{run[0]}-{run[-1]}" if len(run) > 2 else ",".join(map(str, run)) for run in runs)


def _called(config: RunConfig) -> str:
    return f"{config.optimizer}, {config.workers} workers, {config.local_steps} local steps"


def _work(config: RunConfig) -> str:
    """What ends the run."""
    steps = [] if config.gradient_steps is None else [f"{config.gradient_steps} steps"]
    return ", ".join(steps if config.seconds is None else [*steps, f"{config.seconds:g} simulated s"])


def show_report(terminal: Terminal, report: Report, folder: Path) -> None:
    from agn_bench.cli.display import show_path
    from agn_bench.store.collected import files_there

    terminal.say(f"{len(report.made)} runs made, {len(report.found)} found finished, {len(report.failures)} failed")
    _show_failures(terminal, report)
    for warning in report.warnings:
        terminal.say(f"  {warning}")
    runs = ["runs/"] if (folder / "runs").is_dir() else []
    show_path(terminal, folder, ", ".join([files_there(folder), *runs]))


def _show_failures(terminal: Terminal, report: Report) -> None:
    for config, error in report.failures:
        terminal.say(f"  {config.run_id}: {type(error).__name__}: {said(error)}")


@app.command()
def merge(
    folders: Annotated[list[str], typer.Argument(help="Experiment folders to join.", metavar="DIR…")],
    out: Annotated[str, option("Experiment folder to join them in; may hold runs already.", "DIR", RUN)],
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="If runs have the same name and other results, keep that of --out, or of the first DIR; default off.",
            rich_help_panel=RUN,
        ),
    ] = False,
) -> None:
    """Join the results that several machines made of one experiment: runs, collected files, provenance.

    ```console
    agn-bench merge results/from-one results/from-another --out results/both
    ```
    """
    from agn_bench.cli.display import show_path
    from agn_bench.store.collected import files_there
    from agn_bench.store.merging import merge as merged_folders

    sources = [path("DIR", folder) for folder in folders]
    target = path("out", out)
    merged = merged_folders(sources, target, force)
    terminal = console()
    said = f"{len(merged.copied)} runs copied, {len(merged.same)} there already"
    kept = f", {len(merged.different)} with other results kept as they were" if merged.different else ""
    terminal.print(said + kept, highlight=False)
    if len(merged.threads) > 1:
        numbers = " and ".join(map(str, sorted(merged.threads)))
        terminal.print(f"  made with {numbers} threads: last bits may differ for that", highlight=False)
    show_path(terminal, target, files_there(target))
