"""An experiment folder, which several processes may fill at once: claims, what is finished, collecting.

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
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agn_bench.base.files import acquire, csv_text, locked, read_json, record_provenance, write_text
from agn_bench.base.inputs import BadInput, check_writable, reason_of
from agn_bench.config.run import RunConfig, digest_of
from agn_bench.store import collected
from agn_bench.store.collected import CURVES, CURVES_BEFORE, IN_EXPERIMENT, OWN, PROVENANCE, SUMMARY, Collected
from agn_bench.store.run_files import BEFORE, KEPT_FILES, RUN_FILES

if TYPE_CHECKING:
    from filelock import BaseFileLock


def run_folder(folder: Path, config: RunConfig) -> Path:
    """Where a run's own files are."""
    return folder / "runs" / config.run_id


@dataclass(frozen=True)
class Known:
    """What a folder has of runs: their own folders, and their rows in the collected files."""

    folder: Path
    here: dict[str, str]
    """The runs that have folders of their own here, and what is wrong with each; nothing if it is as it was written."""
    rows: Collected

    def finished(self, name: str) -> bool:
        """Whether a run is there: by its own folder, or if it has none here, by its rows.

        Raises:
            BadInput: it is there, but not as it was made.
        """
        if name not in self.here and name not in self.rows.finished:
            return False
        wrong = self.here[name] if name in self.here else self.rows.changed(name)
        if wrong:
            accepted = "`force` to make it again in its place, or the files as they were"
            problem = f"{wrong}, so it is neither trusted nor overwritten"
            raise BadInput("out", self.folder / "runs" / name, problem, accepted)
        return True

    @cached_property
    def warnings(self) -> list[str]:
        """What is wrong with damaged runs and with rows that were changed, a line for each."""
        lines = {name: f"{wrong}; its rows are those collected before" for name, wrong in self.here.items() if wrong}
        for name in self.rows.finished - self.here.keys():
            if wrong := self.rows.changed(name):
                lines[name] = f"{wrong}; left as it is"
        return [f"{self.folder / 'runs' / name}: {line}" for name, line in sorted(lines.items())]


def known(folder: Path) -> Known:
    """What a folder has of runs. Nothing is written.

    Raises:
        BadInput: a collected file cannot be read, nor rebuilt from the runs' own folders.
    """
    here = {run.name: damage(run) for run in all_runs(folder)}
    whole = {name for name, wrong in here.items() if not wrong}
    return Known(folder, here, collected.read_collected(folder, whole))


def prepare(folder: Path) -> Known:
    """See that an experiment folder can be written and what is in it can be read; collect the runs it has.

    Raises:
        BadInput: it cannot; nothing is left behind then.
    """
    check_writable("out", folder)
    if (folder / "runs").exists():
        check_writable("out", folder / "runs")
    try:
        return collect(folder)
    except (ValueError, KeyError, TypeError) as error:
        problem = f"holds files that are not an experiment's ({reason_of(error)})"
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
        if (run / name).is_file() and sha256 not in _hashes((run / name).read_bytes()):
            return f"{name} was changed"
    return ""


def _hashes(content: bytes) -> set[str]:
    """The SHA-256 of a file as it is, and with the line ends that this program writes: Git may have put others."""
    return {hashlib.sha256(text).hexdigest() for text in (content, content.replace(b"\r\n", b"\n"))}


def check_threads(folder: Path, threads: int) -> None:
    """Raise BadInput if the folder's runs were made with another number of threads; if with several, with others."""
    found = threads_of(folder)
    if found and threads not in found:
        made = list(map(str, sorted(found)))
        problem = f"the runs in {folder} were made with {' and '.join(made)}, and all of a sweep have the same"
        raise BadInput("threads", threads, problem, f"{' or '.join(made)}, or another `out`")


def threads_of(folder: Path) -> set[int]:
    """The numbers of threads with which the folder's runs were made, those on a GPU left out.

    A run whose own folder is not here says it in provenance.json, if it has a row.
    """
    runs = all_runs(folder)
    records = [read_json(run / "run.json") for run in runs if not damage(run)]
    rows = set(collected.text_table(folder / SUMMARY)["run_id"]) if (folder / SUMMARY).is_file() else set()
    elsewhere = rows - {run.name for run in runs}
    provenance = read_json(folder / PROVENANCE) if elsewhere and (folder / PROVENANCE).is_file() else {}
    records += [record for name, record in provenance.items() if name in elsewhere and isinstance(record, dict)]
    found = set()
    for record in records:
        machine = record.get("machine", {})
        if str(machine.get("device", "cpu")).startswith("cpu") and "threads" in machine:
            found.add(machine["threads"])
    return found


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
            acquire(lock, run.parent.parent, blocking=False)
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


def plan(folder: Path, name: str, description: str, threads: int, runs: Sequence[str]) -> bool:
    """Record what a sweep is to make, for whoever collects: rows of other runs are marked. Whether that is new."""
    content = {"experiment": name, "description": description, "threads": threads, "runs": list(runs)}
    with locked(folder):
        if planned(folder) == content:
            return False
        write_text(folder / "experiment.json", json.dumps(content, indent=2) + "\n")
        return True


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


def collect(folder: Path) -> Known:
    """Bring the collected files up to date with the runs' own files, at any time and by any process.

    Rows of runs whose folders are not here, or are damaged, stay as they were.

    Raises:
        BadInput: a collected file cannot be read, nor rebuilt from the runs' own folders.
    """
    if not folder.is_dir() or not ((folder / "runs").is_dir() or collected.files_there(folder)):
        return known(folder)
    with locked(folder):
        _clear_collected(folder)
        before = known(folder)
        runs = [folder / "runs" / name for name, wrong in before.here.items() if not wrong]
        return Known(folder, before.here, _collect(folder, runs, before.rows))


def _clear_collected(folder: Path) -> None:
    """What a process left that was killed while it wrote; nobody else writes here while the folder is locked."""
    for name in (SUMMARY, CURVES, CURVES_BEFORE, PROVENANCE, "experiment.json"):
        path = Path(name)
        for left in folder.glob(f".{path.stem}.*{path.suffix}"):
            left.unlink(missing_ok=True)


def _collect(folder: Path, runs: Sequence[Path], before: Collected) -> Collected:
    """Write the collected files. The summary comes last: the runs that it has are in the others."""
    tables = {}
    for kind, name in OWN.items():
        own = [collected.joined([run / name for run in runs])] if runs else []
        tables[kind] = collected.first_of([*own, before.tables[kind]])
    if not any(len(table) for table in tables.values()):
        return before
    made = {run.name: _making(run) for run in runs}
    if runs or (folder / CURVES_BEFORE).is_file():
        collected.write_collected(folder / CURVES, csv_text(tables["curve"]))
        (folder / CURVES_BEFORE).unlink(missing_ok=True)
        if made:
            record_provenance(folder, made)
    summary = tables["summary"].drop(columns=IN_EXPERIMENT, errors="ignore")
    if (plan := planned(folder)) is not None:
        summary[IN_EXPERIMENT] = summary["run_id"].isin(plan["runs"])
    collected.write_collected(folder / SUMMARY, csv_text(summary))
    return Collected(tables, {**before.provenance, **made})


def _making(run: Path) -> dict[str, Any]:
    """What provenance.json says of a run: its run.json without what stands elsewhere, and what its rows hold."""
    record = read_json(run / "run.json")
    making = {key: value for key, value in record.items() if key not in ("run_id", "status", "sha256")}
    return making | {"content": _content(run.absolute(), tuple(_stamp(run / name) for name in RUN_FILES))}


@lru_cache(maxsize=100_000)
def _content(run: Path, stamps: tuple[tuple[int, int] | None, ...]) -> dict[str, str]:
    """See own_content. A sweep collects its runs several times; files that have not changed are not read again."""
    return collected.own_content(run)
