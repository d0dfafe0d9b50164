"""Counts, shares and mean losses of the learned tokens, by role."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from peft_lab.present.style import DASH, plain, score, share
from peft_lab.present.table import Cell, Table
from peft_lab.present.tokens.reading import ROLE_NAMES, Kept
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
            "all learned" if number is None else ROLE_NAMES[number],
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
    columns = ["learned tokens", "tokens", "share"]
    if kept.has_losses:
        columns += [f"mean loss, {before}", f"mean loss, {after}", "change", f"share of loss, {after}"]
    rows: list[list[Cell]] = []
    for one in found.values():
        row: list[Cell] = [one.name, one.tokens, share(one.part)]
        if kept.has_losses:
            row += [score(one.before), score(one.after), signed(one.after - one.before), share(one.part_of_loss)]
        rows.append(row)
    known, every = int(np.isfinite(kept.all("after")).sum()), found[None].tokens
    note = f"Losses are known of {known:,} of the {every:,} tokens." if kept.has_losses and known < every else ""
    return Table("", columns, rows, note, align="<" + ">" * (len(columns) - 1))


def signed(number: float) -> str:
    """``+0.12``, or a dash for what is not known."""
    return f"{number:+.3f}" if np.isfinite(number) else DASH


def sentence(found: dict[int | None, Figures], kept: Kept, title: str) -> str:
    """The main numbers of one run."""
    every, number = found[None], len(kept.samples)
    of = f"{every.tokens:,} learned tokens in {number:,} sample{'s' * (number != 1)}"
    if REASONING in found or BOILERPLATE in found:
        reasoning = found.get(REASONING)
        tokens, part = (reasoning.tokens, reasoning.part) if reasoning else (0, 0.0)
        said = f"{title}: {tokens:,} of {of} are reasoning ({share(part)})"
        if reasoning and np.isfinite(reasoning.part_of_loss):
            where = "" if np.isfinite(kept.all("after")).all() else " on held-out rows"
            said += f" and carry {share(reasoning.part_of_loss)} of the loss that is left{where} after training"
        return f"{said}; the others are boilerplate." if NO_ROLE not in found else f"{said}."
    losses = f"mean loss {score(every.before)} before and {score(every.after)} after training"
    return f"{title}: {of}, {losses}. It knows no roles of tokens; the methods shad and rft find them."


def moved(now: dict[int | None, Figures], own: dict[int | None, Figures], threshold: float) -> str:
    """What another threshold than the method's own makes of the tokens: how many of each role, and how many before."""

    def counts(found: dict[int | None, Figures]) -> list[int]:
        return [found[role].tokens if role in found else 0 for role in (REASONING, BOILERPLATE)]

    (reasoning, boilerplate), (once, other) = counts(now), counts(own)
    return (
        f"LD threshold {threshold:g} in place of the method's own: {reasoning:,} reasoning, "
        f"{boilerplate:,} boilerplate (was {once:,} and {other:,}). The run was trained with its own."
    )


def sentence_of_two(found: dict[int | None, Figures], kept: Kept) -> str:
    """The main numbers of two runs on the same rows."""
    one, other = (plain(name) for name in kept.names)
    said = [
        f"{each.name} tokens {score(each.after)} against {score(each.before)} ({signed(each.after - each.before)})"
        for number, each in found.items()
        if number != NO_ROLE
    ]
    rows = len(kept.samples)
    return f"{other} against {one} on {rows:,} row{'s' * (rows != 1)} that both have, mean loss: {'; '.join(said)}."


def _mean(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")
