"""Optimizers with rules and memory: replayed along timelines of any rules, against the plain loop; and identities."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
from conftest import PERCEPTRON, Figure, examples, initial_params, local_optimizer, reference_clock, tried
from hypothesis import given
from hypothesis import strategies as st
from test_rules import rules_for
from test_simulate import distance

from agn_bench.clock import Constant, Draws, Gamma, Profile, draw_delays
from agn_bench.clock.events import simulate_timeline
from agn_bench.clock.rules import Rules
from agn_bench.clock.stops import Stop
from agn_bench.optimizers import OPTIMIZERS, Optimizer
from agn_bench.problems.datasets import Dataset
from agn_bench.training import carry
from agn_bench.training.task import task_of

LOCAL_STEPS, BATCH, RATE = 2, 8, 0.2
PROFILE = Profile("uneven", Gamma(1.0, 0.8), Gamma(0.3, 0.5), Constant(0.1), Gamma(0.2, 0.5), order="random")
Plain = Callable[[int], Any]


@dataclass(frozen=True)
class Method:
    """One of ours by its text, and the plain one; `memory` reads of the plain one what ours holds."""

    text: str
    plain: Plain
    memory: Callable[[Any], Any] = lambda known: ()
    of_worker: Callable[[Any, int], Any] = lambda known, worker: ()


def total(trees: list[Any]) -> Any:
    return reference.combine(lambda *leaves: sum(leaves), *trees)


def waiting(known: Any) -> Any:
    none = reference.combine(np.zeros_like, known["center"])
    return total([none, *known["displacements"]])


METHODS = [
    Method("agn", lambda n: reference.Agn()),
    Method("dynsgd", lambda n: reference.Dynsgd()),
    Method("easgd:alpha=0.3", lambda n: reference.Easgd(0.3)),
    Method("local-sgd", lambda n: reference.LocalSgd(n), lambda known: (waiting(known), None)),
    Method("fedbuff:size=3:rate=0.5", lambda n: reference.FedBuff(3, 0.5), lambda known: known["buffer"]),
    Method(
        "dana:momentum=0.5",
        lambda n: reference.Dana(0.5),
        lambda known: total(known["moving"]),
        lambda known, worker: known["moving"][worker],
    ),
    Method("stale-synchronous:commits=agn", lambda n: reference.StaleSynchronous("agn")),
    Method("ringmaster:threshold=3", lambda n: reference.Ringmaster()),
]


class Case:
    """One timeline, and what both programs make of it."""

    def __init__(self, tiny: Dataset, draws: Draws, rules: Rules, stop: Stop) -> None:
        self.tiny, self.draws, self.rules, self.stop = tiny, draws, rules, stop
        self.timeline = simulate_timeline(draws, rules, stop)
        shape = (draws.workers, int(draws.phases.max()) * LOCAL_STEPS, BATCH)
        self.batches = np.random.default_rng(1).integers(0, len(tiny.train_labels), shape).astype(np.int32)

    def ours(
        self, optimizer: Optimizer, local: str = "sgd", dtype: type = np.float64, **options: Any
    ) -> tuple[carry.Training, np.ndarray]:
        train = jnp.asarray(self.tiny.train_images, dtype), jnp.asarray(self.tiny.train_labels)
        task, initial = task_of(PERCEPTRON, initial_params(3, dtype))
        chosen = local_optimizer(local, RATE if local == "sgd" else 0.01)
        training = carry.Training(
            self.timeline,
            self.batches,
            optimizer,
            chosen,
            task,
            initial,
            train,
            **options,
        )
        losses = []
        for first in range(0, self.timeline.exchanges, training.segment_size):
            last = min(first + training.segment_size, self.timeline.exchanges)
            losses.append(training.apply(first, last).losses[: last - first])
        return training, np.concatenate(losses)

    def plain(self, optimizer: Any, local: str = "sgd", reset: bool = False) -> Any:
        clock = reference_clock(self.draws, self.rules, self.stop)
        return reference.train_with(
            optimizer, clock.rows, clock.interrupted, self.batches, self.tiny.train_images, self.tiny.train_labels,
            initial_params(3), local, RATE if local == "sgd" else 0.01, reset=reset, workers=self.draws.workers,
            local_steps=LOCAL_STEPS,
        )  # fmt: skip


def agree(case: Case, method: Method, local: str = "sgd", reset: bool = False, **options: Any) -> None:
    with jax.enable_x64(True):
        training, losses = case.ours(
            OPTIMIZERS.choose(method.text).thing, local, reset_local_optimizer=reset, **options
        )
        centers, expected, _, known = case.plain(method.plain(case.draws.workers), local, reset)
        assert distance(training.center, centers[-1]) < 1e-9
        np.testing.assert_allclose(losses, expected, rtol=0, atol=1e-9)
        for mine, theirs in (
            (training._memory, method.memory(known)),
            *(
                (state.memory, method.of_worker(known, worker))
                for worker, state in enumerate(training._workers)
                if state is not None
            ),
        ):
            pairs = zip(jax.tree.leaves(mine), jax.tree.leaves(theirs), strict=False)
            assert all(np.abs(np.asarray(a) - b).max() < 1e-9 for a, b in pairs)
            assert bool(jax.tree.leaves(mine)) == bool(jax.tree.leaves(theirs))


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.text)
def test_any_rules_agree_with_the_plain_loop(tiny: Dataset, figure: Figure, method: Method) -> None:
    """Center, losses, and the memories of server and workers, to 1e-9. How many phases one call has, and whether the
    local optimizer begins anew, is not the optimizer's business: it is tried with one, as each compiles.
    """
    anything = method.text == "agn"

    @st.composite
    def cases(draw: Any) -> Case:
        workers = draw(st.sampled_from([1, 4, 9] if anything else [4]))
        draws = draw_delays(PROFILE, draw(st.integers(0, 99)), workers, draw(st.integers(1, 6)), LOCAL_STEPS)
        return Case(tiny, draws, draw(rules_for(workers)), Stop(exchanges=draw(st.integers(1, 40))))

    @examples(12)
    @given(cases(), st.booleans() if anything else st.just(False))
    def attempt(case: Case, reset: bool) -> None:
        agree(case, method, reset=reset)

    figure("invariants", what=f"rules: {method.text} as in the plain loop", **tried(attempt))


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.text)
def test_its_own_rules_with_adam_and_phases_batched(tiny: Dataset, method: Method) -> None:
    """Over 50 exchanges and more, batched as on a GPU."""
    rules = OPTIMIZERS.choose(method.text).thing.rules(4)
    case = Case(tiny, draw_delays(PROFILE, 4, 4, 14, LOCAL_STEPS), rules, Stop())
    assert case.timeline.exchanges >= 50
    agree(case, method, "adam", together=True)


def test_a_synchronous_round_is_one_batch_of_all(tiny: Dataset) -> None:
    case = Case(tiny, draw_delays(PROFILE, 4, 10, 3, LOCAL_STEPS), Rules(quorum=10, waits=True), Stop())
    plan = carry._Plan(case.timeline)
    sizes = carry._block_sizes(10, initial_params(3), LOCAL_STEPS, together=True, plain=False)
    assert [block.last - block.first for block in plan.blocks(0, 30, sizes)] == [10, 10, 10]
    assert carry._segment_size(initial_params(3), LOCAL_STEPS, True, sizes) % 10 == 0


# --- identities, to the bit ---


def centers(tiny: Dataset, text: str, workers: int, draws: Draws | None = None) -> Any:
    optimizer = OPTIMIZERS.choose(text).thing
    draws = draw_delays(PROFILE, 2, workers, 40 // workers, LOCAL_STEPS) if draws is None else draws
    return Case(tiny, draws, optimizer.rules(workers), Stop()).ours(optimizer, dtype=np.float32)[0].center


SAME = [
    ("local-sgd", "downpour", 1),
    ("dana:momentum=0", "downpour", 7),
    ("fedbuff:size=1", "downpour", 1),
    ("stale-synchronous:ahead=1000000", "downpour", 7),
    ("stale-synchronous:ahead=1000000:commits=easgd", "easgd", 7),
    ("ringmaster:threshold=1000:stops=yes", "downpour", 7),
]


@pytest.mark.parametrize(("one", "other", "workers"), SAME)
def test_identities_to_the_bit(tiny: Dataset, one: str, other: str, workers: int) -> None:
    """One worker's commits are never stale: there a FedBuff of one is DOWNPOUR, and a round of one is."""
    found = [centers(tiny, text, workers) for text in (one, other)]
    jax.tree.map(partial(np.testing.assert_array_equal, strict=True), *found)


def test_where_they_should_differ_they_do(tiny: Dataset) -> None:
    for one, other, workers in (("dana", "downpour", 7), ("fedbuff:size=1", "downpour", 7), ("local-sgd", "agn", 5)):
        assert distance(centers(tiny, one, workers), centers(tiny, other, workers)) > 1e-6


def test_other_numbers_of_an_optimizer_compile_nothing(tiny: Dataset, compilations: Callable[..., int]) -> None:
    def train(text: str, seed: int) -> Callable[[], object]:
        draws = draw_delays(PROFILE, seed, 8, 5, LOCAL_STEPS)
        return lambda: centers(tiny, text, 8, draws)

    train("dana:momentum=0.5", 1)()
    assert compilations(train("dana:momentum=0.25", 1)) == 0
