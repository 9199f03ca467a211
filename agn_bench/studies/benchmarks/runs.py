"""Whole commands: how soon the first result is there, and what four seeds cost compared with one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from agn_bench.base import machine

SEEDS = 4
COMMANDS = 3
"""Run in every repetition."""


@dataclass(frozen=True)
class _Timed:
    """A command's wall-clock seconds."""

    first_result_s: float
    command_s: float
    training_s: list[float]
    """The seconds of each run: timeline and replay, compilation included, start-up of the process excluded."""


def runs_benchmark(repetitions: int, on_step: Callable[[str], None] = lambda text: None) -> list[dict[str, Any]]:
    """Time the quick preset as a user runs it: one seed, one seed with a warm compilation cache, four seeds.

    Returns:
        A row for each figure, in seconds or as a ratio: median, least and most over the repetitions.
    """
    figures: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as cache:
        _quick(1, cache)  # warms the cache
        for repetition in range(repetitions):
            on_step(f"one seed, repetition {repetition + 1}")
            one = _quick(1)
            on_step(f"one seed, warm cache, repetition {repetition + 1}")
            warm = _quick(1, cache)
            on_step(f"{SEEDS} seeds, repetition {repetition + 1}")
            several = _quick(SEEDS)
            training = sum(several.training_s) / min(SEEDS, machine.cores())  # several have a thread each
            for name, value in (
                ("first result, nothing cached, s", one.first_result_s),
                ("first result, compilations cached, s", warm.first_result_s),
                ("one seed, whole command, s", one.command_s),
                ("one seed, training, s", one.training_s[0]),
                (f"{SEEDS} seeds, whole command, s", several.command_s),
                (f"{SEEDS} seeds, training, s", training),
                (f"{SEEDS} seeds over one, training", training / one.training_s[0]),
                (f"{SEEDS} seeds over one, whole command", several.command_s / one.command_s),
            ):
                figures.setdefault(name, []).append(value)
    return [
        {
            "figure": name,
            "median": median(values),
            "least": min(values),
            "most": max(values),
            "repetitions": repetitions,
        }
        for name, values in figures.items()
    ]


def _quick(seeds: int, cache: str | None = None) -> _Timed:
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    for name in [name for name in environment if name.startswith("JAX_") or name == "NPROC"]:
        del environment[name]
    if cache is not None:
        environment |= {"JAX_COMPILATION_CACHE_DIR": cache, "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    with tempfile.TemporaryDirectory() as folder:
        words = ["run", "--optimizer", "agn", "--workers", "40", "--seeds", str(seeds), "--out", folder]
        began = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "agn_bench", *words], stdout=subprocess.PIPE, text=True, env=environment
        )
        assert process.stdout is not None
        try:
            first = next((time.perf_counter() - began for line in process.stdout if "exchanges" in line), float("nan"))
            process.stdout.read()
            if process.wait() != 0:
                raise ChildProcessError(f"agn-bench {' '.join(words)} failed")
        finally:
            process.kill()
            process.stdout.close()
        taken = time.perf_counter() - began
        runs = [json.loads(path.read_text(encoding="utf-8")) for path in Path(folder).glob("runs/*/run.json")]
        return _Timed(first, taken, [run["wall_clock_s"]["total"] for run in runs])
