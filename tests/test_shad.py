"""SHAD: answers change places, the base model stays, and the signs of LD are those of the roles."""

from __future__ import annotations

import copy
import hashlib
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors import SafetensorError
from shad_toy import BORDER, DIGITS, FRAME, FRAMES, PAD, ROLES, Context, answer, rows, taught, untaught

from peft_lab.errors import MethodRefused
from peft_lab.host import Host
from peft_lab.methods import _shad, _shad_groups, _shad_tuning
from peft_lab.methods._roles_by_rule import roles_by_rule
from peft_lab.methods._shad import Settings, find_differences
from peft_lab.methods._shad_groups import Group, alike, cheapest, grouped, worth_sharing
from peft_lab.methods._shad_kinds import Kinds, kinds_of
from peft_lab.methods._shad_passes import Passes
from peft_lab.methods._shad_rows import (
    Row,
    behind_other_prompts,
    deranged,
    padded,
    rows_of,
    sample_size,
    shared_by,
    shuffled,
)
from peft_lab.methods._shad_spans import largest_of_word, words_in
from peft_lab.methods._shad_tuning import Effort, tuner
from peft_lab.methods._shad_words import doubts, said_of
from peft_lab.testing.tiny import tiny_causal_model

EFFORT = Effort(steps=60, rate=1e-2, rank=8, batch=8, upper=1.0, targets="all-linear")


@pytest.fixture(autouse=True)
def cache_here(tmp_path, monkeypatch):
    monkeypatch.setenv("PEFT_LAB_CACHE", str(tmp_path / "cache"))


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def weights(model: torch.nn.Module) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode() + tensor.numpy().tobytes())
    return digest.hexdigest()


def settings(effort: Effort = EFFORT, **more) -> Settings:
    return Settings(**{"rows": 40, "effort": effort, "seed": 0, "control": False, **more})


def by_role(found: _shad.Differences) -> tuple[float, float]:
    roles = np.tile(ROLES, len(found.rows))
    return float(found.ld[roles == 0].mean()), float(found.ld[roles == 1].mean())


# --- kinds of answers ---


def beginning(token: int, many: int, start: int = 0, alike: bool = False) -> list[Row]:
    """Rows whose answers begin with a token; all answers differ, or none does."""
    return [
        Row(start + i, np.array([1, 2, token, 0 if alike else start + i, 3], dtype=np.int32), 2) for i in range(many)
    ]


def test_answers_of_two_formats_are_two_kinds():
    rows = [
        *beginning(7, 60),
        *beginning(8, 200, 60),
        *[row for t in range(50) for row in beginning(t + 20, 2, 300 + 2 * t)],
    ]
    kinds = kinds_of(rows)
    assert kinds == Kinds((8, 7))
    assert [len(part) for part in kinds.split(rows)] == [200, 60, 100]
    assert sorted(row.number for part in kinds.split(rows) for row in part) == sorted(row.number for row in rows)


def test_one_format_is_one_kind():
    rows = beginning(7, 500)
    assert kinds_of(rows) == Kinds()
    assert kinds_of(rows).split(rows) == [rows]


@pytest.mark.parametrize(
    "rare",
    [beginning(8, 10, 500), beginning(8, 200, 500, alike=True)],
    ids=["too few", "all the same"],
)
def test_what_cannot_be_shuffled_among_itself_stays_with_the_others(rare):
    rows = [*beginning(7, 100), *beginning(9, 100, 100), *rare]
    kinds = kinds_of(rows)
    assert all(len({row.answer.tobytes() for row in part}) >= 48 for part in kinds.split(rows))


def test_each_kind_is_tuned_apart_and_rows_stay_in_order():
    """With a second frame among them, the rows of each have the numbers that they have alone."""
    other = tuple(reversed(FRAME))
    mixed = [Row(2 * row.number, row.ids, row.border) for row in rows(60, seed=5)]
    mixed += [Row(2 * row.number + 1, row.ids, row.border) for row in rows(60, seed=6, frame=other)]
    mixed = sorted(mixed, key=lambda row: row.number)
    found = find_differences(Context(taught(), mixed), settings())
    assert (found.summary["kinds"], found.summary["sample"]) == (2, 80)
    frame, digits = by_role(found)
    assert frame < -0.1 < 1 < digits
    ld, before = (values.reshape(len(mixed), -1) for values in (found.ld, found.before))
    for parity in (0, 1):
        at = [i for i, row in enumerate(mixed) if row.number % 2 == parity]
        alone = find_differences(Context(taught(), [mixed[i] for i in at]), settings())
        assert np.allclose(before[at], alone.before.reshape(len(at), -1), atol=1e-4)
        assert np.corrcoef(ld[at].ravel(), alone.ld)[0, 1] > 0.9
    again = find_differences(Context(taught(), mixed), settings())
    assert again.again
    numbers, anew = _shad.differences_of(Context(taught(), mixed), settings(), again, mixed[5:40])
    assert [row.number for row in numbers] == [row.number for row in mixed[5:40]]
    assert np.allclose(anew, ld[5:40].ravel(), atol=1e-4)


# --- who gets whose answer --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("many", [2, 3, 7, 40])
@pytest.mark.parametrize("seed", range(3))
def test_no_row_keeps_its_answer_and_no_answer_is_lost(many, seed):
    whose = deranged([str(i).encode() for i in range(many)], np.random.default_rng(seed))
    assert sorted(whose) == list(range(many))
    assert (whose != np.arange(many)).all()


def test_equal_answers_do_not_meet_where_that_can_be_helped():
    answers = [b"a"] * 5 + [b"b"] * 3 + [b"c"] * 2
    for seed in range(20):
        whose = deranged(answers, np.random.default_rng(seed))
        assert sorted(whose) == list(range(10))
        assert all(answers[i] != answers[j] for i, j in enumerate(whose))


def test_where_it_cannot_be_helped_as_few_meet_as_can_be():
    answers = [b"a"] * 7 + [b"b"] * 3
    whose = deranged(answers, np.random.default_rng(0))
    assert (whose != np.arange(10)).all()
    assert sum(answers[i] == answers[j] for i, j in enumerate(whose)) == 4  # seven of them share three others


def test_the_order_is_drawn_from_the_seed():
    answers = [str(i).encode() for i in range(30)]
    first, again, other = (deranged(answers, np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert (first == again).all()
    assert (first != other).any()


def test_all_the_same_answers_are_refused():
    with pytest.raises(MethodRefused, match="all answers are the same"):
        deranged([b"a"] * 4, np.random.default_rng(0))


def test_prompts_stay_and_answers_move_whole():
    before = rows(12, 0)
    after = shuffled(before, np.random.default_rng(0), longest=100)
    assert [row.ids[: row.border].tolist() for row in after] == [row.ids[:BORDER].tolist() for row in before]
    assert Counter(r.answer.tobytes() for r in after) == Counter(r.answer.tobytes() for r in before)
    assert all(a.answer.tobytes() != b.answer.tobytes() for a, b in zip(after, before, strict=True))


def test_a_pair_that_is_too_long_loses_the_beginning_of_its_prompt():
    short = Row(0, np.array([1, 5, 6, 7, 20, 21], dtype=np.int32), 4)
    long = Row(1, np.array([1, 9, 22, 23, 24, 25, 3], dtype=np.int32), 2)
    joined, _ = shuffled([short, long], np.random.default_rng(0), longest=7)
    assert joined.ids.tolist() == [6, 7, 22, 23, 24, 25, 3]
    assert joined.border == 2
    joined, _ = shuffled([short, long], np.random.default_rng(0), longest=3)
    assert joined.ids.tolist() == [7, 22, 23, 24, 25, 3]  # one token has to stand before an answer


@pytest.mark.parametrize(
    ("there", "wanted", "size"),
    [(2, None, 2), (20, None, 20), (500, None, 48), (4801, None, 49), (500, 32, 32), (9, 48, 9)],
)
def test_sample_size(there, wanted, size):
    assert sample_size(there, wanted) == size


def test_one_row_is_refused():
    with pytest.raises(MethodRefused, match="no other to change answers with"):
        sample_size(1, None)


def test_rows_are_read_from_batches_padded_on_either_side():
    known = rows(3, 0)
    right = padded(known, PAD, torch.device("cpu"))
    left = {
        name: torch.nn.functional.pad(v, (4, 0), value=-100 if name == "labels" else 0)
        for name, v in right.items()
        if name != "row"
    }
    for batch in (right, {**left, "row": right["row"]}):
        for a, b in zip(rows_of([batch]), known, strict=True):
            assert (a.number, a.border, a.ids.tolist()) == (b.number, b.border, b.ids.tolist())


# --- differences ------------------------------------------------------------------------------------------------------


def test_signs_on_a_model_that_copies():
    context = Context(taught(), rows(120, 1))
    found = find_differences(context, settings())
    boilerplate, reasoning = by_role(found)
    assert boilerplate < -0.1 < 0 < 1 < reasoning
    roles = np.tile(ROLES, 120)
    assert (found.roles[roles == 0] == 0).mean() > 0.9
    assert (found.roles[roles == 1] == 1).mean() > 0.97


def test_shuffling_is_what_raises_the_loss_of_reasoning():
    """The sign alone is no proof: losses near zero go up and down with any tuning."""
    for seed in (0, 1):
        context = Context(taught(), rows(120, 1))
        shuffled_one, unshuffled = find_differences(context, settings(seed=seed, control=True)).summary["control"][
            "reasoning"
        ]
        assert shuffled_one > unshuffled + 0.5
        train = context.train
        with tuner(taught(), context.task, PAD, EFFORT, seed) as tuned:
            before, after = tuned.losses(train, tuned.tune(train[:40], np.random.default_rng(seed)))
        content = np.tile(ROLES, 120) == 1
        assert float((after - before)[content].mean()) < shuffled_one


def test_the_base_model_is_bit_for_bit_as_before():
    context = Context(taught(), rows(40, 1))
    before = weights(context.model)
    with tuner(context.model, context.task, PAD, EFFORT, 0) as tuned:
        tuned.losses(context.train, tuned.tune(context.train, np.random.default_rng(0)))
    assert weights(context.model) == before
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in context.model.modules())
    assert all(p.grad is None and not p.requires_grad for p in context.model.parameters())


def test_nothing_tuned_means_no_difference_and_all_boilerplate():
    found = find_differences(Context(taught(), rows(40, 1)), settings(Effort(0, 1e-3, 8, 8, 1.0)))
    assert not found.ld.any()
    assert not found.roles.any()


def test_a_difference_within_the_rounding_of_logits_is_none():
    light = settings(Effort(steps=4, rate=1e-3, rank=8, batch=8, upper=1.0, targets="all-linear"), by="token")
    fine = find_differences(Context(taught(), rows(40, 1)), light)
    assert 0 < np.abs(fine.ld).min() < 2**-8
    coarse = find_differences(Context(copy.deepcopy(taught()).to(torch.bfloat16), rows(40, 1)), light)
    assert (coarse.ld == 0).any() and coarse.ld.any()
    assert not ((coarse.ld != 0) & (np.abs(coarse.ld) <= 2**-8)).any()
    assert not coarse.roles[coarse.ld == 0].any()


def test_losses_are_those_of_the_task():
    context = Context(taught(), rows(20, 3))
    found = find_differences(context, settings())
    (batch,) = (padded(context.train, PAD, context.device),)
    usual = context.task.outputs(context.model, batch)[..., 0]
    assert torch.allclose(usual[batch["labels"] != -100], torch.from_numpy(found.before), atol=1e-4)


@pytest.mark.parametrize("family", ["llama", "gpt2", "qwen2", "qwen3"])
def test_going_on_from_kept_keys_gives_what_reading_everything_gives(family, tmp_path):
    """Rows of unequal length, so that prompts and answers are both padded."""
    from transformers import AutoModelForCausalLM

    model = (
        AutoModelForCausalLM.from_pretrained(tiny_causal_model(tmp_path / family, family)).eval().requires_grad_(False)
    )
    draw = np.random.default_rng(0)
    made = [Row(n, draw.integers(6, 400, 12 + 5 * n).astype(np.int32), 3 + 4 * n) for n in range(4)]
    task = Host(entry_points=False).find("tasks", "causal")()
    with tuner(model, task, PAD, Effort(6, 1e-2, 4, 2, 1.0), 0) as tuned:
        change = tuned.tune(made, np.random.default_rng(1))
        assert tuned.passes.goes_on
        before, after = tuned.losses(made, change)
        whole = Passes(model, task, tuned.adapter, PAD)
        whole.goes_on = False
        tuned.passes = whole
        again_before, again_after = tuned.losses(made, change)
    assert np.abs(after - before).max() > 0.01
    np.testing.assert_allclose(before, again_before, atol=2e-4)
    np.testing.assert_allclose(after, again_after, atol=2e-4)


def test_a_cache_that_gives_nothing_back_is_read_for_prompts_alone(monkeypatch):
    """As when a window over the text has moved on."""
    few = settings(Effort(steps=3, rate=1e-2, rank=8, batch=8, upper=0.5, targets="all-linear"))
    found = find_differences(Context(taught(), rows(60, 1)), few)
    from transformers import DynamicCache

    asked = []

    def crop(self, tokens):
        asked.append(tokens)
        if len(asked) > 2:  # not when it is tried with the first rows
            raise RuntimeError("the window was already reached")
        whole(self, tokens)

    whole = DynamicCache.crop
    monkeypatch.setattr(DynamicCache, "crop", crop)
    monkeypatch.setattr(_shad, "load", lambda key: None)
    again = find_differences(Context(taught(), rows(60, 1)), few)
    assert again.summary["goes_on"] and len(asked) == 3
    assert np.abs(found.ld).max() > 0.005
    np.testing.assert_allclose(found.ld, again.ld, atol=5e-4)


def test_what_was_read_of_rows_is_not_kept_longer_than_needed(monkeypatch):
    held, groups = [], []

    def watched(group):
        group = read(group)
        groups.append(group)
        held.append(sum(one.kept is not None for one in groups))
        return group

    context = Context(taught(), rows(60, 1))
    with tuner(context.model, context.task, PAD, EFFORT, 0) as tuned:
        read = tuned.passes.read
        change = tuned.tune(context.train[:8], np.random.default_rng(0))
        monkeypatch.setattr(_shad_groups, "ROWS", 8)
        monkeypatch.setattr(tuned.passes, "read", watched)
        tuned.losses(context.train, change)
    assert len(groups) > 4 and max(held) == 1 and groups[-1].kept is None


def test_a_model_that_cannot_go_on_is_tuned_all_the_same(monkeypatch):
    few = settings(Effort(steps=3, rate=1e-2, rank=8, batch=8, upper=1.0, targets="all-linear"))
    found = find_differences(Context(taught(), rows(60, 1)), few)
    monkeypatch.setattr(Passes, "_fed", lambda *_, **__: (_ for _ in ()).throw(TypeError("no cache")))
    monkeypatch.setattr(_shad, "load", lambda key: None)
    again = find_differences(Context(taught(), rows(60, 1)), few)
    assert found.summary["goes_on"] and not again.summary["goes_on"]
    assert np.abs(found.ld).max() > 0.05
    np.testing.assert_allclose(found.ld, again.ld, atol=1e-2)


def test_a_change_beside_the_upper_layers_only():
    context = Context(taught(), rows(20, 1))
    with tuner(context.model, context.task, PAD, Effort(1, 1e-3, 4, 8, 0.5), 0) as tuned:
        assert tuned.adapter.about == "the upper 1 of 2 layers"
        assert tuned.adapter.tensors and all(".h.1." in name for name in tuned.adapter.tensors)


def test_rows_of_one_group_do_not_change_each_other():
    context = Context(taught(), rows(9, 5))
    with tuner(context.model, context.task, PAD, EFFORT, 0) as tuned:
        change = tuned.tune(context.train, np.random.default_rng(0))
        _, together = tuned.losses(context.train, change)
        alone = np.concatenate([tuned.losses([row], change)[1] for row in context.train])
    np.testing.assert_allclose(together, alone, atol=1e-4)


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_layers_below_the_change_are_computed_once_and_give_the_same(family, tmp_path):
    from transformers import AutoModelForCausalLM

    folder = tiny_causal_model(tmp_path / family, family)
    model = AutoModelForCausalLM.from_pretrained(folder, num_hidden_layers=3).eval().requires_grad_(False)
    draw = np.random.default_rng(0)
    made = [Row(n, draw.integers(6, 400, 14 + n).astype(np.int32), 8) for n in range(4)]
    task = Host(entry_points=False).find("tasks", "causal")()
    with tuner(model, task, PAD, Effort(6, 1e-2, 4, 4, 0.34), 0) as tuned:
        assert len(tuned.adapter.below) == 2
        change = tuned.tune(made, np.random.default_rng(1))
        assert tuned.passes.skips
        before, after = tuned.losses(made, change)
        tuned.passes.skips = False
        unskipped = tuned.losses(made, change)
        assert np.abs(after - before).max() > 0.01
        np.testing.assert_allclose([before, after], unskipped, atol=2e-4)
        assert not any("forward" in vars(layer) for layer in model.modules())


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_prompts_that_begin_alike_are_read_once_and_give_the_same(family, tmp_path, monkeypatch):
    from transformers import AutoModelForCausalLM

    monkeypatch.setattr(_shad_groups, "BEGIN", 16)
    model = (
        AutoModelForCausalLM.from_pretrained(tiny_causal_model(tmp_path / family, family)).eval().requires_grad_(False)
    )
    draw = np.random.default_rng(0)
    talk = draw.integers(6, 400, 40).astype(np.int32)
    # turns of one conversation, one of which is the beginning of all others, and a row of its own
    made = [Row(n, np.concatenate([talk[: 12 + 7 * n], draw.integers(6, 400, 6)]).astype(np.int32), 12 + 7 * n)
            for n in range(4)]  # fmt: skip
    made.append(Row(4, draw.integers(6, 400, 70).astype(np.int32), 60))
    groups = list(cheapest(made))
    assert sorted(len(group.rows) for group in groups) == [1, 4]
    task = Host(entry_points=False).find("tasks", "causal")()
    with tuner(model, task, PAD, Effort(6, 1e-2, 4, 2, 1.0), 0) as tuned:
        change = tuned.tune(made, np.random.default_rng(1))
        tuned.tuned, read = [], []
        counting = model.register_forward_pre_hook(
            lambda module, given, named: read.append(named["input_ids"].shape), with_kwargs=True
        )
        together = tuned.losses(made, change)
        counting.remove()
        alone = [np.concatenate(parts) for parts in zip(*(tuned.losses([row], change) for row in made), strict=True)]
    assert (1, 11) in read  # what all four begin with
    np.testing.assert_allclose(together, alone, atol=2e-4)


def test_rows_that_are_as_long_go_together_where_prompts_begin_otherwise():
    """In few passes, and with little padding; what begins alike goes together where that is less."""
    draw = np.random.default_rng(0)
    borders = draw.integers(20, 400, 120)
    made = [Row(n, draw.integers(6, 400, b + 20).astype(np.int32), int(b)) for n, b in enumerate(borders.tolist())]
    groups = cheapest(made)
    assert sorted(row.number for group in groups for row in group.rows) == list(range(120))
    computed = sum(len(group.rows) * max(len(row.ids) for row in group.rows) for group in groups)
    assert computed < 1.08 * sum(len(row.ids) for row in made) and len(groups) <= 16
    start = draw.integers(6, 400, 200).astype(np.int32)
    talk = [Row(n, np.concatenate([start, draw.integers(6, 400, 40 + n % 9)]).astype(np.int32), 220) for n in range(60)]
    mixed = cheapest(talk + made[60:])
    shared = [alike([row.ids[: row.border - 1] for row in group.rows]) for group in mixed]
    assert sum(len(g.rows) for g, many in zip(mixed, shared, strict=True) if worth_sharing(many, len(g.rows))) == 60


def test_prompts_that_were_tuned_on_are_not_read_again(monkeypatch):
    context = Context(taught(), rows(24, 5))
    with tuner(context.model, context.task, PAD, EFFORT, 0) as tuned:
        change = tuned.tune(shuffled(context.train[:16], np.random.default_rng(0), 100), np.random.default_rng(0))
        tuned_before = list(tuned.tuned)
        read, reads = [], Passes._read
        monkeypatch.setattr(Passes, "_read", lambda self, group: read.extend(group.rows) or reads(self, group))
        first = tuned.losses(context.train, change)
        assert len(tuned_before) == 2 and {row.number for row in read} == set(range(16, 24))
        again = tuned.losses(context.train, change)
    np.testing.assert_allclose(first, again, atol=1e-4)


def test_a_word_is_told_by_the_token_of_it_that_rises_most():
    class Pieces:
        all_special_ids = ()
        pieces = (
            '{"',
            "name",
            '": "',
            "get",
            "_",
            "wea",
            "ther",
            '"',
            " Kyo",
            "to",
            " 2",
            "9",
            "東",
            "京",
            "ไทย",
            "คำ",
        )

        def decode(self, ids, **_):
            return "".join(self.pieces[i] for i in ids)

    made = [Row(0, np.arange(16, dtype=np.int32), 0), Row(1, np.array([8, 9, 9], dtype=np.int32), 1)]
    words = words_in(Pieces(), made)
    assert words.tolist() == [0, 1, 2, 3, 3, 3, 3, 4, 5, 5, 6, 6, 7, 8, 9, 10, 11, 11]
    ld = np.array([-1, -1, -1, 0.5, -0.1, 2, -3, -1, 1, -2, -1, -0.5, 0.1, -0.1, 0.2, -0.2, -1, 0.3], dtype=np.float32)
    told = largest_of_word(ld, words)
    assert told.tolist() == pytest.approx(
        [-1, -1, -1, 2, 2, 2, 2, -1, 1, 1, -0.5, -0.5, 0.1, -0.1, 0.2, -0.2, 0.3, 0.3]
    )


def test_roles_by_word_or_by_token(monkeypatch):
    context = Context(taught(), rows(40, 1))
    monkeypatch.setattr(context.tokenizer, "decode", lambda ids, **_: "a" * len(ids), raising=False)
    token = find_differences(context, settings(by="token"))
    word = find_differences(context, settings())
    size = len(ROLES)
    np.testing.assert_allclose(
        word.ld.reshape(-1, size), token.ld.reshape(-1, size).max(1, keepdims=True).repeat(size, 1)
    )
    assert not word.again  # kept apart


def test_a_letter_of_several_tokens_does_not_break_its_word():
    class Letters:
        """Reads bytes, one token each."""

        all_special_ids = ()

        def decode(self, ids, **_):
            return bytes(ids).decode(errors="replace")

    for text, words in (
        ("Győr, Łódź!", ["Győr", ",", " ", "Łódź", "!"]),
        ("हिन्दी में", ["हिन्दी", " ", "में"]),
        ("می‌روم", ["می‌روم"]),
        ("cafe\u0301s", ["cafe\u0301s"]),
        ("東京", ["東", "京"]),
        ("à—b", ["à", "—", "b"]),
    ):
        told = words_in(Letters(), [Row(0, np.array(list(text.encode())), 0)])
        cuts = np.flatnonzero(np.diff(told)) + 1
        assert [bytes(part).decode() for part in np.split(np.array(list(text.encode()), np.uint8), cuts)] == words


def test_long_answers_make_a_step_as_large_as_short_ones():
    """In several passes, whose gradients are added up."""
    draw = np.random.default_rng(0)
    long = [Row(n, draw.choice(FRAMES, 28).astype(np.int32), 4 + n) for n in range(6)]
    whole = Effort(3, 1e-2, 4, 6, 1.0, "all-linear")
    task = Context(taught(), long).task
    changes = []
    for at_once in (1024, 50):
        with pytest.MonkeyPatch.context() as patch, tuner(taught(), task, PAD, whole, 0) as tuned:
            patch.setattr(_shad_groups, "ANSWERS", at_once)
            passes, read = [], tuned.passes.losses
            patch.setattr(
                tuned.passes, "losses", lambda g, read=read, p=passes, **m: p.append(len(g.rows)) or read(g, **m)
            )
            changes.append(tuned.tune(long, np.random.default_rng(0)))
        assert sum(passes) >= 3 * 6 and (max(passes) == 6) == (at_once == 1024)
    with pytest.MonkeyPatch.context() as patch, tuner(taught(), task, PAD, replace(whole, whole=False), 0) as tuned:
        patch.setattr(_shad_groups, "ANSWERS", 50)  # where nobody said how many rows, those of one pass do
        passes, read = [], tuned.passes.losses
        patch.setattr(tuned.passes, "losses", lambda g, **m: passes.append(len(g.rows)) or read(g, **m))
        tuned.tune(long, np.random.default_rng(0))
    assert max(passes) == 2 and len(passes) < 3 * 3  # a pass for each step, and those that try how to read
    for name, values in changes[0].items():
        torch.testing.assert_close(values, changes[1][name], atol=1e-5, rtol=1e-3)


def test_a_group_holds_no_more_than_it_may():
    made = [Row(n, np.ones(300 + n, dtype=np.int32), 200) for n in range(40)]
    groups = list(grouped(made))
    assert sorted(row.number for g in groups for row in g.rows) == list(range(40))
    assert all(len(g.rows) * max(len(r.answer) for r in g.rows) <= 1024 or len(g.rows) == 1 for g in groups)
    assert all(isinstance(g, Group) and g.sizes == [len(r.answer) for r in g.rows] for g in groups)


# --- how far it is, and leaving off ---


def test_it_is_told_how_far_it_is():
    context = Context(taught(), rows(60, 1))
    find_differences(context, settings(control=True))
    steps = [(done, of) for doing, done, of in context.told if doing == "finding roles: step"]
    assert steps == [(n, 3 * EFFORT.steps) for n in range(3 * EFFORT.steps)]
    looked = [(done, of) for doing, done, of in context.told if doing == "finding roles: row"]
    assert looked[0] == (0, 60) and (60, 60) in looked


@pytest.mark.parametrize("when", [1, 9, EFFORT.steps + 1])
def test_it_leaves_off_when_somebody_asks_for_a_stop(when):
    context = Context(taught(), rows(60, 1))
    context.stop_at = when
    assert find_differences(context, settings()) is None
    assert len(context.told) == when
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in context.bases[0].modules())
    assert not find_differences(Context(taught(), rows(60, 1)), settings()).again


# --- found again ------------------------------------------------------------------------------------------------------


def test_found_again_without_tuning(monkeypatch):
    first = find_differences(Context(taught(), rows(40, 1)), settings())
    monkeypatch.setattr(_shad_tuning.Tuner, "tune", lambda *_: pytest.fail("tuned again"))
    again = find_differences(Context(taught(), rows(40, 1)), settings())
    assert again.again and not first.again
    assert np.array_equal(first.ld, again.ld)
    assert again.change.keys() == first.change.keys()
    assert "found again" in next(iter(said_of(again)))


@pytest.mark.parametrize("what", ["model", "rows", "settings"])
def test_what_decides_roles_is_part_of_the_key(what):
    find_differences(Context(taught(), rows(40, 1)), settings())
    model, table, chosen = taught(), rows(40, 1), settings()
    if what == "model":
        model.transformer.h[0].ln_1.weight.data[0] += 1e-3
    elif what == "rows":
        table[7] = Row(
            7, np.where(table[7].ids == table[7].ids[1], 5 + table[7].ids % 3, table[7].ids).astype(np.int32), BORDER
        )
    else:
        chosen = settings(seed=1)
    assert not find_differences(Context(model, table), chosen).again


def test_a_damaged_file_is_made_anew(tmp_path):
    find_differences(Context(taught(), rows(40, 1)), settings())
    (file,) = (tmp_path / "cache" / "roles").iterdir()
    file.write_bytes(file.read_bytes()[:100])
    assert not find_differences(Context(taught(), rows(40, 1)), settings()).again
    assert find_differences(Context(taught(), rows(40, 1)), settings()).again


def test_a_cache_that_cannot_be_written_costs_nothing_but_time(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("PEFT_LAB_CACHE", str(tmp_path / "file"))
    assert len(find_differences(Context(taught(), rows(40, 1)), settings()).ld)


def test_a_disk_that_is_full_costs_nothing_but_time(monkeypatch):
    def full(*args, **more):
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr("safetensors.numpy.save_file", full)
    assert len(find_differences(Context(taught(), rows(40, 1)), settings()).ld)


def test_the_other_sample_of_the_control_is_of_other_rows_and_follows_the_seed(monkeypatch):
    tuned_on, looked_at = watched_tunings(monkeypatch)
    for seed in (0, 1):
        find_differences(Context(taught(), rows(120, 1)), settings(control=True, seed=seed, rows=40))
    first, other, again, _, another, _ = tuned_on
    assert len(first) == len(other) == 40 and not first & other
    assert other == again != another
    assert not looked_at[1] & other  # after those of all rows


def test_of_few_rows_half_are_left_to_look_at(monkeypatch):
    tuned_on, looked_at = watched_tunings(monkeypatch)
    find_differences(Context(taught(), rows(40, 1)), settings(control=True, rows=40))
    assert [len(one) for one in tuned_on] == [40, 20, 20]
    assert len(looked_at[1]) == 20 and not looked_at[1] & tuned_on[1]


def watched_tunings(monkeypatch) -> tuple[list[set[int]], list[set[int]]]:
    """The numbers of rows of each tuning, and of each look at losses, as they come."""
    tuned_on, looked_at = [], []
    tune, losses = _shad_tuning.Tuner.tune, _shad_tuning.Tuner.losses

    def tuning(self, some, draw):
        tuned_on.append({row.number for row in some})
        return tune(self, some, draw)

    def looking(self, some, *changes):
        looked_at.append({row.number for row in some})
        return losses(self, some, *changes)

    monkeypatch.setattr(_shad_tuning.Tuner, "tune", tuning)
    monkeypatch.setattr(_shad_tuning.Tuner, "losses", looking)
    return tuned_on, looked_at


def test_a_control_that_cannot_shuffle_costs_no_training():
    """All but two of the answers are the same, so that half of them may not change places."""
    same = rows(1, 1)[0]
    made = [Row(n, np.concatenate([row.ids[:BORDER], same.answer]), BORDER) for n, row in enumerate(rows(40, 2))]
    made[:2] = [Row(n, row.ids, BORDER) for n, row in enumerate(rows(2, 3))]
    found = find_differences(Context(taught(), made), settings(Effort(2, 1e-3, 8, 8, 1.0), control=True))
    assert list(said_of(found))


# --- whether to trust them --------------------------------------------------------------------------------------------


def doubted(model, train, **more) -> str:
    return " / ".join(doubts(find_differences(Context(model, train), settings(**more)).summary))


def test_nothing_speaks_against_a_model_that_copies():
    assert doubted(taught(), rows(80, 1), control=True) == ""


def test_prompts_that_were_cut_are_compared_with_prompts_cut_as_far():
    """One that was cut for a short answer tells more than one that is cut for a long answer, whatever both say."""
    draw = np.random.default_rng(0)
    made = []
    for n in range(20):
        size = 8 if n % 2 else 3
        whole = np.concatenate([100 + n * np.ones(30, int), np.arange(n, n + size)])
        ids = whole[-24:].astype(np.int32)
        made.append(Row(n, ids, len(ids) - size))
    own, other, differ = behind_other_prompts(made, draw, 24)
    assert differ.all()
    for row, mine, theirs in zip(made, own, other, strict=True):
        assert row.number == mine.number == theirs.number
        assert row.answer.tolist() == mine.answer.tolist() == theirs.answer.tolist()
        assert mine.border == theirs.border <= row.border
        assert set(mine.ids[: mine.border]) == {100 + row.number} != set(theirs.ids[: theirs.border])
    short = [Row(n, np.arange(n, n + 6).astype(np.int32), 3) for n in range(9)]
    own, *_ = behind_other_prompts(short, draw, 24)
    assert [row.ids.tolist() for row in own] == [row.ids.tolist() for row in short]


def test_a_prompt_of_the_same_answer_tells_nothing_of_prompts():
    made = [Row(n, np.array([1, n, 7, 7 if n < 8 else n], dtype=np.int32), 2) for n in range(10)]
    _, _, differ = behind_other_prompts(made, np.random.default_rng(0), 9)
    assert differ.sum() == 4  # two that differ, and two whose prompts they stand behind


@pytest.mark.parametrize("longest", [22, 24])
def test_prompts_that_tell_nothing_are_told_of_where_they_were_cut(longest):
    """Answers of two lengths, of which the longer leaves less of a prompt."""
    for seed in range(6):
        draw = np.random.default_rng([seed, longest])
        made = []
        for row in rows(60, seed):
            long = draw.random() < 0.5
            answer = np.concatenate([row.answer, row.answer[:-1]])[: 19 if long else 10]
            prompt = np.concatenate([draw.choice(DIGITS, 12), [2]])
            ids = np.concatenate([prompt, answer])[-longest:].astype(np.int32)
            made.append(Row(row.number, ids, len(ids) - len(answer)))
        assert "not shown that prompts tell anything" in doubted(taught(), made, control=True, seed=seed)


def test_a_sample_of_equal_answers_takes_another_one():
    same = rows(1, 1)[0]
    made = [Row(n, np.concatenate([row.ids[:BORDER], same.answer]), BORDER) for n, row in enumerate(rows(60, 2))]
    made[7] = Row(7, rows(1, 9)[0].ids, BORDER)
    found = find_differences(Context(taught(), made), settings(Effort(2, 1e-3, 8, 8, 1.0), rows=3))
    assert found.summary["sample"] == 3


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("many", [40, 120])
def test_prompts_that_tell_nothing_are_told_of(seed, many):
    """A model that copies, and prompts that have nothing to do with the answers: tuning moves losses all the same."""
    draw = np.random.default_rng([seed, 1])
    loose = [
        Row(row.number, np.concatenate([[1], draw.choice(DIGITS, 4), row.ids[5:]]).astype(np.int32), BORDER)
        for row in rows(many, seed)
    ]
    assert "not shown that prompts tell anything" in doubted(taught(), loose, control=True, seed=seed)
    assert "not shown" not in doubted(taught(), rows(many, seed), control=True, seed=seed)


def test_an_untrained_model_is_told_of():
    assert "hardly knows such answers" in doubted(untaught(), rows(80, 1))


def test_answers_without_a_format_are_told_of():
    draw = np.random.default_rng(0)
    loose = [
        Row(n, np.concatenate([[1, 5, 2], draw.permutation(range(100 * n, 100 * n + 8))]).astype(np.int32), 3)
        for n in range(40)
    ]
    assert shared_by(loose) == 0
    assert shared_by(rows(40, 0)) > 0.5
    summary = find_differences(Context(taught(), rows(40, 1)), settings()).summary
    assert any("share no format" in one for one in doubts({**summary, "shared": shared_by(loose)}))


def test_few_rows_are_told_of():
    assert "rest on 8 shuffled rows" in doubted(taught(), rows(8, 1), rows=None)


def test_roles_found_with_a_control_serve_without_one():
    first = find_differences(Context(taught(), rows(40, 5)), settings(control=True))
    again = find_differences(Context(taught(), rows(40, 5)), settings())
    assert not first.again and again.again
    np.testing.assert_array_equal(first.ld, again.ld)
    plain = find_differences(Context(taught(), rows(40, 6)), settings())
    controlled = find_differences(Context(taught(), rows(40, 6)), settings(control=True))
    assert not plain.again and not controlled.again and "control" in controlled.summary
    np.testing.assert_array_equal(plain.ld, controlled.ld)


def test_a_control_that_fails_is_told_of():
    """Also where prompts tell something."""
    summary = find_differences(Context(taught(), rows(60, 1)), settings(control=True)).summary
    assert not [one for one in doubts(summary) if "rises no more" in one]
    turned = {**summary, "control": {**summary["control"], "reasoning": summary["control"]["reasoning"][::-1]}}
    assert [one for one in doubts(turned) if "rises no more" in one]
    assert summary["agreement"]["clear"] > 0.9
    assert any("unsteady" in one for one in doubts({**summary, "agreement": {"all": 0.6, "clear": 0.6}}))
    assert not any("unsteady" in one for one in doubts({**summary, "agreement": {"all": 0.6, "clear": None}}))


# --- roles by rules ---------------------------------------------------------------------------------------------------


class Letters:
    """Each character is a token."""

    all_special_ids = (0,)

    def decode(self, ids, **_):
        return "".join(chr(one) for one in ids)


def told(*texts: str) -> list[Row]:
    return [Row(n, np.array([65, *map(ord, text), 0], dtype=np.int32), 1) for n, text in enumerate(texts)]


def reasoning(text: str, roles: np.ndarray) -> str:
    return "".join(c if role else "_" for c, role in zip(text, roles, strict=False))


def test_the_frame_of_json():
    texts = (
        '{"name": "go_to", "arguments": {"city": "Kyo{}to", "days": 3}}',
        '{"name": "stay", "arguments": {"ok": true}}',
        '{"name": "wait", "arguments": {}}',
    )
    first, second, third = roles_by_rule(Letters(), told(*texts), "json")
    assert reasoning(texts[0], first) == "..........go_to..................city....Kyo{}to....days...3..".replace(
        ".", "_"
    )
    assert reasoning(texts[1], second) == "..........stay..................ok...true..".replace(".", "_")
    assert reasoning(texts[2], third) == "..........wait...................".replace(".", "_")
    assert first[-1] == 0  # the token that ends a turn


def test_a_key_that_most_answers_have_is_frame():
    texts = [f'{{"city": "{city}"}}' for city in ("Lima", "Oslo", "Rome")]
    for text, roles in zip(texts, roles_by_rule(Letters(), told(*texts), "json"), strict=True):
        assert reasoning(text, roles).replace("_", "") == text[10:14]


def test_patterns():
    text = "Thought: go\nAction: find"
    (roles,) = roles_by_rule(Letters(), told(text), "regex")
    assert reasoning(text, roles) == "________ go________ find"
    (roles,) = roles_by_rule(Letters(), told(text), "regex", [r"go|find"])
    assert reasoning(text, roles) == "Thought: __\nAction: ____"


@pytest.mark.parametrize(
    ("rule", "patterns", "said"),
    [("json", (), "no answer is JSON"), ("regex", ("x+",), "matches a pattern"), ("regex", ("(",), "no regular")],
)
def test_rules_that_find_nothing_are_refused(rule, patterns, said):
    with pytest.raises(MethodRefused, match=said):
        roles_by_rule(Letters(), told("plain words"), rule, patterns)


def test_the_toy_is_what_it_says():
    digits = np.array([4, 5, 6, 7])
    made = answer(digits, FRAME)
    assert (np.isin(made, DIGITS) == (ROLES == 1)).all()
