"""The built-in views draw fake runs: small, deterministic, escaped, with a sentence computed from the numbers."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file
from test_present import HOSTILE, check_html, make_run, points_of, record_of

from peft_lab.errors import PeftLabError
from peft_lab.present import render
from peft_lab.present.style import three_digits
from peft_lab.run import Run
from peft_lab.views import register_views
from peft_lab.views.change_map import ChangeMap
from peft_lab.views.comparison import Comparison
from peft_lab.views.curves import Curves
from peft_lab.views.heatmap import wrapped
from peft_lab.views.trainable_map import TrainableMap

KINDS = [
    f"{module} {part}"
    for module in ("attention query", "attention key", "output", "norm")
    for part in ("weight", "bias")
]

MANY_KINDS = [*KINDS, *(f"module{at} bias" for at in range(12))]


def put(run: Run, kind: str, labels: dict, **arrays: np.ndarray) -> None:
    """An artifact as the training side writes it."""
    folder = run.path / "artifacts"
    folder.mkdir(exist_ok=True)
    save_file({name: np.ascontiguousarray(values) for name, values in arrays.items()}, folder / f"{kind}.safetensors")
    about = {"note": "", "arrays": {name: {"axes": ["layer", "kind"], "labels": labels} for name in arrays}}
    (folder / f"{kind}.json").write_text(json.dumps(about))


def with_maps(run: Run, layers: int = 6, kinds: list[str] = KINDS, low: float = 0.001, high: float = 0.1) -> Run:
    """Only biases train; query biases of layer 5 move most, by 12 %."""
    labels = {"layer": ["embeddings", *map(str, range(layers)), "head"], "kind": kinds}
    bias = np.array(["bias" in kind for kind in kinds])
    total = np.tile(np.where(bias, 384, 384 * 384), (layers + 2, 1))
    relative = np.random.default_rng(0).uniform(low, high, total.shape).astype("float32")
    relative[6, kinds.index("attention query bias")] = 0.12
    relative[:, ~bias] = np.nan
    put(run, "parameter-change", labels, relative=relative, rms=relative * 0.05)
    put(run, "trainable-by-layer", labels, trainable=total * bias, total=total)
    return run


@pytest.fixture
def runs(tmp_path: Path) -> Callable[..., list[Run]]:
    """Makes runs: method, test accuracy, trainable share, seed."""

    def make(*specs: tuple[str, float | None, float, int]) -> list[Run]:
        made = []
        for at, (method, accuracy, share, seed) in enumerate(specs, 1):
            record = record_of(f"run-{at}", method)
            record["recipe"]["seed"] = seed
            record["cost"]["trainable"] = round(record["cost"]["total"] * share)
            record["metrics"]["test"] = {"accuracy": accuracy} if accuracy else {}
            made.append(make_run(tmp_path, record, points_of(30, 3, accuracy or 0.5, seed=at)))
        return made

    return make


ONE = ("bitfit", 0.918, 0.0045, 0)
NINE = [
    ONE, ("full", 0.917, 1.0, 0), ("lora", 0.894, 0.013, 0), ("head", 0.82, 0.0003, 0),
    ("bitfit", 0.912, 0.0045, 1),
    ("bitfit", 0.921, 0.0045, 2), ("peft:ia3", 0.86, 0.002, 0), ("sparse+anchor", 0.909, 0.005, 0),
    ("apt", 0.909, 0.005, 0),
]  # fmt: skip


def test_the_hook_offers_the_views() -> None:
    assert [view.name for view in register_views()] == [
        *("curves", "change-map", "trainable-map", "comparison"),
        *("gates", "distance", "adapter-activity", "mask-atlas", "constructs", "tokens"),
        *("reliability", "risk-coverage", "data-curve", "time-curve"),
    ]
    assert all(view.summary for view in register_views())


@pytest.mark.parametrize("count", [1, 2, 4, 9])
@pytest.mark.parametrize("view", [Curves, Comparison])
def test_pictures_of_many_runs(runs: Callable, view: type, count: int) -> None:
    chosen = runs(*NINE[:count])
    picture = render(view().draw(chosen))
    assert len(picture.png) < 200_000 and (count != 4 or picture == render(view().draw(chosen)))
    assert "0.918" in picture.alt or "0.917" in picture.alt
    check_html(picture._repr_html_())
    assert "matplotlib.pyplot" not in sys.modules


@pytest.mark.parametrize(("layers", "kinds"), [(6, KINDS), (12, MANY_KINDS), (32, KINDS)])
def test_maps(runs: Callable, layers: int, kinds: list[str]) -> None:
    run = with_maps(runs(ONE)[0], layers, kinds)
    views = [ChangeMap(), TrainableMap(), ChangeMap(ChangeMap.Options(measure="rms"))]
    for view in views[: 3 if layers == 6 else 2]:
        picture = render(view.draw([run]))
        assert layers > 6 or picture == render(view.draw([run]))
        assert len(picture.png) < 200_000 and picture.alt.startswith("run-1, bitfit: ")
    assert "attention query bias of layer 5 moved most, 12 % of its size" in ChangeMap().draw([run]).alt
    assert "parameters train (" in TrainableMap().draw([run]).alt


def test_change_from_zero_falls_back_and_says_so(runs: Callable) -> None:
    (run,) = runs(ONE)
    labels = {"layer": ["0", "head"], "kind": ["a bias", "b bias"]}
    rms = np.array([[0.5, 0.1], [np.nan, np.nan]])
    put(run, "parameter-change", labels, relative=np.where(rms > 0, np.inf, np.nan), rms=rms)
    assert "a bias of layer 0 moved most, by 0.5" in (alt := ChangeMap().draw([run]).alt)
    assert "Everything that moved started at zero" in alt
    put(run, "parameter-change", labels, relative=np.array([[0.2, np.inf], [np.nan, np.nan]]), rms=rms)
    assert "1 group started at zero" in ChangeMap().draw([run]).alt
    put(run, "parameter-change", labels, relative=rms * np.nan, rms=rms * np.nan)
    with pytest.raises(PeftLabError, match="no parameter that moved"):
        ChangeMap().draw([run])


def test_comparison_gathers_seeds_and_names_what_differs(runs: Callable) -> None:
    alt = Comparison().draw(runs(*NINE[:6])).alt
    assert "bitfit (3 seeds) has the highest test accuracy: 0.917, training 0.45 % of all parameters." in alt
    assert "On the front: head, bitfit (3 seeds)." in alt


def test_comparison_labels_do_not_cover_each_other(runs: Callable) -> None:
    figure = (
        Comparison().draw(runs(*((f"method{at}", 0.9 + at / 5000, 0.0045 + at / 1e5, 0) for at in range(9)))).figure
    )
    render_boxes = [text.get_window_extent() for text in figure.axes[0].texts]
    assert len(render_boxes) == 9
    for at, box in enumerate(render_boxes):
        assert not any(box.padded(-1).overlaps(other.padded(-1)) for other in render_boxes[:at])


@pytest.mark.parametrize("costs", [[0.0034], [0.003, 0.0032], [0.0012, 0.0013], [0.002, 0.015], [0.0005, 0.0049]])
def test_costs_are_named_along_the_axis_and_no_name_touches_another(runs: Callable, costs: list[float]) -> None:
    made = runs(*((f"method{at}", 0.9 + at / 50, cost, 0) for at, cost in enumerate(costs)))
    figure = Comparison().draw(made).figure
    figure.canvas.draw()
    axes = figure.axes[0]
    low, high = axes.get_xlim()
    ticks = zip(axes.get_xticks(), axes.get_xticklabels(), strict=True)
    boxes = [text.get_window_extent() for at, text in ticks if low <= at <= high and text.get_text()]
    boxes += [text.get_window_extent() for text in axes.get_xticklabels(minor=True) if text.get_text()]
    assert boxes and not any(a.overlaps(b) for at, a in enumerate(boxes) for b in boxes[:at])
    assert all(low < cost < high for cost in costs)


@pytest.mark.parametrize("against", ["seconds", "memory"])
def test_comparison_against_other_costs(runs: Callable, against: str) -> None:
    made = runs(*NINE[:4], ("prefix", None, 0.1, 0))
    alt = Comparison(Comparison.Options(against=against)).draw(made).alt
    assert ("in 1 min 12 s" if against == "seconds" else "with 1.1 GB of memory") in alt
    assert "Without a result: run-5." in alt


def test_nothing_to_draw_is_an_error(tmp_path: Path) -> None:
    run = make_run(tmp_path, record_of(metrics={}))
    for view in (Curves(), Comparison()):
        with pytest.raises(PeftLabError):
            view.draw([run])


def test_names_from_data_are_only_text(tmp_path: Path) -> None:
    labels = {"layer": HOSTILE, "kind": HOSTILE}
    run = make_run(tmp_path, record_of("run-1", "+".join(HOSTILE)), points_of(6, 2))
    ones = np.ones((6, 6))
    put(run, "parameter-change", labels, relative=ones, rms=ones, moved=ones, size=ones)
    put(run, "trainable-by-layer", labels, trainable=np.ones((6, 6)), total=np.ones((6, 6)))
    for view in register_views():
        if not set(view.needs) <= set(run.artifacts):
            continue  # what only some methods keep is tried beside those methods
        check_html(render(view().draw([run]))._repr_html_())


def test_numbers_fit_cells_and_names_wrap() -> None:
    assert [three_digits(x) for x in (100, 12.3, 1.24, 0.123, 0.0123, 0.0001, 0)] == [
        "100",
        "12",
        "1.2",
        "0.12",
        "0.012",
        "1e-4",
        "0",
    ]
    assert (
        wrapped("attention query weight") == "attention\nquery weight"
        or wrapped("attention query weight").count("\n") == 2
    )
