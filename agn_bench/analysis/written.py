"""Tables as files, by the ending of their names: the numbers as CSV, or what a reader sees as TeX, Markdown or HTML."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
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

    @property
    def head(self) -> list[str]:
        return [*dict.fromkeys(name for row in self.rows for name in row)]

    def lines(self, escape: Callable[[str], str]) -> list[list[str]]:
        """Its cells, the head first; breaks of lines are blanks."""
        head = self.head
        cells = [head, *([row.get(name, "") for name in head] for row in self.rows)]
        return [[escape(" ".join(cell.split())) for cell in line] for line in cells]


def markdown(tables: Sequence[Shown]) -> str:
    """As GitHub shows it."""
    parts = []
    for table in tables:
        head, *rows = ["| " + " | ".join(line) + " |" for line in table.lines(_markdown)]
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
        parts.append("<thead><tr>" + "".join(f"<th>{cell}</th>" for cell in head) + "</tr></thead>\n<tbody>")
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
