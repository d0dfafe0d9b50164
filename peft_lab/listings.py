"""What the lab's listing operations show, as tables. Nothing here trains, and listings of plugins import no torch."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from peft_lab.asking import gave, named
from peft_lab.operations import Argument, options_of
from peft_lab.present import style
from peft_lab.present.table import Table
from peft_lab.run import Run, list_runs, readable_runs
from pluggy_specs import Drawing, Method, View

if TYPE_CHECKING:
    from peft_lab.bench import Bench
    from peft_lab.host import Host
    from peft_lab.present.picture import Picture
    from peft_lab.present.stack import Stack

QUESTIONS = {
    "which weights": ("attach", "prepare", "masks"),
    "which units": ("adapt_tokenizer",),
    "which tokens": ("weigh_tokens",),
    "how far": ("penalty",),
}


def status(lab: Bench) -> Table:
    """Device, precision, model, data, runs, and what to type next."""
    known = readable_runs(lab.folder)
    problems = len(lab.host.problems)
    latest = f"{len(known)} in {_short(lab.folder)}" + (
        f", the latest {known[-1].id} ({known[-1].status})" if known else ""
    )
    rows: list[list[Any]] = [
        ["device", _device()],
        ["model", lab.model],
        ["data", lab.spec.source + (f", limit {lab.spec.limit}" if lab.spec.limit else "")],
        ["runs", latest],
        ["methods", f"{len(lab.host.offers('methods'))}: %peft methods"],
    ]
    if problems:
        rows.append(["problems", f"{problems}: %peft problems"])
    return Table("peft_lab", ("", "now"), rows, note=f"Next: {_next_step(known)}")


def _device() -> str:
    """Where training would run and how precisely; asked of torch only when it is loaded, for loading takes seconds."""
    from peft_lab.training.hardware import choose_device, choose_precision, processor_name

    here = f"{processor_name()}, {os.cpu_count()} cores"
    if importlib.util.find_spec("torch") is None:
        return f"{here}; torch is not installed: pip install torch"
    if "torch" not in sys.modules:
        return f"{here}; a GPU is looked for when training begins"
    device = choose_device("auto")
    return f"{here}; training uses {device} in {choose_precision('auto', device)}"


def _short(folder: Path) -> str:
    """The path as it is from here, where that is shorter."""
    return min(os.path.relpath(folder), str(folder), key=len)


def _next_step(known: Sequence[Run]) -> str:
    finished = [r for r in known if r.status == "finished"]
    if not finished:
        return "%peft train bitfit"
    if len(finished) == 1:
        return f"%peft show change-map {finished[-1].id}, or train another method: %peft train lora --rank 8"
    return f'%peft compare, or %peft predict {finished[-1].id} "..."'


def methods(host: Host) -> Table:
    """Name, question answered, options, paper, plugin. PEFT's own types are one line: they are many."""
    rows: list[list[Any]] = []
    wrapped = []
    for name, offer in host.offers("methods").items():
        if name.startswith("peft:"):
            wrapped.append(name)
            continue
        options = ", ".join(offer.item.Options.model_fields) or "-"
        rows.append([name, question(offer.item), offer.summary, options, offer.item.paper or "-", offer.plugin])
    note = "Options of one: %peft methods lora. Join methods with +."
    if wrapped:
        note += f" Hugging Face PEFT's own types, {len(wrapped)} of them: {', '.join(wrapped)}."
    return Table("methods", ("name", "question", "what it does", "options", "paper", "plugin"), rows, note=note)


def question(method: type[Method]) -> str:
    """Which of the four questions a method answers, read off the hooks it has."""
    answered = [q for q, hooks in QUESTIONS.items() if any(getattr(method, h) is not getattr(Method, h) for h in hooks)]
    return ", ".join(answered)


def method_options(host: Host, names: Iterable[str]) -> Table:
    """Every option of some methods: flag, default, meaning."""
    rows = []
    for name in names:
        for argument in options_of(host.find("methods", name).Options):
            rows.append([name, argument.flag, _shown(argument.default), _meaning(argument)])
    note = "Training settings work with every method: %peft train --help"
    return Table("options", ("method", "option", "default", "meaning"), rows, note=note)


def _meaning(argument: Argument) -> str:
    choices = f" ({', '.join(map(str, argument.choices))})" if argument.choices else ""
    return argument.help + choices


def _shown(value: Any) -> str:
    return "-" if value is None else value if isinstance(value, str) else json.dumps(value, default=str)


def views(host: Host) -> Table:
    """Name, what it draws, what a run must have for it."""
    rows = [
        [n, o.summary, "runs" if o.item.many else "one run", ", ".join(o.item.needs) or "metrics", o.plugin]
        for n, o in host.offers("views").items()
    ]
    return Table("views", ("name", "what it shows", "of", "needs", "plugin"), rows, note="%peft show NAME run-1")


def sources(host: Host, kind: str) -> Table:
    """Named models or data sets."""
    rows = [[n, o.summary, o.item.licence or "-", o.plugin] for n, o in host.offers(kind).items()]
    what = {"models": "a folder or a hub id works too", "datasets": "a file, a folder or a hub id works too"}
    return Table(kind, ("name", "what it is", "licence", "plugin"), rows, note=what[kind])


def plugins(host: Host) -> Table:
    """Distribution, version, offers, seconds."""
    rows = []
    for info in host.plugins():
        offers = "; ".join(f"{kind}: {_some(names)}" for kind, names in info.offers.items() if names)
        rows.append([info.name, info.distribution, info.version, info.status, offers or "-", f"{info.seconds:.2f}"])
    columns = ("plugin", "distribution", "version", "status", "offers", "seconds")
    return Table("plugins", columns, rows, note="A plugin is a package with an entry point in the group peft_lab.")


def _some(names: Sequence[str], most: int = 6) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def problems(host: Host, details: bool) -> Table:
    """What went wrong in which plugin; with tracebacks if asked."""
    host.plugins()  # loads all, so that nothing is missed
    rows = [[p.plugin, p.where, p.details if details else p.reason] for p in host.problems]
    note = "" if rows else "No plugin failed."
    return Table("problems", ("plugin", "where", "what"), rows, note=note)


MOST_LABELS = 30


def data(loaded: Any) -> Table:
    """Splits with rows, labels with counts, examples, and what to know."""
    about = loaded.describe()
    splits = ", ".join(f"{count:,} {split}" for split, count in about["rows"].items())
    labels = dict(list(about.get("labels", {}).items())[:MOST_LABELS])
    notes = [f"{n[:1].upper()}{n[1:]}." for n in about["notes"]]
    if labels:
        examples = loaded.examples(labels)
        rows = [[_clip(name, 60), count, _example(examples[name])] for name, count in labels.items()]
        if about["label_count"] > len(labels):
            notes.insert(0, f"The {len(labels)} most frequent of {about['label_count']:,} labels.")
    else:
        rows = [[str(row["label"]), None, _example(row)] for row in loaded.splits["train"].select(range(5))]
        notes.insert(0, "The first rows.")
    columns = ("label", "train rows", "for example")
    return Table(f"{about['name']}: {splits}", columns, rows, note=" ".join(notes))


def _example(row: Mapping[str, Any]) -> str:
    pair = f" ⟂ {row['text_pair'][:400]}" if "text_pair" in row else ""
    return _clip(row["text"][:400] + pair, 90)


def _clip(text: str, most: int) -> str:
    flat = " ".join(text[: 10 * most].split())
    return flat if len(flat) <= most else flat[: most - 1] + "…"


def model(host: Host, name: str) -> Table:
    """What a base model is, from its config."""
    from peft_lab.sources.families import position_limit
    from peft_lab.sources.models import empty_model, find_model
    from peft_lab.training.anatomy import head_of

    found = find_model(name, host)
    config = found.config
    head = head_of(empty_model(found, host.find("tasks", "classification").auto_class, {"num_labels": 2}))
    rows: list[list[Any]] = [
        ["family", config.model_type],
        ["layers", getattr(config, "num_hidden_layers", None)],
        ["hidden size", getattr(config, "hidden_size", None)],
        ["vocabulary", getattr(config, "vocab_size", None)],
        ["longest text", position_limit(found)],
        ["head", "; ".join(f"{part} {style.count(entries)}" for part, entries in head.items())],
        ["fingerprint", found.fingerprint[:12]],
        ["from", "this machine" if found.local else "the hub"],
    ]
    note = "The head, with entries for two labels, trains beside every method."
    return Table(name, ("", "value"), rows, note=note)


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
                run.status,
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

    rows: list[list[Any]] = []
    ordered = sorted(chosen, key=lambda r: (headline(r) is None, -(headline(r) or 0.0)))
    metrics = [m for m in dict.fromkeys(m for r in ordered for m in _final_scores(r)) if m != "loss"]
    for run in ordered:
        scores = _final_scores(run)
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
    table = Table(f"{len(ordered)} runs on {source}", columns, rows, note=note)
    cls = host.find("views", "comparison")
    view = cls(checked(cls.Options, {"against": against}, "compare"))
    return Stack((table, drawn(host, "comparison", view, ordered)))


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
        if not isinstance(drawing.alt, str) or not isinstance(drawing.html, str):
            raise gave("views", name, "draw", "a Drawing whose alt or html is no text", "text")
        return render(drawing)


def predictions(run: Run, rows: Sequence[Mapping[str, str]], answers: Any, top: int) -> Table:
    """The likeliest answers for each text."""
    out = []
    for row, ranked in zip(rows, answers, strict=True):
        text = row["text"] + (f" ⟂ {row['text_pair']}" if "text_pair" in row else "")
        others = ", ".join(f"{label} {style.score(score)}" for label, score in ranked[1:top])
        out.append([text, ranked[0][0], style.score(ranked[0][1]), others])
    note = (
        f"By {run.id} ({run.recipe.method} on {run.recipe.data.source}); the numbers are the model's own probabilities."
    )
    return Table("predictions", ("text", "answer", "probability", "next"), out, note=note)
