"""Runs of experiment folders, written for other programs to show: each format in a module of its own.

    parquet.py      two tables, as agn_bench.read gives them
    tensorboard.py  a folder of events for each run
    mlflow.py       a run of MLflow for each run, in a database

What each needs is a package of the extra `export`, imported when it is written. To write the same runs again leaves
what one writing leaves.
"""

from __future__ import annotations

import importlib
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agn_bench.analysis.comparison import Runs
from agn_bench.base.inputs import BadInput, reason_of
from agn_bench.training.columns import configuration_columns, is_measured, result_columns

if TYPE_CHECKING:
    import pandas as pd

Step = Callable[[str], None]
"""Told that something more is written, and what."""

FORMATS = ("tensorboard", "parquet", "mlflow")
FINAL = "final/"
"""What the names of a run's results begin with, where its curves have the same names."""


@dataclass(frozen=True)
class Exported:
    """A run, as trackers take it. What is blank is left out."""

    name: str
    experiment: str
    settings: dict[str, Any]
    """What it was made with, by column of summary.csv, and its seed."""
    results: dict[str, float]
    """What it came to, by column of summary.csv."""
    said: dict[str, str]
    """What else there is to say of it: its status, and how it was made."""
    points: pd.DataFrame
    """Its rows of curves.csv.gz."""
    record: dict[str, Any]
    """What provenance.json has of it."""

    @property
    def measured(self) -> list[str]:
        """The columns of its points that are measures, with their deviations."""
        return [str(column) for column in self.points if is_measured(column) and self.points[column].notna().any()]


def exported(runs: Runs) -> Iterator[Exported]:
    """The runs one by one."""
    import pandas as pd

    columns = [str(column) for column in runs.summary]
    settings = [name for name in (*configuration_columns(columns), "seed") if name in columns]
    for row in runs.summary.to_dict("records"):
        there = {str(name): value for name, value in row.items() if not pd.isna(value)}
        record = runs.records.get(row["run_id"], {})
        yield Exported(
            row["run_id"],
            there.get("experiment", "adhoc"),
            {name: there[name] for name in settings if name in there},
            {name: float(there[name]) for name in result_columns(columns) if name in there},
            {name: str(there[name]) for name in ("status", "configuration", "lower_is_better") if name in there}
            | _making(record),
            runs.points[row["run_id"]],
            record,
        )


def _making(record: dict[str, Any]) -> dict[str, str]:
    """How a run was made, as far as it is known."""
    machine = record.get("machine") or {}
    commit = machine.get("commit") or {}
    versions = machine.get("versions") or {}
    found = {
        "command": record.get("command"),
        "started": record.get("started"),
        "commit": commit.get("id"),
        "device": machine.get("device"),
        "threads": machine.get("threads"),
        "versions": ", ".join(f"{package} {version}" for package, version in versions.items()),
    }
    return {name: str(value) for name, value in found.items() if value}


def package(to: str, name: str) -> Any:
    """A module of a package that a format needs.

    Raises:
        BadInput: it is not installed, or cannot be used.
    """
    whole = name.partition(".")[0]
    try:
        importlib.import_module(whole)
        return importlib.import_module(name)
    except ImportError as error:
        missing = isinstance(error, ModuleNotFoundError) and error.name == whole
        problem = f"{whole} is not installed" if missing else f"{whole} cannot be imported ({reason_of(error)})"
        raise BadInput("to", to, problem, "pip install 'agn-bench[export]'") from None


def export(runs: Runs, to: str, out: Path, step: Step = lambda what: None) -> list[Path]:
    """Write runs to the folder `out`, in one of FORMATS.

    Args:
        step: called once for each run.

    Returns:
        What to show: the files or the folder.

    Raises:
        BadInput: the package that it needs is not installed, or points do not say how many steps were done.
    """
    runs.check_steps("DIR", ", ".join(map(str, runs.folders)))
    write: Callable[[Runs, Path, Step], list[Path]]
    write = importlib.import_module(f"agn_bench.analysis.exports.{to}").write
    return write(runs, out, step)


def way_to_look(to: str, written: Path) -> str:
    """How one sees what was written: a command, and the package that has it, where the extra `export` does not."""
    if to == "parquet":
        return "pandas.read_parquet reads it"
    if to == "tensorboard":
        command = shlex.join(["tensorboard", "--logdir", str(written)])
    else:
        uri = importlib.import_module("agn_bench.analysis.exports.mlflow").address(written)
        command = shlex.join(["mlflow", "ui", "--backend-store-uri", uri])
    return f"{command} shows it, after pip install {to}"
