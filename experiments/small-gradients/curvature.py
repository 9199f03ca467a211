"""The largest curvature h of the perceptron's loss where AGN's training is when its rate falls, and at its end: writes
results/small-gradients/curvature.csv.

It is the largest eigenvalue of the Hessian at the center, of the mean loss of the first 512 training images, by power
iteration. The line is what η λ h has to be under so that nothing need be divided, π / (2n − 1).
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import optax
import pandas as pd

from agn_bench import RunConfig, run
from agn_bench.base import files
from agn_bench.problems import Problem
from agn_bench.training.task import task_of

OUT = Path(__file__).parent.parent.parent / "results" / "small-gradients" / "curvature.csv"
WORKERS, LOCAL_STEPS, SECONDS, SEED = 16, 16, 100, 9
PROBLEMS = {"mlp": ("mnist-5k", 0.3)}
"""With the data set and the rate."""
IMAGES, ITERATIONS = 512, 20


def largest_curvature(problem: Problem, params: Any) -> float:
    """The largest curvature of the loss of the first images, at some parameters."""
    task, trained = task_of(problem, params)
    batch = jax.tree.map(lambda of_all: jnp.asarray(of_all[:IMAGES]), problem.load(None)[0])

    @jax.jit
    def times_hessian(way: Any, trained: Any, batch: Any) -> Any:
        def gradient(at: Any) -> Any:
            return jax.grad(lambda it: task.loss(it, batch)[0])(at)

        return jax.jvp(gradient, (trained,), (way,))[1]

    leaves, tree = jax.tree.flatten(trained)
    keys = jax.random.split(jax.random.key(0), len(leaves))
    drawn = [jax.random.normal(key, leaf.shape) for key, leaf in zip(keys, leaves, strict=True)]
    way, found = jax.tree.unflatten(tree, drawn), 0.0
    for _ in range(ITERATIONS):
        size = optax.tree.norm(way)
        way = jax.tree.map(lambda leaf, size=size: leaf / size, way)
        image = times_hessian(way, trained, batch)
        found, way = float(optax.tree.vdot(way, image)), image
    return found


def main() -> None:
    rows = []
    for problem, (dataset, rate) in PROBLEMS.items():
        options = {
            "problem": problem, "dataset": dataset, "workers": WORKERS, "local_steps": LOCAL_STEPS,
            "learning_rate": rate,
        }  # fmt: skip
        for when, falls in ((SECONDS / 2, ""), (SECONDS, "step:at=0.5:factor=0.1")):
            schedule = {"schedule": falls} if falls else {}
            config = RunConfig.of(
                optimizer="agn", seconds=when, seed=SEED, delays="paper-cluster", **options, **schedule
            )
            curvature = largest_curvature(config.trains, run(config, threads=1).replay.center)
            lowered = rate / 10
            rows.append({
                **options, "at_s": when, "seed": SEED, "curvature": curvature, "lowered_rate": lowered,
                "eta_lambda_h_before": rate * LOCAL_STEPS * curvature,
                "eta_lambda_h_after": lowered * LOCAL_STEPS * curvature,
                "line": math.pi / (2 * WORKERS - 1),
            })  # fmt: skip
    files.write_table(OUT, pd.DataFrame(rows))


if __name__ == "__main__":
    main()
