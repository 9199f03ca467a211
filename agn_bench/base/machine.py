"""The machine: the threads and the device, which must be set before JAX starts, and the facts recorded of it."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from agn_bench.base.inputs import BadInput, choose, whole_number
from agn_bench.base.jax_settings import drop_flags_of_the_cpu
from agn_bench.base.user_code import jax_has_started

DEVICES = ("auto", "cpu", "gpu")
MAX_THREADS = 1024
_PACKAGES = ("jax", "jaxlib", "numpy", "optax", "pandas", "mlxtend")
_THREADS_VARIABLE = "NPROC"
"""What XLA's thread pool reads; its flag for multi-threaded Eigen was measured to do nothing."""
_MOUNTED, _MEMBERSHIP = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
"""Where Linux shows control groups, and says in which of them this process is."""


def prepare(threads: object = None, device: object = None) -> None:
    """Set JAX's threads (default: all cores this process may use) and device. To be called before JAX starts."""
    count = cores() if threads is None else whole_number("threads", threads, 1, MAX_THREADS)
    device = choose("device", device or "auto", DEVICES)
    if jax_has_started():
        return
    os.environ[_THREADS_VARIABLE] = str(count)
    drop_flags_of_the_cpu()
    _keep_freed_memory()
    # The timeline runs on the CPU beside whatever else there is.
    given = os.environ.get("JAX_PLATFORMS", "")
    if device != "auto":
        _set_platforms({"cpu": "cpu", "gpu": "cuda,cpu"}[device])
    elif given and "cpu" not in given.split(","):
        _set_platforms(f"{given},cpu")
        if backend() == "cpu":
            raise BadInput("JAX_PLATFORMS", given, "JAX sees no such device here", "one that it sees, cpu or nothing")
    if device == "gpu":
        _require_gpu()


def _set_platforms(names: str) -> None:
    """Where JAX looks for devices, here and in processes that this one starts; nothing else says it."""
    os.environ["JAX_PLATFORMS"] = names
    os.environ.pop("JAX_PLATFORM_NAME", None)
    if "jax" in sys.modules:  # it has read the variables, as when a user's file imports it
        import jax

        jax.config.update("jax_platforms", names)  # type: ignore[no-untyped-call]
        jax.config.update("jax_platform_name", "")  # type: ignore[no-untyped-call]


def threads() -> int:
    """JAX's threads in this process."""
    given = os.environ.get(_THREADS_VARIABLE, "")
    return int(given) if given.isdecimal() and int(given) else cores()


def backend() -> str:
    """Where JAX computes: cpu or gpu."""
    import jax

    return jax.default_backend()


def _keep_freed_memory() -> None:
    """Let the C library reuse freed memory instead of handing it back to the system.

    Each exchange needs buffers of the size of the parameters, and fresh memory from the system costs more than writing
    to it does: with the paper's model a fifth of an exchange of one step.
    """
    import ctypes

    trim_threshold, mmap_threshold = -1, -3  # of glibc's malloc.h
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return  # another C library
    mallopt(mmap_threshold, 1 << 30)
    mallopt(trim_threshold, (1 << 31) - 1)


def _require_gpu() -> None:
    import jax

    try:
        jax.devices("gpu")
    except RuntimeError:
        raise BadInput("device", "gpu", "JAX sees no GPU here", "cpu or auto") from None


def cores() -> int:
    """Cores this process may use: those that it may run on, or fewer where a container has the time of fewer."""
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, int(min(there, *_cpu_limits(_MOUNTED, _MEMBERSHIP))))


def runs_at_once() -> int:
    """So many, of the threads of this process each, fill its cores."""
    return max(1, cores() // threads())


@cache
def describe() -> dict[str, Any]:
    """Where a run was made: versions, commit, hardware, threads, device. No path and no host name.

    Found out once: the code in memory is that of the first run, whatever happens to the checkout.
    """
    import jax

    device = jax.devices()[0]
    return {
        "versions": {"python": platform.python_version(), **_versions()},
        "commit": _commit(),
        "hardware": {
            "system": f"{platform.system()} {platform.machine()}",
            "processor": _processor(),
            "cores": cores(),
            "memory_gb": round(memory_bytes() / 1e9, 1),
        },
        "threads": threads(),
        "device": f"{device.platform}: {device.device_kind}",
    }


def _versions() -> dict[str, str]:
    from importlib import metadata

    from agn_bench.base import __version__

    found = {"agn-bench": __version__}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def _commit() -> dict[str, Any] | None:
    """The commit of this checkout and whether the package differs from it; None when not run from a checkout."""
    import subprocess

    folder = Path(__file__).parent.parent

    def git(*words: str) -> str:
        return subprocess.run(
            ["git", "-C", str(folder), *words], capture_output=True, text=True, check=True, timeout=10
        ).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", "__init__.py")
        return {"id": git("rev-parse", "HEAD"), "modified": bool(git("status", "--porcelain", "--", "."))}
    except (OSError, subprocess.SubprocessError):
        return None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or "unknown"


def peak_memory_bytes() -> float:
    """The most memory that this process has had."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        return 1024 * next(float(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        return float("nan")


def memory_bytes() -> float:
    """Memory that this process may have: the physical, or less where a container or a batch job is given less.

    Infinite where the system does not say.
    """
    try:
        physical = float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (ValueError, OSError, AttributeError):
        physical = float("inf")
    return min(physical, *_memory_limits(_MOUNTED, _MEMBERSHIP))


def _memory_limits(mounted: Path, membership: Path) -> Iterator[float]:
    """Bytes that the control groups of this process leave it."""
    yield float("inf")
    for group in _control_groups("memory", mounted, membership):
        for name in ("memory.max", "memory.limit_in_bytes"):  # of version 2, and of version 1
            with suppress(OSError, ValueError):  # no limit is "max", or a number beyond any memory
                yield float((group / name).read_text(encoding="utf-8"))


def _cpu_limits(mounted: Path, membership: Path) -> Iterator[float]:
    """CPUs that the control groups of this process leave it: their time in a period, over the period."""
    yield float("inf")
    for group in _control_groups("cpu", mounted, membership):
        for names in (("cpu.max",), ("cpu.cfs_quota_us", "cpu.cfs_period_us")):
            with suppress(OSError, ValueError, ZeroDivisionError):  # no limit is "max", or -1
                text = " ".join((group / name).read_text(encoding="utf-8") for name in names)
                quota, period = map(float, text.split())
                if quota > 0:
                    yield quota / period


def _control_groups(controller: str, mounted: Path, membership: Path) -> Iterator[Path]:
    """The control groups (Linux, version 1 or 2) that this process is in, from the innermost to the root's."""
    try:
        lines = [line.split(":", 2) for line in membership.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError):
        return
    for _, controllers, inside in lines:
        if controllers and controller not in controllers.split(","):
            continue
        top = mounted / controller if controllers else mounted
        group = top / inside.lstrip("/")
        yield from (group, *(parent for parent in group.parents if parent.is_relative_to(top)))
