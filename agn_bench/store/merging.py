"""Joining what several machines made of one experiment."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agn_bench.base.files import csv_text, locked, read_json, record_provenance, write_text
from agn_bench.base.inputs import BadInput, check_writable
from agn_bench.store.folder import (
    COLLECTED,
    IN_EXPERIMENT,
    all_runs,
    claimed,
    collect,
    damage,
    joined,
    plan,
    planned,
    text_table,
    threads_of,
)
from agn_bench.store.run_files import KEPT_FILES

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Merged:
    """What a merge did: runs by name."""

    copied: list[str] = field(default_factory=list)
    same: list[str] = field(default_factory=list)
    different: list[str] = field(default_factory=list)
    """There in two folders with different results; the first folder's was kept."""
    threads: set[int] = field(default_factory=set)
    """Numbers of threads with which the runs were made."""


def merge(sources: Sequence[Path], target: Path, force: bool = False) -> Merged:
    """Join experiment folders into `target`: the runs' own folders, and collected rows that have none.

    Args:
        force: of runs that differ, keep that of the target, or else of the first source.

    Raises:
        BadInput: a source is no experiment folder or another experiment's, something in it was changed, or (without
            `force`) two folders have a run with different results; nothing is changed then.
    """
    check_writable("out", target)
    folders = [*([target] if _is_experiment(target) else []), *sources]
    read = [_Source(folder) for folder in folders]
    names = sorted({source.plan["experiment"] for source in read if source.plan})
    if len(names) > 1:
        raise BadInput("DIR", folders[0], f"of several experiments: {', '.join(names)}", "folders of one experiment")
    merged, first = Merged(), dict[str, "_Source"]()
    for source in read:
        for name in source.names:
            if name not in first:
                first[name] = source
                if source.folder != target and name in source.runs:
                    merged.copied.append(name)
            else:
                equal = first[name].results(name) == source.results(name)
                (merged.same if equal else merged.different).append(name)
                if equal and name in source.runs and name not in first[name].runs:
                    first[name] = source
                    merged.copied.append(name)
    if merged.different and not force:
        name = merged.different[0]
        problem = f"{len(merged.different)} runs have other results than those of the same name elsewhere, as {name}"
        accepted = "folders that agree, or --force to keep the first of each"
        raise BadInput("DIR", first[name].folder, problem, accepted)

    for name in merged.copied:
        _copy(first[name].runs[name], target / "runs" / name)
    with locked(target):
        for collected in COLLECTED:
            there = [folder / collected for folder in folders if (folder / collected).is_file()]
            write_text(target / collected, csv_text(joined(there).drop(columns=IN_EXPERIMENT, errors="ignore")))
        made: dict[str, Any] = {}
        for source in reversed(read):
            made |= source.provenance
        record_provenance(target, made)
        plans = [source.plan for source in read if source.plan]
        if plans:
            runs = list(dict.fromkeys(name for each in plans for name in each["runs"]))
            plan(target, names[0], plans[0].get("description", ""), plans[0].get("threads", 1), runs)
    collect(target)
    merged.threads.update(threads_of(target))
    return merged


class _Source:
    """What an experiment folder holds, read and checked."""

    def __init__(self, folder: Path) -> None:
        if not _is_experiment(folder):
            problem = "no experiment folder" if folder.exists() else "there is no such folder"
            accepted = "an experiment folder, as `agn-bench sweep` and `run --out` make it"
            raise BadInput("DIR", folder, problem, accepted)
        self.folder = folder
        self.plan = planned(folder)
        self.runs = {run.name: run for run in all_runs(folder)}
        for run in self.runs.values():
            if wrong := damage(run):
                raise BadInput("DIR", run, wrong, "runs as they were written")
        try:
            self._tables = {name: text_table(folder / name) for name in COLLECTED if (folder / name).is_file()}
            rows = [name for table in self._tables.values() for name in table["run_id"]]
            path = folder / "provenance.json"
            self.provenance = {**read_json(path)} if path.is_file() else {}
        except (ValueError, KeyError, TypeError) as error:
            problem = f"its collected files cannot be read ({str(error).splitlines()[0]})"
            raise BadInput("DIR", folder, problem, "an experiment folder as it was written") from None
        self.names = sorted({*self.runs, *rows})

    def results(self, name: str) -> list[list[list[str]]]:
        """The rows of a run, without what says where they were made: its own files', or those collected."""
        run = self.runs.get(name)
        if run is not None:
            return [_cells(text_table(run / own)) for own in KEPT_FILES[1:]]
        tables = [self._tables[collected] for collected in ("summary.csv", "curves.csv") if collected in self._tables]
        return [_cells(table[table["run_id"] == name]) for table in tables]


def _cells(table: pd.DataFrame) -> list[list[str]]:
    rows: list[list[str]] = table.drop(columns=["experiment", IN_EXPERIMENT], errors="ignore").to_numpy().tolist()
    return rows


def _is_experiment(folder: Path) -> bool:
    return (folder / "summary.csv").is_file() or (folder / "runs").is_dir()


def _copy(run: Path, target: Path) -> None:
    with claimed(target):
        if not target.exists():
            with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as aside:
                shutil.copytree(run, Path(aside) / "new")
                (Path(aside) / "new").rename(target)
