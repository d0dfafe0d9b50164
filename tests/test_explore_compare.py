"""Runs side by side: scores and costs, curves along any axis, and axes that stay while runs go off and on."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import ipywidgets
import numpy as np
import pytest
from test_present import HOSTILE, check_html, make_run, points_of, record_of
from test_views import put

from peft_lab.errors import PeftLabError
from peft_lab.lab import Lab
from peft_lab.notebook.panels.explore_compare import ComparePart
from peft_lab.run import Run
from peft_lab.texts import panels as texts
from peft_lab.views.comparison import Comparison
from peft_lab.views.curves import Curves
from peft_lab.views.distance import Distance
from pluggy_specs import Drawing, RunView, View

OVER = ("data-curve", "time-curve")
METHODS = (("bitfit", 0.92, 80), ("lora", 0.78, 200), ("full", 0.95, 60))
"""Method, accuracy and steps: axes would change if one were left out."""


def moved(run: Run, size: float) -> None:
    """Distances of two layers."""
    labels = {"layer": ["0", "1"], "kind": ["weight", "bias"]}
    values = np.full((2, 2), size) * [[1.0], [0.5]]
    put(run, "parameter-change", labels, relative=values, rms=values, moved=values, size=np.full((2, 2), 10.0))


@pytest.fixture
def runs(tmp_path: Path) -> list[Run]:
    made = []
    for at, (method, accuracy, steps) in enumerate(METHODS, 1):
        record = record_of(f"run-{at}", method)
        record["cost"] |= {"trainable": 1000 * 10**at, "seconds": 10.0 * at}
        record["metrics"]["test"] = {"accuracy": accuracy, "macro_f1": accuracy - 0.01}
        made.append(make_run(tmp_path, record, points_of(steps, 4, accuracy, seed=at)))
        moved(made[-1], (0.1, 0.3, 0.2)[at - 1])
    return made


@pytest.fixture
def part(runs: list[Run], tmp_path: Path) -> ComparePart:
    return ComparePart(Lab(tmp_path), runs)


def axes_of(view: View, runs: Sequence[Run]) -> list[tuple[object, object]]:
    return [(axes.get_xlim(), axes.get_ylim()) for axes in view.draw(runs).figure.axes]


# --- views that leave runs out ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("view", [Curves, Comparison, Distance])
@pytest.mark.parametrize("left_out", ["run-1", "run-2", "run-3"])
def test_axes_stay_when_a_run_is_left_out(runs: list[Run], view: type[View], left_out: str) -> None:
    hidden = view(view.Options(hide=(left_out,)))
    assert axes_of(hidden, runs) == axes_of(view(), runs)
    said = hidden.draw(runs).alt
    assert said.endswith(f"Left out: {left_out}.")
    assert not re.search(rf"{left_out} \w+:", said)


@pytest.mark.parametrize("view", [Curves, Comparison, Distance])
def test_axes_would_not_stay_if_the_run_were_not_there_at_all(runs: list[Run], view: type[View]) -> None:
    assert axes_of(view(), [runs[0], runs[2]]) != axes_of(view(), runs)


def test_colours_stay_when_a_run_is_left_out(runs: list[Run]) -> None:
    def colours(**options: object) -> dict[str, str]:
        figure = Curves(Curves.Options(**options)).draw(runs).figure
        legend = figure.legends[0]
        return {
            text.get_text().split()[0]: line.get_color()
            for text, line in zip(legend.get_texts(), legend.get_lines(), strict=True)
            if line.get_visible()
        }

    every = colours()
    assert len(set(every.values())) == 3
    assert colours(hide=("run-1",)) == {name: colour for name, colour in every.items() if name != "run-1"}


def test_lines_of_a_run_that_is_left_out_are_not_seen(runs: list[Run]) -> None:
    def seen(**options: object) -> int:
        figure = Curves(Curves.Options(**options)).draw(runs).figure
        return sum(line.get_visible() for axes in figure.axes for line in axes.lines)

    assert seen() == 12 and seen(hide=("run-1",)) == 8  # a raw and a smooth line, a line and a ring


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hide": ("run-9",)}, "'run-9' is none of these runs"),
        ({"hide": ("run-1", "run-2", "run-3")}, "all runs are left out"),
        ({"metrics": ("validation.acuracy",)}, "validation.accuracy"),
    ],
)
def test_what_cannot_be_left_out_or_drawn(runs: list[Run], options: dict, message: str) -> None:
    with pytest.raises(PeftLabError) as caught:
        Curves(Curves.Options(**options)).draw(runs)
    assert message in str(caught.value)


def test_the_axis_of_a_single_accuracy_is_no_wider_than_accuracies(tmp_path: Path) -> None:
    run = make_run(tmp_path, record_of("run-1"), points_of(8, 1, 1.0))
    low, high = axes_of(Curves(), [run])[1][1]
    assert low < 1 <= high < 1.03


@pytest.mark.parametrize(("along", "last", "said"), [("seconds", 120.0, "after 2 min"), ("epoch", 4.0, "in epoch 4")])
def test_curves_along_time_and_epochs(runs: list[Run], along: str, last: float, said: str) -> None:
    drawing = Curves(Curves.Options(along=along)).draw(runs[1:2])
    assert drawing.figure.axes[0].lines[-1].get_xdata()[-1] == pytest.approx(last)
    assert f"run-2 lora: best validation accuracy 0.780 {said}" in drawing.alt


def test_each_quantity_has_axes_of_its_own(runs: list[Run]) -> None:
    options = Curves.Options(metrics=("train.loss", "validation.loss", "validation.macro_f1"))
    drawing = Curves(options).draw(runs)
    titles = [axes.get_title(loc="left") for axes in drawing.figure.axes if axes.get_visible()]
    assert titles == ["Training loss", "Validation loss", "Validation macro F1"]
    assert "best validation loss 0.400" in drawing.alt


# --- the part ---------------------------------------------------------------------------------------------------------


def test_scores_and_costs_stand_in_a_table_best_first(part: ComparePart) -> None:
    text = part.static()["text/plain"]
    assert [line.split()[0] for line in text.splitlines() if line.startswith("run-")][:3] == ["run-3", "run-1", "run-2"]
    assert "0.950" in text and "30 s" in text and "peak memory" in text
    assert text.count("best validation accuracy") == 3
    check_html(part.static()["text/html"].replace("<code>", "").replace("</code>", ""))


def test_a_run_goes_off_and_on_again(part: ComparePart) -> None:
    whole = part.shown
    part.ticked["run-2"].value = False
    assert "run-2 lora:" not in part.shown.alt and part.line().endswith("--hide run-2")
    part.ticked["run-2"].value = True
    assert part.shown == whole and "--hide" not in part.line()


def test_curves_and_their_axis_are_chosen(part: ComparePart) -> None:
    assert list(part.metrics)[:3] == ["train.loss", "train.learning_rate", "validation.accuracy"]
    part.along.value = "seconds"
    assert "accuracy 0.920 after 48 s" in part.shown.alt
    part.metrics["train.loss"].value = False
    part.metrics["validation.macro_f1"].value = True
    assert "best validation macro F1" in part.shown.alt and "loss from" not in part.shown.alt
    assert part.line() == (
        "%peft show curves run-3 run-1 run-2 --along seconds --metrics validation.accuracy,validation.macro_f1"
    )
    for tick in part.metrics.values():
        tick.value = False
    assert part.said == texts.NO_METRIC_SHOWN and texts.NO_METRIC_SHOWN in part.static()["text/html"]


def test_the_line_draws_the_same(part: ComparePart, tmp_path: Path) -> None:
    part.ticked["run-1"].value = False
    part.along.value = "epoch"
    words = part.line().removeprefix("%peft show ").split()
    flags = dict(zip(words[4::2], words[5::2], strict=True))
    drawn = Lab(tmp_path).show(*words[:4], along=flags["--along"], hide=(flags["--hide"],))
    assert drawn._repr_html_() in part.static()["text/html"]


def test_score_against_any_cost(part: ComparePart) -> None:
    part.picture.value = "comparison"
    assert part.shown.alt.startswith("full has the highest test accuracy: 0.950, training")
    part.against.value = "seconds"
    assert "in 30 s" in part.shown.alt and "--against seconds" in part.line()
    part.ticked["run-3"].value = False
    assert part.shown.alt.startswith("bitfit has the highest test accuracy: ") and "Left out: run-3." in part.shown.alt


def test_only_controls_of_the_picture_are_there(part: ComparePart) -> None:
    def there() -> list[bool]:
        return [one.layout.display != "none" for one in (part.along, part.of_curves, part.against)]

    assert there() == [True, True, False]
    part.picture.value = "comparison"
    assert there() == [False, False, True]
    part.picture.value = "distance"
    assert there() == [False, False, False]


def test_differences_are_offered_where_all_runs_have_what_they_need(runs: list[Run], tmp_path: Path) -> None:
    part = ComparePart(Lab(tmp_path), runs)
    assert [name for _, name in part.picture.options] == ["curves", "comparison", "distance", *OVER]
    part.picture.value = "distance"
    assert part.shown.alt.count("went farthest") == 3
    part.ticked["run-1"].value = False
    assert part.shown.alt.count("went farthest") == 2
    for file in (runs[0].path / "artifacts").iterdir():
        file.unlink()
    assert [name for _, name in ComparePart(Lab(tmp_path), runs).picture.options] == ["curves", "comparison", *OVER]


def test_a_strangers_view_gets_the_runs_that_are_on(part: ComparePart, runs: list[Run], tmp_path: Path) -> None:
    class Names(View):
        """Says which runs it got."""

        name = "names"
        summary = "names of runs"
        many = True

        def draw(self, runs: Sequence[RunView]) -> Drawing:
            if len(runs) == 1:
                raise PeftLabError("one is not enough")
            return Drawing(" and ".join(sorted(run.id for run in runs)))

    lab = Lab(tmp_path)
    lab.add(Names)
    part = ComparePart(lab, runs)
    part.picture.value = "names"
    assert part.shown.alt == "run-1 and run-2 and run-3"
    part.ticked["run-1"].value = False
    assert part.shown.alt == "run-2 and run-3" and part.line() == "%peft show names run-3 run-2"
    part.ticked["run-2"].value = False
    assert part.shown is None and "one is not enough" in part.static()["text/plain"]
    part.ticked["run-3"].value = False
    assert part.said == texts.NONE_SHOWN


def test_names_from_data_are_only_text(tmp_path: Path) -> None:
    made = []
    for at in (1, 2):
        record = record_of(f"run-{at}", "+".join(HOSTILE))
        points = [{**point, HOSTILE[0]: 0.5} for point in points_of(8, 2)]
        made.append(make_run(tmp_path, record, points))
    part = ComparePart(Lab(tmp_path), made)
    part.metrics[f"validation.{HOSTILE[0]}"].value = True
    for html in (part.static()["text/html"], *(w.value for w in every_widget(part.widget, ipywidgets.HTML))):
        bare = re.sub(r'</?code>|<div style="width:0;min-width:100%">', "", html)
        assert "<img src=x" not in bare and "<script" not in bare and "<!--" not in bare
    assert not any("\n" in one.description for one in every_widget(part.widget, ipywidgets.Checkbox))


def every_widget(widget: ipywidgets.Widget, kind: type) -> list[ipywidgets.Widget]:
    inner: Callable[..., list] = lambda one: every_widget(one, kind)  # noqa: E731
    found = [widget] if isinstance(widget, kind) else []
    return [*found, *(each for one in getattr(widget, "children", ()) for each in inner(one))]
