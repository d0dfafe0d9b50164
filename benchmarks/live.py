"""What the live display costs: the same training in a kernel with the display on and off, in turn."""

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
TRAIN = "run = %peft train {method} --data helpdesk --model minilm --epochs {epochs} --device cpu"
TELL = 'print(json.dumps([run.cost["seconds"], run.cost["seconds"] + run.cost["eval_seconds"]]))'


def main(argv: list[str]) -> None:
    rounds = int(argv[0]) if argv else 5
    rows = []
    for number in range(rounds):
        for live in (True, False) if number % 2 else (False, True):
            seconds, with_evaluation = measure(live)
            rows.append({"live": live, "seconds": seconds, "with_evaluation": with_evaluation})
            print(json.dumps(rows[-1]), flush=True)
    keep("live", rows)
    shown, hidden = ([r["seconds"] for r in rows if r["live"] is live] for live in (True, False))
    cost = statistics.median(shown) / statistics.median(hidden) - 1
    medians = f"{statistics.median(shown):.2f} s and {statistics.median(hidden):.2f} s"
    print(f"training with the display takes {cost:+.1%} (medians of {rounds}: {medians})")


def measure(live: bool, method: str = "bitfit", epochs: int = 3) -> tuple[float, float]:
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
