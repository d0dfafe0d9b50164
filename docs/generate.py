"""Rewrites what the pages say about the code, between ``<!-- generated: NAME -->`` and ``<!-- end -->``.

python docs/generate.py            write them again
python docs/generate.py --check    exit with 1 and name each page that would change
python docs/generate.py --peft     the table of PEFT's types as well, which trains each of them
"""

from __future__ import annotations

import ast
import inspect
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent
ROOT = DOCS.parent
BLOCK = re.compile(r"(<!-- generated: (?P<name>[^>]+?) -->\n)(?P<body>.*?)(?P<end>^<!-- end -->)", re.S | re.M)
FENCE = re.compile(r"^(`{3,}).*?^\1\s*$", re.S | re.M)


def main(arguments: Sequence[str]) -> int:
    """Write the pages, or with ``--check`` only say which are stale."""
    stale = []
    for page in sorted(DOCS.glob("**/*.md")):
        old = page.read_text(encoding="utf-8")
        new = rewritten(old)
        if new != old:
            stale.append(page.relative_to(ROOT).as_posix())
            if "--check" not in arguments:
                page.write_text(new, encoding="utf-8")
    for name in stale:
        print(f"{name} {'is stale: run python docs/generate.py' if '--check' in arguments else 'written'}")
    return int(bool(stale) and "--check" in arguments)


def rewritten(text: str) -> str:
    """The page with every generated part made again."""
    return BLOCK.sub(lambda found: found[1] + made(found["name"], found["body"]) + found["end"], text)


def made(name: str, before: str = "") -> str:
    """The text of one part. ``before`` is what stands there now."""
    kind, _, about = name.strip().partition(" ")
    if kind not in MAKERS:
        raise SystemExit(f"no generated part is named {kind!r}; there is: {', '.join(MAKERS)}")
    if kind == "peft-types":
        return peft_types(before)
    return MAKERS[kind](about).strip("\n") + "\n"


# --- the contract ----------------------------------------------------------------------------------------------------


def signature(name: str) -> str:
    """``register_methods() -> ...`` or ``Method.attach(model: ..., context: ...) -> ...`` as it stands in the code."""
    import pluggy_specs
    from pluggy_specs import hooks

    owner, dot, member = name.partition(".")
    function = getattr(getattr(pluggy_specs, owner), member) if dot else getattr(hooks, name)
    parts = []
    about = inspect.signature(function)
    for parameter in about.parameters.values():
        if parameter.name == "self":
            continue
        hint = "" if parameter.annotation is parameter.empty else f": {_hint(parameter.annotation)}"
        default = "" if parameter.default is parameter.empty else f" = {parameter.default!r}"
        parts.append(f"{parameter.name}{hint}{default}")
    returned = "" if about.return_annotation is about.empty else f" -> {_hint(about.return_annotation)}"
    return f"{name}({', '.join(parts)}){returned}"


def _hint(annotation: Any) -> str:
    return annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)


def heading(name: str) -> str:
    """A heading that shows the exact signature, and the sentence that the code says about it."""
    import pluggy_specs
    from pluggy_specs import hooks

    owner, dot, member = name.partition(".")
    function = getattr(getattr(pluggy_specs, owner), member) if dot else getattr(hooks, name)
    said = re.sub(r":\w+:`~?(?:[\w.]*\.)?(\w+)`", r"`\1`", inspect.getdoc(function) or "")
    said = said.replace("``", "`")
    return f"### `{signature(name)}`\n\n{said}\n"


# --- the lab ---------------------------------------------------------------------------------------------------------


def commands(_: str) -> str:
    """Every sub-command with its words and flags."""
    from peft_lab.lab import Lab
    from peft_lab.operations import operations_of

    parts = []
    for name, operation in operations_of(Lab).items():
        words = [_typed(a).strip("`") for a in operation.arguments if a.positional]
        flags = any(not a.positional for a in operation.arguments) or operation.settings
        parts.append(f"### {name}\n\n{operation.summary}\n")
        parts.append(f"    %peft {' '.join([name, *words, *(['[--flags]'] if flags else [])])}\n")
        if operation.arguments:
            rows = [[_typed(a), _default(a), _meaning(a)] for a in operation.arguments]
            parts.append(table(("argument", "default", "meaning"), rows))
        if operation.settings:
            more = {"train": "the options of the methods named, and the [training settings](#training-settings)"}
            parts.append(f"Also takes {more.get(name, 'the options of the view named')}.\n")
        if operation.examples:
            parts.append("```text\n" + "\n".join(f"%peft {e}".rstrip() for e in operation.examples) + "\n```\n")
    return "\n".join(parts)


def training_settings(_: str) -> str:
    """Flags that work with every method."""
    from peft_lab.operations import options_of
    from peft_lab.recipe import Recipe, Training

    rows = [[_typed(a), _default(a), _meaning(a)] for a in options_of(Training)]
    seed = next(a for a in options_of(Recipe) if a.name == "seed")
    return table(("flag", "default", "meaning"), [*rows, [_typed(seed), _default(seed), _meaning(seed)]])


def _typed(argument: Any) -> str:
    if argument.optional:
        return f"`[{argument.name.upper()}]`"
    if argument.positional:
        return f"`{argument.name.upper()}{' ...' if argument.rest else ''}`"
    return f"`{argument.flag}`"


def _default(argument: Any) -> str:
    value = argument.default
    if value is None or argument.positional:
        return ""
    if isinstance(value, list | tuple | set | frozenset):
        return f"`{','.join(map(str, value))}`"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"`{value if isinstance(value, str) else json.dumps(value, default=str)}`"


def _meaning(argument: Any) -> str:
    from peft_lab.notebook.values import several

    choices = [f"`{c}`" for c in argument.choices] + (["..."] if argument.choices and argument.open else [])
    many = several(argument)
    return argument.help + (f" ({', '.join(choices)})" if choices else "") + (f"; {many}" if many else "")


# --- what is offered -------------------------------------------------------------------------------------------------


def _offers(kind: str) -> dict[str, Any]:
    from peft_lab.host import Host

    offered = Host(entry_points=False).offers(kind)
    return {name: offer.item for name, offer in offered.items() if not name.startswith("peft:")}


def methods(_: str) -> str:
    """The built-in methods that are not PEFT's own types."""
    from peft_lab.listings.offers import question

    rows = []
    for name, cls in _offers("methods").items():
        rate = cls.training.get("learning_rate")
        shown = f"`{rate:g}`" if rate is not None else ""
        rows.append([f"`{name}`", question(cls), cls.summary, shown, _papers(cls.paper)])
    return table(("name", "question", "what it does", "learning rate", "paper"), rows)


def _papers(paper: str) -> str:
    return re.sub(r"arXiv:(\S+?)(?=,|$)", r"[arXiv:\1](https://arxiv.org/abs/\1)", paper)


def method_options(_: str) -> str:
    """The options of each of them."""
    from peft_lab.operations import options_of

    rows = [
        [f"`{name}`", _typed(a), _default(a), _meaning(a)]
        for name, cls in _offers("methods").items()
        for a in options_of(cls.Options)
    ]
    return table(("method", "flag", "default", "meaning"), rows)


def views(_: str) -> str:
    """The built-in views."""
    from peft_lab.operations import options_of

    rows = []
    for name, cls in _offers("views").items():
        options = ", ".join(f"`{a.flag}`" for a in options_of(cls.Options))
        runs = "one or more" if cls.many else "one"
        rows.append([f"`{name}`", cls.summary, runs, ", ".join(f"`{k}`" for k in cls.needs) or "metrics", options])
    return table(("name", "what it shows", "runs", "needs", "options"), rows)


PEFT_TABLE = """
import json, os, sys
from test_hf_peft import METHODS, outcome, tiny_models

def test_all(tmp_path):
    found = {}
    for name in METHODS:
        for family in ("bert", "llama"):
            folder = tmp_path / name.replace(":", "-") / family
            folder.mkdir(parents=True)
            try:
                found.setdefault(name, []).append(outcome(name, folder, family))
            except Exception as error:
                found.setdefault(name, []).append(f"fails: {type(error).__name__}")
    with open(os.environ["PEFT_TABLE"], "w", encoding="utf-8") as file:
        json.dump(found, file)
"""


def peft_types(before: str) -> str:
    """What becomes of each of PEFT's types on a tiny encoder and a tiny decoder, as ``tests/test_hf_peft.py`` finds it.

    Training them takes minutes, and another version of PEFT has other types: written only when ``--peft`` asks for it.
    """
    if "--peft" not in sys.argv:
        return before
    from importlib.metadata import version

    with tempfile.TemporaryDirectory() as folder:
        test, answer = Path(folder) / "test_peft_table.py", Path(folder) / "table.json"
        test.write_text(PEFT_TABLE, encoding="utf-8")
        paths = {"PYTHONPATH": os.pathsep.join([str(ROOT / "tests"), str(ROOT)]), "PEFT_TABLE": str(answer)}
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", folder, str(test)]
        subprocess.run(command, check=True, env={**os.environ, **paths}, cwd=folder)
        found = json.loads(answer.read_text(encoding="utf-8"))
    rows = [[f"`{name}`", *outcomes] for name, outcomes in found.items()]
    return f"With peft {version('peft')}:\n\n" + table(("method", "on BERT", "on Llama"), rows)


# --- the project -----------------------------------------------------------------------------------------------------


def layers(_: str) -> str:
    """The order that ``tests/test_layers.py`` holds."""
    tree = ast.parse((ROOT / "tests" / "test_layers.py").read_text(encoding="utf-8"))
    (found,) = (n.value for n in tree.body if isinstance(n, ast.Assign) and ast.unparse(n.targets[0]) == "LAYERS")
    rows = [
        [str(number), ", ".join(f"`{name}`" for name in names), what]
        for number, (names, what) in enumerate(ast.literal_eval(found))
    ]
    return table(("", "modules", "what they are"), rows)


def targets(_: str) -> str:
    """What can be made."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    found = re.findall(r"^(\w+):.*?## (.*)$", makefile, re.M)
    return table(("command", "what it does"), [[f"`make {name}`", what] for name, what in found])


def pages(_: str) -> str:
    """Every page but the index, with its first sentence."""
    rows = []
    for page in sorted(DOCS.glob("*.md")):
        text = BLOCK.sub("", page.read_text(encoding="utf-8"))
        title, _, rest = text.partition("\n")
        if page.name != "index.md":
            first = " ".join(rest.strip().split("\n\n")[0].split())
            sentence = re.match(r".*?\.(?= |$)", first)
            rows.append([f"[{title.lstrip('# ')}]({page.name})", sentence[0] if sentence else first])
    return table(("page", ""), rows)


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; bars within cells are escaped."""
    lines = [columns, ["---"] * len(columns), *([" ".join(c.replace("|", "\\|").split()) for c in r] for r in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


MAKERS: dict[str, Callable[[str], str]] = {
    "heading": heading,
    "commands": commands,
    "training-settings": training_settings,
    "methods": methods,
    "method-options": method_options,
    "views": views,
    "peft-types": peft_types,
    "layers": layers,
    "targets": targets,
    "pages": pages,
}

if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
