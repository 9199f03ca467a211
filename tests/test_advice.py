"""advise: the rule for λ and for n, the order of exchanges without JAX, and what the command says."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from agn_bench.analysis import metrics
from agn_bench.base.inputs import BadInput
from agn_bench.clock import load_profile, profile_names
from agn_bench.clock.endless import active_timeline, active_timelines
from agn_bench.clock.orders import order_of_exchanges
from agn_bench.clock.stability import (
    Stable,
    bound,
    growth_rate,
    least_local_steps,
    mean_growth_rate,
    rounds_in,
    stable_at_constant_staleness,
    stable_local_steps,
    stable_local_steps_of,
)
from agn_bench.config.run import RunConfig
from agn_bench.studies.advice import advise
from agn_bench.studies.pairs import by_workers, several
from agn_bench.training.timing import timeline_of

SIZE = 4 * 4_797_010


@pytest.mark.parametrize("name", profile_names())
@pytest.mark.parametrize("settings", [[], ["server.order=random"], ["server.order=fifo"]])
def test_the_order_of_exchanges_is_the_clocks(name: str, settings: list[str]) -> None:
    table = load_profile(name, []).as_dict()["server"]
    whole = [f"server.{key}={value}" for key, value in table.items() if key != "order"]
    profile = load_profile(name, [*whole, *settings] if settings else [])
    for workers in (1, 7):
        expected = active_timeline(profile, 2, workers, 3, 10_000, 150)
        np.testing.assert_array_equal(order_of_exchanges(profile, 2, workers, 3, 10_000, 150), expected.worker)


@pytest.mark.parametrize("least", [1, 2, 12, 13, 14, 40])
def test_the_rule_finds_the_least_of_a_falling_rate(least: int) -> None:
    found = least_local_steps(lambda steps: 0.05 - 0.15 * (steps >= least) - 1e-3 * steps, 20)
    assert found == Stable(least, pytest.approx(-0.1 - 1e-3 * least))


def test_where_no_rate_is_low_enough_it_takes_the_lowest_tried() -> None:
    """13, 20, 30, 45, 68 and so on, up to 16 n."""
    assert least_local_steps(lambda steps: abs(steps - 43) / 100, 20).local_steps == 45


def test_the_bound_is_higher_for_short_runs_alone() -> None:
    assert bound() == bound(1e9) == bound(34) == -0.1
    assert bound(10) == pytest.approx(0.25)
    assert bound(20) == pytest.approx(0)
    assert bound(0) == math.inf


def test_rounds_are_those_that_a_run_makes() -> None:
    """Also where workers start one by one, or the server is full."""
    for name, workers, steps in (("stragglers", 16, 8), ("wide-area", 32, 16), ("paper-cluster", 40, 5)):
        config = RunConfig.of(delays=name, workers=workers, local_steps=steps, seconds=150, model="mlp-small")
        made = timeline_of(config).exchanges / workers
        expected = rounds_in(config.delays, workers, steps, config.message_bytes, 150)  # type: ignore[arg-type]
        assert made == pytest.approx(expected, rel=0.12)


def test_of_the_papers_grid_it_takes_the_seven_best() -> None:
    """By the area of the training accuracy until the first run of a row ends, from the committed runs of all seeds."""
    grid = range(10, 41, 5)
    cells = by_workers({"workers": "10..40..5", "model": "mlp-paper", "delays": "paper-cluster"})[0]
    picked = {row["workers"]: row["local_steps"] for row in advise(cells, [*grid]).rows}
    assert picked == best_of_the_papers_grid()


def best_of_the_papers_grid() -> dict[int, int]:
    folder = Path(__file__).parent.parent / "results" / "paper"
    runs = pd.read_csv(folder / "summary.csv", low_memory=False)
    whole = (runs["optimizer"] == "agn") & (runs["delays"] == "paper-cluster") & (runs["gradient_steps"] > 15_000)
    runs = runs[whole].set_index("run_id")
    curves = pd.read_csv(folder / "curves.csv.gz", usecols=["run_id", "time_s", "train_accuracy"])
    curves = curves[curves["run_id"].isin(runs.index)].dropna()
    ends_s = runs.groupby("workers")["sim_time_s"].transform("min")
    areas = {
        name: metrics.area((points["time_s"].to_numpy(), points["train_accuracy"].to_numpy()), ends_s[name])
        for name, points in curves.groupby("run_id")
    }
    cells = runs.assign(area=areas).groupby(["workers", "local_steps"])["area"].mean().unstack()
    return {int(n): int(best) for n, best in cells.idxmax(axis=1).items()}


def test_it_says_from_where_on_the_server_is_full() -> None:
    """With 10 local steps a worker comes every 4.29 + 0.416 + 0.397 s on average, and each costs the server 0.397 s."""
    cells, steps, _ = by_workers({"workers": "10,31", "local_steps": "10", "model": "mlp-paper"})
    few, many = advise(cells, steps).rows
    assert few["saturating_workers"] == many["saturating_workers"] == math.ceil((4.29 + 0.416 + 0.397) / 0.397)
    assert few["server_utilization"] < 0.9 < 0.99 < many["server_utilization"]


def test_more_workers_than_are_worth_having_are_not_recommended() -> None:
    """With 10 local steps the server makes 2.5 exchanges a second, whoever asks."""
    cells, steps, _ = by_workers({"workers": "10,15,20,40", "local_steps": "10", "model": "mlp-paper"})
    advice = advise(cells, steps)
    assert advice.recommended["workers"] == 15
    assert "more workers add less than half" in advice.reason
    assert advise(cells[:1], steps).recommended["workers"] == 10


def test_short_runs_take_fewer_steps() -> None:
    (cell,), _, _ = by_workers({"workers": "32", "delays": "stragglers"})
    long, short = (advise([cell], (), seconds).recommended["local_steps"] for seconds in (math.inf, 100))
    assert short < long


def test_automatic_steps_are_those_of_advice() -> None:
    for delays in ("paper-cluster", "heterogeneous"):
        cells, *_ = by_workers({"workers": "6", "delays": delays})
        config = RunConfig.of(workers=6, delays=delays, gradient_steps=5000)
        assert config.local_steps == advise(cells).recommended["local_steps"]
        assert config.local_steps == stable_local_steps(load_profile(delays, []), 6, config.message_bytes)


def test_automatic_steps_do_not_start_jax(tmp_path: Path) -> None:
    """For a configuration is known before anyone has said with how many threads it is run."""
    import subprocess
    import sys

    code = (
        "from agn_bench import RunConfig; from agn_bench.base.user_code import jax_has_started as j;"
        "print(RunConfig.of(workers=5).local_steps, j())"
    )
    said = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert said.stdout.split()[1] == "False"


def test_the_mean_rate_is_over_the_clocks_seeds() -> None:
    profile = load_profile("heterogeneous", [])
    timelines = active_timelines(profile, [(seed, 6, 5) for seed in range(3)], SIZE, lambda workers: 200 * workers)
    expected = np.mean([growth_rate(one.worker, 6, 5) for one in timelines])
    assert mean_growth_rate(profile, 6, 5, SIZE) == pytest.approx(expected, rel=1e-12)


def test_a_recorded_timeline_has_its_own_least_steps() -> None:
    rounds = np.tile(np.arange(8), 300)
    assert stable_local_steps_of(rounds, 8) in (5, 6)  # constant staleness: 5 is stable, with little margin
    assert stable_local_steps_of(rounds[:20], 8) == stable_at_constant_staleness(8)


def test_a_log_is_advised_on_by_its_order_alone(tmp_path: Path) -> None:
    rounds = pd.DataFrame({"worker": np.tile(np.arange(8), 60), "applied_s": np.arange(480) + 1.0})
    rounds.to_csv(tmp_path / "log.csv", index=False)
    cells, steps, _ = by_workers({"timeline": str(tmp_path / "log.csv")})
    advice = advise(cells, steps)
    assert advice.recommended["local_steps"] == stable_local_steps_of(rounds["worker"].to_numpy(), 8)
    assert math.isnan(advice.recommended["gradient_steps_per_s"])
    assert advice.reason.endswith("in the order in which they exchanged.")


def test_an_optimizer_without_normalization_is_told_where_it_is_stable() -> None:
    cells, *_ = by_workers({"workers": "6", "optimizer": "downpour"})
    advice = advise(cells)
    (row,) = advice.rows
    assert row["local_steps"] == 1
    assert row["growth_rate"] > 0
    limit = 2 * math.sin(math.pi / (2 * (2 * 6 - 1)))
    assert limit / 4 < row["stable_up_to"] <= 2 * limit
    assert "η h" in advice.reason


@pytest.mark.parametrize(
    ("text", "expected"),
    [("10..13", ["10", "11", "12", "13"]), ("5..20..5,40", ["5", "10", "15", "20", "40"]), ("7", ["7"]), ("x", ["x"])],
)
def test_ranges(text: str, expected: list[str]) -> None:
    assert several(text) == expected


@pytest.mark.parametrize("options", [{"workers": "5..3"}, {"workers": "0..2"}, {"local_steps": "0"}, {"seconds": "-1"}])
def test_bad_numbers_are_refused(options: dict[str, str]) -> None:
    with pytest.raises(BadInput):
        by_workers(options)


def test_the_command_writes_a_table_and_a_picture(command: Callable[..., tuple], tmp_path: Path) -> None:
    code, said, _ = command("advise", "--workers", "2,3", "--optimizer", "agn,local-sgd", "--out", tmp_path)
    assert code == 0
    rows = pd.read_csv(tmp_path / "advice.csv")
    assert rows["optimizer"].tolist() == ["agn", "agn", "local-sgd:backups=0", "local-sgd:backups=0"]
    assert rows["workers"].tolist() == [2, 3, 2, 3]
    assert (tmp_path / "figures" / "advice.png").is_file()
    assert "advise" in json.loads((tmp_path / "provenance.json").read_text())["advice"]["command"]
    assert "3 workers with" in " ".join(said.split())


def test_the_readme_says_what_is_on_the_picture_of_the_advice() -> None:
    cells = by_workers({"workers": "10,16,17,40", "model": "mlp-paper", "delays": "paper-cluster"})[0]
    first, before, full, last = advise(cells).rows
    readme = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
    assert f"rises from {first['local_steps']} to {last['local_steps']}" in readme
    assert f"makes {first['gradient_steps_per_s']:.0f} to {last['gradient_steps_per_s']:.0f} steps a second" in readme
    assert "busy all the time from 17 workers on" in readme
    assert before["server_utilization"] < 0.99 < full["server_utilization"]


def test_the_pages_say_what_the_advice_loses() -> None:
    root = Path(__file__).parent.parent
    table = pd.read_csv(root / "results" / "which-local-steps" / "tables" / "regret.csv")
    page, findings, readme = (
        " ".join((root / name).read_text(encoding="utf-8").split())
        for name in ("docs/choose-lambda.md", "results/FINDINGS.md", "README.md")
    )
    names = {"cnn": "convolutional network, SGD", "mlp sgd": "perceptron, SGD", "mlp adam": "perceptron, Adam"}
    for problem, name in names.items():
        own = table[table["problem"] == problem]
        means = own[["regret", "short_regret", "regret_at_constant_staleness", "regret_of_n_local_steps"]].mean()
        worst = own[["regret", "short_regret"]].max()
        row = (
            f"| {name} | {len(own)} | {means.iloc[0]:.4f} ({worst.iloc[0]:.4f}) "
            f"| {means.iloc[1]:.4f} ({worst.iloc[1]:.4f}) | {means.iloc[2]:.4f} | {means.iloc[3]:.4f} |"
        )
        assert row in page
    with_sgd = table[table["problem"].isin(["cnn", "mlp sgd"])]
    few, many = (with_sgd[with_sgd["workers"].isin(numbers)]["regret"] for numbers in ((8, 16), (32, 64)))
    assert f"{few.mean():.4f} on average and {few.max():.4f} at worst" in page
    assert f"{few.mean():.4f} on average and {few.max():.4f} at worst, of {len(few)} cells" in findings
    assert f"with 32 and 64 workers it is {many.mean():.4f}" in page
    assert f"it is {many.mean():.4f} on average and {many.max():.4f} at worst" in findings
    assert f"{few.mean():.3f} on average with 8 or 16 workers" in readme
    runs = pd.read_csv(root / "results" / "which-local-steps" / "tables" / "swings.csv")
    stable, unstable = runs[runs["growth_rate"] < 0], runs[runs["growth_rate"] >= 0]
    bad = unstable["swings"] | ~unstable["learns"]
    assert not (stable["swings"] | ~stable["learns"]).any()
    assert f"Of {len(runs)} runs of the perceptron with SGD, the {len(stable)} whose" in page
    assert (
        f"none of the {len(stable)} with a negative rate swings, and {bad.sum()} of the {len(unstable)} with"
        in findings
    )
