"""What came of runs, as tables and pictures."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from peft_lab.asking import gave, named
from peft_lab.present import style
from peft_lab.present.table import Table
from peft_lab.run import RUN_JSON, Run, list_runs, readable_runs
from peft_lab.texts import cards
from peft_lab.texts import tables as texts
from pluggy_specs import Drawing, View

if TYPE_CHECKING:
    from peft_lab.by_role import Compared
    from peft_lab.host import Host
    from peft_lab.present.picture import Picture
    from peft_lab.present.stack import Stack


def runs(folder: Path) -> Table:
    """All runs in a folder, the latest last."""
    rows: list[list[Any]] = []
    for run in list_runs(folder):
        if fault := run.trouble:
            rows.append([run.id, texts.UNREADABLE.format(fault=fault), *[texts.NONE] * 7])
            continue
        best, status = headline(run), cards.STATES.get(run.status, run.status)
        rows.append(
            [
                run.id,
                texts.EARLY.format(status=status, why=run.early) if run.early else status,
                run.recipe.method,
                run.recipe.model,
                run.recipe.data.source,
                run.recipe.seed,
                style.score(best) if best is not None else texts.NONE,
                _trainable(run.cost),
                style.seconds(run.cost["seconds"]) if run.cost.get("seconds") is not None else texts.NONE,
            ]
        )
    note = texts.SCORE_NOTE if rows else texts.NO_RUN
    return Table(texts.RUNS_TITLE.format(folder=folder.name), texts.RUNS_COLUMNS, rows, note=note)


def active(folder: Path) -> Table:
    """Runs that go on now, and how far they are; those of studies last."""
    rows: list[list[Any]] = []
    studies = studies_at_work(folder)
    of_study = {run.id: name for name, going in studies.items() for run in going}
    alone = [run for run in readable_runs(folder) if run.active]
    for run in [*alone, *(run for going in studies.values() for run in going)]:
        state = run.progress
        steps = _steps(texts.STEP_OF, state) if state.get("steps") else texts.NONE
        left = style.seconds(state["left_seconds"]) if state.get("left_seconds") is not None else texts.NONE
        loss = style.score(state["loss"]) if state.get("loss") is not None else texts.NONE
        process = run.record["pid"]
        where = texts.THIS_NOTEBOOK if process == os.getpid() else texts.PROCESS.format(number=process)
        if run.id in of_study:
            where = texts.OF_STUDY.format(where=where, study=of_study[run.id])
        rows.append(
            [run.id, run.recipe.method, run.recipe.model, state.get("phase", cards.STARTING), steps, loss, left, where]
        )
    notes = [texts.ACTIVE_NOTE.format(run=run.id) for run in alone[:1]]
    notes += [texts.STUDY_AT_WORK.format(study=name) for name in studies]
    note = texts.NOTES.join(notes) or texts.NONE_ACTIVE
    return Table(texts.ACTIVE_TITLE, texts.ACTIVE_COLUMNS, rows, note=note)


def studies_at_work(folder: Path) -> dict[str, list[Run]]:
    """Studies that are carried out now, by name, and the runs of their cells that go on."""
    from peft_lab.study.book import studies_in

    found: dict[str, list[Run]] = {}
    for study in studies_in(folder):
        if study.active:
            places = [study.folder_of(cell["address"]) for cell in study.cells if cell["address"]]
            cells = [Run(place) for place in places if (place / RUN_JSON).is_file()]
            found[study.name] = [run for run in cells if not run.trouble and run.active]
    return found


def stopped(run: Run) -> Table:
    """What was asked of a run."""
    state = run.progress
    where = _steps(texts.WAS_AT_STEP, state) if state.get("steps") else str(state.get("phase", cards.STARTING))
    title, note = texts.STOPPING_TITLE.format(run=run.id), texts.STOPPING_NOTE.format(run=run.id)
    return Table(title, texts.STOPPING_COLUMNS, [[run.recipe.method, where]], note=note)


def _steps(said: str, state: Mapping[str, Any]) -> str:
    return said.format(step=f"{state['step']:,}", steps=f"{state['steps']:,}")


def headline(run: Run) -> float | None:
    """The headline metric: on test, else on validation."""
    for split in ("test", "validation"):
        if (value := run.metrics.get(split, {}).get(run.headline)) is not None:
            return float(value)
    return None


def _final_scores(run: Run) -> Mapping[str, float]:
    """All metrics on test, else on validation."""
    return run.metrics.get("test", run.metrics.get("validation", {}))


def _trainable(cost: Mapping[str, Any]) -> str:
    if not cost.get("total") or cost.get("trainable") is None:
        return texts.NONE
    part = style.share(cost["trainable"] / cost["total"])
    return texts.TRAINS.format(count=style.count(cost["trainable"]), share=part)


def comparison(host: Host, chosen: Sequence[Run], against: str) -> Stack:
    """A table of runs, best first, above a picture of quality against cost."""
    from peft_lab.present.stack import Stack
    from peft_lab.recipe import checked

    cls = host.find("views", "comparison")
    view = cls(checked(cls.Options, {"against": against}, "compare"))
    tests = [table] if len(chosen) == 2 and (table := two_runs(*best_first(chosen))) else []
    return Stack((compared(chosen), *tests, drawn(host, "comparison", view, best_first(chosen))))


def two_runs(one: Run, other: Run) -> Table | None:
    """McNemar's test of two runs; None where they have no answers of the same test texts that are right or wrong."""
    from peft_lab.evidence import correct_answers, mcnemar
    from peft_lab.evidence.answers import KIND, same_texts
    from peft_lab.listings.evidence import two_runs_table

    data = [run.record.get("fingerprints", {}).get("data") for run in (one, other)]
    if data[0] is None or data[0] != data[1] or not all(KIND in run.artifacts for run in (one, other)):
        return None
    artifacts = [run.artifact(KIND) for run in (one, other)]
    right = [correct_answers(artifact) for artifact in artifacts]
    if right[0] is None or right[1] is None or not same_texts(*artifacts):
        return None
    names = [f"{run.id} ({run.recipe.method})" for run in (one, other)]
    return two_runs_table(names[0], names[1], mcnemar(right[0], right[1]))


def best_first(chosen: Sequence[Run]) -> list[Run]:
    """Runs in the order of their main score; those without one last."""
    return sorted(chosen, key=lambda r: (headline(r) is None, -(headline(r) or 0.0)))


def compared(chosen: Sequence[Run]) -> Table:
    """Scores and costs of runs, best first."""
    from peft_lab.by_role import compared_by_role

    rows: list[list[Any]] = []
    ordered = best_first(chosen)
    laid_over = compared_by_role(chosen)
    known = {r.id: _comparable_scores(r, laid_over) for r in ordered}
    metrics = [m for m in dict.fromkeys(m for scores in known.values() for m in scores) if m != "loss"]
    for run in ordered:
        scores = known[run.id]
        cost = run.cost
        rows.append(
            [
                run.id,
                run.recipe.method,
                run.recipe.seed,
                *(style.score(scores[m]) if m in scores else texts.NONE for m in metrics),
                cards.SPLITS["test" if "test" in run.metrics else "validation"],
                _trainable(cost),
                style.seconds(cost["seconds"]) if "seconds" in cost else texts.NONE,
                style.bytes_(cost["peak_memory"]) if "peak_memory" in cost else texts.NONE,
                style.bytes_(cost["bytes_on_disk"]) if "bytes_on_disk" in cost else texts.NONE,
            ]
        )
    names = [m.replace("_", " ") for m in metrics]
    columns = (*texts.COMPARED_FIRST, *names, *texts.COMPARED_LAST)
    source = ordered[0].recipe.data.source
    same = len({r.record.get("fingerprints", {}).get("data") for r in ordered}) == 1
    note = "" if same else texts.OTHER_DATA
    if same and len({(r.recipe.method, r.recipe.model) for r in ordered}) == len(ordered):
        note = texts.ONE_SEED
    if early := [r.id for r in ordered if r.early]:
        note = f"{note} {texts.ENDED_EARLY.format(runs=', '.join(early))}".strip()
    if by_role := _said_of_roles(laid_over):
        note = f"{note} {by_role}".strip()
    return Table(texts.COMPARED_TITLE.format(count=len(ordered), data=source), columns, rows, note=note)


def _comparable_scores(run: Run, laid_over: Compared) -> Mapping[str, float]:
    """Final scores, those by role under the roles that are laid over all runs."""
    from peft_lab.by_role import NAMES

    own, theirs = _final_scores(run), laid_over.scores.get(run.id, {})
    dropped = NAMES.values() if laid_over.of and run.id in laid_over.scores else ()
    return {**{name: value for name, value in own.items() if name not in dropped}, **theirs}


def _said_of_roles(laid_over: Compared) -> str:
    """Whose roles losses by role stand under, where these are not those of each run."""
    if laid_over.of:
        return texts.ROLES_OF_ONE.format(run=laid_over.of)
    lent = texts.LOSSES_BY_ROLE.format(runs=", ".join(laid_over.scores)) if laid_over.scores else ""
    apart = texts.ROLES_APART.format(runs=", ".join(laid_over.apart)) if laid_over.apart else ""
    return f"{lent} {apart}".strip()


def gates(host: Host, run: Run, budget: int | None) -> Stack:
    """The gates of a run, and lengths of prefixes that they propose."""
    from peft_lab.present.stack import Stack

    shares = run.artifact("prefix-gates").arrays["openness"].values
    lengths = host.find("methods", "prefix").from_run({"budget": budget}, run)["lengths"]
    rows: list[list[Any]] = [
        [str(n), f"{share:.3f}", length] for n, (share, length) in enumerate(zip(shares, lengths, strict=True))
    ]
    following = texts.GATES_NEXT_BUDGET if budget else texts.GATES_NEXT
    table = Table(
        texts.GATES_TITLE.format(run=run.id, count=sum(lengths)),
        texts.GATES_COLUMNS,
        rows,
        note=following.format(run=run.id, budget=budget),
    )
    cls = host.find("views", "gates")
    return Stack((drawn(host, "gates", cls(), [run]), table))


def drawn(host: Host, name: str, view: View, chosen: Sequence[Any]) -> Picture:
    """What a view draws of some runs.

    Raises:
        PluginFailed: it cannot.
    """
    from peft_lab.present.picture import render

    with host.asking("views", name, "draw"):
        drawing = view.draw(chosen)
        if not isinstance(drawing, Drawing):
            raise gave("views", name, "draw", named(drawing), "a Drawing")
        if not all(isinstance(part, str) for part in (drawing.alt, drawing.html, drawing.text)):
            raise gave("views", name, "draw", "a Drawing whose alt, html or text is no text", "text")
        return render(drawing)
