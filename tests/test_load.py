"""Loads beyond what anybody has asked for yet: many workers, many cells. With --figures as large as those quoted."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from conftest import AT_FULL_SIZE, Figure

ROOT = Path(__file__).parent.parent


class Ran(NamedTuple):
    seconds: float
    peak_mb: float
    out: str


_MEASURE = """
import os, sys, time
began = time.monotonic()
with open(sys.argv[1], "w") as log:
    outputs = [(os.POSIX_SPAWN_DUP2, log.fileno(), stream) for stream in (1, 2)]
    command = [sys.executable, "-m", "agn_bench", *sys.argv[2:]]
    process = os.posix_spawn(sys.executable, command, os.environ, file_actions=outputs)
    _, status, usage = os.wait4(process, 0)
print(os.waitstatus_to_exitcode(status), time.monotonic() - began, usage.ru_maxrss / 1024)
"""


def agn_bench(log: Path, *words: object) -> Ran:
    """The program in a process of its own: how long it took, and how much memory it had at most.

    A small process starts and measures it: to what the system counts belongs the memory of whoever starts it, and that
    of the tests is large.
    """
    command = [sys.executable, "-S", "-c", _MEASURE, str(log), *map(str, words)]
    environment = {**os.environ, "COLUMNS": "200"}
    measured = subprocess.run(command, capture_output=True, text=True, env=environment, check=True).stdout.split()
    text = log.read_text()
    assert measured[0] == "0", text[-2000:]
    return Ran(float(measured[1]), float(measured[2]), text)


def test_what_is_measured_is_the_programs_own_memory(tmp_path: Path) -> None:
    ballast = np.ones(60_000_000)  # 480 MB
    ran = agn_bench(tmp_path / "log", "--version")
    assert 5 < ran.peak_mb < 200
    assert ballast.size


@AT_FULL_SIZE
def test_the_clock_of_ten_thousand_workers(tmp_path: Path, figure: Figure, at_full_size: bool) -> None:
    """Every worker's commits, none lost, in 2 GB."""
    exchanges = 1_000_000 if at_full_size else 30_000
    words = ("--workers", 10_000, "--local-steps", 5, "--model", "mlp-small", "--exchanges", exchanges)
    ran = agn_bench(tmp_path / "log", "timeline", *words, "--out", tmp_path / "out")
    commits = pd.read_csv(tmp_path / "out" / "commits.csv", usecols=["worker", "applied_s", "staleness"])
    assert len(commits) == exchanges
    assert (np.diff(commits["applied_s"]) >= 0).all()
    assert commits["worker"].nunique() > 9_000  # in random order some have not been served yet
    assert ran.peak_mb < 2_000
    figure(
        "load",
        what="timeline, 10,000 workers",
        size=f"{exchanges:,} exchanges",
        seconds=round(ran.seconds, 1),
        peak_mb=round(ran.peak_mb),
    )


@AT_FULL_SIZE
def test_the_training_of_a_thousand_workers(tmp_path: Path, figure: Figure, at_full_size: bool) -> None:
    """What they hold is in memory once: 940 kB each, with the small model."""
    steps = 20_000 if at_full_size else 3_000
    words = ("--workers", 1_000, "--local-steps", 3, "--gradient-steps", steps, "--batch-size", 32)
    ran = agn_bench(tmp_path / "log", "run", *words, "--out", tmp_path / "out")
    (summary,) = pd.read_csv(tmp_path / "out" / "summary.csv").to_dict("records")
    assert summary["exchanges"] == 1_000 * (steps // 1_000 // 3)
    assert 0.94 * 1_000 < ran.peak_mb < 2_500
    figure(
        "load",
        what="training, 1,000 workers, mlp-small",
        size=f"{summary['gradient_steps']:,} gradient steps",
        seconds=round(ran.seconds, 1),
        peak_mb=round(ran.peak_mb),
    )


CELLS = """
name = "many"
seeds = [{seeds}]
[base]
model = "mlp-2"
workers = 2
local_steps = 1
gradient_steps = 4
batch_size = 4
window = 1000
eval_every = 2
[[cells]]
optimizer = [{optimizers}]
learning_rate = [{rates}]
"""


@AT_FULL_SIZE
def test_a_sweep_of_thousands_of_tiny_cells(tmp_path: Path, figure: Figure, at_full_size: bool) -> None:
    """Memory stays flat, and five times as many runs take five times as long to collect, not twenty-five."""
    few, many = (1_000, 5_000) if at_full_size else (10, 20)
    optimizers = ("agn", "easgd", "dynsgd", "downpour") if at_full_size else ("agn",)  # each compiles a program
    jobs = () if at_full_size else ("--jobs", 1)  # processes that import take longer than so few runs
    ran: dict[int, Ran] = {}
    collected: dict[int, Ran] = {}
    for runs in (few, many) if at_full_size else (few,):
        rates = ", ".join(f"{0.001 * rate:.3f}" for rate in range(1, runs // 5 // len(optimizers) + 1))
        file, out = tmp_path / f"{runs}.toml", tmp_path / str(runs)
        file.write_text(CELLS.format(seeds="0, 1, 2, 3, 4", rates=rates, optimizers=str(list(optimizers))[1:-1]))
        ran[runs] = agn_bench(tmp_path / "log", "sweep", file, "--out", out, *jobs)
        assert f"{runs} runs made, 0 found finished, 0 failed" in ran[runs].out
        lines = [line for line in ran[runs].out.splitlines() if line.startswith("[") and "of the work" not in line]
        assert len(lines) == runs  # a line a run, where the output is no terminal, but for those of how far it is
        assert lines[-1].startswith(f"[{runs}/{runs}]")
        assert len(pd.read_csv(out / "summary.csv")) == runs
        assert not list(out.glob(".*"))
        if not at_full_size:  # the sweep has collected them, and of so few there is nothing to measure
            continue
        collected[runs] = agn_bench(tmp_path / "log", "sweep", file, "--collect", "--out", out)
        figure(
            "load",
            what="sweep, tiny cells",
            size=f"{runs:,} runs",
            seconds=round(ran[runs].seconds, 1),
            peak_mb=round(ran[runs].peak_mb),
        )
        figure(
            "load",
            what="collecting them",
            size=f"{runs:,} runs",
            seconds=round(collected[runs].seconds, 1),
            peak_mb=round(collected[runs].peak_mb),
        )
    if at_full_size:
        assert ran[many].peak_mb < 1.3 * ran[few].peak_mb
        assert collected[many].seconds < 1.5 * (many / few) * collected[few].seconds
