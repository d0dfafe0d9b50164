"""Losses by role of runs that found different roles: one run's roles are laid over all, and the table says whose."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest

from peft_lab.by_role import compared_by_role, loss_by_role
from peft_lab.errors import RunProblem
from peft_lab.testing import tiny_causal_lab
from peft_lab.testing.tiny import tiny_calls
from pluggy_specs import Array, Artifact

FAST = {"max_steps": 3, "precision": "fp32", "device": "cpu", "write_answers": 0}


def laid(kind: str, rows: dict[str, list[float]], **columns) -> Artifact:
    """Rows of supervised tokens by digest, with one column."""
    (name, kept), *others = columns.items()
    sample = np.concatenate([np.full(len(values), at) for at, values in enumerate(rows.values())]).astype(np.int32)
    arrays = {
        "sample": Array(sample, ("token",)),
        "kind": Array(np.ones(len(sample), np.int8), ("token",)),
        "token": Array(np.arange(len(sample), dtype=np.int32), ("token",)),
        name: Array(np.concatenate([np.array(values, kept) for values in rows.values()]), ("token",)),
        "digest": Array(np.zeros(len(rows), np.int32), ("sample",), {"sample": list(rows)}),
        **{other: Array(np.full(len(sample), value, np.float32), ("token",)) for other, value in others},
    }
    return Artifact(kind, arrays)


def a_run(name: str, losses: dict[str, list[float]], roles: dict[str, list[int]] | None = None, ld: float = np.nan):
    """What a comparison asks of a run."""
    kept = {"token-losses": laid("token-losses", losses, after=np.float32)}
    if roles is not None:
        kept["token-roles"] = laid("token-roles", roles, role=np.int8, ld=ld)

    def artifact(kind: str) -> Artifact:
        if kind not in kept:
            raise RunProblem(f"{name} has no {kind}")
        return kept[kind]

    return SimpleNamespace(id=name, artifact=artifact)


LOSSES = {"a": [1.0, 2.0, 4.0], "b": [8.0, 16.0, 32.0]}
RULES, FOUND = {"a": [0, 0, 1], "b": [0, 0, 1]}, {"a": [0, 1, 1], "b": [0, 1, 1]}


def test_roles_by_shuffling_are_laid_over_those_by_rules():
    twice = {row: [2 * value for value in values] for row, values in LOSSES.items()}
    runs = [a_run("rules", LOSSES, RULES), a_run("plain", LOSSES), a_run("found", twice, FOUND, ld=1.0)]
    found = compared_by_role(runs)
    assert found.of == "found" and not found.apart
    assert found.scores["rules"] == {"loss_boilerplate": 4.5, "loss_reasoning": 13.5}
    assert found.scores["plain"] == found.scores["rules"]
    assert found.scores["found"] == {"loss_boilerplate": 9.0, "loss_reasoning": 27.0}


def test_of_roles_alike_in_kind_those_of_the_first_are_laid_over_all():
    runs = [a_run("second", LOSSES, RULES, ld=1.0), a_run("first", LOSSES, FOUND, ld=1.0)]
    assert compared_by_role(runs).of == "second"
    assert compared_by_role(runs[::-1]).of == "first"


def test_only_rows_that_all_share_count():
    more = {**LOSSES, "c": [100.0, 100.0, 100.0]}
    runs = [a_run("more", more, {**FOUND, "c": [0, 1, 1]}, ld=1.0), a_run("rules", {"a": LOSSES["a"]}, RULES)]
    found = compared_by_role(runs)
    assert found.scores["more"] == found.scores["rules"] == {"loss_boilerplate": 1.0, "loss_reasoning": 3.0}


def test_runs_of_the_same_roles_keep_their_own_numbers():
    runs = [a_run("one", LOSSES, FOUND, ld=1.0), a_run("other", LOSSES, FOUND, ld=2.0), a_run("plain", LOSSES)]
    found = compared_by_role(runs)
    assert not found.of and not found.apart and set(found.scores) == {"plain"}


def test_runs_of_other_rows_are_told_apart():
    elsewhere = {"x": [1.0, 2.0, 4.0]}
    runs = [a_run("here", LOSSES, FOUND, ld=1.0), a_run("there", elsewhere, {"x": [0, 0, 1]}, ld=1.0)]
    found = compared_by_role([*runs, a_run("plain", elsewhere)])
    assert found.apart == ("here", "there") and not found.of and set(found.scores) == {"plain"}
    assert not compared_by_role(runs[:1]).apart


def test_a_plain_run_of_other_rows_takes_nothing_from_the_others():
    runs = [a_run("rules", LOSSES, RULES), a_run("found", {"a": LOSSES["a"]}, FOUND, ld=1.0)]
    alone = compared_by_role(runs)
    found = compared_by_role([*runs, a_run("plain", {"b": LOSSES["b"]})])
    assert found.of == "found" and not found.apart
    assert found.scores == alone.scores


# --- the table --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A lab with runs whose roles are by shuffling, by the frame of JSON, and with none."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("roles")
        patch.setenv("PEFT_LAB_CACHE", str(folder / "cache"))
        lab = tiny_causal_lab(folder)
        rules = lab.train("lora+rft", roles="json", **FAST)
        found = lab.train("lora+rft", shad_steps=4, **FAST)
        yield lab, rules, found, lab.train("lora", **FAST)


def test_the_table_says_whose_roles_stand_in_a_column(shared):
    lab, rules, found, plain = shared
    table = lab.compare(rules.id, found.id, plain.id).parts[0]
    assert f"under those of {found.id}" in table.note
    assert "found in another" not in table.note
    for name in ("loss reasoning", "loss boilerplate"):
        shown = {row[0]: row[table.columns.index(name)] for row in table.rows}
        for run in (rules, found, plain):
            wanted = loss_by_role(run.artifact("token-losses"), found.artifact("token-roles"))
            assert float(shown[run.id]) == pytest.approx(wanted[name.replace(" ", "_")], abs=1e-3)
        own = rules.metrics["test"][name.replace(" ", "_")]
        assert float(shown[rules.id]) != pytest.approx(own, abs=1e-3)


def test_the_table_says_nothing_of_the_same_roles(shared):
    lab, rules, *_ = shared
    again = lab.train("lora+rft", roles="json", seed=1, **FAST)
    table = lab.compare(rules.id, again.id).parts[0]
    assert "by role" not in table.note
    at = table.columns.index("loss reasoning")
    shown = {row[0]: float(row[at]) for row in table.rows}
    assert shown[again.id] == pytest.approx(again.metrics["test"]["loss_reasoning"], abs=1e-3)


def test_the_table_says_that_roles_of_other_rows_cannot_be_compared(shared, tmp_path):
    lab, _, found, _ = shared
    file = tmp_path / "elsewhere.json"
    rows = tiny_calls(40, seed=9)
    said = [("user", "text"), ("assistant", "label")]
    file.write_text(
        json.dumps([{"messages": [{"role": who, "content": row[part]} for who, part in said]} for row in rows]), "utf-8"
    )
    elsewhere = lab.train("lora+rft", roles="json", data=str(file), **FAST)
    table = lab.compare(found.id, elsewhere.id).parts[0]
    assert f"cannot be compared: {found.id}, {elsewhere.id} have roles of their own" in table.note
