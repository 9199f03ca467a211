"""The program as it is installed from a wheel, used where there is no checkout."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pandas as pd
import pytest
from conftest import built_once

from agn_bench.clock import profile_names

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--no-cache-dir", "--quiet"]
    options += ["--disable-pip-version-check"]

    def build(folder: Path) -> None:
        words = [sys.executable, "-m", "pip", "wheel", *options, "--wheel-dir", str(folder), str(ROOT)]
        subprocess.run(words, check=True, capture_output=True)

    (built,) = built_once(tmp_path_factory, "wheel", build).glob("*.whl")
    return built


def test_it_holds_what_the_program_needs_and_what_belongs_to_it(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        metadata = archive.read(next(name for name in names if name.endswith("METADATA"))).decode()
    experiments = {path.relative_to(ROOT).as_posix() for path in (ROOT / "experiments").rglob("*.toml")}
    assert {f"agn_bench/{name}" for name in experiments} <= set(names)
    assert {f"agn_bench/clock/profiles/{name}.toml" for name in profile_names()} <= set(names)
    assert {f"agn_bench/clock/profiles/pai-{job}.csv" for job in (1, 2, 3, 4)} <= set(names)
    assert {"agn_bench/py.typed", "agn_bench/paper/published/grid.csv"} <= set(names)
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert any(name.endswith("licenses/NOTICES.md") for name in names)
    assert not [name for name in names if name.startswith(("tests", "results", "experiments"))]
    assert "License-Expression: MIT" in metadata


def test_it_runs_outside_the_checkout(wheel: Path, tmp_path: Path) -> None:
    """With its own experiments and profiles, and nothing of the checkout's."""
    site, place = tmp_path / "site", tmp_path / "place"
    place.mkdir()
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    grid = site / "agn_bench" / "experiments" / "paper" / "grid.toml"
    quick = 'base = { preset = "quick" }'
    assert quick in grid.read_text(encoding="utf-8")
    shorter = grid.read_text(encoding="utf-8").replace(quick, 'base = { preset = "quick", gradient_steps = 1600 }')
    grid.write_text(shorter, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(site), "XDG_CACHE_HOME": str(tmp_path / "cache"), "COLUMNS": "200"}

    def python(*words: str) -> str:
        ran = subprocess.run([sys.executable, *words], cwd=place, env=environment, capture_output=True, text=True)
        assert (ran.returncode, ran.stderr) == (0, ""), ran.stderr
        return ran.stdout

    listed = python("-m", "agn_bench", "list")
    assert all(name in listed for name in ("four-methods", "paper/grid", "paper-cluster", "agn-vs-others"))
    only = "--only optimizer=agn --only workers=10 --only local_steps=40"
    said = python(
        "-c",
        SEVERAL,
        "run --gradient-steps 300 --workers 4 --delays pai-2",
        f"sweep paper/grid --size quick {only} --out reproduced/quick",  # where a reproduction would have it
        "reproduce beale --no-run --size quick --out reproduced",
    )
    where, *_ = said.splitlines()
    assert where.split() == [str(site / "agn_bench" / "__init__.py"), str(site / "agn_bench" / "experiments")]
    assert len(pd.read_csv(place / "results" / "adhoc" / "summary.csv")) == 1
    assert "1 runs made" in said
    swept = pd.read_csv(place / "reproduced" / "quick" / "summary.csv")
    assert set(swept["gradient_steps"]) == {1600}  # of its own experiment
    assert "claims" in said.split("1 runs made")[1]


SEVERAL = """
import pathlib, sys
import agn_bench, agn_bench.cli, agn_bench.config.shipped
from agn_bench.analysis.figures import look
from matplotlib.figure import Figure
Figure.savefig = lambda self, path, **_: pathlib.Path(path).write_bytes(b"a picture")
look._keep_few_colours = lambda png: None
print(agn_bench.__file__, agn_bench.config.shipped.experiments_folder())
for line in sys.argv[1:]:
    try:
        agn_bench.cli.main(line.split())
    except SystemExit as stopped:
        if stopped.code:
            raise
"""
"""The program's own place, and then several commands: in one process, since each imports JAX for long, and without
pictures, for which the wheel holds nothing.
"""


def test_the_lowest_versions_that_are_tested_are_the_lowest_accepted() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    accepted = [*project["dependencies"], *extras["cluster"], *extras["tune"]]
    tested = (ROOT / "requirements.lowest").read_text(encoding="utf-8").splitlines()
    assert {re.sub(">=", "==", bound) for bound in accepted} <= set(tested)
