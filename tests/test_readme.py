"""Every command of the README and of the pages that it links to, in order, as somebody would who follows them."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from agn_bench.base import machine
from agn_bench.config.defaults import PRESETS
from agn_bench.problems.transformer import Transformer
from agn_bench.store.run_files import read_config
from agn_bench.studies import calibration, confidence

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
ELSEWHERE_TESTED = ("clock", "commands", "files", "figures-for-papers", "track-runs")
"""Pages for looking things up: test_clock_page.py runs the first's commands, and the others have none of their own.
test_tracking.py runs those of the last two, which need an extra."""
PAGES = {
    name: (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")
    for name in dict.fromkeys(re.findall(r"\(docs/([\w-]+)\.md\)", README.split("## Where to read on")[1]))
    if name not in ELSEWHERE_TESTED
}
"""In the order in which the README names them."""
ASSISTANTS = [(ROOT / name).read_text(encoding="utf-8") for name in ("AGENTS.md", "docs/skill/SKILL.md")]
TEXT = "\n".join([README, *PAGES.values(), *ASSISTANTS])
Command = Callable[..., tuple[int, str, str]]
ELSEWHERE = ("--scheduler", "tune")
"""Commands with these need a cluster, or minutes; test_cluster.py and test_tune.py run them."""


def commands(program: str) -> list[list[str]]:
    """The words of the pages' indented lines that begin with `program`, comments left out."""
    lines = re.findall(rf"^    ({program} .*)$", TEXT, flags=re.MULTILINE)
    return [shlex.split(line, comments=True)[1:] for line in lines]


@pytest.fixture
def checkout(tmp_path: Path, quick_dataset: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place like a checkout, where presets take milliseconds and the files that the pages speak of are there."""
    small = {"dataset": quick_dataset, "model": "mlp-8", "local_optimizer": "sgd", "gradient_steps": 2_100}
    for preset in PRESETS:
        monkeypatch.setitem(PRESETS, preset, small)
    steps = {"batch_size": 2, "gradient_steps": 1_120}
    monkeypatch.setattr(Transformer, "trained_with", {**Transformer.trained_with, **steps})
    monkeypatch.setattr(machine, "runs_at_once", lambda: 1)  # other processes would know nothing of that
    monkeypatch.setattr(calibration, "_PRECISION", 0.3)
    monkeypatch.setattr(confidence, "_DESIGN", 5)
    shutil.copytree(ROOT / "experiments", tmp_path / "experiments")
    made = Path("results") / "equal-time"
    shutil.copytree(ROOT / made, tmp_path / made, ignore=shutil.ignore_patterns("runs", ".*"))
    for name, place in (("my", "measure-your-cluster"), ("who-is-first", "compare-at-equal-time")):
        text, *_ = re.findall(r"```toml\n(.*?)```", PAGES[place], flags=re.DOTALL)
        (tmp_path / f"{name}.toml").write_text(text)
    (optimizer,) = re.findall(r"```python\n# mine\.py\n(.*?)```", README, flags=re.DOTALL)
    (tmp_path / "mine.py").write_text(optimizer)
    (rule,) = re.findall(r"```python\n(# patient\.py\n.*?)```", PAGES["choose-lambda"], flags=re.DOTALL)
    (tmp_path / "patient.py").write_text(rule)
    (tmp_path / "times.csv").write_text("workers,local_steps,seconds\n10,5,1500\n20,5,900\n40,5,800\n20,20,700\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_command_of_the_pages_does_what_it_says(command: Command, checkout: Path, sketched: None) -> None:
    lines = commands("agn-bench")
    assert len(lines) >= 25
    done: list[list[str]] = []
    for words in lines:
        if any(word in ELSEWHERE for word in words) or words in done:
            continue
        done.append(words)
        if "--timeline" in words:
            log = next(checkout.glob("results/adhoc/runs/easgd-*/commits.csv")).read_text()
            names = words[words.index("--columns") + 1].split(",") if "--columns" in words else []
            for ours, theirs in (name.split("=") for name in names):
                log = log.replace(ours, theirs, 1)
            (checkout / words[words.index("--timeline") + 1]).write_text(log)
        if words == ["sweep", "who-is-first.toml"]:  # a part of it, since each of its runs compiles a program
            words = [*words, "--only", "seed=0", "--only", "optimizer=agn"]
        words = [word.replace("hidden=1000,2000,1000", "hidden=8") for word in words]  # else it takes minutes
        words = [word.replace("transformer", "transformer:dimension=8:layers=1") for word in words]
        if "--like" in words:  # the committed run, of which there is another here
            like = Path(words[words.index("--like") + 1])
            assert read_config(ROOT / like)
            words = [
                str(next(checkout.glob(f"{like.parent}/agn*s0*"))) if word == str(like) else word for word in words
            ]
        code, out, err = command(*words)
        assert (code, err) == (0, ""), words
        assert out.strip()
    assert {path.name for path in (checkout / "results").iterdir()} >= {"adhoc", "four-methods", "part-0", "part-1"}


def test_every_make_target_of_the_pages_is_there() -> None:
    targets = commands("make") + [
        shlex.split(line) for line in re.findall(r"`make ([a-z][^`]*)`", " ".join(TEXT.split()))
    ]
    assert ["run"] in targets
    assert ["four-methods"] in targets
    for words in targets:
        ran = subprocess.run(["make", "--dry-run", "READY=", *words], cwd=ROOT, capture_output=True, text=True)
        assert ran.returncode == 0, (words, ran.stderr)
        assert ".venv" in ran.stdout


PIP = {
    "PIP_USER": "1",
    "PIP_TARGET": "/elsewhere",
    "PIP_PREFIX": "/elsewhere",
    "PIP_PYTHON": "/usr/bin/python3",
    "PIP_CONSTRAINT": "mine.txt",
    "PIP_REQUIRE_HASHES": "1",
    "PIP_NO_DEPS": "1",
    "PIP_DRY_RUN": "1",
}
"""Settings with which nothing, or something else, would be in .venv."""


@pytest.mark.kind("a user's settings of pip")
@pytest.mark.parametrize("name", PIP)
def test_what_make_installs_goes_into_its_own_environment(tmp_path: Path, name: str) -> None:
    """And a user's index, proxy and cache stay what they are."""
    (tmp_path / "Makefile").write_text(f"include {ROOT}/Makefile\nshow:\n\t@env\n")
    environment = {**os.environ, name: PIP[name], "PIP_INDEX_URL": "https://mine"}
    ran = subprocess.run(["make", "-C", tmp_path, "show"], env=environment, capture_output=True, text=True, check=True)
    seen = [line for line in ran.stdout.splitlines() if line.startswith("PIP_")]
    assert "PIP_USER=0" in seen and "PIP_INDEX_URL=https://mine" in seen
    assert f"{name}={PIP[name]}" not in seen
