"""What could stand at the cursor in the body of ``%%peft``: keys not given yet, and values behind them.

A body that is being written is no YAML yet, so it is read line by line.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from peft_lab.notebook.candidates import Candidate, beginning, candidates, variables
from peft_lab.notebook.completing import NOTHING, Found, Said, offered, said
from peft_lab.notebook.options import kind_named, typed
from peft_lab.notebook.words import BRACES, QUOTES, cut

if TYPE_CHECKING:
    from peft_lab.bench import Bench

ENTRY = re.compile(r"(?P<indent>\s*)(?P<key>[^\s#\[\]{},'\"-][^\s]*?)\s*:(?:\s+(?P<value>.*))?")
KEY = re.compile(r"(?P<indent>\s*)(?P<key>[\w.:-]*)")
ITEM = re.compile(r"(?P<indent>\s*)-\s+(?P<value>.*)")
SPECIAL = re.compile(r"[\[\]{}&*!|>'\"%@`#?-]|.*(: | #)")


@dataclass(frozen=True)
class Line:
    """``key: value`` at some depth."""

    indent: int
    key: str
    value: str


def named_in(body: str) -> str:
    """The methods that a body names."""
    return next((line.value for line in _entries(body) if line.key == "methods" and not line.indent), "")


def complete_body(bench: Bench, line: str, body: str, after: str) -> Found:
    """What could stand at the end of a body that is not finished; ``after`` is what stands behind the cursor."""
    above, _, current = body.rpartition("\n")
    below = after.partition("\n")[2]
    known = said(bench, cut(line).words, methods=named_in(f"{above}\n{below}"))
    if known is None or re.match(r"\s*#|.*\s#", current):
        return NOTHING
    entries = _entries(above)
    for one in (*entries, *_entries(below)):
        if one.key == "model" and not one.indent:
            known.flags.setdefault("model", one.value)
    if item := ITEM.fullmatch(current):
        parent = _parent(entries, len(item["indent"]) + 1, value="")
        return _value(bench, known, _inside(entries, parent), parent.key, item["value"], after) if parent else NOTHING
    if entry := ENTRY.fullmatch(current):
        if entry["value"] is None:  # right behind the colon, where YAML wants a blank first
            return NOTHING
        owner = _owner(known, entries, len(entry["indent"]))
        return NOTHING if owner is None else _value(bench, known, owner, entry["key"], entry["value"], after)
    if key := KEY.fullmatch(current):
        depth = len(key["indent"])
        owner = _owner(known, entries, depth)
        if owner is None:
            return NOTHING
        others = [*entries, *_entries(below)]
        same = [one.key for one in others if one.indent == depth and (depth or not owner)]
        return key["key"], _keys(known, owner, key["key"], same, after)
    return NOTHING


def _entries(text: str) -> list[Line]:
    found = (ENTRY.fullmatch(line) for line in text.split("\n"))
    return [Line(len(f["indent"]), f["key"], _bare(f["value"])) for f in found if f]


def _bare(value: str | None) -> str:
    return re.sub(r"(^|\s)#.*", "", value or "").strip().strip("'\"")


def _parent(entries: Sequence[Line], indent: int, value: str | None = None) -> Line | None:
    """The entry under which something of an indent stands."""
    for entry in reversed(entries):
        if entry.indent < indent:
            return entry if value is None or entry.value == value else None
    return None


def _inside(entries: Sequence[Line], line: Line | None) -> str:
    parent = _parent(entries, line.indent) if line else None
    return parent.key if parent else ""


def _owner(known: Said, entries: Sequence[Line], indent: int) -> str | None:
    """The method under whose name an indented line stands; empty at the top; None where no key can stand."""
    if not indent:
        return ""
    parent = _parent(entries, indent)
    return parent.key if parent is not None and parent.key in known.owners and not parent.value else None


def _keys(known: Said, owner: str, fragment: str, given: Sequence[str], after: str) -> list[Candidate]:
    """Keys not given yet, in the body or on the line."""
    taken = {known.options[typed(k)].key for k in (*given, *known.flags) if typed(k) in known.options} | set(given)
    found: list[Candidate] = []
    if owner:
        mine = [o for n, o in known.options.items() if o.owner == owner and n == f"{owner}.{typed(o.argument.name)}"]
        found = [Candidate(o.argument.name, owner) for o in mine if o.argument.name not in taken]
    else:
        words = [a for a in known.operation.arguments if a.positional][len(known.loose) :]
        found += [Candidate(a.name, known.operation.name) for a in words if a.name not in taken]
        for name, option in offered(known, dotted="." in fragment):
            if option.key not in taken:
                key = ".".join(part.replace("-", "_") for part in name.split("."))
                found.append(Candidate(key, option.owner))
        if kind_named(known.operation) == "methods":
            found += [Candidate(name, "method") for name in known.owners if name not in taken]
    colon = "" if after.startswith(":") else ": "
    return [replace(one, text=one.text + colon) for one in beginning(found, fragment.replace("-", "_"))]


def _value(bench: Bench, known: Said, owner: str, key: str, value: str, after: str) -> Found:
    if value.lstrip().startswith("{") and not value.lstrip().startswith(BRACES) and key in known.owners:
        given, _, last = value.lstrip().removeprefix("{").rpartition(",")
        inner, colon, of = last.partition(":")
        if colon:
            return _value(bench, known, key, inner.strip(), of.lstrip(), after)
        same = [part.partition(":")[0].strip() for part in given.split(",")]
        return last.lstrip(), _keys(known, key, last.lstrip(), same, after)
    argument = known.argument(typed(f"{owner}.{key}" if owner else key))
    if argument is None:
        return NOTHING
    fragment, taken = value.lstrip(), set()
    if fragment.startswith(BRACES):
        fragment = fragment.removeprefix(BRACES).lstrip()
        return fragment, beginning(variables(bench, "" if "}}" in after.partition("\n")[0] else " }}"), fragment)
    if argument.many or argument.rest or "methods" in argument.completes:
        mark = "+" if "methods" in argument.completes and not argument.rest else ","
        head, _, fragment = fragment.removeprefix("[").rpartition(mark)
        fragment = fragment.lstrip()
        taken = {part.strip() for part in head.split(mark)}
    quote = fragment[:1] if fragment[:1] in QUOTES else ""
    fragment = fragment.removeprefix(quote)
    found = candidates(bench, argument, fragment, model=known.flags.get("model", ""))
    left = [one for one in found if one.text not in taken]
    return fragment, [_written(one, quote, after) for one in left]


def _written(one: Candidate, quote: str, after: str) -> Candidate:
    """As YAML takes it."""
    if quote or not one.path or not SPECIAL.match(one.text):
        return one.on_line(quote, after) if quote else one
    return replace(one, text=f"'{one.text}" + ("" if one.open else "'"))
