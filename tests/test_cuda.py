"""What runs on a GPU only: `python -m pytest -m cuda`. Where there is none, each test skips and says so."""

import gc
import json

import numpy as np
import pytest
import torch

from peft_lab.errors import BadOption
from peft_lab.recipe import Training
from peft_lab.testing import tiny_lab, tiny_rows
from peft_lab.training import hardware, loop
from peft_lab.training.batches import Batcher
from peft_lab.training.cost import PeakMemory, give_back
from peft_lab.training.masks import MaskedEntries
from peft_lab.training.randomness import kept_apart, seed_everything, set_states, states
from peft_lab.training.restore import restore

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device, and this machine has none"),
]
MIB = 2**20


@pytest.fixture
def lab(tmp_path):
    return tiny_lab(tmp_path)


def spied(lab, *args, **settings):
    """A run, and what its job looked like after the last step."""
    seen = {}

    def spy(job, original=loop.fit):
        outcome = original(job)
        seen.update(
            devices={t.device.type for t in (*job.built.model.parameters(), *job.built.model.buffers())},
            dtypes={p.dtype for p in job.built.model.parameters()},
            trained={p.dtype for p in job.built.trainable().values()},
        )
        return outcome

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "fit", spy)
        return lab.train(*args, **settings), seen


def test_auto_takes_the_gpu_and_says_which(lab):
    run, seen = spied(lab, "bitfit", batch_size=8)
    about = run.record["hardware"]
    assert about["device"].startswith("cuda") and seen["devices"] == {"cuda"}
    assert about["name"] == torch.cuda.get_device_name()
    assert about["memory"] == torch.cuda.get_device_properties(0).total_memory
    assert about["tf32"] in (True, False)
    there, here = run.metrics["test"]["loss"], lab.train("bitfit", batch_size=8, device="cpu").metrics["test"]["loss"]
    assert there == pytest.approx(here, abs=0.05)


def test_cpu_may_be_asked_for_all_the_same(lab):
    run, seen = spied(lab, "head", device="cpu", max_steps=2)
    assert run.record["hardware"]["device"] == "cpu" and seen["devices"] == {"cpu"}


def test_one_gpu_by_its_number(lab):
    last = torch.cuda.device_count() - 1
    accelerator = hardware.open_accelerator(Training(device=f"cuda:{last}"))
    assert accelerator.device == torch.device("cuda", last)
    run, _ = spied(lab, "head", device=f"cuda:{last}", max_steps=2)
    assert run.record["hardware"]["name"] == torch.cuda.get_device_name(last)
    with pytest.raises(BadOption, match=f"no device cuda:{last + 1}"):
        lab.train("head", device=f"cuda:{last + 1}", max_steps=2)


def test_bf16_where_the_gpu_multiplies_it(lab):
    takes = "bf16" if torch.cuda.get_device_capability() >= (8, 0) or torch.version.hip else "fp32"
    assert hardware.choose_precision("auto", "cuda") == takes


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("method", ["full", "bitfit", "lora", "peft:vera"])
def test_methods_learn_and_come_back_bit_for_bit(lab, method, precision):
    run, seen = spied(lab, method, device="cuda", precision=precision, batch_size=8)
    assert run.record["hardware"]["precision"] == precision
    assert all(mark["ok"] for mark in run.record["proof"]), run.record["proof"]
    frozen_in_bf16 = precision == "bf16" and method != "full"
    assert seen["dtypes"] == ({torch.float32, torch.bfloat16} if frozen_in_bf16 else {torch.float32})
    assert seen["trained"] == {torch.float32}
    losses = [p["loss"] for p in run.points if p["split"] == "train"]
    assert np.isfinite(losses).all() and losses[-1] < losses[0]
    rows = tiny_rows(24, seed=2)
    assert np.array_equal(restore(run, lab.host).outputs(rows), restore(run, lab.host).outputs(rows))


def test_a_run_of_the_gpu_opens_on_a_cpu(lab, monkeypatch):
    run, _ = spied(lab, "lora", device="cuda", precision="fp32", batch_size=8)
    rows = tiny_rows(24, seed=2)
    there = restore(run, lab.host).outputs(rows)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    here = restore(run, lab.host)
    assert {p.device.type for p in here.built.model.parameters()} == {"cpu"}
    assert np.allclose(here.outputs(rows), there, atol=1e-2)


def test_the_optimizer_is_one_fused_kernel(lab):
    used = []

    def spy(built, training, original=loop.make_optimizer):
        used.append(original(built, training))
        return used[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "make_optimizer", spy)
        lab.train("bitfit", device="cuda", max_steps=2)
    assert used[0].defaults["fused"] is True
    assert {t.device.type for state in used[0].state.values() for t in state.values()} == {"cuda"}


def test_batches_are_the_same_as_on_a_cpu_and_come_from_pinned_memory(lab, monkeypatch):
    pinned = []
    original = torch.Tensor.pin_memory
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda self: pinned.append(1) or original(self))
    made = {}

    def spy(job):
        for kind in ("cuda", "cpu"):
            batcher = Batcher(lab_tokenizer(job), torch.device(kind))
            made[kind] = list(batcher.epoch(job.train, 8, torch.Generator().manual_seed(0)))
        raise KeyboardInterrupt

    monkeypatch.setattr(loop, "fit", spy)
    with pytest.raises(KeyboardInterrupt):
        lab.train("head", device="cpu")
    assert pinned and len(made["cuda"]) == len(made["cpu"]) > 1
    for there, here in zip(made["cuda"], made["cpu"], strict=True):
        assert there.keys() == here.keys()
        for name in here:
            assert there[name].is_cuda and torch.equal(there[name].cpu(), here[name])


def lab_tokenizer(job):
    class Known:
        pad_token_id = job.batcher.pad_id
        padding_side = "left" if job.batcher.left else "right"

    return Known()


def test_peak_memory_is_that_of_the_device():
    give_back()
    before = torch.cuda.memory_allocated()
    memory = PeakMemory(torch.device("cuda"))
    block = torch.empty(64 * MIB, dtype=torch.uint8, device="cuda")
    del block
    peak = memory.read() - before
    assert 64 * MIB <= peak < 80 * MIB
    assert PeakMemory(torch.device("cuda")).read() - before < 16 * MIB  # begun anew


def test_memory_is_given_back_between_runs(lab):
    def left():
        lab.train("full", device="cuda", max_steps=4, batch_size=8)
        gc.collect()
        torch._C._cuda_clearCublasWorkspaces()  # cuBLAS keeps them for the whole process: 64 MiB on a Hopper chip
        give_back()
        return torch.cuda.memory_allocated(), torch.cuda.memory_reserved()

    first = left()
    for _ in range(3):
        last = left()
    assert last[0] <= first[0] + MIB and last[1] <= first[1] + 4 * MIB
    assert last[0] < 32 * MIB


def test_random_numbers_of_the_device_are_kept_apart_and_come_back(lab):
    seed_everything(4)
    expected = torch.rand(3, device="cuda")
    seed_everything(4)
    with kept_apart():
        torch.rand(5, device="cuda")
        seed_everything(9)
    assert torch.equal(torch.rand(3, device="cuda"), expected)
    seed_everything(4)
    lab.train("full", device="cuda", max_steps=2)
    assert torch.equal(torch.rand(3, device="cuda"), expected)
    found = states()
    first = torch.rand(3, device="cuda")
    set_states(found)
    assert torch.equal(torch.rand(3, device="cuda"), first)


def test_masked_entries_train_on_the_device():
    layer = torch.nn.Linear(6, 4, device="cuda").requires_grad_(False)
    before = layer.weight.detach().clone()
    chosen = torch.arange(0, 24, 3)
    masked = MaskedEntries(layer, {"weight": chosen})
    optimizer = torch.optim.AdamW([masked.values[0]], lr=0.1, weight_decay=0.5, fused=True)
    for _ in range(3):
        layer(torch.randn(8, 6, device="cuda")).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
        masked.write()
    moved = (layer.weight != before).flatten().nonzero().flatten().cpu()
    assert torch.equal(moved, chosen)


def test_the_benchmark_runs_in_small(tmp_path):
    from benchmarks import gpu

    gpu.main(["--small", "--out", str(tmp_path / "gpu.json")])
    results = json.loads((tmp_path / "gpu.json").read_text())["results"]
    assert {row["device"].partition(":")[0] for row in results["quality"]} == {"cuda"}
