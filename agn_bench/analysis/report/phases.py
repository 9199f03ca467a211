"""What workers did when, and how stale their commits were: of runs whose own folder is there, from its commits.csv."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from agn_bench.analysis.comparison import Runs
from agn_bench.analysis.report.cells import Json, number
from agn_bench.base.inputs import printable
from agn_bench.base.tabular import NUMBER, UNREADABLE, WHOLE, read_table

if TYPE_CHECKING:
    import pandas as pd

MOST_RUNS = 24
"""Whose phases the page has: the first seed of each configuration comes first."""
MOST_PHASES = 24_000
"""The most phases of all of these runs together."""
MOST_OF_A_RUN = 1_500
MOST_BARS = 60
"""The most bars of a histogram."""
_FILES = ("commits.csv", "commits.csv.gz")
_TIMES = ("start_s", "compute_end_s", "served_s", "applied_s", "resume_s")
_NEEDED = ("worker", "staleness", "accepted", "start_s", "compute_end_s", "applied_s")
_TYPES = {"worker": WHOLE, "staleness": WHOLE, "accepted": WHOLE, **dict.fromkeys(_TIMES, NUMBER)}


def of_runs(runs: Runs) -> Json:
    """The phases of runs whose own folders are there: `runs`, each with what _phases says; and `says`, a sentence on
    what is left out.
    """
    there = _first_seeds_first(runs)
    found = {run: path for run in there if (path := _commits(runs.folders, run)) is not None}
    taken = [*found.items()][:MOST_RUNS]
    most = min(MOST_OF_A_RUN, MOST_PHASES // max(1, len(taken)))
    workers = dict(zip(runs.summary["run_id"], runs.summary["workers"], strict=True))
    shown = {printable(run): own for run, path in taken if (own := _read(path, most, workers[run])) is not None}
    left = f"{len(found)} runs have their own folders; the page has the phases of {len(shown)} of them."
    says = left if len(found) > len(shown) else ""
    return {"runs": shown, "says": says}


def _first_seeds_first(runs: Runs) -> list[str]:
    seed = runs.summary.groupby("configuration", sort=False)["seed"].rank(method="first")
    return [str(run) for run in runs.summary.assign(_place=seed).sort_values("_place", kind="stable")["run_id"]]


def _commits(folders: Sequence[Path], run: str) -> Path | None:
    for folder in folders:
        for name in _FILES:
            path = folder / "runs" / run / name
            if path.is_file():
                return path
    return None


def _read(path: Path, most: int, workers: int) -> Json:
    """A run's phases; None if the file is not what it should be, or not that of a run with so many workers."""
    try:
        commits = read_table(path, _TYPES)
        commits = commits.dropna(subset=[name for name in _NEEDED if name in commits])
        there = len(commits) and commits["worker"].between(0, workers - 1).all()
        return _phases(commits, most) if there else None
    except UNREADABLE:
        return None


def _phases(commits: pd.DataFrame, most: int) -> Json:
    """The first `most` phases in the order of their commits, as columns, and the histogram of staleness of all.

    Returns:
        `worker`, and in seconds `start`, `computed` (its steps are done), `applied` (the center has its commit),
        `resumed` (it goes on); `staleness`; `accepted`, 0 where a commit did not count; `phases` there are in all;
        `bars`, and how many values of the staleness each is `wide`.
    """
    first = commits.iloc[:most]

    def column(name: str) -> list[float | int | None]:
        return [number(value, 7) for value in first[name]]

    staleness = commits["staleness"].to_numpy(dtype=np.int64)
    wide = int(staleness.max()) // MOST_BARS + 1
    accepted = first["accepted"] if "accepted" in first else np.ones(len(first))
    return {
        "worker": column("worker"),
        "start": column("start_s"),
        "computed": column("compute_end_s"),
        "applied": column("applied_s"),
        "resumed": column("resume_s"),
        "staleness": column("staleness"),
        "accepted": [int(value) for value in accepted],
        "phases": len(commits),
        "bars": [int(count) for count in np.bincount(np.maximum(staleness, 0) // wide)],
        "wide": wide,
    }
