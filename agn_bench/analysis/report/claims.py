"""The paper's claims as `agn-bench reproduce` has judged them in a folder, from its tables/claims.csv."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from agn_bench.analysis.report.cells import Json
from agn_bench.base.tabular import NUMBER, TEXT, UNREADABLE, WHOLE, read_table

CLAIMS = Path("tables") / "claims.csv"
_TYPES = {
    **dict.fromkeys(("text", "verdict", "what", "rule", "published", "measure_verdict"), TEXT),
    "claim": WHOLE, "seeds": WHOLE, "mean": NUMBER, "half_width_95": NUMBER,
}  # fmt: skip


def of_folders(folders: Sequence[tuple[str, Path]]) -> Json:
    """By folder that has some: its claims, each with its verdict and its measures.

    Args:
        folders: each after what it is called.
    """
    found = [(name, _read(folder / CLAIMS)) for name, folder in folders if (folder / CLAIMS).is_file()]
    return [{"folder": name, "claims": claims} for name, claims in found if claims]


def _read(path: Path) -> list[Json]:
    try:
        rows = read_table(path, _TYPES).astype(object)
    except UNREADABLE:
        return []
    if not {*_TYPES} <= {*rows.columns}:
        return []
    rows = rows.dropna(subset=["claim", "text", "verdict"])
    claims: dict[int, Json] = {}
    for row in rows.to_dict("records"):
        number = int(row["claim"])
        own = claims.setdefault(number, {"number": number, "text": row["text"], "verdict": row["verdict"]})
        own.setdefault("measures", []).append(_measure(row))
    return [*claims.values()]


def _measure(row: Mapping[Any, Any]) -> Json:
    """What a measure says: the text, the rule by which it speaks for the claim, the paper's value and ours."""
    texts = {name: _text(row[name]) for name in ("what", "rule", "published", "measure_verdict")}
    return {**texts, "seeds": _text(row["seeds"]), "value": _value(float(row["mean"]), float(row["half_width_95"]))}


def _text(value: Any) -> str:
    return "" if value is None or value != value else str(value)


def _value(mean: float, half_width: float) -> str:
    """Mean ± half of the 95 % interval."""
    if math.isnan(mean):
        return "–"
    return f"{mean:.4g}" + ("" if math.isnan(half_width) else f" ± {half_width:.2g}")
