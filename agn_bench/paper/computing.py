"""What is reproduced without training: growth rates and staleness from timelines, paths on the Beale function."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from agn_bench import results
from agn_bench.clock import timeline_of
from agn_bench.config import resolve
from agn_bench.delays import load_profile
from agn_bench.paper import beale
from agn_bench.paper.artefacts import STALENESS_WORKERS
from agn_bench.paper.stability import STABILITY_TIMELINES, stability_map
from agn_bench.registry import DEFAULTS
from agn_bench.timeline.measures import staleness_counts

OnStep = Callable[[str], None]


def _stability_map(folder: Path, on_step: OnStep) -> None:
    stability_map(load_profile(str(DEFAULTS["delays"]), []), folder, on_step)


def _staleness(folder: Path, on_step: OnStep) -> None:
    """Of the paper's histogram: 20 workers, as in its figures with 15 local steps."""
    import pandas as pd

    on_step(f"{STALENESS_WORKERS} workers, 15 local steps")
    config = resolve({"preset": "paper", "workers": STALENESS_WORKERS, "local_steps": 15})
    counts = pd.DataFrame(staleness_counts(timeline_of(config)))
    results.write_table(folder / "tables" / "staleness.csv", counts)


def _beale(folder: Path, on_step: OnStep) -> None:
    on_step("paths on the Beale function")
    paths = beale.paths_table()
    results.write_table(folder / "tables" / "shapes.csv", beale.shapes_table(paths))
    results.write_table(folder / "tables" / "paths.csv", paths)


def steps(name: str) -> int:
    """That COMPUTE[name] reports."""
    return STABILITY_TIMELINES if name == "stability-map" else 1


COMPUTE: dict[str, Callable[[Path, OnStep], None]] = {
    "stability-map": _stability_map,
    "staleness": _staleness,
    "beale": _beale,
}
"""By the artefact's name, into the folder that it names."""
