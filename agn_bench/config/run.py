"""What a run is: the configuration, and its name."""

from __future__ import annotations

import hashlib
import json
import math
import shlex
from dataclasses import MISSING, dataclass, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from agn_bench.base.chosen import Chosen
from agn_bench.base.inputs import whole_number
from agn_bench.config.options import MAX_SEED, takes_options
from agn_bench.optimizers import LocalOptimizer, Optimizer
from agn_bench.optimizers.local_steps import LocalStepsRule
from agn_bench.optimizers.schedules import Schedule
from agn_bench.problems import Problem
from agn_bench.problems.data import Data
from agn_bench.problems.mlp import Mlp
from agn_bench.problems.shares import Split

if TYPE_CHECKING:  # NumPy is imported when there is a configuration, and not for what is wrong with an option
    from agn_bench.clock import Profile
    from agn_bench.clock.rules import Rules
    from agn_bench.clock.stops import Stop
    from agn_bench.clock.trace import Trace
    from agn_bench.config.plan import Plan

SEMANTICS_VERSION = 2
"""Raised when the same configuration gives other results than before."""

# Measured: what a run's peak memory, results written out included, grows by.
_EXCHANGE_BYTES = 400
_STEP_BYTES = 80


@dataclass(frozen=True)
class RunConfig:
    """One run, completely: everything its results depend on but the machine, the package versions and the threads.

    A field that is added has a default: what the runs that were made without it were made with. It is in a run's name
    only where it has another value, so that those keep theirs.
    """

    optimizer: Chosen[Optimizer]
    workers: int
    local_steps: int
    """λ."""
    local_optimizer: Chosen[LocalOptimizer]
    batch_size: int
    model: Chosen[Mlp] | None
    """A multilayer perceptron; None: it trains another problem."""
    dataset: Chosen[Data] | None
    """What the problem learns from; None: it makes its own data."""
    data_split: Chosen[Split]
    gradient_steps: int | None
    """Asked for, of all workers together; None: the run is ended by its time."""
    delays: Profile | Trace
    """What the timeline is simulated from, or the timeline itself."""
    reset_local_optimizer: bool
    eval_every: int | None
    """Exchanges between evaluations; None: 20 times, evenly."""
    window: float
    """Seconds of simulated time over which a point of the curve averages."""
    seed: int
    shares: str = "equal"
    """How the work is shared out (see defaults.SHARES)."""
    seconds: float | None = None
    """Simulated, after which the run ends."""
    until: str | None = None
    """The run ends at the first evaluation that reaches this, as in `test_accuracy=0.95`."""
    problem: Chosen[Problem] | None = None
    """What it trains, if not a multilayer perceptron."""
    schedule: Chosen[Schedule] | None = None
    """The schedule of the learning rate; None: it is constant."""
    clip: float | None = None
    """The length to which workers shorten longer gradients."""
    weight_decay: float | None = None
    """The share of the weights that workers add to a gradient."""
    products: str = "float32"
    """With how many digits matrices are multiplied (see defaults.PRODUCTS)."""
    local_steps_rule: Chosen[LocalStepsRule] | None = None
    """By what a phase's λ differs from `local_steps`; None: it does not."""
    leftover: bool = False
    """Whether workers make the steps of their shares that are no whole phase, which are never sent."""

    @classmethod
    @takes_options
    def of(cls, **options: object) -> RunConfig:
        """A configuration from the options of `agn-bench run`; what is not given is as the preset says.

        Raises:
            BadInput: an option is unknown, or its value or two together cannot be used.

        Args:
        """
        from agn_bench.config.resolving import resolve

        return resolve(options)

    @property
    def trains(self) -> Problem:
        """Its problem, with the data set to learn from."""
        chosen = self.problem or self.model
        assert chosen is not None
        if self.dataset is None:
            return chosen.thing
        return chosen.thing.on(self.dataset.thing, self.dataset.label)

    @property
    def subject(self) -> str:
        """What it trains, and on what, as in `mlp-small on mnist-5k`."""
        chosen = self.problem or self.model
        return str(chosen) if self.dataset is None else f"{chosen} on {self.dataset}"

    @property
    def local(self) -> LocalOptimizer:
        """The rule of a worker's own steps, and what is done to its gradients before."""
        if self.clip is None and self.weight_decay is None:
            return self.local_optimizer.thing
        from agn_bench.optimizers.local import Prepared

        return Prepared(self.local_optimizer.thing, self.clip, self.weight_decay)

    @property
    def rules(self) -> Rules:
        """What its optimizer asks of the clock."""
        return self.optimizer.thing.rules(self.workers)

    @property
    def stop(self) -> Stop:
        """What ends it before its workers are through with their shares."""
        from agn_bench.clock.stops import Stop

        return Stop(seconds=self.seconds, gradient_steps=None if self.shares == "equal" else self.gradient_steps)

    @property
    def simulated(self) -> bool:
        """Whether its timeline is simulated, and not recorded."""
        from agn_bench.clock import Profile

        return isinstance(self.delays, Profile)

    @property
    def plan(self) -> Plan:
        """The phases of a simulated run whose λ goes by a rule; with open shares those that are expected."""
        from agn_bench.config.plan import planned

        return planned(self)

    @property
    def adapts(self) -> bool:
        """Whether its λ is decided while it is trained."""
        from agn_bench.optimizers.adaptive_steps import AdaptiveSteps

        return self.local_steps_rule is not None and isinstance(self.local_steps_rule.thing, AdaptiveSteps)

    @property
    def channels(self) -> int:
        """How many exchanges the server serves at once."""
        from agn_bench.clock import Profile

        if not isinstance(self.delays, Profile) or (self.delays.collective and self.rules.waits):
            return 1
        return self.delays.channels

    @property
    def phases(self) -> int:
        """Local phases of each worker, the most if they differ; the rest of its share is not trained. With open shares
        it is an estimate.
        """
        if self.local_steps_rule is not None and self.simulated:
            return int(self.plan.phases.max())
        return max(1, self.exchanges // self.workers) if self.shares == "open" else self._share

    @property
    def _share(self) -> int:
        assert self.gradient_steps is not None
        return self.gradient_steps // self.workers // self.local_steps

    @property
    def leftover_steps(self) -> int:
        """The steps of a worker's equal share that it makes after its whole phases."""
        if not self.leftover or self.gradient_steps is None:
            return 0
        return self.gradient_steps // self.workers % self.local_steps

    @property
    def exchanges(self) -> int:
        """That its work asks for. Fewer are made if the run is ended before, or workers are interrupted; of a run
        without limits of work about as many as its time allows.
        """
        from agn_bench.clock.trace import Trace

        if isinstance(self.delays, Trace):
            return self.delays.timeline.exchanges
        if self.local_steps_rule is not None:
            return int(self.plan.phases.sum())
        if self.shares == "equal":
            return self.workers * self._share
        most = [] if self.gradient_steps is None else [self.gradient_steps // self.local_steps]
        if self.seconds is not None:
            rate = self.delays.exchanges_per_s(self.workers, self.local_steps, self.message_bytes)
            most.append(math.ceil(min(self.seconds * rate, 1e15)))
        return max(1, min(most))

    @property
    def steps(self) -> int:
        """The gradient steps of these exchanges, or those asked for."""
        if self.local_steps_rule is not None and self.shares == "open":
            return int(self.plan.steps.sum())
        return self.exchanges * self.local_steps if self.shares == "open" else self.gradient_steps or 0

    @property
    def epochs(self) -> float | None:
        """The work asked for, in passes over the training set."""
        if self.gradient_steps is None:
            return None
        return self.gradient_steps * self.batch_size / self.trains.examples

    @property
    def program(self) -> tuple[object, ...]:
        """What XLA compiles for it: configurations that agree in this differ in numbers only, and share the programs
        (but for few workers, whose programs hold fewer exchanges: under eight on a CPU, under 32 on a GPU).
        """
        return (
            None if self.dataset is None else self.dataset.name,
            None if self.model is None else self.model.name,
            None if self.problem is None else self.problem.program,
            self.batch_size,
            self.local_optimizer.program,
            self.clip is None,
            self.weight_decay is None,
            self.schedule is None,
            None if self.local_steps_rule is None else self.local_steps_rule.program,
            self.products,
            self.reset_local_optimizer,
            self.optimizer.program,
            self.local_steps,
        )

    @property
    def worker_bytes(self) -> int:
        """Memory for a worker: its parameters, the state of its local optimizer, and what the server keeps of it."""
        return self.message_bytes * (1 + self.local_optimizer.thing.slots + self.optimizer.thing.worker_slots)

    @property
    def memory_bytes(self) -> int:
        """Memory for the run, about, beside the program itself and the data set."""
        indices = 4 * self.steps * self.batch_size
        # An exchange takes its times, its row in commits.csv and the text of that; a step takes its loss and its time.
        exchanges, most_steps = self.steps // self.local_steps, self.local_steps
        if self.local_steps_rule is not None and self.simulated:  # there is room for the longest phase in every one
            exchanges, most_steps = len(self.plan.steps), int(self.plan.steps.max())
        room = max(self.steps, exchanges * most_steps)
        records = _EXCHANGE_BYTES * exchanges + _STEP_BYTES * room
        # The center and the worker being trained are there twice; the indices too, while they are shuffled.
        server = self.message_bytes * self.optimizer.thing.server_slots
        return (self.workers + 2) * self.worker_bytes + server + 2 * indices + records

    @property
    def message_bytes(self) -> int:
        """The size of what a worker sends to the server and gets back."""
        return self.trains.message_bytes

    @property
    def run_id(self) -> str:
        return f"{self.optimizer}-n{self.workers}-l{self.local_steps}-s{self.seed}-{self.digest}"

    @cached_property
    def digest(self) -> str:
        """8 hex digits of the hash of the configuration and the semantics version."""
        return digest_of(self.as_dict())

    @cached_property
    def configuration(self) -> str:
        """The same without the seed: what runs have in common that may be averaged."""
        return digest_of({name: value for name, value in self.as_dict().items() if name != "seed"})

    def __getstate__(self) -> dict[str, Any]:
        """Without the hashes: another process, which may have another version, takes its own."""
        return {one.name: getattr(self, one.name) for one in fields(self)}

    def as_dict(self) -> dict[str, Any]:
        """What tells this run from all others, as in its run.json: only what applies, and of what came later only what
        is not at its default.
        """
        return {name: _plain(value) for name, value in self._values().items()}

    def command(self) -> str:
        """The command that makes this run, with every option spelled out and no path."""
        words = ["agn-bench", "run"]
        for name, value in self._values().items():
            flag = "--" + name.replace("_", "-")
            if name == "delays":
                words += value.options or (flag, value.name)
            elif value is True:
                words.append(flag)
            elif value is not False:
                words += [flag, value.spelled if isinstance(value, Chosen) else str(value)]
        return shlex.join(words)

    def _values(self) -> dict[str, Any]:
        values = {one.name: (getattr(self, one.name), one.default) for one in fields(self)}
        if self.seconds is not None:  # with them open shares are what is taken where nothing is said
            values["shares"] = (self.shares, MISSING)
        return {
            name: value
            for name, (value, default) in values.items()
            if value is not None and (default is MISSING or value != default)
        }


def _plain(value: Any) -> Any:
    if isinstance(value, Chosen):
        return value.text
    return value.as_dict() if hasattr(value, "as_dict") else value


def digest_of(content: dict[str, Any], semantics: int | None = None) -> str:
    """8 hex digits of the hash of a configuration's values and the semantics version, by default the present one."""
    text = json.dumps({"semantics": SEMANTICS_VERSION if semantics is None else semantics, **content}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def with_seeds(config: RunConfig, seeds: object) -> list[RunConfig]:
    """The same configuration for `seeds` seeds, counting up from its own."""
    count = whole_number("seeds", seeds, 1, min(10_000, MAX_SEED - config.seed + 1))
    return [replace(config, seed=config.seed + i) for i in range(count)]
