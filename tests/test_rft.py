"""RFT: the formulas of the paper, gradients through the core's own step, and whole runs with roles."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from peft_lab.by_role import by_run, loss_by_role, rows_of
from peft_lab.errors import BadOption, MethodRefused
from peft_lab.host import Host
from peft_lab.methods._group_weights import group_weights
from peft_lab.methods.rft import Rft, RftOptions
from peft_lab.recipe import Training
from peft_lab.testing import check_method, tiny_causal_lab, tiny_lab
from peft_lab.training.hardware import open_accelerator
from peft_lab.training.loop import backward
from pluggy_specs import Array, Artifact

FAST = {"max_steps": 3, "precision": "fp32", "device": "cpu", "write_answers": 0, "shad_steps": 4}


@pytest.fixture(autouse=True)
def cache_here(tmp_path, monkeypatch):
    monkeypatch.setenv("PEFT_LAB_CACHE", str(tmp_path / "cache"))


def one(boilerplate: float, content: float, **more) -> torch.Tensor:
    """Weights of a text of three boilerplate and two reasoning tokens with these mean losses."""
    losses = torch.tensor([[boilerplate - 0.1, boilerplate, boilerplate + 0.1, content / 2, content * 3 / 2, 9.0]])
    roles = torch.tensor([[0, 0, 0, 1, 1, -1]])
    weights = group_weights(losses, roles, **more)
    assert weights[0, -1] == 0
    return torch.stack([weights[0, :3].sum(), weights[0, 3:].sum(), (weights * losses).sum()])


@pytest.mark.parametrize(
    ("inverse", "share", "loss"),
    [(0.2, 0.539915, 0.631932), (0.3, 0.559714, 0.647771), (0.5, 0.598688, 0.678950), (0.0, 0.5, 0.6)],
)
def test_golds_of_the_paper(inverse, share, loss):
    boilerplate, reasoning, total = one(0.2, 1.0, inverse_temperature=inverse)
    assert reasoning == pytest.approx(share, abs=1e-6)
    assert boilerplate + reasoning == pytest.approx(1, abs=1e-6)
    assert total == pytest.approx(loss, abs=1e-6)


@pytest.mark.parametrize(("detach", "golds"), [(True, (0.440286, 0.559714)), (False, (0.381142, 0.618858))])
def test_gradients_of_the_groups(detach, golds):
    means = torch.tensor([[0.2, 1.0]], requires_grad=True)
    (group_weights(means, torch.tensor([[0, 1]]), inverse_temperature=0.3, detach=detach) * means).sum().backward()
    assert means.grad[0].tolist() == pytest.approx(golds, abs=1e-6)


def test_equal_losses_weigh_alike_and_the_higher_weighs_more():
    assert one(0.7, 0.7)[:2].tolist() == pytest.approx([0.5, 0.5])
    assert one(2.0, 0.5)[0] > 0.5 > one(2.0, 0.5)[1]


def test_huge_losses_do_not_overflow():
    assert one(1e4, 1.0, inverse_temperature=5.0).isfinite().all()


@pytest.mark.parametrize("role", [0, 1])
def test_an_empty_group_leaves_its_weight_to_the_other(role):
    weights = group_weights(torch.tensor([[0.3, 0.6, 4.0]]), torch.tensor([[role, role, -1]]))
    assert weights[0].tolist() == pytest.approx([0.5, 0.5, 0.0])


def test_a_text_without_roles_weighs_nothing():
    assert not group_weights(torch.rand(1, 3), torch.full((1, 3), -1)).any()


def test_fixed_weights_do_not_look_at_losses():
    assert one(0.2, 1.0, reasoning=0.8)[:2].tolist() == pytest.approx([0.2, 0.8])
    assert one(5.0, 0.1, reasoning=0.8)[:2].tolist() == pytest.approx([0.2, 0.8])


def test_sums_in_place_of_means():
    losses, roles = torch.tensor([[0.1, 0.3, 1.0]]), torch.tensor([[0, 0, 1]])
    weights = group_weights(losses, roles, inverse_temperature=0.3, reduction="sum")
    share = float(torch.sigmoid(torch.tensor(0.3 * (1.0 - 0.4))))
    assert weights[0].tolist() == pytest.approx([1 - share, 1 - share, share])


def test_sums_that_are_not_constants_are_refused():
    with pytest.raises(ValueError, match="have to be constants"):
        RftOptions(reduction="sum", detach=False)


# --- through the core's own step --------------------------------------------------------------------------------------


class Table(torch.nn.Module):
    """A model whose outputs are the losses themselves."""

    def __init__(self, losses: torch.Tensor) -> None:
        super().__init__()
        self.losses = torch.nn.Parameter(losses.clone())


ROLES = ([0, 0, 0, 1], [1, 0], [0, 0, 0, 0, 0], [1, 1, 0], [1], [0, 1, 1, 1, 1])


def trained(table: Table, batches: list[list[int]], **options) -> float:
    """One step of the core over some batches of rows; the loss it says."""
    method = Rft(RftOptions(**options))
    sizes = np.array([len(row) for row in ROLES])
    method.starts, method.roles = (
        np.cumsum(sizes) - sizes,
        torch.tensor([one for row in ROLES for one in row], dtype=torch.int8),
    )
    made = []
    for rows in batches:
        labels = torch.full((len(rows), 8), -100)
        for at, row in enumerate(rows):
            labels[at, 2 : 2 + sizes[row]] = 7  # behind two tokens of a prompt
        made.append({"input_ids": torch.zeros_like(labels), "labels": labels, "row": torch.tensor(rows)})
    task = SimpleNamespace(
        outputs=lambda model, batch: model.losses[batch["row"]],
        losses=lambda outputs, batch: (outputs, (batch["labels"] != -100).float()),
    )
    built = SimpleNamespace(model=table, methods=[method], moving=lambda: [table.losses])
    accelerator = open_accelerator(Training(device="cpu", precision="fp32"))
    return backward(SimpleNamespace(built=built, task=task, accelerator=accelerator), made)


def by_hand(table: Table, rows: list[int], inverse: float, detach: bool) -> torch.Tensor:
    """The mean over rows of w_b L_b + w_r L_r, written out."""
    total = []
    for row in rows:
        losses, roles = table.losses[row, 2 : 2 + len(ROLES[row])], torch.tensor(ROLES[row])
        groups = [losses[roles == role].mean() for role in (0, 1) if (roles == role).any()]
        means = torch.stack(groups)
        weights = torch.softmax(inverse * means, 0)
        total.append(((weights.detach() if detach else weights) * means).sum())
    return torch.stack(total).mean()


@pytest.mark.parametrize("batches", [[[0, 1, 2, 3, 4, 5]], [[0, 1, 2], [3], [4, 5]], [[5, 2], [0]]])
@pytest.mark.parametrize("detach", [True, False])
def test_a_step_is_the_mean_of_the_loss_over_texts(batches, detach):
    """Groups of unequal size, and batches gathered for one step: each text counts for one."""
    torch.manual_seed(0)
    losses = 3 * torch.rand(len(ROLES), 8)
    table, other = Table(losses), Table(losses)
    said = trained(table, batches, inverse_temperature=0.3, detach=detach)
    wanted = by_hand(other, [row for rows in batches for row in rows], 0.3, detach)
    wanted.backward()
    assert said == pytest.approx(wanted.item(), rel=1e-6)
    torch.testing.assert_close(table.losses.grad, other.losses.grad, atol=1e-7, rtol=1e-5)


def test_sums_point_where_the_sum_of_losses_points():
    torch.manual_seed(0)
    losses = torch.rand(len(ROLES), 8)
    table, other = Table(losses), Table(losses)
    trained(table, [[0, 1], [3]], reduction="sum")
    for row in (0, 1, 3):
        some, roles = other.losses[row, 2 : 2 + len(ROLES[row])], torch.tensor(ROLES[row])
        sums = torch.stack([some[roles == role].sum() for role in (0, 1)])
        (torch.softmax(0.3 * sums, 0).detach() * sums).sum().backward()
    ratio = table.losses.grad[other.losses.grad != 0] / other.losses.grad[other.losses.grad != 0]
    torch.testing.assert_close(ratio, ratio[:1].expand_as(ratio))


# --- whole runs -------------------------------------------------------------------------------------------------------


def points(run) -> list[dict]:
    return [{k: v for k, v in point.items() if k != "seconds"} for point in run.points]


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A lab with a plain run and one with roles."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("rft")
        patch.setenv("PEFT_LAB_CACHE", str(folder / "cache"))
        lab = tiny_causal_lab(folder)
        plain = lab.train("lora", **{k: v for k, v in FAST.items() if not k.startswith("shad")})
        yield lab, plain, lab.train("lora+rft", **FAST), folder


def test_a_run_finds_roles_and_weighs_by_them(shared):
    _, plain, run, _ = shared
    assert points(run)[0] != points(plain)[0]
    assert any("are reasoning, the rest boilerplate" in note for note in run.record["notes"])
    assert all(mark["ok"] for mark in run.record["proof"])
    scores = run.metrics["test"]
    assert scores["loss_reasoning"] > 0 and scores["loss_boilerplate"] > 0


def test_a_plan_does_not_look_for_roles_and_says_so(shared, monkeypatch):
    lab, *_ = shared
    monkeypatch.setattr(
        "peft_lab.methods._finds_roles.find_differences", lambda *_: pytest.fail("roles were looked for")
    )
    plan = lab.plan("lora+rft", **FAST)
    assert any("Roles are found when training begins" in note for note in plan.notes)
    assert plan.forecast.seconds


def test_roles_and_losses_are_of_the_same_rows(shared):
    _, _, run, _ = shared
    roles, losses = run.artifact("token-roles"), run.artifact("token-losses")
    known, told = rows_of(roles), rows_of(losses)
    held_out = roles.arrays["held_out"].values
    assert list(known)[: len(told)] == sorted(told, key=list(known).index)
    assert held_out.sum() == len(told) and held_out[: len(told)].all()
    assert len(known) == len(told) + 16
    kinds = roles.arrays["kind"].values
    assert ((roles.arrays["role"].values >= 0) == np.isin(kinds, (1, 3))).all()
    assert np.isnan(roles.arrays["ld"].values).sum() == (kinds % 2 == 0).sum()
    for row in known.values():
        assert ((row.values["ld"] > 0) == (row.values["role"] == 1)).all()
        assert row.values["weight"].mean() == pytest.approx(1, abs=1e-4)


def test_losses_by_role_are_those_of_the_tokens(shared):
    _, plain, run, _ = shared
    both = [
        (a.values["after"], rows_of(run.artifact("token-roles"))[d].values["role"])
        for d, a in rows_of(run.artifact("token-losses")).items()
    ]
    after, role = (np.concatenate(part) for part in zip(*both, strict=True))
    assert run.metrics["test"]["loss_reasoning"] == pytest.approx(after[role == 1].mean(), rel=1e-5)
    laid_over = by_run([plain, run])
    assert set(laid_over) == {plain.id}
    expected = loss_by_role(plain.artifact("token-losses"), run.artifact("token-roles"))
    assert laid_over[plain.id] == expected
    assert len(expected) == 2
    assert by_run([plain]) == {}


def test_compare_shows_losses_by_role_of_plain_runs_too(shared):
    lab, plain, run, _ = shared
    table, _ = lab.compare(plain.id, run.id).parts
    at = table.columns.index("loss reasoning")
    assert all(row[at] != "-" for row in table.rows)
    assert f"Losses by role of {plain.id}" in table.note


def test_roles_of_other_rows_are_not_laid_over():
    losses = Artifact(
        "token-losses",
        {
            "sample": Array(np.zeros(2, np.int32), ("token",)),
            "kind": Array(np.ones(2, np.int8), ("token",)),
            "token": Array(np.arange(2, dtype=np.int32), ("token",)),
            "after": Array(np.ones(2, np.float32), ("token",)),
            "digest": Array(np.zeros(1, np.int32), ("sample",), {"sample": ["a"]}),
        },
    )
    roles = Artifact(
        "token-roles",
        {
            **losses.arrays,
            "role": Array(np.array([0, 1]), ("token",)),
            "digest": Array(np.zeros(1, np.int32), ("sample",), {"sample": ["b"]}),
        },
    )
    assert loss_by_role(losses, roles) == {}


def test_a_stop_while_roles_are_found_leaves_a_run_that_goes_on(shared, monkeypatch, tmp_path):
    lab, _, run, _ = shared
    monkeypatch.setenv("PEFT_LAB_CACHE", str(tmp_path))  # where no roles are known
    from peft_lab.training.progress import Progress
    from peft_lab.training.session import resume, train

    class Pressed(Progress):
        """Stop is pressed when a phase is seen."""

        phases = ()

        def update(self, **facts):
            super().update(**facts)
            self.phases = (*self.phases, self.state["phase"])
            if self.state["phase"].startswith("finding roles: step 2"):
                self.stop()

    progress = Pressed()
    stopped = train(lab.recipe("lora+rft", **FAST), lab.host, lab.folder, progress)
    assert stopped.status == "stopped"
    assert stopped.record["steps"]["done"] == 0
    assert progress.phases.count("finding roles: step 2 of 4") == 1
    assert not any(phase.startswith("finding roles: step 3") for phase in progress.phases)
    assert "token-roles" not in stopped.artifacts
    assert resume(stopped, lab.host).status == "finished"
    assert points(stopped) == points(run)
    assert "token-roles" in stopped.artifacts


def test_without_weights_none_are_computed(shared, monkeypatch):
    lab, _, _, folder = shared
    monkeypatch.setenv("PEFT_LAB_CACHE", str(folder / "cache"))
    monkeypatch.setattr(Rft, "_weights", lambda *_: pytest.fail("tokens were weighed"))
    assert "token-roles" in lab.train("lora+rft", weights="sft", **FAST).artifacts


def test_weights_of_plain_fine_tuning_give_its_numbers_exactly(shared, monkeypatch):
    lab, plain, _, folder = shared
    monkeypatch.setenv("PEFT_LAB_CACHE", str(folder / "cache"))
    same = lab.train("lora+rft", weights="sft", **FAST)
    assert points(same) == points(plain)
    assert any("found again" in note for note in same.record["notes"])
    only_shown = lab.train("lora+shad", control=False, **FAST)
    assert points(only_shown) == points(plain)
    assert "token-roles" in only_shown.artifacts


def test_a_resumed_run_has_its_roles(shared, monkeypatch):
    lab, _, run, folder = shared
    monkeypatch.setenv("PEFT_LAB_CACHE", str(folder / "cache"))
    recipe = lab.recipe("lora+rft", **FAST)
    from peft_lab.training.session import resume, train

    class Stops:
        """Stops before the second step."""

        def __new__(cls):
            from peft_lab.training.progress import Progress

            progress = Progress()
            asked = iter([False, True, True, True, True])
            progress.stopping = lambda: next(asked, True)
            return progress

    stopped = train(recipe, lab.host, lab.folder, Stops())
    assert stopped.status == "stopped"
    resumed = resume(stopped, lab.host)
    assert points(resumed)[-1] == points(run)[-1]


@pytest.mark.parametrize("roles", ["json", "regex"])
def test_roles_by_rule(shared, roles):
    lab, *_ = shared
    run = lab.train("lora+rft", roles=roles, **FAST)
    kept = run.artifact("token-roles")
    role, pieces = kept.arrays["role"].values, kept.arrays["role"].labels["token"]
    answers = [
        "".join(p for p, r, s in zip(pieces, role, kept.arrays["sample"].values, strict=True) if r == 1 and s == at)
        for at in range(5)
    ]
    assert all("{" not in text and text for text in answers)
    assert np.isnan(kept.arrays["ld"].values).all()
    assert "loss_reasoning" in run.metrics["test"]


def test_the_control_is_told(shared):
    lab, *_ = shared
    run = lab.train("lora+rft", control=True, **FAST)
    assert any(note.startswith("Control: tuned on ") for note in run.record["notes"])


def test_a_task_without_answers_that_are_text_is_refused(tmp_path):
    with pytest.raises(MethodRefused, match="classification has none"):
        tiny_lab(tmp_path).train("lora+rft", max_steps=1)


def test_alone_it_trains_nothing(tmp_path):
    with pytest.raises(BadOption, match="trains nothing of its own"):
        tiny_lab(tmp_path).recipe("rft")


@pytest.mark.parametrize("name", ["shad", "rft"])
def test_the_whole_contract(name, tmp_path):
    method = Host(entry_points=False).find("methods", name)
    check_method(method, tmp_path, {"shad_steps": 4, "control": False, "write_answers": 0}, task="causal")
