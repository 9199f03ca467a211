"""JAX's settings that change what is computed: while this program computes they are JAX's own defaults.

People set them to find errors in programs of their own, as variables (`JAX_NUMPY_DTYPE_PROMOTION=strict`) or by
`jax.config.update`. What a run measures must not depend on them.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

_OURS: dict[str, Any] = {
    # types and shapes
    "jax_enable_x64": False,
    "jax_numpy_dtype_promotion": "standard",
    "jax_numpy_rank_promotion": "allow",
    # how exactly, and how much is compiled
    "jax_default_matmul_precision": "highest",  # or what a run asks for (see simulate.py)
    "jax_disable_jit": False,
    "jax_disable_most_optimizations": False,
    "jax_exec_time_optimization_effort": 0.0,
    "jax_memory_fitting_effort": 0.0,
    "jax_use_direct_linearize": True,
    # what is looked for: a run that diverges is a result
    "jax_debug_nans": False,
    "jax_debug_infs": False,
    "jax_debug_key_reuse": False,
    "jax_enable_checks": False,
    "jax_check_tracer_leaks": False,
    "jax_check_static_indices": False,
    "jax_error_checking_behavior_divide": "ignore",
    "jax_error_checking_behavior_nan": "ignore",
    "jax_error_checking_behavior_oob": "ignore",
    "jax_no_tracing": False,
    "jax_no_execution": False,
    # where: --device says it
    "jax_default_device": None,
    "jax_transfer_guard_host_to_device": "allow",
    "jax_transfer_guard_device_to_host": "allow",
    "jax_transfer_guard_device_to_device": "allow",
    "jax_array_garbage_collection_guard": "allow",
    # random numbers: this program draws its own with NumPy, an optimizer of yours may draw with JAX
    "jax_default_prng_impl": "threefry2x32",
    "jax_threefry_partitionable": True,
    "jax_enable_custom_prng": False,
    "jax_legacy_prng_key": "allow",
    "jax_random_seed_offset": 0,
}
_UNSET_MEANS = {name: "allow" for name in _OURS if "guard" in name}
_OF_THE_CPU = (
    "--xla_cpu_",
    "--xla_force_host_platform_device_count",
    "--xla_backend_optimization_level",
    "--xla_disable_hlo_passes",
    "--xla_allow_excess_precision",
)
"""How flags of XLA begin that change what a CPU computes."""


@contextmanager
def own_settings() -> Iterator[None]:
    """Compute with JAX's defaults, and leave the user's settings as they were.

    Only what differs is touched: for others a compiled program stays the same program.
    """
    import jax

    with ExitStack() as stack:
        settings = jax.config.values
        for name, ours in _OURS.items():
            if name not in settings:  # of another version of JAX
                continue
            theirs = settings[name]
            if _value(name, theirs) == ours:
                continue
            context = getattr(jax, name.removeprefix("jax_"), None)
            if context is not None:  # of this thread alone
                stack.enter_context(context(ours))
            else:
                jax.config.update(name, ours)  # type: ignore[no-untyped-call]
                stack.callback(jax.config.update, name, theirs)
        yield


def _value(name: str, setting: Any) -> Any:
    """A setting as it is written: some are enumerations, and some of those that are not set stand for a word."""
    if setting is None:
        return _UNSET_MEANS.get(name)
    return getattr(setting, "value", setting)


def drop_flags_of_the_cpu() -> None:
    """Take XLA's flags that change what a CPU computes out of XLA_FLAGS. To be called before JAX starts.

    Those stay that say where something is, and those of a GPU.
    """
    try:
        flags = shlex.split(os.environ.get("XLA_FLAGS", ""))
    except ValueError:
        return  # not flags; XLA says so
    kept = [flag for flag in flags if not flag.startswith(_OF_THE_CPU)]
    if kept != flags:
        os.environ["XLA_FLAGS"] = shlex.join(kept)
