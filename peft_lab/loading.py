"""Which plugins there are, and whether what they bring can be used. Nothing here remembers anything; the host does."""

from __future__ import annotations

import inspect
import os
import re
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pluggy
from pydantic import BaseModel

from peft_lab.errors import PeftLabError, nearest
from pluggy_specs import PROJECT, DatasetSource, Executor, Method, ModelSource, Task, View

if TYPE_CHECKING:
    from importlib.metadata import Distribution

BASES: Mapping[str, type] = {
    "methods": Method,
    "views": View,
    "tasks": Task,
    "models": ModelSource,
    "datasets": DatasetSource,
    "executors": Executor,
}
KINDS = tuple(BASES)
SOURCES = ("models", "datasets")
"""Kinds offered as filled-in records; the others are offered as classes."""

INFORMING = ("run_started", "metrics_logged", "run_finished")
HOOKS = (*(f"register_{kind}" for kind in KINDS), *INFORMING)
BLOCK = "PEFT_LAB_BLOCK"
OWN = "peft_lab"

QUESTIONS = ("attach", "prepare", "adapt_tokenizer", "masks", "settle", "rates", "pull", "weigh_tokens", "penalty")
"""A method that answers none of these would train nothing and look as if it had."""
NEEDED = {"views": ("draw",), "executors": ("run_cells", "train_each")}
"""Of these, each class must write one."""
NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*(:[a-z0-9]+([-_][a-z0-9]+)*)?")
"""After a colon another library's own name may follow, underscores and all: ``peft:prefix_tuning``."""


class NotUsable(PeftLabError):
    """Something offered that cannot be used. ``origin`` says where it was written."""

    def __init__(self, message: str, hint: str = "", origin: str = "") -> None:
        super().__init__(message, hint)
        self.origin = origin


@dataclass(frozen=True)
class Candidate:
    """A plugin that was found but not imported yet."""

    name: str
    provider: str
    distribution: str
    version: str
    load: Callable[[], Any]
    blocked: bool = False


def built_in(modules: Sequence[str]) -> list[Candidate]:
    """The plugins that come with peft_lab, by module path."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        own = version("peft-lab")
    except PackageNotFoundError:  # run from a plain checkout
        own = ""
    return [Candidate(path, OWN, "peft-lab", own, partial(import_module, path)) for path in modules]


def installed() -> list[Candidate]:
    """The plugins of other distributions, sorted so that who comes first does not hang on the order of a folder."""
    from importlib.metadata import distributions

    blocked = {normal(name) for name in os.environ.get(BLOCK, "").split(",")}
    found: dict[str, list[Candidate]] = {}
    for dist in distributions():
        # Parsing every entry_points.txt, or asking every distribution for its name, is most of the time of a scan.
        damage: Exception | None = None
        try:
            if PROJECT not in (dist.read_text("entry_points.txt") or ""):
                continue
            points = sorted(dist.entry_points.select(group=PROJECT), key=lambda point: point.name)
        except Exception as error:  # a damaged file costs its own distribution, not the scan
            points, damage = [], error
        name, version = _name_and_version(dist)
        loaders = [(f"{name}:{point.name}" if len(points) > 1 else name, point.load) for point in points]
        if damage is not None:
            loaders = [(name, partial(_fail, damage))]
        made = [Candidate(shown, name, name, version, load, normal(name) in blocked) for shown, load in loaders]
        if made:
            found.setdefault(normal(name), made)  # of two copies on sys.path, import takes the first as well
    return [candidate for key in sorted(found) for candidate in found[key]]


def _name_and_version(dist: Distribution) -> tuple[str, str]:
    try:
        return str(dist.metadata["Name"] or "unnamed distribution"), str(dist.version or "")
    except Exception:  # what a half removed package raises differs between Python versions
        return "unnamed distribution", ""


def _fail(error: Exception) -> Any:
    raise error


def normal(name: str) -> str:
    """A distribution name in the one spelling by which installers compare names."""
    return re.sub(r"[-_.]+", "-", name.strip()).lower()


def hooks_of(
    manager: pluggy.PluginManager, module: Any
) -> tuple[dict[str, list[pluggy.HookImpl]], list[tuple[str, str]]]:
    """The hooks of a registered plugin that can be called, and (where, reason) for each that cannot."""
    usable: dict[str, list[pluggy.HookImpl]] = {}
    faults: list[tuple[str, str]] = []
    seen = set()
    for caller in manager.get_hookcallers(module) or ():
        for impl in caller.get_hookimpls():
            if impl.plugin is not module:
                continue
            seen.add(caller.name)
            if caller.has_spec():
                if wrong := _misuse(caller.name, impl):
                    faults.append((caller.name, wrong))
                else:
                    usable.setdefault(caller.name, []).append(impl)
            elif not impl.optionalhook:
                # pluggy takes any name for a hook; a function that is never called must not go unnoticed.
                hint = nearest(caller.name, HOOKS)
                faults.append(("loading", f"{caller.name!r} is not a hook ({hint[0].lower()}{hint[1:]})"))
    for hook in HOOKS:
        if hook not in seen and inspect.isfunction(inspect.getattr_static(module, hook, None)):
            faults.append((hook, f"{hook} is not marked. Write @pluggy_specs.hookimpl above it"))
    if not seen and not faults:
        faults.append(("loading", "it implements no hook. Its entry point must name a module with hooks"))
    return usable, faults


def _misuse(hook: str, impl: pluggy.HookImpl) -> str:
    """Why a hook function could not work although pluggy takes it; empty when it can."""
    if impl.wrapper or impl.hookwrapper:
        return f"{hook} is a wrapper. Write a plain function: peft_lab calls each plugin by itself"
    if inspect.iscoroutinefunction(impl.function) or inspect.isasyncgenfunction(impl.function):
        return f"{hook} is async. Write a plain function"
    if hook in INFORMING and inspect.isgeneratorfunction(impl.function):
        return f"{hook} contains yield, so that its body would never run. Write a plain function"
    return ""


def items_of(answer: Any, hook: str) -> Iterator[Any]:
    """Go through what a hook returned, if it is something to go through."""
    if answer is None:
        raise NotUsable(f"{hook} returned nothing", "Return a list, or yield the items")
    if isinstance(answer, str | bytes | Mapping | type) or not isinstance(answer, Iterable):
        raise NotUsable(f"{hook} returned {described(answer)}", "Return a list, or yield the items")
    return iter(answer)


def kind_of(item: Any) -> str | None:
    """The kind an item belongs to, also when a class is given for an instance or the other way round."""
    cls = item if isinstance(item, type) else type(item)
    return next((kind for kind, base in BASES.items() if issubclass(cls, base)), None)


def checked_name(kind: str | None, item: Any) -> str:
    """The name of a usable item.

    Raises:
        NotUsable: it is of the wrong type, badly named, or could do nothing; says what would be right.
    """
    is_class = isinstance(item, type)
    cls = item if is_class else type(item)
    what, origin = cls.__name__, origin_of(item)
    actual = kind_of(item)
    if actual is None:
        wanted = BASES[kind].__name__ if kind else "Method, View, Task, Executor, ModelSource or DatasetSource"
        how = "Give" if kind in SOURCES else "Give a subclass of" if kind else "Give a subclass or source:"
        raise NotUsable(f"{described(item)} cannot be offered", f"{how} pluggy_specs {wanted}", origin)
    if kind and actual != kind:
        raise NotUsable(f"{what} is one of the {actual}", f"Offer it from register_{actual}", origin)
    if actual in SOURCES and is_class:
        raise NotUsable(f"{what} is given as a class", f"Fill it in: {what}(name=..., ...)", origin)
    if actual not in SOURCES and not is_class:
        raise NotUsable(f"{what} is given as an instance", f"Give the class: {what} without brackets", origin)
    name = item.name
    if not isinstance(name, str) or not name:
        raise NotUsable(f"{what} has no name", 'Give it one: name = "lower-case-with-hyphens"', origin)
    if not NAME.fullmatch(name):
        better = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "lower-case-with-hyphens"
        raise NotUsable(f"{what} has the name {name!r}", f"Names are lower case with hyphens: {better!r}", origin)
    if actual not in SOURCES:
        _check_class(actual, item, name, origin)
    return name


def _check_class(kind: str, cls: type, name: str, origin: str) -> None:
    # Static: options that are discovered when first looked at must not be, for the sake of a list of names.
    options = inspect.getattr_static(cls, "Options", BaseModel)
    discovered = not isinstance(options, type) and hasattr(type(options), "__get__")
    if not discovered and not (isinstance(options, type) and issubclass(options, BaseModel)):
        raise NotUsable(
            f"Options of {name!r} is {described(options)}", "Make it a subclass of pluggy_specs.Options", origin
        )
    if kind == "methods" and all(getattr(cls, hook) is getattr(Method, hook) for hook in QUESTIONS):
        raise NotUsable(f"the method {name!r} changes nothing", f"Write one of {', '.join(QUESTIONS)}", origin)
    needed = NEEDED.get(kind, ())
    if needed and all(getattr(cls, hook) is getattr(BASES[kind], hook) for hook in needed):
        raise NotUsable(f"the {kind[:-1]} {name!r} does nothing", f"Write its {' or '.join(needed)}", origin)


def described(thing: Any) -> str:
    """A thing in a few words, without its ``repr``: that is foreign code, and may be long or fail."""
    return f"the class {thing.__name__}" if isinstance(thing, type) else f"a thing of type {type(thing).__name__}"


def origin_of(item: Any) -> str:
    """Where an item, or its class, was written."""
    cls = item if isinstance(item, type) else type(item)
    return f"{cls.__module__}.{cls.__qualname__}"


def reason_of(error: BaseException) -> str:
    """An error in one line."""
    try:
        text = str(error)
    except Exception:  # a plugin may raise errors that cannot even be printed
        text = ""
    line = " ".join(text.split())
    if isinstance(error, NotUsable):
        return line
    if isinstance(error, pluggy.PluginValidationError):  # several lines, of which the last names the fault
        hook = re.search(r"hook '(\w+)'", text)
        return f"{hook[1] if hook else 'a hook'}: {text.strip().rpartition(chr(10))[2].strip()}"
    line = line if len(line) <= 300 else line[:300] + "..."
    return f"{type(error).__name__}: {line}" if line else type(error).__name__


def details_of(error: BaseException) -> str:
    """The traceback, or where the thing was written when the fault is in what it is and not in what it did."""
    if isinstance(error, NotUsable):
        return error.origin
    return "".join(traceback.format_exception(error))
