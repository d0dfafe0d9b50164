"""What models write, side by side: lines stay lines, and nothing in it is read as HTML."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from peft_lab.conversation import Conversation, Message
from peft_lab.present.style import BORDER, PLAIN, esc, plain, visible
from peft_lab.run import Run
from peft_lab.texts import tables as texts

if TYPE_CHECKING:
    from peft_lab.training.generating import Written


@dataclass(frozen=True)
class SideBySide:
    """Answers of several models to some prompts."""

    title: str
    models: Sequence[str]
    prompts: Sequence[str]
    answers: Sequence[Sequence[str]]
    """For each prompt those of each model."""
    note: str = ""

    def to_pandas(self) -> Any:
        """A row for each prompt, a column for each model."""
        import pandas as pd

        rows = [[prompt, *answers] for prompt, answers in zip(self.prompts, self.answers, strict=True)]
        return pd.DataFrame(rows, columns=[texts.PROMPT, *self.models])

    def __len__(self) -> int:
        return len(self.prompts)

    def __str__(self) -> str:
        parts = [plain(self.title)]
        for prompt, answers in zip(self.prompts, self.answers, strict=True):
            parts.append(_block(texts.PROMPT, prompt))
            parts += [_block(name, answer) for name, answer in zip(self.models, answers, strict=True)]
        return "\n\n".join((*parts, *([plain(self.note)] if self.note else [])))

    __repr__ = __str__

    def _repr_html_(self) -> str:
        edge = (
            f"border:0;border-bottom:1px solid {BORDER};padding:4px 12px 4px 4px;text-align:left;vertical-align:top;"
            "white-space:pre-wrap;overflow-wrap:anywhere"
        )
        share = f"width:{100 // (len(self.models) + 1)}%"
        head = "".join(f'<th style="{edge};{share};font-weight:bold">{esc(name)}</th>' for name in self._columns)
        body = "".join(
            "<tr>"
            + "".join(f'<td style="{edge}">{esc(text)}</td>' for text in (prompt, *map(_shown, answers)))
            + "</tr>"
            for prompt, answers in zip(self.prompts, self.answers, strict=True)
        )
        note = f'<div style="margin:4px">{esc(self.note)}</div>' if self.note else ""
        return (
            f'<div {PLAIN} style="overflow-x:auto;line-height:1.4">'
            f'<div style="font-weight:bold;margin:4px">{esc(self.title)}</div>'
            f'<table style="border-collapse:collapse;background:none;margin:0;font-size:100%;width:100%">'
            f'<thead><tr style="background:none">{head}</tr></thead><tbody>{body}</tbody></table>{note}</div>'
        )

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"text/html": self._repr_html_(), "text/plain": str(self)}

    @property
    def _columns(self) -> tuple[str, ...]:
        return (texts.PROMPT, *self.models)


def written_by(
    run: Run,
    prompts: Sequence[str],
    write: Mapping[str, Callable[[list[dict[str, str]]], Written]],
    *,
    tools: Sequence[Mapping[str, Any]] = (),
    system: str | None = None,
    most: int,
    temperature: float,
    seed: int,
) -> SideBySide:
    """Ask models for answers to prompts.

    Args:
        write: by the name of each model, what answers to rows.
        tools: schemas of tools that may be called.
        system: what stands before the conversation.
        most: tokens that an answer may have; said, with ``temperature`` and ``seed``, below the answers.
    """
    before = (Message("system", system),) if system else ()
    rows = []
    for prompt in prompts:
        text, context = Conversation((*before, Message("user", prompt)), tuple(tools)).columns()
        rows.append({"text": text, "text_pair": context})
    written = {model: answer(rows) for model, answer in write.items()}
    answers = list(zip(*(one.answers for one in written.values()), strict=True))
    how = texts.DRAWN if temperature else texts.LIKELIEST
    longest = max(one.most for one in written.values())
    said = [how.format(most=longest, temperature=f"{temperature:g}", seed=seed), *_did_not_fit(written, most)]
    title = texts.WRITTEN_BY.format(run=run.id, method=run.recipe.method, data=run.recipe.data.source)
    return SideBySide(title, list(write), list(prompts), answers, " ".join(said))


def _did_not_fit(written: Mapping[str, Written], wanted: int) -> list[str]:
    """What models had no room for, once for all of which it is the same."""
    found: dict[str, list[str]] = {}
    for model, one in written.items():
        if one.most < wanted:
            found.setdefault(texts.ANSWER_LIMITED.format(room=one.room, most=one.most, wanted=wanted), []).append(model)
        for number, (size, lost) in enumerate(zip(one.prompts, one.lost, strict=True), 1):
            if lost:
                cut = texts.PROMPT_CUT.format(room=one.room, most=one.most, number=number, size=size, lost=lost)
                found.setdefault(cut, []).append(model)
    return [texts.ABOUT_MODELS.format(models=", ".join(models), said=said) for said, models in found.items()]


def _shown(answer: str) -> str:
    return answer or texts.ENDS_AT_ONCE


def _block(name: str, text: str) -> str:
    lines = _shown(text).splitlines() or [""]
    return "\n".join([texts.WROTE.format(name=plain(name)), *(f"  {visible(line.expandtabs(4))}" for line in lines)])
