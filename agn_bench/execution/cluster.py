"""Runs on the workers of a Dask cluster that is there already; their results come back to this process.

The workers need this program and the data sets, no file of this machine. (A Dask worker is a process that makes runs;
the workers of a run are simulated.)
"""

from __future__ import annotations

import logging
import queue
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import astuple
from pathlib import Path
from typing import Any
from uuid import uuid4

from agn_bench import machine
from agn_bench.config import RunConfig
from agn_bench.execution.cell import Made, make
from agn_bench.execution.processes import portable
from agn_bench.execution.work import Watcher, Work
from agn_bench.inputs import BadInput
from agn_bench.records import Progress

_SECONDS_TO_CONNECT = 10.0
_SECONDS_A_TICK = 0.5
_SECONDS_A_REPORT = 1.0
_SCHEDULER = "tcp://host:8786, where a Dask scheduler answers"


@contextmanager
def connected(address: str) -> Iterator[Any]:
    """A connection to a scheduler.

    Raises:
        BadInput: nothing answers there, or the extra `cluster` is not installed.
    """
    try:
        from distributed import Client  # of which hardly anything is typed
    except ImportError:
        problem = "Dask distributed is not installed"
        raise BadInput("scheduler", address, problem, "pip install 'agn-bench[cluster]'") from None
    for name in [name for name in logging.root.manager.loggerDict if name.startswith("distributed")]:
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what they have to say is raised, too
    try:
        client: Any = Client(address, timeout=_SECONDS_TO_CONNECT, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        raise BadInput("scheduler", address, f"no answer ({str(error).splitlines()[0]})", _SCHEDULER) from None
    try:
        yield client
    finally:
        with suppress(Exception):
            client.close(timeout=2)


def make_on_cluster(work: Work, watcher: Watcher, data_dir: Path | None, threads: int, client: Any) -> None:
    """Make all runs on the cluster's workers, as many at once as they have threads.

    Args:
        data_dir: the data sets' folder on the workers; None: where each worker finds them itself.
        threads: of JAX, in every worker.

    A run whose worker dies is made again elsewhere.

    Raises:
        ConnectionError: the scheduler is gone.
    """
    messages: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
    topic = f"agn-bench-{uuid4().hex}"
    client.subscribe_topic(topic, lambda event: messages.put(event[1]))
    running: dict[str, RunConfig] = {}
    begun: set[str] = set()
    futures: dict[str, Any] = {}
    for config in work.all():
        name = config.run_id
        running[name] = config
        futures[name] = client.submit(_make_there, config, name, threads, data_dir, topic, key=f"{name}-{topic}")
        futures[name].add_done_callback(lambda future, name=name: messages.put((name, future)))
    while running:
        watcher.tick()
        if client.status not in ("running", "connecting"):
            raise _gone(client)
        try:
            name, message = messages.get(timeout=_SECONDS_A_TICK)
        except queue.Empty:
            continue
        if name not in running:
            continue  # a late report
        config = running[name]
        if name not in begun:
            begun.add(name)
            watcher.started(config)
        if message is futures[name]:
            del running[name], futures[name]  # so that the cluster forgets the result
            if message.status == "cancelled":
                raise _gone(client)
            _end(message, config, watcher)
        elif message:
            watcher.progressed(config, Progress(*message))


def _gone(client: Any) -> ConnectionError:
    address = client.scheduler.address
    return ConnectionError(f"the scheduler at {address} is gone or was restarted; what was finished is kept")


def _end(future: Any, config: RunConfig, watcher: Watcher) -> None:
    try:
        answer = future.result(timeout=60)
    except Exception as error:  # the cluster's; a run's own come as answers
        answer = RuntimeError(f"{type(error).__name__} on the cluster: {error}")
    if isinstance(answer, Made):
        watcher.made(config, answer)
    else:
        watcher.failed(config, answer)


def _make_there(config: RunConfig, run_id: str, threads: int, data_dir: Path | None, topic: str) -> Made | Exception:
    """Make a run on a Dask worker."""
    from distributed import get_worker

    worker = get_worker()
    if config.run_id != run_id:
        return RuntimeError(f"the worker {worker.address} has another version of agn-bench")
    machine.prepare(threads)
    if machine.threads() != threads:
        problem = f"JAX has {machine.threads()} threads already in the worker {worker.address}, not {threads}"
        return RuntimeError(problem)
    worker.log_event(topic, [run_id, []])
    reported = time.monotonic()

    def on_progress(progress: Progress) -> None:
        nonlocal reported
        if time.monotonic() - reported > _SECONDS_A_REPORT:
            reported = time.monotonic()
            worker.log_event(topic, [run_id, [float(value) for value in astuple(progress)]])

    try:
        return make(config, data_dir, on_progress)
    except BadInput as error:
        accepted = f"{error.accepted} (on the worker {worker.address})"
        return BadInput(error.option, error.value, error.problem, accepted)
    except Exception as error:
        return portable(error)
