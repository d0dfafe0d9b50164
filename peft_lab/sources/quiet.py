"""Keep the libraries from printing while they read, without changing how they are set up."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlparse
from urllib.request import getproxies


@contextmanager
def quiet_datasets() -> Iterator[None]:
    """No progress bars and log lines from ``datasets`` inside; afterwards as before."""
    import datasets
    from datasets.utils import logging

    level, bars = logging.get_verbosity(), not datasets.are_progress_bars_disabled()
    logging.set_verbosity(logging.CRITICAL)
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            datasets.enable_progress_bars()


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """No progress bars and load reports from ``transformers`` inside; afterwards as before."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def hub_reachable(seconds: float = 3.0) -> bool:
    """Say whether the hub can be asked, at once: the libraries themselves retry for half a minute."""
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}:
        return False
    place = urlparse(os.environ.get("HF_ENDPOINT") or "https://huggingface.co")
    if getproxies().get(place.scheme):
        return True
    try:
        port = place.port or (80 if place.scheme == "http" else 443)
        socket.create_connection((place.hostname or "huggingface.co", port), timeout=seconds).close()
    except OSError:
        return False
    return True
