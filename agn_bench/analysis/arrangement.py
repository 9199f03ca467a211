"""Configurations in panels of lines: what sets panels apart, what tells lines apart, and which look each line has.

One optimizer has one colour and one dash in every picture of an experiment, whichever of its runs are drawn. Two
configurations are never drawn as one line: a line's mean is over seeds alone.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from agn_bench.analysis.comparison import EXPERIMENT, Configuration, Experiment
from agn_bench.analysis.figures.look import COLOURS, STYLES
from agn_bench.base.inputs import BadInput
from agn_bench.config.selection import SHORT, called
from agn_bench.optimizers import OPTIMIZERS
from agn_bench.training.columns import belongs_to_the_optimizer

MOST_LINES = 12
"""In a panel: more are not told apart."""
MOST_IN_ALL = 24
"""In all panels of a picture, and so in its legend."""
MOST_PANELS = 64

_NAMES = (
    EXPERIMENT, "optimizer", "problem", "dataset", "model", "local_optimizer", "delays", "data_split", "configuration",
)  # fmt: skip
"""Columns whose values say by themselves what they are."""
_WIDEST = 8
"""Panels in a row, at most."""
_BLANK, _NUMBER, _WORD = range(3)

Columns = Mapping[Any, Any]
"""A configuration's columns of summary.csv, None where one is blank."""
Key = tuple[Any, ...]
"""Values of some columns, as they are ordered."""


@dataclass(frozen=True)
class Look:
    colour: int
    style: int
    ordered: int = 0
    """If not 0, the colour is one of so many that have an order, else one of the palette."""


@dataclass(frozen=True)
class Line:
    label: str
    configuration: Configuration
    look: Look


@dataclass(frozen=True)
class Panel:
    title: str
    lines: Sequence[Line]
    """There is none in a panel that only fills a row."""


@dataclass(frozen=True)
class Arrangement:
    panels: Sequence[Panel]
    width: int
    """Panels in a row."""
    labels: Sequence[str]
    """The labels of all lines, in the order of a legend."""


def arrange(
    configurations: Sequence[Configuration],
    panels: Sequence[str] = (),
    lines: Sequence[str] = (),
    every: Sequence[Columns] | None = None,
) -> Arrangement:
    """Put the configurations into panels.

    Args:
        configurations: at least one.
        panels: columns of a configuration; a panel for each combination of their values. None: one panel.
        lines: columns that tell the lines of a panel apart. By default all in which configurations differ. The
            optimizer's own numbers belong to `optimizer`.
        every: all configurations of the experiment, those left out too, so that a line looks the same in all pictures.

    Raises:
        BadInput: there is no such column, several configurations would be one line, or there are more lines or panels
            than anyone can tell apart.
    """
    drawn: list[Columns] = [one.columns for one in configurations]
    described = [column for column in drawn[0] if column != "configuration"]
    known = dict.fromkeys([*described, EXPERIMENT])  # who names that one reads the experiments apart
    apart = [called("panels", name, known) for name in panels]
    told = _told_apart_by([called("lines", name, known) for name in lines], apart, drawn, described)
    labels = {_key(one, told): _label(one, told, drawn, bool(lines)) for one in drawn}
    looks = _looks(drawn, every or drawn, told)
    places = [*looks]
    found: dict[Key, list[Line]] = {}
    for one in sorted(configurations, key=lambda one: places.index(_key(one.columns, told))):
        key = _key(one.columns, told)
        found.setdefault(_key(one.columns, apart), []).append(Line(labels[key], one, looks[key]))
    titles = {_key(one, apart): ", ".join(_words(column, one[column]) for column in apart) for one in drawn}
    for key, own in found.items():
        _check_lines(own, titles[key], ",".join(lines), described)
    _check_counts(found, len(labels), ",".join(panels), ",".join(lines), drawn, described)
    return Arrangement(*_in_rows(found, titles), [labels[key] for key in places])


def _in_rows(found: Mapping[Key, Sequence[Line]], titles: Mapping[Key, str]) -> tuple[list[Panel], int]:
    """Panels in the order of their values, and how many are in a row. With two columns of values, a row for each value
    of the first.
    """
    values = [sorted(set(each)) for each in zip(*found, strict=True)]
    if len(values) == 2 and len(values[1]) <= _WIDEST and 2 * len(found) > len(values[0]) * len(values[1]):
        return [Panel(titles.get(key, ""), found.get(key, ())) for key in product(*values)], len(values[1])
    panels = [Panel(titles[key], found[key]) for key in sorted(found)]
    return panels, len(panels) if len(panels) <= 4 else math.ceil(math.sqrt(len(panels)))


def _told_apart_by(
    lines: Sequence[str], apart: Sequence[str], drawn: Sequence[Columns], described: Sequence[str]
) -> list[str]:
    """The columns whose values make a line."""
    numbers = [column for column in described if belongs_to_the_optimizer(column) and column not in apart]
    within: dict[Key, list[Columns]] = {}
    for one in drawn:
        within.setdefault(_key(one, apart), []).append(one)
    differ = [
        column
        for column in described
        if column not in numbers and any(_differs(column, own) for own in within.values())
    ]
    # Where each panel has one optimizer, its name tells more than that it is a line.
    chosen = list(lines) or (differ if "optimizer" in apart and differ else ["optimizer", *differ])
    if "optimizer" in chosen:
        place = chosen.index("optimizer") + 1
        chosen[place:place] = numbers
    if len({_key(one, described) for one in drawn}) < len(drawn):  # they differ in what no column says
        chosen.append("configuration")
    return [column for column in dict.fromkeys(chosen) if not (lines and column in apart)]


def _differs(column: str, among: Sequence[Columns]) -> bool:
    return len({one[column] for one in among}) > 1


def _key(one: Columns, columns: Sequence[str]) -> Key:
    return tuple(_in_order(one[column]) for column in columns)


def _in_order(value: Any) -> tuple[int, float, str]:
    """What is blank comes first, then numbers, then words."""
    if value is None:
        return _BLANK, 0.0, ""
    if isinstance(value, Experiment):
        return _WORD, value.place, value.name
    number = _number(value)
    return (_WORD, 0.0, str(value)) if number is None else (_NUMBER, number, "")


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except ValueError:
        return None


def _words(column: str, value: Any) -> str:
    """As in n 20, λ 15, stragglers."""
    if value is None:
        return f"no {SHORT.get(column, column)}"
    if column == "optimizer":
        return str(value).rpartition(":")[2]
    if column in _NAMES:
        return str(value)
    number = _number(value)
    return f"{SHORT.get(column, column)} {value if number is None else f'{number:g}'}"


def _label(one: Columns, told: Sequence[str], drawn: Sequence[Columns], named: bool) -> str:
    """What tells a line apart. A number of an optimizer is named only where it comes with several.

    Args:
        named: whether the columns were asked for, so that they are named even where all lines have the same.
    """
    same = [other for other in drawn if other["optimizer"] == one["optimizer"]]
    words = []
    for column in told:
        if column == "optimizer":
            alike = {other[column] for other in drawn if _words(column, other[column]) == _words(column, one[column])}
            words.append(str(one[column]) if len(alike) > 1 else _words(column, one[column]))
        elif one[column] is not None and (
            _differs(column, same) if belongs_to_the_optimizer(column) else named or _differs(column, drawn)
        ):
            words.append(_words(column, one[column]))
    return ", ".join(words) or _words("optimizer", one["optimizer"])


def _looks(drawn: Sequence[Columns], every: Sequence[Columns], told: Sequence[str]) -> dict[Key, Look]:
    """What each line looks like, in the order of optimizers and then of values.

    The colour is the optimizer's, and so is the dash of its first line. Where that tells nothing apart, since there is
    one optimizer or each has more lines than there are dashes, colours are in the order of the lines' values.
    """
    others = sorted({one["optimizer"] for one in every} - {*OPTIMIZERS})
    places = {name: place for place, name in enumerate([*OPTIMIZERS, *others])}
    lines = {_key(one, told): places[one["optimizer"]] for one in drawn}
    several = Counter(lines.values())
    if len(lines) > 1 and ("optimizer" not in told or len(several) == 1 or min(several.values()) > len(STYLES)):
        return _in_order_of_values(lines, told)
    siblings = sorted(({_key(one, told): places[one["optimizer"]] for one in every} | lines).items())
    free = [colour for colour in range(len(COLOURS)) if colour not in {place % len(COLOURS) for place in several}]
    looks: dict[Key, Look] = {}
    for key in sorted(lines, key=lambda key: (lines[key], key)):
        place = lines[key]
        first = place + place // len(COLOURS) + [other for other, own in siblings if own == place].index(key)
        shifts = product([place % len(COLOURS), *free, *range(len(COLOURS))], range(len(STYLES)))
        candidates = (Look(colour, (first + dash) % len(STYLES)) for colour, dash in shifts)
        looks[key] = next(look for look in candidates if look not in looks.values())
    return looks


def _in_order_of_values(lines: Mapping[Key, int], told: Sequence[str]) -> dict[Key, Look]:
    """Colours from dark to light, dashes by optimizer; where values are words, colours of the palette."""

    def value(key: Key) -> Key:
        return tuple(part for part, column in zip(key, told, strict=True) if column != "optimizer")

    ranks = {each: rank for rank, each in enumerate(sorted({value(key) for key in lines}))}
    words = any(kind == _WORD for each in ranks for kind, _, _ in each)
    looks = {}
    for key in sorted(lines, key=lambda key: (ranks[value(key)], lines[key])):
        rank, dash = ranks[value(key)], lines[key] if "optimizer" in told else 0
        palette = Look(rank % len(COLOURS), (rank + dash) % len(STYLES))
        looks[key] = palette if words else Look(rank, dash % len(STYLES), ordered=len(ranks))
    return looks


def _check_lines(own: Sequence[Line], title: str, lines: str, described: Sequence[str]) -> None:
    """Raise BadInput if a panel has several lines that are called the same."""
    labels = [line.label for line in own]
    for label in labels:
        alike = [line.configuration.columns for line in own if line.label == label]
        if len(alike) > 1:
            differ = ",".join(column for column in described if _differs(column, alike))
            problem = f"{len(alike)} configurations would be one line, {label}" + (f" of {title}" if title else "")
            accepted = f"lines of one configuration each; these differ in {differ}: name that too, or use `panels`"
            raise BadInput("lines", lines, problem, f"{accepted}, or `only=KEY=VALUE`, which leaves runs out")


def _check_counts(
    found: Mapping[Key, Sequence[Line]],
    in_all: int,
    panels: str,
    lines: str,
    drawn: Sequence[Columns],
    described: Sequence[str],
) -> None:
    """Raise BadInput if there is more than can be told apart."""
    differ = [column for column in described if _differs(column, drawn)]
    example = ",".join([column for column in differ if column != "optimizer"][:2]) or "workers"
    advice = (
        f"`panels` sets columns apart, as in `panels={example}`; `lines` says what tells lines apart, as in "
        f"`lines=optimizer`; `only=KEY=VALUE` leaves runs out; they differ in {', '.join(differ)}"
    )
    most = max(map(len, found.values()))
    if most > MOST_LINES:
        problem = f"{most} lines in a panel cannot be told apart"
        raise BadInput("lines", lines, problem, f"up to {MOST_LINES}; {advice}")
    if in_all > MOST_IN_ALL:
        problem = f"{in_all} lines in one legend cannot be told apart"
        raise BadInput("lines", lines, problem, f"up to {MOST_IN_ALL}; {advice}")
    if len(found) > MOST_PANELS:
        problem = f"{len(found)} panels are too small to be read"
        raise BadInput("panels", panels, problem, f"up to {MOST_PANELS}; {advice}")
