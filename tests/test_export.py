"""What is written for TensorBoard, as Parquet and for MLflow is read back, and says what our own files say."""

from __future__ import annotations

import hashlib
import math
import resource
import shlex
import shutil
import struct
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from test_tracking import EXAMPLES, made

import agn_bench
from agn_bench import Failed, Started
from agn_bench.analysis import comparison, exports
from agn_bench.base.files import csv_text
from agn_bench.store.collected import content_bytes, first_of, text_table
from agn_bench.training.columns import is_measured

FOUR = Path(__file__).parents[1] / "results" / "four-methods"
KEPT = ["agn-n40-l26-s0-3ebe1800", "downpour-n40-l26-s0-e61a6d6d"]
Command = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two committed runs, one of which diverged, with few points; and a name and a hash that look like others."""
    place = tmp_path_factory.mktemp("two")
    for file in ("summary.csv", "curves.csv.gz"):
        table = pd.read_csv(FOUR / file, dtype=str, keep_default_na=False)
        table = table[table["run_id"].isin(KEPT)]
        if file == "summary.csv":
            table.loc[table["run_id"] == KEPT[0], ["configuration", "delays"]] = ["27e79756", "NA"]
        else:
            table = table[(table["time_s"].astype(float) % 10 == 0) | (table["test_accuracy"] != "")]
        table.to_csv(place / file, index=False)
    (place / "provenance.json").write_bytes((FOUR / "provenance.json").read_bytes())
    return place


def hashes(place: Path) -> dict[str, str]:
    files = [path for path in sorted(place.rglob("*")) if path.is_file()]
    return {str(path.relative_to(place)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


# --- Parquet ---


def test_parquet_has_the_tables_that_agn_bench_reads(folder: Path, tmp_path: Path, command: Command) -> None:
    """With the types of their columns, blanks, and texts that look like numbers or like nothing."""
    pytest.importorskip("pyarrow")
    for _ in range(2):
        code, out, err = command("export", folder, "--to", "parquet", "--out", tmp_path / "x")
        assert (code, err) == (0, "")
        assert "summary.parquet: pandas.read_parquet reads it" in out
        assert sorted(path.name for path in (tmp_path / "x").iterdir()) == ["curves.parquet", "summary.parquet"]
    for name, table in zip(("summary", "curves"), agn_bench.read(folder), strict=True):
        again = pd.read_parquet(tmp_path / "x" / f"{name}.parquet")
        pd.testing.assert_frame_equal(again, table.reset_index(drop=True))
    summary = pd.read_parquet(tmp_path / "x" / "summary.parquet").set_index("run_id")
    assert summary.loc[KEPT[0], ["configuration", "delays"]].tolist() == ["27e79756", "NA"]
    assert summary["alpha"].isna().all() and str(summary["alpha"].dtype) == "str"
    assert math.isnan(summary.loc[KEPT[0], "diverged_s"])


def test_parquet_says_the_types_to_others_too(folder: Path, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    exports.export(comparison.read_runs([folder]), "parquet", tmp_path)
    schema = parquet.read_schema(tmp_path / "summary.parquet")
    kinds = {"configuration": "string", "seed": "int64", "sim_time_s": "double", "reset_local_optimizer": "bool"}
    assert {name: str(schema.field(name).type) for name in kinds} == kinds
    assert str(schema.field("alpha").type) == "string"  # all of it is blank


def test_our_own_files_are_the_same_with_pyarrow_and_without_it(folder: Path, tmp_path: Path, command: Command) -> None:
    """Where it is installed, pandas keeps texts in another way."""
    pytest.importorskip("pyarrow")
    tables = set()
    for storage in ("python", "pyarrow"):
        with pd.option_context("mode.string_storage", storage):
            for name in ("summary.csv", "curves.csv.gz"):
                assert csv_text(first_of([text_table(FOUR / name)])).encode() == content_bytes(FOUR / name)
            assert command("table", folder, "--out", tmp_path / "x.csv", "--by", "delays")[0] == 0
            summary, _ = agn_bench.read(folder)
        assert summary["configuration"].dtype.storage == storage
        assert summary["configuration"].tolist()[0] == "27e79756"
        tables.add((tmp_path / "x.csv").read_bytes())
    assert len(tables) == 1


# --- TensorBoard ---


def events(path: Path) -> Iterator[Any]:
    """The events of a file, as its format says: length and checksum, content and checksum."""
    from tensorboardX.crc32c import crc32c
    from tensorboardX.proto.event_pb2 import Event

    def masked(data: bytes) -> int:
        found = crc32c(data)
        return ((found >> 15 | found << 17) + 0xA282EAD8) & 0xFFFFFFFF

    content, at = path.read_bytes(), 0
    while at < len(content):
        (length,), head = struct.unpack_from("<Q", content, at), content[at : at + 8]
        data = content[at + 12 : at + 12 + length]
        assert struct.unpack_from("<I", content, at + 8) == (masked(head),)
        assert struct.unpack_from("<I", content, at + 12 + length) == (masked(data),)
        yield Event.FromString(data)
        at += 16 + length


@pytest.fixture(scope="module")
def logged(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("tensorboardX")
    place = tmp_path_factory.mktemp("logged")
    exports.export(comparison.read_runs([folder]), "tensorboard", place)
    return place


@pytest.mark.parametrize("name", KEPT)
def test_tensorboard_has_the_curves_of_every_run(folder: Path, logged: Path, name: str) -> None:
    """By gradient steps, with the simulated time as the wall time; then what the run came to."""
    (file,) = (logged / name).iterdir()
    assert "tfevents" in file.name
    first, *rest = events(file)
    assert first.file_version == "brain.Event:2"
    found = {
        (value.tag, event.step, event.wall_time): value.simple_value
        for event in rest
        for value in event.summary.value
        if not value.tag.startswith("_hparams_")
    }
    runs = comparison.read_runs([folder])
    points = runs.curves[runs.curves["run_id"] == name]
    expected = {
        (column, int(row["gradient_steps"]), row["time_s"]): np.float32(row[column])
        for row in points.to_dict("records")
        for column in row
        if is_measured(column) and not np.isnan(row[column])
    }
    results = {key[0]: value for key, value in found.items() if key[0].startswith("final/")}
    assert {key: value for key, value in found.items() if key[0] not in results} == expected
    row = runs.summary.set_index("run_id").loc[name]
    assert results["final/test_accuracy"] == np.float32(row["test_accuracy"])
    assert ("final/diverged_s" in results) == (row["status"] == "diverged")


def test_tensorboard_has_the_settings_of_every_run(logged: Path) -> None:
    from tensorboardX.proto.plugin_hparams_pb2 import HParamsPluginData

    (file,) = (logged / KEPT[0]).iterdir()
    said = [
        HParamsPluginData.FromString(value.metadata.plugin_data.content)
        for event in events(file)
        for value in event.summary.value
        if value.tag == "_hparams_/session_start_info"
    ]
    assert len(said) == 1
    settings = said[0].session_start_info.hparams
    assert settings["optimizer"].string_value == "agn" and settings["delays"].string_value == "NA"
    assert (settings["workers"].number_value, settings["seed"].number_value) == (40, 0)
    assert settings["learning_rate"].string_value == "0.3" and settings["status"].string_value == "done"
    assert "alpha" not in settings


def test_tensorboard_is_written_again_to_the_byte(folder: Path, logged: Path) -> None:
    before = hashes(logged)
    exports.export(comparison.read_runs([folder]), "tensorboard", logged)
    assert hashes(logged) == before
    assert len(before) == len(KEPT)


# --- MLflow ---


@pytest.fixture(scope="module")
def tracked(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The database, which takes MLflow seconds to make."""
    pytest.importorskip("mlflow.tracking", exc_type=ImportError)
    place = tmp_path_factory.mktemp("tracked")
    exports.export(comparison.read_runs([folder]), "mlflow", place)
    return place


def runs_of(place: Path) -> tuple[Any, dict[str, Any]]:
    """A client, and the runs of MLflow by our names."""
    from agn_bench.analysis.exports.mlflow import _client

    client = _client(place)
    (experiment,) = (one for one in client.search_experiments() if one.name != "Default")
    assert experiment.name == "four-methods"
    runs = client.search_runs([experiment.experiment_id])
    assert len({run.info.run_name for run in runs}) == len(runs)
    return client, {run.info.run_name: run for run in runs}


@pytest.mark.filterwarnings("ignore")
def test_mlflow_has_every_run_once(folder: Path, tracked: Path) -> None:
    runs = comparison.read_runs([folder])
    client, there = runs_of(tracked)
    assert sorted(there) == KEPT
    for name, run in there.items():
        row = runs.summary.set_index("run_id").loc[name].to_dict()
        assert run.info.status == "FINISHED"
        assert (run.data.params["optimizer"], run.data.params["workers"]) == (row["optimizer"], "40")
        assert run.data.params["delays"] == row["delays"] and "alpha" not in run.data.params
        assert run.data.metrics["final/test_accuracy"] == row["test_accuracy"]
        assert run.data.tags["agn_bench.status"] == row["status"]
        assert run.data.tags["agn_bench.configuration"] == row["configuration"]
        assert run.data.tags["agn_bench.command"].startswith("agn-bench run --optimizer ")
        assert run.data.tags["agn_bench.commit"] and "jax 0." in run.data.tags["agn_bench.versions"]
        for column in ("train_accuracy", "train_accuracy_std", "test_accuracy"):
            points = runs.curves[(runs.curves["run_id"] == name) & runs.curves[column].notna()]
            history = client.get_metric_history(run.info.run_id, column)
            found = sorted((one.timestamp, one.step, one.value) for one in history)
            rows = zip(points["time_s"], points["gradient_steps"], points[column], strict=True)
            assert found == sorted((round(1000 * time_s), steps, value) for time_s, steps, value in rows)


@pytest.mark.filterwarnings("ignore")
def test_mlflow_is_not_given_a_run_twice(folder: Path, tracked: Path, tmp_path: Path) -> None:
    """One that is there as it is stays; one that is other than it was, or was left half written, is written anew."""
    runs = comparison.read_runs([folder])
    client, before = runs_of(tracked)
    exports.export(runs, "mlflow", tracked)
    assert {name: run.info.run_id for name, run in runs_of(tracked)[1].items()} == {
        name: run.info.run_id for name, run in before.items()
    }
    runs.summary.loc[runs.summary["run_id"] == KEPT[0], "test_accuracy"] = 0.25
    client.update_run(before[KEPT[1]].info.run_id, status="RUNNING")
    exports.export(runs, "mlflow", tracked)
    after = runs_of(tracked)[1]
    assert sorted(after) == KEPT
    assert after[KEPT[0]].data.metrics["final/test_accuracy"] == 0.25
    assert not {run.info.run_id for run in after.values()} & {run.info.run_id for run in before.values()}


@pytest.mark.filterwarnings("ignore")
def test_the_command_says_how_to_see_what_it_wrote(
    folder: Path, tracked: Path, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a folder whose name means something in a URL and to a shell, and where nothing else is made."""
    from sqlalchemy import create_engine, text

    place = tmp_path / "a%20b? ä"
    shutil.copytree(tracked, place)
    code, out, err = command("export", folder, "--to", "mlflow", "--out", place)
    assert (code, err) == (0, "")
    said = out.partition("mlflow.db: ")[2].strip()
    *words, uri, _, _, _, _, _, package = shlex.split(said.replace(",", ""))
    assert (words, package) == (["mlflow", "ui", "--backend-store-uri"], "mlflow")
    with create_engine(uri).connect() as database:
        names = database.execute(text("select name from runs where lifecycle_stage = 'active'")).scalars().all()
    assert sorted(names) == KEPT
    assert [path.name for path in tmp_path.iterdir()] == [place.name]
    monkeypatch.chdir(tmp_path)
    code, out, _ = command("export", folder, "--to", "tensorboard", "--out", "x y")
    logs = shlex.join(["tensorboard", "--logdir", "x y"])
    assert code == 0 and f"x y: {logs} shows it, after pip install tensorboard" in out


@pytest.mark.filterwarnings("ignore")
def test_a_full_disk_is_said_in_a_line(tracked: Path, tmp_path: Path, command: Command) -> None:
    """Files that cannot grow stand for it, in a database of other runs."""
    place = shutil.copytree(tracked, tmp_path / "x")
    size = (place / "mlflow.db").stat().st_size
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        code, _, err = command("export", FOUR, "--to", "mlflow", "--out", place)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert code == 1
    assert err.splitlines() == [f"agn-bench: failed: {place / 'mlflow.db'}: disk I/O error"]


@pytest.mark.filterwarnings("ignore")
def test_the_example_of_mlflow_follows_a_run(
    tracked: Path, quick_dataset: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """That of the page, in a copy of the database, which takes MLflow seconds to make."""
    mlflow = pytest.importorskip("mlflow", exc_type=ImportError)
    shutil.copy(tracked / "mlflow.db", tmp_path)
    scope = made(EXAMPLES["mlflow"], monkeypatch, tmp_path)
    (run,) = mlflow.MlflowClient().search_runs(["0"])
    assert run.info.status == "FINISHED" and run.info.run_name == scope["result"].config.run_id
    assert run.data.params["workers"] == "10"
    history = mlflow.MlflowClient().get_metric_history(run.info.run_id, "test_accuracy")
    assert history[-1].value == scope["result"].replay.evaluations[-1].values["accuracy"]
    assert history[-1].step == scope["result"].gradient_steps
    # One that fails has failed there, too.
    scope["follow"](Started(scope["result"].config))
    scope["follow"](Failed(scope["result"].config, ValueError("too bad")))
    statuses = [run.info.status for run in mlflow.MlflowClient().search_runs(["0"])]
    assert statuses == ["FAILED", "FINISHED"]


# --- all of them ---


@pytest.mark.parametrize(
    ("to", "package"), [("parquet", "pyarrow"), ("tensorboard", "tensorboardX"), ("mlflow", "mlflow")]
)
def test_a_missing_package_is_said_in_a_line(
    folder: Path, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch, to: str, package: str
) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    code, _, err = command("export", folder, "--to", to, "--out", tmp_path / "x")
    message = f"agn-bench: --to {to}: {package} is not installed; accepted: pip install 'agn-bench[export]'\n"
    assert (code, err) == (2, message)
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--to", "wandb"], "--to wandb: unknown; accepted: tensorboard, parquet, mlflow"),
        ([], "Missing option '--to'"),
        (["--to", "parquet", "--out", "/dev/null/x"], "--out /dev/null/x: /dev/null is not a folder"),
        (["--to", "parquet", "--only", "workers=3"], "--only workers=3: no run has it"),
    ],
    ids=str,
)
def test_what_cannot_be_exported_is_refused(folder: Path, command: Command, words: list[str], says: str) -> None:
    code, _, err = command("export", folder, *words)
    assert (code, len(err.splitlines())) == (2, 1)
    assert says in err


def test_the_formats_are_known_before_anything_is_imported() -> None:
    from agn_bench.cli import exporting

    assert exporting._FORMATS == exports.FORMATS
