"""Profiles read from TOML: what they become, what they are called, and how a bad one is refused."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Callable
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agn_bench.base import inputs
from agn_bench.base.inputs import BadInput, printable
from agn_bench.cli.base import said
from agn_bench.clock import (
    Bandwidth,
    Collective,
    Constant,
    Empirical,
    Gamma,
    GammaSpeeds,
    Ladder,
    Normal,
    Pareto,
    Profile,
    ShiftedExponential,
    Stragglers,
    Tiers,
    load_profile,
    parse_profile,
    profile_names,
    profile_of,
)
from agn_bench.clock.distributions import DISTRIBUTIONS
from agn_bench.clock.profile_files import as_toml

BASE = '[step]\ndistribution = "constant"\nmean = 1.0\n'
HUGE = "1" + "0" * 400

Write = Callable[..., str]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a profile's file, and others beside it; its path."""

    def written(content: str | bytes, name: str = "mine.toml", **beside: str | bytes) -> str:
        for file, text in {name: content, **{f"{stem}.csv": text for stem, text in beside.items()}}.items():
            (tmp_path / file).write_bytes(text.encode() if isinstance(text, str) else text)
        return str(tmp_path / name)

    return written


def refusal(name: str, *settings: str) -> str:
    with pytest.raises(BadInput) as refused:
        load_profile(name, settings)
    return said(refused.value)


def shipped(name: str) -> str:
    return (resources.files("agn_bench") / "profiles" / f"{name}.toml").read_text()


# --- what a file becomes ---

EVERYTHING = """
description = "of everything something"
source = "invented"

[workers]
speeds = "tiers"
factors = [1, 2.5]
weights = [3, 1]
start_interval = 0.5

[step]
distribution = "empirical"
file = "measured.csv"
column = "seconds"

[up]
distribution = "normal"
mean = 0.1
deviation = 0.05
floor = 0.08
bandwidth = 1e6

[down]
distribution = "pareto"
floor = 0.02
shape = 2
cap = 1.5
bandwidth = 2e6

[server]
distribution = "shifted-exponential"
mean = 0.3
floor = 0.2
bandwidth = 4e6
order = "random"
fifo_share = 0.25
channels = 3

[collective]
latency = 0.001
bandwidth = 8e6
"""
MEASURED = "node,seconds\na,0.5\nb,0.25\nc,0\n"


def test_a_file_becomes_what_it_says(write: Write) -> None:
    profile = load_profile(write(EVERYTHING, measured=MEASURED))
    assert isinstance(profile.step, Empirical)
    assert re.fullmatch("measured-[0-9a-f]{8}", profile.step.file)
    np.testing.assert_array_equal(profile.step.values, [0.5, 0.25, 0.0])
    expected = Profile(
        "",
        step=Empirical(profile.step.file, "seconds", np.array([])),
        up=Normal(0.1, 0.05, 0.08),
        down=Pareto(0.02, 2.0, 1.5),
        server=ShiftedExponential(0.3, 0.2),
        order="random",
        fifo_share=0.25,
        channels=3,
        bandwidth=Bandwidth(1e6, 2e6, 4e6),
        speeds=Tiers((1.0, 2.5), (3.0, 1.0)),
        start_interval=0.5,
        collective=Collective(0.001, 8e6),
        description="of everything something",
        source="invented",
    )
    assert replace(profile, name="", options=()) == expected


@pytest.mark.parametrize("more", ["", "[up]\n[down]\n[server]\n[workers]\n", '[server]\norder = "fifo"\n'])
def test_what_is_not_there_takes_no_time(write: Write, more: str) -> None:
    assert replace(load_profile(write(BASE + more)), name="", options=()) == Profile("", Constant(1.0))


def test_a_part_may_have_a_bandwidth_alone(write: Write) -> None:
    profile = load_profile(write(BASE + "[up]\nbandwidth = 1e6\n[server]\nbandwidth = 2e6\n"))
    assert profile.bandwidth == Bandwidth(up=1e6, server=2e6)
    assert profile.up == profile.server == Constant(0.0)


@pytest.mark.parametrize(
    "text",
    [
        'step = {distribution = "constant", mean = 1.0}\n',
        'step.distribution = "constant"\nstep.mean = 1\n',
        "[step]\r\ndistribution = 'constant'\r\nmean = 1\r\n",
        '["step"] # a comment\n"distribution" = """constant"""\n  mean=1e0',
        "\ufeff" + BASE,
    ],
    ids=["inline", "dotted", "crlf", "quoted", "byte-order-mark"],
)
def test_other_ways_to_write_the_same_mean_the_same(text: str) -> None:
    assert parse_profile("same", text.encode()) == parse_profile("same", BASE.encode())


@pytest.mark.parametrize(
    "content",
    [b"\xef\xbb\xbfseconds\n1\n2\n", b"seconds\r\n1\r\n2", b'"seconds","x, y"\n"1",a\n" 2 ",b\n'],
    ids=["byte-order-mark", "crlf", "quoted"],
)
def test_spreadsheets_write_csv_that_can_be_read(write: Write, content: bytes) -> None:
    path = write('[step]\ndistribution = "empirical"\nfile = "times.csv"\ncolumn = "seconds"\n', times=content)
    step = load_profile(path).step
    assert isinstance(step, Empirical)
    np.testing.assert_array_equal(step.values, [1.0, 2.0])


def written_out(tables: dict[str, Any]) -> str:
    """JSON writes texts, numbers and lists as TOML does."""
    lines = []
    for table, content in tables.items():
        lines += [f"[{table}]", *(f"{key} = {json.dumps(value)}" for key, value in content.items())]
    return "\n".join(lines)


IN_THEMSELVES = [name for name in profile_names() if not name.startswith("pai-")]
"""The shipped profiles whose times are not in a file beside them; of the others see test_recorded.py."""


@pytest.mark.parametrize("name", IN_THEMSELVES)
def test_a_profile_written_out_and_read_again_is_the_same(name: str) -> None:
    profile = load_profile(name)
    tables = profile.as_dict()
    assert tables.pop("name") == name
    again = parse_profile(name, written_out(tables).encode())
    blank: dict[str, Any] = {"description": "", "source": "", "options": ()}
    assert replace(again, **blank) == replace(profile, **blank)
    assert again.as_dict() == profile.as_dict()


@pytest.mark.parametrize("name", IN_THEMSELVES)
def test_the_toml_of_a_profile_gives_it_again(name: str) -> None:
    profile = load_profile(name)
    assert replace(parse_profile(name, as_toml(profile).encode()), options=profile.options) == profile


@pytest.mark.parametrize(
    "text",
    [
        'a "quoted" \\ path\n[step]\nmean = 2 # µs, 5.6\t%',
        "🐢",
        "\x00\x7f",
    ],
    ids=ascii,
)
def test_the_toml_of_a_profile_keeps_its_texts(text: str) -> None:
    profile = Profile("texts", Constant(1.0), description=text, source=text[::-1])
    again = parse_profile("texts", as_toml(profile).encode())
    assert (again.description, again.source) == (text, text[::-1])


def test_a_profile_written_out_says_nothing_of_what_is_not_there() -> None:
    nothing = {"distribution": "constant", "mean": 0.0}
    assert load_profile("ideal").as_dict() == {
        "name": "ideal",
        "step": {"distribution": "constant", "mean": 1.0},
        "up": nothing,
        "down": nothing,
        "server": {**nothing, "order": "fifo"},
    }


def test_a_profile_written_out_has_everything_that_changes_a_result(write: Write) -> None:
    tables = load_profile(write(EVERYTHING, measured=MEASURED)).as_dict()
    assert re.fullmatch("measured-[0-9a-f]{8}", tables["step"].pop("file"))
    del tables["name"]
    assert tables == {
        "step": {"distribution": "empirical", "column": "seconds"},
        "up": {"distribution": "normal", "mean": 0.1, "deviation": 0.05, "floor": 0.08, "bandwidth": 1e6},
        "down": {"distribution": "pareto", "floor": 0.02, "shape": 2.0, "cap": 1.5, "bandwidth": 2e6},
        "server": {
            "distribution": "shifted-exponential",
            "mean": 0.3,
            "floor": 0.2,
            "bandwidth": 4e6,
            "order": "random",
            "fifo_share": 0.25,
            "channels": 3,
        },
        "workers": {"speeds": "tiers", "factors": [1.0, 2.5], "weights": [3.0, 1.0], "start_interval": 0.5},
        "collective": {"latency": 0.001, "bandwidth": 8e6},
    }


LATER = {
    "channels": ("[server]\nchannels = 4", {"channels": 4}, {"server": {"channels": 4}}),
    "free": ("[collective]", {"collective": Collective()}, {"collective": {}}),
    "latency": ("[collective]\nlatency = 1e-3", {"collective": Collective(1e-3)}, {"collective": {"latency": 1e-3}}),
    "bandwidth": (
        "[collective]\nbandwidth = 1e6",
        {"collective": Collective(bandwidth=1e6)},
        {"collective": {"bandwidth": 1e6}},
    ),
}


@pytest.mark.parametrize(("text", "changed", "says"), LATER.values(), ids=LATER.keys())
def test_channels_and_a_collective_are_written_out_where_they_are_given(
    text: str, changed: dict[str, Any], says: dict[str, dict[str, Any]]
) -> None:
    """And the profile is the same again, from its TOML and from what a run.json holds."""
    plain, profile = (parse_profile("mine", (BASE + more).encode()) for more in ("", text))
    assert profile == replace(plain, **changed)
    without = plain.as_dict()
    assert profile.as_dict() == {**without, **{part: {**without.get(part, {}), **own} for part, own in says.items()}}
    assert parse_profile("mine", as_toml(profile).encode()) == profile
    assert profile_of(json.loads(json.dumps(profile.as_dict()))) == profile


@pytest.mark.parametrize("name", profile_names())
def test_channels_and_a_collective_at_their_defaults_rename_no_profile(name: str) -> None:
    settings = ["server.channels=1", "collective.latency=0"]
    plain, spelled = load_profile(name), load_profile(name, settings)
    assert replace(spelled, name=name, collective=None).as_dict() == plain.as_dict()
    assert "collective" not in plain.as_dict()
    assert "channels" not in plain.as_dict()["server"]


@pytest.mark.parametrize(
    ("members", "seconds"),
    [
        (1, 0.0),  # nobody to exchange with
        (2, 2 * 0.25 + 8.0),  # each sends a half and gets the other, then the sums of them
        (4, 6 * 0.25 + 1.5 * 8.0),
        (1_000_000, 1_999_998 * 0.25 + 2 * 8.0 * 0.999_999),  # nearly the whole message, twice
    ],
)
def test_a_round_of_all_reduce_is_a_rings(members: int, seconds: float) -> None:
    """2 (q − 1) messages, each of a q-th; message of 8 s, latency of 0.25 s. Within rounding."""
    collective = Collective(latency=0.25, bandwidth=125.0)
    assert collective.round_s(members, 1000) == pytest.approx(seconds, rel=1e-15)
    assert collective.round_time(1000).seconds(members) == collective.round_s(members, 1000)
    assert Collective().round_s(members, 1000) == 0.0


# --- what it is called ---


def test_a_users_file_is_called_by_its_stem_and_the_hash_of_its_content(write: Write) -> None:
    one, other = load_profile(write(BASE)), load_profile(write(BASE + "# nothing\n"))
    for profile in (one, other):
        assert re.fullmatch("mine-[0-9a-f]{8}", profile.name)
        assert profile.options == ("--delays", "mine.toml")
    assert one.name != other.name


def test_the_folder_of_a_users_file_does_not_matter(write: Write, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    assert load_profile(write(BASE)) == load_profile(write(BASE, name="elsewhere/mine.toml"))


def test_other_measured_times_make_another_profile(write: Write) -> None:
    one = load_profile(write(EVERYTHING, measured=MEASURED)).as_dict()
    assert load_profile(write(EVERYTHING, measured=MEASURED)).as_dict() == one
    assert load_profile(write(EVERYTHING, measured=MEASURED + "d,1\n")).as_dict() != one


# --- single values set over it ---


def test_settings_change_values_and_are_part_of_the_name(write: Write) -> None:
    settings = ["server.mean=0.2", " step.cv = 0.5 ", "up.bandwidth=1e6"]
    profile, plain = load_profile("paper-cluster", settings), load_profile("paper-cluster")
    assert isinstance(plain.step, Gamma)
    changed: dict[str, Any] = {
        "name": "paper-cluster+server.mean=0.2+step.cv=0.5+up.bandwidth=1e6",
        "options": (
            *("--delays", "paper-cluster"),
            *("--delay", "server.mean=0.2", "--delay", "step.cv=0.5", "--delay", "up.bandwidth=1e6"),
        ),
        "server": Constant(0.2),
        "step": replace(plain.step, cv=0.5),
        "bandwidth": Bandwidth(up=1e6),
    }
    assert profile == replace(plain, **changed)
    path = write(BASE)
    assert load_profile(path, ["step.mean=3"]).name == load_profile(path).name + "+step.mean=3"


@pytest.mark.parametrize(
    ("name", "setting", "part", "expected"),
    [
        ("paper-cluster", "server.order=fifo", "order", "fifo"),
        ("paper-cluster", "server.fifo_share=0.25", "fifo_share", 0.25),
        ("ideal", "workers.start_interval=2", "start_interval", 2.0),
        ("paper-cluster", "server.channels=4", "channels", 4),
        ("paper-cluster", "collective.latency=0.001", "collective", Collective(0.001)),
        ("ideal", "collective.bandwidth=1e9", "collective", Collective(bandwidth=1e9)),
        ("ideal", "workers.speeds=ladder", "speeds", Ladder()),
        ("stragglers", "workers.speeds=ladder", "speeds", Ladder()),
        ("stragglers", "workers.factor=3", "speeds", Stragglers(0.1, 3.0)),
        ("heterogeneous", "workers.cv=0.2", "speeds", GammaSpeeds(0.2)),
    ],
)
def test_a_setting_changes_one_value(name: str, setting: str, part: str, expected: object) -> None:
    assert getattr(load_profile(name, [setting]), part) == expected


def test_a_list_can_be_set() -> None:
    settings = ["workers.speeds=tiers", "workers.factors=[1, 4]", "workers.weights=[3,1]"]
    profile = load_profile("ideal", settings)
    assert profile.speeds == Tiers((1.0, 4.0), (3.0, 1.0))
    assert profile.name == "ideal+workers.speeds=tiers+workers.factors=[1, 4]+workers.weights=[3,1]"
    assert profile.options[2:] == tuple(word for setting in settings for word in ("--delay", setting))


def test_a_new_distribution_keeps_the_numbers_that_it_has_too() -> None:
    step = load_profile("paper-cluster").step
    assert isinstance(step, Gamma)
    assert load_profile("paper-cluster", ["step.distribution=constant"]).step == Constant(step.mean)
    up = load_profile("wide-area", ["up.distribution=gamma"])
    assert (up.up, up.bandwidth) == (Gamma(0.05, 0.5), load_profile("wide-area").bandwidth)
    server = load_profile("paper-cluster", ["server.distribution=exponential"])
    assert server.order == "random"


def test_a_setting_may_be_quoted_as_in_the_file() -> None:
    quoted = load_profile("paper-cluster", ['step.distribution="constant"'])
    assert quoted.step == load_profile("paper-cluster", ["step.distribution=constant"]).step


def test_the_command_of_a_profile_repeats_its_settings(write: Write) -> None:
    path = write(EVERYTHING, measured="step seconds,seconds\n1,2\n")
    profile = load_profile(path, ["step.column=step seconds"])
    assert profile.name.endswith("+step.column=step seconds")
    assert load_profile(path, profile.options[3::2]) == profile


@pytest.mark.parametrize("given", ["my times.csv", "./my times.csv", "{}/my times.csv"])
def test_the_folder_of_measured_times_is_not_part_of_the_name(write: Write, tmp_path: Path, given: str) -> None:
    path = write(EVERYTHING, **{"my times": MEASURED, "measured": MEASURED})
    profile = load_profile(path, [f"step.file={given.format(tmp_path)}"])
    assert profile.name == f"{load_profile(path).name}+step.file=my times.csv"
    assert profile.options == ("--delays", "mine.toml", "--delay", "step.file=my times.csv")
    assert load_profile(path, profile.options[3::2]) == profile


@pytest.mark.parametrize("quote", ['"', "'"])
def test_a_quoted_path_of_measured_times_loses_its_folder_and_no_quote(
    write: Write, tmp_path: Path, quote: str
) -> None:
    path = write(EVERYTHING, **{"my times": MEASURED})
    profile = load_profile(path, [f"step.file={quote}{tmp_path}/my times.csv{quote}"])
    assert tmp_path.name not in profile.name
    assert load_profile(path, profile.options[3::2]) == profile


def test_new_speeds_keep_when_workers_start() -> None:
    assert load_profile("wide-area", ["workers.speeds=ladder"]).start_interval == 2.0


# --- what is refused ---


def step(lines: str) -> str:
    return f"[step]\n{lines}\n"


def workers(lines: str) -> str:
    return f"{BASE}[workers]\n{lines}\n"


def number(text: str) -> str:
    return step(f'distribution = "constant"\nmean = {text}  # here')


def collective(lines: str) -> str:
    return f"{BASE}[collective]\n{lines}\n"


TABLES = "step, up, down, server, workers, collective"
BAD = {
    "unknown-table": (
        f"{BASE}[sever]  # here\n",
        "sever",
        f"did you mean server?; accepted: description, source, {TABLES}",
    ),
    "unknown-text": (f'desription = "mine"  # here\n{BASE}', "desription", "did you mean description?"),
    "text-not-a-text": (f"source = 5  # here\n{BASE}", "source = 5", "accepted: a text"),
    "not-a-table": ("step = 5  # here\n", "step = 5", "accepted: a table, [step]"),
    "unknown-key": (step('distribution = "gamma"\nmaen = 1  # here\ncv = 1'), "step.maen", "did you mean mean?"),
    "key-of-another-distribution": (
        step('distribution = "constant"\nmean = 1\ncv = 1  # here'),
        "step.cv",
        "accepted: distribution, mean",
    ),
    "order-of-a-step": (f'{BASE}order = "fifo"  # here\n', "step.order", "accepted: distribution, mean"),
    "bandwidth-of-a-step": (f"{BASE}bandwidth = 1.0  # here\n", "step.bandwidth", "accepted: distribution, mean"),
    "share-of-the-way-up": (
        f"{BASE}[up]\nfifo_share = 0.5  # here\nmean = 1\ndistribution = 'constant'",
        "up.fifo_share",
        "bandwidth",
    ),
    "unknown-key-of-workers": (workers("start = 1  # here"), "workers.start", "accepted: speeds, start_interval"),
    "key-of-other-speeds": (workers('speeds = "gamma"\ncv = 1\nfactor = 2  # here'), "workers.factor", "cv"),
    "key-without-speeds": (workers("cv = 1  # here"), "workers.cv", "accepted: speeds, start_interval"),
    "unknown-distribution": (
        step('distribution = "gama"  # here\nmean = 1'),
        'step.distribution = "gama"',
        "did you mean gamma?; accepted: constant, normal, gamma, lognormal, exponential, shifted-exponential, pareto, ",
    ),
    "distribution-not-a-text": (
        step("distribution = 1  # here\nmean = 1"),
        "step.distribution = 1",
        "constant, normal",
    ),
    "unknown-speeds": (
        workers('speeds = "lader"  # here'),
        'workers.speeds = "lader"',
        "did you mean ladder?; accepted: equal, ladder, root-ladder, gamma, tiers, stragglers",
    ),
    "long-text": (
        step(f'distribution = "{"x" * 200}"  # here\nmean = 1'),
        f'step.distribution = "{"x" * 59}…',
        "unknown; accepted: constant, normal",
    ),
    "negative": (number("-1"), "step.mean = -1", "negative; accepted: a number from 0 to 1e+12"),
    "nan": (number("nan"), "step.mean = nan", "not a finite number; accepted: a number from 0 to 1e+12"),
    "inf": (number("inf"), "step.mean = inf", "not a finite number; accepted: a number from 0 to 1e+12"),
    "overflow": (number("1e999"), "step.mean = inf", "not a finite number; accepted: a number from 0 to 1e+12"),
    "text": (number('"fast"'), 'step.mean = "fast"', "not a number; accepted: a number from 0 to 1e+12"),
    "boolean": (number("true"), "step.mean = true", "not a number; accepted: a number from 0 to 1e+12"),
    "list": (number("[1]"), "step.mean = [1]", "not a number; accepted: a number from 0 to 1e+12"),
    "date": (number("1979-05-27"), "step.mean = 1979-05-27", "not a number; accepted: a number from 0 to 1e+12"),
    "huge": (number(HUGE), f"step.mean = {HUGE[:60]}…", "too large; accepted: a number from 0 to 1e+12"),
    "huge-negative": (
        number(f"-{HUGE}"),
        f"step.mean = -{HUGE[:59]}…",
        "negative; accepted: a number from 0 to 1e+12",
    ),
    "no-time-at-all": (number("0"), "step.mean = 0", "takes no time; accepted: steps of at least 1e-09 s on average"),
    "step-below-a-nanosecond": (
        number("9e-10"),
        "step.mean = 9e-10",
        "takes no time; accepted: steps of at least 1e-09 s on average",
    ),
    "gamma-of-0": (
        f'{BASE}[up]\ndistribution = "gamma"\nmean = 0.0  # here\ncv = 1',
        "up.mean = 0.0",
        "too small; accepted: a number from 1e-09 to 1e+12",
    ),
    "below-a-nanosecond": (
        step('distribution = "normal"\nmean = 1\ndeviation = 9e-10  # here'),
        "step.deviation = 9e-10",
        "too small; accepted: a number from 1e-09 to 1e+12",
    ),
    "above-any-time": (
        step('distribution = "pareto"\nfloor = 1\nshape = 1\ncap = 1e13  # here'),
        "step.cap = 10000000000000.0",
        "too large; accepted: a number from 1e-09 to 1e+12",
    ),
    "cv-0": (
        step('distribution = "gamma"\nmean = 1\ncv = 0  # here'),
        "step.cv = 0",
        "too small; accepted: a number from 1e-06 to 1000",
    ),
    "missing-distribution": (
        step("mean = 1").replace("]", "]  # here"),
        "step.distribution",
        "missing; accepted: constant, normal",
    ),
    "missing-parameter": (
        '[step]  # here\ndistribution = "gamma"\nmean = 1\n[up]\ndistribution = "constant"\nmean = 1',
        "step.cv",
        "missing; accepted: a number from 1e-06 to 1000",
    ),
    "missing-factors": (f'{BASE}[workers]  # here\nspeeds = "tiers"', "workers.factors", "missing; accepted: a list"),
    "missing-file": (
        '[step]  # here\ndistribution = "empirical"\ncolumn = "a"',
        "step.file",
        "missing; accepted: a CSV file's path from this file",
    ),
    "missing-column": (
        '[step]  # here\ndistribution = "empirical"\nfile = "a"',
        "step.column",
        "missing; accepted: the name of a column",
    ),
    "file-not-a-text": (
        step('distribution = "empirical"\ncolumn = "a"\nfile = 5  # here'),
        "step.file = 5",
        "not a text; accepted: a CSV file's path from this file",
    ),
    "bandwidth-0": (
        f"{BASE}[server]\nbandwidth = 0  # here",
        "server.bandwidth = 0",
        "too small; accepted: a number from 0.001 to 1e+18",
    ),
    "channels-0": (
        f"{BASE}[server]\nchannels = 0  # here",
        "server.channels = 0",
        "too small; accepted: a whole number from 1 to 100000",
    ),
    "channels-negative": (f"{BASE}[server]\nchannels = -1  # here", "server.channels = -1", "negative; accepted: "),
    "channels-too-many": (f"{BASE}[server]\nchannels = 100_001  # here", "server.channels = 100001", "too large"),
    "channels-not-whole": (
        f"{BASE}[server]\nchannels = 1.5  # here",
        "server.channels = 1.5",
        "not a whole number; accepted: a whole number from 1 to 100000",
    ),
    "channels-a-text": (f'{BASE}[server]\nchannels = "2"  # here', 'server.channels = "2"', "not a number"),
    "channels-of-the-way-up": (
        f"{BASE}[up]\nbandwidth = 1\nmean = 1\ndistribution = 'constant'\nchannels = 2  # here",
        "up.channels",
        "accepted: distribution, mean, bandwidth",
    ),
    "collective-latency": (
        collective("latency = -1  # here"),
        "collective.latency = -1",
        "negative; accepted: a number from 0 to 1e+12",
    ),
    "collective-latency-a-text": (
        collective('latency = "short"  # here'),
        'collective.latency = "short"',
        "not a number; accepted: a number from 0 to 1e+12",
    ),
    "collective-bandwidth": (
        collective("latency = 1\nbandwidth = 0  # here"),
        "collective.bandwidth = 0",
        "too small; accepted: a number from 0.001 to 1e+18",
    ),
    "collective-bandwidth-inf": (
        collective("bandwidth = inf  # here"),
        "collective.bandwidth = inf",
        "not a finite number",
    ),
    "unknown-key-of-a-collective": (
        collective("latancy = 1  # here"),
        "collective.latancy",
        "unknown, did you mean latency?; accepted: latency, bandwidth",
    ),
    "collective-not-a-table": (
        f"collective = true  # here\n{BASE}",
        "collective = true",
        "of the wrong kind; accepted: a table, [collective]",
    ),
    "start-interval": (
        workers("start_interval = -1  # here"),
        "workers.start_interval = -1",
        "negative; accepted: a number from 0 to 1e+12",
    ),
    "normal-floor": (
        step('distribution = "normal"\nmean = 1\ndeviation = 1\nfloor = 2  # here'),
        "step.floor = 2.0",
        "above the mean; accepted: normal with a floor up to the mean, 1.0",
    ),
    "shifted-floor": (
        step('distribution = "shifted-exponential"\nfloor = 2  # here\nmean = 1'),
        "step.floor = 2.0",
        "above the mean; accepted: shifted-exponential with a floor up to the mean, 1.0",
    ),
    "cap": (
        step('distribution = "pareto"\nfloor = 2\nshape = 1\ncap = 1  # here'),
        "step.cap = 1.0",
        "below the floor; accepted: pareto with a cap from the floor, 2.0",
    ),
    "weights-and-factors": (
        workers('speeds = "tiers"\nfactors = [1, 2]\nweights = [1, 2, 3]  # here'),
        "workers.weights with 3 numbers",
        "accepted: as many factors as weights",
    ),
    "empty-list": (
        workers('speeds = "tiers"\nfactors = []  # here\nweights = []'),
        "workers.factors = []",
        "not a list of numbers; accepted: a list, each a number from 1e-06 to 1e+06",
    ),
    "number-for-a-list": (
        workers('speeds = "tiers"\nfactors = 2  # here\nweights = [1]'),
        "workers.factors = 2",
        "not a list of numbers; accepted: a list, each a number from 1e-06 to 1e+06",
    ),
    "list-with-a-text": (
        workers('speeds = "tiers"\nfactors = [1, "x"]  # here\nweights = [1, 2]'),
        'workers.factors = "x"',
        "not a number; accepted: a list, each a number from 1e-06 to 1e+06",
    ),
    "list-with-a-boolean": (
        workers('speeds = "tiers"\nfactors = [1, true]  # here\nweights = [1, 2]'),
        "workers.factors = true",
        "not a number; accepted: a list, each a number from 1e-06 to 1e+06",
    ),
    "list-with-0": (
        workers('speeds = "tiers"\nfactors = [1, 2]\nweights = [1, 0]  # here'),
        "workers.weights = 0",
        "too small; accepted: a list, each a number from 1e-06 to 1e+06",
    ),
    "fraction": (
        workers('speeds = "stragglers"\nfactor = 2\nfraction = 1.5  # here'),
        "workers.fraction = 1.5",
        "too large; accepted: a number from 1e-06 to 1",
    ),
    "speeds-too-different": (
        workers('speeds = "gamma"\ncv = 3.5  # here'),
        "workers.cv = 3.5",
        "too large; accepted: a number from 1e-06 to 3",
    ),
    "share-in-order": (f"{BASE}[server]\nfifo_share = 0.5  # here", "server.fifo_share = 0.5", 'order = "random" only'),
    "share-above-1": (
        f'{BASE}[server]\norder = "random"\nfifo_share = 1.5  # here',
        "server.fifo_share = 1.5",
        "too large; accepted: a number from 0 to 1",
    ),
    "order": (f'{BASE}[server]\norder = "lifo"  # here', 'server.order = "lifo"', "accepted: fifo, random"),
    "inline": ('\nstep = {distribution = "constant", mean = -1}  # here', "step.mean = -1", "negative"),
    "dotted": ('step.distribution = "constant"\nstep.mean = -1  # here', "step.mean = -1", "negative"),
    "same-key-elsewhere": (
        f'{BASE}[up]\ndistribution = "constant"\nmean = -1  # here\n[down]\nmean = 1',
        "up.mean = -1",
        "negative",
    ),
}


ELSEWHERE = {
    "key-with-an-escape": ('[ "st\\u0065p" ]\ndistribution = "constant"\n"me\\u0061n"=-1  # here', "step.mean = -1"),
    "key-that-must-be-quoted": (f'{BASE}\n"[up]" = 1  # here', "step.[up]"),
    "byte-order-mark": (f"\ufeffsource = 5  # here\n{BASE}", "source = 5"),
    "crlf": ('[step]\r\ndistribution = "constant"\r\nmean = -1  # here\r\n', "step.mean = -1"),
    "crlf-of-a-table": ('[up]\r\n[step]  # here\r\ndistribution = "constant"\r\n', "step.mean"),
    "comments": (f"# mean = 1\n# [step]\n\n[step] # mean = 1\n\n{number('-1')[7:]}", "step.mean = -1"),
    "other-line-ends-in-a-text": (f'description = "a\u2028b\u0085c"\n{number("-1")}', "step.mean = -1"),
    "far-below": ("#\n" * 200_000 + number("-1"), "step.mean = -1"),
    "last-line-without-an-end": ('[up]\n[step]\ndistribution = "constant"\nmean = -1  # here', "step.mean = -1"),
    # dotted keys
    "dotted-quoted": ('"step".distribution = "constant"\n\n\'step\' . "mean" = -1  # here', "step.mean = -1"),
    "dotted-between-others": (
        'step.distribution = "constant"\nup.mean = 1\nstep.mean = 1\nup.distribution = "x"  # here\n[down]',
        'up.distribution = "x"',
    ),
    "dotted-table-of-a-missing-key": ('source = ""\nstep.mean = 1  # here\nstep.distribution = "gamma"', "step.cv"),
    "dotted-too-deep": ('[step]\ndistribution = "constant"\nmean.x = 1  # here\nmean.y = 1', "step.mean = {"),
    "table-in-a-table": (f"{BASE}[up.distribution]  # here\nmean = 1", "up.distribution = {"),
    "table-in-a-table-before-it": ('[step.mean]  # here\nx = 1\n[step]\ndistribution = "constant"', "step.mean = {"),
    # arrays of tables
    "table-of-tables": (f'{BASE}[[up]]  # here\ndistribution = "constant"', "up = [{"),
    "tables-of-tables": (f"{BASE}[[up]]  # here\nmean = 1\n\n[[up]]\nmean = -1", "up = [{"),
    "table-of-tables-in-a-table": (
        f'{BASE}[workers]\nspeeds = "tiers"\nweights = [1]\n\n[[workers.factors]]  # here\n[[workers.factors]]',
        "workers.factors = {}",
    ),
    "after-tables-of-tables": (
        f'{BASE}[down]\nbandwidth = 1\n[[up.mean]]  # here\nmean = 1\n[[up.mean]]\n[up]\ndistribution = "constant"',
        "up.mean = [{",
    ),
    # values of several lines
    "text-like-a-table": (f'description = """\n[step]\nmean = 2\n"""\n{number("-1")}', "step.mean = -1"),
    "text-of-the-key-itself": ('[step]\nmean = 1\ndistribution = """  # here\n  mean = 1\n"""', "step.distribution = "),
    "inline-after-a-text": (
        'step = {distribution = """constant""", mean = """  # here\nmean = 1"""}\n[up]\nmean = 1',
        'step.mean = "  # here\\nmean = 1": not a number; ',
    ),
    "list-of-several-lines": (
        workers('speeds = "tiers"\nweights = [1,\n# factors = 2\n1]\nfactors = [  # here\n  1,\n\n  0,\n]'),
        "workers.factors = 0",
    ),
}


@pytest.mark.parametrize(("text", "what"), ELSEWHERE.values(), ids=ELSEWHERE.keys())
def test_the_line_is_right_however_the_file_is_written(write: Write, text: str, what: str) -> None:
    line = text[: text.index("# here")].count("\n") + 1
    path = write(text)
    assert refusal(path).startswith(f"--delays {path}, line {line}, {what}")


@pytest.mark.parametrize(("text", "what", "says"), BAD.values(), ids=BAD.keys())
def test_a_bad_value_is_refused_with_file_line_key_and_what_is_accepted(
    write: Write, text: str, what: str, says: str
) -> None:
    line = text[: text.index("# here")].count("\n") + 1
    path = write(text)
    message = refusal(path)
    assert message.startswith(f"--delays {path}, line {line}, {what}: ")
    assert says in message


@pytest.mark.parametrize(
    "text",
    [number('[true, "a"]'), number('{a = true, b = "c"}'), f'{BASE}[[up]]\ndistribution = "constant"\nx = false'],
    ids=["list", "table", "table-of-tables"],
)
def test_a_value_is_shown_in_the_files_words_not_in_pythons(write: Write, text: str) -> None:
    message = refusal(write(text))
    assert not re.search(r"True|False|None|'", message.partition(", line ")[2])


@pytest.mark.parametrize(
    "text",
    [
        step(f"distribution = 0x{'F' * 4000}\nmean = 1"),
        workers(f"speeds = 0x{'F' * 4000}"),
        f"{BASE}[server]\norder = 0x{'F' * 4000}",
    ],
    ids=["distribution", "speeds", "order"],
)
def test_a_number_of_thousands_of_digits_is_no_name(write: Write, text: str) -> None:
    path = write(text)
    message = refusal(path)
    assert message.startswith(f"--delays {path}, line ")
    assert " = a number of thousands of digits: unknown; accepted: " in message


@pytest.mark.parametrize("text", ["", '[up]\ndistribution = "constant"\nmean = 1\n'], ids=["empty", "other-tables"])
def test_a_profile_without_steps_is_refused(write: Write, text: str) -> None:
    path = write(text)
    message = refusal(path)
    assert message.startswith(f"--delays {path}, [step]: missing")
    assert "accepted: [step] with the distribution of the seconds a mini-batch takes" in message


@pytest.mark.parametrize(
    ("content", "problem", "where"),
    [
        (b"[step]\nmean = \n", "not TOML (", "at line 2"),
        (b"[step]\nmean = 1\nmean = 2\n", "not TOML (", "at line 3"),
        (b"[step\n", "not TOML (", "at line 1"),
        (b"step = " + b"[" * 100_000, "not TOML (", ""),
        (b"a = " + b"9" * 5000, "not TOML (", ""),
        (b"[step]\nmean = 1 # \xff\n", "not UTF-8 text", ""),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "not UTF-8 text", ""),
        (BASE.encode("utf-16"), "not UTF-8 text", ""),
    ],
    ids=["value", "twice", "bracket", "deep", "digits", "not-utf-8", "picture", "utf-16"],
)
def test_what_is_not_toml_is_refused(write: Write, content: bytes, problem: str, where: str) -> None:
    path = write(content)
    message = refusal(path)
    assert message.startswith(f"--delays {path}: {problem}")
    assert where in message
    assert f"accepted: a TOML file with the tables {TABLES}" in message


NO_FILE = "there is no such file"


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("", "not a file"),
        ("nope.toml", NO_FILE),
        ("nope/mine.toml", NO_FILE),
        ("\0.toml", NO_FILE),
        ("x" * 5000 + ".toml", ("cannot be read (", NO_FILE)),  # from Python 3.14 on, none that is asked for
    ],
    ids=["folder", "no-file", "no-folder", "nul", "too-long"],
)
def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, name: str, problem: str | tuple[str, ...]) -> None:
    """The empty name is the folder itself."""
    path = f"{tmp_path}/{name}" if name else str(tmp_path)
    message = refusal(path)
    given = f"--delays {printable(path)}: "
    assert message.startswith(given)
    assert message.removeprefix(given).startswith(problem)
    assert message.endswith(f"; accepted: a TOML file, or one of {', '.join(profile_names())}")


def test_a_device_is_refused_not_read(write: Write, tmp_path: Path) -> None:
    """As a pipe would be, for which the program would wait."""
    for name in ("device.toml", "times.csv"):
        (tmp_path / name).symlink_to(os.devnull)
    assert refusal(str(tmp_path / "device.toml")).startswith(f"--delays {tmp_path}/device.toml: not a file; accepted: ")
    path = write(EMPIRICAL)
    assert refusal(path) == f"--delays {path}, {FILE}not a file; accepted: {TIMES}"


def test_a_file_too_large_to_be_a_profile_is_refused(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(BASE)
    monkeypatch.setattr(inputs, "LARGEST_FILE", len(BASE))
    load_profile(path)
    monkeypatch.setattr(inputs, "LARGEST_FILE", len(BASE) - 1)
    assert refusal(path).startswith(f"--delays {path}: larger than")


def test_an_unknown_profile_is_refused_with_the_nearest_name() -> None:
    message = refusal("paper-clutser")
    assert message.startswith("--delays paper-clutser: unknown, did you mean paper-cluster?; accepted: heterogeneous, ")
    assert "a TOML file" in message


EMPIRICAL = '\n[step]\ndistribution = "empirical"\nfile = "times.csv"\ncolumn = "seconds"\n'
FILE, COLUMN = 'line 4, step.file = "times.csv": ', 'line 5, step.column = "seconds": '
TIMES = "a CSV file with a column of seconds, 0 or more"


@pytest.mark.parametrize(
    ("content", "where", "says"),
    [
        (None, FILE, "there is no such file"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", FILE, "not CSV (.+)"),
        (BASE.encode("utf-16")[:-1], FILE, "not CSV (.+)"),
        (b"", FILE, "not CSV (.+)"),
        (b"seconds\n", FILE, "has no rows"),
        (b"seconds\n\n\n", FILE, "has no rows"),
        (b"node,second\na,1\n", COLUMN, "has no column seconds; it has node, second"),
        (b"seconds,seconds\n1,2\n", COLUMN, "has 2 columns seconds"),
        (b"seconds\n1,2,3\n", FILE, "not CSV (.+)"),
        (b"node,seconds\na,1\na,b,1\n", FILE, "not CSV (.+)"),
        (b'seconds\n"1\n', FILE, "not CSV (.+)"),
        (b'seconds\n"1"2\n', FILE, "not CSV (.+)"),
        (b"seconds\n0\n0\n", FILE, "takes no time"),
        (b"seconds\n1e-10\n", FILE, "takes no time"),
    ],
    ids=[
        "no-file",
        "picture",
        "utf-16",
        "empty",
        "no-rows",
        "blank-rows",
        "no-column",
        "two-columns",
        "long-row",
        "longer-row",
        "quote-not-closed",
        "text-after-a-quote",
        "all-0",
        "below-a-nanosecond",
    ],
)
def test_measured_times_that_cannot_be_used_are_refused(
    write: Write, content: bytes | None, where: str, says: str
) -> None:
    path = write(EMPIRICAL) if content is None else write(EMPIRICAL, times=content)
    accepted = "steps of at least 1e-09 s on average" if says == "takes no time" else TIMES
    expected = re.escape(f"--delays {path}, {where}{says}; accepted: {accepted}").replace(r"\.\+", ".+")
    assert re.fullmatch(expected, refusal(path))


@pytest.mark.parametrize(
    ("content", "line", "cell", "problem"),
    [
        ("seconds\n1\nfast\n", 3, '"fast"', "not a number"),
        ('seconds\n1\n"1,5"\n', 3, '"1,5"', "not a number"),
        ("seconds\n1\n-2\n", 3, '"?-2"?', "negative"),
        ("seconds\n1\n-2.5\n", 3, '"?-2.5"?', "negative"),
        ("seconds\ninf\n", 2, '"?inf"?', "not a finite number"),
        ("seconds\n1e13\n", 2, r'"?(1e\+?13|10000000000000\.0)"?', "too large"),
        ("seconds\nTrue\n", 2, '"?[Tt]rue"?', "not a number"),
        ("seconds\n1\n\nfast\n", 4, '"fast"', "not a number"),
        ('seconds,x\n1,"a\nb"\nfast,c\n', 4, '"fast"', "not a number"),
        ('"x\ny",seconds\na,fast\n', 3, '"fast"', "not a number"),
    ],
    ids=[
        "text",
        "decimal-comma",
        "negative",
        "negative-fraction",
        "inf",
        "large",
        "boolean",
        "blank-line",
        "long-cell",
        "long-header",
    ],
)
def test_a_bad_time_is_refused_with_its_line(write: Write, content: str, line: int, cell: str, problem: str) -> None:
    """A text is shown in double quotes, a number with or without, and none as Python or NumPy shows it."""
    path = write(EMPIRICAL, times=content)
    before = re.escape(f"--delays {path}, {FILE}its line {line} has ")
    assert re.fullmatch(f"{before}{cell}, {problem}; accepted: {TIMES}", refusal(path))


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("node,seconds\na,1\nb\n", 3),
        ("seconds,x\n1,1\n2,1\n,1\n", 4),
        ("seconds,x\n1,1\nNA,1\n", 3),
        ("seconds\n1\nNA\n2\n", 3),
        ("seconds\nnan\n", 2),
    ],
    ids=["short-row", "blank", "na-beside-others", "na", "nan"],
)
def test_a_row_without_a_time_is_refused_with_its_line(write: Write, content: str, line: int) -> None:
    """None is left out silently but blank lines, and no NaN, or None, of the program's own is shown."""
    path = write(EMPIRICAL, times=content)
    message = refusal(path)
    assert message.startswith(f"--delays {path}, {FILE}its line {line} has ")
    assert message.endswith(f"number; accepted: {TIMES}")
    assert not re.search(r"None|np\.", message)


def test_blank_lines_between_measured_times_are_left_out(write: Write) -> None:
    step = load_profile(write(EMPIRICAL, times="seconds\n1\n\n2\n\n")).step
    assert isinstance(step, Empirical)
    np.testing.assert_array_equal(step.values, [1.0, 2.0])


@pytest.mark.parametrize(
    ("content", "column"),
    [("seconds\n" + "x" * 5000, "seconds"), ("seconds\n" + "9" * 5000, "seconds"), ("seconds\n1\n", "x" * 5000)],
    ids=["text", "digits", "column"],
)
def test_a_complaint_about_measured_times_is_not_as_long_as_they_are(write: Write, content: str, column: str) -> None:
    path = write(EMPIRICAL.replace('"seconds"', f'"{column}"'), times=content)
    message = refusal(path)
    assert len(message) < len(path) + 400
    assert "…" in message


@pytest.mark.parametrize(
    ("content", "column"), [(None, "file"), (b"\xff", "CSV"), ("seconds\n", "rows"), ("s\nfast\n", "s")]
)
def test_what_is_wrong_with_the_file_is_not_blamed_on_a_column_named_like_it(
    write: Write, content: bytes | str | None, column: str
) -> None:
    content = content.replace("seconds", column) if isinstance(content, str) else content
    text = EMPIRICAL.replace('"seconds"', f'"{column}"')
    path = write(text) if content is None else write(text, times=content)
    assert refusal(path).startswith(f"--delays {path}, {FILE}")


def test_a_folder_of_measured_times_is_refused(write: Write) -> None:
    path = write(EMPIRICAL.replace("times.csv", "."))
    assert refusal(path) == f'--delays {path}, line 4, step.file = ".": not a file; accepted: {TIMES}'


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("server.mean", "not TABLE.KEY=VALUE; accepted: as in server.mean=0.2"),
        ("server=0.2", "not TABLE.KEY=VALUE"),
        ("server.mean=", "not TABLE.KEY=VALUE"),
        ("a.b.c=1", "not TABLE.KEY=VALUE"),
        ("sever.mean=1", f"unknown, did you mean server?; accepted: {TABLES}"),
        ("description.x=1", f"accepted: {TABLES}"),
        (
            "server.maen=1",
            "unknown, did you mean mean?; accepted: distribution, mean, bandwidth, order, fifo_share, channels",
        ),
        ("workers.spedes=ladder", "unknown, did you mean speeds?; accepted: speeds, start_interval"),
        ("step.speeds=gamma", "unknown; accepted: distribution, mean, cv"),
        ("server.mean=-0.2", "negative; accepted: a number from 0 to 1e+12"),
        ("server.mean=fast", "not a number; accepted: a number from 0 to 1e+12"),
        ('server.mean="fast"', "not a number; accepted: a number from 0 to 1e+12"),
        ("server.mean=true", "not a number; accepted: a number from 0 to 1e+12"),
        ("server.mean=nan", "not a finite number"),
        (f"server.mean={HUGE}", "too large"),
        ("server.mean=[1", "not a number"),
        ("step.mean=0", "too small; accepted: a number from 1e-09 to 1e+12"),
        ("step.distribution=gama", "unknown, did you mean gamma?; accepted: constant, normal, "),
        ("workers.speeds=lader", "unknown, did you mean ladder?; accepted: equal, ladder, "),
        ("server.order=lifo", "accepted: fifo, random"),
        ("server.fifo_share=2", "too large; accepted: a number from 0 to 1"),
        ("server.channels=0", "too small; accepted: a whole number from 1 to 100000"),
        ("server.channels=2.5", "not a whole number"),
        ("collective.latency=-1", "negative; accepted: a number from 0 to 1e+12"),
        ("collective.distribution=gamma", "unknown; accepted: latency, bandwidth"),
        ("colective.latency=1", f"unknown, did you mean collective?; accepted: {TABLES}"),
    ],
)
def test_a_bad_setting_is_refused_as_it_was_given(setting: str, says: str) -> None:
    message = refusal("paper-cluster", "up.mean=0.1", setting)
    assert message.startswith(f"--delay {setting}: ")
    assert says in message


STEPS = step('distribution = "normal"\nmean = 1\ndeviation = 1\nfloor = 0.5')
CAPPED = step('distribution = "pareto"\nfloor = 1\nshape = 1\ncap = 2')
TIERS = workers('speeds = "tiers"\nfactors = [1, 2]\nweights = [1, 2]')
SHARE = f'{BASE}[server]\norder = "random"\nfifo_share = 0.5\n'
TO_BLAME = {
    "parameter": (
        BASE,
        ["step.distribution=normal"],
        "step.deviation is missing; accepted: a number from 1e-09 to 1e+12",
    ),
    "parameter-not-the-last-set": (
        BASE,
        ["step.distribution=gamma", "step.mean=2"],
        "step.cv is missing; accepted: a number from 1e-06 to 1000",
    ),
    "parameter-of-a-new-table": (
        BASE,
        ["up.distribution=gamma", "up.mean=1"],
        "up.cv is missing; accepted: a number from 1e-06 to 1000",
    ),
    "distribution": (
        BASE,
        ["up.mean=0.1"],
        f"up.distribution is missing; accepted: {', '.join(DISTRIBUTIONS)}",
    ),
    "file": (
        BASE,
        ["step.distribution=empirical"],
        "step.file is missing; accepted: a CSV file's path from this file",
    ),
    "column": (
        BASE,
        ["step.distribution=empirical", "step.file=times.csv"],
        "step.column is missing; accepted: the name of a column of it",
    ),
    "speeds": (
        BASE,
        ["workers.speeds=stragglers"],
        "workers.fraction is missing; accepted: a number from 1e-06 to 1",
    ),
    "floor": (STEPS, ["step.floor=1.5"], "above the mean; accepted: normal with a floor up to the mean, 1.0"),
    "mean": (
        STEPS,
        ["step.mean=0.4"],
        "step.floor = 0.5 is above the mean; accepted: normal with a floor up to the mean, 0.4",
    ),
    "cap": (CAPPED, ["step.cap=0.5"], "below the floor; accepted: pareto with a cap from the floor, 1.0"),
    "floor-of-a-cap": (
        CAPPED,
        ["step.floor=3"],
        "step.cap = 2.0 is below the floor; accepted: pareto with a cap from the floor, 3.0",
    ),
    "share": (BASE, ["server.fifo_share=0.5"], 'of no use; accepted: fifo_share with order = "random" only'),
    "order": (
        SHARE,
        ["server.order=fifo"],
        'server.fifo_share = 0.5 is of no use; accepted: fifo_share with order = "random" only',
    ),
}


@pytest.mark.parametrize(("text", "settings", "says"), TO_BLAME.values(), ids=TO_BLAME.keys())
def test_what_a_setting_of_another_key_brings_about_is_blamed_on_it(
    write: Write, text: str, settings: list[str], says: str
) -> None:
    """The first of the settings is to blame."""
    assert refusal(write(text), *settings) == f"--delay {settings[0]}: {says}"


@pytest.mark.parametrize("setting", ["workers.factors=[1]", "workers.weights=[1, 2, 3]"])
def test_a_list_set_to_another_length_is_refused(write: Write, setting: str) -> None:
    message = refusal(write(TIERS), setting)
    assert message.startswith(f"--delay {setting}: ")
    assert message.endswith("; accepted: as many factors as weights")


@pytest.mark.parametrize(
    "settings",
    [
        ["up.distribution=gamma", "up.mean=2", "up.cv=0.5"],
        ["workers.speeds=stragglers", "workers.factor=3", "workers.fraction=0.5"],
    ],
    ids=["distribution", "speeds"],
)
def test_what_kind_it_is_may_be_set_before_its_numbers_or_after(settings: list[str]) -> None:
    before = load_profile("heterogeneous", settings)
    assert before == load_profile("heterogeneous", [*settings[1:], settings[0]])
    assert before.name == "+".join(["heterogeneous", *settings])


def test_a_distribution_set_last_is_to_blame_for_what_it_misses(write: Write) -> None:
    assert refusal(write(BASE), "up.mean=1", "up.distribution=gamma").startswith(
        "--delay up.distribution=gamma: up.cv is missing; "
    )


@pytest.mark.parametrize(
    ("setting", "times"),
    [
        ("step.file=other.csv", "minutes\n1\n"),
        ("step.file=other.csv", "seconds\nfast\n"),
        ("step.file=other.csv", "seconds\n0\n"),
        ("step.column=minutes", "seconds,minutes\n1,0\n"),
    ],
    ids=["no-such-column", "not-a-number", "file-of-zeros", "column-of-zeros"],
)
def test_measured_times_that_a_setting_chose_are_blamed_on_it(write: Write, setting: str, times: str) -> None:
    """The file's own choice is fine."""
    good = "seconds\n1\n" if "file" in setting else times
    path = write(EMPIRICAL, times=good, other=times)
    load_profile(path)
    assert refusal(path, setting).startswith(f"--delay {setting}: ")


@pytest.mark.parametrize("setting", ["step.mean=2", "up.bandwidth=1e6"])
def test_a_bad_value_of_the_file_is_not_blamed_on_a_setting(write: Write, setting: str) -> None:
    path = write(BASE + '[up]\ndistribution = "constant"\nmean = -1\n')
    assert refusal(path, setting).startswith(f"--delays {path}, line 6, up.mean = -1: negative")


@pytest.mark.parametrize(
    ("text", "setting", "says"),
    [
        (step('distribution = "gamma"\nmean = 1'), "step.mean=2", "line 1, step.cv: missing"),
        (f"{BASE}[up]\nmean = 1", "up.bandwidth=1e6", "line 4, up.distribution: missing"),
        (workers('speeds = "tiers"\nfactors = [1]'), "workers.start_interval=2", "line 4, workers.weights: missing"),
        (STEPS.replace("0.5", "2"), "step.deviation=3", "line 5, step.floor = 2.0: above the mean"),
    ],
    ids=["parameter", "distribution", "speeds", "floor"],
)
def test_what_a_file_lacks_itself_is_not_blamed_on_a_setting(write: Write, text: str, setting: str, says: str) -> None:
    path = write(text)
    alone = refusal(path)
    assert alone.startswith(f"--delays {path}, {says}; ")
    assert refusal(path, setting) == alone


# --- numbers at their limits ---


def usable(text: str) -> Profile | None:
    """The profile, None if it is refused; anything else raised is an error of the program."""
    try:
        return parse_profile("extreme", text.encode())
    except BadInput:
        return None


@pytest.mark.parametrize(
    "lines",
    [
        'distribution = "constant"\nmean = 1e-9',
        'distribution = "constant"\nmean = 1e12',
        'distribution = "exponential"\nmean = 1e-9',
        'distribution = "gamma"\nmean = 1e-9\ncv = 1000',
        'distribution = "gamma"\nmean = 1e12\ncv = 1000',
        'distribution = "gamma"\nmean = 1e12\ncv = 1e-6',
        'distribution = "lognormal"\nmean = 1e-9\ncv = 1e-6',
        'distribution = "lognormal"\nmean = 1e12\ncv = 1000',
        'distribution = "shifted-exponential"\nmean = 1e-9\nfloor = 1e-320',
        'distribution = "pareto"\nfloor = 1e12\nshape = 1000\ncap = 1e12',
        'distribution = "pareto"\nfloor = 1e-9\nshape = 1e-6\ncap = 1e12',
        'distribution = "pareto"\nfloor = 1e-9\nshape = 1\ncap = 1e12',
        'distribution = "pareto"\nfloor = 1e-9\nshape = 2\ncap = 1e12',
        'distribution = "pareto"\nfloor = 1e-9\nshape = 1000\ncap = 1e12',
        'distribution = "normal"\nmean = 1e-9\ndeviation = 1e12',
        'distribution = "normal"\nmean = 1e12\ndeviation = 1e-9',
        'distribution = "normal"\nmean = 1e12\ndeviation = 1e-9\nfloor = 1e12',
        'distribution = "normal"\nmean = 1e-9\ndeviation = 1e-9\nfloor = 1e-9',
    ],
)
def test_numbers_at_their_limits_give_finite_times(lines: str) -> None:
    profile = usable(step(lines))
    assert profile is not None
    mean, variance = profile.step.moments()
    assert 0 < mean < math.inf
    assert 0 <= variance < math.inf
    times = profile.step.draw(np.random.default_rng(0), 1000)
    assert np.isfinite(times).all()
    assert (times >= 0).all()


@pytest.mark.parametrize(
    "lines",
    [
        'distribution = "constant"\nmean = 1e-300',
        'distribution = "lognormal"\nmean = 1e-300\ncv = 1e-6',
        'distribution = "normal"\nmean = 1\ndeviation = 1e-200',
        'distribution = "normal"\nmean = 1\ndeviation = 1e-320',
        'distribution = "pareto"\nfloor = 1e-320\nshape = 1\ncap = 1',
        'distribution = "pareto"\nfloor = 1e-200\nshape = 0.5\ncap = 1e12',
        pytest.param(f"distribution = 'constant'\nmean = 0x{'F' * 4000}", id="hexadecimal"),
    ],
)
def test_numbers_beyond_their_limits_are_refused(lines: str) -> None:
    assert usable(step(lines)) is None
