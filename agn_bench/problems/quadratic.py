"""A quadratic function with noise in its gradients: the testbed of theory."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, partial
from typing import TYPE_CHECKING, Any, ClassVar

from agn_bench.base.quantities import choice, quantity
from agn_bench.problems import Batch, Measure, Params, Problem, problem

if TYPE_CHECKING:
    from pathlib import Path

    import jax
    import numpy as np

_DRAWS = 2**16
"""Draws of the noise, from which mini-batches are dealt."""


@problem
class Quadratic(Problem):
    """A quadratic function whose gradients have noise.

    The gap of ½ xᵀAx − bᵀx to its least value is measured. The function of Ringmaster and Rennala: A = ¼ tridiag(−1, 2,
    −1), b = (−¼, 0, …), x begins at (√d, 0, …). Or a spectrum: A is diagonal with eigenvalues from 1 down to
    1/condition, b = 0, x begins at (1, 1, …).
    """

    source: ClassVar[str] = "Tyurin, Richtárik 2023, arXiv 2305.12387; Maranjyan et al. 2025, arXiv 2501.16168"
    trained_with: ClassVar[Mapping[str, object]] = {"batch_size": 1, "local_optimizer": "sgd:learning_rate=0.1"}

    dimension: int = quantity(1, 100_000, whole=True, default=100, help="Numbers in x, d.")
    noise: float = quantity(0, 1e6, default=0.01, help="Standard deviation of what is added to a gradient.")
    shared: str = choice(
        "no", "yes", default="no", help="Whether all numbers of a gradient have the same noise, or each its own."
    )
    spectrum: str = choice(
        "tridiagonal",
        "even",
        "geometric",
        default="tridiagonal",
        help="Eigenvalues of A, or how they are spaced.",
    )
    condition: float = quantity(1, 1e9, default=100.0, help="Largest over least eigenvalue, of even and geometric.")

    @property
    def measures(self) -> Mapping[str, Measure]:
        return {"gap": Measure(higher_is_better=False, if_diverged=_gap_at_start(self))}

    @property
    def examples(self) -> int:
        return _DRAWS

    @property
    def size(self) -> int:
        return self.dimension

    def load(self, data_dir: Path | None) -> tuple[Batch, None]:
        """The noise of every draw, (draws,), or the number that its noise is made from."""
        import numpy as np

        if self.shared == "no":
            return np.arange(_DRAWS, dtype=np.uint32), None
        return np.random.default_rng(0).normal(size=_DRAWS).astype(np.float32), None

    def init(self, generator: np.random.Generator) -> Params:
        return self.start()

    def start(self) -> np.ndarray:
        """Where x begins, (dimension,) float32."""
        import numpy as np

        start = np.ones(self.dimension, np.float32)
        if self.spectrum == "tridiagonal":
            start[0], start[1:] = np.sqrt(self.dimension), 0
        return start

    def minimum(self) -> np.ndarray:
        """Where the function is least, (dimension,) float64. With the tridiagonal A, A x = b says that
        −xᵢ₋₁ + 2 xᵢ − xᵢ₊₁ = 0 with x₀ = −1 and x_{d+1} = 0.
        """
        import numpy as np

        if self.spectrum != "tridiagonal":
            return np.zeros(self.dimension)
        return np.arange(1, self.dimension + 1) / (self.dimension + 1) - 1

    def eigenvalues(self, numpy: Any) -> Any:
        """The eigenvalues of the diagonal A, the largest first, (dimension,), as an array of NumPy or of JAX."""
        if self.spectrum == "even":
            return numpy.linspace(1, 1 / self.condition, self.dimension)
        return numpy.exp(numpy.linspace(0, -numpy.log(self.condition), self.dimension))

    def loss(self, params: Params, batch: Batch) -> tuple[jax.Array, Mapping[str, jax.Array]]:
        """The gap plus the noise times the way from the minimum: its gradient is the function's plus the noise."""
        import jax
        import jax.numpy as jnp

        way = params - jnp.asarray(self.minimum(), params.dtype)
        if self.shared == "yes":
            noise = batch.mean() * way.sum()
        else:
            noise = jax.vmap(partial(_normal, like=way))(batch).mean(axis=0) @ way
        return self._gap(way) + self.noise * noise, {}

    def evaluate(self, params: Params, test: None) -> Mapping[str, jax.Array]:
        import jax.numpy as jnp

        return {"gap": self._gap(params - jnp.asarray(self.minimum(), params.dtype))}

    def _gap(self, way: Any) -> Any:
        """½ wᵀAw of the way w from the minimum: a sum of squares, of which not a digit is lost near the minimum."""
        import jax.numpy as jnp

        if self.spectrum == "tridiagonal":
            return (way[0] ** 2 + (jnp.diff(way) ** 2).sum() + way[-1] ** 2) / 8
        return (self.eigenvalues(jnp) * way**2).sum() / 2


def _normal(draw: jax.Array, like: jax.Array) -> jax.Array:
    """The noise of a draw, of the shape and type of an array."""
    import jax

    return jax.random.normal(jax.random.key(draw), like.shape, like.dtype)


@cache
def _gap_at_start(quadratic: Quadratic) -> float:
    """In float64."""
    import numpy as np

    way = quadratic.start().astype(np.float64) - quadratic.minimum()
    if quadratic.spectrum == "tridiagonal":
        return float((way[0] ** 2 + ((way[1:] - way[:-1]) ** 2).sum() + way[-1] ** 2) / 8)
    return float((quadratic.eigenvalues(np) * way**2).sum() / 2)
