"""Several runs at once, each in a process of its own; or one after another in this one.

Two processes with a thread each do more than one with two wherever products are small: a small model's step leaves the
second thread waiting much of the time.
"""

from __future__ import annotations

import pickle
from contextlib import ExitStack, suppress
from functools import partial
from multiprocessing.connection import Connection, wait

from agn_bench.base import machine
from agn_bench.base.children import start
from agn_bench.config.run import RunConfig
from agn_bench.execution.one import Terms, make
from agn_bench.execution.work import Program, Watcher, Work
from agn_bench.training.records import Progress, RunResult

_SECONDS_A_TICK = 0.5


def make_here(work: Work, watcher: Watcher, terms: Terms) -> None:
    """Make all runs in this process, one after another."""
    compiled: set[Program] = set()
    while (config := work.take(compiled)) is not None:
        watcher.started(config)
        try:
            result = make(config, terms, partial(watcher.progressed, config), work.checks(config))
        except Exception as error:
            watcher.failed(config, error)
        else:
            watcher.ended(config, result)


def make_in_processes(work: Work, watcher: Watcher, terms: Terms, processes: int) -> None:
    """Make all runs, so many at once, in processes that have this one's threads and device; fewer at once where the
    system allows fewer.

    A run whose process dies has failed, and another process takes its place. When this process ends, in whatever way,
    the others do.
    """
    running: dict[Connection, RunConfig] = {}
    compiled: dict[Connection, set[Program]] = {}
    left: list[RunConfig] = []
    """Taken, but there was no process for it."""

    with ExitStack() as stack:

        def give(connection: Connection | None) -> None:
            """Give the next run to a process, a new one if there is no connection to one."""
            programs = compiled[connection] if connection else set()
            config = left.pop() if left else work.take(programs)
            if config is None:
                return
            try:
                connection = connection or start(stack, _serve, terms)
            except OSError as error:  # no more are allowed here
                if not running:
                    raise OSError(error.errno, f"no process can be started ({error.strerror})") from None
                left.append(config)
                return
            compiled[connection] = programs
            running[connection] = config
            with suppress(ConnectionError):  # of a process that died; it is seen where messages are received
                connection.send((config, work.checks(config)))
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


def _serve(connection: Connection, terms: Terms) -> None:
    machine.prepare(machine.threads())
    while True:
        try:
            config, checks = connection.recv()
        except EOFError:
            return
        except Exception as error:  # what is of a user's file is loaded here
            connection.send(_not_here(error))
            continue
        try:
            answer: RunResult | Exception = make(config, terms, connection.send, checks)
        except ConnectionError:
            return  # nobody is there any more
        except Exception as error:
            answer = portable(error)
        connection.send(answer)


def _not_here(error: Exception) -> Exception:
    """Why a run could not be received."""
    if isinstance(error, AttributeError) and "__main__" in str(error):
        problem = "what a script defines itself is not known to other processes"
        return RuntimeError(f"{problem} ({error}); put it into a file of its own, and import it")
    return portable(error)


def portable(error: Exception) -> Exception:
    """The error, or if it cannot be sent to another process, its text."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error
