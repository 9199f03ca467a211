"""Many runs into one experiment folder: what is finished is kept, what is missing is run."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from agn_bench import machine, results
from agn_bench.config import RunConfig
from agn_bench.problems import datasets
from agn_bench.records import Progress
from agn_bench.simulate import simulate


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
        BadInput: the folder cannot be written, or the data set cannot be read; nothing has been run then.
    """
    results.check_writable(folder)
    missing = {config.run_id for config in configs if force or not results.finished(folder, config)}
    loaded = {
        name: datasets.load(name, data_dir) for name in sorted({c.dataset for c in configs if c.run_id in missing})
    }
    runs = []
    for config in configs:
        if config.run_id not in missing:
            runs.append(folder / "runs" / config.run_id)
            observer.found(runs[-1])
            continue
        observer.started(config)
        facts = {"started": datetime.now(UTC).isoformat(timespec="seconds"), "machine": machine.describe()}
        result = simulate(config, loaded[config.dataset], observer.progressed)
        runs.append(results.write_run(folder, result, facts))
        observer.ended(runs[-1])
    return runs
