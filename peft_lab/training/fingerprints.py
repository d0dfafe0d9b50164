"""What decides a run's numbers besides its recipe, as hashes, and which of it is different now."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from pluggy_specs import Method

PACKAGE = Path(__file__).parents[1]
DECIDING = ("training", "tasks", "sources")
"""Folders of this package whose code decides numbers."""


def code_fingerprint(methods: Sequence[type[Method]]) -> str:
    """SHA-256 of the code that trains: this package's, and that of the methods."""
    digest = hashlib.sha256(_own_code().encode())
    for method in methods:
        digest.update(_source(method).encode())
    return digest.hexdigest()


@cache
def _own_code() -> str:
    """Hash of the files as they are when first asked for, which is what was imported."""
    digest = hashlib.sha256()
    for folder in DECIDING:
        for file in sorted((PACKAGE / folder).glob("*.py")):
            digest.update(file.read_bytes())
    return digest.hexdigest()


def _source(method: type[Method]) -> str:
    """The text of a method's module, or of its class where it was written in a cell."""
    module = inspect.getmodule(method)
    try:
        whole = module is not None and module.__name__ != "__main__"
        return inspect.getsource(module if whole and module is not None else method)
    except (OSError, TypeError):  # written in a cell, whose text only functions know, or made by a function
        return "\n".join([f"{method.__module__}.{method.__qualname__}", *_functions(method)])


def _functions(method: type[Method]) -> Iterator[str]:
    """The text of the functions of a class."""
    for name, member in vars(method).items():
        if inspect.isfunction(member):
            try:
                yield inspect.getsource(member)
            except (OSError, TypeError):
                yield name


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What is not as it was, in words: ``data``, ``model``, ``code``, or a package with both versions.

    Args:
        before: ``fingerprints`` and ``versions`` of a run's record.
        now: the same of this moment; what it does not name is not compared.
    """
    found = [
        name
        for name, value in now.get("fingerprints", {}).items()
        if (old := before.get("fingerprints", {}).get(name)) is not None and old != value
    ]
    for name, version in now.get("versions", {}).items():
        old = before.get("versions", {}).get(name)
        if old is not None and old != version:
            found.append(f"{name} ({old} then, {version} now)")
    return found
