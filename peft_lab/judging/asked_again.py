"""Measures for which the trained model is asked again: times, sizes, typos, neutral text. As plain data each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from peft_lab.judging.answers import CLASSES, Answers, answers_in
from peft_lab.judging.case import Case, NotMeasured

MOST_TYPED, MOST_TYPED_WHERE_IT_WRITES = 1000, 64
"""Texts that are asked again with typos, at even distances in the split."""
MOST_TIMED = 200


def latency(case: Case, wanted: bool) -> dict[str, Any]:
    """Times of single calls and of many, merged and unmerged."""
    from peft_lab.judging.latency import measured

    if not wanted:
        raise NotMeasured("not asked for: --no-latency")
    return measured(case.run, case.host, case.some_of_test(MOST_TIMED))


def size(case: Case) -> dict[str, Any]:
    """Bytes on disk and in memory."""
    from peft_lab.judging.latency import model_bytes

    cost = case.run.cost
    names = ("bytes_on_disk", "peak_memory", "trainable", "total")
    return {**{name: cost.get(name) for name in names}, "model_bytes": model_bytes(case.restored.built.model)}


def typos(case: Case, rates: Sequence[float], seed: int) -> dict[str, Any]:
    """What the scores become when letters of the test texts are mistyped."""
    from peft_lab.judging.typos import mistyped_rows

    rows = case.some_of_test(MOST_TYPED_WHERE_IT_WRITES if case.generates else MOST_TYPED)
    before, told = case.restored.judged(rows, "test")
    clean = None if told is None else answers_in(told)
    at: list[dict[str, Any]] = []
    for rate in rates:
        scores, told = case.restored.judged(mistyped_rows(rows, rate, seed, case.on_pairs), "test")
        one: dict[str, Any] = {"rate": rate, "scores": scores, "score": scores.get(case.run.headline)}
        if clean is not None and told is not None and clean.kind == CLASSES:
            one["churn"] = _changed(clean, answers_in(told))
        at.append(one)
    return {
        "items": len(rows),
        "of": len(case.test),
        "score": before.get(case.run.headline),
        "scores": before,
        "at": at,
    }


def _changed(before: Answers, after: Answers) -> float | None:
    """Share of items with another answer, of those that both times got one."""
    if len(before) != len(after):  # a text of which nothing is read any more was left out
        both = np.intersect1d(before.row, after.row)
        if before.by_word or not len(both):
            return None
        before, after = (Answers(a.outputs[np.isin(a.row, both)], a.label, a.row, a.names) for a in (before, after))
    there = np.isfinite(before.outputs).all(-1) & np.isfinite(after.outputs).all(-1)
    return float(np.mean(before.answer[there] != after.answer[there])) if there.any() else None


def forgetting(case: Case) -> dict[str, Any]:
    """What training did to text that is not of the task."""
    from peft_lab.judging.forgetting import measured

    if case.generates:
        scores = next((one for one in (case.run.metrics.get("test"), case.run.metrics.get("validation")) if one), {})
        if scores.get("forgetting") is None:
            raise NotMeasured("it was not measured when the run was trained")
        return {"kind": "foresight", "forgetting": scores["forgetting"]}
    found = measured(case.run, case.host, case.restored)
    if found is None:
        raise NotMeasured("its model has no layers below its head that could be compared")
    return found


def threads() -> int:
    """Threads that torch computes with."""
    import torch

    return int(torch.get_num_threads())
