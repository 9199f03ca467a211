"""When a run ends: by simulated time, by work, at a target; how its work is shared out; and what rules leave behind."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from agn_bench.base.inputs import BadInput
from agn_bench.config.experiment import read_experiment_file
from agn_bench.config.resolving import resolve
from agn_bench.config.run import RunConfig
from agn_bench.execution.one import load_once
from agn_bench.training import columns
from agn_bench.training.records import RunResult
from agn_bench.training.simulate import simulate
from agn_bench.training.timing import timeline_of

Command = Callable[..., tuple[int, str, str]]
Given = Callable[..., RunConfig]


@pytest.fixture
def given(quick_dataset: str) -> Given:
    """A configuration of four workers whose speeds differ, of the tiny problem."""
    base = {
        "dataset": quick_dataset, "model": "mlp-8", "batch_size": 8, "workers": 4, "local_steps": 3, "window": 1,
        "delays": "heterogeneous",
    }  # fmt: skip
    return lambda **options: resolve({**base, **options})


@pytest.fixture
def run(quick_dataset: str, given: Given) -> Callable[..., RunResult]:
    return lambda **options: simulate(config := given(**options), load_once(config.trains, None))


def words(config: RunConfig, *left_out: str) -> list[str]:
    """The options of a configuration, as on the command line."""
    spelled = shlex.split(config.command())[2:]
    return [word for pair in zip(spelled[::2], spelled[1::2], strict=True) if pair[0] not in left_out for word in pair]


# --- time and work ---


def test_time_alone_is_the_only_limit(given: Given) -> None:
    """All that is applied by then counts; who computes then is cut off."""
    config = given(seconds="20")
    assert (config.seconds, config.gradient_steps, config.epochs, config.shares) == (20.0, None, None, "open")
    timeline, longer = timeline_of(config), timeline_of(given(seconds=21))
    assert timeline.end_s == 20.0
    assert timeline.exchanges == (longer.applied_s <= 20.0).sum() < longer.exchanges
    np.testing.assert_array_equal(timeline.applied_s, longer.applied_s[: timeline.exchanges])
    # Whom the end meets in a phase, or with a commit under way, has one that is unfinished; the others are answered.
    assert set(timeline.unfinished.worker) <= set(range(4))
    assert len(timeline.unfinished) >= 2
    assert config.exchanges == pytest.approx(timeline.exchanges, rel=0.3)


def test_of_time_and_work_what_comes_first_ends_the_run(given: Given) -> None:
    steps, time = given(seconds=1000, gradient_steps=130), given(seconds=20, gradient_steps=10_000)
    assert (steps.shares, steps.gradient_steps, steps.exchanges) == ("open", 130, 43)
    assert timeline_of(steps).exchanges == 43
    assert timeline_of(steps).end_s < 1000
    assert timeline_of(time).end_s == 20.0
    np.testing.assert_array_equal(timeline_of(time).worker, timeline_of(given(seconds=20)).worker)
    assert given(seconds=1000, epochs=2).gradient_steps == 75


def test_with_equal_shares_who_is_through_stops_also_where_there_is_a_time(given: Given) -> None:
    whole, cut_off = given(gradient_steps=130), given(gradient_steps=130, seconds=12, shares="equal")
    assert (whole.shares, cut_off.shares) == ("equal", "equal")
    assert (np.bincount(timeline_of(whole).worker) == 10).all()
    timeline = timeline_of(cut_off)
    assert timeline.end_s == 12.0
    np.testing.assert_array_equal(timeline.applied_s, timeline_of(whole).applied_s[: timeline.exchanges])
    # Long enough for all the work it is the same run, but for its name.
    enough = timeline_of(given(gradient_steps=130, seconds=1e6, shares="equal"))
    np.testing.assert_array_equal(enough.resume_s, timeline_of(whole).resume_s)
    assert enough.end_s == timeline_of(whole).end_s


def test_with_open_shares_fast_workers_do_more(given: Given) -> None:
    timeline = timeline_of(given(gradient_steps=600, shares="open"))
    step = np.array([(timeline.compute_end_s - timeline.start_s)[timeline.worker == w].mean() for w in range(4)])
    made = np.bincount(timeline.worker)
    assert made.sum() == 200
    assert (made[np.argsort(step)] == np.sort(made)[::-1]).all()
    assert made.max() > 1.3 * made.min()


@pytest.mark.parametrize("optimizer", ["ringmaster:threshold=2:stops=yes", "local-sgd:backups=1", "fedbuff:size=3"])
def test_work_in_vain_counts(given: Given, optimizer: str) -> None:
    """Dropped commits whole, interrupted phases as far as they were. One exchange more would be too much."""
    config = given(gradient_steps=130, shares="open", optimizer=optimizer)
    timeline, longer = timeline_of(config), timeline_of(replace(config, gradient_steps=200))

    def computed(exchanges: int) -> int:
        in_time = longer.interrupted.end_s <= longer.applied_s[exchanges - 1]
        return 3 * exchanges + int(longer.interrupted.steps[in_time].sum())

    assert computed(timeline.exchanges) <= 130 < computed(timeline.exchanges + 1)
    assert timeline.end_s == timeline.applied_s[-1]
    assert bool(len(timeline.interrupted)) == ("ringmaster" in optimizer)


@pytest.mark.parametrize("split", ["mixed", "sharded", "dirichlet:concentration=1"])
def test_twice_the_time_begins_with_the_same_run(run: Callable[..., RunResult], split: str) -> None:
    one, two = (run(seconds=seconds, data_split=split) for seconds in (10, 20))
    made = one.replay.exchanges
    assert 10 < made < two.replay.exchanges
    np.testing.assert_array_equal(one.replay.losses, two.replay.losses[:made])
    accuracies = (result.replay.measured["accuracy"] for result in (one, two))
    np.testing.assert_array_equal(next(accuracies), next(accuracies)[:made])


def test_optimizers_are_compared_on_the_same_data_from_the_same_center(run: Callable[..., RunResult]) -> None:
    """So a worker's first phase has the same losses, whoever answers it afterwards, with other rules too."""
    texts = ("agn", "dana", "local-sgd:backups=1")
    results = [run(seconds=12, optimizer=text) for text in texts]
    first = []
    for result in results:
        kept = result.timeline.phase == 0
        first.append(result.replay.losses[kept][np.argsort(result.timeline.worker[kept])])
    assert first[0].shape == (4, 3)
    assert len({tuple(losses.ravel()) for losses in first}) == 1
    assert len({result.replay.losses[-1][0] for result in results}) == len(texts)
    assert len({run(seconds=12, seed=seed).replay.losses[0][0] for seed in (0, 1)}) == 2


# --- evaluations and targets ---


def test_where_time_ends_the_run_the_center_is_evaluated_evenly_in_time(run: Callable[..., RunResult]) -> None:
    result = run(seconds=20)
    times = np.arange(21) * 1.0
    applied = result.timeline.applied_s
    assert result.looks == [(time, (applied <= time).sum()) for time in times]
    curve = columns.curve(result)
    there = np.isfinite(curve["test_accuracy"])
    np.testing.assert_array_equal(curve["time_s"][there], times)
    found = dict(result.replay.evaluations)
    counts = [int((applied <= time).sum()) for time in times]
    np.testing.assert_array_equal(curve["test_accuracy"][there], [found[count]["accuracy"] for count in counts])
    assert curve["test_accuracy"][there][0] < curve["test_accuracy"][there][-1]
    by_exchanges = run(seconds=20, eval_every=10)
    assert [count for _, count in by_exchanges.looks] == [*range(0, len(applied), 10), len(applied)]


def test_a_run_ends_at_the_first_evaluation_that_reaches_its_target(run: Callable[..., RunResult]) -> None:
    whole = run(seconds=20)
    accuracies = [(time, dict(whole.replay.evaluations)[count]["accuracy"]) for time, count in whole.looks]
    time = next(time for time, accuracy in accuracies[1:] if accuracy >= 0.6)
    assert 0 < time < 20
    result = run(seconds=20, until="test_accuracy=0.6")
    summary, curve = columns.summary(result), columns.curve(result)
    assert (summary["reached_s"], summary["sim_time_s"], summary["status"]) == (time, time, "done")
    assert summary["test_accuracy"] >= 0.6
    made = (whole.timeline.applied_s <= time).sum()
    assert result.timeline.exchanges == result.replay.exchanges == summary["exchanges"] == made
    np.testing.assert_array_equal(result.replay.losses, whole.replay.losses[:made])
    assert curve["time_s"][-1] == time


def test_a_target_that_is_not_reached_changes_nothing_but_the_name(run: Callable[..., RunResult]) -> None:
    whole, result = (run(seconds=12, learning_rate=1e-6, **more) for more in ({}, {"until": "test_accuracy=0.9"}))
    one, other = columns.summary(whole), columns.summary(result)
    assert "reached_s" not in one
    assert other["reached_s"] is None
    left_out = ("configuration", "reached_s", "until")
    assert one.items() - other.items() <= {("configuration", one["configuration"])}
    assert {name for name in other if name not in one} | {"configuration"} == set(left_out)
    np.testing.assert_array_equal(whole.replay.losses, result.replay.losses)


def test_a_target_may_be_reached_at_the_last_evaluation_and_not_at_the_one_before_all_work(
    run: Callable[..., RunResult],
) -> None:
    result = run(gradient_steps=130, eval_every=40, until="test_accuracy=0.01")
    assert [count for _, count in result.looks] == [0, 40]
    assert result.replay.reached
    assert columns.summary(result)["reached_s"] == result.timeline.applied_s[-1]
    assert result.replay.exchanges == 40


@pytest.mark.parametrize(
    ("until", "says"),
    [
        ("0.9", "until=0.9: not MEASURE=VALUE; accepted: as in test_accuracy=0.95"),
        ("accuracy=0.9", "until=accuracy: unknown, did you mean test_accuracy?"),
        ("=0.9", "until"),
        ("test_accuracy=", "until"),
        ("test_accuracy=x", "until=x: not a number"),
        ("test_accuracy=nan", "until=nan: not a"),
        ("test_accuracy=95", "until=95: too large; accepted: a number from 0 to 1 for test_accuracy"),
        ("test_accuracy=-0.1", "until=-0.1: "),
    ],
)
def test_a_target_that_is_none_is_refused(given: Given, until: str, says: str) -> None:
    with pytest.raises(BadInput) as error:
        given(until=until)
    assert str(error.value).startswith(says)


# --- what cannot be ---


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"seconds": 0}, "seconds=0: too small; accepted: a number from 0.001 to"),
        ({"seconds": "inf"}, "seconds=inf: not finite"),
        ({"seconds": 1e9}, "seconds=1000000000.0: time for about"),
        ({"shares": "open", "gradient_steps": None, "seconds": None}, ""),
        ({"shares": "half"}, "shares=half: unknown"),
        ({"seconds": 5, "workers": 100_001}, "workers=100001: too large"),
        ({"seconds": 5, "gradient_steps": 2}, "local_steps=3: too large"),
        ({"seconds": 5, "gradient_steps": 5, "workers": 40, "local_steps": "auto"}, "workers=40: one phase of "),
        ({"seconds": 5, "gradient_steps": 20, "epochs": 1}, "epochs=1: given together with gradient_steps=20"),
        ({"seconds": 5, "eval_every": 0}, "eval_every=0: too small"),
    ],
)
def test_what_cannot_be_a_run_is_refused(given: Given, options: dict[str, Any], says: str) -> None:
    if not says:  # the preset has an amount of work
        assert given(**options).gradient_steps == 10_400
        return
    with pytest.raises(BadInput) as error:
        given(**options)
    assert str(error.value).startswith(says)


def test_the_longest_time_that_is_named_is_one_that_works(given: Given) -> None:
    with pytest.raises(BadInput, match="time for about") as error:
        given(seconds=1e9)
    longest = float(error.value.accepted.split("up to about ")[1].split()[0])
    assert given(seconds=0.99 * longest).steps > 1e7
    with pytest.raises(BadInput, match="time for about"):
        given(seconds=1.01 * longest)
    assert given(seconds=1e9, gradient_steps=300).steps == 300


def test_a_time_in_which_nothing_is_made_is_refused(command: Command, given: Given, tmp_path: Path) -> None:
    code, _, err = command("run", *words(given(seconds=0.5)), "--out", tmp_path / "out")
    assert code in (1, 2)
    assert "--seconds 0.5: no exchange is made by then; accepted: enough for at least one exchange" in err
    assert not list(tmp_path.rglob("summary.csv"))


# --- names ---


def test_runs_that_were_made_before_keep_their_names(given: Given) -> None:
    """What came later is in a run's name only where it is not as it was then."""
    before = given(gradient_steps=130)
    assert not {"seconds", "until", "shares"} & before.as_dict().keys()
    assert given(gradient_steps=130, shares="equal") == before
    others = [
        given(seconds=20),
        given(seconds=30),
        given(gradient_steps=130, shares="open"),
        given(gradient_steps=130, seconds=20),
        given(gradient_steps=130, seconds=20, shares="equal"),
        given(gradient_steps=130, until="test_accuracy=0.9"),
        given(gradient_steps=130, until="test_accuracy=0.95"),
    ]
    assert len({config.run_id for config in (before, *others)}) == 1 + len(others)
    assert given(gradient_steps=130, until=" test_accuracy = .9 ") == others[5]
    for config in others:
        assert resolve({}, json.loads(json.dumps(config.as_dict()))) == config
        pairs = words(config)
        assert resolve({a[2:].replace("-", "_"): b for a, b in zip(pairs[::2], pairs[1::2], strict=True)}) == config


def test_a_run_is_made_like_one_that_time_ends(given: Given) -> None:
    like = given(seconds=20, optimizer="fedbuff:size=3").as_dict()
    assert resolve({"seconds": 30}, like) == given(seconds=30, optimizer="fedbuff:size=3")
    assert resolve({"optimizer": "agn"}, like) == given(seconds=20)
    assert resolve({"gradient_steps": 130}, like) == given(seconds=20, gradient_steps=130, optimizer="fedbuff:size=3")
    # If the other run ends with its work, the time takes the work's place; not if it has both and equal shares.
    assert resolve({"seconds": 20}, given(gradient_steps=130).as_dict()) == given(seconds=20)
    both = given(seconds=20, gradient_steps=130, shares="equal")
    assert resolve({"seconds": 30}, both.as_dict()) == replace(both, seconds=30.0)
    with pytest.raises(BadInput, match="shares=equal: without work to share out"):
        resolve({"shares": "equal"}, like)
    with pytest.raises(BadInput, match="shares=equal: without work to share out"):
        resolve({"seconds": 20, "shares": "equal"}, like)


# --- commands ---

EXPERIMENT = """
name = "timed"
seeds = [0, 1]
[base]
dataset = "tiny"
model = "mlp-8"
batch_size = 8
workers = 4
local_steps = 3
window = 1
delays = "heterogeneous"
seconds = 12
[[cells]]
optimizer = ["agn", "local-sgd:backups=1", "ringmaster:threshold=2:stops=yes"]
[[cells]]
until = "test_accuracy=0.5"
[[cells]]
gradient_steps = 60
shares = ["equal", "open"]
"""


def test_an_experiment_of_equal_times_is_estimated_swept_and_tabled(
    command: Command, quick_dataset: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("timed.toml").write_text(EXPERIMENT)
    configs = read_experiment_file(Path("timed.toml")).configs
    assert [config.seconds for config in configs] == 12 * [12.0]
    assert {config.shares for config in configs} == {"open", "equal"}
    code, out, err = command("sweep", "timed.toml", "--dry-run", "--jobs", 1, "--out", "out")
    assert (code, err) == (0, "")
    assert "12 runs to make" in out
    code, out, err = command("sweep", "timed.toml", "--jobs", 1, "--threads", 2, "--out", "out")
    assert (code, err) == (0, "")
    assert "12 runs made, 0 found finished, 0 failed" in out
    assert "0 runs made, 12 found finished" in command("sweep", "timed.toml", "--jobs", 1, "--out", "out")[1]
    rows = pd.read_csv("out/summary.csv")
    timed = rows[rows["until"].isna() & rows["epochs"].isna()]
    assert (timed["sim_time_s"] == 12).all()
    rows = rows[rows["epochs"].isna()].set_index(["optimizer", "seed"])
    backed = rows.loc["local-sgd"]
    assert (backed["dropped"] > 0).all() and (backed["versions"] < backed["exchanges"]).all()
    assert (backed["stranded"] == 0).all()  # it was ended before anybody was
    assert (rows.loc["ringmaster"]["interrupted"] > 0).all()
    assert rows.loc["agn", ["versions", "dropped", "interrupted", "stranded"]].isna().all(axis=None)
    reached = rows.loc["agn"].dropna(subset="until")
    assert (reached["reached_s"] == reached["sim_time_s"]).all() and (reached["sim_time_s"] < 12).all()
    code, out, err = command("table", "out", "--at", "3,9")
    assert (code, err) == (0, "")
    table = pd.read_csv("out/tables/accuracy.csv")
    assert len(table) == 6
    for time in (3, 9):  # blank for those that had ended by then
        ended = table["sim_time_s_mean"] < time
        assert (table[f"accuracy_at_{time}s_mean"].isna() == ended).all()
    assert 1 <= ended.sum() <= 3


def test_backups_that_end_stranded_are_counted(run: Callable[..., RunResult]) -> None:
    """With equal shares: the slowest worker's last commit makes no version any more."""
    result = run(gradient_steps=130, optimizer="local-sgd:backups=1")
    summary = columns.summary(result)
    assert summary["stranded"] == result.timeline.stranded == 1
    assert summary["status"] == "done"
    assert np.isfinite(summary["sim_time_s"])


def test_timeline_with_rules_ended_by_time_or_by_exchanges(command: Command, tmp_path: Path) -> None:
    few = ("--workers", 6, "--local-steps", 3, "--model", "mlp-8", "--delays", "heterogeneous")
    for number, (optimizer, limit) in enumerate([
        ("local-sgd", ("--seconds", 50)), ("local-sgd:backups=2", ("--exchanges", 90)),
        ("ringmaster:threshold=3:stops=yes", ("--exchanges", 90)), ("fedbuff:size=4", ("--gradient-steps", 500)),
    ]):  # fmt: skip
        out = tmp_path / str(number)
        code, said, err = command("timeline", "--optimizer", optimizer, *few, *limit, "--out", out)
        assert (code, err) == (0, "")
        (row,) = pd.read_csv(out / "timeline.csv").to_dict("records")
        commits = pd.read_csv(out / "commits.csv")
        assert row["optimizer"].startswith(optimizer)
        assert row["versions"] == commits["version"].max()
        assert row["accepted_steps"] == 3 * commits["accepted"].sum()
        assert row["dropped_steps"] == 3 * (1 - commits["accepted"]).sum()
        assert (out / "interrupted.csv").exists() == (row["interrupted_steps"] > 0) == ("stops=yes" in optimizer)
        assert ("interrupted.csv" in said) == ("stops=yes" in optimizer)
        if "--exchanges" in limit:
            assert len(commits) == 90
        elif "--seconds" in limit:
            assert commits["applied_s"].max() <= row["end_s"] == 50
            assert row["versions"] == len(commits) // 6
            assert row["mean_barrier_wait_s"] > 0
    lost = pd.read_csv(tmp_path / "2" / "interrupted.csv")
    assert list(lost) == ["worker", "phase", "start_s", "end_s", "steps", "answered"]
    assert (lost["end_s"] >= lost["start_s"]).all() and (lost["steps"] < 3).all()
    # The next survey in the folder leaves nothing of this one.
    assert command("timeline", *few, "--seconds", 20, "--out", tmp_path / "2")[0] == 0
    assert not (tmp_path / "2" / "interrupted.csv").exists()


def test_who_is_not_interrupted_is_dropped(run: Callable[..., RunResult]) -> None:
    """Whom the notice met too late is dropped with interruptions too."""
    told, not_told = (
        columns.summary(run(seconds=12, optimizer=f"ringmaster:threshold=2:stops={stops}")) for stops in ("yes", "no")
    )
    assert told["interrupted"] > 0 == not_told["interrupted"]
    assert told["dropped"] < not_told["dropped"]
