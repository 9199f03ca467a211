"""The draws: their laws, against SciPy's, and that each is a function of (seed, worker, phase, kind) alone.

Where a test says 4 standard errors, its significance is 6e-5; the seeds are fixed, so it passes always or never.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from scipy import integrate, stats

from agn_bench.clock import (
    LONGEST,
    Bandwidth,
    Collective,
    Constant,
    Distribution,
    Draws,
    Empirical,
    Equal,
    Exponential,
    Gamma,
    GammaSpeeds,
    Ladder,
    Lognormal,
    Normal,
    Pareto,
    Profile,
    Recorded,
    RootLadder,
    RoundTime,
    ShiftedExponential,
    Speeds,
    Stragglers,
    Tiers,
    distributions,
    draw_delays,
    load_profile,
    profile_names,
)
from agn_bench.clock.distributions import draw_sums, law_of_sum

COUNT = 200_000
SIGNIFICANCE = 1e-3
"""The significance of the Kolmogorov-Smirnov tests."""

LOGNORMAL = stats.lognorm(s=0.7, scale=0.2)
SMOOTH: dict[str, tuple[Distribution, Any]] = {
    "normal": (Normal(0.4, 0.1), stats.truncnorm(-4, np.inf, loc=0.4, scale=0.1)),
    "normal-cut-left-of-the-mean": (Normal(0.4, 0.1, 0.35), stats.truncnorm(-0.5, np.inf, loc=0.4, scale=0.1)),
    "normal-cut-at-the-mean": (Normal(0.4, 0.1, 0.4), stats.halfnorm(loc=0.4, scale=0.1)),
    "normal-wider-than-its-mean": (Normal(0.1, 2.0), stats.truncnorm(-0.05, np.inf, loc=0.1, scale=2.0)),
    "gamma": (Gamma(0.8, 0.5), stats.gamma(4, scale=0.2)),
    "gamma-heavy": (Gamma(0.5, 2.0), stats.gamma(0.25, scale=2.0)),
    "lognormal": (Lognormal(LOGNORMAL.mean(), LOGNORMAL.std() / LOGNORMAL.mean()), LOGNORMAL),
    "exponential": (Exponential(0.3), stats.expon(scale=0.3)),
    "shifted-exponential": (ShiftedExponential(1.0, 0.7), stats.expon(loc=0.7, scale=0.3)),
}
"""With SciPy's law, in its own parameters."""
PARETO: dict[str, Pareto] = {
    "pareto-shape-1": Pareto(0.2, 1.0, 10.0),
    "pareto-shape-2": Pareto(0.2, 2.0, 10.0),
    "pareto-shape-0.8": Pareto(0.2, 0.8, 10.0),
    "pareto-shape-3.5": Pareto(0.2, 3.5, 10.0),
    "pareto-cap-close-to-the-floor": Pareto(0.2, 1.5, 0.21),
}
MEASURED = np.array([0.25, 0.5, 0.5, 4.0, 0.0])
RANDOM: dict[str, Distribution] = {
    **{name: distribution for name, (distribution, _) in SMOOTH.items()},
    **PARETO,
    "empirical": Empirical("measured", "seconds", MEASURED),
    "recorded": Recorded("measured", "worker", "time", MEASURED, np.array([2, 3])),
}
EVERY: dict[str, Distribution] = {"constant": Constant(0.4), **RANDOM}

EVERYTHING_RANDOM = Profile(
    "all", Gamma(1, 0.5), Lognormal(1, 0.5), Exponential(1), Normal(1, 0.5), "random", 0.5, speeds=GammaSpeeds(0.6)
)
TIMES = ("compute", "up", "down", "server")


def of(laws: dict[str, Any]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("law", laws.values(), ids=laws.keys())


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def assert_moments(sample: np.ndarray, mean: float, variance: float) -> None:
    """Within 4 standard errors: of the mean, √(σ² / N); of the variance, √((m₄ − σ⁴) / N), m₄ the sample's own."""
    assert abs(sample.mean() - mean) < 4 * math.sqrt(variance / len(sample))
    fourth = float(((sample - sample.mean()) ** 4).mean())
    assert abs(sample.var() - variance) < 4 * math.sqrt((fourth - variance**2) / len(sample))


# --- distributions ---


@of(RANDOM)
def test_draws_have_the_mean_and_the_variance_that_the_distribution_says(law: Distribution) -> None:
    assert_moments(law.draw(generator(), COUNT), *law.moments())


@of(SMOOTH)
def test_the_moments_are_those_of_scipys_law(law: tuple[Distribution, Any]) -> None:
    """Both are closed forms: 1e-9 is for rounding, amplified where the variance is a difference."""
    distribution, scipys = law
    assert distribution.moments() == pytest.approx(scipys.stats("mv"), rel=1e-9)


@of(PARETO)
def test_the_moments_of_a_capped_pareto_are_the_integrals_of_its_survival_function(law: Pareto) -> None:
    """E[T] = ∫ P(T > t) dt and E[T²] = ∫ 2t P(T > t) dt from 0 to the cap, where P falls to 0; quad's error is 1e-9."""

    def survival(time: float) -> float:
        return float(min(1.0, (law.floor / time) ** law.shape))

    def integral(of_time: Callable[[float], float]) -> float:
        pieces = [integrate.quad(of_time, *piece)[0] for piece in ((1e-12, law.floor), (law.floor, law.cap))]
        return float(sum(pieces))

    mean = integral(survival)
    second = integral(lambda time: 2 * time * survival(time))
    assert law.moments() == pytest.approx((mean, second - mean**2), rel=1e-7)


@of(SMOOTH)
def test_draws_follow_scipys_law(law: tuple[Distribution, Any]) -> None:
    """Kolmogorov-Smirnov, significance 1e-3."""
    distribution, scipys = law
    assert stats.kstest(distribution.draw(generator(1), COUNT), scipys.cdf).pvalue > SIGNIFICANCE


@of(PARETO)
def test_a_pareto_is_one_below_its_cap_and_what_would_take_longer_takes_the_cap(law: Pareto) -> None:
    """Below: Kolmogorov-Smirnov, significance 1e-3. At the cap: a share within 4 standard errors."""
    sample = law.draw(generator(1), COUNT)
    below = stats.truncpareto(law.shape, law.cap / law.floor, scale=law.floor)
    assert stats.kstest(sample[sample < law.cap], below.cdf).pvalue > SIGNIFICANCE
    capped = (law.floor / law.cap) ** law.shape
    assert abs((sample == law.cap).mean() - capped) < 4 * math.sqrt(capped * (1 - capped) / COUNT)


def test_measured_times_are_drawn_equally_often() -> None:
    """Chi-square with 3 degrees over the 4 different times, one of which was measured twice; significance 0.001."""
    times, drawn = np.unique(RANDOM["empirical"].draw(generator(), COUNT), return_counts=True)
    np.testing.assert_array_equal(times, [0.0, 0.25, 0.5, 4.0])
    expected = COUNT * np.array([0.2, 0.2, 0.4, 0.2])
    assert ((drawn - expected) ** 2 / expected).sum() < 16.27


def test_a_constant_takes_as_long_every_time() -> None:
    assert (Constant(0.4).draw(generator(), 1000) == 0.4).all()
    assert Constant(0.4).moments() == (0.4, 0.0)


@pytest.mark.parametrize("law", [ShiftedExponential(0.4, 0.4), Pareto(0.4, 1.5, 0.4)], ids=repr)
def test_with_no_room_above_the_floor_it_is_a_constant(law: Distribution) -> None:
    assert (law.draw(generator(), 1000) == 0.4).all()
    assert law.moments() == pytest.approx((0.4, 0.0), abs=1e-15)


@of(EVERY)
def test_no_time_is_negative_below_the_floor_or_above_the_cap(law: Distribution) -> None:
    sample = law.draw(generator(2), COUNT)
    assert sample.dtype == np.float64
    assert sample.min() >= getattr(law, "floor", 0.0)
    assert sample.max() <= getattr(law, "cap", np.inf)


@of(EVERY)
@pytest.mark.parametrize("count", [1, 7, 100])
def test_the_first_draws_do_not_depend_on_the_count(law: Distribution, count: int) -> None:
    np.testing.assert_array_equal(law.draw(generator(3), count), law.draw(generator(3), 1000)[:count])


# --- sums of steps ---


@of(RANDOM)
@pytest.mark.parametrize("terms", [1, 5])
def test_sums_have_as_many_times_the_mean_and_the_variance(law: Distribution, terms: int) -> None:
    mean, variance = law.moments()
    assert_moments(draw_sums(law, generator(4), 40_000, terms), terms * mean, terms * variance)


def test_a_sum_of_constants_is_their_multiple() -> None:
    assert (draw_sums(Constant(0.25), generator(), 100, 7) == 1.75).all()


@pytest.mark.parametrize("law", [Gamma(0.5, 0.3), Gamma(0.5, 2.0), Exponential(0.3)], ids=repr)
@pytest.mark.parametrize("terms", [2, 13])
def test_sums_drawn_at_once_have_the_law_of_sums_of_single_draws(law: Distribution, terms: int) -> None:
    """Two-sample Kolmogorov-Smirnov, significance 1e-3."""
    at_once = draw_sums(law, generator(5), 20_000, terms)
    single = law.draw(generator(6), 20_000 * terms).reshape(-1, terms).sum(axis=1)
    assert stats.ks_2samp(at_once, single).pvalue > SIGNIFICANCE


@pytest.mark.parametrize("law", [Constant(0.5), Gamma(0.5, 0.3), Exponential(0.3)], ids=repr)
def test_the_law_of_a_sum_has_as_many_times_the_mean_and_the_variance(law: Distribution) -> None:
    whole = law_of_sum(law, 13)
    assert whole is not None
    assert whole.moments() == pytest.approx(13 * np.array(law.moments()), rel=1e-12)


@of(EVERY)
@pytest.mark.parametrize("at_once", [1, 16])
def test_how_many_are_drawn_at_once_changes_no_sum(
    law: Distribution, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In pieces first, each time of another seed, as memory that is never written has often what was there before."""
    with monkeypatch.context() as patch:
        patch.setattr(distributions, "_DRAWS_AT_ONCE", at_once)
        in_pieces = draw_sums(law, generator(at_once), 50, 5)
    np.testing.assert_array_equal(in_pieces, draw_sums(law, generator(at_once), 50, 5))


# --- speeds ---


@pytest.mark.parametrize(
    ("speeds", "slowness"),
    [
        (Equal(), [1, 1, 1, 1]),
        (Ladder(), [1, 2, 3, 4]),
        (RootLadder(), [1, 1.4142135623730951, 1.7320508075688772, 2]),
        (Tiers((1.0, 3.0), (1.0, 1.0)), [1, 1, 3, 3]),
        (Stragglers(0.5, 7.0), [1, 1, 7, 7]),
    ],
    ids=repr,
)
def test_four_workers_are_as_slow_as_the_speeds_say(speeds: Speeds, slowness: list[float]) -> None:
    np.testing.assert_allclose(speeds.slowness(0, 4), slowness, rtol=1e-15)


def test_factors_of_machines_have_mean_1_and_the_given_coefficient_of_variation() -> None:
    factors = GammaSpeeds(0.6).slowness(0, 10_000)
    assert_moments(factors, 1.0, 0.36)
    assert stats.kstest(factors, stats.gamma(0.6**-2, scale=0.36).cdf).pvalue > SIGNIFICANCE


def test_no_machine_is_infinitely_fast() -> None:
    """At the largest coefficient of variation that a profile may have."""
    assert GammaSpeeds(3.0).slowness(0, 10_000).min() > 0


def test_a_machines_factor_is_a_function_of_seed_and_worker_alone() -> None:
    speeds = GammaSpeeds(0.6)
    np.testing.assert_array_equal(speeds.slowness(3, 4), speeds.slowness(3, 9)[:4])
    assert len({*speeds.slowness(3, 9), *speeds.slowness(4, 9)}) == 18


@pytest.mark.parametrize(
    ("weights", "workers", "counts"),
    [
        ((5, 3, 2), 10, (5, 3, 2)),
        ((5, 3, 2), 4, (2, 1, 1)),  # 2, 1.2, 0.8
        ((1, 2), 7, (2, 5)),  # 2.33, 4.67
        ((1, 1, 1), 10, (4, 3, 3)),  # of equal remainders, the first
        ((1, 1, 1), 11, (4, 4, 3)),
        ((1, 1), 1, (1, 0)),
        ((1, 3), 1, (0, 1)),
        ((0.1, 0.2), 30, (10, 20)),  # 0.1 + 0.2 is not 0.3
        ((1e-6, 1e6), 50, (0, 50)),
    ],
)
def test_tiers_have_whole_workers_by_the_largest_remainders(
    weights: tuple[float, ...], workers: int, counts: tuple[int, ...]
) -> None:
    factors = tuple(range(1, len(weights) + 1))
    expected = [factor for factor, count in zip(factors, counts, strict=True) for _ in range(count)]
    np.testing.assert_array_equal(Tiers(factors, weights).slowness(0, workers), expected)


def test_every_worker_is_of_one_tier_and_no_tier_is_a_worker_off_its_share() -> None:
    chosen = generator(8)
    for workers in range(1, 200):
        weights = chosen.lognormal(0, 2, size=chosen.integers(1, 8))
        slowness = Tiers(tuple(range(len(weights))), tuple(weights)).slowness(0, workers)
        assert len(slowness) == workers
        assert (np.diff(slowness) >= 0).all()
        counts = np.bincount(slowness.astype(int), minlength=len(weights))
        assert (np.abs(counts - workers * weights / weights.sum()) < 1 + 1e-9).all()


@pytest.mark.parametrize(
    ("fraction", "workers", "slow"),
    [
        (0.1, 1, 1),
        (0.1, 4, 1),
        (0.1, 10, 1),
        (0.1, 20, 2),
        (0.1, 100, 10),
        (0.25, 10, 3),
        (0.25, 6, 2),
        (0.24, 10, 2),
        (0.3, 9, 3),
        (1.0, 5, 5),
    ],
)
def test_stragglers_are_the_last_workers_and_at_least_one(fraction: float, workers: int, slow: int) -> None:
    """The nearest whole number of them, of two the larger."""
    expected = [1.0] * (workers - slow) + [5.0] * slow
    np.testing.assert_array_equal(Stragglers(fraction, 5.0).slowness(0, workers), expected)


@pytest.mark.parametrize("fraction", [1e-6, 0.1, 0.5, 0.999, 1.0])
def test_some_worker_is_a_straggler_and_never_more_than_there_are(fraction: float) -> None:
    for workers in range(1, 100):
        slowness = Stragglers(fraction, 5.0).slowness(0, workers)
        assert slowness.shape == (workers,)
        assert slowness[-1] == 5.0
        assert abs((slowness == 5.0).sum() - fraction * workers) <= max(0.5, 1 - fraction * workers)


# --- the draws of a run ---


@pytest.mark.parametrize("part", TIMES)
def test_a_time_does_not_depend_on_how_many_workers_or_phases_there_are(part: str) -> None:
    counts = np.array([2, 6, 1, 3])
    large = getattr(draw_delays(EVERYTHING_RANDOM, 3, 9, 11, 2), part).reshape(9, 11)
    small = getattr(draw_delays(EVERYTHING_RANDOM, 3, 4, 6, 2), part)
    uneven = getattr(draw_delays(EVERYTHING_RANDOM, 3, 4, counts, 2), part)
    np.testing.assert_array_equal(small, large[:4, :6].ravel())
    np.testing.assert_array_equal(uneven, np.concatenate([large[w, :count] for w, count in enumerate(counts)]))


def test_whom_the_server_takes_does_not_depend_on_how_many_exchanges_follow() -> None:
    small, large = draw_delays(EVERYTHING_RANDOM, 3, 4, 6, 2), draw_delays(EVERYTHING_RANDOM, 3, 9, 11, 2)
    np.testing.assert_array_equal(small.order, large.order[:24])


def test_workers_may_have_different_numbers_of_phases() -> None:
    draws = draw_delays(EVERYTHING_RANDOM, 0, 4, np.array([2, 7, 1, 4]), 3)
    assert draws.workers == 4
    assert draws.local_steps == 3
    np.testing.assert_array_equal(draws.phases, [2, 7, 1, 4])
    np.testing.assert_array_equal(draws.first, [0, 2, 9, 10])
    assert {len(getattr(draws, part)) for part in (*TIMES, "order")} == {14}


def test_seeds_workers_and_kinds_draw_independently() -> None:
    """Correlations of 400 pairs: standard error 0.05; all 561 within 5 of them, significance 3e-4."""
    law = Exponential(1.0)
    alike = Profile("alike", law, law, law, law, "random")
    runs = [draw_delays(alike, seed, 4, 400, 1) for seed in (0, 1)]
    streams = [worker for run in runs for part in TIMES for worker in getattr(run, part).reshape(4, 400)]
    streams += [run.order[:400] for run in runs]
    assert len(streams) == 34
    for one, other in combinations(streams, 2):
        assert abs(np.corrcoef(one, other)[0, 1]) < 0.25


def test_a_phase_lasts_its_local_steps_times_a_constant_step() -> None:
    np.testing.assert_array_equal(draw_delays(Profile("constant", Constant(0.25)), 0, 2, 3, 7).compute, [1.75] * 6)


@pytest.mark.parametrize("law", [Gamma(0.4, 0.5), Lognormal(0.4, 0.5)], ids=["gamma", "lognormal"])
def test_a_phase_lasts_the_sum_of_its_steps(law: Distribution) -> None:
    mean, variance = law.moments()
    draws = draw_delays(Profile("steps", law), 0, 10, 4000, 6)
    assert_moments(draws.compute, 6 * mean, 6 * variance)


def assert_same_but(part: str, draws: Draws, others: Draws) -> None:
    for kind in {*TIMES, "order", "begin", "phases"} - {part}:
        np.testing.assert_array_equal(getattr(draws, kind), getattr(others, kind))


def test_slowness_multiplies_the_computing_alone() -> None:
    alike = draw_delays(replace(EVERYTHING_RANDOM, speeds=Equal()), 0, 3, 2, 4)
    ladder = draw_delays(replace(EVERYTHING_RANDOM, speeds=Ladder()), 0, 3, 2, 4)
    np.testing.assert_array_equal(ladder.compute, alike.compute * [1, 1, 2, 2, 3, 3])
    assert_same_but("compute", ladder, alike)


@pytest.mark.parametrize("part", ["up", "down", "server"])
def test_bandwidth_adds_a_messages_bytes_over_it(part: str) -> None:
    limited = replace(EVERYTHING_RANDOM, bandwidth=Bandwidth(**{part: 4e6}))
    free = draw_delays(EVERYTHING_RANDOM, 0, 3, 5, 2, message_bytes=1_000_000)
    draws = draw_delays(limited, 0, 3, 5, 2, message_bytes=1_000_000)
    np.testing.assert_array_equal(getattr(draws, part), getattr(free, part) + 0.25)
    assert_same_but(part, draws, free)


def test_bandwidth_costs_nothing_without_a_message() -> None:
    limited = replace(EVERYTHING_RANDOM, bandwidth=Bandwidth(1.0, 1.0, 1.0))
    assert_same_but("", draw_delays(limited, 0, 3, 5, 2), draw_delays(EVERYTHING_RANDOM, 0, 3, 5, 2))


def test_workers_start_an_interval_apart() -> None:
    together = draw_delays(EVERYTHING_RANDOM, 0, 4, 5, 2)
    np.testing.assert_array_equal(together.begin, [0.0, 0.0, 0.0, 0.0])
    apart = draw_delays(replace(EVERYTHING_RANDOM, start_interval=1.5), 0, 4, 5, 2)
    np.testing.assert_array_equal(apart.begin, [0.0, 1.5, 3.0, 4.5])
    assert_same_but("begin", apart, together)


@pytest.mark.parametrize("collective", [None, Collective(), Collective(0.25, 4e6)])
def test_channels_and_a_collective_change_no_draw_and_are_handed_on(collective: Collective | None) -> None:
    plain = draw_delays(EVERYTHING_RANDOM, 0, 3, 5, 2, message_bytes=1_000_000)
    assert (plain.channels, plain.collective) == (1, None)
    profile = replace(EVERYTHING_RANDOM, channels=7, collective=collective)
    draws = draw_delays(profile, 0, 3, 5, 2, message_bytes=1_000_000)
    assert_same_but("", draws, plain)
    assert draws.channels == 7
    seconds = None if collective is None else collective.round_s(5, 1_000_000)
    assert (draws.collective and draws.collective.seconds(5)) == seconds
    if collective == Collective(0.25, 4e6):
        assert draws.collective == RoundTime(latency_s=0.25, transfer_s=0.25)


# --- whom the server takes ---


def order_of(order: str, fifo_share: float = 0.0) -> np.ndarray:
    return draw_delays(Profile("order", Constant(1.0), order=order, fifo_share=fifo_share), 0, 40, 500, 1).order


def test_first_come_first_served_takes_the_longest_waiting_always() -> None:
    assert (order_of("fifo") == LONGEST).all()
    assert (order_of("random", 1.0) == LONGEST).all()


def test_random_order_is_uniform() -> None:
    """Kolmogorov-Smirnov, significance 1e-3."""
    order = order_of("random")
    assert order.min() >= 0
    assert order.max() < 1
    assert stats.kstest(order, "uniform").pvalue > SIGNIFICANCE


@pytest.mark.parametrize("share", [0.05, 0.5, 0.9])
def test_a_share_of_a_random_order_takes_the_longest_waiting_and_leaves_the_others(share: float) -> None:
    """The share within 4 standard errors, √(p (1 − p) / N); the others uniform still, so that who is left out does not
    depend on whom it would have been.
    """
    order, all_random = order_of("random", share), order_of("random")
    longest = order == LONGEST
    assert abs(longest.mean() - share) < 4 * math.sqrt(share * (1 - share) / len(order))
    np.testing.assert_array_equal(order[~longest], all_random[~longest])
    assert stats.kstest(order[~longest], "uniform").pvalue > SIGNIFICANCE


# --- the profiles that come with the program ---


def test_these_profiles_come_with_the_program() -> None:
    recorded = ["pai-1", "pai-2", "pai-3", "pai-4"]
    assert profile_names() == ["heterogeneous", "ideal", *recorded, "paper-cluster", "stragglers", "wide-area"]


@pytest.mark.parametrize("name", profile_names())
def test_a_shipped_profile_says_what_it_is_and_where_its_numbers_are_from(name: str) -> None:
    profile = load_profile(name)
    assert profile.name == name
    assert profile.description
    assert profile.source


def test_the_ideal_profile_has_steps_of_a_second_and_nothing_else() -> None:
    profile = replace(load_profile("ideal"), description="", source="", options=())
    assert profile == Profile("ideal", step=Constant(1.0))
    draws = draw_delays(profile, 0, 3, 2, 4, message_bytes=10**9)
    np.testing.assert_array_equal(draws.compute, [4.0] * 6)
    assert not np.concatenate([draws.up, draws.down, draws.server, draws.begin]).any()
    assert (draws.order == LONGEST).all()


def test_the_papers_cluster_serves_in_random_order() -> None:
    profile = load_profile("paper-cluster")
    assert (profile.order, profile.fifo_share) == ("random", 0.0)
    assert (profile.speeds, profile.start_interval, profile.bandwidth) == (Equal(), 0.0, Bandwidth())
