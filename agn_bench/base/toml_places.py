"""Where in a TOML file each of its keys begins, so that complaints can name the line.

What a file says, and whether it is TOML, tomllib decides; it keeps no positions. The scanner here reads a text that
tomllib has accepted once more, once, and only where something is wrong with what the text says. It checks nothing, but
stops at what it does not understand: all that it has found until then is right, and a key that it has not found has
the place of what is around it.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right
from functools import cached_property
from typing import NamedTuple


class Place(NamedTuple):
    """Where something begins; both are counted from 1, columns in characters."""

    line: int
    column: int


class Places:
    """Where the keys of a TOML text begin; nothing is looked for before it is asked for."""

    def __init__(self, text: str) -> None:
        self._text = text

    def place(self, *path: str | int) -> Place | None:
        """Where what is under `path` begins: keys, and in arrays indices, as they lead to it in tomllib's tables.

        A key begins with its name, where the text has it first; an element of an array with its value, or with its
        [[header]]. For what is not in the text it is where the nearest table or array around it begins, None if that is
        the whole file.
        """
        node = self._root
        for part in path:
            if part not in node:
                break
            node = node[part]
        if node is self._root:
            return None
        line = bisect_right(self._line_starts, node.at)
        return Place(line, node.at - self._line_starts[line - 1] + 1)

    def line(self, *path: str | int) -> int | None:
        """The line of a place."""
        place = self.place(*path)
        return place.line if place else None

    @cached_property
    def _root(self) -> _Node:
        return _scan(self._text)

    @cached_property
    def _line_starts(self) -> list[int]:
        return [0, *(end.end() for end in re.finditer("\n", self._text))]


class _Node(dict[str | int, "_Node"]):
    """Where in the text something begins, and what is in it: of a table by key, of an array by index."""

    __slots__ = ("at",)

    def __init__(self, at: int) -> None:
        super().__init__()
        self.at = at

    def child(self, key: str | int, at: int) -> _Node:
        """What is under `key`, which begins where it was first met."""
        if key not in self:
            self[key] = _Node(at)
        return self[key]

    def element(self, at: int) -> _Node:
        """One more element of an array."""
        return self.child(len(self), at)

    def newest(self) -> _Node:
        """The last element of an array, which headers below it speak of; a table itself, for its keys are texts."""
        return self.get(len(self) - 1, self)


class _Unsure(Exception):
    """The text is not what the scanner expects."""


# Quantifiers are possessive: valid TOML never asks for another try, and so each part takes linear time.
_BASIC, _LITERAL = r'"(?:[^"\\\n]++|\\.)*+"', r"'[^'\n]*+'"
_BLANK = re.compile(r"(?:[ \t\r\n]++|#[^\n]*+)*+")
_BETWEEN = re.compile(r"(?:[ \t\r\n,]++|#[^\n]*+)*+")
"""Between what an array or an inline table has in it."""
_REST = re.compile(r"[ \t]*+(?:#[^\n]*+)?+\r?+(?:\n|\Z)")
"""The rest of the line on which a value or a header has ended."""
_KEY = re.compile(rf"([A-Za-z0-9_-]++|{_BASIC}|{_LITERAL})[ \t]*+(\.[ \t]*+)?+")
_EQUALS = re.compile(r"=[ \t]*+")
_HEADER = re.compile(r"\[\[?+[ \t]*+")
_SINGLE = re.compile(
    r'"""(?:[^"\\]++|\\[\s\S]|"{1,2}+(?!"))*+"{3,5}+'  # up to two of the text's own quotes before the closing three
    r"|'''(?:[^']++|'{1,2}+(?!'))*+'{3,5}+"
    rf"|{_BASIC}|{_LITERAL}"
    r"|[\w.:+-][\w.:+ -]*+"  # a number, a truth value, or a date, which may have a space in it
)
"""A value that has no others in it."""


def _scan(text: str) -> _Node:
    """The tree of what is in a valid TOML text, as far as it is understood."""
    root = table = _Node(0)
    at = _end(_BLANK, text, 0)
    try:
        while at < len(text):
            if text[at] == "[":
                table, at = _header(text, at, root)
            else:
                key, at = _key(text, at, table)
                at = _value(text, _end(_EQUALS, text, at), key)
            at = _end(_BLANK, text, _end(_REST, text, at))
    except _Unsure:
        pass
    return root


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    """Where what `pattern` describes, and must be at `at`, ends."""
    found = pattern.match(text, at)
    if not found:
        raise _Unsure
    return found.end()


def _header(text: str, at: int, root: _Node) -> tuple[_Node, int]:
    """The table that a [header] or [[header]] opens, and where the header ends."""
    several = text.startswith("[[", at)
    closing = "]]" if several else "]"
    table, end = _key(text, _end(_HEADER, text, at), root)
    if not text.startswith(closing, end):
        raise _Unsure
    return table.element(at) if several else table, end + len(closing)


def _key(text: str, at: int, table: _Node) -> tuple[_Node, int]:
    """What a key, dotted or not, speaks of, from `table` on, and where the key ends."""
    node = table
    while True:
        found = _KEY.match(text, at)
        if not found:
            raise _Unsure
        node = node.newest().child(_name(found[1]), at)
        at = found.end()
        if not found[2]:
            return node, at


def _name(key: str) -> str:
    """A key without its quotes."""
    if "\\" in key:
        name: str = tomllib.loads(f"name = {key}")["name"]
        return name
    return key[1:-1] if key[0] in "\"'" else key


def _value(text: str, at: int, node: _Node) -> int:
    """Put what is in the value that begins at `at` into `node`; where the value ends.

    By a list of what is open, not by recursion: values may be as deep as tomllib can take, and its caller may be less
    deep in calls than this one's.
    """
    opened: list[tuple[_Node, str]] = []
    while True:
        if text.startswith(("[", "{"), at):
            opened.append((node, "]" if text[at] == "[" else "}"))
            at += 1
        else:
            at = _end(_SINGLE, text, at)
        while opened:
            around, closing = opened[-1]
            at = _end(_BETWEEN, text, at)
            if text.startswith(closing, at):
                opened.pop()
                at += 1
            elif closing == "]":
                node = around.element(at)
                break
            else:
                node, at = _key(text, at, around)
                at = _end(_EQUALS, text, at)
                break
        else:
            return at
