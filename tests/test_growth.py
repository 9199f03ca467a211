"""The growth rate of any optimizer, against closed forms, roots of recursions, and the formula for AGN."""

from __future__ import annotations

import math

import numpy as np
import pytest

from agn_bench.clock import load_profile
from agn_bench.clock.endless import active_timeline
from agn_bench.clock.stability import growth_rate
from agn_bench.clock.timeline import Timeline
from agn_bench.config.run import RunConfig
from agn_bench.optimizers import OPTIMIZERS, Commit, Optimizer, Server, Worker, optimizer
from agn_bench.studies.growth import growth_rates
from agn_bench.training.timing import active_timeline_of


def round_robin(workers: int, local_steps: int, rounds: int = 400) -> Timeline:
    """Workers that exchange one after another, so that every commit has the staleness n − 1."""
    worker = np.arange(workers * rounds, dtype=np.int32) % workers
    moments = np.arange(len(worker), dtype=float)
    return Timeline.asynchronous(workers, local_steps, worker, (moments,) * 6)


def rate(name: str, timeline: Timeline, *curvatures: float) -> list[float]:
    (found,) = growth_rates(OPTIMIZERS.choose(name).thing, [timeline], curvatures)
    return found.tolist()


def rate_of_largest_root(workers: int, moved: float) -> float:
    """n log |z| of the largest root of z^n − z^(n−1) + moved = 0: x ← x − moved · x of n − 1 exchanges ago."""
    roots = np.roots([1.0, -1.0, *[0.0] * (workers - 2), moved])
    return workers * math.log(max(abs(roots)))


def moved_by(name: str, curvature: float, local_steps: int) -> float:
    """What an exchange takes off, as a share of what the worker had pulled: METHODS' G."""
    whole = 1 - (1 - curvature) ** local_steps
    return whole / local_steps if name == "agn" else whole


@pytest.mark.parametrize("name", ["agn", "downpour"])
@pytest.mark.parametrize(("workers", "local_steps"), [(4, 3), (10, 7)])
def test_round_robin_is_stable_below_the_limit_of_the_closed_form(name: str, workers: int, local_steps: int) -> None:
    """Just below G = 2 sin(π / (2 (2n − 1))) it shrinks, just above it grows."""
    limit = 2 * math.sin(math.pi / (2 * (2 * workers - 1)))
    whole = limit * local_steps if name == "agn" else limit
    for factor, grows in ((0.97, False), (1.03, True)):
        if factor * whole < 1:
            curvature = 1 - (1 - factor * whole) ** (1 / local_steps)
            assert (rate(name, round_robin(workers, local_steps), curvature)[0] > 0) is grows


@pytest.mark.parametrize("name", ["agn", "downpour"])
def test_the_rate_is_that_of_the_largest_root(name: str) -> None:
    """To 1e-6 where the root is real, so that nothing swings."""
    workers, local_steps, curvature = 3, 4, 0.01 if name == "downpour" else 0.04
    moved = moved_by(name, curvature, local_steps)
    assert moved < 4 / 27  # beyond it the roots are complex
    found = rate(name, round_robin(workers, local_steps, 3000), curvature)[0]
    assert found == pytest.approx(rate_of_largest_root(workers, moved), abs=1e-6)


@pytest.mark.parametrize("cells", [[(3, 2), (8, 5), (8, 12), (20, 13)]])
def test_in_agns_worst_direction_it_is_the_formula(cells: list[tuple[int, int]]) -> None:
    """One call has several numbers of workers and λ."""
    profile = load_profile("paper-cluster", [])
    timelines = [active_timeline(profile, 1, n, steps, 940_584, 60 * n) for n, steps in cells]
    expected = [growth_rate(one.worker, one.workers, one.local_steps) for one in timelines]
    found = growth_rates(OPTIMIZERS.choose("agn").thing, timelines)
    np.testing.assert_allclose(found[:, 0], expected, rtol=0, atol=1e-9)


def test_identities_hold_on_a_clock_with_a_queue() -> None:
    """DANA without momentum is DOWNPOUR; so is the new DANA's change of variables; a buffer of one is neither more."""
    timeline = active_timeline(load_profile("paper-cluster", []), 0, 6, 4, 940_584, 400)
    plain = rate("downpour", timeline, 0.02, 0.5)
    assert rate("dana:momentum=0", timeline, 0.02, 0.5) == pytest.approx(plain, rel=1e-9)
    slim, zero = rate("dana-slim", timeline, 0.02), rate("dana", timeline, 0.02)
    assert slim == pytest.approx(zero, rel=0.05)  # the same recursion, seen in other variables
    assert plain[1] > 0 > rate("agn", timeline, 0.02)[0]


def test_a_round_of_all_leaves_what_its_steps_leave() -> None:
    """Local SGD: n commits make a version, (1 − η h)^λ of what was."""
    config = RunConfig.of(optimizer="local-sgd", workers=5, local_steps=6, seconds=1000)
    timeline = active_timeline_of(config, 200)
    assert rate("local-sgd", timeline, 0.125) == pytest.approx([6 * math.log(1 - 0.125)], rel=1e-9)


@pytest.mark.parametrize(("name", "workers", "curvature"), [("agn", 2, 0.25), ("downpour", 4, 0.5)])
def test_numbers_stay_in_the_range_of_floats(name: str, workers: int, curvature: float) -> None:
    """Over 3,000 rounds x shrinks or grows by more than e^±1000."""
    found = rate(name, round_robin(workers, 2, 3000), curvature)[0]
    assert abs(found) * 3000 > 1000
    assert found == pytest.approx(rate_of_largest_root(workers, moved_by(name, curvature, 2)), abs=1e-3)


@optimizer
class Capped(Optimizer):
    """c ← c + Δ, Δ at most 0.1: no power of x."""

    def commit(self, server: Server, worker: Worker, commit: Commit) -> tuple[Server, Worker]:
        import jax.numpy as jnp

        step = jnp.clip(worker.params - commit.start, -0.1, 0.1)
        return server._replace(center=server.center + step), worker


@optimizer
class Leaky(Optimizer):
    """Δ plus a tenth of the steepest there is: its `gradient` is asked at every local step."""

    def commit(self, server: Server, worker: Worker, commit: Commit) -> tuple[Server, Worker]:
        return server._replace(center=worker.params), worker

    def gradient(self, gradient: object, params: object, start: object, memory: object) -> object:
        return 2 * gradient  # type: ignore[operator]


def test_what_is_of_no_power_is_not_scaled() -> None:
    """From 1 it falls by a tenth a commit until it lies within the cap, and swings there for ever."""
    (found,) = growth_rates(Capped(), [round_robin(3, 2, 100)], [1.0])
    assert found[0] == pytest.approx(0, abs=1e-3)


def test_a_changed_gradient_counts_at_every_step() -> None:
    """A worker alone that takes twice the gradient: (1 − 2 η h)^λ an exchange."""
    (found,) = growth_rates(Leaky(), [round_robin(1, 3, 50)], [0.1], learning_rate=0.5)
    assert found[0] == pytest.approx(3 * math.log(0.8), rel=1e-9)
