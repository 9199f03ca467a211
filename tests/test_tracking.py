"""The pages on figures and on trackers: their commands and examples, as somebody would who follows them."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
FIGURES, TRACKING = ((ROOT / "docs" / f"{name}.md").read_text("utf-8") for name in ("figures-for-papers", "track-runs"))
EXAMPLES = {
    re.findall(r"^import (\w+)$", example, flags=re.MULTILINE)[0]: example
    for example in re.findall(r"```python\n(.*?)```", TRACKING, flags=re.DOTALL)
}
Command = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize("page", [FIGURES, TRACKING], ids=["figures", "tracking"])
def test_the_commands_of_a_page_do_what_it_says(
    page: str, command: Command, sketched: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("equal-time", "four-methods"):
        (tmp_path / "results" / name).mkdir(parents=True)
        for file in ("summary.csv", "curves.csv.gz", "provenance.json"):
            (tmp_path / "results" / name / file).symlink_to(ROOT / "results" / name / file)
    monkeypatch.chdir(tmp_path)
    lines = re.findall(r"^    agn-bench (.*)$", page, flags=re.MULTILINE)
    assert len(lines) >= 2
    for line in lines:
        words = shlex.split(line, comments=True)
        if words[0] == "export":
            pytest.importorskip({"parquet": "pyarrow", "tensorboard": "tensorboardX"}[words[words.index("--to") + 1]])
            words += ["--only", "optimizer=agn"]
        code, out, err = command(*words)
        assert (code, err) == (0, ""), line
        assert out.strip()


def made(example: str, monkeypatch: pytest.MonkeyPatch, folder: Path) -> dict[str, Any]:
    """What an example leaves."""
    monkeypatch.chdir(folder)
    scope: dict[str, Any] = {"__name__": "__main__"}
    smaller = example.replace("gradient_steps=2_000", "dataset='tiny', model='mlp-8', gradient_steps=2_000")
    exec(compile(smaller, "example", "exec"), scope)
    return scope


class Tracked:
    """A run of W&B or of Trackio, with the functions that they have."""

    def __init__(self, **given: Any) -> None:
        self.given, self.logged, self.summary = given, list[tuple[dict[str, float], int]](), dict[str, Any]()
        self.ended: list[int] = []

    def log(self, data: dict[str, float], step: int | None = None) -> None:
        assert step is not None and not self.ended
        assert not self.logged or step > self.logged[-1][1]  # W&B takes no step twice, and none before
        self.logged.append((data, step))

    def finish(self, exit_code: int = 0) -> None:
        self.ended.append(exit_code)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [("wandb", {"project", "mode", "name", "config", "reinit"}), ("trackio", {"project", "name", "config"})],
)
def test_the_example_of_a_tracker_follows_a_run(
    name: str, arguments: set[str], quick_dataset: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    runs: list[Tracked] = []

    def init(**given: Any) -> Tracked:
        assert {*given} == arguments
        runs.append(Tracked(**given))
        return runs[-1]

    stand_in = ModuleType(name)
    stand_in.init = init  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, name, stand_in)
    scope = made(EXAMPLES[name], monkeypatch, tmp_path)
    (run,) = runs
    assert run.ended == [0] and not scope["tracked"]
    assert run.given["config"]["workers"] == 10 and run.given["name"].startswith("agn-n10-")
    assert {"train_accuracy", "train_loss", "test_accuracy", "time_s"} == set().union(*(data for data, _ in run.logged))
    if name == "wandb":
        assert run.summary["status"] == "done" and run.summary["gradient_steps"] == run.logged[-1][1]
