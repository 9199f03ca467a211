"""The one look of all pictures: colours, sizes, and how they are written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np

from agn_bench.analysis.metrics import Curve
from agn_bench.base.files import written_aside

# Okabe and Ito's palette: told apart by colour-blind readers; line styles tell them apart in print.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
STYLES = ("-", "--", "-.", ":")

LARGEST_SVG = 300_000
"""Bytes: a larger one is slow to show, takes more room than all of the figure's data, and is not kept."""

_LOOK: dict[Any, Any] = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "legend.frameon": False,
    "svg.hashsalt": "agn-bench",
    "svg.fonttype": "none",
}


@contextmanager
def picture(
    stem: Path,
    rows: int,
    columns: int,
    figsize: tuple[float, float],
    sharex: Literal["none", "row", "all"] = "none",
    sharey: bool = False,
) -> Iterator[tuple[Any, Any, list[Path]]]:
    """A figure to draw on, its axes, and the files that it is written to at the end: `stem`.png, and `stem`.svg unless
    that is larger than LARGEST_SVG.
    """
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot as plt

    png, svg = (stem.with_name(f"{stem.name}.{kind}") for kind in ("png", "svg"))
    paths = [png, svg]
    with mpl.rc_context(_LOOK):
        figure, axes = plt.subplots(rows, columns, figsize=figsize, sharex=sharex, sharey=sharey, layout="constrained")
        try:
            yield figure, axes, paths
            with written_aside(png) as aside:
                figure.savefig(aside, format="png", dpi=160)
            with written_aside(svg) as aside:
                figure.savefig(aside, format="svg", dpi=160, metadata={"Date": None})
            if svg.stat().st_size > LARGEST_SVG:
                svg.unlink()
                paths.remove(svg)
        finally:
            plt.close(figure)


def ordered_colours(count: int) -> list[Any]:
    """So many colours from dark to light, for lines that have an order; told apart by the colour-blind, and in grey."""
    import matplotlib as mpl

    map_ = mpl.colormaps["viridis"]
    return [map_(0.9 * index / max(1, count - 1)) for index in range(count)]


def over_seeds(curves: Sequence[Curve]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Times, mean and sample standard deviation over the seeds, while all of them last; of a single seed, 0."""
    times = np.unique(np.concatenate([curve[0] for curve in curves]))
    times = times[(times >= max(curve[0][0] for curve in curves)) & (times <= min(curve[0][-1] for curve in curves))]
    values = np.array([np.interp(times, *curve) for curve in curves])
    deviation = values.std(axis=0, ddof=1) if len(values) > 1 else np.zeros(len(times))
    return times, values.mean(axis=0), deviation
