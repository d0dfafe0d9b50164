"""Which rows and recipes the cells of a study have: nested subsets, splits that all share, addresses."""

import hashlib
import json
from collections import Counter

import numpy as np
import pytest

from peft_lab.data_spec import DataSpec
from peft_lab.errors import BadOption
from peft_lab.rows import UNTRAINED
from peft_lab.sources.datasets import load_data
from peft_lab.sources.splitting import in_turn, whole_in_turn
from peft_lab.study.grid import Grid
from peft_lab.study.ground import survey
from peft_lab.study.plan import Plan
from peft_lab.testing import tiny_lab, tiny_rows
from pluggy_specs import DatasetSource


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    return tiny_lab(tmp_path_factory.mktemp("study"))


def grid_of(lab, settled=None, **said):
    plan = Plan.ask(**{"model": "tiny", "data": DataSpec(source="tiny"), "methods": ["bitfit", "lora"], **said})
    return Grid(plan, survey(plan, lab.host, settled), lab.host)


# --- nested, stratified subsets ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("trial", range(40))
def test_every_beginning_of_the_order_has_each_label_in_proportion(trial):
    draw = np.random.default_rng(trial)
    labels = int(draw.integers(1, 9))
    codes = draw.choice(labels, size=int(draw.integers(labels, 400)), p=draw.dirichlet(np.ones(labels)))
    candidates = np.sort(draw.choice(len(codes), size=int(draw.integers(1, len(codes) + 1)), replace=False))
    order = in_turn(codes, candidates, trial)
    assert sorted(order) == list(candidates), "each row once"
    sizes = Counter(codes[candidates].tolist())
    for count in range(1, len(order) + 1):
        found = Counter(codes[order[:count]].tolist())
        if count <= len(sizes):
            assert len(found) == count, "one of each label comes first"
            continue
        # Those that got their first row early can have that one row more than their share, at the cost of the others.
        early = sum(1 for size in sizes.values() if count * size / len(order) < 1)
        for label, size in sizes.items():
            share = count * size / len(order)
            assert found[label] >= 1
            assert share - 2 - early <= found[label] <= share + 2, (count, label)


def test_smaller_subsets_are_parts_of_larger_ones_whatever_the_labels(lab):
    """What the draw of a limit alone does not give: it rounds by largest remainders, which is not monotone."""
    rows = [{"text": f"text {n}", "label": "abc"[0 if n % 7 else 1 + n % 2]} for n in range(200)]
    lab.add(DatasetSource("uneven", "labels of unequal size", lambda: {"train": rows, "test": rows[:20]}))
    spec = DataSpec(source="uneven", subset_seed=4)
    before: set[str] = set()
    for limit in (*range(3, 60), 100, 150):
        texts = set(load_data(spec.model_copy(update={"limit": limit}), lab.host).splits["train"]["text"])
        assert len(texts) == limit and before <= texts
        before = texts


def test_small_subsets_of_tagged_rows_know_every_kind_of_entity(lab):
    rows = [{"words": ["red", "ship", f"w{n}"], "tags": ["O", "O", "O"]} for n in range(120)]
    for at, kind in ((13, "PLACE"), (57, "NAME"), (91, "DAY"), (100, "DAY")):
        rows[at]["tags"] = ["O", f"B-{kind}", f"I-{kind}"]
    lab.add(DatasetSource("tagged", "three kinds", lambda: {"train": rows, "test": rows[:20]}, task="tagging"))
    spec = DataSpec(source="tagged", text="words", label="tags", validation_most=1, subset_seed=3)
    before: set[str] = set()
    for limit in (3, 4, 10, 60):
        data = load_data(spec.model_copy(update={"limit": limit}), lab.host)
        texts = set(data.splits["train"]["text"])
        assert before <= texts and len(texts) == limit and set(data.labels) == {"PLACE", "NAME", "DAY"}
        before = texts


def test_conversations_come_whole_and_nested():
    groups = np.repeat(np.arange(30), np.random.default_rng(0).integers(1, 6, 30))
    before: set[int] = set()
    for count in range(1, len(groups) + 1, 3):
        chosen = whole_in_turn(groups, np.arange(len(groups)), count, 5)
        assert before <= set(chosen.tolist()) and len(chosen)
        assert len(chosen) <= count or len(set(groups[chosen])) == 1
        assert all((groups == group).sum() == (groups[chosen] == group).sum() for group in set(groups[chosen]))
        before = set(chosen.tolist())


def test_validation_is_the_same_for_every_size_and_seed(lab):
    cells = grid_of(lab, examples=[20, 40, "all"], seeds=2).cells()
    splits = {}
    for cell in cells:
        data = load_data(DataSpec.model_validate(cell["recipe"]["data"]), lab.host)
        key = cell["examples"] if cell["method"] != UNTRAINED else None
        seen = tuple(data.splits["validation"]["text"]), tuple(data.splits["test"]["text"])
        assert splits.setdefault("judges", seen) == seen
        train = set(data.splits["train"]["text"])
        assert not train & set(seen[0])
        if key:
            assert len(data.splits["train"]) == key
            assert splits.setdefault((key, cell["seed"]), train) == train, "the same rows for every method"
    assert splits[20, 0] < splits[40, 0] < splits[86, 0]
    assert splits[20, 0] != splits[20, 1] and splits[86, 0] == splits[86, 1], "each seed has rows of its own"


def test_one_subset_for_all_seeds_where_that_is_asked_for(lab):
    grid = grid_of(lab, examples=[20, "all"], seeds=3, subsets="same")
    seeds = {cell["recipe"]["data"]["subset_seed"] for cell in grid.cells() if cell["examples"] == 20}
    assert seeds == {0} and any("same subset" in note for note in grid.notes)


# --- what all cells share ---------------------------------------------------------------------------------------------


def test_few_examples_are_not_validated_on_many_rows(lab):
    rows = tiny_rows(3000)
    lab.add(DatasetSource("large", "many rows", lambda: {"train": rows, "test": tiny_rows(40, seed=1)}))
    own = {"train": rows, "validation": tiny_rows(900, seed=2), "test": tiny_rows(40, seed=1)}
    lab.add(DatasetSource("own", "its own validation", lambda: own))

    def validation(source, **said):
        ground = grid_of(lab, data=DataSpec(source=source), **said).ground
        return len(load_data(ground.spec, lab.host).splits["validation"])

    assert validation("large", examples="all") == 300
    assert validation("large", examples=[100, "all"]) == 100
    assert validation("large", examples=[16, "all"]) == 50, "fewer say too little"
    assert validation("large", examples=[16, "all"], validation_rows=200) == 200
    assert validation("large", examples=["all"], validation_rows=1000) == 1000, "more than the usual share"
    assert validation("own", examples=["all"]) == 500
    assert validation("own", examples=[100, "all"]) == 100
    assert validation("own", examples=[100, "all"], validation_rows=700) == 700


def test_cells_that_are_added_later_stand_on_the_same_validation(lab):
    first = grid_of(lab, data=DataSpec(source="large"), examples=[200, "all"])
    assert first.ground.spec.validation_most == 200
    later = grid_of(lab, first.ground.settled, data=DataSpec(source="large"), examples=[60, 200, "all"])
    assert {cell["address"] for cell in first.cells()} <= {cell["address"] for cell in later.cells()}
    assert any("More rows validate (200)" in note for note in later.notes)


def test_test_rows_are_kept_apart_where_there_are_none(lab, tmp_path):
    file = tmp_path / "tickets.csv"
    file.write_text("text,label\n" + "".join(f"{row['text']},{row['label']}\n" for row in tiny_rows(300)))
    ground = grid_of(lab, data=DataSpec(source=str(file)), examples=[30, "all"]).ground
    data = load_data(ground.spec, lab.host)
    sizes = {split: len(table) for split, table in data.splits.items()}
    assert sizes["test"] == 60 and sizes["validation"] == 24 and sum(sizes.values()) == 300
    parts = [set(table["text"]) for table in data.splits.values()]
    assert not parts[0] & parts[1] and not parts[1] & parts[2] and not parts[0] & parts[2]
    assert any("60 rows, drawn by label, are kept apart as test" in note for note in ground.notes)
    assert set(data.splits["test"]["label"]) == set(data.splits["train"]["label"])


def test_an_unknown_metric_is_an_error_before_anything_is_trained(lab):
    with pytest.raises(BadOption, match="has no score 'accurcy' for these data. Did you mean 'accuracy'") as caught:
        grid_of(lab, data=DataSpec(source="tiny", metric="accurcy"))
    assert caught.value.key == "data.metric"


def test_fewer_examples_than_labels_are_an_error_before_anything_is_trained(lab):
    with pytest.raises(BadOption, match="examples: 2 are 2 training rows, too few for 3 labels") as caught:
        grid_of(lab, examples=[20, 2])
    assert caught.value.key == "examples.1"


# --- cells ------------------------------------------------------------------------------------------------------------


def test_a_cell_for_each_point_of_the_grid_and_the_baselines(lab):
    cells = grid_of(lab, examples=[20, "all"], budget=["1s", "none"], seeds=2).cells()
    methods = Counter(cell["method"] for cell in cells)
    assert methods == {"untrained": 2, "bitfit": 8, "lora": 8, "head": 8}
    assert len({cell["address"] for cell in cells}) == len(cells)
    assert {cell["recipe"]["training"]["max_seconds"] for cell in cells if cell["budget"] == 1.0} == {1.0}
    assert all(cell["recipe"]["seed"] == cell["seed"] for cell in cells)


def test_rates_are_tried_with_the_first_seed_and_wait_for_the_others(lab):
    grid = grid_of(lab, seeds=[7, 8], sweep="auto", methods=["lora", "bitfit learning_rate=0.01"])
    cells = [cell for cell in grid.cells() if cell["method"] == "lora"]
    usual = grid.recipes["lora"].training.learning_rate
    assert [cell["learning_rate"] for cell in cells] == [usual, *(float(f"{usual * f:.3g}") for f in (1 / 3, 3)), None]
    assert [cell["tried"] for cell in cells] == [True, True, True, False]
    assert cells[-1]["address"] == "" and cells[-1]["seed"] == 8
    found = grid.with_rate(cells[-1], 0.5)
    assert found["address"] and found["recipe"]["training"]["learning_rate"] == 0.5 and found["seed"] == 8
    own = [cell for cell in grid.cells() if cell["method"].startswith("bitfit")]
    assert [cell["learning_rate"] for cell in own] == [0.01, 0.01], "a rate of its own is not swept"


def test_an_address_says_recipe_data_and_model(lab):
    one, other = grid_of(lab).cells(), grid_of(lab, examples=[30, "all"]).cells()
    shared = {cell["address"] for cell in one} & {cell["address"] for cell in other}
    assert len(shared) == len(one), "cells can be added without training the others again"
    cell = next(cell for cell in one if cell["method"] == "lora")
    grid = grid_of(lab)
    recipe = grid.recipes["lora"].model_copy(update={"seed": cell["seed"]})
    text = "\n".join([recipe.fingerprint, grid.ground.data, grid.ground.model])
    assert cell["address"] == hashlib.sha256(text.encode()).hexdigest()[:16]


def test_more_examples_than_there_are_are_all(lab):
    grid = grid_of(lab, examples=["all", 5000])
    cells = grid.cells()
    assert {cell["asked"] for cell in cells if cell["examples"]} == {"all"}
    assert "5000 examples asked for, 86 are there: taken as all" in grid.notes


def test_a_wrong_option_names_its_method(lab):
    with pytest.raises(BadOption, match="methods: lora rank=-3: lora: rank") as caught:
        grid_of(lab, methods=["bitfit", "lora rank=-3"])
    assert caught.value.key == "methods.1"


def test_recipes_without_what_came_later_are_what_they_were(lab):
    recipe = lab.composed("head", model="tiny", data=DataSpec(source="tiny", limit=30))
    data = recipe.model_dump(mode="json")
    for name in ("validation_limit", "test_share", "subset_seed"):
        assert data["data"].pop(name) is None
    del data["start"], data["training"]["max_seconds"]
    text = json.dumps(data, sort_keys=True, ensure_ascii=False)
    assert recipe.fingerprint == hashlib.sha256(text.encode()).hexdigest()
    nested = recipe.model_copy(update={"data": recipe.data.model_copy(update={"subset_seed": 0})})
    assert nested.fingerprint != recipe.fingerprint
