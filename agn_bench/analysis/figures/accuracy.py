"""Accuracy against simulated time, one line per configuration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from agn_bench.analysis.comparison import Configuration
from agn_bench.analysis.figures.look import COLOURS, STYLES, over_seeds, picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SAYS = {"train_accuracy": "training accuracy", "test_accuracy": "test accuracy"}
_GOOD = 0.1
"""Configurations that come this near to the best one are drawn in detail."""


def accuracy_over_time(configurations: Sequence[Configuration], accuracy: str, stem: Path) -> list[Path]:
    """Draw the curves whole and, beside them, the upper end in detail; write `stem`.png and `stem`.svg.

    A line is the mean over seeds while all of them last, its band one standard deviation to either side.
    """
    with picture(stem, 1, 2, figsize=(9, 3.8)) as (figure, (whole, detail), paths):
        means = []
        for index, configuration in enumerate(configurations):
            times, mean, std = over_seeds(configuration.curves)
            means.append(mean)
            for axes in (whole, detail):
                _draw(axes, index, configuration, times, mean, std)
        whole.set_ylim(0, 1)
        detail.set_ylim(*_detail_range(means))
        for axes in (whole, detail):
            axes.set_xlabel("simulated time (s)")
            axes.set_xlim(left=0)
        whole.set_ylabel(_SAYS[accuracy])
        figure.legend(*whole.get_legend_handles_labels(), loc="outside lower center", ncols=min(len(configurations), 4))
    return paths


def accuracy_in_panels(groups: Mapping[str, Sequence[Configuration]], accuracy: str, stem: Path) -> list[Path]:
    """Draw the curves of each group in a panel of its own, with the same look for the same label in all of them."""
    labels = list(dict.fromkeys(one.label for group in groups.values() for one in group))
    with picture(stem, 1, len(groups), figsize=(4.2 * max(len(groups), 1.4), 4.2), sharey=True) as (
        figure,
        axes,
        paths,
    ):
        handles: dict[str, Any] = {}
        lows = []
        for one, (title, group) in zip(np.atleast_1d(axes), groups.items(), strict=True):
            for configuration in group:
                times, mean, std = over_seeds(configuration.curves)
                lows.append(float(mean[len(mean) // 10 :].min()))
                _draw(one, labels.index(configuration.label), configuration, times, mean, std)
            handles |= dict(zip(*reversed(one.get_legend_handles_labels()), strict=True))
            one.set_title(title, fontsize=9)
            one.set_xlabel("simulated time (s)")
            one.set_xlim(left=0)
        np.atleast_1d(axes)[0].set_ylim(np.floor(10 * min(lows)) / 10, 1)  # what was there after a tenth of the time
        np.atleast_1d(axes)[0].set_ylabel(_SAYS[accuracy])
        figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=4, fontsize=8)
    return paths


def _draw(
    axes: Axes, index: int, configuration: Configuration, times: np.ndarray, mean: np.ndarray, std: np.ndarray
) -> None:
    colour = COLOURS[index % len(COLOURS)]
    seeds = len(configuration.curves)
    label = f"{configuration.label} ({seeds} seed{'s' if seeds > 1 else ''})"
    style = STYLES[(index + 2 * (index // len(COLOURS))) % len(STYLES)]
    axes.plot(times, mean, style, color=colour, label=label, linewidth=1.6)
    axes.fill_between(times, mean - std, mean + std, color=colour, alpha=0.2, linewidth=0)


def _detail_range(means: Sequence[np.ndarray]) -> tuple[float, float]:
    """From what the worst of the good configurations has after a quarter of its time, up to 1."""
    best = max(float(mean.max()) for mean in means)
    good = [mean for mean in means if mean.max() > best - _GOOD]
    return np.floor(20 * min(float(mean[len(mean) // 4]) for mean in good)) / 20, 1.0
