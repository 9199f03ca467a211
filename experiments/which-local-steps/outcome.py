"""How good is the rule of `agn-bench advise`? Its pick against the best λ of those trained, on clusters and problems
that it was not made on: writes results/which-local-steps/tables/regret.csv and swings.csv, and figures/regret.png.

The rule was fixed before, on the paper's grid: the smallest λ whose growth rate is under −0.1. The regret is what the
area of the test accuracy over 100 simulated seconds loses by the pick. A cell is a problem, a cluster and a number of
workers; it counts with the seeds with which all of its λ were trained.

It missed where a run is short, of 5 to 20 exchanges a worker: what grows has no time to become large there. The higher
bound for short runs (clock.stability.bound) was made on the cells of the convolutional network alone; the other cells
test it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from agn_bench.analysis.comparison import areas, configurations, read_runs
from agn_bench.analysis.figures import look
from agn_bench.analysis.figures.lettering import foot
from agn_bench.analysis.measures import Measured
from agn_bench.base import files
from agn_bench.clock import load_profile
from agn_bench.clock.endless import active_timelines
from agn_bench.clock.stability import (
    MARGIN,
    SEEDS,
    bound,
    exchanges_looked_at,
    growth_rate,
    rounds_in,
    stable_at_constant_staleness,
)
from agn_bench.config.experiment import read_experiment_file

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
RUNS = ROOT / "results" / "which-local-steps"
SECONDS = 100.0
MEASURE = Measured("test_accuracy", True)
CELL = ["problem", "delays", "workers"]


def measured() -> pd.DataFrame:
    """The area of every run: a row for each problem, cluster, number of workers, λ and seed."""
    asked = {config.configuration: config for config in read_experiment_file(HERE / "which-local-steps.toml").configs}
    rows = []
    for one in configurations(read_runs([RUNS]), MEASURE):
        config = asked[str(one.runs["configuration"].iloc[0])]
        problem = config.local_optimizer.name if config.problem is None else config.problem.name
        named = {
            "problem": f"mlp {problem}" if config.problem is None else problem, "delays": config.delays.name,
            "workers": config.workers, "local_steps": config.local_steps, "size": config.message_bytes,
        }  # fmt: skip
        rows += [{**named, "seed": seed, "area": area} for seed, area in areas(one, SECONDS).items()]
    return pd.DataFrame(rows)


def growth_rates(delays: str, workers: int, local_steps: list[int], size: int) -> dict[int, float]:
    """AGN's growth rate by λ, as the rule takes it."""
    seeded = [(seed, workers, steps) for steps in local_steps for seed in range(SEEDS)]
    timelines = active_timelines(load_profile(delays, []), seeded, size, exchanges_looked_at)
    found = [growth_rate(timeline.worker, workers, timeline.local_steps) for timeline in timelines]
    return dict(zip(local_steps, np.reshape(found, (-1, SEEDS)).mean(axis=1).tolist(), strict=True))


def cells(found: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """A row of regret.csv for each cell all of whose λ were trained with some seeds."""
    asked = read_experiment_file(HERE / "which-local-steps.toml").configs
    grid = {
        n: sorted({config.local_steps for config in asked if config.workers == n}) for n in {c.workers for c in asked}
    }
    for (problem, delays, workers), rows in found.groupby(CELL):
        by_seed = rows.pivot_table(index="seed", columns="local_steps", values="area").reindex(columns=grid[workers])
        whole = by_seed.dropna()
        if whole.empty:
            continue
        size = int(rows["size"].iloc[0])
        rates = growth_rates(delays, workers, grid[workers], size)
        rounds = {steps: rounds_in(load_profile(delays, []), workers, steps, size, SECONDS) for steps in grid[workers]}
        mean = whole.mean()
        picks = {
            "rule": next((steps for steps, rate in rates.items() if rate < -MARGIN), max(rates)),
            "short": next((steps for steps, rate in rates.items() if rate < bound(rounds[steps])), max(rates)),
            "formula": next((s for s in grid[workers] if s >= stable_at_constant_staleness(workers)), max(rates)),
            "n": min(grid[workers], key=lambda steps: abs(steps - workers)),
        }
        best = int(mean.idxmax())
        yield {
            "problem": problem, "delays": delays, "workers": workers, "seeds": len(whole),
            "best_local_steps": best, "best_area": mean[best], "best_growth_rate": rates[best],
            "best_at_edge": best in (grid[workers][0], grid[workers][-1]),
            "picked_local_steps": picks["rule"], "picked_growth_rate": rates[picks["rule"]],
            "regret": mean[best] - mean[picks["rule"]],
            "regret_std": (whole[best] - whole[picks["rule"]]).std(ddof=1),
            "rounds": rounds[best], "short_picked_local_steps": picks["short"],
            "short_regret": mean[best] - mean[picks["short"]],
            "regret_at_constant_staleness": mean[best] - mean[picks["formula"]],
            "regret_of_n_local_steps": mean[best] - mean[picks["n"]],
        }  # fmt: skip


def swings() -> pd.DataFrame:
    """A row for each λ, cluster and number of workers of the perceptron with SGD, seed 0: its growth rate, and whether
    its test accuracy swings. It does if it falls by more than 0.1 below what it was, or the run diverges; it does not
    learn if it ends at less than half of what the best λ of its cell ends at.
    """
    runs = read_runs([RUNS]).only(["model=mlp-small", "local_optimizer=sgd", "seed=0"])
    points = runs.curves[runs.curves["test_accuracy"].notna()].groupby("run_id")["test_accuracy"]
    falls = points.apply(lambda values: float((values.cummax() - values).max()))
    ends = points.last()
    table = runs.summary[["delays", "workers", "local_steps", "status", "run_id"]].copy()
    table["largest_fall"], table["test_accuracy"] = table["run_id"].map(falls), table["run_id"].map(ends)
    best = table.groupby(["delays", "workers"])["test_accuracy"].transform("max")
    size = next(c.message_bytes for c in read_experiment_file(HERE / "which-local-steps.toml").configs if c.model)
    for (delays, workers), rows in table.groupby(["delays", "workers"]):
        rates = growth_rates(delays, workers, sorted(rows["local_steps"]), size)
        table.loc[rows.index, "growth_rate"] = rows["local_steps"].map(rates)
    table["swings"] = (table["status"] == "diverged") | (table["largest_fall"] > 0.1)
    table["learns"] = table["test_accuracy"] >= best / 2
    return table.drop(columns="run_id").sort_values(["delays", "workers", "local_steps"])


def draw(table: pd.DataFrame, stem: Path) -> list[Path]:
    """The regret in every cell, by problem and cluster."""
    problems = list(dict.fromkeys(table["problem"]))
    size = (3.0 * len(problems), 3.0)
    with look.picture(stem, 1, len(problems), figsize=size, sharey=True) as (figure, panels, paths):
        for axes, problem in zip(np.ravel(panels), problems, strict=True):
            own = table[table["problem"] == problem]
            for place, (cluster, marks) in enumerate(own.groupby("delays")):
                colour = look.COLOURS[place]
                axes.plot(marks["workers"], marks["regret"], ":", color=colour, marker="o", markersize=2, linewidth=1)
                axes.plot(
                    marks["workers"], marks["short_regret"], color=colour, marker="o", markersize=3, label=cluster
                )
            axes.set_title(problem, fontsize=9)
            axes.set_xscale("log", base=2)
            axes.set_xticks([8, 16, 32, 64], ["8", "16", "32", "64"])
            axes.set_xlabel("workers, n")
        np.ravel(panels)[0].set_ylabel("area lost by the rule's λ")
        np.ravel(panels)[-1].legend(fontsize=7)
        foot(figure, {}, ["dotted: without the higher bound for short runs"])
    return paths


def main() -> None:
    table = pd.DataFrame(cells(measured()))
    files.write_table(RUNS / "tables" / "regret.csv", table)
    draw(table, RUNS / "figures" / "regret")
    swinging = swings()
    files.write_table(RUNS / "tables" / "swings.csv", swinging)
    print(pd.crosstab(swinging["growth_rate"] > 0, [swinging["swings"], swinging["learns"]]).to_string())
    columns = ["regret", "short_regret", "regret_at_constant_staleness", "regret_of_n_local_steps"]
    print(table.groupby("problem").size().to_string())
    print(table.groupby("problem")[columns].agg(["mean", "max"]).round(4).to_string())
    print(table[columns].agg(["mean", "max"]).round(4).to_string())


if __name__ == "__main__":
    main()
