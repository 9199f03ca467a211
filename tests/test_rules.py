"""The clock's rules: against the plain event loop, the published clock, closed forms, and laws over random rules."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from conftest import Figure, examples, profiles, reference_clock, tried
from hypothesis import given
from hypothesis import strategies as st

from agn_bench.clock import (
    Constant,
    Draws,
    Exponential,
    Profile,
    draw_delays,
    load_profile,
    profile_names,
    ruled_events,
)
from agn_bench.clock.events import simulate_timeline
from agn_bench.clock.profile import RoundTime
from agn_bench.clock.rules import Rules
from agn_bench.clock.stops import NEVER, Stop, cut, used
from agn_bench.clock.timeline import Phases, Timeline

LOCAL_STEPS = 7
WAITING = [
    Profile("exchanged at the same time", Constant(1.0), Constant(0.5), Constant(0.25), Constant(0.25), channels=3),
    Profile("three channels", *[Exponential(mean) for mean in (1.0, 0.3, 0.3, 0.8)], order="random", channels=3),
    Profile("no time at all", Constant(1e-9)),
]


@st.composite
def rules_for(draw: Any, workers: int) -> Rules:
    waits = draw(st.booleans())
    drop_at = draw(st.none() | st.integers(1, 2 * workers))
    return Rules(
        quorum=draw(st.integers(1, workers if waits else 3 * workers)),
        waits=waits,
        drop_at=drop_at,
        cancels=drop_at is not None and draw(st.booleans()),
        ahead=draw(st.none() | st.integers(0, 4)),
        grace_s=draw(st.sampled_from([0.0, 0.0, 0.25, 2.0, math.inf])),
    )


@st.composite
def cases(draw: Any) -> tuple[Draws, Rules, Stop]:
    workers = draw(st.integers(1, 40))
    profile = draw(st.sampled_from([*profiles(), *WAITING, *map(load_profile, profile_names())]))
    draws = draw_delays(profile, draw(st.integers(0, 99)), workers, draw(st.integers(1, 9)), LOCAL_STEPS, 1000)
    if draw(st.booleans()):
        draws = replace(draws, collective=RoundTime(draw(st.sampled_from([0.0, 0.25])), 0.5))
    stop = Stop(
        exchanges=draw(st.none() | st.integers(0, 60)),
        seconds=draw(st.none() | st.sampled_from([0.1, 1.0, 3.5, 20.0, 100.0])),
        gradient_steps=draw(st.none() | st.integers(0, 400)),
    )
    return draws, draw(rules_for(workers)), draw(st.sampled_from([NEVER, stop]))


def test_rules_agree_with_the_plain_event_loop(figure: Figure) -> None:
    """To the bit: every time, version, answer, interruption and phase that was left."""

    @examples(1500)
    @given(cases())
    def attempt(case: tuple[Draws, Rules, Stop]) -> None:
        draws, rules, stop = case
        timeline, expected = simulate_timeline(draws, rules, stop), reference_clock(draws, rules, stop)
        for column in expected.rows[0] if expected.rows else ():
            values = [row[column] for row in expected.rows]
            np.testing.assert_array_equal(getattr(timeline, column), values, column)
        assert timeline.exchanges == len(expected.rows)
        assert_phases(timeline.interrupted, expected.interrupted, "answered")
        assert_phases(timeline.unfinished, expected.unfinished)
        assert timeline.end_s == expected.end_s
        assert timeline.stranded == len(expected.stranded)

    figure("invariants", what="rules: the timeline of the plain event loop", **tried(attempt))


def assert_phases(found: Phases, expected: list[dict[str, Any]], *more: str) -> None:
    names = ("worker", "phase", "start_s", "end_s", "steps", *more)
    rows = zip(*(getattr(found, name).tolist() for name in names), strict=True)
    assert sorted(rows) == sorted(tuple(phase[name] for name in names) for phase in expected)


def test_laws_of_rules(figure: Figure) -> None:
    @examples(600)
    @given(cases())
    def attempt(case: tuple[Draws, Rules, Stop]) -> None:
        draws, rules, stop = case
        timeline = simulate_timeline(draws, rules, stop)
        accepted, number = timeline.accepted, np.arange(timeline.exchanges)
        # Who is too stale is dropped, nobody else; so many that were not make a version.
        assert (accepted == (timeline.staleness < (rules.drop_at or math.inf))).all()
        np.testing.assert_array_equal(timeline.version, np.cumsum(accepted) // rules.quorum)
        assert (np.diff(timeline.applied_s) >= 0).all()
        # Every phase began from the version after its worker's last answer.
        told = {(w, p + 1): a for w, p, a in of(timeline, "worker", "phase", "answered")}
        told |= {(w, p + 1): a for w, p, a in of(timeline.interrupted, "worker", "phase", "answered")}
        begun = np.array([told.get(key, -1) for key in of(timeline, "worker", "phase")], int)
        pulled = np.where(begun < 0, 0, timeline.version[begun]) if timeline.exchanges else begun
        np.testing.assert_array_equal(timeline.pulled, pulled)
        # Nobody is answered before, and who waits contributes once a version, and goes on from a newer one.
        there = timeline.answered >= 0
        assert (timeline.answered[there] >= number[there]).all()
        newer = timeline.version[timeline.answered] > timeline.version - timeline.made
        if rules.waits:
            assert newer[there & accepted].all()
            of_version = (timeline.version - timeline.made)[accepted]
            assert len({*zip(timeline.worker[accepted], of_version, strict=True)}) == accepted.sum()
        if rules.ahead is not None and not len(timeline.interrupted) and stop is NEVER:
            assert furthest_ahead(draws, timeline) <= rules.ahead
        assert no_work_is_lost(draws, timeline)

    figure("invariants", what="rules: versions, answers, and where the work went", **tried(attempt))


def furthest_ahead(draws: Draws, timeline: Timeline) -> int:
    """How many phases a worker that begins one has made more than the slowest that has some left, at most."""
    made, most = np.zeros(draws.workers, int), 0
    begins: dict[int, list[int]] = {}
    for worker, answered in of(timeline, "worker", "answered"):
        begins.setdefault(answered, []).append(worker)
    for row, worker in enumerate(timeline.worker):
        made[worker] += 1
        active = made < draws.phases
        going_on = [one for one in begins.get(row, []) if active[one]]
        most = max([most, *(made[one] - made[active].min() for one in going_on)])
    return most


def of(part: Any, *names: str) -> list[tuple[int, ...]]:
    return [*zip(*(getattr(part, name).tolist() for name in names), strict=True)]


def no_work_is_lost(draws: Draws, timeline: Timeline) -> bool:
    """Accepted, dropped, interrupted and unfinished steps are those that workers computed, counted step by step."""
    steps = timeline.steps
    account = steps[timeline.accepted].sum() + steps[~timeline.accepted].sum()
    account += timeline.interrupted.steps.sum() + timeline.unfinished.steps.sum()
    ended = np.concatenate([timeline.compute_end_s, timeline.interrupted.end_s, timeline.unfinished.end_s])
    start = np.concatenate([timeline.start_s, timeline.interrupted.start_s, timeline.unfinished.start_s])
    parts = (timeline, timeline.interrupted, timeline.unfinished)
    worker, phase = (np.concatenate([getattr(part, name) for part in parts]) for name in ("worker", "phase"))
    compute = draws.compute[draws.first[worker] + phase]
    step = compute[:, None] * np.arange(1, LOCAL_STEPS + 1) / LOCAL_STEPS
    computed = (start[:, None] + step <= ended[:, None] + 1e-9 * (1 + ended[:, None])).sum()
    # No phase is counted twice, and none that began is missing: a worker's phases are 0, 1, 2, …
    counts = np.bincount(worker, minlength=draws.workers)
    missing = any(sorted(phase[worker == w]) != [*range(counts[w])] for w in range(draws.workers))
    return not missing and abs(int(account) - int(computed)) <= 0.01 * computed + 2


@pytest.mark.parametrize("bound", [0, 1, 3])
def test_phases_are_never_further_apart_than_the_bound_and_one(bound: int) -> None:
    """Counted at every moment: of phases that began, the latest of anybody's against the slowest's."""
    draws = draw_delays(load_profile("stragglers"), 3, 12, 30, 2)
    timeline = simulate_timeline(draws, Rules(ahead=bound))
    assert (np.bincount(timeline.worker) == 30).all()
    ends = [np.sort(timeline.applied_s[timeline.worker == worker]) for worker in range(12)]
    apart = []
    for start, phase in zip(timeline.start_s, timeline.phase, strict=True):
        done = [np.searchsorted(end, start, side="right") for end in ends]
        apart.append(phase - min(done))
    assert max(apart) == bound
    free = simulate_timeline(draws, Rules(ahead=10**6))
    assert_same_rows(free, simulate_timeline(draws))


def assert_same_rows(one: Timeline, other: Timeline) -> None:
    for column, values in one.rows().items():
        np.testing.assert_array_equal(values, other.rows()[column], column)


@pytest.mark.parametrize("name", profile_names())
def test_the_loop_for_rules_gives_without_rules_what_the_loop_without_gives(name: str) -> None:
    for workers, phases in ((1, 30), (40, 30), (100, 9)):
        draws = draw_delays(load_profile(name), 1, workers, phases, 5, 4000)
        assert_same_rows(ruled_events.simulate(draws, Rules(), NEVER), simulate_timeline(draws))


# --- published, and closed forms ---

TOY = np.array([0.58, 0.75, 1.51, 3.33])
"""Seconds a step of the four workers of google-deepmind/asyncdiloco's toy; 20 steps a phase."""


def toy(phases: int) -> Draws:
    total = 4 * phases
    nothing = np.zeros(total)
    return Draws(
        20, np.full(4, phases), np.zeros(4), np.repeat(20 * TOY, phases), nothing, nothing, nothing, nothing - 1.0
    )


def test_the_published_clock_of_asynchronous_local_sgd_to_the_last_digit() -> None:
    timeline = simulate_timeline(toy(40), Rules(grace_s=0.5))
    times = timeline.applied_s[[39, 79]]  # 800 and 1600 steps
    assert [f"{time:.2f}" for time in times] == ["209.00", "406.40"]
    synchronous = simulate_timeline(toy(5), Rules(quorum=4, waits=True))
    np.testing.assert_allclose(synchronous.applied_s[3::4], 66.6 * np.arange(1, 6), rtol=1e-12)


def test_synchronous_is_an_endless_grace_period_and_a_buffer_of_all() -> None:
    for draws in (toy(5), draw_delays(load_profile("heterogeneous"), 2, 9, 6, 4)):
        n = draws.workers
        assert_same_rows(
            simulate_timeline(draws, Rules(quorum=n, waits=True)),
            simulate_timeline(draws, Rules(quorum=n, grace_s=math.inf)),
        )


def harmonic(first: int, last: int) -> float:
    return sum(1 / k for k in range(first, last + 1))


N, K, RATE = 12, 5, 2.0
CLOSED_FORMS = {
    "K-sync": (Rules(quorum=K, waits=True, drop_at=1, cancels=True), harmonic(N - K + 1, N) / RATE),
    "K-batch-sync": (Rules(quorum=K, drop_at=1, cancels=True), K / (N * RATE)),
    "K-batch-async": (Rules(quorum=K), K / (N * RATE)),
    "asynchronous": (Rules(), 1 / (N * RATE)),
    "synchronous": (Rules(quorum=N, waits=True), harmonic(1, N) / RATE),
}


@pytest.mark.parametrize("name", CLOSED_FORMS)
def test_seconds_a_version_with_exponential_phases(name: str) -> None:
    """Dutta et al. 2018, arXiv 1803.01113, within 1 %; of K-async no closed form is known."""
    rules, expected = CLOSED_FORMS[name]
    exponential = Profile("exponential", Exponential(1 / RATE))
    timeline = simulate_timeline(draw_delays(exponential, 0, N, 40_000, 1), rules, Stop(exchanges=100_000))
    assert timeline.applied_s[-1] / timeline.version[-1] == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("name", profile_names())
def test_staleness_applied_and_in_flight_adds_up(name: str) -> None:
    """Σ τ of T commits + Σ ages of what is in flight = (n − 1) T: the mean staleness is n − 1, whatever the delays."""
    draws = draw_delays(load_profile(name), 5, 20, 50, 3)
    for versions in (1, 20, 777):
        timeline = simulate_timeline(draws, stop=Stop(versions))
        newest = np.zeros(20, int)
        np.maximum.at(newest, timeline.worker, timeline.version[timeline.answered])
        ages = versions - newest
        assert timeline.staleness.sum() + ages.sum() == (20 - 1) * versions


# --- what is refused, by hand ---

REFUSED = {
    "quorum of 0": (Rules(quorum=0), "a quorum of 0"),
    "more than there are": (Rules(quorum=5, waits=True), "workers that wait for a quorum of 5"),
    "drops all": (Rules(drop_at=0), "commits dropped from staleness 0"),
    "cancels what is not dropped": (Rules(cancels=True), "cancels without drop_at"),
    "behind": (Rules(ahead=-1), "-1 phases ahead"),
    "no time": (Rules(grace_s=math.nan), "a grace period of nan s"),
    "negative time": (Rules(grace_s=-1.0), "a grace period of -1.0 s"),
    "half a commit": (Rules(quorum=1.5), "a quorum of 1.5"),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("what", REFUSED)
def test_rules_that_make_no_sense_are_refused_with_the_reason(what: str) -> None:
    rules, says = REFUSED[what]
    found = rules.problem(4)
    assert found is not None
    assert found[0] == says
    assert Rules(quorum=5, drop_at=1, cancels=True, ahead=0, grace_s=math.inf).problem(4) is None


def test_backup_workers_end_stranded_and_are_counted() -> None:
    """Whose last commits make no version any more have no answer: here 4, the run's own straggling tenth."""
    draws = draw_delays(load_profile("stragglers"), 0, 40, 10, 5)
    timeline = simulate_timeline(draws, Rules(quorum=36, waits=True, drop_at=1))
    expected = reference_clock(draws, Rules(quorum=36, waits=True, drop_at=1))
    assert timeline.stranded == len(expected.stranded) == 4
    assert np.isfinite(timeline.end_s)
    assert np.isnan(timeline.resume_s[timeline.answered < 0]).all()
    assert used(timeline).sum() == timeline.exchanges + len(timeline.interrupted)


def test_a_timeline_that_was_cut_can_be_cut_again() -> None:
    draws = draw_delays(load_profile("heterogeneous"), 4, 10, 20, 3)
    rules = Rules(quorum=4, drop_at=3, cancels=True)
    once = simulate_timeline(draws, rules, Stop(seconds=40.0))
    again = cut(once, draws, Stop(seconds=40.0))
    assert_same_rows(once, again)
    for part in ("interrupted", "unfinished"):
        for one in fields(Phases):
            np.testing.assert_array_equal(
                getattr(getattr(once, part), one.name), getattr(getattr(again, part), one.name)
            )


def test_other_rules_compile_nothing(compilations: Callable[..., int]) -> None:
    def simulate(workers: int, rules: Rules) -> Callable[[], object]:
        draws = draw_delays(load_profile("heterogeneous"), 0, workers, 20, 3)
        return lambda: simulate_timeline(draws, rules)

    simulate(10, Rules(quorum=4))()
    assert compilations(simulate(60, Rules(drop_at=3, cancels=True, ahead=2))) == 0
    assert compilations(simulate(7, Rules(quorum=7, waits=True, grace_s=1.0))) == 0
