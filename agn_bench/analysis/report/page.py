"""The page as one file: the document, and what shows it, which lies beside this module.

What the document holds is text to the page: it is never taken for HTML or a program. A policy in its head lets it load
nothing, from nowhere.
"""

from __future__ import annotations

import html
import json
from importlib.resources import files as resources
from pathlib import Path

from agn_bench.analysis.report.cells import Json
from agn_bench.base import files
from agn_bench.base.inputs import BadInput, printable

ENDING = ".html"
_PROGRAM = (
    "elements", "choice", "looks", "charts", "sections", "choosing", "curves", "tables", "phases", "grids", "making",
    "page",
)  # fmt: skip
_PARTS = {
    "STYLE": ["web/page.css"],
    "CHARTS": ["echarts/echarts.min.js"],
    "PROGRAM": [f"web/{name}.js" for name in _PROGRAM],
}
"""Which files stand in place of which word of web/page.html."""


def page(document: Json) -> str:
    """The page that shows a document (see document.py)."""
    parts = {word: "\n".join(map(_read, names)) for word, names in _PARTS.items()}
    parts |= {"TITLE": html.escape(printable(document["title"])), "DOCUMENT": as_script(document)}
    first, *others = _read("web/page.html").split("{{")
    pieces = [first]
    for other in others:
        word, _, rest = other.partition("}}")
        pieces += [parts[word], rest]
    return "".join(pieces)


def _read(name: str) -> str:
    """A file beside this module."""
    return resources(__package__).joinpath(*name.split("/")).read_text(encoding="utf-8")


def as_script(document: Json) -> str:
    """A document as JSON that ends no element of HTML and begins none, whatever it holds."""
    return json.dumps(document, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def check(option: str, path: Path) -> None:
    """Raise BadInput if no page can be written to `path`."""
    if path.suffix.lower() != ENDING:
        problem = f"no page is written as {path.suffix}" if path.suffix else "has no ending"
        raise BadInput(option, path, problem, f"a name that ends in {ENDING}")
    files.check_file(option, path)


def write(path: Path, document: Json) -> int:
    """Write the page that shows a document; its size in bytes."""
    content = page(document).encode()
    files.write_bytes(path, content)
    return len(content)
