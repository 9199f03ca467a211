"""Pictures: the same whatever Matplotlib's user has set, names as they are, lines and panels that can be told apart."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from conftest import in_full
from matplotlib.figure import Figure

from agn_bench.analysis import axes, comparison
from agn_bench.analysis.arrangement import Arrangement, Look, arrange
from agn_bench.analysis.comparison import Configuration
from agn_bench.analysis.figures import look
from agn_bench.analysis.figures.clock import heat_maps, measured_against_simulated
from agn_bench.analysis.figures.curves import Curves, draw, over_seeds
from agn_bench.analysis.figures.lettering import readable, wrapped
from agn_bench.analysis.figures.look import Layout, picture
from agn_bench.analysis.figures.over_time import over_time
from agn_bench.analysis.measures import Measured
from agn_bench.base.inputs import BadInput
from agn_bench.cli import plotting
from agn_bench.cli.base import said as as_the_command_says
from agn_bench.optimizers import OPTIMIZERS
from agn_bench.training.columns import CONFIGURATION_COLUMNS

ROOT = Path(__file__).parents[1]
Command = Callable[..., tuple[int, str, str]]
FEW = [*OPTIMIZERS][:10]
"""As many as have colours of their own, and as a panel can hold."""
TRAINING, TEST = Measured("train_accuracy"), Measured("test_accuracy")
RISE = (np.array([0.0, 5.0, 10.0]), np.array([0.1, 0.6, 0.9]))


def configuration(
    seeds: int = 2, diverged_s: Sequence[float] = (), measure: Measured = TRAINING, **columns: Any
) -> Configuration:
    """One with these columns of summary.csv, whose first seeds diverged."""
    described = {**dict.fromkeys(CONFIGURATION_COLUMNS), "optimizer": "agn", "workers": 4, "local_steps": 3, **columns}
    ends = [*diverged_s, *[None] * (seeds - len(diverged_s))]
    runs = pd.DataFrame(
        {
            "sim_time_s": 10.0,
            "status": ["done" if end is None else "diverged" for end in ends],
            "diverged_s": pd.array(ends, dtype="Float64").to_numpy(float, na_value=np.nan),
        }
    )
    described["configuration"] = str(sorted(described.items(), key=str))
    return Configuration("", described, runs, [RISE] * seeds, measure, None)


# --- whose settings ---

DRAWING = """
import sys
from pathlib import Path
import numpy as np
from agn_bench.analysis.figures.curves import Curves
from agn_bench.analysis.figures.panels import Line, Panel, curves_over_time
curve = np.linspace(0, 1000, 50), np.linspace(0.1, 0.95, 50)
for path in curves_over_time([Panel("n = 4", [Line("agn", Curves([curve, curve]))], 0)], Path(sys.argv[1])):
    path.write_bytes(path.read_bytes())
"""
RC = """
text.usetex: True
text.latex.preamble: \\usepackage{absent}
font.family: Absent Sans
font.size: 31
axes.prop_cycle: cycler("color", ["red"])
axes.grid: False
axes.formatter.use_locale: True
savefig.bbox: tight
savefig.dpi: 30
savefig.transparent: True
savefig.facecolor: yellow
figure.autolayout: True
svg.fonttype: path
timezone: Asia/Tokyo
lines.linewidth: 9
"""
HOSTILE: dict[str, tuple[dict[str, str], str, bytes]] = {
    "the backend of a notebook": ({"MPLBACKEND": "module://matplotlib_inline.backend_inline"}, "", b""),
    "a backend that is none": ({"MPLBACKEND": "nonsense"}, "", b""),
    "a backend with windows": ({"MPLBACKEND": "TkAgg"}, "", b""),
    "a matplotlibrc here": ({}, "matplotlibrc", RC.encode()),
    "one that MATPLOTLIBRC names": ({"MATPLOTLIBRC": "mine"}, "mine", RC.encode()),
    "one in the folder of settings": ({"MPLCONFIGDIR": "."}, "matplotlibrc", RC.encode()),
    "a matplotlibrc that is no text": ({}, "matplotlibrc", b"\xff\xfe\x00"),
    "a matplotlibrc of nonsense": ({}, "matplotlibrc", b"axes.grid: perhaps\nno such key: 1\nnothing\n"),
    "a folder of settings that cannot be": ({"MPLCONFIGDIR": "/dev/null/settings"}, "", b""),
    "no home": ({"HOME": "/dev/null/nobody", "XDG_CONFIG_HOME": "", "XDG_CACHE_HOME": ""}, "", b""),
    "a decimal comma": ({"LC_ALL": "de_DE.UTF-8", "LANG": "de_DE.UTF-8"}, "matplotlibrc", RC.encode()),
}


def drawn_elsewhere(folder: Path, environment: dict[str, str]) -> tuple[str, ...]:
    """What a process of its own, in this folder, draws: hashes of the PNG and the SVG."""
    (folder / "pictures").mkdir()
    there = {name: value for name, value in os.environ.items() if not name.startswith(("MPL", "MATPLOTLIB"))}
    done = subprocess.run(
        [sys.executable, "-c", DRAWING, "pictures/drawn"],
        cwd=folder,
        # What it finds out about the fonts that are there is kept for the next of these processes.
        env={**there, "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(folder.parent), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    return hashes(folder / "pictures" / "drawn")


def hashes(stem: Path) -> tuple[str, ...]:
    return tuple(hashlib.sha256(stem.with_suffix(kind).read_bytes()).hexdigest() for kind in (".png", ".svg"))


def draw_here(folder: Path) -> tuple[str, ...]:
    exec(compile(DRAWING.replace("sys.argv[1]", repr(str(folder / "here"))), "drawing", "exec"), {})
    return hashes(folder / "here")


@pytest.fixture(scope="module")
def drawn_here(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """What this process draws."""
    return draw_here(tmp_path_factory.mktemp("here"))


@pytest.mark.kind("the user's own settings of Matplotlib")
@pytest.mark.parametrize("name", in_full(HOSTILE, [*HOSTILE][::4]))  # each draws in a process of its own
def test_a_picture_is_the_same_with(name: str, tmp_path: Path, drawn_here: tuple[str, ...]) -> None:
    environment, file, content = HOSTILE[name]
    if file:
        (tmp_path / file).write_bytes(content)
    assert drawn_elsewhere(tmp_path, environment) == drawn_here


@pytest.fixture
def styled() -> Iterator[None]:
    """What a user's file may do when it is imported."""
    with mpl.rc_context():
        mpl.rcParams.update({"axes.facecolor": "black", "font.size": 30, "lines.linewidth": 7, "savefig.dpi": 40})
        mpl.rcParams["text.usetex"] = True
        yield


@pytest.mark.kind("the user's own settings of Matplotlib")
def test_a_picture_is_the_same_with_a_style_that_a_users_file_has_set(
    tmp_path: Path, drawn_here: tuple[str, ...], styled: None
) -> None:
    before = dict(mpl.rcParams)
    assert draw_here(tmp_path) == drawn_here
    assert dict(mpl.rcParams) == before


@pytest.mark.kind("the user's own settings of Matplotlib")
def test_the_clock_is_drawn_from_a_notebook(tmp_path: Path) -> None:
    """The case itself; and a user's optimizer may import Matplotlib."""
    (tmp_path / "mine.py").write_text(
        "import matplotlib.pyplot\nfrom agn_bench.optimizers.agn import Agn\n"
        "from agn_bench.optimizers import optimizer\n@optimizer\nclass Mine(Agn):\n    '''c + s / lambda'''\n"
    )
    words = (
        "timeline",
        "--workers",
        "2",
        "--local-steps",
        "3",
        "--gradient-steps",
        "60",
        "--optimizer",
        "mine.py:Mine",
    )
    done = subprocess.run(
        [sys.executable, "-m", "agn_bench", *words, "--out", "out"],
        cwd=tmp_path,
        env={
            **os.environ,
            "MPLBACKEND": "module://matplotlib_inline.backend_inline",
            "PYTHONPATH": str(ROOT),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    drawn = {"staleness.png", "staleness.svg", "gantt.png", "gantt.svg"}
    assert {path.name for path in (tmp_path / "out" / "figures").iterdir()} == drawn
    assert (tmp_path / "out" / "provenance.json").exists()


# --- names ---

NAMES = {
    "dollars in pairs": "cost_$5_of_$20",
    "a formula": "$a$",
    "markup of mathtext": r"\frac{a}{b}^2_3 \$x$",
    "an underscore first": "_hidden",
    "percent signs and braces": "100 % of {0} %s %(x)s",
    "markup of XML and Rich": '<b>&amp;"</b> [bold]x[/]',
    "another script": "Ελληνικά Кириллица العربية",
    "letters that no font here has": "日本 😀",
    "spaces at its ends": "  x  ",
    "only an underscore": "_",
}


def texts(svg: Path) -> list[str]:
    """What stands in a picture."""
    root = ElementTree.parse(svg).getroot()
    return ["".join(text.itertext()) for text in root.iter("{http://www.w3.org/2000/svg}text")]


@pytest.mark.kind("names with markup or of other scripts in pictures")
@pytest.mark.parametrize("name", in_full(NAMES.values(), [*NAMES.values()][::2]), ids=in_full(NAMES, [*NAMES][::2]))
def test_a_name_is_drawn_as_it_is(name: str, tmp_path: Path) -> None:
    """In a legend and over panels."""
    two = [configuration(delays=name, model=name), configuration(delays="other", model=name)]
    with warnings.catch_warnings(action="error"):
        over_time(arrange(two, ["delays"], ["model"]), TRAINING, tmp_path / "drawn")
    assert texts(tmp_path / "drawn.svg").count(name) == 2


@pytest.mark.kind("names with markup or of other scripts in pictures")
@pytest.mark.parametrize("name", ["cost_$5_of_$20", "_hidden", "日本 😀"])
def test_a_name_is_drawn_as_it_is_by_the_clock(name: str, tmp_path: Path) -> None:
    """Over a map, and as a column of measured seconds."""
    heat_maps({name: pd.DataFrame({10: [0.5]}, index=[1])}, tmp_path / "map")
    rows = {"column": [name], "role": "fitted", "measured_s": 1.0, "simulated_s": 2.0, "error": 1.0}
    measured_against_simulated(pd.DataFrame(rows), tmp_path / "measured")
    assert name in texts(tmp_path / "map.svg")
    assert f"{name} (fitted)" in texts(tmp_path / "measured.svg")


@pytest.fixture
def whole_texts(sketched: None, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What pictures say beside their axes' numbers, once it is sure that none of it is cut. Nothing else is drawn."""
    found: list[str] = []

    def looked_at(figure: Any, path: Path, **options: Any) -> None:
        path.write_bytes(b"a picture")
        if options["format"] == "svg":
            return
        figure.draw_without_rendering()
        own = [*figure.texts, *(text for legend in figure.legends for text in legend.get_texts())]
        own += [text for axes in figure.axes for text in (axes.title, axes.xaxis.label, axes.yaxis.label)]
        for text in own:
            box = text.get_window_extent()
            assert box.x0 >= -1 and box.y0 >= -1, text
            assert box.x1 <= figure.bbox.width + 1 and box.y1 <= figure.bbox.height + 1, text
        found.extend(text.get_text() for text in own)

    monkeypatch.setattr(Figure, "savefig", looked_at)
    return found


@pytest.mark.kind("names with markup or of other scripts in pictures")
@pytest.mark.parametrize("name", ["x" * 250, "two words " * 30, "名" * 80], ids=["no spaces", "words", "wide letters"])
@pytest.mark.parametrize("panels", [[], ["delays"]], ids=["in a legend", "over a panel"])
def test_a_very_long_name_is_whole(name: str, panels: list[str], tmp_path: Path, whole_texts: list[str]) -> None:
    two = [configuration(delays=name), configuration(delays="other")]
    over_time(arrange(two, panels), TRAINING, tmp_path / "drawn")
    assert any("".join(name.split()) in "".join(text.split()) for text in whole_texts)


@pytest.mark.kind("names with markup or of other scripts in pictures")
@pytest.mark.parametrize(
    ("name", "shown"),
    [("a\nb\tc", r"a\nb\tc"), ("byte \udcff", r"byte \xff"), ("\ud800", r"\ud800"), ("a\x00\x1b", r"a\x00\x1b")],
    ids=["line ends", "a byte that is no text", "half of a character", "control characters"],
)
def test_what_no_picture_can_show_is_shown_as_python_does(name: str, shown: str, tmp_path: Path) -> None:
    assert readable(name) == shown
    over_time(arrange([configuration(delays=name), configuration()]), TRAINING, tmp_path / "drawn")
    assert f"agn, {shown}" in texts(tmp_path / "drawn.svg")


def test_a_letter_comes_from_any_font_of_the_machine_that_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here a font made for it, with one letter of its own."""
    from fontTools.fontBuilder import FontBuilder
    from fontTools.pens.ttGlyphPen import TTGlyphPen
    from matplotlib import font_manager

    pen = TTGlyphPen(None)
    pen.moveTo((0, 0))
    for point in ((0, 700), (500, 700), (500, 0)):
        pen.lineTo(point)
    pen.closePath()
    built = FontBuilder(1000, isTTF=True)
    built.setupGlyphOrder([".notdef", "house"])
    built.setupCharacterMap({ord("家"): "house"})
    built.setupGlyf({".notdef": TTGlyphPen(None).glyph(), "house": pen.glyph()})
    built.setupHorizontalMetrics({".notdef": (600, 0), "house": (600, 0)})
    built.setupHorizontalHeader(ascent=800, descent=-200)
    built.setupNameTable({"familyName": "Houses", "styleName": "Regular"})
    built.setupOS2()
    built.setupPost()
    built.save(tmp_path / "houses.ttf")
    own = font_manager.fontManager.ttflist
    monkeypatch.setattr(font_manager.fontManager, "ttflist", list(own))
    font_manager.fontManager.addfont(tmp_path / "houses.ttf")
    over_time(arrange([configuration(delays="家"), configuration()]), TRAINING, tmp_path / "drawn")
    assert "Houses" in (tmp_path / "drawn.svg").read_text()


# --- lines, panels and their looks ---


def grid(optimizers: Sequence[str], **columns: Sequence[Any]) -> list[Configuration]:
    """All combinations."""
    found: list[dict[str, Any]] = [{"optimizer": name} for name in optimizers]
    for column, values in columns.items():
        found = [{**one, column: value} for one in found for value in values]
    return [configuration(**one) for one in found]


def look_of(arrangement: Arrangement) -> dict[str, Any]:
    looks = {line.label: line.look for panel in arrangement.panels for line in panel.lines}
    for panel in arrangement.panels:
        assert all(line.look == looks[line.label] for line in panel.lines)
        assert len({line.look for line in panel.lines}) == len(panel.lines)
    return looks


def test_panels_are_combinations_and_lines_are_optimizers() -> None:
    cells = grid(["easgd", "agn"], workers=[20, 5, 10], delays=["slow", "fast"])
    found = arrange(cells, ["n", "delays"], ["optimizer"])
    titles = [f"n {n}, {delays}" for n in (5, 10, 20) for delays in ("fast", "slow")]
    assert [panel.title for panel in found.panels] == titles
    assert found.width == 2
    assert all([line.label for line in panel.lines] == ["agn", "easgd"] for panel in found.panels)
    assert found.labels == ["agn", "easgd"]


@pytest.mark.parametrize("short", ["n", "workers", " n "])
def test_columns_have_short_names(short: str) -> None:
    assert len(arrange(grid(["agn"], workers=[5, 10]), [short]).panels) == 2


def test_a_combination_that_is_not_there_leaves_its_place_empty() -> None:
    cells = grid(["agn", "easgd"], workers=[5, 10, 20], delays=["slow", "fast"])
    found = arrange(
        [one for one in cells if (one.columns["workers"], one.columns["delays"]) != (10, "fast")], ["n", "delays"]
    )
    assert [len(panel.lines) for panel in found.panels] == [2, 2, 0, 2, 2, 2]


@pytest.mark.kind("one look for one optimizer")
@pytest.mark.parametrize(
    ("panels", "lines", "kept"),
    [
        (["n"], ["optimizer"], lambda columns: True),
        ([], [], lambda columns: columns["workers"] == 5),
        ([], ["optimizer"], lambda columns: columns["workers"] == 5 and columns["optimizer"] != "agn"),
        (["n"], [], lambda columns: (columns["optimizer"], columns["workers"]) != ("agn", 5)),
        (["optimizer"], [], lambda columns: columns["workers"] == 10),
        ([], [], lambda columns: columns["optimizer"] == "zeta-1234:Mine" and columns["workers"] == 10),
    ],
    ids=["panels", "one panel", "without agn", "agn is absent in a panel", "a panel each", "a single line"],
)
def test_an_optimizer_looks_the_same_in_every_picture(
    panels: list[str], lines: list[str], kept: Callable[[Any], bool]
) -> None:
    """Also users' own, and one that comes with two values of its number."""
    names = [*FEW[:-1], "alpha-1234:Mine", "zeta-1234:Mine"]
    cells = [one for one in grid(names, workers=[5, 10]) if one.columns["optimizer"] != "local-sgd"]
    cells += grid(["local-sgd"], workers=[5, 10], backups=[0, 2])
    cells = [replace(one, columns={"backups": None, **one.columns}) for one in cells]
    every = [one.columns for one in cells]

    def looks(arrangement: Arrangement) -> list[tuple[tuple[Any, Any], Look]]:
        lines = [line for panel in arrangement.panels for line in panel.lines]
        return [
            ((one["optimizer"], one["backups"]), line.look) for line in lines for one in [line.configuration.columns]
        ]

    all_of_them = dict(looks(arrange(cells, ["n"], ["optimizer"], every)))
    assert len(set(all_of_them.values())) == len(all_of_them) == len(names) + 1
    some = looks(arrange([one for one in cells if kept(one.columns)], panels, lines, every))
    assert all(look == all_of_them[optimizer] for optimizer, look in some)


def test_shipped_optimizers_have_looks_of_their_own() -> None:
    """The first ones a colour, and all a colour and a dash."""
    every = [one.columns for one in grid([*OPTIMIZERS])]
    looks = {name: look_of(arrange(grid([name]), [], ["optimizer"], every))[name] for name in OPTIMIZERS}
    assert len({looks[name].colour for name in FEW}) == len(FEW)
    assert len(set(looks.values())) == len(OPTIMIZERS)
    assert {name: looks[name] for name in FEW} == look_of(arrange(grid(FEW)))


def test_lines_of_one_optimizer_are_in_the_order_of_their_values() -> None:
    looks = look_of(arrange(grid(["agn"], local_steps=[40, 5, 10, 20, 30])))
    assert [*looks] == ["agn, λ 5", "agn, λ 10", "agn, λ 20", "agn, λ 30", "agn, λ 40"]
    assert [(look.colour, look.ordered) for look in looks.values()] == [(rank, 5) for rank in range(5)]


@pytest.mark.kind("a picture that nobody can read")
@pytest.mark.parametrize(
    ("cells", "panels", "lines", "says"),
    [
        (
            grid(["agn", "easgd"], workers=[1, 2, 3, 4, 5, 6], local_steps=[1, 2, 3, 4, 5]), [], [],
            ("60 lines in a panel", "--panels workers,local_steps", "--lines optimizer", "--only"),
        ),
        (grid(["agn"], workers=range(1, 14)), [], [], ("13 lines in a panel", "--panels workers", "--only")),
        (grid(["agn"], workers=range(1, 66)), ["n"], [], ("65 panels", "--only")),
        (grid(["agn", "easgd"], local_steps=[5, 10]), [], ["optimizer"], ("2 configurations would", "local_steps")),
        (grid(["agn", "easgd"], alpha=[0, 1], workers=[5, 9]), ["alpha"], ["optimizer"], ("one line", "workers")),
        (grid(["agn"]), ["worker"], [], ("--panels worker: unknown", "did you mean workers?", "n for workers")),
        (grid(["agn"]), [], ["colour"], ("--lines colour: unknown", "optimizer")),
    ],
    ids=["60 cells", "13 lines", "65 panels", "steps as seeds", "workers as seeds", "no panel", "no line"],
)  # fmt: skip
def test_it_is_refused_with_advice(
    cells: list[Configuration], panels: list[str], lines: list[str], says: Sequence[str]
) -> None:
    with pytest.raises(BadInput) as refused:
        arrange(cells, panels, lines)
    message = as_the_command_says(refused.value)
    assert all(text in message for text in says), message


@pytest.mark.kind("a picture that nobody can read")
@pytest.mark.parametrize(
    ("cells", "panels"),
    [
        (grid(FEW), []),
        (grid(FEW, workers=[5, 10, 15], delays=["slow", "fast", "paper-cluster"]), ["n", "delays"]),
        (grid(["agn", "easgd"], workers=range(1, 6), local_steps=range(1, 6)), ["n", "λ"]),
        (grid(["agn"], local_steps=range(1, 13)), []),
        (grid(["agn", "easgd"], model=[f"mlp-{width * '100-'}10" for width in range(1, 7)]), []),
    ],
    ids=["ten optimizers", "nine panels", "25 panels", "twelve lines", "long labels"],
)
def test_nothing_is_cut_and_nothing_is_said(
    cells: list[Configuration],
    panels: list[str],
    tmp_path: Path,
    whole_texts: list[str],
    capfd: pytest.CaptureFixture[str],
) -> None:
    arrangement = arrange(cells, panels)
    with warnings.catch_warnings(action="error"):
        over_time(arrangement, TRAINING, tmp_path / "drawn")
    assert {*arrangement.labels} <= {text.replace("\n", " ") for text in whole_texts}
    assert capfd.readouterr() == ("", "")


def test_plot_draws_panels(command: Command, tmp_path: Path) -> None:
    code, _, err = command("plot", ROOT / "results" / "four-methods", "--panels", "optimizer", "--out", tmp_path / "x")
    assert (code, err) == (0, "")
    said = texts(tmp_path / "x.svg")
    assert [said.count(name) for name in ("agn", "easgd", "dynsgd", "downpour")] == [2, 2, 2, 1]
    assert {"downpour (2 of 3 runs diverged)", "simulated seconds", "training accuracy"} <= {*said}


def test_training_and_test_accuracy_do_not_take_each_others_place(
    command: Command, tmp_path: Path, sketched: None
) -> None:
    for name in ("summary.csv", "curves.csv.gz"):
        (tmp_path / name).symlink_to(ROOT / "results" / "four-methods" / name)
    for accuracy in ("train_accuracy", "test_accuracy"):
        command("plot", tmp_path, "--accuracy", accuracy)
    drawn = {path.stem for path in (tmp_path / "figures").iterdir()}
    assert drawn == {"accuracy-over-time", "test-accuracy-over-time"}


# --- on a page ---


def points_of(stem: Path) -> tuple[float, float]:
    """How wide the PDF and the SVG say that they are, in points of 1/72 inch."""
    box = re.search(rb"/MediaBox \[ 0 0 ([0-9.]+) ", stem.with_suffix(".pdf").read_bytes())
    width = ElementTree.parse(stem.with_suffix(".svg")).getroot().attrib["width"]
    assert box is not None and width.endswith("pt")
    return float(box[1]), float(width.removesuffix("pt"))


@pytest.mark.parametrize(
    ("width", "points"), [("3.3in", 237.6), ("8.4 cm", 238.110236), ("84MM", 238.110236), ("237.6pt", 237.6)]
)
def test_a_figure_is_exactly_as_wide_as_it_is_to_be(tmp_path: Path, width: str, points: float) -> None:
    layout = Layout(("pdf", "svg"), plotting._inches("width", width))
    drawn = over_time(arrange([configuration()]), TRAINING, tmp_path / "x", layout)
    assert [path.suffix for path in drawn] == [".pdf", ".svg"]
    assert points_of(tmp_path / "x") == pytest.approx((points, points), abs=1e-5)


def test_a_pdf_has_truetype_fonts_and_no_date_and_is_always_the_same(tmp_path: Path) -> None:
    for stem in (tmp_path / "one", tmp_path / "other"):
        over_time(arrange([configuration()]), TRAINING, stem, Layout(("pdf", "svg", "png"), 3.3, title="λ"))
    pdf = (tmp_path / "one.pdf").read_bytes()
    assert b"/FontFile2" in pdf and b"/Type3" not in pdf
    assert b"Date" not in pdf
    for ending in (".pdf", ".svg", ".png"):
        assert (tmp_path / f"one{ending}").read_bytes() == (tmp_path / f"other{ending}").read_bytes()


@pytest.mark.kind("a picture that nobody can read")
@pytest.mark.parametrize("width", [1.5, 3.3, 7])
@pytest.mark.parametrize(
    ("cells", "panels"),
    [
        (grid(["agn"]), []),
        (grid(["agn", "easgd", "downpour"], delays=["slow", "fast"]), ["delays"]),
        (grid(["agn"], workers=range(1, 7)), ["n"]),
    ],
    ids=["one panel", "two", "six"],
)
def test_nothing_is_cut_at_any_width(
    width: float, cells: list[Configuration], panels: list[str], tmp_path: Path, whole_texts: list[str]
) -> None:
    layout = Layout(
        (), width, 8, "a title that is longer than the figure is wide", "along an axis of a long name", "measure"
    )
    over_time(arrange(cells, panels), TRAINING, tmp_path / "x", layout)
    said = [text.replace("\n", " ") for text in whole_texts]
    assert {layout.title, layout.xlabel, layout.ylabel} <= {*said}


@pytest.mark.kind("names with markup or of other scripts in pictures")
@pytest.mark.parametrize("name", ["cost_$5_of_$20", r"$\frac{a}{b}$", "_hidden", "<b>&amp;</b>"])
def test_what_somebody_calls_a_figure_and_its_axes_is_drawn_as_it_is(name: str, tmp_path: Path) -> None:
    over_time(
        arrange([configuration()]), TRAINING, tmp_path / "x", Layout(("svg",), 6, 10, name, f"x{name}", f"y{name}")
    )
    said = texts(tmp_path / "x.svg")
    assert (said.count(name), said.count(f"x{name}"), said.count(f"y{name}")) == (1, 2, 1)


def test_lettering_is_in_proportion_and_a_narrow_figure_has_no_second_view(tmp_path: Path) -> None:
    sizes = {}
    for size, width in ((10, 6.0), (8, 3.3)):
        over_time(arrange([configuration()]), TRAINING, tmp_path / "x", Layout(("svg",), width, size, noted=size == 10))
        svg = (tmp_path / "x.svg").read_text()
        assert ("the upper end in detail" in svg, "Each line" in svg or "mean of" in svg) == (size == 10, size == 10)
        sizes[size] = {float(found) for found in re.findall(r"font(?:-size)?: ([0-9.]+)px", svg)}
    assert sizes[10] == {8, 9, 10}
    assert {round(one, 6) for one in sizes[8]} <= {6.4, 7.2, 8}


def test_plot_draws_along_steps_for_a_page(command: Command, tmp_path: Path) -> None:
    """An ending asks for a file alone; the largest place on the axis is the work of all workers."""
    words = ("plot", ROOT / "results" / "four-methods", "--x", "steps", "--y", "test_accuracy", "--width", "3.3in")
    code, out, err = command(*words, "--out", tmp_path / "x.pdf")
    assert (code, out, err) == (0, f"{tmp_path / 'x.pdf'}\n", "")
    assert [path.name for path in tmp_path.iterdir()] == ["x.pdf"]
    code, _, err = command(*words, "--format", "svg, PNG,svg", "--out", tmp_path / "y.png", "--xlabel", "")
    assert (code, err) == (0, "")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.pdf", "y.png", "y.svg"]
    said = texts(tmp_path / "y.svg")
    assert "10000" in said and "test accuracy" in said and "gradient steps of all workers" not in said


def test_a_figure_along_another_axis_has_a_name_of_its_own(command: Command, tmp_path: Path, sketched: None) -> None:
    for name in ("summary.csv", "curves.csv.gz"):
        (tmp_path / name).symlink_to(ROOT / "results" / "four-methods" / name)
    for x in ("time", "exchanges", "epochs"):
        assert command("plot", tmp_path, "--x", x, "--format", "png")[0] == 0
    drawn = [f"accuracy-over-{x}.png" for x in ("epochs", "exchanges", "time")]
    assert sorted(path.name for path in (tmp_path / "figures").iterdir()) == drawn


def test_the_axes_and_formats_are_known_before_anything_is_imported() -> None:
    assert tuple(axes.AXES) == plotting._AXES
    assert sorted(plotting._FORMATS) == sorted(look.FORMATS)


@pytest.mark.kind("a picture that nobody can read")
@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--x", "step"], "--x step: unknown, did you mean steps?; accepted: time, exchanges, steps, epochs"),
        (["--format", "pdf,eps"], "--format eps: unknown"),
        (["--format", ""], "--format: unknown; accepted: pdf, svg, png"),
        (["--width", "3.3"], "--width 3.3: has no unit; accepted: a number with in, cm, mm or pt, as in 3.3in"),
        (["--width", "wide"], "--width wide: not a length"),
        (["--width", "3px"], "--width 3px: px is no unit"),
        (["--width", "0in"], "--width 0in: too small"),
        (["--width", "1e3in"], "--width 1e3in: not a length"),
        (["--width", "9999mm"], "--width 9999mm: too large"),
        (["--font-size", "2"], "--font-size 2: too small; accepted: a number from 3 to 40 points"),
        (["--font-size", "nan"], "--font-size nan: not a number"),
        (["--out", "x.pdf", "--format", "svg"], "--out x.pdf: ends in .pdf, and --format svg is given"),
        (["--width", "1in", "--font-size", "40"], "--width 1in: the texts leave no room for what is drawn"),
        (["--panels", "experimental"], "--panels experimental: unknown, did you mean experiment?"),
    ],
    ids=str,
)
def test_what_a_page_cannot_have_is_refused(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = command("plot", ROOT / "results" / "four-methods", "--out", "x", *words)
    assert (code, out, len(err.splitlines())) == (2, "", 1), err
    assert says in err
    assert not [*tmp_path.iterdir()]


def experiments(folder: Path) -> list[Path]:
    """Two: one has two seeds of AGN and one of EASGD, the other a third seed of AGN and one of the first's too."""
    both = []
    for name, kept in (
        ("later", ["agn-n40-l26-s0", "agn-n40-l26-s1", "easgd-n40-l26-s0"]),
        ("early", ["agn-n40-l26-s2", "agn-n40-l26-s0"]),
    ):
        both.append(folder / name)
        both[-1].mkdir()
        for file in ("summary.csv", "curves.csv.gz"):
            table = pd.read_csv(ROOT / "results" / "four-methods" / file, dtype=str, keep_default_na=False)
            table[table["run_id"].str.startswith(tuple(kept))].to_csv(both[-1] / file, index=False)
    return both


def test_experiments_stand_side_by_side(command: Command, tmp_path: Path) -> None:
    """A panel for each folder, in the order in which they are named; no mean is over two experiments."""
    folders = experiments(tmp_path)
    runs = comparison.read_runs(folders, apart=True)
    found = arrange(comparison.configurations(runs, TRAINING), ["experiment"])
    assert [panel.title for panel in found.panels] == ["later", "early"]
    assert [[(line.label, len(line.configuration.curves)) for line in panel.lines] for panel in found.panels] == [
        [("agn", 2), ("easgd", 1)],
        [("agn", 2)],
    ]
    words = ("--panels", "experiment", "--width", "3.3in", "--format", "pdf,svg", "--out", tmp_path / "x")
    code, _, err = command("plot", *folders, *words)
    assert (code, err) == (0, "")
    assert points_of(tmp_path / "x") == pytest.approx((237.6, 237.6))
    said = texts(tmp_path / "x.svg")
    assert said.index("later") < said.index("early")
    together = comparison.configurations(comparison.read_runs(folders), TRAINING)
    assert [len(one.curves) for one in together] == [3, 1]


def test_experiments_whose_folders_are_called_the_same_are_told_apart(tmp_path: Path) -> None:
    places = [tmp_path / parent / "adhoc" for parent in ("a", "b")]
    assert comparison.names_of([*places, tmp_path / "b" / "c"]) == ["a/adhoc", "b/adhoc", "b/c"]
    assert comparison.names_of([places[0]]) == ["adhoc"]


# --- what lines say ---


def test_an_evaluation_holds_until_the_next_one() -> None:
    """One seed is evaluated at 0, 4 and 10 s, the other at 0, 6 and 10 s."""
    one = (np.array([0.0, 4.0, 10.0]), np.array([0.1, 0.5, 0.9]))
    other = (np.array([0.0, 6.0, 10.0]), np.array([0.1, 0.7, 0.7]))
    times, mean, _ = over_seeds([one, other], held=True)
    np.testing.assert_array_equal(times, [0, 4, 6, 10])
    np.testing.assert_allclose(mean, [0.1, 0.3, 0.6, 0.8])


def test_evaluations_are_steps_with_marks_and_training_is_a_line(tmp_path: Path) -> None:
    with picture(tmp_path / "x", 1, 1, (3, 3)) as (_, axes, _):
        steps, _ = draw(axes, Curves([RISE, RISE], held=True), "red", "-")
        line, _ = draw(axes, Curves([RISE, RISE]), "red", "-")
    assert (steps.get_drawstyle(), steps.get_marker()) == ("steps-post", "o")
    assert (line.get_drawstyle(), line.get_marker()) == ("default", "None")


def test_a_seed_that_diverged_is_marked_and_said(tmp_path: Path) -> None:
    """A cross stands on the mean at the time of each divergence that is drawn."""
    with picture(tmp_path / "x", 1, 1, (3, 3)) as (_, axes, _):
        draw(axes, Curves([RISE, RISE], diverged=[2.5, 5.0, 99.0]), "red", "-")
        crosses = axes.get_lines()[-1]
    assert crosses.get_marker() == "X"
    np.testing.assert_allclose(crosses.get_xydata(), [[2.5, 0.35], [5, 0.6]])
    for measure in (TRAINING, TEST):
        three = configuration(3, diverged_s=[4.0], measure=measure)
        over_time(arrange([three]), measure, tmp_path / measure.stem)
        said = " ".join(texts(tmp_path / f"{measure.stem}.svg"))
        assert "agn (1 of 3 runs diverged)" in said
        assert "mean of 3 seeds" in said
        assert "counts as chance from there on" in said


def test_bands_blanks_and_evaluations_are_explained(tmp_path: Path) -> None:
    two = [configuration(2, measure=TEST), configuration(3, measure=TEST, workers=9)]
    over_time(arrange(two), TEST, tmp_path / "lines")
    said = " ".join(texts(tmp_path / "lines.svg"))
    assert "mean of 2 to 3 seeds" in said
    assert "one standard deviation" in said
    assert "Marks are evaluations" in said
    heat_maps(
        {"map": pd.DataFrame({10: [0.5], 20: [np.nan]}, index=[1])}, tmp_path / "map", around_0=["map"], blank="why"
    )
    assert "A growth rate above 0, in bold, is unstable. Where a cell is blank, why." in texts(tmp_path / "map.svg")


def test_a_line_is_broken_where_there_is_no_room(tmp_path: Path) -> None:
    with picture(tmp_path / "x", 1, 1, (3, 3)) as (figure, _, _):
        assert wrapped(figure, "one two three", 10, 10) == "one two three"
        assert wrapped(figure, "one two three", 0.5, 10) == "one\ntwo\nthree"
        assert "".join(wrapped(figure, "x" * 100, 1, 10).split("\n")) == "x" * 100
