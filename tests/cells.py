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


def train(cell, base=""):
    """Train what a cell says into its folder, or go on with what is there; die half-way where it says so."""
    from peft_lab.host import Host
    from peft_lab.recipe import Recipe
    from peft_lab.run import RUN_JSON, Run
    from peft_lab.training import session
    from peft_lab.training.journal import opening, process, write_json

    host = Host(entry_points=False, warn=lambda line: None)
    folder = Path(cell["folder"])
    if (folder / RUN_JSON).exists():
        run = Run(folder)
        if run.status != "finished":
            run = session.resume(run, host)
    else:
        folder.mkdir(parents=True)
        write_json(folder / RUN_JSON, {**opening(folder, Recipe.read(cell["recipe"])), **process(), "forecast": None})
        run = session.go_on(Run(folder), host)
    return {"cell": cell["address"], "status": run.status, "path": str(run.path), "pid": os.getpid()}


def train_and_die_once(cell):
    """The same; the cell with ``dies`` kills its process after its first evaluation, the first time."""
    from peft_lab.training import checkpoint, loop

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
        assert checkpoint
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
