"""The token explorer: samples are found, a threshold recolours and recounts, and no token becomes more than text."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path

import ipywidgets
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ipywidgets.widgets.widget import _instances
from test_present import HOSTILE, make_run, record_of
from test_token_view import BAD, UNSEEN, Fake, Row, call, one_class, put

from peft_lab.errors import PeftLabError
from peft_lab.lab import Lab
from peft_lab.notebook.panels import paced
from peft_lab.notebook.panels.explore_tokens import TokensPart
from peft_lab.notebook.panels.token_samples import TokenSamples
from peft_lab.present import style
from peft_lab.present.tokens.reading import read
from peft_lab.present.tokens.sweep import reach, reasoning
from peft_lab.run import Run
from peft_lab.texts import panels as texts

NAN = float("nan")
FRAME = [NAN] * 102
"""LD of the prompt of ``call``."""


@pytest.fixture
def make(tmp_path: Path):
    """Makes runs: the rows with roles, and those with losses."""
    made: list[Run] = []

    def one(roles: Sequence[Row] = (), losses: Sequence[Row] = ()) -> Run:
        run = make_run(tmp_path, record_of(f"run-{len(made) + 1}", "lora+rft"))
        for kind, rows in (("token-roles", roles), ("token-losses", losses)):
            if rows:
                put(run, kind, rows)
        made.append(run)
        return run

    return one


@pytest.fixture
def two(make) -> TokenSamples:
    """Two calls, the second with other LDs: 3 and 2 tokens are reasoning."""
    rows = [call(key="a"), call(key="b", ld=[*FRAME, -1, -1, -1, -1, 0.4, 0.8, -0.2, -1, -1], role=second_roles())]
    return TokenSamples([make(rows, rows)])


def second_roles() -> list[int]:
    return [*[-1] * 102, 0, 0, 0, 0, 1, 1, 0, 0, 0]


class Page(HTMLParser):
    """Tags, attributes and text of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data}")


# --- the threshold ---------------------------------------------------------------------------------------------------


def test_the_slider_recolours_and_recounts_at_once(two) -> None:
    said = Page(two.counts.value).text
    assert "threshold 0, the method's own: 5 reasoning, 13 boilerplate" in said
    assert "solid" in one_class(two.sample.value, "get_weather")
    two.slider.value = two.within.high
    assert "dotted" in one_class(two.sample.value, "get_weather")
    two.typed.value = 3.5
    said = Page(two.counts.value).text
    assert "threshold 3.5: 0 reasoning, 18 boilerplate (was 5 and 13)" in said
    opening = one_class(two.sample.value, "get_weather")
    assert "dotted" in opening and style.TINTS["orange"].lower() in opening
    assert "9 learned tokens (9 boilerplate)" in Page(two.sample.value).text
    two.typed.value = -0.5
    assert "threshold -0.5: 12 reasoning, 6 boilerplate (was 5 and 13)" in Page(two.counts.value).text


def test_slider_and_text_are_one_number_and_0_is_a_button_away(two) -> None:
    two.slider.value = 0.5
    assert two.typed.value == two.threshold == 0.5
    two.typed.value = 40.0  # beyond what the slider reaches
    assert two.threshold == 40.0 and two.slider.value == two.within.high
    buttons = {one.description: one for one in every_widget(two.widget) if isinstance(one, ipywidgets.Button)}
    buttons[texts.THRESHOLD_RESET].click()
    assert two.threshold == two.slider.value == two.typed.value == 0
    two.typed.value = NAN
    assert two.threshold == 0


def test_the_slider_is_not_pulled_back_while_a_person_drags_it(two) -> None:
    """It may be further by the time it is answered."""
    sent: list[object] = []
    two.slider.value = 0.1234567891
    two.slider.observe(sent.append, "value")
    assert two.typed.value == two.threshold == 0.123457 and two.slider.value == 0.1234567891 and not sent
    two.typed.value = 0.7654321
    assert two.typed.value == 0.7654321 and two.slider.value == two.threshold == 0.765432


def test_the_slider_comes_back_to_0_exactly(two) -> None:
    two.slider.value = 0.1 + 0.2 - 0.3  # 5.6e-17, as adding up steps gives
    assert two.threshold == 0 and "--threshold" not in two.pages.line(two.choice)


def test_loss_and_share_follow_the_threshold(two) -> None:
    # Of 18 tokens 5 are reasoning at 0. In the second sample the names lose 2 each, one of them is boilerplate.
    assert "reasoning carries 55.6 % of the loss" in two.pages.counts(two.choice)
    two.move(0.5)
    assert "reasoning carries 44.4 % of the loss" in two.pages.counts(two.choice)
    assert "22.2 %" in Page(two.counts.value).text  # 4 of 18, at the mark on the sweep
    assert "4 22.2 %" in " ".join(Page(two.more.value.replace("</td>", " </td>")).text.split())


def test_0_is_what_the_method_said_although_ld_says_otherwise(make) -> None:
    run = make([call(role=[*[-1] * 102, *[1] * 9])])
    samples = TokenSamples([run])
    assert "9 reasoning, 0 boilerplate" in Page(samples.counts.value).text
    samples.move(0.001)
    assert "3 reasoning, 6 boilerplate (was 9 and 0)" in Page(samples.counts.value).text


def test_all_samples_are_counted_or_one(two) -> None:
    two.move(0.5)
    assert "4 reasoning, 14 boilerplate (was 5 and 13)" in Page(two.counts.value).text
    two.counted.value = True
    assert "3 reasoning, 6 boilerplate (was 3 and 6)" in Page(two.counts.value).text
    two.show(2)
    assert "1 reasoning, 8 boilerplate (was 2 and 7)" in Page(two.counts.value).text


def test_the_range_comes_from_the_data(make) -> None:
    run = make([call(ld=[*FRAME, -2, -2, -2, -2, 3, 3, 3, -2, -2])])
    within = reach(read(run))
    assert (within.low, within.high) == (-2, 3) and 0 < within.step < 0.05
    flat = reach(read(make([call(ld=[*FRAME, *[0.0] * 9])])))
    assert flat.low < 0 < flat.high


@given(st.lists(st.tuples(st.floats(-9, 9, width=32), st.booleans()), min_size=1, max_size=40), st.floats(-9, 9))
@settings(max_examples=80, deadline=None)
def test_the_sweep_is_what_counting_gives(tokens: list[tuple[float, bool]], threshold: float) -> None:
    ld = [value if known else NAN for value, known in tokens]
    role = [int(value > 0) if known else -1 for value, known in tokens]
    kept = read(Fake(Row(["x"] * len(ld), [1] * len(ld), role, ld=ld)))
    counted = float((kept.at(threshold).role == 1).mean())
    assert reasoning(kept, [threshold])[0] == pytest.approx(counted)


# --- which sample ----------------------------------------------------------------------------------------------------


def test_samples_are_told_by_what_is_asked_and_found_by_what_they_say(make) -> None:
    rows = [asked("When does the parcel come?", "a"), asked("How is the weather in Oslo?", "b", held_out=0)]
    samples = TokenSamples([make(rows)])
    assert [label for label, _ in samples.chooser.options] == [
        "1 · held out · When does the parcel come?",
        "2 · trained on · How is the weather in Oslo?",
    ]
    samples.find.value = "OSLO"
    assert [at for _, at in samples.chooser.options] == [1] and samples.choice.at == 1
    assert "1 of 2 samples contain it" in samples.found.value and "Oslo" in Page(samples.sample.value).text
    assert samples.previous.disabled and samples.next.disabled
    samples.find.value = "nowhere"
    assert len(samples.chooser.options) == 2 and texts.NOT_FOUND in samples.found.value
    samples.find.value = ""
    assert samples.found.value == "" and len(samples.chooser.options) == 2


def asked(question: str, key: str, held_out: int = 1) -> Row:
    pieces = ["<s>", "You may call tools.", "\n", question, "\n", "bot", "\n", "yes"]
    return Row(pieces, [2, *[0] * 6, 1], [-1] * 7 + [1], ld=[NAN] * 7 + [1.0], held_out=held_out, key=key)


def test_one_sample_is_shown_and_buttons_walk_through_them(two) -> None:
    assert "sample 1 of 2" in Page(two.sample.value).text and "sample 2 of 2" not in Page(two.sample.value).text
    assert two.previous.disabled and not two.next.disabled
    two.next.click()
    assert "sample 2 of 2" in Page(two.sample.value).text and two.next.disabled and not two.previous.disabled
    two.previous.click()
    assert "sample 1 of 2" in Page(two.sample.value).text


def test_what_is_unfolded_stays_so_while_the_threshold_moves(two) -> None:
    assert "<details open>" not in two.sample.value
    two.whole.value = True
    two.move(0.3)
    assert two.sample.value.count("<details open>") == 1
    two.table.value = True
    two.move(0.4)
    assert two.sample.value.count("<details open>") == 2 and "table of the 9 tokens" in two.sample.value


def test_the_tint_is_what_the_run_knows(two, make) -> None:
    assert [name for _, name in two.by.options] == ["ld", "weight", "role", "change", "loss"]
    two.by.value = "weight"
    assert "the weight of a token by the losses that are left" in two.more.value
    assert "--by weight" in two.pages.line(two.choice)
    losses = TokenSamples([make(losses=[call()])])
    assert [name for _, name in losses.by.options] == ["change", "loss"]
    assert losses.slider is None and "It knows no roles of tokens" in Page(losses.counts.value).text


# --- runs without LD, and several runs --------------------------------------------------------------------------------


def test_without_ld_there_is_no_slider_and_it_says_why(make) -> None:
    part = TokensPart(None, [make([call(ld=())])])
    shown = [one for one in every_widget(part.widget) if isinstance(one, ipywidgets.FloatSlider)]
    said = "".join(one.value for one in every_widget(part.widget) if isinstance(one, ipywidgets.HTML))
    assert not shown and "run-1 knows no LD of its tokens" in said and "3 of 9 learned tokens" in said


def test_of_two_runs_what_changed_is_shown_or_each_alone(make) -> None:
    one, other = make([call()], [call()]), make([call()], [call(after=[*FRAME, *[1.0] * 9])])
    part = TokensPart(None, [one, other])
    assert part.samples.counts.value.count("run-2 against run-1 on 1 row") == 1
    assert "dotted" in one_class(part.samples.sample.value, "get_weather") and part.samples.slider is None
    assert part.samples.pages.line(part.samples.choice) == "%peft show tokens run-1 run-2 --sample 1"
    part.whose.value = (other,)
    assert part.samples.slider is not None and "run-2" in part.static()["text/plain"]


def test_widgets_of_what_is_no_longer_shown_are_given_up(make) -> None:
    runs = [make([call()], [call()]), make([call()], [call()])]
    part = TokensPart(None, runs)
    part.whose.value = (runs[0],)
    before = len(_instances)
    for chosen in ((runs[1],), (runs[0],)):
        part.whose.value = chosen
    assert len(_instances) == before


def test_of_three_runs_any_two_can_be_set_against_each_other(make) -> None:
    runs = [make([call()], [call(key=key)]) for key in ("a", "a", "b")]
    part = TokensPart(None, runs)
    assert [len(chosen) for _, chosen in part.whose.options] == [1, 1, 1, 2, 2, 2]
    part.whose.value = (runs[0], runs[2])
    assert "have no row in common" in part.static()["text/plain"]
    part.whose.value = (runs[0], runs[1])
    assert "run-2 against run-1" in part.static()["text/plain"]


# --- what is left ----------------------------------------------------------------------------------------------------


def test_what_is_left_is_what_the_line_draws(two, tmp_path: Path) -> None:
    two.show(2)
    two.move(0.5)
    bundle = two.static()
    line = re.search(r"%peft show (.*)", bundle["text/plain"])[1]
    assert line == "tokens run-1 --sample 2 --threshold 0.5"
    picture = Lab(tmp_path).show("tokens", "run-1", sample=2, threshold=0.5)
    assert picture._repr_html_() in bundle["text/html"] and str(picture) in bundle["text/plain"]
    assert "LD threshold 0.5 in place of the method's own: 4 reasoning, 14 boilerplate (was 5 and 13)" in picture.alt
    assert "|LD - 0.5|" in bundle["text/html"]


def test_the_view_refuses_a_threshold_where_there_is_nothing_to_part(make, tmp_path: Path) -> None:
    make([call(ld=())], [call()]), make([call()], [call()])
    lab = Lab(tmp_path)
    with pytest.raises(PeftLabError, match="run-1 knows no LD of its tokens"):
        lab.show("tokens", "run-1", threshold=1)
    with pytest.raises(PeftLabError, match="compared by the change of loss"):
        lab.show("tokens", "run-1", "run-2", threshold=1)
    with pytest.raises(PeftLabError, match="threshold"):
        lab.show("tokens", "run-2", threshold=NAN)
    assert "threshold" not in lab.show("tokens", "run-2", threshold=0).alt


def test_a_run_without_tokens_says_so(make) -> None:
    part = TokensPart(None, [make()])
    assert "run-1 has no tokens to show" in part.static()["text/plain"]
    part.close()


# --- pace ------------------------------------------------------------------------------------------------------------


def test_four_thousand_tokens_are_drawn_anew_in_50_milliseconds() -> None:
    """At worst each token has another look than its neighbours."""
    size, draw = 4000, np.random.default_rng(0)
    words = [" the", " weather", "name", '":', ' "', "get", "_", "\n", " 12", "<&>"]
    ld = draw.normal(0, 1.5, size)
    row = Row(
        [*["tool "] * 300, *(words[at] for at in draw.integers(0, len(words), size))],
        [*[0] * 300, *[1] * size],
        [*[-1] * 300, *(int(value > 0) for value in ld)],
        ld=[*[NAN] * 300, *ld],
        before=[*[NAN] * 300, *[2.0] * size],
        after=[*[NAN] * 300, *[1.0] * size],
    )
    samples = TokenSamples([Fake(row)])
    taken = []
    for threshold in (0.1, -0.2, 0.5, 1.0, -1.0, 0.3):
        began = time.process_time()
        samples.slider.value = threshold
        taken.append(time.process_time() - began)
        reasons = int((ld.astype(np.float32) > samples.threshold).sum())
        assert f"({reasons:,} reasoning, {size - reasons:,} boilerplate)" in samples.sample.value
    assert sorted(taken)[len(taken) // 2] < 0.05
    assert len(samples.sample.value.encode()) < 200_000


def test_a_dragged_slider_sends_what_goes_through_and_ends_right(two, monkeypatch) -> None:
    monkeypatch.setattr(paced, "RATE", 50_000)  # a page of 8 kB about every sixth of a second
    drawn: list[str] = []
    two.sample.observe(lambda change: drawn.append(change["new"]), "value")

    async def drag() -> None:
        for threshold in np.linspace(-0.9, 0.9, 60):
            two.typed.value = round(float(threshold), 2)
            await asyncio.sleep(0.002)
        assert "threshold 0.9:" in two.counts.value  # the counts do not wait
        await asyncio.sleep(0.6)

    asyncio.run(drag())
    assert 2 <= len(drawn) <= 20
    now = two.sample.value
    two.drawn.cancel()
    two._tell()
    assert two.sample.value == now == drawn[-1]


def test_nothing_is_drawn_after_the_end(two, monkeypatch) -> None:
    monkeypatch.setattr(paced, "RATE", 20_000)

    async def leave() -> None:
        two.typed.value = 0.5
        two.typed.value = 3.5
        before = two.sample.value
        two.close()
        await asyncio.sleep(0.7)
        assert two.sample.value == before

    asyncio.run(leave())


# --- hostile tokens --------------------------------------------------------------------------------------------------

hostile = st.one_of(st.sampled_from(BAD), st.text(max_size=12), st.characters().map(str))
TAGS = {"b", "br", "details", "div", "span", "summary", "wbr", "u", "tt", "code", "figure", "figcaption"} | {
    "table", "tbody", "td", "th", "thead", "tr",
}  # fmt: skip


@given(
    st.lists(st.tuples(hostile, st.sampled_from(range(4)), st.floats(-3, 3)), min_size=1, max_size=24), st.floats(-4, 4)
)
@settings(max_examples=40, deadline=None)
def test_no_token_becomes_anything_but_text(tokens: list[tuple[str, int, float]], threshold: float) -> None:
    pieces, kind, ld = (list(part) for part in zip(*tokens, strict=True))
    run = Fake(Row(pieces, kind, [int(value > 0) for value in ld], ld=ld, before=[2.0] * len(ld), after=ld))
    run.recipe = type("Recipe", (), {"method": HOSTILE[0]})()
    samples = TokenSamples([run])
    samples.find.value = pieces[0]
    samples.whole.value = samples.table.value = True
    samples.move(threshold)
    pages = [samples.sample, samples.counts, samples.more, samples.found]
    for html in [*(one.value for one in pages), samples.static()["text/html"]]:
        page = Page(html)
        assert page.tags <= TAGS
        assert page.attributes <= {"style", "class", "title", "dir", "cellpadding", "open"}
        assert not UNSEEN.search(page.text)
    assert not any(UNSEEN.search(label) or "\n" in label for label, _ in samples.chooser.options)
    assert not UNSEEN.search(samples.static()["text/plain"])


def every_widget(widget: ipywidgets.Widget) -> list[ipywidgets.Widget]:
    return [widget, *(inner for one in getattr(widget, "children", ()) for inner in every_widget(one))]
