"""A run in a process of its own: ``python -m peft_lab.training.worker RUN-FOLDER``.

The process that asks claims the folder and writes the record before anything is trained, so that the run can be named,
watched and stopped at once. They talk through files of the run: nothing listens, and each outlives the other.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from peft_lab.errors import BadOption, PeftLabError
from peft_lab.recipe import Recipe
from peft_lab.run import RUN_JSON, Run
from peft_lab.training.giving_way import give_way
from peft_lab.training.installed import must_be_installed
from peft_lab.training.journal import claim, process, reopened, write_json, writing
from peft_lab.training.together import processes

if TYPE_CHECKING:
    from peft_lab.host import Host

LOG = "log.txt"
PATIENCE = 30.0
"""Seconds the worker waits for its record."""
_children: list[subprocess.Popen[bytes]] = []
"""Those that were begun here and may still go on."""


def train_in_background(
    recipe: Recipe, host: Host, folder: Path, *, forecast: Mapping[str, Any] | None = None, anyway: bool = False
) -> Run:
    """Begin to train a recipe in another process; return its run at once.

    Raises:
        BadOption: it needs something that was added in this process, which another one cannot see.
    """
    must_be_seen_elsewhere(recipe, host)
    must_be_installed()
    run = Run(claim(folder, recipe, forecast))
    with writing(run.id):
        _start(run, anyway)
    return run


def resume_in_background(run: Run, host: Host, *, anyway: bool = False) -> Run:
    """Go on with a run in another process; see :func:`peft_lab.training.session.resume`."""
    must_be_seen_elsewhere(run.recipe, host)
    with writing(run.id):
        write_json(run.path / RUN_JSON, reopened(run))
        _start(run, anyway)
    return run


def leave(run: Run, seconds: float = 10.0) -> None:
    """Wait for the process of a run that has ended, if it was begun here, so that it does not stay a zombie."""
    for child in [child for child in _children if child.pid == run.record.get("pid")]:
        with suppress(subprocess.TimeoutExpired):
            child.wait(seconds)


def _start(run: Run, anyway: bool) -> None:
    """Begin a process, and write into the record that it is the one that trains."""
    _children[:] = [child for child in _children if child.poll() is None]
    command = [sys.executable, "-m", "peft_lab.training.worker", str(run.path), *(["--anyway"] if anyway else [])]
    with (run.path / LOG).open("ab") as log:
        # A session of its own: Ctrl-C in a terminal, or an interrupt of the notebook, is not meant for it.
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd=Path.cwd()
        )
    _children.append(child)
    # Whoever asked may be gone by then: a process that ended and is waited for by nobody stays a zombie.
    threading.Thread(target=child.wait, name=f"waits for {run.id}", daemon=True).start()
    write_json(run.path / RUN_JSON, {**run.record, **process(child.pid)})


def must_be_seen_elsewhere(recipe: Recipe, host: Host) -> None:
    """Refuse a recipe that another process could not train.

    Raises:
        BadOption: it needs something that was added in this process, or several processes ask.
    """
    if processes() > 1:
        raise BadOption("several processes train one run, and none of them goes on in the background", "Leave out --bg")
    from peft_lab.host import Host as Fresh

    fresh = Fresh(warn=lambda line: None)
    named = [("methods", spec.name) for spec in recipe.methods]
    named += [("models", recipe.model)] if recipe.model in host.offers("models") else []
    named += [("datasets", recipe.data.source)] if recipe.data.source in host.offers("datasets") else []
    for kind, name in named:
        if name not in fresh.offers(kind):
            raise BadOption(
                f"{kind[:-1]} {name!r} was added in this notebook, and a run in the background cannot see it",
                "Train without --bg, or put it into an installed package",
            )


def main(path: Path, anyway: bool) -> None:
    """Train what the record in a folder says, once it says that this process is to do it."""
    from peft_lab.host import Host
    from peft_lab.training import session

    give_way()
    run, mine = Run(path), process()["pid"]
    until = time.monotonic() + PATIENCE
    while run.record["pid"] != mine:
        if time.monotonic() > until:
            sys.exit(f"{path} has no record for process {mine}")
        time.sleep(0.02)
    session.go_on(run, Host(warn=lambda line: None), anyway=anyway)


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), "--anyway" in sys.argv)
    except PeftLabError as error:  # on record in the run already; here for the log
        sys.exit(str(error))
