"""Every sentence that cards, tables, panels and views show stands in ``peft_lab.texts``: a translation can follow."""

from __future__ import annotations

import ast
import html
import json
import re
import string
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from peft_lab.present import picture
from peft_lab.present.card import run_card
from peft_lab.present.live import live_html, live_text
from peft_lab.present.parts import text_lines
from peft_lab.present.table import Table, width
from peft_lab.testing import tiny_lab
from peft_lab.testing.tiny import WORDS
from peft_lab.texts import Counted

ROOT = Path(__file__).parents[1]
MODULES = {
    file.stem: import_module(f"peft_lab.texts.{file.stem}")
    for file in sorted((ROOT / "peft_lab" / "texts").glob("*.py"))
    if file.stem != "__init__"
}
SHOWING = (
    "present",
    "views",
    "listings",
    "selfcheck",
    "checking",
    "memory",
    "keeping/tables.py",
    "notebook/panels",
    "notebook/live.py",
    "notebook/widget_check.py",
    "judging/lines.py",
    "judging/tables.py",
    "trackers/relays.py",
    "study/snapshot.py",
    "notebook/study_watching.py",
    "commands/_checks.py",
    "commands/_settings.py",
    "commands/_workshop.py",
)
"""What shows cards, tables, panels and views. Files whose names end in ``texts.py`` are places for words as well."""

# What may stand elsewhere in these files, because nobody reads it as a sentence, or because it is an error's own.
EXCEPTIONS = {
    "checking/inputs.py": {"peft_lab: reading · (·), written since · began\n"},  # on the way, not in the table
    "checking/verdicts.py": {"data source", "start weights"},  # keys
    "listings/offers.py": {"which weights", "which units", "which tokens", "how far"},  # keys
    "listings/evidence_notes.py": {"by seed"},  # a value of a plan
    "listings/drift.py": {"Train to the end with the task causal"},  # an error's
    "notebook/panels/explore_distance.py": {"See %peft show change-map ·"},  # an error's
    "notebook/panels/following.py": {", and "},  # what parts an error's sentence
    "notebook/panels/choosing.py": {"row wrap"},  # a layout
    "notebook/panels/hearing.py": {"kernel subshells"},  # a feature of the protocol
    "notebook/panels/looks.py": {"row wrap"},
    "notebook/panels/panel.py": {"row wrap"},
    "notebook/panels/plan_process.py": {"exit status ·"},  # as the system says it
    "present/picture.py": {"Glyph .* missing from"},  # a warning of matplotlib
    "present/style.py": {"· min", " · min"},  # a unit
    "present/token_text.py": {"\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0\ufffd"},  # what shows nothing
    "selfcheck/installed.py": {"peft-lab ·", "Python ·"},  # names with versions
    "selfcheck/training.py": {"a random model of two layers", "one word decides the label"},  # never listed
    "trackers/relays.py": {"mlflow ui --backend-store-uri ·", "TRACKIO_DIR=· trackio show --project ·"},  # commands
    "views/_studied.py": {"osD^vPX*<>dp"},  # markers
    "views/comparison.py": {"outside lower left"},  # places in a picture
    "views/curves.py": {"outside right upper"},
    "views/end_labels.py": {"axes fraction"},
    "views/reliability.py": {"outside lower left"},
    "views/risk_coverage.py": {"outside lower left"},
    "views/labels.py": {"offset points", "Glyph .* missing from"},
}
ERRORS = {"BadOption", "RunProblem", "PeftLabError", "PluginFailed", "NotebookUnreadable", "gave", "nearest"}
DECLARED = {"Field", "About", "operation", "compile", "Thread", "Layout", "Literal", "find_spec", "add_gridspec"}
"""Declarations, which are the source of flags and help; names of threads; layouts."""
SINKS = {  # where a single word is read, by the place of the argument
    "Table": (0, 1, 3),
    "Checked": (0, 1, 3),
    "Finding": (0, 2, 3),
    "Drawing": (0,),
    "Picture": (0,),
    "Verbatim": (0, 2),
    "annotate": (0,),
    "box": (0,),
    "details": (0,),
    "headed": (0, 1),
    "line": (0, 1),
    "set_label": (0,),
    "set_title": (0,),
    "set_xlabel": (0,),
    "set_ylabel": (0,),
    "suptitle": (0,),
    "supxlabel": (0,),
    "supylabel": (0,),
    "text": (2,),
    "text_lines": (0,),
    "tidy": (1, 2, 3),
}
READ = {"alt", "description", "label", "note", "placeholder", "title", "tooltip"}
"""Arguments that are read wherever they are given."""
MARKUP = re.compile(r"<[^>]*>|<[^>]*$|^[^<]*>|[\w-]+\s*:\s*[^;:\"]*;|\[[^]]*]")
CSS = re.compile(
    r"(?:^|[;·\s])(?:background|border|display|flex|font|height|line|margin|overflow|padding|text|vertical|white|width)"
    r"[\w-]*:[^;]*;?"
)
COMMAND = re.compile(r"%%?(peft|config)\b.*|--\w.*")
WORD = re.compile(r"[^\W\d_]{2,}")


# --- in the code -----------------------------------------------------------------------------------------------------


def files() -> Iterator[Path]:
    for place in SHOWING:
        path = ROOT / "peft_lab" / place
        yield from sorted(path.rglob("*.py")) if path.is_dir() else [path]


def literals(tree: ast.AST) -> Iterator[tuple[int, str, bool]]:
    """Texts written in a file: where, what with ``·`` for what is put in, and whether something is put in."""
    skipped: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            skipped.add(id(node.value))  # a docstring
        called = _name(node.func) if isinstance(node, ast.Call) else ""
        annotated = [node.annotation] if isinstance(node, ast.AnnAssign | ast.arg) and node.annotation else []
        declared = isinstance(node, ast.Assign) and _name(node.targets[0]) in ("summary", "name", "paper")
        whole = [node] if isinstance(node, ast.Raise | ast.Assert) or called in ERRORS | DECLARED or declared else []
        for part in (*whole, *annotated):
            skipped.update(map(id, ast.walk(part)))
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.JoinedStr):
            parts = [str(part.value) if isinstance(part, ast.Constant) else "·" for part in node.values]
            skipped.update(id(part) for part in node.values)
            skipped.update(id(part) for v in node.values if isinstance(v, ast.FormattedValue) for part in _format(v))
            yield node.lineno, "".join(parts), True
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value, False


def _format(value: ast.FormattedValue) -> Iterator[ast.AST]:
    if value.format_spec is not None:
        yield from ast.walk(value.format_spec)


def _name(node: ast.AST) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def says_something(text: str, filled: bool) -> bool:
    """Whether a text has words between tags: two of them, or one beside what is put in."""
    for _ in range(2):
        text = MARKUP.sub(" ", text)
    text = CSS.sub(" ", COMMAND.sub(" ", text).replace("&nbsp;", " "))
    if not re.search(r"\s", text.strip()) or re.search(r"[\d·]px|1fr|[{}=]|> \.|\.[a-z]+ |rgba?\(", text):
        return bool(re.search(r"[a-z]+ [a-z]+ [a-z]+ [a-z]+", text))
    words = WORD.findall(text)
    return len(words) > 1 or (filled and bool(re.search(r"(^|\s)[^\W\d_]{2,}(\s|$)", text.replace("·", " "))))


def in_sinks(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Single words where they would be read: titles, axes, columns, first cells of rows."""
    for node in ast.walk(tree):
        read: list[ast.AST] = []
        if isinstance(node, ast.Call):
            places = SINKS.get(_name(node.func), ())
            read += [node.args[at] for at in places if at < len(node.args)]
            named = [keyword for keyword in node.keywords if keyword.arg in READ]
            read += [keyword.value for keyword in named] if _name(node.func) not in ERRORS | DECLARED else []
        elif isinstance(node, ast.List):
            read += [row.elts[0] for row in node.elts if isinstance(row, ast.List) and row.elts]
        for part in read:
            yield from ((word.lineno, word.value) for word in _own(part) if WORD.search(word.value))


def _own(node: ast.AST) -> Iterator[Any]:
    """Texts of an expression that come out of it: not what it asks for, or compares with."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node
    elif isinstance(node, ast.IfExp):
        yield from (*_own(node.body), *_own(node.orelse))
    elif isinstance(node, ast.Tuple | ast.List | ast.BoolOp | ast.JoinedStr):
        for part in ast.iter_child_nodes(node):
            yield from _own(part)
    elif isinstance(node, ast.Starred):
        yield from _own(node.value)
    elif isinstance(node, ast.BinOp):
        yield from (*_own(node.left), *_own(node.right))
    elif isinstance(node, ast.Call) and _name(node.func) in ("in_figure", "esc", "plain", "shorten", "str"):
        yield from _own(node.args[0])


def words_in(path: Path) -> list[str]:
    """What a person would read of what stands in a file."""
    tree = ast.parse(path.read_text("utf-8"))
    place = path.relative_to(ROOT / "peft_lab").as_posix() if path.is_relative_to(ROOT) else path.name
    known = {text.strip() for text in EXCEPTIONS.get(place, ())}
    found = [(line, text) for line, text, filled in literals(tree) if says_something(text, filled)]
    found += [(line, text) for line, text in in_sinks(tree) if not COMMAND.fullmatch(text) and "<" not in text]
    return [f"{place} line {line}: {text!r}" for line, text in sorted(set(found)) if text.strip() not in known]


def test_words_stand_in_texts():
    found = [one for file in files() if not file.name.endswith("texts.py") for one in words_in(file)]
    assert not found, "put into peft_lab/texts/, or say in EXCEPTIONS why not:\n" + "\n".join(found)


def test_no_exception_outlives_its_reason():
    for place, texts in EXCEPTIONS.items():
        tree = ast.parse((ROOT / "peft_lab" / place).read_text("utf-8"))
        there = {text.strip() for _, text, _ in literals(tree)}
        assert {text.strip() for text in texts} <= there, place


def test_the_test_sees_what_it_should(tmp_path):
    file = tmp_path / "a.py"
    file.write_text(
        '''"""Words of a docstring."""
from pydantic import Field
class A:
    summary = "what a view draws, for lists"
    hide: tuple = Field((), description="runs that are left out")
def draw(axes, run, rows):
    axes.set_title("layer")
    axes.set_ylabel(in_figure("how far"), loc="left")
    axes.plot(rows, label="best of all runs", linestyle="--")
    said = f"{run} moved most"
    html = f'<div style="margin:4px;padding:2px 8px">{run}</div>'
    more = f'<div style="margin:4px"><b>{run}</b> nothing to see</div>'
    line = f"%peft show curves {run}"
    if run is None:
        raise ValueError("there is no run")
    return [["device", run], [run.id, "x"]], "sparse-mask", rows["test"]
'''
    )
    lines = sorted({int(one.split("line ")[1].split(":")[0]) for one in words_in(file)})
    assert lines == [7, 8, 9, 10, 12, 16]


def test_texts_are_taken_when_they_are_shown():
    """Not when a module is loaded: then another language could not be put in their place."""
    wrong = []
    for file in sorted((ROOT / "peft_lab").rglob("*.py")):
        tree = ast.parse(file.read_text("utf-8"))
        if file.parent.name == "texts":
            continue
        names = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module == "peft_lab.texts":
                names |= {alias.asname or alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and str(node.module).startswith("peft_lab.texts."):
                wrong.append(f"{file.name} line {node.lineno} imports single texts")
        wrong += [f"{file.name} line {line} takes a text at once" for line in _at_once(tree, names)]
    assert not wrong, wrong


def _at_once(node: ast.AST, names: set[str]) -> Iterator[int]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Lambda):
            continue
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            defaults = [*child.args.defaults, *filter(None, child.args.kw_defaults), *child.decorator_list]
            for default in defaults:
                yield from _at_once(ast.Expr(default), names)
        elif isinstance(child, ast.Attribute) and isinstance(child.value, ast.Name) and child.value.id in names:
            yield child.lineno
        else:
            yield from _at_once(child, names)


# --- the texts -------------------------------------------------------------------------------------------------------


def texts_of(module: ModuleType) -> dict[str, Any]:
    """The texts of a module by name: text, texts in a row or by key, or one of both forms."""
    return {name: value for name, value in vars(module).items() if name.isupper()}


def every(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Counted):
        yield from (value.one, value.more)
    else:
        for inner in value.values() if isinstance(value, dict) else value:
            yield from every(inner)


@pytest.mark.parametrize("area", MODULES)
def test_texts_can_be_translated(area):
    """Places have names, so that their order is free; nothing in a text is read as HTML."""
    for name, value in texts_of(MODULES[area]).items():
        for text in every(value):
            assert not set("<>&") & set(text), f"{area}.{name}: {text!r}"
            for _, place, spec, conversion in string.Formatter().parse(text):
                assert place is None or place.isidentifier(), f"{area}.{name}: {{{place}}} has no name"
                assert not spec and not conversion, f"{area}.{name}: how {{{place}}} is written is no matter of words"
        if isinstance(value, Counted):
            assert places(value.one) <= places(value.more), f"{area}.{name}"


def places(text: str) -> set[str]:
    return {place for _, place, _, _ in string.Formatter().parse(text) if place}


def test_every_text_is_shown_somewhere():
    code = "\n".join(
        file.read_text("utf-8") for file in (ROOT / "peft_lab").rglob("*.py") if file.parent.name != "texts"
    )
    used = set(re.findall(rf"\b(?:texts|{'|'.join(MODULES)})\.([A-Z][A-Z0-9_]*)", code))
    for area, module in MODULES.items():
        inside = Path(str(module.__file__)).read_text("utf-8")
        left = {n for n in texts_of(module) if n not in used and len(re.findall(rf"\b{n}\b", inside)) < 2}
        assert not left, f"nobody shows {sorted(left)} of texts/{area}.py"


def test_a_number_chooses_the_form():
    rows = Counted("{count} row of {name}", "{count} rows of {name}")
    assert rows.format(1, name="x") == "1 row of x" and rows.format(1200, name="x") == "1,200 rows of x"
    assert rows.format(0.5, "half", name="x") == "half rows of x"


# --- another language ------------------------------------------------------------------------------------------------

WIDE = {code: code + 0xFEE0 for code in (*range(0x41, 0x5B), *range(0x61, 0x7B))}
"""Latin letters as wide as a Japanese one, which tells a text from the code's, and takes twice the room."""


def wide(value: Any) -> Any:
    """A text with wide letters; places keep their names."""
    if isinstance(value, str):
        parts = re.split(r"(\{\w*\})", value)
        return "".join(part if part.startswith("{") else part.translate(WIDE) for part in parts)
    if isinstance(value, Counted):
        return Counted(wide(value.one), wide(value.more))
    if isinstance(value, dict):
        return {key: wide(inner) for key, inner in value.items()}
    return type(value)(wide(inner) for inner in value)


@pytest.fixture
def in_wide(monkeypatch):
    """Put a language of wide letters in the place of all texts, as a translation would be."""
    for module in MODULES.values():
        for name, value in texts_of(module).items():
            monkeypatch.setattr(module, name, wide(value))


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    found = tiny_lab(tmp_path_factory.mktemp("texts"))
    found.train("sparse", max_steps=4, batch_size=8, density=0.02)
    found.train("bitfit", max_steps=4, batch_size=8)
    return found


UNITS = {"min", "kB", "MB", "GB"}


def names_of(lab: Any) -> set[str]:
    """Words that are not ours: what is in the runs' records, and what plugins say of themselves."""
    said = [json.dumps(_values(run.record)) for run in (lab.run("run-1"), lab.run("run-2"))]
    for kind in ("models", "datasets"):
        said += [f"{offer.summary} {offer.item.licence}" for offer in lab.host.offers(kind).values()]
    for kind in ("methods", "views"):
        for name, offer in lab.host.offers(kind).items():
            said += [name, offer.summary, json.dumps(list(offer.item.Options.model_fields)), offer.plugin]
            said += [getattr(offer.item, "paper", ""), " ".join(getattr(offer.item, "needs", ()))]
    for run in (lab.run("run-1"), lab.run("run-2")):
        for kind in run.artifacts:
            artifact = run.artifact(kind)
            said += [str(list(labels)) for array in artifact.arrays.values() for labels in array.labels.values()]
    said += [str(lab.folder), *lab.host.offers("models"), *lab.host.offers("datasets"), " ".join(WORDS)]
    said += [f"{p.name} {p.distribution} {p.status} {' '.join(p.offers)} {p.offers}" for p in lab.host.plugins()]
    said += [lab.folder.name, lab.model, lab.spec.source, " ".join(vars(type(lab)))]
    return set(WORD.findall(" ".join(said).replace("_", " "))) | UNITS


def _values(part: Any) -> Any:
    """What is in a record, without its keys, but for names of metrics, splits, packages and fingerprints."""
    if isinstance(part, dict):
        keep = "accuracy" in part or "torch" in part or "recipe" in part or "loss" in part
        return [*(list(part) if keep else []), *map(_values, part.values())]
    return list(map(_values, part)) if isinstance(part, list) else part


def left_over(text: str, known: set[str]) -> list[str]:
    """Latin words that come from nowhere."""
    text = COMMAND.sub(" ", html.unescape(text))
    return sorted(set(re.findall(r"(?<![\w%])[A-Za-z]{3,}(?![\w])", text)) - known)


def shown_text(markup: str) -> str:
    """What of HTML is read: text, titles, alternatives."""
    attributes = " ".join(re.findall(r'(?:alt|title)="([^"]*)"', markup))
    return re.sub(r"<[^>]*>", " ", re.sub(r"(?s)<pre.*?</pre>", " ", markup)) + " " + attributes


TABLES = {
    "status": lambda lab: lab.status(),
    "runs": lambda lab: lab.runs(),
    "ps": lambda lab: lab.ps(),
    "methods": lambda lab: lab.methods(),
    "views": lambda lab: lab.views(),
    "models": lambda lab: lab.models(),
    "datasets": lambda lab: lab.datasets(),
    "plugins": lambda lab: lab.plugins(),
    "problems": lambda lab: lab.problems(),
    "data": lambda lab: lab.data("tiny"),
    "model": lambda lab: lab.model_("tiny"),
    "predict": lambda lab: lab.predict("run-1", "red ship"),
    "compare": lambda lab: lab.compare("run-1", "run-2").parts[0],
    "tokens": lambda lab: lab.tokens("red ship", run="run-1"),
    "free": lambda lab: lab.free(),
    "check": lambda lab: lab.check("run-1", "run-2"),
}


def test_tables_in_another_language(lab, in_wide):
    known, missing = names_of(lab), {}
    for name, make in TABLES.items():
        table = make(lab)
        assert isinstance(table, Table), name
        for text in (str(table), shown_text(table._repr_html_())):
            if left := left_over(text, known):
                missing[name] = left
        lines_up(table)
    assert not missing, json.dumps(missing)


def lines_up(table: Table) -> None:
    """Every column begins in the same place on each line, however wide its letters are."""
    lines = str(table).splitlines()
    rule = next(line for line in lines if line and set(line) <= {"─", " "})
    edges = [match.start() for match in re.finditer("─+", rule)]
    for line in lines[lines.index(rule) - 1 : lines.index(rule) + 1 + len(table.rows)]:
        place, reached = 0, {0}
        for character in line:
            place += width(character)
            reached.add(place)
        assert all(edge in reached or edge > place for edge in edges), f"{line!r} of {table.title}"


def test_cards_in_another_language(lab, in_wide):
    known, run = names_of(lab), lab.run("run-1")
    card = run_card(run)
    assert not left_over(card.text, known) and not left_over(shown_text(card.html), known)
    state = {"run_id": "run-1", "method": "sparse", "step": 3, "steps": 9, "epoch": 1, "epochs": 3, "loss": 0.5}
    state |= {"metrics": {"accuracy": 0.5}, "headline": "accuracy", "seconds": 3, "left_seconds": 9}
    state |= {"texts_per_second": 5}
    assert not left_over(live_text(state), known) and not left_over(shown_text(live_html(state)), known)
    plan = lab.plan("bitfit", max_steps=4, batch_size=8)._repr_mimebundle_()
    notes = set(WORD.findall(plan["text/plain"].partition("ｎｏｔｅ")[2]))
    head = {"pooler", "dense", "classifier", "weight", "bias"}
    assert not left_over(plan["text/plain"], known | notes | head)
    lines = [line for line in card.text.splitlines()[1:] if line.startswith("  ")]
    ends = {width(re.match(r"  \S+(?: \S+)*  +", line)[0]) for line in lines if re.match(r"  \S+(?: \S+)*  +", line)}
    assert len(ends) == 1, "values of a card stand in one column"


def test_views_in_another_language(lab, in_wide, monkeypatch):
    from matplotlib.text import Text

    known, missing, drawings = names_of(lab) | {"Accuracy", "mathdefault"}, {}, []
    whole = picture.render
    monkeypatch.setattr(picture, "render", lambda drawing: drawings.append(drawing) or whole(drawing))
    views = {
        "curves": ("run-1", "run-2"),
        "comparison": ("run-1", "run-2"),
        "distance": ("run-1", "run-2"),
        "change-map": ("run-1",),
        "trainable-map": ("run-1",),
        "mask-atlas": ("run-1",),
    }
    for name, runs in views.items():
        shown = lab.show(name, *runs)
        drawing = drawings.pop()
        said = [shown.alt, shown_text(drawing.html), *(t.get_text() for t in drawing.figure.findobj(Text))]
        if left := left_over(" ".join(said), known):
            missing[name] = left
        assert re.search("[ａ-ｚ]", shown.alt), name
    assert not missing, missing


def test_cards_line_up_under_wide_names():
    text = text_lines("run", [("手法", "lora"), ("data", "全微调"), ("empty", ""), ("a", "x")])
    lines = text.splitlines()[1:]
    assert [line.rsplit("  ", 1)[1] for line in lines] == ["lora", "全微调", "x"]
    assert len({width(line.rsplit("  ", 1)[0]) for line in lines}) == 1
