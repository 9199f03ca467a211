"""The collected files: what they prove, what counts where a run's own folder is not here, and what becomes of edits."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from test_results import Silent

from agn_bench.base import files
from agn_bench.base.inputs import BadInput
from agn_bench.config.resolving import resolve
from agn_bench.config.run import RunConfig, with_seeds
from agn_bench.execution import sweep
from agn_bench.execution.one import Terms
from agn_bench.execution.sweep import Place, Report
from agn_bench.store import collected
from agn_bench.store import folder as folders
from agn_bench.store.merging import merge
from agn_bench.store.run_files import read_experiment

Command = Callable[..., tuple[int, str, str]]
OPTIONS = {"dataset": "tiny", "model": "mlp-8", "workers": 4, "local_steps": 3, "batch_size": 8, "gradient_steps": 130}
WORDS = [word for name, value in OPTIONS.items() for word in (f"--{name.replace('_', '-')}", value)]

pytestmark = pytest.mark.usefixtures("remembered")


@pytest.fixture
def configs(quick_dataset: str) -> list[RunConfig]:
    return with_seeds(resolve(OPTIONS), 3)


@pytest.fixture
def alone(configs: list[RunConfig], tmp_path: Path) -> Path:
    """A folder of three runs as a fresh clone has it: without the runs' own folders."""
    folder = tmp_path / "alone"
    swept(configs, folder)
    shutil.rmtree(folder / "runs")
    return folder


def swept(configs: list[RunConfig], folder: Path, **options: bool) -> Report:
    return sweep.run_all(configs, folder, Silent(), **options)


def contents(folder: Path) -> dict[str, bytes]:
    """What the collected files hold, but for when and how fast runs were made."""
    names = ("summary.csv", "curves.csv.gz")
    return {name: collected.content_bytes(folder / name) for name in names if (folder / name).is_file()}


def bytes_of(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def change(path: Path, edit: Callable[[list[str]], list[str]]) -> None:
    """Edit a collected file's lines."""
    content = collected.content_bytes(path)
    lines = edit(content.decode().splitlines(keepends=True))
    changed = "".join(lines).encode()
    assert changed != content
    path.write_bytes(gzip.compress(changed) if path.suffix == ".gz" else changed)


# --- the hashes ---


def test_the_hashes_are_those_that_the_page_of_files_says(configs: list[RunConfig], tmp_path: Path) -> None:
    """Counted here with plain loops, from a run's own files and from the collected ones."""
    swept(configs, tmp_path)
    made = json.loads((tmp_path / "provenance.json").read_text())
    names = {"run_id", "experiment", "configuration", "in_experiment"}
    for config in configs:
        run = folders.run_folder(tmp_path, config)
        for kind, own, joint in (("summary", "summary.csv", "summary.csv"), ("curve", "curve.csv", "curves.csv.gz")):
            for path in (run / own, tmp_path / joint):
                text = collected.content_bytes(path).decode()
                rows = [row for row in csv.DictReader(io.StringIO(text)) if row["run_id"] == config.run_id]
                columns = {name: [row[name] for row in rows] for name in rows[0]}
                kept = {key: cells for key, cells in columns.items() if key not in names and any(cells)}
                expected = hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()
                assert made[config.run_id]["content"][kind] == expected


def test_a_hash_is_of_what_was_measured_and_of_no_name() -> None:
    rows = {"run_id": ["a", "a"], "x": ["1.0", ""], "configuration": ["b", "b"], "y": ["", ""], "z": ["2", "3"]}
    renamed = {"z": ["2", "3"], "x": ["1.0", ""], "run_id": ["other", "other"], "in_experiment": ["True", "True"]}
    assert collected.content_of(rows) == collected.content_of(renamed)
    others = [{"x": ["1", ""]}, {"x": ["", "1.0"]}, {"z": ["2"]}, {"y": ["", "0"]}, {"z": ["3", "2"]}]
    assert len({collected.content_of({**rows, **other}) for other in [{}, *others]}) == 1 + len(others)


def test_a_compressed_file_is_not_written_again_for_the_same_content(tmp_path: Path) -> None:
    """Another zlib may compress otherwise; a repository should see no change."""
    path = tmp_path / "some.csv.gz"
    collected.write_collected(path, "a\n" * 1000)
    first = path.read_bytes()
    path.write_bytes(gzip.compress(b"a\n" * 1000, 1))
    other = path.read_bytes()
    assert other != first
    collected.write_collected(path, "a\n" * 1000)
    assert path.read_bytes() == other
    path.write_bytes(b"no gzip")
    collected.write_collected(path, "a\n" * 1000)
    assert path.read_bytes() == first


# --- what counts as finished ---


def test_a_run_whose_folder_is_not_here_counts_by_its_rows(
    configs: list[RunConfig], alone: Path, command: Command
) -> None:
    before = bytes_of(alone)
    watcher = Silent()
    report = sweep.run_all(configs, alone, watcher)
    assert (report.made, report.failures, report.warnings) == ([], [], [])
    assert watcher.known == [config.run_id for config in configs]
    assert bytes_of(alone) == before
    code, out, err = command("run", *WORDS, "--seeds", 3, "--out", alone)
    assert (code, err) == (0, "")
    assert out.count("finished before, not repeated") == 3
    assert f"  {alone}: summary.csv, curves.csv.gz, provenance.json\n" in out
    assert "runs/" not in out  # nothing is said to be where nothing is
    summary = pd.read_csv(alone / "summary.csv")
    assert all(f"{100 * accuracy:.2f}" in out for accuracy in summary["test_accuracy"])
    assert bytes_of(alone) == before


def test_what_a_fresh_clone_has_is_read_once_and_not_once_a_run(
    configs: list[RunConfig], alone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    text_table = collected.text_table

    def reading(path: Path) -> pd.DataFrame:
        read.append(path.name)
        return text_table(path)

    monkeypatch.setattr(collected, "text_table", reading)
    assert len(swept(configs, alone).found) == 3
    assert sorted(read) == ["curves.csv.gz", "summary.csv"]


def test_without_its_center_here_a_run_is_made_again_for_it(configs: list[RunConfig], alone: Path) -> None:
    before = contents(alone)
    report = sweep.run_all(configs[:1], alone, Silent(), Place(terms=Terms(keep_center=True)))
    assert (report.made, report.found) == (configs[:1], [])
    assert (folders.run_folder(alone, configs[0]) / "center.npz").is_file()
    assert contents(alone) == before


def _without(config: RunConfig) -> Callable[[list[str]], list[str]]:
    return lambda lines: [line for line in lines if not line.startswith(config.run_id)]


@pytest.mark.parametrize("name", ["summary.csv", "curves.csv.gz"])
def test_a_run_without_a_row_or_without_points_is_not_finished(
    configs: list[RunConfig], tmp_path: Path, name: str
) -> None:
    """With its folder it is collected again; without, it is made again, and what was left of it is replaced."""
    swept(configs, tmp_path)
    before = contents(tmp_path)
    change(tmp_path / name, _without(configs[1]))
    assert (len(swept(configs, tmp_path).found), contents(tmp_path)) == (3, before)

    shutil.rmtree(tmp_path / "runs")
    change(tmp_path / name, _without(configs[1]))
    for other in {"summary.csv", "curves.csv.gz"} - {name}:  # what is left of it is not what it was
        change(tmp_path / other, lambda lines: [line.replace("0.", "0.9", 1) for line in lines])
    made = json.loads((tmp_path / "provenance.json").read_text())
    made[configs[1].run_id] |= {"content": {}, "started": "long ago"}
    (tmp_path / "provenance.json").write_text(json.dumps(made))
    report = swept(configs[1:2], tmp_path)
    assert (report.made, report.failures) == (configs[1:2], [])
    of_run = configs[1].run_id.encode()
    wanted, found = (
        {file: [line for line in text.splitlines() if line.startswith(of_run)] for file, text in each.items()}
        for each in (before, contents(tmp_path))
    )
    assert found == wanted
    assert json.loads((tmp_path / "provenance.json").read_text())[configs[1].run_id]["started"] != "long ago"


def test_a_run_of_which_nothing_is_left_is_made_again(configs: list[RunConfig], alone: Path) -> None:
    before = contents(alone)
    for name in before:
        change(alone / name, _without(configs[1]))
    report = swept(configs, alone)
    assert (report.made, len(report.found)) == (configs[1:2], 2)
    assert contents(alone) == before


def test_rows_count_without_a_provenance(configs: list[RunConfig], alone: Path) -> None:
    """Which then says of no run any more how it was made."""
    (alone / "provenance.json").unlink()
    before = bytes_of(alone)
    assert len(swept(configs, alone).found) == 3
    assert bytes_of(alone) == before


# --- rows and points that were edited ---


def _in_a_row(edit: Callable[[str], str]) -> Callable[[list[str]], list[str]]:
    return lambda lines: [*lines[:2], edit(lines[2]), *lines[3:]]


def _number(line: str) -> str:
    return re.sub(r",([0-9a-f]{8}),", ",6.26E+13,", line, count=1)


def _rounded(line: str) -> str:
    return re.sub(r"(\.\d\d)\d{5,}", r"\1", line, count=1)


def _date(line: str) -> str:
    return line.replace(",3,", ",03. Jan,")


EDITS: dict[str, tuple[str, Callable[[list[str]], list[str]], str]] = {
    "a cell": (
        "summary.csv",
        lambda lines: [*lines[:2], lines[2].replace("done", "best"), *lines[3:]],
        "row in summary",
    ),
    "a hash taken for a number": ("summary.csv", _in_a_row(_number), "configuration in summary"),
    "a rounded number": ("summary.csv", _in_a_row(_rounded), "row in summary"),
    "a date": ("summary.csv", _in_a_row(_date), "row in summary"),
    "two rows": ("summary.csv", lambda lines: [*lines[:3], *lines[2:]], "row in summary"),
    "a digit": ("curves.csv.gz", lambda lines: _at_second(lines, lambda line: line[:-3] + "77\n"), "points in curves"),
    "a point": ("curves.csv.gz", lambda lines: _at_second(lines, lambda line: ""), "points in curves"),
}  # fmt: skip


def _at_second(lines: list[str], edit: Callable[[str], str]) -> list[str]:
    """Edit a point in the midst of the second run's."""
    names = [line.split(",")[0] for line in lines]
    at = names.index(sorted(set(names))[1]) + 5
    return [*lines[:at], edit(lines[at]), *lines[at + 1 :]]


@pytest.mark.kind("collected files that were saved again by another program")
@pytest.mark.parametrize("edit", EDITS)
def test_what_was_edited_is_rebuilt_from_the_runs_folder_or_reported_and_left(
    configs: list[RunConfig], tmp_path: Path, edit: str, command: Command
) -> None:
    swept(configs, tmp_path)
    before = contents(tmp_path)
    name, edited, says = EDITS[edit]
    change(tmp_path / name, edited)
    report = swept(configs, tmp_path)
    assert (len(report.found), report.warnings, contents(tmp_path)) == (3, [], before)

    shutil.rmtree(tmp_path / "runs")
    change(tmp_path / name, edited)
    changed = bytes_of(tmp_path)
    report = swept(configs, tmp_path)
    assert (report.made, len(report.found)) == ([], 2)
    ((config, error),) = report.failures
    assert f"{config.run_id}: its {says}" in str(error)
    assert "changed, so it is neither trusted nor overwritten; accepted: force" in str(error)
    assert bytes_of(tmp_path) == changed
    code, out, _ = command("sweep", "--collect", _file(tmp_path), "--out", tmp_path)
    assert code == 1
    assert f"{config.run_id}: its {says}" in out
    repaired = swept([config], tmp_path, force=True)
    assert (repaired.made, repaired.warnings) == ([config], [])
    assert contents(tmp_path) == before


def _file(folder: Path) -> Path:
    """An experiment file."""
    path = folder.with_name("some.toml")
    path.write_text('name = "some"\n[[cells]]\noptimizer = "agn"\n')
    return path


def test_rows_of_folders_from_before_there_were_hashes_are_taken_as_they_are(
    configs: list[RunConfig], alone: Path
) -> None:
    made = json.loads((alone / "provenance.json").read_text())
    (alone / "provenance.json").write_text(json.dumps({name: {"command": "x"} for name in made}))
    change(alone / "summary.csv", lambda lines: [line.replace("done", "diverged") for line in lines])
    before = bytes_of(alone)
    assert len(swept(configs, alone).found) == 3
    assert bytes_of(alone) == before


def test_rows_in_another_order_and_with_other_names_are_the_same_results(configs: list[RunConfig], alone: Path) -> None:
    change(
        alone / "curves.csv.gz",
        lambda lines: [lines[0], *sorted(lines[1:], key=lambda line: float(line.split(",")[1]))],
    )
    change(alone / "summary.csv", lambda lines: [line.replace("adhoc", "mine") for line in lines])
    report = swept(configs, alone)
    assert (len(report.found), report.warnings) == (3, [])


@pytest.mark.kind("other line ends")
@pytest.mark.parametrize("own", [True, False], ids=["with the runs' folders", "as a fresh clone"])
def test_other_line_ends_are_no_change(configs: list[RunConfig], tmp_path: Path, own: bool) -> None:
    """Git for Windows puts them into every file that is text."""
    swept(configs, tmp_path / "here")
    before = contents(tmp_path / "here")
    if not own:
        shutil.rmtree(tmp_path / "here" / "runs")
    for path in (tmp_path / "here").rglob("*"):
        if path.suffix in (".csv", ".json"):
            path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    report = swept(configs, tmp_path / "here")
    assert (report.made, len(report.found), report.warnings, report.failures) == ([], 3, [], [])
    assert contents(tmp_path / "here") == before
    swept(configs, tmp_path / "there")
    merged = merge([tmp_path / "here"], tmp_path / "there", False)
    assert (len(merged.same), merged.different) == (3, [])


@pytest.mark.kind("collected files that were saved again by another program")
def test_columns_in_another_order_quotes_and_blank_ones_are_no_change(configs: list[RunConfig], alone: Path) -> None:
    table = pd.read_csv(alone / "summary.csv", dtype=str, keep_default_na=False)
    table[sorted(table, reverse=True)].assign(mine="").to_csv(alone / "summary.csv", index=False, quoting=1)
    report = swept(configs, alone)
    assert (report.made, len(report.found), report.warnings, report.failures) == ([], 3, [], [])


# --- files that cannot be read ---


def _semicolons(path: Path) -> str:
    content = collected.content_bytes(path).replace(b",", b";")
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return "no column run_id"


def _german(path: Path) -> str:
    """As a spreadsheet writes it there: with its mark, decimal commas and line ends."""
    content = collected.content_bytes(path).replace(b",", b";").replace(b".", b",").replace(b"\n", b"\r\n")
    path.write_bytes(gzip.compress(b"\xef\xbb\xbf" + content) if path.suffix == ".gz" else b"\xef\xbb\xbf" + content)
    return "no column run_id"


def _told_separator(path: Path) -> str:
    content = b"sep=,\n" + collected.content_bytes(path)
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return "no column run_id"


def _sixteen_bits(path: Path) -> str:
    content = collected.content_bytes(path).decode().replace(",", "\t").encode("utf-16")
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return "'utf-8' codec can't decode"


def _longer_row(path: Path) -> str:
    change(path, lambda lines: [*lines[:-1], lines[-1].replace("\n", ",1,1\n")])
    return "Error tokenizing data"


def _no_gzip(path: Path) -> str:
    path.write_bytes(b"run_id\n" if path.suffix == ".gz" else b"\xff\xfe")
    return "Not a gzipped file" if path.suffix == ".gz" else "no column run_id"


@pytest.mark.parametrize("name", ["summary.csv", "curves.csv.gz"])
@pytest.mark.kind("collected files that were saved again by another program")
@pytest.mark.parametrize("spoil", [_semicolons, _german, _told_separator, _sixteen_bits, _longer_row, _no_gzip])
def test_a_collected_file_that_cannot_be_read_is_rebuilt_or_named(
    configs: list[RunConfig], tmp_path: Path, command: Command, name: str, spoil: Callable[[Path], str]
) -> None:
    swept(configs, tmp_path)
    before = contents(tmp_path)
    spoil(tmp_path / name)
    assert command("run", *WORDS, "--out", tmp_path)[0] == 0
    assert contents(tmp_path) == before

    shutil.rmtree(folders.run_folder(tmp_path, configs[1]))
    says = spoil(tmp_path / name)
    spoiled = bytes_of(tmp_path)
    for words in (("run", *WORDS), ("sweep", "--collect", _file(tmp_path))):
        code, _, err = command(*words, "--out", tmp_path)
        assert code == 2
        assert f"{tmp_path / name}: cannot be read ({says}" in err
        assert "not every run in it has a folder here to rebuild it from" in err
        assert len(err.splitlines()) == 1
    assert bytes_of(tmp_path) == spoiled


def test_a_run_that_provenance_alone_knows_is_not_forgotten_in_rebuilding(
    configs: list[RunConfig], tmp_path: Path
) -> None:
    """Its row may be in the very file that cannot be read."""
    swept(configs, tmp_path)
    shutil.rmtree(folders.run_folder(tmp_path, configs[1]))
    change(tmp_path / "curves.csv.gz", _without(configs[1]))
    _semicolons(tmp_path / "summary.csv")
    with pytest.raises(BadInput, match="not every run in it has a folder here"):
        folders.collect(tmp_path)


# --- folders from before curves were compressed ---


@pytest.fixture
def uncompressed(alone: Path) -> Path:
    (alone / "curves.csv").write_bytes(gzip.decompress((alone / "curves.csv.gz").read_bytes()))
    (alone / "curves.csv.gz").unlink()
    return alone


def test_a_folder_from_before_is_read_and_its_curves_move_when_it_is_collected(
    configs: list[RunConfig], uncompressed: Path
) -> None:
    (uncompressed / "provenance.json").unlink()  # and nothing is made up in its place
    before = (uncompressed / "curves.csv").read_bytes()
    _, curves = read_experiment(uncompressed)
    assert set(curves["run_id"]) == {config.run_id for config in configs}
    assert all(folders.known(uncompressed).finished(config.run_id) for config in configs)
    assert len(swept(configs, uncompressed).found) == 3
    assert sorted(path.name for path in uncompressed.iterdir()) == ["curves.csv.gz", "summary.csv"]
    assert gzip.decompress((uncompressed / "curves.csv.gz").read_bytes()) == before


@pytest.mark.parametrize("writes", range(4))
def test_whoever_is_killed_while_collecting_loses_no_row(
    configs: list[RunConfig], uncompressed: Path, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    """Killed before its first write, its second, and so on: of two runs there are rows alone, of a third its folder."""
    swept(configs, uncompressed.parent / "whole")
    for name in contents(uncompressed.parent / "whole"):
        path = uncompressed / name.removesuffix(".gz")
        change(path, _without(configs[2]))
    shutil.copytree(
        uncompressed.parent / "whole" / "runs" / configs[2].run_id, folders.run_folder(uncompressed, configs[2])
    )
    write, left = files.flush_bytes, writes

    def killed(path: Path, content: bytes) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise KeyboardInterrupt
        write(path, content)

    monkeypatch.setattr(files, "flush_bytes", killed)
    if writes < 3:
        with pytest.raises(KeyboardInterrupt):
            folders.collect(uncompressed)
    else:
        folders.collect(uncompressed)
    monkeypatch.undo()
    found = folders.known(uncompressed)
    assert all(found.finished(config.run_id) for config in configs)
    assert found.warnings == []
    folders.collect(uncompressed)
    assert contents(uncompressed) == contents(uncompressed.parent / "whole")
    assert not (uncompressed / "curves.csv").exists()
