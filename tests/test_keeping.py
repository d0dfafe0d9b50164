"""Saved, moved, loaded, merged and undone: what was trained stays what it was, and whatever differs is named."""

import errno
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from peft_lab import Lab
from peft_lab.errors import BadOption, MethodRefused, PeftLabError, RunProblem
from peft_lab.files import sha256_of
from peft_lab.host import Host
from peft_lab.keeping.in_use import FILE, read
from peft_lab.keeping.manifest import MANIFEST, read_manifest
from peft_lab.run import RUN_JSON, WEIGHTS, list_runs
from peft_lab.sources.models import find_model, load_tokenizer
from peft_lab.sources.tokenizers import tokenizer_fingerprint
from peft_lab.testing import FAMILIES, tiny_lab, tiny_rows
from peft_lab.testing.contract import built_in
from peft_lab.training.restore import restore
from peft_lab.training.sample_texts import sample_rows
from pluggy_specs import Method

ROOT = Path(__file__).parents[1]
OWN = [name for name in built_in() if not name.startswith("peft:")]
WITHOUT_BIASES = ("modernbert", "llama", "qwen3")
DIFFERENT = ("bert", "albert", "modernbert", "llama", "gpt2")
FEW = {"max_steps": 3, "batch_size": 8, "device": "cpu", "precision": "fp32"}


def lab_on(folder, family="bert", **settings):
    """A lab whose runs name their model by its path: another process finds it with nothing else."""
    lab = tiny_lab(folder, family=family, **settings)
    lab.recipe("head", model=str(folder / f"tiny-{family}"), data="tiny")
    return lab


class Scaled(Method):
    """Trains a factor for the output of each layer's first module: not a tuner of PEFT, no change of weights."""

    name = "scaled"
    summary = "a factor beside the model"

    def attach(self, model, context):
        import torch

        layer = model.bert.encoder.layer[0].output
        layer.factor = torch.nn.Parameter(torch.ones(32))
        layer.register_forward_hook(lambda module, _, out: out * module.factor)


class Sparse(Method):
    """Trains some entries of one matrix."""

    name = "some-entries"
    summary = "every third entry"

    def attach(self, model, context):
        """Nothing: masks choose."""

    def masks(self, model):
        import torch

        return {"bert.encoder.layer.0.output.dense.weight": torch.arange(0, 300, 3)}


@pytest.fixture(scope="module")
def bench(tmp_path_factory, trained_before):
    """A lab with a run of lora and a run of bitfit, both saved."""
    folder = tmp_path_factory.mktemp("bench")
    lab = lab_on(folder)
    for method in ("lora", "bitfit"):
        run = lab.train(method, **FEW)
        lab.save(run.id, folder / method)
    return lab


@pytest.fixture
def saved(bench, tmp_path):
    """A copy of both saved folders, and of the base model, to be spoilt: ``lora``, ``bitfit``, ``tiny-bert``."""
    for name in ("lora", "bitfit", "tiny-bert"):
        shutil.copytree(bench.folder.parent / name, tmp_path / name)
    return tmp_path


@pytest.fixture
def fresh(tmp_path):
    """A lab that has trained nothing."""
    return Lab(tmp_path / "elsewhere", host=Host(entry_points=False))


def outputs(lab, run):
    return restore(lab.run(run), lab.host).outputs(sample_rows(False))


def changed(folder, file, change):
    """Change the tensors of a file, and its hash in the manifest: only what is inside is wrong then."""
    tensors = load_file(folder / file)
    change(tensors)
    save_file(tensors, folder / file)
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["files"][file] = sha256_of(folder / file)
    (folder / MANIFEST).write_text(json.dumps(manifest))


def refused(lab, folder, **settings):
    """Load what cannot be loaded; the one line that says why. No run and nothing in use may be left."""
    with pytest.raises(PeftLabError) as caught:
        lab.load(folder, **settings)
    assert "\n" not in str(caught.value)
    assert not list_runs(lab.folder)
    assert not lab.folder.exists() or not list(lab.folder.iterdir())
    assert not read(lab.folder)
    return str(caught.value)


# --- saving and loading ----------------------------------------------------------------------------------------------


def test_what_a_saved_folder_holds(bench):
    run, folder = bench.run("run-1"), bench.folder.parent / "lora"
    manifest = json.loads((folder / MANIFEST).read_text())
    assert {f.name for f in folder.iterdir()} == {
        MANIFEST,
        "README.md",
        "adapter_config.json",
        "adapter_model.safetensors",
    }
    assert manifest["format"] == 1
    assert manifest["run"]["recipe"] == run.recipe.model_dump(mode="json")
    assert manifest["run"]["metrics"] == run.metrics
    assert manifest["run"]["fingerprints"]["model"] == run.record["fingerprints"]["model"]
    assert manifest["run"]["targets"] == {"labels": ["about-blue", "about-green", "about-red"]}
    assert manifest["offered_by"]["methods"]["lora"]["distribution"] == "peft-lab"
    assert len(manifest["sample"]["outputs"]) == len(manifest["sample"]["rows"]) > 5
    assert "pid" not in manifest["run"] and "hardware" in manifest["run"]
    text = (folder / MANIFEST).read_text() + (folder / "README.md").read_text()
    assert not any(row["text"] in text for row in tiny_rows(96)), "rows of the data must not go along"
    assert "PeftModel.from_pretrained" in (folder / "README.md").read_text()
    config = json.loads((folder / "adapter_config.json").read_text())
    assert config["task_type"] == "SEQ_CLS" and config["peft_type"] == "LORA"
    assert set(config["modules_to_save"]) == {"bert.pooler", "classifier"}
    assert config["base_model_name_or_path"] == run.recipe.model
    ours = bench.folder.parent / "bitfit"
    assert {f.name for f in ours.iterdir()} == {MANIFEST, "README.md", WEIGHTS}
    assert "nothing else does" in (ours / "README.md").read_text()


EVERYWHERE = ("full", "lora", "adapter")


def tried():
    """By family: three methods on each, and every other method on two in turn of those families that differ most."""
    found = {family: [*EVERYWHERE] for family in FAMILIES}
    others = [name for name in (*OWN, "peft:ia3", "peft:vera", "peft:prompt_tuning") if name not in EVERYWHERE]
    for turn, method in enumerate(others):
        able = [family for family in DIFFERENT if method != "bitfit" or family not in WITHOUT_BIASES]
        for place in (turn, turn + 2):
            found[able[place % len(able)]].append(method)
    return found


def test_save_fresh_process_load_same_logits(tmp_path, trained_before):
    """Each from its folder alone; ``benchmarks keeping`` tries every method on every family."""
    folders = []
    for family, methods in tried().items():
        lab = lab_on(tmp_path / family, family)
        for method in methods:
            run = lab.train(method, **FEW)
            folder = tmp_path / f"{family}-{method.replace(':', '-')}"
            lab.save(run.id, folder)
            np.save(f"{folder}.npy", outputs(lab, run))
            folders.append(str(folder))
        shutil.rmtree(lab.folder)  # nothing but the folders is left
    fresh = [sys.executable, "-m", "benchmarks.keeping", str(tmp_path / "elsewhere"), *folders]
    done = subprocess.run(fresh, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == []
    assert len(list_runs(tmp_path / "elsewhere")) == len(set(folders)) == len(folders)
    assert len(folders) == 3 * len(FAMILIES) + 2 * len(
        {*OWN, "peft:ia3", "peft:vera", "peft:prompt_tuning"} - {*EVERYWHERE}
    )


def test_a_loaded_folder_is_a_run(bench, fresh, saved):
    fresh.load(saved / "lora")
    run = fresh.run("run-1")
    before = bench.run("run-1")
    assert run.status == "finished" and run.metrics == before.metrics
    assert run.record["origin"]["run"] == before.id and run.record["origin"]["folder"] == str(saved / "lora")
    assert np.array_equal(outputs(fresh, run.id), outputs(bench, before.id))
    assert str(run) and run._repr_mimebundle_()["text/html"]
    assert len(fresh.runs().rows) == 1
    again = fresh.folder.parent / "again"
    fresh.save("run-1", again)  # and can be saved in turn
    assert (
        load_file(again / "adapter_model.safetensors").keys()
        == load_file(saved / "lora" / "adapter_model.safetensors").keys()
    )
    assert not (fresh.folder / ".loading").exists()


def test_loading_twice_makes_one_run(fresh, saved):
    fresh.load(saved / "lora")
    fresh.load(str(saved / "lora"))
    assert [run.id for run in list_runs(fresh.folder)] == ["run-1"]
    assert len(read(fresh.folder)) == 1


def test_the_base_model_may_be_elsewhere(fresh, saved, bench):
    manifest = json.loads((saved / "lora" / MANIFEST).read_text())
    manifest["run"]["recipe"]["model"] = "/not/on/this/machine"
    (saved / "lora" / MANIFEST).write_text(json.dumps(manifest))
    assert "--model" in refused(fresh, saved / "lora")
    fresh.load(saved / "lora", model=str(saved / "tiny-bert"))
    assert np.array_equal(outputs(fresh, "run-1"), outputs(bench, "run-1"))


def test_a_run_in_bf16_is_the_same_elsewhere(tmp_path, fresh):
    """Opened in bf16 it gives the same bits; merged and by PEFT it is fp32, from weights that never were bf16."""
    lab = lab_on(tmp_path)
    run = lab.train("lora", **{**FEW, "precision": "bf16"})
    assert run.record["hardware"]["precision"] == "bf16"
    shown = str(lab.save(run.id, tmp_path / "mine"))
    assert shown.count("bit for bit") == 2, shown
    assert "bit for bit" in str(fresh.load(tmp_path / "mine"))
    shown = str(lab.merge(run.id, tmp_path / "merged"))
    assert "against bf16" in shown
    base, merged = (load_file(tmp_path / name / "model.safetensors") for name in ("tiny-bert", "merged"))
    kept = [n for n, t in base.items() if "layer.0" in n and np.array_equal(t, merged[f"bert.{n}"])]
    assert len(kept) >= 10 and all(tensor.dtype == np.float32 for tensor in merged.values())


# --- strictness ------------------------------------------------------------------------------------------------------


def test_a_missing_tensor_is_named(fresh, saved):
    changed(saved / "bitfit", WEIGHTS, lambda tensors: tensors.pop("classifier.bias"))
    assert "lacks tensor 'classifier.bias'" in refused(fresh, saved / "bitfit")
    key = "base_model.model.classifier.bias"
    changed(saved / "lora", "adapter_model.safetensors", lambda tensors: tensors.pop(key))
    assert f"lacks tensor {key!r}" in refused(fresh, saved / "lora")


def test_an_unexpected_tensor_is_named(fresh, saved):
    for folder, file in (("bitfit", WEIGHTS), ("lora", "adapter_model.safetensors")):
        changed(saved / folder, file, lambda tensors: tensors.update(stranger=np.zeros(3, np.float32)))
        assert "holds the unexpected tensor 'stranger'" in refused(fresh, saved / folder)


def test_another_shape_is_named(fresh, saved):
    changed(saved / "bitfit", WEIGHTS, lambda tensors: tensors.update({"classifier.bias": np.zeros(7, np.float32)}))
    assert "tensor 'classifier.bias' of weights.safetensors is (7,), not (3,)" in refused(fresh, saved / "bitfit")


def test_other_numbers_are_seen_in_the_answers(fresh, saved):
    def turn(tensors):
        tensors["classifier.weight"] = -tensors["classifier.weight"]

    changed(saved / "bitfit", WEIGHTS, turn)
    assert "answers otherwise than when it was saved" in refused(fresh, saved / "bitfit")


def test_another_base_model_is_named_by_its_hash(fresh, saved):
    base = saved / "tiny-bert" / "model.safetensors"
    tensors = load_file(base)
    tensors["embeddings.word_embeddings.weight"][7, 7] += 1e-3
    save_file(tensors, base, metadata={"format": "pt"})
    said = refused(fresh, saved / "lora", model=str(saved / "tiny-bert"))
    assert "trained on another" in said and sha256_of(base)[:12] in said


def test_another_tokenizer_is_named(fresh, saved):
    manifest = json.loads((saved / "lora" / MANIFEST).read_text())
    tokenizer = load_tokenizer(find_model(str(saved / "tiny-bert"), fresh.host))
    manifest["run"]["fingerprints"]["tokenizer"] = tokenizer_fingerprint(tokenizer)
    (saved / "lora" / MANIFEST).write_text(json.dumps(manifest))
    file = saved / "tiny-bert" / "tokenizer.json"
    right = file.read_text()
    rules = json.loads(right)
    vocabulary = rules["model"]["vocab"]
    vocabulary["red"], vocabulary["green"] = vocabulary["green"], vocabulary["red"]
    file.write_text(json.dumps(rules))
    assert "another tokenizer" in refused(fresh, saved / "lora", model=str(saved / "tiny-bert"))
    file.write_text(right)
    fresh.load(saved / "lora", model=str(saved / "tiny-bert"))


def test_a_tokenizer_keeps_its_fingerprint_while_it_is_used(saved, fresh):
    tokenizer = load_tokenizer(find_model(str(saved / "tiny-bert"), fresh.host))
    before = tokenizer_fingerprint(tokenizer)
    tokenizer(["the red ship", "a"], truncation=True, max_length=3, padding=True)
    assert tokenizer_fingerprint(tokenizer) == before
    tokenizer.padding_side = "left"
    assert tokenizer_fingerprint(tokenizer) != before


def test_a_missing_plugin_is_named_with_its_distribution(tmp_path, fresh):
    lab = lab_on(tmp_path)
    lab.add(Scaled)
    lab.save(lab.train("scaled", **FEW).id, tmp_path / "mine")
    assert "come from a cell of the notebook" in (tmp_path / "mine" / "README.md").read_text()
    said = refused(fresh, tmp_path / "mine")
    assert "needs the method 'scaled'" in said and "Run the cell that defines it" in said
    manifest = json.loads((tmp_path / "mine" / MANIFEST).read_text())
    manifest["offered_by"]["methods"]["scaled"] = {"distribution": "peft-scaled", "version": "2.1"}
    (tmp_path / "mine" / MANIFEST).write_text(json.dumps(manifest))
    assert "pip install peft-scaled==2.1" in refused(fresh, tmp_path / "mine")
    fresh.add(Scaled)
    fresh.load(tmp_path / "mine")
    assert np.array_equal(outputs(fresh, "run-1"), outputs(lab, "run-1"))


def test_runs_are_restored_as_strictly(bench, tmp_path):
    run = bench.run("run-2")
    lab = Lab(tmp_path, host=bench.host)
    copy = Path(shutil.copytree(run.path, tmp_path / "run-2"))
    record = json.loads((copy / RUN_JSON).read_text())
    for change, words in (
        ({"fingerprints": {**record["fingerprints"], "tokenizer": "0" * 64}}, "another tokenizer"),
        ({"fingerprints": {**record["fingerprints"], "model": "0" * 64}}, "trained on another"),
        ({"recipe": {**record["recipe"], "methods": [{"name": "gone", "options": {}}]}}, "the method 'gone'"),
        ({"task": "gone"}, "the task 'gone'"),
    ):
        (copy / RUN_JSON).write_text(json.dumps(record | change))
        with pytest.raises(RunProblem, match=words):
            lab.load("run-2")
        with pytest.raises(RunProblem, match=words):
            lab.predict("run-2", "the red ship")


def spoilt(folder, file, content):
    (folder / file).write_bytes(content)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda f: spoilt(f, WEIGHTS, (f / WEIGHTS).read_bytes()[:-7]), "not what was saved"),
        (lambda f: (f / WEIGHTS).unlink(), "lacks weights.safetensors"),
        (lambda f: spoilt(f, MANIFEST, b'{"format": 1, "run"'), "damaged"),
        (lambda f: spoilt(f, MANIFEST, b"\xff\xfe\x00"), "damaged"),
        (lambda f: spoilt(f, MANIFEST, b"[]"), "damaged"),
        (lambda f: spoilt(f, MANIFEST, b'{"format": 1, "kind": "adapter"}'), "damaged"),
        (lambda f: spoilt(f, MANIFEST, b'{"format": 7}'), "newer peft_lab"),
        (lambda f: (f / MANIFEST).unlink(), "holds nothing saved"),
    ],
)
def test_damage_is_one_line(fresh, saved, spoil, words):
    spoil(saved / "bitfit")
    assert words in refused(fresh, saved / "bitfit")


def test_a_damaged_run_is_one_line(bench, tmp_path):
    lab = Lab(tmp_path, host=bench.host)
    copy = Path(shutil.copytree(bench.run("run-2").path, tmp_path / "run-2"))
    whole = (copy / WEIGHTS).read_bytes()
    for content in (whole[:-9], whole[:5], b"", b"x" * 100):
        (copy / WEIGHTS).write_bytes(content)
        with pytest.raises(RunProblem, match="is damaged") as caught:
            lab.load("run-2")
        assert "\n" not in str(caught.value)


def test_what_is_no_saved_folder_is_said(fresh, saved, tmp_path):
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter" / "adapter_config.json").write_text("{}")
    assert "not saved by peft_lab" in refused(fresh, tmp_path / "adapter")
    assert "no saved folder and no run named" in refused(fresh, "nowhere")


# --- folders ---------------------------------------------------------------------------------------------------------


def test_nothing_is_written_over_by_accident(bench, tmp_path):
    (tmp_path / "mine").mkdir()
    bench.save("run-2", tmp_path / "mine")  # empty: nothing to lose
    with pytest.raises(RunProblem, match="holds run-2 already.*--replace"):
        bench.save("run-1", tmp_path / "mine")
    bench.save("run-1", tmp_path / "mine", replace=True)
    assert read_manifest(tmp_path / "mine").run["id"] == "run-1"
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(RunProblem, match=r"notes.txt in the folder mine would be lost"):
        bench.save("run-2", tmp_path / "mine", replace=True)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").write_text("mine")
    with pytest.raises(RunProblem, match="holds other things"):
        bench.save("run-2", tmp_path / "other", replace=True)
    (tmp_path / "file").write_text("mine")
    with pytest.raises(RunProblem, match="is a file"):
        bench.save("run-2", tmp_path / "file", replace=True)
    assert (tmp_path / "file").read_text() == "mine" and (tmp_path / "other" / "thesis.tex").exists()


@pytest.mark.parametrize("operation", ["save", "merge"])
def test_a_full_disk_is_one_line_and_leaves_what_was_there(bench, tmp_path, monkeypatch, operation):
    act = getattr(bench, operation)
    act("run-1", tmp_path / "mine")
    before = {file.name: sha256_of(file) for file in (tmp_path / "mine").iterdir()}

    def full(self, *args, **kwargs):
        if self.name == "README.md":
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(self, *args, **kwargs)

    write = Path.write_text
    monkeypatch.setattr(Path, "write_text", full)
    for folder, settings in (("new/deep", {}), ("mine", {"replace": True})):
        with pytest.raises(RunProblem, match="cannot be written: No space left on device. Make room") as caught:
            act("run-2", tmp_path / folder, **settings)
        assert "\n" not in str(caught.value)
    assert [f.name for f in tmp_path.iterdir()] == ["mine"]
    assert {file.name: sha256_of(file) for file in (tmp_path / "mine").iterdir()} == before


def test_what_the_system_refuses_is_one_line(bench, tmp_path):
    """Really refused: files that may not grow, and a place where no folder can be made."""
    import multiprocessing
    import resource
    import signal

    def limited(told):
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))
        for folder in (tmp_path / "small", "/proc/self/nowhere"):
            try:
                told.send(str(bench.save("run-2", folder)))
            except Exception as error:
                told.send(f"{type(error).__name__}: {error}")

    hear, tell = multiprocessing.Pipe()
    # A child of its own: a limit cannot be taken back. Forked, for everything is imported here already.
    child = multiprocessing.get_context("fork").Process(target=limited, args=(tell,))
    child.start()
    try:
        for _ in range(2):
            assert hear.poll(60), "no answer from the child"
            said = hear.recv()
            assert said.startswith("RunProblem: ") and "cannot be written: " in said and "\n" not in said
    finally:
        child.kill()
        child.join()
    assert not list(tmp_path.iterdir())


def test_a_run_that_goes_on_is_not_saved(bench, tmp_path):
    import os

    import psutil

    copy = Path(shutil.copytree(bench.run("run-2").path, tmp_path / "run-1"))
    record = json.loads((copy / RUN_JSON).read_text())
    record |= {"status": "running", "pid": os.getpid(), "process_started": psutil.Process().create_time()}
    (copy / RUN_JSON).write_text(json.dumps(record))
    lab = Lab(tmp_path, host=bench.host)
    for act in (lab.save, lab.merge):
        with pytest.raises(RunProblem, match="is being trained"):
            act("run-1", tmp_path / "x")


# --- in use ----------------------------------------------------------------------------------------------------------


def test_loaded_is_asked_and_rolled_back(bench, tmp_path):
    lab = Lab(tmp_path, host=bench.host)
    for number in (1, 2):
        shutil.copytree(bench.run(f"run-{number}").path, tmp_path / f"run-{number}")
    with pytest.raises(RunProblem, match="nothing is in use"):
        lab.rollback()
    with pytest.raises(RunProblem, match="nothing is in use"):
        lab.predict("the red ship")
    base = outputs_of_base(lab)
    assert "bit for bit" not in str(lab.load("run-1"))  # a run keeps no answers to compare with
    first = lab.predict("the red ship").rows
    assert "By run-1" in lab.predict("the red ship").note
    lab.load("run-2")
    assert "By run-2" in lab.predict("the red ship", "a gull").note
    other = Lab(tmp_path, host=bench.host)  # another kernel
    assert "By run-2" in other.predict("the red ship").note
    table = str(other.rollback())
    assert "run-1" in table and "bit for bit" in table
    assert other.predict("the red ship").rows == first
    assert "By run-1" in lab.predict("the red ship").note
    table = str(lab.rollback())
    assert "the base model as it was" in table and "bit for bit" in table
    assert np.array_equal(outputs_of_base(lab), base)
    with pytest.raises(RunProblem, match="nothing is in use"):
        lab.predict("the red ship")


def outputs_of_base(lab):
    from peft_lab.training.restore import untrained

    return untrained(lab.run("run-1"), lab.host).outputs(sample_rows(False))


def test_a_rollback_that_proves_nothing_is_no_success(bench, tmp_path):
    lab = Lab(tmp_path, host=bench.host)
    shutil.copytree(bench.run("run-1").path, tmp_path / "run-1")
    lab.load("run-1")
    stack = json.loads((tmp_path / FILE).read_text())
    stack["stack"][0]["base"] = "0" * 64
    (tmp_path / FILE).write_text(json.dumps(stack))
    with pytest.raises(RunProblem, match="is not what it was"):
        lab.rollback()
    lab.load("run-1")
    stack = json.loads((tmp_path / FILE).read_text())
    stack["stack"][0] |= {"base": "0" * 64, "measured_with": "torch 1.0"}
    (tmp_path / FILE).write_text(json.dumps(stack))
    assert "cannot be compared bit for bit" in str(lab.rollback())


def test_what_is_in_use_may_be_gone_or_damaged(bench, tmp_path):
    lab = Lab(tmp_path, host=bench.host)
    for number in (1, 2):
        shutil.copytree(bench.run(f"run-{number}").path, tmp_path / f"run-{number}")
        lab.load(f"run-{number}")
    shutil.rmtree(tmp_path / "run-2")
    with pytest.raises(RunProblem, match="run-2, which is in use, is gone.*rollback"):
        lab.predict("the red ship")
    assert "run-1" in str(lab.rollback())
    (tmp_path / FILE).write_text('{"stack": [{}')
    with pytest.raises(RunProblem, match=f"{FILE} in .* is damaged"):
        lab.predict("the red ship")
    assert lab.predict("run-1", "the red ship").rows  # which needs nothing in use


def test_a_word_that_may_be_a_run_or_a_text(bench, tmp_path):
    lab = Lab(tmp_path, host=bench.host)
    shutil.copytree(bench.run("run-1").path, tmp_path / "run-1")
    with pytest.raises(BadOption, match="no text"):
        lab.predict("run-1")
    lab.load("run-1")
    with pytest.raises(BadOption, match=r"'1' names run-1, and may be meant as a text.*predict run-1 \"1\""):
        lab.predict("1")
    with pytest.raises(BadOption, match="no text"):
        lab.predict("run-1")
    with pytest.raises(RunProblem, match="no run named 'run-7'"):
        lab.predict("run-7", "the red ship")
    assert lab.predict("run-1", "1").rows[0][0] == "1"
    assert len(lab.predict("the red ship " * 200).rows) == 1  # longer than a file may be named


def test_the_model_that_answers_is_kept_and_given_up(bench, tmp_path):
    lab = Lab(tmp_path, host=bench.host)
    for number in (1, 2):
        shutil.copytree(bench.run(f"run-{number}").path, tmp_path / f"run-{number}")
    lab.predict("run-1", "the red ship")
    kept = lab.served.restored
    lab.predict("run-1", "a gull")
    assert lab.served.restored is kept
    lab.predict("run-2", "a gull")
    assert lab.served.restored is not kept
    shutil.copy(bench.run("run-1").path / WEIGHTS, tmp_path / "run-1" / WEIGHTS)
    lab.forget_served()
    assert lab.served is None


def test_a_run_whose_weights_changed_is_built_again(bench, tmp_path):
    lab = Lab(tmp_path, host=bench.host)
    copy = Path(shutil.copytree(bench.run("run-2").path, tmp_path / "run-2"))
    before = lab.predict("run-2", "the red ship").rows
    tensors = load_file(copy / WEIGHTS)
    tensors["classifier.bias"] = tensors["classifier.bias"] + np.float32([0, 0, 9])
    save_file(tensors, copy / WEIGHTS)
    after = lab.predict("run-2", "the red ship").rows
    assert after != before and after[0][1] == "about-red"


# --- merging ---------------------------------------------------------------------------------------------------------

MERGEABLE = ("full", "head", "bitfit", "lora", "some-entries", "lora+bitfit", "peft:vera", "peft:ia3", "peft:ln_tuning")
MERGEABLE += ("layers", "layers+lora", "sparse", "selective")
PLAIN = """
import json, sys
sys.modules["peft"] = sys.modules["peft_lab"] = sys.modules["pluggy_specs"] = None
import numpy as np, torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer
texts = json.loads(sys.argv[1])
wrong = []
for folder in sys.argv[2:]:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    batch = tokenizer(texts, padding=True, truncation=True, max_length=64, return_tensors="pt")
    with torch.no_grad():
        apart = float(abs(model(**batch).logits.numpy() - np.load(folder + ".npy")).max())
    names = [model.config.id2label[i] for i in range(3)]
    pads = model.config.pad_token_id == tokenizer.pad_token_id is not None
    if not apart <= 1e-4 or names != ["about-blue", "about-green", "about-red"] or not pads:
        wrong.append([folder, apart, names, pads])
print(json.dumps(wrong))
"""


def test_a_merged_model_needs_transformers_only(tmp_path, trained_before):
    """Each kind of method, and families whose pad token or labels the base model does not name."""
    folders = []
    for family, methods in {
        "bert": MERGEABLE,
        "distilbert": ("lora",),
        "gpt2": ("lora", "full"),
        "llama": ("lora",),
    }.items():
        lab = lab_on(tmp_path / family, family)
        lab.add(Sparse)
        for method in methods:
            run = lab.train(method, **FEW)
            folder = tmp_path / f"{family}-{method.replace(':', '-')}"
            table = lab.merge(run.id, folder)
            assert "loaded by transformers" in str(table)
            np.save(f"{folder}.npy", outputs(lab, run))
            folders.append(str(folder))
    texts = json.dumps([row["text"] for row in sample_rows(False)])
    done = subprocess.run([sys.executable, "-c", PLAIN, texts, *folders], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == []
    assert "transformers alone opens it" in (Path(folders[0]) / "README.md").read_text()
    with pytest.raises(RunProblem, match="is a merged model"):
        lab.load(folders[0])


def test_what_is_no_change_of_weights_is_not_merged(bench, tmp_path):
    lab = lab_on(tmp_path)
    lab.add(Scaled)
    run = lab.train("scaled", **FEW)
    with pytest.raises(MethodRefused, match=r"scaled cannot be merged: it adds bert.encoder.layer.0.output.factor"):
        lab.merge(run.id, tmp_path / "x")
    run = lab.train("adapter", **FEW)
    with pytest.raises(MethodRefused, match=r"adapter cannot be merged: it adds .*_adapter\.down"):
        lab.merge(run.id, tmp_path / "x")
    run = lab.train("peft:prefix_tuning", num_virtual_tokens=3, **FEW)
    with pytest.raises(MethodRefused, match="virtual tokens are an input"):
        lab.merge(run.id, tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_a_merge_that_answers_otherwise_is_refused(bench, tmp_path, monkeypatch):
    import peft.tuners.lora.layer

    monkeypatch.setattr(peft.tuners.lora.layer.Linear, "merge", lambda *_, **__: None)
    lab = lab_on(tmp_path)
    run = lab.train("lora", epochs=2, batch_size=8, device="cpu", precision="fp32")
    with pytest.raises(MethodRefused, match="the merged model's logits differ by"):
        lab.merge(run.id, tmp_path / "x")
    assert not (tmp_path / "x").exists()
