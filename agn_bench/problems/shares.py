"""Which images each worker trains on, and in what order.

A split says whose each image is: a frozen dataclass that declares its numbers as fields. A shipped one is a class here
and a line in SPLITS of catalogue.py; anyone's own is a file anywhere, named as in `--data-split my.py:Mine`. The order
is the same for all splits: a worker goes through its part again and again, and shuffles it anew each time.

NumPy is imported where something is computed, so that lists and checks answer at once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from agn_bench.base.quantities import quantity
from agn_bench.base.user_code import UserCodeError, called, source_of

if TYPE_CHECKING:
    import numpy as np


class Split(ABC):
    """Whose each training image is."""

    disjoint: ClassVar[bool] = False
    """Whether no example is two workers', so that there can be no more workers than examples."""
    by_class: ClassVar[bool] = False
    """Whether it goes by the classes of examples."""

    @abstractmethod
    def parts(self, seed: int, labels: np.ndarray, workers: int) -> Sequence[np.ndarray]:
        """The images that each worker trains on, by index: at least one, in any order.

        Args:
            seed: the run's. All that is drawn depends on it alone, so that every optimizer sees the same parts.
            labels: of the training images their classes, (images,) int32.
        """


@dataclass(frozen=True)
class Mixed(Split):
    """Each worker has the whole data set. Equal shares of a run's work are cut from one pool: the data set repeated as
    often as needed, shuffled once and dealt to the workers, as the paper's own code does.
    """

    def parts(self, seed: int, labels: np.ndarray, workers: int) -> Sequence[np.ndarray]:
        import numpy as np

        return [np.arange(len(labels), dtype=np.int32)] * workers


@dataclass(frozen=True)
class Sharded(Split):
    """Each worker has an n-th of the data set of its own, drawn at random."""

    disjoint: ClassVar[bool] = True

    def parts(self, seed: int, labels: np.ndarray, workers: int) -> Sequence[np.ndarray]:
        import numpy as np

        from agn_bench.base.streams import Kind, stream

        return np.array_split(stream(seed, Kind.DATA).permutation(np.arange(len(labels), dtype=np.int32)), workers)


@dataclass(frozen=True)
class Dirichlet(Split):
    """Each worker has a part of its own, of unequal sizes and classes: for every class the proportions in which the
    workers share it are drawn from a symmetric Dirichlet distribution (Yurochkin et al. 2019, arXiv 1905.12022; Li et
    al. 2022, arXiv 2102.02079).

    A worker that is left with no image gets one from the worker that has the most. The papers' code does otherwise: it
    gives no more to a worker that has an n-th of the data set, and draws again until each has ten images.
    """

    disjoint: ClassVar[bool] = True
    by_class: ClassVar[bool] = True

    concentration: float = quantity(
        1e-3, 1e6, help="The smaller, the more a class is in few workers' hands; 0.1 to 0.5 is usual."
    )

    def parts(self, seed: int, labels: np.ndarray, workers: int) -> Sequence[np.ndarray]:
        import numpy as np

        from agn_bench.base.streams import Kind, stream

        generator = stream(seed, Kind.SPLIT)
        owner = np.empty(len(labels), np.int64)
        for label in np.unique(labels):
            images = generator.permutation(np.flatnonzero(labels == label))
            proportions = generator.dirichlet(np.full(workers, self.concentration))
            cuts = np.rint(np.cumsum(proportions)[:-1] * len(images)).astype(np.int64)
            owner[images] = np.searchsorted(cuts, np.arange(len(images)), side="right")
        counts = np.bincount(owner, minlength=workers)
        for worker in np.flatnonzero(counts == 0):
            giver = counts.argmax()
            owner[np.flatnonzero(owner == giver)[-1]] = worker
            counts[giver], counts[worker] = counts[giver] - 1, 1
        return np.split(np.argsort(owner, kind="stable").astype(np.int32), np.cumsum(counts)[:-1])


def deal(
    split: Split,
    seed: int,
    labels: np.ndarray,
    workers: int,
    steps: int,
    batch_size: int,
    pooled_steps: int | None = None,
) -> np.ndarray:
    """Indices of the mini-batches, int32, (workers, steps, batch): the first of each worker's own endless stream.

    A stream depends on the seed, the split, the labels, the workers and the size of a mini-batch, and on nothing else.
    So optimizers and numbers of local steps are compared on the same data, and more steps begin with the same.

    Args:
        labels: of the training images, (images,).
        steps: of each worker; with `pooled_steps` an equal share of them at most.
        pooled_steps: the gradient steps of all workers together, of which each makes an equal share. Then `mixed` cuts
            the shares from one pool of so many mini-batches, and they depend on that number. It makes no difference to
            other splits.

    Raises:
        UserCodeError: a user's split fails, or gives something else than images for each worker.
    """
    import numpy as np

    if pooled_steps is not None and type(split) is Mixed:  # nor one that somebody derived from it
        share = pooled_steps // workers
        pool = _pooled(seed, len(labels), pooled_steps * batch_size)
        return pool[: workers * share * batch_size].reshape(workers, share, batch_size)[:, :steps]
    dealt = np.empty((workers, steps * batch_size), np.int32)
    for worker, part in enumerate(parts_of(split, seed, labels, workers)):
        dealt[worker] = _endless(seed, worker, part, steps * batch_size)
    return dealt.reshape(workers, steps, batch_size)


def _pooled(seed: int, images: int, pool: int) -> np.ndarray:
    """The whole data set repeated until it fills the pool, and shuffled once."""
    import numpy as np

    from agn_bench.base.streams import Kind, stream

    return stream(seed, Kind.DATA).permutation(np.tile(np.arange(images, dtype=np.int32), -(-pool // images)))


def _endless(seed: int, worker: int, part: np.ndarray, count: int) -> np.ndarray:
    """The first images of a worker that goes through its part again and again, shuffled anew each time."""
    import numpy as np

    from agn_bench.base.streams import Kind, stream

    passes = np.broadcast_to(part, (-(-count // len(part)), len(part)))
    return stream(seed, Kind.DATA, worker + 1).permuted(passes, axis=1).ravel()[:count]


def parts_of(split: Split, seed: int, labels: np.ndarray, workers: int) -> Sequence[np.ndarray]:
    """The images that each worker trains on.

    Raises:
        UserCodeError: a user's split fails, or gives something else than images for each worker.
    """
    import numpy as np

    kind = type(split)
    if source_of(kind) is None:
        return split.parts(seed, labels, workers)
    call = f"{kind.__name__}.parts({seed}, labels {labels.dtype}[{len(labels)}], {workers})"
    with called(kind, call):
        parts = [np.asarray(part) for part in split.parts(seed, labels.copy(), workers)]
    if len(parts) != workers:
        raise UserCodeError(f"{call} gave {len(parts)} parts, not {workers}")
    for worker, part in enumerate(parts):
        bounds = f" from {part.min()} to {part.max()}" if part.size else ""
        whole = part.ndim == 1 and np.issubdtype(part.dtype, np.integer)
        if not (whole and part.size and part.min() >= 0 and part.max() < len(labels)):
            given = f"{part.dtype}{[*part.shape]}{bounds}"
            accepted = f"a list of images, at least one, from 0 to {len(labels) - 1}"
            raise UserCodeError(f"{call} gave worker {worker} {given}, not {accepted}")
    return parts
