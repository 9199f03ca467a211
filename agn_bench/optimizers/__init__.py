"""The optimizers, one file each: what the server does; and in local.py the rules of the workers' own steps.

An optimizer is a class under `@optimizer` that declares its numbers as fields and has one pure function, `exchange`. It
knows nothing of time, data or files. A shipped one is a file here and a line in `OPTIMIZERS`; anyone's own is a file
anywhere, chosen as `--optimizer my.py:Mine`.

Nothing here imports JAX before it computes, so that lists and checks answer at once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, dataclass_transform

from agn_bench.base.named import Named
from agn_bench.base.quantities import choice, declared_numbers, factor, positive, quantity, ratio, seconds

if TYPE_CHECKING:
    import jax
    import optax

Params = TypeVar("Params")
"""A pytree of arrays."""
Class = TypeVar("Class")


class Optimizer(ABC):
    """What the server does at an exchange. The docstring's first line is its equation, as lists show it."""

    source: ClassVar[str] = ""
    """Where it is from."""

    @abstractmethod
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


class LocalOptimizer(ABC):
    """The rule of a worker's own steps."""

    slots: ClassVar[int] = 2
    """How many times the size of the parameters its state has, at most: for the memory that runs need."""

    @abstractmethod
    def transformation(self) -> optax.GradientTransformation:
        """The rule, as Optax has it."""


@dataclass_transform(frozen_default=True, field_specifiers=(quantity, choice, seconds, positive, ratio, factor))
def optimizer(cls: type[Class]) -> type[Class]:
    """Make an optimizer, or a local optimizer, of a class: a frozen dataclass, whose fields are its numbers."""
    return dataclass(frozen=True)(cls)


def each(function: Callable[..., Any], *trees: Any) -> Any:
    """`function` of every array of some pytrees of one structure: jax.tree.map."""
    import jax

    return jax.tree.map(function, *trees)


def as_pytree(thing: Class) -> Class:
    """The same optimizer, known to JAX as a pytree whose leaves are its numbers: changing one compiles nothing.

    Whole numbers and words are no leaves, since a loop may run so often and an `if` may ask for the word: changing one
    compiles anew.
    """
    if type(thing) not in _registered:
        _register(type(thing))
        _registered.add(type(thing))
    return thing


_registered: set[type] = set()


def _register(kind: Any) -> None:
    """Make a class known to JAX.

    The class itself is part of the node's auxiliary data. `jax.tree_util.register_dataclass` would leave it out of the
    comparison of tree structures, and two optimizers without numbers would count as equal: now and then jit then ran
    the one in place of the other (seen with JAX 0.10.2).
    """
    import jax

    declared = declared_numbers(kind)
    fixed = [name for name, number in declared.items() if number.accepted.static]
    leaves = [one.name for one in fields(kind) if one.name not in fixed]

    def flatten(thing: Any) -> tuple[list[Any], Any]:
        return [getattr(thing, name) for name in leaves], (kind, *(getattr(thing, name) for name in fixed))

    def unflatten(static: Any, values: Any) -> Any:
        thing = object.__new__(kind)  # not by its constructor, which may compare numbers: here they may be traced
        for name, value in zip([*fixed, *leaves], [*static[1:], *values], strict=True):
            object.__setattr__(thing, name, value)
        return thing

    jax.tree_util.register_pytree_node(kind, flatten, unflatten)


OPTIMIZERS: Named[Optimizer] = Named(
    "optimizer",
    Optimizer,  # type: ignore[type-abstract]
    "agn_bench.optimizers",
    {
        "agn": "agn_bench.optimizers.agn:Agn",
        "easgd": "agn_bench.optimizers.easgd:Easgd",
        "dynsgd": "agn_bench.optimizers.dynsgd:Dynsgd",
        "downpour": "agn_bench.optimizers.downpour:Downpour",
    },
    "@optimizer",
)

LOCAL_OPTIMIZERS: Named[LocalOptimizer] = Named(
    "local_optimizer",
    LocalOptimizer,  # type: ignore[type-abstract]
    "agn_bench.local_optimizers",
    {
        "sgd": "agn_bench.optimizers.local:Sgd",
        "momentum": "agn_bench.optimizers.local:Momentum",
        "adam": "agn_bench.optimizers.local:Adam",
    },
    "@optimizer",
)

__all__ = [
    "LOCAL_OPTIMIZERS",
    "OPTIMIZERS",
    "LocalOptimizer",
    "Optimizer",
    "Params",
    "as_pytree",
    "choice",
    "each",
    "factor",
    "optimizer",
    "quantity",
    "seconds",
]
