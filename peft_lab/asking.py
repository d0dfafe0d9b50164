"""Asking a plugin's own code: what it raises, or gives that cannot be used, becomes one line that names it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from peft_lab.errors import PeftLabError, PluginFailed
from peft_lab.loading import reason_of


@contextmanager
def asking(kind: str, name: str, hook: str) -> Iterator[None]:
    """Around a call of a hook. An interrupt and what the plugin says on purpose go through.

    Args:
        kind: of the plugin's thing, as in :data:`peft_lab.loading.KINDS`.

    Raises:
        PluginFailed: it raised something else, ``SystemExit`` included.
    """
    try:
        yield
    except PeftLabError:
        raise
    except (Exception, SystemExit) as error:  # a plugin that calls sys.exit must not end the kernel
        raise PluginFailed(kind, name, hook, reason_of(error)) from error


def gave(kind: str, name: str, hook: str, what: object, wanted: str) -> PluginFailed:
    """The error for an answer that cannot be used: what came, and what was wanted."""
    return PluginFailed(kind, name, hook, f"it gave {what}, not {wanted}")


def named(value: object) -> str:
    """A value by its type, for such an error."""
    return "nothing" if value is None else f"a thing of type {type(value).__name__}"
