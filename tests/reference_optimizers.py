"""Distributed optimizers in plain NumPy, each written from its paper's equations and in its paper's variables.

They share no code with the package. They are meant to be read beside the papers, and need not be fast: a mean is taken
of a list of all its members, and a discounted sum over the whole history. The interface is that of `reference.Plain`.
`reference.train_with` trains with them, and tells them η as `learning_rate`.

c is the center, p the center that a worker was last given, s where its phase began and e where it ended, Δ = e − s, λ
local steps, τ staleness, n workers. The papers' stochastic gradient g is here ĝ = −Δ/η: their own for one local step of
plain SGD, else a definition.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from reference import Plain, combine


def norm(tree):
    """Euclidean, of all parameters together."""
    return np.sqrt(sum(np.sum(leaf**2) for layer in tree for leaf in layer.values()))


def total(trees, like):
    """The sum of trees of arrays; zeros like `like` where there are none."""
    return combine(lambda *leaves: sum(leaves), combine(np.zeros_like, like), *trees)


def mean(trees):
    return combine(lambda *leaves: np.mean(np.stack(leaves), axis=0), *trees)


class Server(Plain):
    """What all below share: n, η, and the center that each worker was last given."""

    learning_rate = np.nan

    def begin(self, initial, workers):
        super().begin(initial, workers)
        self.workers = workers
        self.pulled = [initial for _ in range(workers)]

    def reply(self, worker, end):
        self.pulled[worker] = self.center
        return super().reply(worker, end)

    def gradient_of(self, start, end):
        """ĝ."""
        return combine(lambda s, e: (s - e) / self.learning_rate, start, end)

    def descend(self, direction):
        """c ← c − η · direction."""
        self.center = combine(lambda c, d: c - self.learning_rate * d, self.center, direction)


# --- what a commit weighs ---


class Mean(Server):
    """c ← c − η (1/K) Σ ĝ over a version's K commits, K = quorum.

    Synchronous SGD (K = n), backup workers (Chen et al. 2016), K-sync and K-async (Dutta et al. 2018), Rennala (Tyurin
    and Richtárik 2023). They differ in who waits and in what is dropped, which is the clock's affair.
    """

    def __init__(self, quorum):
        self.quorum = quorum

    def begin(self, initial, workers):
        super().begin(initial, workers)
        self.gradients = []

    def commit(self, worker, start, end, staleness, local_steps):
        self.gradients.append(self.gradient_of(start, end))

    def version(self):
        self.descend(combine(lambda *g: sum(g) / self.quorum, *self.gradients))
        self.gradients = []


class DelayAdaptive(Server):
    """The rate is η n / max(n, delay); the delay is 1 where nobody came between (Mishchenko et al. 2022)."""

    def commit(self, worker, start, end, staleness, local_steps):
        delay = staleness + 1
        rate = self.learning_rate * self.workers / max(self.workers, delay)
        self.center = combine(lambda c, g: c - rate * g, self.center, self.gradient_of(start, end))


class Adag(Server):
    """c ← c + Δ ⊘ ((c − p)²/scale + 1), each weight by itself (Hermans 2017)."""

    def __init__(self, scale=1e-4):
        self.scale = scale

    def displacement(self, start, end, local_steps):
        return combine(lambda s, e: e - s, start, end)

    def commit(self, worker, start, end, staleness, local_steps):
        distance = combine(lambda c, p: np.abs(c - p), self.center, self.pulled[worker])
        self.center = combine(
            lambda c, d, away: c + d / (away**2 / self.scale + 1),
            self.center,
            self.displacement(start, end, local_steps),
            distance,
        )


class AdagAgn(Adag):
    """The same of Δ/λ."""

    def displacement(self, start, end, local_steps):
        return combine(lambda s, e: (e - s) / local_steps, start, end)


class AgnWhenNeeded(Server):
    """c ← c + Δ/d with d = 1 below the line η λ h = π/(2n − 1) and λ on it and above.

    η is the larger of the rates at this commit and at the worker's last. smooth: d is by how much η λ h is over the
    line, at least 1 and at most λ.
    """

    def __init__(self, curvature, smooth=False):
        self.curvature, self.smooth = curvature, smooth

    def begin(self, initial, workers):
        super().begin(initial, workers)
        self.rates = [0.0] * workers

    def divisor(self, rate, local_steps):
        reach, line = rate * local_steps * self.curvature, np.pi / (2 * self.workers - 1)
        if self.smooth:
            return min(max(reach / line, 1), local_steps)
        return 1 if reach < line else local_steps

    def commit(self, worker, start, end, staleness, local_steps):
        divisor = self.divisor(max(self.learning_rate, self.rates[worker]), local_steps)
        self.rates[worker] = self.learning_rate
        self.center = combine(lambda c, s, e: c + (e - s) / divisor, self.center, start, end)


class FedAsync(Server):
    """c ← (1 − α s(τ)) c + α s(τ) e, α = mixing; the local loss has (ρ/2) ‖x − p‖² more (Xie et al. 2019)."""

    def __init__(self, mixing=0.6, weight="polynomial", a=0.5, b=4, proximal=0):
        self.mixing, self.weight, self.a, self.b, self.proximal = mixing, weight, a, b, proximal

    def share(self, staleness):
        """α s(τ); a fresh worker has τ = 0 and s = 1."""
        if self.weight == "polynomial":
            return self.mixing * (staleness + 1) ** -self.a
        if self.weight == "hinge":
            late = max(staleness - self.b, 0)
            return self.mixing / (self.a * late + 1)
        assert self.weight == "constant"
        return self.mixing

    def commit(self, worker, start, end, staleness, local_steps):
        alpha = self.share(staleness)
        self.center = combine(lambda c, e: (1 - alpha) * c + alpha * e, self.center, end)

    def gradient(self, worker, gradient, here, start):
        return combine(lambda g, x, p: g + self.proximal * (x - p), gradient, here, start)


# --- what a commit is corrected by ---


class DcAsgd(Server):
    """c ← c − η (ĝ + strength · ĝ ⊙ ĝ ⊙ (c − p)) (Zheng et al. 2017)."""

    def __init__(self, strength=0.04):
        self.strength = strength

    def strength_for(self, worker, gradient):
        return combine(lambda g: self.strength * np.ones_like(g), gradient)

    def commit(self, worker, start, end, staleness, local_steps):
        gradient = self.gradient_of(start, end)
        self.descend(
            combine(
                lambda g, strength, c, p: g + strength * g * g * (c - p),
                gradient,
                self.strength_for(worker, gradient),
                self.center,
                self.pulled[worker],
            )
        )


class DcAsgdA(DcAsgd):
    """For each worker MeanSquare ← decay · MeanSquare + (1 − decay) ĝ²; then strength / √(MeanSquare + 1e-7)."""

    def __init__(self, strength=2, decay=0.95):
        super().__init__(strength)
        self.decay = decay

    def begin(self, initial, workers):
        super().begin(initial, workers)
        self.mean_square = [combine(np.zeros_like, initial) for _ in range(workers)]

    def strength_for(self, worker, gradient):
        self.mean_square[worker] = combine(
            lambda ms, g: self.decay * ms + (1 - self.decay) * g**2, self.mean_square[worker], gradient
        )
        return combine(lambda ms: self.strength / np.sqrt(ms + 1e-7), self.mean_square[worker])


class GapAware(Server):
    """A gradient is divided by 1 + |c − p|/C, C being how far a step has moved the weight so far (Barkai et al. 2020).

    At the k-th commit ra ← Γ ra + (1 − Γ) v², where v is the momentum as the commit before left it;
    C = η_max (√(ra/(1 − Γ^k)) + 1e-8), where η_max is the largest rate so far; v ← μ v + ĝ/penalty; c ← c − η v.

    without_momentum: what v² is where μ = 0. "buffer": of the last commit, penalized, as for every other μ. "gradient":
    of the present commit, before its penalty, as in the code of the same group.
    """

    def __init__(self, decay=0.999, momentum=0, without_momentum="buffer"):
        self.decay, self.momentum, self.without_momentum = decay, momentum, without_momentum

    def begin(self, initial, workers):
        super().begin(initial, workers)
        self.velocity = combine(np.zeros_like, initial)
        self.average = combine(np.zeros_like, initial)
        self.commits = 0
        self.largest_rate = 0.0

    def commit(self, worker, start, end, staleness, local_steps):
        gradient = self.gradient_of(start, end)
        steps = self.velocity
        if self.momentum == 0 and self.without_momentum == "gradient":
            steps = gradient
        self.average = combine(lambda ra, v: self.decay * ra + (1 - self.decay) * v**2, self.average, steps)
        self.commits += 1
        self.largest_rate = max(self.largest_rate, self.learning_rate)
        unbiased = combine(lambda ra: ra / (1 - self.decay**self.commits), self.average)
        moved = combine(lambda ra: self.largest_rate * (np.sqrt(ra) + 1e-8), unbiased)
        gap = combine(lambda c, p: np.abs(c - p), self.center, self.pulled[worker])
        penalized = combine(lambda g, away, most: g / (1 + away / most), gradient, gap, moved)
        self.velocity = combine(lambda v, g: self.momentum * v + g, self.velocity, penalized)
        self.descend(self.velocity)


class Picky(Server):
    """A commit is applied if ‖c − p‖ ≤ threshold, else passed over (Cohen et al. 2021). `applied`: how many were."""

    def __init__(self, threshold):
        self.threshold = threshold

    def begin(self, initial, workers):
        super().begin(initial, workers)
        self.applied = 0

    def commit(self, worker, start, end, staleness, local_steps):
        if norm(combine(np.subtract, self.center, self.pulled[worker])) <= self.threshold:
            self.descend(self.gradient_of(start, end))
            self.applied += 1


class Clipped(Server):
    """Each local gradient is g · min(1, radius/‖g‖), all parameters together (Erickson and Johansson 2026)."""

    def __init__(self, radius):
        self.radius = radius

    def commit(self, worker, start, end, staleness, local_steps):
        self.descend(self.gradient_of(start, end))

    def gradient(self, worker, gradient, here, start):
        length = norm(gradient)
        if length <= self.radius:
            return gradient
        return combine(lambda g: g / length * self.radius, gradient)


# --- momentum ---


class Smega2(Server):
    """Momentum that moves once per `period` gradients, and a look ahead of that many (Cohen, Hakimi, Schuster 2022).

    c ← c − η (ĝ + γ m). After N gradients: m ← γ m + their mean. N − k of the N steps to come have the present m
    and k the next one, of which k gradients are known, divided by N: sent is c less all their momentum.
    """

    def __init__(self, period=0, momentum=0.9):
        self.period, self.momentum = period, momentum

    def begin(self, initial, workers):
        super().begin(initial, workers)
        self.length = self.period or workers
        self.velocity = combine(np.zeros_like, initial)
        self.gradients = []

    def commit(self, worker, start, end, staleness, local_steps):
        gradient = self.gradient_of(start, end)
        self.gradients.append(gradient)
        self.descend(combine(lambda g, m: g + self.momentum * m, gradient, self.velocity))
        if len(self.gradients) == self.length:
            self.velocity = combine(lambda m, g: self.momentum * m + g, self.velocity, mean(self.gradients))
            self.gradients = []

    def reply(self, worker, end):
        super().reply(worker, end)
        known = len(self.gradients)
        following = combine(
            lambda m, g: self.momentum * m + g / self.length, self.velocity, total(self.gradients, self.center)
        )
        return combine(
            lambda c, now, then: c - self.learning_rate * self.momentum * ((self.length - known) * now + known * then),
            self.center,
            self.velocity,
            following,
        )


class DelayedNesterov(Server):
    """Nesterov's momentum, taken at every N-th commit only, or spread over them (Liu et al. 2024, Algorithm 3).

    With g = −Δ: at t = N, 2N, … m ← β m + the mean of the last N g, and c ← c − ε ((1 − dN + d) β m + g/N). At the
    others c ← c − ε (d β m + g/N). N = period, β = momentum, ε = rate, d = spread.
    """

    def __init__(self, period=0, momentum=0.9, rate=0.7, spread=0):
        self.period, self.momentum, self.rate, self.spread = period, momentum, rate, spread

    def begin(self, initial, workers):
        super().begin(initial, workers)
        self.length = self.period or workers
        self.velocity = combine(np.zeros_like, initial)
        self.gradients = []
        self.time = 0

    def commit(self, worker, start, end, staleness, local_steps):
        self.time += 1
        gradient = combine(lambda s, e: s - e, start, end)
        self.gradients.append(gradient)
        share = self.spread
        if self.time % self.length == 0:
            share = 1 - self.spread * self.length + self.spread
            self.velocity = combine(lambda m, g: self.momentum * m + g, self.velocity, mean(self.gradients))
            self.gradients = []
        self.center = combine(
            lambda c, m, g: c - self.rate * (share * self.momentum * m + g / self.length),
            self.center,
            self.velocity,
            gradient,
        )


class WorkersMomentum(Server):
    """v_i ← γ v_i + ĝ of the worker's own momentum; in `velocity`, in gradient units."""

    def __init__(self, momentum=0.9):
        self.momentum = momentum

    def begin(self, initial, workers):
        super().begin(initial, workers)
        self.velocity = [combine(np.zeros_like, initial) for _ in range(workers)]

    def gather(self, worker, gradient):
        self.velocity[worker] = combine(lambda v, g: self.momentum * v + g, self.velocity[worker], gradient)


class MultiAsgd(WorkersMomentum):
    """c ← c − η v_i. Each worker has its momentum, and nobody looks ahead (Hakimi et al. 2019)."""

    def commit(self, worker, start, end, staleness, local_steps):
        self.gather(worker, self.gradient_of(start, end))
        self.descend(self.velocity[worker])


class DanaDc(WorkersMomentum):
    """DANA with ĝ + d ĝ² ⊙ (c − sent_i) in place of ĝ; sent is c − ηγ Σ v_j (Hakimi et al. 2019)."""

    def __init__(self, momentum=0.9, compensation=2):
        super().__init__(momentum)
        self.compensation = compensation

    def begin(self, initial, workers):
        super().begin(initial, workers)
        self.sent = [initial for _ in range(workers)]

    def commit(self, worker, start, end, staleness, local_steps):
        compensated = combine(
            lambda g, c, sent: g + self.compensation * g**2 * (c - sent),
            self.gradient_of(start, end),
            self.center,
            self.sent[worker],
        )
        self.gather(worker, compensated)
        self.descend(self.velocity[worker])

    def reply(self, worker, end):
        super().reply(worker, end)
        all_of_them = total(self.velocity, self.center)
        self.sent[worker] = combine(lambda c, v: c - self.learning_rate * self.momentum * v, self.center, all_of_them)
        return self.sent[worker]


class DanaSlim(WorkersMomentum):
    """The worker keeps v_i ← γ v_i + ĝ and sends γ v_i + ĝ; the server knows no momentum (Hakimi et al. 2019).

    Its center is what DANA sends: DANA's center less ηγ Σ v_j.
    """

    def commit(self, worker, start, end, staleness, local_steps):
        gradient = self.gradient_of(start, end)
        self.gather(worker, gradient)
        self.descend(combine(lambda v, g: self.momentum * v + g, self.velocity[worker], gradient))


class NagAsgd(Server):
    """One momentum for all: v ← γ v + ĝ, c ← c − η v; sent is c − ηγ v."""

    def __init__(self, momentum=0.9):
        self.momentum = momentum

    def begin(self, initial, workers):
        super().begin(initial, workers)
        self.velocity = combine(np.zeros_like, initial)

    def commit(self, worker, start, end, staleness, local_steps):
        gradient = self.gradient_of(start, end)
        self.velocity = combine(lambda v, g: self.momentum * v + g, self.velocity, gradient)
        self.descend(self.velocity)

    def reply(self, worker, end):
        super().reply(worker, end)
        return combine(lambda c, v: c - self.learning_rate * self.momentum * v, self.center, self.velocity)


class Gem(Server):
    """c ← c + π ⊙ Δ, π = clip((κ|m| − |c − c_prev|)/|Δ|, 0, most); the worker's m ← μ m + Δ (Hermans, Louppe 2018).

    c_prev is the center that the worker was handed at its last commit, before that was applied; at first the initial.
    In gradient units: m is η times the worker's `velocity`.
    """

    def __init__(self, kappa=1, momentum=0.9, most=5):
        self.kappa, self.momentum, self.most = kappa, momentum, most

    def begin(self, initial, workers):
        super().begin(initial, workers)
        self.velocity = [combine(np.zeros_like, initial) for _ in range(workers)]
        self.handed = [initial for _ in range(workers)]

    def commit(self, worker, start, end, staleness, local_steps):
        handed, gradient = self.center, self.gradient_of(start, end)
        self.velocity[worker] = combine(lambda v, g: self.momentum * v + g, self.velocity[worker], gradient)
        moved = combine(lambda c, c_prev: np.abs(c - c_prev) / self.learning_rate, handed, self.handed[worker])
        self.descend(combine(self.proxied, gradient, self.velocity[worker], moved))
        self.handed[worker] = handed

    def proxied(self, gradient, velocity, moved):
        """π ⊙ ĝ; π is 0 where the gradient is."""
        wanted = self.kappa * np.abs(velocity) - moved
        pi = np.divide(wanted, np.abs(gradient), out=np.zeros_like(gradient), where=gradient != 0)
        return np.clip(pi, 0, self.most) * gradient


class Eamsgd(Server):
    """d = α (e − c), α = β/n: c ← c + d, and the worker goes on from e − d (Zhang et al. 2015).

    The momentum is the worker's own, of its Nesterov steps, and goes on through exchanges.
    """

    def __init__(self, beta=0.9):
        self.beta = beta

    def begin(self, initial, workers):
        super().begin(initial, workers)
        self.own = {}

    def commit(self, worker, start, end, staleness, local_steps):
        pull = combine(lambda c, e: self.beta / self.workers * (e - c), self.center, end)
        self.center = combine(np.add, self.center, pull)
        self.own[worker] = combine(np.subtract, end, pull)

    def reply(self, worker, end):
        super().reply(worker, end)
        return self.own.pop(worker, end)  # where it arrived, if its commit was not accepted


# --- rules at the server ---


def discounted(history, decay):
    """Σ decay^(t − i) g_i over all gradients until now, the first axis of `history`."""
    return np.tensordot(decay ** np.arange(len(history))[::-1].astype(float), history, axes=1)


def yogi_square(history):
    """v ← v − (1 − b2) sign(v − g²) g², from 1e-6."""
    v = np.full_like(history[0], 1e-6)
    for g in history:
        v = v - (1 - 0.999) * np.sign(v - g**2) * g**2
    return v


class Rule:
    """A rule of all pseudo-gradients until now: what it remembers of them, and the direction of the step."""

    slots = 0  # of how many moments

    def __init__(self, momentum):
        self.momentum = momentum

    def memory(self, history):
        return ()

    def direction(self, history):
        raise NotImplementedError


class Sgd(Rule):
    def direction(self, history):
        return history[-1]


class Momentum(Rule):
    """m ← μ m + g; m. As in PyTorch and Optax: no 1 − μ."""

    slots = 1

    def memory(self, history):
        return (discounted(history, self.momentum),)

    def direction(self, history):
        return self.memory(history)[0]


class Nesterov(Momentum):
    """m ← μ m + g; g + μ m."""

    def direction(self, history):
        return history[-1] + self.momentum * self.memory(history)[0]


class Adam(Rule):
    """Kingma and Ba 2015, Algorithm 1. b1 0.9, b2 0.999, ε 1e-8 beside the root."""

    slots = 2

    def memory(self, history):
        return (1 - 0.9) * discounted(history, 0.9), (1 - 0.999) * discounted(history**2, 0.999)

    def direction(self, history):
        (m, v), t = self.memory(history), len(history)
        return m / (1 - 0.9**t) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)


class Adagrad(Rule):
    """g / √(0.1 + Σ g² + 1e-7)."""

    slots = 1

    def memory(self, history):
        return (0.1 + np.sum(history**2, axis=0),)

    def direction(self, history):
        return history[-1] / np.sqrt(self.memory(history)[0] + 1e-7)


class Yogi(Rule):
    """Adam with the sign of v − g² in v; both moments begin at 1e-6 and are corrected as if from 0; ε 1e-3."""

    slots = 2

    def memory(self, history):
        return 0.9 ** len(history) * 1e-6 + (1 - 0.9) * discounted(history, 0.9), yogi_square(history)

    def direction(self, history):
        (m, v), t = self.memory(history), len(history)
        return m / (1 - 0.9**t) / (np.sqrt(v / (1 - 0.999**t)) + 1e-3)


class RmsProp(Rule):
    """v ← 0.9 v + 0.1 g²; g / √(v + 1e-8): ε is under the root."""

    slots = 1

    def memory(self, history):
        return ((1 - 0.9) * discounted(history**2, 0.9),)

    def direction(self, history):
        return history[-1] / np.sqrt(self.memory(history)[0] + 1e-8)


class Lion(Rule):
    """sign(0.9 m + 0.1 g), then m ← 0.99 m + 0.01 g; no weight decay."""

    slots = 1

    def memory(self, history):
        return ((1 - 0.99) * discounted(history, 0.99),)

    def direction(self, history):
        before = self.memory(history[:-1])[0] if len(history) > 1 else 0.0
        return np.sign(0.9 * before + (1 - 0.9) * history[-1])


RULES = {
    "sgd": Sgd,
    "momentum": Momentum,
    "nesterov": Nesterov,
    "adam": Adam,
    "adagrad": Adagrad,
    "yogi": Yogi,
    "rmsprop": RmsProp,
    "lion": Lion,
}


class ServerOptimizer(Server):
    """What another method would add to the center is −g of a rule at the server (Reddi et al. 2021, FedOpt).

    The rule takes one step at each version if that is when the inner method moves the center, else at each commit that
    it is given, even where it adds nothing. `moments`: what the rule remembers, a list of trees.
    """

    def __init__(self, inner, rule, rate, momentum=0.9):
        self.inner, self.rule, self.rate = inner, RULES[rule](momentum), rate
        self.at_versions = type(inner).version is not Plain.version

    def begin(self, initial, workers):
        super().begin(initial, workers)
        self.inner.learning_rate = self.learning_rate
        self.inner.begin(initial, workers)
        self.gradients, self.moments = [], []

    def commit(self, worker, start, end, staleness, local_steps):
        self.inner.commit(worker, start, end, staleness, local_steps)
        if not self.at_versions:
            self.step()

    def version(self):
        self.inner.version()
        if self.at_versions:
            self.step()

    def step(self):
        self.gradients.append(combine(lambda c, moved: c - moved, self.center, self.inner.center))
        self.moments = [
            combine(lambda *g, which=which: self.rule.memory(np.stack(g))[which], *self.gradients)
            for which in range(self.rule.slots)
        ]
        self.center = combine(
            lambda c, d: c - self.rate * d,
            self.center,
            combine(lambda *g: self.rule.direction(np.stack(g)), *self.gradients),
        )
        self.inner.center = self.center

    def reply(self, worker, end):
        super().reply(worker, end)
        return self.inner.reply(worker, end)

    def gradient(self, worker, gradient, here, start):
        return self.inner.gradient(worker, gradient, here, start)


def diloco(workers):
    """The mean of n commits under Nesterov's rule (Douillard et al. 2023)."""
    return ServerOptimizer(Mean(workers), "nesterov", 0.7, 0.9)


# --- versions by counts, where everyone has to have a say ---


class Balanced(Server):
    """A step is c ← c − η (1/n) Σ over workers of the mean of the worker's ĝ; `table`: the list of each worker's."""

    def begin(self, initial, workers):
        super().begin(initial, workers)
        self.table = [[] for _ in range(workers)]

    def version(self):
        assert all(self.table), "a version needs a commit of every worker"
        self.descend(mean([mean(of_worker) for of_worker in self.table]))


class Ringleader(Balanced):
    """Rounds of n steps that use a table of the workers' means again and again (Maranjyan and Richtárik 2026).

    First the table fills, and c rests. The commit that fills it makes the first step. Each of the other workers makes
    one with its next commit, which is put into the table before. A commit of somebody who has had their step is put
    into the next round's table. Nothing is dropped and nobody waits.
    """

    def begin(self, initial, workers):
        super().begin(initial, workers)
        self.next_table = [[] for _ in range(workers)]
        self.due = None  # whose step of this round is to come; None while the table fills
        self.steps = False  # whether the last commit makes a version

    def commit(self, worker, start, end, staleness, local_steps):
        gradient = self.gradient_of(start, end)
        if self.due is None:
            self.table[worker].append(gradient)
            self.steps = all(self.table)
            if self.steps:
                self.due = set(range(self.workers))
        else:
            self.steps = worker in self.due
            (self.table if self.steps else self.next_table)[worker].append(gradient)
        if self.steps:
            self.due.remove(worker)

    def version(self):
        assert self.steps
        super().version()
        if not self.due:
            self.table, self.next_table = self.next_table, [[] for _ in range(self.workers)]
            self.due = None


class Malenia(Balanced):
    """A step once every worker has committed often enough from the present center (Tyurin and Richtárik 2023).

    How often is the clock's affair, and so is that older commits are dropped: see `malenia_versions`.
    """

    def commit(self, worker, start, end, staleness, local_steps):
        self.table[worker].append(self.gradient_of(start, end))

    def version(self):
        super().version()
        self.table = [[] for _ in range(self.workers)]


def ringleader_versions(workers_in_order, n):
    """Whether each commit makes a version, as nested loops over the order in which the workers commit."""
    made, arrivals = [], iter(workers_in_order)
    table, next_table = [0] * n, [0] * n
    try:
        while True:
            while True:
                worker = next(arrivals)
                table[worker] += 1
                if 0 not in table:
                    break
                made.append(False)
            made.append(True)
            left = set(range(n)) - {worker}
            while left:
                worker = next(arrivals)
                made.append(worker in left)
                if worker in left:
                    left.remove(worker)
                else:
                    next_table[worker] += 1
            table, next_table = next_table, [0] * n
    except StopIteration:
        return made


def malenia_versions(log, n, size=None):
    """Whether each commit is accepted, and whether it makes a version.

    log: rows in the order applied, with `worker` and `pulled`, the version that the phase began from. A version is
    made once the harmonic mean of the workers' counts of accepted commits is at least size/n; size is n by default.
    """
    size, version, counts, made = n if size is None else size, 0, [0] * n, []
    for row in log:
        accepted = row["pulled"] == version
        counts[row["worker"]] += accepted
        enough = all(counts) and 1 / (sum(Fraction(1, count) for count in counts) / n) >= Fraction(size) / n
        made.append((accepted, accepted and enough))
        if made[-1][1]:
            version, counts = version + 1, [0] * n
    return made


def ringleader_log(log, n):
    """An asynchronous log with the versions of Ringleader. The times are the same, as nobody waits."""
    return _with_versions(log, lambda rows: [(True, made) for made in ringleader_versions(_workers(rows), n)])


def malenia_log(log, n, size=None):
    """An asynchronous log with the versions of Malenia that ignores what is old. The times are the same."""
    return _with_versions(log, lambda rows: malenia_versions(rows, n, size))


def _workers(rows):
    return [row["worker"] for row in rows]


def _with_versions(log, decide):
    """Each phase begins from the version that its worker's last commit left."""
    rows, version, pulled = [], 0, {}
    for row in log:
        new = {**row, "pulled": pulled.get(row["worker"], 0)}
        new["staleness"] = version - new["pulled"]
        new["accepted"], made = decide([*rows, new])[-1]
        version += made
        pulled[row["worker"]] = new["version"] = version
        rows.append(new)
    return rows
