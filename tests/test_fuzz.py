"""Whatever is typed, and whatever a file holds: it is used, or refused in a line or two, and nothing is half written.

Inputs are generated: junk, things of the wrong kind, and what is right with something in it changed. In process, so
that a traceback is a failure here.
"""

from __future__ import annotations

import gzip
import io
import json
import pickle
import re
import resource
import shutil
import textwrap
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer.main
from conftest import Figure, examples, in_full
from hypothesis import given
from hypothesis import strategies as st
from test_trace import KINDS, recorded, under

import agn_bench
from agn_bench import cli
from agn_bench.analysis import comparison
from agn_bench.base import files, machine
from agn_bench.base.inputs import BadFile, BadInput
from agn_bench.clock import draw_delays, parse_profile, profile_names, profile_of
from agn_bench.clock.stops import Stop
from agn_bench.clock.timeline import MOST_EXCHANGES
from agn_bench.clock.trace import TIMES, read_trace
from agn_bench.config.defaults import PRESETS
from agn_bench.config.experiment import MOST_RUNS, read_experiment_file
from agn_bench.config.options import OPTIONS
from agn_bench.config.resolving import resolve, resolve_like
from agn_bench.config.run import RunConfig
from agn_bench.execution.processes import portable
from agn_bench.optimizers import OPTIMIZERS
from agn_bench.problems import datasets
from agn_bench.problems.catalogue import DATASETS
from agn_bench.store import folder as folders
from agn_bench.store.collected import content_bytes
from agn_bench.store.run_files import read_config
from agn_bench.studies.measured import read_measured
from agn_bench.training import columns

MOST_MB = 400
"""By which the process may grow while all inputs of a kind are tried."""

JUNK = [
    "", " ", "\x00", "\n", "\t", "é", "💥", "-", "--", "-1", "0", "1", "2", "3.5", "1e3", "nan", "inf", "-inf",
    "1e400", "-0", "0x10", "1_0", "９", "9" * 400, "None", "true", "[1]", "{}", "../..", "/", "/dev/null", "a" * 300,
    "%s", "{0}", "[red]x[/]", "$(x)", "x=y", "=", ".", "~", ",", "1,2", "auto", "é" * 130, "\udcff", "\x1b[31m", "'",
    '"', "\\", "CON", "agn", "mnist", "file:///etc/passwd", "--help", "-h",
]  # fmt: skip
text = st.sampled_from(JUNK) | st.text(max_size=12)


@dataclass
class Tally:
    """What became of the inputs of a kind."""

    tried: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    peak_before: int = field(default_factory=lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)

    def note(self, figure: Figure, what: str) -> None:
        """Write down the counts, and see that both outcomes were met and memory stayed within bounds."""
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - self.peak_before) / 1024
        used, refused = self.counts["used"], self.counts["refused"]
        crashes = self.tried - used - refused
        figure("fuzz", input=what, tried=self.tried, used=used, refused=refused, crashes=crashes)
        assert crashes == 0
        assert used > self.tried / 2000, self.counts  # hardly any made-up file is right as a whole
        assert refused > self.tried / 10, self.counts
        assert grown < MOST_MB, f"{grown:.0f} MB"

    def of(self, read: Callable[[], Any]) -> Any:
        """What `read` returns, None if it refuses; anything else that it raises is a failure."""
        self.tried += 1
        try:
            value = read()
        except BadInput as error:
            message = str(error)
            assert message.strip()
            assert isinstance(error, BadFile) or (error.problem and error.accepted)
            assert len(message) < 20_000
            self.counts["refused"] += 1
            return None
        self.counts["used"] += 1
        return value


# --- the command line ---


class Reached(Exception):
    """The work that a command does after it has checked what it was given."""


def reach(*_: Any, **__: Any) -> None:
    raise Reached


PROFILES = Path(agn_bench.__file__).parent / "clock" / "profiles"
WORK = [
    "agn_bench.execution.sweep.run_all", "agn_bench.studies.survey.survey", "agn_bench.studies.calibration.fit",
    "agn_bench.studies.advice.advise",
    "agn_bench.execution.estimate.estimate", "agn_bench.studies.benchmarks.timeline.timeline_benchmark",
    "agn_bench.studies.benchmarks.training.training_benchmark", "agn_bench.studies.benchmarks.runs.runs_benchmark",
    "agn_bench.studies.benchmarks.optimizers.optimizers_benchmark",
    "agn_bench.problems.fetching.fetch", "agn_bench.cli.reproducing._draw", "agn_bench.cli.reproducing._compute",
    "agn_bench.analysis.figures.over_time.over_time", "agn_bench.studies.tuning.search.search",
]  # fmt: skip


def leaves(command: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, inner in getattr(command, "commands", {}).items():
        yield from leaves(inner, (*words, name))
    if not getattr(command, "commands", {}):
        yield words, command


COMMANDS = dict(leaves(typer.main.get_command(cli.app)))
RIGHT = {
    "optimizer": [
        "agn", "easgd:alpha=0.1", "dynsgd", "local-sgd:backups=1", "fedbuff:size=3", "ringmaster:stops=yes",
        "stale-synchronous:ahead=0:commits=dana", "diloco", *in_full(OPTIMIZERS, ["malenia:size=2"]),
    ],
    "data_split": ["mixed", "sharded", "dirichlet:concentration=0.1"], "shares": ["equal", "open"],
    "until": ["test_accuracy=0.9"], "workers": ["1", "4", "10,20", "3..5", "127"],
    "local_steps": ["1", "auto", "5", "5,10", "2..8..3"], "local_optimizer": ["sgd", "adam", "momentum"],
    "local_steps_rule": ["by-speed", "post-local:after=0.3", "qsr", "adacomm:interval=3", "by-growth"],
    "schedule": ["cosine"], "products": ["float32"],
    "learning_rate": ["0.1"], "preset": ["quick", "paper"], "model": ["mlp-small", "mlp-3-4"],
    "dataset": ["tiny", "mnist"], "delays": ["ideal", "my.toml", "stragglers"],
    "delay": ["server.mean=0.2", "step.distribution=gamma", "server.channels=4", "collective.latency=0.001",
              "server.pull=separate", "server.staleness=arrival"],
    "timeline": ["commits.csv"], "columns": ["worker=worker,applied_s=resume_s", "workers=workers"],
    "out": ["out", "done", "deep/er"], "size": ["quick", "small"], "only": ["workers=4", "optimizer=agn"],
    "like": ["run.json"], "device": ["cpu"], "jobs": ["1"], "threads": ["1", "2"], "seeds": ["1", "3"],
    "epochs": ["2"], "window": ["5"], "gradient_steps": ["200", "2000"], "batch_size": ["8"],
    "exchanges": ["100", "10000"], "repetitions": ["1"], "seconds": ["seconds", "more", "20"], "held_out": ["more"],
    "measure": ["test_accuracy", "accuracy"], "at": ["30,60"], "reach": ["0.9"], "data_dir": ["."], "peers": ["."],
    "file": ["my-experiment.toml"], "folders": ["done", "."], "names": ["grid", "beale"], "name": ["mnist"],
    "times": ["times.csv"], "what": ["delays"], "optimizers": ["agn", "easgd:alpha=0.1", "diloco"],
    "trials": ["1", "3"], "tuning_seeds": ["1"], "sampler_seed": ["7"], "goal": ["area", "end"], "source": ["done"],
}  # fmt: skip
NEVER = {"install_completion", "show_completion", "help"}  # they belong to Typer, and the first changes files at home


@st.composite
def command_lines(draw: st.DrawFn) -> list[str]:
    words, command = draw(st.sampled_from(sorted(COMMANDS.items(), key=lambda item: item[0])))
    parameters = [each for each in command.params if each.name not in NEVER]
    line = list(words)
    if draw(st.integers(0, 40)) == 0:
        line = draw(st.lists(text, max_size=3))
    required = [each for each in parameters if each.required]
    for each in [*required, *draw(st.lists(st.sampled_from(parameters or [None]), max_size=5))]:
        if each is None:
            continue
        value = draw(st.sampled_from(RIGHT.get(each.name, ["1"])) if draw(st.integers(0, 4)) else text)
        if each.param_type_name == "argument":
            line.append(value)
        elif getattr(each, "is_flag", False):
            line.append(each.opts[0])
        else:
            line += [each.opts[0], value]
    if draw(st.integers(0, 8)) == 0:
        line.insert(draw(st.integers(0, len(line))), draw(text))
    return [word for word in line if "\x00" not in word]  # no system passes these on


def tree(folder: Path) -> dict[str, tuple[int, int]]:
    return {
        str(path.relative_to(folder)): (path.stat().st_size, path.stat().st_mtime_ns) if path.is_file() else (0, 0)
        for path in folder.rglob("*")
    }


EXPERIMENT = textwrap.dedent("""\
    name = "mine"
    description = "é"
    seeds = [0, 1]
    [base]
    dataset = "tiny"
    model = "mlp-8"
    workers = 4
    batch_size = 8
    gradient_steps = 200
    [[cells]]
    optimizer = ["agn", "easgd"]
    local_steps = [5, "auto"]
    [[cells]]
    optimizer = ["easgd:alpha=0.1", "fedbuff:size=3"]
    delay = ["server.mean=0.2"]
    [[cells]]
    optimizer = "local-sgd:backups=1"
    seconds = 30
    until = "test_accuracy=0.9"
    [sizes.small]
    seeds = [0]
    [sizes.large]
    base = { gradient_steps = 2000 }
""")
PROFILE = """
description = "mine"
[workers]
speeds = "tiers"
factors = [1.0, 2.5]
weights = [3, 1]
start_interval = 0.5
[step]
distribution = "lognormal"
mean = 0.2
cv = 0.3
[up]
distribution = "shifted-exponential"
mean = 0.01
floor = 0.005
bandwidth = 1.25e8
[server]
distribution = "constant"
mean = 0.02
order = "random"
fifo_share = 0.1
channels = 2
pull = "separate"
pull_share = 0.4
staleness = "arrival"
[between_pauses]
distribution = "exponential"
mean = 20
[pause]
distribution = "constant"
mean = 2
group = 2
[between_failures]
distribution = "gamma"
mean = 30
cv = 0.5
[failure]
distribution = "exponential"
mean = 3
[join]
distribution = "exponential"
mean = 1
[lifetime]
distribution = "exponential"
mean = 1000
[collective]
latency = 0.001
bandwidth = 1.25e8
"""
TRACE = "worker,start_s,applied_s,resume_s,staleness\n0,0,1,1.5,0\n1,0,2,2.5,1\n0,1.5,3,3,1\n1,2.5,4,4.25,1\n"
DATED = """\
worker,start_s,applied_s
host-10,2026-05-28T20:26:40Z,2026-05-28 22:26:41+02:00
host-9,2026-05-28T20:26:40Z,2026-05-28 22:26:42.5+02:00
host-9,2026-05-28T20:26:42.5Z,2026-05-28 22:26:44+02:00
host-10,2026-05-28T20:26:41Z,2026-05-28 22:26:43.25+02:00
"""
MEASURED = "workers,local_steps,seconds,more\n10,5,1500,1400\n20,5,900,950\n40,5,800,700\n20,20,700,600\n"


@pytest.fixture
def place(tmp_path: Path, quick_dataset: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one of everything that commands take, where nothing leads to long work."""
    small = {"dataset": quick_dataset, "model": "mlp-8", "local_optimizer": "sgd", "gradient_steps": 2_100}
    for preset in PRESETS:
        monkeypatch.setitem(PRESETS, preset, small)
    monkeypatch.setattr(machine, "runs_at_once", lambda: 1)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    Path("my-experiment.toml").write_text(EXPERIMENT)
    Path("my.toml").write_text(PROFILE)
    Path("commits.csv").write_text(TRACE)
    Path("times.csv").write_text(MEASURED)
    with pytest.raises(SystemExit):
        cli.main(
            ["run", "--model", "mlp-8", "--batch-size", "8", "--workers", "4", "--local-steps", "3", "--out", "done"]
        )
    shutil.copy(next(Path("done/runs").glob("*/run.json")), "run.json")
    return tmp_path


def test_any_command_line_is_carried_out_or_refused(
    place: Path, figure: Figure, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2 leaves every file as it was; what is accepted comes as far as its work."""
    for target in WORK:
        monkeypatch.setattr(target, reach)
    tally = Tally()

    @examples(1200)
    @given(command_lines())
    def attempt(words: list[str]) -> None:
        before = tree(place)
        tally.tried += 1
        capsys.readouterr()
        try:
            cli.main(words)
        except SystemExit as stopped:
            code = stopped.code or 0
        except Reached:
            code = 0
        said = capsys.readouterr()
        assert code in (0, 1, 2), said.err
        assert "Traceback" not in said.out + said.err
        if code == 2:
            assert tree(place) == before
            assert said.err or "Usage" in said.out
        if code == 1:  # what the files hold is wrong, and not the command line
            named = [word for word in words if word != "--"][:2]
            assert named in (["data", "verify"], ["merge", "done"]), (words, said.err)
        assert not [path for path in place.rglob(".*") if path.name != ".lock"]
        tally.counts["refused" if code == 2 else "used"] += 1

    attempt()
    tally.note(figure, "command lines")


# --- options, as an experiment file or a program gives them ---

scalars = (
    st.none() | st.booleans() | st.integers() | st.floats() | text | st.sampled_from([10**400, -1, 0, 1, 2.0, "auto"])
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3), max_leaves=5
)


def given_options(draw: st.DrawFn) -> dict[str, Any]:
    """Some right, some not."""
    options: dict[str, Any] = {}
    for name in draw(st.lists(st.sampled_from(sorted(OPTIONS)), max_size=6)):
        options[name] = draw(st.sampled_from(RIGHT.get(name, ["1"])) if draw(st.booleans()) else values)
    return options


def test_any_options_are_a_configuration_or_refused(place: Path, figure: Figure) -> None:
    """And what is one, comes back from what run.json holds of it."""
    tally = Tally()

    @examples(600)
    @given(st.composite(given_options)())
    def attempt(options: dict[str, Any]) -> None:
        config = tally.of(lambda: resolve(options))
        if config is None:
            return
        assert 1 <= config.exchanges <= MOST_EXCHANGES * 100
        assert config.worker_bytes > 0
        if "timeline" not in options:
            again = resolve({}, json.loads(json.dumps(config.as_dict())))
            assert again.run_id == config.run_id

    attempt()
    tally.note(figure, "options of a run")


# --- files ---

SCRAPS = [
    "", "", "-", "0", "1e999", "nan", "inf", "true", "[", "]", "{", "}", "=", ".", ",", '"', "#", "\n", "\r", "\x00",
    "é", "_", "9" * 400, "null", "[[", "'''", "..", "/", "\\", "step", "mean", "cells", "seeds", "sizes", "base",
    "workers", "agn", "empirical", "pareto", "file", "1e-320", "[" * 200, "1" * 50, "-1", "auto", "delays", "0.1",
    "2", '"x"', "recorded",
]  # fmt: skip


@st.composite
def damaged(draw: st.DrawFn, content: str) -> bytes:
    """The content with up to four changes, or now and then something else."""
    if draw(st.integers(0, 30)) == 0:
        return draw(st.binary(max_size=200))
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(content)))
        end = min(len(content), start + draw(st.sampled_from([0, 0, 1, 1, 2, 4, 12, 60])))
        scrap = content[start:end] * 2 if draw(st.integers(0, 5)) == 0 else draw(st.sampled_from(SCRAPS))
        content = content[:start] + scrap + content[end:]
    return content.encode()


@st.composite
def made_up_experiments(draw: st.DrawFn) -> bytes:
    """TOML that is well formed, of keys that are known and values that need not be."""

    def written(value: Any) -> str:
        if isinstance(value, float):
            return repr(value)
        if isinstance(value, list):
            return "[" + ", ".join(map(written, value)) + "]"
        if isinstance(value, dict):
            return "{" + ", ".join(f"{json.dumps(key)} = {written(item)}" for key, item in value.items()) + "}"
        return json.dumps("x" if value is None else value)

    def table(names: list[str]) -> list[str]:
        chosen = draw(st.lists(st.sampled_from(names), max_size=4, unique=True))
        return [f"{name} = {written(one_of(name))}" for name in chosen]

    def one_of(name: str) -> Any:
        right = [json.loads(word) if re.fullmatch(r"\d+(\.\d+)?", word) else word for word in RIGHT.get(name, ["1"])]
        kind = draw(st.integers(0, 9))
        if kind == 0:
            return draw(values)
        if kind == 1:
            return draw(st.lists(st.sampled_from(right) | st.integers(0, 40), max_size=200))
        return draw(st.sampled_from(right) | st.integers(0, 40)) if kind == 2 else draw(st.sampled_from(right))

    lines = ['name = "x"', *table(["description", "seeds"]), "[base]", *table(sorted(OPTIONS))]
    for _ in range(draw(st.integers(0, 3))):
        lines += ["[[cells]]", *table(sorted(OPTIONS))]
    if draw(st.integers(0, 3)) == 0:
        lines += ["[sizes.a]", *table(["seeds", "base", "cells"])]
    return "\n".join(lines).encode("utf-8", "replace")


@pytest.mark.parametrize("kind", ["damaged", "made up"])
def test_any_experiment_file_is_one_or_refused(place: Path, figure: Figure, kind: str) -> None:
    tally = Tally()

    @examples(400)
    @given(damaged(EXPERIMENT) if kind == "damaged" else made_up_experiments())
    def attempt(content: bytes) -> None:
        Path("x.toml").write_bytes(content)
        experiment = tally.of(lambda: read_experiment_file(Path("x.toml")))
        if experiment is not None:
            assert 1 <= len(experiment.configs) <= MOST_RUNS
            assert re.fullmatch(r"[\w.-]+", experiment.name)

    attempt()
    tally.note(figure, f"experiment files, {kind}")


def test_any_profile_is_one_or_refused_and_its_times_are_times(place: Path, figure: Figure) -> None:
    tally = Tally()
    shipped = [
        PROFILE,
        *(
            (Path(agn_bench.__file__).parent / "clock" / "profiles" / f"{name}.toml").read_text()
            for name in profile_names()
        ),
    ]

    @examples(500)
    @given(st.sampled_from(shipped).flatmap(damaged), st.lists(text | st.sampled_from(RIGHT["delay"]), max_size=2))
    def attempt(content: bytes, over: list[str]) -> None:
        profile = tally.of(lambda: parse_profile("x", content, over))
        if profile is None:
            return
        draws = draw_delays(profile, 0, 3, 4, 2, 1000)
        for part in ("compute", "up", "down", "server", "begin"):
            times = getattr(draws, part)
            assert np.isfinite(times).all()
            assert (times >= 0).all()
        assert draws.channels >= 1
        if draws.absences is not None:
            with suppress(BadInput):  # too many to hold
                away = draws.absences(10.0)
                assert (away.until_s > away.from_s).all()
                assert (away.from_s >= 0).all()
        if draws.collective is not None:
            assert 0 <= draws.collective.seconds(1) <= draws.collective.seconds(1000) < np.inf
        assert profile_of(json.loads(json.dumps(profile.as_dict()))).as_dict() == profile.as_dict()

    attempt()
    tally.note(figure, "delay profiles and settings")


NUMBERS = [
    "nan", "inf", "-1", "1e400", "", "x", "0.5", "1e308", "-0", "0x1", "1e-320", "True", '"', "9" * 30, "\x00",
]  # fmt: skip


@st.composite
def with_changed_rows(draw: st.DrawFn, lines: list[str]) -> bytes:
    """A table with one to three things wrong in rows and cells, or none after all, and now and then in its bytes."""
    lines = lines.copy()
    for _ in range(draw(st.integers(1, 3))):
        row, other = (draw(st.integers(0, len(lines) - 1)) for _ in range(2))
        change = draw(st.sampled_from(["swap", "double", "leave out", "cell less", "cell more", "cell", "number"]))
        if change == "swap":
            lines[row], lines[other] = lines[other], lines[row]
        elif change == "double":
            lines.insert(other, lines[row])
        elif change == "leave out":
            del lines[row]
        else:
            cells = lines[row].split(",")
            at = draw(st.integers(0, len(cells) - 1))
            put = str(draw(st.floats(0, 10))) if change == "number" else draw(st.sampled_from(NUMBERS))
            cells[at : at + (change != "cell more")] = [] if change == "cell less" else [put]
            lines[row] = ",".join(cells)
    content = bytearray("\n".join(lines).encode())
    for _ in range(draw(st.sampled_from([0, 0, 1, 3]))):
        content[draw(st.integers(0, len(content) - 1))] = draw(st.integers(0, 255))
    return bytes(content)


def test_any_recorded_timeline_is_one_or_refused(place: Path, figure: Figure) -> None:
    """What is read holds together, with rules too."""
    tally = Tally()

    own_log, with_rules = (
        files.csv_text(columns.commits(timeline)).splitlines()
        for timeline in (recorded(3, 4), under(KINDS["all at once"], Stop(exchanges=20)))
    )

    @examples(1000)
    @given(damaged(TRACE) | damaged(DATED) | with_changed_rows(own_log) | with_changed_rows(with_rules))
    def attempt(content: bytes) -> None:
        Path("x.csv").write_bytes(content)
        trace = tally.of(lambda: read_trace(Path("x.csv")))
        if trace is None:
            return
        timeline = trace.timeline
        never = timeline.answered < 0
        assert (np.isnan(timeline.resume_s) == never).all()
        times = np.array([getattr(timeline, name) for name in TIMES])
        times[-1][never] = times[-2][never]
        assert np.isfinite(times).all()
        assert (times >= 0).all()
        assert (np.diff(times, axis=0) >= 0).all()
        assert (np.diff(timeline.applied_s) >= 0).all()
        assert set(timeline.worker) == set(range(timeline.workers))
        for worker in range(timeline.workers):
            own = np.flatnonzero(timeline.worker == worker)
            assert (np.diff(timeline.phase[own], prepend=-1) > 0).all()
            assert not never[own][:-1].any()
            assert (timeline.answered[own][:-1] < own[1:]).all()
            assert (timeline.pulled[own][1:] >= timeline.version[timeline.answered[own][:-1]]).all()
            assert (timeline.start_s[own][1:] >= timeline.resume_s[own][:-1]).all()
            if not trace.ruled:
                np.testing.assert_array_equal(timeline.phase[own], np.arange(len(own)))
                np.testing.assert_array_equal(timeline.staleness[own] + 1, np.diff(own, prepend=-1))
        assert (timeline.staleness >= 0).all()
        assert (timeline.answered[~never] >= np.flatnonzero(~never)).all()
        made = np.diff(timeline.version, prepend=0)
        assert ((made == 0) | ((made == 1) & timeline.accepted)).all()

    attempt()
    tally.note(figure, "recorded timelines")


def test_any_measured_times_are_some_or_refused(place: Path, figure: Figure) -> None:
    tally = Tally()

    @examples(200)
    @given(damaged(MEASURED))
    def attempt(content: bytes) -> None:
        Path("x.csv").write_bytes(content)
        tally.of(lambda: read_measured(Path("x.csv"), ["seconds", "more"], 18_750))

    attempt()
    tally.note(figure, "measured times")


def test_any_run_json_is_one_or_refused(place: Path, figure: Figure) -> None:
    tally = Tally()
    content = Path("run.json").read_text()

    @examples(300)
    @given(damaged(content[content.index('"config"') - 1 : content.index('"wall_clock_s"')].strip().rstrip(",")))
    def attempt(part: bytes) -> None:
        Path("x.json").write_bytes(b"{" + part + b"}")
        config = tally.of(lambda: resolve_like({}, read_config(Path("x.json")), "x.json"))
        assert config is None or isinstance(config, RunConfig)

    attempt()
    tally.note(figure, "run.json files")


def _compared(folder: Path) -> None:
    """What `table` does with a folder first."""
    runs = comparison.read_runs([folder])
    comparison.configurations(runs, runs.measured())


@pytest.mark.parametrize("name", ["summary.csv", "curves.csv.gz"])
def test_any_collected_file_is_compared_or_refused(place: Path, figure: Figure, name: str) -> None:
    tally = Tally()
    path = Path("done", name)
    before = path.read_bytes()
    content = "".join(content_bytes(path).decode().splitlines(keepends=True)[:12])

    @examples(200)
    @given(damaged(content), st.sampled_from([True, True, True, False]))
    def attempt(changed: bytes, compressed: bool) -> None:
        path.write_bytes(gzip.compress(changed, 1) if compressed and path.suffix == ".gz" else changed)
        tally.of(lambda: _compared(Path("done")))

    attempt()
    path.write_bytes(before)
    tally.note(figure, name)


@pytest.mark.parametrize("name", ["summary.csv", "curves.csv.gz", "provenance.json"])
def test_any_collected_file_is_swept_with_or_refused(place: Path, figure: Figure, name: str) -> None:
    """Where the runs' own folders are not here, and nothing but these files says what is finished."""
    tally = Tally()
    shutil.copytree("done", "alone", ignore=shutil.ignore_patterns("runs"))
    path = Path("alone", name)
    (run_id,) = json.loads(Path("alone", "provenance.json").read_text())
    content = content_bytes(path).decode()

    @examples(200)
    @given(damaged(content), st.sampled_from([True, True, True, False]))
    def attempt(changed: bytes, compressed: bool) -> None:
        path.write_bytes(gzip.compress(changed, 1) if compressed and path.suffix == ".gz" else changed)
        before = tree(place)
        tally.of(lambda: folders.known(Path("alone")).finished(run_id))
        assert tree(place) == before

    attempt()
    shutil.rmtree("alone")
    tally.note(figure, f"{name} of a sweep")


# --- data sets ---

SHAPE = (6, 4, 3)


@st.composite
def idx_files(draw: st.DrawFn) -> bytes:
    """The right file, or one with another header, other content, or cut off; plain or compressed."""
    sizes = [
        draw(st.sampled_from([size, 0, 1, 2**31, 2**32 - 1])) if draw(st.integers(0, 4)) == 0 else size
        for size in SHAPE
    ]
    kind = draw(st.sampled_from([8, 8, 8, 8, 8, 9, 13, 255]))
    axes = draw(st.sampled_from([3, 3, 3, 3, 1, 0, 255]))
    content = bytes([0, 0, kind, axes]) + b"".join(size.to_bytes(4, "big") for size in sizes)
    pixels = bytes(range(int(np.prod(SHAPE))))
    content += draw(st.sampled_from([pixels, pixels, pixels, pixels[:-1], pixels + b"\0" * 100_000, b""]))
    if draw(st.integers(0, 10)) == 0:
        content = draw(st.binary(max_size=100))
    if draw(st.booleans()):
        content = gzip.compress(content, 1)
        if draw(st.integers(0, 3)) == 0:
            content = content[: draw(st.integers(0, len(content)))] + draw(st.binary(max_size=4))
    return content


def test_any_idx_file_is_the_array_or_refused(tmp_path: Path, figure: Figure) -> None:
    """A header may promise 2⁹⁶ bytes; what is read is bounded by what is expected."""
    tally = Tally()
    right = bytes([0, 0, 8, 3]) + b"".join(size.to_bytes(4, "big") for size in SHAPE) + bytes(range(72))
    sha256 = __import__("hashlib").sha256(right).hexdigest()

    @examples(400)
    @given(idx_files())
    def attempt(content: bytes) -> None:
        path = tmp_path / ("x.gz" if content[:2] == b"\x1f\x8b" else "x")
        path.write_bytes(content)
        array = tally.of(lambda: datasets._read_idx(path, sha256, SHAPE))
        if array is not None:
            assert array.tobytes() == bytes(range(72))

    attempt()
    tally.note(figure, "IDX files")


@st.composite
def data_files(draw: st.DrawFn) -> bytes:
    """A user's arrays or text, or one with other bytes here and there, or an array with another head."""
    arrays = {"x_train": np.zeros((8, 3), "u1"), "y_train": np.arange(8) % 2}
    arrays |= {"x_test": np.ones((4, 3), "u1"), "y_test": np.arange(4) % 2}
    if draw(st.booleans()):
        head = b"{'descr': '|u1', 'fortran_order': False, 'shape': (8, 3), }"
        if draw(st.integers(0, 3)):
            at = draw(st.integers(0, len(head)))
            end = draw(st.integers(at, at + 3))
            head = (
                head[:at] + draw(st.sampled_from(["9", "(" * 90, "\n", "O", "<f8", "-", ")", ""])).encode() + head[end:]
            )
        inputs = b"\x93NUMPY\x01\0" + len(head).to_bytes(2, "little") + head + bytes(24)
    else:
        inputs = b""
    file = io.BytesIO()
    save = draw(st.sampled_from([np.savez, np.savez_compressed]))
    save(file, **(arrays if not inputs else {key: own for key, own in arrays.items() if key != "x_train"}))
    if inputs:
        with zipfile.ZipFile(file, "a") as archive:
            archive.writestr("x_train.npy", inputs)
    content = draw(st.sampled_from([file.getvalue(), ("A text, é. " * 99).encode()]))
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(0, len(content)))
        content = content[:at] + draw(st.binary(max_size=4)) + content[at + draw(st.sampled_from([0, 1, 4, 400])) :]
    return content


def test_any_data_file_is_one_or_refused(tmp_path: Path, figure: Figure) -> None:
    """What is accepted has what was said of it before it was loaded."""
    tally = Tally()

    @examples(400)
    @given(data_files())
    def attempt(content: bytes) -> None:
        path = tmp_path / ("x.npz" if content[:1] == b"P" else "x.txt")
        path.write_bytes(content)

        def read() -> Any:
            chosen = DATASETS.choose(str(path))
            return chosen.thing, chosen.thing.load(None, chosen.label)

        found = tally.of(read)
        if found is not None:
            data, parts = found
            for (inputs, labels), examples in zip(parts, (data.train_examples, data.test_examples), strict=True):
                assert inputs.shape == (examples, data.features)
                assert len(labels) == examples
                assert 0 <= labels.min() <= labels.max() < data.classes

    attempt()
    tally.note(figure, "data files")


def test_what_a_small_archive_unpacks_to_is_not_read_beyond_what_is_expected(tmp_path: Path) -> None:
    """A thousand times its size, which would be 2 GB."""
    import tracemalloc

    part = gzip.compress(bytes(10_000_000), 9)
    bomb = tmp_path / "x.gz"
    bomb.write_bytes(part * 200)
    tracemalloc.start()
    with pytest.raises(BadInput):
        datasets._read_idx(bomb, "0" * 64, SHAPE)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 5e6


def test_no_file_is_read_with_pickle() -> None:
    """Pickle runs what a file says. It is used between this program's own processes only."""
    package = Path(agn_bench.__file__).parent
    for path in package.rglob("*.py"):
        source = path.read_text(encoding="utf-8")
        assert "allow_pickle=True" not in source
        runs = set(re.findall(r"\b(read_pickle|joblib|cloudpickle|shelve|marshal|eval\(|exec\()", source))
        assert runs <= ({"exec("} if path.name == "user_code.py" else set()), path  # a file that a user names as code
        if "pickle" in source.replace("allow_pickle=False", "").replace("copyreg.pickle", ""):
            assert path.name in ("processes.py", "named.py", "chosen.py", "arrays.py"), path  # the last refuses it


class Unsendable(Exception):
    """Takes what its text does not tell, so that pickle cannot make it again."""

    def __init__(self, one: int, other: int) -> None:
        super().__init__(f"{one} and {other}")


def test_an_error_that_cannot_be_sent_to_another_process_is_sent_as_its_text() -> None:
    refused = portable(BadInput("workers", 0, "too small", "1"))
    assert isinstance(refused, BadInput)
    assert "workers=0: too small" in str(refused)
    for error, says in ((Unsendable(1, 2), "Unsendable: 1 and 2"), (ValueError(lambda: 0), "ValueError: <function")):
        sent = pickle.loads(pickle.dumps(portable(error)))
        assert type(sent) is RuntimeError
        assert str(sent).startswith(says)
