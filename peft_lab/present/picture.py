"""A drawing made static: a PNG with the sentence that says what it shows."""

from __future__ import annotations

import base64
import threading
import warnings
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from peft_lab.present.style import PAPER, PLAIN, esc, visible
from pluggy_specs import Drawing

MOST_BYTES = 200_000
RENDER_LOCK = threading.RLock()
"""Matplotlib's text layout is not thread-safe; training threads and cells draw one after the other."""


@dataclass(frozen=True, repr=False)
class Picture:
    """What a view drew. Shows itself in a notebook; ``png`` holds the bytes and ``alt`` the sentence."""

    alt: str
    png: bytes = b""
    extra: str = ""
    width: int = 0
    text: str = ""

    def save(self, path: Path | str) -> Path:
        """Write the PNG; returns where."""
        path = Path(path)
        path.write_bytes(self.png)
        return path

    def __str__(self) -> str:
        return "\n\n".join(visible(part) for part in (self.alt, self.text) if part)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return (
            f'<figure {PLAIN} style="margin:8px 0;max-width:100%">{image(self.png, self.alt, self.width)}'
            f'<figcaption style="margin:4px 0;line-height:1.4">{esc(self.alt)}</figcaption>{self.extra}</figure>'
        )

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"text/html": self._repr_html_(), "text/plain": str(self)}


def render(drawing: Drawing) -> Picture:
    """Draw in colours and a resolution that keep the picture under 200 kB. Equal drawings give equal bytes."""
    if drawing.figure is None:
        return Picture(drawing.alt, extra=drawing.html, text=drawing.text)
    for dpi in (144, 96, 64, 40):
        png = _png(drawing.figure, dpi)
        if len(png) >= MOST_BYTES:
            png = _fewer_colours(png)
        if len(png) < MOST_BYTES:
            break
    pixels = int.from_bytes(png[16:20], "big")
    return Picture(drawing.alt, png, drawing.html, round(pixels * 96 / dpi), drawing.text)


def image(png: bytes, alt: str, width: int = 0, style: str = "") -> str:
    """An ``<img>`` that carries its bytes, or nothing."""
    if not png:
        return ""
    data = base64.b64encode(png).decode()
    size = f' width="{width}"' if width else ""
    return (
        f'<img alt="{esc(alt)}"{size} style="max-width:100%;height:auto;background:{PAPER};border-radius:4px;{style}" '
        f'src="data:image/png;base64,{data}">'
    )


def _fewer_colours(png: bytes) -> bytes:
    """The same picture in 256 colours, chosen to cover all there are: a key's rare ends must keep theirs."""
    from PIL import Image

    buffer = BytesIO()
    picture = Image.open(BytesIO(png)).convert("RGB")
    few = picture.quantize(256, method=Image.Quantize.MAXCOVERAGE, kmeans=1, dither=Image.Dither.NONE)
    few.save(buffer, "png")
    return buffer.getvalue()


def _png(figure: Any, dpi: int) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    buffer = BytesIO()
    with RENDER_LOCK, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from")
        FigureCanvasAgg(figure)
        figure.savefig(
            buffer,
            format="png",
            dpi=dpi,
            facecolor=PAPER,
            bbox_inches="tight",
            pad_inches=0.12,
            metadata={"Software": None},
        )
    return buffer.getvalue()
