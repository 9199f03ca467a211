"""Several runs at once, each in a process of its own; or one after another in this one.

Two processes with a thread each do more than one with two wherever products are small: a small model's step leaves the
second thread waiting much of the time.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait

from agn_bench.base import machine
from agn_bench.config.run import RunConfig
from agn_bench.execution.one import Terms, make
from agn_bench.execution.work import Program, Watcher, Work
from agn_bench.training.records import Progress, RunResult

_SECONDS_TO_END = 5.0
_SECONDS_A_TICK = 0.5


def make_here(work: Work, watcher: Watcher, terms: Terms) -> None:
    """Make all runs in this process, one after another."""
    compiled: set[Program] = set()
    while (config := work.take(compiled)) is not None:
        watcher.started(config)
        try:
            result = make(config, terms, partial(watcher.progressed, config))
        except Exception as error:
            watcher.failed(config, error)
        else:
            watcher.ended(config, result)


def make_in_processes(work: Work, watcher: Watcher, terms: Terms, processes: int) -> None:
    """Make all runs, so many at once, in processes that have this one's threads and device.

    A run whose process dies has failed, and another process takes its place. When this process ends, in whatever way,
    the others do.
    """
    running: dict[Connection, RunConfig] = {}
    compiled: dict[Connection, set[Program]] = {}

    with ExitStack() as stack:

        def give(connection: Connection | None) -> None:
            """Give the next run to a process, a new one if there is no connection to one."""
            programs = compiled[connection] if connection else set()
            config = work.take(programs)
            if config is not None:
                connection = connection or _start(stack, terms)
                compiled[connection] = programs
                running[connection] = config
                with suppress(ConnectionError):  # of a process that died; it is seen where messages are received
                    connection.send(config)
                watcher.started(config)

        for _ in range(processes):
            give(None)
        while running:
            watcher.tick()
            for connection in wait(list(running), _SECONDS_A_TICK):
                assert isinstance(connection, Connection)
                config = running[connection]
                try:
                    message = connection.recv()
                except (EOFError, OSError):  # it may die within a message, too
                    message = None
                if isinstance(message, Progress):
                    watcher.progressed(config, message)
                    continue
                del running[connection]
                if isinstance(message, RunResult):
                    watcher.ended(config, message)
                    give(connection)
                elif isinstance(message, Exception):
                    watcher.failed(config, message)
                    give(connection)
                else:
                    watcher.failed(config, ChildProcessError("its process died; was there too little memory?"))
                    give(None)


def _start(stack: ExitStack, terms: Terms) -> Connection:
    """A process that waits for work; it ends with the stack, or when this process does."""
    context = multiprocessing.get_context("spawn")  # a fork of a process in which JAX runs may hang
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, terms), daemon=True)
    with _deaf_to_interrupts():
        process.start()
    theirs.close()

    def end() -> None:
        process.terminate()
        process.join(_SECONDS_TO_END)
        ours.close()
        process.kill()
        process.join()

    stack.callback(end)
    return ours


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Start processes that Ctrl-C, which reaches all of a terminal's, does not interrupt while they import."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # which would otherwise be started now, and lift the mask
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(connection: Connection, terms: Terms) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that started this one ends it
    threading.Thread(target=_end_with_parent, daemon=True).start()
    machine.prepare(machine.threads())
    while True:
        try:
            config = connection.recv()
        except EOFError:
            return
        except Exception as error:  # what is of a user's file is loaded here
            connection.send(portable(error))
            continue
        try:
            answer: RunResult | Exception = make(config, terms, connection.send)
        except ConnectionError:
            return  # nobody is there any more
        except Exception as error:
            answer = portable(error)
        connection.send(answer)


def _end_with_parent() -> None:
    """A killed parent cannot end its processes, and a run looks at its pipe only now and then."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)


def portable(error: Exception) -> Exception:
    """The error, or if it cannot be sent to another process, its text."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error
