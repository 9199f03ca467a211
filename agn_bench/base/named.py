"""Things that a user chooses by name: shipped, installed by another package, or in a file of the user's own.

    agn                     a name, every number at its default
    easgd:alpha=0.1         with numbers of its own, each after a colon
    my.py:Mine:beta=2       a class in a user's file
    my.npz                  a user's file of data, of a kind of thing that is read from such

A kind of thing is one `Named`. A class declares its numbers once, as fields (see quantities.py), and what is accepted,
what is in a run's name, what lists and completion show follows from there.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Generic, TypeVar

from agn_bench.base.chosen import USERS, Chosen, FromFile, InFile, found_at, let_pickle, text_of
from agn_bench.base.inputs import BadInput, NeverAccepted, choose, shown
from agn_bench.base.quantities import Number, declared_numbers
from agn_bench.base.user_code import BadUserFile, python_says, read_source, source_of

T = TypeVar("T")

_IN_A_FILE = re.compile(r"(?P<file>.*\.py)(?::(?P<name>[^:=]*))?(?P<numbers>(?::.*)?)", flags=re.DOTALL)


class Named(Mapping[str, Any], Generic[T]):
    """One kind of thing that a user chooses by name.

    Args:
        option: that chooses it, as messages name it.
        base: what things of the kind are instances of. Its functions say how those of a user's class are called.
        group: of the entry points by which other packages add to it.
        shipped: by name the class as `module:attribute`, or the class or the thing itself.
        decorator: that makes such a class, as messages name it.
        readers: by the ending of a file of data, as in `.npz`, the class as `module:attribute` whose
            `of_file(option, text, path)` says what is in it, with the file's `content_hash`.
    """

    def __init__(
        self,
        option: str,
        base: type[T],
        group: str,
        shipped: dict[str, Any],
        decorator: str,
        readers: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.option, self.base, self.group, self.shipped, self.decorator = option, base, group, shipped, decorator
        self.readers = readers
        endings = "|".join(map(re.escape, readers))
        self._data_file = re.compile(rf"(?P<file>.*(?P<ending>{endings}))(?P<numbers>(?::[^/\\]*)?)", flags=re.DOTALL)

    def __iter__(self) -> Iterator[str]:
        return iter(self.shipped)

    def __len__(self) -> int:
        return len(self.shipped)

    def __contains__(self, name: object) -> bool:
        return name in self.shipped

    def __getitem__(self, name: str) -> Any:
        """The class, or the thing, that is shipped under a name: as a mapping it holds those."""
        return found_at(self.option, name, self.shipped[name])

    @property
    def what(self) -> str:
        return self.option.replace("_", " ")

    def installed(self) -> dict[str, str]:
        """What other packages add, by name: `module:attribute`."""
        return {name: home for name, home in added_to(self.group).items() if name not in self.shipped}

    def names(self) -> list[str]:
        """All that can be chosen but for what is in a user's file."""
        return [*self.shipped, *self.installed()]

    def is_in_a_file(self, text: object) -> bool:
        """Whether a text names a user's file."""
        if not isinstance(text, str):
            return False
        return (".py" in text and _IN_A_FILE.fullmatch(text) is not None) or self._in_data_file(text) is not None

    def file_of(self, name: str) -> str:
        """The user's file that a thing of this name was in, as it may have been called, such as `my.py:Mine` of
        `my-1a2b3c4d:Mine`; nothing if the name is of no user's file.
        """
        stem, colon, what = name.partition(":")
        if stem in self.names():
            return ""
        if self.readers and (of_data := re.fullmatch("(.*)-[0-9a-f]{8}", name, flags=re.DOTALL)):
            return " or ".join(f"{of_data[1]}{ending}" for ending in self.readers)
        return f"{re.sub('-[0-9a-f]{8}$', '', stem)}.py:{what}" if colon else ""

    def kind(self, text: str, option: str = "") -> tuple[str, type[T]]:
        """The name and the class of what a text names without numbers.

        Raises:
            BadInput: there is none, or it cannot be used.
        """
        name, home, _ = self._find(option or self.option, text)
        found = found_at(option or self.option, text, home)
        if isinstance(home, InFile) or name not in self.shipped:
            self._check(option or self.option, text, found)
        if isinstance(home, InFile):
            let_pickle(found, home)
        return name, found

    def found(self, name: str) -> Any:
        """The class, or the thing, of a name that is shipped or installed."""
        return found_at(self.option, name, self.shipped.get(name) or self.installed()[name])

    def has(self, text: str) -> bool:
        """Whether a user's file holds a thing of this kind under the name that a text says."""
        _, home, _ = self._find("WHAT", self.split(text)[0])
        return self._is_one(found_at("WHAT", text, home))

    def split(self, text: str) -> tuple[str, str]:
        """What a text names, without numbers; and the numbers, as in `a=1:b=2`."""
        matched = _IN_A_FILE.fullmatch(text) if ".py" in text else None
        if matched is None and (data := self._in_data_file(text)) is not None:
            return data["file"], data["numbers"][1:]
        if matched is None:
            name, _, numbers = text.partition(":")
            return name, numbers
        return f"{matched['file']}:{matched['name'] or ''}".rstrip(":"), matched["numbers"][1:]

    def choose(self, given: object, option: str = "") -> Chosen[T]:
        """What a text as in the module's first lines names, its numbers checked.

        Args:
            option: that gave it, if it is another one.

        Raises:
            BadInput: there is no such thing, it cannot be loaded, or a number is not accepted.
        """
        option = option or self.option
        if isinstance(given, Chosen):
            return given
        text = given if isinstance(given, str) else shown(given)
        name, home, rest = self._find(option, text)
        found = found_at(option, text, home)
        if isinstance(home, InFile) or (home in self.installed().values() and name not in self.shipped):
            self._check(option, text, found)
        declared = _declared(found)
        label = name.rpartition(":")[2]
        try:
            given = numbers_in(rest, label, declared)
            for number in declared.values():
                if number.required and number.name not in given:
                    raise NotAccepted(f"{number.name} is missing", f"{label}:{number.name}=…, {number.accepted}")
        except NotAccepted as wrong:
            raise NeverAccepted(option, text, wrong.problem, wrong.accepted) from None
        numbers = {number.name: given.get(number.name, number.default) for number in declared.values()}
        if isinstance(found, type) and isinstance(home, InFile):
            let_pickle(found, home)
        chosen = Chosen[T](option, name, tuple(numbers.items()), text_of(name, declared, numbers), home)
        if declared and name not in self.shipped:
            made(option, text, found, numbers)
        return chosen

    def name_of(self, thing: T) -> str:
        """The name by which the class of a thing is chosen."""
        kind = type(thing)
        home = f"{kind.__module__}:{kind.__qualname__}"
        for name, there in self.shipped.items():
            if there is kind or there == home:
                return name
        if kind.__module__ in USERS:
            return home  # a user's module is called by its file's stem and content hash
        return next((name for name, there in self.installed().items() if there == home), home)

    def with_numbers(self, chosen: Chosen[T], numbers: Mapping[str, Any]) -> Chosen[T]:
        """The same with other numbers, which were checked."""
        found = found_at(chosen.option, chosen.spelled, chosen.home)
        values = {**dict(chosen.numbers), **numbers}
        return Chosen(
            chosen.option,
            chosen.name,
            tuple(values.items()),
            text_of(chosen.name, declared_numbers(found), values),
            chosen.home,
        )

    def complete(self, begun: str) -> list[str]:
        """Texts that begin so: names, after a name's colon its numbers, and after the = of a choice its words."""
        if ":" not in begun:
            return [name for name in self.names() if name.startswith(begun)]
        whole, _, last = begun.rpartition(":")
        try:
            _, home, _ = self._find(self.option, whole)
            found = found_at(self.option, whole, home)
        except BadInput:
            return []
        declared, taken = _declared(found), whole.split(":")[1:]
        free = [name for name in declared if not any(part.startswith(f"{name}=") for part in taken)]
        name, equals, word = last.partition("=")
        if equals:
            words = declared[name].accepted.words if name in free else ()
            return [f"{whole}:{name}={one}" for one in words if one.startswith(word)]
        return [f"{whole}:{name}=" for name in free if name.startswith(last)]

    def _find(self, option: str, text: str) -> tuple[str, Any, str]:
        """The name of what a text chooses, where it is, and what follows it."""
        if (data := self._in_data_file(text)) is not None:
            return self._read(option, text, data)
        if self.is_in_a_file(text):
            return self._find_in_file(option, text)
        name, _, rest = text.partition(":")
        if name not in self.shipped:
            installed = self.installed()
            if name in installed:
                return name, installed[name], rest
            try:
                choose(option, name, [*self.shipped, *installed])
            except BadInput as error:
                yours = " or ".join(["my.py:Mine", *(f"my{ending}" for ending in self.readers)])
                accepted = f"{error.accepted}, or yours, as in {yours}"
                raise BadInput(option, text, error.problem, accepted) from None
        return name, self.shipped[name], rest

    def _in_data_file(self, text: str) -> re.Match[str] | None:
        """The path, its ending and the numbers of a text that names a user's file of data."""
        return self._data_file.fullmatch(text) if self.readers and not _IN_A_FILE.fullmatch(text) else None

    def _read(self, option: str, text: str, named: re.Match[str]) -> tuple[str, Any, str]:
        path = Path(named["file"])
        if not path.stem.isprintable():
            raise BadInput(option, text, "has a name that cannot be printed", f"a file such as my{named['ending']}")
        thing = found_at(option, text, self.readers[named["ending"]]).of_file(option, text, path)
        return f"{path.stem}-{thing.content_hash}", FromFile(path.name, thing), named["numbers"][1:]

    def _find_in_file(self, option: str, text: str) -> tuple[str, Any, str]:
        matched = _IN_A_FILE.fullmatch(text)
        assert matched is not None
        path, attribute = Path(matched["file"]), matched["name"] or ""
        accepted = f"a class in it, as in {path.name}:Mine"
        if not attribute:
            raise BadInput(option, text, "names a file, but nothing in it", accepted)
        source = read_source(option, text, path)
        module = source.module(option, text)
        if not hasattr(module, attribute):
            there = [name for name, value in vars(module).items() if self._is_one(value)]
            problem = f"{path.name} has no {attribute}"
            raise BadInput(option, text, problem, ", ".join(f"{path.name}:{name}" for name in there) or accepted)
        return f"{source.name}:{attribute}", InFile(source, attribute), matched["numbers"][1:]

    def _is_one(self, value: object) -> bool:
        if isinstance(value, type):
            return issubclass(value, self.base) and value is not self.base
        return isinstance(value, self.base)

    def _check(self, option: str, text: str, found: Any) -> None:
        """Raise BadInput if somebody else's class cannot be used."""
        if not self._is_one(found):
            accepted = f"a class derived from {self.base.__name__}, under {self.decorator}"
            raise BadInput(option, text, f"{_name(found)} is no {self.what}", accepted)
        if not isinstance(found, type):
            return
        if "__dataclass_fields__" not in vars(found):
            problem = f"{found.__name__} is not under {self.decorator}"
            raise BadInput(option, text, problem, f"a class with {self.decorator} in the line above it")
        for one in fields(found):
            if "accepted" not in one.metadata:
                problem = f"its field {one.name} does not say what it takes"
                accepted = f"{one.name}: float = quantity(low, high, default=…, help=…), or a choice(…) of words"
                raise BadInput(option, text, problem, accepted)
        for number in declared_numbers(found).values():
            values = number.default if number.accepted.several else [number.default]
            problems = [] if number.required else [number.accepted.problem(value) for value in values]
            if wrong := "".join(problems):
                raise BadInput(option, text, f"the default of {number.name} is {wrong}", str(number.accepted))
        for function in _functions(self.base):
            _check_signature(option, text, self.base, found, function)


class NotAccepted(Exception):
    """Numbers that follow a name are not accepted: what is wrong, and what is accepted."""

    def __init__(self, problem: str, accepted: str) -> None:
        super().__init__(problem)
        self.problem, self.accepted = problem, accepted


def numbers_in(text: str, label: str, declared: Mapping[str, Number]) -> dict[str, Any]:
    """The numbers that follow a name, as in `a=1:b=2`.

    Args:
        label: the name that they follow.

    Raises:
        NotAccepted: one is not what is declared.
    """
    found: dict[str, Any] = {}
    for part in text.split(":") if text else []:
        key, equals, word = (piece.strip() for piece in part.partition("="))
        if not equals:
            first = next(iter(declared), "name")
            example = next(iter(declared[first].accepted.words if declared else ()), 1)
            accepted = f"numbers after colons, as in {label}:{first}={example}"
            raise NotAccepted(f"{shown(part)} is not NAME=VALUE", accepted)
        if key not in declared:
            raise NotAccepted(f"{label} has no {key}", ", ".join(declared) or f"{label} alone, which has no numbers")
        if key in found:
            raise NotAccepted(f"{key} is given twice", "each number once")
        found[key], problem = declared[key].accepted.of_text(word)
        if problem:
            raise NotAccepted(f"{key} is {problem}", f"{key}, {declared[key].accepted}")
    return found


@cache
def added_to(group: str) -> dict[str, str]:
    """The entry points of a group, looked for once: they do not change while the program runs."""
    from importlib.metadata import entry_points

    return {
        point.name: f"{point.module}:{point.attr}"
        for point in entry_points(group=group)
        if re.fullmatch(r"[A-Za-z0-9][\w.-]*", point.name)  # it begins the names of folders
    }


def made(option: str, text: str, kind: Any, numbers: Mapping[str, Any]) -> Any:
    """An instance with these numbers; BadUserFile if somebody else's class refuses them."""
    try:
        return kind(**numbers)
    except Exception as error:
        problem = f"{kind.__name__} refuses its numbers ({type(error).__name__}: {error})"
        raise BadUserFile(option, text, problem, python_says(error, source_of(kind) or "")) from None


def _declared(found: Any) -> Mapping[str, Number]:
    """The numbers of a class; a thing that is no class has none to choose."""
    return declared_numbers(found) if isinstance(found, type) and is_dataclass(found) else {}


def _name(found: object) -> str:
    return getattr(found, "__name__", None) or shown(found)


def _functions(base: type) -> list[str]:
    return [name for name, value in vars(base).items() if inspect.isfunction(value) and not name.startswith("_")]


def _check_signature(option: str, text: str, base: type, found: type, function: str) -> None:
    own = getattr(found, function)
    if getattr(own, "__isabstractmethod__", False):
        raise BadInput(option, text, f"{found.__name__} has no {function}", _call(base, function))
    arguments = list(inspect.signature(getattr(base, function)).parameters)
    try:
        inspect.signature(own).bind(*arguments)
    except TypeError:
        takes = f"{function}({', '.join(inspect.signature(own).parameters)})"
        problem = f"{found.__name__}.{takes} cannot be called with {', '.join(arguments[1:]) or 'nothing'}"
        raise BadInput(option, text, problem, _call(base, function)) from None


def _call(base: type, function: str) -> str:
    return f"{function}({', '.join(inspect.signature(getattr(base, function)).parameters)})"
