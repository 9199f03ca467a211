"""λ that is decided while a run is trained: exactness against runs whose λ is known beforehand; formulas by hand."""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pandas as pd
import pytest

from agn_bench.base.inputs import BadInput
from agn_bench.base.user_code import UserCodeError
from agn_bench.clock.stability import growth_rate
from agn_bench.clock.timeline import Timeline
from agn_bench.config.resolving import resolve
from agn_bench.config.run import RunConfig
from agn_bench.execution.one import load_once
from agn_bench.optimizers.adaptive_steps import AdaComm, ByGrowth, Interval, Seen
from agn_bench.training import columns, remarks, simulate
from agn_bench.training.adapting import AdaptingClock
from agn_bench.training.records import RunResult
from agn_bench.training.timing import active_timeline_of, timeline_of, timelines_of

Command = Callable[..., tuple[int, str, str]]
SMALL = {"problem": "quadratic:noise=1:dimension=10", "workers": 3, "local_steps": 4, "batch_size": 5}
SMALL |= {"delays": "stragglers", "seconds": 40}
AWAY = ["between_failures.distribution=exponential:mean=10", "failure.distribution=constant:mean=3"]

RULES = """
from agn_bench.optimizers import optimizer, quantity
from agn_bench.optimizers.adaptive_steps import AdaptiveSteps


@optimizer
class Same(AdaptiveSteps):
    interval: float = quantity(0.1, 100, default=3.3, help="Seconds.")

    def next_steps(self, seen):
        return seen.local_steps


@optimizer
class Listed(AdaptiveSteps):
    interval: float = quantity(0.1, 100, default=3.3, help="Seconds.")

    def next_steps(self, seen):
        return [4, 2, 4, 3, 1, 4][round(seen.intervals[-1].end_s / self.interval) % 6]


@optimizer
class Wrong(AdaptiveSteps):
    interval = 5.0
    kind: int = quantity(0, 5, whole=True, default=0, help="Which mistake it makes.")

    def next_steps(self, seen):
        return [0, 2.5, [1, 2], 10**7, None, 1 // 0 if self.kind == 5 else 1][self.kind]


@optimizer
class Without(AdaptiveSteps):
    def next_steps(self, seen):
        return 1


@optimizer
class Backwards(AdaptiveSteps):
    interval = -1

    def next_steps(self, seen):
        return 1
"""


@pytest.fixture(scope="module")
def mine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with rules."""
    file = tmp_path_factory.mktemp("rules") / "mine.py"
    file.write_text(RULES)
    return file


def of(**options: Any) -> RunConfig:
    return resolve({**SMALL, **options})


def made(config: RunConfig) -> RunResult:
    return simulate.simulate(config, load_once(config.trains, None))


def assert_same(one: RunResult, other: RunResult) -> None:
    """All that a run leaves is the same to the bit, but for what was asked for."""
    for table in (columns.curve, lambda result: columns.commits(result.timeline)):
        pd.testing.assert_frame_equal(*(pd.DataFrame(table(result)) for result in (one, other)), check_exact=True)
    asked = {"configuration", "local_steps", "local_steps_rule", "rule_interval"}
    mine, theirs = (
        pd.DataFrame([{name: value for name, value in columns.summary(result).items() if name not in asked}])
        for result in (one, other)
    )
    pd.testing.assert_frame_equal(mine, theirs, check_exact=True)
    np.testing.assert_array_equal(one.replay.losses, other.replay.losses)
    assert one.replay.evaluations == other.replay.evaluations
    jax.tree.map(np.testing.assert_array_equal, one.replay.center, other.replay.center)


CASES: dict[str, dict[str, Any]] = {
    "agn": {},
    "a target, evaluations by count": {"until": "center_gap=10", "eval_every": 7},
    "failures": {"delay": AWAY},
    "one worker": {"workers": 1},
    "interrupted phases": {"optimizer": "ringmaster:threshold=2"},
    "a schedule": {"schedule": "cosine"},
}


@pytest.mark.parametrize("case", CASES)
def test_a_rule_that_changes_nothing_gives_the_run_without_a_rule(mine: Path, case: str) -> None:
    """To the bit: the losses, the center, the timeline, the evaluations."""
    options = CASES[case]
    with_rule = made(of(**options, local_steps_rule=f"{mine}:Same"))
    assert with_rule.timeline.own_steps is None
    assert_same(with_rule, made(of(**options)))


@pytest.mark.parametrize("case", ["interrupted phases", "failures"])
def test_decisions_give_what_their_timeline_gives_in_one_go(
    mine: Path, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rule that answers a list: the replay, interval by interval, is that of the timeline which came of it."""
    adapted = made(of(**CASES[case], local_steps_rule=f"{mine}:Listed"))
    assert {*adapted.timeline.steps.tolist()} == {1, 2, 3, 4}
    monkeypatch.setattr(simulate, "timeline_of", lambda config: adapted.timeline)
    assert_same(adapted, made(of(**CASES[case])))


def test_a_run_that_diverges_is_the_same_too(mine: Path) -> None:
    results = [made(of(learning_rate=1e30, **rule)) for rule in ({}, {"local_steps_rule": f"{mine}:Same"})]
    assert [result.status for result in results] == ["diverged"] * 2
    assert results[0].replay.diverged_exchange == results[1].replay.diverged_exchange
    np.testing.assert_array_equal(results[0].replay.losses, results[1].replay.losses)


@pytest.mark.parametrize("delays", ["paper-cluster", "wide-area", "heterogeneous"])
def test_phases_have_the_steps_that_held_when_they_began(delays: str, mine: Path) -> None:
    """So it is on any clock, and what was before a decision does not change."""
    config = of(delays=delays, seconds=60, workers=7, local_steps_rule=f"{mine}:Same")
    clock = AdaptingClock(config)
    decisions, earlier = {0.0: 4, 11.0: 1, 25.0: 9, 26.0: 3, 40.0: 20}, clock.timeline
    for time_s, steps in decisions.items():
        clock.tell(time_s, steps)
        timeline, known = clock.timeline, int((earlier.applied_s <= time_s).sum())
        for name in ("worker", "applied_s", "start_s", "steps", "staleness"):
            np.testing.assert_array_equal(getattr(timeline, name)[:known], getattr(earlier, name)[:known])
        earlier = timeline
    since = np.array([*decisions])
    expected = np.array([*decisions.values()])[np.searchsorted(since, earlier.start_s, side="right") - 1]
    np.testing.assert_array_equal(earlier.steps, expected)
    assert {*expected.tolist()} == {1, 3, 4, 9, 20}


def test_a_clock_whose_past_depends_on_the_future_is_refused(mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An optimizer's own clock could be one."""
    config = of(local_steps_rule=f"{mine}:Same")
    clock = AdaptingClock(config)
    real = AdaptingClock._simulated

    def later(self: AdaptingClock, time_s: float) -> Timeline:
        from dataclasses import replace

        timeline = real(self, time_s)
        return replace(timeline, applied_s=timeline.applied_s + 1e-9 * (self.local_steps == 5))

    monkeypatch.setattr(AdaptingClock, "_simulated", later)
    with pytest.raises(UserCodeError, match="depends on the λ of phases that began later"):
        clock.tell(20.0, 5)


# --- the shipped rules ---


@cache
def some_timeline(delays: str = "wide-area", steps: int = 13) -> Timeline:
    return timeline_of(of(delays=delays, workers=20, local_steps=steps, seconds=100))


def seen(losses: list[float], steps: int = 20, now: int | None = None, factors: tuple[float, ...] = ()) -> Seen:
    """After intervals with these losses, of initial loss 2; λ is `steps`, and in the last interval `now`."""
    factors = factors or (1.0,) * len(losses)
    intervals = [
        Interval(20.0 * (i + 1), now or steps, i, i + 1, loss, factor)
        for i, (loss, factor) in enumerate(zip(losses, factors, strict=True))
    ]
    return Seen(
        local_steps=steps, intervals=tuple(intervals), initial_loss=2.0, losses=np.array(losses),
        timeline=some_timeline(), channels=1, seconds=1000.0, learning_rate=0.3, factor=factors[-1],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        (seen([1.0]), 15),  # √½ of 20 is 14.14…
        (seen([1.0, 0.5], now=15), 10),  # √¼: exactly 10, whatever the rounding
        (seen([1.0, 0.5, 0.5], now=10), 5),  # again 10, which is not smaller: half
        (seen([4.0]), 10),  # the loss has doubled: half
        (seen([0.0]), 1),
        (seen([0.5], steps=1), 1),  # never below 1
        (seen([1.0, 0.5], now=15, factors=(1.0, 0.1)), 32),  # the rate has fallen tenfold: √(10 / 4) of 20 is 31.6
        (seen([1.0, 0.5, 0.5], now=32, factors=(1.0, 0.1, 0.1)), 16),
    ],
)
def test_adacomm_by_hand(known: Seen, expected: int) -> None:
    assert AdaComm().next_steps(known) == expected


def test_by_growth_takes_the_least_steps_within_its_bound() -> None:
    """By the paper's own map, λ by λ: the bound falls by half of the way with each interval whose loss did not fall."""
    timeline, rule = some_timeline(), ByGrowth()
    recent = slice(-200, None)
    step_s = np.mean(((timeline.compute_end_s - timeline.start_s) / 13)[recent])
    served_s = (timeline.applied_s - timeline.served_s)[recent]
    others_s = (timeline.arrive_s - timeline.compute_end_s)[recent].mean()
    others_s += served_s.mean() + np.nanmean((timeline.resume_s - timeline.applied_s)[recent])
    order = np.tile(timeline.worker[recent], 2)
    found = []
    for losses, stalled in [([1.0, 0.9, 0.8], 0), ([1.0, 1.0, 0.8], 1), ([1.0, 1.1, 1.2], 2), ([0.5] * 30, 29)]:
        least = 1
        while True:
            cycle_s = step_s * least + others_s
            turn_s = max(cycle_s, 20 * served_s.mean())
            bound = -0.1 + (turn_s / rule.interval + 0.1) / 2**stalled
            if cycle_s >= 0.8 * 20 * served_s.mean() and growth_rate(order, 20, least) <= bound:
                break
            least += 1
        found.append(rule.next_steps(seen(losses)))
        assert found[-1] == least
    assert found == sorted(found) and found[0] < found[1] < found[-1] < 20


def test_by_growth_never_asks_for_exchanges_that_would_only_wait() -> None:
    """On the paper's cluster the server needs 8 s for 20 workers, and 0.8 of that is a cycle of 13 steps. With four
    channels it needs 2 s, and two steps and the messages take 1.6 s.
    """
    known = seen([1.0])._replace(timeline=some_timeline("paper-cluster", 20))
    assert ByGrowth(growth=100.0).next_steps(known) == 13
    assert ByGrowth(growth=100.0).next_steps(known._replace(channels=4)) == 2
    few = known.timeline
    early = known._replace(timeline=simulate.cut(few, None, simulate.Stop(exchanges=19)))
    assert ByGrowth().next_steps(early) == 20  # fewer exchanges than workers


@pytest.mark.parametrize("rule", ["adacomm:interval=7", "by-growth:interval=7"])
def test_a_run_with_a_shipped_rule_is_the_same_each_time_and_follows_what_it_saw(rule: str) -> None:
    config = of(local_steps_rule=rule, local_steps=8, delays="ideal")
    first, again = made(config), made(config)
    assert_same(first, again)
    steps, begun = first.timeline.steps, first.timeline.start_s
    assert (steps[begun < 7] == 8).all() and len({*steps.tolist()}) > 1
    (said,) = remarks.of_decisions(config, first.timeline)
    assert said.startswith("λ was 8 until ") and said.endswith(f" then {steps[-1]} to the end (seed 0).")
    assert columns.summary(first)["rule_interval"] == 7
    assert first.wall_clock_s["timeline"] < first.wall_clock_s["total"]


def test_what_a_rule_is_told_is_the_past(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loss of an interval is the mean over the steps of its exchanges' phases; nothing is known of later ones."""
    told: list[Seen] = []

    def next_steps(self: AdaComm, seen: Seen) -> int:
        told.append(seen)
        return 2 + len(told) % 3

    monkeypatch.setattr(AdaComm, "next_steps", next_steps)
    result = made(of(local_steps_rule="adacomm:interval=6"))
    timeline, losses = result.timeline, result.replay.losses
    assert [round(one.intervals[-1].end_s) for one in told] == [6, 12, 18, 24, 30, 36]
    begin = 0
    for number, one in enumerate(told):
        now = one.intervals[-1]
        exchanges = int((timeline.applied_s <= now.end_s).sum())
        assert (now.first, now.last) == (begin, exchanges - 1)
        made_steps = [losses[row, : timeline.steps[row]] for row in range(begin, now.last)]
        assert now.loss == pytest.approx(np.concatenate(made_steps).mean())
        assert now.local_steps == (4 if not number else 2 + number % 3)
        assert one.timeline.exchanges == exchanges and one.timeline.end_s == now.end_s
        assert not len(one.timeline.unfinished)
        np.testing.assert_allclose(one.losses, [own[own != 0].mean() for own in losses[: now.last]], rtol=1e-5)
        begin = now.last
    firsts = losses[: told[-1].intervals[-1].last, 0][timeline.phase[:begin] == 0]
    assert told[-1].initial_loss == pytest.approx(firsts.mean())


def test_an_interval_without_an_exchange_is_part_of_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Seen] = []
    monkeypatch.setattr(AdaComm, "next_steps", lambda self, seen: told.append(seen) or 4)
    made(of(local_steps_rule="adacomm:interval=0.3", seconds=12))
    firsts = [one.intervals[-1].first for one in told]
    assert firsts == [0, *(one.intervals[-1].last for one in told[:-1])]
    assert all(one.intervals[-1].last > one.intervals[-1].first for one in told)
    assert len(told) < 40


def test_the_findings_are_those_of_the_committed_runs() -> None:
    """By how much each rule is ahead of the best fixed λ, in points of area, seed by seed."""
    results = Path(__file__).parent.parent / "results"
    runs = pd.read_csv(results / "adaptive-steps" / "summary.csv").set_index("run_id")
    curves = pd.read_csv(results / "adaptive-steps" / "curves.csv.gz")[["run_id", "time_s", "test_accuracy"]].dropna()
    runs["area"] = [
        (own.test_accuracy * np.diff(own.time_s, append=100.0)).sum() / 100
        for own in (curves[curves.run_id == run] for run in runs.index)
    ]
    runs["rule"] = runs.local_steps_rule.fillna("fixed") + runs.rule_growth.map({0: " without growth"}).fillna("")
    by_seed = runs.pivot_table(index="seed", columns=["delays", "rule", "local_steps"], values="area")
    text = (results / "FINDINGS.md").read_text(encoding="utf-8").partition("## Does a λ that adapts")[2]
    found = [re.findall(r"([+−]\d+\.\d) ± (\d+\.\d)", line) for line in text.splitlines()]
    rows = [row for row in found if len(row) == 3]
    rules = [("by-growth", 13), ("by-growth without growth", 13), ("by-growth", 5), ("adacomm", 20), ("post-local", 20)]
    for said, rule in zip(rows, rules, strict=True):
        for (mean, half), delays in zip(said, ("paper-cluster", "heterogeneous", "wide-area"), strict=True):
            fixed = by_seed[delays]["fixed"]
            assert fixed.mean().idxmax() == 13
            ahead = 100 * (by_seed[delays][rule] - fixed[13])
            assert f"{ahead.mean():+.1f}".replace("-", "−") == mean
            assert f"{2.7764 * ahead.std() / np.sqrt(5):.1f}" == half
            assert len(ahead) == 5


# --- what is refused ---


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"seconds": None, "gradient_steps": 100}, "something else than `seconds` ends the run"),
        ({"gradient_steps": 100}, "something else than `seconds` ends the run"),
        ({"shares": "equal", "gradient_steps": 100}, "something else than `seconds` ends the run"),
        ({"local_steps_rule": "adacomm:interval=0.001"}, "more than 10000 intervals of 0.001 s"),
    ],
)
def test_a_run_that_such_a_rule_cannot_follow_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInput) as refused:
        of(**{"local_steps_rule": "adacomm", **options})
    assert refused.value.option == "local_steps_rule" and said in refused.value.problem


def test_no_clock_runs_alone_with_such_a_rule(tmp_path: Path, command: Command) -> None:
    config = of(local_steps_rule="adacomm")
    for simulated in (timeline_of, lambda one: [*timelines_of([one, one])], lambda one: active_timeline_of(one, 50)):
        with pytest.raises(BadInput, match="local_steps_rule"):
            simulated(config)
    words = ["--local-steps-rule", "by-growth", "--seconds", "50", "--out", tmp_path]
    code, _, error = command("timeline", "--workers", "5", *words)
    assert code == 2 and "--local-steps-rule by-growth" in error and "only the clock runs here" in error
    assert len(error.splitlines()) == 1
    result = made(of(seconds=10))
    pd.DataFrame(columns.commits(result.timeline)).to_csv(tmp_path / "t.csv", index=False)
    code, _, error = command("run", "--timeline", tmp_path / "t.csv", "--local-steps-rule", "adacomm")
    assert code == 2 and "a recorded timeline is over" in error and len(error.splitlines()) == 1


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("0", "gave int64[] from 0 to 0, not a whole number from 1 to 1000000"),
        ("1", "gave float64[] from 2.5 to 2.5, not"),
        ("2", "gave int64[2] from 1 to 2, not"),
        ("3", "gave int64[] from 1e+07 to 1e+07, not"),
        ("5", "ZeroDivisionError"),
    ],
)
def test_mistakes_of_a_users_rule_are_shown(mine: Path, kind: str, said: str) -> None:
    with pytest.raises(UserCodeError) as failed:
        made(of(local_steps_rule=f"{mine}:Wrong:kind={kind}"))
    assert "Wrong.next_steps(seen up to 5 s)" in str(failed.value) and said in str(failed.value)


@pytest.mark.parametrize(("name", "said"), [("Without", "None"), ("Backwards", "-1")])
def test_a_rule_without_an_interval_is_refused(mine: Path, name: str, said: str) -> None:
    with pytest.raises(UserCodeError, match=f"{name}.interval is {said}, not seconds above 0"):
        of(local_steps_rule=f"{mine}:{name}")


def test_a_rule_that_asks_for_more_than_a_run_can_hold_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AdaComm, "next_steps", lambda self, seen: 1)
    config = of(local_steps_rule="adacomm:interval=100000", seconds=2e7, local_steps=100_000, batch_size=1)
    with pytest.raises(BadInput, match="local_steps_rule"):
        AdaptingClock(config).tell(100_000.0, 1)


def test_a_users_rule_travels_with_its_run(mine: Path) -> None:
    """To another process or machine, where the same comes of it."""
    config = of(local_steps_rule=f"{mine}:Listed")
    sent = pickle.loads(pickle.dumps(config))
    assert sent == config and sent.run_id == config.run_id
    assert_same(made(sent), made(config))
    other = of(local_steps_rule=f"{mine}:Listed:interval=2")
    assert len({config.run_id, other.run_id, of().run_id}) == 3


def test_the_rule_of_the_page_on_local_steps_doubles_after_an_interval_without_progress() -> None:
    page = (Path(__file__).parent.parent / "docs" / "choose-lambda.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(# patient\.py\n.*?)```", page, flags=re.DOTALL)
    names: dict[str, Any] = {"__name__": "patient"}
    exec(compile(code, "patient.py", "exec", dont_inherit=True), names)
    rule = names["Patient"]()
    losses = [[1.0], [1.0, 0.5], [1.0, 0.5, 0.5], [1.0, 1.5]]
    assert [rule.next_steps(seen(known, now=7)) for known in losses] == [7, 7, 14, 14]
    assert rule.next_steps(seen([1.0, 1.5], now=900)) == 1000
