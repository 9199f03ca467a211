"""Each table and figure, made from the runs of a size: CSV files in tables/, pictures in figures/ of its folder.

Every function takes the runs, and the folder of all results (for tables that are the same at every size).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agn_bench.analysis.figures.clock import heat_maps, staleness_histogram
from agn_bench.analysis.figures.curves import Curves
from agn_bench.analysis.figures.panels import (
    Line,
    Panel,
    Series,
    beale_paths,
    curves_over_time,
    over_workers,
    small_multiples,
)
from agn_bench.base import files
from agn_bench.paper import grid as grid_tables
from agn_bench.paper import tuning
from agn_bench.paper.computed import BEALE, CLUSTER, STALENESS_LOCAL_STEPS, STALENESS_WORKERS, computed_table
from agn_bench.paper.curves import by_order_of_service, edge_table, ends_table, order_table
from agn_bench.paper.published import published_table
from agn_bench.paper.runs import Results, Run
from agn_bench.problems import beale as beale_problem

if TYPE_CHECKING:
    import pandas as pd

NAMES = {"agn": "AGN", "easgd": "EASGD", "dynsgd": "DynSGD", "downpour": "DOWNPOUR"}

# --- accuracy over time ---


def agn_vs_others(runs: Results, root: Path) -> None:
    name = "agn-vs-others"
    common = [_line(runs, name, "agn", 20, 15), _line(runs, name, "easgd", 20, 30)]
    panels = [
        Panel(f"({panel}) DynSGD with λ = {steps}", [*common, _line(runs, name, "dynsgd", 20, steps)])
        for panel, steps in (("a", 10), ("b", 3))
    ]
    _curves(runs, "agn-vs-others", panels, ("agn-vs-others",))


def agn_vs_dynsgd(runs: Results, root: Path) -> None:
    name = "agn-vs-dynsgd"
    panel = Panel("20 workers", [_line(runs, name, optimizer, 20, 15) for optimizer in ("agn", "dynsgd")])
    _curves(runs, name, [panel], ("agn-vs-dynsgd-same-period",))


def downpour(runs: Results, root: Path) -> None:
    _against_both(runs, "downpour", 10)


def dynsgd(runs: Results, root: Path) -> None:
    _against_both(runs, "dynsgd", 20)


def _against_both(runs: Results, optimizer: str, workers: int) -> None:
    """An optimizer against workers, and against local steps."""

    def line(n: int, local_steps: int, label: str) -> Line:
        return Line(label, _steady(runs.cell(optimizer, optimizer, n, local_steps)))

    panels = [
        Panel("λ = 1", [line(n, 1, f"n = {n}") for n in (10, 20)], least=0),
        Panel(f"{workers} workers", [line(workers, s, f"λ = {s}") for s in (1, 5, 10, 20)], least=0),
    ]
    _curves(runs, optimizer, panels, (f"{optimizer}-workers", f"{optimizer}-local-steps"))


def _line(runs: Results, name: str, optimizer: str, workers: int, local_steps: int) -> Line:
    """The line of one cell of an experiment, drawn while the workers are at work."""
    own = runs.cell(name, optimizer, workers, local_steps)
    label = f"{NAMES[optimizer]}, λ = {local_steps}"
    return Line(label, _steady(own), colour=list(NAMES).index(optimizer))


def _steady(runs: Sequence[Run]) -> Curves:
    """Their training curves while the workers are at work."""
    return Curves([run.steady for run in runs], [float(run.row["diverged_s"]) for run in runs if run.diverged])


def _curves(runs: Results, name: str, panels: Sequence[Panel], figures: Sequence[str]) -> None:
    """The picture of the panels, if there is a curve in them, and the table of where curves end."""
    _write(runs, f"{name}.csv", ends_table(runs, name, figures))
    if any(line.curves.each for panel in panels for line in panel.lines):
        curves_over_time(panels, runs.folder / "figures" / name)


# --- the grid ---


def grid(runs: Results, root: Path) -> None:
    summary, efficiencies = grid_tables.summary_table(runs), grid_tables.efficiency_table(runs)
    _write(runs, "grid.csv", summary)
    _write(runs, "temporal-efficiency.csv", efficiencies)
    _write(runs, "wins.csv", grid_tables.wins_table(runs))
    _write(runs, "agreement.csv", grid_tables.agreement_table(runs))
    if summary["efficiency"].notna().any():
        maps = {
            "efficiency, published": _matrix(published_table(), "efficiency"),
            "efficiency, ours": efficiencies.set_index("workers"),
        }
        heat_maps(maps, runs.folder / "figures" / "temporal-efficiency", grid_tables.DECIMALS, alike=[*maps])


def _matrix(table: pd.DataFrame, column: str) -> pd.DataFrame:
    return table.pivot(index="workers", columns="local_steps", values=column)


def grid_curves(runs: Results, root: Path) -> None:
    """The curves of the grid, AGN's beside EASGD's: a row a number of workers, and a row a number of local steps."""
    cells = {(c.optimizer.name, c.workers, c.local_steps): _steady(own) for c, own in runs.cells("grid")}
    if not any(curves.each for curves in cells.values()):
        return
    workers, steps = sorted({n for _, n, _ in cells}), sorted({s for _, _, s in cells})
    by_workers = [
        [
            Panel(f"{NAMES[optimizer]}, n = {n}", [Line(f"λ = {s}", cells[optimizer, n, s]) for s in steps])
            for optimizer in grid_tables.OPTIMIZERS
        ]
        for n in workers
    ]
    by_steps = [
        [
            Panel(f"{NAMES[optimizer]}, λ = {s}", [Line(f"n = {n}", cells[optimizer, n, s]) for n in workers])
            for optimizer in grid_tables.OPTIMIZERS
        ]
        for s in steps
    ]
    small_multiples(by_workers, runs.folder / "figures" / "grid-by-workers", times="row")
    small_multiples(by_steps, runs.folder / "figures" / "grid-by-local-steps", times="all")


def accuracy_vs_workers(runs: Results, root: Path) -> None:
    table = grid_tables.workers_table(runs)
    _write(runs, "accuracy-vs-workers.csv", table)
    workers = table["workers"].tolist()

    def series(optimizer: str, what: str, how: str) -> list[Series]:
        column = f"{optimizer}_{what}_{how}"
        colour = grid_tables.OPTIMIZERS.index(optimizer)
        label = NAMES[optimizer]
        return [
            Series(label, 100 * table[column], 100 * table[f"{column}_std"], colour=colour),
            Series(f"{label} (published)", 100 * table[f"{column}_published"], published=True, colour=colour),
        ]

    for what, name in (("train", "training"), ("test", "test")):
        panels = {
            "as published: AGN's best, EASGD's mean": [*series("agn", what, "best"), *series("easgd", what, "mean")],
            "like for like: best": [*series("agn", what, "best"), *series("easgd", what, "best")],
            "like for like: mean": [*series("agn", what, "mean"), *series("easgd", what, "mean")],
        }
        stem = runs.folder / "figures" / f"accuracy-vs-workers-{name}"
        over_workers(workers, panels, stem, f"{name} accuracy (%)")


def temporal_efficiency(runs: Results, root: Path) -> None:
    """AGN's temporal efficiency over EASGD where λ = n, and where λ = 20."""
    summary = grid_tables.summary_table(runs)
    workers = sorted(summary["workers"].unique().tolist())
    panels, tables = {}, []
    for title, cells in (
        ("λ = n", summary[summary["workers"] == summary["local_steps"]]),
        ("λ = 20", summary[summary["local_steps"] == 20]),
    ):
        cells = cells.set_index("workers").reindex(workers)
        panels[title] = [
            Series("ours", cells["efficiency"], cells["efficiency_std"]),
            Series("published", cells["efficiency_published"], published=True, colour=1),
        ]
        columns = ["efficiency", "efficiency_std", "efficiency_published"]
        tables.append(cells[columns].assign(cells=title).reset_index())
    import pandas as pd

    table = pd.concat(tables)[["cells", "workers", "efficiency", "efficiency_std", "efficiency_published"]]
    _write(runs, "temporal-efficiency-lines.csv", table)
    stem = runs.folder / "figures" / "temporal-efficiency-lines"
    over_workers(workers, panels, stem, "temporal efficiency E(AGN, EASGD)", level=1.0)


# --- fair baselines ---


def baselines(runs: Results, root: Path) -> None:
    found = [one for one in tuning.tuned(runs) if one.name not in tuning.CONTROLS]
    if not found:
        return
    _write(runs, "baselines.csv", tuning.tuning_table(runs))
    _write(runs, "baselines-tried.csv", tuning.every_setting_table(runs))
    order = list(NAMES)
    lines = [Line(_tuned_label(one), _steady(one.best[1]), order.index(one.name)) for one in found]
    panels = [Panel("20 workers, λ = 15, each at its best", lines, least=0), Panel("the upper end", lines, least=0.9)]
    curves_over_time(panels, runs.folder / "figures" / "baselines")


def _tuned_label(one: tuning.Tuned) -> str:
    return f"{NAMES[one.name]}, {'α' if one.option == 'alpha' else 'rate'} {one.best[0]:g}"


# --- what needs no training ---


def stability_map(runs: Results, root: Path) -> None:
    """AGN's growth rates beside its published and its reproduced test accuracies."""
    cells = computed_table(root, "stability-map")
    summary = grid_tables.summary_table(runs)
    ours = summary.assign(our_test_accuracy_percent=100 * summary["agn_test"])
    keys = ["workers", "local_steps"]
    table = cells[[*keys, "growth_rate_random", "growth_rate_fifo", "test_accuracy_percent"]].merge(
        ours[[*keys, "our_test_accuracy_percent"]], on=keys, how="left"
    )
    maps = {
        "growth rate, random order": _matrix(table, "growth_rate_random"),
        "published test accuracy (%)": _matrix(table, "test_accuracy_percent"),
        "our test accuracy (%)": _matrix(table, "our_test_accuracy_percent"),
    }
    _write(runs, "stability-map.csv", table)
    _write(runs, "edge.csv", edge_table(runs))
    growth, *accuracies = maps
    heat_maps(maps, runs.folder / "figures" / "stability-map", alike=accuracies, around_0=[growth])


def order_of_service(runs: Results, root: Path) -> None:
    """AGN with 40 workers at the edge of stability, by whom the server takes next."""
    _write(runs, "order-of-service.csv", order_table(runs))
    panels = [
        Panel(
            f"{NAMES[optimizer]}, n = {workers}, λ = {local_steps}",
            [Line(order, _steady(own)) for order, own in orders.items()],
            least=0,
        )
        for (optimizer, workers, local_steps), orders in sorted(by_order_of_service(runs).items())
    ]
    if any(line.curves.each for panel in panels for line in panel.lines):
        curves_over_time(panels, runs.folder / "figures" / "order-of-service")


def staleness(runs: Results, root: Path) -> None:
    table = computed_table(root, "staleness")
    table = table[table["local_steps"] == STALENESS_LOCAL_STEPS].reset_index(drop=True)
    staleness_histogram(table, STALENESS_WORKERS, root / CLUSTER / "figures" / "staleness")


def beale(runs: Results, root: Path) -> None:
    beale_paths(
        computed_table(root, "paths"), beale_problem.beale, beale_problem.MINIMUM, root / BEALE / "figures" / "beale"
    )


def _write(runs: Results, name: str, rows: Any) -> None:
    files.write_table(runs.folder / "tables" / name, rows)
