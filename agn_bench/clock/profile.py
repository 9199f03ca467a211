"""A profile: the named set of delays that a run goes by."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple

import numpy as np

from agn_bench.base.quantities import declared_numbers, named_numbers, quantity, seconds
from agn_bench.base.streams import Kind
from agn_bench.clock.absences import Absence
from agn_bench.clock.distributions import DISTRIBUTIONS, Constant, Distribution
from agn_bench.clock.speeds import SPEEDS, Equal, Speeds, slowness_of

ORDERS = ("fifo", "random")
PARTS = ("step", "up", "down", "server")
TIMES_AWAY = ("between_pauses", "pause", "between_failures", "failure", "join", "lifetime")
"""Tables of distributions that only profiles have whose workers go away."""
TABLES = (*PARTS, "workers", "collective", *TIMES_AWAY, "absences")
PULLS = ("answer", "separate")
STALENESS = ("applied", "arrival")
"""When the server reads a commit's staleness."""
BESIDE = {
    "up": ("bandwidth",),
    "down": ("bandwidth",),
    "server": ("bandwidth", "order", "fifo_share", "channels", "pull", "pull_share", "staleness"),
    "pause": ("group",),
    "failure": ("group",),
}
"""Keys of a part's table that are not its distribution's."""
BYTES_PER_S = (1e-3, 1e18)
"""What a bandwidth is from and to."""
NOTHING = Constant(0.0)


class Bandwidth(NamedTuple):
    """Bytes a second; a message's bytes over it are added to what is drawn. Infinite: size costs nothing."""

    up: float = math.inf
    down: float = math.inf
    server: float = math.inf


class RoundTime(NamedTuple):
    """What a round of all-reduce of one message takes, by a ring (Patarasuk and Yuan 2009, J. Parallel Distrib. Comput.
    69, 117-124): each of q workers sends a q-th of the message to the next one, 2 (q − 1) times.
    """

    latency_s: float
    """The latency of each sending."""
    transfer_s: float
    """The transfer of the whole message: its bytes over the bandwidth."""

    def seconds(self, members: int) -> float:
        """2 (q − 1) latency + 2 (q − 1)/q transfer, of q members."""
        sendings = 2 * (members - 1)
        return sendings * self.latency_s + sendings / members * self.transfer_s


@dataclass(frozen=True)
class Collective:
    """How workers that wait for one another exchange what they have: by a ring, without the server."""

    latency: float = seconds("Seconds from a worker to the next.", default=0.0, later=True)
    bandwidth: float = quantity(
        *BYTES_PER_S, default=math.inf, later=True, help="Bytes a second, from a worker to the next."
    )

    def round_time(self, message_bytes: int) -> RoundTime:
        return RoundTime(self.latency, message_bytes / self.bandwidth)

    def round_s(self, members: int, message_bytes: int) -> float:
        """Seconds of a round: 2 (q − 1) latency + 2 (q − 1)/q · bytes / bandwidth, of q members (see RoundTime)."""
        return self.round_time(message_bytes).seconds(members)


@dataclass(frozen=True)
class Going:
    """How workers go away and come back; what is None does not happen."""

    between_pauses: Distribution | None = None
    """Seconds from the end of a pause to the beginning of the next."""
    pause: Distribution | None = None
    pause_group: int = 1
    """So many workers in a row, the first ones together, have the same pauses."""
    between_failures: Distribution | None = None
    failure: Distribution | None = None
    """Seconds that a worker is away."""
    failure_group: int = 1
    join: Distribution | None = None
    """The second at which a worker joins."""
    lifetime: Distribution | None = None
    """Seconds from then on until it leaves for good."""
    file: str = ""
    """A recorded list of absences, by its file's stem and content hash."""
    recorded: tuple[tuple[Absence, ...], ...] = field(default=(), repr=False, compare=False)
    """What it says of each worker; of those beyond it says nothing."""

    @property
    def pauses(self) -> Renewals | None:
        return _renewals(self.between_pauses, self.pause, self.pause_group, (Kind.BETWEEN_PAUSES, Kind.PAUSE))

    @property
    def failures(self) -> Renewals | None:
        return _renewals(self.between_failures, self.failure, self.failure_group, (Kind.BETWEEN_FAILURES, Kind.FAILURE))


class Renewals(NamedTuple):
    """Absences that come again and again."""

    between: Distribution
    length: Distribution
    group: int
    kinds: tuple[Kind, Kind]


def _renewals(
    between: Distribution | None, length: Distribution | None, group: int, kinds: tuple[Kind, Kind]
) -> Renewals | None:
    return None if between is None or length is None else Renewals(between, length, group, kinds)


UNLIMITED = Bandwidth()
EQUAL = Equal()


@dataclass(frozen=True)
class Profile:
    """A named set of delays."""

    name: str
    step: Distribution
    """Seconds a mini-batch, of a worker with factor 1."""
    up: Distribution = NOTHING
    """Seconds from a worker to the server: the latency."""
    down: Distribution = NOTHING
    """Seconds from the server to a worker: the latency."""
    server: Distribution = NOTHING
    """Seconds the server is busy with an exchange."""
    order: str = "fifo"
    """Whom the server takes next: `fifo`, first come first served, or `random`, anyone who waits."""
    fifo_share: float = 0.0
    """With `random`: the fraction of the exchanges that goes to the longest waiting instead."""
    channels: int = 1
    """How many exchanges the server serves at once."""
    bandwidth: Bandwidth = UNLIMITED
    speeds: Speeds = EQUAL
    start_interval: float = 0.0
    """Seconds between one worker's first start and the next one's; 0: all start at once."""
    collective: Collective | None = None
    """None: workers that wait for one another exchange through the server too."""
    pull: str = "answer"
    """What gives a worker new parameters: the `answer` to its commit, or a message of its own that is served apart,
    `separate`.
    """
    pull_share: float = 0.5
    """With `separate`: the part of a service that is the pull's."""
    staleness: str = "applied"
    """When the server reads a commit's staleness: when its service ends, `applied`, or at its `arrival`."""
    going: Going | None = None
    """None: no worker goes away."""
    description: str = ""
    source: str = ""
    options: tuple[str, ...] = ()
    """The command line's words for it, without a path."""

    def as_dict(self) -> dict[str, Any]:
        """The profile as in its TOML file, without the texts, which change no result, and what is not there."""
        table: dict[str, Any] = {"name": self.name}
        for part in PARTS:
            table[part] = {"distribution": DISTRIBUTIONS.name_of(getattr(self, part)), **numbers(getattr(self, part))}
            bandwidth = getattr(self.bandwidth, part, math.inf)
            if bandwidth < math.inf:
                table[part]["bandwidth"] = bandwidth
        table["server"]["order"] = self.order
        if self.fifo_share:
            table["server"]["fifo_share"] = self.fifo_share
        if self.channels > 1:
            table["server"]["channels"] = self.channels
        if self.pull != "answer":
            table["server"] |= {"pull": self.pull, "pull_share": self.pull_share}
        if self.staleness != "applied":
            table["server"]["staleness"] = self.staleness
        workers = {} if self.speeds == EQUAL else {"speeds": SPEEDS.name_of(self.speeds), **numbers(self.speeds)}
        if self.start_interval:
            workers["start_interval"] = self.start_interval
        if workers:
            table["workers"] = workers
        if self.collective is not None:
            table["collective"] = numbers(self.collective)
        return table | self._going_as_dict()

    def _going_as_dict(self) -> dict[str, Any]:
        table: dict[str, Any] = {}
        for part in TIMES_AWAY:
            distribution = getattr(self.going, part, None)
            if distribution is not None:
                table[part] = {"distribution": DISTRIBUTIONS.name_of(distribution), **numbers(distribution)}
        for part in ("pause", "failure"):
            group = getattr(self.going, f"{part}_group", 1)
            if group > 1:
                table[part]["group"] = group
        if self.going is not None and self.going.file:
            table["absences"] = {"file": self.going.file}
        return table

    def exchanges_per_s(self, workers: int, local_steps: int, message_bytes: int) -> float:
        """What n workers make at most, on average: as fast as they are, and as the server is, if nobody waits."""
        rate = float(self.rates(0, workers, local_steps, message_bytes).sum())
        server = self.mean_s("server", message_bytes)
        return min(rate, self.channels / server) if server else rate

    def rates(self, seed: int, workers: int, local_steps: int | np.ndarray, message_bytes: int) -> np.ndarray:
        """Exchanges per simulated second that each worker would make on average if none ever waited, (workers,).

        Args:
            local_steps: λ, or that of each worker.
        """
        step = self.step.moments().mean * local_steps
        links = self.mean_s("up", message_bytes) + self.mean_s("down", message_bytes)
        slowness = np.asarray(slowness_of(self.speeds, seed, workers))
        rest = links + self.mean_s("server", message_bytes)
        return np.asarray(1 / np.maximum(slowness * step + rest, np.finfo(float).tiny))

    def mean_s(self, part: str, message_bytes: int) -> float:
        """Seconds that `part` of an exchange takes on average."""
        return float(getattr(self, part).moments().mean) + self.transfer_s(part, message_bytes)

    def transfer_s(self, part: str, message_bytes: int) -> float:
        """Seconds that the size of a message adds to `part` of an exchange."""
        return message_bytes / float(getattr(self.bandwidth, part))


def numbers(value: Any) -> dict[str, Any]:
    """The keys and values of a distribution, of speeds or of a collective as in a TOML file, but for numbers that came
    later and have their default (see quantities.quantity).
    """
    declared = declared_numbers(type(value))
    kept = [one.name for one in fields(value) if one.name not in declared] + list(named_numbers(value))
    found = {one.name: getattr(value, one.name) for one in fields(value) if one.name in kept}
    return {
        key: list(item) if isinstance(item, tuple) else item
        for key, item in found.items()
        if not isinstance(item, np.ndarray)
    }
