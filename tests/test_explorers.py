"""Explorers: from the whole model to single weights, gates in time, distances, any view; and nothing dead left."""

from __future__ import annotations

import asyncio
import re
import time
from html.parser import HTMLParser
from importlib import import_module

import IPython.display
import ipywidgets as widgets
import numpy as np
import pytest
from pydantic import Field
from test_mask_atlas import SHAPES, drawn_at_random, mask_artifact, run_with
from test_present import ALLOWED_TAGS, HOSTILE

import pluggy_specs
from peft_lab.errors import BadOption, RunProblem, UnknownName
from peft_lab.host import Host
from peft_lab.lab import Lab
from peft_lab.notebook.panels.explore_distance import DistancePart
from peft_lab.notebook.panels.explore_gates import GatesPart
from peft_lab.notebook.panels.explore_masks import MasksPart
from peft_lab.notebook.panels.explore_view import ViewPart
from peft_lab.notebook.panels.explorer import PARTS, Explorer
from peft_lab.notebook.panels.grids import LEVELS, ButtonGrid, Cell, grid_html, level_of, tint_of
from peft_lab.notebook.panels.place import WIDGET, Places, close_all
from peft_lab.notebook.panels.soon import Soon
from peft_lab.present.style import MOST_TINT, PALETTE, contrast
from peft_lab.texts import panels as texts
from pluggy_specs import Array, Artifact, Drawing, View

QUERY = "encoder.layer.1.query.weight"


@pytest.fixture
def lab(tmp_path):
    return Lab(tmp_path, host=Host(entry_points=False))


def masked(folder, name="run-3", seed=0, density=0.05, **changes):
    chosen = drawn_at_random(seed, density)
    chosen.update(changes)
    return run_with(folder, mask_artifact(chosen), name), chosen


def dense(chosen, name):
    found = np.zeros(SHAPES[name][0] * SHAPES[name][1], dtype=bool)
    found[chosen[name]] = True
    return found.reshape(SHAPES[name])


def buttons(grid):
    """What stands on the buttons of a grid, by row and column."""
    return {at: button.description for at, button in grid._buttons.items()}


def press(grid, row, column):
    grid._buttons[row, column].click()


def alive():
    return len(widgets.Widget._instances if hasattr(widgets.Widget, "_instances") else widgets.widget._instances)


class Outputs:
    """What a notebook would show, output by output."""

    def __init__(self, monkeypatch):
        self.shown = []
        monkeypatch.setattr(IPython.display, "display", self.display)

    def display(self, bundle, raw, display_id):
        self.shown.append(bundle)
        outputs, at = self.shown, len(self.shown) - 1

        class Handle:
            def update(self, bundle, raw):
                outputs[at] = bundle

        return Handle()

    def left(self):
        """What is left, once nothing is open."""
        assert not any(WIDGET in bundle for bundle in self.shown)
        return [bundle for bundle in self.shown if bundle]


def safe(html):
    """Tags and attributes as a browser would read them; nothing that could act."""
    found = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag, attrs):
            assert tag in ALLOWED_TAGS, tag
            assert {name for name, _ in attrs} <= {"style", "class", "alt", "src", "width", "title"}, attrs
            found.append(tag)

    Reader().feed(html)
    assert not re.search("[\u202a-\u202e\u2066-\u2069\x00-\x08\x0b-\x1f\x7f]", html)
    return found


# --- what there is -------------------------------------------------------------------------------------------------


def test_only_what_runs_have_is_offered_the_most_telling_first(lab, tmp_path):
    one, _ = masked(tmp_path)
    gated = run_with(tmp_path, gates_artifact(), "run-4", "apt")
    assert next(iter(Explorer(lab, [one]).offers)) == "mask-atlas"
    offered = Explorer(lab, [gated]).offers
    assert next(iter(offered)) == "gates" and "mask-atlas" not in offered and "comparison" not in offered
    both = Explorer(lab, [one, gated])
    assert both.chooser.value == "comparison"
    assert both.offers["mask-atlas"] == [one] and both.offers["gates"] == [gated]
    twice = Explorer(lab, [one, lab.run("run-3")])
    assert "comparison" not in twice.offers, "one run named twice is one run"


def test_a_wrong_view_is_refused_before_anything_is_shown(lab, tmp_path):
    run, _ = masked(tmp_path)
    before = alive()
    with pytest.raises(UnknownName, match=r"no view named 'mask-atls'.*Did you mean 'mask-atlas'"):
        Explorer(lab, [run], "mask-atls")
    with pytest.raises(RunProblem, match=r"run-3 shows no gates: it has no prefix-gates.*It shows: mask-atlas"):
        Explorer(lab, [run], "gates")
    with pytest.raises(RunProblem, match="comparison needs 2 runs"):
        Explorer(lab, [run], "comparison")
    assert alive() == before


def test_parts_are_made_when_asked_for_and_keep_their_place(lab, tmp_path):
    run, _ = masked(tmp_path)
    explorer = Explorer(lab, [run])
    assert list(explorer.parts) == ["mask-atlas"]
    explorer.part.to_tensor(QUERY)
    explorer.chooser.value = "curves"
    assert explorer.part_box.children == (explorer.part.widget,)
    explorer.chooser.value = "mask-atlas"
    assert explorer.part.name == QUERY and QUERY in explorer.static()["text/html"]


def test_a_damaged_artifact_costs_its_own_part_only(lab, tmp_path):
    run, _ = masked(tmp_path)
    (run.path / "artifacts" / "sparse-mask.safetensors").write_bytes(b"nothing")
    explorer = Explorer(lab, [run])
    assert "the artifact 'sparse-mask' of run-3 is damaged" in explorer.static()["text/plain"]
    safe(explorer.static()["text/html"])
    explorer.chooser.value = "curves"
    assert isinstance(explorer.part, ViewPart)


def test_every_part_of_its_own_is_there():
    for where in PARTS.values():
        module, name = where.split(":")
        part = getattr(import_module(module), name)
        assert callable(part.static) and callable(part.close)


# --- masks ---------------------------------------------------------------------------------------------------------


def test_the_model_in_buttons_with_its_exact_shares(lab, tmp_path):
    run, chosen = masked(tmp_path, **{"encoder.layer.2.norm.weight": np.arange(32)})
    part = MasksPart(lab, [run])
    assert part.strip.rows == ["layer 0", "layer 1", "layer 2"] and part.strip.columns == ["query", "value", "norm"]
    shown = buttons(part.controls.groups)
    assert len(shown) == 9 and shown[2, 2] == "100"
    assert float(shown[1, 0]) == pytest.approx(100 * len(chosen[QUERY]) / 1536, rel=0.06)
    button = part.controls.groups._buttons[1, 0]
    assert button.tooltip.startswith(f"query of layer 1: {len(chosen[QUERY])} of 1,536 entries train")
    assert "densest in norm of layer 2 (100 %)" in part.controls.caption.value


def test_what_does_not_train_leads_nowhere(lab, tmp_path):
    chosen = {QUERY: [5, 6], "encoder.layer.0.norm.weight": [1]}
    part = MasksPart(lab, [run_with(tmp_path, mask_artifact(chosen), "run-3")])
    live = {at for at, button in part.controls.groups._buttons.items() if not button.disabled}
    assert live == {(1, 0), (0, 2)} and buttons(part.controls.groups)[2, 0] == "0"


def test_from_the_model_to_single_weights_and_back(lab, tmp_path):
    run, chosen = masked(tmp_path, density=0.2)
    part = MasksPart(lab, [run])
    controls = part.controls
    press(controls.groups, 1, 0)
    assert part.name == QUERY and controls.tensor.value == QUERY
    assert f"{len(chosen[QUERY])} of 1,536 entries of {QUERY} train" in part.said
    assert controls.groups.widget.layout.display == "none" and "<img" in controls.image.value
    truth = dense(chosen, QUERY)
    # 48 x 32 in blocks of one weight: eight parts each way of 6 rows and 4 columns.
    assert float(buttons(controls.pieces)[2, 3]) == pytest.approx(100 * truth[12:18, 12:16].mean(), rel=0.06)
    controls.side.value = 16
    press(controls.pieces, 2, 3)
    assert part.window == (slice(12, 28), slice(12, 28))
    assert f"rows 12 to 27, columns 12 to 27: {truth[12:28, 12:28].sum()} of 256 entries train" in part.said
    assert controls.row.value == 12 and controls.row.max == 32 and "rows 12 to 27" in controls.here.value
    controls.row.value = 20
    assert f"rows 20 to 35, columns 12 to 27: {truth[20:36, 12:28].sum()} of 256 entries train" in part.said
    controls.side.value = 32
    assert part.window == (slice(16, 48), slice(0, 32)), "what is shown stays within the tensor"
    assert controls.column.layout.display == "none", "all columns are in sight: nothing can be moved"
    controls.back.click()
    assert part.window is None and part.name == QUERY
    controls.home.click()
    assert part.name is None and controls.tensor.value == "" and controls.groups.widget.layout.display == "grid"


def test_the_list_of_tensors_is_the_way_without_a_mouse(lab, tmp_path):
    run, chosen = masked(tmp_path)
    part = MasksPart(lab, [run])
    listed = [label for label, _ in part.controls.tensor.options]
    assert listed[0] == "whole model" and len(listed) == 1 + len(SHAPES)
    part.controls.tensor.value = QUERY
    assert part.name == QUERY and f"{len(chosen[QUERY])} of 1,536" in part.said
    part.controls.tensor.value = ""
    assert part.name is None


def test_a_tensor_of_a_few_weights_can_be_entered_too(lab, tmp_path):
    run, chosen = masked(tmp_path)
    name = "encoder.layer.0.norm.weight"
    part = MasksPart(lab, [run])
    part.to_tensor(name)
    press(part.controls.pieces, 0, 3)
    assert f"rows 0 to 0, columns 0 to 31: {len(chosen[name])} of 32 entries train" in part.said
    assert part.controls.row.layout.display == part.controls.column.layout.display == "none"


def test_a_part_too_large_for_the_window_is_entered_where_it_is_densest(lab, tmp_path):
    shapes = {"encoder.layer.0.mlp.weight": (2000, 600)}
    indices = np.sort([*range(0, 1_200_000, 4000), *range(900 * 600 + 300, 900 * 600 + 340)])
    part = MasksPart(lab, [run_with(tmp_path, mask_artifact({next(iter(shapes)): indices}, shapes), "run-3")])
    part.to_tensor(next(iter(shapes)))
    row = next(n for n, rows in enumerate(part.parts.rows) if rows.start <= 900 < rows.stop)
    column = next(n for n, columns in enumerate(part.parts.columns) if columns.start <= 300 < columns.stop)
    press(part.controls.pieces, row, column)
    rows, columns = part.window
    assert rows.start <= 900 < rows.stop and columns.start <= 310 < columns.stop


def test_two_masks_as_difference_and_as_overlap(lab, tmp_path):
    one, first = masked(tmp_path, "run-3", 0, 0.2)
    two, second = masked(tmp_path, "run-4", 1, 0.1)
    part = MasksPart(lab, [one, two])
    controls = part.controls
    points = 100 * (len(first[QUERY]) - len(second[QUERY])) / 1536
    assert float(buttons(controls.groups)[1, 0]) == pytest.approx(points, rel=0.06)
    assert "both train" in part.said and controls.measure.layout.display is None
    controls.measure.value = True
    same = len(np.intersect1d(first[QUERY], second[QUERY])) / len(np.union1d(first[QUERY], second[QUERY]))
    assert int(buttons(controls.groups)[1, 0]) == round(100 * same)
    assert texts.STRIP_OVERLAP in part.static()["text/plain"]
    press(controls.groups, 1, 0)
    assert f"{QUERY}: of {len(np.union1d(first[QUERY], second[QUERY])):,} entries that either trains" in part.said
    both = dense(first, QUERY)[:, :16] & dense(second, QUERY)[:, :16]
    controls.side.value = 128
    part.to_cells(0, 0)
    assert f"{int((dense(first, QUERY) & dense(second, QUERY)).sum())} in both" in part.said
    assert both.any()
    controls.whose.value = controls.whose.options[-1][1]
    assert part.chosen == (two,) and part.name == QUERY, "the tensor stays when the runs change"
    assert controls.measure.layout.display == "none"


def test_a_single_run_is_among_those_compared(lab, tmp_path):
    runs = [masked(tmp_path, f"run-{n}", n)[0] for n in (3, 4, 5)]
    part = MasksPart(lab, runs)
    labels = [label for label, _ in part.controls.whose.options]
    assert labels == ["run-3 against run-4", "run-3 against run-5", "run-4 against run-5",
                      "run-3, sparse", "run-4, sparse", "run-5, sparse"]  # fmt: skip


def test_masks_of_other_models_are_told_apart(lab, tmp_path):
    one, _ = masked(tmp_path)
    shapes = {name: (rows, 2 * columns) for name, (rows, columns) in SHAPES.items()}
    other = run_with(tmp_path, mask_artifact(drawn_at_random(0, 0.1, shapes), shapes), "run-4")
    part = MasksPart(lab, [one, other])
    assert "on models of other shapes" in part.controls.caption.value
    assert part.controls.groups.widget.layout.display == "none"
    part.controls.whose.value = (other,)
    assert part.controls.groups.widget.layout.display == "grid" and "run-4" in part.said


def test_masks_leave_what_they_show(lab, tmp_path):
    run, _ = masked(tmp_path)
    part = MasksPart(lab, [run])
    strip = part.static()
    assert safe(strip["text/html"]).count("td") == 9 and part.said in strip["text/plain"]
    assert part.strip.cells[1][0].text in strip["text/plain"]
    part.to_tensor(QUERY)
    assert "<img" in part.static()["text/html"] and part.static()["text/plain"] == part.said
    part.to_cells(3, 4)
    assert "rows 0 to 47, columns 0 to 31" in part.static()["text/plain"]


def test_45_million_weights_take_half_a_second_a_step(lab, tmp_path):
    name, (rows, columns) = "encoder.layer.0.mlp.weight", (11008, 4096)
    indices = np.unique(np.random.default_rng(0).integers(0, rows * columns, 225_000))
    run = run_with(tmp_path, mask_artifact({name: indices}, {name: (rows, columns)}), "run-3")
    part = MasksPart(lab, [run])
    part.to_tensor(name)  # matplotlib is imported with the first picture
    for step in (part.to_strip, lambda: part.to_tensor(name), lambda: part.to_cells(5000, 2000), part.static):
        took = []
        for _ in range(3):
            began = time.process_time()
            step()
            took.append(time.process_time() - began)
        assert min(took) < 0.5


# --- gates ---------------------------------------------------------------------------------------------------------


def gates_artifact(layers=3, tokens=4, start=True, seed=0):
    draw = np.random.default_rng(seed)
    axes, labels = ("layer", "token"), {"layer": [str(n) for n in range(layers)]}
    arrays = {
        "gate": Array(draw.uniform(0.3, 0.9, (layers, tokens)), axes, labels),
        "spread": Array(draw.uniform(0, 0.2, (layers, tokens)), axes, labels),
        "scale": Array(np.linspace(0.8, 1.2, layers), ("layer",), labels),
        "openness": Array(np.ones(layers), ("layer",), labels),
    }
    if start:
        arrays["gate-at-start"] = Array(np.full((layers, tokens), 0.5), axes, labels)
        arrays["spread-at-start"] = Array(np.zeros((layers, tokens)), axes, labels)
        way = np.stack([np.full((layers, tokens), 0.5 + 0.1 * n) for n in range(2)])
        arrays["gate-on-the-way"] = Array(way, ("batch", *axes), {"batch": ["4", "8"]})
    return Artifact("prefix-gates", arrays)


def test_gates_at_any_time_on_the_same_scale(lab, tmp_path):
    run = run_with(tmp_path, gates_artifact(), "run-3", "apt")
    now = np.asarray(run.artifact("prefix-gates").arrays["gate"].values)
    part = GatesPart(lab, [run])
    assert [name for name, _ in part.time.options] == ["start", "batches 1 to 4", "batches 5 to 8", "now"]
    means = now.mean(1)
    assert f">{now[1, 2]:.2f}</td>" in part.page.value
    assert f"most in layer {means.argmax()} ({means.max():.2f})" in part.said
    part.time.value = 2
    assert part.page.value.count(">0.60</td>") == 12 and "batches 5 to 8: 0.60 on average" in part.said
    part.measure.value = "moved"
    assert part.page.value.count(">+0.10</td>") == 12
    part.time.value = 0
    assert ">+0.10</td>" not in part.page.value and part.page.value.count(">0</td>") == 12
    part.measure.value = "open"
    assert part.page.value.count(f"background:{tint_of(level_of(0.5))}") == 12, "0.5 of 1 whatever else there is"
    assert safe(part.static()["text/html"]).count("td") == 15
    part.measure.value = "spread"
    part.time.value = 1
    assert "not kept" in part.said


def test_one_layer_at_all_times(lab, tmp_path):
    run = run_with(tmp_path, gates_artifact(), "run-3", "apt")
    part = GatesPart(lab, [run])
    part.layer.value = 2
    assert part.time.layout.display == "none"
    text = part.static()["text/plain"]
    assert "its factor is 1.20" in text
    assert [line.split("  ")[0] for line in text.splitlines()[4:]] == [
        "start",
        "batches 1 to 4",
        "batches 5 to 8",
        "now",
    ]


def test_gates_without_a_start_and_with_many_tokens(lab, tmp_path):
    runs = [run_with(tmp_path, gates_artifact(2, 100, start=False), "run-3", "prefix")]
    runs.append(run_with(tmp_path, gates_artifact(2, 4), "run-4", "apt"))
    part = GatesPart(lab, runs)
    assert [value for _, value in part.measure.options] == ["open", "spread"]
    assert "<img" in part.page.value and "<td" not in part.page.value
    assert len(part.static()["text/html"]) < 100_000
    part.whose.value = runs[1]
    assert "<td" in part.page.value and len(part.measure.options) == 3


# --- distance ------------------------------------------------------------------------------------------------------


def change_artifact(moved, size, layers=("0", "1", "head"), kinds=("query", "value")):
    labels = {"layer": list(layers), "kind": list(kinds)}
    return Artifact(
        "parameter-change",
        {name: Array(np.array(values, dtype=float), ("layer", "kind"), labels)
         for name, values in (("moved", moved), ("size", size))},
    )  # fmt: skip


def test_distances_by_layer_and_by_kind(lab, tmp_path):
    moved = [[3, 4], [0, 1], [np.nan, 2]]
    size = [[10, 10], [10, 10], [np.nan, 1]]
    other = run_with(tmp_path, change_artifact([[1, 1], [1, 1], [np.nan, 1]], size), "run-4", "lora")
    part = DistancePart(lab, [run_with(tmp_path, change_artifact(moved, size), "run-3"), other])
    rows = dict(part.rows())
    assert rows["layer 0"][0] == pytest.approx(100 * np.sqrt(25 / 200)) and rows["head"][0] == pytest.approx(200)
    assert part.page.value.count("height:12px") == 6 and "head went farthest, 200 %" in part.said
    part.kind.value = "query"
    assert [name for name, _ in part.rows()] == ["layer 0", "layer 1"], "the head has no query"
    assert dict(part.rows())["layer 0"] == pytest.approx([30, 10])
    assert np.isnan(dict(part.rows())["layer 1"][0]) and "–</td>" in part.page.value
    assert part.most() == pytest.approx(30)
    part.fixed.value = True
    assert part.most() == pytest.approx(200)
    part.kind.value, part.layer.value = "", "0"
    assert [name for name, _ in part.rows()] == ["query", "value"]
    safe(part.static()["text/html"])
    assert "30 %" in part.static()["text/plain"] and "layer 0" in part.static()["text/plain"]


def test_a_run_in_which_nothing_moved_says_so(lab, tmp_path):
    run = run_with(tmp_path, change_artifact(np.zeros((3, 2)), np.ones((3, 2))), "run-3")
    explorer = Explorer(lab, [run], "distance")
    assert "nothing moved in run-3" in explorer.static()["text/plain"]


# --- any view ------------------------------------------------------------------------------------------------------


class Strangers(View):
    """A view that knows nothing of widgets."""

    name = "strangers-view"
    summary = "how often a word is said"
    needs = ("sparse-mask",)
    drawn = 0

    class Options(pluggy_specs.Options):
        """What is said."""

        word: str = Field("hello", description="what is said")
        times: int = Field(2, ge=1, le=5, description="how often")
        loud: bool = Field(False, description="in capitals")

    def draw(self, runs):
        """Say it."""
        type(self).drawn += 1
        if self.options.word == "no":
            raise BadOption("nobody says no", "Say yes")
        if self.options.word == "crash":
            raise ZeroDivisionError("by zero")
        word = self.options.word.upper() if self.options.loud else self.options.word
        return Drawing(f"{runs[0].id}: {' '.join([word] * self.options.times)}")


@pytest.fixture
def stranger(lab, tmp_path):
    lab.add(Strangers)
    return Explorer(lab, [masked(tmp_path, f"run-{n}", n)[0] for n in (3, 4)], "strangers-view")


def test_a_strangers_view_has_its_options_as_fields(stranger):
    part = stranger.part
    fields = part.options.fields
    assert set(fields) == {"word", "times", "loud"} and "how often a word is said" in stranger.about.value
    assert "run-3: hello hello" in part.image.value
    fields["times"].set(3)
    fields["loud"].control.value = True
    assert "run-3: HELLO HELLO HELLO" in part.image.value == part.static()["text/html"]
    fields["times"].control.value = "9"
    assert fields["times"].problem and "HELLO HELLO HELLO" in part.static()["text/plain"], "the last good picture stays"
    fields["times"].control.value = ""
    part.whose.value = part.runs[1]
    assert part.static()["text/plain"] == "run-4: HELLO HELLO"


def test_what_a_view_cannot_draw_is_its_sentence(stranger, lab):
    part = stranger.part
    part.options.fields["word"].set("no")
    assert "nobody says no" in part.image.value and "Say yes" in part.image.value
    part.options.fields["word"].set("crash")
    assert "the view &#x27;strangers-view&#x27; failed in draw" in part.image.value
    assert "crash" not in str(lab.problems()) and "ZeroDivisionError" in str(lab.problems())
    part.options.fields["word"].set(HOSTILE[0])
    safe(part.image.value)
    part.options.fields["word"].set("fine")
    assert "fine fine" in part.image.value


def test_many_changes_are_drawn_once(stranger):
    async def typing():
        before = Strangers.drawn
        for word in ("y", "ye", "yes"):
            stranger.part.options.fields["word"].control.value = word
        assert Strangers.drawn == before
        await asyncio.sleep(2 * stranger.part.soon.seconds)
        assert Strangers.drawn == before + 1 and "yes yes" in stranger.part.image.value
        stranger.part.options.fields["word"].control.value = "late"
        stranger.close()
        await asyncio.sleep(2 * stranger.part.soon.seconds)
        assert "late" not in stranger.part.image.value, "what is closed is not drawn any more"

    asyncio.run(typing())


def test_soon_is_at_once_without_a_loop():
    calls = []
    Soon(lambda: calls.append(1)).ask()
    assert calls == [1]


# --- the notebook --------------------------------------------------------------------------------------------------


def test_keeping_leaves_the_picture_and_no_widget(lab, tmp_path, monkeypatch):
    outputs, places = Outputs(monkeypatch), Places()
    runs = [masked(tmp_path, f"run-{n}", n)[0] for n in (3, 4)]
    before = alive()
    explorer = Explorer(lab, runs, "mask-atlas")
    explorer.stand(places, "cell-1")
    assert sum(WIDGET in bundle for bundle in outputs.shown) == 1
    for name in explorer.offers:
        explorer.chooser.value = name
    explorer.chooser.value = "mask-atlas"
    press(explorer.part.controls.groups, 1, 0)
    told = []
    monkeypatch.setattr(explorer.place, "changed", lambda: told.append(1))
    press(explorer.part.controls.pieces, 0, 0)
    assert told, "what would be left if the kernel ended now follows"
    explorer.keep.click()
    (bundle,) = outputs.left()
    assert "<img" in bundle["text/html"]
    assert f"{QUERY}, rows" in bundle["text/plain"]
    assert "%peft explore run-3 run-4 --what mask-atlas" in bundle["text/plain"]
    safe(bundle["text/html"])
    assert alive() == before, "no model of a widget is left"


def test_a_cell_run_again_leaves_no_older_explorer(lab, tmp_path, monkeypatch):
    outputs, places = Outputs(monkeypatch), Places()
    run, _ = masked(tmp_path)
    counts = []
    for _ in range(4):
        Explorer(lab, [run]).stand(places, "cell-1")
        counts.append(alive())
    assert counts[1:] == counts[:1] * 3
    assert sum(WIDGET in bundle for bundle in outputs.shown) == 1
    places.forget()
    assert len(outputs.left()) == 4


def test_hostile_names_are_only_text(lab, tmp_path):
    shapes = {f"a.b.{n}.{text}": (12, 12) for n, text in enumerate(HOSTILE) if "." not in text}
    artifact = mask_artifact({name: np.arange(40) for name in shapes}, shapes)
    run = run_with(tmp_path, artifact, "run-3", "".join(HOSTILE[:1]))
    part = MasksPart(lab, [run])
    safe(part.static()["text/html"])
    for control in (part.controls.caption, part.controls.here):
        safe(control.value)
    for label in part.controls.groups.widget.children:
        if isinstance(label, widgets.HTML):
            safe(label.value)
    part.to_tensor(next(iter(shapes)))
    safe(part.controls.here.value)
    moved = [[1, 2]] * 3
    kinds = HOSTILE[:2]
    other = run_with(tmp_path, change_artifact(moved, moved, ("0", HOSTILE[0], HOSTILE[3]), kinds), "run-4", "x")
    distance = DistancePart(lab, [other])
    safe(distance.page.value)
    distance.layer.value = HOSTILE[0]
    safe(distance.page.value)


# --- grids ---------------------------------------------------------------------------------------------------------


def test_buttons_share_what_they_look_like_and_are_kept():
    pressed = []
    before = alive()
    grid = ButtonGrid(lambda row, column: pressed.append((row, column)))
    cells = [[Cell(str(row * 10 + column), (row + column) / 20) for column in range(10)] for row in range(10)]
    names = [str(n) for n in range(10)]
    grid.fill(names, names, cells, corner="")
    made = alive() - before
    assert 100 < made < 190, "a layout and a style for each of 100 buttons would make 300"
    kept = grid._buttons[3, 4]
    cells[3][4] = Cell("new", -1, "a sentence", live=False)
    grid.fill(names, names, cells, corner="")
    assert grid._buttons[3, 4] is kept and (kept.description, kept.tooltip, kept.disabled) == (
        "new",
        "a sentence",
        True,
    )
    grid._buttons[2, 7].click()
    assert pressed == [(2, 7)]
    grid.fill(names[:2], names[:2], [[Cell("1"), None], [None, Cell("2")]], corner="")
    assert buttons(grid) == {(0, 0): "1", (1, 1): "2"}
    grid.close()
    close_all(grid.widget)
    assert alive() == before


def test_text_on_a_tint_is_readable_in_light_and_dark():
    for level in (-LEVELS, LEVELS):
        alpha = float(tint_of(level).rstrip(")").split(",")[-1])
        assert alpha <= MOST_TINT
        colour = PALETTE["blue" if level > 0 else "vermilion"]
        for page, ink in (("#ffffff", "#212121"), ("#111111", "#e0e0e0")):
            parts = [(int(colour[at : at + 2], 16), int(page[at : at + 2], 16)) for at in (1, 3, 5)]
            mixed = [(alpha * over + (1 - alpha) * under) / 255 for over, under in parts]
            assert contrast(ink, mixed) >= 4.5
    assert level_of(1e-9) == 1 and level_of(-1e-9) == -1 and level_of(0) == level_of(float("nan")) == 0
    assert "background:none" in grid_html(["a"], ["b"], [[Cell("0")]], corner="")
