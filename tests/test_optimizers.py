"""Each method's one equation, and that JAX takes a method for itself and no other."""

from __future__ import annotations

from itertools import combinations, permutations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from agn_bench.optimizers.agn import Agn
from agn_bench.optimizers.catalogue import LOCAL_OPTIMIZERS, METHODS
from agn_bench.optimizers.downpour import Downpour
from agn_bench.optimizers.dynsgd import Dynsgd
from agn_bench.optimizers.easgd import Easgd
from agn_bench.optimizers.local import LocalOptimizer

CENTER, START, END = ({"w": jnp.array(values)} for values in ([1.0, -2.0], [3.0, 5.0], [7.0, 4.0]))

EXCHANGES = [
    # method, local steps, staleness, new center, the worker goes on from; Δ = (4, −1)
    (Agn(), 4, 7, [2.0, -2.25], [2.0, -2.25]),
    (Downpour(), 4, 7, [5.0, -3.0], [5.0, -3.0]),
    (Dynsgd(), 4, 7, [1.5, -2.125], [1.5, -2.125]),
    (Dynsgd(), 4, 0, [5.0, -3.0], [5.0, -3.0]),
    (Easgd(alpha=0.25), 4, 7, [2.5, -0.5], [5.5, 2.5]),
]


@pytest.mark.parametrize(("method", "local_steps", "staleness", "center", "following"), EXCHANGES)
def test_an_exchange_worked_out_by_hand(method, local_steps, staleness, center, following) -> None:  # type: ignore[no-untyped-def]
    new, goes_on = method.exchange(CENTER, START, END, local_steps, jnp.int32(staleness))
    np.testing.assert_array_equal(new["w"], center)
    np.testing.assert_array_equal(goes_on["w"], following)
    assert new["w"].dtype == jnp.float32


def test_easgd_conserves_center_plus_worker() -> None:
    """To rounding: four float32 operations on numbers below 16."""
    generator = np.random.default_rng(0)
    center, end = ({"w": jnp.asarray(generator.uniform(-8, 8, 1000), jnp.float32)} for _ in range(2))
    new, goes_on = Easgd(alpha=0.05).exchange(center, center, end, 3, jnp.int32(0))
    before, after = (np.float64(a["w"]) + np.float64(b["w"]) for a, b in ((center, end), (new, goes_on)))
    np.testing.assert_allclose(after, before, rtol=0, atol=4 * 16 * 2**-24)


@pytest.mark.parametrize("name", METHODS)
def test_the_registry_names_a_method_with_its_own_numbers(name: str) -> None:
    entry = METHODS[name]
    method = entry.load()(**dict.fromkeys(entry.numbers, 0.5))
    assert jax.tree.leaves(method) == [0.5] * len(entry.numbers)
    assert type(method).__name__.lower() == name


def test_methods_have_different_tree_structures() -> None:
    """Or jit, which compares them, may run one method in place of another."""
    kinds = [entry.load()(**dict.fromkeys(entry.numbers, 0.5)) for entry in METHODS.values()]
    for one, other in combinations(kinds, 2):
        assert jax.tree.structure(one) != jax.tree.structure(other)
    assert jax.tree.structure(Easgd(0.1)) == jax.tree.structure(Easgd(0.2))
    for one, other in permutations(LOCAL_OPTIMIZERS, 2):
        assert jax.tree.structure(LocalOptimizer(one, 0.1)) != jax.tree.structure(LocalOptimizer(other, 0.1))
