"""What there is to reproduce: of each table and figure its name, the runs it needs, and how it is made from CSV files.

A new one is a function and a line in ARTEFACTS.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from agn_bench import metrics, results
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
from agn_bench.paper.published import published_curves, published_table
from agn_bench.paper.runs import Results

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
    make: Callable[[Results, Path], list[Path]]
    """Writes its CSV tables and pictures, given the runs of a size and the folder of all results; the files' paths."""
    figures: tuple[str, ...]
    """Names of the pictures, in figures/ of the size's folder."""
    tables: tuple[str, ...] = ()
    """Names of the tables that the report shows, in tables/."""
    about: str = ""
    """What the report says of it."""
    computed: str = ""
    """A file under the folder of all results that has to be there first (see computing.py)."""
    shared: str = ""
    """The folder of its files, if they are the same at every size."""


# --- accuracy over time ---


def _agn_vs_others(runs: Results, root: Path) -> list[Path]:
    name = "agn-vs-others"
    common = [_line(runs, name, "agn", 20, 15), _line(runs, name, "easgd", 20, 30)]
    panels = [
        Panel(f"({panel}) DynSGD with λ = {steps}", [*common, _line(runs, name, "dynsgd", 20, steps)])
        for panel, steps in (("a", 10), ("b", 3))
    ]
    return _curves(runs, "agn-vs-others", panels, ("agn-vs-others",), 0.8)


def _agn_vs_dynsgd(runs: Results, root: Path) -> list[Path]:
    name = "agn-vs-dynsgd"
    panel = Panel("20 workers", [_line(runs, name, method, 20, 15) for method in ("agn", "dynsgd")])
    return _curves(runs, name, [panel], ("agn-vs-dynsgd-same-period",), 0.8)


def _downpour(runs: Results, root: Path) -> list[Path]:
    return _against_both(runs, "downpour", 10)


def _dynsgd(runs: Results, root: Path) -> list[Path]:
    return _against_both(runs, "dynsgd", 20)


def _against_both(runs: Results, method: str, workers: int) -> list[Path]:
    """A method against workers, and against local steps."""
    panels = [
        Panel("λ = 1", [_line(runs, method, method, n, 1, f"n = {n}") for n in (10, 20)]),
        Panel(f"{workers} workers", [_line(runs, method, method, workers, s, f"λ = {s}") for s in (1, 5, 10, 20)]),
    ]
    return _curves(runs, method, panels, (f"{method}-workers", f"{method}-local-steps"), 0.0)


def _line(runs: Results, name: str, method: str, workers: int, local_steps: int, label: str = "") -> Line:
    """Of one cell of an experiment; drawn while the workers are at work."""
    own = runs.cell(name, method, workers, local_steps)
    return Line(label or f"{NAMES[method]}, λ = {local_steps}", [run.steady for run in own])


def _curves(runs: Results, name: str, panels: Sequence[Panel], figures: Sequence[str], least: float) -> list[Path]:
    """The picture of the panels, if there is a curve in them, and the table of where curves end."""
    made = [_write(runs, f"{name}.csv", _ends(runs, name, figures))]
    if any(line.curves for panel in panels for line in panel.lines):
        made += curves_over_time(panels, runs.folder / "figures" / name, least)
    return made


def _ends(runs: Results, name: str, figures: Sequence[str]) -> list[dict[str, Any]]:
    """Where the curves of an experiment end, beside the published: a row a configuration and published curve."""
    rows = []
    for config, own in zip(_configs(runs, name), runs.cells(name), strict=True):
        key = (config.optimizer, str(config.workers), str(config.local_steps))
        found = [
            curve
            for curve in published_curves()
            if curve["figure"] in figures and (curve["optimizer"], curve["workers"], curve["local_steps"]) == key
        ]
        row: dict[str, Any] = {
            "optimizer": config.optimizer,
            "workers": config.workers,
            "local_steps": config.local_steps,
            "seeds": len(own),
            "diverged": sum(run.row["status"] == "diverged" for run in own),
        }
        row |= _spread("sim_time_s", [run.row["sim_time_s"] for run in own])
        row |= _spread("last_batch_accuracy", [run.row["last_batch_accuracy"] for run in own])
        row |= _spread("test_accuracy", [run.row["test_accuracy"] for run in own])
        row |= _spread("largest_drop", [metrics.largest_drop(run.steady) for run in own])
        row |= {
            "published_time_s": _joined(found, "time_s", 1),
            "published_last_batch_accuracy": _joined(found, "train_accuracy", 100),
            "published_test_accuracy": _joined(found, "test_accuracy", 100),
            "published_curve": "; ".join(_said(found)),
        }
        rows.append(row)
    return rows


def _said(curves: Sequence[dict[str, str]]) -> list[str]:
    """What can be seen of the published curves, said once."""
    said = [curve["what_the_curve_shows"] for curve in curves]
    return [text for text in said if not text.startswith("as in")]


def _configs(runs: Results, name: str) -> list[Any]:
    """The configurations of Results.cells, in its order."""
    return list(dict.fromkeys(replace(config, seed=0) for config in runs.experiments[name].configs))


def _joined(curves: Sequence[dict[str, str]], column: str, scale: float) -> str:
    """What published curves of one configuration say, in our units; the paper shows some configurations twice."""
    return " / ".join(f"{float(curve[column]) / scale:.6g}" for curve in curves if curve[column])


def _spread(name: str, values: Sequence[float]) -> dict[str, float]:
    nothing = float("nan")
    return {
        name: float(np.mean(values)) if values else nothing,
        f"{name}_std": float(np.std(values, ddof=1)) if len(values) > 1 else nothing,
    }


# --- the grid ---


def _grid(runs: Results, root: Path) -> list[Path]:
    summary = grid.summary_table(runs)
    efficiencies = grid.efficiency_table(runs)
    made = [
        _write(runs, "grid.csv", summary),
        _write(runs, "temporal-efficiency.csv", efficiencies),
        _write(runs, "wins.csv", grid.wins_table(runs)),
        _write(runs, "agreement.csv", grid.agreement_table(runs)),
        _write(runs, "edge.csv", _edge(runs)),
    ]
    if summary["efficiency"].notna().any():
        maps = {
            "efficiency, published": _matrix(published_table(), "efficiency"),
            "efficiency, ours": efficiencies.set_index("workers"),
        }
        made += heat_maps(maps, runs.folder / "figures" / "temporal-efficiency")
    return made


def _edge(runs: Results) -> list[dict[str, Any]]:
    """AGN with 40 workers where it turns stable: what was published, and what came of it here."""
    published = published_table().set_index(["workers", "local_steps"])
    rows = []
    for local_steps in (10, 15, 20, 40):
        own = runs.cell("grid", "agn", 40, local_steps)
        row: dict[str, Any] = {"workers": 40, "local_steps": local_steps, "seeds": len(own)}
        row |= _spread("test_accuracy", [run.row["test_accuracy"] for run in own])
        row["published_test_accuracy"] = published.loc[(40, local_steps), "agn_test"]
        row |= _spread("largest_drop", [metrics.largest_drop(run.steady) for run in own])
        row |= _spread("time_under_90_percent", [metrics.share_below(run.steady, 0.9) for run in own])
        rows.append(row)
    return rows


def _matrix(table: pd.DataFrame, column: str) -> pd.DataFrame:
    return table.pivot(index="workers", columns="local_steps", values=column)


def _grid_curves(runs: Results, root: Path) -> list[Path]:
    """The curves of the grid, AGN's above EASGD's: a panel a number of workers, and a panel a number of local steps."""
    curves: dict[tuple[str, int, int], list[metrics.Curve]] = {}
    for own in runs.cells("grid"):
        for run in own:
            key = (run.config.optimizer, run.config.workers, run.config.local_steps)
            curves.setdefault(key, []).append(run.steady)
    if not curves:
        return []
    workers = sorted({config.workers for config in runs.experiments["grid"].configs})
    steps = sorted({config.local_steps for config in runs.experiments["grid"].configs})
    by_workers = {
        NAMES[method]: [
            Panel(f"n = {n}", [Line(f"λ = {s}", curves.get((method, n, s), [])) for s in steps]) for n in workers
        ]
        for method in grid.METHODS
    }
    by_steps = {
        NAMES[method]: [
            Panel(f"λ = {s}", [Line(f"n = {n}", curves.get((method, n, s), [])) for n in workers]) for s in steps
        ]
        for method in grid.METHODS
    }
    figures = runs.folder / "figures"
    return [
        *small_multiples(by_workers, figures / "grid-by-workers", 0.8),
        *small_multiples(by_steps, figures / "grid-by-local-steps", 0.8),
    ]


def _accuracy_vs_workers(runs: Results, root: Path) -> list[Path]:
    table = grid.workers_table(runs)
    made = [_write(runs, "accuracy-vs-workers.csv", table)]
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
        made += over_workers(workers, panels, stem, f"{name} accuracy (%)")
    return made


def _temporal_efficiency(runs: Results, root: Path) -> list[Path]:
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
    made = [_write(runs, "temporal-efficiency-lines.csv", table)]
    stem = runs.folder / "figures" / "temporal-efficiency-lines"
    return made + over_workers(workers, panels, stem, "temporal efficiency E(AGN, EASGD)", level=1.0)


# --- fair baselines ---


def _baselines(runs: Results, root: Path) -> list[Path]:
    found = tuning.tuned(runs)
    if not found:
        return []
    made = [
        _write(runs, "baselines.csv", tuning.tuning_table(runs)),
        _write(runs, "baselines-tried.csv", tuning.every_setting_table(runs)),
    ]
    lines = [
        Line(_tuned_label(one), [run.steady for run in one.best]) for one in found if one.name not in tuning.CONTROLS
    ]
    return made + curves_over_time(
        [Panel("training, 20 workers, λ = 15", lines)], runs.folder / "figures" / "baselines", 0.8
    )


def _tuned_label(one: tuning.Tuned) -> str:
    symbol = "α" if one.option == "alpha" else "rate"
    return f"{NAMES[one.name]}, {symbol} {getattr(one.best[0].config, one.option):g}"


# --- what needs no training ---


def _stability_map(runs: Results, root: Path) -> list[Path]:
    """AGN's growth rates beside its published and its reproduced test accuracies."""
    import pandas as pd

    cells = pd.read_csv(root / CLUSTER / "tables" / "stability-map.csv")
    summary = grid.summary_table(runs)
    ours = summary.assign(accuracy=100 * summary["agn_test"])
    table = cells[["workers", "local_steps", "growth_rate_random", "test_accuracy_percent"]].merge(
        ours[["workers", "local_steps", "accuracy"]], on=["workers", "local_steps"], how="left"
    )
    maps = {
        "growth rate, random order": _matrix(table, "growth_rate_random"),
        "published test accuracy (%)": _matrix(table, "test_accuracy_percent"),
        "our test accuracy (%)": _matrix(table, "accuracy"),
    }
    made = [_write(runs, "stability-map.csv", table.rename(columns={"accuracy": "our_test_accuracy_percent"}))]
    return made + heat_maps(maps, runs.folder / "figures" / "stability-map")


def _staleness(runs: Results, root: Path) -> list[Path]:
    import pandas as pd

    table = pd.read_csv(root / CLUSTER / "tables" / "staleness.csv")
    table = table[table["local_steps"] == STALENESS_LOCAL_STEPS].reset_index(drop=True)
    return staleness_histogram(table, STALENESS_WORKERS, root / CLUSTER / "figures" / "staleness")


def _beale(runs: Results, root: Path) -> list[Path]:
    import pandas as pd

    table = pd.read_csv(root / BEALE / "tables" / "paths.csv")
    return beale_paths(table, beale.beale, beale.MINIMUM, root / BEALE / "figures" / "beale")


def computed_tables(root: Path) -> dict[str, pd.DataFrame]:
    """The tables that claims are judged by and that need no training, as far as they are there."""
    import pandas as pd

    places = {
        "staleness": root / CLUSTER / "tables" / "staleness-by-local-steps.csv",
        "beale": root / BEALE / "tables" / "shapes.csv",
    }
    return {name: pd.read_csv(path) for name, path in places.items() if path.is_file()}


def _write(runs: Results, name: str, rows: Any) -> Path:
    path = runs.folder / "tables" / name
    results.write_table(path, rows)
    return path


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
        ("agreement", "edge", "wins", "temporal-efficiency", "grid"),
        "E = ∫ AGN dt / ∫ EASGD dt of the training curves up to the end of the shorter one: above 1, AGN wins. The "
        "bounds are those that the paper's size is held to. Accuracies of a cell are those of the workers' last "
        "mini-batches (train) and of the final center on the test set (test); means over the seeds.",
    ),
    "grid-curves": Artefact(
        "The grid, curve by curve",
        ("grid",),
        _grid_curves,
        ("grid-by-workers", "grid-by-local-steps"),
        about="Training accuracy over time, as above.",
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
        about="The growth rate of a stiff direction, from the timeline alone (above 0: unstable), beside what "
        "training gave.",
        computed=f"{CLUSTER}/tables/stability-map.csv",
    ),
    "baselines": Artefact(
        "Fair baselines: every method tuned alike",
        ("baselines",),
        _baselines,
        ("baselines",),
        ("baselines", "baselines-tried"),
        "Each method at the best of five settings by the area under its training curve, where the paper gives all the "
        "same learning rate and EASGD one α. The controls see the same data: one worker, and 20 synchronous ones, "
        "whose seconds are not compared.",
    ),
    "staleness": Artefact(
        "Staleness with 20 workers",
        (),
        _staleness,
        ("staleness",),
        ("staleness-by-local-steps",),
        "With 15 local steps, and how it changes with them. The published histogram peaks at 19 to 20, has a low "
        "plateau from 0 to 12 and a thin tail to 140; the paper does not say with how many local steps.",
        computed=f"{CLUSTER}/tables/staleness.csv",
        shared=CLUSTER,
    ),
    "beale": Artefact(
        "Paths on the Beale function",
        (),
        _beale,
        ("beale",),
        ("shapes",),
        "One worker, start (−2.5, −2), learning rate 0.001, minimum (3, 0.5).",
        computed=f"{BEALE}/tables/paths.csv",
        shared=BEALE,
    ),
}


def needed(names: Sequence[str]) -> list[str]:
    """The experiments whose runs these artefacts show."""
    return list(dict.fromkeys(experiment for name in names for experiment in ARTEFACTS[name].experiments))
