"""Asynchronous training with AGN as one would otherwise write it in plain JAX, to compare the package's speed with.

A heap of arrivals at the server, a pytree of state for each worker, and one jitted gradient step a mini-batch.
README.md says what it reads and prints.
"""

from __future__ import annotations

import heapq
import json
import os
import sys
import time
from collections.abc import Mapping

import numpy as np

os.environ["NPROC"] = sys.argv[2]  # the threads; JAX reads it once, when it starts
os.environ["JAX_PLATFORMS"] = "cpu"

import jax
import jax.numpy as jnp
import optax

EVALUATION_BATCH = 500
Params = list[dict[str, jax.Array]]
Data = tuple[jax.Array, jax.Array]
State = optax.OptState


class Server:
    """First come, first served, one at a time; ties to the lower worker index."""

    def __init__(self, cell: Mapping[str, np.ndarray]) -> None:
        self.compute, self.up, self.down, self.service = (
            cell[name].tolist() for name in ("compute", "up", "down", "server")
        )
        self.phase = [0] * len(self.compute)
        self.free = 0.0
        self.arrivals = [
            (begin + self.compute[worker][0] + self.up[worker][0], worker)
            for worker, begin in enumerate(cell["begin"].tolist())
        ]
        heapq.heapify(self.arrivals)

    def serve(self) -> tuple[int, int]:
        """The worker served next, and which of its phases that exchange ends."""
        arrive, worker = heapq.heappop(self.arrivals)
        phase = self.phase[worker]
        self.phase[worker] += 1
        self.free = max(self.free, arrive) + self.service[worker][phase]
        if phase + 1 < len(self.compute[worker]):
            arrive = self.free + self.down[worker][phase] + self.compute[worker][phase + 1] + self.up[worker][phase + 1]
            heapq.heappush(self.arrivals, (arrive, worker))
        return worker, phase


def logits(params: Params, images: jax.Array) -> jax.Array:
    activations = images
    for layer in params[:-1]:
        activations = jax.nn.relu(activations @ layer["weights"] + layer["biases"])
    return activations @ params[-1]["weights"] + params[-1]["biases"]


def loss(params: Params, images: jax.Array, labels: jax.Array) -> jax.Array:
    return optax.softmax_cross_entropy_with_integer_labels(logits(params, images), labels).mean()


@jax.jit(donate_argnames="end")
def agn(center: Params, start: Params, end: Params, local_steps: int) -> Params:
    return jax.tree.map(lambda c, s, e: c + (e - s) / local_steps, center, start, end)


@jax.jit
def count_correct(params: Params, images: jax.Array, labels: jax.Array) -> jax.Array:
    return (logits(params, images).argmax(axis=-1) == labels).sum()


class Training:
    """The center, the workers and the data, and the loop over the exchanges."""

    def __init__(self, cell: Mapping[str, np.ndarray]) -> None:
        self.data = jnp.asarray(cell["images"]), jnp.asarray(cell["labels"])
        self.tests = [
            [jnp.asarray(cell[name][first : first + EVALUATION_BATCH]) for name in ("test_images", "test_labels")]
            for first in range(0, len(cell["test_labels"]), EVALUATION_BATCH)
        ]
        self.batches, self.local_steps = cell["batches"], int(cell["local_steps"])
        layers = range(sum(name.startswith("weights_") for name in cell))
        self.initial = [{name: jnp.asarray(cell[f"{name}_{n}"]) for name in ("weights", "biases")} for n in layers]
        self.center: Params = self.initial
        self.server = Server(cell)
        self.workers: dict[int, tuple[Params, State]] = {}
        rate = float(cell["learning_rate"])
        optimizer = optax.adam(rate, b1=0.9, b2=0.999, eps=1e-8) if cell["optimizer"] == "adam" else optax.sgd(rate)

        def step(params: Params, state: State, batch: jax.Array, data: Data) -> tuple[Params, State, jax.Array]:
            value, gradient = jax.value_and_grad(loss)(params, *(array[batch] for array in data))
            updates, state = optimizer.update(gradient, state, params)
            return optax.apply_updates(params, updates), state, value

        # A worker goes on from the very arrays of the center that it pulled, and the exchange subtracts them at the end
        # of the phase. So its first step leaves them, and only the later ones write over the worker's parameters.
        self.first_step = jax.jit(step, donate_argnames="state")
        self.next_step = jax.jit(step, donate_argnames=("params", "state"))
        self.optimizer_state = jax.jit(optimizer.init)

    def exchange(self) -> tuple[int, list[jax.Array]]:
        """The local phase of the next worker served, and its exchange: the worker; the losses of its steps."""
        worker, phase = self.server.serve()
        if worker not in self.workers:
            self.workers[worker] = self.initial, self.optimizer_state(self.initial)
        start, state = self.workers[worker]
        params, step, losses = start, self.first_step, []
        for batch in self.batches[worker, phase * self.local_steps : (phase + 1) * self.local_steps]:
            params, state, value = step(params, state, batch, self.data)
            step = self.next_step
            losses.append(value)
        self.center = agn(self.center, start, params, self.local_steps)
        self.workers[worker] = self.center, state
        return worker, losses

    def correct(self) -> int:
        """Test images that the center classifies correctly."""
        return int(sum(count_correct(self.center, *chunk) for chunk in self.tests))


def main() -> None:
    with np.load(sys.argv[1]) as file:
        training = Training(dict(file))
    print("ready", flush=True)
    for line in sys.stdin:
        began = time.perf_counter()
        exchanges = [training.exchange() for _ in range(int(line))]
        correct = training.correct()
        jax.block_until_ready((training.center, training.workers, exchanges))
        answer = {
            "seconds": time.perf_counter() - began,
            "worker": [worker for worker, _ in exchanges],
            "losses": [float(loss) for loss in exchanges[-1][1]],
            "correct": correct,
        }
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
