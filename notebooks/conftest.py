"""Notebooks as tests: each has a folder of its own for its runs, so that two can go on side by side."""

import os
from pathlib import Path

import pytest

RUNS = Path(__file__).parents[1] / "build" / "test_runs"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    """Set for the cells of notebooks only: the same process runs other tests, too."""
    before = os.environ.get("PEFT_LAB_RUNS")
    os.environ["PEFT_LAB_RUNS"] = str(RUNS / item.path.stem)  # the kernel is started by the first cell
    try:
        return (yield)
    finally:
        if before is None:
            del os.environ["PEFT_LAB_RUNS"]
        else:
            os.environ["PEFT_LAB_RUNS"] = before
