"""agn-bench: how asynchronous training behaves when workers are stale, slow and many.

The names below are the library's (see library.py); what the command line has beyond them is in the folders it calls.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agn_bench.base import __version__ as __version__

if TYPE_CHECKING:
    from agn_bench.base.inputs import BadInput
    from agn_bench.config.run import RunConfig
    from agn_bench.library import commits, curve, read, run, save, summary
    from agn_bench.training.records import Progress, RunResult

__all__ = [
    "BadInput",
    "Progress",
    "RunConfig",
    "RunResult",
    "__version__",
    "commits",
    "curve",
    "read",
    "run",
    "save",
    "summary",
]

_HOMES = {
    "BadInput": "base.inputs",
    "RunConfig": "config.run",
    "Progress": "training.records",
    "RunResult": "training.records",
}


def __getattr__(name: str) -> object:
    """A public name, imported when it is first asked for, so that `agn-bench --help` answers at once."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"agn_bench.{_HOMES.get(name, 'library')}"), name)
