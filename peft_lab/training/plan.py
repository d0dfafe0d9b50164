"""What a training would change and what it would take, found out without training: a probe, then nothing is left."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from peft_lab.errors import PeftLabError
from peft_lab.present.plan import plan_card, sketch_card
from peft_lab.present.style import seconds as duration
from peft_lab.recipe import Recipe
from peft_lab.training.cost import count, give_back
from peft_lab.training.fitting import what_fits
from peft_lab.training.forecast import Forecast, Start, forecast_for, memory_parts
from peft_lab.training.installed import must_be_installed
from peft_lab.training.loop import HOLES_EVERY
from peft_lab.training.loop import Plan as Schedule
from peft_lab.training.preparing import prepare
from peft_lab.training.probe import Probed, probe
from peft_lab.training.progress import Progress
from peft_lab.training.room import NEAR, free_memory
from pluggy_specs import Artifact

if TYPE_CHECKING:
    from peft_lab.host import Host
    from peft_lab.present.parts import Card
    from peft_lab.present.picture import Picture
    from peft_lab.training.build import Built


class Draft:
    """Takes what preparing a run writes down, and forgets it."""

    def __init__(self, recipe: Recipe) -> None:
        self.record: dict[str, Any] = {"id": "plan", "recipe": recipe.model_dump(mode="json"), "fingerprints": {}}
        self.notes: list[str] = []

    def update(self, **facts: Any) -> None:
        """Add facts."""
        self.record.update(facts)

    def note(self, text: str) -> None:
        """Something a person should know."""
        self.notes.append(text)


@dataclass(frozen=True, repr=False, kw_only=True)
class Sketch:
    """What of a plan is known before a step is tried: what would train. Shows itself as a card."""

    recipe: Recipe
    record: dict[str, Any]
    """Data, hardware and fingerprints, as a run would keep them."""
    layers: Artifact
    """``trainable-by-layer``, as a run would keep it."""
    counts: dict[str, int]
    """``trainable``, ``trainable_head`` and ``total`` parameters."""
    head: list[str]
    """Modules that are the task's head and train whole."""
    steps: int
    bytes_on_disk: int
    """Of what a run would keep."""
    notes: list[str] = field(default_factory=list)
    picture: Picture | None = None
    """What trains, where in the model."""

    id = "plan"

    def artifact(self, kind: str) -> Artifact:
        """For views: the only artifact of a plan."""
        if kind != self.layers.kind:
            raise PeftLabError(f"a plan has no {kind}", "It has trainable-by-layer; train for more")
        return self.layers

    @property
    def card(self) -> Card:
        """What it shows."""
        return sketch_card(self)

    def __str__(self) -> str:
        return self.card.text

    __repr__ = __str__

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return self.card.mimebundle()


@dataclass(frozen=True, repr=False, kw_only=True)
class Plan(Sketch):
    """What a training would do. Shows itself as a card; everything on it can be read here."""

    forecast: Forecast
    load_seconds: float
    """What loading took just now."""
    free: int
    """Bytes that training could have."""
    fits: bool
    advice: str
    """What would fit, where this does not."""

    @property
    def card(self) -> Card:
        """What it shows."""
        return plan_card(self)

    @property
    def seconds(self) -> float | None:
        """Training, evaluation and loading together."""
        parts = (self.forecast.seconds, self.forecast.eval_seconds)
        return None if None in parts else self.load_seconds + sum(p or 0.0 for p in parts)


def make_plan(recipe: Recipe, host: Host, tell: Callable[[Sketch], None] | None = None) -> Plan:
    """Prepare a training, try a few steps of it where they fit, and throw it away.

    Args:
        tell: is given what would train as soon as that is known, before a step is tried.

    Raises:
        PeftLabError: what training would raise before its first step.
    """
    from peft_lab.training.randomness import kept_apart

    must_be_installed()
    give_back()
    try:
        with host.blaming(), kept_apart():
            return _plan(recipe, host, tell)
    finally:
        give_back()


def _plan(recipe: Recipe, host: Host, tell: Callable[[Sketch], None] | None) -> Plan:
    from peft_lab.training import changes

    began = time.perf_counter()
    draft = Draft(recipe)
    ready = prepare(recipe, host, draft, Progress(), rehearsal=True)
    load_seconds = time.perf_counter() - began
    job, test = ready.job, ready.encoded.get("test")
    sketch = Sketch(
        recipe=recipe,
        record=draft.record,
        layers=changes.trainable_by_layer(job.built),
        counts=count(job.built),
        head=sorted({name.rpartition(".")[0] for name in job.built.head}),
        steps=Schedule(len(job.train), recipe.training).steps,
        bytes_on_disk=_bytes_on_disk(job.built),
        notes=list(dict.fromkeys(draft.notes)),
    )
    if tell is not None:
        tell(sketch)
    start = forecast_for(job, test)
    free = free_memory(job.accelerator.device)
    fits = start.moving <= free
    advice = "" if fits else what_fits(job, start.footprint, free)
    give_back()
    probed = probe(job, start.ahead, test) if fits else None
    most = recipe.training.max_seconds
    forecast, whole = _forecast(start, probed, most)
    notes = [*_notes(sketch.layers, start, free), *dict.fromkeys(draft.notes)]
    if most is not None and whole > most:
        enough = max(1, round(forecast.steps * most / whole))
        said = f"The time budget of {duration(most)} is enough for about {enough:,} of {forecast.steps:,} steps"
        notes.append(f"{said}: all of them would train for {duration(whole)}")
    known = {each.name: getattr(sketch, each.name) for each in fields(sketch)} | {"notes": notes}
    return Plan(**known, forecast=forecast, load_seconds=load_seconds, free=free, fits=fits, advice=advice)


def _forecast(start: Start, probed: Probed | None, most: float | None) -> tuple[Forecast, float]:
    """What is expected, and the seconds of training without a time budget of ``most``."""
    ahead = start.ahead
    memory = memory_parts(start.footprint, ahead)
    if probed is not None:
        memory["peak"] = max(memory["peak"], probed.peak)
    if probed is None:
        return Forecast("plan", len(ahead.steps), memory), 0.0
    rest = ahead.steps[1:]
    seconds = probed.longest + probed.step.total(len(rest), float(rest.sum()))
    seconds += probed.new_step * len(set(ahead.later) - set(ahead.first))
    seconds += probed.holes * (len(ahead.steps) // HOLES_EVERY)
    evaluation = probed.evaluation.total(ahead.evaluated_batches, ahead.evaluated_tokens)
    evaluation += probed.new_evaluation * len({*ahead.checked, *ahead.tested})
    return Forecast("plan", len(ahead.steps), memory, min(seconds, most or seconds), evaluation), seconds


def _notes(layers: Artifact, start: Start, free: int) -> list[str]:
    """How far back gradients go, and whether memory is a near thing."""
    trains = layers.arrays["trainable"]
    names = trains.labels["layer"]
    moving = [name for name, row in zip(names, trains.values, strict=True) if row.sum()]
    numbered = [name for name in names if name.isdigit()]
    notes = []
    if "embeddings" in moving:
        notes.append("Something in the embeddings trains, so the backward pass goes through the whole model")
    elif numbered and (first := next((n for n in moving if n.isdigit()), None)) != numbered[0]:
        spared = numbered if first is None else numbered[: numbered.index(first)]
        notes.append(
            f"The backward pass spares {len(spared)} of {len(numbered)} layers, which lie below all that trains"
        )
    if NEAR * free < start.moving <= free:
        notes.append("Memory is a near thing: training would fill most of what is free")
    return notes


def _bytes_on_disk(built: Built) -> int:
    """The size of the file of kept tensors: their bytes, and a header that names them."""
    from peft_lab.training.weights import kept_tensors

    end, header = 0, {}
    for name, tensor in kept_tensors(built).items():
        begin, end = end, end + tensor.numel() * tensor.element_size()
        header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [begin, end]}
    return 8 + len(json.dumps(header, separators=(",", ":"))) + end
