"""The processes that this program starts: what they import, what they do not run, how they end."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import signal
import subprocess
import sys
from contextlib import ExitStack
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from agn_bench.base.children import start

THEIRS = ["math", "socket", "select", "struct", "signal", "pickle", "random", "multiprocessing", "numpy", "agn_bench"]
SHADOW = "import pathlib; pathlib.Path(__file__ + '.ran').touch()\n"


def _where(connection: Connection, name: str) -> None:
    """Where a module comes from, and how the process answers what is sent to all."""
    ignored = all(signal.getsignal(number) is signal.SIG_IGN for number in (signal.SIGINT, signal.SIGTERM))
    connection.send((getattr(importlib.import_module(name), "__file__", ""), ignored))


def _starts_another(connection: Connection) -> None:
    try:
        with ExitStack() as stack:
            start(stack, _where, "math")
    except RuntimeError as error:
        connection.send(str(error))


@pytest.fixture
def among_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with files named like modules, each of which says if it was run."""
    for name in THEIRS:
        (tmp_path / f"{name}.py").write_text(SHADOW)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.kind("a file of the user's that is named like a module")
@pytest.mark.parametrize("name", THEIRS)
def test_a_process_imports_nothing_from_the_working_directory(among_files: Path, name: str) -> None:
    with ExitStack() as stack:
        file, ignored = start(stack, _where, name).recv()
    assert not file.startswith(str(among_files)) and ignored
    assert not list(among_files.glob("*.ran"))
    assert not multiprocessing.active_children()
    assert "PYTHONSAFEPATH" not in os.environ


@pytest.mark.kind("a file of the user's that is named like a module")
def test_the_command_itself_imports_nothing_from_the_working_directory(among_files: Path) -> None:
    (among_files / "agn_bench.py").unlink()  # which is what -m would run
    ran = subprocess.run([sys.executable, "-m", "agn_bench", "list"], capture_output=True, text=True)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert not list(among_files.glob("*.ran"))


SCRIPT = """
from contextlib import ExitStack
from multiprocessing.connection import Connection
from agn_bench.base.children import start

print("begun", flush=True)
with ExitStack() as stack:
    print(start(stack, Connection.send, "answered").recv())
"""


@pytest.mark.kind("a library call from a script without a guard")
@pytest.mark.parametrize("how", ["a file", "standard input", "-c"])
def test_a_script_needs_no_guard_and_is_run_once(tmp_path: Path, how: str) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    words = {"a file": ["script.py"], "standard input": ["-"], "-c": ["-c", SCRIPT]}[how]
    given = SCRIPT if how == "standard input" else ""
    ran = subprocess.run([sys.executable, *words], input=given, capture_output=True, text=True, cwd=tmp_path)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "begun\nanswered\n", "")


@pytest.mark.kind("a library call from a script without a guard")
def test_a_process_that_makes_runs_starts_no_others_and_names_the_guard() -> None:
    with ExitStack() as stack:
        assert 'under `if __name__ == "__main__":`' in start(stack, _starts_another).recv()
