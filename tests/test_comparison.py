"""Configurations side by side, from CSV files made by hand: what is averaged, what is told apart, what is drawn."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from agn_bench.analysis import comparison, tables
from agn_bench.analysis.arrangement import arrange
from agn_bench.analysis.figures import look
from agn_bench.analysis.figures.curves import over_seeds
from agn_bench.analysis.figures.over_time import over_time
from agn_bench.analysis.measures import Measured
from agn_bench.base.inputs import BadInput
from agn_bench.training.columns import CONFIGURATION_COLUMNS

BASE = {
    "optimizer": "agn", "workers": 2, "local_steps": 3, "dataset": "mnist", "model": "mlp-9", "local_optimizer": "sgd",
    "learning_rate": 0.1, "momentum": None, "alpha": None, "batch_size": 8, "epochs": 1.0, "delays": "ideal",
    "data_split": "mixed", "reset_local_optimizer": False, "window_s": 5.0, "eval_every": None, "status": "done",
    "sim_time_s": 10.0, "test_accuracy": 0.5, "diverged_s": None,
}  # fmt: skip
TRAINING = Measured("train_accuracy")
Run = tuple[dict[str, Any], list[tuple[float, float]]]


@pytest.fixture
def experiment(tmp_path: Path) -> Callable[..., Path]:
    """Write summary.csv and curves.csv: of each run the columns that differ from BASE, and (time, accuracy) points."""

    def write(*runs: Run) -> Path:
        rows, points = [], []
        for number, (columns, curve) in enumerate(runs):
            own = {name: value for name, value in columns.items() if name in CONFIGURATION_COLUMNS}
            row = {"configuration": f"hash of {sorted(own.items())}", "seed": number, **BASE, **columns}
            rows.append({"run_id": f"run{number}", **row})
            points += [
                {"run_id": f"run{number}", "time_s": t, "train_accuracy": y, "test_accuracy": None} for t, y in curve
            ]
        pd.DataFrame(rows).to_csv(tmp_path / "summary.csv", index=False)
        pd.DataFrame(points).to_csv(tmp_path / "curves.csv.gz", index=False)
        return tmp_path

    return write


def read(folder: Path) -> list[comparison.Configuration]:
    return comparison.configurations(comparison.read_runs([folder]), TRAINING)


LINE = [(0.0, 0.0), (10.0, 1.0)]
HALF = [(0.0, 0.0), (10.0, 0.5)]


@pytest.mark.parametrize("name", ["../../elsewhere", "/elsewhere", "a/b", "a\\b", "..", "."])
def test_a_run_that_is_called_as_no_folder_can_be_is_refused(experiment: Callable[..., Path], name: str) -> None:
    """What is read and written of it would lie anywhere."""
    folder = experiment(({}, LINE))
    for file in ("summary.csv", "curves.csv.gz"):
        pd.read_csv(folder / file, dtype=str).assign(run_id=name).to_csv(folder / file, index=False)
    with pytest.raises(BadInput, match="run_id that no folder can have"):
        comparison.read_runs([folder])


@pytest.mark.parametrize("seed", ["", "0.5", "many", "inf"])
def test_a_seed_that_is_no_whole_number_is_refused(experiment: Callable[..., Path], seed: str) -> None:
    folder = experiment(({}, LINE))
    pd.read_csv(folder / "summary.csv", dtype=str).assign(seed=seed).to_csv(folder / "summary.csv", index=False)
    with pytest.raises(BadInput, match="column seed of some row"):
        comparison.read_runs([folder])


def test_seeds_are_averaged_and_the_best_area_comes_first(experiment: Callable[..., Path]) -> None:
    found = read(experiment(({"optimizer": "easgd"}, HALF), ({}, LINE), ({}, HALF)))
    assert [configuration.label for configuration in found] == ["agn", "easgd"]
    assert [len(configuration.curves) for configuration in found] == [2, 1]
    rows = tables.measure_table(found, [4.0], [0.25])
    assert rows[0]["accuracy_at_4s_mean"] == pytest.approx(0.3)
    assert rows[0]["accuracy_at_4s_std"] == pytest.approx(0.2 / np.sqrt(2))
    assert rows[0]["time_to_0.25_s_mean"] == pytest.approx((2.5 + 5) / 2)
    assert np.isnan(rows[1]["area_std"])


def test_configurations_are_set_against_the_first_seed_by_seed(experiment: Callable[..., Path]) -> None:
    """Seeds 0 to 2 of the first are at 0.9, 0.7 and 0.8 all along, those of the second 0.1, 0.2 and 0.3 behind; of the
    third only one has a seed that the first has, of the fourth none.
    """
    runs = [({"seed": seed}, [(0.0, y), (10.0, y)]) for seed, y in enumerate((0.9, 0.7, 0.8))]
    runs += [
        ({"seed": seed, "optimizer": name}, [(0.0, y), (10.0, y)])
        for name, seed, y in (
            *(("easgd", 0, 0.8), ("easgd", 1, 0.5), ("easgd", 2, 0.5)),
            *(("dynsgd", 2, 0.5), ("dynsgd", 9, 0.6)),
            ("downpour", 7, 0.1),
        )
    ]
    found = read(experiment(*runs))
    first, second, third, fourth = tables.measure_table(found, [], [])
    assert [row["optimizer"] for row in (first, second, third, fourth)] == ["agn", "easgd", "dynsgd", "downpour"]
    assert second["area_behind_mean"] == pytest.approx(0.2)
    assert second["area_behind_half_width_95"] == pytest.approx(
        4.302653 * 0.1 / np.sqrt(3)
    )  # t of 2 degrees of freedom
    assert third["area_behind_mean"] == pytest.approx(0.3)
    assert np.isnan([third["area_behind_half_width_95"], first["area_behind_mean"], fourth["area_behind_mean"]]).all()
    shown = tables.readable(found, [first, second, third, fourth], [], [])["behind agn, seed by seed"]
    assert [[*row.values()] for row in shown] == [["easgd", "20.00 ± 24.84"], ["dynsgd", "30.00"]]


@pytest.mark.parametrize(
    ("others", "labels"),
    [
        ([{"optimizer": "easgd", "alpha": 0.05}], {"agn", "easgd"}),
        (
            [{"optimizer": "easgd", "alpha": 0.05}, {"optimizer": "easgd", "alpha": 0.1}],
            {"agn", "easgd, alpha 0.05", "easgd, alpha 0.1"},
        ),
        ([{"workers": 4}], {"agn, n 2", "agn, n 4"}),
        ([{"workers": 4, "local_steps": 7}], {"agn, n 2, λ 3", "agn, n 4, λ 7"}),
        ([{"eval_every": 5}], {"agn", "agn, eval_every 5"}),
        ([{"local_optimizer": "adam"}], {"agn, sgd", "agn, adam"}),
        ([{"configuration": "another profile"}], {"agn, hash of []", "agn, another profile"}),
    ],
)
def test_a_label_says_what_tells_a_configuration_apart(
    experiment: Callable[..., Path], others: list[dict[str, Any]], labels: set[str]
) -> None:
    assert {
        configuration.label for configuration in read(experiment(({}, LINE), *((o, LINE) for o in others)))
    } == labels


def test_a_diverged_seed_counts_as_chance_beside_one_that_went_well(experiment: Callable[..., Path]) -> None:
    """Seed 0 is at 0.3 until 3 s and at chance, 0.1, from there; seed 1 rises to 1 at 10 s."""
    bad = {"status": "diverged", "diverged_s": 3.0, "test_accuracy": 0.1}
    (both,) = read(experiment((bad, [(0.0, 0.3), (2.0, 0.3)]), ({}, LINE)))
    (row,) = tables.measure_table([both], [6.0, 10.0], [0.5])
    assert row["accuracy_at_6s_mean"] == pytest.approx((0.1 + 0.6) / 2)
    assert row["accuracy_at_10s_mean"] == pytest.approx((0.1 + 1.0) / 2)
    assert (row["diverged"], row["reached_0.5"]) == (1, 1)
    times, mean, std = over_seeds(both.curves)
    assert times[-1] == 10.0
    assert mean[-1] == pytest.approx(0.55)
    assert std[-1] == pytest.approx(0.9 / np.sqrt(2))  # the sample deviation, as in the tables


def test_the_mean_is_drawn_while_all_seeds_last(experiment: Callable[..., Path], tmp_path: Path) -> None:
    (both,) = read(experiment(({}, [(1.0, 0.2), (8.0, 0.2)]), ({}, [(2.0, 0.4), (5.0, 0.4), (9.0, 0.4)])))
    times, mean, _ = over_seeds(both.curves)
    np.testing.assert_array_equal(times, [2.0, 5.0, 8.0])
    np.testing.assert_array_equal(over_seeds(both.curves[:1])[2], 0)
    np.testing.assert_allclose(mean, 0.3)
    assert len(over_time(arrange([both]), TRAINING, tmp_path / "drawn")) == 2


def test_a_picture_that_cannot_be_drawn_leaves_no_part_of_it(
    experiment: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from matplotlib.figure import Figure

    def disk_full(self: Figure, path: Path, **options: object) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    found = read(experiment(({}, LINE)))
    monkeypatch.setattr(Figure, "savefig", disk_full)
    with pytest.raises(OSError, match="No space"):
        over_time(arrange(found), TRAINING, tmp_path / "figures" / "drawn")
    assert list((tmp_path / "figures").iterdir()) == []


@pytest.mark.parametrize(
    ("columns", "says"),
    [({"sim_time_s": "long"}, "has text in column sim_time_s")],
)
def test_edited_files_are_refused(experiment: Callable[..., Path], columns: dict[str, Any], says: str) -> None:
    with pytest.raises(BadInput) as refused:
        read(experiment((columns, LINE)))
    assert says in str(refused.value)


def test_a_run_without_points_is_refused(experiment: Callable[..., Path]) -> None:
    with pytest.raises(BadInput, match=r"curves\.csv\.gz has no points of run1"):
        read(experiment(({}, LINE), ({"workers": 3}, [])))


@pytest.mark.parametrize(
    ("column", "value", "says"),
    [
        ("workers", "two", "has no whole number in column workers"),
        ("epochs", "0,1", "has text in column epochs"),
        ("reset_local_optimizer", "7", "has neither true nor false in column reset_local_optimizer"),
    ],
)
def test_a_column_of_another_type_than_declared_is_refused(
    experiment: Callable[..., Path], column: str, value: str, says: str
) -> None:
    with pytest.raises(BadInput, match=says):
        read(experiment(({column: value}, LINE)))


def test_a_picture_that_is_large_as_svg_is_kept_as_png_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, experiment: Callable[..., Path]
) -> None:
    """Also if it was small before; and none is named that is not there."""
    found = arrange(read(experiment(({}, LINE))))
    stem = tmp_path / "x"
    assert over_time(found, TRAINING, stem) == [
        tmp_path / "x.png",
        tmp_path / "x.svg",
    ]
    size = (tmp_path / "x.svg").stat().st_size
    monkeypatch.setattr(look, "LARGEST_SVG", size)
    assert (tmp_path / "x.svg") in over_time(found, TRAINING, stem)
    monkeypatch.setattr(look, "LARGEST_SVG", size - 1)
    assert over_time(found, TRAINING, stem) == [tmp_path / "x.png"]
    assert sorted(path.name for path in tmp_path.glob("*x.*")) == ["x.png"]
