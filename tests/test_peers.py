"""The loops that the package's speed is compared with do the same work: the same workers served, the same learned.

Another way of summing the same numbers rounds differently, so losses agree as well as float32 lets them: see `_bound`.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import PERCEPTRON, local_optimizer

from agn_bench.clock import Constant, Draws, Gamma, Profile, draw_delays
from agn_bench.clock.events import simulate_timeline
from agn_bench.clock.timeline import Timeline
from agn_bench.optimizers.agn import Agn
from agn_bench.problems import perceptron
from agn_bench.problems.datasets import Dataset
from agn_bench.training.records import Replay
from agn_bench.training.replay import replay_timeline

PEERS = Path(__file__).parent.parent / "experiments" / "peers"
TORCH = pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="PyTorch is not installed")
STALE = Profile("stale", Gamma(1.0, 0.8), Gamma(0.3, 0.5), Constant(0.1), Gamma(0.2, 0.5), start_interval=0.3)
TIES = Profile("ties", Constant(1.0), Constant(0.5), Constant(0.25), Constant(0.25))
RATES = {"sgd": 0.1, "adam": 0.003}
WORKERS, PHASES, BATCH = 4, 5, 32
REQUESTS = (7, 13)  # the second ends with the last phase of all


class Case:
    """A small cell, and what the package makes of it."""

    def __init__(self, optimizer: str, local_steps: int) -> None:
        generator = np.random.default_rng(local_steps)
        profile = TIES if local_steps == 1 else STALE
        self.draws: Draws = draw_delays(profile, 5, WORKERS, PHASES, local_steps)
        self.timeline: Timeline = simulate_timeline(self.draws)
        self.dataset = Dataset("random", *_images(generator, 200), *_images(generator, 600))
        self.initial = perceptron.initial_params(generator, (784, 16, 10))
        self.batches = generator.integers(0, 200, (WORKERS, PHASES * local_steps, BATCH)).astype(np.int32)
        self.optimizer, self.local_steps = optimizer, local_steps

    def replay(self, batches: np.ndarray, faster: float = 0.0) -> Replay:
        return replay_timeline(
            self.timeline,
            batches,
            optimizer=Agn(),
            local=local_optimizer(self.optimizer, RATES[self.optimizer] * (1 + faster)),
            problem=PERCEPTRON,
            initial=self.initial,
            train=self.dataset.train,
            test=self.dataset.test,
            evaluate_at=np.cumsum(REQUESTS),
        )

    def save(self, path: Path) -> None:
        times = {
            part: getattr(self.draws, part).reshape(WORKERS, PHASES) for part in ("compute", "up", "down", "server")
        }
        layers = {f"{name}_{n}": array for n, layer in enumerate(self.initial) for name, array in layer.items()}
        np.savez(
            path,
            images=self.dataset.train_images,
            labels=self.dataset.train_labels,
            test_images=self.dataset.test_images,
            test_labels=self.dataset.test_labels,
            batches=self.batches,
            begin=self.draws.begin,
            local_steps=self.local_steps,
            learning_rate=RATES[self.optimizer],
            optimizer=self.optimizer,
            **times,
            **layers,
        )


def _images(generator: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Noise, in which each class has a stripe that is brighter."""
    labels = generator.integers(0, 10, count).astype(np.int32)
    stripes = np.arange(784) // 79 == labels[:, None]
    return (0.6 * generator.random((count, 784)) + 0.2 * stripes).astype(np.float32), labels


def _bound(case: Case, replay: Replay) -> float:
    """How far apart two float32 trainings that do the same may be in a loss.

    Summation: the order of the images in a mini-batch changes nothing but rounding, so replays with shuffled
    mini-batches are other draws of the rounding error; a peer, one more draw, may be four times as far off.

    Adam's bias corrections 1 − bᵗ: Optax takes them in float32, PyTorch in float64. With u = 2⁻²⁴ they differ by at
    most (t + 2) u, so the step by (t + 2) u / (1 − bᵗ) relatively, half of that under the root; at t = 1, where it is
    largest, 9·10⁻⁵. That is how far a learning rate would have to be off to do as much.
    """
    generator = np.random.default_rng(0)
    others = [case.replay(generator.permuted(case.batches, axis=2)) for _ in range(4)]
    if case.optimizer == "adam":
        others.append(case.replay(case.batches, faster=3 * 2**-24 * (1 / (1 - 0.9) + 0.5 / (1 - 0.999))))
    return 4 * max(float(np.abs(other.losses - replay.losses).max()) for other in others)


def _answers(script: str, cell: Path) -> list[dict[str, Any]]:
    """Warnings are errors there too, as of a buffer that was donated and could not be used."""
    command = [sys.executable, "-W", "error", PEERS / script, cell, "2"]
    requests = "".join(f"{count}\n" for count in REQUESTS)
    ran = subprocess.run(command, input=requests, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    ready, *answers = ran.stdout.splitlines()
    assert ready == "ready"
    return [json.loads(answer) for answer in answers]


@pytest.mark.parametrize(("optimizer", "local_steps"), [("sgd", 1), ("adam", 3)])
@pytest.mark.parametrize("script", ["plain_jax.py", pytest.param("pytorch_loop.py", marks=TORCH)])
def test_a_peer_trains_as_the_package_does(tmp_path: Path, script: str, optimizer: str, local_steps: int) -> None:
    case = Case(optimizer, local_steps)
    replay = case.replay(case.batches)
    bound = _bound(case, replay)
    assert bound < 1e-2 * (replay.losses[0].mean() - replay.losses[-1].mean())  # what they agree on is what was learned
    case.save(tmp_path / "cell.npz")
    answers = _answers(script, tmp_path / "cell.npz")
    ends = np.cumsum(REQUESTS).tolist()
    assert len(answers) == len(ends)
    for answer, (first, last), evaluation in zip(answers, pairwise([0, *ends]), replay.evaluations, strict=True):
        assert answer["worker"] == case.timeline.worker[first:last].tolist()
        np.testing.assert_allclose(answer["losses"], replay.losses[last - 1], rtol=0, atol=bound)
        assert (
            abs(answer["correct"] - 600 * evaluation.values["accuracy"]) <= 1.01
        )  # two classes may be equally likely but for rounding
        assert answer["seconds"] > 0
