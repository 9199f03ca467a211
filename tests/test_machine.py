"""What the program finds out of its machine."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from agn_bench.base import machine
from agn_bench.base.inputs import BadInput
from agn_bench.cli.base import facts_of


@pytest.mark.parametrize("version", [1, 2])
def test_memory_is_what_the_control_groups_leave(tmp_path: Path, version: int) -> None:
    """The least of a job's limit, of the group around it, and of the physical."""
    mounted, membership = tmp_path / "cgroup", tmp_path / "self"
    membership.write_text("3:cpu:/x\n4:memory:/batch/job\n" if version == 1 else "0::/batch/job\n")
    top, name = (mounted / "memory", "memory.limit_in_bytes") if version == 1 else (mounted, "memory.max")
    (top / "batch" / "job").mkdir(parents=True)
    assert min(machine._memory_limits(mounted, membership)) == float("inf")
    (top / "batch" / "job" / name).write_text("5000\n" if version == 1 else "max\n")
    (top / "batch" / name).write_text("4000\n")
    (tmp_path / name).write_text("1\n")  # outside
    assert min(machine._memory_limits(mounted, membership)) == 4000
    assert list(machine._memory_limits(mounted, tmp_path / "nowhere")) == [float("inf")]
    assert machine.memory_bytes() <= os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


QUOTAS = {
    "version 2": ("0::/batch/job", {"batch/job/cpu.max": "150000 100000"}, 1),
    "around it": ("0::/batch/job", {"batch/job/cpu.max": "max 100000", "batch/cpu.max": "200000 100000"}, 2),
    "of the container itself": ("0::/../other", {"cpu.max": "300000 100000"}, 3),
    "half a CPU": ("0::/job", {"job/cpu.max": "50000 100000"}, 1),
    "none": ("0::/job", {"job/cpu.max": "max 100000"}, 16),
    "damaged": ("0::/job", {"job/cpu.max": "100000"}, 16),
    "version 1": (
        "5:memory:/x\n4:cpu,cpuacct:/job",
        {"cpu/job/cpu.cfs_quota_us": "400000", "cpu/job/cpu.cfs_period_us": "100000"},
        4,
    ),
    "version 1, none": ("4:cpu:/job", {"cpu/job/cpu.cfs_quota_us": "-1", "cpu/job/cpu.cfs_period_us": "100000"}, 16),
    "more than there are": ("0::/job", {"job/cpu.max": "6400000 100000"}, 16),
}


@pytest.mark.kind("limits of containers")
@pytest.mark.parametrize(("membership", "files", "cores"), QUOTAS.values(), ids=QUOTAS)
def test_cores_are_what_the_control_groups_leave(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, membership: str, files: dict[str, str], cores: int
) -> None:
    for name, content in files.items():
        path = tmp_path / "mounted" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content + "\n")
    (tmp_path / "self").write_text(membership + "\n")
    monkeypatch.setattr(machine, "_MOUNTED", tmp_path / "mounted")
    monkeypatch.setattr(machine, "_MEMBERSHIP", tmp_path / "self")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)))
    monkeypatch.setenv("NPROC", "1")
    assert machine.cores() == machine.runs_at_once() == cores


@pytest.mark.parametrize(("given", "threads"), [("3", 3), ("abc", None), ("0", None), ("", None)])
def test_threads_are_what_jax_takes(monkeypatch: pytest.MonkeyPatch, given: str, threads: int | None) -> None:
    monkeypatch.setenv("NPROC", given)
    assert machine.threads() == (threads or machine.cores())


@pytest.fixture
def unprepared(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """As before JAX is imported; what the process has is put back."""
    monkeypatch.delitem(sys.modules, "jax")
    monkeypatch.setattr(machine, "jax_has_started", lambda: False)
    monkeypatch.setattr(machine, "_keep_freed_memory", lambda: None)
    monkeypatch.setenv("NPROC", "2")
    monkeypatch.setenv("JAX_PLATFORMS", "")
    return monkeypatch


@pytest.mark.parametrize(
    ("device", "given", "platforms"),
    [
        ("auto", None, None),
        ("auto", "", ""),
        ("auto", "cuda", "cuda,cpu"),
        ("auto", "cuda,cpu", "cuda,cpu"),
        ("cpu", "cuda", "cpu"),
    ],
)
def test_the_clock_has_a_cpu_whatever_else_jax_is_given(
    unprepared: pytest.MonkeyPatch, device: str, given: str | None, platforms: str | None
) -> None:
    unprepared.setattr(machine, "backend", lambda: "gpu")
    if given is None:
        unprepared.delenv("JAX_PLATFORMS")
    else:
        unprepared.setenv("JAX_PLATFORMS", given)
    machine.prepare(2, device)
    assert os.environ.get("JAX_PLATFORMS") == platforms


def test_a_device_that_jax_was_asked_for_and_does_not_see_is_refused(unprepared: pytest.MonkeyPatch) -> None:
    """With the CPU beside it, JAX would take that."""
    unprepared.setattr(machine, "backend", lambda: "cpu")
    unprepared.setenv("JAX_PLATFORMS", "cuda")
    with pytest.raises(BadInput, match=r"^JAX_PLATFORMS cuda: JAX sees no such device here"):
        machine.prepare(2, "auto")


def test_the_command_in_the_provenance_is_one_that_can_be_given_again() -> None:
    app = typer.Typer()
    seen = []

    @app.command()
    def draw(
        context: typer.Context, names: list[str], size: str | None = None, quick: bool = False, out: str = "x"
    ) -> None:
        seen.append(facts_of(context)["command"].split()[1:])

    for words in (["a", "b", "--size", "x"], ["a", "--quick"]):
        CliRunner().invoke(app, [*words, "--out", "y"])
        assert seen[-1] == words
