"""What plugins offer, as tables. Nothing here imports torch."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from peft_lab.operations import Argument, options_of
from peft_lab.present.table import Table
from peft_lab.texts import tables as texts
from pluggy_specs import Method

if TYPE_CHECKING:
    from peft_lab.host import Host


QUESTIONS = {
    "which weights": ("attach", "prepare", "masks"),
    "which units": ("adapt_tokenizer",),
    "which tokens": ("weigh_tokens",),
    "how far": ("penalty", "pull"),
}
OF_COMPANIONS = {**QUESTIONS, "which weights": ("masks",), "how far": ("penalty", "pull", "rates")}
"""Of methods that train nothing of their own: they attach only to look or to refuse, and their rates are for others."""


def methods(host: Host) -> Table:
    """Name, question answered, options, paper, plugin. PEFT's own types are one line: they are many."""
    rows: list[list[Any]] = []
    wrapped = []
    for name, offer in host.offers("methods").items():
        if name.startswith("peft:"):
            wrapped.append(name)
            continue
        options = ", ".join(offer.item.Options.model_fields) or texts.NONE
        rows.append([name, question(offer.item), offer.summary, options, offer.item.paper or texts.NONE, offer.plugin])
    note = texts.METHODS_NOTE
    if wrapped:
        note = f"{note} {texts.PEFT_TYPES.format(count=len(wrapped), names=', '.join(wrapped))}"
    return Table(texts.METHODS_TITLE, texts.METHODS_COLUMNS, rows, note=note)


def question(method: type[Method]) -> str:
    """Which of the four questions a method answers, read off the hooks it has."""
    answered = [
        q
        for q, hooks in (OF_COMPANIONS if method.companion else QUESTIONS).items()
        if any(_answers(method, hook) for hook in hooks)
    ]
    if method.companion and not answered:
        answered = ["which tokens"]  # the only answer that can be found and shown without changing the training
    return ", ".join(texts.QUESTIONS[q] for q in answered)


def _answers(method: type[Method], hook: str) -> bool:
    """Whether a method has a hook that gives something: one that is annotated to return nothing only listens."""
    given = getattr(method, hook)
    if given is getattr(Method, hook):
        return False
    return hook != "weigh_tokens" or inspect.get_annotations(given).get("return", "") not in (None, "None")


def method_options(host: Host, names: Iterable[str]) -> Table:
    """Every option of some methods: flag, default, meaning."""
    rows = []
    for name in names:
        for argument in options_of(host.find("methods", name).Options):
            rows.append([name, argument.flag, _shown(argument.default), _meaning(argument)])
    return Table(texts.OPTIONS_TITLE, texts.OPTIONS_COLUMNS, rows, note=texts.OPTIONS_NOTE)


def _meaning(argument: Argument) -> str:
    if not argument.choices:
        return argument.help
    return texts.MEANING_CHOICES.format(meaning=argument.help, choices=", ".join(map(str, argument.choices)))


def _shown(value: Any) -> str:
    return texts.NONE if value is None else value if isinstance(value, str) else json.dumps(value, default=str)


def views(host: Host) -> Table:
    """Name, what it draws, what a run must have for it."""
    rows = [
        [
            name,
            offer.summary,
            texts.OF_RUNS if offer.item.many else texts.OF_ONE_RUN,
            ", ".join(offer.item.needs) or texts.NEEDS_METRICS,
            offer.plugin,
        ]
        for name, offer in host.offers("views").items()
    ]
    return Table(texts.VIEWS_TITLE, texts.VIEWS_COLUMNS, rows, note=texts.VIEWS_NOTE)


def sources(host: Host, kind: str) -> Table:
    """Named models or data sets."""
    rows = [[n, o.summary, o.item.licence or texts.NONE, o.plugin] for n, o in host.offers(kind).items()]
    return Table(texts.SOURCES_TITLES[kind], texts.SOURCES_COLUMNS, rows, note=texts.SOURCES_NOTES[kind])


def plugins(host: Host) -> Table:
    """Distribution, version, offers, seconds."""
    rows = []
    for info in host.plugins():
        offers = "; ".join(
            texts.OFFERS.format(kind=kind, names=_some(names)) for kind, names in info.offers.items() if names
        )
        rows.append(
            [info.name, info.distribution, info.version, info.status, offers or texts.NONE, f"{info.seconds:.2f}"]
        )
    return Table(texts.PLUGINS_TITLE, texts.PLUGINS_COLUMNS, rows, note=texts.PLUGINS_NOTE)


def _some(names: Sequence[str], most: int = 6) -> str:
    first = ", ".join(names[:most])
    return texts.AND_MORE.format(names=first, count=len(names) - most) if len(names) > most else first


def problems(host: Host, details: bool) -> Table:
    """What went wrong in which plugin; with tracebacks if asked."""
    host.plugins()  # loads all, so that nothing is missed
    rows = [[p.plugin, p.where, p.details if details else p.reason] for p in host.problems]
    return Table(texts.PROBLEMS_TITLE, texts.PROBLEMS_COLUMNS, rows, note="" if rows else texts.NO_PROBLEM)
