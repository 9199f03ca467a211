"""What a problem must know of a data set before it is loaded. Plain data: nothing here imports NumPy or JAX."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

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
        """Of an example as it is. Loaded, an image is a row of `features` numbers."""

    @property
    @abstractmethod
    def classes(self) -> int:
        """Of examples, or different characters of a text."""

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
