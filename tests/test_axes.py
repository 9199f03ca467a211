"""Axes of curves: where a run is on them, what a divergence is there, and which runs have none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from agn_bench.analysis import axes, comparison
from agn_bench.analysis.axes import AXES, TIME, course
from agn_bench.analysis.measures import Measured
from agn_bench.base.inputs import BadInput

RESULTS = Path(__file__).parents[1] / "results"
MEASURES = [Measured("train_accuracy"), Measured("test_accuracy")]
ROW: dict[str, Any] = {
    "run_id": "agn-n2-l5-s0-00000000", "status": "done", "workers": 2, "local_steps": 5, "batch_size": 10,
    "exchanges": 4, "gradient_steps": 20, "epochs": 0.2, "sim_time_s": 10.0, "diverged_s": np.nan,
    "dataset": "mine-00000000", "problem": np.nan,
}  # fmt: skip
POINTS = {"time_s": np.array([0.0, 4.0, 8.0, 12.0]), "gradient_steps": np.array([0, 10, 15, 20])}


def curves(runs: comparison.Runs, measure: Measured, axis: str) -> list[comparison.Configuration]:
    return comparison.along(comparison.configurations(runs, measure), runs, AXES[axis])


@pytest.fixture(scope="module")
def four_methods() -> comparison.Runs:
    return comparison.read_runs([RESULTS / "four-methods"])


@pytest.mark.parametrize("measure", MEASURES)
def test_along_time_curves_are_what_they_were(four_methods: comparison.Runs, measure: Measured) -> None:
    for before in comparison.configurations(four_methods, measure):
        for row, (times, values) in zip(before.runs.to_dict("records"), before.curves, strict=True):
            points = four_methods.curves[four_methods.curves["run_id"] == row["run_id"]]
            same = course(TIME, row, points).curve((times, values))
            assert same[0] is times and same[1] is values
    found = curves(four_methods, measure, "time")
    assert [one.horizon for one in found] == [one.horizon_s for one in found]


@pytest.mark.parametrize("measure", MEASURES)
def test_a_reading_is_the_same_along_every_axis(four_methods: comparison.Runs, measure: Measured) -> None:
    """It stands at the steps that its own point says; of the readings at one place the last one counts."""
    for one in curves(four_methods, measure, "steps"):
        for row, (places, values) in zip(one.runs.to_dict("records"), one.curves, strict=True):
            assert (np.diff(places) > 0).all()
            points = four_methods.curves[four_methods.curves["run_id"] == row["run_id"]].dropna(subset=[measure.column])
            points = points[~(points["time_s"] >= row["diverged_s"])]
            last = points.groupby("gradient_steps")[measure.column].last().to_dict()
            own = places if row["status"] == "done" else places[:-2]
            if row["status"] == "diverged":
                last.pop(row["gradient_steps"], None)
            assert dict(zip(own, values, strict=False)) == last


def test_axes_differ_by_a_factor(four_methods: comparison.Runs) -> None:
    """λ is 26, and a mini-batch is 128 of 4,000 images."""
    by_axis = {name: curves(four_methods, MEASURES[0], name) for name in AXES}
    for steps, exchanges, epochs in zip(*(by_axis[name] for name in ("steps", "exchanges", "epochs")), strict=True):
        for (places, values), (of_exchanges, same), (of_epochs, same_too) in zip(
            steps.curves, exchanges.curves, epochs.curves, strict=True
        ):
            assert np.allclose(places / 26, of_exchanges, rtol=1e-12)
            assert np.allclose(places * 128 / 4000, of_epochs, rtol=1e-12)
            assert (values == same).all() and (values == same_too).all()
        assert exchanges.horizon == 400 and steps.horizon == 10_400
        assert epochs.horizon == pytest.approx(332.8)


def test_a_run_that_diverged_counts_as_chance_up_to_the_work_of_its_siblings(four_methods: comparison.Runs) -> None:
    (downpour,) = [one for one in curves(four_methods, MEASURES[1], "steps") if one.columns["optimizer"] == "downpour"]
    rows = downpour.runs.to_dict("records")
    assert [row["status"] for row in rows] == ["diverged", "diverged", "done"]
    assert downpour.divergences == [1664, 2314]
    for (places, values), at in zip(downpour.curves, [1664, 2314], strict=False):
        assert [*places[-2:]] == [at, 10_400] and [*values[-2:]] == [0.1, 0.1]
        assert places[-3] < at


def diverged(**columns: Any) -> dict[str, Any]:
    """One at 5 s, after 10 steps."""
    return {**ROW, "status": "diverged", "diverged_s": 5.0, "gradient_steps": 10, "exchanges": 2, **columns}


def test_without_shares_of_work_the_steps_after_a_divergence_go_on_at_the_run_s_rate() -> None:
    points = {"time_s": np.array([0.0, 4.0, 8.0]), "gradient_steps": np.array([0, 8, 10])}
    found = course(AXES["steps"], diverged(epochs=np.nan, shares="open"), points)
    assert (found.diverged, found.end) == (10, 20)
    assert [*found.places] == [0, 8, 10, 20]
    shared = course(AXES["steps"], diverged(epochs=0.29), points, examples=1000)  # 29 steps, 14 a worker, 10 in phases
    assert shared.end == 20
    assert course(AXES["steps"], diverged(epochs=0.29, shares="open"), points, examples=1000).end == 20


def test_a_place_with_several_points_has_the_last_one() -> None:
    points = {"time_s": np.array([0.0, 1.0, 2.0, 3.0]), "gradient_steps": np.array([0, 0, 20, 20])}
    places, values = course(AXES["steps"], ROW, points).curve((points["time_s"], np.array([0.1, 0.2, 0.3, 0.4])))
    assert [*places] == [0, 20] and [*values] == [0.2, 0.4]


def test_exchanges_are_refused_where_phases_differ_in_length() -> None:
    runs = comparison.read_runs([RESULTS / "adaptive-steps"])
    with pytest.raises(BadInput) as refused:
        curves(runs, MEASURES[1], "exchanges")
    message = str(refused.value)
    assert message.startswith("x=exchanges: the phases of agn-") and "\n" not in message
    assert "time, steps or epochs" in message
    assert curves(runs, MEASURES[1], "epochs")


def test_epochs_need_the_size_of_the_training_set() -> None:
    assert course(AXES["epochs"], ROW, POINTS, examples=1000).end == pytest.approx(0.2)
    with pytest.raises(
        BadInput, match=r"nothing says how many examples agn-n2-l5-s0-00000000 trains on.*mine-00000000"
    ):
        course(AXES["epochs"], ROW, POINTS)


@pytest.mark.parametrize(
    ("columns", "examples"),
    [
        ({"dataset": "mnist"}, 60_000),
        ({"dataset": "digits", "problem": "resnet", "problem_channels": "16"}, 1438),
        ({"dataset": np.nan, "problem": "quadratic", "problem_dimension": "4", "problem_noise": np.nan}, 65_536),
        ({"dataset": "mnist", "problem": "mine-00000000:Mine"}, None),
        ({"dataset": "mine-00000000"}, None),
    ],
)
def test_the_size_of_a_training_set_is_known_without_loading_it(columns: dict[str, Any], examples: int | None) -> None:
    row = {**ROW, **columns}
    assert axes.shipped_examples(row) == examples
    assert axes.asked_examples(row, {"gradient_steps": 20}) == 1000
    assert axes.asked_examples({**row, "epochs": np.nan}, {"gradient_steps": 20}) is None
    assert axes.asked_examples(row, {}) is None


def test_the_size_of_a_user_s_training_set_follows_from_what_was_asked_for(tmp_path: Path) -> None:
    (tmp_path / "provenance.json").write_text('{"agn-n2-l5-s0-00000000": {"config": {"gradient_steps": 20}}, "t": 1}')
    assert comparison.Runs([tmp_path], pd.DataFrame(), pd.DataFrame()).examples(ROW) == 1000
    (tmp_path / "provenance.json").write_text("{")
    with pytest.raises(BadInput, match=r"DIR .*provenance.json: cannot be read"):
        comparison.Runs([tmp_path], pd.DataFrame(), pd.DataFrame()).examples(ROW)


def test_an_axis_that_is_none_is_refused() -> None:
    assert axes.axis("x", "time") is TIME
    with pytest.raises(BadInput, match=r"x=epoch: .* mean epochs\?; accepted: time, exchanges, steps, epochs"):
        axes.axis("x", "epoch")
