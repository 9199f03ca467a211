"""What a problem must know of a data set before it is loaded. Plain data: nothing here imports NumPy or JAX."""

from __future__ import annotations

import hashlib
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, Self

from agn_bench.base.inputs import BadInput, path_of

IMAGES, TABLE, TEXT = "images", "table", "text"
"""Kinds of data sets: pictures, (height, width) or (height, width, channels); rows of numbers, (features,); texts."""


class Data(ABC):
    """A data set, each of whose examples has a class; or a text, whose characters are what is predicted."""

    @property
    @abstractmethod
    def kind(self) -> str:
        """`images`, `table` or `text`."""

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """The shape of an example as it is. Loaded, an image is a row of `features` numbers."""

    @property
    @abstractmethod
    def classes(self) -> int:
        """The number of classes of examples, or of different characters of a text."""

    @property
    @abstractmethod
    def train_examples(self) -> int: ...

    @property
    @abstractmethod
    def test_examples(self) -> int: ...

    @abstractmethod
    def load(self, data_dir: Path | None, name: str) -> tuple[Any, Any]:
        """Training set and test set, each (inputs float32 (examples, features), labels int32 (examples,)); of a text
        its characters as numbers.

        Args:
            name: by which it was chosen, as its folder may be called.

        Raises:
            BadInput: it is not there, or its content is not what it should be.
        """

    @property
    def features(self) -> int:
        """Numbers of an example."""
        return math.prod(self.shape)

    def __str__(self) -> str:
        size = " x ".join(map(str, self.shape))
        examples = f"{self.train_examples:,} to train, {self.test_examples:,} to test"
        return f"{self.kind}, {size}, {self.classes} classes; examples: {examples}"


class Unusable(Exception):
    """What is wrong with the content of a user's file, and what is accepted in its place."""

    def __init__(self, problem: str, accepted: str) -> None:
        super().__init__(problem)
        self.problem, self.accepted = problem, accepted


@dataclass(frozen=True)
class DataFile(Data):
    """A data set in a user's file. It is the same wherever a file of this content is.

    Other processes look for the file under the same path. So on a cluster it must be there, too.
    """

    accepted: ClassVar[str]
    """What a file must be, as messages say it."""
    largest: ClassVar[int]
    """Bytes that a file may have."""

    kind: str = ""
    shape: tuple[int, ...] = ()
    classes: int = 0
    train_examples: int = 0
    test_examples: int = 0
    sha256: str = ""
    path: Path = field(default=Path(), compare=False)

    @property
    def content_hash(self) -> str:
        """8 hex digits, as in its name."""
        return self.sha256[:8]

    @classmethod
    def of_file(cls, option: str, value: object, path: Path) -> Self:
        """What must be known of the file at `path`.

        Args:
            option, value: that named it, for messages.

        Raises:
            BadInput: there is no such file, or it is not accepted.
        """
        path = path_of(option, path).absolute()
        with cls._opened(option, value, path) as (file, sha256):
            return cls(**cls._look(file), sha256=sha256, path=path)

    def load(self, data_dir: Path | None, name: str) -> tuple[Any, Any]:
        with self._opened("dataset", self.path, self.path) as (file, sha256):
            if sha256 != self.sha256:
                raise Unusable("its content has changed since it was chosen", "the file as it was, or a new run")
            return self._read(file)

    @classmethod
    @abstractmethod
    def _look(cls, file: BinaryIO) -> dict[str, Any]:
        """The fields of what is in a file, but for its hash and path; Unusable if it is not accepted."""

    @abstractmethod
    def _read(self, file: BinaryIO) -> tuple[Any, Any]:
        """Training set and test set; Unusable if they are not accepted."""

    @classmethod
    @contextmanager
    def _opened(cls, option: str, value: object, path: Path) -> Iterator[tuple[BinaryIO, str]]:
        """The file at its beginning, with its SHA-256. What is wrong with it becomes BadInput."""
        there = f"{cls.accepted}, under the same path wherever runs are made"
        try:
            if not path.is_file():
                raise Unusable(f"{path} is not a file" if path.exists() else f"there is no file {path}", there)
            with path.open("rb") as file:
                if (size := path.stat().st_size) > cls.largest:
                    raise Unusable(f"{size:,} bytes long", f"a file of up to {cls.largest:,} bytes")
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
                file.seek(0)
                yield file, sha256
        except Unusable as wrong:
            raise BadInput(option, value, wrong.problem, wrong.accepted) from None
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise BadInput(option, value, f"cannot be read ({reason})", there) from None
