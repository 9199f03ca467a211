"""The program as it is installed from a wheel, used where there is no checkout."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from pathlib import Path

import pandas as pd
import pytest
from conftest import built_once

from agn_bench.clock import profile_names

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the source distribution, and with the wheel that was built from it."""

    def build(folder: Path) -> None:
        words = [sys.executable, "-m", "build", "--no-isolation", "--skip-dependency-check"]
        subprocess.run([*words, "--outdir", str(folder), str(ROOT)], check=True, capture_output=True)

    return built_once(tmp_path_factory, "wheel", build)


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    (path,) = built.glob("*.whl")
    return path


def shipped() -> set[str]:
    """The files of the program and of its experiments, but for the scripts that are run by make alone."""
    files = {path for part in ("agn_bench", "experiments") for path in (ROOT / part).rglob("*") if path.is_file()}
    names = {path.relative_to(ROOT).as_posix() for path in files if "__pycache__" not in path.parts}
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    return names - set(re.findall(r"^\t\$\(BIN\)/python (experiments/\S+)$", makefile, flags=re.MULTILINE))


def test_it_holds_what_the_program_needs_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    there = {name for name in names if ".dist-info/" not in name}
    assert there == {re.sub("^experiments/", "agn_bench/experiments/", name) for name in shipped()}
    assert {f"agn_bench/clock/profiles/{name}.toml" for name in profile_names()} <= there
    assert {f"agn_bench/clock/profiles/pai-{job}.csv" for job in (1, 2, 3, 4)} <= there
    assert {"agn_bench/py.typed", "agn_bench/paper/published/grid.csv", "agn_bench/experiments/checks/toy.py"} <= there
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert any(name.endswith("licenses/NOTICES.md") for name in names)


def test_the_source_distribution_holds_what_a_wheel_is_built_from(built: Path) -> None:
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert names >= shipped()
    own = {"CHANGELOG.md", "CITATION.cff", "LICENSE", "NOTICES.md", "README.md", "hatch_build.py", "pyproject.toml"}
    assert {name for name in names if not name.startswith(("agn_bench/", "experiments/"))} == {
        *own,
        ".gitignore",
        "PKG-INFO",
    }


def test_its_description_is_the_readme_without_links_that_lead_nowhere(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        metadata = archive.read(next(name for name in archive.namelist() if name.endswith("METADATA"))).decode()
    head, _, text = metadata.partition("\n\n")
    assert "License-Expression: MIT\n" in head and "Description-Content-Type: text/markdown" in head
    assert "Author" not in head and "Project-URL" not in head  # the owner's to give
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert re.findall("^```.*?^```", text, re.DOTALL | re.MULTILINE) == re.findall(
        "^```.*?^```", readme, re.DOTALL | re.MULTILINE
    )
    assert set(re.findall(r"\]\(([^)\s]+)\)", text)) == {"https://arxiv.org/abs/1710.02368"}
    assert "36 methods and eight problems" in text and "\n[Picture: Training accuracy" in text
    where = runpy.run_path(str(ROOT / "hatch_build.py"))["description"](readme, "https://forge.example/agn-bench/")
    targets = set(re.findall(r"\]\((?:https://forge.example/agn-bench/(?:raw|blob)/HEAD/)([^)#\s]+)", where))
    assert {"docs/optimizers.md", "results/four-methods/figures/accuracy-over-time.png"} <= targets
    assert all((ROOT / target).exists() for target in targets)


@pytest.fixture(scope="module")
def fresh(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel alone, as `uvx` makes one, but that its packages are those of the tests: to fetch
    them again would take minutes.
    """

    def install(folder: Path) -> None:
        venv.create(folder, with_pip=False, symlinks=True)
        python = folder / "bin" / "python"
        words = ["-m", "pip", "--python", str(python), "install", "--no-deps", "--no-index", "--quiet"]
        subprocess.run(
            [sys.executable, *words, "--disable-pip-version-check", str(wheel)], check=True, capture_output=True
        )
        (site,) = folder.glob("lib/python*/site-packages")
        (site / "tested.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")

    return built_once(tmp_path_factory, "fresh", install)


def test_its_commands_work_in_a_fresh_environment_outside_the_checkout(fresh: Path, tmp_path: Path) -> None:
    """With its own experiments and profiles, and nothing of the checkout's."""
    place = tmp_path / "place"
    place.mkdir()
    (site,) = fresh.glob("lib/python*/site-packages")
    grid = site / "agn_bench" / "experiments" / "paper" / "grid.toml"
    quick = 'base = { preset = "quick" }'
    whole = grid.read_text(encoding="utf-8")
    assert quick in whole
    grid.write_text(
        whole.replace(quick, 'base = { preset = "quick", model = "mlp-8", gradient_steps = 1600 }'), encoding="utf-8"
    )
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache"), "COLUMNS": "200"}
    environment.pop("PYTHONPATH", None)

    def say(program: str, *words: str) -> str:
        line = [str(fresh / "bin" / program), *words]
        ran = subprocess.run(line, cwd=place, env=environment, capture_output=True, text=True)
        assert (ran.returncode, ran.stderr) == (0, ""), ran.stderr
        return ran.stdout

    assert "Usage: agn-bench" in say("agn-bench", "--help")
    listed = say("agn-bench", "list", "delays")
    assert all(name in listed for name in profile_names())
    only = "--only optimizer=agn --only workers=10 --only local_steps=40"
    said = say(
        "python",
        "-c",
        SEVERAL,
        "run --gradient-steps 100 --workers 4 --local-steps 5 --delays pai-2 --model mlp-8",
        f"sweep paper/grid --size quick {only} --out reproduced/quick",  # where a reproduction would have it
        "reproduce beale --no-run --size quick --out reproduced",
    )
    where, experiments, *_ = said.splitlines()
    assert {"four-methods", "paper/grid"} <= set(experiments.split())
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
print(*agn_bench.config.shipped.shipped_experiments())
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
    accepted = [*project["dependencies"], *extras["cluster"], *extras["export"], *extras["tune"]]
    tested = (ROOT / "requirements.lowest").read_text(encoding="utf-8").splitlines()
    assert {re.sub(">=", "==", bound) for bound in accepted} <= set(tested)
