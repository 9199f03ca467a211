"""Sweeps on a real Dask cluster: a scheduler and workers, each a process of its own, on the loopback."""

from __future__ import annotations

import io
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
from conftest import AT_FULL_SIZE, Figure
from rich.console import Console
from test_bring_your_own import MINE
from test_cli import Command, agn_bench
from test_sweep import contents, same

from agn_bench.cli.progress import RunDisplay
from agn_bench.config.resolving import resolve
from agn_bench.config.run import RunConfig
from agn_bench.execution import cluster as clusters
from agn_bench.execution.cluster import Site, _make_there, make_on_cluster
from agn_bench.execution.work import Watcher, Work
from agn_bench.store import folder as folders
from agn_bench.training.records import RunResult

pytest.importorskip("distributed", reason="the extra cluster")

EXPERIMENT = """
name = "clustered"
seeds = [0, 1, 2, 3]
[base]
batch_size = 8
local_steps = 2
workers = 3
gradient_steps = 60
[[cells]]
model = "mlp-300"
local_optimizer = "adam"
[[cells]]
problem = "pictures.py:Pictures:width=8"
optimizer = "fedbuff:size=3"
seconds = 30
[[cells]]
problem = "flaxed.py:Flaxed"
optimizer = "mine.py:Mine:beta=2"
seconds = 30
[[cells]]
problem = "sine.py:Sine"
local_optimizer = "adam"
"""
RUNS = 16
CONTRIBUTING = (Path(__file__).parent.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")
PROBLEMS = re.findall(r"```python\n# (sine|pictures|flaxed)\.py\n(.*?)```", CONTRIBUTING, flags=re.DOTALL)
"""A plain function, a module of Equinox and one of Flax."""


def write_experiment(file: Path) -> None:
    """Write it, and beside it the files of one of its optimizers and of its problems."""
    file.write_text(EXPERIMENT)
    file.with_name("mine.py").write_text(MINE)
    assert len(PROBLEMS) == 3
    for name, text in PROBLEMS:
        file.with_name(f"{name}.py").write_text(text)


def hasty(*words: object) -> subprocess.Popen[str]:
    """The program, which soon says that there are no workers."""
    program = (
        "from agn_bench import cli; from agn_bench.execution import cluster; cluster._TICKS_TO_WAIT = 1; cli.main()"
    )
    command = [sys.executable, "-c", program, *map(str, words)]
    return subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


class Cluster(NamedTuple):
    address: str
    scheduler: subprocess.Popen[str]
    start_worker: Callable[[], subprocess.Popen[str]]


@contextmanager
def cluster(folder: Path) -> Iterator[Cluster]:
    """A scheduler, and a way to start workers."""
    environment = {key: value for key, value in os.environ.items() if key not in ("NPROC", "AGN_BENCH_DATA_DIR")}

    def start(*words: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "distributed.cli." + words[0], *words[1:]]
        with (folder / f"{words[0]}-{time.monotonic_ns()}.log").open("w") as log:
            return subprocess.Popen(command, stdout=log, stderr=log, text=True, env=environment, cwd=folder)

    file = folder / "scheduler.json"
    listen = ("--host", "127.0.0.1", "--port", "0", "--no-dashboard")
    scheduler = start("dask_scheduler", *listen, "--scheduler-file", str(file))
    started = [scheduler]
    try:
        deadline = time.monotonic() + 60
        while not (found := re.findall(r'"address": "([^"]+)"', file.read_text() if file.exists() else "")):
            assert time.monotonic() < deadline and scheduler.poll() is None
            time.sleep(0.1)
        address = found[0]
        # Without a nanny, which would start another in place of one that was killed.
        words = (address, "--nthreads", "1", "--no-nanny", "--no-dashboard", "--local-directory", str(folder / "space"))

        def start_worker() -> subprocess.Popen[str]:
            started.append(start("dask_worker", *words))
            return started[-1]

        yield Cluster(address, scheduler, start_worker)
    finally:
        for process in reversed(started):
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The experiment, one of its optimizers in a file beside it, and what a sweep without a cluster makes of it."""
    folder = tmp_path_factory.mktemp("local")
    file, out = folder / "clustered.toml", folder / "out"
    write_experiment(file)
    process = agn_bench("sweep", file, "--jobs", 1, "--out", out)
    said = process.communicate(timeout=180)
    assert process.returncode == 0, said
    return file, out


def test_a_cluster_gives_the_same_bytes_also_when_one_of_its_workers_is_killed(
    command: Command,
    local: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    figure: Figure,
    at_full_size: bool,
) -> None:
    """The cluster has two workers, or three if the figures are wanted: each imports and compiles the same for long."""
    file, expected = local
    with cluster(tmp_path) as (address, _, start_worker):
        workers = [start_worker() for _ in range(3 if at_full_size else 2)]
        process = agn_bench("sweep", file, "--out", tmp_path / "out", "--scheduler", address)
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if line.startswith("[2/"):  # others are being made
                workers[0].send_signal(signal.SIGKILL)
        _, err = process.communicate(timeout=60)
        assert (process.returncode, err) == (0, "")
        assert f"{RUNS} runs made, 0 found finished, 0 failed\n" in lines
        what = "one of three workers of a cluster, SIGKILL"
        figure("kills", what=what, kills=1, runs=RUNS, **outcome(tmp_path / "out", expected))
        same(tmp_path / "out", expected)
        assert not list((tmp_path / "out").rglob(".*"))
        monkeypatch.setenv("NPROC", "1")
        _, out, _ = command("sweep", file, "--out", tmp_path / "out", "--scheduler", address)
        assert f"0 runs made, {RUNS} found finished, 0 failed\n" in out
        monkeypatch.setenv("NPROC", "2")
        code, out, _ = command("sweep", file, "--out", tmp_path / "other", "--scheduler", address)
        assert code == 1
        assert "JAX has 1 threads already in the worker tcp://127.0.0.1:" in out
        assert "restart the workers, or give --threads 1" in out
        assert not list((tmp_path / "other").glob("runs/*"))


@AT_FULL_SIZE
def test_without_its_scheduler_it_ends_with_an_error_and_goes_on_next_time(
    command: Command, local: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, figure: Figure
) -> None:
    file, expected = local
    with cluster(tmp_path) as (address, scheduler, start_worker):
        start_worker()
        process = agn_bench("sweep", file, "--out", tmp_path / "out", "--scheduler", address)
        assert process.stdout is not None
        assert any(line.startswith("[1/") for line in process.stdout)  # a run is finished
        scheduler.kill()
        _, err = process.communicate(timeout=60)
        assert process.returncode == 1
        assert re.fullmatch(rf"agn-bench: failed: .*scheduler at {address} .*; what was finished is kept\n", err), err
    kept = len(list((tmp_path / "out").glob("runs/*")))
    assert 0 < kept < RUNS
    assert not list((tmp_path / "out").rglob(".*"))
    monkeypatch.setattr(clusters, "_SECONDS_TO_CONNECT", 0.2)
    monkeypatch.setenv("NPROC", "1")
    refuses(command("sweep", file, "--out", tmp_path / "out", "--scheduler", address), address)
    process = agn_bench("sweep", file, "--jobs", 1, "--out", tmp_path / "out")
    out, _ = process.communicate(timeout=180)
    assert f"{RUNS - kept} runs made, {kept} found finished, 0 failed\n" in out
    what = "the scheduler of a cluster, SIGKILL"
    figure("kills", what=what, kills=1, runs=RUNS, **outcome(tmp_path / "out", expected))
    same(tmp_path / "out", expected)


def outcome(found: Path, expected: Path) -> dict[str, object]:
    """What the kill has cost, counted."""
    runs = {run.name for run in found.glob("runs/*")}
    lost = {run.name for run in expected.glob("runs/*")} - runs
    damaged = sum(folders.damage(found / "runs" / name) != "" for name in runs)
    return {"lost": len(lost), "damaged": damaged, "same_bytes": contents(found) == contents(expected)}


def refuses(answer: tuple[int, str, str], address: str) -> None:
    """One line says that there is no scheduler."""
    code, _, err = answer
    assert code == 2
    assert err.startswith(f"agn-bench: --scheduler {address}: no answer (")
    assert len(err.splitlines()) == 1


def test_it_says_when_a_cluster_has_no_workers_and_what_one_that_comes_does_not_have(
    command: Command, tmp_path: Path
) -> None:
    """It waits until it is interrupted; and a data set that is missing there is a failure that says where."""
    file, data = tmp_path / "clustered.toml", tmp_path / "data.toml"
    write_experiment(file)
    data.write_text('name = "data"\n[[cells]]\ndataset = "mnist"\nmodel = "mlp-8"\ngradient_steps = 400\n')
    with cluster(tmp_path) as (address, _, start_worker):
        process = hasty("sweep", file, "--out", tmp_path / "out", "--scheduler", address)
        assert process.stdout is not None
        assert process.stdout.readline() == f"waiting for workers of the cluster at {address}\n"
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
        assert process.returncode == 130
        assert len(err.splitlines()) == 2
        assert not list((tmp_path / "out").rglob(".*"))
        start_worker()
        code, out, _ = command("sweep", data, "--out", tmp_path / "data", "--scheduler", address)
    assert code == 1
    assert re.search(r"BadInput: --data-dir: not given, .* \(on the worker tcp://127.0.0.1:\d+\)", out)


def test_what_listens_but_is_no_scheduler_is_refused(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clusters, "_SECONDS_TO_CONNECT", 0.2)
    file = tmp_path / "clustered.toml"
    write_experiment(file)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        refuses(command("sweep", file, "--out", tmp_path / "out", "--scheduler", address), address)
    assert not (tmp_path / "out").exists()


def test_a_worker_of_another_version_makes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the same configuration has another name."""
    worker = SimpleNamespace(address="tcp://there:1")
    monkeypatch.setattr("distributed.get_worker", lambda: worker)
    config = resolve({"model": "mlp-8"})
    answer = _make_there(config, "agn-n20-l13-s0-00000000", 1, None, None, "topic")
    assert isinstance(answer, RuntimeError)
    assert str(answer) == "the worker tcp://there:1 has another version of agn-bench"


class Kept(Watcher):
    """Keeps what became of the runs."""

    def __init__(self) -> None:
        self.results: list[RunResult] = []
        self.errors: list[Exception] = []

    def ended(self, config: RunConfig, result: RunResult) -> None:
        self.results.append(result)

    def failed(self, config: RunConfig, error: Exception) -> None:
        self.errors.append(error)


def test_a_result_that_takes_long_to_fetch_is_neither_given_up_nor_made_again() -> None:
    """It is fetched beside all else, and whoever would wait for a time only waits in vain."""
    config = resolve({"model": "mlp-8"})
    submitted: list[RunConfig] = []

    class Future:
        status = "finished"

        def __init__(self) -> None:
            self.tries = 0

        def result(self, timeout: float | None = None) -> RunResult:
            self.tries += 1
            if timeout is not None or self.tries == 1:
                raise TimeoutError
            time.sleep(0.1)
            return RunResult(config, None, None, [], None, {})  # type: ignore[arg-type]

        def add_done_callback(self, callback: Any) -> None:
            callback(self)

    def submit(function: Any, config: RunConfig, *_: object, key: str) -> Future:
        submitted.append(config)
        return Future()

    client = SimpleNamespace(status="running", subscribe_topic=lambda *_: None, submit=submit)
    watcher = Kept()
    make_on_cluster(Work([config]), watcher, Site(client, "tcp://there:1", 1))  # type: ignore[arg-type]
    assert [result.config for result in watcher.results] == submitted == [config]
    assert not watcher.errors


def test_a_cluster_that_loses_its_workers_is_waited_for_aloud_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """And only then, however long the workers that are there have nothing to say."""
    monkeypatch.setattr(clusters, "_SECONDS_A_TICK", 0.001)
    config = resolve({"model": "mlp-8"})
    said = io.StringIO()
    workers = {"tcp://there:2": {}}
    tell: list[Any] = []

    def history() -> Iterator[None]:
        tell[0]((0.0, [config.run_id, []]))
        yield from [None] * 20
        assert not said.getvalue()
        workers.clear()
        yield from [None] * 50
        made = [1, 800, 1.0, {"accuracy": 0.1, "loss": 2.0}, {"accuracy": 0.1}, 14, False]
        tell[0]((0.0, [config.run_id, made]))
        yield from [None] * 50
        raise KeyboardInterrupt

    client = SimpleNamespace(
        status="running",
        scheduler=SimpleNamespace(identity=None),
        subscribe_topic=lambda topic, handler: tell.append(handler),
        submit=lambda *_, **__: SimpleNamespace(add_done_callback=lambda callback: None),
        sync=lambda function, callback_timeout: {"workers": workers},
    )
    steps = history()
    with (
        RunDisplay(Console(file=said, width=200), lambda: next(steps), [config]) as display,
        pytest.raises(KeyboardInterrupt),
    ):
        make_on_cluster(Work([config]), display, Site(client, "tcp://there:1", 1))
    assert said.getvalue() == 2 * "waiting for workers of the cluster at tcp://there:1\n"
