"""Samples one below the other as HTML, under what their marks mean.

Inline styles only, and only such as an untrusted notebook keeps; no script. Everything stands in text and in titles.
"""

from __future__ import annotations

from collections.abc import Sequence

from peft_lab.present.style import BORDER, PLAIN, esc
from peft_lab.present.tokens.blocks import FRAME, Look, answer_block, prompt_block, special, table_block, tokens
from peft_lab.present.tokens.marks import Marking
from peft_lab.present.tokens.reading import ROLE_KEYS, Kept, role_name
from peft_lab.texts import tokens as texts

MOST_BYTES = 190_000
"""Of all samples, so that the whole stays under 200 kB."""
LEAST_BYTES = 7_000
"""Of a sample on a page of many."""
_LEGEND = 'style="margin:6px 0;line-height:1.9"'
SHORT = 600
"""Learned tokens of a sample that is drawn in full although it is drawn again and again."""


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


def sample_alone(at: int, kept: Kept, marking: Marking, whole: bool, table: bool) -> str:
    """One sample under its key, for a page that is drawn again while somebody moves a threshold.

    Whether it is lean depends on its length alone, so that the look stays and nothing is drawn twice. What can be
    unfolded is drawn anew each time, so it is open or not there.

    Args:
        whole: with all of the prompt.
        table: with the table of tokens.
    """
    look = Look(kept, marking, lean_alone(kept, at), whole, "open" if table else "")
    return f"<div {PLAIN} {_LEGEND}>{_key(marking, look.lean)}</div>{_sample(at, look, MOST_BYTES)}"


def lean_alone(kept: Kept, at: int) -> bool:
    """Whether a sample is so long that :func:`sample_alone` draws less of each token."""
    return int(kept.samples[at].learned.sum()) > SHORT


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
    more = f"<div><b>{texts.MORE_SAMPLES.format(count=f'{left:,}')}</b></div>" if left else ""
    return "".join(drawn) + more


def legend(marking: Marking, lean: bool) -> str:
    """What the marks mean, in words, each with the look it explains."""
    return f"<div {_LEGEND}>{_key(marking, lean)}<div>{explained(marking, lean)}</div></div>"


def _key(marking: Marking, lean: bool) -> str:
    """A line for each mark."""
    lines = []
    for mark in reversed(marking.marks):
        steps = " ".join(esc(step).join(mark.opening(strong, lean)) for strong, step in marking.steps.items())
        line = "" if lean and mark.line == "dotted" else mark.line
        key = esc(texts.KEY[line]).format(mark=f"<b>{esc(mark.name)}</b>", steps=steps)
        lines.append(f"<div>{key}</div>")
    return "".join(lines)


def explained(marking: Marking, lean: bool) -> str:
    """What gives a tint its strength, and how what cannot be seen is written."""
    said = esc(texts.TINT).format(about=esc(marking.about), frame=special(texts.IN_A_FRAME))
    return esc(texts.TINT_LEAN).format(tint=said) if lean else said


def headline(at: int, kept: Kept) -> tuple[str, str]:
    """The name of a sample, and what there is in it, in words."""
    sample = kept.samples[at]
    roles = sample.role[sample.learned]
    numbers = {role: int((roles == role).sum()) for role in ROLE_KEYS}
    counts = [texts.OF_ROLE.format(count=f"{n:,}", role=role_name(role)) for role, n in numbers.items() if n]
    learned = texts.LEARNED_TOKENS_OF if kept.has_roles else texts.LEARNED_TOKENS
    said = learned.format(count=f"{len(roles):,}", roles=", ".join(counts))
    seen = texts.HELD_OUT if sample.held_out else texts.TRAINED_ON
    return texts.SAMPLE.format(number=at + 1, every=f"{len(kept.samples):,}"), seen.format(said=said)


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
            drawn[start] = prompt_block(sample, start, stop, look, room)
        room -= len(drawn[start].encode())
    name, said = headline(at, look.kept)
    inside = "".join(drawn[start] for start in sorted(drawn)) + table_block(sample, look, room)
    inside += f"<div>{texts.OTHER_TURNS.format(tokens=tokens(left))}</div>" if left else ""
    style = f"margin:14px 0;border-top:1px solid {BORDER};padding:6px 0 0 0"
    return f'<div {PLAIN} style="{style}"><div><b>{esc(name)}</b> · {esc(said)}</div>{inside}</div>'
