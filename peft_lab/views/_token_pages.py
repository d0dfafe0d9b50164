"""Samples one below the other as HTML, under what their marks mean.

Inline styles only, and only such as an untrusted notebook keeps; no script. Everything stands in text and in titles.
"""

from __future__ import annotations

from collections.abc import Sequence

from peft_lab.present.style import BORDER, PLAIN, esc
from peft_lab.views._token_blocks import FRAME, Look, answer_block, prompt_block, special, table_block, tokens
from peft_lab.views._token_marks import Marking
from peft_lab.views._token_reading import ROLE_NAMES, Kept

MOST_BYTES = 190_000
"""Of all samples, so that the whole stays under 200 kB."""
LEAST_BYTES = 7_000
"""Of a sample on a page of many."""


def page(numbers: Sequence[int], kept: Kept, marking: Marking) -> str:
    """The samples of these numbers: in full where that is short enough, otherwise lean and as far as there is room."""
    full, size = "", 0
    for at in numbers:
        full += (one := _sample(at, Look(kept, marking, lean=False), 2 * MOST_BYTES))
        size += len(one.encode())
        if size > MOST_BYTES:
            break
    else:
        return legend(marking, lean=False) + full
    return legend(marking, lean=True) + _as_far_as_it_goes(numbers, Look(kept, marking, lean=True))


def _as_far_as_it_goes(numbers: Sequence[int], look: Look) -> str:
    """Samples that share the room, each with enough of it to be of use; and how many do not fit."""
    drawn: list[str] = []
    room = MOST_BYTES
    for at in numbers:
        if drawn and room < LEAST_BYTES:
            break
        drawn.append(_sample(at, look, max(LEAST_BYTES, room // (len(numbers) - len(drawn)))))
        room -= len(drawn[-1].encode())
    left = len(numbers) - len(drawn)
    more = (
        f"<div><b>… {left:,} more samples do not fit on this page: --sample N shows another.</b></div>" if left else ""
    )
    return "".join(drawn) + more


def legend(marking: Marking, lean: bool) -> str:
    """What the marks mean, in words, each with the look it explains."""
    lines = []
    for mark in reversed(marking.marks):
        steps = " ".join(esc(step).join(mark.opening(strong, lean)) for strong, step in marking.steps.items())
        line = "" if lean and mark.line == "dotted" else mark.line
        lines.append(f"<div><b>{esc(mark.name)}</b>{f', {line} line' if line else ''}: {steps}</div>")
    more = f"Tint: {esc(marking.about)}. {special('in a frame')}: a special token. · is a blank, ⏎ a new line, ⇥ a tab."
    if lean:
        more += " This page is long: dotted lines, and numbers where you point at a token, are left out."
    return f'<div style="margin:6px 0;line-height:1.9">{"".join(lines)}<div>{more}</div></div>'


def headline(at: int, kept: Kept) -> tuple[str, str]:
    """The name of a sample, and what there is in it, in words."""
    sample = kept.samples[at]
    roles = sample.role[sample.learned]
    counts = [f"{n:,} {name}" for role, name in ROLE_NAMES.items() if (n := int((roles == role).sum()))]
    said = f"{len(roles):,} learned tokens" + (f" ({', '.join(counts)})" if kept.has_roles else "")
    seen = "held out" if sample.held_out else "trained on"
    return f"sample {at + 1} of {len(kept.samples):,}", f"{seen} · {said}"


def _sample(at: int, look: Look, room: int) -> str:
    """One sample within a number of bytes: answers come first, then prompts, then the table."""
    sample, left = look.kept.samples[at], 0
    drawn: dict[int, str] = {}
    room -= FRAME
    for learned, start, stop in sorted(sample.blocks(), key=lambda block: not block[0]):
        if drawn and room < 2 * FRAME:
            left += stop - start
            continue
        if learned:
            drawn[start] = answer_block(sample, start, stop, look, room)
        else:
            drawn[start] = prompt_block(sample, start, stop, room)
        room -= len(drawn[start].encode())
    name, said = headline(at, look.kept)
    inside = "".join(drawn[start] for start in sorted(drawn)) + table_block(sample, look.kept, room)
    inside += f"<div>{tokens(left)} of other turns do not fit on this page</div>" if left else ""
    style = f"margin:14px 0;border-top:1px solid {BORDER};padding:6px 0 0 0"
    return f'<div {PLAIN} style="{style}"><div><b>{esc(name)}</b> · {esc(said)}</div>{inside}</div>'
