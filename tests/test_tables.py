"""Our own CSV files hold what their columns are declared to hold, and the tables of a grid, from files made by hand."""

from __future__ import annotations

import ast
import csv
import html
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import agn_bench
from agn_bench.analysis import comparison, tables, written
from agn_bench.base import files
from agn_bench.base.tabular import FLAG, NUMBER, TEXT, WHOLE, WrongType, read_table
from agn_bench.base.user_files import read_csv
from agn_bench.config.run import RunConfig
from agn_bench.config.selection import only
from agn_bench.store.collected import SUMMARY
from agn_bench.studies.benchmarks.training import merge_rows
from agn_bench.training.columns import CURVE_TYPES, SUMMARY_TYPES

Command = Callable[..., tuple[int, str, str]]
Write = Callable[..., Path]
GUESSED = pytest.mark.kind("a column of a CSV file whose type is guessed")
CHORD = pytest.mark.kind("a straight line between two evaluations taken for a result")
SURVIVORS = pytest.mark.kind("a mean over the seeds that went well")
LEFT_OVER = pytest.mark.kind("runs that an edited experiment file no longer asks for")

BASE = {
    "experiment": "adhoc", "optimizer": "agn", "workers": 2, "local_steps": 3, "dataset": "mnist", "model": "mlp-9",
    "local_optimizer": "sgd", "learning_rate": 0.1, "momentum": "", "alpha": "", "batch_size": 8, "epochs": 1.0,
    "delays": "ideal", "data_split": "mixed", "reset_local_optimizer": False, "window_s": 5.0, "eval_every": "",
    "status": "done", "sim_time_s": 10.0, "test_accuracy": 0.5, "diverged_s": "",
}  # fmt: skip


@pytest.fixture
def experiment(tmp_path: Path) -> Write:
    """Write an experiment folder: of each run its columns that differ from BASE, and how good it is all along."""

    def write(*runs: tuple[dict[str, Any], float], named: Sequence[str] = ()) -> Path:
        folder = tmp_path / "experiment"
        folder.mkdir()
        rows, points = [], []
        for number, (columns, level) in enumerate(runs):
            own = {name: value for name, value in columns.items() if name not in ("seed", "in_experiment")}
            run = named[number] if named else f"run{number}"
            row = {"configuration": f"hash {sorted(own.items())}", "seed": 0, **BASE, **columns}
            rows.append({"run_id": run, **row})
            end = row["diverged_s"] or row["sim_time_s"]
            times = [0.0, *(time for time in (1.0, 4.0, 10.0) if time <= end)]
            points += [{"run_id": run, "time_s": t, "train_accuracy": level, "test_accuracy": level} for t in times]
        for name, table in (("summary.csv", rows), ("curves.csv.gz", points)):
            pd.DataFrame(table, dtype=object).to_csv(folder / name, index=False)
        return folder

    return write


def read(folder: Path, accuracy: str = "train_accuracy", by: str | None = None) -> list[comparison.Configuration]:
    runs = comparison.read_runs([folder])
    return comparison.configurations(runs, runs.measured(accuracy), by)


def rows_of(path: Path) -> list[dict[str, str]]:
    """A CSV file's rows, as they stand there."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


# --- nothing is guessed ---


def test_no_csv_file_is_read_without_declared_types() -> None:
    """Whoever reads text is told what to make of it; and one module alone reads our own files."""
    guessing = ("to_numeric", "infer_objects", "convert_dtypes", "read_fwf", "genfromtxt")
    reading = set()
    for path in Path(agn_bench.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            name = node.func.attr if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) else ""
            assert name not in guessing, path
            if name in ("read_csv", "loadtxt"):
                assert "dtype" in [word.arg for word in node.keywords], path
                reading.add(path.name)
    assert reading == {"tabular.py", "user_files.py", "datasets.py"}


@GUESSED
@pytest.mark.parametrize(
    "names", [("27e79756", "025e7429"), ("626195e8", "07168005"), ("00000001", "1"), ("nan", "NA")]
)
def test_a_configurations_hash_stays_text(experiment: Write, command: Command, names: tuple[str, str]) -> None:
    """As numbers the first two would be infinity both, and their runs two seeds of one configuration."""
    rates = dict(zip(names, (0.9, 0.3), strict=True))
    folder = experiment(*(({"configuration": name, "learning_rate": rate}, rate) for name, rate in rates.items()))
    assert command("table", folder)[0] == 0
    rows = rows_of(folder / "tables" / "accuracy.csv")
    assert [row["configuration"] for row in rows] == [*names]
    assert [row["seeds"] for row in rows] == ["1", "1"]


@GUESSED
@pytest.mark.parametrize("name", ["1e5", "NA", "null", "True", "-inf", "0x10", "12_3", "None", "007", "1e400"])
@pytest.mark.parametrize("column", ["delays", "dataset", "optimizer"])
def test_a_name_stays_a_name(experiment: Write, command: Command, column: str, name: str) -> None:
    folder = experiment(({column: name}, 0.9), ({column: "100000"}, 0.5))
    assert command("table", folder, "--only", f"{column}={name}")[0] == 0
    assert [row[column] for row in rows_of(folder / "tables" / "accuracy.csv")] == [name]
    assert list(comparison.groups(read(folder, by=column), column)) == sorted([name, "100000"], key=in_their_order)


def in_their_order(name: str) -> tuple[bool, float, str]:
    try:
        return False, float(name), name
    except ValueError:
        return True, 0.0, name


@GUESSED
def test_runs_named_like_numbers_have_their_own_curves(experiment: Write) -> None:
    names = ["1e3", "1000", "0001000", "nan"]
    folder = experiment(*(({"workers": 2 + i}, 0.9 - 0.1 * i) for i in range(4)), named=names)
    assert [one.runs["run_id"].tolist() for one in read(folder)] == [[name] for name in names]


@GUESSED
@pytest.mark.parametrize("law", ["inf", "nan", "NA", "1,2", "9007199254740993", "0.30000000000000004"])
def test_a_users_number_is_copied_as_it_stands(experiment: Write, command: Command, law: str) -> None:
    """Also a list, a word, and a whole number that no float has, beside a run that has none."""
    folder = experiment(({"optimizer": "mine-12345678:Mine", "law": law}, 0.9), ({"law": ""}, 0.5))
    assert command("table", folder)[0] == 0
    assert [row["law"] for row in rows_of(folder / "tables" / "accuracy.csv")] == [law, ""]


@GUESSED
def test_large_whole_numbers_beside_blanks_keep_their_last_digit(tmp_path: Path) -> None:
    large = 2**63 - 1
    (tmp_path / "some.csv").write_text(f"diverged_exchange,seed\n{large},{2**53 + 1}\n,4294967295\n")
    table = read_table(tmp_path / "some.csv", SUMMARY_TYPES)
    assert table["diverged_exchange"][0] == large
    assert table["diverged_exchange"].isna().tolist() == [False, True]
    assert table["seed"].tolist() == [2**53 + 1, 4294967295]
    assert files.csv_text([{"eval_every": large}, {"eval_every": None}]) == f'eval_every\n{large}\n""\n'


@GUESSED
def test_a_users_log_is_read_as_it_is_written(tmp_path: Path) -> None:
    """Each cell as text; a column that is asked for as numbers, to the last bit, and nothing where it holds none."""
    (tmp_path / "log.csv").write_text("worker,applied_s\n007,0.30000000000000004\ntrue,1_0\nNA,1e400\n")
    table = read_csv("timeline", tmp_path / "log.csv", ("worker",), "a log")
    assert [table.cell(row, "worker").value for row in range(3)] == ["007", "true", "NA"]
    np.testing.assert_array_equal(table.numbers("applied_s"), [0.30000000000000004, np.nan, np.inf])
    np.testing.assert_array_equal(table.numbers("worker"), [7, np.nan, np.nan])


@GUESSED
def test_what_was_measured_before_keeps_its_digits(tmp_path: Path) -> None:
    """A benchmark's rows that are not measured again stay, with the commit whose hash reads as a number."""
    path = tmp_path / "training.csv"
    old = "model,local_optimizer,local_steps,workers,ms,commit\nnan,sgd,1,40,0.10000000000000001,27e79756\n"
    path.write_text(old)
    merge_rows(
        path, [{"model": "mlp", "local_optimizer": "sgd", "local_steps": 1, "workers": 4, "ms": 2.0, "commit": "1"}]
    )
    assert old.splitlines()[1] in path.read_text().splitlines()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("a,b\n1,x\n", "has text in column b"),
        ("a,b\n1.5,1\n", "has no whole number in column a of some row"),
        ("a,b\n99999999999999999999,1\n", "has no whole number in column a of some row"),
        ("a,c\n1,maybe\n", "has neither true nor false in column c of some row"),
    ],
)
def test_a_column_that_holds_something_else_is_named(tmp_path: Path, content: str, says: str) -> None:
    (tmp_path / "some.csv").write_text(content)
    with pytest.raises(WrongType, match=says):
        read_table(tmp_path / "some.csv", {"a": WHOLE, "b": NUMBER, "c": FLAG, "d": TEXT})


def test_every_column_that_a_run_has_is_declared_by_its_type(quick_dataset: str) -> None:
    """What is not declared, as what others declare, is text."""
    config = RunConfig.of(
        dataset=quick_dataset, model="mlp-8", seconds=3, workers=2, local_steps=2, optimizer="local-sgd"
    )
    result = agn_bench.run(config)
    row, points = agn_bench.summary(result), agn_bench.curve(result)
    holds = {str: TEXT, bool: FLAG, int: WHOLE, float: NUMBER}
    assert {CURVE_TYPES[name] for name in points} == {NUMBER, WHOLE}
    for name, value in row.items():
        if name in SUMMARY_TYPES and value is not None and SUMMARY_TYPES[name] != holds[type(value)]:
            assert (name, SUMMARY_TYPES[name]) in [("learning_rate", TEXT)], name
    assert {name for name in row if name not in SUMMARY_TYPES} == {"backups"}


@GUESSED
@pytest.mark.parametrize("name", ["nan", "1e5", "inf"])
def test_a_sweeps_condition_names_a_profile(name: str, tmp_path: Path) -> None:
    """`nan` is not unlike itself, and `1e5` is not 100000."""
    for profile in (name, "100000"):
        (tmp_path / f"{profile}.toml").write_text('[step]\ndistribution = "constant"\nmean = 1\n')
    configs = [RunConfig.of(delays=str(tmp_path / f"{profile}.toml")) for profile in (name, "100000")]
    spelled = configs[0].delays.name
    assert only(configs, [f"delays={spelled}"]) == configs[:1]
    assert only(configs, [f"λ={configs[0].local_steps}"]) == configs


# --- a mean is over all seeds ---


@SURVIVORS
@pytest.mark.parametrize("accuracy", ["train_accuracy", "test_accuracy"])
def test_a_seed_that_diverged_counts_in_every_mean(experiment: Write, accuracy: str) -> None:
    """It is at 0.9 until 3 s, and at chance, 0.1, to the end at 10 s; the other is at 0.5."""
    bad = {"status": "diverged", "diverged_s": 3.0, "test_accuracy": 0.1, "configuration": "x"}
    (both,) = read(experiment((bad, 0.9), ({"seed": 1, "configuration": "x"}, 0.5)), accuracy)
    (row,) = tables.measure_table([both], [2.0, 3.0, 9.0], [0.4, 0.8])
    assert (row["seeds"], row["diverged"]) == (2, 1)
    assert row["accuracy_at_3s_mean"] == row["accuracy_at_9s_mean"] == pytest.approx((0.1 + 0.5) / 2)
    assert row["test_accuracy_mean"] == pytest.approx(0.3)
    assert row["time_to_0.4_s_mean"] == 0.0  # both had reached it, one before it diverged
    assert (row["reached_0.8"], np.isnan(row["time_to_0.8_s_mean"])) == (1, True)  # no mean of the one that did


@SURVIVORS
def test_curves_that_are_read_go_on_at_chance(experiment: Write) -> None:
    """As somebody averages them with pandas: at every time both seeds are there."""
    bad = {"status": "diverged", "diverged_s": 1.5, "test_accuracy": 0.1, "window_s": 5.0}
    summary, curves = agn_bench.read(experiment((bad, 0.9), ({"seed": 1}, 0.5)))
    own = curves[curves["run_id"] == "run0"]
    assert own["time_s"].tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
    assert own["train_accuracy"].tolist() == [0.9, 0.9, *[0.1] * 9]
    assert curves[curves["time_s"] == 4]["train_accuracy"].mean() == pytest.approx(0.3)
    assert summary["configuration"].tolist()[0].startswith("hash")


@SURVIVORS
def test_four_committed_methods_are_averaged_over_all_seeds() -> None:
    """Two of DOWNPOUR's three seeds have no point of their own at 60 s."""
    root = Path(__file__).parent.parent / "results" / "four-methods"
    summary, curves = agn_bench.read(root)
    at = curves[curves["time_s"] == 60].merge(summary[["run_id", "optimizer"]], on="run_id")
    assert at.groupby("optimizer")["train_accuracy"].count().tolist() == [3, 3, 3, 3]
    table = {row["optimizer"]: row for row in rows_of(root / "tables" / "accuracy.csv")}
    for name, mean in at.groupby("optimizer")["train_accuracy"].mean().items():
        assert float(table[str(name)]["accuracy_at_60s_mean"]) == pytest.approx(mean)


@CHORD
@pytest.mark.parametrize(
    ("optimizer", "target", "between"),
    [("agn", "0.8", (0, 18)), ("easgd", "0.8", (0, 18)), ("dynsgd", "0.9", (65 + 2 / 3, 73 + 2 / 3))],
)
def test_the_committed_times_to_a_test_accuracy_are_those_of_evaluations(
    command: Command, tmp_path: Path, optimizer: str, target: str, between: tuple[float, float]
) -> None:
    """On a chord from 0 s to 18 s agn would have reached 80 % after 16.4 s."""
    root = Path(__file__).parent.parent / "results" / "four-methods"
    words = ("--accuracy", "test_accuracy", "--reach", f"{target},0.5", "--out", tmp_path / "table.csv")
    assert command("table", root, *words)[0] == 0
    (row,) = (row for row in rows_of(tmp_path / "table.csv") if row["optimizer"] == optimizer)
    (kept,) = (row for row in rows_of(root / "tables" / "test-accuracy.csv") if row["optimizer"] == optimizer)
    assert kept["area_mean"] == row["area_mean"]
    found = float(row[f"time_to_{target}_after_s_mean"]), float(row[f"time_to_{target}_s_mean"])
    assert found == pytest.approx(between)
    _, curves = agn_bench.read(root)
    looked = curves[curves["test_accuracy"].notna() & curves["run_id"].str.startswith(optimizer)]
    first = looked[looked["test_accuracy"] >= float(target)].groupby("run_id")["time_s"].min()
    assert first.mean() == pytest.approx(between[1])


# --- runs that are no longer asked for ---


@LEFT_OVER
@pytest.mark.parametrize(
    "words", [("table",), ("plot",), ("plot", "--panels", "workers"), ("table", "--pivot", "optimizer")]
)
def test_they_are_left_out_unless_all_are_wanted(
    experiment: Write, command: Command, sketched: None, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[set[str]] = []
    kept = comparison.configurations
    monkeypatch.setattr(
        comparison, "configurations", lambda runs, *more: seen.append({*runs.summary["run_id"]}) or kept(runs, *more)
    )
    optimizers = ("agn", "easgd", "dynsgd")
    folder = experiment(*(({"optimizer": name, "in_experiment": name != "agn"}, 0.5) for name in optimizers))
    code, out, err = command(words[0], folder, *words[1:])
    assert (code, err) == (0, "")
    assert "1 run that the experiment file no longer asks for is left out; --all takes it in" in out
    code, out, _ = command(words[0], folder, *words[1:], "--all")
    assert "left out" not in out
    assert seen == [{"run1", "run2"}, {"run0", "run1", "run2"}]


@LEFT_OVER
def test_a_folder_that_has_no_others_says_so(experiment: Write, command: Command) -> None:
    folder = experiment(({"in_experiment": False}, 0.5))
    code, _, err = command("table", folder)
    assert (code, err.count("\n")) == (2, 1)
    assert "asks for none of its runs any more; accepted: --all" in err


@LEFT_OVER
def test_a_run_that_one_of_two_folders_asks_for_is_there(experiment: Write, tmp_path: Path) -> None:
    folder = experiment(({"in_experiment": False}, 0.5), ({"in_experiment": True, "workers": 3}, 0.5))
    other = tmp_path / "other"
    other.mkdir()
    for path in folder.iterdir():
        (other / path.name).write_bytes(path.read_bytes())
    text = (other / SUMMARY).read_text()
    (other / SUMMARY).write_text(text.replace("False\n", "True\n").replace(",False,0", ",True,0"))
    runs = comparison.read_runs([folder, other]).asked()
    assert len(runs.summary) + runs.left_out == 2
    assert len(runs.curves) == 8


@pytest.mark.parametrize(
    ("condition", "kept"),
    [
        ("workers=2", {0, 1}),
        ("workers=2.0,7", {0, 1}),
        ("n=2", {0, 1}),
        ("optimizer=easgd", {1, 2}),
        ("optimizer=easgd:alpha=0.10", {2}),
        ("alpha=0.05,0.1", {1, 2}),
        ("optimizer=mine.py:Mine", {3}),
        ("optimizer=Mine:beta=2", {3}),
        ("beta=2", {3}),
        ("concentration=0.5", {3}),
        ("data_split=dirichlet:concentration=.5", {3}),
        ("window=5", {0, 1, 2, 3}),
        ("seed=1", {0}),
        ("reset_local_optimizer=false", {0, 1, 2, 3}),
    ],
)
def test_finished_runs_are_chosen_as_a_sweep_chooses(experiment: Write, condition: str, kept: set[int]) -> None:
    mine = {"optimizer": "mine-12345678:Mine", "beta": 2.0, "data_split": "dirichlet", "split_concentration": 0.5}
    folder = experiment(
        ({"seed": 1}, 0.5),
        ({"optimizer": "easgd", "alpha": 0.05}, 0.5),
        ({"optimizer": "easgd", "alpha": 0.1, "workers": 5}, 0.5),
        ({**mine, "workers": 9}, 0.5),
    )
    runs = comparison.read_runs([folder]).only([condition])
    assert {*runs.summary["run_id"]} == {f"run{number}" for number in kept}


@pytest.mark.parametrize(
    ("condition", "says"),
    [
        ("workers", "not KEY=VALUE"),
        ("worker=2", "did you mean workers"),
        ("workers=9", "no run has it; accepted: workers of 2"),
    ],
)
def test_a_condition_that_no_run_meets_is_refused(
    experiment: Write, command: Command, condition: str, says: str
) -> None:
    code, _, err = command("plot", experiment(({}, 0.5)), "--only", condition)
    assert code == 2
    assert says in err


# --- a grid ---


def a_grid(experiment: Write, seeds: int = 3) -> Path:
    """Two optimizers with 2 and 10 workers; with 10 easgd is some 0.1 behind agn, with 2 as good on average."""
    behind = {2: (0.01, -0.01, 0.0), 10: (0.1, 0.11, 0.09)}
    return experiment(
        *(
            ({"workers": workers, "seed": seed, "optimizer": name, "alpha": alpha}, 0.8 - less)
            for workers in behind
            for seed in range(seeds)
            for name, alpha, less in (("agn", "", 0.0), ("easgd", 0.05, behind[workers][seed]))
        )
    )


def test_a_pivot_has_a_row_a_cell_and_a_block_an_optimizer(experiment: Write, command: Command) -> None:
    folder = a_grid(experiment)
    assert command("table", folder, "--pivot", "optimizer")[0] == 0
    rows = rows_of(folder / "tables" / "pivot-optimizer.csv")
    assert [row["workers"] for row in rows] == ["2", "10"]
    assert [float(row["easgd_area_mean"]) for row in rows] == pytest.approx([0.8, 0.7])
    assert [row["agn_seeds"] for row in rows] == ["3", "3"]


BLOCKS = {
    ".tex": (
        r"\multicolumn{1}{c}{} & \multicolumn{3}{c}{agn} & \multicolumn{3}{c}{easgd} \\",
        r"n & area (\%) & 4 s (\%)",
    ),
    ".md": ("|  | agn |  |  | easgd |  |  |", "| n | area (%) | 4 s (%) | test (%) | area (%) |"),
    ".html": ('<th colspan="3">agn</th><th colspan="3">easgd</th>', "<th>n</th><th>area (%)</th><th>4 s (%)</th>"),
}


@pytest.mark.parametrize("ending", BLOCKS)
def test_a_written_pivot_has_several_columns_under_each_optimizer(
    experiment: Write, command: Command, ending: str
) -> None:
    folder = a_grid(experiment)
    out = folder / f"pivot{ending}"
    assert command("table", folder, "--pivot", "optimizer", "--at", "4", "--out", out)[0] == 0
    text = out.read_text(encoding="utf-8")
    assert [part in text for part in BLOCKS[ending]] == [True, True]
    assert text.count("50.00") == 4  # the final test accuracy in each of two cells, of two optimizers


@pytest.mark.parametrize(
    ("width", "shown", "left_out"), [(120, "4 s (%)", False), (60, "easgd", True), (40, "easgd", True)]
)
def test_a_terminal_shows_as_much_of_a_pivot_as_it_has_room_for(
    experiment: Write, command: Command, monkeypatch: pytest.MonkeyPatch, width: int, shown: str, left_out: bool
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    _, out, _ = command("table", a_grid(experiment), "--pivot", "optimizer", "--at", "4")
    assert shown in out
    assert ("in the file: 4 s (%), test (%)" in out) == left_out
    assert "training accuracy" in out
    assert out.count("80.00 ± 0.00") >= 2  # whole, on one line


@pytest.mark.parametrize("name", ["λ", "lambda", "local_steps"])
@pytest.mark.parametrize("option", ["--by", "--pivot", "--compare", "--only"])
def test_a_column_has_a_short_name_in_every_option(experiment: Write, command: Command, option: str, name: str) -> None:
    folder = experiment(*(({"local_steps": steps, "optimizer": one}, 0.5) for steps in (5, 15) for one in ("agn", "x")))
    out = folder / "some.tex"
    code, _, err = command("table", folder, option, name + "=5" * (option == "--only"), "--out", out)
    assert (code, err) == (0, "")
    if option == "--by":
        assert r"\caption{local\_steps = 5: whole runs, and area of the training accuracy}" in out.read_text()


@pytest.mark.parametrize("words", [("--compare", "optimizer"), ()])
def test_one_common_seed_is_said_to_give_no_interval(
    experiment: Write, command: Command, words: tuple[str, ...]
) -> None:
    said = "that of the one common seed, which gives no interval"
    one = experiment(({}, 0.9), ({"optimizer": "easgd"}, 0.5))
    assert said in command("table", one, *words)[1]


def test_several_common_seeds_give_an_interval(experiment: Write, command: Command) -> None:
    folder = a_grid(experiment)
    for words in (("--compare", "optimizer"), ("--by", "workers")):
        assert "one common seed" not in command("table", folder, *words)[1]


def test_a_comparison_is_by_seed_in_each_cell(experiment: Write, command: Command) -> None:
    folder = a_grid(experiment)
    code, out, _ = command("table", folder, "--compare", "optimizer")
    assert code == 0
    rows = rows_of(folder / "tables" / "compare-optimizer.csv")
    assert [(row["workers"], row["compared"], row["reference"], row["verdict"]) for row in rows] == [
        ("2", "easgd", "agn", "undecided"),
        ("10", "easgd", "agn", "behind"),
    ]
    half = 4.302653 * 0.01 / np.sqrt(3)  # t of 2 degrees of freedom
    assert [float(row["area_difference_mean"]) for row in rows] == pytest.approx([0, -0.1], abs=1e-9)
    assert [float(row["area_difference_half_width_95"]) for row in rows] == pytest.approx([half, half])
    assert float(rows[1]["low_95"]) == pytest.approx(-0.1 - half)
    assert "behind" in out
    assert "the reference is agn: of the values of optimizer it has the largest mean area over cells" in out
    assert "-10.00 ± " in out


def test_a_column_that_has_one_value_is_nothing_to_compare(experiment: Write, command: Command) -> None:
    code, _, err = command("table", experiment(({}, 0.5), ({"workers": 3}, 0.5)), "--compare", "optimizer")
    assert code == 2
    assert "--compare optimizer: all runs have agn" in err


@pytest.mark.parametrize(
    ("values", "best", "edge"),
    [((0.1, 0.2, 0.4), 2, "alpha 0.4 is the largest of 3"), ((0.1, 0.2, 0.4), 0, "alpha 0.1 is the least of 3"),
     ((0.1, 0.2, 0.4), 1, ""), ((0.1, 0.2), 1, ""), ((5e-05, 0.01, 0.1, 1e5), 3, "alpha 100000 is the largest of 4")],
)  # fmt: skip
def test_the_best_of_a_number_at_the_edge_of_what_was_tried_is_marked(
    experiment: Write, command: Command, values: Sequence[float], best: int, edge: str
) -> None:
    tried = [({"optimizer": "easgd", "alpha": value}, 0.9 - 0.1 * abs(i - best)) for i, value in enumerate(values)]
    folder = experiment(*tried, ({}, 0.95))
    _, out, _ = command("table", folder)
    assert (edge in " ".join(out.split())) if edge else "was tried" not in out
    rows = rows_of(folder / "tables" / "accuracy.csv")
    assert [row["best_at_edge_of"] for row in rows[:2]] == ["", "alpha" if edge else ""]


def test_many_configurations_are_ranked_by_cell(experiment: Write, command: Command) -> None:
    """With 30 in 15 cells nothing is set against what was tried elsewhere, and one table is shown."""
    folder = experiment(
        *(
            ({"optimizer": name, "workers": n}, 0.9 - n / 100 - (name == "agn") / 20)
            for n in range(2, 17)
            for name in ("agn", "easgd")
        )
    )
    code, out, _ = command("table", folder)
    rows = rows_of(folder / "tables" / "accuracy.csv")
    assert (code, out.count("┏")) == (0, 1)
    assert [int(row["workers"]) for row in rows] == [n for n in range(2, 17) for _ in range(2)]
    assert [float(row["area_behind_mean"]) for row in rows if row["optimizer"] == "agn"] == pytest.approx([0.05] * 15)


def test_an_experiment_that_is_finished_stays_as_it_is(
    command: Command, quick_dataset: str, remembered: None, sketched: None, tmp_path: Path
) -> None:
    """The commands of `make equal-time`, again: with the runs' own folders here, and without them, as in a clone."""
    file, folder = tmp_path / "few.toml", tmp_path / "results"
    options = f'dataset = "{quick_dataset}"\nmodel = "mlp-8"\nworkers = 2\nlocal_steps = 2\nseconds = 9'
    cells = '[[cells]]\noptimizer = ["agn", "fedbuff:size=1"]\ndelays = ["ideal", "stragglers"]'
    file.write_text(f'name = "few"\ndescription = "d"\nseeds = [0, 1]\n[base]\n{options}\n{cells}\n')

    def make() -> dict[Path, bytes]:
        for words in (
            ("sweep", file, "--out", folder, "--jobs", 1),
            ("table", folder, "--by", "delays", "--at", "1,2"),
            ("table", folder, "--by", "delays", "--at", "1,2", "--accuracy", "test_accuracy"),
            ("plot", folder, "--panels", "delays"),
        ):
            code, out, err = command(*words)
            assert (code, err) == (0, ""), out
        files = (path for path in folder.rglob("*") if path.is_file() and "runs" not in path.parts)
        return {path: path.read_bytes() for path in files}

    before = make()
    assert {path.name for path in before} >= {"provenance.json", "accuracy.csv", "test-accuracy.csv"}
    assert make() == before
    shutil.rmtree(folder / "runs")
    assert make() == before


# --- files of tables ---

AWKWARD = '50%_$x$ & <b>{a}\\|*[n]*~^#"'


@pytest.mark.parametrize("ending", [".csv", ".tex", ".md", ".html"])
def test_names_stand_in_files_as_they_are(experiment: Write, command: Command, ending: str) -> None:
    folder = experiment(({"delays": AWKWARD}, 0.9), ({"delays": "plain"}, 0.5))
    out = folder / f"some{ending}"
    assert command("table", folder, "--out", out)[0] == 0
    text = out.read_text(encoding="utf-8")
    expected = {
        ".tex": r"50\%\_\$x\$ \& \textless{}b\textgreater{}\{a\}\textbackslash{}\textbar{}{*}{[}n{]}{*}"
        r"\textasciitilde{}\textasciicircum{}\#''",
        ".md": r"50%\_\$x\$ &amp; \<b\>\{a\}\\\|\*\[n\]\*\~^\#" + '"',
        ".html": html.escape(AWKWARD),
    }
    if ending == ".csv":
        assert [row["delays"] for row in rows_of(out)] == [AWKWARD, "plain"]
    else:
        assert expected[ending] in text
        assert "90.00" in text  # the area
    if ending == ".md":
        assert all(line.count("|") - line.count("\\|") > 2 for line in text.splitlines() if line.startswith("|"))


@pytest.mark.parametrize("name", ["some.pdf", "some.xlsx", "some", "some.csv.gz", "some.txt"])
def test_an_ending_that_is_none_is_refused_before_anything_is_written(
    experiment: Write, command: Command, name: str
) -> None:
    folder = experiment(({}, 0.5))
    code, out, err = command("table", folder, "--out", folder / "new" / name)
    assert (code, out) == (2, "")
    assert "accepted: a name that ends in .csv, .tex, .md or .html" in err
    assert {path.name for path in folder.iterdir()} == {"summary.csv", "curves.csv.gz"}


def test_a_cell_of_several_lines_stays_in_its_row() -> None:
    shown = written.Shown("t", [{"a": "one\ntwo", "b": "1"}, {"a": "three", "c": "2"}])
    assert written.markdown([shown]).splitlines()[2:] == [
        "| a | b | c |",
        "|---|---:|---:|",
        "| one two | 1 |  |",
        "| three |  | 2 |",
    ]
