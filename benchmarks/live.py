"""What the live display costs: the same training in a kernel with the display on and off, in turn.

Two figures: the difference of the training times, which needs a quiet machine, and the processor time of the thread
that draws (training has a thread of its own) as a share of the training time, which does not.
"""

import json
import statistics
import sys
import tempfile

from benchmarks.common import keep

SETUP = """
import json, os
%load_ext peft_lab
%config PeftMagics.live = {live}
"""
TRAIN = """import time
began = time.thread_time()
run = %peft train {method} --data helpdesk --model minilm --epochs {epochs} --device cpu
drawing = time.thread_time() - began"""
TELL = 'print(json.dumps([run.cost["seconds"], drawing]))'


def main(argv: list[str]) -> None:
    rounds = int(argv[0]) if argv else 3
    rows = []
    for number in range(rounds):
        for live in (True, False) if number % 2 else (False, True):
            seconds, drawing = measure(live)
            rows.append({"live": live, "seconds": seconds, "drawing": drawing})
            print(json.dumps(rows[-1]), flush=True)
    keep("live", rows)
    shown, hidden = ([r for r in rows if r["live"] is live] for live in (True, False))
    seconds = [statistics.median(r["seconds"] for r in some) for some in (shown, hidden)]
    drawing = [statistics.median(r["drawing"] for r in some) for some in (shown, hidden)]
    print(f"training takes {seconds[0]:.2f} s with the display, {seconds[1]:.2f} s without (medians of {rounds})")
    share = (drawing[0] - drawing[1]) / seconds[0]
    print(f"drawing takes {drawing[0] - drawing[1]:.3f} s of processor time, {share:.2%} of the training time")


def measure(live: bool, method: str = "bitfit", epochs: int = 2) -> tuple[float, float]:
    import nbformat
    from nbclient import NotebookClient

    with tempfile.TemporaryDirectory() as folder:
        cells = [SETUP.format(live=live), TRAIN.format(method=method, epochs=epochs), TELL]
        book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c.strip()) for c in cells])
        NotebookClient(book, timeout=1200, resources={"metadata": {"path": folder}}).execute()
        text = book.cells[-1].outputs[0]["text"]
    first, second = json.loads(text.strip().splitlines()[-1])
    return first, second


if __name__ == "__main__":
    main(sys.argv[1:])
