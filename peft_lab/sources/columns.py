"""Find the columns with the text and the label: as named, by their names, then by what is in them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from peft_lab.data_spec import DataSpec
from peft_lab.errors import DataProblem, nearest

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
    for role, name in named.items():
        if name is not None and name not in sample:
            raise DataProblem(f"no column {name!r} for the {role}", nearest(name, sample))
    taken = [name for name in named.values() if name is not None]
    if len(set(taken)) < len(taken):
        raise DataProblem(f"one column cannot be two things: {', '.join(taken)}", _advice(sample, spec))

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

    chosen = {"text": text, "text_pair": pair, "label": label}
    guesses = [f"{role}={name}" for role, name in chosen.items() if name is not None and named[role] is None]
    others = [name for name in sample if name not in chosen.values()]
    rest = f" (not used: {_listed(others)})" if others else ""
    return Columns(text, pair, label, f"columns guessed: {', '.join(guesses)}{rest}" if guesses else "")


def _by_name(free: Sequence[str], names: Sequence[str]) -> str | None:
    plain = _plain_names(free)
    return next((plain[name] for name in names if name in plain), None)


def _pair_by_name(free: Sequence[str]) -> tuple[str | None, str | None]:
    plain = _plain_names(free)
    return next(((plain[a], plain[b]) for a, b in PAIRS if a in plain and b in plain), (None, None))


def _plain_names(free: Sequence[str]) -> dict[str, str]:
    return {re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_"): name for name in reversed(free)}


def _by_content(free: Sequence[str], sample: Mapping[str, Sequence[Any]], spec: DataSpec, role: str) -> str:
    fitting = [name for name in free if (_is_text if role == "text" else _is_label)(sample[name])]
    if role == "text" and len(fitting) > 1:
        longest, second = sorted(fitting, key=lambda name: _length(sample[name]), reverse=True)[:2]
        if _length(sample[longest]) > 1.5 * _length(sample[second]):
            return longest
    if len(fitting) == 1:
        return fitting[0]
    why = f"columns {_listed(fitting)} could all be" if fitting else "none looks like"
    raise DataProblem(f"cannot tell the {role} column among {_listed(sample)}: {why} it", _advice(sample, spec))


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


def _length(values: Sequence[Any]) -> float:
    lengths = [len(value) for value in values if isinstance(value, str)]
    return sum(lengths) / len(lengths) if lengths else 0.0


def _typed(name: str) -> str:
    return name if re.fullmatch(r"[\w.-]+", name) else f'"{name}"'


def _listed(names: Any, most: int = 12) -> str:
    some = [repr(name[:40]) for name in names]
    return ", ".join(some[:most]) + (", ..." if len(some) > most else "")
