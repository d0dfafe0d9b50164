"""The panel in JupyterLab: pick, see the plan, train, stop; and what is left of it, whatever happens."""

from __future__ import annotations

import re
import shutil

import nbformat
import pytest
from front_end import DARK, LIGHT, WIDGET, button
from page_checks import hard_to_read, light_arrow, nameless, too_wide
from playwright.sync_api import expect

from peft_lab.texts import panels as texts

LONG = 180_000
"""Milliseconds in which a process of its own has loaded its libraries and trains, on a busy machine."""
GOES_ON = re.compile(r"step [1-9]")
STATIC = "outputs => outputs.length && !JSON.stringify(outputs).includes('widget-view')"
OWN = """
from typing import ClassVar
from pydantic import BaseModel, Field
from pluggy_specs import Method

class Nudge(Method):
    name: ClassVar[str] = "nudge"
    summary: ClassVar[str] = "trains what is named so"
    class Options(BaseModel):
        strength: int = Field(3, ge=1, le=9, description="how hard it is pushed")
        side: bool = Field(False, description="whether from the side")
    def attach(self, model, context):
        for name, parameter in model.named_parameters():
            parameter.requires_grad_("bias" in name)

lab.add(Nudge)
"""


def test_the_panel_trains_on_helpdesk_pauses_goes_on_and_stops(lab, begin):
    book = lab.open(begin, "%peft panel bitfit --model minilm --data helpdesk --device cpu --epochs 50", "1 + 1")
    book.run(0)
    book.run(1)
    assert not book.error(1)
    panel = book.widgets(1)
    button(panel, texts.TRAIN).click()
    expect(panel).to_contain_text(GOES_ON, timeout=LONG)
    book.run(2)  # other cells can be run meanwhile
    assert not hard_to_read(panel)
    button(panel, texts.PAUSE).click()
    expect(panel).to_contain_text("Paused at step", timeout=LONG)
    button(panel, texts.RESUME).click()
    expect(panel).to_contain_text(GOES_ON, timeout=LONG)
    button(panel, texts.STOP).click()
    book.waits_for(1, STATIC, 120)
    said = book.output(1).inner_text().replace("\xa0", " ")
    assert "run-1" in said and "stopped at step" in said
    assert "%peft train bitfit --model minilm --data helpdesk" in said
    for theme in (LIGHT, DARK):
        lab.theme(theme)
        assert not hard_to_read(book.output(1))
    saved = book.save()
    nbformat.validate(saved)
    assert "widgets" not in saved.metadata and WIDGET not in str(saved.cells[1].outputs)


def test_methods_of_others_are_there_with_their_options(lab, begin, books, request):
    # One is written in the notebook; one is installed: a distribution with an entry point.
    installed = OWN.replace("lab.add(Nudge)", "").replace("nudge", "shove").replace("Nudge", "Shove")
    offered = "\nfrom pluggy_specs import hookimpl\n@hookimpl\ndef register_methods():\n    return [Shove]\n"
    (books / "shove.py").write_text(installed + offered)
    about = books / "shove-0.1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: shove\nVersion: 0.1.0\n")
    (about / "entry_points.txt").write_text("[peft_lab]\nshove = shove\n")
    request.addfinalizer(lambda: (shutil.rmtree(about), (books / "shove.py").unlink()))
    book = lab.open(begin, OWN, "%peft panel nudge")
    for at in range(3):
        book.run(at)
        assert not book.error(at)
    panel = book.widgets(2)
    expect(panel).to_contain_text("how hard it is pushed")
    expect(panel.get_by_label("strength")).to_be_visible()
    panel.get_by_label("strength").fill("12")
    panel.get_by_label("strength").press("Tab")
    expect(button(panel, texts.TRAIN)).to_be_disabled()  # out of its bounds
    panel.get_by_label("strength").fill("7")
    panel.get_by_label("strength").press("Tab")
    expect(button(panel, texts.TRAIN)).to_be_enabled()
    expect(panel.locator("textarea").first).to_have_value(re.compile("--strength 7"))
    method = panel.locator("select:visible").first
    shove = method.evaluate("at => [...at.options].findIndex(one => one.label.startsWith('shove'))")
    method.select_option(index=shove)
    expect(panel.locator("textarea").first).to_have_value(re.compile("^%peft train shove"))


def test_run_again_the_cell_has_one_panel_and_no_more_widgets(lab, begin):
    count = "import ipywidgets\nprint(len(ipywidgets.widgets.widget._instances))"
    book = lab.open(begin, "%peft panel lora", count)
    book.run(0)
    found = []
    for _ in range(3):
        book.run(1)
        expect(button(book.widgets(1), texts.TRAIN)).to_be_visible()
        assert sum(WIDGET in o.get("data", {}) for o in book.outputs(1)) == 1
        book.run(2)
        found.append(int(book.outputs(2)[0]["text"]))
    assert found[0] == found[2], found


def test_the_panel_can_be_read_and_named_and_fits(lab, begin):
    book = lab.open(begin, "%peft panel lora+anchor --device cpu")
    book.run(0)
    book.run(1)
    panel = book.widgets(1)
    expect(panel).to_contain_text("1,330 of 7,458", timeout=LONG)  # the plan
    for theme in (LIGHT, DARK):
        lab.theme(theme)
        assert light_arrow(panel.locator("select:visible").first) is (theme == DARK)
        for wide in (1180, 560):
            lab.size(wide)
            assert not hard_to_read(panel), (theme, wide)
            assert not too_wide(panel), (theme, wide)
    assert not nameless(panel)


@pytest.mark.parametrize("end", ["shut_down", "restart", "kill"])
def test_however_the_kernel_ends_no_dead_panel_is_seen(lab, begin, end):
    book = lab.open(begin, "%peft panel lora")
    book.run(0)
    book.run(1)
    expect(button(book.widgets(1), texts.TRAIN)).to_be_visible()
    getattr(book, end)()
    expect(book.output(1)).to_contain_text("%peft train lora")
    expect(button(book.output(1), texts.TRAIN)).to_be_hidden()
    nbformat.validate(book.save())
    book.close()
    again = lab.show(book.file, kernel=False)
    expect(again.output(1)).to_contain_text("%peft train lora", use_inner_text=True)
    for words in ("model not found", "Loading widget"):
        expect(again.output(1)).not_to_contain_text(words, use_inner_text=True)
    assert not hard_to_read(again.output(1))
    again.close()
    copy = lab.copy(book)
    assert not copy.trusted()
    expect(copy.output(1)).to_contain_text("%peft train lora", use_inner_text=True)
