"""The clock, against an independent heapq simulation, against closed forms, and against what must hold of any queue."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields

import jax
import numpy as np
import pytest
from conftest import MORE_IN_FULL, in_full, profiles, reference_log
from scipy import stats

from agn_bench.clock import (
    Bandwidth,
    Constant,
    Draws,
    Exponential,
    Gamma,
    GammaSpeeds,
    Ladder,
    Lognormal,
    Normal,
    Pareto,
    Profile,
    Stragglers,
    Tiers,
    compiled,
    draw_delays,
    load_profile,
    profile_names,
)
from agn_bench.clock.events import simulate_timeline
from agn_bench.clock.measures import measures, staleness_counts
from agn_bench.clock.stops import Stop
from agn_bench.clock.timeline import Timeline

TIMES = ("start_s", "compute_end_s", "arrive_s", "served_s", "applied_s", "resume_s")
COLUMNS = ("worker", "phase", *TIMES, "staleness")
MESSAGE = 400_000
TICKS = (Constant(1.0), Constant(0.5), Constant(0.25), Constant(0.25))
BUSY = (Gamma(1.0, 0.5), Constant(0.1), Gamma(0.2, 0.5), Exponential(0.05))


def varied() -> list[Profile]:
    """Whatever else a profile can have."""
    return [
        Profile("ties-fifo-share", *TICKS, order="random", fifo_share=0.3),
        Profile("busy-fifo-share", *BUSY[:3], Gamma(0.5, 0.5), order="random", fifo_share=0.3),
        Profile("ladder", *BUSY, order="random", speeds=Ladder()),
        Profile("ladder-ties", *TICKS, speeds=Ladder()),
        Profile("gamma-speeds", *BUSY, order="random", speeds=GammaSpeeds(0.6)),
        Profile("tiers-ties", *TICKS, order="random", speeds=Tiers((1.0, 2.0, 4.0), (1.0, 1.0, 1.0))),
        Profile("stragglers", *BUSY, speeds=Stragglers(0.2, 10.0)),
        Profile("one-by-one", *BUSY, order="random", start_interval=0.7),
        Profile("one-by-one-ties", *TICKS, start_interval=0.25),
        Profile("bandwidth", *BUSY, order="random", bandwidth=Bandwidth(1e6, 2e6, 5e6)),
        Profile("lognormal", Lognormal(1.0, 1.5), Lognormal(0.1, 0.5), server=Lognormal(0.05, 2.0), order="random"),
        Profile("pareto", Pareto(0.5, 1.1, 100.0), server=Pareto(0.01, 1.5, 10.0)),
        Profile("normal", Normal(1.0, 0.5, 0.1), server=Normal(0.1, 0.1), order="random"),
    ]


EVERY_PROFILE = pytest.mark.parametrize(
    "profile", [*profiles(), *varied(), *map(load_profile, profile_names())], ids=lambda profile: profile.name
)


def timeline_of(profile: Profile, workers: int, phases: int, local_steps: int = 3, seed: int = 0) -> Timeline:
    return simulate_timeline(draw_delays(profile, seed, workers, phases, local_steps))


def assert_agree(timeline: Timeline, log: list[dict[str, float]]) -> None:
    for column in ("worker", "phase", "staleness"):
        np.testing.assert_array_equal(getattr(timeline, column), [row[column] for row in log], column)
    for column in TIMES:
        np.testing.assert_allclose(getattr(timeline, column), [row[column] for row in log], rtol=0, atol=1e-9)


def who_waited(timeline: Timeline) -> list[np.ndarray]:
    """At each exchange, the workers who were at the server when it chose, by index; read off the log's columns."""
    arrivals = [[*timeline.arrive_s[timeline.worker == worker], np.inf] for worker in range(timeline.workers)]
    next_arrival = np.array([times.pop(0) for times in arrivals])
    waiting = []
    for worker, served_s in zip(timeline.worker, timeline.served_s, strict=True):
        waiting.append(np.flatnonzero(next_arrival <= served_s))
        next_arrival[worker] = arrivals[worker].pop(0)
    return waiting


@MORE_IN_FULL
@pytest.mark.parametrize("workers", in_full([1, 2, 3, 40, 64, 65, 300], [1, 3, 65]))
@EVERY_PROFILE
def test_agrees_with_the_heapq_simulation(profile: Profile, workers: int) -> None:
    draws = draw_delays(profile, 5, workers, 12, 4, MESSAGE)
    assert_agree(simulate_timeline(draws), reference_log(draws))


@MORE_IN_FULL
@pytest.mark.parametrize("workers", in_full([1, 3, 40, 65, 130], [3, 65]))
@EVERY_PROFILE
def test_agrees_with_the_heapq_simulation_when_workers_have_unequal_work(profile: Profile, workers: int) -> None:
    phases = np.random.default_rng(workers).integers(1, 25, workers)
    draws = draw_delays(profile, 6, workers, phases, 2, MESSAGE)
    timeline = simulate_timeline(draws)
    np.testing.assert_array_equal(np.bincount(timeline.worker), phases)
    assert_agree(timeline, reference_log(draws))


def test_agrees_with_the_heapq_simulation_over_many_exchanges(at_full_size: bool) -> None:
    draws = draw_delays(load_profile("paper-cluster"), 1, 40, 2500 if at_full_size else 500, 1)
    timeline, log = simulate_timeline(draws), reference_log(draws)
    np.testing.assert_array_equal(timeline.worker, [row["worker"] for row in log])
    np.testing.assert_allclose(timeline.applied_s, [row["applied_s"] for row in log], rtol=0, atol=1e-9)


@MORE_IN_FULL
@pytest.mark.parametrize("exchanges", in_full([1, 2, 63, 400, 799, 800], [1, 400]))
@EVERY_PROFILE
def test_a_timeline_cut_short_is_the_beginning_of_the_whole_one(profile: Profile, exchanges: int) -> None:
    draws = draw_delays(profile, 2, 40, 20, 3, MESSAGE)
    whole, cut = simulate_timeline(draws), simulate_timeline(draws, stop=Stop(exchanges))
    assert (cut.workers, cut.local_steps, cut.exchanges) == (40, 3, exchanges)
    for column in COLUMNS:
        np.testing.assert_array_equal(getattr(cut, column), getattr(whole, column)[:exchanges], column)


@pytest.mark.parametrize("name", profile_names())
def test_where_it_does_not_compile_as_one_kernel_it_gives_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise jax.errors.JaxRuntimeError("INTERNAL: no such kernel")

    draws = draw_delays(load_profile(name), 8, 70, 20, 3, MESSAGE)
    as_one = simulate_timeline(draws, stop=Stop(1000))
    monkeypatch.setattr(compiled, "_as_one_kernel", refuse)
    otherwise = simulate_timeline(draws, stop=Stop(1000))
    for column in COLUMNS:
        np.testing.assert_array_equal(getattr(as_one, column), getattr(otherwise, column), column)


def test_all_columns_of_a_timeline_are_looked_at_here() -> None:
    others = {"workers", "local_steps", "interrupted", "unfinished", "stopped_s", "own_steps", "own_before"}
    others |= {"absences", "joined", "joined_s", "anew", "pull_share", "on_arrival"}
    looked_at = {*COLUMNS, "pulled", "version", "accepted", "answered"} - {"staleness"}
    assert {field.name for field in fields(Timeline)} == others | looked_at


@pytest.mark.parametrize("workers", [1, 2, 7, 40])
def test_equal_constant_delays_are_round_robin_with_staleness_n_minus_1(workers: int) -> None:
    timeline = timeline_of(Profile("equal", Constant(1.0), Constant(0.1), Constant(0.1), Constant(0.3)), workers, 5)
    np.testing.assert_array_equal(timeline.worker, np.tile(np.arange(workers), 5))
    np.testing.assert_array_equal(timeline.staleness[:workers], np.arange(workers))
    assert (timeline.staleness[workers:] == workers - 1).all()


def test_a_lone_worker_never_waits_and_its_times_add_up() -> None:
    timeline = timeline_of(
        Profile("lone", Constant(0.5), Constant(0.25), Constant(0.125), Constant(1.0)), 1, 4, local_steps=2
    )
    np.testing.assert_array_equal(timeline.resume_s, 2.375 * np.arange(1, 5))
    assert (timeline.queue_wait_s == 0).all()
    assert (timeline.staleness == 0).all()
    assert timeline.end_s == 9.5
    assert [timeline.server_busy_s(exchanges) for exchanges in (0, 2, 4)] == [0.0, 2.0, 4.0]


@EVERY_PROFILE
def test_the_server_serves_one_at_a_time_and_is_never_idle_while_one_waits(profile: Profile) -> None:
    timeline = timeline_of(profile, 20, 30)
    assert (timeline.served_s[1:] >= timeline.applied_s[:-1]).all()
    free = np.concatenate([[0.0], timeline.applied_s[:-1]])
    # Whoever is served later was not yet there when the server stood idle.
    first_to_come = np.minimum.accumulate(timeline.arrive_s[::-1])[::-1]
    np.testing.assert_array_equal(timeline.served_s, np.maximum(free, first_to_come))


@EVERY_PROFILE
def test_a_worker_goes_on_at_the_very_moment_it_has_its_parameters(profile: Profile) -> None:
    timeline = timeline_of(profile, 20, 30)
    for worker in range(20):
        own = timeline.worker == worker
        assert timeline.start_s[own][0] == worker * profile.start_interval
        np.testing.assert_array_equal(timeline.start_s[own][1:], timeline.resume_s[own][:-1])
        np.testing.assert_array_equal(timeline.phase[own], np.arange(30))


@pytest.mark.parametrize("order", ["fifo", "random"])
def test_fifo_serves_by_arrival_and_random_does_not(order: str) -> None:
    timeline = timeline_of(Profile("busy", Gamma(0.1, 0.5), server=Constant(1.0), order=order), 20, 50)
    assert bool((np.diff(timeline.arrive_s) >= 0).all()) is (order == "fifo")


def test_who_came_at_the_same_moment_is_served_by_index() -> None:
    """A step of 2 s for worker 0, of 1 s for worker 1: both are there at every even second."""
    draws = draw_delays(Profile("even", Constant(1.0), speeds=Tiers((2.0, 1.0), (1.0, 1.0))), 0, 2, np.array([3, 6]), 1)
    timeline = simulate_timeline(draws)
    np.testing.assert_array_equal(timeline.worker, [1, 0, 1, 1, 0, 1, 1, 0, 1])
    np.testing.assert_array_equal(timeline.applied_s, [1, 2, 2, 3, 4, 4, 5, 6, 6])


@pytest.mark.parametrize("order", ["fifo", "random"])
def test_who_came_at_the_same_moment_is_served_by_index_among_hundreds(order: str) -> None:
    """All 200 are there at the first second, and the one just served is back before the next arrivals are gone."""
    share = {"fifo": 0.0, "random": 1.0}[order]
    profile = Profile("crowd", Constant(1.0), server=Constant(0.125), order=order, fifo_share=share)
    np.testing.assert_array_equal(timeline_of(profile, 200, 3, local_steps=1).worker, np.tile(np.arange(200), 3))


def test_random_order_is_uniform_over_those_waiting() -> None:
    """All twelve wait from the start: rank of the first served, chi-square with 11 degrees, significance 0.001."""
    profile = Profile("crowd", Constant(1.0), server=Constant(0.1), order="random")
    first = [timeline_of(profile, 12, 1, seed=seed).worker[0] for seed in range(1200)]
    observed = np.bincount(first, minlength=12)
    assert ((observed - 100) ** 2 / 100).sum() < 31.26


@pytest.mark.parametrize(("workers", "phases"), [(3, 4000), (20, 1000), (100, 300)])
def test_random_order_takes_every_rank_of_those_waiting_alike_throughout_a_run(workers: int, phases: int) -> None:
    """A saturated server, constant delays: all wait but the one just served. Chi-square of the rank by worker index of
    the one taken, at significance 1e-3, each rank expected 100 times and more.
    """
    profile = Profile("saturated", Constant(1.0), server=Constant(2.0), order="random")
    timeline = timeline_of(profile, workers, phases, local_steps=1)
    waiting = who_waited(timeline)
    counts = np.array([len(there) for there in waiting])
    often = int(np.bincount(counts).argmax())
    ranks = [
        int(np.flatnonzero(there == worker)[0])
        for worker, there in zip(timeline.worker, waiting, strict=True)
        if len(there) == often
    ]
    observed = np.bincount(ranks, minlength=often)
    expected = len(ranks) / often
    assert often == workers - 1
    assert expected > 100
    assert len(observed) == often
    assert ((observed - expected) ** 2 / expected).sum() < stats.chi2.isf(1e-3, often - 1)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.3, 0.9, 1.0])
def test_the_longest_waiting_is_taken_at_fifo_share_and_by_chance_at_the_rest(share: float) -> None:
    """Fraction s + (1 − s) / m where m wait, within 4 standard errors of a mean over so many exchanges."""
    profile = Profile("shared", Gamma(1.0, 0.5), server=Gamma(0.5, 0.3), order="random", fifo_share=share)
    timeline = timeline_of(profile, 10, 2000, local_steps=1)
    taken, expected = [], []
    arrivals = [list(timeline.arrive_s[timeline.worker == worker]) for worker in range(10)]
    for worker, there in zip(timeline.worker, who_waited(timeline), strict=True):
        taken.append(min(there, key=lambda other: arrivals[other][0]) == worker)
        expected.append(share + (1 - share) / len(there))
        arrivals[worker].pop(0)
    variance = sum(p * (1 - p) for p in expected)
    assert abs(sum(taken) - sum(expected)) <= 4 * np.sqrt(variance)
    assert np.mean(expected) <= share + (1 - share) * 0.4  # mostly three and more wait


def test_staleness_counts_the_exchanges_between_pull_and_commit() -> None:
    timeline = timeline_of(load_profile("paper-cluster"), 10, 40)
    for exchange in range(timeline.exchanges):
        own = np.flatnonzero(timeline.worker[:exchange] == timeline.worker[exchange])
        pulled_at = own[-1] if len(own) else -1
        assert timeline.staleness[exchange] == exchange - pulled_at - 1


def test_step_times_are_even_and_end_with_the_phase() -> None:
    timeline = timeline_of(load_profile("paper-cluster"), 3, 4, local_steps=5)
    stamps = timeline.step_times_s()
    np.testing.assert_allclose(stamps[:, -1], timeline.compute_end_s, rtol=1e-15)
    gaps = np.diff(np.concatenate([timeline.start_s[:, None], stamps], axis=1), axis=1)
    np.testing.assert_allclose(gaps, np.repeat(gaps[:, :1], 5, axis=1), rtol=1e-9)


def test_other_numbers_compile_nothing(compilations) -> None:  # type: ignore[no-untyped-def]
    timeline_of(load_profile("paper-cluster"), 8, 20)
    assert compilations(lambda: timeline_of(load_profile("paper-cluster"), 40, 100, local_steps=7, seed=3)) == 0


def test_neither_orders_nor_speeds_nor_ends_compile_anything(
    compilations: Callable[[Callable[[], object]], int],
) -> None:
    def draws(workers: int, phases: int | np.ndarray, profile: Profile, seed: int = 0) -> Draws:
        return draw_delays(profile, seed, workers, phases, 1, MESSAGE)

    simulate_timeline(draws(5, 3, profiles()[0]))
    others: list[tuple[Draws, int | None]] = [
        *((draws(7, 5, profile, seed=4), None) for profile in [*profiles(), *varied()]),
        *((draws(workers, 512, profiles()[4]), None) for workers in (1, 2, 63, 64)),
        (draws(30, np.arange(1, 31), profiles()[2]), None),
        *((draws(64, 512, profiles()[3]), exchanges) for exchanges in (1, 100, 32_768)),
    ]
    assert compilations(lambda: [simulate_timeline(these, stop=Stop(exchanges)) for these, exchanges in others]) == 0


def hand_made(**columns: list[float]) -> Timeline:
    """Two workers and three local steps; worker 1 is slow, waits a second for worker 0, and is not the last to end."""
    times = {
        "start_s": [0.0, 4.0, 8.0, 0.0],
        "compute_end_s": [2.0, 6.0, 10.0, 10.0],
        "arrive_s": [2.5, 6.5, 10.5, 10.5],
        "served_s": [2.5, 6.5, 10.5, 11.5],
        "applied_s": [3.5, 7.5, 11.5, 12.5],
        "resume_s": [4.0, 8.0, 14.0, 13.0],
        **columns,
    }
    worker = np.array([0, 0, 0, 1], np.int32)
    return Timeline.asynchronous(2, 3, worker, tuple(map(np.array, times.values())))


def test_measures_are_those_counted_by_hand() -> None:
    """With four values the 95th percentile is 0.85 of the way from the third to the fourth."""
    found = measures(hand_made(), endless=True)
    assert np.isnan(found.pop("growth_rate"))  # four exchanges of two workers are too few
    assert found == pytest.approx(
        {
            "exchanges": 4,
            "end_s": 14.0,
            "exchanges_per_s": 4 / 12.5,
            "gradient_steps_per_s": 12 / 12.5,
            "mean_staleness": 0.75,
            "p95_staleness": 0.85 * 3,
            "max_staleness": 3,
            "mean_queue_wait_s": 0.25,
            "p95_queue_wait_s": 0.85,
            "server_utilization": 4 / 12.5,
            "compute_share": 16 / 27,
            "wait_share": 1 / 27,
            "versions": 4,
            "versions_per_s": 4 / 12.5,
            "mean_barrier_wait_s": 0.0,
            "barrier_share": 0.0,
            "accepted_steps": 12,
            "dropped_steps": 0,
            "interrupted_steps": 0,
            "unfinished_steps": 0,
            "stranded": 0,
        },
        rel=1e-15,
    )


def test_a_timeline_without_any_time_has_no_rates() -> None:
    found = measures(hand_made(**dict.fromkeys(TIMES, [0.0] * 4)), endless=True)
    for name in ("exchanges_per_s", "gradient_steps_per_s", "server_utilization", "compute_share", "wait_share"):
        assert np.isnan(found[name])
    assert (found["end_s"], found["mean_queue_wait_s"], found["mean_staleness"]) == (0.0, 0.0, 0.75)


def test_staleness_counts_have_a_row_for_every_staleness_up_to_the_largest() -> None:
    timeline = timeline_of(load_profile("stragglers"), 10, 30)
    counts = staleness_counts(timeline)
    assert list(counts) == ["staleness", "exchanges"]
    np.testing.assert_array_equal(counts["staleness"], np.arange(timeline.staleness.max() + 1))
    assert (counts["exchanges"] == 0).any()
    for staleness, exchanges in zip(*counts.values(), strict=True):
        assert exchanges == list(timeline.staleness).count(staleness)
