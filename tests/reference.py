"""A second, plain implementation: heapq and NumPy loops, written from the design and sharing no code with the package.

It is given the same draws (times, mini-batches, initial parameters) and must arrive at the same event log, center,
and curves. Everything is spelled out where the package is clever.
"""

from __future__ import annotations

import heapq
import math

import numpy as np

ARRIVAL, LOOK = 0, 1  # at equal times all arrivals come before the server looks at its queue


def event_log(begin, compute, up, down, server, order):
    """The timeline as a list of dicts, in the order applied.

    begin: a number a worker; the other times: a list of each worker's phases; order: a number an exchange, in [0, 1)
    for who is taken of those who wait, negative for the first in line.
    """
    workers = len(begin)
    events, queue, log = [], [], []
    phase, start, pulled = [0] * workers, list(begin), [0] * workers
    busy_until, version = 0.0, 0

    def send(worker):
        compute_end = start[worker] + compute[worker][phase[worker]]
        heapq.heappush(events, (compute_end + up[worker][phase[worker]], ARRIVAL, worker, compute_end))

    for worker in range(workers):
        send(worker)
    while events:
        now, kind, worker, compute_end = heapq.heappop(events)
        if kind == ARRIVAL:
            queue.append((now, worker, compute_end))
            if busy_until <= now:
                heapq.heappush(events, (now, LOOK, -1, None))
            continue
        if not queue or busy_until > now:
            continue
        queue.sort(key=lambda waiting: waiting[1])
        chosen = min(queue) if order[version] < 0 else queue[math.floor(order[version] * len(queue))]
        queue.remove(chosen)
        arrive, worker, compute_end = chosen
        applied = now + server[worker][phase[worker]]
        resume = applied + down[worker][phase[worker]]
        log.append({
            "worker": worker, "phase": phase[worker], "start_s": start[worker], "compute_end_s": compute_end,
            "arrive_s": arrive, "served_s": now, "applied_s": applied, "resume_s": resume,
            "staleness": version - pulled[worker],
        })  # fmt: skip
        version += 1
        pulled[worker] = version
        busy_until = applied
        heapq.heappush(events, (applied, LOOK, -1, None))
        start[worker] = resume
        phase[worker] += 1
        if phase[worker] < len(compute[worker]):
            send(worker)
    return log


def loss_and_gradient(params, images, labels):
    """Mean cross-entropy of a ReLU network, its gradient by hand, and how many images are right."""
    activations = [images]
    for index, layer in enumerate(params):
        z = activations[-1] @ layer["weights"] + layer["biases"]
        activations.append(z if index == len(params) - 1 else np.maximum(z, 0))
    logits = activations[-1]
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_probability = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    rows = np.arange(len(labels))
    loss = -log_probability[rows, labels].mean()
    slope = np.exp(log_probability)
    slope[rows, labels] -= 1
    slope /= len(labels)
    gradient = [None] * len(params)
    for index in reversed(range(len(params))):
        gradient[index] = {"weights": activations[index].T @ slope, "biases": slope.sum(axis=0)}
        slope = (slope @ params[index]["weights"].T) * (activations[index] > 0)
    return loss, gradient, int((logits.argmax(axis=1) == labels).sum())


def combine(function, *trees):
    return [{name: function(*(tree[i][name] for tree in trees)) for name in trees[0][i]} for i in range(len(trees[0]))]


class LocalOptimizer:
    """SGD, heavy-ball momentum or Adam (Kingma and Ba 2015, Algorithm 1), with its state."""

    def __init__(self, name, rate, momentum=None):
        self.name, self.rate, self.momentum = name, rate, momentum
        self.reset()

    def reset(self):
        self.step, self.first, self.second = 0, None, None

    def update(self, params, gradient):
        self.step += 1
        if self.first is None:
            self.first = combine(np.zeros_like, gradient)
            self.second = combine(np.zeros_like, gradient)
        if self.name == "sgd":
            direction = gradient
        elif self.name == "momentum":
            self.first = combine(lambda m, g: self.momentum * m + g, self.first, gradient)
            direction = self.first
        else:
            self.first = combine(lambda m, g: 0.9 * m + (1 - 0.9) * g, self.first, gradient)
            self.second = combine(lambda v, g: 0.999 * v + (1 - 0.999) * g * g, self.second, gradient)
            direction = combine(
                lambda m, v: (m / (1 - 0.9**self.step)) / (np.sqrt(v / (1 - 0.999**self.step)) + 1e-8),
                self.first,
                self.second,
            )
        return combine(lambda x, d: (x - self.rate * d).astype(x.dtype), params, direction)


def exchange(method, center, start, end, local_steps, staleness, alpha=None):
    """The table of the design, section Methods: (new center, what the worker goes on from)."""
    if method == "easgd":
        return (
            combine(lambda c, x: c + alpha * (x - c), center, end),
            combine(lambda c, x: x - alpha * (x - c), center, end),
        )
    divisor = {"downpour": 1, "agn": local_steps, "dynsgd": staleness + 1}[method]
    new = combine(lambda c, s, e: c + (e - s) / np.asarray(divisor, c.dtype), center, start, end)
    return new, new


def train(
    log, batches, images, labels, initial, method, local, rate, momentum=None, alpha=None, reset=False, exchanges=None
):
    """Train along an event log; the centers after every exchange, and losses and correct images of every mini-batch."""
    workers = {w: (initial, LocalOptimizer(local, rate, momentum)) for w in {row["worker"] for row in log}}
    center, centers, losses, correct = initial, [], [], []
    local_steps = batches.shape[1] // (1 + max(row["phase"] for row in log))
    for row in log[:exchanges]:
        start, optimizer = workers[row["worker"]]
        end = start
        first = row["phase"] * local_steps
        for batch in batches[row["worker"], first : first + local_steps]:
            loss, gradient, right = loss_and_gradient(end, images[batch], labels[batch])
            losses.append(loss)
            correct.append(right)
            end = optimizer.update(end, gradient)
        center, following = exchange(method, center, start, end, local_steps, row["staleness"], alpha)
        if reset:
            optimizer.reset()
        workers[row["worker"]] = (following, optimizer)
        centers.append(center)
    return centers, np.array(losses).reshape(-1, local_steps), np.array(correct).reshape(-1, local_steps)


def learning_curve(log, losses, correct, batch_size, window, evaluations):
    """The rows of curve.csv by plain loops; `evaluations`: (time, accuracy)."""
    stamped = []
    for row, row_losses, row_correct in zip(log, losses, correct, strict=True):
        length = row["compute_end_s"] - row["start_s"]
        for i, (loss, right) in enumerate(zip(row_losses, row_correct, strict=True), start=1):
            stamped.append((row["start_s"] + length * (i / len(row_losses)), loss, right / batch_size))
    end = max(row["resume_s"] for row in log)
    rows, point = [], 0
    while True:
        t = point * window / 5
        inside = [(loss, accuracy) for s, loss, accuracy in stamped if t <= s < (point + 5) * window / 5]
        tested = [accuracy for s, accuracy in evaluations if (point - 1) * window / 5 < s <= t]
        rows.append(
            (
                t,
                sum(s <= t for s, _, _ in stamped),
                np.mean([loss for loss, _ in inside]) if inside else math.nan,
                np.mean([accuracy for _, accuracy in inside]) if inside else math.nan,
                np.std([accuracy for _, accuracy in inside]) if inside else math.nan,
                tested[-1] if tested else math.nan,
            )
        )
        if t >= end:
            return rows
        point += 1
