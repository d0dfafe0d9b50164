"""Seconds that ``%load_ext peft_lab`` and ``%peft methods`` take, each in a fresh process, against a bare IPython."""

import json
import statistics
import subprocess
import sys

from benchmarks.common import keep

CODE = """
import json, sys, time
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
shell.run_cell("1 + 1")
start = time.perf_counter()
shell.run_line_magic("load_ext", "peft_lab")
loaded = time.perf_counter()
shell.run_line_magic("peft", "methods")
listed = time.perf_counter()
names = ("torch", "transformers", "datasets", "matplotlib", "pandas", "ipywidgets", "peft")
heavy = [m for m in names if m in sys.modules]
print(json.dumps({"load_ext": loaded - start, "methods": listed - loaded, "heavy": heavy}))
"""


def main(argv: list[str]) -> None:
    rounds = int(argv[0]) if argv else 7
    rows = []
    for _ in range(rounds):
        done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
        rows.append(json.loads(done.stdout.strip().splitlines()[-1]))
    keep("startup", rows)
    for name in ("load_ext", "methods"):
        values = [r[name] for r in rows]
        print(f"{name}: median {statistics.median(values):.3f} s, {min(values):.3f} to {max(values):.3f}")
    print("heavy modules imported:", sorted({m for r in rows for m in r["heavy"]}) or "none")


if __name__ == "__main__":
    main(sys.argv[1:])
