"""Cells on a Ray of this machine: two workers, one killed half-way, a stop, errors, runs that come back as bytes."""

from __future__ import annotations

import json
import os
import threading
from functools import partial
from pathlib import Path

import cells as work
import psutil
import pytest
from test_executors import NEVER, by_cell, made, recipes, running, some, tensors

from peft_lab.errors import BadOption
from peft_lab.run import Run
from peft_lab.study.places import node, on_ray
from peft_lab.study.places.cluster import connected
from peft_lab.study.places.here import Here
from peft_lab.study.places.on_ray import OnRay

pytest.importorskip("ray")


def listening():
    """Addresses that processes of Ray, and this one, listen at."""
    found = {}
    for process in psutil.process_iter():
        try:
            ours = process.pid == os.getpid() or "ray" in " ".join(process.cmdline()[:3]).lower()
            sockets = process.net_connections("tcp") if ours else []
        except psutil.Error:
            continue
        found |= {s.laddr: process.pid for s in sockets if s.status == psutil.CONN_LISTEN}
    return found


@pytest.fixture(scope="module")
def ray():
    """A Ray of its own with two places."""
    before = listening()
    with connected("", 2) as found:
        strange = {at.ip for at in listening().keys() - before.keys()} - {"127.0.0.1", "::1", "::ffff:127.0.0.1"}
        assert not strange, "Ray listens beyond this machine"
        yield found
    assert not found.is_initialized()


@pytest.fixture
def place(ray, tmp_path):
    return lambda **options: made(OnRay, **{"scratch": str(tmp_path / "scratch"), **options})


def test_every_cell_once_errors_end_no_other_and_workers_stay(place, tmp_path):
    found = by_cell(list(place().run_cells(work.odd_ones_fail, iter(some(8, tmp_path)), NEVER)))
    assert [found[f"c{n}"].get("twice") for n in (0, 2)] == [0, 4]
    assert {found[f"c{n}"]["error"] for n in (1, 3, 5, 7)} == {"no odd numbers. Say an even one"}
    assert found["c4"]["error"] == "SystemExit: 3"
    found = list(place(workers=2).run_cells(work.twice, some(8, tmp_path), NEVER))
    assert len({row["pid"] for row in found}) <= 3 and os.getpid() not in {row["pid"] for row in found}


def test_trackers_are_those_of_whoever_asks_now(place, tmp_path, monkeypatch):
    pytest.importorskip("mlflow")
    monkeypatch.setenv("PEFT_LAB_STUDY", "pilot")
    for choices in ("", f"mlflow --to {tmp_path / 'mlruns'}"):
        monkeypatch.setenv("PEFT_LAB_TRACK", choices)
        (found,) = place().run_cells(work.trackers, some(1, tmp_path), NEVER)
        assert found == {"cell": "c0", "PEFT_LAB_TRACK": choices, "PEFT_LAB_STUDY": "pilot"}


def test_a_cell_that_is_lost_again_and_again(place, tmp_path):
    found = by_cell(list(place().run_cells(partial(work.dies, times=2), some(1, tmp_path), NEVER)))
    assert found["c0"]["deaths"] == 2
    (tmp_path / "again").mkdir()
    (row,) = place().run_cells(partial(work.dies, times=9), some(1, tmp_path / "again"), NEVER)
    assert row["error"].startswith("it was lost 3 times with what trained it")


@pytest.mark.parametrize("files", ["auto", "copy"])
def test_a_stop_asks_the_running_cells_and_begins_no_other(place, tmp_path, files):
    stopping, begun = threading.Event(), []

    def told():
        for cell in some(5, tmp_path / "cells"):
            begun.append(cell["address"])
            yield cell

    def ask():
        if files == "auto":
            running(tmp_path / "cells" / "c0")
        else:
            cells = tmp_path / "scratch" / "cells"
            work.wait_for(lambda: list(cells.glob("c0-*/run.json")))
        stopping.set()

    threading.Thread(target=ask).start()
    found = list(place(files=files).run_cells(work.slow, told(), stopping.is_set))
    assert {row["status"] for row in found} == {"stopped"} and len(begun) <= 2
    for row in found:
        assert Path(row["path"]) == tmp_path / "cells" / row["cell"]
        assert json.loads((Path(row["path"]) / "run.json").read_text())["status"] == "stopped"


def test_runs_that_come_back_are_those_trained_here_though_a_worker_was_killed(place, tmp_path):
    asked = recipes(tmp_path)
    here, there = (
        [{"address": f"c{n}", "folder": str(tmp_path / name / f"c{n}"), "recipe": r} for n, r in enumerate(asked)]
        for name in ("here", "there")
    )
    there[0]["mark"] = str(tmp_path / "killed")
    expected = by_cell(list(Here().run_cells(work.train, here, NEVER)))
    found = by_cell(list(place(files="copy", workers=2).run_cells(work.train_and_die_once, there, NEVER)))
    assert json.loads((tmp_path / "killed").read_text())["steps"] > 0
    for address in ("c0", "c1"):
        assert found[address] == {**expected[address], "path": found[address]["path"], "pid": found[address]["pid"]}
        one, other = Run(expected[address]["path"]), Run(found[address]["path"])
        assert other.path == tmp_path / "there" / address and other.status == "finished"
        assert one.metrics == other.metrics and tensors(one) == tensors(other)
        assert other.recipe == one.recipe and other.record["fingerprints"] == one.record["fingerprints"]
        assert other.id == one.id and str(tmp_path / "scratch") not in (other.path / "run.json").read_text()
    assert Run(found["c0"]["path"]).record["resumed"]
    kept = tmp_path / "scratch"
    assert len(list((kept / "things").iterdir())) == 2, "data and model, once"
    assert [path.name for path in (kept / "cells").iterdir() if path.is_dir()] == [".locks"], "runs went home"
    assert sorted(path.name for path in (tmp_path / "there").iterdir()) == ["c0", "c1"]


def test_what_is_refused(ray, tmp_path, monkeypatch):
    with pytest.raises(BadOption, match="cannot be sent"):
        list(made(OnRay).run_cells(lambda cell: cell, some(1, tmp_path), NEVER))
    order = {"cell": {"address": "c0"}, "version": "0.0.1"}
    assert "every node needs the same environment" in node.serve(order)["result"]["error"]
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(BadOption, match=r'Ray is not installed. pip install "peft-lab\[ray\]"'), connected("", 1):
        pass
    assert on_ray.OnRay.name == "ray"
