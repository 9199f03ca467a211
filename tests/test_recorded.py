"""Recorded times: whose they are, in which order, from where on, and what comes when they are used up.

Where a test says 4 standard errors, its significance is 6e-5; the seeds are fixed, so it passes always or never.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agn_bench import RunConfig, run
from agn_bench.base.inputs import BadInput
from agn_bench.base.user_code import UserCodeError
from agn_bench.cli.base import said
from agn_bench.clock import Empirical, Recorded, draw_delays, load_profile, profile_of
from agn_bench.clock import profile_files as files
from agn_bench.training.remarks import of_recorded
from agn_bench.training.timing import timeline_of

Command = Callable[..., tuple[int, str, str]]
Write = Callable[..., str]

PAI = ("pai-1", "pai-2", "pai-3", "pai-4")
TABLE = '[step]\ndistribution = "recorded"\nfile = "times.csv"\n'


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a profile with recorded steps, and their file; the profile's path."""

    def written(times: str | bytes | None, more: str = "", table: str = TABLE) -> str:
        (tmp_path / "mine.toml").write_text(table + more)
        if times is not None:
            (tmp_path / "times.csv").write_bytes(times.encode() if isinstance(times, str) else times)
        return str(tmp_path / "mine.toml")

    return written


def rows_of(name: str) -> list[np.ndarray]:
    """The times of a shipped file worker by worker, as Python's own reader has them, in seconds."""
    with (files._SHIPPED / f"{name}.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [np.array([0.001 * float(row["time"]) for row in rows if row["worker"] == str(w)]) for w in range(10)]


def drawn(name: str, settings: list[str], workers: int, phases: int, seed: int = 0, local_steps: int = 1) -> np.ndarray:
    """Step times, or their sums, (workers, phases)."""
    profile = load_profile(name, settings)
    return draw_delays(profile, seed, workers, phases, local_steps).compute.reshape(workers, phases)


def recorded(**numbers: Any) -> Recorded:
    """Two workers, with 7 and 5 different times."""
    times = np.array([1, 2, 3, 4, 5, 6, 7, 10, 20, 30, 40, 50]) / 8
    return Recorded("measured", "worker", "time", times, np.array([7, 5]), **numbers)


def sampler(law: Recorded, worker: int, seed: int = 0) -> Callable[[int], np.ndarray]:
    return law.sampler(seed, worker, np.random.default_rng(0))


# --- whose times, and in which order ---


@pytest.mark.parametrize("name", PAI)
def test_ten_workers_have_the_ten_recorded_ones_times_in_their_order(name: str) -> None:
    """To the bit, and after the last row the first again."""
    for worker, times in enumerate(rows_of(name)):
        steps = drawn(name, ["step.start=first"], 10, 260)[worker]
        np.testing.assert_array_equal(steps, np.resize(times, 260))


def test_a_phase_is_the_sum_of_successive_times() -> None:
    steps = np.stack([times[:240] for times in rows_of("pai-4")])
    sums = drawn("pai-4", ["step.start=first"], 10, 60, local_steps=4)
    np.testing.assert_array_equal(sums, steps.reshape(10, 60, 4).sum(axis=2))


def test_phases_of_different_lengths_leave_nothing_out() -> None:
    steps = np.tile(np.array([1, 5, 2], np.int32), 10)
    sums = draw_delays(load_profile("pai-1", ["step.start=first"]), 0, 10, 3, steps).compute.reshape(10, 3)
    for worker, times in enumerate(rows_of("pai-1")):
        np.testing.assert_allclose(sums[worker], [times[0], times[1:6].sum(), times[6:8].sum()], rtol=1e-15)


def test_a_random_beginning_is_the_same_row_for_all_recorded_workers() -> None:
    """So that what slowed several down at once does so again; another seed begins elsewhere."""
    series = rows_of("pai-1")
    begun = set()
    for seed in range(20):
        steps = drawn("pai-1", [], 10, 300, seed)
        (shift,) = {k for k in range(300) if all(np.array_equal(np.roll(series[w], -k), steps[w]) for w in (0, 6, 9))}
        assert all(np.array_equal(np.roll(series[w], -shift), steps[w]) for w in range(10))
        begun.add(shift)
    assert len(begun) > 15


def test_further_workers_are_recorded_ones_from_another_row_on() -> None:
    """Each of the ten equally often: chi-square with 9 degrees over 3000 workers, significance 0.001."""
    series, counts, places = rows_of("pai-1"), np.zeros(10), set()
    prefixes = {tuple(np.roll(series[w], -k)[:9]): (w, k) for w in range(10) for k in range(300)}
    assert len(prefixes) == 3000  # nine times in a row say whose they are, and from where on
    for seed in range(100):
        steps = drawn("pai-1", ["step.start=first"], 40, 9, seed)
        for worker in range(10, 40):
            which, place = prefixes[tuple(steps[worker])]
            counts[which] += 1
            places.add(place)
    assert ((counts - 300) ** 2 / 300).sum() < 27.88
    assert len(places) > 290


def test_more_workers_or_phases_begin_with_the_same_times() -> None:
    few, many = drawn("pai-4", [], 12, 30), drawn("pai-4", [], 40, 90)
    np.testing.assert_array_equal(few, many[:12, :30])


@pytest.mark.parametrize("at_end", ["wrap", "blocks"])
@pytest.mark.parametrize("start", ["first", "random"])
@pytest.mark.parametrize("worker", [0, 1, 5])
def test_times_do_not_depend_on_how_many_are_asked_for_at_once(start: str, at_end: str, worker: int) -> None:
    law = recorded(start=start, at_end=at_end, block=3)
    whole, pieces = sampler(law, worker)(60), sampler(law, worker)
    np.testing.assert_array_equal(np.concatenate([pieces(n) for n in (1, 6, 1, 0, 4, 30, 18)]), whole)


# --- what the times are like ---


def autocorrelation(times: np.ndarray, lag: int) -> float:
    """The autocorrelation of a series that goes round."""
    off = times - times.mean()
    return float((off * np.roll(off, -lag)).mean() / times.var())


MEASURES: dict[str, Callable[[np.ndarray], float]] = {
    "mean": lambda times: float(times.mean()),
    "coefficient of variation": lambda times: float(times.std() / times.mean()),
    "lag 1": lambda times: autocorrelation(times, 1),
    "lag 2": lambda times: autocorrelation(times, 2),
    "lag 5": lambda times: autocorrelation(times, 5),
}


def unlike(made: list[np.ndarray], series: list[np.ndarray]) -> set[str]:
    """What of the workers' times is not as in the file.

    Each worker goes once through all its rows, so it has exactly what one of the ten recorded workers has, f_i; what is
    random is which ones all but the first ten are. The mean of n workers is that of the ten within 4 standard errors,
    √((n − 10) Var f) / n, and of the first ten each has its own.
    """
    found = set()
    for what, measure in MEASURES.items():
        of_file, of_run = np.array([*map(measure, series)]), np.array([*map(measure, made)])
        error = np.sqrt((len(made) - 10) * of_file.var()) / len(made)
        if abs(of_run.mean() - of_file.mean()) > 4 * error or not np.allclose(of_run[:10], of_file, rtol=1e-9, atol=0):
            found.add(what)
    return found


@pytest.mark.parametrize("name", PAI)
def test_forty_workers_steps_are_like_the_files(name: str) -> None:
    """Mean, variation and autocorrelation. With shuffled times only the former two are."""
    step, series = load_profile(name).step, rows_of(name)
    assert isinstance(step, Recorded)
    lengths = [step.length(0, worker) for worker in range(40)]
    steps = drawn(name, [], 40, max(lengths))
    made = [times[:length] for times, length in zip(steps, lengths, strict=True)]
    assert unlike(made, series) == set()
    shuffled = [np.random.default_rng(0).permutation(times) for times in made]
    assert unlike(shuffled, series) == {"lag 1", "lag 2", "lag 5"}


@pytest.mark.parametrize("name", PAI)
def test_mean_and_variance_give_each_recorded_worker_the_same_weight(name: str) -> None:
    series = rows_of(name)
    mean = np.mean([times.mean() for times in series])
    variance = np.mean([((times - mean) ** 2).mean() for times in series])
    assert load_profile(name).step.moments() == pytest.approx((mean, variance), rel=1e-12)


# --- when they are used up ---


def test_times_come_again_from_the_first() -> None:
    law = recorded()
    np.testing.assert_array_equal(8 * sampler(law, 0)(16), [1, 2, 3, 4, 5, 6, 7, 1, 2, 3, 4, 5, 6, 7, 1, 2])
    np.testing.assert_array_equal(8 * sampler(law, 1)(6), [10, 20, 30, 40, 50, 10])


def test_blocks_are_successive_rows_at_the_same_places_for_all_recorded_workers() -> None:
    law = recorded(at_end="blocks", block=3)
    first, second = 8 * sampler(law, 0)(7 + 3000), sampler(law, 1)(5 + 3000) / 10 * 8
    np.testing.assert_array_equal(first[:7], [1, 2, 3, 4, 5, 6, 7])
    np.testing.assert_array_equal(second[:5], [1, 2, 3, 4, 5])
    blocks, others = first[7:].reshape(-1, 3), second[5:].reshape(-1, 3)
    assert ((blocks[:, 1:] - blocks[:, :-1]) % 7 == 1).all()
    assert ((others[:, 1:] - others[:, :-1]) % 5 == 1).all()
    # The same fraction of both: block for block it lies in a seventh and in a fifth that overlap.
    low, high = (blocks[:, 0] - 1) / 7, blocks[:, 0] / 7
    assert ((low < others[:, 0] / 5) & ((others[:, 0] - 1) / 5 < high)).all()
    # Each row begins as many of the 1000 blocks: chi-square with 6 degrees, significance 0.001.
    counts = np.bincount(blocks[:, 0].astype(int), minlength=8)[1:]
    assert ((counts - 1000 / 7) ** 2 / (1000 / 7)).sum() < 22.46


@pytest.mark.parametrize("lag", [1, 2, 5])
def test_blocks_keep_the_autocorrelation_within_them(lag: int) -> None:
    """The mean over 400 blocks of the products of times `lag` apart within a block is that over all blocks that there
    are, one from each row on, within 4 standard errors; a shuffled series would be off by more.
    """
    block, count, (times, *_) = 50, 400, rows_of("pai-4")
    law = Recorded("one", "worker", "time", times, np.array([len(times)]), at_end="blocks", block=block)
    off = times - times.mean()
    made = sampler(law, 0)(len(times) + block * count)[len(times) :].reshape(count, block) - times.mean()
    products = (made[:, lag:] * made[:, :-lag]).mean(axis=1)
    every = np.stack([np.roll(off, -row)[:block] for row in range(len(off))])
    expected = (every[:, lag:] * every[:, :-lag]).mean(axis=1)
    error = expected.std() / np.sqrt(count)
    assert abs(products.mean() - expected.mean()) < 4 * error
    assert expected.mean() > 8 * error


# --- what is read ---


def step_of(path: str, *settings: str) -> Recorded:
    step = load_profile(path, settings).step
    assert isinstance(step, Recorded)
    return step


def test_workers_are_in_the_natural_order_of_their_names_and_rows_in_that_of_the_file(write: Write) -> None:
    path = write("host,s\nw10,5\nw2,1\nw10,6\nW9,0.5\nw2,2\nw2,3\n", 'worker = "host"\ncolumn = "s"\nunit = 0.5\n')
    step = step_of(path)
    np.testing.assert_array_equal(step.lengths, [1, 3, 2])  # W9, w2, w10
    np.testing.assert_array_equal(step.times, [0.25, 0.5, 1.0, 1.5, 2.5, 3.0])


def test_what_a_profile_says_of_recorded_times(write: Write) -> None:
    path = write("worker,time\na,1\nb,2\n", 'start = "random"\nat_end = "blocks"\nblock = 7\n')
    table = load_profile(path).as_dict()["step"]
    assert re.fullmatch("times-[0-9a-f]{8}", table.pop("file"))
    named = {"worker": "worker", "column": "time"}
    assert table == {
        "distribution": "recorded",
        **named,
        "unit": 1.0,
        "start": "random",
        "at_end": "blocks",
        "block": 7,
    }


@pytest.mark.parametrize("spelled", ["worker;time\na;1,5\nb;2,25\n", "worker\ttime\r\na\t1.5\r\nb\t2.25\r\n"])
def test_a_file_as_people_have_them(write: Write, spelled: str) -> None:
    np.testing.assert_array_equal(step_of(write(spelled)).times, [1.5, 2.25])


FILE = 'line 3, step.file = "times.csv": '
TIMES = "a CSV file with a column of workers and one of times, 0 or more"


@pytest.mark.parametrize(
    ("times", "more", "says"),
    [
        (None, "", FILE + "there is no such file; accepted: " + TIMES),
        (b"\x89PNG\r\n\x1a\n\x00", "", FILE + "not CSV ("),
        ("worker,time\n", "", FILE + "has no rows"),
        ("node,time\na,1\n", "", 'step.worker = "worker": has no column worker; it has node, time; accepted: ' + TIMES),
        ("worker,s\na,1\n", "", 'step.column = "time": has no column time; it has worker, s'),
        ("worker,s\na,1\n", 'column = "sec"', 'line 4, step.column = "sec": has no column sec; it has worker, s'),
        ("work,time\na,1\n", 'worker = "works"', 'line 4, step.worker = "works": has no column works'),
        ("worker,time,time\na,1,2\n", "", 'step.column = "time": has 2 columns time'),
        ("worker,time\na,1\nb,-2\n", "", FILE + 'its line 3 has "-2", negative; accepted: ' + TIMES),
        ("worker,time\na,1\nb,\n", "", FILE + 'its line 3 has "", not a number'),
        ("worker,time\na,1\n\nb,nan\n", "", FILE + 'its line 4 has "nan", not a number'),
        ("worker,time\na,1\nb,fast\n", "", FILE + 'its line 3 has "fast", not a number'),
        ("worker,time\na,inf\n", "", FILE + 'its line 2 has "inf", not a finite number'),
        ("worker,time\na,1e9\n", "unit = 1e6", FILE + 'its line 2 has "1e9", too large'),
        ("worker,time\na,1\n ,2\n", "", FILE + "its line 3 has no worker; accepted: " + TIMES),
        ("worker,time\na,0\nb,3\na,0\n", "", FILE + 'worker "a" takes no time; accepted: steps of at least 1e-09 s'),
        ("worker,time\na,1\n", "unit = 1e-10", FILE + 'worker "a" takes no time'),
        ("worker,time\na,1\n", "unit = 0", "line 4, step.unit = 0: too small; accepted: a number from 1e-12 to 1e+12"),
        ("worker,time\na,1\n", "unit = nan", "line 4, step.unit = nan: not a finite number"),
        ("worker,time\na,1\n", 'unit = "ms"', 'line 4, step.unit = "ms": not a number'),
        ("worker,time\na,1\n", "block = 0", "line 4, step.block = 0: too small; accepted: a whole number from 1 to "),
        ("worker,time\na,1\n", "block = 1.5", "line 4, step.block = 1.5: not a whole number"),
        ("worker,time\na,1\n", 'start = "middle"', 'line 4, step.start = "middle": unknown; accepted: one of first or'),
        ("worker,time\na,1\n", 'at_end = "stop"', 'line 4, step.at_end = "stop": unknown; accepted: one of wrap or'),
        (
            "worker,time\na,1\n",
            "worker = 3",
            "line 4, step.worker = 3: not a text; accepted: the name of a column",
        ),
        ("worker,time\na,1\n", "mean = 3", "line 4, step.mean: unknown; accepted: distribution, file, worker, column,"),
    ],
)
def test_recorded_times_that_cannot_be_used_are_refused(
    write: Write, times: str | bytes | None, more: str, says: str
) -> None:
    path = write(times, more)
    with pytest.raises(BadInput) as refused:
        load_profile(path)
    message = said(refused.value)
    assert says in message
    assert message.startswith(f"--delays {path}, line ")


def test_a_file_is_needed(write: Write) -> None:
    with pytest.raises(BadInput, match=re.escape("step.file: missing; accepted: a CSV file's path from this file")):
        load_profile(write(None, table='[step]\ndistribution = "recorded"\n'))


def test_a_server_may_take_no_time_for_a_worker(write: Write) -> None:
    path = write(
        "worker,time\na,0\nb,3\n", table=TABLE.replace("step", "server") + '[step]\ndistribution="exponential:mean=1"\n'
    )
    assert draw_delays(load_profile(path), 0, 2, 2, 1).server.tolist() == [0, 0, 3, 3]


# --- over profiles, and in what is written ---


@pytest.mark.parametrize("name", PAI)
def test_a_shipped_profile_is_found_again_by_what_runs_say_of_it(name: str) -> None:
    for settings in ([], ["step.start=first", "step.unit=0.002"], ["step.at_end=blocks"]):
        profile = load_profile(name, settings)
        again = profile_of(profile.as_dict())
        assert again == profile
        assert isinstance(again.step, Recorded) and isinstance(profile.step, Recorded)
        np.testing.assert_array_equal(again.step.times, profile.step.times)


def test_ones_own_recorded_times_must_be_given_again(write: Write) -> None:
    with pytest.raises(BadInput, match=r"drawn from a file, .times-[0-9a-f]{8}., that is not in it"):
        profile_of(load_profile(write("worker,time\na,1\n")).as_dict())


def test_a_file_that_is_set_over_a_shipped_profile_counts_from_here(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("worker,time\na,1\nb,2\n")
    monkeypatch.chdir(tmp_path)
    settings = ["step.distribution=recorded:at_end=blocks", "step.file=times.csv"]
    for name in ("pai-2", "stragglers"):
        step = load_profile(name, settings).step
        assert isinstance(step, Recorded)
        assert (step.at_end, step.lengths.tolist()) == ("blocks", [1, 1])
    assert isinstance(load_profile("pai-1", ["step.distribution=empirical", "step.column=time"]).step, Empirical)


# --- what is said when they are used up ---

TINY: dict[str, Any] = {"dataset": "tiny", "model": "mlp-8", "batch_size": 8}


@pytest.mark.parametrize(
    ("more", "then"),
    [
        ("", "Then the same times came again, 3 times in all."),
        ('at_end = "blocks"\nblock = 4\n', "Then 4 blocks of 4 rows were drawn of them at random, in all."),
    ],
)
def test_a_run_tells_that_recorded_times_were_used_up(quick_dataset: str, write: Write, more: str, then: str) -> None:
    """Each worker makes 20 steps: a has 30 rows, and b 6. The 14 others are three times round, or four blocks."""
    rows = [f"a,{1 + k / 100}\n" for k in range(30)] + [f"b,{1 + k / 50}\n" for k in range(6)]
    delays = write("worker,time\n" + "".join(rows), more)
    result = run(RunConfig.of(**TINY, delays=delays, workers=2, local_steps=4, gradient_steps=40))
    (told,) = [remark for remark in result.remarks if "recorded" in remark]
    who = r"1 of 2 workers used up their recorded times of \[step\] in times-[0-9a-f]{8}\. "
    assert re.fullmatch(who + re.escape(then), told)


def test_nothing_is_told_while_there_are_times_left(quick_dataset: str) -> None:
    for delays in ("pai-4", "stragglers"):
        config = RunConfig.of(**TINY, delays=delays, workers=12, local_steps=4, gradient_steps=480)
        assert of_recorded(config, timeline_of(config)) == []


def test_the_commands_take_a_recorded_profile(
    command: Command, quick_dataset: str, tmp_path: Path, sketched: None
) -> None:
    work = ["--dataset", "tiny", "--model", "mlp-8", "--batch-size", 8, "--workers", 40, "--local-steps", 10]
    work += ["--optimizer", "agn", "--delays", "pai-1", "--gradient-steps", 16_000]
    code, out, err = command("run", *work, "--out", tmp_path / "run")
    assert (code, err) == (0, "")
    assert "40 of 40 workers used up their recorded times of [step] in pai-1-" in out
    assert "Then the same times came again, 40 times in all." in out
    (made,) = (tmp_path / "run" / "runs").iterdir()
    code, out, err = command("run", "--like", made / "run.json", "--out", tmp_path / "run")
    assert (code, err, "not repeated" in out) == (0, "", True)
    code, out, err = command("timeline", *work, "--out", tmp_path / "timeline")
    assert (code, err, "came again, 40 times in all." in out) == (0, "", True)


# --- a class of one's own ---

WALK = """
from dataclasses import dataclass
import numpy as np
from agn_bench.base.quantities import positive
from agn_bench.clock.distributions import Distribution, Moments

@dataclass(frozen=True)
class Walk(Distribution):
    \"\"\"A worker's k-th time is k, and a million for each seed, and a thousand for each worker.\"\"\"

    mean: float = positive("Seconds, on average.")

    def moments(self):
        return Moments(self.mean, 0.0)

    def draw(self, generator, count):
        raise AssertionError("its sampler is asked")

    def sampler(self, seed, worker, generator):
        given = [0]
        def times(count):
            given[0] += count
            return {times}
        return {sampler}
"""
COUNTED = "seed * 1e6 + worker * 1e3 + np.arange(given[0] - count, given[0])"


@pytest.mark.parametrize("at_once", [1, 7, 1 << 22])
def test_a_class_of_ones_own_may_give_times_that_hang_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr("agn_bench.clock.distributions._DRAWS_AT_ONCE", at_once)
    (tmp_path / "walk.py").write_text(WALK.replace("{times}", COUNTED).replace("{sampler}", "times"))
    profile = load_profile("ideal", [f"step.distribution={tmp_path / 'walk.py'}:Walk:mean=1"])
    sums = draw_delays(profile, 2, 3, 4, 5).compute.reshape(3, 4)
    single = np.arange(20).reshape(4, 5) + 2e6 + 1e3 * np.arange(3)[:, None, None]
    np.testing.assert_array_equal(sums, single.sum(axis=2))


@pytest.mark.parametrize(
    ("times", "given", "says"),
    [
        ("np.ones(count + 1)", "times", r"Walk.sampler\(0, 0, generator\)\(3\) gave float64\[4\] .*not 3 finite"),
        (
            "-np.ones(count)",
            "times",
            r"\(3\) gave float64\[3\] from -1 to -1, not 3 finite numbers of seconds, 0 or more",
        ),
        ("np.full(count, np.nan)", "times", "gave float64"),
        ("1 / 0", "times", "division by zero"),
        ("0", "None", r"Walk.sampler\(0, 0, generator\) gave NoneType, not a function that gives the next times"),
        ("0", "nothing", "name 'nothing' is not defined"),
    ],
)
def test_what_a_sampler_of_ones_own_gives_is_checked(tmp_path: Path, times: str, given: str, says: str) -> None:
    (tmp_path / "walk.py").write_text(WALK.replace("{times}", times).replace("{sampler}", given))
    profile = load_profile("ideal", [f"step.distribution={tmp_path / 'walk.py'}:Walk:mean=1"])
    with pytest.raises(UserCodeError, match=says):
        draw_delays(profile, 0, 1, 3, 1)
