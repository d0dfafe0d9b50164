"""A connection to Ray: to a cluster that was asked for, or one begun here for this machine alone, and ended again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from peft_lab.errors import BadOption
from peft_lab.study.places import texts
from peft_lab.study.places.machine import cores, within

LOCAL: Mapping[str, str] = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # Ray's name for it: 0 keeps a cluster on 127.0.0.1, on every system, so that nothing listens beyond the machine.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
}

TRIES = 3


@contextmanager
def connected(address: str, processors: int) -> Iterator[Any]:
    """Ray, connected; one that was connected before stays so.

    Args:
        address: of a cluster; nothing for one of its own.
        processors: that one of its own has; 0 for those of this machine.

    Raises:
        BadOption: Ray is not installed, or there is no cluster.
    """
    with within({} if address else LOCAL):
        try:
            import ray
        except ImportError as error:
            raise BadOption(texts.NO_RAY, texts.NO_RAY_HINT) from error
        if ray.is_initialized():
            yield ray
            return
        _connect(ray, address, processors)
    try:
        yield ray
    finally:
        ray.shutdown()


def _connect(ray: Any, address: str, processors: int) -> None:
    quiet = {"log_to_driver": False, "logging_level": "ERROR"}
    try:
        if address.startswith("ray://"):
            ray.init(address)
        elif address:
            ray.init(address, **quiet)
        else:
            _begin(ray, num_cpus=processors or cores(), include_dashboard=False, **quiet)
    except Exception as error:  # Ray raises all kinds, also bare ones
        why = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        where = texts.AT.format(address=address) if address else texts.ON_THIS_MACHINE
        raise BadOption(texts.NO_CLUSTER.format(where=where, why=why), texts.NO_CLUSTER_HINT) from error


def _begin(ray: Any, **settings: Any) -> None:
    """Begin a Ray of this machine; again where a busy machine was too slow for Ray's patience, which cannot be set."""
    with _loopback():
        for left in reversed(range(TRIES)):
            try:
                ray.init(**settings)
                return
            except Exception as error:
                if "timed out" not in str(error) or not left:
                    raise
                ray.shutdown()


@contextmanager
def _loopback() -> Iterator[None]:
    """The same for a Ray that was imported before: it read the setting then."""
    from ray._private import ray_constants

    before = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before
