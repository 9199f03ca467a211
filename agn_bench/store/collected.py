"""The collected files of an experiment folder: all of its runs together, and what made them.

    <folder>/summary.csv        one row per run
    <folder>/curves.csv.gz      one row per point of a run's curve
    <folder>/provenance.json    of each run its configuration, what made it, and the hashes of its rows

They are all that is known of a run whose own folder is not here. A folder that was made before curves were compressed
has curves.csv instead; its rows move when it is next collected (see folder.collect).
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agn_bench.base.files import read_json, write_bytes
from agn_bench.base.inputs import BadInput, reason_of
from agn_bench.base.tabular import UNREADABLE, read_table
from agn_bench.config.run import digest_of

if TYPE_CHECKING:
    import pandas as pd

SUMMARY, CURVES, PROVENANCE = "summary.csv", "curves.csv.gz", "provenance.json"
CURVES_BEFORE = "curves.csv"
"""What curves.csv.gz was called before it was compressed."""
OWN = {"curve": "curve.csv", "summary": "summary.csv"}
"""A run's own files that are collected, by the names of their hashes in provenance.json."""
_CHANGED = {"summary": f"its row in {SUMMARY} was changed", "curve": f"its points in {CURVES} were changed"}
IN_EXPERIMENT = "in_experiment"
NAMES = ("run_id", "experiment", "configuration", IN_EXPERIMENT)
"""Columns that say what runs are called, and nothing of what they gave."""
_LEVEL = 6
"""The level of compression: 9 takes two and a half times as long and saves a hundredth."""


def files_there(folder: Path) -> str:
    """The names of the collected files that a folder has, to be shown."""
    return ", ".join(name for name in (SUMMARY, CURVES, CURVES_BEFORE, PROVENANCE) if (folder / name).is_file())


def curves_path(folder: Path) -> Path:
    """Where the folder's curves are, compressed or as they were before."""
    now, before = folder / CURVES, folder / CURVES_BEFORE
    try:
        return before if before.is_file() and not now.is_file() else now
    except OSError:  # the folder's name is too long; whoever reads the file says so
        return now


def content_of(columns: Mapping[str, Sequence[str]]) -> str:
    """The SHA-256 of what rows of a run hold, whatever the run is called and in whichever file they stand.

    It is that of the JSON text, with sorted keys, of the columns by name and each column's cells as they stand in the
    CSV file, without NAMES and without columns in which every cell is blank.
    """
    kept = {name: list(cells) for name, cells in columns.items() if name not in NAMES and any(cells)}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()


def own_content(run: Path) -> dict[str, str]:
    """The hashes of what a run's own files hold."""
    return {kind: content_of(_cells((run / name).read_bytes().decode())) for kind, name in OWN.items()}


def _cells(text: str) -> dict[str, tuple[str, ...]]:
    """A small CSV text's columns."""
    head, *rows = (row for row in csv.reader(io.StringIO(text, newline="")) if row)
    return dict(zip(head, zip(*rows, strict=True), strict=True)) if rows else {}


class Collected:
    """What the collected files of a folder hold, read once."""

    def __init__(self, tables: Mapping[str, pd.DataFrame], provenance: Mapping[str, Any]) -> None:
        self.tables = tables
        """By the names of OWN, cells as text."""
        self.provenance = provenance

    @cached_property
    def _rows(self) -> dict[str, _Rows]:
        return {kind: _Rows(table) for kind, table in self.tables.items()}

    @cached_property
    def names(self) -> set[str]:
        """Runs that have a row or points."""
        return set().union(*(table["run_id"].unique() for table in self.tables.values()))

    @cached_property
    def finished(self) -> set[str]:
        """Runs that have both."""
        return set.intersection(*(set(table["run_id"].unique()) for table in self.tables.values()))

    def content(self, name: str) -> dict[str, str]:
        """The hashes of what a run's rows hold."""
        return {kind: rows.content(name) for kind, rows in self._rows.items()}

    def changed(self, name: str) -> str:
        """What of a run was changed since it was collected; nothing if it has no hashes, as of older folders."""
        record = self.provenance.get(name)
        if not isinstance(record, dict) or not isinstance(written := record.get("content"), dict):
            return ""
        found = self.content(name)
        wrong = [problem for kind, problem in _CHANGED.items() if written.get(kind) != found[kind]]
        if not wrong and self._is_called_otherwise(name, record):
            wrong = [f"its configuration in {SUMMARY} was changed"]
        return " and ".join(wrong)

    def _is_called_otherwise(self, name: str, record: Mapping[str, Any]) -> bool:
        """Whether a run's row has another configuration than the run: a spreadsheet may take 626195e8 for a number."""
        config, version = record.get("config"), record.get("semantics_version")
        written = self._rows["summary"].cells(name, "configuration")
        if not isinstance(config, dict) or not isinstance(version, int) or not any(written):
            return False
        return {*written} != {digest_of({key: config[key] for key in config if key != "seed"}, version)}


class _Rows:
    """A table's rows by run; they are sorted by run (see first_of)."""

    def __init__(self, table: pd.DataFrame) -> None:
        self._columns: dict[str, list[str]] = {str(name): table[name].tolist() for name in table}
        self._parts: dict[str, slice] = {}
        first = 0
        for name, same in groupby(self._columns["run_id"]):
            after = first + sum(1 for _ in same)
            self._parts[name] = slice(first, after)
            first = after

    def content(self, name: str) -> str:
        return content_of({column: self.cells(name, column) for column in self._columns})

    def cells(self, name: str, column: str) -> list[str]:
        """A run's, from top to bottom; none of a column that is not there."""
        return self._columns.get(column, [])[self._parts.get(name, slice(0, 0))]


def read_collected(folder: Path, whole: Collection[str] = ()) -> Collected:
    """Read the collected files that are there. A file that cannot be read counts as not there if it can be rebuilt:
    if all runs that the others name are among `whole`, those whose own folders are here as they were written.

    Raises:
        BadInput: it cannot.
    """
    tables: dict[str, pd.DataFrame] = {}
    problems: dict[Path, str] = {}
    there: dict[str, list[Path]] = {"curve": [folder / CURVES, folder / CURVES_BEFORE], "summary": [folder / SUMMARY]}
    for kind, paths in there.items():
        found = []
        for path in filter(Path.is_file, paths):
            try:
                found.append(text_table(path))
            except UNREADABLE as error:
                problems[path] = reason_of(error)
        tables[kind] = first_of(found)
    provenance = read_provenance(folder)
    read = Collected(tables, provenance)
    made = {name for name, record in provenance.items() if isinstance(record, dict) and "semantics_version" in record}
    known = read.names | made
    for path, problem in problems.items():
        if not known or not known <= set(whole):
            problem = f"cannot be read ({problem}), and not every run in it has a folder here to rebuild it from"
            raise BadInput("out", path, problem, "the file as it was written, or a new folder")
    return read


def read_provenance(folder: Path, option: str = "out") -> dict[str, Any]:
    """What provenance.json of a folder holds, by run; nothing where it is not there.

    Args:
        option: that gave the folder.

    Raises:
        BadInput: it cannot be read.
    """
    path = folder / PROVENANCE
    if not path.is_file():
        return {}
    try:
        return {**read_json(path)}
    except (ValueError, TypeError, OSError, RecursionError) as error:
        problem = f"cannot be read ({reason_of(error)})"
        raise BadInput(option, path, problem, "the file as it was written, or the folder without it") from None


def write_collected(path: Path, text: str) -> None:
    """Write a collected file, unless it holds this already; compressed if its name says so.

    The bytes of a compressed file depend on its content and on zlib's version alone.
    """
    content = text.encode()
    try:
        if content_bytes(path) == content:
            return
    except UNREADABLE:
        pass
    if path.suffix == ".gz":
        buffer = io.BytesIO()
        with gzip.GzipFile(filename="", fileobj=buffer, mode="wb", compresslevel=_LEVEL, mtime=0) as file:
            file.write(content)
        content = buffer.getvalue()
    write_bytes(path, content)


def content_bytes(path: Path) -> bytes:
    """A file's content, decompressed if its name says that it is compressed."""
    content = path.read_bytes()
    return gzip.decompress(content) if path.suffix == ".gz" else content


def first_of(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """The rows of all tables, of each run those of the first table that has it, sorted by run."""
    import pandas as pd

    kept: list[pd.DataFrame] = []
    seen: set[str] = set()
    for table in tables:
        kept.append(table[~table["run_id"].isin(seen)] if seen else table)
        seen |= set(table["run_id"].unique())
    joint = pd.concat(kept, ignore_index=True) if kept else pd.DataFrame({"run_id": pd.Series(dtype=str)})
    if not joint["run_id"].is_monotonic_increasing:
        joint = joint.sort_values("run_id", kind="stable")
    return joint.fillna("")


def joined(files: Sequence[Path]) -> pd.DataFrame:
    """The rows of all files, of each run those of the first file that has it, as text: not a digit changes."""
    import pandas as pd

    tables: list[pd.DataFrame] = []
    for head, contents in _alike(files):
        table, rows = _text_table(head + b"".join(contents)), [content.count(b"\n") for content in contents]
        if len(table) != sum(rows):  # there are blank lines, or lines that break between quotes
            each = [_text_table(head + content) for content in contents]
            table, rows = pd.concat(each, ignore_index=True), [len(one) for one in each]
        origin = pd.Series(range(len(rows))).repeat(rows).reset_index(drop=True)
        tables.append(table[origin == origin.groupby(table["run_id"]).transform("first")])
    return first_of(tables)


def _alike(files: Sequence[Path]) -> Iterator[tuple[bytes, list[bytes]]]:
    """The columns, as a line, and the rows of CSV files that follow each other and have the same columns.

    They are parsed as one: a table a file takes twenty times the memory of its rows, and twenty times as long.
    """
    split = ([*_whole_lines(path).partition(b"\n")] for path in files)
    parts = ((columns + newline, rows) for columns, newline, rows in split)
    for head, several in groupby(parts, key=itemgetter(0)):
        yield head, [rows for _, rows in several]


def text_table(path: Path) -> pd.DataFrame:
    """A CSV file's cells as text, up to its last whole line.

    Raises:
        ValueError, OSError, EOFError, zlib.error: it cannot be read, or has no column run_id.
    """
    return _text_table(_whole_lines(path))


def _whole_lines(path: Path) -> bytes:
    content = content_bytes(path)
    return content[: content.rfind(b"\n") + 1]


def _text_table(text: bytes) -> pd.DataFrame:
    columns = text.partition(b"\n")[0].decode("utf-8-sig").strip().split(",")
    if "run_id" not in (column.strip('"') for column in columns):  # said before pandas says what else is wrong
        raise ValueError("no column run_id")
    return read_table(text, {}, blanks=False)
