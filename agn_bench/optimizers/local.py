"""The workers' local optimizers, from Optax."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from agn_bench.optimizers import LocalOptimizer, as_pytree, factor, optimizer, quantity

if TYPE_CHECKING:
    import optax


@optimizer
class Sgd(LocalOptimizer):
    """plain stochastic gradient descent"""

    slots: ClassVar[int] = 0

    learning_rate: float = factor("Step length.", default=0.3, search=(0.003, 3, "log"))

    def transformation(self) -> optax.GradientTransformation:
        import optax

        return optax.sgd(self.learning_rate)


@optimizer
class Momentum(LocalOptimizer):
    """SGD with heavy-ball momentum"""

    slots: ClassVar[int] = 1

    learning_rate: float = factor("Step length.", default=0.03, search=(3e-4, 0.3, "log"))
    momentum: float = factor("Share of the last step that is taken again.", high=0.999_999, default=0.9)

    def transformation(self) -> optax.GradientTransformation:
        import optax

        return optax.sgd(self.learning_rate, momentum=self.momentum)


@optimizer
class Adam(LocalOptimizer):
    """Adam, b1 0.9, b2 0.999, eps 1e-8 (the paper's experiments)"""

    slots: ClassVar[int] = 2

    learning_rate: float = factor("Step length.", default=1e-3, search=(3e-5, 0.03, "log"))

    def transformation(self) -> optax.GradientTransformation:
        import optax

        return optax.adam(self.learning_rate, b1=0.9, b2=0.999, eps=1e-8)


@optimizer
class Nesterov(Momentum):
    """SGD with Nesterov's momentum"""

    def transformation(self) -> optax.GradientTransformation:
        import optax

        return optax.sgd(self.learning_rate, momentum=self.momentum, nesterov=True)


@optimizer
class Adamw(Adam):
    """Adam whose weights shrink besides, by a share of themselves (Loshchilov, Hutter 2019, arXiv 1711.05101)"""

    weight_decay: float = quantity(0, 1e6, default=0.01, help="That share, times the learning rate.")

    def transformation(self) -> optax.GradientTransformation:
        import optax

        return optax.adamw(self.learning_rate, b1=0.9, b2=0.999, eps=1e-8, weight_decay=self.weight_decay)


@dataclass(frozen=True)
class Prepared(LocalOptimizer):
    """A local optimizer that is given shortened gradients, or gradients with a share of the weights added.

    What is None is not done, and costs nothing.
    """

    rule: LocalOptimizer
    clip: float | None = None
    """The Euclidean length, of all parameters together, to which a longer gradient is shortened."""
    weight_decay: float | None = None
    """The share of the weights that is added, after clipping."""

    def __post_init__(self) -> None:
        as_pytree(self.rule)

    @property
    def learning_rate(self) -> Any:
        """NaN if the rule has none."""
        return getattr(self.rule, "learning_rate", float("nan"))

    def transformation(self) -> optax.GradientTransformation:
        import optax

        clip = [] if self.clip is None else [optax.clip_by_global_norm(self.clip)]
        decay = [] if self.weight_decay is None else [optax.add_decayed_weights(self.weight_decay)]
        return optax.chain(*clip, *decay, self.rule.transformation())
