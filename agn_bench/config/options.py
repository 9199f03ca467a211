"""The options that make a configuration, each declared once: for commands, experiment files, `--only`, columns, docs.

A new option is a line here and a field of RunConfig with a default, which is what runs without it were made with.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeVar

from agn_bench.base.inputs import NeverAccepted, choose, number, shown, spelled, whole_number
from agn_bench.base.named import Named
from agn_bench.base.quantities import LARGEST, LOG, SMALLEST, Accepted, Search, declared_numbers
from agn_bench.config.defaults import EVALUATIONS, PRESETS, PRODUCTS, SHARES
from agn_bench.optimizers import LOCAL_OPTIMIZERS, OPTIMIZERS
from agn_bench.optimizers.local_steps import LOCAL_STEPS_RULES
from agn_bench.optimizers.schedules import SCHEDULES
from agn_bench.problems import PROBLEMS
from agn_bench.problems.catalogue import DATASETS, MODELS, SPLITS

MAX_SEED = 2**32 - 1

OPTIMIZER, WORK, PROBLEM, TIME, RUN = "Optimizer and workers", "Work", "Problem", "Time", "Running and files"
"""Panels of the help."""


class Kind(Enum):
    """What an option takes: the word for it in the help, and in an experiment file."""

    NAME = ("NAME", "a text", "str")
    WHOLE = ("N", "a number", "int")
    NUMBER = ("X", "a number", "float")
    SECONDS = ("S", "a number", "float")
    FLAG = ("", "true or false", "bool")
    FILE = ("FILE", "a text", "str | Path")
    PROFILE = ("NAME|FILE", "a text", "str | Path")
    SETTINGS = ("TABLE.KEY=VALUE", "a text", "str | Sequence[str]")

    @property
    def metavar(self) -> str:
        return str(self.value[0])

    @property
    def accepted(self) -> str:
        return str(self.value[1])

    def takes(self, value: object) -> bool:
        """Whether a value of an experiment file is of this kind."""
        if self is Kind.FLAG:
            return isinstance(value, bool)
        if self is Kind.SETTINGS and isinstance(value, list):
            return all(isinstance(setting, str) for setting in value)
        if self in (Kind.WHOLE, Kind.NUMBER, Kind.SECONDS):
            return type(value) in (int, float)
        return isinstance(value, str)


Names = Iterable[str] | Callable[[], Iterable[str]]
"""The names of what can be chosen, or how to find them when they are needed."""


@dataclass(frozen=True)
class Option:
    """An option of a configuration, by its name with underscores."""

    name: str
    kind: Kind
    help: str
    panel: str
    default: Any = None
    """None: it has none, or it depends on the preset or on other options."""
    names: Names = ()
    """That can be chosen from."""
    limits: Accepted | None = None
    """The limits of a number that depends on no other option."""
    automatic: bool = False
    """Whether it takes `auto` too."""
    search: Search | None = None
    """Where `agn-bench tune` looks for its best value; None: it is left as it is."""
    unit: str = ""
    metavar: str = ""
    """The word for its value in the help; by default that of its kind. Other options stand in `help` in backticks."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "metavar", self.metavar or self.kind.metavar)

    @property
    def text(self) -> str:
        """The help, with the default."""
        default = self._shown_default()
        return f"{self.help}; default {default}." if default else f"{self.help}."

    def _shown_default(self) -> str:
        if self.name == "learning_rate":
            rates = {
                name: declared_numbers(LOCAL_OPTIMIZERS[name])["learning_rate"].default for name in LOCAL_OPTIMIZERS
            }
            return ", ".join(f"{name}: {rate:g}" for name, rate in rates.items())
        if self.kind is Kind.FLAG:
            return "on" if self.default else "off"
        if self.default is not None:
            return f"{self.default:g}" if isinstance(self.default, float) else str(self.default)
        return ", ".join(f"{name}: {options[self.name]}" for name, options in PRESETS.items() if self.name in options)

    def takes(self, value: object) -> bool:
        """Whether a value of an experiment file is of the right kind."""
        return self.kind.takes(value) or (self.automatic and value == "auto")

    @property
    def annotation(self) -> str:
        """Its type, in a signature."""
        types = [str(self.kind.value[2]), *(["str"] if self.automatic else [])]
        return " | ".join([*types, *(["None"] if self.default is None else [])])

    @property
    def accepted(self) -> str:
        """What an experiment file may say."""
        return self.kind.accepted + (', or "auto"' if self.automatic else "")

    def names_a_file(self, value: object) -> bool:
        """Whether a value of an experiment file is a path, or begins with one."""
        if not isinstance(value, str):
            return False
        if isinstance(self.names, Named):
            return self.names.is_in_a_file(value)
        if self.kind is Kind.PROFILE:
            return re.search(r"[./\\]", value) is not None and value not in _profiles()
        return self.kind is Kind.FILE and re.search(r"[./\\]", value) is not None

    @property
    def stands_alone(self) -> bool:
        """Whether `read` can check it without the other options."""
        return isinstance(self.names, Named | dict) or self.limits is not None or self.kind is Kind.FLAG

    def read(self, value: object) -> Any:
        """A value, checked.

        Raises:
            BadInput: it is not accepted.
        """
        if isinstance(self.names, Named):
            return self.names.choose(value)
        if isinstance(self.names, dict):
            return choose(self.name, value, self.names)
        if self.kind is Kind.FLAG:
            if not isinstance(value, bool):
                raise NeverAccepted(self.name, shown(value), "neither true nor false", "true or false")
            return value
        assert self.limits is not None
        low, high, *_ = self.limits
        if self.limits.whole:
            return whole_number(self.name, value, int(low), int(high), self.unit)
        return number(self.name, value, low, high, self.unit)


Function = TypeVar("Function", bound=Callable[..., Any])


def _profiles() -> list[str]:
    from agn_bench.clock.profile_files import profile_names

    return profile_names()


def _one_of(names: Iterable[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} or {last}"


OPTIONS = {
    option.name: option
    for option in (
        Option(
            "optimizer",
            Kind.NAME,
            f"{_one_of(OPTIMIZERS)}, or yours: my.py:Mine; with numbers as in easgd:alpha=0.1 (`list NAME` has them)",
            OPTIMIZER,
            "agn",
            OPTIMIZERS,
        ),
        Option("workers", Kind.WHOLE, "Workers, n", OPTIMIZER, 20),
        Option(
            "local_steps",
            Kind.WHOLE,
            "Mini-batch steps between two exchanges of a worker, λ; auto: the least with which AGN is stable on these "
            "delays, as the command advise says",
            OPTIMIZER,
            "auto",
            automatic=True,
            search=Search(1, 64, LOG),
        ),
        Option(
            "local_steps_rule",
            Kind.NAME,
            f"How `local_steps` varies by worker, over a run's work or `seconds`, or by what training gives: "
            f"{_one_of(LOCAL_STEPS_RULES)}, or yours; "
            "with numbers as in post-local:after=0.3; default fixed",
            OPTIMIZER,
            names=LOCAL_STEPS_RULES,
        ),
        Option(
            "local_optimizer",
            Kind.NAME,
            f"Workers' own steps: {_one_of(LOCAL_OPTIMIZERS)}, or yours; with numbers as in momentum:momentum=0.5",
            OPTIMIZER,
            names=LOCAL_OPTIMIZERS,
        ),
        Option("learning_rate", Kind.NUMBER, "Step length of the local optimizer", OPTIMIZER),
        Option(
            "schedule",
            Kind.NAME,
            f"How the learning rate varies over a run's work or `seconds`: {_one_of(SCHEDULES)}, or yours; with "
            "numbers as in cosine:warmup=0.1; default constant",
            OPTIMIZER,
            names=SCHEDULES,
        ),
        Option(
            "clip",
            Kind.NUMBER,
            "Shorten a gradient that is longer than this; default none",
            OPTIMIZER,
            limits=Accepted(SMALLEST, LARGEST),
        ),
        Option(
            "weight_decay",
            Kind.NUMBER,
            "Add this share of the weights to a gradient; default none",
            OPTIMIZER,
            limits=Accepted(0, 1e6),
        ),
        Option(
            "reset_local_optimizer",
            Kind.FLAG,
            "Clear its state whenever a worker takes parameters from the server",
            OPTIMIZER,
            False,
        ),
        Option(
            "preset",
            Kind.NAME,
            f"Settings: {_one_of(PRESETS)} (from seconds to ten minutes a run)",
            WORK,
            "quick",
            PRESETS,
        ),
        Option("epochs", Kind.NUMBER, "Passes over the training set, by all workers together", WORK),
        Option("gradient_steps", Kind.WHOLE, "Mini-batch steps by all workers, instead of `epochs`", WORK),
        Option(
            "seconds",
            Kind.SECONDS,
            "Simulated seconds after which the run ends; without `epochs` and `gradient_steps` the only limit",
            WORK,
            limits=Accepted(1e-3, 1e9),
            unit="simulated seconds",
        ),
        Option(
            "until",
            Kind.NAME,
            "End the run at the first evaluation of the center, the shared parameters, that reaches this, "
            "as in test_accuracy=0.95; `list problems` says what each measures",
            WORK,
            metavar="MEASURE=VALUE",
        ),
        Option(
            "shares",
            Kind.NAME,
            "How the work is shared out. "
            + "; ".join(f"{name}: {what}" for name, what in SHARES.items())
            + "; default equal, or open with `seconds`",
            WORK,
            names=SHARES,
        ),
        Option(
            "leftover",
            Kind.FLAG,
            "With equal shares a worker also makes, at the end, the steps of its share that are no whole phase; they "
            "take time and are never sent, as in the paper's program",
            WORK,
            False,
        ),
        Option("batch_size", Kind.WHOLE, "Examples in a mini-batch", WORK, 128),
        Option(
            "problem",
            Kind.NAME,
            f"What is trained: {_one_of(PROBLEMS)}, or yours: my.py:Mine; with numbers as in cnn:channels=8; "
            "default mlp, the paper's",
            PROBLEM,
            names=PROBLEMS,
        ),
        Option(
            "model",
            Kind.NAME,
            f"Size of the problem mlp: {_one_of(MODELS)}, or hidden widths as in mlp-300-100, or yours",
            PROBLEM,
            names=MODELS,
        ),
        Option(
            "dataset",
            Kind.NAME,
            f"What it learns from: {_one_of(DATASETS)}, or yours: my.npz, my.txt or my.py:MINE",
            PROBLEM,
            names=DATASETS,
        ),
        Option(
            "data_split",
            Kind.NAME,
            f"Whose each training example is: {_one_of(SPLITS)}, or yours; with numbers as in "
            "dirichlet:concentration=0.1 (`list data-splits` says what each is)",
            PROBLEM,
            "mixed",
            SPLITS,
        ),
        Option(
            "products",
            Kind.NAME,
            "; ".join(f"{name}: {what}" for name, what in PRODUCTS.items()),
            PROBLEM,
            "float32",
            PRODUCTS,
        ),
        Option(
            "delays",
            Kind.PROFILE,
            "Step, network and server times: a profile's name (see `list delays`), or a TOML file",
            TIME,
            "paper-cluster",
            _profiles,
        ),
        Option("delay", Kind.SETTINGS, "One value of the delays, as in server.mean=0.2; may be given again", TIME),
        Option(
            "timeline",
            Kind.FILE,
            "Replay this recorded timeline instead of simulating one: a commits.csv, or a cluster's log",
            TIME,
        ),
        Option(
            "columns",
            Kind.NAME,
            "Names that columns have in the file of `timeline`, as in worker=host,applied_s=ts",
            TIME,
            metavar="OURS=THEIRS[,…]",
        ),
        Option(
            "window",
            Kind.SECONDS,
            "Simulated seconds over which a point of the curve averages",
            TIME,
            5.0,
            limits=Accepted(1e-3, 1e9),
            unit="simulated seconds",
        ),
        Option(
            "eval_every",
            Kind.WHOLE,
            f"Exchanges between evaluations on the test set; auto: {EVALUATIONS} times, evenly, in time with `seconds`",
            TIME,
            "auto",
            automatic=True,
        ),
        Option(
            "seed",
            Kind.WHOLE,
            "Seed of parameters, data order and delays",
            RUN,
            0,
            limits=Accepted(0, MAX_SEED, whole=True),
        ),
    )
}
"""By name, in the order in which the help shows them."""

ALL_OF_THEM = ("delay",)
"""Options that may be given several times."""


def takes_options(function: Function) -> Function:
    """Let a function that takes the options of a configuration by name show them: what `help` and editors ask for."""
    optional = [
        inspect.Parameter(one.name, inspect.Parameter.KEYWORD_ONLY, default=one.default, annotation=one.annotation)
        for one in OPTIONS.values()
    ]
    signature = inspect.signature(function)
    first = [one for one in signature.parameters.values() if one.kind is not inspect.Parameter.VAR_KEYWORD]
    function.__signature__ = signature.replace(parameters=[*first, *optional])  # type: ignore[attr-defined]
    lines = [f"    {one.name}: {spelled(one.text)}" for one in OPTIONS.values()]
    function.__doc__ = "\n".join([inspect.cleandoc(function.__doc__ or ""), *lines])
    return function


def defaults() -> dict[str, Any]:
    """What holds where neither an option nor a preset says it."""
    return {name: option.default for name, option in OPTIONS.items() if option.default is not None}
