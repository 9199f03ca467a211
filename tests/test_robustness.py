"""What `make robustness` does can be done: its tests are found, its errors can still be put into the program."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
MUTATIONS = tomllib.loads((ROOT / "tests" / "mutations" / "mutations.toml").read_text(encoding="utf-8"))["mutations"]


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation["what"])
def test_a_mutation_changes_one_place_and_is_looked_for_by_tests_that_are_there(mutation: dict[str, Any]) -> None:
    program = (ROOT / "agn_bench" / mutation["file"]).read_text(encoding="utf-8")
    assert program.count(mutation["before"]) == 1
    assert mutation["after"] != mutation["before"]
    assert mutation["tests"] and all((ROOT / "tests" / name).is_file() for name in mutation["tests"])


COUNTING = tuple(f"test_{name}.py" for name in ("cluster", "fuzz", "invariants", "load", "sweep"))


def test_the_tests_that_count_and_measure_are_found() -> None:
    """By the command of the Makefile: where pytest takes the folder for one of tests, it finds none of its options.

    It looks into the files that have some, and no others, since to import them all takes long.
    """
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (words,) = (line.split()[1:] for line in makefile.splitlines() if "pytest --figures" in line)
    words += ["--collect-only", "--override-ini", f"python_files={' '.join(COUNTING)}"]
    ran = subprocess.run([sys.executable, "-m", "pytest", *words], cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    for name in COUNTING:
        assert f"tests/{name}" in ran.stdout
