"""A problem in a user's file: from the command line, in processes, and with mistakes in it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from agn_bench import RunConfig
from agn_bench.execution.one import load_once
from agn_bench.training.simulate import simulate

Command = Callable[..., tuple[int, str, str]]

LINE = '''
import jax.numpy as jnp
import numpy as np

from agn_bench.problems import Measure, Problem, problem, quantity


@problem
class Line(Problem):
    """A line through points."""

    slope: float = quantity(-10, 10, default=2.0, help="Slope of the line.")
    measures = {"loss": Measure(higher_is_better=False, if_diverged=9.0), "near": Measure(True, 0.0)}
    examples, tested = 60, 20

    def load(self, data_dir):
        x = np.linspace(-1, 1, 80)
        return (x[::4], self.slope * x[::4]), (x[1::4], self.slope * x[1::4])

    def init(self, generator):
        return generator.normal(size=2)

    def loss(self, params, batch):
        x, y = batch
        off = params[0] + params[1] * x - y
        return (off**2).mean(), {"near": (jnp.abs(off) < 0.1).sum()}
'''.replace("x[::4], self.slope * x[::4]", "x[20:], self.slope * x[20:]").replace(
    "x[1::4], self.slope * x[1::4]", "x[:20], self.slope * x[:20]"
)
SIZE: dict[str, Any] = {"workers": 3, "local_steps": 2, "gradient_steps": 240, "batch_size": 4}
WORDS = [
    "--problem",
    "line.py:Line:slope=3",
    "--workers",
    "3",
    "--local-steps",
    "2",
    "--gradient-steps",
    "240",
    "--batch-size",
    "4",
]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "line.py").write_text(LINE)
    return tmp_path


def test_it_learns_what_it_should(here: Path) -> None:
    config = RunConfig.of(problem="line.py:Line:slope=3", **SIZE)
    result = simulate(config, load_once(config.trains, None))
    intercept, slope = result.replay.center
    assert abs(intercept) < 0.05
    assert abs(slope - 3) < 0.1
    assert result.replay.center.dtype == np.float32
    assert [*config.trains.measures] == ["loss", "near"]
    assert config.message_bytes == 8


def test_its_measures_are_in_files_and_tables(command: Command, here: Path, sketched: None) -> None:
    code, _, err = command("run", *WORDS, "--seeds", 2, "--until", "test_near=0.9", "--out", "out")
    assert (code, err) == (0, "")
    rows = pd.read_csv("out/summary.csv")
    assert (rows["test_near"] >= 0.9).all()
    assert (rows["lower_is_better"] == "test_loss").all()
    assert (rows["problem_slope"] == 3).all()
    assert rows["problem"].str.fullmatch(r"line-[0-9a-f]{8}:Line").all()
    points = pd.read_csv("out/curves.csv.gz")
    assert {"train_loss", "train_near", "train_near_std", "test_loss", "test_near"} < set(points)
    assert command("table", "out", "--measure", "test_loss", "--reach", "1,0.1")[0] == 0
    (row,) = pd.read_csv("out/tables/test-loss.csv").to_dict("records")
    assert row["reached_1"] == 2
    assert row["test_loss_mean"] == pytest.approx(rows["test_loss"].mean())
    assert command("plot", "out", "--measure", "near")[0] == 0


def test_it_travels_to_processes(command: Command, here: Path) -> None:
    """The file is read where the experiment is, and its path counts from there."""
    (here / "deep").mkdir()
    (here / "line.py").rename(here / "deep" / "line.py")
    (here / "deep" / "lines.toml").write_text(
        'name = "lines"\nseeds = [0]\n[base]\nworkers = 3\nlocal_steps = 2\ngradient_steps = 240\nbatch_size = 4\n'
        '[[cells]]\nproblem = ["line.py:Line", "line.py:Line:slope=-1", "quadratic:dimension=4"]\n'
    )
    code, out, err = command("sweep", "deep/lines.toml", "--jobs", 2, "--threads", 2, "--out", "out")
    assert (code, err) == (0, "")
    assert "3 runs made, 0 found finished, 0 failed" in out
    rows = pd.read_csv("out/summary.csv")
    assert sorted(rows["problem_slope"].dropna()) == [-1, 2]
    assert rows["center_gap"].count() == 1


MISTAKES = {
    "a loss that is a vector": ("return (off**2).mean()", "return off**2", "gave loss float32[4], not one number"),
    "a loss alone": (', {"near": (jnp.abs(off) < 0.1).sum()}', "", "gave float32[], not the mean loss and a dict"),
    "a measure that is a vector": ("< 0.1).sum()", "< 0.1)", "gave near bool[4], not one number"),
    "a measure that is missing": ('{"near": ', '{"far": ', "gave no near, which is among Line.measures"),
    "a loss of whole numbers": ("return (off**2).mean()", "return (off > 0).sum()", "gave a loss of int32"),
    "NaN at the start": (
        "return (off**2).mean()",
        "return jnp.log(-(off**2).mean())",
        "of the initial parameters and the first mini-batch",
    ),
    "no gradient": ("off = params[0] + params[1] * x - y", "off = x - y", "has no gradient"),
    "a loss that fails": ("off = params[0]", "off = params[2:].reshape(7)", "failed in line"),
    "parameters that are whole numbers": (
        "generator.normal(size=2)",
        "generator.integers(9, size=2)",
        "there is no array",
    ),
    "parameters that are not finite": ("generator.normal(size=2)", "np.full(2, np.nan)", "not finite"),
    "init that fails": ("generator.normal(size=2)", "generator.normal(size=-2)", "failed in line"),
    "load that fails": ("x = np.linspace(-1, 1, 80)", "x = np.load('nowhere.npy')", "failed in line"),
    "a measure without a value": (
        "if_diverged=9.0",
        "if_diverged=float('nan')",
        "not a Measure with finite if_diverged",
    ),
    "a measure of an odd name": ('"near"', '"Near it"', "not a word of small letters"),
    "no measures": (
        '{"loss": Measure(higher_is_better=False, if_diverged=9.0), "near": Measure(True, 0.0)}',
        "{}",
        "is empty",
    ),
}


@pytest.mark.kind("a problem of a user's with a mistake in it")
@pytest.mark.parametrize("what", MISTAKES)
def test_a_mistake_names_its_function_and_leaves_nothing(command: Command, here: Path, what: str) -> None:
    before, after, says = MISTAKES[what]
    assert before in LINE
    (here / "line.py").write_text(LINE.replace(before, after))
    code, _, err = command("run", *WORDS, "--out", "out")
    assert code != 0
    assert says in err
    assert "Line." in err
    assert not list(here.glob("out/runs/*"))


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ("@problem\n", "", "is not under @problem"),
        ("    def loss(self, params, batch)", "    def losses(self, params, batch)", "Line has no loss"),
        ("def loss(self, params, batch)", "def loss(self, params)", "cannot be called with params, batch"),
        ("class Line(Problem)", "class Line", "is no problem"),
        (
            "slope: float = quantity(-10, 10, default=2.0",
            "slope: float = quantity(3, 10, default=2.0",
            "the default of slope",
        ),
    ],
)
def test_a_class_that_cannot_be_used_is_refused(
    command: Command, here: Path, before: str, after: str, says: str
) -> None:
    assert before in LINE
    (here / "line.py").write_text(LINE.replace(before, after))
    code, _, err = command("run", *WORDS, "--out", "out")
    assert code == 2
    assert says in err
    assert not (here / "out").exists()
