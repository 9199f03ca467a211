"""Experiment files: the runs of a table or a figure, as options of `run` in TOML.

    name = "agn-vs-others"
    seeds = [0, 1, 2]
    [base]                      # options of all cells
    preset = "paper"
    [[cells]]                   # a list multiplies out; a cell beats the base, the base beats the preset
    optimizer = ["easgd", "dynsgd"]
    local_steps = [10, 30]
    [sizes.quick]               # the same at another size: a base that beats the file's, other seeds, other cells
    base = { preset = "quick" }

All that is wrong with a file is said at once, each with its line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from math import prod
from pathlib import Path
from typing import Any

from agn_bench.base.inputs import (
    BadFile,
    BadInput,
    NeverAccepted,
    choose,
    in_home,
    read_bytes,
    shown,
    spelled,
    whole_number,
)
from agn_bench.base.toml_places import Places
from agn_bench.base.user_files import parse_toml
from agn_bench.config.options import MAX_SEED, OPTIONS, Kind
from agn_bench.config.resolving import resolve
from agn_bench.config.run import RunConfig

MOST_RUNS = 10_000
_KEYS = ("name", "description", "seeds", "base", "cells", "sizes")
_SIZE_KEYS = ("seeds", "base", "cells")
_WORK = ("epochs", "gradient_steps")
_NAME, _NAME_ACCEPTED = (
    r"[A-Za-z0-9][\w.-]{0,99}",
    "letters, digits, dots, dashes and underscores, up to 100: a folder's name",
)
_SAYS_MORE = (Kind.PROFILE, Kind.SETTINGS, Kind.FILE)
"""Options whose complaints say themselves what was given, and where in a file it stands."""
_RELATED = ("workers", "local_steps", "epochs", "gradient_steps", "eval_every", "timeline", "columns")
"""Options that are checked against each other: of these only the first complaint about a cell is sure, and those of
values that would be wrong anywhere."""
_ACCEPTED = "an experiment file: TOML with name, [base] and [[cells]] (see docs/files.md)"


@dataclass(frozen=True)
class Experiment:
    """The runs of an experiment file, cell by cell, the seeds of each together."""

    name: str
    description: str
    configs: tuple[RunConfig, ...]
    cell_of: Mapping[str, int] = field(default_factory=dict)
    """Which of the file's cells a configuration (RunConfig.configuration) is of; earlier ones are made first."""
    sizes: tuple[str, ...] = ()
    """At which its file can be read."""
    runs_at: Mapping[str, int] = field(default_factory=dict)
    """How many runs the file has at each of these."""


def read_experiment_file(path: Path, seeds: object = None, size: str | None = None) -> Experiment:
    """Read an experiment file.

    Args:
        seeds: so many, counting up from the file's first, instead of the file's own.
        size: one of the file's sizes, by default its first; the experiment's name ends with it.

    Paths of delays and timelines count from the file's folder.

    Raises:
        BadInput: something in the file cannot be used; the message has every problem, with key and line.
    """
    places, tables = parse_toml("FILE", path, read_bytes("FILE", path, _ACCEPTED), _ACCEPTED)
    reader = _Reader(path, places, tables, size)
    experiment = reader.experiment(seeds)
    problems = dict.fromkeys(reader.problems)
    runs_at = {}
    for other in experiment.sizes:  # what is wrong with another size is wrong with the file
        one = experiment
        if experiment.name != f"{tables.get('name')}-{other}":
            at_other = _Reader(path, places, tables, other)
            one = at_other.experiment(None)
            problems |= dict.fromkeys(at_other.problems)
        runs_at[other] = len(one.configs)
    if problems:
        raise BadFile("FILE", path, sorted(problems, key=_line_in))
    return replace(experiment, runs_at=runs_at)


def _line_in(problem: str) -> int:
    """The line that a problem names."""
    found = re.match(r"line (\d+),", problem)
    return int(found[1]) if found else 0


Line = tuple[str | int, ...]
"""The keys and indices that lead to a thing in the file, to say its line should something be wrong with it."""


class _Reader:
    """Turns a parsed experiment file into runs, and notes what is wrong with it."""

    def __init__(self, path: Path, places: Places, tables: dict[str, Any], size: str | None) -> None:
        self._path, self._places = path, places
        self._problems: dict[str, int] = {}
        self._cell_of: dict[str, int] = {}
        self._size, self._own = "", dict[str, Any]()
        """The size that is read, and what the file says of it alone."""
        self._sizes = tables.get("sizes", {})
        self._tables = tables
        self._take_size(size)

    @property
    def problems(self) -> list[str]:
        """What is wrong with the file, from its top down."""
        return sorted(self._problems, key=lambda text: self._problems[text])

    def _take_size(self, size: str | None) -> None:
        """Put what a size says over what the file says of all."""
        sizes, self._sizes = self._sizes, {}
        well_formed = isinstance(sizes, dict) and all(isinstance(one, dict) for one in sizes.values())
        if not well_formed or ("sizes" in self._tables and not sizes):
            accepted = "[sizes.NAME], each with seeds, base or cells"
            self._refuse(self._line("sizes"), f"sizes = {shown(sizes)}", "not tables", accepted)
            return
        if not sizes:
            if size is not None:
                raise BadInput("size", size, f"{self._path} has no sizes", "no `size`")
            return
        for name in sizes:
            if not re.fullmatch(_NAME, name, re.ASCII):
                self._refuse(self._line("sizes", name), f"size {shown(name)}", "not a name", _NAME_ACCEPTED)
                return
        chosen = next(iter(sizes)) if size is None else choose("size", size, sizes)
        for key in sizes[chosen]:
            self._choose(key, _SIZE_KEYS, ("sizes", chosen, key))
        self._sizes, self._size, self._own = sizes, chosen, sizes[chosen]
        replaced: dict[str, Any] = {key: self._own[key] for key in ("seeds", "cells") if key in self._own}
        base, own = self._tables.get("base", {}), self._own.get("base", {})
        if isinstance(base, dict) and isinstance(own, dict):
            replaced["base"] = _over(base, own)
        elif isinstance(base, dict):
            replaced["base"] = own
        else:
            self._own = {key: value for key, value in self._own.items() if key != "base"}
        self._tables = {**self._tables, **replaced}

    def experiment(self, seeds: object) -> Experiment:
        """The runs; worth nothing if there were problems."""
        for key in self._tables:
            self._choose(key, _KEYS, self._line(key))
        name, description = self._name(), self._tables.get("description", "")
        if not isinstance(description, str):
            self._refuse(self._line("description"), f"description = {shown(description)}", "not a text", "a text")
        chosen = self._seeds(seeds)
        base = self._base()
        cells = self._cells()
        if sum(prod(map(len, cell.values())) for cell in cells) * len(chosen) > MOST_RUNS:
            self._refuse(self._line("cells"), "cells", "too many runs", f"up to {MOST_RUNS} with all seeds")
            cells = []
        found = [config for index, cell in enumerate(cells) for config in self._cell(base, cell, index)]
        configs = tuple(replace(config, seed=seed) for config in found for seed in chosen)
        name += f"-{self._size}" if self._size else ""
        return Experiment(name, str(description), configs, self._cell_of, tuple(self._sizes))

    def _name(self) -> str:
        name = self._tables.get("name")
        if name is None:
            self._refuse(None, "name", "missing", _NAME_ACCEPTED)
        elif not isinstance(name, str) or not re.fullmatch(_NAME, name, re.ASCII):
            self._refuse(self._line("name"), f"name = {shown(name)}", "not a name", _NAME_ACCEPTED)
        elif name == "adhoc":
            self._refuse(self._line("name"), 'name = "adhoc"', "the name of what `agn-bench run` makes", "another name")
        return str(name)

    def _seeds(self, count: object) -> list[int]:
        seeds = self._tables.get("seeds", [0])
        accepted = f"a list of different whole numbers from 0 to {MAX_SEED}, as in [0, 1, 2]"
        whole = isinstance(seeds, list) and all(type(seed) is int and 0 <= seed <= MAX_SEED for seed in seeds)
        if not whole or not seeds or len(set(seeds)) < len(seeds):
            problem = "empty" if seeds == [] else "not different whole numbers"
            self._refuse(self._line("seeds"), f"seeds = {shown(seeds)}", problem, accepted)
            return [0]
        if count is None:
            return list(seeds)
        number = whole_number("seeds", count, 1, min(10_000, MAX_SEED - seeds[0] + 1))
        return list(range(seeds[0], seeds[0] + number))

    def _base(self) -> dict[str, Any]:
        base = self._tables.get("base", {})
        if not isinstance(base, dict):
            self._refuse(
                self._line("base"), f"base = {shown(base)}", "not a table", "[base] and options of `agn-bench run`"
            )
            return {}
        kept = {}
        for key, value in base.items():
            line = self._line("base", key)
            several = isinstance(value, list) and key in OPTIONS and OPTIONS[key].kind is not Kind.SETTINGS
            if several:
                self._refuse(line, f"{key} = {shown(value)}", "a list", "one value; lists multiply out in [[cells]]")
            elif self._known(key, [value], line):
                kept[key] = value
        return kept

    def _cells(self) -> list[dict[str, list[Any]]]:
        """The values of every option, for each cell."""
        cells = self._tables.get("cells")
        accepted = "[[cells]], each with options of `agn-bench run`"
        if cells is None or cells == []:
            self._refuse(self._line("cells"), "cells", "missing" if cells is None else "empty", accepted)
            return []
        if not isinstance(cells, list) or not all(isinstance(cell, dict) for cell in cells):
            self._refuse(self._line("cells"), f"cells = {shown(cells)}", "not tables", accepted)
            return []
        return [self._options(index, cell) for index, cell in enumerate(cells)]

    def _options(self, index: int, cell: dict[str, Any]) -> dict[str, list[Any]]:
        kept = {}
        for key, value in cell.items():
            line = self._line("cells", key, index)
            values = value if isinstance(value, list) else [value]
            if not values:
                self._refuse(line, f"{key} = []", "an empty list", "one value, or a list of values to multiply out")
            elif self._known(key, values, line):
                kept[key] = values
        return kept

    def _known(self, key: str, values: list[Any], line: Line | None) -> bool:
        """Whether `key` is an option and `values` are of its kind."""
        if key in ("seed", "seeds"):
            self._refuse(line, key, "not an option of a cell", "seeds = [0, 1, 2] at the top of the file")
            return False
        if not self._choose(key, sorted(OPTIONS.keys() - {"seed"}), line):
            return False
        wrong = [value for value in values if not OPTIONS[key].takes(value)]
        for value in wrong:
            self._refuse(line, f"{key} = {shown(value)}", "of the wrong type", OPTIONS[key].accepted)
        return not wrong

    def _cell(self, base: dict[str, Any], cell: dict[str, list[Any]], index: int) -> Iterator[RunConfig]:
        """The configurations of a cell, all with seed 0."""
        for values in product(*cell.values()):
            given = _over(base, dict(zip(cell, values, strict=True)))
            config = self._resolve(given, cell, index)
            if config is not None and self._is_new(config, index):
                yield config

    def _resolve(self, given: dict[str, Any], cell: dict[str, list[Any]], index: int) -> RunConfig | None:
        options = {key: self._located(key, value) for key, value in given.items()}
        related = incomplete = bool(self._problems)
        while True:
            try:
                config = resolve(options)
                return None if incomplete else config
            except BadInput as error:
                refused = error
            key = refused.option
            if not (related and key in _RELATED) or isinstance(refused, NeverAccepted):
                self._complain(refused, given, cell, index)
            related, incomplete = related or key in _RELATED, True
            if key not in options:
                return None
            del options[key]  # are the others right?

    def _complain(self, error: BadInput, given: dict[str, Any], cell: dict[str, list[Any]], index: int) -> None:
        key = error.option
        if key in cell:
            line = self._line("cells", key, index)
        else:
            line = self._line("base", key) if key in given else self._line("cells", None, index)
        own = key in OPTIONS and (OPTIONS[key].kind in _SAYS_MORE or OPTIONS[key].names_a_file(given.get(key)))
        value = error.value if key not in given or own else shown(given[key])
        self._refuse(line, f"{key} = {value}", error.problem, error.accepted)

    def _located(self, key: str, value: Any) -> Any:
        """A file's path, counted from the experiment file's folder."""
        if OPTIONS[key].kind is Kind.SETTINGS:
            several = value if isinstance(value, list) else [value]
            return [self._located_setting(setting) for setting in several]
        if not isinstance(value, str) or not OPTIONS[key].names_a_file(value):
            return value
        return str(self._path.parent / in_home(value))

    def _located_setting(self, setting: Any) -> Any:
        """A setting of delays, as in `step.distribution=times.py:Uniform`."""
        from agn_bench.clock.distributions import DISTRIBUTIONS

        key, equals, value = str(setting).partition("=")
        if not equals or not DISTRIBUTIONS.is_in_a_file(value.strip()):
            return setting
        return f"{key}={self._path.parent / in_home(value.strip())}"

    def _is_new(self, config: RunConfig, index: int) -> bool:
        configuration = config.configuration  # a hash, which takes as long as half of the rest
        first = self._cell_of.get(configuration)
        if first is None:
            self._cell_of[configuration] = index
            return True
        what = f"cell {index + 1} ({config.optimizer}, {config.workers} workers, {config.local_steps} local steps)"
        problem = "is in it twice" if first == index else f"is in cell {first + 1} already"
        self._refuse(self._line("cells", None, index), what, problem, "every run once")
        return False

    def _choose(self, key: str, known: Sequence[str], line: Line | None) -> bool:
        try:
            choose("FILE", key, known)
        except BadInput as error:
            self._refuse(line, shown(key).strip('"'), error.problem, error.accepted)
            return False
        return True

    def _refuse(self, line: Line | None, what: str, problem: str, accepted: str) -> None:
        found = self._places.line(*line) if line else None
        where = f"line {found}, " if found else ""
        text = f"{where}{what}: {spelled(problem)}; accepted: {spelled(accepted)}".replace("\n", "\\n").replace(
            "\r", "\\r"
        )
        self._problems[text] = found or 0

    def _line(self, table: str, key: str | None = None, index: int | None = None) -> Line:
        """A key of the file, of its base, or of one of its cells; or the cell itself."""
        of_size = table in self._own and (table != "base" or key is None or key in self._own["base"])
        size = ("sizes", self._size) if of_size else ()
        return (*size, table, *(part for part in (index, key) if part is not None))


def _over(base: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """The base's options, but for those that `own` has; the amount of work has two names, and either replaces both."""
    kept = base if not own.keys() & set(_WORK) else {key: base[key] for key in base if key not in _WORK}
    return {**kept, **own}
