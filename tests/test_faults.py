"""Faults injected, one by one: each is one line, and nothing else is lost. ``docs/faults.md`` lists these tests."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest
import torch

from peft_lab.data_spec import DataSpec
from peft_lab.errors import DataProblem, ModelProblem, PeftLabError, PluginFailed, RunProblem
from peft_lab.host import Host
from peft_lab.lab import Lab
from peft_lab.run import Run
from peft_lab.tasks.classification import Classification
from peft_lab.testing import tiny_model, tiny_rows
from peft_lab.training import checkpoint, session
from peft_lab.training.checkpoint import CHECKPOINT
from peft_lab.training.progress import Progress
from pluggy_specs import Array, Artifact, DatasetSource, Drawing, Executor, Method, ModelSource, View, hookimpl

PAGE = Path(__file__).parents[1] / "docs" / "faults.md"
SHORT = {"max_steps": 2, "batch_size": 8, "device": "cpu", "precision": "fp32"}
LONGER = {**SHORT, "max_steps": 18}  # 11 steps are an epoch


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("base") / "tiny")


def lab_at(folder, base, *items, host=None):
    host = host or Host(entry_points=False, warn=lambda line: None)
    host.add(ModelSource("tiny", "a random model", lambda: base))
    splits = {"train": tiny_rows(96), "test": tiny_rows(16, seed=1)}
    host.add(DatasetSource("tiny", "one word decides the label", lambda: splits))
    for item in items:
        host.add(item)
    lab = Lab(folder, host=host)
    lab.recipe("head", model="tiny", data="tiny")
    return lab


@pytest.fixture
def lab(tmp_path, base):
    return lab_at(tmp_path / "runs", base)


@pytest.fixture(scope="module")
def kept(tmp_path_factory, base):
    """A folder with a finished run and one that was stopped with a checkpoint. Never changed: copies are."""
    lab = lab_at(tmp_path_factory.mktemp("kept") / "runs", base)
    lab.train("bitfit", **SHORT)
    stopped = session.train(lab.recipe("lora", **LONGER), lab.host, lab.folder, After(13))
    assert stopped.status == "stopped" and (stopped.path / CHECKPOINT).exists()
    return lab.folder


@pytest.fixture
def copy(kept, tmp_path, base):
    shutil.copytree(kept, tmp_path / "runs")
    return lab_at(tmp_path / "runs", base)


class After(Progress):
    """Does something when so many steps are done; asks for a stop, when nothing else is said."""

    def __init__(self, steps, act=None):
        super().__init__()
        self.steps, self.act = steps, act or self.stop

    def update(self, **facts):
        super().update(**facts)
        if facts.get("step") == self.steps:
            self.act()


def one_line(kind, call, *words):
    """The call fails with one line that has these words; returns it."""
    with pytest.raises(kind) as caught:
        call()
    said = str(caught.value)
    assert "\n" not in said and len(said) < 600, said
    for word in words:
        assert word in said, said
    return said


def content(folder):
    return {p.relative_to(folder): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def listed(lab):
    """``%peft problems`` as pairs of where and what."""
    return [(row[1], row[2]) for row in lab.problems().rows]


def works(lab):
    """A run can be trained and listed, whatever came before."""
    run = lab.train("head", **SHORT)
    assert run.status == "finished"
    assert [row[1] for row in lab.runs().rows if row[0] == run.id] == ["finished"]


def method(**hooks):
    """A method that trains the biases, with some hooks written anew."""

    def attach(self, model, context):
        for name, parameter in model.named_parameters():
            parameter.requires_grad_("bias" in name)

    return type("Odd", (Method,), {"name": "odd", "summary": "for tests", "attach": attach, **hooks})


def raising(error):
    def hook(*args, **more):
        raise error

    return hook


# --- the page ---------------------------------------------------------------------------------------------------------


def test_the_page_lists_every_test():
    rows = re.findall(r"^\| .+ \| .+ \| .+ \| `(test_\w+)` \|$", PAGE.read_text(encoding="utf-8"), re.M)
    here = [name for name, value in globals().items() if name.startswith("test_") and callable(value)]
    elsewhere = "".join(file.read_text(encoding="utf-8") for file in Path(__file__).parent.glob("test_*.py"))
    assert set(here) - {"test_the_page_lists_every_test"} <= set(rows)
    assert [name for name in rows if f"def {name}(" not in elsewhere] == []


# --- methods ----------------------------------------------------------------------------------------------------------

HOOKS = ("adapt_tokenizer", "positions", "attach", "prepare", "masks", "weigh_tokens", "penalty")


@pytest.mark.parametrize("error", [ZeroDivisionError("two\nlines"), SystemExit(3)], ids=["error", "exit"])
@pytest.mark.parametrize("hook", HOOKS)
def test_a_hook_of_a_method_that_raises(tmp_path, base, hook, error):
    lab = lab_at(tmp_path / "runs", base, method(**{hook: raising(error)}))
    said = "SystemExit: 3" if isinstance(error, SystemExit) else "ZeroDivisionError: two lines"
    one_line(PluginFailed, lambda: lab.train("odd", **SHORT), f"the method 'odd' failed in {hook}: {said}")
    run = lab.run("run-1")
    assert run.status == "failed" and said in run.record["error"]["message"]
    assert "raising" in run.record["error"]["traceback"] or "hook" in run.record["error"]["traceback"]
    assert (f"{hook} of odd", said) in listed(lab)
    one_line(RunProblem, run.wait, f"run-1 failed: the method 'odd' failed in {hook}")


def test_an_attach_that_does_not_know_the_model(tmp_path, base):
    lab = lab_at(tmp_path / "runs", base, method(attach=raising(AttributeError("no layer\nhere"))))
    one_line(PeftLabError, lambda: lab.train("odd", **SHORT), "odd cannot be attached to this model: no layer here")
    assert ("attach of odd", "AttributeError: no layer here") in listed(lab)
    works(lab)


def test_an_interrupt_inside_a_hook(tmp_path, base):
    calls = []

    def weigh(self, losses, batch):
        calls.append(1)
        if len(calls) == 5:
            raise KeyboardInterrupt

    lab = lab_at(tmp_path / "runs", base, method(weigh_tokens=weigh))
    with pytest.raises(KeyboardInterrupt):
        lab.train("odd", **LONGER)
    run = lab.run("run-1")
    assert run.status == "failed" and run.record["error"]["type"] == "KeyboardInterrupt"
    assert run.record["steps"]["done"] == 4 and not listed(lab)
    assert lab.resume("run-1").status == "finished"


NONSENSE = {
    "a tokenizer": ("adapt_tokenizer", 3, "a thing of type int, not the tokenizer to use"),
    "no tokenizer": ("adapt_tokenizer", None, "it gave nothing"),
    "positions": ("positions", "many", "TypeError"),
    "a model": ("attach", "model", "a thing of type str, not a model, or None"),
    "masks": ("masks", [1, 2], "a thing of type list, not flat indices"),
    "masks of nothing": ("masks", None, "it gave nothing"),
    "masks that are true or false": ("masks", {"bert.pooler.dense.weight": torch.ones(4) > 0}, "bool values"),
    "masks of fractions": ("masks", {"bert.pooler.dense.weight": torch.tensor([float("nan")])}, "float32 values"),
    "masks of words": ("masks", {"bert.pooler.dense.weight": "all"}, "failed in masks"),
    "weights": ("weigh_tokens", "much", "a thing of type str"),
    "weights of a shape": ("weigh_tokens", torch.ones(3), "weights shaped (3,), not (6, 1) like the losses"),
    "weights that are no numbers": (
        "weigh_tokens",
        lambda self, losses, batch: losses * float("nan"),
        "weights that are no numbers",
    ),
    "no weight at all": ("weigh_tokens", lambda self, losses, batch: losses * 0, "a weight of 0 to every token"),
    "a penalty": ("penalty", 0.5, "a thing of type float, not a scalar tensor"),
    "a penalty of a shape": ("penalty", torch.ones(3), "a tensor shaped (3,), not a scalar tensor"),
    "a penalty of nothing": ("penalty", torch.ones(()), "that nothing trained has a part in"),
    "a penalty that is no number": (
        "penalty",
        lambda self, model: next(p for p in model.parameters() if p.requires_grad).sum() * float("nan"),
        "no finite number",
    ),
}


@pytest.mark.parametrize("case", NONSENSE)
def test_a_hook_of_a_method_that_gives_nonsense(tmp_path, base, case):
    hook, value, said = NONSENSE[case]
    lab = lab_at(tmp_path / "runs", base, method(**{hook: value if callable(value) else lambda *args: value}))
    one_line(PluginFailed, lambda: lab.train("odd", **SHORT), f"the method 'odd' failed in {hook}: ", said)
    run = lab.run("run-1")
    assert run.status == "failed" and said in run.record["error"]["message"]
    assert f"{hook} of odd" in [where for where, _ in listed(lab)]


GOOD = Artifact("gates", {"gate": Array(torch.ones(3), ("layer",))})
ARTIFACTS = {
    "raises": (raising(ZeroDivisionError("no")), "ZeroDivisionError: no"),
    "exits": (raising(SystemExit(3)), "SystemExit: 3"),
    "nothing": (lambda *args: None, "not iterable"),
    "another type": (lambda *args: [3], "a thing of type int, not an Artifact"),
    "a kind that leaves the folder": (lambda *args: [Artifact("../../run", {})], "of the kind '../../run'"),
    "axes that do not fit": (
        lambda *args: [Artifact("gates", {"gate": Array(torch.ones(3, 2), ("layer",))})],
        "array 'gate' with 2 axes and 1 names",
    ),
    "words": (lambda *args: [Artifact("gates", {"gate": Array(["a"], ("layer",))})], "array 'gate' of <U1"),
}


@pytest.mark.parametrize("case", ARTIFACTS)
def test_artifacts_that_cannot_be_used(tmp_path, base, case):
    hook, said = ARTIFACTS[case]

    def artifacts(self, model, context):
        yield Artifact("before", GOOD.arrays)
        yield from hook()

    lab = lab_at(tmp_path / "runs", base, method(artifacts=artifacts))
    run = lab.train("odd", **SHORT)
    assert run.status == "finished" and run.metrics["test"]
    of_every_run = ["parameter-change", "test-answers", "trainable-by-layer", "validation-answers"]
    assert run.artifacts == ["before", *of_every_run]
    (note,) = [note for note in run.record["notes"] if "could not say" in note]
    assert said in note and "\n" not in note
    assert "artifacts of odd" in [where for where, _ in listed(lab)]
    assert lab.predict(run.id, "the red ship").rows


# --- views, tasks, sources, executors, observers ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("draw", "said"),
    [
        (raising(ZeroDivisionError("two\nlines")), "ZeroDivisionError: two lines"),
        (raising(SystemExit(3)), "SystemExit: 3"),
        (lambda self, runs: None, "it gave nothing, not a Drawing"),
        (lambda self, runs: "<b>", "a thing of type str, not a Drawing"),
        (lambda self, runs: Drawing(3), "whose alt, html or text is no text"),
        (lambda self, runs: Drawing("a picture", figure=3), "AttributeError"),
    ],
)
def test_a_view_that_fails(copy, draw, said):
    copy.add(type("Odd", (View,), {"name": "odd-view", "draw": draw}))
    before = content(copy.folder)
    one_line(PluginFailed, lambda: copy.show("odd-view", "run-1"), "the view 'odd-view' failed in draw: ", said)
    assert [where for where, _ in listed(copy)] == ["draw of odd-view"]
    assert copy.show("curves", "run-1").png and content(copy.folder) == before


def test_an_interrupt_inside_a_view(copy):
    copy.add(type("Odd", (View,), {"name": "odd-view", "draw": raising(KeyboardInterrupt())}))
    with pytest.raises(KeyboardInterrupt):
        copy.show("odd-view", "run-1")
    assert not listed(copy) and copy.show("curves", "run-1").png


@pytest.mark.parametrize(
    ("hook", "does", "said"),
    [
        ("__init__", raising(ZeroDivisionError("no")), "failed in the making of it: ZeroDivisionError: no"),
        ("targets", raising(SystemExit(3)), "failed in targets: SystemExit: 3"),
        ("targets", lambda *args: [1], "failed in targets: it gave a thing of type list, not a mapping"),
        ("model_settings", lambda *args: None, "failed in model_settings: it gave nothing"),
        ("encode_labels", raising(KeyError("x")), "failed in encode_labels: KeyError"),
        ("encode_labels", lambda *args: 3, "failed in encode_labels: it gave a thing of type int"),
        ("outputs", raising(ZeroDivisionError("no")), "failed in outputs: ZeroDivisionError: no"),
        ("losses", lambda *args: torch.ones(()), "failed in losses: it gave a thing of type Tensor"),
        ("losses", lambda *args: (torch.ones(2, 1), torch.ones(3, 1)), "shapes (2, 1) and (3, 1)"),
        ("metrics", lambda *args: {"f1": 1.0}, "it gave no number for 'accuracy'"),
        ("metrics", raising(ZeroDivisionError("no")), "failed in metrics: ZeroDivisionError: no"),
    ],
)
def test_a_task_that_fails(tmp_path, base, hook, does, said):
    lab = lab_at(tmp_path / "runs", base, type("Odd", (Classification,), {"name": "odd-task", hook: does}))
    data = DataSpec(source="tiny", task="odd-task")
    one_line(PluginFailed, lambda: lab.train("head", data=data, **SHORT), "the task 'odd-task'", said)
    assert lab.run("run-1").status == "failed"
    assert listed(lab) and listed(lab)[0][0].endswith(" of odd-task")


@pytest.mark.parametrize(
    ("folder", "said"),
    [
        (raising(ZeroDivisionError("two\nlines")), "failed in folder: ZeroDivisionError: two lines"),
        (raising(SystemExit(3)), "failed in folder: SystemExit: 3"),
        (lambda: None, "failed in folder: it gave nothing, not the path of a folder"),
        (raising(FileNotFoundError("install weights-of-mine")), "install weights-of-mine"),
        (lambda: Path("/nowhere"), "holds no model"),
    ],
)
def test_a_model_source_that_fails(lab, folder, said):
    lab.add(ModelSource("odd-model", "for tests", folder))
    one_line(PeftLabError, lambda: lab.train("head", model="odd-model", **SHORT), said)
    one_line(PeftLabError, lambda: lab.model_("odd-model"), said)
    assert lab.model_("tiny").rows and len(lab.models().rows) >= 2
    assert len(listed(lab)) == ("failed in" in said)


@pytest.mark.parametrize(
    ("splits", "said"),
    [
        (raising(ZeroDivisionError("two\nlines")), "failed in splits: ZeroDivisionError: two lines"),
        (raising(SystemExit(3)), "failed in splits: SystemExit: 3"),
        (lambda: None, "failed in splits: it gave nothing, not files or rows by split"),
        (lambda: {"train": 3}, "failed in splits: TypeError"),
        (lambda: {"test": tiny_rows(8)}, "has no training rows"),
        (lambda: {"train": Path("/nowhere.csv")}, "nowhere.csv"),
    ],
)
def test_a_data_source_that_fails(lab, splits, said):
    lab.add(DatasetSource("odd-data", "for tests", splits))
    one_line(PeftLabError, lambda: lab.data("odd-data"), said)
    assert lab.spec.source == "tiny" and lab.data("tiny").rows
    assert len(listed(lab)) == ("failed in" in said)


@pytest.mark.parametrize(
    ("train_each", "said"),
    [
        (raising(ZeroDivisionError("no")), "failed in train_each: ZeroDivisionError: no"),
        (raising(SystemExit(3)), "failed in train_each: SystemExit: 3"),
        (lambda self, train, recipes: None, "failed in train_each: TypeError"),
        (lambda self, train, recipes: [3], "it gave a thing of type int, not the id of each run"),
        (lambda self, train, recipes: ["run-99"], "no run named 'run-99'"),
    ],
)
def test_an_executor_that_fails(lab, train_each, said):
    lab.add(type("Odd", (Executor,), {"name": "odd-place", "train_each": train_each}))
    one_line(PeftLabError, lambda: lab.train_each([lab.recipe("head", **SHORT)], on="odd-place"), said)
    assert len(listed(lab)) == ("run-99" not in said)
    assert [run.status for run in lab.train_each([lab.recipe("head", **SHORT)])] == ["finished"]


def test_a_training_that_fails_on_an_executor(tmp_path, base):
    lab = lab_at(tmp_path / "runs", base, method(penalty=raising(ZeroDivisionError("no"))))
    recipes = [lab.recipe(name, **SHORT) for name in ("head", "odd")]
    one_line(PluginFailed, lambda: lab.train_each(recipes), "the method 'odd' failed in penalty")
    assert [row[1] for row in lab.runs().rows] == ["finished", "failed"]
    assert [where for where, _ in listed(lab)] == ["penalty of odd"], "the executor is not to blame"


def observer(name, monkeypatch, **hooks):
    made = ModuleType(name)
    for hook, does in hooks.items():
        setattr(made, hook, hookimpl(does))
    monkeypatch.setitem(sys.modules, name, made)
    return name


def observers(does):
    """The three informing hooks, each of which does something."""

    def run_started(run):
        does("run_started", run)

    def metrics_logged(run_id, point):
        does("metrics_logged", point)

    def run_finished(run):
        does("run_finished", run)

    return {"run_started": run_started, "metrics_logged": metrics_logged, "run_finished": run_finished}


@pytest.mark.parametrize("error", [ZeroDivisionError("no"), SystemExit(3)], ids=["error", "exit"])
def test_an_observer_that_raises(tmp_path, base, monkeypatch, error):
    told, lines = [], []

    def fails(hook, facts):
        raise error

    names = [
        observer("odd_observer", monkeypatch, **observers(fails)),
        observer("good_observer", monkeypatch, **observers(lambda hook, facts: told.append(hook))),
    ]
    plugins = ("peft_lab.methods", "peft_lab.views", "peft_lab.tasks", "peft_lab.sources", "peft_lab.study", *names)
    lab = lab_at(tmp_path / "runs", base, host=Host(plugins, entry_points=False, warn=lines.append))
    run = lab.train("head", **SHORT)
    assert run.status == "finished" and len([p for p in run.points if p["split"] == "train"]) == 2
    assert [where for where, _ in listed(lab)] == ["run_started", "metrics_logged", "run_finished"]
    assert told[0] == "run_started" and told[-1] == "run_finished" and told.count("metrics_logged") == len(run.points)
    assert len(lines) == 1 and "\n" not in lines[0] and "odd_observer" in lines[0]


def test_an_observer_that_is_slow(tmp_path, base, monkeypatch):
    monkeypatch.setattr("peft_lab.host.SLOW", 0.02)
    name = observer("slow_observer", monkeypatch, metrics_logged=lambda run_id, point: time.sleep(0.05))
    plugins = ("peft_lab.methods", "peft_lab.views", "peft_lab.tasks", "peft_lab.sources", "peft_lab.study", name)
    lab = lab_at(tmp_path / "runs", base, host=Host(plugins, entry_points=False, warn=lambda line: None))
    assert lab.train("head", **SHORT).status == "finished"
    ((where, what),) = listed(lab)
    assert where == "metrics_logged" and what.endswith("and training waits for it")


# --- a disk that is full ----------------------------------------------------------------------------------------------


@pytest.fixture
def full(monkeypatch):
    """From the n-th writing of a file of that name on, the disk is full for it; ``full.room()`` makes room again."""
    import safetensors.numpy
    import safetensors.torch
    from safetensors import SafetensorError

    opening = Path.open
    wanted: list[tuple[str, int]] = []
    seen: dict[str, int] = {}

    def refused(path):
        name = Path(path).name
        for pattern, after in wanted:
            if re.fullmatch(pattern, name):
                seen[pattern] = seen.get(pattern, 0) + 1
                if seen[pattern] > after:
                    return True
        return False

    def guarded(real, strange=None):
        def write(path, *args, **more):
            mode = str(more.get("mode") or (args or ("r",))[0]) if real is opening else "w"
            if ("w" in mode or "a" in mode) and refused(path):
                raise OSError(28, "No space left on device", str(path))
            return real(path, *args, **more)

        def save(tensors, path, *args, **more):
            if refused(path):
                Path(path).touch()  # what a full disk leaves
                raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")
            return real(tensors, path, *args, **more)

        return save if strange else write

    for name in ("write_text", "write_bytes", "open"):
        monkeypatch.setattr(Path, name, guarded(getattr(Path, name)))
    for module in (safetensors.torch, safetensors.numpy):
        monkeypatch.setattr(module, "save_file", guarded(module.save_file, strange=True))

    def begin(pattern, after=0):
        wanted.append((pattern, after))

    begin.room = wanted.clear
    return begin


@pytest.mark.parametrize("file", [r"run\.tmp", r"spare\.tmp"])
def test_no_room_to_begin(copy, full, file):
    before = content(copy.folder)
    full(file)
    one_line(RunProblem, lambda: copy.train("head", **SHORT), "cannot be written: No space left on device", "Make room")
    assert content(copy.folder) == before, "nothing is left behind"
    one_line(RunProblem, lambda: copy.resume("run-2"), "run-2 cannot be written: No space left on device")
    assert copy.run("run-2").status == "stopped"
    full.room()
    assert copy.resume("run-2").status == "finished"


@pytest.mark.parametrize(
    ("file", "after", "answers"),
    [(r"metrics\.jsonl", 14, True), (r"weights\.tmp", 0, False), (r"start\.tmp", 0, False)],
)
def test_no_room_while_training(copy, full, file, after, answers):
    earlier = content(copy.folder)
    full(file, after)
    one_line(
        RunProblem, lambda: copy.train("head", **LONGER), "run-3 cannot be written: No space left", "%peft resume run-3"
    )
    run = copy.run("run-3")
    assert run.status == "failed" and "No space left on device" in run.record["error"]["message"]
    assert not list(run.path.rglob("*.tmp"))
    assert {name: data for name, data in content(copy.folder).items() if name.parts[0] != "run-3"} == earlier
    if answers:
        assert copy.predict("run-3", "the red ship").rows
    full.room()
    again = copy.resume("run-3")
    assert again.status == "finished" and len([p for p in again.points if p["split"] == "train"]) == 18


@pytest.mark.parametrize(
    ("file", "said"),
    [
        (r"checkpoint\.tmp", "A checkpoint could not be written"),
        (r"trainable-by-layer\.tmp", "trainable-by-layer could not be written: No space left on device"),
        (r"parameter-change\.tmp", "parameter-change could not be written: No space left on device"),
        (r"progress\.json\.tmp", ""),
    ],
)
def test_no_room_for_what_training_can_go_without(lab, full, monkeypatch, file, said):
    monkeypatch.setattr(checkpoint, "EVERY", 0.0)
    full(file)
    run = lab.train("head", **SHORT)
    assert run.status == "finished" and run.metrics["test"]
    assert not said or [note for note in run.record["notes"] if said in note]
    assert not list(run.path.rglob("*.tmp")) and lab.predict(run.id, "the red ship").rows


def test_no_room_for_the_last_word(copy, full):
    progress = After(3, lambda: full(r"run\.tmp|metrics\.jsonl"))
    one_line(
        RunProblem,
        lambda: session.train(copy.recipe("head", **LONGER), copy.host, copy.folder, progress),
        "run-3 cannot be written",
    )
    full.room()
    run = copy.run("run-3")
    assert json.loads((run.path / "run.json").read_text())["status"] == "running", "nothing else could be written"
    assert run.status == "crashed", "although this process, which trained it, lives"
    assert copy.resume("run-3").status == "finished"
    works(copy)


def test_no_room_to_put_in_use(copy, full):
    copy.load("run-1")
    before = (copy.folder / "in-use.json").read_bytes()
    full(r"in-use\.tmp")
    one_line(RunProblem, lambda: copy.load("run-2"), "in-use.json cannot be written: No space left on device")
    assert (copy.folder / "in-use.json").read_bytes() == before
    assert copy.predict("the red ship").rows


def test_no_room_for_a_table(copy, monkeypatch):
    import datasets

    def half(self, path):
        Path(path).write_bytes(b"PAR1")
        raise OSError(28, "No space left on device", path)

    before = content(copy.folder)
    monkeypatch.setattr(datasets.Dataset, "to_parquet", half)
    one_line(DataProblem, lambda: copy.data(tiny_rows(9)), "'table' cannot be kept in data: No space left on device")
    assert content(copy.folder) == before and copy.spec.source == "tiny"


LIMITED = """
import resource, sys
from pathlib import Path
from peft_lab.errors import RunProblem
from peft_lab.testing import tiny_lab
lab = tiny_lab(Path(sys.argv[1]), hidden_size=128, intermediate_size=512)
short = dict(max_steps=2, batch_size=8, device="cpu", precision="fp32")
lab.train("head", **short)
for size, began in ((100_000, False), (400_000, True)):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    try:
        lab.train("full", **short)
    except RunProblem as error:
        print(error)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    print([row[:2] for row in lab.runs().rows])
print(lab.run("run-2").record["error"]["message"], lab.resume("run-2").status, lab.run("run-1").status)
"""


def test_the_system_refuses_to_write_more(tmp_path):
    done = subprocess.run([sys.executable, "-c", LIMITED, str(tmp_path)], capture_output=True, text=True, check=True)
    first, none, second, both, last = done.stdout.splitlines()
    assert first.startswith("run-2 cannot be written: File too large")
    assert none == "[['run-1', 'finished']]"
    assert second.startswith("run-2 cannot be written: File too large (start.safetensors). Make room on the disk")
    assert both == "[['run-1', 'finished'], ['run-2', 'failed']]"
    assert "File too large" in last and last.endswith("finished finished")


# --- folders ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [13, 30], ids=["permission", "read-only"])
def test_a_folder_of_runs_that_is_read_only(copy, monkeypatch, number):
    real = Path.mkdir

    def mkdir(self, *args, **more):
        if self.parent == copy.folder:
            raise OSError(number, os.strerror(number), str(self))
        return real(self, *args, **more)

    before = content(copy.folder)
    monkeypatch.setattr(Path, "mkdir", mkdir)
    one_line(RunProblem, lambda: copy.train("head", **SHORT), "the folder of runs", f"{os.strerror(number)}", "written")
    assert content(copy.folder) == before
    assert len(copy.runs().rows) == 2 and copy.show("curves", "run-1").png and copy.predict("run-1", "a ship").rows


def test_a_folder_of_runs_that_cannot_be_made(copy, tmp_path):
    (tmp_path / "file").write_text("mine")
    for folder in (tmp_path / "file" / "runs", tmp_path / "file", Path("/proc/peft-lab-runs")):
        copy.folder = folder
        one_line(RunProblem, lambda: copy.train("head", **SHORT), "the folder of runs", "cannot be written")
        assert not copy.runs().rows
    assert (tmp_path / "file").read_text() == "mine"


def test_a_folder_removed_while_training(copy):
    folder = copy.folder / "run-3"
    progress = After(4, lambda: shutil.rmtree(folder))
    one_line(
        RunProblem,
        lambda: session.train(copy.recipe("head", **LONGER), copy.host, copy.folder, progress),
        "run-3 ended: its folder was removed or renamed",
    )
    assert [row[0] for row in copy.runs().rows] == ["run-1", "run-2"] and not folder.exists()
    works(copy)


def test_a_folder_renamed_while_training(copy):
    progress = After(13, lambda: (copy.folder / "run-3").rename(copy.folder / "mine"))
    one_line(
        RunProblem,
        lambda: session.train(copy.recipe("head", **LONGER), copy.host, copy.folder, progress),
        "run-3 ended: its folder was removed or renamed",
    )
    run = copy.run("mine")
    assert run.status == "crashed" and not copy.ps().rows, "nobody trains it any more"
    assert copy.predict("mine", "the red ship").rows
    assert copy.resume("mine").status == "finished"


def test_a_run_removed_while_it_is_held(copy):
    run = copy.run("run-1")
    shutil.rmtree(run.path)
    one_line(RunProblem, run.wait, "run-1 is gone: its folder was removed or renamed")
    assert "run-1 is gone" in repr(run) and "\n" not in run._repr_mimebundle_()["text/plain"]
    assert [row[0] for row in copy.runs().rows] == ["run-2"]


# --- damaged files ----------------------------------------------------------------------------------------------------


def rewritten(**changes):
    def damage(data):
        record = {**json.loads(data), **changes}
        return json.dumps({name: value for name, value in record.items() if value != "gone"}).encode()

    return damage


RECORDS = {
    "empty": (lambda data: b"", "is not readable JSON"),
    "cut off": (lambda data: data[: len(data) // 2], "is not readable JSON"),
    "not UTF-8": (lambda data: data.replace(b"tiny", b"t\xffny"), "is not readable JSON"),
    "zeros": (lambda data: bytes(len(data)), "is not readable JSON"),
    "nested without end": (lambda data: b"[" * 100_000, "is not readable JSON"),
    "a list": (lambda data: b"[1]", "it holds a list, not an object"),
    "no status": (rewritten(status="gone"), "status: field required"),
    "another status": (rewritten(status="done"), "status: input should be 'running'"),
    "no recipe": (rewritten(recipe="gone"), "recipe: field required"),
    "half a recipe": (rewritten(recipe={"model": "tiny"}), "recipe.data: field required"),
    "metrics of another type": (rewritten(metrics=[1]), "metrics: "),
    "scores that are words": (rewritten(metrics={"test": {"accuracy": "good"}}), "metrics.test.accuracy"),
    "costs that are words": (rewritten(cost={"seconds": "few"}), "cost.seconds"),
    "an error of another type": (rewritten(error="bad"), "error: "),
    "notes of another type": (rewritten(notes="bad"), "notes: "),
    "a newer format": (rewritten(format=2), "a newer peft_lab wrote it in format 2, this one reads 1"),
    "a format that is a word": (rewritten(format="new"), "its format is 'new', not a number"),
}


@pytest.mark.parametrize("case", RECORDS)
def test_a_damaged_record(copy, case):
    damage, said = RECORDS[case]
    held = copy.run("run-2")
    file = held.path / "run.json"
    file.write_bytes(damage(file.read_bytes()))
    good, bad = copy.runs().rows
    assert good[:2] == ["run-1", "finished"]
    assert bad[0] == "run-2" and bad[1].startswith("unreadable: ") and said in bad[1] and "\n" not in bad[1]
    for call in (
        lambda: copy.show("run-2"),
        lambda: copy.show("curves", "run-2"),
        lambda: copy.compare("run-1", "run-2"),
        lambda: copy.predict("run-2", "the red ship"),
        lambda: copy.resume("run-2"),
        lambda: copy.resume("run-2", bg=True),
        lambda: copy.train("lora", from_="run-2", **SHORT),
        lambda: copy.load("run-2"),
        lambda: copy.run("2"),
    ):
        one_line(RunProblem, call, "run-2", said)
    assert "\n" not in repr(held) and held._repr_mimebundle_()["text/plain"]
    assert not copy.ps().rows and "1 in" in copy.status().rows[3][1]
    assert [row[0] for row in copy.compare().parts[0].rows] == ["run-1"]
    assert copy.predict("run-1", "the red ship").rows
    run = copy.train("head", **SHORT)
    assert run.id == "run-3", "its number is not given again"


def test_damaged_metric_points(copy):
    file = copy.folder / "run-1" / "metrics.jsonl"
    whole = copy.run("run-1").points
    file.write_bytes(b'{"step": 1, "spl\xff\n[1]\n' + file.read_bytes() + b'{"step": 3, "split": "tr')
    run = copy.run("run-1")
    assert run.points == whole
    assert run._repr_mimebundle_()["text/html"] and copy.show("curves", "run-1").png
    file.write_bytes(b"\xff\x00")
    assert run.points == [] and run._repr_mimebundle_()["text/html"]
    one_line(PeftLabError, lambda: copy.show("curves", "run-1"))
    assert len(copy.runs().rows) == 2
    shutil.copy(file, copy.folder / "run-2" / "metrics.jsonl")
    again = copy.resume("run-2")
    assert again.status == "finished"
    assert any("14 of 14 earlier metric points were damaged" in note for note in again.record["notes"])


def header(file):
    data = file.read_bytes()
    size = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + size]), data[8 + size :]


def with_header(file, head, body):
    text = json.dumps(head).encode()
    file.write_bytes(len(text).to_bytes(8, "little") + text + body)


def other_type(file):
    head, body = header(file)
    for name, about in head.items():
        if about.get("dtype") == "F32":
            head[name] = {**about, "dtype": "I32"}
    with_header(file, head, body)


def other_shape(file):
    head, body = header(file)
    name = next(name for name, about in head.items() if len(about.get("shape", ())) == 2 and "::" not in name)
    head[name]["shape"] = [*head[name]["shape"][::-1], 1]
    with_header(file, head, body)


def without_a_tensor(file):
    from safetensors.torch import load_file, save_file

    head, _ = header(file)
    tensors = load_file(file)
    tensors.pop(sorted(name for name in tensors if "::" not in name)[0])
    save_file(tensors, file, metadata=head["__metadata__"])


WEIGHTS = {
    "empty": (lambda file: file.write_bytes(b""), "is damaged"),
    "cut off": (lambda file: file.write_bytes(file.read_bytes()[:-20]), "is damaged"),
    "a header of garbage": (lambda file: file.write_bytes(b"\x20" + bytes(7) + b"\xff" * 90), "is damaged"),
    "a header of huge length": (lambda file: file.write_bytes(b"\xff" * 7 + b"\x7f" + b"{}"), "is damaged"),
    "zeros": (lambda file: file.write_bytes(bytes(file.stat().st_size)), "is damaged"),
    "whole numbers": (other_type, "is int32, not float32"),
    "another shape": (other_shape, "is ("),
    "a tensor less": (without_a_tensor, "lacks tensor"),
    "gone": (lambda file: file.unlink(), "is missing"),
    "a folder": (lambda file: (file.unlink(), file.mkdir()), "is damaged"),
}


@pytest.mark.parametrize("case", WEIGHTS)
def test_damaged_weights(copy, case):
    damage, said = WEIGHTS[case]
    damage(copy.folder / "run-1" / "weights.safetensors")
    one_line(RunProblem, lambda: copy.predict("run-1", "the red ship"), "weights.safetensors", said)
    if case not in ("gone", "a folder"):
        one_line(RunProblem, lambda: copy.train("bitfit", from_="run-1", **SHORT), "weights.safetensors", said)
    else:
        one_line(RunProblem, lambda: copy.train("bitfit", from_="run-1", **SHORT), "no weights to begin from")
    assert copy.runs().rows[0][:2] == ["run-1", "finished"] and copy.show("curves", "run-1").png
    assert copy.predict("run-2", "the red ship").rows


def other_position(**changes):
    def damage(file):
        head, body = header(file)
        head["__metadata__"]["position"] = json.dumps(json.loads(head["__metadata__"]["position"]) | changes)
        with_header(file, head, body)

    return damage


def without_random_numbers(file):
    head, body = header(file)
    head["random::lost"] = head.pop("random::epoch")
    with_header(file, head, body)


CHECKPOINTS = {
    **{name: WEIGHTS[name] for name in ("empty", "cut off", "a header of huge length", "a tensor less")},
    "optimizer of whole numbers": (other_type, "int32"),
    "a position of words": (other_position(steps="many"), "is no checkpoint of this version (steps is 'many')"),
    "a position below zero": (other_position(done=-1), "done is -1"),
    "a position of a newer version": (other_position(lanes=2), "is no checkpoint of this version"),
    "no random numbers": (without_random_numbers, "is damaged (KeyError"),
}


@pytest.mark.parametrize("case", CHECKPOINTS)
def test_a_damaged_checkpoint(copy, case):
    damage, said = CHECKPOINTS[case]
    file = copy.folder / "run-2" / CHECKPOINT
    best = (copy.folder / "run-2" / "weights.safetensors").read_bytes()
    damage(file)
    one_line(RunProblem, lambda: copy.resume("run-2"), CHECKPOINT, said)
    assert (copy.folder / "run-2" / "weights.safetensors").read_bytes() == best
    assert copy.predict("run-2", "the red ship").rows and len(copy.runs().rows) == 2
    file.unlink()
    assert copy.resume("run-2").status == "finished", "without it, the run begins again"


def test_a_damaged_best_state_of_a_run_that_goes_on(copy):
    (copy.folder / "run-2" / "weights.safetensors").write_bytes(b"garbage")
    run = copy.resume("run-2")
    assert run.status == "finished" and copy.predict("run-2", "the red ship").rows
    assert any("The best state so far is lost" in note for note in run.record["notes"])


@pytest.mark.parametrize(
    ("ending", "damage"),
    [
        (".json", lambda data: data[:40]),
        (".json", lambda data: b"[]"),
        (".json", lambda data: b'{"arrays": {"x": {}}, "note": ""}'),
        (".json", lambda data: b"\xff\xfe"),
        (".safetensors", lambda data: data[:40]),
        (".safetensors", lambda data: b""),
    ],
)
def test_a_damaged_artifact(copy, ending, damage):
    file = copy.folder / "run-1" / "artifacts" / f"parameter-change{ending}"
    file.write_bytes(damage(file.read_bytes()))
    one_line(
        RunProblem, lambda: copy.show("change-map", "run-1"), "the artifact 'parameter-change' of run-1 is damaged"
    )
    assert copy.show("trainable-map", "run-1").png and copy.show("change-map", "run-2").png
    assert copy.show("run-1")._repr_mimebundle_()["text/html"] and copy.predict("run-1", "the red ship").rows


@pytest.mark.parametrize("text", ["", "{", "[1]", '"x"', '{"step": "many", "steps": [], "loss": {}}', "\x00"])
def test_damaged_progress(copy, text):
    path = copy.folder / "run-2"
    record = json.loads((path / "run.json").read_text())
    from peft_lab.training.journal import process

    (path / "run.json").write_text(json.dumps(record | {"status": "running", **process()}))
    (path / "progress.json").write_text(text)
    (row,) = copy.ps().rows
    assert row[0] == "run-2" and row[3:6] == ["starting", "-", "-"]
    assert copy.stop("run-2").rows and (path / "stop").exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is damaged"),
        ("[]", "is damaged"),
        ('{"format": 1, "stack": [{"run": 5}]}', "is damaged"),
        ('{"format": 2, "stack": []}', "a newer peft_lab wrote it in format 2"),
    ],
)
def test_a_damaged_list_of_what_is_in_use(copy, text, said):
    (copy.folder / "in-use.json").write_text(text)
    one_line(RunProblem, lambda: copy.predict("the red ship"), "in-use.json", said, "Delete it")
    one_line(RunProblem, copy.rollback, "in-use.json", said)
    assert len(copy.runs().rows) == 2 and copy.show("run-1")
    (copy.folder / "in-use.json").unlink()
    assert copy.load("run-1").rows and copy.predict("the red ship").rows


# --- no network, missing packages -------------------------------------------------------------------------------------


def nobody():
    """An address at which nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


@pytest.mark.parametrize(
    "how", ["offline is set", "nobody answers", "a proxy that is not there", "names are not found"]
)
def test_without_a_network(lab, monkeypatch, how):
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setenv("HF_ENDPOINT", nobody() if how == "nobody answers" else "https://hub.example")
    if how == "offline is set":
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    elif how == "a proxy that is not there":
        monkeypatch.setenv("https_proxy", nobody())
    elif how == "names are not found":  # a resolver that does not even say so
        monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **more: time.sleep(30) or [])
    began = time.monotonic()
    one_line(
        ModelProblem,
        lambda: lab.train("head", model="somebody/a-model", **SHORT),
        "no model named 'somebody/a-model' here, and the hub cannot be reached",
        "tiny",
        "save_pretrained",
    )
    one_line(
        DataProblem,
        lambda: lab.data("somebody/some-data"),
        "no data named 'somebody/some-data' here, and the hub cannot be reached",
        "tickets.csv",
    )
    assert time.monotonic() - began < 20
    assert lab.run("run-1").status == "failed" and lab.model == "somebody/a-model"
    assert lab.train("head", model="tiny", **SHORT).status == "finished"


def test_without_torch(copy, base):
    code = f"""
import sys
sys.modules["torch"] = None
from peft_lab.errors import PeftLabError
from peft_lab.lab import Lab
lab = Lab({str(copy.folder)!r})
print([row[:2] for row in lab.runs().rows])
lab.show("run-1")._repr_mimebundle_()
lab.show("curves", "run-1"), lab.compare("run-1", "run-2"), lab.status(), lab.ps()
for call in (
    lambda: lab.train("head", model={str(base)!r}), lambda: lab.predict("run-1", "a ship"),
    lambda: lab.resume("run-2"), lambda: lab.plan("head"), lambda: lab.train("head", bg=True),
):
    try:
        call()
    except PeftLabError as error:
        print(error)
print(len(lab.runs().rows))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    first, *said, last = done.stdout.splitlines()
    assert first == "[['run-1', 'finished'], ['run-2', 'stopped']]" and last == "2"
    assert len(said) == 5 and all("torch is not installed" in line and "pip install torch" in line for line in said)


TRICKS = """
from pluggy_specs import Method, hookimpl
class Odd(Method):
    name, summary = "odd", "for tests"
    def attach(self, model, context):
        for name, parameter in model.named_parameters():
            parameter.requires_grad_("bias" in name)
@hookimpl
def register_methods():
    return [Odd]
"""


def test_a_plugin_that_was_uninstalled(tmp_path, base, monkeypatch):
    place = tmp_path / "site"
    (place / "peft_tricks-0.4.dist-info").mkdir(parents=True)
    (place / "peft_odd_tricks.py").write_text(TRICKS)
    (place / "peft_tricks-0.4.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: peft-tricks\nVersion: 0.4\n"
    )
    (place / "peft_tricks-0.4.dist-info" / "entry_points.txt").write_text("[peft_lab]\nodd = peft_odd_tricks\n")
    with monkeypatch.context() as installed:
        installed.syspath_prepend(str(place))
        run = lab_at(tmp_path / "runs", base, host=Host(warn=lambda line: None)).train("odd", **SHORT)
        assert run.status == "finished"
    lab = lab_at(tmp_path / "runs", base, host=Host(warn=lambda line: None))
    assert lab.runs().rows[0][:3] == ["run-1", "finished", "odd"]
    assert lab.show("run-1")._repr_mimebundle_()["text/html"] and lab.show("curves", "run-1").png
    needs = "run-1 needs the method 'odd', which peft-tricks 0.4 offered"
    one_line(RunProblem, lambda: lab.predict("run-1", "the red ship"), needs, "pip install peft-tricks==0.4")
    one_line(PeftLabError, lambda: lab.train("odd", **SHORT), "no method named 'odd'")
    works(lab)


# --- several processes, and the clock ---------------------------------------------------------------------------------

CLAIMS = """
import sys, time
from pathlib import Path
from peft_lab.data_spec import DataSpec
from peft_lab.recipe import MethodSpec, Recipe
from peft_lab.training.journal import claim
recipe = Recipe(model="tiny", data=DataSpec(source="tiny"), methods=(MethodSpec(name="head"),), seed=int(sys.argv[2]))
Path(sys.argv[1], f"ready-{sys.argv[2]}").touch()
while len(list(Path(sys.argv[1]).glob("ready-*"))) < 2:
    time.sleep(0.001)
for _ in range(20):
    print(claim(Path(sys.argv[1], "runs"), recipe).name)
"""


def test_two_kernels_begin_runs_at_the_same_moment(tmp_path):
    kernels = [
        subprocess.Popen([sys.executable, "-c", CLAIMS, str(tmp_path), str(n)], stdout=subprocess.PIPE, text=True)
        for n in range(2)
    ]
    said = [kernel.communicate()[0].split() for kernel in kernels]
    assert [len(names) for names in said] == [20, 20] and all(kernel.returncode == 0 for kernel in kernels)
    assert sorted(said[0] + said[1], key=lambda name: int(name[4:])) == [f"run-{n}" for n in range(1, 41)]
    for seed, names in enumerate(said):
        assert {Run(tmp_path / "runs" / name).recipe.seed for name in names} == {seed}
    assert not list((tmp_path / "runs").glob(".new-*"))


def test_a_clock_that_is_set_back(copy, monkeypatch):
    from peft_lab.training.journal import process

    file = copy.folder / "run-2" / "run.json"
    record = json.loads(file.read_text()) | {"status": "running", **process()}
    file.write_text(json.dumps(record | {"process_started": record["process_started"] + 3600}))
    assert copy.run("run-2").status == "running", "the process lives, whatever the clock says"
    one_line(RunProblem, lambda: copy.resume("run-2"), "run-2 is being trained now")
    monkeypatch.setattr(time, "time", lambda: 1e9)
    run = copy.train("head", beside=True, **SHORT)
    assert run.id == "run-3" and run.cost["seconds"] >= 0 and copy.runs().rows[-1][0] == "run-3"


def test_a_process_number_given_again(copy):
    other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        file = copy.folder / "run-2" / "run.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | {"status": "running", "pid": other.pid}))
        assert copy.run("run-2").status == "crashed" and not copy.ps().rows
        one_line(RunProblem, copy.run("run-2").wait, "run-2 crashed: its process is gone")
        assert copy.resume("run-2").status == "finished"
    finally:
        other.communicate(b"\n")
