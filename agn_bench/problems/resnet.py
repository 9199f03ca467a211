"""A small residual network that classifies images, without statistics of batches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from agn_bench.base.quantities import quantity
from agn_bench.problems import problem
from agn_bench.problems.classifier import which_cross_entropy
from agn_bench.problems.convolution import Convolutional

if TYPE_CHECKING:
    import jax


@problem
class Resnet(Convolutional):
    """A small residual network.

    It has stages of blocks, each stage twice as wide and half as high as the one before. A block adds to what it gets
    the second of two 3 x 3 convolutions, each after normalization over groups of channels and ReLU. Statistics of
    batches have no meaning where parameters are averaged over workers.
    """

    source: ClassVar[str] = "He, Zhang, Ren, Sun 2016, arXiv 1603.05027; Wu, He 2018, arXiv 1803.08494"
    trained_with: ClassVar[Mapping[str, object]] = {
        "dataset": "digits",
        "batch_size": 32,
        "local_optimizer": "sgd:learning_rate=0.1",
        "gradient_steps": 10_400,
    }

    channels: int = quantity(1, 1024, whole=True, default=16, help="Channels of the first stage.")
    stages: int = quantity(1, 6, whole=True, default=3, help="Stages, each of half the height and width.")
    blocks: int = quantity(1, 100, whole=True, default=1, help="In a stage.")
    groups: int = quantity(1, 64, whole=True, default=4, help="Groups of channels that are normalized, at most.")
    cross_entropy: str = which_cross_entropy()

    @property
    def least(self) -> int:
        return 2 ** (self.stages - 1)

    @property
    def size(self) -> int:
        assert self.data is not None
        found, inputs = 9 * self.image[2] * self.channels, self.channels
        for outputs in self._widths:
            for _ in range(self.blocks):
                short = inputs * outputs if outputs > inputs else 0
                found += 2 * (inputs + outputs) + 9 * (inputs + outputs) * outputs + short
                inputs = outputs
        return found + 2 * inputs + (inputs + 1) * self.data.classes

    @property
    def _widths(self) -> list[int]:
        """The channels of each stage."""
        return [self.channels * 2**stage for stage in range(self.stages)]

    def model(self, key: jax.Array) -> Any:
        from agn_bench.problems.networks import residual_network

        assert self.data is not None
        return residual_network(key, self.image, self.data.classes, self._widths, self.blocks, self.groups)
