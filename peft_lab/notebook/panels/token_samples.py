"""Samples of a run, one at a time, with an LD threshold that recolours and recounts while it moves."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import ipywidgets as widgets

from peft_lab.notebook.panels.paced import Paced
from peft_lab.notebook.panels.rows import contained, fit, page, row
from peft_lab.notebook.panels.token_pages import Choice, TokenPages
from peft_lab.present.style import esc
from peft_lab.run import Run
from peft_lab.texts import panels as texts

HEIGHT = "520px"


class TokenSamples:
    """The tokens of one run, or what changed between two.

    Raises:
        PeftLabError: the runs have no tokens to show, or no row in common.
    """

    def __init__(self, runs: Sequence[Run]) -> None:
        self.pages = TokenPages(runs)
        self.within = self.pages.within
        self.threshold = 0.0
        self._by_code = False
        self._build()
        self.drawn = Paced(self.sample)
        self._find()

    # --- what a person sees -------------------------------------------------------------------------------------------

    def _build(self) -> None:
        self.find = widgets.Text(description=texts.FIND, placeholder=texts.FIND_HINT, tooltip=texts.FIND_TIP)
        self.found = widgets.HTML()
        self.chooser = widgets.Dropdown(description=texts.SAMPLE, tooltip=texts.SAMPLE_TIP)
        self.previous = widgets.Button(description=texts.PREVIOUS, tooltip=texts.PREVIOUS_TIP, icon="chevron-left")
        self.next = widgets.Button(description=texts.NEXT, tooltip=texts.NEXT_TIP, icon="chevron-right")
        offered = [(texts.BY_NAMES[name], name) for name in self.pages.known]
        self.by = widgets.Dropdown(options=offered, description=texts.BY, tooltip=texts.BY_TIP)
        self.counted = widgets.Dropdown(
            options=[(texts.COUNTED_ALL, False), (texts.COUNTED_ONE, True)],
            description=texts.COUNTED,
            tooltip=texts.COUNTED_TIP,
        )
        self.whole = widgets.Checkbox(description=texts.WHOLE_PROMPT, tooltip=texts.WHOLE_PROMPT_TIP, indent=False)
        self.table = widgets.Checkbox(description=texts.TABLE, tooltip=texts.TABLE_TIP, indent=False)
        self.counts, self.more = page(), page()
        self.sample = page(max_height=HEIGHT, overflow="auto")  # scrolls by itself: the threshold stays in sight
        for one, room in ((self.find, 240), (self.chooser, 330), (self.by, 210), (self.counted, 190)):
            fit(one, width="auto", min_width="0", flex=f"1 1 {room}px", max_width="560px")
            one.style.description_width = "initial"
        for one in (self.previous, self.next, self.whole, self.table):
            one.layout.width = "auto"
        self.find.observe(lambda _: self._find(), "value")
        self.previous.on_click(lambda _: self._step(-1))
        self.next.on_click(lambda _: self._step(1))
        for one in (self.chooser, self.by, self.counted, self.whole, self.table):
            one.observe(lambda _: self._tell(), "value")
        rows = [row(self.find, self.chooser, self.previous, self.next), self.found]
        rows += self._threshold_row()
        rows.append(row(self.by, self.counted, self.whole, self.table))
        self.widget = widgets.VBox([*rows, self.counts, self.sample, self.more], layout={"width": "100%"})

    def _threshold_row(self) -> list[widgets.Widget]:
        self.slider: Any = None
        self.typed: Any = None
        if self.within is None:
            said = self.pages.why_no_threshold()
            return [widgets.HTML(esc(said))] if said else []
        within = self.within
        self.slider = widgets.FloatSlider(
            value=0.0,
            min=within.low,
            max=within.high,
            step=within.step,
            description=texts.THRESHOLD,
            tooltip=texts.THRESHOLD_TIP,
            readout=False,
        )
        self.typed = widgets.FloatText(
            value=0.0, step=within.step, description=texts.THRESHOLD_TYPED, tooltip=texts.THRESHOLD_TYPED_TIP
        )
        reset = widgets.Button(description=texts.THRESHOLD_RESET, tooltip=texts.THRESHOLD_RESET_TIP)
        fit(self.slider, width="auto", min_width="0", flex="1 1 300px", max_width="640px")
        fit(self.typed, width="160px")
        fit(reset, width="auto")
        for one in (self.slider, self.typed):
            one.style.description_width = "initial"
            one.observe(lambda change: self.move(change["new"], change["owner"]), "value")
        reset.on_click(lambda _: self.move(0.0))
        return [row(self.slider, self.typed, reset)]

    # --- what a person does -------------------------------------------------------------------------------------------

    def move(self, threshold: float, moved: widgets.Widget | None = None) -> None:
        """Set the threshold, to any number. Slider and text follow, but for the one that a person moved.

        That one may be further by now, and would jump back.
        """
        if self._by_code or self.within is None or not math.isfinite(threshold):
            return
        self.threshold = round(threshold, 6) + 0.0  # a slider adds steps up: no 0.30000000000000004, and no -0
        self._by_code = True
        try:
            if moved is not self.slider:
                self.slider.value = min(max(self.threshold, self.within.low), self.within.high)
            if moved is not self.typed:
                self.typed.value = self.threshold
        finally:
            self._by_code = False
        self._tell()

    def show(self, number: int) -> None:
        """Show the sample of this number, from 1 on."""
        self.chooser.value = number - 1

    def _step(self, by: int) -> None:
        offered = [value for _, value in self.chooser.options]
        place = offered.index(self.chooser.value) + by
        if 0 <= place < len(offered):
            self.chooser.value = offered[place]

    def _find(self) -> None:
        """Offer the samples that contain what is looked for."""
        names, wanted = self.pages.names, self.find.value.strip()
        every = range(len(names))
        found = self.pages.containing(wanted)
        told = texts.FOUND.format(found=f"{len(found):,}", every=f"{len(names):,}") if found else texts.NOT_FOUND
        self.found.value = esc(told) if wanted else ""
        offered = found or list(every)
        if offered == [value for _, value in self.chooser.options]:
            return
        now, self._by_code = self.chooser.value, True
        try:
            self.chooser.options = [(names[at], at) for at in offered]
            self.chooser.value = now if now in offered else offered[0]
        finally:
            self._by_code = False
        self._tell()

    # --- what is shown ------------------------------------------------------------------------------------------------

    @property
    def choice(self) -> Choice:
        """What is chosen now."""
        at, one, whole, table = (each.value for each in (self.chooser, self.counted, self.whole, self.table))
        return Choice(at or 0, self.threshold, self.by.value, one, whole, table)

    def _tell(self) -> None:
        """Show what is chosen: the counts at once, the sample as fast as it goes through."""
        if self._by_code:
            return
        choice = self.choice
        offered = [value for _, value in self.chooser.options]
        self.previous.disabled, self.next.disabled = choice.at == offered[0], choice.at == offered[-1]
        self.counts.value = contained(self.pages.above(choice))
        self.drawn.show(lambda: contained(self.pages.sample(choice)))
        self.more.value = contained(self.pages.below(choice))

    def static(self) -> Mapping[str, Any]:
        """What is shown now, without controls."""
        return self.pages.static(self.choice)

    def close(self) -> None:
        """Draw nothing more."""
        self.drawn.cancel()
