"""The methods of asynchronous training, one file each, and the workers' local optimizers.

A method is a frozen dataclass that holds its numbers as pytree leaves (so that changing α compiles nothing) and one
pure function, `exchange`. It knows nothing of time, data or files. It is named in `agn_bench.registry.METHODS`.
"""

from __future__ import annotations

from typing import Protocol, TypeVar

import jax

Params = TypeVar("Params")


class Method(Protocol):
    """What the server does at an exchange."""

    def exchange(
        self, center: Params, start: Params, end: Params, local_steps: int, staleness: jax.Array
    ) -> tuple[Params, Params]:
        """Apply a commit, at the moment the server serves the worker.

        Args:
            center: c, the center then.
            start: what the worker's local phase began with, at its last pull.
            end: what its λ local steps arrived at; Δ = end − start.
            local_steps: λ.
            staleness: τ, versions the center gained since the worker's pull, int32 scalar.

        Returns:
            The new center, and what the worker goes on from.
        """
        ...
