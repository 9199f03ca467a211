"""What the convolutional problems have in common: images in height, width and channels, from the rows of a data set."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from agn_bench.problems import Params
from agn_bench.problems.classifier import Classifier
from agn_bench.problems.data import IMAGES

if TYPE_CHECKING:
    import jax
    import numpy as np


class Convolutional(Classifier):
    """A classifier of images whose model is a module of Equinox: (height, width, channels) -> (classes,)."""

    learns_from: ClassVar[tuple[str, ...]] = (IMAGES,)
    evaluated_at_once: ClassVar[int] = 25

    def unfit(self) -> str:
        assert self.data is not None
        if len(self.data.shape) not in (2, 3):
            return "without height and width"
        height, width, _ = self.image
        if min(height, width) < self.least:
            return f"with images of {height} x {width}, less than {self.least} x {self.least}"
        return ""

    @property
    @abstractmethod
    def least(self) -> int:
        """The least height and width of an image, of which something is left at the end."""

    @property
    def image(self) -> tuple[int, int, int]:
        """Height, width and channels."""
        assert self.data is not None
        height, width, *channels = self.data.shape
        return height, width, channels[0] if channels else 1

    @abstractmethod
    def model(self, key: jax.Array) -> Any:
        """The module, its numbers drawn from the key."""

    def init(self, generator: np.random.Generator) -> Params:
        import jax

        return self.model(jax.random.key(int(generator.integers(2**31))))

    def logits(self, params: Params, inputs: jax.Array) -> jax.Array:
        import jax

        return jax.vmap(params)(inputs.reshape(-1, *self.image))
