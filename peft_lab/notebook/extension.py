"""Puts the magic and the name ``lab`` into a notebook, and takes them out again without leaving anything."""

from __future__ import annotations

from typing import Any

from peft_lab.notebook.completion import matcher_for
from peft_lab.notebook.magics import MISPLACED, NAME, PeftMagics
from peft_lab.offline import back_online

RUN = ("peft_lab.run", "Run")


def load(ip: Any) -> None:
    """Register the magic; give the notebook a ``lab`` where that name is free."""
    magics = PeftMagics(ip)
    ip.register_magics(magics)
    # A comment above %%peft makes IPython look for a line magic of that name: it says what to do about it.
    ip.magics_manager.magics["line"][MISPLACED] = magics.misplaced
    ip.display_formatter.ipython_display_formatter.for_type_by_name(*RUN, magics.show_once)
    ip.input_transformers_cleanup.insert(0, without_body)
    magics.matcher = matcher_for(magics)
    ip.Completer.custom_matchers.append(magics.matcher)
    if "lab" not in ip.user_ns:
        magics.placeholder = LazyLab(magics)
        ip.push({"lab": magics.placeholder})


def unload(ip: Any) -> None:
    """Undo :func:`load`; a run in progress is asked to stop."""
    manager = ip.magics_manager
    magics = manager.registry.pop(PeftMagics.__name__, None)
    if magics is None:
        return
    magics.stop()
    magics.skin.forget()
    back_online()
    for kind, name in (("line", NAME), ("cell", NAME), ("line", MISPLACED)):
        if getattr(manager.magics[kind].get(name), "__self__", None) is magics:
            del manager.magics[kind][name]
    ip.display_formatter.ipython_display_formatter.pop(".".join(RUN), None)
    ip.input_transformers_cleanup[:] = [t for t in ip.input_transformers_cleanup if t is not without_body]
    ip.Completer.custom_matchers[:] = [m for m in ip.Completer.custom_matchers if m is not magics.matcher]
    ip.configurables[:] = [c for c in ip.configurables if c is not magics]
    mine = ip.user_ns.get("lab")
    if mine is not None and (mine is magics.placeholder or mine is magics.made):
        ip.drop_by_id({"lab": mine})


def without_body(lines: list[str]) -> list[str]:
    """A ``%%peft`` without a body as the line ``%peft``, where IPython would refuse it."""
    text = "".join(lines).strip()
    alone = text.startswith(f"%%{NAME}") and "\n" not in text and not text[len(NAME) + 2 :][:1].strip()
    return [f"{text[1:]}\n"] if alone else lines


class LazyLab:
    """Stands for the lab under the name ``lab`` until something is asked of it: making one takes half a second."""

    def __init__(self, magics: PeftMagics) -> None:
        object.__setattr__(self, "_magics", magics)

    def __getattr__(self, name: str) -> Any:
        if name.startswith(("_repr_", "_ipython_")):  # a display asks for dozens of these, and a lab has none
            raise AttributeError(name)
        return getattr(object.__getattribute__(self, "_magics").lab, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(object.__getattribute__(self, "_magics").lab, name, value)

    def __dir__(self) -> list[str]:
        return dir(object.__getattribute__(self, "_magics").lab)

    def __repr__(self) -> str:
        return repr(object.__getattribute__(self, "_magics").lab)

    @property  # type: ignore[misc]
    def __class__(self) -> Any:  # isinstance(lab, Lab) holds
        return type(object.__getattribute__(self, "_magics").lab)
