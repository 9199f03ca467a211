"""When: who exchanges with the server, at what second, and how stale. No parameter's value is needed for any of this.

    distributions.py   the distributions of times
    recorded.py        measured times in their order, worker by worker
    times_files.py     measured times read from CSV files and checked
    speeds.py          how slow each worker is
    profile.py         a named set of delays: steps, messages, the server
    profile_files.py   profiles read from TOML and checked
    origin.py          where each value of one came from, for complaints
    absences.py        when workers are away
    absence_files.py   absences read from a file
    draws.py           the times of a run, drawn from a profile on the host
    rules.py           what an optimizer asks of the clock: who waits, what counts, what is dropped
    stops.py           when a run ends before its workers have nothing left to do
    timeline.py        the timeline itself
    events.py          simulated: a discrete-event simulation compiled by JAX
    batched.py         the same for many timelines at once
    ruled_events.py    the same where there are rules, or several are served at once
    compiled.py        how they are compiled
    endless.py         timelines of workers that never stop
    orders.py          in which order workers exchange, without JAX
    trace.py           read from a file: recorded elsewhere, or by this program
    measures.py        staleness, waits, utilization, throughput
    stability.py       the growth rate: whether AGN is stable on a timeline, and the least λ with which it is

Only events, batched, ruled_events and compiled among these import JAX.
"""

from agn_bench.clock.distributions import (
    Constant,
    Distribution,
    Empirical,
    Exponential,
    Gamma,
    Lognormal,
    Normal,
    Pareto,
    ShiftedExponential,
)
from agn_bench.clock.draws import LONGEST, Draws, draw_delays
from agn_bench.clock.profile import Bandwidth, Collective, Profile, RoundTime
from agn_bench.clock.profile_files import load_profile, parse_profile, profile_names, profile_of
from agn_bench.clock.recorded import Recorded
from agn_bench.clock.speeds import Equal, GammaSpeeds, Ladder, RootLadder, Speeds, Stragglers, Tiers

__all__ = [
    "LONGEST",
    "Bandwidth",
    "Collective",
    "Constant",
    "Distribution",
    "Draws",
    "Empirical",
    "Equal",
    "Exponential",
    "Gamma",
    "GammaSpeeds",
    "Ladder",
    "Lognormal",
    "Normal",
    "Pareto",
    "Profile",
    "Recorded",
    "RootLadder",
    "RoundTime",
    "ShiftedExponential",
    "Speeds",
    "Stragglers",
    "Tiers",
    "draw_delays",
    "load_profile",
    "parse_profile",
    "profile_names",
    "profile_of",
]
