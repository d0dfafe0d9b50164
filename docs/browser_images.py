"""Photograph panels, explorers and the Stop button in a real JupyterLab.

    make screenshots
    python docs/browser_images.py trains hostile     some of the scenes alone

Needs the extra ``dev`` and Chromium. Runs to look into are those of the notebooks, as ``make notebooks`` leaves them;
where there is none of ``sparse`` or ``apt``, it is trained for a few steps. The tokens are photographed only from a run
that is there: to find their roles takes longer.
"""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path
from typing import Any

from images import IMAGES, OF_NOTEBOOKS, ROOT, RUNS, squeeze

sys.path.insert(0, str(ROOT / "tests" / "browser"))

from browser_scenes import SCENES, Scenes
from front_end import DARK, FLAGS, LIGHT, Book, FrontEnd, button, find_chromium, jupyterlab
from known_runs import make_runs, make_tiny
from playwright.sync_api import expect, sync_playwright

from peft_lab.texts import panels as texts

BEGIN = "%load_ext peft_lab\nlab.model, _ = 'minilm', lab.data('helpdesk')"
FEW = "--max-steps 40 --device cpu"
LONG = 300_000
WIDE, HIGH = 1100, 1700
"""Pixels of the window; high enough that nothing has to be scrolled."""
MARGIN = 8


def main() -> None:
    IMAGES.mkdir(exist_ok=True)
    chromium = find_chromium()
    if chromium is None:
        sys.exit("no Chromium here (apt-get install chromium)")
    wanted = sys.argv[1:] or [*PAGES, *SCENES]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "books").mkdir()
        make_tiny(folder / "books")
        make_runs(folder / "known", folder / "books")
        with jupyterlab(folder) as address, sync_playwright() as play:
            browser = play.chromium.launch(executable_path=chromium, args=FLAGS)
            for names, sharp in (([n for n in wanted if n in PAGES], 1.25), ([n for n in wanted if n in SCENES], 1)):
                page = browser.new_page(viewport={"width": WIDE, "height": HIGH}, device_scale_factor=sharp)
                front = FrontEnd(page, address, folder / "books")
                scenes = Scenes(front, keep, folder / "runs", folder / "known")
                for scene in names:
                    PAGES[scene](front) if scene in PAGES else getattr(scenes, scene)()
                    front.close_all()
                    front.theme(LIGHT)
                page.close()
            browser.close()


def panel(front: FrontEnd) -> None:
    book = opened(front, "%peft panel lora+anchor --device cpu")
    shown = book.widgets(1)
    expect(shown).to_contain_text("parameters train", timeout=LONG)
    expect(shown).not_to_contain_text("being measured", timeout=LONG)
    both(front, shown, "panel")


def stop(front: FrontEnd) -> None:
    book = front.open(BEGIN, "%peft train bitfit --epochs 20 --device cpu")
    book.run(0)
    book.start(1)
    expect(button(book.output(1), texts.STOP)).to_be_visible(timeout=LONG)
    expect(book.output(1)).to_contain_text(re.compile(r"step [2-9]\d"), timeout=LONG)
    keep(book.cell(1), "stop.png")
    button(book.output(1), texts.STOP).click()
    book.done(1)


def masks(front: FrontEnd) -> None:
    shown = explored(front, "sparse", "sparse-mask")
    expect(shown).to_contain_text(texts.PRESS_GROUP)
    both(front, shown, "explore-masks")


def gates(front: FrontEnd) -> None:
    shown = explored(front, "apt", "prefix-gates")
    both(front, shown, "explore-gates")


def tokens(front: FrontEnd) -> None:
    known = found("lora+rft", "token-roles")
    if known is None:
        print("no finished run of lora+rft (make notebooks): explore-tokens.png is left as it is")
        return
    shown = explored(front, "lora+rft", "token-roles")
    field = shown.get_by_label(texts.THRESHOLD_TYPED)
    field.fill("0.5")
    field.press("Enter")
    expect(shown).to_contain_text("threshold 0.5")
    both(front, shown, "explore-tokens")


PAGES = {photograph.__name__: photograph for photograph in (stop, panel, masks, gates, tokens)}
"""Photographed of the real model, light and dark."""


# --- how -------------------------------------------------------------------------------------------------------------


def opened(front: FrontEnd, line: str) -> Book:
    """A notebook with a panel or an explorer in its second cell."""
    book = front.open(BEGIN, line)
    for at in range(2):
        book.run(at)
        assert not book.error(at), book.error(at)
    return book


def explored(front: FrontEnd, method: str, needs: str) -> Any:
    """The explorer of a run of a method, which is trained where there is none."""
    run = found(method, needs)
    if run is None:
        book = front.open(BEGIN, f"%peft train {method} {FEW}", "%peft explore")
        for at in range(3):
            book.run(at, limit=600)
    else:
        book = front.open(f"{BEGIN}\n%config PeftMagics.runs = {str(run.path.parent)!r}", "", f"%peft explore {run.id}")
        for at in (0, 2):
            book.run(at)
    assert not book.error(2), book.error(2)
    return book.widgets(2)


def found(method: str, needs: str) -> Any:
    """A finished run of a method that left what is to be seen."""
    from peft_lab.run import readable_runs

    known = (run for folder in (RUNS, *sorted(OF_NOTEBOOKS.glob("*"))) for run in readable_runs(folder))
    fitting = (run for run in known if run.recipe.method == method and needs in run.artifacts)
    return next((run for run in fitting if run.status == "finished"), None)


def both(front: FrontEnd, place: Any, name: str) -> None:
    """Light as NAME.png, dark as NAME-dark.png."""
    for theme, file in ((LIGHT, f"{name}.png"), (DARK, f"{name}-dark.png")):
        front.theme(theme)
        keep(place, file)


def keep(place: Any, file: str, last: Any = None) -> None:
    """A photograph among the images, with a margin; to the end of another place, where one is given."""
    page = place.page
    page.mouse.move(0, 0)
    page.evaluate("() => document.activeElement.blur()")
    place.scroll_into_view_if_needed()
    box = place.bounding_box()
    around = {"x": box["x"] - MARGIN, "y": box["y"] - MARGIN}
    end = (last or place).bounding_box()
    high = end["y"] + end["height"] - box["y"]
    around |= {"width": box["width"] + 2 * MARGIN, "height": high + 2 * MARGIN}
    page.screenshot(path=IMAGES / file, clip=around)
    squeeze(IMAGES / file)


if __name__ == "__main__":
    main()
