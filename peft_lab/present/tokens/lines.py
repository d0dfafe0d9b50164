"""Samples as plain text, for terminals: marked tokens stand in brackets."""

from __future__ import annotations

from collections.abc import Sequence

from peft_lab.present.token_text import chips
from peft_lab.present.tokens.blocks import open_from, runs_of, tokens
from peft_lab.present.tokens.marks import UNMARKED, Mark, Marking
from peft_lab.present.tokens.pages import headline
from peft_lab.present.tokens.reading import Kept, Sample
from peft_lab.texts import tokens as texts

OPEN, CLOSE = "⟦", "⟧"
MOST_CHARACTERS = 20_000


def lines(numbers: Sequence[int], kept: Kept, marking: Marking) -> str:
    """The samples of these numbers, with the ends of their prompts."""
    bracketed = [mark for mark in marking.marks if _bracketed(mark)]
    legend = ", ".join(f"{OPEN}{mark.sign}{mark.name}{CLOSE}" for mark in bracketed)
    rest = ", ".join(mark.name for mark in marking.marks if mark not in bracketed)
    marked = texts.MARKED_AND_NOT if rest else texts.MARKED_LINE
    found = [marked.format(marks=legend, others=rest) if legend else ""]
    for at in numbers:
        name, said = headline(at, kept)
        parts = [f"{name} · {said}"]
        for learned, start, stop in kept.samples[at].blocks():
            if learned:
                parts.append(texts.ANSWER_LINE.format(text=_answer(kept.samples[at], marking, start, stop)))
            else:
                parts.append(texts.PROMPT_LINE.format(text=_prompt(kept.samples[at], start, stop)))
        found.append("\n".join(parts))
    text = "\n\n".join(part for part in found if part)
    if len(text) > MOST_CHARACTERS:
        more = texts.MORE_CHARACTERS.format(count=f"{len(text) - MOST_CHARACTERS:,}")
        text = f"{text[:MOST_CHARACTERS]}\n{more}"
    return text


def _bracketed(mark: Mark) -> bool:
    """Of two roles one is enough; a change has a sign for each direction."""
    return bool(mark.sign) or mark.line == "solid"


def _answer(sample: Sample, marking: Marking, start: int, stop: int) -> str:
    said = []
    for run in runs_of(sample, marking, start, stop):
        mark = marking.marks[run.mark] if run.mark != UNMARKED else None
        text = run.text.replace("·", " ")
        said.append(f"{OPEN}{mark.sign}{text}{CLOSE}" if mark and _bracketed(mark) else text)
    return "".join(said).replace(CLOSE + OPEN, "")


def _prompt(sample: Sample, start: int, stop: int) -> str:
    early = open_from(sample, start, stop)
    text = "".join(chip.text for chip in chips(sample.pieces[early:stop], marks=False))
    return texts.BEFORE_LINE.format(tokens=tokens(early - start), text=text) if early > start else text
