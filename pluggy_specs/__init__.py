"""The contract between peft_lab and its plugins.

A plugin is a module with one or more functions marked ``@hookimpl`` and named after a hook in
:mod:`pluggy_specs.hooks`. It is found through the entry-point group ``peft_lab``. This package needs pluggy and
pydantic only, and importing it never imports torch.
"""

from pluggy_specs.errors import MethodRefused, PeftLabError
from pluggy_specs.hooks import PROJECT, hookimpl, hookspec
from pluggy_specs.types import (
    Array,
    Artifact,
    Batch,
    DatasetSource,
    Drawing,
    Executor,
    Method,
    MethodContext,
    ModelSource,
    Options,
    RunView,
    Table,
    Task,
    View,
    failed_cell,
)

__all__ = [
    "PROJECT",
    "Array",
    "Artifact",
    "Batch",
    "DatasetSource",
    "Drawing",
    "Executor",
    "Method",
    "MethodContext",
    "MethodRefused",
    "ModelSource",
    "Options",
    "PeftLabError",
    "RunView",
    "Table",
    "Task",
    "View",
    "failed_cell",
    "hookimpl",
    "hookspec",
]
