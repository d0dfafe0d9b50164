"""Places of panels: one for an execution of a cell, static when it is over, and nothing dead left behind."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
import time
from queue import Empty

import ipywidgets as widgets
import pytest
from jupyter_client.manager import start_new_kernel

from peft_lab.notebook.panels import place as module
from peft_lab.notebook.panels.place import WIDGET, Place, Places, close_all
from peft_lab.notebook.panels.twin import beside_widget


class Handle:
    """An output of a notebook."""

    def __init__(self, bundle):
        self.bundle, self.updates = dict(bundle), 0

    def update(self, bundle, raw):
        assert raw
        self.bundle, self.updates = dict(bundle), self.updates + 1


@pytest.fixture
def outputs(monkeypatch):
    """What was displayed, in order, each as it is now."""
    shown = []

    def display(bundle, raw, display_id):
        assert raw and display_id is True
        shown.append(Handle(bundle))
        return shown[-1]

    monkeypatch.setattr("IPython.display.display", display)
    return shown


def panel(cell="a", left=None):
    button = widgets.Button(description="press")
    left = left if left is not None else {"text/html": "<b>left</b>", "text/plain": "left"}
    return Place("panel", cell, widgets.VBox([button]), lambda: left)


@pytest.fixture
def places():
    made = Places()
    yield made
    made.forget()


def is_static(output):
    return WIDGET not in output.bundle


def alive(widget):
    return widget.comm is not None


def test_an_open_place_is_a_widget_with_static_words_for_where_there_are_no_widgets(outputs, places):
    place = places.show(panel())
    twin, view = outputs
    assert view.bundle[WIDGET]["model_id"] == place.widget.model_id
    assert view.bundle["text/html"] == "<b>left</b>" and view.bundle["text/plain"] == "left"
    assert is_static(twin) and "<b>left</b>" in twin.bundle["text/html"]
    assert re.search(r'class="peft-lab-twin" style="display:none"><b>left', twin.bundle["text/html"])


def test_closing_leaves_what_is_static_once(outputs, places):
    calls = []
    place = panel()
    place.closing += [lambda: calls.append("one"), lambda: 1 / 0, lambda: calls.append("two")]
    places.show(place)
    button = place.widget.children[0]
    for _ in range(2):
        place.close()
    twin, view = outputs
    assert view.bundle == {"text/html": "<b>left</b>", "text/plain": "left"} and view.updates == 1
    assert twin.bundle == {}, "an output without anything takes no room"
    assert calls == ["one", "two"]
    assert not alive(place.widget) and not alive(button) and not alive(button.layout) and not alive(button.style)
    assert places.here() == []


@pytest.mark.parametrize("static", [lambda: 1 / 0, dict])
def test_a_place_that_cannot_say_what_is_left_says_how_to_open_it_again(outputs, places, static):
    place = places.show(Place("explorer", "a", widgets.VBox(), static))
    assert "needs a notebook that shows widgets" in outputs[1].bundle["text/plain"]
    place.close()
    assert outputs[1].bundle["text/plain"] == "This explorer is closed. Run the cell again to open it."


def test_a_cell_that_runs_again_closes_what_it_opened(outputs):
    execution = ["1"]
    places = Places(execution=lambda: execution[0])
    first, beside = places.show(panel("a")), places.show(panel("a"))
    other = places.show(panel("b"))
    assert first.open and beside.open, "one execution of a cell may open two"
    execution[0] = "2"
    again = places.show(panel("a"))
    assert [p.open for p in (first, beside, other, again)] == [False, False, True, True]
    execution[0] = "3"
    unnamed = [places.show(panel("")) for _ in range(2)]
    assert all(p.open for p in unnamed), "nothing is known of the cell"
    places.forget()
    assert all(is_static(output) for output in outputs)


def instances():
    from ipywidgets.widgets.widget import _instances

    return _instances


def test_twenty_runs_of_a_cell_leave_the_widgets_of_one(outputs):
    execution = [0]
    places = Places(execution=lambda: str(execution[0]))
    known = instances()
    places.show(panel())
    count = len(known)
    for execution[0] in range(1, 21):
        places.show(panel())
    assert len(known) == count
    places.forget()


def test_one_that_fails_to_close_does_not_keep_the_others_open(outputs, places, monkeypatch):
    first, second = places.show(panel("a")), places.show(panel("b"))
    monkeypatch.setattr(first.handle, "update", lambda *a, **k: 1 / 0)
    places.close()
    assert not second.open and is_static(second.handle)


def test_the_twin_follows_what_changed_a_moment_later_and_no_longer_than_the_place_is_open(
    outputs, places, monkeypatch
):
    monkeypatch.setattr(module, "TWIN_AFTER", 0.05)
    left = {"text/html": "<b>old</b>", "text/plain": "old"}
    place = places.show(panel(left=left))
    left["text/html"] = "<b>new</b>"
    for _ in range(50):
        place.changed()
    assert "old" in outputs[0].bundle["text/html"]
    end = time.monotonic() + 5
    while "new" not in outputs[0].bundle["text/html"]:
        assert time.monotonic() < end
        time.sleep(0.01)
    assert outputs[0].updates == 1, "changes that come together are told once"
    left["text/html"] = "<b>newest</b>"
    place.changed()
    while "newest" not in outputs[0].bundle["text/html"]:
        assert time.monotonic() < end
        time.sleep(0.01)
    assert WIDGET in outputs[1].bundle and outputs[1].updates == 0
    place.changed()
    place.close()
    place.changed()
    time.sleep(0.15)
    assert outputs[0].bundle == {}


def test_closing_in_two_threads_at_once_closes_once(outputs, places):
    calls = []
    place = panel()
    place.closing.append(lambda: (calls.append(1), time.sleep(0.05)))
    places.show(place)
    threads = [threading.Thread(target=place.close) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1 and outputs[1].updates == 1


def test_a_kernel_that_ends_while_a_panel_is_being_shown_leaves_it_static(outputs, monkeypatch):
    import IPython.display

    places = Places()
    display, ends = IPython.display.display, threading.Thread(target=places.close, args=(True,))

    def seen_at_once(bundle, **more):
        handle = display(bundle, **more)
        if WIDGET in bundle:  # a front end that answers before this returns
            ends.start()
            ends.join(0.2)
        return handle

    monkeypatch.setattr("IPython.display.display", seen_at_once)
    place = places.show(panel())
    ends.join(5)
    twin, view = outputs
    assert not place.open and view.bundle == {"text/html": "<b>left</b>", "text/plain": "left"} and twin.bundle == {}
    places.forget()


def test_the_kernel_keeps_its_own_way_to_shut_down(outputs):
    class Kernel:
        def do_shutdown(self, restart):
            return {"status": "ok", "restart": restart}

    kernel = Kernel()
    places = Places(kernel)
    place = places.show(panel())
    assert kernel.do_shutdown(True) == {"status": "ok", "restart": True}
    assert not place.open
    places.forget()
    before = places.show(panel())
    kernel.do_shutdown(False)
    assert before.open, "nothing is done once the extension has gone"
    before.close()


def test_closing_a_widget_closes_all_that_it_holds():
    inner = widgets.HTML("x")
    text = widgets.IntSlider()
    box = widgets.Accordion([widgets.HBox([inner, text])])
    close_all(box)
    assert not any(alive(w) for w in (box, *box.children, inner, text, text.style, text.layout))


def test_a_twin_is_hidden_where_style_sheets_are_dropped():
    html = beside_widget("<i>always</i>", "<b>instead</b>")
    without = re.sub(r"<style>.*?</style>", "", html)
    assert 'style="display:none"><b>instead</b>' in without and "<i>always</i>" in without
    assert "script" not in html and "http" not in html


# --- real kernels -----------------------------------------------------------------------------------------------------

OPEN = """
import ipywidgets, sys
from peft_lab.notebook.panels.place import Place, Places
places = Places(get_ipython().kernel)
left = {"text/html": "<b>left</b>", "text/plain": "left"}
place = places.show(Place("panel", "a", ipywidgets.VBox([ipywidgets.Button()]), lambda: left))
"""


@pytest.mark.parametrize("ends", ["idle", "busy", "by exit()"])
def test_a_kernel_that_ends_leaves_static_outputs(ends):
    manager, client = start_new_kernel(stderr=subprocess.DEVNULL, env={**_env()})
    try:
        seen = []
        client.execute(OPEN)
        gather(client, seen, lambda: len(of(seen, "display_data")) == 2)
        view = of(seen, "display_data")[1]["content"]
        assert WIDGET in view["data"]
        if ends == "busy":
            client.execute("print('begun')\nimport time\ntime.sleep(30)")
            gather(client, seen, lambda: of(seen, "stream"))
        began = time.monotonic()
        client.execute("exit()") if ends == "by exit()" else client.shutdown()
        gather(client, seen, lambda: len(of(seen, "update_display_data")) == 2)
        assert time.monotonic() - began < 3
        left = {m["content"]["transient"]["display_id"]: m["content"]["data"] for m in of(seen, "update_display_data")}
        assert left.pop(view["transient"]["display_id"]) == {"text/html": "<b>left</b>", "text/plain": "left"}
        assert list(left.values()) == [{}]
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def _env():
    import os

    return {**os.environ, "OMP_NUM_THREADS": "1"}


def of(messages, kind):
    return [m for m in messages if m["msg_type"] == kind]


def gather(client, seen, until, limit=30):
    end = time.monotonic() + limit
    while not until():
        assert time.monotonic() < end, json.dumps([m["msg_type"] for m in seen])
        try:
            seen.append(client.get_iopub_msg(timeout=0.1))
        except Empty:
            continue


def test_places_are_kept_out_of_a_terminal():
    code = (
        "from IPython.core.interactiveshell import InteractiveShell as S; ip = S.instance(); "
        "ip.run_line_magic('load_ext', 'peft_lab')\n"
        "try: ip.run_line_magic('peft', 'panel')\n"
        "except Exception as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=_env())
    assert "a terminal shows no widgets" in done.stdout
