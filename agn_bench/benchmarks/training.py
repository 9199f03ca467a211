"""What a simulated run costs beside the gradients it must compute, and those beside the machine's matrix products.

Every program trains on and on; a repetition is the next slice of each, in turn, so that all meet the same machine.
"""

from __future__ import annotations

import multiprocessing
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import pairwise, product
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from agn_bench import files, machine
from agn_bench.benchmarks.peers import Peer, started
from agn_bench.delays import draw_delays, load_profile
from agn_bench.optimizers.agn import Agn
from agn_bench.optimizers.downpour import Downpour
from agn_bench.optimizers.local import LocalOptimizer
from agn_bench.problems import datasets, mlp
from agn_bench.registry import DATASETS, LOCAL_OPTIMIZERS, parameter_count, widths
from agn_bench.replay import Training, all_finite, begin, count_correct, local_phase
from agn_bench.streams import Kind, stream
from agn_bench.timeline.events import simulate_timeline
from agn_bench.timeline.record import Timeline

LOCAL_STEPS = (1, 15, 40)
_BATCH = 128
_SCANNED = 15
"""Bare steps a call: so that calls cost nothing beside them."""
_SGEMM_SIZES = (1024, 2048, 4096)
_SGEMM_SECONDS = 0.1
_COPIED, _COPIES = 50_000_000, 3
_EXCHANGES_TIMED = 10
_PEERS_AGREE = 1e-3


@dataclass(frozen=True)
class _Scale:
    """A preset, and how much of it a slice is."""

    dataset: str
    steps: int
    """Gradient steps of a slice."""
    run_steps: int
    """Of a whole run."""
    workers: tuple[int, ...]

    @property
    def evaluated(self) -> int:
        """Images a slice must classify to keep up with a run's 21 evaluations and its last look at the training set."""
        entry = DATASETS[self.dataset]
        images = (21 * entry.test_images + entry.train_images) * self.steps / self.run_steps
        return max(500, round(images / 500) * 500)


SCALES = {
    "mlp-small": _Scale("mnist-5k", 600, 10_400, (1, 40, 400)),
    "mlp-paper": _Scale("mnist", 120, 18_750, (1, 40)),
}


class Cell(NamedTuple):
    model: str
    local_optimizer: str
    local_steps: int
    workers: int


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
        kept = pd.read_csv(path)
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
            problem = _Problem(cell, repetitions)
            running: dict[str, Peer] = {}
            if scripts:
                problem.save(Path(folder) / "cell.npz")
            for name, script in scripts.items():
                on_step(f"{_name(cell)}: {name} begins")
                peer = stack.enter_context(started(script, Path(folder) / "cell.npz", machine.threads()))
                if peer is not None:
                    running[name] = peer
            yield _measure(cell, problem, repetitions, running, peak_mb, on_step)


def _measure(
    cell: Cell,
    problem: _Problem,
    repetitions: int,
    peers: dict[str, Peer],
    peak_mb: float,
    on_step: Callable[[str], None],
) -> dict[str, Any]:
    scale, simulation = SCALES[cell.model], problem.simulation()
    bare, sgemm, copy, exchange = problem.bare_steps(), _Sgemm(), _Copy(), _ExchangeCost(cell)
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
    rates: dict[int, list[float]] = {size: [] for size in _SGEMM_SIZES}
    bandwidths: list[float] = []
    costs: dict[str, list[float]] = {"agn": [], "downpour": []}
    for repetition in range(repetitions):
        on_step(f"{_name(cell)}: repetition {repetition + 1}")
        for size in _SGEMM_SIZES:
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
    best = max(_SGEMM_SIZES, key=lambda size: median(rates[size]))
    flops = _flops(widths(cell.model, scale.dataset))
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


class _Problem:
    """A cell's data, timeline, mini-batches and initial parameters."""

    def __init__(self, cell: Cell, repetitions: int) -> None:
        scale = SCALES[cell.model]
        self.cell, self.scale, self.repetitions = cell, scale, repetitions
        self.widths = widths(cell.model, scale.dataset)
        self.local = LocalOptimizer(cell.local_optimizer, LOCAL_OPTIMIZERS[cell.local_optimizer].learning_rate / 10)
        self.initial = mlp.initial_params(stream(0, Kind.PARAMETERS), self.widths)
        slots = 1 + LOCAL_OPTIMIZERS[cell.local_optimizer].slots
        self.state_bytes = 4 * parameter_count(self.widths) * slots
        # State read and written, slopes written and read: what no step can do without.
        self.step_bytes = 2 * self.state_bytes + 2 * 4 * parameter_count(self.widths)
        digits = datasets.load("mnist-5k")
        images = DATASETS[scale.dataset].train_images
        again = np.arange(images) % len(digits.train_labels)
        self.images, self.labels = digits.train_images[again], digits.train_labels[again]
        tested = np.arange(scale.evaluated) % len(digits.test_labels)
        self.test_images, self.test_labels = digits.test_images[tested], digits.test_labels[tested]
        exchanges = max(cell.workers, scale.steps // cell.local_steps) + repetitions * scale.steps // cell.local_steps
        self.phases = 3 * exchanges // cell.workers // 2 + 5
        # First come, first served: what the peers' loops do.
        profile = load_profile("paper-cluster", ["server.order=fifo"])
        self.draws = draw_delays(profile, 0, cell.workers, self.phases, cell.local_steps)
        steps = max(self.phases * cell.local_steps, -(-(repetitions + 1) * scale.steps // cell.workers))
        shape = (cell.workers, steps, _BATCH)
        self.batches = stream(0, Kind.DATA).integers(0, images, shape, dtype=np.int32)

    def save(self, path: Path) -> None:
        """What a peer needs of it."""
        draws, per_worker = self.draws, (self.cell.workers, self.phases)
        times = {name: getattr(draws, name).reshape(per_worker) for name in ("compute", "up", "down", "server")}
        layers = {f"{name}_{i}": layer[name] for i, layer in enumerate(self.initial) for name in layer}
        arrays: dict[str, Any] = {**times, **layers}
        np.savez(
            path,
            images=self.images,
            labels=self.labels,
            test_images=self.test_images,
            test_labels=self.test_labels,
            batches=self.batches,
            begin=draws.begin,
            local_steps=self.cell.local_steps,
            learning_rate=self.local.learning_rate,
            optimizer=self.local.name,
            **arrays,
        )

    def bare_steps(self) -> Callable[[], None]:
        """Train one model for a slice's steps: same model, optimizer and mini-batches, nothing simulated."""
        images, labels, local = self._on_device(self.images, self.labels, self.local)
        calls = self.scale.steps // _SCANNED
        shape = (calls * (self.repetitions + 1), _SCANNED, _BATCH)
        batches = [jax.device_put(batch) for batch in np.resize(self.batches, shape)]
        state = begin(self._on_device(self.initial), local)
        position = 0

        def train() -> None:
            nonlocal state, position
            for _ in range(calls):
                state, losses, _ = _bare(state, batches[position % len(batches)], images, labels, local, loss=mlp.loss)
                position += 1
            _finish((state, losses))

        return train

    def training(self) -> tuple[Training, Timeline]:
        timeline = simulate_timeline(self.draws)
        images, labels = self._on_device(self.images, self.labels)
        return Training(timeline, self.batches, Agn(), self.local, mlp.loss, self.initial, images, labels), timeline

    def simulation(self) -> Callable[[int], tuple[list[float], list[int]]]:
        """Apply the next exchanges as a run does, and evaluate; gives the last exchange's losses, and the workers."""
        training, timeline = self.training()
        tested = self._on_device(self.test_images, self.test_labels)
        position = 0

        def train(exchanges: int) -> tuple[list[float], list[int]]:
            nonlocal position
            begin, end = position, position + exchanges

            def look(version: int) -> tuple[jax.Array, jax.Array | None]:
                center = training.center
                return all_finite(center), count_correct(center, *tested, loss=mlp.loss) if version == end else None

            for seen in training.along(pairwise([*range(begin, end, training.segment_size), end]), look):
                first, last, record, _ = seen
            position = end
            return record.losses[last - first - 1].tolist(), timeline.worker[begin:end].tolist()

        return train

    @staticmethod
    def _on_device(*values: Any) -> Any:
        copies = jax.tree.map(lambda leaf: jnp.array(leaf, copy=True), values)
        return copies if len(values) > 1 else copies[0]


_bare = partial(jax.jit, static_argnames=("loss",), donate_argnames=("worker",))(local_phase)


class _Sgemm:
    """The machine's rate in products of square matrices, FLOP/s / 10⁹."""

    def __init__(self) -> None:
        generator = np.random.default_rng(0)
        self._factors = {size: jnp.asarray(generator.random((2, size, size), np.float32)) for size in _SGEMM_SIZES}
        self._product = jax.jit(lambda pair: pair[0] @ pair[1])

    def __call__(self, size: int) -> float:
        _finish(self._product(self._factors[size]))
        began, products = time.perf_counter(), 0
        while (taken := time.perf_counter() - began) < _SGEMM_SECONDS:
            _finish(self._product(self._factors[size]))
            products += 1
        return 2 * size**3 * products / taken / 1e9


class _Copy:
    """The memory's rate, reading and writing together, bytes/s / 10⁹."""

    def __init__(self) -> None:
        self._array = jnp.zeros(_COPIED)
        self._add = jax.jit(lambda array: array + 1, donate_argnums=0)
        self()

    def __call__(self) -> float:
        began = time.perf_counter()
        for _ in range(_COPIES):
            self._array = _finish(self._add(self._array))
        return 2 * self._array.nbytes * _COPIES / (time.perf_counter() - began) / 1e9


class _ExchangeCost:
    """Seconds of an exchange itself, with AGN's normalization and without."""

    def __init__(self, cell: Cell) -> None:
        initial = mlp.initial_params(stream(0, Kind.PARAMETERS), widths(cell.model, SCALES[cell.model].dataset))
        self._center, self._start, self._end = (_Problem._on_device(initial) for _ in range(3))
        self._exchanges = {
            name: jax.jit(
                lambda center, start, end, method=method: method.exchange(
                    center, start, end, cell.local_steps, jnp.int32(0)
                )[0],
                donate_argnums=1,
            )
            for name, method in (("agn", Agn()), ("downpour", Downpour()))
        }

    def __call__(self) -> dict[str, float]:
        seconds: dict[str, list[float]] = {name: [] for name in self._exchanges}
        for _ in range(_EXCHANGES_TIMED):
            for name, exchange in self._exchanges.items():
                began = time.perf_counter()
                self._start = _finish(exchange(self._center, self._start, self._end))
                seconds[name].append(time.perf_counter() - began)
        return {name: median(values) for name, values in seconds.items()}


def _peak_memory_mb(cell: Cell) -> float:
    """Of this process, once every worker has made an exchange."""
    training, timeline = _Problem(cell, 1).training()
    last = min(timeline.exchanges, cell.workers + 2)
    for first, end in pairwise([*range(0, last, training.segment_size), last]):
        jax.device_get(training.apply(first, end))
    return machine.peak_memory_bytes() / 1e6


def _in_process(function: Callable[[Cell], float], cell: Cell) -> float:
    """The function's value in a fresh process with this one's threads and device."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_answer, args=(theirs, function, cell), daemon=True)
    process.start()
    theirs.close()
    try:
        return float(ours.recv())
    except EOFError:
        raise ChildProcessError(f"the process that measured {_name(cell)} died") from None
    finally:
        process.terminate()
        process.join()


def _answer(connection: Connection, function: Callable[[Cell], float], cell: Cell) -> None:
    machine.prepare(machine.threads())
    connection.send(function(cell))


def _finish(values: Any) -> Any:
    """The values, computed."""
    return jax.block_until_ready(values)  # type: ignore[no-untyped-call]


def _flops(widths: Sequence[int]) -> int:
    """Of a mini-batch step: three products a layer, but for the slope of the images."""
    weights = [inputs * outputs for inputs, outputs in pairwise(widths)]
    return 2 * _BATCH * (3 * sum(weights) - weights[0])


def _ratio(these: Sequence[float], those: Sequence[float]) -> float:
    return median(a / b for a, b in zip(these, those, strict=True))


def _name(cell: Cell) -> str:
    return f"{cell.model} {cell.local_optimizer}, λ {cell.local_steps}, {cell.workers} workers"
