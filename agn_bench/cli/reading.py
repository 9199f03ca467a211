"""The commands that read: table, plot, list."""

from __future__ import annotations

from itertools import chain
from typing import Annotated

import typer

from agn_bench.cli import options
from agn_bench.cli.base import app, completion, console, option, path

_ACCURACY = Annotated[
    str,
    option("train_accuracy: the workers' mini-batches, as the paper; test_accuracy: the center.", "NAME", "Options"),
]

_BY = Annotated[
    str | None,
    option("Compare apart by a column of the configuration, as in delays; default all together.", "NAME", "Options"),
]


@app.command()
def table(
    folders: options.Folders,
    at: Annotated[
        str,
        option("Accuracy in the window that begins at these simulated seconds; default 30,60,120.", "S,S…", "Options"),
    ] = "30,60,120",
    reach: Annotated[
        str, option("Simulated seconds to these accuracies, fractions; default 0.8,0.9,0.95.", "X,X…", "Options")
    ] = "0.8,0.9,0.95",
    accuracy: _ACCURACY = "train_accuracy",
    by: _BY = None,
    out: Annotated[
        str | None, option("CSV file to write; default DIR/tables/accuracy.csv, in the first DIR.", "FILE", "Options")
    ] = None,
) -> None:
    """Accuracy at given times and time to given accuracies, a row a configuration, mean ± deviation over seeds."""
    from agn_bench.analysis import comparison, tables
    from agn_bench.base import files
    from agn_bench.base.inputs import choose, numbers
    from agn_bench.store import run_files

    times = numbers("at", at, 0, 1e12)
    targets = numbers("reach", reach, 0, 1)
    choose("accuracy", accuracy, run_files.ACCURACIES)
    places = [path("DIR", folder) for folder in folders]
    target = places[0] / "tables" / "accuracy.csv" if out is None else path("out", out)
    groups = comparison.groups(comparison.read_configurations(places, accuracy, by), by)
    files.check_file("out", target)
    rows = {name: tables.accuracy_table(group, times, targets) for name, group in groups.items()}
    files.write_table(target, list(chain(*rows.values())))

    from agn_bench.cli.display import show_path, show_rows

    terminal = console()
    for name, group in groups.items():
        for title, shown in tables.readable(group, rows[name]).items():
            show_rows(terminal, f"{name}: {title}" if by else title, shown)
        terminal.print(f"  {accuracy}; area: its mean over the first {rows[name][0]['area_until_s']:.1f} s")
    show_path(terminal, target)


@app.command()
def plot(
    folders: options.Folders,
    accuracy: _ACCURACY = "train_accuracy",
    panels: Annotated[
        str | None,
        option(
            "One panel per combination of the values of these columns, as in n,delays; default one panel.",
            "COLUMN,…",
            "Options",
        ),
    ] = None,
    lines: Annotated[
        str | None,
        option(
            "Columns that tell the lines of a panel apart, as in optimizer; default all in which runs differ.",
            "COLUMN,…",
            "Options",
        ),
    ] = None,
    out: Annotated[
        str | None,
        option(
            "Picture to write, without its ending; default in figures/ of the first DIR, as accuracy-over-time.",
            "FILE",
            "Options",
        ),
    ] = None,
) -> None:
    """Draw accuracy against simulated time, as PNG and SVG: one line per configuration, the mean over its seeds, with a
    band of one standard deviation.
    """
    from agn_bench.analysis import comparison
    from agn_bench.analysis.arrangement import arrange
    from agn_bench.analysis.figures.accuracy import accuracy_over_time
    from agn_bench.base import files
    from agn_bench.base.inputs import BadInput, choose
    from agn_bench.store import run_files

    choose("accuracy", accuracy, run_files.ACCURACIES)
    places = [path("DIR", folder) for folder in folders]
    name = "test-accuracy-over-time" if accuracy == "test_accuracy" else "accuracy-over-time"
    stem = places[0] / "figures" / name if out is None else path("out", out)
    stem = stem.with_suffix("") if stem.suffix in (".png", ".svg") else stem
    if stem.suffix.lower() in (".pdf", ".eps", ".ps", ".jpg", ".jpeg", ".gif", ".webp"):
        raise BadInput("out", stem, f"no {stem.suffix} is drawn", ".png or .svg, or a name without ending for both")
    configurations = comparison.read_configurations(places, accuracy)
    arrangement = arrange(configurations, _columns(panels), _columns(lines))
    files.check_file("out", stem)
    for picture in accuracy_over_time(arrangement, accuracy, stem):
        print(picture)


def _columns(text: str | None) -> list[str]:
    return [] if text is None else text.split(",")


def _listed() -> list[str]:
    from agn_bench.cli import catalogue

    return [*catalogue.SECTIONS, *(name for named in catalogue.KINDS.values() for name in named.names())]


@app.command(name="list")
def list_names(
    what: Annotated[
        str | None,
        typer.Argument(
            help="optimizers, local-optimizers, distributions, speeds, models, datasets, data-splits, delays, presets, "
            "experiments, artefacts; or one of them, as in easgd or my.py:Mine, for its numbers; default all",
            metavar="WHAT",
            autocompletion=completion(_listed),
        ),
    ] = None,
) -> None:
    """What there is to choose from: optimizers, models, data sets and splits, delay profiles, presets, experiments
    here, and what `reproduce` makes. Of a name: the numbers that follow it after colons.
    """
    from agn_bench.base.inputs import choose
    from agn_bench.cli import catalogue
    from agn_bench.cli.display import show_rows

    terminal = console()
    found = [] if what is None or what in catalogue.SECTIONS else catalogue.described(what)
    for title, about, rows in found:
        terminal.say(f"{title}: {about}")
        if rows:
            show_rows(terminal, "numbers", rows)
        else:
            terminal.say("It has no numbers.")
    if found:
        return
    for name in catalogue.SECTIONS if what is None else [choose("WHAT", what, _listed())]:
        rows = catalogue.SECTIONS[name]()
        if rows:
            show_rows(terminal, name, rows)
        elif what is not None:
            terminal.print(f"no {name} here")
