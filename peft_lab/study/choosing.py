"""Where cells are trained: an executor with its options, out of what is typed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from peft_lab.errors import BadOption
from peft_lab.recipe import checked
from peft_lab.study.reading import method
from pluggy_specs import Executor

if TYPE_CHECKING:
    from peft_lab.host import Host

HERE = "here"


def executor_of(host: Host, on: str = HERE, workers: int | None = None) -> Executor:
    """An executor by name: ``here``, ``processes threads=1``, ``ray``, ``ray://head:10001``.

    Raises:
        BadOption: it has no such option.
        UnknownName: there is none of that name.
    """
    address = re.fullmatch(r"([a-z][\w-]*)://\S+", on.strip())
    name, options = (address[1], {"address": on.strip()}) if address else method("on", on)
    cls = host.find("executors", name)
    if workers is not None:
        if "workers" not in cls.Options.model_fields:
            raise BadOption(f"{name} has no workers: it trains one cell after another", "Say --on processes", "workers")
        options = {**options, "workers": workers}
    made: Executor = cls(checked(cls.Options, options, name))
    return made


def is_here(executor: Executor) -> bool:
    """Whether an executor trains in this process, where it sees what was added in the notebook."""
    return executor.name == HERE or type(executor).run_cells is Executor.run_cells


def width_of(executor: Executor) -> int:
    """How many cells it trains side by side, as far as it says."""
    found: Any = getattr(executor.options, "workers", None)
    return max(1, int(found)) if isinstance(found, int) else 1
