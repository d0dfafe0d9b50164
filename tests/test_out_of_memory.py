"""Memory that runs short: what is said, what is proposed, and that the proposal fits."""

import errno
import json
import os
import re
import subprocess
import sys
import textwrap

import pytest
import torch

from peft_lab.errors import ModelProblem, OutOfMemory
from peft_lab.testing import tiny_lab
from peft_lab.training import fitting, out_of_memory
from peft_lab.training.footprint import measure
from peft_lab.training.forecast import forecast_for
from peft_lab.training.out_of_memory import is_out_of_memory
from peft_lab.training.plan import Draft
from peft_lab.training.preparing import prepare
from peft_lab.training.progress import Progress


def with_cause(error, cause):
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory: you tried to ..."
        ),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 8 bytes."),
        RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
        with_cause(ModelProblem("'big' cannot be loaded"), MemoryError()),
    ],
)
def test_what_says_that_memory_ran_short_is_recognised(error):
    assert is_out_of_memory(error)


@pytest.mark.parametrize(
    "error",
    [
        None,
        RuntimeError("mat1 and mat2 shapes cannot be multiplied"),
        ValueError("out of memory"),
        OSError(errno.ENOSPC, "No space left on device"),
        KeyboardInterrupt(),
    ],
)
def test_other_errors_are_not(error):
    assert not is_out_of_memory(error)


# --- what would fit --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    return tiny_lab(tmp_path_factory.mktemp("memory"), hidden_size=64, intermediate_size=256)


def job_for(lab, method="full", **settings):
    recipe = lab.recipe(method, model="tiny", data="tiny", device="cpu", precision="fp32", **settings)
    return prepare(recipe, lab.host, Draft(recipe), Progress()).job


def flags(text):
    return {name.replace("-", "_"): int(value) for name, value in re.findall(r"--([a-z-]+) (\d+)", text)}


def needed(lab, method="full", **settings):
    """What settings take on top of the model, measured on them."""
    job = job_for(lab, method, **settings)
    longest = min(job.training.batch_size, len(job.train)), int(job.train.lengths.max())
    evaluated = fitting._evaluation_shape(job.training.eval_batch_size, int(job.validation.lengths.max()))
    return measure(job).moving([], [longest], [evaluated])


def test_smaller_batches_with_equal_steps_come_first(lab):
    job = job_for(lab, batch_size=64)
    found = measure(job)
    most = needed(lab, batch_size=64)
    said = fitting.what_fits(job, found, int(0.6 * most))
    asked = flags(said)
    assert asked["batch_size"] * asked["accumulate"] == 64
    assert needed(lab, **asked) <= 0.6 * most
    twice = {"batch_size": 2 * asked["batch_size"], "accumulate": asked["accumulate"] // 2}
    assert needed(lab, **twice) > fitting.SAFETY * 0.6 * most, "the largest that fits is proposed"


def test_batches_are_cut_so_that_steps_stay_equal(lab):
    job = job_for(lab, batch_size=24, accumulate=3)
    said = flags(fitting.what_fits(job, measure(job), int(0.7 * needed(lab, batch_size=24, accumulate=3))))
    assert said["batch_size"] * said["accumulate"] == 72


def test_evaluation_that_is_too_large_gets_smaller_batches(lab):
    job = job_for(lab, "head", batch_size=2, eval_batch_size=128)
    most = needed(lab, "head", batch_size=2, eval_batch_size=128)
    said = fitting.what_fits(job, measure(job), int(0.5 * most))
    asked = flags(said)
    assert asked["eval_batch_size"] < 128
    assert needed(lab, "head", batch_size=2, eval_batch_size=asked["eval_batch_size"]) <= 0.5 * most


def test_shorter_texts_are_proposed_where_no_batch_fits(lab):
    job = job_for(lab, "lora", batch_size=1, eval_batch_size=1)
    most = needed(lab, "lora", batch_size=1, eval_batch_size=1)
    said = fitting.what_fits(job, measure(job), int(0.9 * most))
    assert "of the texts" in said
    asked = flags(said)
    assert needed(lab, "lora", batch_size=1, eval_batch_size=1, **asked) <= 0.9 * most


def test_a_cheaper_method_is_proposed_where_the_optimizer_alone_is_too_large(lab):
    job = job_for(lab, batch_size=4)
    found = measure(job)
    said = fitting.what_fits(job, found, found.gradients + found.optimizer)
    assert said.startswith("bitfit")
    assert needed(lab, "bitfit", **{"batch_size": 4, **flags(said)}) <= found.gradients + found.optimizer


def test_nothing_is_proposed_that_was_not_computed_to_fit(lab):
    job = job_for(lab, batch_size=4)
    assert fitting.what_fits(job, measure(job), 1000) == ""


def test_after_a_failure_the_batch_that_failed_is_no_proposal(lab):
    """Whatever was computed: memory was too small for it."""
    job = job_for(lab, batch_size=32)
    said = flags(fitting.what_fits(job, measure(job), 10**12, failed=True))
    assert said["batch_size"] < 32


# --- before the first step -------------------------------------------------------------------------------------------


def test_what_cannot_fit_is_refused_before_the_first_step(lab, monkeypatch):
    monkeypatch.setattr(out_of_memory, "free_memory", lambda device: 100_000)
    with pytest.raises(OutOfMemory) as caught:
        lab.train("full", model="tiny", data="tiny", epochs=1, batch_size=32)
    assert "\n" not in str(caught.value)
    run = lab.run(max((p.name for p in lab.folder.glob("run-*")), key=lambda name: int(name[4:])))
    assert run.status == "failed"
    assert not run.points
    assert "OutOfMemory" in run.record["error"]["traceback"]
    assert lab.train("full", model="tiny", data="tiny", max_steps=2, anyway=True).status == "finished"


def test_a_near_thing_is_noted(lab, monkeypatch):
    more = forecast_for(job_for(lab, batch_size=32, epochs=2)).moving
    monkeypatch.setattr(out_of_memory, "free_memory", lambda device: int(1.05 * more))
    run = lab.train("full", model="tiny", data="tiny", epochs=2, batch_size=32, device="cpu", precision="fp32")
    assert any("near thing" in note for note in run.record["notes"])


def test_a_plan_of_what_cannot_fit_says_what_would(lab, monkeypatch):
    from peft_lab.training import plan

    most = needed(lab, batch_size=64)
    monkeypatch.setattr(plan, "free_memory", lambda device: int(0.6 * most))
    planned = lab.plan("full", model="tiny", data="tiny", batch_size=64)
    assert not planned.fits
    assert planned.seconds is None, "nothing was tried"
    assert "--accumulate" in planned.advice
    assert planned.advice in str(planned)


# --- under a real limit ----------------------------------------------------------------------------------------------

REAL = """
import json, re, resource, sys
from pathlib import Path
import psutil, torch
from peft_lab.errors import OutOfMemory
from peft_lab.testing import tiny_lab
from pluggy_specs import DatasetSource

folder = Path(sys.argv[1])
sizes = dict(hidden_size=128, intermediate_size=512, num_hidden_layers=4)
lab = tiny_lab(folder, **sizes)
rows = [{"text": "the red ship is on a wave " * 8 + "%d" % n, "label": "ab"[n % 2]} for n in range(1024)]
lab.host.add(DatasetSource("long", "long texts", lambda: {"train": rows, "test": rows[:32]}))
process = psutil.Process()

def train(**settings):
    return lab.train("full", model="tiny", data="long", precision="fp32", device="cpu", epochs=1, **settings)

def refused(**settings):
    try:
        train(**settings)
    except OutOfMemory as error:
        return str(error)

train(batch_size=8, max_steps=3)
start = process.memory_info().rss
limit = process.memory_info().vms + 400 * 2**20
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
before = refused(batch_size=512)
said = refused(batch_size=512, anyway=True)
end = process.memory_info().rss
failed = lab.run(2 + 1)
flags = {n.replace("-", "_"): int(v) for n, v in re.findall(r"--([a-z-]+) (\\d+)", said)}
run = train(**flags)
print(json.dumps({
    "before": before, "said": said, "start": start, "end": end, "status": failed.status,
    "traceback": failed.record["error"]["traceback"], "steps": failed.record["steps"]["done"], "flags": flags,
    "after": run.status, "peak": run.cost["peak_memory"], "forecast": run.record["forecast"]["memory"]["peak"],
}))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits of the address space hold on Linux")
def test_a_training_that_really_runs_out_of_memory(tmp_path):
    """Under a limit of the system: the process lives, memory is given back, and what is proposed fits."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(REAL), str(tmp_path)],
        capture_output=True,
        text=True,
        env=environment,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.strip().splitlines()[-1])
    assert "would take about" in found["before"]
    for said in (found["before"], found["said"]):
        assert "\n" not in said
        assert "--batch-size" in said
    assert "out of memory at step 1" in found["said"]
    assert found["status"] == "failed"
    assert found["steps"] == 0
    assert "allocate" in found["traceback"]
    assert "Traceback" in found["traceback"]
    assert found["end"] - found["start"] < 60 * 2**20, "memory is given back"
    assert found["flags"]["batch_size"] * found["flags"]["accumulate"] == 512
    assert found["after"] == "finished", "what was proposed fits under the same limit"
