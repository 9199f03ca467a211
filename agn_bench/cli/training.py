"""The command that trains: run."""

from __future__ import annotations

from typing import Annotated

import typer

from agn_bench.cli import options
from agn_bench.cli.base import (
    EXIT_FAILED,
    app,
    complain,
    console,
    interrupts_wait,
    option,
    path,
    said,
)
from agn_bench.config.options import RUN, WORK


@app.command()
@options.takes()
def run(
    like: Annotated[
        str | None,
        option("A finished run's folder instead of a preset: the same run, but for the options given.", "PATH", WORK),
    ] = None,
    data_dir: options.DataDir = None,
    seeds: Annotated[
        str | None,
        option(
            "Runs, with seeds counting up from --seed; several have a thread each, unless --threads says otherwise, "
            "and are made as many at once as there are cores; default 1.",
            "N",
            RUN,
        ),
    ] = None,
    threads: options.Threads = None,
    device: options.Device = None,
    save_center: options.SaveCenter = False,
    out: Annotated[str, option("Experiment folder to write to; default results/adhoc.", "DIR", RUN)] = "results/adhoc",
    force: options.Force = False,
    **configuration: object,
) -> None:
    """Train one model with many simulated asynchronous workers, with one or several seeds.

    A server holds the center, the parameters that all workers share. A worker takes λ local steps and sends what they
    add up to, its commit; the server applies it and answers. The two together are an exchange. Writes run.json,
    summary.csv, curve.csv and commits.csv for each seed.

    ```console
    agn-bench run --optimizer easgd --workers 40 --seeds 3
    agn-bench run --delays stragglers --seconds 100
    agn-bench run --optimizer mine.py:Mine:beta=2
    ```
    """
    from agn_bench.config.resolving import resolve, resolve_like
    from agn_bench.config.run import with_seeds

    if like is None:
        config = resolve(configuration)
    else:
        from agn_bench.store.run_files import read_config

        config = resolve_like(configuration, read_config(path("like", like)), like)
    configs = with_seeds(config, 1 if seeds is None else seeds)
    with interrupts_wait() as stop_if_asked:
        from agn_bench.base import machine

        # One run has all cores; several have a core each, as many at once as there are.
        several = threads is None and len(configs) > 1
        machine.prepare(1 if several else threads, device)

        from agn_bench.cli.display import show_remarks, show_runs
        from agn_bench.cli.progress import RunDisplay
        from agn_bench.execution.one import Terms
        from agn_bench.execution.sweep import Place, run_all
        from agn_bench.training.remarks import of_plan

        stop_if_asked()
        terminal, folder = console(), path("out", out)
        show_remarks(terminal, {"": of_plan(config)})
        with RunDisplay(terminal, stop_if_asked) as display:
            terms = Terms(None if data_dir is None else path("data_dir", data_dir), save_center)
            place = Place(machine.runs_at_once(), terms=terms)
            report = run_all(configs, folder, display, place, force=force)
        stop_if_asked()
    there = {made.run_id for made in (*report.made, *report.found)}
    for failed, error in report.failures:
        if not there:
            raise error
        complain(f"{failed.run_id}: {said(error)}", EXIT_FAILED)
    show_runs(terminal, config, folder, [run.name for run in report.runs if run.name in there])
    show_remarks(terminal, {"": [remark for remark in display.remarks if remark not in of_plan(config)]})
    if report.failures:
        raise typer.Exit(EXIT_FAILED)
