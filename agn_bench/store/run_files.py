"""The files of an experiment folder, written and read back.

    <folder>/runs/<run_id>/                run.json, summary.csv, curve.csv, commits.csv; center.npz if asked for
    <folder>/summary.csv, curves.csv.gz    all runs together, tidy (see collected.py)
    <folder>/provenance.json               of each run its configuration, and what made it: commit, machine, dates

The CSV files hold no wall-clock fact and no path, so that a repeated run gives the same bytes.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from agn_bench.base import files
from agn_bench.base.inputs import BadInput, printable, read_bytes, reason_of
from agn_bench.base.pytrees import named_arrays
from agn_bench.base.tabular import UNREADABLE, WrongType, read_table
from agn_bench.config.resolving import recorded_options
from agn_bench.config.run import SEMANTICS_VERSION
from agn_bench.store.collected import PROVENANCE, SUMMARY, curves_path
from agn_bench.training.columns import (
    CONFIGURATION_COLUMNS,
    CURVE_TYPES,
    SUMMARY_TYPES,
    commits,
    curve,
    is_measured,
    is_of_center,
    summary,
)

if TYPE_CHECKING:
    import pandas as pd

    from agn_bench.training.records import Params, RunResult

CENTER = "center.npz"
RUN_FILES = ("run.json", "summary.csv", "curve.csv", "commits.csv", CENTER)
KEPT_FILES = RUN_FILES[:3]
"""What the folder of a finished run must have; commits.csv is large and may be removed, the center only made if asked
for."""


def write_run(run: Path, result: RunResult, experiment: str = "adhoc") -> None:
    """Write a run's files to its folder `run`, which appears whole, or is replaced whole."""
    config = result.config
    texts = {
        "summary.csv": files.csv_text(
            {"run_id": [config.run_id], "experiment": [experiment]}
            | {key: [value] for key, value in summary(result).items()}
        ),
        "curve.csv": files.csv_text({"run_id": config.run_id, **curve(result)}),
        "commits.csv": files.csv_text(commits(result.timeline)),
    }
    contents = {name: text.encode() for name, text in texts.items()}
    if result.replay.center is not None:
        contents[CENTER] = center_bytes(result.replay.center)
    record = {
        "run_id": config.run_id,
        "status": result.status,
        "semantics_version": SEMANTICS_VERSION,
        "command": config.command(),
        "config": config.as_dict(),
        "wall_clock_s": result.wall_clock_s,
        **result.facts,
        "sha256": {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()},
    }
    contents["run.json"] = (json.dumps(record, indent=2) + "\n").encode()
    run.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{run.name}.", dir=run.parent, ignore_cleanup_errors=True) as aside:
        new, old = Path(aside) / "new", Path(aside) / BEFORE
        new.mkdir()
        for name, content in contents.items():
            files.flush_bytes(new / name, content)
        with files.locked(run.parent.parent):  # nobody looks for the run while another takes its place
            try:
                if run.exists():
                    run.rename(old)
                new.rename(run)
            except BaseException:
                if old.exists() and not run.exists():
                    old.rename(run)
                raise


BEFORE = "before"
"""What a run's folder is called while another takes its place."""


def center_bytes(center: Params) -> bytes:
    """The content of center.npz: the arrays by where they are in the parameters, as in layers.0.weight; of a multilayer
    perceptron's layers, from 0, weights_0 (inputs, outputs) and biases_0 (outputs,).
    """
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **named_arrays(center))
    return file.getvalue()


def read_experiment(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """summary.csv and curves.csv.gz of an experiment folder, with the columns that comparisons need.

    Raises:
        BadInput: the folder has no such files.
    """
    accepted = "an experiment folder with summary.csv and curves.csv.gz, as `agn-bench run` makes it"
    needed = [["run_id", "configuration", *CONFIGURATION_COLUMNS, "status"], ["run_id"]]
    finite = [["seed", "sim_time_s"], ["time_s"]]
    numeric = [["seed", "sim_time_s", "diverged_s"], ["time_s"]]
    paths = {folder / SUMMARY: SUMMARY_TYPES, curves_path(folder): CURVE_TYPES}
    tables = []
    kinds = [is_of_center, is_measured]
    for (path, types), columns, numbers, known, of in zip(paths.items(), needed, numeric, finite, kinds, strict=True):
        # Before pandas is imported, which takes longer than to say this.
        if not os.path.exists(path):  # noqa: PTH110 (a name that no file can have is no error here)
            raise BadInput("DIR", folder, f"has no {path.name}", accepted)
        try:
            table = read_table(path, types)
        except WrongType as error:
            raise BadInput("DIR", path, str(error), accepted) from None
        except UNREADABLE as error:
            raise BadInput("DIR", path, f"cannot be read ({reason_of(error)})", accepted) from None
        for column in [*columns, *numbers]:
            if column not in table:
                raise BadInput("DIR", path, f"has no column {column}", accepted)
        measured = [column for column in table if of(column)]
        if not measured:
            raise BadInput("DIR", path, "has no column of a measure, as test_accuracy", accepted)
        if table.empty:
            raise BadInput("DIR", path, "has no rows", accepted)
        if of is is_of_center and not np.isfinite(table[measured]).any(axis=1).all():
            raise BadInput("DIR", path, "has no finite measure of the center in some row", accepted)
        for column in known:
            if not np.isfinite(table[column].to_numpy(dtype=float, na_value=np.nan)).all():
                raise BadInput("DIR", path, f"has no finite number in column {column} of some row", accepted)
        for column in {"run_id", "configuration"} & set(columns):
            if table[column].isna().any():
                raise BadInput("DIR", path, f"has nothing in column {column} of some row", accepted)
        if strange := next((run for run in table["run_id"].unique() if not is_name(run)), None):
            raise BadInput("DIR", path, f"has a run_id that no folder can have: {printable(strange)}", accepted)
        tables.append(table)
    missing = set(tables[0]["run_id"]) - set(tables[1]["run_id"])
    if missing:
        raise BadInput("DIR", folder, f"{curves_path(folder).name} has no points of {min(missing)}", accepted)
    return tables[0], tables[1]


def is_name(run: str) -> bool:
    """Whether a run's folder can be called so: with anything else files could be read and written somewhere else."""
    return run not in (".", "..") and not {*run} & {*"/\\\0"}


def read_config(path: Path) -> dict[str, Any]:
    """The options of a run, for resolving.resolve.

    Args:
        path: the run's run.json, or its folder, or where these would be if they are not here but in provenance.json.

    Raises:
        BadInput: it is nothing of that.
    """
    accepted = "a finished run's run.json or folder, or where it would be beside the provenance.json that has it"
    run = path.parent if path.name == "run.json" else path
    provenance = run.parent.parent / PROVENANCE
    try:
        elsewhere = run.parent.name == "runs" and not run.exists() and provenance.is_file()
        file = path / "run.json" if path.is_dir() else path
    except OSError:  # its name is too long; whoever reads it says so
        elsewhere, file = False, path
    content = read_bytes("like", provenance if elsewhere else file, accepted)
    try:
        record = json.loads(content)
        options = recorded_options(dict((record[run.name] if elsewhere else record)["config"]))
    except (ValueError, KeyError, TypeError, RecursionError):
        problem = f"is not here, and {provenance} has no configuration of it" if elsewhere else "holds no configuration"
        raise BadInput("like", path, problem, accepted) from None
    return options
