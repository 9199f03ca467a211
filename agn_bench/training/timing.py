"""The timeline of a configuration: simulated from its delays, or the recorded one that it names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np

from agn_bench.base.inputs import BadInput
from agn_bench.base.user_code import UserCodeError, called
from agn_bench.clock import Draws, Profile, draw_delays, load_profile, profile_names
from agn_bench.clock.events import simulate_timeline
from agn_bench.clock.stops import Stop, cut, used
from agn_bench.clock.timeline import MOST_EXCHANGES, Timeline
from agn_bench.clock.trace import Trace
from agn_bench.config.run import RunConfig
from agn_bench.optimizers import Optimizer


def timeline_of(config: RunConfig) -> Timeline:
    """When the configuration's exchanges happen.

    Raises:
        BadInput: not one of them is made before it ends, or more than can be held.
    """
    rules, stop = config.rules, config.stop
    if isinstance(config.delays, Trace):
        if type(config.optimizer.thing).timeline is not Optimizer.timeline:
            problem = f"a recorded timeline, and {config.optimizer} has a clock of its own"
            raise BadInput("timeline", config.delays.name, problem, "another optimizer, or simulated delays")
        timeline = config.delays.under(rules, config.local_steps)
        timeline = cut(timeline, None, stop)
    elif config.shares == "equal":
        draws = draw_delays(
            config.delays, config.seed, config.workers, config.phases, config.local_steps, config.message_bytes
        )
        timeline = cut(_simulated(config, draws, stop), draws, stop)
    else:
        timeline = _endless_of(config, stop, config.exchanges)
    if not timeline.exchanges:
        option = "gradient_steps" if config.seconds is None else "seconds"
        raise BadInput(
            option, getattr(config, option), "no exchange is made by then", "enough for at least one exchange"
        )
    if not timeline.version[-1]:
        missing = f"the {rules.quorum} commits of a version" if rules.quorum > 1 else "the commits of a version"
        problem = f"{missing} are never there in {timeline.exchanges} exchanges"
        raise BadInput("optimizer", config.optimizer.spelled, problem, "more work or time, or fewer commits a version")
    return timeline


def active_timeline(profile: Profile, seed: int, workers: int, local_steps: int, size: int, exchanges: int) -> Timeline:
    """The first so many exchanges of asynchronous workers that never stop.

    Args:
        size: bytes of a message.
    """
    stop = Stop(exchanges)
    simulate = partial(simulate_timeline, stop=stop)
    return _endless(simulate, profile, seed, workers, local_steps, size, stop, exchanges)


def active_timeline_of(config: RunConfig, exchanges: int) -> Timeline:
    """The first so many exchanges of a configuration, of workers that never stop."""
    return _endless_of(config, Stop(exchanges), exchanges)


def _endless_of(config: RunConfig, stop: Stop, expected: int) -> Timeline:
    assert isinstance(config.delays, Profile)
    simulate = partial(_simulated, config, stop=stop)
    known = config.delays, config.seed, config.workers, config.local_steps, config.message_bytes
    return _endless(simulate, *known, stop, expected)


def _simulated(config: RunConfig, draws: Draws, stop: Stop) -> Timeline:
    kind = type(config.optimizer.thing)
    if kind.timeline is Optimizer.timeline:
        return simulate_timeline(draws, config.rules, stop)
    call = f"{kind.__name__}.timeline(draws of {draws.workers} workers, {config.rules}, {stop})"
    with called(kind, call):
        timeline = config.optimizer.thing.timeline(draws, config.rules, stop)
    if not isinstance(timeline, Timeline):
        raise UserCodeError(f"{call} gave {type(timeline).__name__}, not a Timeline")
    return timeline


def _endless(
    simulate: Callable[[Draws], Timeline],
    profile: Profile,
    seed: int,
    workers: int,
    local_steps: int,
    size: int,
    stop: Stop,
    expected: int,
) -> Timeline:
    """The timeline of workers that never stop, up to the stop.

    A worker's phases are drawn as its speed lets expect, and twice as many if they did not last; as the first draws
    do not depend on how many there are, the timeline does not either.

    Args:
        expected: exchanges, of all workers together.
    """
    rates = profile.rates(seed, workers, local_steps, size)
    phases = np.ceil(1.2 * expected * rates / rates.sum()).astype(np.int64) + 10
    while True:
        draws = draw_delays(profile, seed, workers, phases, local_steps, size)
        timeline = cut(simulate(draws), draws, stop)
        ended = used(timeline) >= phases
        if not ended.any():
            return timeline
        if phases.sum() > 2 * MOST_EXCHANGES:
            accepted = f"an end after at most {MOST_EXCHANGES} phases"
            raise BadInput("seconds", stop.seconds or "", f"{phases.sum()} local phases and more", accepted)
        phases[ended] *= 2


def recognised(config: RunConfig) -> RunConfig:
    """The same configuration; if its recorded timeline is the very one, to the bit, that its delays and seed give, with
    those delays, or if none were asked for, those of any shipped profile. So a run replayed from its own commits.csv is
    that run, under that run's name.

    Raises:
        BadInput: delays were asked for together with the timeline, and give another one.
    """
    trace = config.delays
    if not isinstance(trace, Trace) or trace.instead_of is None:
        return config
    shipped = () if trace.required else map(load_profile, profile_names())
    for profile in (trace.instead_of, *shipped):
        simulated = replace(config, delays=profile)
        # Fewer exchanges are recorded where phases were interrupted, or workers ended stranded.
        possible = simulated.exchanges >= config.exchanges
        if possible and _same(timeline_of(simulated), timeline_of(config)):
            return simulated
    if trace.required:
        problem = f"not what `timeline={trace.name}` holds, with seed {config.seed}"
        accepted = "the delays that the timeline was simulated from, or none"
        raise BadInput("delays", trace.instead_of.name, problem, accepted)
    return config


def _same(one: Timeline, other: Timeline) -> bool:
    """Whether two timelines have the very same exchanges."""
    columns = zip(one.rows().values(), other.rows().values(), strict=True)
    return (one.workers, one.local_steps, one.exchanges) == (other.workers, other.local_steps, other.exchanges) and all(
        np.array_equal(mine, theirs, equal_nan=mine.dtype.kind == "f") for mine, theirs in columns
    )
