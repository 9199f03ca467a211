"""The commands about the clock: timeline, advise, calibrate."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from agn_bench.base.inputs import BadInput, printable, whole_number
from agn_bench.cli import options
from agn_bench.cli.base import app, facts_of, option, path, reporting
from agn_bench.config.options import OPTIONS, RUN, TIME, WORK


@app.command()
@options.takes(
    "optimizer",
    "workers",
    "local_steps",
    "local_steps_rule",
    "learning_rate",
    "schedule",
    "preset",
    "epochs",
    "gradient_steps",
    "seconds",
    "shares",
    "batch_size",
    "model",
    "dataset",
    "delays",
    "delay",
    "timeline",
    "columns",
    "seed",
    workers={"help": "Workers, n; several as in 10,20,40 or 10..40", "metavar": "N[,N…]"},
    local_steps={
        "help": "Mini-batch steps between two exchanges of a worker, λ; several as in 10,20 or 5..40..5",
        "metavar": "N[,N…]",
    },
)
def timeline(
    context: typer.Context,
    exchanges: Annotated[
        str | None,
        option("Stop after so many exchanges, all workers still active; default when the work is done.", "N", WORK),
    ] = None,
    threads: options.Threads = None,
    out: Annotated[str, option("Folder to write to; default results/adhoc/timeline.", "DIR", RUN)] = (
        "results/adhoc/timeline"
    ),
    **configuration: object,
) -> None:
    """Simulate the clock alone, without training: staleness, queue waits, throughput, and whether AGN is stable.

    A commit's staleness is how many versions the center has gained since its worker's phase began. The growth rate
    says how AGN behaves in stiff directions, those in which the loss curves most: above 0 it is unstable there. A
    number of workers with a number of local steps is a cell. For one cell it draws the histogram of staleness, and who
    did what in the first simulated minute; for several cells maps of the growth rate and of the throughput.

    ```console
    agn-bench timeline --workers 40 --delays stragglers
    agn-bench timeline --workers 10,20,40 --local-steps 5,10,20
    agn-bench timeline --timeline my-log.csv --local-steps 10
    ```
    """
    from agn_bench.clock.timeline import MOST_EXCHANGES
    from agn_bench.clock.trace import Trace
    from agn_bench.studies.pairs import cells

    stop_after = None if exchanges is None else whole_number("exchanges", exchanges, 1, MOST_EXCHANGES)
    configs = cells(configuration, stop_after)
    folder = path("out", out)
    with reporting(threads, folder) as (terminal, stop_if_asked):
        from agn_bench.cli.display import show_path, show_remarks, show_survey
        from agn_bench.cli.progress import StepDisplay
        from agn_bench.studies.survey import survey

        if isinstance(configs[0].delays, Trace):
            show_remarks(terminal, {"": configs[0].delays.notes})
        with StepDisplay(terminal, "simulating", len(configs), stop_if_asked) as display:
            made = survey(configs, stop_after, folder, partial(facts_of, context), display.step)
            rows, pictures, remarks = made
    show_survey(terminal, rows, folder)
    show_remarks(terminal, remarks, len(rows))
    for picture in pictures:
        show_path(terminal, picture)
    names = ("timeline", "staleness", "commits", "interrupted", "absences")
    files = [name for name in names if (folder / f"{name}.csv").exists()]
    show_path(terminal, folder, ", ".join([*(f"{name}.csv" for name in files), "provenance.json"]))


@app.command()
@options.takes(
    "optimizer",
    "workers",
    "local_steps",
    "seconds",
    "model",
    "dataset",
    "problem",
    "delays",
    "delay",
    "timeline",
    "columns",
    optimizer={"help": f"{OPTIONS['optimizer'].help}; several as in agn,dynsgd", "metavar": "NAME[,NAME…]"},
    workers={
        "help": "Workers, n; several as in 10,20,40 or 10..40; default 10,20,40",
        "metavar": "N[,N…]",
    },
    local_steps={
        "help": "λ to choose from, as in 10,20 or 5..40..5; default every whole number",
        "metavar": "N[,N…]",
    },
    seconds={"help": "How long runs are to last: for short ones fewer local steps are best; default long"},
)
def advise(
    context: typer.Context,
    threads: options.Threads = None,
    out: Annotated[str, option("Folder to write to; default results/adhoc/advice.", "DIR", RUN)] = (
        "results/adhoc/advice"
    ),
    **configuration: object,
) -> None:
    """Say from the clock alone which number of local steps to take, and how many workers.

    Nothing is trained. For each number of workers it takes the least number of local steps λ with which AGN is stable
    on this clock: its growth rate is under -0.1, or for short runs under a higher bound. The growth rate says by how
    much errors grow in stiff directions, those in which the loss curves most, while every worker exchanges once. The
    command recommends the largest number of workers that is worth having: workers beyond the fewest asked for add half
    of what they compute, or more. The rule was tested with agn alone; for other optimizers the same is computed by
    their own code.

    ```console
    agn-bench advise --delays paper-cluster --workers 10..40
    agn-bench advise --delays my-cluster.toml --optimizer agn,dynsgd
    ```
    """
    from agn_bench.studies.pairs import by_workers

    names = [part.strip() for part in str(configuration.pop("optimizer") or OPTIONS["optimizer"].default).split(",")]
    asked = [by_workers({**configuration, "optimizer": name}) for name in names]
    folder = path("out", out)
    with reporting(threads, folder) as (terminal, stop_if_asked):
        from agn_bench.cli.display import show_advice, show_path
        from agn_bench.cli.progress import StepDisplay
        from agn_bench.studies.advice import advise as advise_of
        from agn_bench.studies.advice import write

        total = sum(len(cells) for cells, *_ in asked)
        with StepDisplay(terminal, "simulating", total, stop_if_asked) as display:
            advised = [advise_of(*of_one, on_cell=display.step) for of_one in asked]
        pictures = write(folder, advised, facts_of(context))
    for advice in advised:
        show_advice(terminal, advice)
    for picture in pictures:
        show_path(terminal, picture)
    show_path(terminal, folder, "advice.csv, provenance.json")


_MOST_SEEDS = 100
_LEAST_RESAMPLES, _MOST_RESAMPLES = 20, 1000


@app.command()
@options.takes(
    "delays",
    "delay",
    "columns",
    columns={"help": "Names that columns have in TIMES, as in workers=n,local_steps=lambda,seconds=t"},
)
def calibrate(
    context: typer.Context,
    times: Annotated[
        str,
        typer.Argument(help="CSV file, one row per training run: workers, local_steps and seconds.", metavar="TIMES"),
    ],
    seconds: Annotated[str, option("Column of measured seconds to fit; default seconds.", "COLUMN", TIME)] = "seconds",
    held_out: Annotated[
        list[str] | None, option("Column of measured seconds to test the fit on; may be given again.", "COLUMN", TIME)
    ] = None,
    gradient_steps: Annotated[
        str, option("Mini-batch steps by all workers in each of the runs; default 18750, the paper's.", "N", WORK)
    ] = "18750",
    model: Annotated[str, option("Whose size the messages have; default mlp-paper.", "NAME", WORK)] = "mlp-paper",
    dataset: Annotated[str, option("What the model learns; default mnist.", "NAME", WORK)] = "mnist",
    leftover: Annotated[
        bool,
        typer.Option(
            "--leftover",
            help="Workers also made the steps of their shares that are no whole phase.",
            rich_help_panel=WORK,
        ),
    ] = False,
    seeds: Annotated[str, option("Timelines to average over; default 3.", "N", RUN)] = "3",
    resamples: Annotated[
        str, option("Refits that the intervals of the numbers are of, 0 for no intervals; default 200.", "N", RUN)
    ] = "200",
    threads: options.Threads = None,
    out: Annotated[str, option("Folder to write to; default results/adhoc/calibration.", "DIR", RUN)] = (
        "results/adhoc/calibration"
    ),
    **configuration: Any,
) -> None:
    """Fit a delay profile to measured training times: step, network and server times.

    The distributions, the order of service and whatever else a profile has are those of --delays. What is fitted are
    the means of step, server and network (the same both ways), the variation of the steps, and where the profile has
    pauses or failures how long they last and how often they come. Then the fit is repeated
    with runs drawn from the measured ones, to see how well they bind each number. Writes profile.toml, numbers.csv (the
    fitted numbers and their intervals), cells.csv (every measured run), errors.csv and a figure.

    ```console
    agn-bench calibrate times.csv --gradient-steps 18750 --held-out other_seconds
    ```
    """
    from agn_bench.clock import load_profile
    from agn_bench.config.resolving import MAX_IMAGES_DRAWN
    from agn_bench.problems.catalogue import DATASETS, MODELS
    from agn_bench.studies.measured import read_measured

    base = load_profile(configuration["delays"] or str(OPTIONS["delays"].default), configuration["delay"] or [])
    steps = whole_number("gradient_steps", gradient_steps, 1, MAX_IMAGES_DRAWN)
    timelines = whole_number("seeds", seeds, 1, _MOST_SEEDS)
    refits = whole_number("resamples", resamples, 0, _MOST_RESAMPLES)
    if 0 < refits < _LEAST_RESAMPLES:
        accepted = f"0, or from {_LEAST_RESAMPLES} to {_MOST_RESAMPLES}"
        raise BadInput("resamples", resamples, "too few to tell intervals from", accepted)
    size = MODELS.choose(model).thing.on(DATASETS.choose(dataset).thing).message_bytes
    read = read_measured(path("TIMES", times), [seconds, *(held_out or [])], steps, configuration["columns"])
    columns = [replace(column, leftover=leftover) for column in read]
    folder = path("out", out)
    with reporting(threads, folder) as (terminal, stop_if_asked):
        from agn_bench.cli.display import show_confidence, show_path, show_rows
        from agn_bench.cli.progress import StepDisplay
        from agn_bench.studies.calibration import Trial, confidence_of, fit, report, write_calibration

        for note in columns[0].notes:
            terminal.say(f"  {note}")

        with StepDisplay(terminal, "fitting", None, stop_if_asked) as display:

            def on_trial(trial: Trial) -> None:
                display.step(f"{trial.evaluations} profiles tried, mean error {100 * trial.error:.2f} %")

            fitted = fit(base, columns[0], steps, timelines, size, on_trial)
            confidence = None
            if refits:
                confidence = confidence_of(fitted, columns[0], steps, timelines, size, refits, display.step)
            cells, errors = report(fitted, columns, steps, timelines, size)
            display.step("writing")
        source = f"fitted by agn-bench calibrate to {seconds} of {printable(Path(times).name)}"
        pictures = write_calibration(folder, fitted, source, confidence, cells, errors, facts_of(context))
    show_rows(
        terminal,
        "fitted profile",
        [
            {"table": part, **{key: value for key, value in table.items() if key != "order"}}
            for part, table in fitted.as_dict().items()
            if part in ("step", "up", "down", "server")
        ],
    )
    shown = [
        {
            "column": row["column"],
            "role": row["role"],
            "cells": row["cells"],
            "mean |error| %": f"{100 * row['mean_absolute_error']:.1f}",
            "mean error %": f"{100 * row['mean_error']:+.1f}",
            "largest %": f"{100 * row['largest_absolute_error']:.1f}",
        }
        for row in errors
    ]
    show_rows(terminal, "simulated against measured seconds", shown)
    if confidence is not None:
        show_confidence(terminal, confidence)
    for picture in pictures:
        show_path(terminal, picture)
    numbers = "" if confidence is None else "numbers.csv, "
    show_path(terminal, folder, f"profile.toml, {numbers}cells.csv, errors.csv, provenance.json")
