"""The runs of a size: which there are to be, by the experiment files in experiments/paper, and those that are there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agn_bench.analysis import metrics
from agn_bench.base.files import read_json
from agn_bench.base.inputs import BadInput
from agn_bench.config.experiment import Experiment, read_experiment_file
from agn_bench.config.run import RunConfig
from agn_bench.config.shipped import experiments_folder
from agn_bench.store import run_files
from agn_bench.store.collected import CURVES, SUMMARY

if TYPE_CHECKING:
    import pandas as pd

SIZES = {
    "quick": "4,000 digits, small network, SGD, a part of the grid, one seed: minutes, and indicative only",
    "reduced": "all of MNIST, 40 epochs, small network, SGD, three seeds",
    "paper": "the paper's data, network and protocol",
}

EXPERIMENTS = ("agn-vs-others", "agn-vs-dynsgd", "downpour", "dynsgd", "order-of-service", "grid", "baselines")
"""The experiment files, in order of importance."""


def experiments_of(size: str) -> dict[str, Experiment]:
    """The experiments that there are at a size, by the names of their files."""
    found = {}
    for name in EXPERIMENTS:
        path = experiments_folder() / "paper" / f"{name}.toml"
        if size in read_experiment_file(path).sizes:
            found[name] = read_experiment_file(path, size=size)
    return found


def whole(size: str, experiments: dict[str, Experiment]) -> Experiment:
    """All experiments of a size as one: runs that several have are made once."""
    configs: dict[str, RunConfig] = {}
    cell_of: dict[str, int] = {}
    before = 0
    for experiment in experiments.values():
        for config in experiment.configs:
            configs.setdefault(config.run_id, config)
        for configuration, cell in experiment.cell_of.items():
            cell_of.setdefault(configuration, before + cell)
        before += 1 + max(experiment.cell_of.values())
    return Experiment(size, f"the paper's tables and figures: {SIZES[size]}", tuple(configs.values()), cell_of)


@dataclass(frozen=True)
class Run:
    """A finished run: its configuration, its row of summary.csv, its curves as they count."""

    config: RunConfig
    row: Any
    """By the columns of summary.csv."""
    train: metrics.Curve
    test: metrics.Curve
    steady: metrics.Curve
    """The training curve while the workers are at work, without its noisy end (metrics.steady)."""

    @property
    def seed(self) -> int:
        return self.config.seed

    @property
    def diverged(self) -> bool:
        return bool(self.row["status"] == "diverged")


class Results:
    """A size's runs that are there, read from its collected CSV files."""

    def __init__(self, size: str, folder: Path) -> None:
        """Read the collected files of the experiment folder `folder`, if it has any.

        Raises:
            BadInput: they cannot be read, or have runs of another size.
        """
        self.size, self.folder = size, folder
        self.experiments = experiments_of(size)
        self._runs: dict[str, Run] = {}
        if (folder / "summary.csv").is_file():
            summary, curves = run_files.read_experiment(folder)
            self._check_size(summary)
            self._read(summary, curves)

    def _check_size(self, summary: pd.DataFrame) -> None:
        """Raise BadInput if the folder has runs of another size."""
        own = {(str(config.dataset), str(config.model), str(config.local_optimizer)) for config in self._asked.values()}
        kinds = zip(summary["dataset"], summary["model"], summary["local_optimizer"], strict=True)
        others = [run for run, kind in zip(summary["run_id"], kinds, strict=True) if kind not in own]
        if others:
            problem = f"has {len(others)} runs that are not of size {self.size}, as {others[0]}"
            raise BadInput("out", self.folder, problem, f"a folder of size {self.size} alone: another `out`")

    def _read(self, summary: pd.DataFrame, curves: pd.DataFrame) -> None:
        import pandas as pd

        accepted = "the collected files as `reproduce` wrote them"
        for name, table, column in (
            (SUMMARY, summary, "last_batch_accuracy"),
            (SUMMARY, summary, "test_accuracy"),
            (CURVES, curves, "gradient_steps"),
            (CURVES, curves, "train_accuracy"),
            (CURVES, curves, "test_accuracy"),
        ):
            if column not in table:
                raise BadInput("out", self.folder / name, f"has no column {column}", accepted)
            if not pd.api.types.is_numeric_dtype(table[column]):
                raise BadInput("out", self.folder / name, f"has text in column {column}", accepted)
        without = summary["run_id"][~summary["run_id"].isin(curves["run_id"][curves["train_accuracy"].notna()])]
        if not without.empty:
            problem = f"has no training accuracy of {without.iloc[0]}"
            raise BadInput("out", self.folder / CURVES, problem, accepted)
        points = dict(tuple(curves.groupby("run_id")))
        for row in summary.to_dict("records"):
            config = self._asked.get(row["run_id"])
            if config is not None:
                self._runs[row["run_id"]] = run_of(config, row, points[row["run_id"]])

    @cached_property
    def _asked(self) -> dict[str, RunConfig]:
        return {c.run_id: c for experiment in self.experiments.values() for c in experiment.configs}

    @property
    def count(self) -> int:
        """The number of runs that are there."""
        return len(self._runs)

    def devices(self) -> Counter[str]:
        """How many of them were made on what, by the folder's provenance.json."""
        path = self.folder / "provenance.json"
        made = read_json(path) if path.is_file() else {}
        devices = (made[run].get("machine", {}).get("device", "unknown") for run in self._runs if run in made)
        return Counter("CPU" if device.startswith("cpu") else device.split(": ")[-1] for device in devices)

    def asked(self, names: Sequence[str]) -> set[str]:
        """The runs that these experiments have at this size."""
        return {c.run_id for name in names if name in self.experiments for c in self.experiments[name].configs}

    def missing(self, names: Sequence[str]) -> int:
        """How many of them are not there."""
        return len(self.asked(names) - self._runs.keys())

    def seeds(self, name: str) -> list[int]:
        """The seeds of an experiment."""
        return sorted({config.seed for config in self.experiments[name].configs}) if name in self.experiments else []

    def cells(self, name: str) -> list[tuple[RunConfig, list[Run]]]:
        """An experiment's configurations (with seed 0) in the file's order, with the runs that are there, by seed."""
        found: dict[RunConfig, list[Run]] = {}
        for config in self.experiments[name].configs if name in self.experiments else ():
            runs = found.setdefault(replace(config, seed=0), [])
            if config.run_id in self._runs:
                runs.append(self._runs[config.run_id])
        return list(found.items())

    def cell(self, name: str, optimizer: str, workers: int, local_steps: int) -> list[Run]:
        """The runs of one of an experiment's configurations that are there, by seed."""
        for config, runs in self.cells(name):
            if (config.optimizer.name, config.workers, config.local_steps) == (optimizer, workers, local_steps):
                return runs
        return []


def spread(name: str, values: Sequence[float]) -> dict[str, float]:
    """Two columns: the mean, NaN if there is none, and the sample standard deviation, NaN for less than two values."""
    mean, deviation = metrics.mean_and_deviation(values)
    return {name: mean, f"{name}_std": deviation}


def run_of(config: RunConfig, row: dict[Any, Any], points: pd.DataFrame) -> Run:
    time_s = points["time_s"].to_numpy()
    counted = partial(
        metrics.counted_curve,
        time_s,
        horizon_s=float(row["sim_time_s"]),
        diverged_s=float(row["diverged_s"]) if row["status"] == "diverged" else None,
        counts_as=config.trains.measures["accuracy"].if_diverged,
    )
    train = points["train_accuracy"].to_numpy()
    quiet = metrics.steady(train, points["gradient_steps"].to_numpy())
    return Run(config, row, counted(train), counted(points["test_accuracy"].to_numpy()), counted(quiet))
