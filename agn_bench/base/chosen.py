"""What was chosen by name (see named.py): where its code is, and its numbers."""

from __future__ import annotations

import copyreg
import importlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property, reduce
from typing import Any, Generic, NamedTuple, TypeVar, cast

from agn_bench.base.quantities import Number
from agn_bench.base.user_code import BadUserFile, Source, python_says

T = TypeVar("T")


class InFile(NamedTuple):
    """A class in a user's file."""

    source: Source
    attribute: str


class FromFile(NamedTuple):
    """What was read from a user's file of data."""

    file: str
    """Its name, without the folder."""
    thing: Any


@dataclass(frozen=True)
class Chosen(Generic[T]):
    """What was chosen by name. It holds where the code is and not the code, so that it can be sent to other processes;
    a user's file goes with it.
    """

    option: str
    name: str
    """As in `easgd`; of a user's file its stem and content hash, as in `my-1a2b3c4d:Mine`, or of data `my-1a2b3c4d`."""
    numbers: tuple[tuple[str, Any], ...]
    text: str
    """Name and numbers: by this it is told apart from all others."""
    home: str | InFile | FromFile | Any = field(compare=False)
    """`module:attribute`, a class in a user's file, what was read from one, or the very thing."""

    def __str__(self) -> str:
        return self.label

    def __reduce__(self) -> tuple[type[Chosen[T]], tuple[Any, ...]]:
        return type(self), (self.option, self.name, self.numbers, self.text, self.home)

    @property
    def label(self) -> str:
        """The name without the file that it is in."""
        return self.name.rpartition(":")[2]

    @property
    def spelled_name(self) -> str:
        """The name as on a command line, without a path."""
        if isinstance(self.home, InFile):
            return f"{self.home.source.file}:{self.label}"
        if isinstance(self.home, FromFile):
            return self.home.file
        return self.name

    @property
    def spelled(self) -> str:
        """As on a command line, without a path."""
        return self.spelled_name + self.text.removeprefix(self.name)

    @property
    def program(self) -> tuple[str, ...]:
        """What of it is compiled: the name, whole numbers and words; changing others compiles nothing."""
        return self.name, *(f"{name}={value}" for name, value in self.numbers if isinstance(value, int | str))

    def number(self, name: str) -> Any:
        """One of its numbers; None if it has none of that name."""
        return dict(self.numbers).get(name)

    @cached_property
    def thing(self) -> T:
        found = found_at(self.option, self.spelled, self.home)
        return cast(T, found(**dict(self.numbers)) if isinstance(found, type) else found)


def found_at(option: str, value: object, home: str | InFile | FromFile | Any) -> Any:
    """The class or the thing that is there; BadInput if it cannot be loaded."""
    if isinstance(home, InFile):
        return getattr(home.source.module(option, value), home.attribute)
    if isinstance(home, FromFile):
        return home.thing
    if not isinstance(home, str):
        return home
    module, _, attribute = home.partition(":")
    try:
        return reduce(getattr, attribute.split("."), importlib.import_module(module))
    except Exception as error:
        if module.split(".")[0] == "agn_bench":
            raise
        problem = f"its package cannot be loaded ({type(error).__name__}: {error})"
        raise BadUserFile(option, value, problem, python_says(error, "")) from None


USERS: set[str] = set()
"""Modules of users' files."""


def let_pickle(kind: type, home: InFile) -> None:
    """Let instances of a user's class be sent to other processes: as its file and their numbers."""
    if kind.__module__ != home.source.name:
        return  # of somewhere else: the file only imports it
    USERS.add(kind.__module__)

    def reduced(instance: Any) -> tuple[Any, ...]:
        return _made_again, (home, {one.name: getattr(instance, one.name) for one in fields(instance)})

    copyreg.pickle(kind, reduced)


def _made_again(home: InFile, values: dict[str, Any]) -> Any:
    kind = found_at("", home.source.file, home)
    let_pickle(kind, home)
    return kind(**values)


def text_of(name: str, declared: Mapping[str, Number], values: Mapping[str, Any]) -> str:
    """Name and numbers, but for those that came later and have their default."""
    kept = {key: value for key, value in values.items() if not (declared[key].later and value == declared[key].default)}
    return ":".join([name, *(f"{key}={_word(value)}" for key, value in kept.items())])


def _word(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def packages(things: Iterable[Any]) -> dict[str, str]:
    """The versions of the packages that the classes of some things are from, by package; none of what is shipped or in
    a file.
    """
    from importlib.metadata import distributions

    homes = {f"{type(thing).__module__}:{type(thing).__qualname__}" for thing in things}
    homes = {home for home in homes if not home.startswith("agn_bench.") and home.partition(":")[0] not in USERS}
    return {
        package.name: package.version
        for package in (distributions() if homes else ())
        if any(
            point.group.startswith("agn_bench.") and f"{point.module}:{point.attr}" in homes
            for point in package.entry_points
        )
    }
