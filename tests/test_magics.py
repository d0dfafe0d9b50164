"""The magics in an IPython of this process, with a training that takes no time and no torch."""

from __future__ import annotations

import gc
import os
import re
import signal
import threading
import time
import weakref
from itertools import pairwise
from pathlib import Path

import pytest
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

import peft_lab
from peft_lab.errors import NothingLearned
from peft_lab.host import Host
from peft_lab.lab import Lab
from peft_lab.notebook import cells, live, watching
from peft_lab.notebook.watching import Stopped
from peft_lab.operations import operations_of
from peft_lab.run import Run
from peft_lab.training import session
from peft_lab.training.journal import Journal, claim
from peft_lab.training.progress import Progress
from pluggy_specs import Method, Options


class Made(Method):
    name = "made"
    summary = "for tests"

    class Options(Options):
        rank: int = 8

    def masks(self, model):
        return {}


class Training:
    """Stands for the training core: writes a run of 20 steps, and does at one of them what a test asks for."""

    def __init__(self):
        self.at = {}
        self.before_end = lambda: None

    def __call__(self, recipe, host, folder, progress, *, forecast=None, anyway=False):
        path = claim(folder, recipe, forecast)
        journal = Journal(path, Run(path).record, host)
        progress.update(run_id=journal.path.name, path=str(journal.path))
        done = 0
        try:
            while done < 20 and not progress.stopping():
                done += 1
                progress.update(step=done, steps=20, loss=1 / done, phase="training")
                self.at.get(done, lambda: None)()
                time.sleep(0.005)
            self.before_end()
        except BaseException as error:
            journal.end("failed", error)
            raise
        journal.update(steps={"planned": 20, "done": done}, metrics={"validation": {"accuracy": 0.5}})
        journal.end("stopped" if progress.stopping() and done < 20 else "finished")
        return journal.run


@pytest.fixture
def training(monkeypatch):
    made = Training()
    monkeypatch.setattr(session, "train", made)
    return made


@pytest.fixture
def shell(monkeypatch, tmp_path):
    monkeypatch.setenv("PEFT_LAB_RUNS", str(tmp_path / "runs"))
    monkeypatch.delenv("PEFT_LAB_STATIC", raising=False)
    config = Config()
    config.HistoryManager.enabled = False
    config.InteractiveShell.colors = "nocolor"
    ip = InteractiveShell.instance(config=config)
    yield ip
    InteractiveShell.clear_instance()


@pytest.fixture
def ip(shell, monkeypatch):
    monkeypatch.setattr("peft_lab.host.BUILTIN_PLUGINS", ())
    shell.run_line_magic("load_ext", "peft_lab")
    magics = shell.magics_manager.registry["PeftMagics"]
    host = Host((), entry_points=False)
    host.add(Made)
    magics.lab._host = host
    return shell


def run(ip, code):
    """The value of a cell, or what it raised."""
    outcome = ip.run_cell(code, store_history=True)
    return outcome.error_before_exec or outcome.error_in_exec or outcome.result


# --- coming and going -------------------------------------------------------------------------------------------------


def everything(ip):
    formatter = ip.display_formatter.ipython_display_formatter
    return {
        "line": dict(ip.magics_manager.magics["line"]),
        "cell": dict(ip.magics_manager.magics["cell"]),
        "registry": dict(ip.magics_manager.registry),
        "configurables": list(ip.configurables),
        "names": {name for name in ip.user_ns if not name.startswith("_")},
        "hidden": {name for name in ip.user_ns_hidden if not name.startswith("_")},
        "events": {name: list(found) for name, found in ip.events.callbacks.items()},
        "transformers": list(ip.input_transformers_cleanup),
        "matchers": list(ip.Completer.custom_matchers),
        "formatters": (dict(formatter.type_printers), dict(formatter.deferred_printers)),
        "signal": signal.getsignal(signal.SIGINT),
    }


@pytest.mark.parametrize("used", [False, True])
def test_unload_leaves_nothing(shell, training, used):
    before = everything(shell)
    shell.extension_manager.load_extension("peft_lab")
    if used:
        shell.magics_manager.registry["PeftMagics"].lab.add(Made)
        assert isinstance(run(shell, "%peft train made"), Run)
    assert everything(shell) != before
    shell.extension_manager.unload_extension("peft_lab")
    assert everything(shell) == before


def test_unload_keeps_what_is_not_ours(shell):
    shell.user_ns["lab"] = mine = object()
    shell.run_line_magic("load_ext", "peft_lab")
    assert shell.user_ns["lab"] is mine
    shell.run_line_magic("unload_ext", "peft_lab")
    assert shell.user_ns["lab"] is mine
    shell.run_line_magic("load_ext", "peft_lab")
    del shell.user_ns["lab"]
    shell.run_line_magic("unload_ext", "peft_lab")


def test_reload_gives_a_new_lab(ip):
    first = ip.user_ns["lab"]
    ip.run_line_magic("reload_ext", "peft_lab")
    assert isinstance(ip.user_ns["lab"], Lab)
    assert ip.user_ns["lab"] is not first
    assert len(run(ip, "%peft runs")) == 0
    assert sum(type(c).__name__ == "PeftMagics" for c in ip.configurables) == 1


def test_the_name_lab_stands_for_the_lab(ip, tmp_path):
    assert run(ip, "lab.folder") == tmp_path / "runs"
    assert isinstance(run(ip, "lab"), Lab)
    assert run(ip, "lab.model = 'other'\nlab.model") == "other"
    assert ip.user_ns["lab"] is ip.magics_manager.registry["PeftMagics"].lab


def test_the_package_offers_lab_and_version():
    assert peft_lab.Lab is Lab
    assert peft_lab.__version__[0].isdigit()
    with pytest.raises(AttributeError, match="no attribute 'Lob'"):
        _ = peft_lab.Lob


# --- errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("%peft trian made", "no command named 'trian'. Did you mean 'train'?"),
        ("%peft train made --rnk 8", "train has no --rnk. Did you mean '--rank'?"),
        ('%peft predict 1 "it', 'a quote " is not closed'),
        ("%%peft train made\nepochs: many", "line 2 of the cell: epochs takes a number, not 'many'"),
        ("%peft train made --epochs -1", "training: epochs: input should be greater than 0, not -1.0"),
        ("# remark\n%%peft train made\nepochs: 1", "%%peft must be the first line of its cell"),
        ("%peft show run-9", "no view named 'run-9'"),
        ("%%peft train made\n\nrank: x", "line 3 of the cell: rank takes a whole number, not 'x'"),
        ("%%peft train made\n\n\nclip: -1", "line 4 of the cell: training: clip: input should be greater than"),
    ],
)
def test_what_a_person_can_put_right_is_one_line(ip, capsys, code, said):
    error = run(ip, code)
    out, err = capsys.readouterr()
    assert type(error) is UsageError
    assert said in str(error)
    assert (out, err) == ("", f"UsageError: {error}\n")
    assert error.__context__ is None


def test_what_nobody_foresaw_shows_its_traceback(ip, monkeypatch, capsys):
    monkeypatch.setattr("peft_lab.listings.results.runs", lambda folder: 1 / 0)
    assert isinstance(run(ip, "%peft runs"), ZeroDivisionError)
    assert "Traceback" in capsys.readouterr().out


class Big:
    """Stands for a model on the stack of a training that fails."""


def test_an_interrupt_of_what_leaves_no_run_is_one_line_and_holds_no_memory(ip, monkeypatch, capsys):
    seen = []

    def interrupted(folder):
        model = Big()
        seen.append(weakref.ref(model))
        raise KeyboardInterrupt

    monkeypatch.setattr("peft_lab.listings.results.runs", interrupted)
    error = run(ip, "%peft runs")
    assert isinstance(error, KeyboardInterrupt)
    out, err = capsys.readouterr()
    assert (out.strip(), err) == ("You interrupted %peft runs before it was done.", "")
    gc.collect()
    assert seen[0]() is None


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (RuntimeError("out of\n memory"), "run-1 failed: RuntimeError: out of memory. Kept in "),
        (NothingLearned("dead", "Do"), "dead. Do"),
    ],
)
def test_a_failed_training_is_one_line_and_holds_no_memory(ip, training, capsys, error, said):
    seen, failing = [], [error]

    def fail():
        model = Big()
        seen.append(weakref.ref(model))
        raise failing.pop()

    training.at[3] = fail
    del error
    raised = run(ip, "%peft train made")
    assert type(raised) is UsageError
    assert str(raised).startswith(said)
    kept = ip.user_ns["lab"].run("run-1")
    assert kept.status == "failed"
    assert "fail" in kept.record["error"]["traceback"]
    assert "failed" in capsys.readouterr().out  # its card
    del training.at[3], fail
    gc.collect()
    assert seen[0]() is None


# --- the last traceback -----------------------------------------------------------------------------------------------


def test_debug_shows_what_one_line_hides(ip, monkeypatch):
    assert "no %peft has failed here yet" in str(run(ip, "%peft debug"))
    run(ip, "%%peft train made\nepochs: -1")
    shown = run(ip, "%peft debug")._repr_mimebundle_()
    assert "Traceback (most recent call last)" in shown["text/plain"]
    assert "pydantic_core._pydantic_core.ValidationError" in shown["text/plain"]  # which "from None" leaves out
    assert "line 2 of the cell: training: epochs" in shown["text/plain"]
    assert "<pre" in shown["text/html"] and "<module>" not in shown["text/html"]
    monkeypatch.setattr("peft_lab.listings.results.runs", lambda folder: 1 / 0)
    run(ip, "%peft runs")
    assert str(run(ip, "%peft debug")).endswith("ZeroDivisionError: division by zero")
    assert isinstance(run(ip, "%peft debug run-9"), UsageError)
    assert str(run(ip, "%peft debug")).endswith("ZeroDivisionError: division by zero")  # not its own


def test_debug_of_a_failed_training_is_what_its_run_has_on_record(ip, training):
    def fail():
        raise RuntimeError("<b>no memory</b>")

    training.at[3] = fail
    run(ip, "%peft train made")
    shown = run(ip, "%peft debug")
    assert shown.text == ip.user_ns["lab"].run("run-1").record["error"]["traceback"]
    assert "in fail" in str(shown)
    assert "&lt;b&gt;no memory" in shown._repr_html_() and "<b>no" not in shown._repr_html_()
    del training.at[3]
    run(ip, "%peft train made")
    run(ip, "%peft trian")
    assert "no command named" in str(run(ip, "%peft debug"))
    assert "in fail" in str(run(ip, "%peft debug run-1"))
    assert "run-2 has no error on record. It is finished" in str(run(ip, "%peft debug run-2"))


def test_debug_keeps_text_only(ip, monkeypatch):
    seen = []

    def broken(folder):
        model = Big()
        seen.append(weakref.ref(model))
        raise NothingLearned("dead", "Do")

    monkeypatch.setattr("peft_lab.listings.results.runs", broken)
    assert str(run(ip, "%peft runs")) == "dead. Do"
    gc.collect()
    assert seen[0]() is None
    assert "in broken" in str(run(ip, "%peft debug"))


# --- results ----------------------------------------------------------------------------------------------------------


def test_the_result_is_returned_once(ip, training, capsys):
    made = run(ip, "%peft train made --rank 2")
    assert isinstance(made, Run)
    assert made.recipe.methods[0].options == {"rank": 2}
    assert capsys.readouterr().out.count("run-1") == repr_count(made)
    assert ip.user_ns["lab"].last is made
    assert run(ip, "r = %peft train made\nr.id") == "run-2"


def repr_count(made):
    return made._repr_mimebundle_()["text/plain"].count("run-1")


def test_a_cell_binds_with_into(ip, training):
    assert run(ip, "%%peft train made --into best\nrank: 3\nepochs: 2  # quick").id == "run-1"
    assert ip.user_ns["best"].recipe.training.epochs == 2
    assert ip.user_ns["best"].recipe.methods[0].options == {"rank": 3}
    assert run(ip, "%%peft train made").id == "run-2"
    assert run(ip, "%%peft train made\n# nothing").id == "run-3"


def test_into_is_left_alone_where_there_is_no_result(ip, training):
    assert run(ip, "%peft train made --into best").id == "run-1"

    def fail():
        raise RuntimeError("no")

    training.at[3] = fail
    assert isinstance(run(ip, "%peft train made --into best"), UsageError)
    assert isinstance(run(ip, "%peft train mad --into best"), UsageError)
    assert ip.user_ns["best"].id == "run-1"
    assert run(ip, "%peft runs --into table;") is None
    assert len(ip.user_ns["table"]) == 2
    assert run(ip, "%%peft runs\ninto: other").title == ip.user_ns["other"].title


def test_into_keeps_a_run_that_goes_on_elsewhere(ip, training, monkeypatch):
    going = run(ip, "%peft train made")
    monkeypatch.setattr(Lab, "train_in_background", lambda lab, recipe, anyway: going)
    assert run(ip, "%peft train made --bg --into later;") is None
    assert ip.user_ns["later"] is going


def test_a_semicolon_hides_the_result(ip, capsys):
    assert run(ip, "%peft runs") is not None
    capsys.readouterr()
    for code in ("%peft runs;", "%peft runs ; # done", "%peft --help;", "%%peft runs;\n# nothing"):
        assert run(ip, code) is None
    assert capsys.readouterr() == ("", "")
    assert run(ip, "found = %peft runs\nlen(found)") == 0


def test_values_of_the_notebook(ip, training):
    run(ip, "deep = 3\nlong = 2.0\nrows = [{'text': f'{at} it', 'label': str(at % 2)} for at in range(40)]")
    made = run(ip, "%%peft train made --rank {{ deep }} --into best\nepochs: {{ long }}")
    assert (made.recipe.methods[0].options["rank"], made.recipe.training.epochs) == (3, 2)
    assert run(ip, "%peft show {{ best }}").id == "run-1"
    assert "the notebook has no 'nothing'" in str(run(ip, "%peft compare {{ nothing }}"))
    shown = run(ip, "%peft data {{ rows }}")
    assert shown.title.startswith("rows") and len(shown) == 2


def test_nothing_is_expanded(ip):
    ip.user_ns["x"] = "made"
    assert "no method named '$x'" in str(run(ip, "%peft train $x"))
    assert "no method named '{x}'" in str(run(ip, "%peft train {x}"))


def test_alone_it_says_where_one_is(ip):
    assert run(ip, "%peft").title == run(ip, "%peft status").title == "peft_lab"


def test_settings_move_the_runs(ip, training, tmp_path, capsys):
    run(ip, f"%config PeftMagics.runs = {str(tmp_path / 'elsewhere')!r}")
    assert run(ip, "%peft train made").path == tmp_path / "elsewhere" / "run-1"
    run(ip, "%config PeftMagics")
    assert "PeftMagics.live=<Bool>" in capsys.readouterr().out


# --- the page ---------------------------------------------------------------------------------------------------------

PAGE = (Path(__file__).parents[1] / "docs" / "notebook.md").read_text(encoding="utf-8")
ERRORS = re.findall(r"^\| (`.*`) \| (.*) \|$", PAGE.partition("<!-- what errors say -->")[2], re.M)


@pytest.mark.parametrize(("cell", "said"), ERRORS, ids=[cell for cell, _ in ERRORS])
def test_errors_are_those_of_the_page(shell, cell, said):
    shell.run_line_magic("load_ext", "peft_lab")
    shell.magics_manager.registry["PeftMagics"].lab._host = Host(entry_points=False)
    error = run(shell, "\n".join(re.findall(r"`([^`]*)`", cell)))
    assert type(error) is UsageError
    assert str(error).startswith(said)


def test_the_page_has_errors_and_examples(ip):
    assert len(ERRORS) > 8
    examples = re.findall(r"^```ipython\n(.*?)^```", PAGE, re.M | re.S)
    given = {"rank": 2, "tickets": [{"text": "a"}], "best": "run-1", "questions": ["a"], "lr": 0.1, "layer": "value"}
    builtin = Host(entry_points=False)
    calls = [call for text in examples for call in cells.calls_in(text, operations_of(Lab), lambda: builtin, given)]
    assert [call.operation.name for call in calls] == ["train", "predict", "train"]
    assert calls[2].given["learning_rate"] == 0.1


# --- stopping ---------------------------------------------------------------------------------------------------------


def interrupt():
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0.05)


def test_an_interrupt_keeps_the_run_and_fails_the_cell(ip, training, capsys):
    training.at[7] = interrupt
    before = signal.getsignal(signal.SIGINT)
    stopped = run(ip, "%peft train made --into partial")
    assert isinstance(stopped, Stopped)
    assert stopped.lines == ["Stopped by you at step 7 of 20.", "Kept as run-1: %peft show run-1, or lab.last"]
    assert "\n".join(stopped.lines) in capsys.readouterr().out
    assert ip.user_ns["partial"].status == ip.user_ns["lab"].last.status == "stopped"
    assert signal.getsignal(signal.SIGINT) is before


def test_interrupts_while_it_saves_are_told_to_wait(training, ip, monkeypatch):
    phases = []

    class Screen(live.Still):
        def paint(self, progress, interrupts):
            phases.append(live.with_interrupts(progress.state, interrupts)["phase"])

    monkeypatch.setattr(live, "screen_for", lambda *all: Screen())
    monkeypatch.setattr(watching, "WAIT", 0.005)
    training.at[3] = interrupt
    training.before_end = lambda: (interrupt(), interrupt())
    assert isinstance(run(ip, "%peft train made"), Stopped)
    assert "stopping after this step" in phases
    assert phases[-1].startswith("still saving")
    assert ip.user_ns["lab"].last.status == "stopped"


def test_an_interrupt_that_comes_too_late_still_fails_the_cell(training, ip):
    training.before_end = interrupt
    stopped = run(ip, "lab.train('made')")
    assert stopped.lines[0] == "You interrupted, but all 20 steps were done."
    assert ip.user_ns["lab"].last.status == "finished"


def test_unload_stops_a_run(training, ip):
    training.at[3] = lambda: ip.run_line_magic("unload_ext", "peft_lab")
    stopped = run(ip, "%peft train made")
    assert isinstance(stopped, Stopped)
    assert stopped.run.status == "stopped"


# --- the wait itself --------------------------------------------------------------------------------------------------


def work(training, tmp_path, progress):
    lab = Lab(tmp_path, host=Host((), entry_points=False))
    lab.host.add(Made)
    recipe = lab.recipe("made")
    return lambda: training(recipe, lab.host, tmp_path, progress)


def test_a_broken_view_costs_no_run(training, tmp_path, capsys):
    class Broken(live.Still):
        def paint(self, progress, interrupts):
            raise ValueError("no such colour")

    training.at[1] = lambda: time.sleep(0.2)
    progress = Progress()
    assert watching.watch(progress, work(training, tmp_path, progress), Broken()).status == "finished"
    assert capsys.readouterr().err == "The live view failed, training did not: ValueError: no such colour\n"


def test_it_waits_in_any_thread(training, tmp_path):
    progress = Progress()
    found = []
    task = work(training, tmp_path, progress)
    thread = threading.Thread(target=lambda: found.append(watching.watch(progress, task, live.Still())))
    thread.start()
    thread.join()
    assert found[0].status == "finished"


def test_drawing_that_costs_more_is_done_less_often(monkeypatch):
    now, used = [100.0], [5.0]
    monkeypatch.setattr(live.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(live.time, "thread_time", lambda: used[0])
    pace, moments = live.Pace(0.25, 0.01), []
    for cost in (0.001, 0.001, 0.1, 0.001):
        while not pace.due():
            now[0] += 0.01
        moments.append(now[0])
        with pace:
            now[0] += cost
            used[0] += cost
    gaps = [b - a for a, b in pairwise(moments)]
    assert gaps == pytest.approx([0.25, 0.25, 10.1], abs=0.02)


def test_a_terminal_gets_a_line_for_each_evaluation(training, ip, capsys, monkeypatch):
    monkeypatch.setattr(live, "LINE_EVERY", 0.0)
    screen = live.InTerminal()
    progress = Progress()
    for step in range(4):
        progress.update(run_id="run-1", phase="training", step=step, steps=4)
        screen.paint(progress, 0)
    progress.update(metrics={"accuracy": 0.5}, headline="accuracy")
    screen.paint(progress, 0)
    screen.paint(progress, 0)
    assert capsys.readouterr().err.count("\n") == 1
