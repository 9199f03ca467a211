"""The one look of all pictures: colours, sizes, and how they are drawn and written, whoever's machine it is.

Matplotlib has settings of its user's own: files named matplotlibrc, variables of the environment, styles that some code
has chosen. No picture depends on them. So Matplotlib is imported and used here alone, and inside of `picture`.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import chdir, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from agn_bench.analysis.figures.lettering import USUAL_SIZE, NoRoom, give_fonts
from agn_bench.base.files import written_aside
from agn_bench.base.inputs import BadInput

# Okabe and Ito's palette and three more: told apart by colour-blind readers; line styles tell them apart in print.
COLOURS = (
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#882255", "#888888", "#7A8B00",
)  # fmt: skip
STYLES = ("-", "--", "-.", ":")

LARGEST_SVG = 300_000
"""Bytes: a larger one is slow to show, takes more room than all of the figure's data, and is not kept."""

_LOOK: dict[Any, Any] = {
    "font.size": USUAL_SIZE,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "legend.frameon": False,
    "svg.hashsalt": "agn-bench",
    "svg.fonttype": "none",
    "pdf.fonttype": 42,  # TrueType, as publishers ask for; the other kind is refused by some
    "text.parse_math": False,  # a dollar sign in a name is a dollar sign
}
_NO_ROOM = "constrained_layout not applied"
"""What Matplotlib says when texts leave no room for the axes."""


FORMATS = ("png", "svg", "pdf")
_SCREEN, _PRINT = 160, 300
"""Pixels to an inch."""


@dataclass(frozen=True)
class Layout:
    """What somebody wants of a figure, as for a page of a paper."""

    formats: Sequence[str] = ()
    """Some of FORMATS; none: PNG, and SVG unless that is larger than LARGEST_SVG."""
    width: float | None = None
    """Inches; None: as wide as its panels need."""
    font_size: float = USUAL_SIZE
    """Points, of what stands beside the axes. All other lettering is in proportion."""
    title: str = ""
    """Over the figure."""
    xlabel: str | None = None
    """None: what the axis is."""
    ylabel: str | None = None
    noted: bool = True
    """Whether sentences under the figure say what lines and bands are."""


AS_EVER = Layout()


@contextmanager
def picture(
    stem: Path,
    rows: int,
    columns: int,
    figsize: tuple[float, float],
    sharex: Literal["none", "row", "all"] = "none",
    sharey: bool = False,
    layout: Layout = AS_EVER,
) -> Iterator[tuple[Any, Any, list[Path]]]:
    """A figure to draw on, its axes, and the files that it is written to at the end: `stem` with the formats' endings.
    The same figure gives the same bytes each time.

    Args:
        figsize: inches, without what is put under the axes (lettering.foot).

    Raises:
        BadInput: there is so much text that nothing can be seen.
    """
    paths: list[Path] = []
    with _own_settings(layout.font_size):
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        figure = Figure(figsize=figsize, layout="constrained")
        FigureCanvasAgg(figure)
        try:
            yield figure, figure.subplots(rows, columns, sharex=sharex, sharey=sharey), paths
        except NoRoom:
            raise _no_room(stem, layout) from None
        give_fonts(figure)
        for kind in layout.formats or ("png", "svg"):
            paths.append(stem.with_name(f"{stem.name}.{kind}"))
            try:
                with written_aside(paths[-1]) as aside:
                    _write(figure, aside, kind, _SCREEN if layout.width is None else _PRINT)
            except UserWarning:
                raise _no_room(stem, layout) from None
        if not layout.formats and paths[-1].stat().st_size > LARGEST_SVG:
            paths.pop().unlink()


def _no_room(stem: Path, layout: Layout) -> BadInput:
    problem = "the texts leave no room for what is drawn"
    if layout.width is None:
        return BadInput("out", stem, problem, "fewer panels, or shorter names")
    accepted = "a wider figure, fewer panels, shorter names, or a smaller `font_size`"
    return BadInput("width", f"{layout.width:g}in", problem, accepted)


_UNDATED: dict[str, Any] = {"png": None, "svg": {"Date": None}, "pdf": {"CreationDate": None}}
"""What says when a file was made is left out."""


def _write(figure: Any, path: Path, kind: str, dots: int) -> None:
    figure.savefig(path, format=kind, dpi=dots, metadata=_UNDATED[kind])
    if kind == "png":
        _keep_few_colours(path)


def _keep_few_colours(png: Path) -> None:
    """Leave 256 colours, each pixel the nearest of them: a third of the bytes, for pictures that look the same."""
    from PIL import Image

    with Image.open(png) as drawn:
        few = drawn.convert("RGB").quantize(256, dither=Image.Dither.NONE)
    few.save(png, format="png", optimize=True)


@contextmanager
def _own_settings(font_size: float = USUAL_SIZE) -> Iterator[None]:
    """Matplotlib with its defaults and our look, and without a word of its own to the user; the user's settings are
    there again afterwards.
    """
    log = logging.getLogger("matplotlib")
    before = log.level
    log.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=UserWarning)
            warnings.filterwarnings("ignore", category=DeprecationWarning, module="matplotlib")
            warnings.filterwarnings("error", message=_NO_ROOM)
            _import_without_the_users_settings()
            import matplotlib as mpl

            settings: Any = {key: value for key, value in mpl.rcParamsDefault.items() if key != "backend"} | _LOOK
            settings["font.size"] = font_size
            with mpl.rc_context(settings):
                yield
    finally:
        log.setLevel(before)


def _import_without_the_users_settings() -> None:
    """Import Matplotlib, if nothing has yet, so that no setting of the user's can make that fail.

    A notebook hands its children a backend that need not be installed here, and Matplotlib reads a file `matplotlibrc`
    of the working folder before all others. In its own folder that file has its defaults.
    """
    if "matplotlib" in sys.modules:
        return
    backend = os.environ.pop("MPLBACKEND", None)
    try:
        with suppress(OSError), chdir(_home()):
            import matplotlib as mpl
        import matplotlib as mpl  # noqa: F401 (where that folder cannot be entered)
    finally:
        if backend is not None:
            os.environ["MPLBACKEND"] = backend


def _home() -> Path:
    """The folder of Matplotlib's own settings."""
    found = importlib.util.find_spec("matplotlib")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent / "mpl-data"


def logarithmic(axes: Any) -> None:
    """Let the heights on axes be logarithmic, with plain numbers beside them. To be called inside of `picture`."""
    from matplotlib.ticker import FuncFormatter, NullFormatter

    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda height, _: f"{height:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def ordered_colours(count: int) -> list[Any]:
    """So many colours from dark to light, for lines that have an order; told apart by the colour-blind, and in grey.
    To be called inside of `picture`.
    """
    import matplotlib as mpl

    map_ = mpl.colormaps["viridis"]
    return [map_(0.9 * index / max(1, count - 1)) for index in range(count)]
