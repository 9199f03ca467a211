"""Runs on the workers of a Dask cluster that is there already; their results come back to this process.

The workers need this program and the data sets, no file of this machine. (A Dask worker is a process that makes runs;
the workers of a run are simulated.)
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from asyncio import CancelledError
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import astuple, dataclass
from functools import partial
from typing import Any
from uuid import uuid4

from agn_bench.base import machine
from agn_bench.base.inputs import BadInput, reason_of
from agn_bench.config.run import RunConfig
from agn_bench.execution.one import NOTHING_SPECIAL, Terms, make
from agn_bench.execution.processes import portable
from agn_bench.execution.work import Program, Watcher, Work
from agn_bench.training.records import Progress, RunResult

_SECONDS_TO_CONNECT = 10.0
_SECONDS_TO_ANSWER = 1.0
_SECONDS_A_TICK = 0.5
_SECONDS_A_REPORT = 1.0
_TICKS_TO_WAIT = 6
"""Without a message, before it is asked whether there are workers."""
_MOST_AT_ONCE = 200
"""Runs that the cluster knows of: enough for it to see how many workers it could use; each holds a claim here."""
_TRIES = 3
"""Tries of a run whose workers died. Dask counts three deaths a try, also of workers that had not begun with it yet."""
_ACCEPTED = "tcp://host:8786, where a Dask scheduler answers"


@dataclass(frozen=True)
class Site:
    """A cluster, and how its workers make runs."""

    client: Any
    """A distributed.Client, of which hardly anything is typed."""
    address: str
    """The address of the scheduler."""
    threads: int
    """The threads of JAX, in every worker."""
    device: str | None = None
    terms: Terms = NOTHING_SPECIAL
    """With the data sets' folder as it is called on the workers; None: where each worker finds them itself."""

    def gone(self) -> ConnectionError:
        return ConnectionError(f"the scheduler at {self.address} is gone or was restarted; what was finished is kept")

    def has_workers(self) -> bool:
        """Whether the scheduler knows of any; if it does not answer, it may."""
        try:
            known = self.client.sync(self.client.scheduler.identity, callback_timeout=_SECONDS_TO_ANSWER)
            return bool(known["workers"])
        except OSError:
            return True

    def check(self) -> None:
        if self.client.status not in ("running", "connecting"):
            raise self.gone()


@contextmanager
def connected(address: str) -> Iterator[Any]:
    """A client of the scheduler at `address`.

    Raises:
        BadInput: nothing answers there, or the extra `cluster` is not installed.
    """
    try:
        from distributed import Client
    except ImportError:
        problem = "Dask distributed is not installed"
        raise BadInput("scheduler", address, problem, "pip install 'agn-bench[cluster]'") from None
    for name in [name for name in logging.root.manager.loggerDict if name.startswith("distributed")]:
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what they have to say is raised, too
    answers: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def connect() -> None:
        try:
            answers.put(Client(address, timeout=_SECONDS_TO_CONNECT, set_as_default=False))
        except BaseException as error:
            answers.put(error)

    # In a thread, since its own timeout does not hold for something that listens but does not answer.
    threading.Thread(target=connect, daemon=True).start()
    try:
        answer = answers.get(timeout=2 * _SECONDS_TO_CONNECT)
    except queue.Empty:
        answer = TimeoutError("it listens, but says nothing")
    if isinstance(answer, BaseException):
        raise BadInput("scheduler", address, f"no answer ({reason_of(answer)})", _ACCEPTED)
    try:
        yield answer
    finally:
        with suppress(Exception):
            answer.close(timeout=2)


def make_on_cluster(work: Work, watcher: Watcher, site: Site) -> None:
    """Make all runs on the cluster's workers, as many at once as they have threads.

    A run whose worker dies is made again elsewhere, a few times.

    Raises:
        ConnectionError: the scheduler is gone.
    """
    site.check()
    try:
        _Cluster(work, watcher, site).make()
    except OSError:
        raise
    except Exception:
        site.check()  # a client that was closed raises errors of its own
        raise


@dataclass(frozen=True)
class _Ended:
    """A try of a run is over."""

    future: Any
    answer: RunResult | Exception | None
    """None if it was lost with its workers."""


class _Cluster:
    """The runs that a cluster is making."""

    def __init__(self, work: Work, watcher: Watcher, site: Site) -> None:
        self._work, self._watcher, self._site = work, watcher, site
        self._messages: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        self._topic = f"agn-bench-{uuid4().hex}"
        self._running: dict[str, RunConfig] = {}
        self._futures: dict[str, Any] = {}
        self._tries: Counter[str] = Counter()
        self._begun: set[str] = set()
        self._compiled: set[Program] = set()

    def make(self) -> None:
        self._site.client.subscribe_topic(self._topic, lambda event: self._messages.put(event[1]))
        self._fill()
        quiet = 0
        while self._running:
            self._watcher.tick()
            self._site.check()
            try:
                name, message = self._messages.get(timeout=_SECONDS_A_TICK)
            except queue.Empty:
                quiet += 1
                if quiet >= _TICKS_TO_WAIT and not (self._begun and self._site.has_workers()):
                    self._watcher.waiting(f"for workers of the cluster at {self._site.address}")
                continue
            quiet = 0
            if name in self._running:  # else it is a late report
                self._receive(name, message)

    def _fill(self) -> None:
        while len(self._running) < _MOST_AT_ONCE and (config := self._work.take(self._compiled)) is not None:
            self._running[config.run_id] = config
            self._submit(config)

    def _submit(self, config: RunConfig) -> None:
        name, site = config.run_id, self._site
        self._tries[name] += 1
        future = site.client.submit(
            _make_there,
            config,
            name,
            site.threads,
            site.device,
            site.terms,
            self._topic,
            key=f"{name}-{self._tries[name]}-{self._topic}",
        )
        future.add_done_callback(partial(self._fetch, name))
        self._futures[name] = future

    def _fetch(self, name: str, future: Any) -> None:
        """In a thread, since a large result takes a while. One whose worker dies meanwhile, Dask has made again."""

        def fetch() -> None:
            self._messages.put((name, _Ended(future, _answer(future))))

        threading.Thread(target=fetch, daemon=True).start()

    def _receive(self, name: str, message: Any) -> None:
        """A report of a run, or that it has ended."""
        config = self._running[name]
        if isinstance(message, list | tuple):
            if name not in self._begun:
                self._begun.add(name)
                self._watcher.started(config)
            if message:
                self._watcher.progressed(config, Progress(*message))
            return
        if message.future is not self._futures[name]:
            return  # of a try that was given up
        if message.future.status == "cancelled":
            raise self._site.gone()
        answer = message.answer
        if answer is None:
            if self._tries[name] < _TRIES:
                self._submit(config)
                return
            answer = ChildProcessError("the workers that made it died, time and again; was there too little memory?")
        del self._running[name], self._futures[name]  # so that the cluster forgets the result
        if name not in self._begun:
            self._watcher.started(config)
        if isinstance(answer, RunResult):
            self._watcher.ended(config, answer)
        else:
            self._watcher.failed(config, answer)
        self._fill()


def _answer(future: Any) -> RunResult | Exception | None:
    """What became of a run; None if it was lost with its workers."""
    from distributed import KilledWorker

    while True:
        try:
            answer: RunResult | Exception = future.result()
            return answer
        except KilledWorker:
            return None
        except TimeoutError:  # of a connection: it is still there
            continue
        except (Exception, CancelledError) as error:  # the cluster's; a run's own are answers
            return RuntimeError(f"{type(error).__name__} on the cluster: {error}")


def _make_there(
    config: RunConfig, run_id: str, threads: int, device: str | None, terms: Terms, topic: str
) -> RunResult | Exception:
    """Make a run on a Dask worker."""
    from distributed import get_worker

    worker = get_worker()
    if config.run_id != run_id:
        return RuntimeError(f"the worker {worker.address} has another version of agn-bench")
    try:
        machine.prepare(threads, device)
        if machine.threads() != threads:
            problem = f"JAX has {machine.threads()} threads already in the worker {worker.address}, not {threads}"
            return RuntimeError(f"{problem}; restart the workers, or give --threads {machine.threads()}")
        worker.log_event(topic, [run_id, []])
        return make(config, terms, _Reporter(worker, topic, run_id))
    except BadInput as error:
        if type(error) is not BadInput:
            return portable(error)
        accepted = f"{error.accepted} (on the worker {worker.address})"
        return BadInput(error.option, error.value, error.problem, accepted)
    except Exception as error:
        return portable(error)


class _Reporter:
    """Tells the caller how far a run is, now and then, and ends it when nobody waits for it any more."""

    def __init__(self, worker: Any, topic: str, run_id: str) -> None:
        self._worker, self._topic, self._run_id = worker, topic, run_id
        self._task = worker.get_current_task()
        self._reported = time.monotonic()

    def __call__(self, progress: Progress) -> None:
        if time.monotonic() - self._reported < _SECONDS_A_REPORT:
            return
        self._reported = time.monotonic()
        task = self._worker.state.tasks.get(self._task)
        if task is None or task.state == "cancelled":
            raise ConnectionError("nobody waits for this run any more")
        self._worker.log_event(self._topic, [self._run_id, [*astuple(progress)]])
