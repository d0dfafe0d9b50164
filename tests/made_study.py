"""Studies and runs as they lie on disk, made in no time: records as training writes them, scores from a formula."""

from __future__ import annotations

import json
import random
from pathlib import Path

from peft_lab.data_spec import DataSpec
from peft_lab.recipe import MethodSpec, Recipe, Training
from peft_lab.rows import Row, StudyRows
from peft_lab.run import Run

LABELS = {"Building": 512, "Invoices": 430, "Personnel": 371, "Software": 644, "Telephone": 41, "Travel": 12}
BEST = {"full": 0.902, "lora": 0.908, "bitfit": 0.861, "adapter": 0.899, "sparse+anchor": 0.80}
TRAINS = {
    "full": 22_713_216,
    "lora": 147_456,
    "bitfit": 28_032,
    "adapter": 903_168,
    "sparse+anchor": 113_566,
    "head": 2_310,
}
TOTAL = 22_860_672


def write_run(
    folder: Path, method: str, *, seed=0, examples=1000, score=0.9, status="finished", error="", test=400, **more
):
    """A run folder with a record and a few points; returns the run."""
    folder.mkdir(parents=True, exist_ok=True)
    recipe = Recipe(
        model=more.get("model", "minilm"),
        data=DataSpec(source=more.get("source", "tickets.csv")),
        methods=tuple(MethodSpec(name=name) for name in method.split("+")),
        training=Training(max_seconds=more.get("budget")),
        seed=seed,
    )
    scores = {"accuracy": score, "macro_f1": max(0.0, score - 0.02), "loss": 0.4}
    record = {
        "format": 1,
        "id": folder.name,
        "status": status,
        "recipe": recipe.model_dump(mode="json"),
        "started": "2026-11-30T09:00:00+00:00",
        "ended": "2026-11-30T09:01:00+00:00",
        "pid": 1,
        "versions": {"python": "3.12.3", "peft_lab": "0.1.0", "torch": "2.9.0", "transformers": "5.23.0"},
        "fingerprints": {
            "recipe": recipe.fingerprint,
            "data": "d" * 64,
            "model": "a" * 64,
            "code": "c" * 64,
        },
        "hardware": {"device": "cpu", "name": "Xeon", "cores": 8, "memory": 32_000_000_000, "precision": "fp32"},
        "data": {
            "name": more.get("source", "tickets.csv"),
            "task": "classification",
            "rows": {"train": examples, "validation": 110, "test": test},
            "labels": more.get("labels", LABELS),
            "notes": more.get("data_notes", ["3 rows had no label and are left out"]),
        },
        "task": "classification",
        "headline": "accuracy",
        "steps": {"planned": 120, "done": 120},
        "best": {"step": 100, "epoch": 2.5},
        "metrics": {"validation": scores, **({"test": scores} if test else {})} if status == "finished" else {},
        "cost": {
            "trainable": TRAINS.get(method, 50_000),
            "trainable_head": 2310,
            "total": TOTAL,
            "seconds": 20 + TRAINS.get(method, 50_000) / 1e6 + examples / 100,
            "load_seconds": 2.0,
            "eval_seconds": 1.0,
            "peak_memory": 410_000_000 + 12 * TRAINS.get(method, 50_000),
            "bytes_on_disk": 4 * TRAINS.get(method, 50_000) + 4000,
        },
        "proof": [],
        "notes": more.get("notes", ["12 texts were cut at 128 tokens"]),
        "resumed": [],
        "error": {"type": "OutOfMemory", "message": error, "traceback": "..."} if error else None,
    }
    (folder / "run.json").write_text(json.dumps(record), encoding="utf-8")
    points = [
        {"step": step, "epoch": step / 40, "split": "train", "loss": 1.8 / (1 + step / 20), "seconds": step / 5}
        for step in range(1, 121)
    ]
    points += [
        {
            "step": step,
            "epoch": step / 40,
            "split": "validation",
            "accuracy": score * (1 - 0.5 / (1 + step / 20)),
            "loss": 0.5,
        }
        for step in (40, 80, 120)
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(point) + "\n" for point in points), encoding="utf-8")
    return Run(folder)


def made_study(
    folder: Path,
    *,
    methods=tuple(BEST),
    sizes=(100, 300, 1000),
    seeds=5,
    noise=0.006,
    failing=(),
    waiting=(),
    baselines=True,
    name="pilot",
    **more,
) -> StudyRows:
    """A study on disk, as rows. ``failing`` and ``waiting`` hold (method, examples, seed)."""
    draw = random.Random(7)
    rows = []
    everything = [*methods, *(["untrained", "head"] if baselines else [])]
    for method in everything:
        for examples in sizes:
            for seed in range(seeds):
                luck = draw.gauss(0, noise)
                top = {"untrained": 0.17, "head": 0.79}.get(method, BEST.get(method, 0.85))
                score = round(
                    min(1.0, max(0.0, top - (0 if method == "untrained" else 3.5 / examples**0.75) + luck)), 4
                )
                key = (method, examples, seed)
                path = folder / "studies" / "cells" / f"{abs(hash(key)):016x}"[:40]
                path = folder / "studies" / "cells" / f"{everything.index(method):02d}{examples:06d}{seed:08d}"
                if key in waiting or (method == "untrained" and examples != max(sizes)):
                    if key in waiting:
                        rows.append(Row(method, examples, str(examples), None, seed, "waiting", "accuracy"))
                    continue
                if key in failing:
                    said = "out of memory: 3.1 GB are needed, 1.2 GB are free"
                    run = write_run(path, method, seed=seed, examples=examples, status="failed", error=said, **more)
                    rows.append(
                        Row(
                            method,
                            examples,
                            str(examples),
                            None,
                            seed,
                            "failed",
                            "accuracy",
                            error=said,
                            path=str(run.path),
                        )
                    )
                    continue
                real = "head" if method == "untrained" else method
                run = write_run(path, real, seed=seed, examples=examples, score=score, **more)
                rows.append(
                    Row(
                        method,
                        examples,
                        str(examples),
                        None,
                        seed,
                        "finished",
                        "accuracy",
                        dict(run.metrics.get("test", {})),
                        dict(run.metrics["validation"]),
                        1e-3,
                        dict(run.cost),
                        (120, 120),
                        "",
                        str(run.path),
                        (3e-4, 1e-3, 3e-3) if seed == 0 else (),
                    )
                )
    plan = {"data": "tickets.csv", "model": "minilm", "methods": list(methods), "examples": list(sizes), "seeds": seeds}
    return StudyRows(name, plan, tuple(rows))
