"""The draws: their distribution, and that each is a function of (seed, worker, phase, kind) alone."""

from __future__ import annotations

import numpy as np
import pytest

from agn_bench.delays import Constant, Gamma, Profile, draw_delays, load_profile, parse_profile
from agn_bench.inputs import BadInput

EVERYTHING_RANDOM = Profile("all", Gamma(1, 0.5), Gamma(2, 0.5), Gamma(3, 0.5), Gamma(4, 0.5), order="random")


@pytest.mark.parametrize(("mean", "cv"), [(0.43, 0.29), (2.0, 1.0), (5.0, 2.0)])
def test_gamma_has_the_given_mean_and_coefficient_of_variation(mean: float, cv: float) -> None:
    """Within 4 standard errors (significance 6e-5): of the mean, cv mean / √N; of the variance, from the kurtosis."""
    count = 200_000
    sample = Gamma(mean, cv).draw(np.random.default_rng(0), count)
    deviation = cv * mean
    assert abs(sample.mean() - mean) < 4 * deviation / np.sqrt(count)
    excess_kurtosis = 6 * cv**2
    assert abs(sample.var() - deviation**2) < 4 * deviation**2 * np.sqrt((2 + excess_kurtosis) / count)


def test_a_phase_lasts_the_sum_of_its_steps() -> None:
    steps = draw_delays(EVERYTHING_RANDOM, 3, 2, 20, 1).compute
    phases = draw_delays(EVERYTHING_RANDOM, 3, 2, 5, 4).compute
    np.testing.assert_allclose(phases, steps.reshape(2, 5, 4).sum(axis=2), rtol=1e-15)


def test_draws_do_not_depend_on_how_many_workers_or_phases_there_are() -> None:
    small, large = draw_delays(EVERYTHING_RANDOM, 3, 4, 6, 2), draw_delays(EVERYTHING_RANDOM, 3, 9, 11, 2)
    for kind in ("compute", "up", "down", "server"):
        np.testing.assert_array_equal(getattr(small, kind), getattr(large, kind)[:4, :6])
    assert small.order is not None
    assert large.order is not None
    np.testing.assert_array_equal(small.order, large.order[:24])


def test_seeds_workers_and_kinds_draw_differently() -> None:
    one, other = draw_delays(EVERYTHING_RANDOM, 0, 2, 50, 1), draw_delays(EVERYTHING_RANDOM, 1, 2, 50, 1)
    streams = [*one.compute, *other.compute, *(one.up / 2), *(one.down / 3), *(one.server / 4)]
    for i, a in enumerate(streams):
        for b in streams[:i]:
            assert abs(np.corrcoef(a, b)[0, 1]) < 0.6  # independent: standard error 0.14


def test_the_papers_cluster_is_what_the_protocol_says() -> None:
    profile = load_profile("paper-cluster")
    assert profile.step == Gamma(0.43, 0.29)
    assert (profile.up, profile.down, profile.server) == (Constant(0.18), Constant(0.18), Constant(0.407))
    assert profile.order == "random"


def test_the_ideal_profile_has_steps_of_a_second_and_nothing_else() -> None:
    profile = load_profile("ideal")
    assert profile.step == Constant(1.0)
    assert profile.up == profile.down == profile.server == Constant(0.0)
    assert profile.order == "fifo"


STEP = {"distribution": "constant", "mean": 1.0}


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ({}, "[step] is missing"),
        ({"step": STEP, "sever": STEP}, "did you mean server?"),
        ({"step": {"distribution": "gama", "mean": 1, "cv": 1}}, "did you mean gamma?"),
        ({"step": {"distribution": "gamma", "mean": 1}}, "step.cv"),
        ({"step": {"distribution": "gamma", "mean": 1, "cv": 0}}, "above 0"),
        ({"step": {"distribution": "constant", "mean": 1, "cv": 1}}, "cv"),
        ({"step": {"distribution": "constant", "mean": 0}}, "above 0"),
        ({"step": {"distribution": "constant", "mean": float("nan")}}, "not a finite number"),
        ({"step": {"distribution": "constant", "mean": "fast"}}, "not a finite number"),
        ({"step": STEP, "up": {"distribution": "constant", "mean": -1}}, "0 or more"),
        ({"step": 5}, "not a table"),
        ({"step": STEP, "server": 5}, "not a table"),
        ({"step": STEP, "server": {**STEP, "order": "lifo"}}, "fifo, random"),
    ],
)
def test_a_bad_profile_is_refused_with_what_is_wrong(table: dict[str, object], says: str) -> None:
    with pytest.raises(BadInput) as refused:
        parse_profile("mine", table)
    assert says in str(refused.value)
