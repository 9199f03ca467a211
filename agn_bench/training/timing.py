"""The timeline of a configuration: simulated from its delays, or the recorded one that it names."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from agn_bench.base.inputs import BadInput
from agn_bench.clock import Profile, draw_delays, load_profile, profile_names
from agn_bench.clock.events import simulate_timeline
from agn_bench.clock.speeds import slowness_of
from agn_bench.clock.stops import Stop
from agn_bench.clock.timeline import Timeline
from agn_bench.clock.trace import Trace
from agn_bench.config.run import RunConfig


def timeline_of(config: RunConfig) -> Timeline:
    """When the configuration's exchanges happen."""
    if isinstance(config.delays, Trace):
        return config.delays.with_local_steps(config.local_steps)
    return simulate_timeline(
        draw_delays(
            config.delays,
            config.seed,
            config.workers,
            config.phases,
            config.local_steps,
            config.message_bytes,
        )
    )


def active_timeline(profile: Profile, seed: int, workers: int, local_steps: int, size: int, exchanges: int) -> Timeline:
    """The first so many exchanges of workers that never stop.

    A worker's phases are drawn as its speed lets expect, and twice as many if they did not last; as the first draws
    do not depend on how many there are, the timeline does not either.

    Args:
        size: bytes of a message.
    """
    expected = np.ceil(1.2 * exchanges * _shares(profile, seed, workers, local_steps, size)) + 10
    phases = np.minimum(expected, exchanges + 1).astype(np.int64)
    while True:
        timeline = simulate_timeline(
            draw_delays(profile, seed, workers, phases, local_steps, size), stop=Stop(exchanges)
        )
        stopped = np.bincount(timeline.worker, minlength=workers) >= phases
        if not stopped.any():
            return timeline
        phases[stopped] = np.minimum(2 * phases[stopped], exchanges + 1)


def _shares(profile: Profile, seed: int, workers: int, local_steps: int, size: int) -> np.ndarray:
    """The fraction of the exchanges that each worker would make if none ever waited, (workers,)."""
    step = local_steps * profile.step.moments().mean * slowness_of(profile.speeds, seed, workers)
    rest = sum(
        getattr(profile, part).moments().mean + profile.transfer_s(part, size) for part in ("up", "down", "server")
    )
    rates = 1 / np.maximum(step + rest, np.finfo(float).tiny)
    return rates / rates.sum()


def recognised(config: RunConfig) -> RunConfig:
    """The same configuration; if its recorded timeline is the very one, to the bit, that its delays and seed give, with
    those delays, or if none were asked for, those of any shipped profile. So a run replayed from its own commits.csv is
    that run, under that run's name.

    Raises:
        BadInput: delays were asked for beside the timeline, and give another one.
    """
    trace = config.delays
    if not isinstance(trace, Trace) or trace.instead_of is None:
        return config
    shipped = () if trace.required else map(load_profile, profile_names())
    for profile in (trace.instead_of, *shipped):
        simulated = replace(config, delays=profile)
        if simulated.exchanges == config.exchanges and _same(timeline_of(simulated), timeline_of(config)):
            return simulated
    if trace.required:
        problem = f"not what --timeline {trace.name} holds, with seed {config.seed}"
        accepted = "the delays that the timeline was simulated from, or none"
        raise BadInput("delays", trace.instead_of.name, problem, accepted)
    return config


def _same(one: Timeline, other: Timeline) -> bool:
    """Whether two timelines have the very same exchanges."""
    columns = zip(one.rows().values(), other.rows().values(), strict=True)
    return (one.workers, one.local_steps, one.exchanges) == (other.workers, other.local_steps, other.exchanges) and all(
        np.array_equal(mine, theirs, equal_nan=mine.dtype.kind == "f") for mine, theirs in columns
    )
