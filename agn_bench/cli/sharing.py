"""The command that makes a page to be sent: report."""

from __future__ import annotations

from typing import Annotated

from agn_bench.cli import options
from agn_bench.cli.base import app, console, option, path
from agn_bench.cli.reading import _ALL, _MEASURE, _ONLY, _wanted


@app.command()
def report(
    folders: options.Folders,
    measure: _MEASURE = None,
    only: _ONLY = None,
    every: _ALL = False,
    title: Annotated[
        str | None, option("What stands on top of the page; default the experiments' names.", "TEXT", "Options")
    ] = None,
    out: Annotated[
        str | None,
        option("Page to write, a name that ends in .html; default report.html in the first DIR.", "FILE", "Options"),
    ] = None,
) -> None:
    """Make one page to be looked at and sent: curves, tables, staleness, maps, and what made the runs. It needs no
    network and no other file, and is made from the files of the folders alone.

    ```console
    agn-bench report results/four-methods
    agn-bench report results/reduced results/paper --out both.html
    ```
    """
    from agn_bench.analysis.report import document, page
    from agn_bench.cli.display import show_path
    from agn_bench.cli.progress import StepDisplay

    places = [path("DIR", folder) for folder in folders]
    target = places[0] / "report.html" if out is None else path("out", out)
    page.check("out", target)
    terminal = console()
    runs = _wanted(terminal, places, only, every)
    read = runs.measured(measure)
    head = ", ".join(dict.fromkeys(place.resolve().name for place in places)) if title is None else title
    with StepDisplay(terminal, "report", document.steps(runs, read)) as display:
        made = document.document(runs, read, head, display.step)
    size = page.write(target, made)
    show_path(terminal, target, f"{size / 1e6:.1f} MB; any browser shows it, without a network")
