"""A broken plugin costs only itself. Plugins here are real: files on sys.path, with a dist-info beside them."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
from dataclasses import dataclass, field

import pluggy
import pytest

from peft_lab.errors import PeftLabError, UnknownName
from peft_lab.host import BUILTIN_PLUGINS, KINDS, Host, Offer
from pluggy_specs import DatasetSource, Executor, Method, ModelSource, Options, Task, View
from pluggy_specs import hooks as contract

HEAD = """
from pluggy_specs import *
def method(name, **more):
    return type("Made", (Method,), {"name": name, "summary": "made", "masks": lambda self, model: {}, **more})
"""
GOOD = """
@hookimpl
def register_methods():
    return [method("good")]
"""


class Bench:
    """Writes plugins and distributions, makes hosts, and keeps the lines they warn with."""

    def __init__(self, folder, monkeypatch):
        self.folder, self.lines, self.modules = folder, [], []
        monkeypatch.syspath_prepend(str(folder))

    def module(self, name, code):
        (self.folder / f"{name}.py").write_text(HEAD + textwrap.dedent(code))
        self.modules.append(name)
        return name

    def distribution(self, name, *modules, version="1.2.3", text=None):
        info = self.folder / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        points = "".join(f"{m.partition(':')[0].split('.')[-1]} = {m}\n" for m in modules)
        (info / "entry_points.txt").write_text(text or f"[peft_lab]\n{points}")

    def host(self, *builtins, entry_points=False):
        return Host(builtins, entry_points=entry_points, warn=self.lines.append)

    def one(self, code):
        """A host with one plugin of this code, asked for everything."""
        host = self.host(self.module("plugin_a", code))
        host.plugins()
        return host

    def strangers(self):
        return self.host(entry_points=True)


@pytest.fixture
def bench(tmp_path, monkeypatch):
    made = Bench(tmp_path, monkeypatch)
    yield made
    for name in made.modules:
        sys.modules.pop(name, None)


def info(host, name):
    return next(p for p in host.plugins() if p.name == name)


def reasons(host):
    return [p.reason for p in host.problems]


# --- what works -------------------------------------------------------------------------------------------------------


def test_the_hooks_of_the_contract_are_all_known():
    from peft_lab.loading import HOOKS

    manager = pluggy.PluginManager("peft_lab")
    manager.add_hookspecs(contract)
    assert set(HOOKS) == {name for name in vars(manager.hook) if not name.startswith("_")}


def test_every_kind_is_offered_and_found(bench):
    host = bench.one("""
        class Look(View):
            name, summary = "look", "looks"
            def draw(self, runs): ...
        class Guess(Task):
            name = "guess"
        class Here(Executor):
            name = "here"
            def train_each(self, train, recipes): ...
        @hookimpl
        def register_methods(): return [method("m")]
        @hookimpl
        def register_views(): yield Look
        @hookimpl
        def register_tasks(): return (Guess,)
        @hookimpl
        def register_models(): return [ModelSource("tiny", "a tiny one", lambda: None)]
        @hookimpl
        def register_datasets(): return [DatasetSource("rows", "some\\n rows", dict)]
        @hookimpl
        def register_executors(): return {Here}
        """)
    plugin = info(host, "plugin_a")
    names = {
        "methods": "m",
        "views": "look",
        "tasks": "guess",
        "models": "tiny",
        "datasets": "rows",
        "executors": "here",
    }
    assert plugin.offers == {kind: (name,) for kind, name in names.items()}
    assert plugin.status == "ok" and len(plugin.hooks) == 6 and plugin.seconds > 0
    for kind, name in names.items():
        offer = host.offers(kind)[name]
        assert (offer.kind, offer.name, offer.plugin) == (kind, name, "peft_lab")
        assert host.find(kind, name) is offer.item
    assert host.offers("datasets")["rows"].summary == "some rows"
    assert not bench.lines and not host.problems


def test_an_unknown_name_gets_the_nearest_one(bench):
    host = bench.one(GOOD)
    with pytest.raises(UnknownName, match=r"no method named 'gode'. Did you mean 'good'"):
        host.find("methods", "gode")
    with pytest.raises(UnknownName, match=r"no kind named 'method'. Did you mean 'methods'"):
        host.offers("method")


def test_a_distribution_is_found_with_its_name_and_version(bench):
    bench.distribution("peft-tricks", bench.module("tricks", GOOD), version="0.4")
    host = bench.strangers()
    assert host.offers("methods")["good"].plugin == "peft-tricks"
    plugin = info(host, "peft-tricks")
    assert (plugin.distribution, plugin.version, plugin.status) == ("peft-tricks", "0.4", "ok")
    assert plugin.hooks == ("register_methods",)


def test_entry_points_can_be_left_out(bench):
    bench.distribution("peft-tricks", bench.module("tricks", GOOD))
    assert not bench.host(entry_points=False).plugins()


def test_nothing_is_imported_before_it_is_needed(bench):
    bench.distribution("peft-tricks", bench.module("tricks", GOOD))
    host = bench.strangers()
    assert "tricks" not in sys.modules
    host.offers("views")
    assert "tricks" in sys.modules


def test_one_kind_is_asked_without_the_others(bench):
    host = bench.host(bench.module("plugin_a", "asked = []\n" + "".join(
        f"@hookimpl\ndef register_{kind}():\n    asked.append({kind!r})\n    return []\n" for kind in KINDS
    )))  # fmt: skip
    host.offers("views")
    host.offers("views")
    assert sys.modules["plugin_a"].asked == ["views"]


def test_two_plugins_of_one_distribution(bench):
    second = bench.module("second", GOOD.replace("good", "other"))
    bench.distribution("peft-tricks", bench.module("first", GOOD), second)
    host = bench.strangers()
    assert {o.plugin for o in host.offers("methods").values()} == {"peft-tricks"}
    assert info(host, "peft-tricks:first").offers == {"methods": ("good",)}
    assert info(host, "peft-tricks:second").offers == {"methods": ("other",)}


def test_one_module_named_twice_is_one_plugin(bench):
    module = bench.module("tricks", GOOD)
    bench.distribution("peft-tricks", module)
    bench.distribution("peft-tricks-again", module)
    host = bench.host(module, entry_points=True)
    assert [p.name for p in host.plugins() if "tricks" in p.name] == ["tricks"]
    assert not host.problems and list(host.offers("methods")) == ["good"]


def test_the_same_class_from_two_modules_is_no_clash(bench):
    first = bench.module("first", "made = method('good')\n@hookimpl\ndef register_methods(): yield made")
    second = bench.module("second", "import first\n@hookimpl\ndef register_methods(): yield first.made")
    assert not bench.host(first, second).problems


def test_a_plugin_may_print(bench, capsys):
    host = bench.one("print('hello from a plugin')" + GOOD)
    assert "good" in host.offers("methods") and not host.problems


def test_hosts_know_nothing_of_each_other(bench):
    one, two = bench.one(GOOD), bench.host()
    one.add(Mine)
    assert set(one.offers("methods")) == {"good", "mine"}
    assert not two.offers("methods") and not two.plugins()


def test_offers_cannot_be_changed_from_outside(bench):
    host = bench.one(GOOD)
    host.offers("methods").clear()
    assert host.find("methods", "good")


# --- order and clashes ------------------------------------------------------------------------------------------------


def test_first_name_wins_and_built_ins_come_first(bench):
    own = bench.module("own", GOOD.replace("method(", "method(summary='ours', name="))
    eager = GOOD.replace("@hookimpl", "@hookimpl(trylast=True)")  # pluggy would sort this before all others
    bench.distribution("b-tricks", bench.module("b_tricks", GOOD))
    bench.distribution("a-tricks", bench.module("a_tricks", eager))
    host = bench.host(own, entry_points=True)
    assert host.offers("methods")["good"].plugin == "peft_lab"
    assert host.offers("methods")["good"].summary == "ours"
    clashes = [(p.plugin, p.where, p.reason) for p in host.problems]
    assert [c[:2] for c in clashes] == [("a-tricks", "register_methods"), ("b-tricks", "register_methods")]
    assert "'good' is already offered by peft_lab. The one from a-tricks is left out" in clashes[0][2]
    assert "own.Made\na_tricks.Made" in host.problems[0].details


def test_among_strangers_the_order_is_that_of_their_names(bench):
    bench.distribution("zz-tricks", bench.module("zz", GOOD))
    bench.distribution("aa-tricks", bench.module("aa", GOOD))
    assert bench.strangers().offers("methods")["good"].plugin == "aa-tricks"


def test_a_name_twice_in_one_plugin(bench):
    host = bench.one("@hookimpl\ndef register_methods(): return [method('m', summary='one'), method('m'), method('n')]")
    assert list(host.offers("methods")) == ["m", "n"]
    assert host.offers("methods")["m"].summary == "one"
    assert len(reasons(host)) == 1 and "'m' is already offered" in reasons(host)[0]


# --- faults of loading ------------------------------------------------------------------------------------------------

BROKEN_MODULES = {
    "import": ("import no_such_module_here", "ModuleNotFoundError: No module named 'no_such_module_here'"),
    "syntax": ("def (:", "SyntaxError: invalid syntax"),
    "exit": ("raise SystemExit('bye')", "SystemExit: bye"),
    "error": ("raise RuntimeError('two\\nlines')", "RuntimeError: two lines"),
    "unprintable": ("class E(Exception):\n    def __str__(self): raise ValueError\nraise E", "E"),
    "no hooks": ("x = 1", "it implements no hook"),
    "unmarked": ("def register_methods(): return []", "register_methods is not marked. Write @pluggy_specs.hookimpl"),
}


@pytest.mark.parametrize("fault", BROKEN_MODULES)
def test_a_module_that_does_not_load_costs_only_itself(bench, fault):
    code, reason = BROKEN_MODULES[fault]
    bench.distribution("a-broken", bench.module("a_broken", code))
    bench.distribution("b-good", bench.module("b_good", GOOD))
    host = bench.strangers()
    assert "good" in host.offers("methods")
    assert info(host, "a-broken").status == "broken" and info(host, "b-good").status == "ok"
    [problem] = host.problems
    assert problem.plugin == "a-broken" and problem.reason.startswith(reason)
    assert bench.lines == [f"peft_lab: plugin a-broken: {problem.reason}; see %peft problems"]
    assert "\n" not in bench.lines[0]
    if fault in ("import", "syntax", "exit", "error"):
        assert problem.where == "loading" and "Traceback" in problem.details


def test_an_entry_point_that_names_nothing(bench):
    module = bench.module("tricks", GOOD)
    bench.distribution("a-broken", f"{module}:missing")
    host = bench.strangers()
    assert "has no attribute 'missing'" in reasons(host)[0]


def test_a_damaged_entry_point_file_costs_only_its_distribution(bench):
    bench.distribution("a-broken", text="[peft_lab]\nthis is no entry point\n")
    bench.distribution("b-good", bench.module("b_good", GOOD))
    host = bench.strangers()
    assert "good" in host.offers("methods")
    assert info(host, "a-broken").status == "broken"


def test_a_damaged_file_of_a_stranger_is_none_of_our_business(bench):
    bench.distribution("a-broken", text="[other_tool]\nthis is no entry point\n")
    assert not bench.strangers().problems


def test_missing_built_in_is_an_ordinary_broken_plugin(bench):
    host = bench.host("peft_lab.no_such_room", bench.module("plugin_a", GOOD))
    assert "good" in host.offers("methods")
    assert info(host, "peft_lab.no_such_room").status == "broken"
    assert len(bench.lines) == 1 and bench.lines[0].startswith("peft_lab: plugin peft_lab.no_such_room: ModuleNotFound")


def test_interrupting_is_never_swallowed_and_costs_nothing(bench):
    code = "import builtins\nif not hasattr(builtins, 'interrupted_once'):\n    builtins.interrupted_once = True\n"
    late = bench.module("late", code + "    raise KeyboardInterrupt" + GOOD)
    host = bench.host(bench.module("early", GOOD.replace("good", "early")), late)
    try:
        with pytest.raises(KeyboardInterrupt):
            host.offers("methods")
        assert list(host.offers("methods")) == ["early", "good"]
    finally:
        import builtins

        del builtins.interrupted_once


def test_interrupting_a_hook_is_never_swallowed_and_costs_nothing(bench):
    host = bench.host(bench.module("plugin_a", """
        tries = []
        @hookimpl
        def register_methods():
            yield method("good")
            tries.append(1)
            if len(tries) == 1:
                raise KeyboardInterrupt
            yield method("late")
        """))  # fmt: skip
    with pytest.raises(KeyboardInterrupt):
        host.offers("methods")
    assert list(host.offers("methods")) == ["good", "late"]
    assert info(host, "plugin_a").offers == {"methods": ("good", "late")}


def test_a_refused_plugin_is_not_half_registered(bench):
    host = bench.one(GOOD + "\n@hookimpl\ndef register_a_thing(): ...\n@hookimpl\ndef register_views(lab): return []\n")
    assert not host.offers("methods") and not info(host, "plugin_a").hooks
    [problem] = host.problems
    assert problem.where == "loading" and problem.reason.startswith("register_views: ") and "'lab'" in problem.reason
    manager = host._manager
    assert not manager.get_plugins() and not manager.hook.register_methods.get_hookimpls()


def test_a_misspelt_hook_is_named_and_the_others_work(bench):
    host = bench.one(GOOD + "\n@hookimpl\ndef register_view(): return []\n")
    assert "good" in host.offers("methods")
    assert reasons(host) == ["'register_view' is not a hook (did you mean 'register_views'?)"]
    assert info(host, "plugin_a").status == "broken"


def test_every_misspelt_hook_is_named_but_one_line_is_enough(bench):
    host = bench.one("@hookimpl\ndef register_view(): ...\n@hookimpl\ndef run_start(): ...\n")
    assert len(reasons(host)) == 2 and len(bench.lines) == 1


def test_a_hook_for_a_later_peft_lab_may_be_optional(bench):
    assert not bench.one(GOOD + "\n@hookimpl(optionalhook=True)\ndef register_sounds(): ...\n").problems


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("@hookimpl(wrapper=True)\ndef register_views(): return (yield)", "is a wrapper"),
        ("@hookimpl(hookwrapper=True)\ndef register_views(): yield", "is a wrapper"),
        ("@hookimpl\nasync def register_views(): ...", "is async"),
        ("@hookimpl\nasync def register_views(): yield 1", "is async"),
        ("@hookimpl\ndef run_started(run): yield", "contains yield"),
    ],
)
def test_a_hook_that_could_not_work_is_named_and_the_others_work(bench, code, said):
    host = bench.one(GOOD + "\n" + code)
    assert "good" in host.offers("methods")
    assert len(reasons(host)) == 1 and said in reasons(host)[0]


# --- blocking ---------------------------------------------------------------------------------------------------------


def test_blocked_distributions_are_listed_but_never_imported(bench, monkeypatch):
    bench.distribution("Peft.Tricks", bench.module("tricks", "raise RuntimeError"))
    bench.distribution("b-good", bench.module("b_good", GOOD))
    monkeypatch.setenv("PEFT_LAB_BLOCK", "other, peft_tricks")
    host = bench.strangers()
    assert info(host, "Peft.Tricks").status == "blocked" and info(host, "b-good").status == "ok"
    assert "tricks" not in sys.modules
    assert not host.problems and not bench.lines


# --- faults of offering -----------------------------------------------------------------------------------------------


def test_what_was_yielded_before_a_failure_is_kept(bench):
    first = bench.module("first", """
        @hookimpl
        def register_methods():
            yield method("one")
            raise RuntimeError("then it broke")
        @hookimpl
        def register_tasks():
            return [type("T", (Task,), {"name": "task"})]
        """)  # fmt: skip
    host = bench.host(first, bench.module("second", GOOD))
    assert list(host.offers("methods")) == ["one", "good"] and "task" in host.offers("tasks")
    [problem] = host.problems
    assert (problem.where, problem.reason) == ("register_methods", "RuntimeError: then it broke")
    assert "Traceback" in problem.details and len(bench.lines) == 1


@pytest.mark.parametrize("failure", ["raise ValueError('no')", "raise SystemExit(3)", "raise StopIteration", "1 / 0"])
def test_a_hook_that_raises_costs_only_that_hook(bench, failure):
    host = bench.host(
        bench.module(
            "first", f"@hookimpl\ndef register_methods(): {failure}\n@hookimpl\ndef register_views(): return []"
        ),
        bench.module("second", GOOD),
    )
    assert list(host.offers("methods")) == ["good"]
    assert [p.where for p in host.problems] == ["register_methods"] and len(bench.lines) == 1


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("None", "returned nothing"),
        ("3", "a thing of type int"),
        ("'bitfit'", "a thing of type str"),
        ("{'a': method('a')}", "a thing of type dict"),
        ("method('a')", "the class Made"),
        ("type(method('a'))", "the class type"),
    ],
)
def test_a_hook_that_returns_no_items(bench, answer, said):
    host = bench.one(f"@hookimpl\ndef register_methods(): return {answer}")
    assert not host.offers("methods")
    assert len(reasons(host)) == 1 and said in reasons(host)[0] and "Return a list, or yield" in reasons(host)[0]


BAD_METHODS = {
    "an instance": ("method('m')()", "Made is given as an instance. Give the class: Made without brackets"),
    "no class at all": ("3", "a thing of type int cannot be offered. Give a subclass of pluggy_specs Method"),
    "another class": ("dict", "the class dict cannot be offered"),
    "a view": ("type('V', (View,), {'name': 'v'})", "V is one of the views. Offer it from register_views"),
    "no name": ("method('')", "Made has no name"),
    "a name of another type": ("method(3)", "Made has no name"),
    "capitals": ("method('BitFit')", "Made has the name 'BitFit'. Names are lower case with hyphens: 'bitfit'"),
    "underscore": ("method('bit_fit')", "'bit-fit'"),
    "a plus": ("method('lora+rft')", "'lora-rft'"),
    "a dot": ("method('a.b')", "'a-b'"),
    "a newline": ("method('a\\n')", "'a'"),
    "an empty prefix": ("method(':vera')", "'vera'"),
    "no hook": ("type('M', (Method,), {'name': 'm'})", "the method 'm' changes nothing. Write one of attach, prepare,"),
    "only artifacts": ("type('M', (Method,), {'name': 'm', 'artifacts': lambda *a: ()})", "changes nothing"),
    "options of another type": ("method('m', Options=dict)", "Options of 'm' is the class dict"),
    "options given as instance": ("method('m', Options=Options())", "Options of 'm' is a thing of type Options"),
    "a property that fails": (
        "type('X', (type,), {'name': property(lambda s: 1 / 0)})('M', (Method,), {})",
        "ZeroDivision",
    ),
}


@pytest.mark.parametrize("fault", BAD_METHODS)
def test_an_item_that_cannot_be_used_costs_only_itself(bench, fault):
    item, said = BAD_METHODS[fault]
    host = bench.one(f"@hookimpl\ndef register_methods(): return [method('one'), {item}, method('two')]")
    assert list(host.offers("methods")) == ["one", "two"]
    assert len(reasons(host)) == 1 and said in reasons(host)[0], reasons(host)
    assert len(bench.lines) == 1


@pytest.mark.parametrize(
    ("kind", "item", "said"),
    [
        ("views", "type('V', (View,), {'name': 'v'})", "the view 'v' does nothing. Write its draw"),
        (
            "executors",
            "type('E', (Executor,), {'name': 'e'})",
            "the executor 'e' does nothing. Write its run_cells or train_each",
        ),
        ("models", "ModelSource", "ModelSource is given as a class. Fill it in"),
        ("datasets", "{'name': 'rows'}", "a thing of type dict cannot be offered. Give pluggy_specs DatasetSource"),
        ("datasets", "ModelSource('m', '', dict)", "ModelSource is one of the models"),
    ],
)
def test_other_kinds_are_checked_too(bench, kind, item, said):
    host = bench.one(f"@hookimpl\ndef register_{kind}(): return [{item}]")
    assert not host.offers(kind)
    assert len(reasons(host)) == 1 and said in reasons(host)[0], reasons(host)


@pytest.mark.parametrize("name", ["m", "a-b", "l2-sp", "peft:vera", "peft:ln-tuning", "3d"])
def test_good_names(bench, name):
    host = bench.one(f"@hookimpl\ndef register_methods(): yield method({name!r})")
    assert list(host.offers("methods")) == [name] and not host.problems


@pytest.mark.parametrize("hook", ["attach", "prepare", "adapt_tokenizer", "masks", "weigh_tokens", "penalty"])
def test_each_of_the_six_hooks_makes_a_method(bench, hook):
    made = f"type('M', (Method,), {{'name': 'm', {hook!r}: lambda *a: None}})"
    host = bench.one(f"@hookimpl\ndef register_methods(): yield {made}")
    assert "m" in host.offers("methods") and not host.problems


def test_a_plugin_with_many_faults_is_one_line(bench):
    host = bench.one(
        "@hookimpl\ndef register_methods(): yield from (1, 2.0, '3')\n@hookimpl\ndef register_views(): ..."
    )
    assert len(host.problems) == 4 and len(bench.lines) == 1
    host.plugins()
    assert len(host.problems) == 4 and len(bench.lines) == 1


# --- from a notebook cell ---------------------------------------------------------------------------------------------


class Mine(Method):
    name = "mine"

    def penalty(self, model):
        return None


class Mistaken(Method):
    name = "mistaken"


class MyView(View):
    name = "my-view"

    def draw(self, runs): ...


class MyTask(Task):
    name = "my-task"


class MyExecutor(Executor):
    name = "my-executor"

    def train_each(self, train, recipes): ...


@pytest.mark.parametrize(
    ("kind", "item"),
    [
        ("methods", Mine),
        ("views", MyView),
        ("tasks", MyTask),
        ("executors", MyExecutor),
        ("models", ModelSource("m", "", lambda: None)),
        ("datasets", DatasetSource("d", "", dict)),
    ],
)
def test_a_cell_can_offer_every_kind(bench, kind, item):
    host = bench.host()
    assert host.add(item) == Offer(kind, item.name, item, "notebook")
    assert host.find(kind, item.name) is item
    assert info(host, "notebook").offers == {kind: (item.name,)}


def test_running_a_cell_again_replaces_what_it_offered(bench):
    host = bench.host()
    host.add(Mine)
    again = type("Mine", (Mine,), {})
    host.add(again)
    assert host.find("methods", "mine") is again and len(host.offers("methods")) == 1


def test_a_cell_cannot_take_the_name_of_a_plugin(bench):
    bench.distribution("peft-tricks", bench.module("tricks", GOOD))
    host = bench.strangers()
    with pytest.raises(PeftLabError, match=r"a method 'good' is already offered by peft-tricks. Choose another name"):
        host.add(type("Good", (Mine,), {"name": "good"}))
    assert host.offers("methods")["good"].plugin == "peft-tricks"


@pytest.mark.parametrize(
    ("item", "said"),
    [
        (Mine(), "Mine is given as an instance. Give the class: Mine without brackets"),
        (Mistaken, "the method 'mistaken' changes nothing"),
        (3, "a thing of type int cannot be offered"),
        (Options, "the class Options cannot be offered"),
        (ModelSource, "ModelSource is given as a class"),
    ],
)
def test_a_mistake_in_a_cell_is_an_error_there(bench, item, said):
    host = bench.host()
    with pytest.raises(PeftLabError, match=said):
        host.add(item)
    assert not host.plugins() and not host.problems and not bench.lines


# --- informing --------------------------------------------------------------------------------------------------------

OBSERVER = """
seen = []
@hookimpl
def metrics_logged(run_id, point):
    seen.append((run_id, point["loss"]))
    point["loss"] = "changed"
    point["deep"].append("changed")
"""


def test_observers_get_their_own_copy_and_only_what_they_ask_for(bench):
    names = [bench.module("one", OBSERVER), bench.module("two", OBSERVER)]
    three = bench.module("three", "seen = []\n@hookimpl\ndef metrics_logged(point=None): seen.append(point)")
    host = bench.host(*names, three)
    point = {"loss": 0.5, "deep": []}
    host.inform("metrics_logged", run_id="run-1", point=point)
    assert [sys.modules[name].seen for name in names] == [[("run-1", 0.5)]] * 2
    assert sys.modules[three].seen == [{"loss": 0.5, "deep": []}]
    assert point == {"loss": 0.5, "deep": []}


@pytest.mark.parametrize("failure", ["raise ValueError(len(seen))", "raise SystemExit"])
def test_an_observer_that_raises_is_recorded_once_per_hook(bench, failure):
    bad = f"seen = []\n@hookimpl\ndef metrics_logged(point):\n    seen.append(point)\n    {failure}\n"
    bad += f"@hookimpl\ndef run_finished(run): {failure}\n"
    host = bench.host(bench.module("bad", bad), bench.module("fine", OBSERVER))
    for step in range(5):
        host.inform("metrics_logged", run_id="run-1", point={"loss": step, "deep": []})
    host.inform("run_finished", run={})
    assert [(p.plugin, p.where) for p in host.problems] == [("bad", "metrics_logged"), ("bad", "run_finished")]
    assert len(bench.lines) == 1 and len(sys.modules["fine"].seen) == 5 == len(sys.modules["bad"].seen)


def test_an_observer_does_not_swallow_an_interrupt(bench):
    host = bench.host(bench.module("bad", "@hookimpl\ndef run_started(run): raise KeyboardInterrupt"))
    with pytest.raises(KeyboardInterrupt):
        host.inform("run_started", run={})


def test_an_observer_may_be_told_from_a_thread(bench):
    host = bench.host(bench.module("one", OBSERVER))
    facts = {"run_id": "run-1", "point": {"loss": 1, "deep": []}}
    threads = [threading.Thread(target=host.inform, args=("metrics_logged",), kwargs=facts) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(sys.modules["one"].seen) == 8 and len(host.plugins()) == 1


def test_informing_nobody_copies_nothing(bench):
    @dataclass
    class Uncopied:
        copies: list = field(default_factory=list)

        def __deepcopy__(self, memo):
            raise AssertionError("copied for nobody")

    bench.one(GOOD).inform("metrics_logged", run_id="run-1", point=Uncopied())


# --- cheap ------------------------------------------------------------------------------------------------------------


def test_a_plugin_may_ask_the_host_from_a_warning(bench):
    found = []
    names = [bench.module("broken", "1 / 0"), bench.module("plugin_a", GOOD)]
    host = Host(names, entry_points=False, warn=lambda line: found.append(host.problems[0].reason))
    assert "good" in host.offers("methods") and found == ["ZeroDivisionError: division by zero"]


def test_the_default_warning_is_one_line_on_stderr(bench, capsys):
    Host([bench.module("plugin_a", "1 / 0")], entry_points=False).offers("methods")
    line = "peft_lab: plugin plugin_a: ZeroDivisionError: division by zero; see %peft problems\n"
    assert capsys.readouterr() == ("", line)


def test_the_host_is_cheap_to_import():
    code = """
        import sys
        import pluggy_specs, peft_lab.host
        host = peft_lab.host.Host()
        own = [m for m in sys.modules if m.startswith(peft_lab.host.BUILTIN_PLUGINS)]
        heavy = {"torch", "transformers", "peft", "accelerate", "datasets", "matplotlib", "pandas", "IPython"}
        found = sorted(heavy & set(sys.modules)) + own
        sys.exit(f"imported {found}" if found else 0)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_built_in_rooms_are_named():
    assert len(set(BUILTIN_PLUGINS)) == 7 and all(path.startswith("peft_lab.") for path in BUILTIN_PLUGINS)
