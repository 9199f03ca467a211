"""Options of commands: those of a configuration, from the one table of them, and those that say how runs are made.

All are text: config.resolving validates them, with one kind of message for the whole program.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Any, get_type_hints

import typer

from agn_bench.base.inputs import spelled
from agn_bench.base.machine import DEVICES
from agn_bench.cli.base import WHICH, as_flag, option
from agn_bench.config.options import ALL_OF_THEM, OPTIONS, PROBLEM, RUN, Kind, Option

Command = Callable[..., Any]


def takes(*names: str, **changed: dict[str, Any]) -> Callable[[Command], Command]:
    """Give a command options of a configuration, which it receives as keywords, by name, None where not given.

    Args:
        names: in the table of options; all of them if none are named.
        changed: what is other than in the table, as in `workers={"help": …}`.
    """
    chosen = [replace(OPTIONS[name], **changed.get(name, {})) for name in names or OPTIONS]

    def with_options(command: Command) -> Command:
        signature = inspect.signature(command)
        hints = get_type_hints(command, include_extras=True)
        own = [
            one.replace(annotation=hints[one.name])
            for one in signature.parameters.values()
            if one.kind is not inspect.Parameter.VAR_KEYWORD
        ]
        at = next((place for place, one in enumerate(own) if one.default is not inspect.Parameter.empty), len(own))
        added = [inspect.Parameter(one.name, own[0].kind, default=None, annotation=annotated(one)) for one in chosen]
        parameters = [*own[:at], *added, *own[at:]]
        command.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        command.__annotations__ = {one.name: one.annotation for one in parameters} | {"return": None}
        return command

    return with_options


def annotated(declared: Option) -> Any:
    """The annotation by which Typer takes an option of the table."""
    told = spelled(declared.text, as_flag)
    if declared.kind is Kind.FLAG:
        flag = "--" + declared.name.replace("_", "-")
        both = f"{flag}/--no-{flag.removeprefix('--')}"
        told = f"{told.rstrip('.')}; --no-{flag.removeprefix('--')} turns it off."
        shown = typer.Option(both, help=told, rich_help_panel=declared.panel, show_default=False)
        return Annotated[bool | None, shown]
    text = option(told, declared.metavar, declared.panel, declared.names)
    return Annotated[list[str] | None, text] if declared.name in ALL_OF_THEM else Annotated[str | None, text]


Threads = Annotated[str | None, option("CPU threads; default all cores.", "N", RUN)]
Device = Annotated[str | None, option("auto, cpu or gpu; default auto.", "NAME", RUN, DEVICES)]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run",
        help="Print the runs with time and memory, estimated from short runs; make none.",
        rich_help_panel=WHICH,
    ),
]
Force = Annotated[
    bool, typer.Option("--force", help="Repeat what is finished already; default off.", rich_help_panel=RUN)
]
SaveCenter = Annotated[
    bool,
    typer.Option("--save-center", help="Keep the final center too, in center.npz; default off.", rich_help_panel=RUN),
]
DataDir = Annotated[
    str | None,
    option(
        "Folder of the data set's files, plain or .gz, where runs are made; default the variable AGN_BENCH_DATA_DIR.",
        "DIR",
        PROBLEM,
    ),
]
Jobs = Annotated[
    str | None,
    option("Runs at once on this machine; default as many as there are cores for; one on a GPU.", "N", RUN),
]
RunThreads = Annotated[
    str | None,
    option("CPU threads of every run, wherever it is made (last bits depend on it); default 1.", "N", RUN),
]
Scheduler = Annotated[
    str | None,
    option("Make the runs on a Dask cluster, as in tcp://host:8786; needs the extra cluster.", "ADDRESS", RUN),
]
Folders = Annotated[
    list[str], typer.Argument(help="Experiment folders: summary.csv and curves.csv.gz.", metavar="DIR…")
]
