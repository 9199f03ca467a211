"""How loops over events are compiled: as one kernel, in float64, on the CPU."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import accumulate
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental.xla_metadata import set_xla_metadata

from agn_bench.base.jax_settings import own_settings

# Shapes are padded to few sizes, these at the least, so that other numbers of workers and exchanges run the same
# compiled program.
MIN_EXCHANGES = 32_768
_FEW = 8


def on_the_cpu(loop: Callable[..., Any], *arguments: Any) -> Any:
    """What a compiled loop over events gives, in float64, on the host.

    It is compiled as one kernel, by the attributes that XLA itself gives to small loops. Otherwise it starts some
    twenty kernels an exchange, which was measured to take 4-5 times as long.
    """
    with own_settings(), jax.enable_x64(True), jax.default_device(jax.devices("cpu")[0]):
        try:
            return jax.device_get(_as_one_kernel(loop, *arguments))
        except jax.errors.JaxRuntimeError:  # another version of XLA may not compile it so
            return jax.device_get(loop(*arguments))


@partial(jax.jit, static_argnums=0)
def _as_one_kernel(loop: Callable[..., Any], *arguments: jax.Array) -> Any:
    with set_xla_metadata(xla_cpu_small_call="true", inlineable="false"):  # type: ignore[no-untyped-call]
        return loop(*arguments)


def at(array: jax.Array, index: jax.Array) -> jax.Array:
    """array[index], an index known to be inside: nothing is checked."""
    return lax.dynamic_index_in_dim(array, index, keepdims=False)


def put(array: jax.Array, value: jax.Array | float, index: jax.Array) -> jax.Array:
    """`array` with `value` at an index known to be inside."""
    return lax.dynamic_update_index_in_dim(array, jnp.asarray(value, array.dtype), index, 0)


def longest(arrive: jax.Array, earliest: jax.Array, until: jax.Array, u: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Whose message came first, as a block and a place in it; ties go to the lower worker index.

    Args:
        arrive: (blocks, workers of one).
        earliest: the first of each block.
    """
    block = earliest.argmin().astype(jnp.int32)
    return block, at(arrive, block).argmin().astype(jnp.int32)


def at_random(arrive: jax.Array, earliest: jax.Array, until: jax.Array, u: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The ⌊u m⌋-th of the m whose messages came until then, by worker index, as a block and a place in it."""
    waiting = (arrive <= until).sum(axis=1, dtype=jnp.int32)
    up_to = running_sum(waiting)
    # u < 1 keeps u m below m in float64 too.
    rank = jnp.floor(u * up_to[-1]).astype(jnp.int32)
    block = (up_to <= rank).sum(dtype=jnp.int32)
    rank = rank - (at(up_to, block) - at(waiting, block))
    within = running_sum((at(arrive, block) <= until).astype(jnp.int32))
    return block, (within <= rank).sum(dtype=jnp.int32)


def running_sum(values: jax.Array) -> jax.Array:
    """jnp.cumsum; of few numbers by plain additions, with which an exchange was measured to take a seventh less."""
    return jnp.cumsum(values) if len(values) > _FEW else jnp.stack(list(accumulate(values)))


def rounded(size: int, least: int, bits: int) -> int:
    """`size` rounded up to a number with so many leading binary digits, at least `least`."""
    unit = 1 << max(0, (size - 1).bit_length() - bits)
    return max(least, -(-size // unit) * unit)
