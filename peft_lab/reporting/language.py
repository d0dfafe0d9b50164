"""What is said in a language: its texts, and how it writes numbers, times, dates and lists."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import datetime

from peft_lab.errors import BadOption, nearest
from peft_lab.present import style
from peft_lab.reporting import texts_en, texts_ja

LANGUAGES = ("en", "ja")
MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)


class Language:
    """English. What another language writes in another way is overridden."""

    code = "en"
    before_percent = " "
    texts: Mapping[str, str] = texts_en.TEXTS
    methods: Mapping[str, str] = texts_en.METHODS

    def __call__(self, key: str, /, **places: object) -> str:
        """The text of a key with its places filled in."""
        text = self.texts[key]
        return text.format(**places) if places else text

    def has(self, key: str) -> bool:
        """Whether there is a text under a key."""
        return key in self.texts

    def score(self, value: float | None) -> str:
        """``0.918``."""
        return style.score(value)

    def difference(self, value: float) -> str:
        """``+0.021``, with a true minus."""
        if not math.isfinite(value):
            return style.DASH
        shown = f"{abs(value):.3f}"
        return shown if float(shown) == 0 else f"{'+' if value > 0 else '−'}{shown}"

    def share(self, value: float | None) -> str:
        """``4.5 %``."""
        return style.share(value)

    def percent(self, value: float) -> str:
        """``5 %``, ``8.3 %``, ``74 %``: as exact as a few hundred texts can be."""
        shown = 100 * value
        digits = 0 if shown >= 9.95 or abs(shown - round(shown)) < 0.05 else 1
        return f"{shown:.{digits}f}{self.before_percent}%"

    def count(self, value: float | None) -> str:
        """``102,912``, and ``1.23 M``."""
        return style.count(value)

    def number(self, value: int) -> str:
        """Every digit of a whole number."""
        return f"{value:,}"

    def price(self, value: float) -> str:
        """A price of a text, in whatever it was given."""
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"

    def seconds(self, value: float | None) -> str:
        """``1 min 12 s``; under a second in milliseconds."""
        if value is not None and 0 < value < 0.0995:
            return f"{style.three_digits(1000 * value)} ms"
        return style.seconds(value)

    def bytes(self, value: float | None) -> str:
        """``2.1 MB``."""
        return style.bytes_(value)

    def date(self, when: datetime) -> str:
        """``30 November 2026``."""
        return f"{when.day} {MONTHS[when.month - 1]} {when.year}"

    def listed(self, names: Iterable[str]) -> str:
        """``a, b and c``."""
        found = list(names)
        return " and ".join([", ".join(found[:-1]), found[-1]] if len(found) > 1 else found)

    def range(self, low: float, high: float) -> str:
        """``0.901 to 0.935``."""
        return f"{self.score(low)} to {self.score(high)}"


class Japanese(Language):
    """Japanese."""

    code = "ja"
    before_percent = ""
    texts: Mapping[str, str] = texts_ja.TEXTS
    methods: Mapping[str, str] = texts_ja.METHODS

    def share(self, value: float | None) -> str:
        """``4.5%``."""
        said = style.share(value)
        if said[0] in "<>":
            return f"{said[2:].replace(' ', '')}{'未満' if said[0] == '<' else '超'}"
        return said.replace(" ", "")

    def count(self, value: float | None) -> str:
        """``102,912``, and from a million on ``123万``."""
        if value is None or not math.isfinite(value) or abs(value) < 1e6:
            return style.count(value)
        return f"{_digits(value / 1e8)}億" if abs(value) >= 1e8 else f"{round(value / 1e4):,}万"

    def seconds(self, value: float | None) -> str:
        """``1分12秒``."""
        said = super().seconds(value)
        for english, japanese in ((" min", "分"), (" ms", "ミリ秒"), (" s", "秒"), (" h", "時間"), (" ", "")):
            said = said.replace(english, japanese)
        return said

    def date(self, when: datetime) -> str:
        """``2026年11月30日``."""
        return f"{when.year}年{when.month}月{when.day}日"

    def listed(self, names: Iterable[str]) -> str:
        """``a、b、c``."""
        return "、".join(names)

    def range(self, low: float, high: float) -> str:
        """``0.901〜0.935``."""
        return f"{self.score(low)}〜{self.score(high)}"


def _digits(value: float) -> str:
    return f"{value:,.0f}" if value >= 99.95 else f"{value:.1f}"


def language(code: str) -> Language:
    """A language by its code.

    Raises:
        BadOption: there are no texts in it.
    """
    if code not in LANGUAGES:
        raise BadOption(f"there are no texts in {code!r}", nearest(code, LANGUAGES), "language")
    return Japanese() if code == "ja" else Language()
