"""A small transformer that predicts the next token: of a text, or of a task that needs no file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from agn_bench.base.quantities import quantity
from agn_bench.problems import Batch, Measure, Params, Problem, problem
from agn_bench.problems.classifier import of_classes, which_cross_entropy
from agn_bench.problems.data import TEXT

if TYPE_CHECKING:
    from pathlib import Path

    import jax
    import numpy as np

_TRAIN, _TEST = 4096, 1024
"""Sequences of the generated task."""
_TOKENS, _PATTERN, _TIMES = 16, 8, 3
"""The generated task: different tokens, the length of a pattern, and how often a sequence has it."""
_SEED = 0
"""The seed of its sequences."""
UNKNOWN = -1
"""The target of a token that cannot be predicted: it counts neither in the loss nor in the accuracy."""


@problem
class Transformer(Problem):
    """A small transformer that predicts the next token.

    The tokens are a text's characters, or those of a task that needs no file: a random pattern of 8 out of 16 tokens,
    three times in a row. From the second time on every token can be known, and only these count. A model that does not
    look back is right in 1 of 16 cases.
    """

    source: ClassVar[str] = "Vaswani et al. 2017, arXiv 1706.03762, with normalization before each part"
    learns_from: ClassVar[tuple[str, ...]] = (TEXT,)
    needs_dataset: ClassVar[bool] = False
    trained_with: ClassVar[Mapping[str, object]] = {
        "batch_size": 32,
        "local_optimizer": "adam:learning_rate=0.003",
        "gradient_steps": 10_400,
    }

    dimension: int = quantity(1, 8192, whole=True, default=32, help="Numbers by which a token is known.")
    heads: int = quantity(1, 128, whole=True, default=2, help="Heads of the attention; they share the dimension.")
    layers: int = quantity(1, 128, whole=True, default=2, help="Layers of attention and dense layers.")
    widening: int = quantity(1, 64, whole=True, default=2, help="How much wider than the dimension dense layers are.")
    cross_entropy: str = which_cross_entropy()

    def unfit(self) -> str:
        if self.dimension % self.heads:
            return f"its dimension of {self.dimension} cannot be shared by {self.heads} heads"
        return ""

    @property
    def tokens(self) -> int:
        """How many different ones there are."""
        return _TOKENS if self.data is None else self.data.classes

    @property
    def length(self) -> int:
        """The length of a sequence."""
        return _PATTERN * _TIMES - 1 if self.data is None else self.data.shape[0]

    @property
    def measures(self) -> Mapping[str, Measure]:
        return of_classes(self.tokens)

    @property
    def examples(self) -> int:
        return _TRAIN if self.data is None else self.data.train_examples

    @property
    def tested(self) -> int:
        return _TEST if self.data is None else self.data.test_examples

    @property
    def size(self) -> int:
        d, wide = self.dimension, self.widening * self.dimension
        layer = 4 * d * d + 4 * d + (d + 1) * wide + (wide + 1) * d
        return (self.tokens + self.length) * d + self.layers * layer + 2 * d + d * self.tokens

    def load(self, data_dir: Path | None) -> tuple[Batch, Batch]:
        """(sequences, what follows each of their tokens), both (examples, length) int32."""
        return super().load(data_dir) if self.data is not None else (_sequences(_TRAIN, 0), _sequences(_TEST, 1))

    def init(self, generator: np.random.Generator) -> Params:
        import jax

        from agn_bench.problems.networks import Decoder

        key = jax.random.key(int(generator.integers(2**31)))
        return Decoder(key, self.tokens, self.length, self.dimension, self.heads, self.layers, self.widening)

    def loss(self, params: Params, batch: Batch) -> tuple[jax.Array, Mapping[str, jax.Array]]:
        """Mean cross-entropy (nats) of the tokens that can be predicted, and the sum over sequences of the share that
        is predicted correctly.
        """
        import jax
        import jax.numpy as jnp

        from agn_bench.problems.cross_entropy import CROSS_ENTROPIES

        sequences, targets = batch
        logits = jax.vmap(params)(sequences)
        known = targets != UNKNOWN
        entropy = CROSS_ENTROPIES[self.cross_entropy](logits, jnp.where(known, targets, 0))
        right = known & (logits.argmax(axis=-1) == targets)
        return (known * entropy).sum() / known.sum(), {"accuracy": (right.sum(axis=1) / known.sum(axis=1)).sum()}


def _sequences(count: int, part: int) -> tuple[np.ndarray, np.ndarray]:
    import numpy as np

    patterns = np.random.default_rng((_SEED, part)).integers(0, _TOKENS, (count, _PATTERN)).astype(np.int32)
    whole = np.tile(patterns, (1, _TIMES))
    targets = whole[:, 1:].copy()
    targets[:, : _PATTERN - 1] = UNKNOWN
    return whole[:, :-1], targets
