"""The workers' own steps as people do them: momentum, decay of weights, clipping, schedules of the rate."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest

from agn_bench.base.inputs import BadInput
from agn_bench.config.resolving import resolve
from agn_bench.execution.one import load_once
from agn_bench.optimizers import LOCAL_OPTIMIZERS, LocalOptimizer, as_pytree
from agn_bench.optimizers.agn import Agn
from agn_bench.optimizers.local import Prepared
from agn_bench.optimizers.schedules import SCHEDULES
from agn_bench.problems.quadratic import Quadratic
from agn_bench.training.columns import summary
from agn_bench.training.exchange import begin, local_phase
from agn_bench.training.simulate import simulate
from agn_bench.training.task import task_of
from agn_bench.training.timing import timeline_of

RATE, STEPS, D = 0.3, 6, 5
PROBLEM = Quadratic(D, 0.0, spectrum="geometric", condition=10.0)
EIGENVALUES = 10.0 ** -(np.arange(D) / (D - 1))
START = np.array([4.0, -3.0, 2.0, -1.0, 0.5])


def phase(local: LocalOptimizer, factors: Any = None) -> np.ndarray:
    """Where a worker is after some steps on a quadratic without noise, in float64."""
    with jax.enable_x64(True):
        task, params = task_of(PROBLEM, START)
        local = jax.tree.map(np.float64, as_pytree(local))
        worker = begin(params, local, as_pytree(Agn()))
        batches, train = np.zeros((STEPS, 1), np.int32), jax.device_put(PROBLEM.load(None)[0])
        end, losses, _ = local_phase(worker, batches, train, local, task, factors=factors)
        assert losses.dtype == np.float64
        return np.asarray(end.params)


def plain(rule: Any, factors: Any = None, clip: float | None = None, decay: float | None = None) -> np.ndarray:
    """The same by a loop; a rule gives the step for a gradient, and remembers what it has to."""
    x = START.copy()
    for step in range(STEPS):
        gradient = EIGENVALUES * x
        if clip is not None:
            gradient = gradient * min(1.0, clip / np.sqrt((gradient**2).sum()))
        if decay is not None:
            gradient = gradient + decay * x
        x = x + (1.0 if factors is None else factors[step]) * rule(step, gradient, x)
    return x


def sgd(step: int, gradient: np.ndarray, x: np.ndarray) -> np.ndarray:
    return -RATE * gradient


class Nesterov:
    """Sutskever et al. 2013: v ← μ v + g, step −η (g + μ v)."""

    def __init__(self, momentum: float) -> None:
        self.momentum, self.v = momentum, np.zeros(D)

    def __call__(self, step: int, gradient: np.ndarray, x: np.ndarray) -> np.ndarray:
        self.v = self.momentum * self.v + gradient
        return -RATE * (gradient + self.momentum * self.v)


class Adamw:
    """Loshchilov, Hutter 2019, algorithm 2 with the rate as its schedule."""

    def __init__(self, decay: float) -> None:
        self.decay, self.m, self.v = decay, np.zeros(D), np.zeros(D)

    def __call__(self, step: int, gradient: np.ndarray, x: np.ndarray) -> np.ndarray:
        self.m, self.v = 0.9 * self.m + 0.1 * gradient, 0.999 * self.v + 0.001 * gradient**2
        m, v = self.m / (1 - 0.9 ** (step + 1)), self.v / (1 - 0.999 ** (step + 1))
        return -RATE * (m / (np.sqrt(v) + 1e-8) + self.decay * x)


def chosen(text: str) -> LocalOptimizer:
    return LOCAL_OPTIMIZERS.choose(f"{text}:learning_rate={RATE}").thing


FACTORS = np.array([0.0, 0.5, 1.0, 1.0, 0.1, 0.01])
CASES: dict[str, tuple[Any, Any, Any, dict[str, Any]]] = {
    "nesterov": (lambda: chosen("nesterov:momentum=0.8"), lambda: Nesterov(0.8), None, {}),
    "adamw": (lambda: chosen("adamw:weight_decay=0.2"), lambda: Adamw(0.2), None, {}),
    "clipped": (lambda: Prepared(chosen("sgd"), clip=0.7), lambda: sgd, None, {"clip": 0.7}),
    "never clipped": (lambda: Prepared(chosen("sgd"), clip=70.0), lambda: sgd, None, {}),
    "decayed": (lambda: Prepared(chosen("sgd"), weight_decay=0.3), lambda: sgd, None, {"decay": 0.3}),
    "both": (lambda: Prepared(chosen("sgd"), 0.7, 0.3), lambda: sgd, None, {"clip": 0.7, "decay": 0.3}),
    "scheduled": (lambda: chosen("sgd"), lambda: sgd, FACTORS, {}),
    "adamw scheduled": (lambda: chosen("adamw:weight_decay=0.2"), lambda: Adamw(0.2), FACTORS, {}),
}


@pytest.mark.parametrize("name", CASES)
def test_a_phase_is_that_of_the_plain_loop(name: str) -> None:
    local, rule, factors, more = CASES[name]
    found, expected = phase(local(), factors), plain(rule(), factors, **more)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-7 if "adam" in name else 1e-12)
    assert np.abs(found - plain(sgd)).max() > 1e-3 or name == "never clipped"


PROGRESS = np.linspace(0, 1, 21)
CURVES = {
    "constant:warmup=0.2": np.minimum(PROGRESS / 0.2, 1),
    "cosine": (1 + np.cos(np.pi * PROGRESS)) / 2,
    "cosine:warmup=0.2:final=0.1": np.where(
        PROGRESS < 0.2, PROGRESS / 0.2, 0.1 + 0.9 * (1 + np.cos(np.pi * (PROGRESS - 0.2) / 0.8)) / 2
    ),
    "step:at=0.42,0.73:factor=0.5": np.where(PROGRESS < 0.42, 1, np.where(PROGRESS < 0.73, 0.5, 0.25)),
    "step:at=0.42:warmup=0.1": np.where(PROGRESS < 0.1, PROGRESS / 0.1, np.where(PROGRESS < 0.42, 1, 0.1)),
}


@pytest.mark.parametrize("text", CURVES)
def test_a_schedule_has_its_closed_form(text: str) -> None:
    factors = SCHEDULES.choose(text).thing.factors(PROGRESS)
    assert factors.dtype == np.float32
    np.testing.assert_allclose(factors, CURVES[text], rtol=0, atol=2e-6)


@pytest.mark.parametrize("options", [{"gradient_steps": 240}, {"seconds": 20}], ids=["work", "seconds"])
def test_the_replay_knows_how_much_of_the_run_is_over(monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]) -> None:
    """With work it goes by the worker's own steps in its share; with seconds, by those when the step begins."""
    seen = []

    class EnoughError(Exception): ...

    def kept(*_: Any, factors: np.ndarray, **__: Any) -> None:
        seen.append(factors)
        raise EnoughError

    monkeypatch.setattr("agn_bench.training.simulate.replay_timeline", kept)
    config = resolve(
        {"problem": "quadratic", "workers": 4, "local_steps": 3, "schedule": "constant:warmup=1", **options}
    )
    with pytest.raises(EnoughError):
        simulate(config, load_once(config.trains, None))
    timeline = timeline_of(config)
    for factors, worker, number, start, end in zip(
        seen[0], timeline.worker, timeline.phase, timeline.start_s, timeline.compute_end_s, strict=True
    ):
        if "seconds" in options:
            expected = [min(1, (start + (end - start) * step / 3) / 20) for step in range(3)]
        else:
            expected = [(3 * number + step) / 60 for step in range(3)]
        np.testing.assert_allclose(factors, expected, rtol=0, atol=1e-6, err_msg=str(worker))


def test_a_schedule_that_ends_at_nothing_ends_training() -> None:
    """The last phases of each worker move the center less and less; a constant schedule is the run without."""

    def gap(**options: Any) -> list[float]:
        config = resolve(
            {"problem": "quadratic:noise=1", "workers": 4, "local_steps": 3, "gradient_steps": 1200, **options}
        )
        result = simulate(config, load_once(config.trains, None))
        return [evaluation.values["gap"] for evaluation in result.replay.evaluations]

    without, constant, cosine = gap(), gap(schedule="constant"), gap(schedule="cosine")
    np.testing.assert_allclose(constant, without, rtol=1e-4)
    assert np.abs(np.diff(cosine[-3:])).max() < np.abs(np.diff(without[-3:])).max() / 4


def test_what_came_later_renames_no_run_and_has_columns_where_it_is_asked_for() -> None:
    size = {"problem": "quadratic", "workers": 4, "local_steps": 3, "gradient_steps": 120}
    config = resolve({**size, "schedule": "cosine:final=0.5", "clip": 2, "weight_decay": 0.1})
    assert not {"schedule", "clip", "weight_decay", "products"} & resolve(size).as_dict().keys()
    row = summary(simulate(config, load_once(config.trains, None)))
    assert (row["schedule"], row["schedule_final"], row["clip"], row["weight_decay"]) == ("cosine", 0.5, 2.0, 0.1)


def test_products_in_bfloat16_are_for_a_gpu() -> None:
    config = resolve({"workers": 4, "local_steps": 3, "gradient_steps": 120, "products": "bfloat16"})
    assert config.run_id != resolve({"workers": 4, "local_steps": 3, "gradient_steps": 120}).run_id
    with pytest.raises(BadInput, match="products=bfloat16: not on a CPU"):
        simulate(config, ((), ()))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"schedule": "linear"}, "schedule=linear: unknown"),
        ({"schedule": "cosine:final=2"}, "final is too large"),
        ({"clip": 0}, "clip=0"),
        ({"weight_decay": -1}, "weight_decay=-1"),
        ({"products": "float16"}, "products=float16: unknown"),
        ({"local_optimizer": "nesterov:momentum=1"}, "momentum is too large"),
    ],
)
def test_what_is_not_accepted_is_refused(options: dict[str, Any], says: str) -> None:
    with pytest.raises(BadInput) as raised:
        resolve(options)
    assert says in str(raised.value)
