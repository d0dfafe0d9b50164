"""How far training moved what a model makes of text that is not of the task.

Models that write are asked before and after how well they foresee neutral prose; that is measured when they are
trained. A classifier foresees nothing, and most encoders come without the part that could. What can be said of it is
how far its representation went: for each sentence of neutral prose the mean of its token vectors in the last layer,
with the method and without it.

- ``cosine``: between the two, averaged over the sentences. 1 is unchanged.
- ``apart``: 1 - that, over 1 - the mean cosine of different sentences in the base model. So 0.1 means that training
  moved a sentence by a tenth of what sets it apart from any other one; the vectors of an encoder all point much the
  same way, and a cosine alone would say little.
- ``neighbours``: share of the sentences whose nearest other sentence is the same one as before. It does not see a turn
  or a scaling of all vectors, which loses nothing.

It does not say that knowledge was lost, nor that a second task would be learned worse: only how much of the encoder
others could still count on. With a method that changes no weight of the base model, taking it off undoes all of it.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from peft_lab.judging.latency import batch_of

if TYPE_CHECKING:
    from peft_lab.host import Host
    from peft_lab.run import Run
    from peft_lab.training.restore import Restored

SENTENCE = re.compile(r"(?<=[.?!])\s+")


@dataclass(frozen=True)
class Drift:
    """How far sentences went."""

    sentences: int
    cosine: float
    apart: float
    neighbours: float


def drift(before: np.ndarray, after: np.ndarray) -> Drift:
    """Compare vectors of the same sentences, [sentence, width], before and after training."""
    one, other = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True) for vectors in (before, after))
    cosine = float((one * other).sum(1).mean())
    among, among_after = one @ one.T, other @ other.T
    count = len(one)
    for matrix in (among, among_after):
        np.fill_diagonal(matrix, -np.inf)
    others = among[~np.eye(count, dtype=bool)]
    between = 1.0 - float(others.mean()) if count > 1 else float("nan")
    same = among.argmax(1) == among_after.argmax(1) if count > 1 else np.ones(count)
    apart = (1.0 - cosine) / between if between > 1e-12 else float("nan")
    return Drift(count, cosine, max(0.0, apart), float(np.mean(same)))


def measured(run: Run, host: Host, restored: Restored) -> dict[str, Any] | None:
    """The drift of a run, as plain data; None where its model has no layers that could be listened to."""
    from peft_lab.training.restore import untrained

    texts = sentences()
    after = _vectors(restored, texts)
    before = _vectors(untrained(run, host), texts)
    if before is None or after is None or before.shape != after.shape:
        return None
    return {"kind": "representation", **asdict(drift(before, after))}


def sentences() -> list[str]:
    """Neutral prose that comes with peft_lab, sentence by sentence."""
    from peft_lab.training.token_losses import NEUTRAL

    return [text for text in SENTENCE.split(NEUTRAL.read_text(encoding="utf-8")) if text.strip()]


def _vectors(restored: Restored, texts: list[str]) -> np.ndarray | None:
    """The mean vector of each sentence's own tokens in the last layer."""
    import torch
    from peft import PeftModel

    model = restored.built.model.eval()
    bare: Any = model.get_base_model() if isinstance(model, PeftModel) else model
    inner = getattr(bare, getattr(bare, "base_model_prefix", "") or "", None)
    if not isinstance(inner, torch.nn.Module):
        return None
    heard: list[Any] = []
    hook = inner.register_forward_hook(lambda module, given, out: heard.append(out[0]))
    found = []
    try:
        with torch.inference_mode(), restored.place.autocast():
            for text in texts:
                batch = batch_of(restored, [{"text": text}])
                heard.clear()
                restored.task.outputs(model, batch)
                own = heard[-1][0, -batch["input_ids"].shape[1] :]  # virtual tokens stand before those of the text
                found.append(own.float().mean(0).cpu().numpy().astype(np.float64))
    finally:
        hook.remove()
    return np.stack(found)
