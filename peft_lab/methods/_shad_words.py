"""What was found about roles, in words, and whether it can be trusted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from peft_lab.methods._shad import CLEAR, Differences, Settings
from peft_lab.methods._shad_rows import Row

UNTRAINED = 0.8
"""A base model whose loss on the answers is above this share of blind guessing knows too little."""
FEW, MANY = 0.05, 0.95
"""Shares of boilerplate beyond which roles tell little."""
FORMAT = 0.1
"""Share of answer tokens that stand in half of the answers, below which there is no format."""
FEWEST = 32
"""Shuffled rows below which roles are drawn from too little."""
STEADY = 0.8
"""Share of tokens, counting the clear ones only, that should get the same role from another sample."""


def said_of(found: Differences) -> Iterator[str]:
    """Notes for a card: what was found, then what speaks against trusting it."""
    s = found.summary
    again = "found again: " if found.again else ""
    yield (
        f"Roles {again}{s['reasoning']:,} of {s['tokens']:,} answer tokens are reasoning, the rest boilerplate, by "
        f"shuffling {s['sample']} of {s['rows']:,} rows{_apart(s)} and tuning {s['steps']} steps beside {s['layers']}"
        + ("" if found.again else f" ({s['seconds']:.0f} s)")
    )
    if not s["goes_on"] and not found.again:
        yield "This model cannot go on from kept keys and values, so that prompts were read anew in every step"
    yield (
        f"Tuning on shuffled answers changed the loss of boilerplate by {s['mean_boilerplate']:+.2f} and that of "
        f"reasoning by {s['mean_reasoning']:+.2f} a token; {s['clear']:.0%} of the differences are clear of chance "
        f"(above {CLEAR})"
    )
    if "control" in s:
        yield from _of_control(s)
    yield from doubts(s)


def _apart(s: dict[str, Any]) -> str:
    return f" ({s['kinds']} kinds of answers by how they begin, each apart)" if s["kinds"] > 1 else ""


def _of_control(s: dict[str, Any]) -> Iterator[str]:
    shuffled, unshuffled = s["control"]["reasoning"]
    behind, clear = s["prompts"], s["agreement"]["clear"]
    yield (
        f"Control: tuned on {s['control']['tuned_on']} rows as they are the loss of reasoning changes by "
        f"{unshuffled:+.2f}, on the same rows shuffled by {shuffled:+.2f}; that tuning gives the same role to "
        f"{s['agreement']['all']:.0%} of the tokens"
        + ("" if clear is None else f", and to {clear:.0%} of those with a clear difference")
    )
    if behind["least"] is not None:
        yield (
            f"Behind the prompts of other rows the loss of reasoning differs by {behind['reasoning']:+.2f}, that of "
            f"boilerplate by {behind['boilerplate']:+.2f}, that of all tokens by {behind['all']:+.2f} (at least "
            f"{behind['least']:+.2f}, 99 % sure)"
        )


def doubts(s: dict[str, Any]) -> list[str]:
    """What speaks against trusting roles, each in a sentence; none where nothing does."""
    said = []
    if s["loss"] > UNTRAINED * s["guess"]:
        said.append(
            f"Roles cannot be trusted: the base model hardly knows such answers (loss {s['loss']:.1f} a token, blind "
            f"guessing {s['guess']:.1f}), so that tuning lowers the loss of everything"
        )
    share = 1 - s["reasoning"] / max(1, s["tokens"])
    if s["shared"] < FORMAT:
        said.append(
            f"Roles say little: the answers share no format (only {s['shared']:.0%} of their tokens stand in half of "
            "them)"
        )
    elif not FEW <= share <= MANY:
        said.append(f"Roles say little: {share:.0%} of the answer tokens came out as boilerplate")
    if s["sample"] < FEWEST:
        said.append(f"Roles rest on {s['sample']} shuffled rows; at least {FEWEST} are wanted")
    if "control" in s and s["control"]["reasoning"][0] <= s["control"]["reasoning"][1]:
        said.append("Roles cannot be trusted: the loss of reasoning rises no more with shuffled answers than without")
    if "prompts" in s and s["prompts"]["least"] is not None and s["prompts"]["least"] <= 0:
        said.append(
            "Roles cannot be trusted: it is not shown that prompts tell anything of the answers. Behind the prompts of "
            f"other rows the loss is {s['prompts']['all']:+.2f} higher, and at least {s['prompts']['least']:+.2f}, as "
            f"far as {s['prompts']['rows']} rows tell"
        )
    agreed = s.get("agreement", {}).get("clear")
    if agreed is not None and agreed < STEADY:
        said.append(f"Roles are unsteady: another tuning agrees on {agreed:.0%} of the tokens with a clear difference")
    return said


def not_found(rows: Sequence[Row], settings: Settings) -> str:
    """What finding roles takes, where they are not found now."""
    tunings = 3 if settings.control else 1
    return (
        f"Roles are found when training begins, which takes {tunings * settings.effort.steps} steps of tuning on "
        f"answers for each kind of them and one pass over {len(rows):,} rows; unless they are known from before"
    )


def said_of_rule(rule: str, roles: np.ndarray, shared: float) -> Iterator[str]:
    """The same for roles by a rule."""
    how = "patterns" if rule == "regex" else "the frame of JSON"
    yield f"Roles by {how}: {int(roles.sum()):,} of {len(roles):,} answer tokens are reasoning, the rest boilerplate"
    share = 1 - float(roles.mean())
    if not FEW <= share <= MANY:
        yield f"Roles say little: {share:.0%} of the answer tokens came out as boilerplate"
