"""What is said of a run without having been asked: work that is not trained, and a clock that waits for a few."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from agn_bench import RunConfig, run
from agn_bench.clock.timeline import Timeline
from agn_bench.training.remarks import of_plan, of_timeline

Command = Callable[..., tuple[int, str, str]]

TINY: dict[str, Any] = {"dataset": "tiny", "model": "mlp-8", "batch_size": 8}
WORDS = ["--dataset", "tiny", "--model", "mlp-8", "--batch-size", 8]
STRAGGLER = ["--delays", "ideal", "--delay", "workers.speeds=stragglers:fraction=0.1:factor=5"]


@pytest.mark.kind("work that is dropped in silence")
@pytest.mark.parametrize(
    ("options", "trained"),
    [
        (
            {"workers": 40, "local_steps": 26, "gradient_steps": 2000},
            1040,
        ),  # the one that was found: a share of 50 holds one phase of 26
        ({"workers": 40, "local_steps": 26, "gradient_steps": 2000, "optimizer": "easgd"}, 1040),
        ({"workers": 7, "local_steps": 10, "gradient_steps": 1000}, 980),
        ({"workers": 3, "local_steps": 4, "gradient_steps": 21, "shares": "open"}, 20),
        ({"workers": 2, "local_steps": 6, "epochs": 0.7}, 24),  # of 26
    ],
    ids=["agn", "easgd", "whole phases left over", "open shares", "epochs"],
)
def test_work_that_whole_phases_leave_out_is_told(quick_dataset: str, options: dict[str, Any], trained: int) -> None:
    config = RunConfig.of(**{**TINY, **options})
    result = run(config)
    asked = config.gradient_steps
    assert asked is not None
    assert result.gradient_steps == trained
    (said,) = [remark for remark in result.remarks if "are trained" in remark]
    assert said.startswith(f"{result.gradient_steps} of {asked} gradient steps are trained")
    # What it advises trains all that is asked for.
    more = int(said.partition("gradient_steps=")[2].split()[0])
    anew = RunConfig.of(**{**TINY, **options, "epochs": None, "gradient_steps": more})
    assert (of_plan(anew), run(anew).gradient_steps) == ([], more)


def test_less_than_a_hundredth_of_the_work_is_not_told(quick_dataset: str) -> None:
    assert of_plan(RunConfig.of(**TINY, workers=10, local_steps=9, gradient_steps=1001))  # 990 are trained
    assert not of_plan(RunConfig.of(**TINY, workers=10, local_steps=9, gradient_steps=1000))


def test_commands_say_what_is_not_trained(command: Command, quick_dataset: str, tmp_path: Path, sketched: None) -> None:
    work = [*WORDS, "--workers", 4, "--local-steps", 10, "--gradient-steps", 100]
    said = "80 of 100 gradient steps are trained, since workers make whole phases of 10 steps"
    for words in (["run", *work], ["run", *work], ["timeline", *work]):  # the second finds the run that was made
        code, out, _ = command(*words, "--out", tmp_path / words[0])
        assert (code, out.count(said)) == (0, 1)
        assert "--gradient-steps 120 are whole phases; with --shares open 100 steps are trained." in out
    file = tmp_path / "some.toml"
    file.write_text(
        'name = "some"\n[base]\ndataset = "tiny"\nmodel = "mlp-8"\nbatch_size = 8\nworkers = 4\n'
        "[[cells]]\nlocal_steps = [5, 10]\ngradient_steps = 100\n"
    )
    code, out, _ = command("sweep", file, "--dry-run", "--out", tmp_path / "some")
    assert code == 0
    assert f"agn, 4 workers, 10 local steps: {said}" in out
    assert out.count("are trained, since") == 1


def test_work_that_rules_or_time_leave_out_is_told(quick_dataset: str) -> None:
    interrupting = run(
        RunConfig.of(
            **TINY, optimizer="ringmaster:threshold=1:stops=yes", workers=4, local_steps=5, gradient_steps=400,
            shares="equal", delays="stragglers",
        )
    )  # fmt: skip
    told = [remark for remark in interrupting.remarks if "were trained" in remark]
    assert told == [] or f"{interrupting.gradient_steps} of the planned 400" in told[0]
    assert (len(interrupting.timeline.interrupted) > 0) == bool(told)
    ended = run(RunConfig.of(**TINY, workers=4, local_steps=5, gradient_steps=400, seconds=4))
    assert any(remark.endswith("since seconds=4 ended the run.") for remark in ended.remarks)


def stragglers(workers: int, each: int, slowness: float) -> Timeline:
    """Workers that exchange every second, the last of them more slowly, with nothing but their steps to wait for."""
    ends = np.arange(1, each + 1, dtype=float)
    worker = np.repeat(np.arange(workers, dtype=np.int32), each)
    applied = np.concatenate([*(ends for _ in range(workers - 1)), slowness * ends])
    order = np.lexsort((worker, applied))
    worker, applied = worker[order], applied[order]
    start = applied - np.where(worker == workers - 1, slowness, 1.0)
    return Timeline.asynchronous(workers, 1, worker, (start, applied, applied, applied, applied, applied))


@pytest.mark.kind("a straggler alone on the clock")
@pytest.mark.parametrize("slowness", [1.0, 1.3, 1.4, 1.6, 4.4])
@pytest.mark.parametrize("workers", [8, 20])
def test_a_last_tenth_that_takes_a_third_of_the_time_is_told(workers: int, slowness: float) -> None:
    timeline = stragglers(workers, 100, slowness)
    applied = np.sort(timeline.applied_s)
    ninth = applied[round(0.9 * len(applied)) - 1]  # nine tenths of the work are done
    share = (applied[-1] - ninth) / applied[-1]
    said = of_timeline(timeline)
    assert bool(said) == (share > 1 / 3)
    if said:
        assert f"takes {100 * share:.0f} % of the simulated time" in said[0]
        assert f"`seconds={ninth:.4g}`" in said[0]
        alone = slowness > 1.5  # the others are through before the last third of the time
        assert f"1 of {workers} workers is at work" in said[0] or not alone


def test_run_and_timeline_tell_of_a_straggler(
    command: Command, quick_dataset: str, tmp_path: Path, sketched: None
) -> None:
    work = [*WORDS, "--workers", 8, "--local-steps", 5, "--gradient-steps", 800, *STRAGGLER]
    for name in ("run", "timeline"):
        code, out, _ = command(name, *work, "--out", tmp_path / name)
        assert code == 0
        assert "1 of 8 workers is at work. --seconds " in out and "--shares open" in out
        # Where time ends the run, nobody is alone.
        code, out, _ = command(name, *WORDS, "--workers", 8, "--seconds", 20, *STRAGGLER, "--out", tmp_path / "timed")
        assert (code, "the last tenth" in out) == (0, False)
    table = pd.read_csv(next((tmp_path / "run" / "runs").iterdir()) / "commits.csv")
    assert (table.worker.iloc[-len(table) // 10 :] == 7).all()


def test_a_recorded_straggler_is_told_without_shares(command: Command, tmp_path: Path, sketched: None) -> None:
    log = tmp_path / "log.csv"
    log.write_text("worker,applied_s\n" + "".join(f"{i % 2},{i}\n" for i in range(1, 19)) + "0,19\n1,60\n")
    code, out, _ = command("timeline", "--timeline", log, "--local-steps", 2, "--out", tmp_path / "out")
    assert (code, "--seconds 18 ends the run there." in out, "--shares" in out) == (0, True, False)
