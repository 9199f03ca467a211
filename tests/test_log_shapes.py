"""Logs as clusters write them: one timeline in many shapes is one timeline, and what is broken is refused by its line.

The timeline is the program's own, at whole microseconds. What is expected are the very numbers that the logs were
written from.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from agn_bench import RunConfig
from agn_bench.base.inputs import BadInput
from agn_bench.clock import Constant, Gamma, Profile, draw_delays
from agn_bench.clock.events import simulate_timeline
from agn_bench.clock.timeline import TIMES, Timeline
from agn_bench.clock.trace import Trace, read_trace
from agn_bench.config.experiment import read_experiment_file
from agn_bench.studies import calibration
from agn_bench.studies.measured import read_measured

Command = Callable[..., tuple[int, str, str]]
WORKERS, PHASES = 11, 10
MAY = 1_780_000_000
"""A moment, in seconds since 1970: 2026-05-28T20:26:40Z."""
OCTOBER = 1_792_889_995
"""Five seconds before clocks are turned back in Berlin: 2026-10-25T00:59:55Z, when they show 02:59:55."""


def made() -> Timeline:
    """A timeline of the program, at whole microseconds."""
    delays = Profile("busy", Gamma(1.0, 0.5), Gamma(0.2, 0.5), Constant(0.1), Gamma(0.02, 0.5), order="random")
    timeline = simulate_timeline(draw_delays(delays, 3, WORKERS, PHASES, 1))
    times = tuple(np.round(getattr(timeline, name), 6) for name in TIMES)
    return Timeline.asynchronous(WORKERS, 1, timeline.worker, times)


MADE = made()
ROWS: list[tuple[int, list[Decimal]]] = [
    (int(worker), [Decimal(f"{getattr(MADE, name)[at]:.6f}") for name in TIMES])
    for at, worker in enumerate(MADE.worker)
]
"""The worker and the times of each exchange."""


def number(time: Decimal) -> str:
    """Without zeros at its end."""
    return f"{time.normalize():f}"


def since(begin: int, scale: int = 1) -> Callable[[Decimal], str]:
    """A time as a number that counts from 1970, in parts of a second."""
    return lambda time: number((begin + time) * scale)


def date(begin: int, shape: str, zone: Callable[[int], int] | None = None) -> Callable[[Decimal], str]:
    """A time as a date of this shape, in the zone so many hours east."""

    def written(time: Decimal) -> str:
        whole, hours = begin + int(time), 0 if zone is None else zone(begin + int(time))
        at = datetime.fromtimestamp(whole, UTC).astimezone(timezone(timedelta(hours=hours)))
        return at.strftime(shape).replace("FFFFFF", f"{int(time % 1 * 10**6):06d}").replace("ZONE", f"{hours:+03d}:00")

    return written


def log(
    worker: Callable[[int], object] = int,
    time: Callable[[Decimal], str] = number,
    separator: str = ",",
    names: tuple[str, ...] = ("worker", *TIMES),
    shuffled: bool = False,
    twice: tuple[int, ...] = (),
) -> str:
    """The timeline as a log."""
    rows = [separator.join([str(worker(who)), *map(time, times)]) for who, times in ROWS]
    rows += [rows[at] for at in twice]
    if shuffled:
        random.Random(1).shuffle(rows)
    return "\n".join([separator.join(names), *rows, ""])


def uuid(worker: int) -> str:
    return f"{'abcdef'[worker // 6]}{'abcdef'[worker % 6]}{7919 * worker % 10**6:06d}-77aa-4cc2-9d6b-8d1f4f0b8e0c"


@dataclass(frozen=True)
class Shape:
    content: str | bytes
    says: tuple[str, ...] = ()
    """In its notes, one for each."""
    columns: str | None = None


OTHER_NAMES = ("host", "t0", "t1", "t2", "t3", "ts", "t5")
RENAMED = ",".join(f"{ours}={theirs}" for ours, theirs in zip(("worker", *TIMES), OTHER_NAMES, strict=True))
BERLIN = date(OCTOBER, "%Y-%m-%dT%H:%M:%S.FFFFFFZONE", lambda at: 2 if at < OCTOBER + 5 else 1)
BY_ITS_OWN_CLOCK = {
    "plain": Shape(log()),
    "hosts": Shape(log(lambda n: f"worker-{n}"), ("worker-0 is 0, worker-1 is 1, worker-2 is 2, …, worker-10 is 10.",)),
    "UUIDs, rows in any order": Shape(
        log(uuid, shuffled=True),
        (f"{uuid(0)} is 0, ", "applied later; its rows are put in order."),
    ),
    "ports": Shape(log(lambda n: 50_000 + 7 * n), ("50000 is 0, 50007 is 1, 50014 is 2, …, 50070 is 10.",)),
    "counted from 1, with a gap": Shape(log(lambda n: n + 1 + (n > 4)), ("12 is 10; no row is of 6.",)),
    "semicolons, decimal commas, a mark of the byte order": Shape(
        "\ufeff" + log(separator=";").replace(".", ","), ("separated by semicolons.", "decimal commas.")
    ),
    "UTF-16 with tabs": Shape(log(separator="\t").encode("utf-16"), ("separated by tabs.",)),
    "other names of columns": Shape(log(names=OTHER_NAMES), (), RENAMED),
    "rows twice": Shape(log(twice=(3, 4, 50, 109)), ("4 rows repeat others, and are left out.",)),
    "milliseconds": Shape(
        log(time=lambda time: number(time * 1000), names=("worker", *(f"{name}_ms" for name in TIMES))),
        ("its times are milliseconds.",),
        ",".join(f"{name}={name}_ms" for name in TIMES),
    ),
}
SINCE_1970 = {
    "seconds": Shape(log(time=since(MAY))),
    "milliseconds, rows in any order": Shape(
        log(time=since(MAY, 10**3), shuffled=True), ("are milliseconds since 1970.", "its rows are put in order.")
    ),
    "microseconds": Shape(log(time=since(MAY, 10**6)), ("are microseconds since 1970.",)),
    "nanoseconds": Shape(log(time=since(MAY, 10**9)), ("are nanoseconds since 1970.",)),
    "dates": Shape(log(time=date(MAY, "%Y-%m-%dT%H:%M:%S.FFFFFFZ")), ("its times are dates.",)),
    "dates in mixed zones": Shape(
        log(lambda n: f"node{n}", date(MAY, "%Y-%m-%d %H:%M:%S.FFFFFFZONE", lambda at: at % 23 - 11)),
        ("its times are dates.", "node0 is 0"),
    ),
    "dates without a zone, semicolons": Shape(
        log(time=date(MAY, "%Y/%m/%d %H:%M:%S,FFFFFF"), separator=";"),
        ("separated by semicolons.", "without a zone, and are taken as they stand."),
    ),
}
OF_ANOTHER_BEGINNING = {
    "a daylight-saving jump": Shape(log(time=BERLIN), ("its times are dates.", "count from 1970; 1792889995 s are")),
    "a clock that starts anywhere": Shape(
        log(time=lambda time: number(86_400 + time)), ("it starts late; 86400 s are taken off its times",)
    ),
}
GROUPS = {
    "by its own clock": BY_ITS_OWN_CLOCK,
    "since 1970": SINCE_1970,
    "of another beginning": OF_ANOTHER_BEGINNING,
}
KIND = pytest.mark.kind("logs of clusters in other shapes")


def read(folder: Path, shape: Shape) -> Trace:
    content = shape.content
    (folder / "log.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_trace(folder / "log.csv", shape.columns)


@KIND
@pytest.mark.parametrize(("group", "name"), [(group, name) for group, shapes in GROUPS.items() for name in shapes])
def test_one_timeline_in_any_shape_is_that_timeline(group: str, name: str, tmp_path: Path) -> None:
    """To the last digit. And it is one run, but that times of the clock say when it was made."""
    shape = GROUPS[group][name]
    trace = read(tmp_path, shape)
    assert trace.timeline.workers == WORKERS
    for column, values in MADE.rows().items():
        np.testing.assert_array_equal(trace.timeline.rows()[column], values, column)
    said = [*shape.says, *(["its times count from 1970; 1780000000 s are"] if group == "since 1970" else [])]
    assert len(trace.notes) == len(said)
    for what in said:
        assert any(what in note and note.startswith("log.csv: ") and note.endswith(".") for note in trace.notes), what
    if group != "of another beginning":
        assert trace.name == read(tmp_path, next(iter(GROUPS[group].values()))).name


def changed(content: str, line: int, worker: object = None, **times: object) -> str:
    """A log in which a line has other cells."""
    lines = content.split("\n")
    cells = lines[line - 1].split(",")
    for name, value in ({} if worker is None else {"worker": worker}).items() | times.items():
        cells[("worker", *TIMES).index(name)] = str(value)
    lines[line - 1] = ",".join(cells)
    return "\n".join(lines)


EPOCH, DATES = log(time=since(MAY)), log(time=date(MAY, "%Y-%m-%dT%H:%M:%S.FFFFFFZ"))
LOCAL = date(OCTOBER, "%Y-%m-%dT%H:%M:%S.FFFFFF", lambda at: 2 if at < OCTOBER + 5 else 1)
BACK = next(at for at, (_, times) in enumerate(ROWS) if times[4] >= 5) + 2
AGAIN = next(at for at in range(1, len(ROWS)) if ROWS[at][0] == ROWS[0][0])
"""The second row of the worker of the first."""
OVERLAP = log(lambda n: f"worker-{n}", date(MAY, "%Y-%m-%dT%H:%M:%S.FFFFFFZ"))
EARLY = date(MAY, "%Y-%m-%dT%H:%M:%S.FFFFFFZ")(ROWS[AGAIN][1][0] - Decimal("0.5"))
BROKEN = {
    "no such date": (
        changed(DATES, 5, served_s="2026-02-30T00:00:00Z"),
        "5, served_s = 2026-02-30T00:00:00Z: no such date",
    ),
    "no such zone": (
        changed(DATES, 5, applied_s="2026-05-28T20:26:42+25:00"),
        "5, applied_s = 2026-05-28T20:26:42+25:00: no such date",
    ),
    "a date without its zone": (
        changed(DATES, 7, arrive_s="2026-05-28T20:26:41.5"),
        "7, arrive_s = 2026-05-28T20:26:41.5: without a zone",
    ),
    "a number among dates": (changed(DATES, 9, applied_s="3.5"), "9, applied_s = 3.5: not a date, as others are"),
    "a time of day": (log().replace(number(ROWS[0][1][4]), "20:26:41"), "2, applied_s = 20:26:41: not a finite number"),
    "milliseconds among seconds": (
        changed(EPOCH, 6, start_s=f"{MAY}123"),
        f"6, start_s = {MAY}123: looks like milliseconds since 1970",
    ),
    "two beginnings": (
        changed(EPOCH, 2, start_s="0"),
        "2, start_s = 0: counts from the beginning, and applied_s from 1970",
    ),
    "a zone in some columns": (
        "\n".join(line.replace("Z,", ",", 1) if "Z," in line else line for line in DATES.split("\n")),
        "2, start_s = 2026-05-28T20:26:40.000000: counts from a date without a zone, and applied_s from 1970",
    ),
    "clocks turned back, without a zone": (log(time=LOCAL), f"{BACK}, applied_s = 2026-10-25T02:00:00"),
    "a name among numbers": (changed(log(), 8, worker="main"), "8, worker = main: not a finite number, as most are"),
    "half a worker": (changed(log(), 8, worker="0.5"), "8, worker = 0.5: no worker's index"),
    "a worker without a name": (
        changed(changed(OVERLAP, 8, worker=""), 9, worker="NaN"),
        "8, worker = nothing: no worker",
    ),
    "a name without end": (changed(OVERLAP, 8, worker="x" * 300), f"8, worker = {'x' * 60}: too long"),
    "rows without a time": (
        changed(changed(DATES, 8, applied_s=""), 9, applied_s=""),
        "8, applied_s = nothing: not a finite number",
    ),
    "one worker, two phases at once": (
        changed(OVERLAP, AGAIN + 2, start_s=EARLY),
        f"{AGAIN + 2}, start_s = {EARLY}: before the worker had its parameters",
    ),
    "applied before it was there": (
        changed(DATES, 5, applied_s="2026-05-28T20:26:40.000001Z"),
        "5, applied_s = 2026-05-28T20:26:40.000001Z: before served_s",
    ),
    "a row twice, but for its answer": (
        log() + "\n".join([log().split("\n")[30].rsplit(",", 1)[0] + ",99\n"]),
        "112, start_s = ",
    ),
}


@KIND
@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_log_is_refused_with_line_and_column(name: str, tmp_path: Path) -> None:
    content, says = BROKEN[name]
    with pytest.raises(BadInput) as refused:
        read(tmp_path, Shape(content))
    assert str(refused.value).startswith(f"timeline={tmp_path / 'log.csv'}, line {says}")
    assert refused.value.accepted and "\n" not in str(refused.value)


EVERY_TEN_MS = [(worker, Decimal(at) / 100) for at, worker in enumerate(n % 4 for n in range(200))]


def short(rows: list[tuple[int, Decimal]], worker: Callable[[int], object] = int) -> str:
    """A log with two columns."""
    return "\n".join(["worker,applied_s", *(f"{worker(who)},{number(at)}" for who, at in rows), ""])


@KIND
@pytest.mark.parametrize("cells", [",0.5", "0,", "NaN,NaN", "  ,null", "3"])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_few_rows_without_a_worker_or_a_time_are_left_out(count: int, cells: str, tmp_path: Path) -> None:
    """Up to one in a hundred. A column that counts rows would be wrong then."""
    lines = short(EVERY_TEN_MS).split("\n")
    kept = [one for at, one in enumerate(lines) if at not in (21, 41, 61)[:count]]
    for line in (21, 41, 61)[:count]:
        lines[line] = cells
    if count == 3:
        with pytest.raises(BadInput, match=r"line 22, (worker|applied_s) = .*: not a finite number"):
            read(tmp_path, Shape("\n".join(lines)))
        return
    trace, without = read(tmp_path, Shape("\n".join(lines))), read(tmp_path, Shape("\n".join(kept)))
    assert trace.name == without.name
    np.testing.assert_array_equal(trace.timeline.applied_s, without.timeline.applied_s)
    rows = "1 row lacks a worker or a time, and is" if count == 1 else "2 rows lack a worker or a time, and are"
    (note,) = trace.notes
    assert note == f"log.csv: {rows} left out; around each of them the others' commits are 1 less stale than they were."
    for column in ("exchange", "phase"):
        counted = [f"{column},{one}" if at == 0 else f"{at - 1},{one}" for at, one in enumerate(lines[:-1])]
        with pytest.raises(BadInput, match=r"line 22, (worker|applied_s)"):
            read(tmp_path, Shape("\n".join(counted)))


@KIND
@pytest.mark.parametrize(
    ("content", "exchanges"),
    [
        ("worker,applied_s\n0,1\n0,1\n1,1\n0,2\n1,2\n1,2\n", 6),
        ("worker,applied_s\n0,1.5\n0,1.5\n1,1.75\n0,31.5\n1,32.25\n0,60\n1,61\n", 6),
        ("worker,applied_s,step\n0,1.5,1\n0,1.5,2\n1,1.75,1\n0,31.5,3\n1,32.25,2\n0,60,4\n1,61,3\n", 7),
        ("worker,start_s,applied_s\n0,0,1\n0,0,1\n1,0,1\n0,1,2\n1,1,2\n1,1,2\n", 4),
    ],
    ids=["by a coarse clock", "by a fine clock", "with another step", "that lasted"],
)
def test_a_row_that_repeats_another_is_left_out_unless_the_worker_may_have_made_both(
    content: str, exchanges: int, tmp_path: Path
) -> None:
    trace = read(tmp_path, Shape(content))
    rows = content.count("\n") - 1
    assert trace.timeline.exchanges == exchanges
    assert bool(trace.notes) == (exchanges < rows)


def test_rows_at_one_time_are_in_the_order_of_the_file_or_of_its_count(tmp_path: Path) -> None:
    rows = [(2, Decimal(1)), (0, Decimal(1)), (1, Decimal(2)), (0, Decimal(2)), (2, Decimal("1.5"))]
    trace = read(tmp_path, Shape(short(rows)))
    np.testing.assert_array_equal(trace.timeline.worker, [2, 0, 2, 1, 0])
    assert trace.notes == ("log.csv: 1 row stands below others that were applied later; its rows are put in order.",)
    lines = short(rows).splitlines()
    counted = [f"{line},{count}" for line, count in zip(lines, ["exchange", 1, 0, 4, 3, 2], strict=True)]
    np.testing.assert_array_equal(read(tmp_path, Shape("\n".join(counted))).timeline.worker, [0, 2, 2, 0, 1])


@pytest.mark.parametrize(
    ("names", "order"),
    [
        (["b10", "b9", "a2"], ["a2", "b9", "b10"]),
        (["node-1.rack-12", "node-1.rack-2", "node-01.rack-1"], ["node-01.rack-1", "node-1.rack-2", "node-1.rack-12"]),
        (["x", "", "X"], None),
        (["7e2", "8e1", "27e79756", "a3f"], None),
        (["4ac7", "900", "0f3e"], ["0f3e", "4ac7", "900"]),
        (["18446744073709551615", "18446744073709551614"], ["18446744073709551614", "18446744073709551615"]),
        (["2.0", "1", "4"], ["1", "2.0", "4"]),
    ],
)
def test_workers_are_numbered_in_the_natural_order_of_their_names(
    names: list[str], order: list[str] | None, tmp_path: Path
) -> None:
    """Names of which most could be numbers are taken for numbers, so that one that is none is refused."""
    shape = Shape("\n".join(["worker,applied_s", *(f"{name},{at + 1}" for at, name in enumerate(names))]))
    if order is None:
        with pytest.raises(BadInput, match=r"line \d, worker = "):
            read(tmp_path, shape)
        return
    np.testing.assert_array_equal(read(tmp_path, shape).timeline.worker, [order.index(name) for name in names])


def test_what_is_said_of_workers_stays_a_line(tmp_path: Path) -> None:
    names = [f"{'a' * 200}\t{n}" for n in range(3)]
    (note,) = read(tmp_path, Shape(short(EVERY_TEN_MS[:3], names.__getitem__))).notes
    assert note.count("a" * 40 + "… is") == 3 and len(note) < 250 and note.isprintable()


# --- `columns` ---


TIMES_OF_RUNS = "n,lambda,t,seconds\n1,5,95.1,9\n2,5,49.2,9\n4,5,26.4,9\n4,10,24,9\n8,5,16.9,9\n"


@KIND
def test_measured_times_are_read_by_other_names(tmp_path: Path) -> None:
    (tmp_path / "times.csv").write_text(TIMES_OF_RUNS)
    (measured,) = read_measured(tmp_path / "times.csv", ["seconds"], 400, "workers=n, local_steps=lambda,seconds=t")
    np.testing.assert_array_equal(measured.workers, [1, 2, 4, 4, 8])
    np.testing.assert_array_equal(measured.local_steps, [5, 5, 5, 10, 5])
    np.testing.assert_array_equal(measured.seconds, [95.1, 49.2, 26.4, 24, 16.9])
    with pytest.raises(BadInput, match="columns=worker=n: worker: unknown, did you mean workers"):
        read_measured(tmp_path / "times.csv", ["seconds"], 400, "worker=n")


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ("host", "columns=host: not of the form OURS=THEIRS; accepted: OURS=THEIRS"),
        ("worker=", "not of the form"),
        ("worker=host,", "not of the form"),
        ("Worker=host", "Worker: unknown, did you mean worker?"),
        ("worker=host,worker=rank", "worker is in it twice"),
        ("worker=host,applied_s=host", "host is in it twice"),
        ("worker=rank", "has no column rank; it has host, worker, ts"),
        ("worker=host,applied_s=ts,start_s=from", "has no column from; it has host, worker, ts"),
        (None, "has no column applied_s; it has host, worker, ts; accepted: .* or those that columns names instead"),
    ],
)
def test_names_that_are_not_there_are_refused(columns: str | None, says: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=says):
        read(tmp_path, Shape("host,worker,ts\na,5,1\nb,5,2\n", (), columns))


def test_a_column_that_has_the_name_of_another_is_not_read(tmp_path: Path) -> None:
    shape = Shape("host,worker,ts\nb,5,1\na,5,2\n", (), "worker=host,applied_s=ts")
    np.testing.assert_array_equal(read(tmp_path, shape).timeline.worker, [1, 0])


def test_commands_library_and_experiments_take_names_of_columns(
    command: Command, quick_dataset: str, tmp_path: Path, sketched: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibration, "_PRECISION", 0.3)  # how well it fits is tested elsewhere
    few = {"local_steps": 5, "dataset": "tiny", "model": "mlp-8", "batch_size": 8}
    shape = OF_ANOTHER_BEGINNING["a clock that starts anywhere"]
    (tmp_path / "log.csv").write_text(str(shape.content).replace("worker", "host", 1).replace("applied_s", "ts", 1))
    names = "worker=host,applied_s=ts"
    config = RunConfig.of(timeline=tmp_path / "log.csv", columns=names, **few)
    assert f"--timeline log.csv --columns {names}" in config.command()
    words = [word for name, value in few.items() for word in (f"--{name.replace('_', '-')}", value)]
    for made in ("timeline", "run"):
        out = tmp_path / made
        code, said, err = command(made, *words, "--timeline", tmp_path / "log.csv", "--columns", names, "--out", out)
        assert (code, err) == (0, "") and said.count("log.csv: it starts late; 86400 s are taken off") == 1
    assert [path.name for path in (tmp_path / "run" / "runs").iterdir() if path.is_dir()] == [config.run_id]
    (tmp_path / "mine.toml").write_text(
        'name = "mine"\n[base]\nlocal_steps = 5\ndataset = "tiny"\nmodel = "mlp-8"\nbatch_size = 8\n'
        f'[[cells]]\ntimeline = "./log.csv"\ncolumns = "{names}"\n'
    )
    assert [one.run_id for one in read_experiment_file(tmp_path / "mine.toml").configs] == [config.run_id]
    code, _, err = command("run", "--columns", names)
    assert (code, err.count("\n")) == (2, 1)
    assert f"--columns {names}: without a file that has them; accepted: --timeline with it" in err
    (tmp_path / "times.csv").write_text(TIMES_OF_RUNS)
    words = ["--gradient-steps", 400, "--seeds", 1, "--columns", "workers=n,local_steps=lambda,seconds=t"]
    assert command("calibrate", tmp_path / "times.csv", *words, "--out", tmp_path / "fit")[0] == 0
