"""Which images each worker trains on, and in what order: the splits `mixed` and `sharded`."""

from __future__ import annotations

import numpy as np

from agn_bench.base.streams import Kind, stream


def deal(split: str, seed: int, images: int, workers: int, gradient_steps: int, batch_size: int) -> np.ndarray:
    """Indices of the mini-batches, int32, (workers, steps, batch): each worker's share of the gradient steps.

    The order depends on the seed and these numbers only, so optimizers and numbers of local steps are compared on the
    same stream of data.
    """
    steps = gradient_steps // workers
    dealer = {"mixed": _mixed, "sharded": _sharded}[split]
    return dealer(seed, images, workers, gradient_steps * batch_size, steps * batch_size).reshape(
        workers, steps, batch_size
    )


def _mixed(seed: int, images: int, workers: int, pool: int, share: int) -> np.ndarray:
    """The whole data set repeated until it fills the pool, shuffled once, dealt out, as the paper's own code does."""
    copies = -(-pool // images)
    shuffled = stream(seed, Kind.DATA).permutation(np.tile(np.arange(images, dtype=np.int32), copies))
    return shuffled[: workers * share]


def _sharded(seed: int, images: int, workers: int, pool: int, share: int) -> np.ndarray:
    """Each worker's own n-th of the data set, reshuffled every epoch; a mini-batch may span two epochs."""
    shards = np.array_split(stream(seed, Kind.DATA).permutation(np.arange(images, dtype=np.int32)), workers)

    def epochs(worker: int) -> np.ndarray:
        generator, shard = stream(seed, Kind.DATA, worker + 1), shards[worker]
        copies = -(-share // len(shard))
        return np.concatenate([generator.permutation(shard) for _ in range(copies)])[:share]

    return np.stack([epochs(worker) for worker in range(workers)])
