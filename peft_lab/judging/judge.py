"""All measures of a run, one after another. One that cannot be taken costs only itself and is told with its reason."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from peft_lab.errors import BadOption, PeftLabError
from peft_lab.judging import asked_again, measures
from peft_lab.judging.case import Case, NotMeasured
from peft_lab.judging.judgement import Judgement

if TYPE_CHECKING:
    from peft_lab.host import Host
    from peft_lab.run import Run

RATES = (0.02, 0.05, 0.1)
"""Shares of letters that are mistyped."""


def judge(
    run: Run,
    host: Host,
    *,
    costs: Any = None,
    defer: float | None = None,
    risk: float = 0.05,
    latency: bool = True,
    against: Sequence[Run] | None = None,
    typos: Sequence[float] = RATES,
    seed: int = 0,
    keep: bool = True,
) -> Judgement:
    """Measure a finished run, and keep what was found beside it.

    Args:
        costs: of wrong answers: a CSV file, ``{truth: {answer: cost}}`` or a DataFrame; None is 1 for each.
        defer: what it costs to hand a text to a person; None: nobody is there to take it.
        risk: share of wrong answers that can be borne.
        latency: whether times are taken; they need the machine for themselves.
        against: runs that differ in the seed only; None looks for them in the run's folder.
        typos: shares of letters that are mistyped.
        seed: of the typos.
        keep: whether ``judgement.json`` is written.

    Raises:
        RunProblem: the run is not finished.
        BadOption: a setting cannot be used.
    """
    from peft_lab.run import WEIGHTS
    from peft_lab.training.hardware import describe_hardware
    from peft_lab.training.installed import must_be_installed
    from peft_lab.training.journal import now, versions
    from peft_lab.training.randomness import kept_apart

    must_be_installed()
    _must_be_usable(defer, risk, typos)
    case = Case(run, host)
    began = time.perf_counter()
    wanted: dict[str, Callable[[], Mapping[str, Any]]] = {
        "quality": lambda: measures.quality(case),
        "latency": lambda: asked_again.latency(case, latency),
        "size": lambda: asked_again.size(case),
        "calibration": lambda: measures.calibration(case),
        "risk": lambda: measures.risk(case, risk),
        "harm": lambda: measures.harm(case, costs, defer),
        "churn": lambda: measures.churn(case, against),
        "typos": lambda: asked_again.typos(case, typos, seed),
        "forgetting": lambda: asked_again.forgetting(case),
        "mistakes": lambda: measures.mistakes(case),
    }
    found: dict[str, Mapping[str, Any]] = {}
    left_out: dict[str, str] = {}
    with host.blaming(), kept_apart():
        for name, measure in wanted.items():
            try:
                found[name] = measure()
            except BadOption:  # what a person asked for is told at once
                raise
            except (NotMeasured, PeftLabError) as error:
                left_out[name] = str(error)
    place = found.get("latency", {})
    recorded = run.record.get("hardware", {})
    hardware = describe_hardware(place.get("device", recorded.get("device", "cpu")), recorded.get("precision", "fp32"))
    judgement = Judgement(
        run=run.id,
        method=run.recipe.method,
        model=run.recipe.model,
        data=run.recipe.data.source,
        task=str(run.record.get("task", "")),
        headline=run.headline,
        seed=run.recipe.seed,
        judged=now(),
        seconds=time.perf_counter() - began,
        weights=_digest(run.path / WEIGHTS),
        versions=versions(),
        hardware={**hardware, "threads": asked_again.threads()},
        asked={
            "costs": measures.named_costs(costs),
            "defer": defer,
            "risk": risk,
            "latency": latency,
            "typos": list(typos),
            "seed": seed,
        },
        measures=found,
        left_out=left_out,
        notes=_notes(run),
    )
    if keep:
        judgement.save(run)
    return judgement


def _must_be_usable(defer: float | None, risk: float, typos: Sequence[float]) -> None:
    if not 0 <= risk <= 1:
        raise BadOption(f"a risk of {risk:g} is no share of answers", "Between 0 and 1, such as --risk 0.05", "risk")
    if defer is not None and not 0 <= defer < float("inf"):
        raise BadOption(f"a price of {defer:g} for a person is none", "0 or more, such as --defer 0.2", "defer")
    wrong = [share for share in typos if not 0 < share <= 1]
    if wrong:
        raise BadOption(f"{wrong[0]:g} is no share of letters", "Above 0 and up to 1, such as --typos 0.05", "typos")


def _digest(file: Path) -> str:
    whole = hashlib.sha256()
    with file.open("rb") as stream:
        while block := stream.read(1 << 20):
            whole.update(block)
    return whole.hexdigest()


def _notes(run: Run) -> list[str]:
    """What a reader of the figures should know."""
    from peft_lab.run import readable_runs

    busy = [other.id for other in readable_runs(run.path.parent) if other.active]
    return [f"{', '.join(busy)} trained at the same time: times are longer than they would be alone"] if busy else []
