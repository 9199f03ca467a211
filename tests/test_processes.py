"""Several runs at once: the same runs, and what ends them."""

from __future__ import annotations

import multiprocessing
from pathlib import Path
from typing import Any

import pytest

from agn_bench import sweep
from agn_bench.config import RunConfig, resolve, with_seeds
from agn_bench.inputs import BadInput
from agn_bench.records import Progress

SMALL = {"workers": "3", "local_steps": "4", "model": "mlp-8", "gradient_steps": "1200", "batch_size": "8"}


class Watcher:
    def __init__(self, at_progress: Any = lambda config: None) -> None:
        self.at_progress = at_progress
        self.seen: list[tuple[str, int]] = []

    def started(self, config: RunConfig) -> None:
        self.seen.append(("started", config.seed))

    def progressed(self, config: RunConfig, progress: Progress) -> None:
        self.seen.append(("progressed", config.seed))
        self.at_progress(config)

    def ended(self, run: Path) -> None:
        self.seen.append(("ended", int(run.name.split("-s")[1].split("-")[0])))

    def found(self, run: Path) -> None: ...


def test_runs_made_at_once_are_the_runs_made_one_after_another(tmp_path: Path) -> None:
    configs, watcher = with_seeds(resolve(SMALL), 3), Watcher()
    apart = sweep.run_all(configs, tmp_path / "apart", watcher, processes=2)
    alone = sweep.run_all(configs, tmp_path / "alone", Watcher(), processes=1)
    assert [run.name for run in apart] == [run.name for run in alone] == [config.run_id for config in configs]
    for one, other in zip(apart, alone, strict=True):
        for name in ("curve.csv", "summary.csv", "commits.csv"):
            assert (one / name).read_bytes() == (other / name).read_bytes()
    assert (tmp_path / "apart" / "curves.csv").read_bytes() == (tmp_path / "alone" / "curves.csv").read_bytes()
    assert watcher.seen[:2] == [("started", 0), ("started", 1)]  # two at once
    for seed in range(3):
        own = [event for event, of in watcher.seen if of == seed]
        assert own == ["started", *["progressed"] * (len(own) - 2), "ended"]
        assert len(own) > 2
    assert not multiprocessing.active_children()


def test_a_run_that_is_refused_there_is_refused_here(tmp_path: Path) -> None:
    configs = with_seeds(resolve(SMALL | {"window": "0.001", "gradient_steps": "6000"}), 2)
    with pytest.raises(BadInput, match=r"--window 0.001: too short for a run of .* accepted: at least"):
        sweep.run_all(configs, tmp_path, Watcher(), processes=2)
    assert not list(tmp_path.glob("runs/*"))
    assert not multiprocessing.active_children()


def test_a_process_that_dies_is_reported(tmp_path: Path) -> None:
    def kill(config: RunConfig) -> None:
        for child in multiprocessing.active_children():
            child.kill()

    configs = with_seeds(resolve(SMALL), 2)
    with pytest.raises(ChildProcessError, match=r"the process of agn-n3-l4-s[01]-[0-9a-f]{8} died"):
        sweep.run_all(configs, tmp_path, Watcher(kill), processes=2)
    assert not multiprocessing.active_children()


def test_what_a_callback_raises_ends_all(tmp_path: Path) -> None:
    def interrupt(config: RunConfig) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweep.run_all(with_seeds(resolve(SMALL), 2), tmp_path, Watcher(interrupt), processes=2)
    assert not multiprocessing.active_children()
    assert not list(tmp_path.glob("runs/*"))


def test_as_many_at_once_as_fit_into_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    configs = with_seeds(resolve(SMALL), 8)
    assert sweep._at_once(configs, 4) == 4
    monkeypatch.setattr(sweep.machine, "memory_bytes", lambda: 1e9)
    assert sweep._at_once(configs, 4) == 2
    monkeypatch.setattr(sweep.machine, "memory_bytes", lambda: 1e8)
    assert sweep._at_once(configs, 4) == 1
    monkeypatch.undo()
    monkeypatch.setattr(sweep.machine, "backend", lambda: "gpu")
    assert sweep._at_once(configs, 4) == 1
    assert sweep._at_once(configs[:1], 4) == 1
