"""A measure against simulated time, one line per configuration."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from agn_bench.analysis.arrangement import Arrangement, Line, Look
from agn_bench.analysis.comparison import Configuration
from agn_bench.analysis.figures.curves import TIME, Curves, draw, notes
from agn_bench.analysis.figures.lettering import foot, title
from agn_bench.analysis.figures.look import COLOURS, STYLES, logarithmic, ordered_colours, picture
from agn_bench.analysis.measures import Measured

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_GOOD = 0.1
"""Configurations whose accuracy comes this near to the best one's are drawn in detail."""
_WELL_BEFORE = 0.9
"""A line ends early if it does before so much of its runs' time."""
_SMALL = 4
"""More panels in a row are drawn smaller."""
_DECADE = 10
"""Values that are positive and span more than this are drawn logarithmically, but for fractions."""
_MARGIN = 0.05
"""Of the height of axes, above and below what is drawn on them."""


def over_time(arrangement: Arrangement, measure: Measured, stem: Path) -> list[Path]:
    """Draw the curves; write `stem`.png and `stem`.svg.

    A line is the mean over seeds while all of them last, its band one standard deviation to either side. A single panel
    of fractions, which go from 0 to 1, has its upper end in detail beside it. Other measures have axes as high as their
    lines, logarithmic if these are positive and span more than a decade.
    """
    detailed = len(arrangement.panels) == 1 and measure.is_fraction
    return (_whole_and_detail if detailed else _in_panels)(arrangement, measure, stem)


def _whole_and_detail(arrangement: Arrangement, measure: Measured, stem: Path) -> list[Path]:
    (panel,) = arrangement.panels
    with picture(stem, 1, 2, figsize=(9, 3.4)) as (figure, (whole, detail), paths):
        handles, means = {}, []
        for line in panel.lines:
            for axes in (whole, detail):
                handles[line.label], mean = _draw(axes, line)
            means.append(mean)
        whole.set_ylim(0, 1)
        detail.set_ylim(*_detail_range(means))
        title(whole, panel.title or "whole", 4)
        title(detail, "the upper end in detail", 4)
        for axes in (whole, detail):
            axes.set_xlabel(TIME)
            axes.set_xlim(left=0)
        whole.set_ylabel(measure.name)
        _explain(figure, arrangement, handles)
    return paths


def _in_panels(arrangement: Arrangement, measure: Measured, stem: Path) -> list[Path]:
    """All with the same axes."""
    width, count = arrangement.width, len(arrangement.panels)
    rows = -(-count // width)
    small = width > _SMALL or rows > 2
    across, high = (2.2, 1.7) if small else (max(3.2, 9.6 / width), 3.2)
    with picture(stem, rows, width, (across * width, high * rows), sharex="all", sharey=True) as (
        figure,
        grid,
        paths,
    ):
        handles, means = {}, []
        flat = np.atleast_1d(grid).ravel()
        for axes, panel in zip(flat, arrangement.panels, strict=False):
            for line in panel.lines:
                handles[line.label], mean = _draw(axes, line, 1.2 if small else 1.6)
                means.append(mean)
            title(axes, panel.title, 0.85 * across, 8 if small else 9)
            axes.tick_params(labelsize=7 if small else 9)
        empty = [not panel.lines for panel in arrangement.panels] + [True] * (len(flat) - count)
        for place, axes in enumerate(flat):
            axes.set_visible(not empty[place])
            if place + width >= len(flat) or empty[place + width]:  # nothing stands under it
                axes.tick_params(labelbottom=True)
                axes.set_xlabel(TIME, fontsize=8 if small else 10)
            if place % width == 0 or empty[place - 1]:
                axes.tick_params(labelleft=True)
                axes.set_ylabel(measure.name, fontsize=8 if small else 10)
        flat[0].set_xlim(left=0)
        if measure.is_fraction:
            lows = [float(mean[len(mean) // 10 :].min()) for mean in means]  # what was there after a tenth of the time
            flat[0].set_ylim(np.floor(10 * min(lows)) / 10, 1)
        else:
            _fit(flat[0], np.concatenate(means))
        _explain(figure, arrangement, handles)
    return paths


def _fit(axes: Axes, values: np.ndarray) -> None:
    """Let axes be as high as what is drawn on them."""
    seen = values[np.isfinite(values)]
    low, high = float(seen.min(initial=np.inf)), float(seen.max(initial=-np.inf))
    if low > high:
        return
    if low > 0 and high > _DECADE * low:
        logarithmic(axes)
        room = (high / low) ** _MARGIN
        axes.set_ylim(low / room, high * room)
    else:
        room = _MARGIN * (high - low or abs(high) or 1)
        axes.set_ylim(low - room, high + room)


def _draw(axes: Axes, line: Line, width: float = 1.6) -> tuple[Any, np.ndarray]:
    return draw(axes, _curves(line.configuration), _colour(line.look), STYLES[line.look.style], width)


def _curves(configuration: Configuration) -> Curves:
    runs, measure = configuration.runs, configuration.measure
    diverged = (runs["status"] == "diverged").to_numpy()
    ends = {curve[1][-1]: None for curve, is_so in zip(configuration.curves, diverged, strict=True) if is_so}
    counts_as = "chance" if measure.is_fraction else " or ".join(map(measure.value, ends))
    return Curves(configuration.curves, runs["diverged_s"][diverged].tolist(), measure.is_of_center, counts_as)


def _colour(look: Look) -> Any:
    return ordered_colours(look.ordered)[look.colour] if look.ordered else COLOURS[look.colour]


def _explain(figure: Any, arrangement: Arrangement, handles: dict[str, Any]) -> None:
    """A legend, and what lines and bands are."""
    lines = [line for panel in arrangement.panels for line in panel.lines]
    drawn = [_curves(line.configuration) for line in lines]
    shown = {}
    for label in arrangement.labels:
        own = [curves for line, curves in zip(lines, drawn, strict=True) if line.label == label]
        runs, diverged = sum(len(one.each) for one in own), sum(len(one.diverged_s) for one in own)
        shown[f"{label} ({diverged} of {runs} runs diverged)" if diverged else label] = handles[label]
    foot(figure, shown, [*notes(drawn), *_early_ends(lines)])


def _early_ends(lines: Sequence[Line]) -> list[str]:
    """Why a line ends while its runs go on, if one does."""
    ends = [min(curve[0][-1] for curve in line.configuration.curves) for line in lines]
    early = any(end < _WELL_BEFORE * line.configuration.horizon_s for end, line in zip(ends, lines, strict=True))
    says = "A line ends before its runs do where their last local phases were not finished: those are not counted."
    return [says] if early else []


def _detail_range(means: Sequence[np.ndarray]) -> tuple[float, float]:
    """From what the worst of the good configurations has after a quarter of its time, up to 1."""
    best = max(float(mean.max()) for mean in means)
    good = [mean for mean in means if mean.max() > best - _GOOD]
    return np.floor(20 * min(float(mean[len(mean) // 4]) for mean in good)) / 20, 1.0
