"""Results in JupyterLab: light, dark, wide, narrow, trusted or not, and with no kernel behind them."""

from __future__ import annotations

import re

from front_end import DARK, LIGHT
from page_checks import hard_to_read, nameless, too_wide

TRAIN = "%peft train lora --max-steps 20 --batch-size 8 --device cpu"


def test_results_can_be_read_in_both_themes_wide_and_narrow_and_by_anybody(lab, begin):
    book = lab.open(begin, TRAIN, "%peft show curves", "%peft plan lora", "%peft methods")
    for at in range(5):
        book.run(at)
        assert not book.error(at)
    for theme in (LIGHT, DARK):
        lab.theme(theme)
        for wide in (1180, 560):
            lab.size(wide)
            for at in range(1, 5):
                assert not hard_to_read(book.output(at)), (theme, wide, at)
                assert not too_wide(book.output(at)), (theme, wide, at)
    said = book.output(1).inner_text()
    assert "run-1" in said and "finished" in said
    book.save()
    book.close()
    copy = lab.copy(book)  # somebody else's, with no kernel behind it
    assert not copy.trusted()
    assert copy.output(1).inner_text() == said
    for theme in (LIGHT, DARK):
        lab.theme(theme)
        assert not hard_to_read(copy.output(1))


def test_what_is_wrong_on_a_page_is_found(browser):
    page = browser.new_page()
    page.set_content(
        """<div id=all style="width:300px;background:#fff;color:#222">
        <p>dark on light</p><p style="color:#bbb">pale</p><p style="opacity:.3">faded</p>
        <div style="background:#111">unseen <b style="color:#eee">seen</b></div>
        <button style="width:400px">long</button><div style="overflow:auto"><table><td>scrolls</table></div>
        <label>named <input></label><input id=nobody></div>"""
    )
    place = page.locator("#all")
    bad = [re.match("'(.*)'", said)[1] for said in hard_to_read(place)]
    assert bad == ["pale", "faded", "unseen"]
    assert too_wide(place) == ["BUTTON long"]
    assert len(nameless(place)) == 1
    page.close()
