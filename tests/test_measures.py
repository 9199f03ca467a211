"""Tables, comparisons and figures of any measure, from CSV files made by hand, against numbers computed by hand."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

import agn_bench
from agn_bench.analysis import comparison
from agn_bench.analysis.measures import Measured, over_time
from agn_bench.base.inputs import BadInput

Command = Callable[..., tuple[int, str, str]]
Points = Mapping[str, Sequence[tuple[float, float]]]
ACCURACY_ONLY = pytest.mark.kind("accuracy taken for the only measure")

BASE = {
    "experiment": "adhoc", "optimizer": "agn", "workers": 2, "local_steps": 3, "dataset": "", "model": "",
    "local_optimizer": "sgd", "learning_rate": 0.1, "momentum": "", "alpha": "", "batch_size": 8, "epochs": 1.0,
    "delays": "ideal", "data_split": "", "reset_local_optimizer": False, "window_s": 5.0, "eval_every": "",
    "status": "done", "sim_time_s": 10.0, "diverged_s": "", "seed": 0,
}  # fmt: skip


@dataclass
class Run:
    """A run: of each column of a measure its (time in s, value) points, and its columns that differ from BASE."""

    points: Points
    columns: dict[str, Any] = field(default_factory=dict)
    ends: dict[str, float] = field(default_factory=dict)
    """Measures of the final center, where they are not the last points."""
    lower: str = ""


def write(folder: Path, *runs: Run) -> Path:
    """An experiment folder of these runs."""
    folder.mkdir(exist_ok=True)
    rows, points = [], []
    for number, run in enumerate(runs):
        own = {
            name: value for name, value in run.columns.items() if name in ("optimizer", "workers", "alpha", "delays")
        }
        final = {name: at[-1][1] for name, at in run.points.items() if not name.startswith("train_")} | run.ends
        row = {"run_id": f"run{number}", "configuration": f"hash {sorted(own.items())}", **BASE, **run.columns, **final}
        rows.append(row | ({"lower_is_better": run.lower} if run.lower else {}))
        times = sorted({time for at in run.points.values() for time, _ in at})
        for time in times:
            points.append({"run_id": f"run{number}", "time_s": time})
            points[-1] |= {name: dict(at).get(time, "") for name, at in run.points.items()}
    for name, table in (("summary.csv", rows), ("curves.csv.gz", points)):
        pd.DataFrame(table, dtype=object).to_csv(folder / name, index=False)
    return folder


def gap(*values: float, seed: int = 0, **columns: Any) -> Run:
    """A run of a problem without test set: its gap after 0, 2, 6 and 10 s."""
    at = [*zip((0.0, 2.0, 6.0, 10.0), values, strict=False)]
    return Run({"center_gap": at}, {"seed": seed, **columns}, lower="center_gap")


def diverging_gap(seed: int = 0, **columns: Any) -> Run:
    """One that diverges after 4 s, and counts as 100 from there."""
    run = gap(8, 4, seed=seed, status="diverged", diverged_s=4.0, **columns)
    run.ends["center_gap"] = 100.0
    return run


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def numbers(rows: Sequence[Mapping[str, str]], column: str) -> list[float]:
    return [float(row[column]) if row[column] else np.nan for row in rows]


@pytest.fixture
def gaps(tmp_path: Path) -> Path:
    """Areas of steps over 10 s: easgd (2 · 8 + 4 · 4 + 4 · 2) / 10 = 4, dynsgd, which diverges, (16 + 8 + 600) / 10 =
    62.4, agn (16 + 8 + 4) / 10 = 2.8.
    """
    return write(
        tmp_path / "gaps",
        gap(8, 4, 2, 1, optimizer="easgd"),
        diverging_gap(optimizer="dynsgd"),
        gap(8, 2, 1, 0.5),
    )


# --- a measure of which less is better ---


@ACCURACY_ONLY
def test_a_gap_is_ranked_and_read_as_it_falls(gaps: Path, command: Command) -> None:
    code, out, err = command("table", gaps, "--at", "5,7", "--reach", "2,0.5")
    assert (code, err) == (0, "")
    rows = rows_of(gaps / "tables" / "center-gap.csv")
    assert [row["optimizer"] for row in rows] == ["agn", "easgd", "dynsgd"]
    assert numbers(rows, "area_mean") == pytest.approx([2.8, 4, 62.4])
    assert numbers(rows, "area_behind_mean") == pytest.approx([np.nan, 1.2, 59.6], nan_ok=True)
    assert numbers(rows, "gap_at_5s_mean") == [2, 4, 100]
    assert numbers(rows, "gap_at_7s_mean") == [1, 2, 100]
    assert numbers(rows, "time_to_2_s_mean") == pytest.approx([2, 6, np.nan], nan_ok=True)
    assert numbers(rows, "time_to_2_after_s_mean") == pytest.approx([0, 2, np.nan], nan_ok=True)
    assert [row["reached_0.5"] for row in rows] == ["1", "0", "0"]
    assert numbers(rows, "center_gap_mean") == [0.5, 1, 100]
    assert "accuracy" not in " ".join(rows[0])
    assert "%" not in out.replace("(95 %)", "")
    assert "area: the mean gap over the first 10.0 s; less is better" in out
    assert "1 (1 diverged)" in out


def levels(folder: Path, of: Mapping[tuple[str, int], Sequence[float]]) -> Path:
    """By optimizer and workers a seed at each of these gaps all along, which so is its area."""
    return write(
        folder,
        *(
            gap(*[level] * 4, seed=seed, optimizer=optimizer, workers=workers)
            for (optimizer, workers), found in of.items()
            for seed, level in enumerate(found)
        ),
    )


@ACCURACY_ONLY
def test_the_one_with_less_is_ahead(tmp_path: Path, command: Command) -> None:
    """Over both cells agn has the least, 1.25 of 1.6 on average. The half width for differences of 0.9, 1 and 1.1 is
    4.302653 · 0.1 / √3.
    """
    found = {
        ("agn", 2): (1.0, 1.0, 1.0), ("easgd", 2): (1.9, 2.0, 2.1),
        ("agn", 5): (1.4, 1.5, 1.6), ("easgd", 5): (1.2, 1.2, 1.2),
        ("agn", 9): (1.0, 2.0, 3.0), ("easgd", 9): (3.0, 2.0, 1.0),
    }  # fmt: skip
    folder = levels(tmp_path / "x", found)
    code, out, _ = command("table", folder, "--compare", "optimizer")
    assert code == 0
    rows = rows_of(folder / "tables" / "center-gap-compare-optimizer.csv")
    assert [(row["compared"], row["reference"], row["verdict"]) for row in rows] == [
        ("easgd", "agn", "behind"),
        ("easgd", "agn", "ahead"),
        ("easgd", "agn", "undecided"),
    ]
    assert numbers(rows, "area_difference_mean") == pytest.approx([1, -0.3, 0], abs=1e-9)
    assert float(rows[0]["area_difference_half_width_95"]) == pytest.approx(4.302653 * 0.1 / np.sqrt(3), rel=1e-6)
    said = " ".join(out.split())
    assert "the reference is agn: of the values of optimizer it has the least mean area over cells" in said
    assert "+ is more area than it has, - is less; less is better" in said
    assert "+1 ± 0.2484" in out


@ACCURACY_ONLY
def test_in_a_tie_nobody_is_behind(tmp_path: Path, command: Command) -> None:
    folder = levels(tmp_path / "x", {("easgd", 2): (1.0, 2.0), ("agn", 2): (1.0, 2.0)})
    assert command("table", folder, "--compare", "optimizer")[0] == 0
    (row,) = rows_of(folder / "tables" / "center-gap-compare-optimizer.csv")
    assert (row["verdict"], float(row["area_difference_mean"])) == ("undecided", 0)
    assert command("table", folder)[0] == 0
    first, second = rows_of(folder / "tables" / "center-gap.csv")
    assert (first["optimizer"], float(second["area_behind_mean"])) == ("easgd", 0)  # as they stand in the file


@ACCURACY_ONLY
@pytest.mark.parametrize(("gaps_of", "edge"), [((3, 2, 1), "alpha"), ((1, 2, 3), "alpha"), ((3, 1, 2), "")])
def test_the_least_of_a_gap_is_the_best_that_was_tried(
    tmp_path: Path, command: Command, gaps_of: Sequence[float], edge: str
) -> None:
    runs = [
        gap(*[level] * 4, optimizer="easgd", alpha=alpha) for alpha, level in zip((0.1, 0.2, 0.4), gaps_of, strict=True)
    ]
    folder = write(tmp_path / "x", *runs)
    assert command("table", folder)[0] == 0
    best = rows_of(folder / "tables" / "center-gap.csv")[0]
    assert (float(best["area_mean"]), best["best_at_edge_of"]) == (1, edge)


@ACCURACY_ONLY
def test_a_pivot_is_of_the_measure(gaps: Path, command: Command) -> None:
    assert command("table", gaps, "--pivot", "optimizer", "--at", "5", "--out", gaps / "x.csv")[0] == 0
    (row,) = rows_of(gaps / "x.csv")
    found = {"agn_area_mean": 2.8, "easgd_gap_at_5s_mean": 4, "dynsgd_center_gap_mean": 100}
    assert {name: float(row[name]) for name in found} == pytest.approx(found)
    command("table", gaps, "--pivot", "optimizer", "--at", "5", "--reach", "4", "--out", gaps / "x.md")
    text = (gaps / "x.md").read_text()
    assert "| agn |" in text
    assert all(f"| {heading} |" in text for heading in ("area", "5 s", "s to 4", "gap"))
    assert "| 2.8 | 2 | 0.0 to 2.0 | 0.5 |" in text


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("words", [("table",), ("plot",), ("table", "--compare", "optimizer")])
def test_what_overflowed_is_infinite_and_behind(
    tmp_path: Path, command: Command, sketched: None, words: Sequence[str]
) -> None:
    """A center that is evaluated just before its run diverges may have any value."""
    runs = [
        gap(5, worst, 3, 2, optimizer=name, seed=seed)
        for name, worst in (("easgd", np.inf), ("agn", 4))
        for seed in (0, 1)
    ]
    folder = write(tmp_path / "x", *runs)
    code, out, err = command(words[0], folder, *words[1:])
    assert (code, err) == (0, "")
    if words == ("table",):
        first, second = rows_of(folder / "tables" / "center-gap.csv")
        assert (first["optimizer"], second["area_mean"], second["area_std"]) == ("agn", "inf", "")
        assert "inf" in out


# --- the workers' loss, and the center's beside an accuracy ---


def trained(optimizer: str, losses: Sequence[float], accuracy: float, **columns: Any) -> Run:
    """Its training loss on lines from 0 to 5 and 10 s, its training accuracy all along, and the final center's."""
    loss = [*zip((0.0, 5.0, 10.0), losses, strict=False)]
    points = {
        "train_loss": loss,
        "train_accuracy": [(time, accuracy) for time, _ in loss],
        "test_loss": [(time, value + 1) for time, value in loss],
        "test_accuracy": [(0.0, 0.1), (loss[-1][0], accuracy)],
    }
    return Run(points, {"optimizer": optimizer, "dataset": "text", **columns}, lower="test_loss")


@pytest.fixture
def losses(tmp_path: Path) -> Path:
    """easgd falls from 2 by 1.8 to 1, agn by 1 to 0.5; dynsgd diverges after 5 s, and counts as a loss of 9 and an
    accuracy of 0.1.
    """
    bad = trained("dynsgd", (2, 1.5), 0.3, status="diverged", diverged_s=5.0)
    bad.ends |= {"test_loss": 9.0, "test_accuracy": 0.1}
    return write(tmp_path / "losses", trained("easgd", (2, 1.8, 1), 0.8), bad, trained("agn", (2, 1, 0.5), 0.7))


@ACCURACY_ONLY
@pytest.mark.parametrize("name", ["loss", "train_loss"])
def test_a_training_loss_is_read_on_lines(losses: Path, command: Command, name: str) -> None:
    """Areas: agn (7.5 + 3.75) / 10, easgd (9.5 + 7) / 10; dynsgd goes from 2 to 9 by 5 s: (27.5 + 45) / 10."""
    assert command("table", losses, "--measure", name, "--at", "2,7.5", "--reach", "1.5,0.5")[0] == 0
    rows = rows_of(losses / "tables" / "train-loss.csv")
    assert [row["optimizer"] for row in rows] == ["agn", "easgd", "dynsgd"]
    assert numbers(rows, "area_mean") == pytest.approx([1.125, 1.65, 7.25])
    assert numbers(rows, "loss_at_2s_mean") == pytest.approx([1.6, 1.92, 4.8])
    assert numbers(rows, "loss_at_7.5s_mean") == pytest.approx([0.75, 1.4, 9])
    assert numbers(rows, "time_to_1.5_s_mean") == pytest.approx([2.5, 6.875, np.nan], nan_ok=True)
    assert [row["reached_0.5"] for row in rows] == ["1", "0", "0"]
    assert "time_to_1.5_after_s_mean" not in rows[0]
    assert numbers(rows, "test_loss_mean") == [1.5, 2, 9]  # the first measure of the center in summary.csv


@ACCURACY_ONLY
@pytest.mark.parametrize(
    ("words", "file", "first"),
    [
        ((), "accuracy", "easgd"),
        (("--measure", "accuracy"), "accuracy", "easgd"),
        (("--accuracy", "test_accuracy"), "test-accuracy", "easgd"),
        (("--measure", "test_loss"), "test-loss", "agn"),
    ],
)
def test_a_measure_has_a_name_and_a_file(
    losses: Path, command: Command, words: Sequence[str], file: str, first: str
) -> None:
    assert command("table", losses, *words)[0] == 0
    assert [path.stem for path in (losses / "tables").iterdir()] == [file]
    rows = rows_of(losses / "tables" / f"{file}.csv")
    assert rows[0]["optimizer"] == first
    assert ("time_to_0.8_s_mean" in rows[0]) == ("accuracy" in file)  # of what is no fraction nobody knows what is good


@ACCURACY_ONLY
@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--reach", "1.5"), "--reach 1.5: too large"),
        (("--measure", "gap"), "--measure gap: unknown"),
        (("--measure", "train_accuracy_std"), "did you mean train_accuracy?; accepted: train_loss, train_accuracy, "),
        (("--measure", "test_accuracies"), "did you mean test_accuracy?"),
    ],
)
def test_what_is_no_measure_is_refused(losses: Path, command: Command, words: Sequence[str], says: str) -> None:
    code, _, err = command("table", losses, *words)
    assert (code, err.count("\n")) == (2, 1)
    assert says in err


@ACCURACY_ONLY
def test_curves_that_are_read_go_on_at_what_each_measure_counts_as(losses: Path, gaps: Path) -> None:
    _, curves = agn_bench.read(losses)
    last = curves[(curves["run_id"] == "run1") & (curves["time_s"] > 5)]
    assert last["time_s"].tolist() == [6, 7, 8, 9, 10]
    for name, value in (("train_loss", 9), ("test_loss", 9), ("train_accuracy", 0.1), ("test_accuracy", 0.1)):
        assert last[name].tolist() == [value] * 5
    _, curves = agn_bench.read(gaps)
    assert curves[(curves["run_id"] == "run1") & (curves["time_s"] > 4)]["center_gap"].tolist() == [100] * 6


# --- runs that are measured differently ---


def test_what_deviates_is_no_measure() -> None:
    columns = ["run_id", "time_s", "train_loss", "train_gap", "train_gap_std", "test_std", "center_gap"]
    assert over_time(columns) == ["train_loss", "train_gap", "test_std", "center_gap"]


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """Two of a data set, two without."""
    return write(
        tmp_path / "mixed",
        trained("agn", (2, 1, 0.5), 0.7),
        trained("easgd", (2, 1, 0.5), 0.6),
        Run({"train_loss": [(0.0, 3.0), (10.0, 1.0)], "center_gap": [(0.0, 1.0), (10.0, 0.1)]}, {"delays": "x"}),
        Run({"train_loss": [(0.0, 3.0), (10.0, 1.0)], "center_gap": [(0.0, 1.0), (10.0, 0.1)]}, {"delays": "y"}),
    )


@ACCURACY_ONLY
@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((), "--measure: the 4 runs have no measure of the center in common: "),
        ((), "2 have test_loss, as run0, and run2 has not; 2 have test_accuracy, "),
        (
            (),
            "2 have center_gap, as run2, and run0 has not; accepted: a measure that all have, which are train_loss; ",
        ),
        (
            ("--measure", "accuracy"),
            "--measure accuracy: not all of the 4 runs have it: 2 have train_accuracy, as run0, ",
        ),
        (("--measure", "center_gap"), "2 have center_gap, as run2, and run0 has not"),
        (("--measure", "accuracy", "--only", "delays=x"), "unknown; accepted: train_loss, center_gap"),
    ],
)
@pytest.mark.parametrize("verb", ["table", "plot"])
def test_it_is_said_which_runs_have_what(
    mixed: Path, command: Command, verb: str, words: Sequence[str], says: str
) -> None:
    code, _, err = command(verb, mixed, *words)
    assert (code, err.count("\n")) == (2, 1)
    assert says in err


@ACCURACY_ONLY
@pytest.mark.parametrize(
    ("words", "column"),
    [
        (("--only", "dataset=text"), "train_accuracy"),
        (("--only", "delays=x,y"), "center_gap"),
        (("--measure", "loss"), "train_loss"),
    ],
)
def test_what_all_runs_have_is_chosen(mixed: Path, command: Command, words: Sequence[str], column: str) -> None:
    assert command("table", mixed, *words)[0] == 0
    (file,) = (mixed / "tables").iterdir()
    assert file.stem == Measured(column).stem
    rows = rows_of(file)
    assert ("center_gap_mean" in rows[0]) == (column == "center_gap")
    assert ("test_loss_mean" in rows[0]) == (column == "train_accuracy")


@ACCURACY_ONLY
def test_a_measure_that_two_problems_share_is_chosen_by_itself(tmp_path: Path) -> None:
    """One has it first, the other second, after one of its own."""
    at = [(0.0, 0.5), (10.0, 0.6)]
    both = write(tmp_path / "x", Run({"test_score": at}), Run({"test_other": at, "test_score": at}, {"delays": "x"}))
    runs = comparison.read_runs([both])
    assert runs.measured() == Measured("test_score")
    assert runs.of_center() == Measured("test_score")


@ACCURACY_ONLY
def test_a_measure_that_is_better_upwards_and_downwards_is_refused(tmp_path: Path) -> None:
    at = {"test_score": [(0.0, 0.5), (10.0, 0.6)]}
    runs = comparison.read_runs([write(tmp_path / "x", Run(at), Run(at, {"delays": "x"}, lower="test_score"))])
    with pytest.raises(BadInput, match="less of it is better in some runs, and more in others"):
        runs.measured("test_score")


@ACCURACY_ONLY
def test_a_loss_that_nothing_says_of_a_diverged_run_is_refused(tmp_path: Path, command: Command) -> None:
    """A problem of images says which accuracy it counts as, and no loss."""
    at = {"train_loss": [(0.0, 2.0), (4.0, 1.0)], "test_accuracy": [(0.0, 0.1), (4.0, 0.5)]}
    bad = Run(at, {"status": "diverged", "diverged_s": 4.0, "optimizer": "easgd"}, {"test_accuracy": 0.1})
    folder = write(tmp_path / "x", Run(at), bad)
    code, _, err = command("table", folder, "--measure", "loss")
    assert code == 2
    assert "run1 diverged, and nothing says as which training loss it counts; accepted: another measure, or " in err
    assert command("table", folder, "--measure", "loss", "--only", "status=done")[0] == 0
    assert command("table", folder)[0] == 0
    _, curves = agn_bench.read(folder)
    added = curves[curves["time_s"] > 4]
    assert added["train_loss"].isna().all()
    assert added["test_accuracy"].tolist() == [0.1] * 6


@ACCURACY_ONLY
@pytest.mark.parametrize(
    ("file", "old", "new", "says"),
    [
        ("summary.csv", "center_gap", "other", "has no column of a measure, as test_accuracy"),
        ("summary.csv", ",0.5,", ",,", "has no finite measure of the center in some row"),
        ("summary.csv", ",0.5,", ",inf,", "has no finite measure of the center in some row"),
        ("summary.csv", ",0.5,", ",x,", "has text in column center_gap"),
    ],
)
def test_files_without_measures_are_refused(
    tmp_path: Path, command: Command, file: str, old: str, new: str, says: str
) -> None:
    folder = write(tmp_path / "x", gap(8, 2, 1, 0.5))
    text = (folder / file).read_text()
    assert old in text
    (folder / file).write_text(text.replace(old, new))
    code, _, err = command("table", folder)
    assert (code, err.count("\n")) == (2, 1)
    assert says in err


# --- pictures ---


@pytest.fixture
def seen(sketched: None, monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that are drawn."""
    found: list[Figure] = []
    kept = Figure.savefig

    def savefig(figure: Figure, path: Path, **options: Any) -> None:
        found.append(figure)
        kept(figure, path, **options)

    monkeypatch.setattr(Figure, "savefig", savefig)
    return found


@ACCURACY_ONLY
@pytest.mark.parametrize(
    ("values", "scale", "limits"),
    [
        ((8, 2, 1, 0.5), "log", (0.5 / 16**0.05, 8 * 16**0.05)),
        ((5, 4, 3, 2), "linear", (1.85, 5.15)),  # less than a decade
        ((20, 4, 0, 2), "linear", (-1, 21)),  # not all positive
        ((20, -4, 1, 2), "linear", (-5.2, 21.2)),
        ((3, 3, 3, 3), "linear", (2.85, 3.15)),
        ((0, 0, 0, 0), "linear", (-0.05, 0.05)),
        ((5, np.inf, 3, 2), "linear", (1.85, 5.15)),
    ],
)
@pytest.mark.parametrize("panels", [(), ("--panels", "workers")])
def test_axes_fit_what_is_drawn(
    tmp_path: Path, command: Command, seen: list[Figure], values: Sequence[float], scale: str,
    limits: tuple[float, float], panels: Sequence[str],
) -> None:  # fmt: skip
    folder = write(tmp_path / "x", gap(*values), gap(*values, workers=5))
    code, out, err = command("plot", folder, *panels)
    assert (code, err) == (0, "")
    assert str(folder / "figures" / "center-gap-over-time.png") in out
    axes = [one for one in seen[0].axes if one.get_visible()]
    assert len(axes) == (2 if panels else 1)  # there is no detail of an upper end
    assert axes[0].get_ylabel() == "gap"
    for one in axes:
        assert one.get_yscale() == scale
        assert one.get_ylim() == pytest.approx(limits)
    labels = [axes[0].yaxis.get_major_formatter()(height, 0) for height in (0.01, 100)]
    assert scale == "linear" or labels == ["0.01", "100"]


@ACCURACY_ONLY
def test_a_picture_says_what_a_diverged_seed_counts_as(gaps: Path, losses: Path, command: Command) -> None:
    assert command("plot", gaps)[0] == 0
    assert command("plot", losses, "--measure", "test_accuracy")[0] == 0
    said = {
        name: " ".join(
            "".join(text.itertext())
            for text in ElementTree.parse(path).getroot().iter("{http://www.w3.org/2000/svg}text")
        )
        for name, path in {
            "gap": gaps / "figures" / "center-gap-over-time.svg",
            "accuracy": losses / "figures" / "test-accuracy-over-time.svg",
        }.items()
    }
    assert "it counts as 100 from there on" in said["gap"]
    assert "accuracy" not in said["gap"]
    assert "it counts as chance from there on" in said["accuracy"]
    assert "the upper end in detail" in said["accuracy"]
