"""Pieces of the page. Whatever goes in is text, and is escaped here."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from peft_lab.present.style import esc, plain

CODE = re.compile(r"`([^`]+)`")
PERCENT = re.compile(r"(?<=\d) %(?!\w)")
"""A number keeps its sign on its line."""
TEXT, NUMBER, SHORT = "", "n", "t"
"""Columns: of words, of numbers, of words that stay on one line."""


@dataclass(frozen=True)
class Made:
    """A piece that is HTML already."""

    html: str


def rich(text: str | Made) -> str:
    """A sentence, with what stands between backticks as code."""
    if isinstance(text, Made):
        return text.html
    return CODE.sub(r"<code>\1</code>", PERCENT.sub("\u00a0%", esc(text)))


def section(name: str, title: str, *parts: str) -> str:
    """A heading and what stands under it; nothing where nothing does."""
    inside = "".join(parts)
    return f'<section id="{esc(name)}"><h2>{esc(title)}</h2>{inside}</section>' if inside else ""


def heading(text: str) -> str:
    """A heading within a section."""
    return f"<h3>{esc(text)}</h3>"


def paragraph(text: str | Made, kind: str = "") -> str:
    """A paragraph; nothing for nothing."""
    if not text:
        return ""
    return f"<p{_class(kind)}>{rich(text)}</p>"


def bullets(items: Iterable[str | Made], numbered: bool = False) -> str:
    """A list."""
    inside = "".join(f"<li>{rich(item)}</li>" for item in items)
    tag = "ol" if numbered else "ul"
    return f"<{tag}>{inside}</{tag}>" if inside else ""


def strong(text: str, rest: str) -> Made:
    """A few words that stand out, and what follows them."""
    return Made(f"<strong>{esc(text)}</strong>{rich(rest)}")


def tiles(pairs: Iterable[tuple[str, str, str]]) -> str:
    """A few numbers to see at a glance: what, how much, and a remark."""
    inside = "".join(
        f'<div class="tile"><dt>{esc(name)}</dt><dd>{esc(value)}<span>{esc(more)}</span></dd></div>'
        for name, value, more in pairs
    )
    return f'<dl class="tiles">{inside}</dl>' if inside else ""


def terms(pairs: Iterable[tuple[str, str]]) -> str:
    """Words and what they mean."""
    inside = "".join(f"<dt>{esc(name)}</dt><dd>{rich(text)}</dd>" for name, text in pairs)
    return f'<dl class="terms">{inside}</dl>' if inside else ""


def table(
    caption: str,
    columns: Sequence[tuple[str, str]],
    rows: Sequence[Sequence[str | Made]],
    best: Sequence[int] = (),
) -> str:
    """A table; the first cell of each row names it.

    Args:
        columns: title and kind of each, one of :data:`TEXT`, :data:`NUMBER` and :data:`SHORT`.
        best: numbers of rows that stand out.
    """
    if not rows:
        return ""
    size = _class("few" if len(columns) < 3 else "")
    head = "".join(f'<th scope="col"{_class(_side(kind))}>{esc(title)}</th>' for title, kind in columns)
    body = "".join(
        f"<tr{_class('best' if at in best else '')}>"
        + "".join(
            f'<th scope="row">{_cell(cell)}</th>' if place == 0 else f"<td{_class(_side(kind))}>{_cell(cell)}</td>"
            for place, (cell, (_, kind)) in enumerate(zip(row, columns, strict=True))
        )
        + "</tr>"
        for at, row in enumerate(rows)
    )
    return (
        f'<div class="wide" role="region" tabindex="0" aria-label="{esc(plain(caption))}"><table{size}>'
        f"<caption>{rich(caption)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def folded(title: str, inside: str) -> str:
    """Something that opens on a click."""
    return f"<details><summary>{esc(title)}</summary>{inside}</details>" if inside else ""


def pre(text: str) -> str:
    """Text as it stands."""
    return f"<pre>{esc(text)}</pre>" if text else ""


def said(text: str) -> Made:
    """Somebody's text, as a quotation that keeps its lines."""
    return Made(f"<blockquote>{esc(text)}</blockquote>")


def marked(text: str, kind: str) -> Made:
    """Words in a colour that says the same."""
    return Made(f'<span class="{esc(kind)}">{esc(text)}</span>')


def span(low: float, mean: float, high: float, ends: tuple[float, float], label: str) -> Made:
    """A point with its range on a line between two ends, to be compared down a column; nothing for a point outside."""
    if not ends[0] <= mean <= ends[1]:
        return Made("")
    low, high = max(low, ends[0]), min(high, ends[1])
    width, height = 150, 18
    reach = (ends[1] - ends[0]) or 1.0
    left, at, right = (round(6 + (width - 12) * (value - ends[0]) / reach, 1) for value in (low, mean, high))
    return Made(
        f'<svg role="img" width="{width}" height="{height}" viewBox="0 0 {width} {height}"><title>{esc(label)}</title>'
        f'<line x1="6" y1="9" x2="{width - 6}" y2="9" stroke="currentColor" stroke-width="1" opacity=".25"/>'
        f'<line x1="{left}" y1="9" x2="{right}" y2="9" stroke="currentColor" stroke-width="3"/>'
        f'<circle cx="{at}" cy="9" r="5" fill="currentColor"/></svg>'
    )


def above(text: str, made: Made) -> Made:
    """A text with a piece below it."""
    return Made(f"{esc(text)}{made.html}")


def beside(words: str | Made, more: str) -> Made:
    """Words, and a remark on a line of its own."""
    return Made(f'{rich(words)}<span class="small">{esc(more)}</span>' if more else rich(words))


def _cell(cell: str | Made) -> str:
    return rich(cell)


def _side(kind: str) -> str:
    return kind if kind in (NUMBER, SHORT) else ""


def _class(kind: str) -> str:
    return f' class="{kind}"' if kind else ""
