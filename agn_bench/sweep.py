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
from agn_bench.processes import simulate_all
from agn_bench.records import Progress, RunResult
from agn_bench.simulate import memory_bytes

_PROCESS_BYTES = 400e6
"""What a process takes before it has trained anything."""


class Observer(Protocol):
    """Who watches the runs, such as a progress display."""

    def started(self, config: RunConfig) -> None: ...

    def progressed(self, config: RunConfig, progress: Progress) -> None: ...

    def ended(self, run: Path) -> None: ...

    def found(self, run: Path) -> None:
        """The run was finished before, and is not repeated."""


def run_all(
    configs: Sequence[RunConfig],
    folder: Path,
    observer: Observer,
    *,
    data_dir: Path | None = None,
    force: bool = False,
    processes: int = 1,
) -> list[Path]:
    """Make every run that `folder` does not have yet, or all of them with `force`; return the runs' folders.

    Args:
        processes: runs made at once, at most; fewer where they would not fit into memory, and one on a GPU.

    Raises:
        BadInput: the folder cannot be written, a run does not fit into memory, or the data set cannot be read; nothing
            has been run then.
    """
    results.prepare(folder)
    configs = [recognised(config) for config in configs]
    runs = [results.run_folder(folder, config) for config in configs]
    missing = [c for c, run in zip(configs, runs, strict=True) if force or not results.finished(run)]
    for config in missing:
        _require_memory(config)
    loaded = {name: datasets.load(name, data_dir) for name in sorted({config.dataset for config in missing})}
    for config, run in zip(configs, runs, strict=True):
        if config not in missing:
            observer.found(run)
    started: dict[str, str] = {}

    def on_start(config: RunConfig) -> None:
        started[config.run_id] = datetime.now(UTC).isoformat(timespec="seconds")
        observer.started(config)

    def on_result(result: RunResult) -> None:
        facts = {"started": started[result.config.run_id], "machine": machine.describe()}
        observer.ended(results.write_run(folder, result, facts))

    simulate_all(
        missing,
        loaded,
        data_dir,
        _at_once(missing, processes),
        on_start=on_start,
        on_progress=observer.progressed,
        on_result=on_result,
    )
    return runs


def _at_once(configs: Sequence[RunConfig], processes: int) -> int:
    """How many of the runs can be made at once, up to `processes`."""
    if processes == 1 or len(configs) <= 1 or machine.backend() != "cpu":
        return 1
    largest = max(memory_bytes(config)[0] for config in configs) + _PROCESS_BYTES
    return max(1, min(processes, int(machine.memory_bytes() // largest)))


def _require_memory(config: RunConfig) -> None:
    needed, worker = memory_bytes(config)
    there = machine.memory_bytes()
    if needed > there:
        problem = f"the run needs about {needed / 1e9:.0f} GB of memory, this machine has {there / 1e9:.0f} GB"
        most = int(config.workers - (needed - there) // worker - 1)
        accepted = f"up to {most} workers, or " if most > 0 else ""
        raise BadInput("workers", config.workers, problem, f"{accepted}a smaller model or less work")
