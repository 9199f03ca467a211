"""What CONTRIBUTING.md adds to the program, added to a copy of it, and used as it says there."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from itertools import groupby
from pathlib import Path

import pandas as pd
import pytest

from agn_bench.config.experiment import read_experiment_file

Command = Callable[..., tuple[int, str, str]]
ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
SEVERAL = """
import json, sys
from agn_bench import cli
for words in json.loads(sys.argv[1]):
    try:
        cli.main(words)
    except SystemExit as stopped:
        if stopped.code:
            raise
"""
MOST_LINES = 20
"""The most lines of a file, blank ones left out."""
SECTIONS = dict(re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", TEXT, flags=re.DOTALL | re.MULTILINE))


def apply(section: str, copy: Path) -> None:
    """Carry out a section's blocks of code: whole files, and lines put into one, after the line that begins so."""
    for body in re.findall(r"```(?:python|toml)\n# (.*?)```", SECTIONS[section], flags=re.DOTALL):
        where, content = body.split("\n", 1)
        assert len([line for line in content.splitlines() if line.strip()]) <= MOST_LINES, where
        name, _, place = where.partition(", after ")
        path = copy / name
        if not place:
            path.write_text(content, encoding="utf-8")
            continue
        source = path.read_text(encoding="utf-8")
        (found,) = re.finditer(rf"^ *{place}.*\n", source, flags=re.MULTILINE)
        path.write_text(source[: found.end()] + content + source[found.end() :], encoding="utf-8")


def run(section: str, place: Path, *more: str, here: Command | None = None) -> str:
    """Run the section's commands, with more options, in a folder; what they print.

    A table is made by a process that has seen nothing else. The others are carried out by `here`, the command line in
    this process, or else by a process of the program that lies in the folder.
    """
    said = ""
    lines = re.findall(r"^    agn-bench (.*)$", SECTIONS[section], flags=re.MULTILINE)
    for is_table, together in groupby(lines, lambda line: line.startswith("table ")):
        commands = [[*shlex.split(line, comments=True), *more] for line in together]
        if here is not None and not is_table:
            for command in commands:
                code, out, err = here(*command)
                assert (code, err) == (0, "")
                said += out
            continue
        words = [sys.executable, "-c", SEVERAL, json.dumps(commands)]
        program = str(ROOT if here is not None else place)
        environment = {**os.environ, "PYTHONPATH": program, "XDG_CACHE_HOME": str(place)}
        ran = subprocess.run(words, cwd=place, env=environment, capture_output=True, text=True)
        assert (ran.returncode, ran.stderr) == (0, "")
        said += ran.stdout
    return said


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the program, for what is added to it."""
    for name in ("agn_bench", "experiments"):
        shutil.copytree(ROOT / name, tmp_path / name)  # with what Python has compiled of it
    return tmp_path


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, for what stays in a file of one's own."""
    (tmp_path / "experiments").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_an_optimizer_of_ones_own_is_one_file(place: Path, command: Command) -> None:
    """No file of the program is written to."""
    before = {path: path.read_bytes() for path in (ROOT / "agn_bench").rglob("*.py")}
    apply("An optimizer of your own", place)
    out = run("An optimizer of your own", place, here=command)
    assert "How much staleness counts" in out
    assert "Mine: 20 workers" in out
    (row,) = pd.read_csv(place / "results" / "adhoc" / "summary.csv").to_dict("records")
    assert (row["beta"], row["power"], row["status"]) == (2.0, 0.5, "done")
    (row,) = pd.read_csv(place / "results" / "adhoc" / "tables" / "accuracy.csv").to_dict("records")
    assert (row["beta"], row["power"]) == (2.0, 0.5)
    (row,) = pd.read_csv(place / "results" / "buffered" / "summary.csv").to_dict("records")
    assert (row["size"], row["optimizer_momentum"], row["versions"]) == (8, 0.5, row["exchanges"] // 8)
    assert {path: path.read_bytes() for path in (ROOT / "agn_bench").rglob("*.py")} == before


def test_a_problem_of_ones_own_is_one_file(place: Path, command: Command) -> None:
    """A plain function, a module of Equinox, and one of Flax. No file of the program is written to."""
    before = {path: path.read_bytes() for path in (ROOT / "agn_bench").rglob("*.py")}
    apply("A problem of your own", place)
    assert "test loss" in run("A problem of your own", place, here=command)
    (row,) = pd.read_csv(place / "results" / "adhoc" / "summary.csv").to_dict("records")
    assert row["test_loss"] <= 0.05
    assert (row["problem_width"], row["lower_is_better"], row["reached_s"]) == (8, "test_loss", row["sim_time_s"])
    for name in ("pictures", "flaxed"):
        (row,) = pd.read_csv(place / "results" / name / "summary.csv").to_dict("records")
        assert row["test_accuracy"] > 0.5
        assert row["problem"].startswith(f"{name}-")
    rows = pd.read_csv(place / "results" / "three" / "summary.csv")
    assert sorted(rows["problem"].str.partition(":")[2]) == ["Flaxed", "Pictures", "Sine"]
    assert (rows["status"] == "done").all()
    assert {path: path.read_bytes() for path in (ROOT / "agn_bench").rglob("*.py")} == before


def test_an_optimizer_for_everyone_is_one_file_and_a_line(copy: Path) -> None:
    apply("An optimizer for everyone", copy)
    assert "rootsgd: 20 workers" in run("An optimizer for everyone", copy)
    (row,) = pd.read_csv(copy / "results" / "adhoc" / "summary.csv").to_dict("records")
    assert (row["optimizer"], row["beta"], row["status"]) == ("rootsgd", 2.0, "done")


def test_a_distribution_of_times_is_one_file(place: Path, command: Command) -> None:
    apply("A distribution of times", place)
    run("A distribution of times", place, here=command)
    (row,) = pd.read_csv(place / "results" / "adhoc" / "timeline" / "timeline.csv").to_dict("records")
    assert row["delays"] == "paper-cluster+step.distribution=times.py:Uniform:spread=0.25"


def test_a_data_split_is_one_file(place: Path, command: Command) -> None:
    apply("A data split", place)
    run("A data split", place, here=command)
    (row,) = pd.read_csv(place / "results" / "adhoc" / "summary.csv").to_dict("records")
    assert (row["data_split"].endswith(":Pieces"), row["split_each"], row["status"]) == (True, 3, "done")


def test_a_data_set_is_added_with_its_files_and_their_hashes(place: Path, command: Command) -> None:
    apply("A data set", place)
    for program in ("make-columns.py", "make-bars.py"):
        subprocess.run([sys.executable, program], cwd=place, check=True, capture_output=True)
    run("A data set", place, here=command)
    rows = pd.read_csv(place / "results" / "adhoc" / "summary.csv")
    assert sorted(re.sub("-[0-9a-f]{8}", "", name) for name in rows["dataset"]) == ["bars:BARS", "columns"]
    assert (rows["test_accuracy"] > 0.9).all()


def test_an_experiment_is_added_in_a_file(place: Path, command: Command) -> None:
    """Two of its eight runs are made; to compile programs for the others takes long."""
    apply("An experiment", place)
    assert len(read_experiment_file(place / "experiments" / "few-steps.toml").configs) == 8
    only = ("--only", "seed=0", "--only", "local_steps=10", "--jobs", "1")
    assert "2 runs made, 0 found finished, 0 failed" in run("An experiment", place, *only, here=command)
    rows = pd.read_csv(place / "results" / "few-steps" / "summary.csv")
    assert sorted(rows["optimizer"]) == ["agn", "dynsgd"]
    assert rows["in_experiment"].all()
