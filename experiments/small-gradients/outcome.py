"""When normalization is not needed: writes results/small-gradients/outcome.csv and the picture beside it, from the runs
of this folder's experiments.

crossover   where DOWNPOUR, which adds Δ, becomes worse than AGN, which adds Δ/λ, at the same rate after the same time:
            η λ h (2n − 1) / π there. The line says 1. It takes Δ for η λ h of the way; as Δ is 1 − (1 − ηh)^λ of it,
            the closed form is a little higher (`predicted`).
networks    the mean test accuracy over the second half, in which the rate is a tenth, and other measures; and how far
            each is ahead of AGN at the same problem and schedule, with the same seeds.
tuning      that mean of each setting that was tried; as the table has it already if these runs are not here.

Means have half of their 95 % intervals over the seeds (Student's t).
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from agn_bench.analysis.figures import look
from agn_bench.analysis.metrics import half_width
from agn_bench.base import files
from agn_bench.store import run_files

HERE = Path(__file__).parent
OUT = HERE.parent.parent / "results" / "small-gradients"
MEASURES = ("second_half_test_accuracy", "test_accuracy", "train_accuracy")
NUMBERS: dict[str, Any] = dict.fromkeys(("workers", "local_steps", "seeds"), int) | dict.fromkeys(
    ("learning_rate", "rate_falls_to", "mean"), float
)
Row = dict[str, Any]


@cache
def runs(name: str) -> pd.DataFrame:
    """The rows of summary.csv, and of networks the mean of the test accuracy after the rate has fallen."""
    summary, curves = run_files.read_experiment(OUT / name)
    summary = summary.assign(learning_rate=summary["learning_rate"].astype(float))
    if name == "crossover":
        return summary.assign(ratio=ratio(summary["learning_rate"], summary))
    late = curves[curves["time_s"] > 50].groupby("run_id")["test_accuracy"].mean()
    found = summary.assign(second_half_test_accuracy=summary["run_id"].map(late))
    diverged = found["status"] == "diverged"
    found = found.assign(schedule_factor=found["schedule_factor"].astype(float))
    return found.assign(**{MEASURES[0]: found[MEASURES[0]].where(~diverged, found["test_accuracy"])})


def ratio(rate: Any, of: Any) -> Any:
    """η λ h (2n − 1) / π; h is 1."""
    return rate * of["local_steps"] * (2 * of["workers"] - 1) / math.pi


def closed_form(workers: int, local_steps: int) -> float:
    """The ratio at which 1 − (1 − η)^λ is 2 sin(π / (2(2n − 1)))."""
    rate = 1 - (1 - 2 * math.sin(math.pi / (2 * (2 * workers - 1)))) ** (1 / local_steps)
    return float(ratio(rate, {"workers": workers, "local_steps": local_steps}))


def crossing(ratios: np.ndarray, ahead: np.ndarray) -> float:
    """Where the logarithm of a quotient of gaps first becomes positive, on a line between two ratios."""
    first = int(np.flatnonzero(ahead > 0)[0])
    logs = np.log(ratios[first - 1 : first + 1])
    share = -ahead[first - 1] / (ahead[first] - ahead[first - 1])
    return float(np.exp(logs[0] + share * (logs[1] - logs[0])))


def crossovers() -> Iterator[Row]:
    found = runs("crossover")
    for (delays, workers), cell in found.groupby(["delays", "workers"]):
        gaps = cell.pivot_table(index=["seed", "ratio"], columns="optimizer", values="center_gap")
        ahead = np.log(gaps["downpour"] / gaps["agn"])
        at = [
            crossing(own.index.get_level_values("ratio").to_numpy(), own.to_numpy()) for _, own in ahead.groupby("seed")
        ]
        where = {
            "question": "crossover",
            "problem": "quadratic",
            "delays": delays,
            "workers": workers,
            "local_steps": 16,
        }
        what = "η λ h (2n - 1) / π from which DOWNPOUR is worse than AGN"
        yield {**where, "measure": what, "predicted": closed_form(int(workers), 16), **spread(at)}
        for optimizer, own in cell.groupby("optimizer"):
            means = own.groupby("ratio")["center_gap"].mean()
            best = own[own["ratio"] == means.idxmin()]
            what = f"least gap of all rates, at {means.idxmin():.3g} times the line"
            yield {**where, "optimizer": optimizer, "measure": what, **spread([*best["center_gap"]])}


def networks() -> Iterator[Row]:
    found = runs("networks")
    found = found.assign(text=[text_of(row) for row in found.to_dict("records")])
    keys = ["problem", "schedule_factor", "text", "local_steps", "learning_rate"]
    for (problem, factor), cell in found.assign(problem=found["problem"].fillna("mlp")).groupby(keys[:2]):
        agn = cell[cell["text"] == "agn"].set_index("seed")
        for (text, steps, rate), own in cell.groupby(keys[2:]):
            own = own.set_index("seed")
            for measure in MEASURES:
                ahead = {} if text == "agn" else spread([*(own[measure] - agn[measure])], "ahead_of_agn_")
                yield {
                    "question": "networks", "problem": problem, "delays": "paper-cluster", "workers": 16,
                    "local_steps": steps, "optimizer": text, "learning_rate": rate, "rate_falls_to": factor,
                    "measure": measure, **spread([*own[measure]]), **ahead,
                }  # fmt: skip


def tuned() -> Iterator[Row]:
    if not (OUT / "tuning" / "summary.csv").is_file():
        with (OUT / "outcome.csv").open(encoding="utf-8", newline="") as before:
            for row in csv.DictReader(before):
                if row["question"] == "tuning":
                    yield {name: NUMBERS.get(name, str)(text) for name, text in row.items() if text}
        return
    found = runs("tuning")
    for row in found.assign(problem=found["problem"].fillna("mlp")).to_dict("records"):
        yield {
            "question": "tuning", "problem": row["problem"], "delays": row["delays"], "workers": row["workers"],
            "local_steps": row["local_steps"], "optimizer": row["optimizer"], "learning_rate": row["learning_rate"],
            "rate_falls_to": row["schedule_factor"], "measure": MEASURES[0], "mean": row[MEASURES[0]], "seeds": 1,
        }  # fmt: skip


def text_of(row: Row) -> str:
    """An optimizer, with the curvature it is told of."""
    if pd.isna(row.get("curvature")):
        return str(row["optimizer"])
    return f"{row['optimizer']}:curvature={float(row['curvature']):g}:division={row['division']}"


def spread(values: list[float], prefix: str = "") -> Row:
    return {f"{prefix}mean": float(np.mean(values)), f"{prefix}half_width_95": half_width(values), "seeds": len(values)}


LABELS = {
    "agn": "AGN", "downpour": "DOWNPOUR", "adag": "adag", "gem": "GEM", "gap-aware": "gap-aware",
    "agn-when-needed:curvature=0.1:division=switch": "stops dividing when the rate falls",
    "agn-when-needed:curvature=1:division=smooth": "divides by what is needed, h = 1",
}  # fmt: skip


def picture() -> None:
    with look.picture(OUT / "outcome", 1, 2, figsize=(10, 3.8)) as (_, axes, _):
        found = runs("crossover")
        for delays, workers, optimizer, label, style in (
            ("ideal", 16, "agn", "AGN, n = 16", "-"),
            ("ideal", 16, "downpour", "DOWNPOUR, n = 16", "-"),
            ("paper-cluster", 16, "downpour", "DOWNPOUR, n = 16, queue", ":"),
            ("ideal", 4, "downpour", "DOWNPOUR, n = 4", "--"),
            ("ideal", 16, "agn-when-needed", "divides by what is needed, n = 16", "-."),
        ):
            own = found[(found["delays"] == delays) & (found["workers"] == workers) & (found["optimizer"] == optimizer)]
            gap = own["center_gap"].where(own["status"] == "done", np.inf).clip(upper=1e3).groupby(own["ratio"]).mean()
            axes[0].plot(gap.index, gap, linestyle=style, label=label)
        axes[0].axvline(1, color="0.5", linewidth=0.8)
        axes[0].set(xscale="log", yscale="log", xlabel="η λ h (2n − 1) / π: 1 is the line", ylabel="gap at the end")
        axes[0].set(ylim=(1e-5, 1e2))
        for axis in (axes[0].xaxis, axes[0].yaxis):
            axis.set_major_formatter(lambda value, _: f"{value:g}")
            axis.set_minor_formatter(lambda value, _: "")
        axes[0].legend(fontsize=7)
        _, curves = run_files.read_experiment(OUT / "networks")
        rows = runs("networks")
        rows = rows[rows["problem"].isna() & (rows["schedule_factor"] == 0.1)]
        for text, label in LABELS.items():
            own = rows[[text_of(row) == text for row in rows.to_dict("records")]]
            mean = curves[curves["run_id"].isin(own["run_id"])].groupby("time_s")["test_accuracy"].mean()
            axes[1].plot(mean.index, mean, label=label)
        axes[1].axvline(50, color="0.5", linewidth=0.8)
        axes[1].set(xlabel="simulated seconds; from 50 on the rate is a tenth", ylabel="test accuracy, mlp")
        axes[1].legend(fontsize=7)


def table() -> pd.DataFrame:
    return pd.DataFrame([*crossovers(), *networks(), *tuned()])


def main() -> None:
    files.write_table(OUT / "outcome.csv", table())
    picture()


if __name__ == "__main__":
    main()
