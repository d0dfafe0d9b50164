"""The one static card of a run: what was done, what came of it, what it cost, how to go on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from peft_lab.present.curve import WIDTH as CURVE_WIDTH
from peft_lab.present.curve import curve_alt, curve_png, series, sparkline
from peft_lab.present.facts import Facts
from peft_lab.present.live import LIVE_HEIGHT, live_html, live_text
from peft_lab.present.parts import Card, box, details, framed, headed, line, pairs_table, pre, text_lines
from peft_lab.present.picture import image
from peft_lab.present.style import esc, score

if TYPE_CHECKING:
    from peft_lab.run import Run

IN_TEXT = ("seed", "ended", "fingerprints")
"""Details that the text has as well: by them %peft check knows a card of a saved notebook again."""
__all__ = ["LIVE_HEIGHT", "Card", "curve_png", "live_html", "live_text", "run_card"]


def run_card(run: Run) -> Card:
    """Make the card of a run in any state; whatever its record lacks is left out."""
    facts = Facts(run.id, run.record, run.status if "status" in run.record else "unknown", run.points)
    return Card(_html(facts), _text(facts))


# --- HTML ------------------------------------------------------------------------------------------------------------


def _html(facts: Facts) -> str:
    return framed("".join(_sections(facts)), facts.colour)


def _sections(facts: Facts) -> Iterator[str]:
    yield headed(facts.id, facts.status, facts.colour, facts.what)
    if facts.failure:
        yield box(facts.failure)
    side_by_side = "display:flex;flex-wrap:wrap;align-items:center;margin:8px 0"
    if results := _numbers(facts) + _curve(facts):
        yield f'<div style="{side_by_side}">{results}</div>'
    if facts.costs:
        yield pairs_table(facts.costs)
    yield from (line("✓" if ok else "✗", text, "green" if ok else "vermilion") for ok, text in facts.proof)
    yield from (line("note", text, "grey") for text in facts.notes)
    if recipe := pairs_table(facts.details) + pre(facts.yaml):
        yield details("recipe, seed, versions, hardware", recipe)
    if facts.traceback:
        yield details("traceback", pre(facts.traceback))
    yield details("how to go on", pre("\n".join(facts.onward)))


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
        *(pair for pair in facts.details if pair[0] in IN_TEXT),
        ("go on", "   ".join(facts.onward)),
    ]
    return text_lines(f"{facts.id}  {facts.status}", pairs)
