"""What a run is where nothing is said: the defaults and the presets, as plain data."""

from __future__ import annotations

DATA_SPLITS = {
    "mixed": "the data set repeated as often as needed, pooled, shuffled once and dealt to the workers",
    "sharded": "each worker has its own n-th of the data set, reshuffled every epoch",
}

# `reduced` trains a network a twentieth the size of the paper's, and with SGD: with Adam that network is unstable where
# the paper's is smooth (AGN, 20 workers, 15 local steps: its curve falls by up to 3 points, with a rate of 3e-4 too).
PRESETS: dict[str, dict[str, object]] = {
    "quick": {"dataset": "mnist-5k", "model": "mlp-small", "local_optimizer": "sgd", "gradient_steps": 10_400},
    "reduced": {"dataset": "mnist", "model": "mlp-small", "local_optimizer": "sgd", "epochs": 40},
    "paper": {"dataset": "mnist", "model": "mlp-paper", "local_optimizer": "adam", "epochs": 40},
}

DEFAULTS: dict[str, object] = {
    "preset": "quick",
    "optimizer": "agn",
    "workers": 20,
    "local_steps": "auto",
    "batch_size": 128,
    "data_split": "mixed",
    "delays": "paper-cluster",
    "reset_local_optimizer": False,
    "window": 5.0,
    "seed": 0,
}
DEFAULT_ALPHA = 0.05
DEFAULT_MOMENTUM = 0.9
EVALUATIONS = 20
"""Evaluations of the center on the test set after the one at the start, when --eval-every is not given."""
