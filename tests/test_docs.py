"""What the documentation says is what the program does."""

from __future__ import annotations

import json
import re
import statistics
import subprocess
import sys
import textwrap
from importlib.metadata import version
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


LOCKED = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()


@pytest.mark.skipif(f"typer=={version('typer')}" not in LOCKED, reason="another Typer writes the page in another way")
def test_the_commands_page_is_the_programs_own_help() -> None:
    """`make docs` rewrites it."""
    command = [sys.executable, "-m", "typer", "agn_bench.cli", "utils", "docs", "--name", "agn-bench"]
    made = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout
    assert (ROOT / "docs" / "commands.md").read_text(encoding="utf-8").strip() == made.strip()


def test_every_link_and_picture_of_the_readme_is_there() -> None:
    links = re.findall(r"\]\(([^)#]+)(#[^)]*)?\)", README)
    assert len(links) >= 4
    for target, _ in links:
        if not target.startswith("http"):
            assert (ROOT / target).exists(), target


def test_every_command_of_the_readme_is_one_the_program_takes() -> None:
    from agn_bench.cli import app

    known = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}
    known |= {group.name for group in app.registered_groups}
    used = set(re.findall(r"agn-bench ([a-z]+)", README))
    assert used
    assert used <= known
    options = set(re.findall(r"`(--[a-z-]+)", README)) | set(re.findall(r"agn-bench run [^\n`]*?(--[a-z-]+)", README))
    page = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    assert all(f"`{option}" in page for option in options)


def test_the_python_examples_of_the_readme_run() -> None:
    _, reading, library = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    for example, says in [(reading, ("agn", "easgd", "dynsgd", "downpour")), (library, ("done", "(784, 256)"))]:
        ran = subprocess.run([sys.executable, "-c", example], capture_output=True, text=True, check=True, cwd=ROOT)
        assert all(name in ran.stdout for name in says)


def test_the_profile_of_the_readme_is_one(tmp_path: Path) -> None:
    from agn_bench.clock import Tiers, load_profile

    (example,) = re.findall(r"```toml\n(.*?)```", README, flags=re.DOTALL)
    (tmp_path / "my.toml").write_text(example)
    profile = load_profile(str(tmp_path / "my.toml"), ["server.mean=0.05"])
    assert profile.speeds == Tiers((1.0, 2.5), (3.0, 1.0))
    assert (profile.order, profile.fifo_share, profile.server.moments().mean) == ("random", 0.1, 0.05)


def test_the_experiments_of_the_readme_and_of_the_page_of_files_can_be_read(tmp_path: Path) -> None:
    from agn_bench.config.experiment import read_experiment_file

    page = (ROOT / "docs" / "files.md").read_text(encoding="utf-8")
    (here,) = re.findall(r"\n\n((?:    .*\n)*    name = (?:.*\n)+?)\n", README)
    there, sized = re.findall(r"```\n(name = .*?)```", page, flags=re.DOTALL)
    path = tmp_path / "some.toml"
    for text in (textwrap.dedent(here), there):
        path.write_text(text)
        assert len(read_experiment_file(path).configs) == 15
    path.write_text(sized)
    assert [len(read_experiment_file(path, size=size).configs) for size in ("small", "large")] == [6, 18]


def test_the_quick_comparison_in_the_readme_is_that_of_the_committed_results() -> None:
    table = pd.read_csv(ROOT / "results" / "four-methods" / "tables" / "accuracy.csv")
    assert set(table["optimizer"]) == {"agn", "easgd", "dynsgd", "downpour"}
    assert set(table["seeds"]) == {3}
    for row in table.to_dict("records"):
        cells = [
            f"`{row['optimizer']}`",
            f"{row['area_mean']:.3f} ± {row['area_std']:.3f}",
            f"{100 * row['test_accuracy_mean']:.1f} ± {100 * row['test_accuracy_std']:.1f} %",
        ]
        assert "| " + " | ".join(cells) + " |" in README
    easgd, dynsgd = (behind(table.set_index("optimizer").loc[name]) for name in ("easgd", "dynsgd"))
    assert f"by {easgd} and {dynsgd} points, 95 % intervals" in " ".join(README.split())


def behind(row: pd.Series) -> str:
    return f"{100 * row['area_behind_mean']:.1f} ± {100 * row['area_behind_half_width_95']:.1f}"


def test_the_areas_on_the_test_set_in_the_readme_are_those_of_the_committed_results() -> None:
    table = pd.read_csv(ROOT / "results" / "four-methods" / "tables" / "test-accuracy.csv").set_index("optimizer")
    agn, easgd, dynsgd = (
        f"{table.loc[name, 'area_mean']:.3f} ± {table.loc[name, 'area_std']:.3f}" for name in ("agn", "easgd", "dynsgd")
    )
    text = " ".join(README.split())
    assert f"(areas {agn} and {easgd}; AGN is behind by {behind(table.loc['agn'])} points; DynSGD {dynsgd})" in text
    assert f"first {table['area_until_s'].iloc[0]:.0f} simulated seconds" in README


def test_the_papers_first_cell_in_the_readme_is_that_of_the_committed_runs() -> None:
    summary = pd.read_csv(ROOT / "results" / "paper" / "summary.csv")
    runs = summary[(summary["optimizer"] == "agn") & (summary["workers"] == 20) & (summary["local_steps"] == 15)]
    assert set(runs["epochs"]) == {40}
    assert f"over {len(runs)} seeds), from [results/paper]" in README
    time_s, test, last = (runs[name] for name in ("sim_time_s", "test_accuracy", "last_batch_accuracy"))
    assert f"| simulated time | 545 s, 571 s, 686 s | {time_s.mean():.0f} ± {time_s.std():.0f} s |" in README
    assert f"| {100 * test.mean():.2f} ± {100 * test.std():.2f} % |" in README
    assert f"| {100 * last.mean():.2f} ± {100 * last.std():.2f} % |" in README


def test_the_papers_grid_in_the_readme_is_that_of_the_committed_tables() -> None:
    tables, text = ROOT / "results" / "paper" / "tables", " ".join(README.split())
    rows = pd.read_csv(tables / "agreement.csv").set_index(["what", "where"])["mean_distance"]
    near, far = (rows["temporal efficiency", f"n / λ {where} 1.5"] for where in ("up to", "above"))
    agn, easgd = (rows[f"{name} test accuracy (points)", "n / λ up to 1.5"] for name in ("agn", "easgd"))
    assert (
        f"by {near:.3f} on average, and the test accuracies by {agn:.2f} points (AGN) and {easgd:.2f} (EASGD)" in text
    )
    assert f"single runs say little: {far:.3f}." in text
    wins = pd.read_csv(tables / "wins.csv").set_index("of")
    assert set(wins.loc[["published", "seed 0"], "cells"]) == {49}
    ours, published = wins.loc["seed 0", "wins_above_1"], wins.loc["published", "wins_above_1"]
    assert f"AGN wins {ours} of the cells with our first seed, {published} as published" in text


def test_the_seconds_on_a_gpu_in_the_readme_are_those_of_the_committed_runs() -> None:
    made = json.loads((ROOT / "results" / "paper" / "provenance.json").read_text(encoding="utf-8"))
    seconds: dict[str, list[float]] = {"cpu": [], "H100": [], "H200": []}
    for record in made.values():
        if record["config"]["gradient_steps"] == 18_750:
            device = next(name for name in seconds if name in record["machine"]["device"])
            seconds[device].append(record["wall_clock_s"]["total"])
    text = " ".join(README.split())
    compiled = [each for each in seconds["H200"] if each < 5]
    assert f"takes {statistics.median(compiled):.1f} s on an NVIDIA H200" in text
    assert f"(median of {len(compiled)} whose programs were compiled before; of all {len(seconds['H200'])}," in text
    assert f"for each new number of local steps, {statistics.median(seconds['H200']):.1f} s)" in text
    assert f"[{len(seconds['H100'])} were made on an NVIDIA H100]" in text
    assert f"in {statistics.median(seconds['H100']):.0f} s each (median)" in text
    assert f"such a run takes {statistics.median(seconds['cpu']):.0f} s, two at once" in text


def test_what_it_withstands_in_the_readme_is_what_was_counted() -> None:
    fuzz, laws, kills, load, mutations = (
        pd.read_csv(ROOT / "results" / "robustness" / f"{name}.csv")
        for name in ("fuzz", "invariants", "kills", "load", "mutations")
    )
    assert (fuzz["crashes"] == 0).all()
    assert (laws["broken"] == 0).all()
    assert kills["same_bytes"].all() and not kills[["lost", "damaged"]].any(axis=None)
    assert mutations["caught"].all()
    rows = re.findall(r"^\| \[.*robustness/(\w+)\.csv\).* \| ([\d,]+) \|.*\|$", README, flags=re.MULTILINE)
    assert rows == [
        ("fuzz", f"{fuzz['tried'].sum():,}"),
        ("invariants", f"{laws['configurations'].sum():,}"),
        ("kills", f"{kills['kills'].sum():,}"),
        ("mutations", f"{len(mutations):,}"),
    ]
    text = " ".join(README.split())
    largest = load.groupby("what", sort=False).last()
    assert len(largest) == 4
    for what, row in largest.iterrows():
        assert f"{what}, {row['size']}: {row['seconds']:.0f} s, {row['peak_mb']:,} MB" in text


def test_the_clocks_figures_in_the_readme_are_those_of_the_committed_results() -> None:
    text = " ".join(README.split())
    errors = pd.read_csv(ROOT / "results" / "paper-cluster" / "errors.csv").set_index("column")["mean_absolute_error"]
    assert f"a mean error of {100 * errors['agn_time_s']:.1f} %" in text
    assert f"with {100 * errors['easgd_time_s']:.1f} % ([every cell]" in text
    cells = pd.read_csv(ROOT / "results" / "paper-cluster" / "tables" / "stability-map.csv")
    assert f"in {cells['told_right_random'].sum()} of 49" in text
    assert f"in {cells['told_right_fifo'].sum()} if it serves first in first out" in text
    wrong = cells[~cells["told_right_random"]].set_index(["workers", "local_steps"])["growth_rate_random"]
    assert list(wrong.index) == [(20, 10)]
    assert f"20 workers with 10 local steps, has a rate of {wrong.iloc[0]:.2f}" in text


def test_the_committed_benchmark_of_the_clock_is_what_the_readme_says_and_good_enough() -> None:
    """5 x 10⁵ exchanges a second at 40 workers, and at 10,000 at most 20 times the cost of one."""
    rows = pd.read_csv(ROOT / "results" / "benchmarks" / "timeline.csv").set_index(["order", "workers"])
    assert rows["same_order"].all()
    assert (rows["exchanges"] == 1_000_000).all()
    for order in ("random", "fifo"):
        assert rows.loc[(order, 40), "exchanges_per_s"] >= 5e5
        assert rows.loc[(order, 10_000), "cost_over_40_workers"] <= 20
    few, many = rows.loc[("random", 40)], rows.loc[("random", 10_000)]
    text = " ".join(README.split())
    assert f"{few['exchanges_per_s'] / 1e6:.1f} million exchanges a second" in text
    assert f"costs {many['cost_over_40_workers']:.1f} times as much" in text
    assert f"{few['times_as_fast_as_heapq']:.1f} and {many['times_as_fast_as_heapq']:.1f} times as long" in text


def test_the_committed_benchmark_of_training_is_what_the_readme_says() -> None:
    """And good enough, beside bare steps and beside the other loops, to the precision in which it is quoted."""
    rows = pd.read_csv(ROOT / "results" / "benchmarks" / "training.csv")
    assert len(rows.drop_duplicates(["model", "local_optimizer", "local_steps", "workers"])) == len(rows)
    assert rows["repetitions"].ge(5).all()
    long, one = rows[rows["local_steps"] >= 15], rows[rows["local_steps"] == 1]
    most = long["model"].map({"mlp-small": 1.10, "mlp-paper": 1.05})
    assert (long["simulation_over_bare"].round(2) <= most).all()
    assert (one["simulation_over_bare"].round(2) <= 1.25).all()
    assert (rows["plain_jax_over_simulation"] >= 1).all()
    assert (long[long["model"] == "mlp-small"]["pytorch_loop_over_simulation"] >= 1.3).all()

    def span(numbers: pd.Series, form: str) -> str:
        least, most = form.format(numbers.min()), form.format(numbers.max())
        return least if least == most else f"{least} to {most}"

    for (model, optimizer), these in rows.groupby(["model", "local_optimizer"]):
        parts = [these[these["local_steps"] >= 15], these[these["local_steps"] == 1]]
        cells = [
            f"`{model}`, {optimizer}",
            f"{these['bare_step_ms'].median():.2f} ms, {100 * these['bare_over_sgemm'].median():.0f} %",
            *(span(part["simulation_over_bare"], "{:.2f}") for part in parts),
            ", ".join(span(part["pytorch_loop_over_simulation"], "{:.1f}") for part in parts),
            span(these["plain_jax_over_simulation"], "{:.2f}"),
        ]
        assert f"| {' | '.join(cells)} |" in README


def test_the_committed_benchmark_of_whole_commands_is_what_the_readme_says_and_good_enough() -> None:
    rows = pd.read_csv(ROOT / "results" / "benchmarks" / "runs.csv").set_index("figure")
    assert (rows["repetitions"] >= 5).all()
    seeds, cold, warm = (
        rows.loc[name, "median"]
        for name in (
            "4 seeds over one, training",
            "first result, nothing cached, s",
            "first result, compilations cached, s",
        )
    )
    assert seeds <= 3.4
    assert cold <= 15
    assert warm <= 6
    text = " ".join(README.split())
    assert f"take {seeds:.1f} times the training time of one" in text
    assert f"the first result is there after {cold:.1f} s" in text
    assert f"(its variable `JAX_COMPILATION_CACHE_DIR`) after {warm:.1f} s" in text
