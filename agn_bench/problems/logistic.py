"""Multinomial logistic regression: a convex problem on real data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from agn_bench.base.quantities import quantity
from agn_bench.problems import Batch, Params, problem
from agn_bench.problems.classifier import Classifier, which_cross_entropy
from agn_bench.problems.data import IMAGES, TABLE

if TYPE_CHECKING:
    import jax
    import numpy as np


@problem
class Logistic(Classifier):
    """Logistic regression of several classes.

    Softmax of a linear model, cross-entropy, and l2/2 times the squares of the weights.
    """

    learns_from: ClassVar[tuple[str, ...]] = (IMAGES, TABLE)
    trained_with: ClassVar[Mapping[str, object]] = {"batch_size": 32, "local_optimizer": "sgd:learning_rate=0.1"}

    l2: float = quantity(0, 1e6, default=0.0, help="Weight of the squares of the weights: strongly convex.")
    cross_entropy: str = which_cross_entropy()

    @property
    def size(self) -> int:
        assert self.data is not None
        return (self.data.features + 1) * self.data.classes

    def init(self, generator: np.random.Generator) -> Params:
        """All 0: it is convex."""
        import numpy as np

        assert self.data is not None
        shape = self.data.features, self.data.classes
        return {"weights": np.zeros(shape, np.float32), "biases": np.zeros(shape[1], np.float32)}

    def logits(self, params: Params, inputs: jax.Array) -> jax.Array:
        import jax.numpy as jnp

        return jnp.matmul(inputs, params["weights"], precision="highest") + params["biases"]

    def loss(self, params: Params, batch: Batch) -> tuple[jax.Array, Mapping[str, jax.Array]]:
        entropy, measured = super().loss(params, batch)
        return entropy + self.l2 / 2 * (params["weights"] ** 2).sum(), measured
