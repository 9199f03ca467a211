"""FedAsync (Xie, Koyejo, Gupta 2020, Asynchronous Federated Optimization, Algorithm 1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from agn_bench.optimizers import Commit, Optimizer, Params, Server, Worker, choice, each, factor, optimizer, quantity

if TYPE_CHECKING:
    import jax


@optimizer
class Fedasync(Optimizer):
    """c ← (1 − α s) c + α s e, s = (τ + 1)^−a; the worker goes on from the new center.

    The center is mixed with where the worker arrived, e, the less the staler that is. The hinge is s = 1 up to τ = b,
    and 1 / (a (τ − b) + 1) beyond. The proximal term draws each local step towards where the phase began: it adds
    ρ (x − p) to the gradient. τ is 0 for a commit that nobody overtook, as in the authors' program.
    """

    family: ClassVar[str] = "weighted by staleness"
    source: ClassVar[str] = "Xie et al. 2020, arXiv 1903.03934"

    mixing: float = factor("Share of a commit that is not stale, α.", high=1.0, default=0.6, search=(0.05, 1, "log"))
    weight: str = choice("polynomial", "hinge", "constant", default="polynomial", help="How s depends on τ.")
    a: float = quantity(
        0, 1e6, default=0.5, search=(0.05, 10, "log"), help="How fast s falls; the paper has 10 with the hinge."
    )
    b: float = quantity(0, 1e9, default=4.0, help="The staleness from which the hinge falls.")
    proximal: float = quantity(0, 1e6, default=0.0, help="Weight of the proximal term, ρ.")

    def _share(self, staleness: jax.Array) -> Any:
        """α s(τ)."""
        import jax.numpy as jnp

        if self.weight == "polynomial":
            return self.mixing * (staleness + 1.0) ** -self.a
        if self.weight == "hinge":
            return self.mixing / (self.a * jnp.maximum(staleness - self.b, 0) + 1)
        return self.mixing

    def commit(self, server: Server, worker: Worker, commit: Commit) -> tuple[Server, Worker]:
        share = self._share(commit.staleness)
        center = each(lambda c, e: c + share * (e - c), server.center, worker.params)
        return server._replace(center=center), worker

    def gradient(self, gradient: Params, params: Params, start: Params, memory: Any) -> Params:
        return each(lambda g, x, p: g + self.proximal * (x - p), gradient, params, start)
