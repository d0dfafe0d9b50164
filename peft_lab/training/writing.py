"""Let a language model write: many prompts at a time, each until its turn ends."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

from peft_lab.errors import ModelProblem

if TYPE_CHECKING:
    import torch

    from peft_lab.sources.models import FoundModel

AT_ONCE = 8
"""Prompts in one batch."""
SAME = 1e-5
"""Share by which logits may differ that should not: rounding."""
INSTEAD = "Choose a language model, such as smollm2"


@dataclass(frozen=True)
class How:
    """How a model writes: see :func:`written`."""

    pad: int
    ends: Sequence[int]
    most: int
    temperature: float


def must_write(found: FoundModel, model: torch.nn.Module, fresh: Sequence[str]) -> None:
    """Refuse a model that was not made to write.

    Args:
        fresh: parameters that the files had no weights for.

    Raises:
        ModelProblem: it has no output table of its own, or it looks at tokens before it writes them.
    """
    import torch

    if fresh:
        raise ModelProblem(f"{found.name!r} cannot write: its files have no {fresh[0]}", INSTEAD)
    device = next(model.parameters()).device
    texts = torch.tensor([[1, 2, 3, 1], [1, 2, 3, 2]], device=device)
    training = model.training
    with torch.inference_mode():
        logits = model.eval()(input_ids=texts).logits[:, :3].float()
    model.train(training)
    if float((logits[0] - logits[1]).abs().max()) > SAME * float(logits.abs().max()):
        raise ModelProblem(f"{found.name!r} reads whole texts, and cannot write them word by word", INSTEAD)


def written(
    model: Any,
    prompts: Sequence[Sequence[int]],
    *,
    pad: int,
    ends: Sequence[int],
    most: int,
    temperature: float = 0.0,
    seed: int = 0,
) -> list[list[int]]:
    """What a model writes after some prompts, as token ids without the end of the turn.

    Args:
        prompts: token ids that stand before each answer.
        pad: the id of the pad token.
        ends: ids at which an answer ends.
        most: new tokens at most.
        temperature: 0 takes the likeliest token each time; above it, tokens are drawn.
        seed: for the draws. Random numbers of others are left as they are.
    """
    import torch

    from peft_lab.sources.quiet import quiet_transformers
    from peft_lab.training.randomness import kept_apart, seed_everything

    how = How(pad, ends, most, temperature)
    wrapped, whole = _wrapped(model)
    go_on = _by_whole_passes if whole else _by_steps
    answers: list[list[int]] = [[] for _ in prompts]
    device, training = next(model.parameters()).device, model.training
    model.eval()
    try:
        with torch.inference_mode(), kept_apart(), quiet_transformers(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PEFT's, about position ids that transformers gives it
            seed_everything(seed)
            for chosen in _batches(prompts, alike=wrapped):
                ids, attention = _padded([prompts[i] for i in chosen], pad, device)
                for i, row in zip(chosen, go_on(model, ids, attention, how), strict=True):
                    answers[i] = row[: next((n for n, token in enumerate(row) if token in ends), len(row))]
    finally:
        model.train(training)
    return answers


def _by_steps(model: Any, ids: torch.Tensor, attention: torch.Tensor, how: How) -> list[list[int]]:
    """By transformers: keys and values of what was read are kept, so that each token costs one step."""
    import torch
    from transformers import GenerationConfig

    drawn: dict[str, Any] = {"do_sample": False}
    if how.temperature:
        drawn = {"do_sample": True, "temperature": how.temperature, "top_k": 0}
    settings = GenerationConfig(max_new_tokens=how.most, pad_token_id=how.pad, eos_token_id=list(how.ends), **drawn)
    more = {}
    if _shares_between_tasks(model):
        more["task_ids"] = torch.zeros(len(ids), dtype=torch.long, device=ids.device)
    found = model.generate(input_ids=ids, attention_mask=attention, generation_config=settings, **more)
    rows: list[list[int]] = found[:, ids.shape[1] :].tolist()
    return rows


def _by_whole_passes(model: Any, ids: torch.Tensor, attention: torch.Tensor, how: How) -> list[list[int]]:
    """Reading all again for each token: slow, and right whatever a wrapper computes."""
    import torch

    start, done = ids.shape[1], torch.zeros(len(ids), dtype=torch.bool, device=ids.device)
    stops = torch.tensor(list(how.ends), device=ids.device)
    for _ in range(how.most):
        logits = model(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False).logits[:, -1].float()
        drawn = (logits / how.temperature).softmax(-1).multinomial(1)[:, 0] if how.temperature else None
        new = logits.argmax(-1) if drawn is None else drawn
        ids = torch.cat((ids, new.masked_fill(done, how.pad)[:, None]), 1)
        done |= torch.isin(new, stops)
        if bool(done.all()):
            break
    rows: list[list[int]] = ids[:, start:].tolist()
    return rows


def _wrapped(model: Any) -> tuple[bool, bool]:
    """Whether PEFT's wrapper is around the model, and whether it keeps steps from being right.

    Its virtual tokens stand before the padding, so that prompts must be of one length. Models with a table of positions
    lose count behind them, and of a network beside the model nothing is kept from step to step.
    """
    import torch
    from peft import PeftModel

    if not isinstance(model, PeftModel):
        return False, False
    if not model.active_peft_config.is_prompt_learning:
        return True, True
    inner: Any = model.get_base_model()
    tables = [m for m in inner.modules() if isinstance(m, torch.nn.Embedding) and m is not inner.get_input_embeddings()]
    return True, bool(tables)


def _shares_between_tasks(model: Any) -> bool:
    from peft import PeftModel

    if not isinstance(model, PeftModel):
        return False
    kind = model.active_peft_config.peft_type
    return str(getattr(kind, "value", kind)) == "MULTITASK_PROMPT_TUNING"


def _batches(prompts: Sequence[Sequence[int]], alike: bool) -> Iterator[list[int]]:
    """Numbers of prompts in batches, the longest first; ``alike``: of one length in each."""
    order = sorted(range(len(prompts)), key=lambda i: -len(prompts[i]))
    groups = [list(same) for _, same in groupby(order, key=lambda i: len(prompts[i]))] if alike else [order]
    for group in groups:
        for at in range(0, len(group), AT_ONCE):
            yield group[at : at + AT_ONCE]


def _padded(prompts: Sequence[Sequence[int]], pad: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and attention mask, [prompt, token], with the padding before the prompts, so that all end together."""
    import torch

    width = max(map(len, prompts))
    ids = torch.full((len(prompts), width), pad)
    attention = torch.zeros_like(ids)
    for row, prompt in enumerate(prompts):
        ids[row, width - len(prompt) :] = torch.tensor(prompt)
        attention[row, width - len(prompt) :] = 1
    return ids.to(device), attention.to(device)
