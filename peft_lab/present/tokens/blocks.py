"""Parts of a sample as HTML: the prompt folded, the answer open with its tokens marked, a table that can be copied."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Literal

import numpy as np

from peft_lab.present.style import BORDER, esc, number, plain
from peft_lab.present.token_text import Chip, as_html, chips, one_line
from peft_lab.present.tokens.marks import UNMARKED, Marking
from peft_lab.present.tokens.reading import Kept, Sample, role_name
from peft_lab.texts import tokens as texts
from pluggy_specs.pieces import SPECIALS

FRAME = 450
"""Bytes of a block without its tokens, at most."""
SHOWN_OF_PROMPT = 48
"""Tokens at the end of a prompt, which stay open from where a line begins: what is answered mostly stands there."""
FEWEST_OF_PROMPT = 8
"""Template alone, such as the beginning of the assistant's turn, would say nothing."""
NAMED = 4
"""Tokens side by side with one mark whose numbers are told one by one."""
LONGEST_RUN = 256
TEXT = "font-family:monospace;white-space:pre-wrap;overflow-wrap:break-word;line-height:1.9;margin:2px 0"
FRAMED = f"display:inline-block;line-height:1.4;border:1px solid {BORDER};border-radius:4px;padding:0 4px;font-size:90%"


@dataclass(frozen=True)
class Run:
    """Chips side by side that look the same: ``start`` to ``stop`` (excluded) are their tokens."""

    start: int
    stop: int
    texts: tuple[str, ...]
    mark: int
    strength: int
    special: bool

    @property
    def text(self) -> str:
        """The texts of its chips together."""
        return "".join(self.texts)


@dataclass(frozen=True)
class Look:
    """What all blocks of a page share. A ``lean`` page has no titles and solid lines only."""

    kept: Kept
    marking: Marking
    lean: bool
    whole: bool = False
    """Whether prompts are unfolded."""
    table: Literal["", "folded", "open"] = "folded"


def runs_of(sample: Sample, marking: Marking, start: int, stop: int) -> Iterator[Run]:
    """Chips of a part of a sample, neighbours that look the same put together; a special token stands alone."""
    mark, strength = marking(sample)
    shown = _chips(sample, start, stop)
    begins = np.array([one.start for one in shown])
    decides = begins.copy()
    for at, one in enumerate(shown):
        if one.stop - one.start > 1:  # the first token of a chip that has a mark gives it to the chip
            decides[at] = next((token for token in range(one.start, one.stop) if mark[token] != UNMARKED), one.start)
    alone = np.isin(sample.kind[decides], SPECIALS)
    looks = np.stack([mark[decides], strength[decides], alone, (begins - start) // LONGEST_RUN])
    differs = (looks[:, 1:] != looks[:, :-1]).any(axis=0) | alone[1:]
    each = looks.T.tolist()
    for first, after in pairwise([0, *(np.flatnonzero(differs) + 1).tolist(), len(shown)]):
        number_of_mark, strong, apart, _ = each[first]
        texts = tuple(one.text for one in shown[first:after])
        yield Run(shown[first].start, shown[after - 1].stop, texts, number_of_mark, strong, bool(apart))


def special(text: str) -> str:
    """A special token, in a frame."""
    return f'<span style="{FRAMED}">{as_html(text)}</span>'


def tokens(count: int) -> str:
    """``1 token``, ``1,200 tokens``."""
    return texts.TOKENS.format(count)


def answer_block(sample: Sample, start: int, stop: int, look: Look, room: int) -> str:
    """What is learned, its tokens marked, as far as the room in bytes goes."""
    html: list[str] = []
    room, reached = room - FRAME, start
    for run in runs_of(sample, look.marking, start, stop):
        piece = _marked(sample, run, look)
        room -= len(piece.encode())
        if room < 0:
            break
        html.append(piece)
        reached = run.stop
    left = stop - reached
    more = f"<div>{texts.MORE_IN_ANSWER.format(count=f'{left:,}')}</div>" if left else ""
    return _block("solid", texts.ANSWER.format(tokens=tokens(stop - start)), _text("".join(html)) + more)


def prompt_block(sample: Sample, start: int, stop: int, look: Look, room: int) -> str:
    """What is read only: its end, and before that what can be unfolded, as far back as the room in bytes goes."""
    border = open_from(sample, start, stop)
    end, room, _ = _backwards(sample, border, stop, room - 2 * FRAME)
    folded = ""
    if border > start:
        early, room, lost = _backwards(sample, start, border, room)
        missing = f"<div>{texts.FIRST_LOST.format(tokens=tokens(lost))}</div>" if lost else ""
        summary = texts.SHOW_ALL.format(tokens=tokens(border - start), every=f"{stop - start:,}")
        folded = f"{_details(summary, look.whole)}{missing}{_text(early)}</details>"
    return _block("dashed", texts.PROMPT.format(tokens=tokens(stop - start)), folded + _text(end))


def open_from(sample: Sample, start: int, stop: int) -> int:
    """The first token of the part of a prompt that stays open: the whole prompt, or from where a line begins."""
    earliest = stop - SHOWN_OF_PROMPT
    if earliest <= start:
        return start
    begins = (
        token for token in range(earliest, stop - FEWEST_OF_PROMPT + 1) if sample.pieces[token - 1].endswith("\n")
    )
    return next(begins, earliest)


def table_block(sample: Sample, look: Look, room: int) -> str:
    """Position, token and numbers of the learned tokens; plain cells, so that it is short and can be copied."""
    if not look.table:
        return ""
    kept = look.kept
    columns = [(name, title) for name, title in _columns(kept) if not np.isnan(sample[name][sample.learned]).all()]
    learned = np.flatnonzero(sample.learned).tolist()
    names = [*texts.TABLE_COLUMNS, *([texts.TABLE_ROLE] if kept.has_roles else []), *(title for _, title in columns)]
    head = "".join(f"<th>{esc(name)}</th>" for name in names)
    room -= FRAME + len(head.encode())
    if not columns or not learned or room < 0:
        return ""
    shown = {one.start: one.text for _, start, stop in sample.blocks() for one in _chips(sample, start, stop)}
    values = [sample[name] for name, _ in columns]
    rows: list[str] = []
    for token in learned:
        kind = texts.KIND_SPECIAL if sample.kind[token] in SPECIALS else texts.KIND_TEXT
        cells = [f"{token}", one_line(shown.get(token, "″")), kind]
        cells += [role_name(int(sample.role[token]))] if kept.has_roles else []
        cells += [number(float(column[token])) for column in values]
        rows.append(f"<tr>{''.join(f'<td>{esc(cell)}</td>' for cell in cells)}</tr>")
        room -= len(rows[-1].encode())
        if room < 0:
            rows.pop()
            break
    left = len(learned) - len(rows)
    more = f"<div>{texts.MORE_IN_TABLE.format(tokens=tokens(left))}</div>" if left else ""
    return (
        f"{_details(texts.TABLE_SUMMARY.format(tokens=tokens(len(learned))), look.table == 'open')}"
        '<div style="overflow-x:auto"><table cellpadding="3" style="font-family:monospace">'
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>{more}</details>"
    )


def _details(summary: str, opened: bool) -> str:
    return f'<details{" open" * opened}><summary style="cursor:pointer">{summary}</summary>'


def _marked(sample: Sample, run: Run, look: Look) -> str:
    text = special(run.text) if run.special else "".join(as_html(one, not look.lean) for one in run.texts)
    if run.mark == UNMARKED:
        return text
    mark = look.marking.marks[run.mark]
    opening, closing = mark.opening(run.strength, look.lean)
    if not look.lean:
        title = one_line(texts.MARK_HAS.format(mark=mark.name, numbers=_numbers(sample, run, look.kept)))
        opening = f'{opening[:-1]} title="{esc(title)}">'
    return f"{opening}{text}{closing}"


def _numbers(sample: Sample, run: Run, kept: Kept) -> str:
    """The numbers of the tokens of a run: one by one, or from the lowest to the highest."""
    count = run.stop - run.start
    if count == 1:
        return _told(sample, run.start, kept)
    shown = _chips(sample, run.start, run.stop)
    if len(shown) == count <= NAMED:
        return "; ".join(
            texts.ONE_OF_SEVERAL.format(token=one.text, numbers=_told(sample, one.start, kept)) for one in shown
        )
    said = [tokens(count)]
    for name, title in _columns(kept):
        values = sample[name][run.start : run.stop]
        if not np.isnan(values).all():
            low, high = (number(float(limit)) for limit in (np.nanmin(values), np.nanmax(values)))
            said.append(texts.NUMBER_FROM_TO.format(name=title, low=low, high=high))
    return ", ".join(said)


def _told(sample: Sample, token: int, kept: Kept) -> str:
    known = ((title, float(sample[name][token])) for name, title in _columns(kept))
    return ", ".join(
        texts.NUMBER.format(name=title, value=number(value)) for title, value in known if not np.isnan(value)
    )


def _columns(kept: Kept) -> list[tuple[str, str]]:
    before, after = (plain(name) for name in kept.names)
    losses = (("before", texts.NUMBER_LOSS.format(whose=before)), ("after", texts.NUMBER_LOSS.format(whose=after)))
    return [("ld", texts.NUMBER_LD), ("weight", texts.NUMBER_WEIGHT), *losses]


@lru_cache(maxsize=64)
def _known_chips(pieces: tuple[str, ...], start: int, marks: bool) -> tuple[Chip, ...]:
    return tuple(Chip(one.start + start, one.stop + start, one.text) for one in chips(pieces, marks))


def _chips(sample: Sample, start: int, stop: int, marks: bool = True) -> tuple[Chip, ...]:
    """Chips of a part of a sample. They are kept: the same part is drawn again whenever a threshold moves."""
    return _known_chips(sample.pieces[start:stop], start, marks)


def _backwards(sample: Sample, start: int, stop: int, room: int) -> tuple[str, int, int]:
    """The last chips of a part of a prompt that fit; what room is left; how many tokens do not fit."""
    html: list[str] = []
    reached = stop
    for one in reversed(_chips(sample, start, stop, marks=False)):
        piece = special(one.text) if sample.kind[one.start] in SPECIALS else as_html(one.text, breaks=False)
        room -= len(piece.encode())
        if room < 0:
            break
        html.append(piece)
        reached = one.start
    return "".join(reversed(html)), room, reached - start


def _text(html: str) -> str:
    return f'<div dir="auto" style="{TEXT}">{html}</div>' if html else ""


def _block(line: str, label: str, inside: str) -> str:
    style = f"margin:6px 0;border-left:3px {line} {BORDER};padding:0 0 0 10px"
    return f'<div style="{style}"><div style="font-size:90%">{label}</div>{inside}</div>'
