"""The clock as a queue, against queueing theory: the machine-repair model M/M/1//n, and laws of any closed queue.

Z is the mean time away from the server, S the mean service. Times are exponential unless said otherwise.
"""

from __future__ import annotations

import math
from functools import cache
from typing import NamedTuple

import numpy as np
import pytest

from agn_bench.clock import (
    Constant,
    Exponential,
    Gamma,
    Ladder,
    Profile,
    RootLadder,
    Speeds,
    Tiers,
    load_profile,
    profile_names,
)
from agn_bench.clock.endless import active_timeline
from agn_bench.clock.timeline import Timeline

EXCHANGES = 1_000_000
SERVICE = 0.5
REPAIR = pytest.mark.parametrize(
    ("workers", "ratio"),
    [(1, 1.0), (2, 1.0), (10, 10.0), (40, 10.0), (40, 38.0)],
    ids=["alone", "two", "busy", "saturated", "critical"],
)
"""n and Z / S: the server is busy 50, 80, 79, 100 and 91 % of the time."""
ORDERS = pytest.mark.parametrize("order", ["fifo", "random"])


class Theory(NamedTuple):
    """The machine-repair model, exactly."""

    utilization: float
    throughput: float
    wait: float


def states(workers: int, ratio: float) -> np.ndarray:
    """Probability that 0 … n are at the server, in the long run."""
    weights = np.array([math.perm(workers, k) * ratio**-k for k in range(workers + 1)])
    return weights / weights.sum()


def machine_repair(workers: int, ratio: float) -> Theory:
    utilization = 1 - states(workers, ratio)[0]
    throughput = utilization / SERVICE
    return Theory(utilization, throughput, workers / throughput - ratio * SERVICE - SERVICE)


def wait_variance(workers: int, ratio: float, order: str) -> float:
    """The variance of the wait in the queue.

    Who arrives meets the queue as it is in the long run without him (arrival theorem).

    First come, first served: the wait is a sum of as many exponential services as there are others. In random order:
    moments of the wait of one worker, by conditioning on the next event. With i others at the server the next is an
    arrival at rate (n − 1 − i) / Z, or an end of service at rate 1 / S, after which he is taken with probability 1 / i.
    """
    others = np.arange(workers)
    met = states(workers - 1, ratio)
    if order == "fifo":
        mean = met @ others
        return float(SERVICE**2 * (mean + met @ others**2 - mean**2))
    arrive, leave = (workers - 1 - others[1:]) / (ratio * SERVICE), 1 / SERVICE
    rate = arrive + leave
    size = workers - 1
    stay = np.diag(np.ones(size))
    for i in range(1, workers):
        if i < size:
            stay[i - 1, i] -= arrive[i - 1] / rate[i - 1]
        if i > 1:
            stay[i - 1, i - 2] -= leave / rate[i - 1] * (1 - 1 / i)
    first = np.linalg.solve(stay, 1 / rate)
    # E[T²] = E[(D + T′)²] with D exponential at the rate and independent of T′, of which first = E[D] + E[T′].
    second = np.linalg.solve(stay, 2 / rate**2 + 2 / rate * (first - 1 / rate))
    return float(met[1:] @ second - (met[1:] @ first) ** 2)


class Measured(NamedTuple):
    """What is measured of a timeline without its first 1 %, until the last exchange is applied."""

    throughput: float
    utilization: float
    wait: float
    variance: float
    met: np.ndarray
    """How often an arrival met 0 … n − 1 others at the server."""


@cache
def measured(workers: int, ratio: float, order: str) -> Measured:
    profile = Profile("repair", Exponential(ratio * SERVICE), server=Exponential(SERVICE), order=order)
    timeline = active_timeline(profile, 3, workers, 1, 0, EXCHANGES)
    cut = EXCHANGES // 100
    span = timeline.applied_s[-1] - timeline.applied_s[cut - 1]
    waits = timeline.queue_wait_s[cut:]
    arrivals = np.sort(timeline.arrive_s)
    left = np.searchsorted(timeline.applied_s, arrivals, side="right")
    met = np.bincount((np.arange(EXCHANGES) - left)[cut:-cut], minlength=workers)
    return Measured(
        throughput=(EXCHANGES - cut) / span,
        utilization=float((timeline.applied_s - timeline.served_s)[cut:].sum()) / span,
        wait=float(waits.mean()),
        variance=float(waits.var()),
        met=met / met.sum(),
    )


@ORDERS
@REPAIR
def test_throughput_utilization_and_mean_wait_are_those_of_the_machine_repair_model(
    workers: int, ratio: float, order: str
) -> None:
    """Within 1 %; the standard errors, by means of 50 batches, are up to 0.1 % of the rates and 0.6 % of the wait."""
    theory, found = machine_repair(workers, ratio), measured(workers, ratio, order)
    assert found.throughput == pytest.approx(theory.throughput, rel=0.01)
    assert found.utilization == pytest.approx(theory.utilization, rel=0.01)
    assert found.wait == pytest.approx(theory.wait, rel=0.01, abs=1e-12 if workers == 1 else 0)


def test_a_worker_alone_waits_for_nothing_at_all() -> None:
    assert measured(1, 1.0, "fifo").wait == measured(1, 1.0, "random").wait == 0


@ORDERS
@REPAIR
def test_an_arrival_meets_the_queue_as_it_is_without_him(workers: int, ratio: float, order: str) -> None:
    """The arrival theorem; distance in total variation, some 0.3 % by chance."""
    theory = states(workers - 1, ratio)
    assert np.abs(measured(workers, ratio, order).met - theory).sum() / 2 < 0.01


@ORDERS
@pytest.mark.parametrize(("workers", "ratio"), [(2, 1.0), (10, 10.0), (40, 10.0), (40, 38.0)])
def test_the_variance_of_the_wait_is_that_of_the_order_of_service(workers: int, ratio: float, order: str) -> None:
    """Within 2 %; the standard errors, by means of 50 batches, are up to 0.9 %."""
    expected = wait_variance(workers, ratio, order)
    assert measured(workers, ratio, order).variance == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize(("workers", "ratio"), [(10, 10.0), (40, 10.0), (40, 38.0)])
def test_waits_vary_more_in_random_order_and_are_as_long_on_average(workers: int, ratio: float) -> None:
    fifo, random = measured(workers, ratio, "fifo"), measured(workers, ratio, "random")
    assert random.variance > 1.5 * fifo.variance
    assert random.wait == pytest.approx(fifo.wait, rel=0.01)


@ORDERS
@pytest.mark.parametrize("workers", [1, 2, 7, 8, 9, 10, 20])
def test_constant_times_give_the_throughput_of_the_workers_or_of_the_server_whichever_is_less(
    workers: int, order: str
) -> None:
    """A cycle of 2 s and a service of 1/4 s: n workers make n exchanges in 2 s, up to 8 of them.

    All times are sums of powers of two, and exact.
    """
    profile = Profile("constant", Constant(0.375), Constant(0.5), Constant(0.5), Constant(0.25), order=order)
    timeline = active_timeline(profile, 0, workers, 2, 0, 50 * workers)
    later = timeline.applied_s[workers:] - timeline.applied_s[:-workers]
    assert (later == max(2.0, workers * 0.25)).all()


@pytest.mark.parametrize("workers", [1, 3, 10, 11, 12, 40])
def test_constant_times_give_that_throughput_with_any_numbers(workers: int) -> None:
    """A time is the sum of at most 5 terms an exchange, each addition wrong by half an ulp of the last time at most."""
    profile = Profile("constant", Constant(0.429), Constant(0.208), Constant(0.109), Constant(0.097))
    exchanges = 200 * workers
    timeline = active_timeline(profile, 0, workers, 1, 0, exchanges)
    span = timeline.applied_s[-1] - timeline.applied_s[workers - 1]
    rounding = 5 * exchanges * np.spacing(timeline.applied_s[-1])
    cycle = 0.429 + 0.208 + 0.109 + 0.097  # 8.7 services
    assert span == pytest.approx(199 * max(cycle, workers * 0.097), rel=0, abs=rounding)


@pytest.mark.parametrize("speeds", [Ladder(), RootLadder(), Tiers((1.0, 4.0), (3.0, 1.0))], ids=lambda s: repr(s))
def test_who_never_waits_makes_exchanges_at_the_rate_of_his_own_speed(speeds: Speeds) -> None:
    """A renewal process: the number in T has mean T / m and variance T cv² / m, here within 5 standard deviations.

    The 1 is for the phase under way at T.
    """
    cv, workers = 0.5, 20
    timeline = active_timeline(Profile("free", Gamma(2.0, cv), speeds=speeds), 5, workers, 1, 0, 100_000)
    expected = timeline.applied_s[-1] / (2.0 * speeds.slowness(5, workers))
    found = np.bincount(timeline.worker, minlength=workers)
    assert (np.abs(found - expected) < 5 * cv * np.sqrt(expected) + 1).all()
    assert (timeline.queue_wait_s == 0).all()


@cache
def shipped(name: str) -> Timeline:
    return active_timeline(load_profile(name), 1, 40, 10, 1_000_000, 40_000)


@pytest.mark.parametrize("name", profile_names())
def test_a_workers_staleness_adds_up_to_the_exchanges_between_its_own(name: str) -> None:
    timeline = shipped(name)
    for worker in range(40):
        own = np.flatnonzero(timeline.worker == worker)
        first, last = own[len(own) // 4], own[-1]
        between = timeline.staleness[first + 1 : last + 1][timeline.worker[first + 1 : last + 1] == worker]
        assert (between + 1).sum() == last - first


@pytest.mark.parametrize("name", profile_names())
def test_mean_staleness_is_n_minus_1_in_the_long_run(name: str) -> None:
    """The τ + 1 of a worker's first exchanges add up to the number of the last of them, at most a gap short of E: so
    n workers' add up to n E, less at most n gaps.
    """
    timeline = shipped(name)
    longest = int(timeline.staleness.max()) + 1
    assert 39 - 40 * longest / 40_000 <= timeline.staleness.mean() <= 39
    assert 40 * longest / 40_000 < 0.5


@pytest.mark.parametrize("name", profile_names())
def test_workers_are_always_in_some_phase_of_their_cycle(name: str) -> None:
    """Little's law for the whole closed queue, n = X R: all cycles together last n T, but for one at each end."""
    timeline = shipped(name)
    cut = 4_000
    span = timeline.applied_s[-1] - timeline.applied_s[cut]
    cycles = (timeline.resume_s - timeline.start_s)[cut + 1 :]
    assert abs(cycles.sum() / span - 40) < 2 * 40 * cycles.max() / span < 4
