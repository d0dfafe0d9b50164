"""Tokens can be read, roles told apart without colour, hostile tokens do nothing, and long pages stay small."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file
from test_present import HOSTILE, make_run, mixed, record_of

from peft_lab.cli.output import as_text
from peft_lab.errors import PeftLabError
from peft_lab.lab import Lab
from peft_lab.present import Picture, render, style
from peft_lab.present.token_text import LONGEST, chips, one_line, readable
from peft_lab.present.tokens import marks
from peft_lab.run import Run
from peft_lab.texts.tokens import BYTES
from peft_lab.views.tokens import Tokens

READ, LEARNED, SPECIAL_READ, SPECIAL_LEARNED = range(4)
BAD = [
    *HOSTILE, "]]>", "</details></div>", "'onmouseover='x", "`code`", "**b**", "\\(x\\)", "&lt;b&gt;", "a" * 5000,
    "\ud800", "\udfff", "\u2066", "\u200f", "\u200b", "\u200d", "\ufeff", "\u0301", "\ufffd", "\u3164", "\u00a0",
    "\ufe0f", "\ufdd0", "·", "⏎", "⇥", " ", "\n", "\t", "\r\n", "", "日本", "👩\u200d💻", "\u0645\u06cc\u200c\u062e",
    "\u05d0\u05d1",
]  # fmt: skip
UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\xa0\xad\u034f\u061c\u115f\u1160\u180e\u200b\u200e\u200f\u2028-\u202f\u205f-\u206f"
    "\u2800\u3164\ufeff\uffa0\ufffd-\uffff\ud800-\udfff\ue000-\uf8ff]"
)
ALLOWED = {"b", "br", "details", "div", "figcaption", "figure", "span", "summary", "wbr", "u", "tt"} | {
    "table", "tbody", "td", "th", "thead", "tr",
}  # fmt: skip
KEPT_STYLES = {  # what the sanitizer of JupyterLab 4.6 leaves in a notebook that is not trusted, as far as it is used
    "background": r"(none|(#[0-9a-f]+|rgba\(\d+,\d+,\d+,0?\.\d+\)))",
    "border": r"(0|\d+px (solid|dotted|dashed) (#[0-9a-f]+|rgba\(\d+,\d+,\d+,0?\.\d+\)))",
    "border-bottom": r"\d+px (solid|dotted|dashed)( rgba\(\d+,\d+,\d+,0?\.\d+\))?",
    "border-collapse": "collapse",
    "border-left": r"\d+px (solid|dotted|dashed) rgba\(\d+,\d+,\d+,0?\.\d+\)",
    "border-radius": r"\d+px",
    "border-top": r"\d+px solid rgba\(\d+,\d+,\d+,0?\.\d+\)",
    "cursor": "pointer",
    "display": "inline-block",
    "font-family": "monospace",
    "font-size": r"\d+%",
    "font-weight": "bold",
    "line-height": r"[\d.]+",
    "margin": r"(\d+(px)? ?)+",
    "max-width": "100%",
    "overflow-wrap": "break-word",
    "overflow-x": "auto",
    "padding": r"(\d+(px)? ?)+",
    "padding-bottom": r"\d+px",
    "text-align": "(left|right|center)",
    "white-space": "(pre-wrap|nowrap)",
}


class Reader(HTMLParser):
    """What a browser would make of a page: the texts of answers and prompts, the titles, tables, what is folded."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: list[str] = []
        self.folded: list[bool] = []
        self.titles: list[str] = []
        self.styles: set[str] = set()
        self.cells: list[str] = []
        self.said = ""
        self._reading = 0
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in ALLOWED, tag
        values = {name: value or "" for name, value in attrs}
        assert set(values) <= {"style", "class", "title", "dir", "cellpadding"}, values
        assert values.get("class", "mathjax_ignore tex2jax_ignore") == "mathjax_ignore tex2jax_ignore"
        for declaration in values.get("style", "").split(";"):
            name, _, value = declaration.partition(":")
            assert not name or re.fullmatch(KEPT_STYLES[name], value), declaration
        if "title" in values:
            self.titles.append(values["title"])
        if tag in ("br", "wbr"):
            return
        self.open.append(tag)
        if values.get("dir"):
            self._reading = len(self.open)
            self.texts.append("")
            self.folded.append("details" in self.open)
        if tag == "td":
            self.cells.append("")

    def handle_endtag(self, tag: str) -> None:
        if self._reading == len(self.open):
            self._reading = 0
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        assert not UNSEEN.search(data), data
        self.said += data
        if self._reading:
            self.texts[-1] += data
        elif self.open[-1:] == ["td"]:
            self.cells[-1] += data

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data}")

    handle_decl = handle_pi = unknown_decl = handle_comment


@dataclass
class Row:
    """A text by hand: pieces, kinds, and numbers where they are known."""

    pieces: Sequence[str]
    kind: Sequence[int]
    role: Sequence[int] = ()
    ld: Sequence[float] = ()
    before: Sequence[float] = ()
    after: Sequence[float] = ()
    weight: Sequence[float] = ()
    held_out: int = 1
    key: str = ""
    ids: Sequence[int] = field(default_factory=list)


def columns(rows: Sequence[Row], names: Sequence[str]) -> dict[str, np.ndarray]:
    found: dict[str, list] = {name: [] for name in ("sample", "kind", "token", *names)}
    for number, row in enumerate(rows):
        size = len(row.pieces)
        found["sample"] += [number] * size
        found["kind"] += list(row.kind)
        found["token"] += list(row.ids) or [sum(map(ord, piece)) % 49152 for piece in row.pieces]
        for name in names:
            found[name] += list(getattr(row, name)) or [-1 if name == "role" else np.nan] * size
    kinds = {"sample": np.int32, "token": np.int32, "kind": np.int8, "role": np.int8}
    return {name: np.asarray(values, kinds.get(name, np.float32)) for name, values in found.items()}


def put(run: Run, kind: str, rows: Sequence[Row], note: str = "", without: str = "") -> None:
    """An artifact as the core and the method write it."""
    arrays = columns(rows, ("role", "ld", "weight") if kind == "token-roles" else ("before", "after"))
    arrays.pop(without, None)
    about = {n: {"axes": ["token"], "labels": {"token": [p for r in rows for p in r.pieces]}} for n in arrays}
    keys = [row.key or f"{number}" for number, row in enumerate(rows)]
    about["digest"] = {"axes": ["sample"], "labels": {"sample": keys}}
    arrays["digest"] = np.arange(len(rows))
    if kind == "token-roles":
        about["held_out"] = {"axes": ["sample"], "labels": {}}
        arrays["held_out"] = np.array([row.held_out for row in rows], np.int8)
    folder = run.path / "artifacts"
    folder.mkdir(exist_ok=True)
    save_file(arrays, folder / f"{kind}.safetensors")
    (folder / f"{kind}.json").write_text(json.dumps({"note": note, "arrays": about}))


@pytest.fixture
def make(tmp_path: Path):
    """Makes runs: the rows with roles, and those with losses."""
    made: list[Run] = []

    def one(roles: Sequence[Row] = (), losses: Sequence[Row] = (), **more: str) -> Run:
        run = make_run(tmp_path, record_of(f"run-{len(made) + 1}", "lora+rft"))
        if roles:
            put(run, "token-roles", roles, **more)
        if losses:
            put(run, "token-losses", losses, **(more if not roles else {}))
        made.append(run)
        return run

    return one


def drawn(*runs: Run, **options: object) -> Picture:
    return render(Tokens(Tokens.Options(**options)).draw(list(runs)))


PROMPT = ["<s>", *["tool "] * 92, "\n", "What", " is", " it", " now", " in", " Kyoto", "?", "</s>"]
CALL = ['{"', "name", '":', ' "', "get", "_", "weather", '"}', "</s>"]


def call(**changes: object) -> Row:
    """A tool call: the name is reasoning, the frame is boilerplate."""
    size = len(PROMPT)
    inside = [0, 0, 0, 0, 1, 1, 1, 0, 0]
    values = {
        "kind": [2, *[0] * (size - 2), 2, *[1] * 8, 3],
        "role": [-1] * size + inside,
        "ld": [np.nan] * size + [3.0 if one else -0.3 for one in inside],
        "weight": [np.nan] * size + [2.0 if one else 0.5 for one in inside],
        "before": [np.nan] * size + [4.0 if one else 1.0 for one in inside],
        "after": [np.nan] * size + [2.0 if one else 0.5 for one in inside],
    }
    return Row([*PROMPT, *CALL], **{**values, **changes})


def one_class(html: str, text: str) -> str:
    """The opening tag right before a text."""
    return re.findall(r"<[^<>]*>", html[: html.index(f">{text}") + 1])[-1]


# --- one run ---------------------------------------------------------------------------------------------------------


def test_roles_are_told_apart_by_line_tint_and_words(make) -> None:
    picture = drawn(make([call()], [call()]))
    html = picture._repr_html_()
    reasoning, boilerplate = one_class(html, "get_weather"), one_class(html, "{&quot;name&quot;:·<wbr>&quot;")
    assert "solid" in reasoning and "dotted" in boilerplate
    assert style.TINTS["blue"].lower() in reasoning and style.TINTS["orange"].lower() in boilerplate
    assert 'title="reasoning: get  LD 3, weight 2, loss base model 4, loss trained 2; _  LD 3' in reasoning
    assert 'title="boilerplate: {&quot;  LD -0.3' in boilerplate
    assert "reasoning, solid line: " in Reader(html).said and "boilerplate, dotted line: " in Reader(html).said
    # 3 of 9 tokens; 6 of 9 nats
    assert "3 of 9 learned tokens in 1 sample are reasoning (33.3 %) and carry 66.7 % of the loss" in picture.alt


def test_the_table_by_role_holds_means_and_shares(make) -> None:
    text = str(drawn(make([call()], [call()])))
    rows = {
        line.split("  ")[0]: line.split() for line in text.splitlines() if re.match(r"reasoning|boilerplate|all", line)
    }
    assert rows["reasoning"][1:] == ["3", "33.3", "%", "4.000", "2.000", "-2.000", "66.7", "%"]
    assert rows["boilerplate"][1:] == ["6", "66.7", "%", "1.000", "0.500", "-0.500", "33.3", "%"]
    assert rows["all learned"][2:] == ["9", "100", "%", "2.000", "1.000", "-1.000", "100", "%"]


def test_strength_follows_ld_or_weight(make) -> None:
    row = call(ld=[np.nan] * 102 + [0, -0.2, -1, -2, 0.05, 1, 9, -5, np.nan], weight=[np.nan] * 102 + [1] * 6 + [5] * 3)
    run = make([row])
    sample = marks_of(run, "ld")
    assert sample[102:].tolist() == [0, 1, 2, 3, 0, 2, 4, 4, 0]
    assert marks_of(run, "weight")[102:].tolist() == [1] * 6 + [4] * 3
    strong, weak = marks.ROLE_MARKS[1].opening(4)[0], marks.ROLE_MARKS[1].opening(0)[0]
    html = drawn(run)._repr_html_()
    assert strong[:-1] in html and weak[:-1] in html
    assert "in fifths of the largest, 5" in drawn(run, by="weight")._repr_html_()


def marks_of(run: Run, by: str) -> np.ndarray:
    from peft_lab.present.tokens.reading import read

    kept = read(run)
    return marks.marking(kept, by, run.id)(kept.samples[0])[1]


def test_the_prompt_is_folded_up_to_its_last_lines_and_the_answer_is_open(make) -> None:
    html = drawn(make([call()]))._repr_html_()
    read = Reader(html)
    early, late, answer = read.texts
    assert read.folded == [True, False, False]
    assert (
        early.endswith("tool ⏎\n")
        and late == "What is it now in Kyoto?</s>"
        and answer == '{"name":·"get_weather"}</s>'
    )
    assert "94 tokens before this … show all 102" in read.said
    assert "prompt, only read: 102 tokens" in read.said and "answer, learned: 9 tokens" in read.said
    assert "border:1px solid" in one_class(html, "&lt;/s&gt;") and "border:1px" not in one_class(html, "What")
    assert html.count("border:1px solid") == 4  # the legend's, two of the prompt, the one that is learned
    short = Reader(drawn(make([Row(["Hi", " you", "Yes"], [0, 0, 1], [-1, -1, 0])]))._repr_html_())
    assert short.texts == ["Hi you", "Yes"] and short.folded == [False, False]


def test_turns_in_between_stand_in_their_order(make) -> None:
    row = Row(["a", "b", "c", "d", "e"], [0, 1, 0, 0, 1], [-1, 1, -1, -1, 0])
    assert Reader(drawn(make([row]))._repr_html_()).texts == ["a", "b", "cd", "e"]


def test_the_table_of_tokens_can_be_copied(make) -> None:
    cells = Reader(drawn(make([call()], [call()]))._repr_html_()).cells
    at = cells.index("106")
    assert cells[at : at + 8] == ["106", "get", "text", "reasoning", "3", "2", "4", "2"]
    assert cells[cells.index("110") :][:4] == ["110", "</s>", "special", "boilerplate"]
    assert cells.count("text") == 8 and "What" not in cells


def test_losses_and_roles_of_the_same_row_are_joined_by_its_digest(make) -> None:
    trained_on = call(held_out=0, key="t")
    run = make(
        [call(key="b"), call(key="a"), trained_on], [call(key="a", after=[np.nan] * 102 + [9.0] * 9), call(key="b")]
    )
    read = Reader(drawn(run, sample=2)._repr_html_())
    assert "9" in read.cells and "loss trained 9" in read.titles[0]
    assert "loss trained 9" not in Reader(drawn(run, sample=1)._repr_html_()).titles[0]
    assert (
        "sample 2 of 3 · held out" in read.said and "Samples 1 to 2 are held out, the others trained on." in read.said
    )
    assert not any("loss" in title for title in Reader(drawn(run, sample=3)._repr_html_()).titles)
    assert "Losses are known of 18 of the 27 tokens." in read.said and "left on held-out rows" in drawn(run).alt


def test_without_roles_the_tint_is_the_change_of_loss_or_the_loss(make) -> None:
    run = make(losses=[call(after=[np.nan] * 102 + [6.0, 0.1, 1.02, 1, 4, 4, 4, 1, 1])])
    picture = drawn(run)
    html = picture._repr_html_()
    assert "It knows no roles of tokens; the methods shad and rft find them." in picture.alt
    rose, fell = one_class(html, "{&quot;"), one_class(html, "name")
    assert 'title="loss rose: loss base model 1, loss trained 6"' in rose and "solid" in rose
    assert "loss fell" in fell and "dotted" in fell
    assert "loss" not in one_class(html, "&quot;:·<wbr>&quot;get_weather")  # moved by .02: no mark
    assert "reasoning" not in re.sub("roles of tokens.*", "", Reader(html).said)
    by_loss = drawn(run, by="loss")._repr_html_()
    assert style.TINTS["purple"].lower() in one_class(by_loss, "{&quot;") and "border-bottom:2px" not in by_loss


def test_roles_without_numbers_and_roles_nobody_knows(make) -> None:
    """Roles found by patterns have no LD; a stranger's role is shown like none."""
    found = Row(["a", "b", "c"], [1, 1, 1], [1, 0, 7])
    html = drawn(make([found]))._repr_html_()
    assert "Tint: the same for all." in html and "solid" in one_class(html, "a") and "<b>" not in one_class(html, "c")
    assert re.search(r"<span [^>]*dotted[^>]*>b</span>c<", html)


# --- which samples ---------------------------------------------------------------------------------------------------


def test_as_many_samples_as_can_be_read_or_as_many_as_are_asked_for(make) -> None:
    run = make([call(key=str(number)) for number in range(30)])
    large = make([Row(["x"] * 500, [1] * 500, [0] * 500, key=str(number)) for number in range(4)])

    def shown(*runs: Run, **options: int) -> list[str]:
        return re.findall(r"<b>sample (\d+) of", drawn(*runs, **options)._repr_html_())

    assert shown(run) == list("12345") and shown(large) == ["1"]
    assert shown(run, samples=7) == list("1234567") and shown(run, sample=29) == ["29"]
    assert shown(run, sample=29, samples=9) == ["29", "30"]
    assert "Shown here: 5 of 30" in drawn(run)._repr_html_() and "Shown here: 5 of 30" in str(drawn(run))
    with pytest.raises(PeftLabError, match=r"no sample 31.*\n?.*1 to 30|no sample 31"):
        drawn(run, sample=31)


# --- two runs --------------------------------------------------------------------------------------------------------


def test_two_runs_are_compared_on_the_rows_that_both_have(make) -> None:
    """Roles are known to the second only; the rows stand in another order, and one is in the first only."""
    lower = [np.nan] * 102 + [0.5, 0.5, 0.5, 0.5, 1, 1, 1, 0.8, 0.5]
    one = make(losses=[call(key="only"), call(key="b"), call(key="a")])
    other = make([call(key="a"), call(key="b")], [call(key="a", after=lower), call(key="b")])
    picture = drawn(one, other)
    assert picture.alt.startswith("run-2 against run-1 on 2 rows that both have, mean loss: ")
    assert "reasoning tokens 1.500 against 2.000 (-0.500)" in picture.alt
    assert "boilerplate tokens 0.525 against 0.500 (+0.025)" in picture.alt
    html = picture._repr_html_()
    assert "dotted" in one_class(html, "get_weather") and "loss run-1 2, loss run-2 1" in one_class(html, "get_weather")
    assert "loss rose: loss run-1 0.5, loss run-2 0.8" in one_class(html, "&quot;}")
    assert '⟦▼get_weather▲"}⟧' in str(picture)
    assert (
        drawn(other, one).alt.startswith("run-1 against run-2")
        and "2.000 against 1.500 (+0.500)" in drawn(other, one).alt
    )


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("three", "compares two runs, not 3"),
        ("apart", "run-1 and run-2 have no row in common"),
        ("roles only", "run-2 has no losses of tokens to compare"),
        ("by weight", "two runs are compared by the change of loss"),
        ("nothing", "run-1 has no tokens to show"),
        ("by ld", "run-1 knows no LD of its tokens"),
        ("by loss", "run-1 knows no loss of its tokens"),
        ("no weight", "run-1 knows no weight of its tokens"),
        ("damaged", "'token-roles' of run-1 is damaged \\(it has no ld\\)"),
    ],
)
def test_what_cannot_be_drawn_is_told_in_one_line(make, said: str, message: str) -> None:
    row = call(weight=())
    cases = {
        "three": lambda: drawn(*(make(losses=[row]) for _ in range(3))),
        "apart": lambda: drawn(make(losses=[row]), make(losses=[call(key="z")])),
        "roles only": lambda: drawn(make(losses=[row]), make([row])),
        "by weight": lambda: drawn(make([row], [row]), make([row], [row]), by="weight"),
        "nothing": lambda: drawn(make()),
        "by ld": lambda: drawn(make(losses=[row]), by="ld"),
        "by loss": lambda: drawn(make([row]), by="loss"),
        "no weight": lambda: drawn(make([row]), by="weight"),
        "damaged": lambda: drawn(make([row], without="ld")),
    }
    with pytest.raises(PeftLabError, match=message):
        cases[said]()


# --- the text form, and the command -----------------------------------------------------------------------------------


def test_a_terminal_gets_the_samples_with_reasoning_in_brackets(make, tmp_path: Path) -> None:
    run = make([call()], [call()])
    lab = Lab(tmp_path)
    text = as_text(lab.show("tokens", run.id, sample=1))
    assert "3 of 9 learned tokens" in text.splitlines()[0]
    assert "Marked: ⟦reasoning⟧; not marked: boilerplate." in text
    assert 'answer: {"name": "⟦get_weather⟧"}</s>' in text
    assert "prompt: (94 tokens before this) … What is it now in Kyoto?</s>" in text
    assert "<span" not in text and as_text(lab.show("tokens")) == text
    with pytest.raises(PeftLabError, match="sampel"):
        lab.show("tokens", run.id, sampel=1)


# --- hostile tokens ---------------------------------------------------------------------------------------------------

hostile = st.one_of(st.sampled_from(BAD), st.text(max_size=12), st.characters().map(str))


@given(st.lists(st.tuples(hostile, st.sampled_from(range(4)), st.sampled_from((-1, 0, 1))), min_size=1, max_size=24))
@settings(max_examples=150, deadline=None)
def test_no_token_becomes_anything_but_text(tokens: list[tuple[str, int, int]]) -> None:
    pieces, kind, role = (list(part) for part in zip(*tokens, strict=True))
    run = Fake(Row(pieces, kind, role, ld=[1.0] * len(pieces), before=[2.0] * len(pieces), after=[1.0] * len(pieces)))
    picture = drawn(run)
    read = Reader(picture._repr_html_())
    blocks: list[tuple[bool, list[str]]] = []
    for piece, one in zip(pieces, kind, strict=True):
        learned = one in (LEARNED, SPECIAL_LEARNED)
        if not blocks or blocks[-1][0] != learned:
            blocks.append((learned, []))
        blocks[-1][1].append(piece)
    assert read.texts == [t for learned, of in blocks if (t := "".join(one.text for one in chips(of, learned)))]
    assert not any(UNSEEN.search(title) or "\n" in title for title in read.titles)
    assert not UNSEEN.search(str(picture))
    learned_pieces = [one for learned, of in blocks if learned for one in chips(of)]
    for one in learned_pieces:
        assert one_line(one.text) in "".join(read.cells)


class Fake:
    """A run in memory."""

    id = "run-1"

    def __init__(self, *rows: Row) -> None:
        from pluggy_specs import Array, Artifact

        labels = {"token": [piece for row in rows for piece in row.pieces]}
        self.kinds = {
            kind: Artifact(kind, {n: Array(v, ("token",), labels) for n, v in columns(rows, names).items()})
            for kind, names in (("token-roles", ("role", "ld", "weight")), ("token-losses", ("before", "after")))
        }

    def artifact(self, kind: str) -> object:
        return self.kinds[kind]


@given(st.text(max_size=40))
@settings(max_examples=300, deadline=None)
def test_every_character_of_a_token_can_be_seen(text: str) -> None:
    shown = readable(text)
    assert bool(shown) == bool(text)
    assert not UNSEEN.search(shown) and " " not in shown and shown == readable(text)
    letters = re.sub(r"\W", "", text, flags=re.ASCII)
    assert letters in re.sub(r"\\u[0-9a-f]{4,6}|\W", "", shown, flags=re.ASCII) or "\\u" in shown


@pytest.mark.parametrize(
    ("piece", "shown"),
    [
        (" the", "·the"), ("\n\n", "⏎\n⏎\n"), ("\t", "⇥\t"), ("\u202egnp", "\\u202egnp"), ("\x00", "\\u0000"),
        ("\ud83d", "\\ud83d"), ("\u00a0x", "\\u00a0x"), ("\u200d", "\\u200d"), ("👩\u200d💻", "👩\u200d💻"),
        ("·", "\\u00b7"), ("⏎", "\\u23ce"), ("\u0301", "◌\u0301"), ("e\u0301", "e\u0301"), ("\ufe0f", "\\ufe0f"),
        ("日本", "日本"), ("", ""),
    ],
)  # fmt: skip
def test_blanks_and_unseen_characters(piece: str, shown: str) -> None:
    assert readable(piece) == shown


def test_blanks_of_prompts_stay_blanks() -> None:
    assert readable("a · b", marks=False) == "a · b"


def test_a_very_long_token_is_cut_in_its_middle() -> None:
    shown = readable("a" * 50_000 + "b" * 50_000)
    assert (
        len(shown) < LONGEST + 40 and "100,000·characters" in shown and shown.startswith("aa") and shown.endswith("bb")
    )


@pytest.mark.parametrize(
    ("pieces", "shown"),
    [
        (["a", "\ufffd", "\ufffd", "\ufffd", "b"], ["a", BYTES, "b"]),
        (["a", "日", "", "", "b"], ["a", "日", "b"]),
        (["a", "", "", "日", "b"], ["a", "日", "b"]),
        (["", "", "日", "", "", "本", "b"], ["日", "本", "b"]),
        (["a", ""], ["a"]),
        ([" \ufffd", "\ufffd"], [f"·{BYTES}"]),
        (["", ""], [BYTES]),
        (["", "é"], ["é"]),
    ],
)
def test_pieces_of_one_character_are_one_chip(pieces: list[str], shown: list[str]) -> None:
    found = chips(pieces)
    assert [one.text for one in found] == shown
    assert all(one.stop == other.start for one, other in pairwise(found))
    assert (found[0].start, found[-1].stop) == (0, len(pieces))


# --- size and contrast ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pieces", [["name", '":', ' "'], ['"', "<&>", "\n"], ["x" * 300], ["\u202e\u202e\u202e"]])
def test_four_thousand_tokens_stay_under_200_kilobytes(pieces: list[str]) -> None:
    """At worst each token has another role than its neighbours and another strength."""
    size = 4000
    row = Row((pieces * size)[:size], [1] * size, [0, 1] * (size // 2), ld=[0.05, 5, 1, 0.3] * (size // 4))
    html = drawn(Fake(row))._repr_html_()
    assert len(html.encode()) < 200_000
    read = Reader(html)
    if pieces[0] == "name":  # tokens as they are: none is left out
        assert read.texts[0] == "".join(readable(piece) for piece in row.pieces)
        assert "This page is long" in read.said and not read.titles and "<u " in html and "<tt " in html
    left = re.search(r"… ([\d,]+) more do not fit", read.said)
    whole = sum(len(readable(piece)) for piece in row.pieces)
    assert bool(left) == (len(read.texts[0]) < whole)


def test_long_prompts_and_many_samples_stay_small_too() -> None:
    rows = [
        Row(
            [*[" word", "</s>"] * 3000, "\n", "end", "yes"],
            [*[0, 2] * 3000, 0, 0, 1],
            [*[-1] * 6002, 1],
            ids=[at] * 6003,
        )
        for at in range(20)
    ]
    html = drawn(Fake(*rows), samples=20)._repr_html_()
    read = Reader(html)
    assert len(html.encode()) < 200_000 and read.said.count("answer, learned: 1 token") == 20
    assert read.texts.count("yes") == 20 and re.search(r"the first [\d,]+ tokens do not fit", read.said)


def test_thousands_of_turns_stay_small() -> None:
    html = drawn(Fake(Row(["a", "b"] * 2000, [0, 1] * 2000, [-1, 1] * 2000)))._repr_html_()
    read = Reader(html)
    left = re.search(r"([\d,]+) tokens of other turns do not fit", read.said)
    assert len(html.encode()) < 200_000 and int(left[1].replace(",", "")) == 4000 - len(read.texts) > 0


def test_a_page_of_too_many_samples_says_how_many_do_not_fit() -> None:
    rows = [replace(call(), ids=[at] * 111) for at in range(100)]
    html = drawn(Fake(*rows), samples=100)._repr_html_()
    read = Reader(html)
    left = int(re.search(r"… (\d+) more samples do not fit", read.said)[1])
    assert len(html.encode()) < 200_000 and left > 0
    assert read.texts.count("What is it now in Kyoto?</s>") == 100 - left == read.said.count(" · held out · ")
    assert "do not fit" not in Reader(drawn(Fake(*rows[:9]), samples=9)._repr_html_()).said


def test_equal_neighbours_are_one_element() -> None:
    size = 4000
    html = drawn(Fake(Row([" word"] * size, [1] * size, [0] * size)))._repr_html_()
    assert html.count("<span") < 40 and Reader(html).texts == ["·word" * size]


ALL_MARKS = [*marks.ROLE_MARKS, *marks.CHANGE_MARKS, *marks.LOSS_MARKS]


@pytest.mark.parametrize(("paper", "text"), [("#ffffff", "#212121"), ("#111111", "#e0e0e0")])
@pytest.mark.parametrize("mark", ALL_MARKS, ids=lambda mark: mark.name)
@pytest.mark.parametrize("strength", range(5))
def test_text_and_lines_have_contrast_on_every_tint(paper: str, text: str, mark: marks.Mark, strength: int) -> None:
    """Lines have the colour of the text, as no other is said."""
    colour = marks.background(mark.colour, strength)
    tinted = mixed(colour[:7], int(colour[7:], 16) / 255, paper)
    assert style.contrast(text, tinted) >= 4.5
    assert style.contrast(text, paper) >= 3
    declared = re.search(r"border-bottom:([^;\"]*)", mark.opening(strength)[0])
    assert (declared[1] if declared else "") == (f"2px {mark.line}" if mark.line else "")


def test_marks_differ_by_more_than_colour() -> None:
    for pair in (marks.ROLE_MARKS, marks.CHANGE_MARKS):
        assert {mark.line for mark in pair} == {"dotted", "solid"}
        assert len({re.sub("#[0-9a-f]+", "", mark.opening(2, lean=True)[0]) for mark in pair}) == 2
    assert max(marks.ALPHAS) <= style.MOST_TINT and sorted(set(marks.ALPHAS)) == list(marks.ALPHAS)
