"""Each optimizer's equations, worked out by hand, and that JAX takes an optimizer for itself and no other."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import exchanged

from agn_bench.base.inputs import BadInput
from agn_bench.base.named import Named
from agn_bench.base.quantities import Accepted, Number, declared_numbers
from agn_bench.clock.rules import ASYNCHRONOUS, Rules
from agn_bench.config.resolving import resolve
from agn_bench.optimizers import (
    LOCAL_OPTIMIZERS,
    OPTIMIZERS,
    Commit,
    Optimizer,
    Server,
    Worker,
    as_pytree,
    server_optimizer,
)
from agn_bench.optimizers.agn import Agn
from agn_bench.optimizers.dana import Dana
from agn_bench.optimizers.downpour import Downpour
from agn_bench.optimizers.dynsgd import Dynsgd
from agn_bench.optimizers.easgd import Easgd
from agn_bench.optimizers.fedbuff import Fedbuff
from agn_bench.optimizers.local_sgd import LocalSgd
from agn_bench.optimizers.ringmaster import Ringmaster
from agn_bench.optimizers.stale_synchronous import StaleSynchronous

CENTER, START, END = ({"w": jnp.array(values)} for values in ([1.0, -2.0], [3.0, 5.0], [7.0, 4.0]))

EXCHANGES = [
    # optimizer, local steps, staleness, new center, the worker goes on from; Δ = (4, −1)
    (Agn(), 4, 7, [2.0, -2.25], [2.0, -2.25]),
    (Downpour(), 4, 7, [5.0, -3.0], [5.0, -3.0]),
    (Dynsgd(), 4, 7, [1.5, -2.125], [1.5, -2.125]),
    (Dynsgd(), 4, 0, [5.0, -3.0], [5.0, -3.0]),
    (Easgd(alpha=0.25), 4, 7, [2.5, -0.5], [5.5, 2.5]),
    (Ringmaster(threshold=9), 4, 7, [5.0, -3.0], [5.0, -3.0]),
    # A round of one, a buffer of one at τ = 3, whose Δ counts half, and η = 0.5 of that.
    (LocalSgd(), 4, 0, [5.0, -3.0], [5.0, -3.0]),
    (Fedbuff(size=1), 4, 3, [3.0, -2.5], [3.0, -2.5]),
    (Fedbuff(size=1, rate=0.5), 4, 3, [2.0, -2.25], [2.0, -2.25]),
    # v = Δ; the worker looks γ v ahead of c + Δ.
    (Dana(momentum=0.5), 4, 7, [5.0, -3.0], [7.0, -3.5]),
    (StaleSynchronous(), 4, 7, [5.0, -3.0], [5.0, -3.0]),
    (StaleSynchronous(commits="dynsgd"), 4, 7, [1.5, -2.125], [1.5, -2.125]),
    (StaleSynchronous(commits="dana"), 4, 7, [5.0, -3.0], [8.6, -3.9]),
]


@pytest.mark.parametrize(("optimizer", "local_steps", "staleness", "center", "following"), EXCHANGES)
def test_an_exchange_worked_out_by_hand(optimizer, local_steps, staleness, center, following) -> None:  # type: ignore[no-untyped-def]
    new, goes_on = exchanged(optimizer, CENTER, START, END, local_steps, jnp.int32(staleness))
    np.testing.assert_array_equal(new["w"], np.float32(center))
    np.testing.assert_array_equal(goes_on["w"], np.float32(following))
    assert new["w"].dtype == jnp.float32


SEVERAL = [
    # optimizer, staleness of each commit, the center after each, what its worker would go on from; Δ = (4, −1)
    (LocalSgd(backups=1), [0, 0, 0, 0], [[1, -2], [5, -3], [5, -3], [9, -4]], [[1, -2], [5, -3], [5, -3], [9, -4]]),
    (Fedbuff(size=2), [0, 3, 3, 3], [[1, -2], [4, -2.75], [4, -2.75], [6, -3.25]], None),
    # Σ v is (4, −1) after the first commit and (8, −2) after the second, of another worker.
    (Dana(momentum=0.5), [0, 0], [[5, -3], [9, -4]], [[7, -3.5], [13, -5]]),
]


@pytest.mark.parametrize(("optimizer", "staleness", "centers", "following"), SEVERAL)
def test_several_commits_worked_out_by_hand(
    optimizer: Optimizer, staleness: list[int], centers: list[list[float]], following: list[list[float]] | None
) -> None:
    """Three workers take turns, with the versions that the rules say."""
    server = Server(CENTER, optimizer.init(CENTER, 3))
    memories = [optimizer.init_worker(CENTER) for _ in range(3)]
    quorum = optimizer.rules(3).quorum
    for index, tau in enumerate(staleness):
        worker = Worker(END, memories[index % 3])
        commit = Commit(START, 4, jnp.int32(tau), jnp.int32(3), jnp.nan)
        server, worker = optimizer.commit(server, worker, commit)
        if (index + 1) % quorum == 0:
            server = optimizer.version(server)
        worker = optimizer.reply(server, worker)
        memories[index % 3] = worker.memory
        np.testing.assert_array_equal(server.center["w"], centers[index])
        np.testing.assert_array_equal(worker.params["w"], (following or centers)[index])


def test_danas_second_commit_of_a_worker_takes_its_last_step_again() -> None:
    """v = γ (4, −1) + (4, −1) = (6, −1.5), and Σ v is that and no more: of one worker the old v goes out of it."""
    optimizer = Dana(momentum=0.5)
    server, memory = Server(CENTER, optimizer.init(CENTER, 1)), optimizer.init_worker(CENTER)
    for _ in range(2):
        commit = Commit(START, 4, jnp.int32(0), jnp.int32(1), jnp.nan)
        server, worker = optimizer.commit(server, Worker(END, memory), commit)
        worker = optimizer.reply(server, worker)
        memory = worker.memory
    np.testing.assert_array_equal(server.center["w"], [11.0, -4.5])
    np.testing.assert_array_equal(server.memory["w"], [6.0, -1.5])
    np.testing.assert_array_equal(worker.params["w"], [14.0, -5.25])


RULES = {
    "agn": ASYNCHRONOUS, "dana": ASYNCHRONOUS,
    "local-sgd": Rules(quorum=8, waits=True), "local-sgd:backups=3": Rules(quorum=5, waits=True, drop_at=1),
    "fedbuff": Rules(quorum=10), "fedbuff:size=3": Rules(quorum=3),
    "stale-synchronous": Rules(ahead=3), "stale-synchronous:ahead=0": Rules(ahead=0),
    "ringmaster": Rules(drop_at=8), "ringmaster:threshold=2:stops=yes": Rules(drop_at=2, cancels=True),
    "sync-sgd": Rules(quorum=8, waits=True), "diloco": Rules(quorum=8, waits=True),
    "backup-workers:backups=3": Rules(quorum=5, waits=True, drop_at=1),
    "k-sync": Rules(quorum=4, waits=True, drop_at=1, cancels=True),
    "k-sync:size=3:batch=yes": Rules(quorum=3, drop_at=1, cancels=True),
    "k-async": Rules(quorum=4, waits=True), "k-async:size=3:batch=yes": Rules(quorum=3),
    "rennala": Rules(quorum=8, drop_at=1), "rennala:size=3:stops=yes": Rules(quorum=3, drop_at=1, cancels=True),
    "delayed-nesterov:grace=2": Rules(grace_s=2.0), "server-optimizer:commits=fedbuff": Rules(quorum=10),
}  # fmt: skip


@pytest.mark.parametrize("text", RULES)
def test_what_an_optimizer_asks_of_the_clock(text: str) -> None:
    assert OPTIMIZERS.choose(text).thing.rules(8) == RULES[text]


def test_easgd_conserves_center_plus_worker() -> None:
    """To rounding: four float32 operations on numbers below 16."""
    generator = np.random.default_rng(0)
    center, end = ({"w": jnp.asarray(generator.uniform(-8, 8, 1000), jnp.float32)} for _ in range(2))
    new, goes_on = exchanged(Easgd(alpha=0.05), center, center, end, 3, jnp.int32(0))
    before, after = (np.float64(a["w"]) + np.float64(b["w"]) for a, b in ((center, end), (new, goes_on)))
    np.testing.assert_allclose(after, before, rtol=0, atol=4 * 16 * 2**-24)


@pytest.mark.parametrize("named", [OPTIMIZERS, LOCAL_OPTIMIZERS], ids=lambda named: named.option)
def test_changing_a_number_changes_a_leaf_and_no_structure(named: Named[Any]) -> None:
    """Or jit, which compares structures, may run one optimizer in place of another, or compile for a number. Whole
    numbers and words are no leaves: with another one the structure is another.
    """
    things = {name: as_pytree(named.choose(name).thing) for name in named}
    for name, thing in things.items():
        numbers, declared = dict(named.choose(name).numbers), declared_numbers(type(thing))
        static = {number for number in numbers if declared[number].accepted.static}
        assert jax.tree.leaves(thing) == [value for number, value in numbers.items() if number not in static]
        other = {number: value if number in static else value / 2 for number, value in numbers.items()}
        assert jax.tree.structure(type(thing)(**other)) == jax.tree.structure(thing)
        for number in static:
            words = declared[number].accepted.words
            changed = words[-1] if words else numbers[number] + 1
            assert changed != numbers[number]
            assert jax.tree.structure(type(thing)(**{**numbers, number: changed})) != jax.tree.structure(thing)
    for one, other in combinations(things.values(), 2):
        assert jax.tree.structure(one) != jax.tree.structure(other)


@pytest.mark.parametrize("text", [*OPTIMIZERS, *(f"server-optimizer:rule={rule}" for rule in server_optimizer.RULES)])
def test_its_memory_is_as_large_as_it_says(text: str) -> None:
    """In times the parameters: arrays of a parameter's shape, and a few numbers."""
    optimizer = OPTIMIZERS.choose(text).thing
    center = {"w": jnp.zeros((7, 11))}
    for memory, slots in (
        (optimizer.init(center, 5), optimizer.server_slots),
        (optimizer.init_worker(center), optimizer.worker_slots),
    ):
        sizes = [np.size(leaf) for leaf in jax.tree.leaves(memory)]
        assert sizes.count(77) == slots
        assert set(sizes) <= {1, 77}


EVERY_NUMBER = [(name, number) for name in OPTIMIZERS for number in declared_numbers(OPTIMIZERS[name]).values()]


@pytest.mark.parametrize(("name", "number"), EVERY_NUMBER, ids=lambda value: getattr(value, "name", value))
def test_a_number_that_is_none_of_its_kind_gets_a_line(name: str, number: Number) -> None:
    accepted = number.accepted
    bad = ["nan", "", "1e99", "-1", "two"] if isinstance(accepted, Accepted) else ["", "1", f"{accepted.words[0]}s"]
    for value in bad:
        with pytest.raises(BadInput) as refused:
            OPTIMIZERS.choose(f"{name}:{number.name}={value}")
        assert number.name in refused.value.problem
        assert str(accepted) in refused.value.accepted


def test_what_needs_a_learning_rate_says_so(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(
        "from agn_bench.optimizers import LocalOptimizer, optimizer\n\n\n@optimizer\nclass Own(LocalOptimizer):\n"
        '    """a rule without a rate"""\n\n    def transformation(self):\n        import optax\n\n'
        "        return optax.sgd(0.1)\n"
    )
    given = {"local_optimizer": f"{tmp_path / 'own.py'}:Own", "workers": 2, "gradient_steps": 100}
    for name in OPTIMIZERS:
        if OPTIMIZERS[name].needs_learning_rate:
            with pytest.raises(BadInput, match="learning rate"):
                resolve({**given, "optimizer": name})
        else:
            assert resolve({**given, "optimizer": name}).optimizer.name == name


def test_defaults_of_an_optimizers_own_hold_where_nothing_is_said() -> None:
    given = {"workers": 4, "gradient_steps": 400}
    assert resolve({**given, "optimizer": "sync-sgd"}).local_steps == 1
    assert resolve({**given, "optimizer": "sync-sgd", "local_steps": 5}).local_steps == 5
    assert resolve({**given, "optimizer": "eamsgd"}).local_optimizer.text == "nesterov:learning_rate=0.01:momentum=0.99"
    assert resolve({**given, "optimizer": "eamsgd", "local_optimizer": "sgd"}).local_optimizer.name == "sgd"
    assert resolve({**given, "optimizer": "eamsgd", "preset": "quick"}).local_optimizer.name == "sgd"
