"""``peft-lab``: the lab's operations without a notebook, read from the declarations that make the magics."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from peft_lab.errors import BadOption, PeftLabError

if TYPE_CHECKING:
    from peft_lab.cli.line import Settings
    from peft_lab.lab import Lab

FINE, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; return the exit code.

    0: done. 1: it could not be done, or a check failed. 2: the words are not understood. 130: interrupted; a run that
    was in training is kept.
    """
    from peft_lab.cli.line import NotUnderstood

    try:
        return _main(list(sys.argv[1:] if arguments is None else arguments))
    except KeyboardInterrupt as stop:
        _complain(*getattr(stop, "lines", ["Interrupted."]))
        return INTERRUPTED
    except BrokenPipeError:  # the reader, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FINE
    except PeftLabError as error:
        if not _told_elsewhere(error):
            _complain(str(error))
        return USAGE if isinstance(error, NotUnderstood | BadOption) else FAILED
    except OSError as error:
        _complain(" ".join(filter(None, (error.strerror or str(error), error.filename and f"({error.filename})"))))
        return FAILED


def _main(words: list[str]) -> int:
    from peft_lab.cli import line, output

    settings, words = line.settings_in(words)
    if settings.version:
        from importlib.metadata import version

        _say(f"peft-lab {version('peft-lab')}")
        return FINE
    lab = _lab(settings)
    results: list[Any] = []
    # All of them are read before the first is done: a mistake in the last must not show after an hour of training.
    for asked in [line.understood(command, lambda: lab.host) for command in line.commands(words)]:
        results.append(asked.on(lab) if isinstance(asked, line.Asked) else asked)
        _say(output.as_json(results[-1]) if settings.json else output.as_text(results[-1]))
    if settings.html:
        file = output.write_page(results, Path(settings.html))
        sys.stderr.write(f"Written: {file}\n")
    return FINE if all(getattr(result, "ok", True) for result in results) else FAILED


def _told_elsewhere(error: PeftLabError) -> bool:
    """Whether the main one of several processes says it."""
    from peft_lab.training.together import told_by_main

    return told_by_main(error)


def _lab(settings: Settings) -> Lab:
    """The lab that all commands of this line share."""
    from peft_lab.cli import terminal
    from peft_lab.defaults import in_effect, read_project
    from peft_lab.lab import Lab
    from peft_lab.notebook.cells import calls_in
    from peft_lab.operations import operations_of
    from peft_lab.training.together import place

    defaults = in_effect(read_project())
    for problem in defaults.problems:
        _complain(problem)
    live = bool(defaults.get("live", True))
    lab = Lab(settings.runs or None, watch=terminal.watcher(live), follow=terminal.follower(live), defaults=defaults)
    if place():  # of several processes the main one shows what there is to see
        lab.watch = lab.follow = None
    lab.watch_study = terminal.study_watcher(live)
    lab.tells = terminal.teller(live)
    lab.read_cell = lambda source: calls_in(source, operations_of(Lab), lambda: lab.host, lab.namespace)
    return lab


def _complain(*lines: str) -> None:
    from peft_lab.cli.output import spoken

    for text in lines:
        sys.stderr.write(f"peft-lab: {spoken(' '.join(text.split()))}\n")


def _say(text: str) -> None:
    if text:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()
