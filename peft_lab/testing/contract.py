"""One call that holds a method to the contract, on a tiny model, in seconds, offline."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from peft_lab.host import Host
from peft_lab.lab import Lab
from peft_lab.run import WEIGHTS, Run
from peft_lab.testing.tiny import tiny_causal_lab, tiny_lab, tiny_rows
from pluggy_specs import Method


def check_method(
    method: type[Method],
    folder: Path,
    options: Mapping[str, Any] | None = None,
    family: str = "",
    task: str = "classification",
) -> Run:
    """Hold a method to the contract; return the run it trained.

    Checked: it is offered and its options survive JSON; something trains; all of it learns within the first steps and
    nothing frozen moves by a bit; the same recipe gives the same numbers; what was kept on disk, loaded into a fresh
    model, gives the same outputs bit for bit; its artifacts can be read.

    Args:
        options: of the method, and training settings.
        family: of the tiny model; bert where labels are learned, llama where texts are written.
        task: ``classification``, or ``causal`` for a tiny language model.

    Raises:
        AssertionError: says which of these does not hold.
        MethodRefused: the method refuses the tiny model, with its own reason.
    """
    built_in = method.name in Host(entry_points=False).offers("methods")
    make = tiny_causal_lab if task == "causal" else tiny_lab
    lab = make(folder, *(() if built_in else (method,)), family=family or ("llama" if task == "causal" else "bert"))
    recipe = lab.recipe(joined(method), epochs=2, batch_size=8, device="cpu", precision="fp32", **(options or {}))
    same = type(recipe).model_validate_json(recipe.model_dump_json())
    assert same.fingerprint == recipe.fingerprint, f"{method.name}: its options change when they go through JSON"
    run = lab.train_recipe(recipe)
    assert run.status == "finished", f"{method.name}: the run ended as {run.status}"
    assert run.cost["trainable"] > run.cost["trainable_head"] or not changes_weights(method), (
        f"{method.name}: nothing but the head trains"
    )
    for mark in run.record["proof"]:
        assert mark["ok"], f"{method.name}: {mark['text']}"
    again = lab.train_recipe(recipe)
    for point, other in zip(_numbers(run), _numbers(again), strict=True):
        assert point == other, f"{method.name}: the same recipe gave {other} after {point}"
    _check_restored(lab, run, again)
    for kind in run.artifacts:
        for name, array in run.artifact(kind).arrays.items():
            assert array.values.ndim == len(array.axes), f"{method.name}: {kind}/{name} has other axes than it names"
    return run


def joined(method: type[Method]) -> str:
    """What to train to try a method: its name, behind that of its companion where it has one."""
    return f"{method.companion}+{method.name}" if method.companion else method.name


ANSWERS_ONLY = ("shad", "rft")
"""Methods for answers that are text; data with labels they refuse."""


def built_in() -> list[str]:
    """What to train to try every method that comes with peft_lab on data with labels."""
    offers = Host(entry_points=False).offers("methods")
    return [joined(offer.item) for name, offer in offers.items() if name not in ANSWERS_ONLY]


def changes_weights(method: type[Method]) -> bool:
    """Whether a method says that weights besides the head train."""
    return method.name != "head" and any(getattr(method, h) is not getattr(Method, h) for h in ("attach", "masks"))


def _numbers(run: Run) -> Iterable[dict[str, Any]]:
    return [{k: v for k, v in point.items() if k != "seconds"} for point in run.points]


def _check_restored(lab: Lab, run: Run, again: Run) -> None:
    import numpy as np

    from peft_lab.training.restore import restore

    rows = tiny_rows(24, seed=2)
    first, second = (restore(r, lab.host) for r in (run, again))
    outputs = first.outputs(rows)
    method = run.recipe.method
    assert np.array_equal(outputs, second.outputs(rows), equal_nan=True), (
        f"{method}: two equal runs kept different weights"
    )
    scores = first.score(lab.host.find("datasets", "tiny").splits()["test"])
    for name, measured in run.metrics["test"].items():
        assert scores.get(name, measured) == measured, (  # what is written costs too much to be scored again
            f"{method}: on test the run measured {name} {measured}, its saved weights give {scores[name]}"
        )
    assert (run.path / WEIGHTS).stat().st_size > 0
