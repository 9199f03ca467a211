"""The published numbers: facts read from the paper (arXiv 1710.02368), as CSV files in agn_bench/paper/published."""

from __future__ import annotations

import csv
from importlib import resources
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

WORKERS = LOCAL_STEPS = (10, 15, 20, 25, 30, 35, 40)
"""The published grid's."""


def published_grid() -> list[dict[str, float]]:
    """The 49 published cells: times in seconds, accuracies in percent."""
    rows = [{key: float(value) for key, value in row.items()} for row in csv.DictReader(_lines("grid.csv"))]
    return [{**row, "workers": int(row["workers"]), "local_steps": int(row["local_steps"])} for row in rows]


def published_curves() -> list[dict[str, str]]:
    """What can be read off every curve of the published figures; accuracies in percent, blanks where nothing can be."""
    return list(csv.DictReader(_lines("figures.csv")))


def published_table() -> pd.DataFrame:
    """The published grid in the columns and units of grid.py: accuracies as fractions."""
    import pandas as pd

    table = pd.DataFrame(published_grid()).rename(columns={"temporal_efficiency_agn_over_easgd": "efficiency"})
    for method in ("agn", "easgd"):
        table[f"{method}_train"] = table.pop(f"{method}_train_acc") / 100
        table[f"{method}_test"] = table.pop(f"{method}_val_acc") / 100
    return table


def _lines(name: str) -> list[str]:
    return (resources.files("agn_bench.paper") / "published" / name).read_text(encoding="utf-8").splitlines()
