"""Asynchronous training with AGN as one would otherwise write it in PyTorch, to compare the package's speed with.

A heap of arrivals at the server, a copy of the model and an optimizer for each worker, and the ordinary training step.
README.md says what it reads and prints.
"""

from __future__ import annotations

import copy
import heapq
import json
import sys
import time
from collections.abc import Mapping

import numpy as np
import torch
from torch import nn

EVALUATION_BATCH = 500


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


class Worker:
    """A model and an optimizer of its own."""

    def __init__(self, initial: nn.Sequential, optimizer: str, learning_rate: float) -> None:
        self.model = copy.deepcopy(initial)
        self.params = list(self.model.parameters())
        # Fused was measured to be Adam's fastest of the stock variants (plain, foreach, fused); for SGD they are alike.
        self.optimizer: torch.optim.Optimizer
        if optimizer == "adam":
            self.optimizer = torch.optim.Adam(self.params, learning_rate, betas=(0.9, 0.999), eps=1e-8, fused=True)
        else:
            self.optimizer = torch.optim.SGD(self.params, learning_rate)


class Training:
    """The center, the workers and the data, and the loop over the exchanges."""

    def __init__(self, cell: Mapping[str, np.ndarray]) -> None:
        self.images, self.test_images = torch.from_numpy(cell["images"]), torch.from_numpy(cell["test_images"])
        self.labels, self.test_labels = (torch.from_numpy(cell[name]).long() for name in ("labels", "test_labels"))
        self.batches = torch.from_numpy(cell["batches"])
        self.local_steps = int(cell["local_steps"])
        self.initial, self.center = mlp(cell), mlp(cell)
        self.center_params = list(self.center.parameters())
        self.start = [torch.empty_like(param) for param in self.center_params]
        self.local = str(cell["optimizer"]), float(cell["learning_rate"])
        self.server = Server(cell)
        self.workers: dict[int, Worker] = {}

    def exchange(self) -> tuple[int, list[torch.Tensor]]:
        """The local phase of the next worker served, and its exchange: the worker; the losses of its steps."""
        index, phase = self.server.serve()
        if index not in self.workers:
            self.workers[index] = Worker(self.initial, *self.local)
        worker = self.workers[index]
        with torch.no_grad():
            for start, param in zip(self.start, worker.params, strict=True):
                start.copy_(param)
        losses = []
        for batch in self.batches[index, phase * self.local_steps : (phase + 1) * self.local_steps]:
            images, labels = self.images.index_select(0, batch), self.labels.index_select(0, batch)
            loss = nn.functional.cross_entropy(worker.model(images), labels)
            loss.backward()
            worker.optimizer.step()
            worker.optimizer.zero_grad()  # after the step: the workers that wait hold no gradients
            losses.append(loss.detach())
        with torch.no_grad():
            for center, start, param in zip(self.center_params, self.start, worker.params, strict=True):
                center.add_(param.sub_(start), alpha=1 / self.local_steps)  # param is overwritten on the next line
                param.copy_(center)
        return index, losses

    @torch.no_grad()
    def correct(self) -> int:
        """Test images that the center classifies correctly."""
        chunks = zip(self.test_images.split(EVALUATION_BATCH), self.test_labels.split(EVALUATION_BATCH), strict=True)
        return sum(int((self.center(images).argmax(dim=1) == labels).sum()) for images, labels in chunks)


def mlp(cell: Mapping[str, np.ndarray]) -> nn.Sequential:
    """The network with the cell's initial parameters."""
    layers: list[nn.Module] = []
    while f"weights_{len(layers) // 2}" in cell:
        number = len(layers) // 2
        weights, biases = (torch.from_numpy(cell[f"{name}_{number}"]) for name in ("weights", "biases"))
        linear = nn.Linear(*weights.shape)
        with torch.no_grad():
            linear.weight.copy_(weights.T)
            linear.bias.copy_(biases)
        layers += [linear, nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def main() -> None:
    cell_path, threads = sys.argv[1:]
    torch.set_num_threads(int(threads))
    with np.load(cell_path) as file:
        training = Training(dict(file))
    print("ready", flush=True)
    for line in sys.stdin:
        began = time.perf_counter()
        exchanges = [training.exchange() for _ in range(int(line))]
        correct = training.correct()
        answer = {
            "seconds": time.perf_counter() - began,
            "worker": [worker for worker, _ in exchanges],
            "losses": [loss.item() for loss in exchanges[-1][1]],
            "correct": correct,
        }
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
