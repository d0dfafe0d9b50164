"""From what a person writes (``30%``, ``2m``, ``prefix length=24``) to the values of a plan. Errors name the entry."""

from __future__ import annotations

import json
import math
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import yaml

from peft_lab.errors import BadOption
from peft_lab.study.texts import PLAN_FORMS

T = TypeVar("T")
ALL, AUTO = "all", "auto"
NOTHING = ("none", "no", "off", "null", "false")
UNITS = {"": 1.0, "s": 1.0, "sec": 1.0, "second": 1.0, "seconds": 1.0}
UNITS |= {"m": 60.0, "min": 60.0, "minute": 60.0, "minutes": 60.0, "h": 3600.0, "hour": 3600.0, "hours": 3600.0}
DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]*)\s*")
Method = tuple[str, dict[str, Any]]


def wrong(key: str, what: str, at: int | None = None) -> BadOption:
    """The error about an entry of a plan, or about one item of it."""
    return BadOption(f"{key}: {what}", PLAN_FORMS.get(key, ""), key if at is None else f"{key}.{at}")


def each(key: str, value: Any, read: Callable[[str, Any, int | None], T]) -> tuple[T, ...]:
    """Every item of a list, or of a text with commas; no item may stand there twice."""
    if isinstance(value, str):
        value = _apart(value)
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        value = [value]
    if not value:
        raise wrong(key, "nothing stands there")
    found = [read(key, item, at if len(value) > 1 else None) for at, item in enumerate(value)]
    for at, item in enumerate(found):
        if item in found[:at]:
            raise wrong(key, f"{value[at]!r} stands there twice", at)
    return tuple(found)


def _apart(text: str) -> list[str]:
    """Items between commas that are not inside brackets or quotes."""
    return [part.strip() for part in re.split(r""",(?![^\[]*\])(?![^{]*\})""", text) if part.strip()]


def amount(key: str, value: Any, at: int | None = None) -> str:
    """``100``, ``30 %`` or ``all``."""
    text = str(value).strip().lower()
    if isinstance(value, bool) or value is None:
        raise wrong(key, f"{value!r} is no number of training rows", at)
    if text == ALL:
        return ALL
    if percent := re.fullmatch(r"(\d+(?:\.\d+)?)\s*%", text):
        part = float(percent[1])
        if not 0 < part <= 100:
            raise wrong(key, f"{text} is no share of the training rows", at)
        return ALL if part == 100 else f"{part:g} %"
    if not re.fullmatch(r"\d[\d_,]*(\.0+)?", text) or int(float(text.replace(",", "").replace("_", ""))) < 1:
        share = isinstance(value, float) and 0 < value < 1
        said = f"{value!r} is no number of training rows" + (f"; did you mean {100 * value:g}%?" if share else "")
        raise wrong(key, said, at)
    return str(int(float(text.replace(",", "").replace("_", ""))))


def rows_asked(amount: str, there: int) -> int:
    """How many training rows an amount is, of those that are there."""
    if amount == ALL:
        return there
    if amount.endswith("%"):
        return max(1, round(there * float(amount[:-1]) / 100))
    return min(int(amount), there)


def duration(key: str, value: Any, at: int | None = None) -> float | None:
    """Seconds; None is no budget."""
    if value is None or str(value).strip().lower() in NOTHING:
        return None
    text = str(value).strip().lower()
    parts = DURATION.findall(text)
    whole = bool(parts) and DURATION.sub("", text) == "" and all(unit in UNITS for _, unit in parts)
    seconds = sum(float(number) * UNITS[unit] for number, unit in parts) if whole else 0.0
    if isinstance(value, bool) or not seconds > 0 or math.isinf(seconds):
        raise wrong(key, f"{value!r} is no length of time", at)
    return seconds


def rate(key: str, value: Any, at: int | None = None) -> float:
    """A learning rate."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if isinstance(value, bool) or not 0 < number < math.inf:
        raise wrong(key, f"{value!r} is no learning rate", at)
    return number


def sweep(value: Any) -> tuple[float, ...] | str | None:
    """Learning rates to try; ``auto``: around each method's own; None: its own."""
    if isinstance(value, Mapping):
        if others := [name for name in value if str(name).replace("-", "_") != "learning_rate"]:
            raise wrong("sweep", f"{others[0]!r} cannot be swept, only learning_rate")
        value = next(iter(value.values()), None)
    if value is None or (isinstance(value, str | bool) and str(value).strip().lower() in NOTHING):
        return None
    if isinstance(value, str) and value.strip().lower() == AUTO:
        return AUTO
    return tuple(sorted(each("sweep", value, rate)))


def seeds(value: Any) -> tuple[int, ...]:
    """``5`` are the seeds 0 to 4; a list says which."""
    if isinstance(value, str) and value.strip().isdigit():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        if value < 1:
            raise wrong("seeds", f"{value} are too few")
        return tuple(range(value))
    if isinstance(value, bool | float) or value is None:
        raise wrong("seeds", f"{value!r} is neither a number of seeds nor a list of them")
    return each("seeds", value, _seed)


def _seed(key: str, value: Any, at: int | None = None) -> int:
    if isinstance(value, bool) or not re.fullmatch(r"\d+", str(value).strip()):
        raise wrong(key, f"{value!r} is no seed", at)
    return int(value)


def method(key: str, value: Any, at: int | None = None) -> Method:
    """``prefix length=24`` or ``{lora: {rank: 8}}``: the composition and its settings."""
    if isinstance(value, Mapping):
        if len(value) != 1:
            raise wrong(key, f"a mapping of {len(value)} names is no method", at)
        name, settings = next(iter(value.items()))
        if settings is not None and not isinstance(settings, Mapping):
            raise wrong(key, f"{name} has {settings!r} for its options, not name: value", at)
        return _name(str(name)), {str(k).replace("-", "_"): v for k, v in (settings or {}).items()}
    if not isinstance(value, str) or not value.strip():
        raise wrong(key, f"{value!r} is no method", at)
    try:
        name, *options = shlex.split(re.sub(r"\s*\+\s*", "+", value))
    except ValueError:
        raise wrong(key, f"a quote is not closed in {value!r}", at) from None
    found: dict[str, Any] = {}
    for option in options:
        left, equals, right = option.lstrip("-").partition("=")
        if not equals:
            raise wrong(key, f"{option!r} of {value!r} is no option=value", at)
        found[left.replace("-", "_")] = _scalar(right)
    return _name(name), found


def shown(name: str, settings: Mapping[str, Any]) -> str:
    """A method as it is typed and shown; :func:`method` reads it back."""
    return " ".join([name, *(f"{option}={_written(value)}" for option, value in settings.items())])


def _name(text: str) -> str:
    return "+".join(part.strip() for part in text.split("+"))


def _scalar(text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return text


def _written(value: Any) -> str:
    """A value without blanks: a list as ``[query,value]``, a text as it is where YAML reads it as one."""
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(_written, value)) + "]"
    if isinstance(value, str) and _scalar(value) == value and not re.search(r"[\s'\"\[\]{},\\]", value):
        return value
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return shlex.quote(text) if re.search(r"[\s'\"\\]", text) else text
