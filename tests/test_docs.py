"""What the documentation says is what the program does."""

from __future__ import annotations

import json
import re
import runpy
import statistics
import subprocess
import sys
import textwrap
import tomllib
from functools import partial
from importlib.metadata import version
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest

from agn_bench.analysis import comparison
from agn_bench.base import files
from agn_bench.base.quantities import declared_numbers
from agn_bench.optimizers import FAMILIES, OPTIMIZERS, Commit, Server, Worker

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
FINDINGS = {ROOT / "experiments" / "paper" / name for name in ("findings.md", "odd-curves.md")}
MARKDOWN = [
    path
    for path in (
        *ROOT.glob("*.md"),
        *(p for part in ("docs", "experiments", "results", "agn_bench") for p in (ROOT / part).rglob("*.md")),
    )
    if path not in FINDINGS  # parts of the report, where their links begin
]
"""Every page of the repository."""


def page(name: str) -> str:
    """A page of docs/."""
    return (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")


def said(text: str) -> str:
    """On one line."""
    return " ".join(text.split())


def prose(text: str) -> str:
    """Without what is code."""
    return re.sub(r"^ *```.*?^ *```|^    .*?$|`[^`\n]*`", "", text, flags=re.DOTALL | re.MULTILINE)


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings, as they are shown on the web: lower case, dashes for blanks, no other signs."""
    found: list[str] = []
    for heading in re.findall(
        r"^#+ (.*)$", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE), flags=re.MULTILINE
    ):
        anchor = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        found.append(f"{anchor}-{found.count(anchor)}" if anchor in found else anchor)
    return set(found)


LOCKED = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()


@pytest.mark.skipif(f"typer=={version('typer')}" not in LOCKED, reason="another Typer writes the page in another way")
def test_the_commands_page_is_the_programs_own_help() -> None:
    """`make docs` rewrites it."""
    command = [sys.executable, "-m", "typer", "agn_bench.cli", "utils", "docs", "--name", "agn-bench"]
    made = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout
    assert (ROOT / "docs" / "commands.md").read_text(encoding="utf-8").strip() == made.strip()


@pytest.fixture(scope="module")
def writing() -> ModuleType:
    """The script that writes the tables and pictures of the page of optimizers."""
    spec = spec_from_file_location("write", ROOT / "docs" / "optimizers" / "write.py")
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_tables_of_the_page_of_optimizers_are_what_the_program_says(writing: ModuleType) -> None:
    """`make docs` rewrites them."""
    text = page("optimizers")
    assert writing.written(text) == text
    for name, kind in OPTIMIZERS.items():
        (row,) = re.findall(
            rf"^\| `{name}` \| .* \| .* \| (.*) \| {re.escape(kind.source)} \|$", text, flags=re.MULTILINE
        )
        assert re.findall(r"`(\w+)=", row) == [*declared_numbers(kind)]


def test_every_optimizer_is_in_a_family_and_every_family_in_the_tree(writing: ModuleType) -> None:
    assert {kind.family for kind in OPTIMIZERS.values()} == set(FAMILIES)
    assert [family for families in writing.TREE.values() for family in families] == [*FAMILIES]
    members = {family: {row["optimizer"] for row in rows} for family, rows in writing.optimizers().items()}
    named = [
        (family, name)
        for families in writing.TREE.values()
        for family, branch in families.items()
        for name in re.findall(r"[a-z0-9-]+", " ".join(branch))
        if name in OPTIMIZERS
    ]
    assert named and all(name in members[family] for family, name in named)


def test_the_page_of_optimizers_says_of_each_where_it_was_read() -> None:
    table = page("optimizers").split("## What was read, and what was chosen")[1]
    rows = re.findall(r"^\| (`.*?`) \| [^|]+ \| [^|]+ \|$", table, flags=re.MULTILINE)
    assert sorted(re.findall(r"`([\w-]+)`", ", ".join(rows))) == sorted(OPTIMIZERS)
    assert f"[{len(OPTIMIZERS)} methods](docs/optimizers.md)" in README


def test_the_optimizer_of_the_page_on_methods_shortens_long_commits() -> None:
    (code,) = re.findall(r"```python\n(# shorter\.py\n.*?)```", page("bring-a-method"), flags=re.DOTALL)
    names: dict[str, Any] = {"__name__": "shorter"}
    exec(code, names)
    zero, commit = np.zeros(2), Commit(np.zeros(2), 4, np.int32(0), 1, 0.1)
    for end, moved in (([3.0, 4.0], [0.6, 0.8]), ([0.3, 0.4], [0.3, 0.4])):
        server, _ = names["Shorter"]().commit(Server(zero, ()), Worker(np.array(end), ()), commit)
        assert server.center == pytest.approx(np.array(moved), rel=1e-6)


@pytest.mark.parametrize("path", MARKDOWN, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_and_picture_of_a_page_leads_somewhere(path: Path) -> None:
    """To a file that is there, and to a heading that it has."""
    for target, anchor in re.findall(r"\]\(([^)#\s]*)#?([^)\s]*)\)", prose(path.read_text(encoding="utf-8"))):
        if target.startswith(("http://", "https://")):
            continue
        there = (path.parent / target).resolve() if target else path
        assert there.exists(), target
        if anchor:
            assert anchor in anchors(there.read_text(encoding="utf-8")), f"{target}#{anchor}"


def test_every_page_of_the_docs_is_linked_from_the_readme_and_from_the_index() -> None:
    pages = {path.name for path in (ROOT / "docs").glob("*.md")} - {"README.md"}
    assert pages == set(re.findall(r"\(([\w-]+\.md)\)", page("README")))
    assert pages == set(re.findall(r"\(docs/([\w-]+\.md)\)", README))


def test_the_readme_is_two_screens() -> None:
    """The screens are of text, up to the links: pictures, of which the second has three, are looked at and not read."""
    told = [line for line in README.split("## Where to read on")[0].splitlines() if line and not line.startswith("!")]
    assert len(told) <= 88
    assert max(len(line) for line in told) <= 150
    assert sum(line.startswith("![") for line in README.splitlines()) == 4


def test_no_page_has_the_words_that_readers_stumbled_over() -> None:
    """Those of the program's help, in docs/commands.md, are the help's own."""
    odd = r"\ba row an? |\bhangs on\b|\bshall be\b|\bbeside\b|\btells? [^.|]* from\b|\btold (?:right|wrong)\b|\. Of \w+"
    for path in {*MARKDOWN, *FINDINGS} - {ROOT / "docs" / "commands.md"}:
        assert re.findall(odd, prose(path.read_text(encoding="utf-8"))) == [], path


def test_every_command_of_the_pages_is_one_the_program_takes() -> None:
    from agn_bench.cli import app

    known = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}
    known |= {group.name for group in app.registered_groups}
    text = "\n".join([README, *(page(path.stem) for path in (ROOT / "docs").glob("*.md") if path.stem != "commands")])
    used = set(re.findall(r"agn-bench ([a-z]+)", text))
    assert used
    assert used <= known
    options = set(re.findall(r"`(--[a-z-]+)", text)) | set(re.findall(r"agn-bench run [^\n`]*?(--[a-z-]+)", text))
    assert all(f"`{option}" in page("commands") for option in options)


def test_the_python_examples_of_the_page_on_reading_files_run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """That with pandas says what the table says, where a run that diverged counts as chance."""
    pandas, library = re.findall(r"```python\n(.*?)```", page("read-the-files"), flags=re.DOTALL)
    monkeypatch.chdir(ROOT)
    names: dict[str, Any] = {}
    exec(pandas, names)
    out = capsys.readouterr().out
    assert all(name in out for name in ("agn", "easgd", "dynsgd", "downpour"))
    table = pd.read_csv(ROOT / "results" / "four-methods" / "tables" / "accuracy.csv").set_index("optimizer")
    means = names["summary"].groupby("optimizer")["at_60_s"].mean()
    assert means.to_dict() == pytest.approx(table["accuracy_at_60s_mean"].to_dict(), abs=1e-3)
    exec(library, {})
    out = capsys.readouterr().out
    assert all(name in out for name in ("done", "(784, 256)"))


def test_the_profile_of_the_page_on_clusters_is_one(tmp_path: Path) -> None:
    from agn_bench.clock import Tiers, load_profile

    example, recorded, paused = re.findall(r"```toml\n(.*?)```", page("measure-your-cluster"), flags=re.DOTALL)
    (tmp_path / "my.toml").write_text(example)
    profile = load_profile(str(tmp_path / "my.toml"), ["server.mean=0.05"])
    assert profile.speeds == Tiers((1.0, 2.5), (3.0, 1.0))
    assert (profile.order, profile.fifo_share, profile.server.moments().mean) == ("random", 0.1, 0.05)
    (tmp_path / "my.toml").write_text(recorded)
    (tmp_path / "times.csv").write_text("worker,time\na,100\na,300\nb,200\n")
    assert load_profile(str(tmp_path / "my.toml")).step.moments().mean == pytest.approx(0.2)
    (tmp_path / "my.toml").write_text(recorded + paused)
    going = load_profile(str(tmp_path / "my.toml")).going
    assert going is not None
    assert (going.pause.moments().mean, going.between_pauses.moments().mean, going.pause_group) == (30, 2000, 4)


def test_the_experiments_of_the_pages_can_be_read(tmp_path: Path) -> None:
    from agn_bench.config.experiment import read_experiment_file

    (here,) = re.findall(r"\n\n((?:    .*\n)*    name = (?:.*\n)+?)\n", page("run-on-a-cluster"))
    there, sized = re.findall(r"```\n(name = .*?)```", page("files"), flags=re.DOTALL)
    path = tmp_path / "some.toml"
    for text in (textwrap.dedent(here), there):
        path.write_text(text)
        assert len(read_experiment_file(path).configs) == 15
    path.write_text(sized)
    assert [len(read_experiment_file(path, size=size).configs) for size in ("small", "large")] == [6, 18]


def test_the_readme_counts_the_claims_as_they_were_judged() -> None:
    for size in ("reduced", "paper"):
        claims = pd.read_csv(ROOT / "results" / size / "tables" / "claims.csv").drop_duplicates("claim")
        found = claims.groupby("verdict")["claim"].apply(list)
        cells = [
            f"{len(found[verdict])} (claims {', '.join(map(str, found[verdict]))})"
            for verdict in ("confirmed", "refuted", "undecided")
        ]
        (row,) = re.findall(rf"^\| `{size}`: .*$", README, flags=re.MULTILINE)
        assert row.endswith(f"| {' | '.join(cells)} |")
        assert len(claims) == sum(map(len, found)) == 10


def test_the_claims_on_the_page_of_the_paper_are_those_of_the_report() -> None:
    report = (ROOT / "results" / "REPRODUCTION.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+)\. (.*)$", page("reproduce-the-paper"), flags=re.MULTILINE)
    assert len(rows) == 10
    for number, rest in rows:
        assert f"\n| {number} | {rest}\n" in report


def test_the_finding_of_the_readme_is_that_of_the_committed_results() -> None:
    table = pd.read_csv(ROOT / "results" / "four-methods" / "tables" / "accuracy.csv").set_index("optimizer")
    assert set(table["seeds"]) == {3}
    text = said(README)
    assert f"ends at {100 * table.loc['downpour', 'test_accuracy_mean']:.1f} % of the test digits" in text
    agn, easgd, dynsgd = (
        f"{100 * table.loc[name, 'test_accuracy_mean']:.1f} ± {100 * table.loc[name, 'test_accuracy_std']:.1f} %"
        for name in ("agn", "easgd", "dynsgd")
    )
    assert f"They end at {agn}, {easgd} and {dynsgd}," in text
    assert (
        f"first {table['area_until_s'].iloc[0]:.0f} simulated seconds is {100 * table.loc['agn', 'area_mean']:.1f} %"
        in text
    )
    assert (
        f"EASGD's is lower by {behind(table.loc['easgd'])} points and DynSGD's by {behind(table.loc['dynsgd'])}" in text
    )
    assert table["area_mean"].idxmax() == "agn"
    first = [table[f"time_to_{accuracy}_s_mean"].idxmin() for accuracy in ("0.8", "0.95")]
    assert "EASGD is the first to reach 80 %, and AGN to reach 95 %" in text and first == ["easgd", "agn"]


def test_what_make_run_takes_and_gives_is_what_was_measured() -> None:
    rows = pd.read_csv(ROOT / "results" / "benchmarks" / "runs.csv").set_index("figure")
    assert f"takes {rows.loc['one seed, whole command, s', 'median']:.0f} s on two cores" in said(README)
    runs = pd.read_csv(ROOT / "results" / "four-methods" / "summary.csv").set_index("run_id")
    (name,) = re.findall(r"runs/(agn-\S+)/    run.json", page("read-the-files"))
    assert f"about {100 * runs.loc[name, 'test_accuracy']:.0f} % on digits" in said(README)


def test_the_comparison_at_equal_time_is_that_of_the_committed_results() -> None:
    table = pd.read_csv(ROOT / "results" / "equal-time" / "tables" / "accuracy.csv")
    text = page("compare-at-equal-time")
    clusters = ["paper-cluster", "heterogeneous", "stragglers"]
    rows = re.findall(r"^\| `([\w=:-]+)` \| (\d+) \| ([\d.]+) \|(.*)\|$", text, flags=re.MULTILINE)
    assert len(rows) * len(clusters) == len(table)
    table["name"] = table["optimizer"] + (table["backups"] > 0).map({True: ":backups=2", False: ""})
    areas = table.set_index(["name", "delays"])
    for name, local_steps, rate, cells in rows:
        own = areas.loc[name]
        assert set(own["local_steps"]) == {int(local_steps)} and set(own["learning_rate"]) == {float(rate)}
        assert [cell.strip() for cell in cells.split("|")] == [
            f"{own.loc[cluster, 'area_mean']:.3f} ± {own.loc[cluster, 'area_std']:.3f}" for cluster in clusters
        ]
    synchronous = areas.loc["local-sgd", "area_mean"]
    assert f"{100 * (synchronous['paper-cluster'] - synchronous['stragglers']):.1f} points of area" in said(text)


def test_the_quick_comparison_is_that_of_the_committed_results() -> None:
    table = pd.read_csv(ROOT / "results" / "four-methods" / "tables" / "accuracy.csv")
    assert set(table["optimizer"]) == {"agn", "easgd", "dynsgd", "downpour"}
    assert set(table["seeds"]) == {3}
    for row in table.to_dict("records"):
        cells = [
            f"`{row['optimizer']}`",
            f"{row['area_mean']:.3f} ± {row['area_std']:.3f}",
            f"{100 * row['test_accuracy_mean']:.1f} ± {100 * row['test_accuracy_std']:.1f} %",
        ]
        assert "| " + " | ".join(cells) + " |" in page("compare-at-equal-time")
    easgd, dynsgd = (behind(table.set_index("optimizer").loc[name]) for name in ("easgd", "dynsgd"))
    assert f"by {easgd} and {dynsgd} points, 95 % intervals" in said(page("compare-at-equal-time"))


def behind(row: pd.Series) -> str:
    return f"{100 * row['area_behind_mean']:.1f} ± {100 * row['area_behind_half_width_95']:.1f}"


def test_the_areas_on_the_test_set_are_those_of_the_committed_results() -> None:
    table = pd.read_csv(ROOT / "results" / "four-methods" / "tables" / "test-accuracy.csv").set_index("optimizer")
    agn, easgd, dynsgd = (
        f"{table.loc[name, 'area_mean']:.3f} ± {table.loc[name, 'area_std']:.3f}" for name in ("agn", "easgd", "dynsgd")
    )
    text = said(page("compare-at-equal-time"))
    assert f"(areas {agn} and {easgd}; AGN is behind by {behind(table.loc['agn'])} points; DynSGD {dynsgd})" in text
    assert f"first {table['area_until_s'].iloc[0]:.0f} simulated seconds" in text


def test_the_papers_first_cell_is_that_of_the_committed_runs() -> None:
    summary = pd.read_csv(ROOT / "results" / "paper" / "summary.csv")
    runs = summary[(summary["optimizer"] == "agn") & (summary["workers"] == 20) & (summary["local_steps"] == 15)]
    assert set(runs["epochs"]) == {40}
    text = page("reproduce-the-paper")
    assert f"over {len(runs)} seeds), from [results/paper]" in said(text)
    time_s, test, last = (runs[name] for name in ("sim_time_s", "test_accuracy", "last_batch_accuracy"))
    assert f"| simulated time | 545 s, 571 s, 686 s | {time_s.mean():.0f} ± {time_s.std():.0f} s |" in text
    assert f"| {100 * test.mean():.2f} ± {100 * test.std():.2f} % |" in text
    assert f"| {100 * last.mean():.2f} ± {100 * last.std():.2f} % |" in text
    assert f"([{100 * test.mean():.2f} % where the paper has 98.49 %]" in said(README)


def test_the_papers_grid_is_that_of_the_committed_tables() -> None:
    tables, text = ROOT / "results" / "paper" / "tables", said(page("reproduce-the-paper"))
    rows = pd.read_csv(tables / "agreement.csv").set_index(["what", "where"])["mean_distance"]
    near, far = (rows["temporal efficiency", f"n / λ {where} 1.5"] for where in ("up to", "above"))
    agn, easgd = (rows[f"{name} test accuracy (points)", "n / λ up to 1.5"] for name in ("agn", "easgd"))
    assert (
        f"by {near:.3f} on average, and the test accuracies by {agn:.2f} points (AGN) and {easgd:.2f} (EASGD)" in text
    )
    assert f"single runs say little: {far:.3f}." in text
    wins = pd.read_csv(tables / "wins.csv").set_index("of")
    assert set(wins.loc[["published", "seed 0"], "cells"]) == {49}
    assert f"AGN wins {wins.loc['seed 0', 'wins_above_1']} of the cells with our first seed" in text
    published = pd.read_csv(ROOT / "agn_bench" / "paper" / "published" / "grid.csv")[
        "temporal_efficiency_agn_over_easgd"
    ]
    above, with_equal = (published > 1).sum(), (published >= 1).sum()
    assert list(wins.loc["published", ["wins_above_1", "wins_at_least_1"]]) == [above, with_equal]
    assert (
        f"it wins {above} or {with_equal}. The published table has {above} cells above 1.000 and one of 1.000" in text
    )
    ours = list(wins.loc["seed 0", ["wins_above_1", "wins_at_least_1"]])
    assert f"Counted in these two ways, ours has {ours[0]} and {ours[1]}" in text
    assert f"AGN is ahead of EASGD in {ours[0]} of 49 settings" in said(README)


def test_how_the_page_on_local_steps_counts_the_cells() -> None:
    """A rule that says of no cell that it is weak is right about as many as first in first out."""
    from agn_bench.clock.stability import stable_at_constant_staleness

    text = said(page("choose-lambda"))
    cells = pd.read_csv(ROOT / "results" / "paper-cluster" / "tables" / "stability-map.csv")
    random, fifo, never = (
        int(right.sum()) for right in (cells["told_right_random"], cells["told_right_fifo"], ~cells["weak"])
    )
    assert f"as the original's threads did | {random} |" in text
    assert f'("first in first out") | {fifo} |' in text
    assert (fifo, random - never) == (never, 5)
    assert (
        f'A rule that says "never weak" is right in {never} of {len(cells)} cells too, since only six are weak' in text
    )
    assert f"{random} is five cells better than that rule, and {fifo} is no better" in text
    report = said((ROOT / "results" / "REPRODUCTION.md").read_text(encoding="utf-8"))
    assert f"Random order is right about {random} of 49, and first in first out about {fifo}." in report
    assert f"To say of every cell that it is stable is right about {never} too" in report
    assert f'"never weak" is right in {never} of {len(cells)} too' in said(page("files"))
    wrong = cells[~cells["told_right_random"]].set_index(["workers", "local_steps"])["growth_rate_random"]
    assert list(wrong.index) == [(20, 10)]
    assert f"20 workers with 10 local steps, has a growth rate of {wrong.iloc[0]:.2f}" in text
    shares = pd.read_csv(ROOT / "results" / "paper-cluster" / "tables" / "fifo-share.csv")
    assert shares["told_right"].max() == shares["told_right"].iloc[0] == random
    assert (
        f"It gives {stable_at_constant_staleness(20)} for 20 workers, and {stable_at_constant_staleness(40)} for 40"
        in text
    )


def test_the_rules_of_thumb_are_as_good_as_the_claims_table_says() -> None:
    text = said(page("choose-lambda"))
    tables = {size: ROOT / "results" / size / "tables" for size in ("reduced", "paper")}
    small, large = (pd.read_csv(folder / "claims.csv").set_index("measure")["mean"] for folder in tables.values())
    assert f"is lower than at the best λ by {-small['rule_of_thumb_minus_best']:.4f}," in text
    assert f"With the paper's network it is lower by {-large['rule_of_thumb_minus_best']:.4f}," in text
    assert f"for {7 * large['workers_for_which_l40_is_slowest']:.0f} of the 7 numbers of workers" in text
    assert small["workers_for_which_l40_is_slowest"] == 1
    assert f"20 workers take {large['time_20_over_10']:.2f} of the time of 10" in text
    assert f"40 workers take {large['time_40_over_20_l10']:.2f} of the time of 20" in text
    rows = {name: pd.read_csv(folder / "temporal-efficiency-lines.csv") for name, folder in tables.items()}
    small, large = (lines[lines["cells"] == "λ = n"].set_index("workers") for lines in rows.values())
    assert (large[["efficiency", "efficiency_published"]] > 1).all(axis=None) and len(large) == 7
    assert list(small.index[small["efficiency"] > 1]) == [10, 15, 20]


def test_the_stalest_commits_of_ten_seeds_are_in_the_ranges_that_the_report_quotes() -> None:
    from agn_bench.config.run import RunConfig
    from agn_bench.training.timing import timeline_of

    few, many = (
        [
            timeline_of(RunConfig.of(preset="paper", workers=20, local_steps=steps, seed=seed)).staleness.max()
            for seed in range(10)
        ]
        for steps in (15, 1)
    )
    report = said((ROOT / "results" / "REPRODUCTION.md").read_text(encoding="utf-8"))
    assert f"the stalest commit of seed 0 has missed {few[0]} versions" in report
    assert f"Over ten seeds, 0 to 9, the stalest has missed {min(few)} to {max(few)}." in report
    assert f"the tail of seed 0 goes to {many[0]}. Over ten seeds it goes to {min(many)} to {max(many)}." in report


def test_the_seconds_on_a_gpu_are_those_of_the_committed_runs() -> None:
    made = json.loads((ROOT / "results" / "paper" / "provenance.json").read_text(encoding="utf-8"))
    seconds: dict[str, list[float]] = {"cpu": [], "H100": [], "H200": []}
    for record in made.values():
        if record["config"]["gradient_steps"] == 18_750:
            device = next(name for name in seconds if name in record["machine"]["device"])
            seconds[device].append(record["wall_clock_s"]["total"])
    text = said(page("how-fast-is-it"))
    compiled = [each for each in seconds["H200"] if each < 5]
    assert f"takes {statistics.median(compiled):.1f} s on an NVIDIA H200" in text
    assert f"(median of {len(compiled)} whose programs were compiled before; of all {len(seconds['H200'])}," in text
    assert f"for each new number of local steps, {statistics.median(seconds['H200']):.1f} s)" in text
    assert f"[{len(seconds['H100'])} were made on an NVIDIA H100]" in text
    assert f"in {statistics.median(seconds['H100']):.0f} s each (median)" in text
    assert f"such a run takes {statistics.median(seconds['cpu']):.0f} s, two at once" in text


def test_what_it_withstands_is_what_was_counted() -> None:
    equations, fuzz, laws, kills, load, mutations, kinds = (
        pd.read_csv(ROOT / "results" / "robustness" / f"{name}.csv")
        for name in ("equations", "fuzz", "invariants", "kills", "load", "mutations", "kinds")
    )
    assert (equations["difference"] < equations["allowed"]).all()
    assert set(kinds["outcome"]) <= {"right", "not tried here"}
    assert (fuzz["crashes"] == 0).all()
    assert (laws["broken"] == 0).all()
    assert kills["same_bytes"].all() and not kills[["lost", "damaged"]].any(axis=None)
    assert mutations["caught"].all()
    rows = re.findall(
        r"^\| \[.*robustness/(\w+)\.csv\).* \| ([\d,]+) \|.*\|$", page("can-i-trust-it"), flags=re.MULTILINE
    )
    assert rows == [
        ("fuzz", f"{fuzz['tried'].sum():,}"),
        ("invariants", f"{laws['configurations'].sum():,}"),
        ("equations", f"{len(equations):,}"),
        ("kills", f"{kills['kills'].sum():,}"),
        ("kinds", f"{len(kinds):,}"),
        ("mutations", f"{len(mutations):,}"),
    ]
    text = said(page("can-i-trust-it"))
    in_float64 = equations[equations["allowed"] == 1e-9]
    assert set(in_float64["optimizer"].str.partition(":")[0]) >= set(OPTIMIZERS)
    assert f"in float64 at most {in_float64['difference'].max():.0e} apart, where 1e-9 is allowed" in text
    largest = load.groupby("what", sort=False).last()
    assert len(largest) == 4
    for what, row in largest.iterrows():
        assert f"{what}, {row['size']}: {row['seconds']:.0f} s, {row['peak_mb']:,} MB" in text


def test_the_clocks_figures_are_those_of_the_committed_results() -> None:
    text, folder = said(page("measure-your-cluster")), ROOT / "results" / "paper-cluster"
    errors = pd.read_csv(folder / "errors.csv").set_index("column")["mean_absolute_error"]
    assert f"a mean error of {100 * errors['agn_time_s']:.1f} %" in text
    assert f"with {100 * errors['easgd_time_s']:.1f} % ([every cell]" in text
    fitted = tomllib.loads((folder / "profile.toml").read_text(encoding="utf-8"))
    step, up, server = (fitted[table] for table in ("step", "up", "server"))
    assert f"{step['mean']:.3f} s per step with a variation of {100 * step['cv']:.0f} %" in text
    assert f"{up['mean']:.3f} s each way on the network, and {server['mean']:.3f} s at the server" in text


def test_the_committed_benchmark_of_the_clock_is_what_the_page_says_and_good_enough() -> None:
    """5 x 10⁵ exchanges a second at 40 workers, and at 10,000 at most 20 times the cost of one."""
    rows = pd.read_csv(ROOT / "results" / "benchmarks" / "timeline.csv").set_index(["order", "workers"])
    assert rows["same_order"].all()
    assert (rows["exchanges"] == 1_000_000).all()
    for order in ("random", "fifo"):
        assert rows.loc[(order, 40), "exchanges_per_s"] >= 5e5
        assert rows.loc[(order, 10_000), "cost_over_40_workers"] <= 20
    for order, shown in (("random", "random"), ("fifo", "first in first out")):
        few, many = rows.loc[(order, 40)], rows.loc[(order, 10_000)]
        cells = [
            f"{few['exchanges_per_s'] / 1e6:.1f} million per second",
            f"{many['cost_over_40_workers']:.1f} times",
            f"{few['times_as_fast_as_heapq']:.1f}",
            f"{many['times_as_fast_as_heapq']:.1f}",
        ]
        assert f"| {shown} | {' | '.join(cells)} |" in page("how-fast-is-it")
    ruled = pd.read_csv(ROOT / "results" / "benchmarks" / "rules.csv")
    rates, plain = ruled["exchanges_per_s"], ruled["rules"] == "none"
    few = rates[(ruled["workers"] == 40) & ~plain] / 1e6
    text = said(page("how-fast-is-it"))
    assert f"makes {few.min():.2f} to {few.max():.2f} million exchanges per second" in text
    assert f"and {rates[ruled['interrupted'] > 1000].min() / 1e3:.0f},000 and more with 1,000 workers" in text
    assert f"made {rates[plain].iloc[0] / 1e6:.1f} million without rules" in text


def test_the_committed_benchmark_of_training_is_what_the_page_says() -> None:
    """And good enough, compared with bare steps and with the other loops, to the precision in which it is quoted."""
    rows = pd.read_csv(ROOT / "results" / "benchmarks" / "training.csv")
    assert len(rows.drop_duplicates(["model", "local_optimizer", "local_steps", "workers"])) == len(rows)
    assert rows["repetitions"].ge(5).all()
    long, one = rows[rows["local_steps"] >= 15], rows[rows["local_steps"] == 1]
    most = long["model"].map({"mlp-small": 1.10, "mlp-paper": 1.05, "cnn": 1.05, "transformer": 1.05})
    assert (long["simulation_over_bare"].round(2) <= most).all()
    perceptrons = one["model"].str.startswith("mlp")  # of others no bound is set where every step is an exchange
    assert (one["simulation_over_bare"].round(2)[perceptrons] <= 1.25).all()
    assert (rows["plain_jax_over_simulation"].dropna() >= 1).all()
    assert (long[long["model"] == "mlp-small"]["pytorch_loop_over_simulation"] >= 1.3).all()

    def span(numbers: pd.Series, form: str) -> str:
        least, most = form.format(numbers.min()), form.format(numbers.max())
        return least if least == most else f"{least} to {most}"

    for (model, optimizer), these in rows.groupby(["model", "local_optimizer"]):
        compared = these["plain_jax_over_simulation"].notna().all()  # the loops train perceptrons only
        parts = [these[these["local_steps"] >= 15], these[these["local_steps"] == 1]]
        cells = [
            f"`{model}`, {optimizer}",
            f"{these['bare_step_ms'].median():.2f} ms, {100 * these['bare_over_sgemm'].median():.0f} %",
            *(span(part["simulation_over_bare"], "{:.2f}") for part in parts),
            ", ".join(span(part["pytorch_loop_over_simulation"], "{:.1f}") for part in parts) if compared else "–",
            span(these["plain_jax_over_simulation"], "{:.2f}") if compared else "–",
        ]
        assert f"| {' | '.join(cells)} |" in page("how-fast-is-it")


def test_the_committed_benchmark_of_whole_commands_is_what_the_page_says_and_good_enough() -> None:
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
    text = said(page("how-fast-is-it"))
    assert f"take {seeds:.1f} times the training time of one" in text
    assert f"the first result is there after {cold:.1f} s" in text
    assert f"(the variable `JAX_COMPILATION_CACHE_DIR` names its folder), it is there after {warm:.1f} s" in text


def test_the_checks_against_other_authors_are_those_of_the_committed_runs() -> None:
    rows = pd.read_csv(ROOT / "results" / "checks" / "least-squares" / "summary.csv")
    gaps = rows.groupby(rows["optimizer"].str.rpartition(":")[2])
    table = page("can-i-trust-it")
    for optimizer, name in {
        "local-sgd": "mini-batch: all wait for all",
        "downpour": "asynchronous",
        "DelayAdaptive": "asynchronous with delay-adaptive steps",
    }.items():
        own = gaps.get_group(optimizer)["center_gap"]
        assert sorted(gaps.get_group(optimizer)["seed"]) == [0, 1, 2]
        (ours,) = re.findall(rf"^\| {name} \| [\d.]+ \| ([\d.]+) \|$", table, flags=re.MULTILINE)
        assert all(float(f"{gap:.2g}") == float(ours) for gap in own)


def test_the_settings_that_others_found_best_are_those_of_the_committed_runs() -> None:
    rows = pd.read_csv(ROOT / "results" / "checks" / "ringmaster" / "summary.csv")
    rows["method"] = rows["optimizer"].str.rpartition(":")[2]

    def gap(method: str, **numbers: float) -> str:
        """As in the table."""
        own = rows[rows["method"] == method]
        for column, value in numbers.items():
            own = own[own[column] == value]
        (row,) = own.to_dict("records")
        value = row["center_gap"]
        shown = f"{float(f'{value:.3g}'):,.0f}" if value >= 1e3 else f"{value:.4f}" if value < 1 else f"{value:.2f}"
        return "diverged" if row["status"] == "diverged" else shown

    at = partial(gap, "ringmaster", threshold=6)
    ours = f"R 1: {gap('ringmaster', threshold=1)}; R 24: {gap('ringmaster', threshold=24)}"
    assert f"| {at(learning_rate=0.25)} | {ours}; rate 0.05: {at(learning_rate=0.05)};" in page("can-i-trust-it")
    assert at(learning_rate=1.25) == "diverged"
    at = partial(gap, "Rennala", size=6)
    ours = f"B 1: {gap('Rennala', size=1)}; B 24: {gap('Rennala', size=24)}"
    assert f"| {at(learning_rate=1)} | {ours}; rate 0.2: {at(learning_rate=0.2)};" in page("can-i-trust-it")
    assert at(learning_rate=5) == "diverged"
    at = partial(gap, "DelayAdaptive")
    around = f"rate 0.000064: {at(learning_rate=6.4e-5)}; rate 0.0016: {at(learning_rate=0.0016)}"
    assert f"| {at(learning_rate=0.00032)} | {around} |" in page("can-i-trust-it")


def test_the_order_on_other_networks_is_that_of_the_committed_runs() -> None:
    runs = comparison.read_runs([ROOT / "results" / "architectures"])
    found = comparison.configurations(runs, runs.measured("test_accuracy"), "problem")
    for problem, name in {
        "cnn": "convolutional, digits",
        "resnet": "residual, 8 x 8 digits",
        "transformer": "transformer, a copying task",
    }.items():
        group = {one.columns["optimizer"]: one for one in found if one.columns["problem"] == problem}
        until = comparison.common_horizon_s([*group.values()])
        areas = {optimizer: comparison.areas(one, until) for optimizer, one in group.items()}
        cells = [f"{100 * np.mean([*areas['agn'].values()]):.1f} %"]
        for optimizer in ("easgd", "dynsgd", "downpour"):
            more = [100 * (areas[optimizer][seed] - areas["agn"][seed]) for seed in (0, 1, 2)]
            half = 4.302653 * np.std(more, ddof=1) / np.sqrt(3)  # Student's t, two degrees of freedom
            cells.append(f"{np.mean(more):+.1f} ± {half:.1f}".replace("-", "−"))
        assert f"| {name} | {' | '.join(cells)} |" in page("choose-a-problem")


def test_the_verdicts_are_those_of_the_committed_runs_and_the_page_has_them() -> None:
    given = runpy.run_path(str(ROOT / "experiments" / "checks" / "verdicts.py"))["rows"]()
    path = ROOT / "results" / "checks" / "checks.csv"
    assert path.read_text(encoding="utf-8") == files.csv_text(given)
    for row in given:
        cells = [str(row[name]) for name in ("check", "what", "published", "ours", "rule", "verdict")]
        assert f"| {' | '.join(cells)} |" in page("can-i-trust-it")


def test_the_cost_of_every_optimizer_is_what_the_page_says_and_no_more_than_it_needs() -> None:
    rows = pd.read_csv(ROOT / "results" / "benchmarks" / "optimizers.csv")
    assert {*rows["optimizer"]} == {*OPTIMIZERS}
    assert rows["repetitions"].ge(5).all()
    assert (rows.loc[rows["needs"] == "nothing more", "step_over_agn"] <= 1.25).all()
    for row in rows.to_dict("records"):
        cells = [f"`{row['optimizer']}`", f"{row['step_over_agn']:.2f}", f"{row['held_over_agn']:.2f}", row["needs"]]
        assert f"| {' | '.join(cells)} |" in page("how-fast-is-it")
