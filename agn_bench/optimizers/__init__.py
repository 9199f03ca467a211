"""The optimizers, one file each: what the server does; and in local.py the rules of the workers' own steps.

A server knows three moments: a commit is served, a version is made, a worker is answered. An optimizer is a class under
`@optimizer` that declares its numbers as fields and has a pure function for each moment that it needs; most need only
`commit`. It knows nothing of time, data or files; `rules` says what it asks of the clock. A shipped one is a file here
and a line in `OPTIMIZERS`; anyone's own is a file anywhere, chosen as `--optimizer my.py:Mine`.

Nothing here imports JAX before it computes, so that lists and checks answer at once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, TypeVar, dataclass_transform

from agn_bench.base.named import Named
from agn_bench.base.pytrees import as_pytree
from agn_bench.base.quantities import choice, factor, positive, quantity, ratio, seconds

if TYPE_CHECKING:
    import jax
    import optax

    from agn_bench.clock.draws import Draws
    from agn_bench.clock.rules import Rules
    from agn_bench.clock.stops import Stop
    from agn_bench.clock.timeline import Timeline

Params = Any
"""A pytree of arrays."""
Class = TypeVar("Class")


class Commit(NamedTuple):
    """What is known of a commit, besides where its steps arrived."""

    start: Params
    """What the local phase began from: the center that the worker pulled, or what `reply` gave instead."""
    steps: jax.Array | int
    """λ of this phase; where λ varies, an int32 scalar that is not known when it is compiled."""
    staleness: jax.Array
    """τ, versions the center gained since the worker's pull, int32 scalar."""
    workers: jax.Array | int
    """n, int32 scalar."""
    learning_rate: jax.Array | float
    """The learning rate of the local optimizer; NaN if it has none."""


class Server(NamedTuple):
    center: Params
    memory: Any
    """The optimizer's own, as `init` began it: a buffer, momentum, a count."""


class Worker(NamedTuple):
    params: Params
    memory: Any
    """What the server keeps of this one worker, as `init_worker` began it."""


class Optimizer(ABC):
    """What the server does. The docstring's first line is its equation, as lists show it.

    Memory is a pytree of arrays, whose shapes and types never change; where there is none, `()`, it costs nothing.
    """

    family: ClassVar[str] = ""
    """Under which of FAMILIES lists show a shipped one."""
    source: ClassVar[str] = ""
    """Where it is from."""
    server_slots: ClassVar[int] = 0
    """How many times the size of the parameters the server's memory has: for the memory that runs need."""
    worker_slots: ClassVar[int] = 0
    """The same of each worker's memory."""
    needs_learning_rate: ClassVar[bool] = False
    """Whether its equation has the learning rate of the local optimizer, which must then have one."""
    trained_with: ClassVar[Mapping[str, object]] = {}
    """Options of a run where nothing else is said, neither by a preset, by name as in an experiment file."""

    def rules(self, workers: int) -> Rules:
        """What it asks of the clock. By default every commit makes a version, and its worker goes on at once."""
        from agn_bench.clock.rules import ASYNCHRONOUS

        return ASYNCHRONOUS

    def init(self, center: Params, workers: int) -> Any:
        """The server's memory before the first exchange."""
        return ()

    def init_worker(self, center: Params) -> Any:
        """The memory of one worker before its first exchange."""
        return ()

    @abstractmethod
    def commit(self, server: Server, worker: Worker, commit: Commit) -> tuple[Server, Worker]:
        """An accepted commit is served. `worker.params` is where its λ local steps arrived; Δ = that − commit.start."""

    def version(self, server: Server) -> Server:
        """As many commits were accepted as make a version (see Rules.quorum). By default they have changed the center
        already.
        """
        return server

    def reply(self, server: Server, worker: Worker) -> Worker:
        """A worker is answered: what it goes on from. By default the center's very arrays, which are not copied.

        An interrupted worker is answered too; its params are then what its phase began from.
        """
        return worker._replace(params=server.center)

    def gradient(self, gradient: Params, params: Params, start: Params, memory: Any) -> Params:
        """What the local optimizer is given at each step of a phase, in place of the gradient.

        Args:
            params: where the worker is.
            start: what the phase began from.
            memory: the worker's.
        """
        return gradient

    def applied(self, memory: Any) -> Any:
        """How many commits have changed the center, if it leaves some out by their values; None if it does not.

        Args:
            memory: the server's, at the end of a run.
        """
        return None

    def timeline(self, draws: Draws, rules: Rules, stop: Stop) -> Timeline:
        """The exchanges of a run. For an optimizer of whose clock no rules say it: any loop that returns a Timeline."""
        from agn_bench.clock.events import simulate_timeline

        return simulate_timeline(draws, rules, stop)


class LocalOptimizer(ABC):
    """The rule of a worker's own steps."""

    slots: ClassVar[int] = 2
    """How many times the size of the parameters its state has, at most: for the memory that runs need."""

    @abstractmethod
    def transformation(self) -> optax.GradientTransformation:
        """The rule, as Optax has it."""


@dataclass_transform(frozen_default=True, field_specifiers=(quantity, choice, seconds, positive, ratio, factor))
def optimizer(cls: type[Class]) -> type[Class]:
    """Make an optimizer, or a local optimizer, of a class: a frozen dataclass, whose fields are its numbers."""
    return dataclass(frozen=True)(cls)


def each(function: Callable[..., Any], *trees: Any) -> Any:
    """`function` of every array of some pytrees of one structure: jax.tree.map."""
    import jax

    return jax.tree.map(function, *trees)


def zeros(tree: Any) -> Any:
    """Arrays of the shapes and types of some pytree's, of zeros."""
    import jax.numpy as jnp

    return each(jnp.zeros_like, tree)


def displacement(worker: Worker, commit: Commit) -> Params:
    """Δ, by how much its local phase has moved a worker."""
    return each(lambda s, e: e - s, commit.start, worker.params)


def moved(server: Server, step: Params) -> Server:
    """The server whose center has made a step."""
    return server._replace(center=each(lambda c, d: c + d, server.center, step))


def gradients(step: Params, commit: Commit) -> Params:
    """ĝ = −Δ / η, the sum of the gradients of λ plain local steps; zero where η is.

    With another local optimizer, or a rate that changed during the phase, that is a definition: what plain steps at the
    last rate would have needed to get as far.
    """
    import jax.numpy as jnp

    rate = jnp.asarray(commit.learning_rate)
    return each(lambda d: jnp.where(rate == 0, 0, -d / jnp.where(rate == 0, 1, rate).astype(d.dtype)), step)


def length(tree: Params) -> jax.Array:
    """The Euclidean length of all arrays of a pytree together."""
    import optax

    return optax.tree.norm(tree)


FAMILIES = {
    "additive": "A commit is added to the center as it is, or left out.",
    "normalized": "A commit is divided by its number of local steps, always or where needed, to the length of one.",
    "weighted by staleness": "A commit counts the less the more versions it has missed.",
    "corrected by distance": "A commit is changed weight by weight, and more where the center has moved farther.",
    "elastic": "A worker keeps parameters of its own; center and worker draw each other closer.",
    "server momentum": "Commits go into a momentum at the server, one for all workers or one for each.",
    "barrier": "The mean of several commits makes a version, and their workers wait for it.",
    "buffer": "The mean of several commits makes a version, and nobody waits for it.",
    "server optimizer": "What another optimizer would add to the center is the gradient of a rule at the server.",
}
"""Families of shipped optimizers, in the order of lists: what the members of each have in common where their numbers
are the defaults.
"""

OPTIMIZERS: Named[Optimizer] = Named(
    "optimizer",
    Optimizer,  # type: ignore[type-abstract]
    "agn_bench.optimizers",
    {
        "agn": "agn_bench.optimizers.agn:Agn",
        "easgd": "agn_bench.optimizers.easgd:Easgd",
        "dynsgd": "agn_bench.optimizers.dynsgd:Dynsgd",
        "downpour": "agn_bench.optimizers.downpour:Downpour",
        "local-sgd": "agn_bench.optimizers.local_sgd:LocalSgd",
        "stale-synchronous": "agn_bench.optimizers.stale_synchronous:StaleSynchronous",
        "fedbuff": "agn_bench.optimizers.fedbuff:Fedbuff",
        "ringmaster": "agn_bench.optimizers.ringmaster:Ringmaster",
        "dana": "agn_bench.optimizers.dana:Dana",
        "dana-dc": "agn_bench.optimizers.dana:DanaDc",
        "dana-slim": "agn_bench.optimizers.dana:DanaSlim",
        "multi-asgd": "agn_bench.optimizers.dana:MultiAsgd",
        "nag-asgd": "agn_bench.optimizers.dana:NagAsgd",
        "smega2": "agn_bench.optimizers.smega2:Smega2",
        "gem": "agn_bench.optimizers.gem:Gem",
        "adag": "agn_bench.optimizers.adag:Adag",
        "adag-agn": "agn_bench.optimizers.adag:AdagAgn",
        "agn-when-needed": "agn_bench.optimizers.agn_when_needed:AgnWhenNeeded",
        "dc-asgd": "agn_bench.optimizers.dc_asgd:DcAsgd",
        "dc-asgd-adaptive": "agn_bench.optimizers.dc_asgd:DcAsgdAdaptive",
        "gap-aware": "agn_bench.optimizers.gap_aware:GapAware",
        "delay-adaptive": "agn_bench.optimizers.delay_adaptive:DelayAdaptive",
        "fedasync": "agn_bench.optimizers.fedasync:Fedasync",
        "picky": "agn_bench.optimizers.picky:Picky",
        "clipped": "agn_bench.optimizers.clipped:Clipped",
        "eamsgd": "agn_bench.optimizers.eamsgd:Eamsgd",
        "delayed-nesterov": "agn_bench.optimizers.delayed_nesterov:DelayedNesterov",
        "sync-sgd": "agn_bench.optimizers.sync_sgd:SyncSgd",
        "backup-workers": "agn_bench.optimizers.backup_workers:BackupWorkers",
        "k-sync": "agn_bench.optimizers.k_sync:KSync",
        "k-async": "agn_bench.optimizers.k_async:KAsync",
        "rennala": "agn_bench.optimizers.rennala:Rennala",
        "malenia": "agn_bench.optimizers.malenia:Malenia",
        "ringleader": "agn_bench.optimizers.ringleader:Ringleader",
        "diloco": "agn_bench.optimizers.diloco:Diloco",
        "server-optimizer": "agn_bench.optimizers.server_optimizer:ServerOptimizer",
    },
    "@optimizer",
)

LOCAL_OPTIMIZERS: Named[LocalOptimizer] = Named(
    "local_optimizer",
    LocalOptimizer,  # type: ignore[type-abstract]
    "agn_bench.local_optimizers",
    {
        "sgd": "agn_bench.optimizers.local:Sgd",
        "momentum": "agn_bench.optimizers.local:Momentum",
        "adam": "agn_bench.optimizers.local:Adam",
        "nesterov": "agn_bench.optimizers.local:Nesterov",
        "adamw": "agn_bench.optimizers.local:Adamw",
    },
    "@optimizer",
)


def __getattr__(name: str) -> Any:
    """Rules, which are the clock's, without importing the clock, and with it NumPy, before somebody needs them."""
    if name == "Rules":
        from agn_bench.clock.rules import Rules

        return Rules
    raise AttributeError(name)


__all__ = [
    "FAMILIES",
    "LOCAL_OPTIMIZERS",
    "OPTIMIZERS",
    "Commit",
    "LocalOptimizer",
    "Optimizer",
    "Params",
    "Rules",
    "Server",
    "Worker",
    "as_pytree",
    "choice",
    "displacement",
    "each",
    "factor",
    "gradients",
    "length",
    "moved",
    "optimizer",
    "quantity",
    "seconds",
    "zeros",
]
