"""The results that are committed are what the program makes of the runs that are committed with them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from agn_bench.store import folder

RESULTS = Path(__file__).parent.parent / "results"
SWEPT = sorted(path.parent for path in RESULTS.glob("*/experiment.json"))


def test_there_are_some() -> None:
    assert {path.name for path in SWEPT} >= {"four-methods", "paper", "reduced"}


@pytest.mark.parametrize("swept", SWEPT, ids=lambda path: path.name)
def test_every_run_is_whole_and_all_of_them_were_collected(swept: Path, tmp_path: Path) -> None:
    (tmp_path / "runs").symlink_to(swept / "runs")
    shutil.copy(swept / "experiment.json", tmp_path)
    runs = folder.all_runs(tmp_path)
    assert runs
    assert [folder.damage(run) for run in runs] == [""] * len(runs)
    folder.collect(tmp_path)
    for name in ("summary.csv", "curves.csv", "provenance.json"):
        assert (tmp_path / name).read_bytes() == (swept / name).read_bytes()
