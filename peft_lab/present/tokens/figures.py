"""Counts, shares and mean losses of the learned tokens, by role."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from peft_lab.present.style import DASH, plain, score, share
from peft_lab.present.table import Cell, Table
from peft_lab.present.tokens.reading import Kept, role_name
from peft_lab.texts import tokens as texts
from pluggy_specs.pieces import BOILERPLATE, NO_ROLE, REASONING


@dataclass(frozen=True)
class Figures:
    """Of the tokens with one role, or of all."""

    name: str
    tokens: int
    part: float
    before: float
    after: float
    part_of_loss: float
    """Of the loss ``after``, over tokens that have one."""


def figures(kept: Kept) -> dict[int | None, Figures]:
    """By role, those that occur; ``None`` is all learned tokens."""
    role, before, after = kept.role, kept.all("before"), kept.all("after")
    total = float(np.nansum(after))
    found: dict[int | None, Figures] = {}
    for number in (REASONING, BOILERPLATE, NO_ROLE, None):
        inside = np.ones(len(role), bool) if number is None else role == number
        if number is not None and (not inside.any() or not kept.has_roles):
            continue
        found[number] = Figures(
            texts.ALL_LEARNED if number is None else role_name(number),
            int(inside.sum()),
            float(inside.mean()) if len(inside) else 0.0,
            _mean(before[inside]),
            _mean(after[inside]),
            float(np.nansum(after[inside])) / total if total > 0 else float("nan"),
        )
    return found


def as_table(found: dict[int | None, Figures], kept: Kept) -> Table:
    """A row a role: tokens, shares and, where losses are known, their means and the difference."""
    before, after = (plain(name) for name in kept.names)
    columns = list(texts.COLUMNS)
    if kept.has_losses:
        columns += [column.format(before=before, after=after) for column in texts.COLUMNS_LOSS]
    rows: list[list[Cell]] = []
    for one in found.values():
        row: list[Cell] = [one.name, one.tokens, share(one.part)]
        if kept.has_losses:
            row += [score(one.before), score(one.after), signed(one.after - one.before), share(one.part_of_loss)]
        rows.append(row)
    known, every = int(np.isfinite(kept.all("after")).sum()), found[None].tokens
    partly = kept.has_losses and known < every
    note = texts.LOSSES_KNOWN.format(known=f"{known:,}", every=f"{every:,}") if partly else ""
    return Table("", columns, rows, note, align="<" + ">" * (len(columns) - 1))


def signed(number: float) -> str:
    """``+0.12``, or a dash for what is not known."""
    return f"{number:+.3f}" if np.isfinite(number) else DASH


def sentence(found: dict[int | None, Figures], kept: Kept, title: str) -> str:
    """The main numbers of one run."""
    every, number = found[None], len(kept.samples)
    learned = texts.LEARNED_IN.format(number, tokens=f"{every.tokens:,}")
    if REASONING in found or BOILERPLATE in found:
        reasoning = found.get(REASONING)
        tokens, part = (reasoning.tokens, reasoning.part) if reasoning else (0, 0.0)
        said = texts.ARE_REASONING.format(title=title, reasoning=f"{tokens:,}", learned=learned, share=share(part))
        if reasoning and np.isfinite(reasoning.part_of_loss):
            carry = texts.CARRY if np.isfinite(kept.all("after")).all() else texts.CARRY_HELD_OUT
            said = carry.format(said=said, loss=share(reasoning.part_of_loss))
        return (texts.OTHERS_BOILERPLATE if NO_ROLE not in found else texts.SOME_WITHOUT_ROLE).format(said=said)
    losses = {"before": score(every.before), "after": score(every.after)}
    return texts.NO_ROLES.format(title=title, learned=learned, **losses)


def moved(now: dict[int | None, Figures], own: dict[int | None, Figures], threshold: float) -> str:
    """What another threshold than the method's own makes of the tokens: how many of each role, and how many before."""

    def counts(found: dict[int | None, Figures]) -> list[int]:
        return [found[role].tokens if role in found else 0 for role in (REASONING, BOILERPLATE)]

    (reasoning, boilerplate), (once, other) = counts(now), counts(own)
    numbers = {"reasoning": reasoning, "boilerplate": boilerplate, "once": once, "other": other}
    told = {name: f"{number:,}" for name, number in numbers.items()}
    return texts.OTHER_THRESHOLD.format(threshold=f"{threshold:g}", **told)


def sentence_of_two(found: dict[int | None, Figures], kept: Kept) -> str:
    """The main numbers of two runs on the same rows."""
    one, other = (plain(name) for name in kept.names)
    said = [
        texts.TOKENS_OF_ROLE_AGAINST.format(
            role=each.name,
            after=score(each.after),
            before=score(each.before),
            change=signed(each.after - each.before),
        )
        for number, each in found.items()
        if number != NO_ROLE
    ]
    return texts.TWO_RUNS.format(len(kept.samples), other=other, one=one, said="; ".join(said))


def _mean(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")
