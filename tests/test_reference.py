"""The reference itself, which nothing else checks: beside numbers published, or worked out by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import reference


def run(compute: list[list[float]], up: float = 0, down: float = 0, server: Any = 0, **options: Any) -> Any:
    """With these seconds a phase; the first in line is served first."""
    up, down, server = ([[times] * len(own) for own in compute] if np.isscalar(times) else times
                        for times in (up, down, server))  # fmt: skip
    order = options.pop("order", [-1.0] * sum(map(len, compute)))
    rules = {name: options.pop(name) for name in reference.RULES if name in options}
    return reference.clock([0.0] * len(compute), compute, up, down, server, order, rules, **options)


def of(phases: list[dict[str, Any]], *names: str) -> list[tuple[Any, ...]]:
    return [tuple(phase[name] for name in names) for phase in phases]


def test_a_grace_period_gives_the_published_clock() -> None:
    """DeepMind's toy (google-deepmind/asyncdiloco): 20 steps a phase; its clock is the arrival of the 40th commit."""
    seconds_a_step = (0.58, 0.75, 1.51, 3.33)
    compute = [[20 * seconds] * 80 for seconds in seconds_a_step]
    rows = run(compute, grace_s=0.5).rows
    assert [f"{rows[steps // 20 - 1]['applied_s']:.2f}" for steps in (800, 1600)] == ["209.00", "406.40"]
    rounds = run(compute, quorum=4, waits=True).rows[3::4]
    assert [f"{row['applied_s']:.2f}" for row in rounds[:5]] == ["66.60", "133.20", "199.80", "266.40", "333.00"]


@pytest.mark.parametrize("order", ["first", "random"])
def test_an_endless_grace_period_is_a_synchronous_round(order: str) -> None:
    generator = np.random.default_rng(3)
    compute, up, down, server = (generator.exponential(mean, (4, 6)).tolist() for mean in (1, 0.3, 0.3, 0.2))
    draws = [-1.0] * 24 if order == "first" else generator.random(24)
    runs = [reference.clock([0.0] * 4, compute, up, down, server, draws, {"quorum": 4, **rules})
            for rules in ({"waits": True}, {"grace_s": math.inf})]  # fmt: skip
    assert len(runs[0].rows) == len(compute[0]) * 4
    assert runs[0] == runs[1]


def test_staleness_applied_and_in_flight_is_n_minus_1_a_version() -> None:
    generator = np.random.default_rng(4)
    compute, server = generator.gamma(1, 1, (5, 40)).tolist(), generator.gamma(1, 0.4, (5, 40)).tolist()
    rows = run(compute, 0.1, 0.2, server, order=generator.random(200), channels=2).rows
    for versions in (7, 50, 101):
        pulled = dict.fromkeys(range(5), 0) | {row["worker"]: row["answered"] + 1 for row in rows[:versions]}
        ages = [versions - pull for pull in pulled.values()]
        assert sum(row["staleness"] for row in rows[:versions]) + sum(ages) == 4 * versions


def test_a_commit_too_stale_is_dropped_after_its_service() -> None:
    rows = run([[1, 1, 1], [2.5]], server=0.25, drop_at=2).rows  # worker 0 arrives at 1, 2.25, 3.5
    assert of(rows, "worker", "applied_s", "staleness", "accepted", "version", "answered") == [
        (0, 1.25, 0, True, 1, 0), (0, 2.5, 0, True, 2, 1), (1, 2.75, 2, False, 2, 2), (0, 3.75, 0, True, 3, 3),
    ]  # fmt: skip


def test_a_notice_in_time_interrupts_and_one_too_late_does_not() -> None:
    """The notice of version 1 comes at 1.5: worker 1 has sent at 1.4, worker 2 is three quarters through. The notice of
    version 2 comes at 3.
    """
    result = run([[1, 9], [1.4], [2, 1]], down=0.5, drop_at=1, cancels=True, local_steps=4)
    assert of(result.rows, "worker", "phase", "start_s", "applied_s", "pulled", "accepted", "version", "resume_s") == [
        (0, 0, 0, 1, 0, True, 1, 1.5), (1, 0, 0, 1.4, 0, False, 1, 1.9), (2, 1, 1.5, 2.5, 1, True, 2, 3),
    ]  # fmt: skip
    assert of(result.interrupted, "worker", "phase", "start_s", "end_s", "steps", "answered", "pulled") == [
        (2, 0, 0, 1.5, 3, 0, 0), (0, 1, 1.5, 3, 0, 2, 1),
    ]  # fmt: skip
    at_its_end = run([[1, 1], [1.5]], down=0.5, drop_at=1, cancels=True)
    assert not at_its_end.interrupted


def test_who_is_ahead_waits_for_the_slowest() -> None:
    """Worker 0, one phase ahead at 1, may begin another, and at 2 may not. At 3 the slowest has none left."""
    rows = run([[1, 1, 1], [3]], ahead=1).rows
    assert of(rows, "worker", "applied_s", "answered", "resume_s") == [
        (0, 1, 0, 1),
        (0, 2, 2, 3),
        (1, 3, 2, 3),
        (0, 4, 3, 4),
    ]


def test_backup_workers_and_one_who_is_stranded() -> None:
    """Two of three make a version; the third's is dropped. Nobody comes whom worker 0's second would wait with."""
    result = run([[1, 2], [2], [3]], quorum=2, waits=True, drop_at=1)
    assert of(result.rows, "worker", "applied_s", "accepted", "version", "answered", "resume_s")[:3] == [
        (0, 1, True, 0, 1, 2), (1, 2, True, 1, 1, 2), (2, 3, False, 1, 2, 3),
    ]  # fmt: skip
    assert of(result.rows[3:], "worker", "applied_s", "accepted", "version", "answered") == [(0, 4, True, 1, -1)]
    assert math.isnan(result.rows[3]["resume_s"])
    assert result.stranded == [0]


def test_an_all_reduce_takes_the_place_of_links_and_server() -> None:
    """2 · 2 · 0.5 s of latency and 4/3 of a message that takes 3 s."""
    result = run([[1], [2], [4]], 7, 7, 7, quorum=3, waits=True, channels=2, collective=(0.5, 3))
    assert of(result.rows, "arrive_s", "applied_s", "resume_s") == [(1, 1, 10), (2, 2, 10), (4, 10, 10)]


def test_with_two_channels_a_short_service_overtakes() -> None:
    rows = run([[1], [2], [2.5]], server=[[5], [1], [1]], channels=2).rows
    assert of(rows, "worker", "served_s", "applied_s", "staleness") == [(1, 2, 3, 0), (2, 3, 4, 1), (0, 1, 6, 2)]
    rows = run([[1], [2]], server=[[5], [1]], channels=2, grace_s=0.5).rows  # worker 1, too late, is served when ...
    assert of(rows, "worker", "served_s", "applied_s") == [(0, 1, 6), (1, 6, 7)]  # ... the group is closed


def test_a_run_stops_at_what_comes_first() -> None:
    """Applied at 1, 2 (worker 0), 2.5 (worker 1), 3, 4, 5."""
    stops = [{"seconds": 2.75}, {"exchanges": 2}, {"gradient_steps": 5}, {"seconds": 9}, {}]
    runs = [run([[1] * 4, [2.5] * 2], local_steps=2, **stop) for stop in stops]
    assert [(len(result.rows), result.end_s) for result in runs] == [(3, 2.75), (2, 2), (2, 2), (6, 5), (6, 5)]
    left = [of(result.unfinished, "worker", "phase", "start_s", "end_s", "steps") for result in runs]
    assert left == [[(0, 2, 2, 2.75, 1), (1, 1, 2.5, 2.75, 0)], [(1, 0, 0, 2, 1)], [(1, 0, 0, 2, 1)], [], []]
