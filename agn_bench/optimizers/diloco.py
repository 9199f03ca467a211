"""DiLoCo (Douillard, Feng, Rusu, Chhaparia, Donchev, Kuncoro, Ranzato, Szlam, Shen 2023)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from agn_bench.optimizers import Optimizer, factor, optimizer, quantity
from agn_bench.optimizers.local_sgd import LocalSgd
from agn_bench.optimizers.server_optimizer import Stepping, server_rule

if TYPE_CHECKING:
    import optax


@optimizer
class Diloco(Stepping):
    """m ← μ m + Δ̄, c ← c + ρ (Δ̄ + μ m), Δ̄ the mean Δ of all n workers; they go on together from the new center.

    Local SGD with Nesterov's momentum at the server. Where nothing is said, local steps are AdamW's, as in the paper,
    whose phases have 500.
    """

    source: ClassVar[str] = "Douillard et al. 2023, arXiv 2311.08105"
    trained_with: ClassVar[Mapping[str, object]] = {"local_optimizer": "adamw"}
    server_slots: ClassVar[int] = 2

    rate: float = factor("Step length of the server, ρ.", default=0.7, search=(0.05, 2, "log"))
    momentum: float = quantity(
        0, 0.999_999, default=0.9, search=(0, 0.99), help="Share of the momentum that is kept, μ."
    )

    def inner(self) -> Optimizer:
        return LocalSgd()

    def transformation(self) -> optax.GradientTransformation:
        return server_rule("nesterov", self.rate, self.momentum)
