"""Executors of this machine: cells in, results out, whatever becomes of the processes between."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import cells as work
import psutil
import pytest

from peft_lab.errors import BadOption
from peft_lab.host import Host
from peft_lab.run import Run
from peft_lab.study.choosing import executor_of
from peft_lab.study.places import machine
from peft_lab.study.places.here import Here
from peft_lab.study.places.processes import Processes
from peft_lab.testing import tiny_lab
from pluggy_specs import Executor

NEVER = bool


class Base(Executor):
    """The default of the contract."""

    name = "base"


def some(count, folder, **more):
    return [{"address": f"c{n}", "number": n, "folder": str(folder / f"c{n}"), **more} for n in range(count)]


def made(place, **options):
    return place(place.Options(**options))


def by_cell(results):
    found = {result["cell"]: result for result in results}
    assert len(found) == len(results)
    return found


PLACES = [made(Base), made(Here), made(Processes, workers=2)]


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.name)
def test_every_cell_once_and_errors_end_no_other(place, tmp_path):
    found = by_cell(list(place.run_cells(work.odd_ones_fail, iter(some(8, tmp_path)), NEVER)))
    assert [found[f"c{n}"].get("twice") for n in (0, 2)] == [0, 4]
    assert {found[f"c{n}"]["error"] for n in (1, 3, 5, 7)} == {"no odd numbers. Say an even one"}
    assert found["c4"]["error"] == "SystemExit: 3"
    if place.name == "processes":
        assert "no plain data" in found["c6"]["error"]
        assert list(place.run_cells(work.twice, [], NEVER)) == []


def test_workers_serve_many_cells_and_ask_for_no_more_than_they_can_do(tmp_path):
    taken = []

    def told():
        for cell in some(6, tmp_path):
            taken.append(cell["number"])
            yield cell

    results = made(Processes, workers=2).run_cells(work.twice, told(), NEVER)
    first = next(results)
    assert len(taken) <= 3
    found = [first, *results]
    assert len({result["pid"] for result in found}) <= 2 and len(found) == 6
    assert not [pid for result in found if psutil.pid_exists(pid := result["pid"])]


def test_a_worker_that_dies_is_replaced_and_its_cell_done_again(tmp_path):
    place = made(Processes, workers=2)
    found = by_cell(list(place.run_cells(partial(work.dies, times=2), some(2, tmp_path), NEVER)))
    assert [found[f"c{n}"]["deaths"] for n in range(2)] == [2, 2]
    (tmp_path / "again").mkdir()
    (row,) = place.run_cells(partial(work.dies, times=9), some(1, tmp_path / "again"), NEVER)
    assert row == {
        "cell": "c0",
        "error": "the process that trained it ended 3 times (by signal 9); it said last: about to die",
    }


@pytest.mark.parametrize("place", PLACES[1:], ids=lambda place: place.name)
def test_a_stop_asks_the_running_cells_and_begins_no_other(place, tmp_path):
    stopping = threading.Event()
    begun = []

    def told():
        for cell in some(5, tmp_path):
            begun.append(cell["address"])
            yield cell

    threading.Thread(target=lambda: (running(tmp_path / "c0"), stopping.set())).start()
    found = list(place.run_cells(work.slow, told(), stopping.is_set))
    assert {result["status"] for result in found} == {"stopped"}
    assert len(found) == len(begun) <= 2


def running(folder):
    """Wait until a run says that it runs."""
    until = time.monotonic() + 30
    while not (folder / "run.json").exists():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_workers_end_with_whoever_asked(tmp_path):
    """Also when that is killed: nothing trains on for nobody."""
    code = f"""
import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})
import cells
from peft_lab.study.places.processes import Processes
list(Processes().run_cells(cells.slow, [{{"address": "c0", "folder": {str(tmp_path / "c0")!r}}}], bool))
"""
    asked = subprocess.Popen([sys.executable, "-c", code])
    running(tmp_path / "c0")
    pid = json.loads((tmp_path / "c0" / "run.json").read_text())["pid"]
    assert pid != asked.pid and Run(tmp_path / "c0").active
    asked.kill()
    asked.wait()
    until = time.monotonic() + 10
    while Run(tmp_path / "c0").active and time.monotonic() < until:
        time.sleep(0.05)
    assert Run(tmp_path / "c0").status == "crashed"


def test_what_cannot_be_sent_is_refused(tmp_path):
    with pytest.raises(BadOption, match="cannot be sent to another process"):
        list(made(Processes).run_cells(lambda cell: cell, some(1, tmp_path), NEVER))
    lab = tiny_lab(tmp_path)
    with pytest.raises(BadOption, match="processes trains the cells of studies"):
        lab.train_each([lab.recipe("head", max_steps=1)], on="processes")


def test_threads_and_gpus_are_shared_out(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3, 5")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    known = machine.devices()
    dealt = [machine.environment(4, known, place) for place in range(3)]
    assert [made["CUDA_VISIBLE_DEVICES"] for made in dealt] == ["3", "5", "3"]
    assert {made["OMP_NUM_THREADS"] for made in dealt} == {"4"}
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert machine.environment(4, ["0"], 1)["OMP_NUM_THREADS"] == "1"
    assert machine.environment(4, ["0"], 1)["CUDA_VISIBLE_DEVICES"] == "3, 5", "one GPU is left as it is"


def tensors(run):
    """What was trained, by name, bit for bit."""
    from safetensors.numpy import load_file

    return {name: values.tobytes() for name, values in load_file(run.path / "weights.safetensors").items()}


def recipes(tmp_path, **settings):
    """Cells that train bitfit on files, with two seeds."""
    from peft_lab.testing.tiny import tiny_model, tiny_rows

    model = tiny_model(tmp_path / "base")
    data = tmp_path / "rows.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in tiny_rows(64)))
    lab = tiny_lab(tmp_path / "lab")
    asked = {"epochs": 2, "batch_size": 8, "device": "cpu", "precision": "fp32", **settings}
    return [
        lab.recipe("bitfit", model=str(model), data=str(data), seed=seed, **asked).model_dump(mode="json")
        for seed in range(2)
    ]


def test_a_training_on_processes_is_the_one_here_though_its_process_was_killed(tmp_path):
    asked = recipes(tmp_path)
    here, there = (
        [{"address": f"c{n}", "folder": str(tmp_path / name / f"c{n}"), "recipe": r} for n, r in enumerate(asked)]
        for name in ("here", "there")
    )
    there[0]["mark"] = str(tmp_path / "killed")
    expected = by_cell(list(Here().run_cells(work.train, here, NEVER)))
    found = by_cell(list(made(Processes, workers=1).run_cells(work.train_and_die_once, there, NEVER)))
    assert [result["status"] for result in (*expected.values(), *found.values())] == ["finished"] * 4
    assert json.loads((tmp_path / "killed").read_text())["steps"] > 0
    for address in ("c0", "c1"):
        one, other = Run(expected[address]["path"]), Run(found[address]["path"])
        assert one.metrics == other.metrics
        assert tensors(one) == tensors(other)
    assert Run(found["c0"]["path"]).record["resumed"] and not Run(found["c1"]["path"]).record["resumed"]


def test_the_batch_job_of_the_page_is_a_script(tmp_path):
    page = (Path(__file__).parents[1] / "docs" / "executors.md").read_text(encoding="utf-8")
    (script,) = re.findall(r"<!-- file: study.sbatch -->\n```bash\n(.*?)```", page, flags=re.S)
    (tmp_path / "study.sbatch").write_text(script)
    subprocess.run(["bash", "-n", str(tmp_path / "study.sbatch")], check=True)
    (asked,) = re.findall(r'^peft-lab study \S+ --on "(.*)"$', script, flags=re.M)
    host = Host(entry_points=False)
    executor = executor_of(host, asked)
    assert (executor.name, executor.options.address) == ("ray", "auto")
    assert executor_of(host, "ray://head:10001").options.address == "ray://head:10001"
