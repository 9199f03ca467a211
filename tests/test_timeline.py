"""The clock, against an independent heapq simulation, against closed forms, and against what must hold of any queue."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import profiles, reference_log

from agn_bench.delays import Constant, Gamma, Profile, draw_delays, load_profile, profile_names
from agn_bench.timeline.events import simulate_timeline
from agn_bench.timeline.record import Timeline

TIMES = ("start_s", "compute_end_s", "arrive_s", "served_s", "applied_s", "resume_s")


def timeline_of(profile: Profile, workers: int, phases: int, local_steps: int = 3, seed: int = 0) -> Timeline:
    return simulate_timeline(draw_delays(profile, seed, workers, phases, local_steps))


@pytest.mark.parametrize("workers", [1, 2, 3, 8, 40, 64, 65, 300])
@pytest.mark.parametrize(
    "profile", [*profiles(), *map(load_profile, profile_names())], ids=lambda profile: profile.name
)
def test_agrees_with_the_heapq_simulation(profile: Profile, workers: int) -> None:
    draws = draw_delays(profile, 5, workers, 12, 4)
    timeline, log = simulate_timeline(draws), reference_log(draws)
    for column in ("worker", "phase", "staleness"):
        np.testing.assert_array_equal(getattr(timeline, column), [row[column] for row in log], column)
    for column in TIMES:
        np.testing.assert_allclose(getattr(timeline, column), [row[column] for row in log], rtol=0, atol=1e-9)


def test_agrees_with_the_heapq_simulation_over_a_hundred_thousand_exchanges() -> None:
    draws = draw_delays(load_profile("paper-cluster"), 1, 40, 2500, 1)
    timeline, log = simulate_timeline(draws), reference_log(draws)
    np.testing.assert_array_equal(timeline.worker, [row["worker"] for row in log])
    np.testing.assert_allclose(timeline.applied_s, [row["applied_s"] for row in log], rtol=0, atol=1e-9)


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


@pytest.mark.parametrize("profile", profiles(), ids=lambda profile: profile.name)
def test_the_server_serves_one_at_a_time_and_is_never_idle_while_one_waits(profile: Profile) -> None:
    timeline = timeline_of(profile, 20, 30)
    assert (timeline.served_s[1:] >= timeline.applied_s[:-1]).all()
    free = np.concatenate([[0.0], timeline.applied_s[:-1]])
    # Whoever is served later was not yet there when the server stood idle.
    first_to_come = np.minimum.accumulate(timeline.arrive_s[::-1])[::-1]
    np.testing.assert_array_equal(timeline.served_s, np.maximum(free, first_to_come))


@pytest.mark.parametrize("order", ["fifo", "random"])
def test_fifo_serves_by_arrival_and_random_does_not(order: str) -> None:
    timeline = timeline_of(Profile("busy", Gamma(0.1, 0.5), server=Constant(1.0), order=order), 20, 50)
    assert bool((np.diff(timeline.arrive_s) >= 0).all()) is (order == "fifo")


def test_random_order_is_uniform_over_those_waiting() -> None:
    """All twelve wait from the start: rank of the first served, chi-square with 11 degrees, significance 0.001."""
    profile = Profile("crowd", Constant(1.0), server=Constant(0.1), order="random")
    first = [timeline_of(profile, 12, 1, seed=seed).worker[0] for seed in range(1200)]
    observed = np.bincount(first, minlength=12)
    assert ((observed - 100) ** 2 / 100).sum() < 31.26


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
