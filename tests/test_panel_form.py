"""The panel's form: it says what a line would say, follows every declaration, and tells what is wrong."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import time
from types import SimpleNamespace
from typing import Literal

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from ipywidgets.widgets.widget import _instances
from pydantic import Field

from peft_lab.errors import PeftLabError, UnknownName
from peft_lab.host import Host
from peft_lab.lab import Lab
from peft_lab.notebook.panels import panel as panels
from peft_lab.notebook.panels.fields import UNSET, field_for
from peft_lab.notebook.panels.form import Form
from peft_lab.notebook.panels.place import Places, close_all
from peft_lab.notebook.panels.wording import as_text, code_of, line_of
from peft_lab.notebook.parsing import parse
from peft_lab.operations import About, argument_of, operations_of, options_of
from peft_lab.recipe import Training, sort_out
from peft_lab.testing import tiny_lab, tiny_rows
from pluggy_specs import Method, Options

PLAIN = [name for name in Host(entry_points=False).offers("methods") if ":" not in name]
OPERATIONS = operations_of(Lab)


class Mine(Method):
    """A method as a stranger writes it: nothing of it knows a widget."""

    name, summary = "mine", "biases of <some> layers"
    training = {"learning_rate": 0.02}

    class Options(Options):
        depth: int = Field(2, ge=1, le=6, description="how many layers, & which")
        kind: Literal["first", "last"] = Field("first", description="where they are")
        names: tuple[str, ...] = Field((), description="names that are left out")
        rules: tuple[str, ...] = Field((), description="texts that are left out", json_schema_extra={"whole": True})
        free: bool = Field(True, description="whether the rest is free")
        epochs: int = Field(5, ge=1, description="a name that training has, too")

    def attach(self, model, context):
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(name.endswith("bias"))


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    made = Lab(tmp_path_factory.mktemp("form"), host=Host(entry_points=False))
    made.add(Mine)
    return made


@pytest.fixture
def form(lab):
    lab.model = lab.spec = None
    made = Form(lab)
    yield made
    close_all(made.widget)


def control(form, name, method=""):
    section = form.methods.sections[method] if method else form.training
    return section.fields[name].control


def settled(form, within=60):
    end = time.monotonic() + within
    while form.problem.endswith("..."):
        assert time.monotonic() < end
        time.sleep(0.02)


def understood(lab, text):
    """What a cell with this text would train."""
    first, _, body = text.partition("\n")
    line = first.removeprefix("%%peft ").removeprefix("%peft ")
    asked = parse(line, body if first.startswith("%%") else None, OPERATIONS, lambda: lab.host, lab.namespace)
    return lab.composed(**asked.given)


# --- fields -----------------------------------------------------------------------------------------------------------


def test_every_declared_option_has_a_field_that_says_nothing_of_its_own(lab):
    owners = [lab.host.find("methods", name).Options for name in PLAIN] + [Training]
    owners += [offer.item.Options for offer in lab.host.offers("views").values()]
    for owner in owners:
        for argument in options_of(owner):
            field = field_for(argument, owner=owner, lab=lab)
            assert field.value is UNSET and field.text == "" and field.problem == "", (owner, argument)
            assert field.control.description == argument.name.replace("_", " ")
            close_all(field.widget)


def test_a_field_reads_types_bounds_choices_and_lists():
    fields = {a.name: field_for(a, owner=Mine.Options) for a in options_of(Mine.Options)}
    depth = fields["depth"]
    depth.control.value = "4"
    assert (depth.value, depth.text, depth.problem) == (4, "4", "")
    for wrong, said in (("9", "less than or equal to 6"), ("two", "takes a whole number, not 'two'")):
        depth.control.value = wrong
        assert depth.value is UNSET and said in depth.problem and "✗" in depth.note.value
    depth.control.value = "2"
    assert depth.value is UNSET and not depth.problem  # what is the default is not said
    fields["names"].control.value = "a, b"
    assert fields["names"].value == ["a", "b"] and fields["names"].text == "a,b"
    rules = fields["rules"]
    rules.control.value = " a{2,5}, b"
    assert rules.value == [" a{2,5}, b"] and rules.text == " a{2,5}, b" and "commas between" not in rules.note.value
    rules.set(["a, b", "c"])
    assert rules.value == ["a, b", "c"]
    assert [label for label, _ in fields["kind"].control.options] == ["first", "last"]
    fields["free"].control.value = False
    assert fields["free"].value is False and fields["free"].text == "no"
    assert "how many layers, &amp; which" in depth.note.value and depth.control.placeholder == "2"
    depth.set(3)
    assert depth.control.value == "3" and "default 2" in depth.note.value


def test_long_help_is_cut_below_the_control_and_whole_in_its_tooltip():
    long = "choose what is trained; " * 12
    field = field_for(argument_of("what", str, "all", About(long)))
    shown = re.sub(r"<[^>]*>", "", field.note.value)
    assert len(shown) < 120 and shown.startswith("choose what is trained") and "…" in shown
    assert field.control.tooltip == long.strip()


def test_open_choices_and_names_are_offered_but_not_required(lab):
    device = field_for(next(a for a in options_of(Training) if a.name == "device"), owner=Training)
    assert set(device.control.options) == {"auto", "cpu", "cuda", "mps"}
    device.control.value = "cuda:1"
    assert device.value == "cuda:1" and not device.problem
    device.control.value = "tpu"
    assert "cuda:1" in device.problem
    data = field_for(argument_of("data", str, "helpdesk", About("", "datasets")), lab=lab)
    assert {"helpdesk", "toolcalls"} <= set(data.control.options)


def test_a_new_default_leaves_what_somebody_put_there():
    rate, schedule = (
        field_for(next(a for a in options_of(Training) if a.name == name), owner=Training)
        for name in ("learning_rate", "schedule")
    )
    calls = []
    rate.on_change(lambda: calls.append("rate"))
    schedule.on_change(lambda: calls.append("schedule"))
    rate.suggest(0.01, "somebody suggests it")
    schedule.suggest("cosine")
    assert rate.value is UNSET and schedule.value is UNSET and schedule.control.value == "cosine" and not calls
    assert rate.control.placeholder == "0.01" and "somebody suggests it" in rate.note.value
    rate.control.value, schedule.control.value = "0.5", "linear"
    assert calls == ["rate", "schedule"]
    rate.suggest(0.02)
    schedule.suggest("constant")
    assert (rate.value, schedule.value) == (0.5, "linear") and len(calls) == 2


# --- lines ------------------------------------------------------------------------------------------------------------

TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from("\n\"' ,;#{}-"), max_size=12)


def valued(argument):
    kinds = {int: st.integers(-2, 60), float: st.floats(0, 2, allow_subnormal=False), bool: st.booleans(), str: TEXT}
    one = st.sampled_from(argument.choices) if argument.choices else kinds.get(argument.type, st.integers(0, 9) | TEXT)
    one = one | TEXT if argument.open and argument.choices else one
    return st.lists(one, max_size=3) if argument.many else one


@st.composite
def calls(draw, host):
    names = draw(st.lists(st.sampled_from([*PLAIN, "mine"]), min_size=1, max_size=3, unique=True))
    found = {}
    owned = {name: options_of(host.find("methods", name).Options) for name in names}
    for name, arguments in owned.items():
        for argument in draw(st.lists(st.sampled_from(arguments), max_size=3, unique_by=id)) if arguments else ():
            if argument.completes != "runs":
                found[f"{name}.{argument.name}"] = draw(valued(argument))
    taken = {argument.name for arguments in owned.values() for argument in arguments}
    for argument in draw(st.lists(st.sampled_from(options_of(Training)), max_size=3, unique_by=id)):
        if argument.name not in taken:
            found[argument.name] = draw(valued(argument))
    model, data = draw(st.sampled_from(["minilm", "a b", "./x'y"])), draw(st.sampled_from(["helpdesk", 'my "own".csv']))
    return {"methods": "+".join(names), "model": model, "data": data, "settings": found}


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
@given(st.data())
def test_the_line_and_the_code_mean_the_same_recipe(lab, data):
    lab.model = lab.spec = None
    call = data.draw(calls(lab.host))
    try:
        meant = lab.composed(call["methods"], model=call["model"], data=call["data"], **call["settings"])
    except PeftLabError:
        assume(False)
    assert understood(lab, line_of(lab, call)) == meant
    seen = []
    train = SimpleNamespace(train=lambda *a, **k: seen.append(lab.composed(*a, **k)))
    exec(code_of(lab, call), {"lab": train})
    assert seen == [meant]


def test_a_line_is_no_longer_than_needed(lab, form):
    assert form.line() == "%peft train lora"
    call = {"methods": "lora+mine", "model": "minilm", "data": "helpdesk", "settings": {}}
    call["settings"] = {"lora.rank": 4, "lora.dora": True, "mine.free": False, "mine.epochs": 7, "synonyms": "a b.json"}
    line = '%peft train lora+mine --rank 4 --dora --no-free --epochs 7 --synonyms "a b.json"'
    assert line_of(lab, call) == line
    assert code_of(lab, call) == (
        "lab.train('lora+mine', rank=4, dora=True, free=False, epochs=7, synonyms='a b.json')"
    )
    rules = {**call, "methods": "mine", "settings": {"mine.rules": ["a{2,5}, b", "c"]}}
    assert line_of(lab, rules) == '%peft train mine --rules "a{2,5}, b" --rules c'
    rules["settings"] = {"mine.rules": ["a, b", """'c' "d\""""]}
    assert line_of(lab, rules) == "%%peft train mine\n" + r"""rules: ["a, b", "'c' \"d\""]"""
    both = {**call, "methods": "sparse+tokenization", "settings": {"sparse.reach": 3}}
    assert "--sparse.reach 3" in line_of(lab, both) and "**{'sparse.reach': 3}" in code_of(lab, both)
    assert as_text(argument_of("x", float, 1.0, About("")), 1e-05) == "1e-05"


# --- the form ---------------------------------------------------------------------------------------------------------


def test_choices_become_a_call_and_a_line(form):
    heard = []
    form.on_change(lambda: heard.append(form.line()))
    control(form, "rank", "lora").value = "16"
    control(form, "learning_rate").value = "1e-4"
    form.model.control.value = "smollm2"
    assert form.call() == {
        "methods": "lora",
        "model": "smollm2",
        "data": "helpdesk",
        "settings": {"lora.rank": 16, "learning_rate": 1e-4},
    }
    assert heard[-1] == form.line() == "%peft train lora --model smollm2 --rank 16 --learning-rate 0.0001"
    assert form.same_as.box.value == form.line() and "rank=16" in form.same_as.code.value


def test_methods_are_joined_moved_and_removed(form):
    control(form, "rank", "lora").value = "16"
    form.methods.join.click()
    assert form.line() == "%peft train lora --rank 16"  # nothing is chosen in the new row yet
    form.methods.rows[1].chooser.value = "anchor"
    assert form.line() == "%peft train lora+anchor --rank 16"
    form.methods.rows[1].up.click()
    assert form.line() == "%peft train anchor+lora --rank 16"
    assert [row.up.disabled for row in form.methods.rows] == [True, False]
    form.methods.rows[1].remove.click()
    assert form.methods.names == ["anchor"] and "trains nothing of its own" in form.problem
    assert "full+anchor" in form.said.value
    form.methods.rows[0].chooser.value = "lora"
    assert form.line() == "%peft train lora --rank 16" and not form.problem  # its options came back with it


def test_defaults_follow_method_and_data(form):
    rate = form.training.fields["learning_rate"]
    assert rate.control.placeholder == "0.003" and "lora suggests it" in rate.note.value
    form.methods.rows[0].chooser.value = "full"
    assert rate.control.placeholder == "0.0003"
    form.training.more.value = True
    length, written = form.training.fields["max_length"], form.training.fields["write_answers"]
    assert length.control.placeholder == "128" and written.widget.layout.display == "none"
    form.data.control.value = "toolcalls"
    assert length.control.placeholder != "128" and written.widget.layout.display is None
    assert form.training.fields["train_head"].widget.layout.display == "none"
    assert "causal" in form.data.note.value


def test_what_is_refused_is_said_beside_its_field_and_nothing_can_be_trained(form):
    control(form, "rank", "lora").value = "0"
    field = form.methods.sections["lora"].fields["rank"]
    assert (
        "greater than or equal to 1" in form.problem
        and "✗" in field.note.value
        and "rank: input should" in form.said.value
    )
    control(form, "rank", "lora").value = "2"
    assert not form.problem and "✗" not in field.note.value and not form.said.value
    form.methods.join.click()
    form.methods.rows[1].chooser.value = "lora"
    assert "written twice" in form.problem and "written twice" in form.said.value
    form.methods.rows[0].chooser.value = form.methods.rows[1].chooser.value = ""
    assert "choose a method" in form.problem


def test_what_is_wrong_behind_the_fold_opens_it(form):
    section = form.training
    assert not section.more.value and "warmup" not in section.fields
    form.same_as.box.value = "%peft train lora --warmup 3"
    assert "less than 1" in form.problem and section.more.value
    form.same_as.box.value = "%peft train lora --warmup 0.3"
    section.more.value = False
    assert not form.problem and "1 changed" in section.more.description and form.call()["settings"] == {"warmup": 0.3}


def test_a_line_that_is_typed_fills_the_form(form):
    line = "%peft train lora+anchor --data toolcalls --rank 4 --pull 10 --epochs 2 --seed 7"
    form.same_as.box.value = line
    assert form.line() == line and form.methods.names == ["lora", "anchor"] and not form.same_as.said.value
    for wrong, said in (
        ("%peft train lora --rnk 4", "Did you mean"),
        ("%peft train lora --bg", "no --bg"),
        ("%peft runs", "no command named"),
        ("hello", "begins with %peft train"),
        ("%peft train --help", "begins with %peft train"),
    ):
        form.same_as.box.value = wrong
        assert said in form.same_as.said.value and form.methods.names == ["lora", "anchor"], wrong
    form.same_as.box.value = "%peft train bitfit"
    assert form.call()["settings"] == {} and form.line() == "%peft train bitfit" and not form.same_as.said.value


def test_it_begins_with_what_is_given_and_refuses_what_is_not_there(lab):
    lab.model = lab.spec = None
    made = Form(lab, "lora+anchor", None, "toolcalls", {"lora.rank": 4, "epochs": 2.0, "pull": 3.0})
    assert made.line() == "%peft train lora+anchor --data toolcalls --rank 4 --pull 3 --epochs 2"
    close_all(made.widget)
    with pytest.raises(UnknownName, match="lorra"):
        Form(lab, "lorra")
    with pytest.raises(PeftLabError, match="no setting"):
        Form(lab, "lora", settings={"rnk": 3})


def test_the_lab_is_not_changed_by_filling_in_a_form(lab, form):
    form.same_as.box.value = "%peft train lora --data toolcalls --model smollm2"
    assert (lab.model, lab.spec.source) == ("minilm", "helpdesk")


def test_data_at_hand_with_columns_of_its_own_stay_what_they_are(lab, tmp_path):
    file = tmp_path / "mine.csv"
    file.write_text("note,kind\na,b\n")
    lab.spec = lab.data_spec(str(file), text="note", label="kind")
    made = Form(lab)
    assert made.call()["data"] is None and made.line() == "%peft train lora"
    assert understood(lab, made.line()).data.text == "note"
    made.data.control.value = "helpdesk"
    assert made.call()["data"] == "helpdesk" and made.line() == "%peft train lora --data helpdesk"
    lab.spec = None
    close_all(made.widget)


def test_a_table_of_the_notebook_is_kept_once_and_elsewhere(tmp_path):
    lab = Lab(tmp_path, host=Host(entry_points=False), namespace={"table": tiny_rows(12)})
    made = Form(lab)
    assert "table" in made.data.control.options
    made.data.control.value = "table"
    settled(made)
    assert not made.problem and made.line() == "%peft train lora --data table"
    kept = list((tmp_path / "data").iterdir())
    control(made, "rank", "lora").value = "3"
    assert list((tmp_path / "data").iterdir()) == kept and len(kept) == 1
    close_all(made.widget)


class Far:
    """Options that come from a library which takes a while to import, as those of PEFT's tuners do."""

    def __init__(self):
        self.released = threading.Event()

    def __get__(self, instance, owner):
        assert self.released.wait(30)
        return Mine.Options


def test_a_table_given_itself_is_meant_by_its_name(tmp_path):
    rows = tiny_rows(12)
    lab = Lab(tmp_path, host=Host(entry_points=False), namespace={"_": rows, "mine": rows})
    made = Form(lab, data=rows)
    assert made.call()["data"] == "mine"
    settled(made)
    close_all(made.widget)
    with pytest.raises(PeftLabError, match="by name"):
        Form(lab, data=tiny_rows(13))


def test_options_that_take_time_are_read_elsewhere(lab):
    far = Far()
    lab.add(type("FarAway", (Method,), {"name": "slow", "summary": "slow", "attach": Mine.attach}))
    lab.host.find("methods", "slow").Options = far
    form = Form(lab)
    form.methods.rows[0].chooser.value = "slow"  # would wait for ever, were it read here
    assert "Reading the options of slow" in form.problem
    assert "Reading the options of slow" in form.methods.rows[0].options.children[0].value
    control(form, "batch_size").value = "2"  # meanwhile all else can be chosen
    control(form, "epochs").value = "9"
    far.released.set()
    settled(form)
    assert (
        not form.problem
        and "depth" in form.methods.sections["slow"].fields
        and form.call()["settings"] == {"batch_size": 2}
    )
    assert form.training.fields["epochs"].widget.layout.display == "none"  # the method has an option of this name
    form.methods.rows[0].chooser.value = "lora"
    form.methods.rows[0].chooser.value = "slow"
    assert not form.problem and "epochs" not in form.call()["settings"]  # read once
    close_all(form.widget)


def test_a_form_imports_nothing_heavy(tmp_path):
    code = (
        "import sys; from peft_lab.lab import Lab; from peft_lab.notebook.panels.panel import Panel\n"
        f"form = Panel(Lab({str(tmp_path)!r})).form\n"
        "form.same_as.box.value = '%peft train lora+anchor --data toolcalls --warmup 0.2'\n"
        "assert form.line().endswith('--warmup 0.2'), form.same_as.said.value\n"
        "print([m for m in ('torch', 'transformers', 'datasets', 'peft', 'matplotlib', 'pandas') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


# --- strangers --------------------------------------------------------------------------------------------------------


def test_a_strangers_method_has_its_options_without_a_line_of_widget_code(lab, form):
    labels = {value: label for label, value in form.methods.rows[0].chooser.options}
    assert labels["mine"] == "mine: biases of <some> layers"
    form.methods.rows[0].chooser.value = "mine"
    fields = form.methods.sections["mine"].fields
    assert list(fields) == ["depth", "kind", "names", "free", "epochs"][: len(fields)]
    assert "mine suggests it" in form.training.fields["learning_rate"].note.value
    fields["depth"].control.value = "6"
    fields["kind"].control.value = "last"
    assert form.line() == "%peft train mine --depth 6 --kind last"
    assert form.training.fields["epochs"].widget.layout.display == "none"  # the method's own has this name
    recipe = lab.composed("mine", **form.call()["settings"])
    assert recipe.methods[0].options["depth"] == 6


def test_a_plugin_that_is_installed_shows_up(tmp_path, monkeypatch):
    module = tmp_path / "stranger.py"
    module.write_text(
        "from pluggy_specs import Method, Options, hookimpl\nfrom pydantic import Field\n"
        "class Far(Method):\n    name, summary = 'far-away', 'from a package'\n"
        "    class Options(Options):\n        size: int = Field(3, ge=1, description='how far')\n"
        "    def attach(self, model, context): pass\n"
        "@hookimpl\ndef register_methods():\n    yield Far\n"
    )
    folder = tmp_path / "stranger-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: stranger\nVersion: 1.0\n")
    (folder / "entry_points.txt").write_text("[peft_lab]\nstranger = stranger\n")
    monkeypatch.syspath_prepend(tmp_path)
    made = Form(Lab(tmp_path, host=Host()), "far-away")
    made.methods.sections["far-away"].fields["size"].control.value = "5"
    assert made.line() == "%peft train far-away --size 5" and not made.problem
    close_all(made.widget)


def test_a_broken_declaration_costs_only_its_method(lab):
    class Broken(Method):
        name, summary = "broken", "breaks"

        class Options(Options):
            size: int = Field(default_factory=lambda: 1 // 0)

        def attach(self, model, context):
            pass

    lab.add(Broken)
    form = Form(lab)
    form.methods.rows[0].chooser.value = "broken"
    assert "'broken' failed in Options" in form.problem and "ZeroDivisionError" in form.said.value
    form.methods.rows[0].chooser.value = "bitfit"
    assert not form.problem and form.line() == "%peft train bitfit"
    close_all(form.widget)


# --- the panel --------------------------------------------------------------------------------------------------------


class Handle:
    def __init__(self, bundle):
        self.bundles = [bundle]

    def update(self, bundle, raw):
        self.bundles.append(bundle)


class Questions:
    """Stands for the planner, which is a process."""

    def __init__(self, lab):
        from ipywidgets import HTML

        self.widget, self.asked, self.over = HTML(), [], []

    def ask(self, call):
        self.asked.append(call)

    def rest(self):
        self.over.append("rest")

    def close(self):
        self.over.append("close")


@pytest.fixture
def places(monkeypatch):
    import IPython.display

    monkeypatch.setattr(IPython.display, "display", lambda bundle, raw, display_id: Handle(bundle))
    monkeypatch.setattr(panels, "Planner", Questions)
    made = Places()
    yield made
    made.forget()


def test_a_run_leaves_its_card_its_line_and_no_widget(tmp_path, places, one_thread, trained_before):
    lab = tiny_lab(tmp_path, Mine)
    before = set(_instances)
    panel = panels.Panel(lab, "sparse", settings={"max_steps": 4, "batch_size": 8, "device": "cpu"})
    panel.stand(places, "cell-1")
    assert panel.planner.asked[-1]["settings"] == {"batch_size": 8, "max_steps": 4, "device": "cpu"}
    place = panel.place
    panel.trainer.train_button.click()
    panel.form.training.fields["epochs"].control.value = "9"  # too late for this run
    end = time.monotonic() + 120
    while place.open or set(_instances) != before:
        assert time.monotonic() < end, panel.trainer.note.value
        time.sleep(0.05)
    left = place.handle.bundles[-1]
    line = "%peft train sparse --model tiny --data tiny --batch-size 8 --max-steps 4 --device cpu"
    assert line in left["text/html"] and line in left["text/plain"]
    assert left["text/plain"].startswith("run-1  ✓ finished")
    assert "%peft explore run-1" in left["text/html"] and "%peft show mask-atlas run-1" in left["text/plain"]
    assert left["text/html"].count("<img") == 2 and len(left["text/html"]) < 400_000  # its curve, and its masks
    assert not any("widget" in kind for kind in left)
    assert panel.planner.over == ["rest", "close"]


def test_run_again_it_has_the_last_choices_unless_its_line_changed(lab, places):
    lab.model = lab.spec = None
    first = panels.Panel(lab)
    first.stand(places, "cell-1")
    first.form.same_as.box.value = "%peft train bitfit --epochs 2"
    again = panels.Panel(lab)
    again.stand(places, "cell-1")
    assert not first.place.open and again.form.line() == "%peft train bitfit --epochs 2"
    left = first.place.handle.bundles[-1]
    assert "%peft train bitfit --epochs 2" in left["text/html"] and "Run the cell again" in left["text/plain"]
    other_line = panels.Panel(lab, "lora")
    other_line.stand(places, "cell-1")
    assert other_line.form.line() == "%peft train lora"
    other_cell = panels.Panel(lab)
    other_cell.stand(places, "cell-2")
    assert other_cell.form.line() == "%peft train lora" and other_line.place.open


def test_nothing_wrong_is_planned_or_trained(lab, places):
    lab.model = lab.spec = None
    panel = panels.Panel(lab)
    panel.stand(places, "cell-1")
    asked = len(panel.planner.asked)
    control(panel.form, "rank", "lora").value = "0"
    assert panel.trainer.train_button.disabled and "greater than or equal to 1" in panel.trainer.train_button.tooltip
    assert len(panel.planner.asked) == asked
    control(panel.form, "rank", "lora").value = "2"
    assert not panel.trainer.train_button.disabled and panel.planner.asked[-1]["settings"] == {"lora.rank": 2}


def test_what_people_write_is_escaped(lab, places):
    lab.model = lab.spec = None
    panel = panels.Panel(lab)
    panel.stand(places, "cell-1")
    form = panel.form
    form.data.control.value = '<img src=x onerror="alert(1)">'
    form.methods.rows[0].chooser.value = "mine"
    shown = "".join([form.same_as.code.value, form.said.value, form.data.note.value, form.same_as.said.value])
    places.close()
    assert "<img" not in shown + panel.place.handle.bundles[-1]["text/html"]


def test_settings_are_sorted_as_the_recipe_sorts_them(lab):
    options, training, seed = sort_out([lab.host.find("methods", "lora")], {"rank": 3, "epochs": 2, "seed": 4})
    assert (options, training, seed) == ({"lora": {"rank": 3}}, {"epochs": 2}, {"seed": 4})
