"""The data sets that scikit-learn ships.

Their examples are put into the order of the SHA-256 of their own numbers, which knows nothing of classes and of the
order in which they are shipped. Every fifth is a test example.
"""

from __future__ import annotations

import hashlib

import numpy as np

from agn_bench.base.inputs import BadInput
from agn_bench.problems.catalogue import TableEntry
from agn_bench.problems.data import TABLE

_TEST_EVERY = 5
_LARGEST_PIXEL = 16

Part = tuple[np.ndarray, np.ndarray]


def load_table(name: str, entry: TableEntry) -> tuple[Part, Part]:
    """Training set and test set, each (float32 (examples, features), int32 (examples,)).

    The columns of a table are standardised: from each number the training examples' mean is taken away, and the rest is
    divided by their standard deviation. Pixels are scaled to [0, 1].

    Raises:
        BadInput: the scikit-learn that is installed ships something else.
    """
    import sklearn.datasets

    ((called, sha256),) = entry.sha256.items()
    numbers, classes = getattr(sklearn.datasets, f"load_{called}")(return_X_y=True)
    numbers, classes = np.ascontiguousarray(numbers, "<f8"), np.ascontiguousarray(classes, "<i8")
    found = hashlib.sha256(numbers.tobytes() + classes.tobytes()).hexdigest()
    if found != sha256:
        problem = f"scikit-learn {sklearn.__version__} ships other numbers, of SHA-256 {found}"
        raise BadInput("dataset", name, problem, f"one whose numbers and labels have {sha256}")
    order = sorted(range(len(numbers)), key=lambda row: hashlib.sha256(numbers[row].tobytes()).digest())
    numbers, classes = numbers[order], classes[order].astype(np.int32)
    test = np.arange(len(numbers)) % _TEST_EVERY == _TEST_EVERY - 1
    if entry.kind == TABLE:
        numbers = (numbers - numbers[~test].mean(axis=0)) / numbers[~test].std(axis=0)
    else:
        numbers = numbers / _LARGEST_PIXEL
    numbers = numbers.astype(np.float32)
    return (numbers[~test], classes[~test]), (numbers[test], classes[test])
