"""What docs/clock.md says is what the clock does."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from agn_bench.clock.measures import measures
from agn_bench.clock.rules import Rules
from agn_bench.clock.timeline import Timeline
from agn_bench.config.run import RunConfig
from agn_bench.optimizers import OPTIMIZERS
from agn_bench.training.timing import timeline_of

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "clock.md").read_text(encoding="utf-8")
Command = Callable[..., tuple[int, str, str]]


def rows(heading: str) -> list[list[str]]:
    """The cells of the table that begins with this heading, without the heading."""
    (table,) = re.findall(rf"^\|+ ?{re.escape(heading)} \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", PAGE, flags=re.MULTILINE)
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]


def simulated(**options: object) -> Timeline:
    return timeline_of(RunConfig.of(**options))


def test_every_link_and_picture_is_there() -> None:
    for target in re.findall(r"\]\(([^)#]+)", PAGE):
        assert (ROOT / "docs" / target).exists(), target


def test_where_the_work_went() -> None:
    names = "exchanges | versions | mean staleness | accepted | dropped | interrupted | unfinished | waiting for others"
    table = rows(f"optimizer | {names}")
    assert len(table) == 7
    for optimizer, *cells in table:
        timeline = simulated(optimizer=optimizer.strip("`"), workers=10, delays="stragglers", seconds=300)
        found = measures(timeline, endless=True)
        steps = [str(found[f"{name}_steps"]) for name in ("accepted", "dropped", "interrupted", "unfinished")]
        counts, waiting = (str(found["exchanges"]), str(found["versions"])), f"{100 * found['barrier_share']:.0f} %"
        assert cells == [*counts, f"{found['mean_staleness']:.2f}", *steps, waiting]


def test_who_asks_for_what() -> None:
    table = rows("optimizer | `quorum` | `waits` | `drop_at` | `cancels` | `ahead`")
    values = {"n": 20, "n − b": 17, "K": 5, "R": 7, "s": 2, "1": 1, "–": None, "yes": True, "no": False}
    named = set()
    for optimizers, *cells in table:
        for text in re.findall("`([^`]+)`", optimizers):
            filled = text.replace("=b", "=3").replace("=K", "=5").replace("=R", "=7").replace("=s", "=2")
            expected = dict(
                zip(("quorum", "waits", "drop_at", "cancels", "ahead"), map(values.get, cells), strict=True)
            )
            assert OPTIMIZERS.choose(filled).thing.rules(20) == Rules(**expected), text
            named.add(text.partition(":")[0])
    assert named <= set(OPTIMIZERS)  # docs/optimizers.md has all


PROFILE = """
[step]
distribution = "constant"
mean = 0.5
[up]
distribution = "constant"
mean = 0.2
[down]
distribution = "constant"
mean = 0.2
[server]
distribution = "constant"
mean = 0.4
"""


def test_seconds_a_round(tmp_path: Path) -> None:
    (tmp_path / "constant.toml").write_text(PROFILE)
    settings = [
        [],
        ["server.channels=4"],
        ["collective.latency=0.01"],
        ["collective.latency=0.01", "collective.bandwidth=1e7"],
    ]
    base = {"optimizer": "local-sgd", "workers": 10, "local_steps": 4, "gradient_steps": 400}
    table = rows("| seconds per round | why")
    for (_, seconds, why), delay in zip(table, settings, strict=True):
        timeline = simulated(**base, delays=str(tmp_path / "constant.toml"), delay=delay)
        assert seconds == f"{timeline.end_s / 10:.2f}"
        assert timeline.end_s / 10 == pytest.approx(eval(why.partition(":")[0].replace("·", "*")))


def test_the_pictures_commands_run(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    lines = re.findall(r"^    agn-bench (.*)$", PAGE, flags=re.MULTILINE)
    assert len(lines) == 6
    for line in lines:
        assert command(*shlex.split(line))[0] == 0
    (text,) = re.findall(r"`agn-bench (timeline [^`]*)` ends with one stranded worker", PAGE)
    assert command(*shlex.split(text))[0] == 0
    (row,) = pd.read_csv(tmp_path / "results" / "adhoc" / "timeline" / "timeline.csv").to_dict("records")
    assert row["stranded"] == 1
