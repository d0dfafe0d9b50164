"""What an open panel costs, in a real kernel that is spoken to as a front end does.

Four parts: how soon the panel answers while a run trains in the background and how soon that stops; how soon the plan
follows an edit; what the open panel takes from the training; what 20 runs of a cell with a panel leave behind. One of
them alone, with another number of rounds, is only printed: ``python -m benchmarks panel latency 20``,
``... planning 6``, ``... slowdown 1 6``, ``... growth 6 2``.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Empty
from typing import Any

from benchmarks.common import keep, middle
from peft_lab.run import Run, list_runs

CELL = "a-cell"
PANEL = "%peft panel {method} --data helpdesk --model minilm --device cpu --precision fp32 {more}"
EDITED = {"lora": ("rank", ("3", "5", "6", "7", "10", "12")), "sparse": ("density", ("0.02", "0.03"))}
"""By method the field that is edited, and what is typed into it in turn."""
UNFINISHED, WHOLE = "being measured", "✓ fits"
"""What a plan says that shows what would train, and one that says all."""
WIDGETS = """import json
from ipywidgets.widgets.widget import _instances
print(json.dumps([[w.model_id, type(w).__name__, getattr(w, "description", "")] for w in list(_instances.values())]))"""
LEFT = """import gc, json, threading, psutil
gc.collect()  # what nobody holds any more is no growth, collected or not yet
from ipywidgets.widgets.widget import _instances
me = psutil.Process()
print(json.dumps({"models": len(_instances), "bytes": me.memory_info().rss, "children": len(me.children()),
                  "threads": threading.active_count()}))"""
EVERY = 0.25
"""Seconds between two changes of a field: as fast as somebody types."""
LIMIT = 1200.0
SETTLING = 30
"""Runs of the cell before those that are counted: memory pools of Python and of the C library fill up first."""


class Front:
    """A kernel, and the messages that a front end sends it."""

    def __init__(self, folder: Path) -> None:
        from jupyter_client.manager import start_new_kernel

        self.runs = folder / "runs"
        self.manager, self.client = start_new_kernel(cwd=str(folder), stderr=subprocess.DEVNULL)
        self.pid = int(self.run_cell("import os\nprint(os.getpid())"))
        self.run_cell("%load_ext peft_lab\nlab.folder = __import__('pathlib').Path('runs').resolve()")

    def run_cell(self, code: str, cell: str = "") -> str:
        """Run a cell to its end; returns what it printed."""
        content = {"code": code, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": False}
        return self._send("execute_request", content, {"cellId": cell} if cell else {})

    def change(self, widget: str, **state: Any) -> float:
        """Change a widget as somebody does; returns the seconds until all its callbacks were done."""
        return self._timed(widget, {"method": "update", "state": state, "buffer_paths": []})

    def click(self, widget: str) -> float:
        """Click a button; returns the seconds until its callback was done."""
        return self._timed(widget, {"method": "custom", "content": {"event": "click"}})

    def until_shown(self, *said: str) -> tuple[float, str]:
        """Wait until a page of a widget holds one of these texts; returns when, and which."""
        until = time.monotonic() + LIMIT
        while time.monotonic() < until:
            try:
                got = self.client.get_iopub_msg(timeout=1)
            except Empty:
                continue
            state = got["content"].get("data", {}).get("state", {}) if got["msg_type"] == "comm_msg" else {}
            page = state.get("value")
            for text in said:
                if isinstance(page, str) and text in page:
                    return time.perf_counter(), text
        raise TimeoutError(f"no page says {' or '.join(said)}")

    def widget(self, kind: str, description: str) -> str:
        """The model of a widget that is there now."""
        there = json.loads(self.run_cell(WIDGETS))
        return next(model for model, name, said in there if kind in name and said.lower() == description.lower())

    def close(self) -> None:
        """End the kernel."""
        self.client.stop_channels()
        self.manager.shutdown_kernel()

    def _timed(self, widget: str, data: dict[str, Any]) -> float:
        began = time.perf_counter()
        self._send("comm_msg", {"comm_id": widget, "data": data}, {})
        return time.perf_counter() - began

    def _send(self, kind: str, content: dict[str, Any], metadata: dict[str, Any]) -> str:
        message = self.client.session.msg(kind, content, metadata=metadata)
        self.client.shell_channel.send(message)
        printed, until = [], time.monotonic() + LIMIT
        while time.monotonic() < until:
            try:
                got = self.client.get_iopub_msg(timeout=1)
            except Empty:
                continue
            if got["parent_header"].get("msg_id") != message["header"]["msg_id"]:
                continue
            if got["msg_type"] == "stream" and got["content"]["name"] == "stdout":
                printed.append(got["content"]["text"])
            if got["msg_type"] == "error":
                raise RuntimeError("\n".join(got["content"]["traceback"]))
            if got["msg_type"] == "status" and got["content"]["execution_state"] == "idle":
                return "".join(printed)
        raise TimeoutError(f"the kernel did not answer a {kind}")


def main(argv: list[str]) -> None:
    parts: dict[str, Callable[..., Any]] = {
        "latency": latency,
        "planning": planning,
        "slowdown": slowdown,
        "growth": growth,
    }
    if argv:
        parts[argv[0]](*map(int, argv[1:]))
        return
    keep("panel", {name: measure() for name, measure in parts.items()})


def latency(callbacks: int = 240) -> dict[str, Any]:
    """Seconds in which the panel answers a change of a field while its run trains, and in which a run stops."""
    with kernel() as front:
        front.run_cell(PANEL.format(method="lora", more="--epochs 200"), CELL)
        field, stop = front.widget("Text", "rank"), front.widget("Button", "Stop")
        front.click(front.widget("Button", "Train"))
        run = wait_for(lambda: next(iter(list_runs(front.runs)), None))
        wait_for(lambda: (run.progress.get("step") or 0) > 1)
        took = []
        for number in range(callbacks):
            took.append(front.change(field, value=str(2 + number % 7)))
            time.sleep(max(0.0, EVERY - took[-1]))
        steps, began = run.progress["step"], time.perf_counter()
        front.click(stop)
        wait_for(lambda: not run.active)
        stopped = time.perf_counter() - began
        step = seconds_a_step(run)
        more = run.record["steps"]["done"] - steps
    found = {
        "callbacks": took,
        "p50": quantile(took, 50),
        "p95": quantile(took, 95),
        "most": max(took),
        "seconds_a_step": step,
        "stopped_after_seconds": stopped,
        "steps_after_stop": more,
    }
    print(
        f"{callbacks} callbacks while training at {step:.2f} s a step: p50 {1000 * found['p50']:.1f} ms, "
        f"p95 {1000 * found['p95']:.1f} ms, longest {1000 * found['most']:.1f} ms"
    )
    print(f"Stop: at most {more} steps more; {stopped:.1f} s until all was saved and checked")
    return found


def planning(edits: int = 6) -> dict[str, Any]:
    """Seconds from an edit until the plan says what would train, and until it says all. The first is thrown away."""
    found: dict[str, Any] = {}
    for method, (name, values) in EDITED.items():
        with kernel() as front:
            front.run_cell(PANEL.format(method=method, more=""), CELL)
            front.until_shown(WHOLE)
            field, rows = front.widget("Text", name), []
            for value in values[:edits]:
                began = time.perf_counter()
                front.change(field, value=value)
                first, said = front.until_shown(UNFINISHED, WHOLE)
                last = first if said == WHOLE else front.until_shown(WHOLE)[0]
                rows.append({"what_trains": first - began, "all": last - began})
                print(method, json.dumps(rows[-1]), flush=True)
        found[method] = rows
        for what in ("what_trains", "all"):
            print(f"{method}, from an edit to {what}: {middle([row[what] for row in rows])} s")
    return found


def slowdown(rounds: int = 5, steps: int = 132) -> list[dict[str, Any]]:
    """Seconds a step of equal runs with an open panel that shows them and without one, in turn."""
    rows = []
    with kernel() as front:
        for number in range(rounds):
            for shown in (True, False) if number % 2 else (False, True):
                rows.append(one_run(front, shown, steps))
                print(json.dumps(rows[-1]), flush=True)
    each = {shown: [r["seconds_a_step"] for r in rows if r["panel"] is shown] for shown in (True, False)}
    medians = {shown: statistics.median(values) for shown, values in each.items()}
    print(f"seconds a step with a panel {middle(each[True])}, without one {middle(each[False])}")
    print(f"an open panel slows training by {medians[True] / medians[False] - 1:.2%}")
    cost = [
        statistics.median(r["kernel"] / r["seconds"] for r in rows if r["panel"] is shown) for shown in (True, False)
    ]
    print(f"the kernel takes {cost[0]:.2%} of one core with a panel, {cost[1]:.2%} without one")
    return rows


def one_run(front: Front, shown: bool, steps: int) -> dict[str, Any]:
    """Train once; what the kernel computed meanwhile is counted from the first step to the last."""
    import psutil

    before = {run.id for run in list_runs(front.runs)}
    if shown:
        front.run_cell(PANEL.format(method="lora", more=f"--max-steps {steps}"), CELL)
        front.click(front.widget("Button", "Train"))
    else:
        front.run_cell(
            "lab.train('lora', data='helpdesk', model='minilm', device='cpu', precision='fp32', "
            f"max_steps={steps}, bg=True);"
        )
    run = wait_for(lambda: next((r for r in list_runs(front.runs) if r.id not in before), None))
    me = psutil.Process(front.pid)
    wait_for(lambda: (run.progress.get("step") or 0) > 0)
    began = sum(me.cpu_times()[:2])
    wait_for(lambda: run.progress.get("phase") in ("testing", "saving") or not run.active)
    took = sum(me.cpu_times()[:2]) - began
    wait_for(lambda: not run.active)
    if run.status != "finished":
        raise RuntimeError(f"{run.id} is {run.status}")
    time.sleep(2)  # the panel puts the card in its place
    return {
        "panel": shown,
        "seconds_a_step": seconds_a_step(run),
        "seconds": run.cost["seconds"],
        "kernel": took,
    }


def growth(times: int = 20, before: int = SETTLING) -> list[dict[str, int]]:
    """What there is in the kernel after each run of one cell with a panel."""
    rows = []
    with kernel() as front:
        for _ in range(before + 1 + times):
            front.run_cell(PANEL.format(method="lora", more=""), CELL)
            time.sleep(1.5)  # in which the plan's process begins
            rows.append(json.loads(front.run_cell(LEFT)))
            print(json.dumps(rows[-1]), flush=True)
    first, last = rows[before], rows[-1]
    for what in ("models", "threads", "children"):
        print(f"{what}: {first[what]}, and {last[what]} after {times} more runs of the cell")
    grown = (last["bytes"] - first["bytes"]) / 1e6
    print(f"memory: {first['bytes'] / 1e6:.1f} MB, {grown:+.2f} MB after {times} more runs of the cell")
    return rows


@contextmanager
def kernel() -> Iterator[Front]:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        front = Front(Path(folder))
        try:
            yield front
        finally:
            for run in list_runs(front.runs):
                if run.active:
                    run.stop()
                    run.wait(LIMIT)
            front.close()


def wait_for(done: Callable[[], Any]) -> Any:
    until = time.monotonic() + LIMIT
    while not (found := done()):
        if time.monotonic() > until:
            raise TimeoutError("waited too long")
        time.sleep(0.05)
    return found


def seconds_a_step(run: Run) -> float:
    return float(run.cost["seconds"]) / int(run.record["steps"]["done"])


def quantile(values: list[float], percent: int) -> float:
    return statistics.quantiles(values, n=100)[percent - 1]


if __name__ == "__main__":
    main(sys.argv[1:])
