"""The clock in pictures: how stale, who did what when, where AGN is stable, how well a fit fits."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from agn_bench.analysis.figures.curves import TIME
from agn_bench.analysis.figures.lettering import foot, legend, readable, title
from agn_bench.analysis.figures.look import COLOURS, STYLES, picture

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

_ACTIVITIES = (
    ("compute", ("start_s", "compute_end_s"), COLOURS[0]),
    ("network", ("compute_end_s", "arrive_s"), COLOURS[5]),
    ("wait", ("arrive_s", "served_s"), "#DDDDDD"),
    ("service", ("served_s", "applied_s"), COLOURS[1]),
    ("wait for others", ("applied_s", "answered_s"), COLOURS[3]),
    ("network", ("answered_s", "resume_s"), COLOURS[5]),
)
"""What a worker does between two events of commits.csv, and its colour."""

_MOST_ROWS = 60
_MOST_EXCHANGES = 2000
_MOST_BARS = 200
_MARKERS = ("o", "s", "^", "D")


def staleness_histogram(staleness: pd.DataFrame, workers: int, stem: Path) -> list[Path]:
    """How often each staleness occurred (columns staleness, exchanges), beside n − 1, its mean in the long run."""
    with picture(stem, 1, 1, figsize=(6, 3.4)) as (_, axes, paths):
        width = -(-len(staleness) // _MOST_BARS)
        bars = staleness["exchanges"].groupby(staleness["staleness"] // width).sum() / staleness["exchanges"].sum()
        # A bar stands over the values it counts, each value τ in the middle of [τ − 1/2, τ + 1/2).
        counted = axes.bar(bars.index * width - 0.5, bars, width=width, align="edge", color=COLOURS[0])
        mean = axes.axvline(workers - 1, color=COLOURS[1], linestyle=STYLES[1])
        axes.set_xlabel("staleness τ (versions)")
        axes.set_ylabel("fraction of the exchanges")
        axes.set_xlim(left=-0.5)
        legend(axes, {"exchanges": counted, f"n − 1 = {workers - 1}": mean}, loc="upper right")
    return paths


def gantt(
    commits: pd.DataFrame, interrupted: pd.DataFrame, absences: pd.DataFrame, workers: int, until_s: float, stem: Path
) -> list[Path]:
    """What every worker does in the first `until_s` seconds, from the columns of commits.csv, interrupted.csv and
    absences.csv.

    At most the first 60 workers and 2,000 of their exchanges: less time where more happens.
    """
    rows = min(workers, _MOST_ROWS)
    with picture(stem, 1, 1, figsize=(9, 1.6 + 0.14 * rows)) as (figure, axes, paths):
        handles = activities(axes, commits, interrupted, workers, until_s, absences)
        axes.set_xlabel(TIME)
        axes.set_ylabel("worker" if workers <= _MOST_ROWS else f"worker (the first {_MOST_ROWS} of {workers})")
        foot(figure, handles, [])
    return paths


def activities(
    axes: Axes,
    commits: pd.DataFrame,
    interrupted: pd.DataFrame,
    workers: int,
    until_s: float,
    absences: pd.DataFrame | None = None,
) -> dict[str, Any]:
    """What `gantt` shows, on axes; by their names the handles of a legend. To be called inside of `picture`."""
    import pandas as pd
    from matplotlib.collections import PolyCollection

    answered = commits["answered"].to_numpy()
    left = np.where(answered < 0, commits["applied_s"].max(), commits["applied_s"].to_numpy()[answered])
    commits = commits.assign(answered_s=left, resume_s=commits["resume_s"].fillna(pd.Series(left, commits.index)))
    shown = commits[commits["worker"] < _MOST_ROWS].sort_values("start_s")
    until_s = min(until_s, float(shown["resume_s"].max())) or 1.0
    if len(shown) > _MOST_EXCHANGES and shown["start_s"].iloc[_MOST_EXCHANGES] > 0:
        until_s = min(until_s, float(shown["start_s"].iloc[_MOST_EXCHANGES]))
    shown = shown[shown["start_s"] < until_s][:_MOST_EXCHANGES]
    low, high = shown["worker"] - 0.4, shown["worker"] + 0.4
    handles: dict[str, Any] = {}
    for name, (begin, end), colour in _ACTIVITIES:
        corners = ((begin, low), (end, low), (end, high), (begin, high))
        bars = np.stack([np.stack([shown[x], y], axis=1) for x, y in corners], axis=1)
        drawn = axes.add_collection(PolyCollection(list(bars), facecolors=colour, linewidths=0))
        if name != "wait for others" or (shown[begin] < shown[end]).any():
            handles.setdefault(name, drawn)
    lost = interrupted[(interrupted["worker"] < _MOST_ROWS) & (interrupted["start_s"] < until_s)][:_MOST_EXCHANGES]
    if len(lost):
        lasted = lost["end_s"] - lost["start_s"]
        name = "interrupted or lost" if absences is not None and len(absences) else "interrupted"
        handles[name] = axes.barh(lost["worker"], lasted, 0.8, lost["start_s"], color=COLOURS[4])
    if absences is not None and len(absences):
        away = absences[(absences["worker"] < _MOST_ROWS) & (absences["from_s"] < until_s)][:_MOST_EXCHANGES]
        lasted = away["until_s"].fillna(until_s).clip(upper=until_s) - away["from_s"]
        hatched: dict[str, Any] = {"facecolor": "white", "edgecolor": "0.35", "hatch": "////", "linewidth": 0.5}
        handles["away"] = axes.barh(away["worker"], lasted, 0.8, away["from_s"], **hatched)
    axes.set_xlim(0, until_s)
    axes.set_ylim(min(workers, _MOST_ROWS) - 0.4, -0.6)
    axes.grid(visible=False)
    return handles


def heat_maps(
    maps: Mapping[str, pd.DataFrame],
    stem: Path,
    digits: int = 2,
    alike: Collection[str] = (),
    around_0: Collection[str] = (),
    blank: str = "there are no runs",
) -> list[Path]:
    """Tables of workers (rows) by local steps (columns) side by side, each cell with its number.

    Args:
        maps: the tables by their titles.
        alike: those coloured by one common range; the others have their own.
        around_0: those that have two colours, which meet at 0, where AGN turns unstable.
        blank: why a cell has no number, said under the maps if one has none.
    """
    common = _range([maps[name] for name in alike])
    rows, columns = (max(table.shape[axis] for table in maps.values()) for axis in (0, 1))
    wide, high = max(4.4, 0.45 * columns + 1.2), max(4.0, 0.36 * rows + 1.2)
    with picture(stem, 1, len(maps), figsize=(wide * len(maps), high)) as (figure, axes, paths):
        for one, (name, table) in zip(np.atleast_1d(axes), maps.items(), strict=True):
            title(one, name, 0.85 * wide, 10)
            _heat_map(one, table, digits, common if name in alike else _range([table]), name in around_0)
        says = ["A growth rate above 0, in bold, is unstable."] if any(name in around_0 for name in maps) else []
        if any(table.isna().any(axis=None) for table in maps.values()):
            says.append(f"Where a cell is blank, {blank}.")
        foot(figure, {}, says)
    return paths


def _range(tables: Sequence[pd.DataFrame]) -> tuple[float, float]:
    """The least and the largest number of the tables."""
    values = np.concatenate([np.empty(0), *(table.to_numpy(dtype=float).ravel() for table in tables)])
    known = values[np.isfinite(values)]
    return (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)


def _heat_map(axes: Axes, table: pd.DataFrame, digits: int, between: tuple[float, float], around_0: bool) -> None:
    values = table.to_numpy(dtype=float)
    map_, (least, most) = ("RdBu_r", (-0.5, 0.5)) if around_0 else ("cividis", between)
    image = axes.imshow(values, aspect="auto", cmap=map_, vmin=least, vmax=most)
    for (row, column), value in np.ndenumerate(values):
        red, green, blue, _ = image.cmap(image.norm(value))
        dark = 0.3 * red + 0.6 * green + 0.1 * blue < 0.5
        text = f"{value:.{digits}f}" if np.isfinite(value) else ""
        weight = "bold" if around_0 and value > 0 else "normal"
        axes.text(
            column, row, text, ha="center", va="center", color="white" if dark else "black", fontsize=8, weight=weight
        )
    axes.set_xticks(range(len(table.columns)), [readable(str(name)) for name in table.columns])
    axes.set_yticks(range(len(table.index)), [readable(str(name)) for name in table.index])
    axes.set_xlabel("local steps λ")
    axes.set_ylabel("workers n")
    axes.grid(visible=False)


def advice_by_workers(rows: Sequence[Mapping[str, Any]], stem: Path) -> list[Path]:
    """What is advised for each number of workers, from the rows of advice.csv: a line for each optimizer."""
    shown = {
        "local_steps": "local steps to take, λ",
        "gradient_steps_per_s": "gradient steps per simulated second",
        "server_utilization": "share of the time that the server is busy",
    }
    names = list(dict.fromkeys(str(row["optimizer"]) for row in rows))
    looks = {name: (COLOURS[i % len(COLOURS)], STYLES[i % len(STYLES)]) for i, name in enumerate(names)}
    with picture(stem, 1, len(shown), figsize=(3.6 * len(shown), 3.2)) as (figure, panels, paths):
        handles = {}
        for axes, (column, heading) in zip(np.ravel(panels), shown.items(), strict=True):
            for name in names:
                own = [row for row in rows if row["optimizer"] == name]
                colour, style = looks[name]
                numbers = [row["workers"] for row in own], [row[column] for row in own]
                (handles[readable(name)],) = axes.plot(
                    *numbers, color=colour, linestyle=style, marker="o", markersize=3
                )
            axes.set_xlabel("workers, n")
            axes.set_ylim(bottom=0)
            title(axes, heading, 3.2)
        foot(figure, handles if len(names) > 1 else {}, [])
    return paths


def measured_against_simulated(cells: pd.DataFrame, stem: Path) -> list[Path]:
    """Every measured run beside its simulation (columns of cells.csv), and the errors over workers and local steps."""
    columns = cells["column"].unique().tolist()
    with picture(stem, 1, 2, figsize=(9, 4.0)) as (figure, (seconds, error), paths):
        from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter

        handles: dict[str, Any] = {}
        for index, column in enumerate(columns):
            rows = cells[cells["column"] == column]
            label = f"{column} ({rows['role'].iloc[0]})"
            look: dict[str, Any] = {
                "marker": _MARKERS[index % len(_MARKERS)],
                "color": COLOURS[index % len(COLOURS)],
                "alpha": 0.7,
                "s": 22,
            }
            handles[label] = seconds.scatter(rows["measured_s"], rows["simulated_s"], **look)
            error.scatter(rows["measured_s"], 100 * rows["error"], **look)
        low, high = cells["measured_s"].min() * 0.9, cells["measured_s"].max() * 1.1
        seconds.plot([low, high], [low, high], color="black", linewidth=0.8)
        error.axhline(0, color="black", linewidth=0.8)
        seconds.set_yscale("log")
        for axes in (seconds, error):
            axes.set_xscale("log")
            axes.set_xlabel("measured seconds (wall clock)")
        for axis in (seconds.xaxis, seconds.yaxis, error.xaxis):
            axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.set_major_formatter(ScalarFormatter())
            axis.set_minor_formatter(NullFormatter())
        seconds.set_ylabel(TIME)
        error.set_ylabel("error (%)")
        foot(figure, handles, [])
    return paths
