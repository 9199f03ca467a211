"""Recorded absences, read from a CSV file: one row each, with worker, from_s, until_s and kind."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from agn_bench.base.inputs import content_hash, printable
from agn_bench.base.quantities import MOST_SECONDS
from agn_bench.base.user_files import read_csv
from agn_bench.clock.absences import Absence

_COLUMNS = ("worker", "from_s", "until_s", "kind")
_KINDS = {"pause": False, "failure": True}
_MOST_WORKERS = 1_000_000


def read_absences(path: Path, accepted: str) -> tuple[str, tuple[tuple[Absence, ...], ...]]:
    """What a list of absences is called, by its stem and content hash, and the absences of each worker in it. A blank
    `from_s` is 0, a blank `until_s` never.

    Raises:
        BadInput: with the line and the column of what cannot be used.
    """
    table = read_csv("delays", path, _COLUMNS, accepted)
    worker, begin, end = (table.numbers(column) for column in ("worker", "from_s", "until_s"))
    fits = (worker >= 0) & (worker < _MOST_WORKERS) & (worker % 1 == 0)
    table.require(fits, "worker", "no worker's index", f"a whole number from 0 to {_MOST_WORKERS - 1}")
    blank = {column: table.blank(column) for column in ("from_s", "until_s")}
    begin, end = np.where(blank["from_s"], 0.0, begin), np.where(blank["until_s"], math.inf, end)
    table.require(
        (begin >= 0) & (begin <= MOST_SECONDS), "from_s", "no time", "seconds, 0 or more, or blank: from 0 on"
    )
    table.require(end > begin, "until_s", "not after from_s", "seconds after from_s, or blank: for good")
    kinds = table.frame["kind"].str.strip().to_numpy(object)
    table.require(np.isin(kinds, [*_KINDS]), "kind", "unknown", "pause or failure")
    fails = np.array([_KINDS[kind] for kind in kinds])
    table.require(fails | ~np.isinf(end), "until_s", "never, for a pause", "a failure, or when the pause ends")
    own: list[list[Absence]] = [[] for _ in range(int(worker.max()) + 1)]
    for index, *absence in zip(worker.astype(int).tolist(), begin.tolist(), end.tolist(), fails.tolist(), strict=True):
        own[index].append(Absence(*absence))
    return f"{printable(path.stem)}-{content_hash(table.content)}", tuple(map(tuple, own))
