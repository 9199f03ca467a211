"""Measures by their columns, as in test_accuracy: which there are, what they are called, how their values are shown."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from agn_bench.base.inputs import BadInput, unknown
from agn_bench.problems import FRACTION
from agn_bench.training.columns import OF_CENTER, is_measured, is_of_center, measured_in_training

_OF = {
    "last_batch_": "last batch ",
    "best_test_": "best test ",
    "best_center_": "best ",
    "train_": "training ",
    "test_": "test ",
    "center_": "",
}
"""What a measure is of, by the beginning of its column."""
_DEVIATION = "_std"
DEFAULT = "train_accuracy"
"""What is read where nothing else is wanted, if the runs have it: what the paper shows."""


@dataclass(frozen=True)
class Measured:
    """A measure over simulated time: its column of curves.csv.gz, and its direction."""

    column: str
    higher_is_better: bool = True

    @property
    def alone(self) -> str:
        """The measure as its problem calls it, as in `accuracy`."""
        return self.column.removeprefix(_start(self.column))

    @property
    def of(self) -> str:
        """What it is of, as in `test `."""
        return _OF[_start(self.column)]

    @property
    def name(self) -> str:
        """What a reader calls it, as in `test accuracy`."""
        return self.of + self.alone.replace("_", " ")

    @property
    def short(self) -> str:
        """Its name without what goes without saying, as in `test` of an accuracy."""
        return self.of.strip() or self.name if self.is_fraction else self.name

    @property
    def stem(self) -> str:
        """What its files are called. The paper's keeps the name that it has in folders that were made."""
        return self.alone if self.column == DEFAULT else self.column.replace("_", "-")

    @property
    def prefix(self) -> str:
        """What the names of its other files begin with."""
        return "" if self.column == DEFAULT else f"{self.stem}-".removesuffix("accuracy-")

    @property
    def is_fraction(self) -> bool:
        """Whether its values lie between 0 and 1, and are shown in per cent."""
        return self.column.endswith(FRACTION)

    @property
    def is_of_center(self) -> bool:
        """Whether it is known where the center was evaluated, and not at every point."""
        return is_of_center(self.column)

    @property
    def direction(self) -> str:
        """What is said beside its values where one might take more for better."""
        return "" if self.higher_is_better else "; less is better"

    @property
    def difference(self) -> str:
        """A heading of differences of areas."""
        return "points of area" if self.is_fraction else "area"

    def headed(self, text: str) -> str:
        """A heading of values, with their unit, as in `area (%)`."""
        return f"{text} (%)" if self.is_fraction else text

    def value(self, found: float, sign: str = "-") -> str:
        """A value without its unit, as in 93.10 of an accuracy, or 0.2314.

        Args:
            sign: + if what is positive has a sign too.
        """
        return f"{100 * found:{sign}.2f}" if self.is_fraction else f"{found:{sign}.4g}"

    def level(self, target: float) -> str:
        """A value that is to be reached, as in `80 %`, or `0.01`."""
        return f"{100 * target:g} %" if self.is_fraction else f"{target:g}"


def _start(column: str) -> str:
    return next(start for start in _OF if column.startswith(start))


def heading(column: str) -> str:
    """A short heading, as in `test %`."""
    measure = Measured(column)
    return f"{measure.short} %" if measure.is_fraction else measure.short


def value(column: str, found: float) -> str:
    """A value without its unit, as in 93.10 of an accuracy, or 0.2314."""
    return Measured(column).value(found)


def named_value(column: str, found: float) -> str:
    """A value with what it is, as in `93.10 % test`, or `test loss 0.2314`."""
    measure = Measured(column)
    if measure.is_fraction:
        return f"{measure.value(found)} % {measure.of}{measure.alone.removesuffix(FRACTION)}".strip()
    return f"{measure.name} {measure.value(found)}"


def brief(column: str, found: float) -> str:
    """The same for a line that is short, as in `0.931 test`, or `loss 0.231 test`."""
    measure = Measured(column)
    of = {"training ": "train"}.get(measure.of, measure.of.strip())
    return f"{found:.3f} {of}" if measure.is_fraction else f"{measure.alone.replace('_', ' ')} {found:.3g} {of}".strip()


def over_time(columns: Iterable[object]) -> list[str]:
    """Those of the columns of curves.csv.gz that are measures, and not their deviations."""
    found = [str(column) for column in columns if is_measured(column)]
    return [column for column in found if column.removesuffix(_DEVIATION) not in {*found} - {column}]


def of_center(column: str, columns: Collection[str]) -> list[str]:
    """The columns of the same measure of the center, which say what a run counts as that diverged."""
    own = [column] if is_of_center(column) else [f"{start}{Measured(column).alone}" for start in OF_CENTER]
    return [one for one in own if one in columns]


def chosen(wanted: str | None, having: Mapping[str, Collection[str]], runs: Collection[str]) -> str:
    """The column of the measure that is wanted, which all runs must have.

    Args:
        wanted: a column, or a measure alone, as in `accuracy`: then the workers' if they have it, else the center's. By
            default DEFAULT, else the first of the center that all runs have.
        having: by column the runs that have it, in the order of the file.

    Raises:
        BadInput: there is none that all have.
    """
    common = [column for column in having if len(having[column]) == len(runs)]
    if wanted is None:
        candidates = [DEFAULT, *filter(is_of_center, having)]
    else:
        candidates = [wanted, measured_in_training(wanted), *(f"{start}{wanted}" for start in OF_CENTER)]
    found = [column for column in candidates if column in common]
    if found:
        return found[0]
    some = [column for column in candidates if column in having]
    if wanted is not None and not some:
        names = [*having, *(Measured(column).alone for column in having)]
        raise BadInput("measure", wanted, unknown(wanted, names), ", ".join(having))
    who = "; ".join(_who(column, having[column], runs) for column in some)
    accepted = f"a measure that all have, which are {', '.join(common)}; or " if common else ""
    problem = f"not all of the {len(runs)} runs have it: {who}"
    if wanted is None:
        problem = f"the {len(runs)} runs have no measure of the center in common: {who or 'they have none'}"
    raise BadInput("measure", wanted or "", problem, f"{accepted}`only=KEY=VALUE`, which leaves runs out")


def _who(column: str, own: Collection[str], runs: Collection[str]) -> str:
    """How many runs have a measure, with an example of them and of the others."""
    without = next((run for run in runs if run not in own), "")
    return f"{len(own)} have {column}, as {next(iter(own))}, and {without} has not"
