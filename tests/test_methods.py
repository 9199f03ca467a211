"""Every optimizer along timelines of its own rules and of any, against plain ones from the papers; and identities."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
import reference_optimizers as plain
from conftest import (
    ONE_LAYER,
    PERCEPTRON,
    Figure,
    examples,
    in_full,
    initial_params,
    local_optimizer,
    reference_clock,
    tried,
)
from hypothesis import given
from hypothesis import strategies as st
from test_absences import draw_absences
from test_rules import rules_for
from test_simulate import distance

from agn_bench.base.quantities import declared_numbers
from agn_bench.clock import Constant, Draws, Gamma, Profile, draw_delays
from agn_bench.clock.absences import Absence, Absences
from agn_bench.clock.rules import Rules
from agn_bench.clock.stops import Stop
from agn_bench.optimizers import OPTIMIZERS, Optimizer
from agn_bench.problems import Problem
from agn_bench.problems.datasets import Dataset
from agn_bench.problems.least_squares import LeastSquares
from agn_bench.training import carry
from agn_bench.training.task import task_of

BATCH = 8
RATES = {"sgd": 0.2, "adam": 0.01}
PROFILE = Profile("uneven", Gamma(1.0, 0.8), Gamma(0.3, 0.5), Constant(0.1), Gamma(0.2, 0.5), order="random")
Known = Any
"""What a plain optimizer knows in the end, by name."""


@dataclass(frozen=True)
class Method:
    """One of ours by its text, and the plain one of n workers; what the plain one knows, in the order of ours."""

    text: str
    plain: Callable[[int], Any]
    memory: Callable[[Known], Any] = lambda known: ()
    of_worker: Callable[[Known, int], Any] = lambda known, worker: ()
    log: Callable[[Any, int], Any] = lambda rows, workers: rows
    """The plain clock's rows, where versions are not made by rules."""

    @property
    def name(self) -> str:
        return self.text.partition(":")[0]


def total(trees: list[Any], like: Any) -> Any:
    return reference.combine(lambda *leaves: sum(leaves), reference.combine(np.zeros_like, like), *trees)


def steps(known: Known, tree: Any) -> Any:
    """The steps that gradients are: −η times them."""
    return reference.combine(lambda g: -known["learning_rate"] * g, tree)


def backwards(tree: Any) -> Any:
    return reference.combine(lambda g: -g, tree)


def waiting(known: Known) -> Any:
    """What a version has so far, and of how many commits it will be."""
    return steps(known, total(known["gradients"], known["center"])), known["quorum"]


def of_all(known: Known, kept: str) -> Any:
    """Σ over the workers of the mean of each one's steps."""
    means = [reference.combine(lambda *g: sum(g) / len(g), *entries) for entries in known[kept] if entries]
    return steps(known, total(means, known["center"]))


def entry(known: Known, kept: str, worker: int) -> Any:
    return steps(known, total(known[kept][worker], known["center"])), len(known[kept][worker])


def moments(known: Known) -> Any:
    """The state of a rule at the server: of Adam's after a count."""
    found = known["moments"]
    return (np.array(len(known["gradients"])), *found) if len(found) > 1 else found


EACH_KIND = ("agn", "easgd", "local-sgd", "dana", "fedbuff", "gem")
"""Whose moments differ: a commit alone, a worker of its own, versions of several, a look ahead, memory of a worker."""

METHODS = [
    Method("agn", lambda n: reference.Agn()),
    # With three workers the line is at 0.63. With SGD η λ h is 0.4 for λ = 1 and 1.6 for λ = 4; with Adam, less.
    *(
        Method(
            f"agn-when-needed:curvature=2:division={division}",
            lambda n, smooth=division == "smooth": plain.AgnWhenNeeded(2, smooth),
            of_worker=lambda known, worker: np.array(known["rates"][worker]),
        )
        for division in ("switch", "smooth")
    ),
    Method("downpour", lambda n: reference.Downpour()),
    Method("dynsgd", lambda n: reference.Dynsgd()),
    Method("easgd:alpha=0.3", lambda n: reference.Easgd(0.3)),
    Method("eamsgd", lambda n: plain.Eamsgd()),
    Method("stale-synchronous:commits=agn", lambda n: reference.StaleSynchronous("agn")),
    Method("ringmaster:threshold=3", lambda n: reference.Ringmaster()),
    Method("sync-sgd", plain.Mean, waiting),
    Method("local-sgd", plain.Mean, waiting),
    Method("backup-workers", lambda n: plain.Mean(n - 1), waiting),
    Method("k-sync", lambda n: plain.Mean((n + 1) // 2), waiting),
    Method("k-async:batch=yes", lambda n: plain.Mean((n + 1) // 2), waiting),
    Method("rennala:size=3:stops=yes", lambda n: plain.Mean(3), waiting),
    Method("fedbuff:size=3:rate=0.5", lambda n: reference.FedBuff(3, 0.5), lambda known: known["buffer"]),
    Method("delay-adaptive", lambda n: plain.DelayAdaptive()),
    Method("adag:scale=0.01", lambda n: plain.Adag(0.01)),
    Method("adag-agn:scale=0.01", lambda n: plain.AdagAgn(0.01)),
    Method("fedasync:proximal=0.1", lambda n: plain.FedAsync(proximal=0.1)),
    Method("fedasync:weight=hinge:a=2:b=1", lambda n: plain.FedAsync(weight="hinge", a=2, b=1)),
    Method("dc-asgd:strength=0.5", lambda n: plain.DcAsgd(0.5)),
    Method(
        "dc-asgd-adaptive",
        lambda n: plain.DcAsgdA(),
        of_worker=lambda known, worker: known["mean_square"][worker],
    ),
    *(
        Method(
            f"gap-aware:momentum={momentum}",
            lambda n, momentum=momentum: plain.GapAware(momentum=momentum, without_momentum="gradient"),
            lambda known: (
                known["velocity"],
                known["average"],
                np.array(1 - known["decay"] ** known["commits"]),
                np.array(known["largest_rate"]),
            ),
        )
        for momentum in (0, 0.5)
    ),
    Method("picky:threshold=0.3", lambda n: plain.Picky(0.3), lambda known: np.array(known["applied"])),
    Method("clipped:radius=0.3", lambda n: plain.Clipped(0.3)),
    Method(
        "gem:kappa=0.9:most=2",
        lambda n: plain.Gem(0.9, most=2),
        of_worker=lambda known, worker: (steps(known, known["velocity"][worker]), known["handed"][worker]),
    ),
    Method(
        "smega2:period=3",
        lambda n: plain.Smega2(3),
        lambda known: (
            steps(known, known["velocity"]),
            steps(known, total(known["gradients"], known["center"])),
            np.array(len(known["gradients"])),
            np.array(known["length"]),
        ),
    ),
    Method(
        "delayed-nesterov:period=3:spread=0.6",
        lambda n: plain.DelayedNesterov(3, spread=0.2),
        lambda known: (
            backwards(known["velocity"]),
            backwards(total(known["gradients"], known["center"])),
            np.array(known["time"] % known["length"]),
            np.array(known["length"]),
        ),
    ),
    Method(
        "dana:momentum=0.5",
        lambda n: reference.Dana(0.5),
        lambda known: total(known["moving"], known["center"]),
        lambda known, worker: known["moving"][worker],
    ),
    Method(
        "dana-dc:momentum=0.5",
        lambda n: plain.DanaDc(0.5),
        lambda known: steps(known, total(known["velocity"], known["center"])),
        lambda known, worker: steps(known, known["velocity"][worker]),
    ),
    *(
        Method(
            f"{text}:momentum=0.5",
            lambda n, kind=kind: kind(0.5),
            of_worker=lambda known, worker: steps(known, known["velocity"][worker]),
        )
        for text, kind in (("dana-slim", plain.DanaSlim), ("multi-asgd", plain.MultiAsgd))
    ),
    Method(
        "nag-asgd:momentum=0.5",
        lambda n: plain.NagAsgd(0.5),
        lambda known: steps(known, known["velocity"]),
    ),
    Method("diloco", plain.diloco, lambda known: (*known["moments"], *waiting(vars(known["inner"])))),
    Method(
        "server-optimizer:rule=adam:rate=0.01:commits=downpour",
        lambda n: plain.ServerOptimizer(reference.Downpour(), "adam", 0.01),
        moments,
    ),
    Method(
        "ringleader",
        lambda n: plain.Ringleader(),
        lambda known: of_all(known, "table"),
        log=plain.ringleader_log,
    ),
    Method(
        "malenia:size=5",
        lambda n: plain.Malenia(),
        lambda known: of_all(known, "table"),
        log=lambda rows, n: plain.malenia_log(rows, n, 5),
    ),
]


def test_every_optimizer_is_here() -> None:
    assert {method.name for method in METHODS} == set(OPTIMIZERS)


class Case:
    """One timeline, and what both programs make of it."""

    def __init__(
        self,
        tiny: Dataset,
        draws: Draws,
        rules: Rules,
        stop: Stop | None = None,
        optimizer: Optimizer | None = None,
        log: Callable[[Any, int], Any] = lambda rows, workers: rows,
    ) -> None:
        self.tiny, self.draws, self.log = tiny, draws, log
        self.rules, self.stop = rules, stop or Stop()
        self.timeline = (optimizer or OPTIMIZERS["agn"]()).timeline(draws, rules, self.stop)
        shape = (draws.workers, int(draws.phases.max()) * draws.local_steps, BATCH)
        self.batches = np.random.default_rng(1).integers(0, len(tiny.train_labels), shape).astype(np.int32)

    def ours(
        self, optimizer: Optimizer, local: str = "sgd", dtype: type = np.float64, **options: Any
    ) -> tuple[carry.Training, np.ndarray]:
        problem, initial, train = self.trains(dtype)
        task, initial = task_of(problem, initial)
        chosen = local_optimizer(local, RATES[local])
        training = carry.Training(self.timeline, self.batches, optimizer, chosen, task, initial, train, **options)
        losses = []
        for first in range(0, self.timeline.exchanges, training.segment_size):
            last = min(first + training.segment_size, self.timeline.exchanges)
            losses.append(training.apply(first, last).losses[: last - first])
        return training, np.concatenate(losses)

    def trains(self, dtype: type) -> tuple[Problem, Any, Any]:
        """The problem, its initial parameters and its data."""
        train = jnp.asarray(self.tiny.train_images, dtype), jnp.asarray(self.tiny.train_labels)
        return PERCEPTRON, ONE_LAYER(dtype), train

    def plain(self, optimizer: Any, local: str = "sgd", reset: bool = False) -> Any:
        away = None if self.draws.absences is None else self.draws.absences(0.0)
        clock = reference_clock(self.draws, self.rules, self.stop, away)
        rows = self.log(clock.rows, self.draws.workers)
        for name in ("worker", "version", "accepted", "staleness"):
            np.testing.assert_array_equal(getattr(self.timeline, name), [row[name] for row in rows])
        return reference.train_with(
            optimizer, rows, clock.interrupted, self.batches, self.tiny.train_images, self.tiny.train_labels,
            ONE_LAYER(), local, RATES[local], reset=reset, workers=self.draws.workers,
            local_steps=self.draws.local_steps, joined=clock.joined,
        )  # fmt: skip


ALLOWED = 1e-9


def agree(case: Case, method: Method, local: str = "sgd", reset: bool = False, **options: Any) -> float:
    """By how much centers, losses and memories differ at most."""
    with jax.enable_x64(True):
        training, losses = case.ours(
            OPTIMIZERS.choose(method.text).thing, local, reset_local_optimizer=reset, **options
        )
        centers, expected, _, known = case.plain(method.plain(case.draws.workers), local, reset)
        differences = [distance(training.center, centers[-1]), float(np.abs(losses - expected).max())]
        assert {leaf.dtype for leaf in jax.tree.leaves(training.center)} == {np.dtype(np.float64)}
        for mine, theirs in (
            (training._memory, method.memory(known)),
            *(
                (state.memory, method.of_worker(known, worker))
                for worker, state in enumerate(training._workers)
                if state is not None
            ),
        ):
            # What Malenia and Ringleader have that is of no use any more is not compared.
            pairs = zip(jax.tree.leaves(mine), jax.tree.leaves(theirs), strict=False)
            differences += [float(np.abs(np.asarray(a) - b).max()) for a, b in pairs]
            assert bool(jax.tree.leaves(mine)) == bool(jax.tree.leaves(theirs)) or method.name in (
                "malenia",
                "ringleader",
            )
    assert all(difference < ALLOWED for difference in differences)  # NaN is not
    return max(differences)


def follow_its_own_rules(
    tiny: Dataset, method: Method, workers: int, local_steps: int, local: str, together: bool
) -> dict[str, object]:
    """Center, losses, and the memories of server and workers, over 50 stale exchanges and more: a row of a table."""
    optimizer = OPTIMIZERS.choose(method.text).thing
    draws = draw_delays(PROFILE, 4, workers, 84 // workers, local_steps)
    case = Case(tiny, draws, optimizer.rules(workers), optimizer=optimizer, log=method.log)
    assert case.timeline.exchanges >= 50
    largest = agree(case, method, local, together=together)
    return {"workers": workers, "exchanges": case.timeline.exchanges, "difference": largest, "allowed": ALLOWED}


@pytest.mark.parametrize(
    ("local", "local_steps"), in_full(product(RATES, [1, 4]), zip(RATES, [4, 1], strict=True)), ids=str
)
@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.text)
def test_its_equations_are_the_papers(
    tiny: Dataset, method: Method, local_steps: int, local: str, figure: Figure
) -> None:
    """There are three workers, whose exchanges are each a call of one program: with each local optimizer and each λ, or
    with each pair of them if the figures are wanted.
    """
    found = follow_its_own_rules(tiny, method, 3, local_steps, local, together=False)
    figure("equations", optimizer=method.text, local_optimizer=local, local_steps=local_steps, **found)


@pytest.mark.parametrize("method", [m for m in METHODS if m.name in EACH_KIND], ids=lambda method: method.text)
def test_its_equations_hold_with_phases_batched(tiny: Dataset, monkeypatch: pytest.MonkeyPatch, method: Method) -> None:
    """As on a GPU: of three workers two or all."""
    monkeypatch.setattr(carry, "_BATCHED", (2,))
    follow_its_own_rules(tiny, method, 3, 4, "adam", together=True)


@pytest.mark.parametrize(
    "method",
    [m for m in METHODS if m.name in in_full(EACH_KIND, ("agn", "easgd"))],
    ids=lambda method: method.text,
)
def test_any_rules_agree_with_the_plain_loop(tiny: Dataset, figure: Figure, method: Method) -> None:
    """One optimizer of each kind, or one whose workers go on from the center and one whose do not: the rules know
    nothing of what the server does. How many phases one call has, and whether the local optimizer begins anew, is not
    the optimizer's business: it is tried with one, as each compiles.
    """
    anything = method.text == "agn"

    @st.composite
    def cases(draw: Any) -> Case:
        workers = draw(st.sampled_from([1, 4, 9] if anything else [4]))
        seed, separate = draw(st.integers(0, 99)), draw(st.booleans())
        profile = replace(PROFILE, pull="separate") if separate else PROFILE
        draws = draw_delays(profile, seed, workers, draw(st.integers(1, 6)), 2)
        if draw(st.booleans()):
            away = draw_absences(np.random.default_rng(seed), workers, 30.0)
            absences = Absences.of([map(Absence._make, own) for own in away])
            draws = replace(draws, absences=lambda _: absences)
        rules = draw(rules_for(workers))
        rules = replace(rules, grace_s=0.0) if separate else rules
        return Case(tiny, draws, rules, Stop(exchanges=draw(st.integers(1, 40))))

    @examples(12)
    @given(cases(), st.booleans() if anything else st.just(False))
    def attempt(case: Case, reset: bool) -> None:
        agree(case, method, reset=reset)

    figure("invariants", what=f"rules: {method.text} as in the plain loop", **tried(attempt))


def test_a_synchronous_round_is_one_batch_of_all(tiny: Dataset) -> None:
    case = Case(tiny, draw_delays(PROFILE, 4, 10, 3, 2), Rules(quorum=10, waits=True))
    plan = carry._Plan(case.timeline)
    sizes = carry._block_sizes(10, initial_params(3), 2, together=True, plain=False)
    assert [block.last - block.first for block in plan.blocks(0, 30, sizes)] == [10, 10, 10]
    assert carry._segment_size(initial_params(3), 2, True, sizes) % 10 == 0


# --- identities ---


class Squares(Case):
    """Where no plain program trains the same: the problem of which a program is compiled soonest."""

    def trains(self, dtype: type) -> tuple[Problem, Any, Any]:
        problem = LeastSquares(len(self.tiny.train_labels), 5)
        train, _ = problem.load(None)
        return problem, np.zeros(5, dtype), tuple(jnp.asarray(part, dtype) for part in train)


def centers(tiny: Dataset, text: str, workers: int, dtype: type = np.float32, phases: int = 0) -> Any:
    """The center after about 40 exchanges of two steps each."""
    optimizer = OPTIMIZERS.choose(text).thing
    draws = draw_delays(PROFILE, 2, workers, phases or 40 // workers, 2)
    with jax.enable_x64(dtype is np.float64):
        case = Squares(tiny, draws, optimizer.rules(workers), optimizer=optimizer)
        return jax.device_get(case.ours(optimizer, dtype=dtype)[0].center)


SAME = [  # with how many workers, and whether to the bit: else in float64 to 1e-12
    ("local-sgd", "downpour", 1, True),
    ("sync-sgd", "local-sgd", 7, True),
    ("backup-workers:backups=2", "local-sgd:backups=2", 7, True),
    ("k-sync:size=7", "local-sgd", 7, True),
    ("k-async:size=1:batch=yes", "downpour", 7, True),
    ("k-async:size=7", "local-sgd", 7, True),
    ("rennala:size=1", "ringmaster:threshold=1", 7, True),
    ("fedbuff:size=1", "downpour", 1, True),
    ("dana:momentum=0", "downpour", 7, True),
    ("stale-synchronous:ahead=1000000", "downpour", 7, True),
    ("stale-synchronous:ahead=1000000:commits=easgd", "easgd", 7, True),
    ("ringmaster:threshold=1000:stops=yes", "downpour", 7, True),
    ("delay-adaptive", "downpour", 1, True),
    ("dc-asgd:strength=0", "downpour", 7, True),
    ("dc-asgd-adaptive:strength=0", "downpour", 7, True),
    ("picky:threshold=1e30", "downpour", 7, True),
    ("clipped:radius=1e30", "downpour", 7, True),
    ("malenia", "downpour", 1, True),
    ("agn-when-needed:curvature=0", "downpour", 7, True),
    ("agn-when-needed:curvature=1e30", "agn", 7, True),
    ("agn-when-needed:curvature=0:division=smooth", "downpour", 7, True),
    ("agn-when-needed:curvature=1e30:division=smooth", "agn", 7, True),
    ("dana-dc:compensation=0", "dana", 7, True),
    ("adag", "downpour", 1, False),
    ("adag-agn:scale=1e30", "agn", 7, False),
    ("fedasync:mixing=1:weight=constant", "downpour", 1, False),
    ("gap-aware", "downpour", 1, False),
    ("smega2:period=1", "nag-asgd", 7, False),
    ("nag-asgd:momentum=0", "downpour", 7, False),
    ("dana-slim:momentum=0", "downpour", 7, False),
    ("multi-asgd:momentum=0", "downpour", 7, False),
    ("multi-asgd:momentum=0.5", "server-optimizer:rule=momentum:momentum=0.5:commits=downpour", 1, False),
    ("delayed-nesterov:period=1:spread=1", "server-optimizer:rule=nesterov:rate=0.7:commits=downpour", 7, False),
    ("gem:kappa=1e30:most=1", "downpour", 7, False),
    ("eamsgd:beta=0.35", "easgd:alpha=0.05", 7, False),
    ("server-optimizer:rule=sgd:commits=agn", "agn", 7, False),
    ("diloco:momentum=0:rate=1", "local-sgd", 7, False),
    ("ringleader", "downpour", 1, False),
]


@pytest.mark.parametrize(("one", "other", "workers", "to_the_bit"), SAME)
def test_identities(tiny: Dataset, one: str, other: str, workers: int, to_the_bit: bool) -> None:
    """One worker's commits are never stale: there a FedBuff of one is DOWNPOUR, and a round of one is."""
    dtype = np.float32 if to_the_bit else np.float64
    found = [centers(tiny, text, workers, dtype) for text in (one, other)]
    if to_the_bit:
        jax.tree.map(partial(np.testing.assert_array_equal, strict=True), *found)
    else:
        assert distance(*found) < 1e-12


def test_every_optimizer_has_an_identity() -> None:
    named = {text.partition(":")[0] for one, other, *_ in SAME for text in (one, other)}
    assert named | {"dynsgd"} == set(OPTIMIZERS)  # DynSGD's is in test_simulate


def test_where_they_should_differ_they_do(tiny: Dataset) -> None:
    for one, other, workers in (("dana", "downpour", 7), ("fedbuff:size=1", "downpour", 7), ("local-sgd", "agn", 5)):
        assert distance(centers(tiny, one, workers), centers(tiny, other, workers)) > 1e-6


@pytest.mark.parametrize("name", [name for name in OPTIMIZERS if declared_numbers(OPTIMIZERS[name])])
def test_other_numbers_compile_nothing_and_the_same_give_the_same_bits(
    tiny: Dataset, compilations: Callable[..., int], name: str
) -> None:
    """Whole numbers that the clock or a memory is given, too."""
    chosen = OPTIMIZERS.choose(name)
    declared = declared_numbers(OPTIMIZERS[name])
    halves = [f"{key}={value / 2}" for key, value in chosen.numbers if not declared[key].accepted.static]
    first = centers(tiny, name, 5)
    again: list[Any] = []
    assert compilations(lambda: again.append(centers(tiny, name, 5))) == 0
    jax.tree.map(partial(np.testing.assert_array_equal, strict=True), first, again[0])
    assert compilations(lambda: centers(tiny, ":".join([name, *halves]), 5)) == 0
