"""The plain script of a run: what it computes is what the run computed, and it needs nothing of peft_lab."""

import ast
import json
import os
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest

from peft_lab.errors import BadOption, PeftLabError, RunProblem
from peft_lab.keeping.script_names import beginnings, ends
from peft_lab.run import Run
from peft_lab.testing import tiny_lab, tiny_rows
from pluggy_specs import DatasetSource, Method, Options

CLOSE = 1e-5


class SomeEntries(Method):
    """A method of somebody else: trains entries, and a bias, that nobody could guess from its name."""

    name = "some-entries"
    summary = "for tests"

    def attach(self, model, context):
        model.get_parameter("bert.encoder.layer.1.output.dense.bias").requires_grad_(True)

    def masks(self, model):
        import torch

        size = model.get_parameter("bert.encoder.layer.0.output.dense.weight").numel()
        places = torch.randperm(size, generator=torch.Generator().manual_seed(1))[:200]
        norm = torch.tensor([3, 5, 8])
        return {
            "bert.encoder.layer.0.output.dense.weight": places,
            "bert.encoder.layer.0.output.LayerNorm.weight": norm,
        }


class Scaled(Method):
    """A method of somebody else that has no parameters of its own, and yet changes what the model computes."""

    name = "scaled"
    summary = "for tests"

    def attach(self, model, context):
        model.get_parameter("bert.encoder.layer.1.output.dense.bias").requires_grad_(True)
        model.bert.encoder.layer[0].register_forward_hook(lambda module, inputs, output: output * 1.5)


class Weighing(Method):
    """Weighs texts by their length."""

    name = "weighing"
    summary = "for tests"

    Options = Options

    def weigh_tokens(self, losses, batch):
        return batch["attention_mask"].sum(1, keepdim=True).float()


CASES = {
    "full": {"epochs": 2},
    "head": {"schedule": "constant", "train_head": "top"},
    "bitfit": {"schedule": "cosine", "clip": 0, "weight_decay": 0.1, "warmup": 0},
    "lora": {"dropout": 0.1, "rank": 4, "targets": ["all-linear"], "seed": 3},
    "peft:ia3": {"learning_rate": 1e-2},
    "peft:prefix_tuning": {"num_virtual_tokens": 4},
    "bitfit+lora": {"accumulate": 3, "max_steps": 9},
    "layers": {"count": 1},
    "layers+lora": {"layers.layers": (1,), "max_steps": 9},
    "some-entries": {"weight_decay": 0.5, "learning_rate": 1e-2},
    "sparse": {"density": 0.05, "learning_rate": 1e-2},
    "selective": {"by": "child-task", "max_steps": 9},
}
RUNNER = """
import contextlib, io, os, runpy, sys
for file in sys.argv[1:]:
    with contextlib.redirect_stdout(io.StringIO()):
        runpy.run_path(file, run_name="__main__")
found = [name for name in sys.modules if name.split(".")[0] in ("peft_lab", "pluggy_specs")]
assert not found, f"a script imported {found}"
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A tiny lab; its model has dropout, and its tokenizer no pad token."""
    lab = tiny_lab(tmp_path_factory.mktemp("code"), SomeEntries, Scaled, Weighing)
    lab.recipe("head", model="tiny", data="tiny", device="cpu", precision="fp32")
    return lab


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """Pairs of texts, on a decoder whose tokenizer has no pad token."""
    folder = tmp_path_factory.mktemp("pairs")
    lab = tiny_lab(folder, family="gpt2")
    settings = folder / "tiny-gpt2" / "tokenizer_config.json"
    told = json.loads(settings.read_text())
    told.pop("pad_token")
    settings.write_text(json.dumps(told))
    rows = [
        {**row, "text_pair": other["text"]} for row, other in zip(tiny_rows(60), tiny_rows(60, seed=4), strict=True)
    ]
    lab.add(DatasetSource("two", "pairs", lambda: {"train": rows}, text_pair="text_pair"))
    return lab


@pytest.fixture(scope="module")
def trained(lab, pairs, tmp_path_factory, trained_before):
    """Each case trained, its script written, and all scripts run by one process: (run, script, results) by case."""
    folder = tmp_path_factory.mktemp("scripts")
    runs = {}
    for method, settings in CASES.items():
        runs[method] = lab.train(
            method, **{"epochs": 2, "batch_size": 8, "device": "cpu", "precision": "fp32"} | settings
        )
    runs["pairs"] = pairs.train("lora", data="two", epochs=1, batch_size=8, device="cpu", precision="fp32")
    files = {case: folder / f"{run.id}-{number}.py" for number, (case, run) in enumerate(runs.items())}
    for case, run in runs.items():
        (pairs if case == "pairs" else lab).code(run.id, file=str(files[case]))
    environment = {**os.environ, "TQDM_DISABLE": "1", "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        [sys.executable, "-c", RUNNER, *map(str, files.values())],
        capture_output=True, text=True, timeout=500, cwd=folder, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    results = {c: json.loads((f.with_name(f"{f.stem}-model") / "results.json").read_text()) for c, f in files.items()}
    return {case: (run, files[case], results[case]) for case, run in runs.items()}


@pytest.mark.parametrize("case", [*CASES, "pairs"])
def test_the_script_computes_what_the_run_computed(trained, case):
    run, _, results = trained[case]
    losses = [point["loss"] for point in run.points if point["split"] == "train"]
    assert results["trainable"] == run.cost["trainable"]
    assert len(results["losses"]) == len(losses) == run.record["steps"]["done"]
    assert results["losses"] == pytest.approx(losses, abs=CLOSE)
    assert set(results["metrics"]) == set(run.metrics)
    for split, numbers in run.metrics.items():
        assert results["metrics"][split] == pytest.approx(dict(numbers), abs=CLOSE)


def test_the_cases_tell_something(trained):
    """Losses move, and the runs differ from each other: equal numbers would otherwise prove little."""
    losses = {case: tuple(results["losses"]) for case, (_, _, results) in trained.items()}
    assert len(set(losses.values())) == len(losses)
    assert all(max(each) - min(each) > 100 * CLOSE for each in losses.values())


def test_scripts_are_clean(trained):
    """No import that nothing uses, no name that nothing defines, nothing of the package's own machinery."""
    files = [str(file) for _, file, _ in trained.values()]
    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--select", "E,F,W,B,UP", "--line-length", "160"]
    done = subprocess.run([*command, *files], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout
    for file in files:
        text = Path(file).read_text(encoding="utf-8")
        assert "# when:" not in text and "noqa" not in text and "TYPE_CHECKING" not in text


def test_a_script_says_what_trains_in_few_words(trained):
    script = {case: file.read_text(encoding="utf-8") for case, (_, file, _) in trained.items()}
    listed = re.search(r"target_modules=\[(.*?)\]", script["lora"], re.S)[1]
    assert '"query"' in listed and '"output.dense"' in listed and '"dense"' not in listed, "the pooler is dense, too"
    assert 'modules_to_save=["pooler", "classifier"]' in script["lora"]
    assert 'HEAD = ("classifier.",)' in script["head"]
    assert "model.requires_grad_(True)" in script["full"] and "TRAINS" not in script["full"]
    assert 'TRAINS = (".1.output.dense.bias",)' in script["some-entries"], "layer 0 has one of the same end"
    assert "tokenizer.pad_token = " in script["pairs"] and "tokenizer.pad_token = " not in script["lora"]


def test_what_a_script_leaves_behind_opens_with_peft(trained, lab):
    from peft import PeftModel
    from transformers import AutoModelForSequenceClassification

    run, file, _ = trained["lora"]
    labels = len(run.record["targets"]["labels"])
    base = AutoModelForSequenceClassification.from_pretrained(
        lab.host.find("models", "tiny").folder(), num_labels=labels
    )
    model = PeftModel.from_pretrained(base, file.with_name(f"{file.stem}-model"))
    kept = [name for name, _ in model.named_parameters() if "modules_to_save" in name]
    assert any("pooler" in name for name in kept) and any("classifier" in name for name in kept)


# --- showing and writing ----------------------------------------------------------------------------------------------


def test_it_is_shown_escaped_and_as_text(lab, trained):
    script = lab.code(trained["lora"][0].id)
    bundle = script._repr_mimebundle_()
    assert bundle["text/plain"] == script.text and not script.files
    assert "<pre" in bundle["text/html"] and "if gone &lt;" not in script.text
    assert "step &lt; warm" in bundle["text/html"] and "step < warm" not in bundle["text/html"]
    assert "run-4-data" in script.text, "without a file it names the folder that --file would write"


def test_names_of_files_cannot_break_out(lab, tmp_path):
    import pandas as pd

    source = tmp_path / 'odd """ <b> \\ name.csv'
    pd.DataFrame(tiny_rows(60)).to_csv(source, index=False)
    run = lab.train("head", data=str(source), epochs=1, batch_size=8)
    lab.recipe("head", data="tiny")
    script = lab.code(run.id)
    assert "<b>" in ast.get_docstring(ast.parse(script.text))
    assert "<b>" not in script._repr_mimebundle_()["text/html"]


def test_files_of_others_are_left_alone(lab, trained, tmp_path):
    name, file = trained["head"][0].id, tmp_path / "again.py"
    lab.code(name, file=str(file))
    written = lab.code(name, file=str(file))
    assert str(file) in str(written) and (tmp_path / "again-data" / "train.jsonl").is_file()
    rows = [json.loads(line) for line in (tmp_path / "again-data" / "test.jsonl").read_text("utf-8").splitlines()]
    assert rows == tiny_rows(48, seed=1)
    file.write_text("mine")
    with pytest.raises(RunProblem, match=r"again.py is there already.*--replace"):
        lab.code(name, file=str(file))
    assert file.read_text() == "mine"
    lab.code(name, file=str(file), replace=True)
    assert "def train(" in file.read_text()
    with pytest.raises(BadOption, match="no name of a Python file"):
        lab.code(name, file=str(tmp_path / "again.txt"))
    (tmp_path / "other-data").write_text("a file where the rows should go")
    with pytest.raises(RunProblem, match=r"other.py cannot be written"):
        lab.code(name, file=str(tmp_path / "other.py"))
    assert not (tmp_path / "other.py").exists()


# --- what has no plain form -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "why"),
    [
        ("weighing+bitfit", "weighing weighs tokens"),
        ("peft:adalora", "peft:adalora adds a penalty to the loss"),
        ("peft:poly", "peft:poly is told by peft_lab which task a text is of"),
        ("scaled", "scaled changes how the model computes"),
        ("lora+scaled", "scaled comes from a plugin"),
    ],
)
def test_what_cannot_be_plain_is_refused_with_the_reason(lab, method, why):
    run = lab.train(method, data="tiny", max_steps=2, batch_size=8)
    with pytest.raises(PeftLabError) as caught:
        lab.code(run.id)
    said = str(caught.value)
    assert why in said and f"%peft merge {run.id}" in said and f"{run.id}/run.json" in said and "\n" not in said


def test_gradients_that_a_method_changes_have_no_plain_form(lab):
    run = lab.train("selective", by="child-free", data="tiny", max_steps=2, batch_size=8)
    with pytest.raises(RunProblem, match="no plain script: selective changes gradients while it trains"):
        lab.code(run.id)


def test_what_cannot_be_merged_either_is_not_told_to_be(lab):
    run = lab.train("adapter+bitfit", data="tiny", max_steps=2, batch_size=8)
    with pytest.raises(RunProblem, match="no plain script: adapter.bitfit adds parameters of its own") as caught:
        lab.code(run.id)
    assert "merge" not in str(caught.value) and f"peft-lab train {run.id}/run.json" in str(caught.value)


def test_two_tuners_are_refused(lab):
    run = lab.train("lora+peft:ia3", data="tiny", max_steps=2, batch_size=8, **{"peft:ia3.target_modules": ["key"]})
    with pytest.raises(RunProblem, match="would each wrap the model"):
        lab.code(run.id)


def test_a_run_that_went_on_from_another_is_refused(lab, trained):
    run = lab.train("head", data="tiny", from_=trained["head"][0].id, train_head="top", max_steps=2, batch_size=8)
    with pytest.raises(RunProblem, match="began from the weights of another run"):
        lab.code(run.id)


def test_changed_data_is_said(lab, tmp_path):
    rows = {"train": tiny_rows(60)}
    lab.add(DatasetSource("changing", "for tests", lambda: rows))
    run = lab.train("head", data="changing", max_steps=2, batch_size=8)
    lab.recipe("head", data="tiny")
    rows["train"] = tiny_rows(61)
    with pytest.raises(RunProblem, match="is not what run-.* was trained on"):
        lab.code(Run(run.path))


# --- names ------------------------------------------------------------------------------------------------------------


def test_ends_and_beginnings_mean_exactly_the_chosen():
    draw = random.Random(0)
    parts = ["a", "b", "ab", "0", "1", "bias", "weight"]
    for _ in range(300):
        names = sorted({".".join(draw.choices(parts, k=draw.randint(1, 4))) for _ in range(12)})
        chosen = [name for name in names if draw.random() < 0.4]
        found = ends(chosen, [name for name in names if name not in chosen])
        assert [name for name in names if f".{name}".endswith(found)] == chosen or _hidden(names, chosen)
        starts = beginnings(chosen, names)
        assert [name for name in names if name.startswith(starts)] == chosen or _begins_another(names, chosen)


def _hidden(names, chosen):
    """A chosen name that is the end of another name can be said by no end of its own; parameters are never so."""
    return any(other.endswith(f".{name}") for name in chosen for other in names if other not in chosen)


def _begins_another(names, chosen):
    return any(other != name and other.startswith(name) for name in chosen for other in names)


def test_ends_are_few_and_short():
    layers = [f"layer.{n}.{part}" for n in (0, 1) for part in ("query.weight", "query.bias", "key.weight", "key.bias")]
    biases = [name for name in layers if name.endswith("bias")]
    assert ends(biases, [name for name in layers if name not in biases]) == (".bias",)
    assert ends(["layer.0.key.bias"], [name for name in layers if name != "layer.0.key.bias"]) == (".0.key.bias",)
    assert beginnings(["head.a", "head.b", "base.pooler.x"], ["base.x", "base.pooler.x", "head.a", "head.b"]) == (
        "base.pooler.",
        "head.",
    )
