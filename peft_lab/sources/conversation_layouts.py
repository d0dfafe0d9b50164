"""Find out how a table keeps conversations: lists of messages, or a prompt and its answer in two columns."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from peft_lab.conversation import KEYS
from peft_lab.data_spec import DataSpec
from peft_lab.errors import DataProblem, nearest
from peft_lab.sources.columns import LABEL_NAMES

TASK = "causal"
MESSAGES = ("conversations", "conversation", "messages", "dialog", "dialogue", "chat")
ROLE_KEYS = ("role", "from")
CONTENT_KEYS = ("content", "value", "tool_calls", "function_call")
TOOLS = ("tools", "functions")
SYSTEM = ("system", "system_prompt")
PAIRS = (
    ("prompt", "completion"),
    ("prompt", "response"),
    ("instruction", "output"),
    ("instruction", "response"),
    ("instruction", "completion"),
    ("query", "answers"),
)
"""Names that say by themselves that the second column answers the first."""
MORE_PAIRS = (("text", "label"), ("question", "answer"), ("input", "output"), ("query", "response"))
"""Names that say so once the task is known."""
INPUTS = ("input", "context")
"""What an instruction is about, in a column of its own."""
CLASSES = frozenset(LABEL_NAMES) - {"category", "topic", "tag", "type"}
"""Beside a column of such a name a prompt and its answer may be what is classified; those left out say what it is
about in many sets of instructions."""
LOOKED_AT = 50


@dataclass(frozen=True)
class Layout:
    """Where in a table conversations are."""

    name: str
    """What people call it: ``ShareGPT conversations``, ``chat messages``, ..."""
    text: str
    """Column with the messages, or with the prompt."""
    answer: str | None = None
    """Column with the answer, where it has one of its own."""
    text_pair: str | None = None
    """Column with what the prompt is about, or with the context as a row of this package keeps it."""
    holds_messages: bool = False
    """``text`` holds lists of messages; ``answer``, where there is one, too."""
    holds_context: bool = False
    """``text_pair`` holds contexts."""
    tools: str | None = None
    system: str | None = None
    note: str = ""

    @property
    def columns(self) -> list[str]:
        """The columns that are read."""
        all_ = (self.text, self.answer, self.text_pair, self.tools, self.system)
        return [name for name in all_ if name is not None]

    @property
    def names(self) -> dict[str, str]:
        """The columns by their part, as a recipe keeps them; the same layout is found with them."""
        found = {"text": self.text, "text_pair": self.text_pair, "label": self.answer}
        return {part: name for part, name in found.items() if name is not None}


def find_layout(sample: Mapping[str, Sequence[Any]], spec: DataSpec) -> Layout | None:
    """How the table keeps conversations; None where it holds something else, or another task is wanted.

    Args:
        sample: some values of every column.

    Raises:
        DataProblem: the task is ``causal``, and prompt and answer cannot be told, or a column is not there.
    """
    if spec.task not in (None, TASK):
        return None
    wanted = spec.task == TASK
    found = _of_messages(sample, spec) or _of_pairs(sample, spec, wanted)
    if found is None and wanted:
        columns = ", ".join(repr(name[:40]) for name in list(sample)[:12])
        raise DataProblem(
            f"cannot tell prompt and answer among {columns}", "Say which, such as: --text prompt --label completion"
        )
    return found


def as_json(value: Any) -> Any:
    """What a cell holds: JSON text of a list or an object as that, anything else as it is."""
    if isinstance(value, str) and value.lstrip()[:1] in ("[", "{"):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def is_messages(value: Any) -> bool:
    """Whether a value is a list of messages, by its first one."""
    if not isinstance(value, list) or not value or not isinstance(value[0], dict):
        return False
    return any(key in value[0] for key in ROLE_KEYS) and any(key in value[0] for key in CONTENT_KEYS)


def _of_messages(sample: Mapping[str, Sequence[Any]], spec: DataSpec) -> Layout | None:
    some = [name for name, values in sample.items() if _first_is_messages(values)]
    if spec.text is not None:
        some = [name for name in some if name == spec.text]
    if spec.task is None and spec.label is not None:
        some = [name for name in some if spec.label in some and spec.label in dict(_pairs(some))]
    for prompt, answer in _pairs(some if spec.text is None else list(sample)):
        if prompt in some and answer in sample and _first_is_messages(sample[answer]):
            return _besides(Layout("chat messages", prompt, answer, holds_messages=True), sample, spec)
    column = next((name for name in MESSAGES if name in some), some[0] if len(some) == 1 else None)
    if column is None:
        return None
    first = next(value for value in map(as_json, sample[column]) if is_messages(value))
    name = "ShareGPT conversations" if "from" in first[0] else "chat messages"
    return _besides(Layout(name, column, holds_messages=True), sample, spec)


def _of_pairs(sample: Mapping[str, Sequence[Any]], spec: DataSpec, wanted: bool) -> Layout | None:
    for part, name in (("text", spec.text), ("text_pair", spec.text_pair), ("label", spec.label)):
        if wanted and name is not None and name not in sample:
            raise DataProblem(f"no column {name!r} for the {part}", nearest(name, sample))
    text, answer = spec.text, spec.label
    if text is None or answer is None:
        known = [*_pairs(list(sample)), *(pair for pair in MORE_PAIRS if wanted and set(pair) <= set(sample))]
        known = [pair for pair in known if text in (None, pair[0]) and answer in (None, pair[1])]
        text, answer = known[0] if known else (None, None)
    elif not wanted and (text, answer) not in PAIRS:
        return None
    if text is None or answer is None or text == answer:
        return None
    if not wanted and (CLASSES & {name.lower() for name in sample} or not _is_text(sample[text], sample[answer])):
        return None
    instructed = text == "instruction"
    pair = spec.text_pair or next((name for name in INPUTS if instructed and name in sample), None)
    if pair is None and (text, answer) == ("text", "label") and "text_pair" in sample:
        pair = "text_pair"
    holds_context = pair is not None and any(map(_is_context, sample[pair]))
    name = "instructions" if instructed else "prompts and completions"
    return _besides(Layout(name, text, answer, pair, holds_context=holds_context), sample, spec)


def _besides(layout: Layout, sample: Mapping[str, Sequence[Any]], spec: DataSpec) -> Layout:
    """The layout with columns of tools and system messages, and what was guessed."""
    free = [name for name in sample if name not in layout.columns]
    # A context already says which tools there are and what the system message is.
    tools = None if layout.holds_context else next((name for name in TOOLS if name in free), None)
    system = None if layout.holds_context else next((name for name in SYSTEM if name in free), None)
    told = {"text": layout.text, "text_pair": layout.text_pair, "label": layout.answer, "tools": tools}
    told["system"] = system
    guesses = [f"{part}={name}" for part, name in told.items() if name is not None and getattr(spec, part, "") != name]
    rest = [name for name in free if name not in (tools, system)]
    unused = f" (not used: {', '.join(map(repr, rest[:12]))}{', ...' if len(rest) > 12 else ''})" if rest else ""
    note = f"columns guessed: {', '.join(guesses)}{unused}" if guesses else ""
    return replace(layout, tools=tools, system=system, note=note)


def _pairs(names: Sequence[str]) -> list[tuple[str, str]]:
    return [pair for pair in PAIRS if set(pair) <= set(names)]


def _first_is_messages(values: Sequence[Any]) -> bool:
    """By the first cell that holds anything."""
    some = (as_json(value) for value in values[:LOOKED_AT])
    return is_messages(next((value for value in some if value is not None and value != "" and value != []), None))


def _is_text(*columns: Sequence[Any]) -> bool:
    return all(any(isinstance(value, str) and value.strip() for value in values) for values in columns)


def _is_context(value: Any) -> bool:
    read = as_json(value)
    return isinstance(read, dict) and bool(read) and set(read) <= set(KEYS)
