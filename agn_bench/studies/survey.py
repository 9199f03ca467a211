"""The clock without training: what the timelines of some numbers of workers and local steps say, into a folder.

<folder>/timeline.csv                       one row per cell
<folder>/staleness.csv, commits.csv         of the one cell, if there is but one
<folder>/interrupted.csv                    its phases that were interrupted or lost, if there were any
<folder>/absences.csv                       when its workers were away, if they go away
<folder>/figures/                           staleness and gantt; of several cells growth-rate, or with rules versions
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from agn_bench.analysis.figures.clock import gantt, heat_maps, staleness_histogram
from agn_bench.base import files
from agn_bench.clock.measures import measures, staleness_counts
from agn_bench.clock.rules import ASYNCHRONOUS
from agn_bench.clock.trace import Trace
from agn_bench.config.run import RunConfig
from agn_bench.execution.one import settled
from agn_bench.training import columns, remarks
from agn_bench.training.timing import timelines_of

if TYPE_CHECKING:
    import pandas as pd

GANTT_S = 60.0
_OF_ONE_KIND = (
    "staleness.csv",
    "commits.csv",
    "interrupted.csv",
    "absences.csv",
    *(
        f"figures/{name}.{kind}"
        for name in ("staleness", "gantt", "growth-rate", "versions")
        for kind in ("png", "svg")
    ),
)
"""What a survey of one cell leaves, or one of several, but not both."""


def survey(
    configs: Sequence[RunConfig],
    exchanges: int | None,
    folder: Path,
    facts: Callable[[], dict[str, Any]],
    on_cell: Callable[[str], None] = lambda text: None,
) -> tuple[list[dict[str, Any]], list[Path], dict[str, list[str]]]:
    """Simulate every cell's timeline and write what it says.

    Args:
        configs: cells that differ in the number of workers or of local steps.
        facts: says what is known of the making (command, machine, date), for provenance.json.

    Returns:
        The rows, the pictures, and by each cell that has some the remarks about it (see training.remarks).

    Raises:
        BadInput: delays were asked for together with a recorded timeline, and give another one.
    """
    import pandas as pd

    rows, remarked = [], {}
    cells = list(settled(configs))
    for config, timeline in zip(cells, timelines_of(cells, exchanges), strict=True):
        cell = {
            "optimizer": config.optimizer.text,
            "workers": config.workers,
            "local_steps": config.local_steps,
            **({} if config.local_steps_rule is None else {"local_steps_rule": config.local_steps_rule.text}),
            "delays": config.delays.name,
            "seed": config.seed,
        }
        rows.append({**cell, **measures(timeline, exchanges is not None, config.channels)})
        called = f"{config.workers} workers, {config.local_steps} local steps"
        if exchanges is None:
            recorded = isinstance(config.delays, Trace)
            remarked[called] = [
                *([] if recorded else remarks.of_plan(config)),
                *remarks.of_timeline(timeline, recorded),
                *remarks.of_recorded(config, timeline),
            ]
        on_cell(called)
    for name in _OF_ONE_KIND:  # of an earlier survey, which this one replaces
        (folder / name).unlink(missing_ok=True)
    files.write_table(folder / "timeline.csv", rows)
    if len(configs) == 1:
        staleness, commits = pd.DataFrame(staleness_counts(timeline)), pd.DataFrame(columns.commits(timeline))
        files.write_table(folder / "staleness.csv", staleness)
        files.write_table(folder / "commits.csv", commits)
        lost = pd.DataFrame(columns.interrupted(timeline))
        away = pd.DataFrame(columns.absences(timeline))
        for name, table in (("interrupted", lost), ("absences", away)):
            if len(table):
                files.write_table(folder / f"{name}.csv", table)
        pictures = staleness_histogram(staleness, timeline.workers, folder / "figures" / "staleness")
        pictures += gantt(commits, lost, away, timeline.workers, GANTT_S, folder / "figures" / "gantt")
    else:
        growth, name = "growth rate of AGN", "growth-rate"
        steps = "gradient steps per simulated second"
        maps = {growth: grid(rows, "growth_rate"), steps: grid(rows, "gradient_steps_per_s")}
        if configs[0].rules != ASYNCHRONOUS:  # the growth rate is that of workers which go on at once
            name, maps[growth] = "versions", grid(rows, "versions_per_s")
            versions = "versions per simulated second"
            maps = {versions if title is growth else title: table for title, table in maps.items()}
        blank = "there are too few exchanges to tell"
        pictures = heat_maps(maps, folder / "figures" / name, around_0=[growth], blank=blank)
    files.record_provenance(folder, {"timeline": facts()})
    return rows, pictures, {called: found for called, found in remarked.items() if found}


def grid(rows: Sequence[dict[str, Any]], column: str) -> pd.DataFrame:
    """One column of the cells' rows as a table of workers by local steps; NaN where there is no cell."""
    import pandas as pd

    table: pd.DataFrame = pd.DataFrame(rows).pivot_table(
        index="workers", columns="local_steps", values=column, aggfunc="mean", dropna=False
    )
    return table.replace([np.inf, -np.inf], np.nan)
