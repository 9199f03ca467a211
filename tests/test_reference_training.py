"""The reference's optimizers under rules, beside numbers worked out by hand and beside plainer loops."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import reference
from conftest import initial_params
from reference import Agn, Dana, Downpour, Dynsgd, Easgd, FedBuff, LocalOptimizer, LocalSgd, StaleSynchronous

from agn_bench.problems.datasets import Dataset

ONE = [-1.0] * 24


def number(value: float) -> list[dict[str, Any]]:
    return [{"x": np.float64(value)}]


def same(a: Any, b: Any) -> None:
    for one, other in zip(a, b, strict=True):
        for name in one:
            np.testing.assert_allclose(one[name], other[name], rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("optimizer", "commits", "expected"),
    [  # commits: worker, start, end, τ, whether a version is made; expected: center and what the worker goes on from
        (LocalSgd(2), [(0, 0, 2, 0, False), (1, 0, 4, 0, True)], [(0, 0), (3, 3)]),
        (FedBuff(2, 0.5), [(0, 0, 2, 0, False), (1, 0, 6, 3, True)] * 2, [(c, c) for c in (0, 1.25, 1.25, 2.5)]),
        (Dana(0.5), [(0, 0, 2, 0, True), (1, 0, 4, 1, True), (0, 3, 4, 1, True)], [(2, 3), (6, 9), (8, 11)]),
        (Easgd(0.25), [(0, 0, 4, 0, True), (1, 0, 9, 1, True)], [(1, 3), (3, 7)]),
        (StaleSynchronous("agn"), [(0, 0, 4, 0, True), (1, 0, 8, 1, True)], [(1, 1), (3, 3)]),
    ],
    ids=lambda value: type(value).__name__ if hasattr(value, "commit") else "",
)
def test_optimizers_by_hand(optimizer: Any, commits: list[tuple[Any, ...]], expected: list[tuple[float, ...]]) -> None:
    optimizer.begin(number(0), 2)
    for (worker, start, end, staleness, version), (center, reply) in zip(commits, expected, strict=True):
        optimizer.commit(worker, number(start), number(end), staleness, 4)
        if version:
            optimizer.version()
        assert (optimizer.center[0]["x"], optimizer.reply(worker, number(end))[0]["x"]) == (center, reply)


def test_an_elastic_worker_whose_commit_is_dropped_goes_on_from_where_it_arrived() -> None:
    easgd = Easgd(0.25)
    easgd.begin(number(0), 1)
    easgd.commit(0, number(0), number(4), 0, 1)
    assert [easgd.reply(0, number(end))[0]["x"] for end in (4, 7)] == [3, 7]


class Case:
    """Three workers, four phases of two steps."""

    def __init__(self, tiny: Dataset, rules: dict[str, Any] | None = None, compute: Any = None) -> None:
        generator = np.random.default_rng(1)
        self.compute = compute or generator.gamma(2, 1, (3, 4)).tolist()
        none = [[0.0] * 4] * 3
        self.run = reference.clock([0.0] * 3, self.compute, none, none, none, ONE, rules, local_steps=2)
        self.batches = generator.integers(0, len(tiny.train_labels), (3, 8, 16))
        self.data = tiny.train_images, tiny.train_labels

    def train_with(self, optimizer: Any, **options: Any) -> Any:
        run = self.run
        given = run.rows, run.interrupted, self.batches, *self.data, initial_params(3), "momentum", 0.1, 0.9
        return reference.train_with(optimizer, *given, local_steps=2, **options)

    def phase(self, start: Any, worker: int, phase: int, optimizer: LocalOptimizer) -> Any:
        for batch in self.batches[worker, 2 * phase : 2 * phase + 2]:
            start = optimizer.update(start, reference.loss_and_gradient(start, *(of[batch] for of in self.data))[1])
        return start


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize("optimizer", [Agn(), Downpour(), Dynsgd(), Easgd(0.3)])
def test_without_rules_it_is_the_plain_loop(tiny: Dataset, optimizer: Any, reset: bool) -> None:
    case, name = Case(tiny), type(optimizer).__name__.lower()
    given = case.run.rows, case.batches, *case.data, initial_params(3), name, "momentum", 0.1, 0.9, 0.3, reset
    expected = reference.train(*given)
    centers, losses, correct, state = case.train_with(optimizer, reset=reset)
    same(centers[-1], expected[0][-1])
    assert state["center"] is centers[-1]
    np.testing.assert_array_equal(losses, expected[1])
    np.testing.assert_array_equal(correct, expected[2])


def test_dana_without_momentum_and_means_of_one_are_downpour(tiny: Dataset) -> None:
    for rules in (None, {"grace_s": 1.0}, {"ahead": 0}):
        case = Case(tiny, rules)
        downpour = case.train_with(Downpour())[0]
        same(case.train_with(Dana(0.0))[0][-1], downpour[-1])
        same(case.train_with(LocalSgd(1))[0][-1], downpour[-1])


def test_synchronous_rounds_are_means(tiny: Dataset) -> None:
    case = Case(tiny, {"quorum": 3, "waits": True})
    center, own = initial_params(3), [LocalOptimizer("momentum", 0.1, 0.9) for _ in range(3)]
    centers = case.train_with(LocalSgd(3))[0]
    for phase in range(4):
        ends = [case.phase(center, worker, phase, own[worker]) for worker in range(3)]
        center = reference.combine(lambda a, b, c: (a + b + c) / 3, *ends)
        same(centers[3 * phase + 2], center)


def test_a_dropped_commit_and_a_phase_in_vain_leave_no_trace_in_the_center(tiny: Dataset) -> None:
    """Worker 2 is interrupted at 1 and begins its second phase from version 1; worker 1 has sent, and is dropped."""
    case = Case(tiny, {"drop_at": 1, "cancels": True}, [[1, 9, 9, 9], [1, 9, 9, 9], [2, 1, 9, 9]])
    centers = case.train_with(Downpour())[0]
    assert [(row["worker"], row["phase"], row["accepted"]) for row in case.run.rows[:3]] == [
        (0, 0, True), (1, 0, False), (2, 1, True),
    ]  # fmt: skip
    first = case.phase(initial_params(3), 0, 0, LocalOptimizer("momentum", 0.1, 0.9))
    same(centers[1], first)
    same(centers[2], case.phase(first, 2, 1, LocalOptimizer("momentum", 0.1, 0.9)))
