"""The page that one can send: what its document holds is what tables and plots say, and nothing in it is a program."""

from __future__ import annotations

import csv
import hashlib
import html
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from agn_bench.analysis import comparison, tables
from agn_bench.analysis.arrangement import arrange
from agn_bench.analysis.figures.curves import over_seeds
from agn_bench.analysis.figures.look import COLOURS
from agn_bench.analysis.report import cells, document, lines, numbers, page, phases

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "results"
REPORT = ROOT / "agn_bench" / "analysis" / "report"
ECHARTS = "b66b25aeb4df84e33199dc21694014d336d222cbd9deb0e5a7c14bd6aa0d0fd0"
"""The SHA-256 of dist/echarts.min.js of the package echarts 6.1.0."""
Command = Callable[..., tuple[int, str, str]]
Json = Any
HOSTILE = pytest.mark.kind("a name that a page could take for a program or for its own marks")

BASE = {
    "experiment": "adhoc", "optimizer": "agn", "workers": 2, "local_steps": 2, "dataset": "mnist", "model": "mlp-9",
    "local_optimizer": "sgd", "learning_rate": 0.1, "momentum": "", "alpha": "", "batch_size": 8, "epochs": 1.0,
    "delays": "ideal", "data_split": "mixed", "reset_local_optimizer": False, "window_s": 5.0, "eval_every": "",
    "status": "done", "exchanges": 10, "gradient_steps": 20, "sim_time_s": 10.0, "test_accuracy": 0.5, "diverged_s": "",
    "mean_staleness": 1.5, "p95_staleness": 3.0,
}  # fmt: skip


def write(folder: Path, *runs: dict[str, Any]) -> Path:
    """An experiment folder: of each run its columns that differ from BASE. Its accuracy rises from 0 to its level."""
    folder.mkdir(parents=True, exist_ok=True)
    rows, points = [], []
    for number, columns in enumerate(runs):
        own = {name: value for name, value in columns.items() if name not in ("seed", "level")}
        run = own.pop("run_id", f"run{number}")
        row = {"configuration": f"hash {sorted(map(str, own.items()))}", "seed": 0, **BASE, **columns}
        level = row.pop("level", 0.9)
        rows.append({**row, "run_id": run})
        for t in range(11):
            value = level * t / 10
            points.append({"run_id": run, "time_s": float(t), "gradient_steps": 2 * t, "train_accuracy": value})
    for name, table in (("summary.csv", rows), ("curves.csv.gz", points)):
        pd.DataFrame(table, dtype=object).to_csv(folder / name, index=False)
    return folder


def made(*folders: Path, measure: str | None = None) -> Json:
    """The document of some folders."""
    runs = comparison.read_runs([*folders]).asked()
    return document.document(runs, runs.measured(measure), "a title")


@pytest.fixture(scope="module")
def four() -> Json:
    return made(RESULTS / "four-methods")


def table_of(measure: Json) -> dict[str, dict[str, Any]]:
    """The table of configurations, by configuration and heading."""
    heads = [column["head"] for column in measure["table"]["columns"]]
    found = {}
    for _, *own in measure["table"]["rows"]:
        found[own[0]] = dict(zip(heads, own, strict=True))
    return found


def committed(name: str) -> list[dict[str, str]]:
    with (RESULTS / "four-methods" / "tables" / name).open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


# --- what it says is what `table` and `plot` say ---


def test_its_curves_are_those_that_the_committed_table_reads(four: Json) -> None:
    """At 30, 60 and 120 s, where the curves have points of their own."""
    measure = four["measures"][0]
    assert measure["column"] == "train_accuracy"
    (over_time, *_) = measure["lines"]
    labels = [one["label"] for one in four["configurations"]]
    for row in committed("accuracy.csv"):
        line = over_time[labels.index(row["optimizer"])]
        for time_s in (30, 60, 120):
            place = line["x"].index(time_s)
            assert line["m"][place] == pytest.approx(100 * float(row[f"accuracy_at_{time_s}s_mean"]), rel=1e-4)
            assert line["s"][place] == pytest.approx(100 * float(row[f"accuracy_at_{time_s}s_std"]), rel=1e-2, abs=1e-9)


def test_its_table_is_the_committed_one(four: Json) -> None:
    shown = table_of(four["measures"][0])
    for row in committed("accuracy.csv"):
        own = shown[row["optimizer"]]
        assert own["area (%)"][0] == pytest.approx(100 * float(row["area_mean"]), rel=1e-6)
        for level in ("0.8", "0.9", "0.95"):
            said = own[f"s to {100 * float(level):g} %"]
            mean = row[f"time_to_{level}_s_mean"]
            assert said[0] == (pytest.approx(float(mean), rel=1e-6) if mean else None)
        if row["area_behind_mean"]:
            behind = next(cell for head, cell in own.items() if head.startswith("behind"))
            assert behind[0] == pytest.approx(100 * float(row["area_behind_mean"]), rel=1e-6)


def test_its_differences_are_what_the_committed_table_has_behind_the_best(four: Json) -> None:
    paired = four["measures"][0]["paired"]
    behind = {row["optimizer"]: row for row in committed("accuracy.csv") if row["area_behind_mean"]}
    assert paired["reference"] == "agn"
    assert {row[0] for row in paired["rows"]} == {*behind}
    for (name, *_), (mean, low, high) in zip(paired["rows"], paired["intervals"], strict=True):
        half = float(behind[name]["area_behind_half_width_95"])
        assert mean == pytest.approx(-100 * float(behind[name]["area_behind_mean"]), rel=1e-4)
        assert (high - low) / 2 == pytest.approx(100 * half, rel=1e-3)


@pytest.mark.parametrize("name", ["four-methods", "reduced", "paper"])
def test_why_an_optimizer_is_the_reference_is_true_of_the_areas(name: str) -> None:
    """Counted anew, from the cells."""
    runs = comparison.read_runs([RESULTS / name]).asked()
    found = comparison.configurations(runs, runs.measured())
    grid, paired = numbers._grid(found), numbers.paired(found)
    areas: dict[str, list[float]] = {block: [] for block in grid.blocks}
    for own in grid.cells.values():
        for block, one in own.items():
            until = comparison.common_horizon_s([*own.values()])
            areas[block].append(float(np.mean([*comparison.areas(one, until).values()])))
    said, reference = paired["says"][1], paired["reference"]
    tried = len(areas[reference])
    assert tried == max(map(len, areas.values()))
    alike = [block for block, own in areas.items() if len(own) == tried]
    if "no other" in said:
        assert alike == [reference]
        assert f"{tried} of {len(grid.cells)} cells" in said
        return
    assert len(alike) > 1
    assert max(alike, key=lambda block: np.mean(areas[block])) == reference
    if "of all optimizers" in said:
        assert len(alike) == len(areas)
    else:
        assert f"of the {len(alike)} optimizers that were tried in most cells, {tried} of {len(grid.cells)}," in said


@pytest.mark.parametrize("optimizers", [["agn"], ["agn", "easgd"]])
def test_of_many_configurations_it_ranks_together_what_the_table_does(tmp_path: Path, optimizers: list[str]) -> None:
    """The runs last different times, so areas are means over different times where they are ranked apart."""
    several = [
        {**one, "delays": delays, "sim_time_s": 6.0 + at % 4}
        for delays in ("ideal", "stragglers", "home")
        for at, one in enumerate(many(*optimizers))
    ]
    folder = write(tmp_path, *several)
    runs = comparison.read_runs([folder])
    groups = comparison.compared(runs, runs.measured())
    assert len(groups) == (1 if len(optimizers) == 1 else 27)
    areas = [row["area_mean"] for own in groups.values() for row in tables.measure_table(own, [], [])]
    found = made(folder)["measures"][0]["table"]
    shown = [row[1 + found["area"]][0] for row in found["rows"]]
    assert shown == pytest.approx([100 * area for area in areas], rel=1e-6)


def test_evaluations_are_steps_and_every_one_is_there(four: Json) -> None:
    place = [one["column"] for one in four["measures"]].index("test_accuracy")
    measure = four["measures"][place]
    assert measure["held"]
    labels = [one["label"] for one in four["configurations"]]
    runs = comparison.read_runs([RESULTS / "four-methods"])
    for one in comparison.configurations(runs, runs.measured("test_accuracy")):
        line = measure["lines"][0][labels.index(one.label)]
        times, mean, deviation = over_seeds(one.curves, held=True)
        assert line["x"] == pytest.approx(times, rel=1e-5)
        assert line["m"] == pytest.approx(100 * mean, rel=1e-4)
        assert line["s"] == pytest.approx(100 * deviation, rel=1e-2, abs=1e-9)


def test_a_colour_is_the_one_of_plots(four: Json) -> None:
    runs = comparison.read_runs([RESULTS / "four-methods"])
    drawn = arrange(comparison.configurations(runs, runs.measured()))
    colours = {line.label: COLOURS[line.look.colour] for line in drawn.panels[0].lines}
    assert {one["name"]: one["colour"] for one in four["optimizers"]} == colours


def test_a_seed_that_diverged_has_a_cross_where_it_did(four: Json) -> None:
    """Two of DOWNPOUR's three; they count as chance from there, so the mean ends near 10 %."""
    place = [one["label"] for one in four["configurations"]].index("downpour")
    line = four["measures"][0]["lines"][0][place]
    summary = pd.read_csv(RESULTS / "four-methods" / "summary.csv")
    assert sorted(x for x, _ in line["c"]) == pytest.approx(sorted(summary["diverged_s"].dropna()), rel=1e-4)
    assert line["m"][-1] == pytest.approx(10, abs=1)
    assert four["configurations"][place]["diverged"] == 2


def test_exchanges_and_steps_count_what_the_runs_did(tmp_path: Path) -> None:
    """A phase has 2 steps, and a step is done every half second."""
    found = made(write(tmp_path, {}))
    (over_time,), (exchanges,), (steps,) = found["measures"][0]["lines"]
    assert [one["name"] for one in found["axes"]] == ["time", "exchanges", "steps"]
    assert over_time["x"] == [*range(11)]
    assert steps["x"] == [*range(0, 21, 2)]
    assert exchanges["x"] == [*range(11)]
    assert over_time["m"] == exchanges["m"] == steps["m"] == pytest.approx([9.0 * t for t in range(11)])


def test_a_run_without_an_axis_has_no_line_along_it(tmp_path: Path) -> None:
    """Where phases have different numbers of steps, its curve does not say how many exchanges there were."""
    found = made(write(tmp_path, {"exchanges": 7}))
    (over_time,), (exchanges,), (steps,) = found["measures"][0]["lines"]
    assert (over_time is None, exchanges is None, steps is None) == (False, True, False)


@pytest.mark.parametrize("most", [40, 41, 200])
def test_points_that_are_left_out_hide_no_dip(most: int) -> None:
    generator = np.random.default_rng(most)
    mean = np.cumsum(generator.normal(size=5000))
    mean[1234], mean[4321] = -1e3, 1e3
    places = lines.kept(mean, most)
    assert len(places) <= most
    assert [*places] == sorted({*places})
    assert {0, 1234, 4321, 4999} <= {*places}
    assert [*lines.kept(mean[:most], most)] == [*range(most)]


def test_numbers_are_rounded_all_at_once_as_one_by_one() -> None:
    generator = np.random.default_rng(0)
    values = np.concatenate(
        [generator.normal(size=3000) * 10.0 ** generator.integers(-12, 12, 3000), [0, 1, 93.12, 1e22, np.nan, np.inf]]
    )
    for digits in (3, 5, 6):
        for some in (values, values[np.isfinite(values)]):
            assert cells.numbers(some, digits) == [cells.number(value, digits) for value in some]


# --- what it shows at first ---


def many(*optimizers: str) -> list[dict[str, Any]]:
    return [
        {"optimizer": name, "workers": n, "local_steps": steps, "level": 0.5 + 0.001 * n - 0.0001 * steps}
        for name in optimizers
        for n in (10, 20, 40)
        for steps in (1, 5, 10)
    ]


def test_of_many_configurations_it_shows_a_choice_first_and_says_which(tmp_path: Path) -> None:
    runs = [*many("agn", "easgd"), {"optimizer": "dynsgd", "workers": 20, "local_steps": 5}]
    found = made(write(tmp_path, *runs))
    workers = next(one for one in found["columns"] if one["name"] == "workers")
    assert found["start"] == {
        "on": {"workers": [workers["values"].index("20")]},
        "best": False,
        "words": ["n = 20"],
    }
    assert made(write(tmp_path / "few", *runs[:5]))["start"] == {"on": {}, "best": False, "words": []}


def test_labels_leave_out_what_is_usual(tmp_path: Path) -> None:
    runs = [*many("agn", "easgd"), {"optimizer": "agn", "workers": 10, "local_steps": 1, "delays": "stragglers"}]
    found = made(write(tmp_path, *runs))
    labels = {one["label"] for one in found["configurations"]}
    assert found["usual"] == "ideal"
    assert {"agn, n 10, λ 1", "agn, n 10, λ 1, stragglers", "easgd, n 40, λ 10"} <= labels
    assert len(labels) == 19
    assert [(one["name"], one["more"]) for one in found["columns"]] == [
        ("optimizer", False), ("workers", False), ("local_steps", False), ("delays", True),
    ]  # fmt: skip


def test_workers_and_local_steps_make_a_map_of_each_optimizer(tmp_path: Path) -> None:
    runs = [*many("agn", "easgd"), {"optimizer": "dynsgd", "workers": 20, "local_steps": 5}]
    maps = made(write(tmp_path, *runs))["measures"][0]["maps"]
    assert [one["title"] for one in maps] == ["agn", "easgd"]
    assert (maps[0]["workers"], maps[0]["steps"]) == ([10, 20, 40], [1, 5, 10])
    # A line from 0 to its level has half of that as its mean.
    expected = [[100 * (0.5 + 0.001 * n - 0.0001 * steps) / 2 for n in (10, 20, 40)] for steps in (1, 5, 10)]
    assert maps[0]["layers"][0]["title"] == "area (%)"
    assert np.array(maps[0]["layers"][0]["values"]) == pytest.approx(np.array(expected), rel=1e-4)


def test_two_folders_are_told_apart_by_their_experiments(tmp_path: Path) -> None:
    one = write(tmp_path / "one", {"experiment": "one"})
    other = write(tmp_path / "other", {"experiment": "other", "workers": 4})
    summary, curves = (pd.read_csv(other / name, dtype=str) for name in ("summary.csv", "curves.csv.gz"))
    for name, table in (("summary.csv", summary), ("curves.csv.gz", curves)):
        table.assign(run_id="another").to_csv(other / name, index=False)
    found = made(one, other)
    assert {"name": "experiment", "word": "experiment", "values": ["one", "other"], "more": False} in found["columns"]
    assert [folder["name"] for folder in found["head"]["folders"]] == ["one", "other"]


# --- phases, claims, what made the runs ---


def with_phases(folder: Path, count: int) -> Path:
    """A folder whose run has `count` exchanges by two workers, every third of which was dropped."""
    write(folder, {})
    own = folder / "runs" / "run0"
    own.mkdir(parents=True)
    rows = [
        {
            "worker": at % 2, "start_s": at, "compute_end_s": at + 0.5, "served_s": at + 0.6, "applied_s": at + 0.7,
            "resume_s": at + 0.9, "staleness": at % 4, "accepted": int(at % 3 > 0),
        }
        for at in range(count)
    ]  # fmt: skip
    pd.DataFrame(rows).to_csv(own / "commits.csv", index=False)
    return folder


def test_what_workers_did_is_there_where_the_runs_folder_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = made(with_phases(tmp_path, 12))["phases"]["runs"]["run0"]
    assert found["worker"] == [0, 1] * 6
    assert (found["start"][3], found["computed"][3], found["applied"][3], found["resumed"][3]) == (3, 3.5, 3.7, 3.9)
    assert found["bars"] == [3, 3, 3, 3]
    assert found["accepted"] == [0, 1, 1] * 4
    monkeypatch.setattr(phases, "MOST_OF_A_RUN", 5)
    fewer = made(tmp_path)["phases"]["runs"]["run0"]
    assert (len(fewer["worker"]), fewer["phases"], fewer["bars"]) == (5, 12, [3, 3, 3, 3])


def test_a_run_is_made_again_from_the_folder_that_says_how_it_was_made(tmp_path: Path) -> None:
    for name in ("one", "two", "three"):
        write(tmp_path / name, {"experiment": name})
        for file in ("summary.csv", "curves.csv.gz"):
            table = pd.read_csv(tmp_path / name / file, dtype=str)
            table.assign(run_id=f"run-{name}").to_csv(tmp_path / name / file, index=False)
    record = {"run-two": {"config": {}}, "run-three": {"machine": {}}}
    (tmp_path / "two" / "provenance.json").write_text(json.dumps(record), encoding="utf-8")
    found = made(tmp_path / "one", tmp_path / "two", tmp_path / "three")["configurations"]
    places = {run: place for one in found for run, place in zip(one["runs"], one["folders"], strict=True)}
    assert places == {"run-one": None, "run-two": 1, "run-three": None}


def test_without_the_runs_folder_it_says_what_makes_it_again(four: Json) -> None:
    assert four["phases"]["runs"] == {}
    assert {place for one in four["configurations"] for place in one["folders"]} == {0}
    agn = [one["label"] for one in four["configurations"]].index("agn")
    summary = pd.read_csv(RESULTS / "four-methods" / "summary.csv").groupby("optimizer")["mean_staleness"].mean()
    assert four["staleness"][agn][0] == pytest.approx(summary["agn"], rel=1e-4)


@pytest.mark.parametrize("worker", ["", "2", "-1", "1000000000"])
def test_phases_of_a_worker_that_the_run_does_not_have_are_not_drawn(tmp_path: Path, worker: str) -> None:
    """A row without a worker is left out; a run whose workers are more than it has is."""
    folder = with_phases(tmp_path, 3)
    path = folder / "runs" / "run0" / "commits.csv"
    path.write_text(path.read_text(encoding="utf-8").replace("\n1,", f"\n{worker},"), encoding="utf-8")
    found = made(folder)["phases"]["runs"]
    assert found == {} if worker else found["run0"]["worker"] == [0, 0]


@pytest.mark.parametrize("content", ["", "worker\n", "worker,staleness\n0,x\n", "staleness\n1\n", "\x00\xff"])
def test_a_spoiled_file_of_phases_is_left_out(tmp_path: Path, content: str) -> None:
    folder = with_phases(tmp_path, 3)
    (folder / "runs" / "run0" / "commits.csv").write_text(content, encoding="latin-1")
    assert made(folder)["phases"]["runs"] == {}


def test_a_papers_folder_has_its_claims(tmp_path: Path) -> None:
    folder = write(tmp_path, {})
    (folder / "tables").mkdir()
    text = (RESULTS / "reduced" / "tables" / "claims.csv").read_text(encoding="utf-8")
    (folder / "tables" / "claims.csv").write_text(text, encoding="utf-8")
    ((own),) = made(folder)["claims"]
    rows = list(csv.DictReader(text.splitlines()))
    assert [claim["number"] for claim in own["claims"]] == sorted({int(row["claim"]) for row in rows})
    assert sum(len(claim["measures"]) for claim in own["claims"]) == len(rows)
    assert own["claims"][0]["verdict"] == rows[0]["verdict"]
    head, first, *others = text.splitlines(keepends=True)
    spoiled = head + first[first.index(",") :] + "".join(others)  # its first row does not say which claim it is of
    (folder / "tables" / "claims.csv").write_text(spoiled, encoding="utf-8")
    ((own),) = made(folder)["claims"]
    assert sum(len(claim["measures"]) for claim in own["claims"]) == len(rows) - 1
    (folder / "tables" / "claims.csv").write_text("claim,text\n1,x\n", encoding="utf-8")
    assert made(folder)["claims"] == []


def test_what_made_runs_is_said_once_for_all_that_were_made_alike(four: Json) -> None:
    groups = four["making"]["groups"]
    assert sum(int(group["runs"]) for group in groups) == four["head"]["runs"] == 12
    assert all(seeds == "0, 1, 2" for _, seeds in four["making"]["commands"])
    assert len(four["making"]["commands"]) == 4
    record = json.loads((RESULTS / "four-methods" / "provenance.json").read_text(encoding="utf-8"))
    assert {group["commit"][:12] for group in groups} == {
        one["machine"]["commit"]["id"][:12] for one in record.values() if "config" in one
    }


@pytest.mark.parametrize(
    "content",
    [
        {"machine": "mybox"}, {"machine": ["mybox"]}, {"machine": {"versions": ["jax"]}}, {"wall_clock_s": 3},
        {"machine": {"hardware": "mybox", "commit": "0a1b"}}, {"wall_clock_s": {"total": "long"}},
        {"wall_clock_s": {"total": float("nan")}}, {"started": 3, "command": ["agn-bench"]},
    ],
)  # fmt: skip
def test_what_nobody_understands_of_what_made_runs_is_left_out(tmp_path: Path, content: dict[str, Any]) -> None:
    folder = write(tmp_path, {})
    (folder / "provenance.json").write_text(json.dumps({"run0": content}), encoding="utf-8")
    (group,) = made(folder)["making"]["groups"]
    assert (group["runs"], group["hours of computing"]) == ("1", "0")


@pytest.mark.parametrize("content", [None, "", "[]", '{"run0": 3}', '{"run0": {"machine": null}}'])
def test_nothing_is_said_of_what_made_runs_where_nothing_is_known(tmp_path: Path, content: str | None) -> None:
    folder = write(tmp_path, {})
    if content is not None:
        (folder / "provenance.json").write_text(content, encoding="utf-8")
    making = made(folder)["making"]
    assert making is None or making["groups"] == [{"runs": "1", "hours of computing": "0"}]


# --- the file ---

NAMES = [
    "</script><script>alert(1)</script>", "<img src=x onerror=alert(1)>", "\"';&amp;", "{{DOCUMENT}}", "<!--", "λ–αβγ",
    "a\u2028b", "\\u003c", "constructor", "__proto__",
]  # fmt: skip


@HOSTILE
@pytest.mark.parametrize("name", NAMES)
def test_no_name_ends_the_document_or_begins_anything(tmp_path: Path, name: str) -> None:
    folder = write(tmp_path, {"optimizer": name, "delays": name}, {"optimizer": "agn"})
    found = made(folder) | {"title": name}
    text = page.page(found)
    held = re.search('<script type="application/json" id="document">(.*?)</script>', text, re.DOTALL)
    assert held is not None
    assert "<" not in held[1]
    assert json.loads(held[1]) == found
    title = re.search("<title>(.*?)</title>", text)
    assert title is not None
    assert "<" not in title[1]
    if name.isprintable():
        assert html.unescape(title[1]) == name
        assert name in next(one for one in found["columns"] if one["name"] == "optimizer")["values"]


@HOSTILE
@pytest.mark.skipif(os.name == "nt", reason="names are UTF-16 there")
def test_a_folder_whose_name_is_no_utf_8_has_a_page(tmp_path: Path, command: Command) -> None:
    folder = write(Path(os.fsdecode(bytes(tmp_path) + b"/caf\xe9")), {})
    code, _, err = command("report", folder)
    assert (code, err) == (0, "")
    assert b"caf\\\\xe9" in (folder / "report.html").read_bytes()


def test_the_lead_says_nothing_that_is_false_of_some_runs() -> None:
    """Some optimizers wait for all workers, and a single seed says nothing of how sure a number is."""
    assert {"local-sgd", "stale-synchronous"} <= {*pd.read_csv(RESULTS / "equal-time" / "summary.csv")["optimizer"]}
    lead = (REPORT / "web" / "sections.js").read_text(encoding="utf-8").partition('"lead"')[2].partition("facts")[0]
    assert "trained in exactly that order" in lead
    assert not re.search(r"\b(wait|sure)\b", lead)


@HOSTILE
@pytest.mark.skipif(os.name == "nt", reason="no folder can be called so there")
def test_a_run_has_one_name_all_over_the_page(tmp_path: Path) -> None:
    name = "a\u202eb\u2028\ttwo"
    folder = with_phases(tmp_path, 3)
    (folder / "runs" / "run0").rename(folder / "runs" / name)
    for file in ("summary.csv", "curves.csv.gz"):
        pd.read_csv(folder / file, dtype=str).assign(run_id=name).to_csv(folder / file, index=False)
    found = made(folder)
    (run,) = found["configurations"][0]["runs"]
    ((_, in_the_table, *_),) = found["runs"]["rows"]
    assert [run] == [in_the_table] == [*found["phases"]["runs"]]
    assert run.isprintable()


def test_a_heading_says_what_stands_below_it_in_whole_sentences(four: Json) -> None:
    columns = [one for table in (four["runs"], four["measures"][0]["table"]) for one in table["columns"]]
    assert [one["says"] for one in columns if one["says"].startswith("Of ")] == []
    (staleness,) = (one["says"] for one in columns if one["head"] == "mean staleness")
    assert staleness == "Versions that the center gained between a worker's pull and its commit."


def test_our_part_of_the_page_names_no_address() -> None:
    ours = {path.name: path.read_text(encoding="utf-8") for path in (REPORT / "web").iterdir()}
    assert len(ours) > 10
    assert [name for name, text in ours.items() if "http" in text.replace("http-equiv", "")] == []
    assert "default-src 'none'" in ours["page.html"]


def test_no_text_of_the_document_becomes_a_part_of_the_page() -> None:
    """Elements are made one by one, and texts are text nodes; the only HTML is that of an empty drawing."""
    program = "".join(path.read_text(encoding="utf-8") for path in (REPORT / "web").glob("*.js"))
    assert re.findall("innerHTML: (.*?) }", program) == ['"<svg></svg>"']
    assert not re.search(r"outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|innerHTML =", program)


def test_the_library_is_the_one_that_was_released() -> None:
    content = (REPORT / "echarts" / "echarts.min.js").read_bytes()
    assert hashlib.sha256(content).hexdigest() == ECHARTS
    assert b"Apache License" in (REPORT / "echarts" / "LICENSE").read_bytes()
    assert b"Apache ECharts" in (REPORT / "echarts" / "NOTICE").read_bytes()
    assert ECHARTS in (ROOT / "NOTICES.md").read_text(encoding="utf-8")


def test_a_page_is_the_same_however_its_folder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So it has no path of whoever made it."""
    folder = with_phases(tmp_path / "own" / "runs-of-mine", 3)
    (folder / "tables").mkdir()
    (folder / "tables" / "claims.csv").write_bytes((RESULTS / "reduced" / "tables" / "claims.csv").read_bytes())
    text = page.page(made(folder))
    monkeypatch.chdir(folder.parent)
    assert page.page(made(Path(folder.name))) == page.page(made(Path("..") / "own" / folder.name)) == text
    assert "runs-of-mine" in text
    assert str(tmp_path) not in text


# --- the command ---


def test_it_writes_into_the_first_folder_and_says_how_large_it_is(tmp_path: Path, command: Command) -> None:
    one, other = write(tmp_path / "one", {}), write(tmp_path / "other", {"workers": 5})
    code, out, err = command("report", one, other, "--title", "Two & three")
    assert (code, err) == (0, "")
    assert out.strip().startswith(f"{one / 'report.html'}: 1.2 MB")
    assert "<title>Two &amp; three</title>" in (one / "report.html").read_text(encoding="utf-8")
    assert sorted(path.name for path in one.iterdir()) == ["curves.csv.gz", "report.html", "summary.csv"]


def held_by(path: Path) -> Json:
    found = re.search('id="document">(.*?)</script>', path.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    return json.loads(found[1])


def test_it_reads_what_plot_would(tmp_path: Path, command: Command) -> None:
    folder = write(tmp_path, {"in_experiment": True}, {"workers": 5, "in_experiment": False}, {"workers": 9})
    target = tmp_path / "page.html"
    for words, runs in (([], 2), (["--all"], 3), (["--only", "workers=9"], 1)):
        assert command("report", folder, "--out", target, *words)[0] == 0
        assert held_by(target)["head"]["runs"] == runs
    assert held_by(target)["title"] == tmp_path.name


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--out", "page.pdf"], "--out page.pdf: no page is written as .pdf; accepted: a name that ends in .html"),
        (["--out", "page"], "--out page: has no ending; accepted: a name that ends in .html"),
        (["--measure", "test_loss"], "--measure test_loss: unknown"),
        (["--only", "workers=77"], "--only workers=77: no run has it"),
    ],
)
def test_what_it_cannot_do_is_said_in_a_line(tmp_path: Path, command: Command, words: list[str], said: str) -> None:
    folder = write(tmp_path, {})
    code, out, err = command("report", folder, *words)
    assert (code, out) == (2, "")
    assert err.startswith(f"agn-bench: {said}")
    assert err.count("\n") == 1
    assert not (folder / "report.html").exists()


def test_a_folder_without_runs_has_no_page(tmp_path: Path, command: Command) -> None:
    code, _, err = command("report", tmp_path)
    assert code == 2
    assert "has no summary.csv" in err
