"""Plan, train, pause, resume and stop in a panel: what is said, what is kept, and that nothing is left behind."""

from __future__ import annotations

import io
import json
import random
import re
import signal
import threading
import time

import psutil
import pytest
from ipywidgets.widgets.widget import _instances

from peft_lab.lab import Lab
from peft_lab.notebook.panels import planning
from peft_lab.notebook.panels.place import close_all
from peft_lab.notebook.panels.plan_process import PlanProcess
from peft_lab.notebook.panels.planner import Planner
from peft_lab.notebook.panels.trainer import Trainer
from peft_lab.notebook.watching import Elsewhere
from peft_lab.run import Run
from peft_lab.testing import tiny_lab, tiny_model, tiny_rows
from pluggy_specs import Method

FAST = {"device": "cpu", "precision": "fp32"}
LONG = {**FAST, "epochs": 2000, "batch_size": 4}


class Mine(Method):
    """A method as somebody writes it in a cell."""

    name, summary = "mine", "all biases"

    def attach(self, model, context):
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(name.endswith("bias"))


@pytest.fixture
def seen(tmp_path):
    """A lab whose model and data another process finds, too."""
    lab = Lab(tmp_path / "runs")
    model, data = tiny_model(tmp_path / "model"), tmp_path / "rows.jsonl"
    data.write_text("\n".join(json.dumps(row) for row in tiny_rows(120)))
    lab.recipe("head", model=str(model), data=str(data))
    yield lab
    end_all(lab)


@pytest.fixture
def here(tmp_path):
    """A lab whose model, data and method are known to this process only."""
    lab = tiny_lab(tmp_path, Mine)
    yield lab
    end_all(lab)


def end_all(lab):
    for run in (Run(path) for path in lab.folder.glob("run-*")):
        if run.active:
            run.stop()
            until(lambda run=run: not run.active)


def until(done, seconds=120):
    end = time.monotonic() + seconds
    while not (found := done()):
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)
    return found


def asks(methods="lora", settings=None, **more):
    return {"methods": methods, "model": None, "data": None, "settings": FAST if settings is None else settings, **more}


def text_of(html):
    return plain_of(html.value)


def plain_of(markup):
    return " ".join(re.sub(r"<[^>]+>", " ", markup).split())


def threads():
    return sorted(thread.name for thread in threading.enumerate() if thread.name.startswith("peft_lab"))


def offered(trainer):
    """The buttons that can be pressed, as a person reads them."""
    buttons = (trainer.train_button, trainer.pause_button, trainer.stop_button, trainer.instead_button)
    return [button.description for button in buttons if not button.disabled and button.layout.display != "none"]


def far(trainer, step=2):
    return trainer.run and trainer.state == "running" and (trainer.run.progress.get("step") or 0) >= step


# --- in a thread of this kernel ---------------------------------------------------------------------------------------


def test_train_pause_resume_and_stop(here):
    trainer, ended = Trainer(here, lambda: asks("mine", LONG)), []
    trainer.on_end(ended.append)
    assert offered(trainer) == ["Train"]
    trainer.train_button.click()
    trainer.train_button.click()
    until(lambda: far(trainer))
    assert offered(trainer) == ["Pause", "Stop"]
    assert "was added in this notebook" in text_of(trainer.note) and "trains in this kernel" in text_of(trainer.note)
    assert until(lambda: "step" in text_of(trainer.region)) and "run-1" in text_of(trainer.region)
    assert "Interrupt" not in text_of(trainer.region), "an interrupt does nothing to it"

    trainer.pause_button.click()
    asked = time.monotonic()
    until(lambda: trainer.state == "paused")
    assert time.monotonic() - asked < 20
    assert offered(trainer) == ["Resume", "Stop"]
    done = trainer.run.record["steps"]["done"]
    assert f"Paused at step {done:,} of " in text_of(trainer.note) and not ended
    assert trainer.run.status == "stopped" and (trainer.run.path / "weights.safetensors").exists()
    assert "%peft resume run-1" in trainer.static()["text/plain"]

    trainer.pause_button.click()
    until(lambda: far(trainer, done + 2))
    trainer.stop_button.click()
    assert offered(trainer) == []
    (run,) = until(lambda: ended)
    assert run.id == "run-1" and run.status == "stopped" and here.last.id == "run-1"
    assert run.record["steps"]["done"] > done and len(run.record["resumed"]) == 1
    assert "■ stopped at step" in text_of(trainer.region)
    assert offered(trainer) == ["Train"]
    assert len(list(here.folder.glob("run-*"))) == 1, "pressed twice, Train began one run"
    trainer.close()
    until(lambda: not threads(), 5)


def test_stop_ends_a_paused_run(here):
    trainer, ended = Trainer(here), []
    trainer.on_end(ended.append)
    trainer.start(asks("mine", LONG))
    trainer.pause()  # before there is a run
    until(lambda: trainer.state == "paused")
    trainer.stop_button.click()
    assert [run.id for run in ended] == ["run-1"] and offered(trainer) == ["Train"]
    trainer.close()


def test_pause_that_comes_too_late_is_an_end(here):
    trainer, ended = Trainer(here), []
    trainer.on_end(ended.append)
    trainer.start(asks("mine", {**FAST, "max_steps": 1}))
    until(lambda: trainer.run and trainer.run.progress.get("phase") in ("testing", "saving", "finished"))
    trainer.pause()
    (run,) = until(lambda: ended)
    assert run.status == "finished" and offered(trainer) == ["Train"]
    trainer.close()


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (asks("lora", {"rnk": 8}), "'rnk' is no setting of lora. Did you mean 'rank'?"),
        (asks("lora", {"rank": 0}), "lora: rank: input should be greater than or equal to 1, not 0"),
        (asks("lorra"), "no method named 'lorra'. Did you mean 'lora'?"),
    ],
)
def test_a_wrong_call_is_a_sentence(here, call, said):
    trainer = Trainer(here)
    trainer.start(call)
    until(lambda: text_of(trainer.note))
    assert said.replace("'", "&#x27;") in text_of(trainer.note)
    assert "Traceback" not in trainer.note.value and not trainer.region.value
    assert offered(trainer) == ["Train"] and not list(here.folder.glob("run-*"))
    trainer.close()


def test_hostile_words_do_not_execute(here):
    trainer = Trainer(here)
    trainer.start(asks("<img src=x onerror=alert(1)>"))
    until(lambda: text_of(trainer.note))
    assert "<img" not in trainer.note.value and "&lt;img" in trainer.note.value
    trainer.close()


def test_a_run_that_fails_says_why_and_can_be_tried_again(here):
    trainer, ended = Trainer(here), []
    trainer.on_end(ended.append)
    trainer.start(asks("mine", {**FAST, "learning_rate": 1e30}))
    until(lambda: trainer.state == "broken")
    assert re.search(r"run-1 failed: .* Lower --learning-rate", text_of(trainer.note))
    assert "%peft resume run-1" in text_of(trainer.note) and "✗ failed" in text_of(trainer.region)
    assert offered(trainer) == ["Train", "Resume"] and not ended
    trainer.start(asks("mine", {**FAST, "max_steps": 1}))
    (run,) = until(lambda: ended)
    assert run.id == "run-2" and not text_of(trainer.note)
    trainer.close()


def test_unknown_data_is_a_sentence(here):
    trainer = Trainer(here)
    trainer.start(asks("mine", data="nowhere.csv"))
    until(lambda: trainer.state == "broken")
    assert "run-1 failed" in text_of(trainer.note) and "nowhere.csv" in text_of(trainer.note)
    assert "Traceback" not in trainer.note.value
    trainer.close()


def test_a_problem_of_the_form_keeps_train_from_being_pressed(here):
    trainer = Trainer(here, lambda: asks())
    trainer.problem = "rank must be 1 or more"
    assert offered(trainer) == [] and trainer.train_button.tooltip == "rank must be 1 or more"
    trainer.problem = ""
    assert offered(trainer) == ["Train"]
    trainer.close()


def test_one_run_at_a_time_on_a_base_model(here):
    first, second, ended, begun = Trainer(here), Trainer(here), [], []
    first.on_end(ended.append)
    second.on_end(ended.append)
    second.on_begin(lambda: begun.append(1))
    first.start(asks("mine", LONG))
    until(lambda: far(first))
    second.start(asks("mine", {**FAST, "max_steps": 1}))
    until(lambda: text_of(second.note))
    assert "run-1 is training on tiny now" in text_of(second.note)
    assert offered(second) == ["Train", "Stop run-1 and train"] and not ended
    second.instead_button.click()
    until(lambda: len(ended) == 2)
    assert [(run.id, run.status) for run in ended] == [("run-1", "stopped"), ("run-2", "finished")]
    assert offered(second) == ["Train"] and len(begun) == 2
    for trainer in (first, second):
        trainer.close()


def test_nothing_is_left_when_it_closes(here):
    before = set(_instances)
    trainer = Trainer(here)
    trainer.start(asks("mine", {**FAST, "max_steps": 1}))
    until(lambda: trainer.run and not trainer.going_on)
    trainer.close()
    close_all(trainer.widget)
    assert set(_instances) == before
    assert threads() == []


def test_points_are_read_as_they_come(here):
    run = here.train("mine", max_steps=3, **FAST)
    known, file = Elsewhere(run), run.path / "metrics.jsonl"
    known.look()
    assert known.points == run.points and len(known.points) >= 3
    with file.open("a") as stream:
        stream.write('{"step": 4, "spl')
        stream.flush()
        known.look()
        assert known.points[-1]["step"] == 3, "half a line is no point"
        stream.write('it": "train"}\n')
    known.look()
    assert known.points[-1] == {"step": 4, "split": "train"}
    whole = file.read_text()
    other = file.with_suffix(".new")
    other.write_text(whole[: whole.index("\n") + 1])
    other.replace(file)  # as when a run is resumed from an earlier step
    known.look()
    assert known.points == run.points and len(known.points) == 1


# --- in a process of its own ------------------------------------------------------------------------------------------


def test_a_run_in_a_process_of_its_own(seen):
    random.seed(7)
    states, me = random.getstate(), psutil.Process()
    first = Trainer(seen)
    began = time.monotonic()
    first.start(asks("lora", LONG))
    assert time.monotonic() - began < 0.1, "a callback is quick"
    until(lambda: far(first))
    run = first.run
    assert run.record["pid"] != me.pid and not first.note.value

    began = time.monotonic()
    first.close()
    left = first.static()
    assert time.monotonic() - began < 2 and threads() == []
    assert "%peft wait run-1" in left["text/plain"] and "%peft wait run-1" in left["text/html"]
    assert not re.search(r"<(script|style|svg|progress)", left["text/html"])
    step = run.progress["step"]
    until(lambda: run.progress["step"] > step)
    assert run.active, "the run outlives the panel"

    trainer, ended = Trainer(seen), []
    trainer.on_end(ended.append)
    trainer.run = run
    trainer.resume()
    until(lambda: far(trainer))
    assert len(run.record["resumed"]) == 0, "a run that goes on is only followed"
    psutil.Process(run.record["pid"]).kill()
    until(lambda: trainer.state == "broken")
    assert "run-1 crashed" in text_of(trainer.note) and "%peft resume run-1" in text_of(trainer.note)
    assert offered(trainer) == ["Train", "Resume"] and not ended

    trainer.pause_button.click()
    until(lambda: far(trainer))
    trainer.stop_button.click()
    assert until(lambda: ended)[0].status == "stopped"
    assert "■ stopped" in text_of(trainer.region) and "data:image/png" in trainer.region.value
    until(lambda: not threads(), 15)
    assert not [child for child in me.children() if child.status() == psutil.STATUS_ZOMBIE]
    assert random.getstate() == states, "the kernel's random numbers are its own"
    trainer.close()


# --- the plan ---------------------------------------------------------------------------------------------------------


def test_the_newest_question_is_planned_in_another_process(seen):
    random.seed(7)
    states = random.getstate()
    planner = Planner(seen)
    cards = []
    planner.card.observe(lambda change: cards.append(change["new"]), "value")
    assert "plan" in text_of(planner.note)
    planner.ask(asks("full"))
    planner.ask(asks("lora", {**FAST, "rank": 2}))
    until(lambda: "fits" in text_of(planner.card), 200)
    first, last = map(plain_of, cards)
    assert "trainable" in first and "being measured" in first and "loading" not in first, "before a step is tried"
    assert re.search(r"trainable [^(]*", first)[0] == re.search(r"trainable [^(]*", last)[0] and "being" not in last
    assert "data:image/png" in cards[0]
    assert "method lora" in text_of(planner.card) and not planner.note.value
    assert all(word in text_of(planner.card) for word in ("trainable", "time", "memory", "fits"))
    assert "data:image/png" in planner.card.value, "what trains, by layer, is a picture"
    recipe = seen.composed("lora", rank=2, **FAST)
    assert recipe.fingerprint in seen.plans, "the run will be compared with its plan"
    assert random.getstate() == states

    planner.ask(asks("lora", {"rank": 0}))
    until(lambda: "rank" in text_of(planner.note))
    assert "not 0" in text_of(planner.note) and not planner.card.value

    child = psutil.Process(planner._process._child.pid)
    planner.ask(asks("lora", {**FAST, "rank": 4}))
    until(lambda: "Planning" in text_of(planner.note))
    child.kill()
    until(lambda: "its process ended" in text_of(planner.note))
    planner.ask(asks("bitfit"))
    process = until(lambda: planner._process)
    child = psutil.Process(process._child.pid)
    began = time.monotonic()
    planner.close()
    assert time.monotonic() - began < 1 and not child.is_running()
    assert threads() == []


def test_a_plan_that_only_this_kernel_can_make(here):
    before = set(_instances)
    planner = Planner(here)
    planner.ask(asks("mine"))
    until(lambda: "was added in this notebook" in text_of(planner.note))
    assert planner.here_button.layout.display == "" and planner._process is None
    planner.here_button.click()
    until(lambda: "fits" in text_of(planner.card))
    assert "method mine" in text_of(planner.card) and planner.here_button.layout.display == "none"
    planner.close()
    close_all(planner.widget)
    assert set(_instances) == before and threads() == []


def test_the_process_ends_with_its_input():
    ended = threading.Event()
    process = PlanProcess(lambda process, content: ended.set() if content is None else None)
    process._child.stdin.close()  # as when the kernel dies
    assert ended.wait(30)
    assert process._child.wait(5) == 0
    process.close()


class Enough(Exception):
    """The test has seen what it wants."""


def test_a_newer_question_ends_the_work_on_an_older_one(monkeypatch):
    begun, answered = [], []
    desk, more = planning.Desk(), threading.Semaphore(0)

    def slow(question, host, tell):
        begun.append(question["number"])
        if question["number"] == 1:
            tell({"sketch": True})
        more.release()
        for _ in range(500 if question["number"] < 3 else 1):
            time.sleep(0.02)
        return {"said": "done"}

    def lines():
        for number in (1, 2, 3):
            yield json.dumps({"number": number, "recipe": {"any": 1}})
            more.acquire()
        threading.Event().wait()

    class Out(io.StringIO):
        def write(self, text):
            answered.append(json.loads(text))
            if "said" in answered[-1]:
                raise Enough

    monkeypatch.setattr(planning, "answer", slow)
    before = signal.getsignal(signal.SIGINT)
    began = time.monotonic()
    try:
        desk.watch()
        threading.Thread(target=desk.read, args=(lines(),), daemon=True).start()
        with pytest.raises(Enough):
            planning.work_off(desk, None, Out())
    finally:
        signal.signal(signal.SIGINT, before)
    assert begun == [1, 2, 3] and [one["number"] for one in answered] == [1, 3]
    assert time.monotonic() - began < 5


def test_what_is_written_is_not_torn_by_a_newer_question():
    desk, told = planning.Desk(), []
    desk._newest = {"number": 1}
    assert desk.take()["number"] == 1
    with pytest.raises(planning.Outdated), desk.undisturbed():
        desk._newest = {"number": 2}
        desk._interrupted(signal.SIGINT, None)  # arrives while the line is being written
        told.append("all of it")
    assert told == ["all of it"] and desk.take()["number"] == 2
