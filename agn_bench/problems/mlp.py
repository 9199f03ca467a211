"""The paper's problem: a multilayer perceptron that classifies images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar

from agn_bench.base.quantities import quantity
from agn_bench.problems import Batch, Measure, Params, Problem, problem
from agn_bench.problems.classifier import which_cross_entropy
from agn_bench.problems.data import IMAGES, TABLE, Data

if TYPE_CHECKING:
    import jax
    import numpy as np

MAX_WIDTH = 100_000
MAX_PARAMETERS = 500_000_000


def parameter_count(widths: Sequence[int]) -> int:
    """Weights and biases of a multilayer perceptron; `widths`: inputs, hidden widths, classes."""
    return sum((inputs + 1) * outputs for inputs, outputs in pairwise(widths))


@problem
class Mlp(Problem):
    """The paper's multilayer perceptron.

    Layers with ReLU, softmax and cross-entropy; `model` chooses one by its size.
    """

    source: ClassVar[str] = "the paper's"
    learns_from: ClassVar[tuple[str, ...]] = (IMAGES, TABLE)

    hidden: tuple[int, ...] = quantity(1, MAX_WIDTH, several=True, whole=True, help="Hidden widths, as in 300,100.")
    cross_entropy: str = which_cross_entropy()

    def __post_init__(self) -> None:
        if not self.hidden or not all(type(width) is int and 0 < width <= MAX_WIDTH for width in self.hidden):
            raise ValueError(f"hidden widths {self.hidden}: not whole numbers from 1 to {MAX_WIDTH}")

    def widths(self, data: Data) -> tuple[int, ...]:
        """Inputs, hidden widths and classes for a data set."""
        return (data.features, *self.hidden, data.classes)

    def unfit(self) -> str:
        assert self.data is not None
        count = parameter_count(self.widths(self.data))
        return f"with so many numbers that there are {count:,} parameters" if count > MAX_PARAMETERS else ""

    @property
    def measures(self) -> Mapping[str, Measure]:
        assert self.data is not None
        return {"accuracy": Measure(higher_is_better=True, if_diverged=1 / self.data.classes)}

    @property
    def size(self) -> int:
        assert self.data is not None
        return parameter_count(self.widths(self.data))

    def init(self, generator: np.random.Generator) -> Params:
        from agn_bench.problems import perceptron

        assert self.data is not None
        return perceptron.initial_params(generator, self.widths(self.data))

    def loss(self, params: Params, batch: Batch) -> tuple[jax.Array, Mapping[str, jax.Array]]:
        from agn_bench.problems import perceptron

        images, labels = batch
        entropy, correct = perceptron.loss(params, images, labels, self.cross_entropy)
        return entropy, {"accuracy": correct}
