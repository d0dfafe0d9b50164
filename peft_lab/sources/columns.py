"""Find the columns with the text and the label: as named, by their names, then by what is in them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from peft_lab.data_spec import DataSpec
from peft_lab.errors import DataProblem, nearest
from peft_lab.sources.labels import as_number
from peft_lab.sources.schemes import OUTSIDE, TAG

TEXT_NAMES = (  # noqa: SIM905
    "text utterance message sentence query question review tweet comment post body content description email "
    "document article subject title headline input prompt"
).split()
LABEL_NAMES = (  # noqa: SIM905
    "label_text label_name label labels intent category class queue target topic sentiment department tag type "
    "score rating stars y"
).split()
PAIRS = (
    ("text", "text_pair"),
    ("sentence1", "sentence2"),
    ("premise", "hypothesis"),
    ("question1", "question2"),
    ("question", "passage"),
    ("question", "sentence"),
    ("question", "context"),
    ("query", "passage"),
    ("text1", "text2"),
    ("text_a", "text_b"),
    ("sentence_a", "sentence_b"),
)
WORD_NAMES = ("tokens", "words", "token", "word", "text", "sentence")
TAG_NAMES = ("ner_tags", "tags", "labels", "label", "ner", "entities", "tag", "pos_tags", "upos", "pos")
SAMPLE = 2000


@dataclass(frozen=True)
class Columns:
    """Which column is what, with a note on what was guessed."""

    text: str
    text_pair: str | None
    label: str
    note: str = ""

    @property
    def names(self) -> dict[str, str]:
        """The columns by the name they get: ``{"text": "message", "label": "queue"}``."""
        pair = {"text_pair": self.text_pair} if self.text_pair else {}
        return {"text": self.text, **pair, "label": self.label}


def find_columns(sample: Mapping[str, Sequence[Any]], spec: DataSpec) -> Columns:
    """Choose columns; ``sample`` holds some values of every column, spread over the whole table."""
    named = {"text": spec.text, "text_pair": spec.text_pair, "label": spec.label}
    taken = _named_right(named, sample, spec)
    free = [name for name in sample if name not in taken]
    text, pair, label = spec.text, spec.text_pair, spec.label
    if label is None:
        label = _by_name(free, LABEL_NAMES)
        free = [name for name in free if name != label]
    if text is None:
        text, guessed_pair = _pair_by_name(free) if pair is None else (None, None)
        pair = pair or guessed_pair
        text = text or _by_name(free, TEXT_NAMES) or _by_content(free, sample, spec, "text")
        free = [name for name in free if name not in (text, pair)]
    if label is None:
        label = _by_content(free, sample, spec, "label")
        if label.strip() in {str(value).strip() for value in sample[label]}:
            raise DataProblem(
                f"the first row is taken for the names of the columns, but {label[:40]!r} is a label in other rows",
                "Put a row with names first, such as: text,label",
            )

    return Columns(text, pair, label, _guessed({"text": text, "text_pair": pair, "label": label}, named, sample))


def find_word_columns(sample: Mapping[str, Sequence[Any]], spec: DataSpec) -> Columns | None:
    """Choose columns with lists of words and lists of tags; None where the data or the task is of another kind."""
    lists = [name for name, values in sample.items() if _holds_lists(values)]
    if spec.task not in (None, "tagging") or not lists or spec.text_pair is not None:
        return None
    whole = [name for name in sample if name not in lists]
    if spec.task is None and _by_name(whole, LABEL_NAMES) and any(_is_text(sample[name]) for name in whole):
        return None  # whole texts with labels, and lists beside them
    named = {"text": spec.text, "label": spec.label}
    _named_right(named, sample, spec)
    if any(name is not None and name not in lists for name in named.values()):
        return None
    words = [name for name in lists if name != spec.label and _holds_lists(sample[name], of=str)]
    text = spec.text or _by_name(words, WORD_NAMES)
    label = spec.label or _by_name([name for name in lists if name != text], TAG_NAMES)
    if text is None and len(rest := [name for name in words if name != label]) == 1:
        text = rest[0]
    if label is None and len(rest := [name for name in lists if name != text]) == 1:
        label = rest[0]
    if text is None or label is None:
        if spec.task is None:
            return None
        some = [name for name in lists if name not in (text, label)]
        why = f"{_listed(some)} hold lists" if some else "no other column holds lists"
        raise DataProblem(
            f"cannot tell the {'label' if text else 'text'} column among {_listed(sample)}: {why}",
            "Say which, such as: --text tokens --label ner_tags",
        )
    return Columns(text, None, label, _guessed({"text": text, "label": label}, named, sample))


def _named_right(named: Mapping[str, str | None], sample: Mapping[str, Sequence[Any]], spec: DataSpec) -> list[str]:
    """The columns that a person named, once it is known that they are there and differ."""
    for role, name in named.items():
        if name is not None and name not in sample:
            raise DataProblem(f"no column {name!r} for the {role}", nearest(name, sample))
    taken = [name for name in named.values() if name is not None]
    if len(set(taken)) < len(taken):
        raise DataProblem(f"one column cannot be two things: {', '.join(taken)}", _advice(sample, spec))
    return taken


def _guessed(chosen: Mapping[str, str | None], named: Mapping[str, str | None], sample: Mapping[str, Any]) -> str:
    guesses = [f"{role}={name}" for role, name in chosen.items() if name is not None and named[role] is None]
    others = [name for name in sample if name not in chosen.values()]
    rest = f" (not used: {_listed(others)})" if others else ""
    return f"columns guessed: {', '.join(guesses)}{rest}" if guesses else ""


def _holds_lists(values: Sequence[Any], of: type = object) -> bool:
    some = next((value for value in values if value is not None and value != []), None)
    return isinstance(some, list) and all(isinstance(item, of) for item in some if item is not None)


def _by_name(free: Sequence[str], names: Sequence[str]) -> str | None:
    plain = _plain_names(free)
    return next((plain[name] for name in names if name in plain), None)


def _pair_by_name(free: Sequence[str]) -> tuple[str | None, str | None]:
    plain = _plain_names(free)
    return next(((plain[a], plain[b]) for a, b in PAIRS if a in plain and b in plain), (None, None))


def _plain_names(free: Sequence[str]) -> dict[str, str]:
    return {re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_"): name for name in reversed(free)}


def _by_content(free: Sequence[str], sample: Mapping[str, Sequence[Any]], spec: DataSpec, role: str) -> str:
    is_label = _is_amount if spec.task == "regression" else _is_label
    fitting = [name for name in free if (_is_text if role == "text" else is_label)(sample[name])]
    if role == "text" and len(fitting) > 1:
        longest, second = sorted(fitting, key=lambda name: _length(sample[name]), reverse=True)[:2]
        if _length(sample[longest]) > 1.5 * _length(sample[second]):
            return longest
    if len(fitting) == 1:
        return fitting[0]
    if not fitting:
        _must_not_be_words(sample)
    why = f"columns {_listed(fitting)} could all be" if fitting else "none looks like"
    raise DataProblem(f"cannot tell the {role} column among {_listed(sample)}: {why} it", _advice(sample, spec))


def _must_not_be_words(sample: Mapping[str, Sequence[Any]]) -> None:
    """Say what tagging needs, where no column fits because rows are words, or hold lists of them."""
    if lists := [name for name, values in sample.items() if _holds_lists(values)]:
        raise DataProblem(
            f"{_listed(lists)} {'holds lists' if len(lists) == 1 else 'hold lists'}, not whole texts",
            "A list of words beside a list of tags is for --task tagging, without --text-pair",
        )
    tags = [name for name, values in sample.items() if _is_tag(values)]
    if tags and not any(_is_text(values) for values in sample.values()):
        raise DataProblem(
            f"column {tags[0]!r} holds tags of single words, such as {sample[tags[0]][0]!r}",
            "A row must be a sentence: a list of words and a list of tags; or name the file .conll, if it is one",
        )


def _is_tag(values: Sequence[Any]) -> bool:
    some = [value for value in values if isinstance(value, str)]
    return len(some) > len(values) / 2 and all(value == OUTSIDE or TAG.fullmatch(value) for value in some)


def _advice(sample: Mapping[str, Sequence[Any]], spec: DataSpec) -> str:
    """Return what to type, with the likeliest columns filled in."""
    names = list(sample)
    text = spec.text or _by_name(names, TEXT_NAMES) or max(names, key=lambda name: _length(sample[name]))
    rest = [name for name in names if name != text]
    fitting = [name for name in rest if _is_label(sample[name])]
    label = spec.label or _by_name(rest, LABEL_NAMES) or (fitting or rest or ["<column>"])[0]
    return f"Say which, such as: --text {_typed(text)} --label {_typed(label)}"


def _is_text(values: Sequence[Any]) -> bool:
    strings = [value for value in values if isinstance(value, str) and value.strip()]
    return len(strings) > len(values) / 2 and any(" " in value.strip() for value in strings)


def _is_label(values: Sequence[Any]) -> bool:
    some = [value for value in values if value is not None and value != ""]
    if not some or isinstance(some[0], list | dict):
        return False
    return 2 <= len({str(value).strip() for value in some}) <= max(2, len(some) / 2)


def _is_amount(values: Sequence[Any]) -> bool:
    some = [value for value in values if value is not None and value != ""]
    return bool(some) and all(not isinstance(v, list | dict | bool) and as_number(v) is not None for v in some)


def _length(values: Sequence[Any]) -> float:
    lengths = [len(value) for value in values if isinstance(value, str)]
    return sum(lengths) / len(lengths) if lengths else 0.0


def _typed(name: str) -> str:
    return name if re.fullmatch(r"[\w.-]+", name) else f'"{name}"'


def _listed(names: Any, most: int = 12) -> str:
    some = [repr(name[:40]) for name in names]
    return ", ".join(some[:most]) + (", ..." if len(some) > most else "")
