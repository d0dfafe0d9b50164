"""What the tests in ``tests/browser`` go through, as scenes to photograph, on the tiny model of the tests."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "browser"))

from front_end import DARK, Book, FrontEnd, button
from playwright.sync_api import expect
from test_browser_panel import OWN

from peft_lab.texts import cards
from peft_lab.texts import panels as texts

Keep = Callable[[Any, str], None]
LONG = 300_000
GOES_ON = re.compile(r"step [1-9]")
STATIC = "outputs => outputs.length && !JSON.stringify(outputs).includes('widget-view')"


class Scenes:
    """Scenes by name.

    Args:
        keep: photographs a place in the page under a name.
        runs: a folder for runs that are trained here.
        known: a folder of runs to look into, as the tests make them.
    """

    def __init__(self, front: FrontEnd, keep: Keep, runs: Path, known: Path) -> None:
        self.front, self.keep, self.runs, self.known = front, keep, runs, known

    # --- the panel ----------------------------------------------------------------------------------------------------

    def trains(self) -> None:
        """The panel while its run goes on, and what is left once it is stopped."""
        line = "%peft panel bitfit --model minilm --data helpdesk --device cpu --epochs 20"
        book = self.opened(self.begin("trains"), line)
        panel = book.widgets(1)
        button(panel, texts.TRAIN).click()
        expect(panel).to_contain_text(re.compile(r"step \d\d"), timeout=LONG)
        expect(panel).to_contain_text("validation", timeout=LONG)
        self.keep(panel, "panel-trains")
        button(panel, texts.STOP).click()
        book.waits_for(1, STATIC, 240)
        self.keep(book.output(1), "panel-stopped")

    def sketched(self) -> None:
        """The plan right after an edit: what would train is there, time and memory are not."""
        book = self.opened(self.begin("sketched"), "%peft panel lora --model minilm --data helpdesk --device cpu")
        panel = book.widgets(1)
        expect(panel).to_contain_text(cards.FITS, timeout=LONG)
        field = panel.get_by_label("rank")
        field.fill("4")
        field.press("Tab")
        expect(panel).to_contain_text(cards.BEING_MEASURED, timeout=LONG)
        self.keep(panel, "panel-sketch")

    def plugin(self) -> None:
        """A method that a notebook cell brought, in the panel."""
        book = self.opened(self.begin("plugin"), OWN, "%peft panel nudge")
        panel = book.widgets(2)
        expect(panel.get_by_label("strength")).to_be_visible()
        panel.get_by_label("strength").fill("12")
        panel.get_by_label("strength").press("Tab")
        expect(button(panel, texts.TRAIN)).to_be_disabled()
        self.keep(panel, "panel-plugin")

    def twice(self) -> None:
        """The cell run again: one panel."""
        book = self.opened(self.begin("twice"), "%peft panel lora")
        book.run(1)
        expect(book.widgets(1)).to_contain_text(cards.FITS, timeout=LONG)
        self.keep(book.cell(1), "panel-twice")

    def reopened(self) -> None:
        """A notebook with a panel whose kernel was shut down, opened again without one; and sent to somebody."""
        book = self.opened(
            self.begin("reopened"), "%peft panel lora --rank 4", "%peft train lora --rank 4 --max-steps 40"
        )
        book.run(2)
        book.shut_down()
        expect(book.output(1)).to_contain_text("%peft train lora")
        book.save()
        book.close()
        again = self.front.show(book.file, kernel=False)
        expect(again.output(1)).to_contain_text("%peft train lora", use_inner_text=True)
        self.keep(again.root.locator(".jp-Notebook"), "reopened")
        again.close()
        copy = self.front.copy(book)
        expect(copy.output(1)).to_contain_text("%peft train lora", use_inner_text=True)
        self.keep(copy.root.locator(".jp-Notebook"), "untrusted")

    def interrupted(self) -> None:
        """A cell that was interrupted, and the one behind it that did not run."""
        begin, line = self.begin("interrupted"), "%peft train lora --epochs 5000 --batch-size 8 --device cpu"
        book = self.front.open(begin, line, "after = 1")
        book.run_all()
        expect(book.output(1)).to_contain_text(GOES_ON, timeout=LONG)
        book.interrupt()
        book.done_all()
        self.keep(book.cell(1), "interrupt")

    def dark(self) -> None:
        """Results in the dark theme."""
        book = self.opened(self.begin("dark"), "%peft train lora --max-steps 60 --device cpu", "%peft methods")
        self.front.theme(DARK)
        self.keep(book.output(1), "card-dark")
        self.keep(book.output(2), "table-dark")

    # --- explorers ----------------------------------------------------------------------------------------------------

    def mask(self) -> None:
        """A press on the strip has opened a tensor, another one its weights."""
        shown = self.explored("run-1")
        shown.locator("button[title*='word embeddings']").click()
        expect(shown.locator("img").first).to_be_visible()
        self.keep(shown, "explore-tensor")
        shown.locator("button[title*='entries train']:visible").first.click()
        expect(shown).to_contain_text("rows 0")
        self.keep(shown, "explore-cells")

    def threshold(self) -> None:
        """Another threshold, and the answer coloured anew."""
        shown = self.explored("run-4")
        field = shown.get_by_label(texts.THRESHOLD_TYPED)
        field.fill("1.0")
        field.press("Enter")
        expect(shown).to_contain_text("threshold 1")
        self.keep(shown, "explore-threshold")

    def hostile(self) -> None:
        """Tokens that try to be a script, as text."""
        shown = self.explored("run-4")
        button(shown, texts.NEXT).click()
        expect(shown).to_contain_text("onerror")
        self.keep(shown, "explore-hostile")

    def compared(self) -> None:
        """Runs side by side."""
        shown = self.explored("run-1 run-2 run-3")
        expect(shown.locator("img").first).to_be_visible()
        self.keep(shown, "explore-compare")

    # --- how ----------------------------------------------------------------------------------------------------------

    def begin(self, name: str) -> str:
        """The first cell: runs of its own, the tiny model and its data."""
        runs = f"%config PeftMagics.runs = {str(self.runs / name)!r}"
        return f"%load_ext peft_lab\n{runs}\nlab.model, _ = 'tiny', lab.data('colours.csv')"

    def opened(self, *cells: str) -> Book:
        """A notebook whose cells have run, but for those that train in front of the camera."""
        book = self.front.open(*cells)
        for at, _ in enumerate(cells):
            book.run(at, limit=300)
            assert not book.error(at), book.error(at)
        return book

    def explored(self, runs: str) -> Any:
        """The explorer of some of the known runs."""
        begin = f"%load_ext peft_lab\n%config PeftMagics.runs = {str(self.known)!r}"
        return self.opened(begin, f"%peft explore {runs}").widgets(1)


SCENES = (
    "trains",
    "sketched",
    "plugin",
    "twice",
    "reopened",
    "interrupted",
    "dark",
    "mask",
    "threshold",
    "hostile",
    "compared",
)
