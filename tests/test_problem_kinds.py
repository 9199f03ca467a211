"""The shipped problems: their losses and gradients beside others' arithmetic, and that each can be trained."""

from __future__ import annotations

from collections.abc import Callable
from itertools import cycle, product
from typing import Any

import jax
import numpy as np
import pytest
from conftest import MORE_IN_FULL, TINY, WIDTHS, in_full
from scipy.optimize import check_grad

from agn_bench.base.inputs import BadInput
from agn_bench.config.resolving import resolve
from agn_bench.config.run import RunConfig
from agn_bench.execution.one import load_once
from agn_bench.problems import PROBLEMS, Problem, _size
from agn_bench.problems.catalogue import DATASETS, DatasetEntry
from agn_bench.problems.cnn import Cnn
from agn_bench.problems.least_squares import LeastSquares
from agn_bench.problems.logistic import Logistic
from agn_bench.problems.quadratic import Quadratic
from agn_bench.problems.resnet import Resnet
from agn_bench.problems.transformer import UNKNOWN, Transformer
from agn_bench.training.columns import curve, is_measured, summary
from agn_bench.training.evaluation import evaluated, values
from agn_bench.training.simulate import simulate
from agn_bench.training.task import task_of

Command = Callable[..., tuple[int, str, str]]
PICTURES = DatasetEntry(60, 20, "small", "none", "none", {}, shape=(6, 4, 2), classes=3)


def gradient(problem: Problem, params: Any, batch: Any) -> tuple[float, Any, Any]:
    """In float64: the loss, its gradient as JAX finds it, and the other measures."""
    with jax.enable_x64(True):
        params, batch = jax.tree.map(lambda leaf: _float64(np.asarray(leaf)), (params, batch))
        (loss, measured), slope = jax.value_and_grad(problem.loss, has_aux=True)(params, batch)
        return float(loss), jax.tree.map(np.asarray, slope), jax.tree.map(np.asarray, measured)


def _float64(leaf: np.ndarray) -> np.ndarray:
    return leaf.astype(np.float64) if leaf.dtype == np.float32 else leaf


# --- gradients, by hand ---


@pytest.mark.parametrize("shared", ["no", "yes"])
@pytest.mark.parametrize("spectrum", ["tridiagonal", "even", "geometric"])
def test_the_gradient_of_a_quadratic_is_that_of_its_matrix_plus_noise(spectrum: str, shared: str) -> None:
    d, noise = 7, 0.5
    problem = Quadratic(d, noise, shared, spectrum, 50.0)
    if spectrum == "tridiagonal":
        matrix = (2 * np.eye(d) - np.eye(d, k=1) - np.eye(d, k=-1)) / 4
        right = np.zeros(d)
        right[0] = -1 / 4
    else:
        between = np.arange(d) / (d - 1)
        matrix = np.diag(1 + between * (1 / 50 - 1) if spectrum == "even" else 50**-between)
        right = np.zeros(d)
    x = np.random.default_rng(0).normal(size=d)
    draws, _ = problem.load(None)
    batch = draws[[5, 11, 300]]
    _, slope, _ = gradient(problem, x, batch)
    plain = gradient(Quadratic(d, 0.0, shared, spectrum, 50.0), x, batch)
    np.testing.assert_allclose(plain[1], matrix @ x - right, rtol=0, atol=1e-12)
    added = (slope - plain[1]) / noise
    if shared == "yes":
        np.testing.assert_allclose(added, np.full(d, batch.astype(np.float64).mean()), rtol=0, atol=1e-7)
    else:
        with jax.enable_x64(True):
            drawn = [jax.random.normal(jax.random.key(draw), (d,)) for draw in batch]
        np.testing.assert_allclose(added, np.mean(drawn, axis=0), rtol=0, atol=1e-12)
    lowest = np.linalg.solve(matrix, right)
    value = [x @ matrix @ x / 2 - right @ x for x in (x, lowest, problem.start())]
    np.testing.assert_allclose(plain[0], value[0] - value[1], rtol=1e-9)
    assert problem.measures["gap"].if_diverged == pytest.approx(value[2] - value[1], rel=1e-6)
    eigenvalues = problem.eigenvalues(np) if spectrum != "tridiagonal" else np.linalg.eigvalsh(matrix)
    np.testing.assert_allclose(np.sort(eigenvalues), np.linalg.eigvalsh(matrix), rtol=1e-9)


def test_the_quadratic_of_ringmaster_begins_where_it_does() -> None:
    """x⁰ = (√d, 0, …), d = 1729: f(x⁰) = d/4 + √d/4, and at the minimum −(1 − 1/(d + 1))/8."""
    d = 1729
    problem = Quadratic(d)
    assert problem.measures["gap"].if_diverged == pytest.approx((d + np.sqrt(d)) / 4 + (1 - 1 / (d + 1)) / 8, rel=1e-6)
    assert problem.size == d


def test_noise_is_normal_and_independent_of_the_seed() -> None:
    (shared, _), (own, _) = Quadratic(shared="yes").load(None), Quadratic().load(None)
    assert abs(shared.mean()) < 4 / np.sqrt(len(shared))
    assert abs(shared.std() - 1) < 4 / np.sqrt(2 * len(shared))
    assert len(np.unique(own)) == len(own) == len(shared) == Quadratic().examples


def test_least_squares_is_that_of_its_matrix() -> None:
    problem = LeastSquares(60, 5, 1e-2)
    (matrix, right), test = problem.load(None)
    assert matrix.min() >= 0
    assert matrix.max() < 1 / np.sqrt(5)
    wide = matrix.astype(np.float64), right.astype(np.float64)
    x = np.random.default_rng(0).normal(size=5)
    rows = [3, 8, 40]
    loss, slope, _ = gradient(problem, x, (matrix[rows], right[rows]))
    residual = wide[0][rows] @ x - wide[1][rows]
    assert loss == pytest.approx((residual**2).mean() / 2, rel=1e-9)
    np.testing.assert_allclose(slope, wide[0][rows].T @ residual / 3, rtol=1e-9)

    def value(x: np.ndarray) -> float:
        return float(((wide[0] @ x - wide[1]) ** 2).mean() / 2)

    least = np.linalg.lstsq(*wide, rcond=None)[0]
    assert float(problem.evaluate(x.astype(np.float32), test)["gap"]) == pytest.approx(
        value(x) - value(least), rel=1e-4
    )
    assert problem.measures["gap"].if_diverged == pytest.approx(value(np.zeros(5)) - value(least), rel=1e-5)


def test_the_gradient_of_logistic_regression_is_that_of_its_formula() -> None:
    """Xᵀ(p − y)/batch + l2 W, mean(p − y)."""
    problem = Logistic(0.3).on(TINY)
    generator = np.random.default_rng(0)
    params = {"weights": generator.normal(size=(12, 4)), "biases": generator.normal(size=4)}
    inputs, labels = generator.random((9, 12)), generator.integers(0, 4, 9).astype(np.int32)
    loss, slope, measured = gradient(problem, params, (inputs, labels))
    logits = inputs @ params["weights"] + params["biases"]
    likely = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    off = likely - np.eye(4)[labels]
    np.testing.assert_allclose(slope["weights"], inputs.T @ off / 9 + 0.3 * params["weights"], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(slope["biases"], off.mean(axis=0), rtol=1e-9, atol=1e-12)
    entropy = -np.log(likely[np.arange(9), labels]).mean()
    assert loss == pytest.approx(entropy + 0.15 * (params["weights"] ** 2).sum(), rel=1e-9)
    assert measured["accuracy"] == (logits.argmax(axis=1) == labels).sum()
    assert problem.size == sum(np.size(leaf) for leaf in jax.tree.leaves(problem.init(generator)))


NETWORKS = {
    "cnn": Cnn((2, 3), 3, (5,)).on(PICTURES),
    "resnet": Resnet(2, 2, 1, 2).on(PICTURES),
    "transformer": Transformer(4, 2, 1, 2),
}


def _batch(problem: Problem, count: int = 5) -> Any:
    if isinstance(problem, Transformer):
        return jax.tree.map(lambda leaf: leaf[:count], problem.load(None)[0])
    generator = np.random.default_rng(1)
    return generator.random((count, 48), np.float32), generator.integers(0, 3, count).astype(np.int32)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_gradient_of_a_network_is_that_of_finite_differences(name: str) -> None:
    """It is the gradient by all its parameters, in float64, from some that are not symmetric in anything."""
    problem = NETWORKS[name]
    task, initial = task_of(problem, problem.init(np.random.default_rng(2)))
    with jax.enable_x64(True):
        flat, back = jax.flatten_util.ravel_pytree(jax.tree.map(lambda leaf: _float64(np.asarray(leaf)), initial))
        flat = np.asarray(flat) + 0.1 * np.random.default_rng(3).normal(size=len(flat))
        batch = jax.tree.map(_float64, _batch(problem))
        both = jax.jit(jax.value_and_grad(lambda flat: task.loss(back(flat), batch)[0]))
        slope = both(flat)[1]
        assert flat.dtype == slope.dtype == np.float64
        assert len(flat) == problem.size
        wrong = check_grad(lambda flat: both(flat)[0], lambda flat: both(flat)[1], flat, epsilon=1e-7)
        assert wrong < 1e-5 * np.linalg.norm(slope) + 1e-6
        assert (np.abs(slope) > 1e-12).mean() > 0.6  # most of them count


@pytest.mark.parametrize("name", ["cnn", "resnet"])
def test_images_are_read_row_by_row_and_channels_last(name: str) -> None:
    """A network of a single image that is bright in one place answers otherwise than for another place."""
    problem = NETWORKS[name]
    params = problem.init(np.random.default_rng(0))
    assert problem.image == (6, 4, 2)
    image = np.random.default_rng(1).random((6, 4, 2), np.float32)
    of_row, of_image = jax.jit(lambda row, image: (problem.logits(params, row), params(image)))(
        image.reshape(1, -1), image
    )
    np.testing.assert_allclose(of_row[0], of_image, rtol=1e-5)
    assert of_row.shape == (1, 3)


def test_a_transformer_sees_nothing_of_what_is_to_come() -> None:
    problem = NETWORKS["transformer"]
    params = problem.init(np.random.default_rng(0))
    (sequences, targets), _ = problem.load(None)
    one, other = sequences[0], sequences[0].copy()
    other[10:] = (other[10:] + 1) % 16
    before, after = np.asarray(jax.jit(jax.vmap(params))(np.stack([one, other])))
    np.testing.assert_array_equal(before[:10], after[:10])
    assert np.abs(before[10:] - after[10:]).min(axis=1).max() > 0
    assert before.shape == (23, 16)
    # What can be predicted is what stood there a pattern before.
    assert ((targets == UNKNOWN).sum(axis=1) == 7).all()
    np.testing.assert_array_equal(targets[:, 7:], sequences[:, : 23 - 7])
    assert len(np.unique(sequences[:, :8], axis=0)) > 4000


# --- all of them trained ---

SMALL = {
    "mlp": {"model": "mlp-8", "dataset": "tiny", "batch_size": 8},
    "logistic": {"problem": "logistic", "dataset": "tiny", "batch_size": 8},
    "cnn": {"problem": "cnn:channels=2:kernel=3:dense=8", "dataset": "small", "batch_size": 8},
    "resnet": {"problem": "resnet:channels=2:stages=1:groups=1", "dataset": "small", "batch_size": 8},
    "transformer": {"problem": "transformer:dimension=8:layers=1", "batch_size": 8, "learning_rate": 0.02},
    "quadratic": {"problem": "quadratic:dimension=10"},
    "least-squares": {"problem": "least-squares:rows=300:columns=5", "batch_size": 32, "learning_rate": 0.5},
    "beale": {"problem": "beale"},
}


@pytest.fixture
def small_pictures(quick_dataset: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A learnable data set of images of 6 x 4 with 2 channels."""
    from agn_bench.problems import datasets
    from agn_bench.problems.catalogue import DATASETS

    generator = np.random.default_rng(0)
    labels = generator.integers(0, 3, 80).astype(np.int32)
    bright = (np.arange(48) // 16 == labels[:, None]).astype(np.float32)
    images = 0.5 * generator.random((80, 48), np.float32) + 0.5 * bright
    small = datasets.Dataset("small", images[:60], labels[:60], images[60:], labels[60:])
    tiny = datasets._load_embedded("tiny", TINY)
    monkeypatch.setitem(DATASETS.shipped, "small", PICTURES)
    monkeypatch.setattr(datasets, "load_entry", lambda name, entry, data_dir: {"tiny": tiny, "small": small}[name])


OF_THE_PAPER = ("agn", "easgd", "dynsgd", "downpour")


@MORE_IN_FULL
@pytest.mark.parametrize(
    ("name", "optimizer"), in_full(product(SMALL, OF_THE_PAPER), zip(SMALL, cycle(OF_THE_PAPER), strict=False))
)
def test_every_problem_trains_with_every_optimizer_of_the_paper(
    small_pictures: None, name: str, optimizer: str
) -> None:
    """Its first measure gets better, and all of its columns are there."""
    config = resolve({**SMALL[name], "optimizer": optimizer, "workers": 3, "local_steps": 4, "gradient_steps": 360})
    result = simulate(config, load_once(config.trains, None))
    problem = config.trains
    assert result.status == "done"
    row, points = summary(result), curve(result)
    for measure, about in problem.measures.items():
        column = problem.column(measure)
        first, *_, last = (evaluation.values[measure] for evaluation in result.replay.evaluations)
        assert last > first if about.higher_is_better else last < first
        assert row[column] == last
        best = max if about.higher_is_better else min
        assert row[f"best_{column}"] == best(evaluation.values[measure] for evaluation in result.replay.evaluations)
        assert np.isfinite(points[column]).sum() > 10
        assert (column in row.get("lower_is_better", "").split()) == (not about.higher_is_better)
    assert {name for name in row if is_measured(name)} >= {problem.column(measure) for measure in problem.measures}
    assert np.isfinite(points["train_loss"]).any()


def test_a_run_that_diverged_counts_as_its_problem_says(small_pictures: None) -> None:
    options = {**SMALL["quadratic"], "learning_rate": 1e20, "workers": 3, "local_steps": 4, "gradient_steps": 360}
    config = resolve({**options, "local_optimizer": "sgd"})
    result = simulate(config, load_once(config.trains, None))
    row = summary(result)
    assert row["status"] == "diverged"
    assert row["center_gap"] == config.trains.measures["gap"].if_diverged
    assert row["best_center_gap"] == result.replay.evaluations[0].values["gap"]


@pytest.mark.parametrize("count", [1, 499, 500, 501, 1300])
def test_evaluation_in_batches_is_the_sum_over_all(count: int) -> None:
    problem = Logistic().on(TINY)
    generator = np.random.default_rng(count)
    params = {"weights": generator.normal(size=WIDTHS[::3]).astype(np.float32), "biases": np.zeros(4, np.float32)}
    data = generator.random((count, 12), np.float32), generator.integers(0, 4, count).astype(np.int32)
    task, params = task_of(problem, params)
    found = values(task, jax.device_get(evaluated(task, params, data)), data)
    logits = data[0].astype(np.float64) @ params["weights"]
    likely = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert found["accuracy"] == (logits.argmax(axis=1) == data[1]).mean()
    assert found["loss"] == pytest.approx(-np.log(likely[np.arange(count), data[1]]).mean(), rel=1e-5)


# --- the option ---


def test_a_perceptron_is_the_model_of_its_widths(quick_dataset: str) -> None:
    """One run has one name."""
    size = {"dataset": quick_dataset, "workers": 3, "gradient_steps": 90, "local_steps": 3}
    one, other = resolve({**size, "model": "mlp-8-5"}), resolve({**size, "problem": "mlp:hidden=8,5"})
    assert one == other
    assert one.run_id == other.run_id
    assert "problem" not in one.as_dict()
    assert resolve({**size, "problem": "mlp"}).run_id == resolve(size).run_id


def test_a_problem_of_its_own_data_has_neither_model_nor_data_set() -> None:
    config = resolve({"problem": "quadratic:noise=0.5", "workers": 3})
    assert not {"model", "dataset"} & config.as_dict().keys()
    assert config.as_dict()["problem"].startswith("quadratic:dimension=100:noise=0.5")
    assert config.batch_size == 1
    assert resolve_command(config) == config


def resolve_command(config: RunConfig) -> RunConfig:
    """The configuration that its command makes."""
    import shlex

    words = shlex.split(config.command())[2:]
    return resolve({word[2:].replace("-", "_"): value for word, value in zip(words[::2], words[1::2], strict=True)})


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"problem": "cnn", "dataset": "tiny"}, "dataset=tiny: without height and width"),
        ({"problem": "quadratic", "dataset": "tiny"}, "dataset=tiny: quadratic makes its own data"),
        ({"problem": "quadratic", "model": "mlp-8"}, "model=mlp-8: given together with problem=quadratic"),
        ({"problem": "mlp:hidden=8", "model": "mlp-8"}, "model=mlp-8: given together with problem=mlp:hidden=8"),
        ({"problem": "quadratic:size=8"}, "problem=quadratic:size=8: quadratic has no size"),
        ({"problem": "transformer", "dataset": "tiny"}, "dataset=tiny: of kind images"),
        ({"problem": "transformer:dimension=5"}, "cannot be shared by 2 heads"),
        ({"problem": "resnet:stages=6", "dataset": "small"}, "dataset=small: with images of 6 x 4"),
        ({"problem": "least-squares:rows=1000000:columns=10000"}, "more than fit"),
        ({"problem": "quadratic", "until": "test_accuracy=0.9"}, "until=test_accuracy: unknown"),
        ({"problem": "quadratic", "batch_size": 100_000}, "batch_size=100000"),
        ({"problem": "nothing"}, "problem=nothing: unknown"),
    ],
)
def test_what_does_not_go_together_is_refused(small_pictures: None, options: dict[str, Any], says: str) -> None:
    with pytest.raises(BadInput) as raised:
        resolve(options)
    assert says in str(raised.value)


def test_a_split_by_classes_needs_some(small_pictures: None) -> None:
    config = resolve({"problem": "quadratic", "data_split": "dirichlet:concentration=1", "workers": 3})
    with pytest.raises(BadInput, match=r"data_split=dirichlet.*have none"):
        simulate(config, load_once(config.trains, None))


def test_a_run_of_a_quadratic_is_shown_and_written(command: Command, tmp_path: Any) -> None:
    words = ("run", "--problem", "quadratic:dimension=10", "--workers", 3, "--local-steps", 4, "--gradient-steps", 120)
    code, out, err = command(*words, "--until", "center_gap=0.5", "--save-center", "--out", tmp_path)
    assert (code, err) == (0, "")
    assert "gap" in out
    assert "accuracy" not in out
    (center,) = (tmp_path / "runs").glob("*/center.npz")
    assert np.load(center)["params"].shape == (10,)


BOUND = {
    **NETWORKS,
    "cnn of images": Cnn((3, 4, 5), 3, (7,)).on(DATASETS["cifar10"]),
    "resnet of images": Resnet(4, 2, 3, 2).on(DATASETS["cifar10"]),
    "resnet of one stage": Resnet(4, 1, 2).on(DATASETS["digits"]),
    "transformer of layers": Transformer(8, 4, 3, 5),
    "logistic": Logistic().on(TINY),
    "quadratic": Quadratic(7),
    "least squares": LeastSquares(60, 5),
}


@pytest.mark.parametrize("name", BOUND)
def test_its_size_is_known_before_it_is_made(name: str) -> None:
    """By arithmetic alone: the same as counted from its initial parameters."""
    assert BOUND[name].size == _size(BOUND[name])


def test_every_problem_says_what_it_is() -> None:
    for name in PROBLEMS:
        kind = PROBLEMS[name]
        assert kind.__doc__
        assert kind.source or name == "logistic"
