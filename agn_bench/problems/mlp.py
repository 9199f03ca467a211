"""The multilayer perceptron: ReLU layers and softmax cross-entropy, at any widths."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import optax

Layer = dict[str, jax.Array]
Params = list[Layer]


def initial_params(generator: np.random.Generator, widths: Sequence[int]) -> list[dict[str, np.ndarray]]:
    """Glorot-uniform weights (inputs, outputs) and zero biases, float32, drawn on the host.

    Args:
        widths: inputs, hidden widths, classes.
    """

    def layer(inputs: int, outputs: int) -> dict[str, np.ndarray]:
        limit = np.sqrt(6 / (inputs + outputs))
        weights = generator.uniform(-limit, limit, (inputs, outputs)).astype(np.float32)
        return {"weights": weights, "biases": np.zeros(outputs, np.float32)}

    return [layer(inputs, outputs) for inputs, outputs in pairwise(widths)]


def logits(params: Params, images: jax.Array) -> jax.Array:
    """(batch, features) -> (batch, classes)."""
    *hidden, last = params
    activations = images
    for layer in hidden:
        activations = jax.nn.relu(activations @ layer["weights"] + layer["biases"])
    return activations @ last["weights"] + last["biases"]


def loss(params: Params, images: jax.Array, labels: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Mean cross-entropy of a mini-batch (nats), and how many of its images are classified correctly (int32)."""
    predicted = logits(params, images)
    entropy = optax.softmax_cross_entropy_with_integer_labels(predicted, labels).mean()
    correct = (predicted.argmax(axis=-1) == labels).sum(dtype=jnp.int32)
    return entropy, correct
