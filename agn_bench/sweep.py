"""Many runs into one experiment folder: what is finished is kept, what is missing is run."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from agn_bench import machine, results
from agn_bench.clock import recognised
from agn_bench.config import RunConfig
from agn_bench.inputs import BadInput
from agn_bench.problems import datasets
from agn_bench.records import Progress
from agn_bench.simulate import memory_bytes, simulate


class Observer(Protocol):
    """Who watches the runs, such as a progress display."""

    def started(self, config: RunConfig) -> None: ...

    def progressed(self, progress: Progress) -> None: ...

    def ended(self, run: Path) -> None: ...

    def found(self, run: Path) -> None:
        """The run was finished before, and is not repeated."""


def run_all(
    configs: Sequence[RunConfig], folder: Path, observer: Observer, *, data_dir: Path | None = None, force: bool = False
) -> list[Path]:
    """Make every run that `folder` does not have yet, or all of them with `force`; return the runs' folders.

    Raises:
        BadInput: the folder cannot be written, a run does not fit into memory, or the data set cannot be read; nothing
            has been run then.
    """
    results.prepare(folder)
    configs = [recognised(config) for config in configs]
    missing = {c.run_id for c in configs if force or not results.finished(results.run_folder(folder, c))}
    for config in configs:
        if config.run_id in missing:
            _require_memory(config)
    loaded = {
        name: datasets.load(name, data_dir) for name in sorted({c.dataset for c in configs if c.run_id in missing})
    }
    runs = []
    for config in configs:
        if config.run_id not in missing:
            runs.append(results.run_folder(folder, config))
            observer.found(runs[-1])
            continue
        observer.started(config)
        facts = {"started": datetime.now(UTC).isoformat(timespec="seconds"), "machine": machine.describe()}
        result = simulate(config, loaded[config.dataset], observer.progressed)
        runs.append(results.write_run(folder, result, facts))
        observer.ended(runs[-1])
    return runs


def _require_memory(config: RunConfig) -> None:
    needed, worker = memory_bytes(config)
    there = machine.memory_bytes()
    if needed > there:
        problem = f"the run needs about {needed / 1e9:.0f} GB of memory, this machine has {there / 1e9:.0f} GB"
        most = int(config.workers - (needed - there) // worker - 1)
        accepted = f"up to {most} workers, or " if most > 0 else ""
        raise BadInput("workers", config.workers, problem, f"{accepted}a smaller model or less work")
