"""How long an answer takes: single calls on real texts with their own lengths, and many texts at once.

A call is what a service would do: a text, or a pair, is cut into tokens, goes through the model in the run's precision,
and the answer is on the processor again. Reading the text and looking up the name of a label are not in it. The first
calls warm up and are not timed. On a GPU each call waits for the device.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from peft_lab.errors import MethodRefused

if TYPE_CHECKING:
    from peft_lab.host import Host
    from peft_lab.run import Run
    from peft_lab.training.restore import Restored

WARM_UP, CALLS = 20, 100
AT_ONCE, BATCHES = 32, 8
ANSWERS, LONGEST = 12, 64
"""Where models write: whole answers that are timed, and tokens of an answer at most."""
Row = Mapping[str, Any]
Call = Callable[[Sequence[Row]], Any]


@dataclass(frozen=True)
class Times:
    """Seconds of single calls, and texts in a second when many come at once."""

    calls: int
    p50: float
    p95: float
    p99: float
    texts_per_second: float | None = None
    """In batches of 32; None where models write."""
    answer_p50: float | None = None
    """Where models write: seconds until an answer is whole; the others are until its first token."""
    tokens_per_second: float | None = None
    """Where models write: tokens of an answer after its first one."""


def measured(run: Run, host: Host, rows: Sequence[Row]) -> dict[str, Any]:
    """Times of a run as it was trained and, where that is possible, merged into its base model.

    Args:
        rows: real texts, at least one.

    Returns:
        ``unmerged`` and ``merged`` as plain data, ``merged`` None with ``why_not_merged``; how they were measured; the
        bytes that each model takes in memory; and on a GPU the ``peak`` of its memory while texts were answered.
    """
    import torch

    from peft_lab.training.restore import restore

    rows = list(rows)
    restored = restore(run, host)
    on_gpu = restored.place.device.type == "cuda"
    if on_gpu:
        torch.cuda.reset_peak_memory_stats(restored.place.device)
    found: dict[str, Any] = {
        "unmerged": _times(restored, rows),
        "peak": torch.cuda.max_memory_allocated(restored.place.device) if on_gpu else None,
        "model_bytes": model_bytes(restored.built.model),
        "merged": None,
        "merged_model_bytes": None,
        "why_not_merged": "",
        "device": str(restored.place.device),
        "precision": restored.place.precision,
        "threads": torch.get_num_threads(),
        "warm_up": WARM_UP,
        "batch": AT_ONCE,
        "longest": LONGEST,
        "texts": len(rows),
    }
    before = set(dict(restored.built.model.named_modules()))
    del restored
    try:
        merged = merged_of(run, host)
    except MethodRefused as error:
        return {**found, "why_not_merged": error.message}
    if set(dict(merged.built.model.named_modules())) == before:
        return {**found, "why_not_merged": f"{run.recipe.method} adds no module: there is nothing to merge"}
    return {**found, "merged": _times(merged, rows), "merged_model_bytes": model_bytes(merged.built.model)}


def merged_of(run: Run, host: Host) -> Restored:
    """The run merged into its base model, in the precision of the run.

    Raises:
        MethodRefused: it does more than change weights.
    """
    from peft_lab.keeping.merging import merged
    from peft_lab.sources.quiet import quiet_peft
    from peft_lab.training.restore import restore

    restored = restore(run, host)
    with quiet_peft():
        model = merged(restored, run)
    return replace(restored, built=replace(restored.built, model=model.eval()))


def model_bytes(model: Any) -> int:
    """Bytes of a model's tensors in memory; one that stands at two places counts once."""
    tensors = {id(t): t for t in (*model.parameters(), *model.buffers())}
    return sum(t.numel() * t.element_size() for t in tensors.values())


def _times(restored: Restored, rows: Sequence[Row]) -> dict[str, Any]:
    wait = waiting(restored.place.device)
    if restored.task.generates:
        return asdict(_writing(restored, rows, wait))
    call = answering(restored)
    return asdict(time_calls(call, rows, wait))


def answering(restored: Restored) -> Call:
    """What answers some rows: cut into tokens, through the model, the outputs back on the processor."""
    import torch

    model = restored.built.model.eval()

    def call(rows: Sequence[Row]) -> Any:
        with torch.inference_mode(), restored.place.autocast():
            return restored.task.outputs(model, batch_of(restored, rows)).float().cpu().numpy()

    return call


def batch_of(restored: Restored, rows: Sequence[Row]) -> dict[str, Any]:
    """Rows as a padded batch on the model's device."""
    from peft_lab.sources.words import one_blank
    from peft_lab.training.batches import Batcher, Encoded
    from peft_lab.training.words import cut_words

    texts = [[row[name] for row in rows] for name in ("text", "text_pair") if name in rows[0]]
    longest = restored.max_length
    if restored.task.by_word:
        coded = dict(cut_words([one_blank(text) for text in texts[0]], restored.tokenizer, longest))
    else:
        how: dict[str, Any] = {"truncation": True, "max_length": longest, "verbose": False}
        coded = dict(restored.tokenizer(*texts, return_attention_mask=False, **how))
    columns = {name: coded[name] for name in ("input_ids", "token_type_ids") if name in coded}
    lengths = np.array([len(ids) for ids in columns["input_ids"]])
    data = Encoded(columns, (), lengths, 0)
    return Batcher(restored.tokenizer, restored.place.device).batch(data, np.arange(len(rows)))


def time_calls(
    call: Call, rows: Sequence[Row], wait: Callable[[], None], *, calls: int = CALLS, warm_up: int = WARM_UP
) -> Times:
    """Time single calls over the rows, one after another and from the beginning again, then batches of 32."""
    rows = list(rows)
    single = _clocked(call, [[rows[n % len(rows)]] for n in range(calls + warm_up)], wait, warm_up)
    batches = [[rows[(n * AT_ONCE + m) % len(rows)] for m in range(AT_ONCE)] for n in range(BATCHES + 2)]
    together = _clocked(call, batches, wait, 2)
    p50, p95, p99 = (float(value) for value in np.percentile(single, (50, 95, 99)))
    return Times(calls, p50, p95, p99, texts_per_second=AT_ONCE * len(together) / float(together.sum()))


def _writing(restored: Restored, rows: Sequence[Row], wait: Callable[[], None]) -> Times:
    """Times of a model that writes: until the first token, and until an answer is whole."""
    wanted = [{name: row[name] for name in row if name != "label"} for row in rows]
    one = [[wanted[n % len(wanted)]] for n in range(CALLS + WARM_UP)]
    first = _clocked(lambda some: restored.write(some, most=1), one, wait, WARM_UP)
    lengths: list[int] = []
    some = one[:ANSWERS]
    whole = _clocked(lambda some: lengths.extend(restored.written(some, most=LONGEST).tokens), some, wait, 0)
    lengths = [max(1, length) for length in lengths]
    p50, p95, p99 = (float(value) for value in np.percentile(first, (50, 95, 99)))
    behind = float(whole.sum()) - p50 * len(some)
    speed = (sum(lengths) - len(lengths)) / behind if behind > 0 and sum(lengths) > len(lengths) else None
    return Times(CALLS, p50, p95, p99, answer_p50=float(np.median(whole)), tokens_per_second=speed)


def _clocked(call: Call, groups: Sequence[Sequence[Row]], wait: Callable[[], None], warm_up: int) -> np.ndarray:
    """Seconds of each call but the first ones; garbage is collected before and not between."""
    taken = []
    gc.collect()
    collects = gc.isenabled()
    gc.disable()
    try:
        for number, group in enumerate(groups):
            wait()
            began = time.perf_counter()
            call(group)
            wait()
            if number >= warm_up:
                taken.append(time.perf_counter() - began)
    finally:
        if collects:
            gc.enable()
    return np.array(taken)


def waiting(device: Any) -> Callable[[], None]:
    """What waits until a device has done all it was told; a processor always has."""
    import torch

    if device.type == "cuda":
        return lambda: torch.cuda.synchronize(device)
    return torch.mps.synchronize if device.type == "mps" else lambda: None
