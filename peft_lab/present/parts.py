"""Pieces that cards are made of: a frame, pairs in a table, marked lines, parts that open, preformatted text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from peft_lab.present.style import BORDER, PALETTE, PLAIN, esc, tint
from peft_lab.present.table import width


@dataclass(frozen=True)
class Card:
    """The card as HTML and as plain text."""

    html: str
    text: str

    def mimebundle(self) -> dict[str, str]:
        """What a notebook shows."""
        return {"text/html": self.html, "text/plain": self.text}

    def __str__(self) -> str:
        return self.text


def framed(inside: str, colour: str) -> str:
    """The card's frame, with its state as the colour of the left edge."""
    return (
        f'<div {PLAIN} style="box-sizing:border-box;max-width:860px;margin:6px 0;padding:12px 16px;line-height:1.5;'
        f'border:1px solid {BORDER};border-left:6px solid {PALETTE[colour]};border-radius:6px">{inside}</div>'
    )


def headed(name: str, state: str, colour: str, what: Sequence[tuple[str, str]]) -> str:
    """Whose card it is, its state, and what was asked for."""
    asked = " · ".join(f"{esc(name)} <b>{esc(value)}</b>" for name, value in what)
    return (
        f'<div><b style="font-size:120%">{esc(name)}</b> &nbsp;<span style="background:{tint(colour, 0.25)};'
        f'padding:2px 8px;border-radius:4px;font-weight:bold">{esc(state)}</span></div><div>{asked}</div>'
    )


def box(text: str) -> str:
    """A sentence that must not be missed."""
    style = f"margin:8px 0;padding:6px 10px;background:{tint('vermilion', 0.2)}"
    return f'<div style="{style}"><b>{esc(text)}</b></div>'


def pairs_table(pairs: Sequence[tuple[str, str]]) -> str:
    """Names and values, a row each."""
    cell = "border:0;padding:1px 12px 1px 0;text-align:left;vertical-align:top;background:none"
    rows = "".join(
        f'<tr style="background:none"><th style="{cell};font-weight:normal;white-space:nowrap">{esc(name)}</th>'
        f'<td style="{cell};white-space:normal"><b>{esc(value)}</b></td></tr>'
        for name, value in pairs
    )
    return (
        f'<table style="border-collapse:collapse;border:0;margin:4px 0;font-size:100%">{rows}</table>' if rows else ""
    )


def line(mark: str, text: str, colour: str) -> str:
    """A sentence behind a mark."""
    tag = f'<span style="background:{tint(colour, 0.25)};padding:0 6px;border-radius:4px">{esc(mark)}</span>'
    return f'<div style="margin:2px 0">{tag} {esc(text)}</div>'


def details(title: str, inside: str) -> str:
    """Something that opens on a click."""
    return f'<details style="margin:4px 0"><summary style="cursor:pointer">{esc(title)}</summary>{inside}</details>'


def pre(text: str) -> str:
    """Text as it stands."""
    style = f"margin:4px 0;padding:6px 10px;white-space:pre-wrap;background:{tint('grey', 0.12)}"
    return f'<pre style="{style}">{esc(text)}</pre>' if text else ""


def text_lines(title: str, pairs: Sequence[tuple[str, str]]) -> str:
    """The card as text: names and values in two columns, without those that are empty."""
    said = [(name, value) for name, value in pairs if value]
    room = max((width(name) for name, _ in said), default=0)
    return "\n".join((title, *(f"  {name}{' ' * (room - width(name))}  {value}" for name, value in said)))
