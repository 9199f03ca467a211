"""The toy of asynchronous local SGD of Liu et al. 2024 (arXiv 2401.09135): its data, model, rate and workers.

Numbers are drawn as there, but by NumPy's generator of today, so that only what does not hang on the draw is the same.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from agn_bench.clock.speeds import Speeds
from agn_bench.optimizers import optimizer, quantity
from agn_bench.optimizers.schedules import Schedule
from agn_bench.problems import Measure, Problem, problem

FEATURES, CLASSES, CLUSTERS, EXAMPLES, TESTED = 512, 4, 32, 128_000, 10_000


@problem
class Mixture(Problem):
    """Which of four classes a point is of, each a mixture of eight Gaussians around points of the unit sphere.

    The network has one hidden layer with ReLU, and begins as PyTorch's linear layers do.
    """

    measures: ClassVar[Mapping[str, Measure]] = {
        "loss": Measure(higher_is_better=False, if_diverged=float(np.log(CLASSES))),
        "accuracy": Measure(higher_is_better=True, if_diverged=1 / CLASSES),
    }
    examples, tested = EXAMPLES, TESTED

    hidden: int = quantity(1, 100_000, whole=True, default=65_000, help="Units of the hidden layer.")

    def load(self, data_dir):
        generator = np.random.default_rng(42)
        centers = generator.normal(size=(CLUSTERS, FEATURES))
        centers /= np.linalg.norm(centers, axis=1, keepdims=True)
        cluster = np.arange(EXAMPLES) % CLUSTERS
        points = generator.normal(size=(EXAMPLES, FEATURES)).astype(np.float32) / 2 + centers[cluster].astype(
            np.float32
        )
        classes = (cluster // (CLUSTERS // CLASSES)).astype(np.int32)
        some = generator.choice(EXAMPLES, TESTED, replace=False)
        return (points, classes), (points[some], classes[some])

    def init(self, generator):
        def layer(inputs, outputs):
            bound = inputs**-0.5
            return generator.uniform(-bound, bound, (inputs, outputs)), generator.uniform(-bound, bound, outputs)

        return layer(FEATURES, self.hidden), layer(self.hidden, CLASSES)

    def loss(self, params, batch):
        import jax
        import optax

        ((weights, biases), (last, last_biases)), (points, classes) = params, batch
        logits = jax.nn.relu(points @ weights + biases) @ last + last_biases
        entropy = optax.softmax_cross_entropy_with_integer_labels(logits, classes)
        return entropy.mean(), {"accuracy": (logits.argmax(axis=1) == classes).sum()}


@dataclass(frozen=True)
class FourWorkers(Speeds):
    """0.58, 0.75, 1.51 and 3.33 s a step."""

    def slowness(self, seed: int, workers: int) -> np.ndarray:
        return np.array([0.58, 0.75, 1.51, 3.33])[:workers]


@optimizer
class Cosine(Schedule):
    """Half a cosine over a worker's 100 steps, but for the first of each phase of 20, which has the whole rate: there
    the scheduler is begun anew with the local optimizer, and sets the rate after a step.
    """

    def schedule(self):
        import jax.numpy as jnp

        def factor(progress):
            step = jnp.round(100 * progress)
            return jnp.where(step % 20 == 0, 1.0, 0.005 + 0.995 * (1 + jnp.cos(jnp.pi * progress)) / 2)

        return factor
