"""How well measured times bind the numbers that are fitted to them."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from agn_bench.clock import Constant, Exponential, Gamma, Profile, ShiftedExponential
from agn_bench.clock.profile import Going
from agn_bench.studies import confidence as module
from agn_bench.studies.calibration import confidence_of, fit, simulated_s
from agn_bench.studies.confidence import Confidence
from agn_bench.studies.fitted_numbers import NUMBERS, numbers_of, values_of, with_values
from agn_bench.studies.measured import Measured

STEPS = 600
TRUE = {"step.mean": 0.2, "server.mean": 0.05, "network.mean": 0.3}
CLUSTER = with_values(Profile("any", Constant(1.0)), list(TRUE.values()))
FEW, MANY = (1, 2, 3, 5), (55, 60, 65, 75, 90)
"""Workers of runs whose server has time, and of runs whose server has none."""


def runs(cells: list[tuple[int, int]], noise: float, profile: Profile = CLUSTER) -> Measured:
    """The seconds of a cluster whose numbers are known, each off by some percent."""
    workers, local_steps = np.array(cells).T
    measured = Measured("seconds", workers, local_steps, np.ones(len(cells)))
    seconds = simulated_s(profile, measured, STEPS, 1, 0)[:, 0]
    return replace(measured, seconds=seconds * np.exp(noise * np.random.default_rng(2).normal(size=len(cells))))


@cache
def found(local_steps: tuple[int, ...], workers: tuple[int, ...] = (*FEW, *MANY)) -> Confidence:
    measured = runs([(n, steps) for n in workers for steps in (local_steps if n < 50 else (1,))], 0.02)
    fitted = fit(CLUSTER, measured, STEPS, 1, 0)
    return confidence_of(fitted, measured, STEPS, 1, 0, 60)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_DESIGN", 5)
    monkeypatch.setattr(module, "_POINTS", 500)
    monkeypatch.setattr(module, "_NEAR", 8)
    monkeypatch.setattr(module, "_CHECKS", 4)


def test_the_numbers_that_made_the_times_lie_in_their_intervals() -> None:
    """Runs that tell all three apart, with 2 % of noise: intervals are of some percent, and all numbers are bound."""
    confidence = found((1, 4, 20, 60))
    assert confidence.names == tuple(TRUE)
    true = np.array(list(TRUE.values()))
    assert (confidence.low <= true).all()
    assert (true <= confidence.high).all()
    assert confidence.bound.all()
    # Each is measured by several runs with 2 % of noise, and not by more than all of them.
    width = np.log(confidence.high / confidence.low)
    assert (0.02 / np.sqrt(21) < width).all()
    assert (width < 4 * 0.02).all()
    assert confidence.interpolation_error < 0.01
    assert not confidence.together


def test_steps_and_messages_are_not_told_apart_by_runs_of_one_lambda() -> None:
    """The seconds then say λ step + 2 network, of which each can be half. Many workers still tell the server."""
    confidence = found((5,))
    bound = dict(zip(confidence.names, confidence.bound, strict=True))
    assert bound == {"step.mean": False, "server.mean": True, "network.mean": False}
    correlations = {(one, other): correlation for one, other, correlation in confidence.together}
    assert correlations["step.mean", "network.mean"] < -0.9
    true = np.array(list(TRUE.values()))
    assert (confidence.low <= true).all()
    assert (true <= confidence.high).all()


def test_a_server_that_always_waits_tells_of_nothing_but_itself() -> None:
    confidence = found((1,), (55, 60, 65, 70, 75, 80, 90, 100))
    bound = dict(zip(confidence.names, confidence.bound, strict=True))
    assert bound == {"step.mean": False, "server.mean": True, "network.mean": False}


def test_a_number_that_the_profile_cannot_have_has_no_error_there() -> None:
    """No step is shorter than the floor, so neither refits nor half the mean go below it."""
    profile = replace(CLUSTER, step=ShiftedExponential(0.2, 0.15))
    measured = runs([(n, steps) for n in FEW for steps in (1, 9)], 0.02, profile)
    confidence = confidence_of(profile, measured, STEPS, 1, 0, 20)
    assert np.isnan(confidence.error_at_half[0])
    assert confidence.error_at_twice[0] > 0.1
    assert confidence.low[0] >= 0.15


def test_the_same_runs_give_the_same_intervals() -> None:
    profile = replace(CLUSTER, step=Gamma(0.2, 0.3))
    measured = runs([(n, steps) for n in FEW for steps in (1, 9)], 0.02, profile)
    steps: list[str] = []
    one, other = (confidence_of(profile, measured, STEPS, 2, 0, 20, steps.append) for _ in range(2))
    assert one.rows() == other.rows()
    assert len(steps) > 60  # each simulated profile is told, so that it can be interrupted there


@pytest.mark.parametrize(
    ("changed", "bound"),
    [
        ({}, True),
        ({"high": np.array([1.7, 0.2])}, True),
        ({"high": np.array([1.9, 0.2])}, False),  # 1.9 / 0.95 = 2
        ({"error_at_half": np.array([0.0551, 1.0])}, True),
        ({"error_at_half": np.array([0.0549, 1.0])}, False),
        ({"error_at_twice": np.array([0.0549, 1.0])}, False),
        ({"error_at_half": np.array([np.nan, 1.0])}, True),
        ({"error_at_half": np.array([np.nan, 1.0]), "error_at_twice": np.array([np.nan, 1.0])}, True),
    ],
)
def test_what_is_bound(changed: dict[str, np.ndarray], bound: bool) -> None:
    """An interval within a factor of 2, and a tenth more error than the fit's 5 % at half and at twice."""
    high = np.full(2, 0.5)
    confidence = Confidence(
        names=("one", "other"),
        what=("the one", "the other"),
        values=np.array([1.0, 0.1]),
        low=np.array([0.95, 0.09]),
        high=np.array([1.1, 0.11]),
        error=0.05,
        error_at_half=high,
        error_at_twice=high,
        correlation=np.array([[1.0, -0.71], [-0.71, 1.0]]),
        least=np.array([1.0, 0.1]),
        least_error=0.0495,
        interpolation_error=0.0,
    )
    assert bool(replace(confidence, **changed).bound[0]) is bound
    assert confidence.together == [("one", "other", -0.71)]
    assert not confidence.beaten
    assert replace(confidence, least_error=0.048).beaten


@pytest.mark.parametrize("number", NUMBERS, ids=lambda number: number.name)
def test_each_number_is_read_as_it_was_set(number: object) -> None:
    """And setting one leaves the others; the coefficient of variation stays below what a file may have."""
    going = Going(
        *(Exponential(mean) for mean in (20.0, 3.0)), between_failures=Exponential(9.0), failure=Gamma(2.0, 1)
    )
    profile = Profile("any", Gamma(1.0, 0.5), Constant(0.5), Constant(0.5), Constant(0.25), going=going)
    values = values_of(profile)
    index = numbers_of(profile).index(number)  # type: ignore[arg-type]
    values[index] *= 3
    np.testing.assert_array_equal(values_of(with_values(profile, values)), values)
    assert len(numbers_of(CLUSTER)) == 3
    assert values_of(with_values(profile, [1, 1, 1, 1e9, *values[4:]]))[3] == 100
