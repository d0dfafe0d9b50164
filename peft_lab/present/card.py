"""The one static card of a run: what was done, what came of it, what it cost, how to go on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from peft_lab.present.curve import WIDTH as CURVE_WIDTH
from peft_lab.present.curve import curve_alt, curve_png, series, sparkline
from peft_lab.present.facts import Facts
from peft_lab.present.live import LIVE_HEIGHT, live_html, live_text
from peft_lab.present.parts import Card, box, details, framed, headed, line, pairs_table, pre, text_lines
from peft_lab.present.picture import image
from peft_lab.present.style import esc, score
from peft_lab.texts import cards as texts

if TYPE_CHECKING:
    from peft_lab.run import Run

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
    yield from (line(texts.NOTE, text, "grey") for text in facts.notes)
    if recipe := pairs_table(facts.details) + pre(facts.yaml):
        yield details(texts.RECIPE_AND_MORE, recipe)
    if facts.traceback:
        yield details(texts.TRACEBACK, pre(facts.traceback))
    yield details(texts.HOW_TO_GO_ON, pre("\n".join(facts.onward)))


def _numbers(facts: Facts) -> str:
    big = "".join(
        f'<div><b style="font-size:{size}%;line-height:1.2">{esc(value)}</b> {esc(name)}</div>'
        for size, (value, name) in zip((240, 140), facts.scores, strict=False)
    )
    others = (texts.SPLIT_HAS.format(split=split, scores=text) for split, text in facts.others)
    rest = "".join(f"<div>{esc(other)}</div>" for other in others)
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
    # by these details %peft check knows a card of a saved notebook again
    in_text = (texts.SEED, texts.ENDED, texts.FINGERPRINTS)
    pairs = [
        *facts.what,
        (texts.ERROR, facts.failure),
        *((name, value) for value, name in facts.scores),
        *((texts.SPLIT_ALSO.format(split=split), text) for split, text in facts.others),
        (texts.LOSS, _loss(loss) if loss.size else ""),
        *facts.costs,
        *((texts.PROOF, f"{'✓' if ok else '✗'} {text}") for ok, text in facts.proof),
        *((texts.NOTE, text) for text in facts.notes),
        *(pair for pair in facts.details if pair[0] in in_text),
        (texts.GO_ON, "   ".join(facts.onward)),
    ]
    return text_lines(f"{facts.id}  {facts.status}", pairs)


def _loss(loss: Any) -> str:
    return texts.LOSS_WENT.format(bars=sparkline(loss), first=score(loss[0]), last=score(loss[-1]))
