"""The one static card of a run: what was done, what came of it, what it cost, how to go on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from peft_lab.present.curve import WIDTH as CURVE_WIDTH
from peft_lab.present.curve import curve_alt, curve_png, series, sparkline
from peft_lab.present.facts import Facts, Pairs
from peft_lab.present.live import LIVE_HEIGHT, live_html, live_text
from peft_lab.present.picture import image
from peft_lab.present.style import BORDER, PALETTE, PLAIN, esc, score, tint
from peft_lab.present.table import width

if TYPE_CHECKING:
    from peft_lab.run import Run

__all__ = ["LIVE_HEIGHT", "Card", "curve_png", "live_html", "live_text", "run_card"]


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


def run_card(run: Run) -> Card:
    """Make the card of a run in any state; whatever its record lacks is left out."""
    facts = Facts(run.id, run.record, run.status if "status" in run.record else "unknown", run.points)
    return Card(_html(facts), _text(facts))


# --- HTML ------------------------------------------------------------------------------------------------------------


def _html(facts: Facts) -> str:
    return (
        f'<div {PLAIN} style="box-sizing:border-box;max-width:860px;margin:6px 0;padding:12px 16px;line-height:1.5;'
        f'border:1px solid {BORDER};border-left:6px solid {PALETTE[facts.colour]};border-radius:6px">'
        f"{''.join(_sections(facts))}</div>"
    )


def _sections(facts: Facts) -> Iterator[str]:
    what = " · ".join(f"{esc(name)} <b>{esc(value)}</b>" for name, value in facts.what)
    yield (
        f'<div><b style="font-size:120%">{esc(facts.id)}</b> &nbsp;<span style="background:{tint(facts.colour, 0.25)};'
        f'padding:2px 8px;border-radius:4px;font-weight:bold">{esc(facts.status)}</span></div><div>{what}</div>'
    )
    if facts.failure:
        box = f"margin:8px 0;padding:6px 10px;background:{tint('vermilion', 0.2)}"
        yield f'<div style="{box}"><b>{esc(facts.failure)}</b></div>'
    side_by_side = "display:flex;flex-wrap:wrap;align-items:center;margin:8px 0"
    if results := _numbers(facts) + _curve(facts):
        yield f'<div style="{side_by_side}">{results}</div>'
    if facts.costs:
        yield _pairs_table(facts.costs)
    yield from (_line("✓" if ok else "✗", text, "green" if ok else "vermilion") for ok, text in facts.proof)
    yield from (_line("note", text, "grey") for text in facts.notes)
    if recipe := _pairs_table(facts.details) + _pre(facts.yaml):
        yield _details("recipe, seed, versions, hardware", recipe)
    if facts.traceback:
        yield _details("traceback", _pre(facts.traceback))
    yield _details("how to go on", _pre("\n".join(facts.onward)))


def _numbers(facts: Facts) -> str:
    big = "".join(
        f'<div><b style="font-size:{size}%;line-height:1.2">{esc(value)}</b> {esc(name)}</div>'
        for size, (value, name) in zip((240, 140), facts.scores, strict=False)
    )
    rest = "".join(f"<div>{esc(split)}: {esc(text)}</div>" for split, text in facts.others)
    return f'<div style="flex:1 1 220px;padding:0 16px 4px 0">{big}{rest}</div>' if big or rest else ""


def _curve(facts: Facts) -> str:
    alt = curve_alt(facts.points, facts.headline)
    if not alt:
        return ""
    picture = image(curve_png(facts.points, facts.headline), alt, CURVE_WIDTH)
    caption = f'<figcaption style="font-size:90%;line-height:1.4">{esc(alt)}</figcaption>'
    return f'<figure style="margin:0;flex:0 1 {CURVE_WIDTH}px;max-width:100%">{picture}{caption}</figure>'


def _pairs_table(pairs: Pairs) -> str:
    cell = "border:0;padding:1px 12px 1px 0;text-align:left;vertical-align:top;background:none"
    rows = "".join(
        f'<tr style="background:none"><th style="{cell};font-weight:normal;white-space:nowrap">{esc(name)}</th>'
        f'<td style="{cell};white-space:normal"><b>{esc(value)}</b></td></tr>'
        for name, value in pairs
    )
    return (
        f'<table style="border-collapse:collapse;border:0;margin:4px 0;font-size:100%">{rows}</table>' if rows else ""
    )


def _line(mark: str, text: str, colour: str) -> str:
    tag = f'<span style="background:{tint(colour, 0.25)};padding:0 6px;border-radius:4px">{esc(mark)}</span>'
    return f'<div style="margin:2px 0">{tag} {esc(text)}</div>'


def _details(title: str, inside: str) -> str:
    return f'<details style="margin:4px 0"><summary style="cursor:pointer">{esc(title)}</summary>{inside}</details>'


def _pre(text: str) -> str:
    style = f"margin:4px 0;padding:6px 10px;white-space:pre-wrap;background:{tint('grey', 0.12)}"
    return f'<pre style="{style}">{esc(text)}</pre>' if text else ""


# --- text ------------------------------------------------------------------------------------------------------------


def _text(facts: Facts) -> str:
    loss = series(facts.points, "train", "loss")[1]
    pairs = [
        *facts.what,
        ("error", facts.failure),
        *((name, value) for value, name in facts.scores),
        *((f"{split}, also", text) for split, text in facts.others),
        ("loss", f"{sparkline(loss)}  {score(loss[0])} to {score(loss[-1])}" if loss.size else ""),
        *facts.costs,
        *(("proof", f"{'✓' if ok else '✗'} {text}") for ok, text in facts.proof),
        *(("note", text) for text in facts.notes),
        *facts.details[:1],
        ("go on", "   ".join(facts.onward)),
    ]
    pairs = [(name, value) for name, value in pairs if value]
    room = max(width(name) for name, _ in pairs)
    lines = (f"  {name}{' ' * (room - width(name))}  {value}" for name, value in pairs)
    return "\n".join((f"{facts.id}  {facts.status}", *lines))
