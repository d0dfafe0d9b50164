"""Sentences in panels and explorers, said in one look."""

from __future__ import annotations

import traceback

from peft_lab.errors import PeftLabError
from peft_lab.present.parts import line
from peft_lab.present.style import PLAIN, esc
from peft_lab.texts import panels as texts


def framed(inside: str) -> str:
    """HTML of a sentence or two, as wide as a card."""
    return f'<div {PLAIN} style="max-width:860px;line-height:1.5">{inside}</div>'


def sentence(said: str) -> dict[str, str]:
    """A sentence as what is left of something."""
    return {"text/html": f"<div {PLAIN}>{esc(said)}</div>", "text/plain": said}


def refusal(said: str) -> dict[str, str]:
    """Why there is nothing to see, as what is left of it."""
    return {"text/html": f"<div {PLAIN}>{line('✗', said, 'vermilion')}</div>", "text/plain": said}


def in_one_line(error: BaseException) -> str:
    """The error as a sentence. Its frames, which hold the model, are given up."""
    seen: BaseException | None = error
    while seen is not None:
        traceback.clear_frames(seen.__traceback__)
        seen = seen.__cause__ or seen.__context__
    said = " ".join(str(error).split())
    if isinstance(error, PeftLabError):
        return said
    return texts.UNFORESEEN.format(kind=type(error).__name__, message=said)
