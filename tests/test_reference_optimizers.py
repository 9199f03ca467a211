"""The plain optimizers: numbers worked out by hand for one parameter, closed forms, and identities between them."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import reference
from reference import Dana, Downpour, Easgd, LocalSgd
from reference_optimizers import (
    RULES,
    Adag,
    AdagAgn,
    AgnWhenNeeded,
    Clipped,
    DanaDc,
    DanaSlim,
    DcAsgd,
    DcAsgdA,
    DelayAdaptive,
    DelayedNesterov,
    Eamsgd,
    FedAsync,
    GapAware,
    Gem,
    Malenia,
    Mean,
    MultiAsgd,
    NagAsgd,
    Picky,
    Ringleader,
    ServerOptimizer,
    Smega2,
    diloco,
    malenia_log,
    malenia_versions,
    ringleader_log,
    ringleader_versions,
)

# Commits of two workers that start from 0, with η = ½, so that ĝ = −2Δ: (worker, Δ, τ), and whether it makes a version.
RATE, STEPS = 0.5, 4
Commits = list[tuple[Any, ...]]


def number(*values: float) -> list[dict[str, Any]]:
    return [{"x": np.array(values, float)}]


def value(tree: Any) -> Any:
    return tree[0]["x"].tolist() if tree[0]["x"].size > 1 else tree[0]["x"].item()


def drive(optimizer: Any, commits: Commits, workers: int = 2, rates: Any = None) -> list[tuple[float, float]]:
    """Center and what the worker goes on from, after each commit."""
    optimizer.learning_rate = RATE
    optimizer.begin(number(0), workers)
    start, seen = [number(0)] * workers, []
    for index, (worker, delta, staleness, *version) in enumerate(commits):
        if rates is not None:
            optimizer.learning_rate = rates[index]
        end = reference.combine(lambda s, delta=delta: s + delta, start[worker])
        optimizer.commit(worker, start[worker], end, staleness, STEPS)
        if version != [False]:
            optimizer.version()
        start[worker] = optimizer.reply(worker, end)
        seen.append((value(optimizer.center), value(start[worker])))
    return seen


def both(*centers: float) -> list[tuple[float, float]]:
    """Who is answered goes on from the center."""
    return [(center, center) for center in centers]


ROOT = math.sqrt(1.5)


@pytest.mark.parametrize(
    ("optimizer", "commits", "expected"),
    [
        (Mean(2), [(0, 2, 0, False), (1, 4, 0), (0, 1, 1, False), (0, 3, 1)], both(0, 3, 3, 5)),
        # Two workers: in full while τ + 1 ≤ 2, then 2/(τ + 1) of it.
        (DelayAdaptive(), [(0, 1, 0), (1, 1, 1), (0, 3, 3)], both(1, 2, 3.5)),
        # The second commit finds c − p = 4: 4²/1 + 1 = 17.
        (Adag(1), [(0, 4, 0), (1, 34, 1), (0, 0, 1)], both(4, 6, 6)),
        (AdagAgn(1), [(0, 16, 0), (1, 68, 1), (0, 0, 1)], both(4, 5, 5)),
        # η = ½, λ = 4 and n = 2: η λ h is 2 h, and the line π/3.
        (AgnWhenNeeded(0.52), [(0, 4, 0), (1, 4, 1)], both(4, 8)),
        (AgnWhenNeeded(0.53), [(0, 4, 0), (1, 4, 1)], both(1, 2)),
        (AgnWhenNeeded(math.pi / 3, smooth=True), [(0, 4, 0), (1, 4, 1)], both(2, 4)),
        (AgnWhenNeeded(0.52, smooth=True), [(0, 4, 0), (1, 4, 1)], both(4, 8)),
        (AgnWhenNeeded(9, smooth=True), [(0, 4, 0), (1, 4, 1)], both(1, 2)),
        (FedAsync(0.5), [(0, 4, 0), (1, 8, 3)], both(2, 3.5)),
        (FedAsync(0.5, "hinge", a=1.5, b=1), [(0, 4, 1), (1, 10, 3), (1, 0, 9)], both(2, 3, 3)),
        (FedAsync(0.5, "constant"), [(0, 4, 0), (1, 8, 3)], both(2, 5)),
        # The second: ĝ = 2, c − p = −1, 2 + ½ · 4 · (−1) = 0.
        (DcAsgd(0.5), [(0, -1, 0), (1, -1, 1), (0, -2, 1)], both(-1, -1, -3)),
        # The second: C = ½ √((½ · 4²)/(1 − ¼)) = √(8/3), and the gap is 2.
        (GapAware(0.5), [(0, -2, 0), (1, -1, 1)], both(-2, -2 - 1 / (1 + ROOT))),
        # Γ = 0: C is how far the last commit moved it. The gap is as far: half of the second; the same for the third.
        (GapAware(0), [(0, -2, 0), (1, -1, 1), (0, -4, 1)], both(-2, -2.5, -4.5)),
        # And with momentum: v = 4, then ½ · 4 + 2/2 = 3; then C = 1½, gap 1½: 1½ + 8/2 = 5½.
        (GapAware(0, 0.5), [(0, -2, 0), (1, -1, 1), (0, -4, 1)], both(-2, -3.5, -6.25)),
        # Without momentum, of the present gradient: 2 and a gap of 2, C = 1; then 8 and a gap of 1/3, C = 4.
        (
            GapAware(0, 0, "gradient"),
            [(0, -2, 0), (1, -1, 1), (0, -4, 1)],
            both(-2, -2 - 1 / 3, -2 - 1 / 3 - 4 / (1 + 1 / 12)),
        ),
        (Picky(1), [(0, -1, 0), (1, -3, 1), (0, -5, 1), (0, -5, 0), (1, 1, 1)], both(-1, -4, -4, -9, -9)),
        (Clipped(1), [(0, -1, 0), (1, -3, 1)], both(-1, -4)),  # what is clipped is the local gradient
        # m is 0, 0, 3. Sent: of two steps to come one has m and one ½ m + half the gradient that is known.
        (Smega2(2, 0.5), [(0, -1, 0), (1, -2, 1), (0, -1, 1)], [(-1, -1.25), (-3, -4.5), (-4.75, -6.125)]),
        # m is 0, 3, 3, 2½ after each.
        (DelayedNesterov(2, 0.5, 1), [(0, -2, 0), (1, -4, 1), (0, -2, 1), (1, 0, 1)], both(-1, -4.5, -5.5, -6.75)),
        (
            DelayedNesterov(2, 0.5, 1, 0.5),
            [(0, -2, 0), (1, -4, 1), (0, -2, 1), (1, 0, 1)],
            both(-1, -3.75, -5.5, -6.125),
        ),
        # v is 2 | 2 0 | 4 0; the second is compensated by c − sent = −1, the third by ½.
        (DanaDc(0.5, 0.5), [(0, -1, 0), (1, -1, 1), (0, -1, 1)], [(-1, -1.5), (-1, -1.5), (-3, -4)]),
        (DanaSlim(0.5), [(0, -1, 0), (1, -1, 1), (0, -1, 1)], both(-1.5, -3, -4.75)),
        (MultiAsgd(0.5), [(0, -1, 0), (1, -1, 1), (0, -1, 1)], both(-1, -2, -3.5)),
        (NagAsgd(0.5), [(0, -1, 0), (1, -1, 1), (0, -1, 1)], [(-1, -1.5), (-2.5, -3.25), (-4.25, -5.125)]),
        # m −1, π 1 | m −2, moved 1, π ½ | m −1.5, moved 2, π 0 | m −0.85, moved 0, π 8½, at most 5 | Δ = 0, π 0.
        (Gem(1, 0.5), [(0, -1, 0), (1, -2, 1), (0, -1, 1), (0, -0.1, 0), (0, 0, 0)], both(-1, -2, -2, -2.5, -2.5)),
        (Eamsgd(0.5), [(0, 4, 0), (1, 9, 1)], [(1, 3), (3, 7)]),
        (
            Ringleader(),
            # 0: {2, 4}, and 1: {1} completes it. 1 has had its step: next table. 0: {2, 4, 6}. Then 1: {5}, 0: {2}.
            [(0, 2, 0, False), (0, 4, 0, False), (1, 1, 0), (1, 5, 0, False), (0, 6, 1), (0, 2, 0)],
            both(0, 0, 2, 2, 4.5, 8),
        ),
        (Malenia(), [(0, 2, 0, False), (0, 4, 0, False), (1, 1, 0), (1, 3, 0, False), (0, 1, 1)], both(0, 0, 2, 2, 4)),
    ],
    ids=lambda x: type(x).__name__ if hasattr(x, "commit") else "",
)
def test_by_hand(optimizer: Any, commits: Commits, expected: list[tuple[float, float]]) -> None:
    np.testing.assert_allclose(drive(optimizer, commits), expected, rtol=0, atol=1e-7)


def test_what_is_counted_and_remembered_in_them() -> None:
    picky = Picky(1)
    drive(picky, [(0, -1, 0), (1, -3, 1), (0, -5, 1), (0, -5, 0), (1, 1, 1)])
    assert picky.applied == 3
    gem = Gem(1, 0.5)
    drive(gem, [(0, -1, 0), (1, -2, 1), (0, -1, 1)])
    assert [value(c) for c in gem.handed] == [-2, -1]
    assert [value(v) * -RATE for v in gem.velocity] == [-1.5, -2]


def test_a_ringleader_knows_its_next_table() -> None:
    ringleader = Ringleader()
    drive(ringleader, [(0, 2, 0, False), (1, 1, 0), (1, 5, 0, False), (1, 7, 0, False), (0, 6, 1)])
    assert [[value(g) for g in of_worker] for of_worker in ringleader.table] == [[], [-10, -14]]
    assert ringleader.due is None


def test_the_largest_rate_counts_for_a_gap() -> None:
    """At a rate of ¼, C is still that of ½: the gap of ½ is one C, and half of Δ = −4 remains."""
    commits: Commits = [(0, -2, 0), (1, -1, 1), (0, -4, 1)]
    assert drive(GapAware(0), commits, rates=[0.5, 0.5, 0.25])[-1] == pytest.approx((-4.5, -4.5), abs=1e-6)


def test_dc_asgd_adaptive_by_hand() -> None:
    """With decay ¾, λ is 2/√(¼ ĝ²) = 4/|ĝ| at a worker's first commit.

    The second commit is ĝ + 4 |ĝ| (c − p) with ĝ = ½, c − p = −1. The third is worker 0's again, after ĝ = 2: its mean
    square is ¾ + ¼ · 4² = 4¾, and c − p is ¾.
    """
    seen = drive(DcAsgdA(2, 0.75), [(0, -1, 0), (1, -0.25, 1), (0, -2, 1)])
    third = -0.25 - 0.5 * (4 + 2 / math.sqrt(4.75) * 16 * 0.75)
    np.testing.assert_allclose(seen, both(-1, -0.25, third), rtol=0, atol=1e-5)
    never = DcAsgdA()
    never.begin(number(0), 1)
    assert value(never.strength_for(0, number(0))) == pytest.approx(
        2 / math.sqrt(1e-7)
    )  # of a weight without gradients


def test_lengths_are_of_all_parameters_together() -> None:
    two = [{"a": np.array([3.0]), "b": np.array([[4.0]])}]
    clipped = Clipped(2.5)
    assert clipped.gradient(0, two, None, None) == [{"a": 1.5, "b": 2}]
    assert Clipped(5).gradient(0, two, None, None) is two
    none = reference.combine(np.zeros_like, two)
    assert clipped.gradient(0, none, None, None) == [{"a": 0, "b": 0}]
    for threshold, applied in ((4.9, 0), (5, 1)):
        picky = Picky(threshold)
        picky.learning_rate = 1
        picky.begin(none, 1)
        picky.center = two
        picky.commit(0, none, two, 0, 1)
        assert picky.applied == applied


def test_a_proximal_term_draws_back_to_where_the_phase_began() -> None:
    near = FedAsync(proximal=0.5)
    assert value(near.gradient(0, number(1), number(3), number(-1))) == 1 + 0.5 * 4
    assert value(FedAsync().gradient(0, number(1), number(3), number(-1))) == 1


# --- rules at the server ---


@pytest.mark.parametrize(
    ("rule", "expected"),
    [  # of the pseudo-gradients 2 and −1, rate ½, momentum ½
        ("sgd", [-1, -0.5]),
        ("momentum", [-1, -1]),  # m: 2, 0
        ("nesterov", [-1.5, -1]),  # g + m/2: 3, −1
        ("adam", [-0.5, -0.5 - 0.5 * (0.08 / 0.19) / math.sqrt(0.004996 / 0.001999)]),
        ("adagrad", [-1 / math.sqrt(4.1), -1 / math.sqrt(4.1) + 0.5 / math.sqrt(5.1)]),
        ("rmsprop", [-1 / math.sqrt(0.4), -1 / math.sqrt(0.4) + 0.5 / math.sqrt(0.46)]),
        ("lion", [-0.5, 0]),  # sign(0.1 · 2), sign(0.9 · 0.02 − 0.1)
    ],
)
def test_rules_by_hand(rule: str, expected: list[float]) -> None:
    seen = drive(ServerOptimizer(Downpour(), rule, 0.5, 0.5), [(0, -2, 0), (1, 1, 1)])
    np.testing.assert_allclose(seen, both(*expected), rtol=0, atol=1e-7)


@pytest.mark.parametrize(("second", "moved"), [(0.19, 0), (0.17, -1)])
def test_lions_direction_is_of_nine_tenths_of_its_memory(second: float, moved: float) -> None:
    """m = 0.02 after a gradient of 2: 0.018 on the scales against a tenth of the second, 0.019 or 0.017."""
    assert drive(ServerOptimizer(Downpour(), "lion", 0.5), [(0, -2, 0), (1, second, 1)]) == both(-0.5, moved)


@pytest.mark.parametrize("rule", RULES)
def test_rules_are_those_of_optax(rule: str) -> None:
    theirs: dict[str, Any] = {
        "sgd": optax.sgd(0.3),
        "momentum": optax.sgd(0.3, 0.8),
        "nesterov": optax.sgd(0.3, 0.8, nesterov=True),
        "lion": optax.lion(0.3, weight_decay=0),
    }
    deltas = np.random.default_rng(0).normal(size=(6, 5)) * [1, 1e-1, 1e-3, 1e-6, 0]
    ours = ServerOptimizer(Downpour(), rule, 0.3, 0.8)
    ours.learning_rate = RATE
    ours.begin(number(*[0.0] * 5), 1)
    with jax.enable_x64(True):
        chosen = theirs[rule] if rule in theirs else getattr(optax, rule)(0.3)
        center = jnp.zeros(5)
        state = chosen.init(center)
        for delta in deltas:
            ours.commit(0, number(*[0.0] * 5), number(*delta), 0, 1)
            step, state = chosen.update(jnp.asarray(-delta), state, center)
            center = center + step
            np.testing.assert_allclose(ours.center[0]["x"], center, rtol=0, atol=1e-8)
        held = [leaf for leaf in jax.tree.leaves(state) if leaf.shape == (5,)]
    for mine, their in zip(ours.moments, held, strict=True):
        np.testing.assert_allclose(mine[0]["x"], their, rtol=1e-9, atol=1e-15)


def test_a_rule_steps_where_the_inner_method_does() -> None:
    """DiLoCo of two: the mean Δ is −1, then −2: m = 1, 2.9; c = −0.7 (1 + 0.9), and 0.7 (2 + 0.9 · 2.9) less."""
    commits = [(0, -2, 0, False), (1, 0, 0), (0, -3, 1, False), (1, -1, 0)]
    np.testing.assert_allclose(drive(diloco(2), commits), both(0, -1.33, -1.33, -1.33 - 0.7 * 4.61))
    buffered = ServerOptimizer(LocalSgd(2), "nesterov", 0.7, 0.9)
    np.testing.assert_allclose(drive(buffered, commits), both(0, -1.33, -1.33, -1.33 - 0.7 * 4.61))
    # EASGD's worker goes on from its own point, whatever the server does.
    assert drive(ServerOptimizer(Easgd(0.25), "sgd", 2), [(0, 4, 0), (1, 8, 1)]) == [(2, 3), (5, 6.5)]
    # A commit that is passed over is a gradient of 0: momentum goes on.
    passed = ServerOptimizer(Picky(0), "momentum", 1, 0.5)
    assert drive(passed, [(0, -1, 0), (1, -1, 1)]) == both(-1, -1.5)


# --- versions by counts ---


def test_ringleader_makes_n_versions_a_round_one_for_each_worker() -> None:
    assert ringleader_versions([0, 0, 1, 1, 0, 0], 2) == [False, False, True, False, True, True]
    generator = np.random.default_rng(0)
    for n in (1, 2, 5):
        order = generator.choice(n, 300, p=generator.dirichlet(np.ones(n))).tolist()
        made = ringleader_versions(order, n)
        steps = [worker for worker, version in zip(order, made, strict=True) if version]
        rounds = [steps[first : first + n] for first in range(0, len(steps) - n + 1, n)]
        assert len(rounds) > 3
        assert all(sorted(of_round) == list(range(n)) for of_round in rounds)
        ringleader = Ringleader()
        ringleader.learning_rate = 1.0
        ringleader.begin(number(0), n)
        for worker, version in zip(order, made, strict=True):
            ringleader.commit(worker, number(0), number(1), 0, 1)
            assert ringleader.steps == version
            if version:
                ringleader.version()
        assert value(ringleader.center) == pytest.approx(sum(made))  # all commits alike: each step is one of them
    assert ringleader_versions([0] * 4, 1) == [True] * 4


def test_malenia_needs_everyone_and_a_harmonic_mean() -> None:
    def decided(arrivals: list[tuple[int, int]], n: int, size: float | None = None) -> str:
        """. accepted, V makes a version, x dropped."""
        rows = [{"worker": worker, "pulled": pulled} for worker, pulled in arrivals]
        return "".join(".V"[made] if accepted else "x" for accepted, made in malenia_versions(rows, n, size))

    assert decided([(0, 0), (0, 0), (1, 0), (1, 1), (0, 0), (0, 1)], 2) == "..V.xV"
    # n = 2, S = 3 needs 1½: counts 1 1 give 1, 2 1 give 4/3, 3 1 give 3/2.
    assert decided([(0, 0), (1, 0), (0, 0), (0, 0)], 2, 3) == "...V"
    # Equality, exactly: in binary n²/(⅕ + ⅕ + ⅕) is less than 15.
    for counts, size in (((5, 5, 5), 15), ((2, 3, 6), 9), ((1, 6, 6, 6, 6), 15)):
        arrivals = [(worker, 0) for worker, count in enumerate(counts) for _ in range(count)]
        assert decided(arrivals, len(counts), size) == "." * (len(arrivals) - 1) + "V"
    assert decided([(0, 0), (0, 1), (0, 2)], 1) == "VVV"
    assert decided([(0, 0), (0, 0), (0, 1), (0, 1)], 1, 2) == ".V.V"


# --- trained ---


class Case:
    """Three uneven workers, twelve phases of two steps; every commit makes a version, unless rules say otherwise."""

    def __init__(self, rules: dict[str, Any] | None = None, workers: int = 3) -> None:
        generator = np.random.default_rng(1)
        self.workers = workers
        compute = (generator.gamma(2, 1, (workers, 12)) * [[1.0], [1.5], [4.0]][:workers]).tolist()
        none = [[0.0] * 12] * workers
        self.rows = reference.clock([0.0] * workers, compute, none, none, none, [-1.0] * 200, rules).rows
        self.batches = generator.integers(0, 40, (workers, 24, 8))
        self.data = generator.normal(size=(40, 5)), generator.integers(0, 3, 40)
        self.initial = [
            {"weights": generator.normal(size=(a, b)) / 3, "biases": np.zeros(b)} for a, b in ((5, 4), (4, 3))
        ]

    def train(self, optimizer: Any, rows: Any = None, local: str = "sgd") -> Any:
        given = rows or self.rows, [], self.batches, *self.data, self.initial, local, 0.1, 0.9
        return reference.train_with(optimizer, *given, local_steps=2, workers=self.workers)

    def centers(self, optimizer: Any, **options: Any) -> Any:
        return self.train(optimizer, **options)[0]


def flat(trees: Any) -> np.ndarray:
    return np.array([np.concatenate([leaf.ravel() for layer in tree for leaf in layer.values()]) for tree in trees])


def same(a: Any, b: Any) -> None:
    np.testing.assert_allclose(flat(a), flat(b), rtol=0, atol=1e-11)


@pytest.fixture(scope="module")
def case() -> Case:
    return Case()


@pytest.fixture(scope="module")
def downpour(case: Case) -> Any:
    return case.centers(Downpour())


@pytest.mark.parametrize(
    "optimizer",
    [
        Mean(1),
        Adag(math.inf),
        AgnWhenNeeded(0),
        DcAsgd(0),
        DcAsgdA(0),
        Picky(math.inf),
        Clipped(1e9),
        Smega2(momentum=0),
        DelayedNesterov(momentum=0, rate=3),  # a commit is g/N of ε, N = n = 3
        DanaDc(0, 0),
        DanaSlim(0),
        MultiAsgd(0),
        NagAsgd(0),
        ServerOptimizer(Downpour(), "sgd", 1),
        ServerOptimizer(Downpour(), "momentum", 1, 0),
        ServerOptimizer(Mean(1), "nesterov", 1, 0),
    ],
    ids=lambda optimizer: type(optimizer).__name__,
)
def test_without_what_makes_it_special_it_is_downpour(case: Case, downpour: Any, optimizer: Any) -> None:
    same(case.centers(optimizer), downpour)


@pytest.mark.parametrize("local", ["sgd", "momentum", "adam"])
@pytest.mark.parametrize(
    "optimizer",
    [
        Mean(1),
        DelayAdaptive(),
        Adag(),
        FedAsync(1),
        DcAsgd(9),
        DcAsgdA(9),
        GapAware(),
        Picky(0),
        Ringleader(),
        Malenia(),
        ServerOptimizer(Ringleader(), "sgd", 1),
    ],
    ids=lambda optimizer: type(optimizer).__name__,
)
def test_alone_nothing_is_stale_and_it_is_downpour(optimizer: Any, local: str) -> None:
    alone = Case(workers=1)
    same(alone.centers(optimizer, local=local), alone.centers(Downpour(), local=local))


def test_who_is_alone_is_accelerated() -> None:
    """n = 1: DANA is NAG-ASGD, and Multi-ASGD heavy ball. GEM sees its own last step as the center's."""
    alone = Case(workers=1)
    same(alone.centers(Dana(0.9)), alone.centers(NagAsgd(0.9)))
    same(alone.centers(MultiAsgd(0.9)), alone.centers(ServerOptimizer(Downpour(), "momentum", 1, 0.9)))
    assert drive(Gem(momentum=0), [(0, -1, 0)] * 4, workers=1) == both(-1, -1, -2, -2)
    # One worker and steps all alike: m tends to 10 Δ, by which GEM lets the center move in two steps together.
    matched = drive(Gem(momentum=0.9, most=1e9), [(0, -1, 0)] * 400, workers=1)
    assert matched[-1][0] - matched[-3][0] == pytest.approx(-10, abs=1e-6)


def test_dana_slim_is_dana_after_a_change_of_variables(case: Case) -> None:
    """Its center is what DANA sends, c − ηγ Σ v. So the gradients are taken at the same points, and losses agree."""
    dana, slim = case.train(Dana(0.9)), case.train(DanaSlim(0.9))
    np.testing.assert_allclose(slim[1], dana[1], rtol=0, atol=1e-11)
    known = dana[3]  # in units of displacement, −η v
    sent = reference.combine(lambda c, *d: c + 0.9 * sum(d), known["center"], *known["moving"])
    same([slim[0][-1]], [sent])
    same(case.centers(DanaDc(0.9, 0)), dana[0])


def test_smega2_of_period_1_is_nag_asgd(case: Case) -> None:
    """c ← c − η (ĝ + γ m) with m ← γ m + ĝ is c ← c − η m, and what it looks ahead by is ηγ m."""
    same(case.centers(Smega2(1, 0.9)), case.centers(NagAsgd(0.9)))


def test_smega2_looks_n_commits_ahead() -> None:
    """With gradients of 0 from now on, c moves in N commits to what was sent."""
    for known in range(1, 6):
        smega = Smega2(5, 0.5)
        generator = np.random.default_rng(known)
        before = [(index % 2, delta, 1) for index, delta in enumerate(generator.normal(size=10 + known).tolist())]
        sent = drive(smega, before)[-1][1]
        for _ in range(5):
            smega.commit(0, number(0), number(0), 1, 1)
        assert value(smega.center) == pytest.approx(sent, abs=1e-12)


@pytest.mark.parametrize("spread", [0, 0.2, 1])
def test_delayed_nesterov_of_period_1_is_nesterov(case: Case, spread: float) -> None:
    expected = case.centers(ServerOptimizer(Downpour(), "nesterov", 0.7, 0.9))
    same(case.centers(DelayedNesterov(1, 0.9, 0.7, spread)), expected)


def test_eamsgd_is_easgd_and_the_momentum_is_the_workers(case: Case) -> None:
    same(case.centers(Eamsgd(0.9), local="momentum"), case.centers(Easgd(0.3), local="momentum"))


def test_means_of_versions_are_local_sgd_and_rounds_are_too() -> None:
    synchronous = Case({"quorum": 3, "waits": True})
    expected = synchronous.centers(LocalSgd(3))
    same(synchronous.centers(Mean(3)), expected)
    same(synchronous.centers(Malenia()), expected)  # everyone once: the mean of means
    same(synchronous.centers(ServerOptimizer(Mean(3), "sgd", 1)), expected)
    half = reference.combine(lambda c, e: c + (e - c) / 2, synchronous.initial, expected[2])
    same([synchronous.centers(ServerOptimizer(Malenia(), "sgd", 0.5))[2]], [half])


def test_malenia_and_ringleader_on_an_asynchronous_clock(case: Case) -> None:
    """Phases of the first round begin from the initial center; the first step is the mean of the workers' means."""
    for optimizer, rows in ((Ringleader(), ringleader_log(case.rows, 3)), (Malenia(), malenia_log(case.rows, 3))):
        first = next(index for index, row in enumerate(rows) if row["version"] == 1)
        assert all(row["accepted"] and row["staleness"] == 0 for row in rows[: first + 1])
        centers = case.centers(optimizer, rows=rows)
        same(centers[:first], [case.initial] * first)
        means = []
        for worker in range(3):
            own, displacements = reference.LocalOptimizer("sgd", 0.1), []
            for row in rows[: first + 1]:
                if row["worker"] == worker:
                    end = case.initial
                    for batch in case.batches[worker, 2 * row["phase"] : 2 * row["phase"] + 2]:
                        end = own.update(end, reference.loss_and_gradient(end, *(of[batch] for of in case.data))[1])
                    displacements.append(flat([end])[0] - flat([case.initial])[0])
            means.append(np.mean(displacements, axis=0))
        np.testing.assert_allclose(flat([centers[first]])[0], flat([case.initial])[0] + np.mean(means, axis=0))
    assert max(row["staleness"] for row in ringleader_log(case.rows, 3)) <= 4  # 2n − 2
    assert all(row["staleness"] == 0 for row in malenia_log(case.rows, 3) if row["accepted"])


def test_the_learning_rate_is_told(case: Case) -> None:
    optimizer = ServerOptimizer(NagAsgd(0.5), "sgd", 1)
    known = case.train(optimizer)[3]
    assert (known["learning_rate"], optimizer.inner.learning_rate) == (0.1, 0.1)
    same(case.centers(optimizer), case.centers(NagAsgd(0.5)))
