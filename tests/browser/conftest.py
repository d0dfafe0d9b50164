"""One JupyterLab and one Chromium for the tests of a file; each test opens a notebook of its own.

Not for all files: as long as Playwright is there, no other test of the process could begin an event loop.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from front_end import FLAGS, LIGHT, FrontEnd, find_chromium, jupyterlab
from known_runs import make_runs, make_tiny

HERE = Path(__file__).parent
REASON = "no Chromium here (apt-get install chromium)"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Without a browser they are skipped, unless PEFT_LAB_BROWSER=needed: then that is an error, and told as one."""
    skipped = find_chromium() is None and os.environ.get("PEFT_LAB_BROWSER") != "needed"
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.slow)
            if skipped:
                item.add_marker(pytest.mark.skip(reason=REASON))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder below which all of the server's things are."""
    return tmp_path_factory.mktemp("browser")


@pytest.fixture(scope="module")
def books(place: Path) -> Path:
    """The folder of notebooks, with a tiny model and a small data set that it can learn."""
    folder = place / "books"
    folder.mkdir()
    make_tiny(folder)
    return folder


@pytest.fixture(scope="module")
def address(place: Path, books: Path) -> Iterator[str]:
    with jupyterlab(place) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    chromium = find_chromium()
    assert chromium, REASON
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def front(browser: Any, address: str, books: Path) -> FrontEnd:
    page = browser.new_page(viewport={"width": 1180, "height": 900})
    return FrontEnd(page, address, books)


@pytest.fixture
def lab(front: FrontEnd) -> Iterator[FrontEnd]:
    """The front end as a person finds it: light, wide, nothing open. Whatever a test opened is closed after it."""
    yield front
    front.close_all()
    front.size(1180)
    front.theme(LIGHT)


@pytest.fixture
def begin(place: Path, request: pytest.FixtureRequest) -> str:
    """The first cell of a notebook: runs of its own, the tiny model and its data."""
    folder = place / "runs" / request.node.name
    return (
        f"%load_ext peft_lab\n%config PeftMagics.runs = {str(folder)!r}\nlab.model, _ = 'tiny', lab.data('colours.csv')"
    )


@pytest.fixture(scope="module")
def looked_into(place: Path, books: Path) -> str:
    """The first cell of a notebook where runs can be looked into."""
    folder = place / "runs" / "known"
    make_runs(folder, books)
    return f"%load_ext peft_lab\n%config PeftMagics.runs = {str(folder)!r}"
