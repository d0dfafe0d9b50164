"""One run in two processes: the numbers of one alone, written by the main one, ended together."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from peft_lab.cli import main
from peft_lab.cli.line import NotUnderstood, understood
from peft_lab.run import Run
from peft_lab.testing.tiny import tiny_lab, tiny_model, tiny_rows
from peft_lab.training import hardware, together

HERE = Path(__file__).parent
RECIPES = (
    ("lora", {"rank": 4}),
    ("bitfit", {}),
    ("full", {}),
    ("sparse", {"density": 0.1}),
    ("full+anchor", {"l2": 0.1}),
)
PORT = {"MASTER_ADDR": "127.0.0.1", "GLOO_SOCKET_IFNAME": "lo"}


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    """A lab, and recipes without dropout: 41 rows in batches of 8, one of which has a single row; two make a step."""
    folder = tmp_path_factory.mktemp("together")
    lab = tiny_lab(folder)
    model = tiny_model(folder / "calm", hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    for name, rows in (
        ("train", tiny_rows(41)),
        ("validation", tiny_rows(24, seed=1)),
        ("test", tiny_rows(24, seed=2)),
    ):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    spec = lab.data_spec(
        str(folder / "train.jsonl"),
        validation=str(folder / "validation.jsonl"),
        test=str(folder / "test.jsonl"),
        text="text",
        label="label",
    )
    settings = {"batch_size": 8, "accumulate": 2, "epochs": 2, "device": "cpu", "precision": "fp32"}
    recipes = [lab.recipe(name, model=str(model), data=spec, **settings, **more) for name, more in RECIPES]
    return lab, recipes


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return str(one.getsockname()[1])


def launched(launcher, *words, timeout=240):
    """Run by a launcher with two processes; nothing listens beyond this machine."""
    environment = {**os.environ, **PORT, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", *launcher, *map(str, words)]
    pipe = subprocess.PIPE
    child = subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment, cwd=HERE)
    try:
        out, err = child.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        child.terminate()  # it ends those it began, which a kill would leave
        out, err = child.communicate(timeout=60)
        raise AssertionError(f"still there after {timeout} seconds: {err[-3000:]}") from None
    return subprocess.CompletedProcess(command, child.returncode, out, err)


def losses(run, split):
    return [point["loss"] for point in run.points if point["split"] == split]


def like(one, other):
    """The same run, but for rounding."""
    for split in ("train", "validation"):
        np.testing.assert_allclose(losses(one, split), losses(other, split), rtol=2e-3, atol=1e-5)
    assert one.record["steps"] == other.record["steps"]
    assert [m["ok"] for m in one.record["proof"]] == [m["ok"] for m in other.record["proof"]]
    first, second = (load_file(run.path / "weights.safetensors") for run in (one, other))
    assert first.keys() == second.keys()
    for name, values in first.items():
        if values.dtype.kind != "f":
            assert (values == second[name]).all(), f"{name}: other entries train"
        elif "key.bias" not in name:  # a softmax knows nothing of it: its gradient is rounding alone
            apart = np.abs(values - second[name])
            assert apart.max() < 2e-4, f"{name} is {apart.max():.2g} apart"


@pytest.mark.slow
def test_two_processes_have_the_numbers_of_one_and_end_together(asked):
    lab, recipes = asked
    folder = lab.folder.parent / "two"
    folder.mkdir()
    (folder / "recipes.json").write_text(json.dumps([recipe.model_dump(mode="json") for recipe in recipes]))
    began = time.monotonic()
    address = ("--master-addr", "127.0.0.1", "--master-port", free_port())
    torchrun = ("torch.distributed.run", "--nproc-per-node", "2", *address)
    done = launched(torchrun, HERE / "together.py", folder)
    runs = [Run(folder / f"run-{n + 1}") for n in range(len(recipes) + 2)]
    assert [run.status for run in runs] == ["finished"] * (len(recipes) + 1) + ["failed"], done.stderr[-3000:]
    for recipe, run in zip(recipes, runs, strict=False):
        like(lab.train_recipe(recipe), run)
        assert run.record["hardware"]["processes"] == 2
    again = runs[len(recipes)]
    assert again.record["resumed"] and again.record["resumed"][0]["at_step"] == 2
    assert losses(again, "train") == losses(runs[0], "train"), "goes on as if it had never ended"

    assert done.returncode == 1 and time.monotonic() - began < 200
    assert "process 1 of 2 failed" in runs[-1].record["error"]["message"]
    assert "no room" in runs[-1].record["error"]["message"]
    told = [line for line in done.stderr.splitlines() if " ends, told by main: " in line]
    assert any(line.startswith("process 0 ends, told by main: False: process 1 of 2 failed") for line in told)
    assert not any(line.startswith("process 1 ends, told by main: False") for line in told)


@pytest.mark.slow
def test_accelerate_launches_an_exported_recipe(asked):
    lab, recipes = asked
    file = lab.folder.parent / "recipe.json"
    file.write_text(json.dumps(recipes[1].model_dump(mode="json")))
    runs = lab.folder.parent / "launched"
    words = ("-m", "peft_lab", "run", file, "--runs", runs)
    launcher = ("accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--main_process_port", free_port())
    done = launched(launcher, *words)
    assert done.returncode == 0, done.stderr[-3000:]
    (run,) = (Run(path) for path in runs.glob("run-*"))
    assert run.status == "finished" and run.record["hardware"]["processes"] == 2
    assert done.stdout.count("finished") == 1, "said once"
    like(lab.train_recipe(recipes[1]), run)


def test_run_takes_a_recipe_file(asked, capsys):
    lab, recipes = asked
    with pytest.raises(NotUnderstood, match="run takes a recipe file"):
        understood(["run", "lora"], lambda: lab.host)
    assert main(["run", "--help"]) == 0 and "train METHODS" in capsys.readouterr().out
    file = lab.folder.parent / "one.json"
    file.write_text(json.dumps(recipes[0].model_dump(mode="json")))
    call = understood(["run", str(file), "--seed", "3"], lambda: lab.host)
    assert call.call.given["seed"] == 3


def test_one_process_among_several(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert together.processes() == 1, "a number alone was set by something else"
    monkeypatch.setenv("RANK", "2")
    monkeypatch.setenv("LOCAL_RANK", "0")
    assert (together.processes(), together.place()) == (4, 2)
    from peft_lab.errors import BadOption
    from peft_lab.recipe import Training

    monkeypatch.setattr(hardware, "choose_device", lambda wanted: wanted)
    with pytest.raises(BadOption, match="cuda:1 is one device, and 4 processes train together. Say --device cuda"):
        hardware.open_accelerator(Training(device="cuda:1"))
    share = [together.Together(4, rank, None).share(np.arange(6)).tolist() for rank in range(4)]
    assert share == [[0, 4], [1, 5], [2], [3]]
