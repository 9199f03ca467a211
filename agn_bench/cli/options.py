"""Options that more than one command takes. All are text: config.resolve validates them, with one kind of message for
the whole program.
"""

from __future__ import annotations

from typing import Annotated

import typer

from agn_bench.base.machine import DEVICES
from agn_bench.cli.base import PROBLEM, RUN, TIME, WHICH, WORK, names_of, option, preset_default
from agn_bench.config.defaults import DEFAULTS, PRESETS
from agn_bench.problems.catalogue import DATASETS, MODELS

Preset = Annotated[
    str | None,
    option(
        f"Settings: {names_of(PRESETS)} (from seconds to ten minutes a run); default {DEFAULTS['preset']}.",
        "NAME",
        WORK,
        PRESETS,
    ),
]
Epochs = Annotated[
    str | None,
    option(f"Passes over the training images, by all workers together; default {preset_default('epochs')}.", "X", WORK),
]
GradientSteps = Annotated[
    str | None,
    option(
        f"Mini-batch steps by all workers, instead of --epochs; default {preset_default('gradient_steps')}.", "N", WORK
    ),
]
BatchSize = Annotated[str | None, option(f"Images a mini-batch; default {DEFAULTS['batch_size']}.", "N", WORK)]
Model = Annotated[
    str | None,
    option(
        f"{names_of(MODELS)}, or hidden widths as in mlp-300-100; default {preset_default('model')}.",
        "NAME",
        PROBLEM,
        MODELS,
    ),
]
Dataset = Annotated[
    str | None, option(f"{names_of(DATASETS)}; default {preset_default('dataset')}.", "NAME", PROBLEM, DATASETS)
]


def _profiles() -> list[str]:
    from agn_bench.clock import profile_names

    return profile_names()


Delays = Annotated[
    str | None,
    option(
        f"Step, network and server times: a profile's name (see `list delays`), or a TOML file; "
        f"default {DEFAULTS['delays']}.",
        "NAME|FILE",
        TIME,
        _profiles,
    ),
]
Delay = Annotated[
    list[str] | None,
    option("One value of the delays, as in server.mean=0.2; may be given again.", "TABLE.KEY=VALUE", TIME),
]
Timeline = Annotated[
    str | None,
    option("Replay this recorded timeline instead of simulating one: a commits.csv, or a cluster's log.", "FILE", TIME),
]
Seed = Annotated[str | None, option("Of parameters, data order and delays; default 0.", "N", RUN)]
Threads = Annotated[str | None, option("CPU threads; default all cores.", "N", RUN)]
Device = Annotated[str | None, option(f"{names_of(DEVICES)}; default auto.", "NAME", RUN, DEVICES)]
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
        "Folder of the four IDX files, plain or .gz, where runs are made; default the variable AGN_BENCH_DATA_DIR.",
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
