"""Sweeps as their users see them: killed, started twice, with cells that fail, on a full disk, and seen beforehand."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pytest
from conftest import Figure, built_once, in_full
from test_cli import INTERRUPTED, TINY, agn_bench

from agn_bench.base import files
from agn_bench.config.experiment import read_experiment_file
from agn_bench.config.run import RunConfig
from agn_bench.execution import estimate, sweep
from agn_bench.optimizers import OPTIMIZERS
from agn_bench.store import folder as folders

Command = Callable[..., tuple[int, str, str]]

FAST = """
name = "fast"
seeds = {seeds}
[base]
model = "mlp-8"
batch_size = 8
local_steps = 2
seconds = 40
eval_every = 20
workers = {workers}
[[cells]]
optimizer = {optimizers}
learning_rate = [0.1, 0.3]
"""
"""Each optimizer has a program, which each process compiles anew; other numbers alone need none."""
CSV_FILES = ("summary.csv", "curve.csv", "commits.csv")

SMALL = """
name = "small"
seeds = [0, 1]
[base]
dataset = "tiny"
model = "mlp-8"
batch_size = 8
local_steps = 3
gradient_steps = 130
workers = 4
[[cells]]
optimizer = ["agn", "easgd"]
"""


class Fast(NamedTuple):
    """An experiment of fast runs, the folder of an uninterrupted sweep of it, and how long a run took in it."""

    file: Path
    whole: Path
    configs: tuple[RunConfig, ...]
    seconds_a_run: float

    @property
    def runs(self) -> int:
        return len(self.configs)


@pytest.fixture(scope="module")
def fast(tmp_path_factory: pytest.TempPathFactory) -> Fast:
    """12 runs of some ten milliseconds; if the figures are wanted, two of every optimizer."""
    optimizers = in_full(OPTIMIZERS, ["agn", "ringmaster:threshold=2:stops=yes"])
    seeds, (workers,) = in_full([0], range(3)), in_full([10], [3])

    def build(folder: Path) -> None:
        (folder / "fast.toml").write_text(FAST.format(seeds=seeds, workers=workers, optimizers=json.dumps(optimizers)))
        process = agn_bench("sweep", folder / "fast.toml", "--out", folder / "whole", "--jobs", 2)
        at = [finished_run(process) for _ in range(2 * len(optimizers) * len(seeds))]
        out, err = process.communicate(timeout=120)
        assert (process.returncode, err) == (0, "")
        assert f"{len(at)} runs made, 0 found finished, 0 failed" in out
        (folder / "seconds").write_text(str((at[-1] - at[0]) / (len(at) - 1)))

    folder = built_once(tmp_path_factory, "fast", build)
    file = folder / "fast.toml"
    configs = tuple(read_experiment_file(file).configs)
    return Fast(file, folder / "whole", configs, float((folder / "seconds").read_text()))


@pytest.fixture
def small(quick_dataset: str, tmp_path: Path) -> Path:
    """An experiment of milliseconds, for sweeps in this process."""
    file = tmp_path / "small.toml"
    file.write_text(SMALL)
    return file


def contents(folder: Path) -> dict[str, bytes]:
    """What an experiment folder holds that is the same whenever its runs are made."""
    collected = [folder / name for name in ("summary.csv", "curves.csv.gz", "experiment.json")]
    of_runs = [run / name for run in folder.glob("runs/*") for name in CSV_FILES]
    return {str(path.relative_to(folder)): path.read_bytes() for path in (*collected, *of_runs)}


def same(one: Path, other: Path) -> None:
    """Both folders have the same runs and the same bytes in them, and no run is damaged."""
    found, expected = contents(one), contents(other)
    assert found.keys() == expected.keys()
    assert [name for name in found if found[name] != expected[name]] == []
    assert {folders.damage(run) for run in one.glob("runs/*")} == {""}


def finished_run(process: subprocess.Popen[str]) -> float:
    """Wait until a sweep says that one more run is finished; the moment."""
    assert process.stdout is not None
    for line in process.stdout:
        if re.match(r"\[\d+/\d+\] .*: done", line):
            return time.monotonic()
    raise AssertionError(f"it has ended: {process.communicate()}")


def session_of(process: subprocess.Popen[str]) -> list[int]:
    """Processes that are alive of those that `process`, the leader of a session, has started."""
    alive = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, *rest = stat.read_text().rsplit(") ", 1)[1].split()
        except OSError:
            continue
        if int(rest[2]) == process.pid and state != "Z":
            alive.append(int(stat.parent.name))
    return alive


def has_processes(process: subprocess.Popen[str], count: int) -> None:
    """Wait until a session has so many."""
    while len(session_of(process)) < count:
        assert process.poll() is None
        time.sleep(0.002)


def ends(process: subprocess.Popen[str], seconds: float = 10.0) -> bool:
    """Whether all of a session's processes end in time."""
    deadline = time.monotonic() + seconds
    while session_of(process) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not session_of(process)


def test_killed_again_and_again_it_ends_with_the_same_bytes(
    fast: Fast, tmp_path: Path, figure: Figure, at_full_size: bool
) -> None:
    """While it starts, and soon after a run or two more are finished, with one process and with two."""
    folder, moments = tmp_path / "killed", random.Random(20)
    kills, heard, lost, damaged = range(20) if at_full_size else [1], 0, 0, 0
    seen: set[Path] = set()
    for kill in kills:
        starting = kill % 4 == 0
        jobs = 2 if starting else 1 + kill % 2
        process = agn_bench("sweep", fast.file, "--out", folder, "--jobs", jobs, start_new_session=True)
        if starting:
            has_processes(process, 2 + kill // 4 % 3)
            time.sleep(moments.uniform(0.0, 0.3))  # they import for longer
        else:
            for _ in range(moments.choice([1, 2])):
                finished_run(process)
                heard += 1
            time.sleep(moments.uniform(0.0, 1.0) * fast.seconds_a_run)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL  # it was in the midst of it
        assert ends(process), "orphans"
        there = set(folder.glob("runs/[!.]*"))
        lost += len(seen - there)
        damaged += sum(folders.damage(run) != "" for run in there)
        seen = there
        assert len(there) >= heard
        for collected in folder.glob("[!.]*.csv"):
            pd.read_csv(collected)
    assert (lost, damaged) == (0, 0)
    process = agn_bench("sweep", fast.file, "--out", folder, "--jobs", 1)
    out, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (0, "")
    assert f"{fast.runs - len(seen)} runs made, {len(seen)} found finished, 0 failed" in out
    same_bytes = contents(folder) == contents(fast.whole)
    same(folder, fast.whole)
    assert not list(folder.rglob(".*"))
    what = "a sweep and all its processes, SIGKILL at random moments"
    figure("kills", what=what, kills=len(kills), runs=fast.runs, lost=lost, damaged=damaged, same_bytes=same_bytes)


def test_two_sweeps_at_once_share_the_runs(fast: Fast, tmp_path: Path) -> None:
    """Both wait for claims that are held here until both are there."""
    folder = tmp_path / "shared"
    held = [folders.claim(folders.run_folder(folder, config)) for config in fast.configs]
    both = [agn_bench("sweep", fast.file, "--out", folder, "--jobs", 1) for _ in range(2)]
    for process in both:
        assert process.stdout is not None
        assert process.stdout.readline() == f"waiting for {fast.runs} that another process makes\n"
    for claim in held:
        assert claim is not None
        claim.release()
    said = [process.communicate(timeout=120) for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    made, found = zip(
        *(map(int, re.findall(r"(\d+) runs made, (\d+) found finished, 0 failed", out)[0]) for out, _ in said),
        strict=True,
    )
    assert sum(made) == fast.runs  # none was made twice
    assert [a + b for a, b in zip(made, found, strict=True)] == [fast.runs, fast.runs]
    assert min(made) > 0
    same(folder, fast.whole)
    assert not list(folder.rglob(".*"))


def test_a_sweep_takes_over_what_another_leaves_when_it_dies(fast: Fast, tmp_path: Path) -> None:
    """The other holds a claim for as long as it lives."""
    config = fast.configs[3]
    script = """
import sys, time
from pathlib import Path
from agn_bench.store.folder import claim
held = claim(Path(sys.argv[1]))
print(held.run.name, flush=True)
time.sleep(600)
"""
    run = folders.run_folder(tmp_path / "shared", config)
    holder = subprocess.Popen([sys.executable, "-c", script, str(run)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline().strip() == config.run_id
    process = agn_bench("sweep", fast.file, "--out", tmp_path / "shared", "--jobs", 1)
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if "waiting for 1 that another process makes" in line:
            assert len(list((tmp_path / "shared").glob("runs/[!.]*"))) == fast.runs - 1
            holder.kill()
    process.communicate(timeout=60)
    assert process.returncode == 0
    holder.communicate()
    assert f"{fast.runs} runs made, 0 found finished, 0 failed\n" in lines
    same(tmp_path / "shared", fast.whole)


def test_collecting_while_a_sweep_is_running_gives_whole_files(fast: Fast, tmp_path: Path) -> None:
    process = agn_bench("sweep", fast.file, "--out", tmp_path / "live", "--jobs", 1)
    rows = []
    for heard in range(1, fast.runs + 1):
        finished_run(process)
        if heard % 4 == 1:
            folders.collect(tmp_path / "live")
            summary, curves = (pd.read_csv(tmp_path / "live" / name) for name in ("summary.csv", "curves.csv.gz"))
            rows.append(len(summary))
            assert rows[-1] >= heard
            assert set(summary["run_id"]) <= set(curves["run_id"])
    process.communicate()
    assert process.returncode == 0
    assert rows == sorted(rows)
    assert len(set(rows)) > 2
    same(tmp_path / "live", fast.whole)


@pytest.mark.kind("signals by which a command is asked to end")
def test_terminating_a_sweep_exits_143_and_the_next_call_goes_on(fast: Fast, tmp_path: Path) -> None:
    words = ("sweep", fast.file, "--out", tmp_path / "mine", "--jobs")
    process = agn_bench(*words, 2, start_new_session=True)
    finished_run(process)
    os.killpg(process.pid, signal.SIGTERM)  # as a batch system does: all of its processes
    _, err = process.communicate(timeout=60)
    assert process.returncode == 143
    assert err.splitlines() == INTERRUPTED
    assert ends(process)
    kept = len(list((tmp_path / "mine").glob("runs/*")))
    assert 0 < kept < fast.runs
    assert len(pd.read_csv(tmp_path / "mine" / "summary.csv")) == kept
    process = agn_bench(*words, 1)
    out, _ = process.communicate(timeout=60)
    assert f"{fast.runs - kept} runs made, {kept} found finished" in out
    same(tmp_path / "mine", fast.whole)


def test_interrupting_while_its_processes_start_says_nothing_more(fast: Fast, tmp_path: Path) -> None:
    """Its own is the first; the second tracks what they share; then comes one for each run at once, of which one is
    there.
    """
    process = agn_bench("sweep", fast.file, "--out", tmp_path / "mine", "--jobs", 2, start_new_session=True)
    has_processes(process, 3)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err.splitlines()) == (130, INTERRUPTED)
    assert ends(process)
    assert not list((tmp_path / "mine").glob("runs/*"))


# --- cells that fail, and cells that diverge ---


def test_a_cell_that_fails_is_reported_at_the_end_and_does_not_stop_the_others(
    command: Command, small: Path, tmp_path: Path
) -> None:
    small.write_text(SMALL + '[[cells]]\noptimizer = "dynsgd"\nwindow = 0.001\ngradient_steps = 40000\n')
    code, out, err = command("sweep", small, "--jobs", 1, "--out", tmp_path / "out")
    assert (code, err) == (1, "")
    assert "4 runs made, 0 found finished, 2 failed" in out
    assert len(re.findall(r"^  dynsgd-n4-l3-s[01]-\w+: BadInput: --window 0.001: too short", out, re.MULTILINE)) == 2
    assert len(pd.read_csv(tmp_path / "out" / "summary.csv")) == 4
    assert not list((tmp_path / "out").rglob(".*"))
    code, out, _ = command("sweep", small, "--jobs", 1, "--out", tmp_path / "out")
    assert code == 1
    assert "0 runs made, 4 found finished, 2 failed" in out


def test_a_cell_that_raises_is_a_failure_too(
    command: Command, small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from agn_bench.training import simulate

    def raising(*_: object, **__: object) -> None:
        raise ZeroDivisionError("of nothing")

    monkeypatch.setattr(simulate, "replay_timeline", raising)
    code, out, err = command("sweep", small, "--jobs", 1, "--out", tmp_path / "out")
    assert (code, err) == (1, "")
    assert len(re.findall(r": ZeroDivisionError: of nothing", out)) == 4
    assert "0 runs made, 0 found finished, 4 failed" in out
    monkeypatch.undo()


def test_a_cell_that_diverges_is_a_result(command: Command, small: Path, tmp_path: Path) -> None:
    small.write_text(SMALL + "learning_rate = 1e20\n")
    code, out, _ = command("sweep", small, "--jobs", 1, "--out", tmp_path / "out")
    assert code == 0
    assert "4 runs made, 0 found finished, 0 failed" in out
    rows = pd.read_csv(tmp_path / "out" / "summary.csv")
    assert set(rows["status"]) == {"diverged"}
    code, out, _ = command("sweep", small, "--jobs", 1, "--out", tmp_path / "out")
    assert "0 runs made, 4 found finished, 0 failed" in out


# --- a disk that is full ---


@pytest.fixture
def disk_full_after(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Call it to have the disk full once so many more files are written."""
    write = files.flush_bytes

    def set_up(writes: int) -> None:
        left = writes

        def until_full(path: Path, content: bytes) -> None:
            nonlocal left
            left -= 1
            if left < 0:
                raise OSError(28, "No space left on device")
            write(path, content)

        monkeypatch.setattr(files, "flush_bytes", until_full)

    return set_up


@pytest.mark.parametrize("writes", range(1, 20))
def test_on_a_full_disk_it_stops_and_keeps_the_finished_runs(
    command: Command,
    small: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    remembered: None,
    disk_full_after: Callable[[int], None],
    writes: int,
) -> None:
    """Full after so many files: at each file of the plan, of the runs, and at the collected ones."""
    monkeypatch.setattr(sweep, "_LEAST_SECONDS_BETWEEN", 1e9)  # collected at the end only
    disk_full_after(writes)
    code, _, err = command("sweep", small, "--jobs", 1, "--out", tmp_path / "out")
    assert (code, err) == (1, "agn-bench: failed: [Errno 28] No space left on device\n")
    monkeypatch.undo()
    kept = list((tmp_path / "out").glob("runs/*"))
    assert len(kept) == min(4, (writes - 1) // 4)
    assert not list((tmp_path / "out").rglob(".*"))


def test_after_a_full_disk_the_next_call_goes_on(
    command: Command, small: Path, tmp_path: Path, disk_full_after: Callable[[int], None]
) -> None:
    command("sweep", small, "--jobs", 1, "--out", tmp_path / "whole")
    disk_full_after(11)
    assert command("sweep", small, "--jobs", 1, "--out", tmp_path / "out")[0] == 1
    disk_full_after(10**6)
    code, out, _ = command("sweep", small, "--jobs", 1, "--out", tmp_path / "out")
    assert code == 0
    assert "2 runs made, 2 found finished, 0 failed" in out
    same(tmp_path / "out", tmp_path / "whole")


# --- a file that changes, and what is asked of it ---


def test_of_a_changed_file_the_new_cells_are_made_and_the_old_stay_and_are_marked(
    command: Command, small: Path, tmp_path: Path
) -> None:
    command("sweep", small, "--jobs", 1, "--out", tmp_path / "out")
    before = {run: (run / "run.json").read_bytes() for run in (tmp_path / "out").glob("runs/*")}
    small.write_text(SMALL.replace('"easgd"', '"dynsgd"'))
    code, out, _ = command("sweep", small, "--jobs", 1, "--out", tmp_path / "out")
    assert code == 0
    assert "2 runs made, 2 found finished, 0 failed" in out
    assert {run: (run / "run.json").read_bytes() for run in before} == before
    rows = pd.read_csv(tmp_path / "out" / "summary.csv")
    marked = rows.groupby("optimizer")["in_experiment"].agg(["all", "any", "size"])
    assert marked.loc["agn"].tolist() == marked.loc["dynsgd"].tolist() == [True, True, 2]
    assert marked.loc["easgd"].tolist() == [False, False, 2]
    assert set(rows["experiment"]) == {"small"}
    small.write_text(SMALL.replace(', "easgd"', ""))  # there is nothing to make
    _, out, _ = command("sweep", small, "--jobs", 1, "--out", tmp_path / "out")
    assert "0 runs made, 2 found finished, 0 failed" in out
    rows = pd.read_csv(tmp_path / "out" / "summary.csv")
    assert set(rows[rows["in_experiment"]]["optimizer"]) == {"agn"}


def test_only_some_runs_and_more_seeds(command: Command, small: Path, tmp_path: Path) -> None:
    words = ("sweep", small, "--jobs", 1, "--out", tmp_path / "out")
    _, out, _ = command(*words, "--only", "optimizer=easgd", "--only", "seed=1")
    assert "1 runs made, 0 found finished, 0 failed" in out
    _, out, _ = command(*words, "--seeds", 3)
    assert "5 runs made, 1 found finished, 0 failed" in out
    rows = pd.read_csv(tmp_path / "out" / "summary.csv")
    assert sorted(rows["seed"]) == [0, 0, 1, 1, 2, 2]
    assert rows["in_experiment"].all()


def test_force_makes_finished_runs_again(command: Command, small: Path, tmp_path: Path) -> None:
    words = ("sweep", small, "--jobs", 1, "--out", tmp_path / "out")
    command(*words)
    times = {run: (run / "run.json").stat().st_mtime_ns for run in (tmp_path / "out").glob("runs/*")}
    _, out, _ = command(*words, "--force")
    assert "4 runs made, 0 found finished, 0 failed" in out
    assert all((run / "run.json").stat().st_mtime_ns > time for run, time in times.items())


def test_a_dry_run_shows_the_runs_and_what_they_take_and_makes_none(
    command: Command, small: Path, tmp_path: Path
) -> None:
    command("sweep", small, "--jobs", 1, "--out", tmp_path / "out", "--only", "optimizer=agn", "--only", "seed=0")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    code, out, _ = command("sweep", small, "--jobs", 1, "--out", tmp_path / "out", "--dry-run")
    assert code == 0
    assert "4 runs, 1 of them in" in out
    assert re.search(r"^all: .*workers 4, .*work 130 steps, seeds 0,1$", " ".join(out.splitlines()[1:4]))
    assert re.search(r"│ agn +│ 1/2 +│\n│ easgd:alpha=0.05 +│ 0/2 +│", out)
    assert re.search(r"3 runs to make: about \d+ s on this machine, 1 at once, with \d threads? each; \d+\.\d GB", out)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    code, out, _ = command("sweep", small, "--jobs", 1, "--out", tmp_path / "new", "--dry-run")
    assert code == 0
    assert not (tmp_path / "new").exists()


@pytest.mark.kind("plans that are cut or too wide to be read")
@pytest.mark.parametrize(
    ("cells", "shown"),
    [
        ('optimizer = ["easgd:alpha=0.1", "easgd:alpha=0.2"]', ["easgd:alpha=0.1", "easgd:alpha=0.2"]),
        ('local_optimizer = "adam"\nlearning_rate = [0.001, 0.002]', ["learning rate", "0.002"]),
        (
            (
                'optimizer = ["local-sgd:backups=1", "ringmaster:threshold=2:stops=yes", "agn"]\nbatch_size = [8, 9]\n'
                'learning_rate = [0.1, 0.25]\ndelays = ["paper-cluster", "heterogeneous"]\nwindow = [1.5, 2.5]\n'
                'data_split = ["mixed", "dirichlet:concentration=0.5"]\nseconds = [6.5, 7.5]\nworkers = [2, 3]'
            ),
            ["heterogeneous", "ringmaster:threshold=2:stops=yes", "concentration 0.5", "0.25", "7.5 simulated s"],
        ),
        ("gradient_steps = [120, 240]", ["work", "120 steps", "240 steps"]),
        ("seconds = [6, 7]\nwindow = [1, 2]", ["6 simulated s", "window s", "2.0"]),
    ],
    ids=["numbers", "rates", "everything", "work", "time"],
)
def test_a_dry_run_shows_what_differs_whole_in_80_columns(
    command: Command, quick_dataset: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cells: str, shown: list[str]
) -> None:
    file = tmp_path / "some.toml"
    base = 'dataset = "tiny"\nmodel = "mlp-8"\nlocal_steps = 2\ngradient_steps = 120'
    file.write_text(f'name = "some"\nseeds = [4, 5, 6, 9]\n[base]\n{base}\n[[cells]]\n{cells}\n')
    monkeypatch.setattr(estimate, "estimate", lambda *_: estimate.Estimate(1.0, 1e9))
    monkeypatch.chdir(tmp_path)
    code, out, _ = command("sweep", "some.toml", "--dry-run", "--jobs", 1)
    assert code == 0
    *plan, _ = out.splitlines()
    assert max(map(len, plan)) <= 80
    assert all(text in out for text in shown)
    assert "seeds 4-6,9" in " ".join(plan) and out.count("mlp-8") == 1


def test_collect_alone_rebuilds_the_collected_files(command: Command, small: Path, tmp_path: Path) -> None:
    command("sweep", small, "--jobs", 1, "--out", tmp_path / "out")
    before = {path: path.read_bytes() for path in (tmp_path / "out").glob("*.*")}
    for path in before:
        if path.name != "experiment.json":
            path.unlink()
    code, _, _ = command("sweep", small, "--out", tmp_path / "out", "--collect")
    assert code == 0
    assert {path: path.read_bytes() for path in (tmp_path / "out").glob("*.*")} == before


def test_merge_joins_folders(command: Command, small: Path, tmp_path: Path) -> None:
    for seed in (0, 1):
        command("sweep", small, "--jobs", 1, "--out", tmp_path / f"{seed}", "--only", f"seed={seed}")
    command("sweep", small, "--jobs", 1, "--out", tmp_path / "whole")
    code, out, _ = command("merge", tmp_path / "0", tmp_path / "1", "--out", tmp_path / "both")
    assert code == 0
    assert "4 runs copied, 0 there already" in out
    command("sweep", small, "--jobs", 1, "--out", tmp_path / "both")
    same(tmp_path / "both", tmp_path / "whole")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--jobs", "0"], "--jobs 0: too small"),
        (["--jobs", "2", "--scheduler", "tcp://x:1"], "--jobs 2: given together with --scheduler"),
        (["--threads", "x"], "--threads x: not a whole number"),
        (["--only", "workers=7"], "--only workers=7: no run has it; accepted: workers of 4"),
        (["--seeds", "0"], "--seeds 0: too small"),
        (["--collect"], "no runs are there yet"),
        (["--device", "tpu"], "--device tpu: unknown"),
        (["--scheduler", "nowhere"], "--scheduler nowhere: no answer"),
    ],
)
def test_bad_options_are_refused_before_anything_is_written(
    command: Command, small: Path, tmp_path: Path, words: list[str], says: str
) -> None:
    code, out, err = command("sweep", small, "--out", tmp_path / "out", *words)
    assert (code, out) == (2, "")
    assert says in err
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_the_threads_of_a_folder_are_kept(command: Command, small: Path, tmp_path: Path) -> None:
    """What is set before JAX starts cannot change in this process, so the runs are another's here; for `run`, too."""
    words = ("sweep", small, "--jobs", 1, "--out", tmp_path / "out")
    command(*words)
    for run in (tmp_path / "out").glob("runs/*"):
        text = (run / "run.json").read_text()
        (run / "run.json").write_text(re.sub(r'"threads": \d+', '"threads": 7', text))
    for again in (words, ("run", *TINY, "--out", tmp_path / "out")):
        code, _, err = command(*again)
        assert code == 2
        assert "were made with 7, and all of a sweep have the same; accepted: 7, or another --out" in err


def test_runs_made_by_hand_count_if_they_are_the_same(command: Command, small: Path, tmp_path: Path) -> None:
    command("run", *TINY, "--optimizer", "easgd", "--out", tmp_path / "out")
    _, out, _ = command("sweep", small, "--jobs", 1, "--out", tmp_path / "out")
    assert "3 runs made, 1 found finished, 0 failed" in out
    rows = pd.read_csv(tmp_path / "out" / "summary.csv")
    assert rows["in_experiment"].all()
    assert sorted(rows["experiment"]) == ["adhoc", "small", "small", "small"]


def test_a_recorded_timeline_that_is_the_simulated_one_is_the_same_run(
    command: Command, small: Path, tmp_path: Path
) -> None:
    """Under the name of the run that recorded it, in the plan too."""
    command("run", *TINY, "--out", tmp_path / "first")
    (commits,) = (tmp_path / "first").glob("runs/*/commits.csv")
    cells = f'[[cells]]\ntimeline = "{commits}"\n'
    small.write_text(SMALL[: SMALL.index("[[cells]]")].replace("[0, 1]", "[0]").replace("workers = 4\n", "") + cells)
    code, _, _ = command("sweep", small, "--jobs", 1, "--out", tmp_path / "out")
    assert code == 0
    (row,) = pd.read_csv(tmp_path / "out" / "summary.csv").to_dict("records")
    assert row["in_experiment"]
    assert row["run_id"] == commits.parent.name
    _, out, _ = command("sweep", small, "--jobs", 1, "--out", tmp_path / "out", "--dry-run")
    assert "1 runs, 1 of them in" in out


def test_a_dry_run_counts_what_a_sweep_would_make(command: Command, small: Path, tmp_path: Path) -> None:
    """With the same options: again, for a center that is missing, and not in the place of what is damaged."""
    words = ("sweep", small, "--jobs", 1, "--out", tmp_path / "out", "--only", "seed=0")
    command(*words)
    for options, to_make in ((["--force"], 2), (["--save-center"], 2), ([], 0)):
        code, out, _ = command(*words, *options, "--dry-run")
        assert code == 0
        assert f"2 runs, {2 - to_make} of them in" in out
        assert (f"{to_make} runs to make" in out) == (to_make > 0)
    damaged = next((tmp_path / "out").glob("runs/agn-*"))
    (damaged / "curve.csv").write_text("")
    _, out, _ = command(*words, "--dry-run")
    assert "2 runs, 1 of them in" in out
    assert f"{damaged.name}: BadInput: --out {damaged}: curve.csv was changed" in out
    assert "runs to make" not in out
