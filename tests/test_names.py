"""Names of files as people give them: bytes that are no UTF-8, markup, controls. They are shown, or escaped."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from agn_bench.base.inputs import printable

Command = Callable[..., tuple[int, str, str]]
KIND = pytest.mark.kind("names of files that are not plain text")
PROFILE = '[step]\ndistribution = "constant"\nmean = 0.1\n'
NAMES = {
    "bytes that are no UTF-8": ("caf\udce9", "caf\\xe9"),
    "markup": ("[red]a[link=b]c:apple:", "[red]a[link=b]c:apple:"),
    "controls": ("a\nb\rc\x1b[31md\x07", "a\\nb\\rc\\x1b[31md\\x07"),
    "another script": ("时钟", "时钟"),
}
RUN = [
    "--dataset",
    "tiny",
    "--model",
    "mlp-8",
    "--workers",
    "4",
    "--local-steps",
    "3",
    "--gradient-steps",
    "96",
    "--batch-size",
    "8",
    "--window",
    "1",
]


@pytest.fixture(params=NAMES, autouse=True)
def names(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """A name, and how it is shown; the working directory is called so."""
    name, shown = NAMES[request.param]
    place = tmp_path / name
    try:
        place.mkdir()
    except OSError:
        pytest.skip("the file system does not have such names")
    monkeypatch.chdir(place)
    return name, shown


def _texts(folder: Path) -> str:
    """All files that are text; every one is UTF-8."""
    files = [path for path in folder.rglob("*") if path.suffix in (".csv", ".json", ".toml", ".svg")]
    return "".join(path.read_bytes().decode() for path in files)


@KIND
def test_every_command_shows_the_name_and_writes_it(
    command: Command, quick_dataset: str, sketched: None, names: tuple[str, str]
) -> None:
    name, shown = names
    Path(f"{name}.toml").write_text(PROFILE)
    for words in (
        ["run", *RUN, "--delays", f"{name}.toml", "--out", name],
        ["table", name],
        ["plot", name, "--panels", "delays"],
        ["timeline", "--workers", 2, "--delays", f"{name}.toml", "--out", f"{name}2"],
        ["timeline", "--workers", "2,3", "--delays", f"{name}.toml", "--out", f"{name}3"],
    ):
        code, out, err = command(*words)
        assert (code, err) == (0, ""), words
        assert out.replace("\n", "").isprintable()
        if words[0] != "table":
            assert shown in out.replace("\n", "")
    (delays,) = pd.read_csv(Path(name) / "summary.csv")["delays"]
    assert delays.startswith(f"{shown}-")
    assert json.dumps(shown, ensure_ascii=False)[1:-1] in _texts(Path(name))


@KIND
def test_every_refusal_names_it_on_one_line(command: Command, names: tuple[str, str]) -> None:
    name, shown = names
    for words in (
        ["run", "--delays", f"./{name}.toml"],
        ["run", "--delay", f"{name}=1"],
        ["run", "--optimizer", name],
        ["run", "--optimizer", f"{name}.py:Mine"],
        ["sweep", f"{name}.toml"],
        ["table", name],
        ["list", name],
    ):
        code, out, err = command(*words)
        assert (code, out) == (2, ""), words
        assert err.endswith("\n") and err[:-1].isprintable()
        assert shown in err, words


def test_what_can_be_printed_stays_as_it_is() -> None:
    assert printable("a λ – 时钟 [b]") == "a λ – 时钟 [b]"
    assert printable(os.fsdecode(b"\xff\n")) == "\\xff\\n"
