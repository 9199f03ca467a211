"""Workers that go away, and a pull of its own, in the reference: beside cases worked out by hand, and closed forms.

A picture of a worker: `-` is a second of steps, `.` a pause, `x` a failure.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import reference
from conftest import Figure, examples, profiles, reference_clock, tried
from hypothesis import given
from hypothesis import strategies as st
from test_reference import of, run
from test_rules import LOCAL_STEPS, WAITING, assert_phases, assert_same_rows, rules_for

from agn_bench.clock import Draws, draw_delays, load_profile, profile_names
from agn_bench.clock.absences import Absence
from agn_bench.clock.absences import Absences as Away
from agn_bench.clock.events import simulate_timeline
from agn_bench.clock.measures import measures
from agn_bench.clock.profile import RoundTime
from agn_bench.clock.rules import Rules
from agn_bench.clock.stops import NEVER, Stop

ENDLESS = math.inf
Absences = list[tuple[float, float, bool]]


def pause(from_s: float, until_s: float) -> tuple[float, float, bool]:
    return from_s, until_s, False


def failure(from_s: float, until_s: float) -> tuple[float, float, bool]:
    return from_s, until_s, True


def draw_absences(generator: np.random.Generator, workers: int, seconds: float, endless: bool = True) -> list[Absences]:
    """A list for each worker, which begins within so many seconds; in half of all draws all times are quarters.

    Some workers never go away, some join late, and some leave, if absences may be endless. Nothing has length 0.
    """
    quarters = generator.random() < 0.5

    def length(mean: float) -> float:
        drawn = generator.exponential(mean)
        return max(1, round(4 * drawn)) / 4 if quarters else drawn

    all_of_them: list[Absences] = []
    for _ in range(workers):
        own: Absences = []
        up, down = generator.choice([0.5, 2.0, 8.0, ENDLESS]), generator.choice([0.25, 1.0, 4.0])
        from_s = 0.0 if generator.random() < 0.2 else ENDLESS if up == ENDLESS else length(up)
        while from_s < seconds:
            fails = bool(generator.random() < 0.5)
            leaves = endless and fails and generator.random() < 0.1
            until_s = ENDLESS if leaves else from_s + length(down)
            own.append((from_s, until_s, fails))
            from_s = ENDLESS if up == ENDLESS else until_s + length(up)
        all_of_them.append(own)
    return all_of_them


def test_a_pause_makes_a_phase_longer_by_its_length() -> None:
    """-..---- : one step of four by second 1, the others at 4, 5 and 6."""
    runs = [run([[4, 1]], local_steps=4, absences=[[pause(1, 3)]], **stop)
            for stop in ({}, {"seconds": 2}, {"seconds": 5})]  # fmt: skip
    assert of(runs[0].rows, "start_s", "compute_end_s", "applied_s") == [(0, 6, 6), (6, 7, 7)]
    left = [of(result.unfinished, "phase", "start_s", "end_s", "steps") for result in runs]
    assert left == [[], [(0, 0, 2, 1)], [(0, 0, 5, 3)]]


def test_two_pauses_in_one_phase() -> None:
    """The second begins at 2.25, and the steps were done at 2 but for the first. The third comes as they are done.

    2 s of steps and 0.5 s of the first pause end at 2.5. The second makes it 4.
    """
    rows = run([[2]], absences=[[pause(0.5, 1), pause(2.25, 3.75), pause(4, 9)]]).rows
    assert of(rows, "compute_end_s", "applied_s", "resume_s") == [(4, 4, 4)]
    rows = run([[2, 1]], absences=[[pause(0.5, 1), pause(2.5, 3)]]).rows  # done at 2.5, and goes on after the pause
    assert of(rows, "start_s", "compute_end_s") == [(0, 2.5), (3, 4)]


def test_a_reply_that_comes_in_a_pause_waits_for_its_end() -> None:
    """Worker 0 is answered at 1.5 with version 1, has it at 2.5, begins at 4; version 2 was made at 3.75."""
    rows = run([[1, 1], [3.25]], 0.5, 1, absences=[[pause(2, 4)], []]).rows
    assert of(rows, "worker", "start_s", "applied_s", "answered", "resume_s", "pulled", "staleness") == [
        (0, 0, 1.5, 0, 2.5, 0, 0), (1, 0, 3.75, 1, 4.75, 0, 1), (0, 4, 5.5, 2, 6.5, 1, 1),
    ]  # fmt: skip


def test_a_run_that_begins_in_a_pause() -> None:
    rows = run([[1], [0.5]], absences=[[pause(0, 2)], []]).rows  # from version 0, though version 1 is there at 0.5
    assert of(rows, "worker", "start_s", "applied_s", "staleness") == [(1, 0, 0.5, 0), (0, 2, 3, 1)]


def test_a_failure_loses_the_phase() -> None:
    """Phase 0 ends at 1; phase 1, of 2 s, begins at 1.5 and is lost at 2.5: two steps of four.

    Worker 1's exchange, at 3, is the last before the pull at 4. The pull takes phase 1's down link, of 0.25 s.
    """
    absences = [[failure(2.5, 4)], []]
    runs = [run([[1, 2, 1], [3]], 0, [[0.5, 0.25, 1], [0.5]], local_steps=4, absences=absences, **stop)
            for stop in ({}, {"seconds": 3.5}, {"seconds": 2.25}, {"exchanges": 2}, {"gradient_steps": 9},
            {"gradient_steps": 10})]  # fmt: skip
    assert of(runs[0].rows, "worker", "phase", "start_s", "applied_s", "pulled", "answered", "resume_s") == [
        (0, 0, 0, 1, 0, 0, 1.5), (1, 0, 0, 3, 0, 1, 3.5), (0, 2, 4.25, 5.25, 2, 2, 6.25),
    ]  # fmt: skip
    lost = [of(result.interrupted, "worker", "phase", "start_s", "end_s", "steps", "answered", "failed")
            for result in runs]  # fmt: skip
    assert lost[0] == [(0, 1, 1.5, 2.5, 2, 1, True)]
    assert runs[0].end_s == 6.25
    # By 3.5 and by 3 the worker is not back. By 2.25 nothing is lost, and 0.75 s of 2 s are made: one step.
    assert lost[1] == lost[3] == [(0, 1, 1.5, 2.5, 2, -1, True)]
    assert lost[2] == []
    assert sorted(of(runs[2].unfinished, "worker", "phase", "end_s", "steps")) == [(0, 1, 2.25, 1), (1, 0, 2.25, 3)]
    # Two exchanges of four steps and the two that were lost are ten.
    assert [(len(result.rows), result.end_s) for result in runs[3:]] == [(2, 3), (1, 1), (2, 3)]


def test_a_lost_phase_that_was_the_last_ends_the_work() -> None:
    result = run([[2]], local_steps=2, absences=[[failure(1, 3)]])
    assert (result.rows, result.unfinished, result.stranded, result.end_s) == ([], [], [], 1)
    assert of(result.interrupted, "start_s", "end_s", "steps", "answered") == [(0, 1, 1, -1)]


def test_a_reply_that_comes_in_a_failure_is_lost() -> None:
    """It was to come at 2. The worker pulls at 3, after worker 1's exchange at 2.5, and goes on at 4."""
    runs = [run([[1, 1], [2.5]], 0, 1, absences=[[failure(1.5, 3)], []], **stop)
            for stop in ({}, {"seconds": 2.75}, {"exchanges": 2})]  # fmt: skip
    assert of(runs[0].rows, "worker", "start_s", "applied_s", "pulled", "answered", "resume_s") == [
        (0, 0, 1, 0, 1, 4), (1, 0, 2.5, 0, 1, 3.5), (0, 4, 5, 2, 2, 6),
    ]  # fmt: skip
    # Where the run ends before it pulls, only the answer that was lost is known.
    for result in runs[1:]:
        assert of(result.rows, "worker", "answered", "resume_s") == [(0, 0, 2), (1, 1, 3.5)]
        assert not result.interrupted
        assert not result.unfinished


def test_a_second_failure_loses_the_pull() -> None:
    """Lost at 1. Back at 2, it would have the center at 3. Back at 4, after exchange 0, it has it at 5."""
    result = run([[2, 1], [3.5]], 0, 1, absences=[[failure(1, 2), failure(2.5, 4)], []])
    assert of(result.interrupted, "phase", "end_s", "answered") == [(0, 1, 0)]
    assert of(result.rows, "worker", "start_s", "applied_s", "pulled") == [(1, 0, 3.5, 0), (0, 5, 6, 1)]


def test_what_is_sent_is_served_and_an_absence_until_the_reply_changes_nothing() -> None:
    """The steps are done at 1, the message is there at 1.5, the reply at 2, as if the worker had been there."""
    there = run([[1, 1]], 0.5, 0.5)
    for absence in (failure(1, 2), failure(1.25, 1.75), pause(1, 1.5)):
        assert run([[1, 1]], 0.5, 0.5, absences=[[absence]]) == there
    late = run([[1, 1]], 0.5, 0.5, absences=[[failure(2, 3)]]).rows  # 2 is in it: back at 3, it goes on at 3.5
    assert of(late, "start_s", "applied_s", "answered", "resume_s") == [(0, 1.5, 0, 3.5), (3.5, 5, 1, 5.5)]


def test_who_joins_late_pulls() -> None:
    """At 2, from version 1, with the down link of its first phase."""
    rows = run([[1], [1]], 0, [[0.5], [7]], absences=[[failure(0, 2)], []]).rows
    assert of(rows, "worker", "start_s", "applied_s", "pulled", "staleness") == [(1, 0, 1, 0, 0), (0, 2.5, 3.5, 1, 0)]


def test_who_leaves_does_not_come_back() -> None:
    result = run([[1, 2, 1]], local_steps=4, absences=[[failure(2, ENDLESS)]])
    assert of(result.rows, "phase", "answered", "resume_s") == [(0, 0, 1)]
    assert of(result.interrupted, "phase", "end_s", "steps", "answered") == [(1, 2, 2, -1)]
    assert (result.unfinished, result.stranded, result.end_s) == ([], [], 2)
    result = run([[1, 1]], 0, 1, absences=[[failure(1.5, ENDLESS)]])  # its reply is lost
    assert of(result.rows, "phase", "answered", "resume_s") == [(0, 0, 2)]
    assert (result.interrupted, result.unfinished, result.stranded, result.end_s) == ([], [], [], 2)
    assert run([[1], [2]], absences=[[failure(0, ENDLESS)], []]).rows[0]["worker"] == 1


def test_services_that_end_come_before_workers_that_are_back_and_these_before_services_that_begin() -> None:
    """Worker 0 is back at 2. Worker 1's exchange is served from 1.5 to 2, or from 2."""
    for compute, service, seen in ((1.5, 0.5, 1), (2.0, 0.0, 0)):
        result = run([[3, 1], [compute]], server=service, absences=[[failure(1, 2)], []])
        assert of(result.rows, "worker", "pulled") == [(1, 0), (0, seen)]
        assert of(result.interrupted, "answered") == [(seen - 1,)]


def test_a_notice_reaches_a_worker_in_a_pause() -> None:
    """-....: of version 1, at 2, with 0.25 s on its way. One step is made; the next phase begins after the pause."""
    result = run([[4, 1], [2]], 0, 0.25, drop_at=1, cancels=True, local_steps=4, absences=[[pause(1, 5)], []])
    assert of(result.interrupted, "start_s", "end_s", "steps", "answered", "failed") == [(0, 2.25, 1, 0, False)]
    assert of(result.rows, "worker", "start_s", "applied_s", "pulled") == [(1, 0, 2, 0), (0, 5, 6, 1)]


@pytest.mark.parametrize(
    ("from_s", "phases"),
    [
        (1.75, [(0, 1.75, True)]),  # before the notice leaves
        (2.25, [(0, 2.25, True)]),  # as it comes, which is too late
        (2.5, [(0, 2.25, False), (1, 2.5, True)]),  # after it: the new phase is lost
        (3.75, [(0, 2.25, False)]),  # as that one, begun at 2.25, has sent its message
    ],
)
def test_a_notice_that_comes_when_the_phase_is_lost_is_too_late(
    from_s: float, phases: list[tuple[int, float, bool]]
) -> None:
    """The notice is of version 1: it leaves at 2, and is 0.25 s on its way. The commit was served from 1.5 to 2."""
    result = run(
        [[4, 1.5, 1], [1.5]], 0, 0.25, server=0.5, drop_at=1, cancels=True, absences=[[failure(from_s, 9)], []]
    )
    assert of(result.interrupted, "phase", "end_s", "failed") == phases


def test_a_failure_after_a_notice_finds_another_phase() -> None:
    """Phase 0, begun anew at 1.75 as phase 1, sends at 2; its reply comes at 4, after the failure of 3 to 3.5."""
    absences = [[failure(3, 3.5)], []]
    result = run([[4, 0.25, 1], [1.5]], 0, [[0.25, 2, 0], [0]], drop_at=1, cancels=True, absences=absences)
    assert of(result.interrupted, "phase", "end_s", "failed") == [(0, 1.75, False)]
    assert of(result.rows, "worker", "phase", "start_s", "applied_s") == [(1, 0, 0, 1.5), (0, 1, 1.75, 2), (0, 2, 4, 5)]


def test_nobody_waits_for_who_has_left() -> None:
    """Worker 0, a phase ahead at 1, waits for worker 1, whose phase is lost at 2.5."""

    def held(compute: list[list[float]], *absences: tuple[float, float, bool]) -> list[tuple[Any, ...]]:
        rows = run(compute, 0, 0.5, ahead=0, absences=[[], [*absences]]).rows
        return of(rows, "worker", "applied_s", "answered", "resume_s")

    assert held([[1, 1], [9, 1]], failure(2.5, ENDLESS)) == [(0, 1, 0, 3), (0, 4, 1, 4.5)]
    assert held([[1, 1], [9]], failure(2.5, 4)) == [(0, 1, 0, 3), (0, 4, 1, 4.5)]  # it had no other phase
    # Back at 4, it begins at 4.5, and is waited for until 5.5.
    assert held([[1, 1], [9, 1]], failure(2.5, 4)) == [(0, 1, 1, 6), (1, 5.5, 1, 6), (0, 7, 2, 7.5)]
    # It joins at 4, and pulls; the reply would come at 4.5, when it has left.
    assert held([[1, 1], [9, 1]], failure(0, 4), failure(4.25, ENDLESS)) == [(0, 1, 0, 4.5), (0, 5.5, 1, 6)]


@pytest.mark.parametrize(("leaves", "released"), [(True, 6), (False, 7.5)])
def test_who_leaves_is_waited_for_until_its_answer(leaves: bool, released: float) -> None:
    """Nobody may be ahead; two commits make a version. Workers 2 and 3 make version 1 at 1, and have no other phase.

    Worker 1 joins at 2, begins at 2.5, and waits for version 2 from 3 on. Worker 0's first commit is dropped at 4; its
    second makes version 2 at 5.5, one ahead of worker 1's. Worker 1 is answered then. When that comes, at 6, it has
    left, or it begins a phase of 1 s. So worker 0 is answered at 5.5, or at 7. Both are 0.5 s before it goes on.
    """
    absences = [[], [failure(0, 2), *([failure(5.75, ENDLESS)] if leaves else [])], [], []]
    rules = {"quorum": 2, "waits": True, "drop_at": 1, "ahead": 0}
    rows = run([[4, 1, 1], [0.5, 1], [1], [1]], 0, 0.5, **rules, absences=absences).rows
    assert of(rows, "worker", "applied_s", "accepted", "version")[2:5] == [
        (1, 3, True, 1), (0, 4, False, 1), (0, 5.5, True, 2),
    ]  # fmt: skip
    assert (rows[2]["resume_s"], rows[4]["resume_s"]) == (6, released)


def test_who_leaves_is_waited_for_until_its_pull_is_served() -> None:
    """Nobody may be ahead. Worker 1's commit is served from 2 to 4, its pull until 6; the reply would come at 7.

    Worker 0's message takes the server no time. Both pull at 4. Worker 0's next commit, at 4.5, is one ahead until 6.
    """
    rows = run(
        [[1, 0.5, 0.5], [2, 1]], 0, [[0] * 3, [1] * 2], [[0] * 3, [4] * 2], ahead=0, pull_share=0.5, channels=2,
        order=[-1] * 12, absences=[[], [failure(6.5, ENDLESS)]],
    ).rows  # fmt: skip
    assert of(rows, "worker", "applied_s", "answered", "resume_s") == [
        (0, 1, 1, 4), (1, 4, 2, 7), (0, 4.5, 2, 6), (0, 6.5, 3, 6.5),
    ]  # fmt: skip


def test_who_was_ahead_in_a_group_goes_on_when_the_slowest_leaves() -> None:
    """Its group, of itself, was complete at 1. Worker 1 leaves at 2."""
    rows = run([[1, 1], [9, 1]], grace_s=0.5, ahead=0, absences=[[], [failure(2, ENDLESS)]]).rows
    assert of(rows, "applied_s", "answered", "resume_s") == [(1, 0, 2), (3, 1, 3)]


def test_who_is_held_stays_held_and_may_be_stranded() -> None:
    """Worker 0 waits for a version from 1 on. Worker 1 leaves at 1.5, and no version is made."""
    result = run([[1, 1], [2, 1]], quorum=2, waits=True, absences=[[failure(1.25, 3)], [failure(1.5, ENDLESS)]])
    assert of(result.rows, "worker", "applied_s", "answered") == [(0, 1, -1)]
    assert result.stranded == [0]
    # The second of two exchanges at 1 answers both. A run of one exchange does not know it, though it ends at 1.
    rows = run([[1, 1], [1, 1]], quorum=2, waits=True, exchanges=1, absences=[[failure(1, 2)], []]).rows
    assert of(rows, "worker", "answered") == [(0, -1)]


def test_a_group_does_not_wait_for_a_phase_that_is_lost() -> None:
    """Those who come by 3 go on together: at 2, when worker 2 has come, or else at 1.5."""
    for absences, closed in (([], 2), ([failure(1.75, 5)], 1.5)):
        rows = run([[1, 1], [1.5], [2, 1]], grace_s=2, absences=[[], [], absences]).rows
        assert rows[0]["resume_s"] == closed


def test_a_pull_of_its_own_waits_its_turn() -> None:
    """The commits, of 0.75 s, come at 1.5 and 1.75. Pull 0 is in the queue from 2.25, pull 1 from 3.

    Served: commit 0 until 2.25, commit 1 until 3, pull 0 until 3.25, pull 1 until 3.5. At 3.75 worker 0 goes on, with
    both commits in its center. Its second commit comes at 5.25, and is applied at 6; its pull is served until 6.25.
    """
    rows = run([[1, 1], [1.25]], 0.5, 0.5, 1, order=[-1] * 6, pull_share=0.25).rows
    assert of(rows, "worker", "arrive_s", "served_s", "applied_s", "answered", "resume_s", "pulled", "staleness") == [
        (0, 1.5, 1.5, 2.25, 1, 3.75, 0, 0),
        (1, 1.75, 2.25, 3, 1, 4, 0, 1),
        (0, 5.25, 5.25, 6, 2, 6.75, 2, 0),
    ]
    # At 2.25, 3 and 3.25 the last of those who wait is taken: pull 0 has no number below worker 1's commit, ...
    rows = run([[1, 1], [1.25]], 0.5, 0.5, 1, order=[0, 0, 0.9, 0, 0, 0], pull_share=0.25).rows
    # ... and is served until 2.5, before commit 1, until 3.25, which its center does not have.
    assert of(rows, "worker", "applied_s", "answered", "resume_s")[:2] == [(0, 2.25, 0, 3), (1, 3.25, 1, 4)]


@pytest.mark.parametrize(("absence", "lost"), [(failure(1, 3), [(0, 1, -1, True)]), (failure(0, 3), [])])
def test_who_is_back_sends_a_pull(absence: tuple[float, float, bool], lost: list[tuple[Any, ...]]) -> None:
    """At 3, with 0.5 s on the up link of its phase 0. A quarter of 2 s is served until 4, and it begins at 4.5."""
    result = run([[2, 1]], 0.5, [[0.5, 7]], [[2, 4]], order=[-1] * 5, pull_share=0.25, absences=[[absence]])
    assert of(result.interrupted, "phase", "end_s", "answered", "failed") == lost
    # If it joins late, this is phase 0, and 2 s of steps; else phase 1, and 1 s. The commits take 1.5 s and 3 s.
    first = {"phase": 1, "start_s": 4.5, "arrive_s": 6, "applied_s": 9} if lost else {
        "phase": 0, "start_s": 4.5, "arrive_s": 7, "applied_s": 8.5}  # fmt: skip
    assert first.items() <= result.rows[0].items()


def test_a_pull_that_was_sent_is_lost_only_if_its_reply_is() -> None:
    """Sent at 1, when the commit is applied after 0.5 s, and served until 1.5; the reply is there at 2."""
    there = run([[0.5, 1]], 0, 0.5, 1, order=[-1] * 5, pull_share=0.5)
    assert run([[0.5, 1]], 0, 0.5, 1, order=[-1] * 5, pull_share=0.5, absences=[[failure(0.75, 2)]]) == there
    # Away until 3, it pulls again, which is served until 3.5; the reply is there at 4.
    rows = run([[0.5, 1]], 0, 0.5, 1, order=[-1] * 5, pull_share=0.5, absences=[[failure(0.75, 3)]]).rows
    assert of(rows, "start_s", "applied_s", "answered", "resume_s")[0] == (0, 1, 0, 4)
    assert rows[1]["start_s"] == 4


def test_with_all_reduce_there_is_no_pull() -> None:
    alone = run([[1, 1], [2, 1]], 7, 7, 7, quorum=2, waits=True, collective=(0.5, 1))
    assert run([[1, 1], [2, 1]], 7, 7, 7, quorum=2, waits=True, collective=(0.5, 1), pull_share=0.5) == alone


def test_staleness_when_the_message_arrives() -> None:
    """Worker 0 is served from 1 to 2, worker 1 from 2 to 3. Its message came before version 1, or with it."""
    for arrives, staleness in ((1.25, 0), (2, 1)):
        rows = run([[1], [arrives]], server=1, on_arrival=True).rows
        assert of(rows, "worker", "applied_s", "staleness") == [(0, 2, 0), (1, 3, staleness)]
    rows = run([[1], [1.25]], server=1, on_arrival=True, drop_at=1).rows  # applied, it is too stale
    assert of(rows, "worker", "staleness", "accepted") == [(0, 0, True), (1, 0, False)]


UP, DOWN, PHASE = 2.0, 1.0, 1.0  # seconds
CYCLES, RUNS = 50, 80


@pytest.mark.parametrize("fails", [False, True])
def test_availability_and_throughput_are_those_of_the_closed_forms(fails: bool) -> None:
    """Exponential times up and down; a worker alone, which computes whenever it is there.

    In a run of whole cycles of up and down, of L seconds, a count N with rate r has N − r L of mean 0 (but for the
    phase that is under way at the end). Their sum over independent runs lies within 4 standard errors.
    """
    generator = np.random.default_rng(24)
    availability, whole = UP / (UP + DOWN), math.exp(-PHASE / UP)
    throughput = whole / ((1 - whole) * (UP + DOWN)) if fails else availability / PHASE
    seconds, phases, computing, paused = [], [], [], []
    for _ in range(RUNS):
        up, down = generator.exponential(UP, CYCLES), generator.exponential(DOWN, CYCLES)
        until = np.cumsum(up + down)
        absences = [(float(b - d), float(b), fails) for d, b in zip(down, until, strict=True)]
        end = float(until[-1])
        result = run([[PHASE] * 4 * CYCLES], absences=[absences], seconds=end)
        assert result.end_s == end  # there was more to do
        seconds.append(end)
        phases.append(len(result.rows))
        parts = [*result.rows, *result.interrupted, *result.unfinished]
        spans = [(part["start_s"], part.get("compute_end_s", part.get("end_s"))) for part in parts]
        # A pause between two phases is in none of them.
        paused.append(0 if fails else sum(b - a for a, b, _ in absences if any(x < a < y for x, y in spans)))
        computing.append(sum(stop - start for start, stop in spans) - paused[-1])
        assert computing[-1] == pytest.approx(up.sum())
    for made, rate in ((phases, throughput), (computing, availability)):
        error = np.array(made) - rate * np.array(seconds)
        standard_error = np.linalg.norm(error)
        assert standard_error < 0.03 * sum(made)
        assert abs(error.sum()) <= 4 * standard_error


def random_run(seed: int, endless: bool = True) -> tuple[Callable[..., Any], list[list[float]], list[Absences]]:
    """A clock of up to 5 workers with random rules, to be given absences and a stop; its phases; its absences."""
    generator = np.random.default_rng(seed)
    workers, phases = int(generator.integers(1, 6)), int(generator.integers(1, 8))
    quarters = generator.random() < 0.5
    draws = [generator.gamma(2, mean / 2, (workers, phases)) for mean in (2, 0.5, 0.5, 0.5)]
    times = [(np.round(4 * drawn) / 4 if quarters else drawn).tolist() for drawn in draws]
    waits, drop_at = bool(generator.random() < 0.3), generator.choice([None, 1, 3])
    rules = {
        "quorum": int(generator.integers(1, workers + 1)), "waits": waits, "drop_at": drop_at,
        "cancels": drop_at is not None and bool(generator.random() < 0.5), "ahead": generator.choice([None, 0, 2]),
    }  # fmt: skip
    order = generator.random(1000) if generator.random() < 0.5 else [-1] * 1000
    options = {
        "channels": int(generator.integers(1, 3)), "local_steps": 4, "pull_share": generator.choice([None, 0.25]),
        "on_arrival": bool(generator.random() < 0.5),
    }  # fmt: skip
    absences = draw_absences(generator, workers, 30, endless)

    def clock(absences: list[Absences] | None, **stop: Any) -> Any:
        return reference.clock([0.0] * workers, *times, order, rules, absences=absences, **options, **stop)

    return clock, times[0], absences


@pytest.mark.parametrize("block", range(4))
def test_laws_of_absences(block: int) -> None:
    """Nobody begins or ends its steps while away; each phase is somewhere once; steps take the time drawn for them."""
    for seed in range(block, 160, 4):
        clock, compute, absences = random_run(seed)
        result = clock(absences)
        assert clock(None) == clock([[] for _ in absences])
        rows, lost = result.rows, [phase for phase in result.interrupted if phase["failed"]]
        for row in rows:
            own = absences[row["worker"]]
            assert not any(a <= row["start_s"] < b or a < row["compute_end_s"] < b for a, b, _ in own)
            inside = [(a, b, fails) for a, b, fails in own if row["start_s"] < a < row["compute_end_s"]]
            assert not any(fails for *_, fails in inside)
            there = row["compute_end_s"] - row["start_s"] - sum(b - a for a, b, _ in inside)
            assert there == pytest.approx(compute[row["worker"]][row["phase"]])
        for phase in lost:
            assert phase["end_s"] in [a for a, _, fails in absences[phase["worker"]] if fails]
        assert not result.unfinished
        begun = sorted((phase["worker"], phase["phase"]) for phase in rows + result.interrupted)
        assert len(begun) == len(set(begun))
        for worker, own in enumerate(absences):
            if worker not in result.stranded and not any(b == ENDLESS for _, b, _ in own):
                assert [phase for one, phase in begun if one == worker] == [*range(len(compute[worker]))]
        # The version that a phase began from is that after the exchange that its worker was answered with.
        told = {(phase["worker"], phase["phase"] + 1): phase["answered"] for phase in rows + result.interrupted}
        for phase in rows + result.interrupted:
            if phase["phase"] > 0:
                answered = told[phase["worker"], phase["phase"]]
                assert phase["pulled"] == (rows[answered]["version"] if answered >= 0 else 0)


@pytest.mark.parametrize("block", range(4))
def test_what_comes_after_the_end_of_a_run_is_not_known(block: int) -> None:
    """Absences that begin after it change nothing.

    But that who will leave is not waited for, and that who waits for a phase that will be lost is stranded.
    """
    for seed in range(block, 160, 4):
        clock, _, absences = random_run(seed, endless=False)
        seconds = 1.125 * (1 + seed % 9)
        so_far = [[absence for absence in own if absence[0] <= seconds] for own in absences]
        one, other = clock(absences, seconds=seconds), clock(so_far, seconds=seconds)
        for part in ("rows", "interrupted", "unfinished", "end_s"):
            np.testing.assert_equal(getattr(one, part), getattr(other, part), part)


# --- the package's clock ---


@st.composite
def cases(draw: Any) -> tuple[Draws, Rules, Stop, Away]:
    workers = draw(st.integers(1, 12))
    profile = draw(st.sampled_from([*profiles(), *WAITING, *map(load_profile, ("paper-cluster", "wide-area"))]))
    seed, phases = draw(st.integers(0, 9999)), draw(st.integers(1, 9))
    separate = draw(st.booleans())
    profile = replace(profile, pull="separate" if separate else "answer", pull_share=draw(st.sampled_from([0.25, 0.5])))
    draws = draw_delays(profile, seed, workers, phases, LOCAL_STEPS, 1000)
    if draw(st.booleans()):
        draws = replace(draws, on_arrival=True)
    if draw(st.booleans()):
        draws = replace(draws, collective=RoundTime(draw(st.sampled_from([0.0, 0.25])), 0.5))
    away = draw_absences(np.random.default_rng(seed), workers, draw(st.sampled_from([5.0, 30.0, 200.0])))
    stop = Stop(
        exchanges=draw(st.none() | st.integers(0, 60)),
        seconds=draw(st.none() | st.sampled_from([0.1, 1.0, 3.5, 20.0, 100.0])),
        gradient_steps=draw(st.none() | st.integers(0, 400)),
    )
    rules = draw(rules_for(workers))
    if separate and not (draws.collective and rules.waits):
        rules = replace(rules, grace_s=0.0)
    return draws, rules, draw(st.sampled_from([NEVER, stop])), Away.of([map(Absence._make, own) for own in away])


def test_the_clock_agrees_with_the_plain_one_when_workers_go_away(figure: Figure) -> None:
    """To the bit: every time, version, answer, lost phase and phase that was left."""

    @examples(1500)
    @given(cases())
    def attempt(case: tuple[Draws, Rules, Stop, Away]) -> None:
        draws, rules, stop, away = case
        timeline = simulate_timeline(replace(draws, absences=lambda _: away), rules, stop)
        expected = reference_clock(draws, rules, stop, away)
        for column in expected.rows[0].keys() - {"anew"} if expected.rows else ():
            values = [row[column] for row in expected.rows]
            np.testing.assert_array_equal(getattr(timeline, column), values, column)
        np.testing.assert_array_equal(timeline.anew, ["anew" in row for row in expected.rows])
        seen = np.unique(timeline.worker)
        np.testing.assert_array_equal(timeline.joined[seen], np.array(expected.joined)[seen])
        assert timeline.exchanges == len(expected.rows)
        assert_phases(timeline.interrupted, expected.interrupted, "answered", "failed")
        assert_phases(timeline.unfinished, expected.unfinished)
        assert timeline.end_s == expected.end_s

    figure("invariants", what="absences: the timeline of the plain event loop", **tried(attempt))


THERE_S, AWAY_S, PHASE_S, CREW = 40.0, 10.0, 6.0, 20
"""Seconds that a worker is there and away on average, and of a phase; and workers."""


@pytest.mark.parametrize("kind", ["pause", "failure"])
def test_availability_lost_work_and_throughput_of_the_clock_are_those_of_the_closed_forms(kind: str) -> None:
    """Exponential times there and away, phases of c seconds, nothing else; within 1 % in the long run.

    Availability is U / (U + D). Pauses leave availability / c phases a second to each worker. A phase outlives the time
    until a failure with probability p = exp(−c / U); so each worker makes p / ((1 − p)(U + D)) phases a second, and the
    seconds that it loses are those that remain of its availability.
    """
    settings = [f"between_{kind}s.distribution=exponential", f"between_{kind}s.mean={THERE_S}"]
    settings += [f"{kind}.distribution=exponential", f"{kind}.mean={AWAY_S}", "step.mean=0.001"]
    seconds, steps = 30_000.0, round(1000 * PHASE_S)
    draws = draw_delays(load_profile("ideal", settings), 1, CREW, round(1.2 * seconds / PHASE_S), steps)
    timeline = simulate_timeline(draws, stop=Stop(seconds=seconds))
    found = measures(timeline, endless=True)
    available, survives = THERE_S / (THERE_S + AWAY_S), math.exp(-PHASE_S / THERE_S)
    rate = available / PHASE_S if kind == "pause" else survives / ((1 - survives) * (THERE_S + AWAY_S))
    assert found["available_share"] == pytest.approx(available, rel=0.01)
    assert found["exchanges_per_s"] / CREW == pytest.approx(rate, rel=0.01)
    lost_s = CREW * (available - rate * PHASE_S) * seconds
    assert found["lost_steps"] == pytest.approx(1000 * lost_s, rel=0.01 if lost_s > 1 else None, abs=1e-6)
    # A whole step is lost or not: on average half of one less.
    account = sum(found[f"{place}_steps"] for place in ("accepted", "dropped", "interrupted", "lost", "unfinished"))
    assert account == pytest.approx(1000 * found["available_share"] * CREW * seconds, rel=1e-3)


def test_without_absences_the_clock_is_todays_to_the_bit() -> None:
    """Workers could go away, and never do; pulls are separate, and take nothing."""
    for name in profile_names():
        draws = draw_delays(load_profile(name), 3, 30, 20, 5, 4000)
        nobody = replace(draws, absences=lambda _: Away.of([[]] * 30))
        one, other = simulate_timeline(draws), simulate_timeline(nobody)
        for column, values in one.rows().items():
            np.testing.assert_array_equal(values, other.rows()[column], column)
        assert one.end_s == other.end_s
    never = load_profile("stragglers", ["between_pauses.distribution=constant", "between_pauses.mean=1e9",
                                        "pause.distribution=constant", "pause.mean=1"])  # fmt: skip
    assert_same_rows(simulate_timeline(draw_delays(load_profile("stragglers"), 3, 30, 20, 5)),
                     simulate_timeline(draw_delays(never, 3, 30, 20, 5)))  # fmt: skip
