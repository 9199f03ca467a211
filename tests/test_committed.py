"""The results that are committed: they are whole, they are as they were made, and they can be made again."""

from __future__ import annotations

import json
import math
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from agn_bench.base import machine
from agn_bench.config.run import digest_of
from agn_bench.problems.catalogue import DATASETS
from agn_bench.store import collected
from agn_bench.store.folder import known, planned
from agn_bench.store.run_files import CONFIGURATION_COLUMNS

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "results"
SWEPT = sorted(path.parent for path in RESULTS.glob("*/experiment.json"))
MOST_FILES, MOST_BYTES = 190, 29_000_000

each_experiment = pytest.mark.parametrize("swept", SWEPT, ids=lambda path: path.name)


def test_there_are_some() -> None:
    assert {path.name for path in SWEPT} >= {"four-methods", "paper", "reduced"}


@each_experiment
def test_the_collected_files_speak_of_the_same_runs_and_hold_what_was_made(swept: Path) -> None:
    rows = collected.read_collected(swept)
    made = {name for name, record in rows.provenance.items() if "config" in record}
    assert rows.names == rows.finished == made
    assert [name for name in sorted(made) if rows.content(name) != rows.provenance[name]["content"]] == []
    plan = planned(swept)
    assert plan is not None
    assert made <= set(plan["runs"])  # a size may lack some; the report counts them
    assert set(rows.tables["summary"]["in_experiment"]) == {"True"}


@each_experiment
def test_every_run_is_called_by_its_configuration(swept: Path) -> None:
    provenance = json.loads((swept / "provenance.json").read_text(encoding="utf-8"))
    for name, record in provenance.items():
        if "config" in record:
            assert name.endswith("-" + digest_of(record["config"], record["semantics_version"]))


def test_results_hold_nothing_twice() -> None:
    """Few files, and no more than a clone should cost; the runs' own folders are on the machine that made them."""
    try:
        listed = subprocess.run(
            ["git", "ls-files", "-z", "results"], cwd=ROOT, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no git repository")
    tracked = [ROOT / name for name in listed.stdout.split("\0") if name]
    assert 0 < len(tracked) <= MOST_FILES
    assert sum(path.stat().st_size for path in tracked if path.is_file()) <= MOST_BYTES
    assert not [path for path in tracked if "runs" in path.parts]


@pytest.fixture(scope="module")
def again(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path, Path]:
    """The name of a committed run, its folder, and a folder in which it was made once more, by what is known of it."""
    swept, seed = RESULTS / "four-methods", random.SystemRandom().randrange(10**6)
    name = random.Random(seed).choice(sorted(known(swept).rows.finished))
    print(f"random seed {seed}: {name}")
    out = tmp_path_factory.mktemp("again")
    words = ("run", "--like", swept / "runs" / name, "--threads", 1, "--device", "cpu", "--out", out)
    command = [sys.executable, "-m", "agn_bench", *map(str, words)]
    subprocess.run(command, capture_output=True, check=True)
    return name, swept, out


def test_a_committed_run_made_again_is_the_same(again: tuple[str, Path, Path]) -> None:
    """To the byte on the same kind of machine with the same versions. Elsewhere products may be rounded otherwise, and
    what becomes of that is for the accuracies to say: all that the clock decides is the same to the byte.
    """
    name, swept, out = again
    before, after = collected.read_collected(swept), collected.read_collected(out)
    assert after.finished == {name}
    if made_with(before.provenance[name]["machine"]) == made_with(machine.describe()):
        assert after.content(name) == before.content(name)
    row, row_again = (one.tables["summary"].set_index("run_id").loc[name].to_dict() for one in (before, after))
    assert differing(row, row_again) == []
    if row["status"] == row_again["status"] == "done":
        points, points_again = (curve_of(one, name) for one in (before, after))
        assert points_again[["time_s", "gradient_steps"]].equals(points[["time_s", "gradient_steps"]])


def made_with(facts: dict[str, Any]) -> tuple[str, list[str]]:
    """What decides how floats are rounded."""
    return facts["hardware"]["processor"], [facts["versions"][name] for name in ("jax", "jaxlib", "numpy", "optax")]


def curve_of(rows: collected.Collected, name: str) -> pd.DataFrame:
    table = rows.tables["curve"]
    return table[table["run_id"] == name].reset_index(drop=True)


def differing(row: dict[str, str], other: dict[str, str]) -> list[str]:
    """Columns in which two rows differ by more than rounding may bring about.

    Were two centers as unlike as two that are right on an image with probability p each for itself, their accuracies on
    N images would differ by √(2 p (1 − p) / N) in the root mean square; four times that is allowed. A run that diverges
    does so at another exchange if it is rounded otherwise, so that little but its timeline's end is the clock's alone.
    """
    entry = DATASETS[row["dataset"]]
    batch = int(row["workers"]) * int(row["batch_size"])
    images = {
        "last_batch_accuracy": batch,
        "train_accuracy": entry.train_images,
        "test_accuracy": entry.test_images,
        "best_test_accuracy": entry.test_images,
    }
    settled = row["status"] == other["status"] == "done"
    exact = {"seed", "sim_time_s", *CONFIGURATION_COLUMNS}
    if settled:
        exact |= row.keys() - images.keys() - {"experiment", "configuration", "in_experiment"}
    found = [column for column in sorted(exact) if row[column] != other[column]]
    for column, count in images.items() if settled else ():
        one, two = float(row[column]), float(other[column])
        mean = (one + two) / 2
        if abs(one - two) > 4 * math.sqrt(2 * mean * (1 - mean) / count):
            found.append(column)
    return found


@pytest.mark.kind("other line ends")
@pytest.mark.parametrize(
    ("file", "ends"),
    [("results/four-methods/summary.csv", "lf"), ("experiments/four-methods.toml", "lf"), ("x.png", "")],
)
def test_a_checkout_has_the_same_line_ends_on_every_system(file: str, ends: str) -> None:
    """The hashes in provenance.json and the names of runs are of the bytes."""
    asked = ["git", "-C", str(ROOT), "check-attr", "text", "eol", "--", file]
    try:
        said = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a checkout")
    assert f"text: {'auto' if ends else 'unset'}\n" in said
    assert not ends or f"eol: {ends}\n" in said
