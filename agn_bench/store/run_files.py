"""The files of an experiment folder, written and read back.

    <folder>/runs/<run_id>/                run.json, summary.csv, curve.csv, commits.csv; center.npz if asked for
    <folder>/summary.csv, curves.csv       all runs together, tidy (see folder.py)
    <folder>/provenance.json               what made them: command, commit, machine, dates

The CSV files hold no wall-clock fact and no path, so that a repeated run gives the same bytes.
"""

from __future__ import annotations

import hashlib
import io
import json
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from agn_bench.base import files
from agn_bench.base.inputs import BadInput, read_bytes, shown
from agn_bench.config.options import OPTIONS
from agn_bench.config.resolving import recorded_options, resolve
from agn_bench.config.run import SEMANTICS_VERSION
from agn_bench.problems.catalogue import DATASETS
from agn_bench.training.columns import CONFIGURATION_COLUMNS, commits, curve, summary

if TYPE_CHECKING:
    import pandas as pd

    from agn_bench.training.records import Params, RunResult

ACCURACIES = ("train_accuracy", "test_accuracy")
"""The accuracies of curves.csv: of the workers' mini-batches, and of the center."""

CENTER = "center.npz"
RUN_FILES = ("run.json", "summary.csv", "curve.csv", "commits.csv", CENTER)
KEPT_FILES = RUN_FILES[:3]
"""What a finished run must have; commits.csv is large and left out of the repository, the center only made if asked
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
    """The content of center.npz: of each layer, from 0, weights_0 (inputs, outputs) and biases_0 (outputs,)."""
    file = io.BytesIO()
    arrays = {f"{name}_{layer}": array for layer, part in enumerate(center) for name, array in part.items()}
    np.savez(file, allow_pickle=False, **arrays)
    return file.getvalue()


def read_experiment(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """summary.csv and curves.csv of an experiment folder, with the columns that comparisons need.

    Raises:
        BadInput: the folder has no such files.
    """
    import pandas as pd

    accepted = "an experiment folder with summary.csv and curves.csv, as `agn-bench run --out` makes it"
    needed = {
        "summary.csv": ["run_id", "configuration", *CONFIGURATION_COLUMNS, "status"],
        "curves.csv": ["run_id"],
    }
    finite = {"summary.csv": ["sim_time_s", "test_accuracy"], "curves.csv": ["time_s"]}
    numeric = {
        "summary.csv": ["seed", "sim_time_s", "test_accuracy", "diverged_s"],
        "curves.csv": ["time_s", *ACCURACIES],
    }
    tables = []
    for name, columns in needed.items():
        path = folder / name
        try:
            with warnings.catch_warnings(action="error", category=pd.errors.ParserWarning):
                table = pd.read_csv(path, index_col=False)  # a row that is too long is an error
        except FileNotFoundError:
            raise BadInput("DIR", folder, f"has no {name}", accepted) from None
        except (ValueError, OSError, pd.errors.ParserWarning) as error:
            raise BadInput("DIR", path, f"cannot be read ({str(error).splitlines()[0]})", accepted) from None
        for column in [*columns, *numeric[name]]:
            if column not in table:
                raise BadInput("DIR", path, f"has no column {column}", accepted)
        for column in numeric[name]:
            if not pd.api.types.is_numeric_dtype(table[column]):
                raise BadInput("DIR", path, f"has text in column {column}", accepted)
        if table.empty:
            raise BadInput("DIR", path, "has no rows", accepted)
        for column in finite[name]:
            if not np.isfinite(table[column]).all():
                raise BadInput("DIR", path, f"has no finite number in column {column} of some row", accepted)
        for column in {"run_id", "configuration"} & set(needed[name]):
            if table[column].isna().any():
                raise BadInput("DIR", path, f"has nothing in column {column} of some row", accepted)
        tables.append(table)
    unknown = set(tables[0]["dataset"]) - set(DATASETS)
    if unknown:
        raise BadInput(
            "DIR", folder, f"summary.csv has runs of an unknown data set, {min(map(str, unknown))}", accepted
        )
    missing = set(tables[0]["run_id"]) - set(tables[1]["run_id"])
    if missing:
        raise BadInput("DIR", folder, f"curves.csv has no points of {min(missing)}", accepted)
    return tables[0], tables[1]


def read_config(path: Path) -> dict[str, Any]:
    """The options of the run that a run.json describes, for resolving.resolve.

    Raises:
        BadInput: it is no run.json.
    """
    accepted = "a run.json, as it is in the folder of a finished run"
    content = read_bytes("like", path, accepted)
    try:
        options = recorded_options(dict(json.loads(content)["config"]))
    except (ValueError, KeyError, TypeError, RecursionError):
        raise BadInput("like", path, "holds no configuration", accepted) from None
    recorded = isinstance(options["delays"], dict) and "trace" in options["delays"]
    try:
        resolve({"delays": OPTIONS["delays"].default} if recorded else {}, options)
    except BadInput as error:
        problem = f"its {error.option} {shown(error.value)} cannot be used ({error.problem})"
        raise BadInput("like", path, problem, error.accepted) from None
    return options
