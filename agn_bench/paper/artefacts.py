"""What there is to reproduce: of each table and figure its name, the runs it needs, and how it is made from CSV files.

A new one is a function and a line in ARTEFACTS.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agn_bench import results
from agn_bench.figures.clock import heat_maps, staleness_histogram
from agn_bench.figures.reproduction import (
    Line,
    Panel,
    Series,
    beale_paths,
    curves_over_time,
    over_workers,
    small_multiples,
)
from agn_bench.paper import beale, grid, tuning
from agn_bench.paper.curves import edge_table, ends_table, order_table
from agn_bench.paper.published import published_table
from agn_bench.paper.runs import Results
from agn_bench.tabular import read_table

if TYPE_CHECKING:
    import pandas as pd

CLUSTER, BEALE = "paper-cluster", "beale"
"""Folders, beside the sizes', of what needs no training and is the same at every size."""

NAMES = {"agn": "AGN", "easgd": "EASGD", "dynsgd": "DynSGD", "downpour": "DOWNPOUR"}
STALENESS_WORKERS, STALENESS_LOCAL_STEPS = 20, 15


@dataclass(frozen=True)
class Artefact:
    """A table or a figure, or some that belong together."""

    title: str
    experiments: tuple[str, ...]
    """Whose runs it shows."""
    make: Callable[[Results, Path], None]
    """Writes its CSV tables and pictures, given the runs of a size and the folder of all results."""
    figures: tuple[str, ...]
    """Names of the pictures, in figures/ of the size's folder."""
    tables: tuple[str, ...] = ()
    """Names of the tables that the report shows, in tables/."""
    about: str = ""
    """What the report says of it."""
    computed: tuple[str, ...] = ()
    """COMPUTED tables that have to be there first."""
    shared: str = ""
    """The folder of its files, if they are the same at every size."""


# --- accuracy over time ---


def _agn_vs_others(runs: Results, root: Path) -> None:
    name = "agn-vs-others"
    common = [_line(runs, name, "agn", 20, 15), _line(runs, name, "easgd", 20, 30)]
    panels = [
        Panel(f"({panel}) DynSGD with λ = {steps}", [*common, _line(runs, name, "dynsgd", 20, steps)])
        for panel, steps in (("a", 10), ("b", 3))
    ]
    _curves(runs, "agn-vs-others", panels, ("agn-vs-others",))


def _agn_vs_dynsgd(runs: Results, root: Path) -> None:
    name = "agn-vs-dynsgd"
    panel = Panel("20 workers", [_line(runs, name, method, 20, 15) for method in ("agn", "dynsgd")])
    _curves(runs, name, [panel], ("agn-vs-dynsgd-same-period",))


def _downpour(runs: Results, root: Path) -> None:
    _against_both(runs, "downpour", 10)


def _dynsgd(runs: Results, root: Path) -> None:
    _against_both(runs, "dynsgd", 20)


def _against_both(runs: Results, method: str, workers: int) -> None:
    """A method against workers, and against local steps."""

    def line(n: int, local_steps: int, label: str) -> Line:
        return Line(label, [run.steady for run in runs.cell(method, method, n, local_steps)])

    panels = [
        Panel("λ = 1", [line(n, 1, f"n = {n}") for n in (10, 20)], least=0),
        Panel(f"{workers} workers", [line(workers, s, f"λ = {s}") for s in (1, 5, 10, 20)], least=0),
    ]
    _curves(runs, method, panels, (f"{method}-workers", f"{method}-local-steps"))


def _line(runs: Results, name: str, method: str, workers: int, local_steps: int) -> Line:
    """Of one cell of an experiment; drawn while the workers are at work."""
    own = runs.cell(name, method, workers, local_steps)
    label = f"{NAMES[method]}, λ = {local_steps}"
    return Line(label, [run.steady for run in own], colour=list(NAMES).index(method))


def _curves(runs: Results, name: str, panels: Sequence[Panel], figures: Sequence[str]) -> None:
    """The picture of the panels, if there is a curve in them, and the table of where curves end."""
    _write(runs, f"{name}.csv", ends_table(runs, name, figures))
    if any(line.curves for panel in panels for line in panel.lines):
        curves_over_time(panels, runs.folder / "figures" / name)


# --- the grid ---


def _grid(runs: Results, root: Path) -> None:
    summary, efficiencies = grid.summary_table(runs), grid.efficiency_table(runs)
    _write(runs, "grid.csv", summary)
    _write(runs, "temporal-efficiency.csv", efficiencies)
    _write(runs, "wins.csv", grid.wins_table(runs))
    _write(runs, "agreement.csv", grid.agreement_table(runs))
    if summary["efficiency"].notna().any():
        maps = {
            "efficiency, published": _matrix(published_table(), "efficiency"),
            "efficiency, ours": efficiencies.set_index("workers"),
        }
        heat_maps(maps, runs.folder / "figures" / "temporal-efficiency", digits=grid.DECIMALS)


def _matrix(table: pd.DataFrame, column: str) -> pd.DataFrame:
    return table.pivot(index="workers", columns="local_steps", values=column)


def _grid_curves(runs: Results, root: Path) -> None:
    """The curves of the grid, AGN's above EASGD's: a panel a number of workers, and a panel a number of local steps."""
    cells = {(c.optimizer, c.workers, c.local_steps): [run.steady for run in own] for c, own in runs.cells("grid")}
    if not any(cells.values()):
        return
    workers, steps = sorted({n for _, n, _ in cells}), sorted({s for _, _, s in cells})
    by_workers = [
        Panel(f"{NAMES[method]}, n = {n}", [Line(f"λ = {s}", cells[method, n, s]) for s in steps])
        for method in grid.METHODS
        for n in workers
    ]
    by_steps = [
        Panel(f"{NAMES[method]}, λ = {s}", [Line(f"n = {n}", cells[method, n, s]) for n in workers])
        for method in grid.METHODS
        for s in steps
    ]
    small_multiples(by_workers, runs.folder / "figures" / "grid-by-workers")
    small_multiples(by_steps, runs.folder / "figures" / "grid-by-local-steps")


def _accuracy_vs_workers(runs: Results, root: Path) -> None:
    table = grid.workers_table(runs)
    _write(runs, "accuracy-vs-workers.csv", table)
    workers = table["workers"].tolist()

    def series(method: str, what: str, how: str) -> list[Series]:
        column = f"{method}_{what}_{how}"
        colour = grid.METHODS.index(method)
        label = NAMES[method]
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


def _temporal_efficiency(runs: Results, root: Path) -> None:
    """AGN's temporal efficiency over EASGD where λ = n, and where λ = 20."""
    summary = grid.summary_table(runs)
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


def _baselines(runs: Results, root: Path) -> None:
    found = [one for one in tuning.tuned(runs) if one.name not in tuning.CONTROLS]
    if not found:
        return
    _write(runs, "baselines.csv", tuning.tuning_table(runs))
    _write(runs, "baselines-tried.csv", tuning.every_setting_table(runs))
    order = list(NAMES)
    lines = [Line(_tuned_label(one), [run.steady for run in one.best[1]], order.index(one.name)) for one in found]
    panels = [Panel("20 workers, λ = 15, each at its best", lines, least=0), Panel("the upper end", lines, least=0.9)]
    curves_over_time(panels, runs.folder / "figures" / "baselines")


def _tuned_label(one: tuning.Tuned) -> str:
    return f"{NAMES[one.name]}, {'α' if one.option == 'alpha' else 'rate'} {one.best[0]:g}"


# --- what needs no training ---


def _stability_map(runs: Results, root: Path) -> None:
    """AGN's growth rates beside its published and its reproduced test accuracies."""
    cells = computed_table(root, "stability-map")
    summary = grid.summary_table(runs)
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
    heat_maps(maps, runs.folder / "figures" / "stability-map")


def _order_of_service(runs: Results, root: Path) -> None:
    """AGN with 40 workers at the edge of stability, served in either order."""
    _write(runs, "order-of-service.csv", order_table(runs))
    panels = [
        Panel(
            f"AGN, n = 40, λ = {local_steps}",
            [
                Line(label, [run.steady for run in runs.cell(name, "agn", 40, local_steps)])
                for label, name in (("random order", "grid"), ("first in first out", "order-of-service"))
            ],
            least=0,
        )
        for local_steps in (10, 20)
    ]
    if any(line.curves for panel in panels for line in panel.lines):
        curves_over_time(panels, runs.folder / "figures" / "order-of-service")


def _staleness(runs: Results, root: Path) -> None:
    table = computed_table(root, "staleness")
    table = table[table["local_steps"] == STALENESS_LOCAL_STEPS].reset_index(drop=True)
    staleness_histogram(table, STALENESS_WORKERS, root / CLUSTER / "figures" / "staleness")


def _beale(runs: Results, root: Path) -> None:
    beale_paths(computed_table(root, "paths"), beale.beale, beale.MINIMUM, root / BEALE / "figures" / "beale")


COMPUTED = {
    "stability-map": (
        CLUSTER,
        ["workers", "local_steps", "growth_rate_random", "growth_rate_fifo", "test_accuracy_percent"],
    ),
    "fifo-share": (CLUSTER, ["fifo_share", "cells", "told_right"]),
    "staleness": (CLUSTER, ["local_steps", "staleness", "exchanges"]),
    "staleness-by-local-steps": (CLUSTER, ["local_steps", "mean_staleness", "most_frequent", "largest"]),
    "paths": (BEALE, ["path", "x", "y"]),
    "shapes": (BEALE, ["path", "sharpest_turn_degrees", "length_over_distance", "distance_from_minimum"]),
}
"""Tables that need no training (see computing.py): in the tables/ of which folder, and their columns."""


def shown_at(name: str, runs: Results) -> bool:
    """Whether a size has runs of what an artefact shows, or it needs none."""
    own = ARTEFACTS[name].experiments
    return not own or any(experiment in runs.experiments for experiment in own)


def make(name: str, runs: Results, root: Path) -> None:
    """Write an artefact's tables and pictures, if the size has it and what has to be computed for it is there."""
    if shown_at(name, runs) and all(computed_path(root, table).is_file() for table in ARTEFACTS[name].computed):
        ARTEFACTS[name].make(runs, root)


def computed_path(root: Path, table: str) -> Path:
    return root / COMPUTED[table][0] / "tables" / f"{table}.csv"


def computed_table(root: Path, table: str) -> pd.DataFrame:
    """One of the COMPUTED tables.

    Raises:
        BadInput: it cannot be read, or is not what this version makes.
    """
    accepted = "the table as `reproduce` makes it: --force makes it again"
    found, _ = read_table("out", computed_path(root, table), COMPUTED[table][1], accepted)
    return found


def _write(runs: Results, name: str, rows: Any) -> None:
    results.write_table(runs.folder / "tables" / name, rows)


ARTEFACTS = {
    "agn-vs-others": Artefact(
        "Accuracy over time: AGN, EASGD, DynSGD",
        ("agn-vs-others",),
        _agn_vs_others,
        ("agn-vs-others",),
        ("agn-vs-others",),
        "Training accuracy of the workers' mini-batches, averaged over 5 s, drawn while most workers are at work; "
        "20 workers.",
    ),
    "agn-vs-dynsgd": Artefact(
        "AGN and DynSGD with the same local steps",
        ("agn-vs-dynsgd",),
        _agn_vs_dynsgd,
        ("agn-vs-dynsgd",),
        ("agn-vs-dynsgd",),
    ),
    "downpour": Artefact(
        "DOWNPOUR against workers and local steps",
        ("downpour",),
        _downpour,
        ("downpour",),
        ("downpour",),
        "An eighth of the work, as in the paper (at size quick all of it).",
    ),
    "dynsgd": Artefact(
        "DynSGD against workers and local steps",
        ("dynsgd",),
        _dynsgd,
        ("dynsgd",),
        ("dynsgd",),
        "As for DOWNPOUR; the paper shows n = 20 with λ = 1 and 10 only.",
    ),
    "grid": Artefact(
        "The grid: accuracies, times, temporal efficiency",
        ("grid",),
        _grid,
        ("temporal-efficiency",),
        ("agreement", "wins", "temporal-efficiency", "grid"),
        "E = ∫ AGN dt / ∫ EASGD dt of the training curves up to the end of the shorter one: above 1, AGN wins. The "
        "bounds are those that the paper's size is held to. Accuracies of a cell are those of the workers' last "
        "mini-batches (train) and of the final center on the test set (test); means over the seeds.",
    ),
    "grid-curves": Artefact(
        "The grid, curve by curve",
        ("grid",),
        _grid_curves,
        ("grid-by-workers", "grid-by-local-steps"),
        about="Training accuracy over time, as above, from 0.8 on.",
    ),
    "accuracy-vs-workers": Artefact(
        "Accuracy against workers",
        ("grid",),
        _accuracy_vs_workers,
        ("accuracy-vs-workers-training", "accuracy-vs-workers-test"),
        ("accuracy-vs-workers",),
        "The paper compares the best of AGN's λ with the mean over EASGD's; like for like stands beside it.",
    ),
    "temporal-efficiency": Artefact(
        "Temporal efficiency at λ = n and at λ = 20",
        ("grid",),
        _temporal_efficiency,
        ("temporal-efficiency-lines",),
        ("temporal-efficiency-lines",),
    ),
    "stability-map": Artefact(
        "Where AGN is stable",
        ("grid",),
        _stability_map,
        ("stability-map",),
        ("edge", "stability-map"),
        "The growth rate of a stiff direction, from the timeline alone (above 0: unstable), beside what training gave.",
        computed=("stability-map", "fifo-share"),
    ),
    "order-of-service": Artefact(
        "What the order of service has to do with it",
        ("order-of-service", "grid"),
        _order_of_service,
        ("order-of-service",),
        ("order-of-service",),
        "The timeline alone says that AGN with 40 workers and 20 local steps is stable if the server takes anyone who "
        "waits, and not if it serves first in first out; here it is trained.",
    ),
    "baselines": Artefact(
        "Fair baselines: every method at its best",
        ("baselines",),
        _baselines,
        ("baselines",),
        ("baselines", "baselines-tried"),
        "Each method at the best of five settings by the area under its training curve, chosen and reported on the "
        "same seeds: EASGD's α at the common learning rate, the learning rate of the others. The paper gives all the "
        "same rate and EASGD one α. The controls see the same data: one worker, and 20 synchronous ones, whose clocks "
        "are not compared.",
    ),
    "staleness": Artefact(
        "Staleness with 20 workers",
        (),
        _staleness,
        ("staleness",),
        ("staleness-by-local-steps",),
        "With 15 local steps, and how it changes with them. The published histogram peaks at 19 to 20, has a low "
        "plateau from 0 to 12 and a thin tail to 140; the paper does not say with how many local steps.",
        computed=("staleness", "staleness-by-local-steps"),
        shared=CLUSTER,
    ),
    "beale": Artefact(
        "Paths on the Beale function",
        (),
        _beale,
        ("beale",),
        ("shapes",),
        "One worker, start (−2.5, −2), learning rate 0.001, minimum (3, 0.5).",
        computed=("paths", "shapes"),
        shared=BEALE,
    ),
}


def needed(names: Sequence[str]) -> list[str]:
    """The experiments whose runs these artefacts show."""
    return list(dict.fromkeys(experiment for name in names for experiment in ARTEFACTS[name].experiments))
