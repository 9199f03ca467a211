"""The programs that are timed for a cell: its simulation, its bare steps, and what a machine can do at best.

Each is a call that goes on where the one before left off, and returns when everything is computed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from agn_bench.base.streams import Kind, stream
from agn_bench.clock import draw_delays, load_profile
from agn_bench.clock.stops import NEVER
from agn_bench.clock.timeline import Timeline
from agn_bench.optimizers import LOCAL_OPTIMIZERS, Commit, Optimizer, Server, Worker, as_pytree
from agn_bench.optimizers.agn import Agn
from agn_bench.optimizers.downpour import Downpour
from agn_bench.problems import Problem
from agn_bench.problems.catalogue import DATASETS, MODELS
from agn_bench.problems.cnn import Cnn
from agn_bench.problems.mlp import Mlp
from agn_bench.problems.transformer import Transformer
from agn_bench.training.carry import Training
from agn_bench.training.evaluation import evaluated
from agn_bench.training.exchange import all_finite, begin, local_phase
from agn_bench.training.task import task_of

SGEMM_SIZES = (1024, 2048, 4096)
_SCANNED = 15
"""Bare steps a call: so that calls cost nothing beside them."""
_SGEMM_SECONDS = 0.1
_COPIED, _COPIES = 50_000_000, 3
_EXCHANGES_TIMED = 10


@dataclass(frozen=True)
class Scale:
    """A problem as it is usually trained, and how much of that a slice is."""

    trains: Problem
    batch: int
    steps: int
    """Gradient steps of a slice."""
    run_steps: int
    """Gradient steps of a whole run."""
    workers: tuple[int, ...]

    @property
    def evaluated(self) -> int:
        """Examples a slice must evaluate to keep up with a run's 21 evaluations and its last of the training set."""
        examples = (21 * self.trains.tested + self.trains.examples) * self.steps / self.run_steps
        return max(500, round(examples / 500) * 500)


_DIGITS = DATASETS["mnist-5k"]
SCALES = {
    "mlp-small": Scale(MODELS["mlp-small"].on(_DIGITS), 128, 600, 10_400, (1, 40, 400)),
    "mlp-paper": Scale(MODELS["mlp-paper"].on(DATASETS["mnist"]), 128, 120, 18_750, (1, 40)),
    "cnn": Scale(Cnn().on(_DIGITS, "mnist-5k"), 32, 240, 5_200, (1, 40)),
    "transformer": Scale(Transformer(), 32, 360, 10_400, (1, 40)),
}
"""By the name of a model or of another problem."""
PERCEPTRONS = ("mlp-small", "mlp-paper")


class Cell(NamedTuple):
    """What is trained, and how."""

    model: str
    local_optimizer: str
    local_steps: int
    workers: int


class Case:
    """A cell's data, timeline, mini-batches and initial parameters."""

    def __init__(self, cell: Cell, repetitions: int) -> None:
        scale = SCALES[cell.model]
        self.cell, self.scale, self.repetitions = cell, scale, repetitions
        chosen = LOCAL_OPTIMIZERS.choose(cell.local_optimizer)
        self.learning_rate = chosen.number("learning_rate") / 10
        chosen = LOCAL_OPTIMIZERS.with_numbers(chosen, {"learning_rate": self.learning_rate})
        self.local = as_pytree(chosen.thing)
        self.task, self.initial = task_of(scale.trains, scale.trains.init(stream(0, Kind.PARAMETERS)))
        slots = 1 + self.local.slots
        size = scale.trains.size
        self.state_bytes = 4 * size * slots
        # State read and written, slopes written and read: what no step can do without.
        self.step_bytes = 2 * self.state_bytes + 2 * 4 * size
        # As many examples as the problem has: the digits that are installed, again and again.
        train, test = scale.trains.load(None) if cell.model not in PERCEPTRONS else _DIGITS.load(None, "mnist-5k")
        self.train, self.test = _so_many(train, scale.trains.examples), _so_many(test, scale.evaluated)
        exchanges = max(cell.workers, scale.steps // cell.local_steps) + repetitions * scale.steps // cell.local_steps
        self.phases = 3 * exchanges // cell.workers // 2 + 5
        # First come, first served: what the peers' loops do.
        profile = load_profile("paper-cluster", ["server.order=fifo"])
        self.draws = draw_delays(profile, 0, cell.workers, self.phases, cell.local_steps)
        steps = max(self.phases * cell.local_steps, -(-(repetitions + 1) * scale.steps // cell.workers))
        shape = (cell.workers, steps, scale.batch)
        self.batches = stream(0, Kind.DATA).integers(0, scale.trains.examples, shape, dtype=np.int32)

    def save(self, path: Path) -> None:
        """What a peer needs of it."""
        draws, per_worker = self.draws, (self.cell.workers, self.phases)
        times = {name: getattr(draws, name).reshape(per_worker) for name in ("compute", "up", "down", "server")}
        layers = {f"{name}_{i}": layer[name] for i, layer in enumerate(self.initial) for name in layer}
        arrays: dict[str, Any] = {**times, **layers}
        np.savez(
            path,
            images=self.train[0],
            labels=self.train[1],
            test_images=self.test[0],
            test_labels=self.test[1],
            batches=self.batches,
            begin=draws.begin,
            local_steps=self.cell.local_steps,
            learning_rate=self.learning_rate,
            optimizer=self.cell.local_optimizer,
            **arrays,
        )

    def bare_steps(self) -> Callable[[], None]:
        """Train one model for a slice's steps: same model, optimizer and mini-batches, nothing simulated."""
        data, local = self._on_device(self.train, self.local)
        calls = self.scale.steps // _SCANNED
        shape = (calls * (self.repetitions + 1), _SCANNED, self.scale.batch)
        batches = [jax.device_put(batch) for batch in np.resize(self.batches, shape)]
        state = begin(self._on_device(self.initial), local, as_pytree(Agn()))
        position = 0

        def train() -> None:
            nonlocal state, position
            for _ in range(calls):
                state, losses, _ = _bare(state, batches[position % len(batches)], data, local, self.task)
                position += 1
            _finish((state, losses))

        return train

    def training(self, optimizer: Optimizer | None = None) -> tuple[Training, Timeline]:
        """With AGN, or another optimizer."""
        chosen = optimizer or Agn()
        timeline = chosen.timeline(self.draws, chosen.rules(self.cell.workers), NEVER)
        train = self._on_device(self.train)
        return Training(timeline, self.batches, chosen, self.local, self.task, self.initial, train), timeline

    def simulation(self) -> Callable[[int], tuple[list[float], list[int]]]:
        """Apply the next exchanges as a run does, and evaluate; gives the last exchange's losses, and the workers."""
        training, timeline = self.training()
        tested = self._on_device(self.test)
        position = 0

        def train(exchanges: int) -> tuple[list[float], list[int]]:
            nonlocal position
            begin, end = position, position + exchanges

            def look(version: int) -> tuple[jax.Array, Any]:
                center = training.center
                return all_finite(center), evaluated(self.task, center, tested) if version == end else None

            for seen in training.along(pairwise([*range(begin, end, training.segment_size), end]), look):
                first, last, record, _ = seen
            position = end
            return record.losses[last - first - 1].tolist(), timeline.worker[begin:end].tolist()

        return train

    @staticmethod
    def _on_device(*values: Any) -> Any:
        copies = jax.tree.map(lambda leaf: jnp.array(leaf, copy=True), values)
        return copies if len(values) > 1 else copies[0]


_bare = partial(jax.jit, donate_argnames=("worker",))(local_phase)


class Sgemm:
    """The machine's rate in products of square matrices, FLOP/s / 10⁹."""

    def __init__(self) -> None:
        generator = np.random.default_rng(0)
        self._factors = {size: jnp.asarray(generator.random((2, size, size), np.float32)) for size in SGEMM_SIZES}
        self._product = jax.jit(lambda pair: pair[0] @ pair[1])

    def __call__(self, size: int) -> float:
        _finish(self._product(self._factors[size]))
        began, products = time.perf_counter(), 0
        while (taken := time.perf_counter() - began) < _SGEMM_SECONDS:
            _finish(self._product(self._factors[size]))
            products += 1
        return 2 * size**3 * products / taken / 1e9


class Copy:
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


class ExchangeCost:
    """Seconds of an exchange itself, with AGN's normalization and without."""

    def __init__(self, cell: Cell) -> None:
        trains = SCALES[cell.model].trains
        _, initial = task_of(trains, trains.init(stream(0, Kind.PARAMETERS)))
        self._center, self._start, self._end = (Case._on_device(initial) for _ in range(3))
        commit = Commit(None, cell.local_steps, jnp.int32(0), jnp.int32(cell.workers), jnp.nan)

        def exchange(optimizer: Optimizer, center: Any, start: Any, end: Any) -> Any:
            return optimizer.commit(Server(center, ()), Worker(end, ()), commit._replace(start=start))[0].center

        self._exchanges = {
            name: jax.jit(partial(exchange, optimizer), donate_argnums=1)
            for name, optimizer in (("agn", Agn()), ("downpour", Downpour()))
        }

    def __call__(self) -> dict[str, float]:
        seconds: dict[str, list[float]] = {name: [] for name in self._exchanges}
        for _ in range(_EXCHANGES_TIMED):
            for name, exchange in self._exchanges.items():
                began = time.perf_counter()
                self._start = _finish(exchange(self._center, self._start, self._end))
                seconds[name].append(time.perf_counter() - began)
        return {name: median(values) for name, values in seconds.items()}


def _finish(values: Any) -> Any:
    """The values, computed."""
    return jax.block_until_ready(values)  # type: ignore[no-untyped-call]


def _so_many(data: Any, count: int) -> Any:
    """So many examples, those that there are again and again."""
    return jax.tree.map(lambda leaf: leaf[np.arange(count) % len(leaf)], data)


def flops_of_a_step(cell: Cell) -> float:
    """The operations of a mini-batch step: for a multilayer perceptron three products a layer, but for the slope of the
    images; for others what XLA counts.
    """
    scale = SCALES[cell.model]
    if isinstance(scale.trains, Mlp) and scale.trains.data is not None:
        weights = [inputs * outputs for inputs, outputs in pairwise(scale.trains.widths(scale.trains.data))]
        return 2 * scale.batch * (3 * sum(weights) - weights[0])
    case = Case(cell, 1)
    batch = jax.tree.map(lambda leaf: leaf[: scale.batch], case.train)
    step = jax.jit(jax.value_and_grad(case.task.loss, has_aux=True)).lower(case.initial, batch)
    return float((step.cost_analysis() or {}).get("flops", float("nan")))
