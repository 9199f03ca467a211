"""The numbers of a profile that a fit to measured times may change: each a line of NUMBERS."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from agn_bench.base.inputs import BadInput
from agn_bench.clock import Distribution, Profile, parse_profile
from agn_bench.clock.profile_files import as_toml
from agn_bench.studies.measured import Measured

_LEAST = 1e-4
"""Seconds: none of the means that are fitted starts below."""


class Bounds(NamedTuple):
    """What measured times say at once: no run is shorter than its workers' steps, or than the server's exchanges."""

    step: float
    """Seconds of a step, at most."""
    server: float
    """Seconds of an exchange at the server, at most."""


class Number(NamedTuple):
    """A number of a profile, above 0, that can be fitted."""

    name: str
    """As numbers.csv has it."""
    what: str
    """In words, for someone who has not seen a profile."""
    read: Callable[[Profile], float | None]
    """Its value; None: the profile has no such number."""
    set: Callable[[Profile, float], Profile]
    start: Callable[[Bounds], tuple[float, ...]]
    """First guesses."""
    bounds: tuple[float, float] = (0.0, math.inf)
    reach: float = 20.0
    """Whoever asks what other values would do looks up to so many times as far, and as near."""


def _mean(*parts: str) -> dict[str, Any]:
    """How the mean of one or more parts, which all have the same, is read and set."""

    def put(profile: Profile, value: float) -> Profile:
        return replace(profile, **{part: _with_mean(profile, getattr(profile, part), part, value) for part in parts})

    return {"read": lambda profile: _mean_of(getattr(profile, parts[0])), "set": put}


def _mean_away(part: str) -> dict[str, Any]:
    """How the mean of a time of absences is read and set."""

    def read(profile: Profile) -> float | None:
        distribution = getattr(profile.going, part, None)
        return None if distribution is None else _mean_of(distribution)

    def put(profile: Profile, value: float) -> Profile:
        going: Any = profile.going
        return replace(profile, going=replace(going, **{part: _with_mean(profile, getattr(going, part), part, value)}))

    return {"read": read, "set": put}


def _mean_of(distribution: Distribution) -> float:
    return max(float(distribution.moments().mean), _LEAST)


def _with_mean(profile: Profile, distribution: Any, part: str, value: float) -> Any:
    """A part's distribution with another mean; BadInput if it is not given by one."""
    if "mean" not in {field.name for field in fields(distribution)}:
        raise BadInput("delays", profile.name, f"{part} has no mean to fit", "distributions given by their means")
    return replace(distribution, mean=value)


def _with_step_cv(profile: Profile, value: float) -> Profile:
    step: Any = profile.step
    return replace(profile, step=replace(step, cv=value))


NUMBERS = (
    Number("step.mean", "seconds of a mini-batch step", **_mean("step"), start=lambda bounds: (bounds.step,)),
    Number(
        "server.mean",
        "seconds that the server takes for an exchange",
        **_mean("server"),
        start=lambda bounds: (bounds.server, 0.5 * bounds.server),
    ),
    Number(
        "network.mean",  # of up and down: seconds of whole runs cannot tell them apart
        "seconds that a message takes, each way",
        **_mean("up", "down"),
        start=lambda bounds: (max(bounds.server / 2, _LEAST),),
    ),
    Number(
        "step.cv",
        "how much steps differ: standard deviation over mean",
        read=lambda profile: getattr(profile.step, "cv", None),
        set=_with_step_cv,
        start=lambda bounds: (0.3, 0.03),
        bounds=(0.0, 100.0),
        reach=3.0,
    ),
    Number(
        "pause.mean",
        "seconds that a worker's pause lasts",
        **_mean_away("pause"),
        start=lambda bounds: (50 * bounds.step,),
    ),
    Number(
        "between_pauses.mean",
        "seconds from a worker's pause to its next",
        **_mean_away("between_pauses"),
        start=lambda bounds: (2000 * bounds.step,),
    ),
    Number(
        "failure.mean",
        "seconds that a worker's failure lasts",
        **_mean_away("failure"),
        start=lambda bounds: (50 * bounds.step,),
    ),
    Number(
        "between_failures.mean",
        "seconds from a worker's failure to its next",
        **_mean_away("between_failures"),
        start=lambda bounds: (2000 * bounds.step,),
    ),
)
"""What is fitted. A line more is a number more: those that a profile has not are left out."""


def numbers_of(profile: Profile) -> tuple[Number, ...]:
    """The numbers that the profile has."""
    return tuple(number for number in NUMBERS if number.read(profile) is not None)


def values_of(profile: Profile) -> np.ndarray:
    """The profile's numbers as they are, (numbers,)."""
    return np.array([number.read(profile) for number in numbers_of(profile)])


def with_values(profile: Profile, values: Sequence[float] | np.ndarray) -> Profile:
    """The profile with other numbers, each the nearest within its bounds.

    Raises:
        BadInput: a part has no mean of its own.
    """
    for number, value in zip(numbers_of(profile), values, strict=True):
        low, high = number.bounds
        profile = number.set(profile, min(max(float(value), low), high))
    return profile


def first_guesses(profile: Profile, measured: Measured, gradient_steps: int) -> list[np.ndarray]:
    """Where to start a fit, (numbers,) each: what the data bound, in every combination."""
    phases = gradient_steps // measured.workers // measured.local_steps
    bounds = Bounds(
        step=float((measured.seconds / (phases * measured.local_steps)).min()),
        server=float((measured.seconds / (phases * measured.workers)).min()),
    )
    return [np.array(values) for values in product(*(number.start(bounds) for number in numbers_of(profile)))]


def is_admissible(profile: Profile) -> bool:
    """Whether the profile could stand in a file."""
    try:
        parse_profile(profile.name, as_toml(profile).encode())
    except BadInput:
        return False
    return True
