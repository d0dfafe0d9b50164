"""Nothing imports upwards, and nothing heavy is imported before it is used."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# From bottom to top. A module may import its own layer and those below it; imports for type checkers do not count,
# since they are never run. ``docs/architecture.md`` shows this table.
LAYERS = (
    (("pluggy_specs",), "the contract: hooks, types, errors a plugin may raise"),
    (("peft_lab.errors",), "errors people meet, and the nearest name"),
    (("peft_lab.texts",), "every sentence that cards, tables, panels and views show"),
    (
        (
            "peft_lab.data_spec",
            "peft_lab.operations",
            "peft_lab.files",
            "peft_lab.conversation",
            "peft_lab.profiles",
            "peft_lab.offline",
        ),
        "declarations: which data, what an operation is, what a conversation is; files written whole; the network off",
    ),
    (("peft_lab.present",), "how results look: colours, numbers, tables, pictures, cards"),
    (
        ("peft_lab.loading", "peft_lab.asking", "peft_lab.recipe", "peft_lab.record", "peft_lab.defaults"),
        "what can be offered; what to do, as plain data; settings where nothing is said",
    ),
    (
        (
            "peft_lab.by_role",
            "peft_lab.drifting",
            "peft_lab.rows",
            "peft_lab.judging.answers",
            "peft_lab.judging.calibration",
            "peft_lab.judging.risk",
        ),
        "arithmetic on artifacts: losses by role, whether a format changed, how sure answers are; rows of a study",
    ),
    (("peft_lab.evidence",), "whether a difference is real: statistics of rows and arrays"),
    (("peft_lab.host", "peft_lab.run"), "who offers what; what came out, on disk"),
    (
        ("peft_lab.sources", "peft_lab.tasks", "peft_lab.methods", "peft_lab.views"),
        "plugins that happen to come with the package; none knows another",
    ),
    (("peft_lab.trackers",), "plugins that tell experiment trackers of runs, each through a process of its own"),
    (("peft_lab.training",), "from a recipe to a run: build, loop, evaluation, proof, journal"),
    (("peft_lab.keeping",), "what was trained, outside its run: adapters saved, loaded, merged; the equal script"),
    (("peft_lab.judging",), "field measures of a trained run: times, risks, costs, mistakes"),
    (("peft_lab.study",), "many recipes, and where they are trained"),
    (("peft_lab.listings", "peft_lab.selfcheck"), "what the lab's listings show; whether everything works here"),
    (("peft_lab.checking", "peft_lab.memory"), "whether what is shown still holds; what holds memory"),
    (("peft_lab.reporting",), "a study or runs as a page for people who decide"),
    (("peft_lab.bench",), "what operations stand on: plugins, runs, the model and data at hand"),
    (("peft_lab.commands",), "operations, by what they are for"),
    (("peft_lab.lab",), "all operations in one class"),
    (
        ("peft_lab.notebook", "peft_lab.cli", "peft_lab.__main__", "peft_lab.testing"),
        "skins over the lab: magics, help, live display; the command line; checks for authors",
    ),
    (("peft_lab",), "the package itself: two functions for IPython and the name Lab"),
)
PLUGINS = ("sources", "tasks", "methods", "views")
PANELS = "peft_lab.notebook.panels"
HEAVY = (
    "torch",
    "transformers",
    "peft",
    "accelerate",
    "datasets",
    "matplotlib",
    "pandas",
    "sklearn",
    "ipywidgets",
    "mlflow",
    "trackio",
    "ray",
)


@dataclass(frozen=True)
class Import:
    """One imported module: by whom, on which line, whether only in a function."""

    by: str
    module: str
    line: int
    lazy: bool

    def __str__(self) -> str:
        return f"{self.by} line {self.line} imports {self.module}"


def modules() -> dict[str, Path]:
    """All modules of both packages, by dotted name."""
    found = {}
    for package in ("pluggy_specs", "peft_lab"):
        for file in sorted((ROOT / package).rglob("*.py")):
            dotted = ".".join(file.relative_to(ROOT).with_suffix("").parts)
            found[dotted.removesuffix(".__init__")] = file
    return found


MODULES = modules()


def imports_of(name: str, text: str) -> list[Import]:
    """What a module imports when it is run, in functions too; not what only type checkers read."""
    found: list[Import] = []

    def look(node: ast.AST, lazy: bool) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
                for other in child.orelse:
                    look(other, lazy)
                continue
            if isinstance(child, ast.Import):
                found.extend(Import(name, alias.name, child.lineno, lazy) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                assert child.level == 0, f"{name} line {child.lineno}: write the whole name of what is imported"
                for alias in child.names:
                    inner = f"{child.module}.{alias.name}"
                    found.append(Import(name, inner if inner in MODULES else str(child.module), child.lineno, lazy))
            inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            look(child, lazy or inside)

    look(ast.parse(text), lazy=False)
    return found


IMPORTS = [i for name, file in MODULES.items() for i in imports_of(name, file.read_text(encoding="utf-8"))]


def layer(module: str) -> int:
    """The number of a module's layer: of the longest name that fits. The package itself fits nothing but itself."""
    fits = [
        (len(own), number)
        for number, (names, _) in enumerate(LAYERS)
        for own in names
        if module == own or (module.startswith(own + ".") and own != "peft_lab")
    ]
    assert fits, f"{module} is in no layer: give it a place in LAYERS of tests/test_layers.py"
    return max(fits)[1]


def within(module: str, package: str) -> bool:
    return module == package or module.startswith(package + ".")


def bases_in(file: Path) -> set[str]:
    classes = (node for node in ast.walk(ast.parse(file.read_text("utf-8"))) if isinstance(node, ast.ClassDef))
    return {ast.unparse(base) for node in classes for base in node.bases}


def ours(module: str) -> bool:
    return within(module, "pluggy_specs") or within(module, "peft_lab")


def said(wrong: list[Import]) -> str:
    return "; ".join(map(str, wrong))


def test_every_module_is_in_a_layer():
    for name in MODULES:
        layer(name)


def test_nothing_imports_upwards():
    wrong = [i for i in IMPORTS if ours(i.module) and layer(i.module) > layer(i.by)]
    assert not wrong, said(wrong)


def test_the_contract_needs_pluggy_and_pydantic_only():
    known = {*sys.stdlib_module_names, "pluggy", "pydantic", "pluggy_specs"}
    wrong = [i for i in IMPORTS if within(i.by, "pluggy_specs") and i.module.split(".")[0] not in known]
    assert not wrong, said(wrong)


@pytest.mark.parametrize("package", PLUGINS)
def test_kinds_of_plugins_do_not_know_each_other(package):
    others = [f"peft_lab.{other}" for other in PLUGINS if other != package]
    wrong = [i for i in IMPORTS if within(i.by, f"peft_lab.{package}") and any(within(i.module, o) for o in others)]
    assert not wrong, said(wrong)


@pytest.mark.parametrize("package", ["methods", "views", "tasks"])
def test_plugins_are_found_by_the_host_and_never_imported(package):
    """Built-ins are asked for by name, like a stranger's."""
    own = f"peft_lab.{package}"
    wrong = [i for i in IMPORTS if within(i.module, own) and not within(i.by, own)]
    assert not wrong, said(wrong)


def test_a_method_imports_the_contract_and_helpers_only():
    """Helpers are files of the same folder whose names begin with an underscore."""
    wrong = [
        i
        for i in IMPORTS
        if i.by.startswith("peft_lab.methods.")
        and within(i.module, "peft_lab")
        and not i.module.startswith("peft_lab.methods._")
    ]
    assert not wrong, said(wrong)


def test_a_view_imports_the_contract_the_look_and_helpers_only():
    """Helpers are files of the folder that hold no view, or arithmetic on artifacts and rows, which knows neither."""
    views = {name for name, file in MODULES.items() if "View" in bases_in(file)}
    judging = ("peft_lab.judging.answers", "peft_lab.judging.calibration", "peft_lab.judging.risk")
    arithmetic = ("peft_lab.evidence", "peft_lab.rows", *judging)
    allowed = ("peft_lab.present", "peft_lab.errors", "peft_lab.texts", "peft_lab.views", *arithmetic)
    wrong = [
        i
        for i in IMPORTS
        if i.by.startswith("peft_lab.views.")
        and within(i.module, "peft_lab")
        and (not any(within(i.module, a) for a in allowed) or i.module in views or i.module == "peft_lab.views")
    ]
    assert not wrong, said(wrong)


def test_nothing_heavy_at_the_top_of_a_file():
    """Panels are made of widgets: they may import those, and are imported inside functions themselves."""
    heavy = {*HEAVY, "tokenizers", "safetensors.torch"}
    wrong = [i for i in IMPORTS if not i.lazy and (i.module.split(".")[0] in heavy or i.module in heavy)]
    wrong = [i for i in wrong if not (within(i.by, PANELS) and i.module.split(".")[0] == "ipywidgets")]
    wrong += [i for i in IMPORTS if not i.lazy and within(i.module, PANELS) and not within(i.by, PANELS)]
    assert not wrong, said(wrong)


def test_only_the_notebook_knows_ipython():
    wrong = [i for i in IMPORTS if i.module.split(".")[0] in ("IPython", "traitlets") and "notebook" not in i.by]
    assert not wrong, said(wrong)


LISTINGS = """
import sys, tempfile
def heavy(): return sorted(set(sys.argv[1:]) & set(sys.modules))
def check(what):
    if found := heavy():
        print(f"{what} imported {', '.join(found)}")
        raise SystemExit(1)
import peft_lab
check("import peft_lab")
import pluggy_specs
check("import pluggy_specs")
lab = peft_lab.Lab(tempfile.mkdtemp())
check("making a lab")
for name in ("status", "methods", "views", "models", "datasets", "plugins", "problems", "runs"):
    str(getattr(lab, name)())
    check(f"lab.{name}()")
str(lab.methods("bitfit"))
check("lab.methods('bitfit')")
"""


def test_listings_import_nothing_heavy():
    environment = {**os.environ, "PEFT_LAB_BLOCK": ""}
    done = subprocess.run(
        [sys.executable, "-c", LISTINGS, *HEAVY], capture_output=True, text=True, cwd=ROOT, env=environment, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr


EXTENSION = """
import sys
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
before = set(sys.modules)
shell.extension_manager.load_extension("peft_lab")
print(*sorted((set(sys.modules) - before) & set(sys.argv[1:])))
"""


def test_the_extension_imports_nothing_heavy():
    done = subprocess.run(
        [sys.executable, "-c", EXTENSION, *HEAVY], capture_output=True, text=True, cwd=ROOT, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert not done.stdout.strip(), f"%load_ext imported {done.stdout}"


def test_the_test_sees_what_it_should():
    text = """
import os
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    import torch
class A:
    import pandas
    def f(self):
        from peft_lab import run
        from peft_lab.run import Run
"""
    found = {(i.module, i.lazy) for i in imports_of("x", text)}
    assert found == {("os", False), ("typing", False), ("pandas", False), ("peft_lab.run", True)}
    assert layer("peft_lab") > layer("peft_lab.lab") > layer("peft_lab.training.loop") > layer("pluggy_specs.types")
    with pytest.raises(AssertionError, match="in no layer"):
        layer("peft_lab.nowhere")
