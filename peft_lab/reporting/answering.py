"""The answer: one or two sentences that follow from the comparisons, and what they rest on."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from peft_lab.reporting.language import Language
from peft_lab.reporting.material import BETTER, NOT_SHOWN, WORSE, Contrast, Material
from peft_lab.reporting.wording import budget_said, interval, metric_said, name_of, named, spread_of

if TYPE_CHECKING:
    from peft_lab.evidence import Cell


def answer(material: Material, say: Language) -> list[str]:
    """The answer, its main sentence first."""
    if not material.scored:
        return [say("answer.none")]
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


def tied(material: Material) -> list[str]:
    """The best method and those that cannot be told from it, the best first; nothing where nothing was tested."""
    if not material.contrasts:
        return []
    equal = [c.method for c in material.contrasts if c.verdict == NOT_SHOWN and not c.here_only]
    return [material.contrasts[0].against, *equal]


def recommended(material: Material) -> str:
    """The method to go on with: the best; of several that cannot be told apart, the one that trains least."""
    cells = material.contenders()
    if not cells:
        return ""
    if material.kind != "study":
        return cells[0].method
    equal = tied(material) or [cells[0].method]
    choice = [cell for cell in cells if cell.method in equal and cell.cost.get("trainable")]
    return min(choice, key=lambda cell: cell.cost["trainable"]).method if choice else cells[0].method


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
    found = interval(material, best)
    spread = say("answer.spread", range=say.range(*found)) if found else ""
    if equal:
        others = say.listed(named([c.method for c in equal], say))
        yield say("answer.tie", **places, others=others)
        if only := [c.method for c in equal if c.here_only]:
            yield say("answer.here", where=places["where"], others=say.listed(named(only, say)))
        if len(tied(material)) > 1:
            yield _cheapest(material, best, say)
    elif len(worse) == 1:
        yield say("answer.clear.one", **places, other=name_of(worse[0].method, say))
    else:
        yield say("answer.clear", **places, count=say.number(len(worse)))
    closest = equal[0] if equal else worse[0] if worse else None
    if closest is not None and math.isfinite(closest.low):
        yield spread + say(
            "answer.lead",
            method=name_of(best.method, say),
            other=name_of(closest.method, say),
            difference=say.difference(-closest.difference),
            low=say.difference(-closest.high),
            high=say.difference(-closest.low),
            seeds=say.number(closest.seeds),
        )
    if equal and worse:
        yield say("answer.worse", methods=say.listed(named([c.method for c in worse], say)))


def _cheapest(material: Material, best: Cell, say: Language) -> str:
    """Of methods that cannot be told apart, the one to take."""
    least = recommended(material)
    if least and least != best.method:
        return say("answer.tie.take", method=name_of(least, say), cost=_cost(material, least, say))
    return say("answer.tie.keep", method=name_of(best.method, say))


def _over_baselines(material: Material, say: Language) -> Iterator[str]:
    """What training brought at all."""
    for contrast in material.over:
        key = {BETTER: "answer.over.better", WORSE: "answer.over.worse"}.get(contrast.verdict, "answer.over.none")
        yield say(
            key,
            method=name_of(contrast.method, say),
            baseline=name_of(contrast.against, say),
            difference=say.difference(contrast.difference),
        )


def _enough(material: Material, say: Language) -> Iterator[str]:
    sizes = {cell.examples for cell in material.scored}
    if material.enough and material.enough[1] < max(sizes):
        method, rows = material.enough
        yield say("answer.enough", method=name_of(method, say), rows=say.number(rows))


def where(material: Material, say: Language) -> str:
    """At how much data, and within which budget."""
    examples, budget = material.place
    return say("where", rows=say.number(examples), budget=budget_said(budget, say))


def _cost(material: Material, method: str, say: Language) -> str:
    cell = next(cell for cell in material.at_place() if cell.method == method)
    return say("cost.trains", share=say.share(cell.cost["trainable"] / cell.cost["total"]))


def _metric(material: Material, say: Language) -> str:
    assert material.summary is not None
    return metric_said(material.summary.metric, material.summary.split, say)
