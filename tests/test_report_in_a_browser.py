"""The page that one can send, in a real Chromium: it loads in silence, and does what a reader asks of it."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import built_once
from test_report import NAMES, RESULTS, with_phases, write

from agn_bench.analysis import comparison
from agn_bench.analysis.report import document, page

playwright = pytest.importorskip("playwright.sync_api", reason="without playwright no browser can be driven")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed (Debian's package is `chromium`)")

_QUIET = (
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--no-first-run",
)  # fmt: skip
FOLDERS = ("four-methods", "reduced", "paper")
_APART = r"[/\\]"
"""What a run's name cannot have."""
LARGEST = 5_000_000
"""Bytes of a page."""


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The pages of the committed folders, of one whose run has its own folder, and of one with odd names."""
    folder = built_once(tmp_path_factory, "report-pages", _make_pages)
    return {path.stem: path for path in folder.glob("*.html")}


def _make_pages(place: Path) -> None:
    hostile = [
        {"optimizer": name, "delays": name, "workers": at + 1, "run_id": f"{at} {re.sub(_APART, '', name)}\u202e"}
        for at, name in enumerate(NAMES)
    ]
    folders = {name: RESULTS / name for name in FOLDERS}
    folders["phases"] = with_phases(place / "phases", 120)
    folders["again"] = write(place / "MY RUNS' $HOME", {})
    (folders["again"] / "provenance.json").write_text('{"run0": {"config": {}}}', encoding="utf-8")
    folders["hostile"] = write(place / "<b>hostile", *hostile)
    for name, folder in folders.items():
        runs = comparison.read_runs([folder]).asked()
        made = document.document(runs, runs.measured(), f"{name} </title><script>alert(1)</script>")
        page.write(place / f"{name}.html", made)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=CHROMIUM, args=[*_QUIET])
        yield opened
        opened.close()


class Reader:
    """Somebody who looks at a page, and hears what the browser says and asks for."""

    def __init__(self, browser: Any, path: Path, width: int = 1400, scheme: str = "light", fragment: str = "") -> None:
        self.page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        self.heard: list[str] = []
        self.page.set_default_timeout(10_000)
        self.page.on("console", lambda said: self.heard.append(said.text))
        self.page.on("pageerror", lambda error: self.heard.append(str(error)))
        self.page.on("dialog", lambda dialog: self.heard.append(dialog.message))
        self.page.on("request", self._asked)
        self.page.goto(f"{path.as_uri()}{fragment}")
        self.settled()

    def _asked(self, request: Any) -> None:
        if not request.is_navigation_request() and not request.url.startswith("data:"):
            self.heard.append(request.url)

    def settled(self) -> None:
        """Wait until what was chosen is shown."""
        self.page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def click(self, selector: str) -> None:
        self.page.locator(selector).first.click()
        self.settled()

    def choose(self, label: str, text: str) -> None:
        self.page.get_by_label(label, exact=True).first.select_option(label=text)
        self.settled()

    def option(self, section: str = "curves") -> Any:
        """What the chart of a section is drawn from."""
        return self.page.evaluate(
            """(id) => {
              const chart = echarts.getInstanceByDom(document.querySelector(`#${id} .chart`));
              const { xAxis, yAxis, series } = chart.getOption();
              const lines = series.filter(({ type }) => type === "line");
              return {
                x: xAxis[0].name,
                y: yAxis[0].name,
                lines: lines.map(({ name, step, data }) => ({ name, step, data })),
                crosses: series.filter(({ id }) => id.startsWith("cross")).length,
                bands: series.filter(({ id }) => id.startsWith("band")).length,
              };
            }""",
            section,
        )

    def column(self, section: str, head: str) -> list[str]:
        """The texts of a table's column."""
        heads = self.page.locator(f"#{section} thead th").all_inner_texts()
        place = next(at for at, text in enumerate(heads) if text.split(" ▲")[0].split(" ▼")[0] == head)
        return self.page.locator(f"#{section} tbody tr td:nth-child({place + 1})").all_inner_texts()

    def fits(self) -> bool:
        """Whether nothing makes the whole page wider than the window."""
        return bool(self.page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


@pytest.fixture
def read(browser: Any, pages: dict[str, Path]) -> Iterator[Any]:
    """Open a page. At the end the browser must have said nothing, and have asked for nothing."""
    readers = []

    def opened(name: str, **how: Any) -> Reader:
        readers.append(Reader(browser, pages[name], **how))
        return readers[-1]

    yield opened
    for reader in readers:
        reader.page.close()
    assert [text for reader in readers for text in reader.heard] == []


SECTIONS = {
    "four-methods": ["about", "curves", "configurations", "paired", "staleness", "runs", "making"],
    "reduced": [
        "about", "curves", "configurations", "paired", "maps", "staleness", "runs", "claims", "making",
    ],
    "phases": ["about", "curves", "configurations", "staleness", "runs"],
}  # fmt: skip
SECTIONS["paper"] = SECTIONS["reduced"]


@pytest.mark.parametrize("name", FOLDERS)
def test_a_committed_folder_has_a_page_with_all_that_it_has(pages: dict[str, Path], read: Any, name: str) -> None:
    assert pages[name].stat().st_size < LARGEST
    reader = read(name)
    assert reader.page.locator("section").evaluate_all("(all) => all.map(({ id }) => id)") == SECTIONS[name]
    assert reader.option()["lines"]
    assert reader.fits()


def test_a_section_that_has_nothing_is_not_there(read: Any) -> None:
    reader = read("phases")
    assert reader.page.locator("section").evaluate_all("(all) => all.map(({ id }) => id)") == SECTIONS["phases"]


def test_curves_are_switched_on_and_off(read: Any) -> None:
    reader = read("four-methods")
    before = reader.option()
    assert [line["name"] for line in before["lines"]] == ["agn", "easgd", "dynsgd", "downpour"]
    assert (before["x"], before["crosses"], before["bands"]) == ("simulated seconds", 1, 4)
    reader.click("#curves .chip[aria-label='optimizer downpour']")
    assert [line["name"] for line in reader.option()["lines"]] == ["agn", "easgd", "dynsgd"]
    assert reader.column("configurations", "configuration") == ["agn", "easgd", "dynsgd"]
    reader.click("#curves .legend button >> nth=0")
    assert [line["name"] for line in reader.option()["lines"]] == ["easgd", "dynsgd"]
    reader.click("text=everything")
    assert len(reader.option()["lines"]) == 3  # what the legend has hidden stays so
    reader.click("text=first choice")
    assert reader.option() == before


def test_a_page_can_be_sent_as_it_is_shown(read: Any) -> None:
    """Its address has what was chosen."""
    reader = read("four-methods")
    reader.choose("measure", "test accuracy")
    reader.choose("against", "exchanges")
    reader.click("#curves .chip[aria-label='optimizer easgd']")
    reader.click("#curves .legend button >> nth=0")
    other = read("four-methods", fragment="#" + reader.page.url.partition("#")[2])
    assert [line["name"] for line in other.option()["lines"]] == ["dynsgd", "downpour"]
    assert other.option() == reader.option()
    assert other.option()["x"] == "exchanges"


def test_an_address_that_was_cut_or_edited_shows_what_is_left_of_it(read: Any) -> None:
    reader = read("phases", fragment="#run=%E0%A4&measure=&x=no")
    assert reader.page.locator("section").count() == len(SECTIONS["phases"])
    reader = read("four-methods", fragment="#is.optimizer=0,")
    for said in ("is.optimizer=00", "is.optimizer=,0,77,x", "is.optimizer=0&most=-1", "is.optimizer=0&run=%E0%A4&x="):
        assert [line["name"] for line in reader.option()["lines"]] == ["agn"]
        reader.page.evaluate("(said) => { location.hash = said; }", said)
        reader.settled()
    assert [line["name"] for line in reader.option()["lines"]] == ["agn"]


def test_a_center_is_in_steps_and_training_in_lines(read: Any) -> None:
    reader = read("four-methods")
    assert {line["step"] for line in reader.option()["lines"]} == {False}
    reader.choose("measure", "test accuracy")
    shown = reader.option()
    assert {line["step"] for line in shown["lines"]} == {"end"}
    assert shown["y"] == "test accuracy (%)"
    reader.choose("against", "gradient steps of all workers")
    last = max(x for x, _ in reader.option()["lines"][0]["data"])
    assert last == pytest.approx(10_400, rel=0.05)  # what the experiment's file asks for


def test_of_many_configurations_few_are_drawn_and_all_can_be(read: Any) -> None:
    reader = read("reduced")
    assert [line["name"].split(",")[0] for line in reader.option()["lines"]] == ["agn", "easgd", "dynsgd", "downpour"]
    assert "n = 20" in reader.page.locator("#curves .notes").inner_text()
    reader.click("text=everything")
    assert len(reader.option()["lines"]) == 12
    reader.choose("lines", "all")
    assert len(reader.option()["lines"]) == 142


def number(text: str) -> float:
    return float(text.split()[0])


def test_a_table_sorts_by_a_click_and_by_a_key_and_says_so(read: Any) -> None:
    reader = read("four-methods")
    head = reader.page.locator("#runs thead th").filter(has_text="seconds")
    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    seconds = [*map(number, reader.column("runs", "seconds"))]
    assert seconds == sorted(seconds)
    head.locator("button").focus()
    reader.page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "descending"
    seconds = [*map(number, reader.column("runs", "seconds"))]
    assert seconds == sorted(seconds, reverse=True)
    assert reader.page.locator("#runs th[aria-sort]").count() == 1


def test_a_table_is_filtered_by_words_and_by_chips(read: Any) -> None:
    reader = read("four-methods")
    reader.click("#curves .chip[aria-label='optimizer agn']")
    reader.page.get_by_label("filter runs").fill("easgd-n40 s2")
    reader.settled()
    names = reader.column("runs", "run id")
    assert names
    assert all("easgd-n40" in name and "s2" in name for name in names)
    reader.page.get_by_label("filter runs").fill("agn-n40")
    reader.settled()
    assert reader.column("runs", "run id") == []


def test_a_run_is_picked_and_its_phases_are_drawn(read: Any) -> None:
    reader = read("phases")
    assert reader.page.locator("#staleness canvas").count() == 3
    assert "(with phases)" in reader.page.locator("#run").inner_text()
    other = read("four-methods")
    other.click("#runs .picked >> nth=4")
    name = other.page.locator("#runs .picked >> nth=4").inner_text()
    assert f"--like four-methods/runs/{name} --out again" in other.page.locator("#staleness pre").inner_text()
    assert other.page.locator("#run").input_value() == name


def test_a_command_is_what_a_shell_takes_whatever_the_folder_is_called(read: Any) -> None:
    command = read("again").page.locator("#staleness pre").inner_text().splitlines()[0]
    assert shlex.split(command)[:4] == ["agn-bench", "run", "--like", "MY RUNS' $HOME/runs/run0"]


def test_maps_are_tables_with_colours_and_layers(read: Any) -> None:
    reader = read("reduced")
    maps = reader.page.locator("#maps .map")
    assert maps.locator("h3").all_inner_texts() == ["agn", "easgd"]
    assert maps.first.locator("tbody td").count() == 49
    before = maps.first.locator("tbody td").all_inner_texts()
    reader.click("#maps button:has-text('at the end')")
    assert reader.page.locator("#maps .map").first.locator("tbody td").all_inner_texts() != before
    assert "layer=1" in reader.page.url
    reader.click("#curves .chip[aria-label='optimizer agn']")
    assert reader.page.locator("#maps h3").all_inner_texts() == ["easgd"]
    reader.click("#curves .chip[aria-label='optimizer easgd']")
    assert "leave no map" in reader.page.locator("#maps").inner_text()


def test_nothing_that_is_not_there_is_shown_as_a_word(read: Any) -> None:
    reader = read("paper")
    for measure in ("training loss", "test accuracy", "training accuracy"):
        reader.choose("measure", measure)
        words = reader.page.locator("body").inner_text()
        assert [word for word in ("null", "undefined", "NaN", "[object", "Infinity") if word in words] == []


def test_names_are_shown_as_they_are(read: Any) -> None:
    reader = read("hostile")
    shown = reader.page.locator("#curves [role=group][aria-label=optimizer] .chip").all_inner_texts()
    assert {*NAMES} - {"a\u2028b"} <= {*shown}
    assert reader.page.locator("h1").inner_text() == "hostile </title><script>alert(1)</script>"
    assert reader.page.locator("img, b:has-text('hostile')").count() == 0
    assert "mean staleness" in reader.page.locator("#staleness dl").inner_text()
    assert reader.page.locator("#runs tbody tr").count() == len(NAMES)
    reader.choose("lines", "all")
    reader.page.hover("#curves canvas")
    reader.settled()


CONTRAST = """() => {
  const parse = (text) => text.match(/[0-9.]+/g).map(Number);
  const linear = (part) => (part / 255 <= 0.04045 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4);
  const light = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = parse(getComputedStyle(at).backgroundColor);
      if (colour.length < 4 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const found = [];
  for (const element of document.querySelectorAll("body *:not(script):not(svg *):not(option)")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!own || !element.checkVisibility()) continue;
    const [low, high] = [parse(getComputedStyle(element).color), behind(element)].map(light).sort((a, b) => a - b);
    const ratio = (high + 0.05) / (low + 0.05);
    const shown = `${element.tagName}.${element.className} ${element.textContent.slice(0, 30)}`;
    if (ratio < 4.5) found.push(`${shown}: ${ratio.toFixed(2)}`);
  }
  return [...new Set(found)];
}"""


def test_it_is_read_in_any_light_and_at_any_width(read: Any) -> None:
    """Nothing makes the page wider than the window, and all text stands out from what is behind it."""
    reader = read("reduced")
    reader.page.locator("details").evaluate_all("(all) => all.forEach((one) => (one.open = true))")
    for width in (400, 1400):
        reader.page.set_viewport_size({"width": width, "height": 900})
        for scheme in ("light", "dark"):
            reader.page.emulate_media(color_scheme=scheme)
            reader.settled()
            assert reader.page.evaluate("document.documentElement.dataset.theme") == scheme
            assert reader.fits(), width
            assert reader.page.evaluate(CONTRAST) == [], (width, scheme)


def test_light_and_dark_are_chosen_by_a_button_too(read: Any) -> None:
    reader = read("four-methods", scheme="dark")
    reader.click(".theme")
    assert reader.page.evaluate("document.documentElement.dataset.theme") == "light"
    assert "theme=light" in reader.page.url
    assert reader.page.evaluate(CONTRAST) == []
