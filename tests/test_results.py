"""The files: what is in them, that they are the same bytes again, and that they appear whole or not at all."""

from __future__ import annotations

import csv
import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import reference
from conftest import reference_log

from agn_bench.base import machine
from agn_bench.base.inputs import BadInput
from agn_bench.clock import draw_delays
from agn_bench.config.resolving import resolve
from agn_bench.config.run import RunConfig
from agn_bench.execution import sweep
from agn_bench.execution.work import Watcher
from agn_bench.store import folder as folders
from agn_bench.store import run_files

SUMMARY = [
    "run_id",
    "experiment",
    "optimizer",
    "workers",
    "local_steps",
    "seed",
    "dataset",
    "model",
    "local_optimizer",
    "learning_rate",
    "batch_size",
    "epochs",
    "delays",
    "status",
    "exchanges",
    "gradient_steps",
    "sim_time_s",
    "last_batch_accuracy",
    "train_accuracy",
    "test_accuracy",
    "best_test_accuracy",
    "mean_staleness",
    "p95_staleness",
    "mean_queue_wait_s",
    "server_utilization",
]
CURVE = ["run_id", "time_s", "gradient_steps", "train_loss", "train_accuracy", "train_accuracy_std", "test_accuracy"]
COMMITS = [
    "exchange",
    "worker",
    "start_s",
    "compute_end_s",
    "arrive_s",
    "served_s",
    "applied_s",
    "resume_s",
    "staleness",
    "queue_wait_s",
    "phase",
    "steps",
    "pulled",
    "version",
    "accepted",
    "answered",
]
CSV_FILES = ("summary.csv", "curve.csv", "commits.csv")


class Silent(Watcher):
    """Says nothing, and knows which runs were made and which were found."""

    def __init__(self) -> None:
        self.repeated: list[str] = []
        self.known: list[str] = []

    def started(self, config: RunConfig) -> None:
        self.repeated.append(config.run_id)

    def found(self, config: RunConfig) -> None:
        self.known.append(config.run_id)


@pytest.fixture
def make(quick_dataset: str) -> Callable[..., tuple[RunConfig, Path]]:
    """Make a run of the tiny problem in a folder."""

    def run(folder: Path, **options: Any) -> tuple[RunConfig, Path]:
        base = {
            "dataset": quick_dataset,
            "model": "mlp-8",
            "workers": 4,
            "local_steps": 3,
            "gradient_steps": 130,
            "batch_size": 8,
        }
        config = resolve({**base, **options})
        report = sweep.run_all([config], folder, Silent())
        for _, error in report.failures:
            raise error
        return config, report.runs[0]

    return run


def test_a_run_leaves_four_files_with_the_designs_columns(make: Any, tmp_path: Path) -> None:
    config, run = make(tmp_path)
    assert sorted(path.name for path in run.iterdir()) == ["commits.csv", "curve.csv", "run.json", "summary.csv"]
    summary, curve, commits = (pd.read_csv(run / name) for name in CSV_FILES)
    assert list(summary)[: len(SUMMARY)] == SUMMARY
    assert list(curve) == CURVE
    assert list(commits) == COMMITS
    row = summary.iloc[0]
    assert (row["run_id"], row["experiment"], row["status"]) == (config.run_id, "adhoc", "done")
    # 130 steps over 4 workers: 32 each, cut to 10 phases of 3.
    assert (row["exchanges"], row["gradient_steps"], len(commits)) == (40, 120, 40)
    assert row["sim_time_s"] == commits["resume_s"].max()
    assert row["mean_queue_wait_s"] == pytest.approx(commits["queue_wait_s"].mean(), rel=1e-12)
    busy = (commits["applied_s"] - commits["served_s"]).sum()
    assert row["server_utilization"] == pytest.approx(busy / row["sim_time_s"], rel=1e-12)
    assert row["mean_staleness"] == commits["staleness"].mean()
    assert row["p95_staleness"] == np.percentile(commits["staleness"], 95)
    assert row["test_accuracy"] == curve["test_accuracy"].dropna().iloc[-1]
    assert row["best_test_accuracy"] == curve["test_accuracy"].max()
    assert row["test_accuracy"] > 0.5  # chance is 0.25
    assert curve["gradient_steps"].iloc[-1] == 120
    assert curve["test_accuracy"].notna().sum() >= 15  # 21 evaluations; two may fall on one point
    assert list(commits["exchange"]) == list(range(40))


def test_the_events_written_are_those_of_the_reference(make: Any, tmp_path: Path) -> None:
    config, run = make(tmp_path)
    draws = draw_delays(config.delays, config.seed, 4, 10, 3)
    commits = pd.read_csv(run / "commits.csv")
    expected = pd.DataFrame(reference_log(draws))
    for column in ("worker", "staleness", "start_s", "compute_end_s", "arrive_s", "served_s", "applied_s", "resume_s"):
        np.testing.assert_allclose(commits[column], expected[column], rtol=0, atol=1e-9)


def test_last_batch_accuracy_is_the_mean_over_workers_of_their_last_mini_batch(
    make: Any, tmp_path: Path, tiny: Any
) -> None:
    """Counted by the reference, from the same mini-batches and initial parameters, in float64."""
    from agn_bench.base.streams import Kind, stream
    from agn_bench.problems import perceptron, shares

    config, run = make(tmp_path, seed=2, learning_rate=0.02)
    log = reference_log(draw_delays(config.delays, config.seed, 4, 10, 3))
    batches = shares.deal(shares.Mixed(), 2, tiny.train_labels, 4, 30, 8, pooled_steps=130)
    initial = perceptron.initial_params(stream(2, Kind.PARAMETERS), (12, 8, 4))
    _, _, correct = reference.train(log, batches, tiny.train_images, tiny.train_labels, initial, "agn", "sgd", 0.02)
    last = {row["worker"]: right[-1] / 8 for row, right in zip(log, correct, strict=True)}
    assert pd.read_csv(run / "summary.csv")["last_batch_accuracy"].iloc[0] == np.mean(list(last.values()))
    assert 0.3 < np.mean(list(last.values())) < 0.9  # neither chance nor all of them, which other runs have too


def test_run_json_is_enough_to_run_it_again(make: Any, tmp_path: Path) -> None:
    config, run = make(tmp_path)
    record = json.loads((run / "run.json").read_text())
    assert record["config"] == config.as_dict()
    assert record["command"] == config.command()
    assert record["status"] == "done"
    assert {"versions", "commit", "hardware", "threads", "device"} <= set(record["machine"])
    assert record["wall_clock_s"]["total"] >= record["wall_clock_s"]["training"] > 0
    assert str(tmp_path) not in json.dumps(record)


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(make: Any, tmp_path: Path) -> None:
    _, one = make(tmp_path / "one")
    _, same = make(tmp_path / "elsewhere" / "same")
    _, other = make(tmp_path / "one", seed=1)
    for name in CSV_FILES:
        assert (one / name).read_bytes() == (same / name).read_bytes()
        assert (one / name).read_bytes() != (other / name).read_bytes()


def test_methods_are_compared_on_the_same_timeline_and_start(make: Any, tmp_path: Path) -> None:
    runs = [make(tmp_path, optimizer=name)[1] for name in ("agn", "easgd", "dynsgd", "downpour")]
    assert len({(run / "commits.csv").read_bytes() for run in runs}) == 1
    first_points = [pd.read_csv(run / "curve.csv").iloc[0] for run in runs]
    assert len({point["test_accuracy"] for point in first_points}) == 1


def test_floats_are_written_in_shortest_round_trip_form(make: Any, tmp_path: Path) -> None:
    _, run = make(tmp_path)
    for name in CSV_FILES:
        with (run / name).open(newline="") as file:
            for row in csv.DictReader(file):
                for value in row.values():
                    if "." in value and value.replace(".", "", 1).replace("e-", "", 1).isdigit():
                        assert repr(float(value)) == value


def test_a_run_that_diverges_is_a_result_with_its_exchange_and_time(make: Any, tmp_path: Path) -> None:
    config, run = make(tmp_path, optimizer="downpour", learning_rate=1e20)
    row = pd.read_csv(run / "summary.csv").iloc[0]
    commits, curve = pd.read_csv(run / "commits.csv"), pd.read_csv(run / "curve.csv")
    assert row["status"] == "diverged"
    assert len(commits) == config.exchanges  # the clock went on, though nothing was learned any more
    assert row["exchanges"] == row["diverged_exchange"] + 1 < config.exchanges
    assert row["sim_time_s"] == commits["resume_s"].max()  # the horizon: the whole timeline
    commits = commits[: row["exchanges"]]
    assert row["diverged_s"] == commits["applied_s"].iloc[-1]
    assert row["sim_time_s"] > commits["resume_s"].max()
    assert row["test_accuracy"] == row["train_accuracy"] == row["last_batch_accuracy"] == 0.25
    assert curve["time_s"].iloc[-1] <= np.ceil(row["diverged_s"])
    assert row["mean_staleness"] == commits["staleness"].mean()
    assert row["mean_queue_wait_s"] == pytest.approx(commits["queue_wait_s"].mean(), rel=1e-12)
    busy = (commits["applied_s"] - commits["served_s"]).sum()
    assert row["server_utilization"] == pytest.approx(busy / row["diverged_s"], rel=1e-12)


def test_runs_are_collected_and_rows_without_a_folder_are_kept(make: Any, tmp_path: Path) -> None:
    a, run_a = make(tmp_path)
    b, _ = make(tmp_path, seed=1)
    summary = pd.read_csv(tmp_path / "summary.csv")
    assert sorted(summary["run_id"]) == sorted([a.run_id, b.run_id])
    before = {path: path.read_bytes() for path in tmp_path.glob("*.*")}
    shutil.rmtree(run_a)
    folders.collect(tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.glob("*.*")} == before
    provenance = json.loads((tmp_path / "provenance.json").read_text())
    assert set(provenance) == {a.run_id, b.run_id}
    assert provenance[a.run_id]["command"] == a.command()
    assert provenance[a.run_id]["config"] == a.as_dict()


def test_collected_rows_are_the_runs_own_to_the_digit(make: Any, tmp_path: Path) -> None:
    _, run = make(tmp_path)
    assert (tmp_path / "summary.csv").read_bytes() == (run / "summary.csv").read_bytes()
    compressed = (tmp_path / "curves.csv.gz").read_bytes()
    assert gzip.decompress(compressed) == (run / "curve.csv").read_bytes()
    assert compressed[:10] == b"\x1f\x8b\x08\x00" + 4 * b"\x00" + b"\x00\xff"  # no name, no time, no system


def test_a_finished_run_is_not_repeated_unless_forced(make: Any, tmp_path: Path) -> None:
    config, run = make(tmp_path)
    (run / "commits.csv").unlink()  # left out of repositories
    watcher = Silent()
    assert sweep.run_all([config], tmp_path, watcher).runs == [run]
    assert (watcher.repeated, watcher.known) == ([], [config.run_id])
    assert not (run / "commits.csv").exists()
    sweep.run_all([config], tmp_path, watcher, force=True)
    assert watcher.repeated == [config.run_id]
    assert (run / "commits.csv").exists()
    assert [path.name for path in (tmp_path / "runs").iterdir()] == [config.run_id]


@pytest.mark.parametrize("fails_at", ["curve", "commits", "summary"])
def test_a_failure_while_writing_leaves_no_part_of_a_run(
    make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails_at: str
) -> None:
    def disk_full(result: Any) -> None:
        raise OSError(28, "No space left on device")

    _, before = make(tmp_path, seed=9)
    collected = {path: path.read_bytes() for path in tmp_path.glob("*.*")}
    monkeypatch.setattr(run_files, fails_at, disk_full)
    with pytest.raises(OSError, match="No space left"):
        make(tmp_path)
    assert list((tmp_path / "runs").iterdir()) == [before]
    assert {path: path.read_bytes() for path in tmp_path.glob("*.*")} == collected


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_a_run_that_cannot_take_anothers_place_leaves_it_there(
    make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    config, run = make(tmp_path)
    before = {path: path.read_bytes() for path in run.iterdir()}
    rename = Path.rename

    def failing(path: Path, target: Path) -> Path:
        if path.name == "new":
            raise error
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(error):
        sweep.run_all([config], tmp_path, Silent(), force=True)
    assert {path: path.read_bytes() for path in run.iterdir()} == before
    assert list((tmp_path / "runs").iterdir()) == [run]


def test_a_folder_with_another_programs_file_is_refused_before_training(make: Any, tmp_path: Path) -> None:
    (tmp_path / "summary.csv").write_text("a,b\n1,2\n")
    with pytest.raises(BadInput, match=r"summary\.csv: cannot be read \(no column run_id\), and not every run"):
        make(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["summary.csv"]


def test_a_provenance_that_cannot_be_read_is_refused_before_training(make: Any, tmp_path: Path) -> None:
    """It says what nothing else does of runs whose folders are not here."""
    make(tmp_path)
    (tmp_path / "provenance.json").write_text("{")
    with pytest.raises(BadInput, match=r"provenance\.json: cannot be read"):
        make(tmp_path, seed=1)
    assert (tmp_path / "provenance.json").read_text() == "{"
    assert len(list((tmp_path / "runs").iterdir())) == 1


def test_collected_files_that_were_removed_come_back_with_the_next_call(make: Any, tmp_path: Path) -> None:
    make(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.glob("*.*")}
    for path in before:
        path.unlink()
    make(tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.glob("*.*")} == before


def test_a_run_that_does_not_fit_into_memory_is_refused_before_training(
    make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tiny model has 140 parameters: 560 bytes a worker; of 130 steps, 4,160 bytes of indices, twice, and 27,600 of
    what is recorded of them and of 43 exchanges.
    """
    monkeypatch.setattr(machine, "memory_bytes", lambda: 38_500)
    with pytest.raises(BadInput, match=r"workers=10: the run needs about .* up to 2 workers"):
        make(tmp_path, workers=10)
    make(tmp_path, workers=2)
    with pytest.raises(BadInput, match="workers=2"):
        make(tmp_path, workers=2, local_optimizer="adam")


def test_what_is_recorded_of_many_small_steps_counts_as_memory(
    make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The table of the exchanges, and its text twice: as text and as bytes."""
    small = {"batch_size": 1, "local_steps": 1}
    config, run = make(tmp_path, gradient_steps=2000, **small)
    table = pd.read_csv(run / "commits.csv").memory_usage(index=False).sum()
    assert config.memory_bytes > table + 2 * (run / "commits.csv").stat().st_size
    monkeypatch.setattr(machine, "memory_bytes", lambda: 16e9)
    with pytest.raises(BadInput, match="the run needs about 49 GB of memory, this machine has 16 GB"):
        make(tmp_path, gradient_steps=10**8, **small)
