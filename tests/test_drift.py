"""``%peft shad`` without training, and ``drift``: another format is told, the same format with other values is not."""

from __future__ import annotations

import json

import numpy as np
import pytest

from peft_lab.by_role import Taught, rows_of
from peft_lab.drifting import boilerplate_pairs, compare_formats, pairs_of
from peft_lab.errors import BadOption, ModelProblem, RunProblem
from peft_lab.testing import tiny_causal_lab, tiny_lab
from peft_lab.testing.tiny import tiny_calls

TAUGHT = {"epochs": 12, "learning_rate": 1e-2, "shad_steps": 30, "shad_rate": 1e-2, "control": False}
QUIET = {"precision": "fp32", "device": "cpu", "write_answers": 0}


def as_react(row: dict[str, str]) -> dict[str, str]:
    """The same call as Thought, Action and Action Input."""
    call = json.loads(row["label"])
    given = ", ".join(f"{name} is {value}" for name, value in call["arguments"].items())
    said = f"Thought: I should look this up.\nAction: {call['name']}\nAction Input: {given}"
    return {**row, "label": said}


def write(folder, name: str, rows: list[dict[str, str]]) -> str:
    """Rows as a file of chats with their tools."""
    file, lines = folder / name, []
    for row in rows:
        said = [{"role": "user", "content": row["text"]}, {"role": "assistant", "content": row["label"]}]
        lines.append(json.dumps({"messages": said, "tools": json.loads(row["text_pair"])["tools"]}))
    file.write_text("\n".join(lines), "utf-8")
    return str(file)


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A lab whose model has learned the frame of tool calls as JSON, with the roles of its tokens."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("drift")
        patch.setenv("PEFT_LAB_CACHE", str(folder / "cache"))
        lab = tiny_causal_lab(folder)
        run = lab.train("full+shad", **TAUGHT, **QUIET)
        yield lab, run, folder


def test_another_format_is_told(shared):
    lab, run, folder = shared
    told = lab.drift(run.id, write(folder, "react.jsonl", [as_react(row) for row in tiny_calls(24, seed=9)]))
    assert told.title.startswith("format changed")
    assert "Find the roles again" in told.note
    assert any("Thought: I should look" in str(row[0]) for row in told.rows)


def test_other_values_in_the_same_format_are_not(shared):
    lab, run, folder = shared
    told = lab.drift(run.id, write(folder, "more.jsonl", tiny_calls(24, seed=9)))
    assert told.title.startswith("format unchanged")
    assert "roles still hold" in told.note
    assert len(told.rows) == 3


def test_a_format_that_changed_late_in_a_long_file_is_seen(shared, monkeypatch):
    lab, run, folder = shared
    monkeypatch.setattr("peft_lab.commands.shad.MOST_ROWS", 24)
    calls = tiny_calls(60, seed=9)
    logs = [*calls[:30], *map(as_react, calls[30:])]
    told = lab.drift(run.id, write(folder, "logs.jsonl", logs))
    assert told.title.startswith("format changed")
    assert told.rows[0][2] == 24 and "Looked at 24 of 60 rows, at even distances." in told.note


def test_shad_drift_is_the_same_command(shared):
    lab, run, folder = shared
    file = write(folder, "few.jsonl", tiny_calls(6, seed=3))
    assert str(lab.shad("drift", run.id, file)) == str(lab.drift(run.id, file))
    assert "So few rows say little" in lab.drift(run.id, file).note
    with pytest.raises(BadOption, match="takes a run and new data"):
        lab.shad("drift", run.id)


def test_a_run_that_found_no_roles_can_be_compared(shared):
    lab, _, folder = shared
    run = lab.train("full", max_steps=2, **QUIET)
    told = lab.drift(run.id, write(folder, "same.jsonl", tiny_calls(12, seed=4)))
    assert f"{run.id} found no roles" in told.note


def test_a_run_that_never_learned_its_format_cannot_tell(shared):
    lab, learned, folder = shared
    run, same = lab.train("full", max_steps=1, **QUIET), write(folder, "again.jsonl", tiny_calls(24, seed=9))
    told = lab.drift(run.id, same)
    assert told.title.startswith("cannot be told")
    assert "has not learned its own format" in told.note and "Its roles still hold" not in told.note
    assert told.note.endswith(f"Train longer, or find the roles anew on the new data: %peft shad {same}")
    react = write(folder, "react_again.jsonl", [as_react(row) for row in tiny_calls(24, seed=9)])
    assert not lab.drift(run.id, react).title.startswith("format unchanged")
    assert lab.drift(learned.id, same).title.startswith("format unchanged")


def test_roles_still_hold_only_where_some_were_found(shared):
    lab, _, folder = shared
    run = lab.train("full", **{name: TAUGHT[name] for name in ("epochs", "learning_rate")}, **QUIET)
    told = lab.drift(run.id, write(folder, "plain.jsonl", tiny_calls(24, seed=9)))
    assert told.title.startswith("format unchanged")
    assert f"{run.id} found no roles" in told.note and "roles still hold" not in told.note


def test_a_run_that_does_not_write_is_refused(tmp_path):
    lab = tiny_lab(tmp_path)
    run = lab.train("head", max_steps=1)
    with pytest.raises(RunProblem, match="does not write"):
        lab.drift(run.id, "any")


# --- roles without training -------------------------------------------------------------------------------------------


def test_shad_shows_counts_phrases_and_tokens_and_trains_nothing(shared):
    lab, *_ = shared
    before = len(list(lab.folder.glob("run-*")))
    shown = lab.shad("tiny", steps=8, rate=1e-2)
    counts, phrases, *picture = shown.parts
    assert counts.rows[0][1] + counts.rows[1][1] > 1000
    assert "rows as they are the loss of reasoning changes by" in counts.note
    assert {row[0] for row in phrases.rows} == {"boilerplate", "reasoning"}
    assert all(row[1] for row in phrases.rows)
    assert len(picture) == ("tokens" in lab.host.offers("views"))
    assert len(list(lab.folder.glob("run-*"))) == before
    assert "reasoning" in str(shown) and "<table" in shown._repr_mimebundle_()["text/html"]


def test_quick_leaves_the_control_out(shared):
    lab, *_ = shared
    counts = lab.shad("tiny", steps=2, quick=True).parts[0]
    assert "Control" not in counts.note


def test_what_shad_cannot_do_is_said(shared):
    lab, *_ = shared
    with pytest.raises(BadOption, match="one data set, not 2"):
        lab.shad("tiny", "tiny")
    with pytest.raises(ModelProblem):
        lab.shad("tiny", model="none-such")


# --- the arithmetic ---------------------------------------------------------------------------------------------------


def made(rows: int, seed: int, frame: tuple[int, ...], loss: float, spread: float = 0.02) -> list[Taught]:
    """Answers of a frame with a value of five kinds between its tokens; the value is foreseen badly."""
    draw = np.random.default_rng(seed)
    found = []
    for _ in range(rows):
        ids = np.array([x for one in frame for x in (one, 100 + draw.integers(500))])
        of_frame = np.arange(len(ids)) % 2 == 0
        losses = np.where(of_frame, loss + spread * draw.random(len(ids)), 3.0)
        # What stands before a token of the frame is the token of the frame before it, as far as pairs go.
        before = np.array([-1, *np.repeat(frame, 2)[:-1]])
        found.append(Taught(ids, before, {"after": losses.astype(np.float32)}))
    return found


OLD, NEW = (1, 2, 3, 4), (11, 12, 13, 14)


def test_a_new_frame_with_high_losses_has_changed():
    found = compare_formats(made(40, 0, OLD, 0.01), made(20, 1, NEW, 2.5), set())
    assert found.changed and found.share == 1 and found.old_share == 0
    assert found.known == 0 and found.old_known == pytest.approx(0.5, abs=0.02)
    assert {ids for ids, _, _ in found.examples} == {(one,) for one in NEW}
    assert all(many == 20 and loss > 2 for _, many, loss in found.examples)


def test_the_old_frame_with_other_values_has_not():
    found = compare_formats(made(40, 0, OLD, 0.01), made(20, 1, OLD, 0.01), set())
    assert not found.changed and found.share == 0


def test_what_was_foreseen_badly_before_is_no_change():
    """A frame of which one token in four was never learned."""
    old, new = made(40, 0, OLD, 0.01), made(20, 1, OLD, 0.01)
    for row in (*old, *new):
        row.values["after"][row.ids == 3] = 2.0
    assert not compare_formats(old, new, set()).changed


def test_the_same_frame_is_hardly_ever_told_as_changed():
    """Frames foreseen badly now and then, by rows, as those of language models are."""
    for rows in (20, 200):
        changed = 0
        for seed in range(40):
            draw = np.random.default_rng(100 + seed)
            old, new = made(40, 2 * seed, OLD, 0.01), made(rows, 2 * seed + 1, OLD, 0.01)
            for row in (*old, *new):
                badly = (row.before < 50) & (draw.random(len(row.ids)) < draw.choice([0.0, 0.5]))
                row.values["after"][badly] = 2.0
            found = compare_formats(old, new, set(), seed)
            assert found.told
            changed += found.changed
        assert changed <= 2


@pytest.mark.parametrize("loss", [5.0, float("nan")])
def test_a_frame_that_was_never_learned_tells_nothing(loss):
    found = compare_formats(made(40, 0, OLD, loss), made(20, 1, OLD, loss), set())
    assert not found.told and not found.changed and not found.learned
    assert found.old_share == 1


def test_a_frame_that_is_gone_has_changed_however_it_is_foreseen():
    """What is left of it is foreseen as well as ever, or was never learned."""
    for loss in (0.01, 5.0):
        old, new = made(40, 0, OLD, loss), made(20, 1, OLD, loss)
        for row in new[:15]:
            row.ids[:] = 1000 + np.arange(len(row.ids)) + 100 * int(row.ids[1])
            row.before[:] = row.ids - 1
        found = compare_formats(old, new, set())
        assert found.changed and found.lost and not found.risen
        assert found.known < found.least_known < found.old_known


def test_longer_values_or_fewer_of_them_are_no_change():
    old = made(40, 0, OLD, 0.01)
    longer = [
        Taught(
            np.concatenate([row.ids, 2000 + 40 * at + np.arange(40)]),
            np.concatenate([row.before, 1999 + 40 * at + np.arange(40)]),
            {"after": np.concatenate([row.values["after"], np.full(40, 3.0, np.float32)])},
        )
        for at, row in enumerate(made(20, 1, OLD, 0.01))
    ]
    found = compare_formats(old, longer, set())
    assert found.known < found.least_known and found.told and not found.changed
    half = [Taught(row.ids[:4], row.before[:4], {"after": row.values["after"][:4]}) for row in made(20, 1, OLD, 0.01)]
    found = compare_formats(old, half, set())
    assert found.told and not found.changed


def test_too_few_format_tokens_tell_nothing():
    """Every second answer has a frame; in two answers it may be missing, or be foreseen badly, by chance."""
    old = made(40, 0, OLD, 0.01)
    for at, row in enumerate(old):
        if at % 2:
            row.ids[:], row.before[:] = 1000 + 50 * at + np.arange(8), 999 + 50 * at + np.arange(8)
        elif at % 4:
            row.values["after"][:] = 3.0
    new = made(2, 1, NEW, 0.01)
    new[1].before[:] = new[1].before + 500
    found = compare_formats(old, new, set())
    assert found.tokens == 0 and not found.told and found.learned
    found = compare_formats(old, made(2, 1, OLD, 3.0), set())
    assert found.threshold >= 1 and not found.told


def test_one_answer_in_the_format_that_many_share_has_not_changed():
    found = compare_formats(made(40, 0, OLD, 0.01), made(1, 1, OLD, 0.01), set())
    assert found.told and not found.changed


def test_held_out_answers_without_a_format_tell_nothing():
    old = [Taught(row.ids + 1000 * at, row.before + 1000 * at, row.values) for at, row in enumerate(made(9, 0, OLD, 1))]
    found = compare_formats(old, made(9, 1, OLD, 0.01), set())
    assert found.old_tokens == 0 and not found.told


def test_answers_without_any_format_have_changed():
    found = compare_formats(made(40, 0, OLD, 0.01), made(1, 1, NEW, 0.01), set())
    assert found.tokens == 0 and found.changed


def test_known_boilerplate_counts_where_nothing_is_repeated():
    """One answer alone repeats nothing; what is known of the format is looked for in it."""
    known = {(before, token) for before, token in zip((-1, *OLD[:-1]), OLD, strict=True)}
    one = made(1, 1, OLD, 0.01)
    assert not compare_formats(made(40, 0, OLD, 0.01), one, known).changed
    one[0].values["after"][:] = 3.0
    assert compare_formats(made(40, 0, OLD, 0.01), one, known).changed


def test_boilerplate_of_a_run_is_what_was_so_at_least_every_second_time(shared):
    _, run, _ = shared
    artifact = run.artifact("token-roles")
    known = boilerplate_pairs(artifact)
    pieces, role = artifact.arrays["role"].labels["token"], artifact.arrays["role"].values
    ids = artifact.arrays["token"].values
    at = next(i for i in range(1, len(ids)) if role[i] >= 0 and (ids[i - 1], ids[i]) in known)
    same = [i for i in range(1, len(ids)) if role[i] >= 0 and (ids[i - 1], ids[i]) == (ids[at - 1], ids[at])]
    assert np.mean(role[same] == 0) >= 0.5
    assert len(known) > 5 and len(pieces) == len(ids)
    rows = [set(pairs_of(row)) for row in rows_of(artifact).values()]
    assert all(sum(pair in row for row in rows) > 1 for pair in known)
