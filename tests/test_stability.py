"""The growth rate, against closed forms, eigenvalues and exact fractions."""

from __future__ import annotations

import math
import statistics
from fractions import Fraction

import numpy as np
import pytest

from agn_bench.clock import Constant, Profile, Tiers, draw_delays, load_profile
from agn_bench.clock.endless import active_timeline
from agn_bench.clock.events import simulate_timeline
from agn_bench.clock.stability import growth_rate, stable_at_constant_staleness

WINDOWS = 1250
KEPT = 1000
"""Windows of n exchanges that count, of WINDOWS: the first fifth is discarded."""


def round_robin(workers: int, windows: int = WINDOWS) -> np.ndarray:
    return np.arange(workers * windows) % workers


def limit(workers: int) -> float:
    """The largest stable 1/λ at staleness τ = n − 1 (Levin and May 1976)."""
    return 2 * math.sin(math.pi / (2 * (2 * (workers - 1) + 1)))


def largest_root(workers: int, local_steps: float) -> complex:
    """The root of z^(τ+1) − z^τ + 1/λ = 0 that has the largest modulus."""
    polynomial = [1.0, -1.0, *[0.0] * (workers - 2), 1 / local_steps]
    return complex(max(np.roots(polynomial), key=abs))


def slope_error(spread: float, windows: int) -> float:
    """How much a least-squares slope through so many points may be off if each is within spread / 2 of a line.

    Σ |t − t̄| / Σ (t − t̄)² is K² / 4 over K (K² − 1) / 12, which is 3 / K and a little.
    """
    return 3.01 * spread / 2 / windows


@pytest.mark.parametrize("factor", [0.2, 0.5, 0.9, 0.99, 1.01, 1.1, 2.0])
@pytest.mark.parametrize("workers", [2, 5, 10, 40])
def test_at_constant_staleness_it_is_that_of_the_largest_root(workers: int, factor: float) -> None:
    """In the k-th window the largest |x| is |z|^(k n), times what |z| adds in a window, times the largest |cosine| of n
    angles θ apart. Across a zero that is |sin((n − 1) θ / 2)| at least; a real root (the factor 0.2) has no angle.
    """
    local_steps = 1 / (factor * limit(workers))
    root = largest_root(workers, local_steps)
    expected = workers * math.log(abs(root))
    swing = abs(math.sin((workers - 1) * np.angle(root) / 2)) if root.imag else 1.0
    found = growth_rate(round_robin(workers), workers, local_steps)
    assert found == pytest.approx(expected, rel=0, abs=slope_error(abs(expected) - math.log(swing), KEPT))


@pytest.mark.parametrize("workers", [2, 3, 5, 10, 20, 40])
def test_its_sign_changes_at_the_stability_limit(workers: int) -> None:
    just_stable, just_unstable = (1 / (factor * limit(workers)) for factor in (0.99, 1.01))
    assert growth_rate(round_robin(workers), workers, just_stable) < 0
    assert growth_rate(round_robin(workers), workers, just_unstable) > 0
    assert growth_rate(round_robin(workers), workers, stable_at_constant_staleness(workers)) < 0


@pytest.mark.parametrize("local_steps", [0.4, 0.6, 1.5, 2, 3, 100])
def test_a_worker_alone_leaves_1_minus_1_over_lambda_at_every_exchange(local_steps: float) -> None:
    """Up to rounding: each logarithm, of a product of up to some 2,000 factors, is right to 2,000 ulp."""
    rate = growth_rate(round_robin(1, 2000), 1, local_steps)
    assert rate == pytest.approx(math.log(abs(1 - 1 / local_steps)), rel=1e-12)


def test_a_worker_alone_neither_grows_nor_shrinks_at_half_a_step() -> None:
    assert growth_rate(round_robin(1), 1, 0.5) == pytest.approx(0, abs=1e-12)


def test_what_vanishes_has_rate_minus_infinity() -> None:
    assert growth_rate(round_robin(1), 1, 1) == -math.inf
    assert growth_rate(round_robin(1, 5), 1, 1) == -math.inf


@pytest.mark.parametrize(("workers", "local_steps"), [(1, 2), (1, 0.4), (10, 3), (10, 20)])
def test_long_timelines_neither_overflow_nor_underflow(workers: int, local_steps: float) -> None:
    """x runs over more than the e^±700 of a float; ten times longer, the rate is the same but for a swing of e in x."""
    short, long = (growth_rate(round_robin(workers, windows), workers, local_steps) for windows in (2000, 20_000))
    assert abs(long) * 20_000 > 1000
    assert long == pytest.approx(short, rel=0, abs=2 * slope_error(1.0 + abs(long), 1600))


def test_a_timeline_of_less_than_five_rounds_has_no_rate() -> None:
    for workers in (1, 4, 40):
        sequence = round_robin(workers, 5)
        assert math.isnan(growth_rate(sequence[:-1], workers, 30))
        assert math.isfinite(growth_rate(sequence, workers, 30))
    assert math.isnan(growth_rate([], 3, 2))


def test_a_last_round_that_is_not_whole_does_not_count() -> None:
    sequence = round_robin(7, 20)
    assert growth_rate(np.append(sequence, [0, 1, 2, 3, 4, 5]), 7, 3) == growth_rate(sequence, 7, 3)
    assert growth_rate(np.append(sequence, [0, 1, 2, 3, 4, 5, 6]), 7, 3) != growth_rate(sequence, 7, 3)


def test_the_sequence_may_be_any_iterable() -> None:
    sequence = round_robin(3, 50)
    assert growth_rate(iter(sequence.tolist()), 3, 4) == growth_rate(sequence, 3, 4) == growth_rate([*sequence], 3, 4)


def rate_by_fractions(sequence: list[int], workers: int, local_steps: int) -> float:
    """x ← x − s / λ in whole numbers, and a line through the logarithms of the largest of every n exchanges."""
    center, pulled, values = Fraction(1), [Fraction(1)] * workers, []
    for worker in sequence:
        center = center - pulled[worker] / local_steps
        pulled[worker] = center
        values.append(abs(center))
    windows = len(sequence) // workers
    peaks = [max(values[k * workers : (k + 1) * workers]) for k in range(windows // 5, windows)]
    logarithms = [math.log(peak.numerator) - math.log(peak.denominator) for peak in peaks]
    return statistics.linear_regression(range(len(peaks)), logarithms).slope


@pytest.mark.parametrize("local_steps", [2, 3, 7])
@pytest.mark.parametrize("name", ["paper-cluster", "stragglers", "heterogeneous"])
def test_agrees_with_exact_fractions_on_a_timeline_in_random_order(name: str, local_steps: int) -> None:
    sequence = simulate_timeline(draw_delays(load_profile(name), 4, 5, 60, local_steps)).worker
    expected = rate_by_fractions(sequence.tolist(), 5, local_steps)
    assert growth_rate(sequence, 5, local_steps) == pytest.approx(expected, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("local_steps", [1.5, 3, 4, 8])
@pytest.mark.parametrize("workers", [2, 5])
def test_on_a_repeated_sequence_it_is_that_of_the_largest_eigenvalue(workers: int, local_steps: float) -> None:
    """The eigenvalue is that of the product of the exchanges' matrices on (x, what each worker holds). Peaks lie within
    a factor e³ of a line.
    """
    pattern = np.random.default_rng(workers).permutation(np.repeat(np.arange(workers), 6))
    product = np.eye(workers + 1)
    for worker in pattern:
        exchange = np.eye(workers + 1)
        exchange[0, 1 + worker] = -1 / local_steps
        exchange[1 + worker] = exchange[0]
        product = exchange @ product
    expected = math.log(max(abs(np.linalg.eigvals(product)))) / 6
    found = growth_rate(np.tile(pattern, 2000), workers, local_steps)
    assert found == pytest.approx(expected, rel=0, abs=slope_error(6.0, 9600))


def test_a_center_that_passes_through_zero_has_not_vanished() -> None:
    """At λ = 1 worker 0 brings x to 0 and keeps it there, until worker 1 comes and sets it to what it was, negated."""
    timeline = active_timeline(
        Profile("one-slow", Constant(1.0), speeds=Tiers((1.0, 7.5), (1.0, 1.0))), 0, 2, 1, 0, 900
    )
    assert growth_rate(timeline.worker, 2, 1) == pytest.approx(0, abs=slope_error(1.0, 360))


@pytest.mark.parametrize("halvings", [300, 1000, 3000])
def test_a_worker_that_is_away_for_long_brings_back_what_it_had_pulled(halvings: int) -> None:
    """Worker 0 halves x so many times; then worker 1 sets it to half of what it had been before all that."""
    sequence = ([0] * halvings + [1]) * 6
    expected = rate_by_fractions(sequence, 2, 2)
    assert growth_rate(sequence, 2, 2) == pytest.approx(expected, rel=1e-9)


def test_a_worker_that_has_ended_does_not_matter_any_more() -> None:
    """Worker 0 alone takes 1/3 off at each of 9,999 exchanges: to e^−4054, beside the 2/3 that worker 1 still holds."""
    assert growth_rate([1] + [0] * 9999, 2, 3) == pytest.approx(2 * math.log(2 / 3), rel=1e-9)


def test_the_tail_of_a_straggler_counts_like_the_rest() -> None:
    """The last 2,000 exchanges are all of the slow one, and halve x each time."""
    sequence = simulate_timeline(draw_delays(load_profile("stragglers"), 0, 2, 3000, 2)).worker
    expected = rate_by_fractions(sequence.tolist(), 2, 2)
    assert growth_rate(sequence, 2, 2) == pytest.approx(expected, rel=1e-9)
