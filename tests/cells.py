"""Work for executors in tests: functions of a module, so that other processes can import them."""

import json
import os
import signal
import time
from pathlib import Path

from peft_lab.errors import BadOption


def twice(cell):
    """No training: the number of a cell, doubled, and who did it."""
    os.write(1, b"noise of a library\n")
    return {"cell": cell["address"], "twice": 2 * cell["number"], "pid": os.getpid()}


def trackers(cell):
    """What the process that trains tells to trackers."""
    return {"cell": cell["address"], **{name: os.environ.get(name) for name in ("PEFT_LAB_TRACK", "PEFT_LAB_STUDY")}}


def odd_ones_fail(cell):
    if cell["number"] % 2:
        raise BadOption("no odd\n numbers", "Say an even one")
    if cell["number"] == 4:
        raise SystemExit(3)
    return {"cell": cell["address"], "object": object()} if cell["number"] == 6 else twice(cell)


def dies(cell, times):
    """Kill the process that does it, so many times for each cell."""
    file = Path(cell["folder"]).with_suffix(".deaths")
    deaths = len(file.read_text()) if file.exists() else 0
    if deaths < times:
        with file.open("a") as out:
            out.write("x")
        os.write(2, b"about to die\n")
        os.kill(os.getpid(), signal.SIGKILL)
    return {"cell": cell["address"], "deaths": deaths, "pid": os.getpid()}


def train(cell):
    """What studies do with a cell, and who did it."""
    from peft_lab.study.cells import run_cell

    return {**run_cell(cell), "pid": os.getpid()}


def train_and_die_once(cell):
    """The same; the cell with ``dies`` kills its process after its first evaluation, the first time."""
    from peft_lab.training import loop

    mark = Path(cell["mark"]) if cell.get("mark") else None
    if mark is not None and not mark.exists():
        before = loop._Loop.measure

        def measure(self):
            before(self)
            if self.at.epoch == 1:
                self.keep_place()
                mark.write_text(json.dumps({"pid": os.getpid(), "steps": self.at.steps}))
                os.kill(os.getpid(), signal.SIGKILL)

        loop._Loop.measure = measure
    return train(cell)


def wait_for(seen, seconds=30):
    """Wait until something is so."""
    until = time.monotonic() + seconds
    while not seen():
        assert time.monotonic() < until
        time.sleep(0.02)


def slow(cell):
    """A run without training: says that it runs, and ends when it is asked to stop."""
    from peft_lab.run import RUN_JSON, STOP
    from peft_lab.training.journal import now, process, write_json

    folder = Path(cell["folder"])
    folder.mkdir(parents=True)
    record = {"format": 1, "id": folder.name, "status": "running", "started": now(), **process()}
    record |= {"recipe": {}, "fingerprints": {}}
    write_json(folder / RUN_JSON, record)
    until = time.monotonic() + 60
    while time.monotonic() < until:
        if (folder / STOP).exists():
            write_json(folder / RUN_JSON, {**record, "status": "stopped"})
            return {"cell": cell["address"], "status": "stopped", "path": str(folder)}
        time.sleep(0.02)
    return {"cell": cell["address"], "status": "finished"}
