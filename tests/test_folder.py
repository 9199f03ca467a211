"""An experiment folder that several processes fill, that people edit, and that others are merged with."""

from __future__ import annotations

import csv
import errno
import fcntl
import gzip
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from test_results import Silent

from agn_bench.base import machine
from agn_bench.base.inputs import BadInput
from agn_bench.config.resolving import resolve
from agn_bench.config.run import RunConfig, with_seeds
from agn_bench.execution import sweep
from agn_bench.library import run, save
from agn_bench.store import folder as folders
from agn_bench.store.collected import joined
from agn_bench.store.merging import merge

Make = Callable[..., list[Path]]


@pytest.fixture
def configs(quick_dataset: str) -> list[RunConfig]:
    options = {"dataset": quick_dataset, "model": "mlp-8", "workers": 4, "local_steps": 3, "batch_size": 8}
    return with_seeds(resolve({**options, "gradient_steps": 130}), 4)


def make(configs: list[RunConfig], folder: Path) -> list[Path]:
    return sweep.run_all(configs, folder, Silent()).runs


def collected(folder: Path) -> tuple[bytes, bytes]:
    return (folder / "summary.csv").read_bytes(), gzip.decompress((folder / "curves.csv.gz").read_bytes())


def nothing_left(folder: Path) -> bool:
    return not list(folder.rglob(".*"))


# --- claims ---


def test_a_run_that_is_claimed_is_nobody_elses_until_it_is_released(tmp_path: Path) -> None:
    run = tmp_path / "runs" / "some-run"
    mine = folders.claim(run)
    assert mine is not None
    assert folders.claim(tmp_path / "runs" / "other-run") is not None
    script = f"""
from pathlib import Path
from agn_bench.store.folder import claim
held = claim(Path({str(run)!r}))
print(held is not None)
"""

    def elsewhere() -> str:
        return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.strip()

    assert elsewhere() == "False"
    mine.release()
    assert elsewhere() == "True"
    again = folders.claim(run)  # the other process ended without a word
    assert again is not None
    again.release()


def test_what_a_killed_process_left_aside_is_cleared_by_the_next_claim(tmp_path: Path) -> None:
    run = tmp_path / "runs" / "agn-n1"
    (run.parent / ".agn-n1.abc" / "new").mkdir(parents=True)
    (run.parent / ".agn-n10.abc" / "new").mkdir(parents=True)  # another run's
    held = folders.claim(run)
    assert held is not None
    held.release()
    assert [path.name for path in run.parent.iterdir()] == [".agn-n10.abc"]


def test_a_run_that_was_killed_while_it_was_replaced_comes_back(configs: list[RunConfig], tmp_path: Path) -> None:
    (run,) = make(configs[:1], tmp_path)
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    aside = run.with_name(f".{run.name}.abc")
    aside.mkdir()
    run.rename(aside / "before")
    report = sweep.run_all(configs[:1], tmp_path, Silent())
    assert (report.made, report.found) == ([], configs[:1])
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before
    assert nothing_left(tmp_path)


ADD_ROWS = """
import sys
from pathlib import Path
from agn_bench.base.files import record_provenance
for index in range(int(sys.argv[2]), int(sys.argv[2]) + 15):
    record_provenance(Path(sys.argv[1]), {f"run {index}": {"made": "now"}})
"""


def test_processes_that_collect_at_once_lose_nothing(tmp_path: Path) -> None:
    words = [sys.executable, "-c", ADD_ROWS, str(tmp_path)]
    processes = [subprocess.Popen([*words, str(100 * index)]) for index in range(4)]
    assert [process.wait() for process in processes] == [0, 0, 0, 0]
    assert len(json.loads((tmp_path / "provenance.json").read_text())) == 60
    assert nothing_left(tmp_path)


# --- files that were edited or truncated ---


def _truncate(run: Path) -> str:
    content = (run / "curve.csv").read_bytes()
    (run / "curve.csv").write_bytes(content[: len(content) // 2])
    return "curve.csv was changed"


def _edit(run: Path) -> str:
    text = (run / "summary.csv").read_text()
    (run / "summary.csv").write_text(text.replace("done", "best"))
    return "summary.csv was changed"


def _edit_commits(run: Path) -> str:
    with (run / "commits.csv").open("a") as file:
        file.write("\n")
    return "commits.csv was changed"


def _remove(run: Path) -> str:
    (run / "curve.csv").unlink()
    return "curve.csv is missing"


def _empty(run: Path) -> str:
    (run / "run.json").write_text("")
    return "run.json cannot be read"


def _other_config(run: Path) -> str:
    record = json.loads((run / "run.json").read_text())
    record["config"]["learning_rate"] = 9.0
    (run / "run.json").write_text(json.dumps(record))
    return "run.json was changed"


def _renamed(run: Path) -> str:
    record = json.loads((run / "run.json").read_text())
    record["run_id"] = "other"
    (run / "run.json").write_text(json.dumps(record))
    return "run.json was changed"


def _list(run: Path) -> str:
    (run / "run.json").write_text("[]")
    return "run.json cannot be read"


DAMAGES = [_truncate, _edit, _edit_commits, _remove, _empty, _other_config, _renamed, _list]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_run_that_was_changed_is_reported_and_neither_lost_nor_made_again(
    configs: list[RunConfig], tmp_path: Path, damage: Callable[[Path], str], request: pytest.FixtureRequest
) -> None:
    if damage is not DAMAGES[0]:  # once they are all trained again
        request.getfixturevalue("remembered")
    make(configs[:3], tmp_path)
    before = collected(tmp_path)
    run = folders.run_folder(tmp_path, configs[1])
    problem = damage(run)
    changed = {path.name: path.read_bytes() for path in run.iterdir()}
    report = sweep.run_all(configs, tmp_path, Silent())
    assert [config.seed for config in report.found] == [0, 2]
    assert [config.seed for config in report.made] == [3]
    ((config, error),) = report.failures
    assert config.seed == 1
    assert f"{run}: {problem}, so it is neither trusted nor overwritten; accepted: force" in str(error)
    assert report.warnings == [f"{run}: {problem}; its rows are those collected before"]
    assert {path.name: path.read_bytes() for path in run.iterdir()} == changed
    rows = pd.read_csv(tmp_path / "summary.csv")
    assert sorted(rows["seed"]) == [0, 1, 2, 3]
    assert set(rows["status"]) == {"done"}
    # With --force it is made again, and everything is as if nothing had happened.
    repaired = sweep.run_all(configs[:3], tmp_path, Silent(), force=True)
    assert (len(repaired.made), repaired.failures, repaired.warnings) == (3, [], [])
    shutil.rmtree(folders.run_folder(tmp_path, configs[3]))
    for name in ("summary.csv", "curves.csv.gz"):
        (tmp_path / name).unlink()
    folders.collect(tmp_path)
    assert collected(tmp_path) == before


def test_runs_without_hashes_are_taken_as_they_are(configs: list[RunConfig], tmp_path: Path) -> None:
    """Those made before there were any."""
    (run,) = make(configs[:1], tmp_path)
    record = json.loads((run / "run.json").read_text())
    del record["sha256"]
    (run / "run.json").write_text(json.dumps(record))
    assert folders.known(tmp_path).finished(run.name)


# --- collecting ---


def test_collecting_marks_the_runs_that_are_not_in_the_experiment(configs: list[RunConfig], tmp_path: Path) -> None:
    make(configs[:3], tmp_path)
    assert "in_experiment" not in pd.read_csv(tmp_path / "summary.csv")
    folders.plan(tmp_path, "some", "", 1, [config.run_id for config in configs[1:]])
    folders.collect(tmp_path)
    rows = pd.read_csv(tmp_path / "summary.csv")
    assert dict(zip(rows["seed"], rows["in_experiment"], strict=True)) == {0: False, 1: True, 2: True}
    folders.plan(tmp_path, "some", "", 1, [configs[0].run_id])
    folders.collect(tmp_path)
    rows = pd.read_csv(tmp_path / "summary.csv")
    assert dict(zip(rows["seed"], rows["in_experiment"], strict=True)) == {0: True, 1: False, 2: False}


def test_a_folder_has_one_experiment_and_one_number_of_threads(configs: list[RunConfig], tmp_path: Path) -> None:
    folders.check_experiment(tmp_path, "some")
    folders.plan(tmp_path, "some", "", 2, [])
    folders.check_experiment(tmp_path, "some")
    with pytest.raises(BadInput, match="the folder of the experiment some, not of other"):
        folders.check_experiment(tmp_path, "other")
    folders.check_threads(tmp_path, 1)  # nothing was made yet
    (run,) = make(configs[:1], tmp_path)
    threads = machine.threads()
    folders.check_threads(tmp_path, threads)
    with pytest.raises(
        BadInput, match=rf"threads=7: the runs in .* were made with {threads}, .*: {threads}, or another"
    ):
        folders.check_threads(tmp_path, 7)
    record = json.loads((run / "run.json").read_text())
    (other,) = make(configs[1:2], tmp_path)
    again = json.loads((other / "run.json").read_text())
    again["machine"]["threads"] = 7  # as merged from a machine that made it so
    (other / "run.json").write_text(json.dumps(again))
    folders.check_threads(tmp_path, 7)
    folders.check_threads(tmp_path, threads)
    with pytest.raises(BadInput, match=rf"made with {threads} and 7, .*: {threads} or 7, or another"):
        folders.check_threads(tmp_path, 3)
    record["machine"]["device"] = "gpu: some"
    (run / "run.json").write_text(json.dumps(record))
    folders.collect(tmp_path)
    for run_there in (run, other):
        assert folders.threads_of(tmp_path) == {7}
        shutil.rmtree(run_there)  # then provenance.json says it
    folders.record_provenance(tmp_path, {"reproduce some": {"machine": {"threads": 5, "device": "cpu: cpu"}}})  # no run
    assert folders.threads_of(tmp_path) == {7}
    (tmp_path / "summary.csv").write_text("run_id\n")  # to be made again: how they were made does not matter
    assert folders.threads_of(tmp_path) == set()
    (tmp_path / "experiment.json").write_text("{")
    with pytest.raises(BadInput, match=r"experiment\.json: cannot be read"):
        folders.collect(tmp_path)


def test_a_collected_file_that_was_truncated_is_whole_again(configs: list[RunConfig], tmp_path: Path) -> None:
    """Wherever it was cut; a piece of a row is no row of a run that is not here."""
    make(configs[:3], tmp_path)
    before = collected(tmp_path)
    content = (tmp_path / "summary.csv").read_bytes()
    second = content.index(configs[1].run_id.encode())
    cuts = {"summary.csv": (0, second, second + 5, second + len(configs[1].run_id) + 3, len(content) - 1)}
    compressed = (tmp_path / "curves.csv.gz").stat().st_size
    cuts["curves.csv.gz"] = (0, 5, compressed // 2, compressed - 1)
    for name, places in cuts.items():
        for cut in places:
            (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:cut])
            folders.collect(tmp_path)
            assert collected(tmp_path) == before


def test_nothing_is_left_of_a_finished_run_whose_maker_was_killed(configs: list[RunConfig], tmp_path: Path) -> None:
    (run,) = make(configs[:1], tmp_path)
    run.with_name(f".{run.name}.lock").touch()
    (run.with_name(f".{run.name}.abc") / "new").mkdir(parents=True)
    assert sweep.run_all(configs[:1], tmp_path, Silent()).found == configs[:1]
    assert nothing_left(tmp_path)


def test_what_a_killed_process_left_of_a_collected_file_is_cleared(configs: list[RunConfig], tmp_path: Path) -> None:
    make(configs[:1], tmp_path)
    for name in (".summary.123.csv", ".curves.csv.9.gz", ".provenance.77.json", ".experiment.1.json"):
        (tmp_path / name).write_text("half a")
    (tmp_path / ".mine.csv").write_text("not ours")
    folders.collect(tmp_path)
    assert [path.name for path in tmp_path.glob(".*")] == [".mine.csv"]


# --- merging ---


def test_rows_are_joined_as_plain_loops_join_them(tmp_path: Path) -> None:
    """Each run has the rows of the first file that has it; files with other columns, blank lines and quotes between."""
    texts = [
        "run_id,x,y\nb,1,2\nb,3,4\n",
        'run_id,x,y\na,"5\n5",6\nb,7,8\n\n',
        "run_id,x,y\na,9,9\nc,1.50,\n",
        "run_id,x,z\nc,0,0\nd,1,2\n",
        "run_id,x,y\n",
        "run_id,x,y\nd,3,4\ne,5,6\nlost",
    ]
    paths = [tmp_path / f"{number}.csv" for number in range(len(texts))]
    expected: dict[str, list[dict[str, str]]] = {}
    for path, text in zip(paths, texts, strict=True):
        path.write_text(text)
        whole = text[: text.rindex("\n")]
        own: dict[str, list[dict[str, str]]] = {}
        for row in csv.DictReader(io.StringIO(whole)):
            own.setdefault(row["run_id"], []).append(row)
        expected = {**own, **expected}
    found = joined(paths).fillna("").to_dict("records")
    wanted = [{"run_id": "", "x": "", "y": "", "z": "", **row} for name in sorted(expected) for row in expected[name]]
    assert found == wanted


def test_two_machines_results_merged_are_those_of_one(configs: list[RunConfig], tmp_path: Path) -> None:
    make(configs[:3], tmp_path / "one")
    make(configs[2:], tmp_path / "two")
    make(configs, tmp_path / "all")
    merged = merge([tmp_path / "one", tmp_path / "two"], tmp_path / "both")
    assert (len(merged.copied), len(merged.same), merged.different) == (4, 1, [])
    assert collected(tmp_path / "both") == collected(tmp_path / "all")
    for config in configs:
        names = ("summary.csv", "curve.csv", "commits.csv")
        one, other = (folders.run_folder(tmp_path / place, config) for place in ("both", "all"))
        assert all((one / name).read_bytes() == (other / name).read_bytes() for name in names)
    assert set(json.loads((tmp_path / "both" / "provenance.json").read_text())) == {c.run_id for c in configs}
    again = merge([tmp_path / "one", tmp_path / "two"], tmp_path / "both")
    assert (again.copied, len(again.same)) == ([], 5)
    assert collected(tmp_path / "both") == collected(tmp_path / "all")
    assert nothing_left(tmp_path)


def test_rows_without_run_folders_are_merged_too(configs: list[RunConfig], tmp_path: Path) -> None:
    """With their provenance, whatever the target still says of a run whose row was deleted there."""
    make(configs[:2], tmp_path / "one")
    make(configs[1:], tmp_path / "two")
    make(configs, tmp_path / "all")
    for place in ("one", "two"):
        shutil.rmtree(tmp_path / place / "runs")
    lines = (tmp_path / "one" / "summary.csv").read_text().splitlines(keepends=True)
    (tmp_path / "one" / "summary.csv").write_text("".join(lines[:-1]))
    gone = lines[-1].split(",")[0]
    points = gzip.decompress((tmp_path / "one" / "curves.csv.gz").read_bytes())
    (tmp_path / "one" / "curves.csv.gz").write_bytes(gzip.compress(points[:-5] + b"0.77\n"))  # and not as they were
    stale = json.loads((tmp_path / "one" / "provenance.json").read_text())
    stale[gone]["content"] = {"summary": "other", "curve": "other"}
    (tmp_path / "one" / "provenance.json").write_text(json.dumps(stale))
    merged = merge([tmp_path / "two"], tmp_path / "one")
    assert len(merged.copied) + len(merged.same) == 3
    assert collected(tmp_path / "one") == collected(tmp_path / "all")
    assert set(json.loads((tmp_path / "one" / "provenance.json").read_text())) == {c.run_id for c in configs}
    assert folders.known(tmp_path / "one").warnings == []


def test_runs_with_other_results_are_refused_and_with_force_the_first_is_kept(
    configs: list[RunConfig], tmp_path: Path
) -> None:
    make(configs[:1], tmp_path / "one")
    (run,) = make(configs[:1], tmp_path / "two")
    _with_other_results(run)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(
        BadInput, match=rf"1 runs have other results than .*, as {configs[0].run_id}; accepted: .*force"
    ):
        merge([tmp_path / "one", tmp_path / "two"], tmp_path / "both")
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    merged = merge([tmp_path / "two", tmp_path / "one"], tmp_path / "both", force=True)
    assert (merged.copied, merged.different) == ([run.name], [run.name])
    assert collected(tmp_path / "both") == ((run / "summary.csv").read_bytes(), (run / "curve.csv").read_bytes())


def _with_other_results(run: Path) -> None:
    """As if made on a machine that rounds otherwise."""
    import hashlib

    text = (run / "summary.csv").read_text().replace("done", "diverged")
    (run / "summary.csv").write_text(text)
    record: dict[str, Any] = json.loads((run / "run.json").read_text())
    record["sha256"]["summary.csv"] = hashlib.sha256(text.encode()).hexdigest()
    (run / "run.json").write_text(json.dumps(record))


def test_who_made_a_run_is_no_difference(configs: list[RunConfig], tmp_path: Path) -> None:
    """The same run made by hand and in a sweep."""
    make(configs[:2], tmp_path / "one")
    make(configs[:2], tmp_path / "two")
    text = (tmp_path / "two" / "summary.csv").read_text()
    (tmp_path / "two" / "summary.csv").write_text(text.replace("adhoc", "swept"))
    shutil.rmtree(tmp_path / "two" / "runs")
    merged = merge([tmp_path / "two", tmp_path / "one"], tmp_path / "both")
    assert (len(merged.copied), len(merged.same), merged.different) == (2, 2, [])
    assert len(list((tmp_path / "both" / "runs").iterdir())) == 2


def test_rows_that_differ_are_results_that_differ(configs: list[RunConfig], tmp_path: Path) -> None:
    make(configs[:1], tmp_path / "one")
    make(configs[:1], tmp_path / "two")
    shutil.rmtree(tmp_path / "two" / "runs")
    text = (tmp_path / "two" / "summary.csv").read_text()
    (tmp_path / "two" / "summary.csv").write_text(text.replace("done", "diverged"))
    with pytest.raises(BadInput, match=r"its row in summary\.csv was changed"):
        merge([tmp_path / "one", tmp_path / "two"], tmp_path / "both")
    (tmp_path / "two" / "provenance.json").unlink()  # then nothing says that it was
    with pytest.raises(BadInput, match="1 runs have other results"):
        merge([tmp_path / "one", tmp_path / "two"], tmp_path / "both")
    assert not (tmp_path / "both").exists()


def test_parts_of_a_sweep_are_one_sweep_and_other_experiments_are_refused(
    configs: list[RunConfig], tmp_path: Path
) -> None:
    names = [config.run_id for config in configs]
    for index, part in enumerate(("one", "two")):
        make([configs[index]], tmp_path / part)
        folders.plan(tmp_path / part, "some", "what", 1, names[index : index + 1])
    merge([tmp_path / "one", tmp_path / "two"], tmp_path / "both")
    plan = folders.planned(tmp_path / "both")
    assert plan == {"experiment": "some", "description": "what", "threads": 1, "runs": names[:2]}
    assert pd.read_csv(tmp_path / "both" / "summary.csv")["in_experiment"].tolist() == [True, True]
    folders.plan(tmp_path / "two", "other", "", 1, names)
    with pytest.raises(BadInput, match="of several experiments: other, some; accepted: folders of one experiment"):
        merge([tmp_path / "one", tmp_path / "two"], tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_what_cannot_be_merged_is_refused(configs: list[RunConfig], tmp_path: Path) -> None:
    (run,) = make(configs[:1], tmp_path / "one")
    with pytest.raises(BadInput, match="there is no such folder"):
        merge([tmp_path / "none"], tmp_path / "both")
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInput, match="no experiment folder"):
        merge([tmp_path / "empty"], tmp_path / "both")
    _truncate(run)
    with pytest.raises(BadInput, match=r"curve\.csv was changed"):
        merge([tmp_path / "one"], tmp_path / "both")
    assert not (tmp_path / "both").exists()


def test_a_source_with_other_files_is_refused(configs: list[RunConfig], tmp_path: Path) -> None:
    make(configs[:1], tmp_path / "one")
    (tmp_path / "one" / "provenance.json").write_text("[]")
    with pytest.raises(BadInput, match=r"DIR .*provenance\.json: cannot be read"):
        merge([tmp_path / "one"], tmp_path / "both")
    assert not (tmp_path / "both").exists()


# --- file systems without locks ---


@pytest.mark.kind("file systems without locks")
@pytest.mark.parametrize("name", ["ENOLCK", "ENOSYS", "EOPNOTSUPP"])
@pytest.mark.parametrize("how", ["run", "sweep", "timeline", "library"])
def test_a_file_system_without_locks_is_named_or_does_without(
    command: Callable[..., tuple[int, str, str]],
    quick_dataset: str,
    sketched: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    how: str,
) -> None:
    """Where the system has no such call at all, the library that locks has something in its place."""

    def refuse(descriptor: int, operation: int) -> None:
        number = getattr(errno, name)
        raise OSError(number, os.strerror(number))

    tiny = ["--dataset", "tiny", "--model", "mlp-8", "--gradient-steps", "60", "--workers", "2", "--batch-size", "8"]
    (tmp_path / "mine.toml").write_text(
        'name = "mine"\n[base]\ndataset = "tiny"\nmodel = "mlp-8"\ngradient_steps = 60\nbatch_size = 8\n'
        "[[cells]]\nworkers = 2\n"
    )
    monkeypatch.setattr(fcntl, "flock", refuse)
    out = tmp_path / "out"
    if how == "library":
        result = run(RunConfig.of(dataset="tiny", model="mlp-8", gradient_steps=60, workers=2, batch_size=8))
        if name != "ENOSYS":
            with pytest.raises(BadInput, match="its file system has no locks"):
                save(result, out)
        return
    file = tmp_path / "mine.toml"
    words = {"run": ["run", *tiny], "sweep": ["sweep", file], "timeline": ["timeline", "--workers", 2]}
    code, _, err = command(*words[how], "--out", out)
    if name == "ENOSYS":
        assert (code, err) == (0, "")
    else:
        assert (code, err.count("\n")) == (2, 1)
        assert err.startswith(f"agn-bench: --out {out}: its file system has no locks, without which")
        assert os.strerror(getattr(errno, name)) in err
    assert not list(tmp_path.rglob("*.lock"))
