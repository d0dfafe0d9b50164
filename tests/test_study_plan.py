"""What a person writes for a study, and the plan it makes."""

import pytest

from peft_lab.data_spec import DataSpec
from peft_lab.errors import BadOption
from peft_lab.study import reading
from peft_lab.study.plan import Asked, Plan

DATA = DataSpec(source="tickets.csv")


def ask(**said):
    return Plan.ask(**{"model": "minilm", "data": DATA, "methods": ["full", "lora"], **said})


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (100, ("100",)),
        ("30%", ("30 %",)),
        ("100, 30 %, all", ("100", "30 %", "all")),
        ([100, "1,000", "1_000_0", "all"], ("100", "1000", "10000", "all")),
        ("100%", ("all",)),
        (["12.5 %"], ("12.5 %",)),
        ([100.0], ("100",)),
    ],
)
def test_examples(written, read):
    assert ask(examples=written).examples == read


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("30s", (30.0,)),
        (["30s", "2m", "1h30m", 90, "none"], (30.0, 120.0, 5400.0, 90.0, None)),
        ("1.5 min", (90.0,)),
        ("30 s, 120 s", (30.0, 120.0)),
    ],
)
def test_budget(written, read):
    assert ask(budget=written).budget == read


@pytest.mark.parametrize(
    ("written", "name", "settings"),
    [
        ("prefix length=24", "prefix", {"length": 24}),
        ({"lora": {"rank": 8}}, "lora", {"rank": 8}),
        ("sparse + anchor", "sparse+anchor", {}),
        ("lora targets=[query,value] rank=2", "lora", {"targets": ["query", "value"], "rank": 2}),
        ("bitfit learning_rate=1e-3", "bitfit", {"learning_rate": "1e-3"}),
        ({"sparse+anchor": {"anchor.strength": 2}}, "sparse+anchor", {"anchor.strength": 2}),
        ("lora", "lora", {}),
    ],
)  # fmt: skip
def test_methods_with_options(written, name, settings):
    (one,) = ask(methods=[written]).methods
    assert (one.name, one.settings) == (name, settings)
    assert reading.method("methods", one.shown) == (name, settings), "what is shown can be typed"


@pytest.mark.parametrize(
    ("said", "key", "line"),
    [
        ({"examples": [100, "many"]}, "examples.1", "examples: 'many' is no number of training rows"),
        ({"examples": 0.3}, "examples", "did you mean 30%?"),
        ({"examples": [100, "100"]}, "examples.1", "stands there twice"),
        ({"examples": 0}, "examples", "0 is no number"),
        ({"budget": ["30s", "soon"]}, "budget.1", "'soon' is no length of time"),
        ({"budget": "0s"}, "budget", "no length of time"),
        ({"seeds": 0}, "seeds", "0 are too few"),
        ({"seeds": [1, -2]}, "seeds.1", "-2 is no seed"),
        ({"seeds": True}, "seeds", "neither a number"),
        ({"sweep": {"rank": [1, 2]}}, "sweep", "'rank' cannot be swept"),
        ({"sweep": {"learning_rate": [1e-3, "fast"]}}, "sweep.1", "'fast' is no learning rate"),
        ({"methods": []}, "methods", "a study needs methods"),
        ({"methods": ["lora", {"lora": 8}]}, "methods.1", "lora has 8 for its options"),
        ({"methods": ["full", "lora rank"]}, "methods.1", "'rank' of 'lora rank' is no option=value"),
        ({"methods": ["full", "untrained"]}, "methods.1", "always among the cells"),
        ({"name": "a/b"}, "name", "cannot be named"),
        ({"name": "cells"}, "name", "cannot be named"),
        ({"training": {"epoch": 3}}, "epoch", "a study has no 'epoch'. Did you mean 'epochs'?"),
        ({"training": {"learning_rate": 1e-3}}, "learning_rate", "no setting of all cells"),
        ({"training": {"epochs": -1}}, "epochs", "greater than 0"),
    ],
)
def test_what_cannot_be_read_says_which_entry(said, key, line):
    with pytest.raises(BadOption) as caught:
        ask(**said)
    assert caught.value.key == key and line in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_plan_is_json_and_comes_back_from_it():
    import json

    plan = ask(
        methods=["full", "prefix length=24", {"lora": {"rank": 8, "targets": ["query"]}}],
        examples=[100, "30%", "all"],
        budget=["30s", None],
        seeds=[3, 5],
        sweep={"learning_rate": ["1e-3", 3e-4]},
        training={"epochs": "2", "batch-size": 16},
        keep="best",
        validation_rows=40,
    )
    data = json.loads(json.dumps(plan.plain()))
    assert Plan.read(data) == plan
    assert data["methods"] == ["full", "prefix length=24", "lora rank=8 targets=[query]"]
    assert data["budget"] == [30.0, None] and data["sweep"] == [0.0003, 0.001] and data["seeds"] == [3, 5]
    assert data["training"] == {"epochs": 2.0, "batch_size": 16}


def test_rates_begin_with_the_usual_one_and_a_method_with_its_own_is_not_swept():
    swept = ask(sweep="auto")
    assert swept.rates(1e-3, Asked(name="lora")) == (1e-3, 3.33e-4, 3e-3)
    assert swept.rates(1e-3, Asked(name="lora", settings={"learning_rate": 1e-4})) == (1e-3,)
    assert ask(sweep={"learning_rate": [1e-2, 1e-3]}).rates(2e-3, Asked(name="lora")) == (1e-3, 1e-2)
    assert ask().rates(1e-3, Asked(name="lora")) == (1e-3,)
    assert ask(sweep="none").sweep is None


def test_rows_asked():
    assert [reading.rows_asked(text, 87) for text in ("20", "500", "50 %", "0.1 %", "all")] == [20, 87, 44, 1, 87]
