"""Names and sentences in pictures: as they are, whole, and where there is room for them.

Names come from users: they may have any character, and any length.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_PAD = 0.06
"""Inches around what stands under the axes."""
_MARGIN = 0.1
_MOST_COLUMNS = 8
"""The most columns of a legend."""
USUAL_SIZE = 10
"""Points, of what stands beside axes. All sizes are said as they are with this one (see sized)."""
_NOTE_SIZE, _NOTE_COLOUR = 8, "0.35"
_FAMILY = "DejaVu Sans"
"""It comes with Matplotlib."""


def sized(points: float) -> float:
    """A size of letters, lines or marks, in proportion to the figure's lettering. To be called inside of
    `look.picture`.
    """
    import matplotlib as mpl

    return points * float(mpl.rcParams["font.size"]) / USUAL_SIZE


def readable(text: str) -> str:
    """The text with what no picture can show, as a line's end or half of a character, as Python writes it."""
    return "".join(character if _can_be_shown(character) else _escaped(character) for character in text)


def _can_be_shown(character: str) -> bool:
    return unicodedata.category(character) not in ("Cc", "Cs", "Zl", "Zp") and ord(character) & 0xFFFE != 0xFFFE


def _escaped(character: str) -> str:
    """The character as Python writes it; for a byte that is no text, as Python reads it in a file's name, that byte."""
    code = ord(character)
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else repr(character)[1:-1]


class NoRoom(Exception):
    """There is no room for a text."""


def wrapped(figure: Figure, text: str, inches: float, size: float) -> str:
    """The text in lines no longer than so many inches; words that are longer are cut.

    Raises:
        NoRoom: not even one letter has room.
    """
    if inches * 72 < size and text:
        raise NoRoom
    from matplotlib.font_manager import FontProperties

    renderer: Any = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    properties = FontProperties(size=size)
    most = inches * figure.dpi

    def fits(line: str) -> bool:
        return bool(renderer.get_text_width_height_descent(line, properties, ismath=False)[0] <= most)

    lines = [""]
    for word in re.findall(r"\s*\S+|\s+$", readable(text)):
        if fits(lines[-1] + word):
            lines[-1] += word
            continue
        rest = word.lstrip() if lines[-1] else word
        lines.append("") if lines[-1] else None
        while not fits(rest):
            end = max(1, next(end for end in range(1, len(rest) + 1) if not fits(rest[:end])) - 1)
            lines[-1:] = [rest[:end], ""]
            rest = rest[end:]
        lines[-1] = rest
    return "\n".join(lines)


def title(axes: Axes, text: str, inches: float, size: float = 9) -> None:
    """What stands over axes that are so wide."""
    figure: Any = axes.figure
    axes.set_title(wrapped(figure, text, inches, sized(size)), fontsize=sized(size))


def heading(figure: Figure, text: str) -> None:
    """What stands over the whole figure, which grows by what that takes."""
    if not text:
        return
    width, height = figure.get_size_inches()
    size = sized(USUAL_SIZE)
    made = figure.suptitle(wrapped(figure, text, width - 2 * _MARGIN, size), fontsize=size)
    figure.set_size_inches(width, height + _size(figure, made)[1] + _PAD)


def legend(axes: Axes, handles: Mapping[str, Any], **options: Any) -> None:
    """A legend inside of axes."""
    _legend(axes, {readable(label): handle for label, handle in handles.items()}, **options)


def _legend(parent: Any, handles: Mapping[str, Any], **options: Any) -> Any:
    """With each label as it is, also one that begins with an underscore, which Matplotlib leaves out."""
    made = parent.legend([*handles.values()], ["label"] * len(handles), **options)
    for text, label in zip(made.get_texts(), handles, strict=True):
        text.set_text(label)
    return made


def foot(figure: Figure, handles: Mapping[str, Any], notes: Sequence[str], size: float = 9) -> None:
    """Put a legend and what explains the picture under the axes. The figure grows by what that takes."""
    width, height = figure.get_size_inches()
    small, size = sized(_NOTE_SIZE), sized(size)
    says = wrapped(figure, " ".join(notes), width - 2 * _MARGIN, small)
    note = figure.text(_MARGIN / width, 0, says, fontsize=small, color=_NOTE_COLOUR, va="bottom")
    under = _size(figure, note)[1] + 2 * _PAD if says else 0.0
    above = 0.0
    if handles:
        below = _widest_legend(figure, handles, size)
        above = _size(figure, below)[1] + _PAD
    total = height + under + above
    figure.set_size_inches(width, total)
    note.set_y(_PAD / total)
    if handles:
        below.set_loc("lower center")
        below.set_bbox_to_anchor((0.5, under / total))
    layout: Any = figure.get_layout_engine()
    layout.set(rect=(0, (under + above) / total, 1, height / total))


def _widest_legend(figure: Figure, handles: Mapping[str, Any], size: float) -> Any:
    """In as many columns as there is room for; labels too long for one are broken."""
    width = float(figure.get_size_inches()[0]) - 2 * _MARGIN
    look = {"fontsize": size, "borderpad": 0.2, "borderaxespad": 0, "columnspacing": 1.4}
    whole = {readable(label): handle for label, handle in handles.items()}
    counts = {-(-len(handles) // rows) for rows in range(1, len(handles) + 1)}  # no column much shorter than another
    for columns in sorted((count for count in counts if count <= _MOST_COLUMNS), reverse=True):
        made = _legend(figure, whole, ncols=columns, **look)
        if _size(figure, made)[0] <= width:
            return made
        made.remove()
    beside = 4.5 * size / 72  # the line that a label stands beside
    broken = {wrapped(figure, label, width - beside, size): handle for label, handle in handles.items()}
    return _legend(figure, broken, ncols=1, **look)


def _size(figure: Any, artist: Any) -> tuple[float, float]:
    """Inches."""
    box = artist.get_window_extent(figure.canvas.get_renderer())
    return float(box.width) / figure.dpi, float(box.height) / figure.dpi


def give_fonts(figure: Figure) -> None:
    """Let texts have characters of other scripts from whichever font of the machine has them. What none has is a box in
    the PNG; the SVG has it as text.
    """
    from matplotlib.font_manager import findfont, fontManager, get_font
    from matplotlib.text import Text

    texts: list[Any] = figure.findobj(Text)
    used = {ord(character) for text in texts for character in text.get_text()} - {ord("\n")}
    missing = used - get_font(findfont(_FAMILY)).get_charmap().keys()
    families = [_FAMILY]
    for font in fontManager.ttflist if missing else ():
        try:
            has = missing & get_font(font.fname).get_charmap().keys()
        except (OSError, RuntimeError):  # it is gone, or of pictures
            continue
        if has and "LastResort" not in font.fname:
            families.append(font.name)
            missing -= has
    if len(families) > 1:
        for text in texts:
            text.set_fontfamily(families)
