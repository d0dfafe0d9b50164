"""What the lab's listing operations show, as tables. Nothing here trains, and listings of plugins import no torch."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from peft_lab.operations import Argument, options_of
from peft_lab.present import style
from peft_lab.present.table import Table
from peft_lab.run import Run, list_runs
from pluggy_specs import Method

if TYPE_CHECKING:
    from peft_lab.bench import Bench
    from peft_lab.host import Host
    from peft_lab.present.stack import Stack

QUESTIONS = {
    "which weights": ("attach", "prepare", "masks"),
    "which units": ("adapt_tokenizer",),
    "which tokens": ("weigh_tokens",),
    "how far": ("penalty",),
}


def status(lab: Bench) -> Table:
    """Device, precision, model, data, runs, and what to type next."""
    known = list_runs(lab.folder)
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


def data(loaded: Any) -> Table:
    """Splits with rows, labels with counts, examples, and what to know."""
    about = loaded.describe()
    examples: dict[str, str] = {}
    for row in loaded.splits["train"].select(range(min(2000, len(loaded.splits["train"])))):
        pair = f" ⟂ {row['text_pair']}" if "text_pair" in row else ""
        examples.setdefault(str(row["label"]), _clip(row["text"] + pair, 90))
    labels = about["labels"]
    rows = [[name, count, examples.get(name, "-")] for name, count in list(labels.items())[:30]]
    splits = ", ".join(f"{rows:,} {split}" for split, rows in about["rows"].items())
    more = f" The first 30 of {len(labels)} labels." if len(labels) > 30 else ""
    notes = "".join(f" {n[:1].upper()}{n[1:]}." for n in about["notes"])
    return Table(
        f"{about['name']}: {splits}", ("label", "train rows", "for example"), rows, note=(more + notes).strip()
    )


def _clip(text: str, most: int) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= most else flat[: most - 1] + "…"


def model(host: Host, name: str) -> Table:
    """What a base model is, from its config."""
    from transformers import AutoConfig

    from peft_lab.sources.models import find_model, position_limit

    found = find_model(name, host)
    config = AutoConfig.from_pretrained(found.path_or_id, trust_remote_code=False)
    rows: list[list[Any]] = [
        ["family", config.model_type],
        ["layers", getattr(config, "num_hidden_layers", None)],
        ["hidden size", getattr(config, "hidden_size", None)],
        ["vocabulary", getattr(config, "vocab_size", None)],
        ["longest text", position_limit(found)],
        ["fingerprint", found.fingerprint[:12]],
        ["from", "this machine" if found.local else "the hub"],
    ]
    return Table(name, ("", "value"), rows)


def runs(folder: Path) -> Table:
    """All runs in a folder, the latest last."""
    rows: list[list[Any]] = []
    for run in list_runs(folder):
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
                style.seconds(run.cost["seconds"]) if "seconds" in run.cost else "-",
            ]
        )
    columns = ("run", "status", "method", "model", "data", "seed", "score", "trainable", "time")
    note = (
        "Score: of test where there is a test split, else of validation." if rows else "No run yet: %peft train bitfit"
    )
    return Table(f"runs in {folder.name}", columns, rows, note=note)


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
    if not cost.get("total"):
        return "-"
    return f"{style.count(cost['trainable'])} ({style.share(cost['trainable'] / cost['total'])})"


def comparison(host: Host, chosen: Sequence[Run], against: str) -> Stack:
    """A table of runs, best first, above a picture of quality against cost."""
    from peft_lab.present.picture import render
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
    same = len({r.record["fingerprints"].get("data") for r in ordered}) == 1
    note = "" if same else "These runs are not on the same data: their scores cannot be compared."
    if same and len({(r.recipe.method, r.recipe.model) for r in ordered}) == len(ordered):
        note = "One seed each: small differences may be chance. Train again with --seed 1, --seed 2."
    table = Table(f"{len(ordered)} runs on {source}", columns, rows, note=note)
    cls = host.find("views", "comparison")
    picture = render(cls(checked(cls.Options, {"against": against}, "compare")).draw(ordered))
    return Stack((table, picture))


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
