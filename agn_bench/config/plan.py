"""The phases of a run whose λ goes by a rule: how many each worker has, and how many local steps each of them.

The clock needs them before the run. With equal shares, and no time that ends it, they go by a worker's own steps, and
all is exact. Else they go by what the profile's means let expect. There a phase takes as long as on average if no
message waits for another. But rounds of workers that wait for one another take as long as their slowest, and no phase
is shorter than what the server needs for one of everybody. A rule that goes by what training gives has no phases
beforehand: what is expected is λ for all.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from agn_bench.base.inputs import BadInput
from agn_bench.base.user_code import UserCodeError, called, source_of
from agn_bench.clock import Profile
from agn_bench.clock.distributions import described
from agn_bench.clock.speeds import slowness_of
from agn_bench.clock.timeline import MOST_EXCHANGES
from agn_bench.optimizers.local_steps import Moment

if TYPE_CHECKING:
    from agn_bench.config.run import RunConfig

_LONGEST_PHASE = 10**6
"""Local steps that a user's rule may ask for."""
_LEAST_AHEAD, _MOST_AHEAD = 16, 1 << 16
"""Phases that are looked at at once."""
_KEPT = 16
"""Plans, in memory."""
_MOMENTS = 1 << 16
"""Moments of a run at which its schedule is looked at. A look at each phase took half a minute for 40 workers."""


class Plan(NamedTuple):
    """The phases of a run."""

    phases: np.ndarray
    """The number of phases of each worker, (workers,) int64."""
    steps: np.ndarray
    """λ of each phase, worker by worker, (all phases,) int32."""


_planned: dict[str, Plan] = {}
"""The last few, by run: a configuration is asked for its phases again and again."""


def planned(config: RunConfig) -> Plan:
    """The phases of a configuration's work; with open shares those that are expected until it ends.

    Raises:
        BadInput: there are more than can be held.
        UserCodeError: its rule is a user's, and fails, or gives no numbers of steps that a share has room for.
    """
    key = config.run_id
    plan = _planned.get(key)
    if plan is None:
        while len(_planned) >= _KEPT:
            _planned.pop(next(iter(_planned)), None)
        plan = _planned[key] = _plan(config)
    return plan


def _plan(config: RunConfig) -> Plan:
    cluster = _cluster(config)
    if cluster.rule.changes:
        own = _of_each(cluster, lambda worker: _until_the_end(cluster, worker))
        phases = np.array([len(steps) for steps in own])
    else:
        steps = _throughout(cluster)
        phases = _whole_phases(cluster, steps) if config.shares == "equal" else _expected_phases(cluster, steps)
        _check(config, int(phases.max()))
        own = [np.repeat(steps, phases)]
    if not phases.all():  # only with a rule of a user's own
        worker = int(np.argmin(phases))
        first = int(phase_steps(config, np.ones(config.workers, int))[worker])
        problem = f"for the first phase of worker {worker}, whose share is {int(cluster.shares[worker])} steps"
        raise UserCodeError(f"{type(cluster.rule).__name__}.steps gave {first} {problem}")
    return Plan(phases, np.concatenate(own).astype(np.int32))


def phase_steps(config: RunConfig, phases: np.ndarray) -> np.ndarray:
    """λ of the first so many phases of each worker, flat, worker by worker, (all phases,) int32.

    The first do not depend on how many there are.
    """
    cluster = _cluster(config)
    if not cluster.rule.changes:
        return np.repeat(_throughout(cluster), phases).astype(np.int32)
    own = _of_each(cluster, lambda worker: _first(cluster, worker, int(phases[worker])), phases)
    return np.concatenate(own).astype(np.int32)


class _Cluster(NamedTuple):
    """A configuration, and what is expected of its workers; arrays of shape (workers,)."""

    config: RunConfig
    rule: Any
    slowness: np.ndarray
    begin_s: np.ndarray
    shares: np.ndarray
    """Local steps until the run ends, of its work; infinite if time alone ends it."""
    rate_share: float
    """The same, by which the schedule of the learning rate goes."""
    seconds: float
    """When the run ends; infinite if its work alone ends it."""
    step_s: float
    """A step of a worker with factor 1."""
    rest_s: float
    """What an exchange takes besides."""
    quorum: int
    """How many workers end a round, where they wait for one another; 0: they do not wait."""
    busy_s: float
    """The server's, of one exchange of everybody."""
    to_come: np.ndarray
    """By what the learning rate is multiplied, the largest from each of _MOMENTS of the run on, and from its end."""

    def lasts_s(self, slowness: Any, steps: Any) -> Any:
        """How long a phase of so many steps takes, of a worker with such a factor, if all make as many steps, s."""
        own = np.maximum(slowness, self._of_round(self.slowness)) * self.step_s * steps + self.rest_s
        return np.maximum(np.maximum(own, self.busy_s), np.finfo(float).tiny)

    def own_lasts_s(self, steps: np.ndarray) -> np.ndarray:
        """How long a phase of each worker takes, each of its own number of steps, (workers,) s."""
        own = self.slowness * self.step_s * steps + self.rest_s
        own = np.maximum(np.maximum(own, self._of_round(own)), self.busy_s)
        return np.maximum(own, np.finfo(float).tiny)

    def _of_round(self, values: np.ndarray) -> float:
        """The value of the worker that ends a round; 0 if there are no rounds."""
        return float(np.sort(values)[self.quorum - 1]) if self.quorum else 0.0


def _cluster(config: RunConfig) -> _Cluster:
    profile, workers, size, rules = config.delays, config.workers, config.message_bytes, config.rules
    assert isinstance(profile, Profile) and config.local_steps_rule is not None
    rule = config.local_steps_rule.thing
    slowness = slowness_of(profile.speeds, config.seed, workers)
    waits_without_server = rules.waits and profile.collective is not None
    work = math.inf if config.gradient_steps is None else float(config.gradient_steps)
    cluster = _Cluster(
        config=config,
        rule=rule,
        slowness=slowness,
        begin_s=profile.start_interval * np.arange(workers),
        shares=np.full(workers, work / workers),
        rate_share=work / workers,
        seconds=math.inf if config.seconds is None else config.seconds,
        step_s=profile.step.moments().mean,
        rest_s=profile.collective.round_s(rules.quorum, size)
        if waits_without_server and profile.collective
        else sum(profile.mean_s(part, size) for part in ("up", "down", "server")),
        quorum=rules.quorum if rules.waits else 0,
        busy_s=0.0 if waits_without_server else workers * profile.mean_s("server", size) / profile.channels,
        to_come=largest_to_come(config) if rule.needs_rate else np.ones(_MOMENTS + 1),
    )
    if config.shares == "equal" or config.gradient_steps is None:
        return cluster
    rates = 1 / cluster.lasts_s(slowness, config.local_steps)
    return cluster._replace(shares=work * rates / rates.sum())


def _throughout(cluster: _Cluster) -> np.ndarray:
    """λ of each worker, where it does not change, (workers,)."""
    return _steps(cluster, cluster.slowness, cluster.shares, np.zeros(len(cluster.slowness)), cluster.begin_s)


def _whole_phases(cluster: _Cluster, steps: np.ndarray) -> np.ndarray:
    """How many phases of so many steps the shares hold."""
    return np.floor(cluster.shares).astype(np.int64) // steps


def _expected_phases(cluster: _Cluster, steps: np.ndarray) -> np.ndarray:
    """How many phases of so many steps are expected until the run ends, at least one."""
    lasts_s = cluster.own_lasts_s(steps)
    through_s = cluster.rate_share * len(steps) / (steps / lasts_s).sum()  # with all work
    phases = (min(cluster.seconds, through_s) - cluster.begin_s) / lasts_s
    return np.ceil(np.clip(phases, 1, 1e15)).astype(np.int64)


def _check(config: RunConfig, phases: int) -> None:
    """Refuse more phases of a worker than can be held."""
    most = 2 * MOST_EXCHANGES
    if phases * config.workers > most + config.workers * _MOST_AHEAD:
        option = "seconds" if config.gradient_steps is None else "gradient_steps"
        accepted = f"an end after at most {most} phases, or longer phases"
        raise BadInput(option, getattr(config, option), f"{phases} local phases of a worker, or more", accepted)


def _of_each(
    cluster: _Cluster, find: Callable[[int], np.ndarray], phases: np.ndarray | None = None
) -> list[np.ndarray]:
    """What is found for each worker, found once for those who are alike."""
    counts = np.zeros(len(cluster.slowness), int) if phases is None else phases
    alike: dict[tuple[Any, ...], np.ndarray] = {}
    found = []
    for worker, key in enumerate(zip(cluster.slowness, cluster.begin_s, cluster.shares, counts, strict=True)):
        if key not in alike:
            alike[key] = find(worker)
        found.append(alike[key])
    return found


def _until_the_end(cluster: _Cluster, worker: int) -> np.ndarray:
    """λ of the phases of a worker's work."""
    found, count = [], 0
    share, equal = cluster.shares[worker], cluster.config.shares == "equal"
    for steps, made, elapsed_s in _stretches(cluster, worker):
        over = made + steps > np.floor(share) if equal else _progress(cluster, share, made, elapsed_s) >= 1
        found.append(steps[: int(np.argmax(over))] if over.any() else steps)
        count += len(found[-1])
        if over.any():
            break
        _check(cluster.config, count)
    return np.concatenate(found) if equal or count else _first(cluster, worker, 1)


def _first(cluster: _Cluster, worker: int, count: int) -> np.ndarray:
    """λ of a worker's first so many phases."""
    found: list[np.ndarray] = []
    for steps, _, _ in _stretches(cluster, worker):
        found.append(steps[:count])
        count -= len(found[-1])
        if not count:
            break
    return np.concatenate(found)


def _stretches(cluster: _Cluster, worker: int) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """A worker's phases, some at a time that have the same λ: their steps, the steps made before each, and when each
    begins.

    λ is taken to stay as it is, and then looked at for all of them at once.
    """
    slowness, share = cluster.slowness[worker], cluster.shares[worker]
    made, elapsed_s, ahead = 0, float(cluster.begin_s[worker]), _LEAST_AHEAD

    def steps_at(made: np.ndarray, elapsed_s: np.ndarray) -> np.ndarray:
        return _steps(cluster, np.full(len(made), slowness), np.full(len(made), share), made, elapsed_s)

    now = int(steps_at(np.array([made]), np.array([elapsed_s]))[0])
    while True:
        lasts_s, number = float(cluster.lasts_s(slowness, now)), np.arange(ahead)
        before, begins_s = made + now * number, elapsed_s + lasts_s * number
        steps = steps_at(before, begins_s)
        other = steps != now
        length = max(1, int(np.argmax(other))) if other.any() else ahead - 1
        yield steps[:length], before[:length], begins_s[:length]
        made, elapsed_s, now = int(before[length]), float(begins_s[length]), int(steps[length])
        ahead = max(_LEAST_AHEAD, length) if other.any() else min(2 * ahead, _MOST_AHEAD)


def _progress(cluster: _Cluster, share: Any, made: np.ndarray, elapsed_s: np.ndarray) -> np.ndarray:
    """How much of the run is over, after so many of a share's steps and so many seconds; 1 and more: all of it."""
    return np.maximum(made / share, elapsed_s / cluster.seconds)


def _steps(
    cluster: _Cluster, slowness: np.ndarray, share: np.ndarray, made: np.ndarray, elapsed_s: np.ndarray
) -> np.ndarray:
    """λ of phases; arrays of shape (phases,).

    Args:
        slowness, share: of the phase's worker.
        made: the worker's local steps before it.
        elapsed_s: when it begins, as is expected.
    """
    config, rule = cluster.config, cluster.rule
    step_s = np.maximum(slowness * cluster.step_s, np.finfo(float).tiny)
    left = np.minimum(np.floor(share) - made, (cluster.seconds - elapsed_s) / step_s)
    of_rate = made / cluster.rate_share if config.seconds is None else elapsed_s / cluster.seconds
    moment = Moment(
        local_steps=config.local_steps,
        slowness=slowness / cluster.slowness.min(),
        progress=np.minimum(_progress(cluster, share, made, elapsed_s), 1.0),
        left=np.maximum(left, 0.0),
        learning_rate=float(getattr(config.local_optimizer.thing, "learning_rate", math.nan)),
        factor=cluster.to_come[np.floor(np.minimum(of_rate, 1.0) * _MOMENTS).astype(int)],
    )
    kind = type(rule)
    if source_of(kind) is None:
        return np.asarray(rule.steps(moment))
    call = f"{kind.__name__}.steps(moment of {len(made)} phases)"
    with called(kind, call):
        steps = np.asarray(rule.steps(moment))
    most = max(_LONGEST_PHASE, config.local_steps)
    whole = steps.shape == made.shape and np.issubdtype(steps.dtype, np.integer)
    if not (whole and steps.min() >= 1 and steps.max() <= most):
        raise UserCodeError(f"{call} gave {described(steps)}, not {len(made)} whole numbers from 1 to {most}")
    return steps.astype(np.int64)


def largest_to_come(config: RunConfig) -> np.ndarray:
    """By what the learning rate is multiplied, the largest from each of many moments of the run on, and from its end.

    The moments divide the run evenly.
    """
    if config.schedule is None:
        return np.ones(_MOMENTS + 1)
    factors = config.schedule.thing.factors(np.linspace(0, 1, _MOMENTS + 1)).astype(np.float64)
    return np.maximum.accumulate(factors[::-1])[::-1]
