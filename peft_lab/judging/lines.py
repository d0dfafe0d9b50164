"""The lines of a judgement: a name, a figure, a sentence that says what the figure means."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from peft_lab.judging.judgement import Judgement
from peft_lab.present.style import bytes_, number, score, seconds, share, words
from peft_lab.texts import judging as texts

Found = Mapping[str, Any]
NO_FIGURES: Found = {}
CLOSE = 0.02
"""Certainty and right answers that lie no further apart are called close."""


@dataclass(frozen=True)
class Line:
    """One figure."""

    key: str
    name: str
    figure: str
    means: str
    general: str
    """How to read it where figures of several runs stand side by side."""


def lines(judgement: Judgement) -> list[Line]:
    """All lines that a judgement has figures for, in the order in which people ask."""
    made = []
    for name, tell in TELLERS.items():
        if name in judgement.measures:
            made += list(tell(judgement.measures[name], judgement))
    return made


def milliseconds(duration: float) -> str:
    """``0.8 ms``, ``12 ms``, then ``1.2 s``."""
    if duration >= 0.9995:
        return seconds(duration)
    thousands = duration * 1000
    return texts.MILLISECONDS.format(count=f"{thousands:.0f}" if thousands >= 9.95 else f"{thousands:.1f}")


def of_hundred(part: float) -> str:
    """``91``, and near either end with a digit behind the point: nothing rounds to none or to all."""
    percent = 100 * part
    near = 0 < percent < 0.95 or 99.05 < percent < 100
    return f"{percent:.1f}" if near else f"{percent:.0f}"


def percent(part: float) -> str:
    """``5 %`` of 0.05: a share as somebody asked for it."""
    return f"{100 * part:.3g} %"


def points(part: float) -> str:
    """``3.2 points`` of 0.032."""
    return texts.POINTS.format(count=f"{100 * part:.1f}")


def _line(key: str, figure: str, said: Found = NO_FIGURES, *, means: str = "") -> Line:
    """A line with its texts, filled with figures."""
    facts = {"units": texts.UNITS["text"], **said}
    title, general = (kept[key].format(**facts) for kept in (texts.TITLES, texts.GENERAL))
    return Line(key, title, figure, texts.MEANS[means or key].format(**facts), general)


def _quality(found: Found, judgement: Judgement) -> Iterator[Line]:
    units = texts.UNITS[found["unit"]]
    if "right" in found and found["items"]:
        part = found["right"] / found["items"]
        hundred = {"right": of_hundred(part), "low": of_hundred(found["low"]), "high": of_hundred(found["high"])}
        yield _line("right", share(part), {"units": units, **hundred})
    headline = found["headline"]
    if headline in found["scores"] and not (headline == "accuracy" and "right" in found):
        meaning = texts.SCORES.get(headline, texts.SCORE)
        yield _line("score", score(found["scores"][headline]), {"name": words(headline), "meaning": meaning})
    if "median_error" in found:
        median, mean = number(found["median_error"]), number(found["mean_error"])
        yield _line("error", mean, {"median": median, "mean": mean})
    classes = judgement.measures.get("mistakes", {}).get("classes")
    if classes and len(classes) > 1:
        worst = classes[0]
        counts = {name: f"{worst[name]:,}" for name in ("there", "answered", "right")}
        yield _line("weakest", score(worst["f1"]), {"units": units, "label": repr(worst["label"]), **counts})


def _calibration(found: Found, judgement: Judgement) -> Iterator[Line]:
    gap = found["confidence"] - found["accuracy"]
    verdict = texts.AS_SURE if abs(gap) < CLOSE else texts.SURER if gap > 0 else texts.LESS_SURE
    said = {"confidence": share(found["confidence"]), "accuracy": share(found["accuracy"]), "verdict": verdict}
    yield _line("calibration", points(found["ece"]), {"bins": found["bins"], **said})
    if found.get("temperature") is not None:
        end = texts.END if found["at_end"] else ""
        facts = {"temperature": f"{found['temperature']:.2f}", "end": end}
        yield _line("temperature", points(found["ece_after"]), facts)


def _risk(found: Found, judgement: Judgement) -> Iterator[Line]:
    least = score(max(0.0, found["aurc"] - found["excess"]))
    yield _line("unsure", score(found["aurc"]), {"least": least, "error": score(found["error"])})
    chosen = texts.NOT_CHOSEN if found.get("validation_items") else texts.LEFT
    if found.get("coverage") is not None:
        there = {name: share(found[name]) for name in ("threshold", "coverage", "risk")}
        chosen = texts.CHOSEN.format(**there)
    at = found.get("coverage_at")
    figure = texts.NONE if at is None or at != at else share(at)
    yield _line("coverage", figure, {"risk": percent(found["asked"]), "chosen": chosen})


def _harm(found: Found, judgement: Judgement) -> Iterator[Line]:
    if not found["given"] and found["price"] is None:
        return  # it would be the share of wrong answers again
    yield _line("harm", score(found["all_answered"]), {"costs": found["costs"]})
    if found.get("harm") is not None:
        threshold = texts.NOTHING if found["nothing_answered"] else share(found["threshold"])
        facts = {"price": number(found["price"]), "coverage": share(found["coverage"]), "threshold": threshold}
        yield _line("handed-over", score(found["harm"]), facts)


def _churn(found: Found, judgement: Judgement) -> Iterator[Line]:
    among = {"count": found["runs"], "ids": ", ".join(found["ids"])}
    if found["kind"] == "numbers":
        yield _line("churn", number(found["difference"]), among, means="churn-numbers")
        return
    units = texts.UNITS[judgement.measures.get("quality", {}).get("unit", "text")]
    yield _line("churn", share(found["mean"]), {"units": units, **among, "agreement": share(found["agreement"])})


def _typos(found: Found, judgement: Judgement) -> Iterator[Line]:
    if not found["at"]:
        return
    one = found["at"][len(found["at"]) // 2]
    if one.get("score") is None or found.get("score") is None:
        return
    changed = texts.CHANGED.format(share=share(one["churn"])) if one.get("churn") is not None else ""
    name = words(judgement.headline)
    facts = {"name": f"{name[:1].upper()}{name[1:]}", "rate": percent(one["rate"]), "changed": changed}
    yield _line("typos", score(one["score"]), {**facts, "before": score(found["score"])})


def _forgetting(found: Found, judgement: Judgement) -> Iterator[Line]:
    if found["kind"] == "foresight":
        yield _line("foresight", f"{found['forgetting']:+.3f}")
    else:
        yield _line("forgetting", share(found["apart"]), {"neighbours": share(found["neighbours"])})


def _latency(found: Found, judgement: Judgement) -> Iterator[Line]:
    best, apart = found["merged"] or found["unmerged"], found["unmerged"]
    times = {name: milliseconds(best[name]) for name in ("p50", "p95", "p99")}
    writes = best.get("answer_p50") is not None
    merged = texts.MERGED if found["merged"] else ""
    yield _line("first-token" if writes else "time", times["p50"], {**times, "merged": merged})
    if found["merged"]:
        yield _line("time-unmerged", milliseconds(apart["p50"]), {"p95": milliseconds(apart["p95"])})
    if writes:
        answer = milliseconds(best["answer_p50"])
        yield _line("answer-time", answer, {"longest": found["longest"], "answer": answer})
        if best.get("tokens_per_second") is not None:
            yield _line("writing", texts.A_SECOND.format(count=f"{best['tokens_per_second']:,.0f}"))
    else:
        many = texts.A_SECOND.format(count=f"{best['texts_per_second']:,.0f}")
        yield _line("many", many, {"batch": found["batch"]})


def _size(found: Found, judgement: Judgement) -> Iterator[Line]:
    if found.get("bytes_on_disk") is not None:
        yield _line("file", bytes_(found["bytes_on_disk"]))
    yield _line("memory", bytes_(found["model_bytes"]))
    if found.get("peak_memory") is not None:
        yield _line("training-memory", bytes_(found["peak_memory"]))


TELLERS: Mapping[str, Callable[[Found, Judgement], Iterator[Line]]] = {
    "quality": _quality,
    "calibration": _calibration,
    "risk": _risk,
    "harm": _harm,
    "churn": _churn,
    "typos": _typos,
    "forgetting": _forgetting,
    "latency": _latency,
    "size": _size,
}
