"""agn-bench: how asynchronous training behaves when workers are stale, slow and many.

The library, as a whole program (agn_bench.library describes each function):

    from agn_bench import RunConfig, curve, run

    result = run(RunConfig.of(optimizer="easgd", workers=40, gradient_steps=2_000))
    print(result.status, curve(result).tail(), *result.remarks)

    RunConfig.of(...)       what to run; help(RunConfig.of) has the options
    run, run_many           make a run, or several at once
    RunResult               what a run leaves: config, timeline, replay, remarks
    Started, Point, Ended,  what becomes of runs while they are made, as the function `on_event` is told
    Failed
    summary, curve, commits what it says, as the columns of the files
    save                    add it to a folder of runs, which the command line reads
    BadInput, RunsFailed    what they raise

Names are imported when they are first asked for. What the command line has beyond them is in the folders it calls.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agn_bench.base import __version__ as __version__

if TYPE_CHECKING:
    from agn_bench.base.inputs import BadInput
    from agn_bench.config.run import RunConfig
    from agn_bench.execution.events import Ended, Failed, Point, Started
    from agn_bench.library import RunsFailed, commits, curve, read, run, run_many, save, summary
    from agn_bench.training.records import RunResult

__all__ = [
    "BadInput",
    "Ended",
    "Failed",
    "Point",
    "RunConfig",
    "RunResult",
    "RunsFailed",
    "Started",
    "__version__",
    "commits",
    "curve",
    "read",
    "run",
    "run_many",
    "save",
    "summary",
]

_HOMES = {
    "BadInput": "base.inputs",
    "RunConfig": "config.run",
    **dict.fromkeys(("Ended", "Failed", "Point", "Started"), "execution.events"),
    "RunResult": "training.records",
}


def __getattr__(name: str) -> object:
    """A public name, imported when it is first asked for, so that `agn-bench --help` answers at once."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"agn_bench.{_HOMES.get(name, 'library')}"), name)


def __dir__() -> list[str]:
    """The public names, whether or not they were imported yet."""
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
