"""The paper's claims, each judged by measures (see measures.py) and the rules in experiments/paper/claims.toml."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from agn_bench.analysis.metrics import half_width
from agn_bench.config.shipped import CLAIMS, experiments_folder
from agn_bench.paper.grid import published_of, seed_tables
from agn_bench.paper.measures import COMPUTED_MEASURES, GRID_MEASURES, RUN_MEASURES
from agn_bench.paper.runs import Results

if TYPE_CHECKING:
    import pandas as pd

CONFIRMED, REFUTED, UNDECIDED, MISSING = "confirmed", "refuted", "undecided", "missing"
ELSEWHERE = "not at this size"
"""The verdict on a measure whose cells are not among the size's."""


@dataclass(frozen=True)
class Rule:
    """When a measure speaks for its claim."""

    measure: str
    what: str
    above: float = -math.inf
    below: float = math.inf
    published: str = ""
    """What the paper says, where it is no number that can be computed from the published grid."""

    @property
    def text(self) -> str:
        """As in `> 0.4 and < 0.6`."""
        bounds = [("> ", self.above), ("< ", self.below)]
        return " and ".join(f"{sign}{bound:g}" for sign, bound in bounds if math.isfinite(bound))


@dataclass(frozen=True)
class Claim:
    """A claim of the paper's text."""

    number: int
    text: str
    experiments: tuple[str, ...]
    """Whose runs its measures need."""
    rules: tuple[Rule, ...]


@dataclass(frozen=True)
class Finding:
    """What a measure says at a size."""

    rule: Rule
    published: str
    values: tuple[float, ...]
    """A number a seed."""
    complete: bool = False
    """Whether all runs of the claim's experiments are there."""

    @property
    def mean(self) -> float:
        return float(np.mean(self.values)) if self.values else float("nan")

    @property
    def half_width(self) -> float:
        """Half the width of the 95 % interval of the mean; NaN for fewer than two seeds."""
        return half_width(self.values)

    @property
    def verdict(self) -> str:
        if not self.values:
            return ELSEWHERE if self.complete else MISSING
        spread = 0.0 if len(self.values) < 2 else self.half_width
        low, high = self.mean - spread, self.mean + spread
        if self.rule.above < low and high < self.rule.below:
            return CONFIRMED
        if high <= self.rule.above or low >= self.rule.below:
            return REFUTED
        return UNDECIDED


def verdict(findings: Sequence[Finding]) -> str:
    """The verdict on a claim: confirmed if all of its measures that the size has speak for it, refuted if one speaks
    against it.
    """
    found = {finding.verdict for finding in findings} - {ELSEWHERE}
    if REFUTED in found:
        return REFUTED
    if found == {CONFIRMED}:
        return CONFIRMED
    return MISSING if found <= {MISSING} else UNDECIDED


def read_claims() -> list[Claim]:
    """The claims and their rules."""
    tables = tomllib.loads((experiments_folder() / "paper" / CLAIMS).read_text(encoding="utf-8"))
    return [
        Claim(
            table["number"],
            table["text"],
            tuple(table["experiments"]),
            tuple(Rule(**rule) for rule in table["measures"]),
        )
        for table in tables["claims"]
    ]


def findings(results: Results, computed: dict[str, pd.DataFrame]) -> list[tuple[Claim, list[Finding]]]:
    """What the measures of every claim say.

    Args:
        computed: tables that need no runs, by their names (see computed.py).
    """
    tables, published_table = seed_tables(results), published_of(results)
    found = []
    for claim in read_claims():
        own = []
        complete = results.missing(claim.experiments) == 0
        for rule in claim.rules:
            published = rule.published
            if rule.measure in GRID_MEASURES:
                measure = GRID_MEASURES[rule.measure]
                values = [measure(table) for table in tables]
                published = f"{measure(published_table):.4g}"
            elif rule.measure in RUN_MEASURES:
                values = RUN_MEASURES[rule.measure](results)
            else:
                values = COMPUTED_MEASURES[rule.measure](computed)
            known = tuple(value for value in values if not math.isnan(value))
            own.append(Finding(rule, published, known, complete))
        found.append((claim, own))
    return found
