"""After a save: the file is loaded into a fresh base model, and its answers are compared with those of training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from peft_lab.errors import PeftLabError
from peft_lab.run import Run

if TYPE_CHECKING:
    import numpy as np

    from peft_lab.host import Host


def reload_mark(run: Run, host: Host, texts: Sequence[dict[str, Any]], answers: np.ndarray) -> dict[str, Any]:
    """Whether what is on disk answers as what was trained, as a mark for the card.

    Args:
        texts: rows with ``text`` and maybe ``text_pair``.
        answers: raw outputs of the trained model for them, [text, ...].
    """
    import numpy as np

    from peft_lab.training.restore import restore
    from peft_lab.training.sample_texts import largest_difference

    try:
        again = restore(run, host).outputs(texts)
    except PeftLabError as error:
        return _mark(False, f"what was saved cannot be loaded: {error}")
    if np.array_equal(again, answers, equal_nan=True):
        return _mark(
            True, f"loaded from disk into a fresh base model, it gives the same outputs for {len(texts)} texts"
        )
    apart = largest_difference(again, answers)
    return _mark(False, f"loaded from disk into a fresh base model, its outputs differ by up to {apart:.3g}")


def _mark(ok: bool, text: str) -> dict[str, Any]:
    return {"check": "reload", "ok": ok, "text": text}
