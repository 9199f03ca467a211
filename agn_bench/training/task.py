"""A problem as it is compiled: of its parameters those that are trained, and the rest, which stays as it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax

from agn_bench.base.pytrees import as_pytree, is_trained
from agn_bench.problems import Batch, Params, Problem


@jax.tree_util.register_pytree_node_class
class Task:
    """A problem with what of its parameters is not trained, such as the activation functions of a module.

    A pytree: the problem's numbers and arrays that are not trained are its leaves, so that others compile nothing.
    Within what is compiled the problem's numbers have no values, so the names of its measures are kept beside it.
    """

    def __init__(
        self,
        problem: Problem,
        measures: tuple[str, ...],
        kept: list[Any] | None = None,
        form: tuple[Any, ...] | None = None,
    ) -> None:
        self.problem, self.measures, self._kept, self._form = problem, measures, kept, form

    def loss(self, params: Params, batch: Batch) -> tuple[jax.Array, Mapping[str, jax.Array]]:
        """Mean loss of a mini-batch, and of other measures the sum, for the parameters that are trained."""
        return self.problem.loss(self.whole(params), batch)

    def whole(self, params: Params) -> Params:
        """The parameters as the problem has them."""
        if self._form is None:
            return params
        structure, kinds, static = self._form
        leaves = {"trained": iter(jax.tree.leaves(params)), "kept": iter(self._kept or ()), "static": iter(static)}
        return jax.tree.unflatten(structure, [next(leaves[kind]) for kind in kinds])

    def tree_flatten(self) -> tuple[tuple[Any, ...], Any]:
        return (self.problem, self._kept), (self.measures, self._form)

    @classmethod
    def tree_unflatten(cls, static: tuple[Any, ...], children: tuple[Any, ...]) -> Task:
        (problem, kept), (measures, form) = children, static
        return cls(problem, measures, kept, form)


def task_of(problem: Problem, initial: Params) -> tuple[Task, Params]:
    """The problem as it is compiled, and of its initial parameters those that are trained."""
    as_pytree(problem)
    measures = tuple(problem.measures)
    leaves, structure = jax.tree.flatten(initial)
    kinds = tuple("trained" if is_trained(leaf) else "kept" if hasattr(leaf, "dtype") else "static" for leaf in leaves)
    if set(kinds) <= {"trained"}:
        return Task(problem, measures), initial

    def of(kind: str) -> list[Any]:
        return [leaf for leaf, own in zip(leaves, kinds, strict=True) if own == kind]

    trained = jax.tree.map(lambda leaf: leaf if is_trained(leaf) else None, initial)
    return Task(problem, measures, of("kept"), (structure, kinds, tuple(of("static")))), trained
