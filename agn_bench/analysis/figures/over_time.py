"""A measure against simulated time, or along another axis, one line per configuration."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from agn_bench.analysis.arrangement import Arrangement, Line, Look
from agn_bench.analysis.comparison import Configuration
from agn_bench.analysis.figures.curves import Curves, draw, notes
from agn_bench.analysis.figures.lettering import USUAL_SIZE, foot, heading, sized, title, wrapped
from agn_bench.analysis.figures.look import AS_EVER, COLOURS, STYLES, Layout, logarithmic, ordered_colours, picture
from agn_bench.analysis.measures import Measured

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_GOOD = 0.1
"""Configurations whose accuracy comes this near to the best one's are drawn in detail."""
_WELL_BEFORE = 0.9
"""A line ends early if it does before so much of its runs' time."""
_SMALL = 4
"""More panels in a row are drawn smaller."""
_ROOM_FOR_DETAIL = 5.5
"""Inches: a narrower figure has no second view of the upper end."""
_NARROWEST, _LOWEST = 1.4, 1.4
"""Inches of a panel of a figure whose width is given."""
_DECADE = 10
"""Values that are positive and span more than this are drawn logarithmically, but for fractions."""
_MARGIN = 0.05
"""The room above and below what is drawn on axes, as a part of their height."""


def over_time(arrangement: Arrangement, measure: Measured, stem: Path, layout: Layout = AS_EVER) -> list[Path]:
    """Draw the curves along their axis, which is time if nothing else is said (see comparison.along); write `stem`.png
    and `stem`.svg, or what the layout says.

    A line is the mean over seeds while all of them last, its band one standard deviation to either side. A single panel
    of fractions, which go from 0 to 1, has its upper end in detail beside it, if the figure is wide enough. Other
    measures have axes as high as their lines, logarithmic if these are positive and span more than a decade.
    """
    roomy = layout.width is None or layout.width >= _ROOM_FOR_DETAIL
    detailed = len(arrangement.panels) == 1 and measure.is_fraction and roomy
    return (_whole_and_detail if detailed else _in_panels)(arrangement, measure, stem, layout)


def _whole_and_detail(arrangement: Arrangement, measure: Measured, stem: Path, layout: Layout) -> list[Path]:
    (panel,) = arrangement.panels
    width = layout.width or 9
    with picture(stem, 1, 2, (width, max(_LOWEST, 3.4 * width / 9)), layout=layout) as (figure, both, paths):
        whole, detail = both
        handles, means = {}, []
        for line in panel.lines:
            for axes in both:
                handles[line.label], mean = _draw(axes, line)
            means.append(mean)
        whole.set_ylim(0, 1)
        detail.set_ylim(*_detail_range(means))
        title(whole, panel.title or "whole", 4 * width / 9)
        title(detail, "the upper end in detail", 4 * width / 9)
        for axes in both:
            axes.set_xlabel(_along(figure, arrangement, layout, 4 * width / 9))
            axes.set_xlim(left=0)
        whole.set_ylabel(_up(figure, measure, layout, figure.get_figheight()))
        _explain(figure, arrangement, handles, layout)
    return paths


def _in_panels(arrangement: Arrangement, measure: Measured, stem: Path, layout: Layout) -> list[Path]:
    """All with the same axes."""
    count, width = len(arrangement.panels), arrangement.width
    if layout.width is not None:
        width = min(width, max(1, int(layout.width / _NARROWEST)))
    rows = -(-count // width)
    small = width > _SMALL or rows > 2
    across, high = _panel_size(width, small, layout)
    with picture(stem, rows, width, (across * width, high * rows), "all", True, layout) as (figure, grid, paths):
        handles, means = {}, []
        flat = np.atleast_1d(grid).ravel()
        for axes, panel in zip(flat, arrangement.panels, strict=False):
            for line in panel.lines:
                handles[line.label], mean = _draw(axes, line, 1.2 if small else 1.6)
                means.append(mean)
            title(axes, panel.title, 0.85 * across, 8 if small else 9)
            axes.tick_params(labelsize=sized(7 if small else 9))
        empty = [not panel.lines for panel in arrangement.panels] + [True] * (len(flat) - count)
        size = 8 if small else 10
        for place, axes in enumerate(flat):
            axes.set_visible(not empty[place])
            if place + width >= len(flat) or empty[place + width]:  # nothing stands under it
                axes.tick_params(labelbottom=True)
                axes.set_xlabel(_along(figure, arrangement, layout, across, size), fontsize=sized(size))
            if place % width == 0 or empty[place - 1]:
                axes.tick_params(labelleft=True)
                axes.set_ylabel(_up(figure, measure, layout, high, size), fontsize=sized(size))
        flat[0].set_xlim(left=0)
        if measure.is_fraction:
            lows = [float(mean[len(mean) // 10 :].min()) for mean in means]  # what was there after a tenth of the time
            flat[0].set_ylim(np.floor(10 * min(lows)) / 10, 1)
        else:
            _fit(flat[0], np.concatenate(means))
        _explain(figure, arrangement, handles, layout)
    return paths


def _panel_size(columns: int, small: bool, layout: Layout) -> tuple[float, float]:
    """How wide and how high a panel is, in inches."""
    if layout.width is None:
        return (2.2, 1.7) if small else (max(3.2, 9.6 / columns), 3.2)
    across = layout.width / columns
    return across, min(3.2, max(_LOWEST, 0.7 * across))


def _along(figure: Any, arrangement: Arrangement, layout: Layout, inches: float, size: float = USUAL_SIZE) -> str:
    """What stands under axes that are so wide."""
    axis = next(line.configuration.axis for panel in arrangement.panels for line in panel.lines)
    return wrapped(figure, axis.label if layout.xlabel is None else layout.xlabel, 0.85 * inches, sized(size))


def _up(figure: Any, measure: Measured, layout: Layout, inches: float, size: float = USUAL_SIZE) -> str:
    """What stands beside axes that are so high."""
    return wrapped(figure, measure.name if layout.ylabel is None else layout.ylabel, inches, sized(size))


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
    measure = configuration.measure
    diverged = (configuration.runs["status"] == "diverged").to_numpy()
    ends = {curve[1][-1]: None for curve, is_so in zip(configuration.curves, diverged, strict=True) if is_so}
    counts_as = "chance" if measure.is_fraction else " or ".join(map(measure.value, ends))
    return Curves(configuration.curves, configuration.divergences, measure.is_of_center, counts_as)


def _colour(look: Look) -> Any:
    return ordered_colours(look.ordered)[look.colour] if look.ordered else COLOURS[look.colour]


def _explain(figure: Any, arrangement: Arrangement, handles: dict[str, Any], layout: Layout) -> None:
    """A title, a legend, and what lines and bands are."""
    lines = [line for panel in arrangement.panels for line in panel.lines]
    drawn = [_curves(line.configuration) for line in lines]
    shown = {}
    for label in arrangement.labels:
        own = [curves for line, curves in zip(lines, drawn, strict=True) if line.label == label]
        runs, diverged = sum(len(one.each) for one in own), sum(len(one.diverged) for one in own)
        shown[f"{label} ({diverged} of {runs} runs diverged)" if diverged else label] = handles[label]
    heading(figure, layout.title)
    foot(figure, shown, [*notes(drawn), *_early_ends(lines)] if layout.noted else [])


def _early_ends(lines: Sequence[Line]) -> list[str]:
    """Why a line ends while its runs go on, if one does."""
    ends = [min(curve[0][-1] for curve in line.configuration.curves) for line in lines]
    early = any(end < _WELL_BEFORE * line.configuration.horizon for end, line in zip(ends, lines, strict=True))
    says = "A line ends before its runs do where their last local phases were not finished: those are not counted."
    return [says] if early else []


def _detail_range(means: Sequence[np.ndarray]) -> tuple[float, float]:
    """From what the worst of the good configurations has after a quarter of its time, up to 1."""
    best = max(float(mean.max()) for mean in means)
    good = [mean for mean in means if mean.max() > best - _GOOD]
    return np.floor(20 * min(float(mean[len(mean) // 4]) for mean in good)) / 20, 1.0
