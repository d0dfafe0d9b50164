"""What came of runs, as tables and pictures."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from peft_lab.asking import gave, named
from peft_lab.present import style
from peft_lab.present.table import Table
from peft_lab.run import Run, list_runs, readable_runs
from pluggy_specs import Drawing, View

if TYPE_CHECKING:
    from peft_lab.host import Host
    from peft_lab.present.picture import Picture
    from peft_lab.present.stack import Stack


def runs(folder: Path) -> Table:
    """All runs in a folder, the latest last."""
    rows: list[list[Any]] = []
    for run in list_runs(folder):
        if fault := run.trouble:
            rows.append([run.id, f"unreadable: {fault}", *["-"] * 7])
            continue
        best = headline(run)
        rows.append(
            [
                run.id,
                f"{run.status} early: {run.early}" if run.early else run.status,
                run.recipe.method,
                run.recipe.model,
                run.recipe.data.source,
                run.recipe.seed,
                style.score(best) if best is not None else "-",
                _trainable(run.cost),
                style.seconds(run.cost["seconds"]) if run.cost.get("seconds") is not None else "-",
            ]
        )
    columns = ("run", "status", "method", "model", "data", "seed", "score", "trainable", "time")
    note = (
        "Score: of test where there is a test split, else of validation." if rows else "No run yet: %peft train bitfit"
    )
    return Table(f"runs in {folder.name}", columns, rows, note=note)


def active(folder: Path) -> Table:
    """Runs that go on now, and how far they are."""
    rows: list[list[Any]] = []
    for run in readable_runs(folder):
        if not run.active:
            continue
        state = run.progress
        steps = f"{state['step']:,} of {state['steps']:,}" if state.get("steps") else "-"
        left = style.seconds(state["left_seconds"]) if state.get("left_seconds") is not None else "-"
        loss = style.score(state["loss"]) if state.get("loss") is not None else "-"
        where = "this notebook" if run.record["pid"] == os.getpid() else f"process {run.record['pid']}"
        rows.append(
            [run.id, run.recipe.method, run.recipe.model, state.get("phase", "starting"), steps, loss, left, where]
        )
    columns = ("run", "method", "model", "phase", "step", "loss", "time left", "where")
    one = rows[0][0] if rows else ""
    note = f"%peft wait {one}, or %peft stop {one}" if rows else "No run goes on now. All runs: %peft runs"
    return Table("runs that go on", columns, rows, note=note)


def stopped(run: Run) -> Table:
    """What was asked of a run."""
    state = run.progress
    where = (
        f"step {state['step']:,} of {state['steps']:,}" if state.get("steps") else str(state.get("phase", "starting"))
    )
    note = f"It stops at its next step and is kept. Go on with it later: %peft resume {run.id}"
    return Table(f"stopping {run.id}", ("method", "was at"), [[run.recipe.method, where]], note=note)


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
        return "-"
    return f"{style.count(cost['trainable'])} ({style.share(cost['trainable'] / cost['total'])})"


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
    from peft_lab.by_role import by_run

    rows: list[list[Any]] = []
    ordered = best_first(chosen)
    laid_over = by_run(ordered)
    known = {r.id: {**_final_scores(r), **laid_over.get(r.id, {})} for r in ordered}
    metrics = [m for m in dict.fromkeys(m for scores in known.values() for m in scores) if m != "loss"]
    for run in ordered:
        scores = known[run.id]
        cost = run.cost
        rows.append(
            [
                run.id,
                run.recipe.method,
                run.recipe.seed,
                *(style.score(scores[m]) if m in scores else "-" for m in metrics),
                "test" if "test" in run.metrics else "validation",
                _trainable(cost),
                style.seconds(cost["seconds"]) if "seconds" in cost else "-",
                style.bytes_(cost["peak_memory"]) if "peak_memory" in cost else "-",
                style.bytes_(cost["bytes_on_disk"]) if "bytes_on_disk" in cost else "-",
            ]
        )
    names = [m.replace("_", " ") for m in metrics]
    columns = ("run", "method", "seed", *names, "split", "trainable", "time", "peak memory", "file size")
    source = ordered[0].recipe.data.source
    same = len({r.record.get("fingerprints", {}).get("data") for r in ordered}) == 1
    note = "" if same else "These runs are not on the same data: their scores cannot be compared."
    if same and len({(r.recipe.method, r.recipe.model) for r in ordered}) == len(ordered):
        note = "One seed each: small differences may be chance. Train again with --seed 1, --seed 2."
    if early := [r.id for r in ordered if r.early]:
        note = f"{note} Ended by a time budget, so on fewer steps: {', '.join(early)}.".strip()
    if laid_over:
        whose = ", ".join(laid_over)
        note = f"{note} Losses by role of {whose}: under the roles found in another of these runs.".strip()
    return Table(f"{len(ordered)} runs on {source}", columns, rows, note=note)


def gates(host: Host, run: Run, budget: int | None) -> Stack:
    """The gates of a run, and lengths of prefixes that they propose."""
    from peft_lab.present.stack import Stack

    shares = run.artifact("prefix-gates").arrays["openness"].values
    lengths = host.find("methods", "prefix").from_run({"budget": budget}, run)["lengths"]
    rows: list[list[Any]] = [
        [str(n), f"{share:.3f}", length] for n, (share, length) in enumerate(zip(shares, lengths, strict=True))
    ]
    said = f" --budget {budget}" if budget else ""
    table = Table(
        f"{run.id}: {sum(lengths)} virtual tokens shared out by how far gates are open",
        ("layer", "factor x mean gate", "virtual tokens"),
        rows,
        note=f"Next: %peft train prefix --lengths-from {run.id}{said}",
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
