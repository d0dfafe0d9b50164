"""Settings of the notebook and of the project: which one holds, where it comes from, and what a wrong one costs."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell
from traitlets import TraitError
from traitlets.config import Config

from peft_lab.defaults import KEYS, Source, in_effect, read_project
from peft_lab.errors import BadOption
from peft_lab.host import Host
from peft_lab.lab import Lab
from peft_lab.notebook import live
from peft_lab.recipe import Training
from pluggy_specs import Method, Options


class Made(Method):
    name = "made"
    summary = "for tests"
    training = {"learning_rate": 5e-3, "epochs": 7}

    class Options(Options):
        rank: int = 8
        warmup: float = 0.5  # a training setting has this name, too

    def masks(self, model):
        return {}


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """A project folder with a folder of notebooks in it, where we are."""
    for name in ("PEFT_LAB_RUNS", "PEFT_LAB_STATIC"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    return tmp_path


@pytest.fixture
def project(place):
    return lambda text: (place / "pyproject.toml").write_text(text, encoding="utf-8")


@pytest.fixture
def shell(monkeypatch):
    monkeypatch.setattr("peft_lab.host.BUILTIN_PLUGINS", ())
    config = Config()
    config.HistoryManager.enabled = False
    config.InteractiveShell.colors = "nocolor"
    yield InteractiveShell.instance(config=config)
    InteractiveShell.clear_instance()


@pytest.fixture
def load(shell):
    def loaded():
        shell.run_line_magic("load_ext", "peft_lab")
        magics = shell.magics_manager.registry["PeftMagics"]
        magics.lab._host = Host((), entry_points=False)
        magics.lab.add(Made)
        return magics

    return loaded


def run(shell, code):
    outcome = shell.run_cell(code)
    return outcome.error_before_exec or outcome.error_in_exec or outcome.result


def settings(table):
    return {key: (value, origin) for key, value, origin in table.rows}


# --- which one holds --------------------------------------------------------------------------------------------------

PROJECT = """
[project]
name = "mine"

[tool.peft_lab]
runs = "all runs"
model = "of-the-project"
data = "data/tickets.csv"
seed = 5
live = false

[tool.peft_lab.training]
epochs = 2
batch-size = 16
warmup = 0.3
"""


def test_typed_before_config_before_project_before_suggested_before_built_in(shell, load, project):
    project(PROJECT)
    lab = load().lab
    made = lab.recipe("made")
    assert (made.model, made.data.source, made.seed) == ("of-the-project", "data/tickets.csv", 5)
    assert (made.training.epochs, made.training.batch_size, made.training.learning_rate) == (2, 16, 5e-3)
    assert made.training.max_length == Training().max_length
    run(shell, "%config PeftMagics.settings = {'epochs': 4, 'learning-rate': 0.25}\n%config PeftMagics.seed = 6")
    run(shell, "%config PeftMagics.model = 'of-the-notebook'")
    made = lab.recipe("made")
    assert (made.model, made.seed, made.training.epochs, made.training.batch_size) == ("of-the-notebook", 6, 4, 16)
    assert made.training.learning_rate == 0.25
    made = lab.recipe("made", model="typed", data="typed.csv", seed=0, epochs=9, **{"learning-rate": 1e-4})
    assert (made.model, made.data.source, made.seed) == ("typed", "typed.csv", 0)
    assert (made.training.epochs, made.training.learning_rate) == (9, 1e-4)


def test_a_training_setting_is_none_of_a_method_that_has_the_name_too(load, project):
    project(PROJECT)
    made = load().lab.recipe("made")
    assert made.training.warmup == 0.3
    assert made.methods[0].options == {"rank": 8, "warmup": 0.5}


def test_what_was_said_last_about_the_model_is_meant(shell, load):
    lab = load().lab
    lab.recipe("made", model="typed", data="typed.csv")
    assert (lab.model, lab.spec.source) == ("typed", "typed.csv")  # remembered
    run(shell, "%config PeftMagics.model = 'newer'\n%config PeftMagics.data = 'newer.csv'")
    assert (lab.model, lab.spec.source) == ("newer", "newer.csv")
    lab.recipe("made", model="newest")
    assert (lab.model, lab.spec.source) == ("newest", "newer.csv")
    run(shell, "%config PeftMagics.model = ''")
    assert lab.model == "minilm"


def test_the_folder_of_runs(shell, load, project, place, monkeypatch):
    project(PROJECT)
    magics = load()
    assert magics.lab.folder == place / "all runs"  # from where the file stands
    monkeypatch.setenv("PEFT_LAB_RUNS", "by-environment")
    assert magics.defaults.get("runs") == "by-environment"
    assert Lab(defaults=magics.defaults).folder == place / "notebooks" / "by-environment"
    run(shell, "%config PeftMagics.runs = 'by-config'")
    assert magics.lab.folder == place / "notebooks" / "by-config"


def test_live(shell, load, project, monkeypatch):
    asked = []
    monkeypatch.setattr(live, "screen_for", lambda shell, live, remember: asked.append(live) or live.Still())
    project("[tool.peft_lab]\nlive = false")
    magics = load()

    def watched():
        with pytest.raises(AttributeError):
            magics._watch(None, None)
        return asked[-1]

    assert watched() is False
    run(shell, "%config PeftMagics.live = True")
    assert watched() is True
    monkeypatch.setenv("PEFT_LAB_STATIC", "1")
    assert watched() is False


def test_programs_have_the_settings_they_are_given_and_the_environment(project, place, monkeypatch):
    project(PROJECT)
    assert Lab().model == "minilm"
    assert Lab(defaults=in_effect(read_project())).model == "of-the-project"
    monkeypatch.setenv("PEFT_LAB_RUNS", str(place / "elsewhere"))
    assert Lab().folder == place / "elsewhere"


# --- the project's file -----------------------------------------------------------------------------------------------


def test_the_nearest_file_that_speaks_of_peft_lab_is_read(place, project):
    (place / "notebooks" / "pyproject.toml").write_text("[tool.black]\nline-length = 3\n")
    project("[tool.peft_lab]\nmodel = 'outer'")
    assert read_project().values == {"model": "outer"}
    assert read_project().name == os.path.join("..", "pyproject.toml")  # noqa: PTH118
    (place / "notebooks" / "pyproject.toml").write_text("[tool.peft_lab]\nmodel = 'inner'")
    assert read_project().values == {"model": "inner"}
    assert read_project(place).values == {"model": "outer"}


def test_the_example_of_the_page_is_right(place, project):
    page = (Path(__file__).parents[1] / "docs" / "notebook.md").read_text(encoding="utf-8")
    project(re.search(r"^```toml\n(.*?)^```", page, re.M | re.S)[1])
    found = read_project()
    assert not found.problems
    assert set(found.values) == {"runs", "model", "data", "seed", "live"}
    assert found.training == {"epochs": 2.0, "batch_size": 16, "learning_rate": 1e-3}


def test_no_file_is_no_trouble(place):
    assert read_project() == Source("")
    assert read_project(place / "gone") == Source("")


def test_paths_are_meant_from_the_file(place, project):
    (place / "data").mkdir()
    (place / "data" / "tickets.csv").write_text("text,label\n")
    (place / "helpdesk").mkdir()
    project("[tool.peft_lab]\ndata = 'data/tickets.csv'\nmodel = 'org/model'")
    assert read_project().values == {"data": str(place / "data" / "tickets.csv"), "model": "org/model"}
    project("[tool.peft_lab]\ndata = 'helpdesk'")  # a registered name, whatever folder there is
    assert read_project().values == {"data": "helpdesk"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("\n[tool.peft_lab]\nmodle = 'x'", "pyproject.toml line 3: 'modle' is no setting. Did you mean 'model'?"),
        ("[tool.peft_lab]\nepochs = 3", "pyproject.toml line 2: 'epochs' is no setting. There is: "),
        ("[tool.peft_lab]\nlive = 'yes'", "line 2: live cannot be 'yes'. It takes true or false"),
        ("[tool.peft_lab]\nseed = true", "line 2: seed cannot be True. It takes a whole number from 0"),
        ("[tool.peft_lab]\nmodel = ''", "line 2: model cannot be ''"),
        (
            "[tool.peft_lab]\nseed = 1\n[tool.peft_lab.training]\n# epochs\nepoch = 3",
            "line 5: 'epoch' is no training setting. Did you mean 'epochs'?",
        ),
        (
            "[tool.peft_lab.training]\nepochs = -1",
            "line 2: training: epochs: input should be greater than 0, not -1. It means: times the training data",
        ),
        ("[tool.peft_lab]\ntraining = {epochs = -1}", "line 2: training: epochs: input should be greater"),
        ("[tool.peft_lab]\nseed = 1\ntraining.clip = 1\ntraining.epochs = -1", "line 4: training: epochs: input"),
        ("[tool.peft_lab]\ntraining = 3", "line 2: 'training' is no setting"),
        ("[tool]\npeft_lab = 3", "tool.peft_lab is no table"),
        ("[tool.peft-lab]\nseed = 1", "[tool.peft-lab] is not read. Write [tool.peft_lab]"),
        ("[tool.peft_lab\nseed = 1", "pyproject.toml is no TOML: Expected ']'"),
    ],
)
def test_what_is_wrong_is_one_line_and_breaks_nothing(shell, load, project, capsys, text, said):
    project(text)
    load()
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("peft_lab: ") and err.count("\n") == 1
    assert said in err
    assert said in str(run(shell, "%peft config")).replace("\n", " ")
    assert capsys.readouterr().err == ""  # told once


def test_a_wrong_setting_costs_only_itself(shell, load, project, capsys):
    project("[tool.peft_lab]\nmodle = 'x'\nseed = 3\n[tool.peft_lab.training]\nepochs = 0\nclip = 2")
    lab = load().lab
    assert "And 1 more: %peft config" in capsys.readouterr().err
    made = lab.recipe("made")
    assert (made.seed, made.training.clip, made.training.epochs) == (3, 2, 7)


def test_others_broken_files_are_none_of_our_business(load, project, capsys):
    project("[tool.black\nline = ")
    load()
    assert capsys.readouterr() == ("", "")


# --- the notebook's ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("live = 'perhaps'", "live"),
        ("seed = -1", "seed"),
        ("seed = 'x'", "seed"),
        ("model = 3", "model"),
        ("settings = {'epoch': 3}", "'epoch' is no training setting. Did you mean 'epochs'?"),
        ("settings = {'epochs': 0}", "training: epochs: input should be greater than 0, not 0"),
        ("settings = 3", "settings cannot be 3. It takes a mapping"),
    ],
)
def test_a_refused_value_does_not_pass_silently(shell, load, capsys, said, why):
    magics = load()
    name = said.partition(" ")[0]
    before = getattr(magics, name)
    run(shell, f"%config PeftMagics.{said}")  # IPython logs it, and the cell succeeds
    assert getattr(magics, name) == before
    capsys.readouterr()
    run(shell, "%peft runs;")
    err = capsys.readouterr().err
    assert err.startswith(f"peft_lab: %config PeftMagics.{name} was refused: ") and err.count("\n") == 1
    assert why in err
    run(shell, "%peft runs;")
    assert capsys.readouterr().err == ""
    assert "was refused" in run(shell, "%peft config").note
    run(shell, f"%config PeftMagics.{said}")
    run(shell, "%peft runs;")
    assert "was refused" in capsys.readouterr().err
    good = {"live": False, "seed": 3, "model": "'a'", "settings": "{'epochs': 1}"}[name]
    run(shell, f"%config PeftMagics.{name} = {good}")
    assert "was refused" not in run(shell, "%peft config").note


def test_a_wrong_value_in_ipythons_own_file_breaks_nothing(shell, load, capsys):
    shell.config.PeftMagics.seed = "x"
    shell.config.PeftMagics.model = "mine"
    magics = load()
    assert "%config PeftMagics.seed was refused" in capsys.readouterr().err
    assert (magics.lab.model, magics.seed) == ("mine", None)


def test_assignment_in_a_program_raises(load):
    with pytest.raises(TraitError, match="Did you mean 'epochs'"):
        load().settings = {"epoch": 3}


# --- %peft config -----------------------------------------------------------------------------------------------------


def test_config_says_where_each_setting_comes_from(shell, load, project, place):
    project(PROJECT)
    lab = load().lab
    run(shell, "%config PeftMagics.settings = {'epochs': 4}")
    lab.recipe("made", data="typed.csv")
    shown = settings(run(shell, "%peft config"))
    here = os.path.join("..", "pyproject.toml")  # noqa: PTH118
    assert set(shown) == {*KEYS, *Training.model_fields}
    assert shown["runs"] == (str(place / "all runs"), here)
    assert shown["model"] == ("of-the-project", here)
    assert shown["data"] == ("typed.csv", "chosen here")
    assert shown["live"] == ("false", here)
    assert shown["epochs"] == ("4.0", "%config")
    assert shown["batch_size"] == ("16", here)
    assert shown["learning_rate"] == ("0.001", "built in")
    shown = settings(run(shell, "%peft config made"))
    assert shown["learning_rate"] == ("0.005", "made suggests it")
    assert shown["epochs"] == ("4.0", "%config")
    assert isinstance(run(shell, "%peft config mad"), UsageError)


def test_config_of_a_plain_lab(place):
    lab = Lab(place / "mine", host=Host((), entry_points=False))
    shown = settings(lab.config())
    assert shown["runs"] == (str(place / "mine"), "chosen here")
    assert shown["model"] == ("minilm", "built in")
    assert shown["max_steps"] == ("null", "built in")


def test_reloading_reads_the_file_again(shell, load, project):
    project("[tool.peft_lab]\nseed = 1")
    load()
    project("[tool.peft_lab]\nseed = 2")
    shell.run_line_magic("reload_ext", "peft_lab")
    assert settings(run(shell, "%peft config"))["seed"][0] == "2"


def test_an_error_of_a_setting_knows_its_name():
    with pytest.raises(BadOption) as caught:
        Lab(Path(), host=Host((), entry_points=False)).data("x.csv", limit=-1)
    assert caught.value.key == "data.limit"
