"""Settings for all tests."""

import gc
import os
from pathlib import Path

import pytest

# Two cores: more threads than one make tiny models slower, and tests in other processes starve.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# What is made once and kept, such as a model unpacked: not among a person's own, and once for all tests.
os.environ.setdefault("PEFT_LAB_CACHE", str(Path(__file__).parent.parent / "build" / "test_cache"))


def pytest_collection_finish(session):
    """What was imported stays: looked through at each collection, it would take most of a tiny training's time."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="module")
def one_thread():
    """Matrices of tiny models only wait for each other."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
