"""Colours, escaping and number formats, each said once.

HTML inherits the text colour of the page and tints its background, so it reads on dark and light. Pictures are white
cards with dark text inside, so they read anywhere.
"""

from __future__ import annotations

import html
import math
import unicodedata
from typing import TYPE_CHECKING, Any, TypeGuard

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# --- colours ---------------------------------------------------------------------------------------------------------

PALETTE = {  # Okabe and Ito's colours, which people with any colour vision tell apart
    "blue": "#0072B2",
    "vermilion": "#D55E00",
    "green": "#009E73",
    "purple": "#CC79A7",
    "grey": "#7A7A7A",
}
TINTS = PALETTE | {"orange": "#E69F00"}
"""Backgrounds under text; orange is too light for a line."""
INK, PAPER, FAINT = "#1A1A1A", "#FFFFFF", "#E4E4E4"
LINES = (PALETTE["blue"], PALETTE["vermilion"], PALETTE["green"], PALETTE["purple"], "#4D4D4D")
BORDER = "rgba(128,128,128,.45)"
MOST_TINT = 0.45
PLAIN = 'class="mathjax_ignore tex2jax_ignore"'
"""Goes on the outermost tag: two dollar signs in somebody's text are no formula."""


def tint(name: str, alpha: float = 0.2) -> str:
    """A palette colour as a background under inherited text."""
    red, green, blue = (round(255 * part) for part in _rgb(TINTS[name]))
    return f"rgba({red},{green},{blue},{min(alpha, MOST_TINT):g})"


def contrast(one: Any, other: Any) -> float:
    """Contrast ratio as WCAG defines it; colours are ``#rrggbb`` or three numbers from 0 to 1."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def luminance(colour: Any) -> float:
    """Relative luminance as WCAG defines it."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in _rgb(colour)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _rgb(colour: Any) -> tuple[float, ...]:
    if isinstance(colour, str):
        return tuple(int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    return tuple(float(part) for part in colour[:3])


# --- text ------------------------------------------------------------------------------------------------------------

_JOINERS = "\u200c\u200d"  # these shape Persian words and emoji


def visible(text: object) -> str:
    r"""The text with control, bidirectional and other invisible characters written out, as ``\u202e``."""
    return "".join(_visible(c) for c in str(text))


def plain(text: object) -> str:
    """The text on one line, with invisible characters written out."""
    return visible(" ".join(str(text).split()))


def esc(text: object) -> str:
    """The text for HTML, in elements and in attributes alike."""
    return html.escape(visible(text), quote=True)


def in_figure(text: object) -> str:
    """The text for matplotlib, which would read dollar signs as a formula."""
    return plain(text).replace("$", r"\$")


def shorten(text: object, most: int = 40) -> str:
    """The text on one line and cut in its middle, so that beginning and end can be told from others."""
    line = plain(text)
    if len(line) <= most:
        return line
    return f"{line[: (most - 1) // 2]}…{line[len(line) - most // 2 :]}"


def _visible(character: str) -> str:
    hidden = unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp")
    if not hidden or character in _JOINERS or character in "\n\t":
        return character
    return f"\\u{ord(character):04x}"


# --- numbers ---------------------------------------------------------------------------------------------------------

DASH = "–"


def count(number: float | None) -> str:
    """``102,912``, and from a million on ``1.23 M``."""
    if not _known(number):
        return DASH
    for size, unit in ((1e12, "T"), (1e9, "B"), (1e6, "M")):
        if abs(number) >= size:
            return f"{_three(number / size)} {unit}"
    return f"{round(number):,}"


def share(part: float | None) -> str:
    """``0.45 %`` of 0.0045. Never rounds to nothing or to all."""
    if not _known(part):
        return DASH
    percent = 100 * part
    if 0 < percent < 0.001:
        return "< 0.001 %"
    if 99.95 <= percent < 100:
        return "> 99.9 %"
    digits = 0 if percent in (0, 100) else 1 if percent >= 10 else 2 if percent >= 0.095 else 3
    return f"{percent:.{digits}f} %"


def seconds(duration: float | None) -> str:
    """``0.4 s``, ``12 s``, ``1 min 12 s``, ``2 h 5 min``."""
    if not _known(duration):
        return DASH
    if duration < 9.95:
        return f"{duration:.1f} s"
    whole = round(duration)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min" + (f" {whole % 60} s" if whole % 60 else "")
    minutes = round(whole / 60)
    return f"{minutes // 60} h" + (f" {minutes % 60} min" if minutes % 60 else "")


def bytes_(size: float | None) -> str:
    """``2.1 MB``, in powers of a thousand."""
    if not _known(size):
        return DASH
    for unit, name in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if size >= unit:
            number = size / unit
            return f"{number:.0f} {name}" if number >= 99.5 else f"{number:.1f} {name}"
    return f"{size:.0f} B"


def score(value: float | None) -> str:
    """A metric or a loss: ``0.918``."""
    if not _known(value):
        return DASH
    return f"{value:.3f}" if abs(value) < 100 else f"{value:.4g}"


def number(value: float | None) -> str:
    """A number of somebody's data, with four digits that count: ``3.425``, ``1,250,000``."""
    if not _known(value):
        return DASH
    return f"{value:,.0f}" if abs(value) >= 1e4 else f"{value:.4g}"


def three_digits(value: float) -> str:
    """``12``, ``1.2``, ``0.12``, ``0.012``, then ``1e-4``: what fits a cell."""
    if value == 0:
        return "0"
    if value < 0.001:
        return f"{value:.0e}".replace("e-0", "e-")
    digits = 0 if value >= 9.95 else 1 if value >= 0.995 else 2 if value >= 0.0995 else 3
    return f"{value:.{digits}f}"


def words(name: str) -> str:
    """The name of a metric as people say it: ``macro F1``."""
    return plain(name).replace("_", " ").replace("f1", "F1")


def _known(number: float | None) -> TypeGuard[float]:
    return isinstance(number, (int, float)) and math.isfinite(number)


def _three(number: float) -> str:
    return f"{number:.0f}" if abs(number) >= 99.95 else f"{number:.1f}" if abs(number) >= 9.995 else f"{number:.2f}"


# --- figures ---------------------------------------------------------------------------------------------------------


def new_figure(width: float = 7.2, height: float = 3.2) -> Figure:
    """An empty figure in inches, never through pyplot; add axes with ``figure.add_subplot`` and :func:`tidy` them."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), facecolor=PAPER, layout="constrained")


def tidy(axes: Axes, title: str = "", x: str = "", y: str = "") -> Axes:
    """Legible type, no box, a faint grid, the title at the left."""
    axes.set_facecolor(PAPER)
    axes.set_title(title, loc="left", fontsize=11, color=INK, fontweight="bold")
    axes.set_xlabel(x, fontsize=10, color=INK)
    axes.set_ylabel(y, fontsize=10, color=INK)
    axes.tick_params(labelsize=9, colors=INK, which="both")
    axes.grid(True, color=FAINT, linewidth=0.8)
    axes.set_axisbelow(True)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(PALETTE["grey"])
    return axes
