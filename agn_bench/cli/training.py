"""The command that trains: run."""

from __future__ import annotations

from typing import Annotated

import typer

from agn_bench.cli import options
from agn_bench.cli.base import (
    EXIT_FAILED,
    METHOD,
    PROBLEM,
    RUN,
    TIME,
    WORK,
    app,
    complain,
    console,
    interrupts_wait,
    names_of,
    option,
    path,
    preset_default,
)
from agn_bench.config.defaults import DATA_SPLITS, DEFAULT_ALPHA, DEFAULT_MOMENTUM, DEFAULTS, EVALUATIONS
from agn_bench.optimizers.catalogue import LOCAL_OPTIMIZERS, METHODS

_RATES = ", ".join(f"{name}: {entry.learning_rate:g}" for name, entry in LOCAL_OPTIMIZERS.items())
_SPLITS = "; ".join(f"{name}: {what}" for name, what in DATA_SPLITS.items())


@app.command()
def run(
    context: typer.Context,
    optimizer: Annotated[
        str | None, option(f"{names_of(METHODS)}; default {DEFAULTS['optimizer']}.", "NAME", METHOD, METHODS)
    ] = None,
    workers: Annotated[str | None, option(f"Workers, n; default {DEFAULTS['workers']}.", "N", METHOD)] = None,
    local_steps: Annotated[
        str | None,
        option(
            "Mini-batch steps between two exchanges, λ; auto: the smallest stable at staleness n − 1; default auto.",
            "N",
            METHOD,
        ),
    ] = None,
    alpha: Annotated[
        str | None, option(f"Elastic force of easgd, a fraction; default {DEFAULT_ALPHA}.", "X", METHOD)
    ] = None,
    local_optimizer: Annotated[
        str | None,
        option(
            f"Workers' own steps: {names_of(LOCAL_OPTIMIZERS)}; default {preset_default('local_optimizer')}.",
            "NAME",
            METHOD,
            LOCAL_OPTIMIZERS,
        ),
    ] = None,
    learning_rate: Annotated[str | None, option(f"Of the local optimizer; default {_RATES}.", "X", METHOD)] = None,
    momentum: Annotated[
        str | None, option(f"Of --local-optimizer momentum; default {DEFAULT_MOMENTUM}.", "X", METHOD)
    ] = None,
    reset_local_optimizer: Annotated[
        bool | None,
        typer.Option(
            "--reset-local-optimizer/--no-reset-local-optimizer",
            help="Clear its state at each pull; default off.",
            rich_help_panel=METHOD,
            show_default=False,
        ),
    ] = None,
    like: Annotated[
        str | None,
        option("A finished run's folder instead of a preset: the same run, but for the options given.", "PATH", WORK),
    ] = None,
    preset: options.Preset = None,
    epochs: options.Epochs = None,
    gradient_steps: options.GradientSteps = None,
    batch_size: options.BatchSize = None,
    model: options.Model = None,
    dataset: options.Dataset = None,
    data_dir: options.DataDir = None,
    data_split: Annotated[
        str | None,
        option(f"{_SPLITS}; default {DEFAULTS['data_split']}.", "NAME", PROBLEM, DATA_SPLITS),
    ] = None,
    delays: options.Delays = None,
    delay: options.Delay = None,
    timeline: options.Timeline = None,
    window: Annotated[
        str | None,
        option(f"Simulated seconds a point of the curve averages over; default {DEFAULTS['window']:g}.", "S", TIME),
    ] = None,
    eval_every: Annotated[
        str | None,
        option(
            f"Exchanges between evaluations on the test set; auto: {EVALUATIONS} times, evenly; default auto.",
            "N",
            TIME,
        ),
    ] = None,
    seed: options.Seed = None,
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
) -> None:
    """Train with many simulated asynchronous workers: one configuration, one or several seeds.

    Writes run.json, summary.csv, curve.csv and commits.csv for each seed.
    """
    from agn_bench.config.run import resolve, with_seeds
    from agn_bench.store.run_files import read_config

    elsewhere = ("seeds", "data_dir", "threads", "device", "save_center", "out", "force", "like")
    given = {name: value for name, value in context.params.items() if name not in elsewhere}
    config = resolve(given, {} if like is None else read_config(path("like", like)))
    configs = with_seeds(config, 1 if seeds is None else seeds)
    with interrupts_wait() as stop_if_asked:
        from agn_bench.base import machine

        # One run has all cores; several have a core each, as many at once as there are.
        several = threads is None and len(configs) > 1
        machine.prepare(1 if several else threads, device)

        from agn_bench.cli.display import show_runs
        from agn_bench.cli.progress import RunDisplay
        from agn_bench.execution.one import Terms
        from agn_bench.execution.sweep import Place, run_all

        stop_if_asked()
        terminal, folder = console(), path("out", out)
        with RunDisplay(terminal, stop_if_asked) as display:
            terms = Terms(None if data_dir is None else path("data_dir", data_dir), save_center)
            place = Place(machine.runs_at_once(), terms=terms)
            report = run_all(configs, folder, display, place, force=force)
        stop_if_asked()
    there = {made.run_id for made in (*report.made, *report.found)}
    for failed, error in report.failures:
        if not there:
            raise error
        complain(f"{failed.run_id}: {error}", EXIT_FAILED)
    show_runs(terminal, config, folder, [run.name for run in report.runs if run.name in there])
    if report.failures:
        raise typer.Exit(EXIT_FAILED)
