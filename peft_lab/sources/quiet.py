"""Keep the libraries from printing while they read, without changing how they are set up."""

from __future__ import annotations

import logging
import os
import socket
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlparse
from urllib.request import getproxies, proxy_bypass

from peft_lab.offline import is_offline, switched_off


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


@contextmanager
def quiet_peft() -> Iterator[None]:
    """No warnings of ``peft`` inside: they speak of settings that a person did not choose. Afterwards as before."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def hub_reachable(seconds: float = 3.0) -> bool:
    """Say whether the hub can be asked, at once: the libraries themselves retry for half a minute."""
    if is_offline():
        return False
    place = urlparse(os.environ.get("HF_ENDPOINT") or "https://huggingface.co")
    host = place.hostname or "huggingface.co"
    proxy = getproxies().get(place.scheme)
    if proxy and not proxy_bypass(host):  # then the proxy is what must answer
        place = urlparse(proxy if "//" in proxy else f"//{proxy}")
        host = place.hostname or ""
    try:
        port = place.port or (443 if place.scheme == "https" else 80)
    except ValueError:  # a port that is no number
        return False
    return _answers(host, port, seconds)


def why_not_reachable() -> str:
    """What to say where the hub was not asked, or gave no answer."""
    return "the hub is switched off by the setting offline" if switched_off() else "the hub cannot be reached"


def _answers(host: str, port: int, seconds: float) -> bool:
    """Whether somebody listens there. Looking up a name knows no timeout, so that it is not waited for."""
    answers: list[bool] = []

    def ask() -> None:
        with suppress(OSError, UnicodeError):
            socket.create_connection((host, port), timeout=seconds).close()
            answers.append(True)

    asked = threading.Thread(target=ask, daemon=True, name="peft_lab looks for the hub")
    asked.start()
    asked.join(seconds + 0.5)
    return bool(answers)
