"""Whether SHAD finds the roles that are true, what a control says, and what it costs, with smollm2.

python -m benchmarks roles                        # the packaged generator, three seeds
python -m benchmarks roles --data toolcalls ../shared/data/toolcalls_train.json --steps 36 --rate 1e-3

Truth of the generator is known for every character. Of tool calls in other data it is the frame of the JSON: braces,
quotes, commas, ``name``, ``arguments`` and keys that most calls have; all else is content.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import ROOT, keep, spread
from peft_lab.lab import Lab
from peft_lab.methods._roles_by_rule import roles_by_rule
from peft_lab.methods._shad import Differences
from peft_lab.sources.toolcall_formats import token_roles
from peft_lab.sources.toolcalls import roles_of
from peft_lab.training.tool_calls import calls_in
from pluggy_specs.pieces import pieces_of

BUILD = ROOT / "build"


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks roles")
    parser.add_argument("--data", nargs="+", default=["toolcalls"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--rows", type=int)
    parser.add_argument("--rate", type=float)
    parser.add_argument("--upper", type=float)
    parser.add_argument("--targets")
    parser.add_argument("--quick", action="store_true", help="without the control")
    parser.add_argument("--out", type=Path)
    a = parser.parse_args(argv)
    asked = {
        "shad_steps": a.steps,
        "shad_rows": a.rows,
        "shad_rate": a.rate,
        "upper": a.upper,
        "shad_targets": a.targets,
        "control": False if a.quick else None,
    }
    options = {name: value for name, value in asked.items() if value is not None}
    found = []
    for data in a.data:
        for seed in range(a.seeds):
            row = {"data": Path(data).name, "seed": seed, **options, **measured(data, seed, options)}
            print(json.dumps(row), flush=True)
            found.append(row)
            keep("roles", found, a.out)
    print(table(found))


def measured(data: str, seed: int, options: dict[str, Any]) -> dict[str, Any]:
    """Roles of all training rows of some data, held against the truth."""
    began = time.perf_counter()
    differences, tokenizer, table = discriminated(data, seed, options)
    seconds = time.perf_counter() - began
    truth = truth_of(tokenizer, differences, table, generated=not Path(data).suffix)
    known = truth >= 0
    ld, gold, before = differences.ld[known], truth[known], differences.before[known]
    from sklearn.metrics import roc_auc_score

    return {
        "auc": float(roc_auc_score(gold, ld)),
        "auc_probability": float(roc_auc_score(gold, np.exp(-before) - np.exp(-before - ld))),
        "frame_called_reasoning": float((ld[gold == 0] > 0).mean()),
        "content_found": float((ld[gold == 1] > 0).mean()),
        "ld_frame": float(ld[gold == 0].mean()),
        "ld_content": float(ld[gold == 1].mean()),
        "tokens": int(known.sum()),
        "content_share": float(gold.mean()),
        "again": differences.again,
        "seconds": seconds,
        "summary": differences.summary,
    }


def discriminated(data: str, seed: int, options: dict[str, Any]) -> tuple[Differences, Any, Any]:
    """What SHAD finds in the training rows, the tokenizer, and the rows."""
    from peft_lab.training.plan import Draft
    from peft_lab.training.preparing import prepare
    from peft_lab.training.progress import Progress

    lab = Lab(BUILD / "roles_runs")
    recipe = lab.recipe("lora+shad", model="smollm2", data=data, shad_seed=seed, **options)
    ready = prepare(recipe, lab.host, Draft(recipe), Progress())
    method = next(one for one in ready.job.built.methods if one.name == "shad")
    assert method.found is not None
    return method.found, ready.context.tokenizer, ready.context.rows


def truth_of(tokenizer: Any, found: Differences, table: Any, *, generated: bool) -> np.ndarray:
    """1 for reasoning, 0 for boilerplate, -1 where it is not known, for each answer token of the rows.

    Args:
        generated: the rows are the packaged generator's, which knows the role of every character.
    """
    answers = table["label"]
    frames = iter(roles_by_rule(tokenizer, found.rows, "json"))
    truth: list[np.ndarray] = []
    special = np.array(sorted(tokenizer.all_special_ids))
    for row in found.rows:
        frame = next(frames)
        if generated:
            spans = roles_of({"label": answers[row.number]})
            ends = np.cumsum([len(piece) for piece in pieces_of(tokenizer, row.answer.tolist())]).tolist()
            roles = np.array(token_roles(spans, zip([0, *ends[:-1]], ends, strict=True)))
        else:
            roles = frame if calls_in(answers[row.number]) is not None else np.full(len(frame), -1)
        truth.append(np.where(np.isin(row.answer, special), -1, roles))
    return np.concatenate(truth)


def table(rows: Sequence[dict[str, Any]]) -> str:
    """For each data set the mean over seeds."""
    lines = [
        "| data | AUC of LD | AUC of the change of probability | frame called reasoning | content found "
        "| LD of frame | LD of content |",
        "|---|---|---|---|---|---|---|",
    ]
    names = ("auc", "auc_probability", "frame_called_reasoning", "content_found", "ld_frame", "ld_content")
    for data in dict.fromkeys(row["data"] for row in rows):
        these = [row for row in rows if row["data"] == data]
        lines.append(f"| {data} | " + " | ".join(spread([row[name] for row in these]) for name in names) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
