"""How the replay engine works: exchanges in blocks, buffers in place, the center looked at once a segment.

None of it may be seen in a result; what the results must be, `test_simulate` has.
"""

from __future__ import annotations

import gc
import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
from conftest import AT_ONCE, PERCEPTRON, WIDTHS, initial_params
from jax.test_util import check_grads
from test_simulate import LOCAL, OPTIMIZERS, Case, distance

from agn_bench.clock.timeline import Timeline
from agn_bench.config.resolving import resolve
from agn_bench.optimizers import LOCAL_OPTIMIZERS, Commit, LocalOptimizer, Optimizer, Server, Worker, optimizer
from agn_bench.problems import perceptron
from agn_bench.problems.catalogue import DATASETS, MODELS
from agn_bench.problems.datasets import Dataset
from agn_bench.training import carry as training
from agn_bench.training.exchange import exchange_sharing
from agn_bench.training.records import Progress, Replay
from agn_bench.training.task import task_of
from agn_bench.training.timing import timeline_of

Engine = Callable[..., None]
Patch = pytest.MonkeyPatch
ORDERS = {
    "turns": list(range(8)) * 6,
    "uneven": np.random.default_rng(5).choice(8, 60, p=np.array([20, 15, 8, 5, 4, 3, 3, 2]) / 60).tolist(),
    "stretches": [*([0] * 9 + [1]) * 3, 7],
    "one": [0] * 20,
}


class Script(Case):
    """A timeline written down instead of simulated: the workers exchange in any order."""

    def __init__(self, tiny: Dataset, order: list[int], local_steps: int) -> None:
        workers = max(order) + 1
        phases, pulled = [0] * workers, [0] * workers
        self.log = []
        for version, worker in enumerate(order):
            self.log.append({"worker": worker, "phase": phases[worker], "staleness": version - pulled[worker]})
            phases[worker] += 1
            pulled[worker] = version + 1
        times = (np.arange(len(order)) / 2,) * 6
        self.timeline = Timeline.asynchronous(workers, local_steps, np.array(order, np.int32), times)
        shape = (workers, max(phases) * local_steps, 16)
        self.batches = np.random.default_rng(1).integers(0, len(tiny.train_labels), shape).astype(np.int32)
        self.tiny = tiny

    def reference(self, optimizer: str, local: LocalOptimizer, reset: bool = False) -> Any:
        data, initial = (self.tiny.train_images, self.tiny.train_labels), initial_params(3)
        name = LOCAL_OPTIMIZERS.name_of(local)
        numbers = (name, local.learning_rate, getattr(local, "momentum", None), 0.3)
        return reference.train(self.log, self.batches, *data, initial, optimizer, *numbers, reset)

    def training(self, optimizer: Any, local: LocalOptimizer) -> training.Training:
        train = jnp.asarray(self.tiny.train_images, np.float32), jnp.asarray(self.tiny.train_labels)
        task, initial = task_of(PERCEPTRON, initial_params(3, np.float32))
        return training.Training(self.timeline, self.batches, optimizer, local, task, initial, train)


@pytest.fixture(autouse=True)
def engine(monkeypatch: Patch) -> Engine:
    """Set the engine's own numbers. Segments are long unless set here: a run is one, but for its evaluations."""

    def numbers(**values: int | tuple[int, ...]) -> None:
        for name, value in values.items():
            monkeypatch.setattr(training, f"_{name.upper()}", value)

    numbers(segment_steps=512)
    return numbers


def same(a: Replay, b: Replay, center: bool = True) -> None:
    """To the bit; NaN is NaN."""
    assert (a.diverged_exchange, a.evaluations) == (b.diverged_exchange, b.evaluations)
    parts = [(r.center if center else None, r.losses, r.measured) for r in (a, b)]
    jax.tree.map(partial(np.testing.assert_array_equal, strict=True), *parts)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(
    ("name", "local", "device"), [("agn", "adam", "cpu"), ("easgd", "sgd", "cpu"), ("dynsgd", "momentum", "gpu")]
)
def test_any_order_agrees_with_the_reference(
    tiny: Dataset, engine: Engine, monkeypatch: Patch, name: str, local: str, device: str, order: str
) -> None:
    """Also where one worker exchanges many times in a row, and with phases batched as on a GPU."""
    engine(at_once=(2,), batched=(3, 2))
    monkeypatch.setattr(jax, "default_backend", lambda: device)
    case, reset = Script(tiny, ORDERS[order], 3), name == "dynsgd"
    result = case.replay(OPTIMIZERS[name], LOCAL[local], reset_local_optimizer=reset)
    centers, losses, correct = case.reference(name, LOCAL[local], reset)
    assert distance(result.center, centers[-1]) < 1e-9
    np.testing.assert_allclose(result.losses, losses, rtol=0, atol=1e-9)
    np.testing.assert_array_equal(result.measured["accuracy"], correct)


@pytest.mark.parametrize(("name", "local"), [("agn", "adam"), ("easgd", "sgd")])
def test_the_batching_inside_changes_no_bit(tiny: Dataset, engine: Engine, name: str, local: str) -> None:
    """Exchanges a call, calls a segment, segments a run; what is evaluated on the way changes the segments too."""
    case = Script(tiny, [*range(8), *ORDERS["uneven"], *range(7, -1, -1)], 1)
    run = partial(case.replay, OPTIMIZERS[name], LOCAL[local], np.float32)
    engine(at_once=())
    one_by_one, evaluated = run(), run(evaluate_at={0, 21, 70})
    same(replace(evaluated, evaluations=[]), one_by_one)
    assert [version for version, _ in evaluated.evaluations] == [0, 21, 70]
    engine(segment_steps=7)
    same(run(), one_by_one)
    engine(at_once=(4,), segment_steps=512)
    same(run(), one_by_one)
    same(run(evaluate_at={0, 21, 70}), evaluated)
    engine(short_phase=0)
    same(run(), one_by_one)


@pytest.mark.parametrize("sizes", [(1,), (2, 1), (3, 1), (8, 4, 1), (5, 4, 3, 2, 1)])
def test_a_block_is_as_many_exchanges_by_different_workers_as_is_allowed(sizes: tuple[int, ...]) -> None:
    generator = np.random.default_rng(sizes[0])
    for workers in (1, 2, 5, 40):
        order = generator.integers(0, workers, 200).tolist()
        blocks = list(training._blocks(order, sizes))
        assert [worker for block in blocks for worker in block] == order
        assert {len(block) for block in blocks} <= set(sizes)
        assert all(len(set(block)) == len(block) for block in blocks)
        first = 0
        for block in blocks:  # no larger one was possible
            larger = [size for size in sizes if size > len(block)]
            assert all(len(set(order[first : first + size])) < size for size in larger)
            first += len(block)
    assert [len(block) for block in training._blocks(list(range(24)), sizes)][: 24 // sizes[0]] == [sizes[0]] * (
        24 // sizes[0]
    )


@pytest.mark.parametrize("local_steps", [1, 10, 40])
def test_on_a_gpu_most_phases_of_the_papers_runs_are_batched(monkeypatch: Patch, local_steps: int) -> None:
    """With the engine's own numbers, in every segment of the timeline of 40 workers."""
    monkeypatch.undo()
    network = [
        np.broadcast_to(np.float32(0), shape) for shape in pairwise(MODELS["mlp-paper"].widths(DATASETS["mnist"]))
    ]
    sizes = training._block_sizes(40, network, local_steps, together=True)
    segment = training._segment_size(network, local_steps, together=True)
    config = resolve({"preset": "paper", "optimizer": "agn", "workers": 40, "local_steps": local_steps})
    order = timeline_of(config).worker.tolist()[: 20 * segment]
    blocks = [
        block for first in range(0, len(order), segment) for block in training._blocks(order[first:][:segment], sizes)
    ]
    assert len(blocks) < len(order) / 4


def custom(rule: Callable[..., Any]) -> Any:
    """An optimizer that does this at an exchange."""

    @optimizer
    class Custom(Optimizer):
        def commit(self, server: Server, worker: Worker, commit: Commit) -> tuple[Server, Worker]:
            center, params = rule(server.center, commit.start, worker.params, commit.steps, commit.staleness)
            return server._replace(center=center), worker._replace(params=params)

        def reply(self, server: Server, worker: Worker) -> Worker:
            return worker

    return Custom()


def mean(c: Any, s: Any, e: Any, n: int) -> Any:
    return jax.tree.map(lambda c, s, e: c + (e - s) / n, c, s, e)


def clipped(c: Any, s: Any, e: Any, *_: Any) -> Any:
    commit = jax.tree.map(lambda s, e: e - s, s, e)
    norm = jnp.sqrt(sum((leaf**2).sum() for leaf in jax.tree.leaves(commit)))
    new = jax.tree.map(lambda c, d: c + d * jnp.minimum(1, 0.1 / norm), c, commit)
    return new, new


def test_a_method_that_gives_a_copy_of_the_center_gives_the_same_bits(tiny: Dataset, engine: Engine) -> None:
    engine(at_once=())
    case = Script(tiny, ORDERS["uneven"], 3)
    agn = case.replay(OPTIMIZERS["agn"], LOCAL["adam"])
    for copy in (jnp.copy, lambda leaf: leaf):  # other buffers, and the same ones in another list
        copying = custom(lambda c, s, e, n, _, copy=copy: ((new := mean(c, s, e, n)), jax.tree.map(copy, new)))
        same(case.replay(copying, LOCAL["adam"]), agn)


RULES = [
    pytest.param(lambda c, s, e, n, _: (mean(c, s, e, n), e), id="on from its end"),
    pytest.param(lambda c, s, e, n, _: (mean(c, s, e, n), c), id="on from the old center"),
    pytest.param(lambda c, s, e, n, _: (c, e), id="alone"),
    pytest.param(lambda c, s, e, n, _: ((new := mean(c, s, e, n)), [new[0], *e[1:]]), id="on from a layer of it"),
    pytest.param(lambda c, s, e, n, _: ((new := mean(c, s, e, n)), new if n > 1 else e), id="λ > 1"),
    pytest.param(lambda c, s, e, n, _: ((new := mean(c, s, e, n)), new if n == 1 else e), id="λ = 1"),
    pytest.param(clipped, id="commit of bounded norm"),
]


@pytest.mark.parametrize("rule", RULES)
def test_any_method_agrees_with_a_plain_loop(tiny: Dataset, engine: Engine, monkeypatch: Patch, rule: Any) -> None:
    """Beside the reference's loop with the same rule on NumPy arrays."""
    engine(at_once=())
    monkeypatch.setattr(reference, "exchange", lambda _, *values: rule(*values[:5]))
    given = custom(rule)
    for order in ("uneven", "one"):
        case = Script(tiny, ORDERS[order], 3)
        with jax.enable_x64(True):
            centers, losses, _ = case.reference("", LOCAL["sgd"])
            result = case.replay(given, LOCAL["sgd"])
            assert distance(result.center, centers[-1]) < 1e-9
        np.testing.assert_allclose(result.losses, losses, rtol=0, atol=1e-9)


@optimizer
class Struck(Optimizer):
    """At the exchange `at`, told by its τ, one bias of the center becomes `value`; no worker ever sees it."""

    at: int
    value: float

    def commit(self, server: Server, worker: Worker, commit: Commit) -> tuple[Server, Worker]:
        blow, center = jnp.where(commit.staleness == self.at, self.value, 0), server.center
        last = jax.tree.map(lambda c: jnp.shape(c) == WIDTHS[-1:], center)
        new = jax.tree.map(lambda c, e, last: c + 0.1 * (e - c) + (blow if last else 0), center, worker.params, last)
        return server._replace(center=new), worker

    def reply(self, server: Server, worker: Worker) -> Worker:
        return worker


@pytest.mark.parametrize(("at", "value"), [(0, np.inf), (21, np.nan), (22, -np.inf), (47, np.inf), (None, np.nan)])
def test_the_exchange_that_spoils_the_center_is_found_within_a_segment(
    tiny: Dataset, engine: Engine, at: int | None, value: float
) -> None:
    """All losses are finite, before it and after."""
    engine(at_once=(2,))
    case = Script(tiny, ORDERS["turns"], 1)
    case.timeline = replace(case.timeline, pulled=np.zeros(48, np.int32))
    run, seen = partial(case.replay, local=LOCAL["sgd"], dtype=np.float32), list[Progress]()
    result = run(Struck(-1 if at is None else at, value), evaluate_at={0, 10, 20, 22, 40, 48}, on_progress=seen.append)
    made = 48 if at is None else at + 1
    kept = [version for version in (0, 10, 20, 22, 40, 48) if at is None or version <= at]
    sound = run(Struck(-1, 0.0), evaluate_at=kept)
    kept_measured = {name: values[:made] for name, values in sound.measured.items()}
    sound = replace(sound, diverged_exchange=at, losses=sound.losses[:made], measured=kept_measured)
    same(result, sound, center=at is None)
    assert result.losses.shape == (made, 1)
    assert np.isfinite(result.losses).all()
    assert [evaluation.version for evaluation in result.evaluations] == kept
    reported = [progress.exchanges for progress in seen]
    assert set(reported) == {version for version in kept if version}
    assert len(reported) == len(set(reported)) or at is not None  # a run that is made again reports again


def held() -> int:
    """Sets of parameters that are alive, told by the first layer's weights."""
    return sum(array.shape == WIDTHS[:2] for array in jax.live_arrays())


def test_a_run_that_is_made_again_holds_nothing_of_the_first_try(tiny: Dataset) -> None:
    """The memory that all workers take is there once, not twice."""
    case = Script(tiny, ORDERS["turns"], 1)
    case.timeline = replace(case.timeline, pulled=np.zeros(48, np.int32))
    gc.collect()
    before, seen = held(), []
    options = {"evaluate_at": range(4, 48, 4), "on_progress": lambda _: seen.append(held() - before)}
    assert case.replay(Struck(40, np.inf), LOCAL["adam"], np.float32, **options).diverged_exchange == 40
    first_try, second = seen[: len(seen) // 2], seen[len(seen) // 2 :]
    assert second == first_try


def test_a_loss_that_is_not_finite_ends_the_run(tiny: Dataset, monkeypatch: Patch) -> None:
    """Though the center is."""

    def loss(params: Any, images: jax.Array, labels: jax.Array, which: str, plain: Any = perceptron.loss) -> Any:
        value, correct = plain(params, images, labels, which)
        return value + jax.lax.stop_gradient(jnp.where(images.max() > 1, jnp.inf, 0)), correct

    case = Script(tiny, ORDERS["turns"], 4)
    case.tiny = replace(tiny, train_images=np.vstack([np.full((1, 12), 2.0), tiny.train_images[1:]]))
    case.batches[case.batches == 0] = 1
    for exchange, step in ((13, 2), (30, 0)):
        case.batches[case.log[exchange]["worker"], case.log[exchange]["phase"] * 4 + step, 5] = 0
    monkeypatch.setattr(perceptron, "loss", loss)
    result = case.replay(OPTIMIZERS["agn"], LOCAL["sgd"], np.float32)
    assert result.diverged_exchange == 13
    assert np.argwhere(~np.isfinite(result.losses)).tolist() == [[13, 2]]


@pytest.mark.parametrize(("name", "local", "sets"), [("agn", "adam", 60), ("easgd", "sgd", 21)])
def test_only_workers_and_center_are_held(tiny: Dataset, name: str, local: str, sets: int) -> None:
    """20 workers, for Adam with two moments each; a center that a worker goes on from is that worker's."""
    case = Script(tiny, list(range(20)) * 3, 1)
    gc.collect()
    before, seen = held(), []
    options = {"evaluate_at": range(5, 61, 5), "on_progress": lambda _: seen.append(held() - before)}
    case.replay(OPTIMIZERS[name], LOCAL[local], np.float32, **options)
    assert len(seen) == 12
    assert max(seen) == seen[-1] == sets
    assert held() == before


def test_parameters_are_written_in_place(tiny: Dataset, engine: Engine) -> None:
    """Only these of all centers remain: with EASGD the last; with AGN those that no worker has trained on.

    A worker that pulls and is the next to commit trains on a copy, because the center is still needed.
    """
    engine(at_once=())
    for name, order in (("easgd", ORDERS["uneven"]), ("agn", ORDERS["uneven"]), ("agn", ORDERS["one"])):
        workers, centers = Script(tiny, order, 1).training(OPTIMIZERS[name], LOCAL["sgd"]), []
        for exchange in range(len(order)):
            workers.apply(exchange, exchange + 1)
            centers.append(workers.center)
        deleted = [{leaf.is_deleted() for leaf in jax.tree.leaves(center)} for center in centers]
        copied = name == "agn" and max(order) > 0
        later = [(who, order[version:]) for version, who in enumerate(order, start=1)]
        assert deleted == [{who in rest and rest[0] != who if copied else bool(rest)} for who, rest in later]


@pytest.mark.parametrize(("local_steps", "copies"), [(1, 0), (4, 3)])
def test_an_exchange_copies_only_what_it_started_from(tiny: Dataset, local_steps: int, copies: int) -> None:
    """At λ = 1 not at all; else each of the three once, before the phase, and none in its loop."""
    training = Script(tiny, ORDERS["turns"], local_steps).training(OPTIMIZERS["agn"], LOCAL["sgd"])
    exchange, programs = training._exchange, []

    def compiled(*arguments: Any, **more: Any) -> Any:
        programs.append(exchange.func.lower(*arguments, **exchange.keywords, **more).compile().as_text())
        return exchange(*arguments, **more)

    training._exchange = compiled
    training.apply(0, 1)
    assert len(programs) == 1
    assert len(re.findall(r"= f32\[\d+,\d+\]\S* copy\(", programs[0])) <= copies


@pytest.mark.parametrize("workers", [1, 3])
def test_what_is_given_is_not_written_to(tiny: Dataset, monkeypatch: Patch, workers: int) -> None:
    given = initial_params(3, np.float32)
    monkeypatch.setattr("test_simulate.initial_params", lambda *_: given)
    case = Script(tiny, list(range(workers)) * 10, 1)
    batches = case.batches.copy()
    result = case.replay(OPTIMIZERS["agn"], LOCAL["sgd"], np.float32)
    kept = jax.tree.map(np.copy, result.center)
    same(case.replay(OPTIMIZERS["agn"], LOCAL["sgd"], np.float32), replace(result, center=kept))
    assert distance(result.center, kept) == distance(given, initial_params(3, np.float32)) == 0
    np.testing.assert_array_equal(case.batches, batches)


def test_other_numbers_compile_nothing(tiny: Dataset, engine: Engine, compilations: Callable[..., int]) -> None:
    """They are numbers of workers, eight and more, and of exchanges."""
    engine(at_once=AT_ONCE)

    def train(workers: int, exchanges: int) -> Callable[[], object]:
        case = Script(tiny, [exchange % workers for exchange in range(exchanges)], 1)
        return lambda: case.replay(OPTIMIZERS["agn"], LOCAL["sgd"], np.float32, evaluate_at={0, 6})

    exchange_sharing.clear_cache()
    assert compilations(train(8, 48)) >= 2  # one exchange, and four at once
    for workers, exchanges in ((11, 47), (40, 122)):
        assert compilations(train(workers, exchanges)) == 0


@pytest.mark.parametrize("spoiled", [None, np.nan, np.inf])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_gradient_of_a_product_is_that_of_a_plain_one(dtype: type, spoiled: float | None) -> None:
    """To the bit, also where the number that it looks at is not finite."""
    generator = np.random.default_rng(4)
    activations, weights, slope = (generator.normal(size=shape).astype(dtype) for shape in ((16, 9), (9, 5), (16, 5)))
    if spoiled is not None:
        slope[0], weights[0] = spoiled, 1
    with jax.enable_x64(dtype == np.float64):
        gradients = [
            jax.jit(lambda a, w, s, product=product: jax.vjp(product, a, w)[1](s))(activations, weights, slope)
            for product in (perceptron._product, jnp.matmul)
        ]
        if spoiled is None:
            check_grads(jax.jit(perceptron._product), (activations, weights), 2, ["rev"])  # against finite differences
    jax.tree.map(partial(np.testing.assert_array_equal, strict=True), *gradients)
    assert bool(np.isfinite(gradients[0][0][0, 0])) == (spoiled is None)
