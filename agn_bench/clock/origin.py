"""Where the values of a profile come from, a TOML file and settings over it, so that complaints can say where."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agn_bench.base.inputs import BadInput, choose, shown
from agn_bench.base.named import Named, NotAccepted, numbers_in
from agn_bench.base.quantities import declared_numbers
from agn_bench.base.toml_places import Places
from agn_bench.clock.distributions import DISTRIBUTIONS
from agn_bench.clock.profile import BESIDE, TABLES
from agn_bench.clock.recorded import COLUMNS
from agn_bench.clock.speeds import SPEEDS


@dataclass
class Origin:
    """A parsed profile, and where each of its values came from: for complaints."""

    file: str
    places: Places
    tables: dict[str, Any]

    def __post_init__(self) -> None:
        self._settings: dict[tuple[str, str | None], str] = {}
        self._short: list[str] = []
        self._own = frozenset(self.tables)

    def has(self, table: str) -> bool:
        """Whether the file has the table, whatever was set."""
        return table in self._own

    def set(self, setting: str) -> None:
        """Set one value, as in `server.mean=0.2`; of a new distribution, keep the numbers that it has too."""
        matched = re.fullmatch(r"\s*(\w+)\.(\w+)\s*=\s*(.+?)\s*", setting)
        if not matched:
            raise BadInput("delay", setting, "not TABLE.KEY=VALUE", "as in server.mean=0.2 or step.distribution=gamma")
        table, key, text = matched.groups()
        try:
            choose("delay", table, TABLES)
        except BadInput as error:
            raise BadInput("delay", setting, error.problem, error.accepted) from None
        content = self.tables.setdefault(table, {})
        if not isinstance(content, dict):
            raise self.refuse(table, None, f"{table} = {shown(content)}", "not a table", f"[{table}]")
        content[key] = value = setting_value(text)
        self._settings[table, key] = setting.strip()
        kinds: dict[str, Named[Any]] = {"distribution": DISTRIBUTIONS, "speeds": SPEEDS}
        named = kinds.get(key)
        is_a_path = key == "file" or (named is not None and named.is_in_a_file(value))
        self._short.append(f"{table}.{key}={Path(str(value)).name if is_a_path else text}")
        if named is not None and isinstance(value, str):
            self._take(named, table, key, value, setting)

    def _take(self, named: Named[Any], table: str, key: str, text: str, setting: str) -> None:
        """Give a table another kind of thing: keep those of its numbers that the kind has, and set those that follow
        the name. What is not known is left for whoever reads the table to refuse.
        """
        called, numbers = named.split(text)
        if not (called in named or called in named.installed() or named.is_in_a_file(called)):
            return
        _, kind = named.kind(called, "delay")
        declared = declared_numbers(kind)
        kept = {*declared, "distribution", "speeds", "start_interval", *BESIDE.get(table, ())}
        kept |= {"file", *COLUMNS[kind]} if kind in COLUMNS else set()
        content = {name: value for name, value in self.tables[table].items() if name in kept}
        try:
            given = numbers_in(numbers, called.rpartition(":")[2], declared)
        except NotAccepted as wrong:
            raise BadInput("delay", setting, wrong.problem, wrong.accepted) from None
        for number, value in given.items():
            content[number] = list(value) if isinstance(value, tuple) else value
            self._settings[table, number] = setting.strip()
        self.tables[table] = {**content, key: called}

    def was_set(self, table: str, key: str) -> bool:
        """Whether a setting gave the value, and not the file."""
        return (table, key) in self._settings

    @property
    def settings(self) -> list[str]:
        """What was set, each `table.key=value`, without paths."""
        return self._short

    def refuse(
        self, table: str, key: str | None, what: str, problem: str, accepted: str, others: Collection[str] = ()
    ) -> BadInput:
        """A complaint about a value, or about a table if `key` is None.

        Args:
            what: the value, or what is missing, as it is shown.
            others: further keys of the table whose values may be to blame.
        """
        for candidate in (key, *others):
            if (table, candidate) in self._settings:
                about = "" if candidate == key else f"{what} is "
                return BadInput("delay", self._settings[table, str(candidate)], about + problem, accepted)
        line = self.places.line(table) if key is None else self.places.line(table, key)
        where = f"{self.file}, line {line}" if line else self.file
        return BadInput("delays", f"{where}, {what}", problem, accepted)


def setting_value(text: str) -> Any:
    """A value of a setting: TOML, or a word without its quotes."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        return text
