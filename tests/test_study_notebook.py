"""Studies as they are typed: in a cell, on a line, on the command line; how they look while they go on."""

from __future__ import annotations

import re
import signal
import threading
import time

import pandas as pd
import pytest
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from peft_lab.cli import main
from peft_lab.notebook import study_watching
from peft_lab.notebook.study_watching import StudyStopped
from peft_lab.present.study import study_html, study_text
from peft_lab.rows import FINISHED
from peft_lab.study.book import find_study
from peft_lab.study.outcome import rows_of
from peft_lab.testing import tiny_lab, tiny_model, tiny_rows

BODY = "epochs: 1\nbatch_size: 16\ndevice: cpu\nprecision: fp32"


@pytest.fixture
def shell(monkeypatch, tmp_path, one_thread):
    monkeypatch.setenv("PEFT_LAB_RUNS", str(tmp_path / "runs"))
    monkeypatch.delenv("PEFT_LAB_STATIC", raising=False)
    config = Config()
    config.HistoryManager.enabled = False
    config.InteractiveShell.colors = "nocolor"
    ip = InteractiveShell.instance(config=config)
    ip.run_line_magic("load_ext", "peft_lab")
    ip.magics_manager.registry["PeftMagics"].lab._host = tiny_lab(tmp_path).host
    yield ip
    InteractiveShell.clear_instance()


def run(ip, code):
    """The value of a cell, or what it raised."""
    outcome = ip.run_cell(code, store_history=True)
    return outcome.error_before_exec or outcome.error_in_exec or outcome.result


def line(ip, code):
    error = run(ip, code)
    assert isinstance(error, UsageError), error
    return str(error)


def test_a_cell_with_values_of_the_notebook(shell, capsys):
    shell.user_ns |= {"few": 20, "tickets": pd.DataFrame(tiny_rows(90)), "rank": 2}
    cell = f"""%%peft study pilot --into found
model: tiny
data: {{{{ tickets }}}}
methods:
  - bitfit
  - lora: {{rank: {{{{ rank }}}}}}
examples: [{{{{ few }}}}, 50%]
seeds: [4]
{BODY}"""
    shown = run(shell, cell)
    assert shown is shell.user_ns["found"], shown
    rows = shown.rows
    assert {(row.method, row.asked, row.seed, row.status) for row in rows.rows} == {
        ("untrained", "0", 4, FINISHED),
        *((method, size, 4, FINISHED) for method in ("bitfit", "lora rank=2", "head") for size in ("20", "50 %")),
    }
    assert rows.plan["data"]["source"].endswith(".parquet") and rows.plan["training"]["epochs"] == 1
    assert "cells finished" in capsys.readouterr().err, "a line for each cell that ended"
    assert "study pilot" in str(run(shell, "%peft study"))
    assert "0 to do" in run(shell, "%peft study forecast").title
    assert "are kept apart as test" in str(shown)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("methods:\n  - bitfit\n  - lroa", "line 4 of the cell: methods: lroa: no method named 'lroa'. Did you mean"),
        ("methods: [bitfit, lora rnk=2]", "line 2 of the cell: methods: lora rnk=2: 'rnk' is no setting of lora"),
        ("methods: bitfit\nexamples:\n- 10\n- lots", "line 5 of the cell: examples: 'lots' is no number of"),
        ("methods: bitfit\nmetric: accurcy", "line 3 of the cell: classification has no score 'accurcy'"),
        ("methods: bitfit\nexamples: [20, 2]", "line 3 of the cell: examples: 2 are 2 training rows, too few for 3"),
        ("methods: bitfit\nbudget: [30s, soon]", "line 3 of the cell: budget: 'soon' is no length of time"),
        ("methods: bitfit\nsweep: {rank: [1]}", "line 3 of the cell: sweep: 'rank' cannot be swept"),
        ("methods: bitfit\nsede: 3", "line 3 of the cell: study has no 'sede'. Did you mean"),
        ("methods: bitfit\nepochs: -1", "line 3 of the cell: training: epochs: input should be greater than 0"),
        ("methods: bitfit\nlearning_rate: 1e-3", "line 3 of the cell: learning_rate is no setting of all cells"),
        ("methods: bitfit\ndata:\n  source: tiny\n  lable: x", "line 5 of the cell: data has no 'lable'"),
        ("methods: bitfit\nkeep: most", "line 3 of the cell: keep cannot be 'most'"),
        ("methods: bitfit\nexamples: [{{ nowhere }}]", "line 3 of the cell: examples: the notebook has no 'nowhere'"),
        ("examples: [10]", "line 2 of the cell: a study needs methods"),
        ("methods: bitfit\non: moon", "no executor named 'moon'"),
    ],
)  # fmt: skip
def test_an_error_names_the_line_of_the_cell(shell, body, said):
    assert said in line(shell, f"%%peft study --model tiny\n{body}\n" + ("" if "data:" in body else "data: tiny"))


def test_what_is_not_understood_on_a_line(shell):
    assert "there is no study yet" in line(shell, "%peft study")
    assert "study has no 'shwo'. Did you mean 'show'?" in line(shell, "%peft study shwo pilot")
    assert "study has no --sed" in line(shell, "%peft study --methods bitfit --sed 3")
    help_text = str(run(shell, "%peft study --help"))
    assert "--examples" in help_text and "--epochs" in help_text and "--seed " not in help_text
    assert "change-map" not in help_text, "it draws no view"


def test_an_interrupt_keeps_what_is_there_and_the_cell_goes_on(shell, capsys):
    cell = f"%%peft study pilot\nmodel: tiny\ndata: tiny\nmethods: bitfit\nexamples: [20, all]\nseeds: 2\n{BODY}"
    handler = signal.getsignal(signal.SIGINT)

    def interrupt():
        lab = shell.magics_manager.registry["PeftMagics"].lab
        while True:
            time.sleep(0.02)
            try:
                if sum(row.status == FINISHED for row in rows_of(find_study(lab.folder)).rows) >= 2:
                    break
            except Exception:
                continue
        signal.raise_signal(signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    stopped = run(shell, cell)
    assert isinstance(stopped, StudyStopped) and signal.getsignal(signal.SIGINT) == handler
    assert re.match(r"The study pilot was stopped: \d of 10 cells are finished", stopped.lines[0])
    assert "%peft study resume pilot" in stopped.lines[1]
    whole = run(shell, cell)
    assert {row.status for row in whole.rows.rows} == {FINISHED}


class Handle:
    def __init__(self):
        self.shown = []

    def update(self, bundle, raw):
        assert raw
        self.shown.append(bundle)


def test_the_live_display_keeps_its_height_and_ends_as_nothing(tmp_path, monkeypatch, one_thread):
    lab, handle = tiny_lab(tmp_path), Handle()
    monkeypatch.setattr("IPython.display.display", lambda bundle, **how: handle.update(bundle, raw=True) or handle)
    monkeypatch.setattr(study_watching, "HTML_EVERY", 0.0)
    monkeypatch.setattr(study_watching, "TEXT_SHARE", 1.0)  # on a slow machine pictures would be rare
    lab.watch_study = lambda progress, work: study_watching.watch_study(progress, work, study_watching.InNotebook())
    lab.study("pilot", methods=["bitfit"], examples=[20, "all"], seeds=1, epochs=4, batch_size=8, device="cpu")
    pages = [bundle["text/html"] for bundle in handle.shown if "text/html" in bundle]
    heights = {re.search(r"height:(\d+)px", page)[1] for page in pages}
    assert len(pages) >= 3 and len(heights) == 1
    assert handle.shown[-1] == {"text/plain": ""}, "the cell's value takes its place"
    assert any("bitfit, 20 examples, seed 0" in page for page in pages)
    assert any("left" in page for page in pages) and all("Interrupt stops" in page for page in pages)


def test_the_display_escapes_and_says_what_is_missing():
    state = {
        "name": "<script>", "phase": "training", "done": 1, "failed": 1, "all": 4,
        "seconds": 61.0, "left_seconds": 125.0, "columns": ["100", "all"], "more_columns": 2,
        "lines": [("lora", ["0.8, 1 of 3", "·"]), ("<i>", ["·", "1 failed"])],
        "headline": "macro_f1", "running": ["lora, 100 examples, seed 1: step 3 of 9"],
    }  # fmt: skip
    page = study_html(state)
    assert "<script>" not in page and "<i>" not in page and "&lt;script&gt;" in page
    assert 'value="0.5000"' in page and "macro F1" in page and "and 2 more" in page
    text = study_text(state)
    assert "1 of 4 cells finished" in text and "1 failed" in text and "1 min 1 s, about 2 min 5 s left" in text
    assert study_html({}) and study_text({}) == "0 of 0 cells finished"


def test_the_command_line_takes_a_file(tmp_path, monkeypatch, capsys, one_thread):
    monkeypatch.chdir(tmp_path)
    tiny_model(tmp_path / "tiny")
    pd.DataFrame(tiny_rows(90)).to_csv("rows.csv", index=False)
    (tmp_path / "pilot.yaml").write_text(
        f"name: pilot\nmodel: tiny\ndata: {{source: rows.csv, label: label}}\nmethods: [bitfit]\nseeds: 1\n{BODY}\n"
    )
    (tmp_path / "wrong.yaml").write_text("methods: [bitfit]\nseeds: none\n")
    runs = ["--runs", str(tmp_path / "runs")]
    assert main([*runs, "study", "forecast", "pilot.yaml"]) == 0
    assert "3 cells, 0 finished, 3 to do" in capsys.readouterr().out
    assert main([*runs, "study", "pilot.yaml"]) == 0
    out = capsys.readouterr().out
    assert "study pilot: tiny on rows.csv, 3 of 3 rows finished" in out and "untrained" in out
    assert main([*runs, "studies"]) == 0 and "pilot" in capsys.readouterr().out
    assert main([*runs, "study", "wrong.yaml"]) == 2
    assert "line 2 of wrong.yaml: seeds: 'none' is no seed" in capsys.readouterr().err
    assert main([*runs, "study", "absent.yaml"]) == 2
    assert "no study file 'absent.yaml'" in capsys.readouterr().err
