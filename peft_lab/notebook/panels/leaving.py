"""What a panel leaves: the card of its run with the line that trains the same, or that line alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from peft_lab.bench import Bench
from peft_lab.notebook.panels.saying import sentence
from peft_lab.present.parts import pre
from peft_lab.present.picture import MOST_BYTES
from peft_lab.present.style import BORDER, PLAIN, esc
from peft_lab.run import Run
from peft_lab.texts import panels as texts

if TYPE_CHECKING:
    from peft_lab.present.picture import Picture

Bundle = Mapping[str, Any]
TELLING = ("mask-atlas", "gates", "tokens")
"""Views that show what a run is about, the first that fits it is drawn at once."""


def left_without_run(line: str) -> Bundle:
    """The line as text, and how to open the panel again."""
    if not line:
        return sentence(texts.CLOSED["panel"])
    inside = f"<div>{esc(texts.PANEL_IDLE)}</div>{pre(line)}"
    return {"text/html": _framed(inside), "text/plain": f"{texts.PANEL_IDLE}\n{line}"}


def left_by_run(lab: Bench, run: Run, line: str, card: Bundle | None = None, *, drawn: bool = False) -> Bundle:
    """The card of a run, the line that trains the same, and what to type to look inside.

    Args:
        lab: who knows the views.
        run: the run.
        line: the ``%peft train`` line.
        card: what is shown of the run; its card when not given.
        drawn: whether a picture may be drawn, which takes about a second.
    """
    card = card or run._repr_mimebundle_()
    lines = list(_lines(lab, run))
    picture = _picture(lab, run) if drawn else None
    html = [card["text/html"]]
    if picture is not None:
        html.append(picture._repr_html_())
    inside = f"<div>{esc(texts.PANEL_LINE)}</div>{pre(line)}" if line else ""
    if lines:
        inside += f"<div>{esc(texts.PANEL_NEXT)}</div>{pre(chr(10).join(lines))}"
    html.append(_framed(f"{inside}<div>{esc(texts.PANEL_AGAIN)}</div>"))
    text = [card["text/plain"], *([str(picture)] if picture is not None else [])]
    text += [f"{texts.PANEL_LINE}\n  {line}"] if line else []
    text += ["\n  ".join((texts.PANEL_NEXT, *lines))] if lines else []
    return {"text/html": "".join(html), "text/plain": "\n".join([*text, texts.PANEL_AGAIN])}


def fitting(lab: Bench, run: Run) -> list[str]:
    """Names of the views that draw this run by what it left, third parties' as well."""
    there = set(run.artifacts)
    offers = lab.host.offers("views")
    return [name for name, offer in offers.items() if offer.item.needs and there.issuperset(offer.item.needs)]


def _lines(lab: Bench, run: Run) -> Iterator[str]:
    if run.active:
        return
    names = fitting(lab, run)
    if names:
        yield f"%peft explore {run.id}"
    yield from (f"%peft show {name} {run.id}" for name in ("curves", *names))
    if run.status in ("finished", "stopped"):
        yield f'%peft predict {run.id} "..."'


def _picture(lab: Bench, run: Run) -> Picture | None:
    """The picture of the most telling view that fits; none where there is none, or it is too large."""
    from peft_lab.listings.results import drawn

    name = next((name for name in TELLING if name in fitting(lab, run)), None)
    if name is None:
        return None
    with suppress(Exception):  # a picture must not keep the card from being shown
        picture = drawn(lab.host, name, lab.host.find("views", name)(), [run])
        if len(picture._repr_html_()) < MOST_BYTES:
            return picture
    return None


def _framed(inside: str) -> str:
    return (
        f'<div {PLAIN} style="box-sizing:border-box;max-width:860px;margin:6px 0;padding:8px 16px;line-height:1.5;'
        f'border:1px solid {BORDER};border-radius:6px">{inside}</div>'
    )
