"""The card of a plan: what a training would change and take, before it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from peft_lab.present.facts import Facts
from peft_lab.present.parts import Card, box, details, framed, headed, line, pairs_table, text_lines
from peft_lab.present.picture import image
from peft_lab.present.style import PALETTE, bytes_, count, esc, plain, seconds, share, tint

if TYPE_CHECKING:
    from peft_lab.training.plan import Plan

PARTS = {  # of memory, in the order in which they are drawn
    "weights": ("weights", "blue"),
    "gradients": ("gradients", "vermilion"),
    "optimizer": ("optimizer", "purple"),
    "activations": ("activations", "green"),
    "process": ("this process: libraries, data", "grey"),
}


def plan_card(plan: Plan) -> Card:
    """Make the card of a plan."""
    state, colour = ("✓ fits", "green") if plan.fits else ("✗ does not fit", "vermilion")
    facts = Facts(plan.id, plan.record, "planned", [])
    html = framed("".join(_sections(plan, facts, state, colour)), colour)
    pairs = [*facts.what, ("fits", plan.advice), *_pairs(plan), *_by_kind(plan)]
    notes = [("note", plain(text)) for text in plan.notes]
    return Card(html, text_lines(f"plan  {state}", [*pairs, *notes, ("go on", _onward(plan))]))


def _sections(plan: Plan, facts: Facts, state: str, colour: str) -> Iterator[str]:
    yield headed("plan", state, colour, facts.what)
    if plan.advice:
        yield box(plan.advice)
    yield pairs_table(_pairs(plan))
    yield _bar(plan.forecast.memory)
    if plan.picture is not None:
        picture = image(plan.picture.png, plan.picture.alt, plan.picture.width)
        caption = f'<figcaption style="font-size:90%;line-height:1.4">{esc(plan.picture.alt)}</figcaption>'
        yield f'<figure style="margin:8px 0;max-width:100%">{picture}{caption}</figure>'
    yield from (line("note", plain(text), "grey") for text in plan.notes)
    if kinds := _by_kind(plan):
        yield details("what trains, by kind of module", pairs_table(kinds))
    yield line("next", _onward(plan), "blue")


def _pairs(plan: Plan) -> list[tuple[str, str]]:
    counts, forecast = plan.counts, plan.forecast
    memory, training = forecast.memory, plan.recipe.training
    there = plan.free + memory["weights"] + memory["process"]
    head = f", {count(counts['trainable_head'])} of them in the head" if counts["trainable_head"] else ""
    part = share(counts["trainable"] / counts["total"])
    batches = f"batches of {training.batch_size}"
    batches += f", {training.accumulate} gathered" if training.accumulate > 1 else ""
    epochs = (
        f"{training.epochs:.3g} epoch{'' if training.epochs == 1 else 's'}"
        if training.max_steps is None
        else "as asked"
    )
    return [
        ("trainable", f"{count(counts['trainable'])} of {count(counts['total'])} ({part}){head}"),
        ("head", ", ".join(map(plain, plan.head))),
        ("steps", f"{count(forecast.steps)}, {epochs}, {batches}"),
        ("time", _time(plan)),
        ("memory", f"{bytes_(memory['peak'])} at the highest moment; {bytes_(there)} can be had"),
        *((name, bytes_(memory[key])) for key, (name, _) in PARTS.items()),
        ("on disk", bytes_(plan.bytes_on_disk)),
    ]


def _time(plan: Plan) -> str:
    forecast = plan.forecast
    if plan.seconds is None:
        return "not known: a step was not tried, as it would not fit"
    parts = (
        f"training {seconds(forecast.seconds)}",
        f"evaluation {seconds(forecast.eval_seconds)}",
        f"loading {seconds(plan.load_seconds)}",
    )
    return f"{seconds(plan.seconds)}: {', '.join(parts)}"


def _by_kind(plan: Plan) -> list[tuple[str, str]]:
    """Kinds of modules in which something trains: how much of them, in how many layers."""
    trains, total = (np.asarray(plan.layers.arrays[name].values, dtype=float) for name in ("trainable", "total"))
    rows = []
    for at, kind in enumerate(plan.layers.arrays["trainable"].labels["kind"]):
        moving, there = trains[:, at], total[:, at]
        if not moving.any():
            continue
        layers = int((moving > 0).sum())
        in_layers = f" in {layers} layers" if layers > 1 else ""
        rows.append((plain(kind), f"{count(moving.sum())} of {count(there.sum())}{in_layers}"))
    return rows


def _bar(memory: dict[str, int]) -> str:
    """Memory by part as one bar, each part named in it or in its title."""
    whole = sum(memory[key] for key in PARTS) or 1
    pieces = "".join(
        f'<div title="{esc(f"{name}: {bytes_(memory[key])}")}" style="flex:0 0 {100 * memory[key] / whole:.2f}%;'
        f"background:{tint(colour, 0.45)};border-right:1px solid {PALETTE[colour]};overflow:hidden;"
        f'white-space:nowrap;font-size:85%">&nbsp;{esc(key) if memory[key] / whole > 0.1 else ""}</div>'
        for key, (name, colour) in PARTS.items()
    )
    return f'<div style="display:flex;max-width:620px;height:20px;line-height:20px;margin:4px 0">{pieces}</div>'


def _onward(plan: Plan) -> str:
    """What to type next. Settings that differ from the method's own need not be known here: they were typed."""
    return (
        f"%peft train {plan.recipe.method}, with the same settings" if plan.fits else "change the settings, plan again"
    )
