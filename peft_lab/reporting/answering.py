"""The answer: one or two sentences that follow from the comparisons, and what they rest on."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from peft_lab.reporting.choosing import (
    FAILED_MORE,
    FAR,
    MARGIN,
    NO_GAIN,
    doubt,
    gains,
    no_gain,
    recommended,
    share_of,
    tied,
    trains_less,
)
from peft_lab.reporting.language import Language
from peft_lab.reporting.material import BETTER, NOT_SHOWN, WORSE, Contrast, Material
from peft_lab.reporting.wording import (
    apart,
    budget_said,
    data_by_method,
    interval,
    metric_said,
    name_of,
    named,
    spread_of,
)

if TYPE_CHECKING:
    from peft_lab.evidence import Cell

TOLD = {"": "answer.tie.take", FAR: "answer.tie.far", NO_GAIN: "answer.tie.gain", FAILED_MORE: "answer.tie.failed"}


def answer(material: Material, say: Language) -> list[str]:
    """The answer, its main sentence first."""
    if not material.scored:
        return [say("answer.none")]
    if not material.comparable:
        return [*_apart(material, say)]
    cells = material.contenders()
    best = cells[0]
    if material.kind == "run":
        return [*_one_run(material, best, say), *_over_baselines(material, say)]
    if material.pair is not None:
        return list(_two_runs(material, say))
    if len(cells) == 1:
        return [*_one_run(material, best, say), *_over_baselines(material, say)]
    if not material.contrasts:
        return [*_untested(material, best, say), *_over_baselines(material, say)]
    return [*_tested(material, cells, say), *_over_baselines(material, say), *_enough(material, say)]


def _apart(material: Material, say: Language) -> Iterator[str]:
    """Why runs on different data have no answer."""
    data = data_by_method(material)
    what = [say("answer.apart.one", method=name_of(method, say), data=name) for method, name in data.items()]
    yield say("answer.apart", count=say.number(len(material.data)), what=say.listed(what))
    yield say("answer.apart.next")


def _one_run(material: Material, best: Cell, say: Language) -> Iterator[str]:
    places = {"method": name_of(best.method, say), "score": say.score(best.mean), "metric": _metric(material, say)}
    yield say("answer.one", **places)
    if chance := spread_of(material, best, say):
        yield chance


def _two_runs(material: Material, say: Language) -> Iterator[str]:
    pair = material.pair
    assert pair is not None
    one, other = (pair.one, pair.other) if pair.verdict != WORSE else (pair.other, pair.one)
    key = "answer.pair.none" if pair.verdict == NOT_SHOWN else "answer.pair.better"
    yield say(key, one=one, other=other, texts=say.number(pair.texts))
    apart = (pair.only_one, pair.only_other) if one == pair.one else (pair.only_other, pair.only_one)
    yield say(
        "answer.pair.counts",
        one=one,
        other=other,
        ahead=say.number(apart[0]),
        behind=say.number(apart[1]),
        both=say.number(pair.both),
        neither=say.number(pair.neither),
    )
    yield say("answer.pair.only")


def _untested(material: Material, best: Cell, say: Language) -> Iterator[str]:
    yield say(
        "answer.untested",
        method=name_of(best.method, say),
        score=say.score(best.mean),
        metric=_metric(material, say),
        seeds=say.number(best.n),
    )
    yield say("answer.untested.why")


def _tested(material: Material, cells: Sequence[Cell], say: Language) -> Iterator[str]:
    best = cells[0]
    by_verdict: dict[str, list[Contrast]] = {}
    for contrast in material.contrasts:
        by_verdict.setdefault(contrast.verdict, []).append(contrast)
    equal, worse = (by_verdict.get(verdict, []) for verdict in (NOT_SHOWN, WORSE))
    places = {
        "method": name_of(best.method, say),
        "score": say.score(best.mean),
        "metric": _metric(material, say),
        "where": where(material, say),
    }
    if equal:
        others = say.listed(named([c.method for c in equal], say))
        if not worse and len({say.score(cell.mean) for cell in cells}) == 1:
            yield say("answer.tie.same", **places, methods=say.listed(named([cell.method for cell in cells], say)))
        else:
            yield say("answer.tie", **places, others=others)
        if only := [c.method for c in equal if c.here_only]:
            yield say("answer.here", where=places["where"], others=say.listed(named(only, say)))
    elif len(worse) == 1:
        yield say("answer.clear.one", **places, other=name_of(worse[0].method, say))
    else:
        yield say("answer.clear", **places, count=say.number(len(worse)))
    named_one = recommended(material)
    if baseline := no_gain(material, named_one):
        yield say("answer.undecided", method=name_of(named_one, say), baseline=name_of(baseline.against, say))
    elif len(tied(material)) > 1:
        yield from _go_on_with(material, best, say)
    yield from _how_sure(material, best, (*equal, *worse), say)
    if equal and worse:
        yield say("answer.worse", methods=say.listed(named([c.method for c in worse], say)))


def _go_on_with(material: Material, best: Cell, say: Language) -> Iterator[str]:
    """Of methods that cannot be told apart, the one to go on with, and why not another that trains less."""
    chosen, less = recommended(material), trains_less(material)
    equal = [cell for cell in material.contenders() if cell.method in tied(material)]
    if not less:
        if all(share_of(cell) for cell in equal):
            yield say("answer.tie.keep", method=name_of(best.method, say), share=say.share(share_of(best)))
        return
    other = next((cell for cell in less if cell.method == chosen), less[0])
    contrast, key = material.contrast(other.method), TOLD.get(doubt(material, other))
    if key is None or contrast is None:
        return
    baseline = no_gain(material, other.method)
    places = {
        "method": name_of(other.method, say),
        "best": name_of(best.method, say),
        "share": say.share(share_of(other)),
        "best_share": say.share(share_of(best)),
        "behind": say.score(max(0.0, -apart(material, contrast.low))),
        "margin": say.score(MARGIN),
        "baseline": name_of(baseline.against, say) if baseline else "",
    }
    yield say(key, **places)


def _how_sure(material: Material, best: Cell, others: Sequence[Contrast], say: Language) -> Iterator[str]:
    """The range of what is named, and of its difference from what one might take instead."""
    chosen = next(cell for cell in material.contenders() if cell.method == recommended(material))
    less = [] if chosen.method != best.method else [cell.method for cell in trains_less(material)]
    beside = [chosen.method, *less, *(one.method for one in others)]
    shown = next((one for name in beside for one in others if one.method == name), None)
    if shown is None or not math.isfinite(shown.low):
        return
    found = interval(material, chosen)
    spread = say("answer.spread", method=name_of(chosen.method, say), range=say.range(*found)) if found else ""
    yield spread + say(
        "answer.lead",
        method=name_of(best.method, say),
        other=name_of(shown.method, say),
        difference=say.difference(-shown.difference),
        low=say.difference(-apart(material, shown.high)),
        high=say.difference(-apart(material, shown.low)),
        seeds=say.number(shown.seeds),
    )
    if shown.verdict == NOT_SHOWN and chosen is best and shown.needed and shown.needed > shown.seeds:
        yield say("answer.more", seeds=say.number(shown.needed))


def _over_baselines(material: Material, say: Language) -> Iterator[str]:
    """What training brought at all, with the method that is named."""
    for contrast in gains(material, recommended(material)):
        key = {BETTER: "answer.over.better", WORSE: "answer.over.worse"}.get(contrast.verdict, "answer.over.none")
        yield say(
            key,
            method=name_of(contrast.method, say),
            baseline=name_of(contrast.against, say),
            difference=say.difference(contrast.difference),
            low=say.difference(apart(material, contrast.low)),
            high=say.difference(apart(material, contrast.high)),
        )


def _enough(material: Material, say: Language) -> Iterator[str]:
    sizes = {cell.examples for cell in material.scored}
    if no_gain(material, recommended(material)):  # a share of a score that nothing was gained for says nothing
        return
    if material.enough and material.enough[1] < max(sizes):
        method, rows = material.enough
        yield say("answer.enough", method=name_of(method, say), rows=say.number(rows))


def where(material: Material, say: Language) -> str:
    """At how much data, and within which budget."""
    examples, budget = material.place
    return say("where", rows=say.number(examples), budget=budget_said(budget, say))


def _metric(material: Material, say: Language) -> str:
    assert material.summary is not None
    return metric_said(material.summary.metric, material.summary.split, say)
