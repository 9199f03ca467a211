"""Sweeps as their users see them: killed, started twice, with cells that fail, on a full disk, and seen beforehand."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from conftest import Figure
from test_cli import TINY, agn_bench

from agn_bench import files, sweep
from agn_bench import folder as folders
from agn_bench.experiment import read_experiment_file

Command = Callable[..., tuple[int, str, str]]

FAST = """
name = "fast"
seeds = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]
[base]
model = "mlp-8"
batch_size = 8
local_steps = 2
gradient_steps = 800
[[cells]]
optimizer = ["agn", "easgd"]
workers = [10, 20]
"""
RUNS = 64
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


@pytest.fixture(scope="module")
def fast(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A fast experiment, and the folder of an uninterrupted sweep of it."""
    folder = tmp_path_factory.mktemp("fast")
    file, whole = folder / "fast.toml", folder / "whole"
    file.write_text(FAST)
    process = agn_bench("sweep", file, "--out", whole)
    out, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (0, "")
    assert f"{RUNS} runs made, 0 found finished, 0 failed" in out
    return file, whole


@pytest.fixture
def small(quick_dataset: str, tmp_path: Path) -> Path:
    """An experiment of milliseconds, for sweeps in this process."""
    file = tmp_path / "small.toml"
    file.write_text(SMALL)
    return file


def same(one: Path, other: Path) -> None:
    """Both folders have the same runs and the same bytes in them."""
    for name in ("summary.csv", "curves.csv", "experiment.json"):
        assert (one / name).read_bytes() == (other / name).read_bytes(), name
    assert sorted(run.name for run in one.glob("runs/*")) == sorted(run.name for run in other.glob("runs/*"))
    for run in one.glob("runs/*"):
        assert folders.damage(run) == ""
        for name in CSV_FILES:
            assert (run / name).read_bytes() == (other / "runs" / run.name / name).read_bytes()


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


def ends(process: subprocess.Popen[str], seconds: float = 10.0) -> bool:
    """Whether all of a session's processes end in time."""
    deadline = time.monotonic() + seconds
    while session_of(process) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not session_of(process)


def test_killed_twenty_times_it_ends_with_the_same_bytes(
    fast: tuple[Path, Path], tmp_path: Path, figure: Figure
) -> None:
    """At random moments from the start of the program to beyond its first runs, with one process and with two."""
    file, whole = fast
    moments = random.Random(20)
    finished = []
    for kill in range(20):
        words = ("sweep", file, "--out", tmp_path / "killed", "--jobs", 1 + kill % 2)
        process = agn_bench(*words, start_new_session=True)
        if kill % 4 == 0:
            time.sleep(moments.uniform(0.1, 2.0))
        else:  # while it makes runs, of which one takes some hundred milliseconds
            assert process.stdout is not None
            for line in process.stdout:
                if "] " in line:
                    break
            time.sleep(moments.uniform(0.0, 0.2))
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        assert ends(process), "orphans"
        finished.append(len([run for run in (tmp_path / "killed").glob("runs/[!.]*") if not folders.damage(run)]))
        for collected in (tmp_path / "killed").glob("[!.]*.csv"):
            pd.read_csv(collected)
    assert finished == sorted(finished)  # none was lost
    assert len(set(finished)) > 10  # it was killed in the midst of it
    assert finished[-1] < RUNS
    process = agn_bench("sweep", file, "--out", tmp_path / "killed")
    out, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (0, "")
    assert f"{RUNS - finished[-1]} runs made, {finished[-1]} found finished, 0 failed" in out
    same(tmp_path / "killed", whole)
    assert not list((tmp_path / "killed").rglob(".*"))
    what = "a sweep and all its processes, SIGKILL at random moments"
    figure("kills", what=what, kills=len(finished), runs=RUNS, lost=0, damaged=0, same_bytes=True)


def test_two_sweeps_at_once_share_the_runs(fast: tuple[Path, Path], tmp_path: Path) -> None:
    file, whole = fast
    both = [agn_bench("sweep", file, "--out", tmp_path / "shared", "--jobs", 1) for _ in range(2)]
    said = [process.communicate(timeout=120) for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    made, found = zip(
        *(map(int, re.findall(r"(\d+) runs made, (\d+) found finished, 0 failed", out)[0]) for out, _ in said),
        strict=True,
    )
    assert sum(made) == RUNS  # none was made twice
    assert [a + b for a, b in zip(made, found, strict=True)] == [RUNS, RUNS]
    assert min(made) > 0
    same(tmp_path / "shared", whole)
    assert not list((tmp_path / "shared").rglob(".*"))


def test_a_sweep_takes_over_what_another_leaves_when_it_dies(fast: tuple[Path, Path], tmp_path: Path) -> None:
    """The other holds a claim for as long as it lives."""
    file, whole = fast
    config = read_experiment_file(file).configs[3]
    script = """
import sys, time
from pathlib import Path
from agn_bench.folder import claim
held = claim(Path(sys.argv[1]))
print(held.run.name, flush=True)
time.sleep(600)
"""
    run = folders.run_folder(tmp_path / "shared", config)
    holder = subprocess.Popen([sys.executable, "-c", script, str(run)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline().strip() == config.run_id
    process = agn_bench("sweep", file, "--out", tmp_path / "shared")
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if "waiting for 1 that another process makes" in line:
            assert len(list((tmp_path / "shared").glob("runs/[!.]*"))) == RUNS - 1
            holder.kill()
    process.communicate(timeout=60)
    assert process.returncode == 0
    holder.communicate()
    assert f"{RUNS} runs made, 0 found finished, 0 failed\n" in lines
    same(tmp_path / "shared", whole)


def test_collecting_while_a_sweep_is_running_gives_whole_files(fast: tuple[Path, Path], tmp_path: Path) -> None:
    file, whole = fast
    process = agn_bench("sweep", file, "--out", tmp_path / "live")
    rows = []
    while process.poll() is None:
        if (tmp_path / "live" / "runs").is_dir():
            folders.collect(tmp_path / "live")
        if (tmp_path / "live" / "summary.csv").is_file():
            summary, curves = (pd.read_csv(tmp_path / "live" / name) for name in ("summary.csv", "curves.csv"))
            rows.append(len(summary))
            assert set(summary["run_id"]) <= set(curves["run_id"])
        time.sleep(0.2)
    process.communicate()
    assert rows == sorted(rows)
    assert len(set(rows)) > 2
    same(tmp_path / "live", whole)


def test_interrupting_a_sweep_exits_130_and_the_next_call_goes_on(fast: tuple[Path, Path], tmp_path: Path) -> None:
    file, whole = fast
    process = agn_bench("sweep", file, "--out", tmp_path / "mine", start_new_session=True)
    assert process.stdout is not None
    process.stdout.readline()
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: all of its processes
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.splitlines() == [
        "agn-bench: interrupting … (once more to stop at once)",
        "agn-bench: interrupted; what was finished is kept",
    ]
    assert ends(process)
    kept = len(list((tmp_path / "mine").glob("runs/*")))
    assert 0 < kept < RUNS
    assert len(pd.read_csv(tmp_path / "mine" / "summary.csv")) == kept
    process = agn_bench("sweep", file, "--out", tmp_path / "mine")
    out, _ = process.communicate(timeout=60)
    assert f"{RUNS - kept} runs made, {kept} found finished" in out
    same(tmp_path / "mine", whole)


@pytest.mark.parametrize("seconds", [0.6, 1.0, 1.4, 1.8])
def test_interrupting_while_its_processes_start_says_nothing_more(
    fast: tuple[Path, Path], tmp_path: Path, seconds: float
) -> None:
    process = agn_bench("sweep", fast[0], "--out", tmp_path / "mine", start_new_session=True)
    time.sleep(seconds)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode in (130, -signal.SIGINT)
    assert ends(process)
    if "interrupting" in err:  # else Python itself was still starting
        assert len(err.splitlines()) == 2


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
    from agn_bench import simulate

    def raising(config: object, *_: object) -> None:
        raise ZeroDivisionError("of nothing")

    monkeypatch.setattr(simulate, "_method", raising)
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
    assert re.search(r"agn .* 130 .* 0,1 .* 1/2", out)
    assert re.search(r"3 runs to make: about \d+ s on this machine, 1 at once, with \d threads? each; \d+\.\d GB", out)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    code, out, _ = command("sweep", small, "--jobs", 1, "--out", tmp_path / "new", "--dry-run")
    assert code == 0
    assert not (tmp_path / "new").exists()


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
