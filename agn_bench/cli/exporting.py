"""The command that writes runs for other programs: export."""

from __future__ import annotations

from typing import Annotated

from agn_bench.base.inputs import choose
from agn_bench.cli import options
from agn_bench.cli.base import app, console, option, path
from agn_bench.cli.reading import _ALL, _ONLY, _wanted

_FORMATS = ("tensorboard", "parquet", "mlflow")


@app.command()
def export(
    folders: options.Folders,
    to: Annotated[
        str,
        option(
            "tensorboard: a folder of events for each run; parquet: two tables, with the types of their columns; "
            "mlflow: a database of runs. Needs the extra export.",
            "NAME",
            "Options",
            _FORMATS,
        ),
    ],
    only: _ONLY = None,
    every: _ALL = False,
    out: Annotated[
        str | None, option("Folder to write to; default in the first DIR, called like the format.", "DIR", "Options")
    ] = None,
) -> None:
    """Write runs for TensorBoard, as Parquet, or for MLflow. To write them again doubles nothing.

    ```console
    agn-bench export results/four-methods --to parquet
    ```
    """
    to = choose("to", to, _FORMATS)
    places = [path("DIR", folder) for folder in folders]
    place = places[0] / to if out is None else path("out", out)

    from agn_bench.analysis import exports
    from agn_bench.base.inputs import check_writable
    from agn_bench.cli.display import show_path
    from agn_bench.cli.progress import StepDisplay

    terminal = console()
    runs = _wanted(terminal, places, only, every)
    check_writable("out", place)
    with StepDisplay(terminal, "runs written", len(runs.summary)) as display:
        written = exports.export(runs, to, place, display.step)
    for one in written:
        show_path(terminal, one, exports.way_to_look(to, one))
