"""Lets go of what a session keeps by itself: the last error with its frames, and outputs that hold tensors.

What a person gave a name is never touched. IPython is known by what it puts into the notebook's names, not imported.
"""

from __future__ import annotations

import builtins
import inspect
import re
import sys
from collections.abc import Collection, MutableMapping
from types import TracebackType
from typing import Any

from peft_lab.memory.weighing import weigh

LAST = ("last_exc", "last_value", "last_traceback", "last_type")
UNDERSCORES = ("_", "__", "___")


def errors(shell: Any) -> int:
    """Clear the frames of the last error that Python and IPython keep, and forget it; return how many errors."""
    roots = [getattr(sys, name, None) for name in LAST]
    result = getattr(shell, "last_execution_result", None)
    roots += [getattr(result, "error_in_exec", None), getattr(result, "error_before_exec", None)]
    viewers = [getattr(shell, name, None) for name in ("InteractiveTB", "SyntaxTB")]
    roots += [getattr(viewer, "tb", None) for viewer in viewers]
    seen: list[BaseException] = []
    for root in roots:
        if isinstance(root, TracebackType):
            _clear_frames(root)
        elif isinstance(root, BaseException):
            _clear(root, seen)
    for name in LAST:
        if hasattr(sys, name):
            delattr(sys, name)
    for viewer in viewers:
        if viewer is not None and getattr(viewer, "tb", None) is not None:
            viewer.tb = None
    return len(seen)


def _clear_frames(found: TracebackType | None) -> None:
    while found is not None:
        frame, found = found.tb_frame, found.tb_next
        try:
            frame.clear()
        except RuntimeError:  # it is still at work
            continue
        if frame.f_code.co_flags & inspect.CO_OPTIMIZED:
            # Who showed the traceback made a copy of the names, which up to Python 3.12 stays until it is made anew.
            _ = frame.f_locals


def _clear(error: BaseException | None, seen: list[BaseException]) -> None:
    """Clear the frames of an error and of all it came from."""
    while error is not None and not any(error is other for other in seen):
        seen.append(error)
        _clear_frames(error.__traceback__)
        for inner in getattr(error, "exceptions", ()):
            _clear(inner, seen)
        if error.__cause__ is not None and error.__context__ is not error.__cause__:
            _clear(error.__context__, seen)
        error = error.__cause__ or error.__context__


def outputs(namespace: MutableMapping[str, Any], shell: Any, behind: Collection[int]) -> list[str]:
    """Drop outputs that hold a model or large tensors; return what they were called: ``Out[3]``."""
    kept: Any = namespace.get("_oh")
    # IPython notes down which names are its own, with their values: they are held there as well.
    hidden: dict[str, Any] = getattr(shell, "user_ns_hidden", {})
    dropped: list[str] = []
    for number, value in list(kept.items()) if isinstance(kept, dict) else ():
        if weigh(value, behind).is_of_training:
            dropped.append(f"Out[{number}]")
            for names in (hidden, namespace):
                if names.get(f"_{number}") is value:
                    del names[f"_{number}"]
            del kept[number]
    hook = getattr(shell, "displayhook", None)
    for name in UNDERSCORES:
        value = getattr(hook, name, None)
        if weigh(value, behind).is_of_training:
            setattr(hook, name, "")
            for names in (hidden, namespace):
                if names.get(name) is value:  # else a person has given it another one
                    names[name] = ""
    if weigh(vars(builtins).get("_"), behind).is_of_training:  # what plain Python calls its last result
        dropped.append("_")
        del vars(builtins)["_"]
    result = getattr(shell, "last_execution_result", None)
    if result is not None and weigh(getattr(result, "result", None), behind).is_of_training:
        result.result = None
    return dropped


def is_of_ipython(name: str, namespace: MutableMapping[str, Any], shell: Any) -> bool:
    """Whether IPython made a name: ``In``, ``_oh``, ``_i3``, ``_3``, ..."""
    if name in UNDERSCORES or re.fullmatch(r"_i{1,3}|_i?\d+|_[ido]h|__\w+__|In|Out|exit|quit|get_ipython|open", name):
        return True
    hidden = getattr(shell, "user_ns_hidden", {})
    return name in hidden and hidden[name] is namespace[name]
