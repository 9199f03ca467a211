"""The cross-entropy that is clipped as in Keras 2.0, against its definition in NumPy."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

from agn_bench import RunConfig
from agn_bench.base.inputs import BadInput
from agn_bench.base.quantities import declared_numbers
from agn_bench.config.resolving import recorded_options, resolve
from agn_bench.problems import PROBLEMS
from agn_bench.problems.catalogue import DATASETS
from agn_bench.problems.classifier import Classifier
from agn_bench.problems.cross_entropy import clipped, of_logits

Command = Callable[..., tuple[int, str, str]]

EPSILON = 1e-7


def by_keras(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """`categorical_crossentropy` of Keras 2.0.4 line by line, behind a softmax layer, (examples,)."""
    output = np.exp(logits - logits.max(axis=-1, keepdims=True))
    output /= output.sum(axis=-1, keepdims=True)
    target = np.eye(logits.shape[-1])[labels]
    output /= output.sum(axis=len(output.shape) - 1, keepdims=True)
    output = np.clip(output, EPSILON, 1.0 - EPSILON)
    return -(target * np.log(output)).sum(axis=len(output.shape) - 1)


def slope(logits: np.ndarray, labels: np.ndarray, dtype: Any, loss: Callable[..., jax.Array] = clipped) -> np.ndarray:
    """The gradient of the sum of the examples' losses, (examples, classes)."""
    with jax.enable_x64(dtype == np.float64):
        return np.asarray(jax.grad(lambda x: loss(x, labels).sum())(jnp.asarray(logits, dtype)))


def some(spread: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    return spread * generator.normal(size=(200, 10)), generator.integers(10, size=200)


@pytest.mark.parametrize("spread", [0.1, 1.0, 5.0, 20.0, 200.0])
def test_its_values_are_those_of_keras(spread: float) -> None:
    """In float64 to 1e-12, and in float32 to its precision at 1, of which a part in 1e-7 may be all that is left."""
    logits, labels = some(spread)
    with jax.enable_x64(True):
        np.testing.assert_allclose(
            clipped(jnp.asarray(logits), labels), by_keras(logits, labels), rtol=1e-9, atol=1e-12
        )
    single = np.asarray(clipped(jnp.asarray(logits, np.float32), labels))
    np.testing.assert_allclose(single, by_keras(logits.astype(np.float32), labels), rtol=1e-5, atol=2e-7)


@pytest.mark.parametrize("spread", [0.5, 3.0, 8.0])
def test_away_from_the_bounds_its_gradient_is_that_of_finite_differences(spread: float) -> None:
    """Central differences by steps of 1e-6 are off by rounding, 1e-16 · 16 / 1e-6, and by what is cubic, 1e-12."""
    logits, labels = some(spread)
    found = slope(logits, labels, np.float64)
    probability = np.exp(-np.asarray(by_keras(logits, labels)))
    step, checked = 1e-6, 0
    for example in range(len(labels)):
        if abs(probability[example] / EPSILON - 1) < 1e-4 or 1 - probability[example] < 2 * EPSILON:
            continue
        differences = [
            (by_keras(logits[example] + move, labels[example]) - by_keras(logits[example] - move, labels[example]))
            / (2 * step)
            for move in step * np.eye(10)
        ]
        np.testing.assert_allclose(found[example], np.ravel(differences), rtol=0, atol=1e-8)
        checked += 1
    assert checked > 100


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_there_is_no_gradient_at_all_where_the_true_class_is_clipped(dtype: Any) -> None:
    logits, labels = some(12.0)
    with jax.enable_x64(dtype == np.float64):
        true = np.asarray(jax.nn.softmax(jnp.asarray(logits, dtype)))[np.arange(200), labels]
    low, high = true < dtype(EPSILON), true > dtype(1 - EPSILON)
    found = slope(logits, labels, dtype)
    assert low.sum() > 20
    assert high.sum() >= 1
    assert (found[low | high] == 0).all()
    assert (found[~(low | high)] != 0).any(axis=1).all()
    # The loss of the logits pulls hardest where this one does not pull at all.
    assert (np.abs(slope(logits, labels, dtype, of_logits)[low, labels[low]]) > 0.999).all()
    with jax.enable_x64(dtype == np.float64):
        losses = np.asarray(clipped(jnp.asarray(logits, dtype), labels))
    np.testing.assert_allclose(losses[low], -np.log(EPSILON), rtol=1e-6)


def test_at_the_bounds_themselves_the_gradient_is_let_through() -> None:
    """As by TensorFlow's clip_by_value; 1 − 1e-7 in float32 is a number that a probability often is."""
    bound = np.float32(1) - np.float32(EPSILON)
    x = np.arange(15.5, 17.5, 1e-2, dtype=np.float32)
    logits = np.stack([x, np.zeros_like(x)], axis=1)
    labels = np.zeros(len(x), int)
    output = np.asarray(jax.nn.softmax(jnp.asarray(logits)))
    true = (output / output.sum(axis=1, keepdims=True))[:, 0]
    found = slope(logits, labels, np.float32)[:, 0]
    assert (true == bound).sum() > 20
    assert (true > bound).sum() > 20
    np.testing.assert_allclose(found[true == bound], -np.exp(-x[true == bound]), rtol=1e-3)
    assert (found[true > bound] == 0).all()


def test_where_probabilities_are_moderate_it_is_the_loss_of_the_logits() -> None:
    logits, labels = some(1.5)
    of_both = [np.asarray(loss(jnp.asarray(logits, np.float32), labels)) for loss in (clipped, of_logits)]
    assert np.exp(-of_both[1]).min() > 1e-5
    np.testing.assert_allclose(*of_both, rtol=0, atol=1e-5)
    np.testing.assert_allclose(
        slope(logits, labels, np.float32), slope(logits, labels, np.float32, of_logits), rtol=0, atol=1e-5
    )


def test_what_is_not_a_number_stays_so() -> None:
    """So that a run that diverges is seen to."""
    assert np.isnan(clipped(jnp.array([[np.nan, 0.0]]), jnp.array([0]))).all()


# --- of the problems ---

CLASSIFIERS = {"mlp:hidden=8": "digits", "logistic": "wine", "transformer": None}


@pytest.mark.parametrize(("text", "dataset"), CLASSIFIERS.items(), ids=CLASSIFIERS)
def test_the_loss_of_a_problem_is_chosen_by_its_word(text: str, dataset: str | None) -> None:
    """With the same parameters and examples the losses are alike at first. With parameters that are a thousand times as
    large, what is wrong costs 16.1 at most.
    """
    problems = [PROBLEMS.choose(f"{text}:cross_entropy={word}").thing for word in ("logits", "clipped")]
    problems = [one.on(DATASETS.choose(dataset).thing, dataset) if dataset else one for one in problems]
    train, _ = problems[0].load(None)
    batch = jax.tree.map(lambda leaf: jnp.asarray(leaf[:8]), train)
    weights = np.random.default_rng(0).normal(size=(16, 16)).astype(np.float32)

    @jax.jit
    def losses_of(params: Any) -> list[Any]:
        if text == "transformer":  # whose parameters are a function of a sequence: here of each token alone
            return [problem.loss(lambda tokens: params[tokens], batch)[0] for problem in problems]
        return [problem.loss(params, batch)[0] for problem in problems]

    def losses(scale: float) -> list[float]:
        if text == "transformer":
            params: Any = scale * weights
        elif text == "logistic":  # which begins with zeros
            params = {"weights": scale * weights[:13, :3] / 4, "biases": np.zeros(3, np.float32)}
        else:
            params = jax.tree.map(lambda leaf: scale * leaf, problems[0].init(np.random.default_rng(0)))
        return [float(loss) for loss in losses_of(params)]

    assert losses(1) == pytest.approx(losses(1)[:1] * 2, rel=1e-5)
    assert losses(1000)[0] > -np.log(EPSILON) > losses(1000)[1] > 0


def test_convolutional_problems_have_it_too() -> None:
    for name in ("cnn", "resnet"):
        kind = PROBLEMS[name]
        assert declared_numbers(kind)["cross_entropy"].later
        assert kind.loss is Classifier.loss


# --- in runs ---

TINY: dict[str, Any] = {"dataset": "tiny", "batch_size": 8, "workers": 2, "local_steps": 2, "gradient_steps": 40}


def test_what_was_there_before_keeps_its_name(quick_dataset: str) -> None:
    plain = RunConfig.of(**TINY, problem="mlp:hidden=8")
    assert plain == RunConfig.of(**TINY, problem="mlp:hidden=8:cross_entropy=logits")
    assert plain == RunConfig.of(**TINY, model="mlp-8")
    other = RunConfig.of(**TINY, problem="mlp:hidden=8:cross_entropy=clipped")
    assert other.model is None
    assert other.problem is not None
    assert other.problem.text == "mlp:hidden=8:cross_entropy=clipped"
    assert other.configuration != plain.configuration
    assert other.program != plain.program
    assert PROBLEMS.choose("cnn:cross_entropy=logits").text == PROBLEMS.choose("cnn").text
    with pytest.raises(BadInput, match="given together with"):
        RunConfig.of(**TINY, problem="mlp:hidden=8:cross_entropy=clipped", model="mlp-8")


def test_a_run_with_it_is_made_like_another(command: Command, quick_dataset: str, tmp_path: Path) -> None:
    words = ["--dataset", "tiny", "--batch-size", 8, "--workers", 2, "--local-steps", 2, "--gradient-steps", 40]
    for problem in ("mlp:hidden=8", "mlp:hidden=8:cross_entropy=clipped"):
        code, _, err = command("run", *words, "--problem", problem, "--out", tmp_path)
        assert (code, err) == (0, "")
    table = pd.read_csv(tmp_path / "summary.csv").set_index("model", drop=False)
    (plain,) = table[table.model.notna()].to_dict("records")
    (other,) = table[table.model.isna()].to_dict("records")
    assert (plain["model"], other["problem"], other["problem_cross_entropy"]) == ("mlp-8", "mlp", "clipped")
    assert plain["sim_time_s"] == other["sim_time_s"]
    assert plain["test_accuracy"] == pytest.approx(other["test_accuracy"], abs=0.06)
    run_json = tmp_path / "runs" / other["run_id"] / "run.json"
    assert json.loads(run_json.read_text())["config"]["problem"] == "mlp:hidden=8:cross_entropy=clipped"
    code, out, err = command("run", "--like", run_json, "--out", tmp_path)
    assert (code, err, "not repeated" in out) == (0, "", True)


def test_like_another_run_it_stays_and_can_be_chosen_and_left() -> None:
    given: dict[str, Any] = {**TINY, "dataset": "digits"}
    clipped_run = RunConfig.of(**given, problem="mlp:hidden=8:cross_entropy=clipped")
    plain = RunConfig.of(**given, model="mlp-8")
    for like, options, expected in (
        (clipped_run, {}, clipped_run),
        (clipped_run, {"problem": "mlp"}, clipped_run),
        (clipped_run, {"problem": "mlp:hidden=8"}, plain),
        (clipped_run, {"model": "mlp-8"}, plain),
        (plain, {"problem": "mlp:hidden=8:cross_entropy=clipped"}, clipped_run),
    ):
        assert resolve(options, recorded_options(like.as_dict())) == expected


@pytest.mark.kind("a run that is made like one of another problem")
@pytest.mark.parametrize("problem", ["mlp:hidden=8:cross_entropy=clipped", "logistic", "quadratic", "beale"])
def test_the_run_json_of_any_problem_is_a_configuration(problem: str) -> None:
    """The problem need not have a model, nor a data set."""
    config = RunConfig.of(problem=problem, workers=2, local_steps=2, gradient_steps=40)
    assert resolve({}, recorded_options(config.as_dict())) == config
    with pytest.raises(ValueError, match="no configuration"):
        recorded_options({name: value for name, value in config.as_dict().items() if name != "problem"})


@pytest.mark.parametrize("said", ["clip", "keras"])
def test_other_words_are_refused(said: str) -> None:
    with pytest.raises(BadInput) as refused:
        PROBLEMS.choose(f"cnn:cross_entropy={said}")
    assert refused.value.accepted.endswith("one of logits or clipped")
