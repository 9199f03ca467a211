"""λ of a worker and over a run: rules in closed form; clock and replay against the plain loops; one compilation."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
import reference
from conftest import (
    ONE_LAYER,
    PERCEPTRON,
    Figure,
    examples,
    initial_params,
    local_optimizer,
    profiles,
    reference_clock,
    steps_by_worker,
    tried,
)
from hypothesis import given
from hypothesis import strategies as st
from test_rules import WAITING, assert_phases, rules_for
from test_simulate import distance

from agn_bench.base.inputs import BadInput
from agn_bench.base.quantities import declared_numbers
from agn_bench.base.user_code import UserCodeError
from agn_bench.clock import Constant, Draws, Exponential, Gamma, Lognormal, Profile, draw_delays, load_profile
from agn_bench.clock.distributions import Distribution, draw_sums, draw_sums_of
from agn_bench.clock.events import simulate_timeline
from agn_bench.clock.rules import Rules
from agn_bench.clock.stops import NEVER, Stop
from agn_bench.clock.timeline import Timeline
from agn_bench.config.plan import phase_steps, planned
from agn_bench.config.resolving import resolve
from agn_bench.config.run import RunConfig
from agn_bench.execution.one import load_once
from agn_bench.optimizers import OPTIMIZERS, Commit, Optimizer, Server, Worker, as_pytree, each, optimizer
from agn_bench.optimizers.agn import Agn
from agn_bench.problems.datasets import Dataset
from agn_bench.training import columns
from agn_bench.training.carry import Training
from agn_bench.training.checks import check_optimizer
from agn_bench.training.records import Progress, RunResult
from agn_bench.training.simulate import simulate
from agn_bench.training.task import task_of
from agn_bench.training.timing import active_timeline_of, timeline_of

Command = Callable[..., tuple[int, str, str]]
SMALL = {"problem": "quadratic", "workers": 4, "local_steps": 3, "gradient_steps": 120, "delays": "stragglers"}


def of(**options: Any) -> RunConfig:
    return resolve({**SMALL, **options})


def made(config: RunConfig) -> RunResult:
    return simulate(config, load_once(config.trains, None))


def files_of(result: RunResult) -> list[pd.DataFrame]:
    """What a run's files hold, but for the columns that say what was asked for."""
    summary = {name: value for name, value in columns.summary(result).items() if name not in CONFIGURED}
    tables = columns.curve(result), columns.commits(result.timeline)
    return [pd.DataFrame([summary]), *map(pd.DataFrame, tables)]


CONFIGURED = {"configuration", "local_steps", "local_steps_rule", "rule_after", "rule_alpha", "rule_most"}


# --- rules ---


def test_dylu_of_deepminds_toy_is_20_15_7_3() -> None:
    """google-deepmind/asyncdiloco: 0.58, 0.75, 1.51 and 3.33 s a step, 20 steps a phase (Liu et al. 2024)."""
    tiers = ["workers.speeds=tiers:factors=0.58,0.75,1.51,3.33:weights=1,1,1,1"]
    config = of(local_steps=20, gradient_steps=400, local_steps_rule="by-speed", delays="ideal", delay=tiers)
    plan = planned(config)
    assert plan.phases.tolist() == [5, 6, 14, 33]
    assert plan.steps.tolist() == [20] * 5 + [15] * 6 + [7] * 14 + [3] * 33
    assert (config.exchanges, config.phases) == (58, 33)


@pytest.mark.parametrize(("local_steps", "slow", "fastest"), [(15, 3.0, 5), (10, 10.0, 1), (3, 100.0, 1), (7, 0.7, 7)])
def test_by_speed_loses_no_step_to_rounding(local_steps: int, slow: float, fastest: int) -> None:
    """λ v / v_max that is a whole number stays one; it is never below 1; the fastest worker has λ."""
    delay = [f"workers.speeds=tiers:factors=1,{slow}:weights=1,3"]
    config = of(local_steps=local_steps, local_steps_rule="by-speed", delays="ideal", delay=delay)
    found = phase_steps(config, np.ones(4, int)).tolist()
    assert max(found) == local_steps
    assert found[-1] == (fastest if slow > 1 else local_steps)


def test_post_local_changes_at_its_share_of_the_work() -> None:
    """Equal shares of 30: ten phases of a step, and then whole phases of 3 while they fit; open ones by speed."""
    assert planned(of(local_steps_rule="post-local:after=0.3")).steps.tolist() == 4 * ([1] * 9 + [3] * 7)
    assert planned(of(local_steps_rule="post-local:after=0.34")).steps.tolist() == 4 * ([1] * 11 + [3] * 6)
    speeds = {"delays": "ideal", "delay": ["workers.speeds=tiers:factors=1,3:weights=1,1"], "workers": 2}
    plan = planned(of(local_steps_rule="post-local", shares="open", **speeds))
    steps = np.split(plan.steps, plan.phases[:1])
    # The fast one is expected to make 90 of 120 steps, the slow one 30.
    assert [(own == 1).sum() for own in steps] == [45, 15]


@pytest.mark.parametrize("waits", [False, True])
def test_of_a_time_the_change_is_where_the_means_let_expect_it(waits: bool) -> None:
    """Constant delays: the first phase of λ is the first that begins after the share of the time. Who waits for others
    takes as long as the slowest.
    """
    seconds, after = 200.0, 0.4
    delay = ["step.mean=2", *(f"{part}.distribution=constant:mean=0.25" for part in ("up", "down", "server"))]
    delay += ["workers.speeds=tiers:factors=1,2:weights=3,1", "workers.start_interval=0.5"]
    config = of(
        gradient_steps=None, seconds=seconds, delays="ideal", delay=[*delay, "server.channels=4"],
        optimizer="local-sgd" if waits else "agn", local_steps_rule=f"post-local:after={after}",
    )  # fmt: skip
    timeline = timeline_of(config)
    lasts_s = 2 * np.array([2, 2, 2, 2] if waits else [1, 1, 1, 2]) + 0.75  # of one step, if nobody waits
    for worker in range(4):
        own = timeline.worker == worker
        start, steps = timeline.start_s[own], timeline.steps[own]
        change = start[np.argmax(steps == 3)]
        assert {*steps.tolist()} == {1, 3}
        assert (np.diff(steps) >= 0).all()
        assert -1 <= change - after * seconds <= lasts_s[worker] + 1


def test_qsr_grows_with_the_square_of_the_rate() -> None:
    """(α / η)² at the phase's beginning, and no longer than what is left; by default it is λ at the whole rate."""
    config = of(gradient_steps=4 * 1000, local_steps_rule="qsr:most=40", schedule="step:at=0.25,0.5,0.75:factor=0.5")
    steps = planned(config).steps
    expected, before = [], 0
    while before + 3 <= 1000:
        factor = 0.5 ** sum(before / 1000 > at for at in (0.25, 0.5, 0.75))  # Optax counts a moment to what was before
        expected.append(max(3, math.floor(min(3 / factor**2, 40, 1000 - before))))
        before += expected[-1]
    assert steps[: len(expected)].tolist() == expected
    assert {3, 12, 40} <= {*expected}
    assert steps.sum() == 4 * before and before > 997


def test_qsr_of_a_cosine_with_alpha_is_the_plain_loop_and_does_not_grow_while_the_rate_warms_up() -> None:
    config = of(
        gradient_steps=4 * 500, local_steps_rule="qsr:alpha=0.5:most=1000", schedule="cosine:warmup=0.1",
        learning_rate=0.25,
    )  # fmt: skip
    steps = planned(config).steps[: planned(config).phases[0]].tolist()
    before = 0
    for number, count in enumerate(steps):
        progress = before / 500
        decayed = 0.25 * (1 + math.cos(math.pi * max(0.0, progress - 0.1) / 0.9)) / 2
        grown = max(3, math.floor(min((0.5 / decayed) ** 2, 500 - before)))
        assert abs(count - grown) <= 1 if progress > 0.1 else count == 4, (number, count, grown)
        before += count
    assert 497 < before <= 500
    assert steps[0] == 4 and max(steps) > 50


# --- where all phases are alike it is the run without a rule ---


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"local_steps_rule": "by-speed", "delays": "paper-cluster"}, {"delays": "paper-cluster"}),
        ({"local_steps_rule": "post-local:after=0"}, {}),
        ({"local_steps_rule": "post-local:after=1"}, {"local_steps": 1}),
        ({"local_steps_rule": "qsr"}, {}),
        ({"local_steps_rule": "post-local:after=0", "gradient_steps": None, "seconds": 30}, {"seconds": 30}),
        ({"local_steps_rule": "post-local:after=1", "shares": "open"}, {"local_steps": 1, "shares": "open"}),
        ({"local_steps_rule": "post-local:after=0", "optimizer": "local-sgd"}, {"optimizer": "local-sgd"}),
    ],
    ids=lambda options: " ".join(map(str, options.values())),
)
def test_alike_phases_are_those_of_no_rule_to_the_bit(one: dict[str, Any], other: dict[str, Any]) -> None:
    if "seconds" in other:
        other = {**other, "gradient_steps": None}
    with_rule, without = made(of(**one)), made(of(**other))
    assert with_rule.timeline.own_steps is None
    for mine, theirs in zip(files_of(with_rule), files_of(without), strict=True):
        pd.testing.assert_frame_equal(mine, theirs, check_exact=True)
    jax.tree.map(np.testing.assert_array_equal, with_rule.replay.center, without.replay.center)


def test_a_rule_renames_no_run_that_has_none_and_has_columns_where_there_is_one() -> None:
    assert of(local_steps_rule="fixed").run_id == of().run_id
    assert "local_steps_rule" not in of().as_dict() | columns.configuration(of())
    config = of(local_steps_rule="post-local:after=0.25")
    assert config.run_id != of().run_id
    row = columns.configuration(config)
    assert (row["local_steps"], row["local_steps_rule"], row["rule_after"]) == (3, "post-local", 0.25)
    assert RunConfig.of(**{**SMALL, "local_steps_rule": "by-speed"}) == of(local_steps_rule="by-speed")


# --- draws ---

DISTRIBUTIONS = [
    Constant(0.3),
    Gamma(0.3, 0.7),
    Exponential(0.3),
    Lognormal(0.3, 0.7),
    load_profile("paper-cluster").up,
]
DISTRIBUTIONS += [load_profile("wide-area").step]


@pytest.mark.parametrize("distribution", DISTRIBUTIONS, ids=lambda one: type(one).__name__)
def test_sums_of_draws(distribution: Distribution, monkeypatch: pytest.MonkeyPatch) -> None:
    """To the bit: of as many terms each they are those of today; the first do not depend on how many there are, nor on
    how many are drawn at once. The mean and the variance of each are those of a sum.
    """

    def drawn(terms: Any) -> np.ndarray:
        return draw_sums_of(distribution, np.random.default_rng(3), np.asarray(terms))

    for terms in (1, 7, 40):
        alike = draw_sums(distribution, np.random.default_rng(3), 500, terms)
        np.testing.assert_array_equal(drawn([terms] * 500), alike)
    varied = np.random.default_rng(4).integers(1, 50, 800)
    whole = drawn(varied)
    np.testing.assert_array_equal(drawn(varied[:300]), whole[:300])
    monkeypatch.setattr("agn_bench.clock.distributions._DRAWS_AT_ONCE", 60)
    np.testing.assert_array_equal(drawn(varied), whole)
    mean, variance = distribution.moments()
    if variance:
        normal = (whole - varied * mean) / np.sqrt(varied * variance)
        assert abs(normal.mean()) < 5 / np.sqrt(len(whole))
        assert 0.7 < normal.std() < 1.3
    else:
        np.testing.assert_allclose(whole, varied * mean, rtol=1e-15)


# --- clock ---


def varied_draws(profile: Profile, seed: int, workers: int, phases: Any, most: int, size: int = 0) -> Draws:
    """Draws whose λ vary by worker and by phase."""
    counts = np.broadcast_to(phases, (workers,))
    steps = np.random.default_rng(seed + 1).integers(1, most + 1, counts.sum()).astype(np.int32)
    return draw_delays(profile, seed, workers, counts, steps, size)


@st.composite
def cases(draw: Any) -> tuple[Draws, Rules, Stop]:
    workers = draw(st.integers(1, 20))
    profile = draw(st.sampled_from([*profiles(), *WAITING]))
    draws = varied_draws(profile, draw(st.integers(0, 99)), workers, draw(st.integers(1, 9)), 9, 1000)
    stop = Stop(
        exchanges=draw(st.none() | st.integers(0, 60)),
        seconds=draw(st.none() | st.sampled_from([0.1, 1.0, 3.5, 20.0, 100.0])),
        gradient_steps=draw(st.none() | st.integers(0, 300)),
    )
    interrupts = st.builds(Rules, drop_at=st.integers(1, 3), cancels=st.just(True))
    rules = draw(st.just(Rules()) | rules_for(workers) | interrupts)
    return draws, rules, draw(st.sampled_from([NEVER, stop]))


def test_timelines_of_varied_phases_agree_with_the_plain_event_loop(figure: Figure) -> None:
    """To the bit, with the steps of phases that were applied, interrupted or are unfinished, and stops by work."""

    @examples(300)
    @given(cases())
    def attempt(case: tuple[Draws, Rules, Stop]) -> None:
        draws, rules, stop = case
        timeline, expected = simulate_timeline(draws, rules, stop), reference_clock(draws, rules, stop)
        assert timeline.exchanges == len(expected.rows)
        for column in expected.rows[0] if expected.rows else ():
            values = [row[column] for row in expected.rows]
            np.testing.assert_array_equal(getattr(timeline, column), values, column)
        assert_phases(timeline.interrupted, expected.interrupted, "answered")
        assert_phases(timeline.unfinished, expected.unfinished)
        assert timeline.end_s == expected.end_s
        steps = steps_by_worker(draws)
        for row, mine, before in zip(expected.rows, timeline.steps, timeline.steps_before, strict=True):
            count, own = row["phase"], row["worker"]
            assert mine == reference.steps_of(steps, own, count)
            assert before == sum(reference.steps_of(steps, own, phase) for phase in range(count))

    figure("invariants", what="varied λ: the timeline of the plain event loop", **tried(attempt))


def test_the_clock_does_not_depend_on_how_many_phases_are_drawn() -> None:
    """Endless shares are drawn as far as is expected, and again where that was too little."""
    config = of(gradient_steps=None, seconds=60, local_steps_rule="post-local:after=0.5", optimizer="ringmaster")
    few, many = timeline_of(config), None
    draws = draw_delays(
        config.delays, 0, 4, np.full(4, 3000), phase_steps(config, np.full(4, 3000)), config.message_bytes
    )
    many = simulate_timeline(draws, config.rules, config.stop)
    for column, values in few.rows().items():
        np.testing.assert_array_equal(values, many.rows()[column], column)


def test_by_speed_lets_a_barrier_cost_little() -> None:
    """Synchronous rounds of workers whose phases take as long: hardly anybody waits, and as many versions are made."""
    options = {"optimizer": "local-sgd", "local_steps": 12, "delays": "ideal", "gradient_steps": None, "seconds": 300}
    options["delay"] = ["workers.speeds=tiers:factors=1,2,4:weights=2,1,1"]
    slow, even = (timeline_of(of(**options, local_steps_rule=rule)) for rule in ("fixed", "by-speed"))
    waits = [timeline.answer_wait_s[timeline.answered >= 0].mean() for timeline in (slow, even)]
    assert waits[1] < 0.05 * waits[0]
    assert even.version[-1] >= 3.5 * slow.version[-1]
    assert not even.stranded
    expected = of(**options, local_steps_rule="by-speed").exchanges
    assert abs(expected - even.exchanges) <= 8  # of some hundred
    # A worker so slow that it needs longer for a step than others for λ: rounds take as long as its.
    options |= {"local_steps": 3, "delay": ["workers.speeds=tiers:factors=1,20:weights=3,1"]}
    slow, config = timeline_of(of(**options)), of(**options, local_steps_rule="by-speed")
    assert abs(config.exchanges - timeline_of(config).exchanges) <= 8
    assert config.exchanges > 2 * slow.exchanges


# --- replay ---


PROFILE = Profile("uneven", Gamma(1.0, 0.8), Gamma(0.3, 0.5), Constant(0.1), Gamma(0.2, 0.5), order="random")
RATE = 0.2


class Case:
    """One timeline of varied phases, and what both programs make of it."""

    def __init__(self, tiny: Dataset, draws: Draws, rules: Rules) -> None:
        self.tiny, self.draws, self.rules = tiny, draws, rules
        self.timeline = simulate_timeline(draws, rules)
        self.steps = steps_by_worker(draws)
        shape = (draws.workers, max(map(sum, self.steps)), 8)
        self.batches = np.random.default_rng(1).integers(0, len(tiny.train_labels), shape).astype(np.int32)

    def ours(self, optimizer: Optimizer, dtype: type = np.float64, **options: Any) -> tuple[Any, np.ndarray]:
        """The final center, and the losses, with room for the longest phase."""
        train = jnp.asarray(self.tiny.train_images, dtype), jnp.asarray(self.tiny.train_labels)
        task, initial = task_of(PERCEPTRON, ONE_LAYER(dtype))
        local = local_optimizer("sgd", RATE)
        training = Training(self.timeline, self.batches, optimizer, local, task, initial, train, **options)
        losses = []
        for first in range(0, self.timeline.exchanges, training.segment_size):
            last = min(first + training.segment_size, self.timeline.exchanges)
            losses.append(np.asarray(training.apply(first, last).losses[: last - first]))
        return jax.device_get(training.center), np.concatenate(losses)

    def plain(self, optimizer: Any) -> tuple[Any, np.ndarray]:
        """The final center, and the losses of all steps."""
        clock = reference_clock(self.draws, self.rules)
        centers, losses, _, _ = reference.train_with(
            optimizer, clock.rows, clock.interrupted, self.batches, self.tiny.train_images, self.tiny.train_labels,
            ONE_LAYER(), "sgd", RATE, workers=self.draws.workers, local_steps=self.steps,
        )  # fmt: skip
        return centers[-1], np.concatenate(losses)


RULED = {
    "agn": (reference.Agn(), Rules()),
    "local-sgd": (reference.LocalSgd(4), Rules(quorum=4, waits=True)),
    "ringmaster:threshold=3": (reference.Ringmaster(), Rules(drop_at=2, cancels=True)),
}


@pytest.mark.parametrize("together", [False, True], ids=["one by one", "batched"])
@pytest.mark.parametrize("text", RULED)
def test_replays_of_varied_phases_agree_with_the_plain_loop(tiny: Dataset, text: str, together: bool) -> None:
    """To 1e-9 in float64, with λ from 1 to 5 that varies by worker and by phase; interrupted phases use up their
    mini-batches.
    """
    plain, rules = RULED[text]
    case = Case(tiny, varied_draws(PROFILE, 5, 4, 12, 5), rules)
    assert {*case.timeline.steps.tolist()} == {1, 2, 3, 4, 5}
    assert bool(len(case.timeline.interrupted)) == rules.cancels
    with jax.enable_x64(True):
        center, losses = case.ours(OPTIMIZERS.choose(text).thing, together=together)
    expected_center, expected_losses = case.plain(plain)
    assert distance(center, expected_center) < 1e-9
    np.testing.assert_allclose(case.timeline.of_steps(losses), expected_losses, rtol=0, atol=1e-9)
    assert ((losses != 0).sum(axis=1) == case.timeline.steps).all()  # what is no step is 0


@optimizer
class Told(Optimizer):
    """c ← c + η + λ / 1000: what a commit says of its phase."""

    def commit(self, server: Server, worker: Worker, commit: Commit) -> tuple[Server, Worker]:
        new = each(lambda c: c + commit.learning_rate + commit.steps / 1000, server.center)
        return server._replace(center=new), worker


@pytest.mark.parametrize("together", [False, True], ids=["one by one", "batched"])
def test_a_commit_says_its_own_steps_and_the_rate_of_its_last_one(tiny: Dataset, together: bool) -> None:
    case = Case(tiny, varied_draws(PROFILE, 5, 4, 12, 5), Rules())
    rows, steps = np.arange(case.timeline.exchanges), case.timeline.steps
    factors = np.random.default_rng(2).random((len(rows), 5)).astype(np.float32)
    with jax.enable_x64(True):
        center, _ = case.ours(Told(), factors=factors, together=together)
        moved = jax.tree.map(lambda new, old: new - old, center, ONE_LAYER())
    expected = RATE * factors[rows, steps - 1].astype(float).sum() + steps.sum() / 1000
    for leaf in jax.tree.leaves(moved):
        np.testing.assert_allclose(leaf, expected, rtol=1e-5)


def test_a_program_that_takes_the_longest_phase_for_all_is_seen(tiny: Dataset) -> None:
    """Each of these mistakes moves the center by far more than 1e-9."""
    case = Case(tiny, varied_draws(PROFILE, 5, 4, 12, 5), Rules())
    timeline = case.timeline
    for wrong in (
        {"own_steps": np.full_like(timeline.steps, 5)},
        {"own_before": 5 * timeline.phase},
        {"own_steps": np.roll(timeline.steps, 1)},
    ):
        case.timeline = replace(timeline, **wrong)
        case.batches = np.concatenate([case.batches] * 2, axis=1)  # so that there are enough
        with jax.enable_x64(True):
            center, _ = case.ours(Agn())
        assert distance(center, case.plain(reference.Agn())[0]) > 1e-5


def test_whatever_the_steps_there_is_one_program(tiny: Dataset, compilations: Callable[..., int]) -> None:
    def train(seed: int) -> Callable[[], object]:
        case = Case(tiny, varied_draws(PROFILE, seed, 8, 9, 5), Rules())
        return lambda: case.ours(Agn(), dtype=np.float32)

    train(1)()
    assert compilations(train(2)) == 0


def test_a_schedule_goes_by_the_steps_that_a_worker_has_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """It goes by the step in a share of 30, also where phases differ; AGN is told the rate of the phase's last step."""
    seen: list[Any] = []
    monkeypatch.setattr("agn_bench.training.simulate.replay_timeline", lambda *_, factors, **__: seen.append(factors))
    config = of(schedule="constant:warmup=1", local_steps_rule="post-local")
    with pytest.raises(AttributeError):  # nothing was replayed
        made(config)
    timeline = timeline_of(config)
    factors = timeline.of_steps(seen[0])
    number = np.concatenate([np.arange(count) for count in timeline.steps])
    np.testing.assert_allclose(factors, (np.repeat(timeline.steps_before, timeline.steps) + number) / 30, atol=1e-6)


@pytest.fixture(scope="module")
def varied() -> RunResult:
    """A run of phases of 1 and of 3."""
    return made(of(problem="quadratic:noise=1", local_steps_rule="post-local", schedule="cosine", batch_size=5))


def test_only_steps_that_were_made_are_in_a_runs_files(varied: RunResult) -> None:
    timeline, replay = varied.timeline, varied.replay
    row = columns.summary(varied)
    assert {*timeline.steps.tolist()} == {1, 3}
    assert row["gradient_steps"] == timeline.steps.sum() == 4 * (15 + 15)
    assert replay.losses.shape == (timeline.exchanges, 3)
    assert not replay.losses[timeline.steps == 1, 1:].any() and replay.losses[:, 0].all()
    assert columns.commits(timeline)["steps"].tolist() == timeline.steps.tolist()


def test_the_last_mini_batch_of_a_worker_is_that_of_its_own_phase() -> None:
    """A slow worker's phases are shorter than there is room for."""
    result = made(of(problem="quadratic:noise=1", local_steps_rule="by-speed", batch_size=5))
    last = {
        worker: losses[steps - 1]
        for worker, steps, losses in zip(
            result.timeline.worker, result.timeline.steps, result.replay.losses, strict=True
        )
    }
    assert columns._last_of_workers(result, "loss") == pytest.approx(np.mean([*last.values()]))


def test_progress_shows_the_steps_of_each_segment() -> None:
    told: list[Progress] = []
    config = of(problem="quadratic:noise=1", local_steps_rule="post-local", gradient_steps=800, batch_size=5)
    result = simulate(config, load_once(config.trains, None), told.append)
    ends = [0, *(progress.exchanges for progress in told)]
    assert len(ends) > 4
    for first, last, progress in zip(ends, ends[1:], told, strict=False):
        losses = zip(result.replay.losses[first:last], result.timeline.steps[first:last], strict=True)
        made = np.concatenate([own[:steps] for own, steps in losses])
        assert progress.batch["loss"] == pytest.approx(made.mean(), rel=1e-5)


def test_the_curve_is_that_of_the_plain_loop(varied: RunResult) -> None:
    timeline, replay, config = varied.timeline, varied.replay, varied.config
    log = [
        {"start_s": start, "compute_end_s": end, "resume_s": resume}
        for start, end, resume in zip(timeline.start_s, timeline.compute_end_s, timeline.resume_s, strict=True)
    ]
    losses = [own[:steps] for own, steps in zip(replay.losses, timeline.steps, strict=True)]
    expected = reference.learning_curve(log, losses, losses, 1, config.window, [])
    found = columns.curve(varied)
    np.testing.assert_array_equal(found["gradient_steps"], [row[1] for row in expected])
    np.testing.assert_allclose(found["train_loss"], [row[2] for row in expected], rtol=1e-6)


def test_any_run_with_a_rule_agrees_with_its_timeline(quick_dataset: str, tiny: Dataset, figure: Figure) -> None:
    """Exchanges, steps and mini-batches counted three ways, whatever ends it."""
    data = tuple((images.astype(np.float32), labels) for images, labels in (tiny.train, tiny.test))
    work = st.sampled_from([
        {"gradient_steps": 160}, {"gradient_steps": 160, "shares": "open"}, {"seconds": 30.0},
        {"seconds": 30.0, "gradient_steps": 90}, {"seconds": 30.0, "gradient_steps": 160, "shares": "equal"},
    ])  # fmt: skip
    options = st.fixed_dictionaries({
        "workers": st.just(5), "local_steps": st.just(4), "dataset": st.just(quick_dataset),
        "local_steps_rule": st.sampled_from(["by-speed", "post-local", "post-local:after=0.1", "qsr:most=6"]),
        "model": st.just("mlp-8"), "batch_size": st.just(8), "seed": st.integers(0, 99),
        "schedule": st.just("cosine"), "eval_every": st.sampled_from([None, 2]),
        "delays": st.sampled_from(["paper-cluster", "stragglers", "heterogeneous"]),
        "optimizer": st.just("agn"),
    })  # fmt: skip

    @examples(16)
    @given(options, work)
    def attempt(options: dict[str, Any], work: dict[str, Any]) -> None:
        config = resolve({**options, **work})
        result = simulate(config, data)
        timeline, made = result.timeline, result.replay.exchanges
        summary, curve = columns.summary(result), columns.curve(result)
        assert result.status == "done" and made == timeline.exchanges
        assert summary["gradient_steps"] == timeline.steps.sum() == curve["gradient_steps"][-1]
        assert result.replay.losses.shape == (made, timeline.local_steps) == (made, timeline.steps.max())
        assert timeline.of_steps(result.replay.losses).all()
        assert ((result.replay.losses != 0).sum(axis=1) == timeline.steps).all()
        own = [timeline.worker == worker for worker in range(config.workers)]
        for mine in own:  # a worker's phases follow one another in its mini-batches
            np.testing.assert_array_equal(
                timeline.steps_before[mine], np.cumsum(timeline.steps[mine]) - timeline.steps[mine]
            )
        if config.shares == "equal":
            assert made <= config.exchanges == config.plan.phases.sum()
            assert config.seconds or timeline.stranded or made == config.exchanges
            assert max(timeline.steps[mine].sum() for mine in own) <= config.gradient_steps / config.workers
        elif config.gradient_steps is not None:
            assert timeline.steps.sum() <= config.gradient_steps

    figure("invariants", what="varied λ: counts agree", **tried(attempt))


def test_a_loss_that_is_not_finite_ends_a_run_of_varied_phases() -> None:
    """What is counted is what was made up to there."""
    result = made(of(local_steps_rule="post-local", learning_rate=1e30, gradient_steps=400))
    row = columns.summary(result)
    assert row["status"] == "diverged"
    assert row["gradient_steps"] == result.timeline.steps[: row["exchanges"]].sum()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_takes_steps_that_are_not_known_when_it_is_compiled(name: str) -> None:
    required = [number.name for number in declared_numbers(OPTIMIZERS[name]).values() if number.required]
    assert not required
    check_optimizer(as_pytree(OPTIMIZERS.choose(name).thing), initial_params(3), 5, 4, varied=True)


def test_measures_of_a_clock_of_varied_phases() -> None:
    from agn_bench.clock.measures import measures
    from agn_bench.clock.stability import growth_rate

    config = of(local_steps_rule="by-speed", local_steps=9, gradient_steps=900)
    timeline = timeline_of(config)
    found = measures(timeline, endless=False)
    assert found["accepted_steps"] == timeline.steps.sum() == config.plan.steps.sum()
    assert found["gradient_steps_per_s"] == pytest.approx(timeline.steps.sum() / timeline.applied_s[-1])
    alike = growth_rate(timeline.worker, 4, 9), growth_rate(timeline.worker, 4, np.full(timeline.exchanges, 9))
    assert alike[0] == alike[1] != growth_rate(timeline.worker, 4, timeline.steps)


# --- recorded timelines ---


def test_a_recorded_timeline_says_the_steps_of_each_phase(tmp_path: Path, varied: RunResult) -> None:
    """With the rule, delays and seed of the run it is that run; without, it has its own steps. Rules it does not keep,
    and other numbers of steps, are refused.
    """
    from agn_bench.execution.one import settled

    file = tmp_path / "commits.csv"
    pd.DataFrame(columns.commits(varied.timeline)).to_csv(file, index=False)
    asked = {"problem": "quadratic:noise=1", "batch_size": 5, "schedule": "cosine", "timeline": str(file)}
    (own,) = settled([resolve({**asked, "local_steps": 3, "gradient_steps": 120, "local_steps_rule": "post-local"})])
    assert own.run_id == varied.config.run_id
    recorded = resolve(asked)
    assert (recorded.local_steps, recorded.gradient_steps, recorded.exchanges) == (3, 120, varied.timeline.exchanges)
    (recorded,) = settled([recorded])
    result = made(recorded)
    np.testing.assert_array_equal(result.timeline.steps, varied.timeline.steps)
    np.testing.assert_array_equal(result.timeline.steps_before, varied.timeline.steps_before)
    np.testing.assert_array_equal(result.replay.losses, varied.replay.losses)
    (fixed,) = settled([resolve({**asked, "local_steps_rule": "fixed"})])
    assert fixed.run_id == recorded.run_id
    with pytest.raises(BadInput, match="local_steps_rule=by-speed: not by what"):
        settled([resolve({**asked, "local_steps": 3, "local_steps_rule": "by-speed"})])
    with pytest.raises(BadInput, match="local_steps=5: too large"):
        resolve({**asked, "local_steps": 5})
    with pytest.raises(BadInput, match="gradient_steps=200: not the up to 30"):
        resolve({**asked, "gradient_steps": 200})


def test_a_recorded_timeline_of_alike_phases_is_the_run_of_its_rule(tmp_path: Path) -> None:
    from agn_bench.execution.one import settled

    config, file = of(local_steps_rule="post-local:after=1"), tmp_path / "commits.csv"
    pd.DataFrame(columns.commits(timeline_of(config))).to_csv(file, index=False)
    (found,) = settled([of(local_steps_rule="post-local:after=1", timeline=str(file))])
    assert found.run_id == config.run_id


@pytest.mark.parametrize(
    ("steps", "says"),
    [
        ([2, 2, 2, 2], None),
        (["none"] * 4, None),
        ([2, 0, 2, 2], "no count; accepted: a whole number from 1"),
        ([2, 1.5, 2, 2], "no count"),
        ([2, "x", 2, 2], "not a finite number"),
    ],
)
def test_a_column_of_steps_is_checked_if_it_varies(tmp_path: Path, steps: list[Any], says: str | None) -> None:
    from agn_bench.clock.trace import read_trace

    file = tmp_path / "log.csv"
    pd.DataFrame({"worker": [0, 1, 0, 1], "applied_s": [1.0, 2, 3, 4], "steps": steps}).to_csv(file, index=False)
    if says is None:
        assert read_trace(file).timeline.own_steps is None
    else:
        with pytest.raises(BadInput, match=says):
            read_trace(file)


def test_steps_of_phases_that_a_file_leaves_out_are_those_of_the_next(tmp_path: Path) -> None:
    from agn_bench.clock.trace import read_trace

    file = tmp_path / "log.csv"
    rows = {"worker": [0, 1, 0, 1], "applied_s": [1.0, 2, 3, 4], "steps": [2, 3, 4, 1], "phase": [0, 1, 2, 2]}
    pd.DataFrame(rows).to_csv(file, index=False)
    timeline: Timeline = read_trace(file).timeline
    assert timeline.steps_before.tolist() == [0, 3, 6, 6]


# --- the command line, and a user's own rule ---


def test_the_command_line_knows_the_rules(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sketched: None
) -> None:
    monkeypatch.chdir(tmp_path)
    words = [word for name, value in SMALL.items() for word in (f"--{name.replace('_', '-')}", value)]
    code, out, _ = command("run", *words, "--local-steps-rule", "by-speed")
    assert code == 0, out
    (row,) = pd.read_csv("results/adhoc/summary.csv").to_dict("records")
    assert row["local_steps_rule"] == "by-speed"
    words = ["--workers", 4, "--local-steps", 8, "--delays", "stragglers", "--local-steps-rule", "by-speed"]
    assert command("timeline", *words, "--exchanges", 100)[0] == 0
    assert pd.read_csv("results/adhoc/timeline/commits.csv")["steps"].nunique() == 2
    assert pd.read_csv("results/adhoc/timeline/timeline.csv")["local_steps_rule"].tolist() == ["by-speed"]
    code, out, _ = command("list", "local-steps-rules")
    assert code == 0
    assert all(name in out for name in ("fixed", "by-speed", "post-local", "qsr"))


def test_a_list_of_rules_makes_a_run_of_each(tmp_path: Path) -> None:
    from agn_bench.config.experiment import read_experiment_file

    file = tmp_path / "rules.toml"
    file.write_text(
        'name = "rules"\n[[cells]]\nproblem = "quadratic"\nworkers = 4\nlocal_steps = 3\ngradient_steps = 120\n'
        'local_steps_rule = ["fixed", "by-speed", "post-local:after=0.3"]\n'
    )
    configs = read_experiment_file(file).configs
    assert configs[0].run_id == of(delays="paper-cluster").run_id
    assert [None if one.local_steps_rule is None else one.local_steps_rule.text for one in configs] == [
        None, "by-speed", "post-local:after=0.3",
    ]  # fmt: skip


OWN = """
from agn_bench.optimizers import LocalOptimizer, optimizer, quantity
from agn_bench.optimizers.local_steps import LocalStepsRule
import numpy as np
import optax

@optimizer
class Odd(LocalStepsRule):
    'odd ones'
    plus: int = quantity(0, 1000, whole=True, default=0)
    def steps(self, moment):
        return 1 + self.plus + 2 * (moment.progress > 0.5)

@optimizer
class Halves(LocalStepsRule):
    'no whole numbers'
    def steps(self, moment):
        return moment.local_steps / 2 + 0 * moment.progress

@optimizer
class NoRate(LocalOptimizer):
    'has none'
    def transformation(self):
        return optax.sgd(0.1)
"""


def test_a_rule_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("my.py").write_text(OWN)
    assert {*planned(of(local_steps_rule="my.py:Odd:plus=1")).steps.tolist()} == {2, 4}
    with pytest.raises(UserCodeError, match=r"Halves.steps\(.*not .* whole numbers from 1"):
        planned(of(local_steps_rule="my.py:Halves"))
    with pytest.raises(UserCodeError, match="gave 41 for the first phase of worker 0, whose share is 30 steps"):
        planned(of(local_steps_rule="my.py:Odd:plus=40"))
    with pytest.raises(BadInput, match=r"local_steps_rule=qsr.*goes by the learning rate, and NoRate has none"):
        of(local_steps_rule="qsr", local_optimizer="my.py:NoRate")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"local_steps_rule": "by-sped"}, "local_steps_rule=by-sped: unknown"),
        ({"local_steps_rule": "post-local:after=1.5"}, "after is too large"),
        ({"local_steps_rule": "qsr:most=0"}, "most is too small"),
        ({"local_steps_rule": "by-speed:after=1"}, "by-speed has no after"),
    ],
)
def test_what_is_not_accepted_is_refused(options: dict[str, Any], says: str) -> None:
    with pytest.raises(BadInput) as raised:
        of(**options)
    assert says in str(raised.value)


def test_a_rule_over_the_run_needs_an_end() -> None:
    from agn_bench.studies.pairs import cells

    options = {"workers": "4", "local_steps": "3", "delays": "stragglers"}
    with pytest.raises(BadInput, match=r"local_steps_rule=post-local:after=0\.5: changes over a run's work"):
        cells({**options, "local_steps_rule": "post-local"}, 50)
    (config,) = cells({**options, "local_steps_rule": "by-speed"}, 50)
    assert {*active_timeline_of(config, 50).steps.tolist()} == {1, 3}
