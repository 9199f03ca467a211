"""The experiment files that come with the program: beside the package in a checkout, inside it if installed."""

from __future__ import annotations

import os
from pathlib import Path

from agn_bench.base.inputs import choose

CLAIMS = "claims.toml"
"""In the paper's folder: the claims and the rules by which they are judged, and no experiment."""


def experiments_folder() -> Path:
    """Where they are."""
    package = Path(__file__).parent.parent
    inside = package / "experiments"
    return inside if inside.is_dir() else package.parent / "experiments"


def shipped_experiments() -> dict[str, Path]:
    """Their files, by names such as `four-methods` and `paper/grid`."""
    folder = experiments_folder()
    files = [path for path in sorted(folder.rglob("*.toml")) if path.name != CLAIMS]
    return {path.relative_to(folder).with_suffix("").as_posix(): path for path in files}


def experiment_file(name: str) -> Path:
    """The user's file of that name; or if there is none, the shipped experiment.

    Raises:
        BadInput: it is neither, and not a path either.
    """
    shipped = shipped_experiments()
    if os.path.exists(name):  # noqa: PTH110 (a name that no file can have is no error here)
        return Path(name)
    if name in shipped:
        return shipped[name]
    if not name.endswith(".toml") and "/" not in name and "\\" not in name:
        choose("FILE", name, [*shipped, "an experiment file's path"])
    return Path(name)
