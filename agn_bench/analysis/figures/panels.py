"""The paper's pictures: panels of curves with common axes, numbers over workers, paths on the Beale function."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from agn_bench.analysis.figures.curves import TIME, Curves, draw, notes
from agn_bench.analysis.figures.lettering import foot, legend
from agn_bench.analysis.figures.look import COLOURS, STYLES, ordered_colours, picture

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class Line:
    """A configuration's curves."""

    label: str
    curves: Curves
    colour: int | None = None
    """An index into COLOURS, with a line style of its own; None: by its place among the panel's lines."""


@dataclass(frozen=True)
class Panel:
    title: str
    lines: Sequence[Line]
    least: float = 0.8
    """Where the axis of accuracies begins."""


def curves_over_time(panels: Sequence[Panel], stem: Path) -> list[Path]:
    """Training accuracy in panels side by side; each line is the mean over its seeds, its band their deviation."""
    columns = len(panels)
    with picture(stem, 1, columns, figsize=(4.6 * max(columns, 1.3), 3.6)) as (figure, axes, paths):
        for one, panel in zip(np.atleast_1d(axes), panels, strict=True):
            places = [index if line.colour is None else line.colour for index, line in enumerate(panel.lines)]
            drawn = _draw_panel(one, panel, [(COLOURS[place], STYLES[place]) for place in places])
            one.set_xlabel(TIME)
            if drawn:
                legend(one, drawn, loc="best", fontsize=8)
        np.atleast_1d(axes)[0].set_ylabel("training accuracy")
        foot(figure, {}, _notes(panels))
    return paths


def small_multiples(rows: Sequence[Sequence[Panel]], stem: Path, times: Literal["row", "all"]) -> list[Path]:
    """Rows of panels, as many in each, with the axis of times common to a row or to all; their lines have an order,
    and one legend serves all.
    """
    columns = len(rows[0])
    size = (4.6 * columns, 1.6 * len(rows) + 0.5)
    with picture(stem, len(rows), columns, size, sharex=times, sharey=True) as (figure, axes, paths):
        labels = list(dict.fromkeys(line.label for row in rows for panel in row for line in panel.lines))
        colours = dict(zip(labels, ordered_colours(len(labels)), strict=True))
        handles: dict[str, Any] = {}
        for one, panel in zip(axes.ravel(), chain.from_iterable(rows), strict=True):
            handles |= _draw_panel(one, panel, [(colours[line.label], "-") for line in panel.lines], width=1.0)
            one.tick_params(labelsize=8)
        for one in axes[-1]:
            one.set_xlabel(TIME, fontsize=9)
        figure.supylabel("training accuracy", fontsize=9)
        shown = {label: handles[label] for label in labels if label in handles}
        foot(figure, shown, _notes([*chain.from_iterable(rows)]))
    return paths


def _notes(panels: Sequence[Panel]) -> list[str]:
    return notes([line.curves for panel in panels for line in panel.lines if line.curves.each])


def _draw_panel(axes: Axes, panel: Panel, looks: Sequence[tuple[Any, str]], width: float = 1.5) -> dict[str, Any]:
    handles = {}
    for line, (colour, style) in zip(panel.lines, looks, strict=True):
        if line.curves.each:
            handles[line.label], _ = draw(axes, line.curves, colour, style, width)
    axes.set_title(panel.title, fontsize=9)
    axes.set_xlim(left=0)
    axes.set_ylim(panel.least, 1.0)
    return handles


@dataclass(frozen=True)
class Series:
    """Numbers over the number of workers; NaN where there is none."""

    label: str
    values: Any
    deviation: Any = ()
    published: bool = False
    """Drawn open, beside our own."""
    colour: int = 0


def over_workers(
    workers: Sequence[int], panels: Mapping[str, Sequence[Series]], stem: Path, ylabel: str, level: float | None = None
) -> list[Path]:
    """Panels side by side of numbers over workers; published ones dashed, with open markers; a line at `level`."""
    columns = len(panels)
    with picture(stem, 1, columns, figsize=(4.2 * columns, 3.6), sharey=True) as (figure, axes, paths):
        handles: dict[str, Any] = {}
        for one, (title, series) in zip(np.atleast_1d(axes), panels.items(), strict=True):
            for each in series:
                colour = COLOURS[each.colour]
                look = (
                    {"linestyle": "--", "marker": "o", "markerfacecolor": "white"}
                    if each.published
                    else {"linestyle": "-", "marker": "s"}
                )
                deviation = np.nan_to_num(np.asarray(each.deviation, float)) if len(each.deviation) else None
                handles[each.label] = one.errorbar(
                    workers, each.values, yerr=deviation, color=colour, markersize=4, linewidth=1.3, capsize=2, **look
                )
            if level is not None:
                one.axhline(level, color="black", linewidth=0.8)
            one.set_title(title, fontsize=9)
            one.set_xticks(list(workers))
            one.set_xlabel("workers n")
        np.atleast_1d(axes)[0].set_ylabel(ylabel)
        foot(figure, handles, _about_numbers([each for series in panels.values() for each in series]), size=8)
    return paths


def _about_numbers(drawn: Sequence[Series]) -> list[str]:
    """What bars and missing marks are, in sentences."""
    says = []
    bars = [np.isnan(np.asarray(series.deviation, float)) for series in drawn if len(series.deviation)]
    if any((~single).any() for single in bars):
        says.append("A bar is one standard deviation over seeds each way.")
    if any(single.any() for single in bars):
        says.append("Where there is no bar, there is one seed.")
    if any(np.isnan(np.asarray(series.values, float)).any() for series in drawn):
        says.append("Where there is no mark, there are no runs.")
    return says


def beale_paths(
    paths_table: pd.DataFrame,
    function: Callable[[np.ndarray, np.ndarray], np.ndarray],
    minimum: tuple[float, float],
    stem: Path,
) -> list[Path]:
    """The paths (columns path, x, y) over the function's contours."""
    with picture(stem, 1, 1, figsize=(6, 4.2)) as (_, axes, paths):
        x, y = np.meshgrid(np.linspace(-3, 4, 281), np.linspace(-2.4, 1.6, 161))
        levels = np.logspace(-1, 4.5, 16)
        axes.contour(x, y, function(x, y), levels=levels, colors="0.75", linewidths=0.6)
        handles = {}
        for index, (name, points) in enumerate(paths_table.groupby("path", sort=False)):
            look = {"color": COLOURS[index], "linewidth": 1.6}
            (handles[str(name)],) = axes.plot(points["x"], points["y"], STYLES[index], **look)
        axes.plot(*paths_table[["x", "y"]].iloc[0], "ko", markersize=5)
        axes.plot(*minimum, "k*", markersize=10)
        axes.set_xlabel("x")
        axes.set_ylabel("y")
        axes.grid(visible=False)
        legend(axes, handles, loc="upper left")
    return paths
