"""Curves against plain loops, and what is read off them against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import reference
from conftest import reference_log

from agn_bench.analysis import metrics
from agn_bench.clock import Gamma, Profile, draw_delays, load_profile
from agn_bench.clock.events import simulate_timeline
from agn_bench.training import columns

NAN = float("nan")


@pytest.mark.parametrize("window", [5.0, 1.0, 0.7])
@pytest.mark.parametrize(
    "profile", [load_profile("ideal"), load_profile("paper-cluster"), Profile("slow", Gamma(20, 1))]
)
def test_a_learning_curve_agrees_with_plain_loops(profile: Profile, window: float) -> None:
    """`ideal` puts every mini-batch on a window's edge: it belongs to the window that begins there."""
    draws = draw_delays(profile, 2, 4, 5, 3)
    timeline, log = simulate_timeline(draws), reference_log(draws)
    generator = np.random.default_rng(0)
    losses, correct = generator.random((20, 3)), generator.integers(0, 17, (20, 3))
    evaluations = [(0.0, 0.1), (log[7]["applied_s"], 0.5), (log[-1]["applied_s"], 0.9)]
    curve = columns.learning_curve(
        timeline.step_times_s(),
        losses,
        {"accuracy": correct},
        batch_size=16,
        window=window,
        end_s=timeline.end_s,
        evaluations={"test_accuracy": evaluations},
    )
    expected = reference.learning_curve(log, losses, correct, 16, window, evaluations)
    assert list(curve) == [
        "time_s",
        "gradient_steps",
        "train_loss",
        "train_accuracy",
        "train_accuracy_std",
        "test_accuracy",
    ]
    # Sums of at most 60 numbers below 1, in another order.
    np.testing.assert_allclose(np.column_stack(list(curve.values())), expected, rtol=0, atol=1e-12)


def test_a_mini_batch_counts_in_the_five_windows_that_hold_it() -> None:
    curve = columns.learning_curve(
        np.array([[4.0], [6.5]]),
        np.array([[1.0], [3.0]]),
        {"accuracy": np.array([[8], [4]])},
        batch_size=8,
        window=5.0,
        end_s=7.0,
        evaluations={"test_accuracy": [(0.0, 0.1), (6.2, 0.7)]},
    )
    np.testing.assert_array_equal(curve["time_s"], np.arange(8))
    np.testing.assert_array_equal(curve["train_accuracy"], [1, 1, 0.75, 0.75, 0.75, 0.5, 0.5, NAN])
    np.testing.assert_array_equal(curve["train_accuracy_std"], [0, 0, 0.25, 0.25, 0.25, 0, 0, NAN])
    np.testing.assert_array_equal(curve["train_loss"], [1, 1, 2, 2, 2, 3, 3, NAN])
    np.testing.assert_array_equal(curve["gradient_steps"], [0, 0, 0, 0, 1, 1, 1, 2])
    np.testing.assert_array_equal(curve["test_accuracy"], [0.1, NAN, NAN, NAN, NAN, NAN, NAN, 0.7])


@pytest.mark.parametrize("window", [0.1, 0.3, 0.7, 1.1, 5.0])
def test_the_last_point_is_never_before_the_end(window: float) -> None:
    """Also where end_s · 5 / window is rounded down to a whole number, as 49 · 5 / 0.7 is."""
    for end_s in range(1, 400):
        curve = columns.learning_curve(
            np.array([0.5]),
            np.array([1.0]),
            {"accuracy": np.array([1])},
            batch_size=2,
            window=window,
            end_s=float(end_s),
            evaluations={"test_accuracy": [(float(end_s), 0.5)]},
        )
        assert curve["time_s"][-2] < end_s <= curve["time_s"][-1]
        assert curve["test_accuracy"][-1] == 0.5


def test_a_loss_that_is_not_finite_spoils_its_own_windows_only() -> None:
    curve = columns.learning_curve(
        np.array([1.5, 20.5]),
        np.array([NAN, 1.0]),
        {"accuracy": np.array([1, 1])},
        batch_size=2,
        window=5.0,
        end_s=21.0,
        evaluations={},
    )
    assert np.isnan(curve["train_loss"][:2]).all()
    assert curve["train_loss"][18] == 1.0
    assert curve["train_accuracy"][0] == 0.5


RAMP = (np.array([0.0, 10.0]), np.array([0.0, 1.0]))
LEVEL = (np.array([0.0, 20.0]), np.array([0.5, 0.5]))


def test_areas_of_lines() -> None:
    assert metrics.area(RAMP, 10) == pytest.approx(0.5)
    assert metrics.area(RAMP, 5) == pytest.approx(0.25)
    assert metrics.area(RAMP, 20) == pytest.approx(0.75)  # level after its last point
    assert metrics.area(LEVEL, 7.3) == pytest.approx(0.5)


def test_temporal_efficiency_is_the_ratio_of_areas_up_to_the_shorter_end() -> None:
    assert metrics.temporal_efficiency(RAMP, LEVEL) == pytest.approx(1.0)
    steep = (np.array([0.0, 5.0, 40.0]), np.array([0.0, 1.0, 1.0]))
    assert metrics.temporal_efficiency(steep, LEVEL) == pytest.approx((2.5 + 15) / 10)
    assert metrics.temporal_efficiency(LEVEL, steep) == pytest.approx(10 / 17.5)


def test_time_to_an_accuracy_is_the_first_crossing() -> None:
    assert metrics.time_to(RAMP, 0.25) == pytest.approx(2.5)
    hill = (np.array([2.0, 3.0, 4.0, 5.0]), np.array([0.1, 0.9, 0.2, 1.0]))
    assert metrics.time_to(hill, 0.5) == pytest.approx(2.5)
    assert metrics.time_to(hill, 0.05) == 2.0
    assert np.isnan(metrics.time_to(hill, 1.01))


def test_value_at_a_time_is_interpolated_and_nothing_outside() -> None:
    assert metrics.value_at(RAMP, 3) == pytest.approx(0.3)
    assert np.isnan(metrics.value_at(RAMP, 10.1))


def test_a_run_that_diverged_counts_as_chance_to_its_horizon() -> None:
    times, accuracy = np.array([0.0, 1.0, 2.0, 3.0]), np.array([0.2, NAN, 0.8, NAN])
    curve = metrics.counted_curve(times, accuracy, horizon_s=12.0, diverged_s=2.0, counts_as=0.1)
    assert metrics.value_at(curve, 0.0) == 0.2
    assert metrics.value_at(curve, 7.0) == metrics.value_at(curve, 12.0) == 0.1
    # From 0.2 down to chance at the second second, then level: (2 × 0.15 + 10 × 0.1) / 12.
    assert metrics.area(curve, 12.0) == pytest.approx(1.3 / 12)


def test_a_run_that_went_well_counts_as_it_is_without_its_blanks() -> None:
    times, accuracy = np.array([0.0, 1.0, 2.0]), np.array([0.2, NAN, 0.8])
    kept_times, kept = metrics.counted_curve(times, accuracy, horizon_s=12.0, diverged_s=None, counts_as=0.1)
    np.testing.assert_array_equal(kept_times, [0.0, 2.0])
    np.testing.assert_array_equal(kept, [0.2, 0.8])


STEPS = pytest.mark.kind("a straight line between two evaluations taken for a result")
EVALUATED = (np.array([0.0, 18.0, 36.0, 54.0]), np.array([0.1, 0.85, 0.8, 0.95]))


@STEPS
@pytest.mark.parametrize(
    ("target", "between"),
    [
        (0.8, (0.0, 18.0)),
        (0.1, (0.0, 0.0)),
        (0.85, (0.0, 18.0)),
        (0.86, (36.0, 54.0)),
        (0.96, None),
    ],
)
def test_an_accuracy_is_reached_between_two_evaluations(target: float, between: tuple[float, float] | None) -> None:
    found = metrics.evaluation_before(EVALUATED, target), metrics.held_time_to(EVALUATED, target)
    np.testing.assert_array_equal(found, (NAN, NAN) if between is None else between)


@STEPS
@pytest.mark.parametrize(
    ("time_s", "value"), [(0.0, 0.1), (17.9, 0.1), (18.0, 0.85), (53.0, 0.8), (54.0, 0.95), (54.1, NAN), (-1.0, NAN)]
)
def test_an_evaluation_holds_until_the_next(time_s: float, value: float) -> None:
    np.testing.assert_array_equal(metrics.held_at(EVALUATED, time_s), value)


@STEPS
@pytest.mark.parametrize(
    ("until_s", "total"),
    [
        (18.0, 1.8),
        (20.0, 1.8 + 2 * 0.85),
        (54.0, 18 * 1.75),
        (60.0, 18 * 1.75 + 6 * 0.95),
        (9.0, 0.9),
    ],
)
def test_the_area_of_evaluations_is_that_of_steps(until_s: float, total: float) -> None:
    assert metrics.held_area(EVALUATED, until_s) == pytest.approx(total / until_s)


@STEPS
def test_the_area_before_the_first_evaluation_is_that_of_its_value() -> None:
    late = (np.array([4.0, 8.0]), np.array([0.2, 0.6]))
    assert metrics.held_area(late, 10.0) == pytest.approx((8 * 0.2 + 2 * 0.6) / 10)
    assert np.isnan(metrics.held_at(late, 3.0))


@STEPS
def test_a_run_that_diverged_between_two_evaluations_falls_when_it_diverged() -> None:
    """Its last evaluation holds until then, and no line leads from it down to chance."""
    curve = metrics.counted_curve(*EVALUATED, horizon_s=60.0, diverged_s=30.0, counts_as=0.1)
    assert [metrics.held_at(curve, time_s) for time_s in (29.9, 30.0, 60.0)] == [0.85, 0.1, 0.1]
    assert metrics.held_area(curve, 60.0) == pytest.approx((18 * 0.1 + 12 * 0.85 + 30 * 0.1) / 60)


@STEPS
def test_a_window_without_mini_batches_counts_as_the_one_before() -> None:
    """So training accuracy is not reached on a line over a gap of 40 s."""
    values = np.array([NAN, 0.2, NAN, NAN, 0.9, NAN])
    np.testing.assert_array_equal(metrics.carried(values), [NAN, 0.2, 0.2, 0.2, 0.9, NAN])
    np.testing.assert_array_equal(metrics.carried(np.full(3, NAN)), np.full(3, NAN))
    times = np.arange(6.0) * 20
    curve = metrics.counted_curve(times, metrics.carried(values), horizon_s=100.0, diverged_s=None, counts_as=0.1)
    assert metrics.time_to(curve, 0.55) == pytest.approx(70)
    assert metrics.value_at(curve, 60.0) == 0.2
