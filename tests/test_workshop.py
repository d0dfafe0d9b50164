"""A workshop: a time budget for each training, settings for a room of machines, and nothing from the network."""

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets import TraitError
from traitlets.config import Config

from peft_lab import offline
from peft_lab.defaults import in_effect, read_project
from peft_lab.errors import RunProblem
from peft_lab.host import Host
from peft_lab.lab import Lab
from peft_lab.notebook.parsing import parse
from peft_lab.notebook.widget_check import widgets
from peft_lab.operations import operations_of
from peft_lab.selfcheck.findings import FAILED, OK, WARNING
from peft_lab.testing import tiny_lab
from peft_lab.texts.checks import STATES
from peft_lab.training import loop

SETTINGS = {"batch_size": 8, "device": "cpu", "precision": "fp32"}


@pytest.fixture
def lab(tmp_path, monkeypatch):
    monkeypatch.delenv("PEFT_LAB_RUNS", raising=False)
    return tiny_lab(tmp_path)


@pytest.fixture
def slow(monkeypatch):
    """Steps that take, as far as the loop can tell, a tenth of a second each."""
    clock = [0.0]

    def step(self, group, real=loop._Loop.step):
        clock[0] += 0.1
        return real(self, group)

    monkeypatch.setattr(loop._Loop, "step", step)
    monkeypatch.setattr(loop.time, "perf_counter", lambda: clock[0])


# --- the time budget --------------------------------------------------------------------------------------------------


def test_a_training_ends_when_its_time_is_spent_and_is_a_result(lab, slow):
    run = lab.train("lora", epochs=50, max_seconds=2.05, **SETTINGS)
    assert run.status == "finished" and run.record["steps"]["done"] == 21 < run.record["steps"]["planned"]
    assert 0 <= run.metrics["test"]["accuracy"] <= 1 and "validation" in run.metrics
    assert run.record["best"]["step"] <= 21
    assert all(mark["ok"] for mark in run.record["proof"])
    card = str(run._repr_mimebundle_()["text/plain"])
    assert re.search(r"finished early: 21 of \d+ steps", card)
    assert "Stopped after 2.1 s of training, its time budget: 21 of" in card and "Evaluation took" in card
    assert "finished early: 21 of" in str(lab.runs())
    with pytest.raises(RunProblem, match="its time budget is spent, 21 of") as told:
        lab.resume(run.id)
    assert f"--from {run.id}" in told.value.hint
    assert "Ended by a time budget" in str(lab.compare(run.id))


def test_a_training_that_is_done_in_time_ends_as_ever(lab):
    run = lab.train("lora", epochs=1, max_seconds=600, **SETTINGS)
    assert not run.early and run.record["steps"]["done"] == run.record["steps"]["planned"]
    assert "budget" not in str(run._repr_mimebundle_()["text/plain"]).split("proof")[0]


def test_what_was_trained_before_a_stop_counts(lab, slow):
    from peft_lab.training import session
    from peft_lab.training.progress import Progress

    class Until(Progress):
        def stopping(self):
            return self.state.get("step", 0) >= 7

    recipe = lab.recipe("lora", epochs=50, max_seconds=1.95, **SETTINGS)
    stopped = session.train(recipe, lab.host, lab.folder, Until())
    assert stopped.status == "stopped"
    assert lab.resume(stopped.id).record["steps"]["done"] == 20
    whole = lab.train_recipe(recipe)
    assert whole.record["steps"] == stopped.record["steps"] and whole.metrics == stopped.metrics


def test_a_budget_leaves_recipes_without_one_as_they_were(lab):
    recipe = lab.recipe("lora")
    assert recipe.training.max_seconds is None
    assert lab.recipe("lora", max_seconds=60).fingerprint != recipe.fingerprint
    data = recipe.model_dump(mode="json")
    del data["start"], data["training"]["max_seconds"]
    for later in ("validation_limit", "test_share", "subset_seed"):
        del data["data"][later]
    text = json.dumps(data, sort_keys=True, ensure_ascii=False)
    assert recipe.fingerprint == hashlib.sha256(text.encode()).hexdigest()


def test_a_plan_says_how_far_the_time_will_do(lab):
    plan = lab.plan("full", epochs=500, max_seconds=1, **SETTINGS)
    assert plan.forecast.seconds == 1
    said = next(note for note in plan.notes if "time budget" in note)
    enough, planned = (int(n.replace(",", "")) for n in re.search(r"about ([\d,]+) of ([\d,]+) steps", said).groups())
    assert 0 < enough < planned == plan.forecast.steps
    assert not [note for note in lab.plan("full", epochs=1, max_seconds=600, **SETTINGS).notes if "budget" in note]


# --- the profile ------------------------------------------------------------------------------------------------------


@pytest.fixture
def online(monkeypatch):
    """As where nobody has said anything about the network; afterwards too."""
    for name in offline.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    yield
    offline.back_online()


@pytest.fixture
def place(tmp_path, monkeypatch):
    for name in ("PEFT_LAB_RUNS", "PEFT_LAB_STATIC"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def shell(place):
    config = Config()
    config.HistoryManager.enabled = False
    config.InteractiveShell.colors = "nocolor"
    yield InteractiveShell.instance(config=config)
    if "PeftMagics" in InteractiveShell.instance().magics_manager.registry:
        InteractiveShell.instance().run_line_magic("unload_ext", "peft_lab")
    InteractiveShell.clear_instance()


def rows(table):
    return {row[0]: tuple(row[1:3]) for row in table.rows}


def test_a_workshop_has_a_small_model_one_seed_a_budget_and_no_network(lab, online):
    lab.model = "tiny"
    shown = lab.workshop()
    assert rows(shown) == {
        "network": ("off: nothing is asked of the hub", "profile workshop"),
        "base model": (shown.rows[1][1], "profile workshop"),
        "data": ("tiny", "chosen here"),
        "seed": ("0", "profile workshop"),
        "time budget": (shown.rows[4][1], "profile workshop"),
        "runs": (str(lab.folder), "built in"),
    }
    assert shown.rows[1][1].startswith("minilm (") and shown.rows[4][1].startswith("1 min of training")
    recipe = lab.recipe("lora", model="tiny", data="tiny")
    assert recipe.training.max_seconds == 60 and recipe.seed == 0 and offline.is_offline()
    assert lab.recipe("lora", max_seconds="inf", seed=3).training.max_seconds is None
    lab.workshop(off=True)
    assert lab.recipe("lora").training.max_seconds is None and not offline.is_offline()


def test_a_project_has_its_own_workshop(place, online):
    text = '[tool.peft_lab]\nprofile = "workshop"\nseed = 7\n[tool.peft_lab.training]\nmax_seconds = 90\n'
    (place / "pyproject.toml").write_text(text, encoding="utf-8")
    lab = Lab(defaults=in_effect(read_project()))
    assert lab.defaults.training == {"seed": 7, "max_seconds": 90} and offline.is_offline()
    assert rows(lab.config())["max_seconds"] == ("90.0", "pyproject.toml")
    assert rows(lab.config())["profile"] == ("workshop", "pyproject.toml")
    assert rows(lab.config())["model"] == ("minilm", "profile workshop")
    lab.workshop(off=True)
    assert rows(lab.config())["profile"] == ("none", "chosen here") and not offline.is_offline()
    Lab()  # another bench, which says nothing of the network, leaves it as it is
    lab.workshop()
    Lab()
    assert offline.is_offline()


def test_in_a_notebook_it_holds_at_once_and_until_it_is_taken_back(shell, place, online):
    shell.run_line_magic("load_ext", "peft_lab")
    assert not offline.is_offline()
    shell.run_cell("%config PeftMagics.profile = 'workshop'", store_history=False)
    assert offline.is_offline()  # before any %peft
    magics = shell.magics_manager.registry["PeftMagics"]
    assert magics.lab.defaults.training["max_seconds"] == 60
    shell.run_line_magic("peft", "workshop --off")
    assert not offline.is_offline() and "max_seconds" not in magics.lab.defaults.training
    magics.lab.model = "other"
    assert shell.run_line_magic("peft", "workshop").title.startswith("workshop: ")
    assert offline.is_offline() and magics.lab.model == "minilm" and magics.profile == "workshop"
    with pytest.raises(TraitError, match=r"there is no profile 'worshop'. Did you mean 'workshop'\?"):
        magics.profile = "worshop"
    assert offline.is_offline() and magics.lab.defaults.profile == "workshop"
    shell.run_cell("%config PeftMagics.offline = False", store_history=False)
    assert not offline.is_offline() and magics.lab.defaults.training["max_seconds"] == 60
    shell.run_cell("%config PeftMagics.offline = True", store_history=False)
    shell.run_line_magic("unload_ext", "peft_lab")
    assert not offline.is_offline()


def test_a_profile_with_a_mistake_is_told(place):
    (place / "pyproject.toml").write_text('[tool.peft_lab]\nprofile = "wrkshop"\noffline = "yes"\n', encoding="utf-8")
    assert read_project().problems == (
        "pyproject.toml line 2: there is no profile 'wrkshop'. Did you mean 'workshop'?",
        "pyproject.toml line 3: offline cannot be 'yes'. "
        "It takes true or false: whether nothing is asked of the network",
    )


def test_what_the_environment_said_of_the_network_holds_again(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.delenv("HF_DATASETS_OFFLINE", raising=False)
    offline.go_offline()
    offline.go_offline()
    assert offline.switched_off()
    offline.back_online()
    assert offline.is_offline() and not offline.switched_off() and "HF_DATASETS_OFFLINE" not in os.environ


NOBODY = """
import socket, subprocess, sys
asked = []
def refuse(*args, **kwargs):
    asked.append(args)
    raise OSError("no network in this test")
socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = socket.gethostbyname = refuse
from peft_lab import Lab
from peft_lab.errors import PeftLabError
lab = Lab("runs")

def ask():
    for name, missing in (("model_", "somebody/a-model"), ("data", "somebody/some-data"), ("data", "glue/cola")):
        try:
            getattr(lab, name)(missing)
        except PeftLabError as error:
            print(error)
    import huggingface_hub, datasets
    try:
        huggingface_hub.HfApi().model_info("somebody/a-model")
    except Exception as error:
        print(type(error).__name__)
    print("asked", len(asked), huggingface_hub.constants.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE)
    asked.clear()
    print("---")

ask()
lab.workshop()
ask()
said = "import huggingface_hub.constants as c; print(c.HF_HUB_OFFLINE)"
print("child", subprocess.run([sys.executable, "-c", said], capture_output=True, text=True).stdout.strip())
lab.workshop(off=True)
ask()
"""


def test_nobody_is_asked_for_anything(place):
    """Before a workshop the libraries are imported and ask; in it they do not; after it they do again."""
    environment = {name: value for name, value in os.environ.items() if name not in offline.VARIABLES}
    environment |= {"HF_HOME": str(place / "hub"), "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", NOBODY]
    done = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, check=True)
    before, within, after, _ = done.stdout.split("---")
    for said in (before, after):
        assert re.search(r"asked [1-9]\d* False False", said) and said.count("the hub cannot be reached") == 3
    assert "asked 0 True True" in within and "OfflineModeIsEnabled" in within and "child True" in after
    assert within.count("the hub is switched off by the setting offline") == 3


def test_the_page_has_settings_that_are_read(place):
    page = (Path(__file__).parents[1] / "docs" / "workshop.md").read_text(encoding="utf-8")
    found = re.search(r"<!-- settings of a workshop -->\n```toml\n(.*?)```", page, re.S)
    (place / "pyproject.toml").write_text(found[1], encoding="utf-8")
    project = read_project()
    assert (
        not project.problems and project.values == {"profile": "workshop"} and project.training == {"max_seconds": 90}
    )


@pytest.mark.parametrize(
    ("line", "values"),
    [
        ("snapshot run-3", {"run": "run-3"}),
        ("snapshot run-3 step-200.zip", {"run": "run-3", "file": "step-200.zip"}),
        ("snapshot run-3 step-200.zip --replace", {"run": "run-3", "file": "step-200.zip", "replace": True}),
        ("restore step-200.zip", {"file": "step-200.zip"}),
        ("workshop --off", {"off": True}),
    ],
)
def test_lines_are_understood(line, values):
    call = parse(line, None, operations_of(Lab), Host, {})
    assert {name: value for name, value in call.given.items() if value not in (None, False)} == values


# --- the first cell ---------------------------------------------------------------------------------------------------


class Front:
    """A shell in a kernel."""

    kernel = object()


@pytest.mark.parametrize(
    ("works", "state", "advice"),
    [(True, OK, ""), (False, WARNING, "Stop a busy cell by Interrupt"), (None, WARNING, "reload the page")],
)
def test_the_check_says_whether_somebody_answers_widgets(monkeypatch, works, state, advice):
    from peft_lab.notebook.panels import stop_button

    monkeypatch.setattr(stop_button, "stop_probe", lambda shell: stop_button.Verdict(works, "what was found"))
    (found,) = widgets(Front())
    assert (found.state, found.found) == (state, "what was found")
    assert advice in found.advice and bool(found.advice) == (state != OK)


def test_a_terminal_and_a_machine_without_widgets_are_told_apart(monkeypatch):
    assert [f.state for f in widgets(object())] == [OK]
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    (found,) = widgets(Front())
    assert found.state == WARNING and found.advice == "pip install ipywidgets"


def test_the_check_of_a_workshop_names_the_model_at_hand_and_the_network(lab, online, monkeypatch):
    monkeypatch.setattr("peft_lab.selfcheck.training.training", lambda: iter(()))
    lab.workshop()
    lab.model = str(lab.folder.parent / "tiny-bert")
    found = {row[0]: row for row in lab.selfcheck().rows}
    assert found["network"][2] == "off (profile workshop): nothing is asked of the hub"
    assert found[f"model {lab.model}"][1] == STATES[OK] and "files here, fingerprint" in found[f"model {lab.model}"][2]
    lab.model = "somebody/a-model"
    found = {row[0]: row for row in lab.selfcheck().rows}
    assert found["model somebody/a-model"][1] == STATES[FAILED] and "switched off" in found["model somebody/a-model"][2]
