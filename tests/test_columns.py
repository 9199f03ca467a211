"""Every column of every file that the program writes is on the page of files."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
import pytest

from agn_bench.base.quantities import declared_numbers
from agn_bench.optimizers import LOCAL_OPTIMIZERS, OPTIMIZERS
from agn_bench.optimizers.local_steps import LOCAL_STEPS_RULES
from agn_bench.optimizers.schedules import SCHEDULES
from agn_bench.problems import PROBLEMS
from agn_bench.problems.catalogue import SPLITS
from agn_bench.training.columns import CONFIGURATION_COLUMNS

Command = Callable[..., tuple[int, str, str]]
ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "files.md").read_text(encoding="utf-8")
KIND = "columns that nothing explains"

NUMBERS = {
    f"{prefix}{name}"
    for named, prefixes in (
        (OPTIMIZERS, ("", "optimizer_")),
        (LOCAL_OPTIMIZERS, ("", "local_")),
        (SPLITS, ("split_",)),
        (PROBLEMS, ("problem_",)),
        (SCHEDULES, ("schedule_",)),
        (LOCAL_STEPS_RULES, ("rule_",)),
    )
    for kind in named.names()
    for name in declared_numbers(named[kind])
    for prefix in prefixes
}
"""Columns that the page explains together, as those of the numbers of whatever was chosen."""
SUMMARY = "summary.csv: one row per run"
SIZES, CLUSTER, BEALE = "In the folder `tables` of each size:", "In `paper-cluster/tables`:", "In `beale/tables`:"
REPRODUCE = "What `agn-bench reproduce` writes"


def section(title: str) -> str:
    """What stands under a heading, up to the next."""
    found = re.search(rf"^##+ {re.escape(title)}.*?\n(.*?)(?=^##|\Z)", PAGE, flags=re.DOTALL | re.MULTILINE)
    assert found, title
    return found[1]


def part(opening: str, file: str) -> str:
    """The entry of a list that is of a file; the list follows the line `opening`."""
    listed = section(REPRODUCE).partition(opening)[2]
    listed = re.split(r"\n\nIn ", listed)[0]
    (found,) = [entry for entry in re.split(r"^- ", listed, flags=re.MULTILINE) if f"`{file}`" in entry.split(" ha")[0]
                or entry.startswith(f"`{file}`")]  # fmt: skip
    return found


def undocumented(columns: Sequence[str], text: str, endings: Sequence[str] = ()) -> list[str]:
    """Columns that do not stand in a text in backticks; there <…> and … stand for anything."""
    known = []
    for name in re.findall(r"`([^`\n]+)`", text):
        pattern = "".join(".+" if piece.startswith("<") else ".*" if piece == "…" else re.escape(piece)
                          for piece in re.split(r"(<[^>]+>|…)", name))  # fmt: skip
        known.append(re.compile(pattern + "(" + "|".join(["", *endings]) + ")"))
    return [column for column in columns if not any(one.fullmatch(column) for one in known)]


def text_for(path: Path) -> tuple[str, tuple[str, ...]]:
    """What the page says of a committed file, and endings that it explains once for several columns."""
    of_folder = {
        "benchmarks": {
            "training.csv": section("What `agn-bench bench training` writes"),
            "runs.csv": section("What `agn-bench bench runs` writes"),
        }.get(path.name, section("What `agn-bench bench timeline` writes")),
        "robustness": section("What `make robustness` writes"),
        "checks": section("What `make checks` writes"),
        "paper-cluster": section("What `agn-bench calibrate` writes"),
    }
    if path.parent.name in of_folder and path.name != "summary.csv":
        return of_folder[path.parent.name], ()
    if path.name == "summary.csv":
        return section(SUMMARY), ()
    if path.name == "curves.csv.gz":
        return section("curve.csv, curves.csv.gz") + "`run_id`", ()
    if path.name in ("accuracy.csv", "test-accuracy.csv", "center-gap.csv") and path.parts[-3] != "paper-cluster":
        return section("What `agn-bench table` writes") + section(SUMMARY), ()
    if path.name == "trials.csv":
        return section("What `agn-bench tune` writes"), ()
    made = {"which-local-steps", "growth-rates", "small-gradients"} & set(path.parts)
    if made:
        return section(f"What `make {made.pop()}` writes"), ()
    opening = {"paper-cluster": CLUSTER, "beale": BEALE}.get(path.parts[-3], SIZES)
    return part(opening, path.name), ("_std", "_published")


COMMITTED = sorted(path for path in (ROOT / "results").rglob("*.csv*") if "runs" not in path.parts)


@pytest.mark.kind(KIND)
@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: str(path.relative_to(ROOT / "results")))
def test_the_columns_of_the_committed_files_are_on_the_page(path: Path) -> None:
    columns = list(pd.read_csv(path, nrows=0).columns)
    text, endings = text_for(path)
    missing = [name for name in undocumented(columns, text, endings) if name not in NUMBERS]
    assert missing == []


@pytest.mark.kind(KIND)
def test_the_columns_that_commands_write_are_on_the_page(
    command: Command, quick_dataset: str, tmp_path: Path, sketched: None
) -> None:
    work = ["--dataset", "tiny", "--model", "mlp-8", "--batch-size", 8, "--workers", 4, "--local-steps", 3]
    work += ["--gradient-steps", 240, "--delays", "stragglers"]
    out = tmp_path / "out"
    kinds = ["easgd", "ringmaster:threshold=1:stops=yes", "dana", "agn"]
    more = [[], [], ["--local-optimizer", "momentum"], ["--data-split", "dirichlet:concentration=0.5"]]
    for kind, options in zip(kinds, more, strict=True):
        until = ["--until", "test_accuracy=0.9", "--seconds", 60, *options]
        assert command("run", *work, "--optimizer", kind, *until, "--out", out)[0] == 0
    assert command("table", out)[0] == 0
    ruled = ["--optimizer", kinds[1]]
    assert command("timeline", *work, *ruled, "--out", tmp_path / "clock")[0] == 0
    assert (tmp_path / "clock" / "interrupted.csv").exists()
    run = next((out / "runs").iterdir())
    written = {
        run / "summary.csv": SUMMARY,
        out / "summary.csv": SUMMARY,
        run / "curve.csv": "curve.csv, curves.csv.gz",
        out / "curves.csv.gz": "curve.csv, curves.csv.gz",
        run / "commits.csv": "commits.csv",
        tmp_path / "clock" / "commits.csv": "commits.csv",
        tmp_path / "clock" / "interrupted.csv": "interrupted.csv",
        tmp_path / "clock" / "staleness.csv": "What `agn-bench timeline` writes",
        tmp_path / "clock" / "timeline.csv": "What `agn-bench timeline` writes",
        out / "tables" / "accuracy.csv": "What `agn-bench table` writes",
    }
    for path, title in written.items():
        columns = list(pd.read_csv(path, nrows=0).columns)
        text = section(title) + (section(SUMMARY) if "accuracy" in path.name else "") + "`run_id`"
        assert [name for name in undocumented(columns, text) if name not in NUMBERS] == [], path
    assert set(CONFIGURATION_COLUMNS) <= set(pd.read_csv(out / "summary.csv", nrows=0).columns)


def test_a_column_that_is_not_on_the_page_is_found() -> None:
    assert undocumented(["seed", "sead"], section(SUMMARY)) == ["sead"]
    assert undocumented(["agn_train_std", "agn_trian"], part(SIZES, "grid.csv"), ("_std",)) == ["agn_trian"]
