"""An experiment folder, which several processes may fill at once: claims, what is finished, collecting, merging.

    <folder>/experiment.json               what a sweep is to make: name, runs, threads
    <folder>/runs/.<run_id>.lock           held by the process that makes the run; a process that dies lets go of it
    <folder>/.lock                         held while the collected files are rebuilt, or a claim is made

A run's folder appears whole or not at all, and is never changed again: what differs from the hashes in its run.json was
changed by somebody else, counts as neither finished nor missing, and is only reported.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agn_bench.config import RunConfig, digest_of
from agn_bench.inputs import BadInput
from agn_bench.results import (
    BEFORE,
    KEPT_FILES,
    check_writable,
    csv_text,
    locked,
    read_json,
    record_provenance,
    write_text,
)

if TYPE_CHECKING:
    import pandas as pd
    from filelock import BaseFileLock

_COLLECTED = {"summary.csv": "summary.csv", "curves.csv": "curve.csv"}
"""The collected files, and what each joins."""
_PLANNED = "in_experiment"


def run_folder(folder: Path, config: RunConfig) -> Path:
    """Where a run's own files are."""
    return folder / "runs" / config.run_id


def prepare(folder: Path) -> None:
    """See that an experiment folder can be written and what is in it can be read; collect the runs it has.

    Raises:
        BadInput: it cannot; nothing is left behind then.
    """
    check_writable("out", folder)
    if not (folder / "runs").exists():
        return
    check_writable("out", folder / "runs")
    try:
        collect(folder)
    except (ValueError, KeyError) as error:
        problem = f"holds files that are not an experiment's ({str(error).splitlines()[0]})"
        raise BadInput("out", folder, problem, "an experiment folder, or a new one") from None


def damage(run: Path) -> str:
    """What is wrong with a run's folder; nothing if it is whole as it was written."""
    missing = [name for name in KEPT_FILES if not (run / name).is_file()]
    if missing:
        return f"{missing[0]} is missing"
    try:
        record = read_json(run / "run.json")
        same_run = record["run_id"] == run.name and run.name.endswith(
            digest_of(record["config"], record["semantics_version"])
        )
        written = dict(record.get("sha256", {}))  # runs made before there were hashes have none
    except (ValueError, KeyError, TypeError, OSError):
        return "run.json cannot be read"
    if not same_run:
        return "run.json was changed"
    for name, sha256 in written.items():
        # commits.csv is large, and may be left out of a repository.
        if (run / name).is_file() and hashlib.sha256((run / name).read_bytes()).hexdigest() != sha256:
            return f"{name} was changed"
    return ""


def finished(run: Path) -> bool:
    """Whether a run is there; BadInput if it is there but not as it was written."""
    if not run.exists():
        return False
    wrong = damage(run)
    if wrong:
        accepted = "--force to make it again in its place, or the folder moved away"
        raise BadInput("out", run, f"{wrong}, so it is neither trusted nor overwritten", accepted)
    return True


@dataclass(frozen=True)
class Claim:
    """The right to make a run, which no other process has meanwhile."""

    run: Path
    lock: BaseFileLock

    def release(self) -> None:
        with locked(self.run.parent.parent):
            Path(self.lock.lock_file).unlink(missing_ok=True)
            self.lock.release()


def claim(run: Path) -> Claim | None:
    """The right to make a run; None if another process has it. What a killed one left aside is cleared away."""
    from filelock import FileLock, Timeout

    run.parent.mkdir(parents=True, exist_ok=True)
    with locked(run.parent.parent):
        # Made and removed under the folder's lock only, so that no two processes hold two files of one name.
        lock = FileLock(run.with_name(f".{run.name}.lock"))
        try:
            lock.acquire(blocking=False)
        except Timeout:
            return None
        for left in filter(Path.is_dir, run.parent.glob(f".{run.name}.*")):
            if (left / BEFORE).exists() and not run.exists():
                (left / BEFORE).rename(run)
            shutil.rmtree(left)
    return Claim(run, lock)


def plan(folder: Path, name: str, description: str, threads: int, configs: Sequence[RunConfig]) -> None:
    """Record what a sweep is to make, for whoever collects: rows of other runs are marked.

    Raises:
        BadInput: the folder is another experiment's, or its runs were made with another number of threads.
    """
    known = _planned(folder)
    if known is not None and known.get("experiment") != name:
        accepted = "a folder of its own"
        raise BadInput(
            "out", folder, f"the folder of the experiment {known.get('experiment')}, not of {name}", accepted
        )
    if known is not None and known.get("threads") != threads and any((folder / "runs").glob("[!.]*")):
        problem = f"the runs in {folder} were made with {known.get('threads')}, and all of a sweep have the same"
        raise BadInput("threads", threads, problem, f"{known.get('threads')}, or another --out")
    content = {
        "experiment": name,
        "description": description,
        "threads": threads,
        "runs": [config.run_id for config in configs],
    }
    with locked(folder):
        write_text(folder / "experiment.json", json.dumps(content, indent=2) + "\n")


def _planned(folder: Path) -> dict[str, Any] | None:
    path = folder / "experiment.json"
    if not path.is_file():
        return None
    try:
        content = read_json(path)
        return {**content, "runs": list(content["runs"])}
    except (ValueError, KeyError, TypeError):
        raise BadInput("out", path, "cannot be read", "as a sweep wrote it, or a folder without it") from None


def collect(folder: Path) -> list[str]:
    """Rebuild summary.csv, curves.csv and provenance.json from the runs' own files, at any time and by any process.

    Rows of runs whose folders are not here, or are damaged, stay as they were.

    Returns:
        What is wrong with damaged runs, a line for each.
    """
    if not folder.is_dir():
        return []
    with locked(folder):
        _clear_left(folder)
        there = sorted(run for run in (folder / "runs").glob("[!.]*") if run.is_dir())
        wrong = {run: damage(run) for run in there}
        runs = [run for run, problem in wrong.items() if not problem]
        if runs or (folder / "summary.csv").is_file():
            _collect(folder, runs)
    return [f"{run}: {problem}; its rows are those collected before" for run, problem in wrong.items() if problem]


def _clear_left(folder: Path) -> None:
    """What a process left that was killed while it wrote; nobody else writes here while the folder is locked."""
    for name in (*_COLLECTED, "provenance.json", "experiment.json"):
        stem, suffix = name.split(".")
        for left in folder.glob(f".{stem}.*.{suffix}"):
            left.unlink(missing_ok=True)


def _collect(folder: Path, runs: Sequence[Path]) -> None:
    planned = _planned(folder)
    for collected, own in _COLLECTED.items():
        table = _joined(folder / collected, [run / own for run in runs])
        table = table.drop(columns=_PLANNED, errors="ignore")
        if planned is not None and collected == "summary.csv":
            table[_PLANNED] = table["run_id"].isin(planned["runs"])
        write_text(folder / collected, csv_text(table))
    record_provenance(folder, {run.name: _making(run) for run in runs})


def _making(run: Path) -> dict[str, Any]:
    """What provenance.json says of a run."""
    record = read_json(run / "run.json")
    return {key: value for key, value in record.items() if key not in ("run_id", "config", "status", "sha256")}


def _joined(collected: Path, own: Sequence[Path]) -> pd.DataFrame:
    """All rows as text, so that not a digit changes; a run's own file beats the collected one."""
    import pandas as pd

    tables = [_text(path) for path in own]
    if collected.is_file():
        before = _text(collected)
        tables.append(before[~before["run_id"].isin([path.parent.name for path in own])])
    joined = pd.concat(tables, ignore_index=True)
    return joined.sort_values("run_id", kind="stable")


def _text(path: Path) -> pd.DataFrame:
    import pandas as pd

    return pd.read_csv(path, dtype=str, keep_default_na=False)


@dataclass(frozen=True)
class Merged:
    """What a merge did: runs by name."""

    copied: list[str]
    same: list[str]
    different: list[str]
    """There in two folders with different bytes; the first folder's was kept."""


def merge(sources: Sequence[Path], target: Path, force: bool = False) -> Merged:
    """Join experiment folders into `target`: the runs' own folders, and collected rows that have none.

    Args:
        force: of runs that differ, keep that of the target, or else of the first source.

    Raises:
        BadInput: a source is no experiment folder, a run of it is damaged, or (without `force`) two folders have a run
            with different results; nothing is changed then.
    """
    check_writable("out", target)
    found: dict[str, Path] = {}
    merged = Merged([], [], [])
    for source in [*([target] if _is_experiment(target) else []), *sources]:
        for run in _whole_runs(source):
            first = found.setdefault(run.name, run)
            if first is not run:
                names = KEPT_FILES[1:]
                equal = all((first / name).read_bytes() == (run / name).read_bytes() for name in names)
                (merged.same if equal else merged.different).append(run.name)
            elif source != target:
                merged.copied.append(run.name)
    if merged.different and not force:
        name = merged.different[0]
        problem = f"{len(merged.different)} runs have other results than those of the same name elsewhere, as {name}"
        accepted = "folders that agree, or --force to keep the first of each"
        raise BadInput("DIR", found[name].parent.parent, problem, accepted)
    for name in merged.copied:
        _copy(found[name], target / "runs" / name)
    with locked(target):
        for name in _COLLECTED:
            _add_rows([folder / name for folder in (target, *sources)], target / name)
        known: dict[str, Any] = {}
        for path in [folder / "provenance.json" for folder in (*reversed(sources), target)]:
            known |= read_json(path) if path.is_file() else {}
        record_provenance(target, known)
    collect(target)
    return merged


def _copy(run: Path, target: Path) -> None:
    held = claim(target)
    if held is None:
        raise BadInput("out", target, "another process is making this run", "to wait for it")
    try:
        if not target.exists():
            with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as aside:
                shutil.copytree(run, Path(aside) / "new")
                (Path(aside) / "new").rename(target)
    finally:
        held.release()


def _add_rows(tables: Sequence[Path], target: Path) -> None:
    """Write the rows of all tables, of each run those of the first table that has it."""
    import pandas as pd

    kept: list[pd.DataFrame] = []
    seen: set[str] = set()
    for table in map(_text, filter(Path.is_file, tables)):
        kept.append(table[~table["run_id"].isin(seen)])
        seen |= set(table["run_id"])
    if kept:
        write_text(target, csv_text(pd.concat(kept, ignore_index=True).sort_values("run_id", kind="stable")))


def _is_experiment(folder: Path) -> bool:
    return (folder / "summary.csv").is_file() or (folder / "runs").is_dir()


def _whole_runs(source: Path) -> list[Path]:
    accepted = "an experiment folder, as `agn-bench sweep` and `run --out` make it"
    if not _is_experiment(source):
        raise BadInput(
            "DIR", source, "no experiment folder" if source.exists() else "there is no such folder", accepted
        )
    runs = sorted(run for run in (source / "runs").glob("[!.]*") if run.is_dir())
    for run in runs:
        if wrong := damage(run):
            raise BadInput("DIR", run, wrong, "runs as they were written")
    return runs
