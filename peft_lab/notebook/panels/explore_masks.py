"""Masks from far to near: the model as a strip, a tensor in blocks, exact cells; of one run, or of two."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from peft_lab.errors import PeftLabError
from peft_lab.listings.results import drawn
from peft_lab.notebook.panels.grids import grid_html, grid_text
from peft_lab.notebook.panels.mask_controls import MaskControls
from peft_lab.notebook.panels.mask_numbers import Parts, Strip, parts_of, span, strip_of
from peft_lab.notebook.panels.saying import in_one_line, sentence
from peft_lab.present.mask_words import pair_words, whole_words
from peft_lab.present.masks import Mask, Tensor, in_both, must_be_alike, read_mask
from peft_lab.present.picture import RENDER_LOCK, Picture
from peft_lab.present.style import PLAIN, esc, plain, share
from peft_lab.recipe import checked
from peft_lab.texts import panels as texts

if TYPE_CHECKING:
    from peft_lab.bench import Bench
    from peft_lab.run import Run

VIEW: Final = "mask-atlas"


class MasksPart:
    """What trains, from the whole model down to single weights.

    Args:
        lab: whose views draw.
        runs: those with a mask; two at a time are compared.
    """

    def __init__(self, lab: Bench, runs: Sequence[Run]) -> None:
        self.lab = lab
        self.name: str | None = None
        """The tensor that is looked into."""
        self.window: tuple[slice, slice] | None = None
        """Rows and columns whose cells are shown."""
        self.picture: Picture | None = None
        """Of the tensor or its cells; the whole model is no picture."""
        self.said = ""
        """What is shown, in a sentence; or why nothing is."""
        self.strip: Strip | None = None
        self.parts: Parts | None = None
        self._read: dict[str, Mask] = {}
        self._setting = False
        self.controls = MaskControls(runs, self._group_pressed, self._part_pressed)
        self.widget = self.controls.widget
        self._wire()
        self._look_at(self.controls.whose.value)

    def static(self) -> dict[str, str]:
        """What is shown now."""
        if self.picture is not None:
            return self.picture._repr_mimebundle_()
        left = sentence(self.said)
        if self.strip is not None:
            strip = self.strip
            title = self._strip_title()
            grid = grid_html(strip.rows, strip.columns, strip.cells, corner=strip.corner)
            left["text/html"] += f'<div {PLAIN} style="margin-top:6px"><b>{esc(title)}</b></div>{grid}'
            left["text/plain"] += (
                f"\n\n{title}\n{grid_text(strip.rows, strip.columns, strip.cells, corner=strip.corner)}"
            )
        return left

    def close(self) -> None:
        """Give up what buttons share."""
        self.controls.groups.close()
        self.controls.pieces.close()

    # --- the three steps ----------------------------------------------------------------------------------------------

    def to_strip(self) -> None:
        """Show the whole model."""
        self.name = self.window = self.picture = None
        masks = self.masks
        self.strip = strip_of(masks, overlap=self.controls.measure.value)
        self.said = whole_words(masks[0])
        if len(masks) == 2:
            title = texts.ONE_AGAINST.format(one=masks[0].title, other=masks[1].title)
            self.said = pair_words(masks[0], masks[1], title)
        strip = self.strip
        self.controls.groups.fill(strip.rows, strip.columns, strip.cells, corner=strip.corner)
        self._arrange()

    def to_tensor(self, name: str | None) -> None:
        """Show a tensor in blocks; without a name the whole model."""
        if not name:
            self.to_strip()
            return
        self.name, self.window, self.strip = name, None, None
        self.parts = parts_of(self._tensors(name))
        rows, columns = [span(r) for r in self.parts.rows], [span(c) for c in self.parts.columns]
        corner = texts.CORNER.format(down=texts.ROWS, across=texts.COLUMNS)
        self.controls.pieces.fill(rows, columns, self.parts.cells, corner=corner)
        self._draw(tensor=name)

    def to_cells(self, row: int, column: int) -> None:
        """Show exact cells of the tensor, from a row and a column on, as near to them as its edges allow."""
        assert self.name is not None
        tensor, side = self._tensors(self.name)[0], self.controls.side.value
        last = max(0, tensor.rows - side), max(0, tensor.columns - side)
        first = max(0, min(row, last[0])), max(0, min(column, last[1]))
        rows, columns = (
            slice(start, min(end, start + side))
            for start, end in zip(first, (tensor.rows, tensor.columns), strict=True)
        )
        self.window = rows, columns
        self._draw(tensor=self.name, rows=f"{rows.start}:{rows.stop}", columns=f"{columns.start}:{columns.stop}")

    # --- what a person does -------------------------------------------------------------------------------------------

    def _wire(self) -> None:
        controls = self.controls

        def told(call: Any) -> Any:
            # What is set to be in line with something else has been answered already.
            return lambda change: None if self._setting else call(change["new"])

        controls.whose.observe(told(self._look_at), "value")
        controls.measure.observe(told(lambda _: self.to_strip()), "value")
        controls.tensor.observe(told(self.to_tensor), "value")
        for control in (controls.row, controls.column, controls.side):
            control.observe(told(lambda _: self.to_cells(controls.row.value, controls.column.value)), "value")
        controls.home.on_click(lambda _: self.to_strip())
        controls.back.on_click(lambda _: self.to_tensor(self.name))

    def _look_at(self, runs: Sequence[Run]) -> None:
        self.chosen = runs
        try:
            self.masks = [self._mask(run) for run in runs]
            if len(self.masks) == 2:
                must_be_alike(self.masks[0], self.masks[1])
        except PeftLabError as error:
            self._refuse(error)
            return
        names = list(dict.fromkeys(name for mask in self.masks for name in mask.tensors))
        kept = self.name if self.name in names else None
        known = [(f"{plain(name)} · {self._share_of(name)}", name) for name in names]
        self._setting = True
        self.controls.tensor.options = [(texts.WHOLE_MODEL, ""), *known]
        self._setting = False
        self.to_tensor(kept)

    def _group_pressed(self, row: int, column: int) -> None:
        assert self.strip is not None
        place = self.strip.places[row][column]
        found = [name for mask in self.masks for name in mask.tensors if mask.cells[name] == place]
        # The others of the group stand beside it in the list of tensors.
        self.to_tensor(max(found, key=lambda name: sum(tensor.chosen for tensor in self._tensors(name))))

    def _part_pressed(self, row: int, column: int) -> None:
        assert self.parts is not None
        side, densest = self.controls.side.value, self.parts.densest[row][column]
        # All of a part where it fits, else what is around its densest block.
        starts = [
            part.start if part.stop - part.start <= side else max(part.start, at - side // 2)
            for part, at in zip((self.parts.rows[row], self.parts.columns[column]), densest, strict=True)
        ]
        self.to_cells(*starts)

    # --- what is shown ------------------------------------------------------------------------------------------------

    def _draw(self, **options: str) -> None:
        try:
            cls = self.lab.host.find("views", VIEW)
            with RENDER_LOCK:
                self.picture = drawn(self.lab.host, VIEW, cls(checked(cls.Options, options, VIEW)), self.chosen)
        except PeftLabError as error:
            self._refuse(error)
            return
        self.said = self.picture.alt
        self._arrange()

    def _refuse(self, error: PeftLabError) -> None:
        """Say why there is nothing to see."""
        self.said = in_one_line(error)
        self.picture = self.strip = self.name = self.window = None
        self._arrange()

    def _arrange(self) -> None:
        """Bring all controls in line with where we are."""
        self._setting = True
        try:
            self.controls.arrange(
                pair=len(self.chosen) == 2,
                title=self._strip_title() if self.strip is not None else "",
                said=self.said,
                picture=self.picture,
                name=self.name,
                window=self.window,
                tensor=self._tensors(self.name)[0] if self.name is not None else None,
            )
        finally:
            self._setting = False

    def _strip_title(self) -> str:
        if len(self.chosen) == 1:
            return texts.STRIP
        return texts.STRIP_OVERLAP if self.controls.measure.value else texts.STRIP_DIFFERENCE

    def _mask(self, run: Run) -> Mask:
        if run.id not in self._read:
            self._read[run.id] = read_mask(run)
        return self._read[run.id]

    def _tensors(self, name: str) -> list[Tensor]:
        """The tensor as the masks that are looked at have it."""
        if len(self.masks) == 1:
            return [self.masks[0].tensors[name]]
        return list(in_both(self.masks[0], self.masks[1], name))

    def _share_of(self, name: str) -> str:
        shares = [share(tensor.chosen / tensor.size) for tensor in self._tensors(name)]
        return shares[0] if len(shares) == 1 else texts.ONE_AGAINST.format(one=shares[0], other=shares[1])
