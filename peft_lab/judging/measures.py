"""Measures that are computed from the answers that a run left, as plain data each, or the reason why there is none.

The arithmetic is in files of its own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from peft_lab.judging import calibration as calibrating
from peft_lab.judging import churn as churning
from peft_lab.judging import harm as harming
from peft_lab.judging import risk as risking
from peft_lab.judging.answers import CLASSES, NUMBERS, Answers, kept_answers
from peft_lab.judging.case import Case, NotMeasured

if TYPE_CHECKING:
    from peft_lab.run import Run

FEW = 50
"""Validation items below which what was fitted on them is uncertain."""
SURE = 1.959964
"""Of a normal distribution: 95 % lies within so many deviations."""


def quality(case: Case) -> dict[str, Any]:
    """The scores on test that training left; of right and wrong answers also how sure their share is."""
    scores = dict(case.run.metrics.get("test", {}))
    if not scores:
        raise NotMeasured("the run has no test split: name a file with --test when you train")
    found: dict[str, Any] = {"headline": case.run.headline, "scores": scores}
    if case.generates:
        return {**found, "unit": "answer", "items": _rows_of(case)}
    try:
        answers = case.answers("test")
    except NotMeasured:  # a task of a plugin may have other labels; its scores stand
        return {**found, "unit": "text", "items": _rows_of(case)}
    found |= {"unit": "word" if answers.by_word else "text", "items": len(answers), "note": answers.note}
    if answers.kind == CLASSES:
        known = answers.answered
        right = int(known.correct.sum())
        low, high = wilson(right, len(answers))
        found |= {"right": right, "unanswered": len(answers) - len(known), "low": low, "high": high}
    elif answers.kind == NUMBERS:
        truth, said = in_units(case, answers)
        off = np.abs(said - truth)
        squares = float(np.sqrt(np.square(off).mean()))
        found |= {"mean_error": float(off.mean()), "median_error": float(np.median(off)), "root_mean_square": squares}
    return found


def wilson(right: int, count: int) -> tuple[float, float]:
    """Between which shares the true one lies with 95 % confidence (Wilson's interval)."""
    if not count:
        return 0.0, 1.0
    share, square = right / count, SURE**2
    middle = (share + square / (2 * count)) / (1 + square / count)
    half = SURE * math.sqrt(share * (1 - share) / count + square / (4 * count**2)) / (1 + square / count)
    return max(0.0, middle - half), min(1.0, middle + half)


def in_units(case: Case, answers: Answers) -> tuple[np.ndarray, np.ndarray]:
    """Truth and answers of a run that answers numbers, in the units of its data."""
    targets = case.run.record.get("targets", {})
    deviation, mean = float(targets.get("deviation", 1.0)), float(targets.get("mean", 0.0))
    one, other = answers.label.astype(np.float64), answers.outputs[:, 0].astype(np.float64)
    return one * deviation + mean, other * deviation + mean


def _rows_of(case: Case) -> int | None:
    rows = case.run.record.get("data", {}).get("rows", {}).get("test")
    return int(rows) if rows is not None else None


def calibration(case: Case) -> dict[str, Any]:
    """How far certainty lies from the share of right answers, as it is and after a temperature fitted on validation."""
    test = case.classes("test")
    bins = calibrating.reliability(test.confidence, test.correct)
    found: dict[str, Any] = {
        "items": len(test),
        "bins": calibrating.BINS,
        "ece": bins.error,
        "confidence": float(test.confidence.mean()),
        "accuracy": float(test.correct.mean()),
        "log_loss": calibrating.log_loss(test.outputs, test.label),
        "brier": calibrating.brier(test.outputs, test.label),
        "by_bin": {name: getattr(bins, name).tolist() for name in ("count", "confidence", "accuracy")},
        "temperature": None,
    }
    try:
        validation = case.classes("validation")
    except NotMeasured:
        return found
    temperature = calibrating.fit_temperature(validation.outputs, validation.label)
    mended = calibrating.softmax(test.outputs, temperature)
    after = calibrating.reliability(mended.max(-1), test.correct)
    return {
        **found,
        "temperature": temperature,
        "at_end": not 1.01 * calibrating.LOWEST < temperature < 0.99 * calibrating.HIGHEST,
        "validation_items": len(validation),
        "few": len(validation) < FEW,
        "ece_after": after.error,
        "log_loss_after": calibrating.log_loss(test.outputs, test.label, temperature),
        "brier_after": calibrating.brier(test.outputs, test.label, temperature),
    }


def risk(case: Case, bearable: float) -> dict[str, Any]:
    """What is gained by answering only what the model is sure of."""
    test = case.classes("test")
    curve = risking.risk_coverage(test.confidence, ~test.correct)
    found: dict[str, Any] = {
        "items": len(test),
        "error": float(curve.risk[-1]),
        "form": "A",
        "aurc": risking.area(curve),
        "aurc_b": risking.area(curve, "B"),
        "excess": risking.excess_area(curve),
        "asked": bearable,
        "coverage_at": risking.coverage_at(curve, bearable),
        "threshold": None,
    }
    try:
        validation = case.classes("validation")
    except NotMeasured:
        return found
    known = risking.risk_coverage(validation.confidence, ~validation.correct)
    threshold = risking.threshold_for(known, bearable)
    found |= {"validation_items": len(validation), "few": len(validation) < FEW, "threshold": threshold}
    if threshold is not None:
        coverage, there = risking.at_threshold(test.confidence, ~test.correct, threshold)
        found |= {"coverage": coverage, "risk": there}
    return found


def harm(case: Case, costs: Any, price: float | None) -> dict[str, Any]:
    """What answers cost, and what is saved by a person who takes over."""
    test = case.classes("test")
    names = test.names or tuple(map(str, range(test.outputs.shape[1])))
    known = harming.read_costs(costs, names)
    each = known.of(test.label, test.answer)
    found: dict[str, Any] = {
        "items": len(test),
        "costs": named_costs(costs) or "1 for each wrong answer",
        "given": known.given,
        "price": price,
        "all_answered": float(each.mean()),
        "threshold": None,
    }
    if price is None:
        return found
    try:
        validation = case.classes("validation")
    except NotMeasured:
        return found
    before = known.of(validation.label, validation.answer)
    threshold = harming.best_threshold(before, validation.confidence, price)
    there, coverage = harming.expected_harm(each, test.confidence, threshold, price)
    on_validation, _ = harming.expected_harm(before, validation.confidence, threshold, price)
    return {
        **found,
        "threshold": threshold if math.isfinite(threshold) else None,
        "nothing_answered": not math.isfinite(threshold),
        "validation_items": len(validation),
        "few": len(validation) < FEW,
        "harm": there,
        "coverage": coverage,
        "harm_on_validation": on_validation,
    }


def named_costs(costs: Any) -> str | None:
    """What costs are called in a record: a file by its name, a table of the notebook as such."""
    from pathlib import Path

    if costs is None:
        return None
    return Path(costs).name if isinstance(costs, str | Path) else "a table"


def churn(case: Case, against: Sequence[Run] | None) -> dict[str, Any]:
    """How many answers differ between runs that differ in the seed only."""
    from peft_lab.run import readable_runs

    if against:
        others = [other for other in against if other.path != case.run.path]
    else:
        others = churning.siblings(case.run, readable_runs(case.run.path.parent))
    if not others:
        again = f"%peft train {case.run.recipe.method} --seed {case.run.recipe.seed + 1}"
        raise NotMeasured(f"no other run differs from it in the seed only: {again}")
    if case.generates:
        return _churn_of_texts(case, others)
    own = case.answers("test")
    if own.kind not in (CLASSES, NUMBERS):
        raise NotMeasured("its task gives no label and no number")
    compared, left = [own], []
    for other in others:
        found = kept_answers(other)
        same = found is not None and found.outputs.shape == own.outputs.shape
        if found is not None and same and np.array_equal(found.label, own.label):
            compared.append(found)
        else:
            left.append(other.id)
    ids = [case.run.id, *(other.id for other in others if other.id not in left)]
    if len(compared) < 2:
        raise NotMeasured(f"{', '.join(left)} kept no answers to the same texts")
    if own.kind == NUMBERS:
        numbers = churning.spread([in_units(case, one)[1] for one in compared])
        assert numbers is not None
        return {"kind": "numbers", "ids": ids, "not_compared": left, **asdict(numbers)}
    there = np.all([np.isfinite(one.outputs).all(-1) for one in compared], axis=0)
    labels = churning.churn([one.answer[there] for one in compared])
    assert labels is not None
    return {"kind": "labels", "ids": ids, "not_compared": left, "items": int(there.sum()), **asdict(labels)}


def _churn_of_texts(case: Case, others: Sequence[Run]) -> dict[str, Any]:
    """The same of answers that models wrote, word for word."""
    runs = [one for one in (case.run, *others) if "written-answers" in one.artifacts]
    if len(runs) < 2 or runs[0] is not case.run:
        raise NotMeasured("no answers were written when it was trained: train with --write-answers")
    artifacts = [one.artifact("written-answers") for one in runs]
    asked = [list(one.arrays["row"].labels["request"]) for one in artifacts]
    if any(rows != asked[0] for rows in asked):
        raise NotMeasured("the runs wrote answers to different requests")
    written = [np.array(list(one.arrays["letters"].labels["written"])) for one in artifacts]
    found = churning.churn(written)
    assert found is not None
    ids = [one.id for one in runs]
    return {"kind": "texts", "ids": ids, "not_compared": [], "items": len(written[0]), **asdict(found)}


def mistakes(case: Case) -> dict[str, Any]:
    """Errors by class, confusions, and single mistakes as text."""
    from peft_lab.judging import mistakes as looking

    if case.generates:
        return _mistakes_written(case)
    answers = case.answers("test")
    rows = case.texts
    if answers.kind == NUMBERS:
        truth, said = in_units(case, answers)
        return {"kind": "numbers", "surest": looking.farthest(answers, rows, truth, said)}
    known = case.classes("test")
    found: dict[str, Any] = {
        "kind": "labels",
        "classes": looking.by_class(known),
        "confusions": looking.confusions(known),
        "surest": looking.surest(known, rows),
        "wrong": int((~known.correct).sum()),
        "items": len(known),
        "unit": "word" if known.by_word else "text",
    }
    if known.by_word and case.run.record.get("targets", {}).get("entities"):
        found["entities"] = looking.by_entity(answers)
    return found


def _mistakes_written(case: Case) -> dict[str, Any]:
    """Answers that a model wrote and that are not what was wanted, where it was let write."""
    from peft_lab.judging.mistakes import cut

    if "written-answers" not in case.run.artifacts:
        raise NotMeasured("no answers were written when it was trained: train with --write-answers")
    artifact = case.run.artifact("written-answers")
    right = np.asarray(artifact.arrays["right"].values)
    texts = [artifact.arrays[a].labels[b] for a, b in (("row", "request"), ("right", "wanted"), ("letters", "written"))]
    wrong = np.flatnonzero(right == 0)
    shown = [
        {"row": int(artifact.arrays["row"].values[at]), "text": cut(texts[0][at]), "truth": cut(texts[1][at])}
        | {"answer": cut(texts[2][at])}
        for at in wrong[:10]
    ]
    return {"kind": "texts", "surest": shown, "wrong": len(wrong), "items": len(right), "unit": "answer"}
