"""The clock without training: what the timelines of some numbers of workers and local steps say, into a folder.

<folder>/timeline.csv                       a row a cell
<folder>/staleness.csv, commits.csv         of the one cell, if there is but one
<folder>/figures/                           staleness and gantt, or growth-rate of several cells
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from agn_bench import results
from agn_bench.clock import active_timeline, message_bytes, timeline_of
from agn_bench.config import RunConfig, auto_local_steps, resolve
from agn_bench.figures.clock import gantt, heat_maps, staleness_histogram
from agn_bench.inputs import BadInput, whole_number
from agn_bench.timeline.measures import measures, staleness_counts
from agn_bench.timeline.record import Timeline
from agn_bench.timeline.trace import Trace

if TYPE_CHECKING:
    import pandas as pd

GANTT_S = 60.0
MOST_EXCHANGES = 10_000_000
MOST_WORKERS = 1_000_000
_MOST_CELLS = 10_000


def cells(options: Mapping[str, object], exchanges: int | None) -> list[RunConfig]:
    """A configuration for every pair of a number of workers and one of local steps.

    Args:
        options: as config.resolve takes them, but `workers` and `local_steps` may be several, as in `10,20`.
        exchanges: of each timeline, whatever the work; None: until the work is done.

    Raises:
        BadInput: as of config.resolve, or more workers, exchanges or cells than fit into memory.
    """
    lists = [_parts(options.get(name)) for name in ("workers", "local_steps")]
    if len(lists[0]) * len(lists[1]) > _MOST_CELLS:
        shown = f"with {len(lists[0])} numbers and --local-steps with {len(lists[1])}"
        raise BadInput("workers", shown, "too many cells", f"up to {_MOST_CELLS} cells")
    cell = _cell_of_work if exchanges is None else _cell_without_end
    return [cell({**options, "workers": n, "local_steps": steps}) for n, steps in product(*lists)]


def _parts(value: object) -> list[str | None]:
    return [None] if value is None else [part.strip() for part in str(value).split(",")]


def _cell_of_work(options: Mapping[str, object]) -> RunConfig:
    config = resolve(options)
    if config.exchanges > MOST_EXCHANGES:
        problem = f"{config.exchanges} exchanges are too many"
        raise BadInput("gradient_steps", config.gradient_steps, problem, f"work for up to {MOST_EXCHANGES}")
    return config


def _cell_without_end(options: Mapping[str, object]) -> RunConfig:
    """Without a look at the work, which does not end the timeline."""
    for name in ("timeline", "epochs", "gradient_steps"):
        if options.get(name) is not None:
            accepted = f"one of --exchanges and --{name.replace('_', '-')}"
            raise BadInput(name, options[name], "given together with --exchanges", accepted)
    config = resolve({**options, "workers": None, "local_steps": None})
    given = options.get("workers")
    workers = config.workers if given is None else whole_number("workers", given, 1, MOST_WORKERS)
    steps = options.get("local_steps")
    automatic = steps is None or steps == "auto"
    local_steps = auto_local_steps(workers) if automatic else whole_number("local_steps", steps, 1, 10**9, "or auto")
    return replace(config, workers=workers, local_steps=local_steps)


def simulate_cell(config: RunConfig, exchanges: int | None) -> Timeline:
    """The timeline of the configuration's work, or its first `exchanges` with all workers still active."""
    if exchanges is None or isinstance(config.delays, Trace):
        return timeline_of(config)
    return active_timeline(
        config.delays, config.seed, config.workers, config.local_steps, message_bytes(config), exchanges
    )


def survey(
    configs: Sequence[RunConfig],
    exchanges: int | None,
    folder: Path,
    facts: dict[str, Any],
    on_cell: Callable[[dict[str, Any]], None] = lambda row: None,
) -> tuple[list[dict[str, Any]], list[Path]]:
    """Simulate every cell's timeline and write what it says; return the rows and the pictures.

    Args:
        configs: cells that differ in the number of workers or of local steps.
        facts: what is known of the making (command, machine, date), for provenance.json.
    """
    import pandas as pd

    rows = []
    for config in configs:
        timeline = simulate_cell(config, exchanges)
        cell = {
            "workers": config.workers,
            "local_steps": config.local_steps,
            "delays": config.delays.name,
            "seed": config.seed,
        }
        rows.append({**cell, **measures(timeline)})
        on_cell(rows[-1])
    results.write_table(folder / "timeline.csv", rows)
    if len(configs) == 1:
        staleness, commits = pd.DataFrame(staleness_counts(timeline)), pd.DataFrame(results.commits(timeline))
        results.write_text(folder / "staleness.csv", results.csv_text(staleness))
        results.write_text(folder / "commits.csv", results.csv_text(commits))
        pictures = staleness_histogram(staleness, timeline.workers, folder / "figures" / "staleness")
        pictures += gantt(commits, min(GANTT_S, timeline.end_s) or 1.0, folder / "figures" / "gantt")
    else:
        maps = {
            "growth rate of AGN": grid(rows, "growth_rate"),
            "gradient steps a second": grid(rows, "gradient_steps_per_s"),
        }
        pictures = heat_maps(maps, folder / "figures" / "growth-rate")
    results.record_provenance(folder, "timeline", facts)
    return rows, pictures


def grid(rows: Sequence[dict[str, Any]], column: str) -> pd.DataFrame:
    """One column of the cells' rows as a table of workers by local steps; NaN where there is no cell."""
    import pandas as pd

    table: pd.DataFrame = pd.DataFrame(rows).pivot_table(
        index="workers", columns="local_steps", values=column, aggfunc="mean", dropna=False
    )
    return table.replace([np.inf, -np.inf], np.nan)
