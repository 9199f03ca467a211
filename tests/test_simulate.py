"""The replay, against the NumPy reference and against identities that need no reference."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import product
from typing import Any

import jax
import numpy as np
import pytest
import reference
from conftest import AT_ONCE, PERCEPTRON, Figure, in_full, initial_params, local_optimizer, profiles, reference_log

from agn_bench.base.streams import Kind, stream
from agn_bench.clock import Constant, Draws, Gamma, Profile, draw_delays
from agn_bench.clock.events import simulate_timeline
from agn_bench.config.resolving import resolve
from agn_bench.execution.one import load_once
from agn_bench.optimizers import LOCAL_OPTIMIZERS, LocalOptimizer
from agn_bench.optimizers.agn import Agn
from agn_bench.optimizers.downpour import Downpour
from agn_bench.optimizers.dynsgd import Dynsgd
from agn_bench.optimizers.easgd import Easgd
from agn_bench.problems import perceptron, shares
from agn_bench.problems.catalogue import SPLITS
from agn_bench.problems.datasets import Dataset
from agn_bench.training import carry as training
from agn_bench.training.exchange import exchange_apart
from agn_bench.training.records import Replay
from agn_bench.training.replay import replay_timeline
from agn_bench.training.simulate import simulate

OPTIMIZERS = {"agn": Agn(), "easgd": Easgd(alpha=0.3), "dynsgd": Dynsgd(), "downpour": Downpour()}
LOCAL = {
    "sgd": local_optimizer("sgd", 0.1),
    "momentum": local_optimizer("momentum", 0.05, 0.8),
    "adam": local_optimizer("adam", 0.01),
}
PHASES = in_full(product(["sgd", "adam"], [1, 4]), [("sgd", 1), ("adam", 4)])
EVERY_CASE = pytest.mark.parametrize(
    ("optimizer", "workers", "local", "local_steps"),
    [(optimizer, workers, *phase) for optimizer, workers, phase in product(OPTIMIZERS, [1, 3, 8], PHASES)],
)
"""With each local optimizer and each λ, or with each pair of them if the figures are wanted."""
BATCH = 16
DELAYS = Profile("stale", Gamma(1.0, 0.8), Gamma(0.3, 0.5), Constant(0.1), Gamma(0.2, 0.5), order="random")


class Case:
    """The same draws, mini-batches and initial parameters for the package and for the reference."""

    def __init__(
        self,
        tiny: Dataset,
        workers: int,
        local_steps: int,
        exchanges: int,
        profile: Profile = DELAYS,
        exchanges_kept: int | None = None,
    ) -> None:
        phases = -(-exchanges // workers)
        self.draws: Draws = draw_delays(profile, 11, workers, phases, local_steps)
        whole = simulate_timeline(self.draws)
        arrays = {
            name: column[:exchanges_kept] for name, column in vars(whole).items() if isinstance(column, np.ndarray)
        }
        self.timeline = replace(whole, **arrays)
        generator = np.random.default_rng(workers * 100 + local_steps)
        shape = (workers, phases * local_steps, BATCH)
        self.batches = generator.integers(0, len(tiny.train_labels), shape).astype(np.int32)
        self.tiny = tiny

    def replay(self, optimizer: Any, local: LocalOptimizer, dtype: type = np.float64, **options: Any) -> Replay:
        data = self.tiny
        cast = Dataset(
            "tiny", data.train_images.astype(dtype), data.train_labels, data.test_images.astype(dtype), data.test_labels
        )
        with jax.enable_x64(dtype == np.float64):
            return replay_timeline(
                self.timeline,
                self.batches,
                optimizer=optimizer,
                local=local,
                problem=PERCEPTRON,
                initial=initial_params(3, dtype),
                train=cast.train,
                test=cast.test,
                **options,
            )

    def reference(self, optimizer: str, local: LocalOptimizer, dtype: type = np.float64, **options: Any) -> Any:
        return reference.train(
            reference_log(self.draws),
            options.pop("batches", self.batches),
            self.tiny.train_images.astype(dtype),
            self.tiny.train_labels,
            initial_params(3, dtype),
            optimizer,
            LOCAL_OPTIMIZERS.name_of(local),
            local.learning_rate,
            getattr(local, "momentum", None),
            alpha=0.3,
            **options,
        )


def distance(a: Any, b: Any) -> float:
    """Largest difference of two parameter trees."""
    return max(float(np.abs(x - y).max()) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True))


def norm(a: Any, b: Any) -> float:
    """Euclidean distance of two parameter trees."""
    leaves = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return float(np.sqrt(sum(float(((np.float64(x) - np.float64(y)) ** 2).sum()) for x, y in leaves)))


@EVERY_CASE
def test_float64_center_agrees_with_the_reference_after_50_exchanges(
    tiny: Dataset, optimizer: str, local: str, workers: int, local_steps: int, figure: Figure
) -> None:
    case = Case(tiny, workers, local_steps, 50)
    replay = case.replay(OPTIMIZERS[optimizer], LOCAL[local])
    centers, losses, correct = case.reference(optimizer, LOCAL[local])
    assert len(centers) >= 50
    assert replay.center[0]["weights"].dtype == np.float64
    assert distance(replay.center, centers[-1]) < 1e-9
    np.testing.assert_allclose(replay.losses, losses, rtol=0, atol=1e-9)
    np.testing.assert_array_equal(replay.measured["accuracy"], correct)
    assert distance(centers[-1], initial_params(3)) > 0.01  # it has moved, so it could have differed
    phases = {"local_optimizer": local, "local_steps": local_steps, "workers": workers}
    found = {"exchanges": len(centers), "difference": distance(replay.center, centers[-1]), "allowed": 1e-9}
    figure("equations", optimizer=f"{optimizer}, three layers", **phases, **found)


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize("local", ["momentum", "adam"])
def test_float64_center_agrees_with_the_reference_with_local_state_kept_and_cleared(
    tiny: Dataset, local: str, reset: bool
) -> None:
    case = Case(tiny, 3, 4, 48)
    replay = case.replay(OPTIMIZERS["agn"], LOCAL[local], reset_local_optimizer=reset)
    centers, _, _ = case.reference("agn", LOCAL[local], reset=reset)
    assert distance(replay.center, centers[-1]) < 1e-9
    other, _, _ = case.reference("agn", LOCAL[local], reset=not reset)
    assert distance(replay.center, other[-1]) > 1e-3


@EVERY_CASE
def test_float32_center_agrees_with_the_reference_after_3_exchanges(
    tiny: Dataset, optimizer: str, local: str, workers: int, local_steps: int, figure: Figure
) -> None:
    """The bound is what float32 itself allows.

    Summation: the order of the images in a mini-batch changes nothing but rounding, so eight float32 runs of the
    reference with shuffled mini-batches give eight draws of the rounding error of the result (Euclidean, against
    float64); the package's error, another draw of that kind, may be four times the largest of them.

    Adam's bias corrections 1 − bᵗ, which the reference computes in float64 and Optax in float32: b is stored, and
    raised to t, with relative errors of u = 2⁻²⁴ a factor, so 1 − bᵗ is off by (t + 2) u absolutely and the step, at
    most about the rate in each coordinate, by (t + 2) u / (1 − bᵗ) relatively, half of that under the root;
    the sum is largest over each worker's first steps.
    """
    case = Case(tiny, workers, local_steps, 3 * workers, exchanges_kept=3)
    exact, _, _ = case.reference(optimizer, LOCAL[local], exchanges=3)
    generator = np.random.default_rng(0)
    errors = []
    for _ in range(8):
        shuffled = generator.permuted(case.batches, axis=2)
        rounded, _, _ = case.reference(optimizer, LOCAL[local], np.float32, batches=shuffled, exchanges=3)
        assert rounded[-1][0]["weights"].dtype == np.float32
        errors.append(norm(rounded[-1], exact[-1]))
    bound = 4 * max(errors)
    if local == "adam":
        coordinates = sum(leaf.size for leaf in jax.tree.leaves(exact[-1]))
        relative = sum((t + 2) * 2**-24 * (1 / (1 - 0.9**t) + 0.5 / (1 - 0.999**t)) for t in range(1, local_steps + 1))
        bound += 3 * relative * LOCAL["adam"].learning_rate * np.sqrt(coordinates)
    assert bound < 1e-2 * norm(exact[-1], initial_params(3))
    replay = case.replay(OPTIMIZERS[optimizer], LOCAL[local], np.float32)
    assert replay.center[0]["weights"].dtype == np.float32
    found = norm(replay.center, exact[-1])
    assert found < bound
    phases = {"local_optimizer": local, "local_steps": local_steps, "workers": workers}
    figure(
        "equations", optimizer=f"{optimizer}, float32", **phases, exchanges=len(exact), difference=found, allowed=bound
    )


def same_bits(a: Replay, b: Replay) -> bool:
    pairs = zip(jax.tree.leaves((a.center, a.losses)), jax.tree.leaves((b.center, b.losses)), strict=True)
    return all(x.tobytes() == y.tobytes() for x, y in pairs)


@pytest.mark.parametrize("local", LOCAL)
def test_with_one_local_step_agn_is_downpour_to_the_bit(tiny: Dataset, local: str) -> None:
    case = Case(tiny, 5, 1, 100)
    agn, downpour = (case.replay(OPTIMIZERS[name], LOCAL[local], np.float32) for name in ("agn", "downpour"))
    assert same_bits(agn, downpour)
    assert not same_bits(agn, case.replay(OPTIMIZERS["dynsgd"], LOCAL[local], np.float32))


@pytest.mark.parametrize("local", LOCAL)
def test_with_one_worker_dynsgd_is_downpour_to_the_bit(tiny: Dataset, local: str) -> None:
    case = Case(tiny, 1, 4, 25)
    dynsgd, downpour = (case.replay(OPTIMIZERS[name], LOCAL[local], np.float32) for name in ("dynsgd", "downpour"))
    assert same_bits(dynsgd, downpour)
    assert not same_bits(dynsgd, case.replay(OPTIMIZERS["agn"], LOCAL[local], np.float32))


@pytest.mark.parametrize("local", LOCAL)
def test_one_downpour_worker_is_sequential_training(tiny: Dataset, local: str) -> None:
    """Over 20 exchanges in float64: each adds one rounding of c + (end − c)."""
    case = Case(tiny, 1, 4, 20)
    replay = case.replay(OPTIMIZERS["downpour"], LOCAL[local])
    params, optimizer = (
        initial_params(3),
        reference.LocalOptimizer(local, LOCAL[local].learning_rate, getattr(LOCAL[local], "momentum", None)),
    )
    for batch in case.batches[0]:
        _, gradient, _ = reference.loss_and_gradient(params, tiny.train_images[batch], tiny.train_labels[batch])
        params = optimizer.update(params, gradient)
    assert distance(replay.center, params) < 1e-10


def test_replaying_twice_gives_the_same_bits(tiny: Dataset) -> None:
    case = Case(tiny, 8, 4, 80)
    first, again = (case.replay(OPTIMIZERS["easgd"], LOCAL["adam"], np.float32) for _ in range(2))
    assert same_bits(first, again)


@pytest.mark.parametrize("profile", profiles(), ids=lambda profile: profile.name)
def test_any_timeline_is_replayed_in_its_own_order(
    tiny: Dataset, monkeypatch: pytest.MonkeyPatch, profile: Profile
) -> None:
    """Also with as many exchanges in a call as are made for users."""
    monkeypatch.setattr(training, "_AT_ONCE", AT_ONCE)
    case = Case(tiny, 6, 2, 60, profile)
    centers, _, _ = case.reference("dynsgd", LOCAL["sgd"])
    assert distance(case.replay(OPTIMIZERS["dynsgd"], LOCAL["sgd"]).center, centers[-1]) < 1e-9


def test_evaluations_are_of_the_center_at_the_versions_asked_for(tiny: Dataset) -> None:
    case = Case(tiny, 3, 4, 30)
    replay = case.replay(OPTIMIZERS["agn"], LOCAL["sgd"], evaluate_at={0, 7, 30})
    centers, _, _ = case.reference("agn", LOCAL["sgd"])
    expected = []
    for version in (0, 7, 30):
        center = centers[version - 1] if version else initial_params(3)
        right = reference.loss_and_gradient(center, tiny.test_images, tiny.test_labels)[2]
        expected.append((version, {"accuracy": right / len(tiny.test_labels)}))
    assert [tuple(evaluation) for evaluation in replay.evaluations] == expected


@pytest.mark.parametrize("local_steps", [1, 4])
@pytest.mark.parametrize("rate", [1e30, float("nan")])
def test_the_first_exchange_that_is_not_finite_ends_the_run(tiny: Dataset, rate: float, local_steps: int) -> None:
    """With one local step it is the center that goes first: the loss is taken before the update."""
    case = Case(tiny, 3, local_steps, 60)
    replay = case.replay(OPTIMIZERS["downpour"], local_optimizer("sgd", rate), np.float32, evaluate_at={0, 60})
    with np.errstate(all="ignore"):
        centers, losses, _ = case.reference("downpour", local_optimizer("sgd", rate), np.float32)
    finite = [
        bool(np.isfinite(row).all()) and all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(center))
        for center, row in zip(centers, losses, strict=True)
    ]
    assert replay.diverged_exchange == finite.index(False)
    assert len(replay.losses) == len(replay.measured["accuracy"]) == replay.diverged_exchange + 1
    assert [evaluation.version for evaluation in replay.evaluations] == [0]


def test_progress_is_reported_in_order_up_to_the_end(tiny: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "_SEGMENT_STEPS", 4)
    case, seen = Case(tiny, 3, 4, 30), []
    case.replay(OPTIMIZERS["agn"], LOCAL["sgd"], np.float32, evaluate_at={0, 30}, on_progress=seen.append)
    assert [progress.exchanges for progress in seen] == list(range(1, 31))
    assert seen[-1].sim_time_s == case.timeline.applied_s[-1]
    assert seen[-1].batch["loss"] > 0
    assert 0 <= seen[-1].batch["accuracy"] <= 1
    assert 0 <= seen[-1].center["accuracy"] <= 1


def test_other_numbers_compile_nothing(tiny: Dataset, compilations: Callable[[Callable[[], object]], int]) -> None:
    """Another number of workers and exchanges, seed of the data, learning rate, momentum and α."""

    def train(workers: int, exchanges: int, alpha: float, rate: float, momentum: float) -> Callable[[], object]:
        case = Case(tiny, workers, 4, exchanges)
        local = local_optimizer("momentum", rate, momentum)
        return lambda: case.replay(Easgd(alpha), local, np.float32, evaluate_at={0, 5})

    train(9, 90, 0.3, 0.1, 0.9)()
    exchange_apart.clear_cache()
    assert compilations(train(9, 90, 0.3, 0.1, 0.9)) > 0  # the counter counts
    assert compilations(train(8, 80, 0.2, 0.05, 0.5)) == 0


ASKED_FOR = [
    {"optimizer": "easgd:alpha=0.3"},
    {"optimizer": "easgd:alpha=0.6"},
    {"optimizer": "agn", "local_optimizer": "momentum:momentum=0.7"},
    {"optimizer": "agn", "local_optimizer": "momentum:momentum=0.7", "reset_local_optimizer": True},
    {"optimizer": "downpour", "local_optimizer": "adam", "learning_rate": 0.002},
    {"optimizer": "dynsgd", "data_split": "sharded"},
    {"optimizer": "dynsgd", "data_split": "dirichlet:concentration=0.3"},
    {"optimizer": "agn", "eval_every": 7},
]


@pytest.mark.parametrize("options", ASKED_FOR, ids=lambda options: "-".join(map(str, options.values())))
def test_a_configuration_trains_what_it_asks_for(tiny: Dataset, quick_dataset: str, options: dict[str, Any]) -> None:
    """Beside the reference given the same numbers, which trains in float64: 30 steps a worker, each with a relative
    error of some 1e-6.
    """
    asked = {"local_optimizer": "sgd", "learning_rate": 0.05, "data_split": "mixed", **options}
    size = {"dataset": quick_dataset, "model": "mlp-8", "batch_size": 8, "workers": 4, "local_steps": 3}
    config = resolve({**size, **asked, "gradient_steps": 120, "seed": 2, "window": 2})
    trained = simulate(config, load_once(config.trains, None)).replay

    centers, losses, correct = reference.train(
        reference_log(draw_delays(config.delays, 2, 4, 10, 3)),
        shares.deal(SPLITS.choose(asked["data_split"]).thing, 2, tiny.train_labels, 4, 30, 8, pooled_steps=120),
        tiny.train_images,
        tiny.train_labels,
        perceptron.initial_params(stream(2, Kind.PARAMETERS), (12, 8, 4)),
        asked["optimizer"].split(":")[0],
        asked["local_optimizer"].split(":")[0],
        asked["learning_rate"],
        float(asked["local_optimizer"].split("momentum=")[-1]) if "=" in asked["local_optimizer"] else None,
        float(asked["optimizer"].split("alpha=")[-1]) if "=" in asked["optimizer"] else None,
        asked.get("reset_local_optimizer", False),
    )
    np.testing.assert_allclose(trained.losses, losses, rtol=1e-4)
    np.testing.assert_array_equal(trained.measured["accuracy"], correct)
    assert distance(trained.center, centers[-1]) < 1e-5
    versions = [0, 7, 14, 21, 28, 35, 40] if "eval_every" in options else list(range(0, 41, 2))
    assert [evaluation.version for evaluation in trained.evaluations] == versions
    for version, found in trained.evaluations[1:]:
        right = reference.loss_and_gradient(centers[version - 1], tiny.test_images, tiny.test_labels)[2]
        assert found == {"accuracy": right / len(tiny.test_labels)}


@pytest.mark.parametrize("split", ["mixed", "sharded", "dirichlet:concentration=0.3"])
def test_optimizers_and_local_steps_are_compared_on_the_same_mini_batches(
    quick_dataset: str, monkeypatch: pytest.MonkeyPatch, split: str
) -> None:
    dealt = []

    class EnoughError(Exception): ...

    def kept(timeline: object, batches: np.ndarray, **_: object) -> None:
        dealt.append(batches)
        raise EnoughError

    monkeypatch.setattr("agn_bench.training.simulate.replay_timeline", kept)
    size = {"dataset": quick_dataset, "model": "mlp-8", "batch_size": 8, "workers": 4, "gradient_steps": 120}
    for options in (
        {"optimizer": "agn", "local_steps": 3},
        {"optimizer": "easgd:alpha=0.3", "local_steps": 7, "local_optimizer": "adam", "delays": "ideal"},
        {"optimizer": "agn", "local_steps": 3, "seed": 1},
    ):
        with pytest.raises(EnoughError):
            config = resolve({**size, **options, "data_split": split})
            simulate(config, load_once(config.trains, None))
    one, same, other = dealt
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)
