"""The program as a library: one run in this process, and what it measured as values.

    from agn_bench import RunConfig, curve, run

    config = RunConfig.of(optimizer="easgd", workers=40, gradient_steps=2_000)
    result = run(config)
    print(curve(result).tail())         # time_s, train_accuracy, test_accuracy, ...
    center = result.replay.center       # the final parameters, a layer each

The same configuration gives the same numbers as on the command line with as many threads.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agn_bench.base import machine
from agn_bench.base.inputs import path_of
from agn_bench.config.run import RunConfig
from agn_bench.store import run_files
from agn_bench.training import columns
from agn_bench.training.records import Progress, RunResult

if TYPE_CHECKING:
    import pandas as pd


def run(
    config: RunConfig,
    *,
    data_dir: str | Path | None = None,
    threads: int | None = None,
    device: str | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> RunResult:
    """Train one model with the simulated asynchronous workers of `config`.

    Args:
        config: what to run (see RunConfig.of).
        data_dir: folder of the data set's IDX files, if it is not installed with the program.
        threads: of the CPU, by default all cores; for the whole process, and so only if JAX is not in use yet.
        device: `auto`, `cpu` or `gpu`, likewise.
        on_progress: called now and then with how far the run is; what it raises ends the run.

    Returns:
        The run: its timeline, the losses of all mini-batches, the evaluations and the final center. A run that
        diverges is a result too, with `status` "diverged".

    Raises:
        BadInput: the data set is not there, or the run cannot be made.
    """
    from agn_bench.execution.one import Terms, make, settled

    machine.prepare(threads, device)
    (config,) = settled([config])
    terms = Terms(None if data_dir is None else path_of("data_dir", data_dir), keep_center=True)
    return make(config, terms, on_progress)


def summary(result: RunResult) -> dict[str, Any]:
    """The run in one row, as in summary.csv (docs/files.md has its columns)."""
    return {"run_id": result.config.run_id, **columns.summary(result)}


def curve(result: RunResult) -> pd.DataFrame:
    """Accuracy against simulated time, as in curve.csv (docs/files.md has its columns)."""
    import pandas as pd

    return pd.DataFrame(columns.curve(result))


def commits(result: RunResult) -> pd.DataFrame:
    """Every exchange in the order applied, as in commits.csv (docs/files.md has its columns)."""
    import pandas as pd

    return pd.DataFrame(columns.commits(result.timeline))


def save(result: RunResult, out: str | Path) -> Path:
    """Add the run to the experiment folder `out`, with its center, as `agn-bench run --save-center --out` does.

    Returns:
        The run's own folder. A finished run of that name is replaced.

    Raises:
        BadInput: the folder cannot be written, another process is making this run there, or the folder is a sweep's
            whose runs were made with another number of threads.
    """
    from agn_bench.store import folder

    root = path_of("out", out)
    folder.prepare(root)
    if folder.planned(root):
        folder.check_threads(root, machine.threads())
    run_folder = folder.run_folder(root, result.config)
    with folder.claimed(run_folder):
        run_files.write_run(run_folder, result)
    folder.collect(root)
    return run_folder
