"""Draw the pictures of README and docs again, from the quickstart as ``make demo`` ran it and from runs.

    make images

Needs the extra ``dev`` and a Chromium that Playwright can start; without one the photographs are left as they are.
Runs are those of the notebooks, as ``make notebooks`` leaves them or as executed in ``build/demo``; where a run of
``sparse`` or ``apt`` is not there it is trained, which takes a minute or two. The picture of tokens is drawn only from
a run that is there: to find the roles of tokens takes longer.
"""

from __future__ import annotations

import base64
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "docs" / "images"
NOTEBOOK = ROOT / "notebooks" / "01_quickstart.ipynb"
EXECUTED = ROOT / "build" / "demo" / "01_quickstart.ipynb"
PICTURES = {
    "%peft compare": "compare.png",
    "%peft show change-map bitfit": "change-map.png",
    "%peft show trainable-map": "trainable-map.png",
    "%peft show curves": "curves.png",
}
CARD = "bitfit = %peft train bitfit"
RUNS = ROOT / "build" / "demo" / "peft_runs"
OF_NOTEBOOKS = ROOT / "build" / "test_runs"
"""Runs of each notebook, in a folder of its name."""


@dataclass(frozen=True)
class Shown:
    """A view of a run, as a picture; one of HTML is photographed."""

    file: str
    view: str
    method: str
    needs: str
    """The artifact that the run must have; only a choice by words leaves constructs."""
    settings: dict[str, Any] = field(default_factory=dict)
    trained_with: dict[str, Any] | None = None
    """Settings to train it with where there is no run; None: not trained here."""
    html: bool = False
    wide: int = 900


SPARSE = {"density": 0.005, "epochs": 2}
IN_A_TENSOR = {"tensor": "layer.4.intermediate.dense.weight"}
A_FEW = {"labels": ("building_access", "leave_absence", "payroll"), "most": 3}
SHOWN = (
    Shown("mask-atlas.png", "mask-atlas", "sparse", "constructs", trained_with=SPARSE),
    Shown("mask-tensor.png", "mask-atlas", "sparse", "constructs", IN_A_TENSOR, SPARSE),
    Shown("constructs.png", "constructs", "sparse", "constructs", A_FEW, SPARSE, html=True),
    Shown("gates.png", "gates", "apt", "prefix-gates", trained_with={"epochs": 2}),
    Shown("tokens.png", "tokens", "lora+rft", "token-roles", {"samples": 2}, html=True),
)


def main() -> None:
    IMAGES.mkdir(exist_ok=True)
    chromium = find_chromium()
    if EXECUTED.is_file():
        draw_quickstart(chromium)
    else:
        print(f"no {EXECUTED.relative_to(ROOT)} (make demo): the pictures of the quickstart are left as they are")
    draw_runs(chromium)


def draw_runs(chromium: str | None) -> None:
    """Pictures of runs of the longer notebooks."""
    from peft_lab import Lab
    from peft_lab.run import readable_runs

    lab = Lab(RUNS)
    folders = [RUNS, *sorted(OF_NOTEBOOKS.glob("*"))]
    for shown in SHOWN:
        known = [run for folder in folders for run in readable_runs(folder)]
        fitting = (r for r in known if r.recipe.method == shown.method and shown.needs in r.artifacts)
        run = next((r for r in fitting if r.status == "finished"), None)
        if run is None and shown.trained_with is not None:
            run = lab.train(shown.method, model="minilm", data="helpdesk", **shown.trained_with)
        if run is None:
            print(f"no finished run of {shown.method} (make notebooks): {shown.file} is left as it is")
            continue
        picture = lab.show(shown.view, run, **shown.settings)
        if not shown.html:
            (IMAGES / shown.file).write_bytes(picture.png)
        elif chromium:
            photograph(picture._repr_html_(), IMAGES / shown.file, chromium, shown.wide)


def draw_quickstart(chromium: str | None) -> None:
    """Pictures of the executed quickstart, which is kept as the notebook."""
    import nbformat

    book = nbformat.read(EXECUTED, as_version=4)
    cells = {cell.source: cell for cell in book.cells if cell.cell_type == "code"}
    for start, name in PICTURES.items():
        picture = re.search(r"base64,([A-Za-z0-9+/=]+)", html_of(cells, start))
        assert picture, start
        (IMAGES / name).write_bytes(base64.b64decode(picture[1]))
    # The notebook is kept with its outputs, so that it can be read on the web.
    for cell in book.cells:
        cell.metadata.pop("execution", None)
    nbformat.write(book, NOTEBOOK)
    if chromium:
        photograph(html_of(cells, CARD), IMAGES / "card.png", chromium)
        with tempfile.TemporaryDirectory() as folder:
            photograph_lab(Path(folder), chromium)


def html_of(cells: dict, start: str) -> str:
    cell = next(cell for source, cell in cells.items() if start in source)
    return "".join(output.data.get("text/html", "") for output in cell.outputs if "data" in output)


def find_chromium() -> str | None:
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        print("no chromium: the photographs (card, lab, constructs, tokens) are left as they are")
    return found


def photograph(html: str, file: Path, chromium: str, wide: int = 860) -> None:
    """HTML as a notebook shows it, on white."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": wide, "height": 600}, device_scale_factor=1.5)
        page.set_content(f"<body style='margin:0;padding:12px;background:#fff;font:14px sans-serif'>{html}</body>")
        page.locator("body").screenshot(path=file)
        browser.close()
    squeeze(file)


def squeeze(file: Path) -> None:
    """Keep a third of the bytes: the smooth edges of letters need few colours."""
    from PIL import Image

    picture = Image.open(file).convert("RGB")
    picture.quantize(96, method=Image.Quantize.MAXCOVERAGE, kmeans=1, dither=Image.Dither.NONE).save(
        file, optimize=True
    )


def photograph_lab(folder: Path, chromium: str) -> None:
    """The notebook, opened in JupyterLab and scrolled to its first trained method."""
    from playwright.sync_api import sync_playwright

    shutil.copy(NOTEBOOK, folder)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", f"--port={port}"]
    command += ["--IdentityProvider.token=", "--ServerApp.ip=127.0.0.1", "--LabApp.news_url=None"]
    settings = folder / "settings"
    server = subprocess.Popen(
        command,
        cwd=folder,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "JUPYTERLAB_SETTINGS_DIR": str(settings), "JUPYTER_CONFIG_DIR": str(settings)},
    )
    try:
        wait_for(port)
        with sync_playwright() as play:
            browser = play.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1180, "height": 900}, device_scale_factor=1.25)
            page.goto(f"http://127.0.0.1:{port}/lab/tree/{NOTEBOOK.name}?reset")
            page.wait_for_selector(".jp-Notebook .jp-CodeCell", state="attached", timeout=120_000)
            page.wait_for_timeout(5000)
            page.keyboard.press("Control+b")  # hides the file browser
            page.locator(".Toastify button", has_text="No").click(timeout=5_000)
            # Cells far below are not drawn until one scrolls there.
            cell = page.locator(".jp-CodeCell", has_text=CARD).first
            for _ in range(60):
                page.mouse.move(600, 500)
                page.mouse.wheel(0, 350)
                page.wait_for_timeout(300)
                if cell.count() and (box := cell.bounding_box()) and box["y"] < 300:
                    break
            page.wait_for_timeout(1000)
            page.screenshot(path=IMAGES / "lab.png")
            squeeze(IMAGES / "lab.png")
            browser.close()
    finally:
        server.terminate()
        server.wait()


def wait_for(port: int) -> None:
    for _ in range(240):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.5)
    raise TimeoutError("JupyterLab did not start")


if __name__ == "__main__":
    main()
