"""What problems have in common that sort examples into classes: cross-entropy, and how many are right."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from agn_bench.base.quantities import choice
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


def which_cross_entropy() -> Any:
    """The field of a problem that says which cross-entropy is its loss (see cross_entropy.py)."""
    said = "From logits; or from probabilities clipped to [1e-7, 1 - 1e-7], as in Keras 2.0, with no gradient there."
    return choice("logits", "clipped", default="logits", later=True, help=said)


class Classifier(Problem):
    """A problem whose model gives a number for each class, the logits."""

    cross_entropy: str = "logits"
    """Which cross-entropy is the loss. A class that lets it be chosen declares it by `which_cross_entropy()`."""

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

        from agn_bench.problems.cross_entropy import CROSS_ENTROPIES

        inputs, labels = batch
        logits = self.logits(params, inputs)
        entropy = CROSS_ENTROPIES[self.cross_entropy](logits, labels).mean()
        return entropy, {"accuracy": (logits.argmax(axis=-1) == labels).sum(dtype=jnp.int32)}
