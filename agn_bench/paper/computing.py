"""What is reproduced without training: growth rates and staleness from timelines, paths on the Beale function."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from agn_bench.base import files
from agn_bench.clock import load_profile
from agn_bench.clock.measures import staleness_counts
from agn_bench.config.options import OPTIONS
from agn_bench.config.resolving import resolve
from agn_bench.paper import beale
from agn_bench.paper.computed import STALENESS_WORKERS
from agn_bench.paper.stability import STABILITY_TIMELINES, stability_map
from agn_bench.training.timing import timeline_of

OnStep = Callable[[str], None]

_STALENESS_LOCAL_STEPS = (1, 5, 10, 15, 20, 40)


def _stability_map(folder: Path, on_step: OnStep) -> None:
    stability_map(load_profile(str(OPTIONS["delays"].default), []), folder, on_step)


def _staleness(folder: Path, on_step: OnStep) -> None:
    """The staleness of 20 workers, as in the paper's histogram, which does not say with how many local steps."""
    import pandas as pd

    tables, rows = [], []
    for local_steps in _STALENESS_LOCAL_STEPS:
        on_step(f"{STALENESS_WORKERS} workers, {local_steps} local steps")
        config = resolve({"preset": "paper", "workers": STALENESS_WORKERS, "local_steps": local_steps})
        counts = pd.DataFrame(staleness_counts(timeline_of(config)))
        tables.append(counts.assign(local_steps=local_steps))
        share = counts["exchanges"] / counts["exchanges"].sum()
        rows.append(
            {
                "local_steps": local_steps,
                "mean_staleness": float((counts["staleness"] * share).sum()),
                "most_frequent": int(counts["staleness"][share.argmax()]),
                "share_from_0_to_12": float(share[counts["staleness"] <= 12].sum()),
                "largest": int(counts["staleness"].max()),
            }
        )
    files.write_table(folder / "tables" / "staleness-by-local-steps.csv", rows)
    files.write_table(folder / "tables" / "staleness.csv", pd.concat(tables))


def _beale(folder: Path, on_step: OnStep) -> None:
    on_step("paths on the Beale function")
    paths = beale.paths_table()
    files.write_table(folder / "tables" / "shapes.csv", beale.shapes_table(paths))
    files.write_table(folder / "tables" / "paths.csv", paths)


def steps(name: str) -> int:
    """That COMPUTE[name] reports."""
    return {"stability-map": STABILITY_TIMELINES, "staleness": len(_STALENESS_LOCAL_STEPS)}.get(name, 1)


COMPUTE: dict[str, Callable[[Path, OnStep], None]] = {
    "stability-map": _stability_map,
    "staleness": _staleness,
    "beale": _beale,
}
"""By the artefact's name, into the folder that it names."""
