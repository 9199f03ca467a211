"""What a simulated run costs compared with the gradients it must compute, and what these cost compared with the
machine's matrix products.

Every program trains on and on; a repetition is the next slice of each, in turn, so that all meet the same machine.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import pairwise, product
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any

import jax
import numpy as np
import pandas as pd

from agn_bench.base import files, machine
from agn_bench.base.children import start
from agn_bench.base.jax_settings import own_settings
from agn_bench.base.tabular import WHOLE, read_table
from agn_bench.studies.benchmarks.peers import Peer, started
from agn_bench.studies.benchmarks.programs import (
    PERCEPTRONS,
    SCALES,
    SGEMM_SIZES,
    Case,
    Cell,
    Copy,
    ExchangeCost,
    Sgemm,
    flops_of_a_step,
)

LOCAL_STEPS = (1, 15, 40)
_PEERS_AGREE = 1e-3


def cells(models: Sequence[str], optimizers: Sequence[str]) -> list[Cell]:
    return [
        Cell(model, optimizer, local_steps, workers)
        for model in models
        for optimizer, local_steps, workers in product(optimizers, LOCAL_STEPS, SCALES[model].workers)
    ]


def merge_rows(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write the rows to the table at `path`, in place of those of the same cells that it may have."""
    table, cell = pd.DataFrame(rows), list(Cell._fields)
    if path.exists():
        kept = read_table(path, {"local_steps": WHOLE, "workers": WHOLE})  # measured before: not a digit changes
        table = pd.concat([kept, table]).drop_duplicates(cell, keep="last")
    files.write_table(path, table.sort_values(cell, ascending=[False, False, True, True]))


def training_benchmark(
    wanted: Sequence[Cell],
    repetitions: int,
    scripts: dict[str, Path],
    on_step: Callable[[str], None] = lambda text: None,
) -> Iterator[dict[str, Any]]:
    """Measure the cells; yields a row for each, medians over the repetitions, wall-clock times.

    Args:
        scripts: peers by name, see peers.py. One that cannot run here is left out.
    """
    peaks: dict[Cell, float] = {}
    for cell in wanted:
        with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
            on_step(f"{_name(cell)}: memory")
            # A phase needs the same memory however long it is.
            shortest = cell._replace(local_steps=1)
            if shortest not in peaks:
                peaks[shortest] = _in_process(_peak_memory_mb, shortest)
            peak_mb = peaks[shortest]
            problem = Case(cell, repetitions)
            running: dict[str, Peer] = {}
            alike = scripts if cell.model in PERCEPTRONS else {}  # what the peers train
            if alike:
                problem.save(Path(folder) / "cell.npz")
            for name, script in alike.items():
                on_step(f"{_name(cell)}: {name} begins")
                peer = stack.enter_context(started(script, Path(folder) / "cell.npz", machine.threads()))
                if peer is not None:
                    running[name] = peer
            yield _measure(cell, problem, repetitions, running, peak_mb, on_step)


@own_settings()
def _measure(
    cell: Cell,
    problem: Case,
    repetitions: int,
    peers: dict[str, Peer],
    peak_mb: float,
    on_step: Callable[[str], None],
) -> dict[str, Any]:
    scale, simulation = SCALES[cell.model], problem.simulation()
    bare, sgemm, copy, exchange = problem.bare_steps(), Sgemm(), Copy(), ExchangeCost(cell)
    slice_exchanges = scale.steps // cell.local_steps
    # Every worker has what it holds before anything is timed, and every program is compiled.
    warm = max(cell.workers, slice_exchanges)
    on_step(f"{_name(cell)}: every program begins")
    losses, served = simulation(warm)
    agree = True
    for peer in peers.values():
        answer = peer.train(warm)
        agree &= answer["worker"] == served and bool(np.allclose(answer["losses"], losses, rtol=_PEERS_AGREE))
    bare()
    times: dict[str, list[float]] = {name: [] for name in ("bare", "simulation", *peers)}
    rates: dict[int, list[float]] = {size: [] for size in SGEMM_SIZES}
    bandwidths: list[float] = []
    costs: dict[str, list[float]] = {"agn": [], "downpour": []}
    for repetition in range(repetitions):
        on_step(f"{_name(cell)}: repetition {repetition + 1}")
        for size in SGEMM_SIZES:
            rates[size].append(sgemm(size))
        bandwidths.append(copy())
        for name, seconds in exchange().items():
            costs[name].append(seconds)
        turns: list[tuple[str, Callable[[], object]]] = [
            ("bare", bare),
            ("simulation", partial(simulation, slice_exchanges)),
        ]
        for name, turn in turns[:: 1 if repetition % 2 else -1]:
            began = time.perf_counter()
            turn()
            times[name].append((time.perf_counter() - began) / scale.steps)
        for name, peer in peers.items():
            times[name].append(peer.train(slice_exchanges)["seconds"] / scale.steps)
    best = max(SGEMM_SIZES, key=lambda size: median(rates[size]))
    flops = flops_of_a_step(cell)
    normalization = median(a - d for a, d in zip(costs["agn"], costs["downpour"], strict=True))
    row = {
        **cell._asdict(),
        "repetitions": repetitions,
        "steps": scale.steps,
        "sgemm_size": best,
        "sgemm_gflops": median(rates[best]),
        "bare_step_ms": 1e3 * median(times["bare"]),
        "bare_gflops": flops / median(times["bare"]) / 1e9,
        "bare_over_sgemm": median(flops / t / 1e9 / rate for t, rate in zip(times["bare"], rates[best], strict=True)),
        "memory_gb_per_s": median(bandwidths),
        "bare_over_memory_floor": median(
            t * rate * 1e9 / problem.step_bytes for t, rate in zip(times["bare"], bandwidths, strict=True)
        ),
        "simulation_step_ms": 1e3 * median(times["simulation"]),
        "simulation_over_bare": _ratio(times["simulation"], times["bare"]),
    }
    for name in peers:
        row[f"{name}_step_ms"] = 1e3 * median(times[name])
        row[f"{name}_over_simulation"] = _ratio(times[name], times["simulation"])
    return {
        **row,
        "peers_agree": agree if peers else None,
        "peak_mb": peak_mb,
        "state_mb": problem.state_bytes / 1e6,
        "exchange_us": 1e6 * median(costs["agn"]),
        "normalization_us": 1e6 * normalization,
        "normalization_over_phase": normalization / (cell.local_steps * median(times["bare"])),
    }


@own_settings()
def _peak_memory_mb(cell: Cell) -> float:
    """The peak memory of this process, once every worker has made an exchange."""
    training, timeline = Case(cell, 1).training()
    last = min(timeline.exchanges, cell.workers + 2)
    for first, end in pairwise([*range(0, last, training.segment_size), last]):
        jax.device_get(training.apply(first, end))
    return machine.peak_memory_bytes() / 1e6


def _in_process(function: Callable[[Cell], float], cell: Cell) -> float:
    """The function's value in a fresh process with this one's threads and device."""
    with ExitStack() as stack:
        connection = start(stack, _answer, function, cell)
        try:
            return float(connection.recv())
        except EOFError:
            raise ChildProcessError(f"the process that measured {_name(cell)} died") from None


def _answer(connection: Connection, function: Callable[[Cell], float], cell: Cell) -> None:
    machine.prepare(machine.threads())
    connection.send(function(cell))


def _ratio(these: Sequence[float], those: Sequence[float]) -> float:
    return median(a / b for a, b in zip(these, those, strict=True))


def _name(cell: Cell) -> str:
    return f"{cell.model} {cell.local_optimizer}, λ {cell.local_steps}, {cell.workers} workers"
