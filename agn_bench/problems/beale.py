"""The Beale function of two numbers, on which the paper shows what normalization does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from agn_bench.problems import Batch, Measure, Params, Problem, problem

if TYPE_CHECKING:
    from pathlib import Path

    import jax
    import numpy as np

START, MINIMUM, LEARNING_RATE = (-2.5, -2.0), (3.0, 0.5), 0.001
"""The paper's start and step size; where the function is 0."""


def beale(x: Any, y: Any) -> Any:
    """f(x, y) = (1.5 − x + xy)² + (2.25 − x + xy²)² + (2.625 − x + xy³)²; its minimum is f(3, 0.5) = 0."""
    return (1.5 - x + x * y) ** 2 + (2.25 - x + x * y**2) ** 2 + (2.625 - x + x * y**3) ** 2


@problem
class Beale(Problem):
    """The Beale function of two numbers.

    (1.5 − x + xy)² + (2.25 − x + xy²)² + (2.625 − x + xy³)², without noise, from (−2.5, −2) on. Its value is measured,
    which is 0 at the minimum.
    """

    source: ClassVar[str] = "the paper's"
    trained_with: ClassVar[Mapping[str, object]] = {
        "batch_size": 1,
        "local_optimizer": f"sgd:learning_rate={LEARNING_RATE}",
        "data_split": "mixed",
    }

    @property
    def measures(self) -> Mapping[str, Measure]:
        return {"gap": Measure(higher_is_better=False, if_diverged=float(beale(*START)))}

    @property
    def examples(self) -> int:
        return 1024  # all alike

    @property
    def size(self) -> int:
        return 2

    def load(self, data_dir: Path | None) -> tuple[Batch, None]:
        import numpy as np

        return np.zeros(self.examples, np.float32), None

    def init(self, generator: np.random.Generator) -> Params:
        import numpy as np

        return np.array(START, np.float32)

    def loss(self, params: Params, batch: Batch) -> tuple[jax.Array, Mapping[str, jax.Array]]:
        return beale(params[0], params[1]), {}

    def evaluate(self, params: Params, test: None) -> Mapping[str, jax.Array]:
        return {"gap": beale(params[0], params[1])}
