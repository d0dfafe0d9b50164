"""The README of a saved folder: what it is and what opens it, in plain words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from peft_lab.keeping.peft_layout import CONFIG, REST, TENSORS, needs_task_ids
from peft_lab.present.style import plain, score, words

if TYPE_CHECKING:
    from peft_lab.keeping.manifest import Manifest

PEFT_CODE = """\
```python
{imports}from peft import PeftModel
from transformers import {auto_class}, AutoTokenizer

base = {base!r}  # the base model: its folder or hub id
tokenizer = AutoTokenizer.from_pretrained(base)
model = {auto_class}.from_pretrained(base{settings})
{pad}model = PeftModel.from_pretrained(model, "this-folder").eval()
inputs = tokenizer(["a text"], padding=True, truncation=True, max_length={length}, return_tensors="pt")
logits = model(**inputs{more}).logits
```
"""
MERGED_CODE = """\
```python
from transformers import {auto_class}, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("this-folder")
model = {auto_class}.from_pretrained("this-folder").eval()
inputs = tokenizer(["a text"], padding=True, truncation=True, max_length={length}, return_tensors="pt")
logits = model(**inputs).logits
```
"""
OURS_CODE = """\
```python
from peft_lab import Lab

lab = Lab()
lab.load("this-folder")
lab.predict("a text")
```

In a notebook: `%load_ext peft_lab`, then `%peft load this-folder` and `%peft predict "a text"`.
"""


def adapter_readme(
    manifest: Manifest,
    auto_class: str,
    settings: Mapping[str, Any],
    *,
    base: str,
    length: int,
    peft_type: str,
    pad: int | None,
) -> str:
    """Of a saved adapter.

    Args:
        base: where transformers finds the base model on this machine.
        length: longest text in tokens.
        settings: those of the model's config that the task needs, such as ``num_labels``.
        peft_type: of a tuner of PEFT, else empty.
        pad: the pad token id to set, where the base model's own config has none.
    """
    parts = [_title(manifest, "An adapter"), _facts(manifest)]
    if manifest.layout == "peft":
        tasks = needs_task_ids(peft_type)
        number = settings.get("num_labels")
        code = PEFT_CODE.format(
            imports="import torch\n" if tasks else "",
            auto_class=auto_class,
            base=_inline(base),
            settings=f", num_labels={number}" if number else "",
            pad=f"model.config.pad_token_id = {pad}\n" if pad is not None else "",
            length=length,
            more=", task_ids=torch.zeros(1, dtype=torch.long)" if tasks else "",
        )
        rest = f" `{REST}` holds what only peft_lab needs, to train on." if REST in manifest.files else ""
        about = f"`{CONFIG}` and `{TENSORS}` are in the layout of Hugging Face PEFT.{rest} PEFT opens it:"
        parts += ["## What opens it", f"{about}\n\n{code}", f"peft_lab opens it, and checks more:\n\n{OURS_CODE}"]
    else:
        reason = f" It is not in the layout of PEFT: {_inline(manifest.why_not_peft)}." if manifest.why_not_peft else ""
        parts += ["## What opens it", f"peft_lab opens it, and nothing else does.{reason}\n\n{OURS_CODE}"]
        parts += [_needed(manifest)]
    parts += [
        "Loading is strict: the weights of the base model must have the same hash, the tokenizer the same fingerprint, "
        "every tensor must be there and of its shape, and the answers to a few fixed texts must be those that are in "
        "`peft_lab.json`."
    ]
    return _page(parts)


def merged_readme(manifest: Manifest, auto_class: str, length: int) -> str:
    """Of a merged model."""
    code = MERGED_CODE.format(auto_class=auto_class, length=length)
    opens = f"transformers alone opens it; neither peft nor peft_lab is needed:\n\n{code}"
    return _page([_title(manifest, "A merged model"), _facts(manifest), "## What opens it", opens])


def _page(parts: list[str]) -> str:
    return "\n\n".join(part.strip() for part in parts if part) + "\n"


def _title(manifest: Manifest, what: str) -> str:
    return f"# {what}: {_inline(method_of(manifest))} on {_inline(manifest.run['recipe']['data']['source'])}"


def _facts(manifest: Manifest) -> str:
    run, recipe = manifest.run, manifest.run["recipe"]
    facts = [
        ("trained by", f"peft_lab {run['versions'].get('peft_lab', '')}, {run['id']}, method {method_of(manifest)}"),
        ("base model", f"{recipe['model']}, fingerprint {run['fingerprints'].get('model') or 'unknown'}"),
        ("task", f"{run['task']}{_labels(run.get('targets', {}))}"),
        ("answers", _units(run.get("targets", {}))),
        ("data", _data(run)),
        ("scores", _scores(run)),
        ("seed", recipe["seed"]),
    ]
    return "\n".join(f"- {name}: {_inline(text)}" for name, text in facts if text != "")


def _data(run: Mapping[str, Any]) -> str:
    rows = ", ".join(f"{count:,} {split}" for split, count in run["data"].get("rows", {}).items())
    columns = ", ".join(str(name) for name in run["data"].get("columns", {}).values() if name)
    return f"{run['data'].get('name', run['recipe']['data']['source'])} ({rows} rows; columns {columns}); not in here"


def _labels(targets: Mapping[str, Any]) -> str:
    labels = targets.get("labels")
    return f" with {len(labels):,} labels, listed in peft_lab.json" if labels else ""


def _units(targets: Mapping[str, Any]) -> str:
    """How numbers that the model gives become those of the data."""
    mean, deviation = targets.get("mean"), targets.get("deviation")
    if not isinstance(mean, float) or not isinstance(deviation, float):
        return ""
    return f"logits are standardised: an answer in the units of the data is logits * {deviation!r} + {mean!r}"


def _scores(run: Mapping[str, Any]) -> str:
    metrics = run.get("metrics", {})
    split = "test" if "test" in metrics else "validation"
    return ", ".join(f"{words(n)} {score(v)}" for n, v in metrics.get(split, {}).items()) + (
        f" ({split})" if metrics else ""
    )


def _needed(manifest: Manifest) -> str:
    others = {
        f"{source['distribution']} {source['version']}".strip()
        for sources in manifest.offered_by.values()
        for source in sources.values()
        if source["distribution"] not in ("peft-lab", "")
    }
    if not others:
        return ""
    named = ", ".join(sorted(others)).replace("notebook", "a cell of the notebook it was trained in")
    return f"Its methods come from {_inline(named)}, which must be there as well."


def method_of(manifest: Manifest) -> str:
    """The composition as it is typed."""
    return "+".join(spec["name"] for spec in manifest.run["recipe"]["methods"])


def _inline(text: object) -> str:
    """On one line, without what Markdown would read as code."""
    return plain(text).replace("`", "'").replace("<", "&lt;")
