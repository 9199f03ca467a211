"""When workers are away by a profile: drawn, or from a list; and what profiles are refused."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from agn_bench.base.inputs import BadInput
from agn_bench.clock import draw_delays, load_profile, profile_of
from agn_bench.clock.absences import Absence, Absences
from agn_bench.clock.events import simulate_timeline
from agn_bench.clock.stops import Stop

PAUSES = ["between_pauses.distribution=exponential", "between_pauses.mean=20",
          "pause.distribution=exponential", "pause.mean=3"]  # fmt: skip
FAILURES = [setting.replace("pause", "failure") for setting in PAUSES]
Command = Callable[..., tuple[int, str, str]]


def away(settings: list[str], workers: int = 6, until: float = 200.0, seed: int = 0) -> Absences:
    draws = draw_delays(load_profile("ideal", settings), seed, workers, 5, 2)
    assert draws.absences is not None
    return draws.absences(until)


def test_more_time_or_workers_begin_with_the_same_absences() -> None:
    short, long, many = (
        away([*PAUSES, *FAILURES]),
        away([*PAUSES, *FAILURES], until=2000.0),
        away([*PAUSES, *FAILURES], 9),
    )
    for worker in range(6):
        own = short.of_worker(worker)
        assert long.of_worker(worker)[: len(own) - 1] == own[:-1]  # the last may have one that touches it later
        assert many.of_worker(worker) == own
        assert all(one.until_s < other.from_s for one, other in pairwise(own))
    assert short.of_worker(0) != short.of_worker(1)
    assert away(PAUSES, seed=1).of_worker(0) != away(PAUSES).of_worker(0)


def test_a_group_is_away_together() -> None:
    found = away([*PAUSES, "pause.group=4"])
    assert found.of_worker(0) == found.of_worker(3) != found.of_worker(4) == found.of_worker(5)


def test_who_joins_late_and_who_leaves() -> None:
    settings = ["join.distribution=constant", "join.mean=3", "lifetime.distribution=constant", "lifetime.mean=7"]
    assert away(settings).of_worker(2) == [Absence(0.0, 3.0, True), Absence(10.0, math.inf, True)]
    profile = load_profile("ideal", settings)
    timeline = simulate_timeline(draw_delays(profile, 0, 3, 9, 2))
    assert timeline.start_s.min() == 3.0
    assert timeline.compute_end_s.max() <= 10.0
    assert timeline.interrupted.failed.all()
    assert profile_of(profile.as_dict()).as_dict() == profile.as_dict()


def test_absences_that_overlap_or_touch_are_one_which_fails_if_one_does() -> None:
    pause, failure = (0.0, 2.0, False), (2.0, 3.0, True)
    found = Absences.of([[Absence(*failure), Absence(*pause), Absence(5.0, 6.0, False)], []])
    assert found.of_worker(0) == [Absence(0.0, 3.0, True), Absence(5.0, 6.0, False)]
    assert found.of_worker(1) == []
    assert found.away_s(5.5) == 3.5


def test_seconds_spent_away_and_moments_of_work_are_those_counted_one_by_one() -> None:
    generator = np.random.default_rng(3)
    absences = away(PAUSES, workers=4, until=300.0)
    for _ in range(200):
        worker = int(generator.integers(4))
        own = absences.of_worker(worker)
        start = absences.begins(worker, float(generator.uniform(0, 200)))
        worked = np.sort(generator.uniform(0.1, 60, 5))
        moments = absences.moments(np.array([worker]), np.array([start]), worked[None])[0]
        for seconds, moment in zip(worked, moments, strict=True):
            inside = sum(min(b, moment) - a for a, b, _ in own if start <= a < moment)
            assert moment - start - inside == pytest.approx(seconds)
            assert not any(a < moment < b for a, b, _ in own)
        paused = absences.paused_s(np.array([worker]), np.array([start]), moments[-1:])
        assert moments[-1] - start - paused[0] == pytest.approx(worked[-1])
        assert absences.ends(worker, start, worked[-1]) == pytest.approx(moments[-1])


def test_mini_batches_are_not_made_in_a_pause() -> None:
    """A phase of 4 s from 0 with a pause from 1.5 to 3.5: its steps are done at 1, 4, 5 and 6."""
    draws = draw_delays(load_profile("ideal"), 0, 1, 1, 4)
    absences = Absences.of([[Absence(1.5, 3.5, False)]])
    timeline = simulate_timeline(draws.__class__(**{**vars(draws), "absences": lambda _: absences}))
    np.testing.assert_allclose(timeline.step_times_s(), [[1, 4, 5, 6]])


def test_a_list_of_absences_is_what_timeline_writes(command: Command, tmp_path: Path) -> None:
    words = ["timeline", "--workers", "5", "--local-steps", "2", "--delays", "ideal", "--seconds", "90"]
    settings = [word for setting in [*PAUSES, *FAILURES] for word in ("--delay", setting)]
    assert command(*words, *settings, "--out", tmp_path / "drawn")[0] == 0
    listed = ["--delay", f"absences.file={tmp_path / 'drawn' / 'absences.csv'}"]
    assert command(*words, *listed, "--out", tmp_path / "listed")[0] == 0
    for name in ("commits.csv", "interrupted.csv", "absences.csv"):
        assert (tmp_path / "drawn" / name).read_bytes() == (tmp_path / "listed" / name).read_bytes()
    profile = load_profile("ideal", listed[1:])
    with pytest.raises(BadInput, match="that is not in it"):
        profile_of(profile.as_dict())


HEAD = "worker,from_s,until_s,kind\n"


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ("0,1,2,pause\nx,1,2,pause\n", "line 3, worker = x: no worker's index"),
        ("0,1,2,pause\n-1,1,2,pause\n", "line 3, worker = -1: no worker's index"),
        ("0,1,1,pause\n", "line 2, until_s = 1: not after from_s"),
        ("0,3,1,failure\n", "line 2, until_s = 1: not after from_s"),
        ("0,-1,1,failure\n", "line 2, from_s = -1: no time"),
        ("0,nan,1,failure\n", "line 2, from_s = nan: no time"),
        ("0,1,2,nap\n", "line 2, kind = nap: unknown"),
        ("0,1,,pause\n", "line 2, until_s = nothing: never, for a pause"),
        ("", "has no rows"),
    ],
)
def test_a_bad_list_is_refused_with_line_and_column(rows: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "away.csv"
    path.write_text(HEAD + rows)
    with pytest.raises(BadInput) as error:
        load_profile("ideal", [f"absences.file={path}"])
    assert says in str(error.value)


def test_blank_times_are_from_the_beginning_and_for_good(tmp_path: Path) -> None:
    (tmp_path / "away.csv").write_text(HEAD + "1,,2.5,failure\n1,7,,failure\n0,1,2,pause\n")
    found = away([f"absences.file={tmp_path / 'away.csv'}"], workers=3)
    assert [found.of_worker(worker) for worker in range(3)] == [
        [Absence(1.0, 2.0, False)], [Absence(0.0, 2.5, True), Absence(7.0, math.inf, True)], [],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (PAUSES[:2], "[pause]"),
        (PAUSES[2:], "[between_pauses]"),
        ([*PAUSES[:3], "pause.mean=-1"], "pause.mean"),
        ([*PAUSES, "pause.group=0"], "pause.group"),
        ([*PAUSES, "pause.group=1.5"], "pause.group"),
        ([*PAUSES, "between_pauses.group=2"], "between_pauses.group"),
        (["pause.distribution=constant", "pause.mean=0", "between_pauses.distribution=constant",
          "between_pauses.mean=0"], "takes no time"),
        (["absences.file=nowhere.csv"], "absences.file"),
        (["absences.list=nowhere.csv"], "absences.list"),
        (["server.pull=push"], "server.pull"),
        (["server.pull_share=0.5"], "of no use"),
        (["server.pull=separate", "server.pull_share=1"], "server.pull_share"),
        (["server.staleness=late"], "server.staleness"),
        (["pauses.mean=1"], "pauses"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(settings: list[str], says: str) -> None:
    with pytest.raises(BadInput) as error:
        load_profile("ideal", settings)
    assert says in str(error.value)


def test_too_many_absences_are_refused() -> None:
    settings = [setting.replace("=20", "=1e-6").replace("=3", "=1e-6") for setting in PAUSES]
    with pytest.raises(BadInput, match="are away more than"):
        away(settings, until=1e4)


def test_leftover_steps_take_time_and_change_nothing_else() -> None:
    profile = load_profile("paper-cluster")
    plain = simulate_timeline(draw_delays(profile, 0, 4, 5, 10))
    draws = draw_delays(profile, 0, 4, 5, 10, leftover_steps=7)
    left = simulate_timeline(draws)
    for column, values in plain.rows().items():
        np.testing.assert_array_equal(values, left.rows()[column], column)
    last = [float(plain.resume_s[plain.worker == worker].max()) for worker in range(4)]
    np.testing.assert_allclose(left.unfinished.end_s - last, draws.leftover)
    assert left.unfinished.steps.tolist() == [7] * 4
    assert left.end_s == left.unfinished.end_s.max() > plain.end_s
    cut = simulate_timeline(draws, stop=Stop(seconds=left.end_s - 1))
    assert cut.end_s == left.end_s - 1
    assert cut.unfinished.steps.sum() < 28
