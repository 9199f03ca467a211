"""Delays: how long a step, a message and the server take, and whom it serves next.

    distributions.py   the distributions of times
    speeds.py          how slow each worker is
    profile.py         a named set of them
    files.py           profiles read from TOML and checked
    origin.py          where each value came from, for complaints
    quantities.py      which numbers a field takes
    draws.py           the times of a run, drawn from a profile

Times are drawn on the host with NumPy before the timeline is simulated; nothing here knows of events or JAX.
"""

from agn_bench.delays.distributions import (
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
from agn_bench.delays.draws import LONGEST, Draws, draw_delays
from agn_bench.delays.files import load_profile, parse_profile, profile_names, profile_of
from agn_bench.delays.profile import Bandwidth, Profile
from agn_bench.delays.speeds import Equal, GammaSpeeds, Ladder, RootLadder, Speeds, Stragglers, Tiers

__all__ = [
    "LONGEST",
    "Bandwidth",
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
    "RootLadder",
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
