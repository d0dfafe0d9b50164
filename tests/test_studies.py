"""Studies carried out on a tiny model: every cell once, whatever happens meanwhile."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from peft_lab.errors import BadOption, PeftLabError, RunProblem
from peft_lab.lab import Lab
from peft_lab.rows import FAILED, FINISHED, STOPPED, WAITING
from peft_lab.run import WEIGHTS, Run
from peft_lab.study import letting_go, texts
from peft_lab.study.book import find_study, studies_in
from peft_lab.study.cells import lock_of, run_cell
from peft_lab.study.claiming import claimed
from peft_lab.study.outcome import rows_of
from peft_lab.study.worker import engine_of
from peft_lab.testing import tiny_causal_lab, tiny_lab, tiny_model, tiny_rows
from pluggy_specs import Executor, Method

QUICK = {"epochs": 1, "batch_size": 16, "device": "cpu", "precision": "fp32"}
SMALL = {"methods": ["bitfit"], "examples": [20, "all"], "seeds": 2, **QUICK}
ONE_SEED = {**SMALL, "seeds": 1}


@pytest.fixture
def lab(tmp_path, one_thread):
    return tiny_lab(tmp_path)


@pytest.fixture(scope="module")
def done(tmp_path_factory, trained_before, one_thread):
    """A study that went through, and its lab."""
    lab = tiny_lab(tmp_path_factory.mktemp("done"))
    lab.study("pilot", sweep={"learning_rate": [1e-3, 1e-1]}, **SMALL)
    return lab


def table(rows):
    """What two equal studies have in common: everything but times and places."""
    return [
        (r.method, r.examples, r.asked, r.budget, r.seed, r.status, r.headline, dict(r.test), dict(r.validation),
         r.learning_rate, r.steps, r.error, r.swept)
        for r in rows.rows
    ]  # fmt: skip


def cells_of(lab):
    return sorted(path for path in (lab.folder / "studies" / "cells").iterdir() if not path.name.startswith("."))


# --- a study that nothing happens to ----------------------------------------------------------------------------------


def test_every_row_is_there_with_its_baselines(done):
    rows = rows_of(find_study(done.folder))
    assert {row.method for row in rows.rows} == {"untrained", "bitfit", "head"}
    assert len(rows.rows) == 2 + 2 * 2 * 2 and {row.status for row in rows.rows} == {FINISHED}
    assert rows.plan["methods"] == ["bitfit"] and rows.name == "pilot"
    for row in rows.rows:
        run = Run(row.path)
        assert row.test == run.metrics["test"] and row.validation == run.metrics["validation"]
        assert row.headline == "accuracy" and row.cost["bytes_on_disk"] > 0
        assert row.steps == ((0, 0) if row.method == "untrained" else (run.record["steps"]["done"],) * 2)


def test_the_untrained_head_is_scored_and_nothing_moved(done):
    rows = [row for row in rows_of(find_study(done.folder)).rows if row.method == "untrained"]
    assert [row.seed for row in rows] == [0, 1] and all(row.examples == 0 for row in rows)
    run, head = Run(rows[0].path), next(p for p in cells_of(done) if Run(p).recipe.method == "head")
    assert run.cost["trainable"] == 0 and "Nothing was trained" in " ".join(run.record["notes"])
    with pytest.raises(RunProblem, match="nothing left to do"):
        done.resume(str(run.path))
    assert done.predict(str(run.path), "the red ship").rows and Run(head).cost["trainable"] > 0
    assert "Nothing was trained" in run._repr_mimebundle_()["text/html"]
    from peft_lab.training.restore import restore

    outputs = run.artifact("test-answers").arrays["outputs"]
    assert outputs.values.shape == (48, 3), "what is judged of other runs can be judged of this one"
    test = tiny_rows(48, seed=1)
    assert restore(run, done.host).score(test)["accuracy"] == pytest.approx(rows[0].test["accuracy"])


def test_the_sweep_looks_at_validation_with_the_first_seed_only(done):
    study = find_study(done.folder)
    tried = [cell for cell in study.cells if cell["tried"]]
    assert {cell["seed"] for cell in tried} == {0} and len(tried) == 2 * 2 * 2
    for row in rows_of(study).rows:
        if row.method == "untrained":
            continue
        group = [c for c in tried if (c["method"], c["asked"]) == (row.method, row.asked)]
        scores = {c["learning_rate"]: Run(study.folder_of(c["address"])).metrics["validation"] for c in group}
        most = max(score["accuracy"] for score in scores.values())
        assert scores[row.learning_rate]["accuracy"] == most
        assert row.swept == ((0.001, 0.1) if row.seed == 0 else ())


def test_a_finished_study_trains_nothing_again(done):
    before = {path: (path / "run.json").stat().st_mtime_ns for path in cells_of(done)}
    began = time.perf_counter()
    done.study("pilot", sweep={"learning_rate": [1e-3, 1e-1]}, **SMALL)
    assert {path: (path / "run.json").stat().st_mtime_ns for path in cells_of(done)} == before
    assert time.perf_counter() - began < 10


def test_cells_can_be_added_later(done):
    before = set(cells_of(done))
    done.study("pilot", sweep={"learning_rate": [1e-3, 1e-1]}, **{**SMALL, "examples": [20, 40, "all"]})
    added = set(cells_of(done)) - before
    assert len(added) == 2 * (2 + 1), "two methods, two rates and another seed"
    assert len(rows_of(find_study(done.folder)).rows) == 2 + 2 * 3 * 2


def test_what_is_shown(done):
    shown = done.study("show", "pilot")
    text = str(shown)
    assert "study pilot: tiny on tiny" in text and "rows finished" in text
    assert shown.rows.name == "pilot" and "untrained" in text
    assert str(done.study()) == text, "the latest one"
    assert [row[0] for row in done.studies().rows] == ["pilot"]
    assert done.studies().rows[0][1] == "finished"
    with pytest.raises(RunProblem, match="no study named 'pilt'. Did you mean 'pilot'"):
        done.study("show", "pilt")
    with pytest.raises(RunProblem, match="pilot is not being run now"):
        done.study("stop")


def test_a_cell_is_a_run_that_can_be_shown_and_used(done):
    address = next(c["address"] for c in find_study(done.folder).cells if c["method"] == "bitfit")
    assert done.show(address).id == address and done.predict(address, "the red ship").rows
    assert done.show("curves", address).png
    assert not done.runs().rows, "runs of studies are not among a person's own"


def test_the_forecast_says_what_is_left(done):
    ahead = done.study("forecast", "pilot")
    assert "to do" in ahead.title and ", 0 to do" in ahead.title
    more = done.study("more", forecast=True, **{**SMALL, "seeds": 3, "methods": ["bitfit", "lora"]})
    lines = {row[0]: row for row in more.rows}
    assert lines["bitfit"][1:3] == [6, 0] or lines["bitfit"][2] >= 0
    assert "About" in more.note and "on disk" in more.note
    assert [study.name for study in studies_in(done.folder)] == ["pilot"], "a forecast leaves nothing"


def test_a_forecast_is_near_what_comes(lab):
    ahead = lab.study("forecast", **ONE_SEED)
    lab.study("pilot", **ONE_SEED)
    engine = lab._engine(find_study(lab.folder).plan, "pilot", False)
    engine.foretell()
    seconds = [engine.expected.seconds(cell) for cell in engine.grid.cells()]
    assert all(second is not None and second > 0 for second in seconds)
    assert "study-1: 5 cells, 0 finished, 5 to do" in ahead.title


# --- failures are rows ------------------------------------------------------------------------------------------------


class Refuses(Method):
    name = "refuses"
    summary = "raises at its first penalty"

    def penalty(self, model):
        raise ZeroDivisionError("by nothing")

    def marks(self, model):
        return ["*.bias"]


def test_failures_are_rows_and_not_the_end(lab):
    lab.add(Refuses)
    shown = lab.study("pilot", methods=["refuses", {"lora": {"targets": ["nowhere"]}}, "bitfit"], seeds=1, **QUICK)
    rows = {row.method: row for row in shown.rows.rows}
    assert rows["bitfit"].status == rows["head"].status == FINISHED
    refused, lost = rows["refuses"], rows["lora targets=[nowhere]"]
    assert refused.status == lost.status == FAILED
    assert "the method 'refuses' failed in penalty: ZeroDivisionError" in refused.error
    assert lost.error.startswith("no layer of this model is named 'nowhere'")
    assert "A failed cell is not tried again" in str(shown)
    stamp = (Path(refused.path) / "run.json").stat().st_mtime_ns
    again = {"methods": ["refuses", {"lora": {"targets": ["nowhere"]}}, "bitfit"], "seeds": 1, **QUICK}
    lab.study("pilot", **again)
    assert (Path(refused.path) / "run.json").stat().st_mtime_ns == stamp, "not by itself"
    lab.study("pilot", again=True, **again)
    assert (Path(refused.path) / "run.json").stat().st_mtime_ns != stamp


def test_a_rate_that_diverges_loses_the_sweep(lab):
    sweep = {"learning_rate": [1e-3, 1e30]}
    shown = lab.study("pilot", methods=["full"], seeds=2, sweep=sweep, **{**QUICK, "epochs": 2})
    full = [row for row in shown.rows.rows if row.method == "full"]
    assert [row.status for row in full] == [FINISHED] * 2 and {row.learning_rate for row in full} == {1e-3}


def test_a_sweep_that_fails_altogether_says_so_in_every_row(lab):
    sweep = {"learning_rate": [1e29, 1e30]}
    shown = lab.study("pilot", methods=["full"], seeds=2, sweep=sweep, **{**QUICK, "epochs": 2})
    full = [row for row in shown.rows.rows if row.method == "full"]
    assert [row.status for row in full] == [FAILED] * 2
    assert full[1].error.startswith("no learning rate of the sweep came through: the loss is")


class Loses(Executor):
    name = "loses"
    summary = "its workers die"

    def run_cells(self, work, cells, stop):
        for number, cell in enumerate(cells):
            yield {"cell": cell["address"], "error": "the worker was lost three times"} if number == 1 else work(cell)
        yield {"cell": "never given", "error": "strange"}


def test_a_lost_worker_is_a_row_and_its_cell_is_tried_by_the_next_run(lab, ground):
    lab.add(Loses)
    on_disk = dict(zip(("model", "data"), map(str, ground), strict=True))  # as whatever trains elsewhere needs it
    shown = lab.study("pilot", on="loses", **on_disk, **ONE_SEED)
    (lost,) = [row for row in shown.rows.rows if row.status == FAILED]
    assert lost.error == "the worker was lost three times"
    again = lab.study("pilot", **on_disk, **ONE_SEED)
    assert {row.status for row in again.rows.rows} == {FINISHED}


# --- stopped, killed, shared ------------------------------------------------------------------------------------------


def test_a_stop_is_kept_and_gone_on_with(lab):
    seen = []

    def stop_soon(progress, work):
        def ask():
            while progress.done < 2:
                time.sleep(0.01)
            find_study(lab.folder).ask_to_stop()

        asker = threading.Thread(target=ask)
        asker.start()
        rows = work()
        asker.join()
        seen.append(progress.stopping())
        return rows

    lab.watch_study = stop_soon
    rows = lab.study("pilot", **ONE_SEED).rows
    assert seen == [True] and not find_study(lab.folder).active
    counts = [row.status for row in rows.rows]
    assert 2 <= counts.count(FINISHED) < len(counts)
    assert set(counts) <= {FINISHED, STOPPED, WAITING}
    lab.watch_study = None
    whole = lab.study("resume", "pilot").rows
    assert {row.status for row in whole.rows} == {FINISHED}


def test_a_program_that_is_interrupted_can_go_on(lab, monkeypatch):
    """Without a watcher an interrupt hits in the middle of a step: that is no failure of the cell."""
    from peft_lab.training import loop

    count, move = [0], loop.move

    def interrupted(*given):
        count[0] += 1
        if count[0] == 4:
            raise KeyboardInterrupt
        move(*given)

    monkeypatch.setattr(loop, "move", interrupted)
    with pytest.raises(KeyboardInterrupt):
        lab.study("pilot", **ONE_SEED)
    study = find_study(lab.folder)
    assert not study.active and [row.status for row in rows_of(study).rows].count(STOPPED) == 1
    assert {row.status for row in lab.study("resume").rows.rows} == {FINISHED}


def test_of_two_who_are_asked_for_a_cell_one_trains_it(lab, tmp_path):
    engine = lab._engine(lab._planned("tiny", None, {}, ["bitfit"], {"seeds": 1}, QUICK), "pilot", False)
    cell = next(cell for cell in engine.grid.cells() if cell["method"] == "bitfit")
    given = {**cell, "folder": str(engine.study.folder_of(cell["address"]))}
    with claimed(lock_of(Path(given["folder"]))) as mine:
        assert mine
        from peft_lab.study.cells import with_host

        with with_host(lab.host):
            assert run_cell(given)["status"] == "running"
            assert not Path(given["folder"]).exists()
    with with_host(lab.host):
        first, second = run_cell(given), run_cell(given)
    assert first == second and first["status"] == FINISHED
    assert len(list(Path(given["folder"]).parent.glob("[!.]*"))) == 1


def test_a_study_is_carried_out_by_one_process(lab):
    lab.study("pilot", **{**SMALL, "examples": [20], "seeds": 1})
    study = find_study(lab.folder)
    with claimed(study.path / ".lock"):
        assert study.active
        with pytest.raises(RunProblem, match="pilot is being run now"):
            lab.study("pilot", **SMALL)
        assert "It is being run now" in str(lab.study("show"))
        with pytest.raises(RunProblem, match="no run goes on now.*%peft study stop pilot"):
            lab.stop()
        assert "%peft study show pilot" in lab.ps().note and not lab.ps().rows
    assert not study.active and "study" not in lab.ps().note


SCRIPT = """
import gc, sys
import datasets, peft, sklearn.metrics, torch, transformers
from peft_lab.lab import Lab
gc.collect()
gc.freeze()
Lab(sys.argv[1]).study("pilot", model=sys.argv[2], data=sys.argv[3], methods=["bitfit"], examples=[24, "all"],
    seeds=1, sweep={"learning_rate": [1e-3, 1e-2]}, epochs=8, batch_size=8, device="cpu", precision="fp32")
"""


@pytest.fixture(scope="module")
def ground(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ground")
    model = tiny_model(folder / "model")
    data = folder / "rows.csv"
    data.write_text("text,label\n" + "".join(f"{row['text']},{row['label']}\n" for row in tiny_rows(160)))
    return model, data


def carry_out(runs, ground, kill_at=None):
    """A study in a process of its own, killed a moment after so many cells were begun; whether it came through."""
    child = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(runs), *map(str, ground)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    while kill_at is not None and child.poll() is None:
        if len(trained_cells(runs)) >= kill_at:
            time.sleep(random.Random(kill_at).uniform(0, 0.4))
            os.kill(child.pid, signal.SIGKILL)
            child.communicate()
            return False
        time.sleep(0.01)
    _, said = child.communicate()
    assert child.returncode == 0, said.decode()
    return True


def trained_cells(runs):
    return {p.parent.name: Run(p.parent) for p in (runs / "studies" / "cells").glob("[!.]*/run.json")}


@pytest.mark.slow
def test_killed_three_times_a_study_ends_as_one_left_alone(ground, tmp_path):
    assert carry_out(tmp_path / "alone", ground)
    expected = table(rows_of(find_study(tmp_path / "alone")))
    runs = tmp_path / "killed"
    for begun in (2, 5, 8):
        assert not carry_out(runs, ground, begun), "it was over before it could be killed"
        for run in trained_cells(runs).values():
            run.readable()
    assert carry_out(runs, ground)
    found = find_study(runs)
    assert table(rows_of(found)) == expected
    alone, killed = trained_cells(tmp_path / "alone"), trained_cells(runs)
    assert set(alone) == set(killed), "no cell lost, none that was not asked for"
    from peft_lab.training.weights import read_tensors

    for address, run in killed.items():
        before, after = (read_tensors(one.path / WEIGHTS) for one in (alone[address], run))
        assert before.keys() == after.keys()
        assert all((before[name] == after[name]).all() for name in before), "bit for bit"
        steps = [point["step"] for point in run.points if point["split"] == "train"]
        assert steps == sorted(set(steps)), "no step twice"
    assert not found.active and not (found.path / "stop").exists()


# --- weights ----------------------------------------------------------------------------------------------------------


def test_large_weights_are_let_go_once_scores_are_there(lab, monkeypatch):
    monkeypatch.setattr(letting_go, "SMALL", 20_000)
    rows = lab.study("pilot", methods=["full", "bitfit"], seeds=1, **QUICK).rows.rows
    kept = {row.method: (Path(row.path) / WEIGHTS).is_file() for row in rows}
    assert kept == {"untrained": True, "full": False, "bitfit": True, "head": True}
    full = Run(next(row.path for row in rows if row.method == "full"))
    assert texts.WEIGHTS_GONE in full.record["notes"] and full.status == FINISHED and full.metrics["test"]
    assert lab.show(full.path.name).id == full.id and full._repr_mimebundle_()["text/html"]
    with pytest.raises(RunProblem, match=r"weights.safetensors is missing"):
        lab.predict(str(full.path), "the red ship")


def test_whose_weights_are_kept(lab):
    def kept(keep):
        lab.study("pilot", methods=["bitfit"], seeds=2, keep=keep, sweep={"learning_rate": [1e-3, 1e-2]}, **QUICK)
        return [path for path in cells_of(lab) if (path / WEIGHTS).is_file()]

    assert len(kept("all")) == len(cells_of(lab)) == 2 + 2 * 3
    rows = rows_of(find_study(lab.folder)).rows
    best = {
        m: max((r for r in rows if r.method == m), key=lambda r: r.validation["accuracy"]) for m in ("bitfit", "head")
    }
    left = kept("best")
    assert len(left) == 3, "the best seed of each method, and none whose learning rate lost"
    scores = {m: [r for r in rows if r.method == m and Path(r.path) in left] for m in best}
    assert all(found[0].validation["accuracy"] == best[m].validation["accuracy"] for m, found in scores.items())


def test_no_weights_are_kept_where_that_is_asked_for(lab):
    rows = lab.study("pilot", methods=["head"], seeds=1, keep="none", **QUICK).rows.rows
    assert not [row for row in rows if (Path(row.path) / WEIGHTS).exists()] and len(rows) == 2


# --- elsewhere --------------------------------------------------------------------------------------------------------


def test_what_another_process_cannot_see_is_refused_before_it_begins(lab):
    lab.add(Loses)
    with pytest.raises(BadOption, match="model 'tiny' was added in this notebook"):
        lab.study("pilot", bg=True, **SMALL)
    assert not studies_in(lab.folder)
    with pytest.raises(BadOption, match="here has no workers"):
        lab.study("pilot", workers=2, **SMALL)


def test_cells_side_by_side_come_to_the_same_table(ground, tmp_path):
    model, data = ground
    asked = {"model": str(model), "data": str(data), **ONE_SEED, "examples": "all"}
    one = Lab(tmp_path / "one").study("pilot", **asked).rows
    two = Lab(tmp_path / "two").study("pilot", on="processes threads=1", workers=2, **asked).rows
    assert table(one) == table(two)


def test_a_study_in_a_process_of_its_own(ground, tmp_path):
    model, data = ground
    lab = Lab(tmp_path / "runs")
    lab.study("pilot", model=str(model), data=str(data), bg=True, **{**SMALL, "examples": ["all"], "seeds": 1})
    study = find_study(lab.folder)
    until, seen = time.monotonic() + 120, []
    while (study.active or not rows_of(study).rows) and time.monotonic() < until:
        seen += lab.ps().rows
        time.sleep(0.02)
    assert seen and all(row[0] in trained_cells(lab.folder) and row[-1].endswith(", study pilot") for row in seen)
    assert {row.status for row in rows_of(study).rows} == {FINISHED}, (study.path / "log.txt").read_text()
    assert engine_of(study).foretell().done == 3


def test_a_model_that_writes_has_no_head_and_untrained_is_the_base_model(tmp_path, one_thread):
    lab = tiny_causal_lab(tmp_path)
    shown = lab.study("calls", methods=["lora", "adapter"], examples=[24, "all"], seeds=2, **{**QUICK, "epochs": 2})
    rows = shown.rows.rows
    assert {row.method for row in rows} == {"lora", "adapter", "untrained"} and {r.status for r in rows} == {FINISHED}
    assert len(rows) == 2 * 2 * 2 + 2
    base = {row.test["loss"] for row in rows if row.method == "untrained"}
    assert len(base) == 1, "a base model is the same with every seed"
    everything = [row for row in rows if row.method == "lora" and row.asked == "all"]
    assert len(everything) == 2 and all(row.test["loss"] < min(base) for row in everything)
    assert lab.study("show", against="untrained").rows.rows == rows
    lab.report(str(tmp_path / "calls.html"), study="calls")
    assert "adapter" in (tmp_path / "calls.html").read_text(encoding="utf-8")


def test_errors_name_the_study_they_are_about(tmp_path):
    lab = tiny_lab(tmp_path)
    with pytest.raises(RunProblem, match="there is no study yet"):
        lab.study()
    with pytest.raises(BadOption, match="a study needs methods"):
        lab.study("pilot", examples=[10])
    (lab.folder / "studies" / "broken").mkdir(parents=True)
    (lab.folder / "studies" / "broken" / "study.json").write_text("{")
    with pytest.raises(RunProblem, match="broken/study.json cannot be read"):
        lab.study("show", "broken")
    assert "unreadable" in str(lab.studies())
    with pytest.raises(PeftLabError):
        lab.study("resume")


def test_study_json_is_readable_without_this_package(done):
    found = json.loads((find_study(done.folder).path / "study.json").read_text())
    assert found["format"] == 1 and found["name"] == "pilot" and re.match(r"\d{4}-\d\d-\d\dT", found["created"])
    assert {"plan", "cells", "settled", "notes"} <= set(found)
    assert {"address", "method", "examples", "seed", "recipe"} <= set(found["cells"][0])
