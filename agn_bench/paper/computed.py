"""The tables that need no training and are the same at every size: where they are, and how they are read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from agn_bench.base.user_files import read_csv

if TYPE_CHECKING:
    import pandas as pd

CLUSTER, BEALE = "paper-cluster", "beale"
"""Their folders, beside the sizes'."""

STALENESS_WORKERS, STALENESS_LOCAL_STEPS = 20, 15
"""Of the histogram."""

COMPUTED = {
    "stability-map": (
        CLUSTER,
        ["workers", "local_steps", "growth_rate_random", "growth_rate_fifo", "test_accuracy_percent"],
    ),
    "fifo-share": (CLUSTER, ["fifo_share", "cells", "told_right"]),
    "staleness": (CLUSTER, ["local_steps", "staleness", "exchanges"]),
    "staleness-by-local-steps": (CLUSTER, ["local_steps", "mean_staleness", "most_frequent", "largest"]),
    "paths": (BEALE, ["path", "x", "y"]),
    "shapes": (BEALE, ["path", "sharpest_turn_degrees", "length_over_distance", "distance_from_minimum"]),
}
"""Tables that need no training (see computing.py): in the tables/ of which folder, and their columns."""


def computed_path(root: Path, table: str) -> Path:
    return root / COMPUTED[table][0] / "tables" / f"{table}.csv"


def computed_table(root: Path, table: str) -> pd.DataFrame:
    """One of the COMPUTED tables.

    Raises:
        BadInput: it cannot be read, or is not what this version makes.
    """
    accepted = "the table as `agn-bench reproduce` makes it: `force` makes it again"
    return read_csv("out", computed_path(root, table), COMPUTED[table][1], accepted).frame
