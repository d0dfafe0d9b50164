"""Explorers in JupyterLab: pressing, sliding, keyboard, and what they leave."""

from __future__ import annotations

import re

import pytest
from front_end import DARK, LIGHT, WIDGET, button
from known_runs import HOSTILE
from page_checks import hard_to_read, light_arrow, nameless, too_wide
from playwright.sync_api import expect

from peft_lab.texts import panels as texts

LEFT = (
    "outputs => !JSON.stringify(outputs).includes('widget-view')"
    " && outputs.filter(one => one.data && Object.keys(one.data).length).length === 1"
)


@pytest.fixture
def look(lab, looked_into):
    """Opens the explorer of some runs, and gives the notebook and its output."""

    def one(line: str):
        book = lab.open(looked_into, f"%peft explore {line}")
        book.run(0)
        book.run(1)
        assert not book.error(1)
        return book, book.widgets(1)

    return one


def left(book):
    """What the explorer leaves, once it has: no widget, and nothing beside it."""
    book.waits_for(1, LEFT)
    (output,) = [o for o in book.outputs(1) if o.get("data")]
    return output["data"]


def test_a_press_on_the_strip_opens_the_tensor_and_another_its_cells(look):
    book, output = look("run-1")
    output.locator("button[title*='word embeddings']").click()
    expect(output.locator("img").first).to_be_visible()
    assert "word_embeddings" in output.inner_text()
    piece = output.locator("button[title*='entries train']:visible").first
    piece.focus()
    piece.press("Enter")  # without a mouse
    expect(output).to_contain_text("rows 0")
    button(output, texts.KEEP).click()
    data = left(book)
    assert "<img" in data["text/html"] and "word_embeddings" in data["text/plain"]


def test_the_step_slider_shows_the_gates_at_the_start(look):
    book, output = look("run-2")
    now = output.inner_text()
    slider = output.locator(".noUi-handle").first
    slider.focus()
    slider.press("Home")
    expect(output).to_contain_text(texts.START)
    assert output.inner_text() != now
    button(output, texts.KEEP).click()
    assert texts.START in left(book)["text/plain"]


def test_the_threshold_recolours_and_recounts_at_once(look):
    book, output = look("run-4")
    expect(output).to_contain_text("Kyoto")
    field = output.get_by_label(texts.THRESHOLD_TYPED)
    before = output.inner_html()
    field.fill("1.0")
    field.press("Enter")
    # Of the answer 2.5 and 1.2 are above 1.0; 0.6 and 0.05 were above 0.
    expect(output).to_contain_text("threshold 1")
    # The counts are those of a line; the picture below it is drawn right after.
    output.page.wait_for_function(
        "([output, before]) => output.innerHTML.split('solid').length - 1 < before",
        arg=[output.element_handle(), before.count("solid")],
    )
    slider = output.locator(".noUi-handle").first
    slider.focus()
    slider.press("Home")
    expect(output).not_to_contain_text("threshold 1:")
    assert book.page.evaluate("() => window.hacked") is None


def test_hostile_tokens_are_text_and_do_nothing(look):
    book, output = look("run-4")
    button(output, texts.NEXT).click()
    expect(output).to_contain_text("onerror")
    page = book.page
    assert page.evaluate("() => window.hacked") is None
    assert not output.locator("iframe, script, img[src=x], [onload], [onmouseover], [onerror]").count()
    shown = output.inner_text()
    for token in HOSTILE[:4]:
        assert token.replace(" ", "").replace("\n", "") in re.sub(r"[\s·\u200b]", "", shown), token
    button(output, texts.KEEP).click()
    left(book)
    assert page.evaluate("() => window.hacked") is None and "onerror" in book.output(1).inner_text()


def test_runs_are_compared_and_axes_stay(look):
    _, output = look("run-1 run-3")
    expect(output.locator("img").first).to_be_visible()
    assert "run-1" in output.inner_text() and "run-3" in output.inner_text()
    wide = "img => [img.naturalWidth, img.naturalHeight]"
    before, picture = output.locator("img").first.evaluate(wide), output.locator("img").first.get_attribute("src")
    output.get_by_label(re.compile("run-3 lora")).uncheck()
    expect(output.locator("img").first).not_to_have_attribute("src", picture)
    assert output.locator("img").first.evaluate(wide) == before


@pytest.mark.parametrize("line", ["run-1", "run-2", "run-4", "run-1 run-3"])
def test_explorers_can_be_read_and_named_and_fit(lab, look, line):
    _, output = look(line)
    for theme in (LIGHT, DARK):
        lab.theme(theme)
        for chooser in output.locator("select:visible").all():
            assert light_arrow(chooser) is (theme == DARK)
        for wide in (1180, 560):
            lab.size(wide)
            assert not hard_to_read(output), (theme, wide)
            assert not too_wide(output), (theme, wide)
    assert not nameless(output)


def test_a_kernel_that_ends_leaves_the_picture(look):
    book, _ = look("run-2")
    assert any(WIDGET in o.get("data", {}) for o in book.outputs(1))
    book.shut_down()
    assert "0.5" in left(book)["text/plain"]
    assert book.output(1).locator("table").last.is_visible()
