"""The networks of the problems cnn, resnet and transformer, as modules of Equinox. Each takes one example.

Functions that modules hold are those of this module, of JAX and of Equinox, the same ones each time: networks of the
same sizes share a compiled program.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

Image = tuple[int, int, int]
"""Height, width and channels."""


def convolutional_network(
    key: jax.Array, image: Image, classes: int, channels: Sequence[int], kernel: int, dense: Sequence[int]
) -> eqx.Module:
    """(height, width, channels) -> (classes,): convolutions, each with ReLU and the maximum over 2 x 2; dense."""
    height, width, inputs = image
    keys = iter(jax.random.split(key, len(channels) + len(dense) + 1))
    layers: list[Any] = []
    for outputs in channels:
        layers += [Convolution(inputs, outputs, kernel, key=next(keys), bias=True), eqx.nn.Lambda(_relu_and_maximum)]
        height, width, inputs = height // 2, width // 2, outputs
    layers.append(eqx.nn.Lambda(jnp.ravel))
    inputs *= height * width
    for outputs in dense:
        layers += [eqx.nn.Linear(inputs, outputs, key=next(keys)), eqx.nn.Lambda(jax.nn.relu)]
        inputs = outputs
    return eqx.nn.Sequential([*layers, eqx.nn.Linear(inputs, classes, key=next(keys))])


def _relu_and_maximum(image: jax.Array) -> jax.Array:
    """ReLU, and of every 2 x 2 the maximum; a last odd row or column is left out."""
    height, width, channels = image.shape
    even = image[: height // 2 * 2, : width // 2 * 2]
    return jax.nn.relu(even.reshape(height // 2, 2, width // 2, 2, channels).max(axis=(1, 3)))


def residual_network(
    key: jax.Array, image: Image, classes: int, widths: Sequence[int], blocks: int, groups: int
) -> eqx.Module:
    """(height, width, channels) -> (classes,): stages of residual blocks, of these widths."""
    keys = iter(jax.random.split(key, 2 + 3 * len(widths) * blocks))
    inputs = widths[0]
    layers: list[Any] = [Convolution(image[2], inputs, 3, key=next(keys))]
    for stage, outputs in enumerate(widths):
        for block in range(blocks):
            layers.append(Block(inputs, outputs, 2 if stage and not block else 1, groups, [*map(next, [keys] * 3)]))
            inputs = outputs
    layers += [Normal(inputs, groups), eqx.nn.Lambda(_mean)]
    return eqx.nn.Sequential([*layers, eqx.nn.Linear(inputs, classes, key=next(keys))])


def _mean(image: jax.Array) -> jax.Array:
    return image.mean(axis=(0, 1))


class Convolution(eqx.Module):
    """A convolution whose result is as large as what comes in, or half of it with a stride of 2.

    As one product of matrices: on a CPU it takes a fourth of the time that XLA's own convolution takes in a loop.
    """

    weight: jax.Array
    """(size · size · inputs, outputs), uniform on ± 1/√(size · size · inputs) at first."""
    bias: jax.Array | None
    size: int = eqx.field(static=True)
    stride: int = eqx.field(static=True)

    def __init__(
        self, inputs: int, outputs: int, size: int, stride: int = 1, *, key: jax.Array, bias: bool = False
    ) -> None:
        limit = (size * size * inputs) ** -0.5
        weight, shift = jax.random.split(key)
        self.weight = jax.random.uniform(weight, (size * size * inputs, outputs), minval=-limit, maxval=limit)
        self.bias = jax.random.uniform(shift, (outputs,), minval=-limit, maxval=limit) if bias else None
        self.size, self.stride = size, stride

    def __call__(self, image: jax.Array, *, key: Any = None) -> jax.Array:
        height, width, _ = image.shape
        before, step = (self.size - 1) // 2, self.stride
        around = (before, self.size - 1 - before)
        wide = jnp.pad(image, (around, around, (0, 0)))
        shifted = [
            wide[row : row + height : step, column : column + width : step]
            for row in range(self.size)
            for column in range(self.size)
        ]
        found = jnp.concatenate(shifted, axis=-1) @ self.weight
        return found if self.bias is None else found + self.bias


class Normal(eqx.Module):
    """Normalization over groups of channels, at most so many, and ReLU."""

    norm: eqx.nn.GroupNorm

    def __init__(self, channels: int, groups: int) -> None:
        self.norm = eqx.nn.GroupNorm(next(count for count in range(groups, 0, -1) if channels % count == 0), channels)

    def __call__(self, image: jax.Array, *, key: Any = None) -> jax.Array:
        return jax.nn.relu(jnp.moveaxis(self.norm(jnp.moveaxis(image, -1, 0)), 0, -1))


class Block(eqx.Module):
    """What comes in, plus two 3 x 3 convolutions of it, each after a Normal."""

    normal: list[Normal]
    convolution: list[Convolution]
    short: Convolution | None
    """1 x 1, where what comes in is of another size than what goes out."""

    def __init__(self, inputs: int, outputs: int, stride: int, groups: int, keys: Sequence[jax.Array]) -> None:
        self.normal = [Normal(inputs, groups), Normal(outputs, groups)]
        self.convolution = [
            Convolution(inputs, outputs, 3, stride, key=keys[0]),
            Convolution(outputs, outputs, 3, key=keys[1]),
        ]
        same = inputs == outputs and stride == 1
        self.short = None if same else Convolution(inputs, outputs, 1, stride, key=keys[2])

    def __call__(self, image: jax.Array, *, key: Any = None) -> jax.Array:
        way = image
        for normal, convolution in zip(self.normal, self.convolution, strict=True):
            way = convolution(normal(way))
        return way + (image if self.short is None else self.short(image))


class Decoder(eqx.Module):
    """A transformer's decoder: (length,) tokens -> (length, tokens) numbers for what follows each of them."""

    tokens: jax.Array
    """(tokens, dimension), what each token is."""
    places: jax.Array
    """(length, dimension), where it stands."""
    layers: list[Layer]
    norm: eqx.nn.LayerNorm
    out: eqx.nn.Linear

    def __init__(
        self, key: jax.Array, tokens: int, length: int, dimension: int, heads: int, layers: int, widening: int
    ) -> None:
        token, place, out, *rest = jax.random.split(key, 3 + layers)
        self.tokens = 0.02 * jax.random.normal(token, (tokens, dimension))
        self.places = 0.02 * jax.random.normal(place, (length, dimension))
        self.layers = [Layer(one, dimension, heads, widening) for one in rest]
        self.norm = eqx.nn.LayerNorm(dimension)
        self.out = eqx.nn.Linear(dimension, tokens, use_bias=False, key=out)

    def __call__(self, sequence: jax.Array) -> jax.Array:
        found = self.tokens[sequence] + self.places[: len(sequence)]
        for layer in self.layers:
            found = layer(found)
        return jax.vmap(self.out)(jax.vmap(self.norm)(found))


class Layer(eqx.Module):
    """Attention to what came before, and two dense layers with GELU, each added to what comes in."""

    norms: list[eqx.nn.LayerNorm]
    attention: eqx.nn.MultiheadAttention
    dense: list[eqx.nn.Linear]

    def __init__(self, key: jax.Array, dimension: int, heads: int, widening: int) -> None:
        attention, wider, back = jax.random.split(key, 3)
        self.norms = [eqx.nn.LayerNorm(dimension), eqx.nn.LayerNorm(dimension)]
        self.attention = eqx.nn.MultiheadAttention(heads, dimension, key=attention)
        self.dense = [
            eqx.nn.Linear(dimension, widening * dimension, key=wider),
            eqx.nn.Linear(widening * dimension, dimension, key=back),
        ]

    def __call__(self, found: jax.Array) -> jax.Array:
        seen = jax.vmap(self.norms[0])(found)
        before = jnp.tril(jnp.ones((len(found), len(found)), bool))
        found = found + self.attention(seen, seen, seen, mask=before)
        wider = jax.nn.gelu(jax.vmap(self.dense[0])(jax.vmap(self.norms[1])(found)))
        return found + jax.vmap(self.dense[1])(wider)
