"""The atlas counts exactly from indices, says the main numbers, and stays small and fast."""

from __future__ import annotations

import time
import tracemalloc
from types import SimpleNamespace

import numpy as np
import pytest
from test_present import HOSTILE, check_html, make_run, record_of

from peft_lab.errors import BadOption
from peft_lab.present import render
from peft_lab.present.masks import Tensor, blocks_of, by_chance, cells_of, read_mask
from peft_lab.testing import tiny_lab
from peft_lab.training.journal import Journal
from peft_lab.views.mask_atlas import MaskAtlas
from pluggy_specs import Array, Artifact

SHAPES = {f"encoder.layer.{n}.{what}.weight": shape for n in range(3) for what, shape in
          {"query": (48, 32), "value": (48, 32), "norm": (1, 32)}.items()}  # fmt: skip


def mask_artifact(chosen, shapes=SHAPES, whole=()):
    """The artifact as the core writes it: flat indices by tensor name."""
    layers = sorted({name.split(".")[2] for name in shapes}, key=int)
    kinds = list(dict.fromkeys(name.split(".")[3] for name in shapes))
    total = np.zeros((len(layers), len(kinds)), dtype=np.int64)
    for name, (rows, columns) in shapes.items():
        total[layers.index(name.split(".")[2]), kinds.index(name.split(".")[3])] += rows * columns
    names = [name for name in shapes if name in chosen or name in whole]
    columns = {
        "chosen": [shapes[n][0] * shapes[n][1] if n in whole else len(chosen[n]) for n in names],
        "whole": [n in whole for n in names],
        "layer": [layers.index(n.split(".")[2]) for n in names],
        "kind": [kinds.index(n.split(".")[3]) for n in names],
    }
    arrays = {what: Array(np.array(values), ("tensor",), {"tensor": names}) for what, values in columns.items()}
    arrays["shape"] = Array(np.array([shapes[n] for n in names]).reshape(-1, 2), ("tensor", "side"), {"tensor": names})
    listed = [np.asarray(chosen[n], dtype=np.int32) for n in names if n not in whole]
    arrays["indices"] = Array(np.concatenate([*listed, np.zeros(0, np.int32)]), ("entry",))
    arrays["total"] = Array(total, ("layer", "kind"), {"layer": layers, "kind": kinds})
    return Artifact("sparse-mask", arrays)


def run_with(folder, artifact, name="run-3", method="sparse"):
    run = make_run(folder, record_of(name, method))
    Journal.artifact(SimpleNamespace(path=run.path), artifact)  # type: ignore[arg-type]
    return run


def drawn_at_random(seed, density, shapes=SHAPES):
    draw = np.random.default_rng(seed)
    return {
        name: np.sort(draw.choice(rows * columns, max(1, round(density * rows * columns)), replace=False))
        for name, (rows, columns) in shapes.items()
    }


@pytest.mark.parametrize("shape", [(300, 200), (128, 128), (129, 5), (1, 700), (40, 1)])
def test_blocks_and_cells_count_exactly(shape):
    dense = np.random.default_rng(0).random(shape) < 0.07
    tensor = Tensor("t", *shape, np.flatnonzero(dense).astype(np.int32))
    blocks = blocks_of(tensor)
    assert max(blocks.density.shape) <= 128
    for (row, column), density in np.ndenumerate(blocks.density):
        part = dense[
            row * blocks.height : (row + 1) * blocks.height, column * blocks.width : (column + 1) * blocks.width
        ]
        assert density == pytest.approx(part.mean())
    for row, density in enumerate(blocks.by_row):
        assert density == pytest.approx(dense[row * blocks.height : (row + 1) * blocks.height].mean())
    for column, density in enumerate(blocks.by_column):
        assert density == pytest.approx(dense[:, column * blocks.width : (column + 1) * blocks.width].mean())
    rows, columns = slice(0, min(30, shape[0])), slice(min(3, shape[1] - 1), min(90, shape[1]))
    assert np.array_equal(cells_of(tensor, rows, columns), dense[rows, columns])


def test_the_model_as_a_strip(tmp_path):
    chosen = drawn_at_random(0, 0.01)
    chosen["encoder.layer.2.value.weight"] = np.arange(768)
    run = run_with(tmp_path, mask_artifact(chosen, whole=("encoder.layer.1.norm.weight",)))
    picture = render(MaskAtlas().draw([run]))
    trains = sum(map(len, chosen.values())) - len(chosen["encoder.layer.1.norm.weight"]) + 32
    assert f"run-3, sparse: {trains:,} of the 9,312 weights outside the head train" in picture.alt
    assert "densest in norm of layer 1 (100 %)" in picture.alt
    assert "--tensor encoder.layer.2.value.weight" in picture.extra and "768" in picture.extra
    assert len(picture.png) < 200_000
    check_html(picture._repr_html_())


def test_one_tensor_in_blocks_with_its_margins(tmp_path):
    shapes = {"encoder.layer.0.query.weight": (512, 384)}
    dense = np.random.default_rng(1).random((512, 384)) < 0.002
    dense[40:44] = True
    run = run_with(tmp_path, mask_artifact({next(iter(shapes)): np.flatnonzero(dense)}, shapes))
    drawing = MaskAtlas(MaskAtlas.Options(tensor="query.weight")).draw([run])
    assert "One block is 4 × 3 weights" in drawing.alt and "rows 40 to 43" in drawing.alt
    assert "The densest rows reach 100 %" in drawing.alt
    assert len(render(drawing).png) < 200_000


def test_exact_cells(tmp_path):
    chosen = drawn_at_random(0, 0.1)
    run = run_with(tmp_path, mask_artifact(chosen))
    options = MaskAtlas.Options(tensor="layer.1.query.weight", rows="4:20", columns="0:32")
    drawing = MaskAtlas(options).draw([run])
    dense = np.zeros(48 * 32, dtype=bool)
    dense[chosen["encoder.layer.1.query.weight"]] = True
    assert f": {dense.reshape(48, 32)[4:20].sum()} of 512 entries train" in drawing.alt
    image = drawing.figure.axes[0].images[0].get_array()
    assert np.array_equal(np.asarray(image, dtype=bool), dense.reshape(48, 32)[4:20])
    assert len(render(drawing).png) < 200_000


def test_two_runs_by_layer_and_within_a_tensor(tmp_path):
    one, other = drawn_at_random(0, 0.05), drawn_at_random(1, 0.05)
    name = "encoder.layer.0.value.weight"
    other[name] = one[name]
    runs = [run_with(tmp_path, mask_artifact(one), "run-3"), run_with(tmp_path, mask_artifact(other), "run-4")]
    drawing = MaskAtlas().draw(runs)
    both = sum(len(np.intersect1d(one[n], other[n])) for n in one)
    either = sum(len(np.union1d(one[n], other[n])) for n in one)
    assert f"of {either:,} entries that either trains, both train {both:,}" in drawing.alt
    mean = sum(map(len, one.values())) / 9312
    assert by_chance(mean, mean) == pytest.approx(mean**2 / (2 * mean - mean**2))
    assert len(render(drawing).png) < 200_000
    texts = [text.get_text() for text in drawing.figure.axes[0].texts]
    assert "0\n100 % same" in texts
    near = MaskAtlas(MaskAtlas.Options(tensor=name)).draw(runs)
    assert f"both train {len(one[name]):,} (100 %, Jaccard" in near.alt
    assert len(render(near).png) < 200_000


def test_exact_cells_of_two_runs(tmp_path):
    one, other = drawn_at_random(0, 0.2), drawn_at_random(1, 0.2)
    runs = [run_with(tmp_path, mask_artifact(one), "run-3"), run_with(tmp_path, mask_artifact(other), "run-4")]
    name = "encoder.layer.1.query.weight"
    drawing = MaskAtlas(MaskAtlas.Options(tensor=name, rows="4:20", columns="0:32")).draw(runs)
    dense = np.zeros((2, 48 * 32), dtype=bool)
    dense[0, one[name]], dense[1, other[name]] = True, True
    first, second = dense.reshape(2, 48, 32)[:, 4:20]
    assert f"{first.sum()} train in run-3, {second.sum()} in run-4, {(first & second).sum()} in both" in drawing.alt
    image = np.asarray(drawing.figure.axes[0].images[0].get_array())
    corners = image[::6, ::6], image[5::6, 5::6]  # upper left and lower right of each cell
    assert np.array_equal(corners[0] > 0, first) and np.array_equal(corners[1] > 0, second)
    assert np.array_equal(image[::6, 5::6] == 3, first & second), "only a cell of both is full"
    assert len(render(drawing).png) < 200_000


def test_a_tensor_that_only_one_run_trains(tmp_path):
    one = drawn_at_random(0, 0.05)
    other = {name: indices for name, indices in one.items() if "layer.0" not in name}
    runs = [run_with(tmp_path, mask_artifact(one), "run-3"), run_with(tmp_path, mask_artifact(other), "run-4")]
    for pair in (runs, runs[::-1]):
        drawing = MaskAtlas(MaskAtlas.Options(tensor="layer.0.query.weight")).draw(pair)
        assert "both train 0 (0 %, Jaccard" in drawing.alt
        render(drawing)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"tensor": "query.weight"}, "3 tensors end in"),
        ({"tensor": "layer.0.qury.weight"}, "no entry trains of a tensor named"),
        ({"tensor": "layer.0.query.weight", "rows": "40:60"}, "rows '40:60' are none of this tensor's 48"),
        ({"tensor": "layer.0.query.weight", "columns": "x"}, "columns 'x' are none"),
        ({"rows": "0:4"}, "single cells are those of one tensor"),
    ],
)
def test_what_cannot_be_shown_is_told(tmp_path, options, words):
    run = run_with(tmp_path, mask_artifact(drawn_at_random(0, 0.1)))
    with pytest.raises(BadOption, match=words):
        MaskAtlas(MaskAtlas.Options(**options)).draw([run])


def test_runs_on_other_models_are_not_compared(tmp_path):
    shapes = {name: (rows, 2 * columns) for name, (rows, columns) in SHAPES.items()}
    one = run_with(tmp_path, mask_artifact(drawn_at_random(0, 0.1)), "run-3")
    other = run_with(tmp_path, mask_artifact(drawn_at_random(0, 0.1, shapes), shapes), "run-4")
    with pytest.raises(BadOption, match="other shapes"):
        MaskAtlas().draw([one, other])
    with pytest.raises(BadOption, match="not 3"):
        MaskAtlas().draw([one] * 3)


def test_hostile_names_are_only_text(tmp_path):
    shapes = {f"a.b.{n}.{text}": (4, 4) for n, text in enumerate(HOSTILE) if "." not in text}
    chosen = {name: np.arange(5) for name in shapes}
    run = run_with(tmp_path, mask_artifact(chosen, shapes))
    check_html(render(MaskAtlas().draw([run]))._repr_html_())
    check_html(render(MaskAtlas(MaskAtlas.Options(tensor=next(iter(shapes)))).draw([run]))._repr_html_())


def test_45_million_weights_are_counted_and_drawn_at_once(tmp_path):
    name, (rows, columns) = "encoder.layer.0.mlp.weight", (11008, 4096)
    chosen = np.unique(np.random.default_rng(0).integers(0, rows * columns, 225_000))
    run = run_with(tmp_path, mask_artifact({name: chosen}, {name: (rows, columns)}))
    whole, near = MaskAtlas(), MaskAtlas(MaskAtlas.Options(tensor=name))
    render(near.draw([run]))  # matplotlib's import and its list of fonts are no part of a picture
    began = time.process_time()
    assert read_mask(run).chosen.sum() == len(chosen)
    drawings = [whole.draw([run]), near.draw([run])]
    for drawing in drawings:
        assert f"{len(chosen):,} of" in drawing.alt and len(render(drawing).png) < 200_000
    assert time.process_time() - began < 2  # a tenth to a third of a second on a quiet core

    tracemalloc.start()
    near.draw([run])
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < rows * columns / 2, f"{most:,} bytes: more than the indices; one byte a weight is {rows * columns:,}"


def test_a_trained_run_shows_what_the_core_masked(tmp_path):
    lab = tiny_lab(tmp_path)
    run = lab.train("sparse", density=0.02, epochs=1)
    mask = read_mask(run)
    body = run.cost["total"] - run.cost["trainable_head"]
    assert mask.total.sum() == body
    assert mask.chosen.sum() == run.cost["trainable"] - run.cost["trainable_head"] == int(0.02 * body)
    assert "head" not in mask.layers and mask.layers[0] == "embeddings"
    assert f"{int(0.02 * body)} of the" in lab.show("mask-atlas", run.id).alt
    whole = lab.train("sparse", granularity="tensor", density=0.2, epochs=1)
    assert all(tensor.indices is None for tensor in read_mask(whole).tensors.values())
    assert "Jaccard" in lab.show("mask-atlas", run.id, whole.id).alt
