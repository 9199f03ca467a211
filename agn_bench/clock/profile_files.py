"""Profiles read from TOML, the shipped ones and a user's own, with single values set over them, and checked.

Every complaint names the file, the line and the key, or the option that set the value.
"""

from __future__ import annotations

import copy
import json
import math
import re
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import MISSING, replace
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from agn_bench.base.inputs import BadInput, choose, content_hash, in_home, printable, read_bytes, shown
from agn_bench.base.named import Named, NotAccepted, made, numbers_in
from agn_bench.base.quantities import LEAST_SECONDS, MOST_SECONDS, Accepted, OneOf, declared_numbers
from agn_bench.base.toml_places import Places
from agn_bench.base.user_code import BadUserFile, UserCodeError, called, source_of
from agn_bench.base.user_files import parse_toml
from agn_bench.clock.absence_files import read_absences
from agn_bench.clock.absences import Absence
from agn_bench.clock.distributions import DISTRIBUTIONS, Distribution, Moments
from agn_bench.clock.origin import Origin
from agn_bench.clock.profile import (
    BESIDE,
    BYTES_PER_S,
    NOTHING,
    ORDERS,
    PARTS,
    PULLS,
    STALENESS,
    TABLES,
    TIMES_AWAY,
    Bandwidth,
    Collective,
    Going,
    Profile,
)
from agn_bench.clock.recorded import COLUMNS
from agn_bench.clock.speeds import SPEEDS, Equal, Speeds
from agn_bench.clock.times_files import read_times

_TEXTS = ("description", "source")
_LONGEST_NAME = 1000
_SHIPPED = Path(str(resources.files("agn_bench.clock") / "profiles"))
"""The folder of the profiles that come with the program, and of the times that they have recorded."""
_BANDWIDTH = Accepted(*BYTES_PER_S)
_SHARE = Accepted(0, 1)
_CHANNELS = Accepted(1, 100_000, whole=True)
_INTERVAL = Accepted(0, MOST_SECONDS)
_PULL_SHARE = Accepted(0.001, 0.999)
_GROUP = Accepted(1, 1_000_000, whole=True)


def profile_names() -> list[str]:
    """Names of the profiles that come with the program."""
    return sorted(path.stem for path in _SHIPPED.iterdir() if path.suffix == ".toml")


def load_profile(name: str, settings: Sequence[str] = ()) -> Profile:
    """The shipped profile `name`, or that of a TOML file, with `settings` such as `server.mean=0.2` over it.

    A file's profile is called by the file's stem and the hash of its content; settings are part of the name.

    Raises:
        BadInput: there is no such profile or file, or something in it cannot be used.
    """
    if name in profile_names():
        return _parsed(name, settings) if settings else _shipped(name)
    if name.endswith(".toml") or "/" in name or "\\" in name:
        folder = in_home(name).parent
        content = read_bytes("delays", Path(name), "a TOML file, or one of " + ", ".join(profile_names()))
        called = f"{printable(Path(name).stem)}-{content_hash(content)}"
    else:
        choose("delays", name, [*profile_names(), "a TOML file"])
    return parse_profile(called, content, settings, file=name, folder=folder)


@cache
def _shipped(name: str) -> Profile:
    """Read once: an experiment has many cells, and most of them name one of these few."""
    return _parsed(name)


def shipped_tables(name: str) -> dict[str, Any]:
    """What the TOML file of a shipped profile says, without the times that are in another file."""
    return parse_toml("delays", name, (_SHIPPED / f"{name}.toml").read_bytes(), "TOML")[1]


def _parsed(name: str, settings: Sequence[str] = ()) -> Profile:
    return parse_profile(name, (_SHIPPED / f"{name}.toml").read_bytes(), settings, folder=_SHIPPED)


def parse_profile(
    name: str, content: bytes, settings: Sequence[str] = (), *, file: str = "", folder: Path | None = None
) -> Profile:
    """A profile from the content of a TOML file.

    Args:
        settings: single values set over it, each `table.key=value`.
        file: what complaints call the file; its name if not given.
        folder: from which the paths of the files count that times are read from.

    Raises:
        BadInput: with the file, the line and the key of what cannot be used.
    """
    accepted = "a TOML file with the tables " + ", ".join(TABLES)
    origin = Origin(file or name, *parse_toml("delays", file or name, content, accepted))
    return _profile(name, origin, settings, folder or Path())


def profile_of(table: Mapping[str, Any], settings: Sequence[str] = ()) -> Profile:
    """The profile that `Profile.as_dict` describes, with `settings` over it.

    Raises:
        BadInput: it is none, or its times come from a file, which it does not hold.
    """
    name = table.get("name")
    if not isinstance(name, str) or not name.strip() or not name.isprintable() or len(name) > _LONGEST_NAME:
        raise BadInput("delays", shown(name), "not a profile's name", f"a line of up to {_LONGEST_NAME} characters")
    shipped, *over = re.split(r"\+(?=\w+\.\w+=)", name)
    if shipped in profile_names():
        with suppress(BadInput):
            if (known := load_profile(shipped, over)).as_dict() == table:
                return load_profile(shipped, [*over, *settings]) if settings else known
    tables = copy.deepcopy({key: value for key, value in table.items() if key != "name"})
    for name_of_part, part in tables.items():
        if isinstance(part, dict) and (part.get("distribution") in _from_files() or name_of_part == "absences"):
            problem = f"drawn from a file, {shown(part.get('file'))}, that is not in it"
            raise BadInput("delays", name, problem, "the profile's own file, given by `delays`")
    return _profile(name, Origin(name, Places(""), tables), settings, Path())


def _from_files() -> list[str]:
    """The distributions whose times are in a file."""
    return [name for name in DISTRIBUTIONS if DISTRIBUTIONS[name] in COLUMNS]


def _profile(name: str, origin: Origin, settings: Sequence[str], folder: Path) -> Profile:
    # What kind a thing is comes before its numbers, in whatever order they are given.
    for setting in sorted(settings, key=lambda text: not re.search(r"\.\s*(distribution|speeds)\s*=", text)):
        origin.set(setting)
    profile = _Reader(origin, folder).profile("+".join([name, *origin.settings]))
    words = ["--delays", Path(origin.file).name]
    words += [word for setting in origin.settings for word in ("--delay", setting)]
    return replace(profile, options=tuple(words))


def as_toml(profile: Profile) -> str:
    """The content of a TOML file that gives `profile`."""

    def value(content: object) -> str:
        # JSON is TOML but for these two.
        return json.dumps(content, ensure_ascii=False).replace("\x7f", "\\u007f")

    lines = [f"{key} = {value(getattr(profile, key))}" for key in _TEXTS if getattr(profile, key)]
    for part, table in profile.as_dict().items():
        if isinstance(table, dict):
            lines += ["", f"[{part}]", *(f"{key} = {value(content)}" for key, content in table.items())]
    return "\n".join(lines).strip() + "\n"


class _Reader:
    """Turns the tables of an origin into a profile."""

    def __init__(self, origin: Origin, folder: Path) -> None:
        self._origin = origin
        self._tables = origin.tables
        self._folder = folder

    def profile(self, name: str) -> Profile:
        for key, content in self._tables.items():
            self._choose("", key, key, (*_TEXTS, *TABLES))
            expected = (str, "a text") if key in _TEXTS else (dict, f"a table, [{key}]")
            if not isinstance(content, expected[0]):
                raise self._origin.refuse(key, None, f"{key} = {shown(content)}", "of the wrong kind", expected[1])
        if "step" not in self._tables:
            accepted = "[step] with the distribution of the seconds a mini-batch takes"
            raise self._origin.refuse("step", None, "[step]", "missing", accepted)
        step = self._distribution("step")
        if step.moments().mean < LEAST_SECONDS:
            key = next((key for key in ("mean", "file") if key in self._tables["step"]), "distribution")
            what = f"step.{key} = {shown(self._tables['step'][key])}"
            raise self._origin.refuse(
                "step",
                key,
                what,
                "takes no time",
                f"steps of at least {LEAST_SECONDS:g} s on average",
                ("file", "column", "unit"),
            )
        order = self._word("server", "order", ORDERS)
        share = self._number("server", "fifo_share", _SHARE, 0.0)
        if share and order == "fifo":
            accepted = 'fifo_share with order = "random" only'
            what = f"server.fifo_share = {share}"
            raise self._origin.refuse("server", "fifo_share", what, "of no use", accepted, ("order",))
        pull = self._word("server", "pull", PULLS)
        pull_share = self._number("server", "pull_share", _PULL_SHARE, 0.5)
        if pull == "answer" and "pull_share" in self._tables.get("server", {}):
            what = f"server.pull_share = {pull_share}"
            raise self._origin.refuse(
                "server", "pull_share", what, "of no use", 'with pull = "separate" only', ("pull",)
            )
        return Profile(
            name,
            step=step,
            up=self._distribution("up"),
            down=self._distribution("down"),
            server=self._distribution("server"),
            order=order,
            fifo_share=share,
            channels=self._number("server", "channels", _CHANNELS, 1),
            bandwidth=Bandwidth(*(self._number(part, "bandwidth", _BANDWIDTH, math.inf) for part in PARTS[1:])),
            speeds=self._speeds(),
            start_interval=self._number("workers", "start_interval", _INTERVAL, 0.0),
            collective=self._collective(),
            pull=pull,
            pull_share=pull_share,
            staleness=self._word("server", "staleness", STALENESS),
            going=self._going(),
            description=self._tables.get("description", ""),
            source=self._tables.get("source", ""),
        )

    def _going(self) -> Going | None:
        """How workers go away, if any table says so."""
        if not any(part in self._tables for part in (*TIMES_AWAY, "absences")):
            return None
        parts: dict[str, Any] = {part: self._distribution(part) for part in TIMES_AWAY if part in self._tables}
        for length in ("pause", "failure"):
            between = f"between_{length}s"
            if (length in parts) != (between in parts):
                there, missing = (length, between) if length in parts else (between, length)
                accepted = f"both [{between}], the seconds until the next {length}, and [{length}], those that it lasts"
                raise self._origin.refuse(there, None, f"[{missing}]", "missing", accepted)
            if length in parts and parts[length].moments().mean + parts[between].moments().mean < LEAST_SECONDS:
                accepted = f"{between} and {length} that together last at least {LEAST_SECONDS:g} s on average"
                raise self._origin.refuse(length, None, f"[{length}]", "takes no time", accepted)
        file, recorded = self._recorded_absences() if "absences" in self._tables else ("", ())
        groups = {f"{part}_group": self._number(part, "group", _GROUP, 1) for part in ("pause", "failure")}
        return Going(**parts, **groups, file=file, recorded=recorded)

    def _recorded_absences(self) -> tuple[str, tuple[tuple[Absence, ...], ...]]:
        """The name of a list of absences, and what it says of each worker."""
        self._known("absences", ("file",))
        given = self._tables["absences"].get("file")
        accepted = "a CSV file, one row an absence, with worker, from_s, until_s, kind (see docs/files.md)"
        if not isinstance(given, str):
            problem = "missing" if given is None else "not a text"
            key = None if given is None else "file"
            raise self._origin.refuse("absences", key, f"absences.file = {shown(given)}", problem, accepted)
        try:
            return read_absences(self._folder_of("absences") / in_home(given), accepted)
        except BadInput as error:
            what, problem = f"absences.file = {shown(given)}", f"{error.value}: {error.problem}"
            raise self._origin.refuse("absences", "file", what, problem, error.accepted) from None

    def _word(self, part: str, key: str, known: tuple[str, ...]) -> str:
        """A word that a table has under `key`, by default the first of those it may be."""
        return self._choose(part, key, self._tables.get(part, {}).get(key, known[0]), known)

    def _distribution(self, part: str) -> Distribution:
        table, beside = self._tables.get(part, {}), BESIDE.get(part, ())
        if part in PARTS[1:] and not set(table) - set(beside):
            return NOTHING
        kind = self._kind(part, "distribution", DISTRIBUTIONS)
        if kind in COLUMNS:
            self._known(part, ("distribution", "file", *COLUMNS[kind], *declared_numbers(kind), *beside))
            return read_times(kind, part, self._origin, self._folder_of(part), self._numbers(part, kind))
        self._known(part, ("distribution", *declared_numbers(kind), *beside))
        distribution: Distribution = self._filled(part, kind)
        if source_of(kind) is not None:
            _check_moments(distribution)
        self._consistent(part, distribution)
        return distribution

    def _speeds(self) -> Speeds:
        if "speeds" not in self._tables.get("workers", {}):
            self._known("workers", ("speeds", "start_interval"))
            return Equal()
        kind = self._kind("workers", "speeds", SPEEDS)
        self._known("workers", ("speeds", "start_interval", *declared_numbers(kind)))
        speeds: Speeds = self._filled("workers", kind)
        several = [number.name for number in declared_numbers(kind).values() if number.accepted.several]
        lists = {name: len(getattr(speeds, name)) for name in several}
        if len(set(lists.values())) > 1 and source_of(kind) is None:
            last = list(lists)[-1]
            what = f"workers.{last} with {lists[last]} numbers"
            raise self._origin.refuse("workers", last, what, "not one each", f"as many {' as '.join(lists)}", lists)
        return speeds

    def _collective(self) -> Collective | None:
        if "collective" not in self._tables:
            return None
        self._known("collective", declared_numbers(Collective))
        return self._filled("collective", Collective)

    def _filled(self, part: str, kind: type) -> Any:
        """A dataclass with the numbers that the table gives."""
        return made("delays", f"{self._origin.file}, [{part}]", kind, self._numbers(part, kind))

    def _numbers(self, part: str, kind: type) -> dict[str, Any]:
        """What the table gives of the numbers that a class declares, and the defaults of the others."""
        return {
            number.name: self._number(part, number.name, number.accepted, number.default)
            for number in declared_numbers(kind).values()
        }

    def _folder_of(self, part: str) -> Path:
        """From which a table's file counts: the profile's, but of one that is set over a shipped profile the user's."""
        return Path() if self._folder == _SHIPPED and self._origin.was_set(part, "file") else self._folder

    def _consistent(self, part: str, distribution: Distribution) -> None:
        """See that two numbers of a shipped distribution go together."""
        if source_of(type(distribution)) is not None:
            return
        name = DISTRIBUTIONS.name_of(distribution)
        floor, mean, cap = (getattr(distribution, key, None) for key in ("floor", "mean", "cap"))
        if floor is not None and mean is not None and floor > mean:
            accepted = f"{name} with a floor up to the mean, {mean}"
            raise self._origin.refuse(part, "floor", f"{part}.floor = {floor}", "above the mean", accepted, ("mean",))
        if cap is not None and floor is not None and cap < floor:
            accepted = f"{name} with a cap from the floor, {floor}"
            raise self._origin.refuse(part, "cap", f"{part}.cap = {cap}", "below the floor", accepted, ("floor",))

    def _number(self, part: str, key: str, accepted: Accepted | OneOf, default: Any) -> Any:
        """The number, the tuple of numbers or the word that a table has under `key`; `default` if it has none."""
        table = self._tables.get(part, {})
        says = accepted.one
        if key not in table:
            if default is MISSING:
                says = f"a list of such: {says}" if accepted.several else says
                raise self._origin.refuse(part, None, f"{part}.{key}", "missing", says, ("distribution", "speeds"))
            return default
        value = table[key]
        if accepted.several:
            says = f"a list, each {says}"
            if not isinstance(value, list) or not value:
                raise self._origin.refuse(part, key, f"{part}.{key} = {shown(value)}", "not a list of numbers", says)
        for item in value if accepted.several else [value]:
            problem = accepted.problem(item)
            if problem:
                raise self._origin.refuse(part, key, f"{part}.{key} = {shown(item)}", problem, says)
        return accepted.normal(value)

    def _kind(self, part: str, key: str, named: Named[Any]) -> type:
        """The class that a table names, with the numbers that follow its name put into the table."""
        self._require(part, key, named)
        table = self._tables[part]
        text = table[key]
        if not isinstance(text, str):
            self._choose(part, key, text, named)
        chosen, rest = named.split(text)
        folder = Path() if self._origin.was_set(part, key) or not named.is_in_a_file(text) else self._folder
        try:
            name, kind = named.kind(str(folder / in_home(chosen)), "delays")
            for number, value in numbers_in(rest, name.rpartition(":")[2], declared_numbers(kind)).items():
                if number in table:
                    raise NotAccepted(f"{number} is given twice", "each number once")
                table[number] = list(value) if isinstance(value, tuple) else value
        except BadUserFile:
            raise
        except (BadInput, NotAccepted) as error:
            what = f"{part}.{key} = {shown(table[key])}"
            raise self._origin.refuse(part, key, what, error.problem, error.accepted) from None
        table[key] = chosen
        return kind

    def _require(self, part: str, key: str, known: Collection[str]) -> None:
        if key not in self._tables.get(part, {}):
            # In a table that is all settings, any of them lacks the kind of thing it is a number of.
            others = () if self._origin.has(part) else tuple(self._tables.get(part, {}))
            raise self._origin.refuse(part, None, f"{part}.{key}", "missing", ", ".join(known), others)

    def _known(self, part: str, keys: Collection[str]) -> None:
        for key in self._tables.get(part, {}):
            self._choose(part, key, key, keys)

    def _choose(self, part: str, key: str, value: object, known: Collection[str]) -> str:
        """`value`, or `key` itself, if it is known."""
        try:
            return choose("delays", value if isinstance(value, str) else shown(value), known)
        except BadInput as error:
            path = f"{part}.{key}" if part else key
            what = path if value is key else f"{path} = {shown(value)}"
            table, inside = (part, key) if part else (key, None)
            raise self._origin.refuse(table, inside, what, error.problem, error.accepted) from None


def _check_moments(distribution: Distribution) -> None:
    """Raise UserCodeError if somebody else's class does not say its mean and variance."""
    kind = type(distribution)
    with called(kind, f"{kind.__name__}.moments()"):
        mean, variance = map(float, found := distribution.moments())
    if not isinstance(found, Moments) or not (math.isfinite(mean) and mean >= 0 and variance >= 0):
        raise UserCodeError(f"{kind.__name__}.moments() gave {found}, not Moments(mean, variance) of times")
