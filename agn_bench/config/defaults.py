"""What a run is where nothing is said: the defaults and the presets, as plain data."""

from __future__ import annotations

# `reduced` trains a network a twentieth the size of the paper's, and with SGD: with Adam that network is unstable where
# the paper's is smooth (AGN, 20 workers, 15 local steps: its curve falls by up to 3 points, with a rate of 3e-4 too).
PRESETS: dict[str, dict[str, object]] = {
    "quick": {"dataset": "mnist-5k", "model": "mlp-small", "local_optimizer": "sgd", "gradient_steps": 10_400},
    "reduced": {"dataset": "mnist", "model": "mlp-small", "local_optimizer": "sgd", "epochs": 40},
    "paper": {"dataset": "mnist", "model": "mlp-paper", "local_optimizer": "adam", "epochs": 40},
}

EVALUATIONS = 20
"""Evaluations of the center on the test set after the one at the start, when --eval-every is not given."""

SHARES = {
    "equal": "an n-th of the work for each worker, and who is through with it stops",
    "open": "workers go on until the run ends, so that fast ones do more",
}
"""How the work is shared out."""

PRODUCTS = {
    "float32": "matrix products in float32 everywhere",
    "bfloat16": "with eight bits of mantissa, sums in float32; on a GPU only",
}
"""With how many digits matrices and images are multiplied."""
