"""Where the values of a profile come from, a TOML file and settings over it, so that complaints can say where."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, fields
from typing import Any

from agn_bench.delays.distributions import DISTRIBUTIONS
from agn_bench.delays.profile import BESIDE, TABLES
from agn_bench.delays.speeds import SPEEDS
from agn_bench.inputs import BadInput, choose


@dataclass
class Origin:
    """A parsed profile, and where each of its values came from: for complaints."""

    file: str
    text: str
    tables: dict[str, Any]

    def __post_init__(self) -> None:
        self._settings: dict[tuple[str, str], str] = {}

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
            raise self.refuse(table, None, f"{table} = {content}", "not a table", f"[{table}]")
        content[key] = _value(text)
        self._settings[table, key] = setting.strip()
        kind = DISTRIBUTIONS.get(text) if key == "distribution" else SPEEDS.get(text) if key == "speeds" else None
        if kind is not None:
            kept = {field.name for field in fields(kind)} | {"distribution", "speeds", "start_interval"}
            kept |= set(BESIDE.get(table, ()))
            self.tables[table] = {name: value for name, value in content.items() if name in kept}

    def refuse(self, table: str, key: str | None, shown: str, problem: str, accepted: str) -> BadInput:
        """A complaint about a value, or about a table if `key` is None."""
        if (table, key) in self._settings:
            return BadInput("delay", self._settings[table, str(key)], problem, accepted)
        line = self._line(table, key)
        where = f"{self.file}, line {line}" if line else self.file
        return BadInput("delays", f"{where}, {shown}", problem, accepted)

    def _line(self, table: str, key: str | None) -> int | None:
        """The line of a key, or of its table."""
        inside, found = "", None
        for number, line in enumerate(self.text.splitlines(), start=1):
            stripped = line.strip()
            if heading := re.match(r"\[\s*\"?([\w-]+)\"?\s*\]", stripped):
                inside = heading[1]
                if inside == table:
                    found = number
            if re.match(rf"\"?{re.escape(table)}\"?\s*[=.]", stripped) and not inside:
                found = number
                if key is not None and re.search(rf"\b{re.escape(key)}\b", stripped):
                    return number
            if key is not None and inside == table and re.match(rf"\"?{re.escape(key)}\"?\s*=", stripped):
                return number
        return found


def _value(text: str) -> Any:
    """A value of a setting: TOML, or a word without its quotes."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        return text
