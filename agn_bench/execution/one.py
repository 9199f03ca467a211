"""One run, wherever it is made: the very same function in this process, in another, and on a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from agn_bench.base import machine
from agn_bench.base.chosen import Chosen, packages
from agn_bench.base.user_code import called
from agn_bench.clock import Profile
from agn_bench.config.run import RunConfig
from agn_bench.problems import Batch, Data, Problem
from agn_bench.training.records import Check, Progress, RunResult


@dataclass(frozen=True)
class Terms:
    """What every run is made with, besides its configuration; results do not depend on it."""

    data_dir: Path | None = None
    """The folder of the data sets, where runs are made; None: the default."""
    keep_center: bool = False
    """Whether the result holds the final center. It is as large as the model, and costs sending."""


NOTHING_SPECIAL = Terms()


def make(
    config: RunConfig,
    terms: Terms = NOTHING_SPECIAL,
    on_progress: Callable[[Progress], object] | None = None,
    checks: Sequence[Check] = (),
) -> RunResult:
    """Make a run here, up to its end or to where a check ends it. JAX's threads and device must be set (see
    machine.prepare).

    Raises:
        BadInput: the data set is not here, or the run cannot be made (see simulate.simulate).
    """
    from agn_bench.training.simulate import simulate

    started = datetime.now(UTC).isoformat(timespec="seconds")
    result = simulate(config, load_once(config.trains, terms.data_dir), on_progress, checks)
    facts = {
        "started": started,
        "machine": _described(config),
        "peak_memory_mb": round(machine.peak_memory_bytes() / 1e6),
    }
    replay = result.replay if terms.keep_center else replace(result.replay, center=None)
    return replace(result, replay=replay, facts=facts)


def _described(config: RunConfig) -> dict[str, Any]:
    """The machine, with the versions of the packages that the run's things are from."""
    described = machine.describe()
    things = [value.thing for one in fields(config) if isinstance(value := getattr(config, one.name), Chosen)]
    if isinstance(delays := config.delays, Profile):
        things += [delays.step, delays.up, delays.down, delays.server, delays.speeds]
    return {**described, "versions": {**described["versions"], **packages(things)}}


def settled(configs: Iterable[RunConfig]) -> list[RunConfig]:
    """The runs that configurations are, and under whose names they are kept: a recorded timeline that delays and a seed
    give to the bit is the run of these. Whatever makes or simulates runs begins with this, once.

    Raises:
        BadInput: delays were asked for together with a recorded timeline, and give another one.
    """
    from agn_bench.training.timing import recognised

    return [recognised(config) for config in configs]


def load_once(problem: Problem, data_dir: Path | None) -> tuple[Batch, Batch | None]:
    """A problem's data, read once by a process that sees that they are there and makes several runs with them."""
    if type(problem).load is Problem.load and problem.data is not None:
        return _load_data(problem.data, problem.data_name, data_dir)  # whichever problem learns from them
    return _load_own(problem, data_dir)


@lru_cache(maxsize=1)
def _load_data(data: Data, name: str, data_dir: Path | None) -> tuple[Batch, Batch | None]:
    return data.load(data_dir, name)


@lru_cache(maxsize=1)
def _load_own(problem: Problem, data_dir: Path | None) -> tuple[Batch, Batch | None]:
    kind = type(problem)
    with called(kind, f"{kind.__name__}.load({data_dir})"):
        return problem.load(data_dir)
