"""What problems have in common that sort examples into classes: cross-entropy, and how many are right."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING

from agn_bench.problems import LOSS, Batch, Measure, Params, Problem

if TYPE_CHECKING:
    import jax


def of_classes(count: int) -> dict[str, Measure]:
    """Accuracy and loss, where a run that has diverged counts as a guess among so many."""
    chance = 1 / count
    return {
        "accuracy": Measure(higher_is_better=True, if_diverged=chance),
        LOSS: Measure(higher_is_better=False, if_diverged=-math.log(chance)),
    }


class Classifier(Problem):
    """A problem whose model gives a number for each class, the logits."""

    @property
    def measures(self) -> Mapping[str, Measure]:
        assert self.data is not None
        return of_classes(self.data.classes)

    @abstractmethod
    def logits(self, params: Params, inputs: jax.Array) -> jax.Array:
        """(batch, features) -> (batch, classes)."""

    def loss(self, params: Params, batch: Batch) -> tuple[jax.Array, Mapping[str, jax.Array]]:
        """Mean cross-entropy (nats), and how many are classified correctly (int32)."""
        import jax.numpy as jnp
        import optax

        inputs, labels = batch
        logits = self.logits(params, inputs)
        entropy = optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()
        return entropy, {"accuracy": (logits.argmax(axis=-1) == labels).sum(dtype=jnp.int32)}
