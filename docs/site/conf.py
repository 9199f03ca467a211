"""The site: the Markdown pages as they lie here, with navigation and search. `make site` builds it, offline.

The sources are the whole checkout's, so that the links of a page lead to the same files as on a forge.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from docutils import nodes
from myst_parser.parsers.sphinx_ import MystParser
from sphinx.addnodes import download_reference, pending_xref
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform

from agn_bench import __version__

ROOT = Path(__file__).parents[2]
GROUPS = {
    "Start": ("/README", "/docs/tour", "/docs/how-it-works"),
    "How to": ("/CONTRIBUTING",),
    "Results": (
        "/results/FINDINGS",
        "/docs/reproduce-the-paper",
        "/results/REPRODUCTION",
        "/docs/can-i-trust-it",
        "/docs/how-fast-is-it",
    ),
    "For looking things up": (
        "Commands </docs/commands>",
        "/docs/files",
        "/docs/optimizers",
        "/docs/clock",
        "/docs/dependencies",
        "/CHANGELOG",
        "/AGENTS",
        "/NOTICES",
    ),
}
"""The pages by what they are for, in the order of the navigation. Those of docs/README.md that are in none stand first
in "How to", in its order.
"""

project = "agn-bench"
version = release = __version__
html_title = "agn-bench"
html_theme = "furo"
html_copy_source = False
html_show_copyright = False
extensions = ["myst_parser"]
source_suffix = {".md": "markdown", ".py": "cells"}
root_doc = "docs/README"
include_patterns = ["*.md", "docs/*.md", "docs/tour.py", "results/*.md"]
exclude_patterns = [".*", "site", "build", "dist", "data", "results/*/**"]
myst_heading_anchors = 6
highlight_language = "none"


class Cells(MystParser):
    """Reads a notebook that is kept as a script: its prose and its code are a page."""

    supported = ("cells",)

    def parse(self, inputstring: str, document: nodes.document) -> None:
        import jupytext

        notebook = jupytext.reads(inputstring, fmt="py:percent")
        fence = "```"
        parts = [
            cell.source if cell.cell_type == "markdown" else f"{fence}python\n{cell.source}\n{fence}"
            for cell in notebook.cells
        ]
        super().parse("\n\n".join(parts), document)


def with_navigation(app: Sphinx, page: str, source: list[str]) -> None:
    """The first page lists all the others by what they are for, which its readers on a forge need not see."""
    if page != root_doc:
        return
    linked = [f"/docs/{name}" for name in re.findall(r"\]\(([\w-]+)\.(?:md|py)\)", source[0])]
    grouped = {entry.strip(">").rpartition("<")[2] for pages in GROUPS.values() for entry in pages}
    others = [name for name in linked if name not in grouped]
    for group, pages in GROUPS.items():
        listed = "\n".join([*others, *pages] if group == "How to" else pages)
        source[0] += f"\n```{{toctree}}\n:hidden:\n:caption: {group}\n\n{listed}\n```\n"


class Elsewhere(SphinxTransform):
    """Links to what is no page of the site: a file is copied and can be downloaded, of a folder its path is shown."""

    default_priority = 500

    def apply(self, **_: Any) -> None:
        for link in [*self.document.findall(pending_xref)]:  # a list, since some are replaced
            target = link["reftarget"]
            if link.get("refdomain") == "doc":
                if target in self.env.found_docs:
                    continue  # a page, even where a folder of its name has its pictures
                (file,) = (f"/{target}{suffix}" for suffix in source_suffix if (ROOT / f"{target}{suffix}").is_file())
                link.replace_self(download_reference("", "", *link.children, reftarget=file, refdoc=link["refdoc"]))
            elif (folder := (ROOT / link["refdoc"]).parent / target).is_dir():
                path = folder.resolve().relative_to(ROOT).as_posix()
                link.replace_self([*link.children, nodes.Text(" ("), nodes.literal("", path), nodes.Text(")")])


def enter_here(app: Sphinx, error: Exception | None) -> None:
    """The site's folder has a first page, too."""
    target = f"{root_doc}.html"
    page = f'<!doctype html><meta charset="utf-8"><title>{project}</title>'
    page += f'<meta http-equiv="refresh" content="0; url={target}"><a href="{target}">{project}</a>\n'
    (Path(app.outdir) / "index.html").write_text(page, encoding="utf-8")


def setup(app: Sphinx) -> None:
    app.add_source_parser(Cells)
    app.connect("source-read", with_navigation)
    app.connect("build-finished", enter_here)
    app.add_transform(Elsewhere)
