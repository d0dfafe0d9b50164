"""Memory: what ``%peft free`` lets go of and what it leaves alone, and that trainings leave nothing behind."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import types
import weakref

import nbformat
import numpy as np
import pytest
import torch
from IPython.core.interactiveshell import InteractiveShell
from nbclient import NotebookClient
from traitlets.config import Config

from peft_lab.host import Host
from peft_lab.lab import Lab
from peft_lab.memory import freeing
from peft_lab.memory.weighing import walls, weigh
from peft_lab.testing import tiny_lab
from pluggy_specs import Method

MEGABYTE = 250_000
"""Numbers of four bytes in one."""


@pytest.fixture
def shell(tmp_path):
    config = Config()
    config.HistoryManager.enabled = False
    config.InteractiveShell.colors = "nocolor"
    config.InteractiveShell.cache_size = 1000
    ip = InteractiveShell.instance(config=config)
    ip.run_line_magic("load_ext", "peft_lab")
    lab = ip.magics_manager.registry["PeftMagics"].lab
    lab._host, lab.folder = Host(entry_points=False), tmp_path / "runs"
    yield ip
    ip.run_line_magic("unload_ext", "peft_lab")
    InteractiveShell.clear_instance()
    for name in ("last_exc", "last_value", "last_traceback", "last_type"):
        vars(sys).pop(name, None)


def run(ip, code):
    """The value of a cell, or what it raised."""
    outcome = ip.run_cell(code, store_history=True)
    return outcome.error_before_exec or outcome.error_in_exec or outcome.result


def rows_of(result):
    """The rows of the tables that were shown, by the first word of each."""
    parts = getattr(result, "parts", [result])
    return {row[0]: row[1:] for part in parts for row in part.rows}


# --- what a value holds -----------------------------------------------------------------------------------------------


class Holder:
    def __init__(self, held):
        self.held = held


@pytest.mark.parametrize(
    "wrap",
    [
        lambda tensor: tensor,
        lambda tensor: [{"a": (tensor, tensor[:10])}],
        lambda tensor: Holder(Holder(tensor)),
        lambda tensor: lambda: tensor,
        lambda tensor: tensor.view(2, -1),
        lambda tensor: torch.nn.ParameterList([torch.nn.Parameter(tensor)]),
        lambda tensor: tensor.numpy(),
    ],
    ids=["itself", "containers", "attributes", "closure", "view", "module", "array over it"],
)
def test_a_value_is_weighed_with_all_it_reaches_each_memory_once(wrap):
    assert weigh(wrap(torch.zeros(MEGABYTE)), walls()).size == 4 * MEGABYTE


def test_gradients_arrays_and_graphs_are_seen():
    model = torch.nn.Linear(500, 500, bias=False)
    loss = model(torch.zeros(1, 500)).sum()
    loss.backward()
    weight = weigh(model, walls())
    assert (weight.size, weight.models) == (2 * 4 * 500 * 500, 1)
    assert weigh(model(torch.zeros(1, 500)).sum(), walls()).graphs == 1
    assert weigh(np.zeros(MEGABYTE)[:5], walls()).size == 8 * MEGABYTE
    assert not weigh(torch.zeros(3), walls()).is_of_training


def test_what_only_can_be_reached_is_not_held():
    module = types.ModuleType("somewhere")
    module.big = torch.zeros(MEGABYTE)
    sys.modules["somewhere"] = module
    try:
        exec("def f(): return big", vars(module))
        assert weigh(module.f, walls()).size == 0
        assert weigh([module, vars(module)], walls()).size == 0
        assert weigh([module.big], walls()).size == 4 * MEGABYTE
    finally:
        del sys.modules["somewhere"]


# --- in a notebook ----------------------------------------------------------------------------------------------------


def test_outputs_that_nobody_named_are_let_go(shell):
    run(shell, "import torch")
    model = weakref.ref(run(shell, "torch.nn.Linear(1000, 1000)").weight)
    run(shell, "'a word'")
    number = shell.execution_count
    tensor = weakref.ref(run(shell, "torch.zeros(1000, 1000)"))
    run(shell, "torch.tensor(3.5)")
    gc.collect()
    assert model() is not None and tensor() is not None
    result = run(shell, "%peft free")
    gc.collect()
    assert model() is None
    assert tensor() is None
    said = str(result)
    assert f"Out[{number}]" in said and f"Out[{number - 2}]" in said
    assert "still held" not in said
    assert run(shell, f"Out[{number - 1}], Out[{number + 1}].item(), _{number - 1}") == ("a word", 3.5, "a word")
    assert number not in shell.user_ns["Out"]
    assert f"_{number}" not in shell.user_ns


def test_the_last_result_is_let_go_and_the_next_one_is_remembered_again(shell):
    run(shell, "import torch")
    tensor = weakref.ref(run(shell, "torch.zeros(1000, 1000)"))
    run(shell, "lab.free();")
    gc.collect()
    assert tensor() is None
    run(shell, "41 + 1")
    assert run(shell, "_") == 42


def test_names_of_the_person_stay_and_are_listed_with_what_they_hold(shell):
    run(shell, "import torch\nmodel = torch.nn.Linear(1000, 1000, bias=False)\n_small = torch.zeros(3)")
    run(shell, "model")
    kept = shell.user_ns["model"]
    rows = rows_of(run(shell, "%peft free"))
    assert shell.user_ns["model"] is kept
    assert kept.weight.shape == (1000, 1000)
    assert rows["model"] == ["Linear", "4.0 MB"]
    assert not {"_small", "lab", "Out", "_"} & set(rows)
    assert "del model" in str(run(shell, "%peft free"))


def test_the_frames_of_the_last_error_are_cleared(shell, capsys):
    run(shell, "import torch, weakref\nseen = []")
    failing = (
        "def train():\n    big = torch.zeros(1000, 1000)\n    seen.append(weakref.ref(big))\n    raise ValueError('x')"
    )
    assert isinstance(
        run(shell, f"{failing}\ntry:\n    train()\nexcept ValueError as e:\n    raise KeyError('y') from e"), KeyError
    )
    gc.collect()
    assert shell.user_ns["seen"][0]() is not None  # IPython keeps what failed
    result = run(shell, "%peft free")
    gc.collect()
    assert shell.user_ns["seen"][0]() is None
    assert "the frames of the last error" in str(result)
    assert not hasattr(sys, "last_value")
    capsys.readouterr()
    run(shell, "%tb")
    assert "No traceback" in "".join(capsys.readouterr())


def test_an_error_that_a_person_named_stays_but_holds_no_memory(shell):
    run(shell, "import torch, weakref\nseen = []")
    failing = (
        "def train():\n    big = torch.zeros(1000, 1000)\n    seen.append(weakref.ref(big))\n    raise ValueError('x')"
    )
    run(shell, f"{failing}\ntry:\n    train()\nexcept ValueError as e:\n    mine = e\n    raise")
    run(shell, "%peft free")
    gc.collect()
    assert isinstance(shell.user_ns["mine"], ValueError)
    assert shell.user_ns["seen"][0]() is None


IN_A_KERNEL = [
    "%load_ext peft_lab\nimport gc, torch, weakref\nseen = []",
    "def keep(tensor):\n    seen.append(weakref.ref(tensor))\n    return tensor",
    "torch.nn.ParameterList([keep(torch.nn.Parameter(torch.zeros(1000, 1000)))])",
    "def train():\n    big = keep(torch.zeros(1000, 1000))\n    raise ValueError(len(big))\ntrain()",
    "gc.collect()\nprint([ref() is None for ref in seen])",
    "%peft free",
    "gc.collect()\nprint([ref() is None for ref in seen])",
]


def test_a_real_kernel_lets_go_of_outputs_and_of_the_last_error(tmp_path):
    cells = [nbformat.v4.new_code_cell(source) for source in IN_A_KERNEL]
    cells[3].metadata["tags"] = ["raises-exception"]
    notebook = nbformat.v4.new_notebook(cells=cells)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert notebook.cells[4].outputs[0]["text"] == "[False, False]\n"
    assert notebook.cells[6].outputs[0]["text"] == "[True, True]\n"
    assert "Let go: the frames of the last error, Out[3]." in notebook.cells[5].outputs[0]["data"]["text/plain"]


# --- without a notebook -----------------------------------------------------------------------------------------------


def test_the_model_that_answered_last_is_let_go(tmp_path):
    lab = tiny_lab(tmp_path)
    trained = lab.train("bitfit", max_steps=2, device="cpu")
    lab.predict(trained, "the red ship")
    model = weakref.ref(lab.served.restored.built.model)
    result = lab.free()
    gc.collect()
    assert model() is None
    assert "the model that answered last" in str(result)
    before, after, _ = rows_of(result)["resident memory"]
    assert before.endswith("B") and after.endswith("B")
    assert "nothing to let go of" in str(lab.free())
    assert len(lab.predict(trained, "the red ship")) == 1


def test_memory_returns_to_the_system(tmp_path):
    lab = Lab(tmp_path, host=Host(entry_points=False))

    class Error(Exception):
        pass

    def fail():
        pieces = [np.ones(20_000) for _ in range(1000)]  # 160 MB in pieces, which the C library would keep
        raise Error(len(pieces))

    try:
        fail()
    except Error as error:
        sys.last_value = error
    found = freeing.free(lab.namespace, lab._forget)
    assert found.before["resident memory"] - found.after["resident memory"] > 100e6


FRESH = """
import sys, tempfile
from peft_lab import Lab
result = Lab(tempfile.mkdtemp()).free()
assert "resident memory" in str(result)
print(*sorted({"torch", "transformers", "IPython", "numpy.random"} & set(sys.modules)))
"""


def test_it_imports_nothing_heavy():
    done = subprocess.run([sys.executable, "-c", FRESH], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "torch" not in done.stdout and "transformers" not in done.stdout and "IPython" not in done.stdout


# --- trainings leave nothing behind -----------------------------------------------------------------------------------


class Troubled(Method):
    """Trains like any other, and does at a step what a test asks for."""

    name = "troubled"
    summary = "for tests"
    at = 3
    does = staticmethod(lambda: None)

    def attach(self, model, context):
        self.calls = 0
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                parameter.requires_grad_(True)

    def penalty(self, model):
        self.calls += 1
        if self.calls == self.at:
            self.does()
        return None


def alive():
    """How many parameters of models live in this process."""
    gc.collect()
    return sum(issubclass(type(one), torch.nn.Parameter) for one in gc.get_objects())


@pytest.fixture
def bench(shell, tmp_path):
    """A notebook whose lab has a tiny model and tiny data."""
    lab, tiny = shell.user_ns["lab"], tiny_lab(tmp_path, Troubled)
    lab._host, lab.model, lab.spec = tiny.host, tiny.model, tiny.spec
    run(shell, "%config PeftMagics.settings = {'max_steps': 4, 'batch_size': 8, 'device': 'cpu'}")
    return shell


def test_what_counts_parameters_sees_one():
    before = alive()
    kept = torch.nn.Linear(2, 2)
    assert alive() == before + 2
    del kept
    assert alive() == before


def test_trainings_in_one_kernel_leave_no_model_behind(bench):
    before = alive()
    for method in ("bitfit", "lora", "full", "bitfit+lora", "peft:ia3", "head", "lora", "full"):
        assert run(bench, f"%peft train {method}").status == "finished"
        assert alive() == before, f"after {method}"
    assert sum(isinstance(value, type(bench.user_ns["lab"].last)) for value in bench.user_ns["Out"].values()) == 8


@pytest.mark.parametrize("through", ["%peft train troubled", "lab.train('troubled')"])
def test_a_failed_training_leaves_no_model_behind(bench, monkeypatch, through):
    def fail():
        raise RuntimeError("out of something")

    monkeypatch.setattr(Troubled, "does", staticmethod(fail))
    before = alive()
    assert "out of something" in str(run(bench, through))
    assert bench.user_ns["lab"].run("run-1").status == "failed"
    assert alive() == before
    assert hasattr(sys, "last_value") or through.startswith("%")


def test_an_interrupted_training_leaves_no_model_behind(bench, monkeypatch):
    monkeypatch.setattr(Troubled, "does", staticmethod(lambda: os.kill(os.getpid(), signal.SIGINT)))
    before = alive()
    stopped = run(bench, "%peft train troubled --max-steps 500 --into partial")
    assert isinstance(stopped, KeyboardInterrupt)
    assert bench.user_ns["partial"].status == "stopped"
    assert alive() == before
