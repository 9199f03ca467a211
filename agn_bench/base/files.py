"""Files written whole or not at all, and locks on the folders they are in.

A reader sees the old file or the new one. A process that dies leaves at most a hidden file aside, and lets go of its
locks.
"""

from __future__ import annotations

import errno
import json
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agn_bench.base.inputs import LONGEST_NAME, BadInput, check_writable, reason_of

if TYPE_CHECKING:
    import pandas as pd
    from filelock import BaseFileLock

_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP}
"""Errors of a file system that has none, as NFS without its lock daemon."""


def check_file(option: str, path: Path) -> None:
    """Raise BadInput if `path` cannot be written as a file."""
    check_writable(option, path.parent)
    if len(os.fsencode(path.name)) > LONGEST_NAME - len(".png"):
        raise BadInput(option, path, "its name is too long", "a file's name")
    if not path.name or path.is_dir():
        raise BadInput(option, path, "a folder", "a file's name")


def check_report(option: str, folder: Path) -> None:
    """Raise BadInput if a command cannot write its tables, figures and provenance.json to `folder`."""
    for place in (folder, folder / "figures", folder / "tables"):
        check_writable(option, place)
    try:
        known = read_json(folder / "provenance.json") if (folder / "provenance.json").exists() else {}
        problem = "" if isinstance(known, dict) else "not a table"
    except (ValueError, OSError) as error:
        problem = reason_of(error)
    if problem:
        accepted = "a folder without that file, or with one that this program wrote"
        raise BadInput(option, folder, f"its provenance.json cannot be read ({problem})", accepted)


def read_json(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def write_table(path: Path, rows: Sequence[dict[str, Any]] | pd.DataFrame) -> None:
    """Write rows as CSV, in a folder that is made if need be."""
    write_text(path, csv_text(rows))


def csv_text(columns: Any) -> str:
    """Floats in shortest round-trip form, blanks where there is nothing.

    In rows every cell is written as it is: a whole number beside blanks stays whole.
    """
    import pandas as pd

    table = pd.DataFrame(columns, dtype=object) if isinstance(columns, list) else pd.DataFrame(columns)
    text: str = table.to_csv(index=False, lineterminator="\n")
    return text


def write_text(path: Path, text: str) -> None:
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    with written_aside(path) as aside:
        flush_bytes(aside, content)


def flush_bytes(path: Path, content: bytes) -> None:
    """Write to the disk itself, in a folder that is there."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def written_aside(path: Path) -> Iterator[Path]:
    """A name beside `path` to write to, renamed to it at the end: a reader sees the old file or the new one.

    Its folder is made if need be.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        yield aside
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def record_provenance(folder: Path, made: Mapping[str, Mapping[str, Any]]) -> None:
    """Set what is known of the making of runs, or of what commands wrote, in provenance.json; leave the rest."""
    with locked(folder):
        path = folder / "provenance.json"
        provenance = {**(read_json(path) if path.is_file() else {}), **made}
        # A line for each: there may be thousands.
        entries = [f"{json.dumps(name)}: {json.dumps(record)}" for name, record in sorted(provenance.items())]
        write_text(path, "{\n" + ",\n".join(entries) + "\n}\n")


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Let no other process change the folder's collected files meanwhile; whoever dies lets go.

    The file is removed at the end: who had opened it before sees that it is gone, and tries again (filelock does).

    Raises:
        BadInput: the folder's file system has no locks.
    """
    from filelock import FileLock

    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder.resolve() / ".lock", is_singleton=True)
    inside = lock.is_locked
    acquire(lock, folder)
    try:
        yield
    finally:
        if not inside:
            Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()


def acquire(lock: BaseFileLock, folder: Path, blocking: bool = True) -> None:
    """Acquire a lock on something in an experiment folder.

    Raises:
        Timeout: another process has it, and this one does not wait.
        BadInput: the file system of the folder has no locks. No file is left behind then.
    """
    try:
        with warnings.catch_warnings(action="ignore", category=UserWarning):  # where others take the locks' place
            lock.acquire(blocking=blocking)
    except (OSError, NotImplementedError) as error:
        if isinstance(error, OSError) and error.errno not in _NO_LOCKS:
            raise
        Path(lock.lock_file).unlink(missing_ok=True)
        problem = f"its file system has no locks, without which processes would spoil each other's files ({error})"
        raise BadInput(
            "out", folder, problem, "a folder on another file system, as on a disk of this machine"
        ) from None
