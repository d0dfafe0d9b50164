"""What plugins offer, as tables. Nothing here imports torch."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from peft_lab.operations import Argument, options_of
from peft_lab.present.table import Table
from pluggy_specs import Method

if TYPE_CHECKING:
    from peft_lab.host import Host


QUESTIONS = {
    "which weights": ("attach", "prepare", "masks"),
    "which units": ("adapt_tokenizer",),
    "which tokens": ("weigh_tokens",),
    "how far": ("penalty",),
}


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
