"""Settings for all tests."""

import gc
import os

# Two cores: more threads than one make tiny models slower, and tests in other processes starve.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


def pytest_collection_finish(session):
    """What was imported stays: looked through at each collection, it would take most of a tiny training's time."""
    gc.collect()
    gc.freeze()
