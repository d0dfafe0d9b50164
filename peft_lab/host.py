"""The plugin host: who offers what, and what went wrong. A broken plugin costs only itself.

pluggy keeps the hooks; the calls are made here, one plugin at a time, because a hook call of pluggy ends at the first
plugin that raises and loses what the others gave. What can go wrong, and what then happens:

==============================  ========================================================================
a plugin cannot be imported     it offers nothing
a hook has the wrong arguments  it offers nothing, since pluggy checks a plugin as a whole
a hook is misspelt              that function is never called; its other hooks work
a hook raises                   what it had yielded is kept; its other hooks work
one item cannot be used         the other items are offered
a name is taken                 the first offer stays, built-ins first
an observer raises              training goes on; it is called again the next time
an observer is slow             training goes on, and how long it was held up is told
what it offers raises later     one line that names it, and only what asked for it fails
==============================  ========================================================================

Each of these is a :class:`Problem`, and the first of each plugin is one line of warning.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, Literal

import pluggy

from peft_lab.asking import asking
from peft_lab.errors import PeftLabError, UnknownName
from peft_lab.loading import (
    INFORMING,
    KINDS,
    OWN,
    Candidate,
    NotUsable,
    built_in,
    checked_name,
    details_of,
    hooks_of,
    installed,
    items_of,
    kind_of,
    origin_of,
    reason_of,
)
from pluggy_specs import PROJECT, hooks

BUILTIN_PLUGINS = (
    *("peft_lab.methods", "peft_lab.views", "peft_lab.tasks", "peft_lab.sources", "peft_lab.study"),
    *("peft_lab.trackers.mlflow", "peft_lab.trackers.trackio"),
)
NOTEBOOK = "notebook"
SLOW = 1.0
"""Seconds after which an observer that training waits for is a problem."""


@dataclass(frozen=True)
class Offer:
    """One thing that can be asked for by name, and who offers it: ``peft_lab``, a distribution, or ``notebook``."""

    kind: str
    name: str
    item: Any
    plugin: str

    @property
    def summary(self) -> str:
        """What it is, in one line."""
        return " ".join(str(getattr(self.item, "summary", "")).split())


@dataclass(frozen=True)
class Problem:
    """A recorded plugin failure; ``plugin`` is the name in :meth:`Host.plugins`, ``where`` is ``loading`` or a hook."""

    plugin: str
    where: str
    reason: str
    details: str


@dataclass(frozen=True)
class PluginInfo:
    """A plugin in a list. A ``broken`` one has at least one problem; what ``offers`` shows still works."""

    name: str
    distribution: str
    version: str
    offers: Mapping[str, tuple[str, ...]]
    seconds: float
    status: Literal["ok", "broken", "blocked"]
    hooks: tuple[str, ...]


@dataclass
class _Plugin:
    about: Candidate
    module: Any = None
    hooks: dict[str, list[pluggy.HookImpl]] = field(default_factory=dict)
    offers: dict[str, list[str]] = field(default_factory=dict)
    seconds: float = 0.0


def _to_stderr(line: str) -> None:
    # warnings.warn would print a path and a source line as well, and hide the same plugin the second time.
    sys.stderr.write(f"{line}\n")


class Host:
    """Finds plugins on first need and keeps what they offer. Two hosts know nothing of each other."""

    def __init__(
        self,
        builtins: Sequence[str] = BUILTIN_PLUGINS,
        *,
        entry_points: bool = True,
        warn: Callable[[str], None] = _to_stderr,
    ) -> None:
        self._builtins = tuple(builtins)
        self._entry_points = entry_points
        self._warn = warn
        self._lock = threading.RLock()  # a run in a thread may be the first to need the plugins
        self._problems: list[Problem] = []
        self._warned: set[str] = set()
        self._start_over()

    def offers(self, kind: str) -> Mapping[str, Offer]:
        """Everything of a kind by name: built-ins first, then other distributions, then what was added."""
        return dict(self._known(kind))

    def find(self, kind: str, name: str) -> Any:
        """The class or source of a name.

        Raises:
            UnknownName: nothing offers it; says which name is nearest.
        """
        known = self._known(kind)
        if name not in known:
            raise UnknownName(kind[:-1], name, known)
        return known[name].item

    def add(self, item: Any) -> Offer:
        """Offer something written in a notebook cell. Running the cell again replaces it.

        Raises:
            NotUsable: it cannot be used, or a plugin offers that name already.
        """
        kind = kind_of(item)
        name = checked_name(kind, item)
        assert kind is not None  # an item of no kind has no usable name
        known = self._known(kind)
        with self._lock:
            earlier = known.get(name)
            if earlier and earlier.plugin != NOTEBOOK:
                raise NotUsable(f"a {kind[:-1]} {name!r} is already offered by {earlier.plugin}", "Choose another name")
            known[name] = Offer(kind, name, item, NOTEBOOK)
            return known[name]

    def inform(self, hook: str, **facts: Any) -> None:
        """Tell every observer, each with its own copy: an observer can neither stop nor change a run."""
        self._load()
        for plugin, impl in self._observers[hook]:
            own = {name: deepcopy(facts[name]) for name in (*impl.argnames, *impl.kwargnames) if name in facts}
            began = time.perf_counter()
            with self._guarded(plugin.about.name, hook):
                impl.function(**own)
            if (took := time.perf_counter() - began) > SLOW:
                self._held_up(plugin.about.name, hook, took)

    @contextmanager
    def asking(self, kind: str, name: str, hook: str) -> Iterator[None]:
        """Around a call of a plugin's code: what it raises is one line, and is kept among the problems.

        Raises:
            PluginFailed: it raised something that is no :class:`PeftLabError`.
        """
        with self.blaming(), asking(kind, name, hook):
            yield

    @contextmanager
    def blaming(self) -> Iterator[None]:
        """Keep what a hook raises inside among the problems of its plugin, and let it go on its way."""
        try:
            yield
        except PeftLabError as error:
            kind, name, hook = (getattr(error, part, "") for part in ("kind", "name", "hook"))
            if hook and (offer := self._known(kind).get(name)):
                cause = error.__cause__ or error
                reason = reason_of(cause) if error.__cause__ else error.message
                same = (offer.plugin, f"{hook} of {name}", reason)
                if not any((p.plugin, p.where, p.reason) == same for p in self._problems):
                    self._problems.append(Problem(*same, details_of(cause)))
            raise

    def plugins(self) -> list[PluginInfo]:
        """Every plugin that was found, also those that are broken or blocked."""
        self._ask_everything()
        broken = {problem.plugin for problem in self._problems}
        found = [_info(plugin, broken) for plugin in self._plugins]
        cells = {k: tuple(o.name for o in self._offers[k].values() if o.plugin == NOTEBOOK) for k in KINDS}
        added = {kind: names for kind, names in cells.items() if names}
        return [*found, PluginInfo(NOTEBOOK, "", "", added, 0.0, "ok", ())] if added else found

    @property
    def problems(self) -> list[Problem]:
        """Everything that went wrong with plugins, oldest first. Asks all of them: none unasked means none hidden."""
        self._ask_everything()
        return list(self._problems)

    def report(self, where: str, error: Exception) -> None:
        """Record a fault of peft_lab itself that is not shown where it came up, such as while a word is completed."""
        problem = Problem(OWN, where, reason_of(error), details_of(error))
        if problem not in self._problems:
            self._problems.append(problem)

    # --- loading ---------------------------------------------------------------------------------------------------

    def _start_over(self) -> None:
        self._manager = pluggy.PluginManager(PROJECT)
        self._manager.add_hookspecs(hooks)
        self._plugins: list[_Plugin] = []
        self._offers: dict[str, dict[str, Offer]] = {}
        self._observers: dict[str, list[tuple[_Plugin, pluggy.HookImpl]]] = {hook: [] for hook in INFORMING}
        self._loaded = False

    def _load(self) -> None:
        with self._lock:
            if self._loaded:
                return
            self._loaded = True  # before the work: whoever asks meanwhile, in `warn` say, gets what there is so far
            try:
                found = built_in(self._builtins)
                if self._entry_points:
                    with self._guarded("installed packages", "loading"):
                        found += installed()
                for candidate in found:
                    self._register(candidate)
                self._offers.clear()  # filled meanwhile, when not every plugin was there
            except BaseException:  # interrupted: the next call shall not make do with half of the plugins
                self._start_over()
                raise

    def _register(self, about: Candidate) -> None:
        plugin = _Plugin(about)
        self._plugins.append(plugin)
        if about.blocked:
            return
        started = time.perf_counter()
        with self._guarded(about.name, "loading"):
            module = about.load()
            if any(module is other.module for other in self._plugins[:-1] if other.module is not None):
                self._plugins.pop()  # two entry points name one module: it is one plugin
                return
            plugin.module = module
            try:
                self._manager.register(module, about.name)
            except BaseException:  # pluggy up to 1.6 keeps a plugin that it has just refused
                self._manager.unregister(name=about.name)
                raise
            plugin.hooks, faults = hooks_of(self._manager, module)
            for where, reason in faults:
                self._record(about.name, where, reason)
            for hook in INFORMING:
                self._observers[hook] += [(plugin, impl) for impl in plugin.hooks.get(hook, ())]
        plugin.seconds = time.perf_counter() - started

    # --- asking ----------------------------------------------------------------------------------------------------

    def _known(self, kind: str) -> dict[str, Offer]:
        if kind not in KINDS:
            raise UnknownName("kind", kind, KINDS)
        self._load()
        with self._lock:
            if kind not in self._offers:
                self._offers[kind] = {}
                try:
                    for plugin in self._plugins:
                        self._ask(plugin, kind)
                except BaseException:  # interrupted, as in _load
                    del self._offers[kind]
                    raise
            return self._offers[kind]

    def _ask(self, plugin: _Plugin, kind: str) -> None:
        # In the order of registration. pluggy would call the last plugin first, and a stranger would win a name.
        hook, name = f"register_{kind}", plugin.about.name
        started = time.perf_counter()
        plugin.offers[kind] = []
        for impl in plugin.hooks.get(hook, ()):
            with self._guarded(name, hook):
                for item in items_of(impl.function(), hook):
                    with self._guarded(name, hook):
                        self._admit(kind, item, plugin)
        plugin.seconds += time.perf_counter() - started

    def _admit(self, kind: str, item: Any, plugin: _Plugin) -> None:
        name, provider, known = checked_name(kind, item), plugin.about.provider, self._offers[kind]
        earlier = known.get(name)
        if earlier is None:
            known[name] = Offer(kind, name, item, provider)
            plugin.offers[kind].append(name)
        elif earlier.item is not item:  # the very same class from two modules is no contradiction
            said = f"the {kind[:-1]} {name!r} is already offered by {earlier.plugin}"
            raise NotUsable(
                said, f"The one from {provider} is left out", f"{origin_of(earlier.item)}\n{origin_of(item)}"
            )

    def _ask_everything(self) -> None:
        for kind in KINDS:
            self._known(kind)

    # --- faults ----------------------------------------------------------------------------------------------------

    @contextmanager
    def _guarded(self, plugin: str, where: str) -> Iterator[None]:
        try:
            yield
        except (Exception, SystemExit) as error:  # a plugin that calls sys.exit must not end the kernel
            # An observer that fails at every step says the same thing every time.
            if where not in INFORMING or not any((p.plugin, p.where) == (plugin, where) for p in self._problems):
                self._record(plugin, where, reason_of(error), details_of(error))

    def _held_up(self, plugin: str, hook: str, seconds: float) -> None:
        if not any((p.plugin, p.where) == (plugin, hook) for p in self._problems):
            self._record(plugin, hook, f"it took {seconds:.1f} s, and training waits for it")

    def _record(self, plugin: str, where: str, reason: str, details: str = "") -> None:
        problem = Problem(plugin, where, reason, details)
        if problem in self._problems:  # asked again after an interrupt
            return
        self._problems.append(problem)
        if plugin not in self._warned:
            self._warned.add(plugin)
            self._warn(f"peft_lab: plugin {plugin}: {reason}; see %peft problems")


def _info(plugin: _Plugin, broken: set[str]) -> PluginInfo:
    about = plugin.about
    offers = {kind: tuple(names) for kind, names in plugin.offers.items() if names}
    status: Literal["ok", "broken", "blocked"] = (
        "blocked" if about.blocked else "broken" if about.name in broken else "ok"
    )
    hooks = tuple(plugin.hooks)
    return PluginInfo(about.name, about.distribution, about.version, offers, plugin.seconds, status, hooks)
