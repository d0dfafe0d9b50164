"""The small picture of a training: loss at the left, the metric that counts at the right.

It is drawn with Pillow alone: a live picture may not cost the training what importing and running matplotlib does.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from io import BytesIO
from typing import Any

import numpy as np

from peft_lab.present.style import FAINT, INK, PALETTE, PAPER, score, shorten, words
from peft_lab.texts import cards as texts

WIDTH, HEIGHT = 520, 168
SHARP = 2  # pixels of the picture for each pixel on the page
SMOOTH = 2  # pixels drawn for each pixel of the picture, which smooths the lines
MOST_DRAWN = 400
LOSS = "train.loss"
Point = Mapping[str, Any]


def curve_png(points: Sequence[Point], headline: str = "accuracy") -> bytes:
    """Draw the points of ``metrics.jsonl`` as a PNG, ``WIDTH`` wide and ``HEIGHT`` high on the page."""
    from PIL import Image

    loss, metric = series(points, "train", "loss"), series(points, "validation", headline)
    last = max(loss[0].max(initial=0), metric[0].max(initial=0), 1)
    panels = (
        _Panel(0, texts.TRAINING_LOSS, loss, last, PALETTE["blue"]),
        _Panel(WIDTH // 2, texts.VALIDATION_METRIC.format(metric=words(headline)), metric, last, PALETTE["vermilion"]),
    )
    lines = Image.new("RGB", (WIDTH * SHARP * SMOOTH, HEIGHT * SHARP * SMOOTH), PAPER)
    for panel in panels:
        panel.draw_grid(lines)
    panels[0].draw_loss(lines)
    panels[1].draw_metric(lines)
    picture = lines.reduce(SMOOTH)
    for panel in panels:
        panel.write(picture)
    buffer = BytesIO()
    picture.quantize(32, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(buffer, "png")
    return buffer.getvalue()


def curve_alt(points: Sequence[Point], headline: str = "accuracy") -> str:
    """The curve as a sentence, or nothing where there is no point."""
    (steps, loss), (_, metric) = series(points, "train", "loss"), series(points, "validation", headline)
    said = []
    if loss.size:
        first, last = score(loss[0]), score(smoothed(loss)[-1])
        said.append(texts.LOSS_FROM_TO.format(first=first, last=last, steps=f"{steps[-1]:.0f}"))
    if metric.size > 1:
        way = texts.METRIC_FROM_TO_BEST if metric.max() > metric[-1] else texts.METRIC_FROM_TO
        first, last, best = (score(value) for value in (metric[0], metric[-1], metric.max()))
        said.append(way.format(metric=words(headline), first=first, last=last, best=best))
    elif metric.size:
        said.append(texts.METRIC_WAS.format(metric=words(headline), value=score(metric[0])))
    if len(said) == 2:
        return texts.CURVES_BOTH.format(loss=said[0], metric=said[1])
    text = texts.CURVES_ONE.format(said=said[0]) if said else ""
    return f"{text[:1].upper()}{text[1:]}"


def sparkline(values: Iterable[float], most: int = 32) -> str:
    """Numbers as a row of bars for plain text."""
    numbers = np.asarray([v for v in values if np.isfinite(v)], dtype=float)
    if not numbers.size:
        return ""
    numbers = np.array([part.mean() for part in np.array_split(numbers, min(most, numbers.size))])
    low, span = numbers.min(), np.ptp(numbers)
    return "".join("▁▂▃▄▅▆▇█"[round(7 * (n - low) / span) if span else 0] for n in numbers)


def warm_up() -> None:
    """Load what the first picture loads, libraries and fonts, for a second or two: before somebody waits for one."""
    curve_png([])


def series(points: Sequence[Point], split: str, name: str, along: str = "step") -> tuple[Any, Any]:
    """Steps, or what else they are set ``along``, and finite values of one quantity."""
    pairs = [
        (p[along], p[name])
        for p in points
        if p.get("split") == split and isinstance(p.get(along), (int, float)) and isinstance(p.get(name), (int, float))
    ]
    array = np.asarray(pairs, dtype=float).reshape(-1, 2)
    array = array[np.isfinite(array).all(axis=1)]
    return array[:, 0], array[:, 1]


def quantities(points: Iterable[Point]) -> list[str]:
    """What was logged on the way: ``train.loss``, ``validation.accuracy``, ..., in the order it first came."""
    found = dict.fromkeys(
        f"{point.get('split')}.{name}"
        for point in points
        for name, value in point.items()
        if name not in ("step", "epoch", "seconds") and isinstance(value, (int, float)) and math.isfinite(value)
    )
    return sorted(found, key=lambda name: not name.startswith("train."))


def smoothed(values: Any) -> Any:
    """Mean over a window of a twelfth of the points around each one, narrower at the ends."""
    half = max(1, len(values) // 25)
    total = np.concatenate(([0.0], np.cumsum(values)))
    at = np.arange(len(values))
    start, end = np.maximum(at - half, 0), np.minimum(at + half + 1, len(values))
    return (total[end] - total[start]) / (end - start)


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Round numbers from ``low`` to ``high``."""
    rough = (high - low) / most
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(unit * size for size in (1, 2, 2.5, 5, 10) if unit * size >= rough * 0.999)
    return [n * step for n in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


class _Panel:
    """One pair of axes. Places are pixels on the page, from the top left corner."""

    def __init__(self, left: int, title: str, data: tuple[Any, Any], last: float, colour: str) -> None:
        self.title, self.colour = title, colour
        self.x, self.y = data
        self.start, self.end, self.top, self.bottom = left + 40, left + WIDTH // 2 - 12, 26, HEIGHT - 22
        self.last = last
        low, high = (float(self.y.min()), float(self.y.max())) if self.y.size else (0.0, 1.0)
        room = (high - low) * 0.1 or abs(high) * 0.05 or 0.1
        self.low, self.high = low - room, high + room

    def across(self, x: Any) -> Any:
        return self.start + (self.end - self.start) * x / (self.last * 1.03)

    def down(self, y: Any) -> Any:
        return self.bottom - (self.bottom - self.top) * (y - self.low) / (self.high - self.low)

    def draw_grid(self, image: Any) -> None:
        if self.y.size:
            for value in ticks(self.low, self.high):
                self._line(image, [self.start, self.end], [self.down(value)] * 2, FAINT, 0.8)
        self._line(
            image, [self.start, self.start, self.end], [self.top, self.bottom, self.bottom], PALETTE["grey"], 0.8
        )

    def draw_loss(self, image: Any) -> None:
        part = np.unique(np.linspace(0, max(len(self.x) - 1, 0), MOST_DRAWN).astype(int)) if self.x.size else slice(0)
        x, raw, smooth = self.across(self.x)[part], self.down(self.y)[part], self.down(smoothed(self.y))[part]
        self._line(image, x, raw, "#BFDCEC", 0.8)
        self._line(image, x, smooth, self.colour, 2)

    def draw_metric(self, image: Any) -> None:
        x, y = self.across(self.x), self.down(self.y)
        self._line(image, x, y, self.colour, 2)
        for at in range(len(x)) if len(x) <= 40 else ():
            self._dot(image, x[at], y[at], 3, fill=self.colour)
        if self.y.size:
            best = int(self.y.argmax())
            self._dot(image, x[best], y[best], 6, outline=INK, width=round(1.2 * SHARP * SMOOTH))

    def write(self, image: Any) -> None:
        from PIL import ImageDraw

        draw, font = ImageDraw.Draw(image), _font()

        def put(text: str, x: float, y: float, anchor: str) -> None:
            draw.text((x * SHARP, y * SHARP), text, fill=INK, font=font, anchor=anchor)

        put(shorten(self.title, 36), self.start, 6, "la")
        if not self.y.size:
            put(texts.NOTHING_YET, (self.start + self.end) / 2, (self.top + self.bottom) / 2, "mm")
            return
        marks = ticks(self.low, self.high)
        digits = max(len(f"{value:.4g}".partition(".")[2]) for value in marks)
        for value in marks:
            put(f"{value:.{digits}f}", self.start - 5, self.down(value), "rm")
        for value in ticks(0, self.last, 4):
            put(f"{value:,.4g}" if value < 10_000 else f"{value / 1000:g}k", self.across(value), self.bottom + 4, "ma")
        if self.colour == PALETTE["vermilion"]:
            best = int(self.y.argmax())
            x, y = self.across(self.x[best]), self.down(self.y[best])
            put(score(float(self.y[best])), min(x, self.end - 18), y + 10 if y + 24 < self.bottom else y - 22, "ma")

    @staticmethod
    def _line(image: Any, x: Any, y: Any, colour: str, thick: float) -> None:
        from PIL import ImageDraw

        scale = SHARP * SMOOTH
        places = [(float(a) * scale, float(b) * scale) for a, b in zip(x, y, strict=True)]
        if len(places) > 1:
            ImageDraw.Draw(image).line(places, fill=colour, width=max(1, round(thick * scale)), joint="curve")

    @staticmethod
    def _dot(image: Any, x: float, y: float, radius: float, **look: Any) -> None:
        from PIL import ImageDraw

        scale = SHARP * SMOOTH
        corners = ((x - radius) * scale, (y - radius) * scale, (x + radius) * scale, (y + radius) * scale)
        ImageDraw.Draw(image).ellipse(corners, **look)


@cache
def _font() -> Any:
    """DejaVu, which reads well when small and comes with matplotlib, found without importing it."""
    from importlib.util import find_spec
    from pathlib import Path

    from PIL import ImageFont

    found = find_spec("matplotlib")
    for folder in (found.submodule_search_locations or ()) if found else ():
        file = Path(folder) / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf"
        if file.is_file():
            return ImageFont.truetype(str(file), 11 * SHARP)
    return ImageFont.load_default(11 * SHARP)
