"""The listing of methods says of each which question it answers."""

from __future__ import annotations

import pytest

from peft_lab.host import Host
from peft_lab.listings.offers import methods, question
from pluggy_specs import Method


def hook(self, *given): ...


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("lora", "which weights"),
        ("sparse", "which weights"),
        ("apt", "which weights"),
        ("tokenization", "which weights, which units"),
        ("shad", "which tokens"),
        ("rft", "which tokens"),
    ],
)
def test_built_in_methods_stand_under_their_question(name, said):
    rows = {row[0]: row[1] for row in methods(Host(entry_points=False)).rows}
    assert rows[name] == said


@pytest.mark.parametrize(
    ("companion", "hooks", "said"),
    [
        ("", ("attach", "rates", "settle"), "which weights"),
        ("", ("masks", "penalty"), "which weights, how far"),
        ("full", ("attach", "pull"), "how far"),
        ("full", ("settle", "rates"), "how far"),
        ("full", ("prepare", "weigh_tokens"), "which tokens"),
        ("full", ("attach", "masks"), "which weights"),
        ("full", ("attach", "settle", "artifacts"), "which tokens"),
    ],
)
def test_a_method_that_goes_with_another_is_told_by_what_it_does_to_that(companion, hooks, said):
    made = type("Made", (Method,), {"name": "made", "companion": companion, **dict.fromkeys(hooks, hook)})
    assert question(made) == said
