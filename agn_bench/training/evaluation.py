"""The center, evaluated: the measures of a problem over its test set, or as the problem itself says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
from jax import lax

from agn_bench.problems import LOSS, Batch, Params
from agn_bench.training.task import Task


@jax.jit
def evaluated(task: Task, params: Params, test: Batch | None) -> Mapping[str, jax.Array]:
    """The measures of the center, still on the device; `values` has them as numbers."""
    if task.problem.evaluates_itself:
        return task.problem.evaluate(task.whole(params), test)
    return sums(task, params, test)


def values(task: Task, found: Mapping[str, Any], test: Batch | None) -> dict[str, float]:
    """What `evaluated` found, fetched, as numbers by measure."""
    if task.problem.evaluates_itself:
        return {name: float(found[name]) for name in task.measures}
    count = examples(test)
    # Divided here, so that of what is counted not a digit is lost.
    return {name: found[name].item() / count for name in task.measures}


def sums(task: Task, params: Params, data: Batch) -> dict[str, jax.Array]:
    """The sums of the measures over a set of examples."""

    def of(batch: Batch) -> dict[str, jax.Array]:
        loss, measured = task.loss(params, batch)
        found = {LOSS: loss * examples(batch), **measured}
        return {name: found[name] for name in task.measures}

    count, at_once = examples(data), task.problem.evaluated_at_once
    whole = count - count % at_once
    if not whole:
        return of(data)
    chunks = jax.tree.map(lambda leaf: leaf[:whole].reshape(-1, at_once, *leaf.shape[1:]), data)
    found = jax.tree.map(lambda parts: parts.sum(axis=0, dtype=parts.dtype), lax.map(of, chunks))
    if whole == count:
        return found
    rest = of(jax.tree.map(lambda leaf: leaf[whole:], data))
    return jax.tree.map(lambda total, more: total + more, found, rest)


def examples(data: Batch) -> int:
    """How many there are."""
    return len(jax.tree.leaves(data)[0])
