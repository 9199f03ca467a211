"""What the hypotheses about the paper's odd curves come to: writes results/paper-cluster/tables/hypotheses.csv and the
picture beside it, from the runs of this folder's experiments, the committed runs of the reproduction, and the clock.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from agn_bench.analysis import metrics
from agn_bench.analysis.figures import look
from agn_bench.base import files
from agn_bench.clock import draw_delays, load_profile
from agn_bench.clock.events import simulate_timeline
from agn_bench.config.experiment import read_experiment_file
from agn_bench.paper.curves import drop, end
from agn_bench.paper.grid import published_of
from agn_bench.paper.runs import Results, Run, run_of, spread
from agn_bench.store import run_files
from agn_bench.studies.calibration import errors, simulated_s
from agn_bench.studies.measured import read_measured

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
RUNS, CLUSTER = ROOT / "results" / "odd-curves", ROOT / "results" / "paper-cluster"
STEPS = 18_750
PAUSED = [
    *("between_pauses.distribution=exponential", "between_pauses.mean=2000"),
    *("pause.distribution=exponential", "pause.mean=30", "step.mean=0.422660"),
]
PAUSES = "pauses of 30 s, every 2,000 s"
PUBLISHED_ENDS = {(10, 1): 0.98, (20, 1): 0.11, (10, 5): 0.37, (10, 10): 0.38, (10, 20): 0.15}
DOWNPOUR = [*PUBLISHED_ENDS]
Row = dict[str, Any]


@cache
def runs() -> list[Run]:
    """The runs of odd-curves.toml that are there."""
    if not (RUNS / "summary.csv").is_file():
        return []
    summary, curves = run_files.read_experiment(RUNS)
    asked = {config.run_id: config for config in read_experiment_file(HERE / "odd-curves.toml").configs}
    points = dict(tuple(curves.groupby("run_id")))
    rows = [row for row in summary.to_dict("records") if row["run_id"] in asked]
    return [run_of(asked[row["run_id"]], row, points[row["run_id"]]) for row in rows]


def runs_of(optimizer: str, pauses: bool = False, large: bool = False) -> list[Run]:
    """Those of an optimizer, with pauses or without, of the paper's network or the small one."""
    return [
        run for run in runs()
        if run.config.optimizer.name == optimizer and (run.config.delays.going is not None) == pauses
        and ("1000,2000,1000" in (run.config.problem or run.config.model).text) == large
    ]  # fmt: skip


def row(
    key: str, hypothesis: str, what: str, published: object, without: Sequence[float], having: Sequence[float]
) -> Row:
    """What was published, and means with standard deviations over runs, without and with what is supposed."""
    found: Row = {"key": key, "hypothesis": hypothesis, "what": what, "published": published}
    for name, values in (("without", without), ("with", having)):
        found |= spread(name, [value for value in values if np.isfinite(value)]) | {f"{name}_runs": len(values)}
    return found


def keras() -> Iterator[Row]:
    small, large = runs_of("downpour"), runs_of("downpour", large=True)
    committed = Results("paper", ROOT / "results" / "paper")
    for workers, steps in DOWNPOUR:
        cell = {"optimizer": "downpour", "workers": workers, "local_steps": steps}
        without, having = (
            [end(run) for run in small if _is(run, **cell) and _is_plain(run) != clipped] for clipped in (False, True)
        )
        published = PUBLISHED_ENDS[workers, steps]
        what = f"DOWNPOUR, n = {workers}, λ = {steps}: training accuracy in the last tenth of the time"
        key = f"keras-n{workers}-l{steps}"
        yield row(f"{key}-small", "Keras's loss", f"{what}, small network", published, without, having)
        of_paper = [end(run) for run in committed.cell("downpour", "downpour", workers, steps)]
        clipped = [end(run) for run in large if _is(run, **cell)]
        yield row(f"{key}-paper", "Keras's loss", f"{what}, the paper's network", published, of_paper, clipped)


def _is(run: Run, optimizer: str, workers: int, local_steps: int) -> bool:
    return (run.config.optimizer.name, run.config.workers, run.config.local_steps) == (optimizer, workers, local_steps)


def _is_plain(run: Run) -> bool:
    """Whether it has the loss of the logits."""
    return run.config.problem is None or "clipped" not in run.config.problem.text


CLOCKS = {
    "pull": ("a pull of its own", ("separate", "applied")),
    "arrival": ("staleness read on arrival", ("answer", "arrival")),
    "both": ("both", ("separate", "arrival")),
}


def visits() -> Iterator[Row]:
    def on(pull: str, staleness: str, local: str, steps: int) -> list[Run]:
        return [
            run for run in runs_of("dynsgd")
            if (run.config.delays.pull, run.config.delays.staleness) == (pull, staleness)
            and run.config.local_optimizer.name == local and run.config.local_steps == steps
        ]  # fmt: skip

    for short, (name, clock) in CLOCKS.items():
        for local, steps in product(("sgd", "adam"), (10, 15)):
            pair = on("answer", "applied", local, steps), on(*clock, local, steps)
            where, key = f"DynSGD with {local}, n = 20, λ = {steps}, small network", f"{short}-{local}-l{steps}"
            drops = ([*map(drop, these)] for these in pair)
            yield row(f"{key}-drop", f"two visits: {name}", f"largest drop, {where}", "> 0.05", *drops)
            areas = ([metrics.area(run.train, float(run.train[0][-1])) for run in these] for these in pair)
            yield row(f"{key}-area", f"two visits: {name}", f"mean training accuracy, {where}", "", *areas)


def grid() -> Iterator[Row]:
    """How far the grid's temporal efficiencies are from the published, with separate pulls and without, one seed."""
    committed, apart = Results("reduced", ROOT / "results" / "reduced"), [*runs_of("agn"), *runs_of("easgd")]
    published = published_of(committed).set_index(["workers", "local_steps"])["efficiency"]
    off: dict[str, list[float]] = {"without": [], "with": []}
    staleness: dict[str, list[float]] = {"without": [], "with": []}
    for (workers, steps), says in published.items():
        pairs = {
            "without": [run for o in ("agn", "easgd") for run in committed.cell("grid", o, workers, steps)[:1]],
            "with": [run for o in ("agn", "easgd") for run in apart if _is(run, o, workers, steps)],
        }
        if all(len(pair) == 2 for pair in pairs.values()):
            for name, (agn, easgd) in pairs.items():
                off[name].append(metrics.temporal_efficiency(agn.steady, easgd.steady) - says)
                staleness[name].append(agn.row["mean_staleness"] - workers + 1)
    if off["with"]:
        cells = f"{len(off['with'])} cells, small network, seed 0"
        what = f"temporal efficiency minus the published, {cells}"
        yield row("grid-error", "two visits: a pull of its own", what, 0, off["without"], off["with"])
        what = f"temporal efficiency, mean distance from the published, {cells}"
        far = (np.abs(off[name]) for name in ("without", "with"))
        yield row("grid-distance", "two visits: a pull of its own", what, 0, *far)
        what = f"temporal efficiency, change by a pull of its own, {cells}"
        changes = np.subtract(off["with"], off["without"])
        yield row("grid-change", "two visits: a pull of its own", what, "", [0.0] * len(changes), changes)
        what = f"mean staleness minus (n − 1), {cells}"
        hypothesis = "two visits: a pull of its own"
        yield row("grid-staleness", hypothesis, what, 0, staleness["without"], staleness["with"])


def clocks() -> Iterator[Row]:
    """What the clock alone says: leftover steps, and pauses."""
    cluster = load_profile("paper-cluster")
    paused = load_profile("paper-cluster", PAUSED)
    columns = read_measured(
        ROOT / "agn_bench" / "paper" / "published" / "grid.csv", ["agn_time_s", "easgd_time_s"], STEPS
    )
    plain = simulated_s(cluster, columns[0], STEPS, 3, 0)
    left = simulated_s(cluster, replace(columns[0], leftover=True), STEPS, 3, 0)
    away = simulated_s(paused, columns[0], STEPS, 3, 0)
    for column in columns:
        name = "AGN" if column is columns[0] else "EASGD"
        what = f"49 times of {name}: mean error, without a refit"
        pair = [[errors(times, column).mean()] for times in (plain, left)]
        yield row(f"leftover-mean-{name}", "leftover steps", what, 0, *pair)
        what = f"49 times of {name}: mean absolute error, without a refit"
        for hypothesis, having in (("leftover steps", left), (PAUSES, away)):
            pair = [[np.abs(errors(times, column)).mean()] for times in (plain, having)]
            yield row(f"{hypothesis.split()[0]}-error-{name}", hypothesis, what, 0, *pair)
    for steps, published in ((3, 2836), (10, 1625), (15, 753)):
        pair = [[t.end_s for t in _timelines(profile, steps)] for profile in (cluster, paused)]
        yield row(f"pauses-time-l{steps}", PAUSES, f"DynSGD's time, n = 20, λ = {steps}", published, *pair)
    taus = [[t.staleness for t in _timelines(profile, 15)] for profile in (cluster, paused)]
    for what, published, measure in (
        ("largest staleness", 140, np.max),
        ("most frequent staleness", "19 to 20", lambda tau: np.bincount(tau).argmax()),
        ("share of the staleness up to 12", "a low plateau", lambda tau: (tau <= 12).mean()),
    ):
        pair = [[float(measure(tau)) for tau in those] for those in taus]
        yield row(f"pauses-{what.split()[0]}", PAUSES, f"{what}, n = 20, λ = 15", published, *pair)


def _timelines(profile: Any, steps: int) -> list[Any]:
    return [simulate_timeline(draw_delays(profile, seed, 20, STEPS // 20 // steps, steps)) for seed in range(5)]


def pauses() -> Iterator[Row]:
    for steps in (10, 15):
        drops = [
            [drop(r) for r in runs_of("dynsgd", away) if _is(r, "dynsgd", 20, steps) and _is_usual(r)]
            for away in (False, True)
        ]
        what = f"largest drop, DynSGD with adam, n = 20, λ = {steps}, small network"
        yield row(f"pauses-drop-l{steps}", PAUSES, what, "> 0.05", *drops)
    ends = [
        [end(r) for r in runs_of("downpour", away) if _is(r, "downpour", 20, 1) and _is_usual(r)]
        for away in (False, True)
    ]
    what = "DOWNPOUR, n = 20, λ = 1: training accuracy in the last tenth of the time, small network"
    yield row("pauses-downpour", PAUSES, what, 0.11, *ends)


def _is_usual(run: Run) -> bool:
    """Whether but for pauses nothing is supposed of it."""
    config = run.config
    as_it_is = (config.delays.pull, config.delays.staleness) == ("answer", "applied")
    return as_it_is and config.local_optimizer.name == "adam" and _is_plain(run)


def picture() -> None:
    """The staleness with and without pauses, and the curves of DynSGD on its clocks."""
    with look.picture(CLUSTER / "figures" / "hypotheses", 1, 2, figsize=(10, 3.6)) as (_, axes, _):
        for name, profile in (("as fitted", []), ("with pauses", PAUSED)):
            tau = np.concatenate([t.staleness for t in _timelines(load_profile("paper-cluster", profile), 15)])
            counts = np.bincount(tau)
            axes[0].step(np.arange(len(counts)), counts / counts.sum(), where="mid", label=name)
        axes[0].axvline(140, color="0.5", linestyle=":", label="published tail")
        axes[0].set(yscale="log", xlabel="staleness, n = 20, λ = 15", ylabel="share of the exchanges")
        axes[0].yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes[0].legend()
        for run in [*runs_of("dynsgd"), *runs_of("dynsgd", pauses=True)]:
            config = run.config
            if (config.local_steps, config.seed, config.local_optimizer.name) == (10, 0, "adam"):
                label = f"pull: {config.delays.pull}, staleness: {config.delays.staleness}"
                axes[1].plot(*run.train, label="with pauses" if config.delays.going else label, linewidth=1)
        axes[1].set(xlabel="simulated seconds", ylabel="training accuracy, DynSGD, λ = 10", ylim=(0.8, 1.0))
        axes[1].legend(fontsize=7)


def main() -> None:
    rows = [*keras(), *visits(), *grid(), *clocks(), *pauses()]
    files.write_table(CLUSTER / "tables" / "hypotheses.csv", pd.DataFrame(rows))
    picture()


if __name__ == "__main__":
    main()
