"""Each optimizer's one equation, and that JAX takes an optimizer for itself and no other."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import exchanged

from agn_bench.base.named import Named
from agn_bench.optimizers import LOCAL_OPTIMIZERS, OPTIMIZERS, as_pytree
from agn_bench.optimizers.agn import Agn
from agn_bench.optimizers.downpour import Downpour
from agn_bench.optimizers.dynsgd import Dynsgd
from agn_bench.optimizers.easgd import Easgd

CENTER, START, END = ({"w": jnp.array(values)} for values in ([1.0, -2.0], [3.0, 5.0], [7.0, 4.0]))

EXCHANGES = [
    # optimizer, local steps, staleness, new center, the worker goes on from; Δ = (4, −1)
    (Agn(), 4, 7, [2.0, -2.25], [2.0, -2.25]),
    (Downpour(), 4, 7, [5.0, -3.0], [5.0, -3.0]),
    (Dynsgd(), 4, 7, [1.5, -2.125], [1.5, -2.125]),
    (Dynsgd(), 4, 0, [5.0, -3.0], [5.0, -3.0]),
    (Easgd(alpha=0.25), 4, 7, [2.5, -0.5], [5.5, 2.5]),
]


@pytest.mark.parametrize(("optimizer", "local_steps", "staleness", "center", "following"), EXCHANGES)
def test_an_exchange_worked_out_by_hand(optimizer, local_steps, staleness, center, following) -> None:  # type: ignore[no-untyped-def]
    new, goes_on = exchanged(optimizer, CENTER, START, END, local_steps, jnp.int32(staleness))
    np.testing.assert_array_equal(new["w"], center)
    np.testing.assert_array_equal(goes_on["w"], following)
    assert new["w"].dtype == jnp.float32


def test_easgd_conserves_center_plus_worker() -> None:
    """To rounding: four float32 operations on numbers below 16."""
    generator = np.random.default_rng(0)
    center, end = ({"w": jnp.asarray(generator.uniform(-8, 8, 1000), jnp.float32)} for _ in range(2))
    new, goes_on = exchanged(Easgd(alpha=0.05), center, center, end, 3, jnp.int32(0))
    before, after = (np.float64(a["w"]) + np.float64(b["w"]) for a, b in ((center, end), (new, goes_on)))
    np.testing.assert_allclose(after, before, rtol=0, atol=4 * 16 * 2**-24)


@pytest.mark.parametrize("named", [OPTIMIZERS, LOCAL_OPTIMIZERS], ids=lambda named: named.option)
def test_changing_a_number_changes_a_leaf_and_no_structure(named: Named[Any]) -> None:
    """Or jit, which compares structures, may run one optimizer in place of another, or compile for a number."""
    things = {name: as_pytree(named.choose(name).thing) for name in named}
    for name, thing in things.items():
        numbers = dict(named.choose(name).numbers)
        assert jax.tree.leaves(thing) == list(numbers.values())
        other = type(thing)(**{number: value / 2 for number, value in numbers.items()})
        assert jax.tree.structure(other) == jax.tree.structure(thing)
    for one, other in combinations(things.values(), 2):
        assert jax.tree.structure(one) != jax.tree.structure(other)
