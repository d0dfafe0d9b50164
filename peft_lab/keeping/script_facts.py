"""What a plain script must know about a run, read from the run itself: its rows, what trained, and with which config.

Which parameters train is not asked of the methods but read off the model they made, so that a method of somebody else
is written down as well as a built-in one, if all it does is choose parameters or entries.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from peft_lab.errors import RunProblem
from peft_lab.keeping.script_config import Written, written
from peft_lab.keeping.script_names import beginnings, ends
from peft_lab.run import Run
from peft_lab.training.anatomy import bare_name
from pluggy_specs import Method

if TYPE_CHECKING:
    import torch

    from peft_lab.host import Host
    from peft_lab.training.restore import Restored

TASK = "classification"
OWN = "peft_lab.methods"
CANNOT = {
    "adapt_tokenizer": "changes the tokenizer",
    "weigh_tokens": "weighs tokens",
    "penalty": "adds a penalty to the loss",
    "settle": "acts on the model while it trains",
    "rates": "gives parts of the model rates of their own",
    "pull": "draws weights back to where they started",
}
PEFT_CANNOT = {
    "POLY": "is told by peft_lab which task a text is of",
    "MULTITASK_PROMPT_TUNING": "is told by peft_lab which task a text is of",
    "ADAPTION_PROMPT": "needs more than get_peft_model to classify",
    "SHADOW": "needs more than get_peft_model to classify",
}
ROWS_TO_COMPARE = 8


@dataclass(frozen=True)
class Facts:
    """A run as a plain script sees it."""

    run: Run
    model: str
    """Folder or hub id of the base model."""
    tables: Mapping[str, list[dict[str, str]]]
    """Rows by split, as they were trained on, with ``text``, maybe ``text_pair``, and ``label``."""
    labels: list[str]
    positive: str
    """The one of two labels whose F1 is measured; empty for more."""
    max_length: int
    pads: bool
    """Whether the tokenizer comes with a pad token."""
    everything: bool
    """Whether every parameter trains."""
    head: tuple[str, ...]
    """Beginnings of names that train."""
    trains: tuple[str, ...]
    """Ends of other names that train."""
    config: Written | None
    masks: dict[str, torch.Tensor] = field(default_factory=dict)

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns with text."""
        return tuple(name for name in ("text", "text_pair") if name in self.tables["train"][0])


def read_facts(run: Run, host: Host) -> Facts:
    """Build the run's model again and read off it what a script needs.

    Raises:
        RunProblem: data or model are not what they were, or the run cannot be written as a plain script.
    """
    from peft_lab.sources.models import find_model
    from peft_lab.training.restore import restore, untrained

    _must_be_plain(run, host)
    tables = _tables(run, host)
    restored = restore(run, host, device="cpu", precision="fp32")
    if any(parameter._backward_hooks for parameter in restored.built.model.parameters()):
        raise _refused(run, f"{run.recipe.method} changes gradients while it trains")
    bare = untrained(run, host, device="cpu", precision="fp32")
    masks = _masks(restored)
    if all(map(_own, restored.built.methods)) and _adds_parameters(restored):
        raise _refused(run, f"{run.recipe.method} adds parameters of its own", merges=False)
    tuners = [m for m in restored.built.methods if m.peft_config is not None]
    if len(tuners) > 1:
        raise _refused(run, f"{' and '.join(m.name for m in tuners)} would each wrap the model")
    if tuners and masks:
        raise _refused(run, "masks inside a model of PEFT have no plain form")
    names = [name for name, _ in bare.built.model.named_parameters()]
    head = [name for name in names if name in set(restored.built.head)]
    config = None
    if tuners:
        _must_be_usual(run, tuners[0], restored.built.methods)
        modules = [name for name, _ in bare.built.model.named_modules()]
        try:
            config = written(tuners[0].peft_config, modules, head, names)
        except RunProblem as problem:
            raise _refused(run, str(problem)) from problem
    else:
        rows = [{k: v for k, v in row.items() if k != "label"} for row in tables["train"][:ROWS_TO_COMPARE]]
        _must_only_choose(run, restored, bare, rows)
    trained = _trained_whole(restored) - set(masks)
    if config is not None:
        # What PEFT copies trains as a copy; chosen by hand is only what it leaves alone.
        trained = (trained - set(head)) | config.head_left
    rest = [name for name in names if name not in trained]
    model = find_model(run.recipe.model, host).path_or_id
    return Facts(
        run=run,
        model=model,
        tables=tables,
        labels=list(restored.targets["labels"]),
        positive=restored.targets.get("positive", ""),
        max_length=restored.max_length,
        pads=_has_pad(model),
        everything=not rest and not masks,
        head=beginnings([name for name in head if name in trained], names),
        trains=ends([name for name in names if name in trained and name not in set(head)], rest),
        config=config,
        masks=masks,
    )


# --- what cannot be written -------------------------------------------------------------------------------------------


def _refused(run: Run, why: str, merges: bool = True) -> RunProblem:
    train = f"train it elsewhere with peft-lab train {run.id}/run.json"
    hint = f"Take the model out with %peft merge {run.id} FOLDER, or {train}" if merges else f"T{train[1:]}"
    return RunProblem(f"{run.id} has no plain script: {why}", hint)


def _must_be_plain(run: Run, host: Host) -> None:
    if run.recipe.start is not None:
        raise _refused(run, "it began from the weights of another run")
    if run.recipe.training.augment:
        raise _refused(run, "it was trained on texts with changed words too")
    if (task := run.record.get("task")) not in (None, TASK):
        raise _refused(run, f"its task {task} is not one that the script knows")
    for spec in run.recipe.methods:
        cls = host.find("methods", spec.name)
        for hook, what in CANNOT.items():
            if getattr(cls, hook) is not getattr(Method, hook):
                raise _refused(run, f"{spec.name} {what}")


def _must_be_usual(run: Run, tuner: Method, methods: Iterable[Method]) -> None:
    kind = str(getattr(tuner, "peft_type", ""))
    if kind in PEFT_CANNOT:
        raise _refused(run, f"{tuner.name} {PEFT_CANNOT[kind]}")
    for method in methods:
        if not _own(method):
            raise _refused(
                run, f"{method.name} comes from a plugin, and what it does inside a model of PEFT is unknown"
            )


def _adds_parameters(restored: Restored) -> bool:
    """Whether there are parameters that neither the base model nor a tuner of PEFT brought."""
    from peft import PeftModel
    from peft.tuners.tuners_utils import BaseTuner

    model, known = restored.built.model, restored.built.base
    of_peft = {name for name, module in model.named_modules() if type(module).__module__.startswith("peft.")}
    whole = {name for name, module in model.named_modules() if isinstance(module, PeftModel | BaseTuner)}
    inside = tuple(f"{name}." for name in of_peft - whole)
    return any(id(p) not in known and not n.startswith(inside) for n, p in model.named_parameters())


def _own(method: Method) -> bool:
    return type(method).__module__.startswith(f"{OWN}.")


def _must_only_choose(run: Run, restored: Restored, bare: Restored, rows: list[dict[str, str]]) -> None:
    """Methods of plugins may choose what trains and nothing else: their model answers as the bare one does."""
    import torch

    if all(map(_own, restored.built.methods)):
        return
    ours, theirs = (dict(each.built.model.named_parameters()) for each in (restored, bare))
    if ours.keys() != theirs.keys():
        raise _refused(run, f"{run.recipe.method} adds parameters of its own", merges=False)
    with torch.no_grad():
        for name, parameter in theirs.items():
            parameter.copy_(ours[name])
    if not (restored.outputs(rows) == bare.outputs(rows)).all():
        raise _refused(run, f"{run.recipe.method} changes how the model computes")


# --- data -------------------------------------------------------------------------------------------------------------


def _tables(run: Run, host: Host) -> dict[str, list[dict[str, str]]]:
    from peft_lab.sources.datasets import load_data

    data = load_data(run.recipe.data, host)
    if data.fingerprint != run.record["fingerprints"].get("data"):
        raise RunProblem(
            f"the data {data.name} is not what {run.id} was trained on: its rows changed",
            "Put the same rows in place, or train again",
        )
    columns = [c for c in ("text", "text_pair", "label") if c in data.splits["train"].column_names]
    return {
        split: [{c: str(row[c]) for c in columns} for row in table.select_columns(columns)]
        for split, table in data.splits.items()
    }


def as_lines(rows: Iterable[Mapping[str, str]]) -> str:
    """Rows as JSON lines."""
    return "".join(json.dumps(dict(row), ensure_ascii=False) + "\n" for row in rows)


# --- the model --------------------------------------------------------------------------------------------------------


def _trained_whole(restored: Restored) -> set[str]:
    """Names, in the bare model, of the base model's parameters that train."""
    known = restored.built.base
    return {bare_name(n) for n, p in restored.built.model.named_parameters() if p.requires_grad and id(p) in known}


def _masks(restored: Restored) -> dict[str, torch.Tensor]:
    return {name: places.cpu() for name, places, _ in restored.built.masked or ()}


def _has_pad(model: str) -> bool:
    from transformers import AutoTokenizer

    from peft_lab.sources.quiet import quiet_transformers

    with quiet_transformers():
        return AutoTokenizer.from_pretrained(model, trust_remote_code=False).pad_token_id is not None
