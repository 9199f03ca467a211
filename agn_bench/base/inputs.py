"""Checking what a user gives, a value or a file at a time, and the one exception that says what is wrong with it.

Options are named without dashes, as in an experiment file; values may be text, as on a command line. Where a text
names another option it does so in backticks, with or without a value, as in `epochs` and `gradient_steps=500`: who
shows it spells these as its reader would write them (see spelled). The command line turns BadInput into exit code 2.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import math
import os
import re
import tempfile
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

LARGEST_FILE = 1_000_000_000
"""Bytes of a file that is read whole."""
LONGEST_NAME = 255
"""Bytes of a file's name."""


Spelling = Callable[[str, str], str]
"""How a reader would write an option and its value, which is empty where none is given."""


def as_argument(name: str, value: str) -> str:
    """As in a call from Python, and as a key of an experiment file."""
    return f"{name}={value}" if value else name


def spelled(text: str, spelling: Spelling = as_argument) -> str:
    """A text in which options are named in backticks, with these spelled for its reader."""
    return re.sub(r"`([a-z_]+)(?:=([^`]*))?`", lambda found: spelling(found[1], found[2] or ""), text)


class BadInput(Exception):
    """An option, file or folder that cannot be used.

    The message names the option, the value given, what is wrong with it and what would be accepted.
    """

    def __init__(self, option: str, value: object, problem: str, accepted: str) -> None:
        self.option = option
        self.value = value
        self.problem = problem
        self.accepted = accepted
        super().__init__(option, value, problem, accepted)

    def message(self, spelling: Spelling) -> str:
        """What is wrong, in a line, with options as the reader would write them."""
        value = str(self.value)
        if self.option.isupper():  # an argument without a name, or a variable of the environment
            given = f"{self.option} {value}" if value else self.option
        else:
            given = spelling(self.option, value)
        return printable(f"{given}: {spelled(self.problem, spelling)}; accepted: {spelled(self.accepted, spelling)}")

    def __str__(self) -> str:
        return self.message(as_argument)

    def __reduce__(self) -> tuple[type[BadInput], tuple[Any, ...]]:
        """So that it can come from another process."""
        return type(self), (self.option, self.value, self.problem, self.accepted)


class NeverAccepted(BadInput):
    """A value that would be wrong whatever the other options are."""


class TooLarge(BadInput):
    """A number above what is accepted."""


class BadFile(BadInput):
    """A file in which several things cannot be used: a line for each of them."""

    def __init__(self, option: str, path: object, problems: Sequence[str]) -> None:
        super().__init__(option, path, "", "")
        self.problems = list(problems)

    def message(self, spelling: Spelling) -> str:
        """A line for each problem: what stands in a file is spelled as in the file, whoever reads it."""
        lines = "".join(f"\n  {spelled(problem)}" for problem in self.problems)
        count = "a problem" if len(self.problems) == 1 else f"{len(self.problems)} problems"
        return f"{self.option} {self.value}: {count}; nothing was run{lines}"

    def __reduce__(self) -> tuple[type[BadInput], tuple[Any, ...]]:
        return type(self), (self.option, self.value, self.problems)


def choose(option: str, value: object, known: Collection[str]) -> str:
    """Return `value` if it is one of `known`; otherwise raise BadInput and suggest the nearest name."""
    if isinstance(value, str) and value in known:
        return value
    raise BadInput(option, value, unknown(value, known), ", ".join(known))


def unknown(value: object, known: Collection[str]) -> str:
    """What is wrong with a name that is none of `known`, with the nearest of them."""
    near = difflib.get_close_matches(str(value).lower(), known, n=1, cutoff=0.5)
    return "unknown" + (f", did you mean {near[0]}?" if near else "")


def whole_number(option: str, value: object, low: int, high: int, note: str = "") -> int:
    """`value` as a whole number from `low` to `high`; BadInput if it is none."""
    accepted = f"a whole number from {low} to {high}" + (f", {note}" if note else "")
    try:
        whole = int(value) if isinstance(value, str) and len(value) <= 1000 else value
    except ValueError:
        whole = None
    if isinstance(whole, bool) or not isinstance(whole, int):
        raise NeverAccepted(option, value, "not a whole number", accepted)
    if whole < low:
        raise NeverAccepted(option, value, "too small", accepted)
    if whole > high:
        raise TooLarge(option, value, "too large", accepted)
    return whole


def number(option: str, value: object, low: float, high: float, note: str = "") -> float:
    """`value` as a finite number from `low` to `high`; BadInput if it is none."""
    accepted = f"a number from {low:g} to {high:g}" + (f" {note}" if note else "")
    try:
        real = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else None
    except (ValueError, OverflowError):
        real = None
    if real is None or math.isnan(real):
        raise NeverAccepted(option, value, "not a number", accepted)
    if math.isinf(real):
        raise NeverAccepted(option, value, "not finite", accepted)
    if real < low:
        raise NeverAccepted(option, value, "negative" if real < 0 else "too small", accepted)
    if real > high:
        raise TooLarge(option, value, "too large", accepted)
    return real


def numbers(option: str, value: str, low: float, high: float) -> list[float]:
    """`value` as numbers separated by commas, each from `low` to `high`."""
    return [number(option, part.strip(), low, high, "(separated by commas)") for part in value.split(",")]


def in_home(path: str | Path) -> Path:
    """A path in which `~` and `~name` at the beginning stand for a home, as in a shell; unchanged where no such home is
    known.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def path_of(option: str, text: str | Path) -> Path:
    """The path that a user gives; BadInput if there is none, or it lies in a home that is not known."""
    if not str(text).strip():
        raise BadInput(option, repr(text), "empty", "a path")
    path = in_home(text)
    if path.parts and path.parts[0].startswith("~"):
        problem = f"no home folder is known for {path.parts[0]}"
        raise BadInput(option, text, problem, "a path from / or from here on")
    return path


def read_bytes(option: str, path: Path, accepted: str) -> bytes:
    """The content of a user's file; BadInput if there is none or it is too large."""
    path = in_home(path)
    try:
        if not path.is_file():
            raise BadInput(option, path, "not a file" if path.exists() else "there is no such file", accepted)
        if path.stat().st_size > LARGEST_FILE:
            raise BadInput(option, path, f"larger than {LARGEST_FILE // 10**6} MB", accepted)
        return path.read_bytes()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise BadInput(option, path, f"cannot be read ({reason})", accepted) from None


def check_writable(option: str, folder: Path) -> None:
    """Raise BadInput if nothing can be written to `folder`; leaves nothing behind."""
    accepted = "a folder that exists or can be made, and be written to"
    try:
        existing = folder
        while not existing.exists() and existing != existing.parent:
            existing = existing.parent
        if not existing.is_dir():
            raise BadInput(option, folder, f"{existing} is not a folder", accepted)
        with tempfile.TemporaryDirectory(prefix=".", dir=existing):  # hidden: it is none of the runs
            pass
        if max(len(os.fsencode(part)) for part in folder.absolute().parts) > LONGEST_NAME:
            raise BadInput(option, folder, "a name in it is too long", accepted)
    except OSError as error:
        raise BadInput(option, folder, f"cannot be written ({error.strerror})", accepted) from None


def first_line(error: BaseException) -> str:
    """The first line of what an error says; nothing if it says nothing."""
    return next(iter(str(error).splitlines()), "")


def reason_of(error: BaseException) -> str:
    """What an error says, in a line: the name of its class if it says nothing."""
    return first_line(error) or type(error).__name__


def printable(text: str) -> str:
    """A text on one line, as a terminal and a file of UTF-8 can have it: what cannot be printed, as controls and bytes
    of a file's name that are no UTF-8, is written as Python escapes it.
    """
    return text if text.isprintable() else "".join(map(_printable, text))


def _printable(character: str) -> str:
    if character.isprintable():
        return character
    if "\udc80" <= character <= "\udcff":  # how Python holds such a byte
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()


def content_hash(content: bytes) -> str:
    """8 hex digits that tell contents apart."""
    return hashlib.sha256(content).hexdigest()[:8]


_MOST_CHARACTERS = 60


def shown(value: object) -> str:
    """A value from a file about as it stands there, not too long for a message."""
    try:
        plain = isinstance(value, str | bool | list | dict)
        text = json.dumps(value, ensure_ascii=False, default=str) if plain else str(value)
    except ValueError:  # Python does not write out an integer of thousands of digits
        return "a number of thousands of digits"
    return text if len(text) <= _MOST_CHARACTERS else text[:_MOST_CHARACTERS] + "…"


def natural(name: str) -> tuple[list[object], str]:
    """By what names are ordered, so that worker-2 is before worker-10. Numbers may have any number of digits."""
    parts: list[object] = re.split("([0-9]+)", name)
    digits = [str(part).lstrip("0") for part in parts[1::2]]
    parts[1::2] = [(len(number), number) for number in digits]
    return parts, name
