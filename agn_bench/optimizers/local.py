"""The workers' local optimizers, from Optax."""

from __future__ import annotations

from dataclasses import dataclass, field

import jax
import optax


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class LocalOptimizer:
    """A local optimizer's name (compiled in) and its numbers (pytree leaves: changing them compiles nothing)."""

    name: str = field(metadata={"static": True})
    learning_rate: float
    momentum: float | None = None

    def transformation(self) -> optax.GradientTransformation:
        match self.name:
            case "sgd":
                return optax.sgd(self.learning_rate)
            case "momentum":
                return optax.sgd(self.learning_rate, momentum=self.momentum)
            case "adam":
                return optax.adam(self.learning_rate, b1=0.9, b2=0.999, eps=1e-8)
        raise ValueError(f"no local optimizer {self.name!r}")
