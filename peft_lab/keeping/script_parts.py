"""The parts of a plain script, as real code: checked like all code here, cut out by ``script.py``, never run from here.

A line that ends in ``# when: word`` stays in scripts for which the word holds, and in no others. ``script.py`` writes
the imports and the names in capitals above the parts.
"""
# mypy: allow-untyped-defs

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch
    from peft import get_peft_model
    from safetensors.torch import load_file
    from sklearn.metrics import f1_score, matthews_corrcoef
    from torch.nn.functional import cross_entropy
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, DataCollatorWithPadding

    from peft_lab.training.batches import grouped_by_length

# Each script has its own values of these; here they only say of which kind they are.
MODEL, DEVICE = "", "cpu"
DATA = OUT = Path()
SPLITS, COLUMNS = ("train", "validation"), ("text",)
LABELS = [""]
POSITIVE, HEADLINE = 1, ""
HEAD = TRAINS = ("",)
MAX_LENGTH = BATCH_SIZE = EVAL_BATCH_SIZE = ACCUMULATE = MAX_STEPS = 1
SEED, EPOCHS = 0, 1.0
LEARNING_RATE = WARMUP = WEIGHT_DECAY = CLIP = 0.1
CONFIG: Any = None


def read(split):
    """Rows of a split: a text, maybe a second one, and a label."""
    with (DATA / f"{split}.jsonl").open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def encode(rows, labels, tokenizer):
    """Token ids, cut to MAX_LENGTH, and the number of the label; padding comes later, batch by batch."""
    texts = [[row[column] for row in rows] for column in COLUMNS]
    coded = tokenizer(*texts, truncation=True, max_length=MAX_LENGTH, return_attention_mask=False)
    numbers = {label: number for number, label in enumerate(labels)}
    examples: list[dict[str, Any]] = [{"label": numbers[row["label"]]} for row in rows]
    for name, column in coded.items():
        for example, ids in zip(examples, column, strict=True):
            example[name] = ids
    return examples


def seed_everything():
    """Python, numpy and torch: the same draws every time."""
    random.seed(SEED)
    np.random.seed(SEED % 2**32)
    torch.manual_seed(SEED)


def trains(name):
    """Whether a parameter of the base model trains, by its name."""
    return name.startswith(HEAD)  # when: head_only
    return f".{name}".endswith(TRAINS)  # when: ends_only
    return name.startswith(HEAD) or f".{name}".endswith(TRAINS)  # when: head_and_ends


def build(labels, tokenizer):
    """The base model with a new head, and what of it trains."""
    seed_everything()  # the new head is drawn while loading
    model: Any = AutoModelForSequenceClassification.from_pretrained(
        MODEL,
        num_labels=len(labels),
        id2label=dict(enumerate(labels)),
        label2id={label: number for number, label in enumerate(labels)},
        dtype=torch.float32,
        use_safetensors=True,
        ignore_mismatched_sizes=True,
    )
    model.config.pad_token_id = tokenizer.pad_token_id
    model.to(DEVICE)
    seed_everything()  # drawn from here on: the adapter's first weights, and what dropout leaves out
    chosen = [parameter for name, parameter in model.named_parameters() if trains(name)]  # when: chosen
    model.requires_grad_(True)  # when: everything
    model.requires_grad_(False)  # when: frozen
    model = get_peft_model(model, CONFIG)  # when: peft
    for parameter in chosen:  # when: chosen
        parameter.requires_grad_(True)  # when: chosen
    for parameter in model.parameters():  # when: held
        if not parameter.requires_grad and parameter.ndim > 1:  # when: held
            parameter.data = parameter.data.to(torch.bfloat16)  # when: held
    return model


def masked_entries(model):
    """Of the parameters that train in part: which entries do, and their values as a small tensor to be optimised.

    The optimizer never sees the parameters themselves, so that its decay and momentum cannot move other entries.
    """
    parameters = dict(model.named_parameters())
    entries = []
    for name, places in load_file(DATA / "masks.safetensors").items():
        parameter = parameters[name].requires_grad_(True)
        places = places.long().to(parameter.device)
        entries.append((parameter, places, torch.nn.Parameter(parameter.detach().take(places))))
    return entries


def learning_rate(step, steps):
    """The rate at a step, counted from 0: it rises over the first steps, and then follows its schedule."""
    warm = max(1, round(WARMUP * steps)) if WARMUP else 0
    if step < warm:
        return LEARNING_RATE * (step + 1) / warm
    gone = (step - warm) / max(1, steps - warm)  # when: falls
    return LEARNING_RATE * (1 - gone)  # when: linear
    return LEARNING_RATE * 0.5 * (1 + math.cos(math.pi * gone))  # when: cosine
    return LEARNING_RATE  # when: constant


def logits_of(model, batch):
    """Raw answers, one row for each text."""
    return model(**batch).logits.float()  # when: fp32
    with torch.autocast(DEVICE, torch.bfloat16):  # when: bf16
        return model(**batch).logits.float()  # when: bf16


def backward(model, examples, chosen, collate):
    """Gradients of one step, over one batch; returns its mean loss."""
    batch = collate([examples[row] for row in chosen]).to(DEVICE)
    labels = batch.pop("labels")
    loss = cross_entropy(logits_of(model, batch), labels)
    loss.backward()
    return loss.item()


def backward_over(model, examples, batches, collate):
    """Gradients of one step, over several batches as if they were one; returns their mean loss."""
    total, texts = 0.0, 0
    for chosen in batches:
        batch = collate([examples[row] for row in chosen]).to(DEVICE)
        labels = batch.pop("labels")
        loss = cross_entropy(logits_of(model, batch), labels, reduction="sum")
        loss.backward()
        total, texts = total + loss.item(), texts + len(chosen)
    for parameter in model.parameters():
        if parameter.grad is not None:
            parameter.grad /= texts
    return total / texts


def evaluate(model, examples, collate):
    """Scores of a split, and its mean loss."""
    model.eval()
    left = sorted(range(len(examples)), key=lambda row: -len(examples[row]["input_ids"]))
    gold, answers, total = [], [], 0.0
    while left:
        # The longest come first, in smaller batches: looking must not need more memory than training.
        size = max(1, min(EVAL_BATCH_SIZE, EVAL_BATCH_SIZE * 24 // len(examples[left[0]]["input_ids"])))
        chosen, left = left[:size], left[size:]
        batch = collate([examples[row] for row in chosen]).to(DEVICE)
        labels = batch.pop("labels")
        with torch.inference_mode():
            logits = logits_of(model, batch)
        total += cross_entropy(logits, labels, reduction="sum").item()
        gold += labels.tolist()
        answers += logits.argmax(-1).tolist()
    return {
        "f1": float(f1_score(gold, answers, pos_label=POSITIVE, zero_division=0)),  # when: two
        "accuracy": float(np.mean(np.array(gold) == np.array(answers))),
        "macro_f1": float(f1_score(gold, answers, average="macro", zero_division=0)),
        "matthews": float(matthews_corrcoef(gold, answers)),
        "loss": total / len(gold),
    }


def train(model, data, collate):
    """Train, and leave the model in its best state: after the epoch that validation says is best."""
    moving = [parameter for parameter in model.parameters() if parameter.requires_grad]
    matrices = [parameter for parameter in moving if parameter.ndim > 1]
    others = [parameter for parameter in moving if parameter.ndim < 2]  # biases and norms do not decay
    entries = masked_entries(model)  # when: masks
    matrices += [values for parameter, _, values in entries if parameter.ndim > 1]  # when: masks
    others += [values for parameter, _, values in entries if parameter.ndim < 2]  # when: masks
    optimizer = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": WEIGHT_DECAY}, {"params": others, "weight_decay": 0.0}],
        lr=LEARNING_RATE,
        fused=True,  # when: fused
    )
    trainable = sum(parameter.numel() for parameter in matrices + others)
    print(f"{trainable:,} parameters train")  # noqa: T201
    lengths = np.array([len(example["input_ids"]) for example in data["train"]])
    generator = torch.Generator().manual_seed(SEED)  # of the order of batches
    steps = MAX_STEPS  # when: max_steps
    steps = max(1, round(EPOCHS * math.ceil(len(lengths) / BATCH_SIZE)))  # when: epochs
    steps = max(1, round(EPOCHS * math.ceil(math.ceil(len(lengths) / BATCH_SIZE) / ACCUMULATE)))  # when: epochs_over
    losses: list[float] = []
    best, kept = -math.inf, {}
    while len(losses) < steps:
        model.train()
        batches: list[Any] = grouped_by_length(lengths, BATCH_SIZE, generator)
        batches = [batches[i : i + ACCUMULATE] for i in range(0, len(batches), ACCUMULATE)]  # when: over
        for chosen in batches:
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(len(losses), steps)
            losses.append(backward(model, data["train"], chosen, collate))  # when: single
            losses.append(backward_over(model, data["train"], chosen, collate))  # when: over
            for parameter, places, values in entries:  # when: masks
                values.grad = parameter.grad.take(places)  # when: masks
                parameter.grad = None  # when: masks
            torch.nn.utils.clip_grad_norm_(matrices + others, CLIP)  # when: clip
            optimizer.step()
            for parameter, places, values in entries:  # when: masks
                parameter.data.put_(places, values.data)  # when: masks
            optimizer.zero_grad()
            if len(losses) == steps:
                break
        scores = evaluate(model, data["validation"], collate)
        print(f"step {len(losses)}: loss {losses[-1]:.4f}, validation {HEADLINE} {scores[HEADLINE]:.4f}")  # noqa: T201
        if scores[HEADLINE] > best:
            best = scores[HEADLINE]
            kept = {name: p.detach().clone() for name, p in model.named_parameters() if p.requires_grad}
    model.load_state_dict(kept, strict=False)
    return trainable, losses


def main():
    """Train as the run did, score the rows for testing once, and keep the model and its numbers."""
    tokenizer = AutoTokenizer.from_pretrained(MODEL)
    tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token  # when: pad
    collate = DataCollatorWithPadding(tokenizer)
    rows = {split: read(split) for split in SPLITS}
    labels = sorted({row["label"] for row in rows["train"]})  # when: sorted_labels
    labels = LABELS  # when: listed_labels
    data = {split: encode(some, labels, tokenizer) for split, some in rows.items()}
    model = build(labels, tokenizer)
    trainable, losses = train(model, data, collate)
    scores = {split: evaluate(model, data[split], collate) for split in SPLITS if split != "train"}
    for split, numbers in scores.items():
        print(f"{split}: " + ", ".join(f"{name} {value:.4f}" for name, value in numbers.items()))  # noqa: T201
    model.save_pretrained(OUT)
    tokenizer.save_pretrained(OUT)
    results = {"trainable": trainable, "losses": losses, "metrics": scores}
    (OUT / "results.json").write_text(json.dumps(results, indent=1), encoding="utf-8")
