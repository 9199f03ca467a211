"""What the page says, as one JSON document: from the CSV files of experiment folders alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from agn_bench.analysis.axes import AXES
from agn_bench.analysis.comparison import (
    EXPERIMENT,
    Configuration,
    Runs,
    configurations,
    names_of,
    of_measure,
    varying,
)
from agn_bench.analysis.figures.look import COLOURS, STYLES
from agn_bench.analysis.measures import Measured
from agn_bench.analysis.report import claims, lines, making, numbers, phases
from agn_bench.analysis.report.cells import Json, number
from agn_bench.analysis.values import as_number, in_order, shown_value, worded
from agn_bench.base import __version__
from agn_bench.base.inputs import BadInput, printable
from agn_bench.config.selection import SHORT
from agn_bench.optimizers import OPTIMIZERS
from agn_bench.training.columns import belongs_to_the_optimizer, is_number

MOST_MEASURES = 6
"""That the page has: the one that is wanted, and others that all runs have."""
FEW = 12
"""Lines that are told apart: of more configurations the page first shows a choice."""
_STYLE_NAMES = dict(zip(STYLES, ("solid", "dashed", "dash-dotted", "dotted"), strict=True))
Step = Callable[[str], None]


def steps(runs: Runs, first: Measured) -> int:
    """How many steps `document` says that it takes."""
    return len(measures_of(runs, first)) + 2


def measures_of(runs: Runs, first: Measured) -> list[Measured]:
    """The measures that the page has: the first one, and others that all runs have."""
    found = [first]
    for column in runs.having():
        try:
            measure = runs.measured(column)
        except BadInput:  # not all have it, or nothing says what a run counts as that diverged
            continue
        if measure.column == column and measure.column != first.column:
            found.append(measure)
    return found[:MOST_MEASURES]


def document(runs: Runs, first: Measured, title: str, step: Step = lambda what: None) -> Json:
    """The document.

    Args:
        first: the measure that the page shows at first.
        title: of the page.
        step: told what is being made.
    """
    step("configurations")
    measures = measures_of(runs, first)
    found, usual = briefly(configurations(runs, first))
    courses = lines.courses(runs)
    most = lines.points_of_a_line(len(found) * len(lines.SHOWN) * sum(not one.is_of_center for one in measures))
    chips = columns_of(found)
    of_each = []
    for measure in measures:
        step(measure.name)
        own = found if measure is first else of_measure(found, runs, measure)
        of_each.append(_of_measure(own, courses, most, usual))
    step("runs")
    records = [making.records(folder) for folder in runs.folders]
    folders = [*zip(map(printable, names_of(runs.folders)), runs.folders, strict=True)]
    return {
        "title": printable(title),
        "version": __version__,
        "head": _head(runs, found, folders),
        "columns": [chip.as_json() for chip in chips],
        "optimizers": [_optimizer(name, found) for name in _optimizers(found)],
        "configurations": [_configuration(place, one, chips, records) for place, one in enumerate(found)],
        "start": start(found, chips),
        "usual": ", ".join(usual),
        "axes": [{"name": name, "label": AXES[name].label} for name in lines.SHOWN],
        "measures": of_each,
        "most_points": most,
        "runs": numbers.runs_table(runs, found),
        "staleness": _staleness(runs, found),
        "phases": phases.of_runs(runs),
        "claims": claims.of_folders(folders),
        "making": making.of_runs(runs, {name: one for own in reversed(records) for name, one in own.items()}),
    }


def _of_measure(found: Sequence[Configuration], courses: lines.Courses, most: int, usual: Sequence[str]) -> Json:
    measure = found[0].measure
    return {
        "column": measure.column,
        "name": measure.name,
        "label": measure.headed(measure.name),
        "fraction": measure.is_fraction,
        "higher": measure.higher_is_better,
        "held": measure.is_of_center,
        "lines": lines.of_all(found, courses, most),
        "table": numbers.configurations(found),
        "maps": numbers.maps(found),
        "paired": numbers.paired(found, usual),
    }


_ALWAYS = ("optimizer", "workers", "local_steps")
"""Columns whose values are said wherever configurations differ in them."""
_USUAL = 0.7
"""A value that so many configurations have is the usual one of its column."""


def briefly(found: Sequence[Configuration]) -> tuple[list[Configuration], list[str]]:
    """The configurations with labels that leave out what is usual, and words that say that; none where few are."""
    if len(found) <= FEW:
        return [*found], []
    usual = _usual(found)
    short = [replace(one, label=_brief(one, found, usual)) for one in found]
    if len({one.label for one in short}) < len(short):
        return [*found], []
    return short, [worded(name, _to_be_read(value)) for name, value in usual.items()]


def _usual(found: Sequence[Configuration]) -> dict[str, Any]:
    """By column the value that most configurations have, where they are by far the most of those that have one."""
    usual = {}
    for name in varying(found):
        values = Counter(one.columns[name] for one in found if one.columns[name] is not None)
        value, count = values.most_common(1)[0]
        if name not in _ALWAYS and len(values) > 1 and count >= _USUAL * values.total():
            usual[name] = value
    return usual


def _brief(one: Configuration, found: Sequence[Configuration], usual: Mapping[str, Any]) -> str:
    """A configuration's label: what tells it apart, without what is usual."""
    alike = [other for other in found if other.columns["optimizer"] == one.columns["optimizer"]]
    words = [str(one.columns["optimizer"]).rpartition(":")[2]]
    for name in varying(found):
        value = one.columns[name]
        among = alike if belongs_to_the_optimizer(name) else found
        if name == "optimizer" or value is None or value == usual.get(name):
            continue
        if len({other.columns[name] for other in among}) > 1:
            words.append(worded(name, _to_be_read(value)))
    return ", ".join(words)


def _to_be_read(value: Any) -> Any:
    """A number without digits that say nothing to a reader."""
    return float(f"{value:.6g}") if isinstance(value, float) else value


@dataclass(frozen=True)
class Chips:
    """A column in which configurations differ, and its values, each of which can be switched on and off."""

    column: str
    values: Sequence[Any]
    of_each: Sequence[Any]
    """Each configuration's value; None where the column does not apply."""
    more: bool
    """Whether its chips are shown when asked for alone: a number that an optimizer or another part has of its own, or a
    column with a usual value."""

    def place(self, configuration: int) -> int | None:
        """Which value a configuration has."""
        value = self.of_each[configuration]
        return None if value is None else [*self.values].index(value)

    def as_json(self) -> Json:
        word = SHORT.get(self.column, self.column.replace("_", " "))
        values = [printable(shown_value(_to_be_read(value))) for value in self.values]
        return {"name": self.column, "word": word, "values": values, "more": self.more}


def columns_of(found: Sequence[Configuration]) -> list[Chips]:
    """The columns by whose values configurations are switched on and off, those first that most ask for."""
    several = {str(name) for one in found for name in one.runs[EXPERIMENT].dropna()} if _has_experiments(found) else ()
    usual = _usual(found)
    chips = []
    for name in [*varying(found), *([EXPERIMENT] if len(several) > 1 else [])]:
        each = [one.runs.iloc[0][name] if name == EXPERIMENT else one.columns[name] for one in found]
        values = sorted({value for value in each if value is not None}, key=in_order)
        if len(values) > 1 or not is_number(name):
            chips.append(Chips(name, values, each, name != EXPERIMENT and (is_number(name) or name in usual)))
    return sorted(chips, key=lambda one: (one.more, [*_ALWAYS, one.column].index(one.column)))


def _has_experiments(found: Sequence[Configuration]) -> bool:
    return all(EXPERIMENT in one.runs for one in found)


def start(found: Sequence[Configuration], chips: Sequence[Chips]) -> Json:
    """What the page shows at first: all of a few configurations. If there are many it is one setting, that which most
    optimizers and then most configurations have, and of each optimizer its best configuration.

    Returns:
        `on`, of columns that are not wholly on the places of the values that are; `best`, whether only the best of each
        optimizer is shown; `words`, which say it.
    """
    left = [*range(len(found))]
    on: dict[str, list[int]] = {}
    words = []
    for chip in chips:
        if len(left) <= FEW or is_number(chip.column) or chip.column in ("optimizer", "local_steps", EXPERIMENT):
            continue
        place = _most_common(chip, left, found)
        kept = [one for one in left if chip.place(one) in (None, place)]
        if len(kept) < len(left):
            left, on[chip.column] = kept, [place]
            words.append(_worded(chip, place))
    optimizers = {found[one].columns["optimizer"] for one in left}
    best = len(left) > FEW and len(optimizers) > 1
    if best:
        words.append("of each optimizer the best configuration")
    return {"on": on, "best": best, "words": words}


def _worded(chip: Chips, place: int) -> str:
    shown = printable(shown_value(chip.values[place]))
    return shown if as_number(chip.values[place]) is None else f"{SHORT.get(chip.column, chip.column)} = {shown}"


def _most_common(chip: Chips, left: Sequence[int], found: Sequence[Configuration]) -> int:
    """The place of the value that most optimizers have, and of such values the one that most configurations have."""

    def common(place: int) -> tuple[int, int]:
        own = [one for one in left if chip.place(one) == place]
        return len({found[one].columns["optimizer"] for one in own}), len(own)

    return max(range(len(chip.values)), key=common)


def _optimizers(found: Sequence[Configuration]) -> list[str]:
    """Their names, in the order in which pictures give them colours (see arrangement.py)."""
    there = {str(one.columns["optimizer"]) for one in found}
    return [name for name in (*OPTIMIZERS, *sorted(there - {*OPTIMIZERS})) if name in there]


def _optimizer(name: str, found: Sequence[Configuration]) -> Json:
    """An optimizer with the colour that it has in pictures, and the dash of its first line."""
    others = sorted({str(one.columns["optimizer"]) for one in found} - {*OPTIMIZERS})
    place = [*OPTIMIZERS, *others].index(name)
    dash = STYLES[(place + place // len(COLOURS)) % len(STYLES)]
    return {"name": printable(name), "colour": COLOURS[place % len(COLOURS)], "dash": _STYLE_NAMES[dash]}


def _configuration(
    place: int, one: Configuration, chips: Sequence[Chips], records: Sequence[Mapping[str, Any]]
) -> Json:
    runs = [str(run) for run in one.runs["run_id"]]
    values = {chip.column: at for chip in chips if (at := chip.place(place)) is not None}
    return {
        "label": printable(one.label),
        "values": values,
        "optimizer": printable(str(one.columns["optimizer"])),
        "runs": [printable(run) for run in runs],
        "folders": [next((at for at, own in enumerate(records) if "config" in own.get(run, {})), None) for run in runs],
        "diverged": int((one.runs["status"] == "diverged").sum()),
    }


def _head(runs: Runs, found: Sequence[Configuration], folders: Sequence[tuple[str, Path]]) -> Json:
    summary = runs.summary
    return {
        "folders": [{"name": name, "about": making.described(folder)} for name, folder in folders],
        "runs": len(summary),
        "configurations": len(found),
        "seeds": int(summary["seed"].nunique()),
        "diverged": len(runs.diverged()),
        "left_out": runs.left_out,
    }


def _staleness(runs: Runs, found: Sequence[Configuration]) -> Json:
    """By configuration the mean over its runs of what their rows say of staleness; None if they say nothing."""
    if not {"mean_staleness", "p95_staleness"} <= {*runs.summary}:
        return None
    return [[number(one.runs[name].mean()) for name in ("mean_staleness", "p95_staleness")] for one in found]
