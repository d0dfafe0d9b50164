"""The card of a plan: what a training would change and take, before it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from peft_lab.present.facts import Facts, trains
from peft_lab.present.parts import Card, box, details, framed, headed, line, pairs_table, text_lines
from peft_lab.present.picture import image
from peft_lab.present.style import PALETTE, bytes_, count, esc, plain, seconds, tint
from peft_lab.texts import cards as texts

if TYPE_CHECKING:
    from peft_lab.training.plan import Plan, Sketch

PARTS = {  # of memory, in the order in which they are drawn
    "weights": "blue",
    "gradients": "vermilion",
    "optimizer": "purple",
    "activations": "green",
    "process": "grey",
}


def plan_card(plan: Plan) -> Card:
    """Make the card of a plan."""
    state, colour = (texts.FITS, "green") if plan.fits else (texts.DOES_NOT_FIT, "vermilion")
    memory = plan.forecast.memory
    there = plan.free + memory["weights"] + memory["process"]
    takes = [
        (texts.TIME, _time(plan)),
        (texts.MEMORY, texts.MEMORY_OF.format(peak=bytes_(memory["peak"]), there=bytes_(there))),
        *((texts.PARTS[key], bytes_(memory[key])) for key in PARTS),
    ]
    return _card(plan, state, colour, plan.advice, takes, _bar(memory), _onward(plan))


def sketch_card(sketch: Sketch) -> Card:
    """Make the card of what would train, while time and memory are measured."""
    takes = [(texts.TIME, texts.BEING_MEASURED), (texts.MEMORY, texts.BEING_MEASURED)]
    return _card(sketch, texts.MEASURING, "blue", "", takes, "", "")


def _card(
    plan: Sketch, state: str, colour: str, advice: str, takes: Sequence[tuple[str, str]], bar: str, onward: str
) -> Card:
    facts = Facts(plan.id, plan.record, "planned", [])
    pairs = _pairs(plan, takes)
    html = framed(
        "".join(_sections(plan, headed(texts.PLAN, state, colour, facts.what), advice, pairs, bar, onward)), colour
    )
    said = [*facts.what, (texts.ADVICE, advice), *pairs, *_by_kind(plan)]
    notes = [(texts.NOTE, plain(text)) for text in plan.notes]
    return Card(html, text_lines(texts.PLAN_TITLE.format(state=state), [*said, *notes, (texts.GO_ON, onward)]))


def _sections(
    plan: Sketch, head: str, advice: str, pairs: Sequence[tuple[str, str]], bar: str, onward: str
) -> Iterator[str]:
    yield head
    if advice:
        yield box(advice)
    yield pairs_table(pairs)
    yield bar
    if plan.picture is not None:
        picture = image(plan.picture.png, plan.picture.alt, plan.picture.width)
        caption = f'<figcaption style="font-size:90%;line-height:1.4">{esc(plan.picture.alt)}</figcaption>'
        yield f'<figure style="margin:8px 0;max-width:100%">{picture}{caption}</figure>'
    yield from (line(texts.NOTE, plain(text), "grey") for text in plan.notes)
    if kinds := _by_kind(plan):
        yield details(texts.BY_KIND, pairs_table(kinds))
    if onward:
        yield line(texts.NEXT, onward, "blue")


def _pairs(plan: Sketch, takes: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    counts, training = plan.counts, plan.recipe.training
    batches = texts.BATCHES_GATHERED if training.accumulate > 1 else texts.BATCHES
    epochs = texts.EPOCHS.format(training.epochs, f"{training.epochs:.3g}")
    steps = texts.STEPS_OF.format(
        steps=count(plan.steps),
        epochs=epochs if training.max_steps is None else texts.EPOCHS_AS_ASKED,
        batches=batches.format(size=training.batch_size, gathered=training.accumulate),
    )
    return [
        (texts.TRAINABLE, trains(counts["trainable"], counts["total"], counts["trainable_head"])),
        (texts.HEAD, ", ".join(map(plain, plan.head))),
        (texts.STEPS, steps),
        *takes,
        (texts.ON_DISK, bytes_(plan.bytes_on_disk)),
    ]


def _time(plan: Plan) -> str:
    forecast = plan.forecast
    if plan.seconds is None:
        return texts.TIME_NOT_TRIED
    return texts.TIME_OF.format(
        all=seconds(plan.seconds),
        training=seconds(forecast.seconds),
        evaluation=seconds(forecast.eval_seconds),
        loading=seconds(plan.load_seconds),
    )


def _by_kind(plan: Sketch) -> list[tuple[str, str]]:
    """Kinds of modules in which something trains: how much of them, in how many layers."""
    trains, total = (np.asarray(plan.layers.arrays[name].values, dtype=float) for name in ("trainable", "total"))
    rows = []
    for at, kind in enumerate(plan.layers.arrays["trainable"].labels["kind"]):
        moving, there = trains[:, at], total[:, at]
        if not moving.any():
            continue
        layers = int((moving > 0).sum())
        said = texts.KIND_TRAINS_IN if layers > 1 else texts.KIND_TRAINS
        rows.append((plain(kind), said.format(count=count(moving.sum()), total=count(there.sum()), layers=layers)))
    return rows


def _bar(memory: dict[str, int]) -> str:
    """Memory by part as one bar, each part named in it or in its title."""
    whole = sum(memory[key] for key in PARTS) or 1
    names = texts.PARTS_SHORT
    titles = {key: texts.PART_OF_MEMORY.format(part=texts.PARTS[key], size=bytes_(memory[key])) for key in PARTS}
    pieces = "".join(
        f'<div title="{esc(titles[key])}" style="flex:0 0 {100 * memory[key] / whole:.2f}%;'
        f"background:{tint(colour, 0.45)};border-right:1px solid {PALETTE[colour]};overflow:hidden;"
        f'white-space:nowrap;font-size:85%">&nbsp;{esc(names[key]) if memory[key] / whole > 0.1 else ""}</div>'
        for key, colour in PARTS.items()
    )
    return f'<div style="display:flex;max-width:620px;height:20px;line-height:20px;margin:4px 0">{pieces}</div>'


def _onward(plan: Plan) -> str:
    """What to type next. Settings that differ from the method's own need not be known here: they were typed."""
    return texts.TRAIN_IT.format(method=plan.recipe.method) if plan.fits else texts.PLAN_AGAIN
