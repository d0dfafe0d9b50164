"""Stopping a cell that is busy training: by its button, and by an interrupt."""

from __future__ import annotations

import re
import time

import pytest
from front_end import WIDGET, button
from page_checks import hard_to_read
from playwright.sync_api import expect

from peft_lab.texts import panels as texts

LONG = "%peft train lora --epochs 5000 --batch-size 8 --device cpu"


@pytest.fixture
def training(lab, begin):
    """A notebook whose second cell trains for many minutes, with one more behind it."""
    book = lab.open(begin, LONG, "after = 1")
    book.run_all()
    expect(book.output(1)).to_contain_text(re.compile(r"step [1-9]"), timeout=120_000)
    return book


def ended_by_hand(book):
    """Once the cell has failed as it should, the run kept and no button left."""
    book.done_all()
    assert "Stopped by you at step" in book.output(1).inner_text()
    assert "Kept as run-1" in book.output(1).inner_text()
    assert not book.outputs(2) and book.js("return panel.content.widgets[2].model.executionCount") is None
    assert not any(WIDGET in output.get("data", {}) for cell in book.save().cells for output in cell.outputs)
    assert not book.widgets(1).count()


def test_the_stop_button_of_a_busy_cell_stops_it(training):
    stop = button(training.output(1), texts.STOP)
    expect(stop).to_be_visible(timeout=60_000)  # it comes once it is known to work
    assert training.busy(1)
    expect(training.output(1)).to_contain_text(texts.STOP_OR_INTERRUPT)
    assert not hard_to_read(training.output(1))
    began = time.monotonic()
    stop.click()
    ended_by_hand(training)
    # A step takes milliseconds here; the rest is to keep and to score what was trained, and a busy machine.
    assert time.monotonic() - began < 30


def test_an_interrupt_stops_at_a_step_and_cells_behind_do_not_run(training):
    training.interrupt()
    ended_by_hand(training)
