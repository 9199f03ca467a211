"""Joining what several machines made of one experiment."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agn_bench.base.files import csv_text, locked, record_provenance
from agn_bench.base.inputs import BadInput, check_writable
from agn_bench.store.collected import CURVES, SUMMARY, first_of, own_content, write_collected
from agn_bench.store.folder import claimed, collect, known, plan, planned, threads_of


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
                if source.folder != target:
                    merged.copied.append(name)
            else:
                equal = first[name].content(name) == source.content(name)
                (merged.same if equal else merged.different).append(name)
                if equal and name in source.here and name not in first[name].here:
                    first[name] = source
    if merged.different and not force:
        name = merged.different[0]
        problem = f"{len(merged.different)} runs have other results than those of the same name elsewhere, as {name}"
        accepted = "folders that agree, or `force` to keep the first of each"
        raise BadInput("DIR", first[name].folder, problem, accepted)

    for name, source in first.items():
        if name in source.here and source.folder != target:
            _copy(source.folder / "runs" / name, target / "runs" / name)
    with locked(target):
        for kind, path in (("curve", target / CURVES), ("summary", target / SUMMARY)):
            tables = [source.rows.tables[kind] for source in read]
            kept = [  # rows without points, or points without a row, only where nobody has both
                table[[first.get(name, source) is source for name in table["run_id"]]]
                for source, table in zip(read, tables, strict=True)
            ]
            write_collected(path, csv_text(first_of(kept)))
        made: dict[str, Any] = {}
        for source in reversed(read):
            made |= source.provenance_of(first)
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
        accepted = "an experiment folder, as `agn-bench sweep` and `agn-bench run` make it"
        try:
            if not _is_experiment(folder):
                problem = "no experiment folder" if folder.exists() else "there is no such folder"
                raise BadInput("DIR", folder, problem, accepted)
        except OSError as error:  # a name that is too long, or a folder that may not be looked into
            raise BadInput("DIR", folder, f"cannot be read ({error.strerror})", accepted) from None
        self.folder = folder
        self.plan = planned(folder)
        try:
            found = known(folder)
        except BadInput as error:
            raise BadInput("DIR", error.value, error.problem, error.accepted) from None
        self.here, self.rows = found.here, found.rows
        self.names = sorted({*self.here, *self.rows.finished})
        for name in self.names:
            if wrong := self.here[name] if name in self.here else self.rows.changed(name):
                raise BadInput("DIR", folder / "runs" / name, wrong, "runs as they were made")

    def content(self, name: str) -> dict[str, str]:
        """The hashes of what a run gave: of its own files, or of its rows."""
        return own_content(self.folder / "runs" / name) if name in self.here else self.rows.content(name)

    def provenance_of(self, first: Mapping[str, _Source]) -> dict[str, Any]:
        """What is known of the making of its runs, but for those of which others' results are kept; and of the rest."""
        return {
            name: record
            for name, record in self.rows.provenance.items()
            if name not in first or (name in self.names and first[name].content(name) == self.content(name))
        }


def _is_experiment(folder: Path) -> bool:
    return (folder / SUMMARY).is_file() or (folder / "runs").is_dir()


def _copy(run: Path, target: Path) -> None:
    with claimed(target):
        if not target.exists():
            with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as aside:
                shutil.copytree(run, Path(aside) / "new")
                (Path(aside) / "new").rename(target)
