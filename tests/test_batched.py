"""Many timelines in one program: to the bit those that are simulated one by one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from conftest import examples
from hypothesis import given
from hypothesis import strategies as st
from test_invariants import profiles

from agn_bench.base import machine
from agn_bench.base.streams import Kind, stream
from agn_bench.clock import Constant, Draws, Gamma, Lognormal, Profile, Stragglers, draw_delays, events
from agn_bench.clock import batched as module
from agn_bench.clock.batched import end_seconds, simulate_timelines
from agn_bench.clock.draws import Remembered
from agn_bench.clock.events import simulate_timeline
from agn_bench.clock.stops import NEVER, Stop
from agn_bench.clock.timeline import Timeline
from agn_bench.studies.pairs import cells
from agn_bench.training.timing import active_timeline_of, timeline_of, timelines_of

TIES = Profile("ties", Constant(0.0), order="random", fifo_share=0.5)
UNEVEN = Profile(
    "uneven",
    Gamma(0.3, 0.5),
    up=Lognormal(0.1, 2.0),
    server=Constant(0.05),
    order="random",
    speeds=Stragglers(0.2, 4.0),
)


def assert_same(one: Timeline, other: Timeline) -> None:
    assert (one.workers, one.local_steps, one.stopped_s) == (other.workers, other.local_steps, other.stopped_s)
    mine, theirs = one.rows(), other.rows()
    assert mine.keys() == theirs.keys()
    for name in mine:
        np.testing.assert_array_equal(mine[name], theirs[name], name)
    for name, lost in vars(one.unfinished).items():
        np.testing.assert_array_equal(lost, getattr(other.unfinished, name), name)


@st.composite
def runs(draw: st.DrawFn) -> tuple[Draws, Stop]:
    workers = draw(st.sampled_from([1, 2, 7, 40, 64, 65, 130]))
    phases = np.array(draw(st.lists(st.integers(1, 5), min_size=workers, max_size=workers)))
    profile = draw(profiles() | st.sampled_from([TIES, UNEVEN]))
    steps = draw(st.integers(1, 9))
    several = np.arange(phases.sum(), dtype=np.int32) % 3 + steps if draw(st.booleans()) else steps
    profile = replace(profile, channels=draw(st.sampled_from([1, 1, 1, 2])))
    draws = draw_delays(profile, draw(st.integers(0, 9)), workers, phases, several, 1000)
    stop = draw(st.sampled_from([NEVER, Stop(exchanges=3), Stop(seconds=1.5), Stop(gradient_steps=20)]))
    return draws, stop


def test_a_batch_gives_the_timelines_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any profiles, workers, work and stops together, in one thread and in two."""

    @examples(60)
    @given(st.lists(runs(), max_size=5), st.sampled_from([1, 2]))
    def attempt(together: list[tuple[Draws, Stop]], threads: int) -> None:
        monkeypatch.setattr(machine, "threads", lambda: threads)
        alone = [simulate_timeline(draws, stop=stop) for draws, stop in together]
        for one, other in zip(simulate_timelines(together), alone, strict=True):
            assert_same(one, other)
        whole = [simulate_timeline(draws).end_s for draws, _ in together]
        assert list(end_seconds(draws for draws, _ in together)) == whole

    attempt()


def test_batches_are_bounded_and_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """More timelines than fit into a batch, of more exchanges, held in other blocks, and one larger than a batch."""
    served = module._served
    sizes: list[tuple[int, int]] = []

    def noted(batch: list, blocks: tuple[int, int]) -> object:  # type: ignore[type-arg]
        sizes.append((len(batch), sum(len(run.draws.compute) for run in batch)))
        return served(batch, blocks)

    monkeypatch.setattr(module, "_served", noted)
    monkeypatch.setattr(machine, "threads", lambda: 1)
    cells = [*([(3, 2)] * 70), *([(40, 300)] * 4), (65, 10), (3, 2), (10, 4000)]
    drawn = [draw_delays(UNEVEN, seed, workers, phases, 2) for seed, (workers, phases) in enumerate(cells)]
    assert list(end_seconds(iter(drawn))) == [simulate_timeline(draws).end_s for draws in drawn]
    assert sizes == [(64, 384), (8, 24036), (2, 24000), (1, 650), (1, 6), (1, 40_000)]


def test_no_draws_are_made_long_before_they_are_simulated(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is under way at once bounds the memory: a batch in each thread and one that waits."""
    monkeypatch.setattr(machine, "threads", lambda: 2)
    drawn = 0

    def cells() -> object:
        nonlocal drawn
        for seed in range(9):
            drawn += 1
            yield draw_delays(UNEVEN, seed, 40, 800, 1), NEVER

    ahead = [drawn - index for index, _ in enumerate(simulate_timelines(cells()))]  # type: ignore[arg-type]
    assert max(ahead) <= 4


def test_cells_of_other_numbers_compile_nothing(compilations: Callable[[Callable[[], object]], int]) -> None:
    def batch(*cells: tuple[int, int]) -> list[float]:
        return list(end_seconds(draw_delays(UNEVEN, 0, workers, phases, 1) for workers, phases in cells))

    batch((40, 10))
    assert compilations(lambda: batch((1, 7), (64, 20), *[(10, 30)] * 20)) == 0


# --- draws that are remembered ---


@pytest.mark.parametrize(
    "step", [Gamma(0.4, 0.7), Lognormal(0.4, 0.7), Constant(0.4)], ids=lambda law: type(law).__name__
)
def test_remembered_draws_are_those_drawn_anew(step: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever was asked for before: more or fewer phases, other workers, λ and seeds; and once all are forgotten."""
    profile = replace(UNEVEN, step=step)  # type: ignore[arg-type]
    cells = [(0, 3, 9, 2), (0, 7, 4, 2), (0, 2, 30, 2), (1, 3, 9, 2), (0, 3, 9, 5), (0, 40, 3, 2)]
    for most in (Remembered.MOST, 50):
        monkeypatch.setattr(Remembered, "MOST", most)
        remembered = Remembered()
        for cell in [*cells, *cells[::-1]]:
            one, other = draw_delays(profile, *cell, 1000, sums=remembered), draw_delays(profile, *cell, 1000)
            for name, values in vars(one).items():
                np.testing.assert_array_equal(values, getattr(other, name), name)


def test_streams_are_numpys() -> None:
    """Asked for a second time they begin again, and have the same children and states."""
    for _ in range(2):
        ours, numpys = stream(5, Kind.UP, 3), np.random.default_rng(np.random.SeedSequence(5, spawn_key=(3, 3)))
        assert ours.random(9).tolist() == numpys.random(9).tolist()
        assert ours.spawn(2)[1].random() == numpys.spawn(2)[1].random()
        words = [one.bit_generator.seed_seq.generate_state(6).tolist() for one in (ours, numpys)]
        assert words[0] == words[1]


# --- surveys ---

HEAVY = ("step.distribution=pareto", "step.floor=0.1", "step.shape=0.8", "step.cap=400", "server.order=random")


@pytest.mark.parametrize(
    ("options", "exchanges"),
    [
        ({}, None),
        ({}, 150),
        ({"shares": "open"}, None),
        ({"seconds": "40", "local_steps_rule": "by-speed", "delays": "stragglers"}, None),
        ({"local_steps_rule": "post-local"}, None),
        ({"delay": HEAVY, "seed": "3"}, 300),
        ({"delay": ["server.channels=2"]}, 150),
        ({"optimizer": "local-sgd"}, None),
        ({"optimizer": "malenia"}, None),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_survey_goes_by_the_timelines_of_each_cell(options: dict[str, object], exchanges: int | None) -> None:
    work = {"gradient_steps": "600"} if exchanges is None and "seconds" not in options else {}
    settings = {"workers": "4,11,70", "local_steps": "2,3", **work, **options}
    configs = cells(settings, exchanges)
    together = list(timelines_of(configs, exchanges))
    for config, timeline in zip(configs, together, strict=True):
        assert_same(timeline, timeline_of(config) if exchanges is None else active_timeline_of(config, exchanges))


def test_a_cell_whose_phases_did_not_last_is_drawn_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its second timeline is asked for while the others' first ones are simulated together."""
    again = []
    simulated = events.simulate_timeline

    def spied(*asked: Any, **named: Any) -> Timeline:
        again.append(asked)
        return simulated(*asked, **named)

    monkeypatch.setattr(events, "simulate_timeline", spied)
    settings = {"workers": "4,11", "local_steps": "2,3", "delay": HEAVY, "seed": "3"}
    configs = cells(settings, 300)
    together = list(timelines_of(configs, 300))
    assert again
    for config, timeline in zip(configs, together, strict=True):
        assert_same(timeline, active_timeline_of(config, 300))
