"""The help of every command, as it is read in 80 columns and on the page of commands."""

from __future__ import annotations

import itertools
import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import typer.main

from agn_bench.cli import app

Command = Callable[..., tuple[int, str, str]]
ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")


def commands() -> Iterator[tuple[str, typer.core.TyperCommand]]:
    for name, one in typer.main.get_command(app).commands.items():  # type: ignore[attr-defined]
        if hasattr(one, "commands"):
            yield from ((f"{name} {inner}", found) for inner, found in one.commands.items())
        else:
            yield name, one


COMMANDS = dict(commands())


@pytest.mark.kind("help that is cut, ragged or without an example")
@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_a_command_is_whole_in_80_columns(command: Command, name: str) -> None:
    code, out, err = command(*name.split(), "--help")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert max(map(len, lines)) <= 80
    for parameter in COMMANDS[name].params:
        assert all(re.search(rf"{option}\b", out) for option in parameter.opts if option.startswith("--"))
    assert not re.search(r"\w…", out.replace("N[,N…]", "").replace("S,S…", "").replace("X,X…", "").replace("DIR…", "")
                         .replace("NAME…", "").replace("OPTIMIZER…", ""))  # fmt: skip
    # Paragraphs are filled: no line but the last of one leaves room for the first word of the next.
    prose = "\n".join(line.strip() for line in lines[: next(at for at, line in enumerate(lines) if "╭" in line)])
    for paragraph in prose.split("\n\n"):
        if "agn-bench" not in paragraph:
            filled = paragraph.splitlines()
            for line, following in itertools.pairwise(filled):
                assert len(line) + 1 + len(following.split()[0]) > 78, line


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_a_command_has_an_example_that_it_takes(name: str) -> None:
    examples = re.findall(r"^agn-bench (.*)$", COMMANDS[name].help or "", flags=re.MULTILINE)
    assert examples
    for example in examples:
        assert example.startswith(name)
        words = shlex.split(example.removeprefix(name))
        COMMANDS[name].make_context(name, words, resilient_parsing=False)
        assert f"agn-bench {example}" in PAGE
        assert len(example) <= 67  # so that it stands in a line


def test_the_page_of_commands_has_no_entities_of_html() -> None:
    assert not re.search(r"&#?\w+;", PAGE)


@pytest.mark.parametrize("odd", [r"\ba row an?\b", r"\ba line a\b", r"\bbeside\b", r"\bhangs on\b", r"\bshall\b"])
def test_the_page_of_commands_has_no_odd_words(odd: str) -> None:
    assert not re.search(odd, PAGE)


def test_words_are_explained_where_the_help_first_uses_them(command: Command) -> None:
    _, run, _ = command("run", "--help")
    _, timeline, _ = command("timeline", "--help")
    together = " ".join(run.split()) + " ".join(timeline.split())
    for said in (
        "the center, the parameters that all workers share",
        "what they add up to, its commit",
        "together are an exchange",
        "how many versions the center has gained",
        "stiff directions, those in which the loss curves most",
        "The growth rate says",
        "is a cell",
    ):
        assert said in together
