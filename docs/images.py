"""Draw the pictures of README and docs again, from the quickstart as ``make demo`` ran it.

    make images

Needs the extra ``dev`` and a Chromium that Playwright can start; without one the photographs are left as they are.
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
from pathlib import Path

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


def main() -> None:
    import nbformat

    IMAGES.mkdir(exist_ok=True)
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
    if chromium := find_chromium():
        photograph_card(html_of(cells, CARD), chromium)
        with tempfile.TemporaryDirectory() as folder:
            photograph_lab(Path(folder), chromium)


def html_of(cells: dict, start: str) -> str:
    cell = next(cell for source, cell in cells.items() if start in source)
    return "".join(output.data.get("text/html", "") for output in cell.outputs if "data" in output)


def find_chromium() -> str | None:
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        print("no chromium: card.png and lab.png are left as they are")
    return found


def photograph_card(html: str, chromium: str) -> None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 860, "height": 600}, device_scale_factor=1.5)
        page.set_content(f"<body style='margin:12px;background:#fff;font:14px sans-serif'>{html}</body>")
        page.locator("body").screenshot(path=IMAGES / "card.png")
        browser.close()


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
