"""A run whose λ is decided while it is trained: clock and training in turn, interval by interval.

The clock is simulated to the run's end as if λ stayed as it is, and training goes along it up to the next decision.
After a decision the clock is simulated again from its start, with what the phases that have begun were told. Every time
is a function of (seed, worker, phase, kind), and no event depends on a later one, so that the past comes out the same
to the bit, which is checked. A whole clock costs milliseconds.
"""

from __future__ import annotations

import math
import time
from dataclasses import replace

import numpy as np

from agn_bench.base.inputs import BadInput
from agn_bench.base.user_code import UserCodeError, called, source_of
from agn_bench.clock import Profile, draw_delays
from agn_bench.clock.distributions import described
from agn_bench.clock.draws import Draws
from agn_bench.clock.stops import Stop, cut
from agn_bench.clock.timeline import MOST_EXCHANGES, Phases, Timeline
from agn_bench.config.plan import largest_to_come
from agn_bench.config.resolving import MAX_IMAGES_DRAWN
from agn_bench.config.run import RunConfig
from agn_bench.optimizers.adaptive_steps import MOST_STEPS, AdaptiveSteps, Interval, Seen
from agn_bench.training.timing import told, usable


class AdaptingClock:
    """A clock that is told λ as it goes: phases keep what they began with."""

    timeline: Timeline
    """The whole run, if λ stays as it was told last. `own_steps` are always there."""
    local_steps: int
    """What was told last."""

    def __init__(self, config: RunConfig) -> None:
        assert isinstance(config.delays, Profile) and config.seconds is not None
        self._config, self._profile, self._seconds = config, config.delays, config.seconds
        self.local_steps = config.local_steps
        self._begun: list[np.ndarray] = [np.zeros(0, np.int32)] * config.workers
        """λ of each worker's phases that began before the last change."""
        self.timeline = usable(config, self._simulated(0.0))
        self.timeline = _with_own_steps(self.timeline)

    def tell(self, time_s: float, local_steps: int) -> None:
        """Phases that begin from this time on have so many steps."""
        if local_steps == self.local_steps:
            return
        before = self.timeline
        begun = _begun_before(before, time_s)
        self._begun = [self._steps(worker, count) for worker, count in enumerate(begun.tolist())]
        self.local_steps = local_steps
        self.timeline = _with_own_steps(self._simulated(time_s))
        _check_same_past(before, self.timeline, time_s)

    def _steps(self, worker: int, count: int) -> np.ndarray:
        """λ of a worker's first so many phases."""
        begun = self._begun[worker][:count]
        return np.concatenate([begun, np.full(count - len(begun), self.local_steps, np.int32)])

    def _simulated(self, time_s: float) -> Timeline:
        config, workers, size = self._config, self._config.workers, self._config.message_bytes

        def draw(phases: np.ndarray) -> Draws:
            steps = np.concatenate([self._steps(worker, count) for worker, count in enumerate(phases.tolist())])
            return draw_delays(self._profile, config.seed, workers, phases, steps.astype(np.int32), size)

        rates = self._profile.rates(config.seed, workers, self.local_steps, size)
        per_s = self._profile.exchanges_per_s(workers, self.local_steps, size)
        expected = sum(map(len, self._begun)) + math.ceil(min((self._seconds - time_s) * per_s, 1e15))
        if expected > MOST_EXCHANGES or expected * self.local_steps > MAX_IMAGES_DRAWN // config.batch_size:
            until = f"about {expected:.3g} exchanges until `seconds={self._seconds:g}`, more than a run can hold"
            problem = f"with λ = {self.local_steps} from {time_s:g} s on there are {until}"
            rule = config.local_steps_rule
            raise BadInput("local_steps_rule", rule.spelled if rule else "", problem, "a shorter run")
        return told(config, draw, rates, expected)


def _with_own_steps(timeline: Timeline) -> Timeline:
    return replace(timeline, own_steps=timeline.steps, own_before=timeline.steps_before.astype(np.int64))


def with_room(timeline: Timeline) -> Timeline:
    """The timeline for training, with room for somewhat longer phases than there are, so that few programs are
    compiled: up to the next power of two.
    """
    return replace(timeline, local_steps=1 << (int(timeline.steps.max()) - 1).bit_length())


def _begun_before(timeline: Timeline, time_s: float) -> np.ndarray:
    """How many phases of each worker began before a time, (workers,)."""
    begun = np.zeros(timeline.workers, np.int64)
    for phases in (timeline, timeline.interrupted, timeline.unfinished):
        some = phases.start_s < time_s
        np.maximum.at(begun, phases.worker[some], phases.phase[some] + 1)
    return begun


def _check_same_past(before: Timeline, after: Timeline, time_s: float) -> None:
    """Refuse a clock whose past depends on what phases are told later: only an optimizer's own clock can be one."""
    kept = [int(np.searchsorted(timeline.applied_s, time_s, side="right")) for timeline in (before, after)]
    for name in ("worker", "start_s", "served_s", "applied_s", "pulled", "version", "accepted", "own_steps"):
        mine, theirs = (getattr(one, name)[:count] for one, count in zip((before, after), kept, strict=True))
        if not np.array_equal(mine, theirs):
            problem = f"before {time_s:g} s depends on the λ of phases that began later ({name})"
            raise UserCodeError(f"the timeline of the optimizer's own clock {problem}")


class Adapting:
    """The clock of a run, and the rule that is asked at the end of each interval."""

    def __init__(self, config: RunConfig) -> None:
        assert config.local_steps_rule is not None and config.seconds is not None
        began = time.perf_counter()
        self._config, self._seconds = config, config.seconds
        rule = config.local_steps_rule.thing
        assert isinstance(rule, AdaptiveSteps)
        self._rule = rule
        self._clock = AdaptingClock(config)
        self._intervals: list[Interval] = []
        self._to_come = largest_to_come(config)
        self._ends = 0
        """Ends of intervals that are over."""
        self._upto = 0
        self.clock_s = time.perf_counter() - began
        """Wall clock, of the clock and of the rule."""

    @property
    def timeline(self) -> Timeline:
        """The whole run, if λ stays as it is."""
        return self._clock.timeline

    def next_exchanges(self) -> int:
        """How many exchanges, from the start on, are to be trained before the next decision; all, if none follows.

        All that happens up to the decision is known, but not what follows its last exchange: who is answered before the
        next one. So the last one is trained after the decision.
        """
        while (end_s := (self._ends + 1) * self._rule.interval) < self._seconds:
            self._ends += 1
            known = int(np.searchsorted(self.timeline.applied_s, end_s, side="right")) - 1
            if known > self._upto:
                self._upto = known
                return known
        self._upto = self.timeline.exchanges
        return self._upto

    def decide(self, losses: np.ndarray) -> bool:
        """Ask the rule for λ of the phases to come. False: the run is over.

        Args:
            losses: of all exchanges that were trained, (exchanges, steps), with room for the longest phase.
        """
        timeline = self.timeline
        if self._upto == timeline.exchanges:
            return False
        began = time.perf_counter()
        end_s = self._ends * self._rule.interval
        first = self._intervals[-1].last if self._intervals else 0
        factor = float(self._to_come[int(end_s / self._seconds * (len(self._to_come) - 1))])
        loss = float(timeline.of_steps(losses[first:], first).mean(dtype=np.float64))
        self._intervals.append(Interval(end_s, self._clock.local_steps, first, len(losses), loss, factor))
        seen = Seen(
            local_steps=self._config.local_steps,
            intervals=tuple(self._intervals),
            initial_loss=float(losses[timeline.phase[: len(losses)] == 0, 0].mean(dtype=np.float64)),
            losses=losses.sum(axis=1, dtype=np.float64) / timeline.steps[: len(losses)],
            timeline=replace(cut(timeline, None, Stop(seconds=end_s)), unfinished=Phases.none()),
            channels=self._config.channels,
            seconds=self._seconds,
            learning_rate=float(getattr(self._config.local_optimizer.thing, "learning_rate", math.nan)),
            factor=factor,
        )
        self._clock.tell(end_s, self._asked(seen))
        self.clock_s += time.perf_counter() - began
        return True

    def _asked(self, seen: Seen) -> int:
        kind = type(self._rule)
        if source_of(kind) is None:
            return self._rule.next_steps(seen)
        call = f"{kind.__name__}.next_steps(seen up to {seen.intervals[-1].end_s:g} s)"
        with called(kind, call):
            steps = np.asarray(self._rule.next_steps(seen))
        if steps.shape or not np.issubdtype(steps.dtype, np.integer) or not 1 <= steps <= MOST_STEPS:
            raise UserCodeError(f"{call} gave {described(steps)}, not a whole number from 1 to {MOST_STEPS}")
        return int(steps)
