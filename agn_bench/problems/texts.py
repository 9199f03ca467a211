"""A user's text, whose characters are what is predicted: each from those before it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, BinaryIO, ClassVar

import numpy as np

from agn_bench.problems.data import TEXT, DataFile, Unusable

WINDOW = 64
"""Characters of an example. Its targets are those one further on."""
TRAIN_STRIDE = WINDOW // 2
"""Characters between the beginnings of two training examples."""
TENTHS_TO_TRAIN = 9
"""Tenths of the text; the rest is to test, cut so that each character is a target once."""
MOST_CHARACTERS = 256
"""Different ones."""
LEAST_LENGTH = 10 * WINDOW + 1
"""Characters of a text whose last tenth has a window and a target for its end."""


@dataclass(frozen=True)
class Text(DataFile):
    """A user's .txt file. Its classes are its different characters, in the order of their code points."""

    accepted: ClassVar[str] = "a text file in UTF-8"
    largest: ClassVar[int] = 100_000_000

    @classmethod
    def _look(cls, file: BinaryIO) -> dict[str, Any]:
        text = _text(file)
        characters = len(set(text))
        if not 1 < characters <= MOST_CHARACTERS:
            accepted = f"a text of 2 to {MOST_CHARACTERS} different ones"
            raise Unusable(f"it has {characters:,} different character{'s' * (characters != 1)}", accepted)
        if len(text) < LEAST_LENGTH:
            problem = f"it has {len(text)} characters, too few for a window of {WINDOW} in its last tenth"
            raise Unusable(problem, f"a text of {LEAST_LENGTH} characters or more")
        train, test = (
            len(_begins(part, stride)) for part, stride in zip(_parts(text), (TRAIN_STRIDE, WINDOW), strict=True)
        )
        return {
            "kind": TEXT,
            "shape": (WINDOW,),
            "classes": characters,
            "train_examples": train,
            "test_examples": test,
        }

    def _read(self, file: BinaryIO) -> tuple[Any, Any]:
        points = np.frombuffer(_text(file).encode("utf-32-le"), np.uint32)
        numbers = np.unique(points, return_inverse=True)[1].astype(np.int32)
        train, test = _parts(numbers)
        return _windows(train, TRAIN_STRIDE), _windows(test, WINDOW)


def _text(file: BinaryIO) -> str:
    """What is in a file, line ends and all, but for a mark of its encoding at the beginning."""
    content = file.read()
    if not content:
        raise Unusable("it is empty", Text.accepted)
    if b"\0" in content:
        raise Unusable("it is binary: there is a NUL byte in it", Text.accepted)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Unusable(f"it is not UTF-8 at byte {error.start:,}", Text.accepted) from None


def _parts(text: Any) -> tuple[Any, Any]:
    """What is to train, and what to test."""
    cut = len(text) * TENTHS_TO_TRAIN // 10
    return text[:cut], text[cut:]


def _begins(part: Any, stride: int) -> range:
    """Where examples begin: after each there are its characters, and one more for its last target."""
    return range(0, len(part) - WINDOW, stride)


def _windows(part: np.ndarray, stride: int) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and targets, int32 (examples, WINDOW)."""
    windows = np.array(_begins(part, stride))[:, None] + np.arange(WINDOW)
    return part[windows], part[windows + 1]
