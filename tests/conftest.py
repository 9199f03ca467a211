"""Small problems and helpers. The tests run JAX on two CPU threads, whatever the machine has."""

from __future__ import annotations

import atexit
import hashlib
import os
import shutil
import signal
import tempfile
from importlib.metadata import version
from pathlib import Path

os.environ.setdefault("NPROC", "2")
os.environ.setdefault("JAX_PLATFORMS", "cpu")


def _cache_of_compiled_programs() -> Path | None:
    """Where these tests keep what XLA has compiled, for each other and for the next time: most of their time is that of
    compiling small programs. Apart for every version of XLA and every kind of processor. None without a home.
    """
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")  # noqa: PTH111
    try:
        processor = {
            line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith(("model", "flags"))
        }
        kind = hashlib.sha256("".join(sorted(processor)).encode()).hexdigest()[:8]
        folder = Path(home) / "agn-bench-tests" / f"{version('jaxlib')}-{kind}"
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return folder


if "JAX_COMPILATION_CACHE_DIR" not in os.environ and version("jax") not in ("0.10.0", "0.10.1"):
    # JAX 0.10.0 complains of each program that it reads again.
    if (_folder := _cache_of_compiled_programs()) is None:
        os.environ["JAX_COMPILATION_CACHE_DIR"] = tempfile.mkdtemp(prefix="agn-bench-compiled-")
        atexit.register(shutil.rmtree, os.environ["JAX_COMPILATION_CACHE_DIR"], ignore_errors=True)
    else:
        os.environ["JAX_COMPILATION_CACHE_DIR"] = str(_folder)
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
# A program of which another process has written only a part, or was killed while it did, is compiled again.
_CACHE_WARNINGS = (f"ignore:Error {doing} persistent compilation cache entry" for doing in ("reading", "writing"))
os.environ["PYTHONWARNINGS"] = ",".join(_CACHE_WARNINGS)
if "MPLCONFIGDIR" not in os.environ:
    # What Matplotlib finds out about the fonts that are there, which takes it half a second in each process.
    os.environ["MPLCONFIGDIR"] = tempfile.mkdtemp(prefix="agn-bench-fonts-")
    atexit.register(shutil.rmtree, os.environ["MPLCONFIGDIR"], ignore_errors=True)
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # every process that tests start would compile the whole program
os.environ["XDG_CACHE_HOME"] = os.devnull  # no data set that was fetched is found
for _name in ("COLUMNS", "FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "AGN_BENCH_DATA_DIR"):
    os.environ.pop(_name, None)

from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from functools import cache, partial, wraps
from itertools import pairwise
from typing import Any, TypeVar

import hypothesis
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
import typer.main
from filelock import FileLock

from agn_bench import cli
from agn_bench.base import files, machine
from agn_bench.base.quantities import declared_numbers
from agn_bench.clock import Constant, Draws, Gamma, Profile
from agn_bench.clock.absences import Absences
from agn_bench.clock.rules import ASYNCHRONOUS, Rules
from agn_bench.clock.stops import NEVER, Stop
from agn_bench.config.run import RunConfig
from agn_bench.execution import processes
from agn_bench.execution.one import Terms, make
from agn_bench.optimizers import LOCAL_OPTIMIZERS, Commit, LocalOptimizer, Optimizer, Server, Worker
from agn_bench.problems import datasets
from agn_bench.problems.catalogue import DATASETS, DatasetEntry
from agn_bench.problems.mlp import Mlp
from agn_bench.training import carry
from agn_bench.training.records import Progress, RunResult

# What a shell or nohup has let these tests ignore, the programs that they start would ignore, too.
signal.signal(signal.SIGINT, signal.default_int_handler)
for _signal in {"SIGTERM", "SIGHUP"} & set(signal.Signals.__members__):
    signal.signal(signal.Signals[_signal], signal.SIG_DFL)

T = TypeVar("T")
MOST_MAPS = 20_000
"""Memory maps of a process: the system allows 65,530, and each compiled program takes some. Beyond them XLA crashes."""
WIDTHS = (12, 10, 7, 4)
jax.devices()  # JAX starts here, with the threads above, and not with those of the first command that is tried

# Four exchanges in one call take five times as long to compile as one does, and change no bit: test_replay is of that.
# What tests start in a process of its own makes several in a call.
AT_ONCE = carry._AT_ONCE
carry._AT_ONCE = ()

# Typer builds all commands anew at each call, which takes longer than most of the calls here.
typer.main.get_command = cache(typer.main.get_command)

hypothesis.settings.register_profile(
    "agn-bench",
    derandomize=True,  # the same inputs each time, here and in continuous integration
    database=None,
    deadline=None,  # the machine may be busy
    suppress_health_check=list(hypothesis.HealthCheck),  # inputs are slow to make, and fixtures are shared on purpose
)
hypothesis.settings.load_profile("agn-bench")

_at_full_size = False


def in_full(everything: Iterable[T], some: Iterable[T]) -> list[T]:
    """All of them if the figures are wanted, else some, which stand for the others."""
    return [*(everything if _at_full_size else some)]


def examples(count: int) -> hypothesis.settings:
    """So many generated inputs if the figures are wanted, else a sixth of many, or a third of a few."""
    fewer = count // 6 if count >= 100 else max(1, count // 3)
    return hypothesis.settings(max_examples=count if _at_full_size else fewer)


AT_FULL_SIZE = pytest.mark.skipif("config.getoption('figures') is None", reason="it is tried by make robustness")
"""What takes long, and of which something smaller is tried each time."""
MORE_IN_FULL = pytest.mark.more_in_full
"""The cases of a test without figures are given by in_full."""
FIGURES = pytest.StashKey[dict[str, list[dict[str, object]]]]()
Figure = Callable[..., None]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--figures", metavar="DIR", help="run the tests that count or measure, at full size, and write CSV files"
    )


def pytest_configure(config: pytest.Config) -> None:
    global _at_full_size
    _at_full_size = config.getoption("figures") is not None
    config.stash[FIGURES] = {}
    config.addinivalue_line("markers", "kind(name): a member of a kind of input or environment that failed once")
    config.addinivalue_line("markers", "more_in_full: has more cases if the figures are wanted")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """If figures are wanted, only the tests that have some, and those that have more cases then."""
    if config.getoption("figures") is not None:
        items[:] = [
            item
            for item in items
            if "figure" in getattr(item, "fixturenames", ())
            or any(item.get_closest_marker(mark) is not None for mark in ("kind", "more_in_full"))
        ]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, Any, pytest.TestReport]:
    """Note the members of kinds that were tried, one row per test with that mark (see --figures)."""
    report: pytest.TestReport = yield
    mark = item.get_closest_marker("kind")
    if mark is not None and (report.when == "call" or report.skipped):
        test = getattr(item, "originalname", item.name).removeprefix("test_").replace("_", " ")
        member = f"{test}: {item.callspec.id}" if hasattr(item, "callspec") else test
        outcome = {"passed": "right", "failed": "WRONG", "skipped": "not tried here"}[report.outcome]
        row = {"kind": mark.args[0], "member": member, "outcome": outcome}
        item.config.stash[FIGURES].setdefault("kinds", []).append(row)
    return report


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    folder = session.config.getoption("figures")
    if folder is not None and exitstatus == 0:
        made = datetime.now(UTC).isoformat(timespec="seconds")
        for table, rows in session.config.stash[FIGURES].items():
            files.write_table(Path(folder) / f"{table}.csv", rows)
            facts = {"command": "make robustness", "made": made, "machine": machine.describe()}
            files.record_provenance(Path(folder), {table: facts})


@pytest.fixture
def figure(request: pytest.FixtureRequest) -> Figure:
    """Note a row of a table of what was counted or measured (see --figures)."""

    def note(table: str, **row: object) -> None:
        request.config.stash[FIGURES].setdefault(table, []).append(row)

    return note


def tried(attempt: Any) -> dict[str, int]:
    """Run a test of generated configurations, and count those that it was given, and those it did not hold for."""
    inner = attempt.hypothesis.inner_test
    given = held = 0

    @wraps(inner)
    def counting(*args: Any, **kwargs: Any) -> None:
        nonlocal given, held
        given += 1
        inner(*args, **kwargs)
        held += 1

    attempt.hypothesis.inner_test = counting
    attempt()
    return {"configurations": given, "broken": given - held}


def built_once(factory: pytest.TempPathFactory, name: str, build: Callable[[Path], None]) -> Path:
    """A folder of this name, which `build` fills: once, however many processes these tests run in."""
    base = factory.getbasetemp().parent if "PYTEST_XDIST_WORKER" in os.environ else factory.getbasetemp()
    folder = base / name
    with FileLock(base / f"{name}.lock"):
        if not (folder / ".built").exists():
            shutil.rmtree(folder, ignore_errors=True)  # where building it has failed before
            folder.mkdir()
            build(folder)
            (folder / ".built").touch()
    return folder


@pytest.fixture(scope="module", autouse=True)
def few_programs() -> Iterator[None]:
    """What was compiled for the tests of a file is let go where there is too much of it."""
    yield
    maps = Path("/proc/self/maps")
    if maps.exists() and maps.read_bytes().count(b"\n") > MOST_MAPS:
        jax.clear_caches()


@pytest.fixture
def at_full_size(request: pytest.FixtureRequest) -> bool:
    """Whether the figures are wanted, of loads as large as those quoted, and not only whether the tests pass."""
    return request.config.getoption("figures") is not None


def local_optimizer(name: str, learning_rate: float, momentum: float = 0.9) -> LocalOptimizer:
    """A local optimizer with these numbers, of those that it has."""
    numbers = {"learning_rate": learning_rate, "momentum": momentum}
    kind = LOCAL_OPTIMIZERS[name]
    return kind(**{number: numbers[number] for number in declared_numbers(kind) if number in numbers})


@pytest.fixture(scope="session")
def tiny() -> datasets.Dataset:
    """A learnable data set: 4 classes, 12 features, float64 so that it can be cast either way."""
    generator = np.random.default_rng(7)
    labels = generator.integers(0, 4, 400).astype(np.int32)
    images = np.clip(0.25 * generator.random((400, 12)) + 0.5 * (np.arange(12) // 3 == labels[:, None]), 0, 1)
    return datasets.Dataset("tiny", images[:300], labels[:300], images[300:], labels[300:])


TINY = DatasetEntry(300, 100, "tiny", "none", "none", {}, shape=(12,), classes=4, embedded=True)
PERCEPTRON = Mlp(WIDTHS[1:-1]).on(TINY, "tiny")
"""The problem that most tests train."""


@pytest.fixture
def quick_dataset(tiny: datasets.Dataset, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a data set that loads at once and trains in milliseconds, for tests of the command line."""
    monkeypatch.setitem(DATASETS.shipped, "tiny", TINY)
    float32 = datasets.Dataset(
        "tiny",
        tiny.train_images.astype(np.float32),
        tiny.train_labels,
        tiny.test_images.astype(np.float32),
        tiny.test_labels,
    )
    others = datasets._load_embedded
    monkeypatch.setattr(
        datasets, "_load_embedded", lambda name, entry: float32 if name == "tiny" else others(name, entry)
    )
    return "tiny"


@pytest.fixture
def sketched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures with nothing in them, for tests of something else: to draw them takes longer than all the rest."""
    from matplotlib.figure import Figure

    from agn_bench.analysis.figures import look

    monkeypatch.setattr(Figure, "savefig", lambda self, path, **_: Path(path).write_bytes(b"a picture"))
    monkeypatch.setattr(look, "_keep_few_colours", lambda png: None)


_made: dict[tuple[str, Terms], RunResult] = {}


@pytest.fixture
def remembered(quick_dataset: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sweeps train a run only once in all of these tests, which are of what becomes of its files."""

    def once(config: RunConfig, terms: Terms, on_progress: Callable[[Progress], None], checks: Any = ()) -> RunResult:
        key = config.run_id, terms
        if checks:
            return make(config, terms, on_progress, checks)
        if key not in _made:
            _made[key] = make(config, terms, on_progress)
        return _made[key]

    monkeypatch.setattr(processes, "make", once)


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run the command line in this process: (exit code, standard output, standard error)."""

    def run(*words: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as stopped:
            cli.main([str(word) for word in words])
        captured = capsys.readouterr()
        return int(stopped.value.code or 0), captured.out, captured.err

    return run


@pytest.fixture
def compilations() -> Callable[[Callable[[], object]], int]:
    """Count how many programs XLA compiles during a call."""
    events: list[str] = []
    jax.monitoring.register_event_duration_secs_listener(
        lambda name, *_, **__: events.append(name) if name.endswith("backend_compile_duration") else None
    )

    def count(call: Callable[[], object]) -> int:
        before = len(events)
        call()
        return len(events) - before

    return count


def exchanged(
    optimizer: Optimizer, center: Any, start: Any, end: Any, local_steps: int, staleness: Any
) -> tuple[Any, Any]:
    """An exchange of one worker that makes a version and is answered at once: the new center, what the worker has."""
    worker = Worker(end, optimizer.init_worker(center))
    server = Server(center, optimizer.init(center, 1))
    rate = 0.1 if optimizer.needs_learning_rate else jnp.nan
    server, worker = optimizer.commit(server, worker, Commit(start, local_steps, staleness, jnp.int32(1), rate))
    server = optimizer.version(server)
    return server.center, optimizer.reply(server, worker).params


def profiles() -> list[Profile]:
    """Delays that exercise ties, saturation, idleness and both orders of service."""
    return [
        Profile("round-robin", Constant(1.0)),
        Profile("ties", Constant(1.0), Constant(0.5), Constant(0.25), Constant(0.25)),
        Profile("ties-random", Constant(1.0), Constant(0.5), Constant(0.25), Constant(0.25), order="random"),
        Profile("saturated", Gamma(0.1, 0.5), Gamma(0.2, 1.0), Gamma(0.1, 0.3), Gamma(2.0, 0.5)),
        Profile("saturated-random", Gamma(0.1, 0.5), Gamma(0.2, 1.0), Gamma(0.1, 0.3), Gamma(2.0, 0.5), order="random"),
        Profile("idle", Gamma(3.0, 1.5), Constant(0.1), Gamma(0.2, 0.2), Gamma(0.01, 0.5)),
        Profile("instant-server-random", Gamma(1.0, 0.3), order="random"),
    ]


def initial_params(
    seed: int, dtype: type = np.float64, widths: tuple[int, ...] = WIDTHS
) -> list[dict[str, np.ndarray]]:
    """Parameters of the tiny network, not the package's own."""
    generator = np.random.default_rng(seed)
    return [
        {
            "weights": (generator.normal(size=(a, b)) / np.sqrt(a)).astype(dtype),
            "biases": (0.1 * generator.normal(size=b)).astype(dtype),
        }
        for a, b in pairwise(widths)
    ]


ONE_LAYER = partial(initial_params, 3, widths=WIDTHS[::3])
"""A program of one layer is compiled soonest: neither the clock nor what the server does knows of layers."""


def reference_log(draws: Draws) -> list[dict[str, float]]:
    """What the reference makes of the same draws."""
    return reference_clock(draws).rows


def steps_by_worker(draws: Draws) -> Any:
    """λ as the reference takes it: a number, or of each worker a list of its phases'."""
    if draws.steps is None:
        return draws.local_steps
    return [own.tolist() for own in np.split(draws.steps, np.cumsum(draws.phases)[:-1])]


def reference_clock(
    draws: Draws, rules: Rules = ASYNCHRONOUS, stop: Stop = NEVER, absences: Absences | None = None
) -> Any:
    """The same with rules and a stop: the rows, and what no exchange ended."""
    times = [
        np.split(getattr(draws, part), np.cumsum(draws.phases)[:-1]) for part in ("compute", "up", "down", "server")
    ]
    collective = None if draws.collective is None else tuple(draws.collective)
    more = (draws.channels, collective, steps_by_worker(draws))
    gone = None if absences is None else [absences.of_worker(worker) for worker in range(draws.workers)]
    pulls = {"pull_share": draws.pull_share or None, "on_arrival": draws.on_arrival, "absences": gone}
    return reference.clock(draws.begin, *times, draws.order, asdict(rules), *more, **asdict(stop), **pulls)
