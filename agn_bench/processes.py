"""Several runs at once, each in a process of its own; or one after another in this one.

Two processes with a thread each do more than one with two wherever products are small: a small model's step leaves the
second thread waiting much of the time.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from multiprocessing.connection import Connection, wait
from pathlib import Path

from agn_bench import machine
from agn_bench.config import RunConfig
from agn_bench.problems import datasets
from agn_bench.problems.datasets import Dataset
from agn_bench.records import Progress, RunResult

_SECONDS_TO_END = 5.0


def simulate_all(
    configs: Sequence[RunConfig],
    loaded: dict[str, Dataset],
    data_dir: Path | None,
    processes: int,
    *,
    on_start: Callable[[RunConfig], None],
    on_progress: Callable[[RunConfig, Progress], None],
    on_result: Callable[[RunResult], None],
) -> None:
    """Simulate `configs`, so many at once; with more than one, in processes that have this one's threads and device.

    Args:
        loaded: the data sets, by name; other processes read them from `data_dir` themselves.

    The callbacks are called here, in this process; what they raise ends the others.

    Raises:
        BadInput: of the first run that is refused.
        ChildProcessError: a process died.
    """
    if processes <= 1:
        from agn_bench.simulate import simulate

        for config in configs:
            on_start(config)
            on_result(simulate(config, loaded[config.dataset], partial(on_progress, config)))
        return

    waiting = list(reversed(configs))
    running: dict[Connection, RunConfig] = {}

    def give(connection: Connection) -> None:
        if not waiting:
            connection.close()
            return
        running[connection] = waiting.pop()
        connection.send(running[connection])
        on_start(running[connection])

    with ExitStack() as stack:
        for _ in range(min(processes, len(configs))):
            give(_start(stack, data_dir))
        while running:
            for connection in wait(list(running)):
                assert isinstance(connection, Connection)
                config = running[connection]
                try:
                    message = connection.recv()
                except (EOFError, ConnectionError):
                    raise ChildProcessError(f"the process of {config.run_id} died") from None
                if isinstance(message, Progress):
                    on_progress(config, message)
                    continue
                del running[connection]
                if isinstance(message, Exception):
                    raise message
                on_result(message)
                give(connection)


def _start(stack: ExitStack, data_dir: Path | None) -> Connection:
    """A process that waits for work; it ends with the stack, or when this process does."""
    context = multiprocessing.get_context("spawn")  # a fork of a process in which JAX runs may hang
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, data_dir), daemon=True)
    process.start()
    theirs.close()

    def end() -> None:
        ours.close()
        process.terminate()
        process.join(_SECONDS_TO_END)
        process.kill()
        process.join()

    stack.callback(end)
    return ours


def _serve(connection: Connection, data_dir: Path | None) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the one that started this ends it
    machine.prepare(machine.threads())
    from agn_bench.simulate import simulate

    loaded: dict[str, Dataset] = {}
    while True:
        try:
            config = connection.recv()
        except EOFError:
            return
        try:
            if config.dataset not in loaded:
                loaded[config.dataset] = datasets.load(config.dataset, data_dir)
            answer: RunResult | Exception = simulate(config, loaded[config.dataset], connection.send)
        except ConnectionError:
            return  # nobody is there any more
        except Exception as error:
            answer = error
        connection.send(answer)
