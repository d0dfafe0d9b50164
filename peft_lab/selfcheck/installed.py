"""Packages, in versions that will do."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version

from peft_lab.selfcheck.findings import FAILED, OK, WARNING, Finding

SHOWN = ("torch", "transformers", "peft", "accelerate", "datasets")
FRONT_ENDS = ("jupyterlab", "notebook")


def packages() -> Iterator[Finding]:
    """Python, and every package that is needed in a version that will do."""
    from packaging.requirements import Requirement

    try:
        own, needed = version("peft-lab"), [Requirement(text) for text in requires("peft-lab") or ()]
    except PackageNotFoundError:
        own, needed = "", []
        yield Finding("packages", WARNING, "peft-lab runs from a plain folder", "Install it: pip install -e .")
    wrong = False
    for wanted in needed:
        if wanted.marker is not None and not wanted.marker.evaluate({"extra": ""}):
            continue
        here = _version(wanted.name)
        if not here or not wanted.specifier.contains(here, prereleases=True):
            wrong = True
            yield Finding("packages", FAILED, f"{wanted.name} {here or 'is missing'}", f'pip install "{wanted}"')
    if not wrong:
        shown = (f"{name} {here}" for name in SHOWN if (here := _version(name)))
        python = ".".join(map(str, sys.version_info[:3]))
        yield Finding("packages", OK, ", ".join([f"peft-lab {own}".strip(), f"Python {python}", *shown]))


def notebook() -> Iterator[Finding]:
    """What a notebook needs; the command line and programs go without."""
    there = {name: _version(name) for name in ("ipython", "ipykernel", "ipywidgets", *FRONT_ENDS)}
    found = ", ".join(f"{name} {here}" for name, here in there.items() if here)
    missing = [name for name in ("ipykernel", "ipywidgets") if not there[name]]
    if not any(there[name] for name in FRONT_ENDS):
        missing.append("jupyterlab")
    if missing:
        lacks = f"{found or 'nothing'}; {', '.join(missing)} not in this environment"
        yield Finding("notebook", WARNING, lacks, f"For notebooks: pip install {' '.join(missing)}")
    else:
        yield Finding("notebook", OK, found)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
