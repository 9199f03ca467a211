"""Rules of λ that go by what training gives: λ is decided anew at the end of every interval of simulated time.

Clock and training take turns. Phases that begin before a decision keep their λ, later ones have the new one. A shipped
rule is a class here and a line in LOCAL_STEPS_RULES of local_steps.py; anyone's own is a file anywhere, chosen as
`--local-steps-rule my.py:Mine`. training.adapting asks a rule.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from agn_bench.optimizers import optimizer, quantity
from agn_bench.optimizers.local_steps import LocalStepsRule, Moment

if TYPE_CHECKING:
    import numpy as np

    from agn_bench.clock.timeline import Timeline

MOST_STEPS = 10**6
"""The most local steps of a phase that a rule may ask for."""
_LONGEST = 1e9
"""Simulated seconds of an interval."""
_RECENT_TURNS, _REPEATED_TURNS = 10, 20
"""A turn is n exchanges."""
_NEARLY_BUSY = 0.8
"""A server that could serve everybody in this part of a worker's cycle has nothing more to give."""


class Interval(NamedTuple):
    """An interval of simulated time that is over, and the exchanges that were trained in it."""

    end_s: float
    local_steps: int
    """λ of the phases that began in it."""
    first: int
    last: int
    """It has the exchanges from `first` up to, but without, `last`; at least one."""
    loss: float
    """The mean over all mini-batches of these exchanges' phases, each before its update."""
    factor: float
    """By what the schedule multiplies the learning rate at its end (see Seen.factor)."""


class Seen(NamedTuple):
    """What is known of a run at the end of an interval: its past, and nothing of what comes."""

    local_steps: int
    """λ, as the run has it; it is that of the first interval."""
    intervals: tuple[Interval, ...]
    """Those that are over, at least one; the last has just ended. One without an exchange is part of the next."""
    initial_loss: float
    """The loss of the initial parameters: the mean over the first mini-batches of the workers that have exchanged."""
    losses: np.ndarray
    """The mean loss of each phase that was trained, (intervals[-1].last,)."""
    timeline: Timeline
    """Up to the end of the interval. The last exchange in it is trained after the decision."""
    channels: int
    """How many exchanges the server serves at once."""
    seconds: float
    """When the run ends."""
    learning_rate: float
    """The learning rate of the local optimizer, without the schedule; NaN if it has none."""
    factor: float
    """By what the schedule multiplies the rate: the largest from now to the run's end. So while the rate warms up, it
    is what it warms up to.
    """


class AdaptiveSteps(LocalStepsRule):
    """λ of an interval's phases, from what was seen before it.

    A subclass has `interval`, in simulated seconds: a number that it declares, or a plain attribute. A run with such a
    rule is ended by `seconds` alone.
    """

    interval: float

    def steps(self, moment: Moment) -> np.ndarray:
        """What is expected before anything is seen: λ for all."""
        import numpy as np

        return np.full(len(moment.progress), moment.local_steps)

    @abstractmethod
    def next_steps(self, seen: Seen) -> int:
        """λ of the phases that begin in the next interval, a whole number from 1: a function of what was seen alone."""


@optimizer
class AdaComm(AdaptiveSteps):
    """⌈√((η₀ / η) (F / F₀)) λ⌉, F the loss, η the learning rate; if that is not smaller than before, half of what it
    was (Wang & Joshi 2018, arXiv 1810.08313)

    It begins with λ, and workers exchange more often as the loss falls. F is the mean loss of the last interval's
    mini-batches, F₀ that of each worker's first one. After an interval in which η fell, λ may grow, and is not halved.
    The formula and the half are quoted from memory, and were not confirmed in the paper; nor was on what it measures F,
    and that λ may grow.
    """

    interval: float = quantity(1e-6, _LONGEST, default=20.0, help="Simulated seconds between decisions.")

    def next_steps(self, seen: Seen) -> int:
        now = seen.intervals[-1]
        if not (seen.initial_loss > 0 and seen.factor > 0):
            return now.local_steps
        scale = math.sqrt(max(now.loss, 0.0) / seen.initial_loss / seen.factor)
        # What is a whole number but for the rounding of floats is one.
        formula = max(1, math.ceil(min(scale * seen.local_steps, MOST_STEPS) - 1e-9))
        before = seen.intervals[-2].factor if len(seen.intervals) > 1 else 1.0
        if formula < now.local_steps or now.factor < before:
            return formula
        return max(1, now.local_steps // 2)


@optimizer
class ByGrowth(AdaptiveSteps):
    """the least λ with which a deviation in a stiff direction may grow by a factor of at most e^growth until the next
    decision; less with every interval whose loss did not fall. For AGN

    A commit of AGN is about as long as one step, so that a smaller λ gives longer ways in the same time. With a λ that
    is too small AGN is unstable, but that harms only once a deviation has had time to grow (see clock.stability). So
    the growth rate r(λ), of n exchanges, is bounded by

        r(λ) ≤ −margin + (growth · t(λ) / interval + margin) / 2^m

    where t(λ) is how long n exchanges take, and m counts the intervals so far whose mean loss was not below that of the
    interval before. At first a deviation may grow; each time that the loss stalls, swings or rises, half of the way is
    gone to the rule that is safe for good, r(λ) ≤ −margin. λ is never so small that exchanges would only wait for one
    another: a worker's cycle without waiting, a λ + b, takes at least 0.8 of the time in which the server serves all n.

    All of it follows from the past. r(λ) is that of the order of the last 10 n exchanges, repeated, as if λ did not
    change the order; a and b, of a step and of all else, are the means over them, and t(λ) is the larger of a λ + b and
    the server's time for n. While fewer than n exchanges have been made, λ stays.

    The rule was thought out, and its numbers were set, before it was compared with a fixed λ. It came out behind one on
    two of three clusters (results/FINDINGS.md).
    """

    interval: float = quantity(1e-6, _LONGEST, default=10.0, help="Simulated seconds between decisions.")
    growth: float = quantity(
        0, 100, default=1.0, help="By e^growth a deviation may grow until the next decision, at first."
    )
    margin: float = quantity(0, 100, default=0.1, help="In the end the growth rate is to be under −margin.")

    def next_steps(self, seen: Seen) -> int:
        from agn_bench.clock.stability import growth_rate

        pace = _pace(seen)
        if pace is None:
            return seen.intervals[-1].local_steps
        stalled = sum(now.loss >= before.loss for before, now in pairwise(seen.intervals))

        def stable(steps: int) -> bool:
            allowed = self.growth * pace.turn_s(steps) / self.interval + self.margin
            rate = growth_rate(pace.order, seen.timeline.workers, steps)
            return rate <= allowed / 2**stalled - self.margin

        return _least(stable, pace.least_steps)


class _Pace(NamedTuple):
    """What the recent past lets expect of other λ."""

    order: np.ndarray
    """Who exchanges, some turns of it."""
    step_s: float
    """A local step."""
    rest_s: float
    """What else a worker's cycle takes if it waits for nobody."""
    busy_s: float
    """What the server needs for n exchanges."""

    @property
    def least_steps(self) -> int:
        """λ with which the server is not nearly all that workers wait for."""
        if not self.step_s:
            return 1
        return max(1, math.ceil(min((_NEARLY_BUSY * self.busy_s - self.rest_s) / self.step_s, MOST_STEPS)))

    def turn_s(self, steps: int) -> float:
        """How long n exchanges take."""
        return max(self.step_s * steps + self.rest_s, self.busy_s)


def _pace(seen: Seen) -> _Pace | None:
    """None: too little was seen."""
    import numpy as np

    timeline, workers = seen.timeline, seen.timeline.workers
    if timeline.exchanges < workers:
        return None
    recent = slice(-_RECENT_TURNS * workers, None)
    served_s = timeline.applied_s - timeline.served_s
    parts = (timeline.arrive_s - timeline.compute_end_s, served_s, timeline.resume_s - timeline.applied_s)
    order = timeline.worker[recent]
    return _Pace(
        order=np.tile(order, -(-_REPEATED_TURNS * workers // len(order))),
        step_s=_mean(((timeline.compute_end_s - timeline.start_s) / timeline.steps)[recent]),
        rest_s=sum(_mean(part[recent]) for part in parts),
        busy_s=workers * _mean(served_s[recent]) / seen.channels,
    )


def _mean(times: np.ndarray) -> float:
    """The mean of those that are known; 0 if none is."""
    known = times[times == times]
    return float(known.mean()) if len(known) else 0.0


def _least(holds: Callable[[int], bool], lowest: int) -> int:
    """The least whole number from `lowest` on of which it holds, if it holds of all larger ones."""
    high = lowest
    while high < MOST_STEPS and not holds(high):
        lowest, high = high + 1, min(2 * high, MOST_STEPS)
    while lowest < high:
        middle = (lowest + high) // 2
        lowest, high = (lowest, middle) if holds(middle) else (middle + 1, high)
    return high
