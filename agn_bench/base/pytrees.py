"""Things whose numbers are arrays where they are compiled: optimizers, local optimizers, problems.

JAX is imported where it is needed.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any, TypeVar

from agn_bench.base.quantities import declared_numbers

Class = TypeVar("Class")


def as_pytree(thing: Class) -> Class:
    """The same thing, known to JAX as a pytree whose leaves are its numbers: changing one compiles nothing.

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

    The attributes that the class names as `besides`, which are no fields, are kept too, and compiled for.

    The class itself is part of the node's auxiliary data. `jax.tree_util.register_dataclass` would leave it out of the
    comparison of tree structures, and two optimizers without numbers would count as equal: now and then jit then ran
    the one in place of the other (seen with JAX 0.10.2).
    """
    import jax

    declared = declared_numbers(kind)
    fixed = [name for name, number in declared.items() if number.accepted.static]
    leaves = [one.name for one in fields(kind) if one.name not in fixed]
    fixed += getattr(kind, "besides", ())

    def flatten(thing: Any) -> tuple[list[Any], Any]:
        return [getattr(thing, name) for name in leaves], (kind, *(getattr(thing, name) for name in fixed))

    def unflatten(static: Any, values: Any) -> Any:
        thing = object.__new__(kind)  # not by its constructor, which may compare numbers: here they may be traced
        for name, value in zip([*fixed, *leaves], [*static[1:], *values], strict=True):
            object.__setattr__(thing, name, value)
        return thing

    jax.tree_util.register_pytree_node(kind, flatten, unflatten)


def is_trained(leaf: Any) -> bool:
    """Whether a leaf of a problem's parameters is trained: an array of floating-point numbers."""
    import jax.numpy as jnp

    return hasattr(leaf, "dtype") and hasattr(leaf, "shape") and bool(jnp.issubdtype(leaf.dtype, jnp.floating))


def named_arrays(tree: Any) -> dict[str, Any]:
    """The arrays of a pytree by where they are in it, as in `layers.0.weight`; in a list of dicts, such as the layers
    of a multilayer perceptron, as in `weights_0`.
    """
    import jax

    found = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        words = [str(getattr(part, "name", getattr(part, "key", getattr(part, "idx", part)))) for part in path]
        layered = isinstance(tree, list) and len(words) == 2 and isinstance(tree[int(words[0])], dict)
        if hasattr(leaf, "dtype"):
            found["_".join(reversed(words)) if layered else ".".join(words) or "params"] = leaf
    return found
