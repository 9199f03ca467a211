"""The command line as its user sees it: what it prints, what it writes, how it ends."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from itertools import groupby
from pathlib import Path

import jax
import pandas as pd
import pytest
from conftest import MORE_IN_FULL, in_full

from agn_bench import __version__, cli
from agn_bench.base import machine
from agn_bench.cli import reading
from agn_bench.clock import profile_names
from agn_bench.clock.profile_files import shipped_tables
from agn_bench.clock.rules import Rules, in_words
from agn_bench.optimizers import FAMILIES, OPTIMIZERS
from agn_bench.store import run_files
from agn_bench.training import simulate

Command = Callable[..., tuple[int, str, str]]

TINY = (
    "--dataset",
    "tiny",
    "--model",
    "mlp-8",
    "--workers",
    4,
    "--local-steps",
    3,
    "--gradient-steps",
    130,
    "--batch-size",
    8,
)


def agn_bench(*words: object, **options: object) -> subprocess.Popen[str]:
    """The program in a process of its own."""
    command = [sys.executable, "-m", "agn_bench", *map(str, words)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    return subprocess.Popen(command, text=True, **pipes)  # type: ignore[call-overload,no-any-return]


# --- what works ---


def test_run_prints_progress_a_summary_and_where_the_files_are(
    command: Command, quick_dataset: str, tmp_path: Path
) -> None:
    code, out, err = command("run", *TINY, "--seeds", 2, "--out", tmp_path / "mine")
    assert (code, err) == (0, "")
    runs = sorted((tmp_path / "mine" / "runs").iterdir())
    assert len(runs) == 2
    for run in runs:
        assert f"{run.name}: 40/40 exchanges" in out
        assert f"{run}: run.json, summary.csv, curve.csv, commits.csv" in out
    assert "agn: 4 workers, 3 local steps, mlp-8 on tiny" in out
    assert max(len(line) for line in out.splitlines() if line.startswith(("│", "┃"))) <= 80


def test_a_finished_run_is_reported_and_not_repeated(command: Command, quick_dataset: str, tmp_path: Path) -> None:
    command("run", *TINY, "--out", tmp_path)
    code, out, _ = command("run", *TINY, "--out", tmp_path)
    assert code == 0
    assert "finished before, not repeated (--force repeats it)" in out
    code, out, _ = command("run", *TINY, "--out", tmp_path, "--force")
    assert code == 0
    assert "not repeated" not in out


def test_table_and_plot_compare_configurations_over_seeds(command: Command, quick_dataset: str, tmp_path: Path) -> None:
    for optimizer in ("agn", "dynsgd"):
        command("run", *TINY, "--optimizer", optimizer, "--seeds", 2, "--out", tmp_path)
    command("run", *TINY, "--optimizer", "downpour", "--learning-rate", 1e20, "--seeds", 2, "--out", tmp_path / "bad")
    code, out, _ = command("table", tmp_path, tmp_path / "bad", "--at", "5,10,1e6", "--reach", "0.5,1")
    assert code == 0
    table = pd.read_csv(tmp_path / "tables" / "accuracy.csv").set_index("optimizer")
    assert list(table["seeds"]) == [2, 2, 2]
    assert table.index[-1] == "downpour"
    assert list(table["diverged"]) == [0, 0, 2]
    assert table.loc["downpour", "accuracy_at_10s_mean"] == 0.25
    assert table["accuracy_at_1e+06s_mean"].isna().all()
    summary = pd.read_csv(tmp_path / "summary.csv")
    agn = summary[summary["optimizer"] == "agn"]["test_accuracy"]
    assert table.loc["agn", "test_accuracy_mean"] == pytest.approx(agn.mean(), rel=1e-12)
    assert table.loc["agn", "test_accuracy_std"] == pytest.approx(agn.std(), rel=1e-9, abs=1e-15)
    assert f"{100 * agn.mean():.2f} ± {100 * agn.std():.2f}" in out
    assert table.loc["downpour", "reached_0.5"] == 0
    assert "0 of 2 seeds" in out

    code, out, _ = command("plot", tmp_path, tmp_path / "bad", "--out", tmp_path / "pictures" / "mine")
    assert code == 0
    png, svg = (tmp_path / "pictures" / f"mine.{kind}" for kind in ("png", "svg"))
    assert out.split() == [str(png), str(svg)]
    assert png.read_bytes().startswith(b"\x89PNG")
    drawn = svg.read_text()
    assert all(f"{name}" in drawn for name in ("agn", "dynsgd", "downpour", "simulated seconds", "training accuracy"))
    command("plot", tmp_path, tmp_path / "bad", "--out", tmp_path / "again")
    assert (tmp_path / "again.svg").read_text() == drawn


def test_list_shows_every_name(command: Command) -> None:
    code, out, _ = command("list")
    assert code == 0
    names = [
        "agn",
        "easgd",
        "dynsgd",
        "downpour",
        "adam",
        "mlp-paper",
        "fashion-mnist",
        "dirichlet",
        "paper-cluster",
        "ideal",
        "quick",
    ]
    assert all(name in out for name in names)
    assert "c + Δ / λ" in out
    shown = " ".join(command("list", "delays")[1].replace("│", " ").split())
    for name in profile_names():
        assert name in shown
    assert "step: recorded, file" in shown
    assert "server: constant, mean 0.397," in shown
    assert "arXiv 1907.11612" in shown


def test_list_has_every_optimizer_once_with_its_family_rules_numbers_and_source(command: Command) -> None:
    out = command("list", "optimizers")[1]
    named = re.findall(r"^│ (\S+) ", out, flags=re.MULTILINE)
    assert sorted(named) == sorted(OPTIMIZERS)
    families = re.findall(r"optimizers, ([a-z ]+):", out)
    assert families == [*FAMILIES]
    said = " ".join(out.replace("│", " ").split())
    assert said.count("rules: ") == len(OPTIMIZERS)
    for family, text in FAMILIES.items():
        assert f"optimizers, {family}: {text.rstrip('.')}" in said
    assert "rules: n / 2 commits make a version" in said
    assert "rules: asynchronous; versions are made in a round's second half" in said
    assert "size=10" in said and "arXiv 2106.06639" in said


RULES = {
    "asynchronous": lambda n: Rules(),
    "7 commits make a version": lambda n: Rules(quorum=7),
    "n + 2 commits make a version": lambda n: Rules(quorum=n + 2),
    "n − 3 commits make a version, for which their workers wait": lambda n: Rules(quorum=n - 3, waits=True),
    "n / 3 commits make a version": lambda n: Rules(quorum=n // 3),
    "7 of 60 workers and 10 of 101 commits make a version": lambda n: Rules(quorum=int(n**0.5)),
    "stale commits are dropped and such phases interrupted": lambda n: Rules(drop_at=1, cancels=True),
    "commits of staleness n or more are dropped": lambda n: Rules(drop_at=n),
    "nobody is more than n / 2 phases ahead of the slowest": lambda n: Rules(ahead=n // 2),
    "who arrives within 0.5 s of a group's first goes on with it": lambda n: Rules(grace_s=0.5),
}


@pytest.mark.parametrize("words", RULES)
def test_rules_in_words(words: str) -> None:
    assert in_words(RULES[words]) == words


def test_list_shows_optimizers_of_other_packages_too(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a family, a source or a docstring, and where the rules fail."""

    class Mine(OPTIMIZERS["downpour"]):  # type: ignore[misc]
        family = source = ""

        def rules(self, workers: int) -> Rules:
            raise ZeroDivisionError

    monkeypatch.setitem(OPTIMIZERS.shipped, "mine", Mine)
    code, out, err = command("list", "optimizers")
    assert (code, err) == (0, "")
    assert re.search(r"of other packages.*│ mine .*rules: –", out, flags=re.DOTALL)


def test_a_name_is_shown_with_the_lines_of_its_docstring(command: Command) -> None:
    first, blank, second, *_ = command("list", "easgd")[1].split("\n")
    assert first.endswith("the worker goes on from end − e.")
    assert (blank, second[:17]) == ("", "Center and worker")


def test_the_list_of_delays_shows_numbers_with_their_names(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole ones too."""
    more = {"server": {"order": "random", "channels": 4}, "collective": {"latency": 0.5}}
    monkeypatch.setattr("agn_bench.cli.catalogue.shipped_tables", lambda name: {**shipped_tables(name), **more})
    shown = " ".join(command("list", "delays")[1].replace("│", " ").split())
    assert "random, channels 4" in shown
    assert "collective: latency 0.5" in shown


def test_alone_it_shows_its_help(command: Command) -> None:
    code, out, err = command()
    assert (code, err) == (2, "")
    assert "Usage" in out


def test_on_a_terminal_of_80_columns_progress_fits_in_a_line(tmp_path: Path) -> None:
    """Read from a pseudo-terminal, as the user sees it: exchanges, simulated seconds, accuracy and time left."""
    import pty

    primary, secondary = pty.openpty()
    words = ["run", "--workers", "2", "--local-steps", "3", "--gradient-steps", "1200", "--model", "mlp-8"]
    environment = {**os.environ, "COLUMNS": "80", "LINES": "24", "TERM": "xterm"}
    process = agn_bench(*words, "--out", tmp_path, env=environment, stdout=secondary, stderr=secondary)
    os.close(secondary)
    shown = b""
    while True:
        try:
            part = os.read(primary, 4096)
        except OSError:  # the program has ended
            break
        if not part:
            break
        shown += part
    process.wait(timeout=60)
    lines = [re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line) for line in re.split(r"[\r\n]+", shown.decode())]
    progress = [line.strip() for line in lines if "exchanges" in line and " train, " in line]
    assert progress
    pattern = r"agn s0 \d+/400 exchanges \d+ s simulated, 0\.\d{3} train, 0\.\d{3} test (\d\d:\d\d|--:--)"
    assert all(re.fullmatch(pattern, line) for line in progress), progress[-1]
    assert process.returncode == 0


@pytest.mark.parametrize(
    "words",
    [
        (), ("run",), ("sweep",), ("merge",), ("data", "fetch"), ("timeline",), ("calibrate",), ("bench",),
        ("bench", "training"), ("table",), ("plot",), ("export",), ("list",), ("reproduce",),
    ],
)  # fmt: skip
def test_help_fits_into_80_columns(command: Command, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    code, out, err = command(*words, "--help")
    assert (code, err) == (0, "")
    assert "Usage: agn-bench" in out
    assert max(map(len, out.splitlines())) <= 80


@MORE_IN_FULL
@pytest.mark.parametrize("encoding", in_full(["ascii", "latin-1", "cp437"], ["ascii"]))
def test_an_output_without_unicode_shows_something_like_it(encoding: str) -> None:
    """And columns keep their width."""
    process = agn_bench("list", env={**os.environ, "PYTHONIOENCODING": encoding, "COLUMNS": "80"}, encoding=encoding)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    tables = [list(lines) for drawn, lines in groupby(out.splitlines(), lambda line: line[:1] in "+|") if drawn]
    assert len(tables) > 5
    for table in tables:
        assert len(table) > 3
        assert len(set(map(len, table))) == 1
        assert len(table[0]) <= 80
    if encoding == "ascii":
        assert out.isascii()
        assert "c + D / l" in out
        assert "?" not in out


def test_without_colours_none_are_sent_to_a_terminal(tmp_path: Path) -> None:
    import pty

    def shown(**variables: str) -> str:
        primary, secondary = pty.openpty()
        environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "80", **variables}
        process = agn_bench("run", "--help", env=environment, stdout=secondary, stderr=secondary)
        os.close(secondary)
        text = b""
        while True:
            try:
                part = os.read(primary, 4096)
            except OSError:
                break
            text += part
        assert process.wait(timeout=60) == 0
        return text.decode()

    colour = re.compile(r"\x1b\[(?:[0-9]+;)*(3[0-8]|4[0-8]|9[0-7])[;m]")
    assert colour.search(shown())
    assert not colour.search(shown(NO_COLOR="1"))


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("ru", "run"),
        ("run --opt", "--optimizer"),
        ("run --optimizer ea", "easgd eamsgd"),
        ("run --delays w", "wide-area"),
        ("run --dataset mnist-", "mnist-5k"),
        ("run --data-split di", "dirichlet"),
        ("sweep paper/gr", "paper/grid"),
        ("reproduce bea", "beale"),
        ("run --out x", ""),
    ],
)
def test_the_shell_completes_commands_options_and_names(
    command: Command, monkeypatch: pytest.MonkeyPatch, typed: str, completed: str
) -> None:
    monkeypatch.setenv("_AGN_BENCH_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", f"agn-bench {typed}")
    monkeypatch.setenv("COMP_CWORD", str(len(typed.split())))
    code, out, err = command()
    assert (code, err) == (0, "")
    assert out.split() == completed.split()


def test_the_shell_completes_in_a_process_of_its_own() -> None:
    asked = {"_AGN_BENCH_COMPLETE": "complete_bash", "COMP_WORDS": "agn-bench ru", "COMP_CWORD": "1"}
    process = agn_bench(env={**os.environ, **asked})
    assert process.communicate(timeout=60)[0].split() == ["run"]


def test_version(command: Command) -> None:
    assert command("--version") == (0, f"agn-bench {__version__}\n", "")


def test_help_lists_and_errors_import_nothing_heavy() -> None:
    """What keeps `agn-bench --help` under half a second."""
    heavy = ["jax", "matplotlib", "mlflow", "mlxtend", "numpy", "optax", "pandas", "pyarrow", "scipy", "tensorboardX"]
    pandas = ["pandas"] + (["pyarrow"] if find_spec("pyarrow") else [])  # which pandas imports where it is
    code = f"""
import sys
from agn_bench.cli import main
for words in (
    ["--help"], ["run", "--help"], ["run", "--optimizer", "nix"], ["run", "--data-split", "dirichlet"], ["list"],
    ["run", "--workers", "0"],
):
    try:
        main(words)
    except SystemExit as stopped:
        early = words[-1] in ("--help", "nix", "dirichlet")  # NumPy is for configurations
        imported = [name for name in {heavy} if name in sys.modules and (early or name != "numpy")]
        print("ENDED", words, stopped.code or 0, imported)
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    ended = [line for line in ran.stdout.splitlines() if line.startswith("ENDED")]
    assert ended == [
        "ENDED ['--help'] 0 []",
        "ENDED ['run', '--help'] 0 []",
        "ENDED ['run', '--optimizer', 'nix'] 2 []",
        "ENDED ['run', '--data-split', 'dirichlet'] 2 []",
        f"ENDED ['list'] 0 {pandas}",  # it reads all experiments, and recorded times are one's
        f"ENDED ['run', '--workers', '0'] 2 {pandas}",  # of the list before
    ]
    assert len(ran.stderr.splitlines()) == 3


def test_plots_and_tables_import_no_jax() -> None:
    code = "import agn_bench.analysis.figures.over_time, agn_bench.analysis.tables, sys; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_two_processes_write_the_same_bytes_with_a_wide_layer(command: Command, tmp_path: Path) -> None:
    """One of its own, and this one."""
    words = (
        "run",
        "--model",
        "mlp-1000",
        "--workers",
        3,
        "--gradient-steps",
        24,
        "--local-optimizer",
        "adam",
        "--threads",
        2,
    )
    process = agn_bench(*words, "--out", tmp_path / "one")
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    code, _, err = command(*words, "--out", tmp_path / "two")
    assert code == 0, err
    (one,), (two,) = ((tmp_path / folder / "runs").iterdir() for folder in ("one", "two"))
    for name in ("summary.csv", "curve.csv", "commits.csv"):
        assert (one / name).read_bytes() == (two / name).read_bytes()


# --- how it ends early ---

INTERRUPTED = [
    "agn-bench: interrupting … (once more to stop at once)",
    "agn-bench: interrupted; what was finished is kept",
]


SIGNALS = pytest.mark.kind("signals by which a command is asked to end")


@SIGNALS
@pytest.mark.parametrize("numbers", in_full([[signal.SIGINT], [signal.SIGTERM] * 2], [[signal.SIGTERM] * 2]))
def test_interrupting_a_run_leaves_no_partial_file(tmp_path: Path, numbers: list[int]) -> None:
    """`timeout` sends its signal to the process, and at once to the group that this is in."""
    process = agn_bench(
        "run", "--workers", 3, "--model", "mlp-8", "--gradient-steps", 40_000, "--out", tmp_path / "mine"
    )
    assert process.stdout is not None
    assert "exchanges" in process.stdout.readline()  # it is training
    for number in numbers:
        process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err.splitlines()) == (128 + numbers[0], INTERRUPTED)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@SIGNALS
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize(
    "words", ["run", "sweep FILE", "timeline --workers 2 --exchanges 50", "reproduce beale --size quick"]
)
def test_every_command_that_computes_ends_by_a_signal(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, words: str, number: int
) -> None:
    """It comes where Python's own answer, an exception, would be the worst: while JAX is prepared."""
    file = tmp_path / "mine.toml"
    file.write_text('name = "mine"\n[base]\nmodel = "mlp-8"\ngradient_steps = 500\n[[cells]]\nworkers = 2\n')
    monkeypatch.setattr(machine, "prepare", lambda *_: os.kill(os.getpid(), number))
    before = signal.getsignal(number)
    code, _, err = command(*words.replace("FILE", str(file)).split(), "--out", tmp_path / "out")
    assert (code, err.splitlines()) == (128 + number, INTERRUPTED)
    assert signal.getsignal(number) is before


@SIGNALS
def test_commands_that_only_read_end_by_a_signal_too(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "console", lambda: os.kill(os.getpid(), signal.SIGTERM))
    assert command("list")[::2] == (143, INTERRUPTED[1] + "\n")


@SIGNALS
def test_the_first_process_of_a_container_ends_by_a_signal() -> None:
    """The system does not end it by one that it does not answer."""
    alone = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child"]
    if shutil.which("unshare") is None or subprocess.run([*alone, "true"], capture_output=True).returncode:
        pytest.skip("no such processes can be started here")
    code = """
import os, signal
from agn_bench.cli import main, reading
assert os.getpid() == 1
reading.console = lambda: os.kill(1, signal.SIGTERM)
main(["list"])
"""
    ran = subprocess.run([*alone, sys.executable, "-c", code], capture_output=True, text=True)
    assert (ran.returncode, ran.stderr) == (143, INTERRUPTED[1] + "\n")


@SIGNALS
def test_what_nohup_ignores_stays_ignored(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "console", lambda: os.kill(os.getpid(), signal.SIGHUP))
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with pytest.raises(AttributeError):  # it goes on, and prints nowhere
            cli.main(["list"])
    finally:
        signal.signal(signal.SIGHUP, before)


def test_interrupting_before_training_is_as_clean(tmp_path: Path) -> None:
    """While JAX is imported, of which the command has taken care by then."""
    process = agn_bench("run", "--out", tmp_path / "mine")
    while "jaxlib" not in Path(f"/proc/{process.pid}/maps").read_text():
        assert process.poll() is None
        time.sleep(0.002)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err.splitlines()) == (130, INTERRUPTED)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_one_line_and_exit_1(
    command: Command, quick_dataset: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def disk_full(result: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(run_files, "commits", disk_full)
    code, _, err = command("run", *TINY, "--out", tmp_path)
    assert (code, err) == (1, "agn-bench: failed: [Errno 28] No space left on device\n")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_one_seed_that_fails_hides_none_that_is_made(command: Command, quick_dataset: str, tmp_path: Path) -> None:
    command("run", *TINY, "--seeds", 2, "--out", tmp_path)
    names = sorted(run.name for run in (tmp_path / "runs").iterdir())
    for name in names:
        (tmp_path / "runs" / name / "curve.csv").write_text("")
    code, out, err = command("run", *TINY, "--seeds", 3, "--out", tmp_path)
    assert code == 1
    assert [line.split(": ")[1] for line in err.splitlines()] == names
    assert all("curve.csv was changed" in line for line in err.splitlines())
    rows = [line.split("│")[1].strip() for line in out.splitlines() if line.startswith("│")]
    assert rows == ["2"]


XLA_OUT = "RESOURCE_EXHAUSTED: Out of memory"


@pytest.mark.parametrize(
    ("error", "says"),
    [(jax.errors.JaxRuntimeError(f"{XLA_OUT}\nand much more"), XLA_OUT), (MemoryError(), "out of memory")],
)
def test_too_little_memory_is_one_line_and_exit_1(
    command: Command, quick_dataset: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, says: str
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(simulate, "replay_timeline", fails)
    code, _, err = command("run", *TINY, "--out", tmp_path / "mine")
    assert (code, err) == (1, f"agn-bench: failed: {says}\n")
    assert not (tmp_path / "mine").exists()


def test_a_reader_who_goes_away_costs_no_run(tmp_path: Path) -> None:
    words = ("run", "--workers", 4, "--model", "mlp-8", "--gradient-steps", 400, "--out", tmp_path / "mine")
    with agn_bench(*words) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(timeout=60) == 0
    assert len(pd.read_csv(tmp_path / "mine" / "summary.csv")) == 1


# --- bad input ---


def refused(answer: tuple[int, str, str]) -> str:
    """The message of a refusal, having checked its manners."""
    code, out, err = answer
    assert code == 2
    assert out == ""
    assert "Traceback" not in err
    assert 1 <= len(err.splitlines()) <= 2
    return err


BAD_VALUES = [
    # options, the option blamed, its value as given, what the message must say
    (["--workers", "0"], "--workers 0", "a whole number from 1 to 10400"),
    (["--workers", "-3"], "--workers -3", "a whole number from 1 to 10400"),
    (["--workers", "2.5"], "--workers 2.5", "not a whole number"),
    (["--workers", "many"], "--workers many", "not a whole number"),
    (["--workers", "128"], "--workers 128", "one full phase of 87 local steps"),
    (["--workers", "9" * 50], "--workers 999", "from 1 to 10400"),
    (["--workers", "700", "--local-steps", "15"], "--workers 700", "a whole number from 1 to 693"),
    (["--local-steps", "0"], "--local-steps 0", "a whole number from 1 to"),
    (["--local-steps", "521"], "--local-steps 521", "from 1 to 520, or auto"),
    (["--local-steps", "261", "--workers", "40"], "--workers 40", "from 1 to 39"),
    (["--local-steps", "few"], "--local-steps few", "or auto"),
    (["--optimizer", "agnn"], "--optimizer agnn", "did you mean agn?"),
    (["--optimizer", "xyz"], "--optimizer xyz", "agn, easgd, dynsgd, downpour"),
    (["--local-optimizer", "addam"], "--local-optimizer addam", "did you mean adam?"),
    (["--model", "mlp-smal"], "--model mlp-smal", "did you mean mlp-small?"),
    (["--model", "mlp-0"], "--model mlp-0", "mlp-300-100"),
    (["--model", "mlp-100000-100000"], "--model mlp-100000-100000", "too large"),
    (["--dataset", "minst"], "--dataset minst", "did you mean mnist?"),
    (["--delays", "paper-clutser"], "--delays paper-clutser", "did you mean paper-cluster?"),
    (["--delays", "../paper-cluster"], "--delays ../paper-cluster", "there is no such file"),
    (["--delays", "mine.toml"], "--delays mine.toml", "a TOML file, or one of heterogeneous, ideal,"),
    (["--delay", "server.mean"], "--delay server.mean", "as in server.mean=0.2"),
    (["--delay", "server.mean=-1"], "--delay server.mean=-1", "negative"),
    (["--delay", "server.men=1"], "--delay server.men=1", "did you mean mean?"),
    (["--delay", "sever.mean=1"], "--delay sever.mean=1", "did you mean server?"),
    (["--delay", "step.distribution=normal"], "--delay step.distribution=normal", "step.deviation is missing"),
    (["--timeline", "commits.csv"], "--timeline commits.csv", "there is no such file"),
    (["--preset", "papr"], "--preset papr", "did you mean paper?"),
    (["--data-split", "mixt"], "--data-split mixt", "did you mean mixed?"),
    (["--data-split", "dirichlet"], "--data-split dirichlet", "concentration is missing; accepted: dirichlet:concent"),
    (["--data-split", "sharded:x=1"], "--data-split sharded:x=1", "sharded has no x; accepted: sharded alone"),
    (["--device", "tpu"], "--device tpu", "auto, cpu, gpu"),
    (["--optimizer", "agn:alpha=0.1"], "--optimizer agn:alpha=0.1", "agn has no alpha"),
    (["--optimizer", "easgd:alpha"], "--optimizer easgd:alpha", "as in easgd:alpha=1"),
    (["--optimizer", "easgd:alpha=1:alpha=1"], "--optimizer easgd:alpha=1:alpha=1", "given twice"),
    (["--local-optimizer", "sgd:momentum=0.9"], "--local-optimizer sgd:momentum=0.9", "sgd has no momentum"),
    (["--local-optimizer", "momentum:momentum=1"], "--local-optimizer momentum:momentum=1", "momentum is too large"),
    (["--local-optimizer", "sgd:learning_rate=1", "--learning-rate", "1"], "--learning-rate 1", "one of the two"),
    (["--optimizer", "nowhere.py:Mine"], "--optimizer nowhere.py:Mine", "there is no such file"),
    (["--eval-every", "0"], "--eval-every 0", "a whole number from 1 to"),
    (["--eval-every", "100000"], "--eval-every 100000", "exchanges"),
    (["--window", "0"], "--window 0", "too small"),
    (["--seed", "-1"], "--seed -1", "from 0 to 4294967295"),
    (["--seed", "1.5"], "--seed 1.5", "not a whole number"),
    (["--seeds", "0"], "--seeds 0", "a whole number from 1"),
    (["--threads", "0"], "--threads 0", "a whole number from 1"),
    (["--epochs", "3", "--gradient-steps", "100"], "--epochs 3", "one of --epochs and --gradient-steps"),
    (["--gradient-steps", "0"], "--gradient-steps 0", "a whole number from 1"),
    (["--gradient-steps", "10000000"], "--gradient-steps 10000000", "too large"),
    (["--gradient-steps", "9", "--workers", "10"], "--workers 10", "from 1 to 9"),
    (["--epochs", "0.01"], "--epochs 0.01", "passes over the training set"),
    (["--batch-size", "4001"], "--batch-size 4001", "a whole number from 1 to 4000"),
    (["--batch-size", "12.5"], "--batch-size 12.5", "not a whole number"),
]  # fmt: skip
for _option, _others in {
    "--learning-rate": [], "--epochs": [], "--batch-size": [], "--window": []
}.items():  # fmt: skip
    BAD_VALUES += [
        ([_option, _value, *_others], f"{_option} {_value}", "accepted:")
        for _value in ("0", "-1", "nan", "inf", "1e40", "", "x")
    ]
BAD_VALUES += [
    (["--optimizer", f"easgd:alpha={_value}"], f"--optimizer easgd:alpha={_value}", "alpha, a number from 1e-30 to 1")
    for _value in ("0", "-1", "nan", "inf", "1e40", "", "x")
]


@pytest.mark.parametrize(
    ("options", "blamed", "says"), BAD_VALUES, ids=lambda value: " ".join(value)[:60] if isinstance(value, list) else ""
)
def test_a_bad_value_is_refused_before_anything_is_written(
    command: Command, tmp_path: Path, options: list[str], blamed: str, says: str
) -> None:
    message = refused(command("run", *options, "--out", tmp_path / "mine"))
    assert message.startswith(f"agn-bench: {blamed}".rstrip())
    assert says in message
    assert "accepted:" in message
    assert list(tmp_path.iterdir()) == []


def test_the_largest_accepted_values_are_accepted(command: Command, quick_dataset: str, tmp_path: Path) -> None:
    base = (
        "run",
        "--dataset",
        "tiny",
        "--model",
        "mlp-4",
        "--batch-size",
        4,
        "--gradient-steps",
        60,
        "--out",
        tmp_path,
    )
    message = refused(command(*base, "--workers", 60, "--local-steps", 7))
    most = int(message.split("from 1 to ")[1].split(",")[0])
    assert command(*base, "--workers", most, "--local-steps", 7)[0] == 0
    assert command(*base, "--workers", 3, "--local-steps", 20)[0] == 0
    assert command(*base, "--workers", 60, "--local-steps", 1)[0] == 0
    for split in ("sharded", "dirichlet:concentration=0.1"):
        words = (*base, "--workers", 60, "--local-steps", 1, "--data-split", split, "--batch-size", 300)
        assert command(*words)[0] == 0


def test_a_window_too_short_for_the_run_is_refused(command: Command, quick_dataset: str, tmp_path: Path) -> None:
    words = ("run", "--dataset", "tiny", "--workers", 1, "--local-steps", 100_000, "--gradient-steps", 1_000_000)
    message = refused(command(*words, "--window", 0.001, "--batch-size", 1, "--out", tmp_path / "mine"))
    assert message.startswith("agn-bench: --window 0.001: too short for a run of")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["run", "--worker", "3"], "--worker"),
        (["run", "extra"], "extra"),
        (["run", "--workers"], "--workers"),
        (["rum"], "rum"),
        (["table"], "DIR"),
        (["list", "optimisers"], "did you mean optimizers?"),
    ],
)
def test_bad_usage_is_one_line(command: Command, words: list[str], says: str) -> None:
    assert says in refused(command(*words))


@pytest.mark.parametrize("dataset", ["mnist", "fashion-mnist"])
def test_a_data_folder_that_is_missing_or_empty_is_refused(command: Command, tmp_path: Path, dataset: str) -> None:
    words = ("run", "--dataset", dataset, "--out", tmp_path / "mine", "--data-dir")
    assert "--data-dir" in refused(command(*words, tmp_path / "nowhere"))
    (tmp_path / "empty").mkdir()
    assert "train-images-idx3-ubyte is missing" in refused(command(*words, tmp_path / "empty"))
    assert not (tmp_path / "mine").exists()


def test_a_data_folder_with_other_content_is_refused(command: Command, tmp_path: Path) -> None:
    header = bytes([0, 0, 8, 3]) + b"".join(size.to_bytes(4, "big") for size in (60_000, 28, 28))
    for name, content, says in [
        ("short", header + bytes(1000), "truncated, 1016 of 47040016 bytes"),
        ("other", header + bytes(60_000 * 784), "SHA-256"),
        ("text", b"not an image file at all", "not an IDX file"),
    ]:
        (tmp_path / name).mkdir()
        (tmp_path / name / "train-images-idx3-ubyte").write_bytes(content)
        message = refused(
            command("run", "--dataset", "mnist", "--data-dir", tmp_path / name, "--out", tmp_path / "mine")
        )
        assert says in message
        assert "train-images-idx3-ubyte" in message
    assert not (tmp_path / "mine").exists()


@pytest.mark.parametrize("place", ["a file", "below a file", "/proc/nowhere"])
def test_an_output_folder_that_cannot_be_written_is_refused_before_training(
    command: Command, tmp_path: Path, place: str
) -> None:
    (tmp_path / "file").write_text("mine")
    out = {
        "a file": tmp_path / "file",
        "below a file": tmp_path / "file" / "x",
        "/proc/nowhere": Path("/proc/nowhere"),
    }[place]
    message = refused(command("run", "--out", out))
    assert message.startswith(f"agn-bench: --out {out}: ")
    assert (tmp_path / "file").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


LONG = "x" * 300


@pytest.mark.parametrize(
    ("words", "blamed"),
    [
        (["run", "--out", LONG], "--out"),
        (["run", "--out", f"nowhere/{LONG}"], "--out"),
        (["run", "--out", ""], "--out ''"),
        (["run", "--dataset", "mnist", "--data-dir", LONG], "--data-dir"),
        (["run", "--dataset", "mnist", "--data-dir", ""], "--data-dir ''"),
        (["run", "--like", LONG], "--like"),
        (["run", "--like", f"nowhere/runs/{LONG}"], "--like"),
        (["table", LONG], "DIR"),
        (["table", ""], "DIR ''"),
        (["plot", LONG], "DIR"),
    ],
)
def test_a_path_that_cannot_be_is_refused(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], blamed: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert refused(command(*words)).startswith(f"agn-bench: {blamed}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("verb", ["table", "plot"])
def test_an_output_file_that_cannot_be_written_is_refused(
    command: Command, quick_dataset: str, tmp_path: Path, verb: str
) -> None:
    command("run", *TINY, "--out", tmp_path / "mine")
    (tmp_path / "folder").mkdir()
    for out in (tmp_path / "folder", ".", f"{tmp_path}/{LONG}", tmp_path / "mine" / "summary.csv" / "x", ""):
        assert refused(command(verb, tmp_path / "mine", "--out", out)).startswith("agn-bench: --out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "mine"]


def test_plot_refuses_the_ending_of_what_it_does_not_draw(command: Command, quick_dataset: str, tmp_path: Path) -> None:
    command("run", *TINY, "--out", tmp_path / "mine")
    message = refused(command("plot", tmp_path / "mine", "--out", tmp_path / "x.eps"))
    assert "x.eps: no .eps is drawn; accepted: .png, .svg or .pdf" in message
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_plot_writes_the_file_that_is_named(command: Command, quick_dataset: str, tmp_path: Path) -> None:
    command("run", *TINY, "--out", tmp_path / "mine")
    for number, ending in enumerate(("png", "svg", "pdf"), 2):
        code, out, _ = command("plot", tmp_path / "mine", "--out", tmp_path / f"x.{ending}")
        assert (code, out) == (0, f"{tmp_path / 'x'}.{ending}\n")
        assert len([*tmp_path.iterdir()]) == number  # nothing beside it


@pytest.mark.parametrize("verb", ["table", "plot"])
def test_a_folder_that_is_no_experiment_is_refused(command: Command, tmp_path: Path, verb: str) -> None:
    assert "has no summary.csv" in refused(command(verb, tmp_path))
    (tmp_path / "summary.csv").write_text("run_id,a\nx,1\n")
    assert "has no column configuration" in refused(command(verb, tmp_path))
    (tmp_path / "summary.csv").write_text("")
    assert "cannot be read" in refused(command(verb, tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["summary.csv"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["table", "--at", "30,x"], "--at x: not a number"),
        (["table", "--at", "-1"], "--at -1: negative"),
        (["table", "--by", "n", "--pivot", "n"], "--pivot n: given with --by"),
    ],
)
def test_bad_options_of_table_and_plot_are_refused(
    command: Command, tmp_path: Path, words: list[str], says: str
) -> None:
    assert says in refused(command(*words, tmp_path))


def test_times_of_runs_too_large_to_simulate_are_refused(command: Command, tmp_path: Path) -> None:
    (tmp_path / "times.csv").write_text("workers,local_steps,seconds\n10,100,5\n10,1,9\n")
    words = ("calibrate", tmp_path / "times.csv", "--gradient-steps", 10**9, "--out", tmp_path / "fit")
    code, out, err = command(*words)
    assert (code, out) == (2, "")
    assert err.startswith(f"agn-bench: TIMES {tmp_path / 'times.csv'}, line 3: 1000000000 exchanges are too many; ")
    assert len(err.splitlines()) == 1


def test_a_device_that_jax_does_not_have_is_one_line_and_exit_1(
    command: Command, quick_dataset: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """JAX says so when it is first used, with an error of its own or with none that says anything."""
    monkeypatch.setenv("JAX_PLATFORMS", "abacus")
    monkeypatch.setattr(simulate, "replay_timeline", lambda *_, **__: jax.devices("abacus"))
    code, _, err = command("run", *TINY, "--out", tmp_path / "mine")
    assert code == 1
    assert re.fullmatch(r"agn-bench: failed: with JAX_PLATFORMS=abacus JAX cannot start: .*abacus.*\n", err)
    assert not (tmp_path / "mine").exists()
