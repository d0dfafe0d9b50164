"""Runs in the background: named at once, seen, stopped, waited for, resumed; one at a time on a base model."""

import asyncio
import json
import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from peft_lab.errors import BadOption, RunProblem
from peft_lab.lab import Lab
from peft_lab.run import Run
from peft_lab.testing import tiny_lab, tiny_model, tiny_rows


@pytest.fixture
def lab(tmp_path):
    """A lab whose model and data another process finds, too."""
    made = Lab(tmp_path / "runs")
    model, data = tiny_model(tmp_path / "model"), tmp_path / "rows.jsonl"
    data.write_text("\n".join(json.dumps(row) for row in tiny_rows(120)))
    made.recipe("head", model=str(model), data=str(data))
    yield made
    for run in (Run(path) for path in made.folder.glob("run-*")):
        if run.active:
            run.stop()
            run.wait(300)


LONG = {"epochs": 400, "batch_size": 4, "device": "cpu", "precision": "fp32"}


def until(done, seconds=300):
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)


def test_a_run_in_the_background_gives_way(lab, monkeypatch):
    monkeypatch.delenv("PEFT_LAB_NICE")
    run = lab.train("lora", bg=True, **LONG)
    until(lambda: run.progress.get("step", 0) > 0)
    pid = run.record["pid"]
    assert psutil.Process(pid).nice() == max(10, psutil.Process().nice())
    group = Path(f"/proc/{pid}/autogroup")
    with suppress(OSError):  # not every system has it
        assert group.read_text().endswith("nice 10\n")
    run.stop()
    assert run.wait(300).status == "stopped"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows knows no nice")
@pytest.mark.parametrize(("setting", "nice"), [("", 10), ("0", 0), ("3", 3), ("much", 10), ("-5", 10)])
def test_how_far_a_run_in_the_background_gives_way_is_a_setting(setting, nice):
    code = "import os; from peft_lab.training.giving_way import give_way; give_way(); print(os.nice(0))"
    env = {**os.environ, "PEFT_LAB_NICE": setting}
    own = os.nice(0)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env)
    assert int(done.stdout) == max(own, nice)


def test_a_run_in_the_background(lab):
    began = time.monotonic()
    run = lab.train("lora", bg=True, **LONG)
    assert time.monotonic() - began < 2, "a run in the background is there at once"
    assert run.id == "run-1" and run.active and lab.last is run
    assert run.recipe.method == "lora"
    with pytest.raises(RunProblem, match="run-1 is training on .*--beside"):
        lab.train("bitfit", epochs=1)
    with pytest.raises(RunProblem, match="run-1 is being trained now"):
        lab.resume("run-1")
    until(lambda: run.progress.get("step", 0) > 3)
    (row,) = lab.ps().rows
    assert row[0] == "run-1" and "of" in row[4] and "process" in row[7]
    shown = lab.stop()
    asked = time.monotonic()
    assert "run-1" in shown.title
    assert lab.wait("run-1").status == "stopped"
    assert time.monotonic() - asked < 20
    assert not lab.ps().rows
    assert run.record["steps"]["done"] < run.record["steps"]["planned"]
    with pytest.raises(RunProblem, match="run-1 is stopped"):
        run.stop()
    with pytest.raises(RunProblem, match="no run goes on"):
        lab.stop()

    more = lab.resume("run-1", bg=True)
    done = run.record["steps"]["done"]
    until(lambda: more.progress.get("step", 0) > done and more.active)
    run.stop()
    assert asyncio.run(waited(more)).record["steps"]["done"] > done


async def waited(run):
    return await run


def test_a_run_that_failed_in_the_background_says_so(lab):
    run = lab.train("lora", bg=True, targets=("nowhere",), **LONG)
    with pytest.raises(RunProblem, match="run-1 failed: no layer of this model is named 'nowhere'"):
        run.wait(300)
    until(lambda: "nowhere" in (run.path / "log.txt").read_text())
    assert run.status == "failed"


def test_what_another_process_cannot_see_is_refused(tmp_path):
    lab = tiny_lab(tmp_path)
    with pytest.raises(BadOption, match="model 'tiny' was added in this notebook"):
        lab.train("lora", bg=True)
    assert not list(lab.folder.glob("run-*"))


def test_a_killed_worker_is_a_crash(lab):
    import psutil

    run = lab.train("lora", bg=True, **LONG)
    until(lambda: run.progress.get("step", 0) > 0)
    psutil.Process(run.record["pid"]).kill()
    until(lambda: not run.active)
    until(lambda: all(child.status() != psutil.STATUS_ZOMBIE for child in psutil.Process().children()), 20)
    with pytest.raises(RunProblem, match="run-1 crashed.*%peft resume run-1"):
        run.wait()


def test_beside_another_run(lab):
    first = lab.train("lora", bg=True, **LONG)
    second = lab.train("head", beside=True, max_steps=2, device="cpu", precision="fp32")
    assert first.active and second.status == "finished"
    first.stop()
    first.wait()


def test_in_place_of_another_run(lab):
    first = lab.train("lora", bg=True, **LONG)
    until(lambda: first.progress.get("step", 0) > 2)
    with pytest.raises(BadOption, match="--beside keeps .*, --replace stops"):
        lab.train("head", beside=True, replace=True, max_steps=2)
    with pytest.raises(BadOption):
        lab.train("head", replace=True, max_stepz=2)
    assert first.active, "a line that cannot be trained stops nothing"
    second = lab.train("head", replace=True, max_steps=2, device="cpu", precision="fp32")
    assert first.status == "stopped" and first.record["steps"]["done"] > 2
    assert second.status == "finished"

    third = lab.train("lora", bg=True, **LONG)
    with pytest.raises(RunProblem, match=f"{third.id} is training on"):
        lab.resume(first.id)


def test_stopped_before_its_first_step_a_run_is_not_called_one_that_learned_nothing(tmp_path):
    from peft_lab.training.progress import Progress
    from peft_lab.training.session import train

    lab = tiny_lab(tmp_path)

    class AtOnce(Progress):
        def update(self, **facts):
            super().update(**facts)
            if self.state["phase"] == "training":
                self.stop()

    progress = AtOnce()
    progress.stop()
    run = train(lab.recipe("lora", **LONG), lab.host, lab.folder, progress)
    assert run.status == "stopped" and run.record["steps"]["done"] == 0
    assert "learn" not in str(run.record["proof"]) and all(mark["ok"] for mark in run.record["proof"])
    assert "✗" not in str(run)


def test_a_stop_from_elsewhere_ends_a_run_in_this_process(tmp_path):
    from peft_lab.training.progress import Progress
    from peft_lab.training.session import train

    lab = tiny_lab(tmp_path)

    class AndStop(Progress):
        def update(self, **facts):
            super().update(**facts)
            if self.state.get("step") == 3 and self.state["phase"] == "training":
                Run(self.state["path"]).stop()

    run = train(lab.recipe("lora", **LONG), lab.host, lab.folder, AndStop())
    assert run.status == "stopped" and run.record["steps"]["done"] == 3
