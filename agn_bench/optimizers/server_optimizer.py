"""A server optimizer (Reddi, Charles, Zaheer, Garrett, Rush, Konečný, Kumar, McMahan 2021, Adaptive Federated
Optimization): what another optimizer would add to the center is a gradient for a rule at the server.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from agn_bench.clock.rules import Rules
from agn_bench.optimizers import (
    OPTIMIZERS,
    Commit,
    Optimizer,
    Params,
    Server,
    Worker,
    choice,
    each,
    factor,
    optimizer,
    quantity,
)

if TYPE_CHECKING:
    import optax

RULES = ("sgd", "momentum", "nesterov", "adam", "adagrad", "yogi", "rmsprop", "lion")


class Stepping(Optimizer):
    """c ← c + the server rule's step along what another optimizer would have added to the center."""

    family: ClassVar[str] = "server optimizer"
    source: ClassVar[str] = "Reddi et al. 2021, arXiv 2003.00295"

    def inner(self) -> Optimizer:
        """The other optimizer."""
        raise NotImplementedError

    def transformation(self) -> optax.GradientTransformation:
        """The server's rule, as Optax has it; its gradient is minus what would have been added."""
        raise NotImplementedError

    def rules(self, workers: int) -> Rules:
        return self.inner().rules(workers)

    def init(self, center: Params, workers: int) -> Any:
        """The rule's state, and the other optimizer's memory."""
        return self.transformation().init(center), self.inner().init(center, workers)

    def init_worker(self, center: Params) -> Any:
        return self.inner().init_worker(center)

    def commit(self, server: Server, worker: Worker, commit: Commit) -> tuple[Server, Worker]:
        def serve(plain: Server) -> Server:
            nonlocal worker
            plain, worker = self.inner().commit(plain, worker, commit)
            return plain

        return self._stepped(server, serve), worker

    def version(self, server: Server) -> Server:
        return self._stepped(server, self.inner().version)

    def _stepped(self, server: Server, moment: Callable[[Server], Server]) -> Server:
        """The server after a moment of the other optimizer, in which the rule steps if the center would have moved."""
        import optax

        state, memory = server.memory
        plain = moment(Server(server.center, memory))
        if plain.center is server.center:
            return Server(server.center, (state, plain.memory))
        slope = each(lambda before, after: before - after, server.center, plain.center)
        step, state = self.transformation().update(slope, state, server.center)
        return Server(optax.apply_updates(server.center, step), (state, plain.memory))

    def gradient(self, gradient: Params, params: Params, start: Params, memory: Any) -> Params:
        return self.inner().gradient(gradient, params, start, memory)


@optimizer
class ServerOptimizer(Stepping):
    """c ← c + a step of Optax's along another optimizer's: momentum, Adam or others at the server.

    What the other would have added to the center, at a commit or at a version, is minus the gradient that the rule is
    given. So `rule=sgd:rate=1` is the other one itself. The rules are Optax's with its defaults, which are not those of
    FedAdam and FedYogi. Adaptive rules on what many local steps add up to are reported to do harm.
    """

    commits: str = choice(
        "downpour",
        "agn",
        "dynsgd",
        "delay-adaptive",
        "adag",
        "adag-agn",
        "fedasync",
        "clipped",
        "local-sgd",
        "fedbuff",
        "ringmaster",
        "rennala",
        default="local-sgd",
        help="Whose commits they are, with that optimizer's defaults.",
    )
    rule: str = choice(*RULES, default="momentum", help="The rule at the server.")
    rate: float = factor("Step length of the server.", default=1.0, search=(0.01, 10, "log"))
    momentum: float = quantity(
        0, 0.999_999, default=0.9, search=(0, 0.99), help="Momentum of the rules momentum and nesterov."
    )

    @property
    def server_slots(self) -> int:  # type: ignore[override]
        return slots(self.rule) + self.inner().server_slots

    @property
    def worker_slots(self) -> int:  # type: ignore[override]
        return self.inner().worker_slots

    def inner(self) -> Optimizer:
        return OPTIMIZERS.choose(self.commits).thing

    def transformation(self) -> optax.GradientTransformation:
        return server_rule(self.rule, self.rate, self.momentum)


def server_rule(name: str, rate: float, momentum: float) -> optax.GradientTransformation:
    """The rule of Optax by its name here, its other numbers at Optax's defaults."""
    import optax

    if name in ("momentum", "nesterov"):
        return optax.sgd(rate, momentum=momentum, nesterov=name == "nesterov")
    of: Callable[..., optax.GradientTransformation] = getattr(optax, name)
    return of(rate, weight_decay=0.0) if name == "lion" else of(rate)


def slots(name: str) -> int:
    """How many times the size of the parameters its state has."""
    return {"sgd": 0, "adam": 2, "yogi": 2}.get(name, 1)
