"""What is done on a node of a cluster: a cell is trained.

In its own folder, where this is the machine that asked; else on the node's disk, and its run goes back as bytes.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Mapping
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

from peft_lab.run import LAST, RUN_JSON, WEIGHTS, Run
from peft_lab.study.places import texts
from peft_lab.study.places.machine import within
from peft_lab.study.places.parcels import digest_of, pack, unpack
from peft_lab.study.places.sending import outcome, unpacked
from peft_lab.study.places.stopping import stopped_when
from peft_lab.study.places.things import LEFT, moved, renamed, replaced
from pluggy_specs import failed_cell

NOT_BEGUN = {"begun": False}


def serve(order: Mapping[str, Any]) -> dict[str, Any]:
    """Train a cell. Returns ``result``, and as ``parcel`` the run's folder where it cannot be seen by whoever asked."""
    cell = order["cell"]
    if (own := version("peft-lab")) != order["version"]:
        why = texts.OTHER_VERSION.format(host=socket.gethostname(), own=own, other=order["version"])
        return {"result": failed_cell(cell, why)}
    mark = stop_mark(scratch(order["scratch"]), order["session"])
    if mark.exists():
        return NOT_BEGUN
    home = is_home(order["home"])
    if home:
        at_home(order["home"])
    with within(order["told"]["here" if home else "away"]):
        if home and order["files"] != "copy":
            with stopped_when(mark.exists, cell):
                return {"result": outcome(unpacked(order["work"]), cell)}
        return _away(order, mark)


def _away(order: Mapping[str, Any], mark: Path) -> dict[str, Any]:
    """Train on this node's disk."""
    from filelock import FileLock

    cell = order["cell"]
    home, place = str(cell["folder"]), scratch(order["scratch"]) / "cells"
    key = sha256(json.dumps([order["home"]["host"], home]).encode()).hexdigest()[:12]
    folder = place / f"{cell['address']}-{key}"
    place.mkdir(parents=True, exist_ok=True)
    # Where a node was given up too early, two processes may have the same cell: the second waits, and takes it over.
    with FileLock(place / f"{folder.name}.lock"):
        there = {thing["name"]: _settled(thing, order) for thing in order["things"]}
        there = {name: path for name, path in there.items() if path != name} | {home: str(folder)}
        back = {path: name for name, path in there.items()}
        if order["begun"] is not None and not folder.exists():
            unpack(_fetched(order["begun"]), folder)
            moved(folder, there)
        here = {**cell, "folder": str(folder)}
        if "recipe" in cell:
            here["recipe"] = renamed(cell["recipe"], there)
        with stopped_when(mark.exists, here):
            result = outcome(unpacked(order["work"]), here)
        answer: dict[str, Any] = {"result": json.loads(replaced(json.dumps(result, ensure_ascii=False), back))}
        if (folder / RUN_JSON).exists():
            leave = LEFT if order["weights"] or Run(folder).status != "finished" else (*LEFT, WEIGHTS, LAST)
            moved(folder, back)
            _named(folder, Path(home).name)
            answer["parcel"] = pack(folder, lambda name: name not in leave)
        shutil.rmtree(folder, ignore_errors=True)
    return answer


def _settled(thing: Mapping[str, Any], order: Mapping[str, Any]) -> str:
    """Where a file or folder of whoever asked is on this node, fetched by the first process that needs it."""
    from filelock import FileLock

    name, path = str(thing["name"]), Path(thing["path"])
    if order["files"] != "copy" and path == Path(name) and path.exists() and digest_of(path) == thing["digest"]:
        return name
    shelf = scratch(order["scratch"]) / "things" / thing["digest"][:32]
    kept = shelf / path.name  # under its own name, which notes of the run mention
    if not kept.exists():
        shelf.mkdir(parents=True, exist_ok=True)
        with FileLock(shelf / ".lock"):
            if not kept.exists():
                unpack(_fetched(thing["parcel"]), kept)
    return str(kept)


def _named(folder: Path, name: str) -> None:
    """Let a run that was trained in another folder be the one of its own."""
    file = folder / RUN_JSON
    record = {**json.loads(file.read_text(encoding="utf-8")), "id": name}
    file.write_text(json.dumps(record, ensure_ascii=False, indent=1), encoding="utf-8")


def _fetched(parcel: Any) -> bytes:
    import ray

    found: bytes = ray.get(parcel)
    return found


def home_here(token: Path) -> dict[str, Any]:
    """By what processes on the machine that asks know that they are on it, and where they find things there."""
    token.write_text(secret := os.urandom(16).hex(), encoding="ascii")
    place = {"host": socket.gethostname(), "token": str(token), "secret": secret}
    return {**place, "path": list(sys.path), "folder": str(Path.cwd())}


def is_home(home: Mapping[str, Any]) -> bool:
    """Whether this is the machine that asked: it sees the same file."""
    try:
        return bool(Path(home["token"]).read_text(encoding="ascii") == home["secret"])
    except OSError:
        return False


def at_home(home: Mapping[str, Any]) -> None:
    """Find modules and files where whoever asked finds them."""
    sys.path.extend(path for path in home["path"] if path not in sys.path)
    os.chdir(home["folder"])


def scratch(asked: str) -> Path:
    """A folder for one person on a node's own disk."""
    user = os.getuid() if hasattr(os, "getuid") else "user"
    place = Path(asked).expanduser() if asked else Path(tempfile.gettempdir()) / f"peft_lab-{user}"
    place.mkdir(parents=True, exist_ok=True, mode=0o700)
    return place


def stop_mark(place: Path, session: str) -> Path:
    """The file by which processes of a node know that they should stop."""
    return place / "stops" / session


def halt(asked: str, session: str) -> None:
    """Ask the cells of a session on this node to stop, and let none begin."""
    mark = stop_mark(scratch(asked), session)
    mark.parent.mkdir(exist_ok=True)
    mark.touch()
