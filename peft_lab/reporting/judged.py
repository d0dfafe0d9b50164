"""What was judged of runs, read from the plain data that is kept beside them: whatever it lacks is left out."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from peft_lab.reporting.material import Mistake, Risk
from peft_lab.rows import Row

FILE = "judgement.json"
TYPICAL = 0.05
"""Of the shares of mistyped letters that were tried, the one nearest to this is told."""


def risks_of(rows: Sequence[Row], names: Mapping[str, str]) -> list[Risk]:
    """Of each method the run that was judged last."""
    found: dict[str, tuple[str, Risk]] = {}
    for row in rows:
        judgement = _read(row.path)
        if judgement is None:
            continue
        judged = str(judgement.get("judged") or "")
        if row.method not in found or judged > found[row.method][0]:
            found[row.method] = (judged, risk_of(judgement, row.method, names.get(row.path, row.path), row.path))
    return [risk for _, risk in found.values()]


def risk_of(judgement: Mapping[str, Any], method: str, run: str, path: str = "") -> Risk:
    """The measures of a judgement that a report tells."""
    measures = _part(judgement, "measures")
    quality, times, calibration, risk, harm = (
        _part(measures, name) for name in ("quality", "latency", "calibration", "risk", "harm")
    )
    best = _part(times, "merged") or _part(times, "unmerged")
    typos = _part(measures, "typos")
    tried = [one for one in _items(typos, "at") if _number(one.get("rate")) is not None]
    typed = min(tried, key=lambda one: abs(one["rate"] - TYPICAL), default={})
    alone = _number(harm.get("coverage"))
    texts = _number(quality.get("items"))
    return Risk(
        method,
        run,
        int(texts) if texts is not None else None,
        _number(best.get("p50")),
        _number(best.get("p95")),
        _number(best.get("p99")),
        _number(best.get("texts_per_second")),
        _number(calibration.get("ece")),
        _number(calibration.get("ece_after")),
        _number(risk.get("asked")),
        _number(risk.get("coverage_at")),
        _number(harm.get("harm")),
        _number(harm.get("all_answered")),
        None if alone is None else 1 - alone,
        _number(harm.get("price")),
        bool(harm.get("given")),
        _number(_part(measures, "churn").get("mean")),
        _number(typed.get("rate")),
        _number(typed.get("score")),
        _number(typos.get("score")),
        _number(_part(measures, "forgetting").get("apart")),
        str(times.get("device") or ""),
        _classes(_part(measures, "mistakes")),
        _mistakes(_part(measures, "mistakes")),
        path,
    )


def with_prices(risk: Risk, judgement: Mapping[str, Any]) -> Risk:
    """What was measured before, with the prices of another judgement of the same run."""
    new = risk_of(judgement, risk.method, risk.run)
    names = ("harm", "harm_alone", "handed_over", "price", "priced")
    return replace(risk, **{name: getattr(new, name) for name in names})


def _classes(mistakes: Mapping[str, Any]) -> tuple[tuple[str, int, int], ...]:
    return tuple(
        (str(one.get("label")), int(one.get("there") or 0), int(one.get("there") or 0) - int(one.get("right") or 0))
        for one in _items(mistakes, "classes")
        if one.get("there")
    )


def _mistakes(mistakes: Mapping[str, Any]) -> tuple[Mistake, ...]:
    if mistakes.get("kind") == "numbers":  # these have no confidence
        return ()
    found = []
    for one in _items(mistakes, "surest"):
        text = " / ".join(str(one[key]) for key in ("text", "text_pair") if one.get(key))
        text = f"{one['word']}: {text}" if one.get("word") else text
        sure = _number(one.get("confidence"))
        found.append(Mistake(text, str(one.get("truth")), str(one.get("answer")), math.nan if sure is None else sure))
    return tuple(found)


def _read(path: str) -> Mapping[str, Any] | None:
    """A judgement; None where there is none that can be read."""
    try:
        data = json.loads((Path(path) / FILE).read_text(encoding="utf-8")) if path else None
    except (OSError, ValueError, RecursionError):
        return None
    return data if isinstance(data, Mapping) else None


def _part(data: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    part = data.get(key)
    return part if isinstance(part, Mapping) else {}


def _items(data: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    items = data.get(key)
    return [one for one in items if isinstance(one, Mapping)] if isinstance(items, list) else []


def _number(value: Any) -> float | None:
    known = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if known else None
