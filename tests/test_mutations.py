"""The errors that `make robustness` puts into the program can still be put there."""

from __future__ import annotations

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
