"""Paths as people give them: with homes, without a home, in files and in variables."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from agn_bench.base.inputs import BadInput, in_home, path_of
from agn_bench.clock import load_profile
from agn_bench.config.experiment import read_experiment_file
from agn_bench.problems import datasets

Command = Callable[..., tuple[int, str, str]]
KIND = pytest.mark.kind("homes in paths, and no home")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def homeless(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a user without a passwd entry, in a container."""
    for name in ("HOME", "XDG_CACHE_HOME", "AGN_BENCH_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 987_654_321)


@KIND
@pytest.mark.parametrize("words", ["data verify mnist", "data fetch mnist", "run --preset reduced"])
def test_without_a_home_a_line_says_how_to_give_the_folder(command: Command, homeless: None, words: str) -> None:
    code, _, err = command(*words.split())
    assert code == 2
    assert err.count("\n") == 1
    assert err.startswith("agn-bench: --data-dir: not given, and without a home folder there is no default for it; ")
    assert "by --data-dir or by the variable AGN_BENCH_DATA_DIR" in err


@KIND
@pytest.mark.parametrize("option", ["--data-dir", "AGN_BENCH_DATA_DIR"])
def test_a_home_in_a_folder_for_data_is_one(
    command: Command, home: Path, monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    if option.isupper():
        monkeypatch.setenv(option, "~/data")
    words = [] if option.isupper() else [f"{option}=~/data"]
    shown = "".join(command("data", "verify", "mnist", *words)[1].split())  # a title is broken where it is too long
    assert str(home / "data" / "mnist") in shown


@KIND
def test_a_home_in_files_is_one(home: Path) -> None:
    (home / "times.csv").write_text("a\n0.5\n")
    (home / "mine.toml").write_text('[step]\ndistribution = "empirical"\nfile = "~/times.csv"\ncolumn = "a"\n')
    (home / "mine.py").write_text(
        "from agn_bench.optimizers.agn import Agn\nfrom agn_bench.optimizers import optimizer\n"
        "@optimizer\nclass Mine(Agn):\n    pass\n"
    )
    (home / "elsewhere").mkdir()
    file = home / "elsewhere" / "experiment.toml"
    file.write_text('name = "mine"\n[[cells]]\ndelays = "~/mine.toml"\noptimizer = "~/mine.py:Mine"\n')
    (config,) = read_experiment_file(file).configs
    assert config.delays.step.moments().mean == load_profile("~/mine.toml").step.moments().mean == 0.5
    assert config.optimizer.spelled == "mine.py:Mine"


@KIND
@pytest.mark.parametrize("words", ["run --out", "table", "sweep", "data verify mnist --data-dir", "run --like"])
def test_a_home_that_is_not_known_is_refused_and_not_made_here(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, err = command(*words.split(), "~nobody-of-this-name/mine")
    assert code == 2
    assert re.fullmatch(r"agn-bench: \S+ ~nobody-.*: no home folder is known for ~nobody-of-this-name; .*\n", err)
    assert not list(tmp_path.iterdir())


@KIND
def test_a_cache_that_is_no_whole_path_is_refused_or_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the standard that names the variable has it."""
    monkeypatch.setenv("XDG_CACHE_HOME", "here")
    try:
        assert datasets.cache_folder().is_absolute()
    except BadInput as error:
        assert str(error).startswith("XDG_CACHE_HOME here: not an absolute path")


def test_other_paths_stay_as_they_are() -> None:
    for text in ("a/~b", "a b", "/c"):
        assert path_of("out", text) == in_home(text) == Path(text)
    with pytest.raises(BadInput, match="empty"):
        path_of("out", " ")
