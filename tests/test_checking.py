"""``%peft check``: each thing that makes an output stale is named, and what is fresh is called fresh."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from peft_lab.checking import inputs, outputs
from peft_lab.host import Host
from peft_lab.lab import Lab
from peft_lab.present.card import run_card
from peft_lab.run import RUN_JSON, Run
from peft_lab.testing import tiny_model, tiny_rows
from peft_lab.training import session
from peft_lab.training.journal import process, versions, write_json
from pluggy_specs import DatasetSource, ModelSource

TRAIN = "%peft train bitfit --model ./tiny --data rows.csv --max-steps 2"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with a tiny model, a file of rows, and one run, really trained, that names both as paths."""
    folder = tmp_path_factory.mktemp("trained")
    tiny_model(folder / "tiny")
    write_rows(folder / "rows.csv", 60)
    before = Path.cwd()
    os.chdir(folder)
    try:
        lab = Lab("peft_runs", host=Host(entry_points=False))
        lab.train("bitfit", model="./tiny", data="rows.csv", max_steps=2)
    finally:
        os.chdir(before)
    return folder


def write_rows(file, count, seed=0):
    lines = [f"{row['text']},{row['label']}" for row in tiny_rows(count, seed=seed)]
    file.write_text("\n".join(["text,label", *lines]))


@pytest.fixture
def place(trained, tmp_path, monkeypatch):
    """A copy of it to work in."""
    shutil.copytree(trained, tmp_path / "work")
    monkeypatch.chdir(tmp_path / "work")
    for name in ("JPY_SESSION_NAME", "PEFT_LAB_RUNS", "PEFT_LAB_STATIC"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "work"


@pytest.fixture
def lab(place):
    return Lab(place / "peft_runs", host=Host(entry_points=False))


def change(run, **facts):
    write_json(run.path / RUN_JSON, {**run.record, **facts})


def code_cell(source, *shown, count=1, **more):
    made = [{"output_type": "display_data", "data": one, "metadata": {}} for one in shown]
    return {"cell_type": "code", "source": source, "execution_count": count, "outputs": made, "metadata": {}, **more}


def card(run):
    return run_card(run).mimebundle()


def write_notebook(*cells, name="book.ipynb"):
    text = {"cell_type": "markdown", "source": "# run-1", "metadata": {}}
    Path(name).write_text(json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [text, *cells]}))
    return name


def rows_of(table):
    return [dict(zip(table.columns, row, strict=True)) for row in table.rows]


def only(table):
    (row,) = rows_of(table)
    return row


# --- what a run depends on --------------------------------------------------------------------------------------------


def test_a_run_is_fresh_while_nothing_changed(lab):
    table = lab.check("run-1")
    assert only(table) == {"cell": None, "run": "run-1", "method": "bitfit", "verdict": "✓ fresh", "why": ""}
    assert table.ok
    assert "All of it still holds." in str(table)


def test_changed_rows_are_named_with_the_time(lab, place):
    write_rows(place / "rows.csv", 60, seed=5)
    row = only(lab.check("run-1"))
    assert row["verdict"] == "✗ stale"
    assert re.fullmatch(r"data changed: rows\.csv \(\d\d:\d\d\)", row["why"])
    assert not lab.check("run-1").ok


def test_a_file_written_again_with_the_same_rows_is_the_same(lab, place):
    (place / "rows.csv").write_text((place / "rows.csv").read_text() + "\n")
    table = lab.check("run-1")
    assert only(table)["verdict"] == "✓ fresh"
    assert "Read to compare, as written since: rows.csv" in str(table)


def test_a_file_that_is_gone_or_broken_is_said(lab, place):
    (place / "rows.csv").write_text("")
    assert only(lab.check("run-1"))["why"] == "data: rows.csv is empty"
    (place / "rows.csv").unlink()
    assert only(lab.check("run-1"))["why"] == "data: rows.csv is gone"


def begin_now(run):
    """Let the run have begun after its files were last touched, and this moment be later."""
    later = int(time.time()) + 1
    change(run, started=datetime.fromtimestamp(later, UTC).isoformat())
    while time.time() < later + 0.1:
        time.sleep(0.02)


@pytest.fixture
def readings(monkeypatch):
    """How often data were read."""
    from peft_lab.sources import datasets

    found, real = [], datasets.load_data
    monkeypatch.setattr(datasets, "load_data", lambda spec, host: found.append(spec.source) or real(spec, host))
    return found


def test_a_file_is_read_only_when_it_was_touched_since_and_once(lab, place, readings):
    begin_now(lab.run("1"))
    assert only(lab.check("run-1"))["verdict"] == "✓ fresh"
    assert not readings
    os.utime(place / "rows.csv")
    for _ in range(2):
        assert only(lab.check("run-1"))["verdict"] == "✓ fresh"
    assert readings == ["rows.csv"]
    shutil.copytree(place / "peft_runs" / "run-1", place / "peft_runs" / "run-2")
    change(Run(place / "peft_runs" / "run-2"), id="run-2")
    assert [row["verdict"] for row in rows_of(lab.check("run-1", "run-2"))] == ["✓ fresh"] * 2
    assert readings == ["rows.csv"]


def test_a_change_that_keeps_the_old_date_is_noticed(lab, place):
    begin_now(lab.run("1"))
    old = (place / "rows.csv").stat().st_mtime
    write_rows(place / "other.csv", 60, seed=5)
    os.utime(place / "other.csv", (old, old))
    (place / "other.csv").replace(place / "rows.csv")
    assert only(lab.check("run-1"))["verdict"] == "✗ stale"


def test_before_a_large_file_is_read_it_is_said(lab, monkeypatch, capsys):
    monkeypatch.setattr(inputs, "TOLD", 1000)
    lab.check("run-1")
    assert re.fullmatch(
        r"peft_lab: reading rows\.csv \(\d.* kB\), written since run-1 began\n", capsys.readouterr().err
    )


def test_a_changed_base_model_is_named(lab, place):
    weights = place / "tiny" / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    row = only(lab.check("run-1"))
    assert (row["verdict"], row["why"]) == ("✗ stale", "base model ./tiny changed")
    shutil.rmtree(place / "tiny")
    assert only(lab.check("run-1"))["why"].startswith("base model: no folder './tiny'")


def test_changed_code_and_packages_are_named(lab):
    run = lab.run("1")
    prints = run.record["fingerprints"]
    change(run, fingerprints={**prints, "code": "0" * 64}, versions={**versions(), "torch": "1.0"})
    why = only(lab.check("run-1"))["why"]
    assert why.startswith("code of bitfit or of peft_lab changed; torch (1.0 then, ")


def test_a_method_that_is_gone_is_said(lab):
    run = lab.run("1")
    recipe = {**run.record["recipe"], "methods": [{"name": "bitfitt", "options": {}}]}
    change(run, recipe=recipe)
    assert only(lab.check("run-1"))["why"] == "code: no method named 'bitfitt'"


def test_data_of_the_hub_are_not_asked_for(lab, monkeypatch):
    monkeypatch.setattr("peft_lab.sources.quiet.hub_reachable", lambda seconds=0: pytest.fail("the hub was asked"))
    run = lab.run("1")
    recipe = run.record["recipe"]
    change(run, recipe={**recipe, "model": "some/model", "data": {**recipe["data"], "source": "some/data"}})
    row = only(lab.check("run-1"))
    assert row["verdict"] == "✓ fresh"
    assert row["why"].startswith("as far as can be told: data on the hub")


def test_a_plugin_that_fails_when_asked_is_named(lab):
    def broken():
        return {}["rows"]

    lab.host.add(DatasetSource("odd-rows", "fails", broken))
    lab.host.add(ModelSource("odd-model", "fails", broken))
    run = lab.run("run-1")
    recipe = run.record["recipe"]
    change(run, recipe={**recipe, "model": "odd-model", "data": {**recipe["data"], "source": "odd-rows"}})
    row = only(lab.check("run-1"))
    assert row["verdict"] == "✗ stale"
    assert "odd-rows" in row["why"] and "odd-model" in row["why"] and "KeyError" in row["why"]


def test_how_a_run_ended_is_said(lab):
    run = lab.run("1")
    change(run, status="stopped", steps={"planned": 9, "done": 4})
    row = only(lab.check("run-1"))
    assert (row["verdict"], row["why"]) == ("■ stopped", "at step 4 of 9; go on: %peft resume run-1")
    change(run, status="failed", steps={}, error={"type": "E", "message": "the loss is nan", "traceback": ""})
    assert only(lab.check("run-1"))["verdict"] == "✗ failed"
    assert only(lab.check("run-1"))["why"] == "the loss is nan"
    change(run, status="running", **process(os.getpid()))
    assert only(lab.check("run-1"))["verdict"] == "▶ running"
    change(run, status="running", pid=2**22 + 1)
    assert only(lab.check("run-1"))["verdict"] == "✗ crashed"


# --- a saved notebook -------------------------------------------------------------------------------------------------


def test_a_card_in_a_file_says_which_run_it_is(lab):
    run = lab.run("1")
    (shown,) = outputs.shown_in(**dict(zip(("text", "markup"), (card(run)["text/plain"], ""), strict=True)))
    assert (shown.run, shown.status, shown.ended) == ("run-1", "finished", run.record["ended"])
    assert set(shown.prints) == {"recipe", "data", "model", "code"}
    assert all(run.record["fingerprints"][name].startswith(short) for name, short in shown.prints.items())
    title = card(run)["text/plain"].partition("\n")[0]
    assert list(outputs.shown_in(title, card(run)["text/html"])) == [shown]  # an old text, its facts in the HTML


def test_a_notebook_is_checked_cell_by_cell(lab):
    run = lab.run("1")
    cells = [code_cell("import this", count=1), code_cell(TRAIN, card(run), count=2)]
    cells.append(code_cell("%peft show curves run-1", {"text/plain": ["run-1 bitfit: ", "loss down."]}, count=3))
    cells.append(code_cell("%peft runs", {"text/plain": "runs\nrun-1  bitfit"}, count=4))
    table = lab.check(write_notebook(*cells))
    assert [(row["cell"], row["run"], row["verdict"]) for row in rows_of(table)] == [
        ("cell 2", "run-1", "✓ fresh"),
        ("cell 3", "run-1", "✓ fresh"),
    ]
    assert "Seen: book.ipynb as saved at " in str(table)
    write_rows(Path("rows.csv"), 60, seed=5)
    assert "Run again, in this order: cell 2, cell 3." in str(lab.check("book.ipynb"))


def test_a_run_that_is_gone_or_another_is_said(lab):
    run = lab.run("1")
    book = write_notebook(code_cell(TRAIN, card(run)))
    change(run, fingerprints={**run.record["fingerprints"], "recipe": "0" * 64})
    assert only(lab.check(book))["why"] == "run-1 is another run now"
    shutil.rmtree(run.path)
    row = only(lab.check(book))
    assert (row["verdict"], row["why"], row["method"]) == ("✗ stale", "run-1 is gone", "-")


def test_a_run_that_went_on_after_its_card_is_said(lab):
    run = lab.run("1")
    change(run, status="stopped", steps={"planned": 9, "done": 4}, ended="2026-01-01T00:00:00+00:00")
    book = write_notebook(code_cell(TRAIN, card(run)))
    assert only(lab.check(book))["verdict"] == "■ stopped"
    change(run, status="finished", ended="2026-01-01T00:01:00+00:00", resumed=[{"at_step": 4}])
    assert only(lab.check(book))["why"] == "run-1 went on since: stopped then, finished now"


def test_only_cells_of_ours_are_looked_at_for_names_of_runs(lab):
    mentioned = {"text/plain": "'what about run-1'"}
    cells = [code_cell("'what about ' + name", mentioned), code_cell("run", card(lab.run("1")))]
    assert [row["cell"] for row in rows_of(lab.check(write_notebook(*cells)))] == ["cell 2"]


def test_a_cell_that_was_run_again_and_not_saved_counts_as_it_is_now():
    here = outputs.Session()
    for count, run_id in ((1, "run-1"), (4, "run-2")):
        here.ran(count, f"%peft train lora --seed {count}", "an-id")
        here.showed(count, outputs.Shown(run_id, "finished"))
    saved = outputs.Cell("%peft train lora --seed 1", 1, (outputs.Shown("run-1", "finished"),), "an-id", place=2)
    other = outputs.Cell("x", 1, (outputs.Shown("run-9", "finished"),), "another", place=3)
    first, second = outputs.together([saved, other], here, saved_at=time.time() + 60)
    assert (first.name, first.place, first.source) == ("In[4]", 2, "%peft train lora --seed 4")
    assert [shown.run for shown in first.shown] == ["run-2"]
    assert (second.name, second.here) == ("cell 3", False)
    here.ran(6, "%peft train head", "unsaved")
    here.showed(6, outputs.Shown("run-3", "finished"))
    assert [cell.name for cell in outputs.together([saved], here, saved_at=0)] == ["In[4]", "In[6]"]
    assert [cell.name for cell in outputs.together([saved], here, saved_at=time.time() + 60)] == ["In[4]"]  # deleted


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "no notebook of format 4"),
        ("[]", "no notebook of format 4"),
        ('{"cells": [{"cell_type": "code"}]}', "no notebook of format 4"),
        ('{"worksheets": []}', "no notebook of format 4"),
        (None, "cannot be read: No such file"),
    ],
)
def test_a_file_that_is_no_notebook_is_one_line(lab, text, said):
    if text is not None:
        Path("broken.ipynb").write_text(text)
    with pytest.raises(outputs.NotebookUnreadable, match=said) as raised:
        lab.check("broken.ipynb")
    assert "\n" not in str(raised.value)


def test_what_a_file_says_is_shown_escaped(lab):
    hostile = {"text/plain": "run-1  ✓ finished\n  method  <img src=x onerror=alert(1)>", "text/html": "<script>"}
    Path("<b>.ipynb").write_text(Path(write_notebook(code_cell("x", hostile))).read_text())
    assert "<b>" not in lab.check("<b>.ipynb")._repr_html_()


NO_TORCH = """
import sys
from peft_lab import Lab
table = Lab("peft_runs").check("book.ipynb")
print(*sorted({"torch", "transformers", "datasets", "pandas", "IPython"} & set(sys.modules)), table.rows[0][3])
"""


def test_checking_what_was_not_touched_imports_nothing_heavy(lab):
    begin_now(lab.run("1"))
    write_notebook(code_cell(TRAIN, card(lab.run("1"))))
    done = subprocess.run([sys.executable, "-c", NO_TORCH], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "✓ fresh", done.stdout + done.stderr


def test_the_command_line_fails_where_something_is_stale(place, capsys):
    from peft_lab.cli import main

    write_notebook(code_cell(TRAIN, card(Run(place / "peft_runs" / "run-1"))))
    assert main(["check", "book.ipynb"]) == 0
    write_notebook(code_cell(TRAIN.replace("2", "3"), card(Run(place / "peft_runs" / "run-1"))))
    assert main(["check", "book.ipynb"]) == 1
    assert "the recipe changed: max_steps 2 then, 3 now" in " ".join(capsys.readouterr().out.split())


# --- the session ------------------------------------------------------------------------------------------------------


@pytest.fixture
def shell(place, trained, monkeypatch):
    """A notebook in which training copies the run that was trained, with the recipe that was asked for."""

    def train(recipe, host, folder, progress, **more):
        from peft_lab.sources.datasets import load_data
        from peft_lab.sources.models import find_model
        from peft_lab.training.fingerprints import code_fingerprint

        base = Run(trained / "peft_runs" / "run-1")
        path = folder / f"run-{len(list(folder.glob('run-*'))) + 1}"
        shutil.copytree(base.path, path)
        prints = {
            "recipe": recipe.fingerprint,
            "data": load_data(recipe.data, host).fingerprint,
            "model": find_model(recipe.model, host).fingerprint,
            "code": code_fingerprint([host.find("methods", spec.name) for spec in recipe.methods]),
        }
        now = datetime.now(UTC).isoformat(timespec="seconds")
        facts = {"id": path.name, "recipe": recipe.model_dump(mode="json"), "fingerprints": prints}
        write_json(path / RUN_JSON, {**base.record, **facts, "started": now, "ended": now})
        progress.update(run_id=path.name, path=str(path))
        return Run(path)

    monkeypatch.setattr(session, "train", train)
    shutil.rmtree(place / "peft_runs")
    config = Config()
    config.HistoryManager.enabled = False
    config.InteractiveShell.colors = "nocolor"
    ip = InteractiveShell.instance(config=config)
    ip.run_line_magic("load_ext", "peft_lab")
    ip.magics_manager.registry["PeftMagics"].lab._host = Host(entry_points=False)
    yield ip
    ip.run_line_magic("unload_ext", "peft_lab")
    InteractiveShell.clear_instance()


def run(ip, code):
    """The value of a cell, or what it raised."""
    outcome = ip.run_cell(code, store_history=True)
    return outcome.error_before_exec or outcome.error_in_exec or outcome.result


def test_cells_of_this_session_are_fresh_then_stale(shell, place):
    run(shell, "x = 1")
    run(shell, TRAIN)
    run(shell, "mine = %peft train lora --max-steps 3")
    table = run(shell, "%peft check")
    assert [(row["cell"], row["run"], row["method"], row["verdict"]) for row in rows_of(table)] == [
        ("In[2]", "run-1", "bitfit", "✓ fresh"),
        ("In[3]", "run-2", "lora", "✓ fresh"),
    ]
    assert "To see all of a notebook, save it" in table.note
    write_rows(place / "rows.csv", 60, seed=5)
    assert "Run again, in this order: In[2], In[3]." in run(shell, "%peft check").note
    run(shell, TRAIN)
    verdicts = {row["cell"]: row["verdict"] for row in rows_of(run(shell, "%peft check"))}
    assert verdicts == {"In[3]": "✗ stale", "In[6]": "✓ fresh"}  # the cell that was run again shows the new run


def test_settings_and_values_that_changed_give_another_recipe(shell):
    run(shell, "rate = 1e-3")
    run(shell, f"{TRAIN} --learning-rate {{{{ rate }}}}")
    assert only(run(shell, "%peft check"))["verdict"] == "✓ fresh"
    run(shell, "rate = 3e-4")
    assert only(run(shell, "%peft check"))["why"] == "the recipe changed: learning_rate 0.001 then, 0.0003 now"
    run(shell, "rate = 1e-3\n%config PeftMagics.settings = {'batch_size': 16}")
    assert only(run(shell, "%peft check"))["why"] == "the recipe changed: batch_size 32 then, 16 now"
    run(shell, "%config PeftMagics.settings = {}\ndel rate")
    row = only(run(shell, "%peft check"))
    assert row["verdict"] == "✗ stale"
    assert row["why"].startswith("the cell cannot be run again: --learning-rate: the notebook has no 'rate'")


@pytest.mark.parametrize("flag", ["--anyway", "--beside"])
def test_how_a_recipe_is_trained_does_not_make_it_stale(shell, flag):
    run(shell, f"{TRAIN} {flag}")
    assert only(run(shell, "%peft check"))["verdict"] == "✓ fresh"


def test_what_was_chosen_later_is_a_matter_of_order(shell, place):
    write_rows(place / "more.csv", 60, seed=7)
    run(shell, "%peft data rows.csv")
    run(shell, "%%peft train bitfit\nmodel: ./tiny\nmax_steps: 2")
    run(shell, "%peft data more.csv")
    run(shell, "%peft train bitfit --max-steps 2 --seed 1")
    first, second = rows_of(run(shell, "%peft check"))
    assert (first["verdict"], second["verdict"]) == ("! out of order", "✓ fresh")
    said = (
        "run now it would take another recipe: data source rows.csv then, more.csv now; from the top it gives the same"
    )
    assert first["why"] == said


def test_a_choice_made_only_later_in_the_notebook_is_a_matter_of_order(shell):
    run(shell, "%peft model ./tiny")
    run(shell, "%peft data rows.csv")
    run(shell, "%peft train bitfit --max-steps 2")
    book = [
        code_cell("%peft train bitfit --max-steps 2", card(Run("peft_runs/run-1")), count=3),
        code_cell("%peft model ./tiny", count=1),
        code_cell("%peft data rows.csv", count=2),
    ]
    row = only(run(shell, f"%peft check {write_notebook(*book)}"))
    assert row["verdict"] == "! out of order"
    assert row["why"].startswith("run from the top it would take another recipe: model tiny then, minilm now")


def test_what_python_chose_is_not_guessed(shell):
    run(shell, "lab.model = './tiny'\n_ = lab.data('rows.csv')")
    run(shell, "%peft train bitfit --max-steps 2")
    assert only(run(shell, "%peft check"))["verdict"] == "✓ fresh"


def test_changed_rows_of_a_variable_are_seen_and_nothing_is_left_behind(shell, place):
    run(shell, "from peft_lab.testing import tiny_rows\nrows = tiny_rows(60)")
    run(shell, "%peft train bitfit --model ./tiny --data rows --max-steps 2")
    kept = sorted((place / "peft_runs" / "data").iterdir())
    assert only(run(shell, "%peft check"))["verdict"] == "✓ fresh"
    run(shell, "rows[3]['text'] = 'something else'")
    assert only(run(shell, "%peft check"))["why"] == "the recipe changed: the rows of rows changed"
    assert sorted((place / "peft_runs" / "data").iterdir()) == kept


def test_a_method_of_a_cell_that_was_written_anew_is_seen(shell):
    written = (
        "from pluggy_specs import Method\nclass Mine(Method):\n    name = 'mine'\n    summary = 'x'\n"
        "    def attach(self, model, context):\n        return {}\nlab.add(Mine)"
    )
    run(shell, written.format("None"))
    run(shell, "%peft train mine --model ./tiny --data rows.csv --max-steps 2")
    assert only(run(shell, "%peft check"))["verdict"] == "✓ fresh"
    run(shell, written.format("model"))
    assert only(run(shell, "%peft check"))["why"] == "code of mine or of peft_lab changed"


def test_the_saved_notebook_is_found_and_joined_with_the_session(shell, place, monkeypatch):
    run(shell, TRAIN)
    first, other = card(Run("peft_runs/run-1")), "%peft train head --model ./tiny --data rows.csv --max-steps 2"
    run(shell, other)
    second = card(Run("peft_runs/run-2"))
    shutil.copytree("peft_runs/run-2", "peft_runs/run-3")
    change(Run("peft_runs/run-3"), id="run-3")
    third = card(Run("peft_runs/run-3"))
    book = [
        code_cell(TRAIN, first, count=1),
        code_cell(f"{other} --seed 4", second, count=2),  # edited, and not run again
        code_cell("%peft show run-3", third, count=14),
    ]
    write_notebook(*book)
    monkeypatch.setenv("JPY_SESSION_NAME", str(place / "book.ipynb"))
    found = [(row["cell"], row["verdict"], row["why"]) for row in rows_of(run(shell, "%peft check"))]
    assert found[0] == ("In[1]", "✓ fresh", "")
    assert found[1] == ("In[2]", "✗ stale", "the recipe changed: seed 0 then, 4 now")
    assert found[2][:2] == ("cell 3", "! other session")
    run(shell, TRAIN)
    assert [row["cell"] for row in rows_of(run(shell, "%peft check"))][-1] == "In[4]"  # run since it was saved


def test_a_notebook_of_vs_code_is_found(shell, place):
    run(shell, TRAIN)
    write_notebook(code_cell(TRAIN, card(Run("peft_runs/run-1")), count=9), name="code.ipynb")
    shell.user_ns["__vsc_ipynb_file__"] = str(place / "code.ipynb")
    assert "Seen: code.ipynb" in run(shell, "%peft check").note


def test_views_and_predictions_of_this_session_are_listed(shell):
    run(shell, TRAIN)
    run(shell, "%peft show curves run-1")
    run(shell, "%peft show run-1;")
    run(shell, "%peft runs")
    assert [row["cell"] for row in rows_of(run(shell, "%peft check run-1"))] == [None]
    assert [row["cell"] for row in rows_of(run(shell, "%peft check"))] == ["In[1]", "In[2]", "In[3]"]


def test_cells_are_read_as_ipython_reads_them(shell):
    from peft_lab.notebook.cells import calls_in
    from peft_lab.operations import operations_of

    lines = ["a = 1  # %peft no", "r[0] = %peft train head \\", "  --seed 3;", "%peft", "# %peft runs", "%peftx"]
    source = "\n".join([*lines, "for x in 'ab':", "    %peft train {{ x }}"])
    calls = calls_in(source, operations_of(Lab), lambda: shell.user_ns["lab"].host, {})
    assert [(call.operation.name, call.given.get("seed")) for call in calls] == [("train", 3), ("status", None)]
