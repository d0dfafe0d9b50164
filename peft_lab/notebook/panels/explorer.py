"""The explorer: what some runs can show, one part at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

import ipywidgets as widgets

from peft_lab.errors import PeftLabError, RunProblem
from peft_lab.notebook.panels.explore_view import ViewPart
from peft_lab.notebook.panels.looks import ARROWS, LISTS
from peft_lab.notebook.panels.place import Place, Places, close_all
from peft_lab.notebook.panels.saying import in_one_line, refusal
from peft_lab.present.curve import warm_up
from peft_lab.present.parts import line
from peft_lab.present.style import PLAIN, esc, plain
from peft_lab.texts import panels as texts

if TYPE_CHECKING:
    from peft_lab.bench import Bench
    from peft_lab.host import Host
    from peft_lab.run import Run

HERE = "peft_lab.notebook.panels"
PARTS = {
    "mask-atlas": f"{HERE}.explore_masks:MasksPart",
    "gates": f"{HERE}.explore_gates:GatesPart",
    "tokens": f"{HERE}.explore_tokens:TokensPart",
    "distance": f"{HERE}.explore_distance:DistancePart",
    "comparison": f"{HERE}.explore_compare:ComparePart",
}
"""Views that have a part of their own. Any other is shown with its options as fields."""
COMPARISON = "comparison"
OF_ALL_RUNS = frozenset({"parameter-change", "trainable-by-layer", "test-answers", "validation-answers"})
"""Artifacts that every run has: views of others tell more about the methods that left them."""


class Part(Protocol):
    """What an explorer shows: one at a time, kept while it is open."""

    widget: widgets.Widget

    def static(self) -> Mapping[str, Any]:
        """What is shown now, as a bundle that needs no kernel. Quick, at any time."""

    def close(self) -> None:
        """Stop what is still to be done. What :meth:`static` gives stays."""


def offers(host: Host, runs: Sequence[Run]) -> dict[str, list[Run]]:
    """The views that runs have something for, the most telling first, with those of the runs that have it."""
    kinds = [frozenset(run.artifacts) for run in runs]
    found: dict[str, list[Run]] = {}
    rank = {}
    for name, offer in host.offers("views").items():
        needs = frozenset(offer.item.needs)
        fitting = [run for run, own in zip(runs, kinds, strict=True) if needs <= own]
        if not fitting or (name == COMPARISON and len(fitting) < 2):
            continue
        found[name] = fitting
        rank[name] = (name != COMPARISON, not needs - OF_ALL_RUNS, name not in PARTS, not needs)
    return {name: found[name] for name in sorted(found, key=lambda name: rank[name])}


class Explorer:
    """A chooser of views above the part that shows the chosen one.

    Args:
        lab: whose views there are.
        runs: what is looked into.
        what: the view to begin with; the most telling one when not given.

    Raises:
        UnknownName: there is no such view.
        RunProblem: these runs have nothing that it could show.
    """

    def __init__(self, lab: Bench, runs: Sequence[Run], what: str | None = None) -> None:
        self.lab, self.runs = lab, list({run.path: run for run in runs}.values())
        self.offers = offers(lab.host, self.runs)
        if what is not None:
            lab.host.find("views", what)
            if what not in self.offers:
                raise _lacking(lab.host, self.runs, what, self.offers)
        if not self.offers:
            raise RunProblem(
                texts.NOTHING_TO_SHOW.format(run=self.runs[0].id), texts.SEE_CARD.format(run=self.runs[0].id)
            )
        self.parts: dict[str, Part] = {}
        self.place: Place | None = None
        self.part_box = widgets.VBox()
        self.about = widgets.HTML()
        self.chooser = widgets.ToggleButtons(
            options=[(plain(name), name) for name in self.offers],
            value=what or next(iter(self.offers)),
            tooltips=[plain(self._summary(name)) for name in self.offers],
            description=texts.SHOW,
            style={"button_width": "auto", "description_width": "auto"},
        )
        self.keep = widgets.Button(
            description=texts.KEEP,
            tooltip=texts.KEEP_TIP,
            icon="check",
            layout={"width": "auto", "align_self": "flex-start", "margin": "8px 0 2px 2px"},
        )
        self.chooser.observe(lambda _: self._show(), "value")
        self.keep.on_click(lambda _: self._kept())
        named = ", ".join(f"{run.id} ({plain(run.recipe.method)})" for run in self.runs)
        title = widgets.HTML(f'{ARROWS}<b style="font-size:120%">{esc(texts.LOOK_INSIDE.format(runs=named))}</b>')
        self.widget = widgets.VBox(
            [title, self.chooser, self.about, self.part_box, self.keep], layout={"overflow": "hidden"}
        )
        self.widget.add_class(LISTS)
        self._show()

    def stand(self, places: Places, cell: str) -> None:
        """Show it as an output of a cell."""
        self.place = Place("explorer", cell, self.widget, self.static)
        self.place.closing.append(self.close)
        places.show(self.place)
        threading.Thread(target=warm_up, name="peft_lab warm-up", daemon=True).start()

    @property
    def part(self) -> Part:
        """What is shown now."""
        return self.parts[self.chooser.value]

    def static(self) -> Mapping[str, Any]:
        """The picture shown now, and how to open the explorer again."""
        bundle = dict(self.part.static())
        again = f"%peft explore {' '.join(run.id for run in self.runs)} --what {self.chooser.value}"
        said = texts.EXPLORE_AGAIN.format(line=again)
        bundle["text/html"] = f'{bundle["text/html"]}<div {PLAIN} style="opacity:.8;margin:4px 0">{esc(said)}</div>'
        bundle["text/plain"] = f"{bundle['text/plain']}\n\n{said}"
        return bundle

    def close(self) -> None:
        """Stop all parts, and give up those that are not shown."""
        for name, part in self.parts.items():
            part.close()
            if name != self.chooser.value:
                close_all(part.widget)

    # --- parts --------------------------------------------------------------------------------------------------------

    def _show(self) -> None:
        name = self.chooser.value
        self.about.value = f'<div style="line-height:1.4">{esc(self._summary(name))}</div>'
        if name not in self.parts:
            self.parts[name] = self._made(name)
            _watch(self.parts[name].widget, self._changed)
        self.part_box.children = (self.parts[name].widget,)
        self._changed()

    def _changed(self) -> None:
        """Something else would be left now."""
        if self.place is not None:
            self.place.changed()

    def _made(self, name: str) -> Part:
        try:
            if name not in PARTS:
                return ViewPart(self.lab, self.offers[name], name)
            module, cls = PARTS[name].split(":")
            made: Part = getattr(import_module(module), cls)(self.lab, self.offers[name])
            return made
        except PeftLabError as error:
            return Refusal(in_one_line(error))

    def _summary(self, name: str) -> str:
        return str(self.lab.host.offers("views")[name].summary)

    def _kept(self) -> None:
        if self.place is not None:
            self.place.close()


class Refusal:
    """A sentence where a part cannot be shown, such as that of a damaged artifact."""

    def __init__(self, sentence: str) -> None:
        self.sentence = sentence
        self.widget = widgets.HTML(line("✗", sentence, "vermilion"))

    def static(self) -> dict[str, str]:
        """The sentence."""
        return refusal(self.sentence)

    def close(self) -> None:
        """Nothing has to be stopped."""


def _watch(widget: widgets.Widget, call: Callable[[], None]) -> None:
    """Call something whenever one of the texts within a widget changes: all that a part shows is among them."""
    if isinstance(widget, widgets.HTML):
        widget.observe(lambda _: call(), "value")
    for child in getattr(widget, "children", ()):
        _watch(child, call)


def _lacking(host: Host, runs: Sequence[Run], what: str, offered: Mapping[str, Any]) -> RunProblem:
    """Why a view cannot be shown, and which can."""
    hint = texts.IT_SHOWS.format(views=", ".join(offered))
    if what == COMPARISON:
        return RunProblem(texts.NEEDS_RUNS.format(view=what, count=2), texts.NAME_MORE.format(run=runs[0].id))
    needs = host.find("views", what).needs
    missing = next((kind for kind in needs if all(kind not in run.artifacts for run in runs)), ", ".join(needs))
    named = ", ".join(run.id for run in runs)
    return RunProblem(texts.LACKS.format(run=named, view=what, lacks=missing), hint)
