"""The tables that need no training and are the same at every size: where they are, and how they are read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from agn_bench.base.inputs import BadInput, reason_of
from agn_bench.base.tabular import NUMBER, TEXT, UNREADABLE, WHOLE, read_table

if TYPE_CHECKING:
    import pandas as pd

CLUSTER, BEALE = "paper-cluster", "beale"
"""Their folders, beside the sizes'."""

STALENESS_WORKERS, STALENESS_LOCAL_STEPS = 20, 15
"""The workers and local steps of the histogram of staleness."""

_GRID = {"workers": WHOLE, "local_steps": WHOLE}
COMPUTED = {
    "stability-map": (
        CLUSTER,
        {**_GRID, "growth_rate_random": NUMBER, "growth_rate_fifo": NUMBER, "test_accuracy_percent": NUMBER},
    ),
    "fifo-share": (CLUSTER, {"fifo_share": NUMBER, "cells": WHOLE, "told_right": WHOLE}),
    "staleness": (CLUSTER, {"local_steps": WHOLE, "staleness": WHOLE, "exchanges": WHOLE}),
    "staleness-by-local-steps": (
        CLUSTER,
        {"local_steps": WHOLE, "mean_staleness": NUMBER, "most_frequent": WHOLE, "largest": WHOLE},
    ),
    "paths": (BEALE, {"path": TEXT, "x": NUMBER, "y": NUMBER}),
    "shapes": (
        BEALE,
        {"path": TEXT}
        | dict.fromkeys(("sharpest_turn_degrees", "length_over_distance", "distance_from_minimum"), NUMBER),
    ),
}
"""Tables that need no training (see computing.py): in the tables/ of which folder, and which columns are read."""


def computed_path(root: Path, table: str) -> Path:
    return root / COMPUTED[table][0] / "tables" / f"{table}.csv"


def computed_table(root: Path, table: str) -> pd.DataFrame:
    """One of the COMPUTED tables.

    Raises:
        BadInput: it cannot be read, or is not what this version makes.
    """
    accepted = "the table as `agn-bench reproduce` makes it: `force` makes it again"
    path, types = computed_path(root, table), COMPUTED[table][1]
    try:
        found = read_table(path, types)
    except UNREADABLE as error:
        raise BadInput("out", path, f"cannot be read ({reason_of(error)})", accepted) from None
    for column in types:
        if column not in found:
            raise BadInput("out", path, f"has no column {column}", accepted)
    if found.empty:
        raise BadInput("out", path, "has no rows", accepted)
    return found
