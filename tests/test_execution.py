"""Several runs at once: the same runs, and what ends them."""

from __future__ import annotations

import multiprocessing
import os
import re
import struct
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from agn_bench.base.inputs import BadInput
from agn_bench.config.resolving import resolve
from agn_bench.config.run import RunConfig, with_seeds
from agn_bench.execution import one as cell
from agn_bench.execution import processes, sweep
from agn_bench.execution.one import Terms
from agn_bench.execution.sweep import Place
from agn_bench.execution.work import Program, Watcher, Work
from agn_bench.training.records import Progress, RunResult

TWO = Place(processes=2)
SMALL = {"workers": "3", "local_steps": "4", "model": "mlp-8", "gradient_steps": "1200", "batch_size": "8"}


class Witness(Watcher):
    def __init__(self, at_progress: Any = lambda config: None) -> None:
        self.at_progress = at_progress
        self.seen: list[tuple[str, int]] = []

    def started(self, config: RunConfig) -> None:
        self.seen.append(("started", config.seed))

    def progressed(self, config: RunConfig, progress: Progress) -> None:
        self.seen.append(("progressed", config.seed))
        self.at_progress(config)

    def ended(self, config: RunConfig, result: RunResult) -> None:
        self.seen.append(("ended", result.config.seed))

    def failed(self, config: RunConfig, error: Exception) -> None:
        self.seen.append(("failed", config.seed))


def test_runs_made_at_once_are_the_runs_made_one_after_another(tmp_path: Path) -> None:
    methods = ("agn", "dynsgd", "agn")
    configs = [resolve(SMALL | {"optimizer": method, "seed": seed}) for seed, method in enumerate(methods)]
    watcher = Witness()
    apart = sweep.run_all(configs, tmp_path / "apart", watcher, TWO).runs
    alone = sweep.run_all(configs, tmp_path / "alone", Watcher()).runs
    assert [run.name for run in apart] == [run.name for run in alone] == [config.run_id for config in configs]
    for one, other in zip(apart, alone, strict=True):
        for name in ("curve.csv", "summary.csv", "commits.csv"):
            assert (one / name).read_bytes() == (other / name).read_bytes()
    assert (tmp_path / "apart" / "curves.csv.gz").read_bytes() == (tmp_path / "alone" / "curves.csv.gz").read_bytes()
    assert watcher.seen[:2] == [("started", 0), ("started", 1)]  # two at once
    for seed in range(3):
        own = [event for event, of in watcher.seen if of == seed]
        assert own == ["started", *["progressed"] * (len(own) - 2), "ended"]
        assert len(own) > 2
    assert not multiprocessing.active_children()


def test_a_run_that_is_refused_there_is_refused_here_and_the_others_go_on(tmp_path: Path) -> None:
    refused = with_seeds(resolve(SMALL | {"window": "0.001", "gradient_steps": "6000"}), 2)
    good = with_seeds(resolve(SMALL), 2)
    watcher = Witness()
    report = sweep.run_all([refused[0], good[0], refused[1], good[1]], tmp_path, watcher, TWO)
    assert {config.run_id for config, _ in report.failures} == {config.run_id for config in refused}
    for _, error in report.failures:
        assert isinstance(error, BadInput)
        assert re.match(r"window=0.001: too short for a run of .* accepted: at least", str(error))
    assert {config.run_id for config in report.made} == {config.run_id for config in good}
    assert sorted(path.name for path in tmp_path.glob("runs/*")) == sorted(config.run_id for config in good)
    assert [kind for kind, _ in watcher.seen].count("failed") == 2
    assert not multiprocessing.active_children()


def _stop_within_the_first_runs(connection: Connection, terms: Terms) -> None:
    """What a process does, but it gets no further in seeds 0 and 1 than to its first report."""

    def make(config: RunConfig, terms: Terms, on_progress: Callable[[Progress], None], checks: object) -> RunResult:
        def stop(progress: Progress) -> None:
            on_progress(progress)
            if config.seed < 2:
                time.sleep(600)

        return cell.make(config, terms, stop)

    processes.make = make  # type: ignore[assignment]
    processes._serve(connection, terms)  # of this process, where nothing replaces it


def test_a_process_that_dies_is_a_failure_and_another_takes_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both die, each in the midst of a run."""
    within: set[int] = set()
    killed: list[int] = []

    def kill(config: RunConfig) -> None:
        within.add(config.seed)
        if within == {0, 1}:
            for child in multiprocessing.active_children():
                assert child.pid is not None
                killed.append(child.pid)
                child.kill()

    monkeypatch.setattr(processes, "_serve", _stop_within_the_first_runs)
    configs = with_seeds(resolve(SMALL), 4)
    report = sweep.run_all(configs, tmp_path, Witness(kill), TWO)
    monkeypatch.undo()
    assert len(killed) == 2
    assert {config.seed for config, _ in report.failures} == {0, 1}
    assert all("process died" in str(error) for _, error in report.failures)
    assert {config.seed for config in report.made} == {2, 3}
    assert not multiprocessing.active_children()
    again = sweep.run_all(configs, tmp_path, Watcher())
    assert {config.seed for config in again.made} == {0, 1}
    assert {config.seed for config in again.found} == {2, 3}


def _die_within_a_message(connection: Connection, data_dir: Path | None) -> None:
    connection.recv()
    os.write(connection.fileno(), struct.pack("!i", 1000) + b"the first of a thousand bytes")
    os._exit(1)


def test_a_process_that_dies_within_a_message_is_a_failure_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_serve", _die_within_a_message)
    report = sweep.run_all(with_seeds(resolve(SMALL), 3), tmp_path, Watcher(), TWO)
    assert [str(error) for _, error in report.failures] == ["its process died; was there too little memory?"] * 3
    assert not multiprocessing.active_children()


def test_what_a_callback_raises_ends_all(tmp_path: Path) -> None:
    def interrupt(config: RunConfig) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweep.run_all(with_seeds(resolve(SMALL), 2), tmp_path, Witness(interrupt), TWO)
    assert not multiprocessing.active_children()
    assert not list(tmp_path.glob("runs/*"))


def test_as_many_at_once_as_fit_into_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    configs = with_seeds(resolve(SMALL), 8)
    assert sweep.at_once(configs, 4) == 4
    monkeypatch.setattr(sweep.machine, "memory_bytes", lambda: 1e9)
    assert sweep.at_once(configs, 4) == 2
    monkeypatch.setattr(sweep.machine, "memory_bytes", lambda: 1e8)
    assert sweep.at_once(configs, 4) == 1
    monkeypatch.undo()
    monkeypatch.setattr(sweep.machine, "backend", lambda: "gpu")
    assert sweep.at_once(configs, 4) == 1
    assert sweep.at_once(configs[:1], 4) == 1


def rest(work: Work) -> list[RunConfig]:
    """What one process would make, in order."""
    compiled: set[Program] = set()
    return list(iter(lambda: work.take(compiled), None))


def test_work_keeps_a_process_on_the_programs_it_has_compiled() -> None:
    """Cells that differ in numbers only share programs; those with other local steps do not."""
    options = {**SMALL, "gradient_steps": "6000"}
    configs = [
        config
        for workers in (10, 20)
        for local_steps in (2, 4, 6)
        for config in with_seeds(resolve({**options, "workers": workers, "local_steps": local_steps}), 2)
    ]
    work = Work(configs)
    compiled: list[set[Program]] = [set(), set()]
    order: list[list[int]] = [[], []]
    for turn in range(len(configs)):
        config = work.take(compiled[turn % 2])
        assert config is not None
        order[turn % 2].append(config.local_steps)
    assert work.take(set()) is None
    assert order == [[2] * 4 + [6] * 2, [4] * 4 + [6] * 2]


def test_work_makes_the_important_first_and_returns_to_programs_compiled_before() -> None:
    options = {**SMALL, "gradient_steps": "6000"}
    early = [resolve({**options, "workers": 10, "local_steps": local_steps}) for local_steps in (2, 4)]
    late = [resolve({**options, "workers": 20, "local_steps": local_steps}) for local_steps in (6, 4, 2)]
    work = Work([*late, *early], importance=lambda config: int(config.workers == 20))
    made = [(config.workers, config.local_steps) for config in rest(work)]
    assert made == [(10, 2), (10, 4), (20, 4), (20, 2), (20, 6)]


def test_work_asks_when_a_runs_turn_comes() -> None:
    configs = with_seeds(resolve(SMALL), 5)
    asked: list[int] = []

    def allowed(config: RunConfig) -> bool:
        asked.append(config.seed)
        return config.seed % 2 == 0

    work = Work(configs, allowed)
    assert work.take(set()) == configs[0]
    assert asked == [0]
    assert rest(work) == [configs[2], configs[4]]
    assert asked == [0, 1, 2, 3, 4]
    assert work.take(set()) is None


def test_cells_that_differ_in_numbers_only_compile_once(
    tmp_path: Path, quick_dataset: str, compilations: Callable[..., int]
) -> None:
    base = {"dataset": quick_dataset, "model": "mlp-8", "local_steps": 2, "batch_size": 8, "optimizer": "easgd"}
    changes = [
        {"seed": 7},
        {"learning_rate": 0.01},
        {"optimizer": "easgd:alpha=0.2"},
        {"workers": 13},
        {"gradient_steps": 600},
    ]
    first = resolve({**base, "workers": 10, "gradient_steps": 400})
    others = [resolve({**base, "workers": 10, "gradient_steps": 400, **change}) for change in changes]
    assert {config.program for config in others} == {first.program}
    assert compilations(lambda: sweep.run_all([first], tmp_path, Watcher())) > 0
    assert compilations(lambda: sweep.run_all(others, tmp_path, Watcher())) == 0


def test_what_a_script_defines_itself_is_said_not_to_be_known_elsewhere() -> None:
    error = AttributeError("Can't get attribute 'Mine' on <module '__main__' (built-in)>")
    assert "put it into a file of its own, and import it" in str(processes._not_here(error))


@pytest.mark.kind("limits of containers")
@pytest.mark.parametrize("allowed", [0, 1, 2])
def test_where_few_processes_are_allowed_fewer_make_the_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, allowed: int
) -> None:
    begin = processes.start
    started = []

    def limited(*arguments: Any) -> Connection:
        if len(started) == allowed:
            raise BlockingIOError(11, "Resource temporarily unavailable")
        started.append(arguments)
        return begin(*arguments)

    monkeypatch.setattr(processes, "start", limited)
    configs = with_seeds(resolve(SMALL | {"gradient_steps": "120"}), 3)
    if allowed:
        assert len(sweep.run_all(configs, tmp_path, Watcher(), Place(processes=3)).made) == 3
    else:
        with pytest.raises(OSError, match=r"no process can be started \(Resource temporarily unavailable\)"):
            sweep.run_all(configs, tmp_path, Watcher(), Place(processes=3))
    assert not multiprocessing.active_children()
    assert not list(tmp_path.glob("runs/.*"))


@pytest.mark.kind("limits of containers")
def test_where_no_thread_is_allowed_it_is_said_in_a_line(
    command: Callable[..., tuple[int, str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(sweep, "run_all", refuse)
    code, _, err = command("run", "--out", tmp_path / "mine")
    assert (code, err.count("\n")) == (1, 1)
    assert "too few processes" in err
