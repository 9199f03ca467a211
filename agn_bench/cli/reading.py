"""The commands that read: table, list; and what all of them have that read runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agn_bench.cli import options
from agn_bench.cli.base import app, completion, console, option, path

if TYPE_CHECKING:
    from agn_bench.analysis.comparison import Runs
    from agn_bench.analysis.measures import Measured
    from agn_bench.cli.display import Terminal

_READ = (
    "a column of curves.csv.gz, as test_accuracy or center_gap; or a measure alone, as accuracy: of the workers' "
    "mini-batches, or else of the center. Default train_accuracy, as in the paper, if all runs have it, else the first "
    "measure of the center that all have."
)
"""What --measure may be."""


def _measure_option(*names: str, says: str = "What is read") -> Any:
    """--measure, which may have other names before it."""
    return typer.Option(
        *names,
        "--measure",
        "--accuracy",
        help=f"{says}: {_READ}",
        metavar="NAME",
        rich_help_panel="Options",
        show_default=False,
    )


_MEASURE = Annotated[str | None, _measure_option()]

_LARGEST = 1e300
"""A value that is to be reached, at most, of what is no fraction."""

_BY = Annotated[
    str | None,
    option("Compare apart by a column of the configuration, as in delays; default all together.", "NAME", "Options"),
]


_ONLY = Annotated[
    list[str] | None,
    option("Runs that have it, as in workers=20,40 or optimizer=agn; may be given again.", "KEY=VALUE", "Options"),
]

_ALL = Annotated[
    bool,
    typer.Option(
        "--all", help="Also runs that the edited experiment file no longer asks for.", rich_help_panel="Options"
    ),
]


def _wanted(
    terminal: Terminal,
    folders: Sequence[Path],
    conditions: Sequence[str] | None,
    every: bool,
    apart: bool = False,
) -> Runs:
    """The runs that are to be read (see comparison.read_runs). A line says how many are left out."""
    from agn_bench.analysis import comparison

    runs = comparison.read_runs(folders, apart)
    if not every:
        runs = runs.asked()
    if runs.left_out:
        many = "1 run that the experiment file no longer asks for is left out; --all takes it in"
        if runs.left_out > 1:
            many = f"{runs.left_out} runs that the experiment file no longer asks for are left out; --all takes them in"
        terminal.say(f"  {many}")
    return runs.only(conditions or [])


@app.command()
def table(
    folders: options.Folders,
    at: Annotated[
        str | None,
        option(
            "The measure at these simulated seconds: in the window that begins there, or by the last evaluation until "
            "then; default 30,60,120.",
            "S,S…",
            "Options",
        ),
    ] = None,
    reach: Annotated[
        str | None,
        option(
            "Simulated seconds to these values; an accuracy is a fraction. Default of an accuracy 0.8,0.9,0.95.",
            "X,X…",
            "Options",
        ),
    ] = None,
    measure: _MEASURE = None,
    only: _ONLY = None,
    every: _ALL = False,
    by: Annotated[
        str | None,
        option(
            "Compare apart by columns of the configuration, as in delays or workers,local_steps; default all together, "
            "and more than 20 configurations of several optimizers by all that every optimizer was tried with.",
            "NAME,…",
            "Options",
        ),
    ] = None,
    pivot: Annotated[
        str | None,
        option(
            "Put the values of this column side by side, as in optimizer: one row for all else that they share.",
            "NAME",
            "Options",
        ),
    ] = None,
    compare: Annotated[
        str | None,
        option(
            "Set the values of this column against the best one, as in optimizer: seed by seed, all else alike.",
            "NAME",
            "Options",
        ),
    ] = None,
    out: Annotated[
        str | None,
        option(
            "File to write, .csv, .tex, .md or .html; default in tables/ of the first DIR, as accuracy.csv.",
            "FILE",
            "Options",
        ),
    ] = None,
) -> None:
    """A measure at given times and the time to given values, one row per configuration, mean ± deviation over seeds.

    ```console
    agn-bench table results/four-methods --at 30,60,120
    ```
    """
    from agn_bench.analysis import comparison, written
    from agn_bench.base import files
    from agn_bench.base.inputs import BadInput, numbers
    from agn_bench.cli.tables import Asked, compared_tables, measure_tables, pivot_tables
    from agn_bench.config.selection import called

    times = numbers("at", "30,60,120" if at is None else at, 0, 1e12)
    chosen = {"by": by, "pivot": pivot, "compare": compare}
    given = [name for name, value in chosen.items() if value is not None]
    if len(given) > 1:
        raise BadInput(given[1], chosen[given[1]], f"given with --{given[0]}", "one of --by, --pivot and --compare")
    places = [path("DIR", folder) for folder in folders]
    if out is not None:
        written.check_ending("out", path("out", out))
    terminal = console()
    runs = _wanted(terminal, places, only, every)
    read = runs.measured(measure)
    asked = Asked(times, _targets(read, reach), read, at is not None, reach is not None)
    name = read.stem
    if pivot is not None or compare is not None:
        column = called(given[0], str(chosen[given[0]]), runs.described)
        name = f"{read.prefix}{given[0]}-{column}"
        make = pivot_tables if pivot is not None else compared_tables
        rows, shown = make(comparison.configurations(runs, read), column, asked)
    else:
        rows, shown = measure_tables(comparison.compared(runs, read, by), by, asked)
    target = places[0] / "tables" / f"{name}.csv" if out is None else path("out", out)
    files.check_file("out", target)
    written.write_tables(target, rows, shown.tables)

    from agn_bench.cli.display import fits, show_path, show_rows

    *wide, narrowest = shown.on_screen
    for one in next((some for some in wide if all(fits(terminal, one.rows) for one in some)), narrowest):
        show_rows(terminal, one.title, one.rows)
        for note in one.notes:
            terminal.say(f"  {note}")
    show_path(terminal, target)


def _targets(measure: Measured, reach: str | None) -> list[float]:
    """The values that are to be reached; fractions if it is one."""
    from agn_bench.base.inputs import numbers

    if measure.is_fraction:
        return numbers("reach", "0.8,0.9,0.95" if reach is None else reach, 0, 1)
    return [] if reach is None else numbers("reach", reach, -_LARGEST, _LARGEST)


def _listed() -> list[str]:
    from agn_bench.cli import catalogue

    return [*catalogue.SECTIONS, *(name for named in catalogue.KINDS.values() for name in named.names())]


@app.command(name="list")
def list_names(
    what: Annotated[
        str | None,
        typer.Argument(
            help="optimizers, local-optimizers, schedules, local-steps-rules, problems, models, datasets, data-splits, "
            "distributions, speeds, delays, presets, experiments, artefacts; or one of them, as in easgd or "
            "my.py:Mine, for its numbers; default all",
            metavar="WHAT",
            autocompletion=completion(_listed),
        ),
    ] = None,
) -> None:
    """List what there is to choose from: optimizers, problems, models, data sets and splits, delay profiles, presets,
    experiments, and artefacts, which are the tables and figures that `reproduce` makes. For a name it lists the numbers
    that may follow it after colons.

    ```console
    agn-bench list
    agn-bench list easgd
    ```
    """
    from agn_bench.base.inputs import choose
    from agn_bench.cli import catalogue
    from agn_bench.cli.display import show_rows

    terminal = console()
    found = [] if what is None or what in catalogue.SECTIONS else catalogue.described(what)
    for title, about, rows in found:
        for line in f"{title}: {about}".split("\n"):
            terminal.say(line)
        if rows:
            show_rows(terminal, "numbers", rows)
        else:
            terminal.say("It has no numbers.")
    if found:
        return
    for name in catalogue.SECTIONS if what is None else [choose("WHAT", what, _listed())]:
        listed = catalogue.SECTIONS[name]()
        tables = listed if isinstance(listed, dict) else {name: listed}
        for title, members in tables.items():
            if members:
                show_rows(terminal, title, members)
        if not listed and what is not None:
            terminal.print(f"no {name} here")
