"""Least squares: a linear model of random numbers, whose least value is known."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from agn_bench.base.quantities import quantity
from agn_bench.problems import Batch, Measure, Params, Problem, problem

if TYPE_CHECKING:
    from pathlib import Path

    import jax
    import numpy as np

_SEED = 42
"""The seed of the data."""


@problem
class LeastSquares(Problem):
    """Least squares of random numbers.

    The gap of ½ mean (Ax − b)² to its least value is measured. A is uniform on [0, 1) over the root of its columns, b =
    A x° + noise with a normal x°, and x begins at 0.
    """

    source: ClassVar[str] = "Mishchenko, Bach, Even, Woodworth 2022, arXiv 2206.07638"
    trained_with: ClassVar[Mapping[str, object]] = {
        "batch_size": 256,
        "local_optimizer": "sgd:learning_rate=0.3",
        "gradient_steps": 10_400,
    }

    rows: int = quantity(1, 1_000_000, whole=True, default=10_000, help="Examples.")
    columns: int = quantity(1, 10_000, whole=True, default=400, help="Numbers in x.")
    noise: float = quantity(0, 1e6, default=1e-5, help="Standard deviation of b around A x°.")

    @property
    def measures(self) -> Mapping[str, Measure]:
        return {"gap": Measure(higher_is_better=False, if_diverged=_system(self).gap_at_start)}

    @property
    def examples(self) -> int:
        return self.rows

    @property
    def size(self) -> int:
        return self.columns

    def unfit(self) -> str:
        too_large = self.rows * self.columns > 10**8
        return f"{self.rows} x {self.columns} numbers are more than fit" if too_large else ""

    def load(self, data_dir: Path | None) -> tuple[Batch, Batch]:
        """(A, b); and for the gap AᵀA / rows and the least x."""
        system = _system(self)
        return (system.matrix, system.right), (system.hessian, system.minimum)

    def init(self, generator: np.random.Generator) -> Params:
        import numpy as np

        return np.zeros(self.columns, np.float32)

    def loss(self, params: Params, batch: Batch) -> tuple[jax.Array, Mapping[str, jax.Array]]:
        import jax.numpy as jnp

        matrix, right = batch
        return ((jnp.matmul(matrix, params, precision="highest") - right) ** 2).mean() / 2, {}

    def evaluate(self, params: Params, test: Batch) -> Mapping[str, jax.Array]:
        """½ wᵀHw of the way w from the minimum, of which not a digit is lost near it."""
        import jax.numpy as jnp

        hessian, minimum = test
        way = params - minimum
        return {"gap": way @ jnp.matmul(hessian, way, precision="highest") / 2}


class _System(NamedTuple):
    """In float32, but for the gap."""

    matrix: np.ndarray
    right: np.ndarray
    hessian: np.ndarray
    minimum: np.ndarray
    gap_at_start: float


@cache
def _system(problem: LeastSquares) -> _System:
    import numpy as np

    generator = np.random.default_rng(_SEED)
    matrix = generator.uniform(size=(problem.rows, problem.columns)) / np.sqrt(problem.columns)
    right = matrix @ generator.normal(size=problem.columns) + problem.noise * generator.normal(size=problem.rows)
    minimum = np.linalg.lstsq(matrix, right, rcond=None)[0]
    hessian = matrix.T @ matrix / problem.rows
    gap = float(minimum @ hessian @ minimum / 2)
    matrix, right, hessian, minimum = (array.astype(np.float32) for array in (matrix, right, hessian, minimum))
    return _System(matrix, right, hessian, minimum, gap)
