"""Runs told to trackers: read back by the trackers themselves; nothing told unasked; a failure costs one line."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from made_study import write_run

from peft_lab.errors import BadOption, PeftLabError
from peft_lab.lab import Lab
from peft_lab.testing import tiny_lab, tiny_rows
from peft_lab.testing.tiny import tiny_model
from peft_lab.trackers import choice, facts, relays
from peft_lab.trackers.into_mlflow import made_by_one
from peft_lab.trackers.relay import Relay
from peft_lab.trackers.writer import environment

SECRET = "the red crane"
PATIENCE = 120.0


@pytest.fixture(autouse=True)
def nothing_on(monkeypatch):
    """No tracker is on before or after a test."""
    monkeypatch.delenv(choice.VARIABLE, raising=False)
    monkeypatch.delenv(choice.STUDY, raising=False)
    yield
    relays.off()
    os.environ.pop(choice.VARIABLE, None)


def client_of(folder: Path):
    from mlflow.tracking import MlflowClient

    with made_by_one(choice.made("mlflow", str(folder))):
        return MlflowClient(tracking_uri=f"sqlite:///{folder / 'mlflow.db'}", registry_uri=str(folder))


# --- what is asked ----------------------------------------------------------------------------------------------------


def test_nothing_is_told_unasked(tmp_path):
    relay = Relay("mlflow")
    run = write_run(tmp_path / "run-1", "lora")
    relay.started(run.record)
    relay.logged("run-1", {"step": 1, "split": "train", "loss": 1.0})
    relay.finished(run.record)
    assert relay._thread is None and relay.runs == 0 and relay._queue.empty()


def test_a_choice_reads_as_it_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = choice.made("mlflow", "./my runs", "tickets", artifacts=True)
    assert made.to == str(tmp_path / "my runs") and not made.remote
    assert choice.read(str(made)) == made
    choice.choose(made)
    assert choice.chosen() == {"mlflow": made}
    monkeypatch.setenv(choice.VARIABLE, "mlflow --to http://mlflow.test:5000 --artifacts; ")
    assert choice.chosen()["mlflow"].remote and choice.chosen()["mlflow"].artifacts
    choice.leave("mlflow")
    assert choice.VARIABLE not in os.environ


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("mlfow", "no tracker 'mlfow'.*mlflow"),
        ("mlflow --too x", "holds '--too'"),
        ("mlflow --to", "holds '--to'"),
        ("mlflow 'x", "cannot be read"),
    ],
)
def test_what_cannot_be_understood_is_said(monkeypatch, text, said):
    monkeypatch.setenv(choice.VARIABLE, text)
    with pytest.raises(BadOption, match=said):
        choice.chosen()


def test_a_tracker_that_is_not_installed_is_said_when_it_is_asked_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mlflow").mkdir()  # a folder of that name is no package
    monkeypatch.setattr(choice, "find_spec", lambda name: None)
    with pytest.raises(PeftLabError, match=r'mlflow is not installed. pip install "peft-lab\[mlflow\]"'):
        Lab(tmp_path / "runs").track("mlflow")
    assert choice.VARIABLE not in os.environ


def test_trackio_is_never_led_elsewhere(tmp_path, monkeypatch):
    monkeypatch.setattr(choice, "find_spec", lambda name: sys.modules["json"].__spec__)
    with pytest.raises(BadOption, match="writes to a folder here"):
        choice.made("trackio", "https://somebody-space.hf.space")
    outer = {"TRACKIO_SPACE_ID": "a/b", "TRACKIO_SERVER_URL": "http://x", "HF_TOKEN": "secret", "PATH": "/bin"}
    inner = environment(choice.made("trackio", str(tmp_path)), outer)
    assert inner["TRACKIO_DIR"] == str(tmp_path) and inner["HF_HUB_OFFLINE"] == "1" and inner["PATH"] == "/bin"
    assert not {"TRACKIO_SPACE_ID", "TRACKIO_SERVER_URL", "HF_TOKEN"} & set(inner)


def test_mlflow_goes_where_it_was_told_and_counts_nothing(tmp_path):
    outer = {"MLFLOW_TRACKING_URI": "http://elsewhere", "MLFLOW_RUN_ID": "x", "MLFLOW_TRACKING_TOKEN": "mine"}
    inner = environment(choice.made("mlflow", "https://mlflow.test"), outer)
    assert inner["MLFLOW_DISABLE_TELEMETRY"] == "true" and inner["DO_NOT_TRACK"] == "true"
    assert "MLFLOW_TRACKING_URI" not in inner and "MLFLOW_RUN_ID" not in inner
    assert inner["MLFLOW_TRACKING_TOKEN"] == "mine"  # a server may ask who is there


def test_other_machines_are_led_to_addresses_only(tmp_path, monkeypatch):
    monkeypatch.setattr(choice, "find_spec", lambda name: SimpleNamespace(origin="there"))
    monkeypatch.setenv(choice.VARIABLE, f"trackio --to {tmp_path}; mlflow --to https://example.com")
    told = choice.told_from()
    assert told["here"] == {choice.VARIABLE: f"trackio --to {tmp_path}; mlflow --to https://example.com"}
    assert told["away"] == {choice.VARIABLE: "mlflow --to https://example.com"}


def test_flags_without_a_tracker_are_refused(tmp_path):
    with pytest.raises(BadOption, match="no tracker is named"):
        Lab(tmp_path).track(to="./mlruns")
    assert "nothing is told to anybody" in str(Lab(tmp_path).track())


# --- what is told -----------------------------------------------------------------------------------------------------


def test_a_recipe_is_told_flat_and_without_what_was_not_set(tmp_path):
    run = write_run(tmp_path / "run-1", "sparse+anchor", seed=3)
    told = dict(facts.params(run.record["recipe"]))
    assert told["method"] == "sparse+anchor" and told["seed"] == "3" and told["data.source"] == "tickets.csv"
    assert told["training.epochs"] == "3.0" and "training.max_steps" not in told


def test_what_an_error_says_is_not_told(tmp_path):
    run = write_run(tmp_path / "run-1", "lora", status="failed", error=f"the label {SECRET!r} is unknown")
    assert facts.tags(run.record)["error"] == "OutOfMemory"
    assert SECRET not in json.dumps(facts.ended(run.record))


def test_points_are_told_by_split():
    point = {"step": 3, "epoch": 0.1, "split": "train", "loss": 0.5, "seconds": 2.0, "learning_rate": 1e-3}
    assert facts.metrics_of(point) == {"train/loss": 0.5, "train/learning_rate": 1e-3}
    assert facts.metrics_of({"step": 3, "split": "train", "loss": np.float32(0.5), "x": "y"}) == {"train/loss": 0.5}
    assert facts.metrics_of({"step": 3, "split": "validation", "accuracy": 1}) == {"validation/accuracy": 1.0}


def test_a_run_that_goes_on_is_the_same_one(tmp_path):
    record = dict(write_run(tmp_path / "run-1", "lora").record)
    assert facts.key_of(record) == facts.key_of({**record, "status": "running", "ended": None, "resumed": [{}]})
    assert facts.key_of(record) != facts.key_of({**record, "started": "2026-12-01T09:00:00+00:00"})


# --- mlflow -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """Two real runs told to MLflow in a folder, one of them through a label of a study."""
    folder = tmp_path_factory.mktemp("told")
    lab = tiny_lab(folder)
    before = os.environ.pop(choice.VARIABLE, None)
    table = lab.track("mlflow", str(folder / "mlruns"), artifacts=True)
    run = lab.train("bitfit", epochs=1, batch_size=8)
    os.environ[choice.STUDY] = "pilot"
    other = lab.train("lora", rank=2, epochs=1, batch_size=8, seed=1)
    del os.environ[choice.STUDY]
    settled = relays.settle(PATIENCE)
    state = str(lab.track())
    relays.off()
    os.environ.pop(choice.VARIABLE, None)
    if before is not None:
        os.environ[choice.VARIABLE] = before
    return folder / "mlruns", run, other, (str(table), settled, state, lab)


def found(folder: Path) -> dict:
    client = client_of(folder)
    experiment = client.get_experiment_by_name("peft_lab")
    return {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}


def test_mlflow_has_what_the_run_has(told):
    folder, run, _, (table, settled, state, lab) = told
    assert settled and "2 runs" in state and not lab.host.problems
    assert str(folder.name) in table and "mlflow ui --backend-store-uri sqlite:///" in table
    runs = found(folder)
    assert set(runs) == {"run-1", "run-2"}
    first, second = runs["run-1"], runs["run-2"]
    assert first.info.status == "FINISHED"
    assert first.data.params["method"] == "bitfit" and second.data.params["lora.rank"] == "2"
    assert second.data.params["seed"] == "1" and first.data.params["model"] == "tiny"
    assert first.data.metrics["final/test/accuracy"] == pytest.approx(run.metrics["test"]["accuracy"])
    assert first.data.metrics["cost/trainable"] == run.cost["trainable"]
    assert first.data.tags["peft_lab.data"] == run.record["fingerprints"]["data"]
    assert first.data.tags["peft_lab.status"] == "finished" and "peft_lab.study" not in first.data.tags
    assert second.data.tags["peft_lab.study"] == "pilot"


def test_mlflow_has_every_point_at_its_step(told):
    folder, run, _, _ = told
    client, there = client_of(folder), found(folder)["run-1"]
    history = client.get_metric_history(there.info.run_id, "train/loss")
    mine = [(p["step"], p["loss"]) for p in run.points if p["split"] == "train"]
    assert [(one.step, one.value) for one in sorted(history, key=lambda m: m.step)] == mine
    validation = client.get_metric_history(there.info.run_id, "validation/accuracy")
    assert [one.step for one in validation] == [p["step"] for p in run.points if p["split"] == "validation"]


def test_no_text_of_the_data_is_told_and_the_card_only_where_it_was_asked_for(told):
    folder, _, _, _ = told
    cards = list(folder.rglob("card.html"))
    assert len(cards) == 2 and "bitfit" in cards[0].read_text() + cards[1].read_text()
    texts = [row["text"] for row in tiny_rows(96) if len(row["text"]) > 25]
    for file in folder.rglob("*"):
        content = file.read_bytes() if file.is_file() else b""
        assert not [text for text in texts if text.encode() in content], file.name


def test_a_run_that_went_on_is_one_run_there(told, tmp_path):
    folder = told[0]
    record = dict(write_run(tmp_path / "run-9", "head").record)
    relay = Relay("mlflow")
    choice.choose(choice.made("mlflow", str(folder), "again"))
    for status in ("stopped", "finished"):
        relay.started({**record, "status": "running"})
        relay.logged("run-9", {"step": 1 if status == "stopped" else 2, "split": "train", "loss": float("nan")})
        relay.finished({**record, "status": status})
    assert relay.settle(PATIENCE), relay.fault
    relay.off()
    client = client_of(folder)
    (run,) = client.search_runs([client.get_experiment_by_name("again").experiment_id])
    assert run.info.status == "FINISHED" and run.data.tags["peft_lab.status"] == "finished"
    assert [m.step for m in client.get_metric_history(run.info.run_id, "train/loss")] == [1, 2]
    assert not (list(folder.rglob("card.html"))[2:])  # not asked for this time


def test_a_run_whose_process_is_gone_does_not_stay_running(told, tmp_path):
    folder = told[0]
    record = dict(write_run(tmp_path / "run-5", "head").record)
    relay = Relay("mlflow")
    choice.choose(choice.made("mlflow", str(folder), "gone"))
    relay.started({**record, "status": "running"})
    assert relay.settle(PATIENCE), relay.fault
    relay.off(PATIENCE)
    client = client_of(folder)
    (run,) = client.search_runs([client.get_experiment_by_name("gone").experiment_id])
    assert run.info.status == "KILLED" and run.data.tags["peft_lab.status"] == "crashed"


def test_the_hooks_are_quick_whatever_the_tracker_does(told, tmp_path):
    record = dict(write_run(tmp_path / "run-6", "head").record)
    relay = Relay("mlflow")
    choice.choose(choice.made("mlflow", str(told[0]), "quick"))
    took = []
    relay.started({**record, "status": "running"})  # its process begins now, and imports MLflow
    for step in range(400):
        began = time.perf_counter()
        relay.logged("run-6", {"step": step, "split": "train", "loss": 1.0})
        took.append(time.perf_counter() - began)
    relay.finished(record)
    assert sorted(took)[int(0.95 * len(took))] < 0.003
    assert relay.settle(PATIENCE), relay.fault
    relay.off()


def test_a_tracker_that_fails_costs_one_line_and_never_the_run(tmp_path, capsys):
    lab = tiny_lab(tmp_path)
    (tmp_path / "taken").write_text("a file, no folder", encoding="utf-8")
    os.environ[choice.VARIABLE] = f"mlflow --to '{tmp_path / 'taken'}'"
    first = lab.train("head", epochs=1, batch_size=8)
    relays.settle(PATIENCE)
    second = lab.train("head", epochs=1, batch_size=8, seed=1)
    assert first.status == second.status == "finished"
    assert "failed: FileExistsError" in str(lab.track())
    third = lab.train("head", epochs=1, batch_size=8, seed=2)
    assert third.status == "finished"
    lines = [line for line in capsys.readouterr().err.splitlines() if "mlflow" in line]
    assert len(lines) <= 1
    assert all("mlflow is not told any more" in problem.reason for problem in lab.host.problems)


@pytest.mark.slow
def test_a_run_in_a_process_of_its_own_is_told_too(tmp_path):
    import csv

    model = tiny_model(tmp_path / "tiny-bert")
    with (tmp_path / "tickets.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ("text", "label"))
        writer.writeheader()
        writer.writerows(tiny_rows(96))
    lab = Lab(tmp_path / "runs")
    choice.choose(choice.made("mlflow", str(tmp_path / "mlruns")))
    run = lab.train("head", model=str(model), data=str(tmp_path / "tickets.csv"), epochs=1, batch_size=16, bg=True)
    assert run.wait(PATIENCE).status == "finished"
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        try:
            there = found(tmp_path / "mlruns")[run.id]
            if there.info.status == "FINISHED":
                break
        except (KeyError, AttributeError):
            pass
        time.sleep(0.5)
    assert there.data.metrics["final/validation/accuracy"] == pytest.approx(run.metrics["validation"]["accuracy"])


# --- trackio ----------------------------------------------------------------------------------------------------------

FAKE = '''
"""The few functions of trackio that are used, with the names and defaults of trackio 0.43."""
import json, os
from pathlib import Path

def init(project, name=None, group=None, space_id=None, server_url=None, dataset_id=None, bucket_id=None, config=None,
         resume="never", settings=None, private=None, embed=True, auto_log_gpu=None, gpu_log_interval=10.0,
         auto_log_cpu=None, cpu_log_interval=10.0, webhook_url=None, webhook_min_level=None):
    assert not (space_id or server_url or embed or auto_log_gpu or auto_log_cpu), "nothing by itself"
    assert resume == "allow" and os.environ["HF_HUB_OFFLINE"] == "1" and "TRACKIO_SPACE_ID" not in os.environ
    print("* Trackio project initialized:", project)
    return Run(project, name, group, config)

class Run:
    def __init__(self, project, name, group, config):
        self.lines = [{"project": project, "name": name, "group": group, "config": config}]

    def log(self, metrics, step=None):
        self.lines.append({"step": step, **metrics})

    def finish(self):
        file = Path(os.environ["TRACKIO_DIR"], "fake.jsonl")
        with file.open("a") as out:
            out.write(json.dumps(self.lines) + "\\n")
'''


def test_trackio_is_told_as_its_functions_take_it(tmp_path, monkeypatch):
    package = tmp_path / "site" / "trackio"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(FAKE, encoding="utf-8")
    monkeypatch.setenv("TRACKIO_SPACE_ID", "somebody/space")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(package.parent), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setattr(choice, "find_spec", lambda name: sys.modules["json"].__spec__)
    lines = tell_trackio(tmp_path)
    (run,) = [json.loads(line) for line in (tmp_path / "trackio-runs" / "fake.jsonl").read_text().splitlines()]
    about, *points = run
    assert about["project"] == "peft_lab" and about["config"]["method"] == "lora" and about["name"].startswith("run-3 ")
    assert [p["train/loss"] for p in points[:-1]] == lines
    assert points[-1]["final/test/accuracy"] == 0.9 and points[-1]["tag/status"] == "finished"


def test_trackio_itself_reads_back_what_it_was_told(tmp_path):
    pytest.importorskip("trackio")
    import subprocess

    lines = tell_trackio(tmp_path)
    code = (
        "import json, sys; from trackio.sqlite_storage import SQLiteStorage as S; "
        "name = S.get_runs('peft_lab')[0]; "
        "logs, config = S.get_logs('peft_lab', name), S.get_run_config('peft_lab', name); "
        "print(json.dumps({'name': name, 'logs': logs, 'config': config}))"
    )
    inner = environment(choice.made("trackio", str(tmp_path / "trackio-runs")), os.environ)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=inner, timeout=120)
    assert done.returncode == 0, done.stderr
    there = json.loads(done.stdout.splitlines()[-1])
    assert there["name"].startswith("run-3 ") and there["config"]["method"] == "lora"
    assert [log["train/loss"] for log in there["logs"] if "train/loss" in log] == lines
    assert [log["final/test/accuracy"] for log in there["logs"] if "final/test/accuracy" in log] == [0.9]


def tell_trackio(folder: Path) -> list[float]:
    record = dict(write_run(folder / "run-3", "lora", score=0.9).record)
    relay = Relay("trackio")
    choice.choose(choice.made("trackio", str(folder / "trackio-runs")))
    relay.started({**record, "status": "running"})
    lines = [1.0, 0.5, 0.25]
    for step, loss in enumerate(lines, 1):
        relay.logged("run-3", {"step": step, "split": "train", "loss": loss})
    relay.finished(record)
    assert relay.settle(PATIENCE), relay.fault
    relay.off()
    return lines
