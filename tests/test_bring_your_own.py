"""What a user brings in a file, or in a package, is used like what is shipped; mistakes in it are shown."""

from __future__ import annotations

import json
import linecache
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, make_dataclass, replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pandas as pd
import pytest
import reference
from test_methods import Case, Method, agree

from agn_bench.analysis import comparison
from agn_bench.base import named
from agn_bench.base.inputs import BadInput
from agn_bench.base.named import Named
from agn_bench.base.quantities import choice, quantity
from agn_bench.base.user_code import UserCodeError
from agn_bench.cli.base import completion
from agn_bench.clock import draw_delays, load_profile
from agn_bench.clock.distributions import DISTRIBUTIONS
from agn_bench.clock.profile_files import as_toml
from agn_bench.clock.stops import Stop
from agn_bench.config import options, resolving
from agn_bench.config.experiment import read_experiment_file
from agn_bench.config.resolving import resolve
from agn_bench.config.run import RunConfig
from agn_bench.execution.one import load_once
from agn_bench.optimizers import OPTIMIZERS, Optimizer, as_pytree
from agn_bench.problems import shares
from agn_bench.problems.catalogue import SPLITS
from agn_bench.problems.datasets import Dataset
from agn_bench.store import folder
from agn_bench.training.simulate import simulate

Command = Callable[..., tuple[int, str, str]]

MINE = '''
"""Commits that count less the staler they are, by a law of one's own."""

import jax

from agn_bench.optimizers import Optimizer, optimizer, quantity


@optimizer
class Mine(Optimizer):
    """c ← c + Δ (1 + β τ)^−p; the worker goes on from the new center."""

    beta: float = quantity(0, 10, default=1.0, help="How much staleness counts.")
    power: float = quantity(0, 4, default=0.5, help="By which power.")

    def commit(self, server, worker, commit):
        weight = (1 + self.beta * commit.staleness) ** -self.power
        new = jax.tree.map(lambda c, s, e: c + weight * (e - s), server.center, commit.start, worker.params)
        return server._replace(center=new), worker
'''
UNIFORM = '''
from dataclasses import dataclass

from agn_bench.clock.distributions import Distribution, Moments
from agn_bench.base.quantities import positive, quantity


@dataclass(frozen=True)
class Uniform(Distribution):
    """Evenly spread around the mean."""

    mean: float = positive("Seconds, on average.")
    spread: float = quantity(0, 1, default=0.5, help="By how much of the mean a time is off at most.")

    def moments(self):
        return Moments(self.mean, (self.mean * self.spread) ** 2 / 3)

    def draw(self, generator, count):
        return self.mean * (1 + self.spread * (2 * generator.random(count) - 1))
'''
LAWS = (
    MINE.replace("optimizer, quantity", "choice, optimizer, quantity")
    .replace(
        "    power: float",
        '    law: str = choice("power", "inverse", default="power", help="By which law.")\n    power: float',
    )
    .replace("weight = ", 'raised = self.power if self.law == "power" else 1\n        weight = ')
    .replace("-self.power", "-raised")
)
"""The same with a word to choose, which an `if` asks for."""
SIDED = (
    UNIFORM.replace("import positive", "import choice, positive")
    .replace(
        "    spread: float",
        '    side: str = choice("both", "later", help="To which side of the mean.")\n    spread: float',
    )
    .replace("(2 * generator", '((1 if self.side == "later" else 2) * generator')
    .replace("- 1))", '- (self.side == "both")))')
)
TINY = {"model": "mlp-8", "batch_size": 8, "workers": 4, "local_steps": 3, "gradient_steps": 120, "window": 2}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """In a folder with the files above."""
    (tmp_path / "my.py").write_text(MINE)
    (tmp_path / "times.py").write_text(UNIFORM)
    monkeypatch.chdir(tmp_path)
    for name in ("my.py", "times.py", "split.py", "whole.py"):  # of other tests: a process of its own knows one
        linecache.cache.pop(name, None)
    return tmp_path


def words(**given: object) -> list[object]:
    return [word for name, value in given.items() for word in ("--" + name.replace("_", "-"), value)]


# --- an optimizer ---


def test_an_optimizer_in_a_file_trains_as_its_equation_says(tiny: Dataset, quick_dataset: str) -> None:
    """With β = 1 and p = 1 it is DynSGD, but for how a division is rounded."""

    def center(optimizer: str) -> Any:
        config = resolve({**TINY, "dataset": quick_dataset, "optimizer": optimizer})
        return simulate(config, load_once(config.trains, None)).replay.center

    mine, dynsgd, other = map(center, ("my.py:Mine:power=1", "dynsgd", "my.py:Mine:power=1:beta=2"))

    def distance(a: Any, b: Any) -> float:
        return max(float(np.abs(x - y).max()) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True))

    assert distance(mine, dynsgd) < 1e-5 < 1e-3 < distance(other, dynsgd)


def test_one_file_is_run_listed_tabled_and_told_apart(command: Command, quick_dataset: str, here: Path) -> None:
    code, out, _ = command("list", "my.py:Mine")
    assert code == 0
    for text in ("c ← c + Δ (1 + β τ)^−p", "beta", "How much staleness counts", "a number from 0 to 10", "0.5"):
        assert text in out
    for optimizer in ("my.py:Mine", "my.py:Mine:beta=2"):
        code, out, err = command("run", *words(optimizer=optimizer, dataset=quick_dataset, **TINY), "--out", "out")
        assert (code, err) == (0, "")
        assert "Mine: 4 workers" in out
    rows = pd.read_csv("out/summary.csv").sort_values("beta")
    assert rows["beta"].tolist() == [1.0, 2.0]
    assert rows["power"].tolist() == [0.5, 0.5]
    assert rows["optimizer"].nunique() == 1
    assert all(name.startswith("Mine-n4-l3-s0-") for name in rows["run_id"])
    code, out, err = command("table", "out")
    assert (code, err) == (0, "")
    assert "Mine, beta 1" in out.replace("\n", " ")
    assert "Mine, beta 2" in out.replace("\n", " ")
    config = json.loads(next(Path("out/runs").glob("*/run.json")).read_text())
    assert "my.py:Mine:beta=" in config["command"]
    assert str(here) not in json.dumps(config)


EXPERIMENT = """
name = "mine"
[base]
model = "mlp-8"
batch_size = 8
workers = 4
local_steps = 3
gradient_steps = 120
[[cells]]
optimizer = ["my.py:Mine:beta=0", "my.py:Mine", "agn"]
delay = "step.distribution=times.py:Uniform"
"""


def test_a_file_travels_to_the_processes_of_a_sweep(command: Command, here: Path) -> None:
    """Paths count from the experiment's file, also those in settings of delays."""
    (here / "deep").mkdir()
    for name in ("my.py", "times.py"):
        (here / name).rename(here / "deep" / name)
    (here / "deep" / "mine.toml").write_text(EXPERIMENT)
    code, out, err = command("sweep", "deep/mine.toml", "--jobs", 2, "--threads", 2, "--out", "out")
    assert (code, err) == (0, "")
    assert "3 runs made, 0 found finished, 0 failed" in out
    code, out, err = command(
        "sweep", "deep/mine.toml", "--threads", 2, "--out", "out", "--only", "optimizer=my.py:Mine"
    )
    assert (code, err) == (0, "")
    assert "0 runs made, 2 found finished, 0 failed" in out


def test_a_file_that_changes_between_two_sweeps_is_another_optimizer(
    command: Command, quick_dataset: str, here: Path
) -> None:
    (here / "mine.toml").write_text(EXPERIMENT.replace("model =", f'dataset = "{quick_dataset}"\nmodel ='))
    again = ("sweep", "mine.toml", "--threads", 2, "--jobs", 1, "--out", "out")
    assert "3 runs made" in command(*again)[1]
    (here / "my.py").write_text(MINE + "\n# a word more\n")
    assert "2 runs made, 1 found finished, 0 failed" in command(*again)[1]
    rows = pd.read_csv("out/summary.csv")
    assert rows["in_experiment"].sum() == 3
    assert sorted(rows["optimizer"].str.startswith("my-")) == [False] + 4 * [True]
    assert rows["optimizer"].nunique() == 3


def test_a_configuration_needs_its_file_no_more(here: Path) -> None:
    config = resolve({**TINY, "optimizer": "my.py:Mine:beta=2", "delay": ["step.distribution=times.py:Uniform"]})
    sent = pickle.dumps(config)
    (here / "my.py").unlink()
    (here / "times.py").unlink()
    code = (
        "import pickle, sys; config = pickle.load(sys.stdin.buffer); "
        "print(config.run_id, config.optimizer.thing.beta, config.delays.step.spread, 'jax' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code], input=sent, capture_output=True, check=True)
    assert ran.stdout.decode().split() == [config.run_id, "2.0", "0.5", "True"]


def test_a_run_is_made_like_another_of_a_users_file_when_the_file_is_given(here: Path) -> None:
    like = resolve({**TINY, "optimizer": "my.py:Mine:beta=2"})
    with pytest.raises(BadInput, match=r"a user's file.*as in my\.py:Mine:beta=2\.0"):
        resolve({}, like.as_dict())
    assert resolve({"optimizer": "my.py:Mine:beta=2"}, like.as_dict()) == like


WHOLE = '''
import jax.numpy as jnp

from agn_bench.optimizers import Optimizer, Rules, each, optimizer, quantity, zeros


@optimizer
class Whole(Optimizer):
    """A step along the mean of a few commits, with momentum; workers look ahead, and are held where they began."""

    group: int = quantity(1, 100, whole=True, default=2, help="Commits that make a version.")
    momentum: float = quantity(0, 1, default=0.5, help="Share of the center's last step that is taken again.")
    hold: float = quantity(0, 10, default=0.25, help="How much a worker is held back, times its phases.")

    def rules(self, workers):
        return Rules(quorum=self.group, drop_at=3)

    def init(self, center, workers):
        return {"sum": zeros(center), "step": zeros(center)}

    def init_worker(self, center):
        return jnp.int32(0)

    def commit(self, server, worker, commit):
        total = each(lambda t, s, e: t + (e - s), server.memory["sum"], commit.start, worker.params)
        return server._replace(memory={**server.memory, "sum": total}), worker._replace(memory=worker.memory + 1)

    def version(self, server):
        step = each(lambda v, t: self.momentum * v + t / self.group, server.memory["step"], server.memory["sum"])
        return server._replace(center=each(jnp.add, server.center, step), memory={"sum": zeros(step), "step": step})

    def reply(self, server, worker):
        return worker._replace(params=each(lambda c, v: c + self.momentum * v, server.center, server.memory["step"]))

    def gradient(self, gradient, params, start, memory):
        return each(lambda g, x, s: g + self.hold * memory * (x - s), gradient, params, start)
'''
"""With all that an optimizer may have."""


class PlainWhole(reference.Plain):
    """The same, written plainly."""

    def __init__(self, group: int) -> None:
        self.group = group

    def begin(self, initial: Any, workers: int) -> None:
        super().begin(initial, workers)
        self.sum = self.step = reference.combine(np.zeros_like, initial)
        self.phases = [0] * workers

    def commit(self, worker: int, start: Any, end: Any, staleness: int, local_steps: int) -> None:
        self.sum = reference.combine(lambda t, s, e: t + e - s, self.sum, start, end)
        self.phases[worker] += 1

    def version(self) -> None:
        self.step = reference.combine(lambda v, t: 0.5 * v + t / self.group, self.step, self.sum)
        self.center = reference.combine(np.add, self.center, self.step)
        self.sum = reference.combine(np.zeros_like, self.sum)

    def reply(self, worker: int, end: Any) -> Any:
        return reference.combine(lambda c, v: c + 0.5 * v, self.center, self.step)

    def gradient(self, worker: int, gradient: Any, here: Any, start: Any) -> Any:
        factor = 0.25 * self.phases[worker]
        return reference.combine(lambda g, x, s: g + factor * (x - s), gradient, here, start)


@pytest.mark.parametrize(("group", "together"), [(2, False), (2, True), (4, False), (4, True)])
def test_an_optimizer_with_all_moments_does_what_it_says(here: Path, tiny: Dataset, group: int, together: bool) -> None:
    """Also with phases batched, as on a GPU, and a version of all that are made in one call; memories too."""
    (here / "whole.py").write_text(WHOLE)
    text = f"whole.py:Whole:group={group}"
    rules = OPTIMIZERS.choose(text).thing.rules(8)
    case = Case(tiny, draw_delays(load_profile("stragglers"), 0, 8, 9, 2), rules, Stop())
    assert group == 4 or not case.timeline.accepted.all()
    agree(
        case,
        Method(
            text,
            lambda workers: PlainWhole(group),
            lambda known: {"step": known["step"], "sum": known["sum"]},
            lambda known, worker: np.int32(known["phases"][worker]),
        ),
        together=together,
    )


def test_an_optimizer_with_all_moments_travels_to_processes(command: Command, here: Path) -> None:
    (here / "whole.py").write_text(WHOLE)
    (here / "mine.toml").write_text(
        EXPERIMENT.replace("gradient_steps = 120", "seconds = 30").replace(
            '["my.py:Mine:beta=0", "my.py:Mine", "agn"]', '["whole.py:Whole", "whole.py:Whole:group=3:momentum=0"]'
        )
    )
    code, out, err = command("sweep", "mine.toml", "--jobs", 2, "--threads", 2, "--out", "out")
    assert (code, err) == (0, "")
    assert "2 runs made, 0 found finished, 0 failed" in out
    rows = pd.read_csv("out/summary.csv").sort_values("group")
    assert rows["group"].tolist() == [2, 3]
    assert rows["versions"].tolist() == [
        (made - dropped) // group for made, dropped, group in rows[["exchanges", "dropped", "group"]].values
    ]
    assert (rows["sim_time_s"] == 30).all()


MOMENTS = {
    "init fails": ("return {", "return {**workers, ", "init(center: [{biases: float32[8]", "failed in whole.py"),
    "init_worker fails": ("return jnp.int32(0)", "return jnp.int(0)", "init_worker(center: [", "failed in whole.py"),
    "memory of a worker changes its type": (
        "memory=worker.memory + 1", "memory=worker.memory + 0.5", "commit(server: ", "memory: float32[]}), not ",
    ),
    "memory of the server changes its shape": (
        '"sum": total}), worker', '"sum": total[:1]}), worker', "commit(server: ", "gave ({center: ",
    ),
    "memory of the server changes its structure": (
        '"step": step})', '"steps": step})', "version(server: ", "steps: [{biases: float32[8]",
    ),
    "a center of another shape": ("center=each(jnp.add, server.center, step)", "center=step[0]", "version(", "gave "),
    "reply forgets the memory": (
        "return worker._replace(params=each(", "return worker._replace(memory=(), params=each(", "reply(server: ",
        "memory: ()}, not ",
    ),
    "a gradient of one number": (
        "return each(lambda g, x, s: g + self.hold * memory * (x - s), gradient, params, start)",
        "return each(lambda g: g.sum(), gradient)", "gradient(gradient, params and start: ", "biases: float32[]",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", MOMENTS)
def test_a_mistake_in_a_moment_names_its_function(command: Command, quick_dataset: str, here: Path, what: str) -> None:
    before, after, function, says = MOMENTS[what]
    (here / "whole.py").write_text(mistake(WHOLE, before, after))
    code, _, err = command("run", *words(optimizer="whole.py:Whole", dataset=quick_dataset, **TINY), "--out", "out")
    assert code == 1
    assert err.startswith(f"agn-bench: Whole.{function}")
    assert says in err
    assert not (here / "out" / "summary.csv").exists()


ASKS = "return Rules(quorum=self.group, drop_at=3)"
UNRULY = {
    "a quorum that never comes": (
        "return Rules(quorum=9, waits=True)", 2,
        "hold=0.25: workers that wait for a quorum of 9, with 4 workers; accepted: a quorum up to 4",
    ),
    "no quorum": ("return Rules(quorum=0)", 2, "hold=0.25: a quorum of 0, with 4 workers; accepted: a whole number of"),
    "cancels without drop_at": ("return Rules(cancels=True)", 2, "cancels without drop_at, with 4 workers"),
    "raises": ("return Rules(quorum=workers / 0)", 1, "Whole.rules(4) failed in whole.py:\n  File \"whole.py\", line "),
    "unknown": ("return Rules(quota=2)", 1, "unexpected keyword argument 'quota'"),
    "something else": ("return {\"quorum\": 2}", 1, "Whole.rules(4) gave"),
    "nothing": ("pass", 1, "Whole.rules(4) gave None, not Rules(…)"),
}  # fmt: skip


@pytest.mark.parametrize("what", UNRULY)
def test_rules_that_cannot_be_kept_are_refused(command: Command, quick_dataset: str, here: Path, what: str) -> None:
    given, exit_code, says = UNRULY[what]
    (here / "whole.py").write_text(mistake(WHOLE, ASKS, given))
    code, _, err = command("run", *words(optimizer="whole.py:Whole", dataset=quick_dataset, **TINY), "--out", "out")
    assert code == exit_code
    assert says in err
    assert not (here / "out").exists()


def test_shipped_rules_that_cannot_be_kept_are_refused(command: Command) -> None:
    code, _, err = command("run", "--optimizer", "local-sgd:backups=40", "--workers", 40)
    assert code == 2
    assert err == (
        "agn-bench: --optimizer local-sgd:backups=40: a quorum of 0, with 40 workers; "
        "accepted: a whole number of commits from 1\n"
    )


OWN_CLOCK = (
    WHOLE.replace(f"    def rules(self, workers):\n        {ASKS}\n\n", "")
    .replace("@optimizer", "from agn_bench.clock.events import simulate_timeline\n\n\n@optimizer")
    .replace(
        "    def init(self",
        "    def timeline(self, draws, rules, stop):\n"
        "        return simulate_timeline(draws, Rules(quorum=self.group, drop_at=2), stop)\n\n    def init(self",
        1,
    )
)
"""The same with a clock of its own, which no rules say."""


def test_an_optimizer_may_have_a_clock_of_its_own(command: Command, quick_dataset: str, here: Path) -> None:
    (here / "whole.py").write_text(OWN_CLOCK)
    given = words(optimizer="whole.py:Whole", dataset=quick_dataset, **{**TINY, "gradient_steps": 300})
    for work in ((), ("--seconds", 40)):
        code, _, err = command("run", *given, *work, "--out", "out")
        assert (code, err) == (0, "")
    for commits in map(pd.read_csv, Path("out/runs").glob("*/commits.csv")):
        np.testing.assert_array_equal(commits["accepted"], commits["staleness"] < 2)
        np.testing.assert_array_equal(commits["version"], commits["accepted"].cumsum() // 2)
    assert commits["accepted"].min() == 0
    (here / "whole.py").write_text(
        mistake(OWN_CLOCK, "return simulate_timeline(draws", "return list(draws.phases); (draws")
    )
    code, _, err = command("run", *given, "--out", "other")
    assert code == 1
    assert err.startswith("agn-bench: Whole.timeline(draws of 4 workers, Rules(")
    assert "gave list, not a Timeline" in err
    (here / "whole.py").write_text(mistake(OWN_CLOCK, "drop_at=2)", "drop=2)"))
    code, _, err = command("run", *given, "--out", "other")
    assert (code, "failed in whole" in err, "unexpected keyword argument 'drop'" in err) == (1, True, True)


# --- a choice among words ---


def test_a_word_is_chosen_and_has_a_column_and_runs_of_its_own(
    command: Command, quick_dataset: str, here: Path
) -> None:
    """The power 1 is the inverse law, but for how it is rounded. The word not given is the default."""
    (here / "my.py").write_text(LAWS)
    given = {**TINY, "dataset": quick_dataset}
    for law in ("", ":law=power", ":law=inverse", ":power=1"):
        code, _, err = command("run", *words(optimizer=f"my.py:Mine{law}", **given), "--save-center", "--out", "out")
        assert (code, err) == (0, "")
    rows = pd.read_csv("out/summary.csv").sort_values(["law", "power"])
    assert rows[["law", "power"]].values.tolist() == [["inverse", 0.5], ["power", 0.5], ["power", 1.0]]
    inverse, other, power = (np.load(f"out/runs/{name}/center.npz")["weights_0"] for name in rows["run_id"])
    assert np.abs(inverse - power).max() < 1e-5 < 1e-3 < np.abs(inverse - other).max()
    made = [json.loads(Path(f"out/runs/{name}/run.json").read_text()) for name in rows["run_id"]]
    assert [run["config"]["optimizer"].partition("Mine:")[2] for run in made] == [
        "beta=1.0:law=inverse:power=0.5",
        "beta=1.0:law=power:power=0.5",
        "beta=1.0:law=power:power=1.0",
    ]
    assert "my.py:Mine:beta=1.0:law=inverse:power=0.5" in made[0]["command"]
    assert "Mine, inverse" in command("table", "out")[1].replace("\n", " ")
    listed = " ".join(command("list", "my.py:Mine")[1].replace("│", " ").split())
    assert "law By which law one of power or inverse power" in listed


def test_a_word_that_is_none_of_them_is_refused(command: Command, here: Path) -> None:
    (here / "my.py").write_text(LAWS.replace("beta: float", "gamma: float").replace("beta", "gamma"))
    accepted = "accepted: law, one of power or inverse"
    for word, says in {
        "inverted": f"law is unknown, did you mean inverse?; {accepted}",
        "": f"law is unknown; {accepted}",
        "Power": f"law is unknown, did you mean power?; {accepted}",
        "1": f"law is unknown; {accepted}",
    }.items():
        code, _, err = command("run", "--optimizer", f"my.py:Mine:law={word}")
        assert (code, err) == (2, f"agn-bench: --optimizer my.py:Mine:law={word}: {says}\n")


def test_an_example_of_a_choice_is_one_of_its_words(command: Command, here: Path) -> None:
    (here / "my.py").write_text(
        LAWS.replace("    beta: float", "    beta: float = 1.0 #").replace("\n    beta", "\n    #")
    )
    assert "as in Mine:law=power" in command("run", "--optimizer", "my.py:Mine:inverse")[2]


def test_a_word_compiles_and_is_no_leaf(here: Path, quick_dataset: str) -> None:
    (here / "my.py").write_text(LAWS)
    given = {**TINY, "dataset": quick_dataset}
    one, other, inverse = (
        resolve({**given, "optimizer": f"my.py:Mine{chosen}"}) for chosen in ("", ":beta=2", ":law=inverse")
    )
    assert one.program == other.program != inverse.program
    (beta, power), structure = jax.tree.flatten(as_pytree(inverse.optimizer.thing))
    assert (beta, power) == (1.0, 0.5)
    assert structure != jax.tree.structure(as_pytree(one.optimizer.thing))
    assert jax.tree.unflatten(structure, (2.0, 0.25)).law == "inverse"


def test_a_sweep_goes_over_words_and_selects_by_them(command: Command, quick_dataset: str, here: Path) -> None:
    (here / "my.py").write_text(LAWS)
    (here / "mine.toml").write_text(
        EXPERIMENT.replace("Mine:beta=0", "Mine:law=inverse").replace(
            "model =", f'dataset = "{quick_dataset}"\nmodel ='
        )
    )
    code, out, _ = command("sweep", "mine.toml", "--only", "law=inverse", "--jobs", 1, "--threads", 2, "--out", "out")
    assert (code, "1 runs made" in out) == (0, True)
    assert pd.read_csv("out/summary.csv")["law"].tolist() == ["inverse"]
    (here / "mine.toml").write_text(EXPERIMENT.replace("Mine:beta=0", "Mine:law=invers"))
    assert (
        "line 10, optimizer = my.py:Mine:law=invers: law is unknown, did you mean" in command("sweep", "mine.toml")[2]
    )


TIMES = '[step]\ndistribution = "times.py:Uniform"\nmean = 2\n'


def test_a_word_of_a_distribution_stands_in_its_table(here: Path) -> None:
    (here / "times.py").write_text(SIDED)
    (here / "mine.toml").write_text(TIMES + 'side = "later"\n')
    later = load_profile("mine.toml")
    assert draw_delays(later, 0, 2, 50, 1).compute.min() >= 2
    assert later.as_dict()["step"]["side"] == "later"
    assert 'side = "later"' in as_toml(later)
    set_over = load_profile("mine.toml", ["step.side=both"])
    assert draw_delays(set_over, 0, 2, 50, 1).compute.min() < 2
    for settings in (["step.side=later"], ['step.side="later"'], ["step.distribution=times.py:Uniform:side=later"]):
        assert load_profile("ideal", ["step.distribution=times.py:Uniform:side=both", *settings]).step.side == "later"


@pytest.mark.parametrize(
    ("side", "says"),
    [
        ('"latr"', 'line 4, step.side = "latr": unknown, did you mean later?; accepted: one of both or later'),
        ("1", "line 4, step.side = 1: not a word; accepted: one of both or later"),
        ('["both"]', 'line 4, step.side = ["both"]: not a word; accepted: one of both or later'),
        (None, "line 1, step.side: missing; accepted: one of both or later"),
    ],
)
def test_a_wrong_word_in_a_table_is_refused_with_its_line(here: Path, side: str | None, says: str) -> None:
    (here / "times.py").write_text(SIDED)
    (here / "mine.toml").write_text(TIMES + (f"side = {side}\n" if side else ""))
    with pytest.raises(BadInput) as refused:
        load_profile("mine.toml")
    assert str(refused.value) == f"delays=mine.toml, {says}"


@pytest.mark.parametrize("bad", [(), ("one",), ("one", ""), ("one", "two:three"), ("one", "2"), ("one", "my.py")])
def test_a_choice_of_what_cannot_be_told_apart_on_a_command_line_is_refused(bad: tuple[str, ...]) -> None:
    choice("one", "Two-3_4")
    with pytest.raises(ValueError, match="not two or more words"):
        choice(*bad)


def test_a_rate_that_is_a_word_is_not_set_by_the_option_of_numbers(here: Path) -> None:
    rate = 'learning_rate: str = choice("low", "high", default="low", help="Step length.")'
    before = 'learning_rate: float = quantity(1e-30, 1, default=0.01, help="Step length.")'
    (here / "local.py").write_text(mistake(OTHERS["local"], before, rate, "import Local", "import choice, Local"))
    assert resolve({**TINY, "local_optimizer": "local.py:Rms:learning_rate=high"}).local_optimizer.thing.decay == 0.9
    with pytest.raises(BadInput, match="has none; accepted: a local optimizer that has a learning rate"):
        resolve({**TINY, "local_optimizer": "local.py:Rms", "learning_rate": 0.1})


# --- a distribution, speeds, a local optimizer, a data set, a model ---


def test_a_distribution_of_times_in_a_file(command: Command, here: Path) -> None:
    few = ("--workers", 5, "--exchanges", 500, "--out", "out")
    given = ("--delay", "step.distribution=times.py:Uniform:spread=0.25", "--delay", "step.mean=2")
    assert command("timeline", *few, *given)[0] == 0
    commits = pd.read_csv("out/commits.csv")
    steps = int(pd.read_csv("out/timeline.csv")["local_steps"].iloc[0])
    computed = (commits["compute_end_s"] - commits["start_s"]) / steps
    assert 1.5 <= computed.min() < computed.max() <= 2.5
    assert abs(computed.mean() - 2) < 5 * 0.5 / 3**0.5 / (500 * steps) ** 0.5  # five standard errors
    (here / "mine.toml").write_text('[step]\ndistribution = "times.py:Uniform"\nmean = 2\nspread = 0.25\n')
    profile = load_profile("mine.toml")
    assert profile.as_dict()["step"] == {**profile.as_dict()["step"], "mean": 2.0, "spread": 0.25}
    assert profile.as_dict()["step"]["distribution"].startswith("times-")
    assert pickle.loads(pickle.dumps(profile)) == profile


OTHERS = {
    "speeds": '''
from dataclasses import dataclass
import numpy as np
from agn_bench.base.quantities import quantity
from agn_bench.clock.speeds import Speeds

@dataclass(frozen=True)
class Last(Speeds):
    """The last worker is slow."""
    factor: float = quantity(1, 100, help="How slow.")
    def slowness(self, seed, workers):
        return np.array([1.0] * (workers - 1) + [self.factor])
''',
    "local": '''
import optax
from agn_bench.optimizers import LocalOptimizer, optimizer, quantity

@optimizer
class Rms(LocalOptimizer):
    """RMSprop"""
    learning_rate: float = quantity(1e-30, 1, default=0.01, help="Step length.")
    decay: float = quantity(0, 1, default=0.9, help="Share of the old squares that is kept.")
    def transformation(self):
        return optax.rmsprop(self.learning_rate, self.decay)
''',
    "model": "from agn_bench.problems.catalogue import Mlp\nWIDE = Mlp((40, 3))\n",
    "split": '''
from dataclasses import dataclass
import numpy as np
from agn_bench.base.quantities import quantity
from agn_bench.problems.shares import Split

@dataclass(frozen=True)
class Overlap(Split):
    """Neighbours have images in common."""
    width: int = quantity(1, 100, whole=True, default=50, help="Images a worker has.")
    def parts(self, seed, labels, workers):
        drawn = np.random.default_rng(seed).permutation(len(labels))
        labels[:] = 0  # a copy
        return [drawn[10 * worker : 10 * worker + self.width] for worker in range(workers)]
''',
}


def test_speeds_local_optimizers_and_models_in_a_file(command: Command, quick_dataset: str, here: Path) -> None:
    for name, text in OTHERS.items():
        (here / f"{name}.py").write_text(text)
    given = {**TINY, "model": "model.py:WIDE", "local_optimizer": "local.py:Rms:decay=0.5", "dataset": quick_dataset}
    slow = ("--delay", "workers.speeds=speeds.py:Last:factor=3", "--learning-rate", 0.05)
    code, _, err = command("run", *words(**given), *slow, "--save-center", "--out", "out")
    assert (code, err) == (0, "")
    (row,) = pd.read_csv("out/summary.csv").to_dict("records")
    assert (row["learning_rate"], row["local_decay"]) == (0.05, 0.5)
    (center,) = Path("out/runs").glob("*/center.npz")
    assert np.load(center)["weights_1"].shape == (40, 3)
    commits = pd.read_csv(center.with_name("commits.csv")).assign(s=lambda rows: rows.compute_end_s - rows.start_s)
    assert commits[commits["worker"] == 3]["s"].mean() > 2 * commits[commits["worker"] < 3]["s"].mean()


def test_a_data_split_in_a_file(command: Command, quick_dataset: str, here: Path, tiny: Dataset) -> None:
    (here / "split.py").write_text(OTHERS["split"])
    given = {**TINY, "data_split": "split.py:Overlap:width=20", "dataset": quick_dataset}
    config = resolve(given)
    assert config.as_dict()["data_split"] == f"{config.data_split.name}:width=20"
    before = tiny.train_labels.copy()
    assert (before > 0).any()
    dealt = shares.deal(config.data_split.thing, 0, tiny.train_labels, 3, 5, 8)
    drawn = np.random.default_rng(0).permutation(300)
    for worker, images in enumerate(dealt):
        assert sorted(images.ravel()[:20]) == sorted(images.ravel()[20:]) == sorted(drawn[10 * worker :][:20])
    np.testing.assert_array_equal(tiny.train_labels, before)
    code, _, err = command("run", *words(**given), "--out", "out")
    assert (code, err) == (0, "")
    for optimizer, split in (("agn", "mixed"), ("easgd", "dirichlet:concentration=1")):
        assert command("run", *words(**{**given, "optimizer": optimizer, "data_split": split}), "--out", "out")[0] == 0
    rows = pd.read_csv("out/summary.csv").set_index("data_split")
    assert set(rows.index) == {config.data_split.name, "dirichlet", "mixed"}
    assert rows.loc[config.data_split.name, "split_width"] == 20
    assert rows.loc["dirichlet", "split_concentration"] == 1
    assert rows["split_width"].count() == rows["split_concentration"].count() == 1
    runs = comparison.read_runs([Path("out")])
    found = comparison.configurations(runs, runs.measured())
    labels = {configuration.label for configuration in found}
    assert {"agn, mixed", "easgd, dirichlet, split_concentration 1"} < labels


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ("labels[:] = 0", "labels[:] = none", "Overlap.parts(0, labels int32[300], 4) failed in split.py:"),
        ("range(workers)]", "range(3)]", "Overlap.parts(0, labels int32[300], 4) gave 3 parts, not 4"),
        (
            "permutation(len(labels))",
            "permutation(len(labels)) + 299",
            "not a list of images, at least one, from 0 to 299",
        ),
        (
            "permutation(len(labels))",
            "permutation(len(labels)) - 299",
            "not a list of images, at least one, from 0 to 299",
        ),
        ("permutation(len(labels))", "permutation(len(labels)) * 1.0", "gave worker 0 float64[50] from "),
        ("[10 * worker :", "[100 * worker :", "gave worker 1 int64[0], not a list of images, at least one,"),
        ("self.width]", "self.width, None]", "gave worker 0 int64[50, 1] from "),
    ],
)
def test_a_mistake_in_a_data_split(here: Path, tiny: Dataset, before: str, after: str, says: str) -> None:
    (here / "split.py").write_text(mistake(OTHERS["split"], before, after))
    split = SPLITS.choose("split.py:Overlap").thing
    with pytest.raises(UserCodeError) as raised:
        shares.deal(split, 0, tiny.train_labels, 4, 5, 8)
    assert says in str(raised.value)


ODD = '''
import jax
from agn_bench.optimizers import Optimizer, optimizer, quantity

@optimizer
class Odd(Optimizer):
    """Numbers that are called as other columns are, whole, several, and with defaults of another type."""

    workers: float = quantity(0, 10, default=7, help="No number of workers.")
    local_rate: float = quantity(0, 10, default=1, help="No local optimizer's rate.")
    split_rate: float = quantity(0, 10, default=3, help="No data split's rate.")
    repeats: int = quantity(1, 5, default=2, whole=True, help="How often.")
    weights: tuple[float, ...] = quantity(0, 1, default=(1, 0.5), several=True, help="Some.")
    low: float = quantity(0, 1, default=0.25, help="Below high.")
    high: float = quantity(0, 1, default=0.5, help="Above low.")

    def __post_init__(self):
        if self.low > self.high:
            raise ValueError("low is above high")

    def commit(self, server, worker, commit):
        new = server.center
        for _ in range(self.repeats):
            factor = self.low * self.weights[1]
            new = jax.tree.map(lambda c, s, e: c + factor * (e - s), new, commit.start, worker.params)
        return server._replace(center=new), worker
'''


def test_numbers_of_every_form_have_columns_of_their_own(command: Command, quick_dataset: str, here: Path) -> None:
    (here / "odd.py").write_text(ODD)
    given = {**TINY, "dataset": quick_dataset}
    for numbers in ("", ":workers=7.0:local_rate=1:repeats=2:weights=1,.5:low=.25"):  # one run
        code, _, err = command("run", *words(optimizer=f"odd.py:Odd{numbers}", **given), "--out", "out")
        assert (code, err) == (0, "")
    (row,) = pd.read_csv("out/summary.csv").to_dict("records")
    assert (row["workers"], row["optimizer_workers"], row["optimizer_local_rate"]) == (4, 7.0, 1.0)
    assert (row["optimizer_split_rate"], row["repeats"], row["weights"]) == (3.0, 2, "1.0,0.5")
    code, _, err = command("run", *words(optimizer="odd.py:Odd:low=0.9", **given), "--out", "out")
    assert (code, "Odd refuses its numbers (ValueError: low is above high)" in err) == (2, True)
    assert '  File "odd.py", line ' in err


def test_a_whole_number_compiles_and_others_do_not(here: Path, tiny: Dataset, quick_dataset: str) -> None:
    (here / "odd.py").write_text(ODD)
    given = {**TINY, "dataset": quick_dataset}
    one, other, more = (
        resolve({**given, "optimizer": f"odd.py:Odd{numbers}"}) for numbers in ("", ":low=0.1", ":repeats=3")
    )
    assert one.program == other.program != more.program


def test_a_distribution_derived_from_a_shipped_one_is_itself(here: Path) -> None:
    """Not what the law of its parent's sum is."""
    (here / "late.py").write_text(
        "from dataclasses import dataclass\n"
        "from agn_bench.clock.distributions import Gamma, Moments\n"
        "@dataclass(frozen=True)\nclass Late(Gamma):\n"
        '    """A gamma, a hundred seconds later."""\n'
        "    def moments(self):\n        return Moments(self.mean + 100, (self.mean * self.cv) ** 2)\n"
        "    def draw(self, generator, count):\n        return 100 + super().draw(generator, count)\n"
    )
    profile = load_profile("ideal", ["step.distribution=late.py:Late:mean=1:cv=0.1"])
    assert draw_delays(profile, 0, 2, 3, 4).compute.min() > 400


def test_a_run_of_users_files_is_made_like_another(command: Command, quick_dataset: str, here: Path) -> None:
    given = {**TINY, "dataset": quick_dataset, "optimizer": "my.py:Mine:beta=2"}
    assert command("run", *words(**given), "--out", "out")[0] == 0
    (run_folder,) = Path("out/runs").iterdir()
    again = ("run", "--like", run_folder, "--out", "out")
    code, _, err = command(*again)
    assert (code, "the file, as in my.py:Mine:beta=2.0" in err) == (2, True)
    code, out, err = command(*again, "--optimizer", "my.py:Mine:beta=2")
    assert (code, err, "not repeated" in out) == (0, "", True)


# --- a package ---


@pytest.fixture
def package(here: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """One that adds the optimizer under the name `theirs`, as installed."""
    (here / "their_package.py").write_text(MINE)
    (here / "broken_package.py").write_text("import nothing_like_it\n")
    about = here / "theirs-1.2.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.2\n")
    added = "theirs = their_package:Mine\nbroken = broken_package:Mine\n"
    (about / "entry_points.txt").write_text(f"[agn_bench.optimizers]\n{added}")
    monkeypatch.syspath_prepend(str(here))
    named.added_to.cache_clear()
    yield
    named.added_to.cache_clear()


def test_another_package_adds_an_optimizer(command: Command, quick_dataset: str, package: None) -> None:
    code, _, err = command("run", *words(optimizer="theirs:beta=2", dataset=quick_dataset, **TINY), "--out", "out")
    assert (code, err) == (0, "")
    (row,) = pd.read_csv("out/summary.csv").to_dict("records")
    assert (row["optimizer"], row["beta"]) == ("theirs", 2.0)
    made = json.loads(next(Path("out/runs").glob("*/run.json")).read_text())
    assert made["machine"]["versions"]["theirs"] == "1.2"
    assert "theirs" in command("list", "theirs")[1]
    assert completion(OPTIMIZERS)("th") == ["theirs"]
    code, _, err = command("run", "--optimizer", "broken", "--out", "out")
    assert (code, "its package cannot be loaded (ModuleNotFoundError" in err) == (2, True)
    assert "did you mean theirs?" in command("run", "--optimizer", "their")[2]


# --- mistakes ---


def mistake(text: str, *changes: str) -> str:
    for before, after in zip(changes[::2], changes[1::2], strict=True):
        assert before in text
        text = text.replace(before, after)
    return text


SIGNATURE = "def commit(self, server, worker, commit):"
WRONG = {
    "does not import": (
        mistake(MINE, "import jax\n", "import jaxx\n"),
        "cannot be loaded (ModuleNotFoundError: No module named 'jaxx')|  File \"my.py\", line 4, in <module>",
    ),
    "is no Python": (mistake(MINE, "class Mine(", "clas Mine("), "SyntaxError: invalid syntax|File \"my.py\", line 10"),
    "fails while it is loaded": (MINE + "\n1 / 0\n", "ZeroDivisionError: division by zero"),
    "ends the program": (MINE + "\nraise SystemExit(3)\n", "SystemExit"),
    "has no such class": (mistake(MINE, "class Mine(", "class Yours("), "my.py has no Mine; accepted: my.py:Yours"),
    "is another kind of thing": (mistake(MINE, "class Mine(Optimizer)", "class Mine"), "Mine is no optimizer"),
    "has no decorator": (mistake(MINE, "@optimizer\n", ""), "Mine is not under @optimizer"),
    "has no function": (mistake(MINE, "def commit", "def committed"), "Mine has no commit"),
    "has another signature": (
        mistake(MINE, SIGNATURE, "def commit(self, server, worker):"),
        "Mine.commit(self, server, worker) cannot be called with server, worker, commit",
    ),
    "has a number without limits": (
        mistake(MINE, 'quantity(0, 10, default=1.0, help="How much staleness counts.")', "1.0"),
        "its field beta does not say what it takes; accepted: beta: float = quantity(low, high",
    ),
    "has a default out of its limits": (mistake(MINE, "default=1.0", "default=11"), "the default of beta is too large"),
    "has a default that is not finite": (
        mistake(MINE, "default=1.0", 'default=float("nan")'), "the default of beta is not a finite number",
    ),
    "has a default that is none of the words": (
        mistake(LAWS, 'default="power"', 'default="powers"'),
        "the default of law is unknown, did you mean power?; accepted: one of power or inverse",
    ),
    "has a default that is no word": (
        mistake(LAWS, 'default="power"', "default=1"), "the default of law is not a word; accepted: one of power or",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_a_mistake_that_is_seen_when_the_file_is_read(command: Command, here: Path, what: str) -> None:
    text, says = WRONG[what]
    (here / "my.py").write_text(text)
    code, out, err = command("run", "--optimizer", "my.py:Mine", "--out", "out")
    assert (code, out) == (2, "")
    assert err.startswith("agn-bench: --optimizer my.py:Mine: ")
    for part in says.split("|"):
        assert part in err
    assert "agn_bench/" not in err  # of the traceback only what is the user's
    assert not Path("out").exists()


def test_a_file_that_computes_while_it_is_loaded_is_refused(here: Path) -> None:
    """It would start JAX before threads and device are set."""
    (here / "my.py").write_text(MINE + "\nSTART = jax.numpy.zeros(3)\n")
    ran = subprocess.run(
        [sys.executable, "-m", "agn_bench", "run", "--optimizer", "my.py:Mine"], capture_output=True, text=True
    )
    assert ran.returncode == 2
    assert "my.py computes with JAX while it is loaded" in ran.stderr


@pytest.mark.parametrize(
    ("numbers", "says"),
    [
        ("beta=11", "beta is too large; accepted: beta, a number from 0 to 10"),
        ("beta=-1", "beta is negative"),
        ("beta=inf", "beta is not a finite number"),
        ("beta=nan", "beta is not a finite number"),
        ("beta=x", "beta is not a number"),
        ("gamma=1", "Mine has no gamma; accepted: beta, power"),
        ("beta", "is not NAME=VALUE"),
    ],
)
def test_a_number_that_is_not_accepted(command: Command, numbers: str, says: str) -> None:
    code, _, err = command("run", "--optimizer", f"my.py:Mine:{numbers}")
    assert (code, len(err.splitlines())) == (2, 1)
    assert err.startswith(f"agn-bench: --optimizer my.py:Mine:{numbers}: ")
    assert says in err


ANSWER = "return server._replace(center=new), worker"
FAILS = {
    "raises": (
        "weight = ", "raise KeyError(commit)\n        weight = ", "failed in my.py:|line 17, in commit|KeyError",
    ),
    "ends the program": (ANSWER, "raise SystemExit(0)", "SystemExit: 0"),
    "misuses JAX": (ANSWER, "return server, worker if commit.staleness > 1 else worker", "TracerBoolConversionError"),
    "asks what a number is": (ANSWER, "return server, worker if self.beta else worker", "TracerBoolConversion"),
    "gives one thing": (ANSWER, "return new", "gave [{biases: float32[8], weights: float32[12, 8]}, {biases: float32["),
    "gives other shapes": (
        ANSWER, "return server._replace(center=jax.tree.map(lambda leaf: leaf[:1], new)), worker", "biases: float32[1]",
    ),
    "gives another structure": (ANSWER, "return server, worker._replace(params=new[:1])", "weights: float32[12, 8]}]"),
    "asks what an array is": (ANSWER, "return server, worker._replace(params=jax.tree.map(bool, new))", "ambiguous"),
    "gives other types": (
        ANSWER, "return server._replace(center=jax.tree.map(lambda leaf: leaf > 0, new)), worker", "biases: bool[8]",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", FAILS)
def test_a_mistake_in_a_function_is_shown_with_the_shapes_it_was_called_with(
    command: Command, quick_dataset: str, here: Path, what: str
) -> None:
    before, after, says = FAILS[what]
    (here / "my.py").write_text(mistake(MINE, before, after))
    code, _, err = command("run", *words(optimizer="my.py:Mine", dataset=quick_dataset, **TINY), "--out", "out")
    assert code == 1
    first, *rest = err.splitlines()
    assert first.startswith("agn-bench: Mine.commit(server: {center: [{biases: float32[8], weights: float32[12, 8]}")
    assert "steps: int, staleness: int32[], workers: int32[]" in first
    for part in says.split("|"):
        assert part in err
    assert not rest or rest[0].startswith('  File "my.py", line ')
    assert not (here / "out" / "summary.csv").exists()


def test_a_center_that_is_not_finite_is_a_run_that_diverged(command: Command, quick_dataset: str, here: Path) -> None:
    (here / "my.py").write_text(mistake(MINE, "c + weight", "c / 0 + weight"))
    code, _, err = command("run", *words(optimizer="my.py:Mine", dataset=quick_dataset, **TINY), "--out", "out")
    assert (code, err) == (0, "")
    (row,) = pd.read_csv("out/summary.csv").to_dict("records")
    assert (row["status"], row["diverged_exchange"]) == ("diverged", 0)


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ("generator.random(count)", "generator.random(count + 1)", "Uniform.draw(generator, "),
        ("self.mean * (1 +", "-self.mean * (1 +", "finite numbers of seconds, 0 or more"),
        ("self.mean * (1 +", "self.men * (1 +", "AttributeError: 'Uniform' object has no attribute 'men'"),
    ],
)
def test_a_mistake_in_a_distribution(command: Command, here: Path, before: str, after: str, says: str) -> None:
    (here / "times.py").write_text(mistake(UNIFORM, before, after))
    given = ("--delay", "step.distribution=times.py:Uniform", "--workers", 3, "--exchanges", 50, "--out", "out")
    code, _, err = command("timeline", *given)
    assert code == 1
    assert says in err
    assert not (here / "out" / "timeline.csv").exists()


def test_mistakes_are_problems_of_an_experiment_file(command: Command, here: Path) -> None:
    (here / "my.py").write_text(WRONG["does not import"][0])
    (here / "mine.toml").write_text(EXPERIMENT)
    code, _, err = command("sweep", "mine.toml")
    assert code == 2
    assert "line 10, optimizer = my.py:Mine" in err
    assert "cannot be loaded (ModuleNotFoundError: No module named 'jaxx')" in err


def test_a_sweep_goes_on_without_runs_whose_code_fails(command: Command, quick_dataset: str, here: Path) -> None:
    (here / "my.py").write_text(mistake(MINE, ANSWER, "return new"))
    (here / "mine.toml").write_text(EXPERIMENT.replace("model =", f'dataset = "{quick_dataset}"\nmodel ='))
    code, out, _ = command("sweep", "mine.toml", "--threads", 2, "--jobs", 1, "--out", "out")
    assert (code, "1 runs made, 0 found finished, 2 failed" in out) == (1, True)
    assert "UserCodeError: Mine.commit(" in out
    error = UserCodeError("Mine failed:\n  File")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


# --- completion, names that stay ---


def test_the_shell_completes_names_and_numbers(quick_dataset: str) -> None:
    complete = completion(OPTIMIZERS)
    assert complete("dana") == ["dana", "dana-dc", "dana-slim"]
    assert complete("easgd:") == ["easgd:alpha="]
    assert complete("my.py:Mine:") == ["my.py:Mine:beta=", "my.py:Mine:power="]
    assert complete("my.py:Mine:beta=2:") == ["my.py:Mine:beta=2:power="]
    assert complete("my.py:Mine:beta=") == complete("my.py:Mine:gamma=") == []
    Path("laws.py").write_text(LAWS)
    assert complete("laws.py:Mine:law=") == ["laws.py:Mine:law=power", "laws.py:Mine:law=inverse"]
    assert complete("laws.py:Mine:beta=2:law=i") == ["laws.py:Mine:beta=2:law=inverse"]
    assert complete("laws.py:Mine:law=power:law=") == []
    assert complete("nowhere.py:Mine:") == complete("easgd:alpha=0.1:") == []


def test_a_number_that_comes_later_renames_no_run(monkeypatch: pytest.MonkeyPatch, here: Path) -> None:
    """Where it has its default; elsewhere it is in the name."""
    before = resolve({**TINY, "optimizer": "easgd"})

    @dataclass(frozen=True)
    class Later(OPTIMIZERS["easgd"]):  # type: ignore[misc]
        decay: float = quantity(0, 1, default=0.0, help="New.", later=True)
        rule: str = choice("old", "new", default="old", help="New.", later=True)

    monkeypatch.setitem(OPTIMIZERS.shipped, "easgd", Later)
    assert resolve({**TINY, "optimizer": "easgd"}).run_id == before.run_id
    assert resolve({**TINY, "optimizer": "easgd:decay=0:rule=old"}).run_id == before.run_id
    assert resolve({}, before.as_dict()).run_id == before.run_id
    new = resolve({**TINY, "optimizer": "easgd:decay=0.5"})
    assert (new.run_id == before.run_id, new.optimizer.text) == (False, "easgd:alpha=0.05:decay=0.5")
    assert resolve({**TINY, "optimizer": "easgd:rule=new"}).optimizer.text == "easgd:alpha=0.05:rule=new"


FOUR = Path(__file__).parent.parent / "experiments" / "four-methods.toml"


def test_an_option_that_comes_later_renames_no_run_and_is_everywhere(
    monkeypatch: pytest.MonkeyPatch, command: Command, quick_dataset: str, here: Path
) -> None:
    given = {**TINY, "dataset": quick_dataset}
    before = resolve(given)
    (here / "mine.toml").write_text(
        'name = "mine"\n[base]\ncaution = 2\n[[cells]]\nworkers = [2, 4]\ncaution = [0, 3]\n'
    )
    wider = make_dataclass("Wider", [("caution", int, 0)], bases=(RunConfig,), frozen=True)
    limits = options.Accepted(0, 9, whole=True)
    declared = options.Option("caution", options.Kind.WHOLE, "How careful", options.RUN, 0, limits=limits)
    monkeypatch.setattr(resolving, "RunConfig", wider)
    monkeypatch.setitem(options.OPTIONS, "caution", declared)
    assert resolve(given).run_id == before.run_id
    assert resolve({**given, "caution": "0"}).as_dict() == before.as_dict()
    assert resolve({}, before.as_dict()).run_id == before.run_id
    careful = resolve({**given, "caution": "3"})
    assert (careful.caution, careful.as_dict()["caution"], careful.run_id == before.run_id) == (3, 3, False)
    assert "--caution 3" in careful.command()
    with pytest.raises(BadInput, match="caution=10: too large"):
        resolve({**given, "caution": 10})
    configs = read_experiment_file(here / "mine.toml").configs
    assert [config.caution for config in configs] == [0, 3, 0, 3]
    assert simulate(careful, load_once(careful.trains, None)).config is careful
    committed = folder.known(Path(__file__).parent.parent / "results" / "four-methods")
    assert all(committed.finished(config.run_id) for config in read_experiment_file(FOUR).configs)


def test_every_kind_of_thing_says_what_it_takes() -> None:
    """Each number has a sentence of help, and a default within its limits if it has one."""
    kinds: list[Named[Any]] = [OPTIMIZERS, DISTRIBUTIONS, *(named_ for named_ in _all_named())]
    for kind in kinds:
        for name in kind:
            found = kind[name]
            if isinstance(found, type):
                assert (found.__doc__ or "").strip()
                for number in named.declared_numbers(found).values():
                    assert number.help.endswith(".")
                    values = number.default if number.accepted.several else [number.default]
                    assert number.required or not any(map(number.accepted.problem, values))


def _all_named() -> list[Named[Any]]:
    from agn_bench.cli import catalogue

    return list(catalogue.KINDS.values())


def test_what_is_shipped_is_chosen_without_jax() -> None:
    code = (
        "import sys; from agn_bench.config.resolving import resolve; from agn_bench.cli.catalogue import KINDS; "
        "resolve({'optimizer': 'easgd:alpha=0.1', 'local_optimizer': 'adam'}).run_id; "
        "[kind.found(name) for kind in KINDS.values() for name in kind]; sys.exit('jax' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_base_class_says_how_functions_are_called() -> None:
    assert issubclass(OPTIMIZERS["agn"], Optimizer)
    assert replace(OPTIMIZERS["easgd"](), alpha=0.5).alpha == 0.5
