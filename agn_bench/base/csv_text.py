"""The text of a CSV file as people have them, brought into one form: which line is its header, what separates its cells
and how its decimals are written.

Cells may be separated by commas, semicolons, tabs, bars or spaces, with spaces around them; numbers may have decimal
commas where cells are not separated by these; lines may end in any way, be blank, or be comments that begin with `#`.
What is guessed is said (see Form.notes).
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection
from dataclasses import dataclass

_SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars", " ": "spaces"}
_COMMENT = re.compile(r"^[ \t]*#[^\n]*", re.MULTILINE)
_DECLARED = re.compile(r"\s*sep=(.)\s*", re.IGNORECASE)
"""A first line by which spreadsheets tell each other what separates cells."""
_NUMBER = r"[+-]?\d+{}\d+(?:[eE][+-]?\d+)?"


@dataclass(frozen=True)
class Form:
    """A file's header, and its rows as CSV text without it."""

    header: list[str]
    rows: str
    separator: str
    first_line: int
    """The line on which the rows begin, counted from 1."""
    notes: tuple[str, ...] = ()
    """What was guessed."""
    as_ever: bool = True
    """Whether it could be read before other forms than plain CSV could."""


def form_of(content: bytes, columns: Collection[str]) -> Form:
    """The form of a file's content that has these columns; without them, the one that is likeliest.

    Raises:
        ValueError, csv.Error: it is no text, or has no header.
    """
    text, as_ever = _text(content)
    plain = _COMMENT.sub("", text) if "#" in text else text  # a line that is left blank is still counted
    begin, end = _next_line(plain, 0)
    if begin == end:
        raise ValueError("no header" if text.strip() else "empty")
    declared = _DECLARED.fullmatch(plain[begin:end])
    if declared:
        begin, end = _next_line(plain, end)
    while plain.count('"', begin, end) % 2 and end < len(plain):
        end = _end_of_line(plain, end + 1)  # a name that spans lines
    header, body = plain[begin:end], end + 1
    separator = _separator(header, columns, declared[1] if declared else "")
    cells, notes = _cells(header, separator), []
    if "#" in text and not set(columns) <= set(cells):  # as NumPy writes it, the header may be a comment
        line = plain.count("\n", 0, begin)
        above = _COMMENT.findall("\n".join(text.split("\n", line)[:line]))
        said = above[-1].strip().lstrip("#").strip() if above else ""
        other = _separator(said, columns)
        if said and set(columns) <= set(_cells(said, other)):
            cells, separator, body = _cells(said, other), other, begin
            notes.append("its header is a comment")
    rows = plain[body:]
    if separator != ",":
        notes.append(f"its cells are separated by {_SEPARATORS.get(separator, separator)}")
        if separator != " " and _has_numbers(rows, separator, ",") and not _has_numbers(rows, separator, r"\."):
            rows = re.sub(r"(?<![\d,])(\d+),(\d+)(?![\d,])", r"\1.\2", rows)
            notes.append("its numbers have decimal commas")
    as_ever = as_ever and not notes and plain == text and begin == 0 and set(columns) <= set(_cells(header, ",", False))
    return Form(cells, rows, separator, plain.count("\n", 0, body) + 1, tuple(notes), as_ever)


def _next_line(text: str, start: int) -> tuple[int, int]:
    """Where the next line that is not blank begins and ends; the text's end twice if there is none."""
    found = re.compile(r"\S").search(text, start)
    if found is None:
        return len(text), len(text)
    return text.rfind("\n", 0, found.start()) + 1, _end_of_line(text, found.start())


def _end_of_line(text: str, start: int) -> int:
    end = text.find("\n", start)
    return len(text) if end < 0 else end


def same_rows(form: Form) -> str:
    """The rows with as many cells as the header has, where some have blank ones beyond it.

    Raises:
        ValueError: a row has more, with the row's line.
    """
    written = io.StringIO()
    writer = csv.writer(written, delimiter=form.separator, lineterminator="\n")
    reader = csv.reader(io.StringIO(form.rows, newline=""), delimiter=form.separator, strict=True)
    line = form.first_line
    for row in reader:
        if any(cell.strip() for cell in row[len(form.header) :]):
            raise ValueError(f"line {line} has {len(row)} cells, the header {len(form.header)}")
        written.write("\n" * (form.first_line + reader.line_num - 1 - line))  # of a cell that spans lines
        writer.writerow(row[: len(form.header)])
        line = form.first_line + reader.line_num
    return written.getvalue()


def as_plain_csv(form: Form) -> bytes:
    """The same header and cells, however they were spelled."""
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    text = io.StringIO(form.rows, newline="")
    one_by_one = csv.reader(text, delimiter=form.separator, skipinitialspace=True)
    rows = map(str.split, text) if form.separator == " " else one_by_one
    writer.writerow(form.header)
    writer.writerows([cell.strip() for cell in row] for row in rows if any(cell.strip() for cell in row))
    return written.getvalue().encode()


def _text(content: bytes) -> tuple[str, bool]:
    """A file's text with `\\n` at the ends of its lines, and whether it was plain."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16").replace("\r\n", "\n").replace("\r", "\n"), False
    try:
        text = content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ValueError(f"line {line} is not UTF-8 text") from None
    return text.replace("\r", "\n"), "\r" not in text


def _separator(header: str, columns: Collection[str], declared: str = "") -> str:
    """What separates a header's cells: what gives the columns that are wanted, or what there is most of."""
    if declared:
        return declared
    for separator in _SEPARATORS:
        if set(columns) <= set(_cells(header, separator)):
            return separator
    return max(_SEPARATORS, key=header.strip().count)


def _cells(header: str, separator: str, stripped: bool = True) -> list[str]:
    """The cells of a header, by default without the spaces around them."""
    if separator == " ":
        return header.split()
    try:
        text = io.StringIO(header, newline="")
        cells = next(csv.reader(text, delimiter=separator, skipinitialspace=stripped), [])
    except csv.Error:
        return []
    return [cell.strip() for cell in cells] if stripped else cells


def _has_numbers(rows: str, separator: str, point: str) -> bool:
    """Whether a cell is a number with this decimal point."""
    edge = re.escape(separator)
    return re.search(rf'(?:^|{edge})\s*"?{_NUMBER.format(point)}"?\s*(?:{edge}|$)', rows, re.MULTILINE) is not None
