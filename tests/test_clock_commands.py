"""The commands about the clock as their user sees them: timeline, calibrate, bench, reproduce, and run --timeline."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from agn_bench.cli.display import Terminal, show_survey
from agn_bench.clock import load_profile
from agn_bench.studies import calibration

Command = Callable[..., tuple[int, str, str]]

ROOT = Path(__file__).parent.parent
TINY = ("--dataset", "tiny", "--model", "mlp-8", "--workers", 4, "--local-steps", 3, "--gradient-steps", 130)


def refused(answer: tuple[int, str, str]) -> str:
    """The message of a refusal, having checked its manners."""
    code, out, err = answer
    assert (code, out) == (2, "")
    assert "Traceback" not in err
    assert 1 <= len(err.splitlines()) <= 2
    assert "accepted:" in err
    return err


# --- timeline ---


def test_one_cell_gives_figures_a_histogram_and_two_pictures(command: Command, tmp_path: Path) -> None:
    code, out, err = command("timeline", "--workers", 40, "--local-steps", 20, "--exchanges", 4000, "--out", tmp_path)
    assert (code, err) == (0, "")
    row = pd.read_csv(tmp_path / "timeline.csv").iloc[0]
    commits, staleness = pd.read_csv(tmp_path / "commits.csv"), pd.read_csv(tmp_path / "staleness.csv")
    assert row["exchanges"] == len(commits) == staleness["exchanges"].sum() == 4000
    assert row["mean_staleness"] == pytest.approx(commits["staleness"].mean(), rel=1e-12)
    assert row["mean_staleness"] == pytest.approx((staleness["staleness"] * staleness["exchanges"]).sum() / 4000)
    assert row["mean_queue_wait_s"] == pytest.approx((commits["served_s"] - commits["arrive_s"]).mean(), rel=1e-12)
    assert row["exchanges_per_s"] == pytest.approx(4000 / commits["applied_s"].max(), rel=1e-12)
    # The server is saturated: an exchange every 0.397 s but for the first phases.
    assert row["server_utilization"] == pytest.approx(4000 * 0.397 / commits["applied_s"].max(), rel=1e-9)
    assert f"{100 * row['server_utilization']:.0f} % of the time" in out
    assert "← n − 1" in out
    for name in ("staleness.png", "staleness.svg", "gantt.png", "gantt.svg"):
        assert str(tmp_path / "figures" / name) in out
        assert (tmp_path / "figures" / name).stat().st_size > 1000
    assert "n − 1 = 39" in (tmp_path / "figures" / "staleness.svg").read_text()
    gantt = (tmp_path / "figures" / "gantt.svg").read_text()
    assert all(f">{name}<" in gantt for name in ("compute", "network", "wait", "service"))
    provenance = json.loads((tmp_path / "provenance.json").read_text())["timeline"]
    assert provenance["command"] == "agn-bench timeline --workers 40 --local-steps 20 --exchanges 4000"
    assert str(tmp_path) not in json.dumps(provenance)


def test_several_cells_give_a_row_each_and_a_map(command: Command, tmp_path: Path) -> None:
    words = ("--workers", "5,40", "--local-steps", "1,30", "--exchanges", 4000, "--delays", "ideal")
    code, out, _ = command("timeline", *words, "--out", tmp_path)
    assert code == 0
    rows = pd.read_csv(tmp_path / "timeline.csv").set_index(["workers", "local_steps"])
    assert len(rows) == 4
    # Round robin: constant staleness n − 1, stable from λ = 3 and λ = 26 on.
    assert (rows["growth_rate"] > 0).to_dict() == {(5, 1): True, (5, 30): False, (40, 1): True, (40, 30): False}
    assert "AGN is unstable in stiff directions in 2 of 4 cells" in out
    drawn = (tmp_path / "figures" / "growth-rate.svg").read_text()
    assert all(text in drawn for text in ("growth rate of AGN", "gradient steps per simulated second", "workers n"))
    assert not (tmp_path / "commits.csv").exists()
    assert max(len(line) for line in out.splitlines() if line.startswith(("│", "┃"))) <= 80


@pytest.mark.usefixtures("sketched")
def test_a_timeline_can_be_read_and_looked_at(command: Command, tmp_path: Path) -> None:
    command("timeline", "--workers", 7, "--seed", 3, "--out", tmp_path / "a")
    code, _, err = command("timeline", "--timeline", tmp_path / "a" / "commits.csv", "--out", tmp_path / "b")
    assert (code, err) == (0, "")
    for name in ("commits.csv", "staleness.csv"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.mark.usefixtures("sketched")
def test_the_timeline_of_a_run_is_that_of_the_command_timeline(
    command: Command, quick_dataset: str, tmp_path: Path
) -> None:
    work = (*TINY, "--delays", "wide-area", "--seed", 2)
    assert command("run", *work, "--batch-size", 8, "--out", tmp_path / "run")[0] == 0
    assert command("timeline", *work, "--batch-size", 8, "--out", tmp_path / "timeline")[0] == 0
    (commits,) = (tmp_path / "run" / "runs").glob("*/commits.csv")
    assert commits.read_bytes() == (tmp_path / "timeline" / "commits.csv").read_bytes()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--exchanges", "0"], "--exchanges 0: too small"),
        (["--exchanges", "1e9"], "--exchanges 1e9: not a whole number"),
        (["--exchanges", "99999999999"], "--exchanges 99999999999: too large"),
        (["--workers", "10,x"], "--workers x: not a whole number"),
        (["--workers", "10,,20"], "--workers"),
        (["--workers", "9999999", "--exchanges", "10"], "--workers 9999999: too large"),
        (["--local-steps", "0"], "--local-steps 0: too small"),
        (["--gradient-steps", "900000000", "--batch-size", "1", "--local-steps", "1"], "--gradient-steps 900000000"),
        (["--delays", "nowhere"], "--delays nowhere: unknown"),
        (["--out", ""], "--out ''"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else "",
)
def test_what_timeline_cannot_do_is_refused(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert says in refused(command("timeline", *words))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("sketched")
def test_exchanges_and_a_recorded_timeline_exclude_each_other(command: Command, tmp_path: Path) -> None:
    command("timeline", "--workers", 3, "--out", tmp_path / "a")
    words = ("--timeline", tmp_path / "a" / "commits.csv", "--exchanges", 10)
    assert "given together with --exchanges" in refused(command("timeline", *words, "--out", tmp_path / "b"))
    assert not (tmp_path / "b").exists()


# --- run --timeline ---

LOG = "worker,applied_s\n" + "".join(f"{i % 3},{0.5 * (i + 1)}\n" for i in range(31))


def test_a_foreign_log_is_trained_on_and_named_by_its_content(
    command: Command, quick_dataset: str, tmp_path: Path
) -> None:
    """31 exchanges of 3 workers: worker 0 makes one more."""
    (tmp_path / "log.csv").write_text(LOG)
    words = ("--dataset", "tiny", "--model", "mlp-8", "--batch-size", 8, "--local-steps", 2)
    code, _, err = command("run", *words, "--timeline", tmp_path / "log.csv", "--out", tmp_path / "out")
    assert (code, err) == (0, "")
    row = pd.read_csv(tmp_path / "out" / "summary.csv").iloc[0]
    assert (row["workers"], row["exchanges"], row["gradient_steps"], row["sim_time_s"]) == (3, 31, 62, 15.5)
    assert row["delays"].startswith("log-")
    assert (
        "--timeline log.csv" in json.loads((tmp_path / "out" / "provenance.json").read_text())[row["run_id"]]["command"]
    )


def test_a_run_replayed_from_its_own_commits_is_that_run_byte_for_byte(
    command: Command, quick_dataset: str, tmp_path: Path
) -> None:
    work = (*TINY, "--batch-size", 8, "--delays", "stragglers", "--delay", "server.mean=0.3")
    assert command("run", *work, "--out", tmp_path / "one")[0] == 0
    (run,) = (tmp_path / "one" / "runs").iterdir()
    code, _, err = command("run", *work, "--timeline", run / "commits.csv", "--out", tmp_path / "two")
    assert (code, err) == (0, "")
    for name in ("curve.csv", "summary.csv", "commits.csv"):
        assert (tmp_path / "two" / "runs" / run.name / name).read_bytes() == (run / name).read_bytes()


def test_the_timeline_of_a_shipped_profile_is_recognised_without_its_name(
    command: Command, quick_dataset: str, tmp_path: Path
) -> None:
    work = (*TINY, "--batch-size", 8, "--seed", 1)
    command("run", *work, "--delays", "heterogeneous", "--out", tmp_path / "one")
    (run,) = (tmp_path / "one" / "runs").iterdir()
    command("run", *work, "--timeline", run / "commits.csv", "--out", tmp_path / "two")
    assert (tmp_path / "two" / "runs" / run.name / "curve.csv").read_bytes() == (run / "curve.csv").read_bytes()


@pytest.mark.parametrize(("width", "whole"), [(120, True), (80, False), (60, False), (25, False)])
def test_no_number_of_several_cells_is_broken(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, width: int, whole: bool
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    cell = {
        "delays": "d", "seed": 0, "versions": 7, "exchanges": 7, "mean_barrier_wait_s": 0.0, "workers": 1000,
        "gradient_steps_per_s": 1.234e-05, "exchanges_per_s": 1.234e-05, "mean_staleness": 999.3, "p95_staleness": 1000,
        "mean_queue_wait_s": 0.00856, "compute_share": 0.5, "server_utilization": 0.99, "growth_rate": -0.123,
    }  # fmt: skip
    show_survey(Terminal(), [{**cell, "local_steps": steps} for steps in (5, 10)], tmp_path)
    out = capsys.readouterr().out
    assert [out.count(text) for text in ("999.3", "-0.123")] == [2, 2]
    assert out.count("0.0085") == out.count("0.00856")
    assert out.count("1.234e-05") == (4 if whole else 2)
    assert ("in timeline.csv: exch./s" in " ".join(out.split())) == (not whole)


@pytest.mark.parametrize("verb", ["run", "timeline"])
def test_delays_that_contradict_the_timeline_are_refused(
    command: Command, quick_dataset: str, tmp_path: Path, verb: str
) -> None:
    (tmp_path / "log.csv").write_text(LOG)
    words = ("--dataset", "tiny", "--timeline", tmp_path / "log.csv", "--local-steps", 2, "--batch-size", 8)
    message = refused(command(verb, *words, "--delays", "ideal", "--out", tmp_path / "out"))
    assert "--delays ideal: not what --timeline log-" in message
    assert not (tmp_path / "out" / "timeline.csv").exists()
    assert not (tmp_path / "out" / "runs").exists()


# --- folders and threads ---


@pytest.mark.usefixtures("sketched")
def test_a_survey_replaces_the_one_before(command: Command, tmp_path: Path) -> None:
    command("timeline", "--workers", 4, "--out", tmp_path)
    assert (tmp_path / "commits.csv").exists()
    command("timeline", "--workers", "4,8", "--out", tmp_path)
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {"timeline.csv", "provenance.json", "figures/growth-rate.png", "figures/growth-rate.svg"}


@pytest.mark.parametrize("content", ["x", "[]", '{"a": '])
def test_a_folder_with_a_foreign_provenance_is_refused_before_anything_is_written(
    command: Command, tmp_path: Path, content: str
) -> None:
    (tmp_path / "provenance.json").write_text(content)
    assert "provenance.json cannot be read" in refused(command("timeline", "--workers", 4, "--out", tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["provenance.json"]


def test_a_file_in_the_place_of_the_figures_is_refused(command: Command, tmp_path: Path) -> None:
    (tmp_path / "figures").write_text("")
    assert "is not a folder" in refused(command("timeline", "--workers", 4, "--out", tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["figures"]


def test_the_threads_asked_for_are_those_of_the_timeline(tmp_path: Path) -> None:
    words = ["timeline", "--workers", "4", "--threads", "1", "--out", str(tmp_path)]
    subprocess.run([sys.executable, "-m", "agn_bench", *words], check=True, capture_output=True)
    assert json.loads((tmp_path / "provenance.json").read_text())["timeline"]["machine"]["threads"] == 1


@pytest.mark.usefixtures("sketched")
def test_a_timeline_too_short_to_tell_says_so(command: Command, tmp_path: Path) -> None:
    _, out, _ = command("timeline", "--workers", 300, "--exchanges", 7, "--out", tmp_path)
    assert "too short, while all workers are active, to tell whether AGN is stable" in out
    assert " nan" not in out


@pytest.mark.usefixtures("sketched")
def test_the_growth_rate_is_that_of_the_time_in_which_all_workers_are_active(command: Command, tmp_path: Path) -> None:
    """The fast one of two tiers is done long before the slow one, which alone would look stable."""
    words = ("--workers", 20, "--local-steps", 8, "--delays", "ideal", "--delay", "workers.speeds=tiers")
    tiers = ("--delay", "workers.factors=[1, 3]", "--delay", "workers.weights=[3, 1]")
    command("timeline", *words, *tiers, "--gradient-steps", 40_000, "--out", tmp_path / "work")
    command("timeline", *words, *tiers, "--exchanges", 10_000, "--out", tmp_path / "endless")
    work, endless = (pd.read_csv(tmp_path / name / "timeline.csv")["growth_rate"][0] for name in ("work", "endless"))
    assert work == pytest.approx(endless, abs=0.02)


# --- calibrate ---

TRUE = {"step": 0.2, "up": 0.1, "down": 0.1, "server": 0.05}


def measured_times(path: Path) -> Path:
    """Training times of a deterministic cluster, by hand: unsaturated, a worker's phases one after the other;
    saturated, the server's services one after the other and the first message's way.
    """
    rows = ["workers,local_steps,seconds,again"]
    for workers, local_steps in [(1, 1), (1, 10), (2, 5), (2, 20), (20, 1), (40, 1), (40, 2), (8, 4)]:
        phases = 2000 // workers // local_steps
        cycle = TRUE["step"] * local_steps + TRUE["up"] + TRUE["down"] + TRUE["server"]
        way = TRUE["step"] * local_steps + TRUE["up"]
        first_round = way + workers * TRUE["server"] + TRUE["down"]
        total = first_round + (phases - 1) * max(cycle, workers * TRUE["server"])
        rows.append(f"{workers},{local_steps},{total!r},{total!r}")
    path.write_text("\n".join(rows) + "\n")
    return path


def test_calibrate_finds_the_profile_that_made_the_times(command: Command, tmp_path: Path) -> None:
    """Constant delays, whose times have a closed form: 3 digits are kept, and the times bind step and server; of the
    network's share of a cycle they tell less."""
    times = measured_times(tmp_path / "times.csv")
    code, out, err = command(
        "calibrate", times, "--delays", "ideal", "--gradient-steps", 2000, "--held-out", "again", "--seeds", 1,
        "--resamples", 20, "--out", tmp_path / "fit",
    )  # fmt: skip
    assert (code, err) == (0, "")
    fitted = load_profile(str(tmp_path / "fit" / "profile.toml"))
    for part, tolerance in (("step", 0.01), ("server", 0.01), ("up", 0.05)):
        assert getattr(fitted, part).moments().mean == pytest.approx(TRUE[part], rel=tolerance)
    errors = pd.read_csv(tmp_path / "fit" / "errors.csv").set_index("column")
    assert list(errors["role"]) == ["fitted", "held out"]
    assert (errors["mean_absolute_error"] < 0.005).all()
    cells = pd.read_csv(tmp_path / "fit" / "cells.csv")
    assert len(cells) == 16
    np.testing.assert_allclose(cells["error"], cells["simulated_s"] / cells["measured_s"] - 1, atol=1e-12)
    assert (tmp_path / "fit" / "figures" / "measured-against-simulated.svg").exists()
    assert "simulated against measured seconds" in out
    numbers = pd.read_csv(tmp_path / "fit" / "numbers.csv").set_index("number")
    assert list(numbers.index) == ["step.mean", "server.mean", "network.mean"]
    assert numbers["value"].to_dict() == {
        "step.mean": fitted.step.moments().mean,
        "server.mean": fitted.server.moments().mean,
        "network.mean": fitted.up.moments().mean,
    }
    assert (numbers[["error_at_half", "error_at_twice"]] > 1.1 * errors["mean_absolute_error"].iloc[0]).all(axis=None)
    for name, bound in numbers["bound"].items():
        said = "The times bind it" if bound else "The times do not bind it"
        assert re.search(rf"{name}, [^.]*: 0\.\d+\. {said}", out)


def test_without_resamples_there_are_no_intervals(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor are those of an earlier fit left; and too few to tell intervals from are refused."""
    monkeypatch.setattr(calibration, "_PRECISION", 0.3)
    times = measured_times(tmp_path / "times.csv")
    (tmp_path / "fit").mkdir()
    (tmp_path / "fit" / "numbers.csv").write_text("number\n")
    words = ("calibrate", times, "--delays", "ideal", "--gradient-steps", 2000, "--seeds", 1, "--out", tmp_path / "fit")
    code, out, err = command(*words, "--resamples", 0)
    assert (code, err) == (0, "")
    assert not (tmp_path / "fit" / "numbers.csv").exists()
    assert "bind" not in out
    assert "accepted: 0, or from 20 to 1000" in refused(command(*words, "--resamples", 19))


@pytest.mark.usefixtures("sketched")
def test_a_fit_that_is_interrupted_leaves_nothing(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(calibration, "_PRECISION", 0.3)
    monkeypatch.setattr("agn_bench.studies.confidence._weighted", stop)
    times = measured_times(tmp_path / "times.csv")
    words = ("--delays", "ideal", "--gradient-steps", 2000, "--seeds", 1)
    code, _, _ = command("calibrate", times, *words, "--out", tmp_path / "fit")
    assert code == 130
    assert not list((tmp_path / "fit").glob("*"))


@pytest.mark.parametrize(
    ("content", "words", "says"),
    [
        ("workers,local_steps,seconds\n", [], "has no rows"),
        ("", [], "not CSV"),
        ("workers,seconds\n1,2\n", [], "has no column local_steps"),
        ("workers,local_steps,seconds\n1,1,5\n", ["--held-out", "other"], "has no column other"),
        ("workers,local_steps,seconds\n1,1,5\n0,1,5\n", [], "line 3, workers = 0: too small"),
        ("workers,local_steps,seconds\n1,1,5\n10,20,5\n", ["--gradient-steps", "100"], "line 3, local_steps = 20"),
        ("workers,local_steps,seconds\n1,1,-5\n", [], "line 2, seconds = -5: negative"),
        ("workers,local_steps,seconds\n1,1,nan\n", [], "line 2, seconds = nan: not a number"),
        ("workers,local_steps,seconds\n1,1,\n", [], "line 2, seconds = nothing: not a number"),
        ("workers,local_steps,seconds\n1,x,1\n", [], "line 2, local_steps = x: not a whole number"),
        (
            "workers,local_steps,seconds\n\n1,1,5\n",
            ["--gradient-steps", "99999999"],
            "line 3: 99999999 exchanges are too",
        ),
        ("workers,local_steps,seconds\n1,1,5\n", ["--seeds", "0"], "--seeds 0"),
        ("workers,local_steps,seconds\n1,1,5\n", ["--gradient-steps", "x"], "--gradient-steps x"),
        ("workers,local_steps,seconds\n1,1,5\n", ["--delay", "step.distribution=pareto"], "step"),
        (None, [], "there is no such file"),
    ],
)
def test_what_calibrate_cannot_read_is_refused(
    command: Command, tmp_path: Path, content: str | None, words: list[str], says: str
) -> None:
    times = tmp_path / "times.csv"
    if content is not None:
        times.write_text(content)
    assert says in refused(command("calibrate", times, *words, "--out", tmp_path / "fit"))
    assert not (tmp_path / "fit").exists()


def test_fewer_runs_than_numbers_are_refused(command: Command, tmp_path: Path) -> None:
    (tmp_path / "times.csv").write_text("workers,local_steps,seconds\n1,1,100\n2,1,60\n4,1,40\n")
    message = refused(command("calibrate", tmp_path / "times.csv", "--gradient-steps", 100, "--out", tmp_path / "fit"))
    assert "3 training runs cannot tell 4 numbers" in message
    assert "--held-out seconds" in refused(
        command("calibrate", measured_times(tmp_path / "times.csv"), "--held-out", "seconds", "--out", tmp_path / "fit")
    )
    assert not (tmp_path / "fit").exists()


@pytest.mark.usefixtures("sketched")
def test_the_fitted_profile_can_be_read_again_whatever_its_shape(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A floor that the times would push the mean below: the fit stays above it, however coarse it is."""
    monkeypatch.setattr(calibration, "_PRECISION", 0.3)
    times = measured_times(tmp_path / "t😀.csv")
    shape = (
        "--delay",
        "step.distribution=shifted-exponential",
        "--delay",
        "step.floor=0.3",
        "--delay",
        "step.mean=0.5",
    )
    code, _, err = command(
        "calibrate", times, *shape, "--gradient-steps", 2000, "--seeds", 1, "--resamples", 0, "--out", tmp_path / "fit"
    )
    assert (code, err) == (0, "")
    fitted = load_profile(str(tmp_path / "fit" / "profile.toml"))
    assert fitted.step.moments().mean >= 0.3
    assert "t😀.csv" in fitted.source


def test_a_profile_without_a_mean_cannot_be_fitted(command: Command, tmp_path: Path) -> None:
    times = measured_times(tmp_path / "times.csv")
    profile = tmp_path / "heavy.toml"
    profile.write_text('[step]\ndistribution = "pareto"\nfloor = 1\nshape = 2\ncap = 9\n')
    message = refused(command("calibrate", times, "--delays", profile, "--out", tmp_path / "fit"))
    assert "step has no mean to fit" in message
    assert not (tmp_path / "fit").exists()


# --- bench, reproduce ---


def test_bench_timeline_compares_with_a_heapq_loop(command: Command, tmp_path: Path) -> None:
    words = ("--exchanges", 20_000, "--repetitions", 1, "--out", tmp_path)
    code, out, err = command("bench", "timeline", *words)
    assert (code, err) == (0, "")
    rows = pd.read_csv(tmp_path / "timeline.csv")
    assert set(rows["workers"]) == {1, 40, 400, 10_000}
    assert rows["same_order"].all()
    assert (rows["exchanges"] == 20_000).all()
    made = rows["exchanges"] / (rows["draw_s"] + rows["simulate_s"])
    np.testing.assert_allclose(rows["exchanges_per_s"], made, rtol=1e-9)
    assert "same order" in out


@pytest.mark.usefixtures("sketched")
def test_the_stability_map_is_that_of_the_published_grid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from agn_bench.paper import stability

    monkeypatch.setattr(stability, "ROUNDS", 40)
    monkeypatch.setattr(stability, "SEEDS", 2)
    monkeypatch.setattr(stability, "FIFO_SHARES", (0.0, 1.0))
    steps: list[str] = []
    told, pictures = stability.stability_map(load_profile("paper-cluster"), tmp_path, steps.append)
    cells = pd.read_csv(tmp_path / "tables" / "stability-map.csv")
    assert len(cells) == 49
    assert len(steps) == 49 * 2 * 3
    assert told == {order: int(cells[f"told_right_{order}"].sum()) for order in ("random", "fifo")}
    for order in told:
        matrix = pd.read_csv(tmp_path / "tables" / f"growth-rate-{order}.csv").set_index("workers")
        assert matrix.shape == (7, 7)
        cell = cells.set_index(["workers", "local_steps"]).loc[(35, 20)]
        assert matrix.loc[35, "20"] == cell[f"growth_rate_{order}"]
    shares = pd.read_csv(tmp_path / "tables" / "fifo-share.csv").set_index("fifo_share")
    assert shares.loc[0.0, "told_right"] == told["random"]
    assert shares.loc[1.0, "told_right"] == told["fifo"]
    assert all(picture.exists() for picture in pictures)


# --- what is committed ---


def test_the_shipped_cluster_is_the_committed_fit_and_it_is_good_enough() -> None:
    shipped, fitted = (
        load_profile(name).as_dict() for name in ("paper-cluster", str(ROOT / "results/paper-cluster/profile.toml"))
    )
    assert {**shipped, "name": ""} == {**fitted, "name": ""}
    errors = pd.read_csv(ROOT / "results/paper-cluster/errors.csv").set_index("column")["mean_absolute_error"]
    assert errors["agn_time_s"] <= 0.06
    assert errors["easgd_time_s"] <= 0.095
    cells = pd.read_csv(ROOT / "results/paper-cluster/cells.csv")
    published = pd.read_csv(ROOT / "agn_bench/paper/published/grid.csv")
    for column in ("agn_time_s", "easgd_time_s"):
        rows = cells[cells["column"] == column]
        assert list(rows["measured_s"]) == list(published[column])
        error = (rows["simulated_s"] / rows["measured_s"] - 1).abs().mean()
        assert error == pytest.approx(errors[column], rel=1e-12)


def test_the_committed_cells_are_what_the_shipped_cluster_gives() -> None:
    """A sample of them, simulated anew."""
    from agn_bench.clock import draw_delays
    from agn_bench.clock.events import simulate_timeline

    cells = pd.read_csv(ROOT / "results/paper-cluster/cells.csv")
    for row in cells.iloc[::9].to_dict("records"):
        n, steps = row["workers"], row["local_steps"]
        ends = [
            simulate_timeline(draw_delays(load_profile("paper-cluster"), s, n, 18_750 // n // steps, steps)).end_s
            for s in range(3)
        ]
        assert np.mean(ends) == pytest.approx(row["simulated_s"], rel=1e-12)


def test_the_committed_stability_map_tells_47_cells_right() -> None:
    cells = pd.read_csv(ROOT / "results/paper-cluster/tables/stability-map.csv")
    published = pd.read_csv(ROOT / "agn_bench/paper/published/grid.csv")
    assert list(cells["test_accuracy_percent"]) == list(published["agn_val_acc"])
    weak = (published["agn_val_acc"] < 98.3) & (published["local_steps"] <= 30)
    assert ((cells["growth_rate_random"] > 0) == weak).sum() >= 47
    assert ((cells["growth_rate_fifo"] > 0) == weak).sum() < 47
