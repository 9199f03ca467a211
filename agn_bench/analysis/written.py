"""Tables as files, by the ending of their names: the numbers as CSV, or what a reader sees as TeX, Markdown or HTML."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

from agn_bench.analysis.tables import Row
from agn_bench.base import files
from agn_bench.base.inputs import BadInput


@dataclass(frozen=True)
class Shown:
    """A table as a reader sees it."""

    title: str
    rows: Sequence[dict[str, str]]
    notes: Sequence[str] = ()
    """Sentences below it."""
    over: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """For columns that stand in a block: its name, which stands above them, and their own."""

    @property
    def head(self) -> list[str]:
        return [*dict.fromkeys(name for row in self.rows for name in row)]

    def blocks(self, escape: Callable[[str], str]) -> list[tuple[str, int]]:
        """The row above the head: names of blocks, and over how many columns each stands. Empty without blocks."""
        names = [self.over.get(name, ("", ""))[0] for name in self.head] if self.over else []
        return [(escape(_in_a_line(name)), len([*own])) for name, own in groupby(names)]

    def lines(self, escape: Callable[[str], str]) -> list[list[str]]:
        """Its cells, the head first; breaks of lines are blanks."""
        head = self.head
        own = [self.over.get(name, ("", name))[1] for name in head]
        cells = [own, *([row.get(name, "") for name in head] for row in self.rows)]
        return [[escape(_in_a_line(cell)) for cell in line] for line in cells]


def _in_a_line(text: str) -> str:
    return " ".join(text.split())


def markdown(tables: Sequence[Shown]) -> str:
    """As GitHub shows it."""
    parts = []
    for table in tables:
        head, *rows = ["| " + " | ".join(line) + " |" for line in table.lines(_markdown)]
        blocks = [name for name, columns in table.blocks(_markdown) for name in [name, *[""] * (columns - 1)]]
        if blocks:  # there can be one head alone, and the first row below it is the second
            head, rows = "| " + " | ".join(blocks) + " |", [head, *rows]
        rule = "|" + "---|" + "---:|" * (len(table.head) - 1)
        parts += [f"**{_markdown(table.title)}**", "\n".join([head, rule, *rows]), *map(_markdown, table.notes)]
    return "\n\n".join(parts) + "\n"


def _markdown(text: str) -> str:
    return re.sub(r"([\\`*_{}\[\]#|~$<>])", r"\\\1", text).replace("&", "&amp;")


def latex(tables: Sequence[Shown]) -> str:
    """Tables that need no package, with their titles as captions."""
    parts = []
    for table in tables:
        head, *rows = [" & ".join(line) + r" \\" for line in table.lines(_latex)]
        notes = [r"\par\smallskip " + _latex(note) for note in table.notes]
        parts.append(
            "\n".join(
                [
                    r"\begin{table}",
                    r"\centering",
                    rf"\caption{{{_latex(table.title)}}}",
                    rf"\begin{{tabular}}{{l{'r' * (len(table.head) - 1)}}}",
                    r"\hline",
                    *_latex_blocks(table),
                    head,
                    r"\hline",
                    *rows,
                    r"\hline",
                    r"\end{tabular}",
                    *notes,
                    r"\end{table}",
                ]
            )
        )
    return "\n\n".join(parts) + "\n"


def _latex_blocks(table: Shown) -> list[str]:
    """The row of names above the head, and a line below each, if there are blocks."""
    cells, rules, first = [], [], 1
    for name, columns in table.blocks(_latex):
        cells.append(rf"\multicolumn{{{columns}}}{{c}}{{{name}}}")
        if name:
            rules.append(rf"\cline{{{first}-{first + columns - 1}}}")
        first += columns
    return [" & ".join(cells) + r" \\", "".join(rules)] if cells else []


_LATEX = {character: "\\" + character for character in "&%$#_{}"} | {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}",
    ">": r"\textgreater{}", "|": r"\textbar{}", '"': "''", "[": "{[}", "]": "{]}", "*": "{*}",
    "λ": r"$\lambda$", "τ": r"$\tau$", "±": r"$\pm$", "−": "$-$", "–": "--", "…": r"\ldots{}",
}  # fmt: skip


def _latex(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in text)


_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>agn-bench</title>
<style>
table { border-collapse: collapse; margin: 1em 0 }
caption { text-align: left; font-weight: bold }
th, td { padding: .2em .6em; border-bottom: 1px solid #ccc; text-align: right }
th:first-child, td:first-child { text-align: left }
</style>
</head>
<body>"""


def web_page(tables: Sequence[Shown]) -> str:
    """A page that needs nothing beside it."""
    parts = [_PAGE]
    for table in tables:
        head, *rows = table.lines(html.escape)
        parts += ["<table>", f"<caption>{html.escape(table.title)}</caption>"]
        blocks = "".join(f'<th colspan="{columns}">{name}</th>' for name, columns in table.blocks(html.escape))
        above = f"<tr>{blocks}</tr>" if blocks else ""
        parts.append(f"<thead>{above}<tr>" + "".join(f"<th>{cell}</th>" for cell in head) + "</tr></thead>\n<tbody>")
        parts += ["<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows]
        parts += ["</tbody>\n</table>", *(f"<p>{html.escape(note)}</p>" for note in table.notes)]
    return "\n".join([*parts, "</body>\n</html>"]) + "\n"


_TEXTS: dict[str, Callable[[Sequence[Shown]], str]] = {".tex": latex, ".md": markdown, ".html": web_page}
ENDINGS = (".csv", *_TEXTS)


def check_ending(option: str, path: Path) -> None:
    """Raise BadInput if no table is written to a file of this name."""
    if path.suffix.lower() not in ENDINGS:
        problem = f"no table is written as {path.suffix}" if path.suffix else "has no ending"
        *others, last = ENDINGS
        raise BadInput(option, path, problem, f"a name that ends in {', '.join(others)} or {last}")


def write_tables(path: Path, rows: Sequence[Row], tables: Sequence[Shown]) -> None:
    """Write the rows as CSV, or else the tables, as the ending says."""
    text = _TEXTS.get(path.suffix.lower())
    if text is None:
        files.write_table(path, [*rows])
    else:
        files.write_text(path, text(tables))
