"""Where the keys of a TOML file begin: by hand, by how the file was made up, and by reading every beginning of it."""

from __future__ import annotations

import json
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path as File
from typing import Any

import pytest
from conftest import examples
from hypothesis import given
from hypothesis import strategies as st

import agn_bench
from agn_bench.base.toml_places import Place, Places
from agn_bench.base.user_files import parse_toml

Path = tuple[str | int, ...]


def paths(value: Any, path: Path = ()) -> Iterator[Path]:
    """All that leads somewhere in parsed tables."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inside:
        yield (*path, key)
        yield from paths(item, (*path, key))


def first_lines(text: str) -> dict[Path, int]:
    """The line of every statement, and of all in it: where the text, read from its beginning, first has it."""
    lines = text.replace("\r\n", "\n").split("\n")
    found: dict[Path, int] = {}
    before = 0  # lines of the longest beginning without it
    for count in range(1, len(lines) + 1):
        try:
            tables = tomllib.loads("\n".join(lines[:count]))
        except ValueError:
            continue  # inside a value of several lines
        found |= {path: before + 1 for path in paths(tables) if path not in found}
        before = count
    return found


def assert_written_at(text: str, place: Place, key: str | int) -> None:
    """See that the key is what stands at a place; of an element of an array, that something does."""
    there = text.split("\n")[place.line - 1][place.column - 1 :]
    if isinstance(key, int):
        assert there[0] not in " \t\r,=#]}"
    else:
        ends = [end for end in range(1, len(there)) if there[end] in "=].\t "]
        assert any(_is_key(there[:end], key) for end in ends), (there, key)


def _is_key(written: str, key: str) -> bool:
    try:
        return tomllib.loads(f"{written} = 0") == {key: 0}
    except ValueError:
        return False


# --- by hand ---

BY_HAND = r"""# [comments] = 1
"a b" . c = 1  # not a.c
a.'b.c' = { x = [1, { y = 2 }], "z\u0021" = ~~~
x = 3~~~ , w.v = 4 }
[[ cells ]]
k = [
  "a, ]", # , [
  [ 1979-05-27 07:32:00, 2 ], { l = 1 },
]
[cells.sub]
m = ~~~""two quotes\"~~~""
n = ~~~"

[cells]
"~~~
[[cells]]
[cells.sub.deep]
[[cells.sub.list]]
[[cells.sub.list]]
o = ""
""".replace("~~~", '"' * 3)
STANDS: dict[Path, tuple[int, int]] = {
    ("a b",): (2, 1),
    ("a b", "c"): (2, 9),
    ("a",): (3, 1),
    ("a", "b.c"): (3, 3),
    ("a", "b.c", "x"): (3, 13),
    ("a", "b.c", "x", 0): (3, 18),
    ("a", "b.c", "x", 1): (3, 21),
    ("a", "b.c", "x", 1, "y"): (3, 23),
    ("a", "b.c", "z!"): (3, 33),
    ("a", "b.c", "w"): (4, 12),
    ("a", "b.c", "w", "v"): (4, 14),
    ("cells",): (5, 4),
    ("cells", 0): (5, 1),
    ("cells", 0, "k"): (6, 1),
    ("cells", 0, "k", 0): (7, 3),
    ("cells", 0, "k", 1): (8, 3),
    ("cells", 0, "k", 1, 0): (8, 5),
    ("cells", 0, "k", 1, 1): (8, 26),
    ("cells", 0, "k", 2): (8, 31),
    ("cells", 0, "k", 2, "l"): (8, 33),
    ("cells", 0, "sub"): (10, 8),
    ("cells", 0, "sub", "m"): (11, 1),
    ("cells", 0, "sub", "n"): (12, 1),
    ("cells", 1): (16, 1),
    ("cells", 1, "sub"): (17, 8),
    ("cells", 1, "sub", "deep"): (17, 12),
    ("cells", 1, "sub", "list"): (18, 13),
    ("cells", 1, "sub", "list", 0): (18, 1),
    ("cells", 1, "sub", "list", 1): (19, 1),
    ("cells", 1, "sub", "list", 1, "o"): (20, 1),
}


@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["lf", "crlf"])
@pytest.mark.parametrize("mark", ["", "\ufeff"], ids=["plain", "byte-order-mark"])
def test_everything_is_where_it_stands(end: str, mark: str) -> None:
    places, tables = parse_toml("FILE", "x.toml", (mark + BY_HAND.replace("\n", end)).encode(), "TOML")
    assert {path: places.place(*path) for path in paths(tables)} == STANDS


def test_what_is_not_in_the_file_is_where_the_table_around_it_is() -> None:
    places = Places(BY_HAND)
    assert places.line("cells", 0, "sub", "q", "r") == 10
    assert places.line("cells", 7, "k") == 5
    assert places.line("a b", "c", "d") == 2
    assert places.line("b") is None
    assert places.line() is None


def test_from_what_is_not_understood_on_nothing_is_claimed() -> None:
    """As of a later TOML; what came before is right."""
    places = Places("[a]\nb = 1\nc = <new>\nd = 1\n[e]\n")
    assert [places.line("a", key) for key in "bcd"] == [2, 3, 1]
    assert places.line("e") is None
    for odd in ('b = "x" "y"', "b = 1 ]", "[b.]", "[b]]", "[b!", "b 1", "= 1", "b = [1", 'b = """', "b = {c"):
        assert Places(f"[a]\n{odd}\n[e]\n").line("e") is None, odd


def test_inline_tables_of_several_lines_are_understood() -> None:
    """TOML 1.1 has them, and tomllib from Python 3.15 on."""
    assert Places('a = { # }\n  b = "\\e",\n\n  c = { d = 1, },\n}\n').line("a", "c", "d") == 4


def test_depth_is_no_matter() -> None:
    depth = 20_000
    assert Places("x = " + "[" * depth + "{y = 1}" + "]" * depth).place("x", *[0] * depth, "y") == (1, depth + 6)


# --- the project's own files ---

ROOT = File(__file__).parent.parent
OWN = [
    *sorted((ROOT / "experiments").rglob("*.toml")),
    *sorted((File(agn_bench.__file__).parent / "clock" / "profiles").glob("*.toml")),
    ROOT / "pyproject.toml",
]


@pytest.mark.parametrize("file", OWN, ids=lambda file: file.stem)
def test_in_the_projects_own_files_lines_are_those_of_reading_every_beginning(file: File) -> None:
    text = file.read_text(encoding="utf-8")
    places, expected = Places(text), first_lines(text)
    assert len(expected) > 3
    for path, line in expected.items():
        place = places.place(*path)
        assert place is not None
        assert_written_at(text, place, path[-1])
        if place.line != line:  # an element of an array of several lines, which begins with the line of its key
            assert isinstance(path[-1], int)
            assert place.line > line == expected[path[:-1]]


# --- files that are made up ---

KEYS = ["a", "b", "c-1", "7", "", "é x", "x.y", 'q"q', "[a]", "k\\u"]
SINGLE = [
    "1", "-0.5e3", "true", "nan", "1979-05-27 07:32:00", "07:32:00", "0xF_F", '"a # b"', '"\\" = ["', "'[x]'", "''",
    "'\\'", '""',
    '"\\\\"', '"""\n[a]\nb = 1\n"""', '""""q" """', '"""x"""""', '"""\\"" = \\\n """', "'''\n[[b]]\na='''",
    "''''q'''''", "'''\\'''",
]  # fmt: skip
GAPS = ["", " ", "\t ", "\n", " # ], } = [x]\n  ", "\n\n"]


class Writer:
    """Makes up a TOML text and writes down where it has put everything."""

    def __init__(self, draw: st.DrawFn) -> None:
        self._draw = draw
        self.text = ""
        self.places: dict[Path, Place] = {}
        self.lines: dict[Path, int] = {}
        """The line of the statement that each thing is in."""

    def one(self, options: list[Any]) -> Any:
        return self._draw(st.sampled_from(options))

    def document(self) -> None:
        """Statements, each of which is kept if the text is TOML with it."""
        table: Path = ()
        for _ in range(self.one([1, 5, 12])):
            before = self.text, dict(self.places), dict(self.lines), table
            self.statement = self.text.count("\n") + 1
            if self.one([False, False, True]):
                table = self.header()
            else:
                self.put(self.one(["", "  "]))
                path = self.key(table)
                self.put(self.one(["=", " = ", "\t= "]))
                self.value(path, 3)
            self.put(self.one(["\n", "  # [c] = 1\n", " \n\n# d = '\n"]))
            try:
                tomllib.loads(self.text)
            except ValueError:
                self.text, self.places, self.lines, table = before

    def put(self, text: str) -> None:
        self.text += text

    def note(self, path: Path, at: int | None = None) -> None:
        """What begins here, or at `at`; it counts where it was first."""
        above = self.text[:at]
        self.places.setdefault(path, Place(above.count("\n") + 1, len(above) - above.rfind("\n")))
        self.lines.setdefault(path, self.statement)

    def header(self) -> Path:
        several, at = self.one([False, True]), len(self.text)
        self.put(("[[" if several else "[") + self.one(["", " "]))
        path = self.key(())
        self.put(self.one(["", " "]) + ("]]" if several else "]"))
        if several:
            path = (*path, self._length(path))
            self.note(path, at)
        return path

    def _length(self, path: Path) -> int:
        """The length of an array of tables, as far as it has been written."""
        return sum(other[:-1] == path and isinstance(other[-1], int) for other in self.places)

    def key(self, table: Path) -> Path:
        """A key, dotted or not, counted from `table`; of an array of tables it is one of its last table."""
        for part in range(self.one([1, 1, 1, 2, 3])):
            self.put(self.one([".", " . "]) if part else "")
            table = (*table, self._length(table) - 1) if table and self._length(table) else table
            name = self.one(KEYS)
            bare = name.isascii() and name.replace("-", "").isalnum()
            spelled = [f"'{name}'", json.dumps(name), *([name, name, name] if bare else [])]
            table = (*table, name)
            self.note(table)
            self.put(self.one(spelled))
        return table

    def value(self, path: Path, depth: int) -> None:
        kind = self.one(["single", "single", "array", "table"] if depth else ["single"])
        if kind == "single":
            self.put(self.one(SINGLE))
            return
        gaps = GAPS if kind == "array" else GAPS[:3]
        self.put("[" if kind == "array" else "{")
        for index in range(count := self.one([0, 1, 3])):
            self.put(self.one(gaps))
            if kind == "array":
                self.note((*path, index))
                self.value((*path, index), depth - 1)
            else:
                inner = self.key(path)
                self.put(self.one(["=", " = "]))
                self.value(inner, depth - 1)
            self.put(
                self.one(gaps) + ("," if index < count - 1 or (kind == "array" and self.one([False, True])) else "")
            )
        self.put(self.one(gaps) + ("]" if kind == "array" else "}"))


@st.composite
def documents(draw: st.DrawFn) -> Writer:
    writer = Writer(draw)
    writer.document()
    return writer


@examples(400)
@given(documents(), st.sampled_from(["\n", "\r\n"]))
def test_everything_is_where_it_was_written(written: Writer, end: str) -> None:
    text = written.text.replace("\n", end)
    places = Places(text)
    assert set(paths(tomllib.loads(text))) == set(written.places)
    assert first_lines(text) == written.lines
    assert {path: places.place(*path) for path in written.places} == written.places


MOST_SECONDS = 20
"""Where a second or two are taken: the machine may be busy. To read every beginning would take days."""


@pytest.mark.parametrize(
    ("text", "path", "line"),
    [
        ("[base]\n" + "".join(f"k{number} = {number}\n" for number in range(200_000)), ("base", "k199999"), 200_001),
        ('[[cells]]\noptimizer = ["agn", "easgd"]\n' * 100_000, ("cells", 99_999, "optimizer"), 200_000),
        ('x = """' + '\\" [a]\n' * 200_000 + '"""\ny = 1', ("y",), 200_002),
    ],
    ids=["keys", "tables", "text"],
)
def test_a_file_of_200_000_lines_is_no_matter(text: str, path: Path, line: int) -> None:
    start = time.perf_counter()
    assert Places(text).line(*path) == line
    assert time.perf_counter() - start < MOST_SECONDS
