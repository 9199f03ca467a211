"""The benchmarks: that what is timed beside each other trains the same, and is counted right. How fast it is, is not
tested.
"""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from agn_bench.base import machine
from agn_bench.studies.benchmarks import programs, runs, training
from agn_bench.studies.benchmarks.programs import Cell
from agn_bench.studies.benchmarks.training import merge_rows, training_benchmark

ROOT = Path(__file__).parent.parent
CELL = Cell("mlp-small", "sgd", 40, 1)
LIAR = """
import json, sys
print("ready", flush=True)
for line in sys.stdin:
    print(json.dumps({"seconds": 1.0, "worker": [0] * int(line), "losses": [0.5] * 40}), flush=True)
"""


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slices of four exchanges, and a machine that is hardly measured."""
    monkeypatch.setitem(programs.SCALES, CELL.model, replace(programs.SCALES[CELL.model], steps=4 * CELL.local_steps))
    for module in (programs, training):
        monkeypatch.setattr(module, "SGEMM_SIZES", (64, 128))
    monkeypatch.setattr(programs, "_SGEMM_SECONDS", 0.001)
    monkeypatch.setattr(programs, "_COPIED", 1000)


def measured(scripts: dict[str, Path]) -> dict[str, Any]:
    (row,) = training_benchmark([CELL], 1, scripts)
    return row


def test_a_cell_is_timed_beside_a_loop_that_trains_the_same(tmp_path: Path) -> None:
    (tmp_path / "absent.py").write_text("import a_package_that_is_not_there\n")
    row = measured({"plain_jax": ROOT / "experiments" / "peers" / "plain_jax.py", "absent": tmp_path / "absent.py"})
    assert row["peers_agree"] is True
    assert not [name for name in row if name.startswith("absent")]
    assert row["simulation_over_bare"] == pytest.approx(row["simulation_step_ms"] / row["bare_step_ms"])
    assert row["plain_jax_over_simulation"] == pytest.approx(row["plain_jax_step_ms"] / row["simulation_step_ms"])
    # 784-256-128-10; a product forward and two back in each layer, but for the images' slope.
    products = 784 * 256 + 256 * 128 + 128 * 10
    assert row["state_mb"] == pytest.approx(4e-6 * (products + 256 + 128 + 10))
    flops = 2 * 128 * (3 * products - 784 * 256)
    assert row["bare_gflops"] == pytest.approx(flops / row["bare_step_ms"] / 1e6)
    assert row["bare_over_sgemm"] == pytest.approx(row["bare_gflops"] / row["sgemm_gflops"])
    assert row["peak_mb"] > row["state_mb"]


def test_a_loop_that_trains_something_else_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "_in_process", lambda function, cell: 0.0)  # the memory is not looked at here
    (tmp_path / "liar.py").write_text(LIAR)
    row = measured({"liar": tmp_path / "liar.py"})
    assert row["peers_agree"] is False
    assert row["liar_step_ms"] == pytest.approx(1e3 / row["steps"])


def test_rows_of_other_cells_are_kept_and_those_of_the_same_replaced(tmp_path: Path) -> None:
    path = tmp_path / "training.csv"
    first, second = CELL._asdict() | {"steps": 1}, CELL._replace(workers=40)._asdict() | {"steps": 2}
    merge_rows(path, [first, second])
    merge_rows(path, [first | {"steps": 3}])
    assert sorted(pd.read_csv(path)["steps"]) == [2, 3]


def test_seeds_are_made_on_the_cores_that_the_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    """Here they are two of 64."""
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(machine, "cores", lambda: 2)
    monkeypatch.setattr(runs, "_quick", lambda seeds, cache=None: runs._Timed(1.0, 12.0, seeds * [10.0]))
    rows = {row["figure"]: row["median"] for row in runs.runs_benchmark(1)}
    assert rows["4 seeds, training, s"] == 20.0
    assert rows["4 seeds over one, training"] == 2.0


@pytest.mark.parametrize("table", ["timeline", "training", "runs", "optimizers"])
def test_make_bench_repeats_as_often_as_the_committed_tables_say(table: str) -> None:
    lines = re.findall(rf"agn-bench bench {table} .*", (ROOT / "Makefile").read_text())
    given = [re.search(r"--repetitions (\d+)", line) for line in lines]
    assert set(pd.read_csv(ROOT / "results" / "benchmarks" / f"{table}.csv")["repetitions"]) == {
        int(one[1]) if one else 5 for one in given
    }
