"""The workers' local optimizers, from Optax."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from agn_bench.optimizers import LocalOptimizer, factor, optimizer

if TYPE_CHECKING:
    import optax


@optimizer
class Sgd(LocalOptimizer):
    """plain stochastic gradient descent"""

    slots: ClassVar[int] = 0

    learning_rate: float = factor("Step length.", default=0.3)

    def transformation(self) -> optax.GradientTransformation:
        import optax

        return optax.sgd(self.learning_rate)


@optimizer
class Momentum(LocalOptimizer):
    """SGD with heavy-ball momentum"""

    slots: ClassVar[int] = 1

    learning_rate: float = factor("Step length.", default=0.03)
    momentum: float = factor("Share of the last step that is taken again.", high=0.999_999, default=0.9)

    def transformation(self) -> optax.GradientTransformation:
        import optax

        return optax.sgd(self.learning_rate, momentum=self.momentum)


@optimizer
class Adam(LocalOptimizer):
    """Adam, b1 0.9, b2 0.999, eps 1e-8 (the paper's experiments)"""

    slots: ClassVar[int] = 2

    learning_rate: float = factor("Step length.", default=1e-3)

    def transformation(self) -> optax.GradientTransformation:
        import optax

        return optax.adam(self.learning_rate, b1=0.9, b2=0.999, eps=1e-8)
