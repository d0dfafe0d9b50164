"""One training of a causal model in a process of its own, for ``benchmarks causal``; one JSON line out.

The first training by peft_lab writes down its work: rows as tokens, the rows of each batch, rates, the LoRA. Another
one has to do the same, batch for batch, and Trainer + PEFT is given it.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import tempfile
import time
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from peft_lab.data_spec import DataSpec
from peft_lab.lab import Lab
from peft_lab.run import Run
from peft_lab.sources.models import find_model
from peft_lab.study.places.machine import within
from peft_lab.training.batches import Batcher, grouped_by_length
from peft_lab.training.journal import Journal, claim
from peft_lab.training.loop import Plan, fit, schedule
from peft_lab.training.preparing import Prepared, prepare
from peft_lab.training.progress import Progress
from pluggy_specs.pieces import UNSUPERVISED


class Watched(Progress):
    """Remembers the seconds of training up to the end of each step."""

    def __init__(self) -> None:
        super().__init__()
        self.ends = [0.0]

    def update(self, **facts: Any) -> None:
        """Replace facts, and remember when a step ended."""
        super().update(**facts)
        if "step" in facts:
            self.ends.append(facts["seconds"])


class Counted(Batcher):
    """Remembers which rows were in each batch, and how many tokens."""

    def __init__(self, batcher: Batcher) -> None:
        vars(self).update(vars(batcher))
        self.rows: list[list[int]] = []
        self.tokens: list[dict[str, int]] = []
        self.cpu_seconds = 0.0

    def batch(self, data: Any, chosen: Any) -> dict[str, Any]:
        """Pad the chosen rows, and count them."""
        made = super().batch(data, chosen)
        self.rows.append(chosen.tolist())
        self.tokens.append(tokens_of(made))
        return made


def tokens_of(batch: Any) -> dict[str, int]:
    """Tokens of a padded batch: those of its texts, those taught, and those computed, which padding is among."""
    text = int(batch["attention_mask"].sum())
    taught = int((batch["labels"] != UNSUPERVISED).sum())
    return {"all": text, "supervised": taught, "computed": batch["input_ids"].numel()}


def by_peft_lab(a: argparse.Namespace) -> dict[str, Any]:
    """Train by the lab's own loop, in a run folder with all that is written there as it goes."""
    with tempfile.TemporaryDirectory() as folder:
        lab = Lab(folder)
        ready, watched, journal = prepared(lab, a, "lora", precision="fp32" if a.way.endswith("fp32") else "auto")
        counted = trained(ready, a.order)
        agree(a.work, work_of(lab, ready, counted, a))
        return {
            "precision": journal.record["hardware"]["precision"],
            "held": journal.record["hardware"]["held"],
            **figures(watched.ends, counted.tokens, [point["loss"] for point in watched.points]),
            "cpu_seconds": round(counted.cpu_seconds, 3),
            "peak_memory_mib": ready.job.memory.read() >> 20,
            "trainable": sum(p.numel() for p in ready.job.built.trainable().values()),
        }


def prepared(lab: Lab, a: argparse.Namespace, method: str, **settings: Any) -> tuple[Prepared, Watched, Journal]:
    """A recipe ready for the loop, with nothing to be evaluated."""
    given: dict[str, Any] = {"model": a.model, **settings}
    data = DataSpec(source=a.data, limit=a.limit)
    recipe = lab.recipe(method, data=data, max_steps=a.steps, seed=a.seed, device="cpu", **given)
    watched = Watched()
    run = Run(claim(lab.folder, recipe))
    journal = Journal(run.path, run.record, lab.host)
    ready = prepare(recipe, lab.host, journal, watched)
    ready.job.validation = None
    return ready, watched, journal


def trained(ready: Prepared, order: int | None) -> Counted:
    """Train; returns what was trained on."""
    job = ready.job
    job.batcher = counted = Counted(job.batcher)
    if order is not None:
        job.generator.manual_seed(order)
    began = time.process_time()
    outcome = fit(job)
    counted.cpu_seconds = time.process_time() - began
    if outcome.at.steps != outcome.planned:
        raise SystemExit(f"{outcome.at.steps} of {outcome.planned} steps were done")
    return counted


def figures(ends: list[float], tokens: list[dict[str, int]], losses: list[float]) -> dict[str, Any]:
    """What is said of any training: times, amounts, losses of all steps."""
    seconds = ends[-1] - ends[0]
    sums = {name: sum(batch[name] for batch in tokens) for name in tokens[0]}
    return {
        "steps": len(losses),
        "train_seconds": round(seconds, 3),
        "step_seconds": [round(b - a, 3) for a, b in itertools.pairwise(ends)],
        "tokens": sums,
        "tokens_per_second": round(sums["all"] / seconds, 2),
        "supervised_per_second": round(sums["supervised"] / seconds, 2),
        "losses": [round(loss, 5) for loss in losses],
    }


def work_of(lab: Lab, ready: Prepared, counted: Counted, a: argparse.Namespace) -> dict[str, Any]:
    """All that somebody else needs to do the same, as JSON data."""
    job = ready.job
    config = job.built.methods[0].peft_config
    rate = schedule(job.training, a.steps)
    ids = job.train.columns["input_ids"]
    return {
        "model": find_model(a.model, lab.host).path_or_id,
        "batch_size": job.training.batch_size,
        "learning_rate": job.training.learning_rate,
        "rates": [rate(step) for step in range(a.steps)],
        "weight_decay": job.training.weight_decay,
        "clip": job.training.clip,
        "lora": {
            "r": config.r,
            "lora_alpha": config.lora_alpha,
            "lora_dropout": config.lora_dropout,
            "target_modules": sorted(config.target_modules),
        },
        "rows": [ids[i].tolist() for i in range(len(job.train))],
        "borders": job.train.borders.tolist(),
        "batches": counted.rows,
    }


def agree(file: Path, work: dict[str, Any]) -> None:
    """Write the work down, or see that it is what was written down before."""
    if not file.exists():
        file.write_text(json.dumps(work))
        return
    before = json.loads(file.read_text())
    if differ := [name for name, value in work.items() if before[name] != value]:
        raise SystemExit(f"this training had other {', '.join(differ)} than the one before it")


def by_trainer(a: argparse.Namespace) -> dict[str, Any]:
    """Train by Trainer + PEFT, in the same order of rows or its own."""
    from benchmarks.causal_trainer import train

    return train(
        json.loads(a.work.read_text()),
        seed=a.seed,
        bf16=a.way.endswith("bf16"),
        own_order=a.way.endswith("random"),
        figures=figures,
        tokens_of=tokens_of,
    )


def shad(a: argparse.Namespace) -> dict[str, Any]:
    """Seconds of finding the roles, and of the steps of the plain fine-tuning that they are found for."""
    options = dict(option.split("=", 1) for option in a.options)
    with tempfile.TemporaryDirectory() as folder:
        lab = Lab(folder)
        model = find_model(a.model, lab.host).path_or_id
        with nothing_found_before(folder):
            ready, watched, journal = prepared(
                lab,
                a,
                "lora+shad",
                **{"control": False, "shad_seed": a.seed, "epochs": a.epochs, **options},
                model=model,
            )
        found = next(method for method in ready.job.built.methods if method.name == "shad").found
        if found is None or found.again:
            raise SystemExit("roles were not found anew")
        counted = trained(ready, a.order)
        # The first step prepares much that later ones use again, and must not be counted for each of them.
        first, *later = [tokens["computed"] for tokens in counted.tokens]
        measured = {
            "first": {"seconds": watched.ends[1], "computed": first},
            "later": {"steps": len(later), "seconds": watched.ends[-1] - watched.ends[1], "computed": sum(later)},
        }
        whole = whole_training(ready, a)
        pace = measured["later"]["seconds"] / measured["later"]["computed"]
        seconds = measured["first"]["seconds"] + pace * (whole["computed"] - first)
        return {
            "precision": journal.record["hardware"]["precision"],
            "options": options,
            "epochs": a.epochs,
            "shad_seconds": found.summary["seconds"],
            "shad": {name: found.summary[name] for name in ("rows", "sample", "steps", "tokens")},
            "sft_seconds": seconds,
            "sft": whole,
            "sft_measured": measured,
            "sft_extrapolated": "the first step, and all others at the pace of those measured, by tokens",
            "share": found.summary["seconds"] / seconds,
        }


def whole_training(ready: Prepared, a: argparse.Namespace) -> dict[str, int]:
    """Steps of the whole training, and the tokens that would be computed in them."""
    import torch

    job = ready.job
    training = job.training.model_copy(update={"max_steps": None})
    steps = Plan(len(job.train), training).steps
    draw = torch.Generator().manual_seed(a.seed if a.order is None else a.order)
    batches = [
        batch
        for _ in range(math.ceil(training.epochs))
        for batch in grouped_by_length(job.train.lengths, training.batch_size, draw)
    ][:steps]
    return {"steps": steps, "computed": sum(len(b) * int(job.train.lengths[b].max()) for b in batches)}


def nothing_found_before(folder: str) -> AbstractContextManager[None]:
    """Roles are found although they were found before: what is kept on this machine is out of sight."""
    return within({"PEFT_LAB_CACHE": str(Path(folder) / "cache")})


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="benchmarks causal_run")
    made.add_argument("way")
    made.add_argument("--work", type=Path, required=True)
    made.add_argument("--model", default="smollm2")
    made.add_argument("--data", default="toolcalls")
    made.add_argument("--limit", type=int)
    made.add_argument("--seed", type=int, default=0)
    made.add_argument("--order", type=int)
    made.add_argument("--steps", type=int, default=12)
    made.add_argument("--epochs", type=float, default=3)
    made.add_argument("--options", nargs="*", default=[])
    return made


def run(argv: list[str]) -> dict[str, Any]:
    a = parser().parse_args(argv)
    if a.way == "shad":
        return shad(a)
    return by_peft_lab(a) if a.way.startswith("peft_lab") else by_trainer(a)


if __name__ == "__main__":
    import sys

    print(json.dumps(run(sys.argv[1:])))
