"""JAX's settings that a user may have made: they change no number, and stay as they were."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
import pytest

from agn_bench.base import jax_settings, machine
from agn_bench.config.run import RunConfig
from agn_bench.library import commits, curve, run, summary
from agn_bench.optimizers import OPTIMIZERS, Commit, Optimizer, Server, Worker, each, optimizer, quantity

KIND = pytest.mark.kind("settings of JAX that the user has made")
ALL_AT_ONCE: dict[str, Any] = {
    "jax_debug_nans": True,
    "jax_default_matmul_precision": "bfloat16",
    "jax_disable_most_optimizations": True,
    "jax_enable_x64": True,
    "jax_numpy_dtype_promotion": "strict",
    "jax_numpy_rank_promotion": "raise",
}
SETTINGS: dict[str, dict[str, Any]] = {
    "strict types": {"jax_numpy_dtype_promotion": "strict"},
    "strict ranks": {"jax_numpy_rank_promotion": "raise"},
    "float64": {"jax_enable_x64": True},
    "rough products": {"jax_default_matmul_precision": "bfloat16"},
    "nothing compiled": {"jax_disable_jit": True},
    "no optimizations": {"jax_disable_most_optimizations": True},
    "looking for NaN": {"jax_debug_nans": True, "jax_debug_infs": True},
    "looking for leaks": {"jax_check_tracer_leaks": True, "jax_enable_checks": True},
    "no transfers": {"jax_transfer_guard": "disallow"},
    "other random numbers": {"jax_default_prng_impl": "rbg", "jax_threefry_partitionable": False},
    "another device": {"jax_default_device": "gpu"},
    "nothing may be traced": {"jax_no_tracing": True},
    "all at once": ALL_AT_ONCE,
}


@optimizer
class Mixed(Optimizer):
    """c ← c + Δ (1 + β τ)^−1/2, which multiplies a float32 by an int32, as the README's example does."""

    beta: float = quantity(0, 10, default=1.0, help="How much staleness counts.")

    def commit(self, server: Server, worker: Worker, commit: Commit) -> tuple[Server, Worker]:
        weight = (1 + self.beta * commit.staleness) ** -0.5
        new = each(lambda c, s, e: c + weight * (e - s), server.center, commit.start, worker.params)
        return server._replace(center=new), worker


@pytest.fixture
def settings() -> Iterator[Any]:
    """Make settings as a user does, and take them back."""
    before = jax.config.values
    yield lambda these: [jax.config.update(name, value) for name, value in these.items()]
    for name, value in jax.config.values.items():
        if value is not before[name]:
            jax.config.update(name, before[name])


def _measured(dataset: str, optimizer: Any) -> str:
    """All that a run says, to the last digit."""
    config = RunConfig.of(
        dataset=dataset,
        model="mlp-8",
        optimizer=optimizer,
        workers=4,
        local_steps=3,
        gradient_steps=96,
        batch_size=8,
        window=1,
    )
    result = run(config)
    return f"{summary(result)}{curve(result).to_csv()}{commits(result).to_csv()}"


@KIND
@pytest.mark.parametrize("made", SETTINGS.values(), ids=SETTINGS)
def test_a_run_is_the_same_with_settings(quick_dataset: str, settings: Any, made: dict[str, Any]) -> None:
    plain = _measured(quick_dataset, "agn")
    settings(made)
    now = jax.config.values
    assert _measured(quick_dataset, "agn") == plain
    assert jax.config.values == now


@KIND
@pytest.mark.parametrize("name", ["easgd", "local-sgd", "mixed"])
def test_every_sort_of_optimizer_is_the_same_with_all_settings_at_once(
    quick_dataset: str, settings: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(OPTIMIZERS.shipped, "mixed", Mixed)
    plain = _measured(quick_dataset, name)
    settings(ALL_AT_ONCE)
    assert _measured(quick_dataset, name) == plain


@KIND
def test_a_setting_of_the_callers_thread_is_put_aside_too(quick_dataset: str) -> None:
    plain = _measured(quick_dataset, "agn")
    with jax.numpy_dtype_promotion("strict"), jax.default_matmul_precision("bfloat16"), jax.enable_x64(True):
        assert _measured(quick_dataset, "agn") == plain
        assert jax.numpy.zeros(1, np.float64).dtype == np.float64


@KIND
@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("--xla_cpu_enable_fast_math=true", ""),
        ("--xla_dump_to=/tmp/x --xla_backend_optimization_level=0", "--xla_dump_to=/tmp/x"),
        ("--xla_gpu_cuda_data_dir='a b'  --xla_force_host_platform_device_count=8", "'--xla_gpu_cuda_data_dir=a b'"),
        ("--xla_gpu_autotune_level=0", "--xla_gpu_autotune_level=0"),
    ],
)
def test_flags_of_xla_that_change_what_a_cpu_computes_are_dropped(
    monkeypatch: pytest.MonkeyPatch, given: str, kept: str
) -> None:
    monkeypatch.setenv("XLA_FLAGS", given)
    jax_settings.drop_flags_of_the_cpu()
    assert os.environ["XLA_FLAGS"] == kept


@KIND
def test_the_device_that_is_asked_for_comes_before_any_variable(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    monkeypatch.setattr(machine, "jax_has_started", lambda: False)
    monkeypatch.setenv("JAX_PLATFORM_NAME", "gpu")
    monkeypatch.setenv("JAX_PLATFORMS", "cuda")
    settings({"jax_platform_name": "gpu"})
    machine.prepare(2, "cpu")
    assert os.environ["JAX_PLATFORMS"] == "cpu"
    assert "JAX_PLATFORM_NAME" not in os.environ
    assert (jax.config.values["jax_platforms"], jax.config.values["jax_platform_name"]) == ("cpu", "")
