"""The command that draws: plot."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agn_bench.base.inputs import BadInput, choose, number
from agn_bench.cli import options
from agn_bench.cli.base import app, console, option, path
from agn_bench.cli.reading import _ALL, _ONLY, _measure_option, _wanted

if TYPE_CHECKING:
    from agn_bench.analysis.figures.look import Layout

_PAGE = "The figure on a page"
"""A panel of the help."""
_AXES = ("time", "exchanges", "steps", "epochs")
_FORMATS = ("pdf", "svg", "png")
_UNITS = {"in": 1.0, "cm": 1 / 2.54, "mm": 1 / 25.4, "pt": 1 / 72}
"""Inches."""
_LEAST_WIDTH, _MOST_WIDTH = 1, 50
"""Inches."""
_PRINTED = 8.0
"""Points of the lettering of a figure whose width is given."""
_LEAST_SIZE, _MOST_SIZE = 3, 40


@app.command()
def plot(
    folders: options.Folders,
    x: Annotated[
        str,
        option(
            "What the measure is drawn against: time, exchanges, steps (gradient steps of all workers), or epochs "
            "(passes over the training set); default time.",
            "NAME",
            "Options",
            _AXES,
        ),
    ] = "time",
    measure: Annotated[str | None, _measure_option("--y", says="What is drawn")] = None,
    only: _ONLY = None,
    every: _ALL = False,
    panels: Annotated[
        str | None,
        option(
            "One panel per combination of the values of these columns, as in n,delays; experiment stands for the DIR "
            "that a run is in; default one panel.",
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
    formats: Annotated[
        str | None,
        typer.Option(
            "--format",
            help="pdf, svg or png, or several of them; default what --out ends in, else png, and svg unless it is "
            "larger than 300 kB.",
            metavar="NAME,…",
            rich_help_panel=_PAGE,
            show_default=False,
        ),
    ] = None,
    width: Annotated[
        str | None,
        option(
            "How wide the figure is, with the unit: in, cm, mm, or pt of 1/72 in; default as its panels need.",
            "3.3in",
            _PAGE,
        ),
    ] = None,
    font_size: Annotated[
        str | None,
        option("How large the axes' lettering is, in points; default 8 with --width, else 10.", "N", _PAGE),
    ] = None,
    title: Annotated[str, option("What stands over the figure; default nothing.", "TEXT", _PAGE)] = "",
    xlabel: Annotated[str | None, option("What stands under the axes; default what --x is.", "TEXT", _PAGE)] = None,
    ylabel: Annotated[
        str | None, option("What stands to the left of the axes; default what --y is.", "TEXT", _PAGE)
    ] = None,
    no_notes: Annotated[
        bool,
        typer.Option(
            "--no-notes",
            help="Leave out the sentences under the figure that say what lines and bands are.",
            rich_help_panel=_PAGE,
        ),
    ] = False,
    out: Annotated[
        str | None,
        option(
            "Picture to write; an ending, as in x.svg, names its format; default in figures/ of the first DIR, as "
            "accuracy-over-time.",
            "FILE",
            "Options",
        ),
    ] = None,
) -> None:
    """Draw a measure against simulated time, or what --x says: one line per configuration, the mean over its seeds,
    with a band of one standard deviation. Where nothing names a format it is written as PNG and SVG.

    ```console
    agn-bench plot results/equal-time --panels delays
    agn-bench plot results/equal-time --x steps --format pdf --width 3.3in
    ```
    """
    places = [path("DIR", folder) for folder in folders]
    x = choose("x", x, _AXES)
    stem, named = (None, ()) if out is None else _stem(path("out", out), formats)
    layout = _layout(formats, named, width, font_size, title, xlabel, ylabel, not no_notes)

    from agn_bench.analysis import axes, comparison
    from agn_bench.analysis.arrangement import arrange
    from agn_bench.analysis.figures.over_time import over_time
    from agn_bench.base import files
    from agn_bench.base.inputs import printable

    by_panel, by_line = _columns(panels), _columns(lines)
    runs = _wanted(console(), places, only, every, comparison.EXPERIMENT in (*by_panel, *by_line))
    read = runs.measured(measure)
    drawn = comparison.along(comparison.configurations(runs, read), runs, axes.AXES[x])
    arrangement = arrange(drawn, by_panel, by_line)
    if stem is None:
        stem = places[0] / "figures" / f"{read.stem}-over-{x}"
    files.check_file("out", stem)
    for picture in over_time(arrangement, read, stem, layout):
        print(printable(str(picture)))


def _columns(text: str | None) -> list[str]:
    return [] if text is None else [name.strip() for name in text.split(",")]


def _stem(out: Path, formats: str | None) -> tuple[Path, tuple[str, ...]]:
    """The name without the ending of a format, and the format that the ending asks for."""
    ending = out.suffix.lower().removeprefix(".")
    if ending in ("eps", "ps", "jpg", "jpeg", "gif", "webp"):
        raise BadInput("out", out, f"no .{ending} is drawn", ".png, .svg or .pdf, or a name without ending")
    if ending not in _FORMATS:
        return out, ()
    if formats is not None and ending not in _read_formats(formats):
        raise BadInput(
            "out", out, f"ends in .{ending}, and `format={formats}` is given", "one of the two, or both alike"
        )
    return out.with_suffix(""), (ending,)


def _read_formats(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(choose("format", part.strip().lower(), _FORMATS) for part in text.split(",")))


def _layout(
    formats: str | None,
    named: tuple[str, ...],
    width: str | None,
    font_size: str | None,
    title: str,
    xlabel: str | None,
    ylabel: str | None,
    noted: bool,
) -> Layout:
    """What the options of the page say.

    Raises:
        BadInput: one of them cannot be used.
    """
    chosen = named if formats is None else _read_formats(formats)
    inches = None if width is None else _inches("width", width)
    usual = 10.0 if inches is None else _PRINTED
    size = usual if font_size is None else number("font_size", font_size, _LEAST_SIZE, _MOST_SIZE, "points")

    from agn_bench.analysis.figures.look import Layout

    return Layout(chosen, inches, size, title, xlabel, ylabel, noted)


def _inches(option: str, text: str) -> float:
    """A length with its unit."""
    accepted = f"a number with in, cm, mm or pt, as in 3.3in, from {_LEAST_WIDTH}in to {_MOST_WIDTH}in"
    matched = re.fullmatch(r"\s*([0-9]*\.?[0-9]+)\s*([a-z]*)\s*", text.lower(), flags=re.ASCII)
    if matched is None:
        raise BadInput(option, text, "not a length", accepted)
    if not matched[2]:
        raise BadInput(option, text, "has no unit", accepted)
    if matched[2] not in _UNITS:
        raise BadInput(option, text, f"{matched[2]} is no unit", accepted)
    inches = float(matched[1]) * _UNITS[matched[2]]
    if not _LEAST_WIDTH <= inches <= _MOST_WIDTH:
        raise BadInput(option, text, "too small" if inches < _LEAST_WIDTH else "too large", accepted)
    return inches
