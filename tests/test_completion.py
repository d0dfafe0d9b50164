"""Completion as IPython and a kernel are asked for it: what is offered where, in which order, and what it costs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from IPython.core.completer import provisionalcompleter
from IPython.core.interactiveshell import InteractiveShell
from jupyter_client.manager import start_new_kernel
from pydantic import Field
from safetensors.numpy import save_file
from traitlets.config import Config

from peft_lab.host import Host
from peft_lab.recipe import MethodSpec, Recipe, Training
from peft_lab.run import Run
from peft_lab.training.journal import Journal, claim
from pluggy_specs import DatasetSource, Drawing, Method, ModelSource, Options, View

WEIGHTS = {
    "embeddings.word.weight": (8, 4),
    "encoder.layer.0.attention.self.query.weight": (4, 4),
    "encoder.layer.0.attention.self.query.bias": (4,),
    "encoder.layer.0.attention.output.dense.weight": (4, 4),
    "encoder.layer.0.output.dense.weight": (4, 4),
    "encoder.layer.0.output.LayerNorm.weight": (4,),
    "encoder.layer.1.attention.self.query.weight": (4, 4),
    "pooler.dense.weight": (4, 4),
}


class Made(Method):
    name = "made"
    summary = "for tests"

    class Options(Options):
        rank: int = Field(8, description="how large")
        targets: tuple[Literal["all-linear"] | str, ...] = Field(
            ("all-linear",), description="where", json_schema_extra={"completes": "modules"}
        )
        start: Literal["zero", "normal"] = "zero"
        fast: bool = False
        steady: bool = True
        omit: tuple[str, ...] = Field((), json_schema_extra={"whole": True})

    def masks(self, model):
        return {}


class Other(Made):
    name = "other"

    class Options(Options):
        rank: int = 4
        depth: float = 1.0


class Late(Made):
    """Its options are found out only when they are asked for, as those of PEFT are."""

    name = "peft:late"

    class Discovered:
        made = None

        def __get__(self, instance, owner):
            raise AssertionError("this would import PEFT")

    Options = Discovered()


class Drawn(View):
    name = "drawn"
    summary = "for tests"

    class Options(Options):
        bins: int = 4

    def draw(self, runs):
        return Drawing("")


def write_model(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    save_file({name: np.zeros(shape, np.float32) for name, shape in WEIGHTS.items()}, folder / "model.safetensors")
    return folder


def make_run(folder: Path, host: Host, method: str, status: str) -> Run:
    recipe = Recipe(model="tiny", data={"source": "rows"}, methods=(MethodSpec(name=method),), training=Training())
    path = claim(folder, recipe)
    journal = Journal(path, Run(path).record, host)
    journal.end(status)
    return journal.run


@pytest.fixture(scope="module")
def shell():
    config = Config()
    config.HistoryManager.enabled = False
    yield InteractiveShell.instance(config=config)
    InteractiveShell.clear_instance()


@pytest.fixture
def magics(shell, monkeypatch, tmp_path):
    monkeypatch.setattr("peft_lab.host.BUILTIN_PLUGINS", ())
    monkeypatch.delitem(sys.modules, "peft", raising=False)  # other tests may have imported it
    monkeypatch.setenv("PEFT_LAB_RUNS", str(tmp_path / "runs"))
    monkeypatch.chdir(tmp_path)
    shell.run_line_magic("load_ext", "peft_lab")
    magics = shell.magics_manager.registry["PeftMagics"]
    host = Host((), entry_points=False)
    tiny = write_model(tmp_path / "models" / "tiny")
    rows = [{"text": "a", "label": "b"}]
    for item in (Made, Other, Late, Drawn, ModelSource("tiny", "", lambda: tiny)):
        host.add(item)
    host.add(DatasetSource("rows", "", lambda: {"train": rows}))
    magics.lab._host = host
    magics.lab.model = "tiny"
    yield magics
    shell.run_line_magic("unload_ext", "peft_lab")
    for name in [n for n in shell.user_ns if n.startswith("my_")]:
        del shell.user_ns[name]


@pytest.fixture
def complete(shell, magics):
    def ask(code: str) -> list[str]:
        """What the text before ``|`` becomes with each completion: the whole line or cell up to the cursor."""
        return [text for text, _ in ask.typed(code)]

    def typed(code: str) -> list[tuple[str, str]]:
        at = code.index("|")
        code = code.replace("|", "", 1)
        with provisionalcompleter():
            found = list(shell.Completer.completions(code, at))
        assert all(one.end == at for one in found)
        return [(code[: one.start] + one.text, one.type) for one in found]

    ask.typed = typed
    return ask


def endings(found: list[str], code: str) -> list[str]:
    before = code.partition("|")[0]
    stem = before[: before.rindex(" ") + 1]
    assert all(text.startswith(stem) for text in found)
    return [text[len(stem) :] for text in found]


# --- lines ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "becomes"),
    [
        ("%peft trai|", ["%peft train"]),
        ("  %peft trai|", ["  %peft train"]),
        ("run = %peft trai|", ["run = %peft train"]),
        ("a, b = %peft trai|", ["a, b = %peft train"]),
        ("%%peft trai|", ["%%peft train"]),
        ("\n\n%%peft trai|", ["\n\n%%peft train"]),
        ("import os\n%peft trai|\nprint(1)", ["import os\n%peft train"]),
        ("%peft train \\\n  ma|", ["%peft train \\\n  made"]),
        ("%peft help trai|", ["%peft help train"]),
        ("%peft --h|", ["%peft --help"]),
        ("%peft train ma|", ["%peft train made"]),
        ("%peft train made+o|", ["%peft train made+other"]),
        ("%peft train made+ma|", []),
        ("%peft methods o|", ["%peft methods other"]),
        ("%peft train pe|", ["%peft train peft:late"]),
        ("%peft train made --ra|", ["%peft train made --rank"]),
        ("%peft train --ra| made", ["%peft train --rank"]),
        ("%peft train made --le|", ["%peft train made --learning-rate"]),
        ("%peft train made --learning_r|", ["%peft train made --learning-rate"]),
        ("%peft train made --made.ra|", ["%peft train made --made.rank"]),
        ("%peft train made --dep|", []),
        ("%peft train made --rank 2 --ra|", []),
        ("%peft train made --ra| --rank=2", []),
        ("%peft train made --ste|", []),
        ("%peft train made --no-s|", ["%peft train made --no-steady"]),
        ("%peft train made --no-steady --no-s|", []),
        ("%peft train peft:late --epo|", ["%peft train peft:late --epochs"]),
        ("%peft train made --int|", ["%peft train made --into"]),
        ("%peft train made --start n|", ["%peft train made --start normal"]),
        ("%peft train made --start=n|", ["%peft train made --start=normal"]),
        ("%peft train made --start 'n|", ["%peft train made --start 'normal'"]),
        ("%peft train made --start 'n|'", ["%peft train made --start 'normal"]),
        ("%peft train made --start 'normal'|", []),
        ("%peft train made --fast=|", ["%peft train made --fast=yes", "%peft train made --fast=no"]),
        ("%peft train made --rank |", ["%peft train made --rank 8"]),
        ("%peft train made --schedule c|", [f"%peft train made --schedule {s}" for s in ("cosine", "constant")]),
        ("%peft train made --targets qu|", ["%peft train made --targets query"]),
        ("%peft train made --targets query,al|", ["%peft train made --targets query,all-linear"]),
        ("%peft train made --targets=query,q|", []),
        ("%peft train made --omit a --om|", ["%peft train made --omit a --omit"]),
        ("%peft train made --targets a --tar|", []),
        ("%peft train made --model ti|", ["%peft train made --model tiny"]),
        ("%peft data ro|", ["%peft data rows"]),
        ("%peft show dr|", ["%peft show drawn"]),
        ("%peft show drawn --bi|", ["%peft show drawn --bins"]),
        ("%peft show drawn --ra|", []),
        ("%peft train made --into b|", []),
        ("%peft train made # ra|", []),
        ("%peft nothing ra|", []),
        ("%peft predict run-1 ra|", []),
        ('%peft predict run-1 "ra|', []),
    ],
)
def test_a_line(complete, code, becomes):
    assert complete(code) == becomes


@pytest.mark.parametrize(
    "code", ["ra|", "%pe|", "x = 'a'\n# %peft tr|", "%peftx tr|", "a = 1\n%%peft tr|", "'%peft tr|'"]
)
def test_what_is_not_ours_is_left_alone(complete, magics, monkeypatch, code):
    monkeypatch.setattr("peft_lab.notebook.completing.completions", lambda *all: pytest.fail("asked"))
    assert not any(text.endswith(("train", "rank")) for text in complete(code))


def test_flags_come_with_those_of_the_method_first(complete):
    code = "%peft train made --|"
    flags = endings(complete(code), code)
    assert flags[:5] == ["--rank", "--targets", "--start", "--fast", "--no-steady"]
    assert set(flags) > {"--model", "--data", "--seed", "--epochs", "--into", "--help"}
    assert "--depth" not in flags and "--methods" not in flags
    assert dict(complete.typed(code))["%peft train made --rank"] == "made"
    assert complete("%peft train made |")[0] == "%peft train made --rank"  # no word is missing


def test_an_option_of_two_methods_is_offered_with_their_names(complete):
    code = "%peft train made+other --|"
    flags = endings(complete(code), code)
    assert {"--made.rank", "--other.rank", "--depth", "--targets"} <= set(flags)
    assert "--rank" not in flags


def test_modules_are_those_of_the_model_that_is_meant(complete, magics, tmp_path):
    code = "%peft train made --targets |"
    names = ["all-linear", "dense", "query", "attention.output.dense", "attention.self.query", "output.dense"]
    assert endings(complete(code), code) == names
    other = write_model(tmp_path / "other-model")
    save_file({"h.0.mlp.c_fc.weight": np.zeros((2, 2), np.float32)}, other / "model.safetensors")
    for code in (
        "%peft train made --model ./other-model --targets c|",
        "%%peft train made\nmodel: ./other-model\ntargets: c|",
        "%%peft train made\ntargets: c|\nmodel: ./other-model",
    ):
        assert complete(code) == [code.partition("|")[0] + "_fc"]
    magics.lab.model = str(other)
    assert complete("%peft train made --targets m|") == ["%peft train made --targets mlp.c_fc"]
    time.sleep(0.01)
    save_file({"h.0.new.weight": np.zeros((2, 2), np.float32)}, other / "model.safetensors")
    assert complete("%peft train made --targets n|") == ["%peft train made --targets new"]
    (other / "model.safetensors").write_bytes(b"broken")
    assert complete("%peft train made --targets all|") == []


def test_runs_say_what_they_are(complete, magics, shell):
    folder, host = magics.lab.folder, magics.lab.host
    first, _ = make_run(folder, host, "made", "finished"), make_run(folder, host, "other", "failed")
    shell.user_ns["my_best"] = first
    found = complete.typed("%peft show drawn |")
    assert found == [
        ("%peft show drawn run-2", "other, failed"),
        ("%peft show drawn run-1", "made, finished"),
        ("%peft show drawn my_best", "run-1"),
    ]
    assert complete("%peft show drawn run-2 run|") == ["%peft show drawn run-2 run-1"]
    assert complete("%peft show run-1|") == ["%peft show run-1"]
    (folder / "run-2" / "run.json").write_text("{broken")
    assert complete("%peft show drawn ru|")[0] == "%peft show drawn run-2"


def test_data_may_be_a_table_of_the_notebook_or_a_file(complete, shell, tmp_path):
    shell.user_ns.update(my_rows=[{"text": "a"}], my_number=3)
    shell.run_cell("import pandas as pd\nmy_frame = pd.DataFrame({'text': ['a']})\ndel pd")
    (tmp_path / "tickets.csv").write_text("")
    (tmp_path / "notes.txt").write_text("")
    (tmp_path / ".hidden.csv").write_text("")
    (tmp_path / "my files").mkdir()
    (tmp_path / "my files" / "a b.csv").write_text("")
    (tmp_path / "my files" / "x,y.csv").write_text("")
    assert dict(complete.typed("%peft data |")) == {
        "%peft data rows": "dataset",
        "%peft data my_rows": "list",
        "%peft data my_frame": "DataFrame",
        "%peft data models/": "folder",
        '%peft data "my files/': "folder",
        "%peft data tickets.csv": "file",
    }
    assert complete("%peft data .h|") == ["%peft data .hidden.csv"]
    assert complete("%peft train made --data ti|") == ["%peft train made --data tickets.csv"]
    assert complete("%peft data rows --test no|") == ["%peft data rows --test notes.txt"]
    assert complete('%peft data "my files/a|') == ['%peft data "my files/a b.csv"']
    assert complete('%peft data "my files/a|"') == ['%peft data "my files/a b.csv']
    assert complete("%peft data 'my files/x|") == ["%peft data 'my files/x,y.csv'"]
    assert complete(f"%peft data {tmp_path}/ti|") == [f"%peft data {tmp_path}/tickets.csv"]
    assert complete("%peft data nowhere/x|") == []
    assert complete("%peft model mod|") == []  # it holds no model itself
    assert complete("%peft model models/t|") == ["%peft model models/tiny/"]


def test_a_value_of_the_notebook(complete, shell):
    shell.user_ns.update(my_rank=3)
    assert complete("%peft train made --rank {{ my|") == ["%peft train made --rank {{ my_rank }}"]
    assert complete("%peft train made --rank {{my| }}") == ["%peft train made --rank {{my_rank"]
    assert complete("%peft train made --rank={{ my|") == ["%peft train made --rank={{ my_rank }}"]
    assert complete("%%peft train made\nrank: {{ my|") == ["%%peft train made\nrank: {{ my_rank }}"]
    assert dict(complete.typed("%peft train made --rank {{ my|"))["%peft train made --rank {{ my_rank }}"] == "int"


# --- bodies -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "becomes"),
    [
        ("ra|", ["rank: "]),
        ("le|\nepochs: 2", ["learning_rate: "]),
        ("learning-r|", ["learning_rate: "]),
        ("ra|: 3", ["rank"]),
        ("rank: 3\nra|", []),
        ("ra|\nrank: 3", []),
        ("mad|", ["made: "]),
        ("made:\n  ra|", ["made:\n  rank: "]),
        ("made:\n  rank: 2\n  ra|", []),
        ("made:\n  rank: 2\nstart: n|", ["made:\n  rank: 2\nstart: normal"]),
        ("made:\n  le|", []),
        ("made:\n  start: n|", ["made:\n  start: normal"]),
        ("made: {ra|", ["made: {rank: "]),
        ("made: {rank: 3, ra|", []),
        ("made: {rank: 3, start: n|", ["made: {rank: 3, start: normal"]),
        ("other:\n  de|", []),
        ("schedule: cos|", ["schedule: cosine"]),
        ("schedule: 'cos|", ["schedule: 'cosine'"]),
        ("schedule:cos|", []),
        ("fast: |", ["fast: yes", "fast: no"]),
        ("targets: qu|", ["targets: query"]),
        ("targets: [qu|", ["targets: [query"]),
        ("targets: [query, al|]", ["targets: [query, all-linear"]),
        ("targets: query, al|", ["targets: query, all-linear"]),
        ("targets:\n  - qu|", ["targets:\n  - query"]),
        ("targets:\n- qu|", ["targets:\n- query"]),
        ("made:\n  targets:\n    - qu|", ["made:\n  targets:\n    - query"]),
        ("data: ro|", ["data: rows"]),
        ("rank: 3  # qu|", []),
        ("# ra|", []),
        ("nothing: ra|", []),
    ],
)
def test_a_body(complete, body, becomes):
    head = "%%peft train made\n"
    assert complete(head + body) == [head + text for text in becomes]


def test_keys_are_those_not_given_yet(complete):
    code = "%%peft train made --rank 3 --no-steady\nepochs: 2\n|\nseed: 1"
    keys = [text.rpartition("\n")[2] for text in complete(code)]
    assert keys[:3] == ["targets: ", "start: ", "fast: "]
    assert {"learning_rate: ", "data: ", "made: "} <= set(keys)
    assert not {"rank: ", "steady: ", "epochs: ", "seed: ", "methods: ", "depth: "} & set(keys)


def test_the_body_may_name_the_method(complete):
    assert complete("%%peft train\nmet|") == ["%%peft train\nmethods: "]
    assert complete("%%peft train\nmethods: made+o|") == ["%%peft train\nmethods: made+other"]
    assert complete("%%peft train\nmethods: other\ndep|") == ["%%peft train\nmethods: other\ndepth: "]
    assert complete("%%peft train\ndep|\nmethods: other") == ["%%peft train\ndepth: "]
    assert complete("%%peft train --dep|\nmethods: other") == ["%%peft train --depth"]


# --- manners ----------------------------------------------------------------------------------------------------------


def test_nothing_else_is_offered_in_our_lines(complete, shell):
    shell.user_ns["my_train"] = 1
    for code in ("%peft my_|", "%peft train made --rank my_|", "%%peft train made\nmy_|", "%peft predict run-1 pri|"):
        assert complete(code) == []
    assert "my_train" in complete("my_|")


def test_a_completion_that_fails_is_silent_and_recorded(complete, magics, monkeypatch, capsys):
    def broken(*all):
        raise ZeroDivisionError("no names")

    monkeypatch.setattr("peft_lab.notebook.completing.completions", broken)
    assert complete("%peft tr|") == complete("%peft tr|") == []
    assert capsys.readouterr() == ("", "")
    (problem,) = magics.lab.host.problems
    assert (problem.where, problem.reason) == ("completion", "ZeroDivisionError: no names")
    assert "in broken" in problem.details


@pytest.mark.parametrize("code", ["%peft train made -x --ra|", '%peft predict "a --ra|', "%peft train mad --ra|"])
def test_a_line_that_is_wrong_is_no_fault_of_completion(complete, magics, code):
    assert complete(code) == []
    assert magics.lab.host.problems == []


def test_any_text_can_be_completed(complete, magics):
    cell = (
        "%%peft train made --rank {{ x }} --targets 'a,b\nmade: {rank: [1, {{ y }}], 'q\n  - - x: |>\n\t- {{ \n+:=,\""
    )
    for at in range(len(cell) + 1):
        complete(cell[:at].replace("|", "") + "|" + cell[at:].replace("|", ""))
    assert magics.lab.host.problems == []


def test_the_older_way_of_asking(shell, magics):
    with pytest.warns(PendingDeprecationWarning):
        assert shell.Completer.complete(line_buffer="%peft trai", cursor_pos=10)[1] == ["train"]
        cell = "%%peft train made\nra"
        shell.Completer.complete(line_buffer=cell, cursor_pos=len(cell))  # counts over lines


def test_unload_takes_the_matcher_out(shell, magics):
    assert magics.matcher in shell.Completer.custom_matchers
    shell.run_line_magic("reload_ext", "peft_lab")
    assert magics.matcher not in shell.Completer.custom_matchers
    assert sum(m.matcher_identifier == "peft_lab" for m in shell.Completer.custom_matchers) == 1


# --- in a kernel ------------------------------------------------------------------------------------------------------

QUIET = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "PYTHONWARNINGS": "ignore"}
HEAVY = ("torch", "transformers", "peft", "datasets", "pandas", "matplotlib", "ipywidgets", "accelerate", "sklearn")


def test_a_kernel_completes_quickly_and_imports_nothing_heavy(tmp_path):
    write_model(tmp_path / "tiny")
    manager, client = start_new_kernel(env={**os.environ, **QUIET}, cwd=str(tmp_path), stderr=subprocess.DEVNULL)
    try:
        client.execute_interactive("%load_ext peft_lab\nlab.model = './tiny'", timeout=60)
        asked = {
            "%peft train lo": ["lora"],
            "%%peft train lora\nal": ["alpha: "],
            "%%peft train lora\ntargets: que": ["query-value", "query"],
            "%peft train lora --le": ["--learning-rate"],
            "%peft show cu": ["curves"],
            "%peft train peft:ver": ["peft:vera"],
        }
        for code, matches in asked.items():
            reply = client.complete(code, reply=True, timeout=60)["content"]
            assert reply["matches"] == matches
            assert code[reply["cursor_start"] : reply["cursor_end"]] == code[reply["cursor_start"] :]
            assert all(one["type"] for one in reply["metadata"]["_jupyter_types_experimental"])
        took = []
        for code in list(asked) * 3:
            began = time.perf_counter()
            client.complete(code, reply=True, timeout=60)
            took.append(time.perf_counter() - began)
        assert sorted(took)[len(took) // 2] < 0.1
        texts = []
        client.execute_interactive(
            f"import json, sys\nprint(json.dumps([sorted(set({HEAVY}) & set(sys.modules)), len(lab.host.problems)]))",
            timeout=60,
            output_hook=lambda message: texts.append(message["content"].get("text", "")),
        )
        assert json.loads("".join(texts)) == [[], 0]
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
