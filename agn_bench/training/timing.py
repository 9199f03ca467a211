"""The timeline of a configuration: simulated from its delays, or the recorded one that it names.

Where λ is decided while it is trained, there is no timeline beforehand, and adapting.py has it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from agn_bench.base.inputs import BadInput
from agn_bench.base.user_code import UserCodeError, called
from agn_bench.clock import Draws, Profile, draw_delays, load_profile, profile_names
from agn_bench.clock.endless import Attempts, endless, made, made_together
from agn_bench.clock.events import simulate_timeline
from agn_bench.clock.rules import ASYNCHRONOUS
from agn_bench.clock.stops import Stop, cut
from agn_bench.clock.timeline import Timeline
from agn_bench.clock.trace import Trace
from agn_bench.config.plan import phase_steps
from agn_bench.config.run import RunConfig
from agn_bench.optimizers import Optimizer


def timeline_of(config: RunConfig) -> Timeline:
    """When the configuration's exchanges happen.

    Raises:
        BadInput: not one of them is made before it ends, or more than can be held; or λ is decided while it is trained.
    """
    _check_known(config)
    if isinstance(config.delays, Trace):
        if type(config.optimizer.thing).timeline is not Optimizer.timeline:
            problem = f"a recorded timeline, and {config.optimizer} has a clock of its own"
            raise BadInput("timeline", config.delays.name, problem, "another optimizer, or simulated delays")
        timeline = config.delays.under(config.rules, config.local_steps)
        timeline = cut(timeline, None, config.stop)
    else:
        timeline = made(_attempts(config), partial(_simulated, config))
    return usable(config, timeline)


def _check_known(config: RunConfig) -> None:
    """Refuse a rule of λ that has to see training, where none follows the clock."""
    if config.adapts:
        assert config.local_steps_rule is not None
        problem = "goes by what training gives, and only the clock runs here"
        accepted = "a rule that is known beforehand, such as fixed, by-speed or post-local"
        raise BadInput("local_steps_rule", config.local_steps_rule.spelled, problem, accepted)


def timelines_of(configs: Sequence[RunConfig], exchanges: int | None = None) -> Iterator[Timeline]:
    """When the exchanges of each configuration happen: as timeline_of says, or, with `exchanges`, active_timeline_of.

    Several timelines of asynchronous workers are simulated in one program (see clock.batched).

    Raises:
        BadInput: as of timeline_of.
    """
    for config in configs:
        _check_known(config)
    if len(configs) == 1 or not all(map(_is_plain, configs)):
        for config in configs:
            if exchanges is None or isinstance(config.delays, Trace):
                yield timeline_of(config)
            else:
                yield active_timeline_of(config, exchanges)
        return
    attempts = (_attempts(config) if exchanges is None else _active(config, exchanges) for config in configs)
    for config, timeline in zip(configs, made_together(attempts), strict=True):
        yield usable(config, timeline) if exchanges is None else alike(timeline)


def _is_plain(config: RunConfig) -> bool:
    """Whether all that happens is that asynchronous workers are simulated."""
    own_clock = type(config.optimizer.thing).timeline is not Optimizer.timeline
    return isinstance(config.delays, Profile) and config.rules == ASYNCHRONOUS and not own_clock


def usable(config: RunConfig, timeline: Timeline) -> Timeline:
    """The timeline, if a run can go by it."""
    rules = config.rules
    if not timeline.exchanges:
        option = "gradient_steps" if config.seconds is None else "seconds"
        raise BadInput(
            option, getattr(config, option), "no exchange is made by then", "enough for at least one exchange"
        )
    if not timeline.version[-1]:
        missing = f"the {rules.quorum} commits of a version" if rules.quorum > 1 else "the commits of a version"
        problem = f"{missing} are never there in {timeline.exchanges} exchanges"
        raise BadInput("optimizer", config.optimizer.spelled, problem, "more work or time, or fewer commits a version")
    return alike(timeline)


def active_timeline_of(config: RunConfig, exchanges: int) -> Timeline:
    """The first so many exchanges of a configuration, of workers that never stop."""
    _check_known(config)
    return alike(made(_active(config, exchanges), partial(_simulated, config)))


def _attempts(config: RunConfig) -> Attempts:
    """The timeline of the configuration's work."""
    stop = config.stop
    if config.shares != "equal":
        return (yield from _endless_of(config, stop, config.exchanges))
    phases = config.phases if config.local_steps_rule is None else config.plan.phases
    draws = _draws(config, phases, config.leftover_steps)
    return cut((yield draws, stop), draws, stop)


def _active(config: RunConfig, exchanges: int) -> Attempts:
    """The timeline of so many exchanges of workers that never stop."""
    return _endless_of(config, Stop(exchanges), exchanges)


def _endless_of(config: RunConfig, stop: Stop, expected: int) -> Attempts:
    assert isinstance(config.delays, Profile)
    steps: int | np.ndarray = config.local_steps
    if config.local_steps_rule is not None:
        steps = phase_steps(config, np.ones(config.workers, int))
    rates = config.delays.rates(config.seed, config.workers, steps, config.message_bytes)
    return endless(partial(_draws, config), rates, stop, expected)


def _draws(config: RunConfig, phases: int | np.ndarray, leftover: int = 0) -> Draws:
    """The times of the first so many phases of each worker, and of so many steps that it makes after them."""
    assert isinstance(config.delays, Profile)
    steps: int | np.ndarray = config.local_steps
    if config.local_steps_rule is not None:
        steps = phase_steps(config, np.broadcast_to(phases, (config.workers,)))
    return draw_delays(config.delays, config.seed, config.workers, phases, steps, config.message_bytes, leftover)


def alike(timeline: Timeline) -> Timeline:
    """The timeline; if all of its phases have as many steps, as one whose λ does not vary, which is replayed faster."""
    if timeline.own_steps is None:
        return timeline
    steps = int(timeline.own_steps.max())
    same = (timeline.own_steps == steps).all() and (timeline.steps_before == steps * timeline.phase).all()
    timeline = replace(timeline, local_steps=steps)
    return replace(timeline, own_steps=None, own_before=None) if same else timeline


def _simulated(config: RunConfig, draws: Draws, stop: Stop) -> Timeline:
    kind = type(config.optimizer.thing)
    if kind.timeline is Optimizer.timeline:
        return simulate_timeline(draws, config.rules, stop)
    call = f"{kind.__name__}.timeline(draws of {draws.workers} workers, {config.rules}, {stop})"
    with called(kind, call):
        timeline = config.optimizer.thing.timeline(draws, config.rules, stop)
    if not isinstance(timeline, Timeline):
        raise UserCodeError(f"{call} gave {type(timeline).__name__}, not a Timeline")
    return draws.with_steps(timeline)


def told(config: RunConfig, draw: Callable[[np.ndarray], Draws], rates: np.ndarray, expected: int) -> Timeline:
    """The timeline of a configuration whose draws somebody else says.

    Args:
        draw: the times of the first so many phases of each worker.
        rates: of the exchanges that each worker would make, (workers,).
        expected: exchanges, of all workers together.
    """
    return made(endless(draw, rates, config.stop, expected), partial(_simulated, config))


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
    if config.local_steps_rule is not None:
        problem = f"not by what the phases of `timeline={trace.name}` have their steps, with these delays and this seed"
        accepted = "the rule, delays, work and seed that it was simulated with, or no rule: it says the steps itself"
        raise BadInput("local_steps_rule", config.local_steps_rule.spelled, problem, accepted)
    if trace.required:
        problem = f"not what `timeline={trace.name}` holds, with seed {config.seed}"
        accepted = "the delays that the timeline was simulated from, or none"
        raise BadInput("delays", trace.instead_of.name, problem, accepted)
    return config


def _same(one: Timeline, other: Timeline) -> bool:
    """Whether two timelines have the very same exchanges."""
    mine, theirs = one.rows(), other.rows()
    for rows in (mine, theirs):
        for unsaid in ("own_before", "anew"):  # of phases that were interrupted, and of lost answers, no file says it
            rows.pop(unsaid, None)
    if mine.keys() != theirs.keys():
        return False
    return (one.workers, one.exchanges) == (other.workers, other.exchanges) and all(
        np.array_equal(mine[name], theirs[name], equal_nan=mine[name].dtype.kind == "f") for name in mine
    )
