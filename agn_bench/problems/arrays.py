"""A user's images or tables, as NumPy arrays in an .npz file: `x_train`, `y_train`, `x_test` and `y_test`.

When the file is chosen, only the heads of its arrays and the labels are read, and every size is limited before room is
made for it. The inputs are read when a run is made. Nothing is unpickled.
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any, BinaryIO, ClassVar, NamedTuple

import numpy as np
from numpy.lib import format as npy

from agn_bench.base.inputs import LARGEST_FILE, reason_of
from agn_bench.problems.data import IMAGES, TABLE, DataFile, Unusable

MOST_BYTES = 8_000_000_000
"""The most bytes of all inputs, in float32."""
_MOST_COMPRESSED = 1_100
"""Bytes that one compressed byte may stand for; deflate has no way to say more."""
_LONGEST_REASON = 80
_PARTS = ("train", "test")
_KEYS = tuple(f"{what}_{part}" for part in _PARTS for what in ("x", "y"))
_SHAPES = {1: TABLE, 2: IMAGES, 3: IMAGES}
"""By the dimensions of an example, what it is."""
_INPUTS = "x as (examples, features), (examples, height, width) or (examples, height, width, channels)"
_ACCEPTED = f"an .npz file with {', '.join(_KEYS)}, as numpy.savez writes it"


class _Head(NamedTuple):
    """What an array's file says of it."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]


@dataclass(frozen=True)
class Arrays(DataFile):
    """A user's .npz file. Bytes are divided by 255, floats are taken as they are."""

    accepted: ClassVar[str] = _ACCEPTED
    largest: ClassVar[int] = 3 * MOST_BYTES  # float64, and the labels

    @classmethod
    def _look(cls, file: BinaryIO) -> dict[str, Any]:
        archive = _archive(file)
        heads = {key: _head(archive, key) for key in _KEYS}
        shape = _shape_of_examples(heads)
        train, test = (_labels(archive, f"y_{part}", heads[f"x_{part}"].shape[0]) for part in _PARTS)
        return {
            "kind": _SHAPES[len(shape)],
            "shape": shape,
            "classes": _classes(train, test),
            "train_examples": len(train),
            "test_examples": len(test),
        }

    def _read(self, file: BinaryIO) -> tuple[Any, Any]:
        archive = _archive(file)
        counts = (self.train_examples, self.test_examples)
        train, test = (
            (_inputs(archive, f"x_{part}"), _labels(archive, f"y_{part}", count))
            for part, count in zip(_PARTS, counts, strict=True)
        )
        return train, test


def _archive(file: BinaryIO) -> zipfile.ZipFile:
    """The file as an archive that has exactly the arrays it should have."""
    try:
        archive = zipfile.ZipFile(file)
    except Exception as error:  # whatever a file of somebody else makes of it
        raise Unusable(f"not an .npz file ({_reason(error)})", _ACCEPTED) from None
    names = [name.removesuffix(".npy") for name in archive.namelist()]
    if missing := [key for key in _KEYS if f"{key}.npy" not in archive.namelist()]:
        raise Unusable(f"it has no {', '.join(missing)}, but {', '.join(names) or 'nothing'}", _ACCEPTED)
    if more := [name for name in names if name not in _KEYS or names.count(name) > 1]:
        raise Unusable(f"it has {', '.join(more)} too", f"{', '.join(_KEYS)}, and nothing else")
    return archive


@contextmanager
def _opened(archive: zipfile.ZipFile, key: str) -> Iterator[tuple[IO[bytes], _Head]]:
    """An array's file behind its head, which holds what it says. No room is made before that is known."""
    member = archive.getinfo(f"{key}.npy")
    try:
        if member.file_size > _MOST_COMPRESSED * member.compress_size:
            raise ValueError("it claims more than it holds")
        with archive.open(member) as file:
            major, _ = npy.read_magic(file)
            read = npy.read_array_header_1_0 if major == 1 else npy.read_array_header_2_0
            shape, _, dtype = read(file)
            if dtype.hasobject:
                raise Unusable(f"{key} holds Python objects, as a pickle, which is not loaded", "arrays of numbers")
            claimed = math.prod(shape) * dtype.itemsize
            held = member.file_size - file.tell()
            if claimed != held:
                raise ValueError(f"it claims {claimed:,} bytes of numbers and holds {held:,}")
            yield file, _Head(shape, dtype)
    except Unusable:
        raise
    except Exception as error:  # whatever a file of somebody else makes of it
        raise Unusable(f"{key} cannot be read ({_reason(error)})", _ACCEPTED) from None


def _reason(error: Exception) -> str:
    """What it says, but not all of a file that it quotes."""
    reason = reason_of(error)
    return reason if len(reason) <= _LONGEST_REASON else f"{reason[:_LONGEST_REASON]}…"


def _head(archive: zipfile.ZipFile, key: str) -> _Head:
    with _opened(archive, key) as (_, head):
        return head


def _array(archive: zipfile.ZipFile, key: str) -> np.ndarray:
    """An array, whose head is accepted."""
    with _opened(archive, key) as (file, _):
        file.seek(0)
        array: np.ndarray = npy.read_array(file, allow_pickle=False)  # at its end the checksum is compared
    return array


def _shape_of_examples(heads: dict[str, _Head]) -> tuple[int, ...]:
    """The shape that the examples of both parts have."""
    for part in _PARTS:
        shape, dtype = heads[f"x_{part}"]
        if len(shape) - 1 not in _SHAPES:
            raise Unusable(f"x_{part} has {len(shape)} dimensions", _INPUTS)
        if 0 in shape:
            raise Unusable(f"x_{part} has no {'numbers' if shape[0] else 'examples'}, its shape is {shape}", _INPUTS)
        if dtype != np.uint8 and not (dtype.kind == "f" and dtype.itemsize <= 8):
            raise Unusable(f"x_{part} is of {dtype}", "x of float32, float64 or float16, or of uint8 from 0 to 255")
    train, test = heads["x_train"].shape, heads["x_test"].shape
    if train[1:] != test[1:]:
        raise Unusable(f"an example of x_train has shape {train[1:]}, of x_test {test[1:]}", "the same shape in both")
    if heads["x_train"].dtype.kind != heads["x_test"].dtype.kind:
        problem = f"x_train is of {heads['x_train'].dtype}, x_test of {heads['x_test'].dtype}"
        raise Unusable(problem, "both of uint8 or both of floats")
    size = 4 * (math.prod(train) + math.prod(test))
    if size > MOST_BYTES:
        raise Unusable(f"its inputs take {size:,} bytes in float32", f"inputs of up to {MOST_BYTES:,} bytes")
    return train[1:]


def _labels(archive: zipfile.ZipFile, key: str, examples: int) -> np.ndarray:
    """The classes of a part, int32 (examples,); those of Keras may be a column, (examples, 1)."""
    accepted = f"y as whole numbers from 0, ({examples},)"
    shape, dtype = _head(archive, key)
    if shape not in ((examples,), (examples, 1)):
        raise Unusable(f"{key} has shape {shape}, for {examples:,} examples", accepted)
    if dtype.kind not in "iu":
        raise Unusable(f"{key} is of {dtype}", accepted)
    if examples * dtype.itemsize > LARGEST_FILE:
        raise Unusable(f"{key} is longer than {LARGEST_FILE:,} bytes", accepted)
    labels = _array(archive, key).reshape(-1)
    if (least := labels.min()) < 0:
        raise Unusable(f"{key} has the label {least}", accepted)
    if (most := labels.max()) >= 2**31:
        raise Unusable(f"{key} has the label {most}", accepted)
    return labels.astype(np.int32)


def _classes(train: np.ndarray, test: np.ndarray) -> int:
    """How many there are: labels count from 0, and each has a training example."""
    classes = 1 + int(max(train.max(), test.max()))
    accepted = "labels that count from 0, of two or more classes that all have training examples"
    if classes == 1:
        raise Unusable("all labels are 0", accepted)
    there = set(np.unique(train).tolist())
    if len(there) < classes:
        first = next(label for label in range(classes) if label not in there)
        problem = (
            f"empty classes: {classes - len(there):,} of {classes:,} have no training example, as {first} has none"
        )
        raise Unusable(problem, accepted)
    return classes


def _inputs(archive: zipfile.ZipFile, key: str) -> np.ndarray:
    """The inputs of a part, float32 (examples, features)."""
    array = _array(archive, key)
    with np.errstate(over="ignore"):  # what is too large for float32 is not finite there
        inputs = np.ascontiguousarray(array.reshape(len(array), -1), np.float32)
    if array.dtype == np.uint8:
        inputs /= 255
    elif not (finite := np.isfinite(inputs).all(axis=1)).all():
        first = int(finite.argmin())
        value = inputs[first][~np.isfinite(inputs[first])][0]
        raise Unusable(f"{key} has {value} in example {first}, as float32", "finite numbers")
    return inputs
