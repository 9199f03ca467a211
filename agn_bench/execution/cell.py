"""One run, wherever it is made: the very same function in this process, in another, and on a cluster."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from agn_bench import machine
from agn_bench.config import RunConfig
from agn_bench.problems import datasets
from agn_bench.problems.datasets import Dataset
from agn_bench.records import Progress, RunResult


@dataclass(frozen=True)
class Made:
    """A run that was made, without the center, which no file holds."""

    result: RunResult
    facts: dict[str, Any]
    """When and where, for run.json."""


def make(config: RunConfig, data_dir: Path | None, on_progress: Callable[[Progress], None]) -> Made:
    """Make a run here. JAX's threads and device must be set (see machine.prepare).

    Raises:
        BadInput: the data set is not here, or the run cannot be made (see simulate.simulate).
    """
    from agn_bench.simulate import simulate

    started = datetime.now(UTC).isoformat(timespec="seconds")
    result = simulate(config, load_once(config.dataset, data_dir), on_progress)
    facts = {
        "started": started,
        "machine": machine.describe(),
        "peak_memory_mb": round(machine.peak_memory_bytes() / 1e6),
    }
    return Made(replace(result, replay=replace(result.replay, center=None)), facts)


@lru_cache(maxsize=1)
def load_once(name: str, data_dir: Path | None) -> Dataset:
    """A data set, read once by a process that sees that it is there and makes several runs with it."""
    return datasets.load(name, data_dir)
