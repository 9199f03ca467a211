"""An experiment folder, which several processes may fill at once: claims, what is finished, collecting.

    <folder>/experiment.json               what a sweep is to make: name, runs, threads
    <folder>/runs/.<run_id>.lock           held by the process that makes the run; a process that dies lets go of it
    <folder>/.lock                         held while the collected files are rebuilt, or a claim is made

A run's folder appears whole or not at all, and is never changed again: what differs from the hashes in its run.json was
changed by somebody else, counts as neither finished nor missing, and is only reported.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agn_bench.base.files import csv_text, locked, read_json, record_provenance, write_text
from agn_bench.base.inputs import BadInput, check_writable
from agn_bench.config.run import RunConfig, digest_of
from agn_bench.store.run_files import BEFORE, KEPT_FILES, RUN_FILES

if TYPE_CHECKING:
    import pandas as pd
    from filelock import BaseFileLock

COLLECTED = {"curves.csv": "curve.csv", "summary.csv": "summary.csv"}
"""The collected files, and what each joins. The summary comes last: the runs that it has are in the other."""
IN_EXPERIMENT = "in_experiment"


def run_folder(folder: Path, config: RunConfig) -> Path:
    """Where a run's own files are."""
    return folder / "runs" / config.run_id


def prepare(folder: Path) -> list[str]:
    """See that an experiment folder can be written and what is in it can be read; collect the runs it has.

    Returns:
        What is wrong with damaged runs.

    Raises:
        BadInput: it cannot; nothing is left behind then.
    """
    check_writable("out", folder)
    if not (folder / "runs").exists():
        return []
    check_writable("out", folder / "runs")
    try:
        return collect(folder)
    except (ValueError, KeyError, TypeError) as error:
        problem = f"holds files that are not an experiment's ({str(error).splitlines()[0]})"
        raise BadInput("out", folder, problem, "an experiment folder, or a new one") from None


def damage(run: Path) -> str:
    """What is wrong with a run's folder; nothing if it is whole as it was written."""
    found = [_stamp(run / name) for name in RUN_FILES]
    return _damage(run.absolute(), tuple(found))


def _stamp(path: Path) -> tuple[int, int] | None:
    """What changes when a file does; None if it is not there."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size


@lru_cache(maxsize=100_000)
def _damage(run: Path, stamps: tuple[tuple[int, int] | None, ...]) -> str:
    """See damage. A sweep looks at all its runs several times; files that have not changed are not read again."""
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


def check_threads(folder: Path, threads: int) -> None:
    """Raise BadInput if the folder's runs were made with another number of threads; if with several, with others."""
    found = threads_of(folder)
    if found and threads not in found:
        made = list(map(str, sorted(found)))
        problem = f"the runs in {folder} were made with {' and '.join(made)}, and all of a sweep have the same"
        raise BadInput("threads", threads, problem, f"{' or '.join(made)}, or another --out")


def threads_of(folder: Path) -> set[int]:
    """The numbers of threads with which the folder's runs were made, those on a GPU left out."""
    found = set()
    for run in whole_runs(folder):
        machine = read_json(run / "run.json").get("machine", {})
        if str(machine.get("device", "cpu")).startswith("cpu") and "threads" in machine:
            found.add(machine["threads"])
    return found


def whole_runs(folder: Path) -> list[Path]:
    """The folders of the runs that are there as they were written."""
    return [run for run in all_runs(folder) if not damage(run)]


def all_runs(folder: Path) -> list[Path]:
    return sorted(run for run in (folder / "runs").glob("[!.]*") if run.is_dir())


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


@contextmanager
def claimed(run: Path) -> Iterator[None]:
    """The right to make a run, while it lasts; BadInput if another process has it."""
    held = claim(run)
    if held is None:
        raise BadInput("out", run, "another process is making this run", "to wait for it, or another folder")
    try:
        yield
    finally:
        held.release()


def clear_left(run: Path) -> None:
    """Clear away what a process that was killed left of the making of a finished run."""
    if any(run.parent.glob(f".{run.name}.*")) and (held := claim(run)):
        held.release()


def check_experiment(folder: Path, name: str) -> None:
    """Raise BadInput if the folder is another experiment's."""
    known = planned(folder)
    if known is not None and known["experiment"] != name:
        problem = f"the folder of the experiment {known['experiment']}, not of {name}"
        raise BadInput("out", folder, problem, "a folder of its own")


def plan(folder: Path, name: str, description: str, threads: int, runs: Sequence[str]) -> None:
    """Record what a sweep is to make, for whoever collects: rows of other runs are marked."""
    content = {"experiment": name, "description": description, "threads": threads, "runs": list(runs)}
    with locked(folder):
        write_text(folder / "experiment.json", json.dumps(content, indent=2) + "\n")


def planned(folder: Path) -> dict[str, Any] | None:
    """What a sweep was to make; None if the folder is no sweep's."""
    path = folder / "experiment.json"
    if not path.is_file():
        return None
    try:
        content = read_json(path)
        return {**content, "experiment": str(content["experiment"]), "runs": list(content["runs"])}
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
        _clear_collected(folder)
        wrong = {run: damage(run) for run in all_runs(folder)}
        runs = [run for run, problem in wrong.items() if not problem]
        if runs or (folder / "summary.csv").is_file():
            _collect(folder, runs)
    return [f"{run}: {problem}; its rows are those collected before" for run, problem in wrong.items() if problem]


def _clear_collected(folder: Path) -> None:
    """What a process left that was killed while it wrote; nobody else writes here while the folder is locked."""
    for name in (*COLLECTED, "provenance.json", "experiment.json"):
        stem, suffix = name.split(".")
        for left in folder.glob(f".{stem}.*.{suffix}"):
            left.unlink(missing_ok=True)


def _collect(folder: Path, runs: Sequence[Path]) -> None:
    plan = planned(folder)
    for collected, own in COLLECTED.items():
        before = folder / collected
        table = joined([*(run / own for run in runs), *([before] if before.is_file() else [])])
        table = table.drop(columns=IN_EXPERIMENT, errors="ignore")
        if plan is not None and collected == "summary.csv":
            table[IN_EXPERIMENT] = table["run_id"].isin(plan["runs"])
        write_text(before, csv_text(table))
    record_provenance(folder, {run.name: _making(run) for run in runs})


def _making(run: Path) -> dict[str, Any]:
    """What provenance.json says of a run."""
    record = read_json(run / "run.json")
    return {key: value for key, value in record.items() if key not in ("run_id", "config", "status", "sha256")}


def joined(files: Sequence[Path]) -> pd.DataFrame:
    """The rows of all files, of each run those of the first file that has it, as text: not a digit changes."""
    import pandas as pd

    tables: list[pd.DataFrame] = []
    seen: set[str] = set()
    for head, contents in _alike(files):
        table, rows = _text_table(head + b"".join(contents)), [content.count(b"\n") for content in contents]
        if len(table) != sum(rows):  # there are blank lines, or lines that break between quotes
            each = [_text_table(head + content) for content in contents]
            table, rows = pd.concat(each, ignore_index=True), [len(one) for one in each]
        origin = pd.Series(range(len(rows))).repeat(rows).reset_index(drop=True)
        first = origin.groupby(table["run_id"]).transform("first")
        tables.append(table[(origin == first) & ~table["run_id"].isin(seen)])
        seen |= set(table["run_id"])
    joint = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame({"run_id": []})
    return joint.sort_values("run_id", kind="stable")


def _alike(files: Sequence[Path]) -> Iterator[tuple[bytes, list[bytes]]]:
    """The columns, as a line, and the rows of CSV files that follow each other and have the same columns.

    They are parsed as one: a table a file takes twenty times the memory of its rows, and twenty times as long.
    """
    split = ([*_whole_lines(path).partition(b"\n")] for path in files)
    parts = ((columns + newline, rows) for columns, newline, rows in split)
    for head, several in groupby(parts, key=itemgetter(0)):
        yield head, [rows for _, rows in several]


def text_table(path: Path) -> pd.DataFrame:
    """A CSV file's cells as text, up to its last whole line."""
    return _text_table(_whole_lines(path))


def _whole_lines(path: Path) -> bytes:
    content = path.read_bytes()
    return content[: content.rfind(b"\n") + 1]


def _text_table(text: bytes) -> pd.DataFrame:
    import pandas as pd

    return pd.read_csv(io.BytesIO(text), dtype=str, keep_default_na=False)
