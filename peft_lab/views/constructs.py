"""Which words, phrases and pairs of words tell each label from the others, and texts they stand in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby

import numpy as np
from pydantic import Field

import pluggy_specs
from peft_lab.errors import BadOption, RunProblem, nearest
from peft_lab.present.style import BORDER, PLAIN, esc, plain, tint
from peft_lab.present.table import Table
from peft_lab.texts import views as texts
from pluggy_specs import Array, Drawing, RunView, View

MOST_LABELS = 12
KINDS = {0: "apart", 1: "word"}
OWN, OTHER = 2, 1


class Constructs(View):
    """A table of constructs by label with their statistic, and example texts in which they are marked."""

    name = "constructs"
    summary = "the words and pairs of words that sparse chose for each label, and where they stand"
    needs = ("constructs",)

    class Options(pluggy_specs.Options):
        """What is shown."""

        labels: tuple[str, ...] = Field((), description="labels to show; the first ones when none is named")
        most: int = Field(6, ge=1, le=100, description="constructs shown for each label")

    def draw(self, runs: Sequence[RunView]) -> Drawing:
        """Draw one run."""
        (run,) = runs
        arrays = run.artifact("constructs").arrays
        names = list(arrays["labelled"].labels["label"])
        label = np.asarray(arrays["label"].values)
        if not len(label):
            raise RunProblem(f"{run.id} has no construct", "Train sparse with --by tokens")
        having = [number for number in range(len(names)) if (label == number).any()]
        chosen = self._chosen(names, having)
        left = len(having) - len(chosen)
        note = texts.MORE_LABELS.format(count=left) if left and not self.options.labels else ""
        inside = _table(arrays, chosen, self.options.most, note)._repr_html_() + _texts(arrays, chosen, names)
        return Drawing(_said(run, arrays, names, having, chosen), html=inside)

    def _chosen(self, names: Sequence[str], having: Sequence[int]) -> list[int]:
        """Numbers of the labels to show.

        Raises:
            BadOption: one that is named is no label, or has no construct.
        """
        if not self.options.labels:
            return list(having[:MOST_LABELS])
        known = {names[number]: number for number in having}
        for name in self.options.labels:
            if name not in known:
                raise BadOption(f"no construct was chosen for a label {plain(name)!r}", nearest(name, known), "labels")
        return [known[name] for name in self.options.labels]


def _said(
    run: RunView, arrays: Mapping[str, Array], names: Sequence[str], having: Sequence[int], chosen: Sequence[int]
) -> str:
    """How many there are, and the most telling of the labels shown."""
    values = {name: np.asarray(array.values) for name, array in arrays.items()}
    spelled = arrays["label"].labels["construct"]
    every, tested = (int(number) for number in values["totals"])
    shown = np.flatnonzero(np.isin(values["label"], chosen))
    best = shown[values["z"][shown].argmax()]
    own = int(values["label"][best])
    size, inside = int(values["labelled"][own]), int(values["inside"][best])
    counts = {
        "constructs": len(spelled),
        "tested": tested,
        "texts": every,
        "inside": inside,
        "size": size,
        "outside": int(values["having"][best]) - inside,
        "others": every - size,
    }
    return texts.CONSTRUCTS_SAID.format(
        run=run.id,
        method=run.recipe.method,
        labels=len(having),
        best=plain(spelled[best]),
        label=plain(names[own]),
        z=f"{values['z'][best]:.1f}",
        **{name: f"{number:,}" for name, number in counts.items()},
    )


def _table(arrays: Mapping[str, Array], chosen: Iterable[int], most: int, note: str) -> Table:
    values = {name: np.asarray(array.values) for name, array in arrays.items()}
    spelled, names = arrays["label"].labels["construct"], arrays["labelled"].labels["label"]
    every = int(values["totals"][0])
    rows: list[list[str]] = []
    for number in chosen:
        size = int(values["labelled"][number])
        these = np.flatnonzero(values["label"] == number)
        for at in these[:most]:
            inside = int(values["inside"][at])
            kind = int(values["kind"][at])
            exact = np.isnan(values["chi_square"][at])
            p = (texts.P_EXACT if exact else texts.P_CHI).format(
                p=_p(float(values["adjusted"][at])), chi=f"{values['chi_square'][at]:.0f}"
            )
            rows.append(
                [
                    names[number] if at == these[0] else "",
                    spelled[at],
                    texts.CONSTRUCT_KINDS[KINDS.get(kind, "phrase")],
                    texts.OF_TEXTS.format(count=f"{inside:,}", texts=f"{size:,}"),
                    texts.OF_TEXTS.format(count=f"{int(values['having'][at]) - inside:,}", texts=f"{every - size:,}"),
                    f"{values['z'][at]:.1f}",
                    p,
                ]
            )
    note = f"{texts.CONSTRUCT_NOTE} {note}".strip()
    return Table(texts.CONSTRUCT_TITLE, texts.CONSTRUCT_COLUMNS, rows, note=note, align="<<<>>>>")


def _texts(arrays: Mapping[str, Array], chosen: Iterable[int], names: Sequence[str]) -> str:
    """The example texts of some labels, with the constructs in them marked."""
    example = np.asarray(arrays["piece_example"].values)
    marks = np.asarray(arrays["piece_mark"].values)
    pieces = arrays["piece_example"].labels["piece"]
    labels = np.asarray(arrays["example_label"].values).tolist()
    lines = []
    for number in chosen:
        if number in labels:
            at = np.flatnonzero(example == labels.index(number)).tolist()
            text = _marked([(pieces[i], int(marks[i])) for i in at])
            lines.append(f'<div style="margin:6px 4px"><b>{esc(names[number])}</b><br>{text}</div>')
    if not lines:
        return ""
    own, other = _span(texts.OF_OWN_LABEL, OWN), _span(texts.OF_OTHER_LABEL, OTHER)
    key = esc(texts.EXAMPLES_KEY).format(own=own, other=other)
    return (
        f'<div {PLAIN} style="line-height:1.7;margin-top:10px"><div style="font-weight:bold;margin:4px">'
        f'{esc(texts.EXAMPLES)}</div><div style="margin:4px">{key}</div>'
        f"{''.join(lines)}</div>"
    )


def _marked(pieces: Sequence[tuple[str, int]]) -> str:
    """Pieces of text joined, neighbours with one mark in one span, blanks outside of it."""
    parts = []
    for mark, group in groupby(pieces, key=lambda piece: piece[1]):
        text = "".join(piece for piece, _ in group)
        bare = text.lstrip()
        blank = " " if len(bare) < len(text) else ""
        parts.append(blank + (_span(bare, mark) if mark and bare else esc(bare)))
    return "".join(parts).strip()


def _span(text: str, mark: int) -> str:
    """Own constructs are bold, underlined and tinted; those of others have a dotted line: no colour is needed."""
    if mark == OWN:
        style = f"font-weight:bold;border-bottom:2px solid;background:{tint('blue', 0.2)}"
    else:
        style = f"border-bottom:2px dotted {BORDER}"
    return f'<span style="{style};padding:0 2px">{esc(text)}</span>'


def _p(value: float) -> str:
    if value < 1e-15:
        return "< 1e-15"
    return f"{value:.3f}" if value >= 0.001 else f"{value:.0e}".replace("e-0", "e-")
