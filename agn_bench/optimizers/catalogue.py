"""The optimizers and local optimizers by name, as plain data: what exists, and where its code is.

Imports nothing heavy, so that help, lists and validation answer at once. A new optimizer is one file in `optimizers/`
and one line in `METHODS`.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class MethodEntry:
    """A method of asynchronous training: what the server does at an exchange."""

    target: str
    """`module:class`, imported when the method is used."""
    center: str
    """The new center."""
    resumes: str
    """What the worker goes on from."""
    numbers: tuple[str, ...] = ()
    """The options that are this method's own."""
    source: str = ""

    def load(self) -> Any:
        module, name = self.target.split(":")
        return getattr(importlib.import_module(module), name)


METHODS = {
    "agn": MethodEntry(
        "agn_bench.optimizers.agn:Agn", "c + Δ / λ", "the new center", source="Hermans et al. 2017, arXiv 1710.02368"
    ),
    "easgd": MethodEntry(
        "agn_bench.optimizers.easgd:Easgd",
        "c + α (end − c)",
        "end − α (end − c)",
        numbers=("alpha",),
        source="Zhang et al. 2015, arXiv 1412.6651",
    ),
    "dynsgd": MethodEntry(
        "agn_bench.optimizers.dynsgd:Dynsgd", "c + Δ / (τ + 1)", "the new center", source="Jiang et al. 2017, SIGMOD"
    ),
    "downpour": MethodEntry(
        "agn_bench.optimizers.downpour:Downpour", "c + Δ", "the new center", source="Dean et al. 2012, NeurIPS"
    ),
}


@dataclass(frozen=True)
class LocalOptimizerEntry:
    """The rule of a worker's own steps; from Optax."""

    learning_rate: float
    """The rate taken when none is given."""
    slots: int
    """How many times the size of the parameters its state has."""
    description: str


LOCAL_OPTIMIZERS = {
    "sgd": LocalOptimizerEntry(0.3, 0, "plain stochastic gradient descent"),
    "momentum": LocalOptimizerEntry(0.03, 1, "SGD with heavy-ball momentum"),
    "adam": LocalOptimizerEntry(1e-3, 2, "Adam, b1 0.9, b2 0.999, eps 1e-8 (the paper's experiments)"),
}
