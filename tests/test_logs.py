"""Logs and tables as people have them: other separators, decimals, comments, ends of lines, and times of the clock."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from agn_bench import RunConfig, run
from agn_bench.base.inputs import BadInput
from agn_bench.clock import load_profile
from agn_bench.clock.trace import Trace, read_trace
from agn_bench.studies import calibration
from agn_bench.studies.measured import read_measured
from agn_bench.training.timing import timeline_of

Command = Callable[..., tuple[int, str, str]]

ROWS = [(1, 5, "95.1"), (2, 5, "49.2"), (4, 5, "26.4"), (4, 10, "24"), (8, 5, "16.9e0")]
NAMES = ("workers", "local_steps", "seconds")


def table(separator: str = ",", end: str = "\n", pad: str = "", decimal: str = ".", quote: str = "") -> str:
    """The measured times of ROWS, spelled so."""
    cells = [NAMES, *((n, steps, seconds.replace(".", decimal)) for n, steps, seconds in ROWS)]
    lines = [f"{separator}{pad}".join(f"{quote}{cell}{quote}" for cell in row) for row in cells]
    return end.join(lines) + end


SPELLINGS: dict[str, tuple[str | bytes, list[str]]] = {
    "spaces after commas": (table(pad=" "), []),
    "semicolons and decimal commas": (table(";", decimal=","), ["separated by semicolons", "decimal commas"]),
    "semicolons and decimal points": (table(";"), ["separated by semicolons"]),
    "tabs": (table("\t"), ["separated by tabs"]),
    "tabs and decimal commas": (table("\t", decimal=","), ["separated by tabs", "decimal commas"]),
    "bars with spaces around": (table("|", pad=" "), ["separated by bars"]),
    "columns of spaces": (table(" ", pad="   "), ["separated by spaces"]),
    "a comment": ("# two clusters\n" + table(), []),
    "comments between the rows": (table().replace("\n2,", "\n# the other one; slower, too\n2,"), []),
    "the header in a comment, as NumPy writes it": ("# made today\n# " + table(" "), ["header is a comment"]),
    "CRLF": (table(end="\r\n"), []),
    "CR": (table(end="\r"), []),
    "a mark of the byte order": ("\ufeff" + table(), []),
    "UTF-16 with tabs, as a spreadsheet's Unicode text": (table("\t").encode("utf-16"), ["separated by tabs"]),
    "blank lines": ("\n\n" + table().replace("\n", "\n\n"), []),
    "quoted cells": (table(quote='"'), []),
    "quoted cells, semicolons, decimal commas": (
        table(";", decimal=",", quote='"'),
        ["separated by semicolons", "decimal commas"],
    ),
    "separators at the ends": (table().replace("\n", ",\n"), []),
    "separators at the ends of rows": (table().replace("\n", ",\n").replace("seconds,", "seconds"), []),
    "sep=; on top": ("sep=;\r\n" + table(";", "\r\n", decimal=","), ["separated by semicolons", "decimal commas"]),
}


@pytest.mark.kind("tables with other separators, decimals, comments and ends of lines")
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_measured_times_are_read_however_they_are_spelled(spelling: str, tmp_path: Path) -> None:
    content, guessed = SPELLINGS[spelling]
    path = tmp_path / "times.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    (measured,) = read_measured(path, ["seconds"], 400)
    np.testing.assert_array_equal(measured.workers, [1, 2, 4, 4, 8])
    np.testing.assert_array_equal(measured.local_steps, [5, 5, 5, 10, 5])
    np.testing.assert_array_equal(measured.seconds, [95.1, 49.2, 26.4, 24, 16.9])
    for what in guessed:
        assert any(what in note and note.startswith("times.csv: ") for note in measured.notes)
    assert bool(guessed) == bool(measured.notes)


LOG = [(0, "2.5"), (1, "3"), (0, "5.25"), (1, "5.5"), (0, "7.5"), (1, "8.25")]


def log(separator: str, decimal: str = ".", begin: str = "") -> str:
    rows = "".join(f"{worker}{separator}{at.replace('.', decimal)}\n" for worker, at in LOG)
    return f"{begin}worker{separator}applied_s\n{rows}"


@pytest.mark.kind("tables with other separators, decimals, comments and ends of lines")
@pytest.mark.parametrize(
    ("content", "as_ever"),
    [
        (log(";", ","), False),
        (log("\t"), False),
        ("# host a\n" + log(", "), False),
        (log(",").replace("\n", "\r"), False),
        (log(",").replace("\n", "\r\n"), True),
        ("\ufeff" + log(","), True),
    ],
    ids=["semicolons", "tabs", "comment and spaces", "CR", "CRLF", "byte order"],
)
def test_a_log_is_one_run_however_it_is_spelled(content: str, as_ever: bool, tmp_path: Path) -> None:
    """But for spellings that could be read before, whose runs keep the names that they were given."""

    def read(text: str) -> Trace:
        (tmp_path / "log.csv").write_bytes(text.encode())
        return read_trace(tmp_path / "log.csv")

    plain, other = read(log(",")), read(content)
    for column, values in plain.timeline.rows().items():
        np.testing.assert_array_equal(other.timeline.rows()[column], values, column)
    assert (other.name == plain.name) == (not as_ever)


@pytest.mark.kind("tables with other separators, decimals, comments and ends of lines")
@pytest.mark.parametrize(
    ("content", "says"),
    [
        (table(";", decimal=",").replace("95,1", "95.1"), "line 3, seconds = 49,2: not a number"),  # which is it?
        (table(";").replace("95.1", "1.095,1"), "line 2, seconds = 1.095,1: not a number"),
        (table().replace("95.1", "95,1"), r"not CSV \(line 2 has 4 cells, the header 3\)"),
        (table().replace("95.1", "95.1 s"), "line 2, seconds = 95.1 s: not a number"),
        (table(":"), "has no column workers; it has workers:local_steps:seconds"),
        ("# \xe4\n" + table(), r"not CSV \(line 1 is not UTF-8 text\)"),
        ("# nothing\n# more\n", r"not CSV \(no header\)"),
        ("sep=;\n", "has no column workers"),
    ],
    ids=[
        "both decimals",
        "thousands",
        "decimal commas between commas",
        "units",
        "colons",
        "Latin-1",
        "comments",
        "sep",
    ],
)
def test_what_cannot_be_read_is_refused_with_what_is_there(content: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "times.csv").write_bytes(content.encode("latin-1"))
    with pytest.raises(BadInput) as refused:
        read_measured(tmp_path / "times.csv", ["seconds"], 400)
    assert re.search(says, str(refused.value))


def test_lines_are_counted_from_the_top_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("# one\n\nworker; applied_s\n0;1,5\n# four\n\n0;x\n")
    with pytest.raises(BadInput, match=r"log.csv, line 7, applied_s = x: "):
        read_trace(tmp_path / "log.csv")


def test_measured_times_of_a_profile_are_read_by_the_same_reader(tmp_path: Path) -> None:
    (tmp_path / "times.csv").write_text("# a week\nhost;seconds\na;0,5\nb;1,5\n")
    (tmp_path / "mine.toml").write_text('[step]\ndistribution = "empirical"\nfile = "times.csv"\ncolumn = "seconds"\n')
    assert load_profile(str(tmp_path / "mine.toml")).step.moments().mean == 1.0


EVENTS = [(0, 2.25), (1, 3.0), (0, 4.75), (1, 5.5), (0, 7.25), (1, 8.0), (0, 9.5), (1, 10.75)]


def events(shift: float, starts: bool) -> str:
    before = {0: 0.0, 1: 0.0}
    lines = ["worker,start_s,applied_s" if starts else "worker,applied_s"]
    for worker, at in EVENTS:
        start = f"{shift + before[worker]!r}," if starts else ""
        lines.append(f"{worker},{start}{shift + at!r}")
        before[worker] = at
    return "\n".join(lines) + "\n"


@pytest.mark.kind("logs with times of the clock, and logs that start late")
@pytest.mark.parametrize("starts", [True, False], ids=["with starts", "without"])
@pytest.mark.parametrize(
    ("shift", "says"),
    [
        (0.0, ""),
        (0.5, ""),
        (20.0, "starts late"),
        (120.0, "starts late"),
        (86_400.0, "starts late"),
        (1_780_000_000.0, "count from 1970"),
        (1_780_000_000.25, "count from 1970"),
    ],
)
def test_the_beginning_of_a_log_is_taken_off(shift: float, says: str, starts: bool, tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text(events(shift, starts))
    trace = read_trace(tmp_path / "log.csv")
    timeline = trace.timeline
    if not says:
        assert trace.notes == ()
        np.testing.assert_array_equal(timeline.applied_s, [shift + at for _, at in EVENTS])
        return
    (note,) = trace.notes
    assert says in note and re.search(r"; \d+(\.\d+)? s are taken off its times", note)
    expected = np.array([at for _, at in EVENTS])
    if not starts:  # its first exchange takes as long as is usual: 2.5 s
        expected += 2.5 - expected[0]
    np.testing.assert_allclose(timeline.applied_s, expected, atol=1e-6)
    assert timeline.start_s.min() == 0
    # A run of it is not the one of the same file whose times were taken as they stand.
    (tmp_path / "log.csv").write_text(events(0.0, starts))
    assert read_trace(tmp_path / "log.csv").name != trace.name


@pytest.mark.parametrize(
    ("shift", "starts", "name"),
    [
        (0.0, True, "log-5fb880ea"),
        (120.0, True, "log-0c14ac1d"),
        (120.0, False, "log-9eb445be"),
        (1_780_000_000.1, True, "log-a975393a"),
        (1_780_000_000.1, False, "log-0b326dd3"),
    ],
)
def test_a_log_has_the_name_that_runs_were_made_under(shift: float, starts: bool, name: str, tmp_path: Path) -> None:
    """Before names of workers, dates and rows in any order could be read."""
    (tmp_path / "log.csv").write_text(events(shift, starts))
    assert read_trace(tmp_path / "log.csv").name == name


def test_commands_and_library_say_what_was_guessed(
    command: Command, quick_dataset: str, tmp_path: Path, sketched: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibration, "_PRECISION", 0.3)  # how well it fits is tested elsewhere
    path = tmp_path / "late.csv"
    path.write_text(events(120.0, True).replace(",", ";"))
    words = ["--timeline", path, "--local-steps", 5, "--dataset", "tiny", "--model", "mlp-8", "--batch-size", 8]
    guessed = ["late.csv: its cells are separated by semicolons.", "late.csv: it starts late; 120 s are taken off"]
    for name in ("timeline", "run"):
        code, out, err = command(name, *words, "--out", tmp_path / name)
        assert (code, err) == (0, "")
        assert [out.count(what) for what in guessed] == [1, 1]
    config = RunConfig.of(timeline=path, local_steps=5, dataset="tiny", model="mlp-8", batch_size=8)
    result = run(config)
    assert all(any(what in remark for remark in result.remarks) for what in guessed)
    assert result.timeline.end_s == timeline_of(config).end_s == 10.75
    times = tmp_path / "times.csv"
    times.write_text(table(";", decimal=","))
    code, out, _ = command(
        "calibrate", times, "--gradient-steps", 400, "--seeds", 1, "--resamples", 0, "--out", tmp_path / "fit"
    )
    assert (code, out.count("times.csv: its numbers have decimal commas.")) == (0, 1)
