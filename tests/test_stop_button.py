"""Stop in a busy cell: shown once a front end was heard, gone with the training, and never there where it is deaf.

The front end is played here, by the messages that JupyterLab sends: it makes a subshell when the first widget opens,
carries out links between traits, and presses buttons.
"""

from __future__ import annotations

import re
import threading
import time
from queue import Empty

import ipywidgets as widgets
import pytest
from test_kernel import Cell, Kernel, place, plain  # noqa: F401

from peft_lab.notebook import live
from peft_lab.notebook.panels import stop_button
from peft_lab.notebook.panels.hearing import hear_while_busy
from peft_lab.notebook.panels.place import WIDGET
from peft_lab.notebook.panels.stop_button import StopButton
from peft_lab.run import Run
from peft_lab.training.progress import Progress

LONG = "%peft train full --epochs 10000 --batch-size 4"


class FrontEnd:
    """A page that shows widgets, of a kernel.

    Args:
        subshells: whether it speaks in a subshell, as JupyterLab does.
    """

    def __init__(self, kernel, subshells=True):
        self.kernel, self.client, self.subshells = kernel, kernel.client, subshells
        self.subshell = None
        self.models, self.closed, self.views = {}, set(), {}
        self.cells = {}

    def start(self, code, **metadata):
        """Run a cell as a notebook does; its outputs are gathered by the others."""
        message = self.client.session.msg(
            "execute_request",
            {"code": code, "silent": False, "store_history": True, "user_expressions": {}, "stop_on_error": True},
            metadata=metadata,
        )
        self.client.shell_channel.send(message)
        cell = self.cells[message["header"]["msg_id"]] = Cell()
        return cell

    def until(self, what, limit=240):
        """Play the page until something is so."""
        end = time.monotonic() + limit
        while not what():
            assert time.monotonic() < end, "waited too long"
            for channel in (self.client.iopub_channel, self.client.shell_channel):
                try:
                    self._take(channel.get_msg(timeout=0.01))
                except Empty:
                    continue

    def ended(self, cell):
        return bool(cell.reply) and any(
            m["content"]["execution_state"] == "idle" for m in cell.messages if m["msg_type"] == "status"
        )

    def say(self, comm, data):
        message = self.client.session.msg("comm_msg", {"comm_id": comm, "data": data})
        if self.subshell:
            message["header"]["subshell_id"] = self.subshell
        self.client.shell_channel.send(message)

    def button(self):
        """The button that is seen now."""
        shown = [view for view in self.views.values() if view in self.models and view not in self.closed]
        return next((v for v in shown if self.models[v]["_model_name"] == "ButtonModel"), None)

    def click(self):
        self.say(self.button(), {"method": "custom", "content": {"event": "click"}})

    def _take(self, message):
        kind, content = message["msg_type"], message["content"]
        cell = self.cells.get(message["parent_header"].get("msg_id"))
        if kind == "execute_reply" and cell:
            cell.reply = content
        elif cell:
            cell.messages.append(message)
        if kind == "comm_open":
            self._open(content["comm_id"], content["data"]["state"])
        elif kind == "comm_msg" and content["data"].get("method") == "update":
            self.models.setdefault(content["comm_id"], {}).update(content["data"]["state"])
        elif kind == "comm_close":
            self.closed.add(content["comm_id"])
        elif kind in ("display_data", "update_display_data"):
            view = content["data"].get(WIDGET, {}).get("model_id")
            self.views[content["transient"]["display_id"]] = view

    def _open(self, comm, state):
        if self.subshells and self.subshell is None and not self.models:
            self._make_subshell()
        self.models[comm] = state
        if state["_model_name"] == "DirectionalLinkModel":
            (source, one), (target, other) = state["source"], state["target"]
            value = self.models[source.removeprefix("IPY_MODEL_")][one]
            target = target.removeprefix("IPY_MODEL_")
            self.say(target, {"method": "update", "state": {other: value}, "buffer_paths": []})

    def _make_subshell(self):
        request = self.client.session.msg("create_subshell_request")
        self.client.control_channel.send(request)
        reply = self.client.control_channel.get_msg(timeout=20)
        assert reply["parent_header"]["msg_id"] == request["header"]["msg_id"]
        self.subshell = reply["content"]["subshell_id"]


@pytest.fixture(scope="module")
def kernel(place):  # noqa: F811
    made = Kernel(place)
    ready = made.client.execute("%load_ext peft_lab\nlab.model, _ = 'tiny', lab.data('colours.csv')")
    made.finish({ready: Cell()}, limit=120)
    yield made
    made.manager.shutdown_kernel(now=True)
    made.client.stop_channels()


def training(cell):
    return any("· training · step" in plain(m) for m in cell.of("update_display_data") if m["content"]["data"])


def test_the_button_stops_a_busy_cell_at_a_step_and_leaves_nothing(kernel):
    page = FrontEnd(kernel)
    cell, queued = page.start(LONG, cellId="a"), page.start("print('went on')", cellId="b")
    page.until(lambda: page.button() and training(cell))
    shown = page.models[page.button()]
    assert shown["description"] == "Stop" and shown["tooltip"] and not shown["disabled"]
    (text,) = {m["content"]["transient"]["display_id"] for m in cell.of("display_data")} - {
        name for name, view in page.views.items() if view
    }
    page.until(lambda: "Stop or Interrupt ends it" in last(cell, text))

    run = Run(sorted((kernel.folder / "runs").glob("run-*"), key=lambda p: int(p.name[4:]))[-1].resolve())
    page.until(lambda: run.progress.get("step"))  # on disk it stands later than on the page
    progress, asked = run.progress, time.monotonic()
    name = page.button()
    page.click()
    page.until(lambda: page.models[name]["disabled"])
    heard = time.monotonic() - asked
    assert page.models[name]["description"] == "Stopping after this step"
    assert not page.ended(cell), "the button answers while the cell is busy"
    page.until(lambda: page.ended(cell) and page.ended(queued))

    assert heard < 1, f"the button was heard after {heard:.2f} s"
    done, speed = run.record["steps"]["done"], progress["step"] / max(progress["seconds"], 0.1)
    # The progress on disk is up to half a second old, and steps are uneven on a busy machine.
    assert done <= progress["step"] + 3 * speed + 2, "it went on for more than a second"
    assert run.status == "stopped"

    assert cell.reply["status"] == "error" and queued.reply["status"] == "aborted"
    (error,) = cell.of("error")
    assert error["content"]["traceback"] == [
        f"Stopped by you at step {done:,} of 540,000.",
        f"Kept as {run.id}: %peft show {run.id}, or lab.last",
    ]
    assert page.closed >= set(page.models), "no widget is left in the page"
    left = {
        m["content"]["transient"]["display_id"]: m["content"]["data"] for m in cell.outputs if "data" in m["content"]
    }
    assert left.pop(text)["text/plain"].startswith(f"{run.id}  ■ stopped")
    assert list(left.values()) == [{}], "the button's output takes no room"
    assert kernel.value("len(__import__('ipywidgets').widgets.widget._instances)") == 0


def last(cell, display):
    found = [
        m["content"]["data"] for m in cell.outputs if m["content"].get("transient", {}).get("display_id") == display
    ]
    return found[-1]["text/plain"]


def test_where_a_busy_cell_is_deaf_there_is_no_button(kernel):
    page = FrontEnd(kernel, subshells=False)
    cell = page.start(LONG, cellId="a")
    began = time.monotonic()
    page.until(lambda: training(cell) and time.monotonic() - began > 4)
    assert any(state["_model_name"] == "DirectionalLinkModel" for state in page.models.values()), "it was asked"
    assert page.button() is None
    kernel.manager.interrupt_kernel()
    page.until(lambda: page.ended(cell))
    assert cell.reply["status"] == "error"
    assert all("Stop or Interrupt" not in plain(m) for m in cell.outputs if m["msg_type"] == "update_display_data")
    assert not any(WIDGET in m["content"]["data"] for m in cell.of("display_data"))
    assert page.closed >= set(page.models)


def test_what_carries_out_a_notebook_without_showing_it_is_told_of_no_widget(kernel):
    page = FrontEnd(kernel)
    cell = page.start("%peft train full --max-steps 300")
    page.until(lambda: page.ended(cell))
    assert cell.reply["status"] == "ok" and not page.models


def test_the_button_goes_with_a_training_that_ends_by_itself_or_fails(kernel):
    for code, status in (
        ("lab.train('full', max_steps=60); import time; time.sleep(0)", "ok"),
        ("import peft_lab.training.loop\nlab.train('full', epochs=10000, learning_rate=1e30)", "error"),
    ):
        page = FrontEnd(kernel)
        cell = page.start(code, cellId="a")
        page.until(lambda page=page, cell=cell: page.ended(cell))
        assert cell.reply["status"] == status
        assert page.models and page.closed >= set(page.models)
        assert not any(view for view in page.views.values())


@pytest.mark.parametrize("subshells", [True, False])
def test_the_check_says_whether_a_button_would_work(kernel, subshells):
    page = FrontEnd(kernel, subshells)
    ask = "from peft_lab.notebook.panels.stop_button import stop_probe\nprint(stop_probe(get_ipython()))"
    began = time.monotonic()
    cell = page.start(ask, cellId="a")
    page.until(lambda: page.ended(cell))
    assert f"works={subshells}" in cell.text()
    assert time.monotonic() - began < 5
    assert page.closed >= set(page.models)
    assert "works=None" in kernel.run(ask).text(), "nothing is known of a front end that names no cells"


# --- without a kernel -------------------------------------------------------------------------------------------------


class Heard(stop_button.Probe):
    def heard(self):
        return True


def test_a_press_stops_once(monkeypatch):
    shown = []
    monkeypatch.setattr(stop_button, "Probe", Heard)
    monkeypatch.setattr("IPython.display.display", lambda bundle, **how: shown.append(dict(bundle)) or Output(shown))
    stops = []
    button = StopButton(lambda: stops.append(1))
    assert not button.shown and not shown
    button.look()
    button.look()
    assert len(shown) == 1 and button.shown
    for _ in range(3):
        button.button.click()
    assert stops == [1] and button.button.disabled
    button.close()
    button.close()
    assert shown == [shown[0], {}] and button.button.comm is None


class Output:
    def __init__(self, shown):
        self.shown = shown

    def update(self, bundle, raw):
        self.shown.append(dict(bundle))


def test_an_answer_in_the_thread_that_was_busy_is_none():
    """It waited for the cell, as a press of the button would."""
    probe = stop_button.Probe()
    probe._began -= 10
    assert not probe.heard()
    target = next(w for w in probe._widgets if isinstance(w, widgets.Layout) and w.width == "1px")
    target.height = "1px"
    assert not probe.heard()
    thread = threading.Thread(target=lambda: target.set_trait("height", "2px"))
    thread.start()
    thread.join()
    assert probe.heard()
    probe.close()
    assert not probe._widgets


def test_a_kernel_without_the_private_attribute_is_left_as_it_is():
    class Comm:
        pass

    class Anything:
        comm = Comm()

    hear_while_busy(Anything())
    assert not vars(Anything.comm)
    Anything.comm._reply_subshell_for = lambda data, default: "main"
    hear_while_busy(Anything())
    assert Anything.comm._reply_subshell_for({}, "theirs") == "theirs"


class Kernelled:
    """A shell whose kernel says what it supports."""

    def __init__(self, features):
        info = {"supported_features": features}
        self.kernel = type("Kernel", (), {"kernel_info": info})
        self.parent_header = {"metadata": {"cellId": "a"}}


@pytest.mark.parametrize("trouble", ["old kernel", "no widgets", "widgets fail"])
def test_where_a_button_cannot_be_the_live_view_is_as_without_it(monkeypatch, trouble):
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda bundle, **how: shown.append(dict(bundle)) or Output(shown))
    if trouble == "no widgets":
        monkeypatch.setitem(__import__("sys").modules, "peft_lab.notebook.panels.stop_button", None)
    if trouble == "widgets fail":
        monkeypatch.setattr(stop_button.Probe, "heard", lambda probe: 1 / 0)
    screen = live.InNotebook(lambda run: None, Kernelled([] if trouble == "old kernel" else ["kernel subshells"]))
    screen.begin(lambda: None)
    progress = Progress()
    for _ in range(3):
        progress.update(phase="training")
        screen.paint(progress, 0)
    screen.close(None, returned=False)
    assert all(WIDGET not in bundle for bundle in shown)
    assert "Interrupt stops after this step" in shown[0]["text/plain"]
    assert not re.search("Stop or Interrupt", str(shown))


def test_waiting_says_what_an_interrupt_ends(monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda bundle, **how: shown.append(dict(bundle)) or Output(shown))
    screen = live.InNotebook(lambda run: None, Kernelled(["kernel subshells"]))
    screen.begin(None)
    screen.paint(Progress(), 0)
    assert "Interrupt ends the waiting" in shown[0]["text/plain"] and screen.button is None
