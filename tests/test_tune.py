"""Tuning: as many trials for every optimizer, whatever stops the search; who is ended early; and the comparison."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import AT_FULL_SIZE
from test_cli import agn_bench

from agn_bench.analysis.measures import Measured
from agn_bench.base import machine
from agn_bench.base.quantities import quantity
from agn_bench.config.resolving import resolve
from agn_bench.config.run import RunConfig
from agn_bench.execution import processes
from agn_bench.execution.one import make
from agn_bench.studies.tuning import sampling
from agn_bench.studies.tuning import search as searching
from agn_bench.studies.tuning.goal import Bound, Goal
from agn_bench.studies.tuning.search import Contestant
from agn_bench.studies.tuning.space import Space
from agn_bench.studies.tuning.trials import COMPLETE, PRUNED, REFUSED, Trial, TrialsFile, least
from agn_bench.training import columns
from agn_bench.training.records import Check, RunResult

pytest.importorskip("optuna", reason="the extra tune")

Command = Callable[..., tuple[int, str, str]]
SMALL: dict[str, object] = {
    "dataset": "tiny", "model": "mlp-8", "workers": 4, "batch_size": 8, "local_steps": 3, "seconds": 8.0, "window": 0.5,
}  # fmt: skip
"""λ is given, so that one program is compiled for each optimizer."""
WORDS = [word for name, value in SMALL.items() for word in (f"--{name.replace('_', '-')}", value)]
FEW, TRIALS = 3, 6
TWO = ("agn", "easgd")
RESULTS = ("trials.csv", "summary.csv", "curves.csv.gz", "experiment.json", "tables/test-accuracy.csv",
           "trials/summary.csv", "trials/curves.csv.gz")  # fmt: skip


class Killed(BaseException):
    """The process is gone."""


_made: dict[str, RunResult] = {}


@pytest.fixture
def made_once(quick_dataset: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each run is trained only once in these tests, and to its end: what its checks would have said they say of the
    whole run, which is the same (see below).
    """

    def once(config: RunConfig, terms: Any, on_progress: Any, checks: Sequence[Check] = ()) -> RunResult:
        if config.run_id not in _made:
            _made[config.run_id] = make(config, terms, on_progress)
        result = _made[config.run_id]
        verdicts = [said for check in checks if (said := check.verdict(columns.curve(result))) is not None]
        ends_itself = result.status == "diverged" or not verdicts
        return result if ends_itself else replace(result, verdict=verdicts[0])

    monkeypatch.setattr(processes, "make", once)


@pytest.fixture
def tune(
    command: Command, made_once: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., pd.DataFrame]:
    """Tune in a folder of this name; the trials, as text. Only a few of them begin without what others have said."""
    for module in (searching, sampling):
        monkeypatch.setattr(module, "STARTUP", FEW)

    def run(name: str, *more: object, optimizers: Sequence[str] = TWO) -> pd.DataFrame:
        line = (*optimizers, *WORDS, "--trials", TRIALS, "--seeds", 2, "--jobs", 1, "--out", tmp_path / name, *more)
        code, out, err = command("tune", *line)
        assert (code, err) == (0, ""), out
        return trials_in(tmp_path / name)

    return run


def trials_in(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "trials.csv", dtype=str, keep_default_na=False)


def results(folder: Path) -> dict[str, bytes]:
    """What is the same whenever it is made."""
    return {name: (folder / name).read_bytes() for name in RESULTS}


# --- the budget, and what is tried ---


def test_every_optimizer_has_as_many_trials_and_the_first_one_has_the_defaults(
    tune: Callable[..., pd.DataFrame], tmp_path: Path
) -> None:
    trials = tune("out")
    assert trials.groupby("optimizer")["trial"].apply(list).to_dict() == {
        name: [str(number) for number in range(1, TRIALS + 1)] for name in TWO
    }
    first = trials[trials["trial"] == "1"]
    assert (first["learning_rate"] == "0.3").all()
    assert dict(zip(first["optimizer"], first["alpha"], strict=True)) == {"agn": "", "easgd": "0.05"}
    assert (trials.groupby("optimizer")["learning_rate"].nunique() == TRIALS).all()
    assert set(trials["state"]) == {COMPLETE, PRUNED}
    assert (trials[trials["trial"].astype(int) <= FEW]["state"] == COMPLETE).all()
    # A complete trial is the mean of its seeds; one that was ended has nothing beyond where it was.
    complete, pruned = (trials[trials["state"] == state] for state in (COMPLETE, PRUNED))
    means = complete[["seed_10000", "seed_10001"]].astype(float).mean(axis=1)
    np.testing.assert_allclose(complete["value"].astype(float), means, rtol=1e-15)
    for row in pruned.to_dict("records"):
        looks = [row[name] for name in trials if re.match("seed_", name)]
        ended = [name for name in trials if re.match("seed_", name)].index(
            f"seed_{row['pruned_seed']}_at_{row['pruned_at_s']}s"
        )
        assert all(looks[: ended + 1]) == (not any(looks[ended + 1 :])) or row["pruned_seed"] == "10001"
        assert not any(looks[ended + 1 :]) and row["value"] == ""

    # The comparison: the best of each, on seeds that no trial had, paired with the first.
    summary = pd.read_csv(tmp_path / "out" / "summary.csv")
    tried = pd.read_csv(tmp_path / "out" / "trials" / "summary.csv")
    assert sorted(set(summary["seed"])) == [0, 1] and not set(summary["seed"]) & set(tried["seed"])
    best = complete.loc[complete["value"].astype(float).groupby(complete["optimizer"]).idxmax()]
    assert set(summary["configuration"]) == set(best["configuration"])
    table = pd.read_csv(tmp_path / "out" / "tables" / "test-accuracy.csv")
    assert set(table["optimizer"]) == set(TWO) and table["area_behind_half_width_95"].notna().sum() == 1
    # Runs that were ended are nowhere, and those of complete trials are in a folder like any other.
    assert len(tried) == 2 * len(complete) + (pruned["pruned_seed"] == "10001").sum()


def test_the_same_seed_gives_the_same_trials_and_another_one_others(
    tune: Callable[..., pd.DataFrame], tmp_path: Path
) -> None:
    one, again = tune("one"), tune("again")
    assert results(tmp_path / "one") == results(tmp_path / "again")
    pd.testing.assert_frame_equal(one, again)
    # Who else is tuned changes nothing, and more trials begin with the same ones.
    alone = tune("alone", optimizers=["easgd"])
    shared = [name for name in one if name in alone]
    easgd = one[one["optimizer"] == "easgd"][shared].reset_index(drop=True)
    pd.testing.assert_frame_equal(alone[shared], easgd)
    more = tune("alone", "--trials", TRIALS + 1, optimizers=["easgd"])
    pd.testing.assert_frame_equal(more[:TRIALS], alone)
    assert len(more) == TRIALS + 1
    other = tune("other", "--sampler-seed", 1, optimizers=["easgd"])
    same = (alone["learning_rate"] == other["learning_rate"]).to_numpy()
    assert same[0] and not same[1:].any()


def test_what_is_given_is_not_searched() -> None:
    free = Space({}, "easgd")
    assert [*free.numbers] == ["local_steps", "alpha", "learning_rate"]
    assert [*Space({"local_steps": 3, "learning_rate": "0.1"}, "easgd:alpha=0.1").numbers] == []
    assert [*Space({"local_optimizer": "adam:learning_rate=0.001"}, "dynsgd").numbers] == ["local_steps"]
    assert [*Space({"local_steps": "auto"}, "diloco").numbers][:2] == ["local_steps", "rate"]
    numbers = {"local_steps": 7, "alpha": 0.2, "learning_rate": 0.01}
    given = resolve({"optimizer": "easgd:alpha=0.2", "local_steps": 7, "learning_rate": 0.01})
    assert free.config(numbers) == given and free.config(numbers).run_id == given.run_id
    assert free.config(free.default) == free.base
    assert Space({"workers": 100, "seconds": 1}, "agn").default["local_steps"] == 64  # auto is beyond what is searched


@pytest.mark.parametrize(
    "search", [(2, 1), (0, 1, "log"), (0.5, 2), (0.1, 0.2, "squared"), (0.2, 0.2), (float("nan"), 1)]
)
def test_a_range_in_which_nothing_can_be_searched_is_an_error_of_the_class(search: Any) -> None:
    with pytest.raises(ValueError, match="search="):
        quantity(0, 1, default=0.5, search=search)
    with pytest.raises(ValueError, match="a list is not searched"):
        quantity(0, 1, default=(0.5,), several=True, search=(0.1, 0.9))


# --- stopped and started again ---


@pytest.mark.kind("a search that is stopped in its middle")
def test_a_search_that_was_killed_again_and_again_ends_the_same(
    tune: Callable[..., pd.DataFrame], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Before a run, before it is written, before its trial is, and before the file of trials is."""
    whole = tune("whole")
    folder = tmp_path / "killed"
    known: list[int] = []
    for owner, name in [(processes, "make"), (searching, "write_run"), (TrialsFile, "add"), (TrialsFile, "write")]:
        calls, real = iter(range(3)), getattr(owner, name)

        def until_killed(*given: object, calls: Any = calls, real: Any = real) -> object:
            if next(calls, None) is None:
                raise Killed
            return real(*given)

        with monkeypatch.context() as killing, pytest.raises(Killed):
            killing.setattr(owner, name, until_killed)
            tune("killed")
        known.append(len(trials_in(folder)))
    assert 0 < known[0] < known[-1] < len(whole) and known == sorted(known)

    kept, finished = trials_in(folder), {run.name for run in (folder / "trials" / "runs").glob("[!.]*")}
    trained = []
    real_make = processes.make
    monkeypatch.setattr(processes, "make", lambda config, *more: (trained.append(config), real_make(config, *more))[1])
    pd.testing.assert_frame_equal(tune("killed"), whole)
    assert results(folder) == results(tmp_path / "whole")
    asked = {config.run_id for config in trained}
    assert asked and not asked & finished
    assert not {config.configuration for config in trained if config.seed >= 10_000} & {*kept["configuration"]}
    trained.clear()
    tune("killed")
    assert not trained


@AT_FULL_SIZE
@pytest.mark.kind("a search that is stopped in its middle")
def test_killed_by_the_system_and_with_several_processes_it_ends_the_same(command: Command, tmp_path: Path) -> None:
    """The last of three is made in this process, one run after another."""
    problem = (
        "--problem",
        "quadratic:dimension=4",
        "--workers",
        4,
        "--local-steps",
        2,
        "--seconds",
        8,
        "--window",
        0.5,
    )
    line = (*TWO, *problem, "--trials", 10, "--tuning-seeds", 1, "--seeds", 2)
    threads = ("--threads", machine.threads())
    killed = agn_bench("tune", *line, *threads, "--jobs", 2, "--out", tmp_path / "killed", start_new_session=True)
    until = time.monotonic() + 60
    file = tmp_path / "killed" / "trials.csv"
    while time.monotonic() < until and killed.poll() is None:
        if file.exists() and len(file.read_bytes().splitlines()) > 18:  # some of which were ended in their processes
            break
        time.sleep(0.01)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    assert PRUNED in set(trials_in(tmp_path / "killed")["state"])
    for name in ("killed", "whole"):
        code, _, err = command("tune", *line, "--jobs", 1, "--out", tmp_path / name)
        assert code == 0, err
    wanted = [name for name in RESULTS if "tables" not in name]
    for name in wanted:
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name
    # A gap is the better the smaller it is.
    trials = trials_in(tmp_path / "whole")
    assert set(trials["measure"]) == {"center_gap"}
    complete = trials[trials["state"] == COMPLETE]
    best = complete.loc[complete["value"].astype(float).groupby(complete["optimizer"]).idxmin()]
    assert set(pd.read_csv(tmp_path / "whole" / "summary.csv")["configuration"]) == set(best["configuration"])


# --- who is ended early ---

GOAL = Goal(Measured("train_accuracy"), 8.0, 0.5)


def complete(*values: tuple[float, float, float]) -> Trial:
    return Trial({}, COMPLETE, values)


def test_a_trial_that_is_behind_the_median_of_earlier_ones_is_ended() -> None:
    """By hand: at a fourth, the first seed of the earlier trials was worth 0.1, 0.3, 0.5 and 0.7; the median is 0.4."""
    earlier = [
        complete((0.1, 0.2, 0.3), (0.2, 0.2, 0.3)),
        complete((0.5, 0.6, 0.9), (0.4, 0.6, 0.7)),
        Trial({}, PRUNED, ((0.3,),)),
        Trial({}, REFUSED),
        Trial({}, PRUNED, ((0.7, 0.8, 0.8), (0.1, 0.0))),
    ]
    assert least(earlier, [], 0) == pytest.approx(0.4)
    assert least(earlier, [], 1) == pytest.approx(0.6)  # of 0.2, 0.6, 0.8
    # With the second seed: means of 0.15, 0.45 and 0.4 at a fourth. The trial's first run had 0.5, so 0.3 is enough.
    assert least(earlier, [(0.5, 0.6, 0.9)], 0) == pytest.approx(2 * 0.4 - 0.5)
    assert least(earlier, [(0.5, 0.6, 0.9)], 1) == pytest.approx(2 * 0.4 - 0.6)  # of 0.2, 0.6 and 0.4
    assert least([], [], 0) is None and least([Trial({}, REFUSED)], [], 0) is None


@pytest.mark.parametrize(
    ("values", "ended"),
    [
        ((0.39, 0.9, 0.9), (0.39,)),
        ((0.4, 0.39, 0.9), (0.4, 0.39)),
        ((0.4, 0.4, 0.1), None),  # at the end nobody is ended
        ((0.39,), (0.39,)),  # what an ended run says
    ],
)
def test_a_run_is_worse_where_it_is_below_the_median_at_a_fourth_or_at_half(
    values: tuple[float, ...], ended: tuple[float, ...] | None
) -> None:
    space = Space({**SMALL, "dataset": "mnist-5k", "learning_rate": 0.1}, "agn")  # nothing is searched
    half_and_half = [complete((at, at, at)) for at in (0.2, 0.4, 0.6)] * 2 + [complete((0.4, 0.4, 0.4))] * 2
    one = Contestant(space, half_and_half, GOAL, [10_000], 20, 0)
    one.next_run()
    assert [(bound.until_s, bound.least) for bound in one.bounds()] == [(2.0, 0.4), (4.0, 0.4)]
    trial = one.add(values)
    assert trial is not None
    assert (trial.state, trial.values) == ((COMPLETE, (values,)) if ended is None else (PRUNED, (ended,)))
    few = Contestant(space, half_and_half[:-1], GOAL, [10_000], 20, 0)
    few.next_run()
    assert few.bounds() == () and few.add((0.0, 0.0, 0.0)).state == COMPLETE  # type: ignore[union-attr]
    # Where less is better, more is worse.
    fewer = Contestant(space, half_and_half, Goal(Measured("test_loss", False), 8.0, 0.5), [10_000], 20, 0)
    fewer.next_run()
    assert fewer.add((0.39, 0.39, 0.9)).state == COMPLETE  # type: ignore[union-attr]
    fewer.next_run()
    assert fewer.add((0.41, 0.39, 0.9)).state == PRUNED  # type: ignore[union-attr]


@pytest.mark.parametrize("measure", ["train_accuracy", "train_loss", "test_accuracy"])
@pytest.mark.parametrize("by", ["area", "end"])
@pytest.mark.parametrize("optimizer", ["agn", "local-sgd"])
def test_what_is_looked_at_on_the_way_is_what_the_whole_run_has_there(
    measure: str, by: str, optimizer: str, quick_dataset: str
) -> None:
    config = resolve({**SMALL, "optimizer": optimizer})
    goal = Goal(Measured(measure, measure != "train_loss"), 8.0, 0.5, by)
    whole = make(config)
    row = {**columns.summary(whole), "test_loss": 1.0}
    values = goal.values(row, columns.curve(whole), goal.times)
    assert np.isfinite(values).all() and len(set(values)) > 1
    better = 1 if goal.measure.higher_is_better else -1
    for look in (0, 1):
        passed = Bound(goal, goal.times[: look + 1], values[look])
        behind = Bound(goal, goal.times[: look + 1], np.nextafter(values[look], better * np.inf))
        ended = make(config, checks=[behind])
        assert (ended.status, ended.verdict) == ("stopped", values[: look + 1])
        assert ended.replay.exchanges < whole.replay.exchanges
        went_on = make(config, checks=[passed])
        assert (went_on.status, went_on.verdict) == ("done", None)
        np.testing.assert_array_equal(went_on.replay.losses, whole.replay.losses)


def test_a_run_whose_window_is_as_long_as_the_run_is_known_too_late_to_be_ended(quick_dataset: str) -> None:
    config = resolve({**SMALL, "window": 8.0})
    never = Bound(Goal(Measured("train_accuracy"), 8.0, 8.0), (2.0,), 2.0)
    assert make(config, checks=[never]).verdict is None


def test_a_run_that_diverges_counts_as_what_its_problem_says(quick_dataset: str) -> None:
    result = make(resolve({**SMALL, "optimizer": "downpour", "learning_rate": 1e20}))
    assert result.status == "diverged"
    row, curve = columns.summary(result), columns.curve(result)
    chance = 1 / 4  # of four classes
    assert replace(GOAL, by="end").values(row, curve, [8.0]) == (chance,)
    most = np.nanmax(curve["train_accuracy"])
    (area,) = GOAL.values(row, curve, [8.0])
    assert chance <= area <= chance + most * row["diverged_s"] / 8


# --- the edge ---


def test_the_best_at_the_edge_of_what_was_searched_is_marked() -> None:
    space = Space({}, "easgd")  # λ from 1 to 64, α from 0.005 to 0.5, rate from 0.003 to 3
    inside = {"local_steps": 8, "alpha": 0.05, "learning_rate": 0.1}
    assert space.at_edge(inside) == []
    assert space.at_edge({**inside, "local_steps": 64, "learning_rate": 0.003}) == ["local_steps", "learning_rate"]
    assert space.at_edge({**inside, "local_steps": 1}) == []  # there is nothing beyond
    assert space.at_edge({**inside, "alpha": 0.45}) == ["alpha"]
    assert space.at_edge({**inside, "learning_rate": 2.0}) == []  # on the scale of logarithms
    assert Space({}, "eamsgd").at_edge({"beta": 1.0}) == []  # the most that it takes


def test_the_mark_is_shown_and_in_the_table(
    command: Command, made_once: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tried = iter([{"learning_rate": 0.3}, {"learning_rate": 2.9}, {"learning_rate": 2.9}, {"learning_rate": 0.003}])
    worth = {0.3: 0.5, 2.9: 0.9, 0.003: 0.1}
    monkeypatch.setattr(searching, "suggested", lambda *_: next(tried))
    monkeypatch.setattr(Goal, "values", lambda self, row, curve, times: (worth[float(row["learning_rate"])],) * 3)
    line = ("agn", "dynsgd", *WORDS, "--trials", 2, "--tuning-seeds", 1, "--seeds", 1, "--jobs", 1)
    code, out, _ = command("tune", *line, "--out", tmp_path)
    assert code == 0
    assert re.search(r"agn .*rate 2.9 \*", out) and "rate 0.3 *" not in out
    assert "at the edge of what was tried, so a better one may lie beyond" in out
    table = pd.read_csv(tmp_path / "tables" / "test-accuracy.csv", keep_default_na=False)
    at_edge = dict(zip(table["optimizer"], table["best_at_edge_of"], strict=True))
    rates = dict(zip(table["optimizer"], table["learning_rate"], strict=True))
    assert {name: "learning_rate" if rate == 2.9 else "" for name, rate in rates.items()} == at_edge
    assert 2.9 in rates.values()


# --- from a sweep ---

SWEEP = """
name = "tried"
seeds = [0, 2]
[base]
{base}
[[cells]]
optimizer = ["agn", "easgd"]
learning_rate = [0.003, 0.1, 0.3]
"""


@pytest.fixture
def swept(command: Command, made_once: None, tmp_path: Path) -> Path:
    base = "\n".join(f"{name} = {value!r}" for name, value in SMALL.items())
    (tmp_path / "tried.toml").write_text(SWEEP.format(base=base))
    assert command("sweep", tmp_path / "tried.toml", "--out", tmp_path / "tried", "--jobs", 1)[0] == 0
    return tmp_path / "tried"


def test_the_best_of_a_sweep_is_compared_on_fresh_seeds(swept: Path, command: Command, tmp_path: Path) -> None:
    command("table", swept, "--measure", "test_accuracy")
    table = pd.read_csv(swept / "tables" / "test-accuracy.csv")
    best = table.groupby("optimizer")["configuration"].first()  # the best are first
    code, out, err = command("tune", "--from", swept, "--seeds", 3, "--jobs", 1, "--out", tmp_path / "best")
    assert (code, err) == (0, "")
    summary = pd.read_csv(tmp_path / "best" / "summary.csv")
    assert set(summary["configuration"]) == set(best)
    assert sorted(set(summary["seed"])) == [3, 4, 5] and len(summary) == 6
    assert not (tmp_path / "best" / "trials.csv").exists()
    edges = table.set_index("configuration")["best_at_edge_of"].fillna("")
    chosen = pd.read_csv(tmp_path / "best" / "tables" / "test-accuracy.csv", keep_default_na=False)
    assert (chosen.set_index("configuration")["best_at_edge_of"] == edges[chosen["configuration"]]).all()
    assert chosen["best_at_edge_of"].any() and "may lie beyond" in out
    one = command("tune", "--from", swept, "--only", "optimizer=agn", "--goal", "end", "--measure", "accuracy",
                  "--seeds", 1, "--jobs", 1, "--out", tmp_path / "one")  # fmt: skip
    assert one[0] == 0 and set(pd.read_csv(tmp_path / "one" / "summary.csv")["optimizer"]) == {"agn"}


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["agn"], "OPTIMIZER agn: given together with --from "),
        (["--trials", "3"], "--trials 3: given together with --from "),
        (["--workers", "3"], "--workers 3: given together with --from "),
        (["--only", "optimizer=dana"], "--only optimizer=dana: no run has it"),
        (["--measure", "gap"], "--measure gap: unknown"),
        (["--only", "optimizer=agn", "--only", "seed=7"], "--only seed=7: no run has it"),
    ],
)
def test_what_does_not_go_with_a_sweep_is_refused(
    more: list[str], says: str, swept: Path, command: Command, tmp_path: Path
) -> None:
    code, _, err = command("tune", "--from", swept, *more, "--out", tmp_path / "out")
    assert code == 2 and says in err and err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_sweep_in_which_the_best_is_not_one_setting_is_refused(swept: Path, command: Command, tmp_path: Path) -> None:
    more = ("--optimizer", "agn", *WORDS, "--out", swept)
    (swept / "experiment.json").unlink()
    assert command("run", *more, "--seed", 5)[0] == 0
    code, _, err = command("tune", "--from", swept, "--out", tmp_path / "out")
    assert code == 2 and "has no run with seed" in err
    assert command("run", *more, "--workers", 5, "--seeds", 3)[0] == 0
    code, _, err = command("tune", "--from", swept, "--out", tmp_path / "out")
    assert code == 2 and "differ in workers (n 4, n 5)" in err and "--only workers=VALUE" in err


# --- what is refused ---


@pytest.mark.kind("input that cannot be used")
@pytest.mark.parametrize(
    ("line", "says"),
    [
        ([], "OPTIMIZER: missing; accepted: one or several, as in agn easgd, or --from DIR"),
        (["agn", "agn"], "OPTIMIZER agn: given twice; accepted: each once"),
        (["agnn"], "OPTIMIZER agnn: unknown, did you mean agn?"),
        (["easgd:alpha=7"], "OPTIMIZER easgd:alpha=7: alpha is too large"),
        (["agn", "--trials", "0"], "--trials 0: too small; accepted: a whole number from 1 to 10000"),
        (["agn", "--tuning-seeds", "x"], "--tuning-seeds x: not a whole number"),
        (["agn", "--seeds", "10001"], "--seeds 10001: too large; accepted: a whole number from 1 to 10000"),
        (["agn", "--goal", "best"], "--goal best: unknown"),
        (["agn", "--measure", "gap"], "--measure gap: unknown"),
        (["agn", "--sampler-seed", "-1"], "--sampler-seed -1: too small"),
        (["agn", "--only", "workers=3"], "--only workers=3: given without --from; accepted: --from DIR with it"),
        (["--from", "nowhere"], "DIR nowhere: has no summary.csv"),
        (["agn", "--seconds", "0"], "--seconds 0: too small"),
    ],
)
def test_what_cannot_be_used_is_refused_in_a_line(
    line: list[str], says: str, command: Command, quick_dataset: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = command("tune", *line, *([] if "--from" in line else ["--dataset", "tiny"]))
    assert (code, out) == (2, "") and says in err and err.count("\n") == 1
    assert [*tmp_path.iterdir()] == []


@pytest.mark.kind("input that cannot be used")
@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--workers", 5], "was made with other options, or changed, as configuration"),
        (["--seconds", 9], "was made with other options, or changed, as "),
        (["--sampler-seed", 3], "was made with other options, or changed, as sampler_seed 0"),
        (["--measure", "train_accuracy"], "was made with other options, or changed, as measure test_accuracy"),
        (["--goal", "end"], "was made with other options, or changed, as goal area"),
        (["--tuning-seeds", 2], "was made with other options, or changed, as "),
        (["--learning-rate", 0.1], "was made with other options, or changed, as "),
    ],
)
def test_trials_of_other_options_are_not_gone_on_from(
    more: list[object], says: str, command: Command, made_once: None, tmp_path: Path
) -> None:
    line = ("tune", "agn", *WORDS, "--trials", 2, "--tuning-seeds", 1, "--seeds", 1, "--jobs", 1, "--out", tmp_path)
    assert command(*line)[0] == 0
    before = results(tmp_path)
    code, _, err = command(*line, *more)
    assert code == 2 and says in err and err.count("\n") == 1 and "trial 1 of agn" in err
    assert results(tmp_path) == before


def test_trials_that_were_changed_or_cannot_be_read_are_refused(
    command: Command, made_once: None, tmp_path: Path
) -> None:
    line = ("tune", "agn", *WORDS, "--trials", 2, "--tuning-seeds", 1, "--seeds", 1, "--jobs", 1, "--out", tmp_path)
    assert command(*line)[0] == 0
    file = tmp_path / "trials.csv"
    text = file.read_text()
    for wrong, says in [
        (text.replace("agn,1,complete,0.3", "agn,1,complete,0.31"), "as configuration"),
        (text.replace("agn,2,", "agn,3,"), "as trial 3"),
        (text.replace("agn,1,complete", "agn,1,done"), "trial 1 of agn"),
        ("run_id\n1\n", "cannot be read"),
        ("\x00\xff", "cannot be read"),
    ]:
        assert wrong != text
        file.write_text(wrong)
        code, _, err = command(*line)
        assert code == 2 and says in err and err.count("\n") == 1, wrong
        assert file.read_text() == wrong


def test_only_one_process_tunes_in_a_folder_and_a_sweeps_folder_is_no_place(
    command: Command, made_once: None, swept: Path, tmp_path: Path
) -> None:
    line = ("tune", "agn", *WORDS, "--trials", 1, "--jobs", 1)
    with searching.alone(tmp_path / "busy"):
        code, _, err = command(*line, "--out", tmp_path / "busy")
    assert code == 2 and "another process tunes in this folder" in err
    (swept.parent / "renamed").mkdir()
    for name in ("experiment.json", "summary.csv", "curves.csv.gz", "provenance.json"):
        (swept.parent / "renamed" / name).write_bytes((swept / name).read_bytes())
    code, _, err = command(*line, "--out", swept.parent / "renamed")
    assert code == 2 and "the folder of the experiment tried, not of tuned" in err


def test_without_optuna_the_extra_is_named(
    command: Command, made_once: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    code, _, err = command("tune", "agn", *WORDS, "--trials", 3, "--jobs", 1, "--out", tmp_path / "out")
    assert code == 2 and err.count("\n") == 1
    assert "is not installed; accepted: pip install 'agn-bench[tune]'" in err
    assert not (tmp_path / "out").exists()


def test_numbers_that_do_not_go_together_are_a_trial_without_a_value(tmp_path: Path) -> None:
    """A user's optimizer refuses some of its numbers."""
    (tmp_path / "mine.py").write_text(
        "from agn_bench.optimizers import Optimizer, optimizer, quantity\n"
        "@optimizer\n"
        "class Mine(Optimizer):\n"
        "    gain: float = quantity(0, 2, default=0.1, search=(0, 2))\n"
        "    def __post_init__(self):\n"
        "        if self.gain > 0.5: raise ValueError('too much')\n"
        "    def commit(self, server, worker, commit):\n"
        "        return server, worker\n"
    )
    space = Space({"local_steps": 3, "learning_rate": 0.1}, f"{tmp_path / 'mine.py'}:Mine")
    assert space.default == {"gain": 0.1} and space.label == "Mine"
    one = Contestant(space, [], GOAL, [10_000], 30, 0)
    states = []
    for _ in range(30):
        found = one.next_run()
        states.append(found.state if isinstance(found, Trial) else COMPLETE)
        if not isinstance(found, Trial):
            one.add((0.1, 0.2, 0.3))
    assert states[0] == COMPLETE and states.count(REFUSED) > 3 and one.left == 0
    assert one.best == 0
