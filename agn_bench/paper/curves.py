"""Where curves end and how smooth they are: of runs, and of experiments beside what was published of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from agn_bench.analysis import metrics
from agn_bench.clock import Profile
from agn_bench.paper.published import published_curves, published_table
from agn_bench.paper.runs import Results, Run, spread

Row = dict[str, Any]

START_UP_SHARE, START_UP_PHASES = 0.2, 3
"""A run's start, left out where drops are measured: so much of its time, or so many local phases of a worker if they
are more. At the start every local phase gets ahead of the center, and falls back when it pulls, whatever the method."""


def drop(run: Run) -> float:
    """How far the training curve falls, at most, below what it had reached since its start-up; of a run that diverges,
    from the best that it ever reached to chance.
    """
    times, values = run.steady
    if run.diverged:
        return float(values.max() - values[-1])
    start_up = min(0.8, max(START_UP_SHARE, START_UP_PHASES / run.config.phases))
    return metrics.largest_drop(run.steady, float(times[0] + start_up * (times[-1] - times[0])))


def share_under_90_percent(run: Run) -> float:
    """The share of the time in which training accuracy is under 90 %, by the training curve."""
    return metrics.share_below(run.steady, 0.9)


def end(run: Run) -> float:
    """Training accuracy in the last tenth of the time."""
    return metrics.last_part(run.steady, 0.1)


def gain_in_the_second_half(run: Run) -> float:
    """Training accuracy in the last twentieth of the time, minus that in its middle."""
    times, _ = run.steady
    return metrics.last_part(run.steady, 0.05) - metrics.value_at(run.steady, float(times[0] + times[-1]) / 2)


def ends_table(results: Results, name: str, figures: Sequence[str]) -> list[Row]:
    """Where the curves of an experiment end, one row per configuration, with what the paper's `figures` show of it."""
    rows = []
    for config, runs in results.cells(name):
        key = (config.optimizer.name, str(config.workers), str(config.local_steps))
        published = [
            curve
            for curve in published_curves()
            if curve["figure"] in figures and (curve["optimizer"], curve["workers"], curve["local_steps"]) == key
        ]
        row: Row = {
            "optimizer": config.optimizer.name,
            "workers": config.workers,
            "local_steps": config.local_steps,
            "seeds": len(runs),
            "diverged": sum(run.diverged for run in runs),
        }
        row |= spread("sim_time_s", [run.row["sim_time_s"] for run in runs])
        row |= spread("last_batch_accuracy", [run.row["last_batch_accuracy"] for run in runs])
        row |= spread("test_accuracy", [run.row["test_accuracy"] for run in runs])
        row |= spread("largest_drop", [drop(run) for run in runs])
        said = [curve["what_the_curve_shows"] for curve in published]
        row |= {
            "published_time_s": _joined(published, "time_s", 1),
            "published_last_batch_accuracy": _joined(published, "train_accuracy", 100),
            "published_test_accuracy": _joined(published, "test_accuracy", 100),
            "published_curve": "; ".join(text for text in said if not text.startswith("as in")),
        }
        rows.append(row)
    return rows


def _joined(curves: Sequence[dict[str, str]], column: str, scale: float) -> str:
    """What published curves of one configuration say, in our units; the paper shows some configurations twice."""
    return " / ".join(f"{float(curve[column]) / scale:.6g}" for curve in curves if curve[column])


def by_order_of_service(results: Results) -> dict[tuple[str, int, int], dict[str, list[Run]]]:
    """The runs of every optimizer, n and λ of order-of-service.toml by whom the server takes next: first those of the
    grid, in random order."""
    found: dict[tuple[str, int, int], dict[str, list[Run]]] = {}
    for config, runs in results.cells("order-of-service"):
        cell = (config.optimizer.name, config.workers, config.local_steps)
        orders = found.setdefault(cell, {"random": results.cell("grid", *cell)})
        assert isinstance(config.delays, Profile)
        share = "" if config.delays.order == "fifo" else f"{config.delays.fifo_share:.0%} "
        orders[f"{share}first in first out"] = runs
    return found


def order_table(results: Results) -> list[Row]:
    """by_order_of_service, a row each."""
    rows = []
    for (optimizer, workers, local_steps), orders in by_order_of_service(results).items():
        for order, runs in orders.items():
            row: Row = {
                "optimizer": optimizer,
                "workers": workers,
                "local_steps": local_steps,
                "order": order,
                "seeds": len(runs),
                "diverged": sum(run.diverged for run in runs),
            }
            row |= spread("test_accuracy", [run.row["test_accuracy"] for run in runs])
            row |= spread("largest_drop", [drop(run) for run in runs])
            row |= spread("time_under_90_percent", [share_under_90_percent(run) for run in runs])
            row |= spread("sim_time_s", [run.row["sim_time_s"] for run in runs])
            rows.append(row)
    return rows


def edge_table(results: Results) -> list[Row]:
    """AGN with 40 workers where it turns stable, beside the published test accuracies."""
    published = published_table().set_index(["workers", "local_steps"])["agn_test"]
    rows = []
    for config, runs in results.cells("grid"):
        if (config.optimizer.name, config.workers) == ("agn", 40) and config.local_steps <= 30:
            row: Row = {"workers": 40, "local_steps": config.local_steps, "seeds": len(runs)}
            row |= spread("test_accuracy", [run.row["test_accuracy"] for run in runs])
            row["test_accuracy_published"] = published[40, config.local_steps]
            row |= spread("largest_drop", [drop(run) for run in runs])
            row |= spread("time_under_90_percent", [share_under_90_percent(run) for run in runs])
            rows.append(row)
    return sorted(rows, key=lambda row: row["local_steps"])
