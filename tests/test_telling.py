"""How far something is that leaves no run: said where somebody can read it, and gone afterwards."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from peft_lab.notebook import telling
from peft_lab.notebook.telling import InNotebook, InTerminal

KERNELLED = SimpleNamespace(kernel=object())


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(telling, "LINE_EVERY", 0.0)
    monkeypatch.setattr(telling, "TEXT_SHARE", 1e9)


@pytest.fixture
def shown(monkeypatch):
    """What an output of a cell holds, one state after another."""
    states = []
    handle = SimpleNamespace(update=lambda bundle, raw: states.append(bundle))
    monkeypatch.setattr("IPython.display.display", lambda bundle, raw, display_id: states.append(bundle) or handle)
    return states


def test_in_a_notebook_an_output_is_updated_and_left_empty(shown):
    with telling.telling(KERNELLED, True) as progress:
        progress.update(phase="finding roles: step 1 of 18")
        progress.update(phase="finding roles: step <b>2</b> of 18")
    assert [state["text/plain"] for state in shown] == [
        "finding roles: step 1 of 18",
        "finding roles: step <b>2</b> of 18",
        "",
    ]
    assert all(set(state) == {"text/plain"} for state in shown)


def test_what_fails_leaves_no_line(shown):
    with pytest.raises(KeyboardInterrupt), telling.telling(KERNELLED, True) as progress:
        progress.update(phase="finding roles: step 1 of 18")
        raise KeyboardInterrupt
    assert shown[-1] == {"text/plain": ""}


def test_in_a_terminal_a_line_is_written_over(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with telling.telling(None, True) as progress:
        assert isinstance(progress, InTerminal)
        progress.update(phase="loading model")
        progress.update(phase="row 1")
    said = capsys.readouterr()
    assert said.err == f"\rloading model\rrow 1{' ' * 8}\r{' ' * 13}\r"
    assert not said.out


@pytest.mark.parametrize(("shell", "live"), [(KERNELLED, False), (None, True), (None, False)])
def test_nothing_moves_where_nothing_may(shell, live, shown, capsys):
    with telling.telling(shell, live) as progress:
        progress.update(phase="loading model")
    assert not isinstance(progress, (InTerminal, InNotebook))
    assert not shown and capsys.readouterr().err == ""


def test_what_is_done_in_a_moment_needs_no_line(shown, monkeypatch):
    monkeypatch.setattr(telling, "LINE_EVERY", 60.0)
    with telling.telling(KERNELLED, True) as progress:
        progress.update(phase="loading model")
    assert not shown
