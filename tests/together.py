"""Run by a launcher in several processes: trains recipes one after another, goes on with a run, fails in one."""

import json
import sys
import time
from pathlib import Path

from peft_lab.host import Host
from peft_lab.recipe import Recipe
from peft_lab.run import Run
from peft_lab.training import session, together
from peft_lab.training.progress import Progress


def wait(self):
    import torch.distributed

    torch.distributed.barrier()


together.Together.leave = wait  # there is more to come
host, folder = Host(entry_points=False), Path(sys.argv[1])


def train(recipe, progress=None):
    """In the main process a run; the others train along."""
    try:
        session.train(Recipe.read(recipe), host, folder, progress)
    except SystemExit as end:
        assert together.place() and end.code == 0


class StopsAfter(Progress):
    """Asks for a stop before the third step."""

    def stopping(self):
        return self.state.get("step", 0) >= 2


asked = json.loads((folder / "recipes.json").read_text())
for recipe in asked:
    train(recipe)
if together.place() == 0:
    train(asked[0], StopsAfter())
    (folder / "stopped").touch()
else:
    train(asked[0])
    while not (folder / "stopped").exists():
        time.sleep(0.05)
try:
    session.resume(Run(folder / f"run-{len(asked) + 1}"), host)
except SystemExit:
    assert together.place()

from peft_lab.training import loop  # noqa: E402

if together.place() == 1:
    step, steps = loop._Sums.add, []

    def fails(self, batch, at_once):
        steps.append(1)
        if len(steps) > 3:
            raise MemoryError("no room")
        step(self, batch, at_once)

    loop._Sums.add = fails
try:
    train(asked[0])
except Exception as error:
    sys.stderr.write(f"process {together.place()} ends, told by main: {together.told_by_main(error)}: {error}\n")
    sys.exit(1)
