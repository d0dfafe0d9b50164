"""What sets families of base models apart for their texts: how long they may be, how they are padded, segments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from peft_lab.sources.models import FoundModel

# Families that count positions from their padding index on, so that a table of 514 holds 512.
POSITIONS_AFTER_PADDING = frozenset(
    {
        "camembert",
        "data2vec-text",
        "ibert",
        "longformer",
        "luke",
        "mpnet",
        "roberta",
        "roberta-prelayernorm",
        "xlm-roberta",
        "xlm-roberta-xl",
        "xmod",
    }
)


def position_limit(found: FoundModel) -> int | None:
    """Return how many tokens a text may have, or None where positions are not counted."""
    config = found.config
    limit = getattr(config, "max_position_embeddings", None)
    if not isinstance(limit, int) or limit <= 0:
        return None
    offset = (config.pad_token_id or 0) + 1 if config.model_type in POSITIONS_AFTER_PADDING else 0
    return limit - offset


def fit_tokenizer(tokenizer: Any, config: Any) -> None:
    """Set right what a tokenizer's files say otherwise than its model needs: a batch must equal its single texts."""
    # With padding before the text, encoders read padding where [CLS] should be and GPT-2 counts positions from it.
    # XLNet reads the last position, and pads before the text for that reason.
    if getattr(config, "summary_type", None) != "last":
        tokenizer.padding_side = "right"
    # DistilBERT has no segments; GPT-2 would add the embedding of token 0 to every position.
    segments = getattr(config, "type_vocab_size", 2 if config.model_type == "xlnet" else 0)
    if segments < 2:
        tokenizer.model_input_names = [name for name in tokenizer.model_input_names if name != "token_type_ids"]
