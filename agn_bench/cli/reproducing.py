"""The command that compares the paper's tables, figures and claims with ours: reproduce."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agn_bench.base.inputs import BadInput, choose
from agn_bench.cli import options
from agn_bench.cli.base import EXIT_FAILED, WHICH, app, completion, console, facts_of, interrupts_wait, option, path
from agn_bench.cli.sweeping import make_runs, place_of, show_plan, show_report
from agn_bench.config.options import RUN

if TYPE_CHECKING:
    from agn_bench.cli.display import Terminal


def _artefacts() -> list[str]:
    from agn_bench.paper.artefacts import ARTEFACTS

    return list(ARTEFACTS)


@app.command()
def reproduce(
    context: typer.Context,
    names: Annotated[
        list[str] | None,
        typer.Argument(
            help="Tables and figures to make runs for, as `list artefacts` names them; default all.",
            metavar="[NAME…]",
            autocompletion=completion(_artefacts),
        ),
    ] = None,
    size: Annotated[
        str | None,
        option(
            "quick, reduced or paper: minutes, hours, days; default quick, with --no-run every size that is there.",
            "NAME",
            WHICH,
        ),
    ] = None,
    no_run: Annotated[
        bool,
        typer.Option("--no-run", help="Draw and judge what is there; make no runs.", rich_help_panel=WHICH),
    ] = False,
    dry_run: options.DryRun = False,
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
    """Compare the paper's tables, figures and claims with ours: make runs, draw all that is there, judge, and report.

    If it is stopped, in whatever way, the same command goes on where it was. REPRODUCTION.md covers all sizes that are
    there, and counts what is missing.

    ```console
    agn-bench reproduce agn-vs-others --size reduced
    agn-bench reproduce --no-run
    ```
    """
    from agn_bench.base import files
    from agn_bench.paper.artefacts import ARTEFACTS, needed, shown_at
    from agn_bench.paper.computed import BEALE, CLUSTER
    from agn_bench.paper.report import REPORT
    from agn_bench.paper.runs import SIZES, Results, whole

    wanted = list(dict.fromkeys(choose("NAME", name, ARTEFACTS) for name in names or ARTEFACTS))
    root = path("out", out)
    there = [name for name in SIZES if (root / name / "summary.csv").is_file()]
    if size is not None:
        choose("size", size, SIZES)
    if no_run:
        _refuse_with_no_run(context)
        if size is not None and size not in there:
            raise BadInput("size", size, f"there is nothing of it in {root}", ", ".join(there) or "to make runs first")
        if not there:
            raise BadInput("out", root, "has no results of any size", f"a folder with one of {', '.join(SIZES)} in it")
    chosen = size or (there[0] if no_run else "quick")
    with interrupts_wait() as stop_if_asked:
        runs = Results(chosen, root / chosen)
        for name in names or ():
            if not shown_at(name, runs):
                have = ", ".join(each for each in SIZES if shown_at(name, Results(each, root / each)))
                raise BadInput("size", chosen, f"has no runs of {name}", have)
        for place in (root, root / chosen, root / CLUSTER, root / BEALE):
            files.check_report("out", place)
        files.check_file("out", root / REPORT)
        terminal = console()
        failed = False
        if not no_run:
            experiment = whole(runs.size, runs.experiments)
            asked = runs.asked(needed(wanted))
            configs = [config for config in experiment.configs if config.run_id in asked]
            site = place_of(jobs, threads, device, data_dir, scheduler)
            stop_if_asked()
            if dry_run:
                show_plan(configs, runs.folder, site, force, stop_if_asked)
                return
            if configs:
                report = make_runs(configs, runs.folder, site, experiment, force, stop_if_asked)
                stop_if_asked()
                show_report(terminal, report, runs.folder)
                failed = bool(report.failures)
            _compute(context, terminal, wanted, root, force, stop_if_asked)
        sizes = [each for each in SIZES if each == chosen or each in there]
        _draw(terminal, root, sizes, stop_if_asked)
    if failed:
        raise typer.Exit(EXIT_FAILED)


def _refuse_with_no_run(context: typer.Context) -> None:
    """Options that say how runs are made say nothing where none is."""
    for name in ("dry_run", "force", "jobs", "threads", "device", "data_dir", "scheduler"):
        if context.params[name]:
            raise BadInput(name, "given", "together with `no_run`, which makes no runs", "one of the two")


def _compute(
    context: typer.Context,
    terminal: Terminal,
    wanted: Sequence[str],
    root: Path,
    force: bool,
    stop_if_asked: Callable[[], None],
) -> None:
    """Make the tables that need no training, if they are not there."""
    from agn_bench.base import files
    from agn_bench.paper.artefacts import ARTEFACTS
    from agn_bench.paper.computed import COMPUTED, computed_path

    missing = [
        name
        for name in wanted
        if (tables := ARTEFACTS[name].computed)
        and (force or not all(computed_path(root, table).is_file() for table in tables))
    ]
    if not missing:
        return
    from agn_bench.cli.progress import StepDisplay
    from agn_bench.paper.computing import COMPUTE, steps

    with StepDisplay(terminal, "timelines and paths", sum(steps(name) for name in missing), stop_if_asked) as display:
        for name in missing:
            folder = root / COMPUTED[ARTEFACTS[name].computed[0]][0]
            COMPUTE[name](folder, display.step)
            files.record_provenance(folder, {f"reproduce {name}": facts_of(context)})
    stop_if_asked()


def _draw(terminal: Terminal, root: Path, sizes: Sequence[str], stop_if_asked: Callable[[], None]) -> None:
    """All tables and pictures of all sizes that are there, so that the report shows nothing that is out of date."""
    from agn_bench.cli.display import show_path, show_rows
    from agn_bench.cli.progress import StepDisplay
    from agn_bench.paper.artefacts import ARTEFACTS, make
    from agn_bench.paper.report import shown_verdict, write_report
    from agn_bench.paper.runs import Results
    from agn_bench.store.collected import files_there

    every = [Results(size, root / size) for size in sizes]
    with StepDisplay(terminal, "tables and figures", len(ARTEFACTS) * len(every) + 1, stop_if_asked) as display:
        for runs in every:
            for name in ARTEFACTS:
                make(name, runs, root)
                display.step(f"{name}, {runs.size}")
        report, judged = write_report(root, every)
        display.step(report.name)
    claims = [claim for claim, _ in judged[sizes[0]]]
    rows: list[dict[str, Any]] = [{"": claim.number, "claim": claim.text} for claim in claims]
    for size, found in judged.items():
        for row, (_, findings) in zip(rows, found, strict=True):
            row[size] = shown_verdict(findings)
    show_rows(terminal, "the paper's claims", rows)
    for size in sizes:
        show_path(terminal, root / size, f"figures/, tables/, {files_there(root / size)}")
    show_path(terminal, report)
