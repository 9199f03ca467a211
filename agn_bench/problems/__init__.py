"""What is trained, one file each: data, parameters, a loss, and what is measured.

A problem is a class under `@problem` that declares its numbers as fields. It says what its data are, draws the initial
parameters, and has a loss; JAX finds the gradient. It knows nothing of workers, of time or of files of results. A
shipped one is a file here and a line in `PROBLEMS`; anyone's own is a file anywhere, as in `--problem my.py:Mine`.

Some learn from a data set that the user chooses (`--dataset`), some make their own data.

Nothing here imports JAX before it computes, so that lists and checks answer at once.

data.py        what a problem must know of a data set before it is loaded
catalogue.py   the data sets, the models and the data splits by name
datasets.py    data sets, read and checked, as are those of cifar.py and tables.py; fetching.py gets them
arrays.py      the user's own arrays; texts.py reads the user's texts
shares.py      which examples each worker trains on
classifier.py  what problems have in common that sort examples into classes; convolution.py, those of images
perceptron.py  the multilayer perceptron, as it is compiled; networks.py, the modules of the other networks
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self, TypeVar, dataclass_transform

from agn_bench.base.named import Named
from agn_bench.base.quantities import choice, factor, positive, quantity, ratio, seconds
from agn_bench.base.user_code import called
from agn_bench.problems.data import Data

if TYPE_CHECKING:
    import jax
    import numpy as np

Params = Any
"""A pytree of arrays. Those of floating-point numbers are trained; whatever else is in it stays as it is."""
Batch = Any
"""A pytree of arrays, an entry an example along the first axis of each."""
Class = TypeVar("Class")

FRACTION = "accuracy"
"""A measure whose name ends so lies between 0 and 1, and is shown in per cent."""
LOSS = "loss"
"""The measure that every problem has in training; evaluated too if it is among its measures."""


class Measure(NamedTuple):
    """What an evaluation of the center says."""

    higher_is_better: bool
    if_diverged: float
    """What a run that has diverged counts as, from there on."""


class Problem(ABC):
    """What is trained. The docstring's first paragraph says what it is, as lists show it."""

    source: ClassVar[str] = ""
    """Where it is from."""
    learns_from: ClassVar[tuple[str, ...]] = ()
    """The kinds of data sets that it learns from (see data.py); none: it makes its own data.
    """
    needs_dataset: ClassVar[bool] = True
    """Whether one that learns from data sets must have one."""
    trained_with: ClassVar[Mapping[str, object]] = {}
    """Options of a run where nothing else is said, neither by a preset, by name as in an experiment file."""

    evaluated_at_once: ClassVar[int] = 500
    """Examples that an evaluation takes at once. Few need less memory, and are fastest if they fit into the processor's
    cache; the last digits of a sum over the test set depend on it.
    """

    besides: ClassVar[tuple[str, ...]] = ("data", "data_name")
    """What is compiled for besides the numbers (see base/pytrees.py)."""

    data: Data | None = None
    """The data set that was chosen, if it learns from one."""
    data_name: str = ""
    """By which it was chosen."""

    @property
    @abstractmethod
    def measures(self) -> Mapping[str, Measure]:
        """What an evaluation says, by name, the first one first; `loss` may be among them.

        What `loss` gives a sum of is measured in training too.
        """

    def unfit(self) -> str:
        """Why it cannot be trained, or not on its data set; nothing if it can."""
        return ""

    @property
    def examples(self) -> int:
        """The number of examples of the training set, known before it is loaded."""
        if self.data is None:
            raise NotImplementedError
        return self.data.train_examples

    @property
    def tested(self) -> int:
        """The number of examples of the test set; 0: there is none, and what is evaluated is the center alone."""
        return 0 if self.data is None else self.data.test_examples

    def column(self, measure: str) -> str:
        """The name of a measure of the center: over the test set, or of the center alone where there is none."""
        return f"{'test' if self.tested else 'center'}_{measure}"

    def load(self, data_dir: Path | None) -> tuple[Batch, Batch | None]:
        """Training set and test set; None: there is none.

        Raises:
            BadInput: the data are not there, or not what they should be.
        """
        if self.data is None:
            raise NotImplementedError
        return self.data.load(data_dir, self.data_name)

    @abstractmethod
    def init(self, generator: np.random.Generator) -> Params:
        """The initial parameters, float32, drawn from this generator alone."""

    @abstractmethod
    def loss(self, params: Params, batch: Batch) -> tuple[jax.Array, Mapping[str, jax.Array]]:
        """The mean loss of a mini-batch, and of other measures the sum over its examples."""

    def evaluate(self, params: Params, test: Batch | None) -> Mapping[str, jax.Array]:
        """The measures of the center, by name. By default their means over the test set, as `loss` has them."""
        raise NotImplementedError  # which is never called: see training/evaluation.py

    @property
    def evaluates_itself(self) -> bool:
        """Whether it has an `evaluate` of its own."""
        return type(self).evaluate is not Problem.evaluate

    def labels(self, train: Batch) -> np.ndarray | None:
        """The class of every training example, int32, for data splits that go by it; None: there are no classes."""
        import numpy as np

        labels = train[1] if isinstance(train, tuple) and len(train) == 2 else None
        return (
            labels if labels is not None and np.ndim(labels) == 1 and np.issubdtype(labels.dtype, np.integer) else None
        )

    @property
    def size(self) -> int:
        """How many parameters are trained."""
        return _size(self)

    @property
    def message_bytes(self) -> int:
        """What a worker sends to the server and gets back: the parameters in float32."""
        return 4 * self.size

    def on(self, data: Data | None, name: str = "") -> Self:
        """The same problem, to learn from this data set, which was chosen by this name."""
        bound = copy(self)
        object.__setattr__(bound, "data", data)
        object.__setattr__(bound, "data_name", name)
        return bound

    def _identity(self) -> tuple[Any, ...]:
        numbers = (getattr(self, one.name) for one in fields(self))  # type: ignore[arg-type]
        return type(self), self.data, self.data_name, *numbers

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Problem) and self._identity() == other._identity()

    def __hash__(self) -> int:
        return hash(self._identity())


@cache
def _size(problem: Problem) -> int:
    """By the shapes of the initial parameters alone: nothing is computed, and JAX does not start.

    Raises:
        UserCodeError: it is a user's, and its `init` fails.
    """
    import jax
    import numpy as np

    from agn_bench.base.pytrees import is_trained

    def trained() -> list[Any]:
        return [leaf for leaf in jax.tree.leaves(problem.init(np.random.default_rng(0))) if is_trained(leaf)]

    kind = type(problem)
    with called(kind, f"{kind.__name__}.init(generator)"):
        shapes = jax.eval_shape(trained)
    return sum(math.prod(leaf.shape) for leaf in shapes)


@dataclass_transform(frozen_default=True, field_specifiers=(quantity, choice, seconds, positive, ratio, factor))
def problem(cls: type[Class]) -> type[Class]:
    """Make a problem of a class: a frozen dataclass, whose fields are its numbers."""
    return dataclass(frozen=True, eq=False)(cls)


PROBLEMS: Named[Problem] = Named(
    "problem",
    Problem,  # type: ignore[type-abstract]
    "agn_bench.problems",
    {
        "mlp": "agn_bench.problems.mlp:Mlp",
        "cnn": "agn_bench.problems.cnn:Cnn",
        "resnet": "agn_bench.problems.resnet:Resnet",
        "transformer": "agn_bench.problems.transformer:Transformer",
        "logistic": "agn_bench.problems.logistic:Logistic",
        "quadratic": "agn_bench.problems.quadratic:Quadratic",
        "least-squares": "agn_bench.problems.least_squares:LeastSquares",
        "beale": "agn_bench.problems.beale:Beale",
    },
    "@problem",
)

__all__ = [
    "PROBLEMS",
    "Batch",
    "Data",
    "Measure",
    "Params",
    "Problem",
    "choice",
    "factor",
    "problem",
    "quantity",
    "seconds",
]
