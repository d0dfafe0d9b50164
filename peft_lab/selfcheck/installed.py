"""Packages, in versions that will do."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version

from peft_lab.selfcheck.findings import FAILED, OK, WARNING, Finding
from peft_lab.texts import checks as texts

SHOWN = ("torch", "transformers", "peft", "accelerate", "datasets")
FRONT_ENDS = ("jupyterlab", "notebook")


def packages() -> Iterator[Finding]:
    """Python, and every package that is needed in a version that will do."""
    from packaging.requirements import Requirement

    try:
        own, needed = version("peft-lab"), [Requirement(text) for text in requires("peft-lab") or ()]
    except PackageNotFoundError:
        own, needed = "", []
        yield Finding(texts.PACKAGES, WARNING, texts.PLAIN_FOLDER, texts.INSTALL_FOLDER)
    wrong = False
    for wanted in needed:
        if wanted.marker is not None and not wanted.marker.evaluate({"extra": ""}):
            continue
        here = _version(wanted.name)
        if not here or not wanted.specifier.contains(here, prereleases=True):
            wrong = True
            found = (texts.PACKAGE_HAS if here else texts.PACKAGE_MISSING).format(name=wanted.name, version=here)
            yield Finding(texts.PACKAGES, FAILED, found, texts.INSTALL.format(wanted=wanted))
    if not wrong:
        shown = (f"{name} {here}" for name in SHOWN if (here := _version(name)))
        python = ".".join(map(str, sys.version_info[:3]))
        yield Finding(texts.PACKAGES, OK, ", ".join([f"peft-lab {own}".strip(), f"Python {python}", *shown]))


def notebook() -> Iterator[Finding]:
    """What a notebook needs; the command line and programs go without."""
    there = {name: _version(name) for name in ("ipython", "ipykernel", "ipywidgets", *FRONT_ENDS)}
    found = ", ".join(f"{name} {here}" for name, here in there.items() if here)
    missing = [name for name in ("ipykernel", "ipywidgets") if not there[name]]
    if not any(there[name] for name in FRONT_ENDS):
        missing.append("jupyterlab")
    if missing:
        lacks = (texts.NOT_HERE if found else texts.NOTHING_AND).format(found=found, missing=", ".join(missing))
        yield Finding(texts.NOTEBOOK, WARNING, lacks, texts.FOR_NOTEBOOKS.format(names=" ".join(missing)))
    else:
        yield Finding(texts.NOTEBOOK, OK, found)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
