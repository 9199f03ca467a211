"""The methods of asynchronous training, one file each, and the workers' local optimizers.

A method is a class under `@method` that holds its numbers as pytree leaves (so that changing α compiles nothing) and
one pure function, `exchange`. It knows nothing of time, data or files. It is named in `agn_bench.optimizers.catalogue.METHODS`.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, dataclass_transform

if TYPE_CHECKING:
    import jax

Params = TypeVar("Params")
Class = TypeVar("Class")


@dataclass_transform(frozen_default=True)
def method(cls: type[Class]) -> type[Class]:
    """Make a method of a class: a frozen dataclass whose fields are pytree leaves.

    The class itself is the node's auxiliary data. `jax.tree_util.register_dataclass` would leave it out of the
    comparison of tree structures, and two methods without numbers would count as equal: now and then jit then ran the
    one in place of the other (seen with JAX 0.10.2).
    """
    import jax

    frozen: Any = dataclass(frozen=True)(cls)
    names = [field.name for field in fields(frozen)]
    jax.tree_util.register_pytree_node(
        frozen,
        lambda instance: ([getattr(instance, name) for name in names], frozen),
        lambda kind, numbers: kind(*numbers),
    )
    return frozen


class Method(Protocol):
    """What the server does at an exchange."""

    def exchange(
        self, center: Params, start: Params, end: Params, local_steps: int, staleness: jax.Array
    ) -> tuple[Params, Params]:
        """Apply a commit, at the moment the server serves the worker.

        Args:
            center: c, the center then.
            start: what the worker's local phase began with, at its last pull.
            end: what its λ local steps arrived at; Δ = end − start.
            local_steps: λ.
            staleness: τ, versions the center gained since the worker's pull, int32 scalar.

        Returns:
            The new center, and what the worker goes on from.
        """
        ...
