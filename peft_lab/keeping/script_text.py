"""The text of a plain script: its opening, imports and settings, and the functions cut out of ``script_parts.py``."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from peft_lab.keeping import script_parts as parts
from peft_lab.keeping.script_facts import Facts
from peft_lab.training.batches import BLUR, grouped_by_length

MARK = re.compile(r"\s*# (?:when: (?P<word>\w+)|noqa: \w+)$")
WIDTH, INDENT = 100, "    "
ENDING = 'if __name__ == "__main__":\n    main()'


def data_folder(file: Path) -> Path:
    """Where the rows of a script are."""
    return file.with_name(f"{file.stem}-data")


def text_of(facts: Facts, file: Path) -> str:
    """The script of a run; ``file`` is where it stands, or would stand."""
    words = _words(facts)
    chosen = [part for part, word in _parts() if not word or word in words]
    functions = [_source(part, words) for part in chosen]
    body = "\n\n\n".join(functions)
    head = "\n".join(_settings(facts, file, words))
    top = "\n\n".join((_opening(facts, file), _imports(f"{head}\n{body}", facts), head))
    return "\n\n\n".join((top, body, ENDING)) + "\n"


def _parts() -> Iterator[tuple[Any, str]]:
    """The functions of a script in order, each with the word for which it is needed; none for always."""
    yield parts.read, ""
    yield parts.encode, ""
    yield parts.seed_everything, ""
    yield parts.trains, "chosen"
    yield parts.build, ""
    yield parts.masked_entries, "masks"
    yield grouped_by_length, ""
    yield parts.learning_rate, ""
    yield parts.logits_of, ""
    yield parts.backward, "single"
    yield parts.backward_over, "over"
    yield parts.evaluate, ""
    yield parts.train, ""
    yield parts.main, ""


def _words(facts: Facts) -> set[str]:
    """What holds for this run, in the words of ``script_parts.py``."""
    training = facts.run.recipe.training
    chosen = bool(facts.head or facts.trains) and not facts.everything
    lora = facts.config is not None and facts.config.name == "LoraConfig" and "use_dora" not in facts.config.arguments
    bf16 = facts.run.record["hardware"]["precision"] == "bf16"
    over = training.accumulate > 1
    held = {
        "peft": facts.config is not None,
        "everything": facts.everything,
        "frozen": not facts.everything and facts.config is None,
        "chosen": chosen,
        "head_only": chosen and not facts.trains,
        "ends_only": chosen and not facts.head,
        "head_and_ends": bool(facts.head and facts.trains),
        "masks": bool(facts.masks),
        "fp32": not bf16,
        "bf16": bf16,
        "held": bf16 and (facts.config is None or lora),
        training.schedule: True,
        "falls": training.schedule != "constant",
        "over": over,
        "single": not over,
        "max_steps": training.max_steps is not None,
        "epochs": training.max_steps is None and not over,
        "epochs_over": training.max_steps is None and over,
        "clip": training.clip > 0,
        "fused": _device(facts) != "mps",
        "pad": not facts.pads,
        "two": bool(facts.positive),
        "sorted_labels": _sorted(facts),
        "listed_labels": not _sorted(facts),
    }
    return {word for word, holds in held.items() if holds}


def _source(part: Any, words: set[str]) -> str:
    """A function as text: lines of other scripts left out, imports and type hints of the package's own taken off."""
    lines = []
    for line in inspect.getsource(part).splitlines():
        found = MARK.search(line)
        if found and found["word"] and found["word"] not in words:
            continue
        while found := MARK.search(line):
            line = line[: found.start()]
        if not re.match(r"\s+import \w+$", line):
            lines.append(line)
    text = "\n".join(lines).rstrip()
    text = re.sub(r"^(def \w+\()(.*)\) -> .*:$", lambda m: f"{m[1]}{_bare(m[2])}):", text, count=1, flags=re.M)
    text = re.sub(r"^(\s+\w+): (?:Any|list\[\w+(?:\[.*?\])?\]|list\[Any\]) = ", r"\1 = ", text, flags=re.M)
    return re.sub(r'^(def .*:\n    """.*"""\n)\n', r"\1", text)


def _bare(parameters: str) -> str:
    return ", ".join(p.partition(":")[0].strip() for p in parameters.split(", "))


def _opening(facts: Facts, file: Path) -> str:
    run, record = facts.run, facts.run.record
    versions = ", ".join(f"{n} {v}" for n, v in record["versions"].items() if n in ("torch", "transformers", "peft"))
    steps = record.get("steps", {})
    done, planned = steps.get("done"), steps.get("planned")
    paragraphs = [
        f"{run.recipe.method} on {_plain(run.recipe.data.source)}: the training run {run.id}, as a plain script.",
        f"    python {_plain(file.name)}",
        f"It reads the rows in {_plain(data_folder(file).name)}, begins with the same random numbers, takes the same "
        "steps, and keeps the trained model in OUT.",
        *(
            f"{run.id} got on {split}: " + ", ".join(f"{name} {value:.4f}" for name, value in numbers.items())
            for split, numbers in run.metrics.items()
        ),
    ]
    if planned and done != planned:
        paragraphs.append(f"It was stopped at step {done} of {planned}; this script goes to the end.")
    if facts.masks:
        paragraphs.append("Which entries train was settled in the run: they are read, not chosen again.")
    paragraphs.append(
        f"The run was made with {versions}, on {_device(facts)} in {record['hardware']['precision']}. "
        "Other versions and other machines may round, and draw, a little differently."
    )
    wrapped = (textwrap.fill(text, WIDTH, break_long_words=False, break_on_hyphens=False) for text in paragraphs)
    text = "\n\n".join(p if p.startswith("    ") else w for p, w in zip(paragraphs, wrapped, strict=True))
    return '"""' + text.replace("\\", "\\\\").replace('"', "'") + '\n"""'


def _imports(text: str, facts: Facts) -> str:
    """The imports that the text needs, in the usual order."""
    standard = [f"import {name}" for name in ("json", "math", "random") if re.search(rf"\b{name}\.", text)]
    names = ["AutoModelForSequenceClassification", "AutoTokenizer", "DataCollatorWithPadding"]
    others = ["import numpy as np", "import torch"]
    if facts.config is not None:
        others.append(f"from peft import {facts.config.name}, get_peft_model")
    if facts.masks:
        others.append("from safetensors.torch import load_file")
    others += [
        "from sklearn.metrics import f1_score, matthews_corrcoef",
        "from torch.nn.functional import cross_entropy",
        f"from transformers import {', '.join(names)}",
    ]
    return "\n".join([*standard, "from pathlib import Path", "", *others])


def _settings(facts: Facts, file: Path, words: set[str]) -> Iterator[str]:
    recipe = facts.run.recipe
    training = recipe.training
    here = "Path(__file__)"
    rows = ", ".join(f"{len(table):,} {split}" for split, table in facts.tables.items())
    yield f"MODEL = {_literal(facts.model)}  # a folder or a hub id"
    yield f"DATA = {here}.with_name({_literal(data_folder(file).name)})  # {rows} rows, as JSON lines"
    yield f"OUT = {here}.with_name({_literal(f'{file.stem}-model')})"
    yield f"SPLITS = {_literal(tuple(facts.tables))}"
    yield f"COLUMNS = {_literal(facts.columns)}"
    if "listed_labels" in words:
        yield f"LABELS = {_literal(facts.labels)}"
    if "two" in words:
        yield f"POSITIVE = {facts.labels.index(facts.positive)}  # the number of the label whose F1 is measured"
    yield f"HEADLINE = {_literal(facts.run.headline)}  # chooses the best state"
    yield f"MAX_LENGTH = {facts.max_length}  # tokens; longer texts are cut"
    yield f"DEVICE = {_literal(_device(facts))}"
    yield ""
    yield f"SEED = {recipe.seed}"
    yield f"MAX_STEPS = {training.max_steps}" if training.max_steps else f"EPOCHS = {training.epochs:g}"
    yield f"BATCH_SIZE = {training.batch_size}"
    if "over" in words:
        yield f"ACCUMULATE = {training.accumulate}  # batches in one step"
    yield f"EVAL_BATCH_SIZE = {training.eval_batch_size}"
    yield f"LEARNING_RATE = {training.learning_rate!r}"
    yield f"WARMUP = {training.warmup!r}  # share of all steps"
    yield f"WEIGHT_DECAY = {training.weight_decay!r}"
    if "clip" in words:
        yield f"CLIP = {training.clip!r}  # largest norm of the gradients"
    yield f"BLUR = {BLUR}  # tokens by which lengths are blurred, so that texts meet others in every epoch"
    yield from _what_trains(facts)


def _what_trains(facts: Facts) -> Iterator[str]:
    if facts.everything:
        return
    yield ""
    if facts.head:
        yield f"HEAD = {_literal(facts.head)}  # beginnings: the parts made for the task"
    if facts.trains:
        yield f"TRAINS = {_literal(facts.trains)}  # ends of the other parameters that train"
    if facts.config is not None:
        yield f"CONFIG = {facts.config.name}("
        yield from (f"    {name}={_literal(value, INDENT)}," for name, value in facts.config.arguments.items())
        yield ")"


def _literal(value: Any, indent: str = "") -> str:
    """A value in source form, with double quotes; a long list on several lines, behind an indent."""
    if isinstance(value, str):
        text = repr(value)
        return f'"{text[1:-1]}"' if text[0] == "'" and '"' not in text else text
    if not isinstance(value, (list, tuple)):
        return repr(value)
    opening, closing = "[]" if isinstance(value, list) else "()"
    items = [_literal(item) for item in value]
    one = ", ".join(items) + ("," if closing == ")" and len(items) == 1 else "")
    if len(one) <= WIDTH:
        return f"{opening}{one}{closing}"
    return f"{opening}\n" + "".join(f"{indent}    {item},\n" for item in items) + f"{indent}{closing}"


# --- small facts ------------------------------------------------------------------------------------------------------


def _device(facts: Facts) -> str:
    return str(facts.run.record["hardware"]["device"])


def _sorted(facts: Facts) -> bool:
    return facts.labels == sorted({row["label"] for row in facts.tables["train"]})


def _plain(text: object) -> str:
    return " ".join(repr(str(text))[1:-1].split())
