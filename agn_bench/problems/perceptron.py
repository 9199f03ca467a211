"""The multilayer perceptron: ReLU layers and softmax cross-entropy, at any widths."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from agn_bench.problems.cross_entropy import CROSS_ENTROPIES

Layer = dict[str, jax.Array]
Params = list[Layer]


def _matmul(one: jax.Array, other: jax.Array) -> jax.Array:
    """In float32 on every device, unless bfloat16 was asked for: left to choose, a GPU multiplies with ten bits."""
    fewer = jax.config.jax_default_matmul_precision == "bfloat16"  # type: ignore[attr-defined]
    return jnp.matmul(one, other, precision=None if fewer else lax.Precision.HIGHEST)


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
    activations = _matmul(images, params[0]["weights"]) + params[0]["biases"]
    for layer in params[1:]:
        activations = _product(jax.nn.relu(activations), layer["weights"]) + layer["biases"]
    return activations


@jax.custom_vjp
def _product(activations: jax.Array, weights: jax.Array) -> jax.Array:
    """The matrix product; its gradient lets the weights be overwritten by their update.

    XLA's CPU compiler copies the weights at every step, because it does not see that all reading of them comes before
    their update. So the gradient of the weights is made to depend on that of the activations, the last to read them.
    """
    return _matmul(activations, weights)


def _product_forward(activations: jax.Array, weights: jax.Array) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return _matmul(activations, weights), (activations, weights)


def _product_backward(saved: tuple[jax.Array, jax.Array], slope: jax.Array) -> tuple[jax.Array, jax.Array]:
    activations, weights = saved
    to_activations = _matmul(slope, weights.T)
    any_of_it = to_activations[0, 0]
    never = jnp.isnan(any_of_it) & (any_of_it > 0)  # which XLA does not know; an optimization barrier it takes away
    return to_activations, jnp.where(never, 0, _matmul(activations.T, slope))


_product.defvjp(_product_forward, _product_backward)


def loss(
    params: Params, images: jax.Array, labels: jax.Array, cross_entropy: str = "logits"
) -> tuple[jax.Array, jax.Array]:
    """Mean cross-entropy of a mini-batch (nats), and how many of its images are classified correctly (int32).

    Args:
        cross_entropy: one of CROSS_ENTROPIES.
    """
    predicted = logits(params, images)
    entropy = CROSS_ENTROPIES[cross_entropy](predicted, labels).mean()
    correct = (predicted.argmax(axis=-1) == labels).sum(dtype=jnp.int32)
    return entropy, correct
