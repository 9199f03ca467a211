"""Delays: the distributions of step, network and server times, the profiles that name a set of them, and their draws.

Draws are made on the host with NumPy before the timeline is simulated; this module knows nothing of events or JAX.
A further distribution is one dataclass here and one line in DISTRIBUTIONS.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from importlib import resources
from typing import Any, Protocol

import numpy as np

from agn_bench.draws import Kind, stream
from agn_bench.inputs import BadInput, choose

ORDERS = ("fifo", "random")


class Distribution(Protocol):
    """A distribution of times, in seconds."""

    @property
    def mean(self) -> float:
        """Expected value, in seconds."""
        ...

    def draw(self, generator: np.random.Generator, count: int) -> np.ndarray:
        """`count` times in seconds, float64; the first draws do not depend on `count`."""
        ...


@dataclass(frozen=True)
class Constant:
    """Always `mean` seconds."""

    mean: float

    def draw(self, generator: np.random.Generator, count: int) -> np.ndarray:
        return np.full(count, self.mean)


@dataclass(frozen=True)
class Gamma:
    """Gamma with the given mean (s) and coefficient of variation: shape 1 / cv², scale mean cv²."""

    mean: float
    cv: float

    def draw(self, generator: np.random.Generator, count: int) -> np.ndarray:
        return generator.gamma(self.cv**-2, self.mean * self.cv**2, size=count)


DISTRIBUTIONS: dict[str, type[Constant] | type[Gamma]] = {"constant": Constant, "gamma": Gamma}
NOTHING = Constant(0.0)


@dataclass(frozen=True)
class Profile:
    """A named set of delays. `order` says whom the server takes next: `fifo` or `random`."""

    name: str
    step: Distribution
    """Seconds a mini-batch."""
    up: Distribution = NOTHING
    """Seconds from a worker to the server."""
    down: Distribution = NOTHING
    """Seconds from the server to a worker."""
    server: Distribution = NOTHING
    """Seconds the server is busy with an exchange."""
    order: str = "fifo"
    description: str = ""

    def as_dict(self) -> dict[str, Any]:
        """The profile as in its TOML file, without the description, which changes no result."""
        table: dict[str, Any] = {"name": self.name}
        for part in ("step", "up", "down", "server"):
            table[part] = _as_table(getattr(self, part))
        table["server"]["order"] = self.order
        return table


def _as_table(distribution: Any) -> dict[str, Any]:
    name = next(name for name, kind in DISTRIBUTIONS.items() if isinstance(distribution, kind))
    return {"distribution": name, **asdict(distribution)}


def profile_names() -> list[str]:
    """Names of the profiles that come with the program."""
    folder = resources.files("agn_bench") / "profiles"
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


def load_profile(name: str) -> Profile:
    """The shipped profile `name`.

    Raises:
        BadInput: there is no such profile.
    """
    choose("delays", name, profile_names())
    text = (resources.files("agn_bench") / "profiles" / f"{name}.toml").read_text(encoding="utf-8")
    return parse_profile(name, tomllib.loads(text))


def parse_profile(name: str, table: Mapping[str, Any]) -> Profile:
    """A profile from a parsed TOML table.

    Raises:
        BadInput: an unknown or missing key, or a number that no delay can have.
    """
    known = ("description", "step", "up", "down", "server")
    for key in table:
        choose("delays", f"{key}", known)
    if "step" not in table:
        raise BadInput("delays", name, "the table [step] is missing", "a profile with the seconds of a step")
    parts = {key: table[key] for key in ("step", "up", "down", "server") if key in table}
    order = "fifo"
    if isinstance(parts.get("server"), Mapping):
        order = choose("delays", parts["server"].get("order", "fifo"), ORDERS)
        parts["server"] = {key: value for key, value in parts["server"].items() if key != "order"} or None
    distributions = {key: _parse_distribution(key, part) for key, part in parts.items() if part is not None}
    return Profile(name, order=order, description=str(table.get("description", "")), **distributions)


def _parse_distribution(part: str, table: Any) -> Distribution:
    if not isinstance(table, Mapping):
        raise BadInput("delays", f"{part} = {table}", "not a table", f"[{part}] with a distribution and its numbers")
    kind = DISTRIBUTIONS[choose("delays", table.get("distribution", ""), DISTRIBUTIONS)]
    names = [field.name for field in fields(kind)]
    numbers: dict[str, float] = {}
    for key in table:
        choose("delays", key, ("distribution", *names))
    for key in names:
        value = table.get(key)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise BadInput("delays", f"{part}.{key} = {value}", "not a finite number", "seconds, 0 or more")
        if value < 0 or (value == 0 and (key == "cv" or part == "step")):
            limit = "above 0" if key == "cv" or part == "step" else "0 or more"
            raise BadInput("delays", f"{part}.{key} = {value}", "too small", f"a number {limit}")
        numbers[key] = float(value)
    return kind(**numbers)


@dataclass(frozen=True)
class Draws:
    """Every time a run needs, in seconds, float64. Shapes: (workers, phases), and (workers x phases,) for the order."""

    local_steps: int
    compute: np.ndarray
    """Of a local phase: the sum of its λ step draws."""
    up: np.ndarray
    down: np.ndarray
    server: np.ndarray
    order: np.ndarray | None
    """For each exchange, uniform in [0, 1): whom the server takes next. None: first in, first out."""


def draw_delays(profile: Profile, seed: int, workers: int, phases: int, local_steps: int) -> Draws:
    """Draw the times of `phases` local phases of each worker; each is a function of (seed, worker, phase, kind)."""

    def times(distribution: Distribution, kind: Kind, per_phase: int = 1) -> np.ndarray:
        return np.stack(
            [
                distribution.draw(stream(seed, kind, worker), phases * per_phase).reshape(phases, per_phase).sum(axis=1)
                for worker in range(workers)
            ]
        )

    return Draws(
        local_steps=local_steps,
        compute=times(profile.step, Kind.STEP, local_steps),
        up=times(profile.up, Kind.UP),
        down=times(profile.down, Kind.DOWN),
        server=times(profile.server, Kind.SERVER),
        order=stream(seed, Kind.ORDER).random(workers * phases) if profile.order == "random" else None,
    )
