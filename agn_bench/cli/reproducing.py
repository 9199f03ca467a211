"""The command that puts the paper's tables, figures and claims beside ours: reproduce."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from agn_bench.cli import options
from agn_bench.cli.base import EXIT_FAILED, RUN, app, console, facts_of, interrupts_wait, option, path
from agn_bench.cli.sweeping import place_of, show_plan, show_report
from agn_bench.inputs import BadInput, choose

_WHAT = "What"


@app.command()
def reproduce(
    context: typer.Context,
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Tables and figures, as in `list artefacts`; default all.", metavar="[NAME…]"),
    ] = None,
    size: Annotated[
        str | None,
        option(
            "quick, reduced or paper: minutes, hours, days; default quick, with --no-run every size that is there.",
            "NAME",
            _WHAT,
        ),
    ] = None,
    no_run: Annotated[
        bool,
        typer.Option("--no-run", help="Draw and judge what is there; make no runs.", rich_help_panel=_WHAT),
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Print the runs with time and memory, estimated from short runs; make nothing.",
            rich_help_panel=_WHAT,
        ),
    ] = False,
    jobs: options.Jobs = None,
    threads: options.RunThreads = None,
    device: options.Device = None,
    data_dir: options.DataDir = None,
    scheduler: options.Scheduler = None,
    out: Annotated[
        str, option("Folder of all results, with a folder for each size; default results.", "DIR", RUN)
    ] = "results",
    force: options.Force = False,
) -> None:
    """The paper's tables, figures and claims beside ours: makes the runs, draws, judges, writes REPRODUCTION.md.

    Stopped in whatever way, the same command goes on. What is not there yet is counted in the report.
    """
    from agn_bench import results
    from agn_bench.paper.artefacts import ARTEFACTS, needed
    from agn_bench.paper.runs import SIZES, Results, whole

    wanted = list(dict.fromkeys(choose("NAME", name, ARTEFACTS) for name in names or ARTEFACTS))
    root = path("out", out)
    if size is not None:
        choose("size", size, SIZES)
    if no_run and (dry_run or force):
        raise BadInput("no-run", "on", f"given together with --{'dry-run' if dry_run else 'force'}", "one of the two")
    sizes = [name for name in SIZES if (root / name / "summary.csv").is_file()] if no_run else []
    drawn = [size] if size else sizes if no_run else ["quick"]
    if not drawn:
        raise BadInput("out", root, "has no results of any size", f"a folder with one of {', '.join(SIZES)} in it")
    with interrupts_wait() as stop_if_asked:
        for place in [root, *(root / name for name in drawn)]:
            results.check_report("out", place)
        terminal = console()
        failed = False
        if not no_run:
            runs = Results(drawn[0], root / drawn[0])
            experiment = whole(runs.size, runs.experiments)
            asked = runs.asked(needed(wanted))
            configs = [config for config in experiment.configs if config.run_id in asked]
            if names and not configs and needed(wanted):
                raise BadInput("size", runs.size, f"has no runs of {', '.join(names)}", "reduced")
            place = place_of(jobs, threads, device, data_dir, scheduler)
            stop_if_asked()
            if dry_run:
                show_plan(configs, runs.folder, place, stop_if_asked)
                return
            if configs:
                failed = _make_runs(terminal, configs, runs.folder, place, experiment, force, stop_if_asked)
            _compute(context, terminal, wanted, root, force, stop_if_asked)
        _draw(terminal, wanted, root, drawn, stop_if_asked)
    if failed:
        raise typer.Exit(EXIT_FAILED)


def _make_runs(
    terminal: Any, configs: Sequence[Any], folder: Path, place: Any, experiment: Any, force: bool, stop_if_asked: Any
) -> bool:
    """Make what is missing; whether a run failed."""
    from agn_bench.progress import RunDisplay
    from agn_bench.sweep import run_all

    with RunDisplay(terminal, stop_if_asked, configs) as display:
        report = run_all(configs, folder, display, place, experiment=experiment, force=force)
    stop_if_asked()
    show_report(terminal, report, folder)
    return bool(report.failures)


def _compute(context: Any, terminal: Any, wanted: Sequence[str], root: Path, force: bool, stop_if_asked: Any) -> None:
    """Make the tables that need no training, if they are not there."""
    from agn_bench import results
    from agn_bench.paper.artefacts import ARTEFACTS

    missing = [name for name in wanted if (file := ARTEFACTS[name].computed) and (force or not (root / file).is_file())]
    if not missing:
        return
    from agn_bench.paper.computing import COMPUTE, steps
    from agn_bench.progress import StepDisplay

    with StepDisplay(terminal, "timelines and paths", sum(steps(name) for name in missing), stop_if_asked) as display:
        for name in missing:
            folder = root / Path(ARTEFACTS[name].computed).parts[0]
            results.check_report("out", folder)
            COMPUTE[name](folder, display.step)
            results.record_provenance(folder, {f"reproduce {name}": facts_of(context)})
    stop_if_asked()


def _draw(terminal: Any, wanted: Sequence[str], root: Path, drawn: Sequence[str], stop_if_asked: Any) -> None:
    """Tables and pictures of these sizes from CSV files, then the report on all sizes that are there."""
    from agn_bench.display import show_path, show_rows
    from agn_bench.paper.artefacts import ARTEFACTS
    from agn_bench.paper.claims import verdict
    from agn_bench.paper.report import judge, shown_verdict, write_report
    from agn_bench.paper.runs import SIZES, Results
    from agn_bench.progress import StepDisplay

    there = [name for name in SIZES if name in drawn or (root / name / "summary.csv").is_file()]
    every = {name: Results(name, root / name) for name in there}
    with StepDisplay(terminal, "tables and figures", len(wanted) * len(drawn) + 1, stop_if_asked) as display:
        for size in drawn:
            runs = every[size]
            for name in wanted:
                artefact = ARTEFACTS[name]
                shown = set(artefact.experiments) & runs.experiments.keys() or not artefact.experiments
                if shown and (not artefact.computed or (root / artefact.computed).is_file()):
                    artefact.make(runs, root)
                display.step(f"{name}, {size}")
        report = write_report(root, list(every.values()))
        display.step(report.name)
    for size in drawn:
        rows = [
            {"": claim.number, "claim": claim.text, size: shown_verdict(findings)}
            for claim, findings in judge(every[size], root)
            if verdict(findings)
        ]
        show_rows(terminal, f"the paper's claims at size {size}", rows)
        show_path(terminal, root / size, "figures/, tables/, summary.csv, curves.csv, provenance.json, runs/")
    show_path(terminal, report)
