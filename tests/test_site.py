"""The site that `make site` builds from the pages."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from conftest import built_once

pytest.importorskip("sphinx", reason="the extra `docs` is not installed")

ROOT = Path(__file__).parent.parent


class Page(HTMLParser):
    """What a page links to, what it loads, and what one can link to in it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.loads: set[str] = set()
        self.names: Counter[str] = Counter()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.names[given.get("id", "")] += 1
        if "src" in given:
            self.loads.add(given["src"])
        if "href" in given:
            (self.links if tag == "a" else self.loads).add(given["href"])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As the Makefile builds it."""
    (words,) = re.findall(r"^\t\$\(BIN\)/python (-m sphinx .*) -d build/site \. site$", MAKEFILE, flags=re.MULTILINE)

    def build(folder: Path) -> None:
        line = [sys.executable, *words.split(), "-d", str(folder / ".doctrees"), ".", str(folder)]
        ran = subprocess.run(line, cwd=ROOT, capture_output=True, text=True)
        assert (ran.returncode, ran.stderr) == (0, ""), ran.stderr

    return built_once(tmp_path_factory, "site", build)


MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


def test_every_link_of_the_site_leads_somewhere_and_it_loads_nothing_from_elsewhere(site: Path) -> None:
    pages = {path.resolve(): Page(path) for path in site.rglob("*.html")}
    assert len(pages) > 20
    for path, page in pages.items():
        for link in page.links | page.loads:
            parts = urlsplit(link)
            if parts.scheme:
                assert link in page.links and link not in page.loads, link
                continue
            assert not parts.netloc, link
            there = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            assert there.is_relative_to(site.resolve()) and there.is_file(), (path, link)
            if parts.fragment and there in pages:
                assert pages[there].names[unquote(parts.fragment)] == 1, (path, link)
    styles = "".join(path.read_text(encoding="utf-8") for path in site.rglob("*.css"))
    assert not re.findall(r"url\(['\"]?(?:https?:)?//|@import", styles)


def test_a_link_to_a_page_leads_there_also_where_a_folder_has_its_name(site: Path) -> None:
    linked = set(re.findall(r"\((docs/[\w-]+)\.md[#)]", (ROOT / "README.md").read_text(encoding="utf-8")))
    assert {"docs/optimizers", "docs/clock"} <= linked
    main = (site / "README.html").read_text(encoding="utf-8").partition("<article")[2].partition("</article>")[0]
    assert {f"{name}.html" for name in linked} <= {
        link.partition("#")[0] for link in re.findall(r'href="([^"]+)"', main)
    }


def test_every_page_is_in_the_navigation_and_the_search_knows_it(site: Path) -> None:
    pages = {path.relative_to(ROOT).with_suffix("").as_posix() for path in (ROOT / "docs").glob("*.md")}
    pages |= {"README", "CONTRIBUTING", "docs/tour", "results/FINDINGS", "results/REPRODUCTION"}
    first = site / "docs" / "README.html"
    linked = {(first.parent / link.partition("#")[0]).resolve() for link in Page(first).links if ":" not in link}
    assert {(site / f"{name}.html").resolve() for name in pages - {"docs/README"}} <= linked
    text = (site / "searchindex.js").read_text(encoding="utf-8")
    index = json.loads(text.removeprefix("Search.setIndex(").removesuffix(")"))
    assert pages <= set(index["docnames"])
    for word in ("stale", "quorum", "server"):
        assert word in index["terms"]
    assert "docs/README.html" in (site / "index.html").read_text(encoding="utf-8")
