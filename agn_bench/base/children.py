"""Processes that this one starts for itself: they import this program's modules and nothing of the user's own.

A file `math.py` in the working directory is nobody's business here, and a script that calls the library is not run
again, so that it needs no `if __name__ == "__main__"`.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from types import ModuleType
from typing import Any

from agn_bench.base.signals import STOPPING

_SECONDS_TO_END = 5.0
_STARTING = threading.Lock()


def start(stack: ExitStack, serve: Callable[..., None], *arguments: Any) -> Connection:
    """Call `serve(connection, *arguments)` in a new process; the other end of the connection.

    The process ends with the stack, or when this process does.

    Raises:
        RuntimeError: this process is such a one itself.
        OSError: the system allows no more processes.
    """
    if multiprocessing.parent_process() is not None and multiprocessing.current_process().daemon:
        problem = "a module that starts runs while it is imported is imported by a process that makes runs"
        raise RuntimeError(f'{problem}; put what starts them under `if __name__ == "__main__":`')
    context = multiprocessing.get_context("spawn")  # a fork of a process in which JAX runs may hang
    ours, theirs = context.Pipe()
    process = context.Process(target=_begin, args=(serve, theirs, *arguments), daemon=True)
    with theirs, ExitStack() as failed:
        failed.callback(ours.close)
        with _STARTING, _alone(), _deaf():
            process.start()
        failed.pop_all()

    def end() -> None:
        process.kill()
        process.join(_SECONDS_TO_END)
        ours.close()

    stack.callback(end)
    return ours


@contextmanager
def _deaf() -> Iterator[None]:
    """Start processes that are not ended while they import: the one that starts them ends them."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # which would otherwise be started now, and lift the mask
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _alone() -> Iterator[None]:
    """Start processes that look for modules where Python and packages are, and do not run the main module again."""
    main, safe = sys.modules["__main__"], os.environ.get("PYTHONSAFEPATH")
    sys.modules["__main__"] = ModuleType("__main__")
    os.environ["PYTHONSAFEPATH"] = "1"  # otherwise the working directory comes before Python's own modules
    try:
        yield
    finally:
        sys.modules["__main__"] = main
        if safe is None:
            del os.environ["PYTHONSAFEPATH"]
        else:
            os.environ["PYTHONSAFEPATH"] = safe


def _begin(serve: Callable[..., None], *arguments: Any) -> None:
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)  # the process that started this one ends it
    threading.Thread(target=_end_with_parent, daemon=True).start()
    serve(*arguments)


def _end_with_parent() -> None:
    """A killed parent cannot end its processes, and these look at their pipes only now and then."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)
