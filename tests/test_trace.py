"""Traces: what is derived where a file says less, what is refused and how, and that the program reads what it wrote."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from agn_bench.base import files
from agn_bench.base.inputs import BadInput
from agn_bench.clock import Constant, Gamma, Profile, draw_delays, load_profile, profile_names
from agn_bench.clock.events import simulate_timeline
from agn_bench.clock.rules import ASYNCHRONOUS, Rules
from agn_bench.clock.stops import NEVER, Stop
from agn_bench.clock.timeline import TIMES, Timeline
from agn_bench.clock.trace import Trace, read_trace
from agn_bench.training import columns

COLUMNS = [field.name for field in fields(Timeline) if field.type == "np.ndarray"]

Read = Callable[[str | bytes], Trace]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Read a trace with this content."""

    def written(content: str | bytes) -> Trace:
        path = tmp_path / "log.csv"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return read_trace(path)

    return written


def recorded(workers: int = 5, phases: int = 6) -> Timeline:
    delays = Profile("busy", Gamma(1.0, 0.5), Gamma(0.2, 0.5), Constant(0.1), Gamma(0.3, 0.5), order="random")
    return simulate_timeline(draw_delays(delays, 3, workers, phases, 1))


def table_of(timeline: Timeline) -> pd.DataFrame:
    return pd.DataFrame(columns.commits(timeline))


def refused(read: Read, content: str | bytes) -> BadInput:
    with pytest.raises(BadInput) as error:
        read(content)
    return error.value


def assert_same(one: Timeline, other: Timeline, columns: list[str] = COLUMNS) -> None:
    assert one.workers == other.workers
    for column in columns:
        mine, theirs = getattr(one, column), getattr(other, column)
        np.testing.assert_array_equal(mine, theirs, column)
        assert mine.dtype == theirs.dtype


@pytest.mark.parametrize("workers", [1, 2, 40])
@pytest.mark.parametrize("name", profile_names())
def test_the_programs_own_log_is_read_back_to_the_bit(name: str, workers: int, read: Read) -> None:
    timeline = simulate_timeline(draw_delays(load_profile(name), 7, workers, 30, 4, 123_456))
    trace = read(files.csv_text(columns.commits(timeline)))
    assert_same(trace.under(ASYNCHRONOUS, 4), timeline)
    assert trace.under(ASYNCHRONOUS, 4).local_steps == 4
    assert trace.phases == 30
    assert not trace.ruled


KINDS = {
    "quorum": Rules(quorum=3),
    "waits": Rules(quorum=5, waits=True),
    "backup workers, who end stranded": Rules(quorum=4, waits=True, drop_at=1),
    "drops": Rules(drop_at=3),
    "interruptions": Rules(quorum=3, drop_at=1, cancels=True),
    "interruptions of all that is stale": Rules(drop_at=2, cancels=True),
    "ahead": Rules(ahead=1),
    "grace": Rules(grace_s=0.5),
    "all at once": Rules(quorum=3, waits=True, drop_at=2, cancels=True, ahead=2, grace_s=0.25),
}


def under(rules: Rules, stop: Stop = NEVER) -> Timeline:
    """A timeline under rules, of workers of very different speeds."""
    delays = Profile("busy", Gamma(1.0, 1.5), Gamma(0.2, 0.5), Constant(0.1), Gamma(0.1, 0.5), order="random")
    return simulate_timeline(draw_delays(delays, 3, 6, 12, 1), rules, stop)


@pytest.mark.parametrize("stop", [NEVER, Stop(seconds=9.0)], ids=["to its end", "cut off"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_log_under_rules_is_read_back_to_the_bit(kind: str, stop: Stop, read: Read) -> None:
    """All but the phases that were interrupted, of which it has only that they are left out."""
    timeline = under(KINDS[kind], stop)
    assert not timeline.plain
    trace = read(files.csv_text(columns.commits(timeline)))
    assert trace.ruled
    assert_same(trace.under(KINDS[kind], 1), timeline)
    assert files.csv_text(columns.commits(trace.under(KINDS[kind], 1))) == files.csv_text(columns.commits(timeline))
    if stop is NEVER and "interruptions" in kind:
        assert len(timeline.interrupted) > 3
    if stop is NEVER and "stranded" in kind:
        assert timeline.stranded > 0
        assert (trace.timeline.answered == -1).sum() == timeline.stranded


def refused_under(trace: Trace, rules: Rules) -> str:
    with pytest.raises(BadInput) as error:
        trace.under(rules, 1)
    assert error.value.option == "timeline"
    assert str(error.value).startswith(f"timeline={trace.name}: ")
    return error.value.problem


OTHER_RULES = {
    "quorum": (Rules(), "exchange 0 has version 0"),
    "waits": (Rules(quorum=4, waits=True), "exchange 3 has version 0"),
    "drops": (Rules(drop_at=4), r"exchange \d+ has accepted 0"),
}


@pytest.mark.parametrize("kind", OTHER_RULES)
def test_a_log_under_rules_is_refused_with_other_rules(kind: str, read: Read) -> None:
    trace = read(files.csv_text(columns.commits(under(KINDS[kind]))))
    rules, says = OTHER_RULES[kind]
    assert re.fullmatch(says, refused_under(trace, rules))


@pytest.mark.parametrize("kind", ["ahead", "grace"])
def test_workers_may_be_answered_later_in_a_log_for_other_reasons_than_rules(kind: str, read: Read) -> None:
    """They were away, or sent a pull of their own. It is said."""
    trace = read(files.csv_text(columns.commits(under(KINDS[kind]))))
    assert trace.notes[-1].endswith("exchanges the worker was answered only after a later one.")
    np.testing.assert_array_equal(trace.under(Rules(), 1).answered, under(KINDS[kind]).answered)


def test_a_worker_that_joined_late_began_from_what_it_pulled(read: Read) -> None:
    timeline = read("worker,applied_s,pulled\n0,1,0\n0,2,1\n1,3,1\n").timeline
    assert timeline.joined is not None
    assert timeline.joined.tolist() == [-1, 0]
    assert timeline.staleness.tolist() == [0, 0, 1]


def test_who_waits_in_a_log_goes_on_from_the_version_that_was_made(read: Read) -> None:
    """Two workers, two rounds: in the first of them worker 0 does not wait."""
    waiting = "worker,applied_s,version,answered\n0,1,0,1\n1,2,1,1\n0,3,1,3\n1,4,2,3\n"
    rounds = Rules(quorum=2, waits=True)
    timeline = read(waiting).under(rounds, 1)
    np.testing.assert_array_equal(timeline.pulled, [0, 0, 1, 1])
    np.testing.assert_array_equal(timeline.start_s, [0, 0, 2, 2])
    hasty = read(waiting.replace("0,1,0,1", "0,1,0,0"))
    assert refused_under(hasty, rounds) == "the worker of exchange 0 goes on before the version is made"


def test_a_log_of_workers_that_go_on_at_once_counts_by_other_rules(read: Read) -> None:
    """Versions are counted again: every third commit makes one, or those that are not too stale do."""
    log = "worker,applied_s\n" + "".join(f"{worker},{i + 1}\n" for i, worker in enumerate([0, 1, 0, 0, 1, 2, 0, 1]))
    third = read(log).under(Rules(quorum=3), 2)
    np.testing.assert_array_equal(third.version, [0, 0, 1, 1, 1, 2, 2, 2])
    np.testing.assert_array_equal(third.pulled, [0, 0, 0, 1, 0, 0, 1, 1])
    np.testing.assert_array_equal(third.staleness, [0, 0, 0, 0, 1, 1, 1, 1])
    assert third.accepted.all()
    fresh = read(log).under(Rules(drop_at=2), 2)
    np.testing.assert_array_equal(fresh.accepted, [True, True, True, True, False, False, True, True])
    np.testing.assert_array_equal(fresh.version, [1, 2, 3, 4, 4, 4, 5, 6])
    np.testing.assert_array_equal(fresh.pulled, [0, 0, 1, 3, 2, 0, 4, 4])
    assert refused_under(read(log), Rules(quorum=3, waits=True)).startswith("its workers go on at once, and the optim")
    assert refused_under(read(log), Rules(ahead=2)).startswith("its workers go on at once")


@pytest.mark.parametrize(("kind", "rules"), [("quorum", Rules(quorum=3)), ("drops", Rules(drop_at=3))])
def test_counting_a_plain_log_by_rules_is_simulating_them(kind: str, rules: Rules, read: Read) -> None:
    """Workers go on at once whether a commit counts or not: the same times, other versions."""
    log = table_of(under(Rules()))[["worker", *TIMES]].to_csv(index=False)
    assert_same(read(log).under(rules, 1), under(KINDS[kind]))


def test_phases_that_are_left_out_without_a_new_version_were_not_interrupted(read: Read) -> None:
    trace = read("worker,applied_s,phase\n0,1,0\n0,2,3\n1,3,2\n")
    assert not len(trace.timeline.interrupted)
    np.testing.assert_array_equal(trace.timeline.phase, [0, 3, 2])
    assert trace.phases == 4


def test_times_of_any_size_are_read_back_to_the_bit(read: Read) -> None:
    """Digits beyond the fifteenth count: 10,000 times between 1e-9 and 1e12 s."""
    generator = np.random.default_rng(0)
    applied_s = np.sort(10 ** generator.uniform(-9, 12, 10_000))
    trace = read(files.csv_text({"worker": np.zeros(10_000, int), "applied_s": applied_s}))
    np.testing.assert_array_equal(trace.timeline.applied_s, applied_s)


def test_worker_and_applied_s_are_enough(read: Read) -> None:
    """What was not recorded took no time: all of a phase is computing."""
    timeline = read("worker,applied_s\n0,1\n1,1.5\n0,2.5\n0,4\n1,4\n").timeline
    assert (timeline.workers, timeline.exchanges, timeline.local_steps) == (2, 5, 1)
    np.testing.assert_array_equal(timeline.worker, [0, 1, 0, 0, 1])
    np.testing.assert_array_equal(timeline.phase, [0, 0, 1, 2, 1])
    np.testing.assert_array_equal(timeline.staleness, [0, 1, 1, 0, 2])
    np.testing.assert_array_equal(timeline.start_s, [0, 0, 1, 2.5, 1.5])
    for column in ("compute_end_s", "arrive_s", "served_s", "applied_s", "resume_s"):
        np.testing.assert_array_equal(getattr(timeline, column), [1, 1.5, 2.5, 4, 4])
    assert (timeline.queue_wait_s == 0).all()
    assert timeline.end_s == 4


@pytest.mark.parametrize(
    ("missing", "instead"),
    [
        ("resume_s", {"resume_s": [2.0, 5.0], "start_s": [0.25, 3.0]}),
        ("served_s", {"served_s": [2.0, 5.0]}),
        ("arrive_s", {"arrive_s": [1.75, 4.75]}),
        ("compute_end_s", {"compute_end_s": [1.5, 4.5]}),
        ("start_s", {"start_s": [0.0, 2.5]}),
        ("served_s arrive_s", {"served_s": [2.0, 5.0], "arrive_s": [2.0, 5.0]}),
        ("arrive_s compute_end_s", {"arrive_s": [1.75, 4.75], "compute_end_s": [1.75, 4.75]}),
        ("start_s resume_s", {"resume_s": [2.0, 5.0], "start_s": [0.0, 2.0]}),
    ],
)
def test_a_missing_time_is_the_next_one_and_a_start_is_where_the_worker_went_on(
    missing: str, instead: dict[str, list[float]], read: Read
) -> None:
    whole = {
        "start_s": [0.25, 3.0],
        "compute_end_s": [1.0, 4.0],
        "arrive_s": [1.5, 4.5],
        "served_s": [1.75, 4.75],
        "applied_s": [2.0, 5.0],
        "resume_s": [2.5, 5.5],
    }
    given = {name: values for name, values in whole.items() if name not in missing.split()}
    timeline = read(files.csv_text({"worker": [0, 0], **given})).timeline
    for column, values in {**whole, **instead}.items():
        np.testing.assert_array_equal(getattr(timeline, column), values, column)


def test_order_and_number_of_the_columns_do_not_matter(read: Read) -> None:
    table = table_of(recorded())
    expected = read(table.to_csv(index=False)).timeline
    assert_same(read(table[table.columns[::-1]].to_csv(index=False)).timeline, expected)
    beside = table.assign(steps="none", loss=np.nan, host="a, b", note='"')
    assert_same(read(beside.to_csv(index=False)).timeline, expected)
    for left_out in ("exchange", "staleness", "queue_wait_s", "phase", "pulled", "version", "accepted", "answered"):
        assert_same(read(table.drop(columns=left_out).to_csv(index=False)).timeline, expected)


def test_line_ends_byte_order_mark_and_quotes_do_not_matter(read: Read) -> None:
    plain = "worker,applied_s\n0,1\n1,2\n"
    expected = read(plain).timeline
    for content in (plain.replace("\n", "\r\n"), "\ufeff" + plain, plain.rstrip(), plain.replace("0,1", '"0","1.0"')):
        assert_same(read(content).timeline, expected)


def test_a_trace_is_called_by_its_stem_and_the_hash_of_its_content(tmp_path: Path) -> None:
    content = b"worker,applied_s\n0,1\n"
    (tmp_path / "my log.v2.csv").write_bytes(content)
    trace = read_trace(tmp_path / "my log.v2.csv")
    assert trace.name == "my log.v2-" + hashlib.sha256(content).hexdigest()[:8]
    assert trace.as_dict() == {"trace": trace.name}
    assert trace.options == ("--timeline", "my log.v2.csv")
    (tmp_path / "my log.v2.csv").write_bytes(content + b"0,2\n")
    assert read_trace(tmp_path / "my log.v2.csv").name != trace.name


HEAD = "worker,applied_s"


@pytest.mark.parametrize(
    ("content", "where", "problem"),
    [
        (f"{HEAD}\n0,1\n-1,2\n", "line 3, worker = -1", "no worker's index"),
        (f"{HEAD}\n0,1\n0.5,2\n", "line 3, worker = 0.5", "no worker's index"),
        (f"{HEAD}\n0,1\none,2\n", "line 3, worker = one", "not a finite number"),
        (f"{HEAD}\n0,1\n,2\n", "line 3, worker = nothing", "not a finite number"),
        (f"{HEAD}\n0,1\ninf,2\n", "line 3, worker = inf", "not a finite number"),
        (f"{HEAD}\n0,1\n0,nan\n", "line 3, applied_s = nan", "not a finite number"),
        (f"{HEAD}\n0,1\n0,\n", "line 3, applied_s = nothing", "not a finite number"),
        (f"{HEAD}\n0,1\n0\n", "line 3, applied_s = nothing", "not a finite number"),
        (f"{HEAD}\n0,1\n0,inf\n", "line 3, applied_s = inf", "not a finite number"),
        (f"{HEAD}\n0,1\n0,1e400\n", "line 3, applied_s = 1e400", "not a finite number"),
        (f"{HEAD}\n0,1\n0,2 s\n", "line 3, applied_s = 2 s", "not a finite number"),
        (f"{HEAD}\n0,-1\n0,2\n", "line 2, applied_s = -1", "negative"),
        (f"{HEAD},version\n0,1,1\n1,3,2\n0,2.5,3\n", "line 4, version = 3", "out of order"),
        (f"{HEAD},start_s\n0,1,0\n0,2,-0.5\n", "line 3, start_s = -0.5", "negative"),
        (f"{HEAD},served_s\n0,1,1\n0,2,\n", "line 3, served_s = nothing", "not a finite number"),
        (f"{HEAD},served_s\n0,1,1\n0,2,2.5\n", "line 3, applied_s = 2", "before served_s"),
        (f"{HEAD},resume_s\n0,1,1\n0,2,1.5\n", "line 3, resume_s = 1.5", "before applied_s"),
        (f"{HEAD},arrive_s,served_s\n0,1,1,1\n0,2,1.75,1.5\n", "line 3, served_s = 1.5", "before arrive_s"),
        (f"{HEAD},arrive_s\n0,1,1\n0,2,2.25\n", "line 3, arrive_s = 2.25", "after served_s"),
        (f"{HEAD},start_s\n0,1,0\n1,1,2\n", "line 3, start_s = 2", "after compute_end_s"),
        (f"{HEAD},start_s\n0,1,0\n0,2,0.75\n", "line 3, start_s = 0.75", "before the worker had its parameters"),
        (f"{HEAD},resume_s,start_s\n0,1,1.5,0\n0,2,2,1.25\n", "line 3, start_s = 1.25", "before the worker had"),
        (f"{HEAD},staleness\n0,1,0\n1,2,0\n", "line 3, staleness = 0", "not the 1 that the rows' order gives"),
        (f"{HEAD},staleness\n0,1,0\n1,2,1\n0,3,2\n", "line 4, staleness = 2", "not the 1 that the rows' order gives"),
        (f"{HEAD},staleness\n0,1,0\n0,2,\n", "line 3, staleness = nothing", "not a finite number"),
        (f"{HEAD},exchange\n0,1,0\n0,2,2\n", "line 3, exchange = 2", "not the 1 that the rows' order gives"),
        (f"{HEAD},exchange\n0,1,1\n0,2,2\n", "line 2, exchange = 1", "not the 0 that the rows' order gives"),
        (f"{HEAD},accepted\n0,1,1\n0,2,2\n", "line 3, accepted = 2", "neither 0 nor 1"),
        (f"{HEAD},accepted\n0,1,1\n0,2,0.5\n", "line 3, accepted = 0.5", "no count"),
        (f"{HEAD},accepted\n0,1,1\n0,2,\n", "line 3, accepted = nothing", "not a finite number"),
        (f"{HEAD},version\n0,1,1\n0,2,3\n", "line 3, version = 3", "out of order"),
        (f"{HEAD},version\n0,1,1\n0,2,0\n", "line 3, version = 0", "out of order"),
        (f"{HEAD},version\n0,1,0\n0,2,-1\n", "line 3, version = -1", "no count"),
        (f"{HEAD},version,accepted\n0,1,1,1\n0,2,2,0\n", "line 3, version = 2", "out of order"),
        (f"{HEAD},answered\n0,1,0\n0,2,0\n", "line 3, answered = 0", "not possible"),
        (f"{HEAD},answered\n0,1,1\n1,2,1\n0,3,3\n", "line 4, answered = 3", "not possible"),
        (f"{HEAD},answered\n0,1,2\n1,2,1\n0,3,2\n", "line 2, answered = 2", "not possible"),
        (f"{HEAD},answered\n0,1,-1\n1,2,1\n0,3,2\n", "line 2, answered = -1", "not possible"),
        (f"{HEAD},answered\n0,1,0.5\n1,2,1\n", "line 2, answered = 0.5", "not possible"),
        (f"{HEAD},answered,resume_s\n0,1,1,1.5\n1,2,1,2\n", "line 2, resume_s = 1.5", "before the answer left"),
        (f"{HEAD},phase\n0,1,1\n0,2,1\n", "line 3, phase = 1", "not after the worker's phase before"),
        (f"{HEAD},phase\n0,1,-1\n0,2,1\n", "line 2, phase = -1", "no count"),
        (f"{HEAD},pulled\n0,1,0\n1,2,0\n0,3,0\n", "line 4, pulled = 0", "not what the worker was answered with"),
        (f"{HEAD},pulled\n0,1,0\n0,2,2\n", "line 3, pulled = 2", "not there yet"),
        (f"{HEAD},pulled,phase\n0,1,0,0\n1,2,0,1\n0,3,0,2\n", "line 4, pulled = 0", "not what the worker was"),
        (f"{HEAD},staleness,accepted\n0,1,0,0\n1,2,1,1\n", "line 3, staleness = 1", "not the 0 that the rows"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_line_and_column(
    content: str, where: str, problem: str, read: Read, tmp_path: Path
) -> None:
    error = refused(read, content)
    assert re.match(f"timeline={tmp_path / 'log.csv'}, {where}: {problem}", str(error))
    assert error.accepted


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "not CSV"),
        ("\n\n", "not CSV"),
        (f"{HEAD}\n", "has no rows"),
        (HEAD, "has no rows"),
        ("worker\n0\n", "has no column applied_s"),
        ("applied_s\n0\n", "has no column worker"),
        ("0,1\n0,2\n", "has no column worker"),
        ("worker;applied\n0;1\n", "has no column applied_s; it has worker, applied"),
        ("Worker,Applied_s\n0,1\n", "has no column worker"),
        (f'{HEAD}\n0,"1\n', "not CSV"),
        (f"{HEAD}\n0,1\n0,2,3\n", "not CSV"),
        (b"\xff\xfe\x00\x01\x80", "not CSV"),
        (f"{HEAD}\n0,1\n".encode("utf-16-le"), "has no column worker"),
        (f"{HEAD}\n0,1 # \xe4\n".encode("latin-1"), "not CSV (line 2 is not UTF-8 text)"),
        (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "not CSV"),
        ("{" + '"worker": 0}', "has no column worker"),
    ],
)
def test_what_is_no_trace_is_refused(content: str | bytes, problem: str, read: Read, tmp_path: Path) -> None:
    error = refused(read, content)
    assert str(error).startswith(f"timeline={tmp_path / 'log.csv'}: {problem}")
    assert error.accepted


def test_a_file_that_is_not_there_or_is_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"timeline=.*none\.csv: there is no such file"):
        read_trace(tmp_path / "none.csv")
    with pytest.raises(BadInput, match=rf"timeline={re.escape(str(tmp_path))}: not a file"):
        read_trace(tmp_path)
    with pytest.raises(BadInput, match=r"timeline=.*b\.csv: "):
        read_trace(tmp_path / "a\x00b.csv")


def test_a_trace_keeps_its_times_under_other_local_steps(read: Read) -> None:
    trace = read(files.csv_text(columns.commits(recorded())))
    assert_same(replace(trace.under(ASYNCHRONOUS, 9), local_steps=1), trace.timeline)
    assert trace.timeline.local_steps == 1


def test_rows_longer_than_the_header_are_refused(read: Read) -> None:
    """Here it reads worker 0 at 1 s and 2 s: the second and third number of each row."""
    refused(read, f"{HEAD}\n7,0,1\n8,0,2\n")


def test_blank_lines_are_counted_as_lines(read: Read) -> None:
    assert "line 5, applied_s = -0.5" in str(refused(read, f"{HEAD}\n0,1\n\n\n0,-0.5\n"))


def test_a_whole_number_beyond_any_float_is_refused(read: Read) -> None:
    assert "line 3, worker" in str(refused(read, f"{HEAD}\n0,1\n{'9' * 400},2\n"))


def test_a_bad_cell_far_down_a_large_file_is_refused_without_a_warning(read: Read) -> None:
    assert "line 400003, applied_s = x" in str(refused(read, f"{HEAD}\n" + "0,1\n" * 400_001 + "0,x\n"))
