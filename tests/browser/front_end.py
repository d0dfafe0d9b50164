"""A real JupyterLab in a real browser, driven like a person would, and questions about what stands on the page."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nbformat
from playwright.sync_api import TimeoutError, expect

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
FLAGS = [
    *("--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--disable-background-networking", "--no-first-run"),
    # A page nobody looks at must go on as one that is looked at.
    *("--disable-background-timer-throttling", "--disable-renderer-backgrounding"),
]
QUIET = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "PYTHONWARNINGS": "ignore"}
SETTINGS = {
    "@jupyterlab/notebook-extension/tracker": {"windowingMode": "none"},
    "@jupyterlab/docmanager-extension/plugin": {"autosave": False},
    "@jupyterlab/apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
}
WIDGET = "application/vnd.jupyter.widget-view+json"
LIGHT, DARK = "JupyterLab Light", "JupyterLab Dark"
WAIT = 60_000
"""Milliseconds that anything may take on a busy machine. Nothing waits that long unless something is wrong."""


def find_chromium() -> str | None:
    """Where Chromium is, if there is one."""
    return next(filter(None, map(shutil.which, CHROMIUM)), None)


@contextmanager
def jupyterlab(folder: Path) -> Iterator[str]:
    """The installed JupyterLab on a port of this machine, with settings, notebooks and runs below ``folder`` alone."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    for name in ("books", "settings", "tmp", "runs"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for name, values in SETTINGS.items():
        file = folder / "settings" / f"{name}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(values))
    config = folder / "jupyter_server_config.py"
    config.write_text(
        "from jupyterlab.galata import configure_jupyter_server\n"
        "configure_jupyter_server(c)\n"
        f"c.ServerApp.ip, c.ServerApp.port, c.ServerApp.allow_root = '127.0.0.1', {port}, True\n"
    )
    own = {
        "JUPYTERLAB_GALATA_ROOT_DIR": folder / "books",
        "JUPYTER_CONFIG_DIR": folder / "config",
        "JUPYTER_DATA_DIR": folder / "data",
        "JUPYTER_RUNTIME_DIR": folder / "runtime",
        "JUPYTERLAB_SETTINGS_DIR": folder / "settings",
        "IPYTHONDIR": folder / "ipython",
        "PEFT_LAB_RUNS": folder / "runs",
        "TMPDIR": folder / "tmp",
    }
    env = {**os.environ, **QUIET, **{name: str(value) for name, value in own.items()}}
    log = (folder / "server.log").open("wb")
    command = [sys.executable, "-m", "jupyterlab", f"--config={config}"]
    server = subprocess.Popen(command, cwd=folder / "books", env=env, stdout=log, stderr=log)
    address = f"http://127.0.0.1:{port}"
    try:
        wait_for(f"{address}/api", server, folder / "server.log")
        yield address
    finally:
        server.terminate()  # which ends the kernels too
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
        log.close()


def wait_for(address: str, server: subprocess.Popen[bytes], log: Path) -> None:
    """Until the server answers."""
    end = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except OSError:
            if server.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"JupyterLab did not start:\n{log.read_text()[-2000:]}") from None
            time.sleep(0.1)


class FrontEnd:
    """A page with JupyterLab in it.

    Args:
        page: of Playwright.
        address: of the server.
        books: the folder that the server shows.
    """

    def __init__(self, page: Any, address: str, books: Path) -> None:
        self.page, self.address, self.books = page, address, books
        self.count = 0
        self.opened: list[Book] = []
        page.set_default_timeout(WAIT)
        expect.set_options(timeout=WAIT)
        self.load()

    def load(self) -> None:
        """JupyterLab as it is when nothing is open."""
        self.page.goto(f"{self.address}/lab?reset")
        self.page.wait_for_function("window.jupyterapp && window.jupyterapp.restored", timeout=4 * WAIT)
        self.page.evaluate("() => window.jupyterapp.restored.then(() => null)")
        self.command("application:toggle-left-area") if self._left_open() else None

    def _left_open(self) -> bool:
        return bool(self.page.evaluate("() => !window.jupyterapp.shell.leftCollapsed"))

    def command(self, name: str, **arguments: Any) -> None:
        """Carry out a command of the application, and wait until it is done."""
        self.page.evaluate(
            "([name, given]) => window.jupyterapp.commands.execute(name, given).then(() => null)", [name, arguments]
        )

    def theme(self, name: str) -> None:
        """Change colours, as the menu does."""
        self.command("apputils:change-theme", theme=name)
        self.page.wait_for_function("name => document.body.dataset.jpThemeName === name", arg=name)

    def open(self, *sources: str | nbformat.NotebookNode, kernel: bool = True, name: str = "") -> Book:
        """Write a notebook with these cells and open it."""
        self.count += 1
        file = self.books / (name or f"book{self.count}.ipynb")
        book = nbformat.v4.new_notebook()
        book.metadata.kernelspec = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
        book.cells = [nbformat.v4.new_code_cell(cell) if isinstance(cell, str) else cell for cell in sources]
        nbformat.write(book, file)
        return self.show(file, kernel)

    def show(self, file: Path, kernel: bool = True) -> Book:
        """Open a notebook that is there."""
        book = Book(self, file, kernel)
        self.opened.append(book)
        return book

    def copy(self, book: Book) -> Book:
        """What somebody sees who was sent the file: not trusted, and without a kernel."""
        file = book.file.with_name(f"copy-of-{book.file.name}")
        sent = nbformat.read(book.file, as_version=4)
        # Outputs that this server has signed would be trusted in any file.
        sent.cells[0].outputs.append(nbformat.v4.new_output("display_data", {"text/html": "<b>not signed</b>"}))
        nbformat.write(sent, file)
        return self.show(file, kernel=False)

    def close_all(self) -> None:
        """Close what was opened."""
        for book in [*self.opened]:
            book.close()

    def size(self, wide: int, high: int = 900) -> None:
        """Make the window this wide."""
        self.page.set_viewport_size({"width": wide, "height": high})


def button(place: Any, name: str) -> Any:
    """A button by what stands on it; its icon does not count."""
    return place.locator("button", has_text=re.compile(rf"^\s*{re.escape(name)}\s*$"))


OPEN = """([path, kernel]) => {
    const app = window.jupyterapp;
    const given = {path, factory: 'Notebook'};
    delete (window.books || {})[path];  // of the same file, opened and closed before
    if (!kernel) given.kernelPreference = {shouldStart: false, canStart: false, autoStartDefault: false};
    const opened = async () => {
        const panel = await app.commands.execute('docmanager:open', given);
        await panel.context.ready;
        await panel.revealed;
        if (kernel) { await panel.sessionContext.ready; await panel.sessionContext.session.kernel.info; }
        (window.books = window.books || {})[path] = panel;
    };
    opened();
}"""
CELL = "const cell = panel.content.widgets[at];"


class Book:
    """A notebook that is open in the page."""

    def __init__(self, front: FrontEnd, file: Path, kernel: bool) -> None:
        self.front, self.page, self.file = front, front.page, file
        self.path = str(file.relative_to(front.books))
        self._open(kernel)
        self.root = self.page.locator(f"#{self.js('return panel.id')}")

    def _open(self, kernel: bool) -> None:
        """Open it, and once more on a new page where nothing comes of it: Chromium may lose the answer to a request.

        So it is not awaited here either: of a promise that is lost with its answer the page would say nothing at all.
        """
        for again in (False, True):
            if again:
                self.front.load()
            self.page.evaluate(OPEN, [self.path, kernel])
            try:
                self.page.wait_for_function("path => window.books?.[path]", arg=self.path)
                return
            except TimeoutError:
                if again or self.front.opened:  # a new page would lose what is open
                    raise

    def js(self, body: str, *given: Any) -> Any:
        """Evaluate JavaScript with ``panel``, and ``at`` (a cell's place) where one is given."""
        return self.page.evaluate(
            f"async ([path, at, more]) => {{ const panel = window.books[path]; {body} }}",
            [self.path, *given, *[None] * (2 - len(given))],
        )

    def start(self, at: int) -> None:
        """Run a cell without waiting for it."""
        self.js(
            """panel.content.activeCellIndex = at;
            window.jupyterapp.shell.activateById(panel.id);
            const running = (panel.running = panel.running || {});
            running[at] = true;
            const ended = () => { running[at] = false; };
            window.jupyterapp.commands.execute('notebook:run-cell').then(ended, ended);""",
            at,
        )

    def run(self, at: int, limit: float = 120) -> None:
        """Run a cell and wait until it is done."""
        self.start(at)
        self.done(at, limit)

    def done(self, at: int, limit: float = 120) -> None:
        """Wait until a cell that was started has ended."""
        ended = "([path, at]) => window.books[path].running[at] === false"
        self.page.wait_for_function(ended, arg=[self.path, at], timeout=limit * 1000)

    def run_all(self) -> None:
        """Run all cells without waiting for them, as the menu does."""
        self.js(
            """window.jupyterapp.shell.activateById(panel.id);
            panel.running = {all: true};
            const ended = () => { panel.running.all = false; };
            window.jupyterapp.commands.execute('notebook:run-all-cells').then(ended, ended);"""
        )

    def done_all(self, limit: float = 120) -> None:
        """Wait until all cells have ended, or those behind one that failed were left out."""
        ended = "path => window.books[path].running.all === false"
        self.page.wait_for_function(ended, arg=self.path, timeout=limit * 1000)

    def busy(self, at: int) -> bool:
        """Whether a cell is being carried out."""
        return bool(self.js(f"{CELL} return cell.model.executionState === 'running'", at))

    def outputs(self, at: int) -> list[dict[str, Any]]:
        """The outputs of a cell, as they would be saved."""
        found: list[dict[str, Any]] = self.js(f"{CELL} return cell.model.outputs.toJSON()", at)
        return found

    def waits_for(self, at: int, what: str, limit: float = 30) -> None:
        """Wait until a JavaScript function says yes to the outputs of a cell."""
        asked = f"([path, at]) => ({what})(window.books[path].content.widgets[at].model.outputs.toJSON())"
        self.page.wait_for_function(asked, arg=[self.path, at], timeout=limit * 1000)

    def error(self, at: int) -> str:
        """What a cell failed with; empty when it did not."""
        return "".join(f"{o['ename']}: {o['evalue']}" for o in self.outputs(at) if o["output_type"] == "error")

    def cell(self, at: int) -> Any:
        """A cell, in the page."""
        return self.root.locator(".jp-Notebook .jp-Cell").nth(at)

    def output(self, at: int) -> Any:
        """The output area of a cell, in the page."""
        return self.cell(at).locator(".jp-Cell-outputArea").first

    def widgets(self, at: int) -> Any:
        """The output of a cell that holds widgets; twins of it, which are seen once it is dead, are left out."""
        return self.output(at).locator(".jp-OutputArea-output.lm-Panel").last

    def write(self, at: int, source: str) -> None:
        """Put other text into a cell."""
        self.js(f"{CELL} cell.model.sharedModel.setSource(more)", at, source)

    def interrupt(self) -> None:
        """Press the square."""
        self.js("await panel.sessionContext.session.kernel.interrupt()")

    def restart(self) -> None:
        """Restart the kernel."""
        self.js("await panel.sessionContext.restartKernel()")

    def kill(self) -> None:
        """End the kernel without a word, as when memory runs out; the server starts another one."""
        # Its states after that may pass in a moment, so they are noted rather than looked for.
        self.js(
            "window.killed = false; const kernel = panel.sessionContext.session.kernel;"
            "kernel.statusChanged.connect((_, now) => {"
            " window.killed ||= ['autorestarting', 'restarting', 'starting', 'dead'].includes(now); });"
            "kernel.requestExecute({code: 'import os; os.kill(os.getpid(), 9)'})"
        )
        self.page.wait_for_function("window.killed")

    def shut_down(self) -> None:
        """Shut the kernel down, as the menu does."""
        self.js("await panel.sessionContext.shutdown()")

    def save(self) -> nbformat.NotebookNode:
        """Save, and give what stands in the file."""
        self.js("await panel.context.save()")
        return nbformat.read(self.file, as_version=4)

    def trusted(self) -> bool:
        """Whether the front end trusts the outputs."""
        return bool(self.js("return panel.content.widgets.every(c => c.model.type !== 'code' || c.model.trusted)"))

    def close(self) -> None:
        """Shut the kernel down and close, without saving."""
        if self in self.front.opened:
            self.front.opened.remove(self)
        self.js(
            """if (panel.isDisposed) return;
            if (panel.sessionContext.session) await panel.sessionContext.shutdown();
            panel.context.model.dirty = false;
            panel.close();
            panel.dispose();"""
        )
