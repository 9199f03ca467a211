"""A small convolutional network that classifies images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from agn_bench.base.quantities import quantity
from agn_bench.problems import problem
from agn_bench.problems.classifier import which_cross_entropy
from agn_bench.problems.convolution import Convolutional
from agn_bench.problems.mlp import parameter_count

if TYPE_CHECKING:
    import jax

MOST_CHANNELS = 4096


@problem
class Cnn(Convolutional):
    """A small convolutional network.

    Convolutions, each with ReLU and the maximum over 2 x 2, then dense layers with ReLU. By default that of GEM's
    experiments without its dropout: 10 and 20 channels, dense layers of 300 and 200.
    """

    source: ClassVar[str] = "Hermans, Louppe 2018, arXiv 1805.08469"
    trained_with: ClassVar[Mapping[str, object]] = {
        "dataset": "mnist-5k",
        "batch_size": 16,
        "local_optimizer": "sgd:learning_rate=0.1",
        "gradient_steps": 5_200,
    }

    channels: tuple[int, ...] = quantity(
        1, MOST_CHANNELS, several=True, whole=True, default=(10, 20), help="Channels of the convolutions."
    )
    kernel: int = quantity(1, 15, whole=True, default=5, help="Height and width of the convolutions.")
    dense: tuple[int, ...] = quantity(
        1, 100_000, several=True, whole=True, default=(300, 200), help="Widths of the dense layers before the last."
    )
    cross_entropy: str = which_cross_entropy()

    @property
    def least(self) -> int:
        return 2 ** len(self.channels)

    @property
    def size(self) -> int:
        assert self.data is not None
        height, width, inputs = self.image
        found = 0
        for outputs in self.channels:
            found += (self.kernel**2 * inputs + 1) * outputs
            height, width, inputs = height // 2, width // 2, outputs
        return found + parameter_count((height * width * inputs, *self.dense, self.data.classes))

    def model(self, key: jax.Array) -> Any:
        from agn_bench.problems.networks import convolutional_network

        assert self.data is not None
        return convolutional_network(key, self.image, self.data.classes, self.channels, self.kernel, self.dense)
