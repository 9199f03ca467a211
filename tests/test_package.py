"""What is said of the package: to those who install, cite, change or build it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from test_wheel import shipped
from trove_classifiers import classifiers

from agn_bench import __version__
from agn_bench.config.run import SEMANTICS_VERSION

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_the_classifiers_are_known_and_fit() -> None:
    assert set(PROJECT["classifiers"]) <= classifiers
    (least,) = re.findall(r">=(\d\.\d+)", PROJECT["requires-python"])
    assert f"Programming Language :: Python :: {least}" in PROJECT["classifiers"]


def test_the_citation_says_what_the_project_and_the_readme_say() -> None:
    citation = yaml.safe_load(read("CITATION.cff"))
    assert citation["cff-version"] == "1.2.0" and citation["type"] == "software"
    assert (citation["title"], citation["license"]) == (PROJECT["name"], PROJECT["license"])
    assert (citation["abstract"], citation["version"]) == (PROJECT["description"], __version__)
    assert citation["keywords"] == PROJECT["keywords"]
    assert citation["authors"] == [{"name": re.findall(r"Copyright \(c\) \d+ (.*)", read("LICENSE"))[0]}]
    paper, readme = citation["preferred-citation"], read("README.md")
    families = [author["family-names"] for author in paper["authors"]]
    assert f"*{paper['title']}* ({', '.join(families)} {paper['year']}," in readme
    assert paper["url"] in readme
    assert [one["value"] for one in paper["identifiers"]] == ["arXiv:" + paper["url"].rpartition("/")[2]]
    assert all(citation[name] for name in ("message", "title", "authors"))  # what the format asks for
    assert all(paper[name] for name in ("type", "title", "authors"))


def test_the_changelog_names_this_version_and_the_semantics_of_all_results() -> None:
    text = read("CHANGELOG.md")
    assert re.findall(r"^## \[(.*?)\]", text, flags=re.MULTILINE)[0] == __version__
    rows = re.findall(r"^\| (\d+) \| (\d{4}-\d\d-\d\d) \|", text, flags=re.MULTILINE)
    assert [int(semantics) for semantics, _ in rows] == [*range(SEMANTICS_VERSION, 0, -1)]
    assert [since for _, since in rows] == sorted((since for _, since in rows), reverse=True)
    made = {
        record["semantics_version"]
        for path in (ROOT / "results").rglob("provenance.json")
        for record in json.loads(path.read_text(encoding="utf-8")).values()
        if "semantics_version" in record
    }
    assert made == {SEMANTICS_VERSION}  # as its first row says


def test_every_dependency_and_no_other_has_a_row_with_its_reason() -> None:
    def name(requirement: str) -> str:
        return re.split("[<>=]", requirement)[0]

    extras = {
        (name(one), extra)
        for extra, requirements in PROJECT["optional-dependencies"].items()
        for one in requirements
        if not one.startswith("agn-bench")
    }
    rows = re.findall(r"^\| `(\S+)` \| (.*) \|$", read("docs/dependencies.md"), flags=re.MULTILINE)
    cells = [(package, *rest.split(" | ")) for package, rest in rows]
    core, others = ([row for row in cells if len(row) == length] for length in (6, 7))
    assert [row[0] for row in core] == [name(one) for one in PROJECT["dependencies"]]
    assert sorted(row[:2] for row in others) == sorted(extras)
    assert len(core) + len(others) == len(rows)
    for row in cells:
        assert all(cell.strip() for cell in row)
        assert re.fullmatch(r"20\d\d-(0[1-9]|1[0-2])", row[-2]), row


def test_the_workflow_calls_the_same_script_as_everyone() -> None:
    workflow = yaml.safe_load(read(".github/workflows/ci.yml"))
    ((_, job),) = workflow["jobs"].items()
    assert job["timeout-minutes"] == 90
    uses = [step["uses"] for step in job["steps"] if "uses" in step]
    assert [re.fullmatch(r"actions/(.*)@v\d+", one)[1] for one in uses] == ["checkout", "setup-python"]  # type: ignore[index]
    assert [step["run"] for step in job["steps"] if "run" in step] == [".ci/run"]
    assert "3." + str(job["steps"][1]["with"]["python-version"]).partition(".")[2] in PROJECT["requires-python"]
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o111


def test_the_container_is_built_from_what_it_copies(tmp_path: Path) -> None:
    """All of it is there, none of it is withheld from the builder, and a wheel of it is the wheel of the checkout."""
    lines = read("Dockerfile").splitlines()
    copied = [word for line in lines if line.startswith("COPY") for word in line.split()[1:-1]]
    ignored = [line for line in read(".dockerignore").splitlines() if line and not line.startswith("#")]
    assert ignored[0] == "*" and {f"!{name}" for name in copied} == {one for one in ignored if one.startswith("!")}
    for name in copied:
        path = ROOT / name
        if path.is_dir():
            shutil.copytree(path, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(path, tmp_path / name)
    words = ["-m", "build", "--wheel", "--no-isolation", "--skip-dependency-check", "--outdir", str(tmp_path / "dist")]
    subprocess.run([sys.executable, *words, str(tmp_path)], check=True, capture_output=True)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if not fnmatch(name, "*.dist-info/*")}
    assert held == {re.sub("^experiments/", "agn_bench/experiments/", name) for name in shipped()}
    install = next(line for line in lines if line.startswith("RUN"))
    constraints = re.findall(r"--constraint (\S+)", install)
    assert constraints == ["requirements.lock"] and set(constraints) <= set(copied)
    user = lines.index("USER agn")
    assert user < lines.index('ENTRYPOINT ["agn-bench"]') and not [line for line in lines[user:] if "RUN" in line]
    assert lines.count(f"FROM python:{PROJECT['requires-python'].removeprefix('>=')}-slim") == 1


def test_the_skill_page_has_what_such_a_page_begins_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its commands are run by test_readme.py, and its Python here, on results that are committed."""
    _, front, text = re.split(r"^---$", read("docs/skill/SKILL.md"), maxsplit=2, flags=re.MULTILINE)
    said: dict[str, Any] = yaml.safe_load(front)
    assert said.keys() == {"name", "description"}
    assert re.fullmatch("[a-z0-9-]{1,64}", said["name"]) and len(said["description"]) <= 1024
    (code,) = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "adhoc").symlink_to(ROOT / "results" / "four-methods")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(code, names)
    assert isinstance(names["curves"], pd.DataFrame)
    assert "downpour" in capsys.readouterr().out
