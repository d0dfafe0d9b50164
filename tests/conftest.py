"""Settings for all tests."""

import gc
import os
import sys
from pathlib import Path

import pytest

# Two cores: more threads than one make tiny models slower, and tests in other processes starve.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# A training in the background gives way to a notebook, but not to another test's process.
os.environ.setdefault("PEFT_LAB_NICE", "0")
# What is made once and kept, such as a model unpacked: not among a person's own, and once for all tests.
os.environ.setdefault("PEFT_LAB_CACHE", str(Path(__file__).parent.parent / "build" / "test_cache"))

LONGEST_FIRST = (
    *("01_quickstart.ipynb", "02_rely_on_it.ipynb", "test_browser_panel.py", "test_browser_explorers.py"),
    *("test_keeping.py", "test_resume.py", "test_peft_layout.py"),
    *("test_faults.py", "test_control.py", "test_code.py", "test_cli.py", "test_kernel.py", "test_out_of_memory.py"),
    *("test_smollm2.py", "test_free.py", "test_untidy.py", "test_gpu_benchmark.py", "test_sparse.py"),
)
"""Files that take longest: begun last, one of them would go on when the other processes have nothing left to do."""
MANY = 50
"""Modules."""
frozen = 0


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    order = {name: place for place, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: order.get(item.path.name, len(order)))


def freeze():
    """What was imported stays: looked through at each collection, it would take most of a tiny training's time."""
    global frozen
    gc.collect()
    gc.freeze()
    frozen = len(sys.modules)


def pytest_collection_finish(session):
    freeze()


def pytest_runtest_logfinish():
    """Most libraries come with the first test that needs them; between two tests, nothing of a test is frozen."""
    if len(sys.modules) >= frozen + MANY:
        freeze()


@pytest.fixture(scope="session")
def trained_before(tmp_path_factory):
    """All that training imports is imported and frozen: for fixtures that train much before the first test ends."""
    from peft_lab.testing import tiny_lab

    tiny_lab(tmp_path_factory.mktemp("before")).train("lora", max_steps=1, batch_size=8, device="cpu")
    freeze()


@pytest.fixture(scope="module")
def one_thread():
    """Matrices of tiny models only wait for each other."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
