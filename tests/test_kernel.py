"""The extension in real kernels: what goes over the wire, what stays in the file, what an interrupt does."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from datetime import datetime
from itertools import pairwise
from queue import Empty

import nbformat
import pytest
from jupyter_client.manager import start_new_kernel
from nbclient import NotebookClient

from peft_lab.run import Run

HEAVY = ("torch", "transformers", "datasets", "matplotlib", "pandas", "ipywidgets", "peft", "accelerate", "sklearn")
QUIET = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "PYTHONWARNINGS": "ignore"}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a tiny model and a small data set that a tiny model can learn."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("kernel")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "red", "blue", "stone", "leaf", "here", *map(str, range(60))]
    tokenizer = Tokenizer(WordLevel({word: at for at, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    marks = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **marks).save_pretrained(folder / "tiny")
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    BertModel(BertConfig(vocab_size=len(words), max_position_embeddings=16, **sizes)).save_pretrained(folder / "tiny")
    rows = [
        f"{colour} {thing} here {at},{colour}"
        for at in range(60)
        for colour in ("red", "blue")
        for thing in ("stone", "leaf")
    ]
    (folder / "colours.csv").write_text("\n".join(["text,label", *rows]))
    return folder


@pytest.fixture(scope="module")
def kernel(place):
    made = Kernel(place)
    yield made
    made.manager.shutdown_kernel(now=True)
    made.client.stop_channels()


@pytest.fixture(autouse=True)
def loaded(request):
    """Each test begins with the extension loaded, whatever the one before it did."""
    if "kernel" in request.fixturenames:
        request.getfixturevalue("kernel").run("%reload_ext peft_lab\nlab.model, _ = 'tiny', lab.data('colours.csv')")


class Cell:
    """What a cell sent and replied."""

    def __init__(self):
        self.messages, self.reply = [], {}

    def of(self, *kinds):
        return [m for m in self.messages if m["msg_type"] in kinds]

    @property
    def outputs(self):
        return self.of("display_data", "update_display_data", "execute_result", "stream", "error")

    def text(self):
        return "".join(m["content"].get("text", "") for m in self.of("stream"))


class Kernel:
    def __init__(self, folder):
        self.folder = folder
        env = {**os.environ, **QUIET, "PEFT_LAB_RUNS": str(folder / "runs")}
        self.manager, self.client = start_new_kernel(env=env, cwd=str(folder), stderr=subprocess.DEVNULL)

    def run(self, code):
        return self.finish({self.client.execute(code): Cell()})[0]

    def finish(self, cells, until=lambda cells: False, limit=60):
        """Gather until the cells have ended, or until something is seen."""
        end = time.monotonic() + limit
        while not all(c.reply and c.messages and is_idle(c.messages[-1]) for c in cells.values()):
            assert time.monotonic() < end, "the kernel does not answer"
            for channel, take in ((self.client.iopub_channel, self._said), (self.client.shell_channel, self._replied)):
                try:
                    message = channel.get_msg(timeout=0.02)
                except Empty:
                    continue
                take(cells.get(message["parent_header"].get("msg_id"), Cell()), message)
            if until(list(cells.values())):
                break
        return list(cells.values())

    def _said(self, cell, message):
        cell.messages.append(message)

    def _replied(self, cell, message):
        cell.reply = message["content"]

    def value(self, code):
        """The value of an expression that JSON can hold."""
        said = self.run(f"import json\nprint(json.dumps({code}))").text()  # a line may come in two messages
        return json.loads(said)


def is_idle(message):
    return message["msg_type"] == "status" and message["content"]["execution_state"] == "idle"


def plain(message):
    return message["content"]["data"]["text/plain"]


def when(message):
    date = message["header"]["date"]
    return (date if isinstance(date, datetime) else datetime.fromisoformat(date)).timestamp()


# --- watching ---------------------------------------------------------------------------------------------------------


def test_a_training_is_one_display_that_ends_as_the_card(kernel):
    cell = kernel.run("run = %peft train full --epochs 2")
    assert cell.reply["status"] == "ok"
    first, *updates = cell.outputs
    assert first["msg_type"] == "display_data"
    assert {m["msg_type"] for m in updates} == {"update_display_data"}
    assert len({m["content"]["transient"]["display_id"] for m in cell.outputs}) == 1
    assert "step" in plain(updates[-2]) or "saving" in plain(updates[-2])
    assert plain(updates[-1]).startswith("run-1  ✓ finished")

    again = kernel.run("run")
    assert [m["msg_type"] for m in again.outputs] == ["execute_result"]
    assert plain(again.outputs[0]) == plain(updates[-1])


def test_a_cell_run_twice_makes_two_runs_with_one_card_each(kernel):
    cells = [
        kernel.run("%%peft train full\n# NBVAL_IGNORE_OUTPUT\nmax_steps: 3\nlearning_rate: 3e-4") for _ in range(2)
    ]
    ids = [re.match(r"run-\d+", plain(c.outputs[-1])).group() for c in cells]
    assert len(set(ids)) == 2
    for cell in cells:
        assert len(cell.of("display_data")) == 1
        assert not cell.of("execute_result", "stream", "error")
    facts = kernel.value(
        f"[(r.cost['trainable'], r.metrics, r.recipe.training.learning_rate) for r in map(lab.run, {ids})]"
    )
    assert facts[0] == facts[1]  # nothing was stacked on the first one
    assert facts[0][2] == 3e-4


def test_an_interrupt_stops_at_a_step_keeps_the_run_and_holds_the_queue(kernel):
    code = "%peft train full --epochs 10000 --batch-size 4"
    cells = {kernel.client.execute(code): Cell(), kernel.client.execute("print('went on')"): Cell()}
    begun = []

    def long_enough(found):
        if not begun and any("· training · step" in plain(m) for m in found[0].of("update_display_data")):
            begun.append(time.monotonic())
        return bool(begun) and time.monotonic() - begun[0] > 3

    kernel.finish(cells, until=long_enough)
    kernel.manager.interrupt_kernel()
    training, queued = kernel.finish(cells)

    assert training.reply["status"] == "error"
    assert queued.reply["status"] == "aborted"
    assert not queued.outputs
    (error,) = training.of("error")
    first, second = error["content"]["traceback"]
    done = int(re.fullmatch(r"Stopped by you at step (\d+) of 540000\.", first.replace(",", "")).group(1))
    name = re.fullmatch(r"Kept as (run-\d+): %peft show \1, or lab\.last", second).group(1)
    run = Run(kernel.folder / "runs" / name)
    assert run.status == "stopped"
    assert run.record["steps"]["done"] == done == len([p for p in run.points if p["split"] == "train"])
    assert (run.path / "weights.safetensors").stat().st_size > 0
    assert kernel.value("[lab.last.id, lab.last.status]") == [name, "stopped"]
    card = training.of("update_display_data")[-1]
    assert plain(card).startswith(f"{name}  ■ stopped at step {done:,}")
    check_rates(training)


def check_rates(cell):
    """At most 4 texts and 1 picture a second, and nothing twice. The first message and the card come when they come."""
    shown = cell.of("display_data", "update_display_data")
    assert len({m["content"]["transient"]["display_id"] for m in shown}) == 1
    updates = shown[1:-1]
    assert len(updates) > 4
    for one, other in pairwise(updates):
        assert when(other) - when(one) > 0.24
        assert one["content"]["data"] != other["content"]["data"]
    changes, seen = [], ""
    for message in updates:
        picture = "".join(re.findall(r"base64,[^\"]+", message["content"]["data"]["text/html"]))
        if picture != seen:
            changes.append(when(message))
            seen = picture
    assert changes, "no curve was drawn"
    assert all(b - a > 0.99 for a, b in pairwise(changes))


def test_a_training_that_fails_is_a_card_and_one_line(kernel):
    cell = kernel.run("%peft train full --learning-rate 1e30")
    assert cell.reply["status"] == "error"
    assert re.fullmatch(r"UsageError: the loss is \w+ at step \d+\. Lower --learning-rate\n", cell.text())
    assert "✗ failed" in plain(cell.of("update_display_data")[-1])
    assert not cell.of("error")


def test_training_from_a_loop_shows_one_card_for_each(kernel):
    cell = kernel.run("for rate in (1e-3, 1e-4):\n    last = lab.train('full', learning_rate=rate, max_steps=2)\nlast")
    ids = {m["content"]["transient"]["display_id"] for m in cell.of("display_data", "update_display_data")}
    assert len(cell.of("display_data")) == len(ids) == 2
    assert not cell.of("execute_result")


def test_a_run_of_another_name_and_unload(kernel):
    assert kernel.run("%peft train full --max-steps 2 --into mine").reply["status"] == "ok"
    assert kernel.value("mine.status") == "finished"
    kernel.run("%unload_ext peft_lab")
    assert "`%peft` not found" in kernel.run("%peft").text()
    assert kernel.value("'lab' in globals()") is False


# --- in the background ------------------------------------------------------------------------------------------------


def test_a_run_in_the_background_is_followed_left_and_stopped(kernel):
    began = time.monotonic()
    cell = kernel.run("%peft train full --epochs 10000 --batch-size 4 --bg --into slow")
    assert cell.reply["status"] == "ok"
    assert time.monotonic() - began < 10
    name = kernel.value("slow.id")
    assert name in kernel.run("%peft ps").outputs[0]["content"]["data"]["text/plain"]
    assert kernel.run("%peft train head").reply["status"] == "error", "one at a time on a base model"

    code = f"%peft wait {name}"
    cells = {kernel.client.execute(code): Cell(), kernel.client.execute("print('went on')"): Cell()}
    kernel.finish(cells, until=lambda found: any("training · step" in plain(m) for m in found[0].outputs[1:]))
    kernel.manager.interrupt_kernel()
    waiting, queued = kernel.finish(cells)
    assert waiting.reply["status"] == "error" and queued.reply["status"] == "aborted"
    (error,) = waiting.of("error")
    assert error["content"]["traceback"][0] == f"You stopped watching; {name} goes on."
    assert kernel.value("slow.status") == "running"

    assert kernel.run(f"%peft stop {name}").reply["status"] == "ok"
    cell = kernel.run("await slow")
    assert cell.reply["status"] == "ok"
    assert kernel.value("slow.status") == "stopped"
    again = kernel.run(f"%peft wait {name}")
    assert plain(again.outputs[-1]).startswith(f"{name}  ■ stopped")


# --- what stays in the file -------------------------------------------------------------------------------------------


def test_a_saved_notebook_holds_one_static_card(kernel):
    cells = [
        "%reload_ext peft_lab",
        "%peft train full --model tiny --data colours.csv --max-steps 8",
        "%config PeftMagics.live = False\n%peft train full --max-steps 4",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])
    NotebookClient(notebook, timeout=60, km=kernel.manager).execute()  # a kernel of its own would take long to start
    nbformat.validate(notebook)
    live, still = (cell["outputs"] for cell in notebook.cells[1:])
    assert [o["output_type"] for o in live] == ["display_data"]
    assert [o["output_type"] for o in still] == ["execute_result"]
    for (output,) in (live, still):
        assert set(output["data"]) == {"text/html", "text/plain"}
        html = output["data"]["text/html"]
        assert "finished" in html
        assert not re.search(r"<(script|style|svg|iframe|progress)|\son\w+=|https?://(?!arxiv|doi)", html)
        assert len(html) < 200_000
    assert "widgets" not in notebook.metadata


# --- what it costs to load --------------------------------------------------------------------------------------------

PROBE = """
import json, sys, time
from IPython.core.interactiveshell import InteractiveShell
ip = InteractiveShell.instance()
before = set(sys.modules)
began = time.perf_counter()
ip.run_line_magic("load_ext", "peft_lab")
seconds = time.perf_counter() - began
at_load = sorted(set(sys.modules) - before)
for line in ("", "methods", "plugins", "views", "problems", "--help", "train lora --help", "methods lora", "runs"):
    ip.run_line_magic("peft", line)
try:
    ip.run_line_magic("peft", "train lora --rnk 8")
except Exception as error:
    wrong = str(error)
print(json.dumps({"seconds": seconds, "at_load": at_load, "now": sorted(sys.modules), "wrong": wrong}))
"""


def test_loading_and_listing_import_nothing_heavy(tmp_path):
    env = {**os.environ, **QUIET, "PEFT_LAB_RUNS": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", PROBE], capture_output=True, text=True, env=env, check=True, cwd=tmp_path
    )
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["seconds"] < 0.3
    assert not {"pydantic", "yaml", "pluggy", "numpy"} & set(found["at_load"])
    assert not set(HEAVY) & set(found["now"])
    assert found["wrong"] == "train has no --rnk. Did you mean '--rank'?"
