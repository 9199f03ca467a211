"""What a sweep will take, from short runs of its own kind made as the sweep would make them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from agn_bench.base.chosen import Chosen
from agn_bench.clock import Profile, load_profile
from agn_bench.config.defaults import EVALUATIONS
from agn_bench.config.run import RunConfig
from agn_bench.execution.one import Terms, load_once
from agn_bench.execution.processes import make_here, make_in_processes
from agn_bench.execution.work import Watcher, Work
from agn_bench.optimizers import OPTIMIZERS, Optimizer
from agn_bench.problems.mlp import Mlp
from agn_bench.training.records import Progress, RunResult

_SHORT_OPERATIONS = 5e10
"""The operations of a short run: about a second, with one thread."""
_SLOWER = 4
"""Operations of other problems take so many times as long as those of products of large matrices, about."""
_MOST_STEPS, _MOST_LOCAL_STEPS = 1000, 10
_SECONDS_TO_START = 2.0


@dataclass(frozen=True)
class Estimate:
    """What runs take that are made so many at once."""

    seconds: float
    """Wall clock, of all of them."""
    process_bytes: float
    """Memory of the largest process."""


def kinds(configs: Sequence[RunConfig]) -> dict[tuple[object, ...], list[RunConfig]]:
    """The runs by what a short run is made of: those whose gradient steps cost the same."""
    found: dict[tuple[object, ...], list[RunConfig]] = {}
    for config in configs:
        kind = (config.trains, config.batch_size, config.local_optimizer.name)
        found.setdefault(kind, []).append(config)
    return found


def estimate(
    configs: Sequence[RunConfig],
    processes: int,
    data_dir: Path | None,
    on_step: Callable[[str], None],
    on_tick: Callable[[], None],
) -> Estimate:
    """Measure a short run of every kind, on as many processes at once as the sweep will have.

    Args:
        on_step: told of every kind.
        on_tick: called now and then; what it raises ends the measurement.

    Raises:
        Exception: what a short run fails with.
    """
    seconds, largest = 0.0, 0.0
    for alike in kinds(configs).values():
        on_step(f"{alike[0].subject}, {alike[0].local_optimizer}")
        measured = _Measured(alike[0], processes, data_dir, on_tick)
        seconds += sum(measured.seconds(config) for config in alike)
        seconds += measured.compiling_s * len({config.program for config in alike})
        largest = max(largest, *(measured.process_bytes + config.memory_bytes for config in alike))
    at_once = max(1, min(processes, len(configs)))
    return Estimate(seconds / at_once + _SECONDS_TO_START, largest)


class _Measured:
    """A line through two short runs: what a gradient step costs, and what a run costs besides."""

    def __init__(self, config: RunConfig, processes: int, data_dir: Path | None, on_tick: Callable[[], None]) -> None:
        operations = _operations(config, data_dir)
        local_steps = min(config.local_steps, _MOST_LOCAL_STEPS)
        phases = max(1, round(min(_SHORT_OPERATIONS / operations, _MOST_STEPS) / local_steps))
        short = _short(config, local_steps, phases)
        long = _short(config, local_steps, 3 * phases)
        # All processes have compiled once the first runs are made, and every run has others beside it.
        first = replace(short, window=2 * short.window)  # another run of the same programs
        stages = [[replace(kind, seed=seed) for seed in range(processes)] for kind in (first, short, long)]
        watcher = _Stopwatch(on_tick)
        work = Work([config for stage in stages for config in stage])
        if processes > 1:
            make_in_processes(work, watcher, Terms(data_dir), processes)
        else:
            make_here(work, watcher, Terms(data_dir))
        compiling, once, thrice = (median(watcher.seconds[config.run_id] for config in stage) for stage in stages)
        self.step_s = max(0.0, (thrice - once) / (long.steps - short.steps))
        self._rest_s = max(0.0, once - self.step_s * short.steps)
        self.compiling_s = max(0.0, compiling - once)
        self.process_bytes = max(watcher.peak_bytes - long.memory_bytes, 0.0)

    def seconds(self, config: RunConfig) -> float:
        """A run's time: its steps, and evaluations beyond the two, and the one on the training set, of a short run."""
        problem = config.trains
        evaluations = EVALUATIONS if config.eval_every is None else config.exchanges // config.eval_every
        evaluation = self._rest_s * max(1, problem.tested) / (2 * max(1, problem.tested) + problem.examples)
        return self.step_s * config.steps + self._rest_s + max(0, evaluations - 1) * evaluation


def _operations(config: RunConfig, data_dir: Path | None) -> float:
    """The operations of a gradient step, about, as those of products of large matrices."""
    problem = config.trains
    if isinstance(problem, Mlp):
        return 6 * config.batch_size * problem.size
    import jax
    import numpy as np

    from agn_bench.training.task import task_of

    train, _ = load_once(problem, data_dir)
    task, params = task_of(problem, problem.init(np.random.default_rng(0)))
    batch = jax.tree.map(lambda leaf: leaf[: config.batch_size], train)
    step = jax.jit(jax.value_and_grad(task.loss, has_aux=True)).lower(params, batch)
    return _SLOWER * float((step.cost_analysis() or {}).get("flops", 6 * config.batch_size * problem.size))


def _short(config: RunConfig, local_steps: int, phases: int) -> RunConfig:
    """A run of the same steps with one worker, evaluated at its start and end."""
    return replace(
        config,
        optimizer=_alone(config.optimizer),
        workers=1,
        shares="equal",
        seconds=None,
        until=None,
        local_steps=local_steps,
        local_steps_rule=None,
        gradient_steps=local_steps * phases,
        eval_every=phases,
        window=1e6,
        delays=_delays(config),
    )


def _alone(optimizer: Chosen[Optimizer]) -> Chosen[Optimizer]:
    """The optimizer, if one worker can keep its rules."""
    return OPTIMIZERS.choose("agn") if optimizer.thing.rules(1).problem(1) else optimizer


def _delays(config: RunConfig) -> Profile:
    """A recorded timeline has workers and phases of its own; what a step costs does not depend on them."""
    return config.delays if isinstance(config.delays, Profile) else load_profile("ideal")


class _Stopwatch(Watcher):
    """Notes how long each run took."""

    def __init__(self, on_tick: Callable[[], None]) -> None:
        self._on_tick = on_tick
        self.seconds: dict[str, float] = {}
        self.peak_bytes = 0.0

    def tick(self) -> None:
        self._on_tick()

    def progressed(self, config: RunConfig, progress: Progress) -> None:
        self.tick()

    def ended(self, config: RunConfig, result: RunResult) -> None:
        self.seconds[config.run_id] = result.wall_clock_s["total"]
        self.peak_bytes = max(self.peak_bytes, 1e6 * result.facts["peak_memory_mb"])

    def failed(self, config: RunConfig, error: Exception) -> None:
        raise error
