"""The page, put together."""

from __future__ import annotations

from peft_lab.present.style import PLAIN, esc
from peft_lab.reporting import asked, onward, results, warning
from peft_lab.reporting.answering import answer
from peft_lab.reporting.choosing import recommended
from peft_lab.reporting.language import Language, language
from peft_lab.reporting.look import css
from peft_lab.reporting.material import Material
from peft_lab.reporting.parts import bullets, paragraph

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
"""Nothing is loaded, whatever a text holds."""
MAIN = 3
"""Sentences of the answer that stand in its box; the others stand below."""
PAGE = """<!doctype html>
<html lang="{lang}">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="generator" content="peft_lab">
<title>{title}</title>
<style>{css}</style>
</head>
<body>
<main {plain}>
{body}
</main>
</body>
</html>
"""


def report(material: Material, code: str = "en") -> str:
    """The report as one HTML page in a language.

    Raises:
        BadOption: there are no texts in that language.
    """
    say = language(code)
    title = asked.title(material, say)
    body = "\n".join(part for part in (_head(material, title, say), *_sections(material, say)) if part)
    return PAGE.format(lang=say.code, policy=POLICY, title=esc(title), css=css(), plain=PLAIN, body=body)


def _head(material: Material, title: str, say: Language) -> str:
    """Title, what was asked, and the answer first of all."""
    sentences = answer(material, say)
    said = "".join(paragraph(text) for text in sentences[:MAIN])
    versions = material.record.get("versions") or {}
    made = say("page.made", date=say.date(material.when), version=versions.get("peft_lab") or "")
    return (
        f"<header><h1>{esc(title)}</h1>{paragraph(made, 'meta')}{paragraph(asked.question(material, say))}"
        f'<div class="answer"><p class="kicker">{esc(say("answer.title"))}</p>{said}</div>'
        f"{bullets(sentences[MAIN:])}{results.at_a_glance(material, recommended(material), say)}</header>"
    )


def _sections(material: Material, say: Language) -> list[str]:
    return [
        asked.compared(material, say),
        asked.data(material, say),
        results.scores(material, say),
        results.figures(material, say),
        results.costs(material, say),
        warning.risks(material, say),
        warning.caveats(material, say),
        onward.next_steps(material, say),
        onward.reproduce(material, say),
        onward.glossary(material, say),
    ]
