"""Cross-entropy of a classifier: of its logits, or of probabilities that are clipped as in Keras.

With y the true class and p = softmax(logits):

    logits:   −log p_y
    clipped:  −log clip(p_y, ε, 1 − ε),  ε = 1e-7

The gradient of the clipped one is 0 where p_y is clipped: nothing is learned from an example whose true class has a
probability below ε. That is `categorical_crossentropy` of Keras 2.0 with TensorFlow on a softmax layer, by which the
paper's code trains (keras-team/keras at 2.0.0, 2.0.4 and 2.0.9: keras/backend/tensorflow_backend.py, `_EPSILON = 10e-8`
in common.py). Keras divides the probabilities by their sum, clips each of them and takes −Σ target · log. That is the
above where one class is true. At ε and at 1 − ε themselves TensorFlow's `clip_by_value` lets the gradient through, and
this does so too.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

EPSILON = 1e-7


def of_logits(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """The cross-entropy of each example, in nats: (…, classes), (…) whole -> (…)."""
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels)


def clipped(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """The cross-entropy of each example, in nats, from 1e-7 to 16.1: (…, classes), (…) whole -> (…)."""
    probabilities = jax.nn.softmax(logits)
    probabilities /= probabilities.sum(axis=-1, keepdims=True)
    true = jnp.take_along_axis(probabilities, labels[..., None], axis=-1)[..., 0]
    within = (true >= EPSILON) & (true <= 1 - EPSILON)
    # And not jnp.clip alone, which halves the gradient at the bounds themselves. NaN stays NaN.
    return -jnp.log(jnp.where(within, true, jax.lax.stop_gradient(jnp.clip(true, EPSILON, 1 - EPSILON))))


CROSS_ENTROPIES: dict[str, Callable[[jax.Array, jax.Array], jax.Array]] = {"logits": of_logits, "clipped": clipped}
